//! Which names are new to the school, for people to look through.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Control, ControlError};
use crate::{
    clock::Day,
    name::{Key, dotted},
    seen::FirstSeen,
};

/// The longest look back, in days.
const LONGEST: u16 = 400;

/// How many names a report has at most; the newest are kept.
const MOST: usize = 5_000;

/// The names that the school asked for first in the last days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SeenReport {
    /// The first day that is looked at.
    pub since: Date,
    /// When the box began to remember; none while it never did.
    pub began: Option<Date>,
    /// While it is still learning what the school asks for: the first day on which names can count as newly seen.
    pub learning_until: Option<Date>,
    /// How many domains are remembered in all.
    pub remembered: usize,
    /// How many of them came up in these days; more than `names` has, where those are too many.
    pub new: usize,
    /// The names, the newest first.
    pub names: Vec<SeenName>,
}

/// A name that came up lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SeenName {
    /// The registrable domain; a digest, where it must not be shown.
    pub name: String,
    /// When it was first asked for.
    pub first_asked: Date,
    /// The categories that lists put it into; none for a name on no list.
    pub categories: Vec<String>,
}

impl fmt::Display for SeenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(began) = self.began else {
            return write!(f, "Nothing is remembered yet: no server has answered questions here.");
        };
        for name in &self.names {
            let categories = if name.categories.is_empty() {
                String::from("on no list")
            } else {
                name.categories.join(", ")
            };
            writeln!(f, "{}  {}  ({categories})", name.first_asked, name.name)?;
        }
        if self.names.len() < self.new {
            writeln!(f, "… and {} more", self.new - self.names.len())?;
        }
        let names = if self.new == 1 { "1 new name" } else { &format!("{} new names", self.new) };
        write!(f, "{names} since {}, {} remembered since {began}", self.since, self.remembered)?;
        if let Some(until) = self.learning_until {
            write!(
                f,
                "\nThe box is learning what this school asks for: until {until} nothing is blocked as newly seen."
            )?;
        }
        Ok(())
    }
}

impl Control {
    /// The names that the school asked for first in the last `days` days, 1 to 400, today among them.
    ///
    /// # Errors
    ///
    /// When the number of days is none of these, or the table of names can't be read.
    pub fn new_names(&self, days: u16) -> Result<SeenReport, ControlError> {
        report(self, days)
    }
}

/// Reports on the last `days` days, today among them.
fn report(control: &Control, days: u16) -> Result<SeenReport, ControlError> {
    if !(1..=LONGEST).contains(&days) {
        return Err(ControlError::Input(format!("{days} days: 1 to {LONGEST} can be looked at")));
    }
    let seen = control.seen()?;
    let policy = control.policy.load_full();
    let today = Day::of(control.clock.now());
    let since = today.minus(days - 1);
    let mut found = seen.since(since)?;
    let new = found.len();
    found.truncate(MOST);
    let categories = policy.categories();
    let names = found
        .into_iter()
        .map(|FirstSeen { name, day }| {
            let name = dotted(&name);
            let key = Key::parse(&name);
            let listed = key.as_ref().map(|key| policy.categories_of(key)).unwrap_or_default();
            let name = key.map_or(name, |key| policy.shown(&key));
            let categories = categories.ids(listed).into_iter().map(str::to_owned).collect();
            SeenName { name, first_asked: day.date(), categories }
        })
        .collect();
    let learned = seen.began().map(|began| began.plus(policy.file().newly_seen.learning_days));
    Ok(SeenReport {
        since: since.date(),
        began: seen.began().map(Day::date),
        learning_until: learned.filter(|until| today < *until).map(Day::date),
        remembered: seen.len(),
        new,
        names,
    })
}
