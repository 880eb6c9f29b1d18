//! A connection to a primary that always comes to an end.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::{Limits, error::Failure};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a wait looks up, to see whether it is told to stop.
const LOOK_UP: Duration = Duration::from_millis(200);

/// A connection to a primary.
pub(super) struct Connection<'a> {
    stream: TcpStream,
    limits: &'a Limits,
    cancel: &'a AtomicBool,
    began: Instant,
    received: u64,
}

impl<'a> Connection<'a> {
    /// Connects, within five seconds.
    pub(super) fn open(to: SocketAddr, limits: &'a Limits, cancel: &'a AtomicBool) -> Result<Self, Failure> {
        if cancel.load(Ordering::Relaxed) {
            return Err(Failure::Cancelled);
        }
        let began = Instant::now();
        let stream =
            TcpStream::connect_timeout(&to, CONNECT.min(limits.silence)).map_err(Failure::Unreachable)?;
        let set = stream
            .set_read_timeout(Some(LOOK_UP))
            .and_then(|()| stream.set_write_timeout(Some(limits.silence)))
            .and_then(|()| stream.set_nodelay(true));
        set.map_err(Failure::Broken)?;
        Ok(Self { stream, limits, cancel, began, received: 0 })
    }

    /// Sends a message.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        let length = u16::try_from(message.len()).map_err(|_| Failure::Unreadable("our own question"))?;
        let framed = [&length.to_be_bytes()[..], message].concat();
        self.stream.write_all(&framed).map_err(Failure::Broken)
    }

    /// Receives the next message.
    pub(super) fn receive(&mut self, message: &mut Vec<u8>) -> Result<(), Failure> {
        let mut length = [0; 2];
        self.fill(&mut length)?;
        message.resize(usize::from(u16::from_be_bytes(length)), 0);
        self.fill(message)?;
        self.received += 2 + message.len() as u64;
        if self.received > self.limits.bytes {
            return Err(Failure::TooMuch(self.limits.bytes_in_words()));
        }
        Ok(())
    }

    fn fill(&mut self, mut room: &mut [u8]) -> Result<(), Failure> {
        let mut heard = Instant::now();
        while !room.is_empty() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Failure::Cancelled);
            }
            if self.began.elapsed() > self.limits.total {
                return Err(Failure::Slow(self.limits.total.as_secs()));
            }
            match self.stream.read(room) {
                Ok(0) => return Err(Failure::CutOff),
                Ok(read) => {
                    room = &mut room[read..];
                    heard = Instant::now();
                }
                Err(error) if waits(&error) => {
                    if heard.elapsed() >= self.limits.silence {
                        return Err(Failure::Silent(self.limits.silence.as_secs()));
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Broken(error)),
            }
        }
        Ok(())
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
