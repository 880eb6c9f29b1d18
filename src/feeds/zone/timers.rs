//! When a zone is asked about next: its operator says so in the SOA (RFC 1035, section 3.3.13).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The shortest and the longest time between two questions about a zone, in seconds, whatever its SOA says.
const REFRESH: (u32, u32) = (5 * 60, 24 * 60 * 60);
/// The same after a failure.
const RETRY: (u32, u32) = (60, 6 * 60 * 60);
/// The shortest and the longest time after which a zone counts as expired, in seconds.
const EXPIRE: (u32, u32) = (24 * 60 * 60, 28 * 24 * 60 * 60);
/// The shortest time between two questions when primaries tell of new versions without an end.
const AFTER_NOTICE: SignedDuration = SignedDuration::from_secs(10);

/// What a zone's SOA says about asking for new versions, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timers {
    /// How often it is asked about.
    pub refresh: u32,
    /// How soon after a failure.
    pub retry: u32,
    /// After how long without an answer the version that is had counts as expired.
    pub expire: u32,
}

impl Default for Timers {
    /// For a zone that was never transferred: every hour, after failures every five minutes, two weeks.
    fn default() -> Self {
        Self { refresh: 60 * 60, retry: 5 * 60, expire: 14 * 24 * 60 * 60 }
    }
}

/// What became of the questions about a zone so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History {
    /// When it was last asked about.
    pub attempt: Option<Timestamp>,
    /// When a primary last answered, with a new version or with none.
    pub success: Option<Timestamp>,
    /// When a primary last told of a new version.
    pub notice: Option<Timestamp>,
}

/// What is to be done about a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// When it is asked about next; a time that has passed means now.
    pub next: Timestamp,
    /// When the version that is had counts as expired, if no primary answers until then.
    ///
    /// An expired zone is an alarm and nothing else: its last version stays in force.
    pub expires: Option<Timestamp>,
}

impl Plan {
    /// Whether the zone is expired.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Plans the next question about a zone.
///
/// A zone is asked about after its refresh time; after a failure, after its retry time; and when a primary told of a
/// new version, at once, but not within 10 s of the last question. Times of the SOA that would ask without an end or
/// hardly ever are brought to between 5 minutes and a day, 1 minute and 6 hours, 1 day and 4 weeks. A clock that was
/// set back leads to a question at once.
#[must_use]
pub fn plan(timers: Timers, history: History, now: Timestamp) -> Plan {
    let after = |time: Timestamp, seconds: u32, (shortest, longest): (u32, u32)| {
        let wait = Duration::from_secs(seconds.clamp(shortest, longest).into());
        time.checked_add(wait).unwrap_or(Timestamp::MAX)
    };
    let expires = history.success.map(|success| after(success, timers.expire, EXPIRE));
    // What lies ahead of us was written by another clock.
    let known = |time: Option<Timestamp>| time.filter(|time| *time <= now);
    let Some(attempt) = known(history.attempt) else { return Plan { next: now, expires } };
    let failed = known(history.success).is_none_or(|success| success < attempt);
    let usual = if failed {
        // An operator who sets a longer retry than refresh made a slip.
        after(attempt, timers.retry.min(timers.refresh), RETRY)
    } else {
        after(attempt, timers.refresh, REFRESH)
    };
    let next = match known(history.notice) {
        Some(notice) if notice >= attempt => {
            usual.min(attempt.checked_add(AFTER_NOTICE).unwrap_or(Timestamp::MAX).max(notice))
        }
        _ => usual,
    };
    Plan { next, expires }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMERS: Timers = Timers { refresh: 3600, retry: 600, expire: 604_800 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + second).unwrap()
    }

    fn next(history: History, now: i64) -> i64 {
        plan(TIMERS, history, at(now)).next.as_second() - 1_795_000_000
    }

    #[test]
    fn a_zone_that_was_never_asked_about_is_due() {
        assert_eq!(next(History::default(), 5), 5);
    }

    #[test]
    fn success_waits_for_refresh_and_failure_for_retry() {
        let good = History { attempt: Some(at(0)), success: Some(at(0)), notice: None };
        assert_eq!(next(good, 1), 3600);
        let bad = History { attempt: Some(at(3600)), ..good };
        assert_eq!(next(bad, 3601), 4200);
        assert_eq!(next(History { attempt: Some(at(0)), ..History::default() }, 1), 600);
    }

    #[test]
    fn a_notice_is_followed_at_once_and_only_once() {
        let good = History { attempt: Some(at(0)), success: Some(at(1)), notice: Some(at(100)) };
        assert_eq!(next(good, 100), 100);
        assert_eq!(next(History { notice: Some(at(3)), ..good }, 3), 10, "not within 10 s");
        assert_eq!(next(History { attempt: Some(at(101)), success: Some(at(102)), ..good }, 103), 3701);
    }

    #[test]
    fn an_expired_zone_is_told_and_asked_about_on() {
        let history = History { attempt: Some(at(604_799)), success: Some(at(0)), notice: None };
        let planned = plan(TIMERS, history, at(604_800));
        assert!(planned.is_expired(at(604_800)) && !planned.is_expired(at(604_799)));
        assert_eq!(planned.next, at(604_799 + 600));
        assert!(!plan(TIMERS, History::default(), at(0)).is_expired(at(604_800)));
    }

    #[test]
    fn senseless_times_are_brought_to_sense() {
        let history = History { attempt: Some(at(0)), success: Some(at(0)), notice: None };
        let zero = Timers { refresh: 0, retry: 0, expire: 0 };
        let planned = plan(zero, history, at(1));
        assert_eq!((planned.next, planned.expires), (at(300), Some(at(86_400))));
        let never = Timers { refresh: u32::MAX, retry: u32::MAX, expire: u32::MAX };
        let planned = plan(never, history, at(1));
        assert_eq!((planned.next, planned.expires), (at(86_400), Some(at(28 * 86_400))));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_questions() {
        let history = History { attempt: Some(at(9000)), success: Some(at(9000)), notice: None };
        assert_eq!(next(history, 0), 0);
    }

    proptest! {
        #[test]
        fn a_question_is_never_more_than_a_day_off(
            refresh: u32, retry: u32, expire: u32,
            attempt in proptest::option::of(-1_000_000..1_000_000i64),
            success in proptest::option::of(-1_000_000..1_000_000i64),
            notice in proptest::option::of(-1_000_000..1_000_000i64),
        ) {
            let history = History {
                attempt: attempt.map(at),
                success: success.map(at),
                notice: notice.map(at),
            };
            let planned = plan(Timers { refresh, retry, expire }, history, at(0));
            prop_assert!(planned.next <= at(86_400));
        }
    }
}
