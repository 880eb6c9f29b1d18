//! What leaves the roll-ups: old counts, and whoever asked most as soon as the rows are gone that said so.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params, types::Value};

use super::{Rollup, STEPS, read::Step, top::MANY};
use crate::{
    clock::Day,
    policy::Retention,
    querylog::{Action, error::LogError, retention::Hold},
};

/// Clients that are to leave the roll-ups.
pub struct Forgotten<'a> {
    /// Whether a client (an address or a pseudonym) is one of them.
    pub is: &'a dyn Fn(&str) -> bool,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// What stays all the same: whatever touches one of these spans.
    pub shielded: Vec<(Timestamp, Timestamp)>,
}

impl std::fmt::Debug for Forgotten<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forgotten").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// The periods that a span of time touches: the first, and the one after the last.
fn periods(step: Step, from: Timestamp, to: Timestamp) -> (i64, i64) {
    let seconds = step.seconds();
    let up = to.as_nanosecond().div_euclid(1_000_000_000) as i64
        + i64::from(to.as_nanosecond().rem_euclid(1_000_000_000) > 0);
    (from.as_second().div_euclid(seconds), up.div_euclid(seconds) + i64::from(up.rem_euclid(seconds) > 0))
}

impl Rollup {
    /// Takes out what is older than the policy keeps it, but for what a hold covers; says how many rows went.
    ///
    /// Counts go after `rollup_days`. A client goes with the rows that it was found in: where it was allowed after
    /// `allowed_days`, where it was blocked after `blocked_days`. So does a name that fewer than three clients asked
    /// for, since it may tell who they were.
    ///
    /// # Errors
    ///
    /// When it can't be written; then nothing went.
    pub fn forget(&self, now: Timestamp, retention: &Retention, holds: &[Hold]) -> Result<u64, LogError> {
        if self.open_to_read()?.is_none() {
            return Ok(0);
        }
        let mut connection = self.open()?;
        self.forgotten(&mut connection, now, retention, holds)
            .map_err(|source| LogError::database(&self.file, source))
    }

    fn forgotten(
        &self,
        connection: &mut Connection,
        now: Timestamp,
        retention: &Retention,
        holds: &[Hold],
    ) -> rusqlite::Result<u64> {
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let today = Day::of(now);
        let mut gone = 0;
        for (table, step) in STEPS {
            // The first period that stays.
            let first = |days: u16| i64::from(today.minus(days).number()) * step.per_day();
            let shield = |of_client: bool| -> String {
                let standing = holds.iter().filter(|hold| hold.is_active());
                let covering = standing.filter(|hold| of_client || hold.client.is_none());
                let spans = covering.map(|hold| periods(step, hold.from, hold.to));
                spans.map(|(from, to)| format!(" AND NOT (period >= {from} AND period < {to})")).collect()
            };
            // One device's hold keeps who asked most of its hours, since a pseudonym can't be told from another here.
            let (counts, clients) = (shield(false), shield(true));
            for kind in ["count", "latency", "name"] {
                let sql = format!("DELETE FROM {table}_{kind} WHERE period < ?1{counts}");
                gone += change.execute(&sql, [first(retention.rollup_days)])?;
            }
            for (action, days) in
                [(Action::Allowed, retention.allowed_days), (Action::Blocked, retention.blocked_days)]
            {
                let action_is = "action = (SELECT id FROM word WHERE text = ?2)";
                let sql = format!("DELETE FROM {table}_client WHERE period < ?1 AND {action_is}{clients}");
                gone += change.execute(&sql, params![first(days), action.word()])?;
                let sql = format!(
                    "DELETE FROM {table}_name WHERE period < ?1 AND {action_is} AND clients < {MANY}{counts}"
                );
                gone += change.execute(&sql, params![first(days), action.word()])?;
            }
        }
        if gone > 0 {
            drop_words(&change)?;
        }
        change.commit()?;
        Ok(gone as u64)
    }

    /// Takes clients out, or only says how many rows name them.
    ///
    /// # Errors
    ///
    /// When it can't be written; then nothing went.
    pub fn erase(&self, what: &Forgotten<'_>, dry_run: bool) -> Result<u64, LogError> {
        if self.open_to_read()?.is_none() {
            return Ok(0);
        }
        let mut connection = self.open()?;
        self.erased(&mut connection, what, dry_run).map_err(|source| LogError::database(&self.file, source))
    }

    fn erased(
        &self,
        connection: &mut Connection,
        what: &Forgotten<'_>,
        dry_run: bool,
    ) -> rusqlite::Result<u64> {
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut ids: Vec<i64> = Vec::new();
        {
            let mut statement = change.prepare("SELECT id, text FROM client")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if (what.is)(row.get_ref(1)?.as_str().unwrap_or_default()) {
                    ids.push(row.get(0)?);
                }
            }
        }
        let mut gone = 0;
        for (table, step) in STEPS {
            let (from, to) = periods(step, what.from, what.to);
            let shield: String = what
                .shielded
                .iter()
                .map(|(from, to)| periods(step, *from, *to))
                .map(|(from, to)| format!(" AND NOT (period >= {from} AND period < {to})"))
                .collect();
            for id in &ids {
                let sql = format!(
                    "DELETE FROM {table}_client WHERE period >= ?1 AND period < ?2 AND client = ?3{shield}"
                );
                let values: [Value; 3] = [from.into(), to.into(), (*id).into()];
                gone += change.prepare_cached(&sql)?.execute(values)?;
            }
        }
        if dry_run {
            change.rollback()?;
            return Ok(gone as u64);
        }
        if gone > 0 {
            drop_words(&change)?;
        }
        change.commit()?;
        // The journal has pages of before; where somebody reads, it is overwritten later.
        let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        Ok(gone as u64)
    }
}

/// Takes out names and clients that no row has any more.
fn drop_words(change: &Transaction<'_>) -> rusqlite::Result<()> {
    for table in ["name", "client"] {
        change.execute(
            &format!(
                "DELETE FROM {table} WHERE id NOT IN
                    (SELECT {table} FROM hour_{table} UNION SELECT {table} FROM day_{table})"
            ),
            [],
        )?;
    }
    Ok(())
}
