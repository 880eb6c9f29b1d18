//! Keeping and forgetting: what leaves the log when, and what must stay all the same.
//!
//! A day file is written anew after `allowed_days` with only what was blocked, rewritten or is to be looked at, and
//! deleted after `blocked_days` (`plan` decides, `rewrite` does it). Legal holds (`hold`) exempt what they cover. One
//! device's rows can be erased (`erase`), and when the disk runs out of room the oldest days go first (`floor`). All of
//! it is done by [`Keeping`], one step at a time, mostly on the thread of the [`Keeper`].

mod alarm;
mod client;
mod erase;
mod floor;
mod hold;
mod keeper;
mod leftovers;
mod live;
mod plan;
mod purge;
mod rewrite;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;

pub use self::{
    alarm::Alarm,
    erase::{Erase, EraseReport, ErasedDay, Spared},
    floor::free_bytes,
    hold::{Hold, Holds, Lifted, NewHold},
    keeper::Keeper,
    purge::{Purge, Purged},
};
use self::{
    alarm::{Alarms, Kind},
    plan::{Held, Step},
    rewrite::{HeldRows, Kept, Mark},
};
use super::{Config, LogFolder, day, error::LogError, privacy::DayKey, rollup::Rollup, who::Who};
use crate::{
    clock::{Clock, Day},
    policy::{Policy, Retention},
};

/// How long after midnight the file of the day before is left to the writer, in seconds.
const LATE: i64 = 600;

/// Finds out how many bytes of a folder's disk are free.
type Free = Box<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

/// Everything that removes from the log, and everything that forbids it.
///
/// Only one thing is done at a time, and a hold is asked for just before each: when [`add_hold`](Self::add_hold) returns,
/// nothing that it covers is removed any more.
pub struct Keeping {
    folder: LogFolder,
    clock: Clock,
    policy: Arc<ArcSwap<Policy>>,
    limits: Retention,
    rollup: Arc<Rollup>,
    /// How many bytes stay free.
    floor: u64,
    free: Free,
    alarms: Alarms,
    stop: AtomicBool,
    work: Mutex<Work>,
}

/// What was done and found, so that it need not be each time.
#[derive(Debug, Default)]
struct Work {
    marks: HashMap<Day, Mark>,
    /// When old rows were last taken out of the roll-ups, and by which rules.
    forgot: Option<(Day, Retention, Holds)>,
}

impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Keeping {
    /// Keeps the log of a folder, as the policy in force and the settings of the box say. Nothing is read or removed
    /// yet.
    #[must_use]
    pub fn new(folder: LogFolder, clock: Clock, policy: Arc<ArcSwap<Policy>>, config: &Config) -> Self {
        Self {
            rollup: Arc::new(Rollup::new(folder.clone())),
            folder,
            clock,
            policy,
            limits: config.limits(),
            floor: config.floor(),
            free: Box::new(free_bytes),
            alarms: Alarms::default(),
            stop: AtomicBool::new(false),
            work: Mutex::default(),
        }
    }

    /// Asks something else than the disk how much of it is free.
    #[must_use]
    pub fn with_free(mut self, free: impl Fn(&Path) -> io::Result<u64> + Send + Sync + 'static) -> Self {
        self.free = Box::new(free);
        self
    }

    /// How many bytes of the disk stay free: below that, the oldest days are deleted.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The roll-ups, for who reads them.
    #[must_use]
    pub fn rollup(&self) -> &Arc<Rollup> {
        &self.rollup
    }

    /// For how long what may be kept without saying why.
    #[must_use]
    pub fn limits(&self) -> Retention {
        self.limits
    }

    /// For how long what is kept, as the policy in force says and the box allows.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.policy.load().file().log.retention(&self.limits)
    }

    /// What is wrong now; empty while all is well.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        self.alarms.all()
    }

    /// Every legal hold, those that were lifted among them, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub fn holds(&self) -> Result<Vec<Hold>, LogError> {
        Ok(self.read_holds()?.all().to_vec())
    }

    /// Makes a legal hold. When this returns it is on the disk, and nothing that it covers is removed any more.
    ///
    /// # Errors
    ///
    /// When it makes no sense, or can't be written; then there is none.
    pub fn add_hold(&self, new: NewHold, by: &str) -> Result<Hold, LogError> {
        if let Some(Who::Name(name)) = new.client.as_deref().map(Who::parse).transpose()? {
            self.known_device(&name, &new)?;
        }
        let _work = self.work();
        self.read_holds()?.add(new, by, self.clock.now())
    }

    /// A slip in a name would make a hold that holds nothing, so the policy or the log must have such a device.
    fn known_device(&self, name: &str, new: &NewHold) -> Result<(), LogError> {
        let is_it = |device: &str| device.to_lowercase() == name;
        if self.policy.load().file().devices.iter().any(|device| is_it(&device.name)) {
            return Ok(());
        }
        let days = self.folder.days().map_err(|source| LogError::file(self.folder.path(), source))?;
        let wanted = Who::Name(name.to_owned());
        for day in
            days.into_iter().filter(|day| hold::start(*day) < new.to && new.from < hold::start(day.plus(1)))
        {
            let file = self.folder.day(day);
            // What can't be read now may well have it.
            let Ok(Some(connection)) = day::open_to_read(&file) else { return Ok(()) };
            let key = DayKey::load(&self.folder, day)?;
            let askers = client::askers_of(&connection, &wanted, key.as_ref());
            if !askers.map_err(|source| LogError::database(&file, source))?.is_empty() {
                return Ok(());
            }
        }
        let what = "no device of that name is in the policy or, of that time, in the log; write its name, its address, \
                    its MAC address, a subnet, or a pseudonym of the log";
        Err(LogError::input("--client", format!("{name:?}: {what}")))
    }

    /// Lifts a legal hold; what it kept beyond its time goes with the next round.
    ///
    /// # Errors
    ///
    /// When there is no such hold, it was lifted before, or it can't be written; then nothing has changed.
    pub fn lift_hold(&self, id: &str, why: &str, by: &str) -> Result<Hold, LogError> {
        let _work = self.work();
        self.read_holds()?.lift(id, why, by, self.clock.now())
    }

    /// Does everything that is due: cleans up what a crash left behind, keeps the disk from running full, brings closed
    /// days into one file each, rolls up hours that are over, and reduces and deletes what is old.
    ///
    /// `tell` is told of each removal, just before it is done: a record too many is better than one too few. What can't
    /// be done is an [alarm](Self::alarms) and tried again by the next round.
    pub fn round(&self, tell: &dyn Fn(&Purge)) {
        self.sweep(tell);
        // On a full disk nothing else can be done.
        self.keep_floor(tell);
        self.settle_closed_days();
        self.roll_up(tell);
        self.retain(tell);
    }

    /// Makes what is being done end soon; a step that is under way is left undone.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    fn today(&self) -> Day {
        Day::of(self.clock.now())
    }

    fn read_holds(&self) -> Result<Holds, LogError> {
        let holds = Holds::load(&self.folder.holds());
        self.alarms.set(Kind::Holds, holds.as_ref().err().map(ToString::to_string));
        holds
    }

    /// The days that have a file and are over.
    fn closed_days(&self) -> Vec<Day> {
        let days = self.folder.days().map_err(|source| LogError::file(self.folder.path(), source));
        self.alarms.set(Kind::Folder, days.as_ref().err().map(ToString::to_string));
        let today = self.today();
        days.unwrap_or_default().into_iter().filter(|day| *day < today).collect()
    }

    /// Brings each day that is over into one file, which can be copied by itself.
    fn settle_closed_days(&self) {
        let now = self.clock.now();
        let into = now.as_second().rem_euclid(86_400);
        let yesterday = self.today().minus(1);
        for day in self.closed_days() {
            if self.stopped() || (day == yesterday && into < LATE) {
                return;
            }
            let _work = self.work();
            let file = self.folder.day(day);
            if leftovers::is_settled(&file) {
                continue;
            }
            match day::settle(&file) {
                Ok(()) => self.alarms.set(Kind::Day(day), None),
                // Somebody reads it.
                Err(error) if error.is_busy() => {}
                Err(error) => self.alarms.set(Kind::Day(day), Some(error.to_string())),
            }
        }
    }

    fn roll_up(&self, tell: &dyn Fn(&Purge)) {
        let now = self.clock.now();
        let done = self.rollup.catch_up(now, &self.stop).and_then(|()| {
            let mut work = self.work();
            let holds = self.read_holds()?;
            // Old rows are looked for once a day, and when what decides has changed.
            let rules = (Day::of(now), self.retention(), holds);
            if work.forgot.as_ref() == Some(&rules) {
                return Ok(());
            }
            let gone = self.rollup.forget(now, &rules.1, rules.2.all())?;
            work.forgot = Some(rules);
            if gone > 0 {
                tell(&Purge {
                    at: now,
                    by: purge::BY.to_owned(),
                    day: String::new(),
                    what: Purged::RollupsDeleted,
                    rows: gone,
                    bytes: 0,
                    why: String::from("they are older than the policy keeps them"),
                });
            }
            Ok(())
        });
        match done {
            Err(LogError::Stopped | LogError::Holds { .. }) => {}
            done => self.alarms.set(Kind::Rollup, done.err().map(|error| error.to_string())),
        }
    }

    /// Reduces and deletes what is old.
    fn retain(&self, tell: &dyn Fn(&Purge)) {
        let retention = self.retention();
        for day in self.closed_days() {
            let age = self.today().since(day);
            if age <= retention.allowed_days {
                // The rest is younger.
                return;
            }
            let mut work = self.work();
            let Ok(holds) = self.read_holds() else { return };
            let done = self.retain_day(&mut work, day, age, &retention, &holds, tell);
            self.noted(&mut work, day, done);
            if self.stopped() {
                return;
            }
        }
    }

    fn retain_day(
        &self,
        work: &mut Work,
        day: Day,
        age: u16,
        retention: &Retention,
        holds: &Holds,
        tell: &dyn Fn(&Purge),
    ) -> Result<(), LogError> {
        let standing: Vec<&Hold> = holds.of_day(day).collect();
        let held = held(&standing, day);
        let mark = if age > retention.blocked_days && held == Held::Nothing {
            // It goes, whatever it has.
            Mark { kept: Kept::All, holds: Vec::new() }
        } else {
            self.mark(work, day)?
        };
        let lifted = mark.holds.iter().any(|id| !standing.iter().any(|hold| hold.id == *id));
        match plan::step(age, &mark, retention, held, lifted) {
            None => Ok(()),
            Some(Step::Delete) => {
                let why = days_over(retention.blocked_days, "blocked_days");
                self.delete(work, day, &why, tell)
            }
            Some(Step::Reduce(kept)) => {
                let why = match kept {
                    Kept::Held => days_over(retention.blocked_days, "blocked_days"),
                    _ => days_over(retention.allowed_days, "allowed_days"),
                };
                self.reduce(work, day, kept, &standing, &why, tell)
            }
        }
    }

    /// What became of a day: an alarm, where it could not be done. A damaged file is put aside.
    fn noted(&self, work: &mut Work, day: Day, done: Result<(), LogError>) {
        match done {
            Ok(()) => self.alarms.set(Kind::Day(day), None),
            Err(LogError::Stopped) => {}
            Err(error) if error.is_busy() => {}
            Err(error) if error.is_damage() => {
                work.marks.remove(&day);
                let aside = day::set_aside(&self.folder.day(day));
                let where_to = match aside {
                    Ok(aside) => format!("it is put aside as {}", aside.display()),
                    Err(error) => format!("and can't be put aside: {error}"),
                };
                self.alarms.set(Kind::Day(day), Some(format!("{error}; {where_to}")));
            }
            Err(error) => self.alarms.set(Kind::Day(day), Some(error.to_string())),
        }
    }

    fn mark(&self, work: &mut Work, day: Day) -> Result<Mark, LogError> {
        if let Some(mark) = work.marks.get(&day) {
            return Ok(mark.clone());
        }
        let mark = Mark::of(&self.folder.day(day))?;
        work.marks.insert(day, mark.clone());
        Ok(mark)
    }

    /// Writes a day anew with what `kept` says and what the holds cover.
    fn reduce(
        &self,
        work: &mut Work,
        day: Day,
        kept: Kept,
        holds: &[&Hold],
        why: &str,
        tell: &dyn Fn(&Purge),
    ) -> Result<(), LogError> {
        let file = self.folder.day(day);
        let source = rewrite::source(&file, day)?;
        let key = self.key_for(day, holds)?;
        let held = HeldRows::find(&source, day, holds.iter().copied(), key.as_ref(), &file)?;
        let stay = rewrite::staying_fates(&source).map_err(|source| LogError::database(&file, source))?;
        let mark = Mark { kept, holds: held.ids().map(str::to_owned).collect() };
        let new = rewrite::rewrite(&self.folder, day, &source, &mark, &self.stop, |row| {
            (kept == Kept::Blocked && stay.contains(&row.fate)) || held.by(row.at, row.asker).is_some()
        })?;
        drop(source);
        if kept == Kept::Held && new.kept == 0 {
            new.forget()?;
            return self.delete(work, day, why, tell);
        }
        if new.removed() > 0 {
            tell(&Purge {
                at: self.clock.now(),
                by: purge::BY.to_owned(),
                day: purge::written(day),
                what: if kept == Kept::Held { Purged::ReducedToHolds } else { Purged::Reduced },
                rows: new.removed(),
                bytes: new.bytes,
                why: why.to_owned(),
            });
        }
        new.take_its_place()?;
        work.marks.insert(day, mark);
        Ok(())
    }

    /// Deletes a day, and its key.
    fn delete(&self, work: &mut Work, day: Day, why: &str, tell: &dyn Fn(&Purge)) -> Result<(), LogError> {
        let file = self.folder.day(day);
        tell(&Purge {
            at: self.clock.now(),
            by: purge::BY.to_owned(),
            day: purge::written(day),
            what: Purged::Deleted,
            rows: leftovers::rows_of(&file),
            bytes: leftovers::bytes_of(&file),
            why: why.to_owned(),
        });
        rewrite::remove_with_journals(&file)?;
        rewrite::sync_folder_of(&file)?;
        DayKey::destroy(&self.folder, day)?;
        work.marks.remove(&day);
        Ok(())
    }

    /// The key of a day, where a hold on one device needs it to find the device behind a pseudonym.
    fn key_for(&self, day: Day, holds: &[&Hold]) -> Result<Option<DayKey>, LogError> {
        if holds.iter().any(|hold| hold.client.is_some()) {
            DayKey::load(&self.folder, day)
        } else {
            Ok(None)
        }
    }

    /// Held by whoever removes something or forbids it. A panic leaves what is remembered as it is on the disk.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            let mut work = poisoned.into_inner();
            work.marks.clear();
            work
        })
    }
}

/// How much of a day holds cover.
fn held(standing: &[&Hold], day: Day) -> Held {
    if standing.iter().any(|hold| hold.has_whole(day)) {
        Held::Whole
    } else if standing.is_empty() {
        Held::Nothing
    } else {
        Held::Part
    }
}

fn days_over(days: u16, key: &str) -> String {
    let days = if days == 1 { String::from("1 day is") } else { format!("{days} days are") };
    format!("{days} over ({key})")
}
