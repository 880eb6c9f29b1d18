//! From an outcome to the bytes of a reply: header, sections, extended errors, and what to leave out when it is too
//! large.

use hickory_proto::{
    op::{Edns, Message, OpCode, ResponseCode},
    rr::{Name, Record, RecordType, rdata::opt::EdnsOption},
    serialize::binary::{BinEncodable, BinEncoder},
};

use super::message::{Header, OPT, OPTION_PADDING, Question, walk};
use crate::{
    ede::{Ede, EdeCode},
    resolver::is_extra,
};

/// The longest extra text of an extended error, in bytes; a longer one is left out, since a cut one may be half a JSON
/// document.
pub(super) const MAX_EDE_TEXT: usize = 1000;
/// The most extended errors in one reply.
const MAX_EDES: usize = 6;
/// Padded replies have a multiple of so many bytes (RFC 8467, section 4.1).
const BLOCK: usize = 468;

/// What is said to a question.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    /// How it ended.
    pub(super) rcode: ResponseCode,
    /// The answer section.
    pub(super) answers: Vec<Record>,
    /// The authority section.
    pub(super) authorities: Vec<Record>,
    /// AD, before the asker's own bits are looked at.
    pub(super) authentic: bool,
    /// Why, for askers that speak EDNS.
    pub(super) ede: Vec<Ede>,
}

/// How much room a reply has, and what our own OPT record says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The largest reply over UDP that we send or take.
    pub(super) udp_size: u16,
    /// The reply goes over a stream, which takes 65,535 bytes.
    pub(super) stream: bool,
    /// How long an idle connection is kept, in tenths of a second (RFC 7828); none where that is not to be said.
    pub(super) keepalive: Option<u16>,
    /// The length is hidden from who listens on the way, if the asker hides that of its questions too.
    pub(super) padded: bool,
}

impl Reply {
    /// A reply without records.
    pub(super) fn empty(rcode: ResponseCode) -> Self {
        Self { rcode, answers: Vec::new(), authorities: Vec::new(), authentic: false, ede: Vec::new() }
    }

    /// A reply without records that says why.
    pub(super) fn because(rcode: ResponseCode, code: EdeCode, text: &str) -> Self {
        Self { ede: vec![Ede::new(code, text)], ..Self::empty(rcode) }
    }

    /// Takes the DNSSEC records out that were not asked for (RFC 3225, section 3).
    pub(super) fn without_dnssec(mut self, qtype: RecordType) -> Self {
        let wanted = |record: &Record| !is_extra(record, qtype);
        self.answers.retain(wanted);
        self.authorities.retain(wanted);
        self
    }

    /// The reply's bytes, at most as many as the asker takes.
    pub(super) fn encode(self, question: &Question, room: Room) -> Vec<u8> {
        let mut bytes = self.encode_bare(question, room);
        if room.padded && question.edns.as_ref().is_some_and(|edns| edns.padding) {
            pad(&mut bytes);
        }
        bytes
    }

    fn encode_bare(mut self, question: &Question, room: Room) -> Vec<u8> {
        let limit = match &question.edns {
            _ if room.stream => u16::MAX,
            Some(edns) => edns.payload.clamp(512, room.udp_size),
            None => 512,
        };
        // Some askers mix upper and lower case at random and refuse an answer that does not repeat it.
        for record in &mut self.answers {
            if record.name.eq_ignore_root(question.query.name()) {
                record.name = question.query.name().clone();
            }
        }
        self.ede.truncate(MAX_EDES);

        let negative = self.answers.is_empty();
        let mut message = self.into_message(question, room);
        if let Some(bytes) = emit(&message, limit) {
            return bytes;
        }
        // An authority section beside answers is a courtesy, unless it proves a wildcard to a validator.
        if !negative && !question.dnssec_ok() {
            message.authorities.clear();
            if let Some(bytes) = emit(&message, limit) {
                return bytes;
            }
        }
        // RFC 8914, section 3: a text is not worth a second question over TCP.
        if let Some(edns) = &mut message.edns {
            for (_, option) in &mut edns.options_mut().options {
                if let EdnsOption::Unknown(15, data) = option {
                    data.truncate(2);
                }
            }
        }
        if let Some(bytes) = emit(&message, limit) {
            return bytes;
        }
        // RFC 2181, section 9: askers ignore a part of an answer, so none is sent.
        message.answers.clear();
        message.authorities.clear();
        if room.stream {
            message.metadata.response_code = ResponseCode::ServFail;
            message.metadata.authentic_data = false;
        } else {
            message.metadata.truncation = true;
        }
        emit(&message, limit).unwrap_or_else(|| Header::of(question, ResponseCode::ServFail).bytes())
    }

