//! Backups: one encrypted archive of what makes a box this school's, and how another box becomes it.
//!
//! An archive is a file as `age` writes them (ChaCha20-Poly1305; the key comes from a passphrase by scrypt, or is for a
//! public key), over gzip, over tar. So it can also be opened without Schoolgate: `age -d FILE | tar xz`. Within, `about.json`
//! says first what it is, then come the files, and `manifest.json` says last which they were, with their digests.
//!
//! A restore never happens under a running server. What an archive holds is laid beside the data folder's files and looked at as a
//! whole ([`stage()`]); the next start puts it in its place before anything else is opened ([`apply`]), and keeps what was there.

mod archive;
mod error;
mod room;
mod settings;
mod sftp;
mod sigv4;
mod stage;
mod store;
#[cfg(test)]
mod tests;
mod what;

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use age::secrecy::SecretString;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    archive::{About, Entry, Manifest, read_foreign},
    error::BackupError,
    room::{Careful, Reserve, passing},
    settings::{
        Destination, Every, FILE, History, LONGEST_KEEP, NewSettings, Outcome, S3, Schedule, Secret,
        Settings, SftpServer,
    },
    sftp::{make_sftp_key, sftp_public_key},
    stage::{
        Applied, Staged, apply, apply_unless, cancel, forget_before, look, pending, rehearse, stage, told,
    },
    store::{Fetching, FileBody, deliver, fetch_newest},
};

use crate::disk;

/// How names of archives end.
pub const EXTENSION: &str = "backup.age";

/// The shortest passphrase, in characters.
pub const SHORTEST_PASSPHRASE: usize = 12;

/// What a passphrase costs who tries it: 64 MiB of memory and a fifth of a second or so, which the smallest box has.
const WORK: u8 = 16;

/// What an archive of others may cost to open: 256 MiB.
const MOST_WORK: u8 = 18;

/// By what an archive is locked.
#[derive(Clone)]
pub enum Lock {
    /// Who knows this opens it.
    Passphrase(SecretString),
    /// Who has the identity of this public key (`age1…`) opens it.
    Recipient(String),
}

/// By what an archive is opened.
#[derive(Clone)]
pub enum Opener {
    /// The passphrase.
    Passphrase(SecretString),
    /// The identity (`AGE-SECRET-KEY-1…`) of the public key.
    Identity(SecretString),
}

impl Lock {
    /// A passphrase.
    ///
    /// # Errors
    ///
    /// When it is too short.
    pub fn passphrase(text: &str) -> Result<Self, BackupError> {
        if text.chars().count() < SHORTEST_PASSPHRASE {
            return Err(BackupError::ShortPassphrase);
        }
        Ok(Self::Passphrase(SecretString::from(text.to_owned())))
    }

    /// A public key.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn recipient(text: &str) -> Result<Self, BackupError> {
        let text = text.trim();
        text.parse::<age::x25519::Recipient>().map_err(|_| BackupError::Recipient)?;
        Ok(Self::Recipient(text.to_owned()))
    }

    fn encryptor(&self) -> Result<age::Encryptor, BackupError> {
        let (passphrase, key);
        let recipient: &dyn age::Recipient = match self {
            Self::Passphrase(text) => {
                let mut locked = age::scrypt::Recipient::new(text.clone());
                locked.set_work_factor(WORK);
                passphrase = locked;
                &passphrase
            }
            Self::Recipient(text) => {
                key = text.parse::<age::x25519::Recipient>().map_err(|_| BackupError::Recipient)?;
                &key
            }
        };
        age::Encryptor::with_recipients(std::iter::once(recipient))
            .map_err(|error| BackupError::Write(io::Error::other(error.to_string())))
    }
}

impl Opener {
    /// What somebody typed, or the text of a file: an identity, if it looks like one, else a passphrase.
    #[must_use]
    pub fn typed(text: &str) -> Self {
        let text = text.trim_end_matches(['\n', '\r']);
        // A file that age-keygen made has remarks before the identity.
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (Some(line), None) if line.starts_with("AGE-SECRET-KEY-1") => {
                Self::Identity(SecretString::from(line.to_owned()))
            }
            _ => Self::Passphrase(SecretString::from(text.to_owned())),
        }
    }

    fn identity(&self) -> Result<Box<dyn age::Identity>, BackupError> {
        use age::secrecy::ExposeSecret as _;

        Ok(match self {
            Self::Passphrase(text) => {
                let mut identity = age::scrypt::Identity::new(text.clone());
                identity.set_max_work_factor(MOST_WORK);
                Box::new(identity)
            }
            Self::Identity(text) => Box::new(
                text.expose_secret().parse::<age::x25519::Identity>().map_err(|_| BackupError::Identity)?,
            ),
        })
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passphrase(_) => f.write_str("Passphrase(…)"),
            Self::Recipient(key) => write!(f, "Recipient({key})"),
        }
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener(…)")
    }
}

