//! Why something about accounts was not done.

use std::{io, path::PathBuf};

use jiff::Timestamp;

use super::{PasswordProblem, Role, Scope};

/// Why accounts can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The folder or the database can't be written.
    #[error("{file}: {source}", file = file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite refuses.
    #[error("{file}: {source}", file = file.display())]
    Database {
        /// The database.
        file: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A later program made it.
    #[error("{file} was made by a newer Schoolgate; run that version, or restore a backup", file = file.display())]
    Newer {
        /// The database.
        file: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes, so no secret can be made")]
    Random,
    /// Second factors can't be sealed or opened.
    #[error(
        "the box's secret key is missing or is another one, so second factors can't be used; the server's log says why"
    )]
    Vault,
    /// The name to sign in by is not one.
    #[error(
        "“{0}” can't be a name to sign in by: it needs 2 to 40 of the letters a to z, digits, `.`, `_` and `-`, or an \
         e-mail address"
    )]
    Name(String),
    /// The name of a person is not one.
    #[error("the full name needs 1 to 100 characters")]
    FullName,
    /// Somebody else has the name.
    #[error("there is a user “{0}” already")]
    Taken(String),
    /// There is no such user.
    #[error("there is no user “{0}”")]
    NoUser(String),
    /// Nobody could manage users any more.
    #[error(
        "nobody could manage users any more: there must be a head teacher or technician who is not disabled and has no \
         end date; make another one first"
    )]
    LastAdministrator,
    /// The password is not good enough.
    #[error(transparent)]
    Password(#[from] PasswordProblem),
    /// The session has ended, or is not one for this.
    #[error("the session has ended; sign in again")]
    NoSession,
    /// The password was typed too long ago.
    #[error("this needs your password again")]
    NotFresh,
    /// No second factor was proposed in this session.
    #[error("no second factor is being set up; begin again")]
    NothingProposed,
    /// The code of the second factor is wrong.
    #[error("the code is wrong; it changes every 30 seconds, and each can be used once")]
    Code,
    /// The name of a security key is not one.
    #[error("a security key needs a name of 1 to 40 characters, to tell it from others")]
    KeyName,
    /// There are enough.
    #[error("you have ten security keys already; remove one first")]
    TooManyKeys,
    /// Somebody has it.
    #[error("this security key was added already")]
    KeyTaken,
    /// What the browser sent is not the answer to what was asked, or it came too late.
    #[error("the security key did not answer what it was asked; begin again")]
    Key,
    /// They have none of that number.
    #[error("there is no such security key")]
    NoKey,
    /// Without an app there would be no way in where keys can't be used.
    #[error("set up the app with codes first: a security key only works where the box is opened by its name")]
    NoApp,
    /// The name of a token is not one.
    #[error("the token's name needs 1 to 60 characters")]
    TokenName,
    /// A token must be good for something.
    #[error("a token needs at least one scope")]
    NoScopes,
    /// Nobody can give what they don't have.
    #[error("a {role} can't make a token with the scope “{scope}”", role = .role.word(), scope = .scope.word())]
    Scope {
        /// Who makes it.
        role: Role,
        /// What it was to do.
        scope: Scope,
    },
    /// The set-up is over.
    #[error("this box has been set up already")]
    SetUp,
    /// The first user must be able to make others.
    #[error("the first user must be a head teacher or a technician without an end date")]
    FirstUser,
}

impl AccountsError {
    /// Whether the request was wrong, rather than the box unable.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        !matches!(
            self,
            Self::File { .. } | Self::Database { .. } | Self::Newer { .. } | Self::Random | Self::Vault
        )
    }
}

/// Why somebody did not get in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The name or the password is wrong, or the account is disabled or has ended: which of them is not said.
    #[error("the name or the password is wrong")]
    Wrong,
    /// The second factor's code, the set-up code or the break-glass code is wrong.
    #[error("the code is wrong")]
    Code,
    /// The security key is another one, or did not answer what it was asked.
    #[error("the security key was not accepted")]
    Key,
    /// The security key says that it was used less often than it was: there are two of it.
    #[error("the security key “{name}” counts backwards, as a copy of it would")]
    KeyCopied {
        /// What its owner calls it.
        name: String,
    },
    /// It took too long, or the account changed meanwhile.
    #[error("this took too long; sign in again from the start")]
    Expired,
    /// There were too many wrong guesses.
    #[error("too many wrong tries; try again at {until}")]
    Limited {
        /// From when on.
        until: Timestamp,
    },
    /// Something else.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

/// Why a transaction is given up.
#[derive(Debug)]
pub(super) enum Stop {
    Sql(rusqlite::Error),
    Refused(Box<AccountsError>),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<AccountsError> for Stop {
    fn from(error: AccountsError) -> Self {
        Self::Refused(Box::new(error))
    }
}
