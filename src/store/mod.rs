//! What the school decided, kept: every published policy as a revision, and the audit of who changed what.
//!
//! One SQLite file, `schoolgate.db`, in the data folder. A policy is kept as the text that import and export speak, one
//! row for each revision: rows are added, never changed, so the history is whole and an older one can be published
//! again. The last published text also lies beside the database as a plain file, so that a damaged database never
//! leaves the box without the school's policy.

mod audit;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use tracing::warn;

pub use self::audit::{AuditLine, AuditPage, AuditProof, AuditQuery, AuditRecord, MOST_AUDIT_LINES};
use crate::{disk, versions};

/// The database's name in the data folder.
const DATABASE: &str = "schoolgate.db";

/// The copy of the policy in force, in the data folder.
const COPY: &str = "policy.published.toml";

/// Each step brings the database from the version of its place to the next.
const MIGRATIONS: &[Migration] = &[
    Migration { step: include_str!("migrations/001-policy-and-audit.sql"), then: |_| Ok(()) },
    Migration { step: include_str!("migrations/002-audit-details-and-chain.sql"), then: audit::begin_chain },
];

/// What brings the database from one version to the next.
struct Migration {
    step: &'static str,
    /// What SQL alone can't do, in the same change.
    then: fn(&Connection) -> rusqlite::Result<()>,
}

/// One published policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Revision {
    /// Counts up from 1.
    pub number: i64,
    /// When it was published.
    pub at: Timestamp,
    /// Who did it.
    pub by: String,
    /// The policy, as `policy.toml`.
    pub text: String,
}

/// A published policy without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RevisionHead {
    /// Counts up from 1.
    pub number: i64,
    /// When it was published.
    pub at: Timestamp,
    /// Who did it.
    pub by: String,
}

/// The database of the school's settings.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    folder: PathBuf,
}

impl Store {
    /// Opens the database in the data folder, makes it when it is not there, and brings it up to date.
    ///
    /// # Errors
    ///
    /// When the folder can't be written, or the database is damaged or newer than this program.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder)
            .map_err(|source| StoreError::Folder { folder: folder.to_owned(), source })?;
        let file = folder.join(DATABASE);
        match Self::opened(folder, &file) {
            Err(StoreError::Newer { .. }) => {
                let there = versions::take_back(&file, MIGRATIONS.len() as u32)
                    .map_err(|source| StoreError::Folder { folder: file.clone(), source })?;
                if there { Self::opened(folder, &file) } else { Err(StoreError::Newer { file }) }
            }
            opened => opened,
        }
    }

    fn opened(folder: &Path, file: &Path) -> Result<Self, StoreError> {
        let problem = |source| StoreError::Database { file: file.to_owned(), source };
        let mut connection = Connection::open(file).map_err(problem)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(problem)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(problem)?;
        connection.pragma_update(None, "synchronous", "full").map_err(problem)?;
        // Settings are read a few times a day; SQLite's default of 2 MB for pages is of no use here.
        connection.pragma_update(None, "cache_size", -256).map_err(problem)?;
        let done: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(problem)?;
        let done = done as usize;
        if done > MIGRATIONS.len() {
            return Err(StoreError::Newer { file: file.to_owned() });
        }
        if done > 0 && done < MIGRATIONS.len() {
            versions::keep_copy(&connection, file, done as u32);
        }
        for (place, migration) in MIGRATIONS.iter().enumerate().skip(done) {
            let change = connection.transaction().map_err(problem)?;
            change.execute_batch(migration.step).map_err(problem)?;
            (migration.then)(&change).map_err(problem)?;
            change.pragma_update(None, "user_version", place as u32 + 1).map_err(problem)?;
            change.commit().map_err(problem)?;
        }
        Ok(Self { connection, folder: folder.to_owned() })
    }

    /// The policy that was published last; none on a new box.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn latest(&self) -> Result<Option<Revision>, StoreError> {
        self.connection
            .query_row(
                "SELECT number, at_ms, who, text FROM policy ORDER BY number DESC LIMIT 1",
                [],
                revision,
            )
            .optional()
            .map_err(|source| self.problem(source))
    }

    /// The policies that were in force at some moment of a time, oldest first. None where it ends before the first was
    /// published.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn in_force_between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Revision>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Revision>> {
            let mut statement = self.connection.prepare(
                "SELECT number, at_ms, who, text FROM policy
                 WHERE at_ms < ?2
                     AND number >= coalesce((SELECT max(number) FROM policy WHERE at_ms <= ?1), 0)
                 ORDER BY number",
            )?;
            let rows = statement.query_map([from.as_millisecond(), to.as_millisecond()], revision)?;
            rows.collect()
        };
        read().map_err(|source| self.problem(source))
    }

    /// Keeps a policy as the next revision, with its audit record, and copies it beside the database.
    ///
    /// The copy is made again by [`mend_copy`](Self::mend_copy) if a power cut comes before it.
    ///
    /// # Errors
    ///
    /// When the database can't be written; then nothing was published.
    pub fn publish(&mut self, text: &str, record: &AuditRecord) -> Result<i64, StoreError> {
        let file = self.folder.join(DATABASE);
        let problem = |source| StoreError::Database { file: file.clone(), source };
        let change =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(problem)?;
        change
            .execute(
                "INSERT INTO policy (at_ms, who, text) VALUES (?1, ?2, ?3)",
                params![record.at.as_millisecond(), record.by, text],
            )
            .map_err(problem)?;
        let number = change.last_insert_rowid();
        audit::insert(&change, record).map_err(problem)?;
        change.commit().map_err(problem)?;
        self.copy(text);
        Ok(number)
    }

    /// Makes the copy beside the database say what the database says.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn mend_copy(&self) -> Result<(), StoreError> {
        if let Some(latest) = self.latest()?
            && published_copy(&self.folder).ok().flatten().as_deref() != Some(&latest.text)
        {
            self.copy(&latest.text);
        }
        Ok(())
    }

    fn copy(&self, text: &str) {
        if let Err(error) = disk::replace(&self.folder.join(COPY), text.as_bytes()) {
            warn!(%error, "The copy of the policy beside the database could not be written");
        }
    }

    /// The policy of a number; none where there is none.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn revision(&self, number: i64) -> Result<Option<Revision>, StoreError> {
        self.connection
            .query_row("SELECT number, at_ms, who, text FROM policy WHERE number = ?1", [number], revision)
            .optional()
            .map_err(|source| self.problem(source))
    }

    /// Published policies, the newest first: those before `before`, or the newest of all, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn revisions(&self, before: Option<i64>, limit: u32) -> Result<Vec<RevisionHead>, StoreError> {
        let read = || -> rusqlite::Result<Vec<RevisionHead>> {
            let mut statement = self.connection.prepare(
                "SELECT number, at_ms, who FROM policy WHERE ?1 IS NULL OR number < ?1
                 ORDER BY number DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![before, limit], |row| {
                Ok(RevisionHead { number: row.get(0)?, at: time(row.get(1)?), by: row.get(2)? })
            })?;
            rows.collect()
        };
        read().map_err(|source| self.problem(source))
    }

    fn problem(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database { file: self.folder.join(DATABASE), source }
    }
}

