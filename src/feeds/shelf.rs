//! The versions of each list that are kept, and what became of each try to get a newer one.
//!
//! `DATA/lists/ID/000007.gz` is a version that was good when it came, `000008.held.gz` one that is held for a person to
//! look at, and `state.json` says the rest. A file gets its name only when it is whole and on the disk, and before
//! `state.json` knows it, so a power cut at any moment leaves every version that was known and at most one file that
//! is not, which [`Shelf::tidy`] removes.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use super::zone::Timers;
use crate::{
    disk,
    lists::{
        Format,
        guard::Previous,
        source::{KeepError, Kept, Limits, Source},
    },
    vault::{Vault, VaultError},
};

/// What is known of a subscription beside what the policy says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What the policy said of its source when this was written; what a server said holds for that source only.
    pub source: String,
    /// When it was tried last.
    pub last_attempt: Option<Timestamp>,
    /// When it was last known to be up to date: a version came, or nothing newer was there.
    pub last_success: Option<Timestamp>,
    /// How many tries failed since.
    pub failures: u32,
    /// Why the last try failed, in plain words.
    pub error: Option<String>,
    /// When the server asked to be tried again.
    pub not_before: Option<Timestamp>,
    /// What the server said of the version that it gave last.
    pub served: Served,
    /// The versions that are kept, oldest first.
    pub versions: Vec<Version>,
    /// The number of the version in force.
    pub in_force: Option<u32>,
    /// The version that waits for a person.
    pub held: Option<Held>,
}

/// What a server said of what it gave, by which it can tell next time whether there is anything newer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Served {
    /// What the server calls it.
    pub etag: Option<String>,
    /// When it changed, in the server's own words.
    pub last_modified: Option<String>,
    /// The address that served it, after redirects and mirrors.
    pub from: Option<String>,
    /// The serial of the zone, for a list by zone transfer.
    pub serial: Option<u32>,
    /// When the zone wants to be asked about again.
    pub timers: Option<Timers>,
}

/// One version of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Version {
    /// Counts up from 1.
    pub number: u32,
    /// When it came.
    pub at: Timestamp,
    /// The SHA-256 of its text, in hex.
    pub digest: String,
    /// The size of its text, in bytes.
    pub bytes: u64,
    /// How many rules it has.
    pub entries: u64,
    /// How many names it has that the version before had not.
    pub added: u64,
    /// How many names the version before had and it has not.
    pub removed: u64,
    /// How its lines are written.
    pub format: Option<Format>,
    /// Its authors made it for allowing names.
    pub allow: bool,
    /// By what the next version is judged.
    pub previous: Option<Previous>,
    /// It was rolled back: the same text does not come into force again by itself.
    pub rejected: bool,
}

/// Why a version waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its number.
    pub version: u32,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong with it, in plain words.
    pub reasons: Vec<String>,
}

impl State {
    /// A version by its number.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The version in force.
    #[must_use]
    pub fn current(&self) -> Option<&Version> {
        self.version(self.in_force?)
    }

    /// The good version before the one in force.
    #[must_use]
    pub fn before_current(&self) -> Option<&Version> {
        let current = self.in_force?;
        let held = self.held.as_ref().map(|held| held.version);
        self.versions
            .iter()
            .rfind(|version| version.number < current && !version.rejected && Some(version.number) != held)
    }

    /// The same without any name that the list has.
    fn without_names(mut self) -> Self {
        for version in &mut self.versions {
            version.previous = version.previous.take().map(Previous::without_names);
        }
        if let Some(held) = &mut self.held {
            held.reasons =
                vec![String::from("it was held before its names became ones that must not be shown")];
        }
        // Of one that failed, too: what was wrong with a record of a zone tells the record.
        self.error = None;
        self
    }
}

/// The folder of all lists.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    keep: usize,
    /// None when the box's key can't be used, which was logged.
    vault: Option<Arc<Vault>>,
}

