//! Why a backup can't be made, read or restored.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a backup can't be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file can't be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive can't be written.
    #[error("the backup can't be written: {0}")]
    Write(#[source] io::Error),
    /// A database can't be copied or opened.
    #[error("{path}: {source}", path = path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// There is a file of that name.
    #[error("{path} is there already, and no backup takes another's place", path = .0.display())]
    Exists(PathBuf),
    /// The passphrase is too short.
    #[error(
        "a passphrase has 12 characters or more: four or five words that have nothing to do with each other are good"
    )]
    ShortPassphrase,
    /// It is no public key.
    #[error("this is no public key of age: it begins with age1")]
    Recipient,
    /// It is no identity.
    #[error("this is no identity of age: it begins with AGE-SECRET-KEY-1")]
    Identity,
    /// The archive does not open.
    #[error("it does not open with this passphrase or key; nobody can open it without the right one")]
    WrongKey,
    /// It is locked by the other of passphrase and key.
    #[error("it is locked {by}, not {given}")]
    OtherKind {
        /// By what it is.
        by: &'static str,
        /// What was given.
        given: &'static str,
    },
    /// It is no backup, or damaged.
    #[error("it is damaged, or no backup of Schoolgate: {0}")]
    Damaged(String),
    /// A later program made it.
    #[error("a newer Schoolgate made it ({0}); update this box first, then restore")]
    Newer(String),
    /// It is larger than there is room.
    #[error(
        "there is no room: it takes {wanted} bytes, and {free} are free beside what the box and its query log need"
    )]
    NoRoom {
        /// What it takes.
        wanted: u64,
        /// What there is, beside what stays free.
        free: u64,
    },
    /// A setting is not right.
    #[error("{0}")]
    Setting(String),
    /// It could not be brought where it should go.
    #[error("{to}: {why}")]
    Deliver {
        /// Where.
        to: String,
        /// Why.
        why: String,
    },
}

impl BackupError {
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(super) fn damaged(why: impl Into<String>) -> Self {
        Self::Damaged(why.into())
    }

    /// Whether what was asked is wrong, rather than the box unable.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        !matches!(
            self,
            Self::File { .. }
                | Self::Write(_)
                | Self::Database { .. }
                | Self::NoRoom { .. }
                | Self::Deliver { .. }
        )
    }
}
