//! Times as people at the school read them: by the school's clock.

use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::{policy::Policy, querylog::search};

/// Writes times by the school's clock.
#[derive(Debug, Clone)]
pub(super) struct When(TimeZone);

impl When {
    /// By the clock of the school of this policy.
    pub(super) fn of(policy: &Policy) -> Self {
        Self(search::zone(policy))
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

    /// `Thu 26 Nov 2026`.
    pub(super) fn day(&self, time: Timestamp) -> String {
        self.zoned(time).strftime("%a %-d %b %Y").to_string()
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
}
