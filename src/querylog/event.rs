//! What the answering path tells the log of one question.

use hickory_proto::{op::ResponseCode, rr::RecordType};
use jiff::Timestamp;

use crate::{
    clients::Client,
    name::Key,
    policy::{Decision, Verdict},
    resolver::{AnswerSource, Security},
};

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One packet.
    Udp,
    /// A stream of questions.
    Tcp,
    /// The same over TLS (RFC 7858).
    Tls,
    /// A request over HTTPS (RFC 8484).
    Https,
    /// A stream of its own within QUIC (RFC 9250).
    Quic,
}

impl Transport {
    /// Whether nobody on the way can read it.
    #[must_use]
    pub fn is_encrypted(self) -> bool {
        match self {
            Self::Udp | Self::Tcp => false,
            Self::Tls | Self::Https | Self::Quic => true,
        }
    }

    /// The word for files and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }
}

/// Why a question was answered before the policy was asked, or in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It came from a network that is not served.
    Network,
    /// Its client asked too much.
    Rate,
    /// The protocol answers it by itself.
    Protocol,
    /// Too many questions waited.
    Overload,
    /// Something went wrong inside.
    Internal,
}

impl Refusal {
    /// The word for files and the API, in the place of a decision's reason.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Rate => "rate-limit",
            Self::Protocol => "protocol",
            Self::Overload => "overload",
            Self::Internal => "internal-error",
        }
    }

    /// What happened to the question.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Network | Self::Protocol => Action::Refused,
            Self::Rate => Action::Limited,
            Self::Overload | Self::Internal => Action::Failed,
        }
    }
}

/// What happened to a question.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "WhatHappened")]
pub enum Action {
    /// It was resolved, and the answer given (also that there is none).
    Allowed,
    /// The policy blocked it, or its answer.
    Blocked,
    /// It was answered with a safer name.
    Rewritten,
    /// It was not let in, or the protocol does not allow it.
    Refused,
    /// Its client was over its rate.
    Limited,
    /// It was allowed, but no answer could be had.
    Failed,
}

impl Action {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Allowed, Self::Blocked, Self::Rewritten, Self::Refused, Self::Limited, Self::Failed];

    /// The word for files, commands and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Blocked => "blocked",
            Self::Rewritten => "rewritten",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Failed => "failed",
        }
    }

    /// The action of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

/// One question that arrived, and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// When it arrived; kept to the millisecond.
    pub at: Timestamp,
    /// Who asked.
    pub client: &'a Client,
    /// The name.
    pub name: &'a Key,
    /// What became of it.
    pub fate: &'a Fate<'a>,
    /// How long it took, in microseconds.
    pub took: u32,
    /// The reply that was sent, for those who collect whole messages.
    pub reply: Option<&'a [u8]>,
}

/// What became of a question: all that many questions have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fate<'a> {
    /// How it came.
    pub transport: Transport,
    /// The type asked.
    pub qtype: RecordType,
    /// How it ended.
    pub rcode: ResponseCode,
    /// What the policy decided, or why it was not asked.
    pub decision: Result<&'a Decision, Refusal>,
    /// Where the answer came from.
    pub source: AnswerSource,
    /// Whether it is proven; none for what was not looked up.
    pub security: Option<Security>,
}

impl Fate<'_> {
    /// What happened to the question.
    #[must_use]
    pub fn action(&self) -> Action {
        match self.decision {
            Err(refusal) => refusal.action(),
            Ok(decision) => match decision.verdict {
                Verdict::Block(_) => Action::Blocked,
                _ if self.rcode == ResponseCode::ServFail => Action::Failed,
                _ if self.rcode == ResponseCode::Refused => Action::Refused,
                Verdict::Rewrite(_) => Action::Rewritten,
                Verdict::Allow => Action::Allowed,
            },
        }
    }
}

/// The word for where an answer came from.
pub(super) fn source_word(source: AnswerSource) -> &'static str {
    match source {
        AnswerSource::Policy => "policy",
        AnswerSource::Local => "local",
        AnswerSource::Cache => "cache",
        AnswerSource::Stale => "stale",
        AnswerSource::Upstream => "upstream",
    }
}

/// The word for whether an answer is proven.
pub(super) fn security_word(security: Option<Security>) -> &'static str {
    match security {
        None => "",
        Some(Security::Secure) => "secure",
        Some(Security::Insecure) => "insecure",
        Some(Security::Bogus) => "bogus",
        Some(Security::Indeterminate) => "indeterminate",
    }
}

/// How a client was recognised, from its address to a device.
pub(super) fn known_by(client: &Client, device_has_mac: bool) -> (KnownBy, Confidence) {
    match (client.device, client.mac) {
        (Some(_), Some(_)) if device_has_mac => (KnownBy::Mac, Confidence::High),
        (Some(_), _) => (KnownBy::Address, Confidence::Medium),
        (None, _) if client.unknown => (KnownBy::Fallback, Confidence::None),
        (None, _) => (KnownBy::Subnet, Confidence::Low),
    }
}

/// What a client was recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KnownBy {
    /// The link-layer address that the box's neighbour table had for its address at that moment.
    Mac,
    /// Its address, which the school wrote down as the device's.
    Address,
    /// Its network alone: which device it was is not known.
    Subnet,
    /// Nothing: no network of the school has its address.
    Fallback,
}

impl KnownBy {
    /// The word for files and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Mac => "mac",
            Self::Address => "address",
            Self::Subnet => "subnet",
            Self::Fallback => "fallback",
        }
    }
}

/// How sure it is that a question came from the device that a line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Confidence {
    /// The device's own link-layer address was seen.
    High,
    /// Its address is written down, but another device could have taken it.
    Medium,
    /// The network is known, the device is not.
    Low,
    /// Nothing is known but an address.
    None,
}

impl Confidence {
    /// The word for files and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::None => "none",
        }
    }
}
