//! Turns any number of lists into one index file, in bounded memory.
//!
//! The rules of all lists are sorted by name ([`runs`]), read once to count which sets of lists occur and once more to
//! write each name with the number of its set. The order of lines within a list makes no difference to the bytes that
//! come out. The file is written beside its place, read back and checked, and only then takes its place.

mod runs;
mod sources;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufWriter, Cursor, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use fst::MapBuilder;
use ipnet::IpNet;
use xxhash_rust::xxh3::Xxh3;

use self::runs::Runs;
use super::{
    format::{self, Format, MatchMode, Rule, Subject},
    index::{
        Code, Counter, Counts, DomainIndex, Entry, IndexError, ListMeta, MAX_LISTS, Numbered, ROOM, Region,
        Writer, build_addresses, build_filter, hash,
    },
    source::SourceError,
};

/// What a list that is to be compiled is called and is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The identifier (`ut1-adult`).
    pub id: String,
    /// What people read.
    pub title: String,
    /// The identifier of the category that it feeds.
    pub category: String,
}

/// What became of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListSummary {
    /// What the index knows about it.
    pub meta: ListMeta,
    /// How many rules said what another rule of the list says.
    pub duplicates: u64,
    /// How many lines were skipped, by the reason.
    pub skipped: BTreeMap<String, u64>,
}

/// What was compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What became of each list, in the order of [`DomainIndex::lists`].
    pub lists: Vec<ListSummary>,
    /// How many different names there are.
    pub names: u64,
    /// How many different addresses and subnets there are.
    pub addresses: u32,
    /// How many different sets of lists there are.
    pub sets: u32,
    /// How many bytes the index has.
    pub bytes: u64,
}

/// Why lists could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// An index has room for [`MAX_LISTS`].
    #[error("{id}: an index holds {MAX_LISTS} lists, and this would be one more")]
    TooManyLists {
        /// The list that was one too many.
        id: String,
    },
    /// A list can't be read to its end. It is left out; others can still be added.
    #[error("{id}: the list can't be read: {source}")]
    Read {
        /// Which list.
        id: String,
        /// What the system or the decompression said.
        source: io::Error,
    },
    /// A source can't be read, or is no list. It is left out; others can still be added.
    #[error("list {id}: {source}")]
    Source {
        /// Which list.
        id: String,
        /// What is wrong with it.
        source: SourceError,
    },
    /// The rules can't be kept for sorting.
    #[error("{id}: its rules can't be written to a temporary file: {source}")]
    Sort {
        /// The list that was being added.
        id: String,
        /// What the system said.
        source: io::Error,
    },
    /// The index can't be written. What was in its place before is still there.
    #[error("{path}: the index can't be written: {source}", path = path.display())]
    Write {
        /// Where the index should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The index was written, but what comes back from the disk is damaged. What was in its place before is still
    /// there.
    #[error("the index that was written can't be read back: {0}")]
    ReadBack(IndexError),
}

/// Gathers lists and writes their index.
pub struct Compiler {
    runs: Runs,
    addresses: Vec<(IpNet, Code)>,
    lists: Vec<List>,
}

struct List {
    summary: ListSummary,
    /// Whether the entries are still to be counted.
    count: bool,
    /// Whether it could not be read to its end.
    discarded: bool,
}

