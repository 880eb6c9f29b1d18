//! How much one client may ask: questions a second.

use std::{net::IpAddr, time::Instant};

use crate::places::{SHARDS, Sharded, counted_as};

/// The most clients that the rate limit remembers.
const MAX_BUCKETS: usize = 65_536;

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
        let kept: usize = limit.buckets.sizes().sum();
        assert!(kept <= MAX_BUCKETS, "{kept}");
    }
}
