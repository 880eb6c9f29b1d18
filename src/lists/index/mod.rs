//! The index of everything that is listed: one immutable structure that answers for a name in one walk.
//!
//! An index is the bytes of a file, held in memory once; names, filter and addresses are asked in place. The
//! [`compiler`](super::compiler) writes such files.
//!
//! Damage by accident is found when an index is opened: each byte is under a checksum. Bytes that were made up with
//! right checksums can give wrong answers, as any list can, but never a panic: what is cheap to check is checked when
//! the index is opened, and the walk through the names checks each step.

mod addresses;
mod filter;
mod layout;
mod names;
mod sets;
mod shortcuts;

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    mem,
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

#[cfg(any(test, fuzzing))]
pub use layout::reseal;
pub use layout::{IndexError, Region};

pub(super) use addresses::build as build_addresses;
pub(super) use filter::{ROOT, build as build_filter, child, hash};
pub(super) use layout::{Counts, Writer};
pub(super) use sets::{Code, Counter, ROOM};

use self::{addresses::Addresses, filter::Filter, layout::Header, names::Names};
use super::{compiler::Compiler, format::Rule};
use crate::{background, name::Key};

/// How many lists one index can hold.
pub const MAX_LISTS: usize = 1024;

const _: () = assert!(MAX_LISTS <= ROOM, "each list has a code");

/// What an index knows about one of its lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMeta {
    /// The identifier (`ut1-adult`).
    pub id: String,
    /// What people read.
    pub title: String,
    /// The identifier of the category that it feeds.
    pub category: String,
    /// Which version of the list this is: a checksum of its rules, in which their order makes no difference.
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
    /// It speaks of name servers with that name or address, not of the name or of answers with that address.
    pub of_servers: bool,
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
///
/// Invariants:
/// 1. Every list that a set names is in [`lists`](Self::lists).
/// 2. Every set that a lookup gives is in [`sets`](Self::sets).
pub struct DomainIndex {
    bytes: Vec<u8>,
    lists: Vec<ListMeta>,
    sets: Vec<Box<[Entry]>>,
    header: Header,
    names: Names,
    filter: Option<Filter>,
    addresses: Addresses,
}

impl DomainIndex {
    /// Makes an index in memory, for small sets of lists such as the starter lists.
    ///
    /// # Panics
    ///
    /// With more than [`MAX_LISTS`] lists.
    #[must_use]
    pub fn from_rules(lists: Vec<(ListMeta, Vec<Rule>)>) -> Self {
        let mut compiler = Compiler::in_memory();
        for (meta, rules) in lists {
            compiler
                .add_counted(meta, rules)
                .expect("no more than MAX_LISTS lists, and memory can be written");
        }
        let (bytes, _) = compiler.finish_bytes().expect("memory can be written");
        Self::from_bytes(bytes).expect("what the compiler writes can be read")
    }

    /// Takes the bytes of an index file, checks them and keeps them.
    ///
    /// # Errors
    ///
    /// Names the region that is damaged.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, IndexError> {
        let header = Header::check(&bytes)?;
        let region = |region| &bytes[header.range(region)];
        let invalid = |region| move |problem| IndexError::Invalid { region, problem };

