//! The archive that evidence travels in: a zip file of one shape only.
//!
//! Every unzip program opens it. What we read back is held against what we would have written: the file is walked from
//! its first byte, and all that is not the contents of a file must be, byte for byte, what [`ZipWriter`] writes. So
//! nothing can hide in it: no second list of files, no name twice, nothing between files, before or behind them. That
//! strictness is the reason for which this is not the `zip` crate, which rightly reads whatever is some kind of zip; it
//! also brings no dependency, since `flate2` is here for lists.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use flate2::{Compression, Crc, bufread::DeflateDecoder, write::DeflateEncoder};
use jiff::{Timestamp, tz::TimeZone};
use ring::digest::{Context, SHA256};

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";

/// The bytes of a local header up to the name.
const LOCAL_LENGTH: usize = 30;
/// The bytes behind each name: room for sizes of more than 4 GiB, which are not known before the contents are written.
const EXTRA_LENGTH: usize = 20;
/// What that room is marked as where it is not needed: padding, which every program skips.
const PADDING: u16 = 0xd935;
/// The version of the format that is needed to read it: 2.0 …
const PLAIN: u16 = 20;
/// … or 4.5 for large files.
const LARGE: u16 = 45;
/// What a size or a place is in a 32-bit field when it does not fit.
const SEE_64: u32 = u32::MAX;

/// More files than this no evidence has.
const MOST_FILES: usize = 200;
/// A longer name no file of evidence has.
const LONGEST_NAME: usize = 64;

/// What was written under one name, or is said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    name: String,
    /// The time of the file, as MS-DOS counted (date, then time of day).
    stamp: u32,
    crc: u32,
    packed: u64,
    size: u64,
    /// Where its local header begins.
    at: u64,
}

impl Header {
    fn is_large(&self) -> bool {
        self.packed >= u64::from(SEE_64) || self.size >= u64::from(SEE_64)
    }

    fn local(&self) -> Vec<u8> {
        let large = self.is_large();
        let mut bytes = LOCAL.to_vec();
        put_16(&mut bytes, &[if large { LARGE } else { PLAIN }, 0, 8]);
        put_32(&mut bytes, &[self.stamp, self.crc]);
        put_32(&mut bytes, &[short(self.packed, large), short(self.size, large)]);
        put_16(&mut bytes, &[self.name.len() as u16, EXTRA_LENGTH as u16]);
        bytes.extend_from_slice(self.name.as_bytes());
        if large {
            put_16(&mut bytes, &[1, 16]);
            put_64(&mut bytes, &[self.size, self.packed]);
        } else {
            put_16(&mut bytes, &[PADDING, 16]);
            put_64(&mut bytes, &[0, 0]);
        }
        bytes
    }

    fn central(&self) -> Vec<u8> {
        let (large, far) = (self.is_large(), self.at >= u64::from(SEE_64));
        let mut extra = Vec::new();
        if large || far {
            put_16(&mut extra, &[1, 16 * u16::from(large) + 8 * u16::from(far)]);
            if large {
                put_64(&mut extra, &[self.size, self.packed]);
            }
            if far {
                put_64(&mut extra, &[self.at]);
            }
        }
        let version = if large || far { LARGE } else { PLAIN };
        let mut bytes = CENTRAL.to_vec();
        // Made on Unix, so that the permissions below mean something.
        put_16(&mut bytes, &[3 << 8 | LARGE, version, 0, 8]);
        put_32(&mut bytes, &[self.stamp, self.crc]);
        put_32(&mut bytes, &[short(self.packed, large), short(self.size, large)]);
        put_16(&mut bytes, &[self.name.len() as u16, extra.len() as u16, 0, 0, 0]);
        put_32(&mut bytes, &[0o100_644 << 16, short(self.at, far)]);
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.extend_from_slice(&extra);
        bytes
    }

    /// The header that these bytes are; none when they are not what [`local`](Self::local) writes.
    fn from_local(bytes: &[u8], at: u64) -> Option<Self> {
        let (name, extra) =
            bytes.get(LOCAL_LENGTH..)?.split_at_checked(bytes.len() - LOCAL_LENGTH - EXTRA_LENGTH)?;
        let large = get_16(bytes, 4)? == LARGE;
        let (size, packed) = if large {
            (get_64(extra, 4)?, get_64(extra, 12)?)
        } else {
            (get_32(bytes, 22)?.into(), get_32(bytes, 18)?.into())
        };
        let header = Self {
            name: String::from_utf8(name.to_vec()).ok()?,
            stamp: get_32(bytes, 10)?,
            crc: get_32(bytes, 14)?,
            packed,
            size,
            at,
        };
        (header.local() == bytes).then_some(header)
    }
}

