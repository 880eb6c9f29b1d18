//! Reading all rows of a time, oldest first, with what is known to be missing among them.

use std::{collections::HashMap, fs, io, sync::Arc};

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
    },
    vault::Digest,
};

/// How many rows are read at once: a reader that lingers would keep the writer's journal from being emptied.
const AT_ONCE: u32 = 5_000;

/// How many askers and fates of a day are remembered while its rows are read.
const REMEMBERED: usize = 20_000;

/// The key under which a file says how much of its day it has: `all` (or nothing), `blocked` or `held`.
const KEPT: &str = "kept";

/// Which rows are wanted: those to which everything that is said applies.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Filter {
    /// The address, the device's name, its link-layer address, or a pseudonym.
    pub client: Option<String>,
    /// The profile's identifier.
    pub profile: Option<String>,
    /// The name asked for; `*` stands for any characters, `?` for one.
    pub name: Option<String>,
    /// The category that decided, or one that the name has.
    pub category: Option<String>,
    /// What happened.
    pub action: Option<Action>,
}

impl Filter {
    /// What it says, by the names on the command line.
    #[must_use]
    pub fn words(&self) -> std::collections::BTreeMap<String, String> {
        let action = self.action.map(|action| action.word().to_owned());
        [
            ("client", &self.client),
            ("profile", &self.profile),
            ("name", &self.name),
            ("category", &self.category),
            ("action", &action),
        ]
        .into_iter()
        .filter_map(|(word, value)| Some((word.to_owned(), value.clone()?)))
        .collect()
    }

    fn wants_asker(&self, asker: &Asker) -> bool {
        let is = |client: &String| {
            [&asker.client, &asker.device, &asker.mac].iter().any(|known| known.eq_ignore_ascii_case(client))
        };
        self.client.as_ref().is_none_or(is)
            && self.profile.as_ref().is_none_or(|profile| *profile == asker.profile)
    }

    fn wants_fate(&self, fate: &Fate) -> bool {
        let has = |category: &String| {
            fate.category == *category || fate.categories.split(' ').any(|known| known == category)
        };
        self.category.as_ref().is_none_or(has) && self.action.is_none_or(|action| fate.action == action)
    }

    fn wants_name(&self, name: &str) -> bool {
        self.name.as_ref().is_none_or(|glob| matches(glob.trim_end_matches('.').as_bytes(), name.as_bytes()))
    }
}

