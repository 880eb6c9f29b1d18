//! Questions in packets: one thread for each socket, several sockets for each address.
//!
//! A thread takes as many packets as have come, answers those of the usual kind where they lie (see [`fast`](super::fast)),
//! and sends these replies together. All others go the ordinary way: in place when the answer is at hand, in a task of the
//! runtime when it waits.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmsg,
        setsockopt, sockopt,
    },
};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use smallvec::SmallVec;
use tokio::runtime::Handle;

use super::{
    fast::{Moment, Quick},
    handler::{Answered, Asked, Handler},
    seams::{Decide, Resolve},
    work::{Begun, Work},
};
use crate::querylog::Transport;

/// How many packets are taken at one time.
const BATCH: usize = 32;

/// Room for one question. The longest there are, notices of zones with a signature, take some hundred bytes; what is cut
/// can't be read and is told so.
const QUESTION: usize = 4096;

/// Room for one reply of the short way: the most that a setting allows.
const REPLY: usize = 4096;

/// After how long a thread that nobody asks looks whether it is to end, should it have missed being told.
const GLANCE: Duration = Duration::from_millis(500);

/// A socket that knows which of our addresses a packet was sent to, and answers from there.
#[derive(Debug)]
pub(super) struct Socket {
    io: std::net::UdpSocket,
    /// The address that it is bound to.
    local: SocketAddr,
}

