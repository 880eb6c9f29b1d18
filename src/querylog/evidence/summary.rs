//! What a package says to people: `summary.txt`.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    make::{About, Order},
    rows::Gap,
};
use crate::{policy::LogLevel, querylog::entry::Entry};

/// Counts of the rows of a package.
#[derive(Debug, Default)]
pub(in crate::querylog) struct Tally {
    by_action: BTreeMap<(String, &'static str), u64>,
    by_category: BTreeMap<(String, &'static str), u64>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Tally {
    pub(in crate::querylog) fn count(&mut self, entry: &Entry) {
        let add = |counts: &mut BTreeMap<(String, &'static str), u64>, word: &String| {
            // A million rows have few words: look before making a new key.
            match counts
                .iter_mut()
                .find(|((known, action), _)| known == word && *action == entry.action.word())
            {
                Some((_, count)) => *count += 1,
                None => drop(counts.insert((word.clone(), entry.action.word()), 1)),
            }
        };
        add(&mut self.by_action, &entry.profile);
        if !entry.category.is_empty() {
            add(&mut self.by_category, &entry.category);
        }
        self.first.get_or_insert(entry.time);
        self.last = Some(entry.time);
    }

    pub(in crate::querylog) fn rows(&self) -> u64 {
        self.by_action.values().sum()
    }

    /// How many rows, from when to when, by profile and action, and by category.
    pub(in crate::querylog) fn write(&self, text: &mut String, zone: &TimeZone) {
        let _ = writeln!(text, "Rows:     {}", self.rows());
        if let (Some(first), Some(last)) = (self.first, self.last) {
            let _ = writeln!(text, "First:    {}", both_times(first, zone));
            let _ = writeln!(text, "Last:     {}", both_times(last, zone));
        }
        for (title, counts, none) in [
            ("Rows by profile and action", &self.by_action, "(none: refused before it was known)"),
            ("Rows by the category that decided", &self.by_category, ""),
        ] {
            if counts.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n{title}");
            for ((word, action), count) in counts {
                let word = if word.is_empty() { none } else { word };
                let _ = writeln!(text, "  {word:<24} {action:<10} {count:>10}");
            }
        }
    }
}

/// A moment in UTC and in the school's time.
pub(in crate::querylog) fn both_times(time: Timestamp, zone: &TimeZone) -> String {
    let utc = time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let own = time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    format!("{utc} = {own}")
}

/// What is known to be missing, one line each.
pub(in crate::querylog) fn gap_lines(gaps: &[Gap], zone: &TimeZone) -> Vec<String> {
    gaps.iter()
        .map(|gap| match gap {
            Gap::Unkept { from, until, questions, reason } => {
                let why = match reason.as_str() {
                    "queue-full" => "the box was too busy to write them down",
                    "disk-full" => "the disk was full",
                    "disk-error" => "the disk could not be written",
                    "internal-error" => "something went wrong inside the box",
                    "damaged" => "the file of the day was damaged",
                    "flood" => "more questions came in than are kept",
                    "help-line" => "questions for help lines are counted and not kept",
                    other => other,
                };
                let (from, until) = (both_times(*from, zone), both_times(*until, zone));
                format!("{questions} questions between {from} and {until} have no row: {why}.")
            }
            Gap::Damaged { day, why } => {
                format!("The file of {day} is damaged; rows after those that are here could not be read ({why}).")
            }
            Gap::SetAside { day, file } => {
                format!("A damaged file of {day} was set aside as {file}; what was in it is not here.")
            }
            Gap::Reduced { day, to_holds: false } => format!(
                "Allowed questions of {day} were deleted when their time was over; blocked and rewritten ones, and \
                 alerts, are here."
            ),
            Gap::Reduced { day, to_holds: true } => format!(
                "Questions of {day} were deleted when their time was over; what is under a legal hold is here."
            ),
            Gap::NoFile { day } => format!("There is no file of {day}: nothing was logged, or it was deleted."),
        })
        .collect()
}

/// What the summary of evidence is made of.
pub(super) struct Facts<'a> {
    pub(super) school: &'a str,
    pub(super) machine: &'a str,
    pub(super) fingerprint: &'a str,
    pub(super) now: Timestamp,
    pub(super) zone: &'a TimeZone,
    pub(super) order: &'a Order,
    pub(super) about: &'a About,
    pub(super) tally: &'a Tally,
    pub(super) gaps: &'a [String],
    pub(super) levels: &'a [(String, LogLevel)],
}

/// What a profile's level means, in words.
fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Full => "every question, with the device that asked",
        LogLevel::Pseudonymous => "every question; the device under a pseudonym that changes each day",
        LogLevel::BlockedOnly => "blocked questions only",
    }
}

