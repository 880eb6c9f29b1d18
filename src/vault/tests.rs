use std::{
    io::{Cursor, Read, Write},
    os::unix::fs::PermissionsExt,
    sync::Barrier,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    stream::{CHUNK, START, TAG},
    *,
};
use crate::name::Key;

const CONTEXT: &[&str] = &["list", "feed", "000001"];

fn vault() -> (TempDir, Vault) {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::open(folder.path()).unwrap();
    (folder, vault)
}

fn sealed(vault: &Vault, text: &[u8], context: &[&str]) -> Vec<u8> {
    let mut sealing = vault.sealing(Vec::new(), context).unwrap();
    sealing.write_all(text).unwrap();
    sealing.finish().unwrap()
}

fn opened(vault: &Vault, sealed: &[u8], context: &[&str]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    vault.opening(sealed, context)?.read_to_end(&mut text)?;
    Ok(text)
}

/// What opens as damage and nothing else.
fn assert_damaged(outcome: io::Result<Vec<u8>>, what: &str) {
    let error = outcome.expect_err(what);
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}: {error}");
    assert!(error.get_ref().is_some_and(|inner| inner.is::<Damaged>()), "{what}: {error}");
}

/// Text that repeats in no period of a chunk, so that no two chunks are alike.
fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8 ^ (i / CHUNK) as u8).collect()
}

#[test]
fn what_is_sealed_opens_and_does_not_show() {
    let (_folder, vault) = vault();
    let text = b"worst.test\nworse.test\n".repeat(10);
    let sealed = sealed(&vault, &text, CONTEXT);
    assert!(!sealed.windows(5).any(|window| window == b"worst"));
    assert_eq!(opened(&vault, &sealed, CONTEXT).unwrap(), text);
}

#[test]
fn texts_about_the_length_of_chunks_come_back() {
    let (_folder, vault) = vault();
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1] {
        let text = text(length);
        let sealed = sealed(&vault, &text, CONTEXT);
        let chunks = length.div_ceil(CHUNK).max(1);
        assert_eq!(sealed.len(), START + length + chunks * TAG, "{length}");
        assert_eq!(opened(&vault, &sealed, CONTEXT).unwrap(), text, "{length}");
    }
}

#[test]
fn a_change_of_any_byte_is_noticed() {
    let (_folder, vault) = vault();
    let whole = sealed(&vault, &text(300), CONTEXT);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert_damaged(opened(&vault, &changed, CONTEXT), &format!("byte {at}"));
    }
}

#[test]
fn a_text_that_is_cut_short_or_goes_on_is_noticed() {
    let (_folder, vault) = vault();
    let small = sealed(&vault, &text(300), CONTEXT);
    for length in 0..small.len() {
        assert_damaged(opened(&vault, &small[..length], CONTEXT), &format!("{length} bytes"));
    }
    let large = sealed(&vault, &text(2 * CHUNK + 100), CONTEXT);
    for edge in 0..=2 {
        let edge = START + edge * (CHUNK + TAG);
        for length in edge.saturating_sub(2)..=edge + 2 {
            assert_damaged(opened(&vault, &large[..length], CONTEXT), &format!("{length} bytes"));
        }
    }
    for more in [&b"x"[..], &large[START..]] {
        assert_damaged(opened(&vault, &[&large, more].concat(), CONTEXT), "more bytes");
    }
}

#[test]
fn chunks_keep_their_places() {
    let (_folder, vault) = vault();
    let whole = sealed(&vault, &text(3 * CHUNK), CONTEXT);
    let other = sealed(&vault, &text(3 * CHUNK), CONTEXT);
    let chunk = |of: &[u8], n: usize| of[START + n * (CHUNK + TAG)..START + (n + 1) * (CHUNK + TAG)].to_vec();
    let start = whole[..START].to_vec();
    for (what, chunks) in [
        ("swapped", vec![chunk(&whole, 1), chunk(&whole, 0), chunk(&whole, 2)]),
        ("left out", vec![chunk(&whole, 0), chunk(&whole, 2)]),
        ("twice", vec![chunk(&whole, 0), chunk(&whole, 0), chunk(&whole, 1), chunk(&whole, 2)]),
        ("of another text", vec![chunk(&whole, 0), chunk(&other, 1), chunk(&whole, 2)]),
        ("the last one first", vec![chunk(&whole, 2)]),
    ] {
        let made_up = [start.clone(), chunks.concat()].concat();
        assert_damaged(opened(&vault, &made_up, CONTEXT), what);
    }
}

