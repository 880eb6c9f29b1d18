//! Sorting more entries than memory should hold: sorted runs, merged as they are read.
//!
//! Entries gather in a [`Buffer`]. A full buffer is sorted and becomes a [`Run`], in which each name is written without
//! the start that it shares with the name before. Runs stay in memory up to a limit; then those are merged into one on
//! disk. A run can also be part of a file that was kept from an earlier compilation.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs::{self, File},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
    process,
    sync::atomic::{self, AtomicU64},
};

use crate::lists::index::Code;

/// How many bytes are sorted at once: what a processor's cache about holds.
const BUFFER: usize = 4 << 20;

/// How many bytes of runs stay in memory.
pub(super) const IN_MEMORY: usize = 8 << 20;

/// How many runs on disk are merged at once: each takes a buffer and a file handle.
const MAX_FILES: usize = 128;

/// How many bytes of a file are read at once.
const CHUNK: usize = 64 << 10;

/// More than one entry takes: two lengths, a name of 255 bytes, a value of five.
const LONGEST: usize = 512;

/// The longest name.
const MAX_NAME: usize = 255;

/// What is called with each name and its codes.
type EachName<'a> = &'a mut dyn FnMut(&[u8], &[Code]) -> io::Result<()>;

/// What is called with each entry.
type EachEntry<'a> = &'a mut dyn FnMut(&[u8], u32) -> io::Result<()>;

/// Sorted entries, each a name with a number.
#[derive(Debug)]
pub(super) struct Run {
    at: At,
    /// What is added to each number.
    base: u32,
}

#[derive(Debug)]
enum At {
    Memory(Vec<u8>),
    File { file: File, range: Range<u64> },
}

impl Run {
    /// A run that lies in memory.
    pub(super) fn memory(bytes: Vec<u8>) -> Self {
        Self { at: At::Memory(bytes), base: 0 }
    }

    /// A run that is part of a file, on which nobody else has this handle.
    pub(super) fn file(file: File, range: Range<u64>) -> Self {
        Self { at: At::File { file, range }, base: 0 }
    }

    /// The same entries, as those of the list whose codes begin here.
    pub(super) fn of_list(self, base: Code) -> Self {
        Self { base: u32::from(base), ..self }
    }

    /// How many bytes of memory it takes.
    fn held(&self) -> usize {
        match &self.at {
            At::Memory(bytes) => bytes.len(),
            At::File { .. } => 0,
        }
    }

    /// A place in front of the first entry.
    pub(super) fn cursor(&self) -> io::Result<Cursor<'_>> {
        let input = match &self.at {
            At::Memory(bytes) => Input::Memory { bytes, at: 0 },
            At::File { file, range } => {
                let mut file = file;
                file.seek(SeekFrom::Start(range.start))?;
                Input::File { file, left: range.end - range.start, chunk: Vec::new(), at: 0 }
            }
        };
        Ok(Cursor { input, base: self.base, name: Vec::with_capacity(MAX_NAME), head: 0, value: 0 })
    }
}

/// Any number of runs, in memory or on disk.
#[derive(Debug)]
pub(super) struct Runs {
    runs: Vec<Run>,
    /// How many bytes the runs in memory have.
    held: usize,
    /// How many bytes they may have.
    limit: usize,
    /// Where runs go that are too many for memory; nowhere if there is none.
    folder: Option<PathBuf>,
}

impl Runs {
    /// Holds everything in memory without a folder.
    pub(super) fn new(folder: Option<PathBuf>, limit: usize) -> Self {
        Self { runs: Vec::new(), held: 0, limit, folder }
    }

    /// Takes a run, without looking at the limit.
    pub(super) fn push(&mut self, run: Run) {
        self.held += run.held();
        self.runs.push(run);
    }

    /// Puts on disk what is too much for memory, where there is a disk.
    ///
    /// # Errors
    ///
    /// When it can't be written; all entries are still there.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if self.held > self.limit {
            self.fold(|run| matches!(run.at, At::Memory(_)))?;
        }
        if self.runs.iter().filter(|run| matches!(run.at, At::File { .. })).count() > MAX_FILES {
            self.fold(|run| matches!(run.at, At::File { .. }))?;
        }
        Ok(())
    }

    /// Takes what is in a buffer, which is empty then.
    pub(super) fn add_buffer(&mut self, buffer: &mut Buffer) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let mut writer = RunWriter::new(Vec::new());
        buffer.drain(&mut |name, code| writer.push(name, code))?;
        let mut run = writer.into_inner();
        run.shrink_to_fit();
        self.push(Run::memory(run));
        self.settle()
    }

    /// Takes the runs of one list, as those of the list whose codes begin at `base`, without looking at the limit.
    pub(super) fn push_list(&mut self, runs: Self, base: Code) {
        runs.runs.into_iter().for_each(|run| self.push(run.of_list(base)));
    }

    /// Merges some of the runs into one on disk, where there is a disk.
    fn fold(&mut self, which: impl Fn(&Run) -> bool) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let (some, mut rest) = std::mem::take(&mut self.runs).into_iter().partition::<Vec<_>, _>(which);
        let outcome = match fold(folder, &some) {
            Ok(run) => {
                rest.push(run);
                Ok(())
            }
            Err(error) => {
                rest.extend(some);
                Err(error)
            }
        };
        self.runs = rest;
        self.held = self.runs.iter().map(Run::held).sum();
        outcome
    }

    /// Calls `each` with every entry, in the order of names and then of numbers, as often as it was added.
    pub(super) fn for_each_entry(&self, each: EachEntry<'_>) -> io::Result<()> {
        for_each_entry(&self.runs, each)
    }

    /// Calls `each` with every name, in the order of their bytes, and the codes of its entries, sorted, with those that
    /// occur more than once as often as they do.
    pub(super) fn merge(&self, each: EachName<'_>) -> io::Result<()> {
        let mut codes: Vec<Code> = Vec::new();
        let mut name = Vec::new();
        self.for_each_entry(&mut |entry, value| {
            if entry != name.as_slice() {
                if !codes.is_empty() {
                    each(&name, &codes)?;
                }
                codes.clear();
                name.clear();
                name.extend_from_slice(entry);
            }
            codes.push(Code::try_from(value).map_err(|_| damaged("a code is too great"))?);
            Ok(())
        })?;
        if codes.is_empty() { Ok(()) } else { each(&name, &codes) }
    }
}

