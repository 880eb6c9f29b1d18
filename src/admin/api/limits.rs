//! What DNS filtering can't do, what the school does about it, and who supplies the lists of illegal content.

use axum::http::Method;
use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Json, Tagged, call},
    doc::{Doc, Tag},
    edit::{Why, edit, in_force},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    control::{Edit, EditReport, MitigationEdit, SupplierEdit, SuppliersReport},
    policy::{LIMITS, PolicyFile, Supply},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, see, change) = (Tag::Limits, Right::SignedIn, Right::ChangeLimits);
    let list = Doc::new(tag, "The limits of DNS filtering, and what the school does about each");
    let say = Doc::new(tag, "Say what the school does about a limit")
        .details("With an empty text, nothing is said any more.")
        .conditional()
        .example(
            json!({ "text": "The firewall stops VPNs.", "decided": "2026-11-20", "by": "the governors" }),
        );
    let suppliers = Doc::new(tag, "Who supplies the lists of illegal content");
    let set_supplier = Doc::new(tag, "State who supplies the lists of one category of illegal content")
        .conditional()
        .example(json!({ "by": "upstream", "who": "the broadband supplier", "verified": "2026-11-02", "verified_by": "IT" }));
    routes
        .api(Method::GET, "/api/v1/limits", see, list, call(limits))
        .api(Method::PUT, "/api/v1/limits/{limit}", change, say, call(mitigate))
        .api(Method::GET, "/api/v1/suppliers", see, suppliers, call(show_suppliers))
        .api(Method::PUT, "/api/v1/suppliers/{category}", change, set_supplier, call(edit_supplier))
}

/// That who changes the policy may say what these edits say of the school, and change the lists that they change.
pub(super) fn may_say(visit: &Visit, edits: &[Edit]) -> Result<(), Failure> {
    let speaks = |edit: &Edit| matches!(edit, Edit::SetMitigation(_) | Edit::SetSupplier(_));
    let lists = |edit: &Edit| matches!(edit, Edit::RemoveList { .. } | Edit::WriteList { .. });
    let forbidden = (edits.iter().any(speaks) && !visit.may(Right::ChangeLimits))
        || (edits.iter().any(lists) && !visit.may(Right::ChangeLists));
    if forbidden { Err(Failure::not_yours()) } else { Ok(()) }
}

/// The same for a whole policy.
pub(super) fn may_put(visit: &Visit, new: &PolicyFile) -> Result<(), Failure> {
    let old = in_force(visit)?.file;
    let is_same = old.mitigations == new.mitigations && old.suppliers == new.suppliers;
    if is_same || visit.may(Right::ChangeLimits) { Ok(()) } else { Err(Failure::not_yours()) }
}

/// The limits of DNS filtering.
#[derive(Debug, Serialize, JsonSchema)]
struct Limits {
    /// In the order in which people read them.
    limits: Vec<Limit>,
}

/// A limit, and what the school does about it.
#[derive(Debug, Serialize, JsonSchema)]
struct Limit {
    /// Its word.
    limit: String,
    /// What the school does about it; empty where nothing is said.
    text: String,
    /// The day on which that was decided.
    decided: Option<String>,
    /// Who decided it; may be empty.
    by: String,
}

async fn limits(visit: Visit, _: Asked) -> Result<Tagged<Limits>, Failure> {
    let now = in_force(&visit)?;
    let limits = LIMITS.iter().map(|limit| {
        let said = now.file.mitigations.iter().find(|said| said.limit == *limit);
        Limit {
            limit: (*limit).to_owned(),
            text: said.map(|said| said.text.clone()).unwrap_or_default(),
            decided: said.and_then(|said| said.decided).map(|day| day.to_string()),
            by: said.map(|said| said.by.clone()).unwrap_or_default(),
        }
    });
    let limits = limits.collect();
    Ok(Tagged(now.revision, Limits { limits }))
}

/// What the school does about a limit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mitigation {
    /// What it does; nothing is said any more, if empty.
    text: String,
    /// The day on which that was decided.
    decided: Option<Date>,
    /// Who decided it.
    #[serde(default)]
    by: String,
}

async fn mitigate(
    visit: Visit,
    asked: Asked<String, Why, Json<Mitigation>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(Mitigation { text, decided, by }) = asked.body;
    let said = MitigationEdit { limit: asked.path, text, decided, by };
    edit(&visit, vec![Edit::SetMitigation(said)], asked.query, asked.expect).await
}

/// Who supplies the lists of illegal content, as of now.
#[derive(Debug, Serialize, JsonSchema)]
struct Suppliers {
    /// The day that it was said on.
    at: Timestamp,
    /// Each of these categories.
    suppliers: SuppliersReport,
}

async fn show_suppliers(visit: Visit, _: Asked) -> Result<Tagged<Suppliers>, Failure> {
    let revision = in_force(&visit)?.revision;
    let at = visit.admin.clock.now();
    let suppliers = visit.aside(|visit| visit.admin.control.lists().suppliers).await?;
    Ok(Tagged(revision, Suppliers { at, suppliers }))
}

/// Who supplies the lists of one category.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSupplier {
    /// How it is supplied.
    by: Supply,
    /// Who does it.
    #[serde(default)]
    who: String,
    /// The day on which it was last seen to work.
    verified: Option<Date>,
    /// Who saw it.
    #[serde(default)]
    verified_by: String,
    /// Whatever else is worth knowing.
    #[serde(default)]
    note: String,
}

async fn edit_supplier(
    visit: Visit,
    asked: Asked<String, Why, Json<NewSupplier>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(NewSupplier { by, who, verified, verified_by, note }) = asked.body;
    let supplier = SupplierEdit { category: asked.path, by, who, verified, verified_by, note };
    edit(&visit, vec![Edit::SetSupplier(supplier)], asked.query, asked.expect).await
}
