//! Lines in order, whatever their number: what does not fit in memory is sorted in parts, and the parts are merged.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// How many bytes of lines are kept in memory.
const ROOM: usize = 32 * 1024 * 1024;
/// How many bytes of each part are read at a time.
const READ: usize = 64 * 1024;
/// More bytes than any line has: the longest is a record of 64 KiB of which each byte is written as four.
const LONGEST: u64 = 512 * 1024;

/// Collects lines, and hands them out sorted by their bytes, each once.
pub(super) struct Sorter {
    lines: Vec<u8>,
    /// Where each line of `lines` begins and ends.
    places: Vec<(u32, u32)>,
    room: usize,
    /// Sorted parts, in files that no folder names any more.
    parts: Vec<File>,
    /// What files of parts are named after while they are made.
    beside: PathBuf,
}

impl Sorter {
    /// A sorter whose parts go beside this file.
    pub(super) fn new(beside: &Path) -> Self {
        Self::with_room(beside, ROOM)
    }

    fn with_room(beside: &Path, room: usize) -> Self {
        Self { lines: Vec::new(), places: Vec::new(), room, parts: Vec::new(), beside: beside.to_owned() }
    }

    /// Takes a line, which holds no line break.
    pub(super) fn push(&mut self, line: &[u8]) -> io::Result<()> {
        // A place costs as much as eight bytes of a line.
        if self.lines.len() + line.len() + self.places.len() * 8 > self.room && !self.places.is_empty() {
            self.put_aside()?;
        }
        let place = |at: usize| u32::try_from(at).map_err(|_| io::Error::other("a line is too long"));
        let start = place(self.lines.len())?;
        self.lines.extend_from_slice(line);
        self.places.push((start, place(self.lines.len())?));
        Ok(())
    }

    fn sort(&mut self) {
        let lines = &self.lines;
        let line = |place: &(u32, u32)| &lines[place.0 as usize..place.1 as usize];
        self.places.sort_unstable_by(|a, b| line(a).cmp(line(b)));
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.sort();
        let path = self.beside.with_extension(format!("part{}-{}", std::process::id(), self.parts.len()));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        // Nameless from here on, so that it is gone whatever ends this.
        std::fs::remove_file(&path)?;
        let mut out = BufWriter::with_capacity(READ, file);
        for &(start, end) in &self.places {
            out.write_all(&self.lines[start as usize..end as usize])?;
            out.write_all(b"\n")?;
        }
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.parts.push(file);
        self.lines.clear();
        self.places.clear();
        Ok(())
    }

    /// Writes all lines in order, each once, and gives their number.
    pub(super) fn write(mut self, out: &mut impl Write) -> io::Result<u64> {
        if self.parts.is_empty() {
            self.sort();
            let mut unique = Unique::new(out);
            for &(start, end) in &self.places {
                unique.write(&self.lines[start as usize..end as usize])?;
            }
            return Ok(unique.count);
        }
        self.put_aside()?;
        self.lines = Vec::new();
        self.places = Vec::new();
        let mut parts: Vec<_> =
            self.parts.into_iter().map(|file| BufReader::with_capacity(READ, file)).collect();
        let mut next = BinaryHeap::new();
        for (number, part) in parts.iter_mut().enumerate() {
            if let Some(line) = read_line(part)? {
                next.push(Reverse((line, number)));
            }
        }
        let mut unique = Unique::new(out);
        while let Some(Reverse((line, number))) = next.pop() {
            unique.write(&line)?;
            if let Some(line) = read_line(&mut parts[number])? {
                next.push(Reverse((line, number)));
            }
        }
        Ok(unique.count)
    }
}

/// Writes lines that come in order, each once.
struct Unique<'w, W> {
    out: &'w mut W,
    last: Option<Vec<u8>>,
    count: u64,
}

impl<'w, W: Write> Unique<'w, W> {
    fn new(out: &'w mut W) -> Self {
        Self { out, last: None, count: 0 }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.last.as_deref() == Some(line) {
            return Ok(());
        }
        self.out.write_all(line)?;
        self.out.write_all(b"\n")?;
        self.count += 1;
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(line);
        Ok(())
    }
}

/// The next line without its end; none at the end of the file.
pub(super) fn read_line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if from.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 == LONGEST {
        return Err(io::Error::other("a line is longer than any record"));
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_come_out_in_order_and_once_however_little_room_there_is(
            lines in proptest::collection::vec("[a-c]{0,4}", 0..60),
            room in 1..200usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::with_room(&folder.path().join("zone"), room);
            for line in &lines {
                sorter.push(line.as_bytes()).unwrap();
            }
            let mut out = Vec::new();
            let count = sorter.write(&mut out).unwrap();
            let sorted: BTreeSet<_> = lines.iter().collect();
            prop_assert_eq!(count, sorted.len() as u64);
            let expected: String = sorted.into_iter().flat_map(|line| [line, "\n"]).collect();
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
