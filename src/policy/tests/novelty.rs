//! Names that are new to the school, and names on no list, as categories.

use super::*;
use crate::ede::EdeCode;

const KS2: &str = "10.20.2.5";
/// Long before [`MORNING`].
const BEGAN: &str = "2026-01-05";
const YESTERDAY: &str = "2026-11-22";

fn day(text: &str) -> Day {
    Day::of(time(&format!("{text}T12:00:00Z")))
}

/// The school of the fixture with cells for Key Stage 2.
fn with_cells(cells: &str, top: &str) -> Policy {
    let text = SCHOOL.replace("games = { allow-during = \"lunch\" }", &format!("games = \"block\"\n{cells}"));
    let text = text.replace("uncategorised = \"allow\"\n", "");
    assert_ne!(text, SCHOOL);
    let own_days = "newly_seen = { days = 7, learning_days = 14 }\n";
    assert!(text.contains(own_days));
    let text = if top.contains("[newly_seen]") { text.replace(own_days, "") } else { text };
    school_with(&format!("{text}\n{top}"))
}

fn never() -> FirstAsked {
    FirstAsked::Never { began: day(BEGAN) }
}

fn on(date: &str) -> FirstAsked {
    FirstAsked::On { day: day(date), began: day(BEGAN) }
}

fn decide(policy: &Policy, name: &str, first_asked: FirstAsked, at: &str) -> Decision {
    policy.decide(&Question { first_asked, ..ask(name) }, &policy.client(KS2), time(at))
}

fn reported(policy: &Policy, decision: &Decision) -> Vec<String> {
    policy.categories().ids(decision.reported).into_iter().map(str::to_owned).collect()
}

fn newly_seen(decision: &Decision) -> bool {
    matches!(decision.reason, Reason::NewlySeen { .. })
}

#[test]
fn a_new_name_waits_and_then_opens() {
    let policy = with_cells("newly-seen = \"block\"", "");
    let blocked = |first, at| newly_seen(&decide(&policy, "www.unheard.example", first, at));
    assert!(blocked(never(), MORNING));
    assert!(blocked(on("2026-11-23"), MORNING), "it was asked for today");
    assert!(blocked(on("2026-11-17"), MORNING), "six days ago");
    assert!(!blocked(on("2026-11-16"), MORNING), "a week ago");
    assert!(!blocked(FirstAsked::Unknown, MORNING), "nobody looked");
    // Other profiles decide for themselves.
    let question = Question { first_asked: never(), ..ask("www.unheard.example") };
    let staff = policy.decide(&question, &policy.client("10.20.9.5"), time(MORNING));
    assert_eq!(staff.verdict, Verdict::Allow);
}

#[test]
fn how_long_names_are_new_is_a_setting() {
    let policy = with_cells("newly-seen = \"block\"", "[newly_seen]\ndays = 2\nlearning_days = 0");
    let blocked = |first| newly_seen(&decide(&policy, "unheard.example", first, MORNING));
    assert!(blocked(on(YESTERDAY)));
    assert!(!blocked(on("2026-11-21")));
    // Without a time to learn, a box that was set up today blocks at once.
    assert!(blocked(FirstAsked::Never { began: day("2026-11-23") }));
}

#[test]
fn while_the_box_learns_nothing_is_blocked_as_new_but_it_is_reported() {
    let policy = with_cells("newly-seen = \"block\"", "");
    let began = day("2026-11-10");
    for first in [FirstAsked::Never { began }, FirstAsked::On { day: day(YESTERDAY), began }] {
        let decision = decide(&policy, "unheard.example", first, MORNING);
        assert_eq!((&decision.verdict, &decision.reason), (&Verdict::Allow, &Reason::Default));
        assert_eq!(reported(&policy, &decision), ["newly-seen"]);
    }
    // The day after the two weeks: what came up in them stays open, what comes up now waits.
    let later = "2026-11-24T10:00:00Z";
    assert!(newly_seen(&decide(&policy, "unheard.example", FirstAsked::Never { began }, later)));
    let known = FirstAsked::On { day: day(YESTERDAY), began };
    assert!(!newly_seen(&decide(&policy, "unheard.example", known, later)));
}

