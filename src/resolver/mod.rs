//! From a question to records: local zones, the answer cache, forwarders, recursion with validation.
//!
//! [`Resolver::resolve`] is the one way in. It knows nothing of profiles: what it returns is the internet's answer,
//! and the policy above decides who may have it.
//!
//! A question goes to the first of these that knows it: a local zone, the server of an own zone (conditional
//! forwarding), the cache, and then whoever is asked on the internet. Answers of own zones that lead out of them by an
//! alias are continued from the start with the alias's target.

pub mod backend;
pub mod cache;
mod chain;
pub mod config;
mod flight;
pub mod forwarder;
mod kept;
pub mod local;
mod records;
pub mod recursor;
mod report;
mod udp;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{DNSClass, Name, Record},
};
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep},
};

pub(crate) use self::records::is_extra;
use self::{
    backend::{Backend, Failure},
    cache::{Cache, CacheConfig, Entry, Known, Landing, QuestionKey, Ttl, question_key},
    flight::{Boarding, Flights},
};
pub use self::{
    config::{Backends, Config, ResolverError, build},
    kept::Kept,
    local::LocalAnswer,
    report::{Report, ServerReport, ZoneReport},
};
use crate::{
    clock::Clock,
    delegation::Delegations,
    ede::{Ede, EdeCode},
    name::Key,
};

/// Whether an answer is proven (RFC 4035, section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// A chain of signatures reaches the trust anchor.
    Secure,
    /// The zone is proven to be unsigned, or validation is off.
    Insecure,
    /// Signatures are wrong or missing where they must be.
    Bogus,
    /// It could not be found out.
    Indeterminate,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerSource {
    /// The policy made it.
    Policy,
    /// A local zone.
    Local,
    /// The cache, within its time to live.
    Cache,
    /// The cache, past its time to live (RFC 8767).
    Stale,
    /// A server was asked.
    Upstream,
}

impl AnswerSource {
    /// Each of them, in order.
    pub const ALL: [Self; 5] = [Self::Policy, Self::Local, Self::Cache, Self::Stale, Self::Upstream];
}

/// How a question is to be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ask {
    /// The client validates for itself (CD): hand out what can't be proven too.
    pub checking_disabled: bool,
}

/// The answer to a question, with DNSSEC records in it whether or not the client wants them.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// How it ended.
    pub rcode: ResponseCode,
    /// The answer section, aliases first.
    pub answers: Vec<Record>,
    /// The authority section: SOA and denials of negative answers.
    pub authorities: Vec<Record>,
    /// Whether it is proven.
    pub security: Security,
    /// Where it came from.
    pub source: AnswerSource,
    /// It comes from a zone of the school's own (a local zone or conditional forwarding).
    pub own_zone: bool,
    /// What went wrong, if anything did.
    pub ede: Vec<Ede>,
    /// The delegations that it came from: that of the name asked, then those of its aliases' targets. There are none where
    /// others were asked to resolve it, and for what is local.
    pub delegations: Delegations,
}

/// A client gets the stale answer when the servers have taken this long (RFC 8767, section 5).
const PATIENCE: Duration = Duration::from_millis(1_800);

/// The TTL of stale answers in seconds (RFC 8767, section 5).
const STALE_TTL: u32 = 30;

/// A backend limits its own time; this is for one that fails to.
const LONGEST_FLIGHT: Duration = Duration::from_secs(90);

/// How many answers are joined into one by aliases.
const MAX_LINKS: usize = 16;

/// Answers from local zones; none when no local zone has the name. The same question always has the same answer.
pub type LocalAnswers = Arc<dyn Fn(&Query) -> Option<LocalAnswer> + Send + Sync>;

