//! What the handler needs of the policy and of the resolver, so that tests can hand in their own.

use std::{fmt, future::Future, net::IpAddr, sync::Arc};

use hickory_proto::op::Query;
use jiff::Timestamp;

use crate::{
    clients::{Client, Mac},
    ede::EdeCode,
    name::Key,
    policy::{Answer, AnswerFacts, Decision, Policy, Question, Review},
    querylog::{Event, QueryLog},
    resolver::{Ask, Kept, Resolved, Resolver},
};

/// Decides questions: [`Policy`], or a test's.
pub trait Decide: Send + Sync + 'static {
    /// See [`Policy::identify`].
    fn identify(&self, address: IpAddr, mac: Option<Mac>) -> Client;
    /// See [`Policy::serves`].
    fn serves(&self, address: IpAddr) -> bool;
    /// See [`Policy::decide`].
    fn decide(&self, question: &Question, client: &Client, now: Timestamp) -> Decision;
    /// See [`Policy::decide_unsaid`].
    fn decide_unsaid(&self, question: &Question, client: &Client, now: Timestamp) -> Decision;
    /// See [`Policy::review`].
    fn review(
        &self,
        question: &Question,
        client: &Client,
        decision: &Decision,
        answer: &Answer<'_>,
        now: Timestamp,
    ) -> Review;
    /// See [`Policy::ede`].
    fn ede(&self, decision: &Decision) -> Option<EdeCode>;
    /// See [`Policy::explain`].
    fn explain(&self, decision: &Decision, question: &Question, client: &Client) -> String;
    /// See [`Policy::structured_error`].
    fn structured_error(&self, decision: &Decision, question: &Question, client: &Client) -> String;
    /// See [`Policy::block_ttl`].
    fn block_ttl(&self) -> u32;
    /// See [`Policy::shown`].
    fn shown(&self, key: &Key) -> String;
    /// See [`Policy::number`].
    fn number(&self) -> u64;
    /// See [`Policy::facts`].
    fn facts(&self, asked: &Key, answer: &Answer<'_>) -> AnswerFacts;
    /// See [`Policy::passes`].
    fn passes(
        &self,
        facts: &AnswerFacts,
        client: &Client,
        decision: &Decision,
        now: Timestamp,
    ) -> Option<bool>;
}

impl Decide for Policy {
    fn identify(&self, address: IpAddr, mac: Option<Mac>) -> Client {
        self.identify(address, mac)
    }

    fn serves(&self, address: IpAddr) -> bool {
        self.serves(address)
    }

    fn decide(&self, question: &Question, client: &Client, now: Timestamp) -> Decision {
        self.decide(question, client, now)
    }

    fn decide_unsaid(&self, question: &Question, client: &Client, now: Timestamp) -> Decision {
        self.decide_unsaid(question, client, now)
    }

    fn review(
        &self,
        question: &Question,
        client: &Client,
        decision: &Decision,
        answer: &Answer<'_>,
        now: Timestamp,
    ) -> Review {
        self.review(question, client, decision, answer, now)
    }

    fn ede(&self, decision: &Decision) -> Option<EdeCode> {
        self.ede(decision)
    }

    fn explain(&self, decision: &Decision, question: &Question, client: &Client) -> String {
        self.explain(decision, question, client)
    }

    fn structured_error(&self, decision: &Decision, question: &Question, client: &Client) -> String {
        self.structured_error(decision, question, client)
    }

    fn block_ttl(&self) -> u32 {
        self.block_ttl()
    }

    fn shown(&self, key: &Key) -> String {
        self.shown(key)
    }

    fn number(&self) -> u64 {
        self.number()
    }

    fn facts(&self, asked: &Key, answer: &Answer<'_>) -> AnswerFacts {
        self.facts(asked, answer)
    }

    fn passes(
        &self,
        facts: &AnswerFacts,
        client: &Client,
        decision: &Decision,
        now: Timestamp,
    ) -> Option<bool> {
        self.passes(facts, client, decision, now)
    }
}

/// Keeps what became of questions: [`QueryLog`], or a test's.
pub trait Record<P>: Send + Sync + fmt::Debug {
    /// See [`QueryLog::record`].
    fn record(&self, policy: &Arc<P>, event: &Event<'_>);
}

impl Record<Policy> for QueryLog {
    fn record(&self, policy: &Arc<Policy>, event: &Event<'_>) {
        self.record(policy, event);
    }
}

/// Resolves questions: [`Resolver`], or a test's.
pub trait Resolve: Send + Sync + 'static {
    /// See [`Resolver::resolve`].
    fn resolve(&self, query: &Query, ask: Ask) -> impl Future<Output = Resolved> + Send;
    /// See [`Resolver::is_own`].
    fn is_own(&self, query: &Query) -> bool;
    /// See [`Resolver::now`].
    fn now(&self) -> u64;
    /// See [`Resolver::kept`].
    fn kept(&self, name: &[u8], qtype: u16, now: u64) -> Option<Kept>;
    /// See [`Resolver::uses`].
    fn uses(&self, kept: &Kept, now: u64) -> bool;
    /// See [`Resolver::count_hits`].
    fn count_hits(&self, number: u64);
}

impl Resolve for Resolver {
    async fn resolve(&self, query: &Query, ask: Ask) -> Resolved {
        self.resolve(query, ask).await
    }

    fn is_own(&self, query: &Query) -> bool {
        self.is_own(query)
    }

    fn now(&self) -> u64 {
        self.now()
    }

    fn kept(&self, name: &[u8], qtype: u16, now: u64) -> Option<Kept> {
        self.kept(name, qtype, now)
    }

    fn uses(&self, kept: &Kept, now: u64) -> bool {
        self.uses(kept, now)
    }

    fn count_hits(&self, number: u64) {
        self.count_hits(number);
    }
}
