//! One list on its way into an index.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
};

use ipnet::IpNet;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{
    Beside, CompileError, Compiler, Identity, KeptError, ListSummary,
    kept::{self, Head},
    runs::{Buffer, Runs},
};
use crate::lists::{
    format::{MatchMode, Rule, Skip, Subject},
    index::{Code, Entry, ListMeta},
};

/// How many addresses and subnets are gathered: they stay in memory until the end, unlike names.
const MAX_ADDRESSES: usize = 2_000_000;

/// A list whose rules are being added.
///
/// It is left out of the index unless it is [ended](Self::end) or [kept](Self::keep).
pub struct Adding<'a> {
    compiler: &'a mut Compiler,
    meta: ListMeta,
    /// Whether its version and how many entries it has were given.
    known: bool,
    buffer: Buffer,
    runs: Runs,
    addresses: Vec<(IpNet, Code)>,
    skipped: BTreeMap<String, u64>,
    /// The sum of the checksums of its rules, which does not depend on their order.
    sum: u128,
    failed: Option<io::Error>,
}

/// A list that is to be in the index.
#[derive(Debug)]
pub(super) struct List {
    pub(super) summary: ListSummary,
    /// Whether its version and how many entries it has were given.
    pub(super) known: bool,
}

impl<'a> Adding<'a> {
    pub(super) fn new(compiler: &'a mut Compiler, meta: ListMeta, known: bool) -> Self {
        Self {
            meta,
            known,
            buffer: std::mem::take(&mut compiler.spare),
            runs: compiler.new_runs(),
            addresses: Vec::new(),
            skipped: BTreeMap::new(),
            sum: 0,
            failed: None,
            compiler,
        }
    }

    /// Adds a rule. An error is told at the end.
    pub fn rule(&mut self, rule: Rule) {
        // The list's place among the others is not in its own codes, so that they can be kept.
        let of_servers = rule.subject.is_of_name_servers();
        let entry = Entry { list: 0, exact: false, allow: rule.allow, of_servers };
        let sum = match rule.subject {
            Subject::Name { key, .. } | Subject::NameServer { key, .. } if key.depth() == 0 => {
                return self.skip("the root, which has every name below it");
            }
            Subject::Name { key, mode } | Subject::NameServer { key, mode } => {
                let entry = Entry { exact: mode == MatchMode::Exact, ..entry };
                if self.failed.is_none() {
                    self.failed = self.push(key.as_bytes(), entry.code()).err();
                }
                sum_of(key.as_bytes(), entry)
            }
            Subject::Address(_) | Subject::NameServerAddress(_)
                if self.compiler.addresses.len() + self.addresses.len() >= MAX_ADDRESSES =>
            {
                return self.skip("more addresses than an index holds");
            }
            Subject::Address(net) | Subject::NameServerAddress(net) => {
                let net = net.trunc();
                self.addresses.push((net, entry.code()));
                sum_of(net.to_string().as_bytes(), entry)
            }
        };
        self.sum = self.sum.wrapping_add(sum);
    }

    fn push(&mut self, name: &[u8], code: Code) -> io::Result<()> {
        if self.buffer.is_full_for(name) {
            self.runs.add_buffer(&mut self.buffer)?;
        }
        self.buffer.push(name, code);
        Ok(())
    }

    /// Counts a line that gave no rule.
    pub fn skip(&mut self, reason: impl ToString) {
        *self.skipped.entry(reason.to_string()).or_default() += 1;
    }

    /// Adds what a line gave.
    pub(super) fn line(&mut self, line: Result<Rule, Skip<'_>>) {
        match line {
            Ok(rule) => self.rule(rule),
            Err(skip) => self.skip(skip.reason),
        }
    }

    /// Ends the list, so that it will be in the index.
    ///
    /// # Errors
    ///
    /// When some rule could not be put aside for sorting; the list is left out then.
    pub fn end(mut self) -> Result<(), CompileError> {
        self.sorted()?;
        let version = self.version();
        let Self { compiler, meta, known, buffer, runs, addresses, skipped, .. } = self;
        compiler.spare = buffer;
        let summary = ListSummary { meta: ListMeta { version, ..meta }, duplicates: 0, skipped };
        compiler.take(List { summary, known }, runs, addresses);
        Ok(())
    }

