//! Since when this school asks for which names: the first day on which each registrable domain was asked for and
//! found to exist.
//!
//! Only what **exists** is kept: a domain is noted when a question for it, or below it, was answered without an error.
//! Typing errors and the made-up names of malware so never fill the table, and a made-up name does not grow old in it
//! before someone registers it.
//!
//! On the answering path, [`Seen::first_asked`] is a look into a table in memory (`table`): no lock, no allocation,
//! no disk. [`Seen::note`] puts what is new into a short queue for a thread of its own, which alone changes the table
//! and appends to the file ([`mod@file`]), at most once a second; a power cut loses that second. When the queue is full the
//! domain is not noted, and the next question for it tries again.
//!
//! Bounds: [`MOST`] domains, [`MOST_PER_HOUR`] new ones for each client and hour. A domain that nobody asks for in
//! [`FORGET_AFTER`] days is forgotten.

pub mod file;
mod keeper;
mod table;
#[cfg(test)]
mod tests;

use std::{
    fmt, fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
        mpsc::{self, SyncSender, TrySendError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::error;

use self::{
    keeper::{Keeper, Message},
    table::Table,
};
use crate::{
    clock::{Clock, Day},
    policy::FirstAsked,
};

/// The file's name in the folder.
const FILE: &str = "names.seen";

/// How many domains are remembered; above it, those that were not asked for longest are forgotten.
pub const MOST: usize = 2_000_000;

/// How many new domains of one client are noted in an hour; the rest wait for the next.
pub const MOST_PER_HOUR: u32 = 2_000;

/// After how many days a domain is forgotten that nobody asks for.
pub const FORGET_AFTER: u16 = 400;

/// How many notes may wait for the thread that keeps them.
const QUEUE: usize = 4_096;

/// Before this day no box ran this program, so a clock that says so was not set yet (a box without a battery).
const FIRST_DAY: Day = Day::from_number(20_454);

/// How long [`Seen::flush`] waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a registrable domain, by its key, must not be remembered.
pub type Refused = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Since when the school asks for which names.
pub struct Seen {
    table: Arc<Table>,
    /// The number of the day on which the box began to remember; 0 until its clock is set.
    began: Arc<AtomicU16>,
    path: PathBuf,
    /// None when the table is only read.
    keeper: Option<Thread>,
}

/// The thread that keeps a table, and the queue to it.
struct Thread {
    queue: SyncSender<Message>,
    /// None when it could not be started.
    handle: Option<JoinHandle<()>>,
}

/// A domain and the day on which the school first asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSeen {
    /// The registrable domain's key (`uk.co.example`).
    pub name: Box<[u8]>,
    /// The day.
    pub day: Day,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("path", &self.path)
            .field("domains", &self.table.len())
            .finish_non_exhaustive()
    }
}

impl Seen {
    /// Opens the table in a folder of its own and starts the thread that keeps it.
    ///
    /// Never fails: a damaged file is set aside under a name that says so and what can be read of it is kept; when the
    /// folder can't be read or written, the table begins anew in memory. Both are errors in the log. A table that
    /// begins anew begins to learn anew, so that damage never makes every name a new one.
    #[must_use]
    pub fn open(folder: &Path, clock: Clock) -> Self {
        Self::open_with(folder, clock, Limits::default())
    }

    fn open_with(folder: &Path, clock: Clock, limits: Limits) -> Self {
        let path = folder.join(FILE);
        let table = Arc::new(Table::new());
        let began = Arc::new(AtomicU16::new(0));
        let (queue, receive) = mpsc::sync_channel(QUEUE);
        let keeper = Keeper::open(&path, Arc::clone(&table), Arc::clone(&began), clock, limits);
        let handle = std::thread::Builder::new()
            .name(String::from("seen"))
            .spawn(move || keeper.run(&receive))
            .inspect_err(|error| error!(%error, "New names can't be remembered"))
            .ok();
        Self { table, began, path, keeper: Some(Thread { queue, handle }) }
    }

