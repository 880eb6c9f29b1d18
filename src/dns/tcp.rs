//! Questions over a stream (RFC 7766): many at one time, answered in the order in which they are done.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::{
    connections::{Connections, Seat},
    handler::{Answered, Asked},
    seams::{Decide, Resolve},
    work::{Begun, Work},
};
use crate::querylog::Transport;

/// Limits of each connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Questions that are worked on at one time.
    pub(super) pipeline: usize,
    /// How long a connection may be silent, and how long its asker may leave an answer unread.
    pub(super) idle: Duration,
}

/// Takes connections until it is stopped.
pub(super) async fn serve<P: Decide, R: Resolve>(
    listener: TcpListener,
    connections: Arc<Connections>,
    limits: Limits,
    work: Work<P, R>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = work.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let close = work.stop.child_token();
                match connections.enter(from.ip().to_canonical(), close.clone()) {
                    Some(seat) => {
                        let work_of_it = work.clone();
                        work.tasks.spawn(connection(stream, from, seat, close, limits, work_of_it));
                    }
                    None => {
                        tracing::debug!(address = %from, "a TCP connection was refused: too many are open")
                    }
                }
            }
            Err(error) => {
                // Out of descriptors, or the asker left before we came: neither ends the service.
                tracing::debug!(%error, "a TCP connection could not be taken");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// An answer on its way to the writer; the permit keeps its place in the pipeline until it is written.
struct Ready<P> {
    answered: Answered<P>,
    permit: OwnedSemaphorePermit,
}

/// What the two directions of a connection share.
struct Connection<P, R> {
    asked: Asked,
    seat: Seat,
    limits: Limits,
    work: Work<P, R>,
    /// One permit for each question that may be worked on.
    pipeline: Arc<Semaphore>,
    /// When the asker last sent a question or took an answer.
    active: Mutex<Instant>,
    /// The connection must go: the server stops, or others need its place.
    close: CancellationToken,
    /// The asker takes no more answers.
    broken: CancellationToken,
}

async fn connection<P: Decide, R: Resolve>(
    stream: TcpStream,
    from: SocketAddr,
    seat: Seat,
    close: CancellationToken,
    limits: Limits,
    work: Work<P, R>,
) {
    let Ok(local) = stream.local_addr() else { return };
    // Answers are written whole, so there is nothing to gather.
    let _ = stream.set_nodelay(true);
    let connection = Connection {
        asked: Asked { from, at: local.ip(), transport: Transport::Tcp },
        seat,
        limits,
        work,
        pipeline: Arc::new(Semaphore::new(limits.pipeline)),
        active: Mutex::new(Instant::now()),
        close,
        broken: CancellationToken::new(),
    };
    let (reading, writing) = stream.into_split();
    // A place for each permit, so that sending an answer to the writer never waits.
    let (answers, ready) = mpsc::channel(limits.pipeline);
    let both = async {
        tokio::join!(connection.read_questions(reading, answers), connection.write_answers(writing, ready))
    };
    tokio::select! {
        (Err(error), ()) = both => tracing::debug!(%error, address = %from, "a TCP connection ended"),
        () = connection.work.abort.cancelled() => {}
        else => {}
    }
}

impl<P: Decide, R: Resolve> Connection<P, R> {
    /// Reads questions until the asker closes, is silent for too long, or the connection must go.
    async fn read_questions(
        &self,
        mut stream: OwnedReadHalf,
        answers: mpsc::Sender<Ready<P>>,
    ) -> io::Result<()> {
        let mut buffer = BytesMut::new();
        while let Some(question) = self.next_question(&mut stream, &mut buffer).await? {
            // A full pipeline leaves the next questions unread: the asker feels it, nobody else does.
            let permit = tokio::select! {
                permit = Arc::clone(&self.pipeline).acquire_owned() => permit.map_err(io::Error::other)?,
                () = self.broken.cancelled() => return Ok(()),
            };
            self.seat.set_idle(false);
            match self.work.begin(&question, self.asked) {
                Begun::Done(answered) => {
                    let _ = answers.send(Ready { answered, permit }).await;
                }
                Begun::Waits(waiting) => {
                    let (answers, abort) = (answers.clone(), self.work.abort.clone());
                    self.work.tasks.spawn(async move {
                        if let Some(answered) = waiting.answer(&abort).await {
                            let _ = answers.send(Ready { answered, permit }).await;
                        }
                    });
                }
            }
        }
        Ok(())
    }

    /// The next whole question; none when there will be no more.
    async fn next_question(
        &self,
        stream: &mut OwnedReadHalf,
        buffer: &mut BytesMut,
    ) -> io::Result<Option<BytesMut>> {
        self.touch();
        loop {
            if let Some(question) = split_message(buffer) {
                return Ok(Some(question));
            }
            let deadline = self.last_active() + self.limits.idle;
            tokio::select! {
                biased;
                () = self.close.cancelled() => return Ok(None),
                () = self.broken.cancelled() => return Ok(None),
                read = stream.read_buf(buffer) => if read? == 0 {
                    return Ok(None);
                },
                () = tokio::time::sleep_until(deadline.into()) => {
                    // Silence while we owe answers is patience, not idleness; half a question is neither.
                    if buffer.is_empty() && !self.owes_nothing() {
                        self.touch();
                    } else if self.last_active() + self.limits.idle <= Instant::now() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Writes answers as they become ready, until none can come any more or the asker doesn't take them.
    async fn write_answers(&self, mut stream: OwnedWriteHalf, mut ready: mpsc::Receiver<Ready<P>>) {
        let mut framed = Vec::new();
        while let Some(Ready { answered, permit }) = ready.recv().await {
            if let Some(reply) = &answered.reply {
                // An encoded reply never has more than 65,535 bytes.
                let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
                framed.clear();
                framed.extend_from_slice(&length.to_be_bytes());
                framed.extend_from_slice(&reply[..usize::from(length)]);
                let written = tokio::time::timeout(self.limits.idle, stream.write_all(&framed)).await;
                if !matches!(written, Ok(Ok(()))) {
                    break;
                }
                self.touch();
            }
            drop(permit);
            self.seat.set_idle(self.owes_nothing());
            if let Some(outcome) = &answered.outcome {
                self.work.handler.record(outcome, answered.reply.as_deref());
            }
        }
        self.broken.cancel();
        let _ = stream.shutdown().await;
    }

    fn owes_nothing(&self) -> bool {
        self.pipeline.available_permits() == self.limits.pipeline
    }

    fn touch(&self) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last_active(&self) -> Instant {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next whole message behind its two bytes of length (RFC 1035, section 4.2.2).
fn split_message(buffer: &mut BytesMut) -> Option<BytesMut> {
    let length = usize::from(u16::from_be_bytes(*buffer.first_chunk()?));
    if buffer.len() < 2 + length {
        // Room for all of it, so that a large message is not read in crumbs.
        buffer.reserve(2 + length - buffer.len());
        return None;
    }
    buffer.advance(2);
    Some(buffer.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_split_wherever_the_stream_was_cut() {
        let stream = [0, 3, 1, 2, 3, 0, 0, 0, 1, 9, 0, 2, 7];
        for cut in 0..stream.len() {
            let mut buffer = BytesMut::new();
            let mut found = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                buffer.extend_from_slice(part);
                while let Some(message) = split_message(&mut buffer) {
                    found.push(message.to_vec());
                }
            }
            assert_eq!(found, [vec![1, 2, 3], vec![], vec![9]], "{cut}");
            assert_eq!(&buffer[..], [0, 2, 7]);
        }
    }
}
