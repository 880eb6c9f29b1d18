//! Where the text of a list comes from: a file, plain or compressed, a member of an archive, a folder.
//!
//! [`Source::read`] does all of it: finds out by their bytes, not their name, what the data are, undoes gzip,
//! zstd or xz, tells the [`Format`], walks a squidGuard archive with respect for its `usage` files, and hands out rules.
//! Text is streamed; what a hostile file can expand to is bounded by [`Limits`].

mod expand;
mod keep;
mod tree;

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;

pub use self::keep::{KeepError, Kept};
use self::tree::Tree;
use super::format::{
    self, Format, HEAD, MatchMode, NotAList, Rule, Skip, detect,
    squidguard::{self, Usage},
};

/// How much a source may expand to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of text that are read, after decompression.
    pub expanded: u64,
    /// The most bytes of text for one compressed byte, once there are more than [`RATIO_FREE`].
    pub ratio: u64,
}

/// Below this many bytes the ratio does not matter: no small machine minds them.
pub const RATIO_FREE: u64 = 8 * 1024 * 1024;

impl Default for Limits {
    /// 512 MiB: ten times the largest public list; 100 to 1: sorted names compress 4 to 12 times.
    fn default() -> Self {
        Self { expanded: 512 * 1024 * 1024, ratio: 100 }
    }
}

/// A list that can be read, as often as needed.
#[derive(Debug, Clone)]
pub struct Source {
    origin: Origin,
    part: Option<String>,
    limits: Limits,
}

#[derive(Debug, Clone)]
enum Origin {
    Path(PathBuf),
    Bytes { name: String, bytes: Arc<[u8]> },
}

/// Where a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file within an archive or a folder (`adult/domains`).
    pub part: Option<&'a str>,
    /// The line, from 1.
    pub line: u64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Some(part) => write!(f, "{part}, line {}", self.line),
            None => write!(f, "line {}", self.line),
        }
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// The format, given or detected.
    pub format: Format,
    /// The files of names that were read, for an archive or a folder.
    pub parts: Vec<String>,
    /// What the reader should know about how it was read.
    pub notes: Vec<Note>,
}

/// Something about a source that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "note", content = "category")]
pub enum Note {
    /// A category that its authors made for allowing was left out of a whole archive.
    WhiteLeftOut(String),
    /// A category that its authors made for allowing was asked for by name: its names are allowed, not blocked.
    WhiteAllows(String),
    /// A category for both, mainly for allowing, was left out of a whole archive.
    MainlyWhite(String),
    /// A category is for blocking and for allowing, and was read as one for blocking.
    BlackAndWhite(String),
    /// A link that leads out of the folder was not followed.
    LinkLeftOut(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WhiteLeftOut(name) => {
                write!(
                    f,
                    "{name} is a list for allowing and was left out; to allow its names, choose it by name"
                )
            }
            Self::WhiteAllows(name) => {
                write!(f, "{name} is a list for allowing: its names are allowed, not blocked")
            }
            Self::MainlyWhite(name) => {
                write!(
                    f,
                    "{name} is mainly a list for allowing and was left out; to block its names, choose it by name"
                )
            }
            Self::BlackAndWhite(name) => {
                write!(f, "{name} is a list for blocking or for allowing; its names are blocked")
            }
            Self::LinkLeftOut(name) => {
                write!(f, "{name} is a link that leads out of the folder and was left out")
            }
        }
    }
}

impl Source {
    /// A file or folder; `archive.tar.gz#adult` is one category, or one file, of an archive or a folder.
    #[must_use]
    pub fn at(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let (path, part) = match path.to_str().and_then(|text| text.rsplit_once('#')) {
            // A file may have the character in its own name.
            Some((file, part)) if !part.is_empty() && !path.exists() => {
                (PathBuf::from(file), Some(part.to_owned()))
            }
            _ => (path.to_owned(), None),
        };
        Self { origin: Origin::Path(path), part, limits: Limits::default() }
    }

