//! What each step does, in a school with everything in it.

use super::*;
use crate::category::Audience;

const KS1: &str = "10.20.1.5";
const KS2: &str = "10.20.2.5";
const STAFF: &str = "10.20.9.5";
const TRIAL: &str = "10.20.3.5";

fn category(policy: &Policy, decision: &Decision) -> String {
    let place = policy.deciding_category(decision).expect("a category decided");
    policy.categories().get(place).id.clone()
}

#[test]
fn clients_are_known_by_device_subnet_and_fallback() {
    let policy = school();
    let profile = |address: &str| policy.profile(policy.client(address).profile).0.to_owned();
    assert_eq!(profile(KS2), "ks2");
    assert_eq!(profile("2001:db8:2::77"), "ks2");
    assert_eq!(profile("::ffff:10.20.9.5"), "staff");
    let stranger = policy.client("192.0.2.1");
    assert!(stranger.unknown);
    assert_eq!(policy.profile(stranger.profile).0, "ks1");
    let laptop = policy.identify(KS2.parse().unwrap(), Some("02:00:00:00:00:01".parse().unwrap()));
    assert_eq!(policy.profile(laptop.profile).0, "staff");
    assert_eq!(policy.device(laptop.device.unwrap()), Some("Head's laptop"));
    let tablet = policy.client("10.20.2.77");
    assert_eq!(
        (policy.profile(tablet.profile).0, policy.device(tablet.device.unwrap())),
        ("ks2", Some("Tablet 7"))
    );
}

#[test]
fn strangers_get_the_strictest_pupil_profile_unless_one_is_named() {
    let policy = school_with(&SCHOOL.replace("fallback_profile = \"ks1\"\n", ""));
    assert_eq!(policy.profile(policy.client("192.0.2.1").profile).0, "ks1");
    let policy = school_with(&SCHOOL.replace("fallback_profile = \"ks1\"", "fallback_profile = \"ks2\""));
    assert_eq!(policy.profile(policy.client("192.0.2.1").profile).0, "ks2");
}

#[test]
fn a_locked_category_blocks_the_name_and_all_below_for_its_audience() {
    let policy = school();
    for address in [KS1, KS2, TRIAL] {
        for name in ["adult.example", "a.b.adult.example"] {
            let decision = policy.ask(name, address, MORNING);
            assert!(matches!(decision.reason, Reason::Locked(_)), "{address} {name}");
            assert!(matches!(decision.verdict, Verdict::Block(_)));
        }
    }
    // For staff it is a category like others: blocked, but not locked.
    assert!(matches!(policy.ask("adult.example", STAFF, MORNING).reason, Reason::Category(_)));
    assert!(matches!(policy.ask("worst.example", STAFF, MORNING).reason, Reason::Locked(_)));
}

#[test]
fn a_suspended_device_reaches_essential_names_only() {
    let policy = school();
    assert_eq!(policy.ask("other.example", "10.20.2.77", MORNING).reason, Reason::Suspended);
    assert_eq!(policy.ask("puzzles.games.example", "10.20.2.77", MORNING).reason, Reason::Suspended);
    assert_eq!(policy.ask("www.help.example", "10.20.2.77", MORNING).reason, Reason::Essential);
    assert_eq!(policy.ask("www.elmlane.example", "10.20.2.77", MORNING).reason, Reason::Essential);
}

#[test]
fn a_lesson_leaves_its_room_its_names_until_it_ends() {
    let policy = school();
    let room = "10.20.2.40";
    assert_eq!(policy.ask("other.example", room, MORNING).reason, Reason::Lesson(LessonRef(0)));
    assert_eq!(policy.ask("www.museum.example", room, MORNING).verdict, Verdict::Allow);
    assert_eq!(policy.ask("maps.example", room, MORNING).verdict, Verdict::Allow);
    assert_eq!(policy.ask("www.maps.example", room, MORNING).reason, Reason::Lesson(LessonRef(0)));
    assert_eq!(policy.ask("help.example", room, MORNING).reason, Reason::Essential);
    assert_eq!(policy.ask("other.example", KS2, MORNING).verdict, Verdict::Allow, "another room");
    // It ends at 11:00 on the wall.
    assert_eq!(policy.ask("other.example", room, "2026-11-23T11:00:00Z").verdict, Verdict::Allow);
}

