//! One's own account: the password, the second factor, and where one is signed in.

use askama::Template;
use axum::{extract::Form, http::StatusCode, response::Response};
use serde::Deserialize;

use super::{
    super::{
        access::Right,
        failure::Failure,
        page::{Page, html, html_with, see},
        routes::Routes,
        visit::Visit,
    },
    sign_in::{picture, said},
};
use crate::{
    accounts::{Session, SessionId},
    querylog::search::zone,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/account", Right::SignedIn, show)
        .post("/account/password", Right::SignedIn, password)
        .post("/account/confirm", Right::SignedIn, confirm)
        .post("/account/session", Right::SignedIn, end_session)
        .post("/account/sessions", Right::SignedIn, end_others)
        .get("/account/second-factor", Right::SignedIn, propose)
        .post("/account/second-factor", Right::SignedIn, second_factor)
        .post("/account/recovery", Right::SignedIn, recovery)
}

/// A session, as its owner sees it.
struct Seen {
    id: i64,
    own: bool,
    since: String,
    used: String,
    from: String,
    agent: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct Show {
    p: Page,
    name: String,
    /// Whether there is a password, and so an account: not behind the sealed code.
    is_user: bool,
    has_factor: bool,
    codes_left: u32,
    /// The password was typed lately.
    fresh: bool,
    sessions: Vec<Seen>,
    wrong: String,
    /// New recovery codes, shown this once.
    codes: Vec<String>,
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    html(&page(&visit, String::new(), Vec::new())?)
}

fn page(visit: &Visit, wrong: String, codes: Vec<String>) -> Result<Show, Failure> {
    let session = visit.session()?;
    let accounts = &visit.admin.accounts;
    let user = session.user.map(|id| accounts.user(id)).transpose().map_err(Failure::inside)?.flatten();
    let policy = visit.admin.control.policy().load_full();
    let zone = zone(&policy);
    let time = |at: jiff::Timestamp| at.to_zoned(zone.clone()).strftime("%a %-d %b, %H:%M").to_string();
    let sessions = match session.user {
        Some(id) => accounts.sessions(Some(id)).map_err(Failure::inside)?,
        None => Vec::new(),
    };
    let seen = |other: Session| Seen {
        id: other.id.0,
        own: other.id == session.id,
        since: time(other.made),
        used: time(other.last_used),
        from: other.address,
        agent: other.agent,
    };
    let has_factor = user.as_ref().is_some_and(|user| user.has_second_factor);
    let codes_left = match session.user {
        Some(id) if has_factor => accounts.recovery_codes_left(id).map_err(Failure::inside)?,
        _ => 0,
    };
    Ok(Show {
        p: visit.page("account-title", ""),
        name: session.name.clone(),
        is_user: user.is_some(),
        has_factor,
        codes_left,
        fresh: session.is_fresh(visit.admin.clock.now()),
        sessions: sessions.into_iter().map(seen).collect(),
        wrong,
        codes,
    })
}

#[derive(Debug, Deserialize)]
struct PasswordForm {
    current: String,
    password: String,
    again: String,
}

async fn password(visit: Visit, Form(form): Form<PasswordForm>) -> Result<Response, Failure> {
    let session = visit.session()?.clone();
    let PasswordForm { current, password, again } = form;
    if password != again {
        let wrong = visit.words.get("sign-in-not-the-same");
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &page(&visit, wrong, Vec::new())?);
    }
    let changed = visit
        .aside(move |visit| {
            visit.admin.accounts.change_password(&session, &current, &password, visit.caller())
        })
        .await?;
    match changed {
        Ok(change) => {
            visit.audit(&visit.by(), &change);
            Ok(see("/account", "done-password"))
        }
        Err(error) => {
            let (status, wrong) = said(&visit, error)?;
            html_with(status, &page(&visit, wrong, Vec::new())?)
        }
    }
}

#[derive(Debug, Deserialize)]
struct ConfirmForm {
    current: String,
}

