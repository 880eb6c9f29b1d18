//! The compiled lists on disk: the index in force, the one before it, and which versions each was made from.
//!
//! `lists/index.sgi` is in force and `lists/index.previous.sgi` was before it; `lists/index.json` says what each was
//! made from. A version's text lies on the [shelf](crate::feeds::shelf), so an index that is lost or stale can always
//! be made again without asking anyone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use tracing::error;

use super::indexes::{Indexes, Ingredient, MadeFrom, SealedIndex, numbers, owned, said};
use crate::{
    category, disk,
    feeds::shelf::{Shelf, ShelfError, State, Version},
    lists::{
        DomainIndex, Entry,
        compiler::{Adding, CompileError, Compiler},
        format::{MatchMode, Rule, Subject},
        source::SourceError,
    },
    name::Key,
    policy::ListFile,
    vault::Vault,
};

/// The sorted rules of a list's version in force, in its folder.
const RULES: &str = "rules";

/// Of how many indexes it is known what they were made from: of the two that there are, and one that was not put in its
/// place.
const RECORDS: usize = 4;

/// The folder of lists.
#[derive(Debug)]
pub(crate) struct Library {
    folder: PathBuf,
    /// The versions.
    pub(super) shelf: Shelf,
}

/// An index that was compiled and is not in force yet; dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Compiled {
    index: New,
    made_from: MadeFrom,
}

#[derive(Debug)]
enum New {
    /// There are no lists.
    None,
    /// A file beside the one in force.
    File(PathBuf),
    /// The index before the one in force was made from just these versions.
    Previous,
}

/// Which of the two indexes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    InForce,
    Previous,
}

impl Library {
    pub(crate) fn new(data: &Path, keep: usize, vault: Option<Arc<Vault>>) -> Self {
        let folder = data.join("lists");
        Self { shelf: Shelf::new(&folder, keep, vault), folder }
    }

    fn index(&self, which: Which) -> PathBuf {
        self.folder.join(match which {
            Which::InForce => "index.sgi",
            Which::Previous => "index.previous.sgi",
        })
    }

    fn record(&self) -> PathBuf {
        self.folder.join("index.json")
    }