    /// Reads the table in a folder to answer from, and changes nothing there: for commands beside which no server runs.
    ///
    /// # Errors
    ///
    /// When the file is there and can't be read.
    pub fn read(folder: &Path) -> Result<Self, SeenError> {
        let path = folder.join(FILE);
        let table = Arc::new(Table::new());
        let mut began = 0;
        let mut used = table::Owner::new(Arc::clone(&table));
        let found = file::read(&path, &mut |entry| {
            used.insert(&entry.name, entry.first, entry.last);
        });
        match found {
            Ok(found) => began = found.header.map_or(0, |header| header.began.number()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(SeenError { file: path, source }),
        }
        Ok(Self { table, began: Arc::new(AtomicU16::new(began)), path, keeper: None })
    }

    /// Since when the school asks for a registrable domain, by its key ([`Key::registrable`](crate::name::Key::registrable)).
    ///
    /// For the answering path: neither locks nor allocates nor waits. Notes as well that it was asked for lately, so
    /// that it is not forgotten. [`FirstAsked::Unknown`] while the box's clock is not set.
    #[must_use]
    pub fn first_asked(&self, name: &[u8], now: Timestamp) -> FirstAsked {
        let today = Day::of(now);
        let first = self.table.ask(name, today);
        self.said(first, today)
    }

    /// The same without noting that it was asked for: for those who only want to know.
    #[must_use]
    pub fn look(&self, name: &[u8], now: Timestamp) -> FirstAsked {
        self.said(self.table.find(name).map(|dates| dates.first), Day::of(now))
    }

    fn said(&self, first: Option<Day>, today: Day) -> FirstAsked {
        let began = Day::from_number(self.began.load(Ordering::Relaxed));
        if today < FIRST_DAY || began < FIRST_DAY {
            return FirstAsked::Unknown;
        }
        match first {
            // Dated by a clock that was set wrong.
            Some(day) if day > today => FirstAsked::Unknown,
            Some(day) => FirstAsked::On { day, began },
            None => FirstAsked::Never { began },
        }
    }

    /// Notes that a client asked for a registrable domain that exists, and that the table did not have. Never waits.
    pub fn note(&self, name: &[u8], client: IpAddr, now: Timestamp) {
        let day = Day::of(now);
        if let Some(Thread { queue, .. }) = &self.keeper
            && day >= FIRST_DAY
        {
            // A full queue is a flood; whatever is real is asked for again.
            let _ = queue.try_send(Message::Note { name: name.into(), client, day });
        }
    }

    /// Waits until what was noted so far is on the disk, but not for long: for reports and for the end.
    pub fn flush(&self) {
        let Some(Thread { queue, .. }) = &self.keeper else { return };
        let (done, finished) = mpsc::sync_channel(1);
        let mut message = Message::Flush(done);
        let deadline = Instant::now() + PATIENCE;
        // The queue is full only for as long as the disk takes for a write.
        while let Err(TrySendError::Full(again)) = queue.try_send(message) {
            if Instant::now() >= deadline {
                return;
            }
            message = again;
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = finished.recv_timeout(PATIENCE);
    }

    /// Forgets the domains that `refused` says, and from now on notes none of them: neither the table has them then, nor
    /// the file, nor one that was set aside because it was damaged, as far as that can be read. How many it forgot.
    ///
    /// Reads the whole file, so for a thread in the background. A table that is only read is left as it is.
    ///
    /// # Errors
    ///
    /// When the files can't be read or written anew; what of these domains is in them then stays there.
    pub fn forget(&self, refused: &Refused) -> Result<usize, SeenError> {
        let Some(Thread { queue, .. }) = &self.keeper else { return Ok(0) };
        let wrong = |file: &Path, source| SeenError { file: file.to_owned(), source };
        let over = || wrong(&self.path, io::Error::other("nobody keeps it any more"));
        // First, so that what is noted while the file is read is refused already.
        let (done, written) = mpsc::sync_channel(1);
        let refuse = Message::Refuse { refused: Arc::clone(refused), done };
        queue.send(refuse).map_err(|_| over())?;
        written.recv().map_err(|_| over())?;
        let names = refused_in(&self.path, refused).map_err(|source| wrong(&self.path, source))?;
        let count = names.len();
        if count > 0 {
            let (done, finished) = mpsc::sync_channel(1);
            queue.send(Message::Forget { names, done }).map_err(|_| over())?;
            let written = finished.recv().map_err(|_| over())?;
            written.map_err(|source| wrong(&self.path, source))?;
        }
        let folder = self.path.parent().into_iter().flat_map(fs::read_dir).flatten().flatten();
        for aside in folder.map(|entry| entry.path()).filter(|path| keeper::is_set_aside(path)) {
            let found = refused_in(&aside, refused).map_err(|source| wrong(&aside, source))?;
            if !found.is_empty() {
                fs::remove_file(&aside).map_err(|source| wrong(&aside, source))?;
            }
        }
        Ok(count)
    }

    /// The domains that were first asked for on a day or later, the newest first, those of a day by name.
    ///
    /// Reads the whole file, so not for the answering path.
    ///
    /// # Errors
    ///
    /// When the file can't be read.
    pub fn since(&self, day: Day) -> Result<Vec<FirstSeen>, SeenError> {
        self.flush();
        let mut found = Vec::new();
        let read = file::read(&self.path, &mut |entry| {
            if entry.first >= day {
                found.push(FirstSeen { name: entry.name, day: entry.first });
            }
        });
        match read {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(SeenError { file: self.path.clone(), source });
            }
            _ => {}
        }
        found.sort_unstable_by(|a, b| b.day.cmp(&a.day).then_with(|| a.name.cmp(&b.name)));
        // A write that failed halfway and was done again leaves a record twice.
        found.dedup();
        Ok(found)
    }

    /// The day on which the box began to remember; none while it never did.
    #[must_use]
    pub fn began(&self) -> Option<Day> {
        Some(Day::from_number(self.began.load(Ordering::Relaxed))).filter(|day| *day >= FIRST_DAY)
    }

    /// How many domains are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The domains of a file that must not be remembered; none of a file that is not there.
fn refused_in(path: &Path, refused: &Refused) -> io::Result<Vec<Box<[u8]>>> {
    let mut found = Vec::new();
    let read = file::read(path, &mut |entry| {
        if refused(&entry.name) {
            found.push(entry.name);
        }
    });
    match read {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(found),
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        let Some(Thread { queue, handle }) = self.keeper.take() else { return };
        // Without a sender left the thread writes what it has, and ends.
        drop(queue);
        if let Some(handle) = handle {
            let _ = handle.join();
        }
    }
}

/// The bounds of a table; tests have smaller ones.
#[derive(Debug, Clone, Copy)]
struct Limits {
    most: usize,
    most_per_hour: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: MOST, most_per_hour: MOST_PER_HOUR }
    }
}

/// The table of names that were asked for can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}", file = file.display())]
pub struct SeenError {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub source: io::Error,
}
