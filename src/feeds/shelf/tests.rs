use std::{collections::BTreeMap, io::Read, sync::Arc};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + second).unwrap()
}

fn text_of(shelf: &Shelf, id: &str, number: u32) -> String {
    let mut text = String::new();
    shelf.source(id, number).unwrap().text().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// The numbers of the files of versions, each with whether it is held.
fn files(shelf: &Shelf) -> Vec<(u32, bool)> {
    shelf.files("bets").unwrap().into_iter().map(|kind| (kind.number, kind.held)).collect()
}

fn draft(shelf: &Shelf, text: &str) -> Draft {
    shelf.draft("bets", &Source::bytes("bets", text.as_bytes().to_vec()), false).unwrap()
}

fn add(shelf: &Shelf, state: &mut State, text: &str) -> u32 {
    shelf.add("bets", state, &draft(shelf, text), Version { at: at(0), ..Version::default() }, None).unwrap()
}

fn hold(shelf: &Shelf, state: &mut State, text: &str) -> u32 {
    let held = Some((at(1), vec![String::from("it shrank")]));
    shelf.add("bets", state, &draft(shelf, text), Version::default(), held).unwrap()
}

#[test]
fn the_last_versions_are_kept_and_can_be_read() {
    let folder = TempDir::new().unwrap();
    let shelf = Shelf::new(folder.path(), 3, None);
    let mut state = shelf.state("bets");
    assert_eq!(state, State::default());
    for n in 1..=5 {
        assert_eq!(add(&shelf, &mut state, &format!("bets{n}.example\n")), n);
    }
    assert_eq!(shelf.state("bets"), state, "what was saved is what is read");
    assert_eq!(state.versions.iter().map(|v| v.number).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(state.in_force, Some(5));
    assert_eq!(state.before_current().unwrap().number, 4);
    assert_eq!(text_of(&shelf, "bets", 4), "bets4.example\n");
    assert_eq!(files(&shelf), [(3, false), (4, false), (5, false)]);
    assert_eq!(state.current().unwrap().bytes, 14);
    let sum = ring::digest::digest(&SHA256, b"bets5.example\n");
    let hex: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(state.current().unwrap().digest, hex);
}

#[test]
fn a_held_version_waits_and_can_be_accepted() {
    let folder = TempDir::new().unwrap();
    let shelf = Shelf::new(folder.path(), 3, None);
    let mut state = shelf.state("bets");
    add(&shelf, &mut state, "one.example\n");
    assert_eq!(hold(&shelf, &mut state, "two.example\n"), 2);
    assert_eq!(state.in_force, Some(1));
    assert_eq!(state.held.as_ref().unwrap().reasons, ["it shrank"]);
    assert_eq!(hold(&shelf, &mut state, "three.example\n"), 3, "a newer one takes its place");
    assert_eq!(state.versions.iter().map(|v| v.number).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(files(&shelf), [(1, false), (3, true)]);
    assert_eq!(text_of(&shelf, "bets", 3), "three.example\n");
    assert_eq!(shelf.accept("bets", &mut state).unwrap(), Some(3));
    shelf.save("bets", &state).unwrap();
    assert_eq!(files(&shelf), [(1, false), (3, false)]);
    assert_eq!((state.in_force, &state.held), (Some(3), &None));
    assert_eq!(shelf.accept("bets", &mut state).unwrap(), None);
}

#[test]
fn a_lost_or_damaged_record_is_made_up_from_the_good_versions() {
    let folder = TempDir::new().unwrap();
    let shelf = Shelf::new(folder.path(), 3, None);
    let mut state = shelf.state("bets");
    add(&shelf, &mut state, "one.example\n");
    add(&shelf, &mut state, "two.example\n");
    hold(&shelf, &mut state, "three.example\n");
    for damage in [&b""[..], b"{\"versions\": 7}", b"\xff\xfe"] {
        fs::write(shelf.state_file("bets"), damage).unwrap();
        let found = shelf.state("bets");
        assert_eq!(found.in_force, Some(2), "the held one is not taken for good");
        assert_eq!(found.versions.iter().map(|v| v.number).collect::<Vec<_>>(), [1, 2]);
    }
    fs::remove_file(shelf.state_file("bets")).unwrap();
    assert_eq!(shelf.state("bets").in_force, Some(2));
}

#[test]
fn a_version_that_is_gone_from_the_disk_is_not_in_force() {
    let folder = TempDir::new().unwrap();
    let shelf = Shelf::new(folder.path(), 5, None);
    let mut state = shelf.state("bets");
    for n in 1..=3 {
        add(&shelf, &mut state, &format!("bets{n}.example\n"));
    }
    fs::remove_file(shelf.file("bets", Kind { number: 3, held: false, sealed: false })).unwrap();
    let found = shelf.state("bets");
    assert_eq!(found.in_force, Some(2));
    assert_eq!(found.versions.len(), 2);
    assert_eq!(add(&shelf, &mut shelf.state("bets"), "new.example\n"), 3);
}

#[test]
fn an_archive_is_kept_as_the_text_of_its_part() {
    let folder = TempDir::new().unwrap();
    let shelf = Shelf::new(folder.path(), 3, None);
    let tree = folder.path().join("blacklists");
    for (category, usage, names) in
        [("adult", "black", "a.example\nb.example"), ("bank", "white", "c.example\n")]
    {
        fs::create_dir_all(tree.join(category)).unwrap();
        fs::write(tree.join(category).join("usage"), format!("{usage}\n")).unwrap();
        fs::write(tree.join(category).join("domains"), names).unwrap();
    }
    fs::create_dir_all(tree.join("drugs")).unwrap();
    fs::write(tree.join("drugs/domains"), "d.example\n").unwrap();
    let part = |part: &str| {
        let draft = shelf.draft("bets", &Source::at(&tree).part(part), false).unwrap();
        let mut text = String::new();
        shelf.text("bets", &draft).unwrap().text().unwrap().read_to_string(&mut text).unwrap();
        (text, draft.kept.format, draft.kept.allow)
    };
    assert_eq!(part("adult"), ("a.example\nb.example".into(), Some(Format::Squidguard), false));
    assert_eq!(part("bank"), ("c.example\n".into(), Some(Format::Squidguard), true));
    let whole = shelf.draft("bets", &Source::at(&tree), false).unwrap();
    let mut text = String::new();
    shelf.text("bets", &whole).unwrap().text().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "# adult/domains\na.example\nb.example\n# drugs/domains\nd.example\n");
    drop(whole);
    assert!(!shelf.folder("bets").join("draft.gz").exists(), "a draft leaves nothing behind");
    let missing = shelf.draft("bets", &Source::at(&tree).part("games"), false).unwrap_err();
    assert!(missing.to_string().contains("there is no \"games\" in it"), "{missing}");
}

#[test]
fn lists_that_were_taken_out_are_forgotten_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let shelf = Shelf::new(folder.path(), 3, None);
    for id in ["bets", "games"] {
        let mut state = State::default();
        let draft = shelf.draft(id, &Source::bytes(id, b"one.example\n".to_vec()), false).unwrap();
        shelf.add(id, &mut state, &draft, Version::default(), None).unwrap();
    }
    fs::create_dir(folder.path().join("else")).unwrap();
    shelf.forget_all_but(["games"]);
    assert!(!folder.path().join("bets").exists());
    assert_eq!(shelf.state("games").in_force, Some(1));
    assert!(folder.path().join("else").exists());
}

#[test]
fn a_sealed_version_lies_nowhere_in_clear_and_opens_only_as_itself() {
    let folder = TempDir::new().unwrap();
    let vault = Vault::open(folder.path()).unwrap();
    let shelf = Shelf::new(folder.path(), 3, Some(Arc::new(vault)));
    let secret = "worst.test\n";
    let mut state = State::default();
    // Before its category was locked.
    add(&shelf, &mut state, secret);
    shelf.seal_what_lies_in_clear("bets").unwrap();
    for n in 0..2 {
        let text = Source::bytes("feed", format!("{secret}{n}.test\n").into_bytes());
        let draft = shelf.draft("bets", &text, true).unwrap();
        let mut read = String::new();
        shelf.text("bets", &draft).unwrap().text().unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, format!("{secret}{n}.test\n"));
        let held = (n == 1).then(|| (at(2), Vec::new()));
        shelf.add("bets", &mut state, &draft, Version::default(), held).unwrap();
    }
    assert_eq!(text_of(&shelf, "bets", 1), secret);
    assert_eq!(text_of(&shelf, "bets", 3), format!("{secret}1.test\n"));
    assert_eq!(files(&shelf), [(1, false), (2, false), (3, true)]);
    for entry in fs::read_dir(folder.path().join("bets")).unwrap() {
        let path = entry.unwrap().path();
        assert!(!path.ends_with("gz"), "{path:?}");
        let mut raw = fs::read(&path).unwrap();
        if raw.starts_with(b"\x1f\x8b") {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(raw.as_slice()).read_to_end(&mut text).unwrap();
            raw = text;
        }
        assert!(!raw.windows(5).any(|bytes| bytes == b"worst"), "{path:?}");
    }
    let path = |number| shelf.file("bets", Kind { number, held: false, sealed: true });
    fs::copy(path(1), path(2)).unwrap();
    assert!(shelf.source("bets", 2).is_err(), "one version can't be passed off as another");
    let without = Shelf::new(folder.path(), 3, None);
    assert!(without.source("bets", 1).is_err());
    assert!(without.draft("bets", &Source::bytes("feed", b"a.test\n".to_vec()), true).is_err());
}

