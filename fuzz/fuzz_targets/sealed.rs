//! Any bytes as a sealed text: nothing opens that was not sealed, nothing is given out of what was changed, no panic.
#![no_main]

use std::{
    io::{BufRead, Read, Write},
    sync::LazyLock,
};

use libfuzzer_sys::fuzz_target;
use schoolgate::vault::Vault;

const CONTEXT: &[&str] = &["list", "feed", "1"];

static VAULT: LazyLock<Vault> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("schoolgate-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let vault = Vault::open(&folder).expect("a vault");
    std::fs::remove_dir_all(&folder).expect("removed");
    vault
});

/// Three chunks and a bit.
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| (0..200_000_u32).map(|i| (i / 7) as u8).collect());

static SEALED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut sealing = VAULT.sealing(Vec::new(), CONTEXT).expect("memory");
    sealing.write_all(&TEXT).expect("memory");
    sealing.finish().expect("memory")
});

fuzz_target!(|data: &[u8]| {
    let mut nothing = Vec::new();
    assert!(open(data, &mut nothing).is_err() && nothing.is_empty());

    // Changes to what is right: each is a place (three bytes) and a byte to add; the first byte says how much is cut
    // off or put behind.
    let Some((&edge, changes)) = data.split_first() else { return };
    let mut bytes = SEALED.clone();
    for change in changes.chunks_exact(4) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize % bytes.len();
        bytes[at] = bytes[at].wrapping_add(change[3]);
    }
    match edge {
        0 => {}
        1..128 => bytes.truncate(bytes.len() * usize::from(edge) / 128),
        _ => bytes.extend_from_slice(&data[..data.len().min(usize::from(edge) - 127)]),
    }
    let mut text = Vec::new();
    let whole = open(&bytes, &mut text).is_ok();
    assert_eq!(whole, bytes == *SEALED);
    assert!(TEXT.starts_with(&text), "only what was sealed, from its start");
});

fn open(bytes: &[u8], text: &mut Vec<u8>) -> std::io::Result<()> {
    let mut opened = VAULT.opening(bytes, CONTEXT)?;
    // Both ways of reading.
    let first = opened.fill_buf()?;
    let some = first.len().min(100);
    text.extend_from_slice(&first[..some]);
    opened.consume(some);
    opened.read_to_end(text)?;
    Ok(())
}
