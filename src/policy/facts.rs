//! What is known of an answer whoever asks for it: enough to let most answers pass without looking at their records again.
//!
//! [`Policy::review`] is the judge. What stands here only says of an answer that a review would surely find nothing.

use super::{
    Answer, Decision, Policy, Verdict,
    lookup::Of,
    names::What,
    rebinding::is_private,
    review::{addresses, has_ech, target},
};
use crate::{category::CategorySet, clients::Client, delegation::Delegation, name::Key};
use jiff::Timestamp;

/// What the lists and the school say of an answer's aliases, addresses and name servers, put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerFacts {
    /// The categories of any of them.
    raw: CategorySet,
    /// Those that no list opens.
    open: CategorySet,
    /// Who asks matters in a way that the categories don't tell: a rule or a service names an alias, or an address is
    /// private.
    special: bool,
    /// It has keys of encrypted hellos.
    ech: bool,
    /// Nobody says anything of the name asked.
    unsaid: bool,
}

impl Policy {
    /// Puts together what is said of an answer, and of the name asked. Holds as long as this policy is in force.
    #[must_use]
    pub fn facts(&self, asked: &Key, answer: &Answer<'_>) -> AnswerFacts {
        let mut facts = AnswerFacts {
            raw: CategorySet::EMPTY,
            open: CategorySet::EMPTY,
            special: false,
            ech: answer.records.iter().any(has_ech),
            unsaid: self.names.find(asked).is_nothing() && self.look_up(asked).is_nothing(),
        };
        for key in answer.records.iter().filter_map(target) {
            let matches = self.look_up(&key);
            facts.add(matches.raw, matches.open);
            let named = self.names.find(&key);
            facts.special |=
                named.iter().any(|(_, fact)| matches!(fact.what, What::Rule { .. } | What::Service(_)));
        }
        for address in answer.records.iter().flat_map(addresses) {
            let matches = self.look_up_address(Of::Names, address.to_canonical());
            facts.add(matches.raw, matches.open);
            facts.special |= is_private(address);
        }
        for delegation in answer.delegations.iter() {
            self.add_servers(&mut facts, delegation);
        }
        facts
    }

    fn add_servers(&self, facts: &mut AnswerFacts, delegation: &Delegation) {
        if self.server_lists == 0 || delegation.is_unlisted(self.server_lists) {
            return;
        }
        for server in delegation.servers() {
            let matches = self.look_up_as(Of::Servers, &server);
            facts.add(matches.raw, matches.open);
        }
        for &address in delegation.addresses() {
            let matches = self.look_up_address(Of::Servers, address);
            facts.add(matches.raw, matches.open);
        }
    }

    /// Whether a [review](Self::review) of an allowed answer would surely find nothing; says then whether keys of
    /// encrypted hellos would leave it. None where only a review can tell.
    #[must_use]
    pub fn passes(
        &self,
        facts: &AnswerFacts,
        client: &Client,
        decision: &Decision,
        now: Timestamp,
    ) -> Option<bool> {
        if facts.special || !matches!(decision.verdict, Verdict::Allow) {
            return None;
        }
        let asker = self.asker(client, now);
        let speaks = !facts.raw.intersection(asker.profile.locked).is_empty()
            || !(facts.open.is_empty() || asker.blocked_now(facts.open).is_empty());
        (!speaks).then_some(asker.profile.strip_ech && facts.ech)
    }
}

impl AnswerFacts {
    /// Whether neither the product nor the school nor a list says anything of the name asked, or of a parent of it: then
    /// [`Policy::decide_unsaid`] decides as [`Policy::decide`] does.
    #[must_use]
    pub fn is_unsaid(&self) -> bool {
        self.unsaid
    }

    fn add(&mut self, raw: CategorySet, open: CategorySet) {
        self.raw = self.raw.union(raw);
        self.open = self.open.union(open);
    }
}
