//! What leaves the query log, what must not leave it, and what is erased.

use axum::{body::Body, http::Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Download, Json, New, Nothing, Told, call, not_there},
    doc::{Doc, Tag},
};
use crate::{
    admin::{
        access::Right,
        failure::Failure,
        log::{actor, erase},
        routes::Routes,
        visit::Visit,
    },
    control::{
        EraseAsked, ExportRequest, HoldAsked, HoldsReport, RevealReport, RevealRequest, SubjectRequest,
    },
    querylog::{
        evidence,
        retention::{EraseReport, Hold},
        search,
    },
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, out) = (Tag::Log, Right::ExportLog);
    let export = Doc::new(tag, "Make a signed package of lines of the log, as evidence")
        .details("It waits for a day to be fetched. The audit has it.")
        .example(json!({ "from": "2026-11-23", "to": "2026-11-24", "profile": "secondary", "reason": "incident 12" }));
    let subject = Doc::new(tag, "Make a signed package of what is held about one device")
        .details("It waits for a day to be fetched. The audit has it.")
        .example(json!({ "client": "10.20.2.31", "reason": "a subject access request" }));
    let fetch = Doc::new(tag, "Fetch a package that was made");
    let reveal = Doc::new(tag, "Say who stands behind a pseudonym of a day")
        .details("Only for the safeguarding lead: one that the log has, and one under which a technician sees a device. The audit has every try.")
        .example(json!({ "pseudonym": "device-0123456789ab", "day": "2026-11-22", "reason": "incident 12" }));
    let holds = Doc::new(tag, "The legal holds");
    let hold = Doc::new(tag, "Make a legal hold: nothing that it covers is removed any more").example(
        json!({ "from": "2026-11-01", "to": "2026-11-20", "client": "10.20.2.31", "why": "asked for by the police" }),
    );
    let lift = Doc::new(tag, "Lift a legal hold").example(json!({ "why": "the matter is closed" }));
    let erasing =
        Doc::new(tag, "Take one device's questions out of the log, but for what a legal hold covers")
            .example(json!({ "client": "10.20.2.31", "reason": "asked for by a parent", "dry_run": true }));
    routes
        .api(Method::POST, "/api/v1/log/exports", out, export, call(make_export))
        .api(Method::POST, "/api/v1/log/subjects", out, subject, call(make_subject))
        .api(Method::GET, "/api/v1/log/packages/{name}", out, fetch, call(fetch_package))
        .api(Method::POST, "/api/v1/log/reveal", Right::SeeDevices, reveal, call(reveal_device))
        .api(Method::GET, "/api/v1/log/holds", out, holds, call(show_holds))
        .api(Method::POST, "/api/v1/log/holds", out, hold, call(add_hold))
        .api(Method::POST, "/api/v1/log/holds/{id}/lift", out, lift, call(lift_hold))
        .api(Method::POST, "/api/v1/log/erasures", out, erasing, call(erase_device))
}

/// A package that was made.
#[derive(Debug, Serialize, JsonSchema)]
struct Package {
    /// The address to fetch it from, for a day.
    fetch: String,
    /// Its size.
    bytes: u64,
    /// How many rows it has.
    rows: u64,
    /// Whether nothing is known to be missing.
    complete: bool,
    /// What is known to be missing or to be different, one line each.
    gaps: Vec<String>,
    /// The SHA-256 of its manifest.
    manifest_sha256: String,
    /// The fingerprint of the key that signed it.
    fingerprint: String,
}

impl Package {
    fn of(made: evidence::Made) -> Result<Self, Failure> {
        let name = made.file.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Failure::inside("a package without a name"))?;
        Ok(Self {
            fetch: format!("/api/v1/log/packages/{name}"),
            bytes: made.bytes,
            rows: made.rows,
            complete: made.complete,
            gaps: made.gaps,
            manifest_sha256: made.manifest_sha256,
            fingerprint: made.fingerprint,
        })
    }
}

/// Which lines are wanted as evidence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewExport {
    /// The earliest time.
    from: String,
    /// The time that it ends before; a day that is named is within.
    to: String,
    /// An address, a subnet, a link-layer address, a device's name or a pseudonym.
    client: Option<String>,
    /// The identifier of a profile.
    profile: Option<String>,
    /// A pattern of names: `*.example`.
    name: Option<String>,
    /// The identifier of a category.
    category: Option<String>,
    /// What happened, in a word.
    action: Option<String>,
    /// Only what somebody may have to look at.
    #[serde(default)]
    alert: bool,
    /// Why; the audit and the package have it.
    reason: String,
}

