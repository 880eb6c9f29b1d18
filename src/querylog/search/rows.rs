//! From the numbers of a row to its words.

use std::collections::{HashMap, hash_map};

use rusqlite::{Connection, Row};

use super::glob::Glob;
use crate::{
    clock::Day,
    name::Key,
    policy::Policy,
    querylog::{
        Entry, Place,
        day::{
            self,
            rows::{AskerRow, FateRow, entry},
        },
    },
};

/// A question as a day file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::querylog) struct Raw {
    pub(in crate::querylog) at: i64,
    pub(in crate::querylog) asker: i64,
    pub(in crate::querylog) name: i64,
    pub(in crate::querylog) fate: i64,
    pub(in crate::querylog) took: i64,
}

impl Raw {
    /// Of the columns `at, asker, name, fate, took`.
    pub(in crate::querylog) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            at: row.get(0)?,
            asker: row.get(1)?,
            name: row.get(2)?,
            fate: row.get(3)?,
            took: row.get(4)?,
        })
    }
}

#[derive(Debug, Clone)]
struct Name {
    reversed: String,
    shown: String,
    /// It must not be shown, but was not known as such when it was logged.
    masked: bool,
    /// Whether the pattern that is searched for finds it, where that was asked.
    is_of: Option<bool>,
}

/// How many words of each kind are remembered, so that a day with millions of made-up names costs time and not memory.
const REMEMBERED: usize = 250_000;

/// The words of one day file, each read once as long as there are not too many.
///
/// What must not be shown by the policy of today is a digest, whatever stood in the policy of that day.
pub(in crate::querylog) struct Words<'a> {
    connection: &'a Connection,
    policy: &'a Policy,
    day: Day,
    askers: HashMap<i64, AskerRow>,
    names: HashMap<i64, Name>,
    fates: HashMap<i64, FateRow>,
}

impl<'a> Words<'a> {
    pub(in crate::querylog) fn new(connection: &'a Connection, policy: &'a Policy, day: Day) -> Self {
        Self { connection, policy, day, askers: HashMap::new(), names: HashMap::new(), fates: HashMap::new() }
    }

    /// Whether a pattern finds a name; of one search, it is always the same.
    pub(super) fn is_of(&mut self, name: i64, glob: &Glob) -> rusqlite::Result<bool> {
        let name = self.name(name)?;
        Ok(*name.is_of.get_or_insert_with(|| glob.matches(&name.reversed)))
    }

    /// Whether a name stands in clear that must not be shown.
    pub(in crate::querylog) fn is_masked(&mut self, name: i64) -> rusqlite::Result<bool> {
        self.name(name).map(|name| name.masked)
    }

    /// A name as it stands in the file, and as it may be shown today.
    pub(in crate::querylog) fn texts(&mut self, name: i64) -> rusqlite::Result<(&str, &str)> {
        self.name(name).map(|name| (name.reversed.as_str(), name.shown.as_str()))
    }

    /// The words of a row.
    pub(in crate::querylog) fn entry(&mut self, row: &Raw) -> rusqlite::Result<Entry> {
        let name = self.name(row.name)?.shown.clone();
        self.asker(row.asker)?;
        self.fate(row.fate)?;
        // Both were read just now.
        let (asker, fate) = (&self.askers[&row.asker], &self.fates[&row.fate]);
        Ok(entry(Place { day: self.day, at: row.at }, row.took, asker, fate, name))
    }

    fn asker(&mut self, id: i64) -> rusqlite::Result<()> {
        let place = match room(&mut self.askers, &id).entry(id) {
            hash_map::Entry::Occupied(_) => return Ok(()),
            hash_map::Entry::Vacant(place) => place,
        };
        let sql = format!("SELECT {} FROM asker WHERE id = ?1", AskerRow::COLUMNS);
        place.insert(self.connection.prepare_cached(&sql)?.query_row([id], |row| AskerRow::read(row, 0))?);
        Ok(())
    }

    fn name(&mut self, id: i64) -> rusqlite::Result<&mut Name> {
        let place = match room(&mut self.names, &id).entry(id) {
            hash_map::Entry::Occupied(known) => return Ok(known.into_mut()),
            hash_map::Entry::Vacant(place) => place,
        };
        let reversed: String = self
            .connection
            .prepare_cached("SELECT reversed FROM name WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        // A listed name is never one that is escaped, so the labels can be compared as they stand.
        let key = Key::from_bytes(reversed.as_bytes());
        let digests = self.policy.sealed_name(&key).map(|listed| self.policy.digests(&key, listed));
        let masked = digests.is_some();
        let shown = digests.unwrap_or_else(|| day::readable(&reversed));
        Ok(place.insert(Name { reversed, shown, masked, is_of: None }))
    }

    fn fate(&mut self, id: i64) -> rusqlite::Result<()> {
        let place = match room(&mut self.fates, &id).entry(id) {
            hash_map::Entry::Occupied(_) => return Ok(()),
            hash_map::Entry::Vacant(place) => place,
        };
        let sql = format!("SELECT {} FROM fate WHERE id = ?1", FateRow::COLUMNS);
        let mut fate = self.connection.prepare_cached(&sql)?.query_row([id], |row| FateRow::read(row, 0))?;
        fate.rule = self.policy.masked(&fate.rule).into_owned();
        fate.detail = self.policy.masked(&fate.detail).into_owned();
        place.insert(fate);
        Ok(())
    }
}

/// A table of words with room for one more.
fn room<'a, T>(words: &'a mut HashMap<i64, T>, id: &i64) -> &'a mut HashMap<i64, T> {
    if words.len() >= REMEMBERED && !words.contains_key(id) {
        words.clear();
    }
    words
}