/// A file of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    number: u32,
    held: bool,
    sealed: bool,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        let (stem, sealed) = match (name.strip_suffix(".gz"), name.strip_suffix(".sealed")) {
            (Some(stem), _) => (stem, false),
            (None, Some(stem)) => (stem, true),
            (None, None) => return None,
        };
        let (number, held) = match stem.strip_suffix(".held") {
            Some(number) => (number, true),
            None => (stem, false),
        };
        Some(Self { number: number.parse().ok()?, held, sealed })
    }

    fn name(self) -> String {
        let held = if self.held { ".held" } else { "" };
        let end = if self.sealed { "sealed" } else { "gz" };
        format!("{:06}{held}.{end}", self.number)
    }
}

/// A text that came and has no number yet; dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    /// The number that it will have.
    number: u32,
    sealed: bool,
    /// The SHA-256 of its text, in hex.
    pub digest: String,
    /// The size of its text, in bytes.
    pub bytes: u64,
    /// How it must be read.
    pub kept: Kept,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already when it was given a number.
        let _ = fs::remove_file(&self.path);
    }
}

impl Shelf {
    /// Versions in a folder, of which the last `keep` good ones of each list stay.
    #[must_use]
    pub fn new(folder: &Path, keep: usize, vault: Option<Arc<Vault>>) -> Self {
        Self { folder: folder.to_owned(), keep: keep.max(1), vault }
    }

    /// The folder of one list.
    #[must_use]
    pub fn folder(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    fn state_file(&self, id: &str) -> PathBuf {
        self.folder(id).join("state.json")
    }

    /// What is known of a list, for those who only look: nothing where it can't be read, which is logged.
    #[must_use]
    pub fn state(&self, id: &str) -> State {
        self.known(id)
            .inspect_err(|error| error!(%error, "What was known of a list can't be read"))
            .unwrap_or_default()
    }

    /// What is known of a list; of one that is new, nothing.
    ///
    /// A damaged record is made up from the versions that lie there: the newest good one is in force.
    ///
    /// # Errors
    ///
    /// When it can't be read: too many files are open, the disk fails. It may well be there still, so nobody may write
    /// down anything in its place.
    pub fn known(&self, id: &str) -> Result<State, ShelfError> {
        let file = self.state_file(id);
        match fs::read(&file) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(state) => return self.without_the_lost(id, state),
                Err(error) => {
                    error!(%error, file = %file.display(), "What was known of a list is damaged")
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ShelfError::Disk { path: file, source }),
        }
        let versions: Vec<Version> = self
            .files(id)?
            .into_iter()
            .filter(|file| !file.held)
            .map(|file| Version { number: file.number, ..Version::default() })
            .collect();
        Ok(State { in_force: versions.last().map(|version| version.number), versions, ..State::default() })
    }

    /// A state whose versions are all there, after somebody tidied up by hand or a disk lost a file.
    fn without_the_lost(&self, id: &str, mut state: State) -> Result<State, ShelfError> {
        let there = self.files(id)?;
        state.versions.retain(|version| there.iter().any(|file| file.number == version.number));
        if state.held.as_ref().is_some_and(|held| state.version(held.version).is_none()) {
            state.held = None;
        }
        if state.in_force.is_some() && state.current().is_none() {
            let held = state.held.as_ref().map(|held| held.version);
            state.in_force = state
                .versions
                .iter()
                .rfind(|version| Some(version.number) != held && !version.rejected)
                .map(|version| version.number);
        }
        Ok(state)
    }

    /// Writes down what is known of a list.
    ///
    /// # Errors
    ///
    /// When the disk can't be written; then what was known before still stands there.
    pub fn save(&self, id: &str, state: &State) -> Result<(), ShelfError> {
        let file = self.state_file(id);
        let wrong = |source| ShelfError::Disk { path: file.clone(), source };
        fs::create_dir_all(self.folder(id)).map_err(wrong)?;
        let bytes = serde_json::to_vec_pretty(state).map_err(|error| wrong(error.into()))?;
        disk::replace(&file, &bytes).map_err(wrong)
    }

