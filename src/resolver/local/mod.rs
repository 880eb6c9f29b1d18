//! Names that are answered without asking anybody: special names, empty reverse zones, the school's own records.
//!
//! [`LocalZones::build`] reads everything once; [`LocalZones::answer`] is a look-up in memory.

mod special;
mod zonefile;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt, io,
    net::IpAddr,
    path::PathBuf,
};

use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{PTR, SOA},
    },
};

use self::special::Special;
use super::config::Config;
use crate::name::{Key, NameError};

/// How many aliases are followed within the local zones.
const MAX_ALIASES: usize = 16;
/// How long others may keep what special zones answer, in seconds (RFC 6303 suggests 3 hours for its SOA).
const SPECIAL_TTL: u32 = 10_800;
/// How long others may keep that a record of the school's own does not exist, in seconds.
const NEGATIVE_TTL: u32 = 300;

/// The zones that are answered from memory.
#[derive(Debug)]
pub struct LocalZones {
    zones: HashMap<Box<[u8]>, Zone>,
    /// Single records: each name stands for itself and lets everything beside it through.
    records: Nodes,
    /// The deepest apex, to start looking from.
    deepest: usize,
}

/// An answer from a local zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAnswer {
    /// How it ended.
    pub rcode: ResponseCode,
    /// The answer section, aliases first.
    pub answers: Vec<Record>,
    /// The authority section: the SOA of a negative answer.
    pub authorities: Vec<Record>,
    /// Whether the answer is authoritative (AA).
    pub authoritative: bool,
    /// Where the aliases lead when that is outside: the name still to be resolved, whose answer belongs after `answers`.
    pub continue_at: Option<Name>,
}

#[derive(Debug)]
enum Zone {
    /// Someone else is asked.
    Forwarded,
    Special(Special),
    Own(Box<OwnZone>),
}

#[derive(Debug)]
struct OwnZone {
    soa: Record,
    nodes: Nodes,
}

/// Names and their records. Empty non-terminals are names without records.
#[derive(Debug, Default)]
struct Nodes(HashMap<Box<[u8]>, Vec<(Record, Place)>>);

