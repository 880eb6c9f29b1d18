//! A look at the questions of the last days, all of them or an even sample: for who has only a moment.

use std::{collections::HashMap, net::IpAddr};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    day::Place,
    error::LogError,
    folder::LogFolder,
    habits::{key_of, last_days},
};
use crate::{clients::Mac, clock::Day, name::Key};

/// At most so many different names are looked at, so that memory stays small.
const MOST_NAMES: usize = 250_000;

/// Who asked, as far as the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The address; none behind a pseudonym.
    pub address: Option<IpAddr>,
    /// The link-layer address, where it is known.
    pub mac: Option<Mac>,
    /// The profile's identifier.
    pub profile: String,
}

/// A question of the last days.
#[derive(Debug, Clone, Copy)]
pub struct Glimpse<'a> {
    /// When it arrived.
    pub at: Timestamp,
    /// A number of who asked: the same for as long as a day has them in one row.
    pub asker: usize,
    /// Who asked.
    pub seen: &'a Seen,
    /// A number of the name: the same for equal names.
    pub name: usize,
    /// The name.
    pub key: &'a Key,
}

/// How much of the last days was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Coverage {
    /// How many questions were read.
    pub questions: u64,
    /// How many stretches of about a thousand questions were read.
    pub read: u64,
    /// How many there are.
    pub all: u64,
}

impl Coverage {
    /// Whether a part of the log was left out.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.read < self.all
    }

    /// How many there are in all, reckoned from how many were found in the part that was read.
    #[must_use]
    pub fn reckon(&self, found: u64) -> u64 {
        if !self.is_cut() || self.read == 0 {
            return found;
        }
        let whole = u128::from(found) * u128::from(self.all) / u128::from(self.read);
        u64::try_from(whole).unwrap_or(u64::MAX)
    }
}

/// The file of a day with what was read of it.
struct Look {
    day: Day,
    connection: Connection,
    askers: HashMap<i64, usize>,
    names: HashMap<i64, Option<usize>>,
}

/// A stretch of questions: which look, and where it begins and ends.
struct Stretch {
    look: usize,
    from: i64,
    to: i64,
}

