//! What the log has, and how it fares.

use std::{collections::BTreeMap, fs, io};

use jiff::{Timestamp, civil::Date};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{
    day::{self, Place},
    error::LogError,
    folder::{LogFolder, beside},
    search::Unreadable,
    status::Status,
};
use crate::clock::Day;

/// The rows of a larger file are reckoned from so many stretches of it, since counting reads all of it.
const SAMPLES: i64 = 64;

/// Files of at most so many bytes are counted: about a million rows.
const COUNTED: u64 = 32 << 20;

/// What the log has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "LogStats")]
pub struct Stats {
    /// The days that have a file, the oldest first.
    pub days: Vec<DayStats>,
    /// One day by profile and action; none where no day was asked for and there is none.
    pub day: Option<DayCounts>,
    /// Days that can't be read.
    pub unreadable: Vec<Unreadable>,
    /// Files of days that were damaged, set aside.
    pub set_aside: Vec<String>,
    /// What the running log says of itself; none when no server runs.
    pub status: Option<Status>,
    /// What somebody should look at, one line each.
    pub alarms: Vec<String>,
}

/// The file of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DayStats {
    /// The UTC day.
    pub day: Date,
    /// How many questions it keeps.
    pub rows: u64,
    /// `rows` is counted; else it is reckoned, and right to a few per cent.
    pub counted: bool,
    /// How many bytes it takes on the disk.
    pub bytes: u64,
    /// When the first question arrived that it keeps.
    pub first: Option<Timestamp>,
    /// When the last one did.
    pub last: Option<Timestamp>,
    /// How many questions there were that day, kept or not.
    pub questions: u64,
    /// How many questions have no row, by reason.
    pub unkept: BTreeMap<String, u64>,
}

/// The questions of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DayCounts {
    /// The UTC day.
    pub day: Date,
    /// How many questions there were, by profile and action. A question that was refused before a profile was known
    /// counts for the profile without a name.
    pub profiles: BTreeMap<String, BTreeMap<String, u64>>,
    /// How many were blocked, by category.
    pub blocked: BTreeMap<String, u64>,
}

/// Looks at what the log has. `of` is the day to count by profile and action; the newest, if none is named.
///
/// # Errors
///
/// [`LogError::Newer`] when a newer program wrote a day; [`LogError::File`] when the folder can't be read;
/// [`LogError::Input`] when there is no such day.
pub fn stats(folder: &LogFolder, of: Option<Date>) -> Result<Stats, LogError> {
    let days = folder.days().map_err(|source| LogError::file(folder.path(), source))?;
    if let Some(of) = of
        && !days.iter().any(|day| day.date() == of)
    {
        let known = match (days.first(), days.last()) {
            (Some(first), Some(last)) => format!("there are days from {} to {}", first.date(), last.date()),
            _ => String::from("there is none yet"),
        };
        return Err(LogError::input("--day", format!("the log has no day {of}; {known}")));
    }
    let mut stats = Stats { set_aside: set_aside(folder)?, ..Stats::default() };
    let counted = of.or_else(|| days.last().map(|day| day.date()));
    for day in days {
        let file = folder.day(day);
        let problem = |source| LogError::database(&file, source);
        let read = day::open_to_read(&file).and_then(|connection| {
            let Some(connection) = connection else { return Ok(None) };
            let bytes = ["", "-wal"]
                .iter()
                .filter_map(|suffix| fs::metadata(beside(&file, suffix)).ok())
                .map(|metadata| metadata.len())
                .sum();
            let stats = of_day(&connection, day, bytes).map_err(problem)?;
            let counts = if counted == Some(day.date()) {
                Some(counts(&connection, day.date()).map_err(problem)?)
            } else {
                None
            };
            Ok(Some((stats, counts)))
        });
        match read {
            Ok(None) => {}
            Ok(Some((of_day, counts))) => {
                stats.days.push(of_day);
                stats.day = stats.day.or(counts);
            }
            Err(error @ LogError::Newer { .. }) => return Err(error),
            Err(error) => {
                stats.unreadable.push(Unreadable { day: day.date(), why: error.to_string() });
            }
        }
    }
    Ok(stats)
}

