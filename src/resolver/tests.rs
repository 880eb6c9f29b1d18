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
    dnssec::{
        Algorithm,
        rdata::{DNSSECRData, RRSIG, SigInput},
    },
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType, SerialNumber,
        rdata::{A, CNAME, SOA},
    },
};
use proptest::prelude::*;
use tokio::{runtime::Handle, time::sleep};

use super::{
    AnswerSource, Ask, Resolved, Resolver, Routes, Security,
    backend::{Backend, Failure, Found},
    cache::CacheConfig,
    local::LocalAnswer,
};
use crate::{
    clock::Clock,
    delegation::{Delegation, Delegations},
    ede::{Ede, EdeCode},
    name::Key,
};

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

/// The zone and the first server of each delegation.
fn served(resolved: &Resolved) -> Vec<String> {
    let show = |delegation: &Delegation| {
        format!(
            "{} by {}",
            delegation.zone(),
            delegation.servers().next().map_or_else(String::new, |s| s.to_string())
        )
    };
    resolved.delegations.iter().map(show).collect()
}

fn delegated(zone: &str, server: &str) -> Delegations {
    Delegation::new(&Key::parse(zone).unwrap(), [Key::parse(server).unwrap()], []).into()
}

#[tokio::test(start_paused = true)]
async fn delegations_come_with_the_answer_from_the_cache_and_when_it_is_stale() {
    let main = Fake::new(|before, _, _| match before {
        0 => {
            let delegations = delegated("example", "ns.dns.test");
            (AT_ONCE, Ok(Found { delegations, ..found(vec![a("www.example.", 60, 1)]) }))
        }
        _ => (AT_ONCE, Err(failure())),
    });
    let resolver = resolver(&main);
    for (wait, source) in [(0, AnswerSource::Upstream), (1, AnswerSource::Cache), (60, AnswerSource::Stale)] {
        pass(secs(wait)).await;
        let resolved = resolver.resolve(&query("www.example."), PLAIN).await;
        assert_eq!(resolved.source, source);
        assert_eq!(served(&resolved), ["example by ns.dns.test"], "{source:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_alias_out_of_an_own_zone_brings_the_delegation_of_its_target() {
    let main = Fake::new(|_, _, _| {
        let delegations = delegated("evil.test", "ns.dns.test");
        (AT_ONCE, Ok(Found { delegations, ..found(vec![a("x.evil.test.", 60, 1)]) }))
    });
    let own = Fake::new(|_, _, _| (AT_ONCE, Ok(found(vec![alias("w.ad.example.", "x.evil.test.")]))));
    let routes = Routes {
        local: Arc::new(|_| None),
        own: vec![(Key::parse("ad.example").unwrap(), own as Arc<dyn Backend>)],
        main: main as Arc<dyn Backend>,
    };
    let resolver = Resolver::new(routes, CacheConfig::default(), Clock::system(), Handle::current());
    for _ in 0..2 {
        let resolved = resolver.resolve(&query("w.ad.example."), PLAIN).await;
        assert_eq!(served(&resolved), ["evil.test by ns.dns.test"]);
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

/// Good for a minute, then as the script says.
fn then(later: impl Fn(usize) -> (Duration, Result<Found, Failure>) + Send + Sync + 'static) -> Arc<Fake> {
    Fake::new(move |n, _, _| match n {
        0 => (AT_ONCE, Ok(found(vec![a("www.example.", 60, 1)]))),
        n => later(n),
    })
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_comes_within_two_seconds_and_the_fresh_one_behind_it() {
    let main = then(|_| (secs(5), Ok(found(vec![a("www.example.", 60, 2)]))));
    let resolver = resolver(&main);
    resolver.resolve(&query("www.example."), PLAIN).await;
    pass(secs(61)).await;

    let start = tokio::time::Instant::now();
    let stale = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!(start.elapsed().as_millis() / 10, 180);
    assert_eq!((stale.source, stale.answers[0].ttl), (AnswerSource::Stale, 30));
    assert_eq!(codes(&stale), [EdeCode::StaleAnswer]);

    // The flight has used up the patience, so the next doesn't wait.
    let start = tokio::time::Instant::now();
    let stale = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((stale.source, start.elapsed().as_millis()), (AnswerSource::Stale, 0));

    sleep(secs(4)).await;
    let fresh = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((fresh.source, &fresh.answers[0].data), (AnswerSource::Cache, &a("x.", 0, 2).data));
    assert_eq!(main.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_stale_answers_come_at_once_for_half_a_minute() {
    let main = then(|_| (secs(1), Err(failure())));
    let resolver = resolver(&main);
    resolver.resolve(&query("www.example."), PLAIN).await;
    pass(secs(61)).await;
    let stale = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!(stale.source, AnswerSource::Stale);
    assert_eq!(codes(&stale), [EdeCode::StaleAnswer, EdeCode::NoReachableAuthority]);
    pass(secs(29)).await;
    assert_eq!(resolver.resolve_now(&query("www.example."), PLAIN).unwrap().source, AnswerSource::Stale);
    assert_eq!(main.asked(), 2);
    pass(secs(1)).await;
    assert!(resolver.resolve_now(&query("www.example."), PLAIN).is_none());
    resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!(main.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stale_denial_says_so() {
    let main = Fake::new(|n, _, _| (AT_ONCE, if n == 0 { Ok(nxdomain(60)) } else { Err(failure()) }));
    let resolver = resolver(&main);
    resolver.resolve(&query("no.example."), PLAIN).await;
    pass(secs(60)).await;
    let stale = resolver.resolve(&query("no.example."), PLAIN).await;
    assert_eq!((stale.rcode, stale.source), (ResponseCode::NXDomain, AnswerSource::Stale));
    assert_eq!(codes(&stale)[0], EdeCode::StaleNxdomainAnswer);
}

#[tokio::test(start_paused = true)]
async fn stale_answers_end_with_their_limit() {
    let main = then(|_| (AT_ONCE, Err(failure())));
    let resolver = resolver_with(&main, CacheConfig { stale_max: 1000, ..CacheConfig::default() });
    resolver.resolve(&query("www.example."), PLAIN).await;
    pass(secs(1059)).await;
    assert_eq!(resolver.resolve(&query("www.example."), PLAIN).await.source, AnswerSource::Stale);
    pass(secs(1)).await;
    assert_eq!(resolver.resolve(&query("www.example."), PLAIN).await.rcode, ResponseCode::ServFail);
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_not_given_past_its_signatures() {
    let signed = || {
        let input = SigInput {
            type_covered: RecordType::A,
            algorithm: Algorithm::ECDSAP256SHA256,
            num_labels: 2,
            original_ttl: 60,
            sig_expiration: SerialNumber::new(NOW + 1000),
            sig_inception: SerialNumber::new(NOW - 1000),
            key_tag: 7,
            signer_name: name("example."),
        };
        let data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![9; 64])));
        let answers = vec![a("www.example.", 60, 1), Record::from_rdata(name("www.example."), 60, data)];
        Found { security: Security::Secure, ..found(answers) }
    };
    let main = Fake::new(move |n, _, _| (AT_ONCE, if n == 0 { Ok(signed()) } else { Err(failure()) }));
    let resolver = resolver(&main);
    resolver.resolve(&query("www.example."), PLAIN).await;
    pass(secs(999)).await;
    assert_eq!(resolver.resolve(&query("www.example."), PLAIN).await.source, AnswerSource::Stale);
    pass(secs(1)).await;
    assert_eq!(resolver.resolve(&query("www.example."), PLAIN).await.rcode, ResponseCode::ServFail);
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
async fn without_the_setting_there_are_no_stale_answers() {
    let main = then(|_| (AT_ONCE, Err(failure())));
    let resolver = resolver_with(&main, CacheConfig { serve_stale: false, ..CacheConfig::default() });
    resolver.resolve(&query("www.example."), PLAIN).await;
    pass(secs(61)).await;
    assert_eq!(resolver.resolve(&query("www.example."), PLAIN).await.rcode, ResponseCode::ServFail);
}

#[tokio::test(start_paused = true)]
async fn a_bogus_answer_is_not_hidden_by_a_stale_one() {
    let main = then(|_| (AT_ONCE, Ok(bogus(vec![a("www.example.", 60, 66)]))));
    let resolver = resolver(&main);
    resolver.resolve(&query("www.example."), PLAIN).await;
    pass(secs(61)).await;
    for _ in 0..2 {
        let resolved = resolver.resolve(&query("www.example."), PLAIN).await;
        assert_eq!((resolved.rcode, resolved.security), (ResponseCode::ServFail, Security::Bogus));
        assert!(resolved.answers.is_empty());
    }
    assert_eq!(main.asked(), 2);
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
async fn a_popular_answer_is_fetched_once_before_it_runs_out() {
    let main = Fake::new(|n, _, _| {
        let delay = if n == 0 { 0 } else { 1 };
        (secs(delay), Ok(found(vec![a("www.example.", 100, n as u8)])))
    });
    let resolver = resolver(&main);
    resolver.resolve(&query("www.example."), PLAIN).await;
    pass(secs(50)).await;
    resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!(resolver.stats().prefetches, 0);
    pass(secs(40)).await;
    for _ in 0..10 {
        let resolved = resolver.resolve(&query("www.example."), PLAIN).await;
        assert_eq!((resolved.source, resolved.answers[0].ttl), (AnswerSource::Cache, 10));
    }
    assert_eq!((resolver.stats().prefetches, resolver.stats().flights), (1, 1));
    sleep(secs(2)).await;
    let resolved = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((resolved.source, resolved.answers[0].ttl), (AnswerSource::Cache, 99));
    assert_eq!((main.asked(), resolver.stats().flights), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_used_once_is_not_fetched_again() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Ok(found(vec![a("www.example.", 100, 1)]))));
    let resolver = resolver(&main);
    resolver.resolve(&query("www.example."), PLAIN).await;
    pass(secs(95)).await;
    resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((main.asked(), resolver.stats().prefetches), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_identical_questions_are_one_flight() {
    let main = Fake::new(|_, _, _| (secs(1), Ok(found(vec![a("www.example.", 300, 1)]))));
    let resolver = Arc::new(resolver(&main));
    let clients: Vec<_> = (0..1000)
        .map(|_| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { resolver.resolve(&query("www.example."), PLAIN).await })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap().answers.len(), 1);
    }
    assert_eq!((main.asked(), resolver.stats().flights), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_does_not_end_the_flight() {
    let main = Fake::new(|_, _, _| (secs(1), Ok(found(vec![a("www.example.", 300, 1)]))));
    let resolver = resolver(&main);
    let asked = query("www.example.");
    let asking = resolver.resolve(&asked, PLAIN);
    assert!(tokio::time::timeout(Duration::from_millis(100), asking).await.is_err());
    sleep(secs(1)).await;
    assert!(resolver.resolve_now(&query("www.example."), PLAIN).is_some());
    assert_eq!(main.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn flights_are_bounded_and_the_next_question_is_told() {
    let main = Fake::new(|_, q, _| (secs(3), Ok(found(vec![a(&q.name().to_ascii(), 300, 1)]))));
    let resolver = Arc::new(resolver_with(&main, CacheConfig { max_flights: 8, ..CacheConfig::default() }));
    let clients: Vec<_> = (0..8)
        .map(|i| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move { resolver.resolve(&query(&format!("w{i}.example.")), PLAIN).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(resolver.stats().flights, 8);
    let turned_away = resolver.resolve(&query("one-more.example."), PLAIN).await;
    assert_eq!(turned_away.rcode, ResponseCode::ServFail);
    assert_eq!(turned_away.ede[0].text, "too many questions in flight");
    for client in clients {
        assert_eq!(client.await.unwrap().rcode, ResponseCode::NoError);
    }
    let room = resolver.resolve(&query("one-more.example."), PLAIN).await;
    assert_eq!((room.rcode, resolver.stats().turned_away), (ResponseCode::NoError, 1));
}

#[tokio::test(start_paused = true)]
async fn names_below_one_dead_domain_leave_room_for_others() {
    let main = Fake::new(|_, q, _| (secs(3), Ok(found(vec![a(&q.name().to_ascii(), 300, 1)]))));
    let resolver = Arc::new(resolver_with(&main, CacheConfig { max_flights: 16, ..CacheConfig::default() }));
    let ask = |name: String| {
        let resolver = Arc::clone(&resolver);
        tokio::spawn(async move { resolver.resolve(&query(&name), PLAIN).await })
    };
    let dead: Vec<_> = (0..4).map(|i| ask(format!("n{i}.dead.example."))).collect();
    tokio::task::yield_now().await;
    assert_eq!(resolver.stats().flights, 2, "an eighth of the flights");
    assert_eq!(ask("www.other.example.".into()).await.unwrap().rcode, ResponseCode::NoError);
    let mut rcodes = Vec::new();
    for question in dead {
        rcodes.push(question.await.unwrap().rcode);
    }
    assert_eq!(rcodes.iter().filter(|rcode| **rcode == ResponseCode::ServFail).count(), 2);
    assert_eq!(
        ask("again.dead.example.".into()).await.unwrap().rcode,
        ResponseCode::NoError,
        "the share is given back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_fails_its_question_only() {
    let main = Fake::new(|n, _, _| {
        assert_ne!(n, 0, "the first question breaks it");
        (AT_ONCE, Ok(found(vec![a("www.example.", 300, 1)])))
    });
    let resolver = resolver(&main);
    assert_eq!(resolver.resolve(&query("www.example."), PLAIN).await.rcode, ResponseCode::ServFail);
    assert_eq!(resolver.resolve(&query("www.example."), PLAIN).await.rcode, ResponseCode::NoError);
    assert_eq!(resolver.stats().flights, 0);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_is_given_up() {
    let main = Fake::new(|_, _, _| (secs(100_000), Err(failure())));
    let resolver = resolver(&main);
    let resolved = resolver.resolve(&query("www.example."), PLAIN).await;
    assert_eq!((resolved.rcode, resolver.stats().flights), (ResponseCode::ServFail, 0));
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

/// `printer.home.arpa` is local, with aliases into an own zone, the world, and itself.
fn with_own_zones(main: &Arc<Fake>, own: &Arc<Fake>) -> Resolver {
    let local = |query: &Query| {
        let asked = query.name().to_ascii();
        let target = match asked.as_str() {
            "printer.home.arpa." => None,
            "files.home.arpa." => Some("srv.ad.test."),
            "loop.home.arpa." => Some("loop.ad.test."),
            _ => return None,
        };
        Some(LocalAnswer {
            rcode: ResponseCode::NoError,
            answers: vec![target.map_or_else(|| a(&asked, 300, 9), |target| alias(&asked, target))],
            authorities: vec![],
            authoritative: true,
            continue_at: target.map(name),
        })
    };
    let main = Arc::clone(main) as Arc<dyn Backend>;
    let routes = Routes {
        local: Arc::new(local),
        own: vec![
            (Key::parse("test").unwrap(), Arc::clone(&main)),
            (Key::parse("ad.test").unwrap(), Arc::clone(own) as Arc<dyn Backend>),
        ],
        main,
    };
    Resolver::new(routes, CacheConfig::default(), Clock::system(), Handle::current())
}

#[tokio::test(start_paused = true)]
async fn local_zones_come_first_and_their_aliases_are_followed() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Err(failure())));
    let own = Fake::new(|_, q, _| (AT_ONCE, Ok(found(vec![a(&q.name().to_ascii(), 300, 1)]))));
    let resolver = with_own_zones(&main, &own);
    let local = resolver.resolve_now(&query("printer.home.arpa."), PLAIN).unwrap();
    assert_eq!((local.source, local.own_zone), (AnswerSource::Local, true));
    let joined = resolver.resolve(&query("files.home.arpa."), PLAIN).await;
    assert_eq!(joined.answers, [alias("files.home.arpa.", "srv.ad.test."), a("srv.ad.test.", 300, 1)]);
    assert_eq!((joined.source, joined.own_zone), (AnswerSource::Upstream, true));
    let again = resolver.resolve_now(&query("files.home.arpa."), PLAIN).unwrap();
    assert_eq!((again.source, again.answers.len()), (AnswerSource::Cache, 2));
    assert_eq!((main.asked(), own.asked()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_alias_out_of_an_own_zone_is_asked_in_the_world_and_no_longer_own() {
    let main = Fake::new(|_, q, _| (AT_ONCE, Ok(found(vec![a(&q.name().to_ascii(), 300, 7)]))));
    let own = Fake::new(|_, _, _| {
        // Its server would have us believe that the world's name is at another address.
        let answers = vec![alias("w.ad.test.", "evil.example."), a("evil.example.", 300, 66)];
        (AT_ONCE, Ok(Found { security: Security::Secure, ..found(answers) }))
    });
    let resolver = with_own_zones(&main, &own);
    for _ in 0..2 {
        let resolved = resolver.resolve(&query("w.ad.test."), PLAIN).await;
        assert_eq!(resolved.answers, [alias("w.ad.test.", "evil.example."), a("evil.example.", 300, 7)]);
        assert_eq!((resolved.own_zone, resolved.security), (false, Security::Insecure));
    }
    assert_eq!((main.asked(), own.asked()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_chain_whose_end_fails_keeps_its_aliases() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Ok(bogus(vec![a("evil.example.", 300, 66)]))));
    let own = Fake::new(|_, _, _| (AT_ONCE, Ok(found(vec![alias("w.ad.test.", "evil.example.")]))));
    let resolver = with_own_zones(&main, &own);
    let resolved = resolver.resolve(&query("w.ad.test."), PLAIN).await;
    assert_eq!((resolved.rcode, resolved.security), (ResponseCode::ServFail, Security::Bogus));
    assert_eq!(resolved.answers, [alias("w.ad.test.", "evil.example.")]);
}

#[tokio::test(start_paused = true)]
async fn aliases_that_go_round_end() {
    let main = Fake::new(|_, _, _| (AT_ONCE, Err(failure())));
    let own = Fake::new(|_, _, _| (AT_ONCE, Ok(found(vec![alias("loop.ad.test.", "loop.home.arpa.")]))));
    let resolver = with_own_zones(&main, &own);
    let resolved = resolver.resolve(&query("loop.home.arpa."), PLAIN).await;
    assert_eq!(resolved.rcode, ResponseCode::ServFail);
    assert_eq!(own.asked(), 1);
}

#[test]
fn the_first_poll_of_a_cached_answer_needs_no_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let main = Fake::new(|_, _, _| (Duration::from_millis(5), Ok(found(vec![a("www.example.", 300, 1)]))));
    let resolver = runtime.block_on(async { resolver(&main) });
    // Polled from a thread without a runtime, a question sets out and its answer still comes.
    let ask = || futures_util::FutureExt::now_or_never(resolver.resolve(&query("www.example."), PLAIN));
    while ask().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(ask().unwrap().source, AnswerSource::Cache);
    assert_eq!(main.asked(), 1);
}

#[test]
fn many_threads_ask_at_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let main = Fake::new(|_, q, _| (AT_ONCE, Ok(found(vec![a(&q.name().to_ascii(), 300, 1)]))));
    let resolver = runtime.block_on(async {
        Arc::new(resolver_with(&main, CacheConfig { bytes: 1 << 20, ..CacheConfig::default() }))
    });
    let clients: Vec<_> = (0..8)
        .map(|t| {
            let resolver = Arc::clone(&resolver);
            runtime.spawn(async move {
                for i in 0..5_000_usize {
                    let asked = query(&format!("w{}.example.", (i * (t + 1)) % 997));
                    let resolved = resolver.resolve(&asked, PLAIN).await;
                    assert_eq!(resolved.answers[0].name, *asked.name());
                    if i == 2_500 {
                        resolver.flush();
                    }
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for client in clients {
            client.await.unwrap();
        }
    });
    let stats = resolver.stats();
    assert_eq!(stats.hits + stats.misses + stats.failure_hits, 40_000);
    assert_eq!(stats.flights, 0);
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
