//! Answers that the policy makes instead of the internet's: blocks, aliases to a safer name, records without `ech`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    dnssec::rdata::DNSSECRData,
    op::{Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, SOA, SVCB, svcb::Mandatory, svcb::SvcParamKey, svcb::SvcParamValue},
    },
};

use super::answer::{Reply, same_name};
use crate::{
    ede::{Ede, EdeCode},
    policy::{BlockResponse, Target},
    resolver::{AnswerSource, Resolved},
};

/// The longest that a rewritten answer may be kept, in seconds, so that a changed setting is soon in force.
const REWRITE_TTL: u32 = 300;
/// How long an address that was good when the product was made may be kept, in seconds.
const LAST_GOOD_TTL: u32 = 60;

/// Serial, refresh, retry and expire of the SOA of what we deny.
pub(super) const SOA_NUMBERS: [u32; 4] = [1, 3600, 600, 86_400];

/// The addresses of the block page, as the asker can reach them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PageAddresses {
    pub(super) v4: Option<Ipv4Addr>,
    pub(super) v6: Option<Ipv6Addr>,
}

/// The reply to a blocked question.
///
/// `ttl` is in seconds, short, so that an opened name works soon.
pub(super) fn blocked(query: &Query, how: BlockResponse, ttl: u32, page: PageAddresses) -> Reply {
    let data = match (how, query.query_type()) {
        (BlockResponse::Refused, _) => return Reply::empty(ResponseCode::Refused),
        (BlockResponse::NxDomain, _) => return negative(ResponseCode::NXDomain, query.name(), ttl),
        (BlockResponse::NullAddress, RecordType::A) => Some(RData::A(Ipv4Addr::UNSPECIFIED.into())),
        (BlockResponse::NullAddress, RecordType::AAAA) => Some(RData::AAAA(Ipv6Addr::UNSPECIFIED.into())),
        (BlockResponse::BlockPage, RecordType::A) => page.v4.map(|address| RData::A(address.into())),
        (BlockResponse::BlockPage, RecordType::AAAA) => page.v6.map(|address| RData::AAAA(address.into())),
        (BlockResponse::NoData | BlockResponse::NullAddress | BlockResponse::BlockPage, _) => None,
    };
    match data {
        Some(data) => Reply {
            answers: vec![Record::from_rdata(query.name().clone(), ttl, data)],
            ..Reply::empty(ResponseCode::NoError)
        },
        None => negative(ResponseCode::NoError, query.name(), ttl),
    }
}

/// A reply without answers, with the SOA that tells how long it may be kept (RFC 2308, section 3).
pub(super) fn negative(rcode: ResponseCode, name: &Name, ttl: u32) -> Reply {
    Reply { authorities: vec![soa(name, ttl)], ..Reply::empty(rcode) }
}

fn soa(name: &Name, ttl: u32) -> Record {
    // Names below `invalid` belong to nobody (RFC 6761, section 6.4).
    let invalid = |label: &[u8]| Name::from_labels([label, b"invalid"]).unwrap_or_default();
    let [serial, refresh, retry, expire] = SOA_NUMBERS;
    let (mname, rname) = (invalid(b"schoolgate"), invalid(b"nobody"));
    let data = SOA::new(mname, rname, serial, refresh as i32, retry as i32, expire as i32, ttl);
    Record::from_rdata(name.clone(), ttl, RData::SOA(data))
}

/// Whether a rewrite leads this type to the target; other types have no data.
pub(super) fn is_rewritten(qtype: RecordType) -> bool {
    matches!(qtype, RecordType::A | RecordType::AAAA | RecordType::HTTPS)
}

/// The alias that a rewrite makes of the name asked.
pub(super) fn alias(query: &Query, target: &Target) -> Record {
    Record::from_rdata(query.name().clone(), REWRITE_TTL, RData::CNAME(CNAME(target.name.clone())))
}

