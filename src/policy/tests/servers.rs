//! Zones of listed name servers.

use hickory_proto::rr::{Name, RData, Record, rdata::CNAME};
use proptest::prelude::*;

use super::*;
use crate::{delegation::Delegation, ede::EdeCode};

const KS2: &str = "10.20.2.5";
const STAFF: &str = "10.20.9.5";
const TRIAL: &str = "10.20.3.5";

/// The school, with lists of name servers.
fn listed() -> Policy {
    school_of(
        SCHOOL,
        vec![
            list(
                "dyn",
                "gambling",
                &[
                    "ns:dyn.example",
                    "ns:=only.exact.example",
                    "ns:198.18.5.0/24",
                    "ns:nic.uk",
                    "ns:shared-dns.example",
                    "ns:@@home.example",
                    "ns:@@good.dyn.example",
                ],
            ),
            list("dyn-bad", "malware", &["ns:bad-dns.example"]),
            list("dyn-worst", "illegal-terrorism", &["ns:worst-dns.example", "ns:198.18.6.6"]),
            list("at-lunch", "games", &["ns:play-dns.example"]),
            list("dyn-ads", "ads-trackers", &["ns:ads-dns.example"]),
        ],
    )
}

/// A delegation: `zone`, then its servers and their addresses.
pub(super) fn zone(zone: &str, servers: &[&str]) -> Delegation {
    let key = |text: &&str| Key::parse(text).ok().filter(|_| text.parse::<IpAddr>().is_err());
    Delegation::new(
        &Key::parse(zone).unwrap(),
        servers.iter().filter_map(key),
        servers.iter().filter_map(|text| text.parse().ok()),
    )
}

fn all(delegations: Vec<Delegation>) -> Delegations {
    delegations.into_iter().map(Arc::new).collect()
}

fn alias(owner: &str, target: &str) -> Record {
    let name = |text: &str| Name::from_ascii(format!("{text}.")).unwrap();
    Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
}

fn review(policy: &Policy, name: &str, client: &str, records: &[Record], from: Vec<Delegation>) -> Review {
    let client = policy.client(client);
    let decision = policy.decide(&ask(name), &client, time(MORNING));
    let delegations = all(from);
    let answer = Answer { records, delegations: &delegations, own_zone: false };
    policy.review(&ask(name), &client, &decision, &answer, time(MORNING))
}

