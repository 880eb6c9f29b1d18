//! Whether a connection with many requests at one time is busy, which decides when it ends and whether it makes room.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::super::connections::Seat;

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Presence {
    seat: Seat,
    state: Mutex<State>,
    rests: Notify,
}

#[derive(Debug)]
struct State {
    /// How many questions are worked on.
    busy: usize,
    /// Since when there is none.
    since: Instant,
}

/// A question that is worked on, until it is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Presence>);

impl Presence {
    pub(super) fn new(seat: Seat) -> Arc<Self> {
        let state = Mutex::new(State { busy: 0, since: Instant::now() });
        Arc::new(Self { seat, state, rests: Notify::new() })
    }

    /// A question has come.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.lock();
        state.busy += 1;
        if state.busy == 1 {
            self.seat.set_idle(false);
        }
        drop(state);
        Busy(Arc::clone(self))
    }

    /// Waits until nothing was worked on for so long.
    pub(super) async fn silence(&self, idle: Duration) {
        loop {
            let until = {
                let state = self.lock();
                if state.busy > 0 { Instant::now() + idle } else { state.since + idle }
            };
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Waits until nothing is worked on.
    pub(super) async fn rest(&self) {
        loop {
            let rests = self.rests.notified();
            if self.lock().busy == 0 {
                return;
            }
            rests.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A number and a time, each changed at once: a panic leaves them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Self(presence) = self;
        let mut state = presence.lock();
        state.busy -= 1;
        if state.busy == 0 {
            state.since = Instant::now();
            presence.seat.set_idle(true);
            presence.rests.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::dns::connections::Connections;

    const IDLE: Duration = Duration::from_secs(10);

    fn presence() -> Arc<Presence> {
        let connections = Connections::new(1, 1);
        Presence::new(connections.enter([10, 0, 0, 1].into(), CancellationToken::new()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn silence_begins_when_the_last_question_is_done() {
        let presence = presence();
        let begun = Instant::now();
        let (first, second) = (presence.begin(), presence.begin());
        let work = async {
            tokio::time::sleep(IDLE * 3).await;
            drop(first);
            tokio::time::sleep(IDLE / 2).await;
            drop(second);
        };
        tokio::join!(presence.silence(IDLE), work);
        // Looked at again and again while there was a question, so up to one such time later.
        let took = begun.elapsed();
        assert!(took >= IDLE * 9 / 2 && took <= IDLE * 11 / 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn rest_waits_for_all_questions() {
        let presence = presence();
        presence.rest().await;
        let (first, second) = (presence.begin(), presence.begin());
        let begun = Instant::now();
        let work = async {
            drop(second);
            tokio::time::sleep(IDLE).await;
            drop(first);
        };
        tokio::join!(presence.rest(), work);
        assert_eq!(begun.elapsed(), IDLE);
    }
}
