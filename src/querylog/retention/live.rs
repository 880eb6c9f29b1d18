//! Taking few rows out of a day file, in place: out of the one that the writer has open, or out of a copy.
//!
//! A second connection deletes, a few stretches of the index at a time, so that the writer never waits for long. What
//! SQLite frees it overwrites (`secure_delete`), and the writer notices that its numbers are void
//! (`DayWriter::changed_by_others`).

use std::{collections::BTreeSet, path::Path};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::{
    clock::Day,
    querylog::{day, error::LogError},
};

/// How many stretches with something to delete go with one commit, where a writer waits for it.
pub(super) const FEW: usize = 8;

/// How many, where nobody does.
pub(super) const MANY: usize = 1_024;

/// What an index of the day is about: its table of words, and the column of `question`.
const WORDS: [&str; 3] = ["asker", "name", "fate"];

/// Deletes the rows that `goes` wants (place, asker), and the words that no row has any more; says how many rows went.
pub(super) fn erase(
    file: &Path,
    day: Day,
    at_once: usize,
    goes: &dyn Fn(i64, i64) -> bool,
) -> Result<u64, LogError> {
    let mut connection = day::open(file, day)?;
    let problem = |source| LogError::database(file, source);
    let mut gone = 0;
    let mut next = 1;
    loop {
        let spans = spans_with(&connection, next, at_once, goes).map_err(problem)?;
        let Some(last) = spans.last() else { break };
        next = last.number + 1;
        // Immediate, so that two who write wait for each other and don't fail.
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(problem)?;
        for span in &spans {
            gone += clear(&change, span, goes).map_err(problem)?;
        }
        change.commit().map_err(problem)?;
    }
    // The journal has pages of before; where somebody reads, it is overwritten later.
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    connection.close().map_err(|(_, source)| problem(source))?;
    Ok(gone)
}

/// A stretch of the index.
struct Span {
    number: i64,
    from: i64,
    to: i64,
}

/// The next few stretches that have something to delete; the last one of the file has no end.
fn spans_with(
    connection: &Connection,
    from: i64,
    at_once: usize,
    goes: &dyn Fn(i64, i64) -> bool,
) -> rusqlite::Result<Vec<Span>> {
    let mut spans = Vec::new();
    let mut statement = connection.prepare(
        "SELECT number, first, coalesce((SELECT first FROM span AS next WHERE next.number = span.number + 1), ?2)
            FROM span WHERE number >= ?1 ORDER BY number",
    )?;
    let mut questions = connection.prepare("SELECT at, asker FROM question WHERE at >= ?1 AND at < ?2")?;
    let mut found = statement.query(params![from, i64::MAX])?;
    while let Some(row) = found.next()? {
        let span = Span { number: row.get(0)?, from: row.get(1)?, to: row.get(2)? };
        let mut rows = questions.query([span.from, span.to])?;
        while let Some(row) = rows.next()? {
            if goes(row.get(0)?, row.get(1)?) {
                spans.push(span);
                break;
            }
        }
        if spans.len() == at_once {
            break;
        }
    }
    Ok(spans)
}

/// Deletes within one stretch, and makes its index say what is left.
fn clear(change: &Transaction<'_>, span: &Span, goes: &dyn Fn(i64, i64) -> bool) -> rusqlite::Result<u64> {
    let mut gone = 0;
    let (mut lost, mut left): ([BTreeSet<i64>; 3], [BTreeSet<i64>; 3]) = Default::default();
    {
        let mut questions =
            change.prepare_cached("SELECT at, asker, name, fate FROM question WHERE at >= ?1 AND at < ?2")?;
        let mut delete = change.prepare_cached("DELETE FROM question WHERE at = ?1")?;
        let mut places = Vec::new();
        let mut rows = questions.query([span.from, span.to])?;
        while let Some(row) = rows.next()? {
            let at = row.get(0)?;
            let words: [i64; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
            let goes = goes(at, words[0]);
            if goes {
                places.push(at);
            }
            for (word, set) in words.into_iter().zip(if goes { &mut lost } else { &mut left }) {
                set.insert(word);
            }
        }
        drop(rows);
        for at in places {
            gone += delete.execute([at])? as u64;
        }
    }
    for ((kind, lost), left) in WORDS.into_iter().zip(&lost).zip(&left) {
        for word in lost.difference(left) {
            forget(change, kind, *word, span.number)?;
        }
    }
    Ok(gone)
}

/// Takes a word out of a stretch, and altogether where no other has it.
fn forget(change: &Transaction<'_>, kind: &str, word: i64, span: i64) -> rusqlite::Result<()> {
    change
        .prepare_cached(&format!("DELETE FROM {kind}_span WHERE {kind} = ?1 AND span = ?2"))?
        .execute([word, span])?;
    change
        .prepare_cached(&format!(
            "DELETE FROM {kind} WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM {kind}_span WHERE {kind} = ?1)"
        ))?
        .execute([word])?;
    Ok(())
}