fn why(policy: &Policy, name: &str, client: &str, from: Vec<Delegation>) -> Option<ServedBy> {
    match review(policy, name, client, &[], from).block?.reason {
        Reason::NameServer(by) => Some(*by),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_zone_of_a_listed_name_server_is_blocked_with_every_name_in_it() {
    let policy = listed();
    for servers in [
        &["ns1.dyn.example"][..],
        &["ns1.other.example", "dyn.example", "ns2.other.example"],
        &["only.exact.example"],
        &["ns1.other.example", "198.18.5.9"],
    ] {
        for name in ["algebra.example", "www.algebra.example"] {
            let by = why(&policy, name, KS2, vec![zone("algebra.example", servers)]).unwrap();
            assert_eq!(by.zone.to_string(), "algebra.example");
            assert_eq!(policy.list(&by.listed).unwrap().id, "dyn", "{servers:?}");
            assert!(!by.locked);
        }
    }
    let block =
        review(&policy, "algebra.example", KS2, &[], vec![zone("algebra.example", &["a.dyn.example"])]);
    let decision = block.block.unwrap();
    assert_eq!(decision.verdict, Verdict::Block(BlockResponse::BlockPage));
    assert_eq!(policy.ede(&decision), Some(EdeCode::Filtered));
    assert_eq!(decision.reason.word(), "name-server");
    assert!(policy.categories().ids(decision.categories).contains(&"gambling"));
}

#[test]
fn other_zones_and_other_categories_are_left_alone() {
    let policy = listed();
    for servers in [
        &[][..],
        &["ns1.other.example", "192.0.2.53"],
        // Listed alone, so what is below is another server.
        &["a.only.exact.example"],
        // Listed as names that are asked for, not as servers.
        &["ns1.bets.example", "198.51.100.7"],
        // Exempt: the server, though its parent is listed; and one that the program knows as everybody's.
        &["good.dyn.example"],
        &["ns1.shared-dns.example"],
        // Of a category that Key Stage 2 may use.
        &["ns1.ads-dns.example"],
    ] {
        assert_eq!(why(&policy, "algebra.example", KS2, vec![zone("algebra.example", servers)]), None);
    }
    // One exempt server does not exempt the zone.
    let mixed = zone("algebra.example", &["good.dyn.example", "ns1.dyn.example"]);
    assert!(why(&policy, "algebra.example", KS2, vec![mixed]).is_some());
    let lunch = why(&policy, "algebra.example", KS2, vec![zone("algebra.example", &["ns.play-dns.example"])]);
    assert_eq!(policy.list(&lunch.unwrap().listed).unwrap().id, "at-lunch");
}

#[test]
fn what_was_found_of_a_delegation_is_found_anew_when_lists_change() {
    let served = || all(vec![zone("algebra.example", &["ns1.new-dns.example"])]);
    let before = listed();
    let with = |category: &str| {
        let text = format!("{SCHOOL}\n[[category]]\nid = \"own-dns\"\ntitle = \"DNS\"\nrisk = \"low\"\n");
        let text = if category == "own-dns" { text } else { SCHOOL.to_owned() };
        school_of(&text, vec![list("new", "own-dns", &["ns:new-dns.example"])])
    };
    let (without_category, after) = (with(""), with("own-dns"));
    let delegations = served();
    let blocked = |policy: &Policy| {
        let client = policy.client(KS2);
        let question = ask("algebra.example");
        let decision = policy.decide(&question, &client, time(MORNING));
        let answer = Answer { records: &[], delegations: &delegations, own_zone: false };
        policy.review(&question, &client, &decision, &answer, time(MORNING)).block.is_some()
    };
    // The same delegation, held by the cache all the while.
    for _ in 0..2 {
        assert!(!blocked(&before) && !blocked(&before));
        assert!(!blocked(&without_category), "its list waits for its category");
        assert!(blocked(&after) && blocked(&after));
    }
}

#[test]
fn entries_for_name_servers_are_none_for_names_and_the_other_way_round() {
    let policy = listed();
    for name in ["dyn.example", "www.dyn.example", "bad-dns.example", "worst-dns.example"] {
        let decision = policy.ask(name, KS2, MORNING);
        assert_eq!((decision.verdict, decision.reason), (Verdict::Allow, Reason::Default), "{name}");
        assert!(decision.categories.is_empty(), "{name}");
    }
    // Nor does the exemption open or approve the name.
    let decision = policy.ask("home.example", "10.20.1.5", MORNING);
    assert_eq!(decision.reason, Reason::AllowOnly);
}

#[test]
fn an_exempt_zone_is_open_whoever_serves_it() {
    let policy = listed();
    for name in ["home.example", "www.home.example"] {
        assert_eq!(why(&policy, name, KS2, vec![zone("home.example", &["ns1.dyn.example"])]), None);
    }
    assert_eq!(
        why(&policy, "a.b.home.example", KS2, vec![zone("b.home.example", &["ns1.dyn.example"])]),
        None
    );
    // It opens its own category only.
    let bad = zone("home.example", &["ns1.dyn.example", "x.bad-dns.example"]);
    assert_eq!(
        policy.list(&why(&policy, "home.example", KS2, vec![bad]).unwrap().listed).unwrap().id,
        "dyn-bad"
    );
}

#[test]
fn a_top_level_domain_is_never_blocked_by_its_servers() {
    let policy = listed();
    assert_eq!(why(&policy, "nowhere.uk", KS2, vec![zone("uk", &["ns1.nic.uk"])]), None);
    assert_eq!(why(&policy, "x.co.uk", KS2, vec![zone("co.uk", &["ns1.nic.uk"])]), None);
    assert!(why(&policy, "x.nic.uk", KS2, vec![zone("nic.uk", &["ns1.nic.uk"])]).is_some());
    // One company's suffix is that company's zone.
    assert!(why(&policy, "x.duckdns.org", KS2, vec![zone("duckdns.org", &["ns1.dyn.example"])]).is_some());
}

#[test]
fn what_the_school_allowed_or_is_essential_is_open_unless_it_is_locked() {
    let policy = listed();
    for name in ["puzzles.games.example", "www.help.example"] {
        let served = |server: &str| vec![zone("example", &[server])];
        assert_eq!(why(&policy, name, KS2, served("ns1.dyn.example")), None, "{name}");
        for server in ["ns.worst-dns.example", "198.18.6.6"] {
            let by = why(&policy, name, KS2, served(server)).unwrap();
            assert!(by.locked, "{name}");
        }
    }
    let locked = review(&policy, "x.example", STAFF, &[], vec![zone("x.example", &["a.worst-dns.example"])]);
    let decision = locked.block.unwrap();
    assert_eq!(policy.ede(&decision), Some(EdeCode::Censored));
    assert_eq!(decision.reason.word(), "locked-name-server");
    let client = policy.client(STAFF);
    assert_eq!(policy.advice(&decision, &ask("x.example"), &client), ["Nothing opens a locked category."]);
}

#[test]
fn an_alias_into_such_a_zone_is_blocked_unless_the_target_was_allowed() {
    let policy = listed();
    let own = || zone("innocent.example", &["ns1.other.example"]);
    let served = |of: &str| vec![own(), zone(of, &["ns1.dyn.example"])];
    let to = |target: &str| vec![alias("www.innocent.example", target)];
    let found = review(&policy, "www.innocent.example", KS2, &to("a.proxy.example"), served("proxy.example"));
    let decision = found.block.unwrap();
    let text = policy.explain(&decision, &ask("www.innocent.example"), &policy.client(KS2));
    assert_eq!(
        text,
        "Blocked: www.innocent.example leads to a name in proxy.example, which has the name server ns1.dyn.example, which is \
         on the list “The list dyn” of the category Gambling, which Key Stage 2 may not use."
    );
    // A school's rule for the target, or an essential target.
    for (target, zone) in [("puzzles.games.example", "games.example"), ("www.help.example", "help.example")] {
        let found = review(&policy, "www.innocent.example", KS2, &to(target), served(zone));
        assert_eq!(found.block, None, "{target}");
    }
    // The rule is for a name of another zone.
    let chain = [
        alias("www.innocent.example", "puzzles.games.example"),
        alias("puzzles.games.example", "a.proxy.example"),
    ];
    assert!(review(&policy, "www.innocent.example", KS2, &chain, served("proxy.example")).block.is_some());
    // A name in a zone below is not served by the zone above.
    let both = vec![
        zone("games.example", &["ns1.dyn.example"]),
        zone("puzzles.games.example", &["ns1.other.example"]),
    ];
    let found = review(&policy, "www.innocent.example", KS2, &to("puzzles.games.example"), both);
    assert!(found.block.is_some(), "nobody allowed what games.example itself has");
}

#[test]
fn aliases_and_addresses_come_before_name_servers_and_these_before_private_addresses() {
    let policy = listed();
    let served = || vec![zone("x.example", &["ns1.dyn.example"])];
    let a = |text: &str| {
        Record::from_rdata(Name::from_ascii("x.example.").unwrap(), 60, RData::A(text.parse().unwrap()))
    };
    let reason = |records: &[Record]| {
        review(&policy, "x.example", KS2, records, served()).block.unwrap().reason.word()
    };
    let private = a("10.0.0.1");
    assert_eq!(reason(&[alias("x.example", "x.bets.example"), private.clone()]), "alias");
    assert_eq!(reason(&[a("198.51.100.7"), private.clone()]), "address");
    assert_eq!(reason(std::slice::from_ref(&private)), "name-server");
    let plain = review(&policy, "x.example", KS2, &[private], Vec::new());
    assert_eq!(plain.block.unwrap().reason.word(), "rebinding");
}

#[test]
fn a_watching_profile_notes_such_zones_unless_they_are_locked_or_unsafe() {
    let policy = listed();
    let noted = review(&policy, "x.example", TRIAL, &[], vec![zone("x.example", &["ns1.dyn.example"])]);
    assert_eq!(noted.block, None);
    assert_eq!(noted.would_block.unwrap().word(), "name-server");
    for server in ["a.bad-dns.example", "a.worst-dns.example"] {
        let found =
            review(&policy, "x.example", TRIAL, &[], vec![zone("x.example", &["ns1.dyn.example", server])]);
        assert!(found.block.is_some(), "{server}");
    }
}

#[test]
fn the_words_name_the_server_the_zone_and_what_would_open_it() {
    let policy = listed();
    let client = policy.client(KS2);
    let said = |name: &str, served: Delegation| {
        let decision = review(&policy, name, KS2, &[], vec![served]).block.unwrap();
        (policy.explain(&decision, &ask(name), &client), policy.advice(&decision, &ask(name), &client))
    };
    let (text, advice) = said("www.x.example", zone("x.example", &["198.18.5.9"]));
    assert_eq!(
        text,
        "Blocked: www.x.example belongs to x.example, which has the name server 198.18.5.9, which is on the list “The list dyn” \
         of the category Gambling, which Key Stage 2 may not use."
    );
    assert_eq!(advice.len(), 3);
    assert!(advice[0].contains("allow rule for www.x.example") && advice[1].contains("rule for x.example"));
    let (text, advice) = said("x.example", zone("x.example", &["ns.play-dns.example"]));
    assert!(
        text.starts_with("Blocked: x.example has the name server ns.play-dns.example, which is"),
        "{text}"
    );
    assert!(advice.iter().any(|way| way.contains("only at lunch")), "{advice:?}");
}

#[test]
fn the_shipped_table_blocks_freedns_and_nothing_that_everybody_shares() {
    let shipped = PolicyFile::shipped();
    let categories = Arc::new(Categories::shipped());
    let starter = Arc::new(crate::lists::shipped::starter(&categories));
    let policy = Policy::build(&shipped, &Knowledge { categories, indexes: vec![starter] }).unwrap();
    let by = |servers: &[&str]| {
        why(&policy, "www.algebra.example", "127.0.0.1", vec![zone("algebra.example", servers)])
    };
    let found = by(&["ns1.afraid.org", "ns2.afraid.org"]).unwrap();
    assert_eq!(policy.list(&found.listed).unwrap().id, "starter-name-servers-dynamic-dns");
    assert!(by(&["nf2.no-ip.com"]).is_some());
    for server in [
        "ada.ns.cloudflare.com",
        "ns-1.awsdns-00.com",
        "ns-2047.awsdns-63.co.uk",
        "ns1-01.azure-dns.com",
        "ns-cloud-a1.googledomains.com",
        "ns01.domaincontrol.com",
        "ns1.no-ip.com",
        "a.gtld-servers.net",
        "ns0.ja.net",
        "ns1.desec.io",
    ] {
        assert_eq!(by(&[server]), None, "{server}");
    }
    // Neither table names what is at, above or below a name of the other.
    let tables = Tables::shipped();
    assert!(tables.shared_servers.len() > 300);
    let index = policy.indexes().next().unwrap();
    for (name, set) in index.names().unwrap().iter() {
        if index.sets()[set as usize].iter().any(|entry| entry.of_servers) {
            let key = Key::parse(&crate::name::dotted(&name)).unwrap();
            for shared in &tables.shared_servers {
                assert!(
                    !key.is_within(&shared.key) && !shared.key.is_within(&key),
                    "{key} and {}",
                    shared.key
                );
            }
        }
    }
}

proptest! {
    /// Name servers only ever close: with a delegation, nothing opens that was closed without one.
    #[test]
    fn a_delegation_never_opens_an_answer(
        servers in prop::collection::vec(
            prop::sample::select(vec![
                "ns1.dyn.example", "good.dyn.example", "x.bad-dns.example", "x.worst-dns.example", "198.18.5.1",
                "ns1.shared-dns.example", "ns1.other.example", "home.example", "192.0.2.1",
            ]),
            0..5,
        ),
        zones in prop::collection::vec(
            prop::sample::select(vec!["example", "home.example", "games.example", "help.example", "org.uk"]),
            1..4,
        ),
        name in prop::sample::select(vec![
            "a.example", "www.home.example", "puzzles.games.example", "help.example", "x.bets.example",
        ]),
        target in prop::sample::select(vec!["b.example", "x.bets.example", "www.home.example", "worst.example"]),
        client in prop::sample::select(vec![KS2, STAFF, TRIAL, "10.20.1.5"]),
    ) {
        let policy = listed();
        let records = [alias(name, target)];
        let served = || -> Vec<Delegation> { zones.iter().map(|of| zone(of, &servers)).collect() };
        let without = review(&policy, name, client, &records, Vec::new());
        let with = review(&policy, name, client, &records, served());
        prop_assert!(without.block.is_none() || with.block.is_some());
        prop_assert_eq!(&with, &review(&policy, name, client, &records, served()));
        let decided = policy.ask(name, client, MORNING).verdict == Verdict::Allow;
        let top = zones.iter().all(|of| *of == "example" || *of == "org.uk");
        if decided && servers.contains(&"x.worst-dns.example") && !top {
            prop_assert!(with.block.is_some(), "nothing opens a locked category");
        }
        if let Some(Reason::NameServer(by)) = with.block.map(|block| block.reason) {
            prop_assert!(policy.list(&by.listed).is_some(), "a list stands behind it");
        }
    }
}
