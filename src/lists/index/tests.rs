use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
};

use proptest::prelude::*;

use super::*;
use crate::lists::format::{MatchMode, Subject};

pub(crate) fn meta(id: &str) -> ListMeta {
    ListMeta {
        id: id.into(),
        title: format!("The list {id}"),
        category: String::from("games"),
        version: String::from("1"),
        entries: 0,
    }
}

fn name(text: &str, mode: MatchMode, allow: bool) -> Rule {
    Rule { subject: Subject::Name { key: Key::parse(text).unwrap(), mode }, allow }
}

fn block(text: &str) -> Rule {
    name(text, MatchMode::Subdomains, false)
}

fn net(text: &str) -> Rule {
    Rule { subject: Subject::Address(text.parse().unwrap()), allow: false }
}

fn lists(rules: Vec<Vec<Rule>>) -> Vec<(ListMeta, Vec<Rule>)> {
    rules.into_iter().enumerate().map(|(i, rules)| (meta(&format!("list-{i}")), rules)).collect()
}

/// What an index says of a name, without its numbering of sets.
fn said(index: &DomainIndex, key: &Key) -> Vec<(u8, Vec<Entry>)> {
    index.lookup(key).iter().map(|hit| (hit.depth, index.sets()[hit.set as usize].to_vec())).collect()
}

fn compile(lists: Vec<(ListMeta, Vec<Rule>)>) -> Vec<u8> {
    let mut compiler = Compiler::in_memory();
    for (meta, rules) in lists {
        compiler.add_counted(meta, rules).unwrap();
    }
    compiler.finish_bytes().unwrap().0
}

fn small() -> DomainIndex {
    DomainIndex::from_bytes(&small_bytes()).unwrap()
}

fn small_bytes() -> Vec<u8> {
    compile(lists(vec![
        vec![
            block("payhe.example"),
            block("games.example"),
            name("www.exact.example", MatchMode::Exact, false),
        ],
        vec![block("secure.cdn.payhe.example"), block("games.example"), net("192.0.2.0/24")],
        vec![
            name("open.games.example", MatchMode::Subdomains, true),
            net("192.0.2.7/32"),
            net("2001:db8::/32"),
        ],
    ]))
}

fn entry(list: u16) -> Entry {
    Entry { list, exact: false, allow: false, of_servers: false }
}

/// Entries, as they are sorted: of servers, list, exact, allow.
type Said = BTreeSet<(bool, u16, bool, bool)>;

/// The plainest index: a map from names to entries.
#[derive(Default)]
struct Model {
    names: BTreeMap<Vec<u8>, Said>,
    nets: BTreeMap<ipnet::IpNet, Said>,
}

impl Model {
    fn new(lists: &[(ListMeta, Vec<Rule>)]) -> Self {
        let mut model = Self::default();
        for ((_, rules), list) in lists.iter().zip(0..) {
            for rule in rules {
                let servers = rule.subject.is_of_name_servers();
                match &rule.subject {
                    Subject::Name { key, mode } | Subject::NameServer { key, mode } => {
                        let entries = model.names.entry(key.as_bytes().to_vec()).or_default();
                        entries.insert((servers, list, *mode == MatchMode::Exact, rule.allow));
                    }
                    Subject::Address(net) | Subject::NameServerAddress(net) => {
                        let entries = model.nets.entry(net.trunc()).or_default();
                        entries.insert((servers, list, false, rule.allow));
                    }
                }
            }
        }
        model
    }

    fn entries(entries: &Said) -> Vec<Entry> {
        entries
            .iter()
            .map(|&(of_servers, list, exact, allow)| Entry { list, exact, allow, of_servers })
            .collect()
    }

    fn said(&self, key: &Key) -> Vec<(u8, Vec<Entry>)> {
        (1..=key.depth())
            .filter_map(|depth| Some((depth as u8, Self::entries(self.names.get(key.prefix(depth))?))))
            .collect()
    }

    fn addresses(&self, address: IpAddr) -> Vec<Vec<Entry>> {
        let mut around: Vec<_> = self.nets.iter().filter(|(net, _)| net.contains(&address)).collect();
        around.sort_by_key(|(net, _)| net.prefix_len());
        around.into_iter().map(|(_, entries)| Self::entries(entries)).collect()
    }
}

