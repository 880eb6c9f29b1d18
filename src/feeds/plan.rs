//! When a list is fetched next: spread over the day, with patience after failures. Pure: the time is an argument.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How long a first failure is waited out.
const FIRST_WAIT: Duration = Duration::from_secs(5 * 60);

/// The longest wait after failures, where the interval is not shorter.
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);

/// What a server can put off the next try by, at most.
const MOST_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// What decides when a list is fetched next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// How often it is fetched when all goes well.
    pub every: Duration,
    /// A number of this box and this list, always the same: its place within the interval.
    pub seed: u64,
    /// When it was tried last.
    pub last_attempt: Option<Timestamp>,
    /// How many tries failed since the last success.
    pub failures: u32,
    /// Before when the server does not want to be asked.
    pub not_before: Option<Timestamp>,
}

impl Due {
    /// When it is fetched next; a time in the past means now.
    ///
    /// After a success that is its own place in the next interval, which differs from box to box; after failures a
    /// time that doubles with each, somewhere between half of it and all. A last try in the future, by a clock that was
    /// wrong, counts for nothing.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Timestamp {
        let Some(last) = self.last_attempt.filter(|last| *last <= now) else {
            // A new list is wanted at once, but not by a thousand boxes in the same second.
            return if self.last_attempt.is_none() { now } else { self.not_too_early(now, now) };
        };
        let next = if self.failures > 0 { after(last, self.wait()) } else { self.place_after(last) };
        self.not_too_early(next, now)
    }

    /// How long to wait after as many failures.
    fn wait(&self) -> Duration {
        let longest = self.every.min(LONGEST_WAIT);
        let doubled = FIRST_WAIT.saturating_mul(1_u32 << self.failures.saturating_sub(1).min(16));
        let most = doubled.min(longest).max(Duration::from_secs(1));
        // Another part of the wait for each failure, always the same for this box, so that restarts change nothing.
        let hash = xxh3_64_with_seed(&self.failures.to_le_bytes(), self.seed);
        most / 2 + most.mul_f64(hash as f64 / u64::MAX as f64 / 2.0)
    }

    /// The list's own place in the first interval that is not almost over since `last`.
    fn place_after(&self, last: Timestamp) -> Timestamp {
        let every = i64::try_from(self.every.as_secs()).unwrap_or(i64::MAX).max(1);
        let place = i64::try_from(self.seed % every.unsigned_abs()).unwrap_or(0);
        let earliest = last.as_second().saturating_add(every / 2);
        // The first second that is `place` modulo the interval, from the earliest on.
        let next = earliest.saturating_add((place - earliest).rem_euclid(every));
        Timestamp::from_second(next).unwrap_or(Timestamp::MAX)
    }

    fn not_too_early(&self, next: Timestamp, now: Timestamp) -> Timestamp {
        match self.not_before {
            // A wrong clock must not make it never.
            Some(wait) => next.max(wait.min(after(now, MOST_PATIENCE))),
            None => next,
        }
    }
}

/// The seed of a list on a box.
#[must_use]
pub fn seed(box_id: u64, list: &str) -> u64 {
    xxh3_64_with_seed(list.as_bytes(), box_id)
}

fn after(time: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| time.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const NOW: i64 = 1_764_000_000;

    fn due(seed: u64) -> Due {
        Due { every: DAY, seed, last_attempt: Some(at(NOW)), failures: 0, not_before: None }
    }

    #[test]
    fn a_new_list_is_fetched_at_once() {
        assert_eq!(Due { last_attempt: None, ..due(7) }.next(at(NOW)), at(NOW));
    }

    #[test]
    fn a_thousand_boxes_are_spread_over_the_day() {
        let mut hours = [0; 24];
        for box_id in 0..10_000 {
            let next = due(seed(box_id, "ut1-adult")).next(at(NOW));
            hours[usize::try_from(next.as_second().rem_euclid(86_400) / 3600).unwrap()] += 1;
        }
        // 417 in each hour on average, with a spread of 20.
        assert!(hours.iter().all(|count| (317..517).contains(count)), "{hours:?}");
    }

    #[test]
    fn a_box_keeps_its_hour_from_day_to_day() {
        let mut due = due(seed(3, "ut1-adult"));
        let first = due.next(at(NOW));
        let mut last = first;
        for day in 1..10 {
            // A download takes a while, now and then a long one.
            due.last_attempt = Some(after(last, Duration::from_secs(100 * day)));
            last = due.next(due.last_attempt.unwrap());
            assert_eq!(last, at(first.as_second() + 86_400 * i64::try_from(day).unwrap()));
        }
    }

    #[test]
    fn failures_are_waited_out_longer_and_longer_up_to_a_limit() {
        let mut longest = Duration::ZERO;
        for failures in 1..40 {
            let due = Due { failures, ..due(11) };
            let wait = Duration::try_from(due.next(at(NOW)).duration_since(at(NOW))).unwrap();
            let most = FIRST_WAIT.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_WAIT);
            assert!(wait >= most / 2 && wait <= most, "{failures}: {wait:?}");
            longest = longest.max(wait);
        }
        assert!(longest > Duration::from_secs(3 * 3600));
        let hourly = Due { every: Duration::from_secs(3600), failures: 30, ..due(11) };
        assert!(hourly.next(at(NOW)) <= at(NOW + 3600));
    }

    #[test]
    fn a_server_that_asks_for_patience_gets_it_within_reason() {
        let asks = |seconds: i64| Due { failures: 1, not_before: Some(at(NOW + seconds)), ..due(5) };
        assert_eq!(asks(7200).next(at(NOW)), at(NOW + 7200));
        assert_eq!(asks(10_000_000).next(at(NOW)), at(NOW + 86_400));
        assert!(asks(-10).next(at(NOW)) > at(NOW));
    }

    #[test]
    fn a_clock_that_was_wrong_neither_stops_nor_floods() {
        let future = Due { last_attempt: Some(at(NOW + 10 * 365 * 86_400)), ..due(5) };
        assert_eq!(future.next(at(NOW)), at(NOW));
        let long_ago = Due { last_attempt: Some(at(0)), ..due(5) };
        assert!(long_ago.next(at(NOW)) <= at(NOW));
    }

    proptest! {
        #[test]
        fn a_success_is_followed_by_half_an_interval_of_rest_and_at_most_one_and_a_half(
            hours in 1_u64..200, seed: u64, last in 0_i64..4_000_000_000,
        ) {
            let every = Duration::from_secs(hours * 3600);
            let due = Due { every, seed, last_attempt: Some(at(last)), failures: 0, not_before: None };
            let rest = due.next(at(last)).as_second() - last;
            let every = i64::try_from(every.as_secs()).unwrap();
            prop_assert!(rest >= every / 2 && rest <= every / 2 + every, "{rest}");
        }

        #[test]
        fn no_state_makes_it_panic_or_never(
            every in 0_u64..u64::MAX / 4, seed: u64, failures: u32, last in proptest::option::of(-1_000_000_i64..253_402_200_000),
            wait in proptest::option::of(-1_000_000_i64..253_402_200_000), now in 0_i64..10_000_000_000,
        ) {
            let due = Due {
                every: Duration::from_secs(every), seed, failures,
                last_attempt: last.map(at), not_before: wait.map(at),
            };
            let next = due.next(at(now));
            if every < 1_000_000 {
                let most = i64::try_from(every).unwrap() * 2 + 2 * 86_400;
                prop_assert!(next.as_second() <= now + most, "{due:?}: {next}");
            }
        }
    }
}
