//! Check a site: what each profile gets of it now, why, and what would change that.

use askama::Template;
use axum::{extract::Query, response::Response};
use serde::Deserialize;

use super::super::{
    access::Right,
    failure::Failure,
    page::{Page, html},
    routes::Routes,
    visit::{Visit, encoded},
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

    /// Where what decided can be changed: an address, and the key of its words; none where nothing changes it.
    fn way(&self, report: &CheckReport) -> Option<(String, &'static str)> {
        let profile = encoded(&report.profile);
        let wanted = if report.blocked() { "allow" } else { "block" };
        let cell = |id: &str, key| {
            (format!("/categories/cell?category={}&profile={profile}&cell={wanted}", encoded(id)), key)
        };
        match report.reason.as_str() {
            "locked" => None,
            "block-service" | "allow-service" => {
                let id = report.service.as_deref()?.split(' ').next()?;
                Some(cell(id, "check-change-service"))
            }
            "block-rule" | "allow-rule" | "exception" => Some((String::from("/sites"), "check-change-rule")),
            "safe-search" | "allow-only" | "approved" => {
                Some((format!("/policy/{profile}"), "check-change-profile"))
            }
            _ => report.category.as_deref().map(|id| cell(id, "check-change-category")),
        }
    }

    /// Who answers for a rule that is made here.
    fn owner(p: &Page) -> &str {
        p.signed_in.as_ref().map_or("", |who| who.name.as_str())
    }
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let name = asked.name.trim().to_owned();
    let found = if name.is_empty() { Found::default() } else { check(&visit, &name).await? };
    let p = visit.page("check-title", "/check");
    if visit.part { html(&Part { p, found }) } else { html(&Show { p, name, found }) }
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

#[cfg(test)]
mod tests {
    use crate::{accounts::Role, admin::tests::TestBox};

    #[tokio::test]
    async fn what_would_change_it_is_one_click_away() {
        let school = TestBox::new().await;
        let page = school.get(Role::Head, "/check?name=bet365.com").await;
        assert!(
            page.has("/categories/cell?category=gambling&#38;profile=ks2&#38;cell=allow"),
            "{}",
            page.body
        );
        let allow =
            [("names", "bet365.com"), ("profile.ks2", "yes"), ("action", "allow"), ("owner", "The head")];
        let asked = school.post(Role::Head, "/sites/new", &allow).await;
        assert!(asked.has("Please say why") && asked.has(">bet365.com</textarea>"), "{}", asked.body);
        let block = [("names", "play.example"), ("profile.staff", "yes"), ("action", "block")];
        let done = school.post(Role::Head, "/sites/new", &block).await;
        assert!(done.leads_to().starts_with("/sites?changed="), "{}", done.body);
        let page = school.get(Role::Head, "/check?name=play.example").await;
        assert!(page.has("See the school&#39;s rules"), "{}", page.body);
        assert!(!school.get(Role::Teacher, "/check?name=bet365.com").await.has("/categories/cell"));
    }
}
