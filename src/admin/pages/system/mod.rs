//! System: whom the box asks, its certificates, backup and restore of the policy, diagnostics, restart.

mod backup;
#[cfg(test)]
mod backup_tests;
mod machine;
#[cfg(test)]
mod machine_tests;
mod mail;
mod names;
mod places;
#[cfg(test)]
mod places_tests;
#[cfg(test)]
mod tests;

use askama::Template;
use axum::{
    extract::Form,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::super::{
    access::Right,
    failure::Failure,
    form::{Fields, Refusal},
    page::{Page, html_with, see},
    routes::Routes,
    upkeep,
    visit::Visit,
    when::When,
};
use crate::{
    control::{EditAsked, EditReport},
    resolver::{Report, ServerReport},
    tls::{Source, Status},
};

/// After how many seconds a browser looks whether the box is there again.
const BACK: HeaderValue = HeaderValue::from_static("8; url=/system");

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .with(machine::routes)
        .get("/ca.crt", Right::Open, authority)
        .get("/system", Right::SeeSystem, show)
        .get("/system/policy.toml", Right::ChangeSystem, policy)
        .post("/system/restore", Right::ChangeSystem, restore)
        .post("/system/certificate", Right::ChangeSystem, install)
        .post("/system/certificate/remove", Right::ChangeSystem, uninstall)
        .get("/system/backup", Right::SeeSystem, backup::show)
        .post("/system/backup", Right::ChangeSystem, backup::put)
        .post("/system/backup/remove", Right::ChangeSystem, backup::remove)
        .post("/system/backup/make", Right::ChangeSystem, backup::make)
        .post("/system/backup/run", Right::ChangeSystem, backup::run)
        .post("/system/backup/drill", Right::ChangeSystem, backup::drill)
        .post("/system/backup/key", Right::ChangeSystem, backup::key)
        .post("/system/backup/restore", Right::ChangeSystem, backup::restore)
        .post("/system/backup/restore/cancel", Right::ChangeSystem, backup::cancel)
        .post("/system/backup/share", Right::ChangeSystem, places::set_share)
        .post("/system/backup/share/remove", Right::ChangeSystem, places::remove_share)
        .get("/system/mail", Right::SeeSystem, mail::show)
        .post("/system/mail", Right::ChangeSystem, mail::put)
        .post("/system/mail/remove", Right::ChangeSystem, mail::remove)
        .post("/system/mail/test", Right::ChangeSystem, mail::test)
        .get("/system/names", Right::SeeSystem, names::show)
        .post("/system/names", Right::ChangeSystem, names::put)
        .get("/system/diagnostics.zip", Right::ChangeSystem, bundle)
        .post("/system/restart", Right::ChangeSystem, restart)
}

/// The certificate in use, as it is told.
struct Certificate {
    status: Status,
    ends: String,
    authority: String,
}

/// A policy that was brought, and what it would change.
#[derive(Default)]
struct Restore {
    text: String,
    reason: String,
    /// Set when it was looked at.
    report: Option<EditReport>,
    expect: Option<i64>,
    refusal: Refusal,
}

#[derive(Template)]
#[template(path = "system.html")]
struct Show {
    p: Page,
    may_change: bool,
    version: &'static str,
    dns: Vec<String>,
    revision: i64,
    resolving: Option<Report>,
    certificate: Option<Certificate>,
    /// Through which server messages leave, and from which address.
    mail: Option<(String, String)>,
    is_appliance: bool,
    /// Somebody starts the box again when it ends.
    supervised: bool,
    restore: Restore,
    chain: String,
    certificate_refusal: Refusal,
    restart_refusal: Refusal,
}

/// What is shown again after a form was refused, or looked at.
#[derive(Default)]
struct Kept {
    restore: Restore,
    chain: String,
    certificate: Refusal,
    restart: Refusal,
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, Kept::default())
}

fn page(visit: &Visit, kept: Kept) -> Result<Response, Failure> {
    let admin = &visit.admin;
    let now = admin.clock.now();
    let when = When::of(&admin.control.policy().load());
    let certificate = admin.certificates.as_ref().map(|certificates| {
        let status = certificates.status(now);
        let ends = when.day(status.not_after);
        Certificate { ends, status, authority: certificates.ca_fingerprint() }
    });
    let refusals = [&kept.restore.refusal, &kept.certificate, &kept.restart];
    let status =
        refusals.into_iter().find(|refusal| !refusal.is_none()).map_or(StatusCode::OK, Refusal::status);
    html_with(
        status,
        &Show {
            p: visit.page("system-title", "/system"),
            may_change: visit.may(Right::ChangeSystem),
            version: env!("CARGO_PKG_VERSION"),
            dns: admin.dns.iter().map(ToString::to_string).collect(),
            revision: admin.control.policy_file()?.revision,
            resolving: admin.control.resolver_report(),
            certificate,
            is_appliance: admin.control.machine().is_some(),
            supervised: upkeep::is_supervised(),
            mail: admin.control.mail().map(|mail| (mail.server.clone(), mail.from.clone())),
            restore: kept.restore,
            chain: kept.chain,
            certificate_refusal: kept.certificate,
            restart_refusal: kept.restart,
        },
    )
}