    fn into_message(self, question: &Question, room: Room) -> Message {
        let mut message = Message::response(question.id, OpCode::Query);
        message.metadata.response_code = self.rcode;
        message.metadata.recursion_desired = question.recursion_desired;
        message.metadata.recursion_available = true;
        message.metadata.checking_disabled = question.checking_disabled;
        // RFC 6840, section 5.8: only to those who show that they understand the bit. With CD nothing was checked for
        // this asker.
        message.metadata.authentic_data = self.authentic
            && matches!(self.rcode, ResponseCode::NoError | ResponseCode::NXDomain)
            && (question.dnssec_ok() || question.authentic_data)
            && !question.checking_disabled;
        message.add_query(question.query.clone());
        message.answers = self.answers;
        message.authorities = self.authorities;
        if let Some(theirs) = &question.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(room.udp_size).set_dnssec_ok(theirs.dnssec_ok);
            for ede in &self.ede {
                edns.options_mut().insert(EdnsOption::Unknown(15, ede_option(ede)));
            }
            if let Some(tenths) = room.keepalive.filter(|_| theirs.keepalive) {
                edns.options_mut().insert(EdnsOption::Unknown(11, tenths.to_be_bytes().to_vec()));
            }
            message.set_edns(edns);
        }
        message
    }
}

fn ede_option(ede: &Ede) -> Vec<u8> {
    let mut data = (ede.code as u16).to_be_bytes().to_vec();
    if ede.text.len() <= MAX_EDE_TEXT {
        data.extend_from_slice(ede.text.as_bytes());
    }
    data
}

/// The message's bytes when they fit.
fn emit(message: &Message, limit: u16) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    let mut encoder = BinEncoder::new(&mut bytes);
    // Left to itself the encoder sends what fits and drops the OPT record, so it gets all the room and the size is
    // looked at here.
    message.emit(&mut encoder).ok()?;
    let cut = bytes.get(2).is_some_and(|flags| flags & 0x02 != 0) && !message.metadata.truncation;
    (!cut && bytes.len() <= usize::from(limit)).then_some(bytes)
}

/// Adds a padding option to a reply whose last record is its OPT record, until the whole has a multiple of [`BLOCK`] bytes
/// or no more can be sent.
pub(super) fn pad(reply: &mut Vec<u8>) {
    const HEAD: usize = 4;
    let mut last = None;
    let walked = walk(reply, |record| last = Some((record.kind, record.data.len())));
    let (Some(()), Some((OPT, options))) = (walked, last) else { return };
    let end = (reply.len() + HEAD).next_multiple_of(BLOCK).min(usize::from(u16::MAX));
    let Some(padding) = end.checked_sub(reply.len() + HEAD) else { return };
    // None of these is longer than the whole, which two bytes can tell.
    let [sum, padding] = [options + HEAD + padding, padding].map(|number| number as u16);
    let place = reply.len() - options - 2;
    reply[place..place + 2].copy_from_slice(&sum.to_be_bytes());
    reply.extend_from_slice(&OPTION_PADDING.to_be_bytes());
    reply.extend_from_slice(&padding.to_be_bytes());
    reply.resize(end, 0);
}

