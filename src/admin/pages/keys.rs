//! Security keys: one's own, and signing in with one.
//!
//! The browser's part is in `web-admin/static/keys.js`: it asks what the key is to sign, and sends the answer as a form.

#[cfg(test)]
mod tests;

use askama::Template;
use axum::{
    extract::{Form, Path},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        access::Right,
        failure::Failure,
        page::{Page, html_with, see},
        routes::Routes,
        visit::{Identity, Visit},
    },
    account, sign_in,
    users::moment,
};
use crate::accounts::{AccountsError, KeyHost, KeyId, MOST_KEYS, RegisteredKey, SignInError};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/account/keys", Right::SignedIn, show)
        .post("/account/keys", Right::SignedIn, add)
        .post("/account/keys/challenge", Right::SignedIn, propose)
        .post("/account/keys/fresh", Right::SignedIn, fresh)
        .post("/account/keys/{id}/remove", Right::SignedIn, remove)
        .post("/sign-in/key", Right::Open, sign_in_by_key)
        .post("/sign-in/key/challenge", Right::Open, ask)
}

#[derive(Template)]
#[template(path = "account_keys.html")]
struct Show {
    p: Page,
    wrong: String,
    keys: Vec<Line>,
    state: State,
}

/// A key as the page shows it.
struct Line {
    id: KeyId,
    name: String,
    host: String,
    made: String,
    last_used: String,
}

/// What can be done about keys here and now.
enum State {
    /// Nothing, before there is an app with codes.
    NoApp,
    /// Nothing, before the password was typed again.
    Stale,
    /// Keys can be removed, and added where the box is opened by its name: at this address, where there is one.
    Elsewhere { address: String },
    /// Keys can be removed; there are as many as there may be.
    Full,
    /// Keys can be added.
    Here,
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, StatusCode::OK, String::new()).await
}

async fn page(visit: &Visit, status: StatusCode, wrong: String) -> Result<Response, Failure> {
    // The sealed code has no account.
    let Some(id) = visit.session()?.user else { return Ok(see("/account", "")) };
    let (user, keys) = visit
        .aside(move |visit| {
            let accounts = &visit.admin.accounts;
            Ok::<_, AccountsError>((accounts.user(id)?, accounts.security_keys(id)?))
        })
        .await??;
    let state = if user.is_none_or(|user| !user.has_second_factor) {
        State::NoApp
    } else if !visit.session()?.is_fresh(visit.admin.clock.now()) {
        State::Stale
    } else if keys.len() >= MOST_KEYS {
        State::Full
    } else if visit.key_host().is_some() {
        State::Here
    } else {
        State::Elsewhere { address: visit.address_by_name("/account/keys").unwrap_or_default() }
    };
    let line = |key: RegisteredKey| Line {
        id: key.id,
        made: moment(visit, key.made),
        last_used: key.last_used.map(|at| moment(visit, at)).unwrap_or_default(),
        name: key.name,
        host: key.host,
    };
    let keys = keys.into_iter().map(line).collect();
    html_with(status, &Show { p: visit.page("keys-title", "/account"), wrong, keys, state })
}

/// The page again, with what was wrong.
async fn refused(visit: &Visit, error: AccountsError) -> Result<Response, Failure> {
    let wrong = match error {
        AccountsError::Key => visit.words.get("keys-failed"),
        // The page asks for the password by itself.
        AccountsError::NotFresh => String::new(),
        error if error.is_bad_input() => error.to_string(),
        error => return Err(Failure::inside(error)),
    };
    page(visit, StatusCode::UNPROCESSABLE_ENTITY, wrong).await
}

/// Where the page was opened, as keys see it.
fn here(visit: &Visit) -> Result<KeyHost, Failure> {
    visit.key_host().ok_or_else(|| Failure::new("failure-key-host", StatusCode::UNPROCESSABLE_ENTITY))
}

/// What a browser is to ask a key.
fn asked(json: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

async fn propose(visit: Visit) -> Result<Response, Failure> {
    let (session, host) = (visit.session()?.clone(), here(&visit)?);
    let proposed = visit.aside(move |visit| visit.admin.accounts.propose_security_key(&session, &host));
    Ok(asked(proposed.await??))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AddForm {
    name: String,
    /// What the key answered.
    answer: String,
}

async fn add(visit: Visit, Form(form): Form<AddForm>) -> Result<Response, Failure> {
    let (session, host) = (visit.session()?.clone(), here(&visit)?);
    let added = visit
        .aside(move |visit| visit.admin.accounts.add_security_key(&session, &host, &form.name, &form.answer));
    match added.await? {
        Ok(change) => {
            visit.audit(&visit.by(), &change);
            Ok(see("/account/keys", "done-key-added"))
        }
        Err(error) => refused(&visit, error).await,
    }
}

async fn remove(visit: Visit, Path(id): Path<i64>) -> Result<Response, Failure> {
    let session = visit.session()?.clone();
    let removed =
        visit.aside(move |visit| visit.admin.accounts.remove_security_key(&session, KeyId(id))).await?;
    match removed {
        Ok(change) => {
            visit.audit(&visit.by(), &change);
            Ok(see("/account/keys", "done-key-removed"))
        }
        Err(AccountsError::NoKey) => Err(Failure::not_found()),
        Err(error) => refused(&visit, error).await,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FreshForm {
    password: String,
}

/// Takes the password again, before keys are added or removed.
async fn fresh(visit: Visit, Form(form): Form<FreshForm>) -> Result<Response, Failure> {
    match account::proven(&visit, form.password).await? {
        Ok(()) => Ok(see("/account/keys", "")),
        Err(error) => {
            let (status, wrong) = account::said_of_password(&visit, error)?;
            page(&visit, status, wrong).await
        }
    }
}

async fn ask(visit: Visit) -> Result<Response, Failure> {
    let (token, host) = (visit.token.clone().unwrap_or_default(), here(&visit)?);
    match visit.aside(move |visit| visit.admin.accounts.ask_security_key(&token, &host)).await? {
        Ok(json) => Ok(asked(json)),
        Err(SignInError::Accounts(error)) => Err(error.into()),
        Err(_) => Err(Failure::sign_in_first()),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SignInForm {
    answer: String,
    to: String,
}

async fn sign_in_by_key(visit: Visit, Form(form): Form<SignInForm>) -> Result<Response, Failure> {
    let (token, host) = (visit.token.clone().unwrap_or_default(), here(&visit)?);
    let SignInForm { answer, to } = form;
    let outcome = visit
        .aside(move |visit| visit.admin.accounts.second_factor_by_key(&token, &host, &answer, visit.caller()))
        .await?;
    match outcome {
        Ok(signed_in) => sign_in::went_on(&visit, signed_in, &to),
        Err(error) => {
            if let (SignInError::KeyCopied { .. }, Identity::Unfinished(limited)) = (&error, &visit.identity)
            {
                let what = format!("{}: {error}", limited.user.name);
                visit.admin.control.audit_from("nobody", "sign-in.refused", &what, Some(visit.address()));
            }
            let (status, wrong) = sign_in::said(&visit, error)?;
            sign_in::step(&visit, status, &to, wrong).await
        }
    }
}
