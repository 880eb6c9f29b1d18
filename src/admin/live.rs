//! The box as it is just now, for all who watch: looked at once every two seconds however many they are, and not at all
//! while nobody watches.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::{Admin, figures::Figures, health::Health};

/// How often the box is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// How old the figures of the day may be.
const FIGURES: SignedDuration = SignedDuration::from_secs(10);

/// How old what was looked at for somebody else may be, for who comes new.
const FRESH: SignedDuration = SignedDuration::from_secs(3);

/// Over how many looks the pace is reckoned.
const PACE: usize = 6;

/// The box at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) health: Health,
    pub(super) figures: Arc<Figures>,
    /// Moments with the questions written until then, the oldest first.
    written: Vec<(Timestamp, u64)>,
}

impl Snapshot {
    /// Looks at the box; `before` is the look before this one. For threads that may block.
    pub(super) fn of(admin: &Admin, before: Option<&Self>) -> Self {
        let health = Health::of(admin);
        let now = health.at;
        let known = before.map(|before| &before.figures).filter(|figures| {
            let age = now.duration_since(figures.at);
            (SignedDuration::ZERO..FIGURES).contains(&age)
        });
        let figures = known.cloned().unwrap_or_else(|| Arc::new(Figures::of(admin, now)));
        let mut written = before.map(|before| before.written.clone()).unwrap_or_default();
        written.push((now, health.facts.written));
        let older = written.len().saturating_sub(PACE);
        Self { health, figures, written: written.split_off(older) }
    }

    /// How many questions a minute there are; none before that can be said.
    pub(super) fn per_minute(&self) -> Option<u64> {
        let ((since, before), (now, after)) = (self.written.first()?, self.written.last()?);
        let ms = u64::try_from(now.duration_since(*since).as_millis()).ok().filter(|ms| *ms > 0)?;
        Some(after.checked_sub(*before)?.saturating_mul(60_000) / ms)
    }
}

/// Looks at the box for all who watch.
#[derive(Debug, Default)]
pub(super) struct Live {
    sender: watch::Sender<Option<Arc<Snapshot>>>,
    running: Mutex<bool>,
}

impl Live {
    /// Begins to watch; ended by dropping what is given.
    pub(super) fn watch(admin: &Arc<Admin>) -> watch::Receiver<Option<Arc<Snapshot>>> {
        let live = &admin.live;
        // Held by who ends as well, so that nobody is left with a look that has ended.
        let mut running = live.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut receiver = live.sender.subscribe();
        receiver.mark_unchanged();
        if !*running && !admin.stop.is_cancelled() {
            *running = true;
            tokio::spawn(Self::look(Arc::clone(admin)));
        }
        receiver
    }

    /// The box as somebody saw it a moment ago; none while nobody watches.
    pub(super) fn recent(&self, now: Timestamp) -> Option<Arc<Snapshot>> {
        let recent = self.sender.borrow().clone()?;
        let age = now.duration_since(recent.health.at);
        (SignedDuration::ZERO..FRESH).contains(&age).then_some(recent)
    }

    async fn look(admin: Arc<Admin>) {
        loop {
            let (looking, before) = (Arc::clone(&admin), admin.live.sender.borrow().clone());
            let looked = tokio::task::spawn_blocking(move || Snapshot::of(&looking, before.as_deref())).await;
            match looked {
                Ok(snapshot) => {
                    admin.live.sender.send_replace(Some(Arc::new(snapshot)));
                }
                Err(error) => tracing::error!(%error, "The box can't be looked at"),
            }
            tokio::select! {
                () = admin.stop.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
            let mut running = admin.live.running.lock().unwrap_or_else(PoisonError::into_inner);
            if admin.stop.is_cancelled() || admin.live.sender.receiver_count() == 0 {
                admin.live.sender.send_replace(None);
                *running = false;
                return;
            }
        }
    }

    #[cfg(test)]
    fn is_running(&self) -> bool {
        *self.running.lock().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::TestBox;

    #[tokio::test]
    async fn the_box_is_looked_at_once_for_all_who_watch_and_not_when_nobody_does() {
        let school = TestBox::new().await;
        let live = &school.admin.live;
        assert!(!live.is_running() && live.recent(school.admin.clock.now()).is_none());
        let mut one = Live::watch(&school.admin);
        let mut two = Live::watch(&school.admin);
        one.changed().await.unwrap();
        two.changed().await.unwrap();
        let (one_sees, two_sees) = (one.borrow().clone().unwrap(), two.borrow().clone().unwrap());
        assert!(Arc::ptr_eq(&one_sees, &two_sees));
        assert!(live.is_running() && live.recent(school.admin.clock.now()).is_some());
        drop((one, two));
        while live.is_running() {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(live.recent(school.admin.clock.now()).is_none());
        let mut again = Live::watch(&school.admin);
        again.changed().await.unwrap();
        assert!(live.is_running());
    }

    #[tokio::test]
    async fn nothing_is_looked_at_any_more_once_the_box_stops() {
        let school = TestBox::new().await;
        let mut watching = Live::watch(&school.admin);
        watching.changed().await.unwrap();
        school.admin.stop.cancel();
        while watching.borrow_and_update().is_some() {
            watching.changed().await.unwrap();
        }
        assert!(!school.admin.live.is_running());
    }

    #[tokio::test]
    async fn the_pace_is_that_of_the_last_looks() {
        let school = TestBox::new().await;
        let mut snapshot = Snapshot::of(&school.admin, None);
        assert_eq!(snapshot.per_minute(), None);
        let now = snapshot.health.at;
        snapshot.written = vec![(now, 100), (now + SignedDuration::from_secs(2), 110)];
        assert_eq!(snapshot.per_minute(), Some(300));
    }
}
