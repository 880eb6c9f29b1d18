//! From the bytes of a question to the bytes of its reply: `Handler::answer` is the path of every question.

use std::{
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{Name, RecordType},
};
use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::{
    answer::{Reply, Room},
    config::Config,
    designated::Designated,
    forge::{self, PageAddresses},
    limit::RateLimit,
    message::{self, Question, Received},
    neighbours::Neighbours,
    notice::{NoticeReply, Notices},
    pulse::Pulse,
    rules,
    seams::{Decide, Record, Resolve},
};
use crate::{
    clients::Client,
    clock::{Clock, Day},
    ede::{Ede, EdeCode},
    name::Key,
    policy::{self, BlockResponse, Decision, FirstAsked, Policy, Reason, Target, Verdict},
    querylog::{Event, Fate, Refusal, Transport},
    resolver::{AnswerSource, Ask, Resolved, Resolver, Security},
    seen::Seen,
};

/// How many names that were blocked as new are looked for at one time.
const PROBES: usize = 32;

/// The longest that a name can count as new, in days.
const RECENT: u16 = 90;

/// Where a question came from and where it was asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The asker's address and port.
    pub from: SocketAddr,
    /// Our address that was asked.
    pub at: IpAddr,
    /// How it came.
    pub transport: Transport,
}

impl Asked {
    /// With IPv4-mapped addresses as the IPv4 ones that they are.
    pub(super) fn canonical(self) -> Self {
        let from = SocketAddr::new(self.from.ip().to_canonical(), self.from.port());
        Self { from, at: self.at.to_canonical(), ..self }
    }
}

/// The reply to a question, and what became of it.
#[derive(Debug)]
pub struct Answered<P = Policy> {
    /// The bytes to send; none when silence is right.
    pub reply: Option<Vec<u8>>,
    /// What is to be recorded, after the reply is sent; none when there was no readable question.
    pub outcome: Option<Box<Outcome<P>>>,
}

/// What became of one question: a line of the query log.
#[derive(Debug)]
pub struct Outcome<P = Policy> {
    /// When it arrived.
    pub at: Timestamp,
    /// The address that the question is counted for: the asker's, or its client's when a trusted forwarder asks.
    pub address: IpAddr,
    /// Who it is; none when the question was answered before that was found out.
    pub client: Option<Client>,
    /// The name and type asked.
    pub question: policy::Question,
    /// How it came.
    pub transport: Transport,
    /// How it ended.
    pub rcode: ResponseCode,
    /// The policy that was in force.
    pub policy: Arc<P>,
    /// What it decided, or why it was not asked.
    pub decision: Result<Decision, Refusal>,
    /// Where the answer came from.
    pub source: AnswerSource,
    /// Whether it is proven; none for what the policy made.
    pub security: Option<Security>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Answers questions.
#[derive(Debug)]
pub struct Handler<P = Policy, R = Resolver> {
    pub(super) policy: Arc<ArcSwap<P>>,
    pub(super) resolver: Arc<R>,
    /// Since when the school asks for names; none where nobody remembers.
    pub(super) seen: Option<Arc<Seen>>,
    /// Where questions are recorded; none where nobody keeps them.
    pub(super) log: Option<Arc<dyn Record<P>>>,
    /// What is told to who looks for encrypted DNS; none where there is nothing.
    designated: Option<Designated>,
    /// What the box asks itself; none where it does not.
    pulse: Option<Pulse>,
    probes: Arc<Semaphore>,
    pub(super) clock: Clock,
    pub(super) neighbours: Neighbours,
    notices: Notices,
    pub(super) rate: RateLimit,
    allow: Vec<IpNet>,
    /// The networks of the policy are answered, too.
    allows_networks_of_policy: bool,
    trusted_forwarders: Vec<IpAddr>,
    /// Fixed addresses of the block page, then those of `listen` that name one.
    page_addresses: Vec<IpAddr>,
    listen_addresses: Vec<IpAddr>,
    version_bind: bool,
    udp_size: u16,
    tcp_idle: Duration,
}

/// What a verdict led to.
struct Done {
    reply: Reply,
    decision: Decision,
    source: AnswerSource,
    security: Option<Security>,
}

impl<P: Decide, R: Resolve> Handler<P, R> {
    /// A handler that decides by the policy that is in force at each question.
    #[must_use]
    pub fn new(config: &Config, policy: Arc<ArcSwap<P>>, resolver: Arc<R>, clock: Clock) -> Self {
        Self {
            policy,
            resolver,
            seen: None,
            log: None,
            designated: None,
            pulse: None,
            probes: Arc::new(Semaphore::new(PROBES)),
            clock,
            neighbours: Neighbours::default(),
            notices: Notices::default(),
            rate: RateLimit::new(config.rate_limit, config.rate_burst),
            allow: config.served(),
            allows_networks_of_policy: config.allow.is_none(),
            trusted_forwarders: config.trusted_forwarders.clone(),
            page_addresses: config.page_addresses.clone(),
            listen_addresses: config.listen.iter().map(SocketAddr::ip).collect(),
            version_bind: config.version_bind,
            udp_size: config.udp_size,
            tcp_idle: config.tcp_idle(),
        }
    }

