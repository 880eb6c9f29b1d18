//! `policy.toml`: what a school decided, as it is written, exported and imported.
//!
//! The types keep what a person wrote (a subnet is text here), so that every mistake can be told with its place by
//! [`PolicyFile::validate`](PolicyFile::validate) and all of them at once. The compiled form is
//! [`Policy`](super::Policy).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::value::Datetime;

use super::{
    BlockResponse,
    keeping::LogFile,
    mitigation::MitigationFile,
    problem::{PolicyErrors, Problem, Severity},
    supplier::SupplierFile,
};
use crate::{
    category::{Audience, Risk},
    lists::{
        Format,
        format::{MatchMode, Rule},
    },
    spelling::nearest,
};

/// The version of the format that this program reads and writes.
pub const VERSION: u32 = 1;

/// Everything that a school decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// The version of the format: [`VERSION`].
    pub version: u32,
    /// The school's name, shown on block pages and sent with errors.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub school: String,
    /// The time zone that schedules are read in, by its IANA name.
    #[serde(default = "london")]
    pub timezone: String,
    /// The profile of clients that no device and no subnet knows; the strictest pupil profile, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_profile: Option<String>,
    /// Whom to ask about a block, as a URI (`mailto:office@school.example`); sent with errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// How long a client may keep a blocked answer, in seconds: 1 to 300.
    #[serde(default = "ten", skip_serializing_if = "is_ten")]
    pub block_ttl: u32,
    /// When the school day ends, by the school's clock, as `15:30`: what is opened for a lesson ends by then; 18:00, if left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_ends: Option<String>,
    /// The school's own names: never blocked by lists, and free to have private addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_names: Vec<String>,
    /// The terms; schedules with `term_only` hold on these days only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<DateRange>,
    /// Days within terms without school.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<DateRange>,
    /// When names count as newly seen.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub newly_seen: NewlySeen,
    /// What the query log keeps, and for how long.
    #[serde(default, skip_serializing_if = "LogFile::is_usual")]
    pub log: LogFile,
    /// The profiles.
    #[serde(default, rename = "profile", skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<ProfileFile>,
    /// Groups of devices and subnets, for `allow-for`.
    #[serde(default, rename = "group", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupFile>,
    /// Named devices.
    #[serde(default, rename = "device", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceFile>,
    /// Times of the week, for `allow-during`.
    #[serde(default, rename = "schedule", skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<ScheduleFile>,
    /// Lessons in which a room may reach only a few names.
    #[serde(default, rename = "lesson", skip_serializing_if = "Vec::is_empty")]
    pub lessons: Vec<LessonFile>,
    /// The school's own bundles of approved sites, beside the shipped ones.
    #[serde(default, rename = "bundle", skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<BundleFile>,
    /// The school's own rules.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleFile>,
    /// The lists that the school subscribed to.
    #[serde(default, rename = "list", skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListFile>,
    /// Who supplies the categories that are locked for everyone.
    #[serde(default, rename = "supplier", skip_serializing_if = "Vec::is_empty")]
    pub suppliers: Vec<SupplierFile>,
    /// What the school does about what DNS filtering can't do.
    #[serde(default, rename = "mitigation", skip_serializing_if = "Vec::is_empty")]
    pub mitigations: Vec<MitigationFile>,
    /// The school's own categories.
    #[serde(default, rename = "category", skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<OwnCategory>,
}

/// When names count as newly seen (category `newly-seen`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewlySeen {
    /// For how many days a name is new, from the day on which the school first asked for it: 1 to 90.
    pub days: u16,
    /// For how many days a new box only learns what the school asks for: 0 to 90. What comes up in that time is never
    /// blocked as newly seen.
    pub learning_days: u16,
}

impl Default for NewlySeen {
    fn default() -> Self {
        Self { days: 7, learning_days: 14 }
    }
}

