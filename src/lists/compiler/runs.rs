//! Sorting more entries than memory should hold: sorted runs, merged as they are read.
//!
//! Entries gather in a buffer. A full buffer is sorted and becomes a run, in which each name is written without the
//! start that it shares with the name before. Runs stay in memory up to a limit, then all of them are merged into one
//! run on disk.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    process,
    sync::atomic::{self, AtomicU64},
};

use crate::lists::index::Code;

/// How many bytes are sorted at once: what a processor's cache about holds.
const BUFFER: usize = 4 << 20;

/// How many bytes of runs stay in memory.
const IN_MEMORY: usize = 96 << 20;

/// What is called with each name and its codes.
type EachName<'a> = &'a mut dyn FnMut(&[u8], &[Code]) -> io::Result<()>;

/// What is called with each entry.
type EachEntry<'a> = &'a mut dyn FnMut(&[u8], Code) -> io::Result<()>;

/// Names with the codes of their entries, in any order at first.
pub(super) struct Runs {
    buffer: Buffer,
    runs: Vec<Run>,
    /// How many bytes the runs in memory have.
    held: usize,
    /// How many bytes they may have.
    limit: usize,
    /// Where runs go that are too many for memory; nowhere if there is none.
    folder: Option<PathBuf>,
}

enum Run {
    Memory(Vec<u8>),
    File(File),
}

impl Runs {
    /// Holds everything in memory without a folder.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { buffer: Buffer::default(), runs: Vec::new(), held: 0, limit: IN_MEMORY, folder }
    }

    /// Adds an entry for a name of at most 255 bytes.
    pub(super) fn push(&mut self, name: &[u8], code: Code) -> io::Result<()> {
        if self.buffer.bytes.len() + name.len() + 3 > BUFFER {
            self.end_run()?;
        }
        self.buffer.push(name, code);
        Ok(())
    }

    /// Calls `each` with every name, in the order of their bytes, and the codes of its entries, sorted, with those that
    /// occur more than once as often as they do.
    ///
    /// Can be called again, with the same outcome.
    pub(super) fn merge(&mut self, each: EachName<'_>) -> io::Result<()> {
        self.end_run()?;
        let mut codes = Vec::new();
        let mut name = Vec::new();
        for_each_entry(&self.runs, &mut |entry, code| {
            if entry != name.as_slice() {
                if !codes.is_empty() {
                    each(&name, &codes)?;
                }
                codes.clear();
                name.clear();
                name.extend_from_slice(entry);
            }
            codes.push(code);
            Ok(())
        })?;
        if codes.is_empty() { Ok(()) } else { each(&name, &codes) }
    }

    fn end_run(&mut self) -> io::Result<()> {
        if self.buffer.starts.is_empty() {
            return Ok(());
        }
        let mut writer = RunWriter::new(Vec::new());
        self.buffer.drain(&mut |name, code| writer.push(name, code))?;
        let mut run = writer.output;
        run.shrink_to_fit();
        self.held += run.len();
        self.runs.push(Run::Memory(run));
        if self.held > self.limit
            && let Some(folder) = &self.folder
        {
            let file = spill_file(folder)?;
            let mut writer = RunWriter::new(BufWriter::with_capacity(1 << 18, file));
            for_each_entry(&self.runs, &mut |name, code| writer.push(name, code))?;
            let file = writer.output.into_inner().map_err(io::IntoInnerError::into_error)?;
            self.runs = vec![Run::File(file)];
            self.held = 0;
        }
        Ok(())
    }
}

/// Makes a file that vanishes with the last handle on it, whatever becomes of this process.
fn spill_file(folder: &std::path::Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, atomic::Ordering::Relaxed);
    let path = folder.join(format!(".sort-{}-{number}", process::id()));
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Entries as they come: the code, the name's length, the name.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    starts: Vec<Start>,
}

/// Where an entry starts, with what decides most comparisons beside it.
#[derive(Clone, Copy)]
struct Start {
    /// Eight bytes of the name from its fifth on, since the first four are often `com.`.
    middle: u64,
    /// The first four.
    front: u32,
    at: u32,
}

impl Buffer {
    fn push(&mut self, name: &[u8], code: Code) {
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
            each(name, code)?;
        }
        starts.clear();
        self.starts = starts;
        self.bytes.clear();
        Ok(())
    }
}

