//! Who changed what.

use axum::http::Method;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    call::{Asked, Told, call},
    doc::{Doc, Tag},
};
use crate::{
    admin::{
        access::Right,
        failure::Failure,
        routes::Routes,
        visit::{Visit, encoded},
    },
    store::{AuditLine, AuditProof, AuditQuery, MOST_AUDIT_LINES},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let lines = Doc::new(Tag::Audit, "Who changed what, the newest first")
        .details("Pages are stable while lines are added.");
    let proof = Doc::new(Tag::Audit, "Whether the audit is as it was written");
    routes.api(Method::GET, "/api/v1/audit", Right::SeeAudit, lines, call(audit)).api(
        Method::GET,
        "/api/v1/audit/proof",
        Right::SeeAudit,
        proof,
        call(prove),
    )
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Query {
    /// Only lines before this one.
    before: Option<i64>,
    /// How many: 1 to 1000; 100, if left out.
    limit: Option<u32>,
    /// Only of somebody whose name has this in it, in capitals or not.
    by: Option<String>,
    /// Only actions that begin so: `policy.`.
    action: Option<String>,
    /// Only lines with this in what was done, before, after or why; in capitals or not.
    text: Option<String>,
    /// Only from this moment on.
    from: Option<Timestamp>,
    /// Only before this moment.
    to: Option<Timestamp>,
}

/// Some lines of the audit.
#[derive(Debug, Serialize, JsonSchema)]
struct Lines {
    /// The newest first.
    lines: Vec<AuditLine>,
    /// The address of the next page; none when there are no more.
    next: Option<String>,
}

async fn audit(visit: Visit, asked: Asked<(), Query>) -> Result<Told<Lines>, Failure> {
    let Query { before, limit, by, action, text, from, to } = asked.query;
    let limit = limit.unwrap_or(100).clamp(1, MOST_AUDIT_LINES);
    let mut again = format!("/api/v1/audit?limit={limit}");
    for (name, value) in [("by", &by), ("action", &action), ("text", &text)] {
        if let Some(value) = value {
            again.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    for (name, value) in [("from", from), ("to", to)] {
        if let Some(value) = value {
            again.push_str(&format!("&{name}={}", encoded(&value.to_string())));
        }
    }
    let query = AuditQuery { before, limit, by, action, text, from, to };
    let page = visit.aside(move |visit| visit.admin.control.audit_page(&query)).await??;
    let next = page.next.map(|next| format!("{again}&before={next}"));
    Ok(Told(Lines { lines: page.lines, next }))
}

async fn prove(visit: Visit, _: Asked) -> Result<Told<AuditProof>, Failure> {
    Ok(Told(visit.aside(|visit| visit.admin.control.verify_audit()).await??))
}
