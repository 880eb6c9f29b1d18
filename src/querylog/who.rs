//! One device, or some of them, as people name them: the one reading of what is written after `--client`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    day::rows::AskerRow,
    error::LogError,
    privacy::{self, DayKey},
};
use crate::clients::Mac;

/// The longest name of a device that anybody would write.
const LONGEST: usize = 256;

/// Who asked, as somebody named them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The client at an address.
    Address(IpAddr),
    /// The clients of a subnet, as of a room.
    Net(IpNet),
    /// The device with a link-layer address.
    Mac(Mac),
    /// What stands for a device on one day.
    Pseudonym(String),
    /// The device that the school gave this name, in lower case.
    Name(String),
}

impl Who {
    /// Reads what somebody wrote: an address, a subnet, a link-layer address, a pseudonym, or else a name.
    ///
    /// # Errors
    ///
    /// When it is empty, or longer than any name.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST {
            return Err(LogError::input("--client", Self::HOW));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net.trunc()));
        }
        if let Ok(mac) = text.parse::<Mac>() {
            return Ok(Self::Mac(mac));
        }
        if privacy::is_pseudonym(text) {
            return Ok(Self::Pseudonym(text.to_owned()));
        }
        Ok(Self::Name(text.to_lowercase()))
    }

    /// What can be written.
    pub(super) const HOW: &str = "write an address (10.20.2.31), a subnet, a MAC address, the name of a device, or a pseudonym of the log";

    /// Whether a client of the log is meant, by its address or pseudonym, and by the name and link-layer address of its
    /// device; empty where that is not known.
    #[must_use]
    pub fn is(&self, client: &str, device: &str, mac: &str) -> bool {
        let address = || client.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        match self {
            Self::Address(wanted) => address() == Some(*wanted),
            Self::Net(net) => address().is_some_and(|address| net.contains(&address)),
            Self::Mac(wanted) => mac.parse() == Ok(*wanted),
            Self::Pseudonym(wanted) => client == wanted,
            Self::Name(wanted) => !device.is_empty() && device.to_lowercase() == *wanted,
        }
    }

    /// The same, where the key of the day may tell which device in the open is shown under a pseudonym.
    pub(super) fn is_shown(&self, client: &str, device: &str, mac: &str, key: Option<&DayKey>) -> bool {
        let shown = || match (self, key) {
            (Self::Pseudonym(wanted), Some(key)) => {
                !privacy::is_pseudonym(client) && key.of_device(client, mac) == *wanted
            }
            _ => false,
        };
        self.is(client, device, mac) || shown()
    }

    /// Whether an asker is meant, as far as the log says so in the open.
    pub(super) fn is_asker(&self, asker: &AskerRow, key: Option<&DayKey>) -> bool {
        self.is_shown(&asker.client, &asker.device, &asker.mac, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_address_mac_name_or_pseudonym() {
        let is = |text: &str| Who::parse(text).unwrap().is("10.20.2.31", "Tablet 7", "02:00:5e:00:53:01");
        for text in [
            "10.20.2.31",
            "::ffff:10.20.2.31",
            "10.20.2.0/24",
            "10.20.2.9/24",
            "tablet 7",
            " Tablet 7 ",
            "02:00:5E:00:53:01",
            "02-00-5e-00-53-01",
        ] {
            assert!(is(text), "{text}");
        }
        for text in ["10.20.2.3", "10.20.3.0/24", "tablet", "02:00:5e:00:53:02", "device-0123456789ab"] {
            assert!(!is(text), "{text}");
        }
        assert!(Who::parse("device-0123456789ab").unwrap().is("device-0123456789ab", "", ""));
        // Who has no name is not called by the empty one, nor by its address.
        assert!(!Who::Name(String::new()).is("10.20.2.31", "", ""));
        for text in ["", "  ", &"x".repeat(300)] {
            let error = Who::parse(text).unwrap_err();
            assert!(error.is_bad_input() && error.to_string().starts_with("--client: "), "{error}");
        }
    }
}
