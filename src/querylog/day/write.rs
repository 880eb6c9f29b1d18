//! Filling the file of a day.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    thread,
};

use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql, params};

use super::{
    DAY_MS, LONGEST_SPAN, PER_MILLISECOND, SPAN, SPAN_KEYS, open,
    rows::{AskerRow, FateRow, QuestionRow},
};
use crate::{
    clock::Day,
    querylog::{error::LogError, event::Action},
};

/// How many statements are kept prepared: all that this file has.
const STATEMENTS: usize = 32;

/// For how many askers, names and fates it is remembered in which span they occurred last; of later ones the database
/// is asked, so that a flood of made-up names costs time and not memory.
const MOST_REMEMBERED: usize = 1 << 20;

/// How many rows are written by one statement, which costs less than one for each.
const AT_ONCE: usize = 32;

/// How many entries of an index wait to be sorted, at most.
const MOST_WAITING: usize = 1 << 16;

/// How many full milliseconds a late question passes to find its place.
const MOST_FULL: u32 = 64;

/// Writes the file of one day: what it is told between [`begin`](Self::begin) and [`commit`](Self::commit) is in the
/// file after the latter, or not at all.
#[derive(Debug)]
pub(in crate::querylog) struct DayWriter {
    connection: Connection,
    file: PathBuf,
    day: Day,
    place: Place,
    /// The place as of the last commit.
    committed: Place,
    /// What SQLite said when it was last asked whether others wrote; none before the first time.
    version: i64,
    /// Others wrote, so that numbers given out before may be void.
    changed: bool,
    /// Others have the processor now and then.
    gives_way: bool,
    /// Questions that wait for their statement: key, asker, name, fate, microseconds.
    questions: Vec<[i64; 5]>,
    insert_questions: Insert<5>,
    askers: Index,
    names: Index,
    fates: Index,
}

/// Where the next question goes.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The key of the last question; -1 before the first.
    last: i64,
    /// The latest millisecond of a question. The last key is of a later one where that had too many.
    ms: i64,
    /// The span that is being filled; 0 before the first.
    span: u32,
    /// The first key of that span.
    first: i64,
    /// How many questions it has.
    filled: u32,
}

impl Place {
    /// The place after everything that is in the file.
    fn in_file(connection: &Connection) -> rusqlite::Result<Self> {
        let last = connection
            .query_row("SELECT max(at) FROM question", [], |row| row.get::<_, Option<i64>>(0))?
            .unwrap_or(-1);
        let span = connection
            .query_row("SELECT number, first FROM span ORDER BY number DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let (span, first) = span.unwrap_or((0, 0));
        // How far the last span is filled is not kept, so the next question begins another.
        Ok(Self { last, ms: last.div_euclid(PER_MILLISECOND), span, first, filled: LONGEST_SPAN })
    }

    /// Whether a question with this key begins another span.
    fn is_full(&self, at: i64) -> bool {
        self.filled >= LONGEST_SPAN || (self.filled >= SPAN && at - self.first >= SPAN_KEYS)
    }
}

/// A table that says in which spans each asker, name or fate occurs.
#[derive(Debug)]
struct Index {
    /// The last span in which each number occurred, so that most questions need not be entered again.
    last: Vec<u32>,
    /// Entries that are not in the table yet, as number and span. They are entered in the order of the table: those of one
    /// number lie side by side, and each page is looked for once.
    waiting: Vec<[i64; 2]>,
    insert: Insert<2>,
}

impl Index {
    fn of(table: &str, column: &str) -> Self {
        let head = format!("INSERT OR IGNORE INTO {table} ({column}, span)");
        Self { last: Vec::new(), waiting: Vec::new(), insert: Insert::new(&head) }
    }

    /// Notes that a number occurs in a span.
    fn note(&mut self, number: i64, span: u32) {
        if let Some(at) = usize::try_from(number).ok().filter(|at| *at < MOST_REMEMBERED) {
            if at >= self.last.len() {
                self.last.resize(at + 1, 0);
            }
            if std::mem::replace(&mut self.last[at], span) == span {
                return;
            }
        }
        self.waiting.push([number, span.into()]);
    }

    /// Enters what waits.
    fn enter(&mut self, connection: &Connection, gives_way: bool) -> rusqlite::Result<()> {
        self.waiting.sort_unstable();
        self.insert.run(connection, &self.waiting, gives_way)?;
        self.waiting.clear();
        Ok(())
    }

