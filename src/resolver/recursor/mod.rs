//! Recursion from the root, with validation: hickory's recursor behind [`Backend`].
//!
//! hickory follows aliases by itself and forgets them when their end fails, so each alias is a question of its own here
//! (`Recursor::follow`), judged by its own signatures; the weakest judgement counts for the whole chain.

mod cuts;
mod dial;
mod dnssec;
mod link;
mod roots;

use std::{
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use hickory_net::{dnssec::DnssecDnsHandle, runtime::TokioRuntimeProvider};
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{DNSClass, Name, Record, RecordType},
};
use hickory_resolver::{
    TtlBounds, TtlConfig,
    config::ResolverOpts,
    recursor::{DnssecPolicy, QNameMinimization, RecursorOptions},
};

use self::{
    dial::{Dialler, Seen},
    link::{Asker, Notes},
};
use super::{
    Ask, Security,
    backend::{Backend, Failure, Found},
    config::{Config, Dnssec, ResolverError},
};
use crate::{
    delegation::Delegations,
    ede::{Ede, EdeCode},
};

/// How many aliases are followed.
const MAX_ALIASES: usize = 16;
/// How many answers hickory keeps. Few: our own cache stands above, and these spare the asking within one question.
const ANSWERS_KEPT: u64 = 1_024;
/// How many zones' name servers hickory keeps.
const ZONES_KEPT: usize = 1_024;
/// How many judgements on record sets hickory keeps.
const JUDGEMENTS_KEPT: usize = 2_048;
/// How long a judgement is used again: not long, since a signature may run out meanwhile.
const JUDGEMENT_LASTS: Duration = Duration::from_secs(300);
/// How long hickory keeps an answer: it was not validated yet, so a wrong one must not outlive its mistake for long.
const KEPT: Duration = Duration::from_secs(60);
/// The same for a negative answer.
const KEPT_NEGATIVE: Duration = Duration::from_secs(30);
/// How many labels down from the root a zone is looked for. The reverse of an IPv6 address has 34; hickory's own limit
/// of 24 can't resolve it. Each question has a budget of 200 packets besides.
const DEEPEST_NAME: u8 = 60;
/// NSEC3 with more iterations is taken as unsigned, and with many more as bogus (RFC 9276, section 3.2).
const NSEC3_ITERATIONS: (u16, u16) = (100, 500);

/// How long hickory keeps what; delegations keep their own time.
fn short_lived() -> TtlConfig {
    let mut options = ResolverOpts::default();
    options.positive_max_ttl = Some(KEPT);
    options.negative_max_ttl = Some(KEPT_NEGATIVE);
    let mut ttls = TtlConfig::from_opts(&options);
    ttls.with_query_type_ttl_bounds(RecordType::NS, TtlBounds::default());
    ttls
}

/// Finds answers by asking the authoritative servers, from the root down.
pub struct Recursor {
    asker: Asker,
    /// Judges what `asker` finds; nothing when validation is off.
    validator: Option<DnssecDnsHandle<Asker>>,
    limit: Duration,
}

impl fmt::Debug for Recursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recursor").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Recursor {
    /// Makes a recursor by the settings; reads hints and keys, and asks nobody yet.
    ///
    /// # Errors
    ///
    /// Names the setting and what would be right.
    pub fn new(config: &Config) -> Result<Self, ResolverError> {
        let hints = roots::hints(&config.root_hints)?;
        let anchors = roots::anchors(&config.trust_anchor)?;
        let options = RecursorOptions {
            ns_cache_size: ZONES_KEPT,
            response_cache_size: ANSWERS_KEPT,
            ns_recursion_limit: DEEPEST_NAME,
            allow_server: config.allow_servers.clone(),
            case_randomization: true,
            qname_minimization: QNameMinimization::Relaxed,
            cache_policy: short_lived(),
            ..RecursorOptions::default()
        };
        let seen = Seen::default();
        let dialler = Dialler::new(config.port, seen.clone());
        // Validation stands above, on `asker`: there each alias can be judged alone, and errors keep their reasons.
        let recursor = hickory_resolver::recursor::Recursor::new(
            &hints,
            DnssecPolicy::ValidationDisabled,
            None,
            options,
            dialler,
        )
        .map_err(|error| ResolverError::Recursor { reason: error.to_string() })?;
        let asker = Asker::new(recursor, seen);
        let validator = (config.dnssec == Dnssec::Validate).then(|| {
            DnssecDnsHandle::with_trust_anchor(asker.clone(), Arc::new(anchors))
                .nsec3_iteration_limits(Some(NSEC3_ITERATIONS.0), Some(NSEC3_ITERATIONS.1))
                .validation_cache_size(JUDGEMENTS_KEPT)
                .positive_validation_ttl(Duration::ZERO..=JUDGEMENT_LASTS)
        });
        Ok(Self { asker, validator, limit: config.time_limit() })
    }

    /// Follows the aliases from the question's name to their end; `found` has what is known at any time.
    async fn follow(&self, query: &Query, found: &Mutex<Chain>) -> Result<(), Failure> {
        let mut name = query.name().to_lowercase();
        let mut names = vec![name.clone()];
        loop {
            let link = self.link(&name, query.query_type()).await?;
            let delegation = self.asker.delegation(&name, query.query_type());
            let mut chain = found.lock().unwrap_or_else(PoisonError::into_inner);
            chain.add(link.answers, link.security, link.ede);
            chain.rcode = link.rcode;
            chain.delegations = chain.delegations.joined(&delegation);
            let Some(target) = link.alias else {
                chain.authorities.extend(link.authorities);
                return Ok(());
            };
            // Proof that a wildcard was needed for this alias.
            chain.authorities.extend(link.authorities);
            drop(chain);
            if names.contains(&target) {
                return Err(failure(format!("the alias {name} leads in a circle"), EdeCode::Other));
            }
            if names.len() > MAX_ALIASES {
                return Err(failure(format!("more than {MAX_ALIASES} aliases in a row"), EdeCode::Other));
            }
            names.push(target.clone());
            name = target;
        }
    }
}