#[test]
fn a_lessons_list_opens_nothing_that_is_blocked() {
    let policy = school_with(
        &SCHOOL.replace("\"museum.example\"", "\"museum.example\", \"bets.example\", \"adult.example\""),
    );
    assert!(matches!(policy.ask("x.bets.example", "10.20.2.40", MORNING).reason, Reason::Category(_)));
    assert!(matches!(policy.ask("adult.example", "10.20.2.40", MORNING).reason, Reason::Locked(_)));
}

#[test]
fn canaries_say_no_where_they_are_on_and_discovery_always() {
    let policy = school();
    let no = |response| Verdict::Block(response);
    assert_eq!(policy.ask("canary.example", KS2, MORNING).verdict, no(BlockResponse::NxDomain));
    assert_eq!(policy.ask("www.canary.example", KS2, MORNING).verdict, Verdict::Allow, "the name alone");
    assert_eq!(policy.ask("canary.example", STAFF, MORNING).verdict, Verdict::Allow, "off for staff");
    for address in [KS1, KS2, STAFF, TRIAL] {
        let decision = policy.ask("_dns.resolver.arpa", address, MORNING);
        assert_eq!(decision.verdict, no(BlockResponse::NoData), "{address}");
        assert_eq!(decision.reason, Reason::Canary);
    }
    // A suspended tablet must not take the block page for a yes.
    assert_eq!(policy.ask("canary.example", "10.20.2.77", MORNING).verdict, no(BlockResponse::NxDomain));
}

#[test]
fn the_most_specific_rule_wins_then_exception_block_allow() {
    let rules = |rules: &[(&str, &str, &str)]| {
        let mut text = SCHOOL.replace("noisy.example", "unused.example");
        for (action, name, more) in rules {
            text += &format!("\n[[rule]]\naction = \"{action}\"\nname = \"{name}\"\n{more}\n");
        }
        let decision = school_with(&text).ask("www.shop.example", KS2, MORNING);
        match decision.reason {
            // The fixture has three rules of its own.
            Reason::BlockRule(RuleRef(n)) | Reason::AllowRule(RuleRef(n)) | Reason::Exception(RuleRef(n)) => {
                n as usize - 3
            }
            other => panic!("{other:?}"),
        }
    };
    let later = "until = 2030-01-01T00:00:00Z";
    // Deeper before shallower, whatever they do.
    assert_eq!(rules(&[("block", "shop.example", ""), ("allow", "www.shop.example", "")]), 1);
    assert_eq!(rules(&[("allow", "example", later), ("block", "shop.example", "")]), 1);
    // The name alone before what is below it.
    assert_eq!(rules(&[("block", "www.shop.example", ""), ("allow", "=www.shop.example", "")]), 1);
    assert_eq!(rules(&[("allow", "=shop.example", ""), ("block", "shop.example", "")]), 1, "not about www");
    // At the same name: exception, block, allow.
    assert_eq!(rules(&[("allow", "shop.example", ""), ("block", "shop.example", "")]), 1);
    assert_eq!(rules(&[("block", "shop.example", ""), ("allow", "shop.example", later)]), 1);
    // Rules of other profiles and ended ones don't count.
    assert_eq!(
        rules(&[("allow", "www.shop.example", "profiles = ['ks1']"), ("block", "shop.example", "")]),
        1
    );
    let ended = "until = 2026-11-23T10:00:00Z";
    assert_eq!(
        rules(&[("allow", "www.shop.example", ended), ("block", "shop.example", "")]),
        1,
        "it ends that second"
    );
    assert_eq!(rules(&[("block", "www.shop.example", ended), ("allow", "shop.example", "")]), 1);
}

#[test]
fn an_exception_opens_until_its_end() {
    let policy = school();
    assert_eq!(policy.ask("bets.example", KS2, MORNING).reason, Reason::Exception(RuleRef(1)));
    assert!(
        matches!(policy.ask("www.bets.example", KS2, MORNING).reason, Reason::Category(_)),
        "the name alone"
    );
    assert!(matches!(policy.ask("bets.example", KS2, "2026-12-18T16:00:00Z").reason, Reason::Category(_)));
}

