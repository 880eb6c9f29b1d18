//! DNS over TLS (RFC 7858): the stream of TCP, within TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::super::{
    handler::Asked,
    seams::{Decide, Resolve},
    stream::{self, Limits, Talk},
    tcp::Arrived,
    work::Work,
};
use crate::querylog::Transport;

pub(super) fn acceptor(settings: ServerConfig) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(settings))
}

/// A connection after its handshake.
pub(super) struct Shaken {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) talk: Talk,
}

/// Makes the handshake of a connection; none where it takes longer than a connection may be silent, comes to nothing, or
/// is not for this asker.
pub(super) async fn shake<P: Decide, R: Resolve>(
    arrived: Arrived,
    acceptor: &TlsAcceptor,
    transport: Transport,
    limits: Limits,
    work: &Work<P, R>,
) -> Option<Shaken> {
    let Arrived { stream, from, at, seat, close } = arrived;
    let asked = Asked { from, at, transport }.canonical();
    if !work.handler.admits(asked.from.ip()) {
        // Its questions would be refused, and a handshake costs more than those.
        tracing::debug!(address = %from, "a connection was closed: its network is not served here");
        return None;
    }
    let shaking = timeout(limits.idle, acceptor.accept(stream));
    let shaken = tokio::select! {
        biased;
        () = close.cancelled() => return None,
        shaken = shaking => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => Some(Shaken { stream, talk: Talk { asked, seat, close } }),
        // Scanners and devices that don't trust the box do this all day.
        Ok(Err(error)) => {
            tracing::debug!(%error, address = %from, "a handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(address = %from, "a handshake took too long");
            None
        }
    }
}

/// Answers the questions of one connection.
pub(super) async fn converse<P: Decide, R: Resolve>(
    arrived: Arrived,
    acceptor: TlsAcceptor,
    limits: Limits,
    work: Work<P, R>,
) {
    // The handshake's state is larger than what is kept afterwards, and most connections are silent.
    let shaking = Box::pin(shake(arrived, &acceptor, Transport::Tls, limits, &work));
    let Some(Shaken { stream, talk }) = shaking.await else { return };
    let (reading, writing) = tokio::io::split(stream);
    stream::converse(reading, writing, talk, limits, work).await;
}
