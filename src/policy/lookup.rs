//! What the lists say of a name, seen through the categories.

use std::{cmp::Reverse, net::IpAddr, sync::Arc};

use smallvec::SmallVec;

use super::{Listed, Policy};
use crate::{
    category::{CategoryId, CategorySet},
    lists::DomainIndex,
    name::Key,
};

/// An index with what its sets of lists mean.
#[derive(Debug)]
pub(crate) struct View {
    index: Arc<DomainIndex>,
    /// The category of each list; none for lists of a category that the school has taken out.
    categories: Box<[Option<CategoryId>]>,
    /// For each of the index's sets.
    meanings: Box<[Meaning]>,
}

/// What it means for a name that a set of lists has it.
#[derive(Debug, Clone, Copy, Default)]
struct Meaning {
    block: Scope,
    allow: Scope,
    /// A list that approves has the name with what is below it, or alone.
    approves: bool,
    approves_exact: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Scope {
    /// For the name and what is below it.
    below: CategorySet,
    /// For the name alone.
    exact: CategorySet,
}

impl Scope {
    fn of(self, exact: bool) -> CategorySet {
        if exact { self.below.union(self.exact) } else { self.below }
    }
}

impl View {
    /// `categories` has the category of each of the index's lists, `approves` whether the list approves names.
    pub(crate) fn new(
        index: Arc<DomainIndex>,
        categories: Box<[Option<CategoryId>]>,
        approves: &[bool],
    ) -> Self {
        let meanings = index
            .sets()
            .iter()
            .map(|entries| {
                let mut meaning = Meaning::default();
                for entry in entries {
                    let list = usize::from(entry.list);
                    let Some(category) = categories.get(list).copied().flatten() else { continue };
                    let scope = if entry.allow { &mut meaning.allow } else { &mut meaning.block };
                    if entry.exact {
                        scope.exact.insert(category)
                    } else {
                        scope.below.insert(category)
                    }
                    if entry.allow && approves.get(list).copied().unwrap_or(false) {
                        meaning.approves |= !entry.exact;
                        meaning.approves_exact = true;
                    }
                }
                meaning
            })
            .collect();
        Self { index, categories, meanings }
    }

    pub(crate) fn index(&self) -> &DomainIndex {
        &self.index
    }

    fn meaning(&self, set: u32) -> Meaning {
        self.meanings.get(set as usize).copied().unwrap_or_default()
    }
}

/// What all lists together say of a name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Matches {
    /// The categories of every list that blocks the name or a parent.
    pub(crate) raw: CategorySet,
    /// The same without those that an allow entry opened.
    pub(crate) open: CategorySet,
    /// A list that approves names has it.
    pub(crate) approved: bool,
    /// Some list has it, whatever it says.
    pub(crate) known: bool,
}

impl Policy {
    /// The categories of every list that has a name or a parent of it, whatever a profile says of them.
    #[must_use]
    pub fn categories_of(&self, key: &Key) -> CategorySet {
        self.look_up(key).raw
    }

    /// Looks a name and its parents up in every index.
    pub(crate) fn look_up(&self, key: &Key) -> Matches {
        // Depth, what blocks, what opens.
        let mut levels: SmallVec<[(u8, CategorySet, CategorySet); 8]> = SmallVec::new();
        let mut matches = Matches::default();
        for view in &self.views {
            for hit in view.index.lookup(key) {
                let exact = usize::from(hit.depth) == key.depth();
                let meaning = view.meaning(hit.set);
                let (block, allow) = (meaning.block.of(exact), meaning.allow.of(exact));
                matches.known |= !block.union(allow).is_empty();
                levels.push((hit.depth, block, allow));
                matches.approved |= meaning.approves || (exact && meaning.approves_exact);
            }
        }
        // From the deepest up: an allow entry opens its category for matches at its own depth and above.
        levels.sort_unstable_by_key(|&(depth, ..)| Reverse(depth));
        let mut opened = CategorySet::EMPTY;
        for level in levels.chunk_by(|a, b| a.0 == b.0) {
            for (_, _, allow) in level {
                opened = opened.union(*allow);
            }
            for (_, block, _) in level {
                matches.raw = matches.raw.union(*block);
                matches.open = matches.open.union(block.difference(opened));
            }
        }
        matches
    }

    /// Looks an address up in every index.
    pub(crate) fn look_up_address(&self, address: IpAddr) -> Matches {
        let mut matches = Matches::default();
        let mut opened = CategorySet::EMPTY;
        for view in &self.views {
            for set in view.index.addresses(address) {
                let meaning = view.meaning(set);
                matches.raw = matches.raw.union(meaning.block.of(true));
                opened = opened.union(meaning.allow.of(true));
            }
        }
        matches.open = matches.raw.difference(opened);
        matches
    }

    /// Who lists a name most specifically in one of some categories.
    ///
    /// Of equal depth the first category of the table counts, then the name itself before what is below it, then the
    /// list's identifier: never the order in which lists were given.
    pub(crate) fn listed(&self, key: &Key, wanted: CategorySet) -> Listed {
        let hits = self.views.iter().enumerate().flat_map(|(place, view)| {
            view.index.lookup(key).into_iter().map(move |hit| (place, view, hit.depth, hit.set))
        });
        pick(hits.filter(|&(_, _, depth, _)| usize::from(depth) <= key.depth()), wanted, |depth| {
            usize::from(depth) == key.depth()
        })
        .unwrap_or_else(|| nobody(wanted))
    }

    /// Who lists an address in one of some categories.
    pub(crate) fn listed_address(&self, address: IpAddr, wanted: CategorySet) -> Listed {
        let hits = self.views.iter().enumerate().flat_map(|(place, view)| {
            view.index.addresses(address).into_iter().map(move |set| (place, view, 0, set))
        });
        pick(hits, wanted, |_| true).unwrap_or_else(|| nobody(wanted))
    }
}

fn pick<'a>(
    hits: impl Iterator<Item = (usize, &'a View, u8, u32)>,
    wanted: CategorySet,
    is_own: impl Fn(u8) -> bool,
) -> Option<Listed> {
    let mut best = None;
    for (place, view, depth, set) in hits {
        let Some(entries) = view.index.sets().get(set as usize) else { continue };
        for entry in entries.iter().filter(|entry| !entry.allow && (!entry.exact || is_own(depth))) {
            let list = usize::from(entry.list);
            let Some(category) = view.categories.get(list).copied().flatten() else { continue };
            if !wanted.contains(category) {
                continue;
            }
            let id = view.index.lists().get(list).map_or("", |meta| meta.id.as_str());
            let rank = (Reverse(depth), category, !entry.exact, place, id);
            // Indexes are few (starter lists, subscribed lists), so their place fits.
            let listed = Listed { category, depth, index: place as u8, list: entry.list };
            if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                best = Some((rank, listed));
            }
        }
    }
    best.map(|(_, listed)| listed)
}

/// Stands in for a list that can't be found: a category was wanted that no list brought.
fn nobody(wanted: CategorySet) -> Listed {
    let category = wanted.iter().next().unwrap_or_default();
    Listed { category, depth: 0, index: u8::MAX, list: u16::MAX }
}
