//! Users: who may sign in, in which role, until when; the review of each term, and the sealed code.

use askama::Template;
use axum::{
    extract::{Form, Path},
    http::StatusCode,
    response::Response,
};
use jiff::{Timestamp, civil::Date};
use serde::Deserialize;

use super::super::{
    access::Right,
    failure::Failure,
    page::{Page, html, html_with, see},
    routes::Routes,
    visit::Visit,
};
use crate::{
    accounts::{
        AccessLine, AccountChange, AccountsError, NewUser, Role, Session, SessionId, User, UserChange, UserId,
    },
    admin::when::{When, day},
};

#[cfg(test)]
mod tests;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/users", Right::ManageUsers, all)
        .get("/users/new", Right::ManageUsers, new)
        .post("/users/new", Right::ManageUsers, add)
        .post("/users/review", Right::ManageUsers, reviewed)
        .post("/users/break-glass", Right::ManageUsers, seal)
        .get("/users/{id}", Right::ManageUsers, one)
        .post("/users/{id}", Right::ManageUsers, change)
        .post("/users/{id}/password", Right::ManageUsers, reset_password)
        .post("/users/{id}/second-factor", Right::ManageUsers, forget_second_factor)
        .post("/users/{id}/sessions", Right::ManageUsers, end_sessions)
        .post("/users/{id}/remove", Right::ManageUsers, remove)
}

/// Times and states as people read them.
struct Line {
    line: AccessLine,
    last_seen: String,
    /// The class of the tag and the key of its words.
    state: (&'static str, &'static str),
    ends: String,
}

#[derive(Template)]
#[template(path = "users.html")]
struct All {
    p: Page,
    lines: Vec<Line>,
    /// When the review was last done, by whom, and when it is due.
    reviewed: String,
    reviewed_by: String,
    due: String,
    is_due: bool,
    /// When the sealed code was made; empty where there is none.
    sealed: String,
    /// When one was last used.
    used: String,
    used_from: String,
}

/// A moment as people of the school read it: `Thu 26 Nov 2026, 14:05`.
pub(super) fn moment(visit: &Visit, at: Timestamp) -> String {
    let policy = visit.admin.control.policy().load_full();
    When::of(&policy).full(at)
}

/// Whether the school has a head who can sign in.
fn has_head(visit: &Visit) -> Result<bool, Failure> {
    let lines = visit.admin.accounts.review().map_err(Failure::inside)?;
    Ok(lines.iter().any(|line| line.has_access && line.user.role == Role::Head))
}

/// Whether who asks may make, change and let in anew users of a role.
fn may_manage(visit: &Visit, role: Role) -> Result<bool, Failure> {
    let has_head = has_head(visit)?;
    Ok(own_role(visit).is_some_and(|own| own.may_manage(role, has_head)))
}

fn own_role(visit: &Visit) -> Option<Role> {
    visit.session().ok().map(|session| session.role)
}

async fn all(visit: Visit) -> Result<Response, Failure> {
    let accounts = &visit.admin.accounts;
    let lines = accounts.review().map_err(Failure::inside)?;
    let state = accounts.review_state().map_err(Failure::inside)?;
    let glass = accounts.break_glass().map_err(Failure::inside)?;
    let lines = lines.into_iter().map(|line| Line {
        last_seen: line.user.last_seen.map(|at| moment(&visit, at)).unwrap_or_default(),
        ends: line.user.ends.map(day).unwrap_or_default(),
        state: match (&line.user, line.has_access) {
            (user, _) if user.disabled => ("bad", "users-disabled"),
            (_, false) => ("bad", "users-ended"),
            (user, _) if user.role.needs_second_factor() && !user.has_second_factor => {
                ("warn", "users-unfinished")
            }
            _ => ("good", "users-active"),
        },
        line,
    });
    let page = All {
        p: visit.page("users-title", "/users"),
        lines: lines.collect(),
        reviewed: state.last.map(|at| moment(&visit, at)).unwrap_or_default(),
        reviewed_by: state.by.unwrap_or_default(),
        due: state.due.map(|at| moment(&visit, at)).unwrap_or_default(),
        is_due: state.is_due,
        sealed: glass.sealed.map(|at| moment(&visit, at)).unwrap_or_default(),
        used: glass.last_used.map(|at| moment(&visit, at)).unwrap_or_default(),
        used_from: glass.last_used_from.unwrap_or_default(),
    };
    html(&page)
}