    /// Forgets everything, as after a return to the last commit.
    fn forget(&mut self) {
        self.last.clear();
        self.waiting.clear();
    }
}

/// A statement that adds rows of so many numbers: many at once, and what is left over one by one.
#[derive(Debug)]
struct Insert<const COLUMNS: usize> {
    one: String,
    many: String,
}

impl<const COLUMNS: usize> Insert<COLUMNS> {
    /// `head` is the statement up to its `VALUES`.
    fn new(head: &str) -> Self {
        let statement = |rows: usize| {
            let mut sql = format!("{head} VALUES ");
            for row in 0..rows {
                for column in 0..COLUMNS {
                    let before = match (row, column) {
                        (0, 0) => "(",
                        (_, 0) => "), (",
                        _ => ", ",
                    };
                    // Writing to a string can't fail.
                    let _ = write!(sql, "{before}?{}", row * COLUMNS + column + 1);
                }
            }
            sql + ")"
        };
        Self { one: statement(1), many: statement(AT_ONCE) }
    }

    /// Adds rows; `gives_way` lets others have the processor now and then.
    fn run(&self, connection: &Connection, rows: &[[i64; COLUMNS]], gives_way: bool) -> rusqlite::Result<()> {
        let whole = rows.chunks_exact(AT_ONCE);
        let rest = whole.remainder();
        for (sql, chunks) in [(&self.many, whole), (&self.one, rest.chunks_exact(1))] {
            if chunks.len() == 0 {
                continue;
            }
            let mut statement = connection.prepare_cached(sql)?;
            for chunk in chunks {
                for (value, place) in chunk.as_flattened().iter().zip(1..) {
                    statement.raw_bind_parameter(place, value)?;
                }
                statement.raw_execute()?;
                if gives_way {
                    thread::yield_now();
                }
            }
        }
        Ok(())
    }
}

impl DayWriter {
    /// Opens the file of a day, and makes it when it is not there.
    ///
    /// # Errors
    ///
    /// When it can't be read or written, is damaged, or a newer program made it.
    pub(in crate::querylog) fn open(file: &Path, day: Day) -> Result<Self, LogError> {
        let connection = open(file, day)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let place = Place::in_file(&connection).map_err(|source| LogError::database(file, source))?;
        let version = connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(|source| LogError::database(file, source))?;
        Ok(Self {
            connection,
            file: file.to_owned(),
            day,
            place,
            committed: place,
            version,
            changed: false,
            gives_way: false,
            questions: Vec::with_capacity(AT_ONCE),
            // What fails is rolled back as a whole, so no statement need be undone by itself.
            insert_questions: Insert::new("INSERT OR FAIL INTO question (at, asker, name, fate, took)"),
            askers: Index::of("asker_span", "asker"),
            names: Index::of("name_span", "name"),
            fates: Index::of("fate_span", "fate"),
        })
    }

    /// Begins to write. Others who write to the file wait until the commit. Afterwards,
    /// [`changed_by_others`](Self::changed_by_others) says whether numbers given out before still hold.
    ///
    /// # Errors
    ///
    /// When another writes for longer than is waited for.
    pub(in crate::querylog) fn begin(&mut self) -> Result<(), LogError> {
        self.batch("BEGIN IMMEDIATE")?;
        // It changes with what others commit, and not with what we do.
        let version = self
            .connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(|source| LogError::database(&self.file, source))?;
        if self.version != version {
            self.version = version;
            self.changed = true;
            let place = Place::in_file(&self.connection);
            self.place = place.map_err(|source| LogError::database(&self.file, source))?;
            self.committed = self.place;
            self.forget_waiting();
        }
        Ok(())
    }

    /// Lets other threads have the processor now and then, or not.
    ///
    /// Linux lets a thread go on for milliseconds although one that has to answer is awake. Who always gives way to threads
    /// that are never idle gets nothing done.
    pub(in crate::querylog) fn give_way(&mut self, whether: bool) {
        self.gives_way = whether;
    }

    /// Whether another connection has changed the file since this was last asked, as when a device's rows were erased:
    /// then all numbers given out before are void.
    pub(in crate::querylog) fn changed_by_others(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The connection, for what is written beside questions.
    pub(in crate::querylog) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Looks through the whole file for damage.
    ///
    /// # Errors
    ///
    /// When there is some ([`LogError::is_damage`]), or it can't be read.
    pub(in crate::querylog) fn check(&self) -> Result<(), LogError> {
        let found: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|source| LogError::database(&self.file, source))?;
        if found == "ok" { Ok(()) } else { Err(LogError::Damaged { file: self.file.clone(), what: found }) }
    }

    /// The day whose questions it takes.
    pub(in crate::querylog) fn day(&self) -> Day {
        self.day
    }

    /// The number of an asker, new or known.
    pub(in crate::querylog) fn asker(&mut self, row: &AskerRow) -> Result<i64, LogError> {
        let AskerRow { client, profile, device, mac, known_by, confidence, lease, sealed } = row;
        self.number(
            "SELECT id FROM asker WHERE client = ?1 AND profile = ?2 AND device = ?3 AND mac = ?4 AND known_by = ?5
                AND lease_from = ?6 AND lease_until = ?7",
            params![client, profile, device, mac, known_by, lease.0, lease.1],
            "INSERT INTO asker (client, profile, device, mac, known_by, confidence, lease_from, lease_until, sealed)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![client, profile, device, mac, known_by, confidence, lease.0, lease.1, sealed],
        )
    }

