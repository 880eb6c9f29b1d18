//! What a school allows: pure decisions, with the time and everything known handed in.
//!
//! [`PolicyFile`] is what a school wrote; [`Policy`] is made from it and from the compiled lists, immutable, and
//! replaced as a whole when either changes. [`Policy::decide`] looks at a question before it is resolved,
//! [`Policy::review`] at the answer after. Both follow the order that is promised to users (docs/policy.md).

mod build;
mod bundles;
mod decide;
mod diff;
mod explain;
mod facts;
mod file;
mod keeping;
mod listing;
mod lookup;
mod mitigation;
mod names;
mod novelty;
mod problem;
mod profile;
mod rebinding;
mod record;
mod review;
mod schedule;
mod sealed;
mod servers;
mod services;
mod shipped;
mod standing;
mod supplier;
mod tables;
#[cfg(test)]
mod tests;
mod validate;
mod wire;
mod words;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
};

use hickory_proto::rr::{Record, RecordType};
use serde::{Deserialize, Serialize};

pub use self::{
    diff::Change,
    facts::AnswerFacts,
    file::{
        Access, Action, AppliesTo, BundleFile, Cell, DateRange, DeviceFile, GroupFile, LONGEST_WHY,
        LessonFile, ListFile, ListSource, LogLevel, Mode, NewlySeen, OwnCategory, PolicyFile, ProfileFile,
        RuleFile, SETTINGS, ScheduleFile, VERSION, WindowFile, YouTube,
    },
    keeping::{LogFile, Retention},
    lookup::Matches,
    mitigation::{LIMITS, LONGEST_MITIGATION, MitigationFile},
    names::{Essential, NamePattern},
    novelty::FirstAsked,
    problem::{PolicyErrors, Problem, Severity},
    rebinding::is_private,
    record::DecisionWords,
    standing::{Season, Standing},
    supplier::{Supplied, SupplierFile, Supply, VERIFY_DAYS},
    tables::{Bundle, Canary, Engine, EngineKind, ShippedProfile, TableError, Tables},
};
use self::{
    lookup::View,
    names::NameTable,
    profile::{Lesson, Members, Profile},
    schedule::{Calendar, Schedule},
};
use crate::{
    category::{Categories, Category, CategoryId, CategorySet},
    clients::{Client, ClientIndex, Mac, ProfileId},
    clock::Day,
    delegation::Delegations,
    lists::{DomainIndex, ListMeta, services::Service},
    name::Key,
    vault::Mask,
};

/// How many profiles a policy can have.
pub const MAX_PROFILES: usize = 128;

/// All rules in force: immutable; a change makes a new one.
///
/// Invariant: there is at least one profile, and `fallback` is the place of one.
#[derive(Debug)]
pub struct Policy {
    /// Tells it apart from every other one that this process made.
    number: u64,
    file: PolicyFile,
    tables: Tables,
    categories: Arc<Categories>,
    /// The categories that even a profile that only watches blocks.
    security: CategorySet,
    /// The category of names on no list, alone in its set.
    uncategorised: CategorySet,
    /// The category of names that are new to the school, alone in its set.
    newly_seen: CategorySet,
    /// The categories whose names must not be shown.
    sealed: CategorySet,
    mask: Mask,
    views: Vec<View>,
    /// The number of what the lists say of name servers; 0 when they say nothing.
    server_lists: u64,
    profiles: Vec<Profile>,
    fallback: usize,
    clients: ClientIndex,
    /// Whether each named device is suspended.
    suspended: Vec<bool>,
    groups: Vec<Members>,
    lessons: Vec<Lesson>,
    /// The clients of rules that are not for all, by the places of the rules.
    narrow: BTreeMap<u32, Members>,
    schedules: Vec<Schedule>,
    calendar: Calendar,
    names: NameTable,
}

/// The next policy's number. An address would not do: a policy may lie where an older one did.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// What is known of names when a policy is made.
#[derive(Debug, Clone)]
pub struct Knowledge {
    /// The taxonomy.
    pub categories: Arc<Categories>,
    /// The starter lists' index first, then the subscribed lists'.
    pub indexes: Vec<Arc<DomainIndex>>,
}

/// A question as the policy sees it.
#[derive(Debug, Clone)]
pub struct Question {
    /// The name asked.
    pub key: Key,
    /// The type asked.
    pub qtype: RecordType,
    /// Since when the school asks for it; what nobody looked up ([`FirstAsked::Unknown`]) is never newly seen.
    pub first_asked: FirstAsked,
}

