//! Who may sign in.

use axum::http::{Method, StatusCode};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Done, Json, New, Nothing, Told, call, not_there},
    doc::{Doc, Tag},
};
use crate::{
    accounts::{
        AccessLine, BreakGlass, NewUser, ReviewState, Role, Session, SessionId, User, UserChange, UserId,
    },
    admin::{
        access::Right,
        failure::Failure,
        routes::Routes,
        visit::{Identity, Visit},
    },
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, right) = (Tag::Users, Right::ManageUsers);
    let list = Doc::new(tag, "Who may sign in, and how the review of access stands");
    let one = Doc::new(tag, "A user");
    let add = Doc::new(tag, "Add a user")
        .details("The password that is answered is shown this once, and replaced at the first sign-in.")
        .example(json!({ "name": "a.okafor", "full_name": "Ada Okafor", "role": "safeguarding", "ends": "2027-07-31" }));
    let change = Doc::new(tag, "Change a user")
        .details("What is left out stays; an end of null is none. Only a head teacher looks after heads, safeguarding leads and auditors.")
        .example(json!({ "role": "governor", "ends": null }));
    let remove = Doc::new(tag, "Remove a user, with their sessions and tokens");
    let reset = Doc::new(tag, "Give a user a new password")
        .details("It is shown this once, and replaced at the next sign-in. Their sessions end.");
    let factor = Doc::new(tag, "Take away a user's second factor, so that they set up another one")
        .details("Their recovery codes and security keys go too, and their sessions end.");
    let sessions = Doc::new(tag, "Where a user is signed in");
    let revoke = Doc::new(tag, "End a session");
    let review = Doc::new(tag, "Write down that somebody looked at who has access");
    routes
        .api(Method::GET, "/api/v1/users", right, list, call(users))
        .api(Method::POST, "/api/v1/users", right, add, call(add_user))
        .api(Method::POST, "/api/v1/users/review", right, review, call(reviewed))
        .api(Method::GET, "/api/v1/users/{id}", right, one, call(user_of))
        .api(Method::PATCH, "/api/v1/users/{id}", right, change, call(change_user))
        .api(Method::DELETE, "/api/v1/users/{id}", right, remove, call(remove_user))
        .api(Method::POST, "/api/v1/users/{id}/reset-password", right, reset, call(reset_password))
        .api(Method::DELETE, "/api/v1/users/{id}/second-factor", right, factor, call(forget_factor))
        .api(Method::GET, "/api/v1/users/{id}/sessions", right, sessions, call(sessions_of))
        .api(Method::DELETE, "/api/v1/sessions/{id}", right, revoke, call(revoke_session))
}

/// Who asks, where that is a user.
pub(super) fn user_id(visit: &Visit) -> Option<UserId> {
    match &visit.identity {
        Identity::Person(session) => session.user,
        Identity::Program(token) => Some(token.user),
        Identity::Nobody | Identity::Unfinished(_) => None,
    }
}

/// That who asks may make, change and let in anew users of these roles.
fn may_manage(visit: &Visit, roles: &[Role]) -> Result<(), Failure> {
    let own = match &visit.identity {
        Identity::Person(session) => session.role,
        Identity::Program(token) => token.role,
        Identity::Nobody | Identity::Unfinished(_) => return Err(Failure::sign_in_first()),
    };
    let lines = visit.admin.accounts.review()?;
    let has_head = lines.iter().any(|line| line.has_access && line.user.role == Role::Head);
    if roles.iter().all(|role| own.may_manage(*role, has_head)) {
        return Ok(());
    }
    Err(Failure::new("failure-head-only", StatusCode::FORBIDDEN))
}

/// A user whom who asks may change; nobody changes what they may do themselves.
fn managed(visit: &Visit, id: UserId) -> Result<User, Failure> {
    let user = visit.admin.accounts.user(id)?.ok_or_else(not_there)?;
    if user_id(visit) == Some(id) {
        return Err(Failure::input("nobody does this to themselves; ask another head teacher or technician"));
    }
    may_manage(visit, &[user.role])?;
    Ok(user)
}

/// Who may sign in.
#[derive(Debug, Serialize, JsonSchema)]
struct Users {
    /// Those with access first.
    users: Vec<AccessLine>,
    /// When somebody looked at who has access.
    review: ReviewState,
    /// What is known of the sealed code in the head teacher's safe.
    break_glass: BreakGlass,
}

async fn users(visit: Visit, _: Asked) -> Result<Told<Users>, Failure> {
    let read = visit.aside(|visit| {
        let accounts = &visit.admin.accounts;
        Ok::<_, Failure>(Users {
            users: accounts.review()?,
            review: accounts.review_state()?,
            break_glass: accounts.break_glass()?,
        })
    });
    Ok(Told(read.await??))
}

async fn user_of(visit: Visit, asked: Asked<i64>) -> Result<Told<User>, Failure> {
    let id = UserId(asked.path);
    let found = visit.aside(move |visit| visit.admin.accounts.user(id)).await??;
    Ok(Told(found.ok_or_else(not_there)?))
}