/// All that stands behind the last file.
fn tail(headers: &[Header], at: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = headers.iter().flat_map(Header::central).collect();
    let (size, count) = (bytes.len() as u64, headers.len() as u64);
    let far = at >= u64::from(SEE_64);
    if far {
        let end = at + size;
        bytes.extend_from_slice(&END_64);
        put_64(&mut bytes, &[44]);
        put_16(&mut bytes, &[3 << 8 | LARGE, LARGE]);
        put_32(&mut bytes, &[0, 0]);
        put_64(&mut bytes, &[count, count, size, at]);
        bytes.extend_from_slice(&LOCATOR_64);
        put_32(&mut bytes, &[0]);
        put_64(&mut bytes, &[end]);
        put_32(&mut bytes, &[1]);
    }
    bytes.extend_from_slice(&END);
    put_16(&mut bytes, &[0, 0, count as u16, count as u16]);
    put_32(&mut bytes, &[size as u32, short(at, far)]);
    put_16(&mut bytes, &[0]);
    bytes
}

/// A time as MS-DOS counted it, in UTC: from 1980 to 2107, in steps of two seconds.
fn stamp(time: Timestamp) -> u32 {
    let time = time.to_zoned(TimeZone::UTC);
    let year = (i32::from(time.year()) - 1980).clamp(0, 127) as u32;
    let date = year << 9 | (time.month() as u32) << 5 | time.day() as u32;
    let clock = (time.hour() as u32) << 11 | (time.minute() as u32) << 5 | (time.second() as u32 / 2);
    date << 16 | clock
}

fn short(number: u64, is_elsewhere: bool) -> u32 {
    if is_elsewhere { SEE_64 } else { number as u32 }
}

fn put_16(bytes: &mut Vec<u8>, numbers: &[u16]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn put_32(bytes: &mut Vec<u8>, numbers: &[u32]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn put_64(bytes: &mut Vec<u8>, numbers: &[u64]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn get_16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn get_32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn get_64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Whether a file of evidence may be called so: small letters, digits, dots, hyphens; no folders, nothing hidden.
fn is_plain(name: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(fits)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !name.contains("..")
}

/// Size and digest of what was written or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

/// Counts and digests what passes.
struct Meter {
    bytes: u64,
    crc: Crc,
    sha256: Context,
}

impl Meter {
    fn new() -> Self {
        Self { bytes: 0, crc: Crc::new(), sha256: Context::new(&SHA256) }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc.update(bytes);
        self.sha256.update(bytes);
    }

    fn contents(self) -> Contents {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.sha256.finish().as_ref());
        Contents { bytes: self.bytes, sha256 }
    }
}

/// Writes an archive, one file after the other; however large a file is, it passes through little memory.
pub(crate) struct ZipWriter<W> {
    to: W,
    at: u64,
    stamp: u32,
    headers: Vec<Header>,
}

/// A file of an archive that is being written.
pub(crate) struct Member<'a, W: Write> {
    to: DeflateEncoder<&'a mut W>,
    meter: Meter,
}

impl<W: Write> Write for Member<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write_all(bytes)?;
        self.meter.take(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // A flush of the packed stream in the middle only costs room.
        Ok(())
    }
}

impl<W: Write + Seek> ZipWriter<W> {
    /// Begins an archive; its files have this date and time.
    pub(crate) fn new(to: W, time: Timestamp) -> Self {
        Self { to, at: 0, stamp: stamp(time), headers: Vec::new() }
    }

    /// Writes a file, by what `write` puts into it.
    pub(crate) fn add<T>(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Member<'_, W>) -> io::Result<T>,
    ) -> io::Result<(T, Contents)> {
        if !is_plain(name)
            || self.headers.len() == MOST_FILES
            || self.headers.iter().any(|known| known.name == name)
        {
            return Err(io::Error::other(format!("{name:?} can't be the next file of an archive")));
        }
        let at = self.at;
        let mut header = Header { name: name.to_owned(), stamp: self.stamp, crc: 0, packed: 0, size: 0, at };
        let start = header.local();
        self.to.write_all(&start)?;
        let (done, meter) = {
            let to = DeflateEncoder::new(&mut self.to, Compression::default());
            let mut member = Member { to, meter: Meter::new() };
            let done = write(&mut member)?;
            member.to.try_finish()?;
            header.packed = member.to.total_out();
            (done, member.meter)
        };
        header.size = meter.bytes;
        header.crc = meter.crc.sum();
        self.at = at + start.len() as u64 + header.packed;
        // What was not known before is filled in.
        self.to.seek(SeekFrom::Start(at))?;
        self.to.write_all(&header.local())?;
        self.to.seek(SeekFrom::Start(self.at))?;
        self.headers.push(header);
        Ok((done, meter.contents()))
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&tail(&self.headers, self.at))?;
        self.to.flush()?;
        Ok(self.to)
    }
}

