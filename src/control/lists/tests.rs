//! Lists through what an administrator does with them, and what a box goes through.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::{clock::Clock, control::EditAsked, feeds::Feeds, lists::DomainIndex};

/// A box with a folder of its own, and files that its lists are read from.
struct School {
    folder: TempDir,
}

impl School {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn open(&self) -> Control {
        let clock = Clock::system();
        let lookup = Arc::new(feeds::http::SystemLookup);
        let feeds = Feeds::new(&feeds::Config::default(), lookup, clock.clone()).unwrap();
        fs::create_dir_all(self.data()).unwrap();
        Control::open(&self.data(), clock, feeds, 5).unwrap()
    }

    /// A file that a list is read from.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// A policy with these lists, each with its category and where it comes from.
    fn policy(&self, lists: &[(&str, &str, &str)]) -> String {
        let lists = lists.iter().map(|(id, category, from)| {
            format!("[[list]]\nid = \"{id}\"\ncategory = \"{category}\"\n{from}\n")
        });
        format!(
            "version = 1\nschool = \"Elm Lane\"\n[[profile]]\nid = \"pupils\"\nsubnets = [\"127.0.0.0/8\"]\n\
             audience = \"pupil\"\n[[profile]]\nid = \"staff\"\nname = \"Staff\"\naudience = \"staff\"\n{}",
            lists.collect::<String>()
        )
    }
}

async fn import(control: &Control, policy: &str) {
    control.import("policy.toml", policy, "a test", false).await.unwrap();
}

/// The lists in force that have a name.
fn listed(control: &Control, name: &str) -> Vec<String> {
    control.why(name).unwrap().lists.into_iter().map(|on| on.list).collect()
}

/// Whether these bytes stand in clear in some file of a folder, forwards or backwards.
fn clear_in(folder: &Path, text: &str) -> Option<PathBuf> {
    let backwards: String = text.chars().rev().collect();
    fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() {
            return clear_in(&path, text);
        }
        let bytes = fs::read(&path).unwrap();
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        (has(text) || has(&backwards)).then_some(path)
    })
}

#[tokio::test]
async fn a_list_that_becomes_one_not_to_be_shown_leaves_the_indexes_on_disk() {
    let school = School::new();
    let (bets, grim) = (school.file("bets", "bets.example\n"), school.file("grim", "grimmest.test\n"));
    let (bets, grim) = (format!("file = {bets:?}"), format!("file = {grim:?}"));
    let control = school.open();
    import(&control, &school.policy(&[("bets", "gambling", &bets)])).await;
    import(&control, &school.policy(&[("bets", "gambling", &bets), ("grim", "adult", &grim)])).await;
    assert!(clear_in(&school.data().join("lists"), "grimmest").is_some(), "as any list is");
    // The index before the one in force is made of what is wanted now, and takes its place.
    import(&control, &school.policy(&[("bets", "gambling", &bets), ("grim", "illegal-child-abuse", &grim)]))
        .await;
    assert_eq!(listed(&control, "bets.example"), ["bets"]);
    assert_eq!(listed(&control, "grimmest.test"), ["grim"]);
    assert_eq!(clear_in(&school.data().join("lists"), "grimmest"), None);
    for index in ["index.sgi", "index.previous.sgi"] {
        let Ok(index) = DomainIndex::open(&school.data().join("lists").join(index)) else { continue };
        assert!(index.lists().iter().all(|list| list.id != "grim"), "{:?}", index.lists());
    }
}

#[tokio::test]
async fn a_list_that_becomes_one_not_to_be_shown_leaves_nothing_beside_its_versions() {
    let school = School::new();
    let text = school.file("grim", "grimmest.test\n");
    let from = format!("file = {text:?}");
    let control = school.open();
    import(&control, &school.policy(&[("grim", "adult", &from)])).await;
    // One that is held for a name, which the reason tells.
    school.file("grim", "grimmest.test\nwikipedia.org\n");
    let update = control.update_lists(&[], "a test", false).await.unwrap();
    assert_eq!(update.lists[0].outcome, Outcome::Held, "{update}");
    // What a transfer and a download that broke off leave.
    let folder = school.data().join("lists/grim");
    for left in ["zone", "incoming.part", "incoming.part.json", "rules"] {
        fs::write(folder.join(left), "grimmest.test CNAME .\n").unwrap();
    }
    import(&control, &school.policy(&[("grim", "illegal-child-abuse", &from)])).await;
    assert_eq!(listed(&control, "grimmest.test"), ["grim"]);
    for name in ["grimmest", "wikipedia"] {
        assert_eq!(clear_in(&school.data().join("lists"), name), None);
        let status = serde_json::to_string(&control.lists()).unwrap();
        assert!(!status.contains(name), "{status}");
    }
    assert!(control.lists().lists[0].subscription.as_ref().unwrap().held.is_some(), "it waits still");
}

