//! Who may sign in to the box.
//!
//! Users and their passwords, second factors (codes and security keys), sessions, API tokens, and the ways in when nobody can: the set-up code of a
//! new box, and the break-glass code in the head teacher's safe.
//!
//! One SQLite file, `accounts.db`, in the data folder. [`Accounts`] is shared by threads; its methods block, and those
//! that compare or make a password take some 50 ms of a processor, one at a time.
//!
//! What is wrong is refused: a user whose row can't be read doesn't sign in, a second factor that can't be opened is not
//! skipped.

mod break_glass;
mod change;
mod error;
mod guesses;
mod password;
mod review;
mod role;
mod second_factor;
mod secret;
mod security_key;
mod session;
mod set_up;
mod sign_in;
#[cfg(test)]
pub(crate) mod soft_key;
#[cfg(test)]
mod tests;
mod token;
mod user;

use std::{
    fmt, fs,
    net::IpAddr,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::{Timestamp, civil::Date};
use ring::rand::SystemRandom;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use self::{
    break_glass::BreakGlass,
    change::AccountChange,
    error::{AccountsError, SignInError},
    password::PasswordProblem,
    review::{AccessLine, ReviewState},
    role::{Role, Scope},
    second_factor::{Proposal, RecoveryCodes},
    secret::Secret,
    security_key::{KeyHost, KeyId, MOST_KEYS, RegisteredKey},
    session::{Limited, Session, SessionId, Stage},
    sign_in::SignIn,
    token::{ApiToken, NewToken, TokenId},
    user::{NewUser, User, UserChange, UserId},
};
use self::{error::Stop, guesses::Gate, password::Hasher, security_key::Challenges};
use crate::{
    clock::{Clock, Day},
    vault::Vault,
    versions,
};

/// The database's name in the data folder.
const DATABASE: &str = "accounts.db";

/// Each step brings the database from the version of its place to the next.
const MIGRATIONS: &[&str] =
    &[include_str!("migrations/001-accounts.sql"), include_str!("migrations/002-security-keys.sql")];

/// How long what somebody signed in to may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Without a request, a session ends.
    pub idle: Duration,
    /// Whatever happens, a session ends.
    pub absolute: Duration,
    /// For how long after the password was typed what is delicate may be done.
    pub fresh: Duration,
    /// For how long the second factor is waited for.
    pub second_factor: Duration,
    /// For how long a new password or a second factor that is to be set up is waited for.
    pub unfinished: Duration,
    /// For how long the break-glass code opens the box.
    pub break_glass: Duration,
}

impl Default for Limits {
    /// Idle 30 minutes, absolute 12 hours, fresh 10 minutes; 5 minutes for a code, 30 for setting up; 1 hour for the
    /// break-glass code.
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            idle: minutes(30),
            absolute: minutes(12 * 60),
            fresh: minutes(10),
            second_factor: minutes(5),
            unfinished: minutes(30),
            break_glass: minutes(60),
        }
    }
}

/// What the school may set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// How long sessions last.
    pub limits: Limits,
    /// After how many days a password must be changed; 0 is never.
    pub password_max_age_days: u16,
    /// The school's name, which no password may be made of; empty when it is not known.
    pub school: String,
}

/// From where somebody asks.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The address. One behind a proxy is whatever the proxy is trusted to say.
    pub address: IpAddr,
    /// What the browser calls itself; its first 200 characters are kept.
    pub agent: &'a str,
}

impl From<IpAddr> for Caller<'_> {
    fn from(address: IpAddr) -> Self {
        Self { address, agent: "" }
    }
}

