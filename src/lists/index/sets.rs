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

/// Counts sets.
#[derive(Debug, Default)]
pub(in crate::lists) struct Counter {
    counts: HashMap<Box<[Code]>, u64>,
}

impl Counter {
    /// Notes one more name or address with this set.
    pub(in crate::lists) fn count(&mut self, set: &[Code]) {
        if let Some(count) = self.counts.get_mut(set) {
            *count += 1;
        } else {
            self.counts.insert(set.into(), 1);
        }
    }

    /// Numbers the sets, the most frequent first, since small numbers take fewer bytes beside a name.
    pub(in crate::lists) fn number(self) -> Numbered {
        let mut sets: Vec<_> = self.counts.into_iter().collect();
        sets.sort_unstable_by(|(a, many), (b, few)| few.cmp(many).then_with(|| a.cmp(b)));
        Numbered { numbers: sets.into_iter().zip(0..).map(|((set, _), number)| (set, number)).collect() }
    }
}

/// Sets with their numbers.
#[derive(Debug)]
pub(in crate::lists) struct Numbered {
    numbers: HashMap<Box<[Code]>, u32>,
}

impl Numbered {
    /// How many sets there are.
    pub(in crate::lists) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of a set that was counted.
    pub(in crate::lists) fn number_of(&self, set: &[Code]) -> Option<u32> {
        self.numbers.get(set).copied()
    }

    /// The region of the file: for each set, in order, how many entries it has and then these.
    pub(in crate::lists) fn bytes(&self) -> Vec<u8> {
        let mut sets: Vec<_> = self.numbers.iter().collect();
        sets.sort_unstable_by_key(|(_, number)| **number);
        let mut bytes = Vec::new();
        for (set, _) in sets {
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
