//! Restoring: an archive is laid out beside the data folder's files and looked at as a whole; then it takes their place.
//!
//! `restore/` in the data folder is a restore that is ready: `files/` has what comes, `restore.json` says what it is. It gets
//! that name only when all of it is on the disk, and loses it at once: one that is half removed would be taken for a whole
//! one. [`apply`] first moves what is there to `before-restore-…`, then what comes into its place, and can be broken off at
//! any moment and done again. What it moved there stays for 30 days ([`forget_before`]).

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use super::{
    BackupError, Careful, Opener, Reserve,
    archive::{self, About, Manifest},
    what,
};
use crate::{accounts, disk, policy::PolicyFile, store::Store, vault::KEY_FILE, versions};

/// A restore that is ready, in the data folder.
const READY: &str = "restore";

/// What names of those that are laid out begin with.
pub(super) const PART: &str = ".restore-";

/// What names of those that are only tried out begin with.
pub(super) const DRILL: &str = ".drill-";

/// One that nobody wants any more, while it is removed.
pub(super) const GONE: &str = "restore.gone";

/// One that was done, until the audit has it.
const DONE: &str = "restore.done";

/// What names begin with of what was there before a restore.
const BEFORE: &str = "before-restore-";

/// The time behind it.
const STAMP: &str = "%Y%m%d-%H%M%S";

/// For how long that is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What was kept for so long, while it is removed. The name is one that the next start removes, too.
const OVER: &str = ".restore-over";

/// One that could not be done.
const FAILED: &str = "restore.failed";

/// What comes, in the folder of a restore.
const FILES: &str = "files";

/// What a restore is.
const ABOUT: &str = "restore.json";

/// Says that all that was there is out of the way.
const MOVED: &str = "moved";

/// The most that is read of an archive that is only looked at.
const MOST_TO_READ: u64 = 1 << 40;

/// A restore that is ready, and what it would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "RestoreReady")]
pub struct Staged {
    /// What the archive is.
    pub about: About,
    /// How many files it puts in place.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// What is there now and gives way.
    pub gives_way: Vec<String>,
    /// Where that is kept, in the data folder.
    pub before: String,
    /// Who restores it.
    pub by: String,
    /// The number of users who can sign in afterwards.
    pub users: u64,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What it was.
    pub staged: Staged,
}

/// Reads all of an archive, without writing anything.
///
/// # Errors
///
/// When it is damaged, of a newer program, or not opened by this.
pub fn look(file: &Path, opener: &Opener) -> Result<Manifest, BackupError> {
    archive::open(file, opener, MOST_TO_READ, &mut |_, _| Ok(Box::new(io::sink())))
}

/// Lays an archive out in the data folder, opens everything that it holds, and makes it what the next start restores.
/// With `dry_run`, says what that would do, and leaves nothing behind.
///
/// # Errors
///
/// When it is damaged, of a newer program, not opened by this, or there is no room; then nothing has changed.
pub fn stage(
    folder: &Path,
    file: &Path,
    opener: &Opener,
    by: &str,
    now: Timestamp,
    dry_run: bool,
    reserve: Reserve,
) -> Result<Staged, BackupError> {
    fs::create_dir_all(folder).map_err(|source| BackupError::file(folder, source))?;
    let part = Laid::new(folder, PART)?;
    let manifest = lay_out(&part.0, file, opener, reserve)?;
    let users = check(&part.0.join(FILES), &manifest)?;
    let about = manifest.about.clone();
    let gives_way: Vec<String> =
        what::gives_way(has_logs(&manifest)).into_iter().filter(|name| folder.join(name).exists()).collect();
    let staged = Staged {
        about,
        files: manifest.files.len(),
        bytes: manifest.bytes(),
        gives_way,
        before: format!("{BEFORE}{}", now.strftime(STAMP)),
        by: by.to_owned(),
        users,
    };
    if dry_run {
        return Ok(staged);
    }
    let text = serde_json::to_vec_pretty(&staged).map_err(|error| BackupError::Write(error.into()))?;
    let wrong = |source| BackupError::file(&part.0, source);
    disk::replace_secret(&part.0.join(ABOUT), &text).map_err(wrong)?;
    sync_all(&part.0).map_err(wrong)?;
    let _alone = alone(folder);
    let ready = folder.join(READY);
    // One that was made ready before and not done is what nobody wants any more.
    discard(folder).map_err(|source| BackupError::file(&ready, source))?;
    fs::rename(&part.0, &ready).map_err(|source| BackupError::file(&ready, source))?;
    sync_all(folder).map_err(|source| BackupError::file(folder, source))?;
    Ok(staged)
}

