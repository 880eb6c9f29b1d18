//! The versions of each list that are kept, and what became of each try to get a newer one.
//!
//! `DATA/lists/ID/000007.gz` is a version that was good when it came, `000008.held.gz` one that is held for a person to
//! look at, and `state.json` says the rest. A file gets its name only when it is whole and on the disk, and before
//! `state.json` knows it, so a power cut at any moment leaves every version that was known and at most one file that
//! is not, which [`Shelf::tidy`] removes.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::{
    disk,
    lists::{
        Format,
        source::{KeepError, Kept, Limits, Source},
    },
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
}

/// The folder of all lists.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
    keep: usize,
}

/// A text that came and has no number yet; dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    /// The SHA-256 of its text, in hex.
    pub digest: String,
    /// The size of its text, in bytes.
    pub bytes: u64,
    /// How it must be read.
    pub kept: Kept,
}

impl Draft {
    /// The text.
    #[must_use]
    pub fn source(&self) -> Source {
        ours(&self.path)
    }
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
    pub fn new(folder: &Path, keep: usize) -> Self {
        Self { folder: folder.to_owned(), keep: keep.max(1) }
    }

    /// The folder of one list.
    #[must_use]
    pub fn folder(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    fn state_file(&self, id: &str) -> PathBuf {
        self.folder(id).join("state.json")
    }

    /// What is known of a list; of one that is new, nothing.
    ///
    /// A damaged record is made up from the versions that lie there: the newest good one is in force.
    #[must_use]
    pub fn state(&self, id: &str) -> State {
        let file = self.state_file(id);
        match fs::read(&file) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(state) => return self.without_the_lost(id, state),
                Err(error) => {
                    error!(%error, file = %file.display(), "What was known of a list can't be read")
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => error!(%error, file = %file.display(), "What was known of a list can't be read"),
        }
        let versions: Vec<Version> = self
            .files(id)
            .into_iter()
            .filter(|(_, held)| !held)
            .map(|(number, _)| Version { number, ..Version::default() })
            .collect();
        State { in_force: versions.last().map(|version| version.number), versions, ..State::default() }
    }

    /// A state whose versions are all there, after somebody tidied up by hand or a disk lost a file.
    fn without_the_lost(&self, id: &str, mut state: State) -> State {
        let there = self.files(id);
        state.versions.retain(|version| there.iter().any(|(number, _)| *number == version.number));
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
        state
    }

    /// Writes down what is known of a list.
    ///
    /// # Errors
    ///
    /// When the disk can't be written; then what was known before still stands there.
    pub fn save(&self, id: &str, state: &State) -> Result<(), ShelfError> {
        let file = self.state_file(id);
        let wrong = |source| ShelfError::Write { path: file.clone(), source };
        fs::create_dir_all(self.folder(id)).map_err(wrong)?;
        let bytes = serde_json::to_vec_pretty(state).map_err(|error| wrong(error.into()))?;
        disk::replace(&file, &bytes).map_err(wrong)
    }

    /// The numbers of the files of versions, in order, each with whether it is held.
    fn files(&self, id: &str) -> Vec<(u32, bool)> {
        let mut found: Vec<(u32, bool)> = fs::read_dir(self.folder(id))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let stem = name.to_str()?.strip_suffix(".gz")?;
                let (number, held) = match stem.strip_suffix(".held") {
                    Some(number) => (number, true),
                    None => (stem, false),
                };
                Some((number.parse().ok()?, held))
            })
            .collect();
        found.sort_unstable();
        found
    }

    fn file(&self, id: &str, number: u32, held: bool) -> PathBuf {
        let held = if held { ".held" } else { "" };
        self.folder(id).join(format!("{number:06}{held}.gz"))
    }

    /// The text of a version.
    #[must_use]
    pub fn source(&self, id: &str, number: u32) -> Source {
        let good = self.file(id, number, false);
        if good.exists() { ours(&good) } else { ours(&self.file(id, number, true)) }
    }

    /// Copies a text to the shelf, compressed and whole on the disk, without a number yet.
    ///
    /// # Errors
    ///
    /// When the text can't be read or the disk can't be written; then nothing is left behind.
    pub fn draft(&self, id: &str, text: &Source) -> Result<Draft, ShelfError> {
        let folder = self.folder(id);
        let path = folder.join("draft.gz");
        let wrong = |source| ShelfError::Write { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(wrong)?;
        let mut draft =
            Draft { path, digest: String::new(), bytes: 0, kept: Kept { format: None, allow: false } };
        let file = File::create(&draft.path).map_err(wrong)?;
        let mut out = Digesting {
            inner: GzEncoder::new(io::BufWriter::new(file), Compression::new(6)),
            digest: Context::new(&SHA256),
            bytes: 0,
        };
        draft.kept = text.keep(&mut out).map_err(|error| match error {
            KeepError::Write(source) => wrong(source),
            KeepError::Source(source) => ShelfError::Source(source),
        })?;
        let Digesting { inner, digest, bytes } = out;
        let file = inner.finish().and_then(|buffered| buffered.into_inner().map_err(io::Error::from));
        file.and_then(|file| file.sync_all()).map_err(wrong)?;
        draft.digest = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        draft.bytes = bytes;
        Ok(draft)
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
        let last = self.files(id).last().map_or(0, |(number, _)| *number);
        let number = 1 + last.max(state.versions.last().map_or(0, |version| version.number));
        let path = self.file(id, number, held.is_some());
        fs::rename(&draft.path, &path).map_err(|source| ShelfError::Write { path: path.clone(), source })?;
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
        let to = self.file(id, number, false);
        match fs::rename(self.file(id, number, true), &to) {
            Ok(()) => {}
            // Accepted already, when a power cut came before the state was saved.
            Err(error) if error.kind() == io::ErrorKind::NotFound && to.exists() => {}
            Err(source) => return Err(ShelfError::Write { path: to, source }),
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

    /// Removes the files of versions that `state` does not know, and what a power cut left half written.
    pub fn tidy(&self, id: &str, state: &State) {
        for (number, held) in self.files(id) {
            let known = state.version(number).is_some();
            let is_held = state.held.as_ref().is_some_and(|held| held.version == number);
            // A good version under a held one's name is only ever the moment in the middle of `accept`.
            if !known || (held && !is_held && self.file(id, number, false).exists()) {
                let _ = fs::remove_file(self.file(id, number, held));
            }
        }
        let _ = fs::remove_file(self.folder(id).join("draft.gz"));
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

/// A text that was written by this program, whose expansion needs no suspicion.
fn ours(path: &Path) -> Source {
    Source::at(path).limits(Limits { expanded: u64::MAX, ratio: u64::MAX })
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
    /// The disk can't be written.
    #[error("{path}: {source}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text can't be read.
    #[error(transparent)]
    Source(#[from] crate::lists::source::SourceError),
}

#[cfg(test)]
mod tests;