pub(super) fn evidence(facts: &Facts<'_>) -> String {
    let Facts { school, machine, fingerprint, now, zone, order, about, tally, gaps, levels } = facts;
    let school = if school.is_empty() { "(not named in the settings)" } else { school };
    let mut text = String::from("EVIDENCE FROM THE QUERY LOG\n\n");
    let mut line = |word: &str, value: &str| {
        let _ = writeln!(text, "{:<9} {value}", format!("{word}:"));
    };
    line("School", school);
    line("Box", &format!("{machine}, which signs with key {fingerprint}"));
    line("Made", &both_times(*now, zone));
    line("By", &order.by);
    line("Reason", &order.reason);
    line("From", &both_times(order.from, zone));
    line("To", &format!("{} (that moment not included)", both_times(order.to, zone)));
    let filters = &order.filters;
    if filters.is_empty() {
        line("Filters", "none: every row of that time");
    }
    for (word, value) in filters {
        line("Filter", &format!("{word} = {value}"));
    }
    tally.write(&mut text, zone);

    text.push_str("\nWhat is missing\n");
    if gaps.is_empty() {
        text.push_str("  Nothing that the box knows of.\n");
    }
    for gap in *gaps {
        let _ = writeln!(text, "  - {gap}");
    }

    let _ = writeln!(
        text,
        "\nThe school's settings\n  policy.toml is revision {} of the policy, which was in force at the \
        end of this time{}.",
        about.revision,
        if about.revision == 0 { " (the shipped one)" } else { "" }
    );
    for (revision, _) in &about.earlier {
        let _ = writeln!(text, "  policy-revision-{revision}.toml was in force before, within this time.");
    }
    for (revision, at, who) in &about.published {
        let _ = writeln!(text, "  Revision {revision} was published at {} by {who}.", both_times(*at, zone));
    }
    text.push_str(
        "  lists.json has the lists in force when this was made, each with its version and since when.\n",
    );

    text.push_str("\nWhat is logged of whom, when this was made\n");
    for (profile, log) in *levels {
        let _ = writeln!(text, "  {profile}: {}", level(*log));
    }
    text.push_str(READING);
    text
}

/// What everybody must know who reads such rows.
const READING: &str = "
How to read rows.csv
  Each row says that a device asked for a name: \"device X asked for\". It does not say that a person saw a page. Apps,
  advertisements and browsers that load ahead ask for names that nobody typed or looked at, and a name is the name of a
  site: pages, searches, pictures and messages are not visible to a DNS server and are not here.
  A question that was answered from a device's own memory, or that went around this server (mobile data, a VPN), is not
  here either. The absence of a row proves nothing.
  Who held an address is known as well as \"known_by\" and \"confidence\" say: \"mac\" means that the device's own network
  address was seen at that moment; \"address\" that the school wrote down the address as this device's; \"subnet\" that only
  the network is known; \"fallback\" that nothing is known but the address. Where a lease is known, \"lease_from\" and
  \"lease_until\" say when the address was the device's.
  \"device-\" and 12 digits is a pseudonym, which means one device for one day. \"locked:\" and 12 digits stands for a name
  on a list of illegal content, which must not be shown; the same name has the same digits on this box.
  Names of help lines are not logged for pupils unless the school's safeguarding lead has turned that on.
  Times in rows.csv are UTC. A cell that a spreadsheet would take for a formula has an apostrophe in front, which is not
  part of the name.

Whether it was changed
  manifest.json has the size and SHA-256 of every file, and manifest.sig is the box's signature of it. Check with
  \"schoolgate log verify FILE\" on any machine, and compare the key above with the one that the school has on record.
";