    /// The files of versions, in the order of their numbers.
    fn files(&self, id: &str) -> Result<Vec<Kind>, ShelfError> {
        let folder = self.folder(id);
        let wrong = |source| ShelfError::Disk { path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(wrong(source)),
        };
        let mut found = Vec::new();
        for entry in entries {
            found.extend(entry.map_err(wrong)?.file_name().to_str().and_then(Kind::of));
        }
        found.sort_unstable();
        Ok(found)
    }

    fn file(&self, id: &str, kind: Kind) -> PathBuf {
        self.folder(id).join(kind.name())
    }

    /// The text of a version; of one that is sealed, opened in memory.
    ///
    /// # Errors
    ///
    /// When there is no such version, or it is sealed and can't be opened.
    pub fn source(&self, id: &str, number: u32) -> Result<Source, ShelfError> {
        let kind = self.files(id)?.into_iter().find(|file| file.number == number);
        let Some(kind) = kind else {
            let path = self.file(id, Kind { number, held: false, sealed: false });
            return Err(ShelfError::Disk { path, source: io::ErrorKind::NotFound.into() });
        };
        let path = self.file(id, kind);
        if kind.sealed { self.opened(id, number, &path) } else { Ok(ours(Source::at(&path))) }
    }

    /// Whether a version is there and can be read to its end.
    #[must_use]
    pub fn is_whole(&self, id: &str, number: u32) -> bool {
        let read = |source: Source| Ok(io::copy(&mut source.text()?, &mut io::sink()));
        self.source(id, number).and_then(read).is_ok_and(|read| read.is_ok())
    }

    /// A sealed text, in memory.
    fn opened(&self, id: &str, number: u32, path: &Path) -> Result<Source, ShelfError> {
        let number = number.to_string();
        let mut bytes = Vec::new();
        self.vault()?
            .open_file(path, &context(id, &number))?
            .read_to_end(&mut bytes)
            .map_err(|source| ShelfError::Disk { path: path.to_owned(), source })?;
        Ok(ours(Source::bytes(format!("the sealed text of {id}"), bytes)))
    }

    fn vault(&self) -> Result<&Vault, ShelfError> {
        self.vault.as_deref().ok_or(ShelfError::NoKey)
    }

