//! A web server that has lists, and misbehaves when told to.
#![allow(dead_code, unreachable_pub, reason = "each test target uses its own part of this")]

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does wrong with the next request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Sends this many bytes of the body and hangs up.
    CutOff(usize),
    /// Says that there are so many bytes more than there are.
    LengthTooLong(usize),
    /// Sends a web page instead.
    WebPage,
    /// Sends without an end.
    Endless,
    /// Redirects to itself.
    Loop,
    /// Redirects to another address.
    To(String),
    /// Answers with this status and header lines.
    Status(u16, String),
    /// Waits before each part of the body, of so many bytes.
    Slow(Duration, usize),
    /// Sends half of the body and then nothing, for as long as the client stays.
    Stall,
    /// Answers with bytes that are no HTTP.
    Garbage,
    /// Takes the connection and hangs up.
    HangUp,
    /// Ignores that only a part was asked for.
    WholeAnyway,
    /// Answers a request for a part with another part.
    WrongRange,
    /// Says that nothing changed, whatever was asked.
    NotModified,
    /// Sends in chunks and hangs up before the last.
    ChunksCutOff,
    /// Sends in chunks, whole.
    Chunks,
    /// Sends with `Content-Encoding: gzip` bytes that are gzip.
    Gzip,
    /// Sends nothing.
    Empty,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    headers: BTreeMap<String, String>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A file that the server has.
#[derive(Debug, Clone)]
struct Served {
    body: Vec<u8>,
    etag: Option<String>,
    last_modified: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Served>,
    faults: VecDeque<Fault>,
    always: Option<Fault>,
    asked: Vec<Asked>,
    /// Only requests with this header are served.
    wants: Option<(String, String)>,
}

/// A running server; ends when dropped.
pub struct ListServer {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl ListServer {
    /// Starts on a free port of the loopback.
    pub fn start() -> Self {
        Self::serve(None)
    }

    /// Starts with TLS.
    pub fn with_tls(config: Arc<ServerConfig>) -> Self {
        Self::serve(Some(config))
    }

    fn serve(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (state, stop) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (state, tls, stopped) = (Arc::clone(&shared), tls.clone(), Arc::clone(&stopped));
                // A client that goes away in the middle is what some tests are about.
                thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
                    let _ = match tls {
                        None => answer(stream, &state, &stopped),
                        Some(config) => ServerConnection::new(config)
                            .map_err(io::Error::other)
                            .and_then(|tls| answer(StreamOwned::new(tls, stream), &state, &stopped)),
                    };
                });
            }
        });
        Self { address, scheme, state, stop }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a file is.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Where a file is, by a name of the host.
    pub fn url_at(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
    }

    /// Has a file, with an entity tag of its content.
    pub fn has(&self, path: &str, body: impl Into<Vec<u8>>) {
        let body = body.into();
        let sum = body.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        self.has_with(path, body, Some(format!("\"{sum:x}\"")), None);
    }

    /// Has a file with these validators.
    pub fn has_with(
        &self,
        path: &str,
        body: impl Into<Vec<u8>>,
        etag: Option<String>,
        last_modified: Option<String>,
    ) {
        let served = Served { body: body.into(), etag, last_modified };
        self.lock().files.insert(path.to_owned(), served);
    }

    /// Does these wrong with the next requests, in this order.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    /// Does this wrong with every request that has no fault of its own.
    pub fn always(&self, fault: Fault) {
        self.lock().always = Some(fault);
    }

    /// Does nothing wrong any more that was not done yet.
    pub fn forget_faults(&self) {
        self.lock().faults.clear();
    }

    /// Serves only those who send this header; others get 401.
    pub fn wants(&self, header: &str, value: &str) {
        self.lock().wants = Some((header.to_owned(), value.to_owned()));
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }
}

impl Drop for ListServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

fn read_request(stream: &mut dyn Connection) -> io::Result<Asked> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let mut lines = BufReader::new(head.as_slice()).lines();
    let first = lines.next().ok_or_else(|| io::Error::other("no request"))??;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = lines
        .map_while(Result::ok)
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    Ok(Asked { method: method.to_owned(), path: path.to_owned(), headers })
}

