//! Networks and devices: which subnet has which profile, which devices the school knows by name, groups of them, and
//! who asks from nowhere that the school has written down.

mod devices;
mod subnets;
#[cfg(test)]
mod tests;
mod view;

use askama::Template;
use axum::{
    extract::{Form, Query},
    response::Response,
};
use serde::Deserialize;

use self::view::{Device, Group, Network, Stray};
use super::{
    super::{
        access::Right,
        failure::Failure,
        form::Refusal,
        page::{Page, html_with, see},
        routes::Routes,
        visit::Visit,
    },
    change,
};
use crate::{
    clock::Day,
    control::{Edit, SchoolEdit},
    policy::PolicyFile,
    querylog::{LogFolder, strangers},
};

/// How many days are looked at for who is in no network.
const DAYS: u16 = 7;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/networks", Right::SeePolicy, show)
        .post("/networks/add", Right::ChangePolicy, subnets::add)
        .get("/networks/subnet", Right::ChangePolicy, subnets::show)
        .post("/networks/subnet", Right::ChangePolicy, subnets::set)
        .post("/networks/fallback", Right::ChangePolicy, fallback)
        .get("/networks/device", Right::ChangePolicy, devices::show)
        .post("/networks/device", Right::ChangePolicy, devices::save)
        .post("/networks/device/remove", Right::ChangePolicy, devices::remove)
        .post("/networks/suspend", Right::ChangePolicy, devices::suspend)
        .get("/networks/group", Right::ChangePolicy, devices::group)
        .post("/networks/group", Right::ChangePolicy, devices::save_group)
        .post("/networks/group/remove", Right::ChangePolicy, devices::remove_group)
        .post("/networks/undo", Right::ChangePolicy, undo)
}

/// What links ask for, and what was typed to add networks.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    subnets: String,
    profile: String,
    reason: String,
    revision: Option<i64>,
    changed: Option<i64>,
}

#[derive(Template)]
#[template(path = "networks.html")]
struct Show {
    p: Page,
    asked: Asked,
    profiles: Vec<(String, String)>,
    networks: Vec<Network>,
    devices: Vec<Device>,
    groups: Vec<Group>,
    strays: Vec<Stray>,
    hidden: u64,
    fallback: String,
    /// Whether the school named the fallback itself.
    is_named: bool,
    revision: i64,
    refusal: Refusal,
    changed: Option<i64>,
}

/// Every profile: its identifier and title.
fn profiles(file: &PolicyFile) -> Vec<(String, String)> {
    file.profiles.iter().map(|profile| (profile.id.clone(), profile.title().to_owned())).collect()
}

async fn page(visit: &Visit, asked: Asked, refusal: Refusal) -> Result<Response, Failure> {
    let policy = visit.admin.control.policy().load_full();
    let today = Day::of(visit.admin.clock.now());
    let found = visit
        .aside(move |visit| strangers(&LogFolder::in_data(visit.admin.control.folder()), today, DAYS))
        .await?;
    // Without a log there is nobody to tell of.
    let found = found.unwrap_or_default();
    let p = visit.page("networks-title", "/networks");
    let file = policy.file();
    let revision = visit.admin.control.policy_file()?.revision;
    let strays = view::strays(&policy, &found, visit.may(Right::SeeDevices), &visit.words);
    let (fallback, _) = policy.profile(policy.fallback());
    let changed = asked.changed.filter(|changed| *changed == revision && p.may_change());
    let status = refusal.status();
    let shown = Show {
        profiles: profiles(file),
        networks: view::networks(file, &visit.words),
        devices: view::devices(&policy, &visit.words),
        groups: view::groups(file),
        strays,
        hidden: found.hidden,
        fallback: fallback.to_owned(),
        is_named: file.fallback_profile.is_some(),
        revision,
        refusal,
        changed,
        asked,
        p,
    };
    html_with(status, &shown)
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    page(&visit, asked, Refusal::default()).await
}

/// Makes a change and leads back; or asks why.
async fn change_or_ask(
    visit: &Visit,
    edits: Vec<Edit>,
    revision: Option<i64>,
    ask: change::Confirm,
) -> Result<Response, Failure> {
    match change::edit(visit, edits, &ask.reason, revision).await? {
        Ok(report) => Ok(see(&format!("/networks?changed={}", report.revision), "done-saved")),
        Err(refusal) if refusal.wants_reason => {
            html_with(refusal.status(), &change::Confirm { refusal, ..ask })
        }
        Err(refusal) => page(visit, Asked::default(), refusal).await,
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct FallbackAsked {
    profile: String,
    reason: String,
    revision: Option<i64>,
}

/// Says which profile those have who are in no network.
async fn fallback(visit: Visit, Form(asked): Form<FallbackAsked>) -> Result<Response, Failure> {
    let school = SchoolEdit { fallback_profile: Some(asked.profile.clone()), ..SchoolEdit::default() };
    let file = visit.admin.control.policy_file()?.file;
    let title = file.profiles.iter().find(|profile| profile.id == asked.profile);
    let ask = change::Confirm {
        p: visit.page("networks-fallback-title", "/networks"),
        action: String::from("/networks/fallback"),
        what: title
            .map_or_else(|| visit.words.get("networks-strictest"), |profile| profile.title().to_owned()),
        button: visit.words.get("networks-save"),
        fields: vec![("profile", asked.profile), ("revision", written(asked.revision))],
        reason: asked.reason,
        refusal: Refusal::default(),
    };
    change_or_ask(&visit, vec![Edit::SetSchool(school)], asked.revision, ask).await
}

/// A revision as a field has it.
fn written(revision: Option<i64>) -> String {
    revision.map(|revision| revision.to_string()).unwrap_or_default()
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct UndoAsked {
    revision: i64,
}

async fn undo(visit: Visit, Form(asked): Form<UndoAsked>) -> Result<Response, Failure> {
    match change::undo(&visit, asked.revision).await? {
        Ok(_) => Ok(see("/networks", "done-undone")),
        Err(refusal) => page(&visit, Asked::default(), refusal).await,
    }
}

/// An answer of a form that is shown again, or for the first time.
fn shown(refusal: &Refusal, page: &impl Template) -> Result<Response, Failure> {
    html_with(refusal.status(), page)
}
