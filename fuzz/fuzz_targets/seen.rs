//! Any bytes as the table of names that were asked for: no panic, every byte is accounted for, and what was read is read
//! again after it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schoolgate::{
    clock::Day,
    seen::file::{Entry, HEADER, Header, read_from},
};

fuzz_target!(|data: &[u8]| {
    let found = entries(data).1;
    assert_eq!(found.end + found.torn, data.len() as u64);

    // Random bytes rarely have a right checksum, so the second half starts from a table that is right and changes some
    // of its bytes: each change is a place (two bytes) and a new byte.
    let mut bytes = Header { began: Day::from_number(20_700), written: Day::from_number(20_800) }.bytes().to_vec();
    for n in 0..20_u16 {
        let name = format!("example.domain{n}").into_bytes().into();
        let day = Day::from_number(20_700 + n);
        Entry { name, first: day, last: day }.write(&mut bytes);
    }
    for change in data.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] = change[2];
    }
    let (read, found) = entries(&bytes);
    assert_eq!(read.len() as u64, found.entries);
    let mut again = bytes[..HEADER].to_vec();
    for entry in &read {
        entry.write(&mut again);
    }
    assert_eq!(entries(&again).0, read);
});

fn entries(bytes: &[u8]) -> (Vec<Entry>, schoolgate::seen::file::Found) {
    let mut read = Vec::new();
    let found = read_from(bytes, &mut |entry| read.push(entry)).expect("memory can be read");
    (read, found)
}