    /// Remembers which names were asked for, and tells the policy which are new.
    #[must_use]
    pub fn with_seen(mut self, seen: Arc<Seen>) -> Self {
        self.seen = Some(seen);
        self
    }

    /// Records what becomes of each question.
    #[must_use]
    pub fn with_log(mut self, log: Arc<dyn Record<P>>) -> Self {
        self.log = Some(log);
        self
    }

    /// Tells who asks for `_dns.resolver.arpa` of this encrypted DNS.
    #[must_use]
    pub fn with_designated(mut self, designated: Designated) -> Self {
        self.designated = Some(designated);
        self
    }

    /// Answers what the box asks itself.
    #[must_use]
    pub fn with_pulse(mut self, pulse: Pulse) -> Self {
        self.pulse = Some(pulse);
        self
    }

    /// Hands notices of new zone versions to `take`, with the sender's address; without it, nobody's are taken.
    ///
    /// It is given the bytes of the whole message, whoever sent it, and must not wait.
    #[must_use]
    pub fn with_notices(
        mut self,
        take: impl Fn(&[u8], IpAddr) -> Option<NoticeReply> + Send + Sync + 'static,
    ) -> Self {
        self.notices = Notices::by(take);
        self
    }

    /// The neighbour table that devices are recognised with.
    #[must_use]
    pub fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// Bytes in, bytes out; should anything panic on the way, the reply is SERVFAIL.
    ///
    /// Ready at the first poll for what is refused, blocked or cached.
    pub async fn handle(&self, packet: &[u8], asked: Asked) -> Answered<P> {
        let asked = asked.canonical();
        match AssertUnwindSafe(self.answer(packet, asked)).catch_unwind().await {
            Ok(answered) => answered,
            // Never fail open, and never silent: an answer that failed is a failure.
            Err(_) => {
                tracing::error!("a question could not be answered: an internal error (see above)");
                self.failure(packet, asked, "internal error", Refusal::Internal)
            }
        }
    }

