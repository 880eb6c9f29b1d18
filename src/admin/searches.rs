//! The searches of the query log that people keep: one small file, which nobody but the box can read.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{accounts::UserId, disk};

/// The file in the data folder.
const FILE: &str = "searches.json";

/// The version of the file that this program reads and writes.
const VERSION: u32 = 1;

/// How many searches one user can keep.
pub(super) const MOST: usize = 20;

/// How many characters the name of a search can have.
pub(super) const LONGEST_NAME: usize = 60;

/// No search is longer than this, in bytes.
const LONGEST_QUERY: usize = 2_000;

/// The largest file that is read: a thousand users who keep all they can.
const LARGEST: u64 = 64 << 20;

/// A search that somebody keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    /// Its number.
    pub(super) id: u64,
    user: i64,
    /// What they call it.
    pub(super) name: String,
    /// What is searched for, as the query of an address.
    pub(super) query: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    next: u64,
    searches: Vec<Saved>,
}

/// All searches that are kept.
#[derive(Debug)]
pub(super) struct Searches {
    file: PathBuf,
    changing: Mutex<()>,
}

/// Why a search is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum SearchesError {
    /// The name is empty or too long.
    #[error("a search needs a name of 1 to {LONGEST_NAME} characters")]
    Name,
    /// The search is too long.
    #[error("this search is too long to be kept")]
    Long,
    /// They keep too many.
    #[error("you keep {MOST} searches already: remove one first")]
    TooMany,
    /// The file can't be read or written.
    #[error("{file}: {source}", file = file.display())]
    File { file: PathBuf, source: io::Error },
}

impl SearchesError {
    /// Whether the request was wrong, rather than the box unable.
    pub(super) fn is_bad_input(&self) -> bool {
        !matches!(self, Self::File { .. })
    }
}

impl Searches {
    /// Those of a data folder; nothing is read yet.
    pub(super) fn in_data(folder: &Path) -> Self {
        Self { file: folder.join(FILE), changing: Mutex::default() }
    }

    /// What somebody keeps, in the order of the names.
    pub(super) fn of(&self, user: UserId) -> Result<Vec<Saved>, SearchesError> {
        let mut own: Vec<Saved> =
            self.read()?.searches.into_iter().filter(|saved| saved.user == user.0).collect();
        own.sort_by_key(|saved| saved.name.to_lowercase());
        Ok(own)
    }

