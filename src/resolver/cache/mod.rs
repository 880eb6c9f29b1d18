//! The answer cache, shared by all profiles: the policy stands above it.
//!
//! Two stores of [`quick_cache`], both bounded by bytes and sharded, with locks held for one look-up only:
//! 1. answers, positive and negative, also past their time for when nobody can be asked (RFC 8767);
//! 2. faults: questions that could not be answered (RFC 9520), or only with data that failed validation.
//!
//! They are apart so that a failure never displaces a good answer, and a flood of failing names only other failures.

mod entry;
mod lifetime;

use std::{
    mem::size_of,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use foldhash::quality::RandomState;
use hickory_proto::op::{Query, ResponseCode};
use quick_cache::{OptionsBuilder, Weighter, sync};
use smallvec::SmallVec;
use tokio::time::Instant;

use self::entry::{Parts, allocated, is_below};
pub(crate) use self::{
    entry::{Entry, QuestionKey, Ttl, question_key},
    lifetime::{Came, Limits},
};
use super::{
    Ask, Security,
    backend::{Failure, Found},
    chain,
    config::Config,
};
use crate::{
    clock::Clock,
    delegation::Delegations,
    ede::{Ede, EdeCode},
    name::Key,
};

/// How the cache keeps answers.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// Bytes of all answers, with what keeping them takes.
    pub bytes: u64,
    /// Seconds to which shorter TTLs are raised.
    pub min_ttl: u32,
    /// Seconds to which longer TTLs are cut.
    pub max_ttl: u32,
    /// Seconds that a negative answer is used at most.
    pub max_negative_ttl: u32,
    /// Give answers past their time when no server answers (RFC 8767).
    pub serve_stale: bool,
    /// Seconds past its time for which an answer may be given.
    pub stale_max: u32,
    /// Fetch popular answers anew shortly before they run out.
    pub prefetch: bool,
    /// How many questions may be with the servers at one time.
    pub max_flights: usize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            min_ttl: 0,
            max_ttl: 86_400,
            max_negative_ttl: 3_600,
            serve_stale: true,
            stale_max: 86_400,
            prefetch: true,
            max_flights: 1_024,
        }
    }
}

impl From<&Config> for CacheConfig {
    fn from(config: &Config) -> Self {
        Self {
            bytes: config.cache_bytes as u64,
            min_ttl: config.min_ttl,
            max_ttl: config.max_ttl,
            max_negative_ttl: config.max_negative_ttl,
            serve_stale: config.serve_stale,
            stale_max: config.stale_max,
            prefetch: config.prefetch,
            ..Self::default()
        }
    }
}

/// A question that fails is not asked again for this long; each further failure doubles it (RFC 9520, section 3.2).
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest such pause: also how long a zone that works again may look broken.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pause while there is a stale answer to give (RFC 8767, section 5).
const PAUSE_WITH_STALE: Duration = Duration::from_secs(30);

/// A failure longer ago than this doesn't lengthen the next pause.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// One part in this many of the bytes is for faults.
const FAULTS: u64 = 8;

/// What an entry takes beside its value and a long key: its slot in the store's slab and table, both of which may be half
/// empty after they grew, and its share of the names that the store remembers after it let them go.
const SLOT: usize = 224;

/// Enough that the threads of a small box hardly meet.
const SHARDS: usize = 32;

/// A question that could not be answered well.
#[derive(Debug)]
pub(crate) struct Fault {
    /// SERVFAIL with the aliases found, or the data that failed validation.
    pub(crate) entry: Arc<Entry>,
    /// Until when nobody is asked again, in milliseconds of the cache's time.
    until: u64,
    /// How often it failed in a row.
    times: u32,
}

impl Fault {
    /// Whether there was an answer, but one that failed validation.
    pub(crate) fn is_bogus(&self) -> bool {
        self.entry.security == Security::Bogus
    }

    /// The same, or a server that validates for us says so (EDE 6 to 12).
    pub(crate) fn says_bogus(&self) -> bool {
        self.is_bogus() || self.entry.ede.iter().any(|ede| (6..=12).contains(&(ede.code as u16)))
    }
}

/// What the cache knows of a question.
#[derive(Debug)]
pub(crate) enum Known {
    /// The answer.
    Fresh(Arc<Entry>),
    /// An answer past its time, and why nobody is to be asked now, if so.
    Stale(Arc<Entry>, Option<Arc<Fault>>),
    /// It failed a moment ago.
    Fault(Arc<Fault>),
    /// Nothing.
    Nothing,
}