async fn reviewed(visit: Visit) -> Result<Response, Failure> {
    let change = visit.admin.accounts.reviewed(&visit.by()).map_err(Failure::inside)?;
    visit.audit(&visit.by(), &change);
    Ok(see("/users", "done-reviewed"))
}

/// A secret that is shown once.
#[derive(Template)]
#[template(path = "users_secret.html")]
struct Once {
    p: Page,
    lead: String,
    secret: String,
    hint: String,
    back: String,
}

async fn seal(visit: Visit) -> Result<Response, Failure> {
    let (code, change) =
        visit.aside(|visit| visit.admin.accounts.seal_break_glass()).await?.map_err(Failure::inside)?;
    visit.audit(&visit.by(), &change);
    let address = visit.own_address("/sign-in/break-glass");
    html(&Once {
        p: visit.page("users-glass-title", "/users"),
        lead: visit.words.with("users-glass-lead", [("address", address.into())]),
        secret: code.expose().to_owned(),
        hint: visit.words.get("users-glass-hint"),
        back: String::from("/users"),
    })
}

/// What is typed of a user.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct UserForm {
    name: String,
    full_name: String,
    role: String,
    ends: String,
    /// `yes` where the user may not sign in for now.
    disabled: String,
}

impl UserForm {
    fn of(user: &User) -> Self {
        Self {
            name: user.name.clone(),
            full_name: user.full_name.clone(),
            role: user.role.word().to_owned(),
            ends: user.ends.map(|day| day.to_string()).unwrap_or_default(),
            disabled: if user.disabled { String::from("yes") } else { String::new() },
        }
    }

    /// The role and the end; an error is the key of its sentence.
    fn understood(&self) -> Result<(Role, Option<Date>), &'static str> {
        let role = Role::from_word(&self.role).ok_or("users-no-role")?;
        let ends = match self.ends.trim() {
            "" => None,
            text => Some(text.parse().map_err(|_| "users-no-day")?),
        };
        Ok((role, ends))
    }
}

/// A role to choose: its word, its name, what it may do, whether it is chosen.
struct Choice {
    word: &'static str,
    title: String,
    about: String,
    is_chosen: bool,
}

fn choices(visit: &Visit, chosen: &str) -> Result<Vec<Choice>, Failure> {
    let (has_head, own) = (has_head(visit)?, own_role(visit));
    let open = Role::ALL
        .into_iter()
        .filter(|role| role.word() == chosen || own.is_some_and(|own| own.may_manage(*role, has_head)));
    let choice = |role: Role| Choice {
        word: role.word(),
        title: visit.words.get(&format!("role-{}", role.word())),
        about: visit.words.get(&format!("users-role-{}", role.word())),
        is_chosen: role.word() == chosen,
    };
    Ok(open.map(choice).collect())
}

#[derive(Template)]
#[template(path = "users_new.html")]
struct New {
    p: Page,
    wrong: String,
    form: UserForm,
    roles: Vec<Choice>,
}

async fn new(visit: Visit) -> Result<Response, Failure> {
    new_page(&visit, StatusCode::OK, String::new(), UserForm::default())
}

fn new_page(visit: &Visit, status: StatusCode, wrong: String, form: UserForm) -> Result<Response, Failure> {
    let roles = choices(visit, &form.role)?;
    html_with(status, &New { p: visit.page("users-new-title", "/users"), wrong, form, roles })
}

