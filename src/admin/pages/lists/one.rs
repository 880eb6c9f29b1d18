//! One list: its versions, the one that waits, and what can be done about it.

use askama::Template;
use axum::{
    extract::{Form, Path, Query},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    super::super::{
        access::Right,
        failure::Failure,
        form::{Fields, Refusal},
        page::{Page, html_with, see},
        visit::{Visit, encoded},
        when::When,
    },
    super::change,
    State, category,
};
use crate::{
    category::is_sealed,
    control::{ControlError, DiffReport, Edit, HeldReport, ListReport, SubscriptionReport, Updated},
    lists::catalogue::{Catalogue, Listing},
    policy::{Action, ListSource},
};

/// How many names of each side of a difference are shown.
const SHOWN: usize = 200;

/// A version as a row.
struct Version {
    number: u32,
    came: String,
    entries: u64,
    in_force: bool,
    held: bool,
    rejected: bool,
}

#[derive(Template)]
#[template(path = "list.html")]
struct Show {
    p: Page,
    may_change: bool,
    list: ListReport,
    category: String,
    opens: bool,
    state: State,
    listing: Option<&'static Listing>,
    subscription: SubscriptionReport,
    held: Option<HeldReport>,
    /// Times as people read them.
    since: String,
    tried: String,
    succeeded: String,
    next: String,
    held_since: String,
    versions: Vec<Version>,
    /// It is brought by hand.
    upload: bool,
    /// It is written by the school.
    own: bool,
    text: String,
    /// Why the text is changed.
    reason: String,
    refusal: Refusal,
    /// What became of a text that was just brought.
    brought: Option<Updated>,
}

/// What is shown again after a form was refused, or done.
#[derive(Default)]
struct Kept {
    text: Option<String>,
    reason: String,
    refusal: Refusal,
    brought: Option<Updated>,
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    page(&visit, &id, Kept::default()).await
}

