//! How long it takes to look up since when the school asks for a name: `cargo bench --bench seen`.
//!
//! The first two are what each question costs; the third is the part of it that finds the registrable domain.

use std::{hint::black_box, sync::OnceLock};

use divan::{AllocProfiler, Bencher};
use jiff::Timestamp;
use schoolgate::{
    clock::{Clock, Day},
    name::Key,
    seen::{
        Seen,
        file::{Entry, Header},
    },
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

/// How many domains are remembered; a large school has some 100,000.
const DOMAINS: u32 = 1_000_000;

fn main() {
    seen();
    divan::main();
}

fn now() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().expect("a time")
}

fn seen() -> &'static Seen {
    static SEEN: OnceLock<Seen> = OnceLock::new();
    SEEN.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let day = Day::of(now());
        let mut bytes = Header { began: day.minus(200), written: day }.bytes().to_vec();
        for i in 0..DOMAINS {
            let name = format!("com.example-{i}").into_bytes().into();
            Entry { name, first: day.minus((i % 200) as u16), last: day }.write(&mut bytes);
        }
        std::fs::write(folder.path().join("names.seen"), bytes).expect("written");
        let seen = Seen::open(folder.path(), Clock::held_at(now()));
        // One or two of a million meet.
        assert!(seen.len() as u32 > DOMAINS - 50);
        seen
    })
}

fn keys(pattern: &str) -> Vec<Key> {
    (0..4_096_u32)
        .map(|i| Key::parse(&pattern.replace('#', &(i * 241).to_string())).expect("a name"))
        .collect()
}

fn ask(bencher: Bencher<'_, '_>, pattern: &str) {
    let (keys, seen, now) = (keys(pattern), seen(), now());
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 1) % keys.len();
        keys[next].registrable().map(|name| seen.first_asked(black_box(name), now))
    });
}

#[divan::bench(sample_size = 4_096)]
fn known(bencher: Bencher<'_, '_>) {
    ask(bencher, "www.example-#.com");
}

#[divan::bench(sample_size = 4_096)]
fn never_asked(bencher: Bencher<'_, '_>) {
    ask(bencher, "www.unheard-#.co.uk");
}

#[divan::bench]
fn registrable(bencher: Bencher<'_, '_>) {
    let key = Key::parse("www.example.co.uk").expect("a name");
    bencher.bench_local(|| black_box(&key).registrable().map(<[u8]>::len));
}
