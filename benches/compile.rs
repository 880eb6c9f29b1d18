//! How long it takes to compile lists from text to an index file, and how much memory.
//!
//! `cargo bench --bench compile`; real lists come from the folder that `SCHOOLGATE_LIST_DATA` names.

#![expect(clippy::print_stdout, reason = "the memory belongs beside the times")]

mod support;

use divan::{Bencher, counter::ItemsCount};
use support::Names;

fn main() {
    divan::main();
    println!("\nThe most memory that this process had: {:.0} MB", support::memory("VmHWM"));
}

#[divan::bench(args = Names::all(), sample_count = 1, sample_size = 1)]
fn compile(bencher: Bencher<'_, '_>, names: Names) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let texts = folder.path().join("texts");
    std::fs::create_dir(&texts).expect("a folder");
    let files = names.write(&texts).expect("the lists are written");
    let index = folder.path().join("lists.index");
    let names = support::compile(&files, &index).names;
    println!("\n{names} names; the most memory so far: {:.0} MB", support::memory("VmHWM"));
    bencher.counter(ItemsCount::new(names)).bench(|| support::compile(&files, &index));
}
