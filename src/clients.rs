//! Who asks: from an address (and, where known, a MAC) to a device and a profile.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use foldhash::fast::RandomState;
use ipnet::{IpNet, Ipv4Net};

/// A subnet as people type it, without the bits behind its prefix: `10.20.2.0/24`, or with a mask, as
/// `10.20.2.0/255.255.255.0`.
#[must_use]
pub fn read_subnet(text: &str) -> Option<IpNet> {
    let text = text.trim();
    if let Ok(net) = text.parse::<IpNet>() {
        return Some(net.trunc());
    }
    let (address, mask) = text.split_once('/')?;
    let net = Ipv4Net::with_netmask(address.trim().parse().ok()?, mask.trim().parse().ok()?).ok()?;
    Some(IpNet::V4(net.trunc()))
}

/// The place of a profile in its [`Policy`](crate::policy::Policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ProfileId(pub u16);

/// Who asks a question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Client {
    /// The address that the question came from (an IPv4-mapped one as IPv4).
    pub address: IpAddr,
    /// Its link-layer address, where the neighbour table knows it.
    pub mac: Option<Mac>,
    /// The place of its named device in the policy, if it is one.
    pub device: Option<u16>,
    /// The rules for it.
    pub profile: ProfileId,
    /// No device and no subnet knows it: it got the fallback profile.
    pub unknown: bool,
}

/// A link-layer (Ethernet, Wi-Fi) address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let hex = |p: &&str| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit());
            let part = parts.next().filter(hex).ok_or(MacError)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacError)?;
        }
        if parts.next().is_some() { Err(MacError) } else { Ok(Self(bytes)) }
    }
}

/// The text is not a link-layer address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address; write it as aa:bb:cc:dd:ee:ff")]
pub struct MacError;

/// A device that is known by name, by the addresses that tell it apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Its link-layer address.
    pub mac: Option<Mac>,
    /// Its address, where that stays the same.
    pub address: Option<IpAddr>,
    /// Its profile; that of its subnet, if none is set.
    pub profile: Option<ProfileId>,
}

/// The subnets of one prefix length.
type Level<T> = (u8, HashMap<T, ProfileId, RandomState>);

/// Finds who asks; made once from what the school wrote.
#[derive(Debug, Default)]
pub struct ClientIndex {
    by_mac: HashMap<Mac, u16, RandomState>,
    by_address: HashMap<IpAddr, u16, RandomState>,
    /// The profile of each device, in the order it was given.
    devices: Vec<Option<ProfileId>>,
    /// The link-layer address of each device.
    macs: Vec<Option<Mac>>,
    /// Subnets by the length of their prefix, the longest first.
    v4: Vec<Level<u32>>,
    v6: Vec<Level<u128>>,
    fallback: ProfileId,
}

impl ClientIndex {
    /// Makes the index. Of two devices with one address, and of two equal subnets, the first one counts.
    ///
    /// An IPv4-mapped subnet (`::ffff:10.0.0.0/104`) is taken as the IPv4 one.
    #[must_use]
    pub fn new(devices: &[Device], subnets: &[(IpNet, ProfileId)], fallback: ProfileId) -> Self {
        let mut index = Self { fallback, ..Self::default() };
        for (place, device) in (0..=u16::MAX).zip(devices) {
            if let Some(mac) = device.mac {
                index.by_mac.entry(mac).or_insert(place);
            }
            if let Some(address) = device.address {
                index.by_address.entry(address.to_canonical()).or_insert(place);
            }
            index.devices.push(device.profile);
            index.macs.push(device.mac);
        }
        for (net, profile) in subnets {
            match (net.network().to_canonical(), net.network()) {
                (IpAddr::V4(base), IpAddr::V4(_)) => {
                    level(&mut index.v4, net.prefix_len()).entry(base.to_bits()).or_insert(*profile);
                }
                (IpAddr::V4(base), IpAddr::V6(_)) if net.prefix_len() >= 96 => {
                    level(&mut index.v4, net.prefix_len() - 96).entry(base.to_bits()).or_insert(*profile);
                }
                (_, IpAddr::V6(base)) => {
                    level(&mut index.v6, net.prefix_len()).entry(base.to_bits()).or_insert(*profile);
                }
                (IpAddr::V6(_), IpAddr::V4(_)) => {}
            }
        }
        index
    }

