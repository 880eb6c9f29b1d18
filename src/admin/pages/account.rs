//! One's own account: the password, the second factor, and where one is signed in.

use askama::Template;
use axum::{
    extract::{Form, Path},
    http::StatusCode,
    response::Response,
};
use data_encoding::BASE64;
use serde::Deserialize;

use super::{
    super::{
        access::Right,
        failure::Failure,
        page::{Page, html_with, see},
        routes::Routes,
        visit::Visit,
    },
    sign_in::said,
    users::{SessionLine, moment, sessions},
};
use crate::accounts::{AccountsError, SessionId, SignInError, User};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/account", Right::SignedIn, show)
        .post("/account/password", Right::SignedIn, password)
        .get("/account/second-factor", Right::SignedIn, second_factor)
        .post("/account/second-factor", Right::SignedIn, confirm)
        .post("/account/fresh", Right::SignedIn, fresh)
        .post("/account/recovery", Right::SignedIn, recovery)
        .post("/account/sessions", Right::SignedIn, end_others)
        .post("/account/sessions/{id}", Right::SignedIn, end)
}

#[derive(Template)]
#[template(path = "account.html")]
struct Show {
    p: Page,
    wrong: String,
    /// None for the sealed code, which is nobody's account.
    user: Option<User>,
    password_changed: String,
    codes_left: u32,
    sessions: Vec<SessionLine>,
    /// New recovery codes, shown this once.
    codes: Vec<String>,
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, StatusCode::OK, String::new(), Vec::new())
}

