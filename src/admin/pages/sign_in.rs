//! Signing in and out: the password, what is asked for after it, and the sealed code in the head teacher's safe.

use askama::Template;
use axum::{
    extract::{Form, Query},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use data_encoding::BASE64;
use serde::Deserialize;

use super::super::{
    access::Right,
    failure::Failure,
    page::{self, Page, html, html_with, see},
    routes::Routes,
    visit::{Identity, Visit, no_session_cookie, session_cookie, theme_cookie},
};
use crate::accounts::{Proposal, Secret, SignIn, SignInError, Stage};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/sign-in", Right::Open, show)
        .post("/sign-in", Right::Open, sign_in)
        .get("/sign-in/next", Right::Open, next)
        .post("/sign-in/code", Right::Open, code)
        .post("/sign-in/password", Right::Open, password)
        .post("/sign-in/second-factor", Right::Open, second_factor)
        .get("/sign-in/break-glass", Right::Open, sealed)
        .post("/sign-in/break-glass", Right::Open, open_sealed)
        .post("/sign-out", Right::Open, sign_out)
        .post("/theme", Right::Open, theme)
}

/// Where to go afterwards.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Afterwards {
    to: String,
}

/// A place of the box, but not the door again.
fn own_place(to: &str) -> &str {
    if to.starts_with("/sign-") { "/" } else { page::own_place(to) }
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Show {
    p: Page,
    to: String,
    name: String,
    wrong: String,
}

async fn show(visit: Visit, Query(asked): Query<Afterwards>) -> Result<Response, Failure> {
    match &visit.identity {
        Identity::Person(_) => return Ok(see(own_place(&asked.to), "")),
        Identity::Unfinished(_) => return Ok(see("/sign-in/next", "")),
        _ => {}
    }
    if !visit.admin.is_claimed() {
        return Ok(see("/set-up", ""));
    }
    let p = visit.page("sign-in-title", "");
    html(&Show { p, to: own_place(&asked.to).to_owned(), name: String::new(), wrong: String::new() })
}

#[derive(Debug, Deserialize)]
struct SignInForm {
    name: String,
    password: String,
    #[serde(default)]
    to: String,
}

async fn sign_in(visit: Visit, Form(form): Form<SignInForm>) -> Result<Response, Failure> {
    let SignInForm { name, password, to } = form;
    let asked = name.clone();
    let outcome = visit
        .aside(move |visit| visit.admin.accounts.sign_in(&asked, &password, None, visit.caller()))
        .await?;
    match outcome {
        Ok(signed_in) => went_on(&visit, signed_in, &to),
        Err(error) => {
            refused(&visit, &name, &error)?;
            let (status, wrong) = said(&visit, error)?;
            let p = visit.page("sign-in-title", "");
            html_with(status, &Show { p, to: own_place(&to).to_owned(), name, wrong })
        }
    }
}

/// Writes down that somebody did not get in, for who looks for break-ins. Of a name that nobody has only that: people type
/// passwords there by mistake.
fn refused(visit: &Visit, name: &str, error: &SignInError) -> Result<(), Failure> {
    if matches!(error, SignInError::Wrong | SignInError::Code) {
        let known = visit.admin.accounts.user_named(name).map_err(Failure::inside)?;
        let who = known.map_or_else(|| String::from("a name that nobody has"), |user| user.name);
        visit.admin.control.audit_from("nobody", "sign-in.refused", &who, Some(visit.address()));
    }
    Ok(())
}

/// What a refusal says, and with which status. What the box could not do is a failure of the page.
pub(super) fn said(visit: &Visit, error: SignInError) -> Result<(StatusCode, String), Failure> {
    let words = &visit.words;
    Ok(match error {
        SignInError::Wrong => (StatusCode::FORBIDDEN, words.get("sign-in-wrong")),
        SignInError::Code => (StatusCode::FORBIDDEN, words.get("sign-in-wrong-code")),
        SignInError::Key => (StatusCode::FORBIDDEN, words.get("keys-failed")),
        SignInError::KeyCopied { .. } => (StatusCode::FORBIDDEN, words.get("keys-copied")),
        SignInError::Expired => (StatusCode::FORBIDDEN, words.get("sign-in-expired")),
        SignInError::Limited { until } => {
            let seconds = until.as_second().saturating_sub(visit.admin.clock.now().as_second());
            let minutes = u64::try_from(seconds).unwrap_or(0).div_ceil(60).max(1);
            (StatusCode::TOO_MANY_REQUESTS, words.with("sign-in-limited", [("minutes", minutes.into())]))
        }
        SignInError::Accounts(error) if error.is_bad_input() => {
            (StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
        }
        SignInError::Accounts(error) => return Err(Failure::inside(error)),
    })
}

/// Keeps the new session in the browser, and leads on: to what is awaited, or to where they wanted to go.
pub(super) fn went_on(visit: &Visit, signed_in: SignIn, to: &str) -> Result<Response, Failure> {
    let SignIn { token, stage, user, change } = signed_in;
    let name =
        visit.admin.accounts.user(user).map_err(Failure::inside)?.map_or_else(String::new, |user| user.name);
    visit.audit(&name, &change);
    let to = own_place(to);
    let place = match stage {
        Stage::Whole => to.to_owned(),
        _ if to == "/" => String::from("/sign-in/next"),
        _ => format!("/sign-in/next?to={}", super::super::visit::encoded(to)),
    };
    Ok(with_session(visit, see(&place, ""), &token))
}

/// An answer that keeps a session in the browser.
pub(super) fn with_session(visit: &Visit, mut response: Response, token: &Secret) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(&session_cookie(token.expose(), visit.peer.secure)) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// What is asked for after the password.
#[derive(Template)]
#[template(path = "sign_in_next.html")]
struct Next {
    p: Page,
    to: String,
    step: Step,
    wrong: String,
}

enum Step {
    Code {
        /// Whether they have a security key for where the page was opened.
        has_key: bool,
    },
    Password,
    SecondFactor {
        qr: String,
        secret: String,
    },
    Recovery {
        codes: Vec<String>,
    },
}

async fn next(visit: Visit, Query(asked): Query<Afterwards>) -> Result<Response, Failure> {
    step(&visit, StatusCode::OK, &asked.to, String::new()).await
}

/// The page of the step that is awaited.
pub(super) async fn step(
    visit: &Visit,
    status: StatusCode,
    to: &str,
    wrong: String,
) -> Result<Response, Failure> {
    let Identity::Unfinished(limited) = &visit.identity else { return Ok(see(own_place(to), "")) };
    let (title, step) = match limited.stage {
        Stage::SecondFactor => {
            let (id, host) = (limited.user.id, visit.key_host());
            let has_key = visit.aside(move |visit| {
                host.map_or(Ok(false), |host| visit.admin.accounts.has_security_key(id, &host))
            });
            ("sign-in-code-title", Step::Code { has_key: has_key.await?? })
        }
        Stage::PasswordChange => ("sign-in-password-title", Step::Password),
        _ => {
            let token = visit.token.clone().unwrap_or_default();
            let proposal = visit.admin.accounts.propose_second_factor(&token).map_err(Failure::inside)?;
            let qr = picture(&proposal);
            let secret = proposal.secret.expose().to_owned();
            ("sign-in-factor-title", Step::SecondFactor { qr, secret })
        }
    };
    let p = visit.page(title, "");
    html_with(status, &Next { p, to: own_place(to).to_owned(), step, wrong })
}

/// The picture of a second factor, for an address of the kind `data:`.
pub(super) fn picture(proposal: &Proposal) -> String {
    BASE64.encode(proposal.qr.expose().as_bytes())
}

#[derive(Debug, Deserialize)]
struct CodeForm {
    code: String,
    #[serde(default)]
    to: String,
}

async fn code(visit: Visit, Form(form): Form<CodeForm>) -> Result<Response, Failure> {
    let token = visit.token.clone().unwrap_or_default();
    match visit.admin.accounts.second_factor(&token, &form.code, visit.caller()) {
        Ok(signed_in) => went_on(&visit, signed_in, &form.to),
        Err(error) => {
            let (status, wrong) = said(&visit, error)?;
            step(&visit, status, &form.to, wrong).await
        }
    }
}

#[derive(Debug, Deserialize)]
struct PasswordForm {
    password: String,
    again: String,
    #[serde(default)]
    to: String,
}

async fn password(visit: Visit, Form(form): Form<PasswordForm>) -> Result<Response, Failure> {
    let Identity::Unfinished(limited) = &visit.identity else { return Err(Failure::sign_in_first()) };
    if form.password != form.again {
        let wrong = visit.words.get("sign-in-not-the-same");
        return step(&visit, StatusCode::UNPROCESSABLE_ENTITY, &form.to, wrong).await;
    }
    let limited = limited.clone();
    let new = form.password;
    match visit.aside(move |visit| visit.admin.accounts.replace_password(&limited, &new)).await? {
        Ok(change) => {
            visit.audit(&visit.by(), &change);
            proceed(&visit, &form.to)
        }
        Err(error) => {
            let (status, wrong) = said(&visit, error.into())?;
            step(&visit, status, &form.to, wrong).await
        }
    }
}

fn proceed(visit: &Visit, to: &str) -> Result<Response, Failure> {
    let token = visit.token.clone().unwrap_or_default();
    match visit.admin.accounts.proceed(&token, visit.caller()) {
        Ok(signed_in) => went_on(visit, signed_in, to),
        Err(error) => said(visit, error).map(|_| see("/sign-in", "")),
    }
}

async fn second_factor(visit: Visit, Form(form): Form<CodeForm>) -> Result<Response, Failure> {
    let token = visit.token.clone().unwrap_or_default();
    match visit.admin.accounts.confirm_second_factor(&token, &form.code) {
        Ok((codes, change)) => {
            visit.audit(&visit.by(), &change);
            let went_on = proceed(&visit, &form.to)?;
            let codes = codes.0.iter().map(|code| code.expose().to_owned()).collect();
            let p = visit.page("sign-in-recovery-title", "");
            let shown = Next {
                p,
                to: own_place(&form.to).to_owned(),
                step: Step::Recovery { codes },
                wrong: String::new(),
            };
            let mut response = html(&shown)?;
            // The session goes on, once the codes were read.
            for cookie in went_on.headers().get_all(header::SET_COOKIE) {
                response.headers_mut().append(header::SET_COOKIE, cookie.clone());
            }
            Ok(response)
        }
        Err(error) => {
            let (status, wrong) = said(&visit, error.into())?;
            step(&visit, status, &form.to, wrong).await
        }
    }
}

#[derive(Template)]
#[template(path = "break_glass.html")]
struct Sealed {
    p: Page,
    wrong: String,
}

async fn sealed(visit: Visit) -> Result<Response, Failure> {
    html(&Sealed { p: visit.page("break-glass-title", ""), wrong: String::new() })
}

async fn open_sealed(visit: Visit, Form(form): Form<CodeForm>) -> Result<Response, Failure> {
    let code = form.code;
    match visit.aside(move |visit| visit.admin.accounts.open_break_glass(&code, visit.caller())).await? {
        Ok((token, change)) => {
            visit.audit("break-glass", &change);
            Ok(with_session(&visit, see("/users", "done-break-glass"), &token))
        }
        Err(error) => {
            let (status, wrong) = said(&visit, error)?;
            html_with(status, &Sealed { p: visit.page("break-glass-title", ""), wrong })
        }
    }
}

async fn sign_out(visit: Visit) -> Result<Response, Failure> {
    if let Identity::Person(session) = &visit.identity
        && let Some(change) = visit.admin.accounts.sign_out(session).map_err(Failure::inside)?
    {
        visit.audit(&session.name, &change);
    }
    let mut response = see("/sign-in", "done-signed-out");
    if let Ok(cookie) = HeaderValue::from_str(&no_session_cookie(visit.peer.secure)) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[derive(Debug, Deserialize)]
struct ThemeForm {
    theme: String,
}

/// Keeps light or dark, and leads back to where it was chosen.
async fn theme(headers: HeaderMap, Form(form): Form<ThemeForm>) -> Result<Response, Failure> {
    let theme = if form.theme == "dark" { "dark" } else { "light" };
    // Only the path of it: the page was one of the box's own, or the request had not come so far.
    let back = headers
        .get(header::REFERER)
        .and_then(|from| from.to_str().ok())
        .and_then(|from| from.split_once("://"))
        .and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()))
        .unwrap_or_default();
    let mut response = see(page::own_place(&back), "");
    if let Ok(cookie) = HeaderValue::from_str(&theme_cookie(theme)) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::own_place;

    #[test]
    fn nobody_is_led_away_from_the_box_after_signing_in() {
        for to in ["/log?name=a", "/", "/policy#games"] {
            assert_eq!(own_place(to), to);
        }
        for to in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "\\/x",
            "/a\r\nSet-Cookie: x",
            "/sign-in",
        ] {
            assert_eq!(own_place(to), "/", "{to}");
        }
    }
}
