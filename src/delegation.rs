//! Which name servers an answer came from: words that the resolver fills in and the policy reads.
//!
//! The resolver hands the [`Delegations`] over with each answer that it recursed for, from the cache too. Zones have
//! few answers each, and names of servers are long, so a delegation is kept once, packed, for all answers of its zone.

use std::{
    iter,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::name::Key;

/// How many servers, and how many addresses of them, a delegation keeps. The DNS itself has room for some thirteen.
pub const MOST: usize = 32;

/// A zone with the names and addresses of the servers that it is delegated to.
///
/// Invariants: servers and addresses are sorted, none occurs twice, and there are at most [`MOST`] of either.
#[derive(Debug)]
pub struct Delegation {
    /// Keys one behind the other, each with its length in front: the zone's, then the servers'.
    names: Box<[u8]>,
    addresses: Box<[IpAddr]>,
    /// Which lists have none of the servers, as their reader numbers them; 0 for no lists.
    unlisted: AtomicU64,
}

impl Delegation {
    /// The delegation of a zone; of more than [`MOST`] servers or addresses, the first in their order are kept.
    #[must_use]
    pub fn new(
        zone: &Key,
        servers: impl IntoIterator<Item = Key>,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        let servers = few(servers);
        let mut names = Vec::with_capacity(64);
        for key in iter::once(zone).chain(&servers) {
            // A key has at most 253 bytes.
            names.push(u8::try_from(key.as_bytes().len()).unwrap_or(u8::MAX));
            names.extend_from_slice(key.as_bytes());
        }
        let addresses = few(addresses.into_iter().map(|address| address.to_canonical()));
        Self { names: names.into(), addresses: addresses.into(), unlisted: AtomicU64::new(0) }
    }

    /// The zone: the answered name or a parent of it.
    #[must_use]
    pub fn zone(&self) -> Key {
        self.keys().next().unwrap_or_else(Key::root)
    }

    /// The names of its servers.
    pub fn servers(&self) -> impl Iterator<Item = Key> {
        self.keys().skip(1)
    }

    /// The addresses of its servers, as far as they were learned; IPv4 addresses never inside of IPv6 ones.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether [`set_unlisted`](Self::set_unlisted) was called last with this number of lists.
    ///
    /// All answers of a zone share its delegation, and hardly any zone has listed servers: so most answers need no look.
    #[must_use]
    pub fn is_unlisted(&self, lists: u64) -> bool {
        lists != 0 && self.unlisted.load(Ordering::Relaxed) == lists
    }

    /// Notes that the lists with this number have none of the servers. The number must be of what the lists say, so that
    /// others never have it.
    pub fn set_unlisted(&self, lists: u64) {
        self.unlisted.store(lists, Ordering::Relaxed);
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let mut rest = &*self.names;
        iter::from_fn(move || {
            let (&length, after) = rest.split_first()?;
            let (bytes, after) = after.split_at_checked(usize::from(length))?;
            rest = after;
            Some(Key::from_bytes(bytes))
        })
    }

    /// The bytes that it takes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * size_of::<usize>() + self.names.len() + size_of_val(&*self.addresses)
    }
}

/// What was noted about lists makes no difference.
impl PartialEq for Delegation {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names && self.addresses == other.addresses
    }
}

impl Eq for Delegation {}

fn few<T: Ord>(things: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut things: Vec<T> = things.into_iter().collect();
    things.sort_unstable();
    things.dedup();
    things.truncate(MOST);
    things
}

/// The delegations that an answer came from: that of the name asked, then those of its aliases' targets, each once.
///
/// There are none where nobody recursed (local and forwarded names), or where that is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delegations(Option<Arc<Step>>);

#[derive(Debug, PartialEq, Eq)]
struct Step {
    delegation: Arc<Delegation>,
    next: Delegations,
}

impl Delegations {
    /// No delegations, as a constant.
    pub const NONE: Self = Self(None);

    /// Each delegation, that of the name asked first.
    pub fn iter(&self) -> impl Iterator<Item = &Delegation> {
        self.each().map(|delegation| &**delegation)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// These and then those of `more` that are not among them.
    #[must_use]
    pub fn joined(&self, more: &Self) -> Self {
        if more.each().all(|delegation| self.has(delegation)) {
            return self.clone();
        }
        if self.is_empty() {
            return more.clone();
        }
        let new = more.each().filter(|delegation| !self.has(delegation));
        self.each().chain(new).cloned().collect()
    }

    /// The bytes that are kept for one holder of this only: what other answers hold too counts for the first of them.
    ///
    /// To be asked when the holder is made; it changes with the number of holders.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        // Whoever made it may still have a hand on it.
        const FEW: usize = 2;
        let mut bytes = 0;
        let mut next = self;
        while let Some(step) = next.0.as_ref().filter(|step| Arc::strong_count(step) <= FEW) {
            bytes += size_of::<Step>() + 2 * size_of::<usize>();
            if Arc::strong_count(&step.delegation) <= FEW {
                bytes += step.delegation.bytes();
            }
            next = &step.next;
        }
        bytes
    }

