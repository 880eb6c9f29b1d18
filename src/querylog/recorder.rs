//! The writer: one thread that empties the queues and writes what it found to the files of the days.
//!
//! An event is on the disk within [`WITHIN`], as far as the disk lets it: a slow one is written to more often. What it
//! could not write it keeps and tries again; what finds the queues full meanwhile is counted, and the count is written
//! when writing goes on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use tracing::{error, info, warn};

use super::{
    batch::{Batch, Collected, Means},
    day::{self, DAY_MS, write::DayWriter},
    error::LogError,
    flood::Floods,
    folder::LogFolder,
    names::Names,
    privacy::DayKey,
    queue::{Buffer, Queues, emptied},
    sink::Sinks,
    status::Shared,
};
use crate::{
    clock::{Clock, Day},
    vault::Vault,
};

/// How long after it happened an event is on the disk: what a power cut may cost.
const WITHIN: Duration = Duration::from_millis(500);

/// How much of that is left for what nobody foresees.
const SLACK: Duration = Duration::from_millis(50);

/// The longest and the shortest time from the beginning of one write to that of the next. Each commit costs the disk
/// some pages, whatever is in it.
const RARELY: Duration = Duration::from_millis(400);
const OFTEN: Duration = Duration::from_millis(100);

/// Up to how many questions are written with breaks for those who answer: with more there is a flood, and the queues fill.
const FEW: u64 = 8_192;

/// How long yesterday's file stays open for what comes late.
const LATE: Duration = Duration::from_secs(300);

/// How many empty buffers are kept for the queues.
const SPARE: usize = 8;

/// What others ask of the writer.
#[derive(Debug)]
pub(super) enum Command {
    /// A queue fills.
    Wake,
    /// Write everything that was recorded before, and say how it went.
    Flush(SyncSender<Result<(), String>>),
    /// Write everything and end.
    Stop,
}

/// The writer's own.
pub(super) struct Recorder {
    queues: Arc<Queues>,
    folder: LogFolder,
    clock: Clock,
    vault: Option<Arc<Vault>>,
    shared: Arc<Shared>,
    sinks: Arc<Sinks>,
    files: Files,
    names: Names,
    batch: Batch,
    floods: Floods,
    spare: Vec<Buffer>,
}

impl Recorder {
    /// A writer that has nothing open yet.
    pub(super) fn new(
        queues: Arc<Queues>,
        folder: LogFolder,
        clock: Clock,
        vault: Option<Arc<Vault>>,
        shared: Arc<Shared>,
        sinks: Arc<Sinks>,
    ) -> Self {
        Self {
            queues,
            folder,
            clock,
            vault,
            shared,
            sinks,
            files: Files::default(),
            names: Names::default(),
            batch: Batch::default(),
            floods: Floods::default(),
            spare: Vec::new(),
        }
    }
}

/// The files that are open: today's, and for a while after midnight yesterday's.
#[derive(Default)]
struct Files {
    open: Vec<DayWriter>,
    keys: Vec<(Day, Arc<DayKey>)>,
}

impl Files {
    /// The file of a day, opened where it is not open yet.
    fn day(&mut self, folder: &LogFolder, day: Day) -> Result<&mut DayWriter, LogError> {
        if let Some(place) = self.open.iter().position(|writer| writer.day() == day) {
            return Ok(&mut self.open[place]);
        }
        // A clock that was set far: the one that was left goes.
        while self.open.len() >= 2 {
            self.open.remove(0).close()?;
        }
        let writer = DayWriter::open(&folder.day(day), day)?;
        writer.check()?;
        self.open.push(writer);
        let last = self.open.len() - 1;
        Ok(&mut self.open[last])
    }

    /// The key behind the pseudonyms of a day.
    fn key(&mut self, folder: &LogFolder, day: Day) -> Result<Arc<DayKey>, LogError> {
        if let Some((_, key)) = self.keys.iter().find(|(known, _)| *known == day) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(DayKey::load_or_make(folder, day)?);
        self.keys.retain(|(known, _)| known.since(day).max(day.since(*known)) <= 1);
        self.keys.push((day, Arc::clone(&key)));
        Ok(key)
    }

    fn take(&mut self, day: Day) -> Option<DayWriter> {
        let place = self.open.iter().position(|writer| writer.day() == day)?;
        Some(self.open.remove(place))
    }
}

