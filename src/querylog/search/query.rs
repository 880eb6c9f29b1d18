//! What is searched for: from the words that people write to what the day files are asked.

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    glob::Glob,
    when::{Edge, moment},
};
use crate::{
    policy::Policy,
    querylog::{Action, LogError, LogFolder, Place, Who, day},
    spelling::nearest,
};

/// How many questions a page has when nobody says.
pub const USUAL: u32 = 100;

/// How many questions a page can have.
pub const MOST: u32 = 10_000;

/// What somebody asked to be searched for, in their own words: the arguments of `schoolgate log search`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// The earliest time; [`moment`] says how times are written.
    pub from: Option<String>,
    /// The time that it ends before; a day that is named is within.
    pub to: Option<String>,
    /// An address, a subnet, a link-layer address, a device's name or a pseudonym.
    pub client: Option<String>,
    /// The identifier of a profile.
    pub profile: Option<String>,
    /// A [`Glob`].
    pub name: Option<String>,
    /// The identifier of a category, whether it decided or the name is in it.
    pub category: Option<String>,
    /// The word of an [`Action`].
    pub action: Option<String>,
    /// Only what somebody may have to look at.
    pub alert: bool,
    /// What decided, in a word (`category`, `block-rule`).
    pub reason: Option<String>,
    /// The identifier of the list that decided.
    pub list: Option<String>,
    /// How many to show: 1 to [`MOST`]; [`USUAL`] if left out.
    pub limit: Option<u32>,
    /// The [`Place`] after which to go on: that of the last one shown before.
    pub after: Option<String>,
}

/// What is searched for. Everything that is set must be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The earliest time.
    pub from: Option<Timestamp>,
    /// The time that it ends before.
    pub to: Option<Timestamp>,
    /// Who asked.
    pub client: Option<Who>,
    /// The identifier of the profile.
    pub profile: Option<String>,
    /// The names.
    pub name: Option<Glob>,
    /// The identifier of a category that decided, or that the name is in.
    pub category: Option<String>,
    /// What happened.
    pub action: Option<Action>,
    /// Only what somebody may have to look at.
    pub alert: bool,
    /// What decided, in a word.
    pub reason: Option<String>,
    /// The identifier of the list that decided.
    pub list: Option<String>,
    /// Only what is older than the question at this place.
    pub after: Option<Place>,
    /// How many at most.
    pub limit: usize,
}

impl Default for Query {
    /// The newest [`USUAL`] questions.
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            client: None,
            profile: None,
            name: None,
            category: None,
            action: None,
            alert: false,
            reason: None,
            list: None,
            after: None,
            limit: USUAL as usize,
        }
    }
}

impl Query {
    /// Understands what somebody asked for, by the school's time zone and by the words of its policy.
    ///
    /// A profile, a category, a list or a device that the policy does not know any more is searched for all the same
    /// where the log has it; `folder` is only read for such ones.
    ///
    /// # Errors
    ///
    /// [`LogError::Input`] names the argument that is wrong, and what would be right; or the log can't be read.
    pub fn understand(
        asked: &Asked,
        policy: &Policy,
        folder: &LogFolder,
        now: Timestamp,
    ) -> Result<Self, LogError> {
        let zone = zone(policy);
        let time = |argument, text: &Option<String>, edge| {
            text.as_deref().map(|text| moment(argument, text, edge, &zone, now)).transpose()
        };
        let from = time("--from", &asked.from, Edge::From)?;
        let to = time("--to", &asked.to, Edge::To)?;
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            let [from, to] = [from, to].map(|time| time.to_zoned(zone.clone()).strftime("%F %T").to_string());
            return Err(LogError::input("--from", format!("{from} is not before --to, which is {to}")));
        }
        let limit = asked.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(LogError::input(
                "--limit",
                format!("{limit} questions: 1 to {MOST} can be shown at once"),
            ));
        }
        let after = asked
            .after
            .as_deref()
            .map(|text| {
                text.trim()
                    .parse::<Place>()
                    .map_err(|error| LogError::input("--after", format!("{text:?} is {error}")))
            })
            .transpose()?;
        let action = asked
            .action
            .as_deref()
            .map(|word| {
                known_action(word.trim())
                    .ok_or_else(|| unknown("--action", "action", word, &Action::ALL.map(Action::word)))
            })
            .transpose()?;
        let name = asked.name.as_deref().map(Glob::parse).transpose()?;
        let words = Words { policy, folder };
        Ok(Self {
            from,
            to,
            client: asked.client.as_deref().map(|client| words.client(client)).transpose()?,
            profile: asked.profile.as_deref().map(|profile| words.profile(profile)).transpose()?,
            name,
            category: asked.category.as_deref().map(|category| words.category(category)).transpose()?,
            action,
            alert: asked.alert,
            reason: asked.reason.as_deref().map(|reason| words.reason(reason)).transpose()?,
            list: asked.list.as_deref().map(|list| words.list(list)).transpose()?,
            after,
            limit: limit as usize,
        })
    }
}