async fn page(visit: &Visit, id: &str, kept: Kept) -> Result<Response, Failure> {
    let report = visit.aside(|visit| visit.admin.control.lists()).await?;
    let list = report.lists.into_iter().find(|list| list.id == id && list.subscription.is_some());
    let list = list.ok_or_else(Failure::not_found)?;
    let policy = visit.admin.control.policy().load_full();
    let (when, now) = (When::of(&policy), visit.admin.clock.now());
    let moment = |at: Option<Timestamp>| at.map(|at| when.minute(at, now)).unwrap_or_default();
    let subscription = list.subscription.clone().unwrap_or_default();
    let held = subscription.held.clone();
    let version = |version: &crate::control::VersionReport| Version {
        number: version.number,
        came: when.minute(version.at, now),
        entries: version.entries,
        in_force: subscription.number == Some(version.number),
        held: held.as_ref().is_some_and(|held| held.number == version.number),
        rejected: version.rejected,
    };
    let written = policy.file().lists.iter().find(|known| known.id == id);
    let source = written.and_then(|written| written.source());
    // Nobody gets to see the lines of a list that must not be shown.
    let text = match source {
        Some(ListSource::Text(text)) if !is_sealed(&list.category) => text.to_owned(),
        _ => String::new(),
    };
    let status = kept.refusal.status();
    let mut p = visit.page("lists-one", "/lists");
    p.title.clone_from(&list.title);
    html_with(
        status,
        &Show {
            p,
            may_change: visit.may(Right::ChangeLists),
            category: category(&policy, &list.category),
            opens: list.action == Action::Allow,
            state: State::of(&list),
            listing: Catalogue::shipped().find(id).filter(|listing| {
                written.is_some_and(|written| written.url.as_deref() == Some(listing.url.as_str()))
            }),
            since: moment(subscription.since),
            tried: moment(subscription.last_attempt),
            succeeded: moment(subscription.last_success),
            next: moment(subscription.next),
            held_since: moment(held.as_ref().map(|held| held.since)),
            versions: subscription.versions.iter().rev().map(version).collect(),
            upload: source == Some(ListSource::Upload),
            own: matches!(source, Some(ListSource::Text(_))) && !is_sealed(&list.category),
            text: kept.text.unwrap_or(text),
            reason: kept.reason,
            list,
            held,
            subscription,
            refusal: kept.refusal,
            brought: kept.brought,
        },
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Between {
    from: Option<u32>,
    to: Option<u32>,
}

#[derive(Template)]
#[template(path = "list_changes.html")]
struct Changes {
    p: Page,
    id: String,
    diff: DiffReport,
    sealed: bool,
}

#[derive(Template)]
#[template(path = "list_changes.html", block = "changes")]
struct ChangesPart {
    p: Page,
    diff: DiffReport,
    sealed: bool,
}

/// What changed between two versions. Both are read for it, which takes a moment for a large list.
pub(super) async fn changes(
    visit: Visit,
    Path(id): Path<String>,
    Query(between): Query<Between>,
) -> Result<Response, Failure> {
    let policy = visit.admin.control.policy().load_full();
    let known = policy.file().lists.iter().find(|list| list.id == id).ok_or_else(Failure::not_found)?;
    let sealed = is_sealed(&known.category);
    let diff = visit.admin.control.diff(&id, between.from, between.to, SHOWN).await?;
    let p = visit.page("lists-changes", "/lists");
    if visit.part {
        html_with(StatusCode::OK, &ChangesPart { p, diff, sealed })
    } else {
        html_with(StatusCode::OK, &Changes { p, id, diff, sealed })
    }
}

/// Leads on, asks why where that is all that is missing, or says at the list what was wrong.
async fn done<T>(
    visit: &Visit,
    id: &str,
    outcome: Result<T, ControlError>,
    (to, key): (&str, &'static str),
    ask: change::Confirm,
) -> Result<Response, Failure> {
    match outcome {
        Ok(_) => Ok(see(to, key)),
        Err(error) => match Refusal::of(visit, error)? {
            refusal if refusal.wants_reason => {
                html_with(refusal.status(), &change::Confirm { refusal, ..ask })
            }
            refusal => page(visit, id, Kept { refusal, ..Kept::default() }).await,
        },
    }
}

/// What asks why something is done with a list: by the word in its address and the key of its button.
fn confirm(visit: &Visit, id: &str, (word, button): (&str, &str), fields: &Fields) -> change::Confirm {
    let policy = visit.admin.control.policy().load_full();
    let list = policy.file().lists.iter().find(|list| list.id == id);
    let title = list.map(|list| &list.title).filter(|title| !title.is_empty());
    let version = fields.get("version").to_owned();
    change::Confirm {
        p: visit.page(button, "/lists"),
        action: format!("/lists/list/{}/{word}", encoded(id)),
        fields: if version.is_empty() { Vec::new() } else { vec![("version", version)] },
        what: title.map_or(id, String::as_str).to_owned(),
        button: visit.words.get(button),
        reason: fields.get("reason").to_owned(),
        refusal: Refusal::default(),
    }
}

pub(super) async fn accept(
    visit: Visit,
    Path(id): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    // What is accepted is what was looked at: another version may be held since.
    let seen = fields.get("version").parse::<u32>().ok();
    let report = visit.aside(|visit| visit.admin.control.lists()).await?;
    let subscriptions = report.lists.iter().filter(|list| list.id == id);
    let held = subscriptions.filter_map(|list| list.subscription.as_ref()?.held.as_ref()).next();
    if held.map(|held| held.number) != seen {
        let refusal = Refusal::new(visit.words.get("lists-other-held"));
        return page(&visit, &id, Kept { refusal, ..Kept::default() }).await;
    }
    let asked = visit.asked(fields.get("reason"), None);
    let outcome = visit.admin.control.accept_lists(std::slice::from_ref(&id), &asked).await;
    let back = format!("/lists/list/{id}");
    let ask = confirm(&visit, &id, ("accept", "lists-accept"), &fields);
    done(&visit, &id, outcome, (back.as_str(), "done-list-accepted"), ask).await
}

pub(super) async fn roll_back(
    visit: Visit,
    Path(id): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let Ok(version) = fields.get("version").parse::<u32>() else {
        return Err(Failure::new("failure-form", StatusCode::UNPROCESSABLE_ENTITY));
    };
    let asked = visit.asked(fields.get("reason"), None);
    let outcome = visit.admin.control.roll_back(&id, Some(version), &asked).await;
    let back = format!("/lists/list/{id}");
    let ask = confirm(&visit, &id, ("roll-back", "lists-roll-back"), &fields);
    done(&visit, &id, outcome, (back.as_str(), "done-list-rolled-back"), ask).await
}

pub(super) async fn remove(
    visit: Visit,
    Path(id): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let asked = visit.asked(fields.get("reason"), None);
    let outcome = visit.admin.control.edit(vec![Edit::RemoveList { list: id.clone() }], asked).await;
    let ask = confirm(&visit, &id, ("remove", "lists-remove"), &fields);
    done(&visit, &id, outcome, ("/lists", "done-list-removed"), ask).await
}

/// Takes in a text: of a list that is brought by hand, or that the school writes.
pub(super) async fn bring(
    visit: Visit,
    Path(id): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let text = fields.whole("text").replace("\r\n", "\n");
    let control = &visit.admin.control;
    let policy = control.policy().load_full();
    let known = policy.file().lists.iter().find(|list| list.id == id).ok_or_else(Failure::not_found)?;
    let mut kept = Kept { reason: fields.get("reason").to_owned(), ..Kept::default() };
    let outcome = if matches!(known.source(), Some(ListSource::Text(_))) {
        let edit = Edit::WriteList { list: id.clone(), text: text.clone() };
        control.edit(vec![edit], visit.asked(&kept.reason, None)).await.map(|_| None)
    } else {
        let brought = control.upload_text(&id, text.clone().into_bytes(), false, &visit.by()).await;
        brought.map(|report| report.lists.into_iter().next())
    };
    match outcome {
        Ok(None) => return Ok(see(&format!("/lists/list/{id}"), "done-saved")),
        Ok(brought) => kept.brought = brought,
        Err(error) => (kept.text, kept.refusal) = (Some(text), Refusal::of(&visit, error)?),
    }
    page(&visit, &id, kept).await
}
