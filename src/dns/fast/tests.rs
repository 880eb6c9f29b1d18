//! The short way says what the ordinary way says.

use std::{future::Future, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use hickory_proto::{
    dnssec::{
        Algorithm,
        rdata::{DNSSECRData, RRSIG, SigInput},
    },
    op::{Message, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType, SerialNumber,
        rdata::{
            A, AAAA, CNAME, HTTPS, SOA, SVCB,
            opt::EdnsOption,
            svcb::{EchConfigList, SvcParamKey, SvcParamValue},
        },
    },
};
use proptest::prelude::*;

use crate::{
    category::Categories,
    clock::Clock,
    delegation::Delegations,
    dns::{
        Asked, Config, Handler, Transport,
        tests::{edns_query, name, query},
    },
    lists::{
        DomainIndex, ListMeta,
        format::{MatchMode, Rule, Subject},
    },
    name::Key,
    policy::{Knowledge, Policy, PolicyFile},
    resolver::{
        Ask, Resolver, Routes, Security,
        backend::{Backend, Failure, Found},
        cache::CacheConfig,
    },
};

const POLICY: &str = r#"
version = 1
school = "Elm Lane Primary"
timezone = "Europe/London"
fallback_profile = "ks2"
block_ttl = 7

[[profile]]
id = "ks2"
audience = "pupil"
subnets = ["10.1.0.0/16"]
block_with = "nxdomain"
safe_search = true

[[profile]]
id = "page"
audience = "pupil"
subnets = ["10.2.0.0/16"]
block_with = "block-page"

[[profile]]
id = "null"
audience = "pupil"
subnets = ["10.3.0.0/16"]
block_with = "null-address"
mode = "watch"

[[profile]]
id = "staff"
audience = "staff"
subnets = ["10.9.0.0/16"]
block_with = "refused"
[profile.categories]
gambling = "allow"

[[rule]]
action = "block"
name = "ruled.example"
reason = "not for school"

[[rule]]
action = "allow"
name = "fine.casino.example"
reason = "a museum"
"#;

/// The names that are asked, with what each is.
const NAMES: &[&str] = &[
    "one.example.",
    "alias.example.",
    "to-casino.example.",
    "to-ruled.example.",
    "private.example.",
    "nothing.example.",
    "empty.example.",
    "signed.example.",
    "hello.example.",
    "broken.example.",
    "casino.example.",
    "deep.below.casino.example.",
    "fine.casino.example.",
    "www.ruled.example.",
    "www.google.com.",
    "use-application-dns.net.",
    "pornhub.com.",
    "x.invalid.",
    "example.",
];

fn soa(owner: &str) -> Record {
    let data = SOA::new(name("ns.example."), name("host.example."), 1, 2, 3, 4, 50);
    Record::from_rdata(name(owner), 300, RData::SOA(data))
}

fn signature(over: &Record) -> Record {
    let input = SigInput {
        type_covered: over.record_type(),
        algorithm: Algorithm::ED25519,
        num_labels: 2,
        original_ttl: 300,
        sig_expiration: SerialNumber::new(2_000_000_000),
        sig_inception: SerialNumber::new(1_000_000_000),
        key_tag: 7,
        signer_name: name("example."),
    };
    let data = RRSIG::from_sig(input, vec![7; 64]);
    Record::from_rdata(over.name.clone(), over.ttl, RData::DNSSEC(DNSSECRData::RRSIG(data)))
}

/// An internet of the names above.
#[derive(Debug)]
struct Names;

impl Backend for Names {
    fn ask<'a>(
        &'a self,
        query: &'a Query,
        _: Ask,
    ) -> Pin<Box<dyn Future<Output = Result<Found, Failure>> + Send + 'a>> {
        Box::pin(async move {
            let mut message = Message::response(0, OpCode::Query);
            let mut security = Security::Insecure;
            let owner = query.name().clone();
            let address = |owner: &Name, last| {
                let data = match query.query_type() {
                    RecordType::AAAA => RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)),
                    _ => RData::A(A::new(192, 0, 2, last as u8)),
                };
                Record::from_rdata(owner.clone(), 300, data)
            };
            let alias = |to: &str| Record::from_rdata(owner.clone(), 200, RData::CNAME(CNAME(name(to))));
            match owner.to_lowercase().to_ascii().as_str() {
                "alias.example." => {
                    message.answers.push(alias("www.other.example."));
                    message.answers.push(address(&name("www.other.example."), 2));
                }
                "to-casino.example." => {
                    message.answers.push(alias("cdn.casino.example."));
                    message.answers.push(address(&name("cdn.casino.example."), 3));
                }
                "to-ruled.example." => message.answers.push(alias("cdn.ruled.example.")),
                "private.example." => {
                    message.answers.push(Record::from_rdata(
                        owner.clone(),
                        60,
                        RData::A(A::new(10, 0, 0, 1)),
                    ));
                }
                "nothing.example." => {
                    message.metadata.response_code = ResponseCode::NXDomain;
                    message.authorities.push(soa("example."));
                }
                "empty.example." => message.authorities.push(soa("empty.example.")),
                "signed.example." => {
                    security = Security::Secure;
                    let record = address(&owner, 4);
                    message.answers.push(alias("target.signed.example."));
                    message.answers.push(signature(&message.answers[0]));
                    let target = Record::from_rdata(name("target.signed.example."), record.ttl, record.data);
                    message.answers.push(target.clone());
                    message.answers.push(signature(&target));
                }
                "hello.example." => {
                    let ech =
                        (SvcParamKey::EchConfigList, SvcParamValue::EchConfigList(EchConfigList(vec![1, 2])));
                    let data = HTTPS(SVCB::new(1, Name::root(), vec![ech]));
                    message.answers.push(Record::from_rdata(owner.clone(), 300, RData::HTTPS(data)));
                }
                "broken.example." => message.metadata.response_code = ResponseCode::ServFail,
                _ => message.answers.push(address(&owner, 1)),
            }
            Ok(Found { message, security, ede: Vec::new(), delegations: Delegations::NONE })
        })
    }
}