/// What one name has, before aliases are followed.
enum Hit<'a> {
    Records(Vec<&'a Record>),
    Alias(&'a Record, Name),
    NoData,
    NxDomain,
}

impl LocalZones {
    /// Builds the zones from the settings and the files that they name.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its setting, or its file and line.
    pub fn build(config: &Config) -> Result<Self, LocalZoneError> {
        let mut zones = Self { zones: HashMap::new(), records: Nodes::default(), deepest: 0 };
        zones.add_configured(config)?;
        zones.add_special(config)?;
        zones.add_records(config)?;
        zones.add_reverse_records();
        zones.check_aliases()?;
        Ok(zones)
    }

    /// Answers a question, unless its name is to be resolved elsewhere.
    #[must_use]
    pub fn answer(&self, query: &Query) -> Option<LocalAnswer> {
        if query.query_class() != DNSClass::IN {
            return None;
        }
        let mut answer = self.answer_once(query.name(), query.query_type())?;
        for _ in 0..MAX_ALIASES {
            let Some(target) = answer.continue_at.clone() else { return Some(answer) };
            let Some(next) = self.answer_once(&target, query.query_type()) else { return Some(answer) };
            answer.rcode = next.rcode;
            answer.answers.extend(next.answers);
            answer.authorities = next.authorities;
            answer.continue_at = next.continue_at;
        }
        // The records can't form a loop, but a wildcard may lead a name through itself.
        Some(LocalAnswer { rcode: ResponseCode::ServFail, continue_at: None, ..answer })
    }

    fn answer_once(&self, name: &Name, rtype: RecordType) -> Option<LocalAnswer> {
        let key = Key::from_name(name);
        let zone = self.zone_of(&key, rtype);
        let zone_depth = zone.as_ref().map_or(0, |&(depth, _)| depth);
        if let Some((depth, records)) = self.records.matching(&key)
            && depth >= zone_depth
        {
            let soa = || synthetic_soa(name.clone(), NEGATIVE_TTL);
            return Some(respond(name, select(records, rtype), soa));
        }
        let (apex, zone) = zone?;
        match zone {
            Zone::Forwarded => None,
            Zone::Special(kind) => {
                let soa = || synthetic_soa(apex_name(name, apex), SPECIAL_TTL);
                let rcode = match kind.records(key.depth(), apex, rtype) {
                    None => ResponseCode::NXDomain,
                    Some(data) if data.is_empty() => ResponseCode::NoError,
                    Some(data) => {
                        let record = |data| Record::from_rdata(name.clone(), SPECIAL_TTL, data);
                        return Some(LocalAnswer {
                            rcode: ResponseCode::NoError,
                            answers: data.into_iter().map(record).collect(),
                            authorities: Vec::new(),
                            authoritative: true,
                            continue_at: None,
                        });
                    }
                };
                Some(negative(rcode, soa()))
            }
            Zone::Own(zone) => {
                if zone.delegates(&key, apex, rtype) {
                    return None;
                }
                let hit = match zone.nodes.in_zone(&key, apex) {
                    Some(records) => select(records, rtype),
                    None => Hit::NxDomain,
                };
                Some(respond(name, hit, || zone.soa.clone()))
            }
        }
    }

    /// The deepest zone with the name, and its depth.
    fn zone_of(&self, key: &Key, rtype: RecordType) -> Option<(usize, &Zone)> {
        (1..=key.depth().min(self.deepest)).rev().find_map(|depth| {
            let zone = self.zones.get(key.prefix(depth))?;
            // The parent knows of the delegation (RFC 4035, section 3.1.4.1): validators ask it for the DS of a special
            // name, and must not be told that it does not exist.
            let of_the_parent = rtype == RecordType::DS
                && depth == key.depth()
                && depth > 1
                && matches!(zone, Zone::Special(_));
            (!of_the_parent).then_some((depth, zone))
        })
    }

    fn insert_zone(&mut self, key: &Key, zone: Zone) {
        self.deepest = self.deepest.max(key.depth());
        self.zones.insert(key.as_bytes().into(), zone);
    }

    fn add_configured(&mut self, config: &Config) -> Result<(), LocalZoneError> {
        for zone in &config.zone {
            let key = Key::parse(&zone.name)
                .map_err(|source| LocalZoneError::ZoneName { name: zone.name.clone(), source })?;
            if self.zones.contains_key(key.as_bytes()) {
                return Err(LocalZoneError::ZoneTwice { name: zone.name.clone() });
            }
            match (&zone.file, zone.servers.is_empty()) {
                (None, false) => self.insert_zone(&key, Zone::Forwarded),
                (Some(file), true) => {
                    let origin = full_name(&key);
                    let records = zonefile::read(file, &origin)?;
                    self.insert_zone(&key, Zone::Own(Box::new(OwnZone::new(&key, origin, records)?)));
                }
                _ => return Err(LocalZoneError::ZoneKind { name: zone.name.clone() }),
            }
        }
        Ok(())
    }

    fn add_special(&mut self, config: &Config) -> Result<(), LocalZoneError> {
        let mut allowed = Vec::new();
        for name in &config.allow_special {
            let key = Key::parse(name).map_err(|source| LocalZoneError::AllowSpecial {
                name: name.clone(),
                source: Some(source),
            })?;
            allowed.push((name, key, false));
        }
        for (name, kind) in special::zones() {
            let key = Key::parse(&name).expect("the table has valid names");
            if let Some(entry) = allowed.iter_mut().find(|(_, allowed, _)| *allowed == key) {
                entry.2 = true;
                continue;
            }
            // A zone that the school configured at the name or above it is the authority for it.
            let configured =
                |depth| matches!(self.zones.get(key.prefix(depth)), Some(Zone::Forwarded | Zone::Own(_)));
            if !(1..=key.depth()).any(configured) {
                self.insert_zone(&key, Zone::Special(kind));
            }
        }
        match allowed.into_iter().find(|(_, _, known)| !known) {
            Some((name, ..)) => Err(LocalZoneError::AllowSpecial { name: name.clone(), source: None }),
            None => Ok(()),
        }
    }

    fn add_records(&mut self, config: &Config) -> Result<(), LocalZoneError> {
        for entry in &config.record {
            let place = Place::Setting(format!("resolver.record {:?}", entry.name));
            let wrong = |reason: String| LocalZoneError::Entry { place: place.clone(), reason };
            let (wildcard, base) = match entry.name.strip_prefix("*.") {
                Some(base) => (true, base),
                None => (false, entry.name.as_str()),
            };
            let base = Key::parse(base).map_err(|error| wrong(error.to_string()))?;
            let mut name = full_name(&base);
            if wildcard {
                name = name.prepend_label("*").map_err(|error| wrong(error.to_string()))?;
            }
            let rtype = entry
                .record_type()
                .map_err(|text| wrong(format!("{text:?} is not a record type, such as \"A\" or \"TXT\"")))?;
            let record = zonefile::record(&name, entry.ttl, rtype, &entry.value, &place)?;
            let key = Key::from_name(&record.name);
            let zone = (1..=key.depth()).rev().find_map(|depth| match self.zones.get(key.prefix(depth)) {
                Some(Zone::Own(_)) => Some(key.prefix(depth)),
                _ => None,
            });
            let apex = zone.map(<[u8]>::to_vec);
            match apex.as_ref().and_then(|apex| self.zones.get_mut(apex.as_slice())) {
                Some(Zone::Own(zone)) => {
                    zone.nodes.insert(record, place)?;
                    zone.fill_between(apex.as_deref().unwrap_or_default());
                }
                _ => self.records.insert(record, place)?,
            }
        }
        Ok(())
    }

    /// Answers the reverse of the private addresses that the school's names have.
    fn add_reverse_records(&mut self) {
        let mut found: Vec<Record> = Vec::new();
        let own = self.zones.values().filter_map(|zone| match zone {
            Zone::Own(zone) => Some(&zone.nodes),
            _ => None,
        });
        for (record, _) in own.chain([&self.records]).flat_map(|nodes| nodes.0.values().flatten()) {
            let Some(address) = record.data.ip_addr().filter(|&address| is_private(address)) else {
                continue;
            };
            if !record.name.is_wildcard() {
                let data = RData::PTR(PTR(record.name.clone()));
                found.push(Record::from_rdata(Name::from(address), record.ttl, data));
            }
        }
        // Several names of one address: always the same one answers.
        found.sort_by(|a, b| (&a.name, a.data.to_string()).cmp(&(&b.name, b.data.to_string())));
        for record in found {
            let key = Key::from_name(&record.name);
            let ours =
                self.zone_of(&key, RecordType::PTR).is_none_or(|(_, zone)| matches!(zone, Zone::Special(_)));
            if let (true, Entry::Vacant(entry)) = (ours, self.records.0.entry(key.as_bytes().into())) {
                entry.insert(vec![(record, Place::Setting("resolver.record".into()))]);
            }
        }
    }

    /// Refuses aliases that lead in a circle.
    fn check_aliases(&self) -> Result<(), LocalZoneError> {
        let own = self.zones.values().filter_map(|zone| match zone {
            Zone::Own(zone) => Some(&zone.nodes),
            _ => None,
        });
        let mut records: Vec<_> =
            own.chain([&self.records]).flat_map(|nodes| nodes.0.values().flatten()).collect();
        // So that the same mistake is always told in the same way.
        records.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        for (record, place) in records {
            let RData::CNAME(first) = &record.data else { continue };
            let mut target = first.0.clone();
            for hop in 0..=MAX_ALIASES {
                if target == record.name || hop == MAX_ALIASES {
                    return Err(LocalZoneError::Entry {
                        place: place.clone(),
                        reason: format!("the alias {} leads back to itself", record.name),
                    });
                }
                match self.answer_once(&target, RecordType::A).and_then(|answer| answer.continue_at) {
                    Some(next) => target = next,
                    None => break,
                }
            }
        }
        Ok(())
    }
}

impl OwnZone {
    fn new(apex: &Key, origin: Name, records: Vec<(Record, Place)>) -> Result<Self, LocalZoneError> {
        let mut nodes = Nodes::default();
        let mut soa = None;
        for (record, place) in records {
            let key = Key::from_name(&record.name);
            if !key.is_within(apex) {
                let reason = format!("{} is not within the zone {origin}", record.name);
                return Err(LocalZoneError::Entry { place, reason });
            }
            if record.record_type() == RecordType::SOA {
                if key != *apex || soa.is_some() {
                    let reason = format!("a zone has one SOA record, at {origin}");
                    return Err(LocalZoneError::Entry { place, reason });
                }
                soa = Some(record.clone());
            }
            nodes.insert(record, place)?;
        }
        // RFC 2308, section 5: a negative answer is kept for the lesser of the SOA's own time and its minimum.
        let soa = match soa {
            Some(mut record) => {
                if let RData::SOA(soa) = &record.data {
                    record.ttl = record.ttl.min(soa.minimum);
                }
                record
            }
            None => synthetic_soa(origin, NEGATIVE_TTL),
        };
        let mut zone = Self { soa, nodes };
        zone.fill_between(apex.as_bytes());
        Ok(zone)
    }

    /// The apex and the names between it and the records exist, with or without records of their own.
    fn fill_between(&mut self, apex: &[u8]) {
        let names: Vec<Box<[u8]>> = self.nodes.0.keys().cloned().collect();
        for name in names {
            for (end, _) in name.iter().enumerate().filter(|&(end, &byte)| byte == b'.' && end >= apex.len())
            {
                self.nodes.0.entry(name[..end].into()).or_default();
            }
        }
        self.nodes.0.entry(apex.into()).or_default();
    }

    /// Whether a name lies at or below a delegation to someone else's servers.
    fn delegates(&self, key: &Key, apex: usize, rtype: RecordType) -> bool {
        let last = if rtype == RecordType::DS { key.depth().saturating_sub(1) } else { key.depth() };
        (apex + 1..=last).any(|depth| {
            self.nodes.0.get(key.prefix(depth)).is_some_and(|records| {
                records.iter().any(|(record, _)| record.record_type() == RecordType::NS)
            })
        })
    }
}

impl Nodes {
    fn insert(&mut self, record: Record, place: Place) -> Result<(), LocalZoneError> {
        let node = self.0.entry(Key::from_name(&record.name).as_bytes().into()).or_default();
        let is_alias = record.record_type() == RecordType::CNAME;
        let clashes = |(other, _): &&(Record, Place)| {
            (is_alias || other.record_type() == RecordType::CNAME) && other.data != record.data
        };
        if let Some((_, other)) = node.iter().find(clashes) {
            let reason = format!("{} has a CNAME, so it can have nothing else (see {other})", record.name);
            return Err(LocalZoneError::Entry { place, reason });
        }
        if !node.iter().any(|(other, _)| other.data == record.data) {
            node.push((record, place));
        }
        Ok(())
    }

    /// The records of a name in a zone, its wildcard's if it has none (RFC 4592); nothing when it does not exist.
    fn in_zone(&self, key: &Key, apex: usize) -> Option<&[(Record, Place)]> {
        if let Some(records) = self.0.get(key.as_bytes()) {
            return Some(records);
        }
        let encloser = (apex..key.depth()).rev().find(|&depth| self.0.contains_key(key.prefix(depth)))?;
        self.wildcard(key.prefix(encloser))
    }

    /// The records for a name among single records, and how many labels of the name they stand for.
    fn matching(&self, key: &Key) -> Option<(usize, &[(Record, Place)])> {
        if self.0.is_empty() {
            return None;
        }
        if let Some(records) = self.0.get(key.as_bytes()) {
            return Some((key.depth(), records));
        }
        (1..key.depth()).rev().find_map(|depth| Some((depth, self.wildcard(key.prefix(depth))?)))
    }

    fn wildcard(&self, encloser: &[u8]) -> Option<&[(Record, Place)]> {
        let mut wildcard = encloser.to_vec();
        if !wildcard.is_empty() {
            wildcard.push(b'.');
        }
        wildcard.push(b'*');
        self.0.get(wildcard.as_slice()).map(Vec::as_slice)
    }
}

fn select(records: &[(Record, Place)], rtype: RecordType) -> Hit<'_> {
    let wanted = |record: &&Record| record.record_type() == rtype || rtype == RecordType::ANY;
    let records = || records.iter().map(|(record, _)| record);
    let found: Vec<&Record> = records().filter(wanted).collect();
    if !found.is_empty() {
        return Hit::Records(found);
    }
    let alias = records().find_map(|record| match &record.data {
        RData::CNAME(target) => Some(Hit::Alias(record, target.0.clone())),
        _ => None,
    });
    alias.unwrap_or(Hit::NoData)
}