#[test]
fn essential_names_are_open_in_spite_of_lists_but_not_of_the_school() {
    let policy = school();
    for address in [KS1, KS2, STAFF] {
        assert_eq!(policy.ask("www.help.example", address, MORNING).reason, Reason::Essential);
    }
    assert_eq!(policy.ask("time.example", KS1, MORNING).reason, Reason::Essential);
    assert_eq!(policy.ask("www.time.example", KS1, MORNING).reason, Reason::AllowOnly, "the name alone");
    assert_eq!(policy.ask("portal.trust.example", KS1, MORNING).reason, Reason::Essential);
    assert_eq!(policy.essential(&Key::parse("x.help.example").unwrap()), Some(Essential::Help));
    let text = SCHOOL.replace("noisy.example", "help.example");
    let policy = school_with(&text);
    assert_eq!(policy.ask("www.help.example", KS2, MORNING).reason, Reason::BlockRule(RuleRef(2)));
    assert_eq!(policy.conflicts().len(), 1, "and the school is told");
    // Locked comes before essential.
    let policy = school_with(&SCHOOL.replace("elmlane.example", "adult.example"));
    assert!(matches!(policy.ask("adult.example", KS2, MORNING).reason, Reason::Locked(_)));
}

#[test]
fn an_allow_only_profile_reaches_what_was_approved() {
    let policy = school();
    assert_eq!(policy.ask("other.example", KS1, MORNING).reason, Reason::AllowOnly);
    assert_eq!(policy.ask("one.example", KS1, MORNING).reason, Reason::Approved);
    assert_eq!(policy.ask("www.one.example", KS1, MORNING).reason, Reason::AllowOnly, "the name alone");
    // A list that the school keeps to approve names.
    assert_eq!(policy.ask("www.jokes.example", KS1, MORNING).reason, Reason::Approved);
    // An opening entry in a list that blocks approves nothing.
    assert_eq!(policy.ask("bets.example", KS1, "2027-01-01T00:00:00Z").reason, Reason::AllowOnly);
    // What was approved can still be blocked by a category.
    assert!(matches!(policy.ask("abc.example", KS1, MORNING).reason, Reason::Category(_)));
    assert!(matches!(policy.ask("bad.example", KS1, MORNING).reason, Reason::Category(_)));
    // A rule opens it.
    let text = SCHOOL.to_owned() + "\n[[rule]]\naction = \"allow\"\nname = \"abc.example\"\n";
    assert_eq!(school_with(&text).ask("abc.example", KS1, MORNING).reason, Reason::AllowRule(RuleRef(3)));
}

#[test]
fn the_deepest_category_is_named_and_all_are_told() {
    let lists = vec![
        list("a", "games", &["example"]),
        list("b", "gambling", &["pay.example"]),
        list("c", "shopping", &["secure.cdn.pay.example"]),
    ];
    let text = "version = 1\n[[profile]]\nid = 'p'\naudience = 'pupil'\ncategories = { games = 'block', gambling = 'block', shopping = 'allow' }\n[[profile]]\nid = 's'\naudience = 'staff'\n";
    let policy = Policy::build_with(&PolicyFile::parse(text).unwrap(), &knowledge(lists), &tables()).unwrap();
    // Between a listed parent and a listed child.
    let decision = policy.ask("cdn.pay.example", KS2, MORNING);
    assert_eq!(category(&policy, &decision), "gambling");
    assert_eq!(policy.categories().ids(decision.categories), ["gambling", "games"]);
    // The deepest is open, the next one not.
    let decision = policy.ask("x.secure.cdn.pay.example", KS2, MORNING);
    assert_eq!(category(&policy, &decision), "gambling");
    assert_eq!(policy.categories().ids(decision.categories), ["gambling", "games", "shopping"]);
    let decision = policy.ask("other.example", KS2, MORNING);
    assert_eq!(category(&policy, &decision), "games");
}

