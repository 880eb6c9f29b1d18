//! How long it takes to compile lists to an index file, all from text or only one of them, and how much memory.
//!
//! `cargo bench --bench compile`, and of each format, `cargo bench --bench compile -- formats`; real lists come from the folder that `SCHOOLGATE_LIST_DATA` names. Twenty million
//! names take minutes and are only compiled when asked for, in a process of their own so that the memory is theirs:
//! `cargo bench --bench compile -- --ignored twenty_million`.

#![expect(clippy::print_stdout, reason = "the memory belongs beside the times")]

#[path = "support/formats.rs"]
mod formats;
mod support;

use std::path::{Path, PathBuf};

use divan::{Bencher, counter::ItemsCount};
use schoolgate::lists::{
    compiler::{Compiler, Summary},
    format::MatchMode,
    source::Source,
};
use support::Names;

fn main() {
    divan::main();
}

#[divan::bench(args = Names::all(), sample_count = 1, sample_size = 1)]
fn compile(bencher: Bencher<'_, '_>, names: Names) {
    full(bencher, names);
}

/// About 24 million draws, which give 20 million different names.
#[divan::bench(ignore, sample_count = 1, sample_size = 1)]
fn twenty_million(bencher: Bencher<'_, '_>) {
    full(bencher, Names::MadeUp(24_000_000));
}

fn full(bencher: Bencher<'_, '_>, names: Names) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let texts = folder.path().join("texts");
    std::fs::create_dir(&texts).expect("a folder");
    let files = names.write(&texts).expect("the lists are written");
    let index = folder.path().join("lists.index");
    forget_memory();
    let before = support::memory("VmRSS");
    let names = support::compile(&files, &index).names;
    let most = support::memory("VmHWM");
    println!("\n{names} names; the most memory while compiling: {most:.0} MB; before: {before:.0} MB");
    bencher.counter(ItemsCount::new(names)).bench(|| support::compile(&files, &index));
}

/// Sets the most memory that this process had to what it has now.
fn forget_memory() {
    // Where it can't be set, the figure is of everything so far, and too high.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The largest list from its text, and all others as they were kept.
#[divan::bench(args = Names::all(), sample_count = 1, sample_size = 1)]
fn incremental(bencher: Bencher<'_, '_>, names: Names) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let texts = folder.path().join("texts");
    std::fs::create_dir(&texts).expect("a folder");
    let files = names.write(&texts).expect("the lists are written");
    let kept = keep_all(&files, folder.path());
    let index = folder.path().join("lists.index");
    let largest = kept
        .iter()
        .map(|(file, _)| file)
        .max_by_key(|file| std::fs::metadata(file).map_or(0, |data| data.len()))
        .expect("there are lists");
    let names = one_changed(&kept, largest, &index).names;
    bencher.counter(ItemsCount::new(names)).bench(|| one_changed(&kept, largest, &index));
}

/// Keeps the rules of every list that can be read: the text, and where its rules are.
fn keep_all(files: &[PathBuf], folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut compiler = Compiler::new(folder);
    let mut kept = Vec::new();
    for (i, file) in files.iter().enumerate() {
        let path = folder.join(format!("{i}.kept"));
        if add(&mut compiler, i, file, &path).is_some() {
            kept.push((file.clone(), path));
        }
    }
    kept
}

fn one_changed(kept: &[(PathBuf, PathBuf)], changed: &Path, index: &Path) -> Summary {
    let mut compiler = Compiler::new(index.parent().expect("a file in a folder"));
    for (file, kept) in kept {
        let number: usize = kept.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("a number");
        if file == changed {
            add(&mut compiler, number, file, kept).expect("it was read before");
        } else {
            compiler.add_kept(support::identity(number, file), kept, "").expect("it was kept");
        }
    }
    compiler.finish(index).expect("the index is written")
}

fn add(compiler: &mut Compiler, number: usize, file: &Path, keep: &Path) -> Option<()> {
    let mut list = compiler.list(support::identity(number, file)).ok()?;
    Source::at(file)
        .read(None, MatchMode::Subdomains, &mut |_, line| match line {
            Ok(rule) => list.rule(rule),
            Err(skip) => list.skip(skip.reason),
        })
        .ok()?;
    list.keep(keep, "").map(drop).ok()
}
