//! The way into a new box: the code that it printed, and its first user. Later, where the set-up stands.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Form, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    super::{
        super::{
            Admin,
            access::Right,
            failure::Failure,
            page::{Page, html, html_with, see},
            visit::{Identity, Visit},
        },
        sign_in::{said, with_session},
    },
    Step, path,
};
use crate::accounts::{NewUser, Role, SignInError, Stage};

#[derive(Template)]
#[template(path = "set_up_door.html")]
struct Door {
    p: Page,
    wrong: String,
    form: DoorForm,
}

/// Who sets the box up.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DoorForm {
    code: String,
    full_name: String,
    name: String,
    role: String,
    password: String,
    again: String,
}

pub(super) async fn show(State(admin): State<Arc<Admin>>, visit: Visit) -> Result<Response, Failure> {
    if !admin.is_claimed() {
        let p = visit.page("set-up-title", "");
        return html(&Door { p, wrong: String::new(), form: DoorForm::default() });
    }
    Ok(match &visit.identity {
        Identity::Unfinished(_) => see("/sign-in/next?to=/set-up", ""),
        Identity::Nobody => see("/sign-in?to=/set-up", ""),
        _ if visit.may(Right::ChangeSystem) => {
            see(&path(admin.school.file().next_step().unwrap_or(Step::Finish)), "")
        }
        _ => see("/", ""),
    })
}

pub(super) async fn claim(visit: Visit, Form(form): Form<DoorForm>) -> Result<Response, Failure> {
    if visit.admin.is_claimed() {
        return Ok(see("/set-up", ""));
    }
    let again = |status: StatusCode, wrong: String, form: DoorForm| {
        let form = DoorForm { password: String::new(), again: String::new(), ..form };
        html_with(status, &Door { p: visit.page("set-up-title", ""), wrong, form })
    };
    if form.password != form.again {
        let wrong = visit.words.get("sign-in-not-the-same");
        return again(StatusCode::UNPROCESSABLE_ENTITY, wrong, form);
    }
    let new = NewUser {
        name: form.name.clone(),
        full_name: form.full_name.clone(),
        role: if form.role == "head" { Role::Head } else { Role::Technician },
        ends: None,
    };
    let (code, password) = (form.code.clone(), form.password.clone());
    let made = visit.aside(move |visit| {
        let accounts = &visit.admin.accounts;
        let (_, change) = accounts.claim(&code, &new, &password, visit.caller())?;
        visit.audit(new.name.trim(), &change);
        accounts.sign_in(&new.name, &password, None, visit.caller())
    });
    match made.await? {
        Ok(signed_in) => {
            let first = path(Step::BreakGlass);
            visit.audit(form.name.trim(), &signed_in.change);
            let to = match signed_in.stage {
                Stage::Whole => first,
                _ => format!("/sign-in/next?to={first}"),
            };
            Ok(with_session(&visit, see(&to, ""), &signed_in.token))
        }
        Err(SignInError::Code) => {
            let wrong = visit.words.get("set-up-wrong-code");
            again(StatusCode::FORBIDDEN, wrong, form)
        }
        Err(error) => {
            let (status, wrong) = said(&visit, error)?;
            again(status, wrong, form)
        }
    }
}
