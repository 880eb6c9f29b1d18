//! The front end over real sockets, with a policy and a resolver that do as the name asked says.

mod encrypted;
mod messages;
mod notices;
mod property;
mod transport;
mod verdicts;
mod whole;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, SOA, TXT, opt::EdnsOption},
    },
};
use jiff::Timestamp;
use rustls::server::ResolvesServerCert;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::{
    category::CategorySet,
    clients::{Client, Mac, ProfileId},
    clock::Clock,
    delegation::Delegations,
    ede::{Ede, EdeCode},
    name::Key,
    policy::{Answer, AnswerFacts, BlockResponse, Decision, Question, Reason, Review, Target, Verdict},
    resolver::{AnswerSource, Ask, Kept, Resolved, Security},
    tls::Shown,
};

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The word of a block response in the names of these tests.
pub(super) fn word(how: BlockResponse) -> &'static str {
    match how {
        BlockResponse::BlockPage => "page",
        BlockResponse::NxDomain => "nxdomain",
        BlockResponse::NoData => "nodata",
        BlockResponse::NullAddress => "null",
        BlockResponse::Refused => "refused",
    }
}

pub(super) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// A policy that reads its verdict from the name: `<response>.blocked.test`, `search.test`, `panic.test`, all else is
/// allowed; blocks answers with an alias below `cloaked.test` by NXDOMAIN.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) strip_ech: bool,
    pub(super) last_good: Vec<IpAddr>,
    /// What the school has written down.
    pub(super) serves: Vec<IpAddr>,
}

impl Decide for Rules {
    fn identify(&self, address: IpAddr, mac: Option<Mac>) -> Client {
        Client { address, mac, device: None, profile: ProfileId(0), unknown: false }
    }

    fn serves(&self, address: IpAddr) -> bool {
        self.serves.contains(&address)
    }

    fn decide_unsaid(&self, _: &Question, _: &Client, _: Timestamp) -> Decision {
        unreachable!("this internet keeps nothing")
    }

    fn decide(&self, question: &Question, _client: &Client, _now: Timestamp) -> Decision {
        let asked = question.key.to_string();
        assert!(!asked.ends_with("panic.test"), "as asked");
        let blocked =
            BlockResponse::ALL.into_iter().find(|how| asked == format!("{}.blocked.test", word(*how)));
        let (verdict, reason) = match blocked {
            Some(how) => (Verdict::Block(how), Reason::AllowOnly),
            None if asked == "search.test" => (
                Verdict::Rewrite(Target { name: name("safe.test."), last_good: self.last_good.clone() }),
                Reason::SafeSearch("test".into()),
            ),
            None => (Verdict::Allow, Reason::Default),
        };
        let reported = CategorySet::EMPTY;
        Decision { verdict, reason, categories: CategorySet::EMPTY, would_block: None, reported }
    }

    fn review(
        &self,
        _question: &Question,
        _client: &Client,
        decision: &Decision,
        answer: &Answer<'_>,
        _now: Timestamp,
    ) -> Review {
        let cloaked = answer.records.iter().any(
            |record| matches!(&record.data, RData::CNAME(CNAME(to)) if name("cloaked.test.").zone_of(to)),
        );
        let block = cloaked.then(|| Decision {
            verdict: Verdict::Block(BlockResponse::NxDomain),
            reason: Reason::Uncategorised,
            ..decision.clone()
        });
        Review { block, strip_ech: self.strip_ech, would_block: None }
    }

    fn ede(&self, decision: &Decision) -> Option<EdeCode> {
        match decision.verdict {
            Verdict::Block(_) => Some(EdeCode::Filtered),
            Verdict::Rewrite(_) => Some(EdeCode::ForgedAnswer),
            Verdict::Allow => None,
        }
    }

    fn explain(&self, _decision: &Decision, question: &Question, _client: &Client) -> String {
        format!("about {}", question.key)
    }

    fn structured_error(&self, _decision: &Decision, _question: &Question, _client: &Client) -> String {
        String::from("{\"j\":\"about it\"}")
    }

    fn block_ttl(&self) -> u32 {
        10
    }

    fn shown(&self, key: &Key) -> String {
        key.to_string()
    }

    fn number(&self) -> u64 {
        1
    }

    fn facts(&self, _: &Key, _: &Answer<'_>) -> AnswerFacts {
        unreachable!("this internet keeps nothing")
    }

    fn passes(&self, _: &AnswerFacts, _: &Client, _: &Decision, _: Timestamp) -> Option<bool> {
        None
    }
}

