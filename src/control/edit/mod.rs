//! Changes of the school's policy, one thing at a time: what pages and the HTTP API ask for.
//!
//! An [`Edit`] is applied to a copy of the policy in force, and the whole is then checked, built and published as any
//! other policy is. Nothing here knows a shorter way.

mod apply;
mod matrix;
mod preview;
mod profiles;
mod proposals;
mod publish;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    matrix::{Matrix, MatrixCell, MatrixProfile, MatrixRow, MatrixService},
    preview::{LONGEST_PREVIEW, Preview, PreviewName, PreviewSide},
    proposals::{Decided, Proposal},
    publish::{EditAsked, EditReport, InForce, LONGEST_REASON, LaterChange},
};
use crate::{
    category::Audience,
    policy::{
        Access, Action, BlockResponse, Cell, DeviceFile, GroupFile, LogFile, LogLevel, Mode, NewlySeen,
        ScheduleFile, Supply, YouTube,
    },
};

/// One change of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "edit", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Edit {
    /// Give a category, or a single service, a state in a profile.
    SetCell {
        /// The profile's identifier.
        profile: String,
        /// The identifier of the category or of the service.
        category: String,
        /// The state; if left out, the one that ships with the profile, or that of the service's category.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cell: Option<Cell>,
        /// Why; what was written before goes with the state that it was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// Give one profile the categories and services of another one. What is locked for its audience stays locked.
    CopyProfile {
        /// The profile to copy from.
        from: String,
        /// The profile that changes.
        to: String,
    },
    /// Change the settings of a profile.
    SetProfile(ProfileEdit),
    /// Add a profile.
    AddProfile(NewProfile),
    /// Take a profile out, with the rules that are for it alone.
    RemoveProfile {
        /// The profile's identifier.
        profile: String,
        /// The profile that gets its subnets and devices; the fallback, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Say when names count as new.
    SetNewlySeen(NewlySeen),
    /// Add rules, or write them anew: a rule takes the place of one for the same name, profiles and clients, if both or
    /// neither have an end.
    PutRules {
        /// The rules.
        rules: Vec<RuleEdit>,
    },
    /// Take a rule out.
    RemoveRule(WhichRule),
    /// Say which subnets are a profile's.
    SetSubnets {
        /// The profile's identifier.
        profile: String,
        /// All its subnets, as `10.20.2.0/24`.
        subnets: Vec<String>,
    },
    /// Add a device, or write the one of that name anew.
    PutDevice(DeviceFile),
    /// Take a device out, also out of the groups, rooms and rules that name it.
    RemoveDevice {
        /// Its name.
        name: String,
    },
    /// Let a device reach essential names only, or end that.
    SuspendDevice {
        /// Its name.
        name: String,
        /// Whether it may reach essential names only.
        suspended: bool,
    },
    /// Add a group, or write the one of that identifier anew.
    PutGroup(GroupFile),
    /// Take a group out.
    RemoveGroup {
        /// Its identifier.
        group: String,
    },
    /// Add a schedule, or write the one of that identifier anew.
    PutSchedule(ScheduleFile),
    /// Take a schedule out.
    RemoveSchedule {
        /// Its identifier.
        schedule: String,
    },
    /// Say when the school's terms are.
    SetTerms {
        /// All terms.
        terms: Vec<Days>,
        /// Days within terms without school: half-terms, bank holidays, training days.
        holidays: Vec<Days>,
        /// When the school day ends, as `15:30`; 18:00, if empty. It stays as it is, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        day_ends: Option<String>,
    },
    /// Let a room reach only a few names until a moment.
    StartLesson(Lesson),
    /// End a lesson before its time, with what it opened.
    EndLesson {
        /// Its name.
        name: String,
    },
    /// Open names for some clients or profiles until a moment.
    Open(Opening),
    /// End an opening before its time.
    Close {
        /// What was opened, as it was said then; everything that is open for these clients, if left out.
        #[serde(default)]
        what: Vec<String>,
        /// For which clients, as it was said then.
        #[serde(default)]
        clients: Vec<String>,
        /// For which profiles, as it was said then.
        #[serde(default)]
        profiles: Vec<String>,
    },
    /// Take a list out, and forget its versions.
    RemoveList {
        /// The list's identifier.
        list: String,
    },
    /// Write a list of the school's own anew.
    WriteList {
        /// The list's identifier.
        list: String,
        /// The text.
        text: String,
    },
    /// Say what the query log keeps, and for how long. What is left out is as usual.
    SetRetention(LogFile),
    /// Change what the policy says of the school.
    SetSchool(SchoolEdit),
    /// State who supplies a category that is locked for everyone.
    SetSupplier(SupplierEdit),
    /// Say what the school does about what DNS filtering can't do.
    SetMitigation(MitigationEdit),
}

/// New settings of a profile; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileEdit {
    /// The profile's identifier.
    pub profile: String,
    /// What people read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What happens to names on no list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncategorised: Option<Access>,
    /// What happens to names that are new to the school.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newly_seen: Option<Cell>,
    /// Whether search engines are held in their safe mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safe_search: Option<bool>,
    /// How YouTube is restricted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub youtube: Option<YouTube>,
    /// Whether HTTPS records lose the key of encrypted hellos.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_ech: Option<bool>,
    /// How a block looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_with: Option<BlockResponse>,
    /// What is logged of its clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogLevel>,
    /// Whether software that asks if it may go around the filter is told no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canaries: Option<bool>,
    /// The bundles of approved sites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundles: Option<Vec<String>>,
    /// Why categories, services and settings (`safe_search`) are as they are; an empty text takes one out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub why: BTreeMap<String, String>,
}

