//! Networks, devices and strangers as people read them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

use super::super::super::words::Words;
use crate::{
    clients::{Mac, read_subnet},
    clock::Day,
    policy::{Policy, PolicyFile, ProfileFile},
    querylog::Strangers,
};

/// How many addresses of one network are named.
const NAMED: usize = 12;

/// How many networks of strangers are shown.
const STRAYS: usize = 50;

/// A subnet of a profile.
pub(super) struct Network {
    pub(super) subnet: String,
    pub(super) profile: String,
    /// What lies around it, and should be known; may be empty.
    pub(super) note: String,
    /// Whether somebody should look at it.
    pub(super) is_odd: bool,
}

/// Reads a subnet; an address alone is the subnet of itself.
pub(super) fn subnet(text: &str) -> Option<IpNet> {
    read_subnet(text).or_else(|| text.trim().parse::<IpAddr>().ok().map(IpNet::from))
}

/// Every subnet in the order of addresses, each with the one around it.
pub(super) fn networks(file: &PolicyFile, words: &Words) -> Vec<Network> {
    let all: Vec<(IpNet, &ProfileFile)> = file
        .profiles
        .iter()
        .flat_map(|profile| profile.subnets.iter().filter_map(move |text| Some((subnet(text)?, profile))))
        .collect();
    let mut sorted = all.clone();
    sorted.sort_by_key(|(net, _)| *net);
    let line = |(net, profile): (IpNet, &ProfileFile)| {
        let around = all.iter().filter(|(other, _)| *other != net && other.contains(&net));
        let (note, is_odd) = match around.max_by_key(|(other, _)| other.prefix_len()) {
            None if net.addr().is_loopback() => (words.get("networks-loopback"), false),
            None => (String::new(), false),
            Some((other, outer)) => {
                let values = [("network", other.to_string().into()), ("profile", outer.title().into())];
                let is_odd = outer.audience != profile.audience;
                let key = if is_odd { "networks-within-others" } else { "networks-within" };
                (words.with(key, values), is_odd)
            }
        };
        Network { subnet: net.to_string(), profile: profile.title().to_owned(), note, is_odd }
    };
    sorted.into_iter().map(line).collect()
}

/// A device that the school knows by name.
pub(super) struct Device {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) mac: String,
    /// The title of the profile that it has.
    pub(super) profile: String,
    pub(super) is_suspended: bool,
    /// What should be known of it; may be empty.
    pub(super) note: String,
}

pub(super) fn devices(policy: &Policy, words: &Words) -> Vec<Device> {
    let file = policy.file();
    let title = |id: &str| {
        file.profiles.iter().find(|profile| profile.id == id).map_or(id, |profile| profile.title()).to_owned()
    };
    let line = |device: &crate::policy::DeviceFile| {
        let address = device.address.as_deref().and_then(|text| text.trim().parse::<IpAddr>().ok());
        // What its network alone would give it.
        let network = address.and_then(|address| {
            let nets = file.profiles.iter().flat_map(|profile| {
                profile.subnets.iter().filter_map(move |text| Some((subnet(text)?, profile)))
            });
            let around = nets.filter(|(net, _)| net.contains(&address));
            around.max_by_key(|(net, _)| net.prefix_len()).map(|(_, profile)| profile.title().to_owned())
        });
        let (profile, note) = match (&device.profile, network) {
            (Some(own), Some(network)) if title(own) != network => {
                (title(own), words.with("networks-unlike", [("profile", network.into())]))
            }
            (Some(own), _) => (title(own), String::new()),
            (None, Some(network)) => {
                (words.with("networks-by-network", [("profile", network.into())]), String::new())
            }
            (None, None) if address.is_some() => {
                (words.get("networks-by-fallback"), words.get("networks-no-network"))
            }
            (None, None) => (words.get("networks-by-its-network"), String::new()),
        };
        Device {
            name: device.name.clone(),
            address: device.address.clone().unwrap_or_default(),
            mac: device.mac.clone().unwrap_or_default(),
            profile,
            is_suspended: device.suspended,
            note,
        }
    };
    let mut lines: Vec<Device> = file.devices.iter().map(line).collect();
    lines.sort_by_key(|device| device.name.to_lowercase());
    lines
}