#[test]
fn what_anybody_vouched_for_or_warned_of_is_not_new() {
    let policy =
        with_cells("newly-seen = \"block\"", "[[rule]]\naction = \"allow\"\nname = \"chosen.example\"");
    for name in [
        // On a list, even one that is open here, or that opens the name.
        "www.ads.example",
        "bets.example",
        "jokes.example",
        // A rule, the school's own, essential names, and what the product rewrites or approves.
        "www.chosen.example",
        "www.elmlane.example",
        "help.example",
        "abc.example",
        "seek.example",
        "tube.example",
    ] {
        let decision = decide(&policy, name, never(), MORNING);
        assert!(!newly_seen(&decision), "{name}: {decision:?}");
        assert_eq!(reported(&policy, &decision), Vec::<String>::new(), "{name}");
    }
    // A rule for others is no opinion about it here.
    let rule = "[[rule]]\naction = \"allow\"\nname = \"chosen.example\"\nprofiles = [\"staff\"]";
    let policy = with_cells("newly-seen = \"block\"", rule);
    assert!(newly_seen(&decide(&policy, "chosen.example", never(), MORNING)));
}

#[test]
fn popular_names_are_new_to_no_school() {
    let mut tables = tables();
    tables.add_popular(&[Key::parse("docs.famous.co.uk").unwrap(), Key::parse("co.uk").unwrap()]);
    let text = SCHOOL.replacen("games = { a", "newly-seen = \"block\"\ngames = { a", 1);
    let policy =
        Policy::build_with(&PolicyFile::parse(&text).unwrap(), &knowledge(Vec::new()), &tables).unwrap();
    let new = |name: &str| newly_seen(&decide(&policy, name, never(), MORNING));
    assert!(!new("www.famous.co.uk") && !new("docs.famous.co.uk"));
    assert!(new("infamous.co.uk"));
    // What ships has names that very many people use, and those of services that no profile here switches.
    let shipped = Tables::shipped();
    for name in ["wikipedia.org", "www.bbc.co.uk", "tiktok.com", "whatsapp.net"] {
        assert!(shipped.is_popular(Key::parse(name).unwrap().registrable().unwrap()), "{name}");
    }
    assert!(!shipped.is_popular(b"example.unheard"));
}

#[test]
fn both_categories_can_be_open_at_times_for_some_or_reported() {
    for category in ["newly-seen", "uncategorised"] {
        let policy = with_cells(&format!("{category} = {{ allow-during = \"lunch\" }}"), "");
        let open = |at| decide(&policy, "unheard.example", never(), at).verdict == Verdict::Allow;
        assert!(!open(MORNING) && open(LUNCH), "{category}");

        let policy = with_cells(&format!("{category} = {{ allow-for = \"office\" }}"), "");
        let office = policy.client("10.20.2.14");
        let question = Question { first_asked: never(), ..ask("unheard.example") };
        let pupil = Client { profile: policy.find_profile("ks2").unwrap(), ..policy.client(KS2) };
        let in_office = Client { profile: pupil.profile, ..office };
        assert!(is_blocked(&policy.decide(&question, &pupil, time(MORNING))), "{category}");
        assert!(!is_blocked(&policy.decide(&question, &in_office, time(MORNING))), "{category}");

        let policy = with_cells(&format!("{category} = \"report\""), "");
        let decision = decide(&policy, "unheard.example", never(), MORNING);
        assert_eq!(decision.verdict, Verdict::Allow);
        assert_eq!(reported(&policy, &decision), [category]);
    }
}