#[test]
fn another_key_or_another_thing_does_not_open_it() {
    let (_folder, vault) = vault();
    let (_other_folder, other) = self::vault();
    let sealed = sealed(&vault, b"worst.test", CONTEXT);
    assert_damaged(opened(&other, &sealed, CONTEXT), "another key");
    for context in [
        &["list", "feed", "000002"][..],
        &["list", "other", "000001"],
        &["list", "feed"],
        &["list", "feed", "000001", ""],
        &["list", "feed0", "00001"],
        &["listfeed000001"],
        &[],
    ] {
        assert_damaged(opened(&vault, &sealed, context), &format!("{context:?}"));
    }
}

#[test]
fn after_damage_nothing_more_is_given() {
    let (_folder, vault) = vault();
    let mut sealed = sealed(&vault, &text(3 * CHUNK), CONTEXT);
    sealed[START + CHUNK + TAG + 7] ^= 1;
    let mut reader = vault.opening(sealed.as_slice(), CONTEXT).unwrap();
    let mut first = vec![0; CHUNK];
    reader.read_exact(&mut first).unwrap();
    assert_eq!(first, text(CHUNK));
    for _ in 0..3 {
        assert!(reader.read(&mut first).is_err());
    }
}

#[test]
fn the_same_text_is_sealed_to_other_bytes_each_time() {
    let (_folder, vault) = vault();
    let texts = [sealed(&vault, b"worst.test", CONTEXT), sealed(&vault, b"worst.test", CONTEXT)];
    assert_ne!(texts[0], texts[1]);
}

#[test]
fn a_file_is_there_whole_or_as_it_was() {
    struct Breaks(u32);
    impl Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 > 2 { Err(io::Error::other("the line broke")) } else { Ok(buffer.len()) }
        }
    }
    let (folder, vault) = vault();
    let file = folder.path().join("000001.sealed");
    assert_eq!(vault.seal_file(Cursor::new(b"worst.test"), &file, CONTEXT).unwrap(), 10);
    let error = vault.seal_file(Breaks(0), &file, CONTEXT).unwrap_err().to_string();
    assert!(error.contains("the line broke") && error.contains("000001.sealed"), "{error}");
    let mut text = String::new();
    vault.open_file(&file, CONTEXT).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "worst.test");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the key and the file");
    let error = vault.open_file(&folder.path().join(KEY_FILE), CONTEXT).unwrap_err().to_string();
    assert!(error.contains("does not open"), "{error}");
}

#[test]
fn the_key_is_made_once_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(KEY_FILE);
    let first = sealed(&Vault::open(folder.path()).unwrap(), b"worst.test", CONTEXT);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read(&file).unwrap();
    assert_eq!(key.len(), 32);
    let again = Vault::open(folder.path()).unwrap();
    assert_eq!(opened(&again, &first, CONTEXT).unwrap(), b"worst.test");
    assert_eq!(fs::read(&file).unwrap(), key);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
}

#[test]
fn what_is_no_key_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(KEY_FILE);
    for wrong in [&b""[..], &[7; 31], &[7; 33], &[7; 4096]] {
        fs::write(&file, wrong).unwrap();
        let error = Vault::open(folder.path()).unwrap_err();
        assert!(matches!(error, VaultError::NotAKey { .. }), "{error}");
        assert!(error.to_string().contains("put the right one back"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), wrong);
    }
    let error = Vault::open(&folder.path().join("not-there")).unwrap_err();
    assert!(matches!(error, VaultError::Key { .. }), "{error}");
}

