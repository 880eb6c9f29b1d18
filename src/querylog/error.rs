//! Why the log can't be read or written.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

/// Why the log can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// SQLite refuses.
    #[error("{file}: {source}", file = file.display())]
    Database {
        /// The database.
        file: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A file or folder can't be read or written.
    #[error("{file}: {source}", file = file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A database is not what it should be.
    #[error("{file} is damaged: {what}", file = file.display())]
    Damaged {
        /// The database.
        file: PathBuf,
        /// What SQLite found.
        what: String,
    },
    /// A later program made it.
    #[error("{file} was made by a newer Schoolgate; read it with that version", file = file.display())]
    Newer {
        /// The file.
        file: PathBuf,
    },
    /// The file of a day's key holds something else.
    #[error(
        "{file}: this is no key: it has {bytes} bytes, a key has 32; put the right one back from a backup, or move the \
         file away to have a new one made (the pseudonyms of that day can't be reversed without the old one)",
        file = file.display()
    )]
    NotAKey {
        /// The file.
        file: PathBuf,
        /// Its length, at most 33.
        bytes: usize,
    },
    /// The legal holds can't be read, so nobody knows what must be kept.
    #[error(
        "{file}: the legal holds can't be read, so nothing of the log is removed: {why}; put the file back from a backup",
        file = file.display()
    )]
    Holds {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was asked for makes no sense.
    #[error("{argument}: {what}")]
    Input {
        /// The argument, as it is called on the command line (`--from`).
        argument: &'static str,
        /// What is wrong with it, and what would be right.
        what: String,
    },
    /// The log has ended.
    #[error("the query log has stopped")]
    Stopped,
}

impl LogError {
    pub(super) fn database(file: &Path, source: rusqlite::Error) -> Self {
        Self::Database { file: file.to_owned(), source }
    }

    pub(super) fn file(file: &Path, source: io::Error) -> Self {
        Self::File { file: file.to_owned(), source }
    }

    pub(super) fn input(argument: &'static str, what: impl Into<String>) -> Self {
        Self::Input { argument, what: what.into() }
    }

    /// Whether the request was wrong, rather than the box unable.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::Input { .. } | Self::Newer { .. })
    }

    /// Whether a file is not what it should be, and would not be if it were tried again.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
            || matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// Whether there is no room on the disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::File { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => matches!(self.code(), Some(ErrorCode::DiskFull)),
        }
    }

    /// Whether somebody else uses a file, so that it can be tried again later.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Database { source, .. } => source.sqlite_error_code(),
            _ => None,
        }
    }
}
