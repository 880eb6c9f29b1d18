//! Mail: through which server messages leave, and a message to try it.

use askama::Template;
use axum::{extract::Form, http::StatusCode, response::Response};

use super::super::{
    super::{
        access::Right,
        contact,
        failure::Failure,
        form::{Fields, Refusal},
        page::{Page, html_with, see},
        visit::Visit,
    },
    mail_form::MailForm,
};

#[derive(Template)]
#[template(path = "mail.html")]
struct Show {
    p: Page,
    may_change: bool,
    form: MailForm,
    /// To whom a message was to be sent, and why it did not leave.
    to: String,
    test: Option<Refusal>,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Failure> {
    let to = visit.admin.school.file().people.safeguarding_lead.email.clone();
    page(&visit, MailForm::of(&visit), to, None)
}

fn page(visit: &Visit, form: MailForm, to: String, test: Option<Refusal>) -> Result<Response, Failure> {
    let refusal = form.refusal.as_ref().or(test.as_ref());
    let status = refusal.map_or(StatusCode::OK, Refusal::status);
    let p = visit.page("mail-title", "/system");
    html_with(status, &Show { p, may_change: visit.may(Right::ChangeSystem), form, to, test })
}

pub(super) async fn put(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    match MailForm::put(&visit, &Fields(fields)).await? {
        Ok(()) => Ok(see("/system/mail", "done-mail")),
        Err(form) => page(&visit, form, String::new(), None),
    }
}

pub(super) async fn remove(visit: Visit) -> Result<Response, Failure> {
    visit.admin.control.remove_mail(&visit.by(), Some(visit.address())).await?;
    Ok(see("/system/mail", "done-mail-removed"))
}

pub(super) async fn test(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let to = Fields(fields).get("to").to_owned();
    match contact::test(&visit, &to).await {
        Ok(()) => Ok(see("/system/mail#test", "done-mail-sent")),
        Err(error) => page(&visit, MailForm::of(&visit), to, Some(Refusal::new(error.to_string()))),
    }
}
