//! What the school asks for: its busiest names, and how often a name was asked lately.
//!
//! Lists are judged by this before they come into force, on a thread of their own. Large days are sampled: a name that
//! a school relies on is in any thousand of its questions.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    day::{self, SPAN},
    error::LogError,
    folder::LogFolder,
    search::Ids,
};
use crate::{clock::Day, name::Key};

/// How many stretches of about a thousand questions are looked at of a day; all, where it has no more.
const SAMPLES: usize = 64;

/// How often a name must have been asked to be a busy one.
const LEAST: u64 = 10;

/// By one of so many of the devices that ask, a name must have been asked to be a busy one: a single machine that calls
/// home all day does not make a name that the school relies on.
const DEVICES: usize = 20;

/// More devices than this are never needed.
const ENOUGH: usize = 10;

/// Days of at most so many stretches are counted row by row.
const COUNTED: i64 = 300;

/// A name that the school asks for often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusyName {
    /// The name.
    pub name: Key,
    /// How often it was asked and given; of large days, an estimate.
    pub questions: u64,
}

/// The names that were asked most in the last days, today among them, and given: the busiest first, at most `most`.
///
/// Only names that several devices asked for, where there are several; none of addresses, and none that must not be
/// shown. A day that can't be read counts for nothing.
///
/// # Errors
///
/// When the folder can't be read.
pub fn busy_names(folder: &LogFolder, today: Day, days: u16, most: usize) -> Result<Vec<BusyName>, LogError> {
    let mut names: HashMap<Key, u64> = HashMap::new();
    for (_, connection) in last_days(folder, today, days)? {
        for BusyName { name, questions } in busy_of(&connection, most.saturating_mul(4)).unwrap_or_default() {
            *names.entry(name).or_default() += questions;
        }
    }
    let busy = names.into_iter().filter(|(_, questions)| *questions >= LEAST);
    Ok(first(busy.map(|(name, questions)| BusyName { name, questions }).collect(), most))
}

fn first(mut names: Vec<BusyName>, most: usize) -> Vec<BusyName> {
    names.sort_unstable_by(|a, b| b.questions.cmp(&a.questions).then_with(|| a.name.cmp(&b.name)));
    names.truncate(most);
    names
}

/// The days that can be read.
pub(super) fn last_days(
    folder: &LogFolder,
    today: Day,
    days: u16,
) -> Result<impl Iterator<Item = (Day, Connection)>, LogError> {
    let known = folder.days().map_err(|source| LogError::file(folder.path(), source))?;
    let since = today.minus(days.saturating_sub(1));
    let folder = folder.clone();
    Ok(known
        .into_iter()
        .filter(move |day| (since..=today).contains(day))
        .filter_map(move |day| Some((day, day::open_to_read(&folder.day(day)).ok().flatten()?))))
}

/// How often a name was asked in the stretches that were looked at, and by which devices.
#[derive(Default)]
struct Seen {
    questions: u64,
    askers: SmallVec<[i64; ENOUGH]>,
}