/// Who is to be able to sign in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    /// What is typed to sign in: 2 to 40 of a to z, digits, `.`, `_` and `-`, or an e-mail address.
    name: String,
    /// What people read.
    full_name: String,
    /// What they may do.
    role: Role,
    /// The last day on which they may sign in.
    ends: Option<Date>,
}

/// A user with a password that is shown this once.
#[derive(Debug, Serialize, JsonSchema)]
struct WithPassword {
    /// The user's number.
    id: UserId,
    /// The password, to be told to them.
    password: String,
}

async fn add_user(visit: Visit, asked: Asked<(), Nothing, Json<Add>>) -> Result<New<WithPassword>, Failure> {
    let Json(Add { name, full_name, role, ends }) = asked.body;
    let new = NewUser { name, full_name, role, ends };
    let added = visit.aside(move |visit| {
        may_manage(visit, &[new.role])?;
        Ok::<_, Failure>(visit.admin.accounts.add_with_made_password(&new)?)
    });
    let (id, password, change) = added.await??;
    visit.audit(&visit.by(), &change);
    Ok(New(WithPassword { id, password: password.expose().to_owned() }))
}

/// What is to change about a user; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Change {
    /// What people read.
    full_name: Option<String>,
    /// What they may do.
    role: Option<Role>,
    /// The last day on which they may sign in; null for no end.
    #[serde(deserialize_with = "there")]
    #[schemars(with = "Option<Date>")]
    ends: Option<Option<Date>>,
    /// Whether they may not sign in for now.
    disabled: Option<bool>,
}

/// What is there, even where it is null.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Date>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

async fn change_user(visit: Visit, asked: Asked<i64, Nothing, Json<Change>>) -> Result<Told<User>, Failure> {
    let id = UserId(asked.path);
    let Json(Change { full_name, role, ends, disabled }) = asked.body;
    let wanted = UserChange { full_name, role, ends, disabled };
    let changed = visit.aside(move |visit| {
        managed(visit, id)?;
        may_manage(visit, wanted.role.as_slice())?;
        let change = visit.admin.accounts.change(id, &wanted, None)?;
        Ok::<_, Failure>((change, visit.admin.accounts.user(id)?))
    });
    let (change, user) = changed.await??;
    if let Some(change) = &change {
        visit.audit(&visit.by(), change);
    }
    Ok(Told(user.ok_or_else(not_there)?))
}

async fn remove_user(visit: Visit, asked: Asked<i64>) -> Result<Done, Failure> {
    let id = UserId(asked.path);
    let removed = visit.aside(move |visit| {
        managed(visit, id)?;
        Ok::<_, Failure>(visit.admin.accounts.remove(id)?)
    });
    let change = removed.await??;
    visit.audit(&visit.by(), &change);
    Ok(Done)
}

async fn reset_password(visit: Visit, asked: Asked<i64>) -> Result<Told<WithPassword>, Failure> {
    let id = UserId(asked.path);
    let reset = visit.aside(move |visit| {
        managed(visit, id)?;
        Ok::<_, Failure>(visit.admin.accounts.reset_password(id)?)
    });
    let (password, change) = reset.await??;
    visit.audit(&visit.by(), &change);
    Ok(Told(WithPassword { id, password: password.expose().to_owned() }))
}

async fn forget_factor(visit: Visit, asked: Asked<i64>) -> Result<Done, Failure> {
    let id = UserId(asked.path);
    let forgotten = visit.aside(move |visit| {
        managed(visit, id)?;
        Ok::<_, Failure>(visit.admin.accounts.forget_second_factor(id)?)
    });
    let change = forgotten.await??;
    visit.audit(&visit.by(), &change);
    Ok(Done)
}

/// Where a user is signed in.
#[derive(Debug, Serialize, JsonSchema)]
struct Sessions {
    /// The one that was used last comes first.
    sessions: Vec<Session>,
}

async fn sessions_of(visit: Visit, asked: Asked<i64>) -> Result<Told<Sessions>, Failure> {
    let id = UserId(asked.path);
    let found = visit.aside(move |visit| {
        let user = visit.admin.accounts.user(id)?;
        Ok::<_, Failure>((user, visit.admin.accounts.sessions(Some(id))?))
    });
    let (user, sessions) = found.await??;
    user.ok_or_else(not_there)?;
    Ok(Told(Sessions { sessions }))
}

async fn revoke_session(visit: Visit, asked: Asked<i64>) -> Result<Done, Failure> {
    let id = SessionId(asked.path);
    let change = visit.aside(move |visit| visit.admin.accounts.revoke_session(id)).await??;
    visit.audit(&visit.by(), &change.ok_or_else(not_there)?);
    Ok(Done)
}

async fn reviewed(visit: Visit, _: Asked) -> Result<Told<ReviewState>, Failure> {
    let done = visit.aside(|visit| {
        let change = visit.admin.accounts.reviewed(&visit.by())?;
        Ok::<_, Failure>((change, visit.admin.accounts.review_state()?))
    });
    let (change, state) = done.await??;
    visit.audit(&visit.by(), &change);
    Ok(Told(state))
}