/// Whether a text fits a pattern with `*` and `?`, without regard to case.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(byte) if *byte == b'?' || byte.eq_ignore_ascii_case(&text[t]) => {
                g += 1;
                t += 1;
            }
            _ => match star {
                // The last star takes one more.
                Some((at, from)) => {
                    g = at + 1;
                    t = from + 1;
                    star = Some((at, t));
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

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
    /// Hands out each row of the time that `wants` chooses by its asker and `filter` by everything, the oldest first.
    ///
    /// Damage ends the reading of that day, not of the others; what is known to be missing comes back.
    ///
    /// # Errors
    ///
    /// What `each` says, or when the folder can't be read.
    pub(in crate::querylog) fn for_each(
        &self,
        filter: &Filter,
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
                Ok(Some(open)) => {
                    open.gaps(&mut gaps).and_then(|()| open.for_each(filter, &wants, &mut each))
                }
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
        filter: &Filter,
        wants: &impl Fn(Day, &Asker) -> bool,
        each: &mut impl FnMut(&Entry) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let problem = |source| self.problem(source);
        let end = match self.at(self.rows.to) {
            // A full millisecond spills over into the next one, also at the end of the day.
            at if at == DAY_MS * PER_MILLISECOND => i64::MAX,
            at => at,
        };
        let mut next = self.at(self.rows.from);
        let mut statement = self
            .connection
            .prepare(
                "SELECT question.at, question.asker, question.fate, question.took, name.reversed
                 FROM question JOIN name ON name.id = question.name
                 WHERE question.at >= ?1 AND question.at < ?2 ORDER BY question.at LIMIT ?3",
            )
            .map_err(problem)?;
        let mut askers: HashMap<i64, Option<Arc<Asker>>> = HashMap::new();
        let mut fates: HashMap<i64, Option<Arc<Fate>>> = HashMap::new();
        loop {
            // Read first and handed out then, so that no reader lingers while somebody writes to a slow disk.
            let some: Vec<(i64, i64, i64, u32, String)> = statement
                .query_map(params![next, end, AT_ONCE], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                })
                .and_then(Iterator::collect)
                .map_err(problem)?;
            let Some((last, ..)) = some.last() else { return Ok(()) };
            next = last + 1;
            for (at, asker, fate, took, reversed) in some {
                if askers.len() > REMEMBERED {
                    askers.clear();
                }
                if fates.len() > REMEMBERED {
                    fates.clear();
                }
                let asker = match askers.get(&asker) {
                    Some(known) => known.clone(),
                    None => {
                        let found = self.asker(asker)?;
                        let found =
                            (wants(self.day, &found) && filter.wants_asker(&found)).then(|| Arc::new(found));
                        askers.insert(asker, found.clone());
                        found
                    }
                };
                let fate = match fates.get(&fate) {
                    Some(known) => known.clone(),
                    None => {
                        let found = self.fate(fate)?;
                        let found = filter.wants_fate(&found).then(|| Arc::new(found));
                        fates.insert(fate, found.clone());
                        found
                    }
                };
                let (Some(asker), Some(fate)) = (asker, fate) else { continue };
                let name = self.name(&reversed);
                if filter.wants_name(&name) {
                    each(&self.entry(at, took, &asker, &fate, name))?;
                }
            }
        }
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

    fn asker(&self, id: i64) -> Result<Asker, LogError> {
        self.connection
            .prepare_cached(&format!("{ASKER} WHERE id = ?1"))
            .and_then(|mut statement| statement.query_row([id], asker))
            .map_err(|source| self.problem(source))
    }

    fn askers(&self) -> Result<Vec<Asker>, LogError> {
        self.connection
            .prepare(ASKER)
            .and_then(|mut statement| statement.query_map([], asker)?.collect())
            .map_err(|source| self.problem(source))
    }

    fn fate(&self, id: i64) -> Result<Fate, LogError> {
        let masked = |text: String| self.rows.policy.masked(&text).into_owned();
        self.connection
            .prepare_cached(
                "SELECT transport, qtype, rcode, action, reason, category, list, rule, detail, would, categories,
                    dnssec, source, alert FROM fate WHERE id = ?1",
            )
            .and_then(|mut statement| {
                statement.query_row([id], |row| {
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
                })
            })
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

const ASKER: &str =
    "SELECT client, profile, device, mac, known_by, confidence, lease_from, lease_until, sealed FROM asker";

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `matches` says, slowly and plainly.
    fn plainly(glob: &[u8], text: &[u8]) -> bool {
        match (glob.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => plainly(rest, text),
            (Some((b'*', rest)), Some((_, less))) => plainly(rest, text) || plainly(glob, less),
            (Some((g, rest)), Some((t, less))) => (*g == b'?' || g == t) && plainly(rest, less),
            _ => false,
        }
    }

    #[test]
    fn patterns_find_what_people_mean() {
        for (glob, name, found) in [
            ("*.example.com", "www.example.com", true),
            ("*.example.com", "example.com", false),
            ("*tok*", "www.tiktok.example", true),
            ("WWW.Example.Com", "www.example.com", true),
            ("example", "example.com", false),
        ] {
            let filter = Filter { name: Some(glob.into()), ..Filter::default() };
            assert_eq!(filter.wants_name(name), found, "{glob} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_it_should(glob in "[ab*?]{0,7}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(glob.as_bytes(), text.as_bytes()), plainly(glob.as_bytes(), text.as_bytes()));
        }
    }
}
