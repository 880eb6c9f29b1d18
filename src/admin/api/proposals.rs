//! Changes that wait for somebody's approval.

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Done, Json, Nothing, Tagged, Told, call},
    doc::{Doc, Tag},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    control::{EditReport, Proposal},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let tag = Tag::Policy;
    let list = Doc::new(tag, "The changes that wait for approval, and those that were decided lately")
        .details("What a technician wants to open is answered with 202 and waits here.");
    let approve =
        Doc::new(tag, "Make a change that somebody else proposed").example(json!({ "note": "until Easter" }));
    let down = Doc::new(tag, "Turn a proposal down, or take back one's own")
        .example(json!({ "note": "not this term" }));
    routes
        .api(Method::GET, "/api/v1/proposals", Right::SeePolicy, list, call(proposals))
        .api(Method::POST, "/api/v1/proposals/{number}/approve", Right::Approve, approve, call(approve_one))
        .api(Method::POST, "/api/v1/proposals/{number}/turn-down", Right::ChangePolicy, down, call(turn_down))
}

/// Proposals, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
struct Proposals {
    /// Each with what became of it.
    proposals: Vec<Proposal>,
}

/// What whoever decides writes beside it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Note {
    /// A line of at most 200 characters; may be empty.
    note: String,
}

async fn proposals(visit: Visit, _: Asked) -> Result<Told<Proposals>, Failure> {
    Ok(Told(Proposals { proposals: visit.admin.control.proposals()? }))
}

/// The number of a proposal, which counts up from 1.
fn number(path: i64) -> u64 {
    u64::try_from(path).unwrap_or(0)
}

async fn approve_one(
    visit: Visit,
    asked: Asked<i64, Nothing, Json<Note>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(Note { note }) = asked.body;
    let report = visit.admin.control.approve(number(asked.path), visit.asked(&note, None)).await?;
    Ok(Tagged(report.revision, report))
}

async fn turn_down(visit: Visit, asked: Asked<i64, Nothing, Json<Note>>) -> Result<Done, Failure> {
    let Json(Note { note }) = asked.body;
    visit.turn_down(number(asked.path), &note)?;
    Ok(Done)
}
