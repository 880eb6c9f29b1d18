//! Where zones are delegated to, learned from the answers that pass on their way to hickory.
//!
//! hickory finds the servers of a zone by asking the zone above for its NS records, and keeps what it found to itself. So
//! the same answers are read here, and each answer gets the delegation of the deepest zone that has its name: hickory
//! asked there. A zone is remembered at least for as long as hickory remembers its servers.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RData, Record, RecordType},
};

use super::ZONES_KEPT;
use crate::{
    delegation::{Delegation, Delegations, MOST},
    name::Key,
};

/// How long a delegation holds at most, as for hickory.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How many zones' delegations are remembered in one generation. hickory keeps fewer, and never one that was used less
/// recently than all of these.
const ZONES: usize = ZONES_KEPT + ZONES_KEPT / 2;

/// The same for the servers' own addresses.
const HOSTS: usize = 4 * ZONES;

/// The zone cuts that were seen.
#[derive(Clone, Debug)]
pub(super) struct Cuts(Arc<Mutex<Table>>);

impl Default for Cuts {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Table { zones: Recent::new(ZONES), hosts: Recent::new(HOSTS) })))
    }
}

impl Cuts {
    /// Reads an answer that a server gave to a question of hickory's.
    pub(super) fn observe(&self, server: IpAddr, query: &Query, message: &Message, now: Instant) {
        // What was cut off says nothing, not even that there is nothing.
        if message.metadata.truncation {
            return;
        }
        let asked = Key::from_name(query.name());
        let mut table = self.table();
        match query.query_type() {
            RecordType::NS => return table.referral(&asked, message, now),
            // Said by the zone above.
            RecordType::DS => return,
            RecordType::A | RecordType::AAAA => table.host(&asked, message),
            _ => {}
        }
        if message.metadata.authoritative {
            table.answered_by(&asked, server);
        }
    }

