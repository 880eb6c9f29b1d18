//! One question to one upstream server, and its whole answer.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_net::{
    NetError,
    h2::HttpsClientStream,
    runtime::TokioRuntimeProvider,
    tls::tls_exchange,
    xfer::{DnsExchange, DnsHandle, FirstAnswer},
};
use hickory_proto::op::{DnsRequest, DnsRequestOptions, Edns, Message, MessageType, OpCode, Query};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::Mutex,
};

use super::upstream::{Transport, Upstream};

/// The largest answer over UDP, in bytes (DNS flag day 2020).
const MAX_UDP: u16 = 1_232;
/// The time after which a question over UDP is sent again, since a packet may have been lost.
const RESEND: Duration = Duration::from_millis(700);
/// How many packets that are no answer to the question are passed over before UDP is given up.
const MAX_STRANGERS: usize = 16;
/// How long a request on an encrypted connection may take before hickory gives it up.
const ENCRYPTED_LIMIT: Duration = Duration::from_secs(5);

/// Why an upstream did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The network said no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came is not an answer to the question.
    #[error("it sent what is not an answer to the question")]
    NotAnAnswer,
    /// The encrypted connection failed; a certificate of another name is one of the reasons.
    #[error("{0}")]
    Net(#[from] NetError),
    /// The question does not fit into a message.
    #[error("the question can't be written")]
    Question,
}

/// The way to one upstream server. Encrypted connections are kept for the next question.
pub(super) struct Line {
    upstream: Upstream,
    tls: Arc<ClientConfig>,
    open: Mutex<Option<DnsExchange<TokioRuntimeProvider>>>,
}

impl Line {
    pub(super) fn new(upstream: Upstream, tls: Arc<ClientConfig>) -> Self {
        Self { upstream, tls, open: Mutex::new(None) }
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Asks; has no time limit of its own.
    pub(super) async fn ask(&self, query: &Query, checking_disabled: bool) -> Result<Message, ExchangeError> {
        let mut question = question(query, checking_disabled);
        let answer = match self.upstream.transport {
            Transport::Plain => {
                // An attacker who answers blindly must guess the case of each letter too.
                question.queries[0].name.randomize_label_case();
                match self.udp(&question).await {
                    Ok(Some(answer)) => answer,
                    Ok(None) | Err(ExchangeError::NotAnAnswer) => self.tcp(&question).await?,
                    Err(error) => return Err(error),
                }
            }
            Transport::Tcp => self.tcp(&question).await?,
            Transport::Tls { .. } | Transport::Https { .. } => self.encrypted(&question).await?,
        };
        Ok(answer)
    }

    /// The answer over UDP; nothing when it does not fit.
    async fn udp(&self, question: &Message) -> Result<Option<Message>, ExchangeError> {
        let local: SocketAddr = match self.upstream.address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        // A socket for each question has a port that nobody can guess, and the kernel drops what others send.
        let socket = UdpSocket::bind(local).await?;
        socket.connect(self.upstream.address).await?;
        let bytes = question.to_vec().map_err(|_| ExchangeError::Question)?;
        socket.send(&bytes).await?;
        let mut resent = false;
        let mut packet = [0; 4_096];
        let mut strangers = 0;
        loop {
            let received = match tokio::time::timeout(RESEND, socket.recv(&mut packet)).await {
                Ok(received) => received?,
                Err(_) if resent => socket.recv(&mut packet).await?,
                Err(_) => {
                    resent = true;
                    socket.send(&bytes).await?;
                    continue;
                }
            };
            let packet = &packet[..received];
            // RFC 2181, section 9: what was cut off need not even be readable.
            if is_truncated(packet, question.metadata.id) {
                return Ok(None);
            }
            match Message::from_vec(packet).ok().filter(|answer| answers(answer, question, true)) {
                Some(answer) => return Ok(Some(answer)),
                None => strangers += 1,
            }
            if strangers >= MAX_STRANGERS {
                return Err(ExchangeError::NotAnAnswer);
            }
        }
    }

    async fn tcp(&self, question: &Message) -> Result<Message, ExchangeError> {
        let mut stream = TcpStream::connect(self.upstream.address).await?;
        let bytes = question.to_vec().map_err(|_| ExchangeError::Question)?;
        let length = u16::try_from(bytes.len()).map_err(|_| ExchangeError::Question)?;
        let mut framed = Vec::with_capacity(bytes.len() + 2);
        framed.extend(length.to_be_bytes());
        framed.extend(bytes);
        stream.write_all(&framed).await?;
        let mut packet = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut packet).await?;
        Message::from_vec(&packet)
            .ok()
            .filter(|answer| answers(answer, question, true))
            .ok_or(ExchangeError::NotAnAnswer)
    }

