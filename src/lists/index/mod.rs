//! The index of everything that is listed: one immutable structure that answers for a name and its parents at once.
//!
//! The [`compiler`](super::compiler) writes it to a file. What answers questions is held in memory: the table of the names'
//! hashes, the sets of lists, the addresses. The names themselves, spelled out, stay in the file until somebody asks for them.
//!
//! Damage by accident is found when an index is opened, or when its names are read: each byte is under a checksum. Bytes that were made up
//! with right checksums can give wrong answers, as any list can, but never a panic: what is cheap to check is checked when
//! the index is opened, and the walk through the names checks each step.

mod addresses;
mod layout;
mod names;
mod sets;
mod table;

use std::{
    borrow::Cow,
    fmt,
    fs::File,
    io::{self, BufReader, Cursor, Read},
    mem,
    net::IpAddr,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

#[cfg(any(test, fuzzing))]
pub use layout::reseal;
pub use layout::{IndexError, Region};
pub use names::Names;

pub(super) use addresses::build as build_addresses;
pub(super) use layout::{Counts, Writer};
pub(super) use sets::{Code, Counter, ROOM};
pub(super) use table::Builder as TableBuilder;

use self::{
    addresses::Addresses,
    layout::{Fault, Header, Summed},
    table::Table,
};
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
    lists: Vec<ListMeta>,
    sets: Vec<Box<[Entry]>>,
    header: Header,
    table: Table,
    addresses: Addresses,
    spelled: Spelled,
}

/// Where the names are, spelled out.
enum Spelled {
    /// In memory, checked.
    Held(Vec<u8>),
    /// In the file, whose bytes are still there when it has lost its name.
    In { file: File, path: PathBuf },
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
        Self::from_bytes(&bytes).expect("what the compiler writes can be read")
    }

    /// Takes the bytes of an index file and checks all of them.
    ///
    /// # Errors
    ///
    /// Names the region that is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IndexError> {
        let held = |input: &mut Cursor<&[u8]>, header: &Header| {
            let names = whole(input, header, Region::Names)?;
            spelled(&names, header)?;
            Ok(Spelled::Held(names))
        };
        Self::read(&mut Cursor::new(bytes), bytes.len() as u64, held).map_err(|fault| match fault {
            Fault::Index(error) => error,
            // Memory can always be read, as far as it goes.
            Fault::Io(source) => IndexError::Read { path: PathBuf::from("memory"), source },
        })
    }

    /// Reads an index file and checks what it keeps in memory. Its names are checked when they are read.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or is damaged; names the file and the region.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        Self::open_file(path).map_err(|fault| fault.of(path))
    }

    fn open_file(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let kept = file.try_clone()?;
        let beside = |input: &mut BufReader<File>, header: &Header| {
            // No file is longer than its system can say.
            input.seek_relative(header.length(Region::Names).cast_signed())?;
            Ok(Spelled::In { file: kept, path: path.into() })
        };
        Self::read(&mut BufReader::with_capacity(1 << 16, file), length, beside)
    }

    /// Reads the regions in the order of the file; `names` passes over the names and tells where they are.
    fn read<R: Read>(
        input: &mut R,
        length: u64,
        names: impl FnOnce(&mut R, &Header) -> Result<Spelled, Fault>,
    ) -> Result<Self, Fault> {
        let header = Header::read(&mut *input, length)?;
        let invalid = |region| move |problem| IndexError::Invalid { region, problem };

        let lists = whole(&mut *input, &header, Region::Lists)?;
        let lists: Vec<ListMeta> = serde_json::from_slice(&lists)
            .map_err(|_| invalid(Region::Lists)("it is not the JSON that it should be"))?;
        if lists.len() != header.counts.lists as usize {
            return Err(invalid(Region::Lists)("it does not have as many lists as the header says").into());
        }
        if lists.len() > ROOM {
            return Err(invalid(Region::Lists)("it has more lists than an index can hold").into());
        }
        let sets = whole(&mut *input, &header, Region::Sets)?;
        let sets = sets::read(&sets, header.counts.sets, lists.len()).map_err(invalid(Region::Sets))?;
        let addresses = whole(&mut *input, &header, Region::Addresses)?;
        let addresses = Addresses::check(addresses, header.counts.addresses, header.counts.sets)
            .map_err(invalid(Region::Addresses))?;
        let spelled = names(input, &header)?;
        let mut input = Summed::new(input);
        let table = Table::read(&mut input, header.length(Region::Table))?;
        header.check_sum(Region::Table, input.sum())?;
        Ok(Self { lists, sets, header, table, addresses, spelled })
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

    /// How many bytes the file has.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.region_sizes().map(|(_, size)| size).sum()
    }

    /// How many bytes of the file each region takes, in its order. All but the names are in memory.
    pub fn region_sizes(&self) -> impl Iterator<Item = (Region, u64)> {
        [Region::Header].into_iter().chain(Region::STORED).map(|region| (region, self.header.length(region)))
    }

    /// Finds the name and all its parents, the shortest first.
    ///
    /// An entry that is [`exact`](Entry::exact) speaks of the name only where the hit's depth is the name's own; the
    /// caller looks at that. Up to four hits are found without allocating.
    #[must_use]
    pub fn lookup(&self, key: &Key) -> SmallVec<[Hit; 4]> {
        let mut hits = SmallVec::new();
        self.table.find(key, |depth, set| {
            // Only an index that this program did not write leads to a set that is not there.
            if (set as usize) < self.sets.len() {
                hits.push(Hit { depth, set });
            }
        });
        hits
    }

    /// The sets of lists that hold an address or a subnet around it, the widest first.
    #[must_use]
    pub fn addresses(&self, address: IpAddr) -> SmallVec<[u32; 2]> {
        self.addresses.lookup(address)
    }

    /// The names, spelled out. They are read from the file, which takes as many bytes of memory as the names have there, until
    /// what comes back is dropped.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or its names are damaged.
    pub fn names(&self) -> Result<Names<'_>, IndexError> {
        match &self.spelled {
            Spelled::Held(bytes) => spelled(bytes, &self.header),
            Spelled::In { file, path } => {
                let read = || {
                    let mut bytes = room(&self.header, Region::Names)?;
                    let start = self.header.stored(Region::Names).map_or(0, |stored| stored.range.start);
                    file.read_exact_at(&mut bytes, start)?;
                    Ok(spelled(bytes, &self.header)?)
                };
                read().map_err(|fault: Fault| fault.of(path))
            }
        }
    }
}