    /// Finds a client: a named device by its MAC before its address, then the longest subnet, then the fallback.
    #[must_use]
    pub fn identify(&self, address: IpAddr, mac: Option<Mac>) -> Client {
        let address = address.to_canonical();
        let device = mac.and_then(|mac| self.by_mac.get(&mac)).copied().or_else(|| {
            let place = *self.by_address.get(&address)?;
            // Another machine at the device's address is not the device.
            let own = self.macs.get(usize::from(place)).copied().flatten();
            (own.is_none() || mac.is_none() || own == mac).then_some(place)
        });
        let own = device.and_then(|place| self.devices.get(usize::from(place)).copied().flatten());
        let found = own.or_else(|| self.subnet(address).map(|(_, profile)| profile));
        // A device that is named but has neither a profile nor a known subnet is still unknown as far as rules go.
        Client { address, mac, device, profile: found.unwrap_or(self.fallback), unknown: found.is_none() }
    }

    /// Whether a device is written down with this address, or a subnet of at least /16 (IPv4) or /32 (IPv6) with it.
    #[must_use]
    pub fn knows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.by_address.contains_key(&address)
            || self
                .subnet(address)
                .is_some_and(|(length, _)| length >= if address.is_ipv4() { 16 } else { 32 })
    }

    /// The longest subnet with an address: the length of its prefix, and its profile.
    fn subnet(&self, address: IpAddr) -> Option<(u8, ProfileId)> {
        match address {
            IpAddr::V4(address) => self.v4.iter().find_map(|(length, nets)| {
                let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                nets.get(&(Ipv4Addr::to_bits(address) & mask)).map(|profile| (*length, *profile))
            }),
            IpAddr::V6(address) => self.v6.iter().find_map(|(length, nets)| {
                let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
                nets.get(&(Ipv6Addr::to_bits(address) & mask)).map(|profile| (*length, *profile))
            }),
        }
    }
}

/// The subnets of one prefix length, in a list that stays sorted with the longest first.
fn level<T>(levels: &mut Vec<Level<T>>, length: u8) -> &mut HashMap<T, ProfileId, RandomState> {
    let at = levels.partition_point(|(other, _)| *other > length);
    if levels.get(at).is_none_or(|(other, _)| *other != length) {
        levels.insert(at, (length, HashMap::default()));
    }
    &mut levels[at].1
}

#[cfg(test)]
mod tests {
    use super::*;

    const FALLBACK: ProfileId = ProfileId(9);

    #[test]
    fn another_machine_at_a_devices_address_is_not_the_device() {
        let device = Device {
            mac: Some("aa:bb:cc:dd:ee:01".parse().unwrap()),
            address: Some("10.1.2.3".parse().unwrap()),
            profile: Some(ProfileId(5)),
        };
        let index = ClientIndex::new(&[device], &[], FALLBACK);
        let at = "10.1.2.3".parse().unwrap();
        assert_eq!(index.identify(at, Some("aa:bb:cc:dd:ee:02".parse().unwrap())).profile, FALLBACK);
        assert_eq!(index.identify(at, Some("aa:bb:cc:dd:ee:01".parse().unwrap())).profile, ProfileId(5));
        assert_eq!(index.identify(at, None).profile, ProfileId(5), "without a known MAC the address counts");
    }

    fn index() -> ClientIndex {
        let net = |text: &str, profile| (text.parse().unwrap(), ProfileId(profile));
        let devices = [
            Device {
                mac: Some("aa:bb:cc:dd:ee:01".parse().unwrap()),
                address: None,
                profile: Some(ProfileId(5)),
            },
            Device { mac: None, address: Some("10.1.2.3".parse().unwrap()), profile: Some(ProfileId(6)) },
            Device { mac: None, address: Some("10.1.2.4".parse().unwrap()), profile: None },
        ];
        let nets = [
            net("10.0.0.0/8", 0),
            net("10.1.0.0/16", 1),
            net("10.1.2.0/24", 2),
            net("2001:db8::/32", 3),
            net("2001:db8:1::/48", 4),
        ];
        ClientIndex::new(&devices, &nets, FALLBACK)
    }

