//! Messages by e-mail: setting up through which server they leave, and sending one.

use std::{net::IpAddr, sync::Arc};

use super::{Control, ControlError, OwnLookup};
use crate::{
    background::BackgroundError,
    feeds::http::{Lookup, SystemLookup},
    mail::{Letter, MailError, NewSettings, SendError, Settings},
};

impl Control {
    /// Through which server messages leave; none where mail is not set up.
    #[must_use]
    pub fn mail(&self) -> Option<Arc<Settings>> {
        self.mail.settings()
    }

    /// Sets mail up; see [`Mail::set`](crate::mail::Mail::set) for when the password that is kept stays.
    ///
    /// # Errors
    ///
    /// When something is not right, or it can't be written down; then nothing has changed.
    pub async fn set_mail(
        &self,
        new: NewSettings,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<(), ControlError> {
        let before = self.mail();
        let mail = Arc::clone(&self.mail);
        beside(move || mail.set(new)).await?;
        let after = self.mail();
        if before != after {
            let said = after.map(|after| after.said()).unwrap_or_default();
            let is_other = before.and_then(|before| before.password.clone()) != self.password();
            let password = if is_other { ", another password" } else { "" };
            self.audit_from(by, "mail.set", &format!("{said}{password}"), from);
        }
        Ok(())
    }

    fn password(&self) -> Option<crate::mail::Password> {
        self.mail()?.password.clone()
    }

    /// Forgets the mail server.
    ///
    /// # Errors
    ///
    /// When that can't be written down; then nothing has changed.
    pub async fn remove_mail(&self, by: &str, from: Option<IpAddr>) -> Result<(), ControlError> {
        let before = self.mail();
        let mail = Arc::clone(&self.mail);
        beside(move || mail.remove().map_err(MailError::from)).await?;
        if let Some(before) = before {
            self.audit_from(by, "mail.remove", &before.said(), from);
        }
        Ok(())
    }

    /// Sends one message and waits until the server has taken it.
    ///
    /// # Errors
    ///
    /// Says what was wrong.
    pub async fn send(&self, letter: &Letter) -> Result<(), SendError> {
        let lookup: Arc<dyn Lookup> = match &self.resolver {
            Some(resolver) => Arc::new(OwnLookup(Arc::clone(resolver))),
            None => Arc::new(SystemLookup),
        };
        let look = |server: String| async move { lookup.lookup(&server).await };
        self.mail.send(letter, self.clock.now(), look).await
    }

    /// Sends a message to see whether mail works; the audit says to whom, and what came of it.
    ///
    /// # Errors
    ///
    /// Says what was wrong.
    pub async fn test_mail(&self, letter: &Letter, by: &str, from: Option<IpAddr>) -> Result<(), SendError> {
        let sent = self.send(letter).await;
        let outcome = match &sent {
            Ok(()) => String::from("sent"),
            Err(error) => format!("not sent: {error}"),
        };
        self.audit_from(by, "mail.test", &format!("to {}: {outcome}", letter.address()), from);
        sent
    }
}

/// Does what writes files, where it keeps nobody waiting.
async fn beside(work: impl FnOnce() -> Result<(), MailError> + Send + 'static) -> Result<(), ControlError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| BackgroundError::Panicked {
        name: String::from("mail"),
        message: error.to_string(),
    });
    Ok(done??)
}
