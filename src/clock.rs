//! Where the time comes from, so that schedules and expiry can be tested; and days, for what is dated by the day.
//!
//! Pure code takes a [`Timestamp`] as an argument. Only the edges (sockets, timers, the command line) hold a
//! [`Clock`] and read it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use jiff::{Timestamp, civil::Date};

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

/// A day in UTC, from 1970-01-01 to 2149-06-06; what lies outside is the nearer of the two.
///
/// Displays as in `25 November 2026`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Day(u16);

impl Day {
    /// The day of a moment.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        let days = time.as_second().div_euclid(86_400);
        Self(u16::try_from(days.max(0)).unwrap_or(u16::MAX))
    }

    /// The day with a number: 0 is 1970-01-01.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }

    /// How many days it is after 1970-01-01.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The day so many days later.
    #[must_use]
    pub fn plus(self, days: u16) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The day so many days earlier.
    #[must_use]
    pub fn minus(self, days: u16) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// How many days have passed since an earlier day; 0 since a later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> u16 {
        self.0.saturating_sub(earlier.0)
    }

    /// The day in the calendar.
    #[must_use]
    pub fn date(self) -> Date {
        let midnight = Timestamp::from_second(i64::from(self.0) * 86_400).unwrap_or(Timestamp::UNIX_EPOCH);
        midnight.to_zoned(jiff::tz::TimeZone::UTC).date()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date().strftime("%-d %B %Y"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_counted_and_said() {
        let day = Day::of("2026-11-25T23:59:59Z".parse().unwrap());
        assert_eq!(day.to_string(), "25 November 2026");
        assert_eq!(day.plus(7).to_string(), "2 December 2026");
        assert_eq!((day.plus(7).since(day), day.since(day.plus(7))), (7, 0));
        assert_eq!(day.date().to_string(), "2026-11-25");
        assert_eq!(Day::of(Timestamp::MIN), Day::from_number(0));
        assert_eq!(Day::of(Timestamp::MAX).date().to_string(), "2149-06-06");
    }

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
