//! One's own API tokens: what there are, a new one, and taking one away.

use askama::Template;
use axum::{extract::Form, http::StatusCode, response::Response};
use jiff::{civil::Date, tz::TimeZone};
use serde::Deserialize;

use super::{
    super::{
        access::Right,
        failure::Failure,
        page::{Page, html, html_with, see},
        routes::Routes,
        visit::Visit,
    },
    sign_in::said,
};
use crate::{
    accounts::{ApiToken, NewToken, Scope, Session, TokenId},
    admin::when::{When, day},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/account/tokens", Right::SignedIn, show).post("/account/tokens", Right::SignedIn, add).post(
        "/account/tokens/revoke",
        Right::SignedIn,
        revoke,
    )
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct Show {
    p: Page,
    tokens: Vec<Line>,
    /// The scopes that a new one may have.
    scopes: Vec<(Scope, bool)>,
    name: String,
    ends: String,
    /// Whether the password is asked for.
    asks_password: bool,
    wrong: String,
    /// The token that was just made.
    made: String,
}

/// A token as the page shows it.
struct Line {
    id: i64,
    name: String,
    scopes: Vec<Scope>,
    made: String,
    used: String,
    ends: String,
    is_over: bool,
}

impl Line {
    fn of(token: ApiToken, today: Date, when: &When) -> Self {
        Self {
            id: token.id.0,
            name: token.name,
            scopes: token.scopes,
            made: when.full(token.made),
            used: token.last_used.map(|used| when.full(used)).unwrap_or_default(),
            ends: token.ends.map(day).unwrap_or_default(),
            is_over: token.ends.is_some_and(|ends| ends < today),
        }
    }
}

/// What somebody typed, to be shown again where it was not right.
#[derive(Debug, Default)]
struct Typed {
    name: String,
    ends: String,
    scopes: Vec<Scope>,
}

async fn page(
    visit: &Visit,
    status: StatusCode,
    typed: Typed,
    wrong: String,
    made: String,
) -> Result<Response, Failure> {
    let session = visit.session()?.clone();
    let own = session.user;
    let tokens = match own {
        Some(own) => visit.aside(move |visit| visit.admin.accounts.tokens(Some(own))).await??,
        None => Vec::new(),
    };
    let when = When::of(&visit.admin.control.policy().load());
    let today = visit.admin.clock.now().to_zoned(TimeZone::UTC).date();
    // A role may hold scopes for nothing that it may do; those that there are, are all that can be given.
    let scopes = session.role.scopes().iter().map(|scope| (*scope, typed.scopes.contains(scope)));
    let shown = Show {
        p: visit.page("tokens-title", ""),
        tokens: tokens.into_iter().map(|token| Line::of(token, today, &when)).collect(),
        scopes: if own.is_some() { scopes.collect() } else { Vec::new() },
        name: typed.name,
        ends: typed.ends,
        asks_password: !is_fresh(visit, &session),
        wrong,
        made,
    };
    if status == StatusCode::OK { html(&shown) } else { html_with(status, &shown) }
}

fn is_fresh(visit: &Visit, session: &Session) -> bool {
    session.is_fresh(visit.admin.clock.now())
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, StatusCode::OK, Typed::default(), String::new(), String::new()).await
}

