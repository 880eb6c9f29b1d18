use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::{
    lists::{
        format::{MatchMode, SkipReason},
        popular::Popular,
        source::Source,
        survey::{Findings, Reading, References, Skipped, survey},
    },
    name::Key,
};

fn file(name: &str) -> Survey {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/incidents").join(name);
    let source = Source::at(path);
    let essential = ["ofsted.gov.uk", "www.gov.uk"].map(|name| Key::parse(name).unwrap());
    let popular = Popular::shipped().foreign_to("vpn-proxy").cloned();
    let references = References::none().essential(essential).popular(popular);
    survey(&Reading { source: &source, format: None, mode: MatchMode::Subdomains }, &references).unwrap()
}

/// What the first version of a list trips, and what one does that comes after another.
fn trips(before: Option<&str>, now: &str) -> Vec<String> {
    let previous = before.map(|name| {
        let good = file(name);
        assert_eq!(judge(&good, None, &Limits::default()), [], "{name}");
        Previous::of(&good).unwrap()
    });
    judge(&file(now), previous.as_ref(), &Limits::default()).iter().map(ToString::to_string).collect()
}

#[test]
fn accidents_are_held_and_said_in_plain_words() {
    for (before, now, expected) in [
        (None, "gambling-before.hosts", &[][..]),
        (Some("gambling-before.hosts"), "gambling-next-day.hosts", &[]),
        (Some("gambling-before.hosts"), "gambling-header-only.hosts", &["there is no entry in it"]),
        (None, "gambling-header-only.hosts", &["there is no entry in it"]),
        (None, "header-only.domains", &["there is no entry in it"]),
        (None, "empty.txt", &["there is no entry in it"]),
        (
            Some("gambling-before.hosts"),
            "gambling-raw-idn.hosts",
            &["it shrank from 600 to 10 entries; a list that loses more than half is held"],
        ),
        (
            Some("phishing-before.domains"),
            "phishing-small.domains",
            &["it shrank from 800 to 48 entries; a list that loses more than half is held"],
        ),
        (
            Some("gambling-before.hosts"),
            "gambling-cut-off.hosts",
            &[
                "its header says that it has 600 entries, but only 419 came; it was cut off on its way, most likely",
            ],
        ),
        (
            Some("gambling-before.hosts"),
            "gambling-with-error.hosts",
            &[
                "there is a web page in the middle of it, an error of the server most likely",
                "its header says that it has 600 entries, but only 506 came; it was cut off on its way, most likely",
            ],
        ),
        (
            Some("gambling-before.hosts"),
            "error-page.html",
            &["this is a web page, not a list; take the address of the list's plain text"],
        ),
        (Some("gambling-before.hosts"), "wrong-file.json", &["this is JSON, not a list"]),
        (
            Some("gambling-before.hosts"),
            "other-format.adblock",
            &[r#"its format changed from "hosts file" to "Adblock (||name^)""#],
        ),
        (
            Some("proxies-before.domains"),
            "proxies-with-classroom.domains",
            &["it would block 3 names that very many people use: classroom.google.com (line 151), \
               sites.google.com (line 152), script.google.com (line 153)"],
        ),
        (
            Some("proxies-before.domains"),
            "proxies-with-gov-uk.domains",
            &["it lists 1 ending under which others have their names: gov.uk (line 201)"],
        ),
        (
            Some("proxies-before.domains"),
            "proxies-grown.domains",
            &["it grew from 300 to 1,500 entries; a list that becomes more than three times as long is held"],
        ),
    ] {
        assert_eq!(trips(before, now), expected, "{before:?}, {now}");
    }
}

#[test]
fn what_was_accepted_once_is_not_held_again() {
    for name in ["proxies-with-classroom.domains", "proxies-with-gov-uk.domains", "gambling-cut-off.hosts"] {
        let survey = file(name);
        assert_ne!(judge(&survey, None, &Limits::default()), [], "{name}");
        let accepted = Previous::of(&survey);
        assert_eq!(judge(&survey, accepted.as_ref(), &Limits::default()), [], "{name}");
    }
    // But what came since is.
    let accepted = Previous::of(&file("proxies-with-gov-uk.domains"));
    let trips = judge(&file("proxies-with-classroom.domains"), accepted.as_ref(), &Limits::default());
    assert!(matches!(trips[..], [Trip::Names { kind: FindingKind::Popular, count: 3, .. }]), "{trips:?}");
    assert_eq!(Previous::of(&file("error-page.html")), None);
}

/// A list of made-up figures.
fn figures(entries: u64) -> Survey {
    let nothing = Survey::nothing("a list".into(), NotAList::Empty);
    Survey { format: Some(Format::Domains), not_a_list: None, entries, ..nothing }
}

fn with_skips(entries: u64, reason: SkipReason, count: u64) -> Survey {
    Survey { skipped: vec![Skipped { reason, count, first: Vec::new() }], ..figures(entries) }
}

fn with_names(entries: u64, kind: FindingKind, names: &BTreeSet<String>) -> Survey {
    let first = names.iter().zip(1..).map(|(name, line)| Finding {
        listed: name.clone(),
        covers: (kind == FindingKind::PublicSuffix).then(|| format!("x.{name}")),
        part: None,
        line,
    });
    Survey {
        findings: vec![Findings { kind, count: names.len() as u64, first: first.collect() }],
        hits: Hits::from([(kind, names.clone())]),
        ..figures(entries)
    }
}

fn judged(before: u64, now: u64, limits: &Limits) -> Vec<Trip> {
    judge(&figures(now), Previous::of(&figures(before)).as_ref(), limits)
}

#[test]
fn small_lists_may_change_by_a_few_entries() {
    let limits = Limits::default();
    for (before, now) in [(1000, 500), (30, 10), (21, 1), (1000, 3000), (1, 201), (0, 200), (5, 5)] {
        assert_eq!(judged(before, now, &limits), [], "{before} to {now}");
    }
    for (before, now) in [(1000, 499), (30, 9)] {
        assert!(matches!(judged(before, now, &limits)[..], [Trip::Shrank { .. }]), "{before} to {now}");
    }
    for (before, now) in [(1000, 3001), (1, 202), (0, 201)] {
        assert!(matches!(judged(before, now, &limits)[..], [Trip::Grew { .. }]), "{before} to {now}");
    }
}

#[test]
fn limits_can_be_set_for_a_list() {
    let limits = Limits { minimum: 100, shrink: 90, grow: 110, damaged: 50, typical: None };
    assert_eq!(
        judged(1000, 80, &limits).iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "it has 80 entries; it must have at least 100",
            "it shrank from 1,000 to 80 entries; a list that shrinks below 90 % of what it was is held"
        ]
    );
    assert_eq!(
        judged(1_000_000, 1_200_000, &limits)[0].to_string(),
        "it grew from 1,000,000 to 1,200,000 entries; a list that grows above 110 % of what it was is held"
    );
    assert_eq!(judge(&with_skips(100, SkipReason::Syntax, 90), None, &limits), []);
    assert_eq!(
        Trip::TooFew { entries: 1, minimum: 5 }.to_string(),
        "it has 1 entry; it must have at least 5"
    );
    assert_eq!(
        Trip::TooFew { entries: 0, minimum: 1 }.to_string(),
        "it has no entries; it must have at least 1"
    );
}

