use proptest::prelude::*;

use super::*;
use crate::lists::{Format, source::Source};

fn compare(old: &str, new: &str, format: Format, most: usize, asked: &dyn Fn(&Key) -> Option<u64>) -> Diff {
    let (old, new) = (source(old), source(new));
    let reading = |source| Reading { source, format: Some(format), mode: MatchMode::Subdomains };
    let (old, new) = (reading(&old), reading(&new));
    let prints = (Fingerprints::of(&old).unwrap(), Fingerprints::of(&new).unwrap());
    diff(&Version { list: old, prints: &prints.0 }, &Version { list: new, prints: &prints.1 }, most, asked)
        .unwrap()
}

fn source(text: &str) -> Source {
    Source::bytes("a list", text.as_bytes().to_vec())
}

fn never(_: &Key) -> Option<u64> {
    None
}

fn names(changes: &Changes) -> Vec<&str> {
    changes.first.iter().map(|change| change.entry.as_str()).collect()
}

#[test]
fn names_that_came_and_went_are_told_in_order() {
    let old = "b.example\na.example\ngone.example\n";
    let new = "# changed\nnew.test\na.example\nb.example\nwww.new.example\nnew.example\nnew.test\n";
    let diff = compare(old, new, Format::Domains, 10, &never);
    assert_eq!((diff.added.count, diff.removed.count), (3, 1));
    assert_eq!(names(&diff.added), ["new.example", "www.new.example", "new.test"]);
    assert_eq!(names(&diff.removed), ["gone.example"]);
}

#[test]
fn a_name_and_a_name_server_of_that_name_are_two_things() {
    let asked = |_: &Key| Some(7);
    let diff = compare("a.example CNAME .\n", "a.example.rpz-nsdname CNAME .\n", Format::Rpz, 10, &asked);
    assert_eq!((diff.added.count, diff.removed.count), (1, 1));
    let told = diff.to_string();
    assert!(told.contains("+ a.example, as a name server, this name alone\n"), "{told}");
    assert!(told.contains("- a.example, this name alone, asked 7 times lately\n"), "{told}");
}

#[test]
fn all_is_counted_and_no_more_is_named_than_asked_for() {
    let new: String = (0..100).map(|n| format!("n{n:03}.example\n")).collect();
    let diff = compare("", &new, Format::Domains, 3, &never);
    assert_eq!(diff.added.count, 100);
    assert_eq!(names(&diff.added), ["n000.example", "n001.example", "n002.example"]);
    assert!(diff.to_string().contains("100 added\n  + n000.example\n"), "{diff}");
    assert!(diff.to_string().contains("    and 97 more\n0 removed\n"), "{diff}");
    let none = compare("", &new, Format::Domains, 0, &never);
    assert_eq!((none.added.count, none.added.first.len()), (100, 0));
}

#[test]
fn what_is_asked_most_comes_first() {
    let asked = |key: &Key| match key.to_string().as_str() {
        "maths.example" => Some(412),
        "quiz.example" => Some(1),
        "a.example" => Some(0),
        _ => None,
    };
    let diff = compare("", "a.example\nquiz.example\nmaths.example\nb.example\n", Format::Domains, 2, &asked);
    assert_eq!(names(&diff.added), ["maths.example", "quiz.example"]);
    assert!(diff.to_string().contains("+ maths.example, asked 412 times lately\n"), "{diff}");
    assert!(diff.to_string().contains("+ quiz.example, asked once lately\n"), "{diff}");
}

#[test]
fn reach_and_meaning_are_part_of_an_entry() {
    let old = "a.example CNAME .\nb.example CNAME .\n24.0.2.0.192.rpz-ip CNAME .\n";
    let new = "*.a.example CNAME .\nb.example CNAME rpz-passthru.\n24.0.2.0.192.rpz-ip CNAME .\n";
    let diff = compare(old, new, Format::Rpz, 10, &never);
    assert_eq!(
        diff.to_string(),
        "2 added\n  + a.example\n  + b.example, this name alone, opens\n\
         2 removed\n  - a.example, this name alone\n  - b.example, this name alone\n"
    );
}

#[test]
fn an_address_is_an_entry_too() {
    let diff = compare("192.0.2.1\n", "192.0.2.1\n198.51.100.0/24\n", Format::Addresses, 10, &never);
    assert_eq!(names(&diff.added), ["198.51.100.0/24"]);
}

#[test]
fn nothing_changed_is_said() {
    let diff =
        compare("a.example\nb.example\n", "b.example\na.example\na.example\n", Format::Domains, 10, &never);
    assert_eq!(diff.to_string(), "nothing changed\n");
    assert_eq!(serde_json::to_value(&diff).unwrap()["added"]["count"], 0);
}

proptest! {
    #[test]
    fn a_difference_is_that_of_the_sets(
        old in prop::collection::btree_set("[a-d]{1,3}\\.example", 0..30),
        new in prop::collection::btree_set("[a-d]{1,3}\\.example", 0..30),
    ) {
        let text = |names: &BTreeSet<String>| names.iter().fold(String::new(), |text, name| text + name + "\n");
        let diff = compare(&text(&old), &text(&new), Format::Domains, 100, &never);
        let added: BTreeSet<_> = diff.added.first.iter().map(|c| c.entry.clone()).collect();
        let removed: BTreeSet<_> = diff.removed.first.iter().map(|c| c.entry.clone()).collect();
        prop_assert_eq!(added, new.difference(&old).cloned().collect::<BTreeSet<_>>());
        prop_assert_eq!(removed, old.difference(&new).cloned().collect::<BTreeSet<_>>());
        prop_assert_eq!(diff.added.count, diff.added.first.len() as u64);
        prop_assert_eq!(diff.removed.count, diff.removed.first.len() as u64);
    }
}
