//! The file of one UTC day: an SQLite database that can be read, copied and deleted by itself.
//!
//! `schema-1.sql` says what is in it. `write` fills it, `read` reads it.

pub(super) mod rows;
pub(super) mod write;

use std::{
    fmt, fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::error::LogError;
use crate::clock::Day;

/// Each step brings a day file from the version of its place to the next.
///
/// A step that is published never changes: files of its version lie on boxes.
const MIGRATIONS: &[&str] = &[include_str!("schema-1.sql")];

/// The version of the day files that this program writes.
pub const VERSION: u32 = MIGRATIONS.len() as u32;

/// What the header of a day file says that it is (`SGlg`).
const APPLICATION: i32 = 0x5347_6c67;

/// How many questions of one millisecond can be told apart; more of them take numbers of the next.
pub(super) const PER_MILLISECOND: i64 = 256;

/// How many questions a span has, at least.
pub(super) const SPAN: u32 = 1_024;

/// How many keys a span covers at least, as long as it has not too many questions: a quarter of a second. Where so much is
/// asked, entering each name in a span of its own would cost more than its question.
pub(super) const SPAN_KEYS: i64 = 250 * PER_MILLISECOND;

/// How many questions a span has at most, but for what comes late.
pub(super) const LONGEST_SPAN: u32 = 32 * SPAN;

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;

/// How long a reader or writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a question stands in the log: its day, and its place within that. Later questions have larger places.
///
/// Written `20779.22118400` in JSON and on the command line; only for the log to read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The UTC day.
    pub day: Day,
    /// The key of its row.
    pub at: i64,
}

impl Place {
    /// The first place that a question of this moment can have.
    #[must_use]
    pub fn first_of(time: Timestamp) -> Self {
        let day = Day::of(time);
        let ms = time.as_millisecond() - i64::from(day.number()) * DAY_MS;
        Self { day, at: ms.clamp(0, DAY_MS - 1) * PER_MILLISECOND }
    }

    /// When the question arrived, to the millisecond.
    #[must_use]
    pub fn time(self) -> Timestamp {
        let ms = i64::from(self.day.number()) * DAY_MS + self.at / PER_MILLISECOND;
        Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.day.number(), self.at)
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (day, at) = text.split_once('.').ok_or(PlaceError)?;
        let day = day.parse().map_err(|_| PlaceError)?;
        Ok(Self { day: Day::from_number(day), at: at.parse().map_err(|_| PlaceError)? })
    }
}

/// The text is no place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in the log; take the `place` of a line that was found")]
pub struct PlaceError;

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A key of a name as it stands in a day file: as people write it, the last label first (`uk.co.bbc.www`).
///
/// Bytes that are not printable are escaped as in a zone file, so the dots separate labels.
#[must_use]
pub fn reversed(key: &[u8]) -> String {
    // Names that people and programs really use are printable, and stay as they are.
    if key.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')) {
        return String::from_utf8_lossy(key).into_owned();
    }
    // A dot within a label is `\.` there, which would look like two labels here.
    let label = |label: &[u8]| crate::name::dotted(label).replace("\\.", "\\046");
    let labels: Vec<String> = key.split(|&byte| byte == b'.').map(label).collect();
    labels.join(".")
}

/// The name of a [`reversed`] one, as people write it (`www.bbc.co.uk`); a digest stays as it is.
#[must_use]
pub fn readable(reversed: &str) -> String {
    if reversed.is_empty() {
        return String::from(".");
    }
    if reversed.starts_with(crate::vault::Digest::PREFIX) {
        return reversed.to_owned();
    }
    let mut text = String::with_capacity(reversed.len());
    for label in reversed.rsplit('.') {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(label);
    }
    text
}