/// What goes into a backup beside what always does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Extras {
    /// The query log, with its keys.
    pub logs: bool,
    /// The text of every version of every list; without it, of those only that can't be fetched again.
    pub lists: bool,
}

/// What a backup is of.
#[derive(Debug, Clone)]
pub struct Of<'a> {
    /// The data folder.
    pub folder: &'a Path,
    /// What to put in beside what always goes in.
    pub extras: Extras,
    /// The school's name.
    pub school: &'a str,
    /// The number of the policy in force.
    pub revision: i64,
    /// When.
    pub at: Timestamp,
    /// What stays free of the disk that the data folder is on.
    pub reserve: Reserve,
}

/// What came of making a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "BackupMade")]
pub struct Made {
    /// Where it is.
    pub file: PathBuf,
    /// Its size, in bytes.
    pub bytes: u64,
    /// How many files it holds.
    pub files: usize,
}

/// The name of an archive that is made now: `schoolgate-20261127-021500.backup.age`.
#[must_use]
pub fn name_of(prefix: &str, at: Timestamp) -> String {
    format!("{prefix}-{}.{EXTENSION}", at.strftime("%Y%m%d-%H%M%S"))
}

/// Whether a name is one that [`name_of`] gives.
#[must_use]
pub fn is_name_of(prefix: &str, name: &str) -> bool {
    let Some(stamp) = name
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(EXTENSION))
        .and_then(|rest| rest.strip_suffix('.'))
    else {
        return false;
    };
    stamp.len() == 15
        && stamp.bytes().enumerate().all(|(place, byte)| match place {
            8 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// Makes a backup as a file, which is there whole or not at all.
///
/// # Errors
///
/// When something can't be read or the file not written; then there is none.
pub fn create(of: &Of<'_>, lock: &Lock, to: &Path) -> Result<Made, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let beside = beside(to)?;
    let written = || {
        let file = Careful::new(&beside, of.folder, of.reserve)
            .map_err(|source| BackupError::file(&beside, source))?;
        let (files, out) = write(of, lock, BufWriter::with_capacity(1 << 16, file))?;
        let out = out.into_inner().map_err(|error| BackupError::file(&beside, error.into_error()))?;
        let bytes = out.done().map_err(|source| BackupError::file(&beside, source))?;
        fs::rename(&beside, to).map_err(|source| BackupError::file(to, source))?;
        sync_name(to);
        Ok(Made { file: to.to_owned(), bytes, files })
    };
    written().inspect_err(|_| {
        // Best effort: the error that counts is the one returned.
        let _ = fs::remove_file(&beside);
    })
}

/// Writes an archive, and gives what it was written to, and how many files it holds.
fn write<W: Write>(of: &Of<'_>, lock: &Lock, to: W) -> Result<(usize, W), BackupError> {
    let encrypted = lock.encryptor()?.wrap_output(to).map_err(BackupError::Write)?;
    let (files, encrypted) = archive::write(of, encrypted)?;
    let to = encrypted.finish().map_err(BackupError::Write)?;
    Ok((files, to))
}

/// The folder in the data folder that archives come into.
pub(crate) const INCOMING: &str = "incoming";

/// How the names begin of what is under way in the data folder.
const PASSING: [&str; 3] = [stage::PART, stage::DRILL, ".backup-"];

/// Removes what a process that was killed left in the data folder. For the start of the one that has the folder.
pub fn tidy(folder: &Path) {
    let _alone = stage::alone(folder);
    let left_in = |folder: &Path, is_left: &dyn Fn(&str) -> bool| {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(is_left) {
                // What can't be removed is removed by a later start.
                let _ = fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path()));
            }
        }
    };
    left_in(folder, &|name| {
        name == stage::GONE || PASSING.into_iter().any(|prefix| name.starts_with(prefix))
    });
    left_in(&folder.join(INCOMING), &|name| name.ends_with(EXTENSION) || name.starts_with("came-"));
}

/// Where a file is written before it has its name.
fn beside(to: &Path) -> Result<PathBuf, BackupError> {
    let name = to
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| BackupError::file(to, io::Error::other("this is no name of a file")))?;
    Ok(to.with_file_name(format!(".{name}.{}.part", std::process::id())))
}

/// A file that only its owner can read.
fn open_new(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    // What a killed process left is of no use to anybody.
    let _ = fs::remove_file(path);
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A new name is lost as long as its folder is not written, when the power goes or a stick is pulled out; with FAT, so is the
/// length of the file, which stands beside its name and is 0 at first. Shares have folders that can't be written: no error.
fn sync_name(path: &Path) {
    let _ = File::open(path).and_then(|file| file.sync_all());
    let _ = disk::sync_folder_of(path);
}
