//! Questions over a stream (RFC 7766), in clear or over TLS: many at one time, answered in the order in which they are
//! done.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::{
    config::Config,
    connections::Seat,
    handler::{Answered, Asked},
    seams::{Decide, Resolve},
    work::{Begun, Work},
};

/// How many bytes are read at one time.
const PIECE: usize = 8 * 1024;

/// How many bytes of answers that are ready at one time are written at one time.
const GATHERED: usize = 16 * 1024;

/// Limits of each connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Questions that are worked on at one time.
    pub(super) pipeline: usize,
    /// How long a connection may be silent, and how long its asker may leave an answer unread.
    pub(super) idle: Duration,
}

impl Limits {
    pub(super) fn of(config: &Config) -> Self {
        Self { pipeline: config.tcp_pipeline, idle: config.tcp_idle() }
    }
}

/// Whose a conversation is.
pub(super) struct Talk {
    pub(super) asked: Asked,
    pub(super) seat: Seat,
    /// The connection must go: the server stops, or others need its place.
    pub(super) close: CancellationToken,
}

/// An answer on its way to the writer; the permit keeps its place in the pipeline until it is written.
struct Ready<P> {
    answered: Answered<P>,
    permit: OwnedSemaphorePermit,
}

/// What the two directions of a connection share.
struct Connection<P, R> {
    talk: Talk,
    limits: Limits,
    work: Work<P, R>,
    /// One permit for each question that may be worked on.
    pipeline: Arc<Semaphore>,
    /// When the asker last sent a question or took an answer.
    active: Mutex<Instant>,
    /// The asker takes no more answers.
    broken: CancellationToken,
}

/// Answers what is asked on a stream, until either side ends it.
pub(super) async fn converse<P: Decide, R: Resolve>(
    reading: impl AsyncRead + Unpin,
    writing: impl AsyncWrite + Unpin,
    talk: Talk,
    limits: Limits,
    work: Work<P, R>,
) {
    let from = talk.asked.from;
    let connection = Connection {
        talk,
        limits,
        work,
        pipeline: Arc::new(Semaphore::new(limits.pipeline)),
        active: Mutex::new(Instant::now()),
        broken: CancellationToken::new(),
    };
    // A place for each permit, so that sending an answer to the writer never waits.
    let (answers, ready) = mpsc::channel(limits.pipeline);
    let both = async {
        tokio::join!(connection.read_questions(reading, answers), connection.write_answers(writing, ready))
    };
    tokio::select! {
        (Err(error), ()) = both => tracing::debug!(%error, address = %from, "a connection ended"),
        () = connection.work.abort.cancelled() => {}
        else => {}
    }
}

impl<P: Decide, R: Resolve> Connection<P, R> {
    /// Reads questions until the asker closes, is silent for too long, or the connection must go.
    async fn read_questions(
        &self,
        mut stream: impl AsyncRead + Unpin,
        answers: mpsc::Sender<Ready<P>>,
    ) -> io::Result<()> {
        let mut buffer = BytesMut::new();
        while let Some(question) = self.next_question(&mut stream, &mut buffer).await? {
            // A full pipeline leaves the next questions unread: the asker feels it, nobody else does.
            let permit = tokio::select! {
                permit = Arc::clone(&self.pipeline).acquire_owned() => permit.map_err(io::Error::other)?,
                () = self.broken.cancelled() => return Ok(()),
            };
            self.talk.seat.set_idle(false);
            match self.work.begin_short(&question, self.talk.asked) {
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
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
    ) -> io::Result<Option<BytesMut>> {
        self.touch();
        loop {
            if let Some(question) = split_message(buffer) {
                return Ok(Some(question));
            }
            if buffer.is_empty() {
                // Most connections are silent most of the time: they keep no memory for what may come.
                *buffer = BytesMut::new();
            }
            let deadline = self.last_active() + self.limits.idle;
            tokio::select! {
                biased;
                () = self.talk.close.cancelled() => return Ok(None),
                () = self.broken.cancelled() => return Ok(None),
                read = poll_fn(|context| poll_read(stream, buffer, context)) => if read? == 0 {
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
    async fn write_answers(&self, mut stream: impl AsyncWrite + Unpin, mut ready: mpsc::Receiver<Ready<P>>) {
        while let Some(first) = ready.recv().await {
            let mut framed = Vec::new();
            let mut gathered = Vec::new();
            let mut next = Some(first);
            while let Some(one) = next {
                frame(&mut framed, one.answered.reply.as_deref());
                gathered.push(one);
                next = if framed.len() < GATHERED { ready.try_recv().ok() } else { None };
            }
            let written = tokio::time::timeout(self.limits.idle, async {
                stream.write_all(&framed).await?;
                // TLS keeps what the socket did not take at once.
                stream.flush().await
            });
            let taken = matches!(written.await, Ok(Ok(())));
            for Ready { answered, permit } in gathered {
                drop(permit);
                if let Some(outcome) = &answered.outcome {
                    self.work.handler.record(outcome, answered.reply.as_deref());
                }
            }
            if !taken {
                break;
            }
            self.touch();
            self.talk.seat.set_idle(self.owes_nothing());
        }
        self.broken.cancel();
        let _ = tokio::time::timeout(self.limits.idle, stream.shutdown()).await;
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

/// Reads what has come. Waiting for it takes no memory but the stack's, which is why this is not a `read` into a buffer.
fn poll_read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut piece = [const { MaybeUninit::uninit() }; PIECE];
    let mut piece = ReadBuf::uninit(&mut piece);
    ready!(Pin::new(stream).poll_read(context, &mut piece))?;
    buffer.extend_from_slice(piece.filled());
    Poll::Ready(Ok(piece.filled().len()))
}

/// Puts a reply behind its two bytes of length (RFC 1035, section 4.2.2).
pub(super) fn frame(framed: &mut Vec<u8>, reply: Option<&[u8]>) {
    let Some(reply) = reply else { return };
    // An encoded reply never has more than 65,535 bytes.
    let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&reply[..usize::from(length)]);
}

/// The next whole message behind its two bytes of length.
fn split_message(buffer: &mut BytesMut) -> Option<BytesMut> {
    let length = usize::from(u16::from_be_bytes(*buffer.first_chunk()?));
    if buffer.len() < 2 + length {
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
