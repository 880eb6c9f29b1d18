//! A list's sorted rules in a file, so that the next compilation need not read the list's text again.
//!
//! All numbers are little-endian. The header has 64 bytes:
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 7 | the magic |
//! | 7 | 1 | the version of this layout |
//! | 8 | 8 | how many bytes of names |
//! | 16 | 8 | how many bytes of addresses |
//! | 24 | 8 | how many bytes of JSON |
//! | 32 | 8 | how many names |
//! | 40 | 8 | zero |
//! | 48 | 8 | the checksum (XXH3, 64 bits) of all that follows the header |
//! | 56 | 8 | the checksum of the 56 bytes before |
//!
//! Names are a run, as in `runs`, with the codes of a list in the first place. An address is its family (4 or 6), the
//! length of its prefix, its bytes, its code. The JSON is [`Head`].
//!
//! A file is only ever taken whole: all of it is checked before any of it is used, and one that is damaged, or was
//! kept from other text, means that the text is read again.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::runs::{Run, RunWriter, Runs};
use crate::lists::index::{Code, Entry};

const MAGIC: &[u8; 7] = b"SGKEPT\n";

/// Goes up when the layout changes, and when the readers of formats make other rules of the same text.
const VERSION: u8 = 1;

const HEADER: usize = 64;

/// Up to this size, names are held in memory rather than read from the file while they are merged.
const SMALL: u64 = 64 << 10;

/// Whether a code can be one of the list in the first place.
fn is_first(code: Code) -> bool {
    Entry::from_code(code).list == 0
}

/// More JSON than a list's has: only its reasons for skipping vary, and these are few.
const MAX_HEAD: u64 = 1 << 20;

/// Why a kept list can't be used; its text is to be read again.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The file is missing or can't be read.
    #[error("{path}: the kept list can't be read: {source}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was written by a program with another layout.
    #[error("{path}: the kept list has layout {found}, this program reads layout {VERSION}", path = path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// The layout of the file.
        found: u8,
    },
    /// The bytes are not those that were written.
    #[error("{path}: the kept list is damaged: {problem}", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is another list, or was made from other text than is wanted.
    #[error("{path}: the kept list is {found:?} where {wanted:?} is wanted", path = path.display())]
    Other {
        /// Which file.
        path: PathBuf,
        /// What it is: its identifier and its stamp.
        found: String,
        /// What was wanted.
        wanted: String,
    },
}

/// What is known of a kept list beside its rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Head {
    /// The list's identifier.
    pub(super) id: String,
    /// What it was made from, in the caller's words.
    pub(super) stamp: String,
    pub(super) version: String,
    /// How many different rules there are.
    pub(super) entries: u64,
    pub(super) duplicates: u64,
    pub(super) skipped: BTreeMap<String, u64>,
}

/// A list that was kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) head: Head,
    pub(super) addresses: Vec<(IpNet, Code)>,
    pub(super) run: Run,
}

/// Writes a list to a file that can also be read, whose rules are these; their order and number make no difference.
///
/// The head's counts are made here.
pub(super) fn write(
    file: File,
    mut head: Head,
    runs: &Runs,
    mut addresses: Vec<(IpNet, Code)>,
) -> io::Result<Kept> {
    let mut body = Body { output: BufWriter::with_capacity(1 << 18, file), sum: Xxh3::new() };
    body.output.write_all(&[0; HEADER])?;

    let (mut names, mut repeated) = (0, 0);
    let mut writer = RunWriter::new(&mut body);
    let mut last: Option<(Vec<u8>, u32)> = None;
    runs.for_each_entry(&mut |name, code| {
        if let Some((before, its)) = &mut last {
            if before == name && *its == code {
                repeated += 1;
                return Ok(());
            }
            before.clear();
            before.extend_from_slice(name);
            *its = code;
        } else {
            last = Some((name.to_vec(), code));
        }
        names += 1;
        writer.push(name, code)
    })?;
    let names_length = writer.length();

    addresses.sort_unstable();
    let all = addresses.len();
    addresses.dedup();
    let mut bytes = Vec::with_capacity(addresses.len() * 8);
    for (net, code) in &addresses {
        let (family, octets): (u8, &[u8]) = match net.addr() {
            IpAddr::V4(address) => (4, &address.octets()),
            IpAddr::V6(address) => (6, &address.octets()),
        };
        bytes.extend_from_slice(&[family, net.prefix_len()]);
        bytes.extend_from_slice(octets);
        bytes.extend_from_slice(&code.to_le_bytes());
    }
    body.write_all(&bytes)?;

    head.entries = names + addresses.len() as u64;
    head.duplicates = repeated + (all - addresses.len()) as u64;
    let json = serde_json::to_vec(&head)?;
    body.write_all(&json)?;

    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(MAGIC);
    header.push(VERSION);
    for number in [names_length, bytes.len() as u64, json.len() as u64, names, 0, body.sum.digest()] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    let sum = xxh3_64(&header);
    header.extend_from_slice(&sum.to_le_bytes());
    debug_assert_eq!(header.len(), HEADER);
    let mut file = body.output.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header)?;
    Ok(Kept { head, addresses, run: run(file, names_length)? })
}

