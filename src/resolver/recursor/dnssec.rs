//! How far an answer is proven, and if it is not, why.

use hickory_proto::{
    dnssec::{
        Proof,
        rdata::{DNSSECRData, NSEC, NSEC3, RRSIG},
    },
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, SerialNumber},
};

use super::{Link, Recursor, clock, weaker};
use crate::{
    ede::{Ede, EdeCode},
    resolver::{
        Security,
        records::{covered, is_expanded, signature},
    },
};

/// How many zones up from a bogus answer are looked at for the reason.
const ZONES_LOOKED_AT: usize = 4;

/// Judges an answer by what the validator wrote into it.
///
/// `denial` is its judgement on the proof that something does not exist, when that failed.
pub(super) fn judge(message: &Message, query: &Query, denial: Option<Proof>) -> Security {
    let mut sets =
        message.answers.iter().filter(|record| record.record_type() != RecordType::RRSIG).peekable();
    if sets.peek().is_none() {
        return judge_denial(message, query, denial);
    }
    let mut security = sets.map(|record| from_proof(record.proof)).fold(Security::Secure, weaker);
    if query.query_type() == RecordType::RRSIG {
        return Security::Indeterminate;
    }
    // Without a signature of a wildcard there is nothing to deny: what failed is hickory's view of a DNAME.
    let expanded = message.answers.iter().any(is_expanded);
    if expanded && security == Security::Secure {
        security = weaker(
            security,
            match denial {
                // hickory skips its own check of the denial when all that is beside the answer is of an unsigned zone.
                None if has_secure_denial(message) => Security::Secure,
                None => Security::Bogus,
                Some(Proof::Insecure) => Security::Insecure,
                Some(_) if covered_by_nsec(message, query) => Security::Secure,
                Some(_) => Security::Bogus,
            },
        );
    }
    security
}

fn has_secure_denial(message: &Message) -> bool {
    message.authorities.iter().any(|record| {
        record.proof == Proof::Secure && matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3)
    })
}

fn from_proof(proof: Proof) -> Security {
    match proof {
        Proof::Secure => Security::Secure,
        Proof::Insecure => Security::Insecure,
        Proof::Bogus => Security::Bogus,
        Proof::Indeterminate => Security::Indeterminate,
    }
}

fn judge_denial(message: &Message, query: &Query, denial: Option<Proof>) -> Security {
    match denial {
        Some(Proof::Insecure) => return Security::Insecure,
        Some(_) if has_only_a_dname(message, query) => return Security::Secure,
        Some(_) => return Security::Bogus,
        None => {}
    }
    let mut records =
        message.authorities.iter().filter(|record| record.record_type() != RecordType::RRSIG).peekable();
    if records.peek().is_none() {
        // The validator lets nothing pass without records unless the zone is proven to be unsigned.
        return Security::Insecure;
    }
    let security = records.map(|record| from_proof(record.proof)).fold(Security::Secure, weaker);
    match security {
        // An unsigned zone's records say nothing of names outside of it.
        Security::Insecure if !denies_from_above(message, query) => Security::Bogus,
        Security::Secure if rests_on_opt_out(message, query) => Security::Insecure,
        Security::Indeterminate => Security::Bogus,
        other => other,
    }
}

/// Whether a proven NSEC record shows that a name with a DNAME has nothing of the type.
///
/// hickory 0.26.3 treats such a record as that of a delegation, which it is only for the names below (RFC 6840,
/// section 4.1).
fn has_only_a_dname(message: &Message, query: &Query) -> bool {
    let soa = message.authorities.iter().find(|record| record.record_type() == RecordType::SOA);
    message.metadata.response_code == ResponseCode::NoError
        // DS belongs to the parent, so the zone's own NSEC can't deny it (RFC 4035, section 5.2).
        && query.query_type() != RecordType::DS
        && soa.is_none_or(|soa| soa.proof == Proof::Secure && soa.name.zone_of(&query.name))
        && message.authorities.iter().any(|record| match &record.data {
            RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
                let types = nsec.type_set();
                record.proof == Proof::Secure
                    && record.name == query.name
                    && types.contains(RecordType::DNAME)
                    && (!types.contains(RecordType::NS) || types.contains(RecordType::SOA))
                    && !types.contains(RecordType::CNAME)
                    && !types.contains(query.query_type())
            }
            _ => false,
        })
}

