//! One device's questions, taken out: what is under a legal hold stays.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
};

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::{
    Keeping, client,
    hold::{Hold, Holds, reason, start},
    live,
    purge::{self, Purge, Purged},
    rewrite::{self, HeldRows, span},
};
use crate::{
    clock::Day,
    querylog::{
        day,
        error::LogError,
        privacy::{self, DayKey},
        rollup::Forgotten,
        who::Who,
    },
};

/// Whose questions are to be taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erase {
    /// An address, a link-layer address, the name of a device, or a pseudonym of the log.
    pub client: String,
    /// From when on; from the beginning, if not given.
    pub from: Option<Timestamp>,
    /// Until when, itself not among them; until now, if not given.
    pub to: Option<Timestamp>,
    /// Who does it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What was taken out, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EraseReport {
    /// The device, as it was named.
    pub client: String,
    /// Nothing was changed: only looked.
    pub dry_run: bool,
    /// How many rows went in all.
    pub rows: u64,
    /// The days that they were in.
    pub days: Vec<ErasedDay>,
    /// What legal holds kept.
    pub spared: Vec<Spared>,
    /// How many lines of roll-ups named the device.
    pub rollup_rows: u64,
    /// Days with pseudonyms of which nobody can say any more who they were, since their key is gone.
    pub unknowable: Vec<String>,
    /// Days that could not be worked on, and why.
    pub failed: Vec<String>,
}

/// What was taken out of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ErasedDay {
    /// The UTC day: `2026-11-22`.
    pub day: String,
    /// How many rows.
    pub rows: u64,
}

/// What a legal hold kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Spared {
    /// The hold.
    pub hold: String,
    /// How many rows.
    pub rows: u64,
    /// The UTC days that they are in.
    pub days: Vec<String>,
}

impl EraseReport {
    /// Whether the log knew anything of the device.
    #[must_use]
    pub fn found(&self) -> bool {
        self.rows > 0 || self.rollup_rows > 0 || !self.spared.is_empty()
    }
}

impl fmt::Display for EraseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.dry_run { "would be erased (nothing was changed)" } else { "erased" };
        writeln!(f, "Device {}: {} rows {would}", self.client, self.rows)?;
        for ErasedDay { day, rows } in &self.days {
            writeln!(f, "  {day}: {rows}")?;
        }
        if self.rollup_rows > 0 {
            writeln!(f, "  in roll-ups: {}", self.rollup_rows)?;
        }
        for Spared { hold, rows, days } in &self.spared {
            writeln!(f, "Kept for {hold}: {rows} rows ({})", days.join(", "))?;
        }
        if !self.unknowable.is_empty() {
            let days = self.unknowable.join(", ");
            writeln!(f, "Pseudonyms of these days can't be reversed any more, by anybody: {days}")?;
        }
        for failed in &self.failed {
            writeln!(f, "NOT DONE: {failed}")?;
        }
        Ok(())
    }
}

/// What a day has of a device.
struct Found {
    /// The numbers of its askers.
    askers: HashSet<i64>,
    /// What stands for it in this day's rows.
    clients: BTreeSet<String>,
    /// The places from which to which rows may go.
    span: (i64, i64),
    held: HeldRows,
    /// How many rows go.
    rows: u64,
    /// How many stay, by hold.
    spared: BTreeMap<String, u64>,
    /// There are pseudonyms that nobody can reverse.
    unknowable: bool,
}

impl Found {
    fn goes(&self, at: i64, asker: i64) -> bool {
        self.is_its(at, asker) && self.held.by(at, asker).is_none()
    }

    fn is_its(&self, at: i64, asker: i64) -> bool {
        (self.span.0..self.span.1).contains(&at) && self.askers.contains(&asker)
    }
}

