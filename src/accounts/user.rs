//! Users: who they are, and what changes them.

use std::fmt;

use jiff::{Timestamp, civil::Date};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{
    AccountChange, Accounts, AccountsError, Role, Secret, SessionId, change::action, cut, error::Stop,
    password, secret, time,
};

/// A user's number; no other ever has it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// Who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct User {
    /// The number.
    pub id: UserId,
    /// What is typed to sign in, in lower case.
    pub name: String,
    /// What people read.
    pub full_name: String,
    /// What they may do.
    pub role: Role,
    /// The last day (in UTC) on which they may sign in.
    pub ends: Option<Date>,
    /// Whether they may not sign in for now.
    pub disabled: bool,
    /// Whether a second factor is set up.
    pub has_second_factor: bool,
    /// How many security keys stand beside it.
    pub security_keys: u32,
    /// Whether the next sign-in asks for a new password.
    pub must_change_password: bool,
    /// Since when there is this user.
    pub made: Timestamp,
    /// When the password was last changed.
    pub password_changed: Timestamp,
    /// When they last signed in.
    pub last_seen: Option<Timestamp>,
}

impl User {
    /// Whether they may sign in on a day.
    #[must_use]
    pub fn is_active(&self, today: Date) -> bool {
        !self.disabled && self.ends.is_none_or(|ends| ends >= today)
    }
}

/// Who is to be able to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// What is typed to sign in: 2 to 40 of a to z, digits, `.`, `_` and `-`, or an e-mail address. Capitals are made
    /// small.
    pub name: String,
    /// What people read: 1 to 100 characters.
    pub full_name: String,
    /// What they may do.
    pub role: Role,
    /// The last day on which they may sign in.
    pub ends: Option<Date>,
}

/// What is to change about a user; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// The full name.
    pub full_name: Option<String>,
    /// The role.
    pub role: Option<Role>,
    /// The last day; none within is without an end.
    pub ends: Option<Option<Date>>,
    /// Whether they may not sign in.
    pub disabled: Option<bool>,
}

pub(super) const COLUMNS: &str = "user.id, user.name, user.full_name, user.role, user.ends, user.disabled, \
     user.totp IS NOT NULL, user.must_change, user.made_ms, user.password_ms, user.seen_ms, \
     (SELECT count(*) FROM security_key WHERE security_key.user = user.id)";

/// Reads [`COLUMNS`], from the first column on.
pub(super) fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let damaged = |column, what: String| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, what.into())
    };
    let role: String = row.get(3)?;
    let ends: Option<String> = row.get(4)?;
    Ok(User {
        id: UserId(row.get(0)?),
        name: row.get(1)?,
        full_name: row.get(2)?,
        role: Role::from_word(&role).ok_or_else(|| damaged(3, format!("no role: {role}")))?,
        ends: ends.map(|day| day.parse().map_err(|_| damaged(4, format!("no day: {day}")))).transpose()?,
        disabled: row.get(5)?,
        has_second_factor: row.get(6)?,
        must_change_password: row.get(7)?,
        made: time(row.get(8)?),
        password_changed: time(row.get(9)?),
        last_seen: row.get::<_, Option<i64>>(10)?.map(time),
        security_keys: row.get(11)?,
    })
}

pub(super) fn find(connection: &Connection, id: UserId) -> rusqlite::Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM user WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id.0], user).optional()
}

fn existing(connection: &Connection, id: UserId) -> Result<User, Stop> {
    Ok(find(connection, id)?.ok_or_else(|| AccountsError::NoUser(id.to_string()))?)
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {}", self.0)
    }
}

/// A name as it is kept and compared.
pub(super) fn login(name: &str) -> String {
    // Longer ones are nobody's; comparing them is no work worth doing.
    name.trim().chars().take(300).collect::<String>().to_lowercase()
}

/// The name to sign in by, in lower case.
fn checked_login(name: &str) -> Result<String, AccountsError> {
    let login = login(name);
    let is_plain =
        (2..=40).contains(&login.len()) && login.bytes().all(|b| is_letter(b) || b"._-".contains(&b));
    let is_address = || {
        let (user, host) = login.rsplit_once('@')?;
        let is_user =
            (1..=64).contains(&user.len()) && user.bytes().all(|b| is_letter(b) || b"._-+'".contains(&b));
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| is_letter(b) || b == b'-');
        Some(is_user && host.len() <= 190 && host.contains('.') && host.split('.').all(is_label))
    };
    if is_plain || is_address() == Some(true) { Ok(login) } else { Err(AccountsError::Name(cut(name, 60))) }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn checked_full_name(name: &str) -> Result<String, AccountsError> {
    let name = name.trim();
    let is_name = (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if is_name { Ok(name.to_owned()) } else { Err(AccountsError::FullName) }
}

/// How well it is looked after that somebody can manage users: 2 when somebody without an end date can, 1 when somebody
/// can today, 0 when nobody can.
fn administrators(connection: &Connection, today: Date) -> rusqlite::Result<u8> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM user"))?;
    let users = statement.query_map([], user)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let levels = users
        .iter()
        .filter(|user| user.role.manages_users() && user.is_active(today))
        .map(|user| if user.ends.is_none() { 2 } else { 1 });
    Ok(levels.max().unwrap_or(0))
}