/// Why something is no archive of ours.
#[derive(Debug)]
pub(super) enum ZipError {
    /// It is no zip file at all.
    NotAZip,
    /// It is one, but not as it was written; in plain words.
    Wrong(String),
    /// It can't be read.
    Io(io::Error),
}

impl From<io::Error> for ZipError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads an archive that [`ZipWriter`] wrote, and no other.
pub(super) struct ZipReader<R> {
    from: R,
    headers: Vec<Header>,
}

impl<R: Read + Seek> ZipReader<R> {
    /// Looks through the archive. What is in its files is not looked at yet.
    pub(super) fn new(mut from: R) -> Result<Self, ZipError> {
        let length = from.seek(SeekFrom::End(0))?;
        from.seek(SeekFrom::Start(0))?;
        let mut headers: Vec<Header> = Vec::new();
        let mut at = 0;
        loop {
            let mut start = [0; LOCAL_LENGTH];
            let got = read_some(&mut from, &mut start)?;
            if !start[..got].starts_with(&LOCAL) {
                if at == 0 && !start.starts_with(&END) {
                    return Err(ZipError::NotAZip);
                }
                if got < LOCAL.len() {
                    // Too few to tell the next file from the list at the end.
                    return Err(ZipError::Wrong(String::from("it is cut short: its end is missing")));
                }
                break;
            }
            let wrong = |what: &str| ZipError::Wrong(format!("file {} {what}", headers.len() + 1));
            let name_length = usize::from(get_16(&start, 26).unwrap_or_default());
            if got < LOCAL_LENGTH {
                return Err(wrong("is cut short"));
            }
            let mut bytes = start.to_vec();
            bytes.resize(LOCAL_LENGTH + name_length + EXTRA_LENGTH, 0);
            if read_some(&mut from, &mut bytes[LOCAL_LENGTH..])? < name_length + EXTRA_LENGTH {
                return Err(wrong("is cut short"));
            }
            let name = String::from_utf8_lossy(&bytes[LOCAL_LENGTH..][..name_length]).into_owned();
            if !is_plain(&name) {
                return Err(wrong(&format!("has a name that no file of evidence has: {name:?}")));
            }
            if headers.iter().any(|known| known.name == name) {
                return Err(ZipError::Wrong(format!("{name} is in it twice")));
            }
            let header = Header::from_local(&bytes, at)
                .ok_or_else(|| ZipError::Wrong(format!("the header of {name} is not as it was written")))?;
            let end = (at + bytes.len() as u64).checked_add(header.packed).filter(|end| *end <= length);
            let Some(end) = end else {
                return Err(ZipError::Wrong(format!("it is cut short within {name}")));
            };
            headers.push(header);
            if headers.len() > MOST_FILES {
                return Err(ZipError::Wrong(format!("it has more than {MOST_FILES} files")));
            }
            at = end;
            from.seek(SeekFrom::Start(at))?;
        }
        let wanted = tail(&headers, at);
        from.seek(SeekFrom::Start(at))?;
        let mut found = vec![0; wanted.len()];
        let got = read_some(&mut from, &mut found)?;
        if wanted[..got] != found[..got] {
            return Err(ZipError::Wrong(String::from(
                "the list of files at its end is not as it was written",
            )));
        }
        if got < wanted.len() {
            return Err(ZipError::Wrong(String::from("it is cut short: its end is missing")));
        }
        match length - (at + wanted.len() as u64) {
            0 => Ok(Self { from, headers }),
            more => Err(ZipError::Wrong(format!("{more} bytes stand behind its end"))),
        }
    }