/// Who is asked for what.
#[derive(Clone)]
pub struct Routes {
    /// The school's own names, special names and private reverse zones.
    pub local: LocalAnswers,
    /// Zones of the school's own with the servers that have them; the most specific zone of a name counts.
    pub own: Vec<(Key, Arc<dyn Backend>)>,
    /// For all other names.
    pub main: Arc<dyn Backend>,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("own", &self.own).field("main", &self.main).finish_non_exhaustive()
    }
}

impl From<Backends> for Routes {
    fn from(backends: Backends) -> Self {
        let Backends { main, zones, local } = backends;
        Self { local: Arc::new(move |query| local.answer(query)), own: zones, main }
    }
}

/// What the resolver did since it started, and holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Answers from the cache, within their time.
    pub hits: u64,
    /// Failures and bogus answers that the cache remembered.
    pub failure_hits: u64,
    /// Questions for which a server was asked or already being asked.
    pub misses: u64,
    /// Stale answers.
    pub stale: u64,
    /// Answers fetched anew before they ran out.
    pub prefetches: u64,
    /// Questions not asked since too many were on their way.
    pub turned_away: u64,
    /// Entries in the cache now.
    pub entries: u64,
    /// Bytes in the cache now.
    pub bytes: u64,
    /// Questions on their way now.
    pub flights: u64,
}