    /// The delegation that an answer for this name comes from; none for a name that the root itself answers.
    pub(super) fn of(&self, name: &Name, rtype: RecordType) -> Delegations {
        let key = Key::from_name(name);
        // The DS of a zone is in the zone above.
        let depth = key.depth().saturating_sub(usize::from(rtype == RecordType::DS));
        self.table().of(&key, depth)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Each operation leaves the table whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Table {
    /// By the bytes of the zone's key.
    zones: Recent<Box<[u8]>, Cut>,
    /// The addresses of names that are servers of some zone.
    hosts: Recent<Key, Vec<IpAddr>>,
}

/// What is known of one zone's delegation.
#[derive(Debug)]
struct Cut {
    /// When hickory asks for it anew.
    until: Instant,
    servers: Vec<Key>,
    /// Those that came with the delegation, and those that answered for the zone. They say nothing of other zones, even
    /// with servers of the same names: whoever runs a zone chooses them.
    addresses: Vec<IpAddr>,
    /// As it was handed out last, so that all answers of the zone share it.
    made: Delegations,
}

impl Table {
    /// Takes the answer to a question for NS records.
    fn referral(&mut self, zone: &Key, message: &Message, now: Instant) {
        let all = || [&message.answers, &message.authorities, &message.additionals].into_iter().flatten();
        let of_zone = |record: &&Record| {
            record.record_type() == RecordType::NS && Key::from_name(&record.name) == *zone
        };
        let mut servers: Vec<Key> = all()
            .filter(of_zone)
            .filter_map(|record| match &record.data {
                RData::NS(server) => Some(Key::from_name(&server.0)),
                _ => None,
            })
            .collect();
        let known = self.zones.get(zone.as_bytes());
        if servers.is_empty() {
            // The zone has become a part of the one above.
            if known.is_some_and(|cut| cut.until <= now) {
                self.zones.remove(zone.as_bytes());
            }
            return;
        }
        let ttl = all().filter(of_zone).map(|record| record.ttl).min().unwrap_or_default();
        let until = now + Duration::from_secs(ttl.into()).min(LONGEST);
        let mut addresses: Vec<IpAddr> = all()
            .filter_map(|record| Some((address(record)?, Key::from_name(&record.name))))
            .filter(|(_, owner)| servers.contains(owner))
            .map(|(address, _)| address)
            .collect();
        let (until, made) = match known {
            // Within its time, the zone above and the zone itself may both be heard, and both count: who runs the zone
            // must not be able to talk the servers away that it is delegated to.
            Some(cut) if now < cut.until => {
                servers.append(&mut cut.servers);
                addresses.append(&mut cut.addresses);
                (cut.until, std::mem::take(&mut cut.made))
            }
            Some(cut) => (until, std::mem::take(&mut cut.made)),
            None => (until, Delegations::NONE),
        };
        few(&mut servers);
        few(&mut addresses);
        for server in &servers {
            if self.hosts.get(server).is_none() {
                self.hosts.put(server.clone(), Vec::new());
            }
        }
        self.zones.put(zone.as_bytes().into(), Cut { until, servers, addresses, made });
    }

    /// Takes the addresses of a name, if that is a server's.
    fn host(&mut self, host: &Key, message: &Message) {
        let Some(known) = self.hosts.get(host) else { return };
        let own = message.answers.iter().filter(|record| Key::from_name(&record.name) == *host);
        let new: Vec<IpAddr> = own.filter_map(address).collect();
        if let Some(first) = new.first() {
            known.retain(|address| address.is_ipv4() != first.is_ipv4());
            known.extend(new);
            few(known);
        }
    }

    /// Notes which server answered for a name.
    fn answered_by(&mut self, asked: &Key, server: IpAddr) {
        if let Some(zone) = asked.prefixes().rev().find(|zone| self.zones.get(*zone).is_some())
            && let Some(cut) = self.zones.get(zone)
            && !cut.addresses.contains(&server)
            && cut.addresses.len() < MOST
        {
            cut.addresses.push(server);
        }
    }

    /// The delegation of the deepest zone that has the name's parent of so many labels.
    fn of(&mut self, key: &Key, depth: usize) -> Delegations {
        let mut deepest = None;
        // From the top down, so that all that hickory passed on its way counts as used, the deepest last.
        for zone in key.prefixes().take(depth) {
            if self.zones.get(zone).is_some() {
                deepest = Some(zone);
            }
        }
        let Some(zone) = deepest else { return Delegations::NONE };
        let hosts = &mut self.hosts;
        let Some(cut) = self.zones.get(zone) else { return Delegations::NONE };
        let mut addresses = cut.addresses.clone();
        for server in &cut.servers {
            addresses.extend(hosts.get(server).into_iter().flatten().map(|address| *address));
        }
        let new = Delegation::new(&Key::from_bytes(zone), cut.servers.iter().cloned(), addresses);
        if cut.made.iter().next() != Some(&new) {
            cut.made = new.into();
        }
        cut.made.clone()
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}

fn few<T: Ord>(things: &mut Vec<T>) {
    things.sort_unstable();
    things.dedup();
    things.truncate(MOST);
}

/// A map that forgets: at least as many entries as its limit stay, those used last, and at most twice as many.
#[derive(Debug)]
struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    limit: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    fn new(limit: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), limit }
    }