/// Room for the bytes of a region, all zero.
fn room(header: &Header, region: Region) -> io::Result<Vec<u8>> {
    let length = usize::try_from(header.length(region)).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = returned(length);
    bytes.resize(length, 0);
    Ok(bytes)
}

/// The bytes of the region that comes next, checked against its checksum.
fn whole(mut input: impl Read, header: &Header, region: Region) -> Result<Vec<u8>, Fault> {
    let mut bytes = room(header, region)?;
    input.read_exact(&mut bytes)?;
    header.check_sum(region, xxh3_64(&bytes))?;
    Ok(bytes)
}

/// Names that can be read.
fn spelled<'a>(bytes: impl Into<Cow<'a, [u8]>>, header: &Header) -> Result<Names<'a>, IndexError> {
    let bytes = bytes.into();
    header.check_sum(Region::Names, xxh3_64(&bytes))?;
    Names::check(bytes, header.counts.names, header.counts.sets as usize)
        .map_err(|problem| IndexError::Invalid { region: Region::Names, problem })
}

impl Default for DomainIndex {
    /// An index of no lists.
    fn default() -> Self {
        Self::from_rules(Vec::new())
    }
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
        const SMALL: u64 = 1 << 16;
        if self.header.length(Region::Table) > SMALL {
            background::discard((mem::take(&mut self.sets), self.table.take()));
        }
    }
}

impl fmt::Debug for DomainIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomainIndex")
            .field("lists", &self.lists.len())
            .field("sets", &self.sets.len())
            .field("names", &self.header.counts.names)
            .field("bytes", &self.file_size())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
