//! Sending what is logged on, to whoever collects logs already: dnstap, or syslog.
//!
//! A sink gets what the log shows and nothing more: it is offered the rows that were written, after they are on the
//! disk. Each sink has a queue of its own with an end, and a thread of its own, so that a collector which is slow or
//! gone never slows the log; what did not fit is counted.

mod config;
mod dnstap;
mod frames;
mod protobuf;
mod syslog;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

pub use self::config::{Address, Config, ConfigError, Kind};
use super::{entry::Entry, privacy::is_pseudonym};
use crate::{clock::Clock, vault::Digest};

/// How many rows wait for a collector: a few megabytes.
pub(super) const QUEUE: usize = 4_096;

/// How many rows are sent before they are pushed out.
const AT_ONCE: usize = 256;

/// How long the first wait is after a collector could not be reached; each one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long one step of talking to a collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A row on its way to collectors.
#[derive(Debug, Clone)]
pub struct Item {
    /// The row, as the log shows it.
    pub entry: Arc<Entry>,
    /// The reply that was sent, where it is known.
    pub reply: Option<Bytes>,
}

impl Item {
    /// Whether the device is to stay unknown.
    fn is_pseudonymous(&self) -> bool {
        is_pseudonym(&self.entry.client)
    }

    /// Whether the question, or what decided it, must not be shown.
    fn is_sealed(&self) -> bool {
        self.entry.name.contains(Digest::PREFIX) || self.entry.detail.contains(Digest::PREFIX)
    }
}

/// How a sink fares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SinkStatus {
    /// `dnstap` or `syslog`.
    pub kind: String,
    /// Where it sends to.
    pub address: String,
    /// Whether the collector was reached when it was last tried.
    pub connected: bool,
    /// Since when that is so; none before the first try.
    pub since: Option<Timestamp>,
    /// How many rows were sent since the start.
    pub sent: u64,
    /// How many rows were lost since the start: the queue was full, or a connection broke while they were on their way
    /// (some of these may have arrived). What is lost on the way of UDP nobody knows.
    pub lost: u64,
    /// Why the last try failed; none while it is connected.
    pub error: Option<String>,
}

/// All sinks of a box.
#[derive(Debug, Default)]
pub struct Sinks(Vec<Sink>);

#[derive(Debug)]
struct Sink {
    /// None once it was told to stop.
    queue: Mutex<Option<SyncSender<Item>>>,
    status: Arc<Mutex<SinkStatus>>,
    stop: Arc<Stop>,
    /// Says that it has ended: nothing is ever sent, the other end is dropped.
    ended: Mutex<Receiver<()>>,
}

/// Tells a sink that waits for its collector to wait no more.
#[derive(Debug, Default)]
struct Stop {
    is_told: Mutex<bool>,
    bell: Condvar,
}

impl Stop {
    fn tell(&self) {
        *lock(&self.is_told) = true;
        self.bell.notify_all();
    }

    /// Waits so long; says whether it was told to stop before.
    fn comes_within(&self, wait: Duration) -> bool {
        let told = self.bell.wait_timeout_while(lock(&self.is_told), wait, |told| !*told);
        *told.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What knows how to talk to one kind of collector.
trait Wire: Send {
    /// Opens a connection.
    fn connect(&mut self) -> io::Result<()>;
    /// Whether the other side has closed the connection.
    fn is_closed(&self) -> bool;
    /// Sends a row; what is sent may wait for [`flush`](Self::flush).
    fn send(&mut self, item: &Item) -> io::Result<()>;
    /// Pushes out what waits.
    fn flush(&mut self) -> io::Result<()>;
    /// Says goodbye.
    fn close(&mut self);
}

impl Sinks {
    /// Starts a thread for each sink. That a collector can't be reached is no error: it is tried again and again.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn start(configs: &[Config], clock: &Clock) -> io::Result<Self> {
        configs
            .iter()
            .map(|config| Sink::start(config, clock.clone(), QUEUE))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Whether there is none, so that nothing need be got ready for them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Offers rows that were written. Never waits: what does not fit into a sink's queue is counted as lost.
    pub fn offer(&self, items: &[Item]) {
        for sink in &self.0 {
            sink.offer(items);
        }
    }

    /// Counts rows that were written and could not even be offered.
    pub(super) fn lose(&self, rows: u64) {
        for sink in &self.0 {
            lock(&sink.status).lost += rows;
        }
    }

    /// How each of them fares.
    #[must_use]
    pub fn status(&self) -> Vec<SinkStatus> {
        self.0.iter().map(|sink| lock(&sink.status).clone()).collect()
    }

    /// Sends what is in the queues and ends, after `patience` in any case.
    pub fn stop(&self, patience: Duration) {
        for sink in &self.0 {
            drop(lock(&sink.queue).take());
            sink.stop.tell();
        }
        let until = std::time::Instant::now() + patience;
        for sink in &self.0 {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if lock(&sink.ended).recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                warn!(
                    address = lock(&sink.status).address,
                    "A collector of logs is slow; not all was sent to it"
                );
            }
        }
    }
}

impl Sink {
    fn start(config: &Config, clock: Clock, room: usize) -> io::Result<Self> {
        let wire: Box<dyn Wire> = match config.kind {
            Kind::Dnstap => Box::new(dnstap::Dnstap::new(config.address.clone())),
            Kind::Syslog => Box::new(syslog::Syslog::new(config.address.clone())),
        };
        let status = Arc::new(Mutex::new(SinkStatus {
            kind: config.kind.word().to_owned(),
            address: config.address.to_string(),
            ..SinkStatus::default()
        }));
        let (queue, items) = sync_channel(room);
        let (ending, ended) = sync_channel(1);
        let stop = Arc::<Stop>::default();
        let (to_runner, told) = (Arc::clone(&status), Arc::clone(&stop));
        let runner = Runner { wire, items, status: to_runner, stop: told, clock, waiting: Vec::new() };
        thread::Builder::new().name(format!("log {}", config.kind.word())).spawn(move || {
            // Dropped at the end, also after a panic.
            let _ending: SyncSender<()> = ending;
            runner.run();
        })?;
        Ok(Self { queue: Mutex::new(Some(queue)), status, stop, ended: Mutex::new(ended) })
    }

