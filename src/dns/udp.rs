//! Questions in packets: one loop for each socket, several sockets for each address.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;

use super::{
    handler::{Answered, Asked},
    seams::{Decide, Resolve},
    work::{Begun, Work},
};
use crate::querylog::Transport;

/// Room for one receive: the kernel may hand over several packets of one sender as one (GRO), up to this many bytes.
/// Pages of it that never hold data cost nothing.
const RECEIVE: usize = 65_536;

/// A socket that knows which of our addresses a packet was sent to, and answers from there.
#[derive(Debug)]
pub(super) struct Socket {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
    /// The address that it is bound to.
    local: SocketAddr,
}

impl Socket {
    /// Takes a bound socket over.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { io: tokio::net::UdpSocket::from_std(socket)?, state, local })
    }

    /// Sends a reply to where the question came from, from the address that was asked.
    async fn send(&self, reply: &[u8], to: SocketAddr, from: IpAddr) {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: reply,
            segment_size: None,
            src_ip: (!from.is_unspecified()).then_some(from),
        };
        let sent =
            self.io.async_io(Interest::WRITABLE, || self.state.try_send((&self.io).into(), &transmit)).await;
        if let Err(error) = sent {
            // An asker that is gone, an address that was taken from us: the asker asks again, nobody else is concerned.
            tracing::debug!(%error, bytes = reply.len(), "a reply could not be sent");
        }
    }
}

/// Answers the questions of one socket until it is stopped.
pub(super) async fn serve<P: Decide, R: Resolve>(socket: Arc<Socket>, work: Work<P, R>) {
    let mut room = vec![0u8; RECEIVE * BATCH_SIZE];
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    loop {
        let ready = tokio::select! {
            biased;
            () = work.stop.cancelled() => return,
            ready = socket.io.readable() => ready,
        };
        let mut buffers: Vec<IoSliceMut<'_>> = room.chunks_mut(RECEIVE).map(IoSliceMut::new).collect();
        let received = ready.and_then(|()| {
            socket.io.try_io(Interest::READABLE, || {
                socket.state.recv((&socket.io).into(), &mut buffers, &mut metas)
            })
        });
        let count = match received {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => {
                // Errors here are the machine's (no memory, interface gone) and pass: don't spin until they do.
                tracing::warn!(%error, address = %socket.local, "receiving questions failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        for (buffer, meta) in room.chunks(RECEIVE).zip(&metas[..count]) {
            let packets = buffer[..meta.len.min(RECEIVE)].chunks(meta.stride.max(1));
            for packet in packets {
                take(&socket, &work, packet, meta).await;
            }
        }
    }
}

/// Answers one packet: in place when the answer is at hand, in a task of its own when it waits.
async fn take<P: Decide, R: Resolve>(
    socket: &Arc<Socket>,
    work: &Work<P, R>,
    packet: &[u8],
    meta: &RecvMeta,
) {
    let at = meta.dst_ip.unwrap_or_else(|| socket.local.ip());
    // Nobody can be answered at port 0, and questions to everyone are not for us (a reply would need an address of
    // our own that was not asked).
    if meta.addr.port() == 0 || at.is_multicast() || at == IpAddr::from([255; 4]) {
        return;
    }
    let asked = Asked { from: meta.addr, at, transport: Transport::Udp };
    match work.begin(packet, asked) {
        Begun::Done(answered) => reply(socket, work, answered, asked).await,
        Begun::Waits(waiting) => {
            let (socket, work) = (Arc::clone(socket), work.clone());
            work.tasks.clone().spawn(async move {
                if let Some(answered) = waiting.answer(&work.abort).await {
                    reply(&socket, &work, answered, asked).await;
                }
            });
        }
    }
}

async fn reply<P: Decide, R: Resolve>(
    socket: &Socket,
    work: &Work<P, R>,
    answered: Answered<P>,
    asked: Asked,
) {
    if let Some(bytes) = &answered.reply {
        socket.send(bytes, asked.from, asked.at).await;
    }
    if let Some(outcome) = &answered.outcome {
        work.handler.record(outcome, answered.reply.as_deref());
    }
}