        let lists: Vec<ListMeta> = serde_json::from_slice(region(Region::Lists))
            .map_err(|_| invalid(Region::Lists)("it is not the JSON that it should be"))?;
        if lists.len() != header.counts.lists as usize {
            return Err(invalid(Region::Lists)("it does not have as many lists as the header says"));
        }
        if lists.len() > ROOM {
            return Err(invalid(Region::Lists)("it has more lists than an index can hold"));
        }
        let sets = sets::read(region(Region::Sets), header.counts.sets, lists.len())
            .map_err(invalid(Region::Sets))?;
        let addresses =
            Addresses::check(region(Region::Addresses), header.counts.addresses, header.counts.sets)
                .map_err(invalid(Region::Addresses))?;
        let filter = Filter::check(region(Region::Filter)).map_err(invalid(Region::Filter))?;
        let names =
            Names::check(region(Region::Names), header.counts.names).map_err(invalid(Region::Names))?;
        Ok(Self { lists, sets, header, names, filter, addresses, bytes })
    }

    /// Reads an index file into memory and checks it.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or is damaged; names the file and the region.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let bytes = read(path).map_err(|source| IndexError::Read { path: PathBuf::from(path), source })?;
        Self::from_bytes(bytes)
            .map_err(|error| IndexError::In { path: PathBuf::from(path), error: Box::new(error) })
    }

    /// The lists that it was made from.
    #[must_use]
    pub fn lists(&self) -> &[ListMeta] {
        &self.lists
    }

    /// Each different set of lists that some name is on, the most frequent first.
    ///
    /// The entries of a set are sorted by list, those of name servers behind all others; none occurs twice.
    #[must_use]
    pub fn sets(&self) -> &[Box<[Entry]>] {
        &self.sets
    }

    /// How many different names are listed.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.header.counts.names
    }

    /// Whether no name is listed; addresses may be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.counts.names == 0
    }

    /// A checksum of all that the index says: two indexes with the same one say the same.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.header.sum
    }

    /// How many bytes the index has, in its file and in memory.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// How many bytes of them each region takes, in the order of the file.
    pub fn region_sizes(&self) -> impl Iterator<Item = (Region, u64)> {
        [Region::Header].into_iter().chain(Region::STORED).map(|r| (r, self.region(r).len() as u64))
    }

    #[inline]
    fn region(&self, region: Region) -> &[u8] {
        &self.bytes[self.header.range(region)]
    }

    /// Finds the name and all its parents, the shortest first.
    ///
    /// An entry that is [`exact`](Entry::exact) speaks of the name only where the hit's depth is the name's own; the
    /// caller looks at that. Up to four hits are found without allocating.
    #[must_use]
    pub fn lookup(&self, key: &Key) -> SmallVec<[Hit; 4]> {
        let mut hits = SmallVec::new();
        let deepest = self.deepest_admitted(key);
        if deepest > 0 {
            let names = self.region(Region::Names);
            self.names
                .walk(names, key.prefix(deepest), |length, set| hits.extend(self.hit(key, length, set)));
        }
        hits
    }

    /// The same for several names, which takes less time than one after the other; calls `found` with each name's place and
    /// hit, a name's own in the same order.
    pub fn lookup_all<'k>(&self, keys: &[&'k Key], mut found: impl FnMut(usize, Hit)) {
        let admitted = |(place, key): (usize, &&'k Key)| {
            let deepest = self.deepest_admitted(key);
            (deepest > 0).then(|| (place, key.prefix(deepest)))
        };
        let admitted = keys.iter().enumerate().filter_map(admitted);
        self.names.walk_all(self.region(Region::Names), admitted, |place, length, set| {
            if let Some(hit) = self.hit(keys[place], length, set) {
                found(place, hit);
            }
        });
    }

    /// The hit of a name of so many bytes, on the way to a key.
    fn hit(&self, key: &Key, length: usize, set: u64) -> Option<Hit> {
        let above = key.prefixes().take_while(|prefix| prefix.len() < length).count();
        // Only an index that this program did not write leads to a set that is not there.
        let set = u32::try_from(set).ok().filter(|set| (*set as usize) < self.sets.len())?;
        Some(Hit { depth: u8::try_from(above + 1).ok()?, set })
    }

    /// How many labels the longest of the name and its parents has that the filter admits; 0 for none.
    #[inline]
    fn deepest_admitted(&self, key: &Key) -> usize {
        let Some(filter) = &self.filter else {
            return if self.header.counts.names == 0 { 0 } else { key.depth() };
        };
        let bytes = self.region(Region::Filter);
        // Room for the reverse name of an IPv6 address, the deepest that is common.
        let mut hashes = SmallVec::<[u64; 34]>::new();
        let (mut hash, mut start) = (ROOT, 0);
        for prefix in key.prefixes() {
            hash = child(hash, &prefix[start..]);
            start = prefix.len() + 1;
            hashes.push(hash);
        }
        // The walk passes all shorter names anyway, so they need not be asked about.
        hashes.iter().rposition(|&hash| filter.admits(bytes, hash)).map_or(0, |place| place + 1)
    }

    /// The sets of lists that hold an address or a subnet around it, the widest first.
    #[must_use]
    pub fn addresses(&self, address: IpAddr) -> SmallVec<[u32; 2]> {
        self.addresses.lookup(self.region(Region::Addresses), address)
    }

    /// All names with their places in [`sets`](Self::sets), in the order of their keys' bytes.
    ///
    /// A name comes as the bytes of its [`Key`] (`com.example.www`); [`dotted`](crate::name::dotted) turns them round.
    pub fn names(&self) -> impl Iterator<Item = (Vec<u8>, u32)> {
        self.names
            .iter(self.region(Region::Names), self.header.counts.names)
            .filter_map(|(name, set)| Some((name, u32::try_from(set).ok()?)))
            .filter(|(_, set)| (*set as usize) < self.sets.len())
    }

    /// The names below a name, not that name itself, with their places in [`sets`](Self::sets), as [`names`](Self::names)
    /// gives them.
    pub fn below(&self, key: &Key) -> impl Iterator<Item = (Vec<u8>, u32)> {
        let mut beginning = key.as_bytes().to_vec();
        if !beginning.is_empty() {
            beginning.push(b'.');
        }
        self.names
            .below(self.region(Region::Names), beginning, self.header.counts.names)
            .filter_map(|(name, set)| Some((name, u32::try_from(set).ok()?)))
            .filter(|(_, set)| (*set as usize) < self.sets.len())
    }
}

impl Default for DomainIndex {
    /// An index of no lists.
    fn default() -> Self {
        Self::from_rules(Vec::new())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = returned(usize::try_from(file.metadata()?.len()).unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An empty vector with room for so many, whose memory goes back to the system as soon as it is dropped.
///
/// glibc keeps freed memory of up to 32 MiB for later; only larger pieces are the system's own, one by one. So what is
/// large asks for more than that. Room that is never touched takes no memory.
pub(super) fn returned<T>(length: usize) -> Vec<T> {
    const LARGE: usize = 1 << 20;
    const OWN: usize = 33 << 20;
    let size = size_of::<T>().max(1);
    let room = if length.saturating_mul(size) < LARGE { length } else { length.max(OWN / size) };
    Vec::with_capacity(room)
}

impl Drop for DomainIndex {
    /// Gives large memory back on another thread: who drops an index may be about to answer a question.
    fn drop(&mut self) {
        /// What takes no longer than a look-up.
        const SMALL: usize = 1 << 16;
        if self.bytes.len() > SMALL {
            let parts = (mem::take(&mut self.bytes), mem::take(&mut self.sets), self.names.take());
            background::discard(parts);
        }
    }
}

impl fmt::Debug for DomainIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomainIndex")
            .field("lists", &self.lists.len())
            .field("sets", &self.sets.len())
            .field("names", &self.header.counts.names)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
