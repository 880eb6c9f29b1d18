//! Real sockets, and browsers of different manners.

use axum::{
    body::{Body, Bytes},
    routing::{get, post},
};
use futures_util::stream;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::DropGuard;

use super::*;
use crate::{clock::Clock, tls::Certificates};

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pages that are served until dropped.
struct Served {
    at: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<io::Result<()>>,
    certificates: Option<Certificates>,
    _folder: tempfile::TempDir,
    _guard: DropGuard,
}

fn pages(stop: CancellationToken) -> Router {
    let endless = || async { Body::from_stream(stream::pending::<io::Result<Bytes>>()) };
    let until_stopped = move || {
        let stop = stop.clone();
        async move {
            Body::from_stream(stream::unfold(0, move |number| {
                let stop = stop.clone();
                async move {
                    if number > 0 {
                        stop.cancelled().await;
                        return None;
                    }
                    Some((io::Result::Ok(Bytes::from_static(b"first event")), number + 1))
                }
            }))
        }
    };
    let panics = || async {
        if PATIENCE > Duration::ZERO {
            panic!("as asked");
        }
    };
    Router::new()
        .route("/who", get(|Extension(peer): Extension<Peer>| async move { format!("{peer:?}") }))
        .route("/endless", get(endless))
        .route("/events", get(until_stopped))
        .route("/panic", get(panics))
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
}

fn serve(has_tls: bool, limits: Limits) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let certificates = has_tls.then(|| Certificates::open(folder.path(), &[], &Clock::system()).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serve = Serve {
        router: pages(stop.clone()),
        tls: certificates.as_ref().map(Certificates::server_config),
        plain: Router::new().route("/healthz", get(|| async { "well" })),
        limits,
    };
    let running = tokio::spawn(serve.run(vec![listener], stop.clone()));
    Served { at, running, certificates, _folder: folder, _guard: stop.clone().drop_guard(), stop }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.unwrap()
    }

    async fn connect_by_tls(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        let ca = self.certificates.as_ref().unwrap().ca_pem();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.connect().await).await.unwrap()
    }

    /// One plain request, and all that comes back.
    async fn plain(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

/// All that comes until the other side closes, which it must.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A connection that is cut off may end with an error; what came before counts.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the other side closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What comes until the text has been seen.
async fn until(stream: &mut (impl AsyncRead + Unpin), text: &str) -> String {
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "{text} comes");
        }
    };
    timeout(PATIENCE, reading).await.expect("it comes in time");
    String::from_utf8(seen).unwrap()
}

fn location(reply: &str) -> &str {
    assert!(reply.starts_with("HTTP/1.1 308 "), "{reply}");
    reply.lines().find_map(|line| line.strip_prefix("location: ")).expect("a location")
}

fn short() -> Limits {
    Limits { patience: Duration::from_millis(200), farewell: Duration::from_millis(200), ..Limits::default() }
}

#[tokio::test]
async fn tls_and_plain_http_share_one_port() {
    let served = serve(true, Limits::default());
    let mut stream = served.connect_by_tls(b"http/1.1").await;
    let own = stream.get_ref().0.local_addr().unwrap();
    stream.write_all(b"GET /who HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n").await.unwrap();
    let reply = rest(&mut stream).await;
    let peer = Peer { address: own, local: served.at, secure: true };
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with(&format!("{peer:?}")), "{reply}");

    let at = served.at;
    let reply = served
        .plain(&format!("GET /who?a=%0d%0a&b=//x HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"))
        .await;
    assert_eq!(location(&reply), format!("https://{at}/who?a=%0d%0a&b=//x"));
    let reply = served.plain("GET /healthz HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("well"), "{reply}");
}