fn busy_of(connection: &Connection, most: usize) -> rusqlite::Result<Vec<BusyName>> {
    let _snapshot = connection.unchecked_transaction()?;
    let given: Vec<i64> = connection
        .prepare("SELECT id FROM fate WHERE action IN ('allowed', 'rewritten')")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let given = Ids::new(given);
    let spans: Vec<i64> = connection
        .prepare("SELECT first FROM span ORDER BY number")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let samples = spans.len().min(SAMPLES);
    let mut names: HashMap<i64, Seen> = HashMap::new();
    let mut askers: HashSet<i64> = HashSet::new();
    let mut scan = connection.prepare("SELECT asker, name, fate FROM question WHERE at >= ?1 AND at < ?2")?;
    for sample in 0..samples {
        let place = sample * spans.len() / samples;
        let end = spans.get(place + 1).copied().unwrap_or(i64::MAX);
        let mut rows = scan.query([spans[place], end])?;
        while let Some(row) = rows.next()? {
            let asker: i64 = row.get(0)?;
            askers.insert(asker);
            if !given.contains(row.get(2)?) {
                continue;
            }
            let seen = names.entry(row.get(1)?).or_default();
            seen.questions += 1;
            if seen.askers.len() < ENOUGH && !seen.askers.contains(&asker) {
                seen.askers.push(asker);
            }
        }
    }
    let devices = (askers.len() / DEVICES).clamp(1, ENOUGH);
    let mut busy: Vec<(i64, u64)> = names
        .into_iter()
        .filter(|(_, seen)| seen.askers.len() >= devices)
        .map(|(id, seen)| (id, seen.questions))
        .collect();
    busy.sort_unstable_by_key(|(id, questions)| (std::cmp::Reverse(*questions), *id));
    busy.truncate(most);
    let mut read = connection.prepare("SELECT reversed FROM name WHERE id = ?1")?;
    let mut found = Vec::with_capacity(busy.len());
    for (id, questions) in busy {
        let reversed: String = read.query_row([id], |row| row.get(0))?;
        if let Some(name) = key_of(&reversed) {
            let questions = questions * spans.len() as u64 / samples as u64;
            found.push(BusyName { name, questions });
        }
    }
    Ok(found)
}

/// The name, where it is one that a list could have: no digest, nothing escaped, no address.
pub(super) fn key_of(reversed: &str) -> Option<Key> {
    let plain =
        reversed.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let is_site = plain && reversed.contains('.') && !reversed.starts_with("arpa.");
    is_site.then(|| Key::from_bytes(reversed.as_bytes()))
}

/// How often each name was asked in the last days, today among them, with what is below it; of large days, an
/// estimate.
///
/// A day that can't be read counts for nothing.
///
/// # Errors
///
/// When the folder can't be read.
pub fn asked_lately(folder: &LogFolder, names: &[Key], today: Day, days: u16) -> Result<Vec<u64>, LogError> {
    let lately = AskedLately::open(folder, today, days)?;
    Ok(names.iter().map(|name| lately.count(name)).collect())
}

/// How often names were asked in the last days: [`asked_lately`], for very many names.
#[derive(Debug)]
pub struct AskedLately {
    days: Vec<AskedDay>,
    /// Hashes of all names asked and of those above them, so that most names of a list cost one look.
    known: HashSet<u64>,
}

#[derive(Debug)]
struct AskedDay {
    connection: Connection,
    /// How many stretches it has.
    spans: i64,
    /// How often each name was asked, by its number; none of a large day.
    counts: Option<Vec<u32>>,
}

impl AskedLately {
    /// Reads which names were asked in the last days, today among them.
    ///
    /// # Errors
    ///
    /// When the folder can't be read.
    pub fn open(folder: &LogFolder, today: Day, days: u16) -> Result<Self, LogError> {
        let mut known = HashSet::new();
        let days = last_days(folder, today, days)?
            .filter_map(|(_, connection)| AskedDay::read(connection, &mut known).ok())
            .collect();
        Ok(Self { days, known })
    }

    /// Whether nothing was logged in these days.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How often a name, or one below it, was asked.
    #[must_use]
    pub fn count(&self, name: &Key) -> u64 {
        if !self.known.contains(&xxh3_64(name.as_bytes())) {
            return 0;
        }
        let reversed = day::reversed(name.as_bytes());
        self.days.iter().map(|day| day.count(&reversed).unwrap_or(0)).sum()
    }
}

impl AskedDay {
    fn read(connection: Connection, known: &mut HashSet<u64>) -> rusqlite::Result<Self> {
        {
            let mut names = connection.prepare("SELECT reversed FROM name")?;
            let mut rows = names.query([])?;
            while let Some(row) = rows.next()? {
                let name = row.get_ref(0)?.as_bytes()?;
                let ends = name.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
                known.extend(ends.chain([name.len()]).map(|end| xxh3_64(&name[..end])));
            }
        }
        let spans: Option<i64> =
            connection.query_row("SELECT max(number) FROM span", [], |row| row.get(0))?;
        let spans = spans.unwrap_or(0);
        let counts = if spans <= COUNTED { Some(counts(&connection)?) } else { None };
        Ok(Self { connection, spans, counts })
    }

