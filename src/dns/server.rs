//! Serving the addresses of the settings until told to stop.

use std::{io, net::SocketAddr, sync::Arc, thread, time::Duration};

use rustls::server::ResolvesServerCert;
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    bind::{ServeError, Sockets},
    config::Config,
    connections::Connections,
    encrypted::{self, Encrypted},
    handler::Handler,
    seams::{Decide, Resolve},
    stream::Limits,
    tcp, udp,
    work::Work,
};
use crate::{background, places::Places, tls::Shown};

/// How long a stopping server waits for the answers that it owes.
const GRACE: Duration = Duration::from_secs(2);

/// The DNS sockets.
#[derive(Debug)]
pub struct Server;

/// Sockets that are bound and wait to be served.
#[derive(Debug)]
pub struct Bound {
    sockets: Sockets,
    config: Config,
    certificate: Arc<dyn ResolvesServerCert>,
}

impl Server {
    /// Binds all addresses of the settings, UDP and TCP of `listen` on the same port each.
    ///
    /// An IPv6 loopback or unspecified address on a machine without IPv6 is left out with a warning, as long as
    /// another address is left.
    ///
    /// # Errors
    ///
    /// When the settings ask for what is not there, or an address can't be had; names the address and what to do.
    pub fn bind(config: &Config) -> Result<Bound, ServeError> {
        config.check()?;
        let sockets = Sockets::bind(config)?;
        Ok(Bound { sockets, config: config.clone(), certificate: Arc::new(Shown::default()) })
    }
}

impl Bound {
    /// The addresses really bound, in the order of the settings; ports of 0 are replaced by those chosen.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.plain.iter().map(|place| place.address).collect()
    }

    /// The same for encrypted DNS.
    #[must_use]
    pub fn encrypted(&self) -> Encrypted {
        self.sockets.encrypted.addresses()
    }

    /// Shows this certificate to who speaks TLS; without one, nobody comes through a handshake.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Arc<dyn ResolvesServerCert>) -> Self {
        self.certificate = certificate;
        self
    }

    /// Answers until `stop` is cancelled, then finishes the answers it owes, for two seconds at most.
    ///
    /// # Errors
    ///
    /// When a bound socket can't be handed to the runtime.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time.
    pub async fn serve<P: Decide, R: Resolve>(
        self,
        handler: Arc<Handler<P, R>>,
        stop: CancellationToken,
    ) -> Result<(), ServeError> {
        let config = &self.config;
        let work = Work {
            handler,
            places: Places::new(config.waiting_questions, config.waiting_questions_per_client),
            tasks: TaskTracker::new(),
            stop,
            abort: CancellationToken::new(),
        };
        // Whatever way this ends, dropped included, no task is left behind.
        let _abort = work.abort.clone().drop_guard();
        let limits = Limits::of(config);
        let connections = Connections::new(config.tcp_connections, config.tcp_connections_per_client);
        for place in self.sockets.plain {
            let other = |source| ServeError::Other { address: place.address, source };
            for socket in place.udp {
                let socket = Arc::new(udp::Socket::new(socket).map_err(other)?);
                answer_packets(&work, socket).map_err(other)?;
            }
            let listener = TcpListener::from_std(place.tcp).map_err(other)?;
            let own = work.clone();
            let converse = move |arrived| tcp::converse(arrived, limits, own.clone());
            work.spawn(tcp::accept(listener, Arc::clone(&connections), work.clone(), converse));
        }
        encrypted::serve(self.sockets.encrypted, &self.certificate, config, &work)?;
        let handler = Arc::clone(&work.handler);
        let stop = work.stop.clone();
        work.spawn(async move { handler.neighbours().watch(stop).await });

        work.stop.cancelled().await;
        work.tasks.close();
        if tokio::time::timeout(GRACE, work.tasks.wait()).await.is_err() {
            tracing::warn!("stopping with {} questions unanswered", work.tasks.len());
        }
        Ok(())
    }
}

/// Starts the thread of a socket, which ends when the server is stopped or dropped.
fn answer_packets<P: Decide, R: Resolve>(work: &Work<P, R>, socket: Arc<udp::Socket>) -> io::Result<()> {
    let (own, waiting, runtime) = (work.clone(), Arc::clone(&socket), Handle::current());
    // Stopping waits for the thread as for a task.
    let token = work.tasks.token();
    thread::Builder::new().name(String::from("dns")).spawn(move || {
        let _token = token;
        background::in_front();
        udp::serve(&waiting, &own, &runtime);
    })?;
    let (stop, abort) = (work.stop.clone(), work.abort.clone());
    // Not one of the tasks that are waited for, or aborted: it ends with either.
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = abort.cancelled() => {}
        }
        socket.close();
    });
    Ok(())
}
