//! The settings of the box's network, as people type them and as the box reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the box comes by its address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A DHCP server gives it.
    #[default]
    Dhcp,
    /// It is set here.
    Static,
}

/// The settings of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "MachineNetwork")]
pub struct Network {
    /// How the box comes by its address.
    pub method: Method,
    /// Its IPv4 address with the length of the network, such as `10.20.0.2/16`.
    pub address: String,
    /// The IPv4 router.
    pub gateway: String,
    /// Its IPv6 address with the length of the network, such as `fd00:1::53/64`.
    pub address6: String,
    /// The IPv6 router.
    pub gateway6: String,
    /// Servers that the box itself asks while it can't resolve names yet.
    pub dns: Vec<String>,
    /// Time servers.
    pub ntp: Vec<String>,
    /// A name such as `enp1s0`, or a MAC address, where the box has several interfaces.
    pub interface: String,
}

/// The most servers of a kind.
const MOST_SERVERS: usize = 4;

impl Network {
    /// The same as the box would write it; with DHCP without addresses.
    ///
    /// # Errors
    ///
    /// A sentence for each thing that is wrong.
    pub fn checked(&self) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let mut checked = Self { method: self.method, ..Self::default() };
        if self.method == Method::Static {
            self.check_v4(&mut checked, &mut wrong);
            self.check_v6(&mut checked, &mut wrong);
            if self.address.trim().is_empty() && self.address6.trim().is_empty() {
                wrong.push(String::from("a fixed address is wanted, for IPv4 or IPv6"));
            }
        }
        for server in given(&self.dns) {
            match server.parse::<IpAddr>() {
                Ok(address) if is_server(address) => checked.dns.push(address.to_string()),
                _ => wrong.push(format!("DNS: '{server}' is no address of a server")),
            }
        }
        for server in given(&self.ntp) {
            if is_name(server) {
                checked.ntp.push(server.to_owned());
            } else {
                wrong.push(format!("time: '{server}' is no name and no address"));
            }
        }
        if checked.dns.len() > MOST_SERVERS || checked.ntp.len() > MOST_SERVERS {
            wrong.push(format!("{MOST_SERVERS} servers of a kind at most"));
        }
        let interface = self.interface.trim();
        if !interface.is_empty() && !is_interface(interface) {
            wrong.push(format!("'{interface}' is neither an interface such as enp1s0 nor a MAC address"));
        }
        checked.interface = interface.to_owned();
        if wrong.is_empty() { Ok(checked) } else { Err(wrong) }
    }

    fn check_v4(&self, checked: &mut Self, wrong: &mut Vec<String>) {
        let (address, gateway) = (self.address.trim(), self.gateway.trim());
        let mut own = None;
        if !address.is_empty() {
            match v4_with_length(address) {
                Ok(found) => {
                    own = Some(found);
                    checked.address = format!("{}/{}", found.0, found.1);
                }
                Err(why) => wrong.push(why),
            }
        } else if !gateway.is_empty() {
            wrong.push(String::from("there is an IPv4 router and no IPv4 address"));
        }
        if gateway.is_empty() {
            return;
        }
        let Ok(router) = gateway.parse::<Ipv4Addr>() else {
            wrong.push(format!("router: '{gateway}' is no IPv4 address"));
            return;
        };
        if let Some((own, length)) = own {
            let mask = u32::MAX << (32 - length);
            if u32::from(own) & mask != u32::from(router) & mask {
                wrong.push(format!("router: {router} is not in the network of {own}/{length}"));
            } else if own == router {
                wrong.push(format!("router: {router} is the box itself"));
            }
        }
        checked.gateway = router.to_string();
    }

    fn check_v6(&self, checked: &mut Self, wrong: &mut Vec<String>) {
        let (address, gateway) = (self.address6.trim(), self.gateway6.trim());
        if !address.is_empty() {
            let parts = address.split_once('/').and_then(|(address, length)| {
                Some((address.parse::<Ipv6Addr>().ok()?, length.parse::<u8>().ok()?))
            });
            match parts {
                Some((own, length @ 16..=128)) if is_host6(own) => checked.address6 = format!("{own}/{length}"),
                _ => wrong.push(format!(
                    "'{address}' is no IPv6 address of a box with the length of its network, such as fd00:1::53/64"
                )),
            }
        } else if !gateway.is_empty() {
            wrong.push(String::from("there is an IPv6 router and no IPv6 address"));
        }
        if !gateway.is_empty() {
            match gateway.parse::<Ipv6Addr>() {
                Ok(router) if is_host6(router) => checked.gateway6 = router.to_string(),
                _ => wrong.push(format!("router: '{gateway}' is no IPv6 address of a router")),
            }
        }
    }

    /// The settings as the box reads them.
    #[must_use]
    pub fn to_text(&self) -> String {
        let method = match self.method {
            Method::Dhcp => "dhcp",
            Method::Static => "static",
        };
        let mut text = format!("method = \"{method}\"\n");
        let (dns, ntp) = (self.dns.join(", "), self.ntp.join(", "));
        for (key, value) in [
            ("address", &self.address),
            ("gateway", &self.gateway),
            ("address6", &self.address6),
            ("gateway6", &self.gateway6),
            ("dns", &dns),
            ("ntp", &ntp),
            ("interface", &self.interface),
        ] {
            if !value.is_empty() {
                text.push_str(&format!("{key} = \"{value}\"\n"));
            }
        }
        text
    }

    /// Reads what [`Self::to_text`], or somebody with an editor, wrote; none where it makes no sense.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut read = Self::default();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=')?;
            let value = value.trim();
            let value = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?.0,
                None => value.split('#').next().unwrap_or_default().trim(),
            };
            let servers = || value.split([',', ' ']).map(str::to_owned).collect();
            match key.trim().to_ascii_lowercase().as_str() {
                "method" => {
                    read.method = match value {
                        "dhcp" => Method::Dhcp,
                        "static" => Method::Static,
                        _ => return None,
                    }
                }
                "address" => read.address = value.to_owned(),
                "gateway" => read.gateway = value.to_owned(),
                "address6" => read.address6 = value.to_owned(),
                "gateway6" => read.gateway6 = value.to_owned(),
                "dns" => read.dns = servers(),
                "ntp" => read.ntp = servers(),
                "interface" => read.interface = value.to_owned(),
                _ => return None,
            }
        }
        read.checked().ok()
    }

    /// The addresses at which the box is found, without lengths; none with DHCP.
    #[must_use]
    pub fn addresses(&self) -> Vec<&str> {
        let all = [self.address.as_str(), self.address6.as_str()].into_iter();
        all.filter_map(|text| text.split('/').next()).filter(|address| !address.is_empty()).collect()
    }

    /// All of it in a line, for the audit.
    #[must_use]
    pub fn said(&self) -> String {
        self.to_text().trim().replace('"', "").replace('\n', ", ")
    }
}

