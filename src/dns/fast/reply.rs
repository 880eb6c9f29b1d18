//! Replies to usual questions, written where they are sent from. Each is, byte for byte, what
//! [`Reply::encode`](super::super::answer::Reply::encode) makes of the same reply; a property test compares them.

use std::net::IpAddr;

use hickory_proto::{op::ResponseCode, rr::RecordType};

use super::usual::{HEADER, Usual};
use crate::{
    dns::{
        answer::{MAX_EDE_TEXT, Room},
        forge::{PageAddresses, SOA_NUMBERS},
    },
    ede::Ede,
    policy::BlockResponse,
    resolver::{Kept, Security},
};

/// A pointer to the name of the question.
const ASKED: [u8; 2] = [0xc0, HEADER as u8];

/// `schoolgate.invalid.` and `nobody`, whose pointer to `invalid.` follows.
const MNAME: &[u8] = b"\x0aschoolgate\x07invalid\x00";
const RNAME: &[u8] = b"\x06nobody";
/// Where `invalid.` begins in `MNAME`.
const INVALID: usize = 11;

/// A reply that grows in a buffer; none of its steps goes beyond the buffer's end.
struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.out.get_mut(self.at..self.at + bytes.len())?.copy_from_slice(bytes);
        self.at += bytes.len();
        Some(())
    }

    fn put16(&mut self, number: u16) -> Option<()> {
        self.put(&number.to_be_bytes())
    }

    /// A record's fixed part; its owner is the name asked.
    fn record(&mut self, kind: RecordType, ttl: u32, length: usize) -> Option<()> {
        self.put(&ASKED)?;
        self.put16(u16::from(kind))?;
        self.put16(1)?;
        self.put(&ttl.to_be_bytes())?;
        self.put16(u16::try_from(length).ok()?)
    }
}

/// The header and the question of a reply, with no records yet.
fn begin<'a>(out: &'a mut [u8], question: &Usual<'_>, rcode: ResponseCode) -> Option<Writer<'a>> {
    let mut writer = Writer { out, at: 0 };
    writer.put(question.bytes())?;
    // QR, RD; RA.
    let (flags, counts) = ([0x81, 0x80 | rcode.low()], [0, 1, 0, 0, 0, 0, 0, 0]);
    writer.out[2..4].copy_from_slice(&flags);
    writer.out[4..HEADER].copy_from_slice(&counts);
    Some(writer)
}

/// Adds the OPT record, for askers that have one, and says how long the reply is; none where it is longer than the asker
/// takes.
fn end(mut writer: Writer<'_>, question: &Usual<'_>, ede: Option<&Ede>, room: Room) -> Option<usize> {
    let limit = match question.edns {
        Some(edns) => {
            writer.out[HEADER - 1] = 1;
            writer.put(&[0, 0, 41])?;
            writer.put16(room.udp_size)?;
            writer.put(&[0, 0, if edns.dnssec_ok { 0x80 } else { 0 }, 0])?;
            match ede {
                Some(ede) => {
                    let text = if ede.text.len() <= MAX_EDE_TEXT { ede.text.as_bytes() } else { &[] };
                    let length = u16::try_from(text.len()).ok()? + 2;
                    writer.put16(length + 4)?;
                    writer.put16(15)?;
                    writer.put16(length)?;
                    writer.put16(ede.code as u16)?;
                    writer.put(text)?;
                }
                None => writer.put16(0)?,
            }
            edns.payload.clamp(512, room.udp_size)
        }
        None => 512,
    };
    (writer.at <= usize::from(limit)).then_some(writer.at)
}

/// The reply to a blocked question, as [`forge::blocked`](super::super::forge::blocked) has it; its code and its length.
pub(super) fn blocked(
    out: &mut [u8],
    question: &Usual<'_>,
    how: BlockResponse,
    ttl: u32,
    page: PageAddresses,
    ede: Option<&Ede>,
    room: Room,
) -> Option<(ResponseCode, usize)> {
    let rcode = match how {
        BlockResponse::Refused => ResponseCode::Refused,
        BlockResponse::NxDomain => ResponseCode::NXDomain,
        BlockResponse::NoData | BlockResponse::NullAddress | BlockResponse::BlockPage => {
            ResponseCode::NoError
        }
    };
    let address = match (how, question.qtype) {
        (BlockResponse::NullAddress, RecordType::A) => Some(IpAddr::from([0; 4])),
        (BlockResponse::NullAddress, RecordType::AAAA) => Some(IpAddr::from([0; 16])),
        (BlockResponse::BlockPage, RecordType::A) => page.v4.map(IpAddr::V4),
        (BlockResponse::BlockPage, RecordType::AAAA) => page.v6.map(IpAddr::V6),
        _ => None,
    };
    let mut writer = begin(out, question, rcode)?;
    match address {
        _ if how == BlockResponse::Refused => {}
        Some(IpAddr::V4(v4)) => {
            writer.out[7] = 1;
            writer.record(RecordType::A, ttl, 4)?;
            writer.put(&v4.octets())?;
        }
        Some(IpAddr::V6(v6)) => {
            writer.out[7] = 1;
            writer.record(RecordType::AAAA, ttl, 16)?;
            writer.put(&v6.octets())?;
        }
        None => {
            writer.out[9] = 1;
            writer.record(RecordType::SOA, ttl, MNAME.len() + RNAME.len() + 2 + 20)?;
            let invalid = u16::try_from(writer.at + INVALID).ok().filter(|place| *place < 0x4000)?;
            writer.put(MNAME)?;
            writer.put(RNAME)?;
            writer.put16(0xc000 | invalid)?;
            for number in SOA_NUMBERS {
                writer.put(&number.to_be_bytes())?;
            }
            writer.put(&ttl.to_be_bytes())?;
        }
    }
    Some((rcode, end(writer, question, ede, room)?))
}

/// The reply that hands out what lies in the cache.
pub(super) fn kept(out: &mut [u8], question: &Usual<'_>, kept: &Kept, room: Room) -> Option<usize> {
    let mut writer = begin(out, question, kept.rcode())?;
    writer.at = kept.copy(writer.out, question.end(), question.dnssec_ok())?;
    // RFC 6840, section 5.8: only to those who show that they understand the bit.
    if kept.security() == Security::Secure && (question.dnssec_ok() || question.authentic_data) {
        writer.out[3] |= 0x20;
    }
    end(writer, question, None, room)
}
