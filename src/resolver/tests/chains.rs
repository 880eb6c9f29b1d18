//! Aliases from one zone into another, and the delegations on the way.

use super::{super::local::LocalAnswer, *};
use crate::delegation::Delegation;

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
