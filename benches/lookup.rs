//! How long the index takes to answer for a name that is listed, one that is not, and a deep one below a listed one.
//!
//! `cargo bench --bench lookup`; real lists come from the folder that `SCHOOLGATE_LIST_DATA` names.

#![expect(clippy::print_stdout, reason = "the sizes belong beside the times")]

mod support;

use std::{
    path::Path,
    sync::{LazyLock, Mutex},
};

use divan::{Bencher, counter::ItemsCount};
use schoolgate::{
    lists::DomainIndex,
    name::{Key, dotted},
};
use support::{Names, names::Random};

fn main() {
    divan::main();
}

/// So many names are asked in a row, so that caches are as cold as in service and the clock is precise.
const ASKED: usize = 100_000;

struct Prepared {
    names: Names,
    index: DomainIndex,
    hits: Vec<Key>,
    misses: Vec<Key>,
    deep: Vec<Key>,
}

/// What was prepared already: each index serves all benches.
static PREPARED: LazyLock<Mutex<Vec<&'static Prepared>>> = LazyLock::new(Mutex::default);

fn prepared(names: Names) -> &'static Prepared {
    let mut all = PREPARED.lock().expect("no bench has failed");
    if let Some(found) = all.iter().find(|prepared| prepared.names == names) {
        return found;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let texts = folder.path().join("texts");
    std::fs::create_dir(&texts).expect("a folder");
    let files = names.write(&texts).expect("the lists are written");
    let path = folder.path().join("lists.index");
    support::compile(&files, &path);
    let prepared = Box::leak(Box::new(Prepared::new(names, &path)));
    all.push(prepared);
    prepared
}

impl Prepared {
    fn new(names: Names, path: &Path) -> Self {
        let before = support::memory("VmRSS");
        let index = DomainIndex::open(path).expect("the index opens");
        let after = support::memory("VmRSS");
        println!(
            "\n{names}: {} names, {} sets, {:.0} MB more in memory",
            index.len(),
            index.sets().len(),
            after - before
        );
        for (region, size) in index.region_sizes() {
            println!("  {region}: {size} bytes, {:.2} a name", size as f64 / index.len() as f64);
        }
        println!(
            "  all: {} bytes, {:.2} a name",
            index.file_size(),
            index.file_size() as f64 / index.len() as f64
        );

        let step = (index.len() as usize / ASKED).max(1);
        let names_of = index.names().expect("the names can be read");
        let mut hits: Vec<_> =
            names_of.iter().step_by(step).filter_map(|(name, _)| Key::parse(&dotted(&name)).ok()).collect();
        let mut random = Random(7);
        for i in (1..hits.len()).rev() {
            hits.swap(i, random.below(i as u64 + 1) as usize);
        }
        hits.truncate(ASKED);
        let not_listed = |key: &Key| {
            let name = key.to_string();
            let (first, rest) = name.split_once('.')?;
            Key::parse(&format!("{first}q7.x{rest}")).ok().filter(|key| index.lookup(key).is_empty())
        };
        let misses = hits.iter().filter_map(not_listed).collect();
        let deep = hits.iter().filter_map(|key| Key::parse(&format!("a.b.c.www.{key}")).ok()).collect();
        Self { names, hits, misses, deep, index }
    }
}

fn measure(bencher: Bencher<'_, '_>, index: &DomainIndex, keys: &[Key]) {
    bencher
        .counter(ItemsCount::new(keys.len()))
        .bench(|| keys.iter().map(|key| index.lookup(key).len()).sum::<usize>());
}

#[divan::bench(args = Names::all(), sample_count = 20)]
fn hit(bencher: Bencher<'_, '_>, names: Names) {
    let prepared = prepared(names);
    measure(bencher, &prepared.index, &prepared.hits);
}

#[divan::bench(args = Names::all(), sample_count = 20)]
fn miss(bencher: Bencher<'_, '_>, names: Names) {
    let prepared = prepared(names);
    measure(bencher, &prepared.index, &prepared.misses);
}

#[divan::bench(args = Names::all(), sample_count = 20)]
fn deep_hit(bencher: Bencher<'_, '_>, names: Names) {
    let prepared = prepared(names);
    measure(bencher, &prepared.index, &prepared.deep);
}
