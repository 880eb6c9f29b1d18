//! Services that are switched by themselves, and bundles of the school's own.

use super::*;

const KS1: &str = "10.0.1.5";
const KS2: &str = "10.0.2.5";

/// A school whose pupils have these services, in these categories' states.
fn school_of(services: &str, more: &str) -> Policy {
    let lists = vec![
        list("nets", "social", &["chirp.example", "chirp.test", "files.example", "deeper.chirp.example"]),
        list("chats", "messaging", &["hello.example"]),
        list("play", "games", &["games.chirp.example", "chirp.example"]),
        list("bad", "malware", &["evil.chirp.example"]),
        list("friends", "ai-companion", &["friend.example"]),
        list("bets", "gambling", &["198.51.100.0/24"]),
        list("harm", "malware", &["192.0.2.66", "ns:bad-dns.example"]),
        list("dyn", "gambling", &["ns:dyn.example"]),
    ];
    Policy::build_with(&PolicyFile::parse(&text(services, more)).unwrap(), &knowledge(lists), &tables())
        .unwrap()
}

fn text(services: &str, more: &str) -> String {
    format!(
        r#"
        version = 1
        [[profile]]
        id = "ks2"
        name = "Key Stage 2"
        audience = "pupil"
        subnets = ["10.0.2.0/24"]
        [profile.categories]
        social = "block"
        messaging = "allow"
        games = "block"
        gambling = "block"
        [profile.services]
        {services}
        [[profile]]
        id = "ks1"
        name = "Key Stage 1"
        audience = "pupil"
        subnets = ["10.0.1.0/24"]
        mode = "allow-only"
        bundles = ["first-sites"]
        [[profile]]
        id = "staff"
        audience = "staff"
        subnets = ["10.0.9.0/24"]
        [[schedule]]
        id = "lunch"
        windows = [{{ days = "mon-fri", from = "12:00", to = "13:15" }}]
        [[group]]
        id = "office"
        devices = ["10.0.2.14"]
        {more}
        "#
    )
}

fn reason(policy: &Policy, name: &str) -> &'static str {
    policy.ask(name, KS2, MORNING).reason.word()
}

#[test]
fn a_switch_beats_the_state_of_the_category_both_ways() {
    let policy = school_of("chirp = 'allow'\nhello = 'block'", "");
    for name in ["chirp.example", "www.chirp.example", "deeper.chirp.example", "chirp.test"] {
        assert_eq!(reason(&policy, name), "allow-service", "{name}");
    }
    assert_eq!(reason(&policy, "www.chirp.test"), "category", "the name alone");
    assert_eq!(reason(&policy, "www.hello.example"), "block-service");
    // Without switches the categories decide.
    let policy = school_of("", "");
    assert_eq!(reason(&policy, "chirp.example"), "category");
    assert_eq!(reason(&policy, "hello.example"), "default");
    // Another profile's switches are its own.
    let policy = school_of("hello = 'block'", "");
    assert_ne!(policy.ask("hello.example", "10.0.9.5", MORNING).reason.word(), "block-service");
}

#[test]
fn a_switch_has_times_and_groups() {
    let policy = school_of("chirp = { allow-during = 'lunch' }\nhello = { allow-for = 'office' }", "");
    assert_eq!(reason(&policy, "chirp.example"), "block-service");
    assert_eq!(policy.ask("chirp.example", KS2, LUNCH).reason.word(), "allow-service");
    assert_eq!(reason(&policy, "hello.example"), "block-service");
    assert_eq!(policy.ask("hello.example", "10.0.2.14", MORNING).reason.word(), "allow-service");
}

#[test]
fn a_switch_opens_neither_what_harms_machines_nor_what_is_locked_nor_another_categorys_longer_name() {
    let policy = school_of("chirp = 'allow'", "");
    let category = |name: &str| {
        let decision = policy.ask(name, KS2, MORNING);
        assert_eq!(decision.reason.word(), "category", "{name}");
        policy.categories().get(policy.deciding_category(&decision).unwrap()).id.clone()
    };
    assert_eq!(category("evil.chirp.example"), "malware");
    assert_eq!(category("x.games.chirp.example"), "games");
    // The school's own lock, of a category that the service is not of.
    let text = text("chirp = 'allow'", "").replace("games = \"block\"", "games = \"locked\"");
    let lists = vec![list("play", "games", &["chirp.example"])];
    let policy =
        Policy::build_with(&PolicyFile::parse(&text).unwrap(), &knowledge(lists), &tables()).unwrap();
    assert_eq!(reason(&policy, "chirp.example"), "locked");
    let said: Vec<String> = policy.conflicts().iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "warning: profile \"ks2\": services.chirp: chirp.example stays closed, since lists have it in games; nothing opens a locked category"
        ]
    );
}

