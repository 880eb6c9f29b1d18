//! How often somebody may guess: counted for each account and for each address, in memory, in tables of a bounded size.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::{UserId, plus};

/// For how long a guess counts.
pub(super) const WINDOW: Duration = Duration::from_secs(5 * 60);

/// How many wrong guesses an account takes within the window.
pub(super) const PER_ACCOUNT: usize = 10;

/// How many an address may make within the window.
pub(super) const PER_ADDRESS: usize = 30;

/// How many wrong set-up codes all addresses together may try: the code is short, since somebody types it.
const SET_UP_CODES: usize = 300;

/// How many keys a table has at most.
const KEYS: usize = 4096;

/// Whose guesses are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Account {
    /// A user's: never forgotten to make room for others.
    User(UserId),
    /// Those for a name that nobody has. They are counted alike, so that the answers don't tell who has an account.
    Nobody(String),
}

/// The part of an address that one household or school has: an IPv6 address counts by its first 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// The times of guesses, by key.
#[derive(Debug)]
struct Table<K> {
    most: usize,
    keys: HashMap<K, Vec<Timestamp>>,
}

impl<K: Eq + Hash + Clone> Table<K> {
    fn new(most: usize) -> Self {
        Self { most, keys: HashMap::new() }
    }

    /// From when on there may be another guess; none for now.
    fn again(&mut self, key: &K, now: Timestamp) -> Option<Timestamp> {
        let times = self.keys.get_mut(key)?;
        times.retain(|time| counts(*time, now));
        if times.len() < self.most { None } else { times.first().map(|first| plus(*first, WINDOW)) }
    }

    fn add(&mut self, key: K, now: Timestamp) {
        if self.keys.len() >= KEYS && !self.keys.contains_key(&key) {
            self.keys.retain(|_, times| times.iter().any(|time| counts(*time, now)));
            // Whoever has thousands of addresses is not held by this table, but by that of the accounts.
            if self.keys.len() >= KEYS
                && let Some(oldest) = self
                    .keys
                    .iter()
                    .min_by_key(|(_, times)| times.last().copied())
                    .map(|(key, _)| key.clone())
            {
                self.keys.remove(&oldest);
            }
        }
        self.keys.entry(key).or_default().push(now);
    }

    fn take_back(&mut self, key: &K, time: Timestamp) {
        if let Some(times) = self.keys.get_mut(key) {
            if let Some(place) = times.iter().position(|other| *other == time) {
                times.remove(place);
            }
            if times.is_empty() {
                self.keys.remove(key);
            }
        }
    }
}

/// Whether a guess still counts. One from the future is of a clock that was wrong.
fn counts(time: Timestamp, now: Timestamp) -> bool {
    now.duration_since(time).unsigned_abs() < WINDOW
}

#[derive(Debug)]
struct Tables {
    users: Table<UserId>,
    nobodies: Table<String>,
    addresses: Table<IpAddr>,
    set_up: Table<()>,
}

/// Counts guesses, and says when there were too many.
#[derive(Debug)]
pub(super) struct Gate(Mutex<Tables>);