    /// What the last indexes were made from, the newest first.
    fn records(&self) -> Vec<MadeFrom> {
        fs::read(self.record()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// What an index was made from, where that is known.
    fn made_from(&self, index: &DomainIndex) -> Option<MadeFrom> {
        let lists = said(index.lists());
        self.records().into_iter().find(|made| made.lists == lists)
    }

    /// The last good index: the one in force, or the one before it when that is damaged.
    ///
    /// Clears away what a power cut in the middle of compiling left.
    pub(crate) fn open(&self) -> Option<DomainIndex> {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("index.new") {
                // One that can't be removed does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
        for which in [Which::InForce, Which::Previous] {
            let path = self.index(which);
            if !path.exists() {
                continue;
            }
            match DomainIndex::open(&path) {
                Ok(index) => return Some(index),
                Err(error) => error!(%error, file = %path.display(), "An index of lists can't be used"),
            }
        }
        None
    }

    /// The index of the lists that must not be shown, as at a start. One that can't be opened is left out, and logged.
    pub(crate) fn open_sealed(&self, lists: &[ListFile]) -> Option<SealedIndex> {
        let books = |list: &&ListFile| {
            let books = self.books(&list.id);
            books.inspect_err(|error| error!(%error, "A locked list is not in force")).is_ok()
        };
        let lists: Vec<ListFile> = lists.iter().filter(books).cloned().collect();
        self.ingredients(&lists, true)
            .and_then(|ingredients| self.compile_sealed(ingredients, &Indexes::default()))
            .inspect_err(|error| error!(%error, "The locked lists are not in force"))
            .ok()
            .flatten()
    }

    fn compile_sealed(
        &self,
        ingredients: Vec<Ingredient>,
        known: &Indexes,
    ) -> Result<Option<SealedIndex>, LibraryError> {
        if ingredients.is_empty() {
            return Ok(None);
        }
        let mut compiler = Compiler::in_memory();
        for ingredient in &ingredients {
            left_out(self.add(&mut compiler, ingredient), ingredient, known)?;
        }
        let (bytes, _) = compiler.finish_bytes()?;
        let index = Arc::new(DomainIndex::from_bytes(&bytes).map_err(CompileError::ReadBack)?);
        Ok(Some(SealedIndex { index, made_from: ingredients }))
    }

    /// What an index of these lists is to be made from: the version in force of each that has one.
    fn ingredients(&self, lists: &[ListFile], sealed: bool) -> Result<Vec<Ingredient>, LibraryError> {
        lists
            .iter()
            .filter(|list| category::is_sealed(&list.category) == sealed)
            .filter_map(|list| match self.books(&list.id) {
                Ok(state) => Some(Ok(Ingredient::new(list, state.current()?))),
                Err(error) => Some(Err(error)),
            })
            .collect()
    }

    /// What is known of a list.
    ///
    /// # Errors
    ///
    /// When it can't be read, which says nothing of whether it is there.
    pub(super) fn books(&self, id: &str) -> Result<State, LibraryError> {
        self.shelf.known(id).map_err(|source| LibraryError::Shelf { id: id.to_owned(), source })
    }

    /// Whether an index was made from other versions or lists than these. While that can't be told it stays.
    pub(crate) fn is_stale(&self, lists: &[ListFile], indexes: &Indexes) -> bool {
        self.was_made_from_others(lists, indexes)
            .inspect_err(|error| error!(%error, "It can't be told whether lists have changed"))
            .unwrap_or(false)
    }

    fn was_made_from_others(&self, lists: &[ListFile], indexes: &Indexes) -> Result<bool, LibraryError> {
        let sealed = indexes.sealed.as_deref().map_or(&[][..], |sealed| &sealed.made_from);
        if self.ingredients(lists, true)? != sealed {
            return Ok(true);
        }
        let wanted = self.ingredients(lists, false)?;
        Ok(match &indexes.subscribed {
            None => !wanted.is_empty(),
            Some(index) => self.made_from(index).is_none_or(|made| made.ingredients != wanted),
        })
    }

    /// The number of the version of each list that an index from the disk was made from, where its record says so.
    pub(crate) fn numbers(&self, index: Option<&DomainIndex>) -> Arc<[(String, u32)]> {
        index
            .and_then(|index| Some(owned(numbers(&self.made_from(index)?.ingredients, index))))
            .unwrap_or_default()
    }

    /// Compiles the versions in force of these lists to an index beside the one in force.
    ///
    /// When the index before the one in force was made from just these, it is taken as it is: that is what makes a
    /// rollback quick.
    ///
    /// An index of the lists that must not be shown is made in memory.
    ///
    /// A list whose text can't be read does not keep the others out; but one that is in force is not left out for that,
    /// nor because its versions are lost: then nothing changes until it was brought anew.
    pub(crate) fn compile(
        &self,
        lists: &[ListFile],
        known: &Indexes,
    ) -> Result<(Indexes, Compiled), LibraryError> {
        for list in lists.iter().filter(|list| category::is_sealed(&list.category)) {
            let sealed = self.shelf.seal_what_lies_in_clear(&list.id);
            sealed.map_err(|source| LibraryError::Shelf { id: list.id.clone(), source })?;
        }
        // First, since it is quick and says sooner that something is wrong.
        let ingredients = self.ingredients(lists, true)?;
        let sealed = match &known.sealed {
            Some(sealed) if sealed.made_from == ingredients => Some(Arc::clone(sealed)),
            _ => self.compile_sealed(ingredients, known)?.map(Arc::new),
        };
        for list in lists.iter().filter(|list| known.has(&list.id)) {
            if self.books(&list.id)?.current().is_none() {
                return Err(LibraryError::Lost { id: list.id.clone() });
            }
        }
        let (index, compiled) = self.compile_open(lists, known)?;
        let numbers = index.as_ref().map(|index| owned(numbers(&compiled.made_from.ingredients, index)));
        let numbers = numbers.unwrap_or_default();
        Ok((Indexes { subscribed: index.map(Arc::new), numbers, sealed }, compiled))
    }

    fn compile_open(
        &self,
        lists: &[ListFile],
        known: &Indexes,
    ) -> Result<(Option<DomainIndex>, Compiled), LibraryError> {
        fs::create_dir_all(&self.folder)
            .map_err(|source| LibraryError::Write { path: self.folder.clone(), source })?;
        let ingredients = self.ingredients(lists, false)?;
        if ingredients.is_empty() {
            return Ok((None, Compiled { index: New::None, made_from: MadeFrom::default() }));
        }
        let previous = self.index(Which::Previous);
        // Opened only when it may be of use: it is as large as the other.
        if previous.exists()
            && self.records().iter().any(|made| made.ingredients == ingredients)
            && let Ok(index) = DomainIndex::open(&previous)
            && let Some(made_from) = self.made_from(&index)
            && made_from.ingredients == ingredients
            && index.lists().len() == ingredients.len()
        {
            return Ok((Some(index), Compiled { index: New::Previous, made_from }));
        }
        let mut compiler = Compiler::new(&self.folder);
        for ingredient in &ingredients {
            left_out(self.add_open(&mut compiler, ingredient), ingredient, known)?;
        }
        let beside = self.folder.join(format!("index.new{}.sgi", process::id()));
        let mut compiled = Compiled {
            index: New::File(beside.clone()),
            made_from: MadeFrom { ingredients, lists: Vec::new() },
        };
        let (index, _) = compiler.finish_opened(&beside)?;
        compiled.made_from.lists = said(index.lists());
        Ok((Some(index), compiled))
    }

    /// Adds a list from its sorted rules where they were kept, else from its text, and keeps them.
    fn add_open(&self, compiler: &mut Compiler, ingredient: &Ingredient) -> Result<(), LibraryError> {
        let kept = self.shelf.folder(&ingredient.id).join(RULES);
        let stamp = ingredient.stamp();
        match compiler.add_kept(ingredient.identity(), &kept, &stamp) {
            Ok(_) => return Ok(()),
            // Missing, or of another version.
            Err(CompileError::Kept { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match self.read(compiler, ingredient)?.keep(&kept, &stamp) {
            Ok(_) => Ok(()),
            // A disk that is too full to keep them is no reason to do without the list.
            Err(CompileError::Keep { .. }) => self.add(compiler, ingredient),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a list from its text.
    fn add(&self, compiler: &mut Compiler, ingredient: &Ingredient) -> Result<(), LibraryError> {
        Ok(self.read(compiler, ingredient)?.end()?)
    }

    fn read<'c>(
        &self,
        compiler: &'c mut Compiler,
        ingredient: &Ingredient,
    ) -> Result<Adding<'c>, LibraryError> {
        let Ingredient { id, format, matching, version, .. } = ingredient;
        let allows = ingredient.allows();
        let mut adding = compiler.list(ingredient.identity())?;
        self.shelf
            .source(id, *version)
            .map_err(|source| LibraryError::Shelf { id: id.clone(), source })?
            .read(*format, *matching, &mut |_, line| match line {
                Ok(rule) => {
                    let rule = ingredient.applies_to.read(rule);
                    adding.rule(Rule { allow: rule.allow || allows, ..rule });
                }
                Err(skip) => adding.skip(skip.reason),
            })
            .map_err(|source| CompileError::Source { id: id.clone(), source })?;
        Ok(adding)
    }

    /// Where a version of a list says this of a name: the line, from 1, and its text.
    pub(crate) fn line_of(
        &self,
        list: &ListFile,
        version: &Version,
        name: &Key,
        entry: Entry,
    ) -> Option<(u64, String)> {
        let ingredient = Ingredient::new(list, version);
        let source = self.shelf.source(&list.id, version.number).ok()?;
        let mut found = None;
        source
            .read(ingredient.format, ingredient.matching, &mut |place, rule| {
                if found.is_none()
                    && let Ok(Rule { subject, allow }) = rule.map(|rule| ingredient.applies_to.read(rule))
                    && subject.is_of_name_servers() == entry.of_servers
                    && let Subject::Name { key, mode } | Subject::NameServer { key, mode } = subject
                    && key == *name
                    && (allow || ingredient.allows()) == entry.allow
                    && (mode == MatchMode::Exact) == entry.exact
                {
                    found = Some(place.line);
                }
            })
            .ok()?;
        let line = found?;
        let wanted = usize::try_from(line).ok()?.checked_sub(1)?;
        let bytes = io::BufRead::split(source.text().ok()?, b'\n').nth(wanted)?.ok()?;
        Some((line, String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim_end().to_owned()))
    }

    /// A version of a list by its number; the one that the books say is in force, when that is not known.
    pub(crate) fn version(&self, list: &str, number: Option<u32>) -> Option<Version> {
        let state = self.shelf.state(list);
        number.and_then(|number| state.version(number)).or_else(|| state.current()).cloned()
    }

    /// What is known of each list.
    pub(super) fn states(&self, lists: &[ListFile]) -> Vec<State> {
        lists.iter().map(|list| self.shelf.state(&list.id)).collect()
    }
}

/// Leaves a list out that can't be read, with a line in the log, unless something of it is in force.
fn left_out(
    added: Result<(), LibraryError>,
    ingredient: &Ingredient,
    known: &Indexes,
) -> Result<(), LibraryError> {
    match added {
        Err(error) if error.is_of_its_text() && !known.has(&ingredient.id) => {
            let what = if category::is_sealed(&ingredient.category) { "A locked list" } else { "A list" };
            error!(%error, list = %ingredient.id, "{what} is not in force until it is brought anew");
            Ok(())
        }
        added => added,
    }
}

impl Compiled {
    /// Makes it the index on disk; the one of before is kept beside it.
    ///
    /// What fails here is logged: the new index is in force in memory, and the next start compiles again.
    ///
    /// The one before is not kept when it `shows` names that must not be shown any more.
    pub(crate) fn activate(mut self, library: &Library, shows: bool) {
        let (index, previous) = (library.index(Which::InForce), library.index(Which::Previous));
        let mut records = library.records();
        if let New::File(_) = self.index {
            records.insert(0, std::mem::take(&mut self.made_from));
            records.truncate(RECORDS);
        }
        // First, so that whichever index a power cut leaves there has its record.
        let recorded = serde_json::to_vec(&records).map_err(io::Error::from);
        let recorded = recorded.and_then(|bytes| disk::replace(&library.record(), &bytes));
        let replaced = recorded.and_then(|()| match std::mem::replace(&mut self.index, New::None) {
            New::File(new) => {
                // A link, not a rename, so that there is an index under its name at every moment.
                let _ = fs::remove_file(&previous);
                if !shows {
                    let _ = fs::hard_link(&index, &previous);
                }
                fs::rename(new, &index)
            }
            New::Previous if shows => fs::rename(&previous, &index),
            New::Previous => {
                let aside = library.folder.join("index.new.aside.sgi");
                let _ = fs::remove_file(&aside);
                fs::hard_link(&index, &aside)?;
                fs::rename(&previous, &index)?;
                fs::rename(&aside, &previous)
            }
            New::None => {
                // Without lists there is nothing to fall back to, or the old ones would be back with the next start.
                let _ = fs::remove_file(&previous);
                match fs::remove_file(&index) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                }
            }
        });
        if let Err(error) = replaced {
            error!(%error, "The new index could not be put in its place on disk");
        }
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        if let New::File(index) = &self.index {
            let _ = fs::remove_file(index);
        }
    }
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
    #[error("list {id}: there is no rule in {from}; the list of before stays in force")]
    Nothing {
        /// The list.
        id: String,
        /// What was read.
        from: String,
    },
    /// The versions of a list that is in force are not there any more.
    #[error(
        "list {id}: all its versions are lost; what is in force of it stays, and no list changes, until it was brought \
         anew: schoolgate lists update {id}"
    )]
    Lost {
        /// The list.
        id: String,
    },
    /// The versions of a list can't be kept.
    #[error("list {id}: {source}")]
    Shelf {
        /// The list.
        id: String,
        /// Why.
        source: ShelfError,
    },
    /// A list can't be had.
    #[error("list {id}: {message}")]
    Obtain {
        /// The list.
        id: String,
        /// Why, in plain words.
        message: String,
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
            Self::Compile(CompileError::Source { source, .. })
            | Self::Shelf { source: ShelfError::Source(source), .. } => !SourceError::is_io(source),
            Self::Nothing { .. } | Self::Compile(CompileError::TooManyLists { .. }) => true,
            Self::Write { .. }
            | Self::Lost { .. }
            | Self::Shelf { .. }
            | Self::Obtain { .. }
            | Self::Compile(_) => false,
        }
    }

    /// Whether the text of one list can't be read.
    fn is_of_its_text(&self) -> bool {
        matches!(self, Self::Shelf { .. } | Self::Compile(CompileError::Source { .. }))
    }
}
