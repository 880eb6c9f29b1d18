//! How long the query log keeps what, what must be kept all the same, and what is erased.

use std::{
    fmt,
    path::Path,
    sync::{Arc, PoisonError},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{Control, ControlError};
use crate::{
    backup,
    clock::Clock,
    policy::{Policy, PolicyFile, Problem, Severity},
    querylog::{
        self, LogError, LogFolder,
        retention::{Erase, EraseReport, Hold, Keeper, Keeping, NewHold, Purge, free_bytes},
        search::{Edge, moment, zone},
    },
};

/// What somebody wants to be held, with times as people write them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldAsked {
    /// From when on.
    pub from: String,
    /// Until when; a day that is named is within.
    pub to: String,
    /// The device that it is about: an address, a link-layer address, the name of a device, or a pseudonym; everybody,
    /// if none is named.
    pub client: Option<String>,
    /// What the school calls the matter.
    pub incident: Option<String>,
    /// Why.
    pub why: String,
}

/// Whose questions are to be erased, with times as people write them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseAsked {
    /// An address, a link-layer address, the name of a device, or a pseudonym of the log.
    pub client: String,
    /// From when on; from the beginning, if not given.
    pub from: Option<String>,
    /// Until when; until now, if not given.
    pub to: Option<String>,
    /// Why.
    pub reason: String,
    /// Only say what would go.
    pub dry_run: bool,
}

/// All legal holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HoldsReport {
    /// In the order in which they were made, those that were lifted among them.
    pub holds: Vec<Hold>,
}

impl fmt::Display for HoldsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.holds.is_empty() {
            return write!(f, "There is no legal hold: everything leaves the log when its time is over.");
        }
        for hold in &self.holds {
            writeln!(f, "{hold}")?;
        }
        Ok(())
    }
}

/// What keeps the log of a data folder.
pub(super) fn keeping(
    folder: &Path,
    clock: &Clock,
    policy: &Arc<ArcSwap<Policy>>,
    config: &querylog::Config,
) -> Keeping {
    let data = folder.to_owned();
    // No day goes, for good, for an archive that is gone in a minute.
    let free = move |log: &Path| Ok(free_bytes(log)?.saturating_add(backup::passing(&data)));
    Keeping::new(LogFolder::in_data(folder), clock.clone(), Arc::clone(policy), config).with_free(free)
}

impl Control {
    /// What removes from the query log, and what forbids it; it has the roll-ups and the alarms too.
    #[must_use]
    pub fn keeping(&self) -> &Arc<Keeping> {
        &self.keeping
    }

    /// Starts the thread that keeps the log: reduces and deletes what is old, rolls up, and makes room on the disk. Each
    /// removal is in the audit.
    pub fn keep_log(self: &Arc<Self>) {
        let control = Arc::downgrade(self);
        let tell = move |purge: &Purge| {
            if let Some(control) = control.upgrade() {
                control.record_purge(purge);
            }
        };
        let keeper = Keeper::start(Arc::clone(&self.keeping), tell);
        if let Some(log) = &self.log {
            let control = Arc::downgrade(self);
            log.when_full(move || {
                if let Some(control) = control.upgrade() {
                    control.with_keeper(Keeper::disk_is_full);
                }
            });
        }
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
    }

