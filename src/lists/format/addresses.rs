//! Addresses and subnets, one a line.

use std::net::IpAddr;

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
    match (first.parse(), last.parse()) {
        (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) if first <= last => {
            all_or_none(Ipv4Subnets::new(first, last, 0).map(IpNet::from), out);
        }
        (Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))) if first <= last => {
            all_or_none(Ipv6Subnets::new(first, last, 0).map(IpNet::from), out);
        }
        _ => out(Err(SkipReason::Syntax)),
    }
}

/// A range that holds a subnet which is too broad is too broad as a whole.
fn all_or_none(nets: impl Iterator<Item = IpNet>, out: Out<'_>) {
    match nets.map(|net| entry::subnet(net, false)).collect::<Result<Vec<_>, _>>() {
        Ok(rules) => rules.into_iter().for_each(|rule| out(Ok(rule))),
        Err(reason) => out(Err(reason)),
    }
}