/// Merges runs into one on disk.
fn fold(folder: &Path, runs: &[Run]) -> io::Result<Run> {
    let mut writer = RunWriter::new(BufWriter::with_capacity(1 << 18, unnamed_file(folder)?));
    for_each_entry(runs, &mut |name, value| writer.push(name, value))?;
    let length = writer.length();
    let file = writer.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(Run::file(file, 0..length))
}

/// Makes a file that vanishes with the last handle on it, whatever becomes of this process.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, atomic::Ordering::Relaxed);
    let path = folder.join(format!(".sort-{}-{number}", process::id()));
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Entries as they come: the code, the name's length, the name.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    starts: Vec<Start>,
}

/// Where an entry starts, with what decides most comparisons beside it.
#[derive(Debug, Clone, Copy)]
struct Start {
    /// Eight bytes of the name from its fifth on, since the first four are often `com.`.
    middle: u64,
    /// The first four.
    front: u32,
    at: u32,
}

impl Buffer {
    /// Whether an entry of a name must wait until the buffer was emptied.
    pub(super) fn is_full_for(&self, name: &[u8]) -> bool {
        self.bytes.len() + name.len() + 3 > BUFFER
    }

    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Drops what is in it and keeps the room.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    /// Adds an entry for a name of at most 255 bytes.
    pub(super) fn push(&mut self, name: &[u8], code: Code) {
        let mut first = [0; 12];
        let shared = name.len().min(first.len());
        first[..shared].copy_from_slice(&name[..shared]);
        let [a, b, c, d, middle @ ..] = first;
        self.starts.push(Start {
            front: u32::from_be_bytes([a, b, c, d]),
            middle: u64::from_be_bytes(middle),
            // A buffer has 4 MiB.
            at: self.bytes.len() as u32,
        });
        self.bytes.extend_from_slice(&code.to_le_bytes());
        self.bytes.push(name.len() as u8);
        self.bytes.extend_from_slice(name);
    }

    fn entry(&self, start: Start) -> (&[u8], Code) {
        let at = start.at as usize;
        let end = at + 3 + usize::from(self.bytes[at + 2]);
        (&self.bytes[at + 3..end], u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]))
    }

    /// Hands out all entries, sorted, and is empty then.
    fn drain(&mut self, each: EachEntry<'_>) -> io::Result<()> {
        let mut starts = std::mem::take(&mut self.starts);
        starts.sort_unstable_by(|&a, &b| {
            (a.front, a.middle).cmp(&(b.front, b.middle)).then_with(|| self.entry(a).cmp(&self.entry(b)))
        });
        for &start in &starts {
            let (name, code) = self.entry(start);
            each(name, u32::from(code))?;
        }
        self.starts = starts;
        self.clear();
        Ok(())
    }
}

/// Writes a run: how much of the name is that of the name before, how much is not, that, and the number in groups of
/// seven bits, the lowest first.
#[derive(Debug)]
pub(super) struct RunWriter<W> {
    output: W,
    last: Vec<u8>,
    entry: Vec<u8>,
    length: u64,
}

impl<W: Write> RunWriter<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output, last: Vec::new(), entry: Vec::with_capacity(LONGEST), length: 0 }
    }

    pub(super) fn push(&mut self, name: &[u8], mut value: u32) -> io::Result<()> {
        let shared = self.last.iter().zip(name).take_while(|(a, b)| a == b).count();
        let rest = &name[shared..];
        self.entry.clear();
        // No name is longer than 255 bytes.
        self.entry.extend_from_slice(&[shared as u8, rest.len() as u8]);
        self.entry.extend_from_slice(rest);
        while value >= 0x80 {
            self.entry.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.entry.push(value as u8);
        self.output.write_all(&self.entry)?;
        self.length += self.entry.len() as u64;
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
        Ok(())
    }

    /// How many bytes were written.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn into_inner(self) -> W {
        self.output
    }
}