/// Takes the password again, for what is delicate.
async fn confirm(visit: Visit, Form(form): Form<ConfirmForm>) -> Result<Response, Failure> {
    let session = visit.session()?.clone();
    let confirmed = visit
        .aside(move |visit| visit.admin.accounts.reauthenticate(&session, &form.current, visit.caller()))
        .await?;
    match confirmed {
        Ok(_) => Ok(see("/account", "")),
        Err(error) => {
            let (status, wrong) = said(&visit, error)?;
            html_with(status, &page(&visit, wrong, Vec::new())?)
        }
    }
}

#[derive(Debug, Deserialize)]
struct SessionForm {
    id: i64,
}

async fn end_session(visit: Visit, Form(form): Form<SessionForm>) -> Result<Response, Failure> {
    let session = visit.session()?;
    let accounts = &visit.admin.accounts;
    let user = session.user.ok_or_else(Failure::not_yours)?;
    let own = accounts.sessions(Some(user)).map_err(Failure::inside)?;
    // Those of others are for Users.
    if own.iter().any(|known| known.id.0 == form.id)
        && let Some(change) = accounts.revoke_session(SessionId(form.id)).map_err(Failure::inside)?
    {
        visit.audit(&visit.by(), &change);
    }
    Ok(see("/account", "done-session"))
}

async fn end_others(visit: Visit) -> Result<Response, Failure> {
    let session = visit.session()?;
    let user = session.user.ok_or_else(Failure::not_yours)?;
    let ended = visit.admin.accounts.revoke_other_sessions(user, Some(session.id));
    if let Some(change) = ended.map_err(Failure::inside)? {
        visit.audit(&visit.by(), &change);
    }
    Ok(see("/account", "done-session"))
}

#[derive(Template)]
#[template(path = "account_factor.html")]
struct Propose {
    p: Page,
    qr: String,
    secret: String,
    wrong: String,
}

async fn propose(visit: Visit) -> Result<Response, Failure> {
    proposal(&visit, StatusCode::OK, String::new())
}

fn proposal(visit: &Visit, status: StatusCode, wrong: String) -> Result<Response, Failure> {
    let session = visit.session()?;
    // Whoever finds an open browser must not put their own phone in the place of the owner's.
    if !session.is_fresh(visit.admin.clock.now()) || session.is_break_glass() {
        return Ok(see("/account#confirm", ""));
    }
    let token = visit.token.clone().unwrap_or_default();
    let proposal = visit.admin.accounts.propose_second_factor(&token).map_err(Failure::inside)?;
    let secret = proposal.secret.expose().to_owned();
    html_with(
        status,
        &Propose { p: visit.page("sign-in-factor-title", ""), qr: picture(&proposal), secret, wrong },
    )
}

#[derive(Debug, Deserialize)]
struct CodeForm {
    code: String,
}

async fn second_factor(visit: Visit, Form(form): Form<CodeForm>) -> Result<Response, Failure> {
    visit.session()?;
    let token = visit.token.clone().unwrap_or_default();
    match visit.admin.accounts.confirm_second_factor(&token, &form.code) {
        Ok((codes, change)) => {
            visit.audit(&visit.by(), &change);
            let codes = codes.0.iter().map(|code| code.expose().to_owned()).collect();
            html(&page(&visit, String::new(), codes)?)
        }
        Err(error) => {
            let (status, wrong) = said(&visit, error.into())?;
            proposal(&visit, status, wrong)
        }
    }
}

async fn recovery(visit: Visit) -> Result<Response, Failure> {
    let session = visit.session()?;
    match visit.admin.accounts.new_recovery_codes(session) {
        Ok((codes, change)) => {
            visit.audit(&visit.by(), &change);
            let codes = codes.0.iter().map(|code| code.expose().to_owned()).collect();
            html(&page(&visit, String::new(), codes)?)
        }
        Err(error) => {
            let (status, wrong) = said(&visit, error.into())?;
            html_with(status, &page(&visit, wrong, Vec::new())?)
        }
    }
}