fn page(visit: &Visit, status: StatusCode, wrong: String, codes: Vec<String>) -> Result<Response, Failure> {
    let accounts = &visit.admin.accounts;
    let user = match visit.session()?.user {
        Some(id) => accounts.user(id).map_err(Failure::inside)?,
        None => None,
    };
    let (codes_left, sessions) = match &user {
        Some(user) => {
            (accounts.recovery_codes_left(user.id).map_err(Failure::inside)?, sessions(visit, user.id)?)
        }
        None => (0, Vec::new()),
    };
    let password_changed = user.as_ref().map(|user| moment(visit, user.password_changed)).unwrap_or_default();
    let p = visit.page("account-title", "/account");
    html_with(status, &Show { p, wrong, user, password_changed, codes_left, sessions, codes })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PasswordForm {
    current: String,
    password: String,
    again: String,
}

async fn password(visit: Visit, Form(form): Form<PasswordForm>) -> Result<Response, Failure> {
    if form.password != form.again {
        let wrong = visit.words.get("sign-in-not-the-same");
        return page(&visit, StatusCode::UNPROCESSABLE_ENTITY, wrong, Vec::new());
    }
    let session = visit.session()?.clone();
    let changed = visit.aside(move |visit| {
        visit.admin.accounts.change_password(&session, &form.current, &form.password, visit.caller())
    });
    match changed.await? {
        Ok(change) => {
            visit.audit(&visit.by(), &change);
            Ok(see("/account", "done-password"))
        }
        Err(error) => refused(&visit, error),
    }
}

/// The page again, with what was wrong.
fn refused(visit: &Visit, error: SignInError) -> Result<Response, Failure> {
    let (status, wrong) = said_of_password(visit, error)?;
    page(visit, status, wrong, Vec::new())
}

/// What a refusal says to somebody who is signed in, and with which status.
pub(super) fn said_of_password(visit: &Visit, error: SignInError) -> Result<(StatusCode, String), Failure> {
    match error {
        SignInError::Wrong => Ok((StatusCode::FORBIDDEN, visit.words.get("account-wrong"))),
        error => said(visit, error),
    }
}

#[derive(Template)]
#[template(path = "account_second_factor.html")]
struct SecondFactor {
    p: Page,
    wrong: String,
    /// The picture and the secret; none where the password has to be typed again first.
    proposal: Option<(String, String)>,
}

async fn second_factor(visit: Visit) -> Result<Response, Failure> {
    second_factor_page(&visit, StatusCode::OK, String::new())
}

fn second_factor_page(visit: &Visit, status: StatusCode, wrong: String) -> Result<Response, Failure> {
    let token = visit.token.clone().unwrap_or_default();
    let proposal = match visit.admin.accounts.propose_second_factor(&token) {
        Ok(proposal) => {
            Some((BASE64.encode(proposal.qr.expose().as_bytes()), proposal.secret.expose().to_owned()))
        }
        Err(AccountsError::NotFresh) => None,
        // The sealed code has no account.
        Err(AccountsError::NoSession) => return Ok(see("/account", "")),
        Err(error) => return Err(Failure::inside(error)),
    };
    let p = visit.page("account-factor-title", "/account");
    html_with(status, &SecondFactor { p, wrong, proposal })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CodeForm {
    code: String,
    password: String,
}

async fn confirm(visit: Visit, Form(form): Form<CodeForm>) -> Result<Response, Failure> {
    let token = visit.token.clone().unwrap_or_default();
    match visit.admin.accounts.confirm_second_factor(&token, &form.code) {
        Ok((codes, change)) => {
            visit.audit(&visit.by(), &change);
            let codes = codes.0.iter().map(|code| code.expose().to_owned()).collect();
            page(&visit, StatusCode::OK, String::new(), codes)
        }
        Err(error) if error.is_bad_input() => {
            second_factor_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
        }
        Err(error) => Err(Failure::inside(error)),
    }
}

/// Takes the password again, where a second factor is to be set up.
async fn fresh(visit: Visit, Form(form): Form<CodeForm>) -> Result<Response, Failure> {
    match proven(&visit, form.password).await? {
        Ok(()) => Ok(see("/account/second-factor", "")),
        Err(error) => {
            let (status, wrong) = said_of_password(&visit, error)?;
            second_factor_page(&visit, status, wrong)
        }
    }
}

/// Takes the password again, so that what is delicate may be done for a while.
pub(super) async fn proven(visit: &Visit, password: String) -> Result<Result<(), SignInError>, Failure> {
    let session = visit.session()?.clone();
    let proven = visit
        .aside(move |visit| visit.admin.accounts.reauthenticate(&session, &password, visit.caller()))
        .await?;
    Ok(proven.map(|_| ()))
}

async fn recovery(visit: Visit, Form(form): Form<CodeForm>) -> Result<Response, Failure> {
    if let Err(error) = proven(&visit, form.password).await? {
        return refused(&visit, error);
    }
    // As it is now, with the password typed a moment ago.
    let token = visit.token.clone().unwrap_or_default();
    let accounts = &visit.admin.accounts;
    let session = accounts.session(&token).map_err(Failure::inside)?.ok_or_else(Failure::sign_in_first)?;
    match accounts.new_recovery_codes(&session) {
        Ok((codes, change)) => {
            visit.audit(&visit.by(), &change);
            let codes = codes.0.iter().map(|code| code.expose().to_owned()).collect();
            page(&visit, StatusCode::OK, String::new(), codes)
        }
        Err(error) => refused(&visit, error.into()),
    }
}

async fn end_others(visit: Visit) -> Result<Response, Failure> {
    let session = visit.session()?;
    if let Some(user) = session.user {
        let ended = visit.admin.accounts.revoke_other_sessions(user, Some(session.id));
        if let Some(change) = ended.map_err(Failure::inside)? {
            visit.audit(&visit.by(), &change);
        }
    }
    Ok(see("/account", "done-sessions"))
}

async fn end(visit: Visit, Path(id): Path<i64>) -> Result<Response, Failure> {
    let session = visit.session()?;
    let own = match session.user {
        Some(user) => visit.admin.accounts.sessions(Some(user)).map_err(Failure::inside)?,
        None => Vec::new(),
    };
    if !own.iter().any(|own| own.id == SessionId(id)) {
        return Err(Failure::not_found());
    }
    let ended = visit.admin.accounts.revoke_session(SessionId(id)).map_err(Failure::inside)?;
    if let Some(change) = ended {
        visit.audit(&visit.by(), &change);
    }
    Ok(see("/account", "done-sessions"))
}
