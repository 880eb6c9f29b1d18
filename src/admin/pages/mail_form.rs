//! The form of the mail server, which System and the set-up both have.

use super::super::{
    failure::Failure,
    form::{Fields, Refusal},
    visit::Visit,
};
use crate::mail::{Encryption, NewSettings, Password, Settings};

/// What stands in the form. Templates call it `form`; the password is never in it.
#[derive(Debug, Default)]
pub(super) struct MailForm {
    pub(super) server: String,
    pub(super) port: String,
    encryption: String,
    pub(super) user: String,
    pub(super) from: String,
    pub(super) authority: String,
    /// A password is kept.
    pub(super) has_password: bool,
    /// Mail is set up.
    pub(super) is_set_up: bool,
    pub(super) refusal: Option<Refusal>,
}

impl MailForm {
    /// What is set up, or what is usual.
    pub(super) fn of(visit: &Visit) -> Self {
        let Some(settings) = visit.admin.control.mail() else {
            let (port, encryption) = (String::from("465"), Encryption::Tls.word().to_owned());
            return Self { port, encryption, ..Self::default() };
        };
        let Settings { server, port, encryption, user, password, from, authority } = (*settings).clone();
        Self {
            server,
            port: port.to_string(),
            encryption: encryption.word().to_owned(),
            user,
            from,
            authority,
            has_password: password.is_some(),
            is_set_up: true,
            refusal: None,
        }
    }

    /// What was typed, why it was refused, and never the password.
    fn refused(visit: &Visit, fields: &Fields, refusal: Refusal) -> Self {
        let kept = Self::of(visit);
        let field = |name: &str| fields.get(name).to_owned();
        Self {
            server: field("server"),
            port: field("port"),
            encryption: field("encryption"),
            user: field("user"),
            from: field("from"),
            authority: field("authority"),
            refusal: Some(refusal),
            ..kept
        }
    }

    /// Each encryption: its word, the keys of its title and of its hint, and whether it is chosen.
    pub(super) fn encryptions(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, &'static str, bool)> {
        Encryption::ALL.into_iter().map(|encryption| {
            let (title, hint) = match encryption {
                Encryption::Tls => ("mail-tls", "mail-tls-hint"),
                Encryption::StartTls => ("mail-starttls", "mail-starttls-hint"),
                Encryption::None => ("mail-none", "mail-none-hint"),
            };
            (encryption.word(), title, hint, self.encryption == encryption.word())
        })
    }

    /// Sets mail up by what was typed.
    ///
    /// # Errors
    ///
    /// The form to show again, within; a failure, when the box could not.
    pub(super) async fn put(visit: &Visit, fields: &Fields) -> Result<Result<(), Self>, Failure> {
        let wrong = |key: &str| {
            let refusal = Refusal::new(visit.words.get(key));
            Ok(Err(Self::refused(visit, fields, refusal)))
        };
        let Ok(port) = fields.get("port").parse::<u16>() else { return wrong("mail-port-wrong") };
        let Some(encryption) = Encryption::from_word(fields.get("encryption")) else {
            return wrong("mail-encryption-wrong");
        };
        let new = NewSettings {
            server: fields.get("server").to_owned(),
            port,
            encryption,
            user: fields.get("user").to_owned(),
            password: Some(Password::new(fields.whole("password"))),
            from: fields.get("from").to_owned(),
            authority: fields.get("authority").to_owned(),
        };
        match visit.admin.control.set_mail(new, &visit.by(), Some(visit.address())).await {
            Ok(()) => Ok(Ok(())),
            Err(error) => Ok(Err(Self::refused(visit, fields, Refusal::of(visit, error)?))),
        }
    }
}
