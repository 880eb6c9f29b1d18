//! Charts and reports: counts between two times, how long answers took, and what was asked for most.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, params_from_iter, types::Value};
use serde::{Deserialize, Serialize};

use super::{Rollup, build::done};
use crate::querylog::{
    Action,
    day::{self, readable},
    error::LogError,
};

/// The length of time that one count is for. Days are UTC days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Step {
    pub(super) fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    pub(super) fn per_day(self) -> i64 {
        86_400 / self.seconds()
    }

    fn table(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn begin(self, period: i64) -> Timestamp {
        Timestamp::from_second(period.saturating_mul(self.seconds())).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// What counts are told apart by.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The profile.
    Profile,
    /// The category that decided, or the first that the name has.
    Category,
    /// What happened.
    Action,
}

impl By {
    pub(super) const ALL: [Self; 3] = [Self::Profile, Self::Category, Self::Action];

    fn column(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Category => "category",
            Self::Action => "action",
        }
    }
}

/// Which counts are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountQuery {
    /// The hour, or the day, that has this moment is the first.
    pub from: Timestamp,
    /// The last is the one before this moment.
    pub to: Timestamp,
    /// How long each count is for.
    pub step: Step,
    /// What counts are told apart by; nothing, for one count each step.
    pub by: Vec<By>,
    /// Only of this profile.
    pub profile: Option<String>,
    /// Only of this category; empty for names on no list.
    pub category: Option<String>,
    /// Only what ended so.
    pub action: Option<Action>,
}

/// How many questions there were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Count {
    /// When the hour or day begins.
    pub from: Timestamp,
    /// The profile, where counts are told apart by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The category, where counts are told apart by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What happened, where counts are told apart by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// How many.
    pub questions: u64,
}

/// How long questions took that were answered from one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Where the answers came from: `policy`, `local`, `cache`, `stale`, `upstream`.
    pub source: String,
    /// How many questions.
    pub questions: u64,
    /// How many took less than 2^n microseconds and at least half of that, by n.
    pub buckets: BTreeMap<u8, u64>,
}

impl Latency {
    /// In how many microseconds so much of them was answered (0.5 for the median); the true value is at most this and
    /// at least half of it. 0 where there was none.
    #[must_use]
    pub fn percentile(&self, part: f64) -> u64 {
        let wanted = (self.questions as f64 * part.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, questions) in &self.buckets {
            seen += questions;
            if seen >= wanted {
                return 1 << (*bucket).min(63);
            }
        }
        0
    }
}

/// Which of the most frequent are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopQuery {
    /// The hour that has this moment is the first.
    pub from: Timestamp,
    /// The last is the one before this moment. Hours that are not rolled up yet are not in it.
    pub to: Timestamp,
    /// Only of this profile.
    pub profile: Option<String>,
    /// What was [allowed](Action::Allowed) or what was [blocked](Action::Blocked); others are not kept.
    pub action: Action,
    /// How many.
    pub most: usize,
}

/// A name that was asked for much, or a client that asked much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Top {
    /// The name as people write it, or the client: an address or a pseudonym.
    pub what: String,
    /// How many questions, of those hours and days in which it was among the most frequent.
    pub questions: u64,
}

/// A count's place in a chart: the period, and what it is told apart by.
type Cell = (i64, Vec<String>);

impl Rollup {
    /// Counts, in the order of time; what is not rolled up yet is taken from the day files' own counts.
    ///
    /// A day's count is a UTC day's. Steps without questions are left out.
    ///
    /// # Errors
    ///
    /// When the roll-ups or a day file can't be read.
    pub fn counts(&self, query: &CountQuery) -> Result<Vec<Count>, LogError> {
        let problem = |source| LogError::database(&self.file, source);
        let mut cells: BTreeMap<Cell, u64> = BTreeMap::new();
        let connection = self.open_to_read()?;
        let (from, to) = bounds(query.step, query.from, query.to);
        let hours = (from * query.step.seconds() / 3_600, to * query.step.seconds() / 3_600);
        let mut done_hours = Vec::new();
        if let Some(connection) = &connection {
            done_hours = done(connection, "hour", hours.0, hours.1).map_err(problem)?;
            let parts = match query.step {
                Step::Hour => vec![(Step::Hour, hours.0, hours.1)],
                Step::Day => parts(connection, hours).map_err(problem)?,
            };
            for (of, first, end) in parts {
                Select { query, first, end }.run(connection, of, &mut cells).map_err(problem)?;
            }
        }
        self.add_live(query, hours, &done_hours, &mut cells)?;
        let count = |((period, words), questions): (Cell, u64)| {
            let mut words = words.into_iter();
            let mut word = |by| query.by.contains(&by).then(|| words.next()).flatten();
            Count {
                from: query.step.begin(period),
                profile: word(By::Profile),
                category: word(By::Category),
                action: word(By::Action),
                questions,
            }
        };
        Ok(cells.into_iter().map(count).collect())
    }

