//! The bytes of messages: what a transfer needs of RFC 1035, section 4, and no more.
//!
//! Read here and not by the resolver's library, since signatures are over the bytes as they came, and since a zone of a
//! million records is read without making a structure of each.

/// The bytes of a message's header.
const HEADER: usize = 12;
/// The most bytes of a name, the root's included.
const MAX_NAME: usize = 255;

/// Types by their numbers.
pub(super) mod kind {
    pub(in super::super) const A: u16 = 1;
    pub(in super::super) const NS: u16 = 2;
    pub(in super::super) const CNAME: u16 = 5;
    pub(in super::super) const SOA: u16 = 6;
    pub(in super::super) const PTR: u16 = 12;
    pub(in super::super) const MX: u16 = 15;
    pub(in super::super) const TXT: u16 = 16;
    pub(in super::super) const AAAA: u16 = 28;
    pub(in super::super) const SRV: u16 = 33;
    pub(in super::super) const DNAME: u16 = 39;
    pub(in super::super) const TSIG: u16 = 250;
    pub(in super::super) const IXFR: u16 = 251;
    pub(in super::super) const AXFR: u16 = 252;
}

/// The class IN.
pub(super) const IN: u16 = 1;
/// The class ANY, which TSIG records have.
pub(super) const ANY: u16 = 255;
/// The operation of a question.
pub(super) const QUERY: u8 = 0;
/// The operation that tells of a new version (RFC 1996).
pub(super) const NOTIFY: u8 = 4;

/// The bytes are not what they have to be; says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Garbled(pub(super) &'static str);

const SHORT: Garbled = Garbled("a message is cut off");

/// A name in lower case, uncompressed.
#[derive(Clone)]
pub(super) struct Name {
    bytes: [u8; MAX_NAME],
    length: usize,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.wire() == other.wire()
    }
}

impl Eq for Name {}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl Name {
    /// The root.
    fn root() -> Self {
        Self { bytes: [0; MAX_NAME], length: 1 }
    }

    /// A name from the resolver library's; none when it is too long for the wire.
    pub(super) fn of(name: &hickory_proto::rr::Name) -> Option<Self> {
        let mut built = Self { length: 0, ..Self::root() };
        for label in name.iter() {
            built.push(label).ok()?;
        }
        built.close().ok()
    }

    fn push(&mut self, label: &[u8]) -> Result<(), Garbled> {
        let end = self.length + 1 + label.len();
        if end >= MAX_NAME {
            return Err(Garbled("a name is too long"));
        }
        self.bytes[self.length] = label.len() as u8;
        for (to, from) in self.bytes[self.length + 1..end].iter_mut().zip(label) {
            *to = from.to_ascii_lowercase();
        }
        self.length = end;
        Ok(())
    }

    fn close(mut self) -> Result<Self, Garbled> {
        // `push` left room for it.
        self.bytes[self.length] = 0;
        self.length += 1;
        Ok(self)
    }

    /// Its bytes, the root's zero included.
    pub(super) fn wire(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Its labels above `zone`, as a name without an end; none when it is not in the zone.
    pub(super) fn above<'a>(&'a self, zone: &Self) -> Option<&'a [u8]> {
        let cut = self.length.checked_sub(zone.length)?;
        if self.wire()[cut..] != *zone.wire() {
            return None;
        }
        // The end must begin at a label, not within one.
        let mut at = 0;
        while at < cut {
            at += 1 + usize::from(self.bytes[at]);
        }
        (at == cut).then_some(&self.bytes[..cut])
    }

    /// As zone files write it, with its last dot.
    pub(super) fn text(&self) -> String {
        let mut text = Vec::new();
        push_name(&mut text, self);
        // `push_label` writes ASCII.
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Writes a name with its last dot.
pub(super) fn push_name(out: &mut Vec<u8>, name: &Name) {
    if name.length == 1 {
        out.push(b'.');
        return;
    }
    push_labels(out, &name.bytes[..name.length - 1]);
    out.push(b'.');
}

/// Writes labels with dots between them.
pub(super) fn push_labels(out: &mut Vec<u8>, mut labels: &[u8]) {
    let mut first = true;
    while let Some((&length, rest)) = labels.split_first() {
        let (label, after) = rest.split_at(usize::from(length).min(rest.len()));
        if !first {
            out.push(b'.');
        }
        first = false;
        push_escaped(out, label);
        labels = after;
    }
}

/// Writes bytes so that nothing in them means anything to a reader of zone files.
///
/// Everything but letters, digits and a few signs is `\DDD`: a bracket or a quotation mark that a reader takes for its
/// own could swallow the lines after it.
pub(super) fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte),
            b'-' | b'_' | b'*' | b'/' | b'+' | b':' | b'=' | b',' | b'!' | b'%' | b'&' | b'~' => {
                out.push(byte)
            }
            _ => {
                let [hundreds, tens, ones] =
                    [byte / 100, byte / 10 % 10, byte % 10].map(|digit| b'0' + digit);
                out.extend_from_slice(&[b'\\', hundreds, tens, ones]);
            }
        }
    }
}