/// A profile to be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProfile {
    /// Its identifier: small letters, digits and hyphens, at most 64.
    pub profile: String,
    /// What people read; the identifier, if left out.
    #[serde(default)]
    pub name: String,
    /// Who it is for.
    pub audience: Audience,
    /// The profile whose settings it begins with; if left out, the strictest that ship for the audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// Its subnets.
    #[serde(default)]
    pub subnets: Vec<String>,
}

/// A rule of the school.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleEdit {
    /// What it does.
    pub action: Action,
    /// The name and what is below it; `=name` is the name alone.
    pub name: String,
    /// The profiles that it holds for; all, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// The clients within these profiles that it holds for: addresses, subnets, MAC addresses or names of devices; all,
    /// if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// Why it was made; the reason that was given for the change, if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What tells a rule from others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhichRule {
    /// The name, as in the rule.
    pub name: String,
    /// The profiles that it holds for; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// The clients that it holds for; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// Whether it has an end.
    #[serde(default)]
    pub ends: bool,
}

/// Some days, the first and the last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// The first day.
    pub from: Date,
    /// The last day; the first, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Date>,
}

/// A lesson to be started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    /// What people call it.
    pub name: String,
    /// The room: addresses, subnets, MAC addresses or names of devices.
    pub room: Vec<String>,
    /// What alone is open: names as in a rule, `service:ID`, `bundle:ID`.
    pub only: Vec<String>,
    /// What is opened too, though the profile blocks it, in the same form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// When it ends.
    pub until: Timestamp,
}

/// Names to be opened for a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Names as in a rule, `service:ID`, `bundle:ID`.
    pub what: Vec<String>,
    /// For which clients: addresses, subnets, MAC addresses or names of devices; all of the profiles, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// For which profiles; all, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// When it ends.
    pub until: Timestamp,
}

/// What the policy says of the school; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SchoolEdit {
    /// The school's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The time zone of schedules, by its IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The profile of devices that nobody knows; the strictest for pupils, if empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_profile: Option<String>,
    /// Whom to ask about a block, as a URI; nobody, if empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The school's own names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_names: Option<Vec<String>>,
}

/// A statement of who supplies a category that is locked for everyone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupplierEdit {
    /// The category.
    pub category: String,
    /// How it is supplied.
    pub by: Supply,
    /// Who does it.
    #[serde(default)]
    pub who: String,
    /// The day on which it was last seen to work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Date>,
    /// Who saw it.
    #[serde(default)]
    pub verified_by: String,
    /// Whatever else is worth knowing.
    #[serde(default)]
    pub note: String,
}

/// What the school does about one limit of DNS filtering.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MitigationEdit {
    /// The limit, by its word.
    pub limit: String,
    /// What the school does; nothing is said any more, if empty.
    #[serde(default)]
    pub text: String,
    /// The day on which that was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Date>,
    /// Who decided it.
    #[serde(default)]
    pub by: String,
}

/// What an edit asks for can't be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It names something that is not there.
    #[error("there is no {kind} {word:?}{}", behind(instead))]
    Unknown {
        /// What it would be: `profile`, `category or service`.
        kind: &'static str,
        /// The word.
        word: String,
        /// What was meant, where that can be told.
        instead: String,
    },
    /// It would add something that is there.
    #[error("there is a {kind} {word:?} already: write another name")]
    Taken {
        /// What it would be.
        kind: &'static str,
        /// The word.
        word: String,
    },
    /// Its end has come, or is no time that a policy can have.
    #[error("{0} is past or too far away: write a moment to come")]
    End(Timestamp),
    /// It leaves something out that it needs.
    #[error("{what}: {instead}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// What to write.
        instead: &'static str,
    },
}

fn behind(instead: &str) -> String {
    if instead.is_empty() { String::new() } else { format!(": {instead}") }
}
