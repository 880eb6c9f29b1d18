//! Forwarding: asking other resolvers, several of them, the best first.

mod exchange;
mod upstream;

use std::{
    fmt,
    fs::File,
    io,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use self::exchange::{ExchangeError, Line};
pub use self::upstream::{Transport, Upstream, UpstreamError};
use super::{
    Ask, Security,
    backend::{Backend, Failure, Found},
    config::ResolverError,
    records::{is_about_denial, is_about_dname},
    report::ServerReport,
};
use crate::{
    delegation::Delegations,
    ede::{Ede, EdeCode},
};

/// How long one upstream is waited for alone before the next is asked too.
const HEDGE: Duration = Duration::from_millis(800);
/// After how many failures in a row an upstream is rested.
const FAILURES: u32 = 3;
/// How long an upstream is rested at first; the time doubles with each further failure.
const FIRST_REST: Duration = Duration::from_secs(2);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// One question in so many goes to two upstreams at once, so that a second one that became faster is noticed.
const EXPLORE: u32 = 50;

/// Whose word on DNSSEC is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Upstreams that are asked over TLS or HTTPS: they have proven who they are, and nobody can change what they say.
    Encrypted,
    /// Nobody: no answer is marked as proven.
    Nobody,
}

/// How a forwarder behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which certificates are believed.
    pub tls: Arc<ClientConfig>,
    /// How long a question may take in all.
    pub limit: Duration,
    /// Whose AD bit is believed.
    pub trust: Trust,
}

/// Asks upstream resolvers.
///
/// The fastest healthy one is asked first; when it fails or takes long, the next is asked as well, and the first useful
/// answer counts. An upstream that fails several times in a row is rested, and asked only when all others fail.
pub struct Forwarder {
    lines: Vec<(Line, Mutex<Health>)>,
    limit: Duration,
    trust: Trust,
    turn: AtomicU32,
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lines.iter().map(|(line, _)| line.upstream())).finish()
    }
}

#[derive(Debug, Default)]
struct Health {
    /// Smoothed time that answers took; nothing before the first.
    time: Option<Duration>,
    failures: u32,
    rested_until: Option<Instant>,
}

impl Health {
    fn succeeded(&mut self, took: Duration) {
        // What failures did to it is forgiven.
        let before = self.time.filter(|_| self.failures == 0);
        self.time = Some(before.map_or(took, |time| (time * 7 + took) / 8));
        self.failures = 0;
        self.rested_until = None;
    }

    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        // Behind the others at once, not only when it is rested.
        self.time = Some(self.time.map_or(HEDGE, |time| (time * 2).clamp(HEDGE, LONGEST_REST)));
        if let Some(doublings) = self.failures.checked_sub(FAILURES) {
            let rest = FIRST_REST.saturating_mul(1 << doublings.min(5)).min(LONGEST_REST);
            self.rested_until = Some(now + rest);
        }
    }

    /// By what upstreams are sorted: rested ones last, then the fastest; one that was never asked counts as fast.
    fn rank(&self, now: Instant) -> (bool, Duration) {
        (self.rested_until.is_some_and(|until| until > now), self.time.unwrap_or_default())
    }
}

impl Forwarder {
    /// A forwarder to some upstreams; connects to nobody yet.
    #[must_use]
    pub fn new(upstreams: Vec<Upstream>, settings: Settings) -> Self {
        let line = |upstream| (Line::new(upstream, Arc::clone(&settings.tls)), Mutex::default());
        Self {
            lines: upstreams.into_iter().map(line).collect(),
            limit: settings.limit,
            trust: settings.trust,
            turn: AtomicU32::new(1),
        }
    }

    /// The upstreams in the order in which they are asked.
    fn order(&self) -> Vec<usize> {
        let now = Instant::now();
        let mut order: Vec<usize> = (0..self.lines.len()).collect();
        order.sort_by_key(|&index| self.health(index).rank(now));
        order
    }

    fn health(&self, index: usize) -> MutexGuard<'_, Health> {
        self.lines[index].1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks one upstream and remembers how that went.
    async fn ask_one(
        &self,
        index: usize,
        query: &Query,
        ask: Ask,
    ) -> (usize, Result<Message, ExchangeError>) {
        let begun = Instant::now();
        // What the caller drops, because another was faster or time is up, counts as a failure when it took long.
        let guard = Unanswered { forwarder: self, index, begun };
        let outcome = self.lines[index].0.ask(query, ask.checking_disabled).await;
        std::mem::forget(guard);
        match &outcome {
            Ok(_) => self.health(index).succeeded(begun.elapsed()),
            Err(_) => self.health(index).failed(Instant::now()),
        }
        (index, outcome)
    }

