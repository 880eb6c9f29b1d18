//! What happens to a site, and why.

use std::net::IpAddr;

use axum::http::Method;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    call::{Asked, Told, call},
    doc::{Doc, Tag},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    control::{Asker, CheckReport, CheckRequest},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let doc = Doc::new(Tag::Check, "What happens to a site, why, and what would change it")
        .details("For every profile, unless a profile or a client is named.");
    routes.api(Method::GET, "/api/v1/check", Right::CheckSites, doc, call(check))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Query {
    /// A name, or the address of a page.
    name: String,
    /// The type of the question: `A`, `AAAA`, `HTTPS` …; `A`, if left out.
    #[serde(default = "usual_type")]
    r#type: String,
    /// Only for this profile.
    profile: Option<String>,
    /// Only for the client at this address.
    client: Option<IpAddr>,
    /// For this moment rather than for now.
    at: Option<Timestamp>,
    /// Whether the name is resolved and its aliases and addresses are looked at; so it is, if left out.
    #[serde(default = "yes")]
    resolve: bool,
}

fn usual_type() -> String {
    String::from("A")
}

fn yes() -> bool {
    true
}

/// What was found out.
#[derive(Debug, Serialize, JsonSchema)]
struct Checked {
    /// One for each profile, or the one that was asked for.
    checks: Vec<CheckReport>,
}

async fn check(visit: Visit, asked: Asked<(), Query>) -> Result<Told<Checked>, Failure> {
    let Query { name, r#type, profile, client, at, resolve } = asked.query;
    let control = &visit.admin.control;
    let whom = match (profile, client) {
        (Some(_), Some(_)) => return Err(Failure::input("name a profile or a client, not both")),
        (Some(profile), None) => vec![Asker::Profile(profile)],
        (None, Some(client)) => vec![Asker::Address(client)],
        (None, None) => {
            let policy = control.policy().load_full();
            policy.profiles().map(|(_, profile)| Asker::Profile(profile.id.clone())).collect()
        }
    };
    let name = crate::name::host_of(name.trim()).to_owned();
    let checks = whom.into_iter().map(|who| {
        let request = CheckRequest { name: name.clone(), r#type: r#type.clone(), who, at, resolve };
        async move { control.check(&request).await }
    });
    let checks = futures_util::future::try_join_all(checks).await?;
    Ok(Told(Checked { checks }))
}
