//! Times as people at the school read them: by the school's clock.

use jiff::{Timestamp, ToSpan, Zoned, civil, tz::TimeZone};

use crate::{policy::Policy, querylog::search};

/// Writes times by the school's clock.
#[derive(Debug, Clone)]
pub(super) struct When(TimeZone);

impl When {
    /// By the clock of the school of this policy.
    pub(super) fn of(policy: &Policy) -> Self {
        Self(search::zone(policy))
    }

    /// By a clock.
    pub(super) fn by(zone: TimeZone) -> Self {
        Self(zone)
    }

    /// `Thu 26 Nov, 14:05`; with the year where it is another one than that of `now`.
    pub(super) fn minute(&self, time: Timestamp, now: Timestamp) -> String {
        self.written(time, now, "%H:%M")
    }

    /// `Thu 26 Nov, 14:05:09`.
    pub(super) fn second(&self, time: Timestamp, now: Timestamp) -> String {
        self.written(time, now, "%H:%M:%S")
    }

    fn written(&self, time: Timestamp, now: Timestamp, clock: &str) -> String {
        let (time, now) = (self.zoned(time), self.zoned(now));
        let year = if time.year() == now.year() { "" } else { " %Y" };
        time.strftime(&format!("%a %-d %b{year}, {clock}")).to_string()
    }

    /// `Thu 26 Nov 2026, 14:05`.
    pub(super) fn full(&self, time: Timestamp) -> String {
        self.zoned(time).strftime("%a %-d %b %Y, %H:%M").to_string()
    }

    /// A moment as a field for date and time has it: `2026-11-26T14:05`.
    pub(super) fn field(&self, time: Timestamp) -> String {
        self.zoned(time).strftime("%Y-%m-%dT%H:%M").to_string()
    }

    /// The moment that such a field, or somebody, wrote; of a day alone its end. None where it is no time.
    pub(super) fn read(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if text.ends_with(['Z', 'z']) {
            return text.parse().ok();
        }
        let wall = match text.parse::<civil::Date>() {
            Ok(day) if !text.contains(['T', 't', ' ']) => {
                day.checked_add(1.day()).ok()?.to_datetime(civil::Time::midnight())
            }
            _ => text.parse::<civil::DateTime>().ok()?,
        };
        Some(wall.to_zoned(self.0.clone()).ok()?.timestamp())
    }

    /// `Thu 26 Nov 2026`.
    pub(super) fn day(&self, time: Timestamp) -> String {
        day(self.zoned(time).date())
    }

    /// `2026-11-26`, for the names of files.
    pub(super) fn date(&self, time: Timestamp) -> String {
        self.zoned(time).date().to_string()
    }

    /// `14:00`.
    pub(super) fn hour(&self, time: Timestamp) -> String {
        self.zoned(time).strftime("%H:%M").to_string()
    }

    /// The name of the zone, for scripts: `Europe/London`.
    pub(super) fn zone(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    fn zoned(&self, time: Timestamp) -> Zoned {
        time.to_zoned(self.0.clone())
    }
}

/// A day: `Thu 26 Nov 2026`.
pub(super) fn day(day: civil::Date) -> String {
    day.strftime("%a %-d %b %Y").to_string()
}

/// `Thursday 3 December`.
pub(super) fn weekday(day: civil::Date) -> String {
    day.strftime("%A %-d %B").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_schools_clock() {
        let when = When(jiff::tz::TimeZoneDatabase::bundled().get("Europe/London").unwrap());
        let (winter, summer) = ["2026-11-26T14:05:09Z", "2025-07-01T14:05:09Z"]
            .map(|time| time.parse::<Timestamp>().unwrap())
            .into();
        assert_eq!(when.minute(winter, winter), "Thu 26 Nov, 14:05");
        assert_eq!(when.second(winter, winter), "Thu 26 Nov, 14:05:09");
        assert_eq!(when.minute(summer, winter), "Tue 1 Jul 2025, 15:05");
        assert_eq!(
            (when.day(winter), when.hour(summer)),
            (String::from("Thu 26 Nov 2026"), String::from("15:05"))
        );
        assert_eq!(when.zone(), "Europe/London");
    }

    fn london() -> When {
        When::by(jiff::tz::TimeZoneDatabase::bundled().get("Europe/London").unwrap())
    }

    #[test]
    fn a_moment_is_said_by_the_schools_clock() {
        let now = "2026-11-26T10:15:00Z".parse().unwrap();
        assert_eq!(london().minute("2026-07-01T13:05:00Z".parse().unwrap(), now), "Wed 1 Jul, 14:05");
        assert_eq!(london().minute("2027-01-04T09:00:00Z".parse().unwrap(), now), "Mon 4 Jan 2027, 09:00");
    }

    #[test]
    fn what_a_field_has_is_read_again() {
        let at: Timestamp = "2026-07-01T13:05:00Z".parse().unwrap();
        assert_eq!(london().read(&london().field(at)), Some(at));
        assert_eq!(london().read("2026-07-01"), Some("2026-07-01T23:00:00Z".parse().unwrap()));
        assert_eq!(london().read("2026-07-01T13:05:00Z"), Some(at));
        for text in ["", "soon", "2026-13-01", "9999-12-31"] {
            assert_eq!(london().read(text), None, "{text}");
        }
    }
}
