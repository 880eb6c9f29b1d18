//! The handler with the real policy and the real resolver, and an internet of one record.

use std::{future::Future, pin::Pin};

use hickory_proto::rr::rdata::{HTTPS, SVCB};
use tokio_util::sync::DropGuard;

use super::*;
use crate::{
    category::Categories,
    delegation::Delegations,
    lists::{
        DomainIndex, ListMeta,
        format::{MatchMode, Rule, Subject},
    },
    policy::{Knowledge, Policy, PolicyFile},
    resolver::{
        Resolver, Routes,
        backend::{Backend, Failure, Found},
        cache::CacheConfig,
    },
    seen::Seen,
};

const POLICY: &str = r#"
version = 1
school = "Elm Lane Primary"
timezone = "Europe/London"
fallback_profile = "ks2"
block_ttl = 7

[[profile]]
id = "ks2"
name = "Key Stage 2"
audience = "pupil"
subnets = ["127.0.0.0/8"]
mode = "filter"
block_with = "nxdomain"

[[profile]]
id = "staff"
name = "Staff"
audience = "staff"
subnets = ["10.9.0.0/16"]
mode = "filter"

[[rule]]
action = "block"
name = "bad.example"
reason = "not for school"
"#;

/// Every name has one address; `shop.example` is an alias of a blocked name; `private.example` a rebinding.
#[derive(Debug)]
struct OneRecord;

impl Backend for OneRecord {
    fn ask<'a>(
        &'a self,
        query: &'a Query,
        _ask: Ask,
    ) -> Pin<Box<dyn Future<Output = Result<Found, Failure>> + Send + 'a>> {
        Box::pin(async move {
            let mut message = Message::response(0, OpCode::Query);
            let owner = query.name().clone();
            let data = match (owner.to_ascii().as_str(), query.query_type()) {
                ("shop.example.", _) => RData::CNAME(CNAME(name("cdn.bad.example."))),
                ("private.example.", _) => RData::A(A::new(10, 0, 0, 1)),
                (_, RecordType::HTTPS) => RData::HTTPS(HTTPS(SVCB::new(1, Name::root(), Vec::new()))),
                _ => RData::A(A::new(192, 0, 2, 1)),
            };
            message.add_answer(Record::from_rdata(owner, 60, data));
            Ok(Found {
                message,
                security: Security::Insecure,
                ede: Vec::new(),
                delegations: Delegations::NONE,
            })
        })
    }
}

/// A server with a policy in front of that internet: its address, the policy in force, and what stops it.
fn serve(policy: Policy) -> (SocketAddr, Arc<ArcSwap<Policy>>, DropGuard) {
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        threads: 1,
        rate_limit: 0,
        ..Config::default()
    };
    let clock = Clock::held_at("2026-11-23T09:00:00Z".parse().unwrap());
    let routes = Routes { local: Arc::new(|_| None), own: Vec::new(), main: Arc::new(OneRecord) };
    let runtime = tokio::runtime::Handle::current();
    let resolver = Resolver::new(routes, CacheConfig::default(), clock.clone(), runtime);
    let policy = Arc::new(ArcSwap::from_pointee(policy));
    let handler = Arc::new(Handler::new(&config, Arc::clone(&policy), Arc::new(resolver), clock));
    let bound = Server::bind(&config).unwrap();
    let at = bound.addresses()[0];
    let stop = CancellationToken::new();
    tokio::spawn(bound.serve(handler, stop.clone()));
    (at, policy, stop.drop_guard())
}