#[test]
fn what_a_service_needs_opens_with_it_and_closes_by_its_own_switch_only() {
    assert_eq!(reason(&school_of("", ""), "files.example"), "category");
    assert_eq!(reason(&school_of("chirp = 'allow'", ""), "files.example"), "allow-service");
    let both = school_of("chirp = 'block'\nhello = 'allow'", "");
    assert_eq!(reason(&both, "files.example"), "allow-service", "one of two is enough");
    assert_eq!(reason(&school_of("chirp = 'block'", ""), "files.example"), "category", "it closes nothing");
    let own = school_of("chirp = 'allow'\nchirp-files = 'block'", "");
    assert_eq!(reason(&own, "files.example"), "block-service");
    let at_lunch = school_of("chirp = { allow-during = 'lunch' }", "");
    assert_eq!(reason(&at_lunch, "files.example"), "category");
    assert_eq!(at_lunch.ask("files.example", KS2, LUNCH).reason.word(), "allow-service");
}

#[test]
fn an_open_service_is_known_where_unknown_names_are_blocked() {
    let text = text("friend = 'block'\nchirp = 'allow'", "").replacen(
        "subnets",
        "uncategorised = 'block'\nsubnets",
        1,
    );
    let policy =
        Policy::build_with(&PolicyFile::parse(&text).unwrap(), &knowledge(Vec::new()), &tables()).unwrap();
    assert_eq!(reason(&policy, "chirp.example"), "allow-service");
    assert_eq!(reason(&policy, "other.example"), "uncategorised");
}

#[test]
fn youtubes_restricted_mode_holds_where_the_service_is_open() {
    let policy = school_of("tube = 'allow'", "");
    assert_eq!(reason(&policy, "www.tube.example"), "safe-search");
    assert_eq!(reason(&school_of("tube = 'block'", ""), "www.tube.example"), "block-service");
}

#[test]
fn an_alias_is_looked_at_with_the_services_too() {
    use hickory_proto::rr::{Name, RData, Record, rdata};
    let review = |policy: &Policy, asked: &str, to: &str| {
        let client = policy.client(KS2);
        let question = ask(asked);
        let decision = policy.decide(&question, &client, time(MORNING));
        assert_eq!(decision.verdict, Verdict::Allow, "{asked}");
        let name = |text: &str| Name::from_ascii(format!("{text}.")).unwrap();
        let data = match to.parse::<std::net::Ipv4Addr>() {
            Ok(address) => RData::A(rdata::A(address)),
            Err(_) => RData::CNAME(rdata::CNAME(name(to))),
        };
        let answers = [Record::from_rdata(name(asked), 60, data)];
        let delegations = Delegations::default();
        let answer = Answer { records: &answers, delegations: &delegations, own_zone: false };
        let found = policy.review(&question, &client, &decision, &answer, time(MORNING));
        found.block.map(|decision| match decision.reason {
            Reason::Alias { because, .. } => because.word(),
            other => other.word(),
        })
    };
    let policy = school_of("chirp = 'allow'\nhello = 'block'", "");
    assert_eq!(review(&policy, "plain.example", "hello.example"), Some("block-service"));
    assert_eq!(review(&policy, "plain.example", "chirp.example"), None);
    assert_eq!(review(&policy, "plain.example", "games.chirp.example"), Some("category"));
    // What is behind an open service is part of it, unless it harms machines.
    assert_eq!(review(&policy, "chirp.example", "games.chirp.example"), None);
    assert_eq!(review(&policy, "chirp.example", "hello.example"), None);
    assert_eq!(review(&policy, "chirp.example", "evil.chirp.example"), Some("category"));
    assert_eq!(review(&policy, "chirp.example", "198.51.100.7"), None);
    assert_eq!(review(&policy, "chirp.example", "192.0.2.66"), Some("address"));
    assert_eq!(review(&policy, "plain.example", "198.51.100.7"), Some("address"));
}

#[test]
fn the_name_servers_of_an_open_service_count_only_where_they_harm() {
    let policy = school_of("chirp = 'allow'", "");
    let review = |asked: &str, server: &str| {
        let client = policy.client(KS2);
        let decision = policy.decide(&ask(asked), &client, time(MORNING));
        let delegations = [servers::zone(asked, &[server])].into_iter().map(Arc::new).collect();
        let answer = Answer { records: &[], delegations: &delegations, own_zone: false };
        let found = policy.review(&ask(asked), &client, &decision, &answer, time(MORNING));
        found.block.map(|decision| decision.reason.word())
    };
    assert_eq!(review("plain.example", "ns1.dyn.example"), Some("name-server"));
    assert_eq!(review("chirp.example", "ns1.dyn.example"), None);
    assert_eq!(review("chirp.example", "ns1.bad-dns.example"), Some("name-server"));
}

