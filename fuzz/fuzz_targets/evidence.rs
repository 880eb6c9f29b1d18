//! Any bytes as a package of evidence: none passes for one, nothing unpacks further than it should, no panic. And changes
//! to a package that is right: what still passes has the same files.
#![no_main]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{Cursor, Write},
    sync::{Arc, LazyLock},
};

use libfuzzer_sys::fuzz_target;
use schoolgate::{
    category::Categories,
    lists::shipped,
    policy::{Knowledge, Policy, PolicyFile},
    querylog::{
        LogFolder,
        evidence::{About, Order, make, unpack, verify},
        search::Query,
    },
    vault::Vault,
};

static PACKAGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("schoolgate-fuzz-evidence-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let categories = Arc::new(Categories::shipped());
    let starter = Arc::new(shipped::starter(&categories));
    let policy = Policy::build(&PolicyFile::shipped(), &Knowledge { categories, indexes: vec![starter] });
    let (from, to) = ("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z");
    let order = Order {
        from: from.parse().expect("a time"),
        to: to.parse().expect("a time"),
        query: Query::default(),
        filters: [].into(),
        by: String::from("somebody"),
        reason: String::from("a reason"),
    };
    let key = Vault::open(&folder).expect("a vault").signing_key();
    let policy = policy.expect("the shipped policy is right");
    let made = make(&LogFolder::in_data(&folder), &policy, &order, &About::default(), &key, order.to);
    let bytes = std::fs::read(made.expect("a package").file).expect("a file");
    std::fs::remove_dir_all(&folder).expect("removed");
    bytes
});

static FILES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| files(&PACKAGE).expect("it is right"));

/// The files of a package.
fn files(bytes: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let files = RefCell::new(BTreeMap::<String, Vec<u8>>::new());
    unpack(Cursor::new(bytes), |name| {
        files.borrow_mut().insert(name.to_owned(), Vec::new());
        Ok(Into { files: &files, name: name.to_owned() })
    })
    .ok()?;
    Some(files.into_inner())
}

/// A file in memory.
struct Into<'a> {
    files: &'a RefCell<BTreeMap<String, Vec<u8>>>,
    name: String,
}

impl Write for Into<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.files.borrow_mut().entry(self.name.clone()).or_default().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(findings) = verify(Cursor::new(data)) {
        assert!(!findings.is_sound() || data == *PACKAGE);
    }
    // Each change is a place (two bytes) and a byte to add; the first byte says how much is cut off or put behind.
    let Some((&edge, changes)) = data.split_first() else { return };
    let mut bytes = PACKAGE.clone();
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] = bytes[at].wrapping_add(change[2]);
    }
    match edge {
        0 => {}
        1..128 => bytes.truncate(bytes.len() * usize::from(edge) / 128),
        _ => bytes.extend_from_slice(&data[..data.len().min(usize::from(edge) - 127)]),
    }
    if let Ok(findings) = verify(Cursor::new(&bytes)) {
        assert_eq!(findings.is_sound(), files(&bytes).is_some());
        if findings.is_sound() {
            assert_eq!(files(&bytes).as_ref(), Some(&*FILES));
        }
    }
});