fn policy(text: &str) -> Policy {
    let key = |text: &str| Key::parse(text).unwrap();
    let rule =
        |text| Rule { subject: Subject::Name { key: key(text), mode: MatchMode::Subdomains }, allow: false };
    let list = |id: &str, category: &str, rules: Vec<Rule>| {
        let (id, category, version) = (id.to_owned(), category.to_owned(), String::from("1"));
        (ListMeta { title: id.clone(), id, category, version, entries: rules.len() as u64 }, rules)
    };
    let index = DomainIndex::from_rules(vec![
        list("casinos", "gambling", vec![rule("casino.example")]),
        list("porn", "adult", vec![rule("pornhub.com")]),
    ]);
    let knowledge = Knowledge { categories: Arc::new(Categories::shipped()), indexes: vec![Arc::new(index)] };
    Policy::build(&PolicyFile::parse(text).unwrap(), &knowledge).unwrap()
}

/// A box whose time stands still, asked without sockets.
struct School {
    handler: Handler<Policy, Resolver>,
    policy: Arc<ArcSwap<Policy>>,
    runtime: tokio::runtime::Runtime,
}

impl School {
    fn open() -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let _context = runtime.enter();
        let clock = Clock::held_at("2026-11-23T09:00:00Z".parse().unwrap());
        let policy = Arc::new(ArcSwap::from_pointee(policy(POLICY)));
        let routes = Routes { local: Arc::new(|_| None), own: Vec::new(), main: Arc::new(Names) };
        let resolver = Resolver::new(routes, CacheConfig::default(), clock.clone(), runtime.handle().clone());
        let handler = Handler::new(&Config::default(), Arc::clone(&policy), Arc::new(resolver), clock);
        drop(_context);
        Self { handler, policy, runtime }
    }

    fn asked(from: &str) -> Asked {
        let from = format!("{from}:4000").parse().unwrap();
        Asked { from, at: "10.1.0.2".parse().unwrap(), transport: Transport::Udp }
    }

    fn ordinary(&self, packet: &[u8], asked: Asked) -> super::super::Answered<Policy> {
        self.runtime.block_on(self.handler.answer(packet, asked))
    }

    /// The reply of the short way, compared with that of the ordinary way; none where it leaves the question to that.
    fn quick(&self, packet: &[u8], asked: Asked) -> Option<Vec<u8>> {
        let mut out = vec![0xee; 4096];
        let _context = self.runtime.enter();
        let quick = self.handler.quick(packet, asked, &self.handler.moment(), &mut out)?;
        drop(_context);
        out.truncate(quick.length);
        let answered = self.ordinary(packet, asked);
        let outcome = answered.outcome.expect("a question has an outcome");
        assert_eq!(Ok(&quick.decision), outcome.decision.as_ref());
        assert_eq!(Some(&quick.client), outcome.client.as_ref());
        assert_eq!(quick.question.key, outcome.question.key);
        assert_eq!(
            (quick.question.qtype, quick.rcode, quick.source, quick.security),
            (outcome.question.qtype, outcome.rcode, outcome.source, outcome.security)
        );
        let reply = answered.reply.expect("a question has a reply");
        let asks_in_lower_case = !packet[12..].iter().any(u8::is_ascii_uppercase);
        if asks_in_lower_case {
            assert_eq!(out, reply, "{:?}", Message::from_vec(&reply));
        } else {
            // A name that is not the one asked may end in it, in the case of either.
            let lower = |bytes: &[u8]| format!("{:?}", Message::from_vec(bytes).unwrap()).to_lowercase();
            assert_eq!(lower(&out), lower(&reply));
            assert_eq!(out[..12 + 4], reply[..12 + 4]);
        }
        Some(out)
    }
}

/// A question in bytes.
fn question(asked: &str, kind: RecordType) -> Vec<u8> {
    query(asked, kind).to_vec().unwrap()
}

