//! Messages of a zone transfer in, a version of the zone out or an error: no panic, and a version is a sorted file that
//! hides nothing from the reader of zone files.
//!
//! The first byte says whether there is a version to change; the rest is the stream, each message with its length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use schoolgate::feeds::zone::assemble;

const ZONE: &str = "rpz.trust.example";
const HAVE: &str = "rpz.trust.example. 300 IN SOA ns. host. 7 3600 600 604800 60\n\
    a.example CNAME .\nb.example CNAME rpz-passthru.\n";

fuzz_target!(|data: &[u8]| {
    let Some((&choice, stream)) = data.split_first() else { return };
    let have = (choice & 1 != 0).then_some(HAVE);
    let Ok(text) = assemble(ZONE, have, stream) else { return };
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    assert!(text.ends_with('\n'));
    let mut lines = text.lines();
    let soa = lines.next().expect("a version has its SOA");
    assert!(soa.starts_with("rpz.trust.example. ") && soa.contains(" IN SOA "));
    let mut before = None;
    for line in lines {
        assert!(before < Some(line), "sorted, each once");
        before = Some(line);
        assert!(!line.contains([';', '(', ')', '$', '@']) || line.starts_with("@ "), "{line}");
        assert!(line.matches('"').count() % 2 == 0, "{line}");
    }
});