fn of_day(connection: &Connection, day: Day, bytes: u64) -> rusqlite::Result<DayStats> {
    let _snapshot = connection.unchecked_transaction()?;
    let end = |sql| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    let time = |at: Option<i64>| at.map(|at| Place { day, at }.time());
    let (rows, counted) = rows(connection, bytes)?;
    let questions: i64 =
        connection.query_row("SELECT coalesce(sum(questions), 0) FROM hour_count", [], |row| row.get(0))?;
    Ok(DayStats {
        day: day.date(),
        rows,
        counted,
        bytes,
        first: time(end("SELECT min(at) FROM question")?),
        last: time(end("SELECT max(at) FROM question")?),
        questions: u64::try_from(questions).unwrap_or(0),
        unkept: by_word(connection, "SELECT reason, sum(questions) FROM unkept GROUP BY reason")?,
    })
}

/// How many rows there are, and whether they were counted.
pub(super) fn rows(connection: &Connection, bytes: u64) -> rusqlite::Result<(u64, bool)> {
    let count = |low: i64, high: i64| {
        connection
            .prepare_cached("SELECT count(*) FROM question WHERE at >= ?1 AND at < ?2")?
            .query_row([low, high], |row| row.get::<_, i64>(0))
    };
    let most: Option<i64> =
        connection.query_row("SELECT max(number) FROM span", [], |row| row.get(0)).optional()?.flatten();
    let spans = most.unwrap_or(0);
    if bytes <= COUNTED || spans <= 2 * SAMPLES {
        return Ok((u64::try_from(count(0, i64::MAX)?).unwrap_or(0), true));
    }
    let mut sampled = 0;
    for sample in 0..SAMPLES {
        // The last span may have just begun, so it is none of them.
        let number = 1 + sample * (spans - 2) / (SAMPLES - 1);
        let (low, high): (i64, i64) = connection
            .prepare_cached("SELECT min(first), max(first) FROM span WHERE number IN (?1, ?1 + 1)")?
            .query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
        sampled += count(low, high)?;
    }
    let rows = i128::from(sampled) * i128::from(spans) / i128::from(SAMPLES);
    Ok((u64::try_from(rows).unwrap_or(0), false))
}

fn counts(connection: &Connection, day: Date) -> rusqlite::Result<DayCounts> {
    let mut profiles: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut statement = connection
        .prepare("SELECT profile, action, sum(questions) FROM hour_count GROUP BY profile, action")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let questions: i64 = row.get(2)?;
        profiles.entry(row.get(0)?).or_default().insert(row.get(1)?, u64::try_from(questions).unwrap_or(0));
    }
    let blocked = by_word(
        connection,
        "SELECT category, sum(questions) FROM hour_count WHERE action = 'blocked' GROUP BY category",
    )?;
    Ok(DayCounts { day, profiles, blocked })
}

fn by_word(connection: &Connection, sql: &str) -> rusqlite::Result<BTreeMap<String, u64>> {
    connection
        .prepare(sql)?
        .query_map([], |row| {
            let questions: i64 = row.get(1)?;
            Ok((row.get(0)?, u64::try_from(questions).unwrap_or(0)))
        })?
        .collect()
}