impl Socket {
    /// Takes a bound socket over.
    pub(super) fn new(io: std::net::UdpSocket) -> io::Result<Self> {
        let local = io.local_addr()?;
        io.set_nonblocking(false)?;
        io.set_read_timeout(Some(GLANCE))?;
        if local.ip().is_unspecified() {
            match local {
                SocketAddr::V4(_) => setsockopt(&io, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&io, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
        }
        Ok(Self { io, local })
    }

    /// Wakes the thread that waits for packets; there will be none.
    pub(super) fn close(&self) {
        // Linux says ENOTCONN of a socket without a peer, and wakes who waits for it all the same.
        let _ = socket2::SockRef::from(&self.io).shutdown(std::net::Shutdown::Read);
    }

    /// Sends a reply to where the question came from, from the address that was asked. Never waits: who finds no room for a
    /// reply has an asker that asks again.
    fn send(&self, reply: &[u8], to: SocketAddr, from: IpAddr) {
        let source = Source::of(self.local, from);
        let slice = [IoSlice::new(reply)];
        let sent = source.with(|messages| {
            sendmsg(
                self.io.as_raw_fd(),
                &slice,
                messages,
                MsgFlags::MSG_DONTWAIT,
                Some(&SockaddrStorage::from(to)),
            )
        });
        if let Err(error) = sent {
            // An asker that is gone, an address that was taken from us: nobody else is concerned.
            tracing::debug!(%error, bytes = reply.len(), "a reply could not be sent");
        }
    }
}

/// From which address a reply is sent, where the socket has several.
#[derive(Clone, Copy)]
enum Source {
    TheSockets,
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Source {
    fn of(local: SocketAddr, from: IpAddr) -> Self {
        match (local, from) {
            _ if !local.ip().is_unspecified() || from.is_unspecified() => Self::TheSockets,
            (SocketAddr::V4(_), IpAddr::V4(from)) => Self::V4(libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            }),
            (SocketAddr::V6(_), IpAddr::V6(from)) => Self::V6(libc::in6_pktinfo {
                ipi6_ifindex: 0,
                ipi6_addr: libc::in6_addr { s6_addr: from.octets() },
            }),
            _ => Self::TheSockets,
        }
    }

    fn with<T>(&self, send: impl FnOnce(&[ControlMessage<'_>]) -> T) -> T {
        match self {
            Self::TheSockets => send(&[]),
            Self::V4(info) => send(&[ControlMessage::Ipv4PacketInfo(info)]),
            Self::V6(info) => send(&[ControlMessage::Ipv6PacketInfo(info)]),
        }
    }
}

/// Where a packet came from and how long it is.
#[derive(Debug, Clone, Copy)]
struct Came {
    length: usize,
    asked: Asked,
}

/// A reply of the short way that waits for the others of its batch.
struct Done {
    /// Its packet's place in the batch, and its own.
    place: usize,
    quick: Quick,
}

/// What one thread works with.
struct Batch {
    questions: Vec<u8>,
    replies: Vec<u8>,
    incoming: MultiHeaders<SockaddrStorage>,
    came: Vec<Came>,
    done: Vec<Done>,
}

fn headers(local: SocketAddr) -> MultiHeaders<SockaddrStorage> {
    let room = match local {
        _ if !local.ip().is_unspecified() => None,
        SocketAddr::V4(_) => Some(cmsg_space!(libc::in_pktinfo)),
        SocketAddr::V6(_) => Some(cmsg_space!(libc::in6_pktinfo)),
    };
    MultiHeaders::preallocate(BATCH, room)
}

impl Batch {
    fn new(local: SocketAddr) -> Self {
        Self {
            questions: vec![0; BATCH * QUESTION],
            replies: vec![0; BATCH * REPLY],
            incoming: headers(local),
            came: Vec::with_capacity(BATCH),
            done: Vec::with_capacity(BATCH),
        }
    }

    /// Waits for packets and takes those that are there.
    fn receive(&mut self, socket: &Socket) -> Result<(), Errno> {
        self.came.clear();
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = {
            let mut rooms = self.questions.chunks_mut(QUESTION);
            std::array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())])
        };
        let received = recvmmsg(
            socket.io.as_raw_fd(),
            &mut self.incoming,
            slices.iter_mut(),
            MsgFlags::MSG_WAITFORONE,
            None,
        )?;
        for message in received {
            let from = message.address.as_ref().and_then(address);
            let at =
                message.cmsgs().ok().and_then(|mut found| found.find_map(|message| destination(&message)));
            let at = at.unwrap_or_else(|| socket.local.ip());
            // Without an address nobody can be answered; see `may_answer` for port 0.
            let from = from.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
            let asked = Asked { from, at, transport: Transport::Udp };
            self.came.push(Came { length: message.bytes.min(QUESTION), asked });
        }
        Ok(())
    }

    fn question(&self, place: usize) -> &[u8] {
        let length = self.came[place].length;
        &self.questions[place * QUESTION..][..length]
    }

    /// Sends the replies of the short way: together, where all leave from the address that the socket is bound to.
    fn send(&self, socket: &Socket) {
        if socket.local.ip().is_unspecified() {
            for Done { place, quick } in &self.done {
                let asked = self.came[*place].asked;
                socket.send(&self.replies[place * REPLY..][..quick.length], asked.from, asked.at);
            }
            return;
        }
        let slices: SmallVec<[[IoSlice<'_>; 1]; BATCH]> = self
            .done
            .iter()
            .map(|done| [IoSlice::new(&self.replies[done.place * REPLY..][..done.quick.length])])
            .collect();
        let to: SmallVec<[SocketAddrAny; BATCH]> =
            self.done.iter().map(|done| self.came[done.place].asked.from.into()).collect();
        let mut sent = 0;
        while sent < slices.len() {
            let mut nothing: SmallVec<[SendAncillaryBuffer<'_, '_, '_>; BATCH]> =
                slices[sent..].iter().map(|_| SendAncillaryBuffer::default()).collect();
            let mut messages: SmallVec<[MMsgHdr<'_>; BATCH]> = to[sent..]
                .iter()
                .zip(&slices[sent..])
                .zip(&mut nothing)
                .map(|((to, slice), nothing)| MMsgHdr::new_with_addr(to, slice, nothing))
                .collect();
            sent += match sendmmsg(&socket.io, &mut messages, SendFlags::DONTWAIT) {
                Ok(count) => count.max(1),
                // The first of them can't be sent; the others are no worse for it.
                Err(error) => {
                    tracing::debug!(%error, "a reply could not be sent");
                    1
                }
            };
        }
    }
}

fn address(found: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = found.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::new(v4.ip(), v4.port())));
    v4.or_else(|| {
        let v6 = found.as_sockaddr_in6()?;
        Some(SocketAddr::V6(SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id())))
    })
}

fn destination(message: &ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into()),
        _ => None,
    }
}