/// Counters behind [`Stats`]; each on the cache lines of its own that answering threads would otherwise share.
#[derive(Debug, Default)]
struct Counters {
    hits: Counter,
    failure_hits: Counter,
    misses: Counter,
    stale: Counter,
    prefetches: Counter,
    turned_away: Counter,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self) {
        self.add_many(1);
    }

    fn add_many(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Resolves questions.
#[derive(Debug)]
pub struct Resolver {
    routes: ArcSwap<Routes>,
    cache: Arc<Cache>,
    flights: Arc<Flights<Landing>>,
    runtime: Handle,
    counters: Counters,
}

/// The first zone that has a name is then the most specific.
fn sorted(mut routes: Routes) -> Routes {
    routes.own.sort_by_key(|(zone, _)| std::cmp::Reverse(zone.depth()));
    routes
}

/// An answer, and the name with which it must be continued.
struct Link(Resolved, Option<Name>);

/// What can be said of a question without waiting.
enum Ready {
    /// All of it.
    Answer(Link),
    /// It must be asked; a stale answer is there for when that fails.
    Ask(QuestionKey, Option<Arc<Entry>>),
}

impl Resolver {
    /// A resolver with an empty cache, whose questions to servers run on `runtime`.
    ///
    /// Questions themselves may be polled on any thread.
    #[must_use]
    pub fn new(routes: impl Into<Routes>, config: CacheConfig, clock: Clock, runtime: Handle) -> Self {
        Self {
            routes: ArcSwap::from_pointee(sorted(routes.into())),
            flights: Arc::new(Flights::new(config.max_flights)),
            cache: Arc::new(Cache::new(config, clock)),
            runtime,
            counters: Counters::default(),
        }
    }

    /// Asks others from now on, and forgets all answers of before. Questions on their way end by whom they asked.
    pub fn set_routes(&self, routes: impl Into<Routes>) {
        self.routes.store(Arc::new(sorted(routes.into())));
        // Not before: an answer of the old routes would be kept otherwise.
        self.cache.flush();
    }

    /// Resolves a question; never fails: what can't be resolved is SERVFAIL with its extended errors.
    ///
    /// Answers from the cache are ready at the first poll. An answer that failed validation is given with
    /// `checking_disabled` only; otherwise it is SERVFAIL without records, and never replaced by a stale one.
    /// A chain of aliases whose end failed is SERVFAIL with the aliases, so that they can be reviewed.
    pub async fn resolve(&self, query: &Query, ask: Ask) -> Resolved {
        match self.ready(query, ask) {
            Ok(resolved) => resolved,
            // On the heap, so that the future of an answer from the cache stays small.
            Err(chain) => Box::pin(self.wait(query, ask, chain)).await,
        }
    }

    /// The answer to a question, if nobody need be asked for it.
    pub fn resolve_now(&self, query: &Query, ask: Ask) -> Option<Resolved> {
        self.ready(query, ask).ok()
    }

    /// Whether a question is the school's own business: a local zone or record answers it, a special name, or the
    /// server of an own zone.
    #[must_use]
    pub fn is_own(&self, query: &Query) -> bool {
        let key = Key::from_name(query.name());
        let routes = self.routes.load();
        routes.own.iter().any(|(zone, _)| key.is_within(zone)) || (routes.local)(query).is_some()
    }

    /// Forgets all answers.
    pub fn flush(&self) {
        self.cache.flush();
    }

    /// Forgets the answers for a name and all names below it.
    pub fn flush_name(&self, name: &Key) {
        self.cache.flush_name(name);
    }

    /// Whom it asks, and how that goes.
    #[must_use]
    pub fn report(&self) -> Report {
        let routes = self.routes.load();
        let zones = routes.own.iter();
        let zones =
            zones.map(|(zone, backend)| ZoneReport { zone: zone.to_string(), servers: backend.servers() });
        Report { forwarders: routes.main.servers(), zones: zones.collect(), stats: self.stats() }
    }

    /// What the resolver did and holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            hits: self.counters.hits.read(),
            failure_hits: self.counters.failure_hits.read(),
            misses: self.counters.misses.read(),
            stale: self.counters.stale.read(),
            prefetches: self.counters.prefetches.read(),
            turned_away: self.counters.turned_away.read(),
            entries: self.cache.len() as u64,
            bytes: self.cache.bytes(),
            flights: self.flights.len() as u64,
        }
    }

    /// Follows a question as far as it goes without waiting; else how far that was.
    fn ready(&self, query: &Query, ask: Ask) -> Result<Resolved, Box<Chain>> {
        let mut chain = Chain::default();
        loop {
            let asked = chain.next.as_ref().unwrap_or(query);
            match self.ready_link(asked, ask) {
                Ready::Answer(link) => {
                    if let Some(resolved) = chain.add(query, link) {
                        return Ok(resolved);
                    }
                }
                Ready::Ask(key, stale) => {
                    chain.waiting = Some((key, stale));
                    return Err(Box::new(chain));
                }
            }
        }
    }

    /// Follows a question from where it must be waited for.
    async fn wait(&self, query: &Query, ask: Ask, mut chain: Box<Chain>) -> Resolved {
        loop {
            let asked = chain.next.clone().unwrap_or_else(|| query.clone());
            let ready = match chain.waiting.take() {
                Some((key, stale)) => Ready::Ask(key, stale),
                None => self.ready_link(&asked, ask),
            };
            let link = match ready {
                Ready::Answer(link) => link,
                Ready::Ask(key, stale) => link(&asked, self.ask(&asked, ask, &key, stale).await),
            };
            if let Some(resolved) = chain.add(query, link) {
                return resolved;
            }
        }
    }

    fn ready_link(&self, query: &Query, ask: Ask) -> Ready {
        if let Some(refusal) = refusal(query) {
            return Ready::Answer(Link(refusal, None));
        }
        let mut key = question_key(query, false);
        let now = self.cache.now();
        // Before the local zones: what they know is never asked, so it is never in the cache, which is emptied when they
        // change.
        if let Some(entry) = self.cache.fresh(&mut key, ask, now)
            && let Some(resolved) = given(&entry, query, ask, AnswerSource::Cache, now)
        {
            self.counters.hits.add();
            let uses = entry.hit();
            if self.cache.is_due(&entry, uses, now) {
                self.refresh(query, key);
            }
            return Ready::Answer(link(query, resolved));
        }
        if let Some(local) = (self.routes.load().local)(query) {
            let resolved = Resolved {
                rcode: local.rcode,
                answers: local.answers,
                authorities: local.authorities,
                security: Security::Insecure,
                source: AnswerSource::Local,
                own_zone: true,
                ede: Vec::new(),
                delegations: Delegations::NONE,
            };
            return Ready::Answer(Link(resolved, local.continue_at));
        }
        match self.cache.look_up(&mut key, ask, now) {
            Known::Stale(entry, Some(fault)) => {
                if let Some(resolved) = self.stale(&entry, query, ask, &fault.entry.ede, now) {
                    return Ready::Answer(link(query, resolved));
                }
            }
            Known::Stale(entry, None) => return Ready::Ask(flight_key(key, ask), Some(entry)),
            Known::Fault(fault) => {
                if let Some(mut resolved) = given(&fault.entry, query, ask, AnswerSource::Cache, now) {
                    self.counters.failure_hits.add();
                    if resolved.rcode == ResponseCode::ServFail {
                        resolved.ede.push(Ede::new(EdeCode::CachedError, ""));
                    }
                    return Ready::Answer(link(query, resolved));
                }
            }
            // An answer that came since the look above is found again when the flight is boarded.
            Known::Fresh(_) | Known::Nothing => {}
        }
        Ready::Ask(flight_key(key, ask), None)
    }

    /// Asks a server or waits with those who do; gives the stale answer when that fails or takes long.
    async fn ask(&self, query: &Query, ask: Ask, key: &[u8], stale: Option<Arc<Entry>>) -> Resolved {
        let flight = match self.board(query, ask, key, false) {
            Boarding::Flying(flight) => flight,
            Boarding::Landed(landing) => {
                self.counters.hits.add();
                return self.landed(landing, query, ask, stale, AnswerSource::Cache);
            }
            Boarding::Full => {
                self.counters.turned_away.add();
                let ede = [Ede::new(EdeCode::NetworkError, "too many questions in flight")];
                return self.failed(&ede, query, ask, stale);
            }
        };
        self.counters.misses.add();
        let patience = stale.as_ref().map(|_| self.sleep_until(flight.started + PATIENCE));
        let landing = async {
            match patience {
                None => Some(flight.landing().await),
                Some(patience) => tokio::select! {
                    biased;
                    landing = flight.landing() => Some(landing),
                    () = patience => None,
                },
            }
        };
        match landing.await {
            Some(Some(landing)) => self.landed(landing, query, ask, stale, AnswerSource::Upstream),
            Some(None) => {
                let ede = [Ede::new(EdeCode::Other, "the question was lost within the resolver")];
                self.failed(&ede, query, ask, stale)
            }
            // The flight goes on, for those who ask later.
            None => self.failed(&[], query, ask, stale),
        }
    }

    /// Timers need the runtime that drives them, and this may be polled outside of it.
    fn sleep_until(&self, deadline: Instant) -> Sleep {
        let _entered = self.runtime.enter();
        tokio::time::sleep_until(deadline)
    }

    fn landed(
        &self,
        landing: Landing,
        query: &Query,
        ask: Ask,
        stale: Option<Arc<Entry>>,
        source: AnswerSource,
    ) -> Resolved {
        let now = self.cache.now();
        let entry = match landing {
            Landing::Fault(fault) if !fault.says_bogus() && stale.is_some() => {
                return self.failed(&fault.entry.ede, query, ask, stale);
            }
            Landing::Fault(fault) => Arc::clone(&fault.entry),
            Landing::Answer(entry) => entry,
        };
        given(&entry, query, ask, source, now).unwrap_or_else(|| {
            let ede = [Ede::new(EdeCode::InvalidData, "the answer can't be read")];
            self.failed(&ede, query, ask, stale)
        })
    }

    /// The stale answer if there is one, else a failure.
    fn failed(&self, ede: &[Ede], query: &Query, ask: Ask, stale: Option<Arc<Entry>>) -> Resolved {
        stale
            .and_then(|entry| self.stale(&entry, query, ask, ede, self.cache.now()))
            .unwrap_or_else(|| servfail(AnswerSource::Upstream, ede.to_vec()))
    }

    fn stale(&self, entry: &Entry, query: &Query, ask: Ask, because: &[Ede], now: u64) -> Option<Resolved> {
        let mut resolved = given(entry, query, ask, AnswerSource::Stale, now)?;
        let code = match resolved.rcode {
            ResponseCode::NXDomain => EdeCode::StaleNxdomainAnswer,
            _ => EdeCode::StaleAnswer,
        };
        resolved.ede.push(Ede::new(code, ""));
        resolved.ede.extend_from_slice(because);
        self.counters.stale.add();
        Some(resolved)
    }

    /// Asks anew for an answer that is about to run out.
    fn refresh(&self, query: &Query, key: QuestionKey) {
        // The client's CD is not passed on: the entry is for all.
        let ask = Ask::default();
        if let Boarding::Flying(_) = self.board(query, ask, &flight_key(key, ask), true) {
            self.counters.prefetches.add();
        }
    }

    fn board(&self, query: &Query, ask: Ask, key: &[u8], behind: bool) -> Boarding<Landing> {
        let known = || {
            if behind {
                return None;
            }
            match self.cache.look_up(&mut question_key(query, false), ask, self.cache.now()) {
                Known::Fresh(entry) => Some(Landing::Answer(entry)),
                Known::Fault(fault) | Known::Stale(_, Some(fault)) => Some(Landing::Fault(fault)),
                Known::Stale(_, None) | Known::Nothing => None,
            }
        };
        let name = Key::from_name(query.name());
        // Names below a dead zone must not take the flights of all others.
        let domain = name.prefix(name.public_suffix_depth().max(1) + 1);
        self.flights.board(key, domain, behind, &self.runtime, known, || {
            let query = query.clone();
            let cache = Arc::clone(&self.cache);
            let generation = cache.generation();
            let routes = self.routes.load();
            let own = routes.own.iter().find(|(zone, _)| name.is_within(zone)).cloned();
            let (zone, backend) = match own {
                Some((zone, backend)) => (Some(zone), backend),
                None => (None, Arc::clone(&routes.main)),
            };
            async move {
                let result = tokio::time::timeout(LONGEST_FLIGHT, backend.ask(&query, ask)).await;
                let result = result.unwrap_or_else(|_| Err(overdue()));
                cache.land(&query, ask, zone.as_ref(), result, generation)
            }
        })
    }
}