    /// Ends the thread that keeps the log, and waits for that. For threads that may block.
    pub fn stop_keeping_log(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            keeper.stop();
        }
    }

    /// Makes a legal hold. When this returns, nothing that it covers is removed any more.
    ///
    /// # Errors
    ///
    /// When an argument is wrong (the error names it), or the hold can't be written; then there is none.
    pub async fn add_hold(&self, asked: HoldAsked, by: &str) -> Result<Hold, ControlError> {
        let HoldAsked { from, to, client, incident, why } = asked;
        let new = NewHold {
            from: self.moment("--from", &from, Edge::From)?,
            to: self.moment("--to", &to, Edge::To)?,
            client,
            incident,
            why,
        };
        let (keeping, person) = (Arc::clone(&self.keeping), by.to_owned());
        let hold = blocking(move || keeping.add_hold(new, &person)).await?;
        self.record(hold.made, by, "log.hold", &hold.to_string());
        info!(id = hold.id, by, "A legal hold on the query log was made");
        Ok(hold)
    }

    /// The legal holds.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub fn holds(&self) -> Result<HoldsReport, ControlError> {
        Ok(HoldsReport { holds: self.keeping.holds()? })
    }

    /// Lifts a legal hold.
    ///
    /// # Errors
    ///
    /// When there is no such hold, it was lifted before, no reason is given, or it can't be written; then nothing has
    /// changed.
    pub async fn lift_hold(&self, id: &str, why: &str, by: &str) -> Result<Hold, ControlError> {
        let (keeping, id, why, person) =
            (Arc::clone(&self.keeping), id.to_owned(), why.to_owned(), by.to_owned());
        let hold = blocking(move || keeping.lift_hold(&id, &why, &person)).await?;
        self.record(self.clock.now(), by, "log.hold.lifted", &hold.to_string());
        info!(id = hold.id, by, "A legal hold on the query log was lifted");
        self.wake_keeper();
        Ok(hold)
    }

    /// Takes one device's questions out of the log, but for what a legal hold covers.
    ///
    /// # Errors
    ///
    /// When an argument is wrong (the error names it), the legal holds can't be read, or what was recorded last can't be
    /// written; then nothing was erased. A day that could not be worked on is in the report.
    pub async fn erase(&self, asked: EraseAsked, by: &str) -> Result<EraseReport, ControlError> {
        let time = |argument, text: Option<String>, edge| {
            text.map(|text| self.moment(argument, &text, edge)).transpose()
        };
        let request = Erase {
            from: time("--from", asked.from, Edge::From)?,
            to: time("--to", asked.to, Edge::To)?,
            client: asked.client,
            by: by.to_owned(),
            reason: asked.reason,
            dry_run: asked.dry_run,
        };
        let what = format!(
            "device {}, from {} to {}: {}",
            request.client.trim(),
            request.from.map_or_else(|| String::from("the beginning"), |from| from.to_string()),
            request.to.map_or_else(|| String::from("now"), |to| to.to_string()),
            request.reason.trim()
        );
        let (keeping, log) = (Arc::clone(&self.keeping), self.log.clone());
        let (tell, mut told) = mpsc::unbounded_channel();
        let work = blocking_control(move || {
            if let Some(log) = log.filter(|_| !request.dry_run) {
                log.flush().map_err(|message| ControlError::Server {
                    message: format!(
                        "what was asked last can't be written to the log, so nothing is erased: {message}"
                    ),
                    bad_input: false,
                })?;
            }
            // Who listens is gone only when nobody waits for the end.
            Ok(keeping.erase(&request, &|purge| drop(tell.send(purge.clone())))?)
        });
        tokio::pin!(work);
        let report = loop {
            tokio::select! {
                biased;
                Some(purge) = told.recv() => self.record_purge(&purge),
                report = &mut work => break report,
            }
        };
        while let Ok(purge) = told.try_recv() {
            self.record_purge(&purge);
        }
        let report = report?;
        if !report.dry_run {
            let spared: u64 = report.spared.iter().map(|spared| spared.rows).sum();
            let detail = format!(
                "{what}; {} rows in {} days, {} lines of roll-ups; {spared} rows kept by legal holds; {} days not done",
                report.rows,
                report.days.len(),
                report.rollup_rows,
                report.failed.len()
            );
            self.record(self.clock.now(), by, "log.erase", &detail);
        }
        Ok(report)
    }

    /// Makes the thread that keeps the log look again, where there is one.
    pub(super) fn wake_keeper(&self) {
        self.with_keeper(Keeper::wake);
    }

    fn with_keeper(&self, order: impl FnOnce(&Keeper)) {
        if let Some(keeper) = &*self.keeper.lock().unwrap_or_else(PoisonError::into_inner) {
            order(keeper);
        }
    }

    fn record_purge(&self, purge: &Purge) {
        self.record(purge.at, &purge.by, "log.purge", &purge.to_string());
    }

    /// A time as somebody wrote it, on the school's clock.
    fn moment(&self, argument: &'static str, text: &str, edge: Edge) -> Result<Timestamp, ControlError> {
        let policy = self.policy.load();
        let zone = zone(&policy);
        Ok(moment(argument, text, edge, &zone, self.clock.now())?)
    }

    /// What a policy would keep for longer than the box allows: errors, and warnings where the policy in force says
    /// the same already, since the limits came later then and no other change must wait for it.
    pub(super) fn over_log_limits(
        &self,
        file: &PolicyFile,
        current: &PolicyFile,
    ) -> (Vec<Problem>, Vec<Problem>) {
        let mut over = file.log.over(&self.keeping.limits());
        if file.log != current.log {
            return (over, Vec::new());
        }
        for problem in &mut over {
            problem.severity = Severity::Warning;
            problem.what.push_str(", so it is cut to that");
        }
        (Vec::new(), over)
    }

    /// Says in the log where the policy in force keeps less than it says.
    pub(super) fn warn_of_cut_retention(&self) {
        for problem in self.policy.load().file().log.over(&self.keeping.limits()) {
            let instead = problem.instead.unwrap_or_default();
            warn!(place = problem.place, "{}, so it is cut to that; {instead}", problem.what);
        }
    }
}

/// Does work that waits for the disk, or for others who do.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, ControlError> {
    blocking_control(move || Ok(work()?)).await
}

async fn blocking_control<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ControlError> + Send + 'static,
) -> Result<T, ControlError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(ControlError::Server { message: format!("an internal error: {error}"), bad_input: false })
    })
}
