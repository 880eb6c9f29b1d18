//! Signing in, step by step: the password, the second factor, and what has to be put right before anything else.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{
    AccountChange, Accounts, AccountsError, Caller, KeyHost, Limited, Secret, Settings, SignInError, Stage,
    User, UserId,
    change::action,
    error::Stop,
    guesses::{Account, Guess},
    password::LONGEST,
    plus,
    second_factor::Proof,
    session::NewSession,
    time,
    user::{self, COLUMNS, login},
};

/// How many wrong codes one right password is good for.
const CODES: u32 = 5;

/// What somebody gets whose password was right.
#[derive(Debug)]
pub struct SignIn {
    /// The token for the browser. It is a [session](Accounts::session) when the stage is whole, and else a
    /// [limited](Accounts::limited) one.
    pub token: Secret,
    /// How far signing in has come, and so what is next.
    pub stage: Stage,
    /// Who it is.
    pub user: UserId,
    /// For the audit.
    pub change: AccountChange,
}

/// A user with what the password is compared with.
pub(super) struct Credentials {
    pub(super) user: User,
    pub(super) hash: String,
    pardon: Timestamp,
}

impl Accounts {
    pub(super) fn credentials(&self, name: &str) -> Result<Option<Credentials>, AccountsError> {
        let sql = format!("SELECT {COLUMNS}, password, pardon_ms FROM user WHERE name = ?1");
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Credentials { user: user::user(row)?, hash: row.get(12)?, pardon: time(row.get(13)?) })
            };
            statement.query_row([name], read).optional()
        })
    }

    /// Whether it is the password of somebody who may sign in. The guess counts until it is taken back.
    pub(super) fn checked_password(
        &self,
        name: &str,
        password: &str,
        from: Caller<'_>,
    ) -> Result<(Credentials, Guess), SignInError> {
        let name = login(name);
        let known = self.credentials(&name)?;
        let (account, pardon) = match &known {
            Some(known) => (Account::User(known.user.id), known.pardon),
            None => (Account::Nobody(name), Timestamp::MIN),
        };
        let guess = self
            .gate
            .admit(Some(account), pardon, from.address, self.now())
            .map_err(|until| SignInError::Limited { until })?;
        let hash = known.as_ref().map(|known| known.hash.as_str());
        // None is longer, whoever it is.
        let is_right =
            password.chars().take(LONGEST + 1).count() <= LONGEST && self.hasher.is(password, hash);
        match known {
            Some(known) if is_right && known.user.is_active(self.today()) => Ok((known, guess)),
            _ => Err(SignInError::Wrong),
        }
    }

    /// Signs somebody in by password, and by the code of their second factor or a recovery code where it is given at
    /// once. Without it, the next step is [`second_factor`](Self::second_factor).
    ///
    /// Takes as long for a name that nobody has as for a wrong password, and says the same.
    ///
    /// # Errors
    ///
    /// When something is wrong or there were too many guesses: 10 for an account or 30 from an address within 5 minutes.
    /// Then the right password is refused as well.
    pub fn sign_in(
        &self,
        name: &str,
        password: &str,
        second: Option<&str>,
        from: Caller<'_>,
    ) -> Result<SignIn, SignInError> {
        let (Credentials { user, hash, .. }, guess) = self.checked_password(name, password, from)?;
        let proof = match second {
            Some(code) if user.has_second_factor => {
                Some(self.prove(user.id, code)?.ok_or(SignInError::Code)?)
            }
            _ => None,
        };
        self.gate.was_right(&guess);
        let is_still = |change: &Connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM user WHERE id = ?1 AND password = ?2)";
            change.query_row(sql, (user.id.0, &hash), |row| row.get(0))
        };
        self.step(user.id, proof, from, is_still)
    }

    /// Takes the code of the second factor, or a recovery code, for a token whose stage is
    /// [`Stage::SecondFactor`]. After five wrong ones the password is asked for again.
    ///
    /// # Errors
    ///
    /// When the code is wrong or was used already, it took too long, or there were too many guesses.
    pub fn second_factor(&self, token: &str, code: &str, from: Caller<'_>) -> Result<SignIn, SignInError> {
        let (limited, guess) = self.guess_at_second_factor(token, from)?;
        let proof = self.prove(limited.user.id, code)?.ok_or(SignInError::Code)?;
        self.second_factor_is(limited, &guess, proof, from)
    }

    /// Takes the answer of a security key in the place of a code. Wrong ones count as wrong codes do.
    ///
    /// # Errors
    ///
    /// When it is not the answer to what was [asked](Self::ask_security_key) for this token and under this host, the key
    /// seems to be a copy, it took too long, or there were too many guesses.
    pub fn second_factor_by_key(
        &self,
        token: &str,
        host: &KeyHost,
        answer: &str,
        from: Caller<'_>,
    ) -> Result<SignIn, SignInError> {
        let (limited, guess) = self.guess_at_second_factor(token, from)?;
        let proof = self.prove_by_key(&limited, host, answer)?;
        self.second_factor_is(limited, &guess, proof, from)
    }

    /// Counts a guess before it is looked at, for the account and for the token.
    fn guess_at_second_factor(&self, token: &str, from: Caller<'_>) -> Result<(Limited, Guess), SignInError> {
        let limited = self
            .limited(token)?
            .filter(|limited| limited.stage == Stage::SecondFactor)
            .ok_or(SignInError::Expired)?;
        let pardon = self.credentials(&limited.user.name)?.ok_or(SignInError::Expired)?.pardon;
        let account = Account::User(limited.user.id);
        let guess = self
            .gate
            .admit(Some(account), pardon, from.address, self.now())
            .map_err(|until| SignInError::Limited { until })?;
        // Counted before it is looked at, for the same reason.
        let tries = self.with(|connection| {
            let sql = "UPDATE session SET tries = tries + 1 WHERE id = ?1 AND tries < ?2";
            connection.execute(sql, (limited.id.0, CODES))
        })?;
        if tries == 0 {
            return Err(SignInError::Expired);
        }
        Ok((limited, guess))
    }

    fn second_factor_is(
        &self,
        limited: Limited,
        guess: &Guess,
        proof: Proof,
        from: Caller<'_>,
    ) -> Result<SignIn, SignInError> {
        self.gate.was_right(guess);
        self.step(limited.user.id, Some(proof), from, |change| {
            Ok(change.execute("DELETE FROM session WHERE id = ?1", [limited.id.0])? == 1)
        })
    }

    /// Goes on after a [password was replaced](Self::replace_password) or a
    /// [second factor was set up](Self::confirm_second_factor). What is still awaited is asked for again.
    ///
    /// # Errors
    ///
    /// When the token is not of one of these stages, or it took too long.
    pub fn proceed(&self, token: &str, from: Caller<'_>) -> Result<SignIn, SignInError> {
        let limited = self
            .limited(token)?
            .filter(|limited| matches!(limited.stage, Stage::PasswordChange | Stage::SecondFactorSetUp))
            .ok_or(SignInError::Expired)?;
        // These stages come after the second factor, and who sets one up ends all sessions but the one it is done in.
        self.step(limited.user.id, Some(Proof::Before), from, |change| {
            Ok(change.execute("DELETE FROM session WHERE id = ?1", [limited.id.0])? == 1)
        })
    }

    /// Makes the session of the next step, if what led to it still holds.
    fn step(
        &self,
        id: UserId,
        proof: Option<Proof>,
        from: Caller<'_>,
        holds: impl FnOnce(&Connection) -> rusqlite::Result<bool>,
    ) -> Result<SignIn, SignInError> {
        let (now, today, settings) = (self.now(), self.today(), self.settings());
        let done = self.write(|change| {
            let holds = holds(change)?;
            let user = user::find(change, id)?.filter(|user| holds && user.is_active(today));
            let Some(user) = user else { return Ok(None) };
            let stage = next(&user, proof.is_some(), &settings, now);
            let new = NewSession { user: Some(id), stage, from, now, limits: settings.limits };
            let token = new.insert(change, &self.random)?;
            if stage == Stage::Whole {
                change
                    .execute("UPDATE user SET seen_ms = ?2 WHERE id = ?1", [id.0, now.as_millisecond()])
                    .map_err(Stop::from)?;
            }
            let change = AccountChange::new(action::SIGN_IN, said(&user, stage, proof, from));
            Ok(Some(SignIn { token, stage, user: id, change }))
        })?;
        done.ok_or(SignInError::Expired)
    }
}

