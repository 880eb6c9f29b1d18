//! Answers that are out of date, and when they are given.

use hickory_proto::{
    dnssec::{
        Algorithm,
        rdata::{DNSSECRData, RRSIG, SigInput},
    },
    rr::SerialNumber,
};

use super::*;

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