/// Some devices and subnets under one name.
pub(super) struct Group {
    pub(super) id: String,
    pub(super) members: String,
    /// How many profiles' cells are open for it.
    pub(super) uses: usize,
}

pub(super) fn groups(file: &PolicyFile) -> Vec<Group> {
    let is_used = |id: &str, cell: &crate::policy::Cell| matches!(cell, crate::policy::Cell::AllowFor(group) if group == id);
    let line = |group: &crate::policy::GroupFile| Group {
        id: group.id.clone(),
        members: group.devices.join(", "),
        uses: file
            .profiles
            .iter()
            .flat_map(|profile| profile.categories.values().chain(profile.services.values()))
            .filter(|cell| is_used(&group.id, cell))
            .count(),
    };
    file.groups.iter().map(line).collect()
}

/// A network that no profile has, from which somebody asked.
pub(super) struct Stray {
    pub(super) network: String,
    pub(super) count: usize,
    /// Some of the addresses, where they may be seen.
    pub(super) addresses: String,
    /// The last day, as people read it.
    pub(super) last: String,
}

/// Who asked from outside all networks, by the networks that they are probably in. Those that got one since are left out.
pub(super) fn strays(policy: &Policy, found: &Strangers, may_see: bool, words: &Words) -> Vec<Stray> {
    let mut nets: BTreeMap<IpNet, Vec<(IpAddr, Option<Mac>, Day)>> = BTreeMap::new();
    for stranger in &found.seen {
        if policy.identify(stranger.address, stranger.mac).unknown {
            let net = probable(stranger.address);
            nets.entry(net).or_default().push((stranger.address, stranger.mac, stranger.last));
        }
    }
    let mut strays: Vec<(Day, Stray)> = nets
        .into_iter()
        .filter_map(|(net, clients)| {
            let last = clients.iter().map(|(.., last)| *last).max()?;
            let mut named: Vec<String> =
                clients.iter().take(NAMED).map(|(address, ..)| policy.shown_address(*address)).collect();
            if clients.len() > NAMED {
                named.push(words.with("networks-more", [("count", (clients.len() - NAMED).into())]));
            }
            let addresses = if may_see { named.join(", ") } else { String::new() };
            let last_day = last.date().strftime("%a %-d %b").to_string();
            Some((last, Stray { network: net.to_string(), count: clients.len(), addresses, last: last_day }))
        })
        .collect();
    strays.sort_by_key(|(last, stray)| std::cmp::Reverse((*last, stray.count)));
    strays.truncate(STRAYS);
    strays.into_iter().map(|(_, stray)| stray).collect()
}

/// The network that an address is probably in: as large as schools make them.
fn probable(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpNet::new(Ipv4Addr::new(a, b, c, 0).into(), 24)
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !(u128::from(u64::MAX));
            IpNet::new(Ipv6Addr::from_bits(bits).into(), 64)
        }
    }
    .unwrap_or_else(|_| IpNet::from(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_probably_in_a_network_of_the_usual_size() {
        assert_eq!(probable("10.9.8.7".parse().unwrap()).to_string(), "10.9.8.0/24");
        assert_eq!(probable("2001:db8:1:2:3::4".parse().unwrap()).to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn a_subnet_is_read_without_what_is_behind_its_prefix() {
        assert_eq!(subnet(" 10.20.2.9/24 ").unwrap().to_string(), "10.20.2.0/24");
        assert_eq!(subnet("10.20.2.9").unwrap().to_string(), "10.20.2.9/32");
        assert_eq!(subnet("10.20.2"), None);
    }
}
