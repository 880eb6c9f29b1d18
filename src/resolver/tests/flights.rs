//! Questions that are under way: shared, bounded, given up, and begun before an answer runs out.

use super::*;

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
