//! Security keys (WebAuthn): a second factor that signs for one host name, so that no other site gets anything of it.
//!
//! A key stands beside the codes of an app, never in their place: it works only where the pages are opened by that name over
//! TLS, and somebody must get in by an address as well.

mod challenges;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Serialize, de::DeserializeOwned};
use webauthn_rs::prelude::{
    PublicKeyCredential, RegisterPublicKeyCredential, SecurityKey, Url, Uuid, Webauthn, WebauthnBuilder,
    WebauthnError,
};

use self::challenges::Asked;
pub(super) use self::challenges::Challenges;
use super::{
    AccountChange, Accounts, AccountsError, Limited, Session, SignInError, Stage, User, UserId,
    change::action, second_factor::Proof, secret, time, user,
};

/// How many security keys one user has at most.
pub const MOST_KEYS: usize = 10;

/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 40;

/// The longest answer of a key that is looked at, in bytes; real ones have some hundreds.
const LONGEST_ANSWER: usize = 64 << 10;

/// A security key's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub i64);

/// The host name by which a page was opened, which a key is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHost {
    name: String,
    origin: Url,
}

impl KeyHost {
    /// Of a page that was served over TLS, by what the browser asked: a name with a port or without. None for an address,
    /// since keys are bound to names.
    ///
    /// Whether the name is one of the box's own is the caller's to know.
    #[must_use]
    pub fn new(authority: &str) -> Option<Self> {
        let origin = Url::parse(&format!("https://{authority}/")).ok()?;
        let name = origin.domain()?.to_owned();
        let is_bare = origin.username().is_empty() && origin.password().is_none() && origin.path() == "/";
        let is_whole = origin.query().is_none() && origin.fragment().is_none();
        (is_bare && is_whole).then_some(Self { name, origin })
    }

    /// The name, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn webauthn(&self, title: &str) -> Result<Webauthn, AccountsError> {
        let builder = WebauthnBuilder::new(&self.name, &self.origin);
        builder.and_then(|builder| builder.rp_name(title).build()).map_err(|_| AccountsError::Key)
    }
}

/// A key that somebody added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredKey {
    /// The number.
    pub id: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// The host name that it signs for.
    pub host: String,
    /// When it was added.
    pub made: Timestamp,
    /// When somebody last signed in with it.
    pub last_used: Option<Timestamp>,
}

/// A key with what its answers are compared with.
struct Stored {
    id: KeyId,
    name: String,
    key: SecurityKey,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let text: String = row.get(2)?;
    let key = serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(Stored { id: KeyId(row.get(0)?), name: row.get(1)?, key })
}

fn checked_name(name: &str) -> Result<String, AccountsError> {
    let name = name.trim();
    let is_name = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if is_name { Ok(name.to_owned()) } else { Err(AccountsError::KeyName) }
}

/// An answer as the browser sent it; none when it is not one.
fn read<T: DeserializeOwned>(answer: &str) -> Option<T> {
    if answer.len() > LONGEST_ANSWER { None } else { serde_json::from_str(answer).ok() }
}

fn written(asked: &impl Serialize) -> Result<String, AccountsError> {
    serde_json::to_string(asked).map_err(|_| AccountsError::Key)
}