/// Opens the file of a day to be written, makes it when it is not there, and brings it up to date.
///
/// # Errors
///
/// When it can't be read or written, is damaged, or a newer program made it.
pub(super) fn open(file: &Path, day: Day) -> Result<Connection, LogError> {
    let problem = |source| LogError::database(file, source);
    if let Some(folder) = file.parent() {
        // Nobody but the service has to look into it.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| LogError::file(folder, source))?;
    }
    // One thread has it at a time, so it needs no lock of its own.
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).map_err(problem)?;
    connection.busy_timeout(PATIENCE).map_err(problem)?;
    let version: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(problem)?;
    check_version(file, version)?;
    if version == 0 {
        connection.pragma_update(None, "application_id", APPLICATION).map_err(problem)?;
    }
    connection.pragma_update(None, "journal_mode", "wal").map_err(problem)?;
    // A commit is on the disk before the next one begins: a power cut loses what came after it and no more.
    connection.pragma_update(None, "synchronous", "full").map_err(problem)?;
    connection.pragma_update(None, "cache_size", -8_192).map_err(problem)?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_000).map_err(problem)?;
    connection.pragma_update(None, "journal_size_limit", 32 * 1024 * 1024).map_err(problem)?;
    // What is erased is overwritten.
    connection.pragma_update(None, "secure_delete", "on").map_err(problem)?;
    migrate(&mut connection, version, day).map_err(problem)?;
    Ok(connection)
}

/// Opens the file of a day to be read; none where there is none.
///
/// # Errors
///
/// When it can't be read, is damaged, or a newer program made it.
pub(super) fn open_to_read(file: &Path) -> Result<Option<Connection>, LogError> {
    if !file.try_exists().map_err(|source| LogError::file(file, source))? {
        return Ok(None);
    }
    let problem = |source| LogError::database(file, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(problem)?;
    connection.busy_timeout(PATIENCE).map_err(problem)?;
    let version: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(problem)?;
    check_version(file, version)?;
    connection.pragma_update(None, "cache_size", -4_096).map_err(problem)?;
    // Just made, or of an earlier version: a writer brings it up to date, and nothing is in it for us before.
    Ok((version as usize == MIGRATIONS.len()).then_some(connection))
}

fn check_version(file: &Path, version: u32) -> Result<(), LogError> {
    if version as usize > MIGRATIONS.len() {
        return Err(LogError::Newer { file: file.to_owned() });
    }
    Ok(())
}

fn migrate(connection: &mut Connection, version: u32, day: Day) -> rusqlite::Result<()> {
    for (place, step) in MIGRATIONS.iter().enumerate().skip(version as usize) {
        let change = connection.transaction()?;
        change.execute_batch(step)?;
        change.pragma_update(None, "user_version", place as u32 + 1)?;
        change.execute(
            "INSERT OR IGNORE INTO about (key, value) VALUES ('day', ?1)",
            [day.date().to_string()],
        )?;
        change.commit()?;
    }
    Ok(())
}

/// Gives a day file that nobody reads or writes the form in which it can be copied: one file, without a journal.
///
/// # Errors
///
/// When it is in use, or can't be written.
pub(super) fn settle(file: &Path) -> Result<(), LogError> {
    let problem = |source| LogError::database(file, source);
    let connection = Connection::open(file).map_err(problem)?;
    connection.pragma_update(None, "journal_mode", "delete").map_err(problem)?;
    connection.close().map_err(|(_, source)| problem(source))
}

/// Renames a damaged day file, and what lies beside it, to a name that is free and says what it is.
///
/// # Errors
///
/// When it can't be renamed.
pub(super) fn set_aside(file: &Path) -> Result<PathBuf, LogError> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for number in 1..1_000 {
        let aside = file.with_file_name(format!("{stem}.damaged-{number}.db"));
        if aside.exists() {
            continue;
        }
        // The journal first: without it, what it has can't be lost by a reader of the new file.
        for suffix in ["-wal", "-shm"] {
            let (from, to) = (super::folder::beside(file, suffix), super::folder::beside(&aside, suffix));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(LogError::file(&from, error));
                }
                _ => {}
            }
        }
        fs::rename(file, &aside).map_err(|source| LogError::file(file, source))?;
        return Ok(aside);
    }
    Err(LogError::file(file, io::Error::other("a thousand damaged files of this day lie beside it already")))
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Name;

    use super::*;
    use crate::name::Key;

    #[test]
    fn dots_separate_labels_whatever_is_in_them() {
        let key = Key::from_name(&Name::from_labels([&b"a.b c"[..], b"example", b"com"]).unwrap());
        let stored = reversed(key.as_bytes());
        assert_eq!(stored, "com.example.a\\046b\\032c");
        assert_eq!(readable(&stored), "a\\046b\\032c.example.com");
        assert_eq!(reversed(b""), "");
        assert_eq!(readable(""), ".");
        assert_eq!(readable("locked:3fa9c0ffee12/8d2e00aa1b2c"), "locked:3fa9c0ffee12/8d2e00aa1b2c");
    }
}
