//! Any bytes as a school's certificate and its key, and changes to a pair that is right: no panic, and what is refused
//! leaves the one in use as it was.
#![no_main]

use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use schoolgate::{
    clock::Clock,
    tls::{Certificates, FOLDER, Source},
};

struct Own {
    certificates: Certificates,
    /// Its certificate and its key.
    pem: Vec<u8>,
    now: Timestamp,
    _data: tempfile::TempDir,
}

/// The box's own certificate and key do as a school's.
static OWN: LazyLock<Own> = LazyLock::new(|| {
    let data = tempfile::tempdir().expect("a folder");
    let now = "2026-11-26T10:15:00Z".parse().expect("a time");
    let certificates = Certificates::open(data.path(), &[], &Clock::held_at(now)).expect("certificates");
    let pem = std::fs::read(data.path().join(FOLDER).join("server.pem")).expect("a file");
    Own { certificates, pem, now, _data: data }
});

fuzz_target!(|data: &[u8]| {
    let (chain, key) = data.split_at(data.len() / 2);
    install(chain, key);
    // Each change is a place (two bytes) and a byte to add, in the chain and the key by turns.
    let (mut chain, mut key) = (OWN.pem.clone(), OWN.pem.clone());
    for (number, change) in data.chunks_exact(3).enumerate() {
        let bytes = if number % 2 == 0 { &mut chain } else { &mut key };
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] = bytes[at].wrapping_add(change[2]);
    }
    install(&chain, &key);
});

fn install(chain: &[u8], key: &[u8]) {
    let before = OWN.certificates.status(OWN.now);
    match OWN.certificates.install(chain, key, OWN.now) {
        Ok(()) => {
            assert_eq!(OWN.certificates.status(OWN.now).source, Source::School);
            OWN.certificates.remove_school(OWN.now).expect("it is removed");
        }
        Err(_) => assert_eq!(OWN.certificates.status(OWN.now), before),
    }
}
