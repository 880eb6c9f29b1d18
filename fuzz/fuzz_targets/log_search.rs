//! Any text as what somebody searches the query log for: no panic, a pattern that is taken finds what it says, and a line
//! of CSV has as many cells as were put in.
#![no_main]

use jiff::{Timestamp, tz::TimeZone};
use libfuzzer_sys::fuzz_target;
use schoolgate::querylog::{
    Place, csv,
    search::{Edge, Glob, Who, moment},
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(glob) = Glob::parse(first) {
        let _ = glob.matches(rest);
        // A whole name finds itself.
        let is_name = first.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.');
        if is_name && !first.starts_with('.') && !first.ends_with('.') {
            let mut labels: Vec<&str> = first.split('.').collect();
            labels.reverse();
            assert!(glob.matches(&labels.join(".")));
        }
    }
    let now: Timestamp = "2026-11-23T10:00:00Z".parse().expect("a time");
    for edge in [Edge::From, Edge::To] {
        let _ = moment("--from", first, edge, &TimeZone::UTC, now);
    }
    let _ = Who::parse(first);
    if let Ok(place) = first.parse::<Place>() {
        assert_eq!(place.to_string().parse(), Ok(place));
    }
    let line = csv::line([first, rest]);
    assert!(line.ends_with("\r\n"));
    let cell = line.strip_prefix('"').unwrap_or(&line).trim_start_matches(' ');
    assert!(!cell.starts_with(['=', '+', '-', '@', '\t']), "{line:?}");
});