#[derive(Debug, Clone)]
enum Step {
    Add,
    Hold,
    Accept,
    /// The power goes before the state is saved.
    Crash,
}

proptest! {
    /// Whatever happens in whatever order, the version in force is there and has the text that came with its number.
    #[test]
    fn what_is_in_force_is_always_whole(
        steps in proptest::collection::vec(
            prop_oneof![Just(Step::Add), Just(Step::Hold), Just(Step::Accept), Just(Step::Crash)], 0..24),
        keep in 1_usize..4,
    ) {
        let folder = TempDir::new().unwrap();
        let shelf = Shelf::new(folder.path(), keep, None);
        let mut texts = BTreeMap::new();
        let mut state = shelf.state("bets");
        for (n, step) in steps.iter().enumerate() {
            let text = format!("name{n}.example\n");
            match step {
                Step::Add => {
                    texts.insert(add(&shelf, &mut state, &text), text);
                }
                Step::Hold => {
                    texts.insert(hold(&shelf, &mut state, &text), text);
                }
                Step::Accept => {
                    shelf.accept("bets", &mut state).unwrap();
                    shelf.save("bets", &state).unwrap();
                }
                Step::Crash => {
                    // The moment between the file's name and the state, and the moment within `accept`.
                    let orphan = draft(&shelf, "orphan.example\n");
                    let next = orphan.number;
                    let file = Kind { number: next, held: false, sealed: false };
                    fs::rename(&orphan.path, shelf.file("bets", file)).unwrap();
                    // Of a list without any record it is a good version: one that was found wanting is named so.
                    texts.insert(next, String::from("orphan.example\n"));
                    let mut torn = state.clone();
                    shelf.accept("bets", &mut torn).unwrap();
                    state = shelf.state("bets");
                    shelf.tidy("bets", &state);
                    shelf.save("bets", &state).unwrap();
                }
            }
            let known = shelf.state("bets");
            prop_assert_eq!(&known, &state);
            if let Some(number) = known.in_force {
                prop_assert_eq!(&text_of(&shelf, "bets", number), &texts[&number]);
            }
            if let Some(held) = &known.held {
                prop_assert_eq!(&text_of(&shelf, "bets", held.version), &texts[&held.version]);
            }
            let held = usize::from(known.held.is_some());
            prop_assert!(known.versions.len() <= keep + held, "{known:?}");
        }
    }
}

#[test]
fn books_that_can_not_be_read_are_not_taken_for_lost() {
    let folder = TempDir::new().unwrap();
    let shelf = Shelf::new(folder.path(), 3, None);
    let mut state = shelf.state("bets");
    add(&shelf, &mut state, "one.example\n");
    add(&shelf, &mut state, "two.example\n");
    // As with too many open files: what is there can't be opened for a while.
    let (books, away) = (shelf.state_file("bets"), folder.path().join("away"));
    fs::rename(&books, &away).unwrap();
    std::os::unix::fs::symlink("state.json", &books).unwrap();
    shelf.known("bets").unwrap_err();
    fs::rename(&away, &books).unwrap();
    assert_eq!(shelf.known("bets").unwrap(), state);

    // Nor are versions whose folder can't be opened.
    fs::rename(shelf.folder("bets"), &away).unwrap();
    std::os::unix::fs::symlink("bets", shelf.folder("bets")).unwrap();
    shelf.known("bets").unwrap_err();
}