async fn add(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let session = visit.session()?.clone();
    let Some(user) = session.user else {
        return Err(Failure::not_yours().because(visit.words.get("tokens-break-glass")));
    };
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let chosen = fields.iter().filter(|(name, _)| name == "scope");
    let scopes: Vec<Scope> = chosen.filter_map(|(_, word)| Scope::from_word(word)).collect();
    let typed = Typed { name: field("name"), ends: field("ends").trim().to_owned(), scopes };
    let again = |status, typed, wrong| page(&visit, status, typed, wrong, String::new());
    if !is_fresh(&visit, &session) {
        let (password, own) = (field("password"), session.clone());
        let fresh =
            visit.aside(move |visit| visit.admin.accounts.reauthenticate(&own, &password, visit.caller()));
        if let Err(error) = fresh.await? {
            let (status, wrong) = said(&visit, error)?;
            return again(status, typed, wrong).await;
        }
    }
    let ends = match typed.ends.as_str() {
        "" => None,
        text => match text.parse::<Date>() {
            Ok(day) => Some(day),
            Err(_) => {
                let wrong = visit.words.get("tokens-no-day");
                return again(StatusCode::UNPROCESSABLE_ENTITY, typed, wrong).await;
            }
        },
    };
    let new = NewToken { name: typed.name.clone(), scopes: typed.scopes.clone(), ends };
    match visit.aside(move |visit| visit.admin.accounts.add_token(user, &new)).await? {
        Ok((_, token, change)) => {
            visit.audit(&visit.by(), &change);
            let made = token.expose().to_owned();
            page(&visit, StatusCode::OK, Typed::default(), String::new(), made).await
        }
        Err(error) if error.is_bad_input() => {
            again(StatusCode::UNPROCESSABLE_ENTITY, typed, error.to_string()).await
        }
        Err(error) => Err(Failure::inside(error)),
    }
}

#[derive(Debug, Deserialize)]
struct Which {
    id: i64,
}

async fn revoke(visit: Visit, Form(which): Form<Which>) -> Result<Response, Failure> {
    let Some(own) = visit.session()?.user else { return Err(Failure::not_found()) };
    let id = TokenId(which.id);
    let revoked = visit.aside(move |visit| {
        let is_own = visit.admin.accounts.tokens(Some(own))?.iter().any(|token| token.id == id);
        if is_own { visit.admin.accounts.revoke_token(id) } else { Ok(None) }
    });
    match revoked.await?? {
        Some(change) => {
            visit.audit(&visit.by(), &change);
            Ok(see("/account/tokens", "done-token-revoked"))
        }
        None => Err(Failure::not_found()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::{accounts::Role, admin::tests::TestBox};

    #[tokio::test]
    async fn a_token_is_made_shown_once_used_and_revoked() {
        let school = TestBox::new().await;
        let form = [("name", "monitoring"), ("scope", "read"), ("scope", "metrics"), ("ends", "2027-07-31")];
        let page = school.post(Role::Head, "/account/tokens", &form).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let token = page.body.split("sgt_").nth(1).unwrap().split('<').next().unwrap();
        let found = school.admin.accounts.api_token(&format!("sgt_{token}")).unwrap().unwrap();
        let page = school.get(Role::Head, "/account/tokens").await;
        assert!(page.has("monitoring") && page.has("31 Jul 2027") && !page.has("sgt_"), "{}", page.body);
        let other =
            school.post(Role::Teacher, "/account/tokens/revoke", &[("id", &found.id.0.to_string())]).await;
        assert_eq!(other.status, StatusCode::NOT_FOUND, "it is not the teacher's");
        let gone =
            school.post(Role::Head, "/account/tokens/revoke", &[("id", &found.id.0.to_string())]).await;
        assert_eq!(gone.leads_to(), "/account/tokens?done=done-token-revoked");
        assert!(school.admin.accounts.api_token(&format!("sgt_{token}")).unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_and_what_was_typed_is_kept() {
        let school = TestBox::new().await;
        let page = school.post(Role::Head, "/account/tokens", &[("name", "<script>x")]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.has("a token needs at least one scope"), "{}", page.body);
        assert!(page.has("value=\"&#60;script&#62;x\"") && !page.has("<script>x"), "{}", page.body);
        let form = [("name", "x"), ("scope", "read"), ("ends", "soon")];
        let page = school.post(Role::Head, "/account/tokens", &form).await;
        assert!(page.has("value=\"soon\"") && page.has("checked"), "{}", page.body);
        let form = [("name", "x"), ("scope", "users")];
        let page = school.post(Role::Teacher, "/account/tokens", &form).await;
        assert!(page.has("make a token with the scope"), "{}", page.body);
    }
}
