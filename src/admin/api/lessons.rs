//! What is opened or narrowed for a lesson.

use axum::http::Method;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Json, Nothing, Tagged, call},
    doc::{Doc, Tag},
    edit::{Why, edit, in_force, shown},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    control::{Edit, EditReport, Lesson, Opening, TooRisky, latest_lesson_end},
    policy::Action,
    querylog::search::zone,
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, run) = (Tag::Lessons, Right::RunLessons);
    let show = Doc::new(tag, "The lessons that are going on, and what is open for a time");
    let start = Doc::new(tag, "Let a room reach only a few names until a moment")
        .details(
            "Teachers: at most 8 hours and until the end of the school day, and nothing of a category that is locked or of high risk is opened.",
        )
        .conditional()
        .example(json!({
            "name": "Year 6 science", "room": ["10.20.6.0/24"], "only": ["bbc.co.uk", "service:youtube"],
            "until": "2026-11-26T11:15:00Z",
        }));
    let end = Doc::new(tag, "End a lesson before its time, with what it opened").conditional();
    let open = Doc::new(tag, "Open names for some clients or profiles until a moment")
        .details("Teachers: for clients only, at most 8 hours and until the end of the school day, and nothing of a category that is locked or of high risk.")
        .conditional()
        .example(json!({ "what": ["service:youtube"], "clients": ["10.20.6.0/24"], "until": "2026-11-26T11:15:00Z" }));
    let close = Doc::new(tag, "End an opening before its time")
        .conditional()
        .example(json!({ "what": ["service:youtube"], "clients": ["10.20.6.0/24"] }));
    routes
        .api(Method::GET, "/api/v1/lessons", run, show, call(lessons))
        .api(Method::POST, "/api/v1/lessons", run, start, call(start_lesson))
        .api(Method::DELETE, "/api/v1/lessons/{name}", run, end, call(end_lesson))
        .api(Method::POST, "/api/v1/openings", run, open, call(open_names))
        .api(Method::POST, "/api/v1/openings/close", run, close, call(close_names))
}

/// Lessons and openings.
#[derive(Debug, Serialize, JsonSchema)]
struct Lessons {
    /// Rooms that reach only a few names.
    lessons: Vec<LessonReport>,
    /// Names that are open for a time.
    openings: Vec<OpeningReport>,
}

/// A room that reaches only a few names.
#[derive(Debug, Serialize, JsonSchema)]
struct LessonReport {
    /// What people call it.
    name: String,
    /// The room.
    room: Vec<String>,
    /// What alone is open.
    only: Vec<String>,
    /// When it ends; none for one that holds until it is ended.
    until: Option<String>,
}

/// A name that is open for a time.
#[derive(Debug, Serialize, JsonSchema)]
struct OpeningReport {
    /// The name.
    name: String,
    /// For which profiles; all, if empty.
    profiles: Vec<String>,
    /// For which clients; all of the profiles, if empty.
    clients: Vec<String>,
    /// When it ends.
    until: String,
    /// Why; may be empty.
    reason: String,
}

async fn lessons(visit: Visit, _: Asked) -> Result<Tagged<Lessons>, Failure> {
    let now = in_force(&visit)?;
    let lessons = now.file.lessons.into_iter().map(|lesson| LessonReport {
        name: lesson.name,
        room: lesson.room,
        only: lesson.only.iter().map(|name| shown(&visit, name)).collect(),
        until: lesson.until.map(|until| until.to_string()),
    });
    let opened = now.file.rules.into_iter().filter(|rule| rule.action == Action::Allow);
    let openings = opened.filter_map(|rule| {
        Some(OpeningReport {
            until: rule.until?.to_string(),
            name: shown(&visit, &rule.name),
            profiles: rule.profiles.unwrap_or_default(),
            clients: rule.clients.unwrap_or_default(),
            reason: shown(&visit, &rule.reason),
        })
    });
    let lessons = Lessons { lessons: lessons.collect(), openings: openings.collect() };
    Ok(Tagged(now.revision, lessons))
}

/// That who runs lessons and may not change the policy stays within bounds.
async fn within_bounds(visit: &Visit, until: Timestamp, opened: &[String]) -> Result<(), Failure> {
    if visit.may(Right::ChangePolicy) {
        return Ok(());
    }
    let policy = visit.admin.control.policy().load_full();
    let latest = latest_lesson_end(policy.file(), &visit.admin.clock.now().to_zoned(zone(&policy)));
    if until > latest {
        return Err(Failure::input(format!(
            "until: a lesson is at most 8 hours long and ends with the school day; write {latest} or earlier"
        )));
    }
    let opened = opened.to_vec();
    match visit.aside(move |visit| visit.admin.control.too_risky(&opened)).await?? {
        Some(TooRisky::Category { what, category, below }) => {
            let below = below.map_or_else(String::new, |below| format!(" ({below} below it)"));
            let detail = format!(
                "{}{below} is of the category “{category}”, which a lesson can't open; ask who decides on the policy",
                shown(visit, &what)
            );
            Err(Failure::input(detail))
        }
        Some(TooRisky::TooWide { what }) => {
            let detail = format!("{what} is too wide: others register names below it; name one site");
            Err(Failure::input(detail))
        }
        None => Ok(()),
    }
}

async fn start_lesson(
    visit: Visit,
    asked: Asked<(), Why, Json<Lesson>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(lesson) = asked.body;
    within_bounds(&visit, lesson.until, &lesson.allow).await?;
    edit(&visit, vec![Edit::StartLesson(lesson)], asked.query, asked.expect).await
}

async fn end_lesson(visit: Visit, asked: Asked<String, Why>) -> Result<Tagged<EditReport>, Failure> {
    edit(&visit, vec![Edit::EndLesson { name: asked.path }], asked.query, asked.expect).await
}

async fn open_names(
    visit: Visit,
    asked: Asked<(), Why, Json<Opening>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(opening) = asked.body;
    within_bounds(&visit, opening.until, &opening.what).await?;
    if !visit.may(Right::ChangePolicy) && opening.clients.iter().all(|client| client.trim().is_empty()) {
        return Err(Failure::input("clients: name the room's subnet or its devices"));
    }
    edit(&visit, vec![Edit::Open(opening)], asked.query, asked.expect).await
}

/// An opening to be ended.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Closing {
    /// What was opened, as it was said then; everything that is open for these clients, if left out.
    #[serde(default)]
    what: Vec<String>,
    /// For which clients, as it was said then.
    #[serde(default)]
    clients: Vec<String>,
    /// For which profiles, as it was said then.
    #[serde(default)]
    profiles: Vec<String>,
    /// Why; may be left out.
    #[serde(default)]
    reason: String,
}

async fn close_names(
    visit: Visit,
    asked: Asked<(), Nothing, Json<Closing>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(Closing { what, clients, profiles, reason }) = asked.body;
    let why = Why { reason, dry_run: false };
    edit(&visit, vec![Edit::Close { what, clients, profiles }], why, asked.expect).await
}
