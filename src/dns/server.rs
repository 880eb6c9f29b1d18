//! Binding the addresses, and serving them until told to stop.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
    thread,
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    config::{Config, ConfigError},
    connections::Connections,
    handler::Handler,
    seams::{Decide, Resolve},
    tcp, udp,
    work::Work,
};
use crate::places::Places;

/// How long a stopping server waits for the answers that it owes.
const GRACE: Duration = Duration::from_secs(2);
/// How many ports are tried when the system chooses one and it must be free for UDP and TCP.
const PORT_TRIES: usize = 20;
/// Connections that may wait to be taken.
const BACKLOG: i32 = 512;
/// Bytes of questions that the kernel keeps while we are busy: a whole school that comes back from its break.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The DNS sockets.
#[derive(Debug)]
pub struct Server;

/// Why the DNS sockets can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings don't add up.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another program has the port.
    #[error(
        "address in use: {address} ({transport}); stop the program that has it (`ss -lunpt 'sport = :{}'` shows \
         which) or set dns.listen to another port", address.port()
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// "UDP" or "TCP".
        transport: &'static str,
    },
    /// Ports under 1024 need a privilege.
    #[error(
        "no permission to listen on {0}; give the program CAP_NET_BIND_SERVICE or set dns.listen to a port from 1024"
    )]
    Permission(SocketAddr),
    /// The machine doesn't have the address.
    #[error("{0} is not an address of this machine; correct dns.listen")]
    NotOurs(SocketAddr),
    /// Anything else the system says.
    #[error("can't listen on {address}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Sockets that are bound and wait to be served.
#[derive(Debug)]
pub struct Bound {
    places: Vec<Place>,
    config: Config,
}

/// The sockets of one address.
#[derive(Debug)]
struct Place {
    address: SocketAddr,
    udp: Vec<UdpSocket>,
    tcp: TcpListener,
}

impl Server {
    /// Binds all addresses of the settings, UDP and TCP on the same port each.
    ///
    /// An IPv6 loopback or unspecified address on a machine without IPv6 is left out with a warning, as long as
    /// another address is left.
    ///
    /// # Errors
    ///
    /// When the settings ask for what is not there, or an address can't be had; names the address and what to do.
    pub fn bind(config: &Config) -> Result<Bound, ServeError> {
        config.check()?;
        let mut places = Vec::new();
        let mut missing = None;
        for &address in &config.listen {
            match bind_one(address, config.sockets_per_address()) {
                Ok(place) => places.push(place),
                Err(error @ ServeError::NotOurs(_)) if lacks_ipv6(address) => {
                    tracing::warn!(%address, "this machine has no IPv6: not listening on {address}");
                    missing = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match missing {
            Some(error) if places.is_empty() => Err(error),
            _ => Ok(Bound { places, config: config.clone() }),
        }
    }
}

impl Bound {
    /// The addresses really bound, in the order of the settings; ports of 0 are replaced by those chosen.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.places.iter().map(|place| place.address).collect()
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
        let connections = Connections::new(config.tcp_connections, config.tcp_connections_per_client);
        let limits = tcp::Limits { pipeline: config.tcp_pipeline, idle: config.tcp_idle() };
        for place in self.places {
            let address = place.address;
            let other = |source| ServeError::Other { address, source };
            for socket in place.udp {
                let socket = Arc::new(udp::Socket::new(socket).map_err(other)?);
                answer_packets(&work, socket).map_err(other)?;
            }
            let listener = tokio::net::TcpListener::from_std(place.tcp).map_err(other)?;
            spawn(&work, tcp::serve(listener, Arc::clone(&connections), limits, work.clone()));
        }
        let handler = Arc::clone(&work.handler);
        let stop = work.stop.clone();
        spawn(&work, async move { handler.neighbours().watch(stop).await });

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

/// Runs a task until it ends or the server is dropped.
fn spawn<P: Decide, R: Resolve>(work: &Work<P, R>, task: impl Future<Output = ()> + Send + 'static) {
    let abort = work.abort.clone();
    work.tasks.spawn(async move {
        tokio::select! {
            () = task => {}
            () = abort.cancelled() => {}
        }
    });
}

fn bind_one(address: SocketAddr, sockets: usize) -> Result<Place, ServeError> {
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match try_bind(address, sockets) {
            // The port that the system chose for TCP is another program's for UDP: it chooses again.
            Err(ServeError::InUse { .. }) if tries > 0 => {}
            ended => return ended,
        }
    }
}

fn try_bind(address: SocketAddr, sockets: usize) -> Result<Place, ServeError> {
    // TCP first and without SO_REUSEPORT, so that a second Schoolgate on the same port is noticed instead of taking
    // half of the questions.
    let tcp = bind_tcp(address).map_err(|error| explain(address, "TCP", error))?;
    let address = tcp.local_addr().map_err(|error| explain(address, "TCP", error))?;
    let in_udp = |error| explain(address, "UDP", error);
    // And once alone for UDP, for the same reason with other programs.
    drop(bind_udp(address, false).map_err(in_udp)?);
    let udp = (0..sockets).map(|_| bind_udp(address, true)).collect::<io::Result<_>>().map_err(in_udp)?;
    Ok(Place { address, udp, tcp })
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address, Type::STREAM, Protocol::TCP)?;
    // Only lets go of connections of a former run that are still closing; a listener is not shared by it.
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = new_socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(shared)?;
    // The system may allow less; it is only for peaks.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&SockAddr::from(address))?;
    Ok(socket.into())
}

fn new_socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // Each family has its own sockets, so that an IPv4 client is never seen as an IPv6 one.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn explain(address: SocketAddr, transport: &'static str, error: io::Error) -> ServeError {
    // Linux's EAFNOSUPPORT, which has no kind of its own.
    const NO_FAMILY: i32 = 97;
    match error.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse { address, transport },
        io::ErrorKind::PermissionDenied => ServeError::Permission(address),
        io::ErrorKind::AddrNotAvailable => ServeError::NotOurs(address),
        _ if error.raw_os_error() == Some(NO_FAMILY) => ServeError::NotOurs(address),
        _ => ServeError::Other { address, source: error },
    }
}

