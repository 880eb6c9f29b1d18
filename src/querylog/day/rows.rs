//! Rows of a day file, in words.

use jiff::Timestamp;
use rusqlite::{Row, types::Type};

use super::Place;
use crate::querylog::{Entry, event::Action};

/// Who asked, as a day file has it; `schema-1.sql` says what the fields mean.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(in crate::querylog) struct AskerRow {
    pub(in crate::querylog) client: String,
    pub(in crate::querylog) profile: String,
    pub(in crate::querylog) device: String,
    pub(in crate::querylog) mac: String,
    pub(in crate::querylog) known_by: String,
    pub(in crate::querylog) confidence: String,
    /// Seconds since 1970, from when to when; zeros where unknown.
    pub(in crate::querylog) lease: (i64, i64),
    pub(in crate::querylog) sealed: Option<Vec<u8>>,
}

impl AskerRow {
    /// The columns that [`read`](Self::read) takes.
    pub(in crate::querylog) const COLUMNS: &str =
        "client, profile, device, mac, known_by, confidence, lease_from, lease_until, sealed";

    /// Reads a row of [`COLUMNS`](Self::COLUMNS), from the column `first` on.
    pub(in crate::querylog) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            client: row.get(first)?,
            profile: row.get(first + 1)?,
            device: row.get(first + 2)?,
            mac: row.get(first + 3)?,
            known_by: row.get(first + 4)?,
            confidence: row.get(first + 5)?,
            lease: (row.get(first + 6)?, row.get(first + 7)?),
            sealed: row.get(first + 8)?,
        })
    }

    /// From when to when the address was leased to the device, where that is known.
    pub(in crate::querylog) fn lease_times(&self) -> Option<(Timestamp, Timestamp)> {
        let time = |seconds| Timestamp::from_second(seconds).ok();
        if self.lease == (0, 0) { None } else { time(self.lease.0).zip(time(self.lease.1)) }
    }
}

/// What became of a question, as a day file has it; `schema-1.sql` says what the fields mean.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::querylog) struct FateRow {
    pub(in crate::querylog) transport: String,
    pub(in crate::querylog) qtype: String,
    pub(in crate::querylog) rcode: String,
    pub(in crate::querylog) action: Action,
    pub(in crate::querylog) reason: String,
    pub(in crate::querylog) category: String,
    pub(in crate::querylog) list: String,
    pub(in crate::querylog) rule: String,
    pub(in crate::querylog) detail: String,
    pub(in crate::querylog) would: String,
    pub(in crate::querylog) categories: String,
    pub(in crate::querylog) dnssec: String,
    pub(in crate::querylog) source: String,
    pub(in crate::querylog) alert: bool,
}

impl FateRow {
    /// Whether the row outlives the time for which everything is kept: it was blocked or rewritten, or somebody may have
    /// to look at it.
    pub(in crate::querylog) fn stays(&self) -> bool {
        matches!(self.action, Action::Blocked | Action::Rewritten) || self.alert || !self.would.is_empty()
    }

    /// The columns that [`read`](Self::read) takes.
    pub(in crate::querylog) const COLUMNS: &str = "transport, qtype, rcode, action, reason, category, list, rule, \
         detail, would, categories, dnssec, source, alert";

    /// Reads a row of [`COLUMNS`](Self::COLUMNS), from the column `first` on.
    ///
    /// # Errors
    ///
    /// Also where its action is a word of a later program's.
    pub(in crate::querylog) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let action: String = row.get(first + 3)?;
        let action = Action::from_word(&action).ok_or_else(|| {
            let what = format!("{action:?} is no action");
            rusqlite::Error::FromSqlConversionFailure(first + 3, Type::Text, what.into())
        })?;
        Ok(Self {
            transport: row.get(first)?,
            qtype: row.get(first + 1)?,
            rcode: row.get(first + 2)?,
            action,
            reason: row.get(first + 4)?,
            category: row.get(first + 5)?,
            list: row.get(first + 6)?,
            rule: row.get(first + 7)?,
            detail: row.get(first + 8)?,
            would: row.get(first + 9)?,
            categories: row.get(first + 10)?,
            dnssec: row.get(first + 11)?,
            source: row.get(first + 12)?,
            alert: row.get(first + 13)?,
        })
    }
}

/// A question as a day file has it: numbers that point to the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::querylog) struct QuestionRow {
    /// The millisecond of the day.
    pub(in crate::querylog) ms: i64,
    pub(in crate::querylog) asker: i64,
    pub(in crate::querylog) name: i64,
    pub(in crate::querylog) fate: i64,
    pub(in crate::querylog) took: u32,
}

/// A line of the log, of its words. `took` is in microseconds.
pub(in crate::querylog) fn entry(
    place: Place,
    took: i64,
    asker: &AskerRow,
    fate: &FateRow,
    name: String,
) -> Entry {
    let (lease, asker, fate) = (asker.lease_times(), asker.clone(), fate.clone());
    Entry {
        place,
        time: place.time(),
        client: asker.client,
        device: asker.device,
        mac: asker.mac,
        profile: asker.profile,
        known_by: asker.known_by,
        confidence: asker.confidence,
        lease,
        name,
        qtype: fate.qtype,
        rcode: fate.rcode,
        action: fate.action,
        reason: fate.reason,
        category: fate.category,
        list: fate.list,
        rule: fate.rule,
        detail: fate.detail,
        would: fate.would,
        categories: fate.categories,
        dnssec: fate.dnssec,
        source: fate.source,
        transport: fate.transport,
        alert: fate.alert,
        took_us: u32::try_from(took).unwrap_or(u32::MAX),
    }
}
