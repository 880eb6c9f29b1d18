//! Second factors: a code that a phone makes anew every 30 seconds (RFC 6238), and recovery codes for when it is lost.

use qrcode::{QrCode, render::svg};
use rusqlite::{Connection, OptionalExtension, params};
use totp_rs::{Builder, Totp};

use super::{
    AccountChange, Accounts, AccountsError, Secret, Session, SessionId, Stage, User, UserId, change::action,
    error::Stop, secret, security_key, user,
};

/// How many recovery codes a user gets.
const RECOVERY_CODES: usize = 10;

/// A second factor to be taken up by a phone.
#[derive(Debug)]
pub struct Proposal {
    /// The secret, to be typed where nothing can be photographed: base32, in groups of four.
    pub secret: Secret,
    /// The same as `otpauth://…`.
    pub uri: Secret,
    /// The same to be photographed: one `<svg>` element, black on white.
    pub qr: Secret,
}

/// Ten codes, each good once in the place of the second factor. They can't be shown again.
#[derive(Debug)]
pub struct RecoveryCodes(pub Vec<Secret>);

/// How somebody showed that they have the second factor.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    Code,
    Key {
        name: String,
    },
    Recovery {
        left: u32,
    },
    /// In a step before.
    Before,
}

/// What computes codes: SHA-1, six digits, 30 seconds, one step of leeway each way, which is what every app can do.
fn totp(key: &[u8], account: &str, issuer: &str) -> Result<Totp, AccountsError> {
    let issuer: String = issuer.chars().filter(|c| *c != ':').collect();
    // The key has 20 bytes and neither name a colon, unless the key was damaged.
    Builder::new()
        .with_secret(key)
        .with_account_name(account)
        .with_issuer(Some(issuer))
        .build()
        .map_err(|_| AccountsError::Vault)
}

impl Accounts {
    fn seal(&self, what: &str, id: i64, key: &[u8]) -> Result<Vec<u8>, AccountsError> {
        let vault = self.vault.as_ref().ok_or(AccountsError::Vault)?;
        let sealed = vault.seal_text(&["accounts", what, &id.to_string()], key);
        if sealed.is_empty() { Err(AccountsError::Random) } else { Ok(sealed) }
    }

