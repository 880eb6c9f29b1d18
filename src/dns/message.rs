//! From bytes to a question, or to the bytes that say why it is none.
//!
//! Only what a resolver acts on is read: the header, the question, and the OPT record. Other records of a question
//! are walked over but not interpreted, so that their contents can't fail.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{DNSClass, Name, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};

/// The bytes of a message's header (RFC 1035, section 4.1.1).
const HEADER: usize = 12;
/// The type number of OPT.
pub(super) const OPT: u16 = 41;

const OPTION_SUBNET: u16 = 8;
const OPTION_KEEPALIVE: u16 = 11;
pub(super) const OPTION_PADDING: u16 = 12;
const OPTION_EDE: u16 = 15;

/// What arrived.
#[derive(Debug)]
pub(super) enum Received {
    /// A question that can be thought about.
    Question(Box<Question>),
    /// Not a question we can read: the whole answer to it.
    Wrong(Header),
    /// Nothing that may be answered: shorter than a header, or an answer itself.
    Nothing,
}

/// A question as it came.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// What the asker tells answers apart by.
    pub(super) id: u16,
    /// RD.
    pub(super) recursion_desired: bool,
    /// AD: the asker understands AD in the answer (RFC 6840, section 5.7).
    pub(super) authentic_data: bool,
    /// CD: the asker validates for itself.
    pub(super) checking_disabled: bool,
    /// Name (in the asker's case), type, class.
    pub(super) query: Query,
    /// The OPT record, if there was one.
    pub(super) edns: Option<ClientEdns>,
}

impl Question {
    /// Whether the asker wants DNSSEC records (DO).
    pub(super) fn dnssec_ok(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.dnssec_ok)
    }

    /// Whether the asker reads extended errors as structured text (it sent the option itself).
    pub(super) fn wants_structured_errors(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.structured_errors)
    }
}

/// What the asker's OPT record says (RFC 6891).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientEdns {
    /// Its version; we know 0.
    pub(super) version: u8,
    /// The largest UDP answer that the asker takes, as it said.
    pub(super) payload: u16,
    /// DO.
    pub(super) dnssec_ok: bool,
    /// It sent an extended-error option, which asks for structured texts.
    pub(super) structured_errors: bool,
    /// It sent a keepalive option (RFC 7828).
    pub(super) keepalive: bool,
    /// It sent a padding option (RFC 7830), so that the answer may have one.
    pub(super) padding: bool,
    /// The client behind a forwarder (RFC 7871), when the option names one.
    pub(super) subnet: Option<IpAddr>,
}

/// An answer that is a header and nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    id: u16,
    opcode: u8,
    recursion_desired: bool,
    /// Why there is no more.
    pub(super) rcode: ResponseCode,
}

impl Header {
    /// The twelve bytes: an answer with the asker's id, opcode and RD.
    pub(super) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[..2].copy_from_slice(&self.id.to_be_bytes());
        bytes[2] = 0x80 | (self.opcode << 3) | u8::from(self.recursion_desired);
        bytes[3] = 0x80 | self.rcode.low();
        bytes
    }

    /// The header that refuses a question for `rcode`.
    pub(super) fn of(question: &Question, rcode: ResponseCode) -> Self {
        Self { id: question.id, opcode: 0, recursion_desired: question.recursion_desired, rcode }
    }
}

/// Reads a message. Never panics.
pub(super) fn read(packet: &[u8]) -> Received {
    // Answers are never answered, or two servers could be made to talk for ever.
    let Some(header) = packet.first_chunk::<HEADER>().filter(|header| header[2] & 0x80 == 0) else {
        return Received::Nothing;
    };
    let id = u16::from_be_bytes([header[0], header[1]]);
    let opcode = (header[2] >> 3) & 0x0f;
    let recursion_desired = header[2] & 0x01 != 0;
    let wrong = |rcode| Received::Wrong(Header { id, opcode, recursion_desired, rcode });
    // Before the counts: another opcode gives them another meaning.
    if opcode != 0 {
        return wrong(ResponseCode::NotImp);
    }
    let counts = [4, 6, 8, 10].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
    // RFC 9619: a question has one question.
    if counts[0] != 1 {
        return wrong(ResponseCode::FormErr);
    }
    let Some((query, end)) = read_query(packet) else { return wrong(ResponseCode::FormErr) };
    let Some(edns) = read_edns(packet, end, &counts) else { return wrong(ResponseCode::FormErr) };
    Received::Question(Box::new(Question {
        id,
        recursion_desired,
        authentic_data: header[3] & 0x20 != 0,
        checking_disabled: header[3] & 0x10 != 0,
        query,
        edns,
    }))
}

/// The question section and where it ends.
fn read_query(packet: &[u8]) -> Option<(Query, usize)> {
    let mut decoder = BinDecoder::new(packet);
    decoder.read_slice(HEADER).ok()?;
    let name = Name::read(&mut decoder).ok()?;
    let qtype = RecordType::read(&mut decoder).ok()?;
    let class = DNSClass::read(&mut decoder).ok()?;
    let mut query = Query::query(name, qtype);
    query.set_query_class(class);
    Some((query, decoder.index()))
}

