use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{lists::format::Subject, name::Key};

fn identity(id: &str) -> Identity {
    Identity { id: id.into(), title: format!("The list {id}"), category: String::from("games") }
}

fn block(text: &str) -> Rule {
    Rule {
        subject: Subject::Name { key: Key::parse(text).unwrap(), mode: MatchMode::Subdomains },
        allow: false,
    }
}

/// Rules of all kinds, few enough that lists share some and have some twice.
fn rule() -> impl Strategy<Value = Rule> {
    let mode = prop_oneof![Just(MatchMode::Subdomains), Just(MatchMode::Exact)];
    let name = ("[a-d]{1,3}(\\.[a-d]{1,3}){0,3}", mode)
        .prop_map(|(name, mode)| Subject::Name { key: Key::parse(&name).unwrap(), mode });
    let net = (any::<bool>(), 0..4_u8, 28..=32_u8).prop_map(|(six, last, length)| {
        let text =
            if six { format!("2001:db8::{last}/{length}") } else { format!("192.0.2.{last}/{length}") };
        Subject::Address(text.parse().unwrap())
    });
    (prop_oneof![6 => name, 1 => net], any::<bool>()).prop_map(|(subject, allow)| Rule { subject, allow })
}

fn lists() -> impl Strategy<Value = Vec<Vec<Rule>>> {
    prop::collection::vec(prop::collection::vec(rule(), 0..80), 0..6)
}

/// Adds a list with a line that gave no rule, so that skips are counted too.
fn add<'a>(compiler: &'a mut Compiler, id: &str, rules: &[Rule]) -> Adding<'a> {
    let mut list = compiler.list(identity(id)).unwrap();
    rules.iter().for_each(|rule| list.rule(rule.clone()));
    list.skip("a made-up reason");
    list
}

/// Of tests that compare bytes.
const SEED: u64 = 5;

fn in_memory() -> Compiler {
    Compiler::in_memory().with_seed(SEED)
}

fn compile(lists: &[Vec<Rule>]) -> (Vec<u8>, Summary) {
    let mut compiler = in_memory();
    for (i, rules) in lists.iter().enumerate() {
        compiler.add_rules(identity(&format!("list-{i}")), rules.clone()).unwrap();
    }
    compiler.finish_bytes().unwrap()
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-d]{1,3}(\\.[a-d]{1,3}){0,3}", 0..80)
}