#[tokio::test]
async fn the_policy_and_the_resolver_fit_the_handler() {
    let knowledge = Knowledge { categories: Arc::new(Categories::shipped()), indexes: Vec::new() };
    let (at, policy, _guard) = serve(Policy::build(&PolicyFile::parse(POLICY).unwrap(), &knowledge).unwrap());

    let ask = async |asked: &str| {
        let message = edns_query(asked, RecordType::A);
        Message::from_vec(&exchange(at, &message.to_vec().unwrap()).await).unwrap()
    };
    for _ in 0..2 {
        let reply = ask("Fine.example.").await;
        assert_eq!(reply.answers[0].data.to_string(), "192.0.2.1");
        assert_eq!(reply.answers[0].name.to_ascii(), "Fine.example.", "from the cache as well");
    }
    for (asked, code) in [("www.bad.example.", 15), ("shop.example.", 15), ("private.example.", 17)] {
        let reply = ask(asked).await;
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{asked}");
        assert!(reply.answers.is_empty());
        assert_eq!(reply.authorities[0].ttl, 7);
        assert_eq!(edes(&reply)[0].0, code, "{asked}");
        assert!(!edes(&reply)[0].1.is_empty());
    }

    // A change is in force at once, for names that are cached as well.
    let stricter = POLICY.replace("bad.example", "fine.example");
    let stricter = Policy::build(&PolicyFile::parse(&stricter).unwrap(), &knowledge).unwrap();
    policy.store(Arc::new(stricter));
    assert_eq!(ask("fine.example.").await.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(ask("www.bad.example.").await.metadata.response_code, ResponseCode::NoError);
}

#[tokio::test]
async fn in_a_burst_each_question_gets_the_answer_to_its_own_name() {
    const EACH: u16 = 100;
    let listed = |n: u16| Rule {
        subject: Subject::Name {
            key: Key::parse(&format!("bet{n}.example")).unwrap(),
            mode: MatchMode::Subdomains,
        },
        allow: false,
    };
    let meta = ListMeta {
        id: String::from("bets"),
        title: String::from("bets"),
        category: String::from("gambling"),
        version: String::from("1"),
        entries: EACH.into(),
    };
    let index = DomainIndex::from_rules(vec![(meta, (0..EACH).map(listed).collect())]);
    let knowledge = Knowledge { categories: Arc::new(Categories::shipped()), indexes: vec![Arc::new(index)] };
    let (at, _policy, _guard) =
        serve(Policy::build(&PolicyFile::parse(POLICY).unwrap(), &knowledge).unwrap());

    // Listed, below a listed one, on no list, and by a rule; all at one time, so that they come in batches.
    let asked: Vec<String> = (0..EACH)
        .flat_map(|n| {
            [
                format!("bet{n}.example."),
                format!("fine{n}.example."),
                format!("www.bet{n}.example."),
                format!("{n}.bad.example."),
            ]
        })
        .collect();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // The second time, what is fine lies in the cache.
    // As many at one time as the kernel surely keeps replies to.
    for burst in asked.chunks(64).chain(asked.chunks(64)) {
        for (id, asked) in (0..).zip(burst) {
            let mut question = query(asked, RecordType::A);
            question.metadata.id = id;
            socket.send_to(&question.to_vec().unwrap(), at).await.unwrap();
        }
        let mut answered = std::collections::HashSet::new();
        while answered.len() < burst.len() {
            let reply = Message::from_vec(&receive(&socket).await.0).unwrap();
            let name = &burst[usize::from(reply.metadata.id)];
            assert_eq!(reply.queries[0].name().to_ascii(), *name);
            let wanted =
                if name.starts_with("fine") { ResponseCode::NoError } else { ResponseCode::NXDomain };
            assert_eq!(reply.metadata.response_code, wanted, "{name}");
            answered.insert(reply.metadata.id);
        }
    }
}

const NEW_NAMES: &str = r#"
version = 1
[newly_seen]
learning_days = 0
[[profile]]
id = "ks2"
audience = "pupil"
subnets = ["127.0.0.1/32"]
block_with = "nxdomain"
[profile.categories]
newly-seen = "block"
[[profile]]
id = "staff"
audience = "staff"
subnets = ["127.0.0.2/32"]
"#;

/// The handler with a table of names, asked without sockets.
struct WithMemory {
    handler: Handler<Policy, Internet>,
    internet: Arc<Internet>,
    seen: Arc<Seen>,
    clock: Clock,
    _folder: tempfile::TempDir,
}

impl WithMemory {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::held_at("2026-11-23T09:00:00Z".parse().unwrap());
        let knowledge = Knowledge { categories: Arc::new(Categories::shipped()), indexes: Vec::new() };
        let policy = Policy::build(&PolicyFile::parse(NEW_NAMES).unwrap(), &knowledge).unwrap();
        let internet = Arc::new(Internet::default());
        let seen = Arc::new(Seen::open(folder.path(), clock.clone()));
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let handler = Handler::new(&Config::default(), policy, Arc::clone(&internet), clock.clone())
            .with_seen(Arc::clone(&seen));
        Self { handler, internet, seen, clock, _folder: folder }
    }

    /// How a question ended, with its extended error.
    async fn ask(&self, from: &str, asked: &str) -> (ResponseCode, String) {
        let asked = (
            edns_query(asked, RecordType::A),
            Asked {
                from: SocketAddr::new(from.parse().unwrap(), 5000),
                at: "127.0.0.1".parse().unwrap(),
                transport: Transport::Udp,
            },
        );
        let answered = self.handler.handle(&asked.0.to_vec().unwrap(), asked.1).await;
        self.handler.record(&answered.outcome.unwrap(), None);
        let reply = Message::from_vec(&answered.reply.unwrap()).unwrap();
        let ede = edes(&reply).first().map(|(_, text)| text.clone()).unwrap_or_default();
        (reply.metadata.response_code, ede)
    }

    /// Waits until a probe behind a reply has ended, and what it brought is kept.
    async fn remembers(&self, domains: usize) {
        let remembered = async {
            while self.seen.len() < domains {
                self.seen.flush();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, remembered).await.expect("the name is remembered");
    }
}

const PUPIL: &str = "127.0.0.1";
const TEACHER: &str = "127.0.0.2";

#[tokio::test]
async fn a_new_name_is_blocked_then_found_to_exist_and_opens_in_its_time() {
    let school = WithMemory::new();
    let (rcode, said) = school.ask(PUPIL, "www.new.co.uk.").await;
    assert_eq!(rcode, ResponseCode::NXDomain);
    assert!(said.contains("for anything of new.co.uk before 23 November 2026"), "{said}");
    assert!(said.contains("until 30 November 2026"), "{said}");
    school.remembers(1).await;
    school.clock.set("2026-11-29T23:00:00Z".parse().unwrap());
    assert_eq!(school.ask(PUPIL, "other.new.co.uk.").await.0, ResponseCode::NXDomain);
    school.clock.set("2026-11-30T00:00:00Z".parse().unwrap());
    assert_eq!(school.ask(PUPIL, "other.new.co.uk.").await.0, ResponseCode::NoError);
    assert_eq!(school.seen.len(), 1, "the domain, not each name below it");
}

#[tokio::test]
async fn only_the_registrable_domain_of_a_blocked_name_is_asked_for() {
    let school = WithMemory::new();
    // Whoever asks for a name that does not exist must not make it old.
    school.internet.put("made-up.org.", RecordType::NS, negative(ResponseCode::NXDomain));
    school.ask(PUPIL, "secret-message.made-up.org.").await;
    school.internet.wait_for(1).await;
    school.ask(PUPIL, "exists.org.").await;
    school.remembers(1).await;
    let names: Vec<_> =
        school.seen.since(crate::clock::Day::default()).unwrap().into_iter().map(|s| s.name).collect();
    assert_eq!(names, [b"org.exists".as_slice().into()]);
    assert_eq!(school.internet.asked.load(Ordering::SeqCst), 2, "and not for the names that were blocked");
}

#[tokio::test]
async fn what_others_ask_for_becomes_known_to_all() {
    let school = WithMemory::new();
    assert_eq!(school.ask(TEACHER, "www.lesson.org.").await.0, ResponseCode::NoError);
    school.remembers(1).await;
    let (rcode, said) = school.ask(PUPIL, "www.lesson.org.").await;
    assert_eq!(rcode, ResponseCode::NXDomain, "it is still new");
    assert!(said.contains("before 23 November 2026"), "{said}");
    school.clock.set("2026-12-01T09:00:00Z".parse().unwrap());
    assert_eq!(school.ask(PUPIL, "www.lesson.org.").await.0, ResponseCode::NoError);
}

#[tokio::test]
async fn answers_that_fail_and_names_of_the_school_are_not_remembered() {
    let school = WithMemory::new();
    school.internet.put("typo.org.", RecordType::A, negative(ResponseCode::NXDomain));
    school.internet.put("broken.org.", RecordType::A, negative(ResponseCode::ServFail));
    school.internet.put("own.org.", RecordType::A, Resolved { own_zone: true, ..positive(Vec::new()) });
    for name in ["typo.org.", "broken.org.", "own.org.", "printer.", "1.2.0.192.in-addr.arpa."] {
        school.ask(TEACHER, name).await;
    }
    assert_eq!(school.ask(PUPIL, "printer.school.test.").await.0, ResponseCode::NoError, "a zone of its own");
    school.seen.flush();
    assert_eq!(school.seen.len(), 0);
}
