//! The policy as a whole: what is in force, what it would become, and what it was.

use axum::http::Method;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Json, Nothing, Tagged, Told, call, not_there},
    doc::{Doc, Tag},
    edit::{self, Why, in_force},
    limits::{may_put, may_say},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    control::{Edit, EditReport, Matrix, Preview, ValidationReport},
    policy::{ListSource, PolicyFile},
    store::{Revision, RevisionHead},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let cell = json!({ "edit": "set-cell", "profile": "secondary", "category": "games", "cell": "block" });
    let show = Doc::new(Tag::Policy, "The policy in force, as policy.toml");
    let replace = Doc::new(Tag::Policy, "Put a whole policy in force")
        .details("All of it, or nothing when anything in it is wrong. A list that is read from a file of the box can only be added on its console.")
        .conditional()
        .example(json!({ "text": "version = 1\n", "reason": "back to what the governors agreed on", "dry_run": true }));
    let validate =
        Doc::new(Tag::Policy, "What is wrong with a policy").example(json!({ "text": "version = 1\n" }));
    let matrix = Doc::new(Tag::Policy, "Categories and services by profile");
    let edits = Doc::new(Tag::Policy, "Change the policy, one or more things at once")
        .details("All of them, or none. Where it opens something, a reason is needed.")
        .conditional()
        .example(json!({ "edits": [cell], "reason": "as the governors decided" }));
    let preview = Doc::new(Tag::Policy, "What edits would have done to the questions of the last days")
        .details("Nothing is changed. Takes about a second at most; what could not be read in that time is reckoned.")
        .example(json!({ "edits": [cell], "days": 7 }));
    let revisions = Doc::new(Tag::Policy, "The policies that were published, the newest first");
    let revision = Doc::new(Tag::Policy, "A policy that was published");
    let undo = Doc::new(Tag::Policy, "Take the last change back")
        .details("Only the last revision can be taken back.")
        .example(json!({ "reason": "the wrong profile" }));
    routes
        .api(Method::GET, "/api/v1/policy", Right::SeePolicy, show, call(show_policy))
        .api(Method::PUT, "/api/v1/policy", Right::ChangePolicy, replace, call(replace_policy))
        .api(Method::POST, "/api/v1/policy/validate", Right::SeePolicy, validate, call(validate_policy))
        .api(Method::GET, "/api/v1/policy/matrix", Right::SeePolicy, matrix, call(show_matrix))
        .api(Method::POST, "/api/v1/policy/edits", Right::ChangePolicy, edits, call(make_edits))
        .api(Method::POST, "/api/v1/policy/preview", Right::ChangePolicy, preview, call(preview_edits))
        .api(Method::GET, "/api/v1/policy/revisions", Right::SeePolicy, revisions, call(show_revisions))
        .api(
            Method::GET,
            "/api/v1/policy/revisions/{number}",
            Right::SeePolicy,
            revision,
            call(show_revision),
        )
        .api(
            Method::POST,
            "/api/v1/policy/revisions/{number}/undo",
            Right::ChangePolicy,
            undo,
            call(undo_revision),
        )
}

/// The policy in force.
#[derive(Debug, Serialize, JsonSchema)]
struct PolicyText {
    /// Its revision; 0 is the shipped one.
    revision: i64,
    /// Who published it.
    by: Option<String>,
    /// When.
    at: Option<Timestamp>,
    /// The policy, as `policy.toml`.
    text: String,
}

async fn show_policy(visit: Visit, _: Asked) -> Result<Tagged<PolicyText>, Failure> {
    let now = in_force(&visit)?;
    let text = PolicyText { revision: now.revision, by: now.by, at: now.at, text: now.file.to_toml() };
    Ok(Tagged(now.revision, text))
}

/// A policy to be put in force.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPolicy {
    /// The policy, as `policy.toml`.
    text: String,
    /// Why; must be there where it opens something.
    #[serde(default)]
    reason: String,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