/// Whether a packet's sender can be answered. Nobody can at port 0, and questions to everyone are not for us: a reply would
/// need an address of our own that was not asked.
fn may_answer(asked: &Asked) -> bool {
    asked.from.port() != 0 && !asked.at.is_multicast() && asked.at != IpAddr::from([255; 4])
}

/// Answers the questions of one socket until it is stopped. For a thread of its own; `runtime` has the tasks of answers
/// that wait.
pub(super) fn serve<P: Decide, R: Resolve>(socket: &Arc<Socket>, work: &Work<P, R>, runtime: &Handle) {
    let _context = runtime.enter();
    let mut batch = Batch::new(socket.local);
    while !work.is_stopped() {
        match batch.receive(socket) {
            // Whatever goes wrong with one batch, the next has nothing to do with it.
            Ok(()) => {
                let answered = catch_unwind(AssertUnwindSafe(|| answer(socket, work, &mut batch)));
                if answered.is_err() {
                    tracing::error!(
                        "some questions were left without an answer: an internal error (see above)"
                    );
                }
            }
            // Nothing has come, or the thread was interrupted.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => {
                // Errors here are the machine's (no memory, interface gone) and pass: don't spin until they do.
                tracing::warn!(%error, address = %socket.local, "receiving questions failed");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn answer<P: Decide, R: Resolve>(socket: &Arc<Socket>, work: &Work<P, R>, batch: &mut Batch) {
    let handler = &work.handler;
    let moment = handler.moment();
    let others = answer_usual(handler, &moment, batch);
    batch.send(socket);
    let hits = batch.done.iter().filter(|done| done.quick.is_hit()).count();
    if hits > 0 {
        handler.resolver.count_hits(hits as u64);
    }
    let took = u32::try_from(moment.now.elapsed().as_micros()).unwrap_or(u32::MAX);
    for Done { place, quick } in &batch.done {
        let reply = &batch.replies[place * REPLY..][..quick.length];
        handler.record_quick(quick, &moment, batch.came[*place].asked, took, reply);
    }
    for place in others {
        ordinary(socket, work, batch.question(place), batch.came[place].asked);
    }
}

/// Writes the replies to usual questions, which [`Batch::send`] sends; gives the places of those that go the ordinary way.
fn answer_usual<P: Decide, R: Resolve>(
    handler: &Handler<P, R>,
    moment: &Moment<P>,
    batch: &mut Batch,
) -> SmallVec<[usize; BATCH]> {
    let Batch { questions, replies, came, done, .. } = batch;
    done.clear();
    let mut others = SmallVec::new();
    for (place, Came { length, asked }) in came.iter_mut().enumerate() {
        if !may_answer(asked) {
            continue;
        }
        *asked = asked.canonical();
        let packet = &questions[place * QUESTION..][..*length];
        let out = &mut replies[place * REPLY..][..REPLY];
        // What panics here is answered the ordinary way, which answers a panic.
        match catch_unwind(AssertUnwindSafe(|| handler.quick(packet, *asked, moment, out))) {
            Ok(Some(quick)) => done.push(Done { place, quick }),
            Ok(None) | Err(_) => others.push(place),
        }
    }
    others
}

/// Answers one packet the ordinary way: in place when the answer is at hand, in a task of its own when it waits.
fn ordinary<P: Decide, R: Resolve>(socket: &Arc<Socket>, work: &Work<P, R>, packet: &[u8], asked: Asked) {
    match work.begin(packet, asked) {
        Begun::Done(answered) => reply(socket, work, &answered, asked),
        Begun::Waits(waiting) => {
            let (socket, work) = (Arc::clone(socket), work.clone());
            work.tasks.clone().spawn(async move {
                if let Some(answered) = waiting.answer(&work.abort).await {
                    reply(&socket, &work, &answered, asked);
                }
            });
        }
    }
}

fn reply<P: Decide, R: Resolve>(socket: &Socket, work: &Work<P, R>, answered: &Answered<P>, asked: Asked) {
    if let Some(bytes) = &answered.reply {
        socket.send(bytes, asked.from, asked.at);
    }
    if let Some(outcome) = &answered.outcome {
        work.handler.record(outcome, answered.reply.as_deref());
    }
}
