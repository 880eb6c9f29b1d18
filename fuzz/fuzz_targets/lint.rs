//! Lists that people write, any text: the first byte chooses the kind. No panic, and every finding is on a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schoolgate::{category::Categories, lists::curated::lint::Linter, policy::Tables};

fuzz_target!(|data: &[u8]| {
    let Some((&first, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let file = if first < 128 { "hate.txt" } else { "core.toml" };
    let categories = Categories::shipped();
    let protected = Tables::shipped().protected();
    let mut linter = Linter::new(&categories, &protected, jiff::civil::date(2026, 11, 25));
    linter.file(file, text);
    let lines = text.matches('\n').count() as u64 + 1;
    for finding in linter.finish().findings {
        assert!((1..=lines).contains(&finding.line), "{finding}");
    }
});