    fn unseal(
        &self,
        what: &str,
        id: i64,
        sealed: &[u8],
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, AccountsError> {
        let vault = self.vault.as_ref().ok_or(AccountsError::Vault)?;
        let key = vault.open_text(&["accounts", what, &id.to_string()], sealed);
        key.map(zeroize::Zeroizing::new).map_err(|_| AccountsError::Vault)
    }

    /// Makes a second factor that the session's user may set up. It counts once [a code of
    /// it](Self::confirm_second_factor) was seen; until then, the one of before does.
    ///
    /// The token is one whose stage is [`Stage::SecondFactorSetUp`], or of a session that is fresh.
    ///
    /// # Errors
    ///
    /// When it is neither, or the box has no vault.
    pub fn propose_second_factor(&self, token: &str) -> Result<Proposal, AccountsError> {
        let (session, user) = self.enrolling(token)?;
        let key = secret::bytes::<20>(&self.random)?;
        let totp = totp(&*key, &user.name, &self.title())?;
        let uri = totp.to_url().map_err(|_| AccountsError::Vault)?;
        // It has far fewer than the 2,953 bytes that a code can have.
        let qr = QrCode::new(uri.as_bytes()).map_err(|_| AccountsError::Vault)?;
        let qr = qr.render::<svg::Color<'_>>().min_dimensions(220, 220).build();
        let qr = qr.find("<svg").map_or("", |start| &qr[start..]).to_owned();
        let sealed = self.seal("proposed", session.0, &*key)?;
        let kept = self.with(|connection| {
            connection.execute("UPDATE session SET proposed = ?2 WHERE id = ?1", params![session.0, sealed])
        })?;
        if kept == 0 {
            return Err(AccountsError::NoSession);
        }
        let letters = data_encoding::BASE32_NOPAD.encode(&*key);
        let groups: Vec<&str> = (0..letters.len()).step_by(4).map(|at| &letters[at..at + 4]).collect();
        Ok(Proposal { secret: Secret::new(groups.join(" ")), uri: Secret::new(uri), qr: Secret::new(qr) })
    }

    /// Puts the second factor in force that was proposed in this session, and ends all other sessions of the user. For a
    /// token that is not whole, the next step is [`proceed`](Self::proceed).
    ///
    /// # Errors
    ///
    /// When the code is wrong or nothing was proposed; then what was in force is so still.
    pub fn confirm_second_factor(
        &self,
        token: &str,
        code: &str,
    ) -> Result<(RecoveryCodes, AccountChange), AccountsError> {
        let (session, user) = self.enrolling(token)?;
        let proposed = self.with(|connection| {
            let sql = "SELECT proposed FROM session WHERE id = ?1";
            connection.query_row(sql, [session.0], |row| row.get::<_, Option<Vec<u8>>>(0)).optional()
        })?;
        let proposed = proposed.flatten().ok_or(AccountsError::NothingProposed)?;
        let key = self.unseal("proposed", session.0, &proposed)?;
        let step = self.matching(&key, code)?.ok_or(AccountsError::Code)?;
        let sealed = self.seal("second factor", user.id.0, &key)?;
        let codes = self.make_recovery_codes()?;
        self.write(|change| {
            let taken = change.execute(
                "UPDATE session SET proposed = NULL WHERE id = ?1 AND proposed = ?2",
                params![session.0, proposed],
            )?;
            if taken == 0 {
                return Err(AccountsError::NothingProposed.into());
            }
            change.execute(
                "UPDATE user SET totp = ?2, totp_step = ?3 WHERE id = ?1",
                params![user.id.0, sealed, step],
            )?;
            keep_recovery_codes(change, user.id, &codes)?;
            user::end_sessions(change, user.id, Some(session))?;
            Ok(())
        })?;
        Ok((codes, AccountChange::new(action::SECOND_FACTOR, format!("{}: set up", user.name))))
    }

    /// Who may set up a second factor by a token.
    fn enrolling(&self, token: &str) -> Result<(SessionId, User), AccountsError> {
        if let Some(limited) = self.limited(token)? {
            return match limited.stage {
                Stage::SecondFactorSetUp => Ok((limited.id, limited.user)),
                _ => Err(AccountsError::NoSession),
            };
        }
        let session = self.session(token)?.ok_or(AccountsError::NoSession)?;
        let id = session.user.ok_or(AccountsError::NoSession)?;
        if !session.is_fresh(self.now()) {
            return Err(AccountsError::NotFresh);
        }
        let user = self.user(id)?.ok_or(AccountsError::NoSession)?;
        Ok((session.id, user))
    }

    /// Makes ten new recovery codes; those of before are void.
    ///
    /// # Errors
    ///
    /// When the session is not fresh, or its user has no second factor.
    pub fn new_recovery_codes(
        &self,
        session: &Session,
    ) -> Result<(RecoveryCodes, AccountChange), AccountsError> {
        let id = session.user.ok_or(AccountsError::NoSession)?;
        if !session.is_fresh(self.now()) {
            return Err(AccountsError::NotFresh);
        }
        let codes = self.make_recovery_codes()?;
        self.write(|change| {
            let user = user::find(change, id)?.filter(|user| user.has_second_factor);
            if user.is_none() {
                return Err(AccountsError::NothingProposed.into());
            }
            keep_recovery_codes(change, id, &codes)
        })?;
        let detail = format!("{}: {RECOVERY_CODES} new ones", session.name);
        Ok((codes, AccountChange::new(action::RECOVERY_CODES, detail)))
    }

    /// How many recovery codes a user has left.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn recovery_codes_left(&self, id: UserId) -> Result<u32, AccountsError> {
        self.with(|connection| left(connection, id))
    }