    async fn encrypted(&self, question: &Message) -> Result<Message, ExchangeError> {
        let (exchange, fresh) = self.connected().await?;
        let first = self.send(exchange, question).await;
        let answer = match first {
            // A kept connection that the server closed meanwhile is no fault of the server.
            Err(error) if !fresh && !matches!(error, NetError::Timeout) => {
                *self.open.lock().await = None;
                let (exchange, _) = self.connected().await?;
                self.send(exchange, question).await
            }
            other => other,
        };
        if answer.is_err() {
            *self.open.lock().await = None;
        }
        // The id is the transport's business (DoH sends 0), so only the question is compared.
        let answer = answer?;
        if answers(&answer, question, false) { Ok(answer) } else { Err(ExchangeError::NotAnAnswer) }
    }

    async fn send(
        &self,
        exchange: DnsExchange<TokioRuntimeProvider>,
        question: &Message,
    ) -> Result<Message, NetError> {
        let request = DnsRequest::new(question.clone(), DnsRequestOptions::default());
        Ok(exchange.send(request).first_answer().await?.into_message())
    }

    /// A connection, and whether it was made just now.
    async fn connected(&self) -> Result<(DnsExchange<TokioRuntimeProvider>, bool), ExchangeError> {
        let mut open = self.open.lock().await;
        if let Some(exchange) = &*open {
            return Ok((exchange.clone(), false));
        }
        let runtime = TokioRuntimeProvider::default();
        let exchange = match &self.upstream.transport {
            Transport::Https { name, path } => {
                let mut builder = HttpsClientStream::builder(Arc::clone(&self.tls), runtime);
                builder.request_timeout(ENCRYPTED_LIMIT);
                builder.exchange(self.upstream.address, Arc::clone(name), Arc::clone(path)).await?
            }
            Transport::Tls { name } => {
                let name = ServerName::try_from(name.as_ref())
                    .map_err(|_| NetError::Message("the certificate's name can't be used"))?
                    .to_owned();
                let tls = ClientConfig::clone(&self.tls);
                tls_exchange(self.upstream.address, name, tls, ENCRYPTED_LIMIT, Some(256), runtime).await?
            }
            Transport::Plain | Transport::Tcp => return Err(ExchangeError::Question),
        };
        *open = Some(exchange.clone());
        Ok((exchange, true))
    }
}

fn question(query: &Query, checking_disabled: bool) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = checking_disabled;
    message.metadata.authentic_data = true;
    message.add_query(query.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_UDP).set_version(0).set_dnssec_ok(true);
    message.set_edns(edns);
    message
}

/// Whether a message is an answer to a question, by id (where it counts), and question in the same case.
fn answers(answer: &Message, question: &Message, same_id: bool) -> bool {
    let asked = &question.queries[0];
    (!same_id || answer.metadata.id == question.metadata.id)
        && answer.metadata.message_type == MessageType::Response
        && answer.metadata.op_code == OpCode::Query
        && matches!(answer.queries.as_slice(), [query]
            if query.query_type() == asked.query_type()
                && query.query_class() == asked.query_class()
                && if same_id { query.name().eq_case(asked.name()) } else { query.name() == asked.name() })
}

fn is_truncated(packet: &[u8], id: u16) -> bool {
    matches!(packet, [a, b, flags, ..] if [*a, *b] == id.to_be_bytes() && flags & 0b1000_0010 == 0b1000_0010)
        && packet.len() >= 12
}
