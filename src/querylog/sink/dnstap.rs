//! dnstap: each row as a message of the type `CLIENT_RESPONSE`.
//!
//! Rows under pseudonyms have no query address, and their reply has no EDNS, whose options can tell devices apart. Rows
//! whose name must not be shown have no reply at all, since it has the name. What the policy said stands in `extra`.

use std::{
    io::{self, BufReader, BufWriter, Read, Write},
    net::{IpAddr, TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
};

use hickory_proto::op::Message as DnsMessage;
use socket2::SockRef;

use super::{Address, Item, PATIENCE, Wire, frames, protobuf::Message};
use crate::querylog::evidence::{machine, program};

/// What travels in the frames.
const CONTENT: &str = "protobuf:dnstap.Dnstap";

/// The numbers of `dnstap.proto`.
mod number {
    pub(super) const MESSAGE: u64 = 1;
    pub(super) const CLIENT_RESPONSE: u64 = 6;
    pub(super) const INET: u64 = 1;
    pub(super) const INET6: u64 = 2;
}

fn protocol(transport: &str) -> Option<u64> {
    Some(match transport {
        "udp" => 1,
        "tcp" => 2,
        "tls" => 3,
        "https" => 4,
        "quic" => 7,
        _ => return None,
    })
}

/// A row as the bytes of a `Dnstap` message.
pub(super) fn encode(item: &Item, identity: &str, version: &str) -> Vec<u8> {
    let entry = &item.entry;
    let mut message = Message::default();
    message.number(1, number::CLIENT_RESPONSE);
    if let Ok(address) = entry.client.parse::<IpAddr>() {
        message.number(2, if address.is_ipv4() { number::INET } else { number::INET6 });
    }
    if let Some(protocol) = protocol(&entry.transport) {
        message.number(3, protocol);
    }
    match entry.client.parse() {
        Ok(IpAddr::V4(address)) => message.bytes(4, &address.octets()),
        Ok(IpAddr::V6(address)) => message.bytes(4, &address.octets()),
        // A pseudonym.
        Err(_) => {}
    }
    let asked = entry.time;
    let answered = asked + jiff::SignedDuration::from_micros(i64::from(entry.took_us));
    for (seconds, nanoseconds, time) in [(8, 9, asked), (12, 13, answered)] {
        message.number(seconds, time.as_second().max(0).unsigned_abs());
        message.fixed(nanoseconds, time.subsec_nanosecond().max(0).unsigned_abs());
    }
    if let Some(reply) = reply(item) {
        message.bytes(14, &reply);
    }
    let mut dnstap = Message::default();
    dnstap.bytes(1, identity.as_bytes());
    dnstap.bytes(2, version.as_bytes());
    dnstap.bytes(3, extra(item).as_bytes());
    dnstap.bytes(14, &message.finish());
    dnstap.number(15, number::MESSAGE);
    dnstap.finish()
}

/// The reply, as far as it may be shown.
fn reply(item: &Item) -> Option<Vec<u8>> {
    let reply = item.reply.as_ref().filter(|_| !item.is_sealed())?;
    if !item.is_pseudonymous() {
        return Some(reply.to_vec());
    }
    let mut message = DnsMessage::from_vec(reply).ok()?;
    message.edns = None;
    message.to_vec().ok()
}

/// What no field of dnstap has, as `word=value` with tabs between.
fn extra(item: &Item) -> String {
    let entry = &item.entry;
    let mut parts = Vec::new();
    for (word, value) in [
        ("client", entry.client.as_str()),
        ("device", &entry.device),
        ("profile", &entry.profile),
        ("name", &entry.name),
        ("type", &entry.qtype),
        ("rcode", &entry.rcode),
        ("action", entry.action.word()),
        ("reason", &entry.reason),
        ("category", &entry.category),
        ("list", &entry.list),
        ("rule", &entry.rule),
        ("detail", &entry.detail),
    ] {
        if !value.is_empty() {
            parts.push(format!("{word}={}", value.replace(char::is_control, " ")));
        }
    }
    parts.join("\t")
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn open(address: &Address) -> io::Result<Self> {
        match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unix(stream))
            }
            Address::Tcp(host) | Address::Udp(host) => Ok(Self::Tcp(connect(host)?)),
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Unix(stream) => SockRef::from(stream),
            Self::Tcp(stream) => SockRef::from(stream),
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => (&mut &*stream).read(buffer),
            Stream::Tcp(stream) => (&mut &*stream).read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => (&mut &*stream).write(bytes),
            Stream::Tcp(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection to one of a host's addresses, with limits on how long each step may take.
pub(super) fn connect(host: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether the other side has closed a stream. What it says meanwhile is left where it is.
pub(super) fn is_closed(socket: &SockRef<'_>) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    let looked = socket.set_nonblocking(true).and_then(|()| socket.peek(&mut byte));
    socket.set_nonblocking(false).is_err()
        || match looked {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
}

/// A dnstap collector.
pub(super) struct Dnstap {
    address: Address,
    stream: Option<Stream>,
    /// Frames that wait to be pushed out together.
    waiting: Vec<u8>,
    identity: String,
    version: String,
}

impl Dnstap {
    pub(super) fn new(address: Address) -> Self {
        Self { address, stream: None, waiting: Vec::new(), identity: machine(), version: program() }
    }

    fn stream(&self) -> io::Result<&Stream> {
        self.stream.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Both directions of a stream, for the handshake.
struct Both<'a>(BufReader<&'a Stream>, BufWriter<&'a Stream>);

impl Read for Both<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Both<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

impl<'a> Both<'a> {
    fn of(stream: &'a Stream) -> Self {
        Self(BufReader::new(stream), BufWriter::new(stream))
    }
}

impl Wire for Dnstap {
    fn connect(&mut self) -> io::Result<()> {
        self.stream = None;
        self.waiting.clear();
        let stream = Stream::open(&self.address)?;
        frames::begin(&mut Both::of(&stream), CONTENT)?;
        self.stream = Some(stream);
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.stream.as_ref().is_none_or(|stream| is_closed(&stream.socket()))
    }

    fn send(&mut self, item: &Item) -> io::Result<()> {
        frames::send(&mut self.waiting, &encode(item, &self.identity, &self.version))
    }

    fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream().and_then(|mut stream| stream.write_all(&self.waiting));
        self.waiting.clear();
        sent
    }

    fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            // All was pushed out; what is left is only politeness.
            let _ = frames::end(&mut Both::of(&stream));
        }
    }
}
