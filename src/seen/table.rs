//! The table in memory: for each domain one word of 64 bits.
//!
//! A word has 39 bits of the domain's keyed hash, 15 of the first day and 10 of the last time that it was asked for, in
//! steps of 32 days; both are counted from 2020-01-01, and a word of 0 is a free place. Places are found by the upper
//! bits of the hash, the next free one after a collision, so that a word tells its own place when the table grows. The
//! key is random at each start, so nobody can make names that meet. Two domains have the same 39 bits with a chance of
//! 1 in 270,000 in a table of 2 million: the second one then counts as known.
//!
//! Readers take no lock: words are atomic, and a grown table is swapped in whole. One [`Owner`] changes it.

use std::{
    collections::HashSet,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::clock::Day;

/// 2020-01-01.
const EPOCH: u16 = 18_262;

const TAG_BITS: u32 = 39;
const FIRST_BITS: u32 = 15;
const LAST_BITS: u32 = 10;

/// The step of the last day, as a shift: 32 days.
const STEP: u32 = 5;

/// How many places a new table has.
const START: u32 = 12;

/// The table, as readers see it.
#[derive(Debug)]
pub(super) struct Table {
    places: ArcSwap<Places>,
    used: AtomicUsize,
    seed: u64,
}

#[derive(Debug)]
struct Places {
    words: Box<[AtomicU64]>,
    /// 2 to this power is how many there are.
    bits: u32,
}

/// What is known of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dates {
    pub(super) first: Day,
    /// Exact to 32 days, never later than it was.
    pub(super) last: Day,
}

impl Table {
    pub(super) fn new() -> Self {
        Self::with_seed(std::collections::hash_map::RandomState::new().hash_one(0_u8))
    }

    fn with_seed(seed: u64) -> Self {
        Self { places: ArcSwap::from_pointee(Places::new(START)), used: AtomicUsize::new(0), seed }
    }

    pub(super) fn len(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The day on which a domain was first asked for; from now on it was last asked for today.
    pub(super) fn ask(&self, name: &[u8], today: Day) -> Option<Day> {
        let places = self.places.load();
        let (word, place) = places.find(self.tag(name))?;
        let dates = dates(word);
        let newer = pack(word >> (64 - TAG_BITS), dates.first, dates.last.max(today));
        if newer != word {
            // Whoever else changes it at the same moment says the same.
            let _ = place.compare_exchange(word, newer, Ordering::Relaxed, Ordering::Relaxed);
        }
        Some(dates.first)
    }

    /// What is known of a domain.
    pub(super) fn find(&self, name: &[u8]) -> Option<Dates> {
        self.places.load().find(self.tag(name)).map(|(word, _)| dates(word))
    }

    /// The dates of all domains, in no order.
    pub(super) fn dates(&self) -> Vec<Dates> {
        let places = self.places.load();
        places
            .words
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
            .filter(|word| *word != 0)
            .map(dates)
            .collect()
    }

    fn tag(&self, name: &[u8]) -> u64 {
        xxh3_64_with_seed(name, self.seed) >> (64 - TAG_BITS)
    }
}

/// The only one that puts domains in and takes them out.
#[derive(Debug)]
pub(super) struct Owner {
    table: Arc<Table>,
}

impl Owner {
    pub(super) fn new(table: Arc<Table>) -> Self {
        Self { table }
    }

    /// Puts a domain in; false when it was there.
    pub(super) fn insert(&mut self, name: &[u8], first: Day, last: Day) -> bool {
        let tag = self.table.tag(name);
        let mut places = self.table.places.load_full();
        if places.find(tag).is_some() {
            return false;
        }
        let used = self.table.len() + 1;
        // Grown before it is two thirds full, so that a free place is never far.
        if used * 3 > places.words.len() * 2 {
            let bigger = Places::new(places.bits + 1);
            for word in &places.words {
                let word = word.load(Ordering::Relaxed);
                if word != 0 {
                    bigger.put(word);
                }
            }
            places = Arc::new(bigger);
            self.table.places.store(Arc::clone(&places));
        }
        places.put(pack(tag, first, last));
        self.table.used.store(used, Ordering::Relaxed);
        true
    }

    /// Keeps only the domains whose dates are wanted.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Dates) -> bool) {
        self.keep(|word| keep(dates(word)));
    }

    /// Takes these domains out.
    pub(super) fn remove(&mut self, names: &[Box<[u8]>]) {
        let tags: HashSet<u64> = names.iter().map(|name| self.table.tag(name)).collect();
        self.keep(|word| !tags.contains(&(word >> (64 - TAG_BITS))));
    }