    /// Keeps a search; one of the same name is replaced. Those of users who are not among `users` go.
    pub(super) fn keep(
        &self,
        user: UserId,
        name: &str,
        query: &str,
        users: &[UserId],
    ) -> Result<(), SearchesError> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(SearchesError::Name);
        }
        if query.len() > LONGEST_QUERY {
            return Err(SearchesError::Long);
        }
        let _changing = self.lock();
        let mut contents = self.read()?;
        let is_there = |saved: &Saved| users.iter().any(|user| user.0 == saved.user);
        contents.searches.retain(|saved| is_there(saved) && (saved.user != user.0 || saved.name != name));
        if contents.searches.iter().filter(|saved| saved.user == user.0).count() >= MOST {
            return Err(SearchesError::TooMany);
        }
        contents.next += 1;
        let (id, name, query) = (contents.next, name.to_owned(), query.to_owned());
        contents.searches.push(Saved { id, user: user.0, name, query });
        self.write(contents)
    }

    /// Forgets a search of somebody's; nothing happens where they have none of that number.
    pub(super) fn forget(&self, user: UserId, id: u64) -> Result<(), SearchesError> {
        let _changing = self.lock();
        let mut contents = self.read()?;
        let before = contents.searches.len();
        contents.searches.retain(|saved| saved.user != user.0 || saved.id != id);
        if contents.searches.len() == before { Ok(()) } else { self.write(contents) }
    }

    fn read(&self) -> Result<Contents, SearchesError> {
        let bytes = match disk::read(&self.file, LARGEST) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contents::default()),
            Err(source) => return Err(self.problem(source)),
        };
        // A file that can't be understood is left as it is: it may be a newer program's.
        let contents: Contents =
            serde_json::from_slice(&bytes).map_err(|error| self.problem(error.into()))?;
        if contents.version > VERSION {
            return Err(self.problem(io::Error::other("a newer Schoolgate made it; run that version")));
        }
        Ok(contents)
    }

    fn write(&self, contents: Contents) -> Result<(), SearchesError> {
        let contents = Contents { version: VERSION, ..contents };
        let text = serde_json::to_vec_pretty(&contents).map_err(|error| self.problem(error.into()))?;
        disk::replace_secret(&self.file, &text).map_err(|source| self.problem(source))
    }

    fn problem(&self, source: io::Error) -> SearchesError {
        SearchesError::File { file: self.file.clone(), source }
    }

    /// The file is whole at any moment.
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: UserId = UserId(1);
    const TWO: UserId = UserId(2);

    fn names(searches: &Searches, user: UserId) -> Vec<String> {
        searches.of(user).unwrap().into_iter().map(|saved| saved.name).collect()
    }

    #[test]
    fn each_user_keeps_searches_of_their_own() {
        let data = tempfile::tempdir().unwrap();
        let searches = Searches::in_data(data.path());
        assert_eq!(searches.of(ONE).unwrap(), []);
        searches.keep(ONE, " games ", "category=games", &[ONE, TWO]).unwrap();
        searches.keep(ONE, "Alerts", "alert=on", &[ONE, TWO]).unwrap();
        searches.keep(TWO, "games", "name=x", &[ONE, TWO]).unwrap();
        searches.keep(ONE, "games", "category=games&from=1h", &[ONE, TWO]).unwrap();
        let again = Searches::in_data(data.path());
        assert_eq!(names(&again, ONE), ["Alerts", "games"]);
        assert_eq!(again.of(ONE).unwrap()[1].query, "category=games&from=1h");
        let other = again.of(TWO).unwrap()[0].id;
        again.forget(ONE, other).unwrap();
        assert_eq!(names(&again, TWO), ["games"]);
        again.forget(TWO, other).unwrap();
        assert_eq!(names(&again, TWO), Vec::<String>::new());
    }

    #[test]
    fn what_somebody_kept_goes_when_they_do() {
        let data = tempfile::tempdir().unwrap();
        let searches = Searches::in_data(data.path());
        searches.keep(TWO, "games", "name=x", &[ONE, TWO]).unwrap();
        searches.keep(ONE, "games", "name=x", &[ONE]).unwrap();
        assert_eq!(names(&searches, TWO), Vec::<String>::new());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let searches = Searches::in_data(data.path());
        for name in ["", "  ", "a\nb", &"x".repeat(61)] {
            assert!(matches!(searches.keep(ONE, name, "", &[ONE]), Err(SearchesError::Name)), "{name:?}");
        }
        let long = "x".repeat(3_000);
        assert!(matches!(searches.keep(ONE, "a", &long, &[ONE]), Err(SearchesError::Long)));
        for n in 0..MOST {
            searches.keep(ONE, &format!("search {n}"), "", &[ONE]).unwrap();
        }
        assert!(matches!(searches.keep(ONE, "one more", "", &[ONE]), Err(SearchesError::TooMany)));
        searches.keep(ONE, "search 3", "name=y", &[ONE]).unwrap();
    }

    #[test]
    fn a_damaged_file_is_told_and_left_alone() {
        let data = tempfile::tempdir().unwrap();
        let searches = Searches::in_data(data.path());
        for text in ["not json", "{\"version\":9,\"next\":1,\"searches\":[]}"] {
            fs::write(data.path().join(FILE), text).unwrap();
            assert!(!searches.of(ONE).unwrap_err().is_bad_input());
            assert!(searches.keep(ONE, "a", "", &[ONE]).is_err());
            assert_eq!(fs::read_to_string(data.path().join(FILE)).unwrap(), text);
        }
    }
}
