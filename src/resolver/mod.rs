//! From a question to records: local zones, the answer cache, forwarders, recursion with validation.
//!
//! [`Resolver::resolve`] is the one way in. It knows nothing of profiles: what it returns is the internet's answer,
//! and the policy above decides who may have it.

pub mod backend;
pub mod cache;
pub mod config;
pub mod forwarder;
pub mod local;
mod records;
pub mod recursor;
mod udp;

use hickory_proto::{
    op::{Query, ResponseCode},
    rr::Record,
};

use crate::ede::Ede;

/// Whether an answer is proven (RFC 4035, section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// A chain of signatures reaches the trust anchor.
    Secure,
    /// The zone is proven to be unsigned, or validation is off.
    Insecure,
    /// Signatures are wrong or missing where they must be.
    Bogus,
    /// It could not be found out.
    Indeterminate,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerSource {
    /// The policy made it.
    Policy,
    /// A local zone.
    Local,
    /// The cache, within its time to live.
    Cache,
    /// The cache, past its time to live (RFC 8767).
    Stale,
    /// A server was asked.
    Upstream,
}

/// How a question is to be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ask {
    /// The client validates for itself (CD): hand out what can't be proven too.
    pub checking_disabled: bool,
}

/// The answer to a question, with DNSSEC records in it whether or not the client wants them.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// How it ended.
    pub rcode: ResponseCode,
    /// The answer section, aliases first.
    pub answers: Vec<Record>,
    /// The authority section: SOA and denials of negative answers.
    pub authorities: Vec<Record>,
    /// Whether it is proven.
    pub security: Security,
    /// Where it came from.
    pub source: AnswerSource,
    /// It comes from a zone of the school's own (a local zone or conditional forwarding).
    pub own_zone: bool,
    /// What went wrong, if anything did.
    pub ede: Vec<Ede>,
}

/// Resolves questions.
#[derive(Debug)]
pub struct Resolver {}

impl Resolver {
    /// Resolves a question; never fails: what can't be resolved is SERVFAIL with its extended errors.
    ///
    /// Answers from the cache are ready at the first poll.
    pub async fn resolve(&self, _query: &Query, _ask: Ask) -> Resolved {
        unimplemented!()
    }
}
