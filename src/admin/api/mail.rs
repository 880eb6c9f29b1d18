//! Mail: through which server messages leave, a message to try it, and whether the safeguarding lead reads theirs.

use axum::http::Method;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Done, Json, Nothing, Told, call},
    doc::{Doc, Tag},
};
use crate::{
    admin::{
        access::Right,
        contact::{self, ContactError},
        failure::Failure,
        routes::Routes,
        visit::Visit,
    },
    mail::{Encryption, NewSettings, Password},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, change) = (Tag::System, Right::ChangeSystem);
    let show = Doc::new(tag, "Mail: the server, and whether the safeguarding lead's address is confirmed");
    let put = Doc::new(tag, "Set mail up")
        .details("Without a password the one that is kept stays, as long as server, port, encryption, user and authority do.")
        .example(json!({
            "server": "smtp.school.example", "port": 465, "encryption": "tls",
            "user": "filter", "password": "a password of the mail server", "from": "filter@school.example",
        }));
    let remove = Doc::new(tag, "Forget the mail server");
    let test = Doc::new(tag, "Send a message to see whether mail works")
        .details("Waits for the server, 20 seconds at most.")
        .example(json!({ "to": "office@school.example" }));
    let code = Doc::new(tag, "Send a code to the safeguarding lead's address")
        .details("Waits for the server, 20 seconds at most.");
    let confirm = Doc::new(tag, "Confirm the safeguarding lead's address by the code that was sent there")
        .example(json!({ "code": "042137" }));
    routes
        .api(Method::GET, "/api/v1/mail", Right::SeeSystem, show, call(mail))
        .api(Method::PUT, "/api/v1/mail", change, put, call(set))
        .api(Method::DELETE, "/api/v1/mail", change, remove, call(forget))
        .api(Method::POST, "/api/v1/mail/test", change, test, call(try_it))
        .api(Method::POST, "/api/v1/mail/contact", change, code, call(send_code))
        .api(Method::POST, "/api/v1/mail/contact/confirm", change, confirm, call(confirm_contact))
}

/// Mail, as it is set up.
#[derive(Debug, Serialize, JsonSchema)]
struct MailSettings {
    /// The server; none where mail is not set up.
    server: Option<MailServer>,
    /// The address of the designated safeguarding lead; empty where none is written down.
    contact: String,
    /// When that was confirmed; none where it was not.
    contact_confirmed: Option<Timestamp>,
}

/// Through which server messages leave.
#[derive(Debug, Serialize, JsonSchema)]
struct MailServer {
    /// Its name or address.
    server: String,
    /// Its port.
    port: u16,
    /// How the way there is kept from others.
    encryption: Encryption,
    /// Who the box signs in as; empty where the server asks nobody.
    user: String,
    /// Whether their password is kept. It is never told.
    has_password: bool,
    /// The address that messages come from.
    from: String,
    /// Certificates of an authority of the school's own, as PEM; empty where the public ones do.
    authority: String,
}

async fn mail(visit: Visit, _: Asked) -> Result<Told<MailSettings>, Failure> {
    Ok(Told(told(&visit)))
}

fn told(visit: &Visit) -> MailSettings {
    let school = visit.admin.school.file();
    let server = visit.admin.control.mail().map(|settings| MailServer {
        server: settings.server.clone(),
        port: settings.port,
        encryption: settings.encryption,
        user: settings.user.clone(),
        has_password: settings.password.is_some(),
        from: settings.from.clone(),
        authority: settings.authority.clone(),
    });
    let contact = school.people.safeguarding_lead.email.clone();
    MailSettings { server, contact, contact_confirmed: school.lead_confirmed() }
}

/// What mail is to be set up with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewMail {
    /// The server's name or address.
    server: String,
    /// Its port.
    port: u16,
    /// How the way there is kept from others; none at all only to a server in the school's own network.
    encryption: Encryption,
    /// Who the box signs in as; empty where the server asks nobody.
    #[serde(default)]
    user: String,
    /// Their password.
    #[serde(default)]
    password: Option<String>,
    /// The address that messages come from.
    from: String,
    /// Certificates of an authority of the school's own, as PEM.
    #[serde(default)]
    authority: String,
}

async fn set(visit: Visit, asked: Asked<(), Nothing, Json<NewMail>>) -> Result<Told<MailSettings>, Failure> {
    let Json(NewMail { server, port, encryption, user, password, from, authority }) = asked.body;
    let password = password.as_deref().map(Password::new);
    let new = NewSettings { server, port, encryption, user, password, from, authority };
    visit.admin.control.set_mail(new, &visit.by(), Some(visit.address())).await?;
    Ok(Told(told(&visit)))
}

async fn forget(visit: Visit, _: Asked) -> Result<Done, Failure> {
    visit.admin.control.remove_mail(&visit.by(), Some(visit.address())).await?;
    Ok(Done)
}

/// Whom to send a message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewTest {
    /// An e-mail address.
    to: String,
}

/// What became of a message.
#[derive(Debug, Serialize, JsonSchema)]
struct SentMessage {
    /// Whether the server has taken it.
    sent: bool,
    /// Why not; empty where it has.
    why: String,
}

impl SentMessage {
    fn of(outcome: Result<(), impl std::fmt::Display>) -> Told<Self> {
        let why = outcome.err().map(|error| error.to_string());
        Told(Self { sent: why.is_none(), why: why.unwrap_or_default() })
    }
}

async fn try_it(
    visit: Visit,
    asked: Asked<(), Nothing, Json<NewTest>>,
) -> Result<Told<SentMessage>, Failure> {
    let Json(NewTest { to }) = asked.body;
    Ok(SentMessage::of(contact::test(&visit, &to).await))
}

async fn send_code(visit: Visit, _: Asked) -> Result<Told<SentMessage>, Failure> {
    match contact::send_code(&visit).await {
        Err(ContactError::Inside) => Err(Failure::inside(ContactError::Inside)),
        outcome => Ok(SentMessage::of(outcome)),
    }
}

/// A code that was sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TypedCode {
    /// Six digits.
    code: String,
}

async fn confirm_contact(
    visit: Visit,
    asked: Asked<(), Nothing, Json<TypedCode>>,
) -> Result<Told<MailSettings>, Failure> {
    let Json(TypedCode { code }) = asked.body;
    contact::confirm(&visit, &code).map_err(|error| match error {
        ContactError::Inside => Failure::inside(error),
        error => Failure::input(error.to_string()),
    })?;
    Ok(Told(told(&visit)))
}