/// Writes a run: how much of the name is that of the name before, how much is not, that, the code.
struct RunWriter<W> {
    output: W,
    last: Vec<u8>,
}

impl<W: Write> RunWriter<W> {
    fn new(output: W) -> Self {
        Self { output, last: Vec::new() }
    }

    fn push(&mut self, name: &[u8], code: Code) -> io::Result<()> {
        let shared = self.last.iter().zip(name).take_while(|(a, b)| a == b).count();
        let rest = &name[shared..];
        // No name is longer than 255 bytes.
        self.output.write_all(&[shared as u8, rest.len() as u8])?;
        self.output.write_all(rest)?;
        self.output.write_all(&code.to_le_bytes())?;
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
        Ok(())
    }
}

/// A place in a run: the entry that comes next.
struct Cursor<'a> {
    input: Box<dyn BufRead + 'a>,
    name: Vec<u8>,
    code: Code,
}

impl<'a> Cursor<'a> {
    fn new(run: &'a Run) -> io::Result<Self> {
        let input: Box<dyn BufRead> = match run {
            Run::Memory(bytes) => Box::new(bytes.as_slice()),
            Run::File(file) => {
                let mut file: &File = file;
                file.seek(SeekFrom::Start(0))?;
                Box::new(BufReader::with_capacity(1 << 18, file))
            }
        };
        Ok(Self { input, name: Vec::new(), code: 0 })
    }

    /// Goes to the next entry; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut head = [0; 2];
        self.input.read_exact(&mut head)?;
        let (shared, rest) = (usize::from(head[0]), usize::from(head[1]));
        self.name.resize(shared + rest, 0);
        self.input.read_exact(&mut self.name[shared..])?;
        let mut code = [0; 2];
        self.input.read_exact(&mut code)?;
        self.code = Code::from_le_bytes(code);
        Ok(true)
    }
}

// The heap has its greatest on top, so the least entry is the greatest cursor.
impl Ord for Cursor<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.name.cmp(&self.name).then(other.code.cmp(&self.code))
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
        let mut cursor = Cursor::new(run)?;
        if cursor.advance()? {
            heap.push(cursor);
        }
    }
    while let Some(mut least) = heap.peek_mut() {
        each(&least.name, least.code)?;
        if !least.advance()? {
            PeekMut::pop(least);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn merged(runs: &mut Runs) -> BTreeMap<Vec<u8>, Vec<Code>> {
        let mut found = BTreeMap::new();
        let mut last: Option<Vec<u8>> = None;
        runs.merge(&mut |name, codes| {
            assert!(last.as_deref() < Some(name), "in order, each once");
            last = Some(name.to_vec());
            found.insert(name.to_vec(), codes.to_vec());
            Ok(())
        })
        .unwrap();
        found
    }

    proptest! {
        #[test]
        fn entries_come_back_sorted_from_memory_and_disk(
            entries in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..16), 0..4_u16), 0..300),
            run in 1..100_usize,
        ) {
            let mut wanted: BTreeMap<Vec<u8>, Vec<Code>> = BTreeMap::new();
            let folder = tempfile::tempdir().unwrap();
            let mut memory = Runs::new(None);
            let mut disk = Runs { limit: 200, ..Runs::new(Some(folder.path().into())) };
            for (i, (name, code)) in entries.iter().enumerate() {
                wanted.entry(name.clone()).or_default().push(*code);
                for runs in [&mut memory, &mut disk] {
                    runs.push(name, *code).unwrap();
                    if i % run == 0 {
                        runs.end_run().unwrap();
                    }
                }
            }
            wanted.values_mut().for_each(|codes| codes.sort_unstable());
            prop_assert_eq!(&merged(&mut memory), &wanted);
            prop_assert_eq!(&merged(&mut disk), &wanted);
            prop_assert_eq!(&merged(&mut disk), &wanted, "a second time");
        }
    }

    #[test]
    fn runs_go_to_disk_over_the_limit_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut runs = Runs { limit: 1000, ..Runs::new(Some(folder.path().into())) };
        for i in 0..1000 {
            runs.push(format!("test.name{i}").as_bytes(), 1).unwrap();
            if i % 100 == 0 {
                runs.end_run().unwrap();
            }
        }
        assert!(runs.runs.iter().any(|run| matches!(run, Run::File(_))));
        assert_eq!(merged(&mut runs).len(), 1000);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
