//! For how long an answer may be kept by what knows nothing of DNS (RFC 8484, section 5.1).

use hickory_proto::{op::ResponseCode, rr::RecordType};

use super::super::message::walk;

/// The smallest time to live of an answer, in seconds; none for what is not to be kept at all: failures, and denials that
/// say no time.
pub(super) fn of(reply: &[u8]) -> Option<u32> {
    let header = reply.first_chunk::<12>()?;
    let rcode = ResponseCode::from_low(header[3] & 0x0f);
    if !matches!(rcode, ResponseCode::NoError | ResponseCode::NXDomain) {
        return None;
    }
    let has_answers = header[6..8] != [0, 0];
    let mut least = None::<u32>;
    walk(reply, |record| {
        let holds = match record.section {
            1 => Some(record.ttl),
            // RFC 2308, section 5: the last of its numbers is for denials.
            2 if !has_answers && record.kind == u16::from(RecordType::SOA) => {
                record.data.last_chunk().map(|minimum| record.ttl.min(u32::from_be_bytes(*minimum)))
            }
            _ => None,
        };
        least = holds.map_or(least, |holds| Some(least.map_or(holds, |least| least.min(holds))));
    })?;
    least
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::{Message, OpCode, Query},
        rr::{
            Name, RData, Record,
            rdata::{A, NS, SOA},
        },
    };

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn a(ttl: u32) -> Record {
        Record::from_rdata(name("www.a.example."), ttl, RData::A(A::new(192, 0, 2, 1)))
    }

    fn soa(ttl: u32, minimum: u32) -> Record {
        let data = SOA::new(name("ns.a.example."), name("host.a.example."), 1, 2, 3, 4, minimum);
        Record::from_rdata(name("a.example."), ttl, RData::SOA(data))
    }

    fn reply(rcode: ResponseCode, answers: &[Record], authorities: &[Record]) -> Vec<u8> {
        let mut message = Message::response(1, OpCode::Query);
        message.metadata.response_code = rcode;
        message.add_query(Query::query(name("www.a.example."), RecordType::A));
        message.answers = answers.to_vec();
        message.authorities = authorities.to_vec();
        message.to_vec().unwrap()
    }

    #[test]
    fn the_smallest_time_of_the_answers_counts() {
        let ns = Record::from_rdata(name("a.example."), 5, RData::NS(NS(name("ns.a.example."))));
        let message = reply(ResponseCode::NoError, &[a(300), a(20), a(600)], &[ns, soa(1, 1)]);
        assert_eq!(of(&message), Some(20), "what stands beside an answer is no part of it");
        assert_eq!(of(&reply(ResponseCode::NoError, &[a(0)], &[])), Some(0));
    }

    #[test]
    fn a_denial_is_kept_as_its_soa_says() {
        for rcode in [ResponseCode::NXDomain, ResponseCode::NoError] {
            assert_eq!(of(&reply(rcode, &[], &[soa(900, 60)])), Some(60));
            assert_eq!(of(&reply(rcode, &[], &[soa(30, 60)])), Some(30));
            assert_eq!(of(&reply(rcode, &[], &[])), None);
        }
    }

    #[test]
    fn failures_and_scraps_are_not_kept() {
        assert_eq!(of(&reply(ResponseCode::ServFail, &[a(300)], &[])), None);
        assert_eq!(of(&reply(ResponseCode::Refused, &[], &[soa(1, 1)])), None);
        let whole = reply(ResponseCode::NoError, &[a(300)], &[]);
        for end in 0..whole.len() {
            assert_eq!(of(&whole[..end]), None, "{end}");
        }
    }
}
