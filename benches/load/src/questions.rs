//! Questions in wire format (RFC 1035), encoded before anything is measured.

use std::{fs, path::Path};

use crate::{Outcome, names::Random};

/// Questions one after the other, each with room for its identifier in front.
pub(crate) struct Questions {
    bytes: Vec<u8>,
    /// Where each begins, and where the last ends.
    starts: Vec<usize>,
}

impl Questions {
    /// Reads a file of a name and a type a line.
    pub(crate) fn read(file: &Path) -> Outcome<Self> {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut all = Self { bytes: Vec::new(), starts: vec![0] };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (name, kind) = line.trim().split_once(' ').unwrap_or((line.trim(), "A"));
            all.push(name, kind.trim())?;
        }
        if all.len() == 0 {
            return Err(format!("{}: there is no question", file.display()).into());
        }
        Ok(all)
    }

    /// The same questions in another order: up to so many of one length are next to each other, lengths come as they may.
    pub(crate) fn side_by_side(self, most: usize) -> Self {
        let mut order: Vec<_> = (0..self.len()).collect();
        order.sort_by_key(|at| self.get(*at).len());
        let alike = order.chunk_by(|a, b| self.get(*a).len() == self.get(*b).len());
        let mut groups: Vec<_> = alike.flat_map(|alike| alike.chunks(most)).collect();
        let mut random = Random(5);
        for at in (1..groups.len()).rev() {
            groups.swap(at, random.below(at as u64 + 1) as usize);
        }
        let mut sorted = Self { bytes: Vec::with_capacity(self.bytes.len()), starts: vec![0] };
        for at in groups.concat() {
            sorted.bytes.extend_from_slice(self.get(at));
            sorted.starts.push(sorted.bytes.len());
        }
        sorted
    }

    fn push(&mut self, name: &str, kind: &str) -> Outcome<()> {
        let kind: u16 = match kind {
            "A" => 1,
            "TXT" => 16,
            "AAAA" => 28,
            "HTTPS" => 65,
            _ => return Err(format!("{name} {kind}: not a type that is asked for here").into()),
        };
        // An identifier to come, RD, one question.
        self.bytes.extend_from_slice(&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.trim_end_matches('.').split('.') {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length));
            self.bytes.push(length.ok_or_else(|| format!("{name}: not a name"))?);
            self.bytes.extend_from_slice(label.as_bytes());
        }
        self.bytes.push(0);
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&[0, 1]);
        self.starts.push(self.bytes.len());
        Ok(())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Gives a question its identifier.
    pub(crate) fn number(&mut self, at: usize, id: u16) {
        self.bytes[self.starts[at]..][..2].copy_from_slice(&id.to_be_bytes());
    }

    /// The bytes of a question.
    pub(crate) fn get(&self, at: usize) -> &[u8] {
        &self.bytes[self.starts[at]..self.starts[at + 1]]
    }

    /// How many from a question on have its length, up to so many.
    pub(crate) fn alike(&self, at: usize, most: usize) -> usize {
        let end = (at + most).min(self.len());
        (at..end).take_while(|other| self.get(*other).len() == self.get(at).len()).count()
    }

    /// So many questions of one length, and the length.
    pub(crate) fn several(&self, at: usize, count: usize) -> (&[u8], u16) {
        let length = (self.starts[at + 1] - self.starts[at]) as u16;
        (&self.bytes[self.starts[at]..self.starts[at + count]], length)
    }
}
