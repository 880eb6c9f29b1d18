//! Addresses and subnets, one a line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::{Out, SkipReason, entry};

/// Reads a line: an address, a subnet (`192.0.2.0/24`) or a range (`192.0.2.1-192.0.2.9`).
pub(super) fn line(line: &str, out: Out<'_>) {
    let text = match entry::without_comment(line) {
        Ok(text) => text,
        Err(reason) => return out(Err(reason)),
    };
    let mut words = text.split_ascii_whitespace();
    let Some(word) = words.next() else { return };
    if words.next().is_some() {
        return out(Err(SkipReason::Syntax));
    }
    if let Ok(net) = word.parse::<IpNet>() {
        return out(entry::subnet(net, false));
    }
    if let Ok(address) = word.parse::<IpAddr>() {
        return out(entry::subnet(IpNet::from(address), false));
    }
    let Some((first, last)) = word.split_once('-') else { return out(Err(SkipReason::Syntax)) };
    // A range is at most 62 subnets (IPv4) or 254 (IPv6).
    if let (Ok(first), Ok(last)) = (first.parse::<Ipv4Addr>(), last.parse::<Ipv4Addr>()) {
        if first <= last {
            return Ipv4Subnets::new(first, last, 0).for_each(|net| out(entry::subnet(net.into(), false)));
        }
    } else if let (Ok(first), Ok(last)) = (first.parse::<Ipv6Addr>(), last.parse::<Ipv6Addr>()) {
        if first <= last {
            return Ipv6Subnets::new(first, last, 0).for_each(|net| out(entry::subnet(net.into(), false)));
        }
    }
    out(Err(SkipReason::Syntax));
}