/// A resolver with a table of answers; names below `slow.test` wait until [`Internet::release`] lets one through.
#[derive(Debug)]
pub(super) struct Internet {
    answers: Mutex<HashMap<(Name, RecordType), Resolved>>,
    slow: Semaphore,
    /// Questions that arrived here.
    pub(super) asked: AtomicUsize,
}

impl Default for Internet {
    fn default() -> Self {
        Self { answers: Mutex::default(), slow: Semaphore::new(0), asked: AtomicUsize::new(0) }
    }
}

impl Internet {
    pub(super) fn put(&self, owner: &str, kind: RecordType, resolved: Resolved) {
        self.answers.lock().unwrap().insert((name(owner), kind), resolved);
    }

    pub(super) fn release(&self, questions: usize) {
        self.slow.add_permits(questions);
    }

    /// Waits until so many questions have arrived.
    pub(super) async fn wait_for(&self, questions: usize) {
        let arrived = async {
            while self.asked.load(Ordering::SeqCst) < questions {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, arrived).await.expect("the questions arrive");
    }
}

impl Resolve for Internet {
    fn is_own(&self, query: &Query) -> bool {
        name("school.test.").zone_of(query.name())
    }

    async fn resolve(&self, query: &Query, _ask: Ask) -> Resolved {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if name("slow.test.").zone_of(query.name()) {
            self.slow.acquire().await.unwrap().forget();
        }
        let found =
            self.answers.lock().unwrap().get(&(query.name().to_lowercase(), query.query_type())).cloned();
        found.unwrap_or_else(|| positive(vec![txt_or_a(query)]))
    }

    fn now(&self) -> u64 {
        0
    }

    fn kept(&self, _: &[u8], _: u16, _: u64) -> Option<Kept> {
        None
    }

    fn uses(&self, _: &Kept, _: u64) -> bool {
        unreachable!("this internet keeps nothing")
    }

