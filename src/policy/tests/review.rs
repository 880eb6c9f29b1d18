//! What answers may not bring in.

use std::net::IpAddr;

use hickory_proto::rr::{
    Name, RData, Record,
    rdata::{
        A, AAAA, CNAME, HTTPS, NULL,
        svcb::{EchConfigList, IpHint, SVCB, SvcParamKey, SvcParamValue},
    },
};

use super::*;
use crate::ede::EdeCode;

const KS2: &str = "10.20.2.5";
const STAFF: &str = "10.20.9.5";
const TRIAL: &str = "10.20.3.5";

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(Name::from_ascii(format!("{owner}.")).unwrap(), 60, data)
}

fn alias(owner: &str, target: &str) -> Record {
    record(owner, RData::CNAME(CNAME(Name::from_ascii(format!("{target}.")).unwrap())))
}

fn address(owner: &str, text: &str) -> Record {
    record(
        owner,
        match text.parse().unwrap() {
            IpAddr::V4(a) => RData::A(A(a)),
            IpAddr::V6(a) => RData::AAAA(AAAA(a)),
        },
    )
}

fn https(owner: &str, target: &str, params: Vec<(SvcParamKey, SvcParamValue)>) -> Record {
    record(owner, RData::HTTPS(HTTPS(SVCB::new(1, Name::from_ascii(target).unwrap(), params))))
}

fn review(policy: &Policy, name: &str, client: &str, answers: &[Record]) -> Review {
    let client = policy.client(client);
    let decision = policy.decide(&ask(name), &client, time(MORNING));
    policy.review(&ask(name), &client, &decision, &answer(answers, false), time(MORNING))
}

fn answer(records: &[Record], own_zone: bool) -> Answer<'_> {
    Answer { records, delegations: &Delegations::NONE, own_zone }
}

/// Why an answer is blocked, if it is.
fn why(policy: &Policy, name: &str, client: &str, answers: &[Record]) -> Option<Reason> {
    review(policy, name, client, answers).block.map(|decision| decision.reason)
}

