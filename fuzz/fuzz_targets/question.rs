//! Bytes of a question in, bytes of its reply out: no panic, the reply is a message with the question's id, and the short
//! way (`dns::fast`) says what the ordinary one says.
//!
//! The first byte chooses the transport, the verdict and what the review finds; the rest is the packet.

#![no_main]

use std::{
    future::Future,
    net::IpAddr,
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
};

use arc_swap::ArcSwap;
use hickory_proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::A},
};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use schoolgate::{
    category::CategorySet,
    clients::{Client, Mac, ProfileId},
    clock::Clock,
    delegation::Delegations,
    dns::{Asked, Config, Decide, Handler, Resolve, Transport},
    ede::EdeCode,
    name::Key,
    policy::{Answer, AnswerFacts, BlockResponse, Decision, Question, Reason, Review, Target, Verdict},
    resolver::{AnswerSource, Ask, Kept, Resolved, Security},
};

/// A policy that does as a byte says.
struct Byte(u8);

impl Decide for Byte {
    fn identify(&self, address: IpAddr, mac: Option<Mac>) -> Client {
        Client { address, mac, device: None, profile: ProfileId(0), unknown: false }
    }

    fn decide(&self, _: &Question, _: &Client, _: Timestamp) -> Decision {
        let verdict = match self.0 & 7 {
            0 => Verdict::Block(BlockResponse::BlockPage),
            1 => Verdict::Block(BlockResponse::NxDomain),
            2 => Verdict::Block(BlockResponse::NoData),
            3 => Verdict::Block(BlockResponse::NullAddress),
            4 => Verdict::Block(BlockResponse::Refused),
            5 => Verdict::Rewrite(Target { name: Name::root(), last_good: Vec::new() }),
            _ => Verdict::Allow,
        };
        Decision {
            verdict,
            reason: Reason::Default,
            categories: CategorySet::EMPTY,
            would_block: None,
            reported: CategorySet::EMPTY,
        }
    }

    fn review(
        &self,
        _: &Question,
        _: &Client,
        decision: &Decision,
        _: &Answer<'_>,
        _: Timestamp,
    ) -> Review {
        let block = (self.0 & 8 != 0).then(|| decision.clone());
        Review { block, strip_ech: self.0 & 16 != 0, would_block: None }
    }

    fn ede(&self, _: &Decision) -> Option<EdeCode> {
        (self.0 & 32 != 0).then_some(EdeCode::Filtered)
    }

    fn explain(&self, _: &Decision, question: &Question, _: &Client) -> String {
        question.key.to_string()
    }

    fn structured_error(&self, decision: &Decision, question: &Question, client: &Client) -> String {
        self.explain(decision, question, client)
    }

    fn shown(&self, key: &Key) -> String {
        key.to_string()
    }

    fn block_ttl(&self) -> u32 {
        10
    }

    fn number(&self) -> u64 {
        1
    }

    fn facts(&self, _: &Answer<'_>) -> AnswerFacts {
        unreachable!("nothing is kept")
    }

    fn passes(&self, _: &AnswerFacts, _: &Client, _: &Decision, _: Timestamp) -> Option<bool> {
        None
    }
}

/// A resolver that always has an address.
struct Address;

impl Resolve for Address {
    fn is_own(&self, _: &Query) -> bool {
        false
    }

    fn kept(&self, _: &[u8], _: u16) -> Option<Kept> {
        None
    }

    fn count_hits(&self, _: u64) {}

    async fn resolve(&self, query: &Query, _: Ask) -> Resolved {
        let data = RData::A(A::new(192, 0, 2, 1));
        Resolved {
            rcode: ResponseCode::NoError,
            answers: match query.query_type() {
                RecordType::A => vec![Record::from_rdata(query.name().to_lowercase(), 60, data)],
                _ => Vec::new(),
            },
            authorities: Vec::new(),
            security: Security::Secure,
            source: AnswerSource::Cache,
            own_zone: false,
            ede: Vec::new(),
            delegations: Delegations::NONE,
        }
    }
}

static RESOLVER: LazyLock<Arc<Address>> = LazyLock::new(|| Arc::new(Address));

fuzz_target!(|data: &[u8]| {
    let Some((&choice, packet)) = data.split_first() else { return };
    let policy = Arc::new(ArcSwap::from_pointee(Byte(choice)));
    let clock = Clock::held_at(Timestamp::UNIX_EPOCH);
    let handler = Handler::new(&Config::default(), policy, Arc::clone(&RESOLVER), clock);
    let asked = Asked {
        from: ([127, 0, 0, 1], 5000).into(),
        at: IpAddr::from([127, 0, 0, 1]),
        transport: if choice & 64 == 0 { Transport::Udp } else { Transport::Tcp },
    };
    let mut handled = pin!(handler.handle(packet, asked));
    let Poll::Ready(answered) = handled.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nothing here waits");
    };
    if asked.transport == Transport::Udp
        && let Some(short) = handler.short(packet, asked)
    {
        // Names that are not the one asked may end in it, in the case of either.
        let lower = |bytes: &[u8]| Message::from_vec(bytes).map(|message| format!("{message:?}").to_lowercase());
        let ordinary = answered.reply.as_deref().expect("what is answered one way is answered the other");
        assert_eq!(lower(&short).unwrap(), lower(ordinary).unwrap());
    }
    let is_question = packet.len() >= 12 && packet[2] & 0x80 == 0;
    assert_eq!(answered.reply.is_some(), is_question);
    if let Some(reply) = answered.reply {
        let message = Message::from_vec(&reply).expect("a reply is a message");
        assert_eq!(reply[..2], packet[..2]);
        assert_eq!(message.metadata.message_type, MessageType::Response);
    }
});