    /// The number of a name, new or known, by what [`reversed`](super::reversed) makes of it.
    pub(in crate::querylog) fn name(
        &mut self,
        reversed: &str,
        seal: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<i64, LogError> {
        let known = self.ask("SELECT id FROM name WHERE reversed = ?1", [reversed])?;
        if let Some(id) = known {
            return Ok(id);
        }
        self.insert("INSERT INTO name (reversed, sealed) VALUES (?1, ?2)", params![reversed, seal()])
    }

    /// The number of a fate, new or known.
    pub(in crate::querylog) fn fate(&mut self, row: &FateRow) -> Result<i64, LogError> {
        let action = row.action.word();
        let values: [&dyn ToSql; 14] = [
            &row.transport,
            &row.qtype,
            &row.rcode,
            &action,
            &row.reason,
            &row.category,
            &row.list,
            &row.rule,
            &row.detail,
            &row.would,
            &row.categories,
            &row.dnssec,
            &row.source,
            &row.alert,
        ];
        self.number(
            "SELECT id FROM fate WHERE transport = ?1 AND qtype = ?2 AND rcode = ?3 AND action = ?4 AND reason = ?5
                AND category = ?6 AND list = ?7 AND rule = ?8 AND detail = ?9 AND would = ?10 AND categories = ?11
                AND dnssec = ?12 AND source = ?13 AND alert = ?14",
            values.as_slice(),
            "INSERT INTO fate (transport, qtype, rcode, action, reason, category, list, rule, detail, would, categories,
                dnssec, source, alert) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            values.as_slice(),
        )
    }

    /// Adds a question, and says at which key. Those that come in the order of time cost least; others find their place
    /// all the same.
    pub(in crate::querylog) fn question(&mut self, row: &QuestionRow) -> Result<i64, LogError> {
        let ms = row.ms.clamp(0, DAY_MS - 1);
        let at = if ms >= self.place.ms {
            self.place.ms = ms;
            (ms * PER_MILLISECOND).max(self.place.last + 1)
        } else {
            self.free_place(ms * PER_MILLISECOND)?
        };
        self.question_at(at, row)
    }

    /// Adds a question at a place that is known to be free, as when a file is written anew; says that place again.
    pub(in crate::querylog) fn question_at(&mut self, at: i64, row: &QuestionRow) -> Result<i64, LogError> {
        let span = self.span(at)?;
        self.place.last = self.place.last.max(at);
        self.questions.push([at, row.asker, row.name, row.fate, row.took.into()]);
        if self.questions.len() >= AT_ONCE {
            self.write_questions()?;
        }
        let noted = [(&mut self.askers, row.asker), (&mut self.names, row.name), (&mut self.fates, row.fate)];
        for (index, number) in noted {
            index.note(number, span);
            if index.waiting.len() >= MOST_WAITING {
                index
                    .enter(&self.connection, self.gives_way)
                    .map_err(|source| LogError::database(&self.file, source))?;
            }
        }
        Ok(at)
    }

    fn write_questions(&mut self) -> Result<(), LogError> {
        let written = self.insert_questions.run(&self.connection, &self.questions, self.gives_way);
        written.map_err(|source| LogError::database(&self.file, source))?;
        self.questions.clear();
        Ok(())
    }

    /// Forgets what waits to be written.
    fn forget_waiting(&mut self) {
        self.questions.clear();
        for index in [&mut self.askers, &mut self.names, &mut self.fates] {
            index.forget();
        }
    }

    /// The first free key at or after one that is not the last.
    fn free_place(&mut self, wanted: i64) -> Result<i64, LogError> {
        self.write_questions()?;
        let mut at = wanted;
        // One round, but where a millisecond is full and its questions took places of the next.
        for _ in 0..MOST_FULL {
            let end = at / PER_MILLISECOND * PER_MILLISECOND + PER_MILLISECOND;
            let taken: Option<i64> = self
                .prepared("SELECT max(at) FROM question WHERE at >= ?1 AND at < ?2")?
                .query_row([at, end], |row| row.get(0))
                .map_err(|source| LogError::database(&self.file, source))?;
            match taken {
                None => return Ok(at),
                Some(taken) if taken + 1 < end => return Ok(taken + 1),
                Some(_) => at = end,
            }
        }
        // A clock that stood still: rather a place at the end than a search without one.
        Ok(self.place.last + 1)
    }

