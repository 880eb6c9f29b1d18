//! The lists on disk: the index in force, the one before it, and the text that each list was made from.
//!
//! `lists/index.sgi` is in force, `lists/index.previous.sgi` was before it, and `lists/<id>.list` is a copy of the list
//! as it was read last, so that an explanation names the line that is in force and a lost index can be made again even
//! when the original is gone.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process,
};

use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::{
    disk,
    lists::{
        DomainIndex, Entry,
        compiler::{CompileError, Compiler, Identity},
        format::{MatchMode, Rule, Subject},
        source::{Source, SourceError},
    },
    name::Key,
    policy::{Action, ListFile},
};

/// What the lists are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListsReport {
    /// The school's lists in the policy's order, then the starter lists.
    pub lists: Vec<ListReport>,
}

/// What one list is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReport {
    /// The identifier.
    pub id: String,
    /// What people read.
    pub title: String,
    /// The category that it feeds.
    pub category: String,
    /// How many rules of it are in force; none when it is not in force.
    pub entries: Option<u64>,
    /// Which version of it is in force.
    pub version: Option<String>,
    /// Where it comes from; the starter lists are built in.
    pub from: Option<String>,
}

impl ListsReport {
    /// One line for the audit.
    #[must_use]
    pub fn summary(&self) -> String {
        let own: Vec<String> = self
            .lists
            .iter()
            .filter(|list| list.from.is_some())
            .map(|list| match list.entries {
                Some(entries) => format!("{} ({entries})", list.id),
                None => format!("{} (not in force)", list.id),
            })
            .collect();
        if own.is_empty() { String::from("no lists of the school") } else { own.join(", ") }
    }
}

impl fmt::Display for ListsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for list in &self.lists {
            let entries = list.entries.map_or_else(|| String::from("not in force"), |n| n.to_string());
            writeln!(
                f,
                "{:>12}  {:<32} {:<20} {}",
                entries,
                list.id,
                list.category,
                list.from.as_deref().unwrap_or("built in")
            )?;
        }
        Ok(())
    }
}

/// Which lists are read from their originals; the others are taken as they were read last.
#[derive(Debug, Clone)]
pub(super) enum Again {
    /// All of them.
    All,
    /// Those with these identifiers.
    These(Vec<String>),
    /// Those whose originals are still there.
    IfThere,
}

/// The folder of lists.
#[derive(Debug)]
pub(super) struct Library {
    folder: PathBuf,
}

/// An index that was compiled and is not in force yet; dropped, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Compiled {
    /// Where the new index is; none when there are no lists.
    index: Option<PathBuf>,
    /// The texts that were read, and where their copies belong.
    texts: Vec<(PathBuf, PathBuf)>,
    /// What it was made from.
    lists: Vec<ListFile>,
}

impl Library {
    pub(super) fn new(data: &Path) -> Self {
        Self { folder: data.join("lists") }
    }

    fn index(&self) -> PathBuf {
        self.folder.join("index.sgi")
    }

    fn previous(&self) -> PathBuf {
        self.folder.join("index.previous.sgi")
    }

    /// What the index in force was made from, so that a change which a power cut tore in two is noticed.
    fn made_from(&self) -> PathBuf {
        self.folder.join("index.lists.json")
    }

    fn copy(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.list"))
    }