    /// Bytes in memory, compressed or not; `name` is for messages.
    #[must_use]
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        let origin = Origin::Bytes { name: name.into(), bytes: bytes.into() };
        Self { origin, part: None, limits: Limits::default() }
    }

    /// The same source, of which one category or file is read.
    #[must_use]
    pub fn part(self, part: impl Into<String>) -> Self {
        Self { part: Some(part.into()), ..self }
    }

    /// The same source with other limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> String {
        let name = match &self.origin {
            Origin::Path(path) => path.display().to_string(),
            Origin::Bytes { name, .. } => name.clone(),
        };
        match &self.part {
            Some(part) => format!("{name}#{part}"),
            None => name,
        }
    }

    /// Reads it and hands each rule, or the reason for which a line was skipped, to `sink`.
    ///
    /// Without a `format`, it is detected. Rules of a squidGuard category whose `usage` says white come as rules that
    /// allow when the category was chosen, and not at all otherwise. `urls` and `expressions` are skipped line by
    /// line.
    ///
    /// # Errors
    ///
    /// When it can't be read, expands over the limits, is no list (a web page), or has no such part.
    pub fn read(
        &self,
        format: Option<Format>,
        mode: MatchMode,
        sink: &mut dyn FnMut(Place<'_>, Result<Rule, Skip<'_>>),
    ) -> Result<Contents, SourceError> {
        if let Origin::Path(path) = &self.origin
            && path.is_dir()
        {
            return Tree::folder(self, path)?.read(mode, sink);
        }
        let mut text = self.text()?;
        if text.is_archive() {
            drop(text);
            return Tree::archive(self)?.read(mode, sink);
        }
        if let Some(part) = &self.part {
            return Err(self.error(Problem::NoPart { part: part.clone(), known: Vec::new() }));
        }
        let usage = self.usage_beside();
        let format = match (format, usage) {
            (Some(format), _) => format,
            (None, Some(_)) => Format::Squidguard,
            (None, None) => detect(text.head()).map_err(|not| self.error(Problem::NotAList(not)))?,
        };
        // A format that was given does not make a list of an error page.
        if let Err(not @ (NotAList::WebPage | NotAList::Json | NotAList::Binary)) = detect(text.head()) {
            return Err(self.error(Problem::NotAList(not)));
        }
        let name = self.name();
        let note = match usage {
            Some(Usage::White) => Some(Note::WhiteAllows(name)),
            Some(Usage::Both) => Some(Note::BlackAndWhite(name)),
            Some(Usage::Black) | None => None,
        };
        let allow = usage == Some(Usage::White);
        format::read(&mut text, format, mode, &mut |line, outcome| {
            let outcome = outcome.map(|rule| Rule { allow: rule.allow || allow, ..rule });
            sink(Place { part: None, line }, outcome);
        })
        .map_err(|error| self.read_error(error))?;
        Ok(Contents { format, parts: Vec::new(), notes: note.into_iter().collect() })
    }

    /// The text of a file, decompressed as it is read; of an archive, the archive.
    ///
    /// # Errors
    ///
    /// When it can't be opened or is compressed in a way that is not supported. Errors of the reader itself carry a
    /// message that says what was wrong with the data.
    pub fn text(&self) -> Result<Text, SourceError> {
        let raw: Box<dyn BufRead + Send> = match &self.origin {
            Origin::Path(path) => {
                Box::new(open_file(path).map_err(|source| self.error(Problem::Open(source)))?)
            }
            Origin::Bytes { bytes, .. } => Box::new(Cursor::new(Arc::clone(bytes))),
        };
        let mut expanded = expand::expand(raw, self.limits).map_err(|error| match error {
            expand::ExpandError::Unsupported(kind) => self.error(Problem::Unsupported(kind)),
            expand::ExpandError::Read(error) => self.read_error(error),
        })?;
        let mut head = Vec::new();
        expanded.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|error| self.read_error(error))?;
        Ok(Text { head: Cursor::new(head), rest: expanded })
    }

    /// The `usage` beside a file of names that was taken out of its category's folder.
    fn usage_beside(&self) -> Option<Usage> {
        let Origin::Path(path) = &self.origin else { return None };
        if squidguard::File::of(path.file_name()?.to_str()?) != Some(squidguard::File::Domains) {
            return None;
        }
        let mut text = Vec::new();
        File::open(path.with_file_name("usage")).ok()?.take(tree::MAX_USAGE).read_to_end(&mut text).ok()?;
        Some(Usage::parse(&String::from_utf8_lossy(&text)))
    }

    fn error(&self, problem: Problem) -> SourceError {
        SourceError { name: self.name(), problem }
    }

    fn read_error(&self, error: io::Error) -> SourceError {
        self.error(match error.downcast::<expand::OverLimit>() {
            Ok(over) => Problem::OverLimit(over.to_string()),
            Err(error) => Problem::Read(error),
        })
    }
}