/// Walks the records behind the question for the OPT record; `None` when they are malformed, when there are two, or
/// when it stands where it must not.
fn read_edns(packet: &[u8], start: usize, counts: &[u16; 4]) -> Option<Option<ClientEdns>> {
    let mut rest = packet.get(start..)?;
    let mut found = None;
    for (section, count) in counts.iter().enumerate().skip(1) {
        for _ in 0..*count {
            let root = rest.first() == Some(&0);
            rest = skip_name(rest)?;
            let (fixed, after) = rest.split_first_chunk::<10>()?;
            let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            let data = after.get(..length)?;
            rest = &after[length..];
            if u16::from_be_bytes([fixed[0], fixed[1]]) != OPT {
                continue;
            }
            if section != 3 || !root || found.is_some() {
                return None;
            }
            let mut edns = ClientEdns {
                version: fixed[5],
                payload: u16::from_be_bytes([fixed[2], fixed[3]]),
                dnssec_ok: fixed[6] & 0x80 != 0,
                structured_errors: false,
                keepalive: false,
                padding: false,
                subnet: None,
            };
            read_options(data, &mut edns)?;
            found = Some(edns);
        }
    }
    Some(found)
}

fn read_options(mut data: &[u8], edns: &mut ClientEdns) -> Option<()> {
    while !data.is_empty() {
        let (fixed, after) = data.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        let value = after.get(..length)?;
        data = &after[length..];
        match u16::from_be_bytes([fixed[0], fixed[1]]) {
            OPTION_SUBNET => edns.subnet = subnet(value),
            OPTION_KEEPALIVE => edns.keepalive = true,
            OPTION_PADDING => edns.padding = true,
            OPTION_EDE => edns.structured_errors = true,
            // RFC 6891, section 6.1.2: unknown options are ignored.
            _ => {}
        }
    }
    Some(())
}

/// The address of a client subnet option; none when it names nobody or is malformed.
fn subnet(value: &[u8]) -> Option<IpAddr> {
    let (fixed, address) = value.split_first_chunk::<4>()?;
    let bits = usize::from(fixed[2]);
    if bits == 0 || address.len() != bits.div_ceil(8) {
        return None;
    }
    match u16::from_be_bytes([fixed[0], fixed[1]]) {
        1 if bits <= 32 => {
            let mut octets = [0; 4];
            octets[..address.len()].copy_from_slice(address);
            Some(Ipv4Addr::from(octets).into())
        }
        2 if bits <= 128 => {
            let mut octets = [0; 16];
            octets[..address.len()].copy_from_slice(address);
            Some(Ipv6Addr::from(octets).to_canonical())
        }
        _ => None,
    }
}

/// What can be told of a question without making anything of it.
#[derive(Debug)]
pub(super) struct Glance {
    pub(super) edns: Option<ClientEdns>,
}

/// Looks at a question; none for what can't be read, of which [`read`] says what is wrong.
pub(super) fn glance(packet: &[u8]) -> Option<Glance> {
    let header = packet.first_chunk::<HEADER>()?;
    let counts = [4, 6, 8, 10].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
    let behind = skip_name(&packet[HEADER..])?;
    let records = behind.get(4..)?;
    if counts[0] != 1 {
        return None;
    }
    let edns = read_edns(packet, packet.len() - records.len(), &counts)?;
    Some(Glance { edns })
}

/// A record as it stands in a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawRecord<'a> {
    /// 1 is for answers, 2 for authorities, 3 for all others.
    pub(super) section: usize,
    pub(super) kind: u16,
    pub(super) ttl: u32,
    pub(super) data: &'a [u8],
}

/// Walks over the records of a message; none where it is not one, or something stands behind them.
pub(super) fn walk<'a>(message: &'a [u8], mut each: impl FnMut(RawRecord<'a>)) -> Option<()> {
    let header = message.first_chunk::<HEADER>()?;
    let counts = [4, 6, 8, 10].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
    let mut rest = &message[HEADER..];
    for (section, count) in counts.into_iter().enumerate() {
        for _ in 0..count {
            rest = skip_name(rest)?;
            if section == 0 {
                rest = rest.get(4..)?;
                continue;
            }
            let (fixed, behind) = rest.split_first_chunk::<10>()?;
            let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            let (data, behind) = behind.split_at_checked(length)?;
            rest = behind;
            each(RawRecord {
                section,
                kind: u16::from_be_bytes([fixed[0], fixed[1]]),
                ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
                data,
            });
        }
    }
    rest.is_empty().then_some(())
}

