//! First-boot set-up: from a box that nobody knows to a network that asks it, step by step. Each step is a page of its
//! own, can be left and come back to, and is there later too.

mod about;
mod begin;
mod directory;
mod door;
mod finish;
mod mail;
mod networks;
mod people;
mod resolving;
mod restore;
#[cfg(test)]
mod tests;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use jiff::Timestamp;

use super::super::{
    access::Right,
    failure::Failure,
    form::{Fields, Refusal},
    page::{Page, html_with, see},
    routes::Routes,
    visit::Visit,
};
use crate::{admin::when::When, control::Edit, school::Step};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/set-up", Right::Open, door::show)
        .post("/set-up", Right::Open, door::claim)
        .get("/set-up/restore", Right::Open, restore::show)
        .post("/set-up/restore", Right::Open, restore::put)
        .get("/set-up/break-glass", Right::ManageUsers, about::break_glass)
        .post("/set-up/break-glass", Right::ManageUsers, about::seal)
        .get("/set-up/school", Right::ChangeSystem, about::school)
        .post("/set-up/school", Right::ChangePolicy, about::put_school)
        .get("/set-up/mail", Right::ChangeSystem, mail::show)
        .post("/set-up/mail", Right::ChangeSystem, mail::put)
        .get("/set-up/people", Right::ChangeSystem, people::show)
        .post("/set-up/people", Right::ChangeSystem, people::put)
        .post("/set-up/people/code", Right::ChangeSystem, people::send_code)
        .post("/set-up/people/confirm", Right::ChangeSystem, people::confirm)
        .get("/set-up/suppliers", Right::ChangeSystem, about::suppliers)
        .post("/set-up/suppliers", Right::ChangePolicy, about::put_suppliers)
        .get("/set-up/networks", Right::ChangeSystem, networks::show)
        .post("/set-up/networks", Right::ChangePolicy, networks::put)
        .get("/set-up/directory", Right::ChangeSystem, directory::show)
        .post("/set-up/directory", Right::ChangeSystem, directory::find)
        .post("/set-up/directory/zones", Right::ChangeSystem, directory::put)
        .get("/set-up/resolving", Right::ChangeSystem, resolving::show)
        .post("/set-up/resolving", Right::ChangeSystem, resolving::put)
        .get("/set-up/categories", Right::ChangeSystem, begin::categories)
        .post("/set-up/categories", Right::ChangeSystem, begin::categories_seen)
        .get("/set-up/start", Right::ChangeSystem, begin::start)
        .post("/set-up/start", Right::ChangePolicy, begin::put_start)
        .post("/set-up/start/prolong", Right::ChangePolicy, begin::prolong)
        .get("/set-up/finish", Right::ChangeSystem, finish::show)
        .post("/set-up/finish", Right::ChangeSystem, finish::done)
}

/// One step, as the list of them shows it.
struct Place {
    path: String,
    title: String,
    number: usize,
    is_done: bool,
    is_current: bool,
}

/// What is around each step. Templates call it `w`.
struct Wizard {
    places: Vec<Place>,
    /// Where the form of the step is sent.
    path: String,
    /// What was wrong with what was sent.
    refusal: Refusal,
    /// Every step was done, so a change is one like any other.
    is_finished: bool,
    /// The policy that the form was made from.
    revision: i64,
    /// Why something is changed; kept when a form is shown again.
    reason: String,
}

fn path(step: Step) -> String {
    format!("/set-up/{}", step.word())
}

/// The frame and the steps around one of them.
fn around(visit: &Visit, step: Step, wrong: Option<&Refusal>, fields: &Fields) -> (Page, Wizard) {
    let school = visit.admin.school.file();
    let title = |step: Step| format!("set-up-step-{}", step.word());
    let places = Step::ALL.into_iter().enumerate().map(|(place, other)| Place {
        path: path(other),
        title: visit.words.get(&title(other)),
        number: place + 1,
        is_done: school.set_up.contains(&other),
        is_current: other == step,
    });
    let wizard = Wizard {
        places: places.collect(),
        path: path(step),
        refusal: wrong.cloned().unwrap_or_default(),
        is_finished: school.next_step().is_none(),
        // Without the database nothing can be changed, which a change says.
        revision: visit.admin.control.policy_file().map_or(0, |in_force| in_force.revision),
        reason: fields.get("reason").to_owned(),
    };
    let mut page = visit.page(&title(step), "");
    // It would say on each step that there are more.
    page.banners.retain(|(_, link)| *link != "/set-up");
    (page, wizard)
}

/// A step's page, with the status of what was wrong with what was sent.
fn shown(wrong: Option<&Refusal>, template: &impl Template) -> Result<Response, Failure> {
    html_with(wrong.map_or(StatusCode::OK, Refusal::status), template)
}

/// Writes down that a step was done, and leads on: to the next, or back to it where all were done before.
fn went_on(visit: &Visit, step: Step) -> Result<Response, Failure> {
    let was_finished = visit.admin.school.file().next_step().is_none();
    visit.admin.school.done(step).map_err(Failure::inside)?;
    Ok(match step.next() {
        _ if was_finished => see(&path(step), "done-saved"),
        Some(next) => see(&path(next), ""),
        None => see("/", "done-set-up"),
    })
}

/// Changes the policy. While the box is set up, that is reason enough.
async fn edit(visit: &Visit, fields: &Fields, edits: Vec<Edit>) -> Result<Result<(), Refusal>, Failure> {
    if edits.is_empty() {
        return Ok(Ok(()));
    }
    let is_finished = visit.admin.school.file().next_step().is_none();
    let given = fields.get("reason");
    let reason =
        if given.is_empty() && !is_finished { visit.words.get("set-up-reason") } else { given.to_owned() };
    let mut asked = visit.asked(&reason, fields.get("revision").parse().ok());
    // Who sets the box up decides how it begins; afterwards the rule is that of the other pages.
    asked.propose &= is_finished;
    match visit.admin.control.edit(edits, asked).await {
        Ok(_) => Ok(Ok(())),
        Err(error) => Refusal::of(visit, error).map(Err),
    }
}

/// A moment as people of the school read it: `Thu 26 Nov, 14:05`.
fn moment(visit: &Visit, at: Timestamp) -> String {
    let policy = visit.admin.control.policy().load_full();
    When::of(&policy).minute(at, visit.admin.clock.now())
}

/// The profiles of the policy: identifiers and titles.
fn profiles(visit: &Visit) -> Vec<(String, String)> {
    let policy = visit.admin.control.policy().load_full();
    policy.file().profiles.iter().map(|profile| (profile.id.clone(), profile.title().to_owned())).collect()
}