    /// The span that a key belongs to; a new one, where the last is full.
    fn span(&mut self, at: i64) -> Result<u32, LogError> {
        if at < self.place.first {
            return self
                .ask("SELECT number FROM span WHERE first <= ?1 ORDER BY number DESC LIMIT 1", [at])
                .map(|number| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(1));
        }
        if self.place.is_full(at) && at > self.place.last {
            self.place.span += 1;
            // The first begins with the day, so that whatever comes late has one.
            self.place.first = if self.place.span == 1 { 0 } else { at };
            self.place.filled = 0;
            self.insert(
                "INSERT INTO span (number, first) VALUES (?1, ?2)",
                params![self.place.span, self.place.first],
            )?;
        }
        self.place.filled += 1;
        Ok(self.place.span)
    }

    /// Counts questions of an hour (0 to 23).
    pub(in crate::querylog) fn count(
        &mut self,
        hour: u8,
        profile: &str,
        category: &str,
        action: Action,
        questions: u64,
    ) -> Result<(), LogError> {
        self.run(
            "INSERT INTO hour_count (hour, profile, category, action, questions) VALUES (?1, ?2, ?3, ?4, ?5)
                ON CONFLICT DO UPDATE SET questions = questions + excluded.questions",
            params![hour, profile, category, action.word(), questions as i64],
        )
    }

    /// Counts how long questions of an hour took: `bucket` is the number of bits of the microseconds.
    pub(in crate::querylog) fn latency(
        &mut self,
        hour: u8,
        source: &str,
        bucket: u8,
        questions: u64,
    ) -> Result<(), LogError> {
        self.run(
            "INSERT INTO hour_latency (hour, source, bucket, questions) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT DO UPDATE SET questions = questions + excluded.questions",
            params![hour, source, bucket, questions as i64],
        )
    }

    /// Writes down that questions between two moments (milliseconds since 1970) have no row.
    pub(in crate::querylog) fn unkept(
        &mut self,
        from_ms: i64,
        until_ms: i64,
        questions: u64,
        reason: &str,
    ) -> Result<(), LogError> {
        self.run(
            "INSERT INTO unkept (from_ms, until_ms, questions, reason) VALUES (?1, ?2, ?3, ?4)",
            params![from_ms, until_ms, questions as i64, reason],
        )
    }

    /// Puts on the disk what was written since the last time.
    ///
    /// # Errors
    ///
    /// When it can't be written; then [`roll_back`](Self::roll_back) leads back to the last commit.
    pub(in crate::querylog) fn commit(&mut self) -> Result<(), LogError> {
        self.write_questions()?;
        for index in [&mut self.askers, &mut self.names, &mut self.fates] {
            index
                .enter(&self.connection, self.gives_way)
                .map_err(|source| LogError::database(&self.file, source))?;
        }
        self.batch("COMMIT")?;
        self.committed = self.place;
        Ok(())
    }

    /// Forgets what was written since the last commit; all numbers given out since then are void.
    pub(in crate::querylog) fn roll_back(&mut self) -> Result<(), LogError> {
        if !self.connection.is_autocommit() {
            self.batch("ROLLBACK")?;
        }
        self.place = self.committed;
        self.forget_waiting();
        Ok(())
    }

    /// Closes the file; what was not committed is gone.
    pub(in crate::querylog) fn close(self) -> Result<(), LogError> {
        let Self { connection, file, .. } = self;
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").map_err(|source| LogError::database(&file, source))?;
        }
        connection.flush_prepared_statement_cache();
        connection.close().map_err(|(_, source)| LogError::database(&file, source))
    }

    fn number(
        &self,
        find: &str,
        by: impl rusqlite::Params,
        add: &str,
        row: impl rusqlite::Params,
    ) -> Result<i64, LogError> {
        match self.ask(find, by)? {
            Some(id) => Ok(id),
            None => self.insert(add, row),
        }
    }

    fn ask(&self, sql: &str, by: impl rusqlite::Params) -> Result<Option<i64>, LogError> {
        self.prepared(sql)?
            .query_row(by, |row| row.get(0))
            .optional()
            .map_err(|source| LogError::database(&self.file, source))
    }

    fn insert(&self, sql: &str, row: impl rusqlite::Params) -> Result<i64, LogError> {
        self.run(sql, row)?;
        Ok(self.connection.last_insert_rowid())
    }

    fn run(&self, sql: &str, row: impl rusqlite::Params) -> Result<(), LogError> {
        let mut statement = self.prepared(sql)?;
        statement.execute(row).map(drop).map_err(|source| LogError::database(&self.file, source))
    }

    fn batch(&self, sql: &str) -> Result<(), LogError> {
        self.connection.execute_batch(sql).map_err(|source| LogError::database(&self.file, source))
    }

    fn prepared(&self, sql: &str) -> Result<CachedStatement<'_>, LogError> {
        self.connection.prepare_cached(sql).map_err(|source| LogError::database(&self.file, source))
    }
}
