//! The review of who has access, which schools do each term.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{AccountChange, Accounts, AccountsError, User, change::action, cut, plus, time};

/// After how long the access is to be looked at again: about a term.
const DUE: Duration = Duration::from_secs(120 * 86_400);

/// One user, as the review shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct AccessLine {
    /// Who, in which role, since when, last seen when, with a second factor or not.
    #[serde(flatten)]
    pub user: User,
    /// Whether they may sign in today.
    pub has_access: bool,
    /// How many API tokens they made that are there still.
    pub tokens: usize,
}

/// When the access was looked at, and when it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ReviewState {
    /// When somebody last did.
    pub last: Option<Timestamp>,
    /// Who did.
    pub by: Option<String>,
    /// When it is to be done: 120 days later, or after the first user was made; none on a box without users.
    pub due: Option<Timestamp>,
    /// Whether that is now.
    pub is_due: bool,
}

impl Accounts {
    /// Who has access, and who had: a line for each user, those with access first.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn review(&self) -> Result<Vec<AccessLine>, AccountsError> {
        let tokens = self.tokens(None)?;
        let today = self.today();
        let line = |user: User| AccessLine {
            has_access: user.is_active(today),
            tokens: tokens.iter().filter(|token| token.user == user.id).count(),
            user,
        };
        let mut lines: Vec<_> = self.users()?.into_iter().map(line).collect();
        lines.sort_by_key(|line| !line.has_access);
        Ok(lines)
    }

    /// Writes down that somebody looked at who has access.
    ///
    /// # Errors
    ///
    /// When the database can't be written.
    pub fn reviewed(&self, by: &str) -> Result<AccountChange, AccountsError> {
        let (now, by) = (self.now().as_millisecond(), cut(by, 100));
        self.with(|connection| {
            connection.execute("INSERT INTO access_review (at_ms, who) VALUES (?1, ?2)", params![now, by])
        })?;
        let with_access = self.review()?.iter().filter(|line| line.has_access).count();
        let detail = match with_access {
            1 => String::from("1 person has access"),
            n => format!("{n} people have access"),
        };
        Ok(AccountChange::new(action::REVIEW, detail))
    }

    /// When the access was looked at, and when it is to be.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn review_state(&self) -> Result<ReviewState, AccountsError> {
        let (last, first_user) = self.with(|connection| {
            let last = connection
                .query_row("SELECT at_ms, who FROM access_review ORDER BY id DESC LIMIT 1", [], |row| {
                    Ok((time(row.get(0)?), row.get::<_, String>(1)?))
                })
                .optional()?;
            let first: Option<i64> =
                connection.query_row("SELECT min(made_ms) FROM user", [], |row| row.get(0))?;
            Ok((last, first.map(time)))
        })?;
        let (last, by) = last.unzip();
        let due = last.or(first_user).map(|from| plus(from, DUE));
        Ok(ReviewState { last, by, due, is_due: due.is_some_and(|due| self.now() >= due) })
    }
}