proptest! {
    #[test]
    fn the_order_of_lines_makes_no_difference(
        (names, shuffled) in names().prop_flat_map(|names| (Just(names.clone()), Just(names).prop_shuffle())),
    ) {
        let rules = |names: &[String]| vec![
            names.iter().map(|name| block(name)).collect(),
            names.iter().rev().skip(3).map(|name| block(name)).collect(),
        ];
        let (one, two): (Vec<Vec<Rule>>, Vec<Vec<Rule>>) = (rules(&names), rules(&shuffled));
        let two = vec![two[0].clone(), { let mut same = one[1].clone(); same.reverse(); same }];
        prop_assert_eq!(compile(&one).0, compile(&two).0);
    }

    #[test]
    fn kept_lists_make_the_same_index_as_their_rules(
        lists in lists(),
        kept in prop::collection::vec(any::<bool>(), 6),
        changed in rule(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = |i: usize| folder.path().join(format!("{i}.kept"));
        // All are kept; then one changes.
        let mut compiler = Compiler::new(folder.path()).with_seed(SEED);
        for (i, rules) in lists.iter().enumerate() {
            let before = add(&mut compiler, &format!("list-{i}"), rules).keep(&path(i), "text 1").unwrap();
            let different: BTreeSet<_> = rules.iter().map(|rule| format!("{rule:?}")).collect();
            prop_assert!(before.meta.entries <= different.len() as u64);
            prop_assert_eq!(before.meta.entries + before.duplicates, rules.len() as u64);
        }
        let first = compiler.finish_bytes().unwrap();
        let mut lists = lists;
        if let Some(list) = lists.first_mut() {
            list.push(changed);
        }
        let (mut text, mut mixed) = (in_memory(), Compiler::new(folder.path()).with_seed(SEED));
        for (i, rules) in lists.iter().enumerate() {
            let id = format!("list-{i}");
            add(&mut text, &id, rules).end().unwrap();
            if i > 0 && kept[i] {
                let summary = mixed.add_kept(identity(&id), &path(i), "text 1").unwrap();
                prop_assert_eq!(&summary, &first.1.lists[i]);
            } else {
                add(&mut mixed, &id, rules).end().unwrap();
            }
        }
        prop_assert_eq!(text.finish_bytes().unwrap(), mixed.finish_bytes().unwrap());
    }

    #[test]
    fn a_file_holds_what_memory_holds(names in names()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.index");
        let rules: Vec<_> = names.iter().map(|name| block(name)).collect();
        let mut compiler = Compiler::new(folder.path()).with_seed(SEED);
        compiler.add_rules(identity("list-0"), rules.clone()).unwrap();
        let summary = compiler.finish(&path).unwrap();
        let (bytes, same) = compile(&[rules]);
        prop_assert_eq!(&fs::read(&path).unwrap(), &bytes);
        prop_assert_eq!(summary, same);
        let index = DomainIndex::open(&path).unwrap();
        prop_assert_eq!(index.file_size(), bytes.len() as u64);
        prop_assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}

#[test]
fn the_summary_counts() {
    let key = Key::parse("b.example").unwrap();
    let exact = Rule { subject: Subject::Name { key, mode: MatchMode::Exact }, allow: false };
    let root =
        Rule { subject: Subject::Name { key: Key::root(), mode: MatchMode::Subdomains }, allow: false };
    let net = Rule { subject: Subject::Address("192.0.2.1/32".parse().unwrap()), allow: false };
    let first = vec![block("a.example"), block("a.example"), block("b.example"), exact, root];
    let second = vec![block("a.example"), net.clone(), net.clone(), net];
    let (bytes, summary) = compile(&[first, second]);
    assert_eq!((summary.names, summary.addresses, summary.sets), (2, 1, 3));
    assert_eq!(summary.bytes, bytes.len() as u64);
    let [first, second] = &summary.lists[..] else { panic!("two lists") };
    assert_eq!((first.meta.entries, first.duplicates), (3, 1));
    assert_eq!(first.skipped.values().sum::<u64>(), 1);
    assert_eq!((second.meta.entries, second.duplicates), (2, 2));
    let index = DomainIndex::from_bytes(&bytes).unwrap();
    assert_eq!(index.lists()[0], first.meta);
}

#[test]
fn a_list_that_was_left_out_leaves_nothing() {
    let mut compiler = in_memory();
    // Entries of a list that was dropped stay among the sorted ones; none may come out.
    for id in ["first", "broken", "last"] {
        let mut list = compiler.list(identity(id)).unwrap();
        list.rule(block("both.example"));
        list.rule(block(&format!("{id}.example")));
        if id != "broken" {
            list.end().unwrap();
        }
    }
    let (bytes, summary) = compiler.finish_bytes().unwrap();
    let index = DomainIndex::from_bytes(&bytes).unwrap();
    assert_eq!(index.lists().iter().map(|meta| meta.id.as_str()).collect::<Vec<_>>(), ["first", "last"]);
    assert_eq!(summary.lists.len(), 2);
    assert!(index.lookup(&Key::parse("broken.example").unwrap()).is_empty());
    let hits = index.lookup(&Key::parse("both.example").unwrap());
    assert_eq!(index.sets()[hits[0].set as usize].iter().map(|e| e.list).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn one_list_too_many_is_told() {
    let mut compiler = in_memory();
    for i in 0..MAX_LISTS {
        compiler.add_rules(identity(&format!("list-{i}")), []).unwrap();
    }
    let error = compiler.add_rules(identity("late"), []).unwrap_err();
    assert_eq!(error.to_string(), "late: an index holds 1024 lists, and this would be one more");
}

#[test]
fn a_failure_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    // A folder can't be replaced by a file.
    let path = folder.path().join("lists.index");
    fs::create_dir(&path).unwrap();
    let error = in_memory().finish(&path).unwrap_err();
    assert!(matches!(error, CompileError::Write { .. }), "{error}");
    assert!(path.is_dir());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    let nowhere = folder.path().join("missing").join("lists.index");
    assert!(in_memory().finish(&nowhere).unwrap_err().to_string().contains("lists.index"));
}

#[test]
fn an_index_is_replaced_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lists.index");
    in_memory().finish(&path).unwrap();
    let old = DomainIndex::open(&path).unwrap();
    let mut compiler = Compiler::new(folder.path()).with_seed(SEED);
    compiler.add_rules(identity("new"), [block("a.example")]).unwrap();
    compiler.finish(&path).unwrap();
    assert_eq!(old.len(), 0, "who has the old one keeps it");
    assert_eq!(DomainIndex::open(&path).unwrap().len(), 1);
}

#[test]
fn a_version_tells_the_rules_and_not_their_order() {
    let version = |rules: Vec<Rule>| compile(&[rules]).1.lists[0].meta.version.clone();
    let (a, b) = (block("a.example"), block("b.example"));
    let allow = Rule { allow: true, ..a.clone() };
    let exact = Rule {
        subject: Subject::Name { key: Key::parse("a.example").unwrap(), mode: MatchMode::Exact },
        allow: false,
    };
    assert_eq!(version(vec![a.clone(), b.clone()]), version(vec![b.clone(), a.clone()]));
    let all = [vec![], vec![a.clone()], vec![b.clone()], vec![allow], vec![exact], vec![a, b]];
    let different: BTreeSet<_> = all.into_iter().map(version).collect();
    assert_eq!(different.len(), 6);
    assert!(different.iter().all(|version| version.len() == 32));
}

#[test]
fn a_list_is_read_from_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.txt");
    let text = "# made up\n0.0.0.0 a.example\n0.0.0.0 b.example\n0.0.0.0 a.example\n0.0.0.0 not/a/name\n";
    fs::write(&path, text).unwrap();
    let mut compiler = in_memory();
    let contents =
        compiler.add_source(identity("file"), &Source::at(&path), None, MatchMode::Subdomains).unwrap();
    assert_eq!(contents.format, Format::Hosts);
    let text = Source::bytes("text", text.as_bytes());
    compiler.add_source(identity("text"), &text, Some(Format::Hosts), MatchMode::Subdomains).unwrap();
    let nowhere = Source::at(folder.path().join("none"));
    let missing = compiler.add_source(identity("missing"), &nowhere, None, MatchMode::Subdomains);
    assert!(matches!(missing, Err(CompileError::Source { .. })), "{missing:?}");
    let (bytes, summary) = compiler.finish_bytes().unwrap();
    assert_eq!(summary.names, 2);
    let [file, text] = &summary.lists[..] else { panic!("two lists: {summary:?}") };
    assert_eq!((file.meta.entries, file.duplicates), (2, 1));
    assert_eq!(file.skipped.values().sum::<u64>(), 1, "{:?}", file.skipped);
    assert_eq!(file.meta.version, text.meta.version);
    let index = DomainIndex::from_bytes(&bytes).unwrap();
    assert_eq!(index.lookup(&Key::parse("www.a.example").unwrap()).len(), 1);
}

/// A kept list of names and addresses, and where it is.
fn kept(folder: &Path) -> PathBuf {
    let path = folder.join("made-up.kept");
    let net = Rule { subject: Subject::Address("2001:db8::/32".parse().unwrap()), allow: true };
    let four = Rule { subject: Subject::Address("192.0.2.0/24".parse().unwrap()), allow: false };
    let rules = [block("a.example"), block("b.example"), net, four];
    let mut compiler = in_memory();
    add(&mut compiler, "made-up", &rules).keep(&path, "text 1").unwrap();
    path
}

fn refusal(path: &Path, id: &str, stamp: &str) -> KeptError {
    let mut compiler = in_memory();
    match compiler.add_kept(identity(id), path, stamp) {
        Err(CompileError::Kept { source, .. }) => {
            assert!(source.to_string().contains("made-up.kept"), "{source}");
            assert!(compiler.finish_bytes().unwrap().1.lists.is_empty(), "nothing was added");
            *source
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn damage_of_any_byte_of_a_kept_list_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = kept(folder.path());
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        for bit in [1, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= bit;
            fs::write(&path, bytes).unwrap();
            let error = refusal(&path, "made-up", "text 1");
            let told = matches!(error, KeptError::Damaged { .. }) || at == 7;
            assert!(told, "byte {at}: {error}");
        }
    }
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(refusal(&path, "made-up", "text 1"), KeptError::Damaged { .. }), "{length}");
    }
    fs::write(&path, [good.as_slice(), &[0]].concat()).unwrap();
    assert!(matches!(refusal(&path, "made-up", "text 1"), KeptError::Damaged { .. }));
}