fn answer(mut stream: impl Connection, state: &Mutex<State>, stopped: &AtomicBool) -> io::Result<()> {
    let asked = read_request(&mut stream)?;
    let (fault, served, refused) = {
        let mut state = state.lock().expect("no test panics while it holds this");
        state.asked.push(asked.clone());
        let fault = state.faults.pop_front().or_else(|| state.always.clone()).unwrap_or(Fault::None);
        let refused =
            state.wants.as_ref().is_some_and(|(name, value)| asked.header(name) != Some(value.as_str()));
        (fault, state.files.get(&asked.path).cloned(), refused)
    };
    let plain = |status: &str, more: &str| {
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
    };
    match &fault {
        Fault::HangUp => return Ok(()),
        Fault::Garbage => return stream.write_all(b"\x00\x01\x02 nobody at home\r\n\r\n"),
        Fault::Loop => {
            let to = format!("Location: {}\r\n", asked.path);
            return stream.write_all(&plain("302 Found", &to));
        }
        Fault::To(to) => {
            return stream.write_all(&plain("301 Moved Permanently", &format!("Location: {to}\r\n")));
        }
        Fault::Status(code, headers) => {
            return stream.write_all(&plain(&format!("{code} Whatever"), headers));
        }
        Fault::NotModified => return stream.write_all(&plain("304 Not Modified", "")),
        _ => {}
    }
    if refused {
        return stream.write_all(&plain("401 Unauthorized", ""));
    }
    let Some(served) = served else { return stream.write_all(&plain("404 Not Found", "")) };
    let unchanged = match (asked.header("if-none-match"), asked.header("if-modified-since")) {
        (Some(etag), _) => served.etag.as_deref() == Some(etag),
        (None, Some(date)) => served.last_modified.as_deref() == Some(date),
        (None, None) => false,
    };
    if unchanged {
        return stream.write_all(&plain("304 Not Modified", ""));
    }
    send(&mut stream, &asked, &served, &fault, stopped)
}

fn send(
    stream: &mut dyn Connection,
    asked: &Asked,
    served: &Served,
    fault: &Fault,
    stopped: &AtomicBool,
) -> io::Result<()> {
    let page = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>\n";
    let mut body: &[u8] = match fault {
        Fault::WebPage => page,
        Fault::Empty => b"",
        _ => &served.body,
    };
    let mut head = String::from("HTTP/1.1 200 OK\r\n");
    let from = asked
        .header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok())
        .filter(|from| *from <= body.len());
    let same = asked.header("if-range").is_none_or(|validator| {
        served.etag.as_deref() == Some(validator) || served.last_modified.as_deref() == Some(validator)
    });
    if let Some(from) = from.filter(|_| same && *fault != Fault::WholeAnyway) {
        let said = if *fault == Fault::WrongRange { from + 1 } else { from };
        let all = body.len();
        head = format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {said}-{}/{all}\r\n", all - 1);
        body = &body[from..];
    }
    if let Some(etag) = &served.etag {
        head.push_str(&format!("ETag: {etag}\r\n"));
    }
    if let Some(date) = &served.last_modified {
        head.push_str(&format!("Last-Modified: {date}\r\n"));
    }
    let zipped;
    if *fault == Fault::Gzip {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        zip.write_all(body)?;
        zipped = zip.finish()?;
        body = &zipped;
        head.push_str("Content-Encoding: gzip\r\n");
    }
    let kind = if *fault == Fault::WebPage { "text/html" } else { "text/plain" };
    head.push_str(&format!("Content-Type: {kind}\r\nConnection: close\r\n"));
    match fault {
        Fault::Endless => {}
        Fault::Chunks | Fault::ChunksCutOff => head.push_str("Transfer-Encoding: chunked\r\n"),
        Fault::LengthTooLong(more) => head.push_str(&format!("Content-Length: {}\r\n", body.len() + more)),
        _ => head.push_str(&format!("Content-Length: {}\r\n", body.len())),
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    match fault {
        Fault::CutOff(after) => stream.write_all(&body[..body.len().min(*after)])?,
        Fault::Endless => {
            while !stopped.load(Ordering::Relaxed) {
                stream.write_all(&[b'#'; 4096])?;
            }
        }
        Fault::Slow(pause, bytes) => {
            for piece in body.chunks(*bytes) {
                thread::sleep(*pause);
                stream.write_all(piece)?;
                stream.flush()?;
            }
        }
        Fault::Stall => {
            stream.write_all(&body[..body.len() / 2])?;
            stream.flush()?;
            // Until the client hangs up.
            let _ = stream.read(&mut [0]);
        }
        Fault::Chunks | Fault::ChunksCutOff => {
            for piece in body.chunks(1000) {
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
                stream.write_all(piece)?;
                stream.write_all(b"\r\n")?;
            }
            if *fault == Fault::Chunks {
                stream.write_all(b"0\r\n\r\n")?;
            }
        }
        _ => stream.write_all(body)?,
    }
    stream.flush()
}
