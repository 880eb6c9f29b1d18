//! What a record is for, as far as DNSSEC is concerned.

use hickory_proto::{
    dnssec::rdata::{DNSSECRData, RRSIG},
    rr::{RData, Record, RecordType},
};

/// The signature in a record; nothing when it is another record.
pub(super) fn signature(record: &Record) -> Option<&RRSIG> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature),
        _ => None,
    }
}

/// The type that a signature is for; nothing for what is not a signature.
pub(super) fn covered(record: &Record) -> Option<RecordType> {
    signature(record).map(|signature| signature.input().type_covered)
}

/// Whether a signature was made for a wildcard and its owner is what a question made of it.
pub(super) fn is_expanded(record: &Record) -> bool {
    signature(record).is_some_and(|signature| signature.input().num_labels < record.name.num_labels())
}

/// Whether a record belongs to the proof that something does not exist.
pub(super) fn is_about_denial(record: &Record) -> bool {
    let denies = |rtype| matches!(rtype, RecordType::SOA | RecordType::NSEC | RecordType::NSEC3);
    denies(record.record_type()) || covered(record).is_some_and(denies)
}

/// Whether a record gives many names another place (RFC 6672), or is the signature of one that does.
pub(super) fn is_about_dname(record: &Record) -> bool {
    record.record_type() == RecordType::DNAME || covered(record) == Some(RecordType::DNAME)
}

/// Whether a record only belongs in answers to those who ask for DNSSEC (RFC 3225, section 3).
pub(crate) fn is_extra(record: &Record, asked: RecordType) -> bool {
    let kind = record.record_type();
    kind != asked && matches!(kind, RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3)
}
