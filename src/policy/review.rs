//! What an answer may not bring in: names that are aliases of blocked ones, listed addresses, zones of listed name
//! servers, private addresses.

use std::net::IpAddr;

use hickory_proto::rr::{
    RData, Record,
    rdata::svcb::{SVCB, SvcParamKey, SvcParamValue},
};
use jiff::Timestamp;

use super::{
    Answer, Decision, Policy, Question, Reason, Review, RuleRef, Verdict,
    decide::{Asker, Listing},
    file::Mode,
    lookup::Of,
    rebinding::is_private,
};
use crate::{category::CategorySet, clients::Client, name::Key};

/// Something in an answer that speaks against it.
pub(super) struct Finding {
    pub(super) reason: Reason,
    /// The categories that were found on the way, for the log.
    pub(super) categories: CategorySet,
    /// It holds even in a profile that only watches.
    pub(super) always: bool,
}

impl Policy {
    /// Looks at the answer to a question that was allowed: first at every alias target, then at listed addresses, then at
    /// the name servers of the zones that it came from, then at private addresses. HTTPS and SVCB records count as aliases
    /// (their target) and as addresses (their hints).
    ///
    /// In an answer from a zone of the school's own, private addresses are right; they are right as well for the school's
    /// own names and for essential names, which some systems' checks need.
    #[must_use]
    pub fn review(
        &self,
        question: &Question,
        client: &Client,
        decision: &Decision,
        answer: &Answer<'_>,
        now: Timestamp,
    ) -> Review {
        let answers = answer.records;
        let asker = self.asker(client, now);
        let mut review = Review::default();
        if matches!(decision.verdict, Verdict::Block(_)) {
            return review;
        }
        let chosen = Chosen::of(decision);
        let private_is_right = answer.own_zone
            || decision.reason == Reason::Essential
            || self.names.find(&question.key).is_own();

        let aliases = answers.iter().filter_map(target).filter_map(|key| asker.alias(key, chosen));
        let addresses = answers.iter().flat_map(addresses);
        let listed = addresses.clone().filter_map(|address| asker.address(address, chosen));
        let path = || std::iter::once(question.key.clone()).chain(answers.iter().filter_map(target));
        let served = answer
            .delegations
            .iter()
            .filter_map(|delegation| asker.name_servers(delegation, answer.delegations, path, chosen));
        let private = addresses.filter(|address| !private_is_right && is_private(*address)).map(|address| {
            Finding { reason: Reason::Rebinding(address), categories: CategorySet::EMPTY, always: false }
        });
        for finding in aliases.chain(listed).chain(served).chain(private) {
            if asker.profile.mode == Mode::Watch && !finding.always {
                review.would_block.get_or_insert(finding.reason);
                continue;
            }
            review.block = Some(Decision {
                verdict: Verdict::Block(asker.profile.block_with),
                reason: finding.reason,
                categories: decision.categories.union(finding.categories),
                would_block: None,
                reported: CategorySet::EMPTY,
            });
            review.would_block = None;
            break;
        }
        review.strip_ech = asker.profile.strip_ech && answers.iter().any(has_ech);
        review
    }
}

/// Whether someone decided for the name itself, which outweighs what lists say of where it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    /// Nobody: every category counts.
    No,
    /// Its service is open: only what harms machines counts.
    Service,
    /// The name is: no category counts but a locked one.
    Name,
}

impl Chosen {
    fn of(decision: &Decision) -> Self {
        match (&decision.verdict, &decision.reason) {
            (Verdict::Rewrite(_), _)
            | (_, Reason::AllowRule(_) | Reason::Exception(_) | Reason::Essential) => Self::Name,
            (_, Reason::AllowService(_)) => Self::Service,
            _ => Self::No,
        }
    }
}

