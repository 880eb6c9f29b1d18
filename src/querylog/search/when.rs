//! Times as people write them: `2026-11-22 09:00`, `yesterday`, `2h`.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::querylog::error::LogError;

/// Which end of a span of time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The moment itself is within.
    From,
    /// The moment itself is not within; a day that is named is within, to its end.
    To,
}

/// Reads a time that a person wrote.
///
/// RFC 3339 (`2026-11-22T09:00:00Z`); a day or a time of the school's own clock (`2026-11-22`, `2026-11-22 09:00`,
/// `09:00`, `today`, `yesterday 14:30`); so long ago (`90s`, `30m`, `2h`, `3d`, `2w`); `now`. A time that the clock
/// shows twice is the one that leaves nothing out.
///
/// # Errors
///
/// When it is none of these; `argument` is what the error calls it.
pub fn moment(
    argument: &'static str,
    text: &str,
    edge: Edge,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Timestamp, LogError> {
    read(&text.trim().to_lowercase(), edge, zone, now).ok_or_else(|| {
        LogError::input(
            argument,
            format!(
                "{text:?} is no time; write 2026-11-22, 2026-11-22 09:00, today, yesterday 14:30, 2h, 3d, or \
                 2026-11-22T09:00:00Z"
            ),
        )
    })
}

fn read(text: &str, edge: Edge, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    if text == "now" {
        return Some(now);
    }
    if let Some(length) = length(text) {
        return now.checked_sub(length).ok();
    }
    let today = now.to_zoned(zone.clone()).date();
    if let Some((day, rest)) = day(text, today) {
        return match rest {
            "" => whole(day?, edge, zone),
            time => at(day?.to_datetime(clock_time(time)?), edge, zone),
        };
    }
    if let Some(time) = clock_time(text) {
        return at(today.to_datetime(time), edge, zone);
    }
    // RFC 3339 has capitals; `parse` wants to know about the offset, so what is left is civil.
    let text = text.to_uppercase();
    text.parse::<Timestamp>().ok()
}

/// A day at the start of the text, and what follows it: a time of day, or nothing. The day is none for one that no
/// calendar has.
fn day(text: &str, today: Date) -> Option<(Option<Date>, &str)> {
    for (word, day) in [("today", Some(today)), ("yesterday", today.yesterday().ok())] {
        if let Some(rest) = text.strip_prefix(word) {
            return (rest.is_empty() || rest.starts_with(' ')).then(|| (day, rest.trim_start()));
        }
    }
    let (date, rest) = text.split_at_checked(10)?;
    let digits = |at: usize| matches!(at, 0..=3 | 5..=6 | 8..=9);
    let is_date = date.bytes().enumerate().all(
        |(at, byte)| {
            if digits(at) { byte.is_ascii_digit() } else { byte == b'-' }
        },
    );
    let rest = match rest.strip_prefix([' ', 't']) {
        Some(time) => time.trim_start(),
        None if rest.is_empty() => rest,
        None => return None,
    };
    // With an offset it is a moment on everybody's clock.
    let has_offset = rest.contains(['z', '+', '-', '[']);
    (is_date && !has_offset).then(|| (date.parse().ok(), rest))
}

/// `09:00` or `09:00:30`.
fn clock_time(text: &str) -> Option<Time> {
    let is_time = (4..=12).contains(&text.len())
        && text.contains(':')
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    let padded = if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() };
    is_time.then(|| padded.parse().ok()).flatten()
}

/// So long ago: `2h`, `3 d ago`.
fn length(text: &str) -> Option<SignedDuration> {
    let text = text.strip_suffix("ago").map_or(text, str::trim_end);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    // More than a century is a slip.
    let number: i64 = number.parse().ok().filter(|number| *number <= 1_000_000_000)?;
    let seconds = match unit.trim_start() {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 7 * 86_400,
        _ => return None,
    };
    Some(SignedDuration::from_secs(number.checked_mul(seconds)?))
}

