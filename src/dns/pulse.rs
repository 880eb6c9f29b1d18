//! The box asks itself a question, to know whether it answers.
//!
//! The question goes through a socket of its own to a socket that serves the school, is read and decided as any other, and
//! comes back. It is of the class CHAOS, so that no usual question is ever looked at for it, and for a name that nobody
//! else knows: it is in no log, and no network, limit or list is in its way.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RecordType},
};
use ring::rand::{self, SystemRandom};
use tokio::{net::UdpSocket, time::Instant};

use super::message::Question;

/// How long after a question it is asked once more: under a flood the one or the other is lost, and a box that is flooded and
/// answers what arrives is not to be started again for it.
const ONCE_MORE: Duration = Duration::from_millis(250);

/// A question of the box to itself.
#[derive(Clone)]
pub struct Pulse {
    name: Name,
    id: u16,
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").finish_non_exhaustive()
    }
}

impl Pulse {
    /// One for a name that nobody else knows.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub fn new() -> io::Result<Self> {
        let none = |_| io::Error::other("the system gives no random bytes");
        let bytes: [u8; 16] = rand::generate(&SystemRandom::new()).map_err(none)?.expose();
        let label = data_encoding::HEXLOWER.encode(&bytes);
        let name = Name::from_ascii(format!("{label}.pulse.schoolgate.")).map_err(io::Error::other)?;
        Ok(Self { name, id: u16::from_be_bytes([bytes[0], bytes[1]]) })
    }

    /// Whether this is the question.
    pub(super) fn is(&self, question: &Question) -> bool {
        question.query.query_class() == DNSClass::CH && *question.query.name() == self.name
    }

    /// Asks over UDP at an address that is served, and waits so long for the answer.
    ///
    /// # Errors
    ///
    /// When no answer comes in time, or another than the right one.
    pub async fn beat(&self, served: SocketAddr, patience: Duration) -> io::Result<()> {
        let at = reached(served);
        // A new socket each time: where several sockets share an address, the port decides which of them is asked.
        let any: IpAddr =
            if at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(at).await?;
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        let mut query = Query::query(self.name.clone(), RecordType::TXT);
        query.set_query_class(DNSClass::CH);
        message.add_query(query);
        let question = message.to_vec().map_err(io::Error::other)?;
        let ends = Instant::now() + patience;
        loop {
            socket.send(&question).await?;
            let until = ends.min(Instant::now() + ONCE_MORE);
            match tokio::time::timeout_at(until, self.answer(&socket)).await {
                Ok(answered) => return answered,
                Err(_) if until >= ends => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => {}
            }
        }
    }

    async fn answer(&self, socket: &UdpSocket) -> io::Result<()> {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).await?;
        let answer = Message::from_vec(&buffer[..length]).map_err(io::Error::other)?;
        if answer.metadata.id == self.id && answer.metadata.response_code == ResponseCode::NoError {
            return Ok(());
        }
        Err(io::Error::other(format!("the answer was {}", answer.metadata.response_code)))
    }
}

/// Where the box itself reaches an address that is served.
fn reached(served: SocketAddr) -> SocketAddr {
    let ip = match served.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, served.port())
}