#[tokio::test]
async fn a_version_that_is_damaged_holds_up_neither_its_list_nor_others() {
    let school = School::new();
    let (bets, games) = (school.file("bets", "bets.example\n"), school.file("games", "games.example\n"));
    let lists = |second: &str| {
        school.policy(&[("bets", "gambling", &format!("file = {bets:?}")), ("games", "games", second)])
    };
    let control = school.open();
    import(&control, &lists(&format!("file = {games:?}"))).await;
    let folder = school.data().join("lists/bets");
    fs::write(folder.join("000001.gz"), b"\x1f\x8b\x08 torn").unwrap();
    fs::remove_file(folder.join("rules")).unwrap();

    // Another list has news: until its own text is whole again, the one that is damaged stays as it is in force.
    school.file("games", "games.example\nplays.example\n");
    let _ = control.update_lists(&[String::from("games")], "a test", false).await;
    assert_eq!(listed(&control, "bets.example"), ["bets"]);

    // The same text comes again.
    let update = control.update_lists(&[String::from("bets")], "a test", false).await.unwrap();
    assert_eq!(update.lists[0].outcome, Outcome::New, "{update}");
    assert_eq!(listed(&control, "bets.example"), ["bets"]);
    assert_eq!(listed(&control, "plays.example"), ["games"]);
}

#[tokio::test]
async fn a_damaged_version_is_no_reason_to_refuse_the_next_but_still_what_it_is_judged_by() {
    let school = School::new();
    let text = (0..100).map(|n| format!("bets{n}.example\n")).collect::<String>();
    let bets = school.file("bets", &text);
    let control = school.open();
    import(&control, &school.policy(&[("bets", "gambling", &format!("file = {bets:?}"))])).await;
    fs::write(school.data().join("lists/bets/000001.gz"), b"\x1f\x8b\x08 torn").unwrap();
    school.file("bets", &(text.clone() + "more.example\n"));
    let update = control.update_lists(&[], "a test", false).await.unwrap();
    assert_eq!(update.lists[0].outcome, Outcome::New, "{update}");
    assert_eq!(listed(&control, "more.example"), ["bets"]);

    fs::write(school.data().join("lists/bets/000002.gz"), b"\x1f\x8b\x08 torn").unwrap();
    school.file("bets", "bets0.example\n");
    let update = control.update_lists(&[], "a test", false).await.unwrap();
    assert_eq!(update.lists[0].outcome, Outcome::Held, "{update}");
}

#[tokio::test]
async fn a_lost_key_keeps_the_lists_under_it_out_and_no_others_until_they_come_again() {
    let school = School::new();
    let (grim, games) = (school.file("grim", "grimmest.test\n"), school.file("games", "games.example\n"));
    let (grim, games) = (format!("file = {grim:?}"), format!("file = {games:?}"));
    let policy = school.policy(&[("grim", "illegal-child-abuse", &grim), ("games", "games", &games)]);
    import(&school.open(), &policy).await;
    fs::write(school.data().join("secret.key"), [7; 32]).unwrap();

    let control = school.open();
    control.catch_up().await;
    assert_eq!(listed(&control, "grimmest.test"), [""; 0], "nothing can open it");
    school.file("games", "games.example\nplays.example\n");
    control.update_lists(&[String::from("games")], "a test", false).await.unwrap();
    assert_eq!(listed(&control, "plays.example"), ["games"]);
    assert_eq!(control.version_number("grim"), None);
    assert!(!control.library.is_stale(&control.in_force().0.lists, &control.state().indexes));

    let update = control.update_lists(&[String::from("grim")], "a test", false).await.unwrap();
    assert_eq!(update.lists[0].outcome, Outcome::New, "{update}");
    assert_eq!(listed(&control, "grimmest.test"), ["grim"]);
    assert_eq!(listed(&school.open(), "grimmest.test"), ["grim"], "nor at the next start");
}

#[tokio::test]
async fn a_version_that_is_lost_stays_in_force_as_it_was_compiled() {
    let school = School::new();
    let (bets, games) = (school.file("bets", "bets.example\n"), school.file("games", "games.example\n"));
    let (from, games) = (format!("file = {bets:?}"), format!("file = {games:?}"));
    import(&school.open(), &school.policy(&[("bets", "gambling", &from), ("games", "games", &games)])).await;
    fs::remove_file(school.data().join("lists/bets/000001.gz")).unwrap();
    fs::remove_file(&bets).unwrap();

    let control = school.open();
    control.catch_up().await;
    school.file("games", "games.example\nplays.example\n");
    let error = control.update_lists(&[String::from("games")], "a test", false).await.unwrap_err();
    assert!(error.to_string().contains("schoolgate lists update bets"), "{error}");
    assert_eq!(listed(&control, "bets.example"), ["bets"]);
    school.file("bets", "bets.example\n");
    control.update_lists(&[String::from("bets")], "a test", false).await.unwrap();
    assert_eq!(listed(&control, "bets.example"), ["bets"]);
    assert_eq!(listed(&control, "plays.example"), ["games"]);
}