async fn make_export(
    visit: Visit,
    asked: Asked<(), Nothing, Json<NewExport>>,
) -> Result<New<Package>, Failure> {
    let Json(NewExport { from, to, client, profile, name, category, action, alert, reason }) = asked.body;
    let (from, to) = (Some(from), Some(to));
    let rows = search::Asked {
        from,
        to,
        client,
        profile,
        name,
        category,
        action,
        alert,
        ..search::Asked::default()
    };
    let made = visit.admin.control.log_export(&actor(&visit), ExportRequest { rows, reason }).await?;
    Ok(New(Package::of(made)?))
}

/// Of which device somebody wants to know what is held.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSubject {
    /// The device: its name, its MAC address, an address, or a pseudonym.
    client: String,
    /// The earliest time; the oldest row, if left out.
    from: Option<String>,
    /// The time that it ends before; now, if left out.
    to: Option<String>,
    /// Why; the audit has it.
    reason: String,
}

async fn make_subject(
    visit: Visit,
    asked: Asked<(), Nothing, Json<NewSubject>>,
) -> Result<New<Package>, Failure> {
    let Json(NewSubject { client, from, to, reason }) = asked.body;
    let request = SubjectRequest { client, from, to, reason };
    let made = visit.admin.control.log_subject(&actor(&visit), request).await?;
    Ok(New(Package::of(made)?))
}

async fn fetch_package(visit: Visit, asked: Asked<String>) -> Result<Download, Failure> {
    let name = asked.path;
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !is_plain || !name.ends_with(".zip") || name.starts_with('.') {
        return Err(not_there());
    }
    let file = visit.admin.control.log_folder().outgoing().join(&name);
    match tokio::fs::read(&file).await {
        Ok(bytes) => Ok(Download { name, body: Body::from(bytes) }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(not_there()),
        Err(error) => Err(Failure::inside(error)),
    }
}

/// Which pseudonym is to be reversed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewReveal {
    /// The pseudonym.
    pseudonym: String,
    /// The UTC day, `2026-11-22`.
    day: String,
    /// Why; the audit has it.
    reason: String,
}

async fn reveal_device(
    visit: Visit,
    asked: Asked<(), Nothing, Json<NewReveal>>,
) -> Result<Told<RevealReport>, Failure> {
    let Json(NewReveal { pseudonym, day, reason }) = asked.body;
    let request = RevealRequest { pseudonym, day, reason };
    Ok(Told(visit.admin.control.log_reveal(&actor(&visit), request).await?))
}

async fn show_holds(visit: Visit, _: Asked) -> Result<Told<HoldsReport>, Failure> {
    Ok(Told(visit.aside(|visit| visit.admin.control.holds()).await??))
}

/// What is to be held.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewHold {
    /// From when on.
    from: String,
    /// Until when; a day that is named is within.
    to: String,
    /// The device that it is about; everybody, if left out.
    client: Option<String>,
    /// What the school calls the matter.
    incident: Option<String>,
    /// Why.
    why: String,
}

async fn add_hold(visit: Visit, asked: Asked<(), Nothing, Json<NewHold>>) -> Result<New<Hold>, Failure> {
    let Json(NewHold { from, to, client, incident, why }) = asked.body;
    let hold = HoldAsked { from, to, client, incident, why };
    Ok(New(visit.admin.control.add_hold(hold, &visit.by()).await?))
}

/// Why a hold is lifted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Lift {
    /// Why.
    why: String,
}

async fn lift_hold(visit: Visit, asked: Asked<String, Nothing, Json<Lift>>) -> Result<Told<Hold>, Failure> {
    let why = asked.body.0.why;
    Ok(Told(visit.admin.control.lift_hold(&asked.path, &why, &visit.by()).await?))
}

/// Whose questions are to be erased.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Erasure {
    /// An address, a link-layer address, the name of a device, or a pseudonym of the log.
    client: String,
    /// From when on; from the beginning, if left out.
    from: Option<String>,
    /// Until when; until now, if left out.
    to: Option<String>,
    /// Why.
    reason: String,
    /// Only say what would go.
    #[serde(default)]
    dry_run: bool,
}

async fn erase_device(
    visit: Visit,
    asked: Asked<(), Nothing, Json<Erasure>>,
) -> Result<Told<EraseReport>, Failure> {
    let Json(Erasure { client, from, to, reason, dry_run }) = asked.body;
    Ok(Told(erase(&visit, EraseAsked { client, from, to, reason, dry_run }).await?))
}
