//! DNS that nobody on the way can read: over TLS, over HTTPS and over QUIC.
//!
//! What is asked goes the way of all questions, under the same limits; here is how it comes and how the answer leaves.

mod freshness;
pub(super) mod https;
mod presence;
mod quic;
mod tls;

use std::{net::SocketAddr, sync::Arc};

use rustls::{ServerConfig, crypto::ring::Ticketer, server::ResolvesServerCert};
use tokio::net::TcpListener;

use super::{
    bind::{Bound, EncryptedSockets, ServeError},
    config::Config,
    connections::Connections,
    seams::{Decide, Resolve},
    stream::Limits,
    tcp::{self, Arrived},
    work::Work,
};

/// The longest question over HTTPS and QUIC, where many may come at one time. The longest there are, notices of zones with
/// a signature, take some hundred bytes.
const MAX_QUESTION: usize = 4096;

/// The addresses of encrypted DNS that are really bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encrypted {
    /// DNS over TLS.
    pub tls: Vec<SocketAddr>,
    /// DNS over HTTPS.
    pub https: Vec<SocketAddr>,
    /// DNS over QUIC.
    pub quic: Vec<SocketAddr>,
}

/// Serves on these sockets until it is stopped. Each kind has its own seats, so that who fills one leaves the others.
pub(super) fn serve<P: Decide, R: Resolve>(
    sockets: EncryptedSockets,
    certificate: &Arc<dyn ResolvesServerCert>,
    config: &Config,
    work: &Work<P, R>,
) -> Result<(), ServeError> {
    let limits = Limits::of(config);
    let settings = |protocols| settings(Arc::clone(certificate), protocols);
    if !sockets.tls.is_empty() {
        let acceptor = tls::acceptor(settings(&["dot"])?);
        listen(sockets.tls, config, work, move |arrived, work| {
            tls::converse(arrived, acceptor.clone(), limits, work)
        })?;
    }
    if !sockets.https.is_empty() {
        let acceptor = tls::acceptor(settings(&["h2", "http/1.1"])?);
        listen(sockets.https, config, work, move |arrived, work| {
            https::converse(arrived, acceptor.clone(), limits, work)
        })?;
    }
    if !sockets.quic.is_empty() {
        let settings = quic::settings(settings(&["doq"])?, limits)?;
        let door = quic::Door::new(config.tcp_connections, config.tcp_connections_per_client);
        for Bound { address, socket } in sockets.quic {
            let endpoint = quic::endpoint(socket, settings.clone())
                .map_err(|source| ServeError::Other { address, source })?;
            work.spawn(quic::serve(endpoint, address.ip(), Arc::clone(&door), limits, work.clone()));
        }
    }
    Ok(())
}

/// Takes connections on these sockets.
fn listen<P: Decide, R: Resolve, F: Future<Output = ()> + Send + 'static>(
    sockets: Vec<Bound<std::net::TcpListener>>,
    config: &Config,
    work: &Work<P, R>,
    converse: impl Fn(Arrived, Work<P, R>) -> F + Clone + Send + 'static,
) -> Result<(), ServeError> {
    let connections = Connections::new(config.tcp_connections, config.tcp_connections_per_client);
    for Bound { address, socket } in sockets {
        let listener =
            TcpListener::from_std(socket).map_err(|source| ServeError::Other { address, source })?;
        let (own, converse) = (work.clone(), converse.clone());
        let each = move |arrived| converse(arrived, own.clone());
        work.spawn(tcp::accept(listener, Arc::clone(&connections), work.clone(), each));
    }
    Ok(())
}

fn settings(
    certificate: Arc<dyn ResolvesServerCert>,
    protocols: &[&str],
) -> Result<ServerConfig, ServeError> {
    let failed = |error: &dyn std::fmt::Display| ServeError::Encryption(error.to_string());
    let mut config = crate::tls::server_config(certificate, protocols).map_err(|error| failed(&error))?;
    // Tablets come back often: their tickets carry what a table here would have to keep.
    config.ticketer = Ticketer::new().map_err(|error| failed(&error))?;
    Ok(config)
}
