//! The query log: every question that arrived, who asked it and what became of it, for as long as the school keeps it.
//!
//! The answering path hands each question in through one door, [`QueryLog::record`], which never waits: it copies the
//! event to the queue of its own thread (`queue`). One thread (`recorder`) empties the queues twice a second and writes
//! what it found (`batch`) to the file of the day (`day`), which holds one UTC day and nothing else.

mod batch;
mod config;
pub mod csv;
pub mod day;
mod entry;
mod error;
mod event;
pub mod evidence;
mod flood;
mod folder;
mod glance;
mod habits;
mod names;
pub mod privacy;
mod queue;
mod recorder;
pub mod retention;
pub mod rollup;
pub mod search;
pub mod sink;
pub mod stats;
mod status;
mod strangers;
pub mod subject;
#[cfg(test)]
mod tests;
mod who;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::watch;

pub use self::{
    config::Config,
    day::Place,
    entry::Entry,
    error::LogError,
    event::{Action, Confidence, Event, Fate, KnownBy, Refusal, Transport},
    folder::{FOLDER, LogFolder},
    glance::{Coverage, Glimpse, Seen, glance},
    habits::{AskedLately, BusyName, asked_lately, busy_names},
    status::Status,
    strangers::{Stranger, Strangers, strangers},
    who::Who,
};
use self::{
    queue::Queues,
    recorder::{Command, Recorder},
    sink::Sinks,
    status::Shared,
};
use crate::{clock::Clock, policy::Policy, vault::Vault};

/// How long stopping waits for collectors.
const GOODBYE: Duration = Duration::from_secs(1);

/// A running log: the door, and the thread behind it.
#[derive(Debug)]
pub struct QueryLog {
    sinks: Arc<Sinks>,
    queues: Arc<Queues>,
    commands: SyncSender<Command>,
    writer: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    folder: LogFolder,
}

impl QueryLog {
    /// Starts the log of a folder, and what sends it on. Nothing waits for a file or a collector.
    ///
    /// Without a vault, names that must not be shown are kept as digests alone.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn open(
        folder: LogFolder,
        clock: Clock,
        vault: Option<Arc<Vault>>,
        sinks: &[sink::Config],
    ) -> Result<Self, LogError> {
        Self::with_queues(folder, clock, vault, sinks, queue::ALL)
    }

    /// The same with queues of so many bytes together.
    fn with_queues(
        folder: LogFolder,
        clock: Clock,
        vault: Option<Arc<Vault>>,
        sinks: &[sink::Config],
        bytes: usize,
    ) -> Result<Self, LogError> {
        let (commands, orders) = sync_channel(16);
        let replies = sinks.iter().any(|sink| sink.kind == sink::Kind::Dnstap);
        let queues = Arc::new(Queues::new(commands.clone(), bytes, replies));
        let no_thread = |source| LogError::File { file: folder.path().to_owned(), source };
        let sinks = Arc::new(Sinks::start(sinks, &clock).map_err(no_thread)?);
        let shared = Arc::<Shared>::default();
        let recorder = Recorder::new(
            Arc::clone(&queues),
            folder.clone(),
            clock,
            vault,
            Arc::clone(&shared),
            Arc::clone(&sinks),
        );
        let writer = thread::Builder::new()
            .name(String::from("query log"))
            .spawn(move || recorder.run(&orders))
            .map_err(no_thread)?;
        Ok(Self { sinks, queues, commands, writer: Mutex::new(Some(writer)), shared, folder })
    }

    /// Takes a question in; `policy` is the one that decided it.
    ///
    /// Never waits for the disk or for other threads that answer. What finds its queue full is counted as lost.
    pub fn record(&self, policy: &Arc<Policy>, event: &Event<'_>) {
        self.queues.push(policy, event);
    }

    /// Waits until everything that was recorded before is on the disk. For threads that may block.
    ///
    /// # Errors
    ///
    /// Says why it can't be written; it is kept and tried again.
    pub fn flush(&self) -> Result<(), String> {
        let stopped = || LogError::Stopped.to_string();
        self.ask_to_flush().and_then(|answer| answer.recv().ok()).ok_or_else(stopped)?
    }

    /// Waits until what was recorded before is on the disk, but no longer than this: the writer may be looking through
    /// a large file for damage, or have a slow disk. For threads that may block.
    pub fn settle(&self, patience: Duration) {
        // Who looks at the log sees what is there; the status tells what can't be written.
        let _ = self.ask_to_flush().map(|answer| answer.recv_timeout(patience));
    }

    /// What comes once everything is on the disk; none where the writer has ended.
    fn ask_to_flush(&self) -> Option<Receiver<Result<(), String>>> {
        let (done, answer) = sync_channel(1);
        self.commands.send(Command::Flush(done)).ok()?;
        Some(answer)
    }

    /// Writes everything and ends. What is recorded afterwards is gone. For threads that may block.
    pub fn stop(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It may have ended by itself.
        let _ = self.commands.send(Command::Stop);
        if let Some(writer) = writer {
            // It catches its own panics.
            let _ = writer.join();
        }
        self.sinks.stop(GOODBYE);
    }

    /// How the log is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let (queue_fill, sinks) = (self.queues.fill(), self.sinks.status());
        Status { queue_fill, sinks, ..self.shared.status() }
    }

    /// A number that grows with each commit, for who waits for new rows.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.shared.commits()
    }

    /// Says what is to be done each time that nothing can be written since the disk is full. It is called by the thread
    /// that writes, and must not wait for it. Only the first that is handed in counts.
    pub fn when_full(&self, make_room: impl Fn() + Send + Sync + 'static) {
        self.shared.when_full(make_room);
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &LogFolder {
        &self.folder
    }
}

impl Drop for QueryLog {
    fn drop(&mut self) {
        self.stop();
    }
}