/// The outcome of one question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decision {
    /// What happens.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// All categories of the name and its parents, blocked or not, for the log.
    pub categories: CategorySet,
    /// In a profile that only watches: the reason for which it would have been blocked.
    pub would_block: Option<Box<Reason>>,
    /// For a name that is allowed: those of its categories that the profile wants reported, `uncategorised` and
    /// `newly-seen` among them.
    pub reported: CategorySet,
}

/// What happens to a question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is resolved.
    Allow,
    /// It is answered with a block.
    Block(BlockResponse),
    /// It is answered as if the name were an alias of another (SafeSearch).
    Rewrite(Target),
}

/// The name that a question is rewritten to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The alias target.
    pub name: hickory_proto::rr::Name,
    /// Addresses that were good when the product was made, for when the target can't be resolved.
    pub last_good: Vec<IpAddr>,
}

/// How a block looks on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BlockResponse {
    /// The box's own address for A and AAAA, where the block page is; no data for other types.
    #[default]
    BlockPage,
    /// No such name.
    #[serde(rename = "nxdomain")]
    NxDomain,
    /// The name, without records of that type.
    #[serde(rename = "nodata")]
    NoData,
    /// 0.0.0.0 and ::.
    NullAddress,
    /// Refused.
    Refused,
}

impl BlockResponse {
    /// Each of them.
    pub const ALL: [Self; 5] =
        [Self::BlockPage, Self::NxDomain, Self::NoData, Self::NullAddress, Self::Refused];
}

/// Why a question was decided as it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A locked category has the name.
    Locked(Listed),
    /// The device is suspended.
    Suspended,
    /// A lesson in the client's room lets it reach only a few names, and this is none of them.
    Lesson(LessonRef),
    /// A name that software asks to learn whether it may go around the filter.
    Canary,
    /// A school's block rule.
    BlockRule(RuleRef),
    /// A school's allow rule.
    AllowRule(RuleRef),
    /// A school's allow rule with an end.
    Exception(RuleRef),
    /// An essential name.
    Essential,
    /// The profile allows only what was approved, and this was not.
    AllowOnly,
    /// The profile allows only what was approved or is known, and this was approved.
    Approved,
    /// A service has the name, and the profile closes that service by itself.
    BlockService(ServiceRef),
    /// A service has the name, and the profile opens that service by itself.
    AllowService(ServiceRef),
    /// A blocked category has the name.
    Category(Listed),
    /// A category that is allowed only at certain times has the name, and this is not one of them.
    Schedule(Listed),
    /// On no list, and the profile blocks such names.
    Uncategorised,
    /// New to the school, and the profile blocks such names.
    NewlySeen {
        /// When it was first asked for; the day of the question, if never before.
        since: Day,
        /// The first day on which it is not new any more.
        until: Day,
    },
    /// SafeSearch or YouTube's restricted mode (the engine's id).
    SafeSearch(String),
    /// An alias target in the answer is blocked.
    Alias {
        /// The target.
        target: Key,
        /// Why the target is blocked.
        because: Box<Self>,
    },
    /// An address in the answer is listed.
    Address {
        /// The address.
        address: IpAddr,
        /// Who lists it.
        listed: Listed,
    },
    /// An address in the answer is listed by a locked category.
    LockedAddress {
        /// The address.
        address: IpAddr,
        /// Who lists it.
        listed: Listed,
    },
    /// A name server of the zone, or of an alias target's zone, is listed.
    NameServer(Box<ServedBy>),
    /// A public name with a private address.
    Rebinding(IpAddr),
    /// Nothing spoke against it.
    Default,
}

/// Which name server spoke against a zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServedBy {
    /// The zone: the name asked, an alias target, or a parent of one of them.
    pub zone: Key,
    /// The server that is listed.
    pub server: Server,
    /// Who lists it.
    pub listed: Listed,
    /// Whether by a locked category.
    pub locked: bool,
}

/// A name server, by what a list knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Server {
    /// Its name.
    Name(Key),
    /// Its address.
    Address(IpAddr),
}

/// Which listed name decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listed {
    /// The category.
    pub category: CategoryId,
    /// How many labels of the name the listed name has; 0 for an address.
    pub depth: u8,
    /// The index (place in [`Knowledge::indexes`]).
    pub index: u8,
    /// The list (place in that index).
    pub list: u16,
}

/// A school's rule, by its place in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleRef(pub u32);

/// A lesson, by its place in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LessonRef(pub u16);

/// A service, by its place in [`Tables::services`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceRef(pub u16);
/// An answer as the review sees it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The records of its answer section.
    pub records: &'a [Record],
    /// The delegations that it came from.
    pub delegations: &'a Delegations,
    /// It comes from a zone of the school's own.
    pub own_zone: bool,
}

