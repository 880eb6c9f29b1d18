//! The names that the product and the school named themselves, in one table: rules, essential names, canaries, site
//! bundles, lesson lists, services that are switched by themselves and SafeSearch hosts.
//!
//! One look for each parent of a name finds everything that is said about it. The lists' index is another matter: it
//! is large and compiled elsewhere.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use jiff::Timestamp;
use smallvec::SmallVec;

use super::BlockResponse;
use crate::name::{Key, NameError};

/// A name as people write it in rules: `bbc.co.uk` with what is below it, `=bbc.co.uk` alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamePattern {
    /// The name.
    pub key: Key,
    /// It speaks of the name alone.
    pub exact: bool,
}

impl NamePattern {
    /// Reads a name, with `=` in front when it is meant alone; `*.` and `.` in front are taken as what is below.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('=') {
            return Ok(Self { key: Key::parse(name.trim())?, exact: true });
        }
        let name = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
        Ok(Self { key: Key::parse(name)?, exact: false })
    }
}

/// Some profiles, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ProfileSet(u128);

impl ProfileSet {
    pub(crate) const ALL: Self = Self(u128::MAX);

    pub(crate) fn insert(&mut self, place: usize) {
        if place < super::MAX_PROFILES {
            self.0 |= 1 << place;
        }
    }

    pub(crate) fn contains(self, place: usize) -> bool {
        place < super::MAX_PROFILES && self.0 & (1 << place) != 0
    }
}

/// Why a name is essential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Essential {
    /// Machines need it: updates, certificates, connectivity checks.
    Infrastructure,
    /// It helps people in need; not logged by name for pupils.
    Help,
    /// Education in the UK.
    Education,
    /// The school's own.
    Own,
}

/// One thing that is said of a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fact {
    /// It is said of the name alone, not of what is below it.
    pub(crate) exact: bool,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Rule {
        rule: u32,
        allow: bool,
        until: Option<Timestamp>,
        profiles: ProfileSet,
        /// It holds for some of their clients only.
        narrow: bool,
    },
    Essential(Essential),
    /// `always`: whatever a profile says of canaries.
    Canary {
        answer: BlockResponse,
        always: bool,
    },
    /// The place of the bundle: the shipped ones first, then the school's own.
    Bundle(u8),
    /// The place of the lesson in the file.
    Lesson(u16),
    /// The place of the service in the table.
    Service(u16),
    /// A name server of so many unrelated zones that it says nothing of any of them.
    SharedServer,
    /// The place of the engine in the table; `site` facts count only where the engine is blocked whole.
    Engine {
        engine: u16,
        site: bool,
    },
}

/// Hashes with xxh3: the table is made once from names that the school and the product chose.
#[derive(Debug, Default)]
pub(crate) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, n: usize) {
        self.0 ^= n as u64;
    }
}

/// What is said of names.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    map: HashMap<Box<[u8]>, Vec<Fact>, BuildHasherDefault<NameHasher>>,
    /// A bit for each depth (up to 63; deeper ones share the last) at which some name stands.
    depths: u64,
}

/// What is said of a name and its parents, the deepest first.
pub(crate) struct Found<'a> {
    /// How many labels the name has.
    own: usize,
    levels: SmallVec<[(usize, &'a [Fact]); 4]>,
}

impl NameTable {
    pub(crate) fn add(&mut self, pattern: &NamePattern, what: What) {
        self.depths |= 1 << pattern.key.depth().min(63);
        let facts = self.map.entry(pattern.key.as_bytes().into()).or_default();
        facts.push(Fact { exact: pattern.exact, what });
    }

    pub(crate) fn find(&self, key: &Key) -> Found<'_> {
        let mut levels = SmallVec::new();
        for depth in (0..=key.depth()).rev() {
            if self.depths & (1 << depth.min(63)) == 0 {
                continue;
            }
            if let Some(facts) = self.map.get(key.prefix(depth)) {
                levels.push((depth, facts.as_slice()));
            }
        }
        Found { own: key.depth(), levels }
    }
}