async fn replace_policy(
    visit: Visit,
    asked: Asked<(), Nothing, Json<NewPolicy>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(NewPolicy { text, reason, dry_run }) = asked.body;
    // Who sends a policy from afar must not have the box read whatever file it names.
    if let Ok(new) = PolicyFile::parse(&text) {
        may_put(&visit, &new)?;
        let known = in_force(&visit)?.file.lists;
        let is_file = |list: &&crate::policy::ListFile| matches!(list.source(), Some(ListSource::File(_)));
        if let Some(list) = new.lists.iter().filter(is_file).find(|list| !known.contains(list)) {
            let detail =
                format!("list {}: a list in a file of the box can only be added on its console", list.id);
            return Err(Failure::input(detail));
        }
    }
    let terms = edit::asked(&visit, Why { reason, dry_run }, asked.expect);
    let report = visit.admin.control.restore(&text, terms).await?;
    Ok(Tagged(report.revision, report))
}

/// A policy to be looked at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SomePolicy {
    /// The policy, as `policy.toml`.
    text: String,
}

async fn validate_policy(
    visit: Visit,
    asked: Asked<(), Nothing, Json<SomePolicy>>,
) -> Result<Told<ValidationReport>, Failure> {
    let Json(SomePolicy { text }) = asked.body;
    let validate = move |visit: &Visit| visit.admin.control.validate(String::from("policy"), &text);
    Ok(Told(visit.aside(validate).await?))
}

async fn show_matrix(visit: Visit, _: Asked) -> Result<Tagged<Matrix>, Failure> {
    let matrix = visit.admin.control.matrix();
    Ok(Tagged(matrix.revision, matrix))
}

/// Changes to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewEdits {
    /// The changes, in this order.
    edits: Vec<Edit>,
    /// Why; must be there where they open something. One line of at most 500 characters.
    #[serde(default)]
    reason: String,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

async fn make_edits(
    visit: Visit,
    asked: Asked<(), Nothing, Json<NewEdits>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(NewEdits { edits, reason, dry_run }) = asked.body;
    may_say(&visit, &edits)?;
    edit::edit(&visit, edits, Why { reason, dry_run }, asked.expect).await
}

/// Changes to be tried.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TriedEdits {
    /// The changes, in this order.
    edits: Vec<Edit>,
    /// How many days are looked at, today among them: 1 to 31.
    #[serde(default = "week")]
    days: u16,
}

fn week() -> u16 {
    7
}

async fn preview_edits(
    visit: Visit,
    asked: Asked<(), Nothing, Json<TriedEdits>>,
) -> Result<Told<Preview>, Failure> {
    let Json(TriedEdits { edits, days }) = asked.body;
    Ok(Told(visit.admin.control.preview(edits, days).await?))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only those before this revision.
    before: Option<i64>,
    /// How many: 1 to 500; 100, if left out.
    #[serde(default = "hundred")]
    limit: u32,
}

fn hundred() -> u32 {
    100
}

/// Some of the published policies.
#[derive(Debug, Serialize, JsonSchema)]
struct Revisions {
    /// The newest first.
    revisions: Vec<RevisionHead>,
    /// The address of the next page; none when there are no more.
    next: Option<String>,
}

async fn show_revisions(visit: Visit, asked: Asked<(), Which>) -> Result<Told<Revisions>, Failure> {
    let limit = asked.query.limit.clamp(1, 500);
    let mut revisions = visit.admin.control.revisions(asked.query.before, limit + 1)?;
    let is_more = revisions.len() > limit as usize;
    revisions.truncate(limit as usize);
    let last = revisions.last().filter(|_| is_more);
    let next = last.map(|last| format!("/api/v1/policy/revisions?before={}&limit={limit}", last.number));
    Ok(Told(Revisions { revisions, next }))
}

async fn show_revision(visit: Visit, asked: Asked<i64>) -> Result<Told<Revision>, Failure> {
    Ok(Told(visit.admin.control.revision(asked.path)?.ok_or_else(not_there)?))
}

/// How a change is taken back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Undo {
    /// Why; may be left out.
    #[serde(default)]
    reason: String,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

async fn undo_revision(
    visit: Visit,
    asked: Asked<i64, Nothing, Json<Undo>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(Undo { reason, dry_run }) = asked.body;
    let terms = edit::asked(&visit, Why { reason, dry_run }, None);
    let report = visit.admin.control.undo(asked.path, terms).await?;
    Ok(Tagged(report.revision, report))
}
