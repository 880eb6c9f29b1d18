//! How questions become work: what is known is answered in place, what waits for the internet waits in bounded number.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    handler::{Answered, Asked, Handler},
    seams::{Decide, Resolve},
};
use crate::{
    places::{Place, Places},
    querylog::Refusal,
};

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