async fn add(visit: Visit, Form(form): Form<UserForm>) -> Result<Response, Failure> {
    let refused = StatusCode::UNPROCESSABLE_ENTITY;
    let (role, ends) = match form.understood() {
        Ok(understood) => understood,
        Err(key) => return new_page(&visit, refused, visit.words.get(key), form),
    };
    if !may_manage(&visit, role)? {
        return new_page(&visit, StatusCode::FORBIDDEN, visit.words.get("users-head-only"), form);
    }
    let new = NewUser { name: form.name.clone(), full_name: form.full_name.clone(), role, ends };
    match visit.aside(move |visit| visit.admin.accounts.add_with_made_password(&new)).await? {
        Ok((_, password, change)) => {
            visit.audit(&visit.by(), &change);
            password_page(&visit, &form.full_name, &form.name.trim().to_lowercase(), password.expose())
        }
        Err(error) if error.is_bad_input() => new_page(&visit, refused, error.to_string(), form),
        Err(error) => Err(Failure::inside(error)),
    }
}

/// The password of the box's making, shown this once.
fn password_page(visit: &Visit, full_name: &str, name: &str, password: &str) -> Result<Response, Failure> {
    html(&Once {
        p: visit.page("users-password-title", "/users"),
        lead: visit
            .words
            .with("users-password-lead", [("who", full_name.trim().into()), ("name", name.into())]),
        secret: password.to_owned(),
        hint: visit.words.get("users-password-hint"),
        back: String::from("/users"),
    })
}

#[derive(Template)]
#[template(path = "users_one.html")]
struct One {
    p: Page,
    wrong: String,
    user: User,
    form: UserForm,
    roles: Vec<Choice>,
    sessions: Vec<SessionLine>,
    made: String,
    password_changed: String,
    last_seen: String,
    /// It is who asks.
    is_self: bool,
    may_manage: bool,
}

/// A session, as people read it.
pub(super) struct SessionLine {
    pub(super) id: SessionId,
    pub(super) address: String,
    pub(super) agent: String,
    pub(super) made: String,
    pub(super) last_used: String,
    pub(super) is_this: bool,
}

/// The sessions of a user.
pub(super) fn sessions(visit: &Visit, of: UserId) -> Result<Vec<SessionLine>, Failure> {
    let this = visit.session().ok().map(|session| session.id);
    let line = |session: Session| SessionLine {
        made: moment(visit, session.made),
        last_used: moment(visit, session.last_used),
        is_this: Some(session.id) == this,
        agent: browser(&session.agent),
        address: session.address,
        id: session.id,
    };
    let sessions = visit.admin.accounts.sessions(Some(of)).map_err(Failure::inside)?;
    Ok(sessions.into_iter().map(line).collect())
}

