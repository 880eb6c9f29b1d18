//! API tokens: one's own, and for who manages users those of everybody.

use axum::http::Method;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Done, Json, New, Nothing, Told, call, not_there},
    doc::{Doc, Tag},
    users::user_id,
};
use crate::{
    accounts::{ApiToken, NewToken, Scope, TokenId},
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, right) = (Tag::Tokens, Right::SignedIn);
    let list = Doc::new(tag, "Your API tokens");
    let add = Doc::new(tag, "Make an API token")
        .details("It is shown this once. Only people make tokens, and only while their password was typed lately; a token can't make another one.")
        .example(json!({ "name": "monitoring", "scopes": ["read", "metrics"], "ends": "2027-07-31" }));
    let revoke = Doc::new(tag, "Revoke an API token").details("Your own; who manages users may revoke any.");
    routes
        .api(Method::GET, "/api/v1/tokens", right, list, call(tokens))
        .api(Method::POST, "/api/v1/tokens", right, add, call(add_token))
        .api(Method::DELETE, "/api/v1/tokens/{id}", right, revoke, call(revoke_token))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Whose {
    /// Those of everybody, for who manages users.
    #[serde(default)]
    all: bool,
}

/// API tokens, without their secrets.
#[derive(Debug, Serialize, JsonSchema)]
struct Tokens {
    /// The oldest first.
    tokens: Vec<ApiToken>,
}

async fn tokens(visit: Visit, asked: Asked<(), Whose>) -> Result<Told<Tokens>, Failure> {
    if asked.query.all && !visit.may(Right::ManageUsers) {
        return Err(Failure::not_yours());
    }
    let own = user_id(&visit);
    let of = if asked.query.all { None } else { own };
    if of.is_none() && !asked.query.all {
        return Ok(Told(Tokens { tokens: Vec::new() }));
    }
    let tokens = visit.aside(move |visit| visit.admin.accounts.tokens(of)).await??;
    Ok(Told(Tokens { tokens }))
}

/// A token to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    /// What people call it: 1 to 60 characters.
    name: String,
    /// What it may do; at least one, and no more than your role may.
    scopes: Vec<Scope>,
    /// The last day (in UTC) on which it is good.
    ends: Option<Date>,
}

/// A token that was made.
#[derive(Debug, Serialize, JsonSchema)]
struct Made {
    /// Its number, to revoke it by.
    id: TokenId,
    /// The token, which is shown this once.
    token: String,
}

async fn add_token(visit: Visit, asked: Asked<(), Nothing, Json<Add>>) -> Result<New<Made>, Failure> {
    let Ok(session) = visit.session() else {
        return Err(Failure::not_yours().because("a token can't make another one; sign in to make one"));
    };
    if !session.is_fresh(visit.admin.clock.now()) {
        return Err(Failure::not_yours().because("type your password again first, at /account/tokens"));
    }
    let Some(user) = session.user else {
        return Err(Failure::not_yours().because("the break-glass code has no tokens"));
    };
    let Json(Add { name, scopes, ends }) = asked.body;
    let new = NewToken { name, scopes, ends };
    let made = visit.aside(move |visit| visit.admin.accounts.add_token(user, &new));
    let (id, token, change) = made.await??;
    visit.audit(&visit.by(), &change);
    Ok(New(Made { id, token: token.expose().to_owned() }))
}

async fn revoke_token(visit: Visit, asked: Asked<i64>) -> Result<Done, Failure> {
    let id = TokenId(asked.path);
    let of = if visit.may(Right::ManageUsers) { None } else { user_id(&visit) };
    if of.is_none() && !visit.may(Right::ManageUsers) {
        return Err(not_there());
    }
    let revoked = visit.aside(move |visit| {
        // Others' tokens are not there for who may not see them.
        let is_there = visit.admin.accounts.tokens(of)?.iter().any(|token| token.id == id);
        if is_there { visit.admin.accounts.revoke_token(id) } else { Ok(None) }
    });
    visit.audit(&visit.by(), &revoked.await??.ok_or_else(not_there)?);
    Ok(Done)
}