#[tokio::test]
async fn with_the_index_lost_too_all_lists_that_can_be_read_are_in_force() {
    let school = School::new();
    let (bets, games) = (school.file("bets", "bets.example\n"), school.file("games", "games.example\n"));
    let (from, games) = (format!("file = {bets:?}"), format!("file = {games:?}"));
    import(&school.open(), &school.policy(&[("bets", "gambling", &from), ("games", "games", &games)])).await;
    let lists = school.data().join("lists");
    fs::write(lists.join("bets/000001.gz"), b"\x1f\x8b\x08 torn").unwrap();
    fs::remove_file(lists.join("bets/rules")).unwrap();
    fs::remove_file(lists.join("index.sgi")).unwrap();

    let control = school.open();
    assert!(control.lacks_its_lists());
    control.catch_up().await;
    assert_eq!(listed(&control, "games.example"), ["games"]);
    assert_eq!((control.version_number("games"), control.version_number("bets")), (Some(1), None));
    assert!(!control.library.is_stale(&control.in_force().0.lists, &control.state().indexes));
    control.update_lists(&[String::from("bets")], "a test", false).await.unwrap();
    assert_eq!(listed(&control, "bets.example"), ["bets"]);
}

#[tokio::test]
async fn a_change_that_can_not_be_put_in_force_changes_no_books() {
    let school = School::new();
    let bets = school.file("bets", "bets.example\n");
    let control = school.open();
    import(&control, &school.policy(&[("bets", "gambling", &format!("file = {bets:?}"))])).await;
    school.file("bets", "bets.example\nmore.example\n");
    control.update_lists(&[], "a test", false).await.unwrap();
    school.file("bets", "bets.example\nwikipedia.org\n");
    control.update_lists(&[], "a test", false).await.unwrap();
    let lists = school.data().join("lists");
    for torn in ["bets/000001.gz", "bets/000003.held.gz"] {
        fs::write(lists.join(torn), b"\x1f\x8b\x08 torn").unwrap();
    }
    fs::remove_file(lists.join("index.previous.sgi")).unwrap();

    let before = control.library.shelf.state("bets");
    assert_eq!((before.in_force, before.held.as_ref().unwrap().version), (Some(2), 3));
    let why = EditAsked { reason: String::from("a test"), ..EditAsked::default() };
    control.roll_back("bets", None, &why).await.unwrap_err();
    assert_eq!(control.library.shelf.state("bets"), before);
    control.accept_lists(&[String::from("bets")], &why).await.unwrap_err();
    assert_eq!(control.library.shelf.state("bets"), before);
    assert_eq!(listed(&control, "more.example"), ["bets"]);
}

/// A version of a list is taken in and not put in force, as when the disk is full for a moment.
async fn take_in_only(control: &Control, id: &str) {
    let fetched = control.fetch(control.one(id).unwrap()).await.unwrap();
    let updated = control.taken_in(vec![fetched], Manner::Keep).await.unwrap();
    assert_eq!(updated[0].outcome, Outcome::New);
}

#[tokio::test]
async fn what_could_not_be_put_in_force_is_tried_again_when_nothing_new_comes() {
    let school = School::new();
    let bets = school.file("bets", "bets.example\n");
    let control = Arc::new(school.open());
    import(&control, &school.policy(&[("bets", "gambling", &format!("file = {bets:?}"))])).await;
    school.file("bets", "bets.example\nmore.example\n");
    take_in_only(&control, "bets").await;
    assert_eq!(listed(&control, "more.example"), [""; 0]);
    assert!(control.round().await);
    assert_eq!(listed(&control, "more.example"), ["bets"]);
}

#[tokio::test]
async fn what_was_fetched_for_a_list_that_was_changed_meanwhile_is_not_taken_in() {
    let school = School::new();
    let (old, new) = (school.file("old", "bets.example\n"), school.file("new", "slots.example\n"));
    let lists = |from| school.policy(&[("bets", "gambling", &format!("file = {from:?}"))]);
    let control = school.open();
    import(&control, &lists(&old)).await;
    school.file("old", "bets.example\nmore.example\n");
    let fetched = control.fetch(control.one("bets").unwrap()).await.unwrap();
    import(&control, &lists(&new)).await;
    control.take_in(vec![fetched], Manner::Keep, "a test").await.unwrap();
    assert_eq!(listed(&control, "slots.example"), ["bets"]);
    assert_eq!(listed(&control, "more.example"), [""; 0]);
}