    /// Asks one after the other, and the next as well when one takes long.
    async fn race(&self, query: &Query, ask: Ask) -> Result<Found, Failure> {
        let mut waiting = self.order().into_iter();
        let mut asked = FuturesUnordered::new();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if turn.is_multiple_of(EXPLORE) {
            asked.extend(waiting.by_ref().take(2).map(|index| self.ask_one(index, query, ask)));
        }
        let mut last = failure("there is no upstream".into(), EdeCode::NoReachableAuthority);
        loop {
            if asked.is_empty() {
                match waiting.next() {
                    Some(index) => asked.push(self.ask_one(index, query, ask)),
                    None => return Err(last),
                }
            }
            let next = if waiting.len() == 0 {
                asked.next().await
            } else {
                match tokio::time::timeout(HEDGE, asked.next()).await {
                    Ok(next) => next,
                    Err(_) => {
                        asked.extend(waiting.next().map(|index| self.ask_one(index, query, ask)));
                        continue;
                    }
                }
            };
            let Some((index, outcome)) = next else { continue };
            let upstream = self.lines[index].0.upstream();
            match outcome {
                Ok(message) => match self.read(message, query, upstream) {
                    Ok(found) => return Ok(found),
                    // A validating upstream found the answer wrong; one that does not validate must not override it.
                    Err(failure) if failure.ede.iter().any(is_about_dnssec) => return Err(failure),
                    Err(failure) => last = failure,
                },
                Err(error) => {
                    tracing::debug!(%upstream, %error, "An upstream did not answer");
                    let code = match error {
                        ExchangeError::NotAnAnswer => EdeCode::InvalidData,
                        ExchangeError::Io(_) | ExchangeError::Net(_) | ExchangeError::Question => {
                            EdeCode::NetworkError
                        }
                    };
                    last = failure(format!("the upstream {upstream}: {error}"), code);
                }
            }
        }
    }

    fn read(&self, message: Message, query: &Query, upstream: &Upstream) -> Result<Found, Failure> {
        let mut ede = extended_errors(&message);
        let proven = message.metadata.authentic_data
            && self.trust == Trust::Encrypted
            && upstream.transport.is_encrypted();
        let security = if proven { Security::Secure } else { Security::Insecure };
        let rcode = message.metadata.response_code;
        let found = tidy(message, query);
        match rcode {
            ResponseCode::NoError | ResponseCode::NXDomain => {
                Ok(Found { message: found, security, ede, delegations: Delegations::NONE })
            }
            other => {
                let reason = format!("the upstream {upstream} answered {other}");
                if ede.is_empty() {
                    ede.push(Ede::new(EdeCode::NoReachableAuthority, reason.clone()));
                }
                Err(Failure { reason, ede, aliases: found.answers })
            }
        }
    }
}

/// Notes that an upstream was given up on.
struct Unanswered<'a> {
    forwarder: &'a Forwarder,
    index: usize,
    begun: Instant,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.begun.elapsed() >= HEDGE {
            self.forwarder.health(self.index).failed(Instant::now());
        }
    }
}

impl Backend for Forwarder {
    fn servers(&self) -> Vec<ServerReport> {
        let now = Instant::now();
        let report = |(index, (line, _)): (usize, &(Line, Mutex<Health>))| {
            let health = self.health(index);
            ServerReport {
                server: line.upstream().to_string(),
                encrypted: line.upstream().transport.is_encrypted(),
                // Of one that fails, the time says only how long it is put off.
                time: health.time.filter(|_| health.failures == 0),
                failures: health.failures,
                resting: health.rested_until.is_some_and(|until| until > now),
            }
        };
        self.lines.iter().enumerate().map(report).collect()
    }

    fn ask<'a>(
        &'a self,
        query: &'a Query,
        ask: Ask,
    ) -> Pin<Box<dyn Future<Output = Result<Found, Failure>> + Send + 'a>> {
        Box::pin(async move {
            if query.query_type() == RecordType::ANY {
                return Err(failure("ANY is not asked".into(), EdeCode::NotSupported));
            }
            match tokio::time::timeout(self.limit, self.race(query, ask)).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let reason = format!("no upstream answered within {} ms", self.limit.as_millis());
                    Err(failure(reason, EdeCode::NoReachableAuthority))
                }
            }
        })
    }
}

