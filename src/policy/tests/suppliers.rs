//! Who supplies the categories that are locked for everyone.

use super::*;

const NOW: &str = "2026-11-25T23:30:00Z";

fn file(more: &str) -> PolicyFile {
    PolicyFile::parse(&format!("{SCHOOL}\n{more}")).unwrap()
}

fn problems(more: &str) -> Vec<String> {
    let about = |problem: &Problem| problem.place.starts_with("supplier") || problem.place.contains("feed");
    file(more)
        .validate(&Categories::shipped(), time(NOW))
        .into_iter()
        .filter(about)
        .map(|problem| problem.to_string())
        .collect()
}

fn supplier(category: &str, rest: &str) -> String {
    format!("[[supplier]]\ncategory = \"{category}\"\n{rest}\n")
}

const FEED: &str = "[[list]]\nid = \"feed\"\ncategory = \"illegal-child-abuse\"\nupload = true\n";

#[test]
fn a_statement_that_is_right_and_fresh_has_no_problem() {
    let good = "by = \"feed\"\nwho = \"Trust\"\nverified = 2026-11-20";
    assert_eq!(problems(&format!("{FEED}{}", supplier("illegal-child-abuse", good))), [""; 0]);
    assert_eq!(problems(&supplier("illegal-terrorism", "by = \"nobody\"")), [""; 0]);
    assert_eq!(problems(""), [""; 0]);
}

#[test]
fn what_is_wrong_with_a_statement_is_told() {
    let upstream = |rest: &str| format!("by = \"upstream\"\nwho = \"RBC\"\n{rest}");
    for (text, start) in [
        (
            supplier("illegal-child-abus", "by = \"nobody\""),
            "supplier of \"illegal-child-abus\": there is no category",
        ),
        (supplier("adult", "by = \"nobody\""), "supplier of \"adult\": adult is not locked for everyone"),
        (
            supplier("illegal-piracy", "by = \"nobody\"").repeat(2),
            "supplier of \"illegal-piracy\": it is there twice",
        ),
        (
            supplier("illegal-piracy", &upstream("verified = 2026-11-20T10:00:00Z")),
            "supplier of \"illegal-piracy\": verified: 2026-11-20T10:00:00Z is no day",
        ),
        (
            supplier("illegal-piracy", "by = \"feed\"\nwho = \"X\"\nverified = 2026-11-20"),
            "warning: supplier of \"illegal-piracy\": a feed is said to supply it, and no list of the policy does",
        ),
        (
            supplier("illegal-piracy", "by = \"upstream\"\nverified = 2026-11-20"),
            "warning: supplier of \"illegal-piracy\": it does not say who",
        ),
        (
            supplier("illegal-piracy", &upstream("")),
            "warning: supplier of \"illegal-piracy\": nobody has verified it yet",
        ),
        (
            supplier("illegal-piracy", &upstream("verified = 2026-08-26")),
            "warning: supplier of \"illegal-piracy\": it was last verified on 2026-08-26, 91 days ago",
        ),
        (
            supplier("illegal-piracy", &upstream("verified = 2026-11-26")),
            "warning: supplier of \"illegal-piracy\": verified: 2026-11-26 is still to come",
        ),
    ] {
        let problems = problems(&text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].starts_with(start), "{}", problems[0]);
    }
    assert_eq!(problems(&supplier("illegal-piracy", &upstream("verified = 2026-08-27"))), [""; 0], "90 days");
}

#[test]
fn a_locked_list_is_not_written_in_the_policy() {
    let text = "[[list]]\nid = \"feed\"\ncategory = \"illegal-terrorism\"\ntext = \"worst.test\"\n";
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("must lie nowhere in clear"), "{}", problems[0]);
}

#[test]
fn who_supplies_what_is_known_for_each_category() {
    let stated = supplier("illegal-child-abuse", "by = \"feed\"\nwho = \"Trust\"\nverified = 2026-08-01")
        + &supplier(
            "illegal-terrorism",
            "by = \"upstream\"\nwho = \"RBC\"\nverified = 2026-11-24\nverified_by = \"A. Head\"",
        );
    let supplied = file(&format!("{FEED}{stated}")).suppliers(&Categories::shipped(), time(NOW));
    let facts: Vec<_> = supplied
        .iter()
        .map(|s| (s.category.as_str(), s.by, s.stated, s.days_ago, s.overdue, s.lists.len()))
        .collect();
    assert_eq!(
        facts,
        [
            ("illegal-child-abuse", Supply::Feed, true, Some(116), true, 1),
            ("illegal-terrorism", Supply::Upstream, true, Some(1), false, 0),
            ("illegal-piracy", Supply::Nobody, false, None, false, 0),
        ]
    );
    assert_eq!(supplied[1].verified_by, "A. Head");
}

#[test]
fn a_statement_that_changes_is_told_and_loosens_nothing() {
    let changes = |old: &str, new: &str| -> Vec<String> {
        let changes = file(old).changes_to(&file(new), &Categories::shipped());
        assert!(changes.iter().all(|change| !change.loosens), "{changes:?}");
        changes.into_iter().map(|change| change.what).collect()
    };
    let nobody = supplier("illegal-piracy", "by = \"nobody\"");
    let upstream = supplier("illegal-piracy", "by = \"upstream\"\nwho = \"RBC\"\nverified = 2026-11-24");
    let noted = supplier("illegal-piracy", "by = \"nobody\"\nnote = \"asked\"");
    assert_eq!(changes("", &nobody), ["supplier of illegal-piracy: nobody"]);
    assert_eq!(changes(&nobody, &nobody), [""; 0]);
    assert_eq!(
        changes(&nobody, &upstream),
        ["supplier of illegal-piracy: upstream, RBC, verified 2026-11-24, was nobody"]
    );
    assert_eq!(changes(&nobody, &noted), ["supplier of illegal-piracy: note changed"]);
    assert_eq!(changes(&upstream, ""), ["supplier of illegal-piracy: not stated any more"]);
}

#[test]
fn statements_come_back_from_their_text() {
    let text = supplier(
        "illegal-piracy",
        "by = \"upstream\"\nwho = \"RBC\"\nverified = 2026-11-24\nverified_by = \"A. Head\"\nnote = \"test page\"",
    );
    let file = file(&text);
    assert_eq!(PolicyFile::parse(&file.to_toml()).unwrap(), file);
}
