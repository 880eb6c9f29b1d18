//! Updates of lists that somebody asked for: they take as long as a slow server does, so they go on behind, and pages ask
//! how far they are.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::control::{UpdateReport, Updated};

/// The update that goes on, or was the last to end. There is one at a time.
#[derive(Debug, Default)]
pub(super) struct Updates(Mutex<Option<Round>>);

/// An update.
#[derive(Debug, Clone)]
pub(super) struct Round {
    /// The lists that were asked for; all, if empty.
    pub(super) ids: Vec<String>,
    /// When it began.
    pub(super) began: Timestamp,
    /// What came of it; none while it goes on.
    pub(super) done: Option<Result<Vec<Updated>, String>>,
}

impl Updates {
    /// Notes that one begins; false while another goes on.
    pub(super) fn begin(&self, ids: &[String], now: Timestamp) -> bool {
        let mut round = self.lock();
        if round.as_ref().is_some_and(|round| round.done.is_none()) {
            return false;
        }
        *round = Some(Round { ids: ids.to_vec(), began: now, done: None });
        true
    }

    /// Notes what came of the one that goes on.
    pub(super) fn end(&self, outcome: Result<UpdateReport, String>) {
        if let Some(round) = self.lock().as_mut() {
            round.done = Some(outcome.map(|report| report.lists));
        }
    }

    /// The one that goes on, or was the last.
    pub(super) fn last(&self) -> Option<Round> {
        self.lock().clone()
    }

    /// A panic while it was held left it whole: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, Option<Round>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_update_goes_on_at_a_time() {
        let updates = Updates::default();
        let now = "2026-11-26T10:15:00Z".parse().unwrap();
        assert!(updates.begin(&[String::from("one")], now));
        assert!(!updates.begin(&[], now));
        assert_eq!(updates.last().unwrap().ids, ["one"]);
        updates.end(Err(String::from("no disk")));
        assert_eq!(updates.last().unwrap().done, Some(Err(String::from("no disk"))));
        assert!(updates.begin(&[], now));
    }
}