fn respond(name: &Name, hit: Hit<'_>, soa: impl FnOnce() -> Record) -> LocalAnswer {
    // The owner is the name that was asked for, also where a wildcard answers.
    let owned = |record: &Record| Record::from_rdata(name.clone(), record.ttl, record.data.clone());
    let (answers, continue_at) = match hit {
        Hit::NoData => return negative(ResponseCode::NoError, soa()),
        Hit::NxDomain => return negative(ResponseCode::NXDomain, soa()),
        Hit::Records(records) => (records.into_iter().map(owned).collect(), None),
        Hit::Alias(record, target) => (vec![owned(record)], Some(target)),
    };
    LocalAnswer {
        rcode: ResponseCode::NoError,
        answers,
        authorities: Vec::new(),
        authoritative: true,
        continue_at,
    }
}

fn negative(rcode: ResponseCode, soa: Record) -> LocalAnswer {
    LocalAnswer { rcode, answers: Vec::new(), authorities: vec![soa], authoritative: true, continue_at: None }
}

/// The SOA record of RFC 6303, section 3, for zones that have none of their own.
fn synthetic_soa(apex: Name, ttl: u32) -> Record {
    let nobody = Name::from_ascii("nobody.invalid.").expect("a valid name");
    let soa = SOA::new(apex.clone(), nobody, 1, 3_600, 1_200, 604_800, ttl);
    Record::from_rdata(apex, ttl, RData::SOA(soa))
}

