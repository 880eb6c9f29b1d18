//! The table of names: from the hash of a listed name to the number of its set, in one look at one piece of memory.
//!
//! The names themselves are not in it, so it takes ten bytes for each whatever its length. A slot has the lower bits of the
//! hash, as many as the numbers of the sets leave room for (48 of 64 with 65,000 sets), and the slot's place follows from
//! the upper ones. A name that is not listed is taken for one that is when both agree: once in 10^13 look-ups or so. The hashes have
//! a seed of their own in each file, so that nobody can seek a name that is taken for another.
//! No listed name is ever missed or taken for another: where two would be, [`Builder`] says so, and takes another seed.
//!
//! Eight slots are a line, which lies in one piece of the processor's cache. What does not fit into its line goes to the next one
//! that has room.
//!
//! The region has the seed (8 bytes), how many bits of a slot are for the set and how many lines an entry is away from its own
//! at most (4 bytes each), then the lines. A slot is the bits of the hash above those of the set's number and one; a free slot is 0, and
//! behind a free slot of a line no slot is taken.

use std::io::{self, Read, Write};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    layout::{Fault, IndexError, Region},
    returned,
};
use crate::name::Key;

/// The slots of a line.
const SLOTS: usize = 8;

/// The bytes of a line.
const LINE: usize = SLOTS * 8;

/// The bytes in front of the lines.
const HEAD: usize = 16;

/// Of each hundred slots so many are taken.
const TAKEN: u64 = 80;

/// The bits for the set's number go no further, so that 32 of the hash are left at least.
const MAX_SET_BITS: u32 = 32;

/// Slots that lie in one piece of the processor's cache.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Line([u64; SLOTS]);

/// Two different names with the same hash, as far as the table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lists) struct Clash;

/// A table that was checked.
#[derive(Debug)]
pub(super) struct Table {
    seed: u64,
    set_bits: u32,
    longest: u32,
    lines: Vec<Line>,
}

/// A table that is being filled.
#[derive(Debug)]
pub(in crate::lists) struct Builder(Table);

/// The hash of a name from its parent's hash and its first label.
///
/// This way all parents of a name are hashed in one pass over it. The parent of a top-level domain is the seed.
#[inline]
fn child(parent: u64, label: &[u8]) -> u64 {
    xxh3_64_with_seed(label, parent)
}

impl Builder {
    /// A table with room for so many names, whose sets are numbered below `sets`.
    pub(in crate::lists) fn new(names: u64, sets: u32, seed: u64) -> io::Result<Self> {
        let count = (names.saturating_mul(100) / TAKEN).div_ceil(SLOTS as u64);
        // At least one free slot behind the names, so that no search goes round for ever.
        let count = if names == 0 { 0 } else { count + 1 };
        let count = usize::try_from(count).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut lines = returned(count);
        lines.resize(count, Line::default());
        // The number is kept one higher.
        let set_bits = (u64::from(sets) + 1).next_power_of_two().trailing_zeros();
        Ok(Self(Table { seed, set_bits: set_bits.max(1), longest: 0, lines }))
    }

    /// Adds a name.
    ///
    /// # Errors
    ///
    /// When the hash of another name can't be told from its own: then a table with another seed is needed.
    pub(in crate::lists) fn insert(&mut self, name: &[u8], set: u32) -> Result<(), Clash> {
        let table = &mut self.0;
        let hash = name.split(|&byte| byte == b'.').fold(table.seed, child);
        let wanted = table.wanted(hash);
        let mut at = table.home(hash);
        for away in 0.. {
            let line = &mut table.lines[at];
            if line.nearest(wanted) < 1 << table.set_bits {
                return Err(Clash);
            }
            if let Some(free) = line.0.iter_mut().find(|slot| **slot == 0) {
                *free = wanted | (u64::from(set) + 1);
                table.longest = table.longest.max(away);
                return Ok(());
            }
            at = table.after(at);
        }
        Err(Clash)
    }

    /// Writes the region.
    pub(in crate::lists) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let Table { seed, set_bits, longest, lines } = &self.0;
        output.write_all(&seed.to_le_bytes())?;
        output.write_all(&set_bits.to_le_bytes())?;
        output.write_all(&longest.to_le_bytes())?;
        for line in lines {
            let mut bytes = [0; LINE];
            for (bytes, slot) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(line.0) {
                *bytes = slot.to_le_bytes();
            }
            output.write_all(&bytes)?;
        }
        Ok(())
    }
}