fn whole(day: Date, edge: Edge, zone: &TimeZone) -> Option<Timestamp> {
    let day = if edge == Edge::To { day.tomorrow().ok()? } else { day };
    day.to_zoned(zone.clone()).ok().map(|midnight| midnight.timestamp())
}

fn at(time: DateTime, edge: Edge, zone: &TimeZone) -> Option<Timestamp> {
    let possible = zone.to_ambiguous_timestamp(time);
    match edge {
        Edge::From => possible.earlier(),
        Edge::To => possible.later(),
    }
    .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn london() -> TimeZone {
        jiff::tz::TimeZoneDatabase::bundled().get("Europe/London").unwrap()
    }

    fn reads(text: &str, edge: Edge, now: &str) -> String {
        let now: Timestamp = now.parse().unwrap();
        match moment("--from", text, edge, &london(), now) {
            Ok(time) => time.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_way_to_write_a_time_is_read() {
        let now = "2026-11-22T12:00:00Z";
        for (text, expected) in [
            ("2026-11-22T09:00:00Z", "2026-11-22T09:00:00Z"),
            ("2026-11-22t09:00:00z", "2026-11-22T09:00:00Z"),
            ("2026-11-22 09:00:00+01:00", "2026-11-22T08:00:00Z"),
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("2026-06-22", "2026-06-21T23:00:00Z"),
            ("2026-06-22 09:00", "2026-06-22T08:00:00Z"),
            ("2026-06-22T09:00:30", "2026-06-22T08:00:30Z"),
            ("today", "2026-11-22T00:00:00Z"),
            ("Today 9:15", "2026-11-22T09:15:00Z"),
            ("yesterday", "2026-11-21T00:00:00Z"),
            ("yesterday 14:30", "2026-11-21T14:30:00Z"),
            ("08:05", "2026-11-22T08:05:00Z"),
            ("2h", "2026-11-22T10:00:00Z"),
            ("90 min ago", "2026-11-22T10:30:00Z"),
            ("3d", "2026-11-19T12:00:00Z"),
            ("1w", "2026-11-15T12:00:00Z"),
            ("now", "2026-11-22T12:00:00Z"),
        ] {
            assert_eq!(reads(text, Edge::From, now), expected, "{text}");
        }
    }

    #[test]
    fn a_day_that_ends_a_span_is_within_it() {
        let now = "2026-11-22T12:00:00Z";
        assert_eq!(reads("2026-11-22", Edge::To, now), "2026-11-23T00:00:00Z");
        assert_eq!(reads("yesterday", Edge::To, now), "2026-11-22T00:00:00Z");
        assert_eq!(reads("2026-11-22 09:00", Edge::To, now), "2026-11-22T09:00:00Z");
    }

    #[test]
    fn an_hour_that_comes_twice_is_in_the_span_both_times() {
        let now = "2026-11-22T12:00:00Z";
        assert_eq!(reads("2026-10-25 01:30", Edge::From, now), "2026-10-25T00:30:00Z");
        assert_eq!(reads("2026-10-25 01:30", Edge::To, now), "2026-10-25T01:30:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_would_be_right() {
        for text in [
            "",
            "tomorrow?",
            "22/11/2026",
            "2026-13-01",
            "2026-02-30",
            "2026-11-22 25:00",
            "2026-11-22 9 o'clock",
            "-2h",
            "2y",
            "99999999999999999999h",
            "yesterdays",
            "2026-11-22T09:00:00Zulu",
            "20261122",
        ] {
            let said = reads(text, Edge::From, "2026-11-22T12:00:00Z");
            assert!(said.starts_with("--from: ") && said.contains("write 2026-11-22"), "{text:?}: {said}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_an_error(text in "\\PC{0,30}") {
            let now = "2026-11-22T12:00:00Z".parse().unwrap();
            let _ = moment("--to", &text, Edge::To, &london(), now);
        }
    }
}
