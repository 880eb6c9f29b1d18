//! What the box says of itself to who has just updated it.

use std::path::Path;

use data_encoding::HEXLOWER;
use ring::digest;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::{Control, ControlError};
use crate::{
    accounts,
    background::BackgroundError,
    store::{self, Revision},
};

/// The number of the policy that ships.
const SHIPPED: i64 = 0;

/// What the box says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfCheck {
    /// The program's version.
    pub program: String,
    /// The number of the policy in force; 0 for the one that ships.
    pub revision: i64,
    /// The number of the policy that was published last; 0 where none was.
    pub published: i64,
    /// The SHA-256 of that policy's text, in hex, as it was published; the same with every version of the program.
    pub policy: String,
    /// The same of the revision that was asked for; none where that is not there.
    #[serde(default)]
    pub earlier: Option<String>,
    /// The identifiers of the profiles of the policy that was published last.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Whether the database of settings can be read.
    pub settings: bool,
    /// Whether the lists of the policy are in force, or there are none.
    pub lists: bool,
    /// How many names the school's lists have.
    pub names: u64,
    /// Whether the box's secret key can be read.
    pub key: bool,
    /// How the query log fares; none where it is not kept.
    pub log: Option<LogCheck>,
    /// The databases that there are.
    pub databases: Vec<DatabaseCheck>,
}

/// How the query log fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCheck {
    /// How many questions were written since the start, all that arrived before among them.
    pub written: u64,
    /// Why nothing can be written; none while all is well.
    pub failing: Option<String>,
}

/// A database of the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseCheck {
    /// Its name.
    pub file: String,
    /// The version that it has; none where it can't be read.
    pub version: Option<u32>,
    /// The version that this program writes.
    pub wanted: u32,
}

impl Control {
    /// Says how the box is, once what was asked before is in the query log, and what policy a revision was, `of` which
    /// that is wanted.
    ///
    /// # Errors
    ///
    /// When the settings can't be read.
    pub async fn self_check(&self, of: Option<i64>) -> Result<SelfCheck, ControlError> {
        let standing = self.standing();
        let (published, earlier) = {
            let state = self.state();
            match &state.store {
                Some(store) => {
                    let earlier = of.filter(|number| *number != SHIPPED);
                    let earlier = earlier.map(|number| store.revision(number)).transpose()?.flatten();
                    (store.latest()?, earlier)
                }
                None => (None, None),
            }
        };
        let policy = digest_of(published.as_ref());
        let earlier = (earlier.is_some() || of == Some(SHIPPED)).then(|| digest_of(earlier.as_ref()));
        let (log, folder) = (self.log.clone(), self.folder.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let log = log.map(|log| {
                let failing = log.flush().err();
                let status = log.status();
                LogCheck { written: status.written, failing: failing.or(status.failing) }
            });
            (log, databases(&folder))
        });
        let (log, databases) = looked.await.map_err(|error| BackgroundError::Panicked {
            name: String::from("self check"),
            message: error.to_string(),
        })?;
        Ok(SelfCheck {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            revision: standing.revision,
            published: published.map_or(0, |one| one.number),
            policy,
            earlier,
            profiles: self.policy().load().profiles().map(|(_, profile)| profile.id.clone()).collect(),
            settings: standing.settings,
            lists: standing.lists,
            names: self.names().1,
            key: standing.key,
            log,
            databases,
        })
    }
}

/// The digest of a revision's text; of a word where there is none, since the policy that ships is another with each version.
fn digest_of(revision: Option<&Revision>) -> String {
    let text = revision.map_or("shipped", |revision| revision.text.as_str());
    HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn databases(folder: &Path) -> Vec<DatabaseCheck> {
    [store::schema(), accounts::schema()]
        .into_iter()
        .filter(|(name, _)| folder.join(name).is_file())
        .map(|(name, wanted)| {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let version = Connection::open_with_flags(folder.join(name), flags)
                .and_then(|connection| connection.pragma_query_value(None, "user_version", |row| row.get(0)));
            DatabaseCheck { file: name.to_owned(), version: version.ok(), wanted }
        })
        .collect()
}