/// How asking a server ended.
#[derive(Debug, Clone)]
pub(crate) enum Landing {
    /// With an answer.
    Answer(Arc<Entry>),
    /// Without one that can be given.
    Fault(Arc<Fault>),
}

/// Weighs keys and values in bytes.
#[derive(Debug, Clone)]
struct Bytes;

/// A key in a store: most names are short enough to lie in its slot, where they are at hand when two are compared.
type StoredKey = SmallVec<[u8; 40]>;

/// What a key takes beside its slot.
fn beside(key: &StoredKey) -> usize {
    if key.spilled() { allocated(key.len()) } else { 0 }
}

impl Weighter<StoredKey, Arc<Entry>> for Bytes {
    fn weight(&self, key: &StoredKey, entry: &Arc<Entry>) -> u64 {
        (SLOT + beside(key) + entry.bytes()) as u64
    }
}

impl Weighter<StoredKey, Arc<Fault>> for Bytes {
    fn weight(&self, key: &StoredKey, fault: &Arc<Fault>) -> u64 {
        let own = allocated(size_of::<Fault>() + 2 * size_of::<usize>());
        (SLOT + beside(key) + own + fault.entry.bytes()) as u64
    }
}

/// A store bounded by bytes.
type Store<T> = sync::Cache<StoredKey, Arc<T>, Bytes, RandomState>;

fn store<T>(bytes: u64) -> Store<T>
where
    Bytes: Weighter<StoredKey, Arc<T>>,
{
    // An answer takes about this much; only the number of shards and of remembered names depend on it.
    let items = usize::try_from(bytes / 512).unwrap_or(usize::MAX).max(1);
    let options = OptionsBuilder::new()
        .shards(SHARDS)
        .estimated_items_capacity(items)
        .weight_capacity(bytes)
        .build()
        .expect("both capacities are set");
    Store::with_options(options, Bytes, RandomState::default(), sync::DefaultLifecycle::default())
}

/// Answers and faults by question.
pub(crate) struct Cache {
    answers: Store<Entry>,
    faults: Store<Fault>,
    /// The start of the cache's time.
    epoch: Instant,
    /// The time of day, for signatures.
    clock: Clock,
    limits: Limits,
    config: CacheConfig,
    /// Raised by each flush, so that what was asked before is not stored after.
    generation: AtomicU64,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("entries", &self.len()).field("bytes", &self.bytes()).finish()
    }
}

impl Cache {
    pub(crate) fn new(config: CacheConfig, clock: Clock) -> Self {
        let limits =
            Limits { min: config.min_ttl, max: config.max_ttl, max_negative: config.max_negative_ttl };
        let for_faults = config.bytes / FAULTS;
        Self {
            answers: store(config.bytes - for_faults),
            faults: store(for_faults),
            epoch: Instant::now(),
            clock,
            limits,
            config,
            generation: AtomicU64::new(0),
        }
    }

    /// The cache's time in milliseconds.
    pub(crate) fn now(&self) -> u64 {
        millis(self.epoch.elapsed())
    }

    /// Entries held, faults among them.
    pub(crate) fn len(&self) -> usize {
        self.answers.len() + self.faults.len()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.answers.weight() + self.faults.weight()
    }

    /// The answer to a question, within its time; for CD also one that was got by asking with CD.
    pub(crate) fn fresh(&self, key: &mut QuestionKey, ask: Ask, now: u64) -> Option<Arc<Entry>> {
        let held = self.answers.get(key.as_slice()).filter(|entry| entry.is_fresh(now));
        if held.is_some() || !ask.checking_disabled {
            return held;
        }
        key.push(APART);
        let held = self.answers.get(key.as_slice()).filter(|entry| entry.is_fresh(now));
        key.pop();
        held
    }

