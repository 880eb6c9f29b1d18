//! Databases that two versions of the program open, one after the other.
//!
//! Before a newer program changes a database, it keeps a copy for the older one. Should the box go back to that, as after an
//! update that does not work, the older one finds a database that it can't read, and its own copy beside it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;
use tracing::{error, warn};

use crate::disk;

/// For how long a copy goes back by itself: for a newer program that does not work. After that, users who have left and
/// passwords that were changed would come back with it, and nobody would know.
const TRIAL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Where the copy of a version is: `schoolgate.version-2.db`.
fn copy_of(file: &Path, version: u32) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    file.with_file_name(format!("{stem}.version-{version}.db"))
}

/// Whether a name is that of such a copy, or of one that no longer goes back by itself: the appliance renames those to
/// `schoolgate.retired-2.db` once the newer version has proved good.
pub(crate) fn is_copy(name: &str) -> bool {
    name.strip_suffix(".db")
        .and_then(|name| name.rsplit_once(".version-").or_else(|| name.rsplit_once(".retired-")))
        .is_some_and(|(_, version)| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Keeps a copy of a database that is about to be brought to a newer version. Where that can't be, the log says so: a
/// program that is to run goes on.
pub(crate) fn keep_copy(connection: &Connection, file: &Path, version: u32) {
    let copy = copy_of(file, version);
    let part = copy.with_extension("part");
    let kept = || -> io::Result<()> {
        let _ = fs::remove_file(&part);
        connection.execute("VACUUM INTO ?1", [part.to_string_lossy()]).map_err(io::Error::other)?;
        let made = File::open(&part)?;
        made.set_permissions(fs::metadata(file)?.permissions())?;
        made.sync_all()?;
        fs::rename(&part, &copy)?;
        disk::sync_folder_of(file)
    };
    if let Err(error) = kept() {
        let _ = fs::remove_file(&part);
        warn!(%error, file = %file.display(), "No copy is kept of this database for the version of before");
    }
}

/// Puts the copy that was kept for a version in the place of a database that a newer program made, which is set aside;
/// whether there was one. None goes back where the newer program wrote to the database for longer than a week.
///
/// # Errors
///
/// When it can't be put there; then the newer one is there still.
pub(crate) fn take_back(file: &Path, version: u32) -> io::Result<bool> {
    let copy = copy_of(file, version);
    if !copy.is_file() {
        return Ok(false);
    }
    if written_after(file, &copy)? > TRIAL {
        error!(
            file = %file.display(),
            copy = %copy.display(),
            "A newer Schoolgate has worked with this database for more than a week. Install that version again; whoever \
             wants to lose what was changed since puts the copy in its place"
        );
        return Ok(false);
    }
    // Beside first, so that whatever moment the power goes at, a whole one is there or can be put there again.
    let part = copy.with_extension("part");
    fs::copy(&copy, &part)?;
    File::open(&part)?.sync_all()?;
    let aside = link_aside(file)?;
    for end in ["-wal", "-shm"] {
        let mut beside = file.as_os_str().to_owned();
        beside.push(end);
        let mut gone = aside.as_os_str().to_owned();
        gone.push(end);
        // Mostly there is none, since whoever closes a database last empties it; one that stayed would spoil the copy.
        let _ = fs::rename(beside, gone);
    }
    fs::rename(&part, file)?;
    // It is there; that it may not outlast a power cut is no reason to have none.
    let _ = disk::sync_folder_of(file);
    warn!(
        file = %file.display(),
        aside = %aside.display(),
        "A newer Schoolgate changed this database; the copy of before is in its place"
    );
    Ok(true)
}

/// How long after the copy was made the database was written last.
fn written_after(file: &Path, copy: &Path) -> io::Result<Duration> {
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    let made = fs::metadata(copy)?.modified()?;
    let mut written = fs::metadata(file)?.modified()?;
    if let Ok(later) = fs::metadata(wal).and_then(|wal| wal.modified()) {
        written = written.max(later);
    }
    // Before it, where a clock was wrong.
    Ok(written.duration_since(made).unwrap_or_default())
}

/// A second name for a database, so that there is one under its own name at every moment.
fn link_aside(file: &Path) -> io::Result<PathBuf> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for number in 1..1_000 {
        let aside = file.with_file_name(format!("{stem}.newer-{number}.db"));
        match fs::hard_link(file, &aside) {
            Ok(()) => return Ok(aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("a thousand such files lie beside it already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_copies_are_told_from_others() {
        assert!(is_copy("schoolgate.version-2.db") && is_copy("accounts.version-12.db"));
        assert!(is_copy("schoolgate.retired-2.db"));
        for name in [
            "schoolgate.db",
            "schoolgate.version-.db",
            "a.version-1x.db",
            "a.newer-1.db",
            "a.version-1",
            "a.retired-.db",
        ] {
            assert!(!is_copy(name), "{name}");
        }
    }
}
