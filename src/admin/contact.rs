//! Whether the safeguarding lead reads what is sent to them: a message with a code, and the code typed here.

use super::visit::Visit;
use crate::{
    mail::{Letter, SendError},
    school::{CODE_HOURS, CodeError, new_code},
};

/// Why no code was sent, or an address not confirmed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContactError {
    /// The lead has no address.
    #[error("No e-mail address of the designated safeguarding lead is written down.")]
    NoAddress,
    /// The message did not leave.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The code is not right.
    #[error("{}.", sentence(.0))]
    Code(#[from] CodeError),
    /// It can't be written down, or the system gives no random bytes.
    #[error("It can't be written down; the server's log says why.")]
    Inside,
}

fn sentence(error: &CodeError) -> String {
    let said = error.to_string();
    let mut letters = said.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

impl From<std::io::Error> for ContactError {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "What is known of the school can't be written down");
        Self::Inside
    }
}

/// What messages call the school.
fn school(visit: &Visit) -> String {
    let name = visit.admin.control.policy().load().file().school.clone();
    if name.is_empty() { visit.words.get("mail-school") } else { name }
}

/// Sends the safeguarding lead a code.
///
/// # Errors
///
/// When there is no address, or the message did not leave.
pub(super) async fn send_code(visit: &Visit) -> Result<(), ContactError> {
    let (admin, words) = (&visit.admin, &visit.words);
    let lead = admin.school.file().people.safeguarding_lead.clone();
    if lead.email.is_empty() {
        return Err(ContactError::NoAddress);
    }
    let code = new_code().ok_or(ContactError::Inside)?;
    let school = school(visit);
    let subject = words.with("mail-code-subject", [("school", school.as_str().into())]);
    let body = words.with(
        "mail-code-body",
        [
            ("school", school.as_str().into()),
            ("name", lead.name.as_str().into()),
            ("code", code.as_str().into()),
            ("hours", CODE_HOURS.into()),
        ],
    );
    let letter = Letter::new(&lead.name, &lead.email, &subject, &body)
        .map_err(|_| SendError::Address(lead.email.clone()))?
        .from_name(&school);
    let sent = admin.control.send(&letter).await;
    let outcome = sent.as_ref().map_or_else(|error| format!("not sent: {error}"), |()| String::from("sent"));
    let said = format!("to {}: {outcome}", lead.email);
    admin.control.audit_from(&visit.by(), "school.contact-code", &said, Some(visit.address()));
    sent?;
    let now = admin.clock.now();
    admin.school.change(|file| file.code_sent(&lead.email, &code, now))?;
    Ok(())
}

/// Confirms the safeguarding lead's address by the code that was sent there.
///
/// # Errors
///
/// When it is another code, or not good any more.
pub(super) fn confirm(visit: &Visit, typed: &str) -> Result<(), ContactError> {
    let admin = &visit.admin;
    let now = admin.clock.now();
    let mut outcome = Ok(());
    let mut email = String::new();
    admin.school.change(|file| {
        outcome = file.confirm_lead(typed, now);
        email.clone_from(&file.people.safeguarding_lead.email);
    })?;
    let action = if outcome.is_ok() { "school.contact-confirm" } else { "school.contact-refuse" };
    admin.control.audit_from(&visit.by(), action, &email, Some(visit.address()));
    Ok(outcome?)
}

/// Sends a message to see whether mail works.
///
/// # Errors
///
/// Says what was wrong.
pub(super) async fn test(visit: &Visit, to: &str) -> Result<(), SendError> {
    let (school, words) = (school(visit), &visit.words);
    let subject = words.with("mail-test-subject", [("school", school.as_str().into())]);
    let body = words.with("mail-test-body", [("school", school.as_str().into()), ("who", visit.by().into())]);
    let letter = Letter::new("", to, &subject, &body)
        .map_err(|_| SendError::Address(to.chars().filter(|c| !c.is_control()).take(60).collect()))?
        .from_name(&school);
    visit.admin.control.test_mail(&letter, &visit.by(), Some(visit.address())).await
}
