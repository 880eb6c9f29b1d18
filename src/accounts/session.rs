//! Sessions: what a browser has after somebody signed in.
//!
//! The browser gets 256 random bits, the database their digest. Each step of signing in makes a new token, so one that was
//! planted in a browser beforehand never becomes somebody's session.

use jiff::Timestamp;
use ring::rand::SystemRandom;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{
    AccountChange, Accounts, AccountsError, Caller, Limits, Role, Secret, SignInError, User, UserId,
    change::action,
    cut,
    error::Stop,
    password::LONGEST,
    plus, secret, time,
    user::{self, COLUMNS},
};

/// How much of what a browser calls itself is kept, in characters.
const AGENT: usize = 200;

/// How many sessions one user has at most; the one that was used least lately ends.
const PER_USER: u32 = 50;

/// How seldom it is written down that a session or a token was used, in milliseconds.
pub(super) const USED_MS: i64 = 60_000;

/// How far ahead of the clock something may be made, in milliseconds. More is of a clock that was wrong, and would
/// last for as long as it was wrong by.
const AHEAD_MS: i64 = 5 * 60_000;

/// A session's number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct SessionId(pub i64);

/// How far signing in has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The password was right, and the code of the second factor is awaited.
    SecondFactor,
    /// A new password must be chosen.
    PasswordChange,
    /// A second factor must be set up.
    SecondFactorSetUp,
    /// All is done.
    Whole,
}

impl Stage {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::SecondFactor => "second-factor",
            Self::PasswordChange => "password-change",
            Self::SecondFactorSetUp => "second-factor-set-up",
            Self::Whole => "whole",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::SecondFactor, Self::PasswordChange, Self::SecondFactorSetUp, Self::Whole]
            .into_iter()
            .find(|stage| stage.word() == word)
    }
}

/// A whole session: whoever has it signed in with all that was asked of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Session {
    /// The number, to revoke it by.
    pub id: SessionId,
    /// Whose; none for one that the break-glass code opened.
    pub user: Option<UserId>,
    /// The name to sign in by; `break-glass` where the code opened it.
    pub name: String,
    /// What people read.
    pub full_name: String,
    /// What they may do, as of now.
    pub role: Role,
    /// Since when.
    pub made: Timestamp,
    /// When it was last used, to the minute.
    pub last_used: Timestamp,
    /// When it ends, however much it is used.
    pub ends: Timestamp,
    /// Until when what is delicate may be done without the password.
    pub fresh_until: Timestamp,
    /// From where they signed in.
    pub address: String,
    /// What the browser calls itself.
    pub agent: String,
}

impl Session {
    /// Whether what is delicate may be done without the password.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.fresh_until
    }

    /// Whether the break-glass code opened it.
    #[must_use]
    pub fn is_break_glass(&self) -> bool {
        self.user.is_none()
    }
}

/// A session of somebody whose signing in is not done; it is good for the next step and for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// The number.
    pub id: SessionId,
    /// Who it is.
    pub user: User,
    /// What is awaited.
    pub stage: Stage,
    /// Until when.
    pub ends: Timestamp,
}

const SESSION_COLUMNS: &str = "session.id, session.stage, session.made_ms, session.used_ms, session.fresh_ms, \
     session.ends_ms, session.address, session.agent, session.user";

struct Found {
    session: Session,
    stage: Option<Stage>,
    user: Option<User>,
}

/// Reads [`COLUMNS`] and what follows them.
fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let stage: String = row.get(13)?;
    let id: Option<i64> = row.get(20)?;
    let user = id.map(|_| user::user(row)).transpose()?;
    let (name, full_name, role) = match &user {
        Some(user) => (user.name.clone(), user.full_name.clone(), user.role),
        None => (String::from("break-glass"), String::from("Break-glass code"), Role::Head),
    };
    Ok(Found {
        stage: Stage::from_word(&stage),
        session: Session {
            id: SessionId(row.get(12)?),
            user: id.map(UserId),
            name,
            full_name,
            role,
            made: time(row.get(14)?),
            last_used: time(row.get(15)?),
            fresh_until: time(row.get(16)?),
            ends: time(row.get(17)?),
            address: row.get(18)?,
            agent: row.get(19)?,
        },
        user,
    })
}

