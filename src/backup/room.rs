//! How far files that are gone again in a minute may fill the disk that the box works on.
//!
//! The query log deletes its oldest days, for good, while less of that disk is free than its settings say. It takes what
//! [`passing`] finds for free, so that no day goes for an archive that is gone in a minute; and these leave some of the disk to
//! what is written meanwhile.

use std::{
    fmt,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use bytes::Bytes;

use super::{BackupError, INCOMING, PASSING, open_new};

/// So much stays free at least, for what else is written meanwhile.
const LEAST: u64 = 64 << 20;

/// After how much that was written is looked how much room is left.
const STEP: u64 = 4 << 20;

/// How often is looked while another program writes: less than [`LEAST`] comes over a school's line meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// What is said when it is only seen on the way that there is no room.
const FULL: &str =
    "there is no room for all of it: the rest of the disk is kept for the box and its query log";

/// How much of the disk that the box works on stays free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve(u64);

impl Reserve {
    /// An eighth of what a query log has kept free, which on a disk that it has filled is all that there is.
    #[must_use]
    pub const fn within(floor: u64) -> Self {
        let eighth = floor / 8;
        Self(if eighth > LEAST { eighth } else { LEAST })
    }

    /// How many bytes may be written when so many are free.
    #[must_use]
    pub const fn room_of(self, free: u64) -> u64 {
        free.saturating_sub(self.0)
    }

    /// How many bytes may be written on the disk of a folder.
    ///
    /// # Errors
    ///
    /// When the folder is not there, or the system does not say.
    pub fn room(self, folder: &Path) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(folder)?;
        Ok(self.room_of(disk.f_bavail.saturating_mul(disk.f_frsize)))
    }
}

/// How many bytes of a data folder are archives, copies and restores under way.
#[must_use]
pub fn passing(folder: &Path) -> u64 {
    let is_passing = |name: &str| name == INCOMING || PASSING.iter().any(|prefix| name.starts_with(prefix));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_passing))
        .map(|entry| size_of(&entry.path()))
        .sum()
}

/// What a folder takes on the disk, or a file; links are not followed.
fn size_of(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    // In units of 512 bytes, whatever the file system's own are.
    let own = meta.blocks().saturating_mul(512);
    if !meta.is_dir() {
        return own;
    }
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    inside.map(|entry| size_of(&entry.path())).fold(own, u64::saturating_add)
}

/// Whether so much may be written where there is so much room.
pub(super) fn enough(wanted: u64, room: u64) -> Result<(), BackupError> {
    if wanted > room { Err(BackupError::NoRoom { wanted, free: room }) } else { Ok(()) }
}

fn full(why: impl fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::StorageFull, why.to_string())
}

/// Waits until there is no room any more, and says so.
pub(super) async fn no_more(room: impl Fn() -> io::Result<u64>) -> io::Error {
    loop {
        tokio::time::sleep(LOOK).await;
        match room() {
            Ok(room) if room >= STEP => {}
            Ok(_) => return full(FULL),
            Err(error) => return error,
        }
    }
}

/// Finds out how many bytes may be written.
type Room = Box<dyn Fn() -> io::Result<u64> + Send>;

/// A new file, which never fills the disk that the box works on: its log and its settings would have no room.
pub struct Careful {
    file: File,
    /// None where the file is on another disk.
    room: Option<Room>,
    unseen: u64,
}

impl fmt::Debug for Careful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Careful").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Careful {
    /// A file that only its owner can read. `data` is a folder on the disk that the box works on.
    ///
    /// # Errors
    ///
    /// When it can't be made.
    pub fn new(path: &Path, data: &Path, reserve: Reserve) -> io::Result<Self> {
        let file = open_new(path)?;
        let is_same = file.metadata()?.dev() == fs::metadata(data)?.dev();
        let data = data.to_owned();
        let room = is_same.then(|| Box::new(move || reserve.room(&data)) as Room);
        Ok(Self { file, room, unseen: STEP })
    }

    /// Whether there is room for so much, for who knows it before.
    ///
    /// # Errors
    ///
    /// When there is not.
    pub fn fits(&self, bytes: u64) -> io::Result<()> {
        match &self.room {
            Some(room) => enough(bytes, room()?).map_err(full),
            None => Ok(()),
        }
    }

    /// Writes something, on a thread that may wait for the disk; gives itself back for what comes next.
    ///
    /// # Errors
    ///
    /// When it can't be written, of [`ErrorKind::StorageFull`] where there is no room.
    pub async fn take(mut self, bytes: Bytes) -> io::Result<Self> {
        let writing = tokio::task::spawn_blocking(move || self.write_all(&bytes).map(|()| self));
        writing.await.map_err(io::Error::other)?
    }

    /// Says how long it became, once that is on the disk.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn done(self) -> io::Result<u64> {
        self.file.sync_all()?;
        Ok(self.file.metadata()?.len())
    }
}

