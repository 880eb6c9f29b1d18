//! Turns any number of lists into one index file, in bounded memory.
//!
//! The rules of each list are sorted by name (`runs`), and can be kept so for the next time (`kept`), when only the
//! lists that changed are read again. All lists are merged once, which counts the sets of lists that occur; what comes
//! out is read once more to write each name with the number of its set, and again for the table of their hashes. With the same
//! seed of the hashes, the order of lines within a list makes no difference to the bytes that come out, nor does whether a list
//! was read or kept. The file is written beside its place, read back and checked, and only then takes its place.

mod adding;
mod kept;
mod runs;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, BufWriter, Cursor, Seek, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use fst::MapBuilder;
use ipnet::IpNet;

pub use self::{adding::Adding, kept::KeptError};

use self::{
    adding::List,
    runs::{Buffer, IN_MEMORY, Run, RunWriter, Runs, Spool},
};
use super::{
    format::{Format, MatchMode, Rule},
    index::{
        Code, Counter, Counts, DomainIndex, Entry, IndexError, ListMeta, MAX_LISTS, Region, TableBuilder,
        Writer, build_addresses,
    },
    source::{Contents, Source, SourceError},
};
use crate::disk;

/// What a list that is to be compiled is called and is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
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
    /// A list can't be read, or is none.
    #[error("{id}: {source}")]
    Source {
        /// Which list.
        id: String,
        /// What is wrong with it.
        source: SourceError,
    },
    /// The rules can't be kept for sorting.
    #[error("{id}: its rules can't be written to a temporary file: {source}")]
    Sort {
        /// Which list.
        id: String,
        /// What the system said.
        source: io::Error,
    },
    /// The sorted rules of a list can't be kept.
    #[error("{id}: its rules can't be kept in {path}: {source}", path = path.display())]
    Keep {
        /// Which list.
        id: String,
        /// Where they should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was kept of a list can't be used: it is to be read from its text.
    #[error("{id}: {source}")]
    Kept {
        /// Which list.
        id: String,
        /// Why not.
        source: Box<KeptError>,
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
    /// Where files go that vanish by themselves; nowhere if all stays in memory.
    folder: Option<PathBuf>,
    runs: Runs,
    addresses: Vec<(IpNet, Code)>,
    lists: Vec<List>,
    /// A buffer that no list uses at the moment.
    spare: Buffer,
    /// What went wrong between two lists.
    failed: Option<io::Error>,
    /// What the hashes of the index start from.
    seed: u64,
}

impl Compiler {
    /// Starts without lists. What memory should not hold goes to files in `folder` that vanish by themselves; the
    /// folder of the index is a good one.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self::within(Some(folder.into()))
    }

    /// Starts without lists, for few rules: everything stays in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::within(None)
    }

    fn within(folder: Option<PathBuf>) -> Self {
        Self {
            runs: Runs::new(folder.clone(), IN_MEMORY),
            folder,
            addresses: Vec::new(),
            lists: Vec::new(),
            spare: Buffer::default(),
            failed: None,
            // Its keys are from the system's own randomness.
            seed: RandomState::new().hash_one(0),
        }
    }

    /// With a seed of the hashes that is known, so that the same lists give the same bytes.
    ///
    /// In use nobody should know it, since who does can seek a name that is taken for one that a list opens.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    fn new_runs(&self) -> Runs {
        Runs::new(self.folder.clone(), IN_MEMORY)
    }

    /// Starts a list, whose rules are then handed to what comes back.
    ///
    /// # Errors
    ///
    /// When there are too many lists.
    pub fn list(&mut self, identity: Identity) -> Result<Adding<'_>, CompileError> {
        let Identity { id, title, category } = identity;
        self.start(ListMeta { id, title, category, version: String::new(), entries: 0 }, false)
    }

    /// Adds a list from where its text is, which may be compressed, an archive or a folder.
    ///
    /// Without a format, it is detected. Lines that can't be read as a rule are skipped and counted.
    ///
    /// # Errors
    ///
    /// When there are too many lists, or the list can't be read or its rules not kept; it is left out then, and others
    /// can still be added.
    pub fn add_source(
        &mut self,
        identity: Identity,
        source: &Source,
        format: Option<Format>,
        mode: MatchMode,
    ) -> Result<Contents, CompileError> {
        let id = identity.id.clone();
        let mut list = self.list(identity)?;
        let contents = source
            .read(format, mode, &mut |_, line| list.line(line))
            .map_err(|source| CompileError::Source { id, source })?;
        list.end()?;
        Ok(contents)
    }

    /// Adds a list whose rules were read before.
    ///
    /// # Errors
    ///
    /// When there are too many lists, or the rules can't be kept; the list is left out then.
    pub fn add_rules(
        &mut self,
        identity: Identity,
        rules: impl IntoIterator<Item = Rule>,
    ) -> Result<(), CompileError> {
        let mut list = self.list(identity)?;
        rules.into_iter().for_each(|rule| list.rule(rule));
        list.end()
    }

    /// Adds a list of which everything is known, its version and how many entries it has too.
    pub(super) fn add_counted(
        &mut self,
        meta: ListMeta,
        rules: impl IntoIterator<Item = Rule>,
    ) -> Result<(), CompileError> {
        let mut list = self.start(meta, true)?;
        rules.into_iter().for_each(|rule| list.rule(rule));
        list.end()
    }

    fn start(&mut self, meta: ListMeta, known: bool) -> Result<Adding<'_>, CompileError> {
        self.room(&meta.id)?;
        // What a list left there that was given up is none of this one's.
        self.spare.clear();
        Ok(Adding::new(self, meta, known))
    }

    fn room(&self, id: &str) -> Result<(), CompileError> {
        if self.lists.len() < MAX_LISTS { Ok(()) } else { Err(CompileError::TooManyLists { id: id.into() }) }
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
        self.finish_opened(path).map(|(_, summary)| summary)
    }

    /// Writes the index to a file, as [`finish`](Self::finish) does, and gives what was read back.
    ///
    /// This way a large index is in memory once, not once to check it and again to use it.
    ///
    /// # Errors
    ///
    /// When the index can't be written or read back; the old file is still there then.
    pub fn finish_opened(self, path: &Path) -> Result<(DomainIndex, Summary), CompileError> {
        let error = |source| CompileError::Write { path: path.into(), source };
        let beside = Beside::new(path);
        let file = File::create(&beside.0).map_err(error)?;
        let (output, summary) = self.write(BufWriter::with_capacity(1 << 18, file)).map_err(error)?;
        let file = output.into_inner().map_err(|e| error(e.into_error()))?;
        file.sync_all().map_err(error)?;
        drop(file);
        let index = DomainIndex::open(&beside.0).map_err(CompileError::ReadBack)?;
        index.names().map_err(CompileError::ReadBack)?;
        fs::rename(&beside.0, path).map_err(error)?;
        // The new name must be on the disk before the caller relies on it.
        disk::sync_folder_of(path).map_err(error)?;
        Ok((index, summary))
    }

    fn write<W: Write + Seek>(self, output: W) -> io::Result<(W, Summary)> {
        let Self { folder, runs, addresses, mut lists, spare, failed, seed } = self;
        if let Some(error) = failed {
            return Err(error);
        }
        // From here on, memory is for the table.
        drop(spare);

        let mut sets = Counter::default();
        let mut names = 0_u64;
        let mut set = Vec::new();
        let mut merged = RunWriter::new(Spool::new(folder, IN_MEMORY));
        runs.merge(&mut |name, codes| {
            counted(&mut lists, codes, &mut set);
            merged.push(name, sets.count(&set))?;
            names += 1;
            Ok(())
        })?;
        drop(runs);
        let merged = merged.into_inner().into_run()?;
        let nets: Vec<_> = grouped(addresses)
            .into_iter()
            .map(|(net, codes)| {
                counted(&mut lists, &codes, &mut set);
                (net, sets.count(&set))
            })
            .collect();
        let sets = sets.number();
        let number =
            |counted| sets.number_of(counted).ok_or_else(|| io::Error::other("a set was not counted"));
        let nets =
            nets.into_iter().map(|(net, set)| Ok((net, number(set)?))).collect::<io::Result<Vec<_>>>()?;
        let counts = Counts {
            names,
            lists: count(lists.len())?,
            sets: count(sets.len())?,
            addresses: count(nets.len())?,
        };

        let mut writer = Writer::new(output)?;
        let metas: Vec<_> = lists.iter().map(|list| &list.summary.meta).collect();
        writer.region(Region::Lists, &serde_json::to_vec(&metas)?)?;
        writer.region(Region::Sets, &sets.bytes())?;
        writer.region(Region::Addresses, &build_addresses(nets))?;

        let mut builder =
            MapBuilder::new(BufWriter::with_capacity(1 << 16, &mut writer)).map_err(io::Error::other)?;
        let mut cursor = merged.cursor()?;
        while cursor.advance()? {
            let set = number(cursor.value())?;
            builder.insert(cursor.name(), u64::from(set)).map_err(io::Error::other)?;
        }
        builder
            .into_inner()
            .map_err(io::Error::other)?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        writer.end(Region::Names);
        table(&merged, &counts, seed, number)?.write(&mut writer)?;
        writer.end(Region::Table);
        let mut output = writer.finish(counts)?;

        let summary = Summary {
            lists: lists.into_iter().map(|list| list.summary).collect(),
            names,
            addresses: counts.addresses,
            sets: counts.sets,
            bytes: output.seek(io::SeekFrom::End(0))?,
        };
        Ok((output, summary))
    }
}

/// The table of names whose sets were counted.
fn table(
    merged: &Run,
    counts: &Counts,
    mut seed: u64,
    number: impl Fn(u32) -> io::Result<u32>,
) -> io::Result<TableBuilder> {
    'seeds: loop {
        let mut table = TableBuilder::new(counts.names, counts.sets, seed)?;
        let mut cursor = merged.cursor()?;
        while cursor.advance()? {
            if table.insert(cursor.name(), number(cursor.value())?).is_err() {
                // One of a million tables of a million names, or fewer.
                seed = seed.wrapping_add(1);
                continue 'seeds;
            }
        }
        return Ok(table);
    }
}

/// Makes the set of sorted codes, each once, and adds it to the counts of the lists.
fn counted(lists: &mut [List], codes: &[Code], set: &mut Vec<Code>) {
    set.clear();
    for &code in codes {
        let List { summary, known } = &mut lists[usize::from(Entry::from_code(code).list)];
        if set.last() == Some(&code) {
            summary.duplicates += 1;
        } else {
            set.push(code);
            summary.meta.entries += u64::from(!*known);
        }
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

#[cfg(test)]
mod tests;