impl Found {
    /// Whether it is in force: neither used up nor idle, and its user may sign in.
    fn is_alive(&self, limits: &Limits, now: Timestamp, today: jiff::civil::Date) -> bool {
        let Session { made, last_used, ends, .. } = &self.session;
        let ahead = made.as_millisecond() - now.as_millisecond() > AHEAD_MS;
        let is_idle = self.stage == Some(Stage::Whole) && now >= plus(*last_used, limits.idle);
        let may = self.user.as_ref().is_none_or(|user| user.is_active(today));
        may && !ahead && !is_idle && now < *ends && now < plus(*made, limits.absolute)
    }
}

impl Accounts {
    /// The whole session of a token; none when there is none, it has ended, or its user may not sign in any more.
    ///
    /// That it was used is written down once a minute.
    ///
    /// # Errors
    ///
    /// When the database can't be read or written; then nobody is signed in.
    pub fn session(&self, token: &str) -> Result<Option<Session>, AccountsError> {
        let Some(found) = self.find_session(token)?.filter(|found| found.stage == Some(Stage::Whole)) else {
            return Ok(None);
        };
        let mut session = found.session;
        let now = self.now();
        if (now.as_millisecond() - session.last_used.as_millisecond()).abs() >= USED_MS {
            let used = [session.id.0, now.as_millisecond()];
            self.with(|connection| {
                connection.prepare_cached("UPDATE session SET used_ms = ?2 WHERE id = ?1")?.execute(used)
            })?;
            session.last_used = now;
        }
        Ok(Some(session))
    }