/// Where the bytes of a run come from, of which the next [`LONGEST`] are at hand, or all that are left.
enum Input<'a> {
    Memory { bytes: &'a [u8], at: usize },
    File { file: &'a File, left: u64, chunk: Vec<u8>, at: usize },
}

impl Input<'_> {
    #[inline]
    fn ahead(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Memory { bytes, at } => Ok(&bytes[*at..]),
            Self::File { file, left, chunk, at } => {
                if chunk.len() - *at < LONGEST && *left > 0 {
                    chunk.drain(..*at);
                    *at = 0;
                    let wanted = (CHUNK as u64).min(*left);
                    let read = (&**file).take(wanted).read_to_end(chunk)? as u64;
                    if read < wanted {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    *left -= read;
                }
                Ok(&chunk[*at..])
            }
        }
    }

    #[inline]
    fn consume(&mut self, bytes: usize) {
        let (Self::Memory { at, .. } | Self::File { at, .. }) = self;
        *at += bytes;
    }
}

/// A place in a run: the entry that comes next.
pub(super) struct Cursor<'a> {
    input: Input<'a>,
    base: u32,
    name: Vec<u8>,
    /// The first sixteen bytes of the name, which decide most comparisons.
    head: u128,
    value: u32,
}

impl Cursor<'_> {
    /// The name of the entry.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// The number of the entry.
    pub(super) fn value(&self) -> u32 {
        self.value
    }

    /// Goes to the next entry; false at the end.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or its bytes can't be a run's.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        let cut = || damaged("an entry is cut off");
        let bytes = self.input.ahead()?;
        let [shared, rest, entry @ ..] = bytes else {
            return if bytes.is_empty() { Ok(false) } else { Err(cut()) };
        };
        let (shared, rest) = (usize::from(*shared), usize::from(*rest));
        if shared > self.name.len() || shared + rest > MAX_NAME {
            return Err(damaged("a name is too long"));
        }
        let (letters, number) = entry.split_at_checked(rest).ok_or_else(cut)?;
        self.name.truncate(shared);
        self.name.extend_from_slice(letters);
        let (value, used) = varint(number).ok_or_else(cut)?;
        self.value = self.base.checked_add(value).ok_or_else(|| damaged("a number is too great"))?;
        self.input.consume(2 + rest + used);
        if shared < 16 {
            let mut head = [0; 16];
            let known = self.name.len().min(16);
            head[..known].copy_from_slice(&self.name[..known]);
            self.head = u128::from_be_bytes(head);
        }
        Ok(true)
    }
}

/// A number in groups of seven bits, and how many bytes it took.
#[inline]
fn varint(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut value = 0_u32;
    for (place, &byte) in bytes.iter().enumerate().take(5) {
        let bits = u32::from(byte & 0x7f);
        if place == 4 && bits > 0b1111 {
            return None;
        }
        value |= bits << (7 * place);
        if byte < 0x80 {
            return Some((value, place + 1));
        }
    }
    None
}

fn damaged(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

// The heap has its greatest on top, so the least entry is the greatest cursor.
impl Ord for Cursor<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .head
            .cmp(&self.head)
            .then_with(|| other.name.cmp(&self.name))
            .then_with(|| other.value.cmp(&self.value))
    }
}

impl PartialOrd for Cursor<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cursor<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cursor<'_> {}

/// Calls `each` with every entry of some runs, in order.
fn for_each_entry(runs: &[Run], each: EachEntry<'_>) -> io::Result<()> {
    let mut heap = BinaryHeap::with_capacity(runs.len());
    for run in runs {
        let mut cursor = run.cursor()?;
        if cursor.advance()? {
            heap.push(cursor);
        }
    }
    while let Some(mut least) = heap.peek_mut() {
        each(&least.name, least.value)?;
        if !least.advance()? {
            PeekMut::pop(least);
        }
    }
    Ok(())
}

/// What merging gave, read again once: bytes that go to disk when they are more than memory should hold.
#[derive(Debug)]
pub(super) struct Spool {
    bytes: Vec<u8>,
    file: Option<BufWriter<File>>,
    length: u64,
    limit: usize,
    folder: Option<PathBuf>,
}

impl Spool {
    /// Holds everything in memory without a folder.
    pub(super) fn new(folder: Option<PathBuf>, limit: usize) -> Self {
        Self { bytes: Vec::new(), file: None, length: 0, limit, folder }
    }

    /// What was written, as a run.
    pub(super) fn into_run(self) -> io::Result<Run> {
        Ok(match self.file {
            None => Run::memory(self.bytes),
            Some(file) => {
                Run::file(file.into_inner().map_err(io::IntoInnerError::into_error)?, 0..self.length)
            }
        })
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none()
            && self.bytes.len() + bytes.len() > self.limit
            && let Some(folder) = &self.folder
        {
            let mut file = BufWriter::with_capacity(1 << 18, unnamed_file(folder)?);
            file.write_all(&std::mem::take(&mut self.bytes))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => self.bytes.extend_from_slice(bytes),
        }
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests;
