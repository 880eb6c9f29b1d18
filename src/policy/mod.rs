//! What a school allows: pure decisions, with the time and everything known handed in.
//!
//! [`Policy::decide`] looks at a question before it is resolved, [`Policy::review`] at the answer after. Both follow
//! the order that is promised to users (docs/policy.md).

use std::{net::IpAddr, sync::Arc};

use hickory_proto::rr::{Record, RecordType};
use jiff::Timestamp;

use crate::{
    category::{Categories, CategoryId, CategorySet},
    clients::{Client, Mac, ProfileId},
    ede::EdeCode,
    lists::DomainIndex,
    name::Key,
};

/// All rules in force: immutable; a change makes a new one.
#[derive(Debug)]
pub struct Policy {}

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
}

/// The outcome of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// All categories of the name and its parents, blocked or not, for the log.
    pub categories: CategorySet,
    /// In a profile that only watches: the reason for which it would have been blocked.
    pub would_block: Option<Box<Reason>>,
}

/// What happens to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is resolved.
    Allow,
    /// It is answered with a block.
    Block(BlockResponse),
    /// It is answered as if the name were an alias of another (SafeSearch).
    Rewrite(Target),
}

/// The name that a question is rewritten to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The alias target.
    pub name: hickory_proto::rr::Name,
    /// Addresses that were good when the product was made, for when the target can't be resolved.
    pub last_good: Vec<IpAddr>,
}

/// How a block looks on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockResponse {
    /// The box's own address for A and AAAA, where the block page is; no data for other types.
    BlockPage,
    /// No such name.
    NxDomain,
    /// The name, without records of that type.
    NoData,
    /// 0.0.0.0 and ::.
    NullAddress,
    /// Refused.
    Refused,
}

/// Why a question was decided as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A locked category has the name.
    Locked(Listed),
    /// The device is suspended.
    Suspended,
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
    /// The profile allows only what was approved, and this was.
    Approved,
    /// A blocked category has the name.
    Category(Listed),
    /// A category that is allowed only at certain times has the name, and this is not one of them.
    Schedule(Listed),
    /// On no list, and the profile blocks such names.
    Uncategorised,
    /// SafeSearch or YouTube's restricted mode (the engine's id).
    SafeSearch(String),
    /// An alias target in the answer is blocked.
    Alias {
        /// The target.
        target: Key,
        /// Why the target is blocked.
        because: Box<Reason>,
    },
    /// An address in the answer is listed.
    Address {
        /// The address.
        address: IpAddr,
        /// Who lists it.
        listed: Listed,
    },
    /// A public name with a private address.
    Rebinding(IpAddr),
    /// Nothing spoke against it.
    Default,
}

/// Which listed name decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The category.
    pub category: CategoryId,
    /// How many labels of the name the listed name has.
    pub depth: u8,
    /// The index (place in [`Knowledge::indexes`]).
    pub index: u8,
    /// The list (place in that index).
    pub list: u16,
}

/// A school's rule, by its place in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleRef(pub u32);

/// What the review of an answer found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Review {
    /// The decision that replaces the first one, when the answer must not be given.
    pub block: Option<Decision>,
    /// HTTPS and SVCB records lose `ech` before they are given.
    pub strip_ech: bool,
}

impl Policy {
    /// Finds who asks: named device, longest subnet, fallback.
    #[must_use]
    pub fn identify(&self, _address: IpAddr, _mac: Option<Mac>) -> Client {
        unimplemented!()
    }

    /// Decides what happens to a question, before it is resolved.
    #[must_use]
    pub fn decide(&self, _question: &Question, _client: &Client, _now: Timestamp) -> Decision {
        unimplemented!()
    }

    /// Looks at the answer to a question that was allowed.
    ///
    /// `local` says that the answer came from a zone of the school's own, where private addresses are right.
    #[must_use]
    pub fn review(
        &self,
        _question: &Question,
        _client: &Client,
        _decision: &Decision,
        _answers: &[Record],
        _local: bool,
        _now: Timestamp,
    ) -> Review {
        unimplemented!()
    }

    /// The extended error that explains a decision on the wire; none for a plain allow.
    #[must_use]
    pub fn ede(&self, _decision: &Decision) -> Option<EdeCode> {
        unimplemented!()
    }

    /// Says a decision in plain English, for the block page, the log and `schoolgate check`.
    #[must_use]
    pub fn explain(&self, _decision: &Decision, _question: &Question, _client: &Client) -> String {
        unimplemented!()
    }

    /// The profile's identifier and title.
    #[must_use]
    pub fn profile(&self, _id: ProfileId) -> (&str, &str) {
        unimplemented!()
    }
}
