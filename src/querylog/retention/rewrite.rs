//! A day file written anew, with only what may stay.
//!
//! The new file is made beside the old one and takes its place when it is whole and on the disk: whatever moment the
//! power goes at, one of the two is there. Words that no row uses any more are not in it. Who has the old one open
//! reads on in that.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rusqlite::{Connection, OptionalExtension, Row, types::Value};

use super::{
    client,
    hold::{Hold, start},
};
use crate::{
    clock::Day,
    querylog::{
        LogFolder,
        day::{
            self, DAY_MS, PER_MILLISECOND,
            rows::{AskerRow, FateRow, QuestionRow},
            write::DayWriter,
        },
        error::LogError,
        folder::beside,
        privacy::DayKey,
        who::Who,
    },
};

/// What the file that is being made is called, behind the name of the day file.
pub(super) const NEW: &str = ".new";

/// After how many rows the new file is committed, so that its journal stays small.
const COMMIT_EVERY: u64 = 50_000;

/// The tables that are the same in a file written anew.
const COPIED: [&str; 3] = ["hour_count", "hour_latency", "unkept"];

/// How much of a day its file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kept {
    /// Every row.
    All,
    /// What was blocked or rewritten, or is to be looked at.
    Blocked,
    /// What is under a legal hold.
    Held,
}

impl Kept {
    fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Blocked => "blocked",
            Self::Held => "held",
        }
    }
}

/// What a day file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) kept: Kept,
    /// The holds for the sake of which it may have more than that.
    pub(super) holds: Vec<String>,
}

impl Mark {
    /// Reads the mark of a day file.
    pub(super) fn of(file: &Path) -> Result<Self, LogError> {
        let Some(connection) = day::open_to_read(file)? else {
            return Ok(Self { kept: Kept::All, holds: Vec::new() });
        };
        let word = |key: &str| {
            connection
                .query_row("SELECT value FROM about WHERE key = ?1", [key], |row| row.get::<_, String>(0))
                .optional()
                .map_err(|source| LogError::database(file, source))
        };
        let kept = match word("kept")?.as_deref() {
            Some("blocked") => Kept::Blocked,
            Some("held") => Kept::Held,
            _ => Kept::All,
        };
        let holds = word("holds")?.unwrap_or_default();
        Ok(Self { kept, holds: holds.split_whitespace().map(str::to_owned).collect() })
    }
}

/// Which rows of a day are under a hold.
#[derive(Debug)]
pub(super) struct HeldRows {
    holds: Vec<HeldBy>,
}

#[derive(Debug)]
struct HeldBy {
    id: String,
    /// From which place to which.
    from: i64,
    to: i64,
    /// The numbers of its askers; none for everybody.
    askers: Option<HashSet<i64>>,
}

impl HeldRows {
    /// Finds what the holds cover in a day file.
    pub(super) fn find<'a>(
        connection: &Connection,
        day: Day,
        holds: impl IntoIterator<Item = &'a Hold>,
        key: Option<&DayKey>,
        file: &Path,
    ) -> Result<Self, LogError> {
        let mut found = Vec::new();
        for hold in holds {
            let askers = match &hold.client {
                None => None,
                Some(client) => {
                    let askers = client::askers_of(connection, &Who::parse(client)?, key)
                        .map_err(|source| LogError::database(file, source))?;
                    Some(askers.into_iter().map(|(id, _)| id).collect())
                }
            };
            let (from, to) = span(day, Some(hold.from), Some(hold.to));
            found.push(HeldBy { id: hold.id.clone(), from, to, askers });
        }
        Ok(Self { holds: found })
    }

    /// The hold that covers a row, the first of several.
    pub(super) fn by(&self, at: i64, asker: i64) -> Option<&str> {
        let covers = |hold: &&HeldBy| {
            (hold.from..hold.to).contains(&at)
                && hold.askers.as_ref().is_none_or(|askers| askers.contains(&asker))
        };
        self.holds.iter().find(covers).map(|hold| hold.id.as_str())
    }

    /// The holds, by name.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.holds.iter().map(|hold| hold.id.as_str())
    }
}

