//! What of the data folder goes into a backup, and what gives way to one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{BackupError, Extras};
use crate::policy::{ListFile, ListSource, PolicyFile};

/// How a file is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it is: whoever writes it puts a whole new one in its place.
    Plain,
    /// As a database, of which a copy is made that is whole at one moment.
    Database,
}

/// A file that goes into a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its place in the data folder.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

/// The databases at the top of the folder.
pub(super) const DATABASES: [&str; 2] = ["schoolgate.db", "accounts.db"];

/// Other files at the top of the folder.
const FILES: [&str; 11] = [
    "policy.published.toml",
    "school.toml",
    "mail.toml",
    "zones.toml",
    "records.toml",
    "resolving.toml",
    "backup.toml",
    "sftp.key",
    "proposals.json",
    "searches.json",
    "secret.key",
];

/// Folders that are taken as they are.
const FOLDERS: [&str; 2] = ["tls", "seen"];

/// The folder of lists.
const LISTS: &str = "lists";

/// The folder of the query log.
pub(super) const LOG: &str = "log";

/// Where its legal holds are.
pub(super) const HOLDS: &str = "log/holds.json";

/// What gives way to a backup that is restored, whether that has such a file or not: nothing of another school's stays.
pub(super) fn gives_way(has_logs: bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for database in DATABASES {
        names.extend(["", "-wal", "-shm"].map(|end| format!("{database}{end}")));
    }
    names.extend(FILES.map(str::to_owned));
    names.extend(FOLDERS.map(str::to_owned));
    names.push(LISTS.to_owned());
    names.extend(has_logs.then(|| LOG.to_owned()));
    names
}

/// Whether a file of this place may be in a backup at all.
pub(super) fn may_be(path: &str) -> bool {
    // No name of ours has other letters, so none needs a rule about what it would mean to a file system.
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.len() <= 80
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let parts: Vec<&str> = path.split('/').collect();
    if !parts.iter().all(|part| is_plain(part)) {
        return false;
    }
    match parts.as_slice() {
        [file] => DATABASES.contains(file) || FILES.contains(file),
        [folder, _] => FOLDERS.contains(folder) || [LISTS, LOG].contains(folder),
        [LISTS, _, _] => true,
        [LOG, "keys", _] => true,
        _ => false,
    }
}

/// The files of a data folder that go into a backup, in the order of their names.
pub(super) fn pieces(folder: &Path, extras: Extras) -> Result<Vec<Piece>, BackupError> {
    let mut pieces = Vec::new();
    let mut add = |path: PathBuf, kind| pieces.push(Piece { path, kind });
    for name in DATABASES {
        if folder.join(name).is_file() {
            add(PathBuf::from(name), Kind::Database);
        }
    }
    for name in FILES {
        if folder.join(name).is_file() {
            add(PathBuf::from(name), Kind::Plain);
        }
    }
    for name in FOLDERS {
        for file in files(folder, Path::new(name))? {
            // What was set aside, or is being written, is nobody's any more or yet.
            let is_other = file.to_string_lossy().contains(".damaged") || is_passing(&file);
            if !is_other {
                add(file, Kind::Plain);
            }
        }
    }
    for file in lists(folder, extras.lists)? {
        add(file, Kind::Plain);
    }
    if extras.logs {
        for file in files(folder, Path::new(LOG))? {
            match file.extension().and_then(|end| end.to_str()) {
                Some("db") => add(file, Kind::Database),
                _ if is_passing(&file) => {}
                _ => add(file, Kind::Plain),
            }
        }
        for file in files(folder, &Path::new(LOG).join("keys"))? {
            if !is_passing(&file) {
                add(file, Kind::Plain);
            }
        }
    }
    // One that no reader would take would make the whole archive one that can't be restored.
    pieces.retain(|piece| piece.path.to_str().is_some_and(may_be));
    Ok(pieces)
}

/// Whether a file is one that is being written, or belongs to a database that is copied as such.
fn is_passing(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    ["-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end))
        || file.extension().is_some_and(|end| end.to_string_lossy().starts_with("tmp"))
        || name.starts_with('.')
}

/// The files right in a folder, by their places in the data folder.
fn files(data: &Path, folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let path = data.join(folder);
    let mut found = Vec::new();
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(source) => return Err(BackupError::file(&path, source)),
    };
    for entry in entries {
        let entry = entry.map_err(|source| BackupError::file(&path, source))?;
        // Links lead to what is not the folder's.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            found.push(folder.join(entry.file_name()));
        }
    }
    found.sort();
    Ok(found)
}

/// What is looked at of the books of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Books {
    in_force: Option<u32>,
}

/// The index in force and what it was made from, so that a restored box filters from its first answer; the books of each
/// list; and the texts that nobody could fetch again.
fn lists(data: &Path, all: bool) -> Result<Vec<PathBuf>, BackupError> {
    let top = Path::new(LISTS);
    let mut found: Vec<PathBuf> = ["index.sgi", "index.json"].iter().map(|name| top.join(name)).collect();
    found.retain(|file| data.join(file).is_file());
    for list in subscriptions(data) {
        let folder = top.join(&list.id);
        let books = folder.join("state.json");
        let Ok(text) = fs::read(data.join(&books)) else { continue };
        found.push(books);
        let in_force = serde_json::from_slice::<Books>(&text).unwrap_or_default().in_force;
        let can_be_fetched = matches!(list.source(), Some(ListSource::Url(_) | ListSource::Zone(_)));
        for file in files(data, &folder)? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (is_text, is_sealed) = (name.ends_with(".gz"), name.ends_with(".sealed"));
            let is_version = (is_text || is_sealed) && name.starts_with(|c: char| c.is_ascii_digit());
            let is_in_force = in_force.is_some_and(|number| name.starts_with(&format!("{number:06}.")));
            // A sealed list is in no index on the disk, so without its text nothing of it would be in force.
            let is_wanted = all || (is_in_force && (is_sealed || !can_be_fetched));
            if is_version && is_wanted {
                found.push(file);
            }
        }
    }
    Ok(found)
}

/// The lists that the policy has. One that can't be read has none: its text is in the backup all the same.
fn subscriptions(data: &Path) -> Vec<ListFile> {
    let text = fs::read_to_string(data.join("policy.published.toml")).unwrap_or_default();
    PolicyFile::parse(&text).map(|file| file.lists).unwrap_or_default()
}