    /// Finds an entry, which counts as used then.
    fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.put(key, value);
        }
        self.young.get_mut(key)
    }

    fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.limit && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
    {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, AAAA, NS, SOA};

    use super::*;

    const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 53));

    fn name(text: &str) -> Name {
        Name::from_ascii(format!("{text}.")).unwrap()
    }

    fn record(owner: &str, data: RData) -> Record {
        Record::from_rdata(name(owner), 60, data)
    }

    fn ns(owner: &str, server: &str) -> Record {
        record(owner, RData::NS(NS(name(server))))
    }

    fn glue(owner: &str, text: &str) -> Record {
        let data = match text.parse().unwrap() {
            IpAddr::V4(v4) => RData::A(A(v4)),
            IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
        };
        record(owner, data)
    }

    fn message(answers: Vec<Record>, authorities: Vec<Record>, additionals: Vec<Record>) -> Message {
        let mut message = Message::query().into_response();
        message.metadata.authoritative = !answers.is_empty();
        message.answers = answers;
        message.authorities = authorities;
        message.additionals = additionals;
        message
    }

    fn refer(cuts: &Cuts, zone: &str, servers: &[&str], glues: &[(&str, &str)], at: Instant) {
        let authorities = servers.iter().map(|server| ns(zone, server)).collect();
        let additionals = glues.iter().map(|(owner, text)| glue(owner, text)).collect();
        let message = message(Vec::new(), authorities, additionals);
        cuts.observe(SERVER, &Query::query(name(zone), RecordType::NS), &message, at);
    }

    fn answer(cuts: &Cuts, from: &str, owner: &str, text: &str) {
        let kind = if text.contains(':') { RecordType::AAAA } else { RecordType::A };
        let message = message(vec![glue(owner, text)], Vec::new(), Vec::new());
        cuts.observe(from.parse().unwrap(), &Query::query(name(owner), kind), &message, Instant::now());
    }

    /// `zone: servers @ addresses` of the delegation that has a name.
    fn shown(cuts: &Cuts, of: &str, rtype: RecordType) -> String {
        let found = cuts.of(&name(of), rtype);
        let Some(delegation) = found.iter().next() else { return String::new() };
        let servers: Vec<String> = delegation.servers().map(|key| key.to_string()).collect();
        let addresses: Vec<String> = delegation.addresses().iter().map(ToString::to_string).collect();
        format!("{}: {} @ {}", delegation.zone(), servers.join(" "), addresses.join(" "))
    }

    #[test]
    fn a_name_is_of_the_deepest_zone_that_has_it() {
        let cuts = Cuts::default();
        let now = Instant::now();
        refer(&cuts, "test", &["ns.nic.test"], &[("ns.nic.test", "192.0.2.1")], now);
        refer(
            &cuts,
            "Evil.test",
            &["NS2.dns.example", "ns1.dns.example", "ns.evil.test"],
            &[("ns.evil.test", "192.0.2.2"), ("other.evil.test", "192.0.2.3")],
            now,
        );
        let evil = "evil.test: ns1.dns.example ns2.dns.example ns.evil.test @ 192.0.2.2";
        for of in ["evil.test", "www.EVIL.test", "a.b.c.evil.test"] {
            assert_eq!(shown(&cuts, of, RecordType::A), evil, "{of}");
        }
        assert_eq!(shown(&cuts, "evil.test", RecordType::DS), "test: ns.nic.test @ 192.0.2.1");
        assert_eq!(shown(&cuts, "notevil.test", RecordType::A), "test: ns.nic.test @ 192.0.2.1");
        assert_eq!(shown(&cuts, "www.example", RecordType::A), "");
        assert_eq!(shown(&cuts, "test", RecordType::DS), "");
        assert!(cuts.of(&Name::root(), RecordType::NS).is_empty());
    }

    #[test]
    fn all_answers_of_a_zone_share_its_delegation() {
        let cuts = Cuts::default();
        refer(&cuts, "a.test", &["ns.b.test"], &[], Instant::now());
        let (one, two) =
            (cuts.of(&name("x.a.test"), RecordType::A), cuts.of(&name("y.a.test"), RecordType::A));
        let at = |found: &Delegations| std::ptr::from_ref(found.iter().next().unwrap());
        assert_eq!(at(&one), at(&two));
        // The same servers again make no new one.
        refer(&cuts, "a.test", &["ns.b.test"], &[], Instant::now() + LONGEST);
        assert_eq!(at(&one), at(&cuts.of(&name("z.a.test"), RecordType::A)));
    }

    #[test]
    fn addresses_come_with_the_delegation_from_the_servers_names_and_from_who_answered() {
        let cuts = Cuts::default();
        refer(&cuts, "a.test", &["ns.b.example"], &[], Instant::now());
        answer(&cuts, "192.0.2.53", "ns.b.example", "192.0.2.7");
        answer(&cuts, "192.0.2.53", "ns.b.example", "2001:db8::7");
        assert_eq!(shown(&cuts, "a.test", RecordType::A), "a.test: ns.b.example @ 192.0.2.7 2001:db8::7");
        answer(&cuts, "192.0.2.8", "www.a.test", "198.51.100.1");
        assert_eq!(
            shown(&cuts, "a.test", RecordType::A),
            "a.test: ns.b.example @ 192.0.2.7 192.0.2.8 2001:db8::7"
        );
        // The server moved.
        answer(&cuts, "192.0.2.53", "ns.b.example", "192.0.2.9");
        assert_eq!(
            shown(&cuts, "a.test", RecordType::A),
            "a.test: ns.b.example @ 192.0.2.8 192.0.2.9 2001:db8::7"
        );
    }

    #[test]
    fn what_a_zone_says_of_a_servers_address_is_not_held_against_others() {
        let cuts = Cuts::default();
        let now = Instant::now();
        refer(&cuts, "good.test", &["ns.shared.example"], &[], now);
        refer(&cuts, "x.evil.test", &["ns.shared.example"], &[("ns.shared.example", "203.0.113.66")], now);
        assert_eq!(shown(&cuts, "good.test", RecordType::A), "good.test: ns.shared.example @ ");
    }

    #[test]
    fn a_zone_can_not_talk_its_servers_away_within_their_time() {
        let cuts = Cuts::default();
        let now = Instant::now();
        refer(&cuts, "evil.test", &["ns1.bad.example"], &[("ns1.bad.example", "192.0.2.1")], now);
        let own = message(vec![ns("evil.test", "ns1.good.example")], Vec::new(), Vec::new());
        cuts.observe(
            SERVER,
            &Query::query(name("evil.test"), RecordType::NS),
            &own,
            now + Duration::from_secs(59),
        );
        let both = "evil.test: ns1.bad.example ns1.good.example @ 192.0.2.1";
        assert_eq!(shown(&cuts, "evil.test", RecordType::A), both);
        // But it can move.
        refer(&cuts, "evil.test", &["ns1.good.example"], &[], now + Duration::from_secs(61));
        assert_eq!(shown(&cuts, "evil.test", RecordType::A), "evil.test: ns1.good.example @ ");
    }

    #[test]
    fn a_zone_that_became_a_part_of_the_one_above_is_forgotten_in_its_time() {
        let cuts = Cuts::default();
        let now = Instant::now();
        refer(&cuts, "test", &["ns.nic.test"], &[], now);
        refer(&cuts, "a.test", &["ns.b.test"], &[], now);
        let soa = RData::SOA(SOA::new(name("ns.nic.test"), name("h.test"), 1, 2, 3, 4, 5));
        let nothing = message(Vec::new(), vec![record("test", soa)], Vec::new());
        cuts.observe(
            SERVER,
            &Query::query(name("a.test"), RecordType::NS),
            &nothing,
            now + Duration::from_secs(1),
        );
        assert_eq!(shown(&cuts, "a.test", RecordType::A), "a.test: ns.b.test @ ");
        let mut cut_off = nothing.clone();
        cut_off.metadata.truncation = true;
        cuts.observe(
            SERVER,
            &Query::query(name("a.test"), RecordType::NS),
            &cut_off,
            now + Duration::from_secs(61),
        );
        assert_eq!(shown(&cuts, "a.test", RecordType::A), "a.test: ns.b.test @ ");
        cuts.observe(
            SERVER,
            &Query::query(name("a.test"), RecordType::NS),
            &nothing,
            now + Duration::from_secs(61),
        );
        assert_eq!(shown(&cuts, "a.test", RecordType::A), "test: ns.nic.test @ ");
    }

    #[test]
    fn records_of_other_names_say_nothing() {
        let cuts = Cuts::default();
        let now = Instant::now();
        let stray = message(Vec::new(), vec![ns("victim.test", "ns.evil.test")], Vec::new());
        cuts.observe(SERVER, &Query::query(name("evil.test"), RecordType::NS), &stray, now);
        cuts.observe(SERVER, &Query::query(name("victim.test"), RecordType::A), &stray, now);
        assert_eq!(shown(&cuts, "victim.test", RecordType::A), "");
    }

    #[test]
    fn what_was_used_last_stays() {
        let mut recent = Recent::new(3);
        for i in 0..100 {
            recent.put(i, i);
            assert!(recent.get(&0).is_some(), "used all the time");
            assert!(recent.young.len() + recent.old.len() <= 6);
        }
        for i in [98, 99] {
            assert_eq!(recent.get(&i), Some(&mut i.clone()));
        }
        assert_eq!(recent.get(&50), None);
        recent.remove(&99);
        assert_eq!(recent.get(&99), None);
    }
}