impl Backend for Recursor {
    fn ask<'a>(
        &'a self,
        query: &'a Query,
        _ask: Ask,
    ) -> Pin<Box<dyn Future<Output = Result<Found, Failure>> + Send + 'a>> {
        Box::pin(async move {
            if query.query_class() != DNSClass::IN || !can_be_asked(query.query_type()) {
                let reason = format!("{} {} is not asked", query.query_class(), query.query_type());
                return Err(failure(reason, EdeCode::NotSupported));
            }
            let mut query = query.clone();
            query.name.set_fqdn(true);
            let found = Mutex::new(Chain::default());
            let work = link::NOTES.scope(Notes::default(), self.follow(&query, &found));
            // A panic in a library that reads what strangers send must cost one answer, not the service.
            let outcome = match tokio::time::timeout(self.limit, AssertUnwindSafe(work).catch_unwind()).await
            {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(failure("an answer could not be read".into(), EdeCode::InvalidData)),
                Err(_) => {
                    let reason = format!("no answer within {} ms", self.limit.as_millis());
                    Err(failure(reason, EdeCode::NoReachableAuthority))
                }
            };
            let chain = found.into_inner().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(()) => Ok(chain.into_found(query)),
                Err(failure) => Err(Failure { aliases: chain.answers, ..failure }),
            }
        })
    }
}

/// Whether a type can be asked of an authoritative server.
///
/// ANY is answered by ourselves (RFC 8482), transfers and what is not a type of record never.
fn can_be_asked(rtype: RecordType) -> bool {
    !matches!(
        rtype,
        RecordType::ANY
            | RecordType::AXFR
            | RecordType::IXFR
            | RecordType::OPT
            | RecordType::TSIG
            | RecordType::ZERO
    ) && !(249..=255).contains(&u16::from(rtype))
}

fn failure(reason: String, code: EdeCode) -> Failure {
    let ede = vec![Ede::new(code, reason.clone())];
    Failure { reason, ede, aliases: Vec::new() }
}

/// What is known of an answer while its aliases are followed.
#[derive(Debug)]
struct Chain {
    rcode: ResponseCode,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    security: Security,
    ede: Vec<Ede>,
    delegations: Delegations,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            rcode: ResponseCode::NoError,
            answers: Vec::new(),
            authorities: Vec::new(),
            security: Security::Secure,
            ede: Vec::new(),
            delegations: Delegations::NONE,
        }
    }
}

impl Chain {
    fn add(&mut self, answers: Vec<Record>, security: Security, ede: Vec<Ede>) {
        self.answers.extend(answers);
        self.security = weaker(self.security, security);
        self.ede.extend(ede);
    }

    fn into_found(self, query: Query) -> Found {
        let mut message = Message::query().into_response();
        message.metadata.response_code = self.rcode;
        message.metadata.recursion_available = true;
        message.metadata.authentic_data = self.security == Security::Secure;
        let mut answers = self.answers;
        for record in answers.iter_mut().filter(|record| record.name == query.name) {
            record.name = query.name.clone();
        }
        message.add_query(query);
        message.insert_answers(answers);
        message.insert_authorities(self.authorities);
        Found { message, security: self.security, ede: self.ede, delegations: self.delegations }
    }
}

/// What one name has to say.
#[derive(Debug)]
struct Link {
    rcode: ResponseCode,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    /// Where to go on, when the name is an alias.
    alias: Option<Name>,
    security: Security,
    ede: Vec<Ede>,
}

/// The weaker of two judgements.
fn weaker(a: Security, b: Security) -> Security {
    let rank = |security| match security {
        Security::Bogus => 0,
        Security::Indeterminate => 1,
        Security::Insecure => 2,
        Security::Secure => 3,
    };
    if rank(a) <= rank(b) { a } else { b }
}

/// The clock that signatures are judged by, in seconds since 1970.
fn clock() -> u32 {
    use hickory_net::runtime::{RuntimeProvider, Time};
    // Signatures count in 32 bits and compare as serial numbers (RFC 4034, section 3.1.5).
    <TokioRuntimeProvider as RuntimeProvider>::Timer::current_time() as u32
}

#[cfg(test)]
mod tests;
