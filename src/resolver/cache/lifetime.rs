//! How long an answer may be used: TTL limits, negative answers and signatures.
//!
//! Pure: the time of day is an argument.

use hickory_proto::{
    dnssec::rdata::DNSSECRData,
    op::ResponseCode,
    rr::{RData, Record, RecordType},
};

/// How long a negative answer without a SOA is used, in seconds.
///
/// RFC 2308 (section 5) would not cache it at all, but broken load balancers that answer AAAA so are common, and each
/// client would ask them anew.
const WITHOUT_SOA: u32 = 5;

/// More records than this share one TTL, so that comparing their names stays cheap.
const COMPARED: usize = 64;

/// The limits that the settings give, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Shorter TTLs are raised to this, but never over a signature's own.
    pub(crate) min: u32,
    /// Longer TTLs are cut to this.
    pub(crate) max: u32,
    /// The longest that a negative answer is used.
    pub(crate) max_negative: u32,
}

/// What of an answer is kept, and for how long.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The answer section with its TTLs limited.
    pub(crate) answers: Vec<Record>,
    /// The records of the authority section that prove something (SOA, NSEC, NSEC3 and their signatures).
    pub(crate) authorities: Vec<Record>,
    /// Seconds until the first record runs out; 0 when the answer is for this question only.
    pub(crate) lifetime: u32,
    /// Seconds until the first signature of a proven answer expires; past it, the answer is not even given as stale.
    pub(crate) signed_for: u32,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Came {
    /// The type asked.
    pub(crate) qtype: RecordType,
    /// How it ended.
    pub(crate) rcode: ResponseCode,
    /// The answer section.
    pub(crate) answers: Vec<Record>,
    /// The authority section.
    pub(crate) authorities: Vec<Record>,
    /// It is proven by its signatures.
    pub(crate) secure: bool,
    /// It ends in an alias that is followed elsewhere, so having no record of the type asked says nothing.
    pub(crate) ends_in_alias: bool,
}

impl Limits {
    /// Works out what is kept of an answer; `now` is in seconds since 1970.
    ///
    /// Records of one set get one TTL, the lowest (RFC 2181, section 5.2). Proven sets live no longer than their
    /// signature's original TTL and its expiry (RFC 4035, section 5.3.3). Negative answers live no longer than the SOA's
    /// TTL and minimum (RFC 2308, section 5).
    pub(crate) fn apply(&self, came: Came, now: i64) -> Kept {
        let Came { qtype, rcode, mut answers, mut authorities, secure, ends_in_alias } = came;
        let has_data = answers.iter().any(|r| qtype == RecordType::ANY || r.record_type() == qtype);
        let negative = !ends_in_alias && (rcode == ResponseCode::NXDomain || !has_data);

        authorities.retain(|record| {
            let kind = covered(record).unwrap_or_else(|| record.record_type());
            match kind {
                RecordType::NSEC | RecordType::NSEC3 => true,
                RecordType::SOA => negative,
                _ => false,
            }
        });
        let negative_ttl = negative.then(|| {
            let soa = authorities.iter().find_map(|record| match &record.data {
                RData::SOA(soa) => Some(sane(record.ttl).min(sane(soa.minimum))),
                _ => None,
            });
            soa.unwrap_or(WITHOUT_SOA).min(self.max_negative)
        });

        let mut signed_for = u32::MAX;
        for section in [&mut answers, &mut authorities] {
            for record in section.iter_mut() {
                record.ttl = sane(record.ttl).clamp(self.min.min(self.max), self.max);
                if let (true, RData::DNSSEC(DNSSECRData::RRSIG(signature))) = (secure, &record.data) {
                    let input = signature.input();
                    let left = until(input.sig_expiration.get(), now);
                    signed_for = signed_for.min(left);
                    record.ttl = record.ttl.min(input.original_ttl).min(left);
                }
            }
            one_ttl_for_each_set(section);
        }
        if let Some(limit) = negative_ttl {
            for record in &mut authorities {
                record.ttl = record.ttl.min(limit);
            }
        }
        let lowest = answers.iter().chain(&authorities).map(|r| r.ttl).min().unwrap_or(u32::MAX);
        let lifetime = lowest.min(negative_ttl.unwrap_or(u32::MAX)).min(self.max);
        Kept { answers, authorities, lifetime, signed_for }
    }
}

/// RFC 2181, section 8: a TTL with its highest bit set means 0.
fn sane(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// Seconds from `now` to a signature's expiry, in the serial arithmetic of RFC 4034, section 3.1.5.
fn until(expiration: u32, now: i64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "serial numbers wrap")]
    let now = now as u32;
    let left = expiration.wrapping_sub(now);
    if left > i32::MAX as u32 { 0 } else { left }
}

/// The type that a signature covers; none for other records.
fn covered(record: &Record) -> Option<RecordType> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature.input().type_covered),
        _ => None,
    }
}

