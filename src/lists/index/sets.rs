//! Each different set of lists that some name is on: counted while compiling, numbered by how often it occurs.

use std::collections::HashMap;

use super::Entry;

/// An entry as it is stored: whether it is about name servers, the list, then whether it is exact, then whether it opens.
pub(in crate::lists) type Code = u16;

/// How many lists a [`Code`] has room for.
pub(in crate::lists) const ROOM: usize = 1 << 13;

impl Entry {
    pub(in crate::lists) fn code(self) -> Code {
        u16::from(self.of_servers) << 15 | self.list << 2 | u16::from(self.exact) << 1 | u16::from(self.allow)
    }

    pub(in crate::lists) fn from_code(code: Code) -> Self {
        Self {
            list: code >> 2 & (ROOM as u16 - 1),
            exact: code & 0b10 != 0,
            allow: code & 1 != 0,
            of_servers: code >> 15 != 0,
        }
    }
}

/// Counts sets, and numbers them as they come.
#[derive(Debug, Default)]
pub(in crate::lists) struct Counter {
    first: HashMap<Box<[Code]>, u32>,
    counts: Vec<u64>,
}

impl Counter {
    /// Notes one more name or address with this set; gives the set's number among those that came so far.
    pub(in crate::lists) fn count(&mut self, set: &[Code]) -> u32 {
        if let Some(&number) = self.first.get(set) {
            self.counts[number as usize] += 1;
            return number;
        }
        // 2^32 different sets would not fit into the memory of any machine.
        let number = self.counts.len() as u32;
        self.first.insert(set.into(), number);
        self.counts.push(1);
        number
    }

    /// Numbers the sets anew, the most frequent first, since small numbers take fewer bytes beside a name.
    pub(in crate::lists) fn number(self) -> Numbered {
        let Self { first, counts } = self;
        let mut sets: Vec<_> = first.into_iter().collect();
        let many = |number: u32| counts[number as usize];
        sets.sort_unstable_by(|(a, x), (b, y)| many(*y).cmp(&many(*x)).then_with(|| a.cmp(b)));
        let mut numbers = vec![0; sets.len()];
        for ((_, first), number) in sets.iter().zip(0..) {
            numbers[*first as usize] = number;
        }
        Numbered { sets: sets.into_iter().map(|(set, _)| set).collect(), numbers }
    }
}

/// Sets with their numbers.
#[derive(Debug)]
pub(in crate::lists) struct Numbered {
    sets: Vec<Box<[Code]>>,
    /// The number of each by the one that it had when it first came.
    numbers: Vec<u32>,
}

impl Numbered {
    /// How many sets there are.
    pub(in crate::lists) fn len(&self) -> usize {
        self.sets.len()
    }

    /// The number of the set that had this one when it was counted.
    pub(in crate::lists) fn number_of(&self, counted: u32) -> Option<u32> {
        self.numbers.get(counted as usize).copied()
    }

    /// The region of the file: for each set, in order, how many entries it has and then these.
    pub(in crate::lists) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for set in &self.sets {
            // A set has each list at most eight times, so its length fits as the lists do.
            bytes.extend_from_slice(&(set.len() as u16).to_le_bytes());
            for code in set {
                bytes.extend_from_slice(&code.to_le_bytes());
            }
        }
        bytes
    }
}

/// Reads the region, checking that every list exists.
pub(super) fn read(bytes: &[u8], count: u32, lists: usize) -> Result<Vec<Box<[Entry]>>, &'static str> {
    let (words, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("it ends within an entry");
    }
    let mut words = words.iter().map(|&word| u16::from_le_bytes(word));
    let mut sets = Vec::new();
    while let Some(length) = words.next() {
        let mut set = Vec::with_capacity(usize::from(length).min(words.len()));
        for _ in 0..length {
            let Some(code) = words.next() else { return Err("it ends within a set") };
            let entry = Entry::from_code(code);
            if usize::from(entry.list) >= lists {
                return Err("a set names a list that does not exist");
            }
            if set.last().is_some_and(|last: &Entry| last.code() >= code) {
                return Err("the entries of a set are not sorted");
            }
            set.push(entry);
        }
        if set.is_empty() {
            return Err("a set is empty");
        }
        sets.push(set.into_boxed_slice());
    }
    if sets.len() != count as usize {
        return Err("it does not have as many sets as the header says");
    }
    Ok(sets)
}