fn apex_name(name: &Name, depth: usize) -> Name {
    let mut apex = name.trim_to(depth);
    apex.set_fqdn(true);
    apex
}

fn full_name(key: &Key) -> Name {
    let mut name = Name::from_ascii(key.to_string()).unwrap_or_else(|_| Name::root());
    name.set_fqdn(true);
    name
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// In the settings; the text names the key.
    Setting(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Setting(key) => f.write_str(key),
        }
    }
}

/// What is wrong with a local zone or record.
#[derive(Debug, thiserror::Error)]
pub enum LocalZoneError {
    /// A zone's name.
    #[error("resolver.zone: the name {name:?} is not a domain name")]
    ZoneName {
        /// What was written.
        name: String,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// Two zones of one name.
    #[error("resolver.zone: there are two zones {name:?}; put all servers into one")]
    ZoneTwice {
        /// The zone.
        name: String,
    },
    /// A zone with neither servers nor file, or with both.
    #[error(
        "resolver.zone {name:?} needs either servers, for example [\"10.0.0.10\"], or file, and not both"
    )]
    ZoneKind {
        /// The zone.
        name: String,
    },
    /// A name in `allow_special` that is not special.
    #[error(
        "resolver.allow_special: {name:?} is not a special name or locally served zone, such as \"test\" or \"10.in-addr.arpa\""
    )]
    AllowSpecial {
        /// What was written.
        name: String,
        /// What is wrong with it as a name.
        #[source]
        source: Option<NameError>,
    },
    /// A file that can't be read.
    #[error("{place}: could not read {}", path.display())]
    Read {
        /// Where the file is named.
        place: Place,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An entry of a zone file, or a record in the settings.
    #[error("{place}: {reason}")]
    Entry {
        /// Where it stands.
        place: Place,
        /// What is wrong with it and what would be right.
        reason: String,
    },
}

#[cfg(test)]
mod tests;
