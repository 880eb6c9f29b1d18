//! Listed addresses and subnets: sorted records, one group for each length of prefix.
//!
//! The region has records of IPv4 first, then of IPv6, each sorted by prefix length and then by address: the length
//! (1 byte), the address (4 or 16 bytes, the most significant first), the set (4 bytes, little-endian). In front stands
//! the number of IPv4 records (4 bytes, little-endian).

use std::{net::IpAddr, ops::Range};

use ipnet::IpNet;
use smallvec::SmallVec;

/// The bytes in front of the records.
const HEAD: usize = 4;

/// The bytes of a record that are not its address.
const EXTRA: usize = 5;

/// Writes the region from subnets with their sets, each subnet once.
pub(in crate::lists) fn build(mut nets: Vec<(IpNet, u32)>) -> Vec<u8> {
    let sort_key = |net: &IpNet| (matches!(net, IpNet::V6(_)), net.prefix_len(), net.network());
    nets.sort_unstable_by_key(|(net, _)| sort_key(net));
    let v4 = nets.iter().filter(|(net, _)| matches!(net, IpNet::V4(_))).count();
    let mut bytes = Vec::with_capacity(HEAD + nets.len() * 21);
    // There are under 2^33 networks of IPv4, but no list comes near; more than fit in memory can't be here.
    bytes.extend_from_slice(&u32::try_from(v4).unwrap_or(u32::MAX).to_le_bytes());
    for (net, set) in nets {
        bytes.push(net.prefix_len());
        match net.network() {
            IpAddr::V4(address) => bytes.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => bytes.extend_from_slice(&address.octets()),
        }
        bytes.extend_from_slice(&set.to_le_bytes());
    }
    bytes
}

/// Where the records of each length of prefix lie.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    bytes: Vec<u8>,
    v4: Vec<Group>,
    v6: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    /// How many bits of an address the records have.
    length: u8,
    /// Their bytes in the region.
    range: Range<usize>,
}

impl Addresses {
    /// Reads the groups and checks that records are sorted and their sets exist.
    pub(super) fn check(bytes: Vec<u8>, count: u32, sets: u32) -> Result<Self, &'static str> {
        let Some((head, _)) = bytes.split_first_chunk::<HEAD>() else {
            return Err("it is too short");
        };
        let v4 = u32::from_le_bytes(*head);
        let Some(v6) = count.checked_sub(v4) else {
            return Err("it has more addresses than the header says");
        };
        let end4 = HEAD as u64 + u64::from(v4) * (4 + EXTRA as u64);
        let end6 = end4 + u64::from(v6) * (16 + EXTRA as u64);
        if end6 != bytes.len() as u64 {
            return Err("it does not have as many addresses as the header says");
        }
        // No more than the length of `bytes`, so it fits.
        let end4 = end4 as usize;
        let (v4, v6) = (groups(&bytes, HEAD..end4, 4, sets)?, groups(&bytes, end4..bytes.len(), 16, sets)?);
        Ok(Self { bytes, v4, v6 })
    }

    /// The sets of the subnets around an address, the widest first.
    pub(super) fn lookup(&self, address: IpAddr) -> SmallVec<[u32; 2]> {
        let (groups, address, size) = match address {
            IpAddr::V4(v4) => (&self.v4, u128::from(u32::from(v4)), 4),
            IpAddr::V6(v6) => (&self.v6, u128::from(v6), 16),
        };
        groups.iter().filter_map(|group| group.find(&self.bytes, address, size)).collect()
    }
}

impl Group {
    fn find(&self, bytes: &[u8], address: u128, size: usize) -> Option<u32> {
        let wanted = network(address, self.length, size);
        let records = bytes.get(self.range.clone())?;
        let record_size = size + EXTRA;
        let (mut low, mut high) = (0, records.len() / record_size);
        while low < high {
            let middle = low.midpoint(high);
            let record = &records[middle * record_size..(middle + 1) * record_size];
            match number(&record[1..=size]).cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(set(record)),
            }
        }
        None
    }
}

fn groups(bytes: &[u8], all: Range<usize>, size: usize, sets: u32) -> Result<Vec<Group>, &'static str> {
    let mut groups: Vec<Group> = Vec::new();
    let mut last = None;
    let record_size = size + EXTRA;
    for (place, record) in bytes[all.clone()].chunks_exact(record_size).enumerate() {
        let (length, address) = (record[0], number(&record[1..=size]));
        if usize::from(length) > size * 8 || network(address, length, size) != address {
            return Err("an address has bits beyond its prefix");
        }
        if last.is_some_and(|last| last >= (length, address)) {
            return Err("its addresses are not sorted");
        }
        if set(record) >= sets {
            return Err("an address leads to a set that does not exist");
        }
        last = Some((length, address));
        let start = all.start + place * record_size;
        match groups.last_mut() {
            Some(group) if group.length == length => group.range.end = start + record_size,
            _ => groups.push(Group { length, range: start..start + record_size }),
        }
    }
    Ok(groups)
}

/// The first `length` bits of an address of `size` bytes.
fn network(address: u128, length: u8, size: usize) -> u128 {
    let host = (size * 8).saturating_sub(usize::from(length));
    if host >= 128 { 0 } else { address >> host << host }
}

fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u128::from(byte))
}

/// The set of a record, whose last four bytes it is.
fn set(record: &[u8]) -> u32 {
    record.last_chunk::<4>().map_or(u32::MAX, |set| u32::from_le_bytes(*set))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(a, l)| IpNet::new(IpAddr::from(a), l).unwrap().trunc()),
            (any::<[u8; 16]>(), 0..=128_u8)
                .prop_map(|(a, l)| IpNet::new(IpAddr::from(a), l).unwrap().trunc()),
        ]
    }

    proptest! {
        #[test]
        fn an_address_is_in_the_subnets_around_it(
            nets in prop::collection::btree_set(net(), 0..60),
            other in any::<IpAddr>(),
        ) {
            let nets: Vec<_> = nets.into_iter().zip(0..).collect();
            let bytes = build(nets.clone());
            let count = nets.len() as u32;
            let addresses = Addresses::check(bytes, count, count).unwrap();
            let asked = nets.iter().flat_map(|(net, _)| [net.addr(), net.broadcast()]).chain([other]);
            for address in asked {
                let mut wanted: Vec<_> = nets.iter().filter(|(net, _)| net.contains(&address)).collect();
                wanted.sort_by_key(|(net, _)| net.prefix_len());
                let wanted: Vec<_> = wanted.into_iter().map(|(_, set)| *set).collect();
                prop_assert_eq!(addresses.lookup(address).into_vec(), wanted);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(
            nets in prop::collection::btree_set(net(), 0..20),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            address in any::<IpAddr>(),
        ) {
            let nets: Vec<_> = nets.into_iter().zip(0..).collect();
            let count = nets.len() as u32;
            let mut bytes = build(nets);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(addresses) = Addresses::check(bytes, count, count) {
                addresses.lookup(address);
            }
        }
    }
}