    /// Adds the hours that are not rolled up yet.
    fn add_live(
        &self,
        query: &CountQuery,
        hours: (i64, i64),
        done: &[i64],
        cells: &mut BTreeMap<Cell, u64>,
    ) -> Result<(), LogError> {
        self.each_live_hour(
            hours,
            done,
            "SELECT hour, profile, category, action, questions FROM hour_count",
            |hour, row| {
                let words: [String; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
                let wanted =
                    [query.profile.as_deref(), query.category.as_deref(), query.action.map(Action::word)];
                if words.iter().zip(wanted).all(|(word, wanted)| wanted.is_none_or(|wanted| wanted == word)) {
                    let words = By::ALL.into_iter().zip(words).filter(|(by, _)| query.by.contains(by));
                    let period = hour * 3_600 / query.step.seconds();
                    let cell = (period, words.map(|(_, word)| word).collect());
                    *cells.entry(cell).or_default() += row.get::<_, i64>(4)?.unsigned_abs();
                }
                Ok(())
            },
        )
    }

    /// Reads the day files' own counts of the hours that are not rolled up yet.
    fn each_live_hour(
        &self,
        (from, to): (i64, i64),
        done: &[i64],
        sql: &str,
        mut each: impl FnMut(i64, &rusqlite::Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), LogError> {
        let days = self.folder.days().map_err(|source| LogError::file(self.folder.path(), source))?;
        for day in days {
            let first = i64::from(day.number()) * 24;
            let wanted =
                (first.max(from)..(first + 24).min(to)).filter(|hour| done.binary_search(hour).is_err());
            if wanted.count() == 0 {
                continue;
            }
            let file = self.folder.day(day);
            let problem = |source| LogError::database(&file, source);
            let Some(connection) = day::open_to_read(&file)? else { continue };
            let mut statement = connection.prepare(sql).map_err(problem)?;
            let mut rows = statement.query([]).map_err(problem)?;
            while let Some(row) = rows.next().map_err(problem)? {
                let hour = first + row.get::<_, i64>(0).map_err(problem)?;
                if (from..to).contains(&hour) && done.binary_search(&hour).is_err() {
                    each(hour, row).map_err(problem)?;
                }
            }
        }
        Ok(())
    }

    /// How long questions took, by where the answers came from; of whole hours.
    ///
    /// # Errors
    ///
    /// When the roll-ups or a day file can't be read.
    pub fn latency(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Latency>, LogError> {
        let problem = |source| LogError::database(&self.file, source);
        let hours = bounds(Step::Hour, from, to);
        let mut sources: BTreeMap<String, BTreeMap<u8, u64>> = BTreeMap::new();
        let mut add = |source: String, bucket: i64, questions: i64| {
            let bucket = u8::try_from(bucket).unwrap_or(u8::MAX);
            *sources.entry(source).or_default().entry(bucket).or_default() += questions.unsigned_abs();
        };
        let mut done_hours = Vec::new();
        if let Some(connection) = self.open_to_read()? {
            done_hours = done(&connection, "hour", hours.0, hours.1).map_err(problem)?;
            for (step, first, end) in parts(&connection, hours).map_err(problem)? {
                let sql = format!(
                    "SELECT word.text, bucket, sum(questions) FROM {}_latency JOIN word ON word.id = source
                        WHERE period >= ?1 AND period < ?2 GROUP BY source, bucket",
                    step.table()
                );
                let read = || -> rusqlite::Result<Vec<(String, i64, i64)>> {
                    let mut statement = connection.prepare_cached(&sql)?;
                    let rows = statement
                        .query_map([first, end], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                    rows.collect()
                };
                for (source, bucket, questions) in read().map_err(problem)? {
                    add(source, bucket, questions);
                }
            }
        }
        let sql = "SELECT hour, source, bucket, questions FROM hour_latency";
        self.each_live_hour(hours, &done_hours, sql, |_, row| {
            add(row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(())
        })?;
        let latency = |(source, buckets): (String, BTreeMap<u8, u64>)| Latency {
            source,
            questions: buckets.values().sum(),
            buckets,
        };
        Ok(sources.into_iter().map(latency).collect())
    }

    /// The names that were asked for most, the most frequent first; a name that must not be shown is a digest.
    ///
    /// Each hour and day keeps its most frequent ones only, so a name that was never among them is not found, and the
    /// number of one that was there at times is too low.
    ///
    /// # Errors
    ///
    /// When the roll-ups can't be read.
    pub fn top_names(&self, query: &TopQuery) -> Result<Vec<Top>, LogError> {
        let mut tops = self.tops("name", query)?;
        for top in &mut tops {
            top.what = readable(&top.what);
        }
        Ok(tops)
    }

    /// The clients that asked most, the most frequent first, while what they asked is kept too.
    ///
    /// # Errors
    ///
    /// When the roll-ups can't be read.
    pub fn top_clients(&self, query: &TopQuery) -> Result<Vec<Top>, LogError> {
        self.tops("client", query)
    }

    fn tops(&self, of: &str, query: &TopQuery) -> Result<Vec<Top>, LogError> {
        let Some(connection) = self.open_to_read()? else { return Ok(Vec::new()) };
        let read = || -> rusqlite::Result<Vec<Top>> {
            let mut found: BTreeMap<i64, u64> = BTreeMap::new();
            for (step, first, end) in parts(&connection, bounds(Step::Hour, query.from, query.to))? {
                let mut sql = format!(
                    "SELECT {of}, sum(questions) FROM {}_{of} WHERE period >= ? AND period < ?
                        AND action = (SELECT id FROM word WHERE text = ?)",
                    step.table()
                );
                let mut values: Vec<Value> =
                    vec![first.into(), end.into(), query.action.word().to_owned().into()];
                if let Some(profile) = &query.profile {
                    sql.push_str(" AND profile = (SELECT id FROM word WHERE text = ?)");
                    values.push(profile.clone().into());
                }
                sql.push_str(&format!(" GROUP BY {of}"));
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query(params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    *found.entry(row.get(0)?).or_default() += row.get::<_, i64>(1)?.unsigned_abs();
                }
            }
            let mut found: Vec<(u64, i64)> =
                found.into_iter().map(|(id, questions)| (questions, id)).collect();
            found.sort_unstable_by_key(|(questions, id)| (std::cmp::Reverse(*questions), *id));
            found.truncate(query.most);
            let mut text = connection.prepare_cached(&format!("SELECT text FROM {of} WHERE id = ?1"))?;
            found
                .into_iter()
                .map(|(questions, id)| Ok(Top { what: text.query_row([id], |row| row.get(0))?, questions }))
                .collect()
        };
        read().map_err(|source| LogError::database(&self.file, source))
    }
}

/// The steps between two moments: the first, and the one after the last.
fn bounds(step: Step, from: Timestamp, to: Timestamp) -> (i64, i64) {
    let period = |time: Timestamp| time.as_second().div_euclid(step.seconds());
    // What begins before the end counts.
    let last = Timestamp::from_nanosecond(to.as_nanosecond().saturating_sub(1)).unwrap_or(Timestamp::MIN);
    (period(from), (period(last) + 1).max(period(from)))
}

/// Cuts hours into complete days, which are read as such, and the hours before, between and after.
fn parts(connection: &Connection, (from, to): (i64, i64)) -> rusqlite::Result<Vec<(Step, i64, i64)>> {
    let mut parts: Vec<(Step, i64, i64)> = Vec::new();
    let mut next = from;
    let first_day = from.div_euclid(24) + i64::from(from.rem_euclid(24) > 0);
    for day in done(connection, "day", first_day, to.div_euclid(24))? {
        if next < day * 24 {
            parts.push((Step::Hour, next, day * 24));
        }
        match parts.last_mut() {
            Some((Step::Day, _, end)) if *end == day => *end = day + 1,
            _ => parts.push((Step::Day, day, day + 1)),
        }
        next = day * 24 + 24;
    }
    if next < to {
        parts.push((Step::Hour, next, to));
    }
    Ok(parts)
}

/// Counts of the roll-ups between two periods.
struct Select<'a> {
    query: &'a CountQuery,
    first: i64,
    end: i64,
}

impl Select<'_> {
    fn run(
        &self,
        connection: &Connection,
        of: Step,
        cells: &mut BTreeMap<Cell, u64>,
    ) -> rusqlite::Result<()> {
        let Self { query, first, end } = self;
        // Hours may be wanted as days.
        let period = match (of, query.step) {
            (Step::Hour, Step::Day) => "period / 24",
            _ => "period",
        };
        let by: Vec<By> = By::ALL.into_iter().filter(|by| query.by.contains(by)).collect();
        let columns: String = by.iter().map(|by| format!(", {}", by.column())).collect();
        let mut sql = format!(
            "SELECT {period}, sum(questions){columns} FROM {}_count WHERE period >= ? AND period < ?",
            of.table()
        );
        let mut values: Vec<Value> = vec![(*first).into(), (*end).into()];
        let wanted = [
            (By::Profile, query.profile.clone()),
            (By::Category, query.category.clone()),
            (By::Action, query.action.map(|action| action.word().to_owned())),
        ];
        for (by, word) in wanted {
            if let Some(word) = word {
                sql.push_str(&format!(" AND {} = (SELECT id FROM word WHERE text = ?)", by.column()));
                values.push(word.into());
            }
        }
        sql.push_str(&format!(" GROUP BY {period}{columns}"));
        let words = words(connection)?;
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let of_cell = (0..by.len())
                .map(|place| Ok(words.get(&row.get(place + 2)?).cloned().unwrap_or_default()))
                .collect::<rusqlite::Result<_>>()?;
            *cells.entry((row.get(0)?, of_cell)).or_default() += row.get::<_, i64>(1)?.unsigned_abs();
        }
        Ok(())
    }
}

/// Profiles, categories and actions: there are few.
fn words(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, String>> {
    let mut statement = connection.prepare_cached("SELECT id, text FROM word")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
