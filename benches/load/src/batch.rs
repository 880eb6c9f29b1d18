//! Many packets with one call to the kernel.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::{
        socket::{
            ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, SockaddrLike,
            SockaddrStorage, recvmmsg, sendmsg,
        },
        time::TimeSpec,
    },
};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

/// How many packets are taken or sent with one call.
pub(crate) const BATCH: usize = 32;

/// Room for an answer.
const ROOM: usize = 2048;

/// Packets that came.
pub(crate) struct Incoming<S> {
    bytes: Vec<u8>,
    headers: MultiHeaders<S>,
    came: Vec<Came>,
}

/// One packet: its length, its sender where that is asked for, and when it came where the socket says so.
#[derive(Clone, Copy)]
struct Came {
    length: usize,
    from: Option<SocketAddr>,
    at: Option<Duration>,
}

impl<S: SockaddrLike + Sender + Copy> Incoming<S> {
    /// Room for a batch.
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * ROOM],
            headers: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(TimeSpec))),
            came: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what is there; waits for the first packet only where the socket does. How many there were.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.came.clear();
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = {
            let mut rooms = self.bytes.chunks_mut(ROOM);
            std::array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())])
        };
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = match recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None) {
            Ok(received) => received,
            // Nothing is there, or what was sent before could not be delivered.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        for message in received {
            let at = message.cmsgs().ok().and_then(|mut found| found.find_map(|message| time(&message)));
            let from = message.address.as_ref().and_then(S::sender);
            self.came.push(Came { length: message.bytes.min(ROOM), from, at });
        }
        Ok(self.came.len())
    }

    /// The packets, to be read or changed where they lie.
    pub(crate) fn packets(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_mut(ROOM).zip(&self.came).map(|(bytes, came)| &mut bytes[..came.length])
    }

    /// When each came, since 1970.
    pub(crate) fn times(&self) -> impl Iterator<Item = Option<Duration>> {
        self.came.iter().map(|came| came.at)
    }

    /// Sends all back to where they came from.
    pub(crate) fn send_back(&self, socket: &UdpSocket) {
        let packets = self.bytes.chunks(ROOM).zip(&self.came);
        let (slices, to): (Vec<_>, Vec<SocketAddrAny>) = packets
            .filter_map(|(bytes, came)| Some(([IoSlice::new(&bytes[..came.length])], came.from?.into())))
            .unzip();
        let mut nothing: Vec<_> = slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<_> = slices
            .iter()
            .zip(&to)
            .zip(&mut nothing)
            .map(|((slice, to), nothing)| MMsgHdr::new_with_addr(to, slice, nothing))
            .collect();
        // What does not fit is lost, which who asks notices.
        let _ = sendmmsg(socket, &mut messages, SendFlags::empty());
    }
}

/// From where and to where packets go, where the socket is not connected.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) from: Ipv4Addr,
    pub(crate) to: SocketAddrV4,
}

/// Sends packets of the same length, which lie one behind the other: the kernel carries them as one and cuts them apart
/// where they arrive. Whether it took them.
pub(crate) fn send(socket: &UdpSocket, packets: &[u8], length: u16, way: Option<Way>) -> bool {
    let (slice, cut) = ([IoSlice::new(packets)], ControlMessage::UdpGsoSegments(&length));
    let (socket, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
    let sent = match way {
        None => sendmsg::<()>(socket, &slice, &[cut], flags, None),
        Some(Way { from, to }) => {
            let source = source(from);
            let about = [cut, ControlMessage::Ipv4PacketInfo(&source)];
            sendmsg(socket, &slice, &about, flags, Some(&SockaddrIn::from(to)))
        }
    };
    sent.is_ok()
}

/// For a packet that is to leave from an address.
pub(crate) fn source(from: Ipv4Addr) -> libc::in_pktinfo {
    libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    }
}

/// What the kernel tells of a packet's sender.
pub(crate) trait Sender: Sized {
    /// The sender's address, where it was asked for.
    fn sender(&self) -> Option<SocketAddr>;
}

/// Over a connected socket there is one sender.
impl Sender for () {
    fn sender(&self) -> Option<SocketAddr> {
        None
    }
}

impl Sender for SockaddrStorage {
    fn sender(&self) -> Option<SocketAddr> {
        let v4 = self.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
        v4.or_else(|| self.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port()))))
    }
}

fn time(message: &ControlMessageOwned) -> Option<Duration> {
    let ControlMessageOwned::ScmTimestampns(at) = message else { return None };
    Some(Duration::from(*at))
}
