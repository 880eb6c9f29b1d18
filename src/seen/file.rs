//! The table on the disk: a header, then one record for each domain, each with a checksum of its own.
//!
//! | bytes | header | | bytes | record |
//! | --- | --- | --- | --- | --- |
//! | 8 | `SGSEEN1\n` | | 1 | length of the name, 1 to 253 |
//! | 2 | the day on which the box began to remember | | 2 | the first day |
//! | 2 | the day on which the file was written anew | | 2 | the last day known when it was written |
//! | 4 | checksum | | n | the registrable domain's key |
//! | | | | 4 | checksum |
//!
//! Numbers are little-endian, days are counted from 1970-01-01, a checksum is the lower half of xxh3 over what stands
//! before it. Records are only appended; the whole is written anew beside and renamed. What a power cut leaves at the
//! end is dropped, and after damage in the middle reading goes on at the next record whose checksum is right.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::clock::Day;

const MAGIC: &[u8; 8] = b"SGSEEN1\n";

/// How long the header is, in bytes.
pub const HEADER: usize = 16;

/// How long a record is besides its name, in bytes.
pub const RECORD: usize = 9;

/// The longest name, in bytes.
const LONGEST: usize = 253;

/// Another seed than that of other files, so that no part of one is taken for a record.
const SEED: u64 = 0x5345_454e;

/// How much is read at one time, in bytes.
const CHUNK: usize = 64 * 1024;

/// What stands at the start of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// When the box began to remember; 1970-01-01 while its clock was not set.
    pub began: Day,
    /// When the file was written anew.
    pub written: Day,
}

/// One domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The registrable domain's key, 1 to 253 bytes.
    pub name: Box<[u8]>,
    /// When it was first asked for.
    pub first: Day,
    /// When it was last asked for, as known when the record was written.
    pub last: Day,
}

/// How a file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// The header, if it is right.
    pub header: Option<Header>,
    /// How many records are right.
    pub entries: u64,
    /// Where the last right record ends (or the header), in bytes from the start.
    pub end: u64,
    /// How many bytes before that belong to no right record: damage.
    pub damaged: u64,
    /// How many bytes behind it belong to no right record: a write that was cut off.
    pub torn: u64,
}

impl Header {
    /// The header as it is written.
    #[must_use]
    pub fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&self.began.number().to_le_bytes());
        bytes[10..12].copy_from_slice(&self.written.number().to_le_bytes());
        let sum = checksum(&bytes[..12]);
        bytes[12..].copy_from_slice(&sum);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        (bytes[..8] == *MAGIC && bytes[12..] == checksum(&bytes[..12]))
            .then(|| Self { began: day(&bytes[8..10]), written: day(&bytes[10..12]) })
    }
}

impl Entry {
    /// Appends the record to bytes that are to be written. Names that can't be (none, or over 253 bytes) are left out.
    pub fn write(&self, to: &mut Vec<u8>) {
        let Some(length) =
            u8::try_from(self.name.len()).ok().filter(|n| (1..=LONGEST).contains(&usize::from(*n)))
        else {
            return;
        };
        let start = to.len();
        to.push(length);
        to.extend_from_slice(&self.first.number().to_le_bytes());
        to.extend_from_slice(&self.last.number().to_le_bytes());
        to.extend_from_slice(&self.name);
        let sum = checksum(&to[start..]);
        to.extend_from_slice(&sum);
    }

    /// The record at the start of some bytes, and how long it is.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let name = usize::from(*bytes.first()?);
        if !(1..=LONGEST).contains(&name) {
            return None;
        }
        let record = bytes.get(..name + RECORD)?;
        let (said, sum) = record.split_at(name + 5);
        (checksum(said) == *sum).then(|| {
            (Self { name: said[5..].into(), first: day(&said[1..3]), last: day(&said[3..5]) }, record.len())
        })
    }
}

fn day(bytes: &[u8]) -> Day {
    Day::from_number(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    // The lower half is what is kept.
    (xxh3_64_with_seed(bytes, SEED) as u32).to_le_bytes()
}

/// Reads a file and hands over each right record in order.
///
/// # Errors
///
/// When it can't be opened or read; what was handed over before stays right.
pub fn read(path: &Path, each: &mut dyn FnMut(Entry)) -> io::Result<Found> {
    read_from(File::open(path)?, each)
}

/// Reads what [`read`] reads from anywhere, in bounded memory. Any bytes can be read.
///
/// # Errors
///
/// When the reader fails.
pub fn read_from(mut from: impl Read, each: &mut dyn FnMut(Entry)) -> io::Result<Found> {
    let mut found = Found::default();
    let mut window = Window { bytes: Vec::new(), at: 0, over: false };
    window.fill(&mut from)?;
    // Bytes since the last right record.
    let mut wrong: u64 = 0;
    found.header = Header::parse(window.rest());
    if found.header.is_some() {
        window.at = HEADER;
        found.end = HEADER as u64;
    }
    loop {
        window.fill(&mut from)?;
        if window.rest().is_empty() {
            break;
        }
        match Entry::parse(window.rest()) {
            Some((entry, length)) => {
                window.at += length;
                found.entries += 1;
                found.damaged += wrong;
                found.end += wrong + length as u64;
                wrong = 0;
                each(entry);
            }
            None => {
                window.at += 1;
                wrong += 1;
            }
        }
    }
    found.torn = wrong;
    Ok(found)
}

/// A part of a file that always has a whole record, unless the file ends before.
struct Window {
    bytes: Vec<u8>,
    at: usize,
    over: bool,
}

impl Window {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn fill(&mut self, from: &mut impl Read) -> io::Result<()> {
        if self.over || self.rest().len() >= LONGEST + RECORD {
            return Ok(());
        }
        self.bytes.drain(..self.at.min(self.bytes.len()));
        self.at = 0;
        let more = from.by_ref().take(CHUNK as u64).read_to_end(&mut self.bytes)?;
        self.over = more == 0;
        Ok(())
    }
}
