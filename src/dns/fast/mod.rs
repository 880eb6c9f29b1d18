//! The short cut: usual questions whose answer is a block, or lies in the cache as it is to be sent.
//!
//! Same functions, same cache, same decision as [`Handler::answer`](super::Handler), in the same order; but the question
//! is read where it lies, the reply is written where it is sent from, and nothing waits. Whatever is not usual it leaves to
//! the ordinary way, before anything has come of it, so that nothing is counted twice.

mod reply;
#[cfg(test)]
mod tests;
mod usual;

use std::{sync::Arc, time::Instant};

use arc_swap::Guard;
use hickory_proto::op::ResponseCode;
use jiff::Timestamp;

use self::usual::Usual;
use super::{
    handler::{Asked, Handler},
    neighbours::Snapshot,
    seams::{Decide, Resolve},
};
use crate::{
    clients::Client,
    ede::Ede,
    policy::{self, Decision, FirstAsked, Reason, Verdict},
    querylog::{Event, Fate},
    resolver::{AnswerSource, Security},
    seen::Seen,
};

/// What became of a question on the short way.
#[derive(Debug)]
pub(super) struct Quick {
    /// How long the reply is.
    pub(super) length: usize,
    client: Client,
    question: policy::Question,
    rcode: ResponseCode,
    decision: Decision,
    source: AnswerSource,
    security: Option<Security>,
}

impl Quick {
    /// Whether the answer came from the cache.
    pub(super) fn is_hit(&self) -> bool {
        self.source == AnswerSource::Cache
    }
}

/// What the questions of one batch have in common.
#[derive(Debug)]
pub(super) struct Moment<P> {
    pub(super) policy: Guard<Arc<P>>,
    neighbours: Snapshot,
    pub(super) at: Timestamp,
    pub(super) now: Instant,
    /// The cache's time.
    cache: u64,
}

impl<P: Decide, R: Resolve> Handler<P, R> {
    /// The policy in force, and the time.
    pub(super) fn moment(&self) -> Moment<P> {
        Moment {
            policy: self.policy.load(),
            neighbours: self.neighbours.now(),
            at: self.clock.now(),
            now: Instant::now(),
            cache: self.resolver.now(),
        }
    }

    /// Answers a usual question into `out`; none for what the ordinary way has to answer, which then is as if nobody had
    /// looked.
    pub(super) fn quick(
        &self,
        packet: &[u8],
        asked: Asked,
        moment: &Moment<P>,
        out: &mut [u8],
    ) -> Option<Quick> {
        let (usual, key) = Usual::read(packet)?;
        let asker = asked.from.ip();
        let (policy, at) = (&moment.policy, moment.at);
        if !self.allows(asker, policy) {
            return None;
        }
        let client = policy.identify(asker, moment.neighbours.mac(asker));
        // Looked for before the decision, since it tells what there is to decide.
        let kept = self.resolver.kept(usual.name(), u16::from(usual.qtype), moment.cache).and_then(|kept| {
            let facts = kept.facts(policy.number(), |answer| policy.facts(&key, answer))?;
            Some((kept, facts))
        });
        let registrable = match &kept {
            Some((kept, _)) => kept.registrable(&key),
            None => key.registrable(),
        };
        let first_asked = first_asked(self.seen.as_deref(), registrable, at);
        let question = policy::Question { key, qtype: usual.qtype, first_asked };
        // Lists are left alone only where it is known that none has the name.
        let decision = match &kept {
            Some((_, facts)) if facts.is_unsaid() => policy.decide_unsaid(&question, &client, at),
            _ => policy.decide(&question, &client, at),
        };
        let (rcode, length, source, security) = match &decision.verdict {
            // Whether it is the school's own was not looked up.
            Verdict::Block(_) if matches!(decision.reason, Reason::NewlySeen { .. }) => return None,
            Verdict::Block(how) => {
                let ede = usual.edns.is_some().then(|| policy.ede(&decision)).flatten();
                let ede = ede.map(|code| Ede::new(code, policy.explain(&decision, &question, &client)));
                let page = self.page(asked);
                let (ttl, room) = (policy.block_ttl(), self.room(asked.transport));
                let (rcode, length) = reply::blocked(out, &usual, *how, ttl, page, ede.as_ref(), room)?;
                (rcode, length, AnswerSource::Policy, None)
            }
            // What was never asked for before is to be remembered.
            Verdict::Allow if !matches!(first_asked, FirstAsked::Never { .. }) => {
                // What lies there is not the school's own, so that `first_asked` is right.
                let (kept, facts) = kept?;
                // Keys of encrypted hellos are taken out of records, not of bytes.
                if policy.passes(&facts, &client, &decision, at)? || !self.resolver.uses(&kept, moment.cache)
                {
                    return None;
                }
                let length = reply::kept(out, &usual, &kept, self.room(asked.transport))?;
                (kept.rcode(), length, AnswerSource::Cache, Some(kept.security()))
            }
            Verdict::Allow | Verdict::Rewrite(_) => return None,
        };
        // Last, since the ordinary way asks for a question's place as well.
        if !self.rate.admits(asker, moment.now) {
            return None;
        }
        Some(Quick { length, client, question, rcode, decision, source, security })
    }

    /// The reply that packets get on the short way; none where the ordinary way answers. For who compares the two.
    #[must_use]
    pub fn short(&self, packet: &[u8], asked: Asked) -> Option<Vec<u8>> {
        let mut out = vec![0; usize::from(u16::MAX)];
        let quick = self.quick(packet, asked.canonical(), &self.moment(), &mut out)?;
        out.truncate(quick.length);
        Some(out)
    }

    /// Records what became of a question, after its reply was sent. `took` is in microseconds.
    pub(super) fn record_quick(
        &self,
        quick: &Quick,
        moment: &Moment<P>,
        asked: Asked,
        took: u32,
        reply: &[u8],
    ) {
        let Some(log) = &self.log else { return };
        let fate = Fate {
            transport: asked.transport,
            qtype: quick.question.qtype,
            rcode: quick.rcode,
            decision: Ok(&quick.decision),
            source: quick.source,
            security: quick.security,
        };
        let event = Event {
            at: moment.at,
            client: &quick.client,
            name: &quick.question.key,
            fate: &fate,
            took,
            reply: Some(reply),
        };
        log.record(&moment.policy, &event);
    }
}

/// Since when the school asks for the name. Of names of the school's own it may say more than the ordinary way, which
/// makes no difference to what is answered here.
fn first_asked(seen: Option<&Seen>, registrable: Option<&[u8]>, at: Timestamp) -> FirstAsked {
    match seen.zip(registrable) {
        Some((seen, name)) => seen.first_asked(name, at),
        None => FirstAsked::Unknown,
    }
}
