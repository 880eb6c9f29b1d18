//! What is wrong with keeping and forgetting, for the page and the metrics to show.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;
use tracing::{error, info};

use crate::clock::Day;

/// Something that an administrator should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// What it is about, in a word: `disk`, `holds`, `day`, `rollup`, `folder`.
    pub about: &'static str,
    /// What is wrong, in one line.
    pub what: String,
}

/// What an alarm is about; there is one at most for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The disk is fuller than it may be.
    Disk,
    /// The legal holds can't be read.
    Holds,
    /// The log's folder can't be read or cleaned.
    Folder,
    /// Roll-ups can't be made.
    Rollup,
    /// A day can't be reduced, deleted or settled.
    Day(Day),
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Holds => "holds",
            Self::Folder => "folder",
            Self::Rollup => "rollup",
            Self::Day(_) => "day",
        }
    }
}

/// The alarms that are raised.
#[derive(Debug, Default)]
pub(super) struct Alarms(Mutex<BTreeMap<Kind, String>>);

impl Alarms {
    /// Raises an alarm, or takes it back; the log says each once.
    pub(super) fn set(&self, kind: Kind, what: Option<String>) {
        let mut raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let about = kind.word();
        match what {
            Some(what) => {
                // The numbers of a disk that runs full change all the time.
                let is_new = match raised.get(&kind) {
                    None => true,
                    Some(before) => kind != Kind::Disk && *before != what,
                };
                if is_new {
                    error!(about, "Query log: {what}");
                }
                raised.insert(kind, what);
            }
            None => {
                if raised.remove(&kind).is_some() {
                    info!(about, "Query log: what was wrong is right again");
                }
            }
        }
    }

    /// Takes back what is about days that are gone.
    pub(super) fn keep_days(&self, is_there: impl Fn(Day) -> bool) {
        let mut raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raised.retain(|kind, _| if let Kind::Day(day) = kind { is_there(*day) } else { true });
    }

    pub(super) fn all(&self) -> Vec<Alarm> {
        let raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raised.iter().map(|(kind, what)| Alarm { about: kind.word(), what: what.clone() }).collect()
    }
}