fn failure(reason: String, code: EdeCode) -> Failure {
    let ede = vec![Ede::new(code, reason.clone())];
    Failure { reason, ede, aliases: Vec::new() }
}

fn is_about_dnssec(ede: &Ede) -> bool {
    matches!(ede.code as u16, 1 | 2 | 5..=12)
}

/// Keeps what belongs to the question: the chain of aliases from its name, what stands at its end, and signatures.
fn tidy(message: Message, query: &Query) -> Message {
    let mut kept = Message::query().into_response();
    kept.metadata = message.metadata;
    kept.add_query(query.clone());
    let mut names = vec![query.name().clone()];
    let mut found: Vec<Record> = Vec::new();
    // Each round follows one alias; more rounds than records can't find more.
    for _ in 0..=message.answers.len() {
        let name = names[names.len() - 1].clone();
        let next = message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == name && query.query_type() != RecordType::CNAME => {
                Some(target.0.clone())
            }
            _ => None,
        });
        match next.filter(|next| !names.contains(next)) {
            Some(next) => names.push(next),
            None => break,
        }
    }
    let is_above = |owner: &Name| names.iter().any(|name| owner != name && owner.zone_of(name));
    for name in &names {
        for record in message.answers.iter().filter(|record| record.name == *name) {
            let mut record = record.clone();
            if record.name == *query.name() {
                record.name = query.name().clone();
            }
            found.push(record);
        }
    }
    // The DNAME records that made the aliases, and their signatures.
    found.extend(
        message
            .answers
            .iter()
            .filter(|record| {
                is_about_dname(record) && !names.contains(&record.name) && is_above(&record.name)
            })
            .cloned(),
    );
    kept.insert_answers(found);
    kept.insert_authorities(message.authorities.into_iter().filter(is_about_denial).collect());
    kept
}

/// The extended errors of an upstream's answer, for the client.
fn extended_errors(message: &Message) -> Vec<Ede> {
    let Some(edns) = &message.edns else { return Vec::new() };
    let options = edns.options().as_ref().iter();
    options
        .filter_map(|(code, option)| match option {
            EdnsOption::Unknown(15, data) if *code == EdnsCode::Unknown(15) => {
                let (number, text) = data.split_first_chunk::<2>()?;
                let code = known(u16::from_be_bytes(*number))?;
                // Long texts are cut: the answer must still fit in a packet.
                let text: String = String::from_utf8_lossy(text).chars().take(200).collect();
                Some(Ede::new(code, text))
            }
            _ => None,
        })
        .take(4)
        .collect()
}

fn known(code: u16) -> Option<EdeCode> {
    use EdeCode as E;
    let all = [
        E::Other,
        E::UnsupportedDnskeyAlgorithm,
        E::UnsupportedDsDigestType,
        E::StaleAnswer,
        E::ForgedAnswer,
        E::DnssecIndeterminate,
        E::DnssecBogus,
        E::SignatureExpired,
        E::SignatureNotYetValid,
        E::DnskeyMissing,
        E::RrsigsMissing,
        E::NsecMissing,
        E::CachedError,
        E::NotReady,
        E::Blocked,
        E::Censored,
        E::Filtered,
        E::Prohibited,
        E::StaleNxdomainAnswer,
        E::NotAuthoritative,
        E::NotSupported,
        E::NoReachableAuthority,
        E::NetworkError,
        E::InvalidData,
    ];
    all.into_iter().find(|&known| known as u16 == code)
}

/// Which certificates upstreams may show: the well-known authorities', and those of a PEM file of the school's.
///
/// # Errors
///
/// When the file can't be read or has no certificate.
pub fn tls_settings(roots: Option<&Path>) -> Result<Arc<ClientConfig>, ResolverError> {
    const KEY: &str = "tls_roots";
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = roots {
        let wrong = |reason: String| ResolverError::File { key: KEY, path: path.into(), reason };
        let read = |source: io::Error| ResolverError::Read { key: KEY, path: path.into(), source };
        let file = File::open(path).map_err(read)?;
        let mut count = 0;
        for certificate in CertificateDer::pem_reader_iter(file) {
            let certificate = certificate.map_err(|error| wrong(format!("not a PEM file: {error}")))?;
            store
                .add(certificate)
                .map_err(|error| wrong(format!("has a certificate that can't be used: {error}")))?;
            count += 1;
        }
        if count == 0 {
            return Err(wrong("has no certificate; it needs \"-----BEGIN CERTIFICATE-----\"".into()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ResolverError::Recursor { reason: error.to_string() })?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