    fn count_hits(&self, _: u64) {}
}

fn txt_or_a(query: &Query) -> Record {
    let data = match query.query_type() {
        RecordType::AAAA => RData::AAAA(AAAA("2001:db8::1".parse().unwrap())),
        RecordType::TXT => RData::TXT(TXT::new(vec!["x".repeat(200); 10])),
        _ => RData::A(A::new(192, 0, 2, 1)),
    };
    Record::from_rdata(query.name().to_lowercase(), 600, data)
}

/// A proven answer with these records.
pub(super) fn positive(answers: Vec<Record>) -> Resolved {
    Resolved {
        rcode: ResponseCode::NoError,
        answers,
        authorities: Vec::new(),
        security: Security::Secure,
        source: AnswerSource::Upstream,
        own_zone: false,
        ede: Vec::new(),
        delegations: Delegations::NONE,
    }
}

/// A denial with its SOA.
pub(super) fn negative(rcode: ResponseCode) -> Resolved {
    let data = SOA::new(name("ns.test."), name("host.test."), 1, 2, 3, 4, 5);
    let soa = Record::from_rdata(name("test."), 60, RData::SOA(data));
    Resolved { rcode, authorities: vec![soa], ..positive(Vec::new()) }
}

/// A running front end.
pub(super) struct School {
    pub(super) at: SocketAddr,
    pub(super) encrypted: Encrypted,
    /// What TLS shows; nothing until a test sets it.
    pub(super) shown: Arc<Shown>,
    pub(super) internet: Arc<Internet>,
    pub(super) handler: Arc<Handler<Rules, Internet>>,
    pub(super) server: JoinHandle<Result<(), ServeError>>,
    pub(super) stop: CancellationToken,
    _guard: DropGuard,
}

/// Starts a front end on a port of its own; `change` sets what the test needs.
pub(super) fn school(rules: Rules, change: impl FnOnce(&mut Config)) -> School {
    school_with(rules, change, |handler| handler)
}

/// The same with a handler that `finish` has made ready.
pub(super) fn school_with(
    rules: Rules,
    change: impl FnOnce(&mut Config),
    finish: impl FnOnce(Handler<Rules, Internet>) -> Handler<Rules, Internet>,
) -> School {
    let mut config = Config { listen: vec!["127.0.0.1:0".parse().unwrap()], threads: 2, ..Config::default() };
    change(&mut config);
    let bound = Server::bind(&config).unwrap();
    let (at, encrypted) = (bound.addresses()[0], bound.encrypted());
    let shown = Arc::new(Shown::default());
    let bound = bound.with_certificate(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
    let internet = Arc::new(Internet::default());
    let clock = Clock::held_at("2026-11-22T09:00:00Z".parse().unwrap());
    let policy = Arc::new(ArcSwap::from_pointee(rules));
    let handler = Arc::new(finish(Handler::new(&config, policy, Arc::clone(&internet), clock)));
    let stop = CancellationToken::new();
    let server = tokio::spawn(bound.serve(Arc::clone(&handler), stop.clone()));
    School { at, encrypted, shown, internet, handler, server, stop: stop.clone(), _guard: stop.drop_guard() }
}

pub(super) fn plain_school() -> School {
    school(Rules::default(), |_| {})
}

/// A question with RD, without EDNS.
pub(super) fn query(asked: &str, kind: RecordType) -> Message {
    let mut message = Message::new(rand_id(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(asked), kind));
    message
}

/// The same with EDNS.
pub(super) fn edns_query(asked: &str, kind: RecordType) -> Message {
    let mut message = query(asked, kind);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    message.set_edns(edns);
    message
}

fn rand_id() -> u16 {
    use std::sync::atomic::AtomicU16;
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The extended errors of a reply.
pub(super) fn edes(reply: &Message) -> Vec<(u16, String)> {
    let Some(edns) = &reply.edns else { return Vec::new() };
    let option = |option: &EdnsOption| match option {
        EdnsOption::Unknown(15, data) => {
            Some((u16::from_be_bytes([data[0], data[1]]), String::from_utf8(data[2..].to_vec()).unwrap()))
        }
        _ => None,
    };
    edns.options().options.iter().filter_map(|(_, o)| option(o)).collect()
}

impl School {
    /// Sends bytes over UDP and waits for the reply.
    pub(super) async fn bytes(&self, packet: &[u8]) -> Vec<u8> {
        exchange(self.at, packet).await
    }

    pub(super) async fn ask(&self, message: &Message) -> Message {
        let reply = Message::from_vec(&self.bytes(&message.to_vec().unwrap()).await).unwrap();
        assert_eq!(reply.metadata.id, message.metadata.id);
        assert_eq!(reply.metadata.message_type, MessageType::Response);
        reply
    }

    /// Sends bytes that are not answered, and a question behind them that is: only its reply comes.
    pub(super) async fn is_silent_about(&self, packet: &[u8]) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(packet, self.at).await.unwrap();
        let marker = query("marker.test.", RecordType::A);
        socket.send_to(&marker.to_vec().unwrap(), self.at).await.unwrap();
        let reply = Message::from_vec(&receive(&socket).await.0).unwrap();
        assert_eq!(reply.metadata.id, marker.metadata.id, "the first packet was answered");
    }

    pub(super) async fn connect(&self) -> Stream {
        Stream(TcpStream::connect(self.at).await.unwrap())
    }
}

pub(super) async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65536];
    let (length, from) =
        tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await.expect("a reply comes").unwrap();
    buffer.truncate(length);
    (buffer, from)
}

pub(super) async fn exchange(at: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let any: SocketAddr = if at.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }.parse().unwrap();
    let socket = UdpSocket::bind(any).await.unwrap();
    socket.send_to(packet, at).await.unwrap();
    let (reply, from) = receive(&socket).await;
    assert_eq!(from, at, "the reply comes from the address that was asked");
    reply
}

/// A message behind its two bytes of length.
pub(super) fn framed(message: &Message) -> Vec<u8> {
    let bytes = message.to_vec().unwrap();
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()
}

/// A connection to the front end, over TCP or what is made of it.
pub(super) struct Stream<S = TcpStream>(pub(super) S);

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(super) async fn send(&mut self, message: &Message) {
        self.0.write_all(&framed(message)).await.unwrap();
        self.0.flush().await.unwrap();
    }

    pub(super) async fn receive(&mut self) -> Message {
        let read = async {
            let length = self.0.read_u16().await.unwrap();
            let mut bytes = vec![0; usize::from(length)];
            self.0.read_exact(&mut bytes).await.unwrap();
            Message::from_vec(&bytes).unwrap()
        };
        tokio::time::timeout(PATIENCE, read).await.expect("a reply comes")
    }

    /// Waits until the server closes, without another byte.
    pub(super) async fn closes(&mut self) {
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("it closes").ok();
        assert!(rest.is_empty(), "nothing more was said");
    }
}

pub(super) fn stale_marker() -> Ede {
    Ede::new(EdeCode::StaleAnswer, "from yesterday")
}
