//! Files of secret keys: 32 random bytes, made once, for their owner alone, and never overwritten.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::Path,
};

use ring::rand::{SecureRandom, SystemRandom};
use tracing::warn;
use zeroize::Zeroizing;

use crate::disk;

/// The bytes of a key.
pub(crate) const LENGTH: usize = 32;

/// A key as it was read.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

/// Why there is no key.
#[derive(Debug)]
pub(crate) enum KeyError {
    /// The file can't be read or made.
    File(io::Error),
    /// The file holds something else, of so many bytes (at most one more than a key has).
    NotAKey(usize),
    /// The system gives no random bytes.
    Random,
}

impl From<io::Error> for KeyError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// Reads the key, or makes it where there is no file. All who make it at once get the same.
pub(crate) fn read_or_make(path: &Path, random: &SystemRandom) -> Result<Secret, KeyError> {
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    let mut key = Zeroizing::new([0; LENGTH]);
    let mut suffix = [0; 8];
    random.fill(&mut *key).and_then(|()| random.fill(&mut suffix)).map_err(|_| KeyError::Random)?;
    let beside = path.with_extension(format!("key.{:016x}", u64::from_le_bytes(suffix)));
    // Linked, not renamed: of two that make it at once, one wins, and the other takes what is there.
    let made = write(&beside, &*key).and_then(|()| match fs::hard_link(&beside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let removed = fs::remove_file(&beside);
    made.and(removed).and_then(|()| disk::sync_folder_of(path))?;
    // What is in the file counts, whoever made it.
    read(path)?.ok_or_else(|| KeyError::File(io::ErrorKind::NotFound.into()))
}

/// Reads the key; none where there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Secret>, KeyError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        let file = path.display();
        warn!(%file, "Others can read a secret key of the box; take that right from them: chmod 600 {file}");
    }
    // Room for all of it, so that no copy is left behind by growing.
    let mut key = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
    file.take(LENGTH as u64 + 1).read_to_end(&mut key)?;
    if key.len() != LENGTH {
        return Err(KeyError::NotAKey(key.len()));
    }
    Ok(Some(key))
}

fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key)?;
    // A command run by root must not make a key that the server can't read.
    let (folder, own) = (fs::metadata(disk::folder_of(path))?, file.metadata()?);
    if folder.uid() != own.uid() {
        let _ = chown(path, Some(folder.uid()), Some(folder.gid()));
    }
    file.sync_all()
}