/// The damaged files that lie beside the days, by name.
fn set_aside(folder: &LogFolder) -> Result<Vec<String>, LogError> {
    let problem = |source| LogError::file(folder.path(), source);
    let entries = match fs::read_dir(folder.path()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(problem(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(problem)?.file_name();
        if let Some(name) = name.to_str()
            && name.contains(".damaged-")
            && name.ends_with(".db")
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::querylog::{
        Action,
        day::{
            DAY_MS,
            rows::{AskerRow, FateRow, QuestionRow},
            write::DayWriter,
        },
    };

    /// A day with so many rows, one a second or more often.
    fn write(folder: &LogFolder, day: Day, rows: i64) {
        let mut writer = DayWriter::open(&folder.day(day), day).unwrap();
        writer.begin().unwrap();
        let asker = writer.asker(&AskerRow::default()).unwrap();
        let fate = FateRow {
            transport: String::from("udp"),
            qtype: String::from("A"),
            rcode: String::from("NOERROR"),
            action: Action::Allowed,
            reason: String::new(),
            category: String::new(),
            list: String::new(),
            rule: String::new(),
            detail: String::new(),
            would: String::new(),
            categories: String::new(),
            dnssec: String::new(),
            source: String::new(),
            alert: false,
        };
        let fate = writer.fate(&fate).unwrap();
        let name = writer.name("com.example", || None).unwrap();
        for row in 0..rows {
            writer.question(&QuestionRow { ms: row * DAY_MS / rows, asker, name, fate, took: 1 }).unwrap();
        }
        writer.count(9, "ks2", "games", Action::Blocked, 3).unwrap();
        writer.count(10, "ks2", "", Action::Allowed, 4).unwrap();
        writer.count(10, "staff", "", Action::Allowed, 5).unwrap();
        writer.unkept(1, 2, 6, "queue-full").unwrap();
        writer.unkept(3, 4, 1, "queue-full").unwrap();
        writer.commit().unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn each_day_says_what_it_keeps_and_what_was_lost() {
        let data = tempfile::tempdir().unwrap();
        let folder = LogFolder::in_data(data.path());
        assert_eq!(stats(&folder, None).unwrap(), Stats::default());
        let day = Day::from_number(20_779);
        write(&folder, day.minus(1), 10);
        write(&folder, day, 86_400);
        fs::write(folder.path().join("2026-11-20.damaged-1.db"), b"").unwrap();
        fs::write(folder.day(day.minus(2)), vec![1; 9_000]).unwrap();
        let found = stats(&folder, None).unwrap();
        let rows: Vec<_> =
            found.days.iter().map(|day| (day.day.to_string(), day.rows, day.counted)).collect();
        assert_eq!(
            rows,
            [(String::from("2026-11-21"), 10, true), (String::from("2026-11-22"), 86_400, true)]
        );
        let newest = &found.days[1];
        assert_eq!(newest.first.unwrap().to_string(), "2026-11-22T00:00:00Z");
        assert_eq!(newest.last.unwrap().to_string(), "2026-11-22T23:59:59Z");
        assert_eq!((newest.questions, newest.unkept["queue-full"]), (12, 7));
        assert!(newest.bytes > 86_400 * 5, "{}", newest.bytes);
        let counts = found.day.unwrap();
        assert_eq!((counts.profiles["ks2"]["blocked"], counts.profiles["staff"]["allowed"]), (3, 5));
        assert_eq!((counts.day.to_string(), counts.blocked["games"]), (String::from("2026-11-22"), 3));
        assert_eq!(found.set_aside, ["2026-11-20.damaged-1.db"]);
        assert_eq!(found.unreadable.len(), 1);
        let one = stats(&folder, Some("2026-11-21".parse().unwrap())).unwrap();
        assert_eq!(one.day.unwrap().day.to_string(), "2026-11-21");
        let error = stats(&folder, Some("2026-11-01".parse().unwrap())).unwrap_err();
        assert!(
            error.is_bad_input() && error.to_string().starts_with("--day: the log has no day"),
            "{error}"
        );
    }

    #[test]
    fn the_rows_of_a_large_file_are_reckoned_closely() {
        let data = tempfile::tempdir().unwrap();
        let folder = LogFolder::in_data(data.path());
        let day = Day::from_number(20_779);
        write(&folder, day, 150_000);
        let connection = day::open_to_read(&folder.day(day)).unwrap().unwrap();
        let (reckoned, counted) = rows(&connection, u64::MAX).unwrap();
        assert!(!counted && reckoned.abs_diff(150_000) < 5_000, "{reckoned}");
    }
}