/// Gives all records of a set, its signatures among them, the lowest TTL of the set.
fn one_ttl_for_each_set(section: &mut [Record]) {
    if section.len() > COMPARED {
        let lowest = section.iter().map(|r| r.ttl).min().unwrap_or(0);
        for record in section {
            record.ttl = lowest;
        }
        return;
    }
    let kinds: Vec<RecordType> =
        section.iter().map(|r| covered(r).unwrap_or_else(|| r.record_type())).collect();
    for i in 0..section.len() {
        let same = |j: &usize| kinds[*j] == kinds[i] && section[*j].name == section[i].name;
        let lowest = (0..section.len()).filter(same).map(|j| section[j].ttl).min();
        section[i].ttl = lowest.unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        dnssec::{
            Algorithm,
            rdata::{RRSIG, SigInput},
        },
        rr::{
            Name, SerialNumber,
            rdata::{A, CNAME, SOA},
        },
    };

    use super::*;

    const LIMITS: Limits = Limits { min: 0, max: 86_400, max_negative: 3_600 };
    const NOW: i64 = 1_795_000_000;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn a(owner: &str, ttl: u32) -> Record {
        Record::from_rdata(name(owner), ttl, RData::A(A::new(192, 0, 2, 1)))
    }

    fn soa(ttl: u32, minimum: u32) -> Record {
        let data = SOA::new(name("ns.example."), name("admin.example."), 1, 2, 3, 4, minimum);
        Record::from_rdata(name("example."), ttl, RData::SOA(data))
    }

    fn rrsig(owner: &str, kind: RecordType, ttl: u32, original_ttl: u32, expires_in: i64) -> Record {
        let input = SigInput {
            type_covered: kind,
            algorithm: Algorithm::ECDSAP256SHA256,
            num_labels: 2,
            original_ttl,
            sig_expiration: SerialNumber::new((NOW + expires_in) as u32),
            sig_inception: SerialNumber::new((NOW - 1000) as u32),
            key_tag: 1,
            signer_name: name("example."),
        };
        let data = RRSIG::from_sig(input, vec![0; 64]);
        Record::from_rdata(name(owner), ttl, RData::DNSSEC(DNSSECRData::RRSIG(data)))
    }

    fn came(answers: Vec<Record>, authorities: Vec<Record>) -> Came {
        Came {
            qtype: RecordType::A,
            rcode: ResponseCode::NoError,
            answers,
            authorities,
            secure: true,
            ends_in_alias: false,
        }
    }

    #[test]
    fn the_first_record_to_run_out_ends_the_answer() {
        let alias = Record::from_rdata(name("w.example."), 300, RData::CNAME(CNAME(name("x.example."))));
        let kept = LIMITS.apply(came(vec![alias, a("x.example.", 20)], vec![]), NOW);
        assert_eq!(kept.lifetime, 20);
        assert_eq!(kept.answers[0].ttl, 300);
    }

    #[test]
    fn limits_hold_at_both_ends() {
        let limits = Limits { min: 30, max: 600, max_negative: 60 };
        assert_eq!(limits.apply(came(vec![a("x.example.", 5)], vec![]), NOW).lifetime, 30);
        assert_eq!(limits.apply(came(vec![a("x.example.", 9_000_000)], vec![]), NOW).answers[0].ttl, 600);
        assert_eq!(limits.apply(came(vec![], vec![soa(9000, 9000)]), NOW).lifetime, 60);
    }

    #[test]
    fn a_ttl_with_the_highest_bit_is_zero() {
        assert_eq!(LIMITS.apply(came(vec![a("x.example.", 0x8000_0001)], vec![]), NOW).lifetime, 0);
    }

    #[test]
    fn a_set_has_one_ttl() {
        let kept = LIMITS.apply(came(vec![a("X.example.", 50), a("x.example.", 40)], vec![]), NOW);
        assert_eq!(kept.answers.iter().map(|r| r.ttl).collect::<Vec<_>>(), [40, 40]);
    }

    #[test]
    fn a_signature_limits_its_set_even_under_the_minimum() {
        let limits = Limits { min: 500, ..LIMITS };
        let answers = vec![a("x.example.", 300), rrsig("x.example.", RecordType::A, 300, 200, 70)];
        let kept = limits.apply(came(answers, vec![]), NOW);
        assert_eq!((kept.lifetime, kept.signed_for), (70, 70));
        assert_eq!(kept.answers[0].ttl, 70);

        let answers = vec![a("x.example.", 300), rrsig("x.example.", RecordType::A, 300, 200, 9000)];
        assert_eq!(limits.apply(came(answers, vec![]), NOW).lifetime, 200);

        let answers = vec![a("x.example.", 300), rrsig("x.example.", RecordType::A, 300, 200, -1)];
        assert_eq!(limits.apply(came(answers, vec![]), NOW).lifetime, 0);
    }

    #[test]
    fn a_negative_answer_lives_by_its_soa() {
        assert_eq!(LIMITS.apply(came(vec![], vec![soa(600, 120)]), NOW).lifetime, 120);
        assert_eq!(LIMITS.apply(came(vec![], vec![soa(60, 120)]), NOW).lifetime, 60);
        assert_eq!(LIMITS.apply(came(vec![], vec![soa(9000, 9000)]), NOW).lifetime, 3_600);
        assert_eq!(LIMITS.apply(came(vec![], vec![]), NOW).lifetime, WITHOUT_SOA);
    }

    #[test]
    fn a_positive_answer_keeps_no_name_servers() {
        let kept = LIMITS.apply(came(vec![a("x.example.", 50)], vec![soa(10, 10)]), NOW);
        assert!(kept.authorities.is_empty());
        assert_eq!(kept.lifetime, 50);
    }

    #[test]
    fn an_alias_that_is_followed_elsewhere_is_not_negative() {
        let alias = Record::from_rdata(name("w.example."), 300, RData::CNAME(CNAME(name("x.test."))));
        let kept = LIMITS.apply(Came { ends_in_alias: true, ..came(vec![alias], vec![]) }, NOW);
        assert_eq!(kept.lifetime, 300);
    }
}
