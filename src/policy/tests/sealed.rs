//! Names that must not be shown, in everything that is said of them.

use super::*;
use crate::vault::{Mask, Vault};

const CLEAR: [&str; 5] = ["worst", "vile", "203.0.113.66", "203.0.113.77", "cb00:7142"];

fn vault() -> (tempfile::TempDir, Mask) {
    let folder = tempfile::tempdir().unwrap();
    let mask = Vault::open(folder.path()).unwrap().mask().clone();
    (folder, mask)
}

fn policy(rules: &str, mask: Mask) -> Policy {
    let text = format!(
        "version = 1\n[[profile]]\nid = \"ks2\"\nsubnets = [\"10.20.2.0/24\"]\naudience = \"pupil\"\n\
         [[profile]]\nid = \"staff\"\nsubnets = [\"10.20.9.0/24\"]\naudience = \"staff\"\nmode = \"watch\"\n{rules}"
    );
    let feed = list(
        "feed",
        "illegal-child-abuse",
        &[
            "worst.test",
            "=vile.test",
            "203.0.113.66",
            "2001:db8::cb00:7142",
            "ns:dns.vile-host.test",
            "ns:203.0.113.77",
        ],
    );
    let adults = list("adults", "adult", &["worst.test", "host.test"]);
    let deep = list("feed2", "illegal-terrorism", &["deep.worst.test"]);
    let knowledge = knowledge_of(vec![vec![], vec![adults], vec![feed, deep]]);
    Policy::build(&PolicyFile::parse(&text).unwrap(), &knowledge).unwrap().with_mask(mask)
}

fn assert_masked(text: &str) {
    for clear in CLEAR {
        assert!(!text.contains(clear), "{clear} shows in: {text}");
    }
}

#[test]
fn a_listed_name_is_a_digest_and_others_are_themselves() {
    let (_folder, mask) = vault();
    let policy = policy("", mask.clone());
    let key = |name: &str| Key::parse(name).unwrap();
    let worst = mask.name(key("worst.test").as_bytes());
    assert_eq!(policy.sealed_name(&key("worst.test")), Some(worst));
    assert_eq!(policy.sealed_name(&key("www.WORST.test.")), Some(worst));
    assert_eq!(
        policy.sealed_name(&key("a.deep.worst.test")),
        Some(mask.name(key("deep.worst.test").as_bytes()))
    );
    // Listed alone, but what is below it would show it.
    assert!(policy.sealed_name(&key("www.vile.test")).is_some());
    for name in ["test", "host.test", "notworst.test", "worst.test.example"] {
        assert_eq!(policy.sealed_name(&key(name)), None, "{name}");
        assert_eq!(policy.shown(&key(name)), name);
    }
    assert!(policy.sealed_address("203.0.113.66".parse().unwrap()).is_some());
    assert!(policy.sealed_address("::ffff:203.0.113.66".parse().unwrap()).is_some());
    assert_eq!(policy.shown_address("203.0.113.67".parse().unwrap()), "203.0.113.67");
}

#[test]
fn no_words_about_a_decision_show_a_listed_name() {
    let (_folder, mask) = vault();
    let policy = policy("", mask);
    for address in ["10.20.2.5", "10.20.9.5", "192.0.2.9"] {
        let client = policy.client(address);
        for name in ["worst.test", "www.worst.test", "a.deep.worst.test", "vile.test", "www.vile.test"] {
            let question = ask(name);
            let decision = policy.decide(&question, &client, time(MORNING));
            let blocked = matches!(decision.verdict, Verdict::Block(_));
            assert_eq!(blocked, name != "www.vile.test", "{name} for {address}");
            assert_eq!(policy.is_sealed(&decision), blocked, "{name} for {address}");
            let explanation = policy.explain(&decision, &question, &client);
            let digest = policy.sealed_name(&question.key).unwrap().to_string();
            assert!(explanation.contains(&digest), "{explanation}");
            assert_masked(&explanation);
            assert_masked(&policy.structured_error(&decision, &question, &client));
            assert_masked(&policy.advice(&decision, &question, &client).join("\n"));
            assert_masked(&format!("{:?}", policy.words(&decision, client.profile)));
        }
    }
}

