//! How much clients may hold at one time: questions that wait, connections that are open.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use foldhash::fast::RandomState;

/// Parts of each table, so that threads seldom wait for each other.
pub(crate) const SHARDS: usize = 16;

/// The key that a client is counted by: its IPv4 address, or its IPv6 /64, since a device has many addresses in that.
pub(crate) fn counted_as(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// What is kept of each client.
pub(crate) type Clients<V> = HashMap<IpAddr, V, RandomState>;

/// A table of clients in parts.
#[derive(Debug)]
pub(crate) struct Sharded<V> {
    hasher: RandomState,
    shards: [Mutex<Clients<V>>; SHARDS],
}

impl<V> Sharded<V> {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::default(), shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// The part that has the client.
    pub(crate) fn lock(&self, key: IpAddr) -> MutexGuard<'_, Clients<V>> {
        // The remainder is under SHARDS, so the cast keeps it whole.
        let shard = (self.hasher.hash_one(key) % SHARDS as u64) as usize;
        // The tables hold counts only: whoever panicked left nothing half done.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many clients each part has.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.shards.iter().map(|s| s.lock().unwrap().len())
    }
}

/// Places that clients take: bounded in all and for each client.
#[derive(Debug)]
pub(crate) struct Places {
    all: usize,
    per_client: usize,
    taken: AtomicUsize,
    clients: Sharded<usize>,
}

impl Places {
    /// So many places in all, and so many for each client.
    pub(crate) fn new(all: usize, per_client: usize) -> Arc<Self> {
        Arc::new(Self { all, per_client, taken: AtomicUsize::new(0), clients: Sharded::new() })
    }

    /// A place for the client, free again when dropped; none when it or all have too many.
    pub(crate) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let client = counted_as(client);
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.all {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut clients = self.clients.lock(client);
        let own = clients.entry(client).or_insert(0);
        if *own >= self.per_client {
            drop(clients);
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        *own += 1;
        drop(clients);
        Some(Place { places: Arc::clone(self), client })
    }
}

/// A place that is taken.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    client: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
        let mut clients = self.places.clients.lock(self.client);
        if let Some(own) = clients.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn places_are_bounded_for_each_and_in_all_and_come_back() {
        let places = Places::new(3, 2);
        let first = places.take(ONE).unwrap();
        let _second = places.take(ONE).unwrap();
        assert!(places.take(ONE).is_none(), "one client has two");
        let _third = places.take(TWO).unwrap();
        assert!(places.take(TWO).is_none(), "all have three");
        drop(first);
        assert!(places.take(ONE).is_some());
    }
}
