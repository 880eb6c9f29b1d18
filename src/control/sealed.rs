//! Lists of [sealed](category::is_sealed) categories: used, and never in clear on the disk of the box.
//!
//! The text of such a list lies sealed beside the others (`lists/<id>/current.sealed`), and its index is in memory
//! only: it is made from the sealed text at every start and at every change. Such lists are small, tens of thousands of
//! names, so that takes well under a second.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use tracing::error;

use super::library::Again;
use crate::{
    category,
    lists::{
        DomainIndex,
        compiler::{CompileError, Compiler, Identity},
        format::Rule,
        source::{Source, SourceError},
    },
    policy::{Action, ListFile},
    vault::{Vault, VaultError},
};

/// The most bytes of such a list, which pass through memory: far more than any has.
const MOST: u64 = 64 * 1024 * 1024;

/// What the text in force is called, on disk and in its seal.
const CURRENT: &str = "current";

/// The sealed texts of a data folder.
#[derive(Debug)]
pub(super) struct SealedLists {
    folder: PathBuf,
    /// None when the box's key can't be used, which was logged.
    vault: Option<Vault>,
}

/// Sealed texts that are not in force yet; dropped, they leave nothing behind.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    /// Where each lies, and where it belongs.
    files: Vec<(PathBuf, PathBuf)>,
    /// The lists that there will be.
    known: HashSet<String>,
}

/// Whether a list must never lie anywhere in clear.
pub(super) fn is_sealed(list: &ListFile) -> bool {
    category::is_sealed(&list.category)
}

/// Lists that may be read by all, and those that must not be shown.
pub(super) fn split(lists: &[ListFile]) -> (Vec<ListFile>, Vec<ListFile>) {
    lists.iter().cloned().partition(|list| !is_sealed(list))
}

/// Whether an index has a list that must not lie in clear: one that was of another category when it was made.
pub(super) fn shows(index: &DomainIndex, lists: &[ListFile]) -> bool {
    index.lists().iter().any(|meta| {
        category::is_sealed(&meta.category) || lists.iter().any(|list| list.id == meta.id && is_sealed(list))
    })
}

/// Makes an index of lists in memory; nothing touches the disk. None when there is no list.
///
/// # Errors
///
/// Names the list that can't be read or has no rule.
pub(super) fn compile<'a>(
    lists: impl IntoIterator<Item = (&'a ListFile, Source)>,
) -> Result<Option<DomainIndex>, SealedError> {
    let mut compiler = Compiler::in_memory();
    let mut any = false;
    for (list, source) in lists {
        let identity = Identity {
            id: list.id.clone(),
            title: if list.title.is_empty() { list.id.clone() } else { list.title.clone() },
            category: list.category.clone(),
        };
        let allows = list.action == Action::Allow;
        let mut adding = compiler.list(identity)?;
        let mut rules = 0_u64;
        source
            .read(list.format, list.matching, &mut |_, line| match line {
                Ok(rule) => {
                    rules += 1;
                    adding.rule(Rule { allow: rule.allow || allows, ..rule });
                }
                Err(skip) => adding.skip(skip.reason),
            })
            .map_err(|source| CompileError::Source { id: list.id.clone(), source })?;
        // An empty list would open its category without a word.
        if rules == 0 {
            return Err(SealedError::Nothing { id: list.id.clone() });
        }
        adding.end()?;
        any = true;
    }
    if !any {
        return Ok(None);
    }
    let (bytes, _) = compiler.finish_bytes()?;
    Ok(Some(DomainIndex::from_bytes(bytes).map_err(CompileError::ReadBack)?))
}

impl SealedLists {
    pub(super) fn new(data: &Path, vault: Option<Vault>) -> Self {
        Self { folder: data.join("lists"), vault }
    }

    /// The text of a version of a list, in memory.
    fn source(&self, id: &str, version: &str) -> Result<Source, SealedError> {
        let wrong = |source| SealedError::Vault { id: id.to_owned(), source };
        let path = self.file(id, version);
        let opened = self.vault(id)?.open_file(&path, &context(id, version)).map_err(wrong)?;
        let bytes = read(id, opened).map_err(|error| match error {
            SealedError::Read { source, .. } => wrong(VaultError::Read { path, source }),
            other => other,
        })?;
        Ok(Source::bytes(format!("the sealed text of {id}"), bytes))
    }