impl Recorder {
    /// Writes until it is told to stop, or nobody is left to tell it.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        // Now, so that the first commit is as quick as the others. An error will be told when there is what to write.
        let _ = self.files.day(&self.folder, Day::of(self.clock.now()));
        let mut next = Instant::now() + OFTEN;
        let mut slowest = Duration::ZERO;
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            let command = commands.recv_timeout(wait);
            let began = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| self.write()));
            let outcome = outcome.unwrap_or_else(|_panic| {
                // What made it panic must not do so for ever.
                self.give_up("internal-error");
                Err(LogError::Stopped)
            });
            // What happens just after this write began waits for the next, and for as long as that takes.
            slowest = began.elapsed().max(slowest * 9 / 10);
            next = began + (WITHIN - SLACK).saturating_sub(slowest).clamp(OFTEN, RARELY);
            match command {
                Ok(Command::Flush(done)) => {
                    // Who asked may be gone.
                    let _ = done.try_send(outcome.map_err(|error| error.to_string()));
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Command::Wake) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
        for writer in self.files.open.drain(..) {
            if let Err(error) = writer.close() {
                warn!(%error, "The query log could not be closed");
            }
        }
    }

    /// Writes what is in the queues; what could not be written the last time goes first.
    fn write(&mut self) -> Result<(), LogError> {
        // Twice, so that after a failure what came meanwhile is written as well.
        for _ in 0..2 {
            if self.batch.is_empty() {
                let mut taken = Vec::new();
                self.queues.take(&mut self.spare, &mut taken);
                self.batch = Batch::new(taken, self.shared.reason_for_loss());
            }
            if self.batch.is_empty() {
                break;
            }
            let mut written = self.write_batch();
            if let Err((day, error)) = &written
                && error.is_damage()
                && self.set_aside(*day)
            {
                written = self.write_batch();
            }
            if let Err((_, error)) = written {
                self.shared.failed(&error);
                return Err(error);
            }
            let done = std::mem::take(&mut self.batch);
            self.shared.committed(self.clock.now(), done.questions(), done.lost());
            let room = SPARE.saturating_sub(self.spare.len());
            self.spare.extend(done.into_buffers().into_iter().take(room).map(emptied));
        }
        self.close_old();
        Ok(())
    }

    /// Writes the batch day by day; what is committed of it is not written again.
    fn write_batch(&mut self) -> Result<(), (Day, LogError)> {
        while let Some(day) = self.batch.next_day() {
            let result = self.write_day(day);
            if let Err(error) = result {
                self.names.forget_all();
                if let Some(writer) = self.files.open.iter_mut().find(|writer| writer.day() == day)
                    && let Err(error) = writer.roll_back()
                {
                    warn!(%error, "The query log's file is opened again");
                    drop(self.files.take(day));
                }
                return Err((day, error));
            }
        }
        Ok(())
    }

    fn write_day(&mut self, day: Day) -> Result<(), LogError> {
        // Before the file, since nothing may be written that should have been under a pseudonym.
        let key = if self.batch.wants_key() { Some(self.files.key(&self.folder, day)?) } else { None };
        let writer = self.files.day(&self.folder, day)?;
        self.names.of_file(day);
        writer.give_way(self.batch.left() <= FEW);
        writer.begin()?;
        if writer.changed_by_others() {
            // A device's rows were erased, and words with them.
            self.names.forget_all();
            self.names.of_file(day);
        }
        let mut collected = Collected::default();
        let means = Means {
            collected: (!self.sinks.is_empty()).then_some(&mut collected),
            names: &mut self.names,
            floods: &mut self.floods,
            key: key.as_deref(),
            vault: self.vault.as_deref(),
        };
        let end = self.batch.write_day(day, writer, means)?;
        writer.commit()?;
        self.batch.done(day, end);
        if let Some(writer) = self.files.open.iter().find(|writer| writer.day() == day)
            && let Err(error) = collected.send(&self.sinks, writer)
        {
            // They are in the log, which is what counts.
            warn!(%error, "What was logged can't be sent on");
        }
        Ok(())
    }

    /// Puts a damaged file out of the way, so that logging goes on in a new one.
    fn set_aside(&mut self, day: Day) -> bool {
        drop(self.files.take(day));
        self.names.forget_all();
        let file = self.folder.day(day);
        match day::set_aside(&file) {
            Ok(aside) => {
                error!(
                    file = %file.display(), aside = %aside.display(),
                    "The query log of a day was damaged; it is kept under another name, and a new one is begun"
                );
                self.shared.set_aside(&aside);
                true
            }
            Err(error) => {
                error!(%error, "The damaged query log of a day can't be renamed");
                false
            }
        }
    }

    /// Drops the batch, and counts what was in it as lost.
    fn give_up(&mut self, reason: &'static str) {
        let batch = std::mem::take(&mut self.batch);
        self.files = Files::default();
        self.names.forget_all();
        self.shared.lose(reason, batch.left());
        error!(
            questions = batch.left(),
            "Questions could not be written to the query log: an internal error (see above)"
        );
    }

    /// Closes files of days that are over.
    fn close_old(&mut self) {
        let now = self.clock.now();
        let today = Day::of(now);
        let into = now.as_millisecond().rem_euclid(DAY_MS);
        if self.files.open.iter().all(|writer| writer.day() >= today) || (into as u128) < LATE.as_millis() {
            return;
        }
        for day in self.files.open.iter().map(DayWriter::day).filter(|day| *day < today).collect::<Vec<_>>() {
            if let Some(writer) = self.files.take(day)
                && let Err(error) = writer.close()
            {
                warn!(%error, "Yesterday's query log could not be closed");
            }
            info!(day = %day, "The query log of a day is complete");
        }
        self.files.keys.retain(|(day, _)| *day >= today);
        self.names.forget_all();
    }
}
