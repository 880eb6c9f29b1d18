//! Turns any number of lists into one index file, in bounded memory.
//!
//! The rules of all lists are sorted by name (`runs`), read once to count which sets of lists occur and once more to
//! write each name with the number of its set. The order of lines within a list makes no difference to the bytes that
//! come out. The file is written beside its place, read back and checked, and only then takes its place.

mod runs;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Cursor, Seek, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use fst::MapBuilder;
use ipnet::IpNet;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use self::runs::Runs;
use super::{
    format::{Format, MatchMode, Rule, Skip, Subject},
    index::{
        Code, Counter, Counts, DomainIndex, Entry, IndexError, ListMeta, MAX_LISTS, Numbered, ROOM, Region,
        Writer, build_addresses, build_filter, hash,
    },
    source::{Contents, Source, SourceError},
};

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
    /// Whether its version and how many entries it has were given.
    known: bool,
    /// Whether it was read to its end; it is left out otherwise.
    complete: bool,
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
        // Lists that were left out have a place among the codes, but none in the index.
        if self.lists.len() >= ROOM || self.lists.iter().filter(|list| list.complete).count() >= MAX_LISTS {
            return Err(CompileError::TooManyLists { id: meta.id });
        }
        let place = self.lists.len() as u16;
        let summary = ListSummary { meta, duplicates: 0, skipped: BTreeMap::new() };
        self.lists.push(List { summary, known, complete: false });
        Ok(Adding { compiler: self, place, sum: 0, failed: None })
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

/// A list whose rules are being added; it is left out of the index unless it is [ended](Self::end).
pub struct Adding<'a> {
    compiler: &'a mut Compiler,
    place: u16,
    /// The sum of the checksums of its rules, which does not depend on their order.
    sum: u128,
    failed: Option<io::Error>,
}

/// How many addresses and subnets are gathered: they stay in memory until the end, unlike names.
const MAX_ADDRESSES: usize = 2_000_000;

impl Adding<'_> {
    /// Adds a rule. An error is told at the end.
    pub fn rule(&mut self, rule: Rule) {
        let of_servers = rule.subject.is_of_name_servers();
        let entry = Entry { list: self.place, exact: false, allow: rule.allow, of_servers };
        let sum = match rule.subject {
            Subject::Name { key, .. } | Subject::NameServer { key, .. } if key.depth() == 0 => {
                return self.skip("the root, which has every name below it");
            }
            Subject::Name { key, mode } | Subject::NameServer { key, mode } => {
                let entry = Entry { exact: mode == MatchMode::Exact, ..entry };
                if self.failed.is_none() {
                    self.failed = self.compiler.runs.push(key.as_bytes(), entry.code()).err();
                }
                sum_of(key.as_bytes(), entry)
            }
            Subject::Address(_) | Subject::NameServerAddress(_)
                if self.compiler.addresses.len() >= MAX_ADDRESSES =>
            {
                return self.skip("more addresses than an index holds");
            }
            Subject::Address(net) | Subject::NameServerAddress(net) => {
                let net = net.trunc();
                self.compiler.addresses.push((net, entry.code()));
                sum_of(net.to_string().as_bytes(), entry)
            }
        };
        self.sum = self.sum.wrapping_add(sum);
    }

    /// Counts a line that gave no rule.
    pub fn skip(&mut self, reason: impl ToString) {
        *self.list().summary.skipped.entry(reason.to_string()).or_default() += 1;
    }

    /// Adds what a line gave.
    fn line(&mut self, line: Result<Rule, Skip<'_>>) {
        match line {
            Ok(rule) => self.rule(rule),
            Err(skip) => self.skip(skip.reason),
        }
    }

    /// Ends the list, so that it will be in the index.
    ///
    /// # Errors
    ///
    /// When some rule could not be kept; the list is left out then.
    pub fn end(mut self) -> Result<(), CompileError> {
        if let Some(source) = self.failed.take() {
            return Err(CompileError::Sort { id: self.list().summary.meta.id.clone(), source });
        }
        let sum = self.sum;
        let list = self.list();
        if !list.known {
            list.summary.meta.version = format!("{sum:032x}");
        }
        list.complete = true;
        Ok(())
    }

    fn list(&mut self) -> &mut List {
        &mut self.compiler.lists[usize::from(self.place)]
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
                (list.complete).then(|| {
                    next += 1;
                    next - 1
                })
            })
            .collect();
        Self { lists: all.into_iter().filter(|list| list.complete).collect(), places, set: Vec::new() }
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
            let List { summary, known, .. } = &mut self.lists[usize::from(Entry::from_code(code).list)];
            summary.duplicates -= 1;
            summary.meta.entries += u64::from(!*known);
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
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// The checksum of a rule: not of the place of its list, which says nothing of the list's content.
fn sum_of(subject: &[u8], entry: Entry) -> u128 {
    xxh3_128_with_seed(subject, u64::from(Entry { list: 0, ..entry }.code()))
}

#[cfg(test)]
mod tests;
