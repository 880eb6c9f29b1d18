//! The thread that keeps the log: it does what is due, and gives way to everything else.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Keeping, Purge};
use crate::background::{Background, in_background};

/// How often the disk is looked at.
const FLOOR: Duration = Duration::from_secs(60);

/// How many looks at the disk make a round: hours that are over are rolled up soon after their end.
const ROUND: u32 = 5;

/// The thread that keeps a log. It ends when this is stopped or dropped.
#[derive(Debug)]
pub struct Keeper {
    keeping: Arc<Keeping>,
    orders: Arc<(Mutex<Orders>, Condvar)>,
    work: Option<Background<()>>,
}

#[derive(Debug, Default)]
struct Orders {
    round: bool,
    floor: bool,
    stop: bool,
}

impl Keeper {
    /// Starts the thread; its first round begins at once. `tell` is told of each removal just before it is done.
    #[must_use]
    pub fn start(keeping: Arc<Keeping>, tell: impl Fn(&Purge) + Send + 'static) -> Self {
        let orders = Arc::<(Mutex<Orders>, Condvar)>::default();
        let (mine, kept) = (Arc::clone(&orders), Arc::clone(&keeping));
        let work = in_background("keep the log", move || run(&kept, &mine, &tell));
        Self { keeping, orders, work: Some(work) }
    }

    /// Makes a round begin soon, as after a change of the policy or of the holds.
    pub fn wake(&self) {
        self.order(|orders| orders.round = true);
    }

    /// Makes room soon, as when the writer finds the disk full.
    pub fn disk_is_full(&self) {
        self.order(|orders| orders.floor = true);
    }

    /// Ends the thread, and waits for that. What is under way is left undone.
    ///
    /// For threads that may block.
    pub fn stop(mut self) {
        self.end();
        if let Some(work) = self.work.take() {
            // It has no result; a panic of it was logged.
            let _ = work.wait();
        }
    }

    fn end(&self) {
        self.keeping.stop();
        self.order(|orders| orders.stop = true);
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut lock(&self.orders.0));
        self.orders.1.notify_all();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock(orders: &Mutex<Orders>) -> MutexGuard<'_, Orders> {
    orders.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Everything that is due.
    Round,
    /// A look at the disk.
    Look,
    /// Room on a disk that is full.
    Room,
}

fn run(keeping: &Keeping, orders: &(Mutex<Orders>, Condvar), tell: &dyn Fn(&Purge)) {
    let (mut next, mut looks) = (Next::Round, 0);
    loop {
        let work = || match next {
            Next::Round => keeping.round(tell),
            Next::Look => keeping.keep_floor(tell),
            Next::Room => keeping.make_room(tell),
        };
        // The message was logged as any panic's; the next round may well succeed.
        let _ = catch_unwind(AssertUnwindSafe(work));
        let mut order = lock(&orders.0);
        if next == Next::Room {
            // What the writer said before there was room.
            order.floor = false;
        }
        let idle = |orders: &mut Orders| !(orders.round || orders.floor || orders.stop);
        let (mut order, _) =
            orders.1.wait_timeout_while(order, FLOOR, idle).unwrap_or_else(PoisonError::into_inner);
        if order.stop {
            return;
        }
        next = if std::mem::take(&mut order.floor) {
            Next::Room
        } else if std::mem::take(&mut order.round) {
            Next::Round
        } else {
            looks = (looks + 1) % ROUND;
            if looks == 0 { Next::Round } else { Next::Look }
        };
    }
}
