//! Moments as people at the school read and write them.

use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};

/// A moment on the school's clock: `Thu 26 Nov, 14:05`, with the year where that is another one than now.
pub(super) fn said(at: Timestamp, zone: &TimeZone, now: Timestamp) -> String {
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let form = if at.year() == now.year() { "%a %-d %b, %H:%M" } else { "%a %-d %b %Y, %H:%M" };
    at.strftime(form).to_string()
}

/// A moment as a field for date and time has it: `2026-11-26T14:05`.
pub(super) fn field(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string()
}

/// The moment that such a field, or somebody, wrote; of a day alone its end. None where it is no time.
pub(super) fn read(text: &str, zone: &TimeZone) -> Option<Timestamp> {
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
    Some(wall.to_zoned(zone.clone()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn london() -> TimeZone {
        jiff::tz::TimeZoneDatabase::bundled().get("Europe/London").unwrap()
    }

    #[test]
    fn a_moment_is_said_by_the_schools_clock() {
        let now = "2026-11-26T10:15:00Z".parse().unwrap();
        assert_eq!(said("2026-07-01T13:05:00Z".parse().unwrap(), &london(), now), "Wed 1 Jul, 14:05");
        assert_eq!(said("2027-01-04T09:00:00Z".parse().unwrap(), &london(), now), "Mon 4 Jan 2027, 09:00");
    }

    #[test]
    fn what_a_field_has_is_read_again() {
        let at: Timestamp = "2026-07-01T13:05:00Z".parse().unwrap();
        assert_eq!(read(&field(at, &london()), &london()), Some(at));
        assert_eq!(read("2026-07-01", &london()), Some("2026-07-01T23:00:00Z".parse().unwrap()));
        assert_eq!(read("2026-07-01T13:05:00Z", &london()), Some(at));
        for text in ["", "soon", "2026-13-01", "9999-12-31"] {
            assert_eq!(read(text, &london()), None, "{text}");
        }
    }
}
