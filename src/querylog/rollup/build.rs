//! Rolling up: from the file of a day to the counts of its hours, and from those to the day's.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{Rollup, hour_of, top::Tops};
use crate::{
    clock::Day,
    querylog::{
        day::{self, PER_MILLISECOND},
        error::LogError,
    },
};

/// How long after its end an hour is rolled up, in seconds: what comes late has come by then.
const LATE: i64 = 300;

/// How many names and clients are kept of each hour, for each profile and action.
const TOP_OF_HOUR: usize = 20;

/// How many are kept of each day.
const TOP_OF_DAY: usize = 50;

/// Places of an hour in a day file.
const HOUR: i64 = 3_600_000 * PER_MILLISECOND;

impl Rollup {
    /// Rolls up every hour that is over and was not rolled up before, and every day of which that was the last.
    ///
    /// # Errors
    ///
    /// When the roll-ups can't be written, or a day file can't be read; the other days are done all the same.
    pub fn catch_up(&self, now: Timestamp, stop: &AtomicBool) -> Result<(), LogError> {
        let days = self.folder.days().map_err(|source| LogError::file(self.folder.path(), source))?;
        let mut outcome = Ok(());
        for day in days {
            if stop.load(Relaxed) {
                return Err(LogError::Stopped);
            }
            match self.catch_up_day(day, now, stop) {
                Err(error) if self.is_own_damage(&error) => {
                    day::set_aside(&self.file)?;
                    return Err(error);
                }
                Err(error) => outcome = Err(error),
                Ok(()) => {}
            }
        }
        outcome
    }

    /// Rolls up what is over of one day.
    ///
    /// # Errors
    ///
    /// When the roll-ups can't be written, or the day file can't be read.
    pub fn catch_up_day(&self, day: Day, now: Timestamp, stop: &AtomicBool) -> Result<(), LogError> {
        let first = i64::from(day.number()) * 24;
        // The first hour that is not over for long enough.
        let end = hour_of(now - jiff::SignedDuration::from_secs(LATE)).clamp(first, first + 24);
        if first == end || self.day_is_done(day)? {
            return Ok(());
        }
        let file = self.folder.day(day);
        let Some(source) = day::open_to_read(&file)? else { return Ok(()) };
        let problem = |source| LogError::database(&self.file, source);
        let mut connection = self.open()?;
        let done = done(&connection, "hour", first, first + 24).map_err(problem)?;
        for hour in (first..end).filter(|hour| !done.contains(hour)) {
            if stop.load(Relaxed) {
                return Err(LogError::Stopped);
            }
            let from = (hour - first) * HOUR;
            let tops = Tops::of(&source, from, from + HOUR, TOP_OF_HOUR)
                .map_err(|error| LogError::database(&file, error))?;
            let counts =
                Counts::of(&source, hour - first).map_err(|error| LogError::database(&file, error))?;
            let change = begin(&mut connection).map_err(problem)?;
            clear(&change, "hour", hour)
                .and_then(|()| counts.write(&change, hour))
                .and_then(|()| tops.write(&change, "hour", hour))
                .and_then(|()| change.commit())
                .map_err(problem)?;
        }
        if end == first + 24 {
            let tops = Tops::of(&source, 0, i64::MAX, TOP_OF_DAY)
                .map_err(|error| LogError::database(&file, error))?;
            let number = i64::from(day.number());
            let change = begin(&mut connection).map_err(problem)?;
            clear(&change, "day", number)
                .and_then(|()| sum_up(&change, number))
                .and_then(|()| tops.write(&change, "day", number))
                .and_then(|()| change.commit())
                .map_err(problem)?;
        }
        Ok(())
    }

    fn day_is_done(&self, day: Day) -> Result<bool, LogError> {
        let Some(connection) = self.open_to_read()? else { return Ok(false) };
        let number = i64::from(day.number());
        done(&connection, "day", number, number + 1)
            .map(|done| !done.is_empty())
            .map_err(|source| LogError::database(&self.file, source))
    }

    fn is_own_damage(&self, error: &LogError) -> bool {
        error.is_damage() && matches!(error, LogError::Database { file, .. } if *file == self.file)
    }
}

fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// The complete periods of a span.
pub(super) fn done(connection: &Connection, step: &str, from: i64, to: i64) -> rusqlite::Result<Vec<i64>> {
    let sql = format!("SELECT period FROM {step}_done WHERE period >= ?1 AND period < ?2 ORDER BY period");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([from, to], |row| row.get(0))?.collect()
}

/// Takes out what is there of a period, and says that it is complete as soon as this is committed.
fn clear(change: &Transaction<'_>, step: &str, period: i64) -> rusqlite::Result<()> {
    for table in ["count", "latency", "name", "client"] {
        change.execute(&format!("DELETE FROM {step}_{table} WHERE period = ?1"), [period])?;
    }
    change.execute(&format!("INSERT OR IGNORE INTO {step}_done (period) VALUES (?1)"), [period]).map(drop)
}

/// The number of a word of a table that has each word once.
pub(super) fn word(change: &Transaction<'_>, table: &str, text: &str) -> rusqlite::Result<i64> {
    change.prepare_cached(&format!("INSERT OR IGNORE INTO {table} (text) VALUES (?1)"))?.execute([text])?;
    change
        .prepare_cached(&format!("SELECT id FROM {table} WHERE text = ?1"))?
        .query_row([text], |row| row.get(0))
}

/// What a day file counted of an hour.
struct Counts {
    /// Profile, category, action and how many questions.
    counts: Vec<(String, String, String, i64)>,
    /// Source, bucket and how many questions.
    latency: Vec<(String, i64, i64)>,
}

impl Counts {
    fn of(source: &Connection, hour: i64) -> rusqlite::Result<Self> {
        let mut counts = source
            .prepare_cached("SELECT profile, category, action, questions FROM hour_count WHERE hour = ?1")?;
        let counts = counts
            .query_map([hour], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<Result<_, _>>()?;
        let mut latency =
            source.prepare_cached("SELECT source, bucket, questions FROM hour_latency WHERE hour = ?1")?;
        let latency = latency
            .query_map([hour], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Self { counts, latency })
    }

    fn write(&self, change: &Transaction<'_>, hour: i64) -> rusqlite::Result<()> {
        let mut insert = change.prepare_cached("INSERT INTO hour_count VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (profile, category, action, questions) in &self.counts {
            let profile = word(change, "word", profile)?;
            let category = word(change, "word", category)?;
            let action = word(change, "word", action)?;
            insert.execute(params![hour, profile, category, action, questions])?;
        }
        let mut insert = change.prepare_cached("INSERT INTO hour_latency VALUES (?1, ?2, ?3, ?4)")?;
        for (source, bucket, questions) in &self.latency {
            insert.execute(params![hour, word(change, "word", source)?, bucket, questions])?;
        }
        Ok(())
    }
}

/// Adds up a day's hours.
fn sum_up(change: &Transaction<'_>, day: i64) -> rusqlite::Result<()> {
    let hours = [day, day * 24, day * 24 + 24];
    change.execute(
        "INSERT INTO day_count SELECT ?1, profile, category, action, sum(questions) FROM hour_count
            WHERE period >= ?2 AND period < ?3 GROUP BY profile, category, action",
        hours,
    )?;
    change.execute(
        "INSERT INTO day_latency SELECT ?1, source, bucket, sum(questions) FROM hour_latency
            WHERE period >= ?2 AND period < ?3 GROUP BY source, bucket",
        hours,
    )?;
    Ok(())
}
