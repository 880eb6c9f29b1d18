//! One flight for identical questions: whoever asks what is being asked already waits for that answer.
//!
//! Flights are tasks of their own, so a client that goes away takes nothing with it. Their number is bounded.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

/// Locks for the table of flights; each is held for one look-up.
const SHARDS: usize = 16;

/// One part in this many of the flights may be for answers that no client waits for.
const BEHIND: usize = 4;

/// One part in this many of the flights may be for the names of one registered domain.
const ONE_DOMAIN: usize = 8;

/// A question on its way, as those who wait for it see it.
#[derive(Debug)]
pub(super) struct Flight<T> {
    /// When it was asked.
    pub(super) started: Instant,
    landed: watch::Receiver<Option<T>>,
}

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self { started: self.started, landed: self.landed.clone() }
    }
}

impl<T: Clone> Flight<T> {
    /// Waits for the answer; none when the flight was lost (its task panicked, or the runtime is stopping).
    pub(super) async fn landing(mut self) -> Option<T> {
        let landed = self.landed.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }
}

/// What came of wanting to ask.
#[derive(Debug)]
pub(super) enum Boarding<T> {
    /// The question is on its way.
    Flying(Flight<T>),
    /// Its answer came a moment ago.
    Landed(T),
    /// Too many questions are on their way.
    Full,
}

/// Flights by the key of their question.
type Table<T> = HashMap<Box<[u8]>, Flight<T>>;

/// The questions on their way.
#[derive(Debug)]
pub(super) struct Flights<T> {
    shards: [Mutex<Table<T>>; SHARDS],
    /// How many flights each registered domain has.
    domains: Mutex<HashMap<Box<[u8]>, usize>>,
    hasher: RandomState,
    all: Arc<Semaphore>,
    behind: Arc<Semaphore>,
    limit: usize,
}

/// Removes a flight from the table when its task ends, in whatever way.
struct Landed<T> {
    flights: Arc<Flights<T>>,
    key: Box<[u8]>,
    domain: Box<[u8]>,
    _permits: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

impl<T> Drop for Landed<T> {
    fn drop(&mut self) {
        self.flights.shard(&self.key).remove(&self.key);
        let mut domains = self.flights.domains();
        if let Entry::Occupied(mut flights) = domains.entry(std::mem::take(&mut self.domain)) {
            *flights.get_mut() -= 1;
            if *flights.get() == 0 {
                flights.remove();
            }
        }
    }
}

impl<T> Flights<T> {
    /// A table for at most `limit` flights.
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            domains: Mutex::new(HashMap::new()),
            hasher: RandomState::new(),
            all: Arc::new(Semaphore::new(limit)),
            behind: Arc::new(Semaphore::new((limit / BEHIND).max(1))),
            limit,
        }
    }

    /// How many questions are on their way.
    pub(super) fn len(&self) -> usize {
        self.limit - self.all.available_permits()
    }

    fn domains(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, usize>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Table<T>> {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are as good as any")]
        let place = self.hasher.hash_one(key) as usize % SHARDS;
        // The table is whole after each operation, so a panic elsewhere leaves nothing half done.
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// Joins the flight for a key or starts one with `ask`.
    ///
    /// `domain` is whose share of the flights it takes.
    /// `known` looks for an answer that landed between the caller's own look and now. `behind` says that no client waits.
    pub(super) fn board<F>(
        self: &Arc<Self>,
        key: &[u8],
        domain: &[u8],
        behind: bool,
        runtime: &Handle,
        known: impl FnOnce() -> Option<T>,
        ask: impl FnOnce() -> F,
    ) -> Boarding<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, landed) = watch::channel(None);
        let flight = Flight { started: Instant::now(), landed };
        let guard = {
            let mut shard = self.shard(key);
            let place = match shard.entry(key.into()) {
                Entry::Occupied(flying) => return Boarding::Flying(flying.get().clone()),
                Entry::Vacant(place) => place,
            };
            if let Some(landed) = known() {
                return Boarding::Landed(landed);
            }
            let second = if behind {
                match Arc::clone(&self.behind).try_acquire_owned() {
                    Ok(permit) => Some(permit),
                    Err(_) => return Boarding::Full,
                }
            } else {
                None
            };
            let Ok(first) = Arc::clone(&self.all).try_acquire_owned() else { return Boarding::Full };
            {
                // Locked after the shard everywhere, so the two can't wait for each other.
                let mut domains = self.domains();
                let flights = domains.entry(domain.into()).or_insert(0);
                if *flights >= (self.limit / ONE_DOMAIN).max(1) {
                    return Boarding::Full;
                }
                *flights += 1;
            }
            place.insert(flight.clone());
            Landed {
                flights: Arc::clone(self),
                key: key.into(),
                domain: domain.into(),
                _permits: (first, second),
            }
        };
        let asking = ask();
        // Out of the lock: a runtime that stops drops the task at once, and the guard with it.
        runtime.spawn(async move {
            let landing = asking.await;
            // Who comes from here on finds the answer in the cache.
            drop(guard);
            sender.send_replace(Some(landing));
        });
        Boarding::Flying(flight)
    }
}