/// A guess that was counted. It is taken back when it was right.
#[derive(Debug)]
#[must_use]
pub(super) struct Guess {
    account: Option<Account>,
    network: IpAddr,
    is_set_up: bool,
    time: Timestamp,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Tables {
            users: Table::new(PER_ACCOUNT),
            nobodies: Table::new(PER_ACCOUNT),
            addresses: Table::new(PER_ADDRESS),
            set_up: Table::new(SET_UP_CODES),
        }))
    }

    /// Counts a guess before it is looked at, so that a hundred at once are no more than one after the other.
    ///
    /// `pardon` is the time before which guesses for the account don't count any more.
    ///
    /// # Errors
    ///
    /// From when on there may be another; then it must not be looked at, right or wrong, and does not count.
    pub(super) fn admit(
        &self,
        account: Option<Account>,
        pardon: Timestamp,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Guess, Timestamp> {
        let network = network(address);
        let mut tables = self.tables();
        let account_again = match &account {
            Some(Account::User(id)) => {
                if let Some(times) = tables.users.keys.get_mut(id) {
                    times.retain(|time| *time > pardon);
                }
                tables.users.again(id, now)
            }
            Some(Account::Nobody(name)) => tables.nobodies.again(name, now),
            None => None,
        };
        if let Some(again) = account_again.max(tables.addresses.again(&network, now)) {
            return Err(again);
        }
        match &account {
            Some(Account::User(id)) => tables.users.add(*id, now),
            Some(Account::Nobody(name)) => tables.nobodies.add(name.clone(), now),
            None => {}
        }
        tables.addresses.add(network, now);
        Ok(Guess { account, network, is_set_up: false, time: now })
    }

    /// As [`admit`](Self::admit), for a set-up code.
    pub(super) fn admit_set_up(&self, address: IpAddr, now: Timestamp) -> Result<Guess, Timestamp> {
        if let Some(again) = self.tables().set_up.again(&(), now) {
            return Err(again);
        }
        let guess = self.admit(None, Timestamp::MIN, address, now)?;
        self.tables().set_up.add((), now);
        Ok(Guess { is_set_up: true, ..guess })
    }

    /// Takes a guess back that was right.
    pub(super) fn was_right(&self, guess: &Guess) {
        let mut tables = self.tables();
        match &guess.account {
            Some(Account::User(id)) => tables.users.take_back(id, guess.time),
            Some(Account::Nobody(name)) => tables.nobodies.take_back(name, guess.time),
            None => {}
        }
        tables.addresses.take_back(&guess.network, guess.time);
        if guess.is_set_up {
            tables.set_up.take_back(&(), guess.time);
        }
    }

    /// A panic while it was held left whole tables: each change is one call of a map.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn guess(gate: &Gate, name: &str, address: &str, now: Timestamp) -> Result<Guess, Timestamp> {
        gate.admit(Some(Account::Nobody(name.into())), Timestamp::MIN, address.parse().unwrap(), now)
    }

    #[test]
    fn an_account_takes_ten_guesses_in_five_minutes_from_wherever() {
        let gate = Gate::new();
        for n in 0..10 {
            let _ = guess(&gate, "alice", &format!("10.0.0.{n}"), at(n)).unwrap();
        }
        assert_eq!(guess(&gate, "alice", "10.0.1.1", at(20)).unwrap_err(), at(300));
        let _ = guess(&gate, "bob", "10.0.1.1", at(20)).unwrap();
        let _ = guess(&gate, "alice", "10.0.1.1", at(300)).unwrap();
        assert_eq!(guess(&gate, "alice", "10.0.1.1", at(300)).unwrap_err(), at(301));
    }

    #[test]
    fn an_address_makes_thirty_guesses_for_whomever_and_ipv6_counts_by_its_network() {
        let gate = Gate::new();
        for n in 0..30 {
            let _ = guess(&gate, &format!("user{n}"), &format!("2001:db8:1:2::{n}"), at(0)).unwrap();
        }
        assert_eq!(guess(&gate, "other", "2001:db8:1:2:ffff::1", at(1)).unwrap_err(), at(300));
        let _ = guess(&gate, "other", "2001:db8:1:3::1", at(1)).unwrap();
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), IpAddr::from([10, 0, 0, 1]));
    }

    #[test]
    fn a_right_guess_does_not_count() {
        let gate = Gate::new();
        for _ in 0..100 {
            let right = guess(&gate, "alice", "10.0.0.1", at(0)).unwrap();
            gate.was_right(&right);
        }
        assert!(gate.tables().nobodies.keys.is_empty());
    }

    #[test]
    fn a_pardon_ends_the_wait() {
        let gate = Gate::new();
        let admit = |pardon, now| {
            gate.admit(Some(Account::User(UserId(1))), pardon, IpAddr::from([10, 0, 0, 1]), now)
        };
        for _ in 0..10 {
            let _ = admit(Timestamp::MIN, at(0)).unwrap();
        }
        admit(Timestamp::MIN, at(1)).unwrap_err();
        let _ = admit(at(1), at(2)).unwrap();
    }

    #[test]
    fn names_and_addresses_without_end_don_t_grow_the_tables_without_end() {
        let gate = Gate::new();
        for n in 0..3 * KEYS as u32 {
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            let name = Account::Nobody(format!("name{n}"));
            let _ = gate.admit(Some(name), Timestamp::MIN, address, at(0)).unwrap();
        }
        let tables = gate.tables();
        assert!(tables.nobodies.keys.len() <= KEYS && tables.addresses.keys.len() <= KEYS);
    }

    #[test]
    fn guesses_that_a_wrong_clock_made_don_t_lock_an_account_for_years() {
        let gate = Gate::new();
        for _ in 0..10 {
            let _ = guess(&gate, "alice", "10.0.0.1", at(100_000_000)).unwrap();
        }
        let _ = guess(&gate, "alice", "10.0.0.1", at(0)).unwrap();
    }

    #[test]
    fn set_up_codes_are_counted_for_everybody_together() {
        let gate = Gate::new();
        for n in 0..SET_UP_CODES as u32 {
            let _ = gate.admit_set_up(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), at(0)).unwrap();
        }
        assert_eq!(gate.admit_set_up(IpAddr::from([192, 0, 2, 1]), at(9)).unwrap_err(), at(300));
    }
}