/// What the review of an answer found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Review {
    /// The decision that replaces the first one, when the answer must not be given.
    pub block: Option<Decision>,
    /// In a profile that only watches: the reason for which the answer would have been blocked.
    pub would_block: Option<Reason>,
    /// HTTPS and SVCB records lose `ech` before they are given; set only where one has it.
    pub strip_ech: bool,
}

impl Policy {
    /// Finds who asks: named device, longest subnet, fallback.
    #[must_use]
    pub fn identify(&self, address: IpAddr, mac: Option<Mac>) -> Client {
        self.clients.identify(address, mac)
    }

    /// Whether the school has written down the network of an address, or a device at it: so it may ask, although its
    /// address is a public one.
    ///
    /// Networks shorter than /16 (IPv4) and /32 (IPv6) don't count: no school has one, and `0.0.0.0/0` would make the box
    /// answer the whole internet.
    #[must_use]
    pub fn serves(&self, address: IpAddr) -> bool {
        self.clients.knows(address)
    }

    /// A number that no other policy of this process has; never 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What the school wrote.
    #[must_use]
    pub fn file(&self) -> &PolicyFile {
        &self.file
    }

    /// The taxonomy, the school's own categories included; the places in decisions are its.
    #[must_use]
    pub fn categories(&self) -> &Arc<Categories> {
        &self.categories
    }

    /// What was known of names when this policy was made: the starter lists' index first.
    pub fn indexes(&self) -> impl Iterator<Item = &DomainIndex> {
        self.views.iter().map(View::index)
    }

    /// The profile's identifier and title.
    #[must_use]
    pub fn profile(&self, id: ProfileId) -> (&str, &str) {
        let written = self.written(id);
        (&written.id, written.title())
    }

    /// All profiles.
    pub fn profiles(&self) -> impl Iterator<Item = (ProfileId, &ProfileFile)> {
        // Validation keeps them under `MAX_PROFILES`.
        self.file.profiles.iter().enumerate().map(|(place, written)| (ProfileId(place as u16), written))
    }

    /// Finds a profile by its identifier.
    #[must_use]
    pub fn find_profile(&self, id: &str) -> Option<ProfileId> {
        self.profiles().find(|(_, written)| written.id == id).map(|(place, _)| place)
    }

    /// The profile of clients that nothing knows.
    #[must_use]
    pub fn fallback(&self) -> ProfileId {
        ProfileId(self.fallback as u16)
    }

    /// How long a client may keep a blocked answer, in seconds.
    #[must_use]
    pub fn block_ttl(&self) -> u32 {
        self.file.block_ttl
    }

    /// The name of a device that [`identify`](Self::identify) found.
    #[must_use]
    pub fn device(&self, place: u16) -> Option<&str> {
        self.file.devices.get(usize::from(place)).map(|device| device.name.as_str())
    }

    /// The rule of a reason.
    #[must_use]
    pub fn rule(&self, rule: RuleRef) -> Option<&RuleFile> {
        self.file.rules.get(rule.0 as usize)
    }

    /// The lesson of a reason.
    #[must_use]
    pub fn lesson(&self, lesson: LessonRef) -> Option<&LessonFile> {
        self.file.lessons.get(usize::from(lesson.0))
    }

    /// The service of a reason.
    #[must_use]
    pub fn service(&self, service: ServiceRef) -> Option<&Service> {
        self.tables.services.get(usize::from(service.0))
    }

    /// The list of a reason.
    #[must_use]
    pub fn list(&self, listed: &Listed) -> Option<&ListMeta> {
        self.views.get(usize::from(listed.index))?.index().lists().get(usize::from(listed.list))
    }

    /// Why a name is essential, if it is. Questions for [`Essential::Help`] are not logged by name for pupils.
    #[must_use]
    pub fn essential(&self, key: &Key) -> Option<Essential> {
        self.names.find(key).essential()
    }

    /// A category, unless the place is of a policy with more of them.
    fn category(&self, id: CategoryId) -> Option<&Category> {
        self.categories.iter().nth(id.index()).map(|(_, category)| category)
    }

    /// The place of a profile that is surely there: that of the fallback for one of another policy.
    fn place(&self, id: ProfileId) -> usize {
        let place = usize::from(id.0);
        if place < self.profiles.len() { place } else { self.fallback }
    }

    fn written(&self, id: ProfileId) -> &ProfileFile {
        &self.file.profiles[self.place(id)]
    }
}
