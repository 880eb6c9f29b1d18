//! Times of the week, read on the clock on the school's wall.
//!
//! A window is judged by local time and nothing else, so a pupil who looks at the clock knows what holds. On the two
//! nights of the year when the clock jumps this means:
//!
//! - In spring an hour is missing. The part of a window within it never comes; a window that lies wholly in it does
//!   not open on that day. The rest of the window is unchanged.
//! - In autumn an hour comes twice. A window within it is open both times.
//! - A window over midnight (`22:00` to `06:00`) belongs to the day on which it begins: `fri` covers Saturday
//!   morning, and term dates and holidays are those of Friday. It is longer or shorter when the clock jumps.

use jiff::{Timestamp, civil, tz::TimeZone};
use toml::value::Datetime;

use super::file::{DateRange, PolicyFile, RuleFile, ScheduleFile, WindowFile};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// What turns a moment into a school's day and time.
#[derive(Debug)]
pub(crate) struct Calendar {
    pub(crate) zone: TimeZone,
    /// First and last days; empty where the school gave none, and every day counts as term.
    pub(crate) terms: Vec<(civil::Date, civil::Date)>,
    pub(crate) holidays: Vec<(civil::Date, civil::Date)>,
}

impl Calendar {
    fn is_term(&self, day: civil::Date) -> bool {
        let within = |ranges: &[(civil::Date, civil::Date)]| ranges.iter().any(|r| r.0 <= day && day <= r.1);
        (self.terms.is_empty() || within(&self.terms)) && !within(&self.holidays)
    }
}

/// Times of the week, ready to be asked.
#[derive(Debug)]
pub(crate) struct Schedule {
    windows: Box<[Window]>,
    term_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    /// A bit for each day, Monday first.
    days: u8,
    /// Minutes since midnight.
    from: u16,
    to: u16,
}

/// When a school day ends where the school does not say.
const USUAL_END: civil::Time = civil::Time::constant(18, 0, 0, 0);

impl PolicyFile {
    /// When the school day ends, by the school's clock.
    #[must_use]
    pub fn end_of_day(&self) -> civil::Time {
        let written = self.day_ends.as_deref().and_then(|text| end_of_day(text).ok());
        written.unwrap_or(USUAL_END)
    }
}

/// Reads when a school day ends: a time of the day after midnight.
pub(crate) fn end_of_day(text: &str) -> Result<civil::Time, String> {
    let time =
        civil::Time::strptime("%H:%M", text.trim()).ok().filter(|time| *time != civil::Time::midnight());
    time.ok_or_else(|| format!("{text:?} is no time of the day"))
}

impl Schedule {
    /// Makes a schedule; windows that can't be read are left out, which `validate` reports as errors.
    pub(crate) fn new(file: &ScheduleFile) -> Self {
        let windows = file.windows.iter().filter_map(|window| Window::read(window).ok()).collect();
        Self { windows, term_only: file.term_only }
    }

    pub(crate) fn is_active(&self, calendar: &Calendar, now: Timestamp) -> bool {
        let local = calendar.zone.to_datetime(now);
        // Hours and minutes are small and never negative.
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let today = local.date();
        let holds = |day: civil::Date, window: &Window| {
            window.days & (1 << day.weekday().to_monday_zero_offset()) != 0
                && (!self.term_only || calendar.is_term(day))
        };
        self.windows.iter().any(|window| {
            if window.from < window.to {
                return window.from <= minute && minute < window.to && holds(today, window);
            }
            if window.from <= minute {
                return holds(today, window);
            }
            minute < window.to && today.yesterday().is_ok_and(|day| holds(day, window))
        })
    }
}

impl Window {
    /// Reads a window, or says which part is wrong and how.
    fn read(file: &WindowFile) -> Result<Self, (&'static str, String)> {
        let days = read_days(&file.days).map_err(|e| ("days", e))?;
        let from = read_time(&file.from, false).map_err(|e| ("from", e))?;
        let to = read_time(&file.to, true).map_err(|e| ("to", e))?;
        if from == to {
            return Err(("to", format!("{:?} is also `from`, so the window is empty", file.to)));
        }
        Ok(Self { days, from, to })
    }
}

