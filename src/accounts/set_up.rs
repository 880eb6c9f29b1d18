//! A new box: a code on its console and in its log keeps the first stranger on the network from claiming it.

use rusqlite::Connection;

use super::{
    AccountChange, Accounts, AccountsError, Caller, NewUser, Secret, SignInError, UserId, change::action,
    secret,
};

fn has_user(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM user)", [], |row| row.get(0))
}

impl Accounts {
    /// The code that sets this box up; none once there is a user. It is made anew at each start.
    ///
    /// # Errors
    ///
    /// When the database can't be read; then the box can't be set up.
    pub fn setup_code(&self) -> Result<Option<Secret>, AccountsError> {
        let is_over = self.with(has_user)?;
        Ok((!is_over).then(|| self.set_up.clone()))
    }

    /// Whether it is the code that sets this box up, in whatever capitals, with or without its hyphen.
    ///
    /// # Errors
    ///
    /// When it is wrong, there were too many guesses, or the box has been set up.
    pub fn check_setup_code(&self, code: &str, from: Caller<'_>) -> Result<(), SignInError> {
        let wanted = self.setup_code()?.ok_or(AccountsError::SetUp)?;
        let guess = self
            .gate
            .admit_set_up(from.address, self.now())
            .map_err(|until| SignInError::Limited { until })?;
        // Digests are compared, so that how far two codes agree can't be told by the time it takes.
        let digest = |code: &str| secret::digest(&[secret::plain(code).as_bytes()]);
        if digest(code) != digest(wanted.expose()) {
            return Err(SignInError::Code);
        }
        self.gate.was_right(&guess);
        Ok(())
    }

    /// Makes the first user, who can make the others. Only one claim ever works.
    ///
    /// # Errors
    ///
    /// When the code is wrong, there were too many guesses, the box has been set up, the user could not make others, or
    /// the name or the password is not good enough; then nothing has changed.
    pub fn claim(
        &self,
        code: &str,
        new: &NewUser,
        password: &str,
        from: Caller<'_>,
    ) -> Result<(UserId, AccountChange), SignInError> {
        self.check_setup_code(code, from)?;
        if !new.role.manages_users() || new.ends.is_some() {
            return Err(AccountsError::FirstUser.into());
        }
        let ready = self.ready(new, password)?;
        let id = self.write(|change| {
            if has_user(change)? {
                return Err(AccountsError::SetUp.into());
            }
            self.insert(change, &ready, false)
        })?;
        let detail = format!("{ready}, from {}", from.address.to_canonical());
        Ok((id, AccountChange::new(action::SET_UP, detail)))
    }
}