    /// The last good index: the one in force, or the one before it when that is damaged.
    ///
    /// Clears away what a power cut in the middle of compiling left.
    pub(super) fn open(&self) -> Option<DomainIndex> {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("index.new") || name.ends_with(".list.new") {
                // One that can't be removed does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
        for path in [self.index(), self.previous()] {
            if !path.exists() {
                continue;
            }
            match DomainIndex::open(&path) {
                Ok(index) => {
                    if path != self.index() {
                        // What the one before was made from is not known any more: it is compiled again.
                        let _ = fs::remove_file(self.made_from());
                    }
                    return Some(index);
                }
                Err(error) => error!(%error, file = %path.display(), "An index of lists can't be used"),
            }
        }
        None
    }

    /// Whether an index was made from other lists than these.
    pub(super) fn is_stale(&self, lists: &[ListFile], index: Option<&DomainIndex>) -> bool {
        let Some(index) = index else {
            // A list by URL that was never fetched can't be missing from an index.
            return lists.iter().any(|list| self.text(list, &Again::IfThere).is_some());
        };
        let known: Option<Vec<ListFile>> =
            fs::read(self.made_from()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        known.as_deref() != Some(lists)
            || index.lists().iter().any(|meta| !lists.iter().any(|list| list.id == meta.id))
    }

    /// Where a list is read from: its original, or the copy of what was read last.
    fn text(&self, list: &ListFile, again: &Again) -> Option<PathBuf> {
        let copy = Some(self.copy(&list.id)).filter(|copy| copy.exists());
        let file = list.file.as_ref().map(PathBuf::from);
        match again {
            Again::All => file.or(copy),
            Again::These(ids) if ids.contains(&list.id) => file.or(copy),
            Again::These(_) => copy.or(file),
            Again::IfThere => file.clone().filter(|file| is_there(file)).or(copy).or(file),
        }
    }

    /// Compiles lists to an index beside the one in force.
    pub(super) fn compile(
        &self,
        lists: &[ListFile],
        again: &Again,
    ) -> Result<(Option<DomainIndex>, Compiled), LibraryError> {
        let write = |source| LibraryError::Write { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(write)?;
        let mut compiler = Compiler::new(&self.folder);
        let mut texts = Vec::new();
        let mut any = false;
        for list in lists {
            let Some(text) = self.text(list, again) else {
                warn!(list = %list.id, "A list was never fetched and is not in force");
                continue;
            };
            let identity = Identity {
                id: list.id.clone(),
                title: if list.title.is_empty() { list.id.clone() } else { list.title.clone() },
                category: list.category.clone(),
            };
            let allows = list.action == Action::Allow;
            let mut adding = compiler.list(identity)?;
            let mut rules = 0_u64;
            Source::at(&text)
                .read(list.format, list.matching, &mut |_, line| match line {
                    Ok(rule) => {
                        rules += 1;
                        adding.rule(Rule { allow: rule.allow || allows, ..rule });
                    }
                    Err(skip) => adding.skip(skip.reason),
                })
                .map_err(|source| CompileError::Source { id: list.id.clone(), source })?;
            // An empty list would open its category without a word: a failed download, or a wrong format.
            if rules == 0 {
                return Err(LibraryError::Nothing { id: list.id.clone(), path: text });
            }
            adding.end()?;
            // `#part` of an archive is not a file of its own; folders stay where they are.
            if text.is_file() && text != self.copy(&list.id) {
                texts.push((text, self.copy(&list.id)));
            }
            any = true;
        }
        if !any {
            return Ok((None, Compiled { index: None, texts, lists: lists.to_vec() }));
        }
        let beside = self.folder.join(format!("index.new{}.sgi", process::id()));
        let compiled = Compiled { index: Some(beside.clone()), texts, lists: lists.to_vec() };
        let (index, _) = compiler.finish_opened(&beside)?;
        Ok((Some(index), compiled))
    }

    /// Where a list says this of a name: the line, from 1, and its text.
    pub(super) fn line_of(&self, list: &ListFile, name: &Key, entry: Entry) -> Option<(u64, String)> {
        let path = self.text(list, &Again::These(Vec::new()))?;
        let allows = list.action == Action::Allow;
        let mut found = None;
        Source::at(&path)
            .read(list.format, list.matching, &mut |place, rule| {
                if found.is_none()
                    && let Ok(Rule { subject: Subject::Name { key, mode }, allow }) = rule
                    && key == *name
                    && (allow || allows) == entry.allow
                    && (mode == MatchMode::Exact) == entry.exact
                {
                    found = Some((place.part.map(str::to_owned), place.line));
                }
            })
            .ok()?;
        let (part, line) = found?;
        let text = match part {
            // The line of a file in an archive: the name says as much.
            Some(part) => format!("{part}: {name}"),
            None => line_at(&path, line)?,
        };
        Some((line, text))
    }
}

/// Whether a file is there; `archive.tar.gz#part` is when the archive is.
fn is_there(file: &Path) -> bool {
    file.exists()
        || file
            .to_str()
            .and_then(|text| text.rsplit_once('#'))
            .is_some_and(|(archive, _)| Path::new(archive).exists())
}

fn line_at(path: &Path, line: u64) -> Option<String> {
    let text = Source::at(path).text().ok()?;
    let wanted = usize::try_from(line).ok()?.checked_sub(1)?;
    let bytes = io::BufRead::split(text, b'\n').nth(wanted)?.ok()?;
    Some(String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim_end().to_owned())
}

impl Compiled {
    /// Makes it the index on disk; the one of before is kept beside it.
    ///
    /// What fails here is logged: the new index is in force in memory, and the next start compiles again.
    pub(super) fn activate(mut self, library: &Library) {
        let replaced = match self.index.take() {
            Some(new) => {
                // A link, not a rename, so that there is an index under its name at every moment.
                let _ = fs::remove_file(library.previous());
                let _ = fs::hard_link(library.index(), library.previous());
                fs::rename(new, library.index())
            }
            None => {
                // Without lists there is nothing to fall back to, or the old ones would be back with the next start.
                let _ = fs::remove_file(library.previous());
                match fs::remove_file(library.index()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                }
            }
        };
        let known = serde_json::to_vec(&self.lists).unwrap_or_default();
        if let Err(error) = replaced.and_then(|()| disk::replace(&library.made_from(), &known)) {
            error!(%error, "The new index could not be put in its place on disk");
        }
        for (from, to) in &self.texts {
            let beside = to.with_extension("list.new");
            if let Err(error) = fs::copy(from, &beside).and_then(|_| fs::rename(&beside, to)) {
                warn!(%error, file = %from.display(), "A list could not be kept beside its index");
            }
        }
        // A list of the same name that comes later must not take up this one's text.
        for entry in fs::read_dir(&library.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if let Some(id) = name.to_string_lossy().strip_suffix(".list")
                && !self.lists.iter().any(|list| list.id == id)
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        if let Some(index) = &self.index {
            let _ = fs::remove_file(index);
        }
    }
}

pub(super) fn report(
    lists: &[ListFile],
    starter: &DomainIndex,
    subscribed: Option<&DomainIndex>,
) -> ListsReport {
    let own = lists.iter().map(|list| {
        let meta = subscribed.and_then(|index| index.lists().iter().find(|meta| meta.id == list.id));
        ListReport {
            id: list.id.clone(),
            title: if list.title.is_empty() { list.id.clone() } else { list.title.clone() },
            category: list.category.clone(),
            entries: meta.map(|meta| meta.entries),
            version: meta.map(|meta| meta.version.clone()),
            from: list.file.clone().or_else(|| list.url.clone()),
        }
    });
    let built_in = starter.lists().iter().map(|meta| ListReport {
        id: meta.id.clone(),
        title: meta.title.clone(),
        category: meta.category.clone(),
        entries: Some(meta.entries),
        version: Some(meta.version.clone()),
        from: None,
    });
    ListsReport { lists: own.chain(built_in).collect() }
}

/// Why lists could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The folder of lists can't be written.
    #[error("{path}: {source}", path = path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A list says nothing at all.
    #[error("list {id}: there is no rule in {path}; the list of before stays in force", path = path.display())]
    Nothing {
        /// The list.
        id: String,
        /// What was read.
        path: PathBuf,
    },
    /// A list can't be read, or the index can't be written.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl LibraryError {
    /// Whether a list is wrong, rather than the box unable.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Compile(CompileError::Source { source, .. }) => !SourceError::is_io(source),
            Self::Nothing { .. } | Self::Compile(CompileError::TooManyLists { .. }) => true,
            Self::Write { .. } | Self::Compile(_) => false,
        }
    }
}
