use std::{net::SocketAddr, sync::atomic::AtomicUsize};

use bytes::Bytes;
use hickory_proto::{
    op::{Edns, MessageType},
    rr::rdata::{A, CNAME},
};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};
use tokio_rustls::TlsAcceptor;

use super::*;

/// How a server was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Udp,
    Stream,
}

/// The packets that a server sends for a question.
type Behaviour = Arc<dyn Fn(&Message, Over) -> Vec<Vec<u8>> + Send + Sync>;

/// A server that behaves as it is told, and what it has seen.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    questions: Arc<Mutex<Vec<(Message, Over)>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn over(&self, way: Over) -> usize {
        self.questions.lock().unwrap().iter().filter(|(_, over)| *over == way).count()
    }

    /// UDP and TCP on one port.
    async fn plain(behave: impl Fn(&Message, Over) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            // Somebody else may have the port for UDP.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let server = Self::new(tcp.local_addr().unwrap());
        let behave: Behaviour = Arc::new(behave);
        let (seen, behaviour) = (server.clone(), Arc::clone(&behave));
        tokio::spawn(async move {
            let mut packet = [0; 1_500];
            while let Ok((received, from)) = udp.recv_from(&mut packet).await {
                for reply in seen.replies(&packet[..received], Over::Udp, &behaviour) {
                    udp.send_to(&reply, from).await.unwrap();
                }
            }
        });
        let seen = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                tokio::spawn(seen.clone().serve_stream(stream, Arc::clone(&behave), usize::MAX));
            }
        });
        server
    }

    /// TLS with a certificate for some names; each connection is closed after a number of answers.
    async fn tls(
        authority: &Authority,
        name: &str,
        limit: usize,
        behave: impl Fn(&Message, Over) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self::new(listener.local_addr().unwrap());
        let acceptor = authority.acceptor(name, b"dot");
        let behave: Behaviour = Arc::new(behave);
        let seen = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(seen.clone().serve_stream(stream, Arc::clone(&behave), limit));
                }
            }
        });
        server
    }

    async fn https(
        authority: &Authority,
        name: &str,
        behave: impl Fn(&Message, Over) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self::new(listener.local_addr().unwrap());
        let acceptor = authority.acceptor(name, b"h2");
        let behave: Behaviour = Arc::new(behave);
        let seen = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                tokio::spawn(seen.clone().serve_https(stream, Arc::clone(&behave)));
            }
        });
        server
    }

    fn new(address: SocketAddr) -> Self {
        Self { address, questions: Arc::default(), connections: Arc::default() }
    }

    fn replies(&self, packet: &[u8], over: Over, behave: &Behaviour) -> Vec<Vec<u8>> {
        let question = Message::from_vec(packet).unwrap();
        let replies = behave(&question, over);
        self.questions.lock().unwrap().push((question, over));
        replies
    }

    async fn serve_stream(
        self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        behave: Behaviour,
        limit: usize,
    ) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        for _ in 0..limit {
            let Ok(length) = stream.read_u16().await else { return };
            let mut packet = vec![0; usize::from(length)];
            stream.read_exact(&mut packet).await.unwrap();
            for reply in self.replies(&packet, Over::Stream, &behave) {
                let mut framed = u16::try_from(reply.len()).unwrap().to_be_bytes().to_vec();
                framed.extend(reply);
                stream.write_all(&framed).await.unwrap();
            }
        }
        let _ = stream.shutdown().await;
    }

    async fn serve_https(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        behave: Behaviour,
    ) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.uri().path(), "/dns-query");
            let (seen, behave) = (self.clone(), Arc::clone(&behave));
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut packet = Vec::new();
                while let Some(Ok(part)) = body.data().await {
                    packet.extend_from_slice(&part);
                }
                let reply = seen.replies(&packet, Over::Stream, &behave).remove(0);
                let head = http::Response::builder()
                    .header("content-type", "application/dns-message")
                    .header("content-length", reply.len())
                    .body(())
                    .unwrap();
                respond.send_response(head, false).unwrap().send_data(Bytes::from(reply), true).unwrap();
            });
        }
    }
}

/// A certificate authority of our own.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(params, key), pem }
    }

    fn acceptor(&self, name: &str, protocol: &[u8]) -> TlsAcceptor {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Settings that believe this authority.
    fn settings(&self) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, &self.pem).unwrap();
        Settings { tls: tls_settings(Some(&file)).unwrap(), ..settings() }
    }
}

fn settings() -> Settings {
    Settings { tls: tls_settings(None).unwrap(), limit: Duration::from_secs(4), trust: Trust::Encrypted }
}