/// Reads on from a place in a message.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Garbled> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end)).ok_or(SHORT)?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Garbled> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Garbled> {
        let two = self.take(2)?;
        Ok(u16::from_be_bytes([two[0], two[1]]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Garbled> {
        let four = self.take(4)?;
        Ok(u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
    }

    pub(super) fn u48(&mut self) -> Result<u64, Garbled> {
        Ok(u64::from(self.u16()?) << 32 | u64::from(self.u32()?))
    }

    /// Reads a name, compressed or not.
    pub(super) fn name(&mut self) -> Result<Name, Garbled> {
        let mut name = Name { length: 0, ..Name::root() };
        let mut from = self.clone();
        let mut jumped = false;
        // Every jump must lead before the one before, so that there is an end.
        let mut before = self.at;
        loop {
            let length = from.u8()?;
            match length {
                0 => break,
                1..=63 => name.push(from.take(usize::from(length))?)?,
                0xc0.. => {
                    let to = usize::from(length & 0x3f) << 8 | usize::from(from.u8()?);
                    if !jumped {
                        self.at = from.at;
                        jumped = true;
                    }
                    if to >= before {
                        return Err(Garbled("a compressed name leads nowhere"));
                    }
                    before = to;
                    from.at = to;
                }
                _ => return Err(Garbled("a name has a label of a kind that nobody uses")),
            }
        }
        if !jumped {
            self.at = from.at;
        }
        name.close()
    }

    fn skip_name(&mut self) -> Result<(), Garbled> {
        loop {
            match self.u8()? {
                0 => return Ok(()),
                length @ 1..=63 => self.take(usize::from(length))?,
                0xc0.. => {
                    self.u8()?;
                    return Ok(());
                }
                _ => return Err(Garbled("a name has a label of a kind that nobody uses")),
            };
        }
    }
}

/// A message whose parts are where they have to be.
#[derive(Clone)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    pub(super) id: u16,
    flags: u16,
    questions: u16,
    answers: u16,
    answers_at: usize,
    /// Where the TSIG record begins; it is the last.
    pub(super) tsig_at: Option<usize>,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) kind: u16,
    pub(super) class: u16,
}

/// A record of a message.
pub(super) struct Record<'a> {
    pub(super) owner: Name,
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    message: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Message<'a> {
    /// Walks over all parts of a message.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Garbled> {
        let mut reader = Reader::new(bytes, 0);
        let id = reader.u16()?;
        let flags = reader.u16()?;
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        if counts[0] > 1 {
            return Err(Garbled("a message has more than one question"));
        }
        for _ in 0..counts[0] {
            reader.skip_name()?;
            reader.take(4)?;
        }
        let answers_at = reader.at();
        let mut tsig_at = None;
        for (section, count) in counts.iter().enumerate().skip(1) {
            for place in 0..*count {
                let start = reader.at();
                reader.skip_name()?;
                let kind = reader.u16()?;
                reader.take(6)?;
                let length = reader.u16()?;
                reader.take(usize::from(length))?;
                if kind == kind::TSIG {
                    // RFC 8945, section 5.1: the last of all, and only one.
                    if section != 3 || place + 1 != *count {
                        return Err(Garbled("a signature does not stand at the end of its message"));
                    }
                    tsig_at = Some(start);
                }
            }
        }
        if reader.at() != bytes.len() {
            return Err(Garbled("there is something behind the end of a message"));
        }
        Ok(Self { bytes, id, flags, questions: counts[0], answers: counts[1], answers_at, tsig_at })
    }

    /// All of it.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub(super) fn opcode(&self) -> u8 {
        (self.flags >> 11) as u8 & 0x0f
    }

    pub(super) fn is_authoritative(&self) -> bool {
        self.flags & 0x0400 != 0
    }

    pub(super) fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    pub(super) fn rcode(&self) -> u8 {
        (self.flags & 0x0f) as u8
    }

    pub(super) fn question(&self) -> Result<Option<Question>, Garbled> {
        if self.questions == 0 {
            return Ok(None);
        }
        let mut reader = Reader::new(self.bytes, HEADER);
        Ok(Some(Question { name: reader.name()?, kind: reader.u16()?, class: reader.u16()? }))
    }

    /// The bytes of the question section.
    pub(super) fn question_bytes(&self) -> &'a [u8] {
        &self.bytes[HEADER..self.answers_at]
    }

    /// The answer section.
    pub(super) fn answers(&self) -> impl Iterator<Item = Result<Record<'a>, Garbled>> + use<'a> {
        let mut reader = Reader::new(self.bytes, self.answers_at);
        let count = self.answers;
        (0..count).map(move |_| Record::read(&mut reader))
    }

    /// The TSIG record.
    pub(super) fn tsig(&self) -> Result<Option<Record<'a>>, Garbled> {
        self.tsig_at.map(|at| Record::read(&mut Reader::new(self.bytes, at))).transpose()
    }
}

