//! Which connections are open: bounded for each client and in all, the longest idle ones make room.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio_util::sync::CancellationToken;

use crate::places::counted_as;

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    all: usize,
    per_client: usize,
    begun: Instant,
    open: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    client: IpAddr,
    /// Since when it waits for a question, in microseconds of the table and one; 0 while it works on one. Told with each
    /// question, and looked at only when a connection comes: hence not behind the lock.
    idle_since: Arc<AtomicU64>,
    close: CancellationToken,
}

impl Connections {
    pub(super) fn new(all: usize, per_client: usize) -> Arc<Self> {
        Arc::new(Self { all, per_client, begun: Instant::now(), open: Mutex::default() })
    }

    /// Lets a connection in, if there is room or an idle one can make room; `close` is cancelled when it must go.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr, close: CancellationToken) -> Option<Seat> {
        let client = counted_as(client);
        let mut open = self.lock();
        let own = open.entries.values().filter(|entry| entry.client == client).count();
        let has_room = if own >= self.per_client {
            open.close_longest_idle(|entry| entry.client == client)
        } else if open.entries.len() >= self.all {
            open.close_longest_idle(|_| true)
        } else {
            true
        };
        if !has_room {
            return None;
        }
        let id = open.next;
        open.next += 1;
        let idle_since = Arc::new(AtomicU64::new(self.now()));
        open.entries.insert(id, Entry { client, idle_since: Arc::clone(&idle_since), close });
        drop(open);
        Some(Seat { connections: Arc::clone(self), id, idle_since })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX - 1) + 1
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Each change of the table is one insertion or removal, so a panic leaves it whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn close_longest_idle(&mut self, among: impl Fn(&Entry) -> bool) -> bool {
        let longest = self
            .entries
            .iter()
            .filter(|(_, entry)| among(entry))
            .map(|(id, entry)| (entry.idle_since.load(Ordering::Relaxed), *id))
            .filter(|(since, _)| *since > 0)
            .min();
        let Some((_, id)) = longest else { return false };
        if let Some(entry) = self.entries.remove(&id) {
            entry.close.cancel();
        }
        true
    }
}

/// The place of an open connection; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    connections: Arc<Connections>,
    id: u64,
    idle_since: Arc<AtomicU64>,
}

impl Seat {
    /// Says whether the connection waits for a question, which makes it the one to close when others need room.
    pub(super) fn set_idle(&self, idle: bool) {
        let since = if idle { self.connections.now() } else { 0 };
        self.idle_since.store(since, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.lock().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn the_longest_idle_connection_makes_room() {
        let connections = Connections::new(2, 2);
        let tokens: [CancellationToken; 3] = std::array::from_fn(|_| CancellationToken::new());
        let first = connections.enter(client(1), tokens[0].clone()).unwrap();
        let _second = connections.enter(client(2), tokens[1].clone()).unwrap();
        first.set_idle(false);
        let _third = connections.enter(client(3), tokens[2].clone()).unwrap();
        assert!(tokens[1].is_cancelled() && !tokens[0].is_cancelled() && !tokens[2].is_cancelled());
    }

    #[test]
    fn busy_connections_are_left_alone_and_newcomers_refused() {
        let connections = Connections::new(5, 1);
        let token = CancellationToken::new();
        let seat = connections.enter(client(1), token.clone()).unwrap();
        seat.set_idle(false);
        assert!(connections.enter(client(1), CancellationToken::new()).is_none());
        assert!(connections.enter(client(2), CancellationToken::new()).is_some(), "others have room");
        drop(seat);
        assert!(connections.enter(client(1), CancellationToken::new()).is_some());
        assert!(!token.is_cancelled());
    }
}