    /// Ends the list and keeps its sorted rules in a file, for [`Compiler::add_kept`].
    ///
    /// `stamp` is what the rules were made from, in the caller's words: which text, read in which way. The file is
    /// written in one step. It is not forced to the disk, since one that a power cut tore is noticed and made again.
    ///
    /// # Errors
    ///
    /// When some rule could not be put aside for sorting, or the file can't be written; the list is left out then, and
    /// a file that was there before is still there.
    pub fn keep(mut self, path: &Path, stamp: &str) -> Result<ListSummary, CompileError> {
        self.sorted()?;
        let version = self.version();
        let Self { compiler, meta, buffer, runs, addresses, skipped, .. } = self;
        compiler.spare = buffer;
        let id = meta.id.clone();
        let head = Head { id: id.clone(), stamp: stamp.into(), version, entries: 0, duplicates: 0, skipped };
        let error = |source| CompileError::Keep { id: id.clone(), path: path.into(), source };
        let beside = Beside::new(path);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&beside.0);
        let kept = file.and_then(|file| kept::write(file, head, &runs, addresses)).map_err(error)?;
        drop(runs);
        fs::rename(&beside.0, path).map_err(error)?;
        Ok(compiler.take_kept(meta, kept))
    }

    /// Puts what is still in the buffer among the sorted rules.
    fn sorted(&mut self) -> Result<(), CompileError> {
        let failed = match self.failed.take() {
            Some(error) => Err(error),
            None => self.runs.add_buffer(&mut self.buffer),
        };
        failed.map_err(sort_error(&self.meta.id))
    }

    fn version(&mut self) -> String {
        if self.known { std::mem::take(&mut self.meta.version) } else { format!("{:032x}", self.sum) }
    }
}

impl Compiler {
    /// Adds a list as it was [kept](Adding::keep), without reading its text again.
    ///
    /// The outcome is the same as with the text. Its title and category may be others than when it was kept.
    ///
    /// # Errors
    ///
    /// When there are too many lists, or what was kept can't be used: damaged, of another layout, or not of this
    /// identifier and `stamp` ([`CompileError::Kept`]). Nothing was added then, and the list can be read from its text.
    pub fn add_kept(
        &mut self,
        identity: Identity,
        path: &Path,
        stamp: &str,
    ) -> Result<ListSummary, CompileError> {
        let Identity { id, title, category } = identity;
        self.room(&id)?;
        let kept = kept::open(path, &id, stamp)
            .map_err(|source| CompileError::Kept { id: id.clone(), source: Box::new(source) })?;
        if self.addresses.len() + kept.addresses.len() > MAX_ADDRESSES {
            let problem = "with the other lists, it has more addresses than an index holds";
            let source = Box::new(KeptError::Damaged { path: path.into(), problem });
            return Err(CompileError::Kept { id, source });
        }
        Ok(self.take_kept(ListMeta { id, title, category, version: String::new(), entries: 0 }, kept))
    }

    fn take_kept(&mut self, meta: ListMeta, kept: kept::Kept) -> ListSummary {
        let kept::Kept { head: Head { version, entries, duplicates, skipped, .. }, addresses, run } = kept;
        // How many entries it has is counted once more when the lists are merged.
        let meta = ListMeta { version, entries: 0, ..meta };
        let summary = ListSummary { meta, duplicates, skipped };
        let mut runs = self.new_runs();
        runs.push(run);
        self.take(List { summary: summary.clone(), known: false }, runs, addresses);
        ListSummary { meta: ListMeta { entries, ..summary.meta }, ..summary }
    }

    /// Puts a list's rules to those of the others. What goes wrong is told at the end, since nothing of the list is
    /// lost by it.
    fn take(&mut self, list: List, runs: Runs, addresses: Vec<(IpNet, Code)>) {
        // There are fewer lists than codes have room for.
        let base =
            Entry { list: self.lists.len() as u16, exact: false, allow: false, of_servers: false }.code();
        self.runs.push_list(runs, base);
        self.addresses.extend(addresses.into_iter().map(|(net, code)| (net, code | base)));
        self.lists.push(list);
        if let Err(error) = self.runs.settle() {
            self.failed.get_or_insert(error);
        }
    }
}

fn sort_error(id: &str) -> impl FnOnce(io::Error) -> CompileError {
    move |source| CompileError::Sort { id: id.into(), source }
}

/// The checksum of a rule.
fn sum_of(subject: &[u8], entry: Entry) -> u128 {
    xxh3_128_with_seed(subject, u64::from(entry.code()))
}