#[test]
fn an_open_service_has_its_category_reported_where_its_switch_says_so() {
    let reported = |services: &str, name: &str| {
        let policy = school_of(services, "");
        let decision = policy.ask(name, KS2, MORNING);
        assert_eq!(decision.reason.word(), "allow-service", "{services}");
        policy.categories().ids(decision.reported).join(" ")
    };
    assert_eq!(reported("chirp = 'report'", "www.chirp.example"), "social");
    assert_eq!(reported("chirp = 'allow'", "www.chirp.example"), "");
}

#[test]
fn people_read_the_service_and_its_setting() {
    let policy = school_of("chirp = { allow-during = 'lunch' }\nhello = 'block'", "");
    let said = |name: &str, at: &str| {
        let client = policy.client(KS2);
        let decision = policy.decide(&ask(name), &client, time(at));
        let advice = policy.advice(&decision, &ask(name), &client);
        (policy.explain(&decision, &ask(name), &client), advice, policy.ede(&decision))
    };
    let (explained, advice, ede) = said("www.hello.example", MORNING);
    assert_eq!(
        explained,
        "Blocked: www.hello.example belongs to The service hello, which Key Stage 2 may not use."
    );
    assert_eq!(advice[0], "The setting services.hello of Key Stage 2 decides.");
    assert_eq!(ede, Some(crate::ede::EdeCode::Filtered));
    let (explained, advice, _) = said("chirp.example", MORNING);
    assert_eq!(
        explained,
        "Blocked: chirp.example belongs to The service chirp, which Key Stage 2 may use only at lunch (12:00–13:15 on Mondays to Fridays)."
    );
    assert_eq!(advice[1], "Key Stage 2 may use it only at lunch (12:00–13:15 on Mondays to Fridays).");
    let (explained, advice, ede) = said("chirp.example", LUNCH);
    assert!(
        explained.starts_with("Allowed: chirp.example belongs to The service chirp, which"),
        "{explained}"
    );
    assert!(advice[0].starts_with("Without the setting services.chirp, the category Social"), "{advice:?}");
    assert_eq!(ede, None);
    let (_, advice, _) = said("files.example", LUNCH);
    assert!(
        advice[0].contains("open with a service that needs it; services.chirp-files = \"block\""),
        "{advice:?}"
    );
    // A name that only its category closes could be opened with its service.
    let policy = school_of("", "");
    let client = policy.client(KS2);
    let decision = policy.decide(&ask("www.chirp.example"), &client, time(MORNING));
    let advice = policy.advice(&decision, &ask("www.chirp.example"), &client);
    let wanted = "The setting services.chirp of Key Stage 2 would open The service chirp alone.";
    assert!(advice.iter().any(|line| line == wanted), "{advice:?}");
}