/// Everybody who may sign in.
pub struct Accounts {
    file: PathBuf,
    connection: Mutex<Connection>,
    clock: Clock,
    vault: Option<Arc<Vault>>,
    settings: ArcSwap<Settings>,
    hasher: Hasher,
    gate: Gate,
    challenges: Challenges,
    random: SystemRandom,
    set_up: Secret,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Opens the database in the data folder, makes it when it is not there, and brings it up to date. Nobody but its
    /// owner can read it afterwards.
    ///
    /// Without a vault, second factors can't be set up or checked, and whoever has one can't sign in.
    ///
    /// # Errors
    ///
    /// When the folder can't be written, or the database is damaged or newer than this program.
    pub fn open(
        folder: &Path,
        clock: Clock,
        vault: Option<Arc<Vault>>,
        settings: Settings,
    ) -> Result<Self, AccountsError> {
        let file = folder.join(DATABASE);
        let unwritable = |source| AccountsError::File { file: file.clone(), source };
        fs::create_dir_all(folder)
            .map_err(|source| AccountsError::File { file: folder.to_owned(), source })?;
        // SQLite gives the files beside it the same permissions.
        let made =
            fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&file).map_err(unwritable)?;
        made.set_permissions(fs::Permissions::from_mode(0o600)).map_err(unwritable)?;
        drop(made);
        let mut opened = prepared(&file);
        if matches!(opened, Ok(None)) && versions::take_back(&file, schema().1).map_err(unwritable)? {
            opened = prepared(&file);
        }
        let connection = match opened {
            Ok(Some(connection)) => connection,
            Ok(None) => return Err(AccountsError::Newer { file }),
            Err(source) => return Err(AccountsError::Database { file, source }),
        };
        let random = SystemRandom::new();
        Ok(Self {
            file,
            connection: Mutex::new(connection),
            clock,
            vault,
            settings: ArcSwap::from_pointee(settings),
            hasher: Hasher::default(),
            gate: Gate::new(),
            challenges: Challenges::default(),
            set_up: secret::code(&random, 2, 4)?,
            random,
        })
    }

    /// Puts other settings in force, for sessions that there are already as well.
    pub fn set_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// The time, to the millisecond, as the database has it.
    fn now(&self) -> Timestamp {
        time(self.clock.now().as_millisecond())
    }

    /// What the box is called where it is one of many: in an app with codes, among the keys of a device.
    fn title(&self) -> String {
        let school = &self.settings().school;
        if school.is_empty() { String::from("Schoolgate") } else { format!("Schoolgate {}", cut(school, 60)) }
    }

    /// The day that end dates are compared with.
    fn today(&self) -> Date {
        Day::of(self.now()).date()
    }

    /// A panic while it was held left no transaction behind: one that was not committed is rolled back.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one thing, or several that need not hold together.
    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, AccountsError> {
        work(&self.connection()).map_err(|source| self.problem(source))
    }

    /// Does all of it or, after an error, nothing. No other process writes meanwhile.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Stop>) -> Result<T, AccountsError> {
        let mut connection = self.connection();
        let done = || {
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&change)?;
            change.commit()?;
            Ok(done)
        };
        done().map_err(|stop| match stop {
            Stop::Sql(source) => self.problem(source),
            Stop::Refused(error) => *error,
        })
    }

    fn problem(&self, source: rusqlite::Error) -> AccountsError {
        AccountsError::Database { file: self.file.clone(), source }
    }
}

/// The database in the data folder, and the version of it that this program writes.
#[must_use]
pub fn schema() -> (&'static str, u32) {
    (DATABASE, MIGRATIONS.len() as u32)
}

/// A connection to the database as this program writes it; none when a newer program made it.
fn prepared(file: &Path) -> rusqlite::Result<Option<Connection>> {
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What was deleted (sessions, second factors) is not left in the file.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -256)?;
    let before: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if before > 0 && (before as usize) < MIGRATIONS.len() {
        versions::keep_copy(&connection, file, before);
    }
    // Within the transaction, since a command may open the file just while a server does.
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done: u32 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = done as usize;
    if done > MIGRATIONS.len() {
        return Ok(None);
    }
    for step in &MIGRATIONS[done..] {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    change.commit()?;
    Ok(Some(connection))
}

/// Times are written by this module, so they are in range; a damaged one reads as 1970, when nothing was in force.
fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// So much later, as far as there is time.
fn plus(time: Timestamp, later: Duration) -> Timestamp {
    let ms = i64::try_from(later.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(time.as_millisecond().saturating_add(ms)).unwrap_or(Timestamp::MAX)
}

/// So much of a text as is kept of what others send, on one line.
fn cut(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}