    fn keep(&mut self, mut keep: impl FnMut(u64) -> bool) {
        let places = self.table.places.load_full();
        let words = places.words.iter().map(|word| word.load(Ordering::Relaxed));
        let kept: Vec<u64> = words.filter(|word| *word != 0 && keep(*word)).collect();
        let used = kept.len();
        let mut bits = START;
        while used * 3 > (1 << bits) * 2 {
            bits += 1;
        }
        let smaller = Places::new(bits);
        for word in kept {
            smaller.put(word);
        }
        self.table.places.store(Arc::new(smaller));
        self.table.used.store(used, Ordering::Relaxed);
    }
}

impl Places {
    fn new(bits: u32) -> Self {
        Self { words: (0..1_usize << bits).map(|_| AtomicU64::new(0)).collect(), bits }
    }

    /// The places from where a tag belongs, each once.
    fn from(&self, tag: u64) -> impl Iterator<Item = &AtomicU64> {
        let start = usize::try_from(tag >> (TAG_BITS - self.bits)).unwrap_or(0);
        let (before, after) = self.words.split_at(start.min(self.words.len()));
        after.iter().chain(before)
    }

    fn find(&self, tag: u64) -> Option<(u64, &AtomicU64)> {
        for place in self.from(tag) {
            let word = place.load(Ordering::Relaxed);
            if word == 0 {
                return None;
            }
            if word >> (64 - TAG_BITS) == tag {
                return Some((word, place));
            }
        }
        None
    }

    /// Puts a word into the first free place; the table always has some.
    fn put(&self, word: u64) {
        if let Some(free) =
            self.from(word >> (64 - TAG_BITS)).find(|place| place.load(Ordering::Relaxed) == 0)
        {
            free.store(word, Ordering::Relaxed);
        }
    }
}

/// A word is never 0, since days begin at 1.
fn pack(tag: u64, first: Day, last: Day) -> u64 {
    let from_epoch = |day: Day| u64::from(day.number().saturating_sub(EPOCH).clamp(1, (1 << FIRST_BITS) - 1));
    (tag << (64 - TAG_BITS)) | (from_epoch(first) << LAST_BITS) | (from_epoch(last) >> STEP)
}

fn dates(word: u64) -> Dates {
    // Both are cut to their bits, which fit.
    let first = ((word >> LAST_BITS) & ((1 << FIRST_BITS) - 1)) as u16;
    let last = ((word & ((1 << LAST_BITS) - 1)) << STEP) as u16;
    Dates { first: Day::from_number(EPOCH + first), last: Day::from_number(EPOCH.saturating_add(last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u16) -> Day {
        Day::from_number(number)
    }

    #[test]
    fn a_word_keeps_the_first_day_exactly_and_the_last_to_32_days() {
        for (first, last) in [(20_000, 20_000), (20_783, 21_000), (EPOCH + 32_767, EPOCH + 32_767)] {
            let found = dates(pack((1 << TAG_BITS) - 1, day(first), day(last)));
            assert_eq!(found.first, day(first));
            assert!(found.last <= day(last) && day(last).since(found.last) < 32, "{found:?}");
        }
        assert_ne!(pack(0, day(0), day(0)), 0);
    }

    #[test]
    fn a_grown_table_has_what_the_small_one_had() {
        // A fixed seed, or two of so many names would meet once in 400 runs.
        let table = Arc::new(Table::with_seed(1));
        let mut owner = Owner::new(Arc::clone(&table));
        let name = |i: u32| format!("com.example{i}").into_bytes();
        for i in 0..50_000 {
            assert!(owner.insert(&name(i), day(20_500 + (i % 300) as u16), day(21_000)), "{i}");
        }
        assert_eq!(table.len(), 50_000);
        for i in 0..50_000 {
            assert_eq!(table.ask(&name(i), day(21_000)), Some(day(20_500 + (i % 300) as u16)), "{i}");
        }
        assert!(!owner.insert(&name(7), day(21_000), day(21_000)), "it is there");
        assert_eq!(table.ask(b"com.never", day(21_000)), None);
        let bytes = |table: &Table| size_of_val(&*table.places.load().words);
        assert!(bytes(&table) <= 50_000 * 24, "12 to 24 bytes a domain, 17 for a million");
        owner.retain(|dates| dates.first < day(20_510));
        assert!(bytes(&table) <= 50_000, "a smaller table takes less");
        assert_eq!(table.len(), table.dates().len());
        assert_eq!(table.ask(&name(9), day(21_000)), Some(day(20_509)));
        assert_eq!(table.ask(&name(10), day(21_000)), None);
    }

    #[test]
    fn asking_moves_the_last_day_and_never_the_first() {
        let table = Arc::new(Table::new());
        let mut owner = Owner::new(Arc::clone(&table));
        owner.insert(b"com.example", day(20_700), day(20_700));
        assert_eq!(table.ask(b"com.example", day(21_000)), Some(day(20_700)));
        let dates = table.find(b"com.example").unwrap();
        assert!(day(21_000).since(dates.last) < 32);
        // A clock that goes back does not make it older.
        table.ask(b"com.example", day(20_701));
        assert_eq!(table.find(b"com.example"), Some(dates));
    }
}