#[tokio::test]
async fn a_policy_that_is_refused_changes_no_list() {
    let school = School::new();
    let (games, grim) = (school.file("games", "games.example\n"), school.file("grim", "grimmest.test\n"));
    let (games, grim) = (format!("file = {games:?}"), format!("file = {grim:?}"));
    let policy = |own: &str, more: &[(&str, &str, &str)]| {
        let own = format!("text = \"{own}\\n\"");
        school.policy(&[&[("own", "gambling", own.as_str()), ("games", "games", &games)], more].concat())
    };
    let control = school.open();
    import(&control, &policy("bets.example", &[])).await;
    // It is refused for a name of a list that it brings, so after its lists were read.
    let wrong = policy("slots.example", &[("grim", "illegal-child-abuse", &grim)])
        + "[[rule]]\nname = \"grimmest.test\"\naction = \"allow\"\n";
    control.import("policy.toml", &wrong, "a test", false).await.unwrap_err();

    school.file("games", "games.example\nplays.example\n");
    control.update_lists(&[String::from("games")], "a test", false).await.unwrap();
    assert_eq!(listed(&control, "plays.example"), ["games"]);
    assert_eq!(listed(&control, "slots.example"), [""; 0]);
    assert_eq!(listed(&control, "bets.example"), ["own"]);
}

#[tokio::test]
async fn a_list_of_the_school_is_what_its_policy_says_also_after_a_power_cut() {
    let school = School::new();
    let text = |names: &str| school.policy(&[("own", "gambling", &format!("text = \"{names}\""))]);
    let control = school.open();
    import(&control, &text("bets.example\\n")).await;
    // The power goes after the text was taken in and before the policy that has it is published.
    let other = PolicyFile::parse(&text("slots.example\\n")).unwrap();
    control.bring_new(other.lists).await.unwrap();
    drop(control);

    let control = school.open();
    control.catch_up().await;
    assert_eq!(listed(&control, "slots.example"), [""; 0]);
    assert_eq!(listed(&control, "bets.example"), ["own"]);
}

#[tokio::test]
async fn a_list_from_another_place_is_asked_for_at_once() {
    let school = School::new();
    let url = |host: &str| format!("url = \"https://{host}.test/bets\"");
    let control = school.open();
    import(&control, &school.policy(&[("bets", "gambling", &url("old"))])).await;
    let list = control.one("bets").unwrap();
    let now = control.clock.now();
    let tried = State {
        source: intake::fingerprint(&list),
        last_attempt: Some(now),
        failures: 9,
        ..State::default()
    };
    assert!(control.next_try(&list, &tried).unwrap() > now, "with patience");
    import(&control, &school.policy(&[("bets", "gambling", &url("new"))])).await;
    assert!(control.next_try(&control.one("bets").unwrap(), &tried).unwrap() <= control.clock.now());

    let lost = State { failures: 0, ..tried };
    assert!(control.next_try(&list, &lost).unwrap() <= control.clock.now(), "and so is one that was lost");
}

#[tokio::test]
async fn a_list_that_is_brought_by_hand_is_as_old_as_when_it_was_brought() {
    let school = School::new();
    let control = school.open();
    import(&control, &school.policy(&[("bets", "gambling", "upload = true")])).await;
    control.upload("bets", &school.file("bets", "bets.example\n"), false, "a test").await.unwrap();
    let before = control.library.shelf.state("bets");
    let update = control.update_lists(&[], "a test", false).await.unwrap();
    assert_eq!(update.lists[0].outcome, Outcome::Unchanged);
    assert_eq!(control.library.shelf.state("bets"), before);
}

#[tokio::test]
async fn what_another_list_tells_of_a_name_that_must_not_be_shown_is_masked_too() {
    let school = School::new();
    let grim = school.file("grim", "grimmest.test\nwikipedia.org\n");
    let bets = school.file("bets", "0.0.0.0 bets.example\n");
    let (grim, from) = (format!("file = {grim:?}"), format!("file = {bets:?}"));
    let control = school.open();
    import(&control, &school.policy(&[("grim", "illegal-child-abuse", &grim), ("bets", "gambling", &from)]))
        .await;
    let masked = |said: &str| {
        assert!(said.contains("locked:"), "{said}");
        assert!(!said.contains("grimmest") && !said.contains("wikipedia"), "{said}");
    };
    school.file("bets", "0.0.0.0 bets.example grimmest.test\n");
    masked(&control.update_lists(&[], "a test", true).await.unwrap().to_string());
    control.update_lists(&[], "a test", false).await.unwrap();
    masked(&control.diff("bets", None, None, 10).await.unwrap().to_string());
    masked(&control.why("bets.example").unwrap().to_string());
    school.file("bets", "0.0.0.0 bets.example grimmest.test wikipedia.org\n");
    masked(&control.update_lists(&[], "a test", false).await.unwrap().to_string());
    masked(&control.lists().to_string());
}
