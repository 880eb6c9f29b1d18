//! Files that are there whole or not at all.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Writes a file beside and renames it, so that readers see the old text or the new one and never half of it. It outlasts a
/// power cut once this returns.
///
/// # Errors
///
/// When the folder can't be written; the file is then as before, unless the disk failed at the very end.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(file, bytes, |beside| File::create(beside))
}

/// Writes a file as [`replace`] does, which nobody but its owner can read (mode 0600) at any moment.
///
/// # Errors
///
/// When the folder can't be written; the file is then as before.
pub fn replace_secret(file: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(file, bytes, |beside| {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(beside)?;
        // One that a killed server left behind keeps its own mode otherwise.
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(file)
    })
}

fn replace_by(file: &Path, bytes: &[u8], create: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<()> {
    let beside = file.with_extension(format!("tmp{}", std::process::id()));
    let written = create(&beside).and_then(|mut f| {
        f.write_all(bytes)?;
        f.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&beside, file));
    if renamed.is_err() {
        // Best effort: the error that counts is the one returned.
        let _ = fs::remove_file(&beside);
    }
    renamed.and_then(|()| sync_folder_of(file))
}

/// Removes a file, if it is there, so that it does not come back with a power cut.
///
/// # Errors
///
/// When it can't be removed.
pub(crate) fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Ok(()) => sync_folder_of(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Names that are new in a file's folder, or gone from it, stay so from now on, also after a power cut.
///
/// # Errors
///
/// When the folder can't be opened or written.
pub(crate) fn sync_folder_of(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}

/// The folder that a file is in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Reads a file of so many bytes at most.
///
/// Never waits for somebody to write it, as reading a pipe would: the server reads such files before it answers.
///
/// # Errors
///
/// When it can't be read, is no file, or is larger.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if read as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes, which such a file never has")));
    }
    Ok(bytes)
}

/// Renames a file that is of no use to a name that is free and says so: `ca.key` becomes `ca.damaged-1.key`.
///
/// # Errors
///
/// When it can't be renamed.
pub(crate) fn set_aside(file: &Path, why: &str) -> io::Result<PathBuf> {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, extension) = (part(file.file_stem()), part(file.extension()));
    for number in 1..1_000 {
        let aside = file.with_file_name(format!("{stem}.{why}-{number}.{extension}"));
        if !aside.exists() {
            fs::rename(file, &aside)?;
            return Ok(aside);
        }
    }
    Err(io::Error::other("a thousand such files lie beside it already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_nobody_writes_to_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(read(&pipe, 10).unwrap_err().to_string(), "it is no file");
        let file = folder.path().join("file");
        fs::write(&file, "0123456789").unwrap();
        assert_eq!(read(&file, 10).unwrap(), b"0123456789");
        assert!(read(&file, 9).unwrap_err().to_string().contains("more than 9 bytes"));
    }

    #[test]
    fn a_secret_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.key");
        // What a killed server left, and what others can read.
        let left = file.with_extension(format!("tmp{}", std::process::id()));
        for open in [&file, &left] {
            fs::write(open, "old").unwrap();
            fs::set_permissions(open, Permissions::from_mode(0o644)).unwrap();
        }
        replace_secret(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!left.exists());
    }

    #[test]
    fn what_is_set_aside_takes_nobodys_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.key");
        for number in 1..=2 {
            fs::write(&file, number.to_string()).unwrap();
            let aside = set_aside(&file, "damaged").unwrap();
            assert_eq!(aside, folder.path().join(format!("ca.damaged-{number}.key")));
            assert_eq!(fs::read_to_string(aside).unwrap(), number.to_string());
        }
        assert!(!file.exists());
    }
}
