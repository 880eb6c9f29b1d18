//! The usual question: a header, one question of class IN, and at most an OPT record. Nearly all that a school's machines
//! send is of this form, and it is read here without allocating.

use hickory_proto::rr::RecordType;

use crate::name::Key;

/// The bytes of a message's header (RFC 1035, section 4.1.1).
pub(super) const HEADER: usize = 12;

/// The type number of OPT.
const OPT: u16 = 41;

/// The class IN.
const IN: u16 = 1;

const OPTION_SUBNET: u16 = 8;
const OPTION_EDE: u16 = 15;

/// A usual question: as it stands in its packet, and what it asks.
#[derive(Debug)]
pub(super) struct Usual<'a> {
    packet: &'a [u8],
    /// How many bytes the name takes.
    name: usize,
    pub(super) qtype: RecordType,
    /// AD: the asker understands AD in the answer (RFC 6840, section 5.7).
    pub(super) authentic_data: bool,
    pub(super) edns: Option<UsualEdns>,
}

/// What its OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsualEdns {
    /// The largest UDP answer that the asker takes, as it said.
    pub(super) payload: u16,
    /// DO.
    pub(super) dnssec_ok: bool,
}

impl<'a> Usual<'a> {
    /// Reads a packet: the question, and the key of its name. None for whatever the ordinary way has to think about: what is
    /// malformed, other opcodes, classes and types that are no data, questions without RD or with CD, names that the product's
    /// own records may compress with, those that tell of encrypted DNS, options that ask for more.
    pub(super) fn read(packet: &'a [u8]) -> Option<(Self, Key)> {
        let header = packet.first_chunk::<HEADER>()?;
        // QR and opcode are 0, RD is set; CD is not.
        if header[2] & 0xf9 != 0x01 || header[3] & 0x10 != 0 {
            return None;
        }
        let [0, 1, 0, 0, 0, 0, 0, additional @ (0 | 1)] = header[4..] else { return None };
        let rest = &packet[HEADER..];
        let (key, name) = Key::from_wire(rest)?;
        let (fixed, behind) = rest.get(name..)?.split_first_chunk::<4>()?;
        let (qtype, class) =
            (u16::from_be_bytes([fixed[0], fixed[1]]), u16::from_be_bytes([fixed[2], fixed[3]]));
        // From 128 to 255 are types that stand in questions only; those of 0 and OPT in none.
        if class != IN
            || matches!(qtype, 0 | OPT | 128..=255)
            || key.depth() == 0
            || key.prefix(1) == b"invalid"
            || key.prefix(2) == b"arpa.resolver"
        {
            return None;
        }
        let edns = match additional {
            0 if behind.is_empty() => None,
            1 => Some(UsualEdns::read(behind)?),
            _ => return None,
        };
        let usual = Self {
            packet,
            name,
            qtype: RecordType::from(qtype),
            authentic_data: header[3] & 0x20 != 0,
            edns,
        };
        Some((usual, key))
    }

    /// The name as it stands in the packet.
    pub(super) fn name(&self) -> &'a [u8] {
        &self.packet[HEADER..HEADER + self.name]
    }

    /// Where the question ends.
    pub(super) fn end(&self) -> usize {
        HEADER + self.name + 4
    }

    /// Header and question.
    pub(super) fn bytes(&self) -> &'a [u8] {
        &self.packet[..self.end()]
    }

    pub(super) fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }
}

impl UsualEdns {
    fn read(record: &[u8]) -> Option<Self> {
        let (fixed, mut options) = record.split_first_chunk::<11>()?;
        let &[0, t1, t2, p1, p2, 0, 0, flags, _, l1, l2] = fixed else { return None };
        if u16::from_be_bytes([t1, t2]) != OPT || usize::from(u16::from_be_bytes([l1, l2])) != options.len() {
            return None;
        }
        while !options.is_empty() {
            let (fixed, behind) = options.split_first_chunk::<4>()?;
            // A client subnet may name another client; an extended error asks for structured texts.
            if matches!(u16::from_be_bytes([fixed[0], fixed[1]]), OPTION_SUBNET | OPTION_EDE) {
                return None;
            }
            options = behind.get(usize::from(u16::from_be_bytes([fixed[2], fixed[3]]))..)?;
        }
        Some(Self { payload: u16::from_be_bytes([p1, p2]), dnssec_ok: flags & 0x80 != 0 })
    }
}