/// The reply to a question whose name was made an alias of `target`, with what the target resolved to.
///
/// Never holds a record of the name itself but the alias: when the target can't be resolved the reply is its last
/// good addresses or a failure.
pub(super) fn rewritten(query: &Query, target: &Target, resolved: Resolved) -> Reply {
    let mut reply = Reply::empty(ResponseCode::NoError);
    reply.answers.push(alias(query, target));
    match resolved.rcode {
        ResponseCode::NoError => {
            reply.answers.extend(resolved.answers);
            reply.authorities = resolved.authorities;
            reply.ede = resolved.ede;
            reply = reply.without_dnssec(RecordType::ZERO);
            let has_data = reply.answers.iter().any(|record| record.record_type() == query.query_type());
            if !has_data && reply.authorities.is_empty() {
                reply.authorities.push(soa(&target.name, REWRITE_TTL));
            }
            for record in reply.answers.iter_mut().chain(&mut reply.authorities) {
                record.ttl = record.ttl.min(REWRITE_TTL);
            }
            reply
        }
        _ if target.last_good.is_empty() => {
            Reply { ede: resolved.ede, ..Reply::empty(ResponseCode::ServFail) }
        }
        _ => {
            reply.answers.extend(target.last_good.iter().filter_map(|address| {
                let data = match (address, query.query_type()) {
                    (IpAddr::V4(address), RecordType::A) => RData::A((*address).into()),
                    (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA((*address).into()),
                    _ => return None,
                };
                Some(Record::from_rdata(target.name.clone(), LAST_GOOD_TTL, data))
            }));
            for record in &mut reply.answers {
                record.ttl = LAST_GOOD_TTL;
            }
            if reply.answers.len() == 1 {
                reply.authorities.push(soa(&target.name, LAST_GOOD_TTL));
            }
            reply.ede.push(Ede::new(EdeCode::ForgedAnswer, "the target's last known addresses"));
            reply
        }
    }
}

/// The answer to ANY (RFC 8482, section 4.2): one record that no browser uses, so that it can't be used to flood
/// others.
pub(super) fn minimal_any(name: &Name) -> Reply {
    let data = hickory_proto::rr::rdata::HINFO::new(String::from("RFC8482"), String::new());
    let record = Record::from_rdata(name.clone(), 3600, RData::HINFO(data));
    Reply { answers: vec![record], ..Reply::empty(ResponseCode::NoError) }
}

/// Takes `ech` out of HTTPS and SVCB records, and the signatures that no longer fit; says whether it changed any.
pub(super) fn strip_ech(resolved: &mut Resolved) -> bool {
    let mut changed: Vec<(Name, RecordType)> = Vec::new();
    for record in resolved.answers.iter_mut().chain(&mut resolved.authorities) {
        let service = match &mut record.data {
            RData::HTTPS(https) => &mut https.0,
            RData::SVCB(svcb) => svcb,
            _ => continue,
        };
        if without_ech(service) {
            changed.push((record.name.clone(), record.record_type()));
        }
    }
    if changed.is_empty() {
        return false;
    }
    let still_signed = |record: &Record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => !changed
            .iter()
            .any(|(name, kind)| same_name(name, &record.name) && signature.input().type_covered == *kind),
        _ => true,
    };
    resolved.answers.retain(still_signed);
    resolved.authorities.retain(still_signed);
    true
}

fn without_ech(service: &mut SVCB) -> bool {
    let before = service.svc_params.len();
    service.svc_params.retain(|(key, _)| *key != SvcParamKey::EchConfigList);
    if service.svc_params.len() == before {
        return false;
    }
    // RFC 9460, section 8: a client rejects a record whose mandatory list names what is not there.
    service.svc_params.retain_mut(|(_, value)| match value {
        SvcParamValue::Mandatory(Mandatory(keys)) => {
            keys.retain(|key| *key != SvcParamKey::EchConfigList);
            !keys.is_empty()
        }
        _ => true,
    });
    true
}

