//! What somebody asks for a lesson: which room, what is opened, until when.

use jiff::{SignedDuration, Timestamp, Zoned, civil::Time};

use crate::{
    category::Audience,
    control::latest_lesson_end,
    name::host_of,
    policy::{NamePattern, PolicyFile, Tables},
    spelling::nearest,
};

/// How long a lesson lasts where nobody says otherwise.
const USUAL: SignedDuration = SignedDuration::from_mins(45);

/// The lengths that are offered, in minutes.
pub(super) const LENGTHS: [i64; 6] = [15, 30, 45, 60, 90, 120];

/// A room that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Room {
    /// What forms send.
    pub(super) value: String,
    /// What people read.
    pub(super) label: String,
    /// Its clients, as the policy writes them.
    pub(super) clients: Vec<String>,
}

/// The rooms that the school knows: groups, subnets, devices. `pupils` leaves out those of other profiles than pupils'.
pub(super) fn rooms(file: &PolicyFile, pupils: bool) -> Vec<Room> {
    let profile = |id: &str| file.profiles.iter().find(|profile| profile.id == id);
    let counts = |audience: Audience| !pupils || audience == Audience::Pupil;
    let groups = file.groups.iter().filter(|group| !group.devices.is_empty()).map(|group| Room {
        value: format!("group:{}", group.id),
        label: group.id.clone(),
        clients: group.devices.clone(),
    });
    let subnets = file.profiles.iter().filter(|profile| counts(profile.audience)).flat_map(|profile| {
        profile.subnets.iter().map(|subnet| Room {
            value: format!("net:{subnet}"),
            label: format!("{} – {subnet}", profile.title()),
            clients: vec![subnet.clone()],
        })
    });
    let devices = file.devices.iter().filter(|device| {
        device.profile.as_deref().and_then(profile).is_none_or(|profile| counts(profile.audience))
    });
    let devices = devices.map(|device| Room {
        value: format!("device:{}", device.name),
        label: device.name.clone(),
        clients: vec![device.name.clone()],
    });
    groups.chain(subnets).chain(devices).collect()
}

/// A word that is no site, service or bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The word.
    pub(super) word: String,
    /// What was probably meant.
    pub(super) near: Option<String>,
}

/// What lines of text mean: names of sites, addresses of pages, or services and bundles by their titles. Gives words as
/// edits take them.
pub(super) fn wanted<'a>(
    file: &PolicyFile,
    lines: impl Iterator<Item = &'a str>,
) -> Result<Vec<String>, Unknown> {
    let tables = Tables::shipped();
    let mut words = Vec::new();
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        let is = |id: &str, title: &str| {
            line.eq_ignore_ascii_case(id) || line.to_lowercase() == title.to_lowercase()
        };
        let service = tables.services.iter().find(|service| is(&service.id, &service.title));
        let shipped = tables.bundles.iter().map(|bundle| (&bundle.id, &bundle.title));
        let own = file.bundles.iter().map(|bundle| (&bundle.id, &bundle.title));
        if let Some(service) = service {
            words.push(format!("service:{}", service.id));
        } else if let Some((id, _)) = shipped.chain(own).find(|(id, title)| is(id, title)) {
            words.push(format!("bundle:{id}"));
        } else if line.contains('.') && NamePattern::parse(host_of(line)).is_ok() {
            words.push(host_of(line).to_owned());
        } else {
            let titles = tables.services.iter().map(|service| service.title.as_str());
            return Err(Unknown { word: line.to_owned(), near: nearest(line, titles).map(str::to_owned) });
        }
    }
    Ok(words)
}

/// When a lesson ends if nobody says otherwise, to the next five minutes.
pub(super) fn usual(file: &PolicyFile, now: &Zoned) -> String {
    let end = (now.timestamp() + USUAL).as_second();
    let end =
        Timestamp::from_second(end + (300 - end.rem_euclid(300)) % 300).unwrap_or_else(|_| now.timestamp());
    end.min(latest_lesson_end(file, now)).to_zoned(now.time_zone().clone()).strftime("%H:%M").to_string()
}

/// Why a time is no end of a lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoEnd {
    /// It is no time.
    NoTime,
    /// It is past.
    Past,
    /// It is later than lessons last.
    TooLate,
}

