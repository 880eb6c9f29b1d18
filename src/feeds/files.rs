//! Files with secrets and certificates, which the settings name.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

/// Reads a file of so many bytes at most.
///
/// Never waits for somebody to write it, as reading a pipe would: the server reads such files before it answers.
///
/// # Errors
///
/// When it can't be read, is no file, or is larger.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if read as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes, which such a file never has")));
    }
    Ok(bytes)
}