#[test]
fn a_category_opens_at_its_times_and_for_its_group() {
    let policy = school();
    assert!(matches!(policy.ask("games.example", KS2, MORNING).reason, Reason::Schedule(_)));
    assert_eq!(policy.ask("games.example", KS2, LUNCH).verdict, Verdict::Allow);
    assert!(
        matches!(policy.ask("games.example", KS2, "2026-10-27T12:30:00Z").verdict, Verdict::Block(_)),
        "half-term"
    );
    assert!(
        matches!(policy.ask("games.example", KS2, "2026-11-27T12:30:00Z").verdict, Verdict::Block(_)),
        "an INSET day"
    );
    assert!(matches!(policy.ask("shop.example", KS2, MORNING).reason, Reason::Category(_)));
    for member in ["10.20.2.14", "10.20.2.130"] {
        assert_eq!(policy.ask("shop.example", member, MORNING).verdict, Verdict::Allow, "{member}");
    }
    let by_mac = policy.identify(KS2.parse().unwrap(), Some("AA:BB:CC:DD:EE:FF".parse().unwrap()));
    assert_eq!(policy.decide(&ask("shop.example"), &by_mac, time(MORNING)).verdict, Verdict::Allow);
}

#[test]
fn an_allow_entry_opens_its_own_category_at_its_depth_and_above() {
    let decide = |lists: Vec<(ListMeta, Vec<Rule>)>, name: &str| {
        let text = "version = 1\n[[profile]]\nid = 'p'\naudience = 'pupil'\ncategories = { games = 'block', gambling = 'block' }\n[[profile]]\nid = 's'\naudience = 'staff'\n";
        let policy =
            Policy::build_with(&PolicyFile::parse(text).unwrap(), &knowledge(lists), &tables()).unwrap();
        policy.ask(name, KS2, MORNING).verdict
    };
    let blocked = Verdict::Block(BlockResponse::BlockPage);
    let games = |rules: &[&str]| vec![list("g", "games", rules)];
    assert_eq!(decide(games(&["a.example", "@@b.a.example"]), "b.a.example"), Verdict::Allow);
    assert_eq!(decide(games(&["a.example", "@@b.a.example"]), "x.b.a.example"), Verdict::Allow);
    assert_eq!(decide(games(&["a.example", "@@=b.a.example"]), "x.b.a.example"), blocked);
    assert_eq!(decide(games(&["a.example", "@@a.example"]), "a.example"), Verdict::Allow);
    assert_eq!(
        decide(games(&["b.a.example", "@@a.example"]), "b.a.example"),
        blocked,
        "deeper than what opens"
    );
    // Another list of the same category is opened, another category is not.
    let mut both = games(&["a.example"]);
    both.push(list("h", "games", &["@@a.example"]));
    assert_eq!(decide(both.clone(), "a.example"), Verdict::Allow);
    both.push(list("b", "gambling", &["a.example"]));
    assert_eq!(decide(both, "a.example"), blocked);
    // A locked category is opened by none.
    assert_eq!(decide(vec![list("x", "adult", &["a.example", "@@a.example"])], "a.example"), blocked);
}

