//! Binding the addresses of the settings, and saying what stands in the way of one.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use socket2::{Domain, Protocol, SockAddr, Type};

use super::{
    config::{Config, ConfigError},
    encrypted::Encrypted,
};

/// How many ports are tried when the system chooses one and it must be free for UDP and TCP.
const PORT_TRIES: usize = 20;
/// Connections that may wait to be taken.
const BACKLOG: i32 = 512;
/// Bytes of questions that the kernel keeps while we are busy: a whole school that comes back from its break.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Why the DNS sockets can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings don't add up.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another program has the port.
    #[error(
        "address in use: {address} ({transport}); stop the program that has it (`ss -lunpt 'sport = :{}'` shows \
         which) or set {key} to another port", address.port()
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// "UDP" or "TCP".
        transport: &'static str,
        /// The setting.
        key: &'static str,
    },
    /// Ports under 1024 need a privilege.
    #[error(
        "no permission to listen on {address}; give the program CAP_NET_BIND_SERVICE or set {key} to a port from 1024"
    )]
    Permission {
        /// The address.
        address: SocketAddr,
        /// The setting.
        key: &'static str,
    },
    /// The machine doesn't have the address.
    #[error("{address} is not an address of this machine; correct {key}")]
    NotOurs {
        /// The address.
        address: SocketAddr,
        /// The setting.
        key: &'static str,
    },
    /// Anything else the system says.
    #[error("can't listen on {address}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The library of TLS takes none of what it needs, which no setting changes.
    #[error("encrypted DNS can't be set up: {0}")]
    Encryption(String),
}

/// All sockets of the settings.
#[derive(Debug)]
pub(super) struct Sockets {
    /// For questions in clear.
    pub(super) plain: Vec<Place>,
    /// For the others.
    pub(super) encrypted: EncryptedSockets,
}

/// The sockets of encrypted DNS.
#[derive(Debug)]
pub(super) struct EncryptedSockets {
    pub(super) tls: Vec<Bound<TcpListener>>,
    pub(super) https: Vec<Bound<TcpListener>>,
    pub(super) quic: Vec<Bound<UdpSocket>>,
}

impl EncryptedSockets {
    /// The addresses that they really have.
    pub(super) fn addresses(&self) -> Encrypted {
        Encrypted { tls: addresses(&self.tls), https: addresses(&self.https), quic: addresses(&self.quic) }
    }
}

fn addresses<S>(all: &[Bound<S>]) -> Vec<SocketAddr> {
    all.iter().map(|bound| bound.address).collect()
}

/// The sockets of one address of `listen`.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: TcpListener,
}

/// A socket with the address that it really has.
#[derive(Debug)]
pub(super) struct Bound<S> {
    pub(super) address: SocketAddr,
    pub(super) socket: S,
}

impl Sockets {
    /// Binds them; see [`Server::bind`](super::Server::bind).
    pub(super) fn bind(config: &Config) -> Result<Self, ServeError> {
        let sockets = config.sockets_per_address();
        let stream = |key| {
            move |address| {
                let failed = |error| explain(address, "TCP", key, error);
                let socket = bind_tcp(address).map_err(failed)?;
                let address = socket.local_addr().map_err(failed)?;
                Ok(Bound { address, socket })
            }
        };
        let plain = each(&config.listen, |address| bind_both(address, sockets))?;
        let encrypted = EncryptedSockets {
            tls: each(&config.tls, stream("dns.tls"))?,
            https: each(&config.https, stream("dns.https"))?,
            quic: each(&config.quic, |address| {
                let failed = |error| explain(address, "UDP", "dns.quic", error);
                // One socket, since a connection's packets must come to who knows its keys.
                let socket = bind_udp(address, false).map_err(failed)?;
                let address = socket.local_addr().map_err(failed)?;
                Ok(Bound { address, socket })
            })?,
        };
        Ok(Self { plain, encrypted })
    }
}

