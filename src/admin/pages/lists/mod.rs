//! Lists: what the school subscribed to and how that goes, what it could subscribe to, and which list has a name.

mod add;
mod one;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Form, Query},
    http::HeaderValue,
    response::Response,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::super::{
    access::Right,
    failure::Failure,
    form::{Fields, Refusal},
    page::{Page, html, html_with, see},
    routes::Routes,
    updates::Round,
    visit::Visit,
    when::When,
};
use crate::{
    control::{ListReport, Outcome, Updated, WhyReport},
    policy::{Action, Policy},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/lists", Right::SeeLists, show)
        .get("/lists/update", Right::SeeLists, progress)
        .post("/lists/update", Right::ChangeLists, update)
        .get("/lists/add", Right::ChangeLists, add::show)
        .post("/lists/add", Right::ChangeLists, add::subscribe)
        .post("/lists/add/own", Right::ChangeLists, add::own)
        .get("/lists/list/{id}", Right::SeeLists, one::show)
        .get("/lists/list/{id}/changes", Right::SeeLists, one::changes)
        .post("/lists/list/{id}/accept", Right::ChangeLists, one::accept)
        .post("/lists/list/{id}/roll-back", Right::ChangeLists, one::roll_back)
        .post("/lists/list/{id}/text", Right::ChangeLists, one::bring)
        .post("/lists/list/{id}/remove", Right::ChangeLists, one::remove)
}

/// How a list is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A version waits for a person.
    Held,
    /// Nothing of it is in force, and it can't be had.
    Failed,
    /// It is in force, and can't be had lately.
    Stale,
    /// It was not had yet.
    Awaited,
    /// All is well.
    Good,
}

impl State {
    fn of(list: &ListReport) -> Self {
        let Some(subscription) = &list.subscription else { return Self::Good };
        match (&subscription.held, &subscription.error, subscription.number) {
            (Some(_), ..) => Self::Held,
            (None, Some(_), None) => Self::Failed,
            (None, Some(_), Some(_)) if subscription.failures > 1 => Self::Stale,
            (None, _, None) => Self::Awaited,
            (None, _, Some(_)) => Self::Good,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Held => "lists-held",
            Self::Failed => "lists-failed",
            Self::Stale => "lists-stale",
            Self::Awaited => "lists-awaited",
            Self::Good => "lists-good",
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::Held | Self::Stale => "warn",
            Self::Failed => "bad",
            Self::Awaited => "",
            Self::Good => "good",
        }
    }

    fn icon(self) -> &'static str {
        match self {
            Self::Held => "pause",
            Self::Failed => "circle-x",
            Self::Stale => "triangle-alert",
            Self::Awaited => "hourglass",
            Self::Good => "check",
        }
    }
}

/// A list as a row.
struct Row {
    id: String,
    title: String,
    category: String,
    opens: bool,
    entries: Option<u64>,
    state: State,
    /// When the version in force came; empty where there is none.
    since: String,
    added: u64,
    removed: u64,
    next: String,
}

/// The title of a category.
fn category(policy: &Policy, id: &str) -> String {
    let categories = policy.categories();
    categories.find(id).map_or_else(|| id.to_owned(), |found| categories.get(found).title.clone())
}

fn row(policy: &Policy, when: &When, now: Timestamp, list: &ListReport) -> Row {
    let subscription = list.subscription.clone().unwrap_or_default();
    let moment = |at: Option<Timestamp>| at.map(|at| when.minute(at, now)).unwrap_or_default();
    Row {
        id: list.id.clone(),
        title: list.title.clone(),
        category: category(policy, &list.category),
        opens: list.action == Action::Allow,
        entries: list.entries,
        state: State::of(list),
        since: moment(subscription.since),
        added: subscription.added.unwrap_or_default(),
        removed: subscription.removed.unwrap_or_default(),
        next: moment(subscription.next),
    }
}

/// An update, as it is told.
struct Progress {
    going_on: bool,
    /// The title of the list that is being fetched.
    fetching: Option<String>,
    began: String,
    wrong: Option<String>,
    results: Vec<(String, Updated)>,
}

