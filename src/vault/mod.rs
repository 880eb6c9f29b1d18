//! What must never stand anywhere in clear: texts sealed on disk, and digests in the place of names.
//!
//! Some lists are given to a school under agreement: they may be used, but not shown. A [`Vault`] has one secret key,
//! a file in the data folder. From it come the keys under which such texts are sealed (ChaCha20-Poly1305, in chunks,
//! so that a text of any size passes through little memory) and the key of the [`Mask`] by which a listed name is
//! shown as a digest (HMAC-SHA-256), and the key by which what leaves the box is signed (Ed25519). Who has the sealed files without the key (a backup of the lists, a disk that was
//! swapped out of a mirror) has nothing; who has the whole data folder has both.

pub(crate) mod key;
mod mask;
mod sign;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use ring::{aead, hkdf, hmac, rand::SystemRandom};
use zeroize::Zeroizing;

use self::key::KeyError;
pub use self::{
    mask::{Digest, Mask},
    sign::{SigningKey, VerifyingKey},
    stream::{Damaged, Opened, Sealing},
};

/// The key's name in the data folder.
pub const KEY_FILE: &str = "secret.key";

/// One secret key, and what is made of it.
pub struct Vault {
    secret: hkdf::Prk,
    random: SystemRandom,
    mask: Mask,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl Vault {
    /// Opens the vault of a data folder. Its key is made when there is none, and never overwritten.
    ///
    /// A key that others than its owner can read is used, with a warning in the log: to refuse it would open what it
    /// locks.
    ///
    /// # Errors
    ///
    /// When the key can't be read or made, or is not one.
    pub fn open(folder: &Path) -> Result<Self, VaultError> {
        let random = SystemRandom::new();
        let path = folder.join(KEY_FILE);
        let key = key::read_or_make(&path, &random).map_err(|error| match error {
            KeyError::File(source) => VaultError::Key { path: path.clone(), source },
            KeyError::NotAKey(bytes) => VaultError::NotAKey { path: path.clone(), bytes },
            KeyError::Random => VaultError::Random,
        })?;
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"schoolgate vault").extract(key.as_slice());
        let mask = Mask::new(derived(&secret, &[b"names".as_slice()], hmac::HMAC_SHA256).into());
        Ok(Self { secret, random, mask })
    }

    /// What shows names as digests.
    #[must_use]
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Seals what is written to what comes back, which must be [finished](Sealing::finish).
    ///
    /// `context` says what the text is (`["list", id, version]`). It is not stored; only who opens the text as the
    /// same thing gets it, so no sealed file can take the place of another.
    ///
    /// # Errors
    ///
    /// When the start can't be written, or the system gives no random bytes.
    pub fn sealing<W: Write>(&self, to: W, context: &[&str]) -> io::Result<Sealing<W>> {
        Sealing::start(to, context, &self.random, |salt| self.file_key(salt))
    }

    /// Opens what was sealed as the same thing. The text comes in pieces, each of which is known to be right; that it
    /// is whole is known when its end was read without an error.
    ///
    /// # Errors
    ///
    /// When the start can't be read, or it is nothing that was sealed ([`Damaged`] within the error).
    pub fn opening<R: Read>(&self, from: R, context: &[&str]) -> io::Result<Opened<R>> {
        Opened::start(from, context, |salt| self.file_key(salt))
    }

    /// Seals all of a text to a file, which is there whole or not at all; one that is there already is replaced.
    ///
    /// Gives the size of the text, in bytes.
    ///
    /// # Errors
    ///
    /// When the text can't be read or the file not written; then what was there before is there still.
    pub fn seal_file(&self, mut from: impl Read, to: &Path, context: &[&str]) -> Result<u64, VaultError> {
        let error = |source| VaultError::Write { path: to.to_owned(), source };
        let beside = to.with_extension(format!("sealing{}", std::process::id()));
        let mut sealed = || {
            let file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            let mut sealing = self.sealing(io::BufWriter::new(file), context)?;
            let bytes = io::copy(&mut from, &mut sealing)?;
            sealing.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(&beside, to)?;
            Ok(bytes)
        };
        let bytes = sealed().inspect_err(|_| {
            // Best effort: the error that counts is the one returned.
            let _ = fs::remove_file(&beside);
        });
        bytes.map_err(error)
    }

    /// Opens a sealed file; see [`opening`](Self::opening).
    ///
    /// # Errors
    ///
    /// When it can't be read, or is not a sealed file.
    pub fn open_file(&self, path: &Path, context: &[&str]) -> Result<Opened<File>, VaultError> {
        File::open(path)
            .and_then(|file| self.opening(file, context))
            .map_err(|source| VaultError::Read { path: path.to_owned(), source })
    }

    /// Seals a short text; see [`sealing`](Self::sealing) for what the context is for.
    ///
    /// Empty when the system gives no random bytes: then nobody can open it.
    #[must_use]
    pub fn seal_text(&self, context: &[&str], text: &[u8]) -> Vec<u8> {
        let sealed = || {
            let mut sealing = self.sealing(Vec::new(), context)?;
            sealing.write_all(text)?;
            sealing.finish()
        };
        sealed().unwrap_or_default()
    }

    /// Opens a short text that was sealed as the same thing.
    ///
    /// # Errors
    ///
    /// [`Damaged`], when it is not whole and right, or nothing that was sealed.
    pub fn open_text(&self, context: &[&str], sealed: &[u8]) -> Result<Vec<u8>, Damaged> {
        let mut text = Vec::new();
        // Memory is read from, so whatever goes wrong is the text's fault.
        self.opening(sealed, context)
            .and_then(|mut opened| opened.read_to_end(&mut text))
            .map_err(|_| Damaged)?;
        Ok(text)
    }

    /// The key with which this box signs what leaves it.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        let mut seed = Zeroizing::new([0; 32]);
        derived(&self.secret, &[b"signing".as_slice()], Seed)
            .fill(&mut *seed)
            .expect("32 bytes were asked for");
        SigningKey::from_seed(&seed)
    }

    /// The key of one file, from the random bytes at its start: no two files share one, so nonces can count from 0.
    fn file_key(&self, salt: &[u8]) -> aead::LessSafeKey {
        aead::LessSafeKey::new(
            derived(&self.secret, &[b"file".as_slice(), salt], &aead::CHACHA20_POLY1305).into(),
        )
    }
}

/// Key material of 32 bytes that `ring` has no type for.
struct Seed;

impl hkdf::KeyType for Seed {
    fn len(&self) -> usize {
        32
    }
}

/// Key material for one use.
fn derived<'a, L: hkdf::KeyType>(secret: &'a hkdf::Prk, use_: &'a [&'a [u8]], kind: L) -> hkdf::Okm<'a, L> {
    // The keys of HMAC-SHA-256 and of ChaCha20 have 32 bytes, and HKDF gives up to 255 times 32.
    secret.expand(use_, kind).expect("HKDF gives 32 bytes")
}

/// Why the vault can't do it.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key can't be read or made.
    #[error("{path}: the box's secret key can't be read or made: {source}", path = path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of the key holds something else.
    #[error(
        "{path}: this is no secret key: it has {bytes} bytes, a key has 32; put the right one back from a backup, or \
         move the file away to have a new one made (what the old one sealed must then be fetched again)",
        path = path.display()
    )]
    NotAKey {
        /// The key's file.
        path: PathBuf,
        /// Its length, at most 33.
        bytes: usize,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes, so no secret key can be made")]
    Random,
    /// A sealed file can't be read.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A sealed file can't be written.
    #[error("{path}: it can't be sealed: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