/// What is wrong with each part of a window.
pub(crate) fn window_problems(file: &WindowFile) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if let Err(e) = read_days(&file.days) {
        found.push(("days", e));
    }
    if let Err(e) = read_time(&file.from, false) {
        found.push(("from", e));
    }
    if let Err(e) = read_time(&file.to, true) {
        found.push(("to", e));
    }
    if found.is_empty()
        && let Err(e) = Window::read(file)
    {
        found.push(e);
    }
    found
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn read_days(text: &str) -> Result<u8, String> {
    let wrong = || {
        format!(
            "{text:?} is no set of days; write mon-fri, \"sat,sun\", daily (days are mon tue wed thu fri sat sun)"
        )
    };
    let day = |word: &str| {
        let word = word.trim().to_ascii_lowercase();
        DAYS.iter().position(|d| *d == word).ok_or_else(wrong)
    };
    let mut days = 0;
    for part in text.split(',') {
        if part.trim().eq_ignore_ascii_case("daily") {
            days = 0x7f;
        } else if let Some((first, last)) = part.split_once('-') {
            let (first, last) = (day(first)?, day(last)?);
            let mut at = first;
            days |= 1 << at;
            while at != last {
                at = (at + 1) % 7;
                days |= 1 << at;
            }
        } else {
            days |= 1 << day(part)?;
        }
    }
    Ok(days)
}

fn read_time(text: &str, end: bool) -> Result<u16, String> {
    let wrong = || format!("{text:?} is no time of day; write it as 08:45");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let digits = |part: &str| {
        if (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()) {
            part.parse::<u16>().map_err(|_| wrong())
        } else {
            Err(wrong())
        }
    };
    if minute.len() != 2 {
        return Err(wrong());
    }
    let time = digits(hour)? * 60 + digits(minute)?;
    let last = if end { DAY } else { DAY - 1 };
    if minute > "59" || time > last { Err(wrong()) } else { Ok(time) }
}

/// A schedule as people say it: `12:00–13:15 on Monday to Friday, in term`.
pub(crate) fn describe(file: &ScheduleFile) -> String {
    let windows: Vec<String> = file
        .windows
        .iter()
        .map(|window| {
            let overnight = Window::read(window).is_ok_and(|w| w.from > w.to);
            let next = if overnight { " the next day" } else { "" };
            format!("{}–{}{next} on {}", window.from, window.to, say_days(&window.days))
        })
        .collect();
    let term = if file.term_only { ", in term" } else { "" };
    format!("{}{term}", windows.join(" and "))
}

fn say_days(text: &str) -> String {
    const LONG: [&str; 7] =
        ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"];
    match read_days(text) {
        Ok(0x7f) => String::from("every day"),
        Ok(0x1f) => String::from("Mondays to Fridays"),
        Ok(days) => {
            let named: Vec<&str> = (0..7).filter(|d| days & (1 << d) != 0).map(|d| LONG[d]).collect();
            named.join(", ")
        }
        Err(_) => text.to_owned(),
    }
}

impl RuleFile {
    /// When it ends, in the school's time zone where it names none; none where it has no end, or one that is no time.
    #[must_use]
    pub fn ends_at(&self, zone: &TimeZone) -> Option<Timestamp> {
        self.until.and_then(|until| moment(until, zone).ok())
    }
}

/// The moment that a date of a file means: with an offset as it is, without one in the school's time zone, a day
/// alone as its end.
///
/// A time in the hour that the clock skips is moved forward by the jump; one that comes twice is the first.
pub(crate) fn moment(at: Datetime, zone: &TimeZone) -> Result<Timestamp, String> {
    let wrong = || format!("{at} is no date and time; write it as 2026-12-18T16:00:00Z");
    match (at.date, at.time, at.offset) {
        (Some(_), Some(_), Some(_)) => at.to_string().parse().map_err(|_| wrong()),
        (Some(day), Some(time), None) => {
            // A TOML time is below 24:00:60 and its nanoseconds below 10^9, so all parts fit.
            let time = civil::Time::new(
                time.hour as i8,
                time.minute as i8,
                time.second.unwrap_or(0).min(59) as i8,
                time.nanosecond.unwrap_or(0) as i32,
            )
            .map_err(|_| wrong())?;
            let local = date(day)?.to_datetime(time);
            zone.to_zoned(local).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
        }
        (Some(day), None, _) => {
            let next = date(day)?.tomorrow().map_err(|_| wrong())?;
            zone.to_zoned(next.at(0, 0, 0, 0)).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
        }
        (None, ..) => Err(wrong()),
    }
}

fn date(day: toml::value::Date) -> Result<civil::Date, String> {
    // A TOML year has four digits, month and day two.
    civil::Date::new(day.year as i16, day.month as i8, day.day as i8)
        .map_err(|_| format!("{day} is no day of the calendar; write it as 2026-12-18"))
}

/// The first and last day of a range, or what is wrong with it.
pub(crate) fn days(range: &DateRange) -> Result<(civil::Date, civil::Date), String> {
    let day = |at: Datetime| match (at.date, at.time) {
        (Some(day), None) => date(day),
        _ => Err(format!("{at} is no day; write it as 2026-09-02")),
    };
    let from = day(range.from)?;
    let to = range.to.map_or(Ok(from), day)?;
    if from <= to { Ok((from, to)) } else { Err(format!("it ends ({to}) before it begins ({from})")) }
}