#[test]
fn a_list_far_from_its_usual_length_is_held_until_somebody_has_looked() {
    let limits = Limits { typical: Some(26_000), ..Limits::default() };
    assert_eq!(judge(&figures(2_600), None, &limits), []);
    assert_eq!(judge(&figures(260_000), None, &limits), []);
    for entries in [2_599, 260_001] {
        let trips = judge(&figures(entries), None, &limits);
        assert_eq!(trips, [Trip::Unusual { entries, typical: 26_000 }]);
    }
    assert_eq!(judged(1_000, 1_000, &limits), []);
    let tiny = Limits { typical: Some(23), ..Limits::default() };
    assert_eq!(judge(&figures(3), None, &tiny), []);
    assert_eq!(
        judge(&figures(1_000), None, &tiny)[0].to_string(),
        "it has 1,000 entries, and usually about 23; a list far from its usual length is held"
    );
}

#[test]
fn broken_lines_count_but_rules_for_browsers_do_not() {
    let limits = Limits::default();
    assert_eq!(judge(&with_skips(100, SkipReason::Cosmetic, 50_000), None, &limits), []);
    assert_eq!(judge(&with_skips(90, SkipReason::BadName, 10), None, &limits), []);
    assert_eq!(judge(&with_skips(2, SkipReason::BadName, 4), None, &limits), []);
    assert_eq!(
        judge(&with_skips(89, SkipReason::BadName, 11), None, &limits)[0].to_string(),
        "11 of its 100 lines can't be read; with more than 10 % of such lines a list is held"
    );
}

#[test]
fn a_list_that_begins_to_open_names_is_held() {
    let blocks = Previous::of(&figures(100)).unwrap();
    let opens = Survey { allow: 60, ..figures(100) };
    let trips = judge(&opens, Some(&blocks), &Limits::default());
    assert_eq!(
        trips.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["60 of its 100 entries open names rather than block them, and before most did not"]
    );
    assert_eq!(judge(&opens, None, &Limits::default()), []);
}

