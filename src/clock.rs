//! Where the time comes from, so that schedules and expiry can be tested.
//!
//! Pure code takes a [`Timestamp`] as an argument. Only the edges (sockets, timers, the command line) hold a
//! [`Clock`] and read it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;

/// The time of day: the system's, or one that a test sets.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Milliseconds since 1970 when a test holds the clock.
    held: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { held: None }
    }

    /// A clock that stands still until it is [`set`](Self::set).
    #[must_use]
    pub fn held_at(time: Timestamp) -> Self {
        Self { held: Some(Arc::new(AtomicI64::new(time.as_millisecond()))) }
    }

    /// The time now; a held clock tells milliseconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.held {
            Some(ms) => {
                Timestamp::from_millisecond(ms.load(Ordering::Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "this is the one place that reads the system's clock"
            )]
            None => Timestamp::now(),
        }
    }

    /// Moves a held clock; the system's clock is left alone.
    pub fn set(&self, time: Timestamp) {
        if let Some(ms) = &self.held {
            ms.store(time.as_millisecond(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_moves_only_when_set() {
        let start: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let clock = Clock::held_at(start);
        let copy = clock.clone();
        assert_eq!(clock.now(), start);
        let later: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        clock.set(later);
        assert_eq!(copy.now(), later);
    }
}