/// By which keys tell users apart: for one user always the same, and nothing that says who it is.
fn handle(user: &User) -> Uuid {
    let (id, made) = (user.id.0.to_be_bytes(), user.made.as_millisecond().to_be_bytes());
    let digest = secret::digest(&[b"security key", &id, &made, user.name.as_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(bytes)
}

impl Accounts {
    /// The keys of a user, those added first at the top.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn security_keys(&self, of: UserId) -> Result<Vec<RegisteredKey>, AccountsError> {
        self.with(|connection| {
            let sql = "SELECT id, name, host, made_ms, used_ms FROM security_key WHERE user = ?1 ORDER BY id";
            let mut statement = connection.prepare_cached(sql)?;
            let key = |row: &Row<'_>| {
                Ok(RegisteredKey {
                    id: KeyId(row.get(0)?),
                    name: row.get(1)?,
                    host: row.get(2)?,
                    made: time(row.get(3)?),
                    last_used: row.get::<_, Option<i64>>(4)?.map(time),
                })
            };
            statement.query_map([of.0], key)?.collect()
        })
    }

    /// Whether a user has a key for a host.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn has_security_key(&self, of: UserId, host: &KeyHost) -> Result<bool, AccountsError> {
        self.with(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM security_key WHERE user = ?1 AND host = ?2)";
            connection.query_row(sql, params![of.0, host.name], |row| row.get(0))
        })
    }

    /// What a browser is to ask a new key of the session's user, as JSON. The answer is for
    /// [`add_security_key`](Self::add_security_key), within five minutes.
    ///
    /// # Errors
    ///
    /// When the session is not fresh, its user has no app with codes yet, or has ten keys.
    pub fn propose_security_key(&self, session: &Session, host: &KeyHost) -> Result<String, AccountsError> {
        let user = self.key_owner(session)?;
        if user.security_keys as usize >= MOST_KEYS {
            return Err(AccountsError::TooManyKeys);
        }
        let known = self.stored_keys(user.id, host)?;
        let known = known.iter().map(|stored| stored.key.cred_id().clone()).collect();
        let (mut asked, state) = host
            .webauthn(&self.title())?
            .start_securitykey_registration(
                handle(&user),
                &user.name,
                &user.full_name,
                Some(known),
                None,
                None,
            )
            .map_err(|_| AccountsError::Key)?;
        // Among them is that the key is never to answer without its PIN, and many keys of schools have none.
        asked.public_key.extensions = None;
        self.challenges.keep(session.id, host, Asked::Registration(state), self.now());
        written(&asked)
    }

    /// Adds a key under a name, by its answer to what was [proposed](Self::propose_security_key) in this session, and ends
    /// all other sessions of the user.
    ///
    /// # Errors
    ///
    /// When the session is not fresh, the answer is not to that question, or the key is there already; then nothing has
    /// changed, and has to be proposed anew.
    pub fn add_security_key(
        &self,
        session: &Session,
        host: &KeyHost,
        name: &str,
        answer: &str,
    ) -> Result<AccountChange, AccountsError> {
        let user = self.key_owner(session)?;
        let name = checked_name(name)?;
        let Some(Asked::Registration(state)) = self.challenges.take(session.id, host, self.now()) else {
            return Err(AccountsError::Key);
        };
        let answer: RegisterPublicKeyCredential = read(answer).ok_or(AccountsError::Key)?;
        let key = host
            .webauthn(&self.title())?
            .finish_securitykey_registration(&answer, &state)
            .map_err(|_| AccountsError::Key)?;
        let (text, now) = (written(&key)?, self.now().as_millisecond());
        self.write(|change| {
            // Whoever had the second factor taken away meanwhile is not given another one.
            let sql = "SELECT EXISTS (SELECT 1 FROM session WHERE id = ?1 AND user = ?2)";
            let is_there: bool = change.query_row(sql, params![session.id.0, user.id.0], |row| row.get(0))?;
            let user = user::find(change, user.id)?.filter(|user| is_there && user.has_second_factor);
            let user = user.ok_or(AccountsError::NoSession)?;
            if user.security_keys as usize >= MOST_KEYS {
                return Err(AccountsError::TooManyKeys.into());
            }
            let added = change.execute(
                "INSERT INTO security_key (user, host, name, credential, public_key, made_ms)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (credential) DO NOTHING",
                params![user.id.0, host.name, name, key.cred_id(), text, now],
            )?;
            if added == 0 {
                return Err(AccountsError::KeyTaken.into());
            }
            user::end_sessions(change, user.id, Some(session.id))?;
            let detail = format!("{}: “{name}” added, for {}", user.name, host.name);
            Ok(AccountChange::new(action::SECURITY_KEY, detail))
        })
    }

    /// Removes one of one's own keys, and ends all one's other sessions.
    ///
    /// # Errors
    ///
    /// When the session is not fresh, or its user has no such key.
    pub fn remove_security_key(&self, session: &Session, id: KeyId) -> Result<AccountChange, AccountsError> {
        let owner = session.user.ok_or(AccountsError::NoSession)?;
        if !session.is_fresh(self.now()) {
            return Err(AccountsError::NotFresh);
        }
        self.write(|change| {
            let sql = "DELETE FROM security_key WHERE id = ?1 AND user = ?2 RETURNING name";
            let name: Option<String> = change.query_row(sql, [id.0, owner.0], |row| row.get(0)).optional()?;
            let name = name.ok_or(AccountsError::NoKey)?;
            user::end_sessions(change, owner, Some(session.id))?;
            Ok(AccountChange::new(action::SECURITY_KEY, format!("{}: “{name}” removed", session.name)))
        })
    }

    /// What a browser is to ask a key of whoever is signing in, as JSON, for a token whose stage is
    /// [`Stage::SecondFactor`]. The answer is for [`second_factor_by_key`](Self::second_factor_by_key), within five minutes.
    ///
    /// # Errors
    ///
    /// When they have no key for this host, or it took too long.
    pub fn ask_security_key(&self, token: &str, host: &KeyHost) -> Result<String, SignInError> {
        let limited = self
            .limited(token)?
            .filter(|limited| limited.stage == Stage::SecondFactor)
            .ok_or(SignInError::Expired)?;
        let keys: Vec<SecurityKey> =
            self.stored_keys(limited.user.id, host)?.into_iter().map(|stored| stored.key).collect();
        if keys.is_empty() {
            return Err(SignInError::Key);
        }
        let (asked, state) = host
            .webauthn(&self.title())?
            .start_securitykey_authentication(&keys)
            .map_err(|_| SignInError::Key)?;
        self.challenges.keep(limited.id, host, Asked::SignIn(state), self.now());
        Ok(written(&asked)?)
    }

    /// Whether an answer is right for what was asked of somebody who is signing in; the question is used up, whatever the
    /// answer is.
    pub(super) fn prove_by_key(
        &self,
        limited: &Limited,
        host: &KeyHost,
        answer: &str,
    ) -> Result<Proof, SignInError> {
        let Some(Asked::SignIn(state)) = self.challenges.take(limited.id, host, self.now()) else {
            return Err(SignInError::Key);
        };
        let answer: PublicKeyCredential = read(answer).ok_or(SignInError::Key)?;
        let found = self.stored_keys(limited.user.id, host)?;
        let found = found.into_iter().find(|stored| *stored.key.cred_id() == answer.raw_id);
        let Stored { id, name, mut key } = found.ok_or(SignInError::Key)?;
        let result = match host.webauthn(&self.title())?.finish_securitykey_authentication(&answer, &state) {
            Ok(result) => result,
            Err(WebauthnError::CredentialPossibleCompromise) => return Err(SignInError::KeyCopied { name }),
            Err(_) => return Err(SignInError::Key),
        };
        key.update_credential(&result).ok_or(SignInError::Key)?;
        let (text, counter, now) = (written(&key)?, result.counter(), self.now().as_millisecond());
        let used = self.with(|connection| {
            // Of two answers with the same count, given to questions that were asked at once, one is right.
            connection.execute(
                "UPDATE security_key SET public_key = ?2, counter = ?3, used_ms = ?4
                    WHERE id = ?1 AND (counter < ?3 OR (counter = 0 AND ?3 = 0))",
                params![id.0, text, counter, now],
            )
        })?;
        if used == 0 { Err(SignInError::KeyCopied { name }) } else { Ok(Proof::Key { name }) }
    }

    /// Whose keys a session may add to.
    fn key_owner(&self, session: &Session) -> Result<User, AccountsError> {
        let id = session.user.ok_or(AccountsError::NoSession)?;
        if !session.is_fresh(self.now()) {
            return Err(AccountsError::NotFresh);
        }
        let user = self.user(id)?.ok_or(AccountsError::NoSession)?;
        if user.has_second_factor { Ok(user) } else { Err(AccountsError::NoApp) }
    }

    fn stored_keys(&self, of: UserId, host: &KeyHost) -> Result<Vec<Stored>, AccountsError> {
        self.with(|connection| {
            let sql =
                "SELECT id, name, public_key FROM security_key WHERE user = ?1 AND host = ?2 ORDER BY id";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map(params![of.0, host.name], stored)?.collect()
        })
    }
}

/// Removes all keys of a user.
pub(super) fn forget_all(change: &Connection, of: UserId) -> rusqlite::Result<usize> {
    change.execute("DELETE FROM security_key WHERE user = ?1", [of.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_bound_to_a_name_and_not_to_an_address() {
        for (authority, name) in [
            ("schoolgate.local", "schoolgate.local"),
            ("Schoolgate.Local:8443", "schoolgate.local"),
            ("localhost:443", "localhost"),
        ] {
            assert_eq!(KeyHost::new(authority).unwrap().name(), name);
        }
        for authority in [
            "",
            "10.20.0.2",
            "10.20.0.2:8080",
            "[::1]",
            "a@schoolgate.local",
            ":p@schoolgate.local",
            "schoolgate.local/x",
            "schoolgate.local?x",
            "schoolgate.local#x",
            "schoolgate.local:99999",
            "evil.example\\.schoolgate.local",
            "a b",
        ] {
            assert_eq!(KeyHost::new(authority), None, "{authority}");
        }
        assert_ne!(KeyHost::new("localhost:444"), KeyHost::new("localhost:443"));
    }
}