/// The moment of today that was asked for: so many minutes from now, or, where none are given, a time by the clock.
pub(super) fn end(file: &PolicyFile, minutes: &str, text: &str, now: &Zoned) -> Result<Timestamp, NoEnd> {
    let end = if minutes.is_empty() {
        at(text, now)?
    } else {
        let minutes = minutes.parse::<i64>().ok().filter(|minutes| (1..=1_440).contains(minutes));
        now.timestamp() + SignedDuration::from_mins(minutes.ok_or(NoEnd::NoTime)?)
    };
    if end <= now.timestamp() {
        Err(NoEnd::Past)
    } else if end > latest_lesson_end(file, now) {
        Err(NoEnd::TooLate)
    } else {
        Ok(end)
    }
}

/// The moment of today that a typed time means; 00:00 is the midnight to come.
fn at(text: &str, now: &Zoned) -> Result<Timestamp, NoEnd> {
    let time = Time::strptime("%H:%M", text.trim()).map_err(|_| NoEnd::NoTime)?;
    let day = if time == Time::midnight() { now.date().tomorrow() } else { Ok(now.date()) };
    day.and_then(|day| day.to_datetime(time).to_zoned(now.time_zone().clone()))
        .map(|end| end.timestamp())
        .map_err(|_| NoEnd::NoTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn london(time: &str) -> Zoned {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get("Europe/London").unwrap();
        time.parse::<Timestamp>().unwrap().to_zoned(zone)
    }

    #[test]
    fn a_lesson_ends_by_the_end_of_the_school_day_and_within_eight_hours() {
        let mut file = PolicyFile::shipped();
        let hours = |file: &PolicyFile, now: &str| {
            let now = london(now);
            latest_lesson_end(file, &now).to_zoned(now.time_zone().clone()).strftime("%H:%M").to_string()
        };
        assert_eq!(hours(&file, "2026-11-26T08:30:00Z"), "16:30");
        assert_eq!(hours(&file, "2026-11-26T14:00:00Z"), "18:00");
        assert_eq!(hours(&file, "2026-07-01T14:00:00Z"), "18:00", "by the clock on the wall");
        assert_eq!(hours(&file, "2026-11-26T20:00:00Z"), "00:00");
        assert_eq!(usual(&file, &london("2026-11-26T10:17:00Z")), "11:05");
        assert_eq!(usual(&file, &london("2026-11-26T17:50:00Z")), "18:00");
        file.day_ends = Some(String::from("15:30"));
        assert_eq!(hours(&file, "2026-11-26T14:00:00Z"), "15:30");
        assert_eq!(usual(&file, &london("2026-11-26T15:10:00Z")), "15:30");
    }

    #[test]
    fn an_end_is_a_time_to_come_of_today_or_so_many_minutes_away() {
        let mut file = PolicyFile::shipped();
        file.day_ends = Some(String::from("15:30"));
        let at = |text: &str, now: &Zoned| end(&file, "", text, now);
        let after = |minutes: &str| end(&file, minutes, "", &london("2026-11-26T15:00:00Z"));
        assert_eq!(after("30"), Ok("2026-11-26T15:30:00Z".parse().unwrap()));
        assert_eq!(after("31"), Err(NoEnd::TooLate));
        for wrong in ["0", "-5", "soon", "99999999999999999999", "1e3"] {
            assert_eq!(after(wrong), Err(NoEnd::NoTime), "{wrong}");
        }
        let now = london("2026-11-26T10:15:00Z");
        assert_eq!(at("11:15", &now), Ok("2026-11-26T11:15:00Z".parse().unwrap()));
        assert_eq!(at("10:15", &now), Err(NoEnd::Past));
        assert_eq!(at("15:31", &now), Err(NoEnd::TooLate));
        for wrong in ["", "soon", "25:00", "11:15:00:00"] {
            assert_eq!(at(wrong, &now), Err(NoEnd::NoTime), "{wrong}");
        }
        let evening = london("2026-11-26T20:00:00Z");
        assert_eq!(at("00:00", &evening), Ok("2026-11-27T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn sites_services_and_bundles_are_understood_as_people_write_them() {
        let file = PolicyFile::shipped();
        let words = |lines: &[&str]| wanted(&file, lines.iter().copied());
        let found = words(&["YouTube", "https://www.bbc.co.uk/bitesize", " bbc.co.uk ", ""]).unwrap();
        assert_eq!(found, ["service:youtube", "www.bbc.co.uk", "bbc.co.uk"]);
        let unknown = words(&["Youtub"]).unwrap_err();
        assert_eq!(unknown.near.as_deref(), Some("YouTube"));
        assert!(words(&["<script>alert(1)</script>"]).is_err());
    }
}