#[test]
fn a_kept_list_is_taken_only_for_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = kept(folder.path());
    for (id, stamp) in [("made-up", "text 2"), ("another", "text 1")] {
        let error = refusal(&path, id, stamp);
        assert!(matches!(error, KeptError::Other { .. }), "{error}");
    }
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] += 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(refusal(&path, "made-up", "text 1"), KeptError::Version { found: 2, .. }));
    fs::remove_file(&path).unwrap();
    assert!(matches!(refusal(&path, "made-up", "text 1"), KeptError::Read { .. }));
}

#[test]
fn a_kept_list_can_have_another_title() {
    let folder = tempfile::tempdir().unwrap();
    let path = kept(folder.path());
    let mut compiler = in_memory();
    let identity = Identity { title: "New".into(), category: "chat".into(), ..identity("made-up") };
    compiler.add_kept(identity, &path, "text 1").unwrap();
    let (_, summary) = compiler.finish_bytes().unwrap();
    let meta = &summary.lists[0].meta;
    assert_eq!((meta.title.as_str(), meta.category.as_str(), meta.entries), ("New", "chat", 4));
}

#[test]
fn a_list_that_cannot_be_kept_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut compiler = in_memory();
    let nowhere = folder.path().join("missing").join("list.kept");
    let error = add(&mut compiler, "made-up", &[block("a.example")]).keep(&nowhere, "").unwrap_err();
    assert!(matches!(&error, CompileError::Keep { .. }), "{error}");
    assert!(compiler.finish_bytes().unwrap().1.lists.is_empty());
}

#[test]
fn many_names_are_sorted_on_disk_and_kept_alike() {
    // Over the limits of memory, of a kept list that is read into memory, and of one buffer.
    let rules = |list: u64| {
        (0..100_000_u64).map(move |i| {
            block(&format!(
                "{:x}.list-{list}.school-{}.example",
                i.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                i % 1000
            ))
        })
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("first.kept");
    let mut all = Compiler::new(folder.path()).with_seed(SEED);
    all.runs = Runs::new(Some(folder.path().into()), 1 << 20);
    let mut list = all.list(identity("first")).unwrap();
    rules(1).for_each(|rule| list.rule(rule));
    list.keep(&path, "").unwrap();
    all.add_rules(identity("second"), rules(2)).unwrap();
    let all = all.finish_bytes().unwrap();
    assert_eq!(all.1.names, 200_000);
    let mut mixed = Compiler::new(folder.path()).with_seed(SEED);
    mixed.add_kept(identity("first"), &path, "").unwrap();
    mixed.add_rules(identity("second"), rules(2)).unwrap();
    assert!(mixed.finish_bytes().unwrap() == all, "kept and read lists give the same bytes");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the kept list is left");
}