/// Answers that are joined by the aliases of own zones.
#[derive(Default)]
struct Chain {
    /// What was found so far.
    joined: Option<Resolved>,
    /// The question that continues it.
    next: Option<Query>,
    links: usize,
    /// The question must be asked: its key, and a stale answer for when that fails.
    waiting: Option<(QuestionKey, Option<Arc<Entry>>)>,
}

impl Chain {
    /// Adds an answer; the whole when that was its end.
    fn add(&mut self, query: &Query, Link(resolved, target): Link) -> Option<Resolved> {
        self.links += 1;
        let joined = match self.joined.take() {
            None => resolved,
            Some(before) => join(before, resolved),
        };
        match target {
            None => Some(joined),
            Some(_) if self.links >= MAX_LINKS => Some(Resolved {
                rcode: ResponseCode::ServFail,
                ede: vec![Ede::new(EdeCode::Other, "too many aliases")],
                ..joined
            }),
            Some(target) => {
                self.next = Some(continued(query, target));
                self.joined = Some(joined);
                None
            }
        }
    }
}

fn continued(query: &Query, target: Name) -> Query {
    let mut next = query.clone();
    next.set_name(target);
    next
}

/// Looks for where an answer of an own zone's server is continued; other servers follow aliases themselves.
fn link(query: &Query, resolved: Resolved) -> Link {
    let next = (resolved.own_zone && resolved.rcode == ResponseCode::NoError)
        .then(|| {
            let Resolved { answers, authorities, .. } = &resolved;
            chain::continues_at(query.name(), query.query_type(), answers, authorities).cloned()
        })
        .flatten();
    Link(resolved, next)
}

