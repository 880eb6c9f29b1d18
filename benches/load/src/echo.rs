//! The floor: no server can take and give packets for less.

use std::net::{SocketAddr, UdpSocket};

use nix::sys::socket::{SockaddrStorage, setsockopt, sockopt};

use crate::{Outcome, batch::Incoming};

/// Sends questions back with the QR bit set, until it is killed.
pub(crate) fn run(address: SocketAddr) -> Outcome<()> {
    let socket = UdpSocket::bind(address)?;
    // As much as the kernel gives.
    setsockopt(&socket, sockopt::RcvBuf, &(4 << 20))?;
    let mut incoming = Incoming::<SockaddrStorage>::new();
    loop {
        incoming.receive(&socket)?;
        for packet in incoming.packets() {
            if let Some(flags) = packet.get_mut(2) {
                *flags |= 0x80;
            }
        }
        incoming.send_back(&socket);
    }
}
