//! Time is tokio's, paused: it moves when all tasks wait, or when a test moves it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, CNAME, SOA},
    },
};
use proptest::prelude::*;
use tokio::{runtime::Handle, time::sleep};

use super::{
    AnswerSource, Ask, Resolved, Resolver, Routes, Security,
    backend::{Backend, Failure, Found},
    cache::CacheConfig,
};
use crate::{
    clock::Clock,
    delegation::Delegations,
    ede::{Ede, EdeCode},
    name::Key,
};

mod chains;
mod flights;
mod stale;

type Script = dyn Fn(usize, &Query, Ask) -> (Duration, Result<Found, Failure>) + Send + Sync;

/// Answers by a script: how often it was asked before, and what.
struct Fake {
    asked: AtomicUsize,
    script: Box<Script>,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

impl Fake {
    fn new(
        script: impl Fn(usize, &Query, Ask) -> (Duration, Result<Found, Failure>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { asked: AtomicUsize::new(0), script: Box::new(script) })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Backend for Fake {
    fn ask<'a>(
        &'a self,
        query: &'a Query,
        ask: Ask,
    ) -> Pin<Box<dyn Future<Output = Result<Found, Failure>> + Send + 'a>> {
        Box::pin(async move {
            let before = self.asked.fetch_add(1, Ordering::SeqCst);
            let (delay, result) = (self.script)(before, query, ask);
            if delay > Duration::ZERO {
                sleep(delay).await;
            }
            result
        })
    }
}

/// The time of day, in seconds since 1970.
const NOW: u32 = 1_795_338_000;
const AT_ONCE: Duration = Duration::ZERO;
const CD: Ask = Ask { checking_disabled: true };
const PLAIN: Ask = Ask { checking_disabled: false };

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn query(text: &str) -> Query {
    Query::query(name(text), RecordType::A)
}

fn a(owner: &str, ttl: u32, last: u8) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(A::new(192, 0, 2, last)))
}

fn alias(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 300, RData::CNAME(CNAME(name(target))))
}

fn soa(ttl: u32) -> Record {
    let data = SOA::new(name("ns.example."), name("admin.example."), 1, 2, 3, 4, ttl);
    Record::from_rdata(name("example."), ttl, RData::SOA(data))
}

fn found(answers: Vec<Record>) -> Found {
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    message.answers = answers;
    Found { message, security: Security::Insecure, ede: vec![], delegations: Delegations::NONE }
}

fn nxdomain(ttl: u32) -> Found {
    let mut found = found(vec![]);
    found.message.metadata.response_code = ResponseCode::NXDomain;
    found.message.authorities = vec![soa(ttl)];
    found
}

fn bogus(answers: Vec<Record>) -> Found {
    let ede = vec![Ede::new(EdeCode::SignatureExpired, "")];
    Found { security: Security::Bogus, ede, ..found(answers) }
}

fn failure() -> Failure {
    let ede = vec![Ede::new(EdeCode::NoReachableAuthority, "")];
    Failure { reason: String::from("no server answers"), ede, aliases: vec![] }
}

fn resolver_with(main: &Arc<Fake>, config: CacheConfig) -> Resolver {
    let routes =
        Routes { local: Arc::new(|_| None), own: vec![], main: Arc::clone(main) as Arc<dyn Backend> };
    let clock = Clock::held_at(jiff::Timestamp::from_second(i64::from(NOW)).unwrap());
    Resolver::new(routes, config, clock, Handle::current())
}

fn resolver(main: &Arc<Fake>) -> Resolver {
    resolver_with(main, CacheConfig::default())
}

fn codes(resolved: &Resolved) -> Vec<EdeCode> {
    resolved.ede.iter().map(|e| e.code).collect()
}

