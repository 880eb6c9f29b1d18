//! Serving pages: TLS and plain HTTP on one port, in bounded number, until told to stop.

mod pace;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    convert::Infallible,
    io,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use self::pace::paced;
use crate::places::{Place, Places};

/// The first byte of each TLS connection: a record of a handshake. No HTTP request begins with it.
const HANDSHAKE: u8 = 0x16;

/// How long it waits after a connection could not be taken: without that, having no descriptors left would be a busy
/// loop beside the answering of questions.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a browser may leave what it is sent unacknowledged, or what it asked for unread.
const UNREAD: Duration = Duration::from_secs(30);

/// After so much silence the other side is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(60);

/// The most that the headers of a request may have, in bytes.
const MAX_HEADERS: u32 = 64 * 1024;

/// Requests that one HTTP/2 connection may have at one time.
const MAX_STREAMS: u32 = 64;

/// What is served, and how.
#[derive(Debug, Clone)]
pub struct Serve {
    /// The pages. Each request has a [`Peer`] among its extensions.
    pub router: Router,
    /// With it, a connection that begins as TLS does is TLS, and all others are sent there. Without, the pages are
    /// served plainly.
    pub tls: Option<Arc<ServerConfig>>,
    /// The paths that are answered plainly too where there is TLS; its fallback is not used.
    pub plain: Router,
    /// How much is borne.
    pub limits: Limits,
}

/// How much connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all; when so many are open, new ones are dropped.
    pub connections: usize,
    /// Connections of one IPv4 address, or one IPv6 /64.
    pub connections_per_address: usize,
    /// How long each of these may take: the first byte, the TLS handshake, the first request, the headers of each, and
    /// the body of each, which has more time the more of it comes.
    pub patience: Duration,
    /// How long requests that are being answered have when it stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_per_address: 32,
            patience: Duration::from_secs(10),
            farewell: Duration::from_secs(3),
        }
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Who asks.
    pub address: SocketAddr,
    /// The box's own address that was asked.
    pub local: SocketAddr,
    /// Whether it came by TLS.
    pub secure: bool,
}

impl Serve {
    /// Serves on all listeners until told to stop. Then no more connections are taken, requests that are being
    /// answered have [`Limits::farewell`], and it returns.
    ///
    /// What streams without an end has to end on the same token, or is cut off.
    ///
    /// # Errors
    ///
    /// When a listener can't be used; then none is served.
    pub async fn run(self, listeners: Vec<std::net::TcpListener>, stop: CancellationToken) -> io::Result<()> {
        let mut ready = Vec::new();
        let mut ports = BTreeSet::new();
        for listener in listeners {
            listener.set_nonblocking(true)?;
            ports.insert(listener.local_addr()?.port());
            ready.push(TcpListener::from_std(listener)?);
        }
        let has_443 = ports.contains(&443);
        let plain = match &self.tls {
            Some(_) => {
                self.plain.fallback(move |Extension(peer): Extension<Peer>, headers, uri| async move {
                    redirect(peer.local, has_443, &headers, &uri)
                })
            }
            None => self.router.clone(),
        };
        let shared = Arc::new(Shared {
            secure: self.router,
            plain,
            tls: self.tls.map(TlsAcceptor::from),
            limits: self.limits,
            places: Places::new(self.limits.connections, self.limits.connections_per_address),
            tasks: TaskTracker::new(),
            stop,
        });
        for listener in ready {
            shared.tasks.spawn(Arc::clone(&shared).accept(listener));
        }
        shared.stop.cancelled().await;
        shared.tasks.close();
        shared.tasks.wait().await;
        Ok(())
    }
}