/// Joins an alias's answer with its target's: as proven, as fresh and as much the school's own as the lesser of them.
fn join(mut before: Resolved, link: Resolved) -> Resolved {
    before.answers.extend(link.answers);
    before.ede.extend(link.ede);
    let rank = |source| match source {
        AnswerSource::Policy | AnswerSource::Local => 0,
        AnswerSource::Cache => 1,
        AnswerSource::Upstream => 2,
        AnswerSource::Stale => 3,
    };
    let security = match (before.security, link.security) {
        (Security::Bogus, _) | (_, Security::Bogus) => Security::Bogus,
        (Security::Indeterminate, _) | (_, Security::Indeterminate) => Security::Indeterminate,
        (Security::Insecure, _) | (_, Security::Insecure) => Security::Insecure,
        (Security::Secure, Security::Secure) => Security::Secure,
    };
    Resolved {
        rcode: link.rcode,
        answers: before.answers,
        authorities: link.authorities,
        security,
        source: if rank(before.source) > rank(link.source) { before.source } else { link.source },
        own_zone: before.own_zone && link.own_zone,
        ede: before.ede,
        delegations: before.delegations.joined(&link.delegations),
    }
}

/// A flight's key: questions with CD fly apart, since servers answer them differently.
fn flight_key(mut key: QuestionKey, ask: Ask) -> QuestionKey {
    key.push(u8::from(ask.checking_disabled));
    key
}