/// Shows each question of the last days, today among them, whose name a list could have, for as long as `go_on` says
/// so; it is asked before each thousand.
///
/// Questions come in no order. What was shown when it ends is an even sample of all days. Questions that were refused
/// are left out, and a day that can't be read counts for nothing.
///
/// # Errors
///
/// When the folder can't be read.
pub fn glance(
    folder: &LogFolder,
    today: Day,
    days: u16,
    mut go_on: impl FnMut() -> bool,
    mut each: impl FnMut(&Glimpse<'_>),
) -> Result<Coverage, LogError> {
    let (mut looks, mut stretches) = (Vec::new(), Vec::new());
    for (day, connection) in last_days(folder, today, days)? {
        let Ok(found) = stretches_of(&connection) else { continue };
        let look = looks.len();
        stretches.extend(found.into_iter().map(|(from, to)| Stretch { look, from, to }));
        looks.push(Look { day, connection, askers: HashMap::new(), names: HashMap::new() });
    }
    // By chance, but always the same.
    stretches.sort_by_cached_key(|stretch| {
        let place = [(stretch.look as u64).to_le_bytes(), stretch.from.to_le_bytes()];
        xxh3_64(place.as_flattened())
    });
    let mut people: Vec<Seen> = Vec::new();
    let mut names = Names::default();
    let mut coverage = Coverage { all: stretches.len() as u64, ..Coverage::default() };
    for stretch in &stretches {
        if names.keys.len() >= MOST_NAMES || !go_on() {
            break;
        }
        let read = looks[stretch.look].read(stretch, &mut people, &mut names, &mut each);
        coverage.questions += read.unwrap_or(0);
        coverage.read += 1;
    }
    Ok(coverage)
}

fn stretches_of(connection: &Connection) -> rusqlite::Result<Vec<(i64, i64)>> {
    let firsts: Vec<i64> = connection
        .prepare("SELECT first FROM span ORDER BY number")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let ends = firsts.iter().skip(1).copied().chain([i64::MAX]);
    Ok(firsts.iter().copied().zip(ends).collect())
}

/// All names that were read, of whatever day.
#[derive(Default)]
struct Names {
    keys: Vec<Key>,
    places: HashMap<Box<[u8]>, usize>,
}

impl Names {
    fn place(&mut self, key: Key) -> usize {
        if let Some(place) = self.places.get(key.as_bytes()) {
            return *place;
        }
        let place = self.keys.len();
        self.places.insert(key.as_bytes().into(), place);
        self.keys.push(key);
        place
    }
}

impl Look {
    fn read(
        &mut self,
        stretch: &Stretch,
        people: &mut Vec<Seen>,
        names: &mut Names,
        each: &mut impl FnMut(&Glimpse<'_>),
    ) -> rusqlite::Result<u64> {
        let mut scan = self
            .connection
            .prepare_cached("SELECT at, asker, name FROM question WHERE at >= ?1 AND at < ?2")?;
        let mut rows = scan.query([stretch.from, stretch.to])?;
        let mut read = 0;
        while let Some(row) = rows.next()? {
            read += 1;
            let (asker, name): (i64, i64) = (row.get(1)?, row.get(2)?);
            let name = match self.names.get(&name) {
                Some(place) => *place,
                None => {
                    let place = name_of(&self.connection, name)?.map(|key| names.place(key));
                    self.names.insert(name, place);
                    place
                }
            };
            let asker = match self.askers.get(&asker) {
                Some(place) => *place,
                None => {
                    people.push(seen(&self.connection, asker)?);
                    self.askers.insert(asker, people.len() - 1);
                    people.len() - 1
                }
            };
            let seen = &people[asker];
            if let Some(name) = name.filter(|_| !seen.profile.is_empty()) {
                let at = Place { day: self.day, at: row.get(0)? }.time();
                each(&Glimpse { at, asker, seen, name, key: &names.keys[name] });
            }
        }
        Ok(read)
    }
}

fn name_of(connection: &Connection, id: i64) -> rusqlite::Result<Option<Key>> {
    let reversed: Option<String> = connection
        .prepare_cached("SELECT reversed FROM name WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(reversed.as_deref().and_then(key_of))
}

fn seen(connection: &Connection, id: i64) -> rusqlite::Result<Seen> {
    connection.prepare_cached("SELECT client, mac, profile FROM asker WHERE id = ?1")?.query_row(
        [id],
        |row| {
            let (client, mac): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(Seen { address: client.parse().ok(), mac: mac.parse().ok(), profile: row.get(2)? })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::querylog::{
        Action,
        habits::tests::{TODAY, folder, write},
    };

    #[test]
    fn every_question_is_shown_once() {
        let (_data, folder) = folder();
        write(
            &folder,
            TODAY,
            &[("maths.example", 3_000, 100, Action::Allowed), ("games.example", 40, 4, Action::Blocked)],
        );
        write(&folder, TODAY.minus(6), &[("games.example", 2, 1, Action::Allowed)]);
        write(&folder, TODAY.minus(7), &[("games.example", 5, 1, Action::Allowed)]);
        let mut counts: HashMap<String, u64> = HashMap::new();
        let coverage = glance(
            &folder,
            TODAY,
            7,
            || true,
            |glimpse| {
                *counts.entry(glimpse.key.to_string()).or_default() += 1;
                assert!(glimpse.seen.address.is_some());
            },
        )
        .unwrap();
        assert_eq!((counts["maths.example"], counts["games.example"]), (3_000, 42));
        assert_eq!((coverage.questions, coverage.is_cut()), (3_042, false));
        assert_eq!(coverage.reckon(7), 7);
    }

    #[test]
    fn whoever_has_no_time_gets_an_even_part_and_is_told() {
        let (_data, folder) = folder();
        write(&folder, TODAY, &[("maths.example", 40_000, 100, Action::Allowed)]);
        let mut left = 10;
        let mut seen = 0_u64;
        let coverage = glance(
            &folder,
            TODAY,
            7,
            || {
                left -= 1;
                left >= 0
            },
            |_| seen += 1,
        )
        .unwrap();
        assert!(coverage.is_cut() && coverage.read == 10);
        let reckoned = coverage.reckon(seen);
        assert!((30_000..50_000).contains(&reckoned), "{reckoned}");
    }
}