/// What stands behind a name, however the name is written.
pub(super) fn skip_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, after) = bytes.split_first()?;
        match length {
            0 => return Some(after),
            1..=63 => bytes = after.get(usize::from(length)..)?,
            0xc0.. => return after.get(1..),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Edns, Message, MessageType, OpCode};
    use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};

    use super::*;

    fn query(name: &str) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        message
    }

    fn question(message: &Message) -> Question {
        match read(&message.to_vec().unwrap()) {
            Received::Question(question) => *question,
            other => panic!("not a question: {other:?}"),
        }
    }

    fn rcode(bytes: &[u8]) -> ResponseCode {
        match read(bytes) {
            Received::Wrong(header) => header.rcode,
            other => panic!("not wrong: {other:?}"),
        }
    }

    #[test]
    fn a_plain_question_is_read() {
        let read = question(&query("wWw.Example.com."));
        assert_eq!(read.id, 7);
        assert!(read.recursion_desired && !read.checking_disabled && !read.authentic_data);
        assert_eq!(read.query.name().to_ascii(), "wWw.Example.com.");
        assert_eq!(read.edns, None);
    }

    #[test]
    fn the_opt_record_is_read_with_its_options() {
        let mut message = query("a.example.");
        let mut edns = Edns::new();
        edns.set_max_payload(4000).set_dnssec_ok(true);
        edns.options_mut().insert(EdnsOption::Unknown(15, vec![0, 0]));
        edns.options_mut().insert(EdnsOption::Unknown(11, vec![]));
        edns.options_mut().insert(EdnsOption::Unknown(12, vec![0; 5]));
        edns.options_mut().insert(EdnsOption::Unknown(65001, vec![1, 2, 3]));
        edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new("10.1.2.3".parse().unwrap(), 32, 0)));
        message.set_edns(edns);
        let read = question(&message).edns.unwrap();
        assert_eq!(
            read,
            ClientEdns {
                version: 0,
                payload: 4000,
                dnssec_ok: true,
                structured_errors: true,
                keepalive: true,
                padding: true,
                subnet: Some("10.1.2.3".parse().unwrap()),
            }
        );
    }

    #[test]
    fn a_glance_sees_what_reading_sees() {
        let mut message = query("a.example.");
        for edns in [None, Some(Edns::new())] {
            message.edns = edns;
            let bytes = message.to_vec().unwrap();
            let seen = glance(&bytes).unwrap();
            assert_eq!(seen.edns, question(&message).edns);
            for end in 0..bytes.len() {
                assert!(glance(&bytes[..end]).is_none(), "{end}");
            }
        }
    }

    #[test]
    fn answers_and_scraps_are_nothing() {
        let mut bytes = query("a.example.").to_vec().unwrap();
        bytes[2] |= 0x80;
        assert!(matches!(read(&bytes), Received::Nothing));
        assert!(matches!(read(&bytes[..11]), Received::Nothing));
        assert!(matches!(read(&[]), Received::Nothing));
    }

    #[test]
    fn other_opcodes_are_not_implemented() {
        let mut bytes = query("a.example.").to_vec().unwrap();
        for opcode in 1..16u8 {
            bytes[2] = (opcode << 3) | 1;
            let Received::Wrong(header) = read(&bytes) else { panic!("{opcode}") };
            assert_eq!(header.rcode, ResponseCode::NotImp);
            assert_eq!(header.bytes()[2], 0x81 | (opcode << 3), "opcode and RD are echoed");
        }
    }

    #[test]
    fn a_question_has_one_question() {
        let mut bytes = query("a.example.").to_vec().unwrap();
        bytes[5] = 0;
        assert_eq!(rcode(&bytes), ResponseCode::FormErr);
        bytes[5] = 2;
        assert_eq!(rcode(&bytes), ResponseCode::FormErr);
    }

    #[test]
    fn what_is_cut_off_is_a_format_error() {
        let mut message = query("www.a.example.");
        message.set_edns(Edns::new());
        let bytes = message.to_vec().unwrap();
        for end in HEADER..bytes.len() {
            assert_eq!(rcode(&bytes[..end]), ResponseCode::FormErr, "{end}");
        }
    }

    #[test]
    fn two_opt_records_or_a_misplaced_one_are_a_format_error() {
        let mut message = query("a.example.");
        message.set_edns(Edns::new());
        let mut bytes = message.to_vec().unwrap();
        let opt = bytes[bytes.len() - 11..].to_vec();
        bytes.extend_from_slice(&opt);
        bytes[11] = 2;
        assert_eq!(rcode(&bytes), ResponseCode::FormErr);
        bytes[11] = 1;
        bytes[7] = 1;
        assert_eq!(rcode(&bytes), ResponseCode::FormErr);
    }

    #[test]
    fn a_malformed_subnet_names_nobody() {
        assert_eq!(subnet(&[0, 1, 24, 0, 10, 1, 2]), Some("10.1.2.0".parse().unwrap()));
        assert_eq!(subnet(&[0, 1, 0, 0]), None);
        assert_eq!(subnet(&[0, 1, 33, 0, 1, 2, 3, 4, 5]), None);
        assert_eq!(subnet(&[0, 1, 32, 0, 1, 2]), None);
        assert_eq!(subnet(&[0, 9, 8, 0, 1]), None);
        assert_eq!(subnet(&[0, 1]), None);
    }
}