impl Progress {
    fn of(visit: &Visit, round: &Round) -> Self {
        let control = &visit.admin.control;
        let policy = control.policy().load_full();
        let title = |id: &str| {
            let list = policy.file().lists.iter().find(|list| list.id == id);
            list.map_or_else(
                || id.to_owned(),
                |list| {
                    if list.title.is_empty() { list.id.clone() } else { list.title.clone() }
                },
            )
        };
        let asked = |id: &String| round.ids.is_empty() || round.ids.contains(id);
        let going_on = round.done.is_none();
        let fetching = if going_on { control.being_fetched().into_iter().find(asked) } else { None };
        let (wrong, results) = match &round.done {
            None => (None, Vec::new()),
            Some(Err(error)) => (Some(error.clone()), Vec::new()),
            Some(Ok(lists)) => (None, lists.iter().map(|list| (title(&list.id), list.clone())).collect()),
        };
        Self {
            going_on,
            fetching: fetching.map(|id| title(&id)),
            began: When::of(&policy).hour(round.began),
            wrong,
            results,
        }
    }
}

#[derive(Template)]
#[template(path = "lists.html")]
struct Show {
    p: Page,
    may_change: bool,
    own: Vec<Row>,
    built_in: Vec<Row>,
    progress: Option<Progress>,
    name: String,
    why: Option<WhyReport>,
    refusal: Refusal,
}

#[derive(Template)]
#[template(path = "lists.html", block = "update")]
struct ProgressPart {
    p: Page,
    progress: Option<Progress>,
}

#[derive(Template)]
#[template(path = "lists.html", block = "why")]
struct WhyPart {
    p: Page,
    why: Option<WhyReport>,
    refusal: Refusal,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// The name that is looked for.
    name: String,
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let name = asked.name.trim().to_owned();
    let (mut why, mut refusal) = (None, Refusal::default());
    if !name.is_empty() {
        let host = crate::name::host_of(&name).to_owned();
        match visit.aside(move |visit| visit.admin.control.why(&host)).await? {
            Ok(found) => why = Some(found),
            // Nothing was to be changed, so nothing is said of that.
            Err(error) if error.is_bad_input() => refusal = Refusal::new(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    let p = visit.page("lists-title", "/lists");
    let status = refusal.status();
    if visit.part {
        return html_with(status, &WhyPart { p, why, refusal });
    }
    let report = visit.aside(|visit| visit.admin.control.lists()).await?;
    let policy = visit.admin.control.policy().load_full();
    let (when, now) = (When::of(&policy), visit.admin.clock.now());
    let rows = |own: bool| {
        let lists = report.lists.iter().filter(|list| list.subscription.is_some() == own);
        lists.map(|list| row(&policy, &when, now, list)).collect()
    };
    let round = visit.admin.updates.last();
    html_with(
        status,
        &Show {
            p,
            may_change: visit.may(Right::ChangeLists),
            own: rows(true),
            built_in: rows(false),
            progress: round.map(|round| Progress::of(&visit, &round)),
            name,
            why,
            refusal,
        },
    )
}

async fn progress(visit: Visit) -> Result<Response, Failure> {
    if !visit.part {
        return Ok(see("/lists#update", ""));
    }
    let progress = visit.admin.updates.last().map(|round| Progress::of(&visit, &round));
    let is_over = progress.as_ref().is_none_or(|progress| !progress.going_on);
    let mut response = html(&ProgressPart { p: visit.page("lists-title", "/lists"), progress })?;
    if is_over {
        // What the table says is of before.
        response.headers_mut().insert("hx-refresh", HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn update(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let ids: Vec<String> =
        Some(fields.get("id").to_owned()).filter(|id| !id.is_empty()).into_iter().collect();
    let admin = Arc::clone(&visit.admin);
    let known = admin.control.policy().load_full();
    if ids.iter().any(|id| !known.file().lists.iter().any(|list| list.id == *id)) {
        return Err(Failure::not_found());
    }
    if admin.updates.begin(&ids, admin.clock.now()) {
        let by = visit.by();
        tokio::spawn(async move {
            let control = Arc::clone(&admin.control);
            // On a task of its own, so that it is ended whatever happens to it.
            let update = tokio::spawn(async move { control.update_lists(&ids, &by, false).await });
            let outcome = match update.await {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            admin.updates.end(outcome);
        });
    }
    Ok(see("/lists#update", ""))
}
