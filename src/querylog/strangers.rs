//! Who asked and is in no subnet: for whom the school may want to give a profile.

use std::{collections::BTreeMap, net::IpAddr};

use rusqlite::Connection;

use super::{error::LogError, folder::LogFolder, habits::last_days};
use crate::{clients::Mac, clock::Day};

/// At most so many are told.
const MOST: usize = 20_000;

/// A client that neither a device nor a subnet knew when it asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Its address.
    pub address: IpAddr,
    /// Its link-layer address, where it is known.
    pub mac: Option<Mac>,
    /// The last day on which it asked.
    pub last: Day,
}

/// Those of the last days who were in no subnet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strangers {
    /// By their addresses, each once.
    pub seen: Vec<Stranger>,
    /// How many more there are behind a pseudonym of their day.
    pub hidden: u64,
}

/// The clients of the last days, today among them, that got the fallback profile. A day that can't be read counts for
/// nothing. Reads one short table of each day.
///
/// # Errors
///
/// When the folder can't be read.
pub fn strangers(folder: &LogFolder, today: Day, days: u16) -> Result<Strangers, LogError> {
    let mut seen: BTreeMap<IpAddr, Stranger> = BTreeMap::new();
    let mut hidden = 0;
    for (day, connection) in last_days(folder, today, days)? {
        for (client, mac) in askers(&connection).unwrap_or_default() {
            let Ok(address) = client.parse::<IpAddr>() else {
                hidden += 1;
                continue;
            };
            let address = address.to_canonical();
            let stranger = Stranger { address, mac: mac.parse().ok(), last: day };
            let known = seen.len() < MOST || seen.contains_key(&address);
            if known && seen.get(&address).is_none_or(|other| other.last <= day) {
                seen.insert(address, stranger);
            }
        }
    }
    Ok(Strangers { seen: seen.into_values().collect(), hidden })
}

fn askers(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare("SELECT DISTINCT client, mac FROM asker WHERE known_by = 'fallback'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::querylog::{
        Action,
        habits::tests::{TODAY, folder, write},
    };

    #[test]
    fn who_is_in_no_subnet_is_told_once() {
        let (_data, folder) = folder();
        for day in [TODAY, TODAY.minus(1), TODAY.minus(9)] {
            write(&folder, day, &[("maths.example", 4, 2, Action::Allowed)]);
            let connection = Connection::open(folder.day(day)).unwrap();
            let add = "INSERT INTO asker (client, profile, device, mac, known_by, confidence, lease_from, lease_until)
                VALUES (?1, 'ks1', '', '02:00:5e:00:53:01', 'fallback', 'none', 0, ?2)";
            for lease in [0, 1] {
                connection.execute(add, rusqlite::params!["10.9.9.9", lease]).unwrap();
            }
            connection.execute(add, rusqlite::params!["device-0123456789ab", 0]).unwrap();
        }
        let found = strangers(&folder, TODAY, 7).unwrap();
        let address = "10.9.9.9".parse().unwrap();
        let mac = "02:00:5e:00:53:01".parse().ok();
        assert_eq!(found.seen, [Stranger { address, mac, last: TODAY }]);
        assert_eq!(found.hidden, 2);
        assert_eq!(strangers(&folder, TODAY.minus(40), 7).unwrap(), Strangers::default());
    }
}
