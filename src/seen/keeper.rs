//! The thread that keeps the table: the only one that changes it, in memory and on the disk.

use std::{
    cmp::{Ordering, Reverse},
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    net::{IpAddr, Ipv6Addr},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use tracing::{error, info, warn};

use super::{
    FIRST_DAY, FORGET_AFTER, Limits, Refused,
    file::{self, Entry, Header},
    table::{Dates, Owner, Table},
};
use crate::clock::{Clock, Day};

/// How long what is new may wait for the disk.
const WAIT: Duration = Duration::from_secs(1);

/// How often the clock is looked at when nothing comes.
const IDLE: Duration = Duration::from_secs(60);

/// The file is written anew so many days after the last time, with the days on which domains were last asked for.
const RENEW_AFTER: u16 = 7;

/// How many bytes wait at most when the disk can't be written.
const MOST_WAITING: usize = 1 << 20;

/// How many clients are counted in one hour; strangers beyond are not noted.
const MOST_CLIENTS: usize = 65_536;

/// What the name of a damaged file ends with, before the day on which it was set aside.
const SET_ASIDE: &str = "damaged-";

/// Whether a file is one that was damaged and set aside.
pub(super) fn is_set_aside(path: &Path) -> bool {
    path.extension().and_then(|end| end.to_str()).is_some_and(|end| end.starts_with(SET_ASIDE))
}

/// What the keeper is told.
pub(super) enum Message {
    /// A domain that exists and was not in the table.
    Note { name: Box<[u8]>, client: IpAddr, day: Day },
    /// Write everything, then answer.
    Flush(SyncSender<()>),
    /// Note no domain any more that this says, write everything else, then answer.
    Refuse { refused: Refused, done: SyncSender<()> },
    /// Forget these domains, in the file as well, then answer.
    Forget { names: Vec<Box<[u8]>>, done: SyncSender<io::Result<()>> },
}

/// The one that changes the table.
pub(super) struct Keeper {
    path: PathBuf,
    table: Arc<Table>,
    owner: Owner,
    began: Arc<AtomicU16>,
    clock: Clock,
    limits: Limits,
    /// None when it can't be written; what is new is then kept in memory only.
    file: Option<File>,
    /// How long the file is, as far as it is known to be right.
    length: u64,
    written: Day,
    waiting: Vec<u8>,
    waiting_since: Option<Instant>,
    /// The last write failed, and the log says so.
    failing: bool,
    hour: i64,
    noted: HashMap<IpAddr, u32>,
    /// What is not noted.
    refused: Option<Refused>,
}

impl Keeper {
    /// Reads the file and makes it fit to be appended to.
    pub(super) fn open(
        path: &Path,
        table: Arc<Table>,
        began: Arc<AtomicU16>,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        let today = Day::of(clock.now());
        let mut keeper = Self {
            path: path.to_owned(),
            owner: Owner::new(Arc::clone(&table)),
            table,
            began,
            clock,
            limits,
            file: None,
            length: 0,
            written: today,
            waiting: Vec::new(),
            waiting_since: None,
            failing: false,
            hour: 0,
            noted: HashMap::new(),
            refused: None,
        };
        if let Err(error) = keeper.load(today) {
            error!(%error, file = %path.display(), "Names that were asked for can't be kept over a restart");
            keeper.file = None;
        }
        keeper.begin(today);
        keeper
    }

    /// Does what it is told until nobody is left to tell it anything.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let wait = self.waiting_since.map_or(IDLE, |since| WAIT.saturating_sub(since.elapsed()));
            match messages.recv_timeout(wait) {
                Ok(Message::Note { name, client, day }) => self.note(name, client, day),
                Ok(Message::Flush(done)) => {
                    self.write();
                    let _ = done.try_send(());
                }
                Ok(Message::Refuse { refused, done }) => {
                    self.refuse(refused);
                    let _ = done.try_send(());
                }
                Ok(Message::Forget { names, done }) => {
                    let _ = done.try_send(self.drop_all(&names));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.waiting_since.is_some_and(|since| since.elapsed() >= WAIT) {
                self.write();
            }
            let today = Day::of(self.clock.now());
            self.begin(today);
            if self.file.is_some() && today.since(self.written) >= RENEW_AFTER && today >= FIRST_DAY {
                self.renew(today);
            }
        }
        self.write();
    }

    fn note(&mut self, name: Box<[u8]>, client: IpAddr, day: Day) {
        let refused = |name: &[u8]| self.refused.as_ref().is_some_and(|refused| refused(name));
        if self.table.find(&name).is_some() || refused(&name) || !self.may_note(client) {
            return;
        }
        if self.table.len() >= self.limits.most {
            self.renew(day);
        }
        if !self.owner.insert(&name, day, day) {
            return;
        }
        if self.file.is_some() && self.waiting.len() < MOST_WAITING {
            Entry { name, first: day, last: day }.write(&mut self.waiting);
            self.waiting_since.get_or_insert_with(Instant::now);
        }
    }

    /// From now on notes nothing of this, and writes nothing of it that waits for a disk that can't be written.
    fn refuse(&mut self, refused: Refused) {
        self.write();
        let waiting = std::mem::take(&mut self.waiting);
        let mut dropped = Vec::new();
        // Reading from memory does not fail.
        let _ = file::read_from(waiting.as_slice(), &mut |entry| {
            if refused(&entry.name) { dropped.push(entry.name) } else { entry.write(&mut self.waiting) }
        });
        if !dropped.is_empty() {
            self.owner.remove(&dropped);
        }
        self.refused = Some(refused);
    }

    /// Forgets these domains, and writes the file anew without them.
    fn drop_all(&mut self, names: &[Box<[u8]>]) -> io::Result<()> {
        self.write();
        self.owner.remove(names);
        if self.file.is_none() {
            return Ok(());
        }
        let path = self.path.clone();
        self.rewrite(&path, Day::of(self.clock.now()))
    }

    /// Whether this client brought fewer new domains in this hour than one may.
    fn may_note(&mut self, client: IpAddr) -> bool {
        let hour = self.clock.now().as_second().div_euclid(3_600);
        if hour != self.hour {
            self.hour = hour;
            self.noted.clear();
        }
        // A device has many IPv6 addresses in its /64.
        let client = match client {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 @ IpAddr::V4(_) => v4,
        };
        if self.noted.len() >= MOST_CLIENTS && !self.noted.contains_key(&client) {
            return false;
        }
        let noted = self.noted.entry(client).or_insert(0);
        *noted += 1;
        *noted <= self.limits.most_per_hour
    }

    /// Begins to remember as soon as the clock is set, and again where it was set wrong, in the future.
    fn begin(&mut self, today: Day) {
        let began = Day::from_number(self.began.load(Relaxed));
        if today < FIRST_DAY || (began >= FIRST_DAY && began <= today) {
            return;
        }
        self.began.store(today.number(), Relaxed);
        if self.file.is_some() {
            self.renew(today);
        }
    }

    /// Writes what waits. What can't be written is tried again at the same place, so that half a record is never left
    /// between others.
    fn write(&mut self) {
        self.waiting_since = None;
        let Some(file) = &self.file else { return };
        if self.waiting.is_empty() {
            return;
        }
        match file.write_all_at(&self.waiting, self.length).and_then(|()| file.sync_data()) {
            Ok(()) => {
                self.length += self.waiting.len() as u64;
                self.waiting.clear();
                self.failing = false;
            }
            Err(error) => {
                if !self.failing {
                    error!(%error, file = %self.path.display(), "New names can't be written; trying again");
                }
                self.failing = true;
                self.waiting_since = Some(Instant::now());
            }
        }
    }

    fn load(&mut self, today: Day) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        // What a clock set wrong dated into the future counts from today on.
        let latest = if today < FIRST_DAY { Day::from_number(u16::MAX) } else { today };
        let owner = &mut self.owner;
        let most = self.limits.most;
        let table = &self.table;
        let found = match file::read(&self.path, &mut |entry| {
            if table.len() < most {
                owner.insert(&entry.name, entry.first.min(latest), entry.last.min(latest));
            }
        }) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.create(today),
            Err(error) => return Err(error),
        };
        let header = found.header.unwrap_or_default();
        self.began.store(header.began.number(), Relaxed);
        self.written = header.written.min(latest);
        let opened = OpenOptions::new().read(true).write(true).open(&self.path)?;
        // More than one write could have left behind is damage too.
        if found.header.is_none() || found.damaged > 0 || found.torn > MOST_WAITING as u64 {
            let aside = self.set_aside(today)?;
            error!(
                file = %self.path.display(), aside = %aside.display(), domains = found.entries,
                "The table of names that were asked for was damaged; what can be read of it is kept"
            );
            // From the file set aside, which is the same one still.
            self.length = found.end;
            self.file = Some(opened);
            return self.rewrite(&aside, today);
        }
        if found.torn > 0 {
            warn!(file = %self.path.display(), bytes = found.torn, "The last write was cut off and is dropped");
            opened.set_len(found.end)?;
        }
        self.length = found.end;
        self.file = Some(opened);
        Ok(())
    }

    fn create(&mut self, today: Day) -> io::Result<()> {
        let header = Header { began: Day::default(), written: today };
        crate::disk::replace(&self.path, &header.bytes())?;
        self.file = Some(OpenOptions::new().read(true).write(true).open(&self.path)?);
        self.length = file::HEADER as u64;
        self.written = today;
        Ok(())
    }

    /// Renames a damaged file to a name that is free and says what it is.
    fn set_aside(&self, today: Day) -> io::Result<PathBuf> {
        for n in 1..100 {
            let more = if n == 1 { String::new() } else { format!("-{n}") };
            let aside = self.path.with_extension(format!("{SET_ASIDE}{}{more}", today.date()));
            if !aside.exists() {
                fs::rename(&self.path, &aside)?;
                return Ok(aside);
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many damaged files lie beside it"))
    }

    /// Forgets what nobody asks for, and writes the file anew.
    fn renew(&mut self, today: Day) {
        self.write();
        self.forget(today);
        // Tried again in a week if it fails: what is there is right and is appended to.
        self.written = today;
        if self.file.is_none() {
            return;
        }
        let path = self.path.clone();
        if let Err(error) = self.rewrite(&path, today) {
            error!(%error, file = %self.path.display(), "The table of names can't be written anew");
        }
    }

    fn forget(&mut self, today: Day) {
        let before = self.table.len();
        let oldest = today.minus(FORGET_AFTER);
        let old = self.table.dates().iter().filter(|dates| dates.last < oldest).count();
        // When most of it seems to be old, the clock is wrong more likely than the school is.
        if old > 0 && old * 2 <= before {
            self.owner.retain(|dates| dates.last >= oldest);
        }
        if self.table.len() >= self.limits.most {
            // Full all the same: those asked for longest ago go, of these those that came last, as floods do.
            let mut dates = self.table.dates();
            let rank = |dates: &Dates| (dates.last, Reverse(dates.first));
            let drop = (dates.len() / 8).max(1).min(dates.len() - 1);
            dates.select_nth_unstable_by_key(drop, rank);
            let last_out = rank(&dates[drop]);
            let mut equal = drop - dates.iter().filter(|dates| rank(dates) < last_out).count();
            self.owner.retain(|dates| match rank(&dates).cmp(&last_out) {
                Ordering::Less => false,
                Ordering::Equal if equal > 0 => {
                    equal -= 1;
                    false
                }
                _ => true,
            });
            warn!(domains = self.table.len(), "The table of names was full; the oldest are forgotten");
        } else if self.table.len() < before {
            info!(domains = before - self.table.len(), "Names that nobody asks for any more are forgotten");
        }
    }

    /// Writes the file anew with what the table still has of the records in `from`.
    fn rewrite(&mut self, from: &Path, today: Day) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut to = io::BufWriter::new(File::create(&new)?);
        let header = Header { began: Day::from_number(self.began.load(Relaxed)), written: today };
        to.write_all(&header.bytes())?;
        let mut length = file::HEADER as u64;
        let mut failed = None;
        let mut record = Vec::new();
        file::read(from, &mut |entry| {
            let Some(Dates { first, last }) = self.table.find(&entry.name) else { return };
            record.clear();
            Entry { name: entry.name, first, last: last.max(first) }.write(&mut record);
            length += record.len() as u64;
            if failed.is_none() {
                failed = to.write_all(&record).err();
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        // Without the right to read, which appending does not need.
        self.file = Some(file);
        self.length = length;
        self.written = today;
        Ok(())
    }
}