/// Reads a kept list and checks all of it.
pub(super) fn open(path: &Path, id: &str, stamp: &str) -> Result<Kept, KeptError> {
    let read = |source| KeptError::Read { path: path.into(), source };
    let damaged = |problem| KeptError::Damaged { path: path.into(), problem };
    let mut file = File::open(path).map_err(read)?;
    let size = file.metadata().map_err(read)?.len();
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it is shorter than its header"),
        _ => read(error),
    })?;
    if !header.starts_with(MAGIC) {
        return Err(damaged("it does not start as a kept list does"));
    }
    if header[MAGIC.len()] != VERSION {
        return Err(KeptError::Version { path: path.into(), found: header[MAGIC.len()] });
    }
    let (content, sum) = header.split_at(HEADER - 8);
    if xxh3_64(content).to_le_bytes() != sum {
        return Err(damaged("the checksum of its header does not match"));
    }
    let number = |place: usize| {
        let at = 8 + place * 8;
        header[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let [names_length, addresses_length, json_length, names, _, sum] = std::array::from_fn(number);
    let length = [HEADER as u64, names_length, addresses_length, json_length]
        .into_iter()
        .try_fold(0_u64, u64::checked_add);
    if length != Some(size) || json_length > MAX_HEAD {
        return Err(damaged("it has more or fewer bytes than its header says"));
    }
    if sum_of(&file).map_err(read)? != sum {
        return Err(damaged("its checksum does not match"));
    }

    file.seek(SeekFrom::Start(HEADER as u64 + names_length)).map_err(read)?;
    let mut bytes = Vec::new();
    (&file).take(addresses_length).read_to_end(&mut bytes).map_err(read)?;
    let addresses = addresses(&bytes).ok_or_else(|| damaged("its addresses can't be read"))?;
    let mut json = Vec::new();
    (&file).take(json_length).read_to_end(&mut json).map_err(read)?;
    let head: Head = serde_json::from_slice(&json).map_err(|_| damaged("its description can't be read"))?;
    if head.id != id || head.stamp != stamp {
        return Err(KeptError::Other {
            path: path.into(),
            found: format!("{} {}", head.id, head.stamp),
            wanted: format!("{id} {stamp}"),
        });
    }
    let run = run(file, names_length).map_err(read)?;
    let counted = count(&run).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => damaged("its names can't be read"),
        _ => read(error),
    })?;
    if counted != Some(names) || head.entries != names + addresses.len() as u64 {
        return Err(damaged("its names are not sorted, or not as many as it says"));
    }
    Ok(Kept { head, addresses, run })
}

/// The names of a file as a run.
fn run(mut file: File, length: u64) -> io::Result<Run> {
    let start = HEADER as u64;
    if length > SMALL {
        return Ok(Run::file(file, start..start + length));
    }
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(length).read_to_end(&mut bytes)?;
    Ok(Run::memory(bytes))
}

/// How many entries a run has; nothing if they are not sorted, or not those of one list.
fn count(run: &Run) -> io::Result<Option<u64>> {
    let mut cursor = run.cursor()?;
    let mut last: (Vec<u8>, u32) = (Vec::new(), 0);
    let mut count = 0;
    while cursor.advance()? {
        let (name, code) = (cursor.name(), cursor.value());
        // No entry has the empty name, so the first is greater than it.
        if (last.0.as_slice(), last.1) >= (name, code)
            || name.is_empty()
            || !Code::try_from(code).is_ok_and(is_first)
        {
            return Ok(None);
        }
        last.0.clear();
        last.0.extend_from_slice(name);
        last.1 = code;
        count += 1;
    }
    Ok(Some(count))
}

fn addresses(mut bytes: &[u8]) -> Option<Vec<(IpNet, Code)>> {
    let mut found = Vec::new();
    while let [family, prefix, rest @ ..] = bytes {
        let (address, rest) = match family {
            4 => {
                let (octets, rest) = rest.split_first_chunk::<4>()?;
                (IpAddr::V4(Ipv4Addr::from(*octets)), rest)
            }
            6 => {
                let (octets, rest) = rest.split_first_chunk::<16>()?;
                (IpAddr::V6(Ipv6Addr::from(*octets)), rest)
            }
            _ => return None,
        };
        let (code, rest) = rest.split_first_chunk::<2>()?;
        let code = Code::from_le_bytes(*code);
        if !is_first(code) {
            return None;
        }
        found.push((IpNet::new(address, *prefix).ok()?.trunc(), code));
        bytes = rest;
    }
    bytes.is_empty().then_some(found)
}

/// The checksum of what follows the header.
fn sum_of(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::Start(HEADER as u64))?;
    let mut body = Body { output: io::sink(), sum: Xxh3::new() };
    io::copy(&mut BufReader::with_capacity(1 << 18, file), &mut body)?;
    Ok(body.sum.digest())
}

/// What follows the header, summed up on its way.
struct Body<W> {
    output: W,
    sum: Xxh3,
}

impl<W: Write> Write for Body<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