fn because(reason: Option<Reason>) -> Reason {
    match reason {
        Some(Reason::Alias { because, .. }) => *because,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_alias_of_a_blocked_name_is_blocked_wherever_it_stands() {
    let policy = school();
    let answers = [
        alias("shop.innocent.example", "cdn.other.example"),
        alias("cdn.other.example", "x.bets.example"),
        address("x.bets.example", "192.0.2.1"),
    ];
    let review = review(&policy, "shop.innocent.example", KS2, &answers);
    let decision = review.block.unwrap();
    assert_eq!(decision.verdict, Verdict::Block(BlockResponse::BlockPage));
    assert_eq!(policy.ede(&decision), Some(EdeCode::Filtered));
    let Reason::Alias { target, because } = decision.reason else { panic!() };
    assert_eq!(target.to_string(), "x.bets.example");
    assert!(matches!(*because, Reason::Category(_)));
    assert!(policy.categories().ids(decision.categories).contains(&"gambling"));
}

#[test]
fn an_answer_without_anything_wrong_passes() {
    let policy = school();
    let answers = [alias("www.good.example", "good.example"), address("good.example", "192.0.2.1")];
    assert_eq!(review(&policy, "www.good.example", KS2, &answers), Review::default());
}

#[test]
fn a_dname_and_a_service_target_are_aliases_too() {
    let policy = school();
    // bets.example itself is open by the exception, what is below it is not.
    let rdata = NULL::with(b"\x03www\x04bets\x07example\0".to_vec());
    let dname = record("good.example", RData::Unknown { code: RecordType::DNAME, rdata });
    assert!(matches!(because(why(&policy, "x.good.example", KS2, &[dname])), Reason::Category(_)));
    let service = https("good.example", "x.bets.example.", Vec::new());
    assert!(matches!(because(why(&policy, "good.example", KS2, &[service])), Reason::Category(_)));
    let own = https("good.example", ".", Vec::new());
    assert_eq!(why(&policy, "good.example", KS2, &[own]), None);
}

#[test]
fn a_damaged_dname_is_no_alias() {
    let policy = school();
    for bytes in [&b""[..], b"\x3fbets", b"\xc0\x0c", b"\x04bets"] {
        let rdata = if bytes.is_empty() { NULL::new() } else { NULL::with(bytes.to_vec()) };
        let dname = record("good.example", RData::Unknown { code: RecordType::DNAME, rdata });
        assert_eq!(why(&policy, "x.good.example", KS2, &[dname]), None, "{bytes:?}");
    }
}

#[test]
fn what_the_school_allowed_is_not_blocked_by_its_alias_unless_that_is_locked_or_blocked_by_a_rule() {
    let policy = school();
    let name = "puzzles.games.example";
    let to = |target: &str| vec![alias(name, target)];
    assert_eq!(why(&policy, name, KS2, &to("x.bets.example")), None);
    assert!(matches!(because(why(&policy, name, KS2, &to("x.adult.example"))), Reason::Locked(_)));
    assert_eq!(because(why(&policy, name, KS2, &to("noisy.example"))), Reason::BlockRule(RuleRef(2)));
    // Essential names likewise.
    assert_eq!(why(&policy, "help.example", KS2, &[alias("help.example", "x.bets.example")]), None);
    let locked = why(&policy, "help.example", KS2, &[alias("help.example", "adult.example")]);
    assert!(matches!(because(locked), Reason::Locked(_)));
}

#[test]
fn an_alias_target_that_the_school_allowed_or_that_is_essential_is_open() {
    let policy = school();
    assert_eq!(why(&policy, "good.example", KS2, &[alias("good.example", "puzzles.games.example")]), None);
    assert_eq!(why(&policy, "good.example", KS2, &[alias("good.example", "www.help.example")]), None);
    let closed = why(&policy, "good.example", KS2, &[alias("good.example", "www.games.example")]);
    assert!(matches!(because(closed), Reason::Schedule(_)));
}

#[test]
fn only_the_name_asked_must_be_approved_not_where_it_leads() {
    let policy = school();
    let answers = [alias("one.example", "cdn.unheard.example"), address("cdn.unheard.example", "192.0.2.1")];
    assert_eq!(why(&policy, "one.example", "10.20.1.5", &answers), None);
}

#[test]
fn a_listed_address_blocks_and_a_hint_counts_like_one() {
    let policy = school();
    let found = why(&policy, "good.example", KS2, &[address("good.example", "198.51.100.7")]);
    let Some(Reason::Address { address: at, listed }) = found else { panic!("{found:?}") };
    assert_eq!(at, "198.51.100.7".parse::<IpAddr>().unwrap());
    assert_eq!(policy.list(&listed).unwrap().id, "bets");
    let hint = SvcParamValue::Ipv4Hint(IpHint(vec![A::new(198, 51, 100, 7)]));
    let answers = [https("good.example", ".", vec![(SvcParamKey::Ipv4Hint, hint)])];
    assert!(matches!(why(&policy, "good.example", KS2, &answers), Some(Reason::Address { .. })));
    let mapped = [address("good.example", "::ffff:198.51.100.7")];
    assert!(matches!(why(&policy, "good.example", KS2, &mapped), Some(Reason::Address { .. })));
    // What someone chose outweighs it, but not a locked one.
    assert_eq!(why(&policy, "help.example", KS2, &[address("help.example", "198.51.100.7")]), None);
    let worst =
        review(&policy, "help.example", STAFF, &[address("help.example", "203.0.113.9")]).block.unwrap();
    assert!(matches!(worst.reason, Reason::LockedAddress { .. }));
    assert_eq!(policy.ede(&worst), Some(EdeCode::Censored));
}

#[test]
fn a_public_name_with_a_private_address_is_blocked() {
    let policy = school();
    for text in ["10.0.0.1", "127.0.0.1", "0.0.0.0", "::1", "fd00::1", "::ffff:192.168.0.1", "64:ff9b::a00:1"]
    {
        let found = why(&policy, "good.example", STAFF, &[address("good.example", text)]);
        assert_eq!(found, Some(Reason::Rebinding(text.parse().unwrap())), "{text}");
    }
    // One of several is enough, a hint too, and a rule is no way round.
    let several = [address("good.example", "192.0.2.1"), address("good.example", "192.168.1.1")];
    assert!(why(&policy, "good.example", KS2, &several).is_some());
    let hint = SvcParamValue::Ipv6Hint(IpHint(vec![AAAA("fe80::1".parse().unwrap())]));
    let answers = [https("good.example", ".", vec![(SvcParamKey::Ipv6Hint, hint)])];
    assert!(why(&policy, "good.example", KS2, &answers).is_some());
    assert!(
        why(&policy, "puzzles.games.example", KS2, &[address("puzzles.games.example", "10.0.0.1")]).is_some()
    );
}

#[test]
fn private_addresses_are_right_in_the_schools_own_zones_and_for_its_own_names() {
    let policy = school();
    let client = policy.client(KS2);
    let inside = [address("printer.school.example", "10.0.0.9")];
    let question = ask("printer.school.example");
    let decision = policy.decide(&question, &client, time(MORNING));
    let seen = answer(&inside, true);
    assert!(policy.review(&question, &client, &decision, &seen, time(MORNING)).block.is_none());
    let seen = answer(&inside, false);
    assert!(policy.review(&question, &client, &decision, &seen, time(MORNING)).block.is_some());
    assert_eq!(why(&policy, "www.elmlane.example", KS2, &[address("www.elmlane.example", "10.0.0.9")]), None);
    // Windows asks for an essential name whose address is private on purpose.
    assert_eq!(why(&policy, "time.example", KS2, &[address("time.example", "fd3e::1")]), None);
}

#[test]
fn ech_goes_only_where_the_profile_says_and_only_where_it_is() {
    let policy = school();
    let ech = (SvcParamKey::EchConfigList, SvcParamValue::EchConfigList(EchConfigList(vec![1, 2, 3])));
    let with = [https("good.example", ".", vec![ech])];
    let without = [https("good.example", ".", Vec::new())];
    assert!(review(&policy, "good.example", KS2, &with).strip_ech);
    assert!(!review(&policy, "good.example", KS2, &without).strip_ech);
    assert!(!review(&policy, "good.example", STAFF, &with).strip_ech);
}

#[test]
fn a_watching_profile_notes_what_answers_bring_unless_it_is_locked_or_unsafe() {
    let policy = school();
    let noted = review(&policy, "good.example", TRIAL, &[alias("good.example", "x.bets.example")]);
    assert_eq!(noted.block, None);
    assert!(matches!(noted.would_block, Some(Reason::Alias { .. })));
    let noted = review(&policy, "good.example", TRIAL, &[address("good.example", "10.0.0.1")]);
    assert!(matches!((noted.block, noted.would_block), (None, Some(Reason::Rebinding(_)))));
    for target in ["bad.example", "adult.example"] {
        let answers = [alias("good.example", "x.bets.example"), alias("good.example", target)];
        let found = review(&policy, "good.example", TRIAL, &answers);
        assert!(found.block.is_some() && found.would_block.is_none(), "{target}");
    }
    let unsafe_ = review(&policy, "good.example", TRIAL, &[address("good.example", "192.0.2.66")]);
    assert!(matches!(unsafe_.block.unwrap().reason, Reason::Address { .. }));
}

#[test]
fn the_answer_to_a_rewrite_is_not_blocked_by_a_category_of_the_engine() {
    let policy =
        school_with(&SCHOOL.replace("ads-trackers = \"allow\"\nown", "ads-trackers = \"block\"\nown"));
    let answers = [alias("seek.example", "safe.seek.example"), address("safe.seek.example", "198.51.100.7")];
    assert_eq!(why(&policy, "seek.example", KS2, &answers), None);
}