async fn pass(duration: Duration) {
    tokio::time::advance(duration).await;
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test(start_paused = true)]
async fn ttls_count_down_until_the_servers_are_asked_again() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Ok(found(vec![a("www.example.", 300, 1)]))));
    let resolver = resolver(&main);
    let first = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((first.source, first.answers[0].ttl), (AnswerSource::Upstream, 300));
    pass(secs(100)).await;
    let second = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((second.source, second.answers[0].ttl), (AnswerSource::Cache, 200));
    pass(secs(200)).await;
    let third = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((third.source, third.answers[0].ttl), (AnswerSource::Upstream, 300));
    assert_eq!(main.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn letter_case_is_the_clients_and_no_other_question() {
    let main = Fake::new(|_, q, _| {
        let answers = vec![alias(&q.name().to_ascii(), "Cdn.Example."), a("Cdn.Example.", 300, 1)];
        (AT_ONCE, Ok(found(answers)))
    });
    let resolver = resolver(&main);
    resolver.resolve(&query("wWw.example."), PLAIN).await;
    let second = resolver.resolve(&query("WWW.eXample."), PLAIN).await;
    assert_eq!(second.source, AnswerSource::Cache);
    assert_eq!(second.answers[0].name.to_ascii(), "WWW.eXample.");
    assert_eq!(second.answers[1].name.to_ascii(), "Cdn.Example.");
    assert_eq!(second.answers[0].data, RData::CNAME(CNAME(name("cdn.example."))));
    assert_eq!(main.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn types_and_names_are_apart() {
    let main = Fake::new(|_, q, _| (AT_ONCE, Ok(found(vec![a(&q.name().to_ascii(), 300, 1)]))));
    let resolver = resolver(&main);
    resolver.resolve(&query("www.example."), PLAIN).await;
    resolver.resolve(&query("ww.example."), PLAIN).await;
    resolver.resolve(&Query::query(name("www.example."), RecordType::AAAA), PLAIN).await;
    assert_eq!(main.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_negative_answer_is_kept_with_its_soa() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Ok(nxdomain(60))));
    let resolver = resolver(&main);
    resolver.resolve(&query("no.example."), PLAIN).await;
    pass(secs(20)).await;
    let second = resolver.resolve(&query("no.example."), PLAIN).await;
    assert_eq!((second.rcode, second.source), (ResponseCode::NXDomain, AnswerSource::Cache));
    assert_eq!((second.authorities[0].record_type(), second.authorities[0].ttl), (RecordType::SOA, 40));
    pass(secs(40)).await;
    resolver.resolve(&query("no.example."), PLAIN).await;
    assert_eq!(main.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_remembered_longer_each_time_but_never_over_half_a_minute() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Err(failure())));
    let resolver = resolver(&main);
    let first = resolver.resolve(&query("dead.example."), PLAIN).await;
    assert_eq!(first.rcode, ResponseCode::ServFail);
    assert_eq!(codes(&first), [EdeCode::NoReachableAuthority]);
    let mut pauses = vec![];
    for _ in 0..7 {
        let asked = main.asked();
        let mut pause = 0;
        while main.asked() == asked {
            pass(secs(1)).await;
            pause += 1;
            let again = resolver.resolve(&query("dead.example."), PLAIN).await;
            assert_eq!(again.rcode, ResponseCode::ServFail);
            assert_eq!(codes(&again).contains(&EdeCode::CachedError), main.asked() == asked);
        }
        pauses.push(pause);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn the_aliases_of_a_failure_are_given_for_review() {
    let main = Fake::new(|_, _, _| {
        let aliases = vec![alias("www.example.", "tracker.test.")];
        (AT_ONCE, Err(Failure { aliases, ..failure() }))
    });
    let resolver = resolver(&main);
    for source in [AnswerSource::Upstream, AnswerSource::Cache] {
        let failed = resolver.resolve(&query("www.example."), PLAIN).await;
        assert_eq!((failed.rcode, failed.source), (ResponseCode::ServFail, source));
        assert_eq!(failed.answers, [alias("www.example.", "tracker.test.")]);
    }
}

#[tokio::test(start_paused = true)]
async fn other_routes_are_in_force_at_once_and_answers_of_before_are_forgotten() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Ok(found(vec![a("dc.ad.example.", 300, 1)]))));
    let own = Fake::new(|_, _, _| (AT_ONCE, Ok(found(vec![a("dc.ad.example.", 300, 2)]))));
    let resolver = resolver(&main);
    let ask = query("dc.ad.example.");
    assert!(!resolver.resolve(&ask, PLAIN).await.own_zone && !resolver.is_own(&ask));
    let routes = |own: Vec<(Key, Arc<dyn Backend>)>| Routes {
        local: Arc::new(|_| None),
        own,
        main: Arc::clone(&main) as Arc<dyn Backend>,
    };
    let zone = Key::parse("ad.example").unwrap();
    resolver.set_routes(routes(vec![(zone, Arc::clone(&own) as Arc<dyn Backend>)]));
    let answer = resolver.resolve(&ask, PLAIN).await;
    assert!(answer.own_zone && resolver.is_own(&ask));
    assert_eq!((main.asked(), own.asked()), (1, 1));
    resolver.set_routes(routes(Vec::new()));
    assert!(!resolver.resolve(&ask, PLAIN).await.own_zone);
    assert_eq!((main.asked(), own.asked()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_truncated_or_refused_answer_is_a_failure() {
    let main = Fake::new(|n, _, _| {
        let mut found = found(vec![a("www.example.", 300, 1)]);
        match n {
            0 => found.message.metadata.truncation = true,
            _ => found.message.metadata.response_code = ResponseCode::Refused,
        }
        (AT_ONCE, Ok(found))
    });
    let resolver = resolver(&main);
    for _ in 0..2 {
        let resolved = resolver.resolve(&query("www.example."), PLAIN).await;
        assert_eq!(resolved.rcode, ResponseCode::ServFail);
        pass(secs(1)).await;
    }
    assert_eq!(main.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_ttl_zero_is_for_those_who_wait_only() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Ok(found(vec![a("www.example.", 0, 1)]))));
    let resolver = resolver(&main);
    resolver.resolve(&query("www.example."), PLAIN).await;
    let second = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((second.source, second.answers[0].ttl), (AnswerSource::Upstream, 0));
    assert_eq!(main.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_names_asked_once_does_not_displace_a_popular_one() {
    let main = Fake::new(|_, q, _| (AT_ONCE, Ok(found(vec![a(&q.name().to_ascii(), 3600, 1)]))));
    let resolver = resolver_with(&main, CacheConfig { bytes: 200_000, ..CacheConfig::default() });
    for i in 0..5_000 {
        resolver.resolve(&query(&format!("random{i}.example.")), PLAIN).await;
        if i % 20 == 0 {
            resolver.resolve(&query("www.example."), PLAIN).await;
        }
    }
    assert!(resolver.stats().entries < 1_000);
    assert!(main.asked() <= 5_000 + 3, "the popular name was asked {} times", main.asked() - 5_000);
}

#[tokio::test(start_paused = true)]
async fn bogus_data_is_for_clients_that_validate_only() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Ok(bogus(vec![a("www.example.", 300, 66)]))));
    let resolver = resolver(&main);
    let plain = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((plain.rcode, plain.answers.len()), (ResponseCode::ServFail, 0));
    assert_eq!(codes(&plain), [EdeCode::SignatureExpired]);
    let cd = resolver.resolve(&query("www.example."), CD).await;
    assert_eq!((cd.rcode, cd.answers.len(), cd.security), (ResponseCode::NoError, 1, Security::Bogus));
    assert_eq!(cd.source, AnswerSource::Cache);
    let plain = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((plain.rcode, plain.answers.len()), (ResponseCode::ServFail, 0));
    assert_eq!(main.asked(), 1);
    // Like a failure, so that a repaired zone is back soon in spite of the records' TTL.
    pass(secs(1)).await;
    resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!(main.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_cd_is_never_given_to_others_unless_proven() {
    let main = Fake::new(|_, q, ask| {
        let proven = q.name().to_ascii().starts_with("proven");
        let mut found = found(vec![a(&q.name().to_ascii(), 300, if ask.checking_disabled { 66 } else { 1 })]);
        found.security = if proven { Security::Secure } else { Security::Insecure };
        (AT_ONCE, Ok(found))
    });
    let resolver = resolver(&main);
    let forged = a("x.", 0, 66).data;
    for _ in 0..2 {
        let cd = resolver.resolve(&query("www.example."), CD).await;
        assert_eq!(cd.answers[0].data, forged);
    }
    assert_eq!(main.asked(), 1);
    assert_ne!(resolver.resolve(&query("www.example."), PLAIN).await.answers[0].data, forged);
    assert_eq!(main.asked(), 2);
    // What was validated is good for all.
    assert_ne!(resolver.resolve(&query("www.example."), CD).await.answers[0].data, forged);
    resolver.resolve(&query("proven.example."), CD).await;
    resolver.resolve(&query("proven.example."), PLAIN).await;
    assert_eq!(main.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_cd_does_not_keep_cd_from_asking() {
    let main = Fake::new(|_, _, ask| {
        let result =
            if ask.checking_disabled { Ok(found(vec![a("w.example.", 9, 1)])) } else { Err(failure()) };
        (AT_ONCE, result)
    });
    let resolver = resolver(&main);
    assert_eq!(resolver.resolve(&query("w.example."), PLAIN).await.rcode, ResponseCode::ServFail);
    assert_eq!(resolver.resolve(&query("w.example."), CD).await.rcode, ResponseCode::NoError);
    assert_eq!(resolver.resolve(&query("w.example."), PLAIN).await.rcode, ResponseCode::ServFail);
    assert_eq!(main.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_flushed_is_asked_again_and_what_was_asked_before_is_not_kept() {
    let main = Fake::new(|_, q, _| (secs(1), Ok(found(vec![a(&q.name().to_ascii(), 300, 1)]))));
    let resolver = Arc::new(resolver(&main));
    for n in ["example.", "www.example.", "wwwexample.", "www.test."] {
        resolver.resolve(&query(n), PLAIN).await;
    }
    resolver.flush_name(&Key::parse("EXAMPLE").unwrap());
    assert!(resolver.resolve_now(&query("example."), PLAIN).is_none());
    assert!(resolver.resolve_now(&query("www.example."), PLAIN).is_none());
    assert!(resolver.resolve_now(&query("wwwexample."), PLAIN).is_some());
    assert!(resolver.resolve_now(&query("www.test."), PLAIN).is_some());

    let asking = Arc::clone(&resolver);
    let client = tokio::spawn(async move { asking.resolve(&query("late.example."), PLAIN).await });
    sleep(Duration::from_millis(500)).await;
    resolver.flush();
    assert_eq!(client.await.unwrap().rcode, ResponseCode::NoError);
    assert!(resolver.resolve_now(&query("late.example."), PLAIN).is_none());
    assert!(resolver.resolve_now(&query("www.test."), PLAIN).is_none());
    assert_eq!(resolver.stats().entries, 0);
}

#[tokio::test]
async fn questions_of_other_classes_and_of_no_data_are_not_asked() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Err(failure())));
    let resolver = resolver(&main);
    let mut chaos = query("version.bind.");
    chaos.set_query_class(DNSClass::CH);
    assert_eq!(resolver.resolve(&chaos, PLAIN).await.rcode, ResponseCode::Refused);
    let transfer = Query::query(name("example."), RecordType::AXFR);
    assert_eq!(resolver.resolve(&transfer, PLAIN).await.rcode, ResponseCode::NotImp);
    assert_eq!(main.asked(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_answer_never_outlives_what_its_server_allowed(
        steps in prop::collection::vec((0_u8..4, 0_u64..400, any::<bool>(), 0_u32..300), 1..60),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            // What was last said of each name: the TTL and when.
            let said = Arc::new(std::sync::Mutex::new(std::collections::HashMap::new()));
            let now = Arc::new(std::sync::Mutex::new((true, 0)));
            let (said_by, told) = (Arc::clone(&said), Arc::clone(&now));
            let main = Fake::new(move |_, q, _| {
                let (works, ttl) = *told.lock().unwrap();
                if !works {
                    return (AT_ONCE, Err(failure()));
                }
                let asked = q.name().to_ascii();
                said_by.lock().unwrap().insert(asked.clone(), (ttl, tokio::time::Instant::now()));
                (AT_ONCE, Ok(found(vec![a(&asked, ttl, 1)])))
            });
            let resolver = resolver(&main);
            for (which, wait, works, ttl) in steps {
                pass(secs(wait)).await;
                *now.lock().unwrap() = (works, ttl);
                let asked = query(&format!("w{which}.example."));
                let resolved = resolver.resolve(&asked, PLAIN).await;
                let Some(record) = resolved.answers.first() else { continue };
                let (ttl, at) = said.lock().unwrap()[&asked.name().to_ascii()];
                let age = at.elapsed();
                match resolved.source {
                    AnswerSource::Stale => {
                        assert!(age >= secs(u64::from(ttl)));
                        assert_eq!(record.ttl, 30);
                        assert!(codes(&resolved).contains(&EdeCode::StaleAnswer));
                    }
                    AnswerSource::Upstream => assert_eq!(record.ttl, ttl),
                    _ => {
                        assert!(age < secs(u64::from(ttl)));
                        assert_eq!(u64::from(record.ttl), u64::from(ttl) - age.as_secs());
                    }
                }
            }
        });
    }

    #[test]
    fn the_bytes_stay_bounded_under_any_load(
        bytes in 20_000_u64..400_000,
        load in prop::collection::vec((0_u32..2_000, 1_usize..60, 0_u8..4), 1..800),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let kind = Arc::new(std::sync::Mutex::new((0, 0)));
            let told = Arc::clone(&kind);
            let main = Fake::new(move |_, q, _| {
                let (records, kind) = *told.lock().unwrap();
                let asked = q.name().to_ascii();
                let answers = (0..records).map(|i| a(&asked, 300, i as u8)).collect();
                (AT_ONCE, match kind {
                    0 => Err(failure()),
                    1 => Ok(bogus(answers)),
                    _ => Ok(found(answers)),
                })
            });
            let resolver = resolver_with(&main, CacheConfig { bytes, ..CacheConfig::default() });
            for (which, records, what) in load {
                *kind.lock().unwrap() = (records, what);
                resolver.resolve(&query(&format!("w{which}.example.")), PLAIN).await;
                assert!(resolver.stats().bytes <= bytes);
            }
        });
    }
}