/// Restores an archive into a folder that goes away, and opens everything, as a restore would.
///
/// # Errors
///
/// What would keep it from being restored.
pub fn rehearse(
    folder: &Path,
    file: &Path,
    opener: &Opener,
    reserve: Reserve,
) -> Result<(Manifest, u64), BackupError> {
    let part = Laid::new(folder, DRILL)?;
    let manifest = lay_out(&part.0, file, opener, reserve)?;
    let users = check(&part.0.join(FILES), &manifest)?;
    Ok((manifest, users))
}

/// The restore that waits for the next start.
#[must_use]
pub fn pending(folder: &Path) -> Option<Staged> {
    said_in(&folder.join(READY))
}

fn said_in(restore: &Path) -> Option<Staged> {
    let text = fs::read(restore.join(ABOUT)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Forgets the restore that waits for the next start; whether there was one.
///
/// # Errors
///
/// When it can't be removed.
pub fn cancel(folder: &Path) -> Result<bool, BackupError> {
    let _alone = alone(folder);
    let is_under_way = pending(folder).is_some_and(|staged| folder.join(&staged.before).exists());
    if is_under_way {
        return Err(BackupError::Setting(String::from(
            "it is under way already: start the service, which ends it",
        )));
    }
    discard(folder).map_err(|source| BackupError::file(&folder.join(READY), source))
}

/// Takes its name from the restore that is ready, whatever moment the power goes at; whether there was one.
fn discard(folder: &Path) -> io::Result<bool> {
    let gone = folder.join(GONE);
    remove(&gone)?;
    match fs::rename(folder.join(READY), &gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        renamed => renamed?,
    }
    // What is left of it is removed by the next start.
    let _ = remove(&gone);
    Ok(true)
}

/// Nobody else makes a restore ready, forgets one or does one, here or in another process, as long as this is held: moments.
/// Where the file system knows no locks, nobody is kept from it.
pub(super) fn alone(folder: &Path) -> Option<File> {
    let held = File::open(folder).ok()?;
    rustix::fs::flock(&held, FlockOperation::LockExclusive).ok()?;
    Some(held)
}

/// A folder in which an archive is laid out; gone when it is dropped.
struct Laid(PathBuf);

impl Laid {
    /// One that nobody else has.
    fn new(folder: &Path, prefix: &str) -> Result<Self, BackupError> {
        for number in 0_u32.. {
            let path = folder.join(format!("{prefix}{}-{number}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(BackupError::file(&path, source)),
            }
        }
        Err(BackupError::file(folder, io::ErrorKind::AlreadyExists.into()))
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        let _ = remove(&self.0);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Everything on the file system of a folder is on the disk after this.
fn sync_all(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

fn has_logs(manifest: &Manifest) -> bool {
    manifest.about.extras.logs
}

fn lay_out(part: &Path, file: &Path, opener: &Opener, reserve: Reserve) -> Result<Manifest, BackupError> {
    let wrong = |source| BackupError::file(part, source);
    let make = |folder: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let files = part.join(FILES);
    make(&files).map_err(wrong)?;
    let free = reserve.room(part).map_err(wrong)?;
    archive::open(file, opener, free, &mut |place, _| {
        let path = files.join(place);
        let parent = path.parent().unwrap_or(&files);
        make(parent)
            .and_then(|()| Careful::new(&path, part, reserve))
            .map(|file| Box::new(file) as Box<dyn Write>)
            .map_err(|source| BackupError::file(&path, source))
    })
}

/// Opens everything of a restore as the box would; gives how many users it has.
fn check(files: &Path, manifest: &Manifest) -> Result<u64, BackupError> {
    let has = |name: &str| files.join(name).is_file();
    if !has(what::DATABASES[0]) && !has("policy.published.toml") {
        return Err(BackupError::damaged("it has no policy"));
    }
    if has(KEY_FILE) && fs::metadata(files.join(KEY_FILE)).map_or(0, |key| key.len()) != 32 {
        return Err(BackupError::damaged("its secret key is none"));
    }
    for entry in manifest.files.iter().filter(|entry| entry.path.ends_with(".db")) {
        whole(&files.join(&entry.path), &entry.path)?;
    }
    if has(what::DATABASES[0]) {
        // Brings it up to date as well, so that what an older program made is known to be of use to this one.
        let store = Store::open(files).map_err(|error| match error {
            crate::store::StoreError::Newer { .. } => BackupError::Newer(manifest.about.program.clone()),
            error => BackupError::damaged(error.to_string()),
        })?;
        let latest = store.latest().map_err(|error| BackupError::damaged(error.to_string()))?;
        if let Some(latest) = latest {
            PolicyFile::parse(&latest.text)
                .map_err(|_| BackupError::damaged("its policy can't be read by this program"))?;
        }
        let proof = store.verify_audit().map_err(|error| BackupError::damaged(error.to_string()))?;
        if !proof.is_whole() {
            info!("The audit in the backup is not as it was written, as was that of the box that made it");
        }
        store.mend_copy().map_err(|error| BackupError::damaged(error.to_string()))?;
    } else {
        // It is all that the box would have.
        fs::read_to_string(files.join("policy.published.toml"))
            .ok()
            .and_then(|text| PolicyFile::parse(&text).ok())
            .ok_or_else(|| BackupError::damaged("its policy can't be read by this program"))?;
    }
    let users = if has(what::DATABASES[1]) { users(&files.join(what::DATABASES[1]), manifest)? } else { 0 };
    Ok(users)
}

/// Whether a database is whole.
fn whole(path: &Path, place: &str) -> Result<(), BackupError> {
    let damaged = |error: rusqlite::Error| BackupError::damaged(format!("{place}: {error}"));
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(damaged)?;
    let said: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(damaged)?;
    if said == "ok" { Ok(()) } else { Err(BackupError::damaged(format!("{place}: {said}"))) }
}

fn users(path: &Path, manifest: &Manifest) -> Result<u64, BackupError> {
    let damaged = |error: rusqlite::Error| BackupError::damaged(format!("accounts.db: {error}"));
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(damaged)?;
    let version: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(damaged)?;
    if version > accounts::schema().1 {
        return Err(BackupError::Newer(manifest.about.program.clone()));
    }
    connection
        .query_row("SELECT count(*) FROM user WHERE disabled = 0", [], |row| row.get(0))
        .map(i64::unsigned_abs)
        .map_err(damaged)
}

/// Does the restore that waits, if one does. For the start, before anything in the folder is opened.
///
/// What is there is kept beside. Where that can't be moved away, all stays as it is, and the restore is set aside.
///
/// One that was done is given by each call, until the audit has it and [`told`] was called.
///
/// # Errors
///
/// When it broke off in the middle and what is there is neither the one nor the other; the next start goes on.
pub fn apply(folder: &Path) -> Result<Option<Applied>, BackupError> {
    apply_unless(folder, || false)
}

/// Does it, unless a server has the folder. None can begin to use it meanwhile, as each does what waits first.
///
/// # Errors
///
/// As [`apply`].
pub fn apply_unless(folder: &Path, is_served: impl FnOnce() -> bool) -> Result<Option<Applied>, BackupError> {
    let _alone = alone(folder);
    if is_served() {
        return Ok(None);
    }
    let (ready, done) = (folder.join(READY), folder.join(DONE));
    if !ready.exists() {
        return Ok(said_in(&done).map(|staged| Applied { staged }));
    }
    let Some(staged) = pending(folder) else {
        error!("A restore can't be read, and is set aside");
        set_aside(folder, &ready);
        return Ok(None);
    };
    let before = folder.join(&staged.before);
    let moved = ready.join(MOVED);
    if !moved.exists()
        && let Err(error) = move_away(folder, &before, staged.about.extras.logs, &moved)
    {
        error!(%error, "What is there can't give way to the restore, which is set aside");
        for name in names(&before) {
            let _ = fs::rename(before.join(&name), folder.join(&name));
        }
        set_aside(folder, &ready);
        return Ok(None);
    }
    let files = ready.join(FILES);
    for name in names(&files) {
        let to = folder.join(&name);
        // Each comes as a whole, so what is at its place is not of this restore: a command made it meanwhile.
        let came = ["", "-wal", "-shm"].into_iter().try_for_each(|end| {
            let mut name = name.clone();
            name.push(end);
            give_way(folder, &before, &name)
        });
        came.and_then(|()| fs::rename(files.join(&name), &to))
            .map_err(|source| BackupError::file(&to, source))?;
    }
    let wrong = |source| BackupError::file(&done, source);
    sync_all(folder).map_err(wrong)?;
    remove(&done).map_err(wrong)?;
    fs::rename(&ready, &done).map_err(wrong)?;
    sync_all(folder).map_err(wrong)?;
    Ok(Some(Applied { staged }))
}

/// Forgets a restore that was done, now that the audit has it.
pub fn told(folder: &Path) {
    let _alone = alone(folder);
    let done = folder.join(DONE);
    // Told once too often, where that can't be removed, is better than never.
    let _ = fs::remove_file(done.join(ABOUT));
    let _ = remove(&done);
}

/// Removes what was there before a restore, once it was kept for 30 days; not a log with legal holds.
pub fn forget_before(folder: &Path, now: Timestamp) {
    let over = folder.join(OVER);
    for name in kept_long_enough(folder, now) {
        // What is half removed has lost its name already, and never seems to be younger than it is.
        let removed =
            remove(&over).and_then(|()| fs::rename(folder.join(&name), &over)).and_then(|()| remove(&over));
        match removed {
            Ok(()) => info!(name, "What was there before a restore was kept for 30 days, and is removed"),
            Err(error) => warn!(name, %error, "What was there before a restore can't be removed yet"),
        }
    }
    // What is left of an earlier one.
    let _ = remove(&over);
}

fn kept_long_enough(folder: &Path, now: Timestamp) -> Vec<String> {
    let under_way = pending(folder).map(|staged| staged.before);
    let names = names(folder).into_iter().filter_map(|name| name.into_string().ok());
    names
        .filter(|name| under_way.as_ref() != Some(name))
        // What is under a legal hold goes by no clock.
        .filter(|name| !folder.join(name).join(what::HOLDS).exists())
        .filter(|name| kept_since(folder, name).is_some_and(|since| now.duration_since(since) > KEPT))
        .collect()
}

/// Since when a folder is what was there before a restore; none where it is something else.
fn kept_since(folder: &Path, name: &str) -> Option<Timestamp> {
    let stamp = name.strip_prefix(BEFORE)?;
    let made_ready = TimeZone::UTC.to_timestamp(DateTime::strptime(STAMP, stamp).ok()?).ok()?;
    let metadata = fs::symlink_metadata(folder.join(name)).ok().filter(fs::Metadata::is_dir)?;
    // One that was made ready may wait long for the start that does it: then the last things were moved there.
    let moved = Timestamp::try_from(metadata.modified().ok()?).ok()?;
    Some(made_ready.max(moved))
}

fn set_aside(folder: &Path, ready: &Path) {
    let failed = folder.join(FAILED);
    let _ = remove(&failed);
    if let Err(error) = fs::rename(ready, &failed) {
        error!(%error, "It can't be set aside either");
    }
}

fn names(folder: &Path) -> BTreeSet<OsString> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
}

fn move_away(folder: &Path, before: &Path, has_logs: bool, moved: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(before)?;
    // Those of older versions belong to what is moved away.
    let copies = names(folder).into_iter().filter_map(|name| name.into_string().ok());
    let copies: Vec<String> = copies.filter(|name| versions::is_copy(name)).collect();
    for name in what::gives_way(has_logs).into_iter().chain(copies) {
        give_way(folder, before, OsStr::new(&name))?;
    }
    sync_all(folder)?;
    File::create(moved)?.sync_all()?;
    sync_all(folder)
}

/// Moves a file or folder, if it is there, to what is kept; never over what is kept already.
fn give_way(folder: &Path, before: &Path, name: &OsStr) -> io::Result<()> {
    let mut to = before.join(name);
    for number in 1.. {
        if to.symlink_metadata().is_err() {
            break;
        }
        let mut other = name.to_owned();
        other.push(format!(".{number}"));
        to = before.join(other);
    }
    match fs::rename(folder.join(name), to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