#[test]
fn any_category_can_be_reported() {
    let policy = school_with(&SCHOOL.replacen("ads-trackers = \"allow\"", "ads-trackers = \"report\"", 1));
    let decision = policy.ask("www.ads.example", KS2, MORNING);
    assert_eq!(decision.verdict, Verdict::Allow);
    assert_eq!(reported(&policy, &decision), ["ads-trackers"]);
    // What is blocked for another reason is not reported as allowed.
    let blocked = school_with(
        &(SCHOOL.replacen("ads-trackers = \"allow\"", "ads-trackers = \"report\"", 1)
            + "\n[[rule]]\naction = \"block\"\nname = \"ads.example\"\n"),
    );
    assert_eq!(reported(&blocked, &blocked.ask("ads.example", KS2, MORNING)), Vec::<String>::new());
}

#[test]
fn uncategorised_comes_before_newly_seen_since_it_does_not_end() {
    let policy = with_cells("newly-seen = \"block\"\nuncategorised = \"block\"", "");
    assert_eq!(decide(&policy, "unheard.example", never(), MORNING).reason, Reason::Uncategorised);
}

#[test]
fn a_watching_profile_notes_new_names() {
    let text = SCHOOL.replace("mode = \"watch\"\nuncategorised = \"block\"", "mode = \"watch\"");
    let (before, after) = text.split_at(text.find("id = \"trial\"").unwrap());
    let after = after.replacen("[profile.categories]", "[profile.categories]\nnewly-seen = \"block\"", 1);
    let policy = school_with(&format!("{before}{after}"));
    let question = Question { first_asked: never(), ..ask("unheard.example") };
    let decision = policy.decide(&question, &policy.client("10.20.3.5"), time(MORNING));
    assert_eq!(decision.verdict, Verdict::Allow);
    assert!(matches!(decision.would_block.as_deref(), Some(Reason::NewlySeen { .. })));
}

#[test]
fn a_list_may_feed_newly_seen_like_any_other_category() {
    let lists = vec![list("fresh", "newly-seen", &["fresh.example"])];
    let file =
        PolicyFile::parse(&SCHOOL.replacen("games = { a", "newly-seen = \"block\"\ngames = { a", 1)).unwrap();
    let policy = Policy::build_with(&file, &knowledge(lists), &tables()).unwrap();
    assert!(matches!(policy.ask("www.fresh.example", KS2, MORNING).reason, Reason::Category(_)));
}

#[test]
fn a_new_name_is_explained_with_its_date_and_what_would_open_it() {
    let explain = |cells: &str, top: &str, first_asked: FirstAsked| {
        let policy = with_cells(cells, top);
        let question = Question { first_asked, ..ask("www.unheard.co.uk") };
        let client = policy.client(KS2);
        let decision = policy.decide(&question, &client, time(MORNING));
        assert_eq!(policy.ede(&decision), Some(EdeCode::Filtered));
        let category = policy.deciding_category(&decision).unwrap();
        assert_eq!(policy.categories().get(category).id, "newly-seen");
        (policy.explain(&decision, &question, &client), policy.advice(&decision, &question, &client))
    };
    let (said, advice) = explain("newly-seen = \"block\"", "", on(YESTERDAY));
    assert_eq!(
        said,
        "Blocked: nobody at this school had asked for anything of unheard.co.uk before 22 November 2026, and new names wait a week, until 29 November 2026."
    );
    assert_eq!(
        advice,
        [
            "An allow rule for www.unheard.co.uk would open it.",
            "It opens by itself on 29 November 2026, unless a list has it by then."
        ]
    );
    let (said, _) = explain("newly-seen = { allow-during = \"lunch\" }", "[newly_seen]\ndays = 3", never());
    assert_eq!(
        said,
        "Blocked: nobody at this school had asked for anything of unheard.co.uk before 23 November 2026, and new names wait 3 days, until 26 November 2026 (Key Stage 2 may use new names only at lunch (12:00–13:15 on Mondays to Fridays, in term))."
    );
}