fn given(servers: &[String]) -> impl Iterator<Item = &str> {
    servers.iter().map(|server| server.trim()).filter(|server| !server.is_empty())
}

fn v4_with_length(text: &str) -> Result<(Ipv4Addr, u32), String> {
    let parts = text
        .split_once('/')
        .and_then(|(address, length)| Some((address.parse::<Ipv4Addr>().ok()?, length.parse::<u32>().ok()?)));
    let Some((address, length)) = parts else {
        return Err(format!(
            "'{text}' is no IPv4 address with the length of its network, such as 10.20.0.2/16"
        ));
    };
    if !(8..=31).contains(&length) {
        return Err(format!("a network of /{length} is not meant, from /8 to /31 are"));
    }
    let (number, mask) = (u32::from(address), u32::MAX << (32 - length));
    if length < 31 && (number & !mask == 0 || number | mask == u32::MAX) {
        return Err(format!("{address} is the network itself or its broadcast, not a box in it"));
    }
    if matches!(address.octets()[0], 0 | 127 | 224..) {
        return Err(format!("{address} can't be the address of a box"));
    }
    Ok((address, length))
}

/// Not one that stands for IPv4, which the box would not read.
fn is_host6(address: Ipv6Addr) -> bool {
    !address.is_unspecified()
        && !address.is_loopback()
        && !address.is_multicast()
        && !address.to_string().contains('.')
}

