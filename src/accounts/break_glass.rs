//! The break-glass code: a way in for the head teacher, printed, sealed and put in a safe.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{
    AccountChange, Accounts, AccountsError, Caller, Secret, SignInError, Stage, change::action, secret,
    session::NewSession, time,
};

/// What is known of the break-glass code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct BreakGlass {
    /// When the code was made that opens the box; none when there is none.
    pub sealed: Option<Timestamp>,
    /// When one was last used.
    pub last_used: Option<Timestamp>,
    /// From where.
    pub last_used_from: Option<String>,
}

impl Accounts {
    /// Makes a break-glass code: 25 letters and digits in groups of five. It is shown this once, and the one of before
    /// is void.
    ///
    /// # Errors
    ///
    /// When the database can't be written; then the code of before is good still.
    pub fn seal_break_glass(&self) -> Result<(Secret, AccountChange), AccountsError> {
        let code = secret::code(&self.random, 5, 5)?;
        let hash = self.hasher.hash(&secret::plain(code.expose()))?;
        let now = self.now().as_millisecond();
        self.with(|connection| {
            connection.execute(
                "INSERT INTO break_glass (id, hash, made_ms) VALUES (1, ?1, ?2)
                    ON CONFLICT (id) DO UPDATE SET hash = ?1, made_ms = ?2",
                params![hash, now],
            )
        })?;
        Ok((code, AccountChange::new(action::BREAK_GLASS_SEAL, "a new code; the one of before is void")))
    }

    /// What is known of the break-glass code.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn break_glass(&self) -> Result<BreakGlass, AccountsError> {
        let found = self.with(|connection| {
            let sql = "SELECT hash IS NOT NULL, made_ms, used_ms, used_from FROM break_glass";
            let read = |row: &rusqlite::Row<'_>| {
                let is_sealed: bool = row.get(0)?;
                let made = time(row.get(1)?);
                Ok(BreakGlass {
                    sealed: is_sealed.then_some(made),
                    last_used: row.get::<_, Option<i64>>(2)?.map(time),
                    last_used_from: row.get(3)?,
                })
            };
            connection.query_row(sql, [], read).optional()
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Opens the box by the break-glass code: a head teacher's session for an hour. The code is void afterwards.
    ///
    /// # Errors
    ///
    /// When it is wrong or void, or there were too many guesses from this address.
    pub fn open_break_glass(
        &self,
        code: &str,
        from: Caller<'_>,
    ) -> Result<(Secret, AccountChange), SignInError> {
        let now = self.now();
        let guess = self
            .gate
            .admit(None, Timestamp::MIN, from.address, now)
            .map_err(|until| SignInError::Limited { until })?;
        let hash: Option<String> = self
            .with(|connection| {
                connection.query_row("SELECT hash FROM break_glass", [], |row| row.get(0)).optional()
            })?
            .flatten();
        if !self.hasher.is(&secret::plain(code), hash.as_deref()) {
            return Err(SignInError::Code);
        }
        let limits = self.settings().limits;
        let address = from.address.to_canonical().to_string();
        let token = self.write(|change| {
            let burned = change.execute(
                "UPDATE break_glass SET hash = NULL, used_ms = ?2, used_from = ?3 WHERE hash = ?1",
                params![hash, now.as_millisecond(), address],
            )?;
            if burned == 0 {
                return Ok(None);
            }
            let new = NewSession { user: None, stage: Stage::Whole, from, now, limits };
            new.insert(change, &self.random).map(Some)
        })?;
        let token = token.ok_or(SignInError::Code)?;
        self.gate.was_right(&guess);
        Ok((token, AccountChange::new(action::BREAK_GLASS_OPEN, format!("from {address}; the code is void"))))
    }
}
