//! How an index lies in its file: a header that names and guards every region, then the regions end to end.
//!
//! All numbers are little-endian. The header has 128 bytes:
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 8 | the magic |
//! | 8 | 4 | the version of this layout |
//! | 12 | 4 | zero |
//! | 16 | 8 | how many names |
//! | 24 | 4 | how many lists |
//! | 28 | 4 | how many sets |
//! | 32 | 4 | how many addresses and subnets |
//! | 36 | 4 | zero |
//! | 40 | 80 | for each region of [`Region::STORED`], in order: its length and its checksum (XXH3, 64 bits) |
//! | 120 | 8 | the checksum of the 120 bytes before |
//!
//! The regions follow without gaps and fill the file, so that each byte of it is under exactly one checksum.

use std::{
    fmt,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// What an index file starts with.
const MAGIC: &[u8; 8] = b"SGINDEX\n";

/// The only layout that this program reads and writes.
const VERSION: u32 = 3;

const HEADER: usize = 128;

/// Where the header's own checksum is.
const HEADER_SUM: usize = HEADER - 8;

const REGIONS: usize = 40;

/// A part of an index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Region {
    /// The first 128 bytes: version, counts, lengths and checksums.
    Header,
    /// What is known about each list.
    Lists,
    /// Each different set of lists that some name is on.
    Sets,
    /// Addresses and subnets.
    Addresses,
    /// The names, spelled out.
    Names,
    /// The table of the names' hashes.
    Table,
}

impl Region {
    /// The regions behind the header, in the order in which the file has them.
    pub(super) const STORED: [Self; 5] = [Self::Lists, Self::Sets, Self::Addresses, Self::Names, Self::Table];

    /// The place in [`STORED`](Self::STORED).
    #[inline]
    fn place(self) -> Option<usize> {
        match self {
            Self::Header => None,
            Self::Lists => Some(0),
            Self::Sets => Some(1),
            Self::Addresses => Some(2),
            Self::Names => Some(3),
            Self::Table => Some(4),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Lists => "list table",
            Self::Sets => "set table",
            Self::Addresses => "addresses",
            Self::Names => "names",
            Self::Table => "table of names",
        })
    }
}

/// Why an index can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file can't be read.
    #[error("{path}: the index can't be read: {source}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is wrong with a file that could be read.
    #[error("{path}: {error}", path = path.display())]
    In {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<Self>,
    },
    /// The bytes don't start as an index does.
    #[error("this is not an index of Schoolgate; `schoolgate lists compile` makes one")]
    Magic,
    /// It was written by a program with another layout.
    #[error("the index has layout {found}, this program reads layout {VERSION}; compile the lists again")]
    Version {
        /// The layout of the file.
        found: u32,
    },
    /// Bytes are missing, or there are more than the header says.
    #[error("the index has {found} bytes where its header says {expected}; it was cut off or added to")]
    Length {
        /// How many there are.
        found: u64,
        /// How many the header says.
        expected: u64,
    },
    /// The bytes of a region are not those that were written.
    #[error("the {region} of the index is damaged: its checksum does not match; compile the lists again")]
    Checksum {
        /// The region.
        region: Region,
    },
    /// The checksum of a region is right, its content can't be: it was not written by this program.
    #[error("the {region} of the index is invalid: {problem}")]
    Invalid {
        /// The region.
        region: Region,
        /// What is wrong in it.
        problem: &'static str,
    },
}

impl IndexError {
    /// The region that is at fault, where it is one region.
    #[must_use]
    pub fn region(&self) -> Option<Region> {
        match self {
            Self::In { error, .. } => error.region(),
            Self::Magic | Self::Version { .. } => Some(Region::Header),
            Self::Checksum { region } | Self::Invalid { region, .. } => Some(*region),
            Self::Read { .. } | Self::Length { .. } => None,
        }
    }
}

/// Why an index can't be read, wherever it is.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Index(IndexError),
}

