//! Questions as they are written down.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{MOST_READ, Page, Query, Unkept, search_some};
use crate::{
    policy::Policy,
    querylog::{LogError, LogFolder, Place},
};

/// How long after it arrived a question may be written down and still be seen: an answer may take seconds to be had.
const LATE: SignedDuration = SignedDuration::from_secs(20);

/// How many questions are told at once. When more arrive, the newest come first and the others after.
const AT_ONCE: usize = 1_000;

/// Tells what is new in the log since it was asked last.
#[derive(Debug)]
pub struct Tail {
    query: Query,
    since: Timestamp,
    told: BTreeSet<Place>,
    unkept: Vec<Unkept>,
}

impl Tail {
    /// Begins with what arrives from now on; the query's times, place and limit don't count.
    #[must_use]
    pub fn new(query: Query, now: Timestamp) -> Self {
        Self { query, since: now, told: BTreeSet::new(), unkept: Vec::new() }
    }

    /// What has been written down since the last time, in the order of time (the oldest first).
    ///
    /// What is written down more than 20 seconds after it arrived is not told.
    ///
    /// # Errors
    ///
    /// As [`search`](super::search).
    pub fn news(&mut self, folder: &LogFolder, policy: &Policy, now: Timestamp) -> Result<Page, LogError> {
        let from = now.checked_sub(LATE).map_or(self.since, |from| from.max(self.since));
        let query = Query { from: Some(from), to: None, after: None, limit: AT_ONCE, ..self.query.clone() };
        let mut page = search_some(folder, &query, policy, MOST_READ, Some(&self.told))?;
        let first = Place::first_of(from);
        self.told = self.told.split_off(&first);
        self.told.extend(page.entries.iter().map(|entry| entry.place));
        self.unkept.retain(|unkept| unkept.until >= from);
        page.unkept.retain(|unkept| unkept.until >= self.since && !self.unkept.contains(unkept));
        self.unkept.extend(page.unkept.iter().cloned());
        page.entries.reverse();
        page.unkept.reverse();
        page.next = None;
        Ok(page)
    }
}
