//! Any text as what people type or paste: an address of a site, a table out of a spreadsheet. What is read is read again
//! after it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schoolgate::{
    name::{Key, host_of},
    querylog::csv,
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let host = host_of(text);
    assert!(text.contains(host) && !host.contains(['/', '?', '#', ':']), "{host}");
    if let Ok(key) = Key::parse(host) {
        assert_eq!(Key::parse(&key.to_string()), Ok(key));
    }
    let rows = csv::rows(text);
    let written: String = rows.iter().map(|(_, row)| csv::line(row)).collect();
    let again = csv::rows(&written);
    let cells = |rows: Vec<(usize, Vec<String>)>| rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>();
    assert_eq!(cells(again), cells(rows));
});