    /// The names of the files, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|header| header.name.as_str())
    }

    /// Whether all files have this date and time.
    pub(super) fn is_of(&self, time: Timestamp) -> bool {
        self.headers.iter().all(|header| header.stamp == stamp(time))
    }

    /// How large a file is said to be; none when there is none of this name.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.size)
    }

    /// Unpacks a file to `to`, and never more than it is said to have.
    pub(super) fn unpack(&mut self, name: &str, mut to: impl Write) -> Result<Contents, ZipError> {
        let wrong = |what: String| ZipError::Wrong(format!("{name} {what}"));
        let header = self.headers.iter().find(|header| header.name == name);
        let header = header.ok_or_else(|| wrong(String::from("is missing")))?;
        self.from.seek(SeekFrom::Start(header.at + header.local().len() as u64))?;
        let packed = BufReader::new((&mut self.from).take(header.packed));
        let mut text = DeflateDecoder::new(packed);
        let mut meter = Meter::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let got = match text.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                // The reader below is a file or memory, whose own errors are rare and not of these kinds.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) =>
                {
                    return Err(wrong(String::from("can't be unpacked: it was changed")));
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(wrong(String::from("can't be unpacked: it was cut short")));
                }
                Err(error) => return Err(error.into()),
            };
            meter.take(&buffer[..got]);
            if meter.bytes > header.size {
                return Err(wrong(format!(
                    "unpacks to more than the {} bytes that it should have",
                    header.size
                )));
            }
            to.write_all(&buffer[..got])?;
        }
        if meter.bytes < header.size {
            return Err(wrong(format!("unpacks to {} bytes and should have {}", meter.bytes, header.size)));
        }
        if text.total_in() != header.packed {
            return Err(wrong(String::from("has bytes behind its end")));
        }
        if meter.crc.sum() != header.crc {
            return Err(wrong(String::from("does not have the checksum that it should have")));
        }
        Ok(meter.contents())
    }
}

/// Reads until the buffer is full or the end is reached; gives how much was read.
fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match from.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

