//! The rules of the protocol that hold for everybody, before any policy: versions, classes, types that are no data.

use hickory_proto::{
    op::ResponseCode,
    rr::{DNSClass, RData, Record, RecordType, rdata::TXT},
};

use super::{answer::Reply, message::Question};
use crate::ede::EdeCode;

/// The reply that the protocol fixes; none for a question that is for the policy and the resolver.
pub(super) fn reply(question: &Question, version_bind: bool) -> Option<Reply> {
    // RFC 6891, section 6.1.3.
    if question.edns.as_ref().is_some_and(|edns| edns.version > 0) {
        return Some(Reply::empty(ResponseCode::BADVERS));
    }
    match question.query.query_class() {
        DNSClass::IN => by_type(question),
        DNSClass::CH => Some(chaos(question, version_bind)),
        _ => Some(Reply::because(
            ResponseCode::Refused,
            EdeCode::NotSupported,
            "only the class IN is resolved here",
        )),
    }
}

fn by_type(question: &Question) -> Option<Reply> {
    match question.query.query_type() {
        RecordType::AXFR | RecordType::IXFR => Some(Reply::because(
            ResponseCode::Refused,
            EdeCode::NotAuthoritative,
            "a resolver has no zones to transfer",
        )),
        // Types that stand only beside a question, never in it: 41, 250, TKEY is 249.
        RecordType::ZERO | RecordType::OPT | RecordType::TSIG | RecordType::Unknown(249) => {
            Some(Reply::empty(ResponseCode::FormErr))
        }
        // MAILB and MAILA (RFC 1035, obsolete), and the rest of the range for question types (RFC 6895, section 3.1).
        RecordType::Unknown(128..=248 | 253 | 254) => Some(Reply::because(
            ResponseCode::NotImp,
            EdeCode::NotSupported,
            "this type of question is not implemented",
        )),
        // RFC 8482 answers ANY, but the policy looks at the name first.
        _ => None,
    }
}

fn chaos(question: &Question, version_bind: bool) -> Reply {
    let name = question.query.name().to_lowercase().to_ascii();
    if version_bind
        && matches!(name.as_str(), "version.bind." | "version.server.")
        && matches!(question.query.query_type(), RecordType::TXT | RecordType::ANY)
    {
        let text = TXT::new(vec![format!("Schoolgate {}", env!("CARGO_PKG_VERSION"))]);
        let mut record = Record::from_rdata(question.query.name().clone(), 0, RData::TXT(text));
        record.dns_class = DNSClass::CH;
        return Reply { answers: vec![record], ..Reply::empty(ResponseCode::NoError) };
    }
    Reply::because(ResponseCode::Refused, EdeCode::Prohibited, "nothing is told about this server")
}
