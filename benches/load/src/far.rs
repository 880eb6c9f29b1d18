//! A way to name servers that takes time, for kernels that can't delay packets by themselves.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    io::{IoSlice, IoSliceMut},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
    },
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{Outcome, batch::source, input_ends};

/// The way to the nearest server and back.
const NEAREST: Duration = Duration::from_millis(10);

/// Servers behind the addresses that begin in the same way.
struct Servers {
    title: String,
    socket: UdpSocket,
    /// How many questions there were, by type.
    questions: BTreeMap<u16, u64>,
    /// Who waits for an answer, by the identifier that the question went on with.
    askers: Vec<Option<Asker>>,
    next: u16,
}

#[derive(Clone, Copy)]
struct Asker {
    from: SocketAddrV4,
    at: Ipv4Addr,
    id: [u8; 2],
    asked: Instant,
}

/// An answer under way: ordered by when it arrives.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    due: Instant,
    to: SocketAddrV4,
    from: Ipv4Addr,
    bytes: Vec<u8>,
}

/// Hands questions over UDP, to port 53 of any address, on to the server that belongs to the beginning of the address, and
/// keeps each answer back: 10 ms, and as many more as the third part of the address says. When its input ends it prints how
/// many questions of which type there were.
pub(crate) fn run(servers: &[&str]) -> Outcome<()> {
    let listen = UdpSocket::bind("0.0.0.0:53")?;
    setsockopt(&listen, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(&listen, sockopt::RcvBuf, &(4 << 20))?;
    listen.set_nonblocking(true)?;
    let mut servers = servers.iter().map(|text| Servers::new(text)).collect::<Outcome<Vec<_>>>()?;
    let mut under_way = BinaryHeap::new();
    let ended = input_ends();
    while !ended.load(Ordering::Relaxed) {
        while let Some((asker, mut packet)) = question(&listen)? {
            let begins = asker.at.to_string();
            if let Some(servers) = servers.iter_mut().find(|servers| begins.starts_with(&servers.title)) {
                servers.ask(asker, &mut packet);
            }
        }
        for servers in &mut servers {
            under_way.extend(std::iter::from_fn(|| servers.answer()).map(Reverse));
        }
        while under_way.peek().is_some_and(|Reverse(next): &Reverse<UnderWay>| next.due <= Instant::now()) {
            let Some(Reverse(arrived)) = under_way.pop() else { break };
            deliver(&listen, &arrived);
        }
        let most = Duration::from_millis(100);
        let wait =
            under_way.peek().map_or(most, |Reverse(next)| next.due.saturating_duration_since(Instant::now()));
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.min(most).as_nanos() as i64 };
        let mut sockets: Vec<_> =
            servers.iter().map(|servers| PollFd::new(&servers.socket, PollFlags::IN)).collect();
        sockets.push(PollFd::new(&listen, PollFlags::IN));
        poll(&mut sockets, Some(&wait))?;
    }
    let counts: Vec<_> = servers
        .iter()
        .map(|servers| {
            let kinds: Vec<_> =
                servers.questions.iter().map(|(kind, n)| format!("\"{kind}\": {n}")).collect();
            format!("\"{}\": {{{}}}", servers.title, kinds.join(", "))
        })
        .collect();
    println!("{{{}}}", counts.join(", "));
    Ok(())
}

fn question(listen: &UdpSocket) -> Outcome<Option<(Asker, Vec<u8>)>> {
    let mut bytes = [0; 4096];
    let mut room = cmsg_space!(libc::in_pktinfo);
    let (length, from, at) = {
        let mut slice = [IoSliceMut::new(&mut bytes)];
        let got = recvmsg::<SockaddrIn>(listen.as_raw_fd(), &mut slice, Some(&mut room), MsgFlags::empty());
        let got = match got {
            Ok(got) => got,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let at = got.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()))
            }
            _ => None,
        });
        (got.bytes, got.address.ok_or("a packet without a sender")?, at.ok_or("a packet without an address")?)
    };
    let from = SocketAddrV4::new(from.ip(), from.port());
    let id = [bytes[0], bytes[1]];
    Ok(Some((Asker { from, at, id, asked: Instant::now() }, bytes[..length].to_vec())))
}

fn deliver(listen: &UdpSocket, answer: &UnderWay) {
    let source = source(answer.from);
    // Whoever asked may have gone.
    let _ = sendmsg(
        listen.as_raw_fd(),
        &[IoSlice::new(&answer.bytes)],
        &[ControlMessage::Ipv4PacketInfo(&source)],
        MsgFlags::empty(),
        Some(&SockaddrIn::from(answer.to)),
    );
}

impl Servers {
    fn new(text: &str) -> Outcome<Self> {
        let (title, server) = text.split_once('=').ok_or("servers are BEGINNING=ADDRESS:PORT")?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server.parse::<SocketAddr>()?)?;
        socket.set_nonblocking(true)?;
        let askers = vec![None; usize::from(u16::MAX) + 1];
        Ok(Self { title: title.to_owned(), socket, questions: BTreeMap::new(), askers, next: 0 })
    }

    fn ask(&mut self, asker: Asker, packet: &mut [u8]) {
        let Some(kind) = kind(packet) else { return };
        packet[..2].copy_from_slice(&self.next.to_be_bytes());
        *self.questions.entry(kind).or_default() += 1;
        self.askers[usize::from(self.next)] = Some(asker);
        self.next = self.next.wrapping_add(1);
        let _ = self.socket.send(packet);
    }

    fn answer(&mut self) -> Option<UnderWay> {
        let mut bytes = vec![0; 4096];
        loop {
            let length = self.socket.recv(&mut bytes).ok()?;
            let id = u16::from_be_bytes([bytes[0], bytes[1]]);
            let Some(asker) = self.askers[usize::from(id)].take() else { continue };
            bytes.truncate(length);
            bytes[..2].copy_from_slice(&asker.id);
            let far = NEAREST + Duration::from_millis(asker.at.octets()[2].into());
            return Some(UnderWay { due: asker.asked + far, to: asker.from, from: asker.at, bytes });
        }
    }
}

/// The type that a packet asks for; none when it is no question.
fn kind(packet: &[u8]) -> Option<u16> {
    let mut at = 12;
    loop {
        match usize::from(*packet.get(at)?) {
            0 => break,
            length => at += 1 + length,
        }
    }
    Some(u16::from_be_bytes([*packet.get(at + 1)?, *packet.get(at + 2)?]))
}
