//! Chains of aliases: where they end, and where they leave the school's own zones.

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, Record, RecordType},
};

use super::cache::Came;
use crate::name::Key;

/// The target of an alias that a name has in this section.
fn target<'a>(name: &Name, answers: &'a [Record]) -> Option<&'a Name> {
    answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *name => Some(&target.0),
        _ => None,
    })
}

/// Cuts an answer of an own zone's server down to what that zone may say.
///
/// The server speaks for its zone only. Where an alias leads out of it, the rest of the answer is dropped, for us to ask
/// in the right place: the target gets validated, and a private address that it has is no longer one of the school's.
pub(crate) fn keep_within(zone: &Key, asked: &Name, came: &mut Came) {
    let is_within = |name: &Name| Key::from_name(name).is_within(zone);
    came.answers.retain(|record| is_within(&record.name));
    if matches!(came.qtype, RecordType::CNAME | RecordType::ANY) {
        return;
    }
    let mut name = asked.clone();
    // Each step uses up one alias, so a loop ends too.
    for _ in 0..came.answers.len() {
        let Some(next) = target(&name, &came.answers) else { return };
        if !is_within(next) {
            came.ends_in_alias = true;
            came.rcode = ResponseCode::NoError;
            came.authorities.clear();
            return;
        }
        name = next.clone();
    }
}

/// The name with which an answer must be continued: its aliases lead to a name of which it says nothing.
pub(crate) fn continues_at<'a>(
    asked: &Name,
    qtype: RecordType,
    answers: &'a [Record],
    authorities: &[Record],
) -> Option<&'a Name> {
    if matches!(qtype, RecordType::CNAME | RecordType::ANY) {
        return None;
    }
    let mut end = target(asked, answers)?;
    for _ in 0..answers.len() {
        let Some(next) = target(end, answers) else { break };
        end = next;
    }
    let said = answers.iter().any(|r| r.name == *end && r.record_type() != RecordType::RRSIG);
    let denied = authorities.iter().any(|r| r.record_type() == RecordType::SOA && r.name.zone_of(end));
    (!said && !denied).then_some(end)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, CNAME, SOA};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn a(owner: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::A(A::new(10, 0, 0, 1)))
    }

    fn alias(owner: &str, target: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
    }

    fn came(answers: Vec<Record>) -> Came {
        Came {
            qtype: RecordType::A,
            rcode: ResponseCode::NXDomain,
            answers,
            authorities: vec![a("ns.test.")],
            secure: false,
            ends_in_alias: false,
        }
    }

    #[test]
    fn an_own_zone_says_nothing_of_other_names() {
        let zone = Key::parse("ad.test").unwrap();
        let answers = vec![
            alias("w.ad.test.", "x.AD.test."),
            alias("x.ad.test.", "evil.example."),
            a("evil.example."),
            a("y.ad.test."),
        ];
        let mut came = came(answers);
        keep_within(&zone, &name("w.ad.test."), &mut came);
        assert!(came.ends_in_alias);
        assert_eq!(came.rcode, ResponseCode::NoError);
        assert!(came.answers.iter().all(|r| r.name != name("evil.example.")));
        let end = continues_at(&name("w.ad.test."), RecordType::A, &came.answers, &came.authorities);
        assert_eq!(end, Some(&name("evil.example.")));
    }

    #[test]
    fn a_chain_within_the_zone_is_left_alone() {
        let zone = Key::parse("ad.test").unwrap();
        let mut came = came(vec![alias("w.ad.test.", "x.ad.test."), a("x.ad.test.")]);
        keep_within(&zone, &name("W.ad.test."), &mut came);
        assert!(!came.ends_in_alias);
        assert_eq!(came.answers.len(), 2);
        assert_eq!(came.rcode, ResponseCode::NXDomain);
        assert_eq!(continues_at(&name("w.ad.test."), RecordType::A, &came.answers, &[]), None);
    }

    #[test]
    fn a_loop_ends() {
        let zone = Key::parse("ad.test").unwrap();
        let mut came = came(vec![alias("w.ad.test.", "x.ad.test."), alias("x.ad.test.", "w.ad.test.")]);
        keep_within(&zone, &name("w.ad.test."), &mut came);
        assert_eq!(continues_at(&name("w.ad.test."), RecordType::A, &came.answers, &[]), None);
    }

    #[test]
    fn a_denial_of_the_target_ends_the_chain() {
        let soa = SOA::new(name("ns.ad.test."), name("admin.ad.test."), 1, 2, 3, 4, 5);
        let denial = [Record::from_rdata(name("ad.test."), 60, RData::SOA(soa))];
        let answers = [alias("w.ad.test.", "x.ad.test.")];
        assert_eq!(continues_at(&name("w.ad.test."), RecordType::A, &answers, &denial), None);
        let answers = [alias("w.ad.test.", "x.other.test.")];
        let next = continues_at(&name("w.ad.test."), RecordType::A, &answers, &denial);
        assert_eq!(next, Some(&name("x.other.test.")));
    }

    #[test]
    fn a_question_for_the_alias_itself_is_not_followed() {
        let answers = [alias("w.ad.test.", "x.other.test.")];
        assert_eq!(continues_at(&name("w.ad.test."), RecordType::CNAME, &answers, &[]), None);
    }
}