impl<R> std::fmt::Debug for ZipReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZipReader").field("headers", &self.headers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, process::Command};

    use super::*;

    fn time() -> Timestamp {
        "2026-11-22T09:30:12Z".parse().unwrap()
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()), time());
        for (name, text) in files {
            zip.add(name, |to| to.write_all(text)).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn text() -> Vec<u8> {
        (0..30_000_u32).flat_map(|i| format!("{i},{}\r\n", i % 97).into_bytes()).collect()
    }

    fn wrong(bytes: &[u8]) -> String {
        let unpacked = ZipReader::new(Cursor::new(bytes)).and_then(|mut zip| {
            let names: Vec<String> = zip.names().map(str::to_owned).collect();
            names.iter().try_for_each(|name| zip.unpack(name, io::sink()).map(drop))
        });
        match unpacked {
            Err(ZipError::Wrong(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_packed_comes_back_and_other_programs_read_it() {
        let text = text();
        let bytes = archive(&[("rows.csv", &text), ("empty.txt", b""), ("manifest.json", b"{}")]);
        assert!(bytes.len() < text.len() / 2, "it is packed");
        let mut zip = ZipReader::new(Cursor::new(&bytes)).unwrap();
        assert_eq!(zip.names().collect::<Vec<_>>(), ["rows.csv", "empty.txt", "manifest.json"]);
        let mut back = Vec::new();
        let contents = zip.unpack("rows.csv", &mut back).unwrap();
        assert_eq!(back, text);
        assert_eq!(contents.bytes, text.len() as u64);
        assert_eq!(contents.sha256[..], ring::digest::digest(&SHA256, &text).as_ref()[..]);
        assert_eq!(zip.unpack("empty.txt", io::sink()).unwrap().bytes, 0);
        assert!(zip.is_of(time()) && !zip.is_of("2026-11-22T09:30:14Z".parse().unwrap()));

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.zip");
        std::fs::write(&file, &bytes).unwrap();
        let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                      print([(i.filename, i.file_size, i.date_time) for i in z.infolist()])";
        let python = Command::new("python3").args(["-c", script]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&python.stdout).into_owned();
        assert!(
            said.contains("('rows.csv', ") && said.contains("(2026, 11, 22, 9, 30, 12)"),
            "{said} {python:?}"
        );
    }

    #[test]
    fn what_is_no_zip_is_told_apart_from_one_that_was_changed() {
        for bytes in [&b""[..], b"P", b"hello, this is no zip file", &[0; 100]] {
            assert!(matches!(ZipReader::new(Cursor::new(bytes)), Err(ZipError::NotAZip)), "{bytes:?}");
        }
        let bytes = archive(&[("rows.csv", &text()), ("manifest.json", b"{}")]);
        for length in LOCAL.len()..bytes.len() {
            let said = wrong(&bytes[..length]);
            assert!(said.contains("cut short"), "{length} bytes: {said}");
        }
        assert!(wrong(&[&bytes[..], b"x"].concat()).contains("1 bytes stand behind its end"));
        assert!(matches!(ZipReader::new(Cursor::new([b"x", &bytes[..]].concat())), Err(ZipError::NotAZip)));
    }

    #[test]
    fn tricks_with_names_and_places_are_found() {
        let two = archive(&[("rows.csv", b"one"), ("rows.cst", b"two")]);
        let renamed = |to: &[u8; 8]| {
            let mut bytes = two.clone();
            for at in 0..bytes.len() - 8 {
                if &bytes[at..at + 8] == b"rows.cst" {
                    bytes[at..at + 8].copy_from_slice(to);
                }
            }
            bytes
        };
        assert_eq!(wrong(&renamed(b"rows.csv")), "rows.csv is in it twice");
        for name in
            [b"../../et", b"/etc/pas", b"rows\\cst", b".bashrc1", b"rows/cst", b"ROWS.CST", b"rows\0cst"]
        {
            assert!(wrong(&renamed(name)).contains("has a name that no file of evidence has"), "{name:?}");
        }
        // Only the list at the end says another name: some programs go by the one, some by the other.
        let mut bytes = two.clone();
        let at = bytes.windows(8).rposition(|part| part == b"rows.cst").unwrap();
        bytes[at..at + 8].copy_from_slice(b"rows.exe");
        assert_eq!(wrong(&bytes), "the list of files at its end is not as it was written");
        // Bytes between two files.
        let second = two.windows(4).rposition(|part| part == LOCAL).unwrap();
        let between = [&two[..second], b"hidden", &two[second..]].concat();
        assert_eq!(wrong(&between), "the list of files at its end is not as it was written");
    }

    #[test]
    fn a_file_that_unpacks_to_more_or_less_than_it_says_is_found() {
        let zeros = vec![0; 10_000_000];
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()), time());
        zip.add("rows.csv", |to| to.write_all(&zeros)).unwrap();
        for (size, said) in [(9_999_999, "more than the 9999999 bytes"), (10_000_001, "should have 10000001")]
        {
            let header = Header { size, ..zip.headers[0].clone() };
            let mut bytes = zip.to.get_ref().clone();
            bytes[..header.local().len()].copy_from_slice(&header.local());
            bytes.extend(tail(&[header], zip.at));
            let found = wrong(&bytes);
            assert!(found.contains(said), "{found}");
        }
        // Something behind the end of the packed bytes, within their length.
        let mut header = zip.headers[0].clone();
        header.packed += 6;
        let mut bytes = header.local();
        bytes.extend(&zip.to.get_ref()[bytes.len()..]);
        bytes.extend(b"hidden");
        bytes.extend(tail(&[header], zip.at + 6));
        assert_eq!(wrong(&bytes), "rows.csv has bytes behind its end");
    }

    #[test]
    fn a_change_of_any_byte_is_noticed_or_changes_nothing_of_what_is_in_the_files() {
        let bytes = archive(&[("rows.csv", b"time,client\r\n"), ("manifest.json", b"{}")]);
        let unpacked = |bytes: &[u8]| -> Result<(Vec<u8>, Vec<u8>), ZipError> {
            let mut zip = ZipReader::new(Cursor::new(bytes))?;
            let (mut rows, mut manifest) = (Vec::new(), Vec::new());
            zip.unpack("rows.csv", &mut rows)?;
            zip.unpack("manifest.json", &mut manifest)?;
            Ok((rows, manifest))
        };
        let (mut same, whole) = (0, unpacked(&bytes).unwrap());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                if let Ok(files) = unpacked(&changed) {
                    assert_eq!(files, whole, "bit {bit} of byte {at}");
                    same += 1;
                }
            }
        }
        // Packed bits end within a byte, whose rest no program reads.
        assert!(same < 16, "{same} bits");
    }

    #[test]
    fn headers_of_more_than_4_gib_say_so_and_are_read_again() {
        let far = u64::from(u32::MAX) + 7;
        for (packed, size, at) in [(5, far, 0), (far, far, 0), (5, 9, far), (far, far * 3, far)] {
            let header = Header { name: "rows.csv".into(), stamp: 1, crc: 2, packed, size, at };
            assert_eq!(Header::from_local(&header.local(), at), Some(header.clone()));
            assert_eq!(header.local().len(), LOCAL_LENGTH + 8 + EXTRA_LENGTH);
            let end = tail(&[header], at + packed);
            assert_eq!(at + packed >= u64::from(u32::MAX), end.windows(4).any(|part| part == END_64));
        }
    }
}
