//! Sealing and opening a text in chunks (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár).
//!
//! A sealed text is 8 bytes that say so, 32 random ones (the salt), then chunks of 64 KiB, each with a tag of 16 bytes
//! behind it; the last chunk may be shorter. The nonce of a chunk is its number and whether it is the last, and each
//! tag also covers the start and the context: a chunk that was changed, moved, left out, taken from another text or
//! opened as another thing does not open, and neither does the last one of a text that was cut off between chunks.

use std::io::{self, BufRead, Read, Write};

use ring::{
    aead::{Aad, LessSafeKey, Nonce},
    rand::{SecureRandom, SystemRandom},
};

const MAGIC: &[u8; 8] = b"SGSEAL1\n";
const SALT: usize = 32;
/// The bytes of text in a chunk.
pub(super) const CHUNK: usize = 64 * 1024;
/// The bytes of a tag.
pub(super) const TAG: usize = 16;
/// The bytes before the first chunk.
pub(super) const START: usize = MAGIC.len() + SALT;

/// The reason for which a sealed text does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it does not open: it was changed or cut short, or it was sealed with another key or as something else"
)]
pub struct Damaged;

impl From<Damaged> for io::Error {
    fn from(damaged: Damaged) -> Self {
        Self::new(io::ErrorKind::InvalidData, damaged)
    }
}

/// What both sides need for each chunk.
struct Chunks {
    key: LessSafeKey,
    /// What each tag covers beside its chunk.
    about: Vec<u8>,
    next: u64,
}

impl Chunks {
    fn new(start: &[u8; START], context: &[&str], key: impl FnOnce(&[u8]) -> LessSafeKey) -> Self {
        let mut about = start.to_vec();
        for part in context {
            // With its length, so that no two contexts have the same bytes.
            about.extend_from_slice(&(part.len() as u64).to_le_bytes());
            about.extend_from_slice(part.as_bytes());
        }
        Self { key: key(&start[MAGIC.len()..]), about, next: 0 }
    }

    fn nonce(&mut self, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&self.next.to_be_bytes());
        nonce[11] = u8::from(last);
        // 2^64 chunks are more than any disk has.
        self.next += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals what is written to it.
///
/// Without [`finish`](Self::finish) the text has no end, and does not open.
pub struct Sealing<W> {
    to: W,
    chunks: Chunks,
    chunk: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    pub(super) fn start(
        mut to: W,
        context: &[&str],
        random: &SystemRandom,
        key: impl FnOnce(&[u8]) -> LessSafeKey,
    ) -> io::Result<Self> {
        let mut start = [0; START];
        let (magic, salt) = start.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        random.fill(salt).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        to.write_all(&start)?;
        let chunks = Chunks::new(&start, context, key);
        Ok(Self { to, chunks, chunk: Vec::with_capacity(CHUNK + TAG) })
    }

    /// Seals the end of the text, and gives back what it was written to, flushed.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.chunks.nonce(last);
        let about = Aad::from(self.chunks.about.as_slice());
        self.chunks
            .key
            .seal_in_place_append_tag(nonce, about, &mut self.chunk)
            .map_err(|_| io::Error::other("a chunk can't be sealed"))?;
        self.to.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        // A full chunk waits for what follows, since the last one is sealed as such.
        if self.chunk.len() == CHUNK && !text.is_empty() {
            self.seal(false)?;
        }
        let some = &text[..text.len().min(CHUNK - self.chunk.len())];
        self.chunk.extend_from_slice(some);
        Ok(some.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What is not a whole chunk can only be sealed at the end.
        self.to.flush()
    }
}

impl<W> std::fmt::Debug for Sealing<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealing").finish_non_exhaustive()
    }
}

/// The text of something sealed, as it is read. After an error it gives nothing but errors.
pub struct Opened<R> {
    from: R,
    chunks: Chunks,
    /// What was read and not opened yet: at most a chunk with its tag and the byte behind it.
    sealed: Vec<u8>,
    text: Vec<u8>,
    /// How much of `text` was given out.
    given: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Within,
    AtEnd,
    Damaged,
}

impl<R: Read> Opened<R> {
    pub(super) fn start(
        mut from: R,
        context: &[&str],
        key: impl FnOnce(&[u8]) -> LessSafeKey,
    ) -> io::Result<Self> {
        let mut start = [0; START];
        from.read_exact(&mut start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Damaged.into(),
            _ => error,
        })?;
        if !start.starts_with(MAGIC) {
            return Err(Damaged.into());
        }
        Ok(Self {
            from,
            chunks: Chunks::new(&start, context, key),
            sealed: Vec::with_capacity(CHUNK + TAG + 1),
            text: Vec::new(),
            given: 0,
            state: State::Within,
        })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        const WHOLE: usize = CHUNK + TAG;
        // One byte more than a chunk shows whether it is the last.
        let wanted = (WHOLE + 1).saturating_sub(self.sealed.len()) as u64;
        self.from.by_ref().take(wanted).read_to_end(&mut self.sealed)?;
        let last = self.sealed.len() <= WHOLE;
        let rest = if last { Vec::new() } else { self.sealed.split_off(WHOLE) };
        let nonce = self.chunks.nonce(last);
        let about = Aad::from(self.chunks.about.as_slice());
        // Until the tag was found right, what stands here must not be given out.
        self.given = 0;
        self.text.clear();
        let Ok(text) = self.chunks.key.open_in_place(nonce, about, &mut self.sealed) else {
            self.state = State::Damaged;
            return Err(Damaged.into());
        };
        self.text.extend_from_slice(text);
        self.sealed.clear();
        self.sealed.extend_from_slice(&rest);
        if last {
            self.state = State::AtEnd;
        }
        Ok(())
    }
}

impl<R: Read> BufRead for Opened<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.given == self.text.len() {
            match self.state {
                State::Within => self.next_chunk()?,
                State::AtEnd => return Ok(&[]),
                State::Damaged => return Err(Damaged.into()),
            }
        }
        Ok(&self.text[self.given..])
    }

    fn consume(&mut self, amount: usize) {
        self.given = (self.given + amount).min(self.text.len());
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let some = self.fill_buf()?;
        let length = some.len().min(buffer.len());
        buffer[..length].copy_from_slice(&some[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R> std::fmt::Debug for Opened<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}