impl<'a> Found<'a> {
    /// What is found where nobody says anything.
    pub(crate) fn nothing() -> Self {
        Self { own: 0, levels: SmallVec::new() }
    }

    /// Whether nobody says anything.
    pub(crate) fn is_nothing(&self) -> bool {
        self.levels.is_empty()
    }

    /// Everything said that holds for the name, with the depth at which it is said, the deepest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &'a Fact)> + '_ {
        self.levels.iter().flat_map(move |&(depth, facts)| {
            facts.iter().filter(move |f| !f.exact || depth == self.own).map(move |f| (depth, f))
        })
    }

    /// The set of essential names that has the name: the deepest match.
    pub(crate) fn essential(&self) -> Option<Essential> {
        self.iter().find_map(|(_, fact)| match fact.what {
            What::Essential(set) => Some(set),
            _ => None,
        })
    }

    /// Whether the name is that of a server which many unrelated zones share.
    pub(crate) fn is_shared_server(&self) -> bool {
        self.iter().any(|(_, fact)| fact.what == What::SharedServer)
    }

    /// Whether the name is one of the school's own.
    pub(crate) fn is_own(&self) -> bool {
        self.iter().any(|(_, fact)| fact.what == What::Essential(Essential::Own))
    }

    /// The school's rule that decides for a profile: the deepest, exact before subdomains, an exception before a block
    /// before an allow. Says the rule, whether it allows, and whether it is an exception.
    ///
    /// `is_for` is asked of rules that hold for some clients only.
    pub(crate) fn rule(
        &self,
        profile: usize,
        now: Timestamp,
        is_for: impl Fn(u32) -> bool,
    ) -> Option<(u32, bool, bool)> {
        for &(depth, facts) in &self.levels {
            let best = facts
                .iter()
                .filter(|fact| !fact.exact || depth == self.own)
                .filter_map(|fact| match fact.what {
                    What::Rule { rule, allow, until, profiles, narrow }
                        if profiles.contains(profile)
                            && until.is_none_or(|until| now < until)
                            && (!narrow || is_for(rule)) =>
                    {
                        let exception = allow && until.is_some();
                        let rank = if exception {
                            0
                        } else if allow {
                            2
                        } else {
                            1
                        };
                        // The place in the file comes last, so that equal rules are told apart the same way always.
                        Some((!fact.exact, rank, rule, allow, exception))
                    }
                    _ => None,
                })
                .min();
            if let Some((_, _, rule, allow, exception)) = best {
                return Some((rule, allow, exception));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_alone_or_with_what_is_below() {
        let alone = NamePattern::parse("=BBC.co.uk").unwrap();
        assert!(alone.exact && alone.key == Key::parse("bbc.co.uk").unwrap());
        assert!(!NamePattern::parse("bbc.co.uk").unwrap().exact);
        assert_eq!(NamePattern::parse("*.bbc.co.uk"), NamePattern::parse("bbc.co.uk"));
        assert!(NamePattern::parse("=").is_err());
        assert!(NamePattern::parse("not a name").is_err());
    }

    #[test]
    fn the_table_finds_a_name_and_its_parents_the_deepest_first() {
        let mut table = NameTable::default();
        table.add(&NamePattern::parse("=example.com").unwrap(), What::Bundle(1));
        table.add(&NamePattern::parse("com").unwrap(), What::Bundle(2));
        table.add(&NamePattern::parse("www.example.com").unwrap(), What::Bundle(3));
        let said = |name: &str| -> Vec<(usize, u8)> {
            table
                .find(&Key::parse(name).unwrap())
                .iter()
                .filter_map(|(depth, fact)| match fact.what {
                    What::Bundle(n) => Some((depth, n)),
                    _ => None,
                })
                .collect()
        };
        assert_eq!(said("a.www.example.com"), [(3, 3), (1, 2)]);
        assert_eq!(said("example.com"), [(2, 1), (1, 2)]);
        assert_eq!(said("example.org"), []);
    }
}
