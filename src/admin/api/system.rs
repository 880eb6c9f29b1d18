//! The box itself: its certificates, where it listens, how its log fares.

use axum::{body::Body, http::Method};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Done, Download, Json, Nothing, Told, call},
    doc::{Doc, Tag},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, upkeep, visit::Visit},
    resolver::{ServerReport, ZoneReport},
    tls::{Certificates, Source, Status},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, change) = (Tag::System, Right::ChangeSystem);
    let doc = Doc::new(tag, "The box: its version, where it listens, its certificate");
    let authority = Doc::new(tag, "The certificate of the box's own authority, for devices to trust")
        .details("It is also at /ca.crt, open to everybody on the network.");
    let install = Doc::new(tag, "Put a certificate of the school in use").example(
        json!({ "chain": "-----BEGIN CERTIFICATE-----\n…", "key": "-----BEGIN PRIVATE KEY-----\n…" }),
    );
    let remove = Doc::new(tag, "Put the box's own certificate in use again");
    let bundle = Doc::new(tag, "A bundle of diagnostics")
        .details("Figures and states, without passwords, keys, or a name that anybody asked for.");
    let restart = Doc::new(tag, "Restart the service")
        .details("It ends in half a second, and only where something starts it again.");
    routes
        .api(Method::GET, "/api/v1/system", Right::SeeSystem, doc, call(system))
        .api(Method::GET, "/api/v1/system/authority", Right::SeeSystem, authority, call(authority_of))
        .api(Method::PUT, "/api/v1/system/certificate", change, install, call(install_certificate))
        .api(Method::DELETE, "/api/v1/system/certificate", change, remove, call(remove_certificate))
        .api(Method::GET, "/api/v1/system/diagnostics", change, bundle, call(diagnostics))
        .api(Method::POST, "/api/v1/system/restart", change, restart, call(restart_service))
}

/// The box's own authority.
#[derive(Debug, Serialize, JsonSchema)]
struct Authority {
    /// Its certificate, in PEM.
    certificate: String,
    /// SHA-256 of the certificate.
    fingerprint: String,
}

async fn authority_of(visit: Visit, _: Asked) -> Result<Told<Authority>, Failure> {
    let certificates = upkeep::certificates(&visit)?;
    let (certificate, fingerprint) = (certificates.ca_pem(), certificates.ca_fingerprint());
    Ok(Told(Authority { certificate, fingerprint }))
}

/// A certificate of the school.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewCertificate {
    /// The certificate and those behind it, in PEM, the box's own first.
    chain: String,
    /// The private key, in PEM, without a password.
    key: String,
}

async fn install_certificate(
    visit: Visit,
    asked: Asked<(), Nothing, Json<NewCertificate>>,
) -> Result<Told<Certificate>, Failure> {
    let Json(NewCertificate { chain, key }) = asked.body;
    let status = upkeep::install(&visit, chain, key).await?;
    Ok(Told(Certificate::of(status, &*upkeep::certificates(&visit)?)))
}

async fn remove_certificate(visit: Visit, _: Asked) -> Result<Done, Failure> {
    upkeep::uninstall(&visit).await?;
    Ok(Done)
}

async fn diagnostics(visit: Visit, _: Asked) -> Result<Download, Failure> {
    let zip = upkeep::bundle(&visit).await?;
    Ok(Download { name: upkeep::BUNDLE.to_owned(), body: Body::from(zip) })
}

async fn restart_service(visit: Visit, _: Asked) -> Result<Done, Failure> {
    upkeep::restart(&visit)?;
    Ok(Done)
}

/// The box.
#[derive(Debug, Serialize, JsonSchema)]
struct System {
    /// The version of the program.
    version: String,
    /// What time the box has.
    now: Timestamp,
    /// Where DNS is served.
    dns: Vec<String>,
    /// The certificate of the pages; none, where TLS is not served.
    certificate: Option<Certificate>,
    /// The servers that questions are forwarded to; none where the box finds the answers itself.
    forwarders: Vec<Server>,
    /// Zones of the school's own that have servers of their own.
    zones: Vec<Zone>,
}

/// A zone of the school's own.
#[derive(Debug, Serialize, JsonSchema)]
struct Zone {
    /// The zone.
    zone: String,
    /// Who has it.
    servers: Vec<Server>,
}

/// A server that is asked, and how that goes.
#[derive(Debug, Serialize, JsonSchema)]
struct Server {
    /// The server, as settings write it.
    server: String,
    /// Whether it is spoken to over TLS or HTTPS.
    encrypted: bool,
    /// How long its answers take, in microseconds; none before the first, and while it fails.
    time_us: Option<u64>,
    /// How many questions in a row it left without an answer.
    failures: u32,
    /// It failed so often that it is left alone for a moment.
    resting: bool,
}

impl From<ServerReport> for Server {
    fn from(report: ServerReport) -> Self {
        let ServerReport { server, encrypted, time, failures, resting } = report;
        let time_us = time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        Self { server, encrypted, time_us, failures, resting }
    }
}

/// The certificate of the pages.
#[derive(Debug, Serialize, JsonSchema)]
struct Certificate {
    /// Whether it is one that the school installed, rather than the box's own.
    of_the_school: bool,
    /// The names and addresses that it is for.
    names: Vec<String>,
    /// The last moment at which it holds.
    not_after: Timestamp,
    /// How many whole days that is away; under 0 when it is past.
    days_left: i64,
    /// SHA-256 of the certificate.
    fingerprint: String,
    /// SHA-256 of the certificate of the box's own authority, which devices may trust.
    authority_fingerprint: String,
    /// What a person should see to.
    problem: Option<String>,
}

impl Certificate {
    fn of(status: Status, certificates: &Certificates) -> Self {
        Self {
            of_the_school: status.source == Source::School,
            names: status.names,
            not_after: status.not_after,
            days_left: status.days_left,
            fingerprint: status.fingerprint,
            authority_fingerprint: certificates.ca_fingerprint(),
            problem: status.problem,
        }
    }
}

async fn system(visit: Visit, _: Asked) -> Result<Told<System>, Failure> {
    let admin = &visit.admin;
    let now = admin.clock.now();
    let certificate = admin.certificates.as_ref();
    let certificate = certificate.map(|all| Certificate::of(all.status(now), all));
    let resolving = admin.control.resolver_report().unwrap_or_default();
    let servers = |reports: Vec<ServerReport>| reports.into_iter().map(Server::from).collect();
    let zone = |report: ZoneReport| Zone { zone: report.zone, servers: servers(report.servers) };
    Ok(Told(System {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now,
        dns: admin.dns.iter().map(ToString::to_string).collect(),
        certificate,
        forwarders: servers(resolving.forwarders),
        zones: resolving.zones.into_iter().map(zone).collect(),
    }))
}