/// The places of a day between two moments. A row's moment is its millisecond, so a span that begins or ends within one
/// has all of it.
pub(super) fn span(day: Day, from: Option<jiff::Timestamp>, to: Option<jiff::Timestamp>) -> (i64, i64) {
    let ms = |time: jiff::Timestamp, up: bool| {
        let nanos = time.as_nanosecond() - start(day).as_nanosecond();
        let ms = if up { -(-nanos).div_euclid(1_000_000) } else { nanos.div_euclid(1_000_000) };
        ms.clamp(0, i128::from(DAY_MS)) as i64
    };
    let from = from.map_or(0, |from| ms(from, false));
    // Late rows may stand behind the last millisecond.
    match to.map_or(DAY_MS, |to| ms(to, true)) {
        DAY_MS => (from * PER_MILLISECOND, i64::MAX),
        to => (from * PER_MILLISECOND, to * PER_MILLISECOND),
    }
}

/// Reads [a fate](FateRow::COLUMNS) from a column on; none where its action is a word of a later program's.
fn fate(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<FateRow>> {
    match FateRow::read(row, first) {
        Ok(fate) => Ok(Some(fate)),
        Err(rusqlite::Error::FromSqlConversionFailure(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The fates of a day file that outlive the time for which everything is kept.
pub(super) fn staying_fates(connection: &Connection) -> rusqlite::Result<HashSet<i64>> {
    let mut statement = connection.prepare(&format!("SELECT id, {} FROM fate", FateRow::COLUMNS))?;
    let mut rows = statement.query([])?;
    let mut stay = HashSet::new();
    while let Some(row) = rows.next()? {
        let (id, fate): (i64, _) = (row.get(0)?, fate(row, 1)?);
        if fate.is_some_and(|fate| fate.stays()) {
            stay.insert(id);
        }
    }
    Ok(stay)
}

/// A row, by its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) at: i64,
    pub(super) asker: i64,
    pub(super) fate: i64,
}

/// A file that is whole and can take the place of the old one.
#[derive(Debug)]
#[must_use = "nothing has changed until it takes the old one's place"]
pub(super) struct Rewritten {
    file: PathBuf,
    new: PathBuf,
    /// How many rows of the old file were looked at.
    rows: u64,
    /// How many of them are in the new one.
    pub(super) kept: u64,
    /// How much smaller it is, in bytes.
    pub(super) bytes: u64,
}

/// Brings a day file that is over into one file, and opens it to be copied. One of an earlier version is brought up to
/// date first.
pub(super) fn source(file: &Path, day: Day) -> Result<Connection, LogError> {
    day::settle(file)?;
    if let Some(source) = day::open_to_read(file)? {
        return Ok(source);
    }
    drop(day::open(file, day)?);
    day::settle(file)?;
    let missing = || LogError::file(file, std::io::ErrorKind::NotFound.into());
    day::open_to_read(file)?.ok_or_else(missing)
}

/// Writes a day file anew, beside the old one, with the rows that `keep` wants.
///
/// The old one must be settled: nobody writes to it, and it has no journal.
pub(super) fn rewrite(
    folder: &LogFolder,
    day: Day,
    from: &Connection,
    mark: &Mark,
    stop: &AtomicBool,
    keep: impl FnMut(Numbers) -> bool,
) -> Result<Rewritten, LogError> {
    let file = folder.day(day);
    let new = beside(&file, NEW);
    remove_with_journals(&new)?;
    let made = copy(&file, &new, day, from, mark, stop, keep);
    if made.is_err() {
        // Best effort: the error that counts is the one returned, and what is left goes at the next start.
        let _ = remove_with_journals(&new);
    }
    made
}

fn copy(
    file: &Path,
    new: &Path,
    day: Day,
    from: &Connection,
    mark: &Mark,
    stop: &AtomicBool,
    mut keep: impl FnMut(Numbers) -> bool,
) -> Result<Rewritten, LogError> {
    let problem = |source| LogError::database(file, source);
    let mut to = DayWriter::open(new, day)?;
    let mut words = Words { from, file, askers: Vec::new(), names: Vec::new(), fates: Vec::new() };
    let (mut rows, mut kept) = (0, 0);
    to.begin()?;
    {
        let mut statement =
            from.prepare("SELECT at, asker, name, fate, took FROM question ORDER BY at").map_err(problem)?;
        let mut questions = statement.query([]).map_err(problem)?;
        while let Some(row) = questions.next().map_err(problem)? {
            rows += 1;
            if rows % 4_096 == 0 && stop.load(Relaxed) {
                return Err(LogError::Stopped);
            }
            let read = || Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
            let (at, asker, name, fate, took) = read().map_err(problem)?;
            if !keep(Numbers { at, asker, fate }) {
                continue;
            }
            let words =
                (words.asker(asker, &mut to)?, words.name(name, &mut to)?, words.fate(fate, &mut to)?);
            // A row without its words says nothing, and must not keep the others from leaving in time.
            let (Some(asker), Some(name), Some(fate)) = words else { continue };
            kept += 1;
            to.question_at(at, &QuestionRow { ms: at / PER_MILLISECOND, asker, name, fate, took })?;
            if kept % COMMIT_EVERY == 0 {
                to.commit()?;
                to.begin()?;
            }
        }
    }
    for table in COPIED {
        copy_table(from, to.connection(), table).map_err(problem)?;
    }
    about(from, to.connection(), mark).map_err(|source| LogError::database(new, source))?;
    to.commit()?;
    // Nothing goes that the new file can't be shown to have.
    let written: i64 = to
        .connection()
        .query_row("SELECT count(*) FROM question", [], |row| row.get(0))
        .map_err(|source| LogError::database(new, source))?;
    if u64::try_from(written).ok() != Some(kept) {
        let what = format!("{written} of {kept} rows were written");
        return Err(LogError::file(new, std::io::Error::other(what)));
    }
    to.close()?;
    finished(file, new, rows, kept)
}

/// Makes a copy of a day file beside it, and changes that; `edit` says how many rows it took out.
///
/// The day file must be settled: nobody writes to it, and it has no journal.
pub(super) fn edited(
    folder: &LogFolder,
    day: Day,
    edit: impl FnOnce(&Path) -> Result<u64, LogError>,
) -> Result<Rewritten, LogError> {
    let file = folder.day(day);
    let new = beside(&file, NEW);
    remove_with_journals(&new)?;
    let made = fs::copy(&file, &new)
        .map_err(|source| LogError::file(&new, source))
        .and_then(|_| edit(&new))
        .and_then(|gone| finished(&file, &new, gone, 0));
    if made.is_err() {
        // Best effort, as above.
        let _ = remove_with_journals(&new);
    }
    made
}

/// Brings what was made into one file, on the disk.
fn finished(file: &Path, new: &Path, rows: u64, kept: u64) -> Result<Rewritten, LogError> {
    day::settle(new)?;
    let size = |path: &Path| fs::metadata(path).map_or(0, |data| data.len());
    fs::File::open(new).and_then(|new| new.sync_all()).map_err(|source| LogError::file(new, source))?;
    Ok(Rewritten {
        file: file.to_owned(),
        new: new.to_owned(),
        rows,
        kept,
        bytes: size(file).saturating_sub(size(new)),
    })
}

impl Rewritten {
    /// How many rows are gone when it takes the old one's place.
    pub(super) fn removed(&self) -> u64 {
        self.rows - self.kept
    }

    /// Puts it in the place of the old one.
    pub(super) fn take_its_place(self) -> Result<(), LogError> {
        let problem = |source| LogError::file(&self.file, source);
        // A journal would be taken for one of the new file.
        if ["-wal", "-journal"].iter().any(|suffix| beside(&self.file, suffix).exists()) {
            return Err(problem(std::io::Error::other("it is being written to")));
        }
        fs::rename(&self.new, &self.file).map_err(problem)?;
        sync_folder_of(&self.file)
    }

    /// Throws it away.
    pub(super) fn forget(self) -> Result<(), LogError> {
        remove_with_journals(&self.new)
    }
}

pub(super) fn sync_folder_of(file: &Path) -> Result<(), LogError> {
    let folder = file.parent().unwrap_or(file);
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| LogError::file(folder, source))
}

/// Removes a database and what SQLite has beside it; that there is none is fine.
pub(super) fn remove_with_journals(file: &Path) -> Result<(), LogError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let file = beside(file, suffix);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(LogError::file(&file, error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn copy_table(from: &Connection, to: &Connection, table: &str) -> rusqlite::Result<()> {
    let mut read = from.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = read.column_count();
    let places = vec!["?"; columns].join(", ");
    let mut write = to.prepare(&format!("INSERT INTO {table} VALUES ({places})"))?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        let values: Vec<Value> = (0..columns).map(|place| row.get(place)).collect::<Result<_, _>>()?;
        write.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

fn about(from: &Connection, to: &Connection, mark: &Mark) -> rusqlite::Result<()> {
    let mut read = from.prepare("SELECT key, value FROM about")?;
    let mut write = to.prepare("INSERT OR REPLACE INTO about (key, value) VALUES (?1, ?2)")?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        write.execute([row.get::<_, String>(0)?, row.get(1)?])?;
    }
    write.execute(["kept", mark.kept.word()])?;
    write.execute(["holds", &mark.holds.join(" ")])?;
    Ok(())
}

/// The words of the old file in the new one: by the old number, the new one. Each is written when a row needs it.
struct Words<'a> {
    from: &'a Connection,
    file: &'a Path,
    askers: Vec<u32>,
    names: Vec<u32>,
    fates: Vec<u32>,
}

/// Numbers count up from 1 in every day file, so that a list of them is small.
const MOST_WORDS: i64 = 1 << 28;

fn known(numbers: &mut Vec<u32>, old: i64) -> Option<&mut u32> {
    let at = usize::try_from(old).ok().filter(|_| old < MOST_WORDS)?;
    if at >= numbers.len() {
        numbers.resize(at + 1, 0);
    }
    Some(&mut numbers[at])
}

impl Words<'_> {
    fn asker(&mut self, old: i64, to: &mut DayWriter) -> Result<Option<i64>, LogError> {
        let (from, file) = (self.from, self.file);
        renumbered(&mut self.askers, old, || {
            let sql = format!("SELECT {} FROM asker WHERE id = ?1", AskerRow::COLUMNS);
            let row = read(from, file, &sql, old, |row| AskerRow::read(row, 0))?;
            row.map(|row| to.asker(&row)).transpose()
        })
    }

    fn name(&mut self, old: i64, to: &mut DayWriter) -> Result<Option<i64>, LogError> {
        let (from, file) = (self.from, self.file);
        renumbered(&mut self.names, old, || {
            let row: Option<(String, Option<Vec<u8>>)> =
                read(from, file, "SELECT reversed, sealed FROM name WHERE id = ?1", old, |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            row.map(|(reversed, sealed)| to.name(&reversed, || sealed)).transpose()
        })
    }

    fn fate(&mut self, old: i64, to: &mut DayWriter) -> Result<Option<i64>, LogError> {
        let (from, file) = (self.from, self.file);
        renumbered(&mut self.fates, old, || {
            let sql = format!("SELECT {} FROM fate WHERE id = ?1", FateRow::COLUMNS);
            let row = read(from, file, &sql, old, |row| fate(row, 0))?.flatten();
            row.map(|row| to.fate(&row)).transpose()
        })
    }
}

/// The new number of a word; none where the file does not have it.
fn renumbered(
    numbers: &mut Vec<u32>,
    old: i64,
    write: impl FnOnce() -> Result<Option<i64>, LogError>,
) -> Result<Option<i64>, LogError> {
    let Some(place) = known(numbers, old) else { return Ok(None) };
    if *place == 0 {
        // Of a file with so many words there would be no disk.
        *place = write()?.and_then(|new| u32::try_from(new).ok()).unwrap_or_default();
    }
    Ok(Some(i64::from(*place)).filter(|new| *new != 0))
}

fn read<T>(
    from: &Connection,
    file: &Path,
    sql: &str,
    old: i64,
    map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, LogError> {
    from.prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([old], map).optional())
        .map_err(|source| LogError::database(file, source))
}