/// The database in the data folder, and the version of it that this program writes.
#[must_use]
pub fn schema() -> (&'static str, u32) {
    (DATABASE, MIGRATIONS.len() as u32)
}

/// The copy of the last published policy, for when the database can't be read.
///
/// # Errors
///
/// When the copy is there but can't be read.
pub fn published_copy(folder: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(folder.join(COPY)) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn revision(row: &rusqlite::Row<'_>) -> rusqlite::Result<Revision> {
    Ok(Revision { number: row.get(0)?, at: time(row.get(1)?), by: row.get(2)?, text: row.get(3)? })
}

/// Times are written by this module, so they are in range; a damaged one reads as 1970.
fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Why the settings can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file in it can't be written.
    #[error("{folder}: {source}", folder = folder.display())]
    Folder {
        /// The folder or file.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite refuses.
    #[error("{file}: {source}", file = file.display())]
    Database {
        /// The database.
        file: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A later program made it.
    #[error("{file} was made by a newer Schoolgate; run that version, or restore a backup", file = file.display())]
    Newer {
        /// The database.
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(action: &str) -> AuditRecord {
        AuditRecord::new("2026-11-22T09:00:00Z".parse().unwrap(), "technician", action, "1 rule".into())
    }

    #[test]
    fn the_last_published_policy_comes_back_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        assert_eq!(store.latest().unwrap(), None);
        assert_eq!(store.publish("version = 1\n", &record("policy.import")).unwrap(), 1);
        assert_eq!(store.publish("version = 1 # two\n", &record("policy.import")).unwrap(), 2);
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        let latest = store.latest().unwrap().unwrap();
        assert_eq!((latest.number, latest.text.as_str()), (2, "version = 1 # two\n"));
        assert_eq!(published_copy(folder.path()).unwrap().as_deref(), Some("version = 1 # two\n"));
        assert_eq!(store.audit_records(10).unwrap().len(), 2);
    }

    #[test]
    fn the_policies_of_a_time_are_the_one_before_it_and_those_within() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        for (text, at) in
            [("a", "2026-11-20T09:00:00Z"), ("b", "2026-11-21T09:00:00Z"), ("c", "2026-11-22T09:00:00Z")]
        {
            store.publish(text, &AuditRecord { at: at.parse().unwrap(), ..record("policy.import") }).unwrap();
        }
        let texts = |from: &str, to: &str| -> String {
            let found = store.in_force_between(from.parse().unwrap(), to.parse().unwrap()).unwrap();
            found.into_iter().map(|revision| revision.text).collect()
        };
        assert_eq!(texts("2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z"), "ab");
        assert_eq!(texts("2026-11-21T09:00:00Z", "2026-11-22T09:00:00Z"), "b");
        assert_eq!(texts("2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z"), "abc");
        assert_eq!(texts("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"), "");
        assert_eq!(texts("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"), "c");
    }

    #[test]
    fn a_second_opening_sees_what_the_first_published() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = Store::open(folder.path()).unwrap();
        let two = Store::open(folder.path()).unwrap();
        one.publish("version = 1\n", &record("policy.import")).unwrap();
        assert_eq!(two.latest().unwrap().unwrap().number, 1);
    }

    #[test]
    fn a_damaged_database_is_an_error_that_names_it_and_the_copy_is_left() {
        let folder = tempfile::tempdir().unwrap();
        Store::open(folder.path()).unwrap().publish("version = 1\n", &record("x")).unwrap();
        for leftover in ["schoolgate.db-wal", "schoolgate.db-shm"] {
            let _ = fs::remove_file(folder.path().join(leftover));
        }
        fs::write(folder.path().join(DATABASE), b"this is not a database, not even nearly one").unwrap();
        let error = Store::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("schoolgate.db"), "{error}");
        assert_eq!(published_copy(folder.path()).unwrap().as_deref(), Some("version = 1\n"));
    }

    #[test]
    fn a_database_of_a_newer_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.connection.pragma_update(None, "user_version", 999).unwrap();
        drop(store);
        assert!(matches!(Store::open(folder.path()), Err(StoreError::Newer { .. })));
    }

    #[test]
    fn the_version_of_before_finds_its_database_again_after_an_update_that_was_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(DATABASE);
        // As the first version left it.
        let old = Connection::open(&file).unwrap();
        old.execute_batch(MIGRATIONS[0].step).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        old.execute("INSERT INTO policy (at_ms, who, text) VALUES (0, 'ann', 'before')", []).unwrap();
        drop(old);
        let mut store = Store::open(folder.path()).unwrap();
        store.publish("after", &record("policy.import")).unwrap();
        drop(store);
        let copy = Connection::open(folder.path().join("schoolgate.version-1.db")).unwrap();
        let version: u32 = copy.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        let text: String = copy.query_row("SELECT text FROM policy", [], |row| row.get(0)).unwrap();
        assert_eq!((version, text.as_str()), (1, "before"));
        drop(copy);

        // This version, after a newer one was here, which kept a copy for it.
        let version = MIGRATIONS.len();
        fs::copy(&file, folder.path().join(format!("schoolgate.version-{version}.db"))).unwrap();
        let newer = Connection::open(&file).unwrap();
        newer.execute_batch("INSERT INTO policy (at_ms, who, text) VALUES (0, 'ann', 'newer')").unwrap();
        newer.pragma_update(None, "user_version", 999).unwrap();
        drop(newer);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.latest().unwrap().unwrap().text, "after");
        assert!(folder.path().join("schoolgate.newer-1.db").is_file());
    }

    #[test]
    fn a_copy_of_long_ago_does_not_undo_what_was_done_since() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(DATABASE);
        let mut store = Store::open(folder.path()).unwrap();
        store.publish("version = 1\n", &record("policy.import")).unwrap();
        drop(store);
        let copy = folder.path().join(format!("schoolgate.version-{}.db", MIGRATIONS.len()));
        fs::copy(&file, &copy).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        fs::File::options().append(true).open(&copy).unwrap().set_modified(long_ago).unwrap();
        let newer = Connection::open(&file).unwrap();
        newer.pragma_update(None, "user_version", 999).unwrap();
        drop(newer);
        assert!(matches!(Store::open(folder.path()), Err(StoreError::Newer { .. })));
        // What was published last is what counts then.
        assert_eq!(published_copy(folder.path()).unwrap().as_deref(), Some("version = 1\n"));
    }

    #[test]
    fn an_unwritable_folder_is_named() {
        let error = Store::open(Path::new("/dev/null/schoolgate")).unwrap_err().to_string();
        assert!(error.starts_with("/dev/null/schoolgate: "), "{error}");
    }
}