#[test]
fn blocks_and_what_lies_in_the_cache_go_the_short_way_and_nothing_else_does() {
    let school = School::open();
    let staff = School::asked("10.9.0.1");
    let pupil = School::asked("10.1.0.1");
    let goes = |name: &str, kind, asked| school.quick(&question(name, kind), asked).is_some();
    for name in ["casino.example.", "www.ruled.example.", "pornhub.com.", "use-application-dns.net."] {
        assert!(goes(name, RecordType::A, pupil), "{name}");
        assert!(goes(name, RecordType::HTTPS, pupil), "{name}");
    }
    for name in ["one.example.", "alias.example.", "nothing.example.", "empty.example.", "signed.example."] {
        assert!(!goes(name, RecordType::A, staff), "{name} is not in the cache");
        let _ = school.ordinary(&question(name, RecordType::A), staff);
        assert!(goes(name, RecordType::A, staff), "{name} is");
        assert!(goes(name, RecordType::A, pupil), "{name} is, for whoever may have it");
    }
    for (name, kind) in [
        ("private.example.", RecordType::A),
        ("to-ruled.example.", RecordType::A),
        ("broken.example.", RecordType::A),
        ("www.google.com.", RecordType::A),
        ("hello.example.", RecordType::HTTPS),
        ("one.example.", RecordType::ANY),
        ("x.invalid.", RecordType::A),
        ("_dns.resolver.arpa.", RecordType::SVCB),
        (".", RecordType::NS),
    ] {
        let _ = school.ordinary(&question(name, kind), pupil);
        assert!(!goes(name, kind, pupil), "{name}");
    }
    // Whoever asks matters: staff may gamble, pupils may not.
    let _ = school.ordinary(&question("to-casino.example.", RecordType::A), staff);
    assert!(
        goes("to-casino.example.", RecordType::A, staff) != goes("to-casino.example.", RecordType::A, pupil)
    );
}

#[test]
fn a_changed_policy_is_in_force_for_what_lies_in_the_cache() {
    let school = School::open();
    let pupil = School::asked("10.1.0.1");
    let asked = question("alias.example.", RecordType::A);
    let _ = school.ordinary(&asked, pupil);
    assert!(school.quick(&asked, pupil).is_some());
    let stricter = POLICY.replace("\"ruled.example\"", "\"other.example\"");
    school.policy.store(Arc::new(policy(&stricter)));
    assert!(school.quick(&asked, pupil).is_none(), "its alias is blocked now");
    let reply = Message::from_vec(&school.ordinary(&asked, pupil).reply.unwrap()).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
}

fn mixed(name: &str, upper: u64) -> String {
    let letter =
        |(at, c): (usize, char)| if upper >> (at % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c };
    name.chars().enumerate().map(letter).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_say_the_same(
        questions in proptest::collection::vec(
            (
                0..NAMES.len(),
                prop_oneof![Just(1u16), Just(28), Just(65), Just(16), Just(5), any::<u16>()],
                prop_oneof![3 => Just(0u64), 1 => any::<u64>()],
                prop_oneof![Just(None), Just(Some(0)), Just(Some(1232)), any::<u16>().prop_map(Some)],
                any::<[bool; 5]>(),
                prop_oneof![Just("10.1.0.1"), Just("10.2.0.1"), Just("10.3.0.1"), Just("10.9.0.1"), Just("192.168.0.1")],
                0u64..200,
            ),
            1..40,
        )
    ) {
        let school = School::open();
        for (which, kind, upper, payload, [dnssec, ad, cd, rd, option], from, later) in questions {
            let asked = mixed(NAMES[which], upper);
            let kind = RecordType::from(kind);
            let mut message = if payload.is_some() { edns_query(&asked, kind) } else { query(&asked, kind) };
            message.metadata.recursion_desired = rd || upper != 0;
            message.metadata.checking_disabled = cd && ad;
            message.metadata.authentic_data = ad;
            if let (Some(edns), Some(payload)) = (&mut message.edns, payload) {
                edns.set_max_payload(payload).set_dnssec_ok(dnssec);
                if option {
                    edns.options_mut().insert(EdnsOption::Unknown(10, vec![1; 8]));
                }
            }
            let packet = message.to_vec().unwrap();
            let asked = School::asked(from);
            school.runtime.block_on(tokio::time::advance(std::time::Duration::from_millis(later * 10)));
            let _ = school.quick(&packet, asked);
            let _ = school.ordinary(&packet, asked);
            let _ = school.quick(&packet, asked);
        }
    }

    #[test]
    fn any_bytes_are_survived(packet in proptest::collection::vec(any::<u8>(), 0..100), at in 0usize..30, byte: u8) {
        let school = School::open();
        let _ = school.quick(&packet, School::asked("10.1.0.1"));
        let mut packet = question("casino.example.", RecordType::A);
        if let Some(place) = packet.get_mut(at) {
            *place = byte;
        }
        let _ = school.quick(&packet, School::asked("10.1.0.1"));
    }
}
