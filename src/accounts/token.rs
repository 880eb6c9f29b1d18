//! API tokens: what a program has in the place of a session.

use jiff::{Timestamp, civil::Date};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{
    AccountChange, Accounts, AccountsError, Role, Scope, Secret, UserId, change::action, secret,
    session::USED_MS, time, user,
};

/// What every token begins with, so that one is known where it should not lie.
const PREFIX: &str = "sgt_";

/// A token's number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct TokenId(pub i64);

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// What people call it: 1 to 60 characters.
    pub name: String,
    /// What it may do; at least one.
    pub scopes: Vec<Scope>,
    /// The last day (in UTC) on which it is good.
    pub ends: Option<Date>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ApiToken {
    /// The number, to revoke it by.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// Who made it.
    pub user: UserId,
    /// By what they sign in.
    pub user_name: String,
    /// What they may do now. The token can do no more.
    pub role: Role,
    /// What it may do: what it was made for, as far as the role goes now.
    pub scopes: Vec<Scope>,
    /// Since when there is this token.
    pub made: Timestamp,
    /// The last day on which it is good.
    pub ends: Option<Date>,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

impl ApiToken {
    /// Whether it may do something.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Reads the user's columns and what follows them: the token, and whether its maker may sign in.
fn read(row: &Row<'_>, today: Date) -> rusqlite::Result<(ApiToken, bool)> {
    let user = user::user(row)?;
    let words: String = row.get(14)?;
    let ends: Option<String> = row.get(16)?;
    let scopes = words.split(' ').filter_map(Scope::from_word);
    let ends = ends.map(|day| day.parse::<Date>());
    // A day that can't be read is over.
    let is_over = ends.as_ref().is_some_and(|day| day.as_ref().map_or(true, |day| *day < today));
    let token = ApiToken {
        id: TokenId(row.get(12)?),
        name: row.get(13)?,
        user: user.id,
        user_name: user.name.clone(),
        role: user.role,
        scopes: scopes.filter(|scope| user.role.scopes().contains(scope)).collect(),
        made: time(row.get(15)?),
        ends: ends.and_then(Result::ok),
        last_used: row.get::<_, Option<i64>>(17)?.map(time),
    };
    let is_good = user.is_active(today) && !is_over;
    Ok((token, is_good))
}

fn select(condition: &str) -> String {
    format!(
        "SELECT {}, token.id, token.name, token.scopes, token.made_ms, token.ends, token.used_ms
            FROM token JOIN user ON user.id = token.user WHERE {condition} ORDER BY token.id",
        user::COLUMNS
    )
}

impl Accounts {
    /// Makes a token. It is shown this once.
    ///
    /// # Errors
    ///
    /// When there is no such user, the name is none, or the user's role does not go so far.
    pub fn add_token(
        &self,
        of: UserId,
        new: &NewToken,
    ) -> Result<(TokenId, Secret, AccountChange), AccountsError> {
        let name = new.name.trim();
        if !(1..=60).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(AccountsError::TokenName);
        }
        let mut scopes = new.scopes.clone();
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(AccountsError::NoScopes);
        }
        let random = secret::token(&self.random)?;
        let token = Secret::new(format!("{PREFIX}{}", random.expose()));
        let words = scopes.iter().map(|scope| scope.word()).collect::<Vec<_>>().join(" ");
        let (now, today) = (self.now().as_millisecond(), self.today());
        let (id, change) = self.write(|change| {
            let user = user::find(change, of)?.filter(|user| user.is_active(today));
            let user = user.ok_or_else(|| AccountsError::NoUser(of.to_string()))?;
            if let Some(scope) = scopes.iter().find(|scope| !user.role.scopes().contains(scope)) {
                return Err(AccountsError::Scope { role: user.role, scope: *scope }.into());
            }
            let hash = secret::digest(&[token.expose().as_bytes()]);
            change.execute(
                "INSERT INTO token (hash, user, name, scopes, made_ms, ends) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![&hash[..], of.0, name, words, now, new.ends.map(|day| day.to_string())],
            )?;
            let until = new.ends.map_or_else(String::new, |day| format!(", until {day}"));
            let detail = format!("“{name}” of {}: {words}{until}", user.name);
            Ok((TokenId(change.last_insert_rowid()), AccountChange::new(action::TOKEN_ADD, detail)))
        })?;
        Ok((id, token, change))
    }

    /// The token of a text; none when there is none, its last day is over, or its maker may not sign in any more.
    ///
    /// That it was used is written down once a minute.
    ///
    /// # Errors
    ///
    /// When the database can't be read or written; then it is good for nothing.
    pub fn api_token(&self, text: &str) -> Result<Option<ApiToken>, AccountsError> {
        if !text.starts_with(PREFIX) {
            return Ok(None);
        }
        let hash = secret::digest(&[text.as_bytes()]);
        let today = self.today();
        let sql = select("token.hash = ?1");
        let found = self.with(|connection| {
            connection.prepare_cached(&sql)?.query_row([&hash[..]], |row| read(row, today)).optional()
        })?;
        let Some((mut token, true)) = found else { return Ok(None) };
        let now = self.now();
        let before = token.last_used.map_or(0, Timestamp::as_millisecond);
        if (now.as_millisecond() - before).abs() >= USED_MS {
            self.with(|connection| {
                let used = [token.id.0, now.as_millisecond()];
                connection.prepare_cached("UPDATE token SET used_ms = ?2 WHERE id = ?1")?.execute(used)
            })?;
            token.last_used = Some(now);
        }
        Ok(Some(token))
    }

    /// The tokens of one user, or of everybody, the oldest first; those that are over among them.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn tokens(&self, of: Option<UserId>) -> Result<Vec<ApiToken>, AccountsError> {
        let today = self.today();
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&select("?1 IS NULL OR token.user = ?1"))?;
            let rows = statement.query_map([of.map(|user| user.0)], |row| Ok(read(row, today)?.0))?;
            rows.collect()
        })
    }

    /// Takes a token away; none when there is none. Whether it is for the asker to take is the caller's to know.
    ///
    /// # Errors
    ///
    /// When the database can't be written.
    pub fn revoke_token(&self, id: TokenId) -> Result<Option<AccountChange>, AccountsError> {
        self.write(|change| {
            let revoked = change
                .query_row(
                    "DELETE FROM token WHERE id = ?1
                        RETURNING name, (SELECT name FROM user WHERE user.id = token.user)",
                    [id.0],
                    |row| Ok(format!("“{}” of {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
                )
                .optional()?;
            Ok(revoked.map(|detail| AccountChange::new(action::TOKEN_REVOKE, detail)))
        })
    }
}
