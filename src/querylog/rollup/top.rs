//! What was asked for most, and who asked most, from the rows of a day file.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use xxhash_rust::xxh3::xxh3_64;

use super::build::word;
use crate::querylog::Action;

/// The actions of which the most frequent names and clients are kept.
const ACTIONS: [Action; 2] = [Action::Allowed, Action::Blocked];

/// How many names and clients are counted at one time, so that a flood of made-up names costs little memory. Beyond,
/// the rarer half is forgotten: what comes up most stays, counted a little too low at worst.
const MOST: usize = 1 << 16;

/// That so many clients ask for a name makes it nobody's in particular.
pub(super) const MANY: usize = 3;

/// The most frequent names and clients of a stretch of a day.
#[derive(Debug, Default)]
pub(super) struct Tops {
    /// Profile, action, name, questions, clients.
    names: Vec<(String, Action, String, u64, usize)>,
    /// Profile, action, client, questions.
    clients: Vec<(String, Action, String, u64)>,
}

/// A profile (its place) and an action.
type Kind = (u16, u8);

/// How often a name was asked for, and by whom: as many as make it nobody's in particular.
#[derive(Debug, Default)]
struct Asked {
    questions: u64,
    clients: [u64; MANY],
    different: usize,
}

impl Asked {
    fn by(&mut self, client: u64) {
        self.questions += 1;
        if self.different < MANY && !self.clients[..self.different].contains(&client) {
            self.clients[self.different] = client;
            self.different += 1;
        }
    }
}

/// What is needed of the words of a day file.
struct Words {
    profiles: Vec<String>,
    /// By number: the place of the profile, and a hash of the client.
    askers: HashMap<i64, (u16, u64)>,
    /// By number: the place of the action.
    fates: HashMap<i64, u8>,
}

impl Words {
    fn of(source: &Connection) -> rusqlite::Result<Self> {
        let mut words = Self { profiles: Vec::new(), askers: HashMap::new(), fates: HashMap::new() };
        let mut statement = source.prepare_cached("SELECT id, profile, client FROM asker")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let profile = row.get_ref(1)?.as_str().unwrap_or_default();
            let place = match words.profiles.iter().position(|known| known == profile) {
                Some(place) => place,
                None => {
                    words.profiles.push(profile.to_owned());
                    words.profiles.len() - 1
                }
            };
            let client = xxh3_64(row.get_ref(2)?.as_bytes().unwrap_or_default());
            // A policy has few profiles.
            words.askers.insert(row.get(0)?, (place as u16, client));
        }
        let mut statement = source.prepare_cached("SELECT id, action FROM fate")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let action = row.get_ref(1)?.as_str().ok().and_then(Action::from_word);
            if let Some(place) = ACTIONS.iter().position(|known| Some(*known) == action) {
                words.fates.insert(row.get(0)?, place as u8);
            }
        }
        Ok(words)
    }
}

impl Tops {
    /// Counts the rows between two places; `most` of each profile and action are kept.
    pub(super) fn of(source: &Connection, from: i64, to: i64, most: usize) -> rusqlite::Result<Self> {
        let words = Words::of(source)?;
        let mut names: HashMap<(Kind, i64), Asked> = HashMap::new();
        let mut clients: HashMap<(Kind, u64), (u64, i64)> = HashMap::new();
        let mut statement =
            source.prepare_cached("SELECT asker, name, fate FROM question WHERE at >= ?1 AND at < ?2")?;
        let mut rows = statement.query([from, to])?;
        while let Some(row) = rows.next()? {
            let (asker, name, fate): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (Some((profile, client)), Some(action)) = (words.askers.get(&asker), words.fates.get(&fate))
            else {
                continue;
            };
            let kind = (*profile, *action);
            names.entry((kind, name)).or_default().by(*client);
            let of_client = clients.entry((kind, *client)).or_insert((0, asker));
            of_client.0 += 1;
            thin_out(&mut names, |asked| asked.questions);
            thin_out(&mut clients, |(questions, _)| *questions);
        }
        let name = |id| text(source, "SELECT reversed FROM name WHERE id = ?1", id);
        let client = |id| text(source, "SELECT client FROM asker WHERE id = ?1", id);
        let mut tops = Self::default();
        for (((profile, action), id), asked) in most_of(names, most, |asked| asked.questions) {
            if let Some(name) = name(id)? {
                let profile = words.profiles[usize::from(profile)].clone();
                let action = ACTIONS[usize::from(action)];
                tops.names.push((profile, action, name, asked.questions, asked.different));
            }
        }
        for (((profile, action), _), (questions, asker)) in most_of(clients, most, |(n, _)| *n) {
            if let Some(client) = client(asker)? {
                let profile = words.profiles[usize::from(profile)].clone();
                tops.clients.push((profile, ACTIONS[usize::from(action)], client, questions));
            }
        }
        Ok(tops)
    }

    /// Writes them as those of an hour or a day.
    pub(super) fn write(&self, change: &Transaction<'_>, step: &str, period: i64) -> rusqlite::Result<()> {
        let sql = format!("INSERT OR REPLACE INTO {step}_name VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
        let mut insert = change.prepare_cached(&sql)?;
        for (profile, action, name, questions, clients) in &self.names {
            let profile = word(change, "word", profile)?;
            let action = word(change, "word", action.word())?;
            let name = word(change, "name", name)?;
            insert.execute(params![period, profile, action, name, *questions as i64, *clients as i64])?;
        }
        let sql = format!("INSERT OR REPLACE INTO {step}_client VALUES (?1, ?2, ?3, ?4, ?5)");
        let mut insert = change.prepare_cached(&sql)?;
        for (profile, action, client, questions) in &self.clients {
            let profile = word(change, "word", profile)?;
            let action = word(change, "word", action.word())?;
            let client = word(change, "client", client)?;
            insert.execute(params![period, profile, action, client, *questions as i64])?;
        }
        Ok(())
    }
}

fn text(source: &Connection, sql: &str, id: i64) -> rusqlite::Result<Option<String>> {
    source.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()
}

/// Forgets the rarer half where there are too many.
fn thin_out<K: Eq + Hash, V>(counted: &mut HashMap<K, V>, questions: impl Fn(&V) -> u64) {
    if counted.len() <= MOST {
        return;
    }
    let mut all: Vec<u64> = counted.values().map(&questions).collect();
    let middle = all.len() / 2;
    let (_, median, _) = all.select_nth_unstable(middle);
    let median = *median;
    counted.retain(|_, value| questions(value) > median);
}

/// The most frequent of each kind; of equals, any.
fn most_of<I: Ord + Copy, V>(
    counted: HashMap<(Kind, I), V>,
    most: usize,
    questions: impl Fn(&V) -> u64,
) -> Vec<((Kind, I), V)> {
    let mut kinds: BTreeMap<Kind, Vec<((Kind, I), V)>> = BTreeMap::new();
    for (key, value) in counted {
        kinds.entry(key.0).or_default().push((key, value));
    }
    let mut found = Vec::new();
    for mut of_kind in kinds.into_values() {
        of_kind.sort_unstable_by_key(|(key, value)| (Reverse(questions(value)), key.1));
        of_kind.truncate(most);
        found.append(&mut of_kind);
    }
    found
}
