//! Finding questions in the log: newest first, page by page.
//!
//! Each day file is asked by itself, the newest first. What is searched for becomes sets of numbers (of askers, names
//! and fates) by the tables of words; the tables of spans say which stretches of a thousand rows can have them; only
//! those are read.

mod glob;
mod ids;
mod query;
pub(super) mod rows;
mod spans;
mod tail;
mod when;

#[cfg(test)]
mod tests;

use std::{cell::Cell, collections::BTreeSet};

use jiff::{Timestamp, civil::Date};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

pub(super) use self::ids::Ids;
use self::rows::{Raw, Words};
pub use self::{
    glob::Glob,
    query::{Asked, MOST, Query, USUAL, zone},
    tail::Tail,
    when::{Edge, moment},
};
use super::{
    day::{self, DAY_MS, PER_MILLISECOND, Place},
    entry::Entry,
    error::LogError,
    event::Refusal,
    folder::LogFolder,
    privacy::DayKey,
    who::Who,
};
use crate::{clock::Day, policy::Policy};

/// How many rows, and names, a search looks at before it says what it has: a second or two.
const MOST_READ: u64 = 20_000_000;

/// The same for who waits in front of a page, who can go on: well under a tenth of a second.
const MOST_READ_BRIEFLY: u64 = 500_000;

/// Some of the questions that were searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The questions, the newest first.
    pub entries: Vec<Entry>,
    /// Where the next page begins: [`Query::after`] of it. None when there are no more.
    pub next: Option<Place>,
    /// The search was broken off to say what it has, since it takes long; it goes on at `next`, even where there are
    /// no entries.
    pub unfinished: bool,
    /// Questions of the page's time that were counted and not kept, whatever was searched for.
    pub unkept: Vec<Unkept>,
    /// Days that can't be read; what they have is not in the page.
    pub unreadable: Vec<Unreadable>,
}

/// Questions that were counted and not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Unkept {
    /// When the first of them arrived.
    pub from: Timestamp,
    /// When the last of them arrived.
    pub until: Timestamp,
    /// How many.
    pub questions: u64,
    /// Why, in a word.
    pub reason: String,
}

/// A day that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Unreadable {
    /// The UTC day.
    pub day: Date,
    /// Why.
    pub why: String,
}

/// Searches the log: the newest questions that are as the query says, at most as many as it says.
///
/// Pages are stable while questions arrive: what is newer than the first page is on none of them, and nothing is on two.
/// The names of categories that must not be shown are digests, and are not found by a pattern that does not name them.
/// Blocks for as long as it reads.
///
/// # Errors
///
/// [`LogError::Newer`] when a newer program wrote a day; [`LogError::File`] when the folder can't be read. A day that is
/// damaged or can't be read is in [`Page::unreadable`], and the others are searched.
pub fn search(folder: &LogFolder, query: &Query, policy: &Policy) -> Result<Page, LogError> {
    search_some(folder, query, policy, MOST_READ, None)
}

/// The same, but says soon what it has: for who waits in front of a page, and can go on at [`Page::next`].
///
/// # Errors
///
/// As [`search`].
pub fn search_briefly(folder: &LogFolder, query: &Query, policy: &Policy) -> Result<Page, LogError> {
    search_some(folder, query, policy, MOST_READ_BRIEFLY, None)
}

fn search_some(
    folder: &LogFolder,
    query: &Query,
    policy: &Policy,
    most_read: u64,
    skip: Option<&BTreeSet<Place>>,
) -> Result<Page, LogError> {
    let days = folder.days().map_err(|source| LogError::file(folder.path(), source))?;
    let bounds = Bounds::of(query);
    let mut page = Page::default();
    let mut left = most_read;
    let probe = Cell::new(true);
    let mut is_first = true;
    for day in days.into_iter().rev() {
        let Some((low, high)) = bounds.within(day) else { continue };
        if left == 0 {
            page.unfinished = true;
            page.next = Some(Place { day, at: high });
            break;
        }
        let file = folder.day(day);
        let opened = match day::open_to_read(&file) {
            Ok(Some(connection)) => connection,
            // Retention was quicker.
            Ok(None) => continue,
            Err(error @ LogError::Newer { .. }) => return Err(error),
            Err(error) => {
                page.unreadable.push(Unreadable::new(day, &error));
                continue;
            }
        };
        let key = match query.client {
            Some(Who::Pseudonym(_)) => match DayKey::load(folder, day) {
                Ok(key) => key,
                Err(error) => {
                    page.unreadable.push(Unreadable::new(day, &error));
                    continue;
                }
            },
            _ => None,
        };
        let reader = DayReader {
            connection: &opened,
            day,
            policy,
            query,
            key: key.as_ref(),
            skip,
            left: Cell::new(left),
            probe: &probe,
            is_first: std::mem::take(&mut is_first),
        };
        let done = reader.page(low, high, &mut page);
        left = reader.left.get();
        if let Err(source) = done {
            page.unreadable.push(Unreadable::new(day, &LogError::database(&file, source)));
        }
        if page.next.is_some() {
            break;
        }
    }
    Ok(page)
}

impl Unreadable {
    fn new(day: Day, error: &LogError) -> Self {
        Self { day: day.date(), why: error.to_string() }
    }
}

/// The words that say what decided.
pub(super) fn reasons() -> Vec<&'static str> {
    let refusals = [Refusal::Network, Refusal::Rate, Refusal::Protocol, Refusal::Overload, Refusal::Internal]
        .map(Refusal::word);
    REASONS.into_iter().chain(refusals).collect()
}

