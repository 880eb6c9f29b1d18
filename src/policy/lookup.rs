//! What the lists say of a name, seen through the categories.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr, sync::Arc};

use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3;

use super::{Listed, Policy};
use crate::{
    category::{CategoryId, CategorySet},
    lists::{DomainIndex, Entry},
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
    /// What the sets say of name servers, those that do. Apart, since names are looked up far more often.
    of_servers: HashMap<u32, Meaning>,
    /// Whether any list of it must not be shown.
    has_sealed: bool,
}

/// What is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// A name, or an address of it.
    Names,
    /// A name server's name or address.
    Servers,
}

/// What it means for a name that a set of lists has it.
#[derive(Debug, Clone, Copy, Default)]
struct Meaning {
    block: Scope,
    allow: Scope,
    /// A list that approves has the name with what is below it, or alone.
    approves: bool,
    approves_exact: bool,
    /// A list that must not be shown has it, whatever it says, and whether of names or of name servers.
    sealed: bool,
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
    /// `categories` has the category of each of the index's lists, `approves` whether the list approves names; `sealed`
    /// are the categories whose names must not be shown.
    pub(crate) fn new(
        index: Arc<DomainIndex>,
        categories: Box<[Option<CategoryId>]>,
        approves: &[bool],
        sealed: CategorySet,
    ) -> Self {
        let meaning = |entries: &[Entry], of: Of| {
            let mut meaning = Meaning::default();
            for entry in entries {
                let list = usize::from(entry.list);
                let Some(category) = categories.get(list).copied().flatten() else { continue };
                meaning.sealed |= sealed.contains(category);
                if !of.has(entry) {
                    continue;
                }
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
        };
        let meanings = index.sets().iter().map(|entries| meaning(entries, Of::Names)).collect();
        let of_servers = (0..)
            .zip(index.sets())
            .filter(|(_, entries)| entries.iter().any(|entry| entry.of_servers))
            .map(|(set, entries)| (set, meaning(entries, Of::Servers)))
            .collect();
        let has_sealed = categories.iter().flatten().any(|category| sealed.contains(*category));
        Self { index, categories, meanings, of_servers, has_sealed }
    }

    /// Whether any list of the index must not be shown.
    pub(crate) fn has_sealed(&self) -> bool {
        self.has_sealed
    }

    /// Whether a list that must not be shown is among those of a set, whether it speaks of names or of name servers.
    pub(crate) fn seals(&self, set: u32) -> bool {
        self.meaning(set, Of::Names).sealed
    }

    pub(crate) fn index(&self) -> &DomainIndex {
        &self.index
    }

    /// Whether any list says anything of name servers.
    pub(crate) fn knows_servers(&self) -> bool {
        !self.of_servers.is_empty()
    }

    fn meaning(&self, set: u32, of: Of) -> Meaning {
        match of {
            Of::Names => self.meanings.get(set as usize).copied(),
            Of::Servers => self.of_servers.get(&set).copied(),
        }
        .unwrap_or_default()
    }
}

/// A number of what the lists say of name servers, another one for each that they could say; 0 when they say nothing.
pub(crate) fn server_lists(views: &[View]) -> u64 {
    let mut sum = Xxh3::new();
    for view in views.iter().filter(|view| view.knows_servers()) {
        sum.update(&view.index.checksum().to_le_bytes());
        // Of a category that was taken out, a list says nothing.
        for category in &view.categories {
            let place = category.map_or(usize::MAX, CategoryId::index);
            sum.update(&place.to_le_bytes());
        }
    }
    if views.iter().any(View::knows_servers) { sum.digest().max(1) } else { 0 }
}

impl Of {
    fn has(self, entry: &Entry) -> bool {
        entry.of_servers == (self == Self::Servers)
    }

    fn is_known_to(self, view: &View) -> bool {
        self == Self::Names || view.knows_servers()
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
    /// The categories that some allow entry for it, or for a parent, opens.
    pub(crate) opened: CategorySet,
}

impl Policy {
    /// The categories of every list that has a name or a parent of it, whatever a profile says of them.
    #[must_use]
    pub fn categories_of(&self, key: &Key) -> CategorySet {
        self.look_up(key).raw
    }

    /// Looks a name and its parents up in every index.
    pub(crate) fn look_up(&self, key: &Key) -> Matches {
        self.look_up_as(Of::Names, key)
    }

    /// Looks a name, or the name of a server, and its parents up in every index.
    pub(crate) fn look_up_as(&self, of: Of, key: &Key) -> Matches {
        // Depth, what blocks, what opens.
        let mut levels: SmallVec<[(u8, CategorySet, CategorySet); 8]> = SmallVec::new();
        let mut matches = Matches::default();
        for view in self.views.iter().filter(|view| of.is_known_to(view)) {
            for hit in view.index.lookup(key) {
                let exact = usize::from(hit.depth) == key.depth();
                let meaning = view.meaning(hit.set, of);
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
        matches.opened = opened;
        matches
    }

    /// Looks an address of a name, or of a server, up in every index.
    pub(crate) fn look_up_address(&self, of: Of, address: IpAddr) -> Matches {
        let mut matches = Matches::default();
        let mut opened = CategorySet::EMPTY;
        for view in self.views.iter().filter(|view| of.is_known_to(view)) {
            for set in view.index.addresses(address) {
                let meaning = view.meaning(set, of);
                matches.raw = matches.raw.union(meaning.block.of(true));
                opened = opened.union(meaning.allow.of(true));
            }
        }
        matches.open = matches.raw.difference(opened);
        matches.opened = opened;
        matches
    }

    /// Who lists a name most specifically in one of some categories.
    ///
    /// Of equal depth the first category of the table counts, then the name itself before what is below it, then the
    /// list's identifier: never the order in which lists were given.
    pub(crate) fn listed(&self, key: &Key, wanted: CategorySet) -> Listed {
        self.listed_as(Of::Names, key, wanted)
    }

    /// The same for a name or the name of a server.
    pub(crate) fn listed_as(&self, of: Of, key: &Key, wanted: CategorySet) -> Listed {
        let hits = self.views.iter().enumerate().flat_map(|(place, view)| {
            view.index.lookup(key).into_iter().map(move |hit| (place, view, hit.depth, hit.set))
        });
        pick(of, hits.filter(|&(_, _, depth, _)| usize::from(depth) <= key.depth()), wanted, |depth| {
            usize::from(depth) == key.depth()
        })
        .unwrap_or_else(|| nobody(wanted))
    }

    /// Who lists an address of a name, or of a server, in one of some categories.
    pub(crate) fn listed_address(&self, of: Of, address: IpAddr, wanted: CategorySet) -> Listed {
        let hits = self.views.iter().enumerate().flat_map(|(place, view)| {
            view.index.addresses(address).into_iter().map(move |set| (place, view, 0, set))
        });
        pick(of, hits, wanted, |_| true).unwrap_or_else(|| nobody(wanted))
    }
}

fn pick<'a>(
    of: Of,
    hits: impl Iterator<Item = (usize, &'a View, u8, u32)>,
    wanted: CategorySet,
    is_own: impl Fn(u8) -> bool,
) -> Option<Listed> {
    let mut best = None;
    for (place, view, depth, set) in hits {
        let Some(entries) = view.index.sets().get(set as usize) else { continue };
        for entry in
            entries.iter().filter(|entry| of.has(entry) && !entry.allow && (!entry.exact || is_own(depth)))
        {
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