#[tokio::test]
async fn browsers_get_http2_over_tls() {
    let served = serve(true, Limits::default());
    let stream = served.connect_by_tls(b"h2").await;
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for (path, status) in [("/panic", 500), ("/who", 200), ("/nowhere", 404)] {
        let request = http::Request::get(format!("https://box{path}")).body(()).unwrap();
        let (reply, _) = client.send_request(request, true).unwrap();
        assert_eq!(reply.await.unwrap().status(), status, "{path}");
        client = client.ready().await.unwrap();
    }
    served.stop.cancel();
    timeout(PATIENCE, connection).await.expect("stopping says goodbye").unwrap().unwrap();
    timeout(PATIENCE, served.running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn without_tls_the_pages_are_plain() {
    let served = serve(false, Limits::default());
    let reply = served.plain("GET /who HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.contains("secure: false"), "{reply}");
    // A browser that tries TLS anyway gets no answer that it could take for one.
    let reply = served.plain("\x16\x03\x01\x02").await;
    assert!(!reply.contains("200"), "{reply}");
}

#[tokio::test]
async fn a_host_that_is_none_is_not_sent_back() {
    let served = serve(true, Limits::default());
    let long = "a".repeat(256);
    for host in [
        "evil.example/path",
        "user@evil.example",
        "\"<script>",
        "[::1",
        "[evil]",
        "a:b",
        "a:99999",
        "",
        &long,
    ] {
        let reply =
            served.plain(&format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(location(&reply), format!("https://{}/x", served.at), "{host}");
    }
    let reply =
        served.plain("GET http://evil.example/x HTTP/1.1\r\nHost: box:80\r\nConnection: close\r\n\r\n").await;
    assert_eq!(location(&reply), "https://box:80/x");
    let reply = served.plain("GET / HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n").await;
    assert_eq!(
        location(&reply),
        format!("https://box:{}/", served.at.port()),
        "https has no other port here"
    );
}

#[test]
fn only_hosts_are_hosts() {
    for host in ["box", "box.school.example:8443", "10.0.0.2", "[2001:db8::1]", "[::1]:443", "my_box"] {
        assert!(is_host(host), "{host}");
    }
    for host in ["", ":443", "a b", "a:", "a:+1", "::1", "[::1]x", "a\r\nb", "a,b", "ä"] {
        assert!(!is_host(host), "{host}");
    }
    let at: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
    let mut headers = HeaderMap::new();
    let to = |headers: &HeaderMap, has_443| {
        let reply = redirect(at, has_443, headers, &Uri::from_static("/a"));
        reply.headers()[header::LOCATION].to_str().unwrap().to_owned()
    };
    assert_eq!(to(&headers, true), "https://[2001:db8::1]:80/a");
    headers.insert(header::HOST, HeaderValue::from_static("[::1]"));
    assert_eq!(to(&headers, true), "https://[::1]/a");
    assert_eq!(to(&headers, false), "https://[::1]:80/a");
}

#[tokio::test]
async fn who_is_slow_is_cut_off() {
    let served = serve(true, short());
    for said in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nHost: box\r\n", b"\x16\x03\x01\x02"] {
        let mut stream = served.connect().await;
        stream.write_all(said).await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "{said:?}");
    }
    // After its handshake, too.
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let mut stream = served.connect_by_tls(protocol).await;
        stream.write_all(b"P").await.unwrap();
        let reply = rest(&mut stream).await;
        assert!(!reply.contains("200"), "{reply}");
    }
}

#[tokio::test]
async fn a_form_that_never_comes_holds_no_connection() {
    let served = serve(false, short());
    let head = "POST /length HTTP/1.1\r\nHost: box\r\nContent-Length: 5\r\n";
    let reply = served.plain(&format!("{head}\r\nab")).await;
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    let reply = served.plain(&format!("{head}Connection: close\r\n\r\nabcde")).await;
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("\r\n\r\n5"), "{reply}");
}

#[tokio::test]
async fn a_page_may_take_longer_than_patience_has() {
    let served = serve(false, Limits { farewell: PATIENCE, ..short() });
    let mut stream = served.connect().await;
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: box\r\n\r\n").await.unwrap();
    until(&mut stream, "first event").await;
    // A connection that is silent from its start is cut off by then.
    rest(&mut served.connect().await).await;
    served.stop.cancel();
    let reply = rest(&mut stream).await;
    assert!(reply.ends_with("0\r\n\r\n"), "{reply:?}");
}

#[tokio::test]
async fn stopping_ends_a_page_that_streams() {
    let served = serve(false, Limits { farewell: PATIENCE * 10, ..Limits::default() });
    let mut stream = served.connect().await;
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: box\r\n\r\n").await.unwrap();
    until(&mut stream, "first event").await;
    served.stop.cancel();
    let reply = rest(&mut stream).await;
    assert!(reply.ends_with("0\r\n\r\n"), "whole to its end: {reply:?}");
    timeout(PATIENCE, served.running).await.expect("it stops").unwrap().unwrap();
    assert!(TcpStream::connect(served.at).await.is_err(), "no more connections are taken");
}

#[tokio::test]
async fn a_page_that_never_ends_is_cut_off_after_the_farewell() {
    let served = serve(false, short());
    let mut stream = served.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: box\r\n\r\n").await.unwrap();
    until(&mut stream, "200 OK").await;
    served.stop.cancel();
    timeout(PATIENCE, served.running).await.expect("it stops").unwrap().unwrap();
    rest(&mut stream).await;
}

#[tokio::test]
async fn a_panic_is_one_requests_alone() {
    let served = serve(false, Limits::default());
    let mut stream = served.connect().await;
    stream.write_all(b"GET /panic HTTP/1.1\r\nHost: box\r\n\r\n").await.unwrap();
    let reply = until(&mut stream, "Its log says more.\n").await;
    assert!(reply.starts_with("HTTP/1.1 500 ") && !reply.contains("as asked"), "{reply}");
    stream.write_all(b"GET /who HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_others_have_room() {
    let served = serve(false, Limits { connections_per_address: 2, ..Limits::default() });
    let request = b"GET /who HTTP/1.1\r\nHost: box\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = served.connect().await;
        stream.write_all(request).await.unwrap();
        until(&mut stream, "secure").await;
        open.push(stream);
    }
    assert_eq!(rest(&mut served.connect().await).await, "", "a third is dropped");
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(served.at).await.unwrap();
    other.write_all(request).await.unwrap();
    until(&mut other, "secure").await;
    for stream in &mut open {
        stream.write_all(request).await.unwrap();
        until(stream, "secure").await;
    }
    drop(open);
    let again = async {
        // The server learns of the end when it comes to it.
        while !served
            .plain("GET /who HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n")
            .await
            .contains("200")
        {}
    };
    timeout(PATIENCE, again).await.expect("places come back");
}