/// The reply that hands out what was resolved.
pub(super) fn resolved(resolved: Resolved, checking_disabled: bool) -> Reply {
    let bogus = resolved.security == crate::resolver::Security::Bogus && !checking_disabled;
    if bogus || !matches!(resolved.rcode, ResponseCode::NoError | ResponseCode::NXDomain) {
        let rcode = if bogus { ResponseCode::ServFail } else { resolved.rcode };
        return Reply { ede: resolved.ede, ..Reply::empty(rcode) };
    }
    Reply {
        rcode: resolved.rcode,
        answers: resolved.answers,
        authorities: resolved.authorities,
        // A stale answer's signatures may have run out since they were checked.
        authentic: resolved.security == crate::resolver::Security::Secure
            && resolved.source != AnswerSource::Stale,
        ede: resolved.ede,
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::svcb::{Alpn, EchConfigList, IpHint};
    use hickory_proto::rr::rdata::{A, HTTPS};

    use super::*;
    use crate::resolver::Security;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn found(answers: Vec<Record>) -> Resolved {
        Resolved {
            rcode: ResponseCode::NoError,
            answers,
            authorities: Vec::new(),
            security: Security::Secure,
            source: AnswerSource::Cache,
            own_zone: false,
            ede: Vec::new(),
            delegations: crate::delegation::Delegations::NONE,
        }
    }

    const PAGE: PageAddresses =
        PageAddresses { v4: Some(Ipv4Addr::new(192, 0, 2, 1)), v6: Some(Ipv6Addr::LOCALHOST) };

    #[test]
    fn each_block_response_answers_each_type() {
        for how in BlockResponse::ALL {
            for kind in [RecordType::A, RecordType::AAAA, RecordType::HTTPS, RecordType::TXT] {
                let reply = blocked(&Query::query(name("bad.example."), kind), how, 10, PAGE);
                let expected = match (how, kind) {
                    (BlockResponse::BlockPage, RecordType::A) => {
                        Some(RData::A(Ipv4Addr::new(192, 0, 2, 1).into()))
                    }
                    (BlockResponse::BlockPage, RecordType::AAAA) => {
                        Some(RData::AAAA(Ipv6Addr::LOCALHOST.into()))
                    }
                    (BlockResponse::NullAddress, RecordType::A) => {
                        Some(RData::A(Ipv4Addr::UNSPECIFIED.into()))
                    }
                    (BlockResponse::NullAddress, RecordType::AAAA) => {
                        Some(RData::AAAA(Ipv6Addr::UNSPECIFIED.into()))
                    }
                    _ => None,
                };
                let rcode = match how {
                    BlockResponse::NxDomain => ResponseCode::NXDomain,
                    BlockResponse::Refused => ResponseCode::Refused,
                    _ => ResponseCode::NoError,
                };
                assert_eq!(reply.rcode, rcode, "{how:?} {kind}");
                assert_eq!(reply.answers.first().map(|r| r.data.clone()), expected, "{how:?} {kind}");
                let needs_soa = expected.is_none() && how != BlockResponse::Refused;
                assert_eq!(reply.authorities.len(), usize::from(needs_soa), "{how:?} {kind}");
                assert!(reply.answers.iter().chain(&reply.authorities).all(|r| r.ttl == 10));
            }
        }
    }

    #[test]
    fn a_page_without_an_address_of_the_family_is_no_data() {
        let query = Query::query(name("bad.example."), RecordType::AAAA);
        let page = PageAddresses { v6: None, ..PAGE };
        let reply = blocked(&query, BlockResponse::BlockPage, 10, page);
        assert!(reply.answers.is_empty());
        assert_eq!(reply.authorities.len(), 1);
    }

    #[test]
    fn ech_is_taken_out_with_its_mention_and_its_signature() {
        let params = vec![
            (
                SvcParamKey::Mandatory,
                SvcParamValue::Mandatory(Mandatory(vec![SvcParamKey::Alpn, SvcParamKey::EchConfigList])),
            ),
            (SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(vec!["h2".into()]))),
            (SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(vec![A::new(192, 0, 2, 7)]))),
            (SvcParamKey::EchConfigList, SvcParamValue::EchConfigList(EchConfigList(vec![1, 2]))),
        ];
        let data = RData::HTTPS(HTTPS(SVCB::new(1, Name::root(), params)));
        let mut resolved = found(vec![Record::from_rdata(name("a.example."), 60, data)]);
        assert!(strip_ech(&mut resolved));
        let RData::HTTPS(https) = &resolved.answers[0].data else { panic!() };
        assert_eq!(https.0.svc_params.len(), 3);
        assert_eq!(https.0.svc_params[0].1, SvcParamValue::Mandatory(Mandatory(vec![SvcParamKey::Alpn])));
        assert!(!strip_ech(&mut resolved), "there is nothing more to take");
    }

    fn target(last_good: &[&str]) -> Target {
        Target {
            name: name("safe.example."),
            last_good: last_good.iter().map(|a| a.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_rewrite_is_an_alias_and_the_targets_records() {
        let query = Query::query(name("search.example."), RecordType::A);
        let a = Record::from_rdata(name("safe.example."), 9000, RData::A(A::new(192, 0, 2, 9)));
        let reply = rewritten(&query, &target(&[]), found(vec![a]));
        assert_eq!(reply.answers.len(), 2);
        assert_eq!(reply.answers[0].data, RData::CNAME(CNAME(name("safe.example."))));
        assert!(reply.answers.iter().all(|r| r.ttl <= REWRITE_TTL));
        assert!(!reply.authentic && reply.authorities.is_empty());
    }

    #[test]
    fn a_rewrite_to_a_target_without_the_type_is_no_data() {
        let query = Query::query(name("search.example."), RecordType::HTTPS);
        let reply = rewritten(&query, &target(&["192.0.2.9"]), found(vec![]));
        assert_eq!((reply.rcode, reply.answers.len()), (ResponseCode::NoError, 1));
        assert_eq!(reply.authorities[0].record_type(), RecordType::SOA);
    }

    #[test]
    fn a_target_that_fails_leaves_its_last_good_addresses_or_nothing() {
        let failed = Resolved { rcode: ResponseCode::ServFail, ..found(vec![]) };
        let query = Query::query(name("search.example."), RecordType::A);
        let reply = rewritten(&query, &target(&[]), failed.clone());
        assert_eq!((reply.rcode, reply.answers.len()), (ResponseCode::ServFail, 0));
        let reply = rewritten(&query, &target(&["192.0.2.9", "2001:db8::9"]), failed);
        assert_eq!(reply.rcode, ResponseCode::NoError);
        assert_eq!(reply.answers[1].data, RData::A(A::new(192, 0, 2, 9)));
        assert_eq!(reply.answers.len(), 2);
        assert_eq!(reply.ede[0].code, EdeCode::ForgedAnswer);
    }

    #[test]
    fn bogus_data_is_never_handed_out_unless_checking_is_disabled() {
        let a = Record::from_rdata(name("a.example."), 60, RData::A(A::new(192, 0, 2, 9)));
        let bogus = Resolved { security: Security::Bogus, ..found(vec![a]) };
        let reply = resolved(bogus.clone(), false);
        assert_eq!((reply.rcode, reply.answers.len()), (ResponseCode::ServFail, 0));
        let reply = resolved(bogus, true);
        assert_eq!((reply.rcode, reply.answers.len(), reply.authentic), (ResponseCode::NoError, 1, false));
    }
}