/// What a client is given of an entry; none when it can't be read.
fn given(entry: &Entry, query: &Query, ask: Ask, source: AnswerSource, now: u64) -> Option<Resolved> {
    if entry.security == Security::Bogus && !ask.checking_disabled {
        let mut ede = entry.ede.to_vec();
        if ede.is_empty() {
            ede.push(Ede::new(EdeCode::DnssecBogus, ""));
        }
        return Some(Resolved {
            security: Security::Bogus,
            own_zone: entry.own_zone,
            ..servfail(source, ede)
        });
    }
    let ttl = match source {
        AnswerSource::Stale => Ttl::Fixed(STALE_TTL),
        _ => Ttl::Elapsed(entry.age(now)),
    };
    let (answers, authorities) = entry.records(query.name(), ttl)?;
    Some(Resolved {
        rcode: entry.rcode,
        answers,
        authorities,
        security: entry.security,
        source,
        own_zone: entry.own_zone,
        ede: entry.ede.to_vec(),
        delegations: entry.delegations.clone(),
    })
}

fn servfail(source: AnswerSource, ede: Vec<Ede>) -> Resolved {
    Resolved {
        rcode: ResponseCode::ServFail,
        answers: Vec::new(),
        authorities: Vec::new(),
        security: Security::Indeterminate,
        source,
        own_zone: false,
        ede,
        delegations: Delegations::NONE,
    }
}

/// The answer to questions that nobody is asked: another class, or a type that is not one of data.
fn refusal(query: &Query) -> Option<Resolved> {
    let rcode = match (query.query_class(), u16::from(query.query_type())) {
        // OPT, and the types of questions but ANY (RFC 6895, section 3.1): transfers, TKEY, TSIG.
        (DNSClass::IN, 41 | 128..=254) => ResponseCode::NotImp,
        (DNSClass::IN, _) => return None,
        _ => ResponseCode::Refused,
    };
    let ede = vec![Ede::new(EdeCode::NotSupported, "")];
    Some(Resolved { rcode, ..servfail(AnswerSource::Local, ede) })
}

fn overdue() -> Failure {
    Failure {
        reason: String::from("no answer within the longest time for a question"),
        ede: vec![Ede::new(EdeCode::NoReachableAuthority, "")],
        aliases: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