    /// The index of the texts that are kept, as at a start. What can't be opened is left out, and logged.
    pub(super) fn open(&self, lists: &[ListFile]) -> Option<DomainIndex> {
        let mut sources = Vec::new();
        for list in lists.iter().filter(|list| is_sealed(list) && self.is_kept(&list.id)) {
            match self.source(&list.id, CURRENT).map(|source| with_part(source, list)) {
                // Looked at alone, so that one that is no list any more does not take the others with it.
                Ok(source) => match compile([(list, source.clone())]) {
                    Ok(_) => sources.push((list, source)),
                    Err(error) => error!(%error, "A locked list is not in force"),
                },
                Err(error) => error!(%error, "A locked list is not in force"),
            }
        }
        compile(sources)
            .inspect_err(|error| error!(%error, "The locked lists are not in force"))
            .ok()
            .flatten()
    }

    /// Whether lists that could be in force are not.
    pub(super) fn is_stale(&self, lists: &[ListFile], index: Option<&DomainIndex>) -> bool {
        let in_force = |id: &str| index.is_some_and(|index| index.lists().iter().any(|meta| meta.id == id));
        let known = |id: &str| lists.iter().any(|list| list.id == id && is_sealed(list));
        index.is_some_and(|index| index.lists().iter().any(|meta| !known(&meta.id)))
            || lists
                .iter()
                .filter(|list| is_sealed(list) && !in_force(&list.id))
                .any(|list| self.is_kept(&list.id) || original(list).is_some_and(|(file, _)| file.exists()))
    }

    /// Reads lists, from their originals or as they were kept, and compiles them; nothing is in force yet.
    pub(super) fn prepare(
        &self,
        lists: &[ListFile],
        again: &Again,
    ) -> Result<(Option<DomainIndex>, Drafts), SealedError> {
        let mut drafts =
            Drafts { files: Vec::new(), known: lists.iter().map(|list| list.id.clone()).collect() };
        let mut sources = Vec::new();
        for list in lists {
            let id = &list.id;
            let kept = self.is_kept(id);
            let original = original(list).map(|(file, _)| file);
            let wanted = match again {
                Again::All => true,
                Again::These(ids) => !kept || ids.contains(id),
                Again::IfThere => !kept || original.as_ref().is_some_and(|file| file.exists()),
            };
            let source = match original.filter(|_| wanted) {
                Some(file) => {
                    let wrong = |source| SealedError::Read { id: id.clone(), path: file.clone(), source };
                    let bytes = read(id, File::open(&file).map_err(wrong)?)?;
                    let beside = self.file(id, "new");
                    drafts.files.push((beside.clone(), self.file(id, CURRENT)));
                    self.seal(id, CURRENT, bytes.as_slice(), &beside)?;
                    Source::bytes(file.display().to_string(), bytes)
                }
                None if kept => self.source(id, CURRENT)?,
                None => continue,
            };
            sources.push((list, with_part(source, list)));
        }
        Ok((compile(sources)?, drafts))
    }

    fn is_kept(&self, id: &str) -> bool {
        self.file(id, CURRENT).exists()
    }

    fn seal(&self, id: &str, version: &str, from: impl Read, to: &Path) -> Result<u64, SealedError> {
        let wrong = |source| SealedError::Vault { id: id.to_owned(), source };
        let vault = self.vault(id)?;
        fs::create_dir_all(self.folder.join(id))
            .map_err(|source| wrong(VaultError::Write { path: to.to_owned(), source }))?;
        vault.seal_file(from, to, &context(id, version)).map_err(wrong)
    }

    fn vault(&self, id: &str) -> Result<&Vault, SealedError> {
        self.vault.as_ref().ok_or_else(|| SealedError::NoKey { id: id.to_owned() })
    }

    fn file(&self, id: &str, version: &str) -> PathBuf {
        self.folder.join(id).join(format!("{version}.sealed"))
    }
}