impl Compiler {
    /// Starts without lists. What memory should not hold goes to files in `folder` that vanish by themselves; the
    /// folder of the index is a good one.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self::with_runs(Runs::new(Some(folder.into())))
    }

    /// Starts without lists, for few rules: everything stays in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::with_runs(Runs::new(None))
    }

    fn with_runs(runs: Runs) -> Self {
        Self { runs, addresses: Vec::new(), lists: Vec::new() }
    }

    /// Adds a list from its text, whose checksum becomes its version.
    ///
    /// Lines that can't be read as a rule are skipped and counted.
    ///
    /// # Errors
    ///
    /// With [`CompileError::Read`] the list is left out and others can be added; after another error the compiler is
    /// of no use.
    pub fn add(
        &mut self,
        source: Source,
        format: Format,
        mode: MatchMode,
        input: &mut dyn BufRead,
    ) -> Result<(), CompileError> {
        let list = self.start(source, String::new(), 0, true)?;
        let mut summed = Summed { input, sum: Xxh3::new() };
        let mut failed = None;
        let read = format::read(&mut summed, format, mode, &mut |_, line| match line {
            Ok(rule) if failed.is_none() => failed = self.push(list, rule).err(),
            Ok(_) => {}
            Err(skip) => self.skip(list, skip.reason.to_string()),
        });
        if let Some(source) = failed {
            return Err(CompileError::Sort { id: self.id(list), source });
        }
        // A format may stop before the end; the version is that of the whole text.
        match read.and_then(|_| io::copy(&mut summed, &mut io::sink())) {
            Ok(_) => {
                self.lists[list].summary.meta.version = format!("{:032x}", summed.sum.digest128());
                Ok(())
            }
            Err(source) => {
                self.lists[list].discarded = true;
                Err(CompileError::Read { id: self.id(list), source })
            }
        }
    }

    /// Adds a list whose rules were read before.
    ///
    /// # Errors
    ///
    /// When there are too many lists or no temporary file can be written; the compiler is of no use then.
    pub fn add_rules(
        &mut self,
        source: Source,
        version: String,
        rules: impl IntoIterator<Item = Rule>,
    ) -> Result<(), CompileError> {
        let list = self.start(source, version, 0, true)?;
        self.push_all(list, rules)
    }

    /// Adds a list of which everything is known, how many entries it has too.
    pub(super) fn add_counted(
        &mut self,
        meta: ListMeta,
        rules: impl IntoIterator<Item = Rule>,
    ) -> Result<(), CompileError> {
        let source = Source { id: meta.id, title: meta.title, category: meta.category };
        let list = self.start(source, meta.version, meta.entries, false)?;
        self.push_all(list, rules)
    }

    fn push_all(&mut self, list: usize, rules: impl IntoIterator<Item = Rule>) -> Result<(), CompileError> {
        for rule in rules {
            self.push(list, rule).map_err(|source| CompileError::Sort { id: self.id(list), source })?;
        }
        Ok(())
    }

    fn start(
        &mut self,
        source: Source,
        version: String,
        entries: u64,
        count: bool,
    ) -> Result<usize, CompileError> {
        let Source { id, title, category } = source;
        // Lists that were left out have a code, but no place in the index.
        if self.lists.len() >= ROOM || self.lists.iter().filter(|list| !list.discarded).count() >= MAX_LISTS {
            return Err(CompileError::TooManyLists { id });
        }
        let meta = ListMeta { id, title, category, version, entries };
        let summary = ListSummary { meta, duplicates: 0, skipped: BTreeMap::new() };
        self.lists.push(List { summary, count, discarded: false });
        Ok(self.lists.len() - 1)
    }

    fn id(&self, list: usize) -> String {
        self.lists[list].summary.meta.id.clone()
    }

    fn push(&mut self, list: usize, rule: Rule) -> io::Result<()> {
        // `start` gives out places under ROOM only.
        let entry = Entry { list: list as u16, exact: false, allow: rule.allow };
        match rule.subject {
            Subject::Name { key, .. } if key.depth() == 0 => {
                self.skip(list, String::from("it is the root, which has every name"));
                Ok(())
            }
            Subject::Name { key, mode } => {
                let entry = Entry { exact: mode == MatchMode::Exact, ..entry };
                self.runs.push(key.as_bytes(), entry.code())
            }
            Subject::Address(net) => {
                self.addresses.push((net.trunc(), entry.code()));
                Ok(())
            }
        }
    }

    fn skip(&mut self, list: usize, reason: String) {
        *self.lists[list].summary.skipped.entry(reason).or_default() += 1;
    }

    /// Writes the index to memory.
    ///
    /// # Errors
    ///
    /// When a temporary file can't be read back.
    pub fn finish_bytes(self) -> Result<(Vec<u8>, Summary), CompileError> {
        let (output, summary) = self
            .write(Cursor::new(Vec::new()))
            .map_err(|source| CompileError::Write { path: PathBuf::from("memory"), source })?;
        Ok((output.into_inner(), summary))
    }

    /// Writes the index to a file, in one step: a reader sees the old file or the new one.
    ///
    /// # Errors
    ///
    /// When the index can't be written or read back; the old file is still there then.
    pub fn finish(self, path: &Path) -> Result<Summary, CompileError> {
        let error = |source| CompileError::Write { path: path.into(), source };
        let beside = Beside::new(path);
        let file = File::create(&beside.0).map_err(error)?;
        let (output, summary) = self.write(BufWriter::with_capacity(1 << 18, file)).map_err(error)?;
        let file = output.into_inner().map_err(|e| error(e.into_error()))?;
        file.sync_all().map_err(error)?;
        drop(file);
        DomainIndex::open(&beside.0).map_err(CompileError::ReadBack)?;
        fs::rename(&beside.0, path).map_err(error)?;
        // The new name must be on the disk before the caller relies on it.
        File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(error)?;
        Ok(summary)
    }

    fn write<W: Write + Seek>(self, output: W) -> io::Result<(W, Summary)> {
        let Self { mut runs, addresses, lists } = self;
        let mut live = Live::new(lists);
        let mut nets = grouped(addresses);

        let mut sets = Counter::default();
        let mut hashes = Vec::new();
        let mut names = 0_u64;
        runs.merge(&mut |name, codes| {
            let set = live.counted(codes);
            if !set.is_empty() {
                sets.count(set);
                hashes.push(hash(name));
                names += 1;
            }
            Ok(())
        })?;
        nets.retain_mut(|(_, codes)| {
            *codes = live.counted(codes).to_vec();
            if !codes.is_empty() {
                sets.count(codes);
            }
            !codes.is_empty()
        });
        let sets = sets.number();
        let nets: Vec<_> =
            nets.iter().map(|(net, codes)| Ok((*net, number(&sets, codes)?))).collect::<io::Result<_>>()?;
        let counts = Counts {
            names,
            lists: count(live.lists.len())?,
            sets: count(sets.len())?,
            addresses: count(nets.len())?,
        };

        let mut writer = Writer::new(output)?;
        let metas: Vec<_> = live.lists.iter().map(|list| &list.summary.meta).collect();
        writer.region(Region::Lists, &serde_json::to_vec(&metas)?)?;
        writer.region(Region::Sets, &sets.bytes())?;
        writer.region(Region::Addresses, &build_addresses(nets))?;
        writer.region(Region::Filter, &build_filter(&mut hashes))?;
        drop(hashes);

        let mut builder =
            MapBuilder::new(BufWriter::with_capacity(1 << 16, &mut writer)).map_err(io::Error::other)?;
        runs.merge(&mut |name, codes| {
            let set = live.renumbered(codes);
            if set.is_empty() {
                return Ok(());
            }
            builder.insert(name, u64::from(number(&sets, set)?)).map_err(io::Error::other)
        })?;
        builder
            .into_inner()
            .map_err(io::Error::other)?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        writer.end(Region::Names);
        let mut output = writer.finish(counts)?;

        let summary = Summary {
            lists: live.lists.into_iter().map(|list| list.summary).collect(),
            names,
            addresses: counts.addresses,
            sets: counts.sets,
            bytes: output.seek(io::SeekFrom::End(0))?,
        };
        Ok((output, summary))
    }
}