impl Accounts {
    /// Every user, in the order of their names.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn users(&self) -> Result<Vec<User>, AccountsError> {
        self.with(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM user ORDER BY name"))?;
            let rows = statement.query_map([], user)?;
            rows.collect()
        })
    }

    /// A user by number.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn user(&self, id: UserId) -> Result<Option<User>, AccountsError> {
        self.with(|connection| find(connection, id))
    }

    /// A user by the name to sign in by, in whatever capitals.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn user_named(&self, name: &str) -> Result<Option<User>, AccountsError> {
        let sql = format!("SELECT {COLUMNS} FROM user WHERE name = ?1");
        self.with(|connection| connection.prepare_cached(&sql)?.query_row([login(name)], user).optional())
    }

    /// Adds a user. `must_change` has the first sign-in ask for a password of their own.
    ///
    /// # Errors
    ///
    /// When the name is taken or no name, or the password is not good enough; then nothing has changed.
    pub fn add(
        &self,
        new: &NewUser,
        password: &str,
        must_change: bool,
    ) -> Result<(UserId, AccountChange), AccountsError> {
        let ready = self.ready(new, password)?;
        let id = self.write(|change| self.insert(change, &ready, must_change))?;
        Ok((id, AccountChange::new(action::USER_ADD, ready.to_string())))
    }

    /// Adds a user with a password of the box's making, which is to be told to them, and which the first sign-in
    /// replaces.
    ///
    /// # Errors
    ///
    /// When the name is taken or no name; then nothing has changed.
    pub fn add_with_made_password(
        &self,
        new: &NewUser,
    ) -> Result<(UserId, Secret, AccountChange), AccountsError> {
        let password = secret::code(&self.random, 4, 5)?;
        let (id, change) = self.add(new, password.expose(), true)?;
        Ok((id, password, change))
    }

    /// Checks a new user and hashes the password.
    pub(super) fn ready(&self, new: &NewUser, password: &str) -> Result<Ready, AccountsError> {
        let name = checked_login(&new.name)?;
        let full_name = checked_full_name(&new.full_name)?;
        let school = &self.settings().school;
        password::check(password, password::About { login: &name, full_name: &full_name, school })?;
        let password = self.hasher.hash(password)?;
        Ok(Ready { name, full_name, role: new.role, ends: new.ends, password })
    }

    pub(super) fn insert(&self, change: &Connection, new: &Ready, must_change: bool) -> Result<UserId, Stop> {
        let taken = "SELECT EXISTS (SELECT 1 FROM user WHERE name = ?1)";
        if change.query_row(taken, [&new.name], |row| row.get(0))? {
            return Err(AccountsError::Taken(new.name.clone()).into());
        }
        let now = self.now().as_millisecond();
        let Ready { name, full_name, role, ends, password } = new;
        change.execute(
            "INSERT INTO user (name, full_name, role, ends, password, must_change, made_ms, password_ms)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
            params![
                name,
                full_name,
                role.word(),
                ends.map(|day| day.to_string()),
                password,
                must_change,
                now
            ],
        )?;
        Ok(UserId(change.last_insert_rowid()))
    }

    /// Changes a user. Another role, an end that has passed, and being disabled end their sessions, but for `keep`; none
    /// when nothing is to change.
    ///
    /// # Errors
    ///
    /// When there is no such user, a name is wrong, or nobody could manage users any more; then nothing has changed.
    pub fn change(
        &self,
        id: UserId,
        wanted: &UserChange,
        keep: Option<SessionId>,
    ) -> Result<Option<AccountChange>, AccountsError> {
        let full_name = wanted.full_name.as_deref().map(checked_full_name).transpose()?;
        let today = self.today();
        self.write(|change| {
            let old = existing(change, id)?;
            let new = User {
                full_name: full_name.unwrap_or_else(|| old.full_name.clone()),
                role: wanted.role.unwrap_or(old.role),
                ends: wanted.ends.unwrap_or(old.ends),
                disabled: wanted.disabled.unwrap_or(old.disabled),
                ..old.clone()
            };
            if new == old {
                return Ok(None);
            }
            let before = administrators(change, today)?;
            change.execute(
                "UPDATE user SET full_name = ?2, role = ?3, ends = ?4, disabled = ?5 WHERE id = ?1",
                params![
                    id.0,
                    new.full_name,
                    new.role.word(),
                    new.ends.map(|day| day.to_string()),
                    new.disabled
                ],
            )?;
            if administrators(change, today)? < before {
                return Err(AccountsError::LastAdministrator.into());
            }
            if new.role != old.role || !new.is_active(today) {
                end_sessions(change, id, keep)?;
            }
            Ok(Some(AccountChange::new(action::USER_CHANGE, differences(&old, &new))))
        })
    }

    /// Removes a user with their sessions and tokens.
    ///
    /// # Errors
    ///
    /// When there is no such user, or nobody could manage users any more; then nothing has changed.
    pub fn remove(&self, id: UserId) -> Result<AccountChange, AccountsError> {
        let today = self.today();
        self.write(|change| {
            let user = existing(change, id)?;
            let before = administrators(change, today)?;
            change.execute("DELETE FROM user WHERE id = ?1", [id.0])?;
            if administrators(change, today)? < before {
                return Err(AccountsError::LastAdministrator.into());
            }
            Ok(AccountChange::new(action::USER_REMOVE, format!("{} ({})", user.name, user.full_name)))
        })
    }

    /// Gives a user a new password of the box's making, which the next sign-in replaces; ends their sessions, and lets
    /// guesses for them count anew.
    ///
    /// # Errors
    ///
    /// When there is no such user; then nothing has changed.
    pub fn reset_password(&self, id: UserId) -> Result<(Secret, AccountChange), AccountsError> {
        let password = secret::code(&self.random, 4, 5)?;
        let hash = self.hasher.hash(password.expose())?;
        let now = self.now().as_millisecond();
        let change = self.write(|change| {
            let user = existing(change, id)?;
            change.execute(
                "UPDATE user SET password = ?2, must_change = 1, password_ms = ?3, pardon_ms = ?3 WHERE id = ?1",
                params![id.0, hash, now],
            )?;
            end_sessions(change, id, None)?;
            Ok(AccountChange::new(action::USER_PASSWORD_RESET, user.name))
        })?;
        Ok((password, change))
    }
}