    /// Whether the token's session is whole and in force. Asking does not count as using it: for what a page fetches by
    /// itself, while nobody may be sitting there.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn holds(&self, token: &str) -> Result<bool, AccountsError> {
        Ok(self.find_session(token)?.is_some_and(|found| found.stage == Some(Stage::Whole)))
    }

    /// The session of a token whose signing in is not done; none when there is none, it has ended, or it is whole.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn limited(&self, token: &str) -> Result<Option<Limited>, AccountsError> {
        Ok(self.find_session(token)?.and_then(|found| match (found.stage, found.user) {
            (Some(stage), Some(user)) if stage != Stage::Whole => {
                Some(Limited { id: found.session.id, user, stage, ends: found.session.ends })
            }
            _ => None,
        }))
    }

    fn find_session(&self, token: &str) -> Result<Option<Found>, AccountsError> {
        let hash = secret::digest(&[token.as_bytes()]);
        let sql = format!(
            "SELECT {COLUMNS}, {SESSION_COLUMNS} FROM session LEFT JOIN user ON user.id = session.user
                WHERE session.hash = ?1"
        );
        let found = self
            .with(|connection| connection.prepare_cached(&sql)?.query_row([&hash[..]], found).optional())?;
        let (limits, now, today) = (self.settings().limits, self.now(), self.today());
        Ok(found.filter(|found| found.is_alive(&limits, now, today)))
    }

    /// The whole sessions of one user, or of everybody, those used last first.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn sessions(&self, of: Option<UserId>) -> Result<Vec<Session>, AccountsError> {
        let sql = format!(
            "SELECT {COLUMNS}, {SESSION_COLUMNS} FROM session LEFT JOIN user ON user.id = session.user
                WHERE session.stage = 'whole' AND (?1 IS NULL OR session.user = ?1)
                ORDER BY session.used_ms DESC, session.id DESC"
        );
        let all = self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([of.map(|user| user.0)], found)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let (limits, now, today) = (self.settings().limits, self.now(), self.today());
        let alive = all.into_iter().filter(|found| found.is_alive(&limits, now, today));
        Ok(alive.map(|found| found.session).collect())
    }

    /// Ends a session; none when there is none. Whether it is for the asker to end is the caller's to know.
    ///
    /// # Errors
    ///
    /// When the database can't be written.
    pub fn revoke_session(&self, id: SessionId) -> Result<Option<AccountChange>, AccountsError> {
        self.end_session(id, action::SESSION_REVOKE)
    }

    /// Ends one's own session; none when it had ended.
    ///
    /// # Errors
    ///
    /// When the database can't be written.
    pub fn sign_out(&self, session: &Session) -> Result<Option<AccountChange>, AccountsError> {
        self.end_session(session.id, action::SIGN_OUT)
    }

    fn end_session(&self, id: SessionId, word: &'static str) -> Result<Option<AccountChange>, AccountsError> {
        self.write(|change| {
            let ended = change
                .query_row(
                    "DELETE FROM session WHERE id = ?1 RETURNING
                        coalesce((SELECT name FROM user WHERE user.id = session.user), 'break-glass'), address",
                    [id.0],
                    |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
                )
                .optional()?;
            Ok(ended.map(|(name, address)| AccountChange::new(word, format!("{name} from {address}"))))
        })
    }

    /// Ends all sessions of a user but for one; none when there was no other.
    ///
    /// # Errors
    ///
    /// When the database can't be written.
    pub fn revoke_other_sessions(
        &self,
        of: UserId,
        keep: Option<SessionId>,
    ) -> Result<Option<AccountChange>, AccountsError> {
        self.write(|change| {
            let Some(user) = user::find(change, of)? else { return Ok(None) };
            let ended = user::end_sessions(change, of, keep)?;
            let say = |ended| match ended {
                1 => format!("{}: 1 session", user.name),
                n => format!("{}: {n} sessions", user.name),
            };
            Ok((ended > 0).then(|| AccountChange::new(action::SESSION_REVOKE, say(ended))))
        })
    }

    /// Takes the password again, so that what is delicate may be done for a while; says until when.
    ///
    /// Takes as long as signing in. A session of the break-glass code has no password and is fresh to its end.
    ///
    /// # Errors
    ///
    /// When the password is wrong, there were too many guesses, or the session has ended.
    pub fn reauthenticate(
        &self,
        session: &Session,
        password: &str,
        from: Caller<'_>,
    ) -> Result<Timestamp, SignInError> {
        self.right_password(session, password, from)?;
        let until = plus(self.now(), self.settings().limits.fresh);
        let changed = self.with(|connection| {
            connection.execute(
                "UPDATE session SET fresh_ms = ?2 WHERE id = ?1",
                [session.id.0, until.as_millisecond()],
            )
        })?;
        if changed == 0 { Err(SignInError::Expired) } else { Ok(until) }
    }

    /// Changes one's own password, and ends all one's other sessions.
    ///
    /// # Errors
    ///
    /// When the password of before is wrong, the new one is not good enough, there were too many guesses, or the session
    /// has ended; then nothing has changed.
    pub fn change_password(
        &self,
        session: &Session,
        current: &str,
        new: &str,
        from: Caller<'_>,
    ) -> Result<AccountChange, SignInError> {
        let (user, old) = self.right_password(session, current, from)?;
        if current == new {
            return Err(AccountsError::from(super::PasswordProblem::Same).into());
        }
        Ok(self.put_password(&user, session.id, &old, new)?)
    }

    /// Chooses a new password where signing in asks for one, and ends all other sessions of the user. The next step is
    /// [`proceed`](Self::proceed).
    ///
    /// # Errors
    ///
    /// When the new one is not good enough or is the old one, or signing in does not ask for one; then nothing has
    /// changed.
    pub fn replace_password(&self, limited: &Limited, new: &str) -> Result<AccountChange, AccountsError> {
        if limited.stage != Stage::PasswordChange {
            return Err(AccountsError::NoSession);
        }
        let old = self.credentials(&limited.user.name)?.ok_or(AccountsError::NoSession)?.hash;
        if new.chars().count() <= LONGEST && self.hasher.is(new, Some(&old)) {
            return Err(super::PasswordProblem::Same.into());
        }
        self.put_password(&limited.user, limited.id, &old, new)
    }

    fn right_password(
        &self,
        session: &Session,
        password: &str,
        from: Caller<'_>,
    ) -> Result<(User, String), SignInError> {
        if session.user.is_none() {
            return Err(SignInError::Wrong);
        }
        let (credentials, guess) = self.checked_password(&session.name, password, from)?;
        if Some(credentials.user.id) != session.user {
            return Err(SignInError::Wrong);
        }
        self.gate.was_right(&guess);
        Ok((credentials.user, credentials.hash))
    }

    /// Puts another password in the place of one that nobody changed meanwhile, for a session that is still there.
    fn put_password(
        &self,
        user: &User,
        session: SessionId,
        old: &str,
        new: &str,
    ) -> Result<AccountChange, AccountsError> {
        let school = &self.settings().school;
        let about = super::password::About { login: &user.name, full_name: &user.full_name, school };
        super::password::check(new, about)?;
        let hash = self.hasher.hash(new)?;
        let now = self.now().as_millisecond();
        self.write(|change| {
            let changed = change.execute(
                "UPDATE user SET password = ?3, must_change = 0, password_ms = ?4
                    WHERE id = ?1 AND password = ?5
                        AND EXISTS (SELECT 1 FROM session WHERE session.id = ?2 AND session.user = ?1)",
                params![user.id.0, session.0, hash, now, old],
            )?;
            if changed == 0 {
                return Err(AccountsError::NoSession.into());
            }
            user::end_sessions(change, user.id, Some(session))?;
            Ok(AccountChange::new(action::USER_PASSWORD, user.name.clone()))
        })
    }
}

