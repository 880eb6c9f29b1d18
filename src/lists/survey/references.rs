//! Names that a list should not block, and which of them it would.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{FindingKind, Hits, prints::name_hash};
use crate::{lists::popular::Popular, name::Key};

/// Names that a list should not block, by why.
#[derive(Debug, Clone, Default)]
pub struct References {
    names: Vec<(FindingKind, Key)>,
    /// By the hash of a name, what an entry of that name would block.
    covers: HashMap<u64, Vec<Covered>>,
    /// Hashes of names that may be blocked with all below them.
    expected: HashSet<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Covered {
    name: u32,
    /// Whether the entry is of the name itself, so that it need not reach below.
    own: bool,
}

impl References {
    /// None: for a list that opens names rather than blocks them.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What a list of a category is held against: names that must always work, popular names that are foreign to the
    /// category, and names that are often asked here.
    #[must_use]
    pub fn of_category(
        category: &str,
        essential: impl IntoIterator<Item = Key>,
        busy: impl IntoIterator<Item = Key>,
    ) -> Self {
        let popular = Popular::shipped();
        Self::none()
            .essential(essential)
            .popular(popular.foreign_to(category).cloned())
            .busy(busy)
            .expected(popular.expected_in(category))
    }

    /// The same and names that must always work.
    #[must_use]
    pub fn essential(self, names: impl IntoIterator<Item = Key>) -> Self {
        self.with(FindingKind::Essential, names)
    }

    /// The same and names that many people use; what is blocked at `www.` of them is as bad.
    #[must_use]
    pub fn popular(self, names: impl IntoIterator<Item = Key>) -> Self {
        self.with(FindingKind::Popular, names)
    }

    /// The same and names that are often asked here.
    #[must_use]
    pub fn busy(self, names: impl IntoIterator<Item = Key>) -> Self {
        self.with(FindingKind::Busy, names)
    }

    /// The same, but for what lies below some names when a list blocks these themselves: a list of videos has
    /// `youtube.com`, and that essential names lie below it is for the policy to mind, not for the list.
    #[must_use]
    pub fn expected<'n>(mut self, names: impl IntoIterator<Item = &'n Key>) -> Self {
        self.expected.extend(names.into_iter().map(|key| name_hash(key.as_bytes())));
        self
    }

    fn with(mut self, kind: FindingKind, names: impl IntoIterator<Item = Key>) -> Self {
        for key in names {
            let name = self.names.len() as u32;
            for depth in 1..=key.depth() {
                let own = depth == key.depth();
                self.covers.entry(name_hash(key.prefix(depth))).or_default().push(Covered { name, own });
            }
            if kind == FindingKind::Popular {
                let www = [key.as_bytes(), b".www"].concat();
                self.covers.entry(name_hash(&www)).or_default().push(Covered { name, own: true });
            }
            self.names.push((kind, key));
        }
        self
    }

    pub(super) fn watch(&self) -> Watch<'_> {
        Watch { references: self, blocked: HashMap::new(), opened: HashMap::new() }
    }
}

/// Which references the rules so far would block.
pub(super) struct Watch<'a> {
    references: &'a References,
    /// The deepest rule that blocks it; of equals the first.
    blocked: HashMap<u32, Hit>,
    /// How deep the deepest rule is that opens it.
    opened: HashMap<u32, usize>,
}

/// A rule that would block a reference.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub(super) listed: Key,
    pub(super) part: u32,
    pub(super) line: u64,
}

impl Watch<'_> {
    pub(super) fn rule(&mut self, key: &Key, exact: bool, allow: bool, part: u32, line: u64) {
        let hash = name_hash(key.as_bytes());
        let Some(covers) = self.references.covers.get(&hash) else { return };
        let own_only = exact || self.references.expected.contains(&hash);
        for covered in covers.iter().filter(|covered| covered.own || !own_only || (allow && !exact)) {
            if allow {
                let deepest = self.opened.entry(covered.name).or_default();
                *deepest = (*deepest).max(key.depth());
                continue;
            }
            let hit = || Hit { listed: key.clone(), part, line };
            self.blocked
                .entry(covered.name)
                .and_modify(|known| {
                    if known.listed.depth() < key.depth() {
                        *known = hit();
                    }
                })
                .or_insert_with(hit);
        }
    }

    /// A reference at or below a name.
    pub(super) fn any_below(&self, key: &Key) -> Option<&Key> {
        let covered = self.references.covers.get(&name_hash(key.as_bytes()))?.first()?;
        self.references.names.get(covered.name as usize).map(|(_, name)| name)
    }

    /// What would be blocked, by kind, in the order of the list.
    ///
    /// A rule that opens takes back what blocks at its own depth and above, as when names are decided.
    pub(super) fn blocked(&self) -> BTreeMap<FindingKind, Vec<(&Hit, &Key)>> {
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, hit) in &self.blocked {
            if self.opened.get(name).is_some_and(|opened| *opened >= hit.listed.depth()) {
                continue;
            }
            if let Some((kind, key)) = self.references.names.get(*name as usize) {
                found.entry(*kind).or_default().push((hit, key));
            }
        }
        for hits in found.values_mut() {
            hits.sort_by_key(|(hit, key)| (hit.part, hit.line, *key));
        }
        found
    }

    /// The names that would be blocked, by kind.
    pub(super) fn hits(&self) -> Hits {
        self.blocked()
            .into_iter()
            .map(|(kind, hits)| (kind, hits.into_iter().map(|(_, key)| key.to_string()).collect()))
            .collect()
    }
}