/// What is next for somebody whose password was right.
fn next(user: &User, is_proven: bool, settings: &Settings, now: Timestamp) -> Stage {
    let days = u64::from(settings.password_max_age_days);
    let is_old =
        days > 0 && now >= plus(user.password_changed, std::time::Duration::from_secs(days * 86_400));
    if user.has_second_factor && !is_proven {
        Stage::SecondFactor
    } else if user.must_change_password || is_old {
        Stage::PasswordChange
    } else if user.role.needs_second_factor() && !user.has_second_factor {
        Stage::SecondFactorSetUp
    } else {
        Stage::Whole
    }
}

fn said(user: &User, stage: Stage, proof: Option<Proof>, from: Caller<'_>) -> String {
    let how = match proof {
        Some(Proof::Key { name }) => format!(", by the security key “{name}”"),
        Some(Proof::Recovery { left }) => format!(", by a recovery code ({left} left)"),
        _ => String::new(),
    };
    let next = match stage {
        Stage::Whole => "",
        Stage::SecondFactor => ": the password was right, the second factor is asked for",
        Stage::PasswordChange => ": a new password is asked for",
        Stage::SecondFactorSetUp => ": a second factor is to be set up",
    };
    format!("{} from {}{how}{next}", user.name, from.address.to_canonical())
}
