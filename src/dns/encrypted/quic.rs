//! DNS over QUIC (RFC 9250): one stream is one question, many at one time on a connection.

use std::{
    io,
    net::{IpAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::{
    Connection, Endpoint, EndpointConfig, Incoming, ReadToEndError, RecvStream, SendStream, ServerConfig,
    TokioRuntime, TransportConfig, VarInt, crypto::rustls::QuicServerConfig,
};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{
    super::{
        bind::ServeError,
        connections::Connections,
        handler::{Answered, Asked},
        message::glance,
        seams::{Decide, Resolve},
        stream::{Limits, frame},
        work::{Begun, Work},
    },
    MAX_QUESTION,
    presence::Presence,
};
use crate::{
    places::{Place, Places},
    querylog::Transport,
};

/// The codes of RFC 9250, section 4.3.
mod code {
    use quinn::VarInt;

    pub(super) const NO_ERROR: VarInt = VarInt::from_u32(0);
    pub(super) const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
    pub(super) const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
    pub(super) const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);
    pub(super) const UNSPECIFIED_ERROR: VarInt = VarInt::from_u32(5);
}

/// Handshakes whose address may be somebody else's: so many at one time, and so many from one address. Who comes beyond
/// that has to show first that it gets what is sent to it.
const UNPROVEN: usize = 64;
const UNPROVEN_PER_CLIENT: usize = 8;

/// How long a connection may be without a packet while a question waits for its answer, which takes longer than others
/// are given to be silent.
const UNHEARD: Duration = Duration::from_secs(30);

/// How many bytes that were not read yet may come, on each stream and on the connection.
const STREAM_WINDOW: u32 = 8 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024;

/// How many bytes of answers that were not taken yet are kept for each connection.
const UNTAKEN: u64 = 128 * 1024;

/// How many bytes of a connection that was not looked at yet are kept.
const UNSEEN: u64 = 16 * 1024;

/// How long an asker has to confirm that it has an answer before the connection may end. Most do at once; who is gone must
/// not keep the server from stopping.
const CONFIRMING: Duration = Duration::from_secs(1);

/// How long it takes at most to tell the others that it stops.
const FAREWELL: Duration = Duration::from_millis(200);

/// What QUIC keeps to.
pub(super) fn settings(tls: rustls::ServerConfig, limits: Limits) -> Result<ServerConfig, ServeError> {
    let crypto =
        QuicServerConfig::try_from(tls).map_err(|error| ServeError::Encryption(error.to_string()))?;
    let mut transport = TransportConfig::default();
    let unheard = limits.idle.max(UNHEARD).try_into().ok();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(u32::try_from(limits.pipeline).unwrap_or(u32::MAX)))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(UNTAKEN)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(unheard);
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport))
        // A connection stays its client's: packets that only say that they come from another address would be answered
        // by that one's policy, and the answer could still be had at the first.
        .migration(false)
        .max_incoming(UNPROVEN)
        .incoming_buffer_size(UNSEEN)
        .incoming_buffer_size_total(UNSEEN * UNPROVEN as u64);
    Ok(config)
}

/// Takes a bound socket over.
pub(super) fn endpoint(socket: UdpSocket, settings: ServerConfig) -> io::Result<Endpoint> {
    Endpoint::new(EndpointConfig::default(), Some(settings), socket, Arc::new(TokioRuntime))
}

/// Who may come in.
pub(super) struct Door {
    connections: Arc<Connections>,
    /// Handshakes of addresses that were not shown to be the other side's.
    unproven: Arc<Places>,
    /// Handshakes of those that were.
    proven: Arc<Places>,
}

impl Door {
    pub(super) fn new(all: usize, per_client: usize) -> Arc<Self> {
        Arc::new(Self {
            connections: Connections::new(all, per_client),
            unproven: Places::new(UNPROVEN, UNPROVEN_PER_CLIENT),
            proven: Places::new(all, per_client),
        })
    }

