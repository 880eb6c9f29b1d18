//! The index of everything that is listed: one immutable structure that answers for a name in one walk.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::format::{MatchMode, Rule, Subject};
use crate::name::Key;

/// How many lists one index can hold.
pub const MAX_LISTS: usize = 1024;

/// What an index knows about one of its lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMeta {
    /// The identifier (`ut1-adult`).
    pub id: String,
    /// What people read.
    pub title: String,
    /// The identifier of the category that it feeds.
    pub category: String,
    /// Which version of the list this is: the checksum of its text.
    pub version: String,
    /// How many rules it brought.
    pub entries: u64,
}

/// One list's say about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The list's place in [`DomainIndex::lists`].
    pub list: u16,
    /// It speaks of the name alone, not of what is below it.
    pub exact: bool,
    /// It opens rather than blocks.
    pub allow: bool,
}

/// A name, or a parent of it, that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// How many labels the listed name has.
    pub depth: u8,
    /// The place in [`DomainIndex::sets`] of who lists it.
    pub set: u32,
}

/// Every listed name of a number of lists.
#[derive(Debug, Default)]
pub struct DomainIndex {
    lists: Vec<ListMeta>,
    sets: Vec<Box<[Entry]>>,
    names: BTreeMap<Vec<u8>, u32>,
    addresses: Vec<(ipnet::IpNet, u32)>,
}

impl DomainIndex {
    /// Makes an index in memory, for small sets of lists such as the starter lists.
    #[must_use]
    pub fn from_rules(lists: Vec<(ListMeta, Vec<Rule>)>) -> Self {
        let mut names: BTreeMap<Vec<u8>, Vec<Entry>> = BTreeMap::new();
        let mut nets: BTreeMap<ipnet::IpNet, Vec<Entry>> = BTreeMap::new();
        let mut index = Self::default();
        for (place, (meta, rules)) in lists.into_iter().enumerate() {
            for rule in rules {
                let list = place as u16;
                match rule.subject {
                    Subject::Name { key, mode } => names
                        .entry(key.as_bytes().to_vec())
                        .or_default()
                        .push(Entry { list, exact: mode == MatchMode::Exact, allow: rule.allow }),
                    Subject::Address(net) => {
                        nets.entry(net).or_default().push(Entry { list, exact: false, allow: rule.allow });
                    }
                }
            }
            index.lists.push(meta);
        }
        for (name, entries) in names {
            index.names.insert(name, index.sets.len() as u32);
            index.sets.push(entries.into());
        }
        for (net, entries) in nets {
            index.addresses.push((net, index.sets.len() as u32));
            index.sets.push(entries.into());
        }
        index
    }

    /// The lists that it was made from.
    #[must_use]
    pub fn lists(&self) -> &[ListMeta] {
        &self.lists
    }

    /// Each different set of lists that some name is on.
    #[must_use]
    pub fn sets(&self) -> &[Box<[Entry]>] {
        &self.sets
    }

    /// Finds the name and all its parents, the shortest first.
    ///
    /// An entry that is [`exact`](Entry::exact) speaks of the name only where the hit's depth is the name's own; the
    /// caller looks at that.
    #[must_use]
    pub fn lookup(&self, key: &Key) -> SmallVec<[Hit; 4]> {
        key.prefixes()
            .enumerate()
            .filter_map(|(i, prefix)| self.names.get(prefix).map(|&set| Hit { depth: (i + 1) as u8, set }))
            .collect()
    }

    /// The sets of lists that hold an address or a subnet around it.
    #[must_use]
    pub fn addresses(&self, address: IpAddr) -> SmallVec<[u32; 2]> {
        self.addresses.iter().filter(|(net, _)| net.contains(&address)).map(|(_, set)| *set).collect()
    }
}
