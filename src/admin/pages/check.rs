//! Check a site: what each profile gets of it now, why, and what would change that.

use askama::Template;
use axum::{extract::Query, response::Response};
use serde::Deserialize;

use super::super::{
    access::Right,
    failure::Failure,
    page::{Page, html},
    routes::Routes,
    visit::Visit,
};
use crate::control::{Asker, CheckReport, CheckRequest};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/check", Right::CheckSites, show)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// A name, or the address of a page.
    name: String,
}

#[derive(Template)]
#[template(path = "check.html")]
struct Show {
    p: Page,
    name: String,
    found: Found,
}

#[derive(Template)]
#[template(path = "check.html", block = "found")]
struct Part {
    p: Page,
    name: String,
    found: Found,
}

/// What came of it.
#[derive(Debug, Default)]
struct Found {
    /// What was wrong with what was asked; empty otherwise.
    wrong: String,
    /// What each profile gets.
    reports: Vec<CheckReport>,
}

impl Found {
    /// What is the same for all profiles.
    fn first(&self) -> Option<&CheckReport> {
        self.reports.first()
    }
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let name = asked.name.trim().to_owned();
    let found = if name.is_empty() { Found::default() } else { check(&visit, &name).await? };
    let p = visit.page("check-title", "/check");
    if visit.part { html(&Part { p, name, found }) } else { html(&Show { p, name, found }) }
}

async fn check(visit: &Visit, name: &str) -> Result<Found, Failure> {
    let policy = visit.admin.control.policy().load_full();
    let profiles: Vec<String> = policy.profiles().map(|(_, profile)| profile.id.clone()).collect();
    let host = crate::name::host_of(name).to_owned();
    let checks = profiles.into_iter().map(|profile| {
        let request = CheckRequest {
            name: host.clone(),
            r#type: String::from("A"),
            who: Asker::Profile(profile),
            at: None,
            resolve: true,
        };
        let control = &visit.admin.control;
        async move { control.check(&request).await }
    });
    let mut found = Found::default();
    for report in futures_util::future::join_all(checks).await {
        match report {
            Ok(report) => found.reports.push(report),
            Err(error) if error.is_bad_input() => {
                found.wrong = error.to_string();
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}