/// What all connections share.
struct Shared {
    secure: Router,
    plain: Router,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    places: Arc<Places>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Shared {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => match self.places.take(from.ip().to_canonical()) {
                    Some(place) => {
                        self.tasks.spawn(Arc::clone(&self).connection(stream, from, place));
                    }
                    None => {
                        tracing::debug!(address = %from, "a connection to the pages was dropped: too many are open")
                    }
                },
                Err(error) => {
                    tracing::debug!(%error, "a connection to the pages could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, from: SocketAddr, place: Place) {
        let greeted = tokio::select! {
            biased;
            () = self.stop.cancelled() => return,
            greeted = self.greet(&stream, from) => greeted,
        };
        let done = match greeted {
            Ok(Greeting::Plain(peer)) => self.converse(stream, self.plain.clone(), peer, false).await,
            Ok(Greeting::Secure(peer, acceptor)) => {
                let shaken = tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return,
                    shaken = timeout(self.limits.patience, acceptor.accept(stream)) => shaken,
                };
                match shaken {
                    Ok(Ok(stream)) => {
                        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        self.converse(stream, self.secure.clone(), peer, is_http2).await
                    }
                    Ok(Err(error)) => Err(error.into()),
                    Err(slow) => Err(slow.into()),
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::debug!(%error, address = %from, "a connection to the pages ended");
        }
        drop(place);
    }

    /// Finds out how the other side speaks, without taking anything of what it says.
    async fn greet(&self, stream: &TcpStream, from: SocketAddr) -> Result<Greeting<'_>, Broken> {
        let socket = SockRef::from(stream);
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_user_timeout(Some(UNREAD))?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE))?;
        let peer = |secure| -> io::Result<Peer> {
            Ok(Peer { address: canonical(from), local: canonical(stream.local_addr()?), secure })
        };
        let mut first = [0];
        if timeout(self.limits.patience, stream.peek(&mut first)).await?? == 0 {
            return Err("it said nothing".into());
        }
        Ok(match &self.tls {
            Some(acceptor) if first == [HANDSHAKE] => Greeting::Secure(peer(true)?, acceptor),
            _ => Greeting::Plain(peer(false)?),
        })
    }

    async fn converse<S>(&self, stream: S, router: Router, peer: Peer, is_http2: bool) -> Result<(), Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.patience)
            .max_buf_size(MAX_HEADERS as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(SILENCE)
            .keep_alive_timeout(self.limits.patience)
            .max_header_list_size(MAX_HEADERS)
            .max_concurrent_streams(MAX_STREAMS);
        // The handshake agreed on one; to find it out from the first bytes would wait for them without an end.
        let builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
        let asked = Arc::new(AtomicBool::new(false));
        let (has_asked, patience) = (Arc::clone(&asked), self.limits.patience);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(peer);
            answer(router.clone(), request.map(|body| paced(body, patience)))
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            done = connection.as_mut() => return done,
            // HTTP/2 has no limit of its own for the time until the first request.
            () = silence(self.limits.patience, &asked) => return Err("it asked for nothing".into()),
            () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        timeout(self.limits.farewell, connection).await?
    }
}

/// Waits until a time has passed without anything asked; for ever where something was.
async fn silence(patience: Duration, asked: &AtomicBool) {
    tokio::time::sleep(patience).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// Why a connection ended.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// How the other side speaks.
enum Greeting<'a> {
    Plain(Peer),
    Secure(Peer, &'a TlsAcceptor),
}

/// An IPv4 address is one, on whatever socket it came.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Answers one request; a panic is this request's alone.
async fn answer(router: Router, request: Request) -> Result<Response, Infallible> {
    let method = request.method().clone();
    match AssertUnwindSafe(router.oneshot(request)).catch_unwind().await {
        Ok(answered) => answered,
        Err(panic) => {
            let why = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no reason given");
            tracing::error!(%method, why, "A page panicked, and was answered with an error");
            Ok((StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on the box. Its log says more.\n")
                .into_response())
        }
    }
}

/// Sends a plain request to the same place by TLS.
fn redirect(local: SocketAddr, has_443: bool, headers: &HeaderMap, uri: &Uri) -> Response {
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| is_host(host));
    let host = match asked {
        // Without a port it came to the one of http, and https has another.
        Some(host) if !has_443 && !has_port(host) => format!("{host}:{}", local.port()),
        Some(host) => host.to_owned(),
        None => local.to_string(),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    match HeaderValue::try_from(format!("https://{host}{path}")) {
        Ok(location) => {
            // Browsers would keep it for good, and a box may go back to plain pages.
            let headers =
                [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (StatusCode::PERMANENT_REDIRECT, headers).into_response()
        }
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Whether a text is a host name, an IPv4 address or an IPv6 address in brackets, with a port or without.
fn is_host(text: &str) -> bool {
    let (host, port) = split_port(text);
    let is_port =
        port.is_none_or(|port| port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit()));
    let is_name = || {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    let is_ipv6 = || {
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inside.is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok())
    };
    text.len() <= 255 && is_port && (is_name() || is_ipv6())
}

fn has_port(host: &str) -> bool {
    split_port(host).1.is_some()
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        // The last colon within brackets is the address's own.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}
