//! Fetching lists by itself, each when it is due.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::intake::{Fetched, Manner};
use crate::{
    clock::Clock,
    control::{Control, ControlError},
    feeds::{
        self,
        zone::{Listener, Subscription},
    },
    policy::{ListFile, ListSource},
};

/// What may make a list due before its time.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// When a primary last told of a new version, by the zone.
    zones: Mutex<BTreeMap<String, Timestamp>>,
    /// Something changed that may be due for fetching.
    pub(crate) again: Notify,
}

impl News {
    /// When a primary of this zone last told of a new version.
    pub(super) fn of(&self, zone: &str) -> Option<Timestamp> {
        self.zones.lock().unwrap_or_else(PoisonError::into_inner).get(zone).copied()
    }

    /// Takes notices of zones' primaries.
    pub(crate) fn listener(self: &Arc<Self>, clock: Clock) -> Listener {
        let (news, time) = (Arc::clone(self), clock.clone());
        Listener::new(clock, move |told| {
            // As many zones as lists; not what somebody makes up, since only what is subscribed to is told.
            news.zones.lock().unwrap_or_else(PoisonError::into_inner).insert(told.zone, time.now());
            news.again.notify_one();
        })
    }
}

/// Who does it, for the audit.
const WHO: &str = "the server";

/// How many lists are fetched at once: a slow server must not hold up the others, nor they a small box's line.
const AT_ONCE: usize = 3;

/// How long a new version waits for others that are being fetched, so that they are compiled together.
const TOGETHER: Duration = Duration::from_secs(60);

/// How long nothing is looked at when nothing is due, so that a clock that was set is noticed.
const AT_MOST: Duration = Duration::from_secs(10 * 60);

/// How long at least, so that nothing makes it spin.
const AT_LEAST: Duration = Duration::from_secs(1);

/// How long after a round of which something could not be kept, since what was tried is due still: on a full disk.
const UNABLE: Duration = Duration::from_secs(10 * 60);

impl Control {
    /// What takes the notices of the primaries of the policy's zones.
    #[must_use]
    pub fn listener(&self) -> Arc<Listener> {
        Arc::clone(&self.listener)
    }

    /// Takes notices for the zones among these lists, from now on.
    pub(in crate::control) fn listen_to(&self, lists: &[ListFile]) {
        let zones = lists.iter().filter_map(|list| {
            let Some(ListSource::Zone(zone)) = list.source() else { return None };
            let key = match &list.key {
                // Without its key nothing can be fetched; the list's state says so.
                Some(name) => Some(self.feeds.key(name).ok()?),
                None => None,
            };
            Subscription::new(zone, &feeds::primaries(list), key)
        });
        self.listener.subscribe(zones.collect());
    }

    /// Fetches lists when they are due, until told to stop.
    pub async fn keep_lists_fresh(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let kept = tokio::select! {
                () = stop.cancelled() => break,
                kept = self.round() => kept,
            };
            let wait = self.until_due().max(if kept { AT_LEAST } else { UNABLE });
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.news.again.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.cancel();
    }

    /// When each list is tried next.
    fn plan(&self) -> Vec<(ListFile, Timestamp)> {
        let lists = self.in_force().0.lists;
        let states = self.library.states(&lists);
        lists
            .into_iter()
            .zip(&states)
            .filter_map(|(list, state)| {
                let next = self.next_try(&list, state)?;
                Some((list, next))
            })
            .collect()
    }

    fn until_due(&self) -> Duration {
        let now = self.clock.now();
        let next = self.plan().into_iter().map(|(_, next)| next).min();
        next.map_or(AT_MOST, |next| {
            Duration::try_from(next.duration_since(now)).unwrap_or_default().min(AT_MOST)
        })
    }

    /// Fetches what is due, takes it in and puts it in force; whether all that came could be kept, and is in force.
    pub(super) async fn round(self: &Arc<Self>) -> bool {
        let plan = self.plan();
        // After planning, where "at once" is the time of then.
        let now = self.clock.now();
        let mut due: Vec<(ListFile, Timestamp)> = plan.into_iter().filter(|(_, next)| *next <= now).collect();
        due.sort_by_key(|(_, next)| *next);
        let mut due = due.into_iter().map(|(list, _)| list);
        let mut fetching = JoinSet::new();
        let mut begin = |fetching: &mut JoinSet<_>| {
            if let Some(list) = due.next() {
                let control = Arc::clone(self);
                fetching.spawn(async move { control.fetch(list).await });
            }
        };
        for _ in 0..AT_ONCE {
            begin(&mut fetching);
        }
        let mut kept = true;
        let mut waiting: Option<Instant> = None;
        while let Some(done) = fetching.join_next().await {
            begin(&mut fetching);
            match done {
                Ok(Ok(fetched)) => {
                    let taken = self.take_one(fetched).await;
                    kept &= taken.is_some();
                    waiting = waiting.or_else(|| taken.filter(|new| *new).map(|_| Instant::now()));
                }
                // It is in no books, so it is due still.
                Ok(Err(error)) => {
                    error!(%error, "A list could not be fetched");
                    kept = false;
                }
                Err(error) => {
                    error!(%error, "Fetching a list broke off");
                    kept = false;
                }
            }
            if waiting.is_some_and(|since| since.elapsed() >= TOGETHER) {
                waiting = None;
                kept &= self.put_in_force().await;
            }
        }
        // Also when nothing new came: what did before may not have been put in force, on a full disk.
        kept & self.put_in_force().await
    }

    /// Takes in one list; whether something new came, or nothing when the books could not be kept.
    async fn take_one(&self, fetched: Fetched) -> Option<bool> {
        let _changing = self.changing.lock().await;
        match self.taken_in(vec![fetched], Manner::Keep).await {
            Ok(updated) => {
                self.note(&updated, WHO, Manner::Keep);
                Some(updated.iter().any(|list| list.outcome == super::Outcome::New))
            }
            Err(error) => {
                warn!(%error, "A list could not be taken in");
                None
            }
        }
    }

    /// Puts in force what was taken in; whether that was possible.
    async fn put_in_force(&self) -> bool {
        let _changing = self.changing.lock().await;
        self.put_lists_if_stale(WHO)
            .await
            .inspect_err(|error| error!(%error, "New lists could not be put in force; those of before stay"))
            .is_ok()
    }

    /// Compiles and puts in force, unless what is in force was made from just these versions; the caller holds
    /// `changing`.
    pub(super) async fn put_lists_if_stale(&self, by: &str) -> Result<(), ControlError> {
        let lists = self.in_force().0.lists;
        if self.library.is_stale(&lists, &self.state().indexes) {
            self.put_lists(by).await?;
        }
        Ok(())
    }
}