fn problems(services: &str, more: &str) -> Vec<String> {
    let file = PolicyFile::parse(&text(services, more)).unwrap();
    let found = file.check(&Categories::shipped(), &tables(), Some(time(MORNING)));
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_wrong_with_a_switch_is_told() {
    let cases = [
        ("chrip = 'block'", "services.chrip: there is no such service; did you mean \"chirp\"?"),
        ("files = 'block'", "services.files: there is no such service; did you mean \"chirp-files\"?"),
        ("social = 'block'", "social is a category: write it under [profile.categories]"),
        (
            "hello = 'locked'",
            "only categories can be locked; write \"block\", or lock its category messaging",
        ),
        ("hello = { allow-during = 'lunsh' }", "there is no schedule \"lunsh\"; did you mean \"lunch\"?"),
        ("hello = { allow-for = 'offices' }", "there is no group \"offices\""),
        ("friend = 'allow'", "its category ai-companion is locked here, and nothing opens it; leave it out"),
        ("friend = 'block'", "warning: profile \"ks2\": services.friend: it changes nothing now"),
        ("chirp = 'block'", "it changes nothing now: its category social has the same state"),
        ("hello = 'allow'", "it changes nothing now: its category messaging has the same state"),
    ];
    for (services, said) in cases {
        let found = problems(services, "");
        assert_eq!(found.len(), 1, "{services}: {found:?}");
        assert!(found[0].contains(said), "{services}: {found:?}");
    }
    assert_eq!(problems("chirp = 'allow'\nhello = 'block'", ""), Vec::<String>::new());
    let youngest = |text: &str| {
        let file = PolicyFile::parse(text).unwrap();
        let found = file.check(&Categories::shipped(), &tables(), Some(time(MORNING)));
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let open = text("", "")
        .replace("mode = \"allow-only\"", "mode = \"allow-only\"\nservices = { hello = 'allow' }");
    assert!(youngest(&open)[0].contains("it opens nothing that was not approved"), "{:?}", youngest(&open));
    let mut tables = tables();
    tables.services.push(service("youtube", "video", &["video.example"], &[]));
    let closed =
        text("youtube = { allow-during = 'lunch' }", "").replacen("subnets", "youtube = 'block'\nsubnets", 1);
    let found =
        PolicyFile::parse(&closed).unwrap().check(&Categories::shipped(), &tables, Some(time(MORNING)));
    assert!(
        found[0].to_string().contains("it stays closed, since the setting youtube = \"block\""),
        "{found:?}"
    );
}

#[test]
fn what_a_switch_loosens_is_said() {
    let changes = |old: &str, new: &str| {
        let (old, new) =
            (PolicyFile::parse(&text(old, "")).unwrap(), PolicyFile::parse(&text(new, "")).unwrap());
        let changes = old.changes_to(&new, &Categories::shipped());
        changes.into_iter().map(|change| (change.what, change.loosens)).collect::<Vec<_>>()
    };
    let one = |what: &str, loosens| vec![(format!("profile \"ks2\": service hello: {what}"), loosens)];
    assert_eq!(changes("", "hello = 'block'"), one("block, was as its category", false));
    assert_eq!(changes("hello = 'block'", ""), one("as its category, was block", true));
    assert_eq!(changes("hello = 'allow'", ""), one("as its category, was allow", false));
    assert_eq!(
        changes("hello = 'block'", "hello = { allow-during = 'lunch' }"),
        one("allow during lunch, was block", true)
    );
}

const OWN: &str = "[[bundle]]\nid = 'romans'\ntitle = 'Romans'\nnames = ['museum.example', '=cdn.example']\n";

#[test]
fn a_bundle_of_the_schools_own_is_approved_like_a_shipped_one() {
    let with = text("", OWN).replace("\"first-sites\"", "\"first-sites\", \"romans\"");
    let policy =
        Policy::build_with(&PolicyFile::parse(&with).unwrap(), &knowledge(Vec::new()), &tables()).unwrap();
    for name in ["www.museum.example", "cdn.example", "abc.example"] {
        assert_eq!(policy.ask(name, KS1, MORNING).reason, Reason::Approved, "{name}");
    }
    assert_eq!(policy.ask("x.cdn.example", KS1, MORNING).reason, Reason::AllowOnly);
    // What no profile names opens nothing.
    let unused = school_of("", OWN);
    assert_eq!(unused.ask("museum.example", KS1, MORNING).reason, Reason::AllowOnly);
    assert_eq!(PolicyFile::parse(&unused.file().to_toml()).as_ref(), Ok(unused.file()));
}

#[test]
fn a_lesson_can_name_bundles() {
    let lesson = "[[lesson]]\nname = 'Romans'\nroom = ['10.0.2.0/24']\nonly = ['bundle:romans', 'bundle:first-sites', 'x.example']\n";
    let policy = school_of("", &format!("{OWN}{lesson}"));
    for name in ["museum.example", "one.example", "x.example"] {
        assert_eq!(reason(&policy, name), "default", "{name}");
    }
    assert_eq!(reason(&policy, "other.example"), "lesson");
    assert_eq!(problems("", &format!("{OWN}{lesson}")), Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_a_bundle_is_told() {
    let with = |more: &str, said: &str| {
        let found = problems("", more);
        assert!(found.iter().any(|line| line.contains(said)), "{said}: {found:?}");
    };
    with(OWN, "warning: bundle \"romans\": no profile and no lesson names it; write bundles = [\"romans\"]");
    with(&OWN.replace("'romans'", "'first-sites'"), "bundle \"first-sites\": a shipped bundle has this id");
    with(&OWN.replace("museum.", "museum "), "bundle \"romans\": names[0]: \"museum example\"");
    with(&OWN.replace("'museum.example', '=cdn.example'", ""), "it has no names, so it opens nothing");
    with(&format!("{OWN}{OWN}"), "bundle \"romans\": it is there twice");
    let lesson = "[[lesson]]\nname = 'L'\nroom = ['10.0.2.0/24']\nonly = ['bundle:roman']\n";
    with(&format!("{OWN}{lesson}"), "only[0]: there is no bundle \"roman\"; did you mean \"romans\"?");
    let many: String = (0..128).map(|n| OWN.replace("'romans'", &format!("'b{n}'"))).collect();
    with(&many, "bundle: there are 128 bundles; 127 beside the shipped ones is the most");
}