#[test]
fn of_many_names_a_few_are_said() {
    let names: BTreeSet<String> = (0..1_200).map(|n| format!("n{n:04}.example")).collect();
    let trips = judge(&with_names(5_000, FindingKind::Essential, &names), None, &Limits::default());
    assert_eq!(
        trips[0].to_string(),
        "it would block 1,200 names that must always work: n0000.example (line 1), n0001.example (line 2), \
         n0002.example (line 3), n0003.example (line 4), n0004.example (line 5) and 1,195 more"
    );
    let Trip::Names { count, first, .. } = &trips[0] else { panic!("{trips:?}") };
    assert_eq!((*count, first.len()), (1_200, SHOWN));
    let covered = Trip::Names {
        kind: FindingKind::Busy,
        count: 1,
        first: vec![Finding {
            listed: "example".into(),
            covers: Some("maths.example".into()),
            part: Some("games/domains".into()),
            line: 7,
        }],
    };
    assert_eq!(
        covered.to_string(),
        "it would block 1 name that this school often uses: maths.example (games/domains, line 7: example)"
    );
}

#[test]
fn what_is_kept_of_a_version_survives_a_file() {
    let previous = Previous::of(&file("proxies-with-classroom.domains")).unwrap();
    let text = serde_json::to_string(&previous).unwrap();
    assert_eq!(serde_json::from_str::<Previous>(&text).unwrap(), previous);
    let trips = judge(&file("proxies-with-classroom.domains"), None, &Limits::default());
    let text = serde_json::to_string(&trips).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Trip>>(&text).unwrap(), trips);
}

prop_compose! {
    fn any_survey()(
        entries in 0_u64..100_000,
        allow_share in 0_u64..=100,
        damaged in 0_u64..20_000,
        declared in prop::option::of(0_u64..100_000),
        kind in prop::sample::select(vec![
            FindingKind::PublicSuffix, FindingKind::Essential, FindingKind::Popular, FindingKind::Busy,
        ]),
        names in prop::collection::btree_set("[a-d]\\.example", 0..5),
    ) -> Survey {
        let skipped = vec![Skipped { reason: SkipReason::Syntax, count: damaged, first: Vec::new() }];
        let named = with_names(entries, kind, &names);
        Survey { allow: entries * allow_share / 100, skipped, declared, ..named }
    }
}

prop_compose! {
    fn any_limits()(
        shrink in 1_u32..=100,
        grow in 100_u32..1_000,
        damaged in 0_u32..=100,
        typical in prop::option::of(1_u64..100_000),
    ) -> Limits {
        Limits { minimum: 1, shrink, grow, damaged, typical }
    }
}

proptest! {
    #[test]
    fn an_unchanged_list_that_came_into_force_is_never_held(survey in any_survey(), limits in any_limits()) {
        prop_assume!(survey.entries >= limits.minimum);
        let accepted = Previous::of(&survey);
        prop_assert_eq!(judge(&survey, accepted.as_ref(), &limits), []);
    }

    #[test]
    fn a_bad_name_more_never_makes_a_list_better(
        survey in any_survey(), previous in prop::option::of(any_survey()), limits in any_limits(),
    ) {
        let previous = previous.as_ref().and_then(Previous::of);
        let before = judge(&survey, previous.as_ref(), &limits);
        let mut names = survey.hits.values().flatten().cloned().collect::<BTreeSet<_>>();
        names.insert("worse.example".into());
        let kind = *survey.hits.keys().next().unwrap_or(&FindingKind::Essential);
        let named = with_names(survey.entries, kind, &names);
        let worse = Survey { findings: named.findings, hits: named.hits, ..survey };
        let after = judge(&worse, previous.as_ref(), &limits);
        let without_names = |trips: &[Trip]| -> Vec<Trip> {
            trips.iter().filter(|trip| !matches!(trip, Trip::Names { .. })).cloned().collect()
        };
        let counted = |trips: &[Trip]| -> u64 {
            trips.iter().map(|trip| if let Trip::Names { count, .. } = trip { *count } else { 0 }).sum()
        };
        prop_assert_eq!(without_names(&after), without_names(&before));
        prop_assert_eq!(counted(&after), counted(&before) + 1);
    }

    #[test]
    fn a_list_that_lost_more_is_held_where_one_that_lost_less_is(
        before in 0_u64..100_000, now in 0_u64..100_000, less in 0_u64..100_000, limits in any_limits(),
    ) {
        let limits = Limits { typical: None, ..limits };
        let shrank = |now| judged(before, now, &limits).iter().any(|trip| matches!(trip, Trip::Shrank { .. }));
        let grew = |now| judged(before, now, &limits).iter().any(|trip| matches!(trip, Trip::Grew { .. }));
        let (low, high) = (now.min(less), now.max(less));
        prop_assert!(!shrank(high) || shrank(low));
        prop_assert!(!grew(low) || grew(high));
    }
}