    /// Forgets the second factor of somebody who lost it, with their recovery codes and security keys, and ends their sessions. Where the
    /// role needs one, the next sign-in has it set up.
    ///
    /// # Errors
    ///
    /// When there is no such user.
    pub fn forget_second_factor(&self, id: UserId) -> Result<AccountChange, AccountsError> {
        self.write(|change| {
            let user = user::find(change, id)?.ok_or_else(|| AccountsError::NoUser(id.to_string()))?;
            change.execute("UPDATE user SET totp = NULL, totp_step = NULL WHERE id = ?1", [id.0])?;
            change.execute("DELETE FROM recovery WHERE user = ?1", [id.0])?;
            security_key::forget_all(change, id)?;
            user::end_sessions(change, id, None)?;
            Ok(AccountChange::new(action::SECOND_FACTOR, format!("{}: forgotten", user.name)))
        })
    }

    /// Whether a code is right for a user; it is used up then. None when it is wrong.
    pub(super) fn prove(&self, id: UserId, code: &str) -> Result<Option<Proof>, AccountsError> {
        let code = secret::plain(code);
        if code.len() != 6 {
            return self.use_recovery_code(id, &code);
        }
        let sealed = self.with(|connection| {
            let sql = "SELECT totp FROM user WHERE id = ?1";
            connection.query_row(sql, [id.0], |row| row.get::<_, Option<Vec<u8>>>(0)).optional()
        })?;
        let Some(sealed) = sealed.flatten() else { return Ok(None) };
        let key = self.unseal("second factor", id.0, &sealed)?;
        let Some(step) = self.matching(&key, &code)? else { return Ok(None) };
        // Of two who have the same code, one gets in.
        let used = self.with(|connection| {
            connection.execute(
                "UPDATE user SET totp_step = ?2
                    WHERE id = ?1 AND totp = ?3 AND (totp_step IS NULL OR totp_step < ?2)",
                params![id.0, step, sealed],
            )
        })?;
        Ok((used == 1).then_some(Proof::Code))
    }

    /// The step of which it is the code; none when it is of none that counts now.
    fn matching(&self, key: &[u8], code: &str) -> Result<Option<i64>, AccountsError> {
        let seconds = u64::try_from(self.now().as_second()).unwrap_or(0);
        let step = totp(key, "", "Schoolgate")?.check(&secret::plain(code), seconds);
        Ok(step.and_then(|step| i64::try_from(step).ok()))
    }

    fn use_recovery_code(&self, id: UserId, code: &str) -> Result<Option<Proof>, AccountsError> {
        let hash = recovery_hash(id, code);
        self.write(|change| {
            let used = change
                .execute("DELETE FROM recovery WHERE user = ?1 AND hash = ?2", params![id.0, &hash[..]])?;
            if used == 0 {
                return Ok(None);
            }
            Ok(Some(Proof::Recovery { left: left(change, id)? }))
        })
    }

    /// 16 letters each, some 79 bits: too many to be found from the digest.
    fn make_recovery_codes(&self) -> Result<RecoveryCodes, AccountsError> {
        let codes =
            (0..RECOVERY_CODES).map(|_| secret::code(&self.random, 4, 4)).collect::<Result<_, _>>()?;
        Ok(RecoveryCodes(codes))
    }
}

fn left(connection: &Connection, id: UserId) -> rusqlite::Result<u32> {
    connection.query_row("SELECT count(*) FROM recovery WHERE user = ?1", [id.0], |row| row.get(0))
}

fn recovery_hash(id: UserId, code: &str) -> [u8; 32] {
    secret::digest(&[b"recovery", &id.0.to_be_bytes(), secret::plain(code).as_bytes()])
}

/// Puts codes in the place of those of before.
fn keep_recovery_codes(change: &Connection, id: UserId, codes: &RecoveryCodes) -> Result<(), Stop> {
    change.execute("DELETE FROM recovery WHERE user = ?1", [id.0])?;
    for code in &codes.0 {
        let hash = recovery_hash(id, code.expose());
        change.execute("INSERT INTO recovery (user, hash) VALUES (?1, ?2)", params![id.0, &hash[..]])?;
    }
    Ok(())
}
