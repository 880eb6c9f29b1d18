//! What the running log says of itself.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::{error::LogError, sink::SinkStatus};

/// How a running log is doing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "LogStatus")]
pub struct Status {
    /// When questions were last put on the disk; none before the first.
    pub last_commit: Option<Timestamp>,
    /// How many questions were put on the disk, or counted where they have no row, since the start.
    pub written: u64,
    /// How many questions were lost since the start, by reason: `queue-full`, `disk-full`, `disk-error`, `damaged`,
    /// `internal-error`.
    pub lost: BTreeMap<String, u64>,
    /// Why nothing can be written now; none while all is well.
    pub failing: Option<String>,
    /// Damaged files that were put aside since the start.
    pub set_aside: Vec<PathBuf>,
    /// How full the fullest queue is, from 0 to 1.
    pub queue_fill: f64,
    /// How those fare whom it is sent on to.
    pub sinks: Vec<SinkStatus>,
}

/// What the writer and those who ask about it share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Counts commits, for who waits for new rows.
    commits: watch::Sender<u64>,
    /// Who makes room when the disk is full.
    when_full: OnceLock<WhenFull>,
}

/// What is done when the disk is full.
struct WhenFull(Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for WhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhenFull")
    }
}

#[derive(Debug, Default)]
struct State {
    status: Status,
    /// Why the last try failed; what is lost meanwhile is lost for this.
    reason: Option<&'static str>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { state: Mutex::default(), commits: watch::Sender::new(0), when_full: OnceLock::new() }
    }
}

impl Shared {
    /// A batch is on the disk.
    pub(super) fn committed(&self, at: Timestamp, questions: u64, lost: u64) {
        let mut state = self.state();
        state.status.last_commit = Some(at);
        state.status.written += questions;
        let reason = state.reason.take().unwrap_or("queue-full");
        if lost > 0 {
            *state.status.lost.entry(reason.to_owned()).or_default() += lost;
            warn!(questions = lost, reason, "Questions are missing in the query log");
        }
        if state.status.failing.take().is_some() {
            info!("The query log is written again");
        }
        drop(state);
        self.commits.send_modify(|commits| *commits += 1);
    }

    /// A batch can't be written.
    pub(super) fn failed(&self, error: &LogError) {
        let mut state = self.state();
        let message = error.to_string();
        if state.status.failing.as_ref() != Some(&message) {
            error!(error = message, "The query log can't be written; trying again");
        }
        state.reason = Some(if error.is_full() {
            "disk-full"
        } else if error.is_damage() {
            "damaged"
        } else {
            "disk-error"
        });
        state.status.failing = Some(message);
        drop(state);
        if error.is_full()
            && let Some(WhenFull(make_room)) = self.when_full.get()
        {
            make_room();
        }
    }

    /// Says what is to be done each time that a batch can't be written since the disk is full; only the first counts.
    pub(super) fn when_full(&self, make_room: impl Fn() + Send + Sync + 'static) {
        let _ = self.when_full.set(WhenFull(Box::new(make_room)));
    }

    /// Questions that were taken from the queues are lost.
    pub(super) fn lose(&self, reason: &str, questions: u64) {
        *self.state().status.lost.entry(reason.to_owned()).or_default() += questions;
    }

    /// A damaged file was put aside.
    pub(super) fn set_aside(&self, file: &Path) {
        self.state().status.set_aside.push(file.to_owned());
    }

    /// Why questions that find a queue full are lost.
    pub(super) fn reason_for_loss(&self) -> &'static str {
        self.state().reason.unwrap_or("queue-full")
    }

    pub(super) fn status(&self) -> Status {
        self.state().status.clone()
    }

    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Each change under it is complete in itself.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
