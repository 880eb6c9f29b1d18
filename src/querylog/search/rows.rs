//! From the numbers of a row to its words.

use std::collections::{HashMap, hash_map};

use jiff::Timestamp;
use rusqlite::{Connection, Row, types::Type};

use super::glob::Glob;
use crate::{
    clock::Day,
    name::Key,
    policy::Policy,
    querylog::{Action, Entry, Place, day},
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
struct Asker {
    client: String,
    profile: String,
    device: String,
    mac: String,
    known_by: String,
    confidence: String,
    lease: Option<(Timestamp, Timestamp)>,
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

#[derive(Debug, Clone)]
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

/// The words of one day file, each read once.
///
/// What must not be shown by the policy of today is a digest, whatever stood in the policy of that day.
pub(in crate::querylog) struct Words<'a> {
    connection: &'a Connection,
    policy: &'a Policy,
    day: Day,
    askers: HashMap<i64, Asker>,
    names: HashMap<i64, Name>,
    fates: HashMap<i64, Fate>,
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

    /// The words of a row.
    pub(in crate::querylog) fn entry(&mut self, row: &Raw) -> rusqlite::Result<Entry> {
        let place = Place { day: self.day, at: row.at };
        let asker = self.asker(row.asker)?.clone();
        let name = self.name(row.name)?.shown.clone();
        let fate = self.fate(row.fate)?.clone();
        Ok(Entry {
            place,
            time: place.time(),
            client: asker.client,
            device: asker.device,
            mac: asker.mac,
            profile: asker.profile,
            known_by: asker.known_by,
            confidence: asker.confidence,
            lease: asker.lease,
            name,
            qtype: fate.qtype,
            rcode: fate.rcode,
            action: fate.action,
            reason: fate.reason,
            category: fate.category,
            list: fate.list,
            rule: fate.rule,
            detail: fate.detail,
            would: fate.would,
            categories: fate.categories,
            dnssec: fate.dnssec,
            source: fate.source,
            transport: fate.transport,
            alert: fate.alert,
            took_us: u32::try_from(row.took).unwrap_or(u32::MAX),
        })
    }

    fn asker(&mut self, id: i64) -> rusqlite::Result<&Asker> {
        let place = match self.askers.entry(id) {
            hash_map::Entry::Occupied(known) => return Ok(known.into_mut()),
            hash_map::Entry::Vacant(place) => place,
        };
        let asker = self
            .connection
            .prepare_cached(
                "SELECT client, profile, device, mac, known_by, confidence, lease_from, lease_until FROM asker
                    WHERE id = ?1",
            )?
            .query_row([id], |row| {
                let lease: (i64, i64) = (row.get(6)?, row.get(7)?);
                let time = |seconds| Timestamp::from_second(seconds).ok();
                Ok(Asker {
                    client: row.get(0)?,
                    profile: row.get(1)?,
                    device: row.get(2)?,
                    mac: row.get(3)?,
                    known_by: row.get(4)?,
                    confidence: row.get(5)?,
                    lease: if lease == (0, 0) { None } else { time(lease.0).zip(time(lease.1)) },
                })
            })?;
        Ok(place.insert(asker))
    }

    fn name(&mut self, id: i64) -> rusqlite::Result<&mut Name> {
        let place = match self.names.entry(id) {
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

    fn fate(&mut self, id: i64) -> rusqlite::Result<&Fate> {
        let place = match self.fates.entry(id) {
            hash_map::Entry::Occupied(known) => return Ok(known.into_mut()),
            hash_map::Entry::Vacant(place) => place,
        };
        let policy = self.policy;
        let fate = self
            .connection
            .prepare_cached(
                "SELECT transport, qtype, rcode, action, reason, category, list, rule, detail, would, categories,
                    dnssec, source, alert FROM fate WHERE id = ?1",
            )?
            .query_row([id], |row| {
                let action: String = row.get(3)?;
                let action = Action::from_word(&action).ok_or_else(|| {
                    let what = format!("{action:?} is no action");
                    rusqlite::Error::FromSqlConversionFailure(3, Type::Text, what.into())
                })?;
                let (rule, detail): (String, String) = (row.get(7)?, row.get(8)?);
                Ok(Fate {
                    transport: row.get(0)?,
                    qtype: row.get(1)?,
                    rcode: row.get(2)?,
                    action,
                    reason: row.get(4)?,
                    category: row.get(5)?,
                    list: row.get(6)?,
                    rule: policy.masked(&rule).into_owned(),
                    detail: policy.masked(&detail).into_owned(),
                    would: row.get(9)?,
                    categories: row.get(10)?,
                    dnssec: row.get(11)?,
                    source: row.get(12)?,
                    alert: row.get(13)?,
                })
            })?;
        Ok(place.insert(fate))
    }
}
