//! How questions become work: what is known is answered in place, what waits for the internet waits in bounded number.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answer::pad,
    handler::{Answered, Asked, Handler},
    message::glance,
    seams::{Decide, Resolve},
};
use crate::{
    places::{Place, Places},
    querylog::Refusal,
};

/// Room for one reply of the short way, which is for packets: whatever is longer goes the ordinary way.
const SHORT: usize = 2048;

/// What all sockets share.
pub(super) struct Work<P, R> {
    pub(super) handler: Arc<Handler<P, R>>,
    pub(super) places: Arc<Places>,
    /// All tasks of the front end, so that stopping can wait for them.
    pub(super) tasks: TaskTracker,
    /// No more questions are taken.
    pub(super) stop: CancellationToken,
    /// Nothing is waited for any more.
    pub(super) abort: CancellationToken,
}

impl<P, R> Clone for Work<P, R> {
    fn clone(&self) -> Self {
        Self {
            handler: Arc::clone(&self.handler),
            places: Arc::clone(&self.places),
            tasks: self.tasks.clone(),
            stop: self.stop.clone(),
            abort: self.abort.clone(),
        }
    }
}

/// A question after its first look.
pub(super) enum Begun<P> {
    /// Answered.
    Done(Answered<P>),
    /// It waits for others, in its place.
    Waits(Waiting<P>),
}

/// A question that waits, and the place that it holds meanwhile.
pub(super) struct Waiting<P> {
    future: Pin<Box<dyn Future<Output = Answered<P>> + Send>>,
    _place: Place,
}

impl<P> Waiting<P> {
    /// Waits for the answer; none when the server stops first.
    pub(super) async fn answer(self, abort: &CancellationToken) -> Option<Answered<P>> {
        tokio::select! {
            biased;
            answered = self.future => Some(answered),
            () = abort.cancelled() => None,
        }
    }
}

impl<P, R> Work<P, R> {
    /// Whether no more questions are taken.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled() || self.abort.is_cancelled()
    }

    /// Runs a task until it ends or nothing is waited for any more.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = abort.cancelled() => {}
            }
        });
    }
}

impl<P: Decide, R: Resolve> Work<P, R> {
    /// Begins with a question that came over a connection: by the short way where it goes that way, else as
    /// [`begin`](Self::begin) does.
    pub(super) fn begin_short(&self, packet: &[u8], asked: Asked) -> Begun<P> {
        // What panics there is answered the ordinary way, which answers a panic.
        match catch_unwind(AssertUnwindSafe(|| self.short(packet, asked))) {
            Ok(Some(reply)) => Begun::Done(Answered { reply: Some(reply), outcome: None }),
            Ok(None) | Err(_) => self.begin(packet, asked),
        }
    }

    fn short(&self, packet: &[u8], asked: Asked) -> Option<Vec<u8>> {
        let handler = &self.handler;
        let asked = asked.canonical();
        let seen = glance(packet)?;
        // Which the short way knows nothing of.
        if seen.edns.as_ref().is_some_and(|edns| edns.keepalive) {
            return None;
        }
        let mut out = [0; SHORT];
        let moment = handler.moment();
        let quick = handler.quick(packet, asked, &moment, &mut out)?;
        let mut reply = out.get(..quick.length)?.to_vec();
        if quick.is_hit() {
            handler.resolver.count_hits(1);
        }
        if asked.transport.is_encrypted() && seen.edns.is_some_and(|edns| edns.padding) {
            pad(&mut reply);
        }
        let took = u32::try_from(moment.now.elapsed().as_micros()).unwrap_or(u32::MAX);
        handler.record_quick(&quick, &moment, asked, took, &reply);
        Some(reply)
    }

    /// Begins with a question: the first poll is made here, so that the usual answer costs no task.
    pub(super) fn begin(&self, packet: &[u8], asked: Asked) -> Begun<P> {
        let handler = Arc::clone(&self.handler);
        let owned = packet.to_vec();
        let mut future: Pin<Box<dyn Future<Output = Answered<P>> + Send>> =
            Box::pin(async move { handler.handle(&owned, asked).await });
        // Nobody is to be woken by this poll: whatever pends is polled again by the task that takes it over.
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answered) => Begun::Done(answered),
            Poll::Pending => match self.places.take(asked.from.ip().to_canonical()) {
                Some(place) => Begun::Waits(Waiting { future, _place: place }),
                None => {
                    let text = "too many questions wait for an answer";
                    Begun::Done(self.handler.failure(packet, asked, text, Refusal::Overload))
                }
            },
        }
    }
}