/// How a server is doing, by the key of the word.
fn health(server: &ServerReport) -> (&'static str, &'static str) {
    match server {
        ServerReport { resting: true, .. } => ("bad", "system-resting"),
        ServerReport { failures: 1.., .. } => ("warn", "system-failing"),
        ServerReport { time: None, .. } => ("", "system-not-asked"),
        _ => ("good", "system-answers"),
    }
}

/// How many of a hundred questions were answered from memory.
fn from_memory(report: &Report) -> u64 {
    let stats = &report.stats;
    let known = stats.hits + stats.failure_hits + stats.stale;
    (known * 100).checked_div(known + stats.misses).unwrap_or_default()
}

/// The certificate of the box's own authority, for devices to trust.
async fn authority(visit: Visit) -> Result<Response, Failure> {
    let certificates = upkeep::certificates(&visit)?;
    Ok(([(header::CONTENT_TYPE, "application/x-x509-ca-cert")], certificates.ca_pem()).into_response())
}

/// An answer that browsers keep as a file.
fn file(name: &str, kind: &'static str, body: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CACHE_CONTROL, String::from("no-store")),
    ];
    (headers, body).into_response()
}

async fn policy(visit: Visit) -> Result<Response, Failure> {
    let in_force = visit.admin.control.policy_file()?;
    let name = format!("policy-{}.toml", in_force.revision);
    let detail = format!("revision {}", in_force.revision);
    visit.admin.control.audit_from(&visit.by(), "policy.export", &detail, Some(visit.address()));
    Ok(file(&name, "application/toml", in_force.file.to_toml()))
}

/// Looks at a policy that was brought; puts it in force when that was asked for after the look.
async fn restore(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let text = fields.whole("text").replace("\r\n", "\n");
    let reason = fields.get("reason").to_owned();
    let control = &visit.admin.control;
    let expect = fields.expect();
    let apply = fields.is_on("apply") && expect.is_some();
    let mut kept = Restore { text, reason, expect, ..Restore::default() };
    if kept.text.trim().is_empty() {
        kept.refusal = Refusal::new(visit.words.get("system-policy-wanted"));
        return page(&visit, Kept { restore: kept, ..Kept::default() });
    }
    let asked = |dry_run, expect| EditAsked { dry_run, ..visit.asked(&kept.reason, expect) };
    if apply {
        match control.restore(&kept.text, asked(false, expect)).await {
            Ok(_) => return Ok(see("/system#backup", "done-restored")),
            Err(error) => kept.refusal = Refusal::of(&visit, error)?,
        }
    }
    // What is looked at is held against what is in force now.
    let revision = control.policy_file()?.revision;
    match control.restore(&kept.text, asked(true, None)).await {
        Ok(report) => (kept.report, kept.expect) = (Some(report), Some(revision)),
        Err(error) if kept.refusal.is_none() => kept.refusal = Refusal::of(&visit, error)?,
        Err(_) => {}
    }
    page(&visit, Kept { restore: kept, ..Kept::default() })
}

async fn install(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let chain = fields.whole("chain").to_owned();
    match upkeep::install(&visit, chain.clone(), fields.whole("key").to_owned()).await {
        Ok(_) => Ok(see("/system#certificates", "done-certificate")),
        // The key is not shown again.
        Err(failure) if failure.is_input() => {
            let certificate = Refusal::new(failure.detail);
            page(&visit, Kept { chain, certificate, ..Kept::default() })
        }
        Err(failure) => Err(failure),
    }
}

async fn uninstall(visit: Visit) -> Result<Response, Failure> {
    upkeep::uninstall(&visit).await?;
    Ok(see("/system#certificates", "done-certificate-removed"))
}

async fn bundle(visit: Visit) -> Result<Response, Failure> {
    let zip = upkeep::bundle(&visit).await?;
    Ok(file(upkeep::BUNDLE, "application/zip", zip))
}

#[derive(Template)]
#[template(path = "system_restart.html")]
struct Restarting {
    p: Page,
}

async fn restart(visit: Visit) -> Result<Response, Failure> {
    match upkeep::restart(&visit) {
        Ok(()) => {}
        Err(failure) if failure.is_input() => {
            let restart = Refusal::new(failure.detail);
            return page(&visit, Kept { restart, ..Kept::default() });
        }
        Err(failure) => return Err(failure),
    }
    let mut response =
        html_with(StatusCode::OK, &Restarting { p: visit.page("system-restarting", "/system") })?;
    response.headers_mut().insert(HeaderName::from_static("refresh"), BACK);
    Ok(response)
}