fn denies_from_above(message: &Message, query: &Query) -> bool {
    let mut soas =
        message.authorities.iter().filter(|record| record.record_type() == RecordType::SOA).peekable();
    soas.peek().is_some() && soas.all(|record| record.name.zone_of(&query.name))
}

/// Whether the denial rests on an NSEC3 span that may hide unsigned delegations (RFC 5155, section 9.2).
fn rests_on_opt_out(message: &Message, query: &Query) -> bool {
    let mut nsec3s = message.authorities.iter().filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) => Some((&record.name, nsec3)),
        _ => None,
    });
    let nodata = message.metadata.response_code == ResponseCode::NoError;
    if nodata && nsec3s.clone().any(|(owner, nsec3)| matches_name(owner, nsec3, &query.name)) {
        return false;
    }
    nsec3s.any(|(_, nsec3)| nsec3.opt_out())
}

fn matches_name(owner: &Name, nsec3: &NSEC3, name: &Name) -> bool {
    let Ok(hash) = nsec3.hash_algorithm().hash(nsec3.salt(), name, nsec3.iterations()) else { return false };
    let Some(label) = owner.iter().next() else { return false };
    base32hex(hash.as_ref()).eq_ignore_ascii_case(label)
}

/// Base 32 with extended hex alphabet, without padding (RFC 4648, section 7).
fn base32hex(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut text = Vec::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0_u32, 0);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(ALPHABET[(buffer >> bits) as usize & 31]);
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(ALPHABET[(buffer << (5 - bits)) as usize & 31]);
    }
    text
}

/// Whether a proven NSEC record shows that only the wildcard can have given this answer (RFC 4035, section 5.3.4).
///
/// hickory 0.26.3 judges an expanded wildcard as bogus when the covering NSEC record belongs to the wildcard itself. The
/// signatures of the answer and of the NSEC record have been checked by then; what is left is to compare names.
fn covered_by_nsec(message: &Message, query: &Query) -> bool {
    let signatures = message.answers.iter().filter(|record| is_expanded(record));
    let mut shortest: Option<&RRSIG> = None;
    for signature in signatures.filter_map(|record| signature(record)) {
        if shortest.is_none_or(|other| signature.input().num_labels < other.input().num_labels) {
            shortest = Some(signature);
        }
    }
    let Some(signature) = shortest else { return false };
    let signer = &signature.input().signer_name;
    // The name below the wildcard's parent that must not exist.
    let next_closer = query.name.trim_to(usize::from(signature.input().num_labels) + 1);
    message.authorities.iter().any(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
            record.proof == Proof::Secure
                && signed_by(message, record, signer)
                && covers(&record.name, nsec, &next_closer, signer)
                && covers(&record.name, nsec, &query.name, signer)
        }
        _ => false,
    })
}

fn signed_by(message: &Message, record: &Record, signer: &Name) -> bool {
    message.authorities.iter().any(|other| {
        other.name == record.name
            && covered(other) == Some(record.record_type())
            && signature(other).is_some_and(|signature| signature.input().signer_name == *signer)
    })
}