/// The decompressed bytes of a source.
pub struct Text {
    head: Cursor<Vec<u8>>,
    rest: Box<dyn BufRead + Send>,
}

impl Text {
    /// The first bytes: [`HEAD`] of them, or all there are.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.head.get_ref()
    }

    /// Whether it is a tar archive.
    fn is_archive(&self) -> bool {
        self.head().get(257..262) == Some(b"ustar")
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").finish_non_exhaustive()
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 => self.rest.read(buffer),
            n => Ok(n),
        }
    }
}

impl BufRead for Text {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.head.position() < self.head.get_ref().len() as u64 {
            return self.head.fill_buf();
        }
        self.rest.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if self.head.position() < self.head.get_ref().len() as u64 {
            self.head.consume(amount);
        } else {
            self.rest.consume(amount);
        }
    }
}

/// A source that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct SourceError {
    /// The file, with its part.
    pub name: String,
    /// What was wrong.
    #[source]
    pub problem: Problem,
}

/// What was wrong with a source.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file can't be opened.
    #[error("could not open it: {0}")]
    Open(io::Error),
    /// Reading stopped: the disk, or damaged compression.
    #[error("could not read it to the end: {0}")]
    Read(io::Error),
    /// It expands to more than a list has.
    #[error("{0}")]
    OverLimit(String),
    /// A compression that is known by its first bytes but not undone.
    #[error(
        "it is compressed with {0}; plain text, gzip (.gz), zstd (.zst), xz (.xz) and tar archives of them are read"
    )]
    Unsupported(&'static str),
    /// The text is no list.
    #[error("{0}")]
    NotAList(NotAList),
    /// There is no such category or file in it.
    #[error("there is no {part:?} in it{}", listed(known))]
    NoPart {
        /// What was asked for.
        part: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Several files or categories could be meant.
    #[error("it holds several; choose one with #{}", listed(known))]
    SeveralFiles {
        /// What there is.
        known: Vec<String>,
    },
    /// A folder or archive without any file of names.
    #[error("no folder in it has a file called \"domains\"")]
    NoCategories,
    /// All its categories are for allowing.
    #[error(
        "all its categories are for allowing, so there is nothing to block; to allow names, choose one with #{}",
        listed(known)
    )]
    AllWhite {
        /// The categories.
        known: Vec<String>,
    },
}

impl SourceError {
    /// Whether the fault lies with the disk rather than with what is in the source.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(&self.problem, Problem::Open(_))
            || matches!(&self.problem, Problem::Read(error) if error.raw_os_error().is_some())
    }
}

fn listed(known: &[String]) -> String {
    const SHOWN: usize = 12;
    if known.is_empty() {
        return String::new();
    }
    let more = if known.len() > SHOWN { format!(" and {} more", known.len() - SHOWN) } else { String::new() };
    format!(": there are {}{more}", known[..known.len().min(SHOWN)].join(", "))
}

/// Opens a file for reading.
fn open_file(path: &Path) -> io::Result<BufReader<File>> {
    // A pipe or a device would block the reading for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(BufReader::with_capacity(64 * 1024, File::open(path)?))
}

#[cfg(test)]
mod tests;