impl Line {
    /// The least difference between what is sought and a slot; below the bits of a set it is the slot's number of its set and one.
    #[inline(always)]
    fn nearest(&self, wanted: u64) -> u64 {
        self.0.iter().fold(u64::MAX, |nearest, slot| nearest.min(slot ^ wanted))
    }
}

impl Table {
    /// Reads a region of so many bytes.
    pub(super) fn read(mut input: impl Read, length: u64) -> Result<Self, Fault> {
        let invalid = |problem| Err(IndexError::Invalid { region: Region::Table, problem }.into());
        let mut head = [0; HEAD];
        let Some(lines) = length.checked_sub(HEAD as u64) else {
            return invalid("it is too short");
        };
        input.read_exact(&mut head)?;
        let numbers = head.as_chunks::<4>().0;
        let [set_bits, longest] = [2, 3].map(|place| u32::from_le_bytes(numbers[place]));
        let seed =
            u64::from(u32::from_le_bytes(numbers[0])) | u64::from(u32::from_le_bytes(numbers[1])) << 32;
        if lines % LINE as u64 != 0 {
            return invalid("it ends within a line");
        }
        if !(1..=MAX_SET_BITS).contains(&set_bits) {
            return invalid("the bits of a set's number are none or too many");
        }
        let Ok(count) = usize::try_from(lines / LINE as u64) else {
            return invalid("it is larger than memory can be");
        };
        if longest as usize > count {
            return invalid("an entry is further away than there are lines");
        }
        let mut lines = returned(count);
        // In pieces, so that the region is in memory once.
        let mut piece = vec![0; LINE * 1024];
        let mut left = count;
        while left > 0 {
            let now = left.min(piece.len() / LINE);
            let piece = &mut piece[..now * LINE];
            input.read_exact(piece)?;
            lines.extend(piece.as_chunks::<LINE>().0.iter().map(|bytes| {
                let mut line = Line::default();
                for (slot, bytes) in line.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
                    *slot = u64::from_le_bytes(*bytes);
                }
                line
            }));
            left -= now;
        }
        Ok(Self { seed, set_bits, longest, lines })
    }

    /// What takes memory; afterwards there are no names.
    pub(super) fn take(&mut self) -> impl Send + use<> {
        std::mem::take(&mut self.lines)
    }

    /// Finds a name and its parents, the shortest first, and calls `found` with the number of labels and the set of each.
    #[inline]
    pub(super) fn find(&self, key: &Key, mut found: impl FnMut(u8, u32)) {
        if self.lines.is_empty() {
            return;
        }
        let (mut hash, mut start) = (self.seed, 0);
        // A name has 127 labels at most.
        for (prefix, depth) in key.prefixes().zip(1..) {
            hash = child(hash, &prefix[start..]);
            start = prefix.len() + 1;
            if let Some(set) = self.set(hash) {
                found(depth, set);
            }
        }
    }

    /// The set of the name with this hash.
    #[inline]
    fn set(&self, hash: u64) -> Option<u32> {
        let wanted = self.wanted(hash);
        let mut at = self.home(hash);
        for _ in 0..=self.longest {
            let line = &self.lines[at];
            let nearest = line.nearest(wanted);
            if nearest < 1 << self.set_bits {
                // Below 2^32; only a table that was made up has the number 0 here.
                return (nearest as u32).checked_sub(1);
            }
            if line.0[SLOTS - 1] == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// A slot of this hash but for the set, never 0.
    #[inline(always)]
    fn wanted(&self, hash: u64) -> u64 {
        (hash << self.set_bits).max(1 << self.set_bits)
    }

    /// The line where a hash belongs.
    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        // The product of a number below 2^64 and one up to 2^64, so what is left is below the second.
        ((u128::from(hash) * self.lines.len() as u128) >> 64) as usize
    }

    #[inline(always)]
    fn after(&self, at: usize) -> usize {
        if at + 1 < self.lines.len() { at + 1 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(names: &[String], seed: u64) -> Result<Table, Clash> {
        let sets = names.len() as u32;
        let mut builder = Builder::new(names.len() as u64, sets, seed).unwrap();
        for (name, set) in names.iter().zip(0..) {
            builder.insert(Key::parse(name).unwrap().as_bytes(), set)?;
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes).unwrap();
        Ok(Table::read(bytes.as_slice(), bytes.len() as u64).unwrap())
    }

    fn found(table: &Table, name: &str) -> Vec<(u8, u32)> {
        let mut all = Vec::new();
        table.find(&Key::parse(name).unwrap(), |depth, set| all.push((depth, set)));
        all
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("name{i}.test")).collect()
    }

    #[test]
    fn each_name_has_its_set_and_no_other_name_has_one() {
        for count in [0, 1, 2, 7, 8, 9, 63, 64, 65, 1_000, 30_000] {
            let names = names(count);
            let table = build(&names, 7).unwrap();
            for (name, set) in names.iter().zip(0..) {
                assert_eq!(found(&table, name), [(2, set)], "{name} of {count}");
                assert_eq!(found(&table, &format!("a.b.{name}")), [(2, set)]);
            }
            for i in 0..10_000 {
                assert!(found(&table, &format!("other{i}.test")).is_empty(), "{i} of {count}");
            }
        }
    }

    #[test]
    fn a_name_and_its_parents_are_found_the_shortest_first() {
        let names = ["test", "a.test", "c.b.a.test"].map(String::from);
        let table = build(&names, 1).unwrap();
        assert_eq!(found(&table, "d.c.b.a.test"), [(1, 0), (2, 1), (4, 2)]);
        assert_eq!(found(&table, "b.a.test"), [(1, 0), (2, 1)]);
        table.find(&Key::root(), |depth, _| panic!("the root is on no list, but was found at {depth}"));
    }

    #[test]
    fn names_of_one_hash_are_told() {
        let twice = ["a.test", "b.test", "a.test"].map(String::from);
        assert_eq!(build(&twice, 1).unwrap_err(), Clash);
    }

    #[test]
    fn full_lines_lead_on_past_the_end() {
        // So many seeds that names of the last line find no room in it in one of them.
        let names = names(26);
        let away = (0..200).map(|seed| {
            let table = build(&names, seed).unwrap();
            for (name, set) in names.iter().zip(0..) {
                assert_eq!(found(&table, name), [(2, set)], "{name}");
            }
            let last = table.lines.len() - 1;
            let hash =
                |name: &String| Key::parse(name).unwrap().as_bytes().split(|b| *b == b'.').fold(seed, child);
            let at_home = names.iter().filter(|name| table.home(hash(name)) == last).count();
            at_home > SLOTS
        });
        assert!(away.filter(|beyond| *beyond).count() > 0);
    }

    #[test]
    fn as_many_bits_are_for_the_set_as_it_needs() {
        for (sets, bits) in
            [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (65_535, 16), (65_536, 17), (u32::MAX, 32)]
        {
            assert_eq!(Builder::new(1, sets, 0).unwrap().0.set_bits, bits, "{sets}");
        }
        let mut builder = Builder::new(1, u32::MAX, 0).unwrap();
        builder.insert(b"test", u32::MAX - 1).unwrap();
        assert_eq!(found(&builder.0, "test"), [(1, u32::MAX - 1)]);
    }

    #[test]
    fn no_head_is_taken_that_leads_astray() {
        let mut bytes = Vec::new();
        let mut builder = Builder::new(100, 100, 3).unwrap();
        for (name, set) in names(100).iter().zip(0..) {
            builder.insert(Key::parse(name).unwrap().as_bytes(), set).unwrap();
        }
        builder.write(&mut bytes).unwrap();
        let read = |bytes: &[u8]| Table::read(bytes, bytes.len() as u64);
        for length in [0, 1, HEAD - 1, HEAD + 1, bytes.len() - 1] {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        for at in 8..HEAD {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                if let Ok(table) = read(&changed) {
                    names(200).iter().for_each(|name| drop(found(&table, name)));
                }
            }
        }
        // Full lines everywhere and no end near: the search ends nevertheless.
        let mut full = bytes.clone();
        full[HEAD..].fill(0xff);
        full[12] = 10;
        full[13..16].fill(0);
        let table = read(&full).unwrap();
        names(200).iter().for_each(|name| drop(found(&table, name)));
    }
}