    fn profile(address: &str, mac: Option<&str>) -> u16 {
        index().identify(address.parse().unwrap(), mac.map(|m| m.parse().unwrap())).profile.0
    }

    #[test]
    fn what_is_written_down_is_known_unless_it_is_half_of_the_internet() {
        let net = |text: &str| (text.parse::<IpNet>().unwrap(), ProfileId(0));
        let device = Device { address: Some("198.51.100.7".parse().unwrap()), ..Device::default() };
        let nets = ["203.0.113.0/24", "192.0.0.0/15", "2001:db8::/48", "0.0.0.0/0", "::/0"].map(net);
        let index = ClientIndex::new(&[device], &nets, FALLBACK);
        let knows = |text: &str| index.knows(text.parse().unwrap());
        for known in ["203.0.113.9", "::ffff:203.0.113.9", "198.51.100.7", "2001:db8::1"] {
            assert!(knows(known), "{known}");
        }
        for stranger in ["203.0.114.9", "192.0.0.1", "198.51.100.8", "2001:db8:1::1", "9.9.9.9"] {
            assert!(!knows(stranger), "{stranger}");
        }
    }

    #[test]
    fn the_longest_subnet_decides() {
        assert_eq!(profile("10.200.0.1", None), 0);
        assert_eq!(profile("10.1.200.1", None), 1);
        assert_eq!(profile("10.1.2.200", None), 2);
        assert_eq!(profile("2001:db8:2::1", None), 3);
        assert_eq!(profile("2001:db8:1::1", None), 4);
    }

    #[test]
    fn a_named_device_comes_before_its_subnet_and_its_mac_before_its_address() {
        assert_eq!(profile("10.1.2.3", None), 6);
        assert_eq!(profile("10.1.2.3", Some("aa:bb:cc:dd:ee:01")), 5);
        assert_eq!(profile("192.0.2.1", Some("AA-BB-CC-DD-EE-01")), 5);
        let client = index().identify("10.1.2.4".parse().unwrap(), None);
        assert_eq!((client.device, client.profile, client.unknown), (Some(2), ProfileId(2), false));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_one() {
        let client = index().identify("::ffff:10.1.2.3".parse().unwrap(), None);
        assert_eq!(client.address, "10.1.2.3".parse::<IpAddr>().unwrap());
        assert_eq!(client.profile, ProfileId(6));
    }

    #[test]
    fn a_mapped_subnet_is_the_ipv4_one() {
        let nets = [("::ffff:10.9.0.0/112".parse().unwrap(), ProfileId(1))];
        let index = ClientIndex::new(&[], &nets, FALLBACK);
        assert_eq!(index.identify("10.9.1.1".parse().unwrap(), None).profile, ProfileId(1));
        assert_eq!(index.identify("10.8.1.1".parse().unwrap(), None).profile, FALLBACK);
    }

    #[test]
    fn who_is_not_known_gets_the_fallback_and_is_flagged() {
        let client = index().identify("192.0.2.1".parse().unwrap(), Some(Mac([0; 6])));
        assert_eq!((client.profile, client.unknown), (FALLBACK, true));
        assert!(!index().identify("10.0.0.1".parse().unwrap(), None).unknown);
    }

    #[test]
    fn a_subnet_of_everything_holds_every_address() {
        let nets = [("0.0.0.0/0".parse().unwrap(), ProfileId(1)), ("::/0".parse().unwrap(), ProfileId(2))];
        let index = ClientIndex::new(&[], &nets, FALLBACK);
        assert_eq!(index.identify("192.0.2.1".parse().unwrap(), None).profile, ProfileId(1));
        assert_eq!(index.identify("2001:db8::1".parse().unwrap(), None).profile, ProfileId(2));
    }

    #[test]
    fn a_mac_is_read_with_colons_or_hyphens() {
        let mac: Mac = "AA-bb-cc-00-01-02".parse().unwrap();
        assert_eq!(mac.to_string(), "aa:bb:cc:00:01:02");
        for bad in ["", "aa:bb:cc:dd:ee", "aa:bb:cc:dd:ee:ff:00", "gg:bb:cc:dd:ee:ff", "+a:bb:cc:dd:ee:ff"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
