//! The box itself: its certificates, where it listens, how its log fares.

use axum::http::Method;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::{Asked, Told, call},
    doc::{Doc, Tag},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    resolver::{ServerReport, ZoneReport},
    tls::Source,
};

pub(super) fn routes(routes: Routes) -> Routes {
    let doc = Doc::new(Tag::System, "The box: its version, where it listens, its certificate");
    routes.api(Method::GET, "/api/v1/system", Right::SeeSystem, doc, call(system))
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

async fn system(visit: Visit, _: Asked) -> Result<Told<System>, Failure> {
    let admin = &visit.admin;
    let now = admin.clock.now();
    let certificate = admin.certificates.as_ref().map(|certificates| {
        let status = certificates.status(now);
        Certificate {
            of_the_school: status.source == Source::School,
            names: status.names,
            not_after: status.not_after,
            days_left: status.days_left,
            fingerprint: status.fingerprint,
            authority_fingerprint: certificates.ca_fingerprint(),
            problem: status.problem,
        }
    });
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
