//! The audit: who changed what, in a chain of digests, so that an edit of the database is noticed.
//!
//! Each row carries SHA-256 over the digest of the row before it and its own fields. Whoever changes, adds or takes out
//! a row in the middle breaks the chain there. It is no signature: who can write the database can also reckon the chain
//! anew, so a copy of the last digest elsewhere is what proves the whole.

use std::fmt;

use jiff::Timestamp;
use ring::digest;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, time};

/// The most lines that a page can have.
pub const MOST_AUDIT_LINES: u32 = 1_000;

/// The columns of a row, in the order in which [`stored`] reads them.
const COLUMNS: &str = "id, at_ms, who, action, detail, was, became, reason, address";

/// One line of the audit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What was done, in a word: `policy.import`, `lists.update`.
    pub action: String,
    /// What it was done to and what changed, in plain words.
    pub detail: String,
    /// What the setting was, for a change of settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Why it was done, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The address that it was asked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl AuditRecord {
    /// A line without a before, an after, a reason or an address.
    #[must_use]
    pub fn new(at: Timestamp, by: &str, action: &str, detail: String) -> Self {
        let (by, action) = (by.to_owned(), action.to_owned());
        Self { at, by, action, detail, ..Self::default() }
    }
}

/// A line of the audit with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditLine {
    /// Counts up; later lines have larger ones.
    pub id: i64,
    /// The line.
    #[serde(flatten)]
    pub record: AuditRecord,
}

/// Which lines of the audit are wanted; what is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// Only lines before this one.
    pub before: Option<i64>,
    /// How many: 1 to [`MOST_AUDIT_LINES`]; what lies outside is the nearer of the two. 0 is 100.
    pub limit: u32,
    /// Only of somebody whose name has this in it, in capitals or not.
    pub by: Option<String>,
    /// Only actions that begin so: `policy.`.
    pub action: Option<String>,
    /// Only lines with this in what was done, before, after or why; in capitals or not.
    pub text: Option<String>,
    /// Only from this moment on.
    pub from: Option<Timestamp>,
    /// Only before this moment.
    pub to: Option<Timestamp>,
}

/// A page of the audit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditPage {
    /// The lines, the newest first.
    pub lines: Vec<AuditLine>,
    /// What to ask as `before` for the next page; none when there is nothing more.
    pub next: Option<i64>,
}

/// Whether the audit is as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditProof {
    /// Each line follows from the one before it.
    Whole {
        /// How many there are.
        lines: u64,
        /// The digest of the last one, in hexadecimal; it changes with every line.
        last: String,
    },
    /// Somebody changed the database.
    Broken {
        /// The first line that does not follow from the one before it.
        line: i64,
        /// When it says that it was written.
        at: Timestamp,
    },
    /// Lines at the end are gone.
    Short {
        /// The number of the last line that was ever written.
        written: i64,
        /// The number of the last line that is there; 0 when there is none.
        there: i64,
    },
}

impl AuditProof {
    /// Whether nobody changed it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }
}

impl fmt::Display for AuditProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { lines, last } => {
                write!(f, "The audit is whole: {lines} lines. Keep this elsewhere, to prove it later: {last}")
            }
            Self::Broken { line, at } => write!(
                f,
                "Somebody changed the audit: line {line}, which says that it was written at {at}, does not follow from the \
                 one before it"
            ),
            Self::Short { written, there } => write!(
                f,
                "Lines are missing at the end of the audit: line {written} was written, and line {there} is the last one there"
            ),
        }
    }
}

type Chain = [u8; digest::SHA256_OUTPUT_LEN];

/// What the first row follows from.
const BEGINNING: Chain = [0; digest::SHA256_OUTPUT_LEN];

/// The digest of a row. Each field stands with its length, so that no two rows read the same.
fn link(before: &Chain, id: i64, at_ms: i64, record: &AuditRecord) -> Chain {
    let mut sum = digest::Context::new(&digest::SHA256);
    sum.update(before);
    sum.update(&id.to_be_bytes());
    sum.update(&at_ms.to_be_bytes());
    let always = [&record.by, &record.action, &record.detail].map(Some);
    let sometimes = [&record.before, &record.after, &record.reason, &record.from].map(Option::as_ref);
    for field in always.into_iter().chain(sometimes) {
        sum.update(&[u8::from(field.is_some())]);
        if let Some(text) = field {
            sum.update(&(text.len() as u64).to_be_bytes());
            sum.update(text.as_bytes());
        }
    }
    let mut chain = BEGINNING;
    chain.copy_from_slice(sum.finish().as_ref());
    chain
}

/// A row with its milliseconds, as they stand.
fn stored(row: &Row<'_>) -> rusqlite::Result<(i64, i64, AuditRecord)> {
    let at_ms = row.get(1)?;
    let record = AuditRecord {
        at: time(at_ms),
        by: row.get(2)?,
        action: row.get(3)?,
        detail: row.get(4)?,
        before: row.get(5)?,
        after: row.get(6)?,
        reason: row.get(7)?,
        from: row.get(8)?,
    };
    Ok((row.get(0)?, at_ms, record))
}

