//! Syslog: each row as a message of RFC 5424, with its fields as structured data.
//!
//! Over TCP by octet counting (RFC 6587), over UDP (RFC 5426) and Unix sockets one packet for each message.

use std::{
    io::{self, Write},
    net::{TcpStream, ToSocketAddrs, UdpSocket},
    os::unix::net::UnixDatagram,
};

use jiff::tz::TimeZone;
use socket2::SockRef;

use super::{
    Address, Item, PATIENCE, Wire,
    dnstap::{connect, is_closed},
};
use crate::querylog::{entry::Entry, event::Action, evidence::machine};

/// The facility that is left to each site: local0.
const FACILITY: u8 = 16;

/// The name of our structured data; the number is the one that RFC 5612 sets aside for those who have none of their own.
const ID: &str = "dns@32473";

/// RFC 5424 wants no longer names of programs and machines than these.
const LONGEST_MACHINE: usize = 255;

/// A row as a message, without any framing.
pub(super) fn encode(entry: &Entry, machine: &str, process: u32) -> Vec<u8> {
    // Warning, notice, informational.
    let severity = match entry.action {
        _ if entry.alert => 4,
        Action::Blocked | Action::Rewritten => 5,
        _ => 6,
    };
    let time = entry.time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let action = entry.action.word();
    let mut text =
        format!("<{}>1 {time} {machine} schoolgate {process} {action} [{ID}", FACILITY * 8 + severity);
    let took = entry.took_us.to_string();
    let (from, until) =
        entry.lease.map(|(from, until)| (from.to_string(), until.to_string())).unwrap_or_default();
    for (word, value) in [
        ("client", entry.client.as_str()),
        ("device", &entry.device),
        ("mac", &entry.mac),
        ("profile", &entry.profile),
        ("knownBy", &entry.known_by),
        ("confidence", &entry.confidence),
        ("leaseFrom", &from),
        ("leaseUntil", &until),
        ("name", &entry.name),
        ("type", &entry.qtype),
        ("rcode", &entry.rcode),
        ("action", action),
        ("reason", &entry.reason),
        ("category", &entry.category),
        ("list", &entry.list),
        ("rule", &entry.rule),
        ("detail", &entry.detail),
        ("would", &entry.would),
        ("categories", &entry.categories),
        ("dnssec", &entry.dnssec),
        ("source", &entry.source),
        ("transport", &entry.transport),
        ("alert", if entry.alert { "yes" } else { "" }),
        ("tookUs", &took),
    ] {
        if !value.is_empty() {
            text.push_str(&format!(" {word}=\""));
            escape(&mut text, value);
            text.push('"');
        }
    }
    text.push_str("] ");
    let who = if entry.device.is_empty() { &entry.client } else { &entry.device };
    let message = format!("device {who} asked for {}: {action}", entry.name).replace(char::is_control, "?");
    if !message.is_ascii() {
        // So says RFC 5424 that UTF-8 is to be marked.
        text.push('\u{feff}');
    }
    text.push_str(&message);
    text.into_bytes()
}

/// The value of a field: three characters are escaped; line ends would break a message in two on its way.
fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '"' | '\\' | ']' => text.extend(['\\', c]),
            c if c.is_control() => text.push('?'),
            c => text.push(c),
        }
    }
}

/// The name of the machine, in the characters that the header may have.
fn header(machine: &str) -> String {
    let name: String = machine.chars().filter(char::is_ascii_graphic).take(LONGEST_MACHINE).collect();
    if name.is_empty() { String::from("-") } else { name }
}

enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    /// With what waits to be pushed out.
    Tcp(TcpStream, Vec<u8>),
}

/// A syslog receiver.
pub(super) struct Syslog {
    address: Address,
    socket: Option<Socket>,
    machine: String,
}

impl Syslog {
    pub(super) fn new(address: Address) -> Self {
        Self { address, socket: None, machine: header(&machine()) }
    }
}

impl Wire for Syslog {
    fn connect(&mut self) -> io::Result<()> {
        self.socket = None;
        self.socket = Some(match &self.address {
            Address::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Socket::Unix(socket)
            }
            Address::Udp(host) => {
                let address = host.to_socket_addrs()?.next().ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"))
                })?;
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Socket::Udp(socket)
            }
            Address::Tcp(host) => Socket::Tcp(connect(host)?, Vec::new()),
        });
        Ok(())
    }

    fn is_closed(&self) -> bool {
        match &self.socket {
            None => true,
            Some(Socket::Tcp(stream, _)) => is_closed(&SockRef::from(stream)),
            Some(Socket::Unix(_) | Socket::Udp(_)) => false,
        }
    }

    fn send(&mut self, item: &Item) -> io::Result<()> {
        let message = encode(&item.entry, &self.machine, std::process::id());
        match &mut self.socket {
            None => Err(io::ErrorKind::NotConnected.into()),
            Some(Socket::Unix(socket)) => socket.send(&message).map(drop),
            Some(Socket::Udp(socket)) => socket.send(&message).map(drop),
            Some(Socket::Tcp(_, waiting)) => {
                waiting.extend_from_slice(format!("{} ", message.len()).as_bytes());
                waiting.extend_from_slice(&message);
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.socket {
            None => Err(io::ErrorKind::NotConnected.into()),
            Some(Socket::Unix(_) | Socket::Udp(_)) => Ok(()),
            Some(Socket::Tcp(stream, waiting)) => {
                let sent = stream.write_all(waiting);
                waiting.clear();
                sent
            }
        }
    }

    fn close(&mut self) {
        if let Some(Socket::Tcp(stream, _)) = self.socket.take() {
            // What was sent arrives all the same.
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    }
}