    /// Copies a text to the shelf, compressed and whole on the disk, without being a version yet.
    ///
    /// With `seal`, nothing of it lies on the disk in clear.
    ///
    /// # Errors
    ///
    /// When the text can't be read or the disk can't be written; then nothing is left behind.
    pub fn draft(&self, id: &str, text: &Source, seal: bool) -> Result<Draft, ShelfError> {
        let folder = self.folder(id);
        let wrong = |source| ShelfError::Disk { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(wrong)?;
        let last = self.files(id)?.last().map_or(0, |file| file.number);
        let number = 1 + last.max(self.known(id)?.versions.last().map_or(0, |version| version.number));
        let path = folder.join(if seal { "draft.sealed" } else { "draft.gz" });
        let mut draft = Draft {
            path,
            number,
            sealed: seal,
            digest: String::new(),
            bytes: 0,
            kept: Kept { format: None, allow: false },
        };
        let file = File::create(&draft.path).map_err(wrong)?;
        let file = io::BufWriter::new(file);
        let (file, about) = if seal {
            let sealing = self.vault()?.sealing(file, &context(id, &number.to_string())).map_err(wrong)?;
            let (sealing, about) = compress(text, sealing, wrong)?;
            (sealing.finish().map_err(wrong)?, about)
        } else {
            compress(text, file, wrong)?
        };
        let file = file.into_inner().map_err(|error| wrong(error.into()))?;
        file.sync_all().map_err(wrong)?;
        (draft.kept, draft.digest, draft.bytes) = about;
        Ok(draft)
    }

    /// The text of a draft.
    ///
    /// # Errors
    ///
    /// When it is sealed and can't be opened.
    pub fn text(&self, id: &str, draft: &Draft) -> Result<Source, ShelfError> {
        if draft.sealed {
            self.opened(id, draft.number, &draft.path)
        } else {
            Ok(ours(Source::at(&draft.path)))
        }
    }

    /// Seals the versions of a list that lie in clear, as they may have until its category changed.
    ///
    /// What else lies in the list's folder is removed, and names that the record of it tells are left out: nothing of
    /// it must be shown from then on.
    ///
    /// # Errors
    ///
    /// When one can't be read or sealed; it lies there as before then.
    pub fn seal_what_lies_in_clear(&self, id: &str) -> Result<(), ShelfError> {
        let clear: Vec<Kind> = self.files(id)?.into_iter().filter(|file| !file.sealed).collect();
        if !clear.is_empty() {
            self.save(id, &self.known(id)?.without_names())?;
        }
        for kind in clear {
            let clear = self.file(id, kind);
            let wrong = |source| ShelfError::Disk { path: clear.clone(), source };
            let number = kind.number.to_string();
            let sealed = self.file(id, Kind { sealed: true, ..kind });
            self.vault()?.seal_file(File::open(&clear).map_err(wrong)?, &sealed, &context(id, &number))?;
            fs::remove_file(&clear).map_err(wrong)?;
        }
        // Its sorted rules, a zone as it was transferred, a download that broke off.
        for entry in fs::read_dir(self.folder(id)).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let stays = name == "state.json" || path.extension().is_some_and(|end| end == "sealed");
            match if stays { Ok(()) } else { fs::remove_file(&path) } {
                Err(source) if source.kind() != io::ErrorKind::NotFound && !path.is_dir() => {
                    return Err(ShelfError::Disk { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives a draft the next number, as a good version or a held one, and notes it in `state`, which is saved.
    ///
    /// `facts` are what is known of it; its number, digest and size are filled in here.
    ///
    /// # Errors
    ///
    /// When the disk can't be written; then it has no number.
    pub fn add(
        &self,
        id: &str,
        state: &mut State,
        draft: &Draft,
        facts: Version,
        held: Option<(Timestamp, Vec<String>)>,
    ) -> Result<u32, ShelfError> {
        let number = draft.number;
        let path = self.file(id, Kind { number, held: held.is_some(), sealed: draft.sealed });
        fs::rename(&draft.path, &path).map_err(|source| ShelfError::Disk { path: path.clone(), source })?;
        let version = Version { number, digest: draft.digest.clone(), bytes: draft.bytes, ..facts };
        let mut after = state.clone();
        if let Some(old) = after.held.take() {
            after.versions.retain(|version| version.number != old.version);
        }
        after.versions.push(version);
        match held {
            Some((since, reasons)) => after.held = Some(Held { version: number, since, reasons }),
            None => after.in_force = Some(number),
        }
        self.prune(&mut after);
        if let Err(error) = self.save(id, &after) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        *state = after;
        self.tidy(id, state);
        Ok(number)
    }

    /// Makes the held version the one in force; the caller saves `state`.
    ///
    /// # Errors
    ///
    /// When the disk can't be written; then it is held as before.
    pub fn accept(&self, id: &str, state: &mut State) -> Result<Option<u32>, ShelfError> {
        let Some(held) = &state.held else { return Ok(None) };
        let number = held.version;
        // None when it was accepted already, and a power cut came before the state was saved.
        if let Some(kind) = self.files(id)?.into_iter().find(|file| file.number == number && file.held) {
            let to = self.file(id, Kind { held: false, ..kind });
            fs::rename(self.file(id, kind), &to).map_err(|source| ShelfError::Disk { path: to, source })?;
        }
        state.held = None;
        state.in_force = Some(number);
        self.prune(state);
        Ok(Some(number))
    }

    /// Takes the oldest good versions that are more than are kept out of `state`.
    fn prune(&self, state: &mut State) {
        let held = state.held.as_ref().map(|held| held.version);
        let in_force = state.in_force;
        let spare = |version: &Version| Some(version.number) != held && Some(version.number) != in_force;
        // The one in force counts among those that are kept.
        let over =
            (state.versions.iter().filter(|version| spare(version)).count() + 1).saturating_sub(self.keep);
        let mut dropped = 0;
        state.versions.retain(|version| {
            let drop = dropped < over && spare(version);
            dropped += usize::from(drop);
            !drop
        });
    }

    /// Makes everything as it was when this was known of a list; versions that came since are removed.
    ///
    /// # Errors
    ///
    /// When the disk can't be written.
    pub fn put_back(&self, id: &str, state: &State) -> Result<(), ShelfError> {
        if *state == State::default() {
            let path = self.folder(id);
            return match fs::remove_dir_all(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    Err(ShelfError::Disk { path, source })
                }
                _ => Ok(()),
            };
        }
        self.save(id, state)?;
        self.tidy(id, state);
        Ok(())
    }

    /// Removes the files of versions that `state` does not know, and what a power cut left half written.
    pub fn tidy(&self, id: &str, state: &State) {
        // What can't be looked through is tidied another time.
        for kind in self.files(id).unwrap_or_default() {
            if state.version(kind.number).is_none() {
                let _ = fs::remove_file(self.file(id, kind));
            }
        }
        for draft in ["draft.gz", "draft.sealed"] {
            let _ = fs::remove_file(self.folder(id).join(draft));
        }
    }

    /// Removes everything of lists that nobody subscribes to any more.
    pub fn forget_all_but<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        let known: BTreeSet<&str> = ids.into_iter().collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_list = entry.path().join("state.json").exists();
            if is_list
                && name.to_str().is_some_and(|name| !known.contains(name))
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                warn!(%error, folder = %entry.path().display(), "The versions of a list that was taken out stay");
            }
        }
    }
}

/// What a sealed version is the text of.
fn context<'a>(id: &'a str, number: &'a str) -> [&'a str; 3] {
    ["list", id, number]
}

/// What is known of a text once it was copied: how it must be read, its digest, its size.
type About = (Kept, String, u64);

/// Copies a text, compressed.
fn compress<W: Write>(
    text: &Source,
    to: W,
    wrong: impl Fn(io::Error) -> ShelfError,
) -> Result<(W, About), ShelfError> {
    let inner = GzEncoder::new(to, Compression::new(6));
    let mut out = Digesting { inner, digest: Context::new(&SHA256), bytes: 0 };
    let kept = text.keep(&mut out).map_err(|error| match error {
        KeepError::Write(source) => wrong(source),
        KeepError::Source(source) => ShelfError::Source(source),
    })?;
    let digest = out.digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((out.inner.finish().map_err(wrong)?, (kept, digest, out.bytes)))
}

/// A text that was written by this program, whose expansion needs no suspicion.
fn ours(source: Source) -> Source {
    source.limits(Limits { expanded: u64::MAX, ratio: u64::MAX })
}

/// Counts and digests what is written through it.
struct Digesting<W> {
    inner: W,
    digest: Context,
    bytes: u64,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.digest.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Why the shelf could not do it.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The disk can't be read or written.
    #[error("{path}: {source}", path = path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text can't be read.
    #[error(transparent)]
    Source(#[from] crate::lists::source::SourceError),
    /// A text can't be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// There is no key to seal with.
    #[error(
        "lists of its category are kept only under the box's secret key, which can't be used; the server's log says why"
    )]
    NoKey,
}

#[cfg(test)]
mod tests;