impl Keeping {
    /// Takes one device's rows out of the log, and out of what the roll-ups say of who asked most; also those under a
    /// pseudonym, while the key of their day exists. What a legal hold covers stays.
    ///
    /// `tell` is told of each day's removal just before it is done. A day that can't be worked on is in the report; the
    /// others are done all the same.
    ///
    /// # Errors
    ///
    /// When the request makes no sense, or the legal holds or the folder can't be read; then nothing was changed.
    pub fn erase(&self, request: &Erase, tell: &dyn Fn(&Purge)) -> Result<EraseReport, LogError> {
        let wanted = Who::parse(&request.client)?;
        if matches!(wanted, Who::Net(_)) {
            return Err(LogError::input("--client", "a subnet is many devices; name one"));
        }
        let why = reason("--reason", &request.reason)?;
        let now = self.clock.now();
        let to = request.to.unwrap_or(now);
        if request.from.is_some_and(|from| from >= to) {
            return Err(LogError::input("--from", "it is not before --to"));
        }
        self.read_holds()?;
        let days = self.folder.days().map_err(|source| LogError::file(self.folder.path(), source))?;
        let mut report = EraseReport {
            client: request.client.trim().to_owned(),
            dry_run: request.dry_run,
            ..EraseReport::default()
        };
        let mut spared: BTreeMap<String, Spared> = BTreeMap::new();
        // Rows of this very millisecond are of before the request.
        let to_rows = request.to;
        for day in days {
            let is_within = start(day) < to && request.from.is_none_or(|from| from < start(day.plus(1)));
            if !is_within {
                continue;
            }
            let _work = self.work();
            // Asked again for each day, since a hold may be made meanwhile.
            let holds = self.read_holds()?;
            let task = Task { keeping: self, day, wanted: &wanted, request, to: to_rows, why: &why, now };
            match task.run(&holds, tell) {
                Ok(None) => {}
                Ok(Some((found, rows, rollup_rows))) => {
                    report.rows += rows;
                    report.rollup_rows += rollup_rows;
                    if rows > 0 {
                        report.days.push(ErasedDay { day: purge::written(day), rows });
                    }
                    if found.unknowable {
                        report.unknowable.push(purge::written(day));
                    }
                    for (hold, rows) in found.spared {
                        let of = spared.entry(hold.clone()).or_insert_with(|| Spared {
                            hold,
                            rows: 0,
                            days: Vec::new(),
                        });
                        of.rows += rows;
                        of.days.push(purge::written(day));
                    }
                }
                Err(error) => report.failed.push(format!("{}: {error}", purge::written(day))),
            }
        }
        self.erase_from_rollups(&wanted, request, to, &mut report)?;
        report.spared = spared.into_values().collect();
        Ok(report)
    }

    /// What the roll-ups have of days whose files are gone: there, an address is all that is known.
    fn erase_from_rollups(
        &self,
        wanted: &Who,
        request: &Erase,
        to: Timestamp,
        report: &mut EraseReport,
    ) -> Result<(), LogError> {
        let _work = self.work();
        let holds = self.read_holds()?;
        let shielded = holds.all().iter().filter(|hold| {
            let is_its = |client: &String| Who::parse(client).is_ok_and(|held| held == *wanted);
            hold.is_active() && hold.client.as_ref().is_none_or(is_its)
        });
        let forgotten = Forgotten {
            is: &|client| wanted.is(client, "", ""),
            from: request.from.unwrap_or(Timestamp::MIN),
            to,
            shielded: shielded.map(|hold| (hold.from, hold.to)).collect(),
        };
        match self.rollup.erase(&forgotten, request.dry_run) {
            Ok(rows) => report.rollup_rows += rows,
            Err(error) => report.failed.push(format!("roll-ups: {error}")),
        }
        Ok(())
    }
}

/// Erasing in one day.
struct Task<'a> {
    keeping: &'a Keeping,
    day: Day,
    wanted: &'a Who,
    request: &'a Erase,
    to: Option<Timestamp>,
    why: &'a str,
    now: Timestamp,
}