    fn offer(&self, items: &[Item]) {
        let queue = lock(&self.queue);
        let Some(queue) = queue.as_ref() else { return };
        let taken = items
            .iter()
            .take_while(|item| match queue.try_send((*item).clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            })
            .count();
        if taken < items.len() {
            lock(&self.status).lost += (items.len() - taken) as u64;
        }
    }
}

/// A panic while it was held left at worst a count that was not raised.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread of a sink.
struct Runner {
    wire: Box<dyn Wire>,
    items: Receiver<Item>,
    status: Arc<Mutex<SinkStatus>>,
    stop: Arc<Stop>,
    clock: Clock,
    /// Taken from the queue and not sent yet.
    waiting: Vec<Item>,
}

impl Runner {
    fn run(mut self) {
        let mut wait = FIRST_WAIT;
        loop {
            match self.wire.connect() {
                Ok(()) => {
                    self.is_connected(None);
                    wait = FIRST_WAIT;
                    match self.send_all() {
                        Ok(()) => {
                            self.wire.close();
                            return;
                        }
                        Err(error) => self.is_connected(Some(&error)),
                    }
                }
                Err(error) => self.is_connected(Some(&error)),
            }
            if self.stop.comes_within(wait) {
                // Nobody is there, and nobody waits.
                let left = self.waiting.len() as u64 + self.items.try_iter().count() as u64;
                lock(&self.status).lost += left;
                return;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Sends what comes, until the box stops.
    fn send_all(&mut self) -> io::Result<()> {
        loop {
            let mut over = false;
            if self.waiting.is_empty() {
                match self.items.recv() {
                    Ok(item) => self.waiting.push(item),
                    Err(_) => return Ok(()),
                }
            }
            while self.waiting.len() < AT_ONCE {
                match self.items.try_recv() {
                    Ok(item) => self.waiting.push(item),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        over = true;
                        break;
                    }
                }
            }
            // Before anything is sent into the void.
            if self.wire.is_closed() {
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "the collector closed the connection",
                ));
            }
            let items = std::mem::take(&mut self.waiting);
            let count = items.len() as u64;
            let sent =
                items.iter().try_for_each(|item| self.wire.send(item)).and_then(|()| self.wire.flush());
            let mut status = lock(&self.status);
            match sent {
                Ok(()) => status.sent += count,
                Err(error) => {
                    status.lost += count;
                    return Err(error);
                }
            }
            if over {
                return Ok(());
            }
        }
    }

    fn is_connected(&self, error: Option<&io::Error>) {
        let mut status = lock(&self.status);
        let connected = error.is_none();
        let changed = status.connected != connected || status.since.is_none();
        if changed {
            status.since = Some(self.clock.now());
        }
        status.connected = connected;
        status.error = error.map(ToString::to_string);
        let (kind, address) = (&status.kind, &status.address);
        match error {
            None => info!(kind, address, "The query log is sent on"),
            // Once, and not each time that it is tried again.
            Some(error) if changed => {
                warn!(kind, address, %error, "The query log can't be sent on; trying again")
            }
            Some(_) => {}
        }
    }
}
