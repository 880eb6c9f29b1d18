//! Reading all rows of a time, oldest first, with what is known to be missing among them.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    clock::Day,
    policy::Policy,
    querylog::{
        day::{
            self, DAY_MS, PER_MILLISECOND,
            rows::{AskerRow, FateRow},
        },
        entry::Entry,
        error::LogError,
        folder::LogFolder,
        privacy::DayKey,
        search::{
            Query,
            rows::{Raw, Words},
        },
        who::Who,
    },
    vault::Digest,
};

/// How many rows are read at once: a reader that lingers would keep the writer's journal from being emptied.
const AT_ONCE: u32 = 5_000;

/// The key under which a file says how much of its day it has: `all` (or nothing), `blocked` or `held`.
const KEPT: &str = "kept";

/// Of more askers or fates than this it costs more to ask the index than to read all rows.
const MOST_INDEXED: usize = 4_000;

/// Something that is known to be missing, or not to be as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::querylog) enum Gap {
    /// Questions without a row.
    Unkept { from: Timestamp, until: Timestamp, questions: u64, reason: String },
    /// The file of a day could not be read, or not to its end.
    Damaged { day: Day, why: String },
    /// A damaged file was set aside.
    SetAside { day: Day, file: String },
    /// A time for which rows are kept is over: what is left was blocked or rewritten, or is an alert; or, where nothing
    /// else is kept any more, it is under a legal hold.
    Reduced { day: Day, to_holds: bool },
    /// There is no file of this day.
    NoFile { day: Day },
}

/// What is read.
#[derive(Debug, Clone, Copy)]
pub(in crate::querylog) struct Rows<'a> {
    pub(in crate::querylog) folder: &'a LogFolder,
    /// Names that must not be shown are masked by this policy, whatever they were when they were logged.
    pub(in crate::querylog) policy: &'a Policy,
    pub(in crate::querylog) from: Timestamp,
    /// The first moment that is not wanted.
    pub(in crate::querylog) to: Timestamp,
}

/// Every row of one day, and what becomes of it.
struct OneDay<'a> {
    rows: &'a Rows<'a>,
    day: Day,
    file: std::path::PathBuf,
    connection: Connection,
}