impl Write for Careful {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(room) = &self.room
            && self.unseen >= STEP
        {
            if room()? < STEP {
                return Err(full(FULL));
            }
            self.unseen = 0;
        }
        let written = self.file.write(bytes)?;
        self.unseen = self.unseen.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    /// A file on a disk of which so much was free before it.
    fn on_a_disk(path: &Path, free: u64, reserve: Reserve) -> Careful {
        let file = open_new(path).unwrap();
        let path = path.to_owned();
        let room = move || Ok(reserve.room_of(free.saturating_sub(fs::metadata(&path)?.len())));
        Careful { file, room: Some(Box::new(room)), unseen: STEP }
    }

    #[test]
    fn some_of_what_the_log_has_kept_free_is_no_room() {
        let reserve = Reserve::within(800 * MB);
        assert_eq!(reserve.room_of(0), 0);
        assert_eq!(reserve.room_of(100 * MB), 0);
        assert_eq!(reserve.room_of(100 * MB + 7), 7);
        // A log that has filled the disk to its floor leaves room for a backup all the same.
        assert_eq!(reserve.room_of(800 * MB), 700 * MB);
        assert_eq!(Reserve::within(0).room_of(100 * MB), 100 * MB - LEAST);
        assert!(enough(7, 7).is_ok());
        assert!(matches!(enough(8, 7), Err(BackupError::NoRoom { wanted: 8, free: 7 })));
    }

    #[test]
    fn what_is_under_way_is_counted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: usize| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![7; bytes]).unwrap();
        };
        write("schoolgate.db", 100_000);
        write("before-restore-20261127-100000/log/day", 100_000);
        assert_eq!(passing(folder.path()), 0);
        for (name, bytes) in [
            ("incoming/came-1", 200_000),
            (".drill-1/files/log/day", 300_000),
            (".backup-7/schoolgate.db", 40_000),
        ] {
            let before = passing(folder.path());
            write(name, bytes);
            let more = passing(folder.path()) - before;
            // With the folders that it is in.
            assert!((bytes as u64..bytes as u64 + 64 * 1024).contains(&more), "{name}: {more}");
        }
        assert_eq!(passing(&folder.path().join("nowhere")), 0);
    }

    #[test]
    fn a_file_ends_before_the_disk_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let free = LEAST + 10 * MB;
        let mut file = on_a_disk(&path, free, Reserve::within(512 * MB));
        assert!(file.fits(10 * MB).is_ok());
        let refused = file.fits(10 * MB + 1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::StorageFull);
        assert!(refused.to_string().contains("it takes 10000001 bytes"), "{refused}");
        let some = vec![7; 1 << 16];
        let stopped = (0..1_000).find_map(|_| file.write_all(&some).err()).unwrap();
        assert_eq!(stopped.kind(), ErrorKind::StorageFull);
        assert!(stopped.to_string().contains("no room"), "{stopped}");
        let written = fs::metadata(&path).unwrap().len();
        assert!((1..=10 * MB).contains(&written), "{written}");
        assert!(free - written >= LEAST);
    }

    #[test]
    fn a_file_on_another_disk_may_be_as_large_as_that_takes() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = Careful { room: None, ..on_a_disk(&folder.path().join("a"), 0, Reserve::within(0)) };
        assert!(file.fits(u64::MAX).is_ok());
        file.write_all(b"some").unwrap();
        assert_eq!(file.done().unwrap(), 4);
    }

    #[tokio::test]
    async fn what_comes_in_pieces_is_stopped_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let reserve = Reserve::within(0);
        let mut file = on_a_disk(&path, LEAST + 6 * MB, reserve);
        let piece = Bytes::from(vec![7; 1 << 20]);
        let stopped = loop {
            match file.take(piece.clone()).await {
                Ok(same) => file = same,
                Err(error) => break error,
            }
        };
        assert_eq!(stopped.kind(), ErrorKind::StorageFull);
        assert!(fs::metadata(&path).unwrap().len() <= 6 * MB);
        let said = no_more(|| Ok(STEP - 1)).await;
        assert_eq!(said.kind(), ErrorKind::StorageFull);
    }
}
