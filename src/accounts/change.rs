//! What the audit says of a change of accounts.

/// What was done, for the audit; it never has a secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the audit has to say it"]
pub struct AccountChange {
    /// In a word: `user.add`.
    pub action: &'static str,
    /// To whom, and what changed, in plain words.
    pub detail: String,
}

/// Each word that [`AccountChange::action`] may be.
pub(super) mod action {
    pub(in crate::accounts) const USER_ADD: &str = "user.add";
    pub(in crate::accounts) const USER_CHANGE: &str = "user.change";
    pub(in crate::accounts) const USER_REMOVE: &str = "user.remove";
    pub(in crate::accounts) const USER_PASSWORD: &str = "user.password";
    pub(in crate::accounts) const USER_PASSWORD_RESET: &str = "user.password.reset";
    pub(in crate::accounts) const SECOND_FACTOR: &str = "user.second-factor";
    pub(in crate::accounts) const SECURITY_KEY: &str = "user.security-key";
    pub(in crate::accounts) const RECOVERY_CODES: &str = "user.recovery-codes";
    pub(in crate::accounts) const SIGN_IN: &str = "sign-in";
    pub(in crate::accounts) const SIGN_OUT: &str = "sign-out";
    pub(in crate::accounts) const SESSION_REVOKE: &str = "session.revoke";
    pub(in crate::accounts) const TOKEN_ADD: &str = "token.add";
    pub(in crate::accounts) const TOKEN_REVOKE: &str = "token.revoke";
    pub(in crate::accounts) const BREAK_GLASS_SEAL: &str = "break-glass.seal";
    pub(in crate::accounts) const BREAK_GLASS_OPEN: &str = "break-glass.open";
    pub(in crate::accounts) const SET_UP: &str = "set-up";
    pub(in crate::accounts) const REVIEW: &str = "access.review";

    pub(in crate::accounts) const ALL: [&str; 17] = [
        USER_ADD,
        USER_CHANGE,
        USER_REMOVE,
        USER_PASSWORD,
        USER_PASSWORD_RESET,
        SECOND_FACTOR,
        SECURITY_KEY,
        RECOVERY_CODES,
        SIGN_IN,
        SIGN_OUT,
        SESSION_REVOKE,
        TOKEN_ADD,
        TOKEN_REVOKE,
        BREAK_GLASS_SEAL,
        BREAK_GLASS_OPEN,
        SET_UP,
        REVIEW,
    ];
}

impl AccountChange {
    pub(super) fn new(action: &'static str, detail: impl Into<String>) -> Self {
        Self { action, detail: detail.into() }
    }

    /// The change that another process speaks of; none when there is no such action.
    #[must_use]
    pub fn said(action: &str, detail: String) -> Option<Self> {
        let action = action::ALL.into_iter().find(|known| *known == action)?;
        Some(Self { action, detail })
    }
}