/// Whether an NSEC record shows that a name does not exist, also not as an empty non-terminal.
fn covers(owner: &Name, nsec: &NSEC, name: &Name, zone: &Name) -> bool {
    let next = nsec.next_domain_name();
    // RFC 6840, section 4.1: at a delegation, or a DNAME, it says nothing of the names below.
    let types = nsec.type_set();
    let cut = types.contains(RecordType::DNAME)
        || (types.contains(RecordType::NS) && !types.contains(RecordType::SOA));
    if !zone.zone_of(owner) || !zone.zone_of(name) || (cut && owner.zone_of(name)) {
        return false;
    }
    // The last record of a zone leads back to its start.
    let before_next = if next == zone { owner < name } else { owner < name && name < next };
    before_next && !name.zone_of(next)
}

impl Recursor {
    /// Finds out what is wrong with a bogus answer, for people who have to repair it.
    pub(super) async fn why_bogus(&self, link: &Link, query: &Query) -> Ede {
        let now = clock();
        let records = || link.answers.iter().chain(&link.authorities);
        let name = &query.name;
        if let Some(ede) = outdated(records(), now) {
            return ede;
        }
        let signer =
            records().filter_map(signature).map(|signature| signature.input().signer_name.clone()).next();
        let mut zone = signer.clone().unwrap_or_else(|| name.clone());
        for _ in 0..ZONES_LOOKED_AT {
            if zone.is_root() {
                break;
            }
            let ds = self.records(&zone, RecordType::DS).await;
            if ds.iter().any(|record| record.record_type() == RecordType::DS) {
                let keys = self.records(&zone, RecordType::DNSKEY).await;
                if let Some(ede) = outdated(keys.iter().chain(&ds), now) {
                    return ede;
                }
                if !has_key_for(&keys, &ds) {
                    return Ede::new(
                        EdeCode::DnskeyMissing,
                        format!("{zone} has no key that fits its parent's DS"),
                    );
                }
                if signer.is_none() {
                    return Ede::new(
                        EdeCode::RrsigsMissing,
                        format!("{name} has no signatures, but {zone} is signed"),
                    );
                }
            }
            zone = zone.base_name();
        }
        let denial = |record: &Record| matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3);
        if signer.is_some() && link.answers.is_empty() && !records().any(denial) {
            return Ede::new(EdeCode::NsecMissing, format!("nothing proves that {name} has no such record"));
        }
        Ede::new(EdeCode::DnssecBogus, format!("the signatures of {name} are wrong"))
    }

    async fn records(&self, name: &Name, rtype: RecordType) -> Vec<Record> {
        match self.asker.one(&Query::query(name.clone(), rtype)).await {
            Ok(message) => message.answers,
            Err(_) => Vec::new(),
        }
    }
}

/// Whether a set has signatures and none of them is in its time.
pub(super) fn outdated<'a>(records: impl Iterator<Item = &'a Record> + Clone, now: u32) -> Option<Ede> {
    let now = SerialNumber::new(now);
    let signatures = records.filter_map(|record| signature(record).map(|signature| (record, signature)));
    for (record, first) in signatures.clone() {
        let set = || {
            signatures.clone().filter(|(other, signature)| {
                other.name == record.name && signature.input().type_covered == first.input().type_covered
            })
        };
        let what = format!("{} {}", record.name, first.input().type_covered);
        if set().all(|(_, signature)| signature.input().sig_expiration < now) {
            return Some(Ede::new(
                EdeCode::SignatureExpired,
                format!("the signatures of {what} have expired"),
            ));
        }
        if set().all(|(_, signature)| signature.input().sig_inception > now) {
            return Some(Ede::new(
                EdeCode::SignatureNotYetValid,
                format!("the signatures of {what} are of the future"),
            ));
        }
    }
    None
}