impl Drafts {
    /// Puts the texts in the places of those before, and removes those of lists that were taken out.
    ///
    /// What fails here is logged: the new index is in force in memory.
    pub(super) fn activate(mut self, lists: &SealedLists) {
        for (from, to) in std::mem::take(&mut self.files) {
            if let Err(error) = fs::rename(&from, &to) {
                error!(%error, file = %to.display(), "A locked list could not be kept");
            }
        }
        for entry in fs::read_dir(&lists.folder).into_iter().flatten().flatten() {
            if !entry.file_name().to_str().is_some_and(|id| self.known.contains(id)) {
                let _ = fs::remove_file(entry.path().join(format!("{CURRENT}.sealed")));
                // Only if nothing else is in it.
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

impl Drop for Drafts {
    fn drop(&mut self) {
        for (file, _) in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

fn context<'a>(id: &'a str, version: &'a str) -> [&'a str; 3] {
    ["list", id, version]
}

/// The file that a list is read from, and which part of it.
fn original(list: &ListFile) -> Option<(PathBuf, Option<String>)> {
    let file = list.file.as_deref()?;
    if Path::new(file).exists() {
        return Some((file.into(), None));
    }
    Some(match file.rsplit_once('#') {
        Some((archive, part)) if !part.is_empty() && Path::new(archive).exists() => {
            (archive.into(), Some(part.to_owned()))
        }
        _ => (file.into(), None),
    })
}

/// The text of a list within that of its archive.
fn with_part(source: Source, list: &ListFile) -> Source {
    let part = list.file.as_deref().and_then(|file| match original(list) {
        Some((_, Some(part))) => Some(part),
        // The archive is gone, and a copy of it is at hand.
        Some((path, None)) if !path.exists() => {
            file.rsplit_once('#').map(|(_, part)| part.to_owned()).filter(|part| !part.is_empty())
        }
        _ => None,
    });
    match part {
        Some(part) => source.part(part),
        None => source,
    }
}

fn read(id: &str, from: impl Read) -> Result<Vec<u8>, SealedError> {
    let mut bytes = Vec::new();
    from.take(MOST + 1).read_to_end(&mut bytes).map_err(|source| SealedError::Read {
        id: id.to_owned(),
        path: PathBuf::new(),
        source,
    })?;
    if bytes.len() as u64 > MOST {
        return Err(SealedError::TooLong { id: id.to_owned() });
    }
    Ok(bytes)
}

/// Why a locked list can't be put in force.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// There is no key.
    #[error(
        "list {id}: lists of its category are kept only under the box's secret key, which can't be used; the server's \
         log says why"
    )]
    NoKey {
        /// The list.
        id: String,
    },
    /// It can't be sealed or opened.
    #[error("list {id}: {source}")]
    Vault {
        /// The list.
        id: String,
        /// Why.
        source: VaultError,
    },
    /// Its original can't be read.
    #[error("list {id}: {}", of_file(path, source))]
    Read {
        /// The list.
        id: String,
        /// The file; empty when it was open already.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has too many bytes.
    #[error("list {id}: it has more than {} MiB, which is no list of its kind", MOST >> 20)]
    TooLong {
        /// The list.
        id: String,
    },
    /// It says nothing at all.
    #[error("list {id}: there is no rule in it; the list of before stays in force")]
    Nothing {
        /// The list.
        id: String,
    },
    /// It is no list.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl SealedError {
    /// Whether a list is wrong, rather than the box unable.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Compile(CompileError::Source { source, .. }) => !SourceError::is_io(source),
            Self::Nothing { .. }
            | Self::TooLong { .. }
            | Self::Compile(CompileError::TooManyLists { .. }) => true,
            Self::NoKey { .. } | Self::Vault { .. } | Self::Read { .. } | Self::Compile(_) => false,
        }
    }
}

fn of_file(path: &Path, error: &io::Error) -> String {
    if path.as_os_str().is_empty() { error.to_string() } else { format!("{}: {error}", path.display()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::TempDir;

    use super::*;
    use crate::{name::Key, policy::PolicyFile};

    struct TheBox {
        folder: TempDir,
        lists: SealedLists,
    }

    fn the_box() -> TheBox {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        let lists = SealedLists::new(folder.path(), Some(vault));
        TheBox { folder, lists }
    }

    impl TheBox {
        fn write(&self, name: &str, text: &[u8]) -> String {
            let file = self.folder.path().join(name);
            fs::write(&file, text).unwrap();
            file.to_str().unwrap().to_owned()
        }

        /// What lies in the folder of lists.
        fn kept(&self) -> Vec<String> {
            let mut names: Vec<String> = fs::read_dir(self.folder.path().join("lists"))
                .into_iter()
                .flatten()
                .flatten()
                .flat_map(|list| fs::read_dir(list.path()).unwrap().flatten())
                .map(|entry| entry.path().strip_prefix(self.folder.path()).unwrap().display().to_string())
                .collect();
            names.sort();
            names
        }
    }

    fn list(id: &str, file: &str) -> ListFile {
        let text = format!(
            "version = 1\n[[list]]\nid = {id:?}\ncategory = \"illegal-terrorism\"\nfile = {file:?}\n"
        );
        PolicyFile::parse(&text).unwrap().lists.remove(0)
    }

    fn has(index: Option<&DomainIndex>, name: &str) -> bool {
        let key = Key::parse(name).unwrap();
        index.is_some_and(|index| index.lookup(&key).iter().any(|hit| usize::from(hit.depth) == key.depth()))
    }

    #[test]
    fn a_list_is_kept_when_it_is_in_force_and_opens_at_the_next_start() {
        let it = the_box();
        let lists = [list("feed", &it.write("feed.txt", b"worst.test\n"))];
        let (index, drafts) = it.lists.prepare(&lists, &Again::All).unwrap();
        assert!(has(index.as_ref(), "worst.test"));
        assert!(it.lists.open(&lists).is_none(), "not in force yet");
        assert!(it.lists.is_stale(&lists, None));
        drafts.activate(&it.lists);
        assert_eq!(it.kept(), ["lists/feed/current.sealed"]);
        fs::remove_file(it.folder.path().join("feed.txt")).unwrap();
        let index = it.lists.open(&lists);
        assert!(has(index.as_ref(), "worst.test"));
        assert!(!it.lists.is_stale(&lists, index.as_ref()));
        // The other ways of reading again go on with what is kept.
        for again in [Again::IfThere, Again::These(Vec::new())] {
            let (index, _drafts) = it.lists.prepare(&lists, &again).unwrap();
            assert!(has(index.as_ref(), "worst.test"));
        }
        let error = it.lists.prepare(&lists, &Again::All).unwrap_err().to_string();
        assert!(error.contains("feed.txt"), "{error}");
    }

    #[test]
    fn what_is_not_put_in_force_leaves_nothing_behind() {
        let it = the_box();
        let old = [list("feed", &it.write("feed.txt", b"worst.test\n"))];
        it.lists.prepare(&old, &Again::All).unwrap().1.activate(&it.lists);
        it.write("feed.txt", b"vilest.test\n");
        drop(it.lists.prepare(&old, &Again::All).unwrap());
        assert_eq!(it.kept(), ["lists/feed/current.sealed"]);
        assert!(has(it.lists.open(&old).as_ref(), "worst.test"));
        // One that is wrong keeps the others from coming in, and leaves nothing of them.
        let both = [
            list("feed", old[0].file.as_deref().unwrap()),
            list("none", &it.write("none.txt", b"# only words\n")),
        ];
        let error = it.lists.prepare(&both, &Again::All).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains("none"), "{error}");
        assert_eq!(it.kept(), ["lists/feed/current.sealed"]);
    }

    #[test]
    fn a_list_that_was_taken_out_is_removed() {
        let it = the_box();
        let file = it.write("feed.txt", b"worst.test\n");
        let lists = [list("one", &file), list("two", &file)];
        it.lists.prepare(&lists, &Again::All).unwrap().1.activate(&it.lists);
        let index = it.lists.open(&lists);
        assert!(it.lists.is_stale(&lists[..1], index.as_ref()), "it has a list too many");
        it.lists.prepare(&lists[..1], &Again::IfThere).unwrap().1.activate(&it.lists);
        assert_eq!(it.kept(), ["lists/one/current.sealed"]);
        let (index, drafts) = it.lists.prepare(&[], &Again::All).unwrap();
        assert!(index.is_none());
        drafts.activate(&it.lists);
        assert_eq!(it.kept(), [""; 0]);
    }

    #[test]
    fn a_part_of_an_archive_and_a_packed_text_are_kept_as_they_came() {
        let it = the_box();
        let mut archive = tar::Builder::new(Vec::new());
        for (name, text) in [("terror/domains", &b"worst.test\n"[..]), ("games/domains", b"games.test\n")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            archive.append_data(&mut header, name, text).unwrap();
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&archive.into_inner().unwrap()).unwrap();
        let file = it.write("all.tar.gz", &gzip.finish().unwrap());
        let lists = [list("feed", &format!("{file}#terror"))];
        let (index, drafts) = it.lists.prepare(&lists, &Again::All).unwrap();
        drafts.activate(&it.lists);
        fs::remove_file(&file).unwrap();
        for index in [index, it.lists.open(&lists)] {
            assert!(has(index.as_ref(), "worst.test") && !has(index.as_ref(), "games.test"));
        }
    }

    #[test]
    fn a_list_that_does_not_open_leaves_the_others_in_force() {
        let it = the_box();
        let file = it.write("feed.txt", b"worst.test\n");
        let lists = [list("one", &file), list("two", &it.write("two.txt", b"vilest.test\n"))];
        it.lists.prepare(&lists, &Again::All).unwrap().1.activate(&it.lists);
        // One in the other's place, as by somebody who wants a name open.
        let path = |id: &str| it.folder.path().join(format!("lists/{id}/current.sealed"));
        fs::copy(path("two"), path("one")).unwrap();
        let index = it.lists.open(&lists);
        assert!(!has(index.as_ref(), "worst.test") && has(index.as_ref(), "vilest.test"));
        assert!(it.lists.is_stale(&lists, index.as_ref()));
    }

    #[test]
    fn without_a_key_nothing_is_kept_in_clear() {
        let it = the_box();
        let lists = [list("feed", &it.write("feed.txt", b"worst.test\n"))];
        let keyless = SealedLists::new(it.folder.path(), None);
        let error = keyless.prepare(&lists, &Again::All).unwrap_err();
        assert!(matches!(error, SealedError::NoKey { .. }) && !error.is_bad_input(), "{error}");
        assert_eq!(it.kept(), [""; 0]);
    }
}