impl Task<'_> {
    /// Erases; what was found, how many rows went, and how many of the roll-ups. None where the day knows nothing of the
    /// device.
    fn run(&self, holds: &Holds, tell: &dyn Fn(&Purge)) -> Result<Option<(Found, u64, u64)>, LogError> {
        let file = self.keeping.folder.day(self.day);
        let is_over = self.day < self.keeping.today();
        let connection = match day::open_to_read(&file)? {
            Some(connection) => connection,
            // Of an earlier version.
            None if is_over => rewrite::source(&file, self.day)?,
            // The writer is about to make it.
            None => return Ok(None),
        };
        let key = DayKey::load(&self.keeping.folder, self.day)?;
        let standing: Vec<&Hold> = holds.of_day(self.day).collect();
        let found = self.find(&connection, &standing, key.as_ref())?;
        if found.askers.is_empty() && !found.unknowable {
            return Ok(None);
        }
        if self.request.dry_run || found.rows == 0 {
            let rollup_rows = self.rollups(&found, &standing)?;
            let rows = found.rows;
            return Ok(Some((found, rows, rollup_rows)));
        }
        tell(&Purge {
            at: self.now,
            by: self.request.by.clone(),
            day: purge::written(self.day),
            what: Purged::Erased,
            rows: found.rows,
            bytes: 0,
            why: self.why.to_owned(),
        });
        drop(connection);
        let rows = match is_over.then(|| day::settle(&file)) {
            Some(Ok(())) => self.change_a_copy(&found)?,
            // The writer has it open: it is today's, or midnight was just now.
            None => live::erase(&file, self.day, live::FEW, &|at, asker| found.goes(at, asker))?,
            Some(Err(error)) if error.is_busy() => {
                live::erase(&file, self.day, live::FEW, &|at, asker| found.goes(at, asker))?
            }
            Some(Err(error)) => return Err(error),
        };
        let rollup_rows = self.rollups(&found, &standing)?;
        Ok(Some((found, rows, rollup_rows)))
    }

    fn find(
        &self,
        connection: &Connection,
        standing: &[&Hold],
        key: Option<&DayKey>,
    ) -> Result<Found, LogError> {
        let file = self.keeping.folder.day(self.day);
        let problem = |source| LogError::database(&file, source);
        let askers = client::askers_of(connection, self.wanted, key).map_err(problem)?;
        let unknowable = key.is_none() && has_pseudonyms(connection).map_err(problem)?;
        let held = HeldRows::find(connection, self.day, standing.iter().copied(), key, &file)?;
        let mut found = Found {
            clients: askers.iter().map(|(_, asker)| asker.client.clone()).collect(),
            askers: askers.into_iter().map(|(id, _)| id).collect(),
            span: span(self.day, self.request.from, self.to),
            held,
            rows: 0,
            spared: BTreeMap::new(),
            unknowable,
        };
        if found.askers.is_empty() {
            return Ok(found);
        }
        let (mut rows, mut spared) = (0, BTreeMap::<String, u64>::new());
        let mut statement = connection
            .prepare("SELECT at, asker FROM question WHERE at >= ?1 AND at < ?2")
            .map_err(problem)?;
        let mut questions = statement.query([found.span.0, found.span.1]).map_err(problem)?;
        while let Some(row) = questions.next().map_err(problem)? {
            let (at, asker) = (row.get(0).map_err(problem)?, row.get(1).map_err(problem)?);
            if found.is_its(at, asker) {
                match found.held.by(at, asker) {
                    None => rows += 1,
                    Some(hold) => *spared.entry(hold.to_owned()).or_default() += 1,
                }
            }
        }
        (found.rows, found.spared) = (rows, spared);
        Ok(found)
    }

    /// A device is a small part of a day, so a copy is changed, which takes the day's place when it is whole.
    fn change_a_copy(&self, found: &Found) -> Result<u64, LogError> {
        let new = rewrite::edited(&self.keeping.folder, self.day, |copy| {
            live::erase(copy, self.day, live::MANY, &|at, asker| found.goes(at, asker))
        })?;
        let removed = new.removed();
        new.take_its_place()?;
        Ok(removed)
    }

    fn rollups(&self, found: &Found, standing: &[&Hold]) -> Result<u64, LogError> {
        let from = self.request.from.map_or_else(|| start(self.day), |from| from.max(start(self.day)));
        let end = start(self.day.plus(1));
        let forgotten = Forgotten {
            is: &|client| found.clients.contains(client),
            from,
            to: self.to.map_or(end, |to| to.min(end)),
            shielded: standing
                .iter()
                // Also one on another device, which may be this one under another name.
                .filter(|hold| hold.client.is_none() || found.spared.contains_key(&hold.id))
                .map(|hold| (hold.from, hold.to))
                .collect(),
        };
        self.keeping.rollup.erase(&forgotten, self.request.dry_run)
    }
}

fn has_pseudonyms(connection: &Connection) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare("SELECT client FROM asker WHERE sealed IS NOT NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if privacy::is_pseudonym(&row.get::<_, String>(0)?) {
            return Ok(true);
        }
    }
    Ok(false)
}