impl Asker<'_> {
    /// What speaks against an alias target: steps 3, 5 and 8 of the order, and 6 before 8.
    fn alias(&self, target: Key, chosen: Chosen) -> Option<Finding> {
        let matches = self.policy.look_up(&target);
        let facts = self.policy.names.find(&target);
        let security = self.blocked_now(matches.open).intersection(self.policy.security);
        let because = if let Some(listed) = self.locked(&matches) {
            Reason::Locked(listed)
        } else {
            match self.rule(&facts) {
                Some((rule, false, _)) => Reason::BlockRule(RuleRef(rule)),
                Some((_, true, _)) => return None,
                None if chosen == Chosen::Name || facts.essential().is_some() => return None,
                None if chosen == Chosen::Service && security.is_empty() => return None,
                None if chosen == Chosen::Service => {
                    self.category_reason(self.policy.listed(&matches, security))
                }
                None => match self.listed(&facts, &matches) {
                    Listing::Blocks(reason) => reason,
                    Listing::Opens(_) | Listing::Nothing => return None,
                },
            }
        };
        let categories = matches.open.union(matches.raw.intersection(self.profile.locked));
        let (because, always) = match because {
            Reason::Locked(_) => (because, true),
            _ if self.profile.mode == Mode::Watch && !security.is_empty() && chosen != Chosen::Name => {
                (self.category_reason(self.policy.listed(&matches, security)), true)
            }
            _ => (because, false),
        };
        Some(Finding { reason: Reason::Alias { target, because: Box::new(because) }, categories, always })
    }

    /// What speaks against an address.
    fn address(&self, address: IpAddr, chosen: Chosen) -> Option<Finding> {
        let address = address.to_canonical();
        let matches = self.policy.look_up_address(Of::Names, address);
        if matches.raw.is_empty() {
            return None;
        }
        let locked = matches.raw.intersection(self.profile.locked);
        if !locked.is_empty() {
            let listed = self.policy.listed(&matches, locked);
            return Some(Finding {
                reason: Reason::LockedAddress { address, listed },
                categories: matches.open.union(locked),
                always: true,
            });
        }
        let mut blocked = self.blocked_now(matches.open);
        let security = blocked.intersection(self.policy.security);
        match chosen {
            Chosen::No => {}
            Chosen::Service => blocked = security,
            Chosen::Name => return None,
        }
        if blocked.is_empty() {
            return None;
        }
        let watching = self.profile.mode == Mode::Watch && !security.is_empty();
        let listed = self.policy.listed(&matches, if watching { security } else { blocked });
        Some(Finding {
            reason: Reason::Address { address, listed },
            categories: matches.open,
            always: watching,
        })
    }
}

/// The name that a record leads to.
pub(super) fn target(record: &Record) -> Option<Key> {
    match &record.data {
        RData::CNAME(name) => Some(Key::from_name(&name.0)),
        RData::ANAME(name) => Some(Key::from_name(&name.0)),
        RData::SVCB(svcb) => service_target(svcb),
        RData::HTTPS(https) => service_target(&https.0),
        RData::Unknown { code, rdata } if u16::from(*code) == DNAME => uncompressed(&rdata.anything),
        _ => None,
    }
}

/// The number of the DNAME type, which the DNS library keeps as bytes.
const DNAME: u16 = 39;

/// `.` stands for the record's own name.
fn service_target(svcb: &SVCB) -> Option<Key> {
    if svcb.target_name.is_root() { None } else { Some(Key::from_name(&svcb.target_name)) }
}

/// A name in wire form without compression, which DNAME never has (RFC 6672, section 2.5).
fn uncompressed(mut bytes: &[u8]) -> Option<Key> {
    let mut labels: Vec<&[u8]> = Vec::new();
    loop {
        let (&length, rest) = bytes.split_first()?;
        if length == 0 {
            break;
        }
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        labels.push(label);
        bytes = rest;
    }
    hickory_proto::rr::Name::from_labels(labels).ok().map(|name| Key::from_name(&name))
}

/// The addresses of a record, hints included.
pub(super) fn addresses(record: &Record) -> impl Iterator<Item = IpAddr> + Clone + '_ {
    let own = match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    };
    let params = match &record.data {
        RData::SVCB(svcb) => svcb.svc_params.as_slice(),
        RData::HTTPS(https) => https.0.svc_params.as_slice(),
        _ => &[],
    };
    let v4 = params.iter().flat_map(|(_, value)| match value {
        SvcParamValue::Ipv4Hint(hint) => hint.0.as_slice(),
        _ => &[],
    });
    let v6 = params.iter().flat_map(|(_, value)| match value {
        SvcParamValue::Ipv6Hint(hint) => hint.0.as_slice(),
        _ => &[],
    });
    own.into_iter().chain(v4.map(|a| IpAddr::V4(a.0))).chain(v6.map(|aaaa| IpAddr::V6(aaaa.0)))
}

pub(super) fn has_ech(record: &Record) -> bool {
    let params = match &record.data {
        RData::SVCB(svcb) => &svcb.svc_params,
        RData::HTTPS(https) => &https.0.svc_params,
        _ => return false,
    };
    params.iter().any(|(key, _)| *key == SvcParamKey::EchConfigList)
}