#[test]
fn starter_lists_and_subscribed_lists_are_one() {
    let text = "version = 1\n[[profile]]\nid = 'p'\naudience = 'pupil'\ncategories = { games = 'block' }\n[[profile]]\nid = 's'\naudience = 'staff'\n";
    let starter = vec![list("starter", "games", &["a.example"])];
    let subscribed = vec![list("mine", "games", &["@@b.a.example", "c.example"])];
    let policy = Policy::build_with(
        &PolicyFile::parse(text).unwrap(),
        &knowledge_of(vec![starter, subscribed]),
        &tables(),
    )
    .unwrap();
    assert_eq!(policy.ask("b.a.example", KS2, MORNING).verdict, Verdict::Allow);
    let listed = |name: &str| match policy.ask(name, KS2, MORNING).reason {
        Reason::Category(listed) => policy.list(&listed).unwrap().id.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(listed("a.example"), "starter");
    assert_eq!(listed("c.example"), "mine");
}

#[test]
fn names_on_no_list_are_the_profiles_setting() {
    let policy = school_with(&SCHOOL.replace("uncategorised = \"allow\"", "uncategorised = \"block\""));
    assert_eq!(policy.ask("unheard.example", KS2, MORNING).reason, Reason::Uncategorised);
    // It is on a list, if only one that is open.
    assert_eq!(policy.ask("ads.example", KS2, MORNING).verdict, Verdict::Allow);
    assert_eq!(policy.ask("unheard.example", STAFF, MORNING).verdict, Verdict::Allow);
}

#[test]
fn an_approved_name_is_known_where_unknown_ones_are_blocked() {
    let text =
        SCHOOL.replace("uncategorised = \"allow\"", "uncategorised = \"block\"\nbundles = [\"first-sites\"]");
    let policy = school_with(&text);
    assert_eq!(policy.ask("one.example", KS2, MORNING).reason, Reason::Approved);
    assert_eq!(policy.ask("jokes.example", KS2, MORNING).reason, Reason::Approved, "on a list that approves");
    assert!(
        matches!(policy.ask("abc.example", KS2, MORNING).reason, Reason::Schedule(_)),
        "a category still blocks"
    );
}

#[test]
fn safesearch_applies_whatever_allowed_the_name() {
    let text = SCHOOL.to_owned() + "\n[[rule]]\naction = \"allow\"\nname = \"seek.example\"\n";
    let policy = school_with(&text);
    for name in ["seek.example", "www.seek.example"] {
        let decision = policy.ask(name, KS2, MORNING);
        assert_eq!(decision.reason, Reason::SafeSearch("seek".into()));
        let Verdict::Rewrite(target) = decision.verdict else { panic!("{name}") };
        assert_eq!(target.name.to_string(), "safe.seek.example.");
        assert_eq!(target.last_good.len(), 2);
    }
    assert_eq!(policy.ask("images.seek.example", KS2, MORNING).verdict, Verdict::Allow, "hosts alone");
    assert_eq!(policy.ask("safe.seek.example", KS2, MORNING).verdict, Verdict::Allow, "the target is itself");
    assert_eq!(policy.ask("seek.example", STAFF, MORNING).reason, Reason::AllowRule(RuleRef(3)));
}

#[test]
fn youtube_has_its_own_levels() {
    let verdict = |level: &str, name: &str| {
        let policy = school_with(&SCHOOL.replace("youtube = \"strict\"", &format!("youtube = \"{level}\"")));
        match policy.ask(name, KS2, MORNING).verdict {
            Verdict::Allow => String::from("allow"),
            Verdict::Block(_) => String::from("block"),
            Verdict::Rewrite(target) => target.name.to_string(),
        }
    };
    assert_eq!(verdict("off", "www.tube.example"), "allow");
    assert_eq!(verdict("moderate", "www.tube.example"), "moderate.tube.example.");
    assert_eq!(verdict("strict", "www.tube.example"), "strict.tube.example.");
    assert_eq!(verdict("strict", "tube.example"), "allow", "hosts alone");
    // Blocked, the site goes whole, but not a domain that others share.
    assert_eq!(verdict("block", "www.tube.example"), "block");
    assert_eq!(verdict("block", "tube.example"), "block");
    assert_eq!(verdict("block", "music.tube.example"), "block");
    assert_eq!(verdict("block", "api.shared.example"), "block");
    assert_eq!(verdict("block", "shared.example"), "allow");
}

#[test]
fn a_watching_profile_blocks_what_is_locked_or_unsafe_and_notes_the_rest() {
    let policy = school();
    let watched = |name: &str| policy.ask(name, TRIAL, MORNING);
    assert!(matches!(watched("adult.example").reason, Reason::Locked(_)));
    let unsafe_ = watched("bad.example");
    assert!(matches!(unsafe_.reason, Reason::Category(_)));
    assert_eq!(unsafe_.verdict, Verdict::Block(BlockResponse::NullAddress));
    let noted = watched("www.bets.example");
    assert_eq!(noted.verdict, Verdict::Allow);
    assert!(matches!(noted.would_block.as_deref(), Some(Reason::Category(_))));
    assert_eq!(*watched("noisy.example").would_block.unwrap(), Reason::BlockRule(RuleRef(2)));
    assert_eq!(*watched("canary.example").would_block.unwrap(), Reason::Canary);
    assert_eq!(*watched("unheard.example").would_block.unwrap(), Reason::Uncategorised);
    assert_eq!(watched("help.example").would_block, None);
    // SafeSearch is a setting of its own.
    let searched = watched("seek.example");
    assert!(matches!(searched.verdict, Verdict::Rewrite(_)));
}

#[test]
fn a_watching_profile_blocks_the_unsafe_even_where_another_reason_came_first() {
    let policy = school_with(&SCHOOL.replace("noisy.example", "bad.example"));
    let decision = policy.ask("bad.example", TRIAL, MORNING);
    assert!(matches!(decision.reason, Reason::Category(_)), "{:?}", decision.reason);
}

#[test]
fn a_client_of_another_policy_is_decided_as_one_of_the_fallback() {
    let policy = school();
    let mut client = policy.client(STAFF);
    client.profile = ProfileId(999);
    client.device = Some(999);
    assert_eq!(policy.decide(&ask("other.example"), &client, time(MORNING)).reason, Reason::AllowOnly);
}

#[test]
fn a_rule_for_some_clients_holds_for_nobody_else() {
    let rule = "[[rule]]\naction = 'allow'\nname = 'timed.example'\nclients = ['10.20.2.0/28', 'Tablet 9']\n\
                until = 2030-01-01T00:00:00Z\n[[rule]]\naction = 'block'\nname = 'timed.example'\n\
                [[device]]\nname = 'Tablet 9'\naddress = '10.20.2.79'\n";
    let policy = school_with(&format!("{SCHOOL}\n{rule}"));
    let reason = |address: &str| policy.ask("a.timed.example", address, MORNING).reason;
    assert!(matches!(reason(KS2), Reason::Exception(_)));
    assert!(matches!(reason("10.20.2.79"), Reason::Exception(_)), "the device");
    assert!(matches!(reason("10.20.2.78"), Reason::BlockRule(_)));
    assert!(matches!(reason(KS1), Reason::BlockRule(_)));
}

#[test]
fn a_rule_for_some_clients_names_them_rightly() {
    for (clients, problem) in [("[]", "it names no client"), ("['Nobody at all']", "is no address, subnet")] {
        let text = format!("{SCHOOL}\n[[rule]]\naction = 'allow'\nname = 'x.example'\nclients = {clients}\n");
        let problems = PolicyFile::parse(&text).unwrap().validate(&Categories::shipped(), time(MORNING));
        let found = problems.iter().find(|found| found.what.contains(problem)).expect("a problem");
        assert_eq!(found.severity, Severity::Error);
    }
}

#[test]
fn a_setting_says_why_in_one_line_and_keeps_it() {
    let mut file = PolicyFile::shipped();
    let profile = file.profiles.iter_mut().find(|profile| profile.audience == Audience::Pupil).unwrap();
    profile.why.insert("games".into(), "a club after school".into());
    profile.why.insert("tiktok".into(), "é".repeat(500));
    profile.why.insert("safe_search".into(), "always".into());
    assert_eq!(PolicyFile::parse(&file.to_toml()).unwrap(), file);
    let problems = |file: &PolicyFile| -> Vec<(Severity, String)> {
        let all = file.validate(&Categories::shipped(), time(MORNING));
        all.into_iter().filter(|p| p.place.contains("why.")).map(|p| (p.severity, p.what)).collect()
    };
    assert_eq!(problems(&file), []);
    let id = file.profiles.iter().position(|profile| !profile.why.is_empty()).unwrap();
    for (key, why, severity) in [
        ("gamse", String::from("x"), Severity::Warning),
        ("games", "é".repeat(501), Severity::Error),
        ("games", String::from("two\nlines"), Severity::Error),
    ] {
        let mut wrong = file.clone();
        wrong.profiles[id].why.insert(key.into(), why);
        assert_eq!(problems(&wrong).iter().map(|p| p.0).collect::<Vec<_>>(), [severity], "{key}");
    }
}

#[test]
fn what_loosens_is_said_in_sentences() {
    let old = PolicyFile::parse(SCHOOL).unwrap();
    let said = |change: &dyn Fn(&mut PolicyFile)| -> Vec<String> {
        let mut new = old.clone();
        change(&mut new);
        old.loosens(&new, &Categories::shipped(), time(MORNING))
    };
    let ks2 = old.profiles.iter().position(|profile| profile.id == "ks2").unwrap();
    let title = old.profiles[ks2].title();
    assert_eq!(
        said(&|file| file.profiles[ks2].safe_search = false),
        [format!("Search engines would not be held in their safe mode for {title}.")]
    );
    assert_eq!(
        said(&|file| file.profiles[ks2].log = Some(LogLevel::BlockedOnly)),
        [format!("Less would be logged of {title}.")]
    );
    assert_eq!(
        said(&|file| drop(file.profiles[ks2].categories.insert("gambling".into(), Cell::Allow))),
        [format!("Gambling would be open for {title}.")]
    );
    let rule = |action| RuleFile {
        action,
        name: "x.example".into(),
        profiles: Some(vec!["ks2".into()]),
        clients: None,
        reason: String::new(),
        owner: String::new(),
        until: Some("2020-01-01T00:00:00Z".parse().unwrap()),
    };
    assert_eq!(said(&|file| file.rules.push(rule(Action::Allow))), [""; 0], "it is over");
    let lasting = RuleFile { until: None, ..rule(Action::Allow) };
    assert_eq!(
        said(&|file| file.rules.push(lasting.clone())),
        [format!("x.example would be open for {title}.")]
    );
    assert_eq!(said(&|file| file.rules.push(RuleFile { until: None, ..rule(Action::Block) })), [""; 0]);
    assert_eq!(said(&|file| file.school = String::from("Oak Road")), [""; 0]);
}

#[test]
fn a_network_loosens_only_where_its_addresses_get_a_looser_profile() {
    let mut old = PolicyFile::shipped();
    old.fallback_profile = Some(String::from("ks1"));
    let put = |file: &mut PolicyFile, id: &str, subnets: &[&str]| {
        let profile = file.profiles.iter_mut().find(|profile| profile.id == id).unwrap();
        profile.subnets = subnets.iter().map(|net| String::from(*net)).collect();
    };
    put(&mut old, "staff", &["10.9.0.0/16"]);
    put(&mut old, "ks2", &["10.2.0.0/16"]);
    let said = |changes: &[(&str, &[&str])]| -> Vec<String> {
        let mut new = old.clone();
        for (id, subnets) in changes {
            put(&mut new, id, subnets);
        }
        old.loosens(&new, &Categories::shipped(), time(MORNING))
    };
    assert_eq!(said(&[("ks1", &["10.1.0.0/16"])]), [""; 0], "they had that profile already");
    assert_eq!(said(&[("staff", &[])]), [""; 0], "they fall back to a stricter one");
    assert_eq!(said(&[("ks2", &["10.2.0.0/17", "10.2.128.0/17"])]), [""; 0], "written otherwise");
    assert_eq!(said(&[("ks2", &["10.2.0.0/16", "10.9.7.0/24"])]), [""; 0], "a class room within staff's");
    assert_eq!(
        said(&[("ks2", &[])]),
        [
            "10.2.0.0/16 would have the profile Key Stage 1 instead of Key Stage 2: Music and radio would be open \
             for Key Stage 1."
        ]
    );
    let one = |changes: &[(&str, &[&str])], begin: &str| {
        let said = said(changes);
        assert!(said.len() == 1 && said[0].starts_with(begin), "{said:?}");
    };
    one(
        &[("ks2", &["10.2.0.0/16", "10.3.0.0/16"])],
        "10.3.0.0/16 would have the profile Key Stage 2 instead of Key Stage 1: ",
    );
    one(
        &[("staff", &["10.9.0.0/16", "10.2.0.0/24"])],
        "10.2.0.0/24 would have the profile Staff instead of Key Stage 2: ",
    );
}

#[test]
fn a_rule_for_one_profile_counts_where_a_network_gets_it() {
    let text = "version = 1\nfallback_profile = 'a'\n[[profile]]\nid = 'a'\naudience = 'pupil'\n\
                [[profile]]\nid = 'b'\naudience = 'pupil'\n";
    let rule = |action: &str, of: &str| {
        format!("[[rule]]\naction = '{action}'\nname = 'x.example'\nprofiles = ['{of}']\n")
    };
    for (rule, loosens) in [
        (String::new(), false),
        (rule("allow", "b"), true),
        (rule("allow", "a"), false),
        (rule("block", "a"), true),
        (rule("block", "b"), false),
    ] {
        let old = PolicyFile::parse(&format!("{text}{rule}")).unwrap();
        let mut new = old.clone();
        new.profiles[1].subnets = vec![String::from("10.0.0.0/8")];
        let said = old.loosens(&new, &Categories::shipped(), time(MORNING));
        assert_eq!(!said.is_empty(), loosens, "{rule}: {said:?}");
    }
}