/// The rules for some of the clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    /// The identifier that the rest of the file uses.
    pub id: String,
    /// What people read; the identifier, if left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The subnets of its clients; the longest that holds an address decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<String>,
    /// Who it is for.
    pub audience: Audience,
    /// How it decides.
    #[serde(default)]
    pub mode: Mode,
    /// What happens to names on no list. The same can be said by the cell `uncategorised`; allowed, if neither is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncategorised: Option<Access>,
    /// Whether search engines are held in their safe mode.
    #[serde(default = "yes")]
    pub safe_search: bool,
    /// How YouTube is restricted.
    #[serde(default)]
    pub youtube: YouTube,
    /// Whether HTTPS records lose the key of encrypted hellos.
    #[serde(default = "yes")]
    pub strip_ech: bool,
    /// How a block looks.
    #[serde(default)]
    pub block_with: BlockResponse,
    /// What is logged of its clients; what is usual for its audience, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogLevel>,
    /// Whether software that asks if it may go around the filter is told no.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub canaries: bool,
    /// The bundles of approved sites, for an `allow-only` profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<String>,
    /// The states of categories; what is not named has its shipped default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, Cell>,
    /// The states of single services; what is not named is as its category.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Cell>,
    /// Why a category, a service or a setting (`safe_search`) is as it is, by its word: one line of at most
    /// [`LONGEST_WHY`] characters each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub why: BTreeMap<String, String>,
}

/// How long it can be why something is as it is, in characters.
pub const LONGEST_WHY: usize = 500;

/// The settings of a profile that can have a reason, beside its categories and services.
pub const SETTINGS: &[&str] = &[
    "name",
    "subnets",
    "audience",
    "mode",
    "uncategorised",
    "safe_search",
    "youtube",
    "strip_ech",
    "block_with",
    "log",
    "canaries",
    "bundles",
];

/// The state of one category, or of one service, in one profile.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// Acceptable.
    Allow,
    /// Acceptable, and to be reported.
    Report,
    /// Acceptable at certain times: the schedule's identifier.
    AllowDuring(String),
    /// Acceptable for nominated users: the group's identifier.
    AllowFor(String),
    /// Unacceptable.
    Block,
    /// Unacceptable, and nothing opens it; for categories only.
    Locked,
}

/// How a profile decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// By categories.
    #[default]
    Filter,
    /// Only what was approved.
    AllowOnly,
    /// Everything resolves but locked and security categories; what would have been blocked is noted.
    Watch,
}

/// Open or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Open.
    #[default]
    Allow,
    /// Not open.
    Block,
}

/// How YouTube is restricted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum YouTube {
    /// Not at all.
    Off,
    /// YouTube's moderate restricted mode.
    Moderate,
    /// YouTube's strict restricted mode.
    #[default]
    Strict,
    /// It is blocked.
    Block,
}

/// What is logged of a profile's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Every question with its client.
    Full,
    /// Every question, the client under a changing pseudonym.
    Pseudonymous,
    /// Blocked questions only.
    BlockedOnly,
}

impl LogLevel {
    /// What is logged of an audience where a profile does not say: of pupils all, of staff under a pseudonym, of guests
    /// what was blocked.
    #[must_use]
    pub fn usual(audience: Audience) -> Self {
        match audience {
            Audience::Pupil => Self::Full,
            Audience::Staff => Self::Pseudonymous,
            Audience::Guest => Self::BlockedOnly,
        }
    }
}

/// Some days: from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DateRange {
    /// The first day.
    pub from: Datetime,
    /// The last day; the first, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Datetime>,
}

/// Some devices and subnets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupFile {
    /// The identifier that the rest of the file uses.
    pub id: String,
    /// Addresses, subnets, MAC addresses, or names of devices.
    #[serde(default)]
    pub devices: Vec<String>,
}

/// A device that the school knows by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceFile {
    /// What people call it.
    pub name: String,
    /// Its address, where that stays the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its link-layer address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its profile; that of its subnet, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Whether it may reach essential names only.
    #[serde(default, skip_serializing_if = "is_no")]
    pub suspended: bool,
}

