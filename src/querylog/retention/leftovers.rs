//! What a crash left behind, and files that no day has any more.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::Path,
};

use jiff::Timestamp;

use super::{
    Keeping,
    alarm::Kind,
    purge::{self, Purge, Purged},
    rewrite::{self, NEW},
};
use crate::{
    clock::Day,
    querylog::{
        day,
        error::LogError,
        folder::{beside, day_of},
        privacy::DayKey,
    },
};

/// What a file in the log's folder is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A day file that was being made.
    New,
    /// What SQLite has beside a day file.
    Journal(Day),
    /// A damaged day file that was put aside.
    Damaged(Day),
    /// Damaged roll-ups that were put aside.
    DamagedRollup,
    /// Anything else.
    Other,
}

fn what(name: &str) -> What {
    let Some((stem, rest)) = name.split_once('.') else { return What::Other };
    let damaged = rest.strip_prefix("damaged-").and_then(|rest| rest.strip_suffix(".db"));
    let damaged = damaged.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    if stem == "rollup" && damaged {
        return What::DamagedRollup;
    }
    let Some(day) = day_of(stem) else { return What::Other };
    match rest.strip_prefix("db") {
        Some("-wal" | "-shm" | "-journal") => What::Journal(day),
        Some(rest) if rest.starts_with(NEW) => What::New,
        _ if damaged => What::Damaged(day),
        _ => What::Other,
    }
}

impl Keeping {
    /// Removes what a crash left behind, keys of days that are gone, and damaged files whose time is over.
    pub(super) fn sweep(&self, tell: &dyn Fn(&Purge)) {
        let swept = self.sweep_files(tell).and_then(|()| self.sweep_keys());
        self.alarms.keep_days(|day| self.has_files_of(day));
        match swept {
            Err(LogError::Holds { .. }) => {}
            swept => self.alarms.set(Kind::Folder, swept.err().map(|error| error.to_string())),
        }
    }

    fn sweep_files(&self, tell: &dyn Fn(&Purge)) -> Result<(), LogError> {
        let _work = self.work();
        let folder = self.folder.path();
        let problem = |source| LogError::file(folder, source);
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(problem(error)),
        };
        let today = self.today();
        let retention = self.retention();
        for entry in entries {
            let entry = entry.map_err(problem)?;
            let name = entry.file_name();
            let file = folder.join(&name);
            let remove = || match fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(LogError::file(&file, error)),
                _ => Ok(()),
            };
            match what(&name.to_string_lossy()) {
                // Nobody makes one now: whoever does holds what we hold.
                What::New => remove()?,
                // Without its day file it can't be read by anybody, but what was asked is in it. A file that is being
                // made or renamed is of today.
                What::Journal(day) if day.plus(1) < today && !self.folder.day(day).exists() => remove()?,
                What::Damaged(day)
                    if today.since(day) > retention.allowed_days
                        && self.read_holds()?.of_day(day).next().is_none() =>
                {
                    self.delete_damaged(&file, purge::written(day), tell)?;
                }
                What::DamagedRollup if age(&file, today) > retention.allowed_days => {
                    self.read_holds()?;
                    self.delete_damaged(&file, String::new(), tell)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn delete_damaged(&self, file: &Path, day: String, tell: &dyn Fn(&Purge)) -> Result<(), LogError> {
        tell(&Purge {
            at: self.clock.now(),
            by: purge::BY.to_owned(),
            day,
            what: Purged::DamagedDeleted,
            rows: 0,
            bytes: bytes_of(file),
            why: super::days_over(self.retention().allowed_days, "allowed_days"),
        });
        rewrite::remove_with_journals(file)
    }

    /// Destroys keys of days of which nothing is left.
    fn sweep_keys(&self) -> Result<(), LogError> {
        let _work = self.work();
        let today = self.today();
        for day in keys(&self.folder.keys()) {
            // The key of a day is made before its file.
            if day.plus(1) < today && !self.has_files_of(day) {
                DayKey::destroy(&self.folder, day)?;
            }
        }
        Ok(())
    }

    fn has_files_of(&self, day: Day) -> bool {
        // Where it can't be told, there may be some.
        let Ok(mut entries) = fs::read_dir(self.folder.path()) else { return true };
        let prefix = format!("{}.", day.date());
        entries
            .any(|entry| entry.map_or(true, |entry| entry.file_name().to_string_lossy().starts_with(&prefix)))
    }
}

/// The days that have a key, or one that is half destroyed.
fn keys(folder: &Path) -> Vec<Day> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let day = |name: &str| day_of(name.strip_suffix(".destroyed").unwrap_or(name).strip_suffix(".key")?);
    let mut days: Vec<Day> =
        entries.flatten().filter_map(|entry| day(&entry.file_name().to_string_lossy())).collect();
    days.sort_unstable();
    days.dedup();
    days
}

/// Since how many days a file was not written; 0 where that can't be told.
fn age(file: &Path, today: Day) -> u16 {
    let written = fs::metadata(file).and_then(|data| data.modified()).ok();
    let written = written.and_then(|time| Timestamp::try_from(time).ok());
    written.map_or(0, |time| today.since(Day::of(time)))
}

/// Whether a day file is one file, which can be copied by itself.
pub(super) fn is_settled(file: &Path) -> bool {
    let mut header = [0; 20];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut header));
    // The versions of the file format for reading and writing: 2 is a write-ahead log (SQLite file format, 1.3.3).
    read.is_ok() && header[18..] == [1, 1] && !beside(file, "-wal").exists()
}

/// How many rows a day file has; 0 where that can't be told.
pub(super) fn rows_of(file: &Path) -> u64 {
    let connection = day::open_to_read(file).ok().flatten();
    let count = connection.and_then(|connection| {
        connection.query_row("SELECT count(*) FROM question", [], |row| row.get::<_, i64>(0)).ok()
    });
    count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
}

/// How much of the disk a day file has, with what lies beside it.
pub(super) fn bytes_of(file: &Path) -> u64 {
    ["", "-wal", "-shm"]
        .iter()
        .filter_map(|suffix| fs::metadata(beside(file, suffix)).ok())
        .map(|data| data.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_their_names() {
        let day = Day::of("2026-11-22T12:00:00Z".parse().unwrap());
        for (name, wanted) in [
            ("2026-11-22.db", What::Other),
            ("2026-11-22.db-wal", What::Journal(day)),
            ("2026-11-22.db-shm", What::Journal(day)),
            ("2026-11-22.db.new", What::New),
            ("2026-11-22.db.new-wal", What::New),
            ("2026-11-22.damaged-12.db", What::Damaged(day)),
            ("2026-11-22.damaged-12.db-wal", What::Other),
            ("2026-11-22.damaged-x.db", What::Other),
            ("rollup.db", What::Other),
            ("rollup.db-wal", What::Other),
            ("rollup.damaged-1.db", What::DamagedRollup),
            ("holds.json", What::Other),
            ("keys", What::Other),
            ("2026-11-31.db.new", What::Other),
        ] {
            assert_eq!(what(name), wanted, "{name}");
        }
    }
}
