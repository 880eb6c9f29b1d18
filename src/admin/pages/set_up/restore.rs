//! A new box that is to become another one: the code that it printed, a backup, and its passphrase.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use super::super::super::{
    Admin, backups,
    failure::Failure,
    form::Refusal,
    page::{Page, html, html_with, see},
    upkeep,
    visit::Visit,
};
use crate::{accounts::SignInError, control::ControlError};

/// Who restores, for the audit.
const WHO: &str = "the set-up";

#[derive(Template)]
#[template(path = "set_up_restore.html")]
struct Show {
    p: Page,
    refusal: Refusal,
    /// It is ready, and whether the box starts again by itself.
    ready: Option<bool>,
}

pub(super) async fn show(State(admin): State<Arc<Admin>>, visit: Visit) -> Result<Response, Failure> {
    if admin.is_claimed() {
        return Ok(see("/set-up", ""));
    }
    html(&Show { p: visit.page("set-up-restore-title", ""), refusal: Refusal::default(), ready: None })
}

pub(super) async fn put(visit: Visit, request: Request) -> Result<Response, Failure> {
    if visit.admin.is_claimed() {
        return Ok(see("/set-up", ""));
    }
    let again = |refusal: Refusal| {
        let status = refusal.status();
        html_with(status, &Show { p: visit.page("set-up-restore-title", ""), refusal, ready: None })
    };
    let came = match backups::Form::of(request) {
        // Nobody without the code has a file taken.
        Ok(form) => {
            form.file(&visit, |fields| {
                let code = fields.get("code").to_owned();
                let checking =
                    visit.aside(move |visit| visit.admin.accounts.check_setup_code(&code, visit.caller()));
                let words = Arc::clone(&visit.words);
                async move {
                    match checking.await? {
                        Ok(()) => Ok(()),
                        Err(SignInError::Code) => Err(Failure::input(words.get("set-up-wrong-code"))),
                        Err(error) => Err(Failure::input(error.to_string())),
                    }
                }
            })
            .await
        }
        Err(failure) => Err(failure),
    };
    let (fields, came) = match came {
        Ok(came) => came,
        Err(failure) if failure.is_input() => return again(Refusal::new(failure.detail)),
        Err(failure) => return Err(failure),
    };
    match backups::stage(&visit, &came.place.0, fields.whole("passphrase"), false, WHO).await {
        Ok(_) => {}
        Err(ControlError::Backup(error)) => {
            return again(Refusal::listing(visit.words.get("backup-not-done"), vec![error.to_string()]));
        }
        Err(error) => return Err(error.into()),
    }
    let starts_again = upkeep::is_supervised();
    if starts_again {
        upkeep::restart_soon(&visit);
    }
    let p = visit.page("set-up-restore-title", "");
    html_with(StatusCode::OK, &Show { p, refusal: Refusal::default(), ready: Some(starts_again) })
}