fn forwarder(upstreams: &[String], settings: Settings) -> Forwarder {
    Forwarder::new(upstreams.iter().map(|text| text.parse().unwrap()).collect(), settings)
}

fn to(servers: &[&Server]) -> Forwarder {
    forwarder(&servers.iter().map(|server| server.address.to_string()).collect::<Vec<_>>(), settings())
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn query() -> Query {
    Query::query(name("www.school.example."), RecordType::A)
}

async fn ask(forwarder: &Forwarder) -> Result<Found, Failure> {
    forwarder.ask(&query(), Ask::default()).await
}

/// An answer with one address.
fn answer(question: &Message) -> Message {
    let mut message = Message::query().into_response();
    message.metadata.id = question.metadata.id;
    message.metadata.message_type = MessageType::Response;
    message.add_queries(question.queries.clone());
    let owner = question.queries[0].name().clone();
    message.add_answer(Record::from_rdata(owner, 60, RData::A(A::new(192, 0, 2, 1))));
    message
}

fn bytes(message: &Message) -> Vec<Vec<u8>> {
    vec![message.to_vec().unwrap()]
}

fn refusal(question: &Message, rcode: ResponseCode, ede: Option<(u16, &str)>) -> Message {
    let mut message = answer(question);
    message.answers.clear();
    message.metadata.response_code = rcode;
    if let Some((code, text)) = ede {
        let mut edns = Edns::new();
        let mut data = code.to_be_bytes().to_vec();
        data.extend(text.as_bytes());
        edns.options_mut().insert(EdnsOption::Unknown(15, data));
        message.set_edns(edns);
    }
    message
}

/// An address where nobody listens.
async fn nobody() -> String {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn an_answer_is_handed_over_and_plain_upstreams_prove_nothing() {
    let server = Server::plain(|question, _| {
        let mut message = answer(question);
        message.metadata.authentic_data = true;
        bytes(&message)
    })
    .await;
    let forwarder = to(&[&server]);
    let found = forwarder.ask(&query(), Ask { checking_disabled: true }).await.unwrap();
    assert_eq!(found.security, Security::Insecure);
    assert_eq!(found.message.answers.len(), 1);
    assert!(found.message.answers[0].name.eq_case(&name("www.school.example.")));
    let (question, over) = server.questions.lock().unwrap()[0].clone();
    assert_eq!(over, Over::Udp);
    assert!(question.metadata.recursion_desired && question.metadata.checking_disabled);
    assert!(question.edns.unwrap().flags().dnssec_ok);
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_again_over_tcp() {
    let server = Server::plain(|question, over| {
        let mut message = answer(question);
        message.metadata.truncation = over == Over::Udp;
        bytes(&message)
    })
    .await;
    let found = ask(&to(&[&server])).await.unwrap();
    assert_eq!(found.message.answers.len(), 1);
    assert_eq!((server.over(Over::Udp), server.over(Over::Stream)), (1, 1));
}

#[tokio::test]
async fn answers_with_another_id_or_question_are_passed_over() {
    let server = Server::plain(|question, _| {
        let mut other_id = answer(question);
        other_id.metadata.id = !question.metadata.id;
        let mut other_name = answer(question);
        other_name.queries[0].set_name(name("www.other.example."));
        let mut other_type = answer(question);
        other_type.queries[0].set_query_type(RecordType::AAAA);
        let good = answer(question);
        [other_id, other_name, other_type, good].iter().map(|message| message.to_vec().unwrap()).collect()
    })
    .await;
    let found = ask(&to(&[&server])).await.unwrap();
    assert_eq!(found.message.answers[0].data, RData::A(A::new(192, 0, 2, 1)));
    assert_eq!(server.over(Over::Stream), 0);
}

#[tokio::test]
async fn an_answer_to_another_case_is_asked_for_again_over_tcp() {
    let server = Server::plain(|question, over| {
        let mut message = answer(question);
        if over == Over::Udp {
            // The random case may happen to be all of one kind, but not of both.
            let upper = name(&question.queries[0].name().to_ascii().to_uppercase());
            let same = upper.eq_case(question.queries[0].name());
            message.queries[0].set_name(if same { upper.to_lowercase() } else { upper });
        }
        bytes(&message)
    })
    .await;
    assert!(ask(&to(&[&server])).await.is_ok());
    assert_eq!(server.over(Over::Stream), 1);
}

#[tokio::test]
async fn a_server_without_edns_is_asked_without() {
    let server = Server::plain(|question, _| {
        if question.edns.is_some() {
            bytes(&refusal(question, ResponseCode::FormErr, None))
        } else {
            bytes(&answer(question))
        }
    })
    .await;
    assert!(ask(&to(&[&server])).await.is_ok());
}

#[tokio::test]
async fn garbage_is_a_failure() {
    let server = Server::plain(|question, _| {
        let mut garbage = question.metadata.id.to_be_bytes().to_vec();
        garbage.extend([0x80; 40]);
        vec![garbage; 20]
    })
    .await;
    let failure = ask(&to(&[&server])).await.unwrap_err();
    assert_eq!(failure.ede[0].code, EdeCode::InvalidData);
}

#[tokio::test]
async fn the_next_upstream_answers_when_one_is_gone_or_refuses() {
    let good = Server::plain(|question, _| bytes(&answer(question))).await;
    let bad = Server::plain(|question, _| bytes(&refusal(question, ResponseCode::ServFail, None))).await;
    let forwarder =
        forwarder(&[nobody().await, bad.address.to_string(), good.address.to_string()], settings());
    assert!(ask(&forwarder).await.is_ok());
    assert_eq!((bad.over(Over::Udp), good.over(Over::Udp)), (1, 1));
}

#[tokio::test]
async fn a_silent_upstream_does_not_hold_up_the_answer() {
    let silent = Server::plain(|_, _| Vec::new()).await;
    let good = Server::plain(|question, _| bytes(&answer(question))).await;
    let forwarder = to(&[&silent, &good]);
    let begun = Instant::now();
    assert!(ask(&forwarder).await.is_ok());
    assert!(begun.elapsed() >= HEDGE && begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // From now on the one that answered comes first.
    let silent_before = silent.over(Over::Udp);
    assert!(ask(&forwarder).await.is_ok());
    assert_eq!(silent.over(Over::Udp), silent_before);
}

#[tokio::test]
async fn silence_is_a_failure_within_the_limit() {
    let silent = Server::plain(|_, _| Vec::new()).await;
    let limit = Duration::from_millis(500);
    let forwarder = forwarder(&[silent.address.to_string()], Settings { limit, ..settings() });
    let failure = ask(&forwarder).await.unwrap_err();
    assert_eq!(failure.ede[0].code, EdeCode::NoReachableAuthority);
}

#[tokio::test]
async fn what_the_upstream_says_of_its_failure_is_passed_on() {
    let server = Server::plain(|question, _| {
        bytes(&refusal(question, ResponseCode::ServFail, Some((22, "no server of theirs"))))
    })
    .await;
    let failure = ask(&to(&[&server])).await.unwrap_err();
    assert_eq!(failure.ede, [Ede::new(EdeCode::NoReachableAuthority, "no server of theirs")]);
}

#[tokio::test]
async fn a_bogus_answer_is_not_had_from_the_next_upstream() {
    let validating =
        Server::plain(|question, _| bytes(&refusal(question, ResponseCode::ServFail, Some((7, "expired")))))
            .await;
    let careless = Server::plain(|question, _| bytes(&answer(question))).await;
    let failure = ask(&to(&[&validating, &careless])).await.unwrap_err();
    assert_eq!(failure.ede[0].code, EdeCode::SignatureExpired);
    assert_eq!(careless.over(Over::Udp), 0);
}

#[tokio::test]
async fn records_that_were_not_asked_for_are_dropped() {
    let server = Server::plain(|question, _| {
        let mut message = answer(question);
        let owner = question.queries[0].name().clone();
        message.answers.clear();
        let address =
            |owner: &str, last| Record::from_rdata(name(owner), 60, RData::A(A::new(192, 0, 2, last)));
        message.add_answer(address("victim.example.", 66));
        message.add_answer(address("end.example.", 1));
        message.add_answer(Record::from_rdata(owner, 60, RData::CNAME(CNAME(name("end.example.")))));
        message.add_authority(address("victim.example.", 66));
        message.add_additional(address("victim.example.", 66));
        bytes(&message)
    })
    .await;
    let found = ask(&to(&[&server])).await.unwrap();
    let types: Vec<RecordType> = found.message.answers.iter().map(Record::record_type).collect();
    assert_eq!(types, [RecordType::CNAME, RecordType::A]);
    assert_eq!(
        found.message.all_sections().filter(|record| record.name == name("victim.example.")).count(),
        0
    );
}

#[tokio::test]
async fn an_alias_in_a_circle_is_cut() {
    let server = Server::plain(|question, _| {
        let mut message = answer(question);
        message.answers.clear();
        message.add_answer(Record::from_rdata(
            name("www.school.example."),
            60,
            RData::CNAME(CNAME(name("b.example."))),
        ));
        message.add_answer(Record::from_rdata(
            name("b.example."),
            60,
            RData::CNAME(CNAME(name("www.school.example."))),
        ));
        bytes(&message)
    })
    .await;
    assert_eq!(ask(&to(&[&server])).await.unwrap().message.answers.len(), 2);
}

#[tokio::test]
async fn an_upstream_over_tls_is_believed_and_its_connection_is_kept() {
    let authority = Authority::new();
    let proven = |question: &Message, _| {
        let mut message = answer(question);
        message.metadata.authentic_data = true;
        bytes(&message)
    };
    let server = Server::tls(&authority, "dns.school.example", usize::MAX, proven).await;
    let upstream = format!("tls://{}#dns.school.example", server.address);
    let forwarder = forwarder(&[upstream], authority.settings());
    for _ in 0..3 {
        assert_eq!(ask(&forwarder).await.unwrap().security, Security::Secure);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let careful = Forwarder { trust: Trust::Nobody, ..forwarder };
    assert_eq!(ask(&careful).await.unwrap().security, Security::Insecure);
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_is_made_again() {
    let authority = Authority::new();
    let server = Server::tls(&authority, "127.0.0.1", 1, |question, _| bytes(&answer(question))).await;
    let forwarder = forwarder(&[format!("tls://{}", server.address)], authority.settings());
    for _ in 0..3 {
        assert!(ask(&forwarder).await.is_ok());
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let authority = Authority::new();
    let server =
        Server::tls(&authority, "dns.other.example", usize::MAX, |question, _| bytes(&answer(question)))
            .await;
    let forwarder =
        forwarder(&[format!("tls://{}#dns.school.example", server.address)], authority.settings());
    let failure = ask(&forwarder).await.unwrap_err();
    assert_eq!(failure.ede[0].code, EdeCode::NetworkError, "{failure}");
    assert_eq!(server.questions.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let server = Server::tls(&Authority::new(), "dns.school.example", usize::MAX, |question, _| {
        bytes(&answer(question))
    })
    .await;
    let forwarder =
        forwarder(&[format!("tls://{}#dns.school.example", server.address)], Authority::new().settings());
    assert!(ask(&forwarder).await.is_err());
    assert_eq!(server.questions.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn an_upstream_over_https_is_asked_and_its_name_checked() {
    let authority = Authority::new();
    let server =
        Server::https(&authority, "dns.school.example", |question, _| bytes(&answer(question))).await;
    let port = server.address.port();
    let right =
        forwarder(&[format!("https://dns.school.example:{port}/dns-query#127.0.0.1")], authority.settings());
    for _ in 0..2 {
        assert_eq!(ask(&right).await.unwrap().message.answers.len(), 1);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let wrong =
        forwarder(&[format!("https://dns.other.example:{port}/dns-query#127.0.0.1")], authority.settings());
    assert!(ask(&wrong).await.is_err());
    assert_eq!(server.questions.lock().unwrap().len(), 2);
}

#[test]
fn a_file_without_certificates_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "nothing\n").unwrap();
    assert!(tls_settings(Some(&file)).unwrap_err().to_string().contains("has no certificate"));
}

#[test]
fn an_upstream_that_keeps_failing_is_rested_for_longer_and_longer() {
    let now = Instant::now();
    let mut health = Health::default();
    health.failed(now);
    health.failed(now);
    assert!(!health.rank(now).0);
    health.failed(now);
    assert!(health.rank(now).0 && !health.rank(now + FIRST_REST).0);
    for _ in 0..40 {
        health.failed(now);
    }
    assert!(health.rank(now + FIRST_REST * 4).0 && !health.rank(now + LONGEST_REST).0);
    health.succeeded(Duration::from_millis(20));
    assert_eq!(health.rank(now), (false, Duration::from_millis(20)));
}

#[tokio::test]
async fn the_fastest_healthy_upstream_is_asked_first() {
    let forwarder = forwarder(&["192.0.2.1".into(), "192.0.2.2".into(), "192.0.2.3".into()], settings());
    forwarder.health(0).succeeded(Duration::from_millis(30));
    forwarder.health(1).succeeded(Duration::from_millis(10));
    forwarder.health(2).succeeded(Duration::from_millis(1));
    (0..FAILURES).for_each(|_| forwarder.health(2).failed(Instant::now()));
    assert_eq!(forwarder.order(), [1, 0, 2]);
}