fn key() -> impl Strategy<Value = Key> {
    // Few labels of few letters, so that names have listed parents, children and neighbours; some of any shape.
    let close = prop::collection::vec("[a-c]{1,2}", 1..6).prop_map(|labels| labels.join("."));
    let any = prop::collection::vec("[a-z0-9_-]{1,12}", 1..4).prop_map(|labels| labels.join("."));
    prop_oneof![4 => close, 1 => any].prop_map(|text| Key::parse(&text).unwrap())
}

fn rule() -> impl Strategy<Value = Rule> {
    let mode = prop_oneof![Just(MatchMode::Subdomains), Just(MatchMode::Exact)];
    let name = (key(), mode).prop_map(|(key, mode)| Subject::Name { key, mode });
    let net = (any::<IpAddr>(), 0..=32_u8)
        .prop_map(|(address, length)| Subject::Address(ipnet::IpNet::new(address, length).unwrap()));
    (prop_oneof![8 => name, 1 => net], any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(subject, allow, of_servers)| {
            let rule = Rule { subject, allow };
            if of_servers { rule.of_name_servers() } else { rule }
        },
    )
}

fn many() -> impl Strategy<Value = Vec<(ListMeta, Vec<Rule>)>> {
    prop::collection::vec(prop::collection::vec(rule(), 0..60), 0..6).prop_map(lists)
}