/// What [`Reason::word`](crate::policy::Reason::word) can say.
const REASONS: [&str; 24] = [
    "locked",
    "suspended",
    "lesson",
    "canary",
    "block-rule",
    "allow-rule",
    "exception",
    "essential",
    "allow-only",
    "approved",
    "block-service",
    "allow-service",
    "category",
    "schedule",
    "uncategorised",
    "newly-seen",
    "safe-search",
    "alias",
    "address",
    "locked-address",
    "locked-name-server",
    "name-server",
    "rebinding",
    "default",
];

/// The places between which a query looks.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The first place within.
    low: Place,
    /// The first place beyond.
    high: Option<Place>,
}

impl Bounds {
    fn of(query: &Query) -> Self {
        let low = query.from.map_or(Place { day: Day::from_number(0), at: 0 }, Place::first_of);
        // A question is kept to the millisecond, so one that arrived within the last one counts.
        let to = query.to.map(|to| {
            let ms = to.as_millisecond();
            let up = if Timestamp::from_millisecond(ms).is_ok_and(|floor| floor < to) { ms + 1 } else { ms };
            Timestamp::from_millisecond(up).map_or_else(|_| Place::first_of(to), Place::first_of)
        });
        let high = match (to, query.after) {
            (Some(to), Some(after)) => Some(to.min(after)),
            (to, after) => to.or(after),
        };
        Self { low, high }
    }

    /// The first key of a day within, and the first beyond; none where the day has neither.
    fn within(self, day: Day) -> Option<(i64, i64)> {
        let low = match day.cmp(&self.low.day) {
            std::cmp::Ordering::Less => return None,
            std::cmp::Ordering::Equal => self.low.at,
            std::cmp::Ordering::Greater => 0,
        };
        let end = DAY_MS * PER_MILLISECOND;
        let high = match self.high {
            None => i64::MAX,
            Some(high) => match day.cmp(&high.day) {
                std::cmp::Ordering::Less => i64::MAX,
                std::cmp::Ordering::Equal => high.at,
                std::cmp::Ordering::Greater => return None,
            },
        };
        (low < high.min(end)).then_some((low, high))
    }
}

/// One day file that is being searched.
struct DayReader<'a> {
    connection: &'a Connection,
    day: Day,
    policy: &'a Policy,
    query: &'a Query,
    /// There, where a pseudonym is searched for.
    key: Option<&'a DayKey>,
    /// What is known already.
    skip: Option<&'a BTreeSet<Place>>,
    /// How much may still be read.
    left: Cell<u64>,
    /// Whether it may be that most names are searched for.
    probe: &'a Cell<bool>,
    /// No other day was looked at before.
    is_first: bool,
}

impl DayReader<'_> {
    /// Adds what the day has between two keys to a page. What was found before something went wrong stays in the page.
    fn page(&self, low: i64, high: i64, page: &mut Page) -> rusqlite::Result<()> {
        // Spans and rows must be of one moment.
        let _snapshot = self.connection.unchecked_transaction()?;
        self.connection.set_prepared_statement_cache_capacity(32);
        let wanted = self.query.limit - page.entries.len();
        let mut words = Words::new(self.connection, self.policy, self.day);
        let mut entries = Vec::new();
        // One more than is wanted, to know whether there is more.
        let done = self.rows(low, high, wanted + 1, &mut words, &mut |words, row| {
            entries.push(words.entry(row)?);
            Ok(())
        });
        let more = entries.len() > wanted;
        entries.truncate(wanted);
        page.entries.append(&mut entries);
        // Where the page ends within this day.
        let mut end = low;
        if more {
            // A page that was full before has nothing of this day.
            end = if wanted == 0 { high } else { page.entries.last().map_or(high, |entry| entry.place.at) };
            page.next = Some(Place { day: self.day, at: end });
        } else if let Ok(Some(reached)) = done {
            end = reached;
            page.unfinished = true;
            page.next = Some(Place { day: self.day, at: end });
        }
        // What was not kept is told on the page within whose time it ended.
        page.unkept.extend(self.unkept(end, high)?);
        done.map(drop)
    }

    /// What was counted and not kept.
    fn unkept(&self, low: i64, high: i64) -> rusqlite::Result<Vec<Unkept>> {
        let midnight = i64::from(self.day.number()) * DAY_MS;
        let ms = |at: i64| if at == i64::MAX { at } else { midnight + at / PER_MILLISECOND };
        // On the first page, also what ends after the time that was asked for.
        let sql = if self.query.after.is_none() {
            "SELECT from_ms, until_ms, questions, reason FROM unkept WHERE until_ms >= ?1 AND from_ms < ?2
                ORDER BY until_ms DESC, id DESC"
        } else {
            "SELECT from_ms, until_ms, questions, reason FROM unkept WHERE until_ms >= ?1 AND until_ms < ?2
                ORDER BY until_ms DESC, id DESC"
        };
        let time = |ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
        self.connection
            .prepare_cached(sql)?
            .query_map([ms(low), ms(high)], |row| {
                let questions: i64 = row.get(2)?;
                Ok(Unkept {
                    from: time(row.get(0)?),
                    until: time(row.get(1)?),
                    questions: u64::try_from(questions).unwrap_or(0),
                    reason: row.get(3)?,
                })
            })?
            .collect()
    }
}
