//! The step of the mail server, which can be left for later.

use askama::Template;
use axum::{extract::Form, http::StatusCode, response::Response};

use super::{
    super::super::{
        failure::Failure,
        form::{Fields, Refusal},
        page::{Page, html_with},
        visit::Visit,
    },
    Step, Wizard, around, went_on,
};
use crate::admin::pages::mail_form::MailForm;

#[derive(Template)]
#[template(path = "set_up_mail.html")]
struct MailPage {
    p: Page,
    w: Wizard,
    form: MailForm,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, MailForm::of(&visit))
}

fn page(visit: &Visit, form: MailForm) -> Result<Response, Failure> {
    let (p, w) = around(visit, Step::Mail, None, &Fields::default());
    let status = form.refusal.as_ref().map_or(StatusCode::OK, Refusal::status);
    html_with(status, &MailPage { p, w, form })
}

pub(super) async fn put(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    if fields.is_on("skip") {
        return went_on(&visit, Step::Mail);
    }
    match MailForm::put(&visit, &fields).await? {
        Ok(()) => went_on(&visit, Step::Mail),
        Err(form) => page(&visit, form),
    }
}