    /// Answers a question. The order of the steps is the design; each says why it stands where it stands.
    pub(super) async fn answer(&self, packet: &[u8], asked: Asked) -> Answered<P> {
        let started = Instant::now();
        let now = self.clock.now();

        // A notice is no question: no policy is about it, and a zone's primary is seldom in a network that may ask.
        if let Some(notice) = self.notices.take(packet, asked.from.ip()) {
            return self.notice(notice, asked, started);
        }

        // Reading comes first: about bytes that are no question there is nothing to decide. Only our own networks are
        // told what is wrong with theirs.
        let question = match message::read(packet) {
            Received::Question(question) => question,
            Received::Wrong(header) if self.admits(asked.from.ip()) => {
                return Answered { reply: Some(header.bytes()), outcome: None };
            }
            Received::Wrong(_) | Received::Nothing => return Answered { reply: None, outcome: None },
        };
        // Before networks and limits: it is nobody's question, and a box that refuses it would be started again.
        if self.pulse.as_ref().is_some_and(|pulse| pulse.is(&question)) {
            return self.beat(&question, asked);
        }
        let address = self.client_address(&question, asked);
        let mut about = policy::Question {
            key: Key::from_name(question.query.name()),
            qtype: question.query.query_type(),
            first_asked: FirstAsked::Unknown,
        };
        // One policy and one moment for the whole question, so that a change halfway never mixes two policies.
        let policy = self.policy.load_full();
        let finish = |reply: Reply, about, client, decision, source, security| {
            let rcode = reply.rcode;
            Answered {
                reply: Some(reply.encode(&question, self.room(asked.transport))),
                outcome: Some(Box::new(Outcome {
                    at: now,
                    address,
                    client,
                    question: about,
                    transport: asked.transport,
                    rcode,
                    policy: Arc::clone(&policy),
                    decision,
                    source,
                    security,
                    elapsed: started.elapsed(),
                })),
            }
        };

        // Admission before anything that costs: strangers and floods get the cheapest answer there is.
        if let Some((refusal, why)) = self.refusal(address, asked, &policy, started) {
            return finish(refusal, about, None, Err(why), AnswerSource::Policy, None);
        }

        // The protocol's own rules before the policy: no policy changes them.
        if let Some(reply) = rules::reply(&question, self.version_bind) {
            return finish(reply, about, None, Err(Refusal::Protocol), AnswerSource::Policy, None);
        }
        if let Some(reply) = self.designated.as_ref().and_then(|known| known.reply(&question, asked.at)) {
            return finish(reply, about, None, Err(Refusal::Protocol), AnswerSource::Policy, None);
        }

        // Identity before the decision, so that every record names a client.
        let client = policy.identify(address, self.neighbours.mac(address));

        // What the school has asked for before, before the decision that depends on it.
        about.first_asked = self.first_asked(&question, &about.key, now);

        // The decision above the cache, so that one cache serves all profiles and a change is in force at once.
        let decision = policy.decide(&about, &client, now);
        let subject = Subject { policy: &*policy, question: &question, about: &about, client: &client, now };
        let done = match &decision.verdict {
            Verdict::Block(how) => {
                let how = *how;
                self.block(&subject, how, decision, asked)
            }
            Verdict::Rewrite(target) => {
                let target = target.clone();
                self.rewrite(&subject, &target, decision, asked).await
            }
            Verdict::Allow => self.resolve(&subject, decision, asked).await,
        };

        finish(done.reply, about, Some(client), Ok(done.decision), done.source, done.security)
    }

    /// Decides the box's own question, as far as a policy is needed for that, and says that it could.
    fn beat(&self, question: &Question, asked: Asked) -> Answered<P> {
        let policy = self.policy.load_full();
        let about = policy::Question {
            key: Key::from_name(question.query.name()),
            qtype: question.query.query_type(),
            first_asked: FirstAsked::Unknown,
        };
        let address = asked.from.ip();
        let client = policy.identify(address, self.neighbours.mac(address));
        let _ = policy.decide(&about, &client, self.clock.now());
        let reply = Reply::empty(ResponseCode::NoError);
        Answered { reply: Some(reply.encode(question, self.room(asked.transport))), outcome: None }
    }

    /// A block looks the same whether the question or the answer led to it.
    fn block(&self, subject: &Subject<'_, P>, how: BlockResponse, decision: Decision, asked: Asked) -> Done {
        let page = self.page(asked);
        let mut reply = forge::blocked(&subject.question.query, how, subject.policy.block_ttl(), page);
        reply.ede.extend(subject.ede(&decision));
        Done { reply, decision, source: AnswerSource::Policy, security: None }
    }