/// A session to be made.
pub(super) struct NewSession<'a> {
    /// Whose; none for the break-glass code.
    pub(super) user: Option<UserId>,
    pub(super) stage: Stage,
    pub(super) from: Caller<'a>,
    pub(super) now: Timestamp,
    pub(super) limits: Limits,
}

impl NewSession<'_> {
    /// Writes it down, takes out what has ended, and gives the token.
    pub(super) fn insert(&self, change: &Connection, random: &SystemRandom) -> Result<Secret, Stop> {
        let Self { user, stage, from, now, limits } = self;
        let token = secret::token(random)?;
        let lasts = match (stage, user) {
            (Stage::Whole, None) => limits.break_glass.min(limits.absolute),
            (Stage::Whole, Some(_)) => limits.absolute,
            (Stage::SecondFactor, _) => limits.second_factor,
            (Stage::PasswordChange | Stage::SecondFactorSetUp, _) => limits.unfinished,
        };
        let ends = plus(*now, lasts);
        let fresh = if user.is_none() { ends } else { plus(*now, limits.fresh) };
        let idle = i64::try_from(limits.idle.as_millis()).unwrap_or(i64::MAX);
        change.execute(
            "DELETE FROM session WHERE ends_ms <= ?1 OR (stage = 'whole' AND used_ms <= ?2)",
            [now.as_millisecond(), now.as_millisecond().saturating_sub(idle)],
        )?;
        if let Some(user) = user {
            change.execute(
                "DELETE FROM session WHERE user = ?1 AND id NOT IN
                    (SELECT id FROM session WHERE user = ?1 ORDER BY used_ms DESC, id DESC LIMIT ?2)",
                params![user.0, PER_USER - 1],
            )?;
        }
        change.execute(
            "INSERT INTO session (hash, user, stage, made_ms, used_ms, fresh_ms, ends_ms, address, agent)
                VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8)",
            params![
                &secret::digest(&[token.expose().as_bytes()])[..],
                user.map(|user| user.0),
                stage.word(),
                now.as_millisecond(),
                fresh.as_millisecond(),
                ends.as_millisecond(),
                from.address.to_canonical().to_string(),
                cut(from.agent, AGENT),
            ],
        )?;
        Ok(token)
    }
}

#[cfg(test)]
impl Accounts {
    /// A whole session of somebody, without what leads to one.
    pub(crate) fn session_for_tests(&self, id: UserId) -> String {
        let from = Caller::from(std::net::IpAddr::from([10, 20, 1, 2]));
        let limits = self.settings().limits;
        let new = NewSession { user: Some(id), stage: Stage::Whole, from, now: self.now(), limits };
        self.write(|change| new.insert(change, &self.random)).unwrap().expose().to_owned()
    }
}
