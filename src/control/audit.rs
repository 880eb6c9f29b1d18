//! The audit: who changed what, when. It is read here, and what other parts of the box did is written into it.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{Control, ControlError};
use crate::{accounts::AccountChange, store::AuditRecord};

/// How many lines of the audit are given at once at most.
const MOST: u32 = 100_000;

/// The newest lines of the audit, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuditReport {
    /// The lines.
    pub records: Vec<AuditRecord>,
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.records.is_empty() {
            return writeln!(f, "Nothing has been changed yet.");
        }
        for AuditRecord { at, by, action, detail, .. } in &self.records {
            let at = at.strftime("%Y-%m-%d %H:%M:%SZ");
            // One line each, whatever somebody typed in.
            writeln!(f, "{at}  {by}  {action}  {}", detail.replace('\n', "; "))?;
        }
        Ok(())
    }
}

impl Control {
    /// The newest lines of the audit: 1 to 100,000.
    ///
    /// # Errors
    ///
    /// When it is another number, or the audit can't be read.
    pub fn audit(&self, limit: u32) -> Result<AuditReport, ControlError> {
        if !(1..=MOST).contains(&limit) {
            return Err(ControlError::Input(format!("--limit: {limit} is not between 1 and {MOST}")));
        }
        let state = self.state();
        let records = state.store.as_ref().ok_or(ControlError::NoStore)?.audit_records(limit)?;
        Ok(AuditReport { records })
    }

    /// Writes into the audit what changed about those who may sign in.
    ///
    /// # Errors
    ///
    /// When the audit can't be written.
    pub fn record_account(&self, change: &AccountChange, by: &str) -> Result<(), ControlError> {
        self.record_or_fail(by, change.action, &change.detail)
    }

    /// Writes to the audit what was done elsewhere, as to accounts; `from` is the address that it was asked from.
    pub fn audit_from(&self, by: &str, action: &str, detail: &str, from: Option<IpAddr>) {
        let detail = self.policy.load().masked(detail).into_owned();
        let from = from.map(|address| address.to_string());
        self.keep_record(AuditRecord { from, ..AuditRecord::new(self.clock.now(), by, action, detail) });
    }

    /// Writes to the audit, for what must not happen without it.
    pub(super) fn record_or_fail(&self, by: &str, action: &str, detail: &str) -> Result<(), ControlError> {
        let detail = self.policy.load().masked(detail).into_owned();
        let record = AuditRecord::new(self.clock.now(), by, action, detail);
        let state = self.state();
        Ok(state.store.as_ref().ok_or(ControlError::NoStore)?.audit(&record)?)
    }
}