impl Fault {
    /// The same with the file that it is about.
    pub(super) fn of(self, path: &Path) -> IndexError {
        match self {
            Self::Io(source) => IndexError::Read { path: path.into(), source },
            Self::Index(error) => IndexError::In { path: path.into(), error: Box::new(error) },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<IndexError> for Fault {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

/// How many of each thing an index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::lists) struct Counts {
    pub(in crate::lists) names: u64,
    pub(in crate::lists) lists: u32,
    pub(in crate::lists) sets: u32,
    pub(in crate::lists) addresses: u32,
}

/// A header that was checked.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) counts: Counts,
    /// A checksum of what the index says. The table says nothing that the names don't, but differs with its seed.
    pub(super) sum: u64,
    regions: [Stored; 5],
}

/// Where a region lies in the file, and what its bytes add up to.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    pub(super) range: Range<u64>,
    sum: u64,
}

impl Stored {
    pub(super) fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl Header {
    /// Reads the header of a file of so many bytes.
    pub(super) fn read(input: impl Read, length: u64) -> Result<Self, Fault> {
        let mut head = Vec::with_capacity(HEADER);
        input.take(HEADER as u64).read_to_end(&mut head)?;
        Ok(Self::check(&head, length)?)
    }

    fn check(head: &[u8], length: u64) -> Result<Self, IndexError> {
        if !head.starts_with(MAGIC) {
            return Err(IndexError::Magic);
        }
        if head.len() < HEADER {
            return Err(IndexError::Length { found: length, expected: HEADER as u64 });
        }
        let version = u32_at(head, 8);
        if version != VERSION {
            return Err(IndexError::Version { found: version });
        }
        if xxh3_64(&head[..HEADER_SUM]) != u64_at(head, HEADER_SUM) {
            return Err(IndexError::Checksum { region: Region::Header });
        }
        if u32_at(head, 12) != 0 || u32_at(head, 36) != 0 {
            return Err(IndexError::Invalid {
                region: Region::Header,
                problem: "reserved fields are not zero",
            });
        }
        let mut regions: [Stored; 5] = Default::default();
        let mut end = HEADER as u64;
        let mut said = Xxh3::new();
        for (place, region) in regions.iter_mut().enumerate() {
            let start = end;
            end = end.saturating_add(u64_at(head, REGIONS + place * 16));
            *region = Stored { range: start..end, sum: u64_at(head, REGIONS + place * 16 + 8) };
            if Region::STORED[place] != Region::Table {
                said.update(&region.sum.to_le_bytes());
            }
        }
        if end != length {
            return Err(IndexError::Length { found: length, expected: end });
        }
        let counts = Counts {
            names: u64_at(head, 16),
            lists: u32_at(head, 24),
            sets: u32_at(head, 28),
            addresses: u32_at(head, 32),
        };
        Ok(Self { counts, sum: said.digest(), regions })
    }

    /// Where a region lies; nothing for the header itself.
    pub(super) fn stored(&self, region: Region) -> Option<&Stored> {
        region.place().map(|place| &self.regions[place])
    }

    /// How many bytes a region has.
    pub(super) fn length(&self, region: Region) -> u64 {
        self.stored(region).map_or(HEADER as u64, Stored::length)
    }

    /// Checks what the bytes of a region add up to.
    pub(super) fn check_sum(&self, region: Region, sum: u64) -> Result<(), IndexError> {
        match self.stored(region) {
            Some(stored) if stored.sum != sum => Err(IndexError::Checksum { region }),
            _ => Ok(()),
        }
    }
}

/// What is read, and what it adds up to.
pub(super) struct Summed<R> {
    input: R,
    sum: Xxh3,
}

impl<R: Read> Summed<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, sum: Xxh3::new() }
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum.digest()
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.sum.update(&buffer[..read]);
        Ok(read)
    }
}

/// Writes an index: region by region in the order of the file, the header last.
pub(in crate::lists) struct Writer<W> {
    output: W,
    sum: Xxh3,
    length: u64,
    table: Vec<(u64, u64)>,
}

impl<W: Write + Seek> Writer<W> {
    /// Starts at the beginning of `output`, leaving room for the header.
    pub(in crate::lists) fn new(mut output: W) -> io::Result<Self> {
        output.seek(SeekFrom::Start(0))?;
        output.write_all(&[0; HEADER])?;
        Ok(Self { output, sum: Xxh3::new(), length: 0, table: Vec::new() })
    }

    /// Writes a whole region.
    pub(in crate::lists) fn region(&mut self, region: Region, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.end(region);
        Ok(())
    }

    /// Ends the region whose bytes were written through [`Write`].
    pub(in crate::lists) fn end(&mut self, region: Region) {
        debug_assert_eq!(region.place(), Some(self.table.len()), "regions are written in the file's order");
        self.table.push((self.length, self.sum.digest()));
        self.sum.reset();
        self.length = 0;
    }

    /// Writes the header, once all regions are there.
    pub(in crate::lists) fn finish(mut self, counts: Counts) -> io::Result<W> {
        let mut head = Vec::with_capacity(HEADER);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(&counts.names.to_le_bytes());
        for count in [counts.lists, counts.sets, counts.addresses, 0] {
            head.extend_from_slice(&count.to_le_bytes());
        }
        for (length, sum) in &self.table {
            head.extend_from_slice(&length.to_le_bytes());
            head.extend_from_slice(&sum.to_le_bytes());
        }
        let sum = xxh3_64(&head);
        head.extend_from_slice(&sum.to_le_bytes());
        debug_assert_eq!(head.len(), HEADER);
        self.output.seek(SeekFrom::Start(0))?;
        self.output.write_all(&head)?;
        self.output.flush()?;
        Ok(self.output)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Makes every checksum right again after bytes were changed: for tests of what lies behind the checksums.
///
/// Bytes that are too short for a header, or whose lengths do not fill them, are left alone.
#[cfg(any(test, fuzzing))]
pub fn reseal(bytes: &mut [u8]) {
    if bytes.len() < HEADER {
        return;
    }
    let mut start = HEADER;
    for place in 0..Region::STORED.len() {
        let entry = REGIONS + place * 16;
        let length = usize::try_from(u64_at(bytes, entry)).unwrap_or(usize::MAX);
        let Some(region) = start.checked_add(length).and_then(|end| bytes.get(start..end)) else { return };
        let sum = xxh3_64(region);
        start += length;
        bytes[entry + 8..entry + 16].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = xxh3_64(&bytes[..HEADER_SUM]);
    bytes[HEADER_SUM..HEADER].copy_from_slice(&sum.to_le_bytes());
}

/// The number at `at`, which must be inside `bytes`.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The number at `at`, which must be inside `bytes`.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