fn is_server(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
        }
        IpAddr::V6(address) => is_host6(address),
    }
}

fn is_name(text: &str) -> bool {
    let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || b".:-".contains(&byte);
    text.len() <= 253
        && text.bytes().all(is_sound)
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

fn is_interface(text: &str) -> bool {
    let is_mac = text.split(':').count() == 6
        && text.split(':').all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_own = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    is_mac
        || ((2..=15).contains(&text.len())
            && text.bytes().all(is_own)
            && text.as_bytes()[0].is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command};

    use proptest::prelude::*;

    use super::*;

    fn fixed(address: &str, gateway: &str) -> Network {
        Network {
            method: Method::Static,
            address: address.to_owned(),
            gateway: gateway.to_owned(),
            ..Network::default()
        }
    }

    fn servers(all: &[&str]) -> Vec<String> {
        all.iter().map(|server| (*server).to_owned()).collect()
    }

    #[test]
    fn what_a_box_can_not_have_is_refused() {
        for (address, gateway) in [
            ("10.20.0.2", ""),
            ("10.20.0.2/33", ""),
            ("10.20.0.0/16", ""),
            ("10.20.255.255/16", ""),
            ("127.0.0.1/8", ""),
            ("192.168.1.5/24", "192.168.2.1"),
            ("192.168.1.5/24", "192.168.1.5"),
            ("10.1.1.300/24", ""),
            ("10.1.1.3/24\"\nntp = \"x", ""),
            ("", "10.20.0.1"),
            ("", ""),
        ] {
            assert!(fixed(address, gateway).checked().is_err(), "{address} {gateway}");
        }
        let dhcp = Network { dns: servers(&["10.0.0.300"]), ..Network::default() };
        assert!(dhcp.checked().is_err());
    }

    #[test]
    fn the_appliance_accepts_what_is_accepted_here() {
        let helper =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("image/overlay/usr/lib/schoolgate/network-apply");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("network");
        let full = Network {
            address6: String::from("fd00:1::53/64"),
            gateway6: String::from("FE80::1"),
            dns: servers(&["10.20.0.10", " 2001:db8::1"]),
            ntp: servers(&["ntp.school.example", "10.20.0.10"]),
            interface: String::from("enp1s0"),
            ..fixed("10.20.0.2/16", "10.20.0.1")
        };
        let by_mac = Network { interface: String::from("52:54:00:ab:cd:ef"), ..Network::default() };
        for settings in [Network::default(), full, by_mac, fixed("192.168.1.2/31", "192.168.1.3")] {
            let settings = settings.checked().unwrap();
            assert_eq!(Network::parse(&settings.to_text()), Some(settings.clone()));
            fs::write(&file, settings.to_text()).unwrap();
            let checked = Command::new("bash").arg(&helper).arg("--check").arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&checked.stdout).into_owned();
            assert!(checked.status.success() && said.is_empty(), "{}: {said}", settings.to_text());
        }
    }

    #[test]
    fn what_somebody_wrote_by_hand_is_read() {
        let text = "\u{feff}method = static\r\naddress=10.20.0.2/16 # us\r\n\r\n#gateway = 1\r\n";
        assert_eq!(Network::parse(text), Some(fixed("10.20.0.2/16", "")));
        assert_eq!(Network::parse(text).unwrap().addresses(), ["10.20.0.2"]);
        assert_eq!(Network::parse("rubbish"), None);
        assert_eq!(Network::parse(""), Some(Network::default()));
    }

    proptest! {
        #[test]
        fn no_settings_panic_and_sound_ones_stay_on_their_lines(
            address in "[0-9./]{0,20}|.{0,12}", gateway in "[0-9.]{0,16}", text in any::<String>(),
        ) {
            let _ = Network::parse(&text);
            let mut settings = fixed(&address, &gateway);
            settings.ntp.push(text);
            if let Ok(settings) = settings.checked() {
                prop_assert_eq!(Network::parse(&settings.to_text()), Some(settings));
            }
        }
    }
}
