//! A copy of a source that outlasts it: one text, whatever it came in.

use std::io::{self, BufRead, Write};

use super::{
    Origin, Problem, Source, SourceError,
    format::{Format, squidguard::Usage},
    tree::Tree,
};

/// What must be known to read a kept text as its source was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// How its lines are written, where that was told by the archive or the folder and not by the text.
    pub format: Option<Format>,
    /// Whether its names are allowed rather than blocked, as the `usage` beside them said.
    pub allow: bool,
}

/// Why a source could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The source can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The copy can't be written.
    #[error("the copy can't be written: {0}")]
    Write(io::Error),
}

/// Where a copy goes; remembers when it was the writing that failed.
pub(super) struct Copying<'a> {
    out: &'a mut dyn Write,
    failed: Option<io::Error>,
    /// A file that ends in the middle of a line must not swallow the next one's first.
    open_line: bool,
}

impl Copying<'_> {
    pub(super) fn text(&mut self, text: &mut dyn BufRead) -> io::Result<()> {
        if self.open_line {
            self.write(b"\n")?;
        }
        loop {
            let some = text.fill_buf()?;
            if some.is_empty() {
                return Ok(());
            }
            let length = some.len();
            self.write(some)?;
            text.consume(length);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(last) = bytes.last() {
            self.open_line = *last != b'\n';
        }
        self.out.write_all(bytes).map_err(|error| {
            let told = io::Error::new(error.kind(), "the copy can't be written");
            self.failed = Some(error);
            told
        })
    }
}

impl Source {
    /// Writes what [`read`](Self::read) reads as one plain text: decompressed, taken out of its archive.
    ///
    /// The lines of a single text stay where they are, so that a line's number means the same in both.
    ///
    /// # Errors
    ///
    /// When the source can't be read, expands over the limits or has no such part; when the copy can't be written.
    /// Whether the text is a list at all shows when the copy is read.
    pub fn keep(&self, out: &mut dyn Write) -> Result<Kept, KeepError> {
        let mut copying = Copying { out, failed: None, open_line: false };
        let kept = self.copy(&mut copying);
        match (copying.failed, kept) {
            (Some(error), Err(_)) => Err(KeepError::Write(error)),
            (_, kept) => Ok(kept?),
        }
    }

    fn copy(&self, out: &mut Copying<'_>) -> Result<Kept, SourceError> {
        if let Origin::Path(path) = &self.origin
            && path.is_dir()
        {
            return Tree::folder(self, path)?.copy(out);
        }
        let mut text = self.text()?;
        if text.is_archive() {
            drop(text);
            return Tree::archive(self)?.copy(out);
        }
        if let Some(part) = &self.part {
            return Err(self.error(Problem::NoPart { part: part.clone(), known: Vec::new() }));
        }
        out.text(&mut text).map_err(|error| self.read_error(error))?;
        let usage = self.usage_beside();
        Ok(Kept { format: usage.map(|_| Format::Squidguard), allow: usage == Some(Usage::White) })
    }
}