    /// Answers with an alias to a safer name: never with the name's own addresses, whatever happens to the target.
    async fn rewrite(
        &self,
        subject: &Subject<'_, P>,
        target: &Target,
        decision: Decision,
        asked: Asked,
    ) -> Done {
        let query = &subject.question.query;
        let mut done = Done {
            reply: Reply::empty(ResponseCode::NoError),
            decision,
            source: AnswerSource::Policy,
            security: None,
        };
        if forge::is_rewritten(query.query_type()) {
            let ask = Query::query(target.name.clone(), query.query_type());
            // Without CD, whatever the asker says: what it gets is ours, so we answer for it.
            let mut resolved = self.resolver.resolve(&ask, Ask::default()).await;
            done.source = resolved.source;
            // The target's own records are looked at like any others, or a rewrite would be a way around.
            // So is the alias that we make ourselves.
            let mut seen = vec![forge::alias(query, target)];
            seen.extend(resolved.answers.iter().cloned());
            let review = subject.policy.review(
                subject.about,
                subject.client,
                &done.decision,
                &policy::Answer { records: &seen, ..seen_of(&resolved) },
                subject.now,
            );
            if let Some(block) = review.block {
                return self.block(subject, how(&block), block, asked);
            }
            note(&mut done.decision, review.would_block);
            if review.strip_ech {
                forge::strip_ech(&mut resolved);
            }
            if resolved.security == Security::Bogus {
                resolved.rcode = ResponseCode::ServFail;
            }
            done.reply = forge::rewritten(query, target, resolved);
        } else {
            done.reply = forge::negative(ResponseCode::NoError, query.name(), subject.policy.block_ttl());
        }
        done.reply.ede.splice(0..0, subject.ede(&done.decision));
        done
    }

    /// Resolves what is allowed, and reviews what was found.
    async fn resolve(&self, subject: &Subject<'_, P>, decision: Decision, asked: Asked) -> Done {
        let question = subject.question;
        let mut done = Done {
            reply: Reply::empty(ResponseCode::NoError),
            decision,
            source: AnswerSource::Policy,
            security: None,
        };
        if question.query.query_type() == RecordType::ANY {
            done.reply = forge::minimal_any(question.query.name());
            return done;
        }
        // A question without RD asks what is in the cache, which tells what others at the school have looked at.
        if !question.recursion_desired {
            done.reply = Reply::because(
                ResponseCode::Refused,
                EdeCode::NotAuthoritative,
                "this server only answers questions with recursion desired (RD)",
            );
            return done;
        }
        // Client subnets and other options of the asker stay here: the question alone goes on.
        let ask = Ask { checking_disabled: question.checking_disabled };
        let mut resolved = self.resolver.resolve(&question.query, ask).await;
        // After the answer, since only what exists is remembered: see `seen`.
        if resolved.rcode == ResponseCode::NoError
            && !resolved.own_zone
            && done.decision.reason != Reason::Essential
        {
            self.note(subject);
        }
        done.source = resolved.source;
        done.security = Some(resolved.security);

        // The review behind the cache, so that cached answers are reviewed too, and failures as well: their aliases
        // are part of the answer. CD goes around validation, never around this.
        let review = subject.policy.review(
            subject.about,
            subject.client,
            &done.decision,
            &seen_of(&resolved),
            subject.now,
        );
        if let Some(block) = review.block {
            return self.block(subject, how(&block), block, asked);
        }
        note(&mut done.decision, review.would_block);
        let changed = review.strip_ech && forge::strip_ech(&mut resolved);
        done.reply = forge::resolved(resolved, question.checking_disabled);
        done.reply.authentic &= !changed;
        if !question.dnssec_ok() {
            done.reply = done.reply.without_dnssec(question.query.query_type());
        }
        done.reply.ede.splice(0..0, subject.ede(&done.decision));
        done
    }

    /// Since when the school asks for the name.
    fn first_asked(&self, question: &Question, key: &Key, now: Timestamp) -> FirstAsked {
        let Some((seen, name)) = self.seen.as_ref().zip(key.registrable()) else {
            return FirstAsked::Unknown;
        };
        let first = seen.first_asked(name, now);
        let is_recent = match first {
            FirstAsked::Unknown => false,
            FirstAsked::Never { .. } => true,
            FirstAsked::On { day, .. } => Day::of(now).since(day) <= RECENT,
        };
        // Asked last, since it costs more than the table and only few names are new.
        if is_recent && self.resolver.is_own(&question.query) { FirstAsked::Unknown } else { first }
    }

    /// Remembers a name that exists, if it was never asked for before and may be written down.
    fn note(&self, subject: &Subject<'_, P>) {
        let key = &subject.about.key;
        if matches!(subject.about.first_asked, FirstAsked::Never { .. })
            && let Some((seen, name)) = self.seen.as_ref().zip(key.registrable())
            && subject.policy.shown(key) == key.to_string()
        {
            seen.note(name, subject.client.address, subject.now);
        }
    }

