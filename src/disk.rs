//! Files that are there whole or not at all.

use std::{fs, io, path::Path};

/// Writes a file beside and renames it, so that readers see the old text or the new one and never half of it.
///
/// # Errors
///
/// When the folder can't be written; the file is then as before.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = file.with_extension(format!("tmp{}", std::process::id()));
    let written = fs::File::create(&beside).and_then(|mut f| {
        io::Write::write_all(&mut f, bytes)?;
        f.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&beside, file));
    if renamed.is_err() {
        // Best effort: the error that counts is the one returned.
        let _ = fs::remove_file(&beside);
    }
    renamed
}