#[test]
fn what_is_said_of_a_listed_name_is_a_whole_sentence() {
    let (_folder, mask) = vault();
    let policy = policy("", mask.clone());
    let client = policy.client("10.20.2.5");
    let question = ask("www.worst.test");
    let decision = policy.decide(&question, &client, time(MORNING));
    let title = &policy.categories().get(policy.categories().find("illegal-child-abuse").unwrap()).title;
    assert_eq!(
        policy.explain(&decision, &question, &client),
        format!(
            "Blocked: the name that you asked about ({}) is on the list “The list feed” of the category {title}, \
             which is always blocked.",
            mask.name(b"test.worst")
        )
    );
}

#[test]
fn an_alias_or_an_address_that_is_listed_does_not_show_either() {
    use hickory_proto::rr::{
        Name, RData, Record,
        rdata::{A, AAAA, CNAME},
    };
    let (_folder, mask) = vault();
    let policy = policy("", mask);
    let question = ask("innocent.test");
    for address in ["10.20.2.5", "10.20.9.5"] {
        let client = policy.client(address);
        let decision = policy.decide(&question, &client, time(MORNING));
        assert_eq!(decision.verdict, Verdict::Allow);
        let name = Name::from_ascii("innocent.test.").unwrap();
        for data in [
            RData::CNAME(CNAME(Name::from_ascii("cdn.worst.test.").unwrap())),
            RData::A(A("203.0.113.66".parse().unwrap())),
            RData::AAAA(AAAA("2001:db8::cb00:7142".parse().unwrap())),
        ] {
            let records = [Record::from_rdata(name.clone(), 60, data)];
            let delegations = Delegations::default();
            let answer = Answer { records: &records, delegations: &delegations, own_zone: false };
            let review = policy.review(&question, &client, &decision, &answer, time(MORNING));
            let block = review.block.expect("a locked category is blocked everywhere");
            assert!(policy.is_sealed(&block));
            let explanation = policy.explain(&block, &question, &client);
            assert!(explanation.contains(" locked:"), "{explanation}");
            assert!(explanation.contains("innocent.test"), "it is on no list: {explanation}");
            assert_masked(&explanation);
            assert_masked(&policy.advice(&block, &question, &client).join("\n"));
            assert_masked(&format!("{:?}", policy.words(&block, client.profile)));
        }
    }
}

#[test]
fn a_listed_name_server_does_not_show_either() {
    let (_folder, mask) = vault();
    let policy = policy("", mask);
    let server = Key::parse("ns1.dns.vile-host.test").unwrap();
    assert!(policy.shown(&server).starts_with("locked:"));
    let question = ask("www.innocent.test");
    for (address, servers) in [
        ("10.20.2.5", &["ns1.dns.vile-host.test"][..]),
        ("10.20.9.5", &["ns1.dns.vile-host.test", "ns.plain.test"]),
        ("10.20.2.5", &["ns.plain.test", "203.0.113.77"]),
    ] {
        let client = policy.client(address);
        let decision = policy.decide(&question, &client, time(MORNING));
        let delegations = [servers::zone("innocent.test", servers)].into_iter().map(Arc::new).collect();
        let answer = Answer { records: &[], delegations: &delegations, own_zone: false };
        let block = policy.review(&question, &client, &decision, &answer, time(MORNING)).block.unwrap();
        assert!(policy.is_sealed(&block));
        let explanation = policy.explain(&block, &question, &client);
        let begins = "Blocked: www.innocent.test belongs to innocent.test, which has the name server locked:";
        assert!(explanation.starts_with(begins), "{explanation}");
        assert_masked(&explanation);
        assert_masked(&policy.advice(&block, &question, &client).join("\n"));
        assert_masked(&format!("{:?}", policy.words(&block, client.profile)));
    }
}