/// The school's time zone.
#[must_use]
pub fn zone(policy: &Policy) -> TimeZone {
    jiff::tz::TimeZoneDatabase::bundled().get(&policy.file().timezone).unwrap_or(TimeZone::UTC)
}

fn known_action(word: &str) -> Option<Action> {
    Action::from_word(&word.to_lowercase())
}

fn unknown(argument: &'static str, kind: &str, word: &str, known: &[&str]) -> LogError {
    let instead = match nearest(word, known.iter().copied()) {
        Some(word) => format!("did you mean {word}?"),
        None if known.is_empty() => String::from("there is none"),
        None if known.len() > 12 => {
            format!("there are {} and {} more", known[..12].join(", "), known.len() - 12)
        }
        None => format!("there are {}", known.join(", ")),
    };
    LogError::input(argument, format!("there is no {kind} {word:?}; {instead}"))
}

/// What words can mean: those of the policy, and those that the log has from before.
struct Words<'a> {
    policy: &'a Policy,
    folder: &'a LogFolder,
}

impl Words<'_> {
    fn client(&self, text: &str) -> Result<Who, LogError> {
        let who = Who::parse(text)?;
        let Who::Name(name) = &who else { return Ok(who) };
        let devices = &self.policy.file().devices;
        let is_known = devices.iter().any(|device| device.name.to_lowercase() == *name)
            || self.occurs("SELECT 1 FROM asker WHERE device = ?1 COLLATE NOCASE LIMIT 1", name)?;
        if is_known {
            return Ok(who);
        }
        let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        let instead = nearest(name, names)
            .map_or_else(|| String::from(Who::HOW), |device| format!("did you mean {device:?}?"));
        Err(LogError::input("--client", format!("no device is called {:?}; {instead}", text.trim())))
    }

    fn profile(&self, text: &str) -> Result<String, LogError> {
        let known: Vec<&str> = self.policy.profiles().map(|(_, profile)| profile.id.as_str()).collect();
        self.word("--profile", "profile", text, &known, "SELECT 1 FROM asker WHERE profile = ?1 LIMIT 1")
    }

    fn category(&self, text: &str) -> Result<String, LogError> {
        let known: Vec<&str> =
            self.policy.categories().iter().map(|(_, category)| category.id.as_str()).collect();
        let sql = "SELECT 1 FROM fate WHERE category = ?1 OR instr(' ' || categories || ' ', ' ' || ?1 || ' ') LIMIT 1";
        self.word("--category", "category", text, &known, sql)
    }

    fn list(&self, text: &str) -> Result<String, LogError> {
        let known: Vec<&str> =
            self.policy.indexes().flat_map(|index| index.lists()).map(|list| list.id.as_str()).collect();
        self.word("--list", "list", text, &known, "SELECT 1 FROM fate WHERE list = ?1 LIMIT 1")
    }

    fn reason(&self, text: &str) -> Result<String, LogError> {
        let known = super::reasons();
        self.word("--reason", "reason", text, &known, "SELECT 1 FROM fate WHERE reason = ?1 LIMIT 1")
    }

    /// A word that the policy knows, or else the log.
    fn word(
        &self,
        argument: &'static str,
        kind: &str,
        text: &str,
        known: &[&str],
        sql: &str,
    ) -> Result<String, LogError> {
        let word = text.trim();
        if known.contains(&word) || (!word.is_empty() && self.occurs(sql, word)?) {
            return Ok(word.to_owned());
        }
        Err(unknown(argument, kind, word, known))
    }

    /// Whether any day has such a word. A day that can't be read has none.
    fn occurs(&self, sql: &str, word: &str) -> Result<bool, LogError> {
        let days = self.folder.days().map_err(|source| LogError::file(self.folder.path(), source))?;
        Ok(days.into_iter().rev().any(|day| {
            let connection = day::open_to_read(&self.folder.day(day)).ok().flatten();
            connection.is_some_and(|connection| {
                connection.prepare(sql).and_then(|mut statement| statement.exists([word])).unwrap_or(false)
            })
        }))
    }
}
