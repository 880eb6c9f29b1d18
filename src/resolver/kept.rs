//! Answers that are sent as they lie in the cache: what most questions of a school come to.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;

use super::{
    Ask, Resolver, Security,
    cache::{Entry, QuestionKey, Ttl},
};
use crate::{
    name::Key,
    policy::{Answer, AnswerFacts},
};

/// An answer of the internet, within its time, that nothing is to be said of. It can be sent as it lies in the cache once
/// a policy has seen it.
#[derive(Debug)]
pub struct Kept {
    entry: Arc<Entry>,
    /// Its age in seconds.
    age: u32,
}

impl Resolver {
    /// The cache's time, in milliseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.cache.now()
    }

    /// The answer to a question, where one lies in the cache that is [`Kept`]. `name` is the question's as it stands in a
    /// message, uncompressed, in any case; `now` is the cache's time.
    ///
    /// None where the ordinary way has more to do than to send it, and for what is not in the cache. Who sends it says so
    /// before by [`uses`](Self::uses), and afterwards by [`count_hits`](Self::count_hits).
    #[must_use]
    pub fn kept(&self, name: &[u8], qtype: u16, now: u64) -> Option<Kept> {
        let mut key = QuestionKey::from_slice(name);
        // The bytes that say how long labels are have no letters' values.
        key.make_ascii_lowercase();
        key.extend_from_slice(&qtype.to_be_bytes());
        let entry = self.cache.fresh(&mut key, Ask::default(), now)?;
        let is_plain = matches!(entry.rcode, ResponseCode::NoError | ResponseCode::NXDomain)
            && entry.security != Security::Bogus
            && entry.ede.is_empty()
            && !entry.own_zone;
        let age = entry.age(now);
        is_plain.then_some(Kept { entry, age })
    }

    /// Notes that an answer is about to be sent; false where it is to be fetched anew besides, which is the ordinary way's to
    /// do.
    #[must_use]
    pub fn uses(&self, kept: &Kept, now: u64) -> bool {
        !self.cache.would_refresh(&kept.entry, kept.entry.hit(), now)
    }

    /// Counts answers that were sent as they lay in the cache.
    pub fn count_hits(&self, number: u64) {
        self.counters.hits.add_many(number);
    }
}

impl Kept {
    /// How the question ended.
    #[must_use]
    pub fn rcode(&self) -> ResponseCode {
        self.entry.rcode
    }

    /// Whether the answer is proven.
    #[must_use]
    pub fn security(&self) -> Security {
        self.entry.security
    }

    /// The part of the question's key that somebody registered, as [`Key::registrable`] finds it.
    #[must_use]
    pub fn registrable<'a>(&self, key: &'a Key) -> Option<&'a [u8]> {
        self.entry.registrable(key)
    }

    /// Writes the answer behind the header and the question that stand in `out` already, and its counts into the header;
    /// says where it ends. DNSSEC records come along for those who ask for them.
    ///
    /// None when there is not enough room, or the question there, up to `question`, is another one.
    #[must_use]
    pub fn copy(&self, out: &mut [u8], question: usize, dnssec: bool) -> Option<usize> {
        self.entry.copy(out, question, dnssec, self.age)
    }

    /// What the policy of this number says of the answer; `find` is called where that policy was not asked yet.
    ///
    /// None for an answer that can't be read.
    pub fn facts(&self, policy: u64, find: impl FnOnce(&Answer<'_>) -> AnswerFacts) -> Option<AnswerFacts> {
        self.entry.facts(policy, || {
            let (records, _) = self.entry.records(&self.entry.asked()?, Ttl::Elapsed(self.age))?;
            Some(find(&Answer {
                records: &records,
                delegations: &self.entry.delegations,
                own_zone: self.entry.own_zone,
            }))
        })
    }
}