/// The lists that were not left out, and the way from the codes that were given out to theirs.
struct Live {
    lists: Vec<List>,
    /// The place among the lists for each place that was given out.
    places: Vec<Option<u16>>,
    set: Vec<Code>,
}

impl Live {
    fn new(all: Vec<List>) -> Self {
        let mut next = 0;
        let places = all
            .iter()
            .map(|list| {
                (!list.discarded).then(|| {
                    next += 1;
                    next - 1
                })
            })
            .collect();
        Self { lists: all.into_iter().filter(|list| !list.discarded).collect(), places, set: Vec::new() }
    }

    /// The set that sorted codes make, each once.
    fn renumbered(&mut self, codes: &[Code]) -> &[Code] {
        self.set.clear();
        for &code in codes {
            let entry = Entry::from_code(code);
            if let Some(list) = self.places[usize::from(entry.list)] {
                let code = Entry { list, ..entry }.code();
                if self.set.last() != Some(&code) {
                    self.set.push(code);
                }
            }
        }
        &self.set
    }

    /// As [`renumbered`](Self::renumbered), and adds to the counts of the lists.
    fn counted(&mut self, codes: &[Code]) -> &[Code] {
        self.renumbered(codes);
        for &code in codes {
            if let Some(list) = self.places[usize::from(Entry::from_code(code).list)] {
                self.lists[usize::from(list)].summary.duplicates += 1;
            }
        }
        for &code in &self.set {
            let List { summary, count, .. } = &mut self.lists[usize::from(Entry::from_code(code).list)];
            summary.duplicates -= 1;
            summary.meta.entries += u64::from(*count);
        }
        &self.set
    }
}

/// Each subnet once, with the sorted codes of its entries.
fn grouped(mut addresses: Vec<(IpNet, Code)>) -> Vec<(IpNet, Vec<Code>)> {
    addresses.sort_unstable();
    addresses
        .chunk_by(|(a, _), (b, _)| a == b)
        .map(|group| (group[0].0, group.iter().map(|(_, code)| *code).collect()))
        .collect()
}

fn number(sets: &Numbered, set: &[Code]) -> io::Result<u32> {
    sets.number_of(set).ok_or_else(|| io::Error::other("the sorted rules changed between two readings"))
}

fn count(number: usize) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| io::Error::other("there are more entries than an index can count"))
}

/// A file beside the one that it is to replace; removed unless it took its place.
struct Beside(PathBuf);

impl Beside {
    fn new(path: &Path) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-{}.tmp", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        Self(path.with_file_name(name))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After the renaming there is nothing left to remove.
        let _ = fs::remove_file(&self.0);
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Sums up what is read through it.
struct Summed<'a> {
    input: &'a mut dyn BufRead,
    sum: Xxh3,
}

impl Read for Summed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.sum.update(&buffer[..read]);
        Ok(read)
    }
}

impl BufRead for Summed<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed was filled before, so this reads nothing and can't fail.
        if let Ok(filled) = self.input.fill_buf() {
            self.sum.update(&filled[..amount.min(filled.len())]);
        }
        self.input.consume(amount);
    }
}

#[cfg(test)]
mod tests;
