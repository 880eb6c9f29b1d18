//! When the disk runs out of room: the oldest days go first.

use std::{io, path::Path};

use super::{Keeping, alarm::Kind, held, plan::Held, purge::Purge, rewrite::Kept};
use crate::{clock::Day, querylog::error::LogError};

/// How many bytes of the disk that has a folder are free for whoever runs the box.
///
/// # Errors
///
/// When the folder is not there, or the system does not say.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

impl Keeping {
    /// Deletes the oldest days until as much of the disk is free as the settings say: never today, and nothing that is
    /// under a legal hold. While it is not free there is an alarm.
    pub fn keep_floor(&self, tell: &dyn Fn(&Purge)) {
        self.free_up(self.floor, tell);
    }

    /// Deletes the oldest day that may go, however much of the disk seems to be free, and more where the settings say
    /// so: the writer was told that the disk is full, as where there is a quota.
    pub fn make_room(&self, tell: &dyn Fn(&Purge)) {
        let free = (self.free)(self.folder.path()).unwrap_or_default();
        self.free_up(self.floor.max(free.saturating_add(1)), tell);
    }

    fn free_up(&self, floor: u64, tell: &dyn Fn(&Purge)) {
        let mut days = self.closed_days().into_iter();
        loop {
            let free = match (self.free)(self.folder.path()) {
                Ok(free) => free,
                // Nothing was logged yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(error) => {
                    let what = format!("the system does not say how full the disk is: {error}");
                    return self.alarms.set(Kind::Disk, Some(what));
                }
            };
            if free >= floor {
                return self.alarms.set(Kind::Disk, None);
            }
            let free = free / 1_000_000;
            let what = if floor > self.floor {
                format!("the log can't be written, since the disk is full ({free} MB of it seem to be free)")
            } else {
                let floor = self.floor / 1_000_000;
                format!("{free} MB of the disk are free, and {floor} are to stay free (log.free_megabytes)")
            };
            self.alarms.set(Kind::Disk, Some(format!("{what}; the oldest days are deleted")));
            let Some(day) = days.next() else {
                return self
                    .alarms
                    .set(Kind::Disk, Some(format!("{what}; there is no day left to be deleted")));
            };
            if self.stopped() || self.make_room_of(day, &what, tell).is_err() {
                return;
            }
        }
    }

    /// Deletes a day, but for what is under a hold. An error is that nobody knows what is.
    fn make_room_of(&self, day: Day, why: &str, tell: &dyn Fn(&Purge)) -> Result<(), LogError> {
        // What charts are made from outlives it, where there is room for that.
        if let Err(error) = self.rollup.catch_up_day(day, self.clock.now(), &self.stop) {
            self.alarms.set(Kind::Rollup, Some(error.to_string()));
        }
        let mut work = self.work();
        let holds = self.read_holds()?;
        let standing: Vec<_> = holds.of_day(day).collect();
        let done = match held(&standing, day) {
            Held::Whole => return Ok(()),
            Held::Nothing => self.delete(&mut work, day, why, tell),
            Held::Part => self.mark(&mut work, day).and_then(|mark| {
                let stale = mark.holds.iter().any(|id| !standing.iter().any(|hold| hold.id == *id));
                if mark.kept == Kept::Held && !stale {
                    return Ok(());
                }
                self.reduce(&mut work, day, Kept::Held, &standing, why, tell)
            }),
        };
        match done {
            // The next oldest gives the room that this one needs.
            Err(error) if error.is_full() => {}
            done => self.noted(&mut work, day, done),
        }
        Ok(())
    }
}
