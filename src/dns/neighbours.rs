//! Which link-layer address a client has: a snapshot of the kernel's neighbour table, read now and then.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use foldhash::fast::RandomState;
use tokio_util::sync::CancellationToken;

use crate::clients::Mac;

/// How often the kernel's table is read.
const EVERY: Duration = Duration::from_secs(5);
/// The kernel's table of IPv4 neighbours. Below `self`, since ProcSubset=pid hides /proc/net.
const TABLE: &str = "/proc/self/net/arp";

/// The neighbours on the box's own networks. IPv4 only: the kernel shows its IPv6 table over netlink alone.
#[derive(Debug, Default)]
pub struct Neighbours {
    table: ArcSwap<Table>,
}

type Table = HashMap<Ipv4Addr, Mac, RandomState>;

/// The neighbours at one moment.
#[derive(Debug)]
pub(super) struct Snapshot(Guard<Arc<Table>>);

impl Snapshot {
    /// The link-layer address of a client, if the kernel has talked to it on one of its own networks.
    pub(super) fn mac(&self, client: IpAddr) -> Option<Mac> {
        match client {
            IpAddr::V4(v4) => self.0.get(&v4).copied(),
            IpAddr::V6(_) => None,
        }
    }
}

impl Neighbours {
    /// The link-layer address of a client, if the kernel has talked to it on one of its own networks.
    #[must_use]
    pub fn mac(&self, client: IpAddr) -> Option<Mac> {
        self.now().mac(client)
    }

    /// The table as it is now, for several clients.
    pub(super) fn now(&self) -> Snapshot {
        Snapshot(self.table.load())
    }

    /// Takes a table in the form of /proc/self/net/arp in place of the last.
    pub(super) fn replace(&self, text: &str) {
        self.table.store(parse(text).into());
    }

    /// Keeps the snapshot fresh until it is stopped. A table that can't be read leaves the last one in force.
    pub(super) async fn watch(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match tokio::fs::read_to_string(Path::new(TABLE)).await {
                Ok(text) => self.replace(&text),
                Err(error) if !told => {
                    told = true;
                    tracing::warn!(%error, "{TABLE} can't be read: devices named by MAC are not recognised");
                }
                Err(_) => {}
            }
        }
    }
}

fn parse(text: &str) -> Table {
    let entry = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let address = fields.next()?.parse().ok()?;
        let flags = fields.nth(1)?;
        let mac: Mac = fields.next()?.parse().ok()?;
        // 0x2 is a complete entry; without it the address is the one that was last tried.
        let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
        (flags & 2 != 0 && mac.0 != [0; 6]).then_some((address, mac))
    };
    text.lines().skip(1).filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_entries_are_taken() {
        let neighbours = Neighbours::default();
        neighbours.replace(
            "IP address       HW type     Flags       HW address            Mask     Device\n\
             10.20.9.14       0x1         0x2         aa:bb:cc:dd:ee:ff     *        eth0\n\
             10.20.9.15       0x1         0x0         00:00:00:00:00:00     *        eth0\n\
             10.20.9.16       0x1         0x6         02:00:00:00:00:01     *        eth0\n\
             nonsense\n",
        );
        let mac = |text: &str| neighbours.mac(text.parse().unwrap()).map(|m| m.to_string());
        assert_eq!(mac("10.20.9.14").as_deref(), Some("aa:bb:cc:dd:ee:ff"));
        assert_eq!(mac("10.20.9.15"), None);
        assert_eq!(mac("10.20.9.16").as_deref(), Some("02:00:00:00:00:01"));
        assert_eq!(mac("fe80::1"), None);
    }
}