#[test]
fn any_text_is_masked_whatever_stands_around_a_name() {
    let (_folder, mask) = vault();
    let policy = policy("", mask.clone());
    let worst = mask.name(b"test.worst").to_string();
    for (text, masked) in [
        ("worst.test", worst.clone()),
        ("allow =worst.test: added", format!("allow ={worst}: added")),
        ("*.worst.test", format!("*{worst}")),
        ("\"WWW.Worst.Test.\" and Key(a.worst.test)", format!("\"{worst}\" and Key({worst})")),
        ("https://worst.test:8443/x?y=worst.test", format!("https://{worst}:8443/x?y={worst}")),
        ("worst.test,worst.test", format!("{worst},{worst}")),
        ("host.test, worst and worst.test.example", "host.test, worst and worst.test.example".into()),
        ("é.worst.test → 203.0.113.67", format!("{worst} → 203.0.113.67")),
        (
            "at 203.0.113.66:53, [2001:db8::cb00:7142] and ::ffff:203.0.113.66",
            format!(
                "at {0}:53, [{1}] and {0}",
                mask.address("203.0.113.66".parse().unwrap()),
                mask.address("2001:db8::cb00:7142".parse().unwrap())
            ),
        ),
        ("", String::new()),
    ] {
        assert_eq!(policy.masked(text), masked, "{text}");
    }
}

#[test]
fn a_rule_about_a_listed_name_is_told_without_it() {
    let (_folder, mask) = vault();
    let rules = "[[rule]]\naction = \"allow\"\nname = \"www.worst.test\"\n[[rule]]\naction = \"block\"\nname = \"=vile.test\"\n";
    let policy = policy(rules, mask);
    let problems: Vec<String> = policy.conflicts().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("rule[0] (locked:") && problems[0].contains("take the rule out"));
    assert!(problems[1].starts_with("warning: rule[1] (locked:"), "{}", problems[1]);
    assert_masked(&problems.join("\n"));
}

#[test]
fn without_a_key_nothing_shows_either() {
    let policy = policy("", Mask::without_key());
    let client = policy.client("10.20.2.5");
    let question = ask("worst.test");
    let decision = policy.decide(&question, &client, time(MORNING));
    let explanation = policy.explain(&decision, &question, &client);
    assert!(explanation.contains("locked:no-key"), "{explanation}");
    assert_masked(&explanation);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_listed_name_shows_in_no_text(
            before in "[ -~é“]{0,20}",
            label in "([a-z0-9][a-z0-9-]{0,8}\\.){0,3}",
            after in "( |,|;|\"|\\)|/)[ -~é“]{0,20}",
        ) {
            let policy = policy("", Mask::without_key());
            // Something in front makes it a name of another kind only when it goes on without a break.
            let text = format!("{before} {label}worst.test{after}");
            let masked = policy.masked(&text).into_owned();
            prop_assert!(!masked.contains("worst.test"), "{} became {}", text, masked);
        }
    }
}

#[test]
fn a_name_below_one_that_must_not_be_shown_is_never_called_new() {
    let (_folder, mask) = vault();
    let policy = policy("[profile.categories]\nnewly-seen = \"block\"\n", mask);
    let began = Day::of(time("2026-01-05T09:00:00Z"));
    let client = policy.client("10.20.9.5");
    for (name, new) in [("www.vile.test", false), ("www.fine.test", true)] {
        let question = Question { first_asked: FirstAsked::Never { began }, ..ask(name) };
        let decision = policy.decide(&question, &client, time(MORNING));
        let reason = decision.would_block.as_deref().unwrap_or(&decision.reason);
        assert_eq!(matches!(reason, Reason::NewlySeen { .. }), new, "{name}");
        assert_masked(&policy.explain(&decision, &question, &client));
    }
}
