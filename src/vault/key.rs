//! The file of the secret key.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::Path,
};

use ring::rand::{SecureRandom, SystemRandom};
use tracing::warn;
use zeroize::Zeroizing;

use super::VaultError;

const LENGTH: usize = 32;

/// Reads the key, or makes it where there is no file.
pub(super) fn read_or_make(path: &Path, random: &SystemRandom) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let error = |source| VaultError::Key { path: path.to_owned(), source };
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    let mut key = Zeroizing::new([0; LENGTH]);
    let mut suffix = [0; 8];
    random.fill(&mut *key).and_then(|()| random.fill(&mut suffix)).map_err(|_| VaultError::Random)?;
    let beside = path.with_extension(format!("key.{:016x}", u64::from_le_bytes(suffix)));
    // Linked, not renamed: of two that make it at once, one wins, and the other takes what is there.
    let made = write(&beside, &*key).and_then(|()| match fs::hard_link(&beside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let removed = fs::remove_file(&beside);
    made.and(removed).and_then(|()| File::open(folder_of(path))?.sync_all()).map_err(error)?;
    // What is in the file counts, whoever made it.
    read(path)?.ok_or_else(|| error(io::ErrorKind::NotFound.into()))
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    let error = |source| VaultError::Key { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(error(source)),
    };
    let mode = file.metadata().map_err(error)?.permissions().mode();
    if mode & 0o077 != 0 {
        let file = path.display();
        warn!(%file, "Others can read the box's secret key; take that right from them: chmod 600 {file}");
    }
    // Room for all of it, so that no copy is left behind by growing.
    let mut key = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
    file.take(LENGTH as u64 + 1).read_to_end(&mut key).map_err(error)?;
    if key.len() != LENGTH {
        return Err(VaultError::NotAKey { path: path.to_owned(), bytes: key.len() });
    }
    Ok(Some(key))
}

fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key)?;
    // A command run by root must not make a key that the server can't read.
    let (folder, own) = (fs::metadata(folder_of(path))?, file.metadata()?);
    if folder.uid() != own.uid() {
        let _ = chown(path, Some(folder.uid()), Some(folder.gid()));
    }
    file.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