/// Times of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleFile {
    /// The identifier that the rest of the file uses.
    pub id: String,
    /// The times.
    pub windows: Vec<WindowFile>,
    /// Whether they hold in terms only.
    #[serde(default, skip_serializing_if = "is_no")]
    pub term_only: bool,
}

/// A time of some days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowFile {
    /// `mon-fri`, `sat,sun`, `daily`; the day on which the time begins.
    pub days: String,
    /// When it begins, `12:00`.
    pub from: String,
    /// When it ends, that minute excluded: `13:15`; before `from`, it ends on the next day. `24:00` is midnight.
    pub to: String,
}

/// A lesson in which a room may reach only a few names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LessonFile {
    /// What people call it.
    pub name: String,
    /// The room: addresses, subnets, MAC addresses, or names of devices.
    pub room: Vec<String>,
    /// The names, as in a rule; `bundle:ID` stands for all names of a bundle.
    pub only: Vec<String>,
    /// When it ends; it holds until it is taken out, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Datetime>,
}

/// A bundle of the school's own: a site with everything that its pages load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    /// The identifier that profiles and lessons use.
    pub id: String,
    /// What people read; the identifier, if left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The names, as in a rule.
    pub names: Vec<String>,
}

/// What a rule or a list does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Opens.
    Allow,
    /// Blocks.
    #[default]
    Block,
}

/// A school's own rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// What it does.
    pub action: Action,
    /// The name and what is below it; `=name` is the name alone.
    pub name: String,
    /// The profiles that it holds for; all, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiles: Option<Vec<String>>,
    /// The clients within these profiles that it holds for, as in a group; all, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Vec<String>>,
    /// Why it was made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// When it ends: an exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Datetime>,
}

/// A list that the school subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListFile {
    /// The identifier, which logs and explanations use.
    pub id: String,
    /// What people read; the identifier, if left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The category that it feeds.
    pub category: String,
    /// Whether its names are blocked by that category or opened for it.
    #[serde(default, skip_serializing_if = "is_block")]
    pub action: Action,
    /// Where it is fetched from. `#member` behind it is one file of the archive that is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where the same bytes are had when `url` can't be reached, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// The `[[lists.credential]]` of the box's settings that `url` and `mirrors` ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The file that it is read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The response policy zone that it is transferred from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Who has the zone: `192.0.2.53`, `192.0.2.53:5353`, in the order in which they are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub primaries: Vec<String>,
    /// The `[[lists.key]]` of the box's settings that signs transfers of the zone (TSIG).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether someone brings it by hand.
    #[serde(default, skip_serializing_if = "is_no")]
    pub upload: bool,
    /// The list itself, for one that the school writes, comments and all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What its names are names of.
    #[serde(default, skip_serializing_if = "is_names")]
    pub applies_to: AppliesTo,
    /// How many entries a version must have at least; one with fewer is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<u64>,
    /// How its lines are written; found out, if none is named (`auto`).
    #[serde(default, with = "auto")]
    pub format: Option<Format>,
    /// What a bare name in it means.
    #[serde(default, rename = "match")]
    pub matching: MatchMode,
    /// How often it is fetched, in hours.
    #[serde(default = "daily")]
    pub refresh_hours: u32,
}

/// What the entries of a list are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AppliesTo {
    /// The names that clients ask for, and the addresses that they get.
    #[default]
    Names,
    /// The name servers of the zone that has the name, and their addresses; where the box recurses itself.
    NameServers,
}

impl AppliesTo {
    /// What an entry of such a list says.
    #[must_use]
    pub fn read(self, rule: Rule) -> Rule {
        match self {
            Self::Names => rule,
            Self::NameServers => rule.of_name_servers(),
        }
    }
}