/// Whether the address is one that every machine with IPv6 has, so that not having it is not having IPv6.
fn lacks_ipv6(address: SocketAddr) -> bool {
    address.is_ipv6() && (address.ip().is_loopback() || address.ip().is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &[&str]) -> Config {
        Config {
            listen: listen.iter().map(|a| a.parse().unwrap()).collect(),
            threads: 2,
            ..Config::default()
        }
    }

    #[test]
    fn udp_and_tcp_share_the_port_that_was_chosen() {
        let bound = Server::bind(&config(&["127.0.0.1:0", "127.0.0.1:0"])).unwrap();
        let addresses = bound.addresses();
        assert_ne!(addresses[0].port(), 0);
        assert_ne!(addresses[0], addresses[1]);
        for place in &bound.places {
            assert_eq!(place.udp.len(), 2);
            assert!(place.udp.iter().all(|udp| udp.local_addr().unwrap() == place.address));
            assert_eq!(place.tcp.local_addr().unwrap(), place.address);
        }
    }

    #[test]
    fn a_second_server_on_the_same_port_is_told_which() {
        let first = Server::bind(&config(&["127.0.0.1:0"])).unwrap();
        let address = first.addresses()[0];
        let error = Server::bind(&config(&[&address.to_string()])).unwrap_err().to_string();
        assert!(error.starts_with(&format!("address in use: {address} (TCP)")), "{error}");
    }

    #[test]
    fn a_port_that_only_udp_has_taken_is_in_use_too() {
        let taken = bind_udp("127.0.0.1:0".parse().unwrap(), true).unwrap();
        let address = taken.local_addr().unwrap();
        let error = Server::bind(&config(&[&address.to_string()])).unwrap_err();
        assert!(matches!(error, ServeError::InUse { transport: "UDP", .. }), "{error}");
    }

    #[test]
    fn a_foreign_address_is_told() {
        let error = Server::bind(&config(&["192.0.2.1:0"])).unwrap_err();
        assert!(matches!(error, ServeError::NotOurs(_)), "{error}");
    }

    #[test]
    fn a_transport_that_is_not_served_stops_the_start() {
        let config = Config { tls: vec!["127.0.0.1:0".parse().unwrap()], ..config(&["127.0.0.1:0"]) };
        assert!(matches!(
            Server::bind(&config),
            Err(ServeError::Config(ConfigError::NotServed { key: "tls" }))
        ));
    }
}