#[test]
fn a_name_on_no_list_is_explained_with_when_it_is_open() {
    let policy = with_cells("uncategorised = { allow-during = \"lunch\" }", "");
    let client = policy.client(KS2);
    let decision = policy.decide(&ask("unheard.example"), &client, time(MORNING));
    assert_eq!(
        policy.explain(&decision, &ask("unheard.example"), &client),
        "Blocked: unheard.example is on no list, and Key Stage 2 may use such names only at lunch (12:00–13:15 on Mondays to Fridays, in term)."
    );
}

#[test]
fn contradictions_and_impossible_states_are_told() {
    let problems = |cells: &str, setting: &str, top: &str| -> Vec<String> {
        let text = format!(
            "version = 1\n[[profile]]\nid = 'p'\naudience = 'pupil'\n{setting}\n[profile.categories]\n{cells}\n\
             [[profile]]\nid = 's'\naudience = 'staff'\n[[group]]\nid = 'g'\ndevices = ['10.0.0.1']\n{top}"
        );
        let file = PolicyFile::parse(&text).unwrap();
        assert_eq!(PolicyFile::parse(&file.to_toml()).unwrap(), file);
        file.check(&Categories::shipped(), &tables(), None).iter().map(ToString::to_string).collect()
    };
    for (cell, setting) in [
        ("'block'", "uncategorised = 'block'"),
        ("'allow'", "uncategorised = 'allow'"),
        ("'report'", "uncategorised = 'allow'"),
        ("'block'", ""),
        ("{ allow-for = 'g' }", ""),
    ] {
        assert_eq!(problems(&format!("uncategorised = {cell}"), setting, ""), Vec::<String>::new(), "{cell}");
    }
    assert_eq!(
        problems("uncategorised = 'block'", "uncategorised = 'allow'", ""),
        [
            "profile \"p\": categories.uncategorised: the setting uncategorised of this profile says \"allow\"; take one of the two out"
        ]
    );
    for cell in ["'allow'", "'report'", "{ allow-for = 'g' }"] {
        let found = problems(&format!("uncategorised = {cell}"), "uncategorised = 'block'", "");
        assert_eq!(found.len(), 1, "{cell}: {found:?}");
    }
    for id in ["uncategorised", "newly-seen"] {
        assert_eq!(
            problems(&format!("{id} = 'locked'"), "", ""),
            [format!(
                "profile \"p\": categories.{id}: it can't be locked: what is on no list yet must stay possible to open; write \"block\""
            )]
        );
    }
    assert_eq!(
        problems("", "", "[newly_seen]\ndays = 0\nlearning_days = 91"),
        [
            "newly_seen.days: 0 is out of range; write 1 to 90 days; 7 is usual",
            "newly_seen.learning_days: 91 is out of range; write 0 to 90 days; 14 is usual"
        ]
    );
    assert_eq!(
        problems("", "", "[[list]]\nid = 'l'\ncategory = 'uncategorised'\nfile = 'x'"),
        [
            "list \"l\": category: no list can have names that are on no list; write the category that its names are about"
        ]
    );
}

#[test]
fn a_change_of_the_days_is_said_and_whether_it_loosens() {
    let old = PolicyFile::parse(SCHOOL).unwrap();
    let mut new = old.clone();
    new.newly_seen = NewlySeen { days: 3, learning_days: 0 };
    new.profiles[1].uncategorised = None;
    new.profiles[1].categories.insert("uncategorised".into(), Cell::Report);
    let changes = old.changes_to(&new, &Categories::shipped());
    let said: Vec<(&str, bool)> =
        changes.iter().map(|change| (change.what.as_str(), change.loosens)).collect();
    assert_eq!(
        said,
        [
            ("newly_seen.days: 3, was 7", true),
            ("newly_seen.learning_days: 0, was 14", false),
            ("profile \"ks2\": uncategorised: report, was allow", false),
        ]
    );
}

fn is_blocked(decision: &Decision) -> bool {
    matches!(decision.verdict, Verdict::Block(_))
}