impl Rows<'_> {
    /// Hands out each row of the time that `wants` chooses by its asker and `query` by everything but its times, the oldest first.
    ///
    /// Damage ends the reading of that day, not of the others; what is known to be missing comes back.
    ///
    /// # Errors
    ///
    /// What `each` says, or when the folder can't be read.
    pub(in crate::querylog) fn for_each(
        &self,
        query: &Query,
        wants: impl Fn(Day, &AskerRow) -> bool,
        mut each: impl FnMut(&Entry) -> Result<(), LogError>,
    ) -> Result<Vec<Gap>, LogError> {
        let mut gaps = Vec::new();
        let (first, last) = (Day::of(self.from), Day::of(self.to - jiff::SignedDuration::from_nanos(1)));
        let known = self.folder.days().map_err(|source| LogError::file(self.folder.path(), source))?;
        let oldest = known.first().copied();
        for (day, file) in self.set_aside()? {
            if (first..=last).contains(&day) {
                gaps.push(Gap::SetAside { day, file });
            }
        }
        // From the first day that there is: before it, the log had not begun, or its time is over.
        let mut day = first.max(oldest.unwrap_or(last));
        while day <= last {
            let done = match OneDay::open(self, day) {
                Ok(None) => {
                    gaps.push(Gap::NoFile { day });
                    Ok(())
                }
                Ok(Some(open)) => open.gaps(&mut gaps).and_then(|()| open.for_each(query, &wants, &mut each)),
                Err(error) => Err(error),
            };
            match done {
                Err(LogError::Database { source, .. }) => {
                    gaps.push(Gap::Damaged { day, why: source.to_string() })
                }
                other => other?,
            }
            if day == day.plus(1) {
                break;
            }
            day = day.plus(1);
        }
        Ok(gaps)
    }

    /// The askers of a day.
    pub(in crate::querylog) fn askers(&self, day: Day) -> Result<Vec<AskerRow>, LogError> {
        match OneDay::open(self, day)? {
            Some(open) => open.askers(),
            None => Ok(Vec::new()),
        }
    }

    /// The damaged files that were set aside, with their days.
    fn set_aside(&self) -> Result<Vec<(Day, String)>, LogError> {
        let problem = |source| LogError::file(self.folder.path(), source);
        let entries = match fs::read_dir(self.folder.path()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(problem(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let Ok(name) = entry.map_err(problem)?.file_name().into_string() else { continue };
            let Some((stem, rest)) = name.split_once(".damaged-") else { continue };
            if rest.ends_with(".db")
                && let Some(day) = super::super::folder::day_of(stem)
            {
                found.push((day, name));
            }
        }
        found.sort();
        Ok(found)
    }
}

impl<'a> OneDay<'a> {
    fn open(rows: &'a Rows<'a>, day: Day) -> Result<Option<Self>, LogError> {
        let file = rows.folder.day(day);
        let connection = day::open_to_read(&file)?;
        Ok(connection.map(|connection| Self { rows, day, file, connection }))
    }

    fn problem(&self, source: rusqlite::Error) -> LogError {
        LogError::database(&self.file, source)
    }

    /// The key of the first row at or after a moment.
    fn at(&self, time: Timestamp) -> i64 {
        let start = i64::from(self.day.number()) * DAY_MS;
        // A row tells the millisecond; what began within one belongs to the next.
        let ms = time.as_nanosecond().div_euclid(1_000_000)
            + i128::from(time.as_nanosecond().rem_euclid(1_000_000) > 0);
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        (ms - start).clamp(0, DAY_MS) * PER_MILLISECOND
    }

    fn for_each(
        &self,
        query: &Query,
        wants: &impl Fn(Day, &AskerRow) -> bool,
        each: &mut impl FnMut(&Entry) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let problem = |source| self.problem(source);
        let key = match query.client {
            Some(Who::Pseudonym(_)) => DayKey::load(self.rows.folder, self.day)?,
            _ => None,
        };
        let end = match self.at(self.rows.to) {
            // A full millisecond spills over into the next one, also at the end of the day.
            at if at == DAY_MS * PER_MILLISECOND => i64::MAX,
            at => at,
        };
        let askers = self
            .wanted(
                "asker",
                |row| {
                    let asker = AskerRow::read(row, 0)?;
                    Ok(wants(self.day, &asker) && is_from(query, &asker, key.as_ref()))
                },
                AskerRow::COLUMNS,
            )
            .map_err(problem)?;
        let fates = self
            .wanted("fate", |row| FateRow::read(row, 0).map(|fate| is_so(query, &fate)), FateRow::COLUMNS)
            .map_err(problem)?;
        let digest = query.name.as_ref().and_then(|glob| self.rows.policy.sealed_name(&glob.key()?));
        let is_named = |reversed: &str, shown: &str| match &query.name {
            None => true,
            // What must not be shown is found by its digest, and by who writes it in full.
            Some(glob) if shown.starts_with(Digest::PREFIX) => {
                glob.matches(shown) || digest.is_some_and(|digest| shown.starts_with(&digest.to_string()))
            }
            Some(glob) => glob.matches(reversed),
        };
        let mut statement = self
            .connection
            .prepare(
                "SELECT at, asker, name, fate, took FROM question WHERE at >= ?1 AND at < ?2 ORDER BY at LIMIT ?3",
            )
            .map_err(problem)?;
        let mut words = Words::new(&self.connection, self.rows.policy, self.day);
        for (first, beyond) in self.stretches(&askers, &fates).map_err(problem)? {
            let (mut next, end) = (self.at(self.rows.from).max(first), end.min(beyond));
            while next < end {
                // Read first and handed out then, so that no reader lingers while somebody writes to a slow disk.
                let some: Vec<Raw> = statement
                    .query_map(params![next, end, AT_ONCE], Raw::read)
                    .and_then(Iterator::collect)
                    .map_err(problem)?;
                let Some(last) = some.last() else { break };
                next = last.at + 1;
                for row in some.iter().filter(|row| askers.has(row.asker) && fates.has(row.fate)) {
                    let (reversed, shown) = words.texts(row.name).map_err(problem)?;
                    if is_named(reversed, shown) {
                        each(&words.entry(row).map_err(problem)?)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Which rows of a table of words are wanted.
    fn wanted(
        &self,
        table: &'static str,
        mut is_wanted: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
        columns: &str,
    ) -> rusqlite::Result<Wanted> {
        let mut statement = self.connection.prepare(&format!("SELECT {columns}, id FROM {table}"))?;
        let place = statement.column_count() - 1;
        let mut rows = statement.query([])?;
        let (mut ids, mut all) = (HashSet::new(), true);
        while let Some(row) = rows.next()? {
            if is_wanted(row)? {
                ids.insert(row.get(place)?);
            } else {
                all = false;
            }
        }
        Ok(Wanted { table, ids: (!all).then_some(ids) })
    }

    /// The stretches of the day that can have rows that are wanted, in order.
    fn stretches(&self, askers: &Wanted, fates: &Wanted) -> rusqlite::Result<Vec<(i64, i64)>> {
        let mut spans: Option<BTreeSet<i64>> = None;
        for wanted in [askers, fates] {
            let Some(ids) = wanted.ids.as_ref().filter(|ids| ids.len() <= MOST_INDEXED) else { continue };
            let Wanted { table, .. } = wanted;
            let sql = format!("SELECT span FROM {table}_span WHERE {table} = ?1");
            let mut statement = self.connection.prepare(&sql)?;
            let mut of = BTreeSet::new();
            for id in ids {
                for span in statement.query_map([id], |row| row.get::<_, i64>(0))? {
                    of.insert(span?);
                }
            }
            spans = Some(match spans {
                Some(before) => before.intersection(&of).copied().collect(),
                None => of,
            });
        }
        let Some(spans) = spans else { return Ok(vec![(0, i64::MAX)]) };
        let mut all = self.connection.prepare("SELECT number, first FROM span ORDER BY first")?;
        let all: Vec<(i64, i64)> =
            all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        let ends = all.iter().skip(1).map(|(_, first)| *first).chain([i64::MAX]);
        let mut stretches: Vec<(i64, i64)> = Vec::new();
        for ((number, first), end) in all.iter().zip(ends) {
            if !spans.contains(number) {
                continue;
            }
            match stretches.last_mut() {
                Some((_, before)) if *before == *first => *before = end,
                _ => stretches.push((*first, end)),
            }
        }
        Ok(stretches)
    }

    fn askers(&self) -> Result<Vec<AskerRow>, LogError> {
        self.connection
            .prepare(&format!("SELECT {} FROM asker", AskerRow::COLUMNS))
            .and_then(|mut statement| statement.query_map([], |row| AskerRow::read(row, 0))?.collect())
            .map_err(|source| self.problem(source))
    }

    /// What the file itself says is missing, within the time that is wanted.
    fn gaps(&self, gaps: &mut Vec<Gap>) -> Result<(), LogError> {
        let (from, to) = (self.rows.from.as_millisecond(), self.rows.to.as_millisecond());
        let mut found: Vec<Gap> = self
            .connection
            .prepare(
                "SELECT from_ms, until_ms, questions, reason FROM unkept
                 WHERE until_ms >= ?1 AND from_ms < ?2 ORDER BY from_ms, id",
            )
            .and_then(|mut statement| {
                statement
                    .query_map([from, to], |row| {
                        Ok(Gap::Unkept {
                            from: Timestamp::from_millisecond(row.get(0)?).unwrap_or_default(),
                            until: Timestamp::from_millisecond(row.get(1)?).unwrap_or_default(),
                            questions: row.get::<_, i64>(2)?.unsigned_abs(),
                            reason: row.get(3)?,
                        })
                    })?
                    .collect()
            })
            .map_err(|source| self.problem(source))?;
        gaps.append(&mut found);
        let kept: Option<String> = self
            .connection
            .query_row("SELECT value FROM about WHERE key = ?1", [KEPT], |row| row.get(0))
            .optional()
            .map_err(|source| self.problem(source))?;
        match kept.as_deref() {
            None | Some("all") => {}
            Some(kept) => gaps.push(Gap::Reduced { day: self.day, to_holds: kept == "held" }),
        }
        Ok(())
    }
}

/// The numbers of words that are wanted.
struct Wanted {
    table: &'static str,
    /// None, when it is all of them.
    ids: Option<HashSet<i64>>,
}

impl Wanted {
    fn has(&self, id: i64) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&id))
    }
}

/// Whether a query is for what this asker asked.
fn is_from(query: &Query, asker: &AskerRow, key: Option<&DayKey>) -> bool {
    query.client.as_ref().is_none_or(|who| who.is_asker(asker, key))
        && query.profile.as_ref().is_none_or(|profile| *profile == asker.profile)
}

/// Whether a query is for what ended so.
fn is_so(query: &Query, fate: &FateRow) -> bool {
    let has = |category: &String| {
        fate.category == *category || fate.categories.split(' ').any(|known| known == category)
    };
    query.category.as_ref().is_none_or(has)
        && query.action.is_none_or(|action| fate.action == action)
        && (!query.alert || fate.alert)
        && query.reason.as_ref().is_none_or(|reason| *reason == fate.reason)
        && query.list.as_ref().is_none_or(|list| *list == fate.list)
}