    fn count(&self, reversed: &str) -> rusqlite::Result<u64> {
        let mut names = self.connection.prepare_cached(
            "SELECT id FROM name WHERE reversed = ?1
                UNION ALL SELECT id FROM name WHERE reversed > ?1 || '.' AND reversed < ?1 || '/'",
        )?;
        let mut in_spans =
            self.connection.prepare_cached("SELECT count(*) FROM name_span WHERE name = ?1")?;
        let mut rows = names.query([reversed])?;
        let mut sum = 0;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            sum += match &self.counts {
                Some(counts) => {
                    usize::try_from(id).ok().and_then(|id| counts.get(id)).copied().unwrap_or(0).into()
                }
                None => reckoned(in_spans.query_row([id], |row| row.get(0))?, self.spans),
            };
        }
        Ok(sum)
    }
}

/// How often each name was asked, by its number.
fn counts(connection: &Connection) -> rusqlite::Result<Vec<u32>> {
    let last: Option<i64> = connection.query_row("SELECT max(id) FROM name", [], |row| row.get(0))?;
    // A day this small has no more names than questions.
    let most = COUNTED * i64::from(SPAN) * 4;
    let mut counts = vec![0; usize::try_from(last.unwrap_or(0).clamp(0, most)).unwrap_or(0) + 1];
    let mut statement = connection.prepare("SELECT name FROM question")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if let Some(count) = usize::try_from(id).ok().and_then(|id| counts.get_mut(id)) {
            *count += 1;
        }
    }
    Ok(counts)
}