    /// All that is known of a question.
    ///
    /// A bogus answer is not hidden by a stale good one: who can make the new answer fail validation shall not choose
    /// how long the old one lives.
    pub(crate) fn look_up(&self, key: &mut QuestionKey, ask: Ask, now: u64) -> Known {
        if let Some(entry) = self.fresh(key, ask, now) {
            return Known::Fresh(entry);
        }
        let fault = self.fault(key, now);
        // With CD, a server that found it bogus would hand it out all the same, so it is asked.
        let counts = |fault: &&Arc<Fault>| fault.is_bogus() || (!ask.checking_disabled && fault.says_bogus());
        if let Some(bogus) = fault.as_ref().filter(counts) {
            return Known::Fault(Arc::clone(bogus));
        }
        let stale =
            |key: &[u8]| self.answers.get(key).filter(|entry| self.config.serve_stale && entry.is_stale(now));
        let mut held = stale(key);
        let mut fault = fault;
        if ask.checking_disabled {
            // A server that validates fails for data that it would have handed out with CD.
            key.push(APART);
            fault = self.fault(key, now);
            held = held.or_else(|| stale(key));
            key.pop();
        }
        match (held, fault) {
            (Some(entry), fault) => Known::Stale(entry, fault),
            (None, Some(fault)) => Known::Fault(fault),
            (None, None) => Known::Nothing,
        }
    }

    fn fault(&self, key: &[u8], now: u64) -> Option<Arc<Fault>> {
        self.faults.get(key).filter(|fault| now < fault.until)
    }

    /// Whether this use of an entry is the one that has it fetched anew: in the last tenth of its time, not the first
    /// use of it, and only once.
    pub(crate) fn is_due(&self, entry: &Entry, uses: u8, now: u64) -> bool {
        self.would_refresh(entry, uses, now) && !entry.refreshing.swap(true, Ordering::Relaxed)
    }

    /// Whether it would be, had it been asked by [`is_due`](Self::is_due).
    pub(crate) fn would_refresh(&self, entry: &Entry, uses: u8, now: u64) -> bool {
        let lifetime = u64::from(entry.lifetime) * 1000;
        let age = now.saturating_sub(entry.stored);
        self.config.prefetch
            && uses >= 2
            && age * 10 >= lifetime * 9
            && !entry.refreshing.load(Ordering::Relaxed)
    }

    /// The state to hand to [`land`](Self::land) when the answer is there.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes what a server said; `zone` is the school's own zone that it was asked for.
    pub(crate) fn land(
        &self,
        query: &Query,
        ask: Ask,
        zone: Option<&Key>,
        result: Result<Found, Failure>,
        generation: u64,
    ) -> Landing {
        let stored = self.now();
        let landing = match result.and_then(usable) {
            Ok(found) => self.answer(query, zone, found, stored),
            Err(failure) => {
                // Not the name: it may be an alias target that must not be shown, which only the policy knows. Who asked
                // for it has a line of their own.
                tracing::debug!(kind = %query.query_type(), reason = %failure.reason, "No answer");
                Err(failed(query, failure, zone.is_some(), stored))
            }
        };
        let mut key = question_key(query, false);
        let current = generation == self.generation();
        match landing {
            Ok(entry) => {
                let entry = Arc::new(entry);
                if entry.security == Security::Bogus {
                    return Landing::Fault(self.pause(&key, entry, current));
                }
                // Servers don't validate for CD, so what came so is not for those who trust us to.
                if ask.checking_disabled && entry.security != Security::Secure {
                    key.push(APART);
                }
                if current {
                    self.faults.remove(key.as_slice());
                    if entry.lifetime > 0 {
                        self.answers.insert(key.as_slice().into(), Arc::clone(&entry));
                    } else {
                        self.answers.remove(key.as_slice());
                    }
                }
                Landing::Answer(entry)
            }
            Err(entry) => {
                if ask.checking_disabled {
                    key.push(APART);
                }
                Landing::Fault(self.pause(&key, entry, current))
            }
        }
    }

    /// Limits and packs an answer; an entry of a failure when it can't be packed.
    fn answer(
        &self,
        query: &Query,
        zone: Option<&Key>,
        found: Found,
        stored: u64,
    ) -> Result<Entry, Arc<Entry>> {
        let Found { message, security, ede, delegations } = found;
        let rcode = message.metadata.response_code;
        let mut came = Came {
            qtype: query.query_type(),
            rcode,
            answers: message.answers,
            authorities: message.authorities,
            secure: security == Security::Secure,
            ends_in_alias: false,
        };
        if let Some(zone) = zone {
            chain::keep_within(zone, query.name(), &mut came);
        }
        let rcode = came.rcode;
        let kept = self.limits.apply(came, self.clock.now().as_second());
        let parts = Parts {
            answers: kept.answers,
            authorities: kept.authorities,
            ede,
            stored,
            lifetime: kept.lifetime,
            stale_until: kept.lifetime.saturating_add(self.config.stale_max).min(kept.signed_for),
            rcode,
            security,
            own_zone: zone.is_some(),
            delegations,
        };
        Entry::pack(query, parts).ok_or_else(|| {
            failed(query, malformed("the answer does not fit a message"), zone.is_some(), stored)
        })
    }

