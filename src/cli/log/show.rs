//! Questions as lines for people: one each, aligned, in the school's time zone.

use std::fmt::Write as _;

use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::querylog::{Action, Entry, search::Unkept};

/// How wide a line is at most.
const WIDTH: usize = 120;

/// How wide `2026-11-22 09:00:00` is.
const TIME: usize = 19;

/// How wide the word for what happened is at most.
const ACTION: usize = 9;

/// Columns of which some are as wide as what is in them, to a limit.
pub(super) struct Table {
    zone: TimeZone,
    client: usize,
    profile: usize,
    name: usize,
}

impl Table {
    /// Columns that are wide enough for some questions.
    pub(super) fn of(entries: &[Entry], timezone: &str) -> Self {
        let widest = |text: fn(&Entry) -> &str, least: usize, most: usize| {
            let widths = entries.iter().map(|entry| text(entry).chars().count());
            widths.max().unwrap_or(0).clamp(least, most)
        };
        Self {
            zone: zone(timezone),
            client: widest(client, 6, 20),
            profile: widest(|entry| &entry.profile, 7, 12),
            name: widest(|entry| &entry.name, 12, 36),
        }
    }

    /// Columns for whatever comes.
    pub(super) fn wide(timezone: &str) -> Self {
        Self { zone: zone(timezone), client: 20, profile: 10, name: 36 }
    }

    /// The title, and a line for each question; nothing where there is none.
    pub(super) fn whole(&self, entries: &[Entry]) -> String {
        if entries.is_empty() {
            return String::new();
        }
        let mut text = self.columns("time", "client", "profile", "what", "name", "why");
        text.push('\n');
        for entry in entries {
            text.push_str(&self.line(entry));
            text.push('\n');
        }
        text
    }

    /// One question.
    pub(super) fn line(&self, entry: &Entry) -> String {
        self.columns(
            &clock(entry.time, &self.zone),
            client(entry),
            &entry.profile,
            entry.action.word(),
            &entry.name,
            &why(entry),
        )
    }

    fn columns(
        &self,
        time: &str,
        client: &str,
        profile: &str,
        action: &str,
        name: &str,
        why: &str,
    ) -> String {
        let mut line = String::new();
        for (text, width) in [
            (plain(time), TIME),
            (start(&plain(client), self.client), self.client),
            (start(&plain(profile), self.profile), self.profile),
            (plain(action), ACTION),
            (end(&plain(name), self.name), self.name),
        ] {
            // Writing to a string does not fail.
            let _ = write!(line, "{text:<width$}  ");
        }
        let left = WIDTH.saturating_sub(line.chars().count());
        line.push_str(&start(&plain(why), left));
        line.trim_end().to_owned()
    }
}

/// What was counted and not kept, in a line.
pub(super) fn unkept(unkept: &Unkept, timezone: &str) -> String {
    let zone = zone(timezone);
    let Unkept { from, until, questions, reason } = unkept;
    let (s, were) = if *questions == 1 { ("", "was") } else { ("s", "were") };
    format!(
        "{questions} question{s} from {} to {} {were} counted and not kept ({reason}), whoever asked",
        clock(*from, &zone),
        clock(*until, &zone)
    )
}

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap_or(TimeZone::UTC)
}

fn clock(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%F %T").to_string()
}

/// Who asked, as far as that is known: the device, or an address that may be anybody's.
fn client(entry: &Entry) -> &str {
    if entry.device.is_empty() { &entry.client } else { &entry.device }
}

/// What decided; for what was simply allowed, what kind of name it is.
fn why(entry: &Entry) -> String {
    let decided =
        [&entry.rule, &entry.category, &entry.list, &entry.detail].into_iter().find(|word| !word.is_empty());
    let mut text = String::from(if entry.alert { "! " } else { "" });
    if !entry.would.is_empty() {
        text.push_str("would block: ");
    }
    match (entry.action, decided) {
        (Action::Allowed, None) => text.push_str(&entry.categories.replace(' ', ", ")),
        (Action::Failed, None) => text.push_str(&entry.rcode),
        (_, Some(decided)) => text.push_str(decided),
        (_, None) => text.push_str(&entry.reason),
    }
    if !matches!(entry.qtype.as_str(), "A" | "AAAA") {
        let _ = write!(text, " ({})", entry.qtype);
    }
    text.trim_start_matches(' ').to_owned()
}

/// What a terminal would take for a command is not shown as it is.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The start of a text.
fn start(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The end of a text: of a name, that is what says whose it is.
fn end(text: &str, width: usize) -> String {
    let long = text.chars().count();
    if long <= width {
        return text.to_owned();
    }
    let mut short = String::from("…");
    short.extend(text.chars().skip(long - width.saturating_sub(1)));
    short
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{clock::Day, querylog::Place};

    pub(in crate::cli::log) fn entry(name: &str) -> Entry {
        let place = Place { day: Day::from_number(20_600), at: 8 * 3_600_000 * 256 };
        let empty = String::new;
        Entry {
            place,
            time: place.time(),
            client: String::from("10.20.2.31"),
            device: empty(),
            mac: empty(),
            profile: String::from("ks2"),
            known_by: String::from("subnet"),
            confidence: String::from("low"),
            lease: None,
            name: name.to_owned(),
            qtype: String::from("A"),
            rcode: String::from("NOERROR"),
            action: Action::Blocked,
            reason: String::from("category"),
            category: String::from("gambling"),
            list: String::from("gambling-list"),
            rule: empty(),
            detail: empty(),
            would: empty(),
            categories: String::from("gambling"),
            dnssec: empty(),
            source: String::from("policy"),
            transport: String::from("udp"),
            alert: false,
            took_us: 40,
        }
    }

    #[test]
    fn a_line_is_in_the_schools_time_and_legible_in_120_columns() {
        let long = "a".repeat(60) + ".b.very-long-label-of-a-host." + &"c".repeat(60) + ".cdn.example.com";
        let mut other = entry(&long);
        other.device = String::from("The iPad that is kept in the trolley of Year 4");
        other.rule = String::from("A rule with a name that says at length what it is good for");
        other.qtype = String::from("HTTPS");
        other.alert = true;
        let entries = [entry("www.bet.example"), other];
        let text = Table::of(&entries, "Europe/London").whole(&entries);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 120), "{text}");
        assert!(lines[1].starts_with("2026-05-27 09:00:00  10.20.2.31 "), "{text}");
        assert!(lines[1].ends_with("  gambling"), "{text}");
        assert!(lines[2].contains("…") && lines[2].contains("cdn.example.com  ! A rule"), "{text}");
        let place = |line: &str| line.find("blocked").map(|at| line[..at].chars().count());
        assert_eq!(place(lines[1]), place(lines[2]));
        assert!(place(lines[1]).is_some());
        let live = Table::wide("Europe/London").line(&entries[1]);
        assert!(live.chars().count() <= 120, "{live}");
    }

    #[test]
    fn nothing_that_a_device_asked_for_reaches_the_terminal_as_a_command() {
        let mut one = entry("x.example");
        one.device = String::from("\u{1b}[2Jpad\u{7}");
        let line = Table::wide("UTC").line(&one);
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}
