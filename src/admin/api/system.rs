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
    Ok(Told(System {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now,
        dns: admin.dns.iter().map(ToString::to_string).collect(),
        certificate,
    }))
}