    fn has(&self, delegation: &Arc<Delegation>) -> bool {
        self.each().any(|own| Arc::ptr_eq(own, delegation) || own == delegation)
    }

    fn each(&self) -> impl Iterator<Item = &Arc<Delegation>> {
        let mut next = self;
        iter::from_fn(move || {
            let step = next.0.as_ref()?;
            next = &step.next;
            Some(&step.delegation)
        })
    }
}

impl From<Delegation> for Delegations {
    fn from(delegation: Delegation) -> Self {
        iter::once(Arc::new(delegation)).collect()
    }
}

impl FromIterator<Arc<Delegation>> for Delegations {
    fn from_iter<I: IntoIterator<Item = Arc<Delegation>>>(delegations: I) -> Self {
        let delegations: Vec<_> = delegations.into_iter().collect();
        delegations
            .into_iter()
            .rev()
            .fold(Self::NONE, |next, delegation| Self(Some(Arc::new(Step { delegation, next }))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    fn made(zone: &str, servers: &[&str], addresses: &[&str]) -> Delegation {
        Delegation::new(
            &key(zone),
            servers.iter().map(|server| key(server)),
            addresses.iter().map(|address| address.parse().unwrap()),
        )
    }

    #[test]
    fn what_goes_in_comes_out_once_and_in_order() {
        let delegation = made(
            "evil.example",
            &["ns2.dns.test", "ns1.dns.test", "ns2.dns.test"],
            &["2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1"],
        );
        assert_eq!(delegation.zone(), key("evil.example"));
        assert_eq!(delegation.servers().collect::<Vec<_>>(), [key("ns1.dns.test"), key("ns2.dns.test")]);
        let addresses: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1"].map(|a| a.parse().unwrap()).into();
        assert_eq!(delegation.addresses(), addresses);
        let empty = Delegation::new(&Key::root(), [], []);
        assert_eq!((empty.zone(), empty.servers().count()), (Key::root(), 0));
    }

    #[test]
    fn what_was_noted_holds_for_the_same_lists_only() {
        let delegation = made("a.test", &["ns.test"], &[]);
        assert!(!delegation.is_unlisted(0) && !delegation.is_unlisted(7));
        delegation.set_unlisted(7);
        assert!(delegation.is_unlisted(7) && !delegation.is_unlisted(8) && !delegation.is_unlisted(0));
        assert_eq!(delegation, made("a.test", &["ns.test"], &[]));
    }

    #[test]
    fn no_delegation_is_large() {
        let many = (0..1000).map(|i| key(&format!("ns{i}.{}.example", "x".repeat(63))));
        let addresses = (0..1000_u32).map(|i| IpAddr::from(i.to_be_bytes()));
        let delegation = Delegation::new(&key("a.example"), many, addresses);
        assert_eq!((delegation.servers().count(), delegation.addresses().len()), (MOST, MOST));
    }

    #[test]
    fn delegations_are_joined_in_order_and_each_stays_once() {
        let of = |zones: &[&str]| -> Delegations {
            zones.iter().map(|zone| Arc::new(made(zone, &["ns.test"], &[]))).collect()
        };
        let zones = |delegations: &Delegations| -> Vec<String> {
            delegations.iter().map(|delegation| delegation.zone().to_string()).collect()
        };
        let joined = of(&["a.test", "b.test"]).joined(&of(&["b.test", "c.test", "a.test", "d.test"]));
        assert_eq!(zones(&joined), ["a.test", "b.test", "c.test", "d.test"]);
        assert_eq!(Delegations::NONE.joined(&joined), joined);
        assert_eq!(joined.joined(&Delegations::NONE), joined);
        assert!(Delegations::NONE.is_empty() && !joined.is_empty());
    }

    #[test]
    fn a_shared_delegation_counts_for_its_first_holder() {
        let interned = Delegations::from(made("a.test", &["ns1.dns.test", "ns2.dns.test"], &["192.0.2.1"]));
        let first = interned.clone();
        assert!(first.own_bytes() > "a.testns1.dns.testns2.dns.test".len());
        let second = interned.clone();
        assert_eq!(second.own_bytes(), 0);
        let other = Delegations::from(made("b.test", &["ns1.dns.test"], &[]));
        let chain = second.joined(&other);
        let last = other.iter().next().unwrap().bytes();
        assert!(chain.own_bytes() > last, "the second half is new");
        assert_eq!((interned.iter().count(), chain.iter().count()), (1, 2));
        assert_eq!(Delegations::NONE.own_bytes(), 0);
    }
}
