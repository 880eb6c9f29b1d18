//! Which addresses get another profile when one policy takes the place of another.

use std::{
    collections::{BTreeSet, HashMap},
    iter,
};

use ipnet::IpNet;

use crate::{
    category::Categories,
    policy::{
        build::{fallback, profiles, subnet},
        file::{PolicyFile, ProfileFile},
        profile::canonical,
        tables::Tables,
    },
};

/// Addresses that get another profile.
#[derive(Debug)]
pub(super) struct Moved<'a> {
    /// Where they are; none for those that are in no network.
    pub(super) net: Option<IpNet>,
    /// The profile that they have.
    pub(super) from: &'a ProfileFile,
    /// The profile that they would get.
    pub(super) to: &'a ProfileFile,
}

/// Everything that gets another profile, network by network, those that are in none at the end.
///
/// A network stands for its addresses that are in no smaller one; it is left out where there are none of these.
pub(super) fn moved<'a>(old: &'a PolicyFile, new: &'a PolicyFile, categories: &Categories) -> Vec<Moved<'a>> {
    let (before, after) = (Networks::of(old, categories), Networks::of(new, categories));
    let all: BTreeSet<IpNet> = before.profiles.keys().chain(after.profiles.keys()).copied().collect();
    // How many addresses of each are in smaller ones. Those right below are apart from each other, so they add up.
    let mut taken: HashMap<IpNet, u128> = HashMap::new();
    for net in &all {
        if let Some(above) = around(*net).skip(1).find(|above| all.contains(above)) {
            let sum = taken.entry(above).or_default();
            *sum = sum.wrapping_add(size(*net));
        }
    }
    let has_own = |net: &&IpNet| taken.get(*net).is_none_or(|taken| *taken != size(**net));
    let nets = all.iter().filter(has_own).map(|net| (Some(*net), before.at(*net), after.at(*net)));
    nets.chain([(None, before.fallback, after.fallback)])
        .filter_map(|(net, from, to)| Some(Moved { net, from: from?, to: to? }))
        .filter(|moved| moved.from.id != moved.to.id)
        .collect()
}

/// The networks of a policy, as clients are found by them.
struct Networks<'a> {
    profiles: HashMap<IpNet, &'a ProfileFile>,
    fallback: Option<&'a ProfileFile>,
}

impl<'a> Networks<'a> {
    fn of(file: &'a PolicyFile, categories: &Categories) -> Self {
        let mut found = HashMap::new();
        for profile in &file.profiles {
            for net in profile.subnets.iter().filter_map(|text| subnet(text)) {
                found.entry(canonical(net)).or_insert(profile);
            }
        }
        let fallback = fallback(file, &profiles(file, Tables::shipped(), categories));
        Self { profiles: found, fallback: file.profiles.get(fallback) }
    }

    /// The profile of the addresses of a network that are in no smaller one.
    fn at(&self, net: IpNet) -> Option<&'a ProfileFile> {
        around(net).find_map(|net| self.profiles.get(&net).copied()).or(self.fallback)
    }
}

/// A network and all that hold it, the smallest first.
fn around(net: IpNet) -> impl Iterator<Item = IpNet> {
    iter::successors(Some(net), |net| Some(net.supernet()?.trunc()))
}

/// How many addresses a network has; all of IPv6 is one more than fits, so 0, and sums wrap to the same.
fn size(net: IpNet) -> u128 {
    1_u128.checked_shl(u32::from(net.max_prefix_len() - net.prefix_len())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: [&str; 3] = ["guest", "staff", "ks2"];

    fn file(subnets: &[(&str, &str)]) -> PolicyFile {
        let mut file = PolicyFile::shipped();
        file.fallback_profile = Some(String::from("guest"));
        file.profiles.retain(|profile| PROFILES.contains(&profile.id.as_str()));
        for profile in &mut file.profiles {
            let own = subnets.iter().filter(|(id, _)| *id == profile.id);
            profile.subnets = own.map(|(_, net)| String::from(*net)).collect();
        }
        file
    }

    fn said(old: &[(&str, &str)], new: &[(&str, &str)]) -> Vec<String> {
        let (old, new) = (file(old), file(new));
        let moved = moved(&old, &new, &Categories::shipped());
        let net = |net: Option<IpNet>| net.map_or_else(|| String::from("rest"), |net| net.to_string());
        moved.iter().map(|m| format!("{} {} {}", net(m.net), m.from.id, m.to.id)).collect()
    }

    #[test]
    fn only_addresses_that_get_another_profile_are_told() {
        assert_eq!(said(&[], &[("ks2", "10.0.0.0/8")]), ["10.0.0.0/8 guest ks2"]);
        assert_eq!(said(&[("ks2", "10.0.0.0/8")], &[]), ["10.0.0.0/8 ks2 guest"]);
        assert_eq!(said(&[], &[("guest", "10.0.0.0/8")]), [""; 0], "they had it anyway");
        let nested = [("staff", "10.0.0.0/8"), ("ks2", "10.1.0.0/16")];
        assert_eq!(said(&nested, &nested[..1]), ["10.1.0.0/16 ks2 staff"]);
        assert_eq!(said(&nested, &nested[1..]), ["10.0.0.0/8 staff guest"]);
    }

    #[test]
    fn a_network_that_is_all_in_smaller_ones_stands_for_nothing() {
        let halves = [("staff", "10.0.0.0/8"), ("ks2", "10.1.0.0/17"), ("ks2", "10.1.128.0/17")];
        let whole = [("staff", "10.0.0.0/8"), ("ks2", "10.1.0.0/16")];
        assert_eq!(said(&whole, &halves), [""; 0]);
        assert_eq!(said(&whole, &halves[..2]), ["10.1.0.0/16 ks2 staff"], "the other half");
        let all = [("ks2", "::/0")];
        assert_eq!(said(&all, &[("ks2", "::/1"), ("ks2", "8000::/1")]), [""; 0]);
        assert_eq!(said(&all, &[("ks2", "::/1")]), ["::/0 ks2 guest"]);
    }

    #[test]
    fn networks_that_are_written_otherwise_are_the_same() {
        assert_eq!(said(&[("ks2", "10.0.0.0/24")], &[("ks2", "::ffff:10.0.0.7/120")]), [""; 0]);
        assert_eq!(said(&[("ks2", "10.0.0.1")], &[("ks2", "10.0.0.1/32")]), [""; 0]);
    }

    #[test]
    fn the_rest_is_told_where_the_fallback_is_another_one() {
        let (old, mut new) = (file(&[]), file(&[]));
        new.fallback_profile = Some(String::from("staff"));
        let moved = moved(&old, &new, &Categories::shipped());
        let [Moved { net: None, from, to }] = moved.as_slice() else { panic!("{moved:?}") };
        assert_eq!((from.id.as_str(), to.id.as_str()), ("guest", "staff"));
    }
}