    /// Lets a handshake begin, or asks for a proof of the address first; none where it does not begin.
    fn admit(&self, incoming: Incoming) -> Option<(Incoming, Place)> {
        let client = incoming.remote_address().ip().to_canonical();
        if incoming.remote_address_validated() {
            return match self.proven.take(client) {
                Some(place) => Some((incoming, place)),
                None => {
                    incoming.refuse();
                    None
                }
            };
        }
        match self.unproven.take(client) {
            Some(place) => Some((incoming, place)),
            None => {
                // It can't be asked for twice; who can't be asked is let go.
                let _ = incoming.retry().map_err(|error| error.into_incoming().refuse());
                None
            }
        }
    }
}

/// Takes connections until it is stopped.
pub(super) async fn serve<P: Decide, R: Resolve>(
    endpoint: Endpoint,
    at: IpAddr,
    door: Arc<Door>,
    limits: Limits,
    work: Work<P, R>,
) {
    let connections = TaskTracker::new();
    loop {
        let incoming = tokio::select! {
            biased;
            () = work.stop.cancelled() => break,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        let from = incoming.remote_address();
        if !work.handler.admits(from.ip().to_canonical()) {
            // Whoever it is, not a byte is sent there.
            incoming.ignore();
        } else if let Some((incoming, place)) = door.admit(incoming) {
            let own = connection(incoming, place, at, Arc::clone(&door), limits, work.clone());
            work.spawn(connections.track_future(own));
        }
    }
    endpoint.set_server_config(None);
    connections.close();
    connections.wait().await;
    endpoint.close(code::NO_ERROR, b"");
    let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
}

async fn connection<P: Decide, R: Resolve>(
    incoming: Incoming,
    place: Place,
    at: IpAddr,
    door: Arc<Door>,
    limits: Limits,
    work: Work<P, R>,
) {
    let from = incoming.remote_address();
    let close = work.stop.child_token();
    let shaking = async { Ok::<_, Broken>(timeout(limits.idle, incoming.accept()?).await??) };
    let shaken = tokio::select! {
        biased;
        () = close.cancelled() => return,
        shaken = Box::pin(shaking) => shaken,
    };
    drop(place);
    let connection = match shaken {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, address = %from, "a handshake failed");
            return;
        }
    };
    // Only now, when the address is surely its own: nobody else may take a client's seats.
    let Some(seat) = door.connections.enter(from.ip().to_canonical(), close.clone()) else {
        tracing::debug!(address = %from, "a connection was refused: too many are open");
        connection.close(code::EXCESSIVE_LOAD, b"too many connections are open");
        return;
    };
    let asked = Asked { from, at: connection.local_ip().unwrap_or(at), transport: Transport::Quic };
    let talk = Arc::new(Conversation {
        connection,
        asked: asked.canonical(),
        presence: Presence::new(seat),
        limits,
        work,
    });
    loop {
        let accepted = tokio::select! {
            biased;
            () = close.cancelled() => break,
            accepted = talk.connection.accept_bi() => accepted,
            () = talk.presence.silence(limits.idle) => break,
        };
        match accepted {
            Ok((sending, receiving)) => talk.work.spawn(Arc::clone(&talk).exchange(sending, receiving)),
            Err(error) => {
                tracing::debug!(%error, address = %from, "a connection ended");
                return;
            }
        }
    }
    talk.presence.rest().await;
    talk.connection.close(code::NO_ERROR, b"");
}

/// Why a connection or a stream of it ended.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// What the streams of a connection share.
struct Conversation<P, R> {
    connection: Connection,
    asked: Asked,
    presence: Arc<Presence>,
    limits: Limits,
    work: Work<P, R>,
}