/// A new user who was found right.
pub(super) struct Ready {
    name: String,
    full_name: String,
    pub(super) role: Role,
    pub(super) ends: Option<Date>,
    password: String,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) as {}", self.name, self.full_name, self.role.word())?;
        match self.ends {
            Some(day) => write!(f, ", until {day}"),
            None => Ok(()),
        }
    }
}

/// Ends a user's sessions, finished or not, but for one.
pub(super) fn end_sessions(
    change: &Connection,
    user: UserId,
    keep: Option<SessionId>,
) -> rusqlite::Result<usize> {
    change.execute(
        "DELETE FROM session WHERE user = ?1 AND id IS NOT ?2",
        params![user.0, keep.map(|session| session.0)],
    )
}

fn differences(old: &User, new: &User) -> String {
    let day = |day: Option<Date>| day.map_or_else(|| String::from("no end"), |day| format!("until {day}"));
    let mut said = Vec::new();
    if new.full_name != old.full_name {
        said.push(format!("{}, was {}", new.full_name, old.full_name));
    }
    if new.role != old.role {
        said.push(format!("{}, was {}", new.role.word(), old.role.word()));
    }
    if new.ends != old.ends {
        said.push(format!("{}, was {}", day(new.ends), day(old.ends)));
    }
    if new.disabled != old.disabled {
        said.push(String::from(if new.disabled { "disabled" } else { "enabled" }));
    }
    format!("{}: {}", new.name, said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_to_sign_in_by_is_short_and_plain_or_an_address() {
        for (name, kept) in [
            ("Alice", "alice"),
            (" a.okafor-2 ", "a.okafor-2"),
            ("A.Okafor@School.example", "a.okafor@school.example"),
            ("o'neill+it@school.sch.uk", "o'neill+it@school.sch.uk"),
        ] {
            assert_eq!(checked_login(name).unwrap(), kept);
        }
        for name in [
            "",
            "a",
            "two words",
            "ål",
            "a\nb",
            "@school.example",
            "a@school",
            "a@b@",
            "a@.example",
            "a/b",
            "<b>",
        ] {
            assert!(checked_login(name).is_err(), "{name}");
        }
        assert!(checked_login(&"a".repeat(41)).is_err());
        assert!(checked_full_name("Adaeze\u{1b}[2J").is_err());
    }
}
