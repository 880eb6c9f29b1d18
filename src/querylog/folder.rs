//! Where the log lies: one file for each UTC day, in one folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::civil::Date;

use crate::clock::Day;

/// The folder of the log, in the data folder.
pub const FOLDER: &str = "log";

/// What names of day files end with.
const EXTENSION: &str = "db";

/// The folder of the log.
#[derive(Debug, Clone)]
pub struct LogFolder {
    path: PathBuf,
}

impl LogFolder {
    /// The log's folder in a data folder. Nothing is made or read.
    #[must_use]
    pub fn in_data(data: &Path) -> Self {
        Self { path: data.join(FOLDER) }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a day (`2026-11-22.db`).
    #[must_use]
    pub fn day(&self, day: Day) -> PathBuf {
        self.path.join(format!("{}.{EXTENSION}", day.date()))
    }

    /// The file of the roll-ups.
    #[must_use]
    pub fn rollup(&self) -> PathBuf {
        self.path.join("rollup.db")
    }

    /// The folder of the keys behind pseudonyms, one for each day, apart from the day files.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// The file of the legal holds.
    #[must_use]
    pub fn holds(&self) -> PathBuf {
        self.path.join("holds.json")
    }

    /// The days that have a file, the oldest first; none where there is no folder yet.
    ///
    /// # Errors
    ///
    /// When the folder can't be read.
    pub fn days(&self) -> io::Result<Vec<Day>> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut days = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let day = name.to_str().and_then(|name| name.strip_suffix(".db")).and_then(day_of);
            days.extend(day);
        }
        days.sort_unstable();
        Ok(days)
    }
}

/// The day that a file's name tells, as `2026-11-22`.
pub(super) fn day_of(text: &str) -> Option<Day> {
    let date: Date = text.parse().ok()?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    let day = Day::of(midnight.timestamp());
    // Only what we would call it ourselves: `20261122` is another way to write the date.
    (day.date().to_string() == text).then_some(day)
}

/// A file beside the database of a day, which SQLite makes and removes (`-wal`, `-shm`).
#[must_use]
pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_found_by_their_files_and_nothing_else_is_taken_for_one() {
        let data = tempfile::tempdir().unwrap();
        let folder = LogFolder::in_data(data.path());
        assert_eq!(folder.days().unwrap(), []);
        fs::create_dir_all(folder.path()).unwrap();
        for name in [
            "2026-11-22.db",
            "2026-11-22.db-wal",
            "2026-11-03.db",
            "20261104.db",
            "rollup.db",
            "2026-11-21.damaged-1.db",
            "2026-13-01.db",
        ] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let days: Vec<String> =
            folder.days().unwrap().into_iter().map(|day| day.date().to_string()).collect();
        assert_eq!(days, ["2026-11-03", "2026-11-22"]);
        assert!(folder.day(folder.days().unwrap()[1]).ends_with("log/2026-11-22.db"));
    }
}