    /// Finds out behind the reply whether a name exists that was blocked as new, or it would stay new for ever.
    ///
    /// Only the registrable domain is asked for, by its NS records: what stands below it, which may be a message of
    /// malware to its maker, does not leave the school.
    fn probe(&self, outcome: &Outcome<P>) {
        let is_new = outcome.decision.as_ref().is_ok_and(|d| matches!(d.reason, Reason::NewlySeen { .. }));
        let FirstAsked::Never { .. } = outcome.question.first_asked else { return };
        if !is_new {
            return;
        }
        let Some((seen, key)) = self.seen.clone().zip(outcome.question.key.registrable()) else { return };
        let Ok(name) = Name::from_labels(key.rsplit(|&b| b == b'.')) else { return };
        // Too many at one time are a flood; what is real is asked for again.
        let Ok(place) = Arc::clone(&self.probes).try_acquire_owned() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (resolver, clock) = (Arc::clone(&self.resolver), self.clock.clone());
        let (client, key) = (outcome.address, Box::<[u8]>::from(key));
        runtime.spawn(async move {
            let _place = place;
            let query = Query::query(name, RecordType::NS);
            let resolved = resolver.resolve(&query, Ask::default()).await;
            if resolved.rcode == ResponseCode::NoError {
                seen.note(&key, client, clock.now());
            }
        });
    }

    /// The answer to a notice: strangers get none, and a flood gets silence.
    fn notice(&self, notice: NoticeReply, asked: Asked, now: Instant) -> Answered<P> {
        let sender = asked.from.ip();
        let answered = (notice.known || self.admits(sender)) && self.rate.admits(sender, now);
        Answered { reply: answered.then_some(notice.bytes), outcome: None }
    }

    /// The refusal of a question that is not let in.
    fn refusal(&self, address: IpAddr, asked: Asked, policy: &P, now: Instant) -> Option<(Reply, Refusal)> {
        if !self.allows(asked.from.ip(), policy) || !self.allows(address, policy) {
            let text = "this network is not served here: neither a profile nor dns.allow has it";
            let reply = Reply::because(ResponseCode::Refused, EdeCode::Prohibited, text);
            return Some((reply, Refusal::Network));
        }
        if !self.rate.admits(address, now) {
            let text = "too many questions a second from this client (dns.rate_limit)";
            return Some((Reply::because(ResponseCode::Refused, EdeCode::Other, text), Refusal::Rate));
        }
        None
    }

    /// Whether whoever has this address may ask, by the settings and this policy.
    pub(super) fn allows(&self, address: IpAddr, policy: &P) -> bool {
        self.allow.iter().any(|network| network.contains(&address))
            || self.allows_networks_of_policy && policy.serves(address)
    }

    /// The same by the policy in force, for who has not asked anything yet.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        self.allows(address, &self.policy.load())
    }

    /// Who the question is from: the asker, unless it is a forwarder that is trusted to name its client.
    fn client_address(&self, question: &Question, asked: Asked) -> IpAddr {
        let asker = asked.from.ip();
        let named = question.edns.as_ref().and_then(|edns| edns.subnet);
        match named {
            Some(client) if self.trusted_forwarders.contains(&asker) => client,
            _ => asker,
        }
    }

    /// Where the block page is for this asker: as set, else where it asked, else where we listen.
    pub(super) fn page(&self, asked: Asked) -> PageAddresses {
        let reachable = |address: &&IpAddr| {
            // A page on the box's own loopback is a page on the asker's own machine for anybody else.
            !address.is_unspecified() && (!address.is_loopback() || asked.from.ip().is_loopback())
        };
        let candidates = || {
            let listening = std::iter::once(&asked.at).chain(&self.listen_addresses);
            self.page_addresses.iter().chain(listening.filter(reachable))
        };
        PageAddresses {
            v4: candidates().find_map(|address| match address {
                IpAddr::V4(v4) => Some(*v4),
                IpAddr::V6(_) => None,
            }),
            v6: candidates().find_map(|address| match address {
                // Browsers can't follow a link-local address, which means nothing without its interface.
                IpAddr::V6(v6) if !v6.is_unicast_link_local() => Some(*v6),
                _ => None,
            }),
        }
    }