proptest! {
    #[test]
    fn the_index_says_what_the_model_says(
        lists in many(),
        keys in prop::collection::vec(key(), 0..30),
        address in any::<IpAddr>(),
    ) {
        let model = Model::new(&lists);
        let index = DomainIndex::from_rules(lists.clone());
        for key in &keys {
            prop_assert_eq!(said(&index, key), model.said(key), "{}", key);
        }
        let mut nets = vec![address];
        for rule in lists.iter().flat_map(|(_, rules)| rules) {
            match &rule.subject {
                Subject::Name { key, .. } | Subject::NameServer { key, .. } => {
                    prop_assert_eq!(said(&index, key), model.said(key), "{}", key);
                    let below = Key::parse(&format!("below.{key}")).unwrap();
                    prop_assert_eq!(said(&index, &below), model.said(&below), "{}", below);
                }
                Subject::Address(net) | Subject::NameServerAddress(net) => nets.extend([net.network(), net.broadcast()]),
            }
        }
        for address in nets {
            let said: Vec<_> = index.addresses(address).iter().map(|&set| index.sets()[set as usize].to_vec()).collect();
            prop_assert_eq!(said, model.addresses(address));
        }
        prop_assert_eq!(index.len(), model.names.len() as u64);
        let names: Vec<_> = index.names().unwrap().iter().map(|(name, set)| (name, index.sets()[set as usize].to_vec())).collect();
        let wanted: Vec<_> = model.names.iter().map(|(name, set)| (name.clone(), Model::entries(set))).collect();
        prop_assert_eq!(names, wanted);
        let metas: Vec<_> = lists.into_iter().map(|(meta, _)| meta).collect();
        prop_assert_eq!(index.lists(), metas);
    }

    #[test]
    fn an_index_that_was_made_up_never_panics(
        lists in many(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        keys in prop::collection::vec(key(), 0..10),
        address in any::<IpAddr>(),
    ) {
        let mut bytes = compile(lists);
        for (at, byte) in changes {
            // Past the magic and the version, which would end it too soon; the checksums are made right again.
            let at = 12 + at.index(bytes.len() - 12);
            bytes[at] = byte;
        }
        reseal(&mut bytes);
        if let Ok(index) = DomainIndex::from_bytes(&bytes) {
            for key in &keys {
                said(&index, key);
            }
            for set in index.addresses(address) {
                prop_assert!((set as usize) < index.sets().len());
            }
            for entry in index.sets().iter().flat_map(|set| set.iter()) {
                prop_assert!(usize::from(entry.list) < index.lists().len());
            }
            prop_assert!(index.names().unwrap().iter().take(1000).all(|(_, set)| (set as usize) < index.sets().len()));
        }
    }
}

#[test]
fn a_name_between_two_listed_names_has_the_upper_one() {
    let index = small();
    assert_eq!(said(&index, &Key::parse("cdn.payhe.example").unwrap()), [(2, vec![entry(0)])]);
    assert_eq!(
        said(&index, &Key::parse("a.secure.cdn.payhe.example").unwrap()),
        [(2, vec![entry(0)]), (4, vec![entry(1)])]
    );
    assert!(said(&index, &Key::parse("notpayhe.example").unwrap()).is_empty());
    assert!(said(&index, &Key::parse("example").unwrap()).is_empty());
    assert!(said(&index, &Key::root()).is_empty());
}

#[test]
fn entries_tell_their_kind() {
    let index = small();
    let exact = Entry { exact: true, ..entry(0) };
    assert_eq!(said(&index, &Key::parse("x.www.exact.example").unwrap()), [(3, vec![exact])]);
    let allow = Entry { allow: true, ..entry(2) };
    assert_eq!(
        said(&index, &Key::parse("open.games.example").unwrap()),
        [(2, vec![entry(0), entry(1)]), (3, vec![allow])]
    );
}

#[test]
fn an_address_has_every_subnet_around_it() {
    let index = small();
    let sets = |text: &str| -> Vec<_> {
        index
            .addresses(text.parse().unwrap())
            .iter()
            .map(|&set| index.sets()[set as usize].to_vec())
            .collect()
    };
    assert_eq!(sets("192.0.2.7"), [vec![entry(1)], vec![entry(2)]]);
    assert_eq!(sets("192.0.2.8"), [vec![entry(1)]]);
    assert_eq!(sets("2001:db8::1"), [vec![entry(2)]]);
    assert!(sets("198.51.100.1").is_empty());
}

#[test]
fn an_index_of_nothing_answers() {
    let index = DomainIndex::default();
    assert!(index.is_empty() && index.lists().is_empty() && index.sets().is_empty());
    assert!(index.lookup(&Key::parse("www.school.example").unwrap()).is_empty());
    assert!(index.addresses("192.0.2.1".parse().unwrap()).is_empty());
    assert_eq!(index.names().unwrap().iter().count(), 0);
}

#[test]
fn the_longest_name_is_found_at_its_depth() {
    let deep = "a.".repeat(126) + "a";
    let index = DomainIndex::from_rules(lists(vec![vec![block(&deep), block("a.a")]]));
    let key = Key::parse(&deep).unwrap();
    assert_eq!(index.lookup(&key).iter().map(|hit| hit.depth).collect::<Vec<_>>(), [2, 127]);
}

#[test]
fn a_thousand_lists_on_one_name_are_all_told() {
    let all = lists(
        (0..MAX_LISTS).map(|i| vec![block("everyone.example"), block(&format!("own{i}.example"))]).collect(),
    );
    let index = DomainIndex::from_rules(all);
    let said = said(&index, &Key::parse("everyone.example").unwrap());
    assert_eq!(said[0].1.len(), MAX_LISTS);
    assert_eq!(said[0].1.last(), Some(&entry(1023)));
    assert_eq!(index.sets().len(), MAX_LISTS + 1);
}

#[test]
fn each_name_can_have_a_set_of_its_own() {
    // Two lists for each pair: 1,225 sets, more than one byte numbers.
    let mut rules = vec![Vec::new(); 50];
    for a in 0..50 {
        for b in 0..a {
            let rule = block(&format!("pair-{a}-{b}.example"));
            rules[a].push(rule.clone());
            rules[b].push(rule);
        }
    }
    let index = DomainIndex::from_rules(lists(rules));
    assert_eq!(index.sets().len(), 1225);
    for (a, b) in [(1, 0), (49, 48), (30, 7)] {
        let key = Key::parse(&format!("pair-{a}-{b}.example")).unwrap();
        assert_eq!(said(&index, &key), [(2, vec![entry(b), entry(a)])]);
    }
}

#[test]
fn the_most_frequent_set_comes_first() {
    let index = DomainIndex::from_rules(lists(vec![
        vec![block("a.example")],
        vec![block("b.example"), block("c.example"), block("d.example")],
    ]));
    assert_eq!(index.sets()[0].as_ref(), [entry(1)]);
}

#[test]
fn damage_of_any_byte_is_an_error_that_names_the_region() {
    let good = small_bytes();
    let index = DomainIndex::from_bytes(&good).unwrap();
    let sizes: Vec<_> = index.region_sizes().collect();
    let mut at = 0;
    for (region, size) in sizes {
        assert!(size > 0, "{region} has bytes to damage");
        for _ in 0..size {
            for bit in [1, 0x80] {
                let mut bytes = good.clone();
                bytes[at] ^= bit;
                let error = DomainIndex::from_bytes(&bytes).expect_err("damage is found");
                assert_eq!(error.region(), Some(region), "byte {at}: {error}");
            }
            at += 1;
        }
    }
    assert_eq!(at, good.len(), "every byte was damaged");
}

#[test]
fn an_index_that_was_cut_or_added_to_is_an_error() {
    let good = small_bytes();
    for length in 0..good.len() {
        let error = DomainIndex::from_bytes(&good[..length]).expect_err("cut");
        assert!(matches!(error, IndexError::Length { .. } | IndexError::Magic), "{length}: {error}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert!(matches!(DomainIndex::from_bytes(&longer), Err(IndexError::Length { .. })));
}

#[test]
fn content_that_cannot_be_is_told_though_its_checksums_are_right() {
    let good = small_bytes();
    let index = DomainIndex::from_bytes(&good).unwrap();
    let start = |region| index.header.stored(region).unwrap().range.start as usize;
    for (region, at, byte) in [
        (Region::Header, 12, 1),
        (Region::Header, 24, 200),
        (Region::Sets, start(Region::Sets) + 3, 0xff),
        (Region::Addresses, start(Region::Addresses), 200),
        (Region::Names, start(Region::Names), 9),
        // The bits for the set's number.
        (Region::Table, start(Region::Table) + 8, 77),
    ] {
        let mut bytes = good.clone();
        bytes[at] = byte;
        reseal(&mut bytes);
        let error = DomainIndex::from_bytes(&bytes).expect_err("invalid");
        // A wrong count is told where the region does not agree with it.
        let told = if at == 24 { Region::Lists } else { region };
        assert_eq!(error.region(), Some(told), "{error}");
        assert!(error.to_string().contains(&told.to_string()), "{error}");
    }
}

#[test]
fn another_layout_and_another_file_are_told_apart() {
    let mut bytes = small_bytes();
    bytes[8] = 4;
    let error = DomainIndex::from_bytes(&bytes).expect_err("newer");
    assert_eq!(
        error.to_string(),
        "the index has layout 4, this program reads layout 3; compile the lists again"
    );
    assert!(matches!(DomainIndex::from_bytes(b"<html>"), Err(IndexError::Magic)));
    assert!(matches!(DomainIndex::from_bytes(&[]), Err(IndexError::Magic)));
}

#[test]
fn an_error_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lists.index");
    let missing = DomainIndex::open(&path).expect_err("missing");
    assert!(missing.to_string().contains("lists.index"), "{missing}");
    fs::write(&path, b"no index").unwrap();
    let wrong = DomainIndex::open(&path).expect_err("wrong");
    assert!(wrong.to_string().contains("lists.index: this is not an index"), "{wrong}");
}

#[test]
fn a_file_without_a_name_still_has_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lists.index");
    fs::write(&path, small_bytes()).unwrap();
    let index = DomainIndex::open(&path).unwrap();
    fs::write(folder.path().join("new"), b"a later one").unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    let wanted: Vec<_> = small().names().unwrap().iter().collect();
    assert_eq!(wanted.len(), 5);
    assert_eq!(index.names().unwrap().iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn names_that_were_damaged_in_their_file_are_told_when_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lists.index");
    let mut bytes = small_bytes();
    let names = small().header.stored(Region::Names).unwrap().range.clone();
    bytes[names.start as usize + 20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let index = DomainIndex::open(&path).unwrap();
    assert_eq!(said(&index, &Key::parse("www.games.example").unwrap()), [(2, vec![entry(0), entry(1)])]);
    let error = index.names().expect_err("damaged");
    assert_eq!(error.region(), Some(Region::Names));
    assert!(error.to_string().contains("lists.index"), "{error}");
}

#[test]
fn two_indexes_of_the_same_lists_have_one_checksum() {
    let [one, other] = [1, 2].map(|seed| {
        let mut compiler = Compiler::in_memory().with_seed(seed);
        compiler.add_counted(meta("one"), [block("a.example"), block("b.example")]).unwrap();
        compiler.finish_bytes().unwrap().0
    });
    assert_ne!(one, other);
    let sum = |bytes: &[u8]| DomainIndex::from_bytes(bytes).unwrap().checksum();
    assert_eq!(sum(&one), sum(&other));
    assert_ne!(sum(&one), small().checksum());
}