impl super::file::LessonFile {
    /// When it ends, in the school's time zone where it names none; none where it has no end, or one that is no time.
    #[must_use]
    pub fn ends_at(&self, zone: &TimeZone) -> Option<Timestamp> {
        self.until.and_then(|until| moment(until, zone).ok())
    }
}

impl ScheduleFile {
    /// What people read: `12:00–13:15 on Mondays to Fridays, in term`.
    #[must_use]
    pub fn described(&self) -> String {
        describe(self)
    }
}

impl WindowFile {
    /// The parts of the week that it covers: the day, 0 for Monday, and the minutes of the day from and to. What goes over
    /// midnight is two. Empty where it can't be read.
    #[must_use]
    pub fn spans(&self) -> Vec<(usize, u16, u16)> {
        let Ok(window) = Window::read(self) else { return Vec::new() };
        let days = (0..7).filter(|day| window.days & (1 << day) != 0);
        days.flat_map(|day| {
            let next = (day + 1) % 7;
            if window.from < window.to {
                vec![(day, window.from, window.to)]
            } else if window.to == 0 {
                vec![(day, window.from, DAY)]
            } else {
                vec![(day, window.from, DAY), (next, 0, window.to)]
            }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_over_midnight_covers_parts_of_two_days() {
        let spans = |days: &str, from: &str, to: &str| {
            WindowFile { days: days.into(), from: from.into(), to: to.into() }.spans()
        };
        assert_eq!(spans("mon,wed", "12:00", "13:15"), [(0, 720, 795), (2, 720, 795)]);
        assert_eq!(spans("sun", "22:00", "06:00"), [(6, 1320, 1440), (0, 0, 360)]);
        assert_eq!(spans("fri", "22:00", "24:00"), [(4, 1320, 1440)]);
        assert_eq!(spans("fri", "22:00", "0:00"), [(4, 1320, 1440)]);
        assert!(spans("someday", "22:00", "24:00").is_empty());
    }

    fn calendar() -> Calendar {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get("Europe/London").unwrap();
        Calendar { zone, terms: Vec::new(), holidays: Vec::new() }
    }

    fn schedule(days: &str, from: &str, to: &str) -> Schedule {
        let window = WindowFile { days: days.into(), from: from.into(), to: to.into() };
        Window::read(&window).unwrap();
        Schedule::new(&ScheduleFile { id: "s".into(), windows: vec![window], term_only: false })
    }

    /// Whether a window is open at each of some moments (UTC).
    fn open(days: &str, from: &str, to: &str, at: &[&str]) -> Vec<bool> {
        let schedule = schedule(days, from, to);
        at.iter().map(|at| schedule.is_active(&calendar(), at.parse().unwrap())).collect()
    }

    #[test]
    fn a_window_is_open_from_its_first_minute_to_before_its_last() {
        // Monday 23 November 2026, winter time.
        let at =
            ["2026-11-23T11:59:59Z", "2026-11-23T12:00:00Z", "2026-11-23T13:14:59Z", "2026-11-23T13:15:00Z"];
        assert_eq!(open("mon-fri", "12:00", "13:15", &at), [false, true, true, false]);
        // Sunday.
        assert_eq!(open("mon-fri", "12:00", "13:15", &["2026-11-22T12:30:00Z"]), [false]);
        assert_eq!(
            open("daily", "00:00", "24:00", &["2026-11-22T00:00:00Z", "2026-11-22T23:59:59Z"]),
            [true, true]
        );
    }

    #[test]
    fn a_window_follows_the_wall_clock_through_the_year() {
        // In July London is an hour ahead: noon on the wall is 11:00 UTC.
        let at =
            ["2026-07-06T10:59:00Z", "2026-07-06T11:00:00Z", "2026-07-06T12:14:00Z", "2026-07-06T12:15:00Z"];
        assert_eq!(open("mon-fri", "12:00", "13:15", &at), [false, true, true, false]);
    }

    #[test]
    fn a_window_in_the_skipped_hour_does_not_open() {
        // On 29 March 2026 the clock jumps from 01:00 to 02:00 local time, at 01:00 UTC.
        let at = ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"];
        assert_eq!(open("sun", "01:00", "02:00", &at), [false, false, false]);
        // What lies after the gap is open as ever.
        assert_eq!(open("sun", "01:30", "03:00", &at), [false, true, true]);
        assert_eq!(open("sun", "00:30", "01:30", &at), [true, false, false]);
    }

    #[test]
    fn a_window_in_the_repeated_hour_opens_twice() {
        // On 25 October 2026 the clock goes back from 02:00 to 01:00 local time, at 01:00 UTC.
        let at = [
            "2026-10-24T23:59:00Z", // 00:59
            "2026-10-25T00:15:00Z", // 01:15, the first time
            "2026-10-25T00:45:00Z", // 01:45, the first time
            "2026-10-25T01:15:00Z", // 01:15, the second time
            "2026-10-25T01:45:00Z", // 01:45, the second time
            "2026-10-25T02:00:00Z", // 02:00
        ];
        assert_eq!(open("sun", "01:00", "01:30", &at), [false, true, false, true, false, false]);
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins() {
        let at = [
            "2026-11-20T21:59:00Z", // Friday
            "2026-11-20T22:00:00Z",
            "2026-11-21T05:59:00Z", // Saturday
            "2026-11-21T06:00:00Z",
            "2026-11-21T22:30:00Z",
            "2026-11-20T05:00:00Z", // Friday morning is Thursday's night
        ];
        assert_eq!(open("fri", "22:00", "06:00", &at), [false, true, true, false, false, false]);
        assert_eq!(open("fri", "22:00", "24:00", &at), [false, true, false, false, false, false]);
    }

    #[test]
    fn a_night_is_shorter_or_longer_when_the_clock_jumps() {
        // Saturday 28 March 22:00 to Sunday 06:00 summer time, which is 05:00 UTC.
        let at = ["2026-03-28T22:00:00Z", "2026-03-29T04:59:00Z", "2026-03-29T05:00:00Z"];
        assert_eq!(open("sat", "22:00", "06:00", &at), [true, true, false]);
    }

    #[test]
    fn a_term_time_window_is_closed_in_the_holidays() {
        let day = |text: &str| text.parse::<civil::Date>().unwrap();
        let calendar = Calendar {
            terms: vec![(day("2026-09-02"), day("2026-12-18"))],
            holidays: vec![(day("2026-10-26"), day("2026-10-30"))],
            ..calendar()
        };
        let window = WindowFile { days: "daily".into(), from: "22:00".into(), to: "02:00".into() };
        let schedule =
            Schedule::new(&ScheduleFile { id: "s".into(), windows: vec![window], term_only: true });
        let open = |at: &str| schedule.is_active(&calendar, at.parse().unwrap());
        assert!(open("2026-11-23T23:00:00Z"));
        assert!(!open("2026-10-27T23:00:00Z"), "half-term");
        assert!(!open("2026-12-25T23:00:00Z"), "after the term");
        // The night of the last day of term runs into the first morning of the holidays.
        assert!(open("2026-12-19T01:00:00Z"));
        assert!(!open("2026-12-19T23:00:00Z"));
        assert!(open("2026-10-26T01:00:00Z"), "Sunday's night before half-term");
    }

    #[test]
    fn days_and_times_are_read_as_people_write_them() {
        assert_eq!(read_days("mon-fri"), Ok(0x1f));
        assert_eq!(read_days("Sat, Sun"), Ok(0x60));
        assert_eq!(read_days("fri-mon"), Ok(0b111_0001));
        assert_eq!(read_days("daily"), Ok(0x7f));
        assert!(read_days("someday").unwrap_err().contains("mon-fri"));
        assert!(read_days("").is_err());
        assert_eq!(read_time("8:45", false), Ok(525));
        assert_eq!(read_time("24:00", true), Ok(1440));
        for bad in ["24:00", "12:60", "12", "12:0", "ab:cd", "12:000", "-1:00", "+1:00", ""] {
            assert!(read_time(bad, false).is_err(), "{bad}");
        }
        assert!(read_time("24:01", true).is_err());
    }

    #[test]
    fn an_end_is_read_with_or_without_an_offset_and_as_a_day() {
        let zone = calendar().zone;
        let read = |text: &str| moment(text.parse().unwrap(), &zone).map(|t| t.to_string());
        assert_eq!(read("2026-07-18T16:00:00Z").unwrap(), "2026-07-18T16:00:00Z");
        assert_eq!(read("2026-07-18T16:00:00").unwrap(), "2026-07-18T15:00:00Z");
        assert_eq!(read("2026-07-18").unwrap(), "2026-07-18T23:00:00Z");
        // In the gap: moved forward by the jump.
        assert_eq!(read("2026-03-29T01:30:00").unwrap(), "2026-03-29T01:30:00Z");
        assert!(read("16:00:00").is_err());
    }

    #[test]
    fn a_schedule_is_said_in_words() {
        let file = ScheduleFile {
            id: "lunch".into(),
            windows: vec![WindowFile { days: "mon-fri".into(), from: "12:00".into(), to: "13:15".into() }],
            term_only: true,
        };
        assert_eq!(describe(&file), "12:00–13:15 on Mondays to Fridays, in term");
    }
}