    pub(super) fn room(&self, transport: Transport) -> Room {
        let tenths = self.tcp_idle.as_millis() / 100;
        // Over HTTP and QUIC the connection itself says how long it lasts.
        let says_how_long = matches!(transport, Transport::Tcp | Transport::Tls);
        Room {
            udp_size: self.udp_size,
            stream: transport != Transport::Udp,
            keepalive: says_how_long.then(|| u16::try_from(tenths).unwrap_or(u16::MAX)),
            padded: transport.is_encrypted(),
        }
    }

    /// The SERVFAIL to a question that can't be worked on, for example because too many wait already.
    pub(super) fn failure(&self, packet: &[u8], asked: Asked, text: &str, why: Refusal) -> Answered<P> {
        let question = match message::read(packet) {
            Received::Question(question) => question,
            Received::Wrong(header) => return Answered { reply: Some(header.bytes()), outcome: None },
            Received::Nothing => return Answered { reply: None, outcome: None },
        };
        let reply = Reply::because(ResponseCode::ServFail, EdeCode::Other, text);
        Answered {
            reply: Some(reply.encode(&question, self.room(asked.transport))),
            outcome: Some(Box::new(Outcome {
                at: self.clock.now(),
                address: self.client_address(&question, asked),
                client: None,
                question: policy::Question {
                    key: Key::from_name(question.query.name()),
                    qtype: question.query.query_type(),
                    first_asked: FirstAsked::Unknown,
                },
                transport: asked.transport,
                rcode: ResponseCode::ServFail,
                policy: self.policy.load_full(),
                decision: Err(why),
                source: AnswerSource::Policy,
                security: None,
                elapsed: Duration::ZERO,
            })),
        }
    }

    /// Records what became of a question. Called after the reply is sent, so that it never slows one.
    pub fn record(&self, outcome: &Outcome<P>, reply: Option<&[u8]>) {
        self.probe(outcome);
        let Some(log) = &self.log else { return };
        let found;
        let client = match &outcome.client {
            Some(client) => client,
            // Whoever was turned away is known all the same.
            None => {
                found = outcome.policy.identify(outcome.address, self.neighbours.mac(outcome.address));
                &found
            }
        };
        let fate = Fate {
            transport: outcome.transport,
            qtype: outcome.question.qtype,
            rcode: outcome.rcode,
            decision: outcome.decision.as_ref().map_err(|refusal| *refusal),
            source: outcome.source,
            security: outcome.security,
        };
        log.record(
            &outcome.policy,
            &Event {
                at: outcome.at,
                client,
                name: &outcome.question.key,
                fate: &fate,
                took: u32::try_from(outcome.elapsed.as_micros()).unwrap_or(u32::MAX),
                reply,
            },
        );
    }
}

/// One question with all that its decision depends on.
struct Subject<'a, P> {
    policy: &'a P,
    question: &'a Question,
    about: &'a policy::Question,
    client: &'a Client,
    now: Timestamp,
}

impl<P: Decide> Subject<'_, P> {
    /// The extended error that explains a decision, if the asker can read one.
    fn ede(&self, decision: &Decision) -> Option<Ede> {
        self.question.edns.as_ref()?;
        let code = self.policy.ede(decision)?;
        let text = if self.question.wants_structured_errors() {
            self.policy.structured_error(decision, self.about, self.client)
        } else {
            self.policy.explain(decision, self.about, self.client)
        };
        Some(Ede::new(code, text))
    }
}

/// What the review sees of an answer.
fn seen_of(resolved: &Resolved) -> policy::Answer<'_> {
    policy::Answer {
        records: &resolved.answers,
        delegations: &resolved.delegations,
        own_zone: resolved.own_zone,
    }
}

/// How a review's block looks. A review that blocks without saying how is no reason to let the answer through.
fn how(block: &Decision) -> BlockResponse {
    match block.verdict {
        Verdict::Block(how) => how,
        Verdict::Allow | Verdict::Rewrite(_) => BlockResponse::NxDomain,
    }
}

/// Notes in a decision for which reason a profile that only watches would have blocked the answer.
fn note(decision: &mut Decision, would_block: Option<Reason>) {
    if decision.would_block.is_none() {
        decision.would_block = would_block.map(Box::new);
    }
}
