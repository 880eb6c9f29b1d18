//! Fetching a package that the server made: to the place that was named, whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::Failure;
use crate::{disk, querylog::evidence};

/// Says so, when something is there already.
pub(super) fn is_free(out: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(out) {
        Ok(_) => Err(taken(out)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = disk::folder_of(out);
            if folder.is_dir() {
                Ok(())
            } else {
                Err(Failure::bad(format!("--out: there is no folder {}", folder.display())))
            }
        }
        Err(error) => Err(Failure::could_not(format!("{}: {error}", out.display()))),
    }
}

/// Fetches a package to a file.
pub(super) fn to_file(package: &Path, out: &Path) -> Result<(), Failure> {
    let beside = beside(out);
    let copied = || {
        let mut from = File::open(package)?;
        let mut to = create(&beside)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()
    };
    let done = copied().and_then(|()| place(&beside, out));
    if done.is_err() {
        // Best effort: the error that counts is the one returned.
        let _ = fs::remove_file(&beside);
    }
    finish(done, package, out)
}

/// Unpacks a package to a folder.
pub(super) fn to_folder(package: &Path, out: &Path) -> Result<(), Failure> {
    let beside = beside(out);
    let unpacked = || {
        fs::create_dir(&beside)?;
        let mut files = Vec::new();
        let done = evidence::unpack(File::open(package)?, |name| {
            let path = beside.join(name);
            files.push(path.clone());
            create(&path)
        });
        done.map_err(io::Error::other)?;
        files.iter().try_for_each(|file| File::open(file)?.sync_all())?;
        File::open(&beside)?.sync_all()
    };
    let done = unpacked().and_then(|()| place(&beside, out));
    if done.is_err() {
        // Best effort: the error that counts is the one returned.
        let _ = fs::remove_dir_all(&beside);
    }
    finish(done, package, out)
}

/// For its owner alone: it is about people.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Gives a finished file its name, and never takes another's.
fn place(beside: &Path, out: &Path) -> io::Result<()> {
    match renameat_with(CWD, beside, CWD, out, RenameFlags::NOREPLACE) {
        // File systems that don't know it: looked at a moment before, which is all that can be done there.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            match fs::symlink_metadata(out) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(beside, out),
            }
        }
        other => Ok(other?),
    }?;
    disk::sync_folder_of(out)
}

fn finish(done: io::Result<()>, package: &Path, out: &Path) -> Result<(), Failure> {
    match done {
        Ok(()) => {
            // What waits there goes after a day anyway.
            let _ = fs::remove_file(package);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken(out)),
        Err(error) => Err(Failure::could_not(format!(
            "{}: {error}; the package is made and waits for a day as {}",
            out.display(),
            package.display()
        ))),
    }
}

fn taken(out: &Path) -> Failure {
    Failure::bad(format!("--out: {} is there already, and is not overwritten", out.display()))
}

fn beside(out: &Path) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!(".{name}.part{}", std::process::id()))
}
