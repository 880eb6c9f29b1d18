//! policy.toml: read, written, and everything that can be wrong with it.

use super::*;

const BROKEN: &str = include_str!("../../../tests/data/policy/broken.toml");

fn problems(text: &str) -> Vec<String> {
    let file = PolicyFile::parse(text).unwrap();
    file.check(&Categories::shipped(), &tables(), Some(time(MORNING)))
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The one error that reading a text ends with.
fn unreadable(text: &str) -> String {
    PolicyFile::parse(text).unwrap_err().to_string()
}

#[test]
fn the_example_is_read_written_and_read_again_to_the_same() {
    let file = PolicyFile::parse(SCHOOL).unwrap();
    assert_eq!(PolicyFile::parse(&file.to_toml()).unwrap(), file, "{}", file.to_toml());
    let errors: Vec<String> =
        problems(SCHOOL).into_iter().filter(|problem| !problem.starts_with("warning")).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(file.profiles[1].categories["games"], Cell::AllowDuring("lunch".into()));
    assert_eq!(file.lists[0].format, None);
}

#[test]
fn the_shipped_policy_is_without_errors_and_survives_a_round_trip() {
    let file = PolicyFile::shipped();
    let found = file.validate(&Categories::shipped(), time(MORNING));
    assert!(found.iter().all(|problem| problem.severity == Severity::Warning), "{found:?}");
    assert_eq!(PolicyFile::parse(&file.to_toml()).unwrap(), file);
    let policy = Policy::build(&file, &knowledge(Vec::new())).unwrap();
    assert_eq!(policy.profile(policy.fallback()).0, "ks1");
    // Every category of every profile is written out.
    let categories = Categories::shipped();
    for profile in &file.profiles {
        for (_, category) in categories.iter().filter(|(_, category)| category.id != "uncategorised") {
            assert!(profile.categories.contains_key(&category.id), "{}: {}", profile.id, category.id);
        }
    }
}

#[test]
fn a_smallest_file_takes_the_shipped_states() {
    let text = "version = 1\n[[profile]]\nid = 'mine'\naudience = 'pupil'\n[[profile]]\nid = 'guest'\naudience = 'staff'\n";
    let lists = vec![list("l", "gambling", &["bets.example"]), list("n", "own-gone", &["gone.example"])];
    let policy = Policy::build(&PolicyFile::parse(text).unwrap(), &knowledge(lists)).unwrap();
    assert!(matches!(policy.ask("bets.example", "192.0.2.1", MORNING).reason, Reason::Category(_)));
    assert_eq!(policy.profile(policy.fallback()), ("mine", "mine"));
    // A list of an own category that was taken out says nothing.
    assert_eq!(policy.ask("gone.example", "192.0.2.1", MORNING).verdict, Verdict::Allow);
}

#[test]
fn a_list_of_a_category_that_does_not_exist_is_an_error() {
    let error =
        Policy::build(&PolicyFile::shipped(), &knowledge(vec![list("l", "gamblign", &["x.example"])]));
    assert!(error.unwrap_err().to_string().contains("gamblign"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let found = problems(BROKEN).join("\n") + "\n";
    let expected = include_str!("../../../tests/data/policy/broken.txt");
    assert_eq!(found, expected, "\n{found}");
    assert!(
        Policy::build_with(&PolicyFile::parse(BROKEN).unwrap(), &knowledge(Vec::new()), &tables()).is_err()
    );
}

#[test]
fn what_cannot_be_read_names_line_and_column_and_the_likely_word() {
    let cases = [
        ("version = 1\nschol = \"x\"\n", "line 2, column 1", "did you mean `school`?"),
        ("version = 1\n[[profile]]\nid = 'x'\naudience = 'pupils'\n", "line 4", "did you mean `pupil`?"),
        (
            "version = 1\n[[profile]]\nid = 'x'\naudience = 'pupil'\nsubnet = []\n",
            "line 5, column 1",
            "`subnets`",
        ),
        ("version = 1\n[[rule]]\naction = 'alow'\nname = 'x'\n", "line 3", "did you mean `allow`?"),
        ("version = 1\n[[profile]\n", "line 2", ""),
        (
            "version = 1\n[[list]]\nid='l'\ncategory='games'\nformat='adblok'\n",
            "line 5",
            "did you mean `adblock`?",
        ),
        ("version = 'one'\n", "line 1, column 11", ""),
        ("", "line 1", "version"),
        ("version = 2\n", "version: 2", "write version = 1"),
    ];
    for (text, place, hint) in cases {
        let said = unreadable(text);
        assert!(said.starts_with(place), "{text:?}: {said}");
        assert!(said.contains(hint), "{text:?}: {said}");
    }
}

#[test]
fn rules_on_locked_names_are_told_and_do_nothing() {
    let text = SCHOOL.to_owned() + "\n[[rule]]\naction = \"allow\"\nname = \"x.adult.example\"\n";
    let policy = school_with(&text);
    let found = policy.conflicts();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].severity, Severity::Error);
    assert_eq!(
        found[0].to_string(),
        "rule[3] (x.adult.example): x.adult.example is locked (adult); nothing opens a locked category: take the rule out"
    );
    assert!(matches!(policy.ask("x.adult.example", "10.20.2.5", MORNING).reason, Reason::Locked(_)));
    // For staff alone it is not locked, and the rule is fine.
    let text = SCHOOL.to_owned()
        + "\n[[rule]]\naction = \"allow\"\nname = \"x.adult.example\"\nprofiles = [\"staff\"]\n";
    assert_eq!(school_with(&text).conflicts(), []);
}

#[test]
fn what_a_new_policy_changes_is_said_and_what_it_loosens() {
    let old = PolicyFile::parse(SCHOOL).unwrap();
    assert_eq!(old.changes_to(&old, &Categories::shipped()), []);
    let new = SCHOOL
        .replace("name = \"noisy.example\"", "name = \"loud.example\"")
        .replace("games = { allow-during = \"lunch\" }", "games = \"block\"")
        .replace("shopping = { allow-for = \"office\" }", "shopping = \"allow\"")
        .replace("youtube = \"strict\"", "youtube = \"moderate\"")
        .replace("to = \"13:15\"", "to = \"14:00\"")
        .replace("10.20.9.0/24", "10.20.8.0/24")
        .replace("id = \"trial\"", "id = \"trial-2\"");
    let changes = old.changes_to(&PolicyFile::parse(&new).unwrap(), &Categories::shipped());
    let said: Vec<(&str, bool)> =
        changes.iter().map(|change| (change.what.as_str(), change.loosens)).collect();
    assert_eq!(
        said,
        [
            ("profile \"ks2\": youtube: moderate, was strict", true),
            ("profile \"ks2\": games: block, was allow during lunch", false),
            ("profile \"ks2\": shopping: allow, was allow for office", true),
            ("profile \"staff\": subnet 10.20.8.0/24: added", true),
            ("profile \"staff\": subnet 10.20.9.0/24: removed", true),
            ("profile \"trial-2\": added", true),
            ("profile \"trial\": removed; its clients get another one", true),
            ("schedule \"lunch\": changed", true),
            ("rule: block loud.example: added", false),
            ("rule: block noisy.example: removed", true),
        ]
    );
}

#[test]
fn a_list_of_the_schools_own_loosens_unless_names_are_only_added() {
    let with = |action: Action, text: &str| {
        let mut file = PolicyFile::parse(SCHOOL).unwrap();
        let mut list = ListFile::new("ours".into(), "Ours".into(), "games".into());
        (list.action, list.text) = (action, Some(text.to_owned()));
        file.lists.push(list);
        file
    };
    let loosens = |action: Action, old: &str, new: &str| {
        let said = with(action, old).loosens(&with(action, new), &Categories::shipped(), time(MORNING));
        !said.is_empty()
    };
    let old = "# ours\na.example\nb.example\n";
    for (new, expected) in [
        ("# theirs\n\nb.example\na.example\nc-1.example\n", false),
        ("a.example\n", true),
        ("a.example\nb.example\n@@c.example\n", true),
        ("a.example\nb.example\n||c.example^\n", true),
        ("a.example\nb.example\n0.0.0.0 c.example\n", true),
        ("a.example\n#b.example\n", true),
    ] {
        assert_eq!(loosens(Action::Block, old, new), expected, "{new}");
    }
    assert!(loosens(Action::Allow, old, "a.example\nb.example\nc.example\n"), "it opens names");
    assert!(!loosens(Action::Block, old, old));
}
