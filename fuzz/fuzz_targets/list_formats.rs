//! Any text, in each list format: the first byte chooses the format, the rest is the list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schoolgate::lists::{
    Format,
    format::{MatchMode, detect, read},
};

fuzz_target!(|data: &[u8]| {
    let Some((&first, text)) = data.split_first() else { return };
    let format = Format::ALL[usize::from(first) % Format::ALL.len()];
    let mode = if first < 128 { MatchMode::Subdomains } else { MatchMode::Exact };
    let _ = detect(text);
    let mut lines = 0;
    read(&mut &*text, format, mode, &mut |line, outcome| {
        assert!(line > 0);
        if let Err(skip) = outcome {
            assert!(skip.to_string().len() < 4096);
        }
        lines = lines.max(line);
    })
    .expect("memory can be read");
    assert!(lines <= text.len() as u64);
});