impl<'a> Record<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Garbled> {
        let owner = reader.name()?;
        let (kind, class, ttl) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let length = usize::from(reader.u16()?);
        let start = reader.at();
        reader.take(length)?;
        Ok(Self { owner, kind, class, ttl, message: reader.bytes, start, end: start + length })
    }

    /// A reader at its data; names in it may lead back into the message.
    pub(super) fn data(&self) -> Reader<'a> {
        // Nothing of the message behind the data can be read from here.
        Reader::new(&self.message[..self.end], self.start)
    }

    /// The data as they came.
    pub(super) fn raw(&self) -> &'a [u8] {
        &self.message[self.start..self.end]
    }
}

/// A question about a zone; of type IXFR with the version that is had.
pub(super) fn question(id: u16, zone: &Name, kind: u16, have: Option<u32>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(&id.to_be_bytes());
    let authorities = u8::from(have.is_some());
    bytes.extend_from_slice(&[QUERY << 3, 0, 0, 1, 0, 0, 0, authorities, 0, 0]);
    bytes.extend_from_slice(zone.wire());
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&IN.to_be_bytes());
    if let Some(serial) = have {
        // RFC 1995, section 3: an SOA of which only the serial counts.
        bytes.extend_from_slice(zone.wire());
        bytes.extend_from_slice(&kind::SOA.to_be_bytes());
        bytes.extend_from_slice(&IN.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&22u16.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&serial.to_be_bytes());
        bytes.extend_from_slice(&[0; 16]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::of(&hickory_proto::rr::Name::from_ascii(text).unwrap()).unwrap()
    }

    #[test]
    fn names_are_read_compressed_in_lower_case() {
        // "Example." at 0, "A.Example." at 9 by a jump to 0.
        let bytes = b"\x07Example\x00\x01A\xc0\x00\xff";
        let mut reader = Reader::new(bytes, 9);
        assert_eq!(reader.name().unwrap(), name("a.example."));
        assert_eq!(reader.at(), 13);
    }

    #[test]
    fn a_name_that_jumps_to_itself_or_forward_is_refused() {
        assert!(Reader::new(b"\xc0\x00", 0).name().is_err());
        assert!(Reader::new(b"\x01a\xc0\x00", 0).name().is_err());
        assert!(Reader::new(b"\xc0\x02\x00", 0).name().is_err());
        assert!(Reader::new(b"\x41a\x00", 0).name().is_err());
    }

    #[test]
    fn a_name_over_255_bytes_is_refused() {
        let long = [&[63; 64][..]; 4].concat();
        assert_eq!(Reader::new(&long, 0).name().unwrap_err(), Garbled("a name is too long"));
    }

    #[test]
    fn a_name_is_in_its_zone_by_whole_labels() {
        let zone = name("rpz.example.");
        assert_eq!(name("a.rpz.example.").above(&zone).unwrap(), b"\x01a");
        assert_eq!(name("rpz.example.").above(&zone).unwrap(), b"");
        assert!(name("arpz.example.").above(&zone).is_none());
        assert!(name("example.").above(&zone).is_none());
    }

    #[test]
    fn what_means_something_to_zone_files_is_escaped() {
        let mut out = Vec::new();
        push_labels(&mut out, b"\x09a.b;(\")$@\x01*");
        assert_eq!(String::from_utf8(out).unwrap(), "a\\046b\\059\\040\\034\\041\\036\\064.*");
    }

    #[test]
    fn the_resolver_librarys_names_come_over_whole() {
        assert_eq!(name(".").wire(), [0]);
        assert_eq!(name("A.b.").wire(), b"\x01a\x01b\x00");
        assert_eq!(name(".").text(), ".");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(message) = Message::read(&bytes) {
                let _ = message.question();
                for record in message.answers() {
                    let _ = record.map(|record| record.data().name());
                }
            }
        }
    }
}
