//! Files that are of no use once they were read.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::{StatFs, statfs};

/// What the system calls a file system that is in memory (`TMPFS_MAGIC` of `linux/magic.h`).
const TMPFS: u64 = 0x0102_1994;

/// A file that is removed when nobody needs it any more.
#[derive(Debug)]
pub struct Scratch {
    file: PathBuf,
    /// A folder of its own around it.
    folder: Option<PathBuf>,
}

impl Scratch {
    /// A file in a folder that is there already or is made. What lies beside it stays.
    ///
    /// # Errors
    ///
    /// When the folder can't be made.
    pub(crate) fn file(file: PathBuf) -> io::Result<Self> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { file, folder: None })
    }

    /// A file on a file system that is in memory, in a folder that only this program reads.
    ///
    /// # Errors
    ///
    /// When there is no such file system.
    pub(crate) fn in_memory() -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let own = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
        let around =
            own.into_iter().chain(["/dev/shm".into(), "/run".into()]).find(|path| is_in_memory(path));
        let around = around.ok_or_else(|| {
            io::Error::other(
                "there is no file system in memory (/dev/shm) for a list that must not lie on the disk",
            )
        })?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = around.join(format!("schoolgate-{}-{count}", std::process::id()));
        // One of the same number that was killed left it.
        let _ = fs::remove_dir_all(&folder);
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { file: folder.join("incoming"), folder: Some(folder) })
    }

    /// Where it is, or will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file
    }
}

fn is_in_memory(path: &Path) -> bool {
    statfs(path).is_ok_and(|StatFs { f_type, .. }| u64::try_from(f_type).is_ok_and(|kind| kind == TMPFS))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = match &self.folder {
            Some(folder) => fs::remove_dir_all(folder),
            None => fs::remove_file(&self.file),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_is_for_this_program_alone_and_goes_away() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::in_memory().unwrap();
        fs::write(scratch.path(), "worst.test").unwrap();
        let folder = scratch.path().parent().unwrap().to_owned();
        assert!(is_in_memory(&folder));
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_ne!(Scratch::in_memory().unwrap().path(), scratch.path());
        drop(scratch);
        assert!(!folder.exists());
    }

    #[test]
    fn a_file_goes_away_and_what_broke_off_beside_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list/incoming");
        let scratch = Scratch::file(file.clone()).unwrap();
        fs::write(&file, "a.example").unwrap();
        fs::write(folder.path().join("list/incoming.part"), "a.ex").unwrap();
        drop(scratch);
        assert!(!file.exists() && folder.path().join("list/incoming.part").exists());
    }
}
