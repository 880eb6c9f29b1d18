//! Addresses that a public name has no business to have.
//!
//! An outsider who gives his name the address of a machine at the school makes the pupils' browsers his way in (DNS
//! rebinding). `0.0.0.0` and `::` count too: some systems connect them to the machine itself, and an upstream that
//! answers with them means a block anyway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is private, local or of the machine itself, also when it is wrapped in an IPv6 one.
///
/// IPv4: `0.0.0.0/8`, `10.0.0.0/8`, `100.64.0.0/10` (shared by carriers), `127.0.0.0/8`, `169.254.0.0/16`,
/// `172.16.0.0/12`, `192.168.0.0/16`. IPv6: `::`, `::1`, `fc00::/7`, `fe80::/10`, `fec0::/10`, `64:ff9b:1::/48`, and the
/// IPv4 ones within `::/96`, `::ffff:0:0/96`, `64:ff9b::/96` and `2002::/16`.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    a == 0
        || (a == 100 && (64..128).contains(&b))
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let wrapped =
        |high: u16, low: u16| is_private_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match s {
        // `::` and `::1` are here too: 0.0.0.0 and 0.0.0.1 are of 0.0.0.0/8.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => wrapped(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => wrapped(high, low),
        [0x64, 0xff9b, 1, ..] => true,
        [0x2002, high, low, ..] => wrapped(high, low),
        [first, ..] => first & 0xfe00 == 0xfc00 || first & 0xff80 == 0xfe80,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known_in_every_wrapping() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "::",
            "::1",
            "::10.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::c0a8:101",
            "64:ff9b:1::1",
            "2002:a00:1::1",
            "2002:c0a8:101::",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
        ] {
            assert!(is_private(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_let_through() {
        for text in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "192.0.0.170",
            "11.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2001:db8::1",
            "2606:4700::1",
            "2a00:1450::1",
            "ff02::1",
        ] {
            assert!(!is_private(text.parse().unwrap()), "{text}");
        }
    }
}
