//! Undoing compression, with limits.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use super::{Limits, RATIO_FREE};

/// The largest window of a zstd frame, which is how much memory it takes: that of `zstd -19` four times.
const ZSTD_WINDOW: u64 = 32 * 1024 * 1024;

/// The most memory that undoing xz takes, in KiB: the dictionary of `xz -9`, which has 64 MiB, and what goes with it.
const XZ_MEMORY: u32 = 68 * 1024;

/// Why the bytes can't be expanded.
pub(super) enum ExpandError {
    Unsupported(&'static str),
    Read(io::Error),
}

/// Undoes gzip, zstd or xz, told by their first bytes; other bytes pass as they are.
pub(super) fn expand(
    mut raw: Box<dyn BufRead + Send>,
    limits: Limits,
) -> Result<Box<dyn BufRead + Send>, ExpandError> {
    // A `BufReader`'s or a slice's first buffer holds at least these few bytes, if there are as many.
    let start = raw.fill_buf().map_err(ExpandError::Read)?;
    let kind = Kind::of(start);
    let taken = Arc::new(AtomicU64::new(0));
    let raw = Counted { inner: raw, taken: Arc::clone(&taken) };
    let (inner, taken): (Box<dyn Read + Send>, _) = match kind {
        Kind::Plain => (Box::new(raw), None),
        Kind::Gzip => (Box::new(MultiGzDecoder::new(raw)), Some(taken)),
        Kind::Zstd => (Box::new(Zstd::new(raw)), Some(taken)),
        Kind::Xz => (Box::new(XzReader::new_mem_limit(raw, true, XZ_MEMORY)), Some(taken)),
        Kind::Other(name) => return Err(ExpandError::Unsupported(name)),
    };
    Ok(Box::new(BufReader::with_capacity(64 * 1024, Guard { inner, given: 0, taken, limits })))
}

enum Kind {
    Plain,
    Gzip,
    Zstd,
    Xz,
    Other(&'static str),
}

impl Kind {
    fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', ..] => Self::Other("bzip2"),
            [b'P', b'K', 3, 4, ..] => Self::Other("zip"),
            [b'7', b'z', 0xbc, 0xaf, ..] => Self::Other("7z"),
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Other("lz4"),
            _ => Self::Plain,
        }
    }
}

/// More text than a list has.
#[derive(Debug, thiserror::Error)]
pub(super) enum OverLimit {
    #[error("it expands to more than {0} bytes, which no list does")]
    Expanded(u64),
    #[error("it expands to more than {0} times its size, which no list does")]
    Ratio(u64),
}

/// Stops the reading when too much comes out.
struct Guard {
    inner: Box<dyn Read + Send>,
    given: u64,
    /// How many compressed bytes went in; none if it is not compressed.
    taken: Option<Arc<AtomicU64>>,
    limits: Limits,
}

impl Read for Guard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.given += n as u64;
        if self.given > self.limits.expanded {
            return Err(io::Error::other(OverLimit::Expanded(self.limits.expanded)));
        }
        if let Some(taken) = &self.taken {
            let taken = taken.load(Ordering::Relaxed).max(1);
            if self.given > RATIO_FREE && self.given / taken > self.limits.ratio {
                return Err(io::Error::other(OverLimit::Ratio(self.limits.ratio)));
            }
        }
        Ok(n)
    }
}

/// Counts what is taken from a reader.
struct Counted {
    inner: Box<dyn BufRead + Send>,
    taken: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.taken.fetch_add(amount as u64, Ordering::Relaxed);
        self.inner.consume(amount);
    }
}

/// All frames of a zstd stream, one after the other.
struct Zstd {
    source: Counted,
    frame: FrameDecoder,
    open: bool,
}

impl Zstd {
    fn new(source: Counted) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(ZSTD_WINDOW);
        Self { source, frame, open: false }
    }

    /// Opens the next frame; false at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.open {
                while self.frame.can_collect() == 0 && !self.frame.is_finished() {
                    self.frame
                        .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                        .map_err(io::Error::other)?;
                }
                let n = self.frame.read(buffer)?;
                if n > 0 || buffer.is_empty() {
                    return Ok(n);
                }
                let written = self.frame.get_checksum_from_data();
                if written.is_some() && written != self.frame.get_calculated_checksum() {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum is wrong"));
                }
                self.open = false;
            }
            if !self.next_frame()? {
                return Ok(0);
            }
            self.open = true;
        }
    }
}