/// Adds a row within a change that nobody else can write beside.
pub(super) fn insert(change: &Connection, record: &AuditRecord) -> rusqlite::Result<()> {
    let before: Option<Option<Chain>> = change
        .query_row("SELECT chain FROM audit ORDER BY id DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    let at_ms = record.at.as_millisecond();
    change.execute(
        "INSERT INTO audit (at_ms, who, action, detail, was, became, reason, address)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            at_ms,
            record.by,
            record.action,
            record.detail,
            record.before,
            record.after,
            record.reason,
            record.from
        ],
    )?;
    let id = change.last_insert_rowid();
    let chain = link(&before.flatten().unwrap_or(BEGINNING), id, at_ms, record);
    change.execute("UPDATE audit SET chain = ?2 WHERE id = ?1", params![id, chain])?;
    Ok(())
}

/// Gives rows of before the chain their digests.
pub(super) fn begin_chain(change: &Connection) -> rusqlite::Result<()> {
    let mut read =
        change.prepare(&format!("SELECT {COLUMNS} FROM audit WHERE id > ?1 ORDER BY id LIMIT 500"))?;
    let mut write = change.prepare("UPDATE audit SET chain = ?2 WHERE id = ?1")?;
    let (mut last, mut chain) = (i64::MIN, BEGINNING);
    loop {
        let rows = read.query_map([last], stored)?.collect::<rusqlite::Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Ok(());
        }
        for (id, at_ms, record) in rows {
            chain = link(&chain, id, at_ms, &record);
            write.execute(params![id, chain])?;
            last = id;
        }
    }
}

impl Store {
    /// Adds a line to the audit.
    ///
    /// # Errors
    ///
    /// When the database can't be written.
    pub fn audit(&self, record: &AuditRecord) -> Result<(), StoreError> {
        let write = || -> rusqlite::Result<()> {
            // Another process may have the database open: its row must not come between reading and writing.
            let change = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            insert(&change, record)?;
            change.commit()
        };
        write().map_err(|source| self.problem(source))
    }

    /// The newest lines of the audit, newest first.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn audit_records(&self, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let page = self.audit_page(&AuditQuery { limit, ..AuditQuery::default() })?;
        Ok(page.lines.into_iter().map(|line| line.record).collect())
    }

    /// A page of the audit, newest first.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let limit = if query.limit == 0 { 100 } else { query.limit.min(MOST_AUDIT_LINES) };
        let read = || -> rusqlite::Result<Vec<AuditLine>> {
            let mut statement = self.connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM audit
                 WHERE (?1 IS NULL OR id < ?1)
                     AND (?2 IS NULL OR instr(lower(who), lower(?2)) > 0)
                     AND (?3 IS NULL OR substr(action, 1, length(?3)) = ?3)
                     AND (?4 IS NULL OR instr(lower(detail || char(10) || coalesce(was, '') || char(10)
                         || coalesce(became, '') || char(10) || coalesce(reason, '')), lower(?4)) > 0)
                     AND (?5 IS NULL OR at_ms >= ?5)
                     AND (?6 IS NULL OR at_ms < ?6)
                 ORDER BY id DESC LIMIT ?7"
            ))?;
            let rows = statement.query_map(
                params![
                    query.before,
                    query.by,
                    query.action,
                    query.text,
                    query.from.map(Timestamp::as_millisecond),
                    query.to.map(Timestamp::as_millisecond),
                    limit + 1
                ],
                |row| stored(row).map(|(id, _, record)| AuditLine { id, record }),
            )?;
            rows.collect()
        };
        let mut lines = read().map_err(|source| self.problem(source))?;
        let is_more = lines.len() > limit as usize;
        lines.truncate(limit as usize);
        let next = if is_more { lines.last().map(|line| line.id) } else { None };
        Ok(AuditPage { lines, next })
    }

    /// Whether each line of the audit follows from the one before it; names the first that does not.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn verify_audit(&self) -> Result<AuditProof, StoreError> {
        let verify = || -> rusqlite::Result<AuditProof> {
            let _snapshot = self.connection.unchecked_transaction()?;
            let mut read =
                self.connection.prepare(&format!("SELECT {COLUMNS}, chain FROM audit ORDER BY id"))?;
            let mut rows = read.query([])?;
            let (mut chain, mut lines, mut there) = (BEGINNING, 0, 0);
            while let Some(row) = rows.next()? {
                let (id, at_ms, record) = stored(row)?;
                chain = link(&chain, id, at_ms, &record);
                // A digest of another length is none of ours either.
                if row.get::<_, Option<Vec<u8>>>(9)?.as_deref() != Some(&chain[..]) {
                    return Ok(AuditProof::Broken { line: id, at: record.at });
                }
                lines += 1;
                there = id;
            }
            let written: Option<i64> = self
                .connection
                .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'audit'", [], |row| row.get(0))
                .optional()?;
            Ok(match written {
                Some(written) if written > there => AuditProof::Short { written, there },
                _ => AuditProof::Whole { lines, last: hex(&chain) },
            })
        };
        verify().map_err(|source| self.problem(source))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