fn has_key_for(keys: &[Record], ds: &[Record]) -> bool {
    keys.iter().any(|key| {
        let RData::DNSSEC(DNSSECRData::DNSKEY(data)) = &key.data else { return false };
        ds.iter().any(|ds| match &ds.data {
            RData::DNSSEC(DNSSECRData::DS(ds)) => ds.covers(&key.name, data).unwrap_or(false),
            _ => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn nsec(next: &str, types: &[RecordType]) -> NSEC {
        NSEC::new(name(next), types.iter().copied())
    }

    #[test]
    fn an_nsec_record_covers_the_names_between() {
        let zone = name("wild.test.");
        let types = [RecordType::A];
        for (owner, next, asked, covered) in [
            ("*.wild.test.", "ns.wild.test.", "foo.wild.test.", true),
            ("*.wild.test.", "ns.wild.test.", "ns.wild.test.", false),
            ("*.wild.test.", "ns.wild.test.", "zebra.wild.test.", false),
            ("ns.wild.test.", "wild.test.", "zebra.wild.test.", true),
            ("ns.wild.test.", "wild.test.", "a.wild.test.", false),
            ("a.wild.test.", "x.foo.wild.test.", "foo.wild.test.", false),
            ("a.other.test.", "z.other.test.", "foo.wild.test.", false),
        ] {
            let record = nsec(next, &types);
            assert_eq!(covers(&name(owner), &record, &name(asked), &zone), covered, "{owner} {next} {asked}");
        }
    }

    fn record_of(owner: &str, data: RData, proof: Proof) -> Record {
        let mut record = Record::from_rdata(name(owner), 300, data);
        record.proof = proof;
        record
    }

    fn denial(owner: &str, proof: Proof) -> Record {
        let data = DNSSECRData::NSEC(nsec("zzz.example.com.", &[RecordType::NS]));
        record_of(owner, RData::DNSSEC(data), proof)
    }

    #[test]
    fn an_unsigned_record_does_not_deny_a_signed_name() {
        let query = Query::query(name("www.example.com."), RecordType::A);
        let mut message = Message::query().into_response();
        message.metadata.response_code = ResponseCode::NXDomain;
        message.authorities.push(denial("u.example.com.", Proof::Insecure));
        assert_eq!(judge(&message, &query, None), Security::Bogus);
    }

    #[test]
    fn an_expanded_wildcard_needs_a_proven_denial() {
        use hickory_proto::{
            dnssec::{
                Algorithm,
                rdata::{RRSIG, SigInput},
            },
            rr::{SerialNumber, rdata::A},
        };
        let query = Query::query(name("www.example.com."), RecordType::A);
        let mut message = Message::query().into_response();
        message.answers.push(record_of("www.example.com.", RData::A(A::new(192, 0, 2, 1)), Proof::Secure));
        let input = SigInput {
            type_covered: RecordType::A,
            algorithm: Algorithm::ECDSAP256SHA256,
            num_labels: 2,
            original_ttl: 300,
            sig_expiration: SerialNumber::new(u32::MAX / 4),
            sig_inception: SerialNumber::new(0),
            key_tag: 1,
            signer_name: name("example.com."),
        };
        let signature = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![0; 64])));
        message.answers.push(record_of("www.example.com.", signature, Proof::Secure));
        message.authorities.push(denial("u.example.com.", Proof::Insecure));
        assert_eq!(judge(&message, &query, None), Security::Bogus);
        message.authorities.push(denial("a.example.com.", Proof::Secure));
        assert_eq!(judge(&message, &query, None), Security::Secure);
    }

    #[test]
    fn the_nsec_record_of_a_delegation_says_nothing_of_what_is_below() {
        let zone = name("test.");
        let record = nsec("zzz.test.", &[RecordType::NS]);
        assert!(!covers(&name("sub.test."), &record, &name("a.sub.test."), &zone));
        assert!(covers(&name("sub.test."), &record, &name("tub.test."), &zone));
        let record = nsec("zzz.test.", &[RecordType::DNAME]);
        assert!(!covers(&name("sub.test."), &record, &name("a.sub.test."), &zone));
    }

    #[test]
    fn base_32_is_that_of_the_rfc() {
        assert_eq!(base32hex(b""), b"");
        assert_eq!(base32hex(b"f"), b"co");
        assert_eq!(base32hex(b"foobar"), b"cpnmuoj1e8");
    }
}