/// Whether two names are one, whatever their case.
pub(super) fn same_name(one: &Name, other: &Name) -> bool {
    one.eq_ignore_root(other)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{RData, rdata::TXT};

    use super::*;
    use crate::dns::message::{ClientEdns, Received, read};

    const UDP: Room = Room { udp_size: 1232, stream: false, keepalive: None, padded: false };
    const TCP: Room = Room { udp_size: 1232, stream: true, keepalive: Some(100), padded: false };
    const TLS: Room = Room { padded: true, ..TCP };

    fn question(edns: Option<ClientEdns>) -> Question {
        let name = Name::from_ascii("a.example.").unwrap();
        Question {
            id: 9,
            recursion_desired: true,
            authentic_data: false,
            checking_disabled: false,
            query: hickory_proto::op::Query::query(name, RecordType::TXT),
            edns,
        }
    }

    fn edns(payload: u16) -> Option<ClientEdns> {
        Some(ClientEdns {
            version: 0,
            payload,
            dnssec_ok: false,
            structured_errors: false,
            keepalive: true,
            padding: true,
            subnet: None,
        })
    }

    fn text(bytes: usize) -> Reply {
        let name = Name::from_ascii("A.EXAMPLE.").unwrap();
        let part = "x".repeat(199);
        let answers = (0..bytes.div_ceil(200))
            .map(|_| Record::from_rdata(name.clone(), 60, RData::TXT(TXT::new(vec![part.clone()]))))
            .collect();
        Reply { answers, ..Reply::empty(ResponseCode::NoError) }
    }

    #[test]
    fn a_reply_keeps_to_the_room_that_the_asker_has() {
        for (edns, most) in [(None, 512), (edns(100), 512), (edns(700), 700), (edns(65535), 1232)] {
            for size in [200, 400, 600, 1000, 3000] {
                let bytes = text(size).encode(&question(edns.clone()), UDP);
                assert!(bytes.len() <= most);
                let message = Message::from_vec(&bytes).unwrap();
                assert_eq!(message.metadata.truncation, message.answers.is_empty());
                assert_eq!(message.edns.is_some(), edns.is_some());
                assert_eq!(message.queries.len(), 1);
            }
        }
    }

    #[test]
    fn a_stream_takes_all_and_tells_how_long_it_lasts() {
        let message = Message::from_vec(&text(20_000).encode(&question(edns(512)), TCP)).unwrap();
        assert_eq!(message.answers.len(), 100);
        assert!(!message.metadata.truncation);
        let edns = message.edns.unwrap();
        assert_eq!(edns.option(11.into()), Some(&EdnsOption::Unknown(11, vec![0, 100])));
    }

    #[test]
    fn who_hides_the_length_of_a_question_gets_replies_of_whole_blocks() {
        for size in [0, 200, 400, 1000, 30_000, 50_000] {
            let mut reply = text(size);
            reply.ede = vec![Ede::new(EdeCode::StaleAnswer, "y")];
            let bytes = reply.clone().encode(&question(edns(512)), TLS);
            assert!(bytes.len().is_multiple_of(BLOCK), "{size}: {}", bytes.len());
            let message = Message::from_vec(&bytes).unwrap();
            assert_eq!(message.answers.len(), size.div_ceil(200));
            let codes: Vec<u16> =
                message.edns.unwrap().options().options.iter().map(|(code, _)| u16::from(*code)).collect();
            assert_eq!(codes, [15, 11, 12]);
            // In clear everybody sees what is asked, and nothing would be hidden.
            assert!(reply.clone().encode(&question(edns(512)), TCP).len() < bytes.len());
            let mut unpadded = question(edns(512));
            unpadded.edns.as_mut().unwrap().padding = false;
            assert!(reply.encode(&unpadded, TLS).len() < bytes.len());
        }
    }

    #[test]
    fn what_no_message_can_hold_is_a_failure() {
        let message = Message::from_vec(&text(80_000).encode(&question(edns(512)), TCP)).unwrap();
        assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
        assert!(message.answers.is_empty() && !message.metadata.truncation);
    }

    #[test]
    fn a_long_reason_is_dropped_before_records_are() {
        let mut reply = text(800);
        reply.ede = vec![Ede::new(EdeCode::StaleAnswer, "y".repeat(900))];
        let message = Message::from_vec(&reply.clone().encode(&question(edns(1232)), UDP)).unwrap();
        assert_eq!(message.answers.len(), 4);
        let option = |message: &Message| message.edns.as_ref().unwrap().option(15.into()).cloned();
        assert_eq!(option(&message), Some(EdnsOption::Unknown(15, vec![0, 3])));
        let whole = Message::from_vec(&reply.clone().encode(&question(edns(1232)), TCP)).unwrap();
        assert!(matches!(option(&whole), Some(EdnsOption::Unknown(15, data)) if data.len() == 902));
        reply.ede[0].text = "y".repeat(1001);
        let without = Message::from_vec(&reply.clone().encode(&question(edns(1232)), TCP)).unwrap();
        assert_eq!(option(&without), Some(EdnsOption::Unknown(15, vec![0, 3])));
        assert!(Message::from_vec(&reply.encode(&question(None), UDP)).unwrap().edns.is_none());
    }

    #[test]
    fn the_askers_case_comes_back() {
        let mut question = question(None);
        question.query.set_name(Name::from_ascii("a.ExAmPlE.").unwrap());
        let message = Message::from_vec(&text(100).encode(&question, UDP)).unwrap();
        assert_eq!(message.queries[0].name().to_ascii(), "a.ExAmPlE.");
        assert_eq!(message.answers[0].name.to_ascii(), "a.ExAmPlE.");
    }

    #[test]
    fn authentic_is_said_only_to_those_who_ask() {
        let reply = Reply { authentic: true, ..text(100) };
        let said = |question: &Question| {
            let bytes = reply.clone().encode(question, UDP);
            assert!(matches!(read(&bytes), Received::Nothing), "a reply is not a question");
            Message::from_vec(&bytes).unwrap().metadata.authentic_data
        };
        let mut plain = question(None);
        assert!(!said(&plain));
        plain.authentic_data = true;
        assert!(said(&plain));
        plain.checking_disabled = true;
        assert!(!said(&plain));
        let mut dnssec = question(edns(1232));
        assert!(!said(&dnssec));
        dnssec.edns.as_mut().unwrap().dnssec_ok = true;
        assert!(said(&dnssec));
    }
}
