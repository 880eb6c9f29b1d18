//! Any bytes as an index: they are refused or they answer, and never panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schoolgate::{
    lists::{
        compiler::{Compiler, Identity},
        format::{MatchMode, Rule, Subject},
        index::{DomainIndex, reseal},
    },
    name::Key,
};

const NAMES: [&str; 6] = [
    "games.example",
    "cdn.payhe.example",
    "a.secure.cdn.payhe.example",
    "xn--bcher-kva.example",
    "test",
    "a.b.c.d.e.f.g.h.i.j.example",
];

fuzz_target!(|data: &[u8]| {
    ask(data.to_vec());

    // Most bytes end at a checksum, so the second half of the work starts from an index that is right, changes some
    // of its bytes and makes its checksums right again: each change is a place (two bytes) and a new byte.
    let mut bytes = whole();
    for change in data.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] = change[2];
    }
    reseal(&mut bytes);
    ask(bytes);
});

fn ask(bytes: Vec<u8>) {
    let Ok(index) = DomainIndex::from_bytes(&bytes) else { return };
    let lists = index.lists().len();
    assert!(index.sets().iter().flatten().all(|entry| usize::from(entry.list) < lists));
    for name in NAMES {
        let key = Key::parse(name).expect("a name");
        for hit in index.lookup(&key) {
            assert!((hit.set as usize) < index.sets().len());
            assert!(usize::from(hit.depth) <= key.depth());
        }
    }
    for address in ["192.0.2.7", "2001:db8::1"] {
        for set in index.addresses(address.parse().expect("an address")) {
            assert!((set as usize) < index.sets().len());
        }
    }
    let names = index.names().expect("they were checked");
    assert!(names.iter().take(1000).all(|(_, set)| (set as usize) < index.sets().len()));
}

fn whole() -> Vec<u8> {
    let mut compiler = Compiler::in_memory();
    for (id, names) in [("one", &NAMES[..4]), ("two", &NAMES[1..])] {
        let identity = Identity { id: id.into(), title: id.into(), category: "games".into() };
        let names = names.iter().map(|name| {
            let key = Key::parse(name).expect("a name");
            Rule { subject: Subject::Name { key, mode: MatchMode::Subdomains }, allow: false }
        });
        let nets = ["192.0.2.0/24", "2001:db8::/32"]
            .map(|net| Rule { subject: Subject::Address(net.parse().expect("a subnet")), allow: false });
        compiler.add_rules(identity, names.chain(nets)).expect("it fits");
    }
    compiler.finish_bytes().expect("memory can be written").0
}