/// How often a name was asked that occurs in so many of the stretches: as if its questions were strewn over the day by
/// chance, so that some fall into the same stretch.
fn reckoned(within: i64, spans: i64) -> u64 {
    let (within, spans) = (within.max(0) as f64, spans.max(1) as f64);
    // In all of them, it was asked at least a few times for each.
    let missing = (spans - within).max(0.5);
    (spans * (spans / missing).ln()).round().max(within) as u64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::querylog::{
        Action,
        day::{
            rows::{AskerRow, FateRow, QuestionRow},
            write::DayWriter,
        },
    };

    pub(in crate::querylog) const TODAY: Day = Day::from_number(20_779);

    fn fate(action: Action) -> FateRow {
        let empty = String::new;
        FateRow {
            transport: empty(),
            qtype: empty(),
            rcode: empty(),
            action,
            reason: empty(),
            category: empty(),
            list: empty(),
            rule: empty(),
            detail: empty(),
            would: empty(),
            categories: empty(),
            dnssec: empty(),
            source: empty(),
            alert: false,
        }
    }

    /// Writes each name as often as is said, by so many devices, mixed.
    pub(in crate::querylog) fn write(folder: &LogFolder, day: Day, names: &[(&str, usize, i64, Action)]) {
        let mut writer = DayWriter::open(&folder.day(day), day).unwrap();
        writer.begin().unwrap();
        let all: usize = names.iter().map(|(_, times, ..)| times).sum();
        let mut rows: Vec<(usize, &str, i64, Action)> = Vec::new();
        for &(name, times, devices, action) in names {
            for nth in 0..times {
                rows.push((nth * all / times, name, nth as i64 % devices, action));
            }
        }
        rows.sort_by_key(|row| row.0);
        for (place, name, device, action) in rows {
            let client = format!("10.0.{}.{}", device / 250, device % 250);
            let asker =
                writer.asker(&AskerRow { client, profile: "pupils".into(), ..AskerRow::default() }).unwrap();
            let name = match name.contains(':') {
                true => writer.name(name, || None).unwrap(),
                false => {
                    let key = Key::parse(name).unwrap();
                    writer.name(&day::reversed(key.as_bytes()), || None).unwrap()
                }
            };
            let fate = writer.fate(&fate(action)).unwrap();
            writer.question(&QuestionRow { ms: place as i64 * 80, asker, name, fate, took: 1 }).unwrap();
        }
        writer.commit().unwrap();
        writer.close().unwrap();
    }

    pub(in crate::querylog) fn folder() -> (tempfile::TempDir, LogFolder) {
        let data = tempfile::tempdir().unwrap();
        let folder = LogFolder::in_data(data.path());
        (data, folder)
    }

    fn busy(folder: &LogFolder, most: usize) -> Vec<(String, u64)> {
        let names = busy_names(folder, TODAY, 7, most).unwrap();
        names.into_iter().map(|busy| (busy.name.to_string(), busy.questions)).collect()
    }

    #[test]
    fn busy_names_are_those_that_many_devices_asked_for_and_were_given() {
        let (_data, folder) = folder();
        assert_eq!(busy(&folder, 10), []);
        write(
            &folder,
            TODAY,
            &[
                ("maths.example", 300, 100, Action::Allowed),
                ("news.example", 100, 50, Action::Rewritten),
                ("blocked.example", 500, 100, Action::Blocked),
                ("infected.example", 900, 1, Action::Allowed),
                ("4.3.2.1.in-addr.arpa", 300, 100, Action::Allowed),
                ("locked:3fa9c0ffee12", 300, 100, Action::Allowed),
                ("single", 300, 100, Action::Allowed),
                ("seldom.example", 9, 9, Action::Allowed),
            ],
        );
        write(&folder, TODAY.minus(6), &[("news.example", 50, 5, Action::Allowed)]);
        write(&folder, TODAY.minus(7), &[("old.example", 500, 50, Action::Allowed)]);
        std::fs::write(folder.day(TODAY.minus(1)), vec![1; 5_000]).unwrap();
        let expected = [(String::from("maths.example"), 300), (String::from("news.example"), 150)];
        assert_eq!(busy(&folder, 10), expected);
        assert_eq!(busy(&folder, 1), expected[..1]);
    }

    #[test]
    fn of_a_large_day_the_busy_names_are_reckoned() {
        let (_data, folder) = folder();
        let names =
            [("maths.example", 60_000, 100, Action::Allowed), ("news.example", 20_000, 100, Action::Allowed)];
        write(&folder, TODAY, &names);
        for ((name, questions), (expected, times, ..)) in busy(&folder, 10).iter().zip(names) {
            assert!(name == expected && questions.abs_diff(times as u64) < times as u64 / 20, "{questions}");
        }
    }

    #[test]
    fn a_name_is_counted_with_what_is_below_it() {
        let (_data, folder) = folder();
        let key = |name: &str| Key::parse(name).unwrap();
        assert_eq!(asked_lately(&folder, &[key("example")], TODAY, 7).unwrap(), [0]);
        assert!(AskedLately::open(&folder, TODAY, 7).unwrap().is_empty());
        write(
            &folder,
            TODAY,
            &[
                ("news.example", 3, 1, Action::Allowed),
                ("www.news.example", 4, 1, Action::Blocked),
                ("mynews.example", 5, 1, Action::Allowed),
            ],
        );
        write(&folder, TODAY.minus(3), &[("a.b.news.example", 6, 1, Action::Allowed)]);
        write(&folder, TODAY.minus(7), &[("news.example", 7, 1, Action::Allowed)]);
        let names = ["news.example", "www.news.example", "b.news.example", "example", "other.test"].map(key);
        assert_eq!(asked_lately(&folder, &names, TODAY, 7).unwrap(), [13, 4, 6, 18, 0]);
        assert!(!AskedLately::open(&folder, TODAY, 7).unwrap().is_empty());
    }

    #[test]
    fn how_often_a_name_was_asked_follows_from_where_it_occurs() {
        assert_eq!(reckoned(0, 1_000), 0);
        assert_eq!(reckoned(1, 1_000), 1);
        assert_eq!(reckoned(20, 1_000), 20);
        // Strewn by chance, 1,000 questions leave 37 of 100 stretches without one.
        assert!(reckoned(632, 1_000).abs_diff(1_000) < 5);
        assert!(reckoned(1_000, 1_000) > 5_000);
    }
}
