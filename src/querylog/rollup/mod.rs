//! Roll-ups: counts of each hour and each day, so that a chart of a year need not look at a single question.
//!
//! They lie in a database of their own, `rollup.db`, which outlives the day files. An hour is rolled up some minutes
//! after its end, in one transaction that replaces whatever was there of it, so that it can be done again at any time
//! (`build`). What is not rolled up yet is read from the counts of the day file (`read`). Who asked most leaves when the
//! rows leave that it was made from (`forget`).

mod build;
mod clients;
mod forget;
mod read;
#[cfg(test)]
mod tests;
mod top;

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

pub use self::{
    clients::ClientCount,
    forget::Forgotten,
    read::{By, Count, CountQuery, Latency, Step, Top, TopQuery},
};
use super::{LogFolder, error::LogError};

/// Each step brings the database from the version of its place to the next.
///
/// A step that is published never changes: files of its version lie on boxes.
const MIGRATIONS: &[&str] = &[include_str!("schema-1.sql")];

/// What the header of the database says that it is (`SGlr`).
const APPLICATION: i32 = 0x5347_6c72;

/// How long a reader or writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The two lengths of time that everything is counted for, as the tables are called.
const STEPS: [(&str, Step); 2] = [("hour", Step::Hour), ("day", Step::Day)];

/// The roll-ups of a log.
#[derive(Debug)]
pub struct Rollup {
    folder: LogFolder,
    file: PathBuf,
}

impl Rollup {
    /// The roll-ups of a log's folder. Nothing is made or read yet.
    #[must_use]
    pub fn new(folder: LogFolder) -> Self {
        Self { file: folder.rollup(), folder }
    }

    /// Opens the database to be written, makes it when it is not there, and brings it up to date.
    fn open(&self) -> Result<Connection, LogError> {
        let problem = |source| LogError::database(&self.file, source);
        let mut connection = Connection::open(&self.file).map_err(problem)?;
        connection.busy_timeout(PATIENCE).map_err(problem)?;
        let version = self.version(&connection)?;
        if version == 0 {
            connection.pragma_update(None, "application_id", APPLICATION).map_err(problem)?;
        }
        connection.pragma_update(None, "journal_mode", "wal").map_err(problem)?;
        connection.pragma_update(None, "synchronous", "full").map_err(problem)?;
        connection.pragma_update(None, "cache_size", -2_048).map_err(problem)?;
        connection.pragma_update(None, "journal_size_limit", 4 * 1024 * 1024).map_err(problem)?;
        // What is erased is overwritten.
        connection.pragma_update(None, "secure_delete", "on").map_err(problem)?;
        for (place, step) in MIGRATIONS.iter().enumerate().skip(version) {
            let change = connection.transaction().map_err(problem)?;
            change.execute_batch(step).map_err(problem)?;
            change.pragma_update(None, "user_version", place as u32 + 1).map_err(problem)?;
            change.commit().map_err(problem)?;
        }
        Ok(connection)
    }

    /// Opens the database to be read, as it is at one moment; none where nothing was rolled up yet.
    fn open_to_read(&self) -> Result<Option<Connection>, LogError> {
        if !self.file.try_exists().map_err(|source| LogError::file(&self.file, source))? {
            return Ok(None);
        }
        let problem = |source| LogError::database(&self.file, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags).map_err(problem)?;
        connection.busy_timeout(PATIENCE).map_err(problem)?;
        let version = self.version(&connection)?;
        connection.pragma_update(None, "cache_size", -8_192).map_err(problem)?;
        // An hour must not be rolled up between two questions about it.
        connection.execute_batch("BEGIN").map_err(problem)?;
        Ok((version == MIGRATIONS.len()).then_some(connection))
    }

    fn version(&self, connection: &Connection) -> Result<usize, LogError> {
        let version: u32 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(|source| LogError::database(&self.file, source))?;
        let version = version as usize;
        if version > MIGRATIONS.len() {
            Err(LogError::Newer { file: self.file.clone() })
        } else {
            Ok(version)
        }
    }
}

/// The hour (since 1970) that a moment is in.
fn hour_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(3_600)
}