/// Binds the addresses of one setting; what every machine with IPv6 has may be missing as long as another is there.
fn each<T>(
    addresses: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> Result<T, ServeError>,
) -> Result<Vec<T>, ServeError> {
    let mut bound = Vec::new();
    let mut missing = None;
    for &address in addresses {
        match bind(address) {
            Ok(one) => bound.push(one),
            Err(error @ ServeError::NotOurs { .. }) if lacks_ipv6(address) => {
                tracing::warn!(%address, "this machine has no IPv6: not listening on {address}");
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

fn bind_both(address: SocketAddr, sockets: usize) -> Result<Place, ServeError> {
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
    let explain = |transport| move |error| explain(address, transport, "dns.listen", error);
    // TCP first and without SO_REUSEPORT, so that a second Schoolgate on the same port is noticed instead of taking
    // half of the questions.
    let tcp = bind_tcp(address).map_err(explain("TCP"))?;
    let address = tcp.local_addr().map_err(explain("TCP"))?;
    // And once alone for UDP, for the same reason with other programs.
    drop(bind_udp(address, false).map_err(explain("UDP"))?);
    let udp =
        (0..sockets).map(|_| bind_udp(address, true)).collect::<io::Result<_>>().map_err(explain("UDP"))?;
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

fn explain(address: SocketAddr, transport: &'static str, key: &'static str, error: io::Error) -> ServeError {
    // Linux's EAFNOSUPPORT, which has no kind of its own.
    const NO_FAMILY: i32 = 97;
    match error.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse { address, transport, key },
        io::ErrorKind::PermissionDenied => ServeError::Permission { address, key },
        io::ErrorKind::AddrNotAvailable => ServeError::NotOurs { address, key },
        _ if error.raw_os_error() == Some(NO_FAMILY) => ServeError::NotOurs { address, key },
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
        let bound = Sockets::bind(&config(&["127.0.0.1:0", "127.0.0.1:0"])).unwrap();
        assert_ne!(bound.plain[0].address.port(), 0);
        assert_ne!(bound.plain[0].address, bound.plain[1].address);
        for place in &bound.plain {
            assert_eq!(place.udp.len(), 2);
            assert!(place.udp.iter().all(|udp| udp.local_addr().unwrap() == place.address));
            assert_eq!(place.tcp.local_addr().unwrap(), place.address);
        }
    }

    #[test]
    fn a_second_server_on_the_same_port_is_told_which() {
        let first = Sockets::bind(&config(&["127.0.0.1:0"])).unwrap();
        let address = first.plain[0].address;
        let error = Sockets::bind(&config(&[&address.to_string()])).unwrap_err().to_string();
        assert!(error.starts_with(&format!("address in use: {address} (TCP)")), "{error}");
        assert!(error.ends_with("set dns.listen to another port"), "{error}");
    }

    #[test]
    fn a_port_that_only_udp_has_taken_is_in_use_too() {
        let taken = bind_udp("127.0.0.1:0".parse().unwrap(), true).unwrap();
        let address = taken.local_addr().unwrap();
        let error = Sockets::bind(&config(&[&address.to_string()])).unwrap_err();
        assert!(matches!(error, ServeError::InUse { transport: "UDP", .. }), "{error}");
        let error = Sockets::bind(&Config { quic: vec![address], ..config(&["127.0.0.1:0"]) }).unwrap_err();
        assert!(matches!(error, ServeError::InUse { transport: "UDP", key: "dns.quic", .. }), "{error}");
    }

    #[test]
    fn a_port_that_two_settings_want_is_told_with_the_second() {
        let free = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap().local_addr().unwrap();
        let twice =
            Config { tls: vec![free], https: vec![free], quic: vec![free], ..config(&["127.0.0.1:0"]) };
        let error = Sockets::bind(&twice).unwrap_err();
        assert!(matches!(error, ServeError::InUse { transport: "TCP", key: "dns.https", .. }), "{error}");
        let both = Sockets::bind(&Config { https: Vec::new(), ..twice }).unwrap();
        assert_eq!(
            (both.encrypted.tls[0].address, both.encrypted.quic[0].address),
            (free, free),
            "TCP and UDP are two ports"
        );
    }

    #[test]
    fn a_foreign_address_is_told() {
        let error = Sockets::bind(&config(&["192.0.2.1:0"])).unwrap_err();
        assert!(matches!(error, ServeError::NotOurs { key: "dns.listen", .. }), "{error}");
    }
}
