//! How the box is, and how much it blocks; and who asks.

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::{Asked, Told, call},
    doc::{Doc, Tag},
};
use crate::{
    accounts::{Role, Scope},
    admin::{
        access::Right,
        failure::Failure,
        routes::Routes,
        visit::{Identity, Visit},
    },
    control::{ControlError, SuppliersReport},
    policy::Mode,
    querylog::rollup::{By, Count, CountQuery, Step},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let overview = Doc::new(Tag::Overview, "How the box is, and how much it blocked in the last day");
    let account = Doc::new(Tag::Overview, "Who you are, and what you may do");
    routes.api(Method::GET, "/api/v1/overview", Right::SeeOverview, overview, call(overview_of)).api(
        Method::GET,
        "/api/v1/account",
        Right::SignedIn,
        account,
        call(account_of),
    )
}

/// How the box is.
#[derive(Debug, Serialize, JsonSchema)]
struct Overview {
    /// The school's name; empty on a new box.
    school: String,
    /// The version of the program.
    version: String,
    /// What time it is.
    now: Timestamp,
    /// The school's time zone, by its IANA name.
    timezone: String,
    /// The revision of the policy in force; 0 is the shipped one.
    revision: i64,
    /// The profiles that only watch, and so block almost nothing.
    watching: Vec<String>,
    /// How many names the starter lists have.
    starter_names: u64,
    /// How many names the school's lists have.
    list_names: u64,
    /// Why the log can't be written now; none while all is well.
    log_failing: Option<String>,
    /// What somebody should look at, one line each.
    attention: Vec<String>,
    /// Who supplies the lists of illegal content.
    suppliers: SuppliersReport,
    /// The questions of the last 24 hours, by hour, profile and what happened.
    questions: Vec<Count>,
}

async fn overview_of(visit: Visit, _: Asked) -> Result<Told<Overview>, Failure> {
    let overview = visit.aside(made).await??;
    Ok(Told(overview))
}

fn made(visit: &Visit) -> Result<Overview, Failure> {
    let admin = &visit.admin;
    let control = &admin.control;
    let policy = control.policy().load_full();
    let file = policy.file();
    let now = admin.clock.now();
    let query = CountQuery {
        from: now.checked_sub(SignedDuration::from_hours(23)).unwrap_or(now),
        to: now.checked_add(SignedDuration::from_hours(1)).unwrap_or(now),
        step: Step::Hour,
        by: vec![By::Profile, By::Action],
        profile: None,
        category: None,
        action: None,
    };
    let questions = control.keeping().rollup().counts(&query).map_err(ControlError::from)?;
    let lists = control.lists();
    let mut attention: Vec<String> = control.keeping().alarms().into_iter().map(|alarm| alarm.what).collect();
    attention.extend(lists.alarms());
    let status = admin.certificates.as_ref().and_then(|certificates| certificates.status(now).problem);
    attention.extend(status);
    let (starter_names, list_names) = control.names();
    let watching = file.profiles.iter().filter(|profile| profile.mode == Mode::Watch);
    Ok(Overview {
        school: file.school.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now,
        timezone: file.timezone.clone(),
        revision: control.policy_file()?.revision,
        watching: watching.map(|profile| profile.id.clone()).collect(),
        starter_names,
        list_names,
        log_failing: admin.log.as_ref().and_then(|log| log.status().failing),
        attention,
        suppliers: lists.suppliers,
        questions,
    })
}

/// Who asks.
#[derive(Debug, Serialize, JsonSchema)]
struct Account {
    /// The name to sign in by.
    name: String,
    /// What people read; for a token, what it is called.
    full_name: String,
    /// The role.
    role: Role,
    /// What the token may do; none for people, who may do whatever their role may.
    scopes: Option<Vec<Scope>>,
}

async fn account_of(visit: Visit, _: Asked) -> Result<Told<Account>, Failure> {
    match visit.identity {
        Identity::Person(session) => {
            let (name, full_name, role) = (session.name, session.full_name, session.role);
            Ok(Told(Account { name, full_name, role, scopes: None }))
        }
        Identity::Program(token) => {
            let (name, full_name, role) = (token.user_name, token.name, token.role);
            Ok(Told(Account { name, full_name, role, scopes: Some(token.scopes) }))
        }
        Identity::Nobody | Identity::Unfinished(_) => Err(Failure::sign_in_first()),
    }
}