impl<P: Decide, R: Resolve> Conversation<P, R> {
    /// Answers the question of one stream.
    async fn exchange(self: Arc<Self>, mut sending: SendStream, mut receiving: RecvStream) {
        let read = timeout(self.limits.idle, receiving.read_to_end(2 + MAX_QUESTION)).await;
        let end = |mut sending: SendStream, code| {
            // Ended already, if the asker was quicker.
            let _ = sending.reset(code);
        };
        let framed = match read {
            Ok(Ok(framed)) => framed,
            Ok(Err(ReadToEndError::TooLong)) => {
                let _ = receiving.stop(code::EXCESSIVE_LOAD);
                return end(sending, code::EXCESSIVE_LOAD);
            }
            // The asker took its question back, or the connection is gone.
            Ok(Err(ReadToEndError::Read(_))) => return,
            Err(_) => {
                let _ = receiving.stop(code::UNSPECIFIED_ERROR);
                return end(sending, code::UNSPECIFIED_ERROR);
            }
        };
        let question = match only_message(&framed) {
            Ok(question) => question,
            Err(why) => return self.violated(why),
        };
        let busy = self.presence.begin();
        let answered = match self.work.begin_short(question, self.asked) {
            Begun::Done(answered) => Some(answered),
            Begun::Waits(waiting) => tokio::select! {
                biased;
                answered = waiting.answer(&self.work.abort) => answered,
                // It is not waited for any more.
                _ = sending.stopped() => None,
            },
        };
        let Some(answered) = answered else { return end(sending, code::INTERNAL_ERROR) };
        let Some(reply) = &answered.reply else { return self.violated("this is no question") };
        let mut framed = Vec::with_capacity(2 + reply.len());
        frame(&mut framed, Some(reply));
        let sent = timeout(self.limits.idle, sending.write_all(&framed)).await;
        let finished = matches!(sent, Ok(Ok(()))) && sending.finish().is_ok();
        self.record(&answered);
        if !finished {
            return end(sending, code::UNSPECIFIED_ERROR);
        }
        // Until the asker has it, since a connection that is closed sends nothing again.
        let _ = timeout(CONFIRMING, sending.stopped()).await;
        drop(busy);
    }

    fn record(&self, answered: &Answered<P>) {
        if let Some(outcome) = &answered.outcome {
            self.work.handler.record(outcome, answered.reply.as_deref());
        }
    }

    /// Ends the connection with an asker that does not keep to the protocol (RFC 9250, section 4.3.3).
    fn violated(&self, why: &'static str) {
        tracing::debug!(address = %self.asked.from, why, "a connection was closed");
        self.connection.close(code::PROTOCOL_ERROR, why.as_bytes());
    }
}

/// The one message of a stream, which keeps to what RFC 9250 asks of it.
fn only_message(framed: &[u8]) -> Result<&[u8], &'static str> {
    let (length, message) = framed.split_first_chunk().ok_or("the stream ended without a message")?;
    match usize::from(u16::from_be_bytes(*length)) {
        length if length > message.len() => return Err("the stream ended within a message"),
        length if length < message.len() => return Err("there is more than one message on the stream"),
        _ => {}
    }
    if message.first_chunk() != Some(&[0, 0]) {
        return Err("the id of a message is not 0");
    }
    match glance(message).and_then(|seen| seen.edns) {
        Some(edns) if edns.keepalive => Err("there is an option for keeping TCP connections alive"),
        _ => Ok(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_one_message_with_the_id_0() {
        let question = |id: u8, more: &[u8]| {
            let mut message = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1];
            message.extend_from_slice(more);
            message
        };
        let framed = |message: &[u8]| [&[0, message.len() as u8], message].concat();
        let good = framed(&question(0, &[]));
        assert_eq!(only_message(&good), Ok(&good[2..]));
        for (bytes, why) in [
            (vec![], "without a message"),
            (vec![0], "without a message"),
            (good[..good.len() - 1].to_vec(), "within a message"),
            ([good.clone(), good.clone()].concat(), "more than one message"),
            (framed(&question(7, &[])), "id of a message"),
            (vec![0, 0], "id of a message"),
        ] {
            assert!(only_message(&bytes).unwrap_err().contains(why), "{bytes:?}");
        }
        let mut option = question(0, &[0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 4, 0, 11, 0, 0]);
        option[11] = 1;
        assert!(only_message(&framed(&option)).unwrap_err().contains("keeping TCP"), "{option:?}");
        let code = option.len() - 3;
        option[code] = 12;
        assert!(only_message(&framed(&option)).is_ok());
    }
}
