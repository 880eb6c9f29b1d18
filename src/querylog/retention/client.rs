//! One device, as people name it, and which lines of the log are its.

use std::net::IpAddr;

use ipnet::IpNet;
use rusqlite::Connection;

use crate::{
    clients::Mac,
    querylog::{
        day::rows::AskerRow,
        error::LogError,
        privacy::{self, DayKey},
    },
};

/// The longest name of a device that anybody would write.
const LONGEST: usize = 256;

/// A device that somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// By its address.
    Address(IpAddr),
    /// All devices of a subnet, as of a room.
    Net(IpNet),
    /// By its link-layer address.
    Mac(String),
    /// By what stands for it on one day.
    Pseudonym(String),
    /// By the name that the school gave it, without regard to capitals.
    Name(String),
}

impl Wanted {
    /// Reads what somebody wrote.
    pub(super) fn parse(text: &str) -> Result<Self, LogError> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST {
            return Err(LogError::input(
                "--client",
                "write an address (10.20.2.31), a MAC address, the name of a device, or a pseudonym of the log",
            ));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net.trunc()));
        }
        if let Ok(mac) = text.parse::<Mac>() {
            return Ok(Self::Mac(mac.to_string()));
        }
        if privacy::is_pseudonym(text) {
            return Ok(Self::Pseudonym(text.to_owned()));
        }
        Ok(Self::Name(text.to_lowercase()))
    }

    /// Whether an asker is this device, as far as the log says so. Who stands behind a pseudonym is known with the key
    /// of the day.
    pub(super) fn is(&self, asker: &AskerRow, key: Option<&DayKey>) -> bool {
        if self.is_one_of(&asker.client, &asker.device, &asker.mac) {
            return true;
        }
        let behind = asker.sealed.as_deref().zip(key).and_then(|(sealed, key)| key.open(sealed));
        behind.is_some_and(|who| self.is_one_of(&who.address, &who.device, &who.mac))
    }

    /// Whether what the roll-ups have for a client is this device.
    pub(super) fn is_client(&self, client: &str) -> bool {
        self.is_one_of(client, "", "")
    }

    fn is_one_of(&self, client: &str, device: &str, mac: &str) -> bool {
        match self {
            Self::Address(wanted) => {
                client.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == *wanted)
            }
            Self::Net(wanted) => {
                client.parse::<IpAddr>().is_ok_and(|address| wanted.contains(&address.to_canonical()))
            }
            Self::Mac(wanted) => mac.eq_ignore_ascii_case(wanted),
            Self::Pseudonym(wanted) => client == wanted,
            Self::Name(wanted) => !device.is_empty() && device.to_lowercase() == *wanted,
        }
    }
}

/// The askers of a day file that are the device: number and what stands for it, in the order of the numbers.
pub(super) fn askers_of(
    connection: &Connection,
    wanted: &Wanted,
    key: Option<&DayKey>,
) -> rusqlite::Result<Vec<(i64, AskerRow)>> {
    let mut found = Vec::new();
    let sql = format!("SELECT id, {} FROM asker ORDER BY id", AskerRow::COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, asker) = (row.get(0)?, AskerRow::read(row, 1)?);
        if wanted.is(&asker, key) {
            found.push((id, asker));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(client: &str, device: &str, mac: &str) -> AskerRow {
        AskerRow { client: client.into(), device: device.into(), mac: mac.into(), ..AskerRow::default() }
    }

    #[test]
    fn a_device_is_named_by_address_mac_name_or_pseudonym() {
        let tablet = asker("10.20.2.31", "Tablet 7", "02:00:5e:00:53:01");
        for text in [
            "10.20.2.31",
            "::ffff:10.20.2.31",
            "10.20.2.0/24",
            "10.20.2.9/24",
            "tablet 7",
            " Tablet 7 ",
            "02:00:5E:00:53:01",
        ] {
            assert!(Wanted::parse(text).unwrap().is(&tablet, None), "{text}");
        }
        for text in ["10.20.2.3", "10.20.3.0/24", "tablet", "02:00:5e:00:53:02", "device-0123456789ab"] {
            assert!(!Wanted::parse(text).unwrap().is(&tablet, None), "{text}");
        }
        let hidden = asker("device-0123456789ab", "", "");
        assert!(Wanted::parse("device-0123456789ab").unwrap().is(&hidden, None));
        for text in ["", "  ", &"x".repeat(300)] {
            let error = Wanted::parse(text).unwrap_err();
            assert!(error.is_bad_input() && error.to_string().starts_with("--client: "), "{error}");
        }
    }
}