    /// Notes that a question failed, for longer each time.
    fn pause(&self, key: &[u8], entry: Arc<Entry>, current: bool) -> Arc<Fault> {
        let now = entry.stored;
        let before = self.faults.get(key).filter(|fault| now < fault.until.saturating_add(millis(FORGOTTEN)));
        let times = before.map_or(0, |fault| fault.times + 1).min(16);
        let has_stale =
            self.config.serve_stale && self.answers.get(key).is_some_and(|held| held.is_stale(now));
        let pause = if has_stale && entry.security != Security::Bogus {
            PAUSE_WITH_STALE
        } else {
            FIRST_PAUSE.saturating_mul(1 << times).min(LONGEST_PAUSE)
        };
        let fault = Arc::new(Fault { entry, until: now.saturating_add(millis(pause)), times });
        if current {
            self.faults.insert(key.into(), Arc::clone(&fault));
        }
        fault
    }

    /// Forgets everything.
    pub(crate) fn flush(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.answers.clear();
        self.faults.clear();
    }

    /// Forgets a name and all names below it.
    pub(crate) fn flush_name(&self, name: &Key) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        let wire = wire_name(name);
        self.answers.retain(|key, _| !is_below(key, &wire));
        self.faults.retain(|key, _| !is_below(key, &wire));
    }
}

/// The byte that sets answers apart that are for CD only.
const APART: u8 = 1;

impl Entry {
    fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.stored) < u64::from(self.lifetime) * 1000
    }

    fn is_stale(&self, now: u64) -> bool {
        now.saturating_sub(self.stored) < u64::from(self.stale_until) * 1000
    }

    /// Whole seconds since its life started.
    pub(crate) fn age(&self, now: u64) -> u32 {
        u32::try_from(now.saturating_sub(self.stored) / 1000).unwrap_or(u32::MAX)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A key's name as in a message, lower case.
fn wire_name(name: &Key) -> Vec<u8> {
    let mut wire = Vec::with_capacity(name.as_bytes().len() + 2);
    if name.depth() > 0 {
        for label in name.as_bytes().rsplit(|&byte| byte == b'.') {
            // A label has at most 63 bytes; a zero byte stands for a dot within it.
            wire.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
            wire.extend(label.iter().map(|&byte| if byte == 0 { b'.' } else { byte }));
        }
    }
    wire.push(0);
    wire
}

fn malformed(reason: &str) -> Failure {
    Failure {
        reason: reason.to_owned(),
        ede: vec![Ede::new(EdeCode::InvalidData, reason)],
        aliases: Vec::new(),
    }
}

/// Takes only what answers a question: NOERROR, NXDOMAIN and the YXDOMAIN of a DNAME, and all of it.
fn usable(found: Found) -> Result<Found, Failure> {
    let meta = &found.message.metadata;
    if meta.truncation {
        return Err(malformed("the answer is incomplete"));
    }
    match meta.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::YXDomain => Ok(found),
        other => Err(Failure {
            reason: format!("the server said {other}"),
            ede: found.ede,
            aliases: found.message.answers,
        }),
    }
}

/// The entry of a failure: SERVFAIL with the aliases found.
fn failed(query: &Query, failure: Failure, own_zone: bool, stored: u64) -> Arc<Entry> {
    let parts = |answers, ede| Parts {
        answers,
        authorities: Vec::new(),
        ede,
        stored,
        lifetime: 0,
        stale_until: 0,
        rcode: ResponseCode::ServFail,
        security: Security::Indeterminate,
        own_zone,
        delegations: Delegations::NONE,
    };
    let entry = Entry::pack(query, parts(failure.aliases, failure.ede.clone()))
        .or_else(|| Entry::pack(query, parts(Vec::new(), failure.ede)))
        .expect("a message with a question and no records can be packed");
    Arc::new(entry)
}
