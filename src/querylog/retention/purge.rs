//! What was removed from the log: the record that outlives it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Day;

/// What was removed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// When.
    pub at: Timestamp,
    /// Who did it; the server, where the policy did.
    pub by: String,
    /// Of which UTC day (`2026-11-22`); empty for the roll-ups, which are of many.
    pub day: String,
    /// What happened.
    pub what: Purged,
    /// How many rows went.
    pub rows: u64,
    /// How many bytes of the disk came back.
    pub bytes: u64,
    /// Why, in plain words.
    pub why: String,
}

/// What happened to rows of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purged {
    /// All but blocked, rewritten and alerting questions went.
    Reduced,
    /// All but what is under a legal hold went.
    ReducedToHolds,
    /// The day went.
    Deleted,
    /// A damaged file of the day went.
    DamagedDeleted,
    /// One device's questions went.
    Erased,
    /// Counts, and who asked most, went.
    RollupsDeleted,
}

impl Purged {
    /// The word for the audit.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reduced => "reduced",
            Self::ReducedToHolds => "reduced to what is under a legal hold",
            Self::Deleted => "deleted",
            Self::DamagedDeleted => "damaged file deleted",
            Self::Erased => "one device's questions erased",
            Self::RollupsDeleted => "roll-ups deleted",
        }
    }
}

/// What a purge is said by, where the policy did it.
pub(super) const BY: &str = "the server";

/// A day, in purge records.
pub(super) fn written(day: Day) -> String {
    day.date().to_string()
}

impl fmt::Display for Purge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.day.is_empty() {
            write!(f, "{} ", self.day)?;
        }
        write!(f, "{}: {} rows, {} bytes: {}", self.what.word(), self.rows, self.bytes, self.why)
    }
}
