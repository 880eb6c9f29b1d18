//! One question to one upstream server, and its whole answer.

use std::{io, sync::Arc, time::Duration};

use hickory_net::{
    NetError,
    h2::HttpsClientStream,
    runtime::TokioRuntimeProvider,
    tls::tls_exchange,
    xfer::{DnsExchange, DnsHandle, FirstAnswer},
};
use hickory_proto::op::{DnsRequest, DnsRequestOptions, Edns, Message, Query};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
};

use super::upstream::{Transport, Upstream};
use crate::resolver::udp::{self, Reply};

/// The largest answer over UDP, in bytes (DNS flag day 2020).
const MAX_UDP: u16 = 1_232;
/// How long a request on an encrypted connection may take before hickory gives it up.
const ENCRYPTED_LIMIT: Duration = Duration::from_secs(5);

/// How long a connection that was kept open is waited for.
const KEPT_WAIT: Duration = Duration::from_secs(2);

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
    /// Kept as long as the connections: they end with it.
    runtime: TokioRuntimeProvider,
    open: Mutex<Option<DnsExchange<TokioRuntimeProvider>>>,
}

impl Line {
    pub(super) fn new(upstream: Upstream, tls: Arc<ClientConfig>) -> Self {
        Self { upstream, tls, runtime: TokioRuntimeProvider::default(), open: Mutex::new(None) }
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
                let bytes = question.to_vec().map_err(|_| ExchangeError::Question)?;
                match udp::exchange(self.upstream.address, &bytes, &question.queries[0]).await? {
                    Reply::Answer(answer) => answer,
                    Reply::Truncated | Reply::OtherCase | Reply::Strangers => self.tcp(&question).await?,
                    Reply::FormErr => self.without_edns(question).await?,
                }
            }
            Transport::Tcp => self.tcp(&question).await?,
            Transport::Tls { .. } | Transport::Https { .. } => self.encrypted(&question).await?,
        };
        Ok(answer)
    }

    /// Asks a server that can't read the question over TCP, without EDNS.
    async fn without_edns(&self, mut question: Message) -> Result<Message, ExchangeError> {
        question.edns = None;
        self.tcp(&question).await
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
            .filter(|answer| answer.metadata.id == question.metadata.id)
            .filter(|answer| udp::is_answer(answer, &question.queries[0]))
            .ok_or(ExchangeError::NotAnAnswer)
    }

    async fn encrypted(&self, question: &Message) -> Result<Message, ExchangeError> {
        let (exchange, fresh) = self.connected().await?;
        // A kept connection may have died without a word (a NAT forgot it), so it gets less time before a new one.
        let first = if fresh {
            self.send(exchange, question).await
        } else {
            tokio::time::timeout(KEPT_WAIT, self.send(exchange, question))
                .await
                .unwrap_or(Err(NetError::Timeout))
        };
        let answer = match first {
            // A kept connection that the server closed meanwhile is no fault of the server.
            Err(_) if !fresh => {
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
        if udp::is_answer(&answer, &question.queries[0]) {
            Ok(answer)
        } else {
            Err(ExchangeError::NotAnAnswer)
        }
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
        let runtime = self.runtime.clone();
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
