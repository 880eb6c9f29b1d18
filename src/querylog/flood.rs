//! Floods: refused questions of one client beyond a few each minute are counted and get no row.
//!
//! Without it, anybody who can reach the box could fill its disk with refusals, and the oldest days would have to go.

use std::{collections::HashMap, net::IpAddr};

/// How many refused questions of one client get a row in one minute.
const ROWS: u32 = 10;

/// How many clients are told apart in one minute; refused questions of more get no row.
const CLIENTS: usize = 4_096;

/// How often each client was refused in the current minute.
#[derive(Debug, Default)]
pub(super) struct Floods {
    /// Minutes since 1970.
    minute: i64,
    refused: HashMap<IpAddr, u32>,
}

impl Floods {
    /// Whether a refused question gets a row.
    pub(super) fn admits(&mut self, client: IpAddr, at_ms: i64) -> bool {
        let minute = at_ms.div_euclid(60_000);
        if minute != self.minute {
            self.minute = minute;
            self.refused.clear();
        }
        if self.refused.len() >= CLIENTS && !self.refused.contains_key(&client) {
            return false;
        }
        let refused = self.refused.entry(client).or_insert(0);
        *refused += 1;
        *refused <= ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_refused_again_and_again_gets_a_few_rows_a_minute() {
        let mut floods = Floods::default();
        let rows = |floods: &mut Floods, client: &str, at_ms| {
            (0..100).filter(|_| floods.admits(client.parse().unwrap(), at_ms)).count()
        };
        assert_eq!(rows(&mut floods, "192.0.2.1", 0), 10);
        assert_eq!(rows(&mut floods, "192.0.2.2", 59_999), 10);
        assert_eq!(rows(&mut floods, "192.0.2.1", 59_999), 0);
        assert_eq!(rows(&mut floods, "192.0.2.1", 60_000), 10);
    }

    #[test]
    fn a_flood_of_made_up_clients_does_not_fill_the_memory() {
        let mut floods = Floods::default();
        let rows = (0..100_000u32).filter(|n| floods.admits(IpAddr::V4((*n).into()), 0)).count();
        assert_eq!((rows, floods.refused.len()), (CLIENTS, CLIENTS));
    }
}