/// Where a list comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListSource<'a> {
    /// It is fetched from here.
    Url(&'a str),
    /// It is read from this file.
    File(&'a str),
    /// It is this response policy zone.
    Zone(&'a str),
    /// It is brought by hand.
    Upload,
    /// It is written in the policy.
    Text(&'a str),
}

impl ListFile {
    /// Where it comes from; none while it names no source, or more than one, which [`PolicyFile::validate`] refuses.
    #[must_use]
    pub fn source(&self) -> Option<ListSource<'_>> {
        let mut named = self.sources();
        named.next().filter(|_| named.next().is_none())
    }

    /// Every source that it names.
    pub(crate) fn sources(&self) -> impl Iterator<Item = ListSource<'_>> {
        [
            self.url.as_deref().map(ListSource::Url),
            self.file.as_deref().map(ListSource::File),
            self.zone.as_deref().map(ListSource::Zone),
            self.upload.then_some(ListSource::Upload),
            self.text.as_deref().map(ListSource::Text),
        ]
        .into_iter()
        .flatten()
    }
}

/// A category of the school's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnCategory {
    /// The identifier: `own-…`.
    pub id: String,
    /// What people read.
    pub title: String,
    /// One plain sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// How much harm a wrongly opened name could do.
    #[serde(default = "medium")]
    pub risk: Risk,
    /// The alert class.
    #[serde(default = "no_alert", skip_serializing_if = "is_no_alert")]
    pub alert: String,
}

impl PolicyFile {
    /// Reads a policy from TOML. What it says is not looked at yet: see [`validate`](Self::validate).
    ///
    /// # Errors
    ///
    /// When the text is not TOML, has a key or a word that does not exist, or is of another version: one problem, with
    /// line and column.
    pub fn parse(text: &str) -> Result<Self, PolicyErrors> {
        let file: Self = toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            let what = error.message().to_owned();
            let instead = meant(&what);
            PolicyErrors(vec![Problem {
                severity: Severity::Error,
                place: format!("line {line}, column {column}"),
                what,
                instead,
            }])
        })?;
        if file.version == VERSION {
            return Ok(file);
        }
        Err(PolicyErrors(vec![Problem {
            severity: Severity::Error,
            place: String::from("version"),
            what: format!("{} is not a version that this program reads", file.version),
            instead: Some(format!("write version = {VERSION}")),
        }]))
    }

    /// Writes the policy as TOML that [`parse`](Self::parse) reads to an equal policy.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Strings, numbers, dates, tables with text keys: nothing here lacks a TOML form.
        toml::to_string(self).expect("a policy has a TOML form")
    }
}

/// Line and column (from 1, in characters) of a byte of a text.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// What a message of serde's about an unknown word probably meant: the words stand in backticks, the wrong one first.
fn meant(message: &str) -> Option<String> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut words = message.split('`').skip(1).step_by(2);
    let wrong = words.next()?;
    nearest(wrong, words).map(|near| format!("did you mean `{near}`?"))
}

/// `auto` or the word of a format.
mod auto {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::IntoDeserializer};

    use super::Format;

    pub(super) fn serialize<S: Serializer>(format: &Option<Format>, to: S) -> Result<S::Ok, S::Error> {
        match format {
            None => to.serialize_str("auto"),
            Some(format) => format.serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Format>, D::Error> {
        let word = String::deserialize(from)?;
        if word == "auto" {
            return Ok(None);
        }
        Format::deserialize(word.as_str().into_deserializer()).map(Some)
    }
}

fn london() -> String {
    String::from("Europe/London")
}

fn no_alert() -> String {
    String::from("none")
}

fn is_no_alert(alert: &str) -> bool {
    alert == "none"
}

fn ten() -> u32 {
    10
}

fn is_ten(n: &u32) -> bool {
    *n == 10
}

fn daily() -> u32 {
    24
}

fn medium() -> Risk {
    Risk::Medium
}

fn yes() -> bool {
    true
}

fn is_yes(b: &bool) -> bool {
    *b
}

fn is_no(b: &bool) -> bool {
    !*b
}

fn is_usual(newly_seen: &NewlySeen) -> bool {
    *newly_seen == NewlySeen::default()
}

fn is_names(applies_to: &AppliesTo) -> bool {
    *applies_to == AppliesTo::Names
}

fn is_block(action: &Action) -> bool {
    *action == Action::Block
}
