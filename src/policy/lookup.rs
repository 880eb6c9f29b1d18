//! What the lists say of a name, seen through the categories.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr, sync::Arc};

use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3;

use super::{Listed, Policy};
use crate::{
    category::{CategoryId, CategorySet},
    lists::{DomainIndex, Entry, Hit},
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Of {
    /// A name, or an address of it.
    #[default]
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

/// What all lists together say of a name or an address.
#[derive(Debug, Clone, Default)]
pub struct Matches {
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
    /// What was looked up.
    of: Of,
    /// Where it was found, the deepest first.
    hits: SmallVec<[At; 4]>,
}

/// Where a name, a parent of it, or an address was found.
#[derive(Debug, Clone, Copy)]
struct At {
    /// The place of the index.
    view: usize,
    /// How many labels the listed name has; 0 for an address.
    depth: u8,
    /// It is the name itself, or the address.
    own: bool,
    set: u32,
}

impl At {
    fn new(view: usize, hit: Hit, key: &Key) -> Self {
        Self { view, depth: hit.depth, own: usize::from(hit.depth) == key.depth(), set: hit.set }
    }
}

impl Matches {
    /// Whether no list has it.
    pub(crate) fn is_nothing(&self) -> bool {
        self.hits.is_empty()
    }
}

impl Policy {
    /// The categories of every list that has a name or a parent of it, whatever a profile says of them.
    #[must_use]
    pub fn categories_of(&self, key: &Key) -> CategorySet {
        self.look_up(key).raw
    }

    /// Looks a name and its parents up in every index.
    #[must_use]
    pub fn look_up(&self, key: &Key) -> Matches {
        self.look_up_as(Of::Names, key)
    }

    /// Looks a name, or the name of a server, and its parents up in every index.
    pub(crate) fn look_up_as(&self, of: Of, key: &Key) -> Matches {
        let mut hits = SmallVec::new();
        for (view, index) in self.asked(of) {
            hits.extend(index.lookup(key).iter().map(|hit| At::new(view, *hit, key)));
        }
        self.put_together(of, hits)
    }

    /// Looks an address of a name, or of a server, up in every index.
    pub(crate) fn look_up_address(&self, of: Of, address: IpAddr) -> Matches {
        let mut hits = SmallVec::new();
        for (view, index) in self.asked(of) {
            let found = index.addresses(address);
            hits.extend(found.iter().map(|&set| At { view, depth: 0, own: true, set }));
        }
        self.put_together(of, hits)
    }

    fn asked(&self, of: Of) -> impl Iterator<Item = (usize, &DomainIndex)> {
        let views = self.views.iter().enumerate().filter(move |(_, view)| of.is_known_to(view));
        views.map(|(place, view)| (place, view.index()))
    }

    fn put_together(&self, of: Of, hits: SmallVec<[At; 4]>) -> Matches {
        let mut matches = Matches { of, hits, ..Matches::default() };
        // From the deepest up: an allow entry opens its category for matches at its own depth and above.
        matches.hits.sort_unstable_by_key(|hit| Reverse(hit.depth));
        for level in matches.hits.chunk_by(|a, b| a.depth == b.depth) {
            let mut blocked = CategorySet::EMPTY;
            for hit in level {
                let meaning = self.views[hit.view].meaning(hit.set, of);
                let (block, allow) = (meaning.block.of(hit.own), meaning.allow.of(hit.own));
                matches.known |= !block.union(allow).is_empty();
                matches.approved |= meaning.approves || (hit.own && meaning.approves_exact);
                matches.opened = matches.opened.union(allow);
                blocked = blocked.union(block);
            }
            matches.raw = matches.raw.union(blocked);
            matches.open = matches.open.union(blocked.difference(matches.opened));
        }
        matches
    }

    /// Who lists what was looked up most specifically in one of some categories.
    ///
    /// Of equal depth the first category of the table counts, then the name itself before what is below it, then the
    /// list's identifier: never the order in which lists were given.
    pub(crate) fn listed(&self, matches: &Matches, wanted: CategorySet) -> Listed {
        let mut best = None;
        for hit in &matches.hits {
            let view = &self.views[hit.view];
            let Some(entries) = view.index.sets().get(hit.set as usize) else { continue };
            let concerned = entries
                .iter()
                .filter(|entry| matches.of.has(entry) && !entry.allow && (!entry.exact || hit.own));
            for entry in concerned {
                let list = usize::from(entry.list);
                let Some(category) = view.categories.get(list).copied().flatten() else { continue };
                if !wanted.contains(category) {
                    continue;
                }
                let id = view.index.lists().get(list).map_or("", |meta| meta.id.as_str());
                let rank = (Reverse(hit.depth), category, !entry.exact, hit.view, id);
                // Indexes are few (starter lists, subscribed lists), so their place fits.
                let listed = Listed { category, depth: hit.depth, index: hit.view as u8, list: entry.list };
                if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                    best = Some((rank, listed));
                }
            }
        }
        best.map_or_else(|| nobody(wanted), |(_, listed)| listed)
    }
}

/// Stands in for a list that can't be found: a category was wanted that no list brought.
fn nobody(wanted: CategorySet) -> Listed {
    let category = wanted.iter().next().unwrap_or_default();
    Listed { category, depth: 0, index: u8::MAX, list: u16::MAX }
}