/// What a browser is, in a few words of what it calls itself.
fn browser(agent: &str) -> String {
    let one_of = |known: &[(&str, &'static str)]| {
        known.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name)
    };
    let browser =
        one_of(&[("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")]);
    let system = one_of(&[
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("CrOS", "ChromeOS"),
        ("Mac OS", "Mac"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser}, {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => agent.chars().take(40).collect(),
    }
}

/// The user of an address.
fn found(visit: &Visit, id: i64) -> Result<User, Failure> {
    visit.admin.accounts.user(UserId(id)).map_err(Failure::inside)?.ok_or_else(Failure::not_found)
}

async fn one(visit: Visit, Path(id): Path<i64>) -> Result<Response, Failure> {
    let user = found(&visit, id)?;
    let form = UserForm::of(&user);
    one_page(&visit, StatusCode::OK, String::new(), user, form)
}

fn one_page(
    visit: &Visit,
    status: StatusCode,
    wrong: String,
    user: User,
    form: UserForm,
) -> Result<Response, Failure> {
    let mut p = visit.page("users-title", "/users");
    p.title.clone_from(&user.full_name);
    let page = One {
        p,
        wrong,
        roles: choices(visit, &form.role)?,
        sessions: sessions(visit, user.id)?,
        made: moment(visit, user.made),
        password_changed: moment(visit, user.password_changed),
        last_seen: user.last_seen.map(|at| moment(visit, at)).unwrap_or_default(),
        is_self: is_self(visit, user.id),
        may_manage: may_manage(visit, user.role)?,
        form,
        user,
    };
    html_with(status, &page)
}

fn is_self(visit: &Visit, id: UserId) -> bool {
    visit.session().is_ok_and(|session| session.user == Some(id))
}

/// The user of an address, whom who asks may manage; nobody manages themselves.
fn managed(visit: &Visit, id: i64) -> Result<User, Failure> {
    let user = found(visit, id)?;
    let sentence = if is_self(visit, user.id) {
        "users-not-yourself"
    } else if !may_manage(visit, user.role)? {
        "users-head-only"
    } else {
        return Ok(user);
    };
    Err(Failure::input(visit.words.get(sentence)))
}

async fn change(visit: Visit, Path(id): Path<i64>, Form(form): Form<UserForm>) -> Result<Response, Failure> {
    let user = found(&visit, id)?;
    let refused = StatusCode::UNPROCESSABLE_ENTITY;
    let (role, ends) = match form.understood() {
        Ok(understood) => understood,
        Err(key) => return one_page(&visit, refused, visit.words.get(key), user, form),
    };
    let disabled = form.disabled == "yes";
    let (is_self, of_both) =
        (is_self(&visit, user.id), may_manage(&visit, role)? && may_manage(&visit, user.role)?);
    let is_more = role != user.role || ends != user.ends || disabled != user.disabled;
    let sentence = if is_self && is_more {
        Some("users-not-yourself")
    } else if !is_self && !of_both {
        Some("users-head-only")
    } else {
        None
    };
    if let Some(key) = sentence {
        return one_page(&visit, refused, visit.words.get(key), user, form);
    }
    let wanted = UserChange {
        full_name: Some(form.full_name.clone()),
        role: Some(role),
        ends: Some(ends),
        disabled: Some(disabled),
    };
    let keep = visit.session().ok().map(|session| session.id);
    match visit.admin.accounts.change(user.id, &wanted, keep) {
        Ok(change) => {
            if let Some(change) = change {
                visit.audit(&visit.by(), &change);
            }
            Ok(see("/users", "done-saved"))
        }
        Err(error) if error.is_bad_input() => one_page(&visit, refused, error.to_string(), user, form),
        Err(error) => Err(Failure::inside(error)),
    }
}

async fn reset_password(visit: Visit, Path(id): Path<i64>) -> Result<Response, Failure> {
    let user = managed(&visit, id)?;
    let of = user.id;
    let (password, change) =
        visit.aside(move |visit| visit.admin.accounts.reset_password(of)).await?.map_err(Failure::inside)?;
    visit.audit(&visit.by(), &change);
    password_page(&visit, &user.full_name, &user.name, password.expose())
}

/// Writes to the audit what was done to a user, and leads back to them.
fn done(
    visit: &Visit,
    id: UserId,
    change: Result<AccountChange, AccountsError>,
) -> Result<Response, Failure> {
    match change {
        Ok(change) => {
            visit.audit(&visit.by(), &change);
            Ok(see(&format!("/users/{}", id.0), "done-user"))
        }
        Err(error) if error.is_bad_input() => Err(Failure::input(error.to_string())),
        Err(error) => Err(Failure::inside(error)),
    }
}

async fn forget_second_factor(visit: Visit, Path(id): Path<i64>) -> Result<Response, Failure> {
    let user = managed(&visit, id)?;
    done(&visit, user.id, visit.admin.accounts.forget_second_factor(user.id))
}

async fn end_sessions(visit: Visit, Path(id): Path<i64>) -> Result<Response, Failure> {
    // To end a session opens nothing, so whoever manages users may do it to anybody; one's own goes on.
    let user = found(&visit, id)?;
    let keep = visit.session().ok().map(|session| session.id);
    let ended = visit.admin.accounts.revoke_other_sessions(user.id, keep).map_err(Failure::inside)?;
    if let Some(change) = ended {
        visit.audit(&visit.by(), &change);
    }
    Ok(see(&format!("/users/{id}"), "done-user"))
}

async fn remove(visit: Visit, Path(id): Path<i64>) -> Result<Response, Failure> {
    let user = managed(&visit, id)?;
    match visit.admin.accounts.remove(user.id) {
        Ok(change) => {
            visit.audit(&visit.by(), &change);
            Ok(see("/users", "done-user-removed"))
        }
        Err(error) if error.is_bad_input() => {
            let form = UserForm::of(&user);
            one_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, error.to_string(), user, form)
        }
        Err(error) => Err(Failure::inside(error)),
    }
}
