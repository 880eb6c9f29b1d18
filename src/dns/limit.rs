//! How much one client may take: questions a second, and questions that wait at one time.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// Parts of each table, so that threads seldom wait for each other.
const SHARDS: usize = 16;
/// The most clients that the rate limit remembers.
const MAX_BUCKETS: usize = 65_536;

/// The key that a client is counted by: its IPv4 address, or its IPv6 /64, since a device has many addresses in that.
pub(super) fn counted_as(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[derive(Debug)]
struct Sharded<V> {
    hasher: RandomState,
    shards: [Mutex<HashMap<IpAddr, V>>; SHARDS],
}

impl<V> Sharded<V> {
    fn new() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }

    fn lock(&self, key: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, V>> {
        // The remainder is under SHARDS, so the cast keeps it whole.
        let shard = (self.hasher.hash_one(key) % SHARDS as u64) as usize;
        // The tables hold counts only: whoever panicked left nothing half done.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Questions a second for each client, as buckets of tokens.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: f64,
    burst: f64,
    buckets: Sharded<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl RateLimit {
    /// A limit; `per_second` of 0 is none, `burst` of 0 is twice `per_second`.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let burst = if burst == 0 { per_second.saturating_mul(2) } else { burst };
        Self { per_second: f64::from(per_second), burst: f64::from(burst.max(1)), buckets: Sharded::new() }
    }

    /// Takes one token of the client; false when it has none left.
    pub(super) fn admits(&self, client: IpAddr, now: Instant) -> bool {
        if self.per_second == 0.0 {
            return true;
        }
        let key = counted_as(client);
        let mut buckets = self.buckets.lock(key);
        if buckets.len() >= MAX_BUCKETS / SHARDS && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.level(bucket, now) < self.burst);
            // So many busy clients at one time are no clients of a school: forgetting them keeps memory bounded.
            if buckets.len() >= MAX_BUCKETS / SHARDS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.burst, filled: now });
        bucket.tokens = self.level(bucket, now);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    fn level(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        (bucket.tokens + passed * self.per_second).min(self.burst)
    }
}

/// The places of questions that wait for the internet: bounded in all and for each client.
#[derive(Debug)]
pub(super) struct Places {
    all: usize,
    per_client: usize,
    taken: AtomicUsize,
    clients: Sharded<usize>,
}

impl Places {
    pub(super) fn new(all: usize, per_client: usize) -> Arc<Self> {
        Arc::new(Self { all, per_client, taken: AtomicUsize::new(0), clients: Sharded::new() })
    }

    /// A place for one question of the client, free again when dropped; none when it or all have too many.
    pub(super) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
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

/// A place that a waiting question has taken.
#[derive(Debug)]
pub(super) struct Place {
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
    use std::time::Duration;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let limit = RateLimit::new(10, 20);
        let start = Instant::now();
        let passed = |at: Duration| (0..100).filter(|_| limit.admits(ONE, start + at)).count();
        assert_eq!(passed(Duration::ZERO), 20);
        assert_eq!(passed(Duration::from_millis(500)), 5);
        assert_eq!(passed(Duration::from_secs(60)), 20);
        assert!(limit.admits(TWO, start), "another client has its own");
    }

    #[test]
    fn no_limit_is_no_limit() {
        let limit = RateLimit::new(0, 0);
        let now = Instant::now();
        assert!((0..100_000).all(|_| limit.admits(ONE, now)));
    }

    #[test]
    fn addresses_of_one_ipv6_network_share() {
        let limit = RateLimit::new(1, 1);
        let now = Instant::now();
        assert!(limit.admits("2001:db8::1".parse().unwrap(), now));
        assert!(!limit.admits("2001:db8::2".parse().unwrap(), now));
        assert!(limit.admits("2001:db8:0:1::2".parse().unwrap(), now));
    }

    #[test]
    fn the_table_of_clients_is_bounded() {
        let limit = RateLimit::new(1, 1);
        let now = Instant::now();
        for client in 0..200_000u32 {
            limit.admits(std::net::Ipv4Addr::from_bits(client).into(), now);
        }
        let kept: usize = limit.buckets.shards.iter().map(|s| s.lock().unwrap().len()).sum();
        assert!(kept <= MAX_BUCKETS, "{kept}");
    }

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