#[test]
fn all_who_make_the_key_at_once_have_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let start = Barrier::new(16);
    let digests: Vec<Digest> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    Vault::open(folder.path()).unwrap().mask().name(b"test.worst")
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
}

#[test]
fn a_digest_says_which_name_and_on_which_box() {
    let (_folder, vault) = vault();
    let (_other_folder, other) = self::vault();
    let key = |name: &str| Key::parse(name).unwrap();
    let name = |vault: &Vault, name: &str| vault.mask().name(key(name).as_bytes());
    assert_eq!(name(&vault, "worst.test"), name(&vault, "WORST.test."));
    assert_ne!(name(&vault, "worst.test"), name(&vault, "worse.test"));
    assert_ne!(name(&vault, "worst.test"), name(&other, "worst.test"));
    let text = name(&vault, "worst.test").to_string();
    let hex = text.strip_prefix(Digest::PREFIX).unwrap();
    assert!(hex.len() == 12 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
    let address = |text: &str| vault.mask().address(text.parse().unwrap());
    assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"));
    assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    assert_eq!(Mask::without_key().name(b"test.worst").to_string(), "locked:no-key");
}

#[test]
fn short_texts_are_sealed_and_opened_in_one_go() {
    let (_folder, vault) = vault();
    let (_other_folder, other) = self::vault();
    let sealed = vault.seal_text(&["log", "name"], b"worst.test");
    assert_eq!(vault.open_text(&["log", "name"], &sealed).unwrap(), b"worst.test");
    assert_eq!(vault.open_text(&["log", "asker"], &sealed), Err(Damaged));
    assert_eq!(other.open_text(&["log", "name"], &sealed), Err(Damaged));
    for length in 0..sealed.len() {
        assert_eq!(vault.open_text(&["log", "name"], &sealed[..length]), Err(Damaged), "{length} bytes");
    }
}

#[test]
fn a_box_signs_with_the_same_key_after_a_restart_and_no_other_box_has_it() {
    let (folder, vault) = vault();
    let (_other_folder, other) = self::vault();
    let (key, signature) = (vault.signing_key().public(), vault.signing_key().sign(b"manifest"));
    assert_eq!(Vault::open(folder.path()).unwrap().signing_key().public(), key);
    assert_ne!(other.signing_key().public(), key);
    assert!(key.verifies(b"manifest", &signature));
    assert!(!key.verifies(b"manifesto", &signature) && !key.verifies(b"manifest", &signature[..63]));
    assert!(!other.signing_key().public().verifies(b"manifest", &signature));
    let print = key.fingerprint();
    assert!(print.len() == 39 && print.split('-').all(|group| group.len() == 4), "{print}");
    assert_ne!(print, other.signing_key().public().fingerprint());
}

#[test]
fn nothing_of_the_key_shows_in_a_debug_text() {
    let (folder, vault) = vault();
    let key = fs::read(folder.path().join(KEY_FILE)).unwrap();
    let text = format!("{vault:?} {:?}", vault.mask());
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!text.contains(&hex[..8]) && !text.contains(&format!("{:?}", &key[..4])[1..10]), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_in_any_pieces_comes_back(
        length in 0..3 * CHUNK,
        piece in 1..100_000_usize,
        taken in 1..100_000_usize,
    ) {
        let (_folder, vault) = vault();
        let text = text(length);
        let mut sealing = vault.sealing(Vec::new(), CONTEXT).unwrap();
        for piece in text.chunks(piece) {
            sealing.write_all(piece).unwrap();
        }
        let sealed = sealing.finish().unwrap();
        let mut reader = vault.opening(sealed.as_slice(), CONTEXT).unwrap();
        let mut back = Vec::new();
        let mut buffer = vec![0; taken];
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                n => back.extend_from_slice(&buffer[..n]),
            }
        }
        prop_assert_eq!(back, text);
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..500), magic in any::<bool>()) {
        let (_folder, vault) = vault();
        let bytes = if magic { [b"SGSEAL1\n".as_slice(), &bytes].concat() } else { bytes };
        prop_assert!(opened(&vault, &bytes, CONTEXT).is_err());
    }
}
