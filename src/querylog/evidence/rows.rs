//! Reading all rows of a time, oldest first, with what is known to be missing among them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs, io,
    net::IpAddr,
    sync::Arc,
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    clock::Day,
    name::Key,
    policy::Policy,
    querylog::{
        day::{self, DAY_MS, PER_MILLISECOND, Place, readable},
        entry::Entry,
        error::LogError,
        event::Action,
        folder::LogFolder,
        search::{Query, Who},
    },
    vault::Digest,
};

/// How many rows are read at once: a reader that lingers would keep the writer's journal from being emptied.
const AT_ONCE: u32 = 5_000;

/// How many askers and fates of a day are remembered while its rows are read.
const REMEMBERED: usize = 20_000;

/// The key under which a file says how much of its day it has: `all` (or nothing), `blocked` or `held`.
const KEPT: &str = "kept";

/// Of more askers or fates than this it costs more to ask the index than to read all rows.
const MOST_INDEXED: usize = 4_000;

/// Who asked, of a day.
#[derive(Debug)]
pub(in crate::querylog) struct Asker {
    pub(in crate::querylog) client: String,
    pub(in crate::querylog) profile: String,
    pub(in crate::querylog) device: String,
    pub(in crate::querylog) mac: String,
    pub(in crate::querylog) known_by: String,
    pub(in crate::querylog) confidence: String,
    pub(in crate::querylog) lease: Option<(Timestamp, Timestamp)>,
    pub(in crate::querylog) sealed: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Fate {
    transport: String,
    qtype: String,
    rcode: String,
    action: Action,
    reason: String,
    category: String,
    list: String,
    rule: String,
    detail: String,
    would: String,
    categories: String,
    dnssec: String,
    source: String,
    alert: bool,
}

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
        wants: impl Fn(Day, &Asker) -> bool,
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
    pub(in crate::querylog) fn askers(&self, day: Day) -> Result<Vec<Asker>, LogError> {
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
        wants: &impl Fn(Day, &Asker) -> bool,
        each: &mut impl FnMut(&Entry) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let problem = |source| self.problem(source);
        let end = match self.at(self.rows.to) {
            // A full millisecond spills over into the next one, also at the end of the day.
            at if at == DAY_MS * PER_MILLISECOND => i64::MAX,
            at => at,
        };
        let askers = self
            .wanted(
                "asker",
                |row| asker(row).map(|asker| wants(self.day, &asker) && is_from(query, &asker)),
                ASKER,
            )
            .map_err(problem)?;
        let fates = self
            .wanted("fate", |row| self.fate_of(row).map(|fate| is_so(query, &fate)), FATE)
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
                "SELECT question.at, question.asker, question.fate, question.took, name.reversed
                 FROM question JOIN name ON name.id = question.name
                 WHERE question.at >= ?1 AND question.at < ?2 ORDER BY question.at LIMIT ?3",
            )
            .map_err(problem)?;
        let mut words = Words::default();
        for (first, beyond) in self.stretches(&askers, &fates).map_err(problem)? {
            let (mut next, end) = (self.at(self.rows.from).max(first), end.min(beyond));
            while next < end {
                // Read first and handed out then, so that no reader lingers while somebody writes to a slow disk.
                let some: Vec<(i64, i64, i64, i64, String)> = statement
                    .query_map(params![next, end, AT_ONCE], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                    })
                    .and_then(Iterator::collect)
                    .map_err(problem)?;
                let Some((last, ..)) = some.last() else { break };
                next = last + 1;
                for (at, asker, fate, took, reversed) in some {
                    if !askers.has(asker) || !fates.has(fate) {
                        continue;
                    }
                    let shown = self.name(&reversed);
                    if is_named(&reversed, &shown) {
                        let asker = words.asker(self, asker).map_err(problem)?;
                        let fate = words.fate(self, fate).map_err(problem)?;
                        let took = u32::try_from(took).unwrap_or(u32::MAX);
                        each(&self.entry(at, took, &asker, &fate, shown))?;
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

    fn entry(&self, at: i64, took_us: u32, asker: &Asker, fate: &Fate, name: String) -> Entry {
        let place = Place { day: self.day, at };
        Entry {
            place,
            time: place.time(),
            client: asker.client.clone(),
            device: asker.device.clone(),
            mac: asker.mac.clone(),
            profile: asker.profile.clone(),
            known_by: asker.known_by.clone(),
            confidence: asker.confidence.clone(),
            lease: asker.lease,
            name,
            qtype: fate.qtype.clone(),
            rcode: fate.rcode.clone(),
            action: fate.action,
            reason: fate.reason.clone(),
            category: fate.category.clone(),
            list: fate.list.clone(),
            rule: fate.rule.clone(),
            detail: fate.detail.clone(),
            would: fate.would.clone(),
            categories: fate.categories.clone(),
            dnssec: fate.dnssec.clone(),
            source: fate.source.clone(),
            transport: fate.transport.clone(),
            alert: fate.alert,
            took_us,
        }
    }

    /// A name as it may be shown today.
    fn name(&self, reversed: &str) -> String {
        let name = readable(reversed);
        if name.starts_with(Digest::PREFIX) {
            return name;
        }
        match Key::parse(&name) {
            Ok(key) => self.rows.policy.sealed_name(&key).map_or(name, |digest| digest.to_string()),
            // With labels that no list has; what is above them may be listed.
            Err(_) => self.rows.policy.masked(&name).into_owned(),
        }
    }

    fn askers(&self) -> Result<Vec<Asker>, LogError> {
        self.connection
            .prepare(&format!("SELECT {ASKER} FROM asker"))
            .and_then(|mut statement| statement.query_map([], asker)?.collect())
            .map_err(|source| self.problem(source))
    }

    fn fate_of(&self, row: &Row<'_>) -> rusqlite::Result<Fate> {
        let masked = |text: String| self.rows.policy.masked(&text).into_owned();
        let action: String = row.get(3)?;
        Ok(Fate {
            transport: row.get(0)?,
            qtype: row.get(1)?,
            rcode: row.get(2)?,
            action: Action::from_word(&action).ok_or_else(|| {
                let what = format!("no action is called {action:?}");
                rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, what.into())
            })?,
            reason: row.get(4)?,
            category: row.get(5)?,
            list: row.get(6)?,
            rule: masked(row.get(7)?),
            detail: masked(row.get(8)?),
            would: row.get(9)?,
            categories: row.get(10)?,
            dnssec: row.get(11)?,
            source: row.get(12)?,
            alert: row.get(13)?,
        })
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

/// The columns that [`asker`] reads.
const ASKER: &str = "client, profile, device, mac, known_by, confidence, lease_from, lease_until, sealed";

/// The columns that [`OneDay::fate_of`] reads.
const FATE: &str =
    "transport, qtype, rcode, action, reason, category, list, rule, detail, would, categories, dnssec,
    source, alert";

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

/// Words that were read, as many as there is room for.
#[derive(Default)]
struct Words {
    askers: HashMap<i64, Arc<Asker>>,
    fates: HashMap<i64, Arc<Fate>>,
}

impl Words {
    fn asker(&mut self, day: &OneDay<'_>, id: i64) -> rusqlite::Result<Arc<Asker>> {
        if let Some(known) = self.askers.get(&id) {
            return Ok(Arc::clone(known));
        }
        if self.askers.len() > REMEMBERED {
            self.askers.clear();
        }
        let sql = format!("SELECT {ASKER} FROM asker WHERE id = ?1");
        let found = Arc::new(day.connection.prepare_cached(&sql)?.query_row([id], asker)?);
        self.askers.insert(id, Arc::clone(&found));
        Ok(found)
    }

    fn fate(&mut self, day: &OneDay<'_>, id: i64) -> rusqlite::Result<Arc<Fate>> {
        if let Some(known) = self.fates.get(&id) {
            return Ok(Arc::clone(known));
        }
        if self.fates.len() > REMEMBERED {
            self.fates.clear();
        }
        let sql = format!("SELECT {FATE} FROM fate WHERE id = ?1");
        let found = Arc::new(day.connection.prepare_cached(&sql)?.query_row([id], |row| day.fate_of(row))?);
        self.fates.insert(id, Arc::clone(&found));
        Ok(found)
    }
}

/// Whether a query is for what this asker asked.
fn is_from(query: &Query, asker: &Asker) -> bool {
    let address = || asker.client.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let is = |who: &Who| match who {
        Who::Address(wanted) => address() == Some(*wanted),
        Who::Net(net) => address().is_some_and(|address| net.contains(&address)),
        Who::Mac(mac) => asker.mac.parse() == Ok(*mac),
        Who::Called(name) => {
            [&asker.device, &asker.client].iter().any(|known| known.eq_ignore_ascii_case(name))
        }
    };
    query.client.as_ref().is_none_or(is)
        && query.profile.as_ref().is_none_or(|profile| *profile == asker.profile)
}

/// Whether a query is for what ended so.
fn is_so(query: &Query, fate: &Fate) -> bool {
    let has = |category: &String| {
        fate.category == *category || fate.categories.split(' ').any(|known| known == category)
    };
    query.category.as_ref().is_none_or(has)
        && query.action.is_none_or(|action| fate.action == action)
        && (!query.alert || fate.alert)
        && query.reason.as_ref().is_none_or(|reason| *reason == fate.reason)
        && query.list.as_ref().is_none_or(|list| *list == fate.list)
}

fn asker(row: &Row<'_>) -> rusqlite::Result<Asker> {
    let (from, until): (i64, i64) = (row.get(6)?, row.get(7)?);
    let time = |seconds| Timestamp::from_second(seconds).unwrap_or_default();
    Ok(Asker {
        client: row.get(0)?,
        profile: row.get(1)?,
        device: row.get(2)?,
        mac: row.get(3)?,
        known_by: row.get(4)?,
        confidence: row.get(5)?,
        lease: (from != 0 || until != 0).then(|| (time(from), time(until))),
        sealed: row.get(8)?,
    })
}
