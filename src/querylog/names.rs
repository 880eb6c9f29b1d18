//! The names that were written lately, so that the database need not be asked for each question.

use std::{
    collections::{HashMap, hash_map},
    hash::BuildHasher,
    mem,
    sync::Arc,
};

use foldhash::fast::RandomState;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{day, day::write::DayWriter, error::LogError};
use crate::{clock::Day, name::Key, policy::Policy, vault::Vault};

/// How many names are remembered at least, where there are so many; at most twice as many, which take 4.5 MB.
const REMEMBERED: usize = 114_000;

/// What is known of a name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// Its number in the file; none while no row has it.
    pub(super) number: Option<i64>,
    /// It is a help line's.
    pub(super) help: bool,
}

/// What a name is remembered by: 96 bits of a hash whose seed is another one in each run. Two of a day's millions of
/// names have the same ones once in a million years.
#[derive(Debug, Clone, Copy)]
struct Mark {
    first: u64,
    rest: u32,
}

/// What is known of a name, with the rest of its mark.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    rest: u32,
    /// Its number, or 0; the lowest bit says whether it is a help line's.
    packed: u32,
}

/// Names by the first bits of their marks.
type Table = HashMap<u64, Remembered, RandomState>;

/// Names by their keys: those of one file, as one policy sees them.
///
/// Two generations: when the young one is full it becomes the old one, and what is still asked for moves back.
#[derive(Debug)]
pub(super) struct Names {
    seed: u64,
    young: Table,
    old: Table,
    day: Option<Day>,
    policy: Option<Arc<Policy>>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            seed: hash_map::RandomState::new().hash_one(0_u8),
            young: Table::default(),
            old: Table::default(),
            day: None,
            policy: None,
        }
    }
}

impl Remembered {
    /// None of what can't be remembered: a number that no file reaches.
    fn new(mark: Mark, known: Known) -> Option<Self> {
        let number =
            u32::try_from(known.number.unwrap_or(0)).ok().filter(|number| *number <= u32::MAX >> 1)?;
        Some(Self { rest: mark.rest, packed: number << 1 | u32::from(known.help) })
    }

    fn known(self) -> Known {
        let number = i64::from(self.packed >> 1);
        Known { number: (number > 0).then_some(number), help: self.packed & 1 == 1 }
    }
}

impl Names {
    /// Forgets everything, as after numbers became void.
    pub(super) fn forget_all(&mut self) {
        *self = Self::default();
    }

    /// Forgets what was of another file.
    pub(super) fn of_file(&mut self, day: Day) {
        if self.day.replace(day) != Some(day) {
            self.young.clear();
            self.old.clear();
        }
    }

    /// What is known of a name, by the bytes of its key.
    pub(super) fn find(&mut self, key: &[u8], policy: &Arc<Policy>) -> Known {
        // Which names are help lines, and which must not be shown, is the policy's to say.
        if !self.policy.as_ref().is_some_and(|known| Arc::ptr_eq(known, policy)) {
            self.young.clear();
            self.old.clear();
            self.policy = Some(Arc::clone(policy));
        }
        let mark = self.mark(key);
        let is_it = |found: &Remembered| found.rest == mark.rest;
        if let Some(found) = self.young.get(&mark.first).copied().filter(is_it) {
            return found.known();
        }
        let known = match self.old.remove(&mark.first).filter(is_it) {
            Some(found) => found.known(),
            None => Known { number: None, help: policy.is_help_line(&Key::from_bytes(key)) },
        };
        self.remember(mark, known);
        known
    }

    /// The number of a name in the file; it is written where it is new.
    pub(super) fn number(
        &mut self,
        key: &[u8],
        known: Known,
        policy: &Policy,
        writer: &mut DayWriter,
        vault: Option<&Vault>,
    ) -> Result<i64, LogError> {
        if let Some(number) = known.number {
            return Ok(number);
        }
        let name = Key::from_bytes(key);
        let number = match policy.sealed_name(&name) {
            None => writer.name(&day::reversed(key), || None)?,
            Some(listed) => {
                let seal = || vault.map(|vault| vault.seal_text(&["log", "name"], key));
                writer.name(&policy.digests(&name, listed), seal)?
            }
        };
        self.remember(self.mark(key), Known { number: Some(number), ..known });
        Ok(number)
    }

    fn mark(&self, key: &[u8]) -> Mark {
        let hash = xxh3_128_with_seed(key, self.seed);
        // The lower and some of the upper bits.
        Mark { first: hash as u64, rest: (hash >> 64) as u32 }
    }

    fn remember(&mut self, mark: Mark, known: Known) {
        if self.young.len() >= REMEMBERED {
            self.old = mem::take(&mut self.young);
        }
        if let Some(remembered) = Remembered::new(mark, known) {
            self.young.insert(mark.first, remembered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::querylog::tests::{SCHOOL, policy};

    const MARK: Mark = Mark { first: 1, rest: 2 };

    #[test]
    fn what_is_remembered_comes_back() {
        for number in [None, Some(1), Some(i64::from(u32::MAX >> 1))] {
            for help in [false, true] {
                let known = Remembered::new(MARK, Known { number, help }).unwrap().known();
                assert_eq!((known.number, known.help), (number, help));
            }
        }
        for number in [-1, 1 << 31, 1 << 32, i64::MAX] {
            assert!(Remembered::new(MARK, Known { number: Some(number), help: true }).is_none());
        }
    }

    #[test]
    fn a_name_with_the_same_first_bits_is_another_name() {
        let policy = policy(SCHOOL);
        let mut names = Names::default();
        let mark = names.mark(b"com.example");
        names.find(b"com.example", &policy);
        names.remember(mark, Known { number: Some(7), help: false });
        assert_eq!(names.find(b"com.example", &policy).number, Some(7));
        names.remember(Mark { rest: !mark.rest, ..mark }, Known { number: Some(8), help: false });
        assert_eq!(names.find(b"com.example", &policy).number, None);
    }
}
