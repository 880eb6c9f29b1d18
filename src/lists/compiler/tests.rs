use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::name::Key;

fn identity(id: &str) -> Identity {
    Identity { id: id.into(), title: format!("The list {id}"), category: String::from("games") }
}

fn block(text: &str) -> Rule {
    Rule {
        subject: Subject::Name { key: Key::parse(text).unwrap(), mode: MatchMode::Subdomains },
        allow: false,
    }
}

fn compile(lists: &[Vec<Rule>]) -> (Vec<u8>, Summary) {
    let mut compiler = Compiler::in_memory();
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
    fn a_file_holds_what_memory_holds(names in names()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.index");
        let rules: Vec<_> = names.iter().map(|name| block(name)).collect();
        let mut compiler = Compiler::new(folder.path());
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
    let index = DomainIndex::from_bytes(bytes).unwrap();
    assert_eq!(index.lists()[0], first.meta);
}

#[test]
fn a_list_that_was_left_out_leaves_nothing() {
    let mut compiler = Compiler::in_memory();
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
    let index = DomainIndex::from_bytes(bytes).unwrap();
    assert_eq!(index.lists().iter().map(|meta| meta.id.as_str()).collect::<Vec<_>>(), ["first", "last"]);
    assert_eq!(summary.lists.len(), 2);
    assert!(index.lookup(&Key::parse("broken.example").unwrap()).is_empty());
    let hits = index.lookup(&Key::parse("both.example").unwrap());
    assert_eq!(index.sets()[hits[0].set as usize].iter().map(|e| e.list).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn one_list_too_many_is_told() {
    let mut compiler = Compiler::in_memory();
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
    let error = Compiler::in_memory().finish(&path).unwrap_err();
    assert!(matches!(error, CompileError::Write { .. }), "{error}");
    assert!(path.is_dir());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    let nowhere = folder.path().join("missing").join("lists.index");
    assert!(Compiler::in_memory().finish(&nowhere).unwrap_err().to_string().contains("lists.index"));
}

#[test]
fn an_index_is_replaced_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lists.index");
    Compiler::in_memory().finish(&path).unwrap();
    let old = DomainIndex::open(&path).unwrap();
    let mut compiler = Compiler::new(folder.path());
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
    let mut compiler = Compiler::in_memory();
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
    let index = DomainIndex::from_bytes(bytes).unwrap();
    assert_eq!(index.lookup(&Key::parse("www.a.example").unwrap()).len(), 1);
}
