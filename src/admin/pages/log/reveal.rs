//! Who stands behind a pseudonym: for the safeguarding lead, with a reason.

use askama::Template;
use axum::{
    extract::{Form, Query},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    super::super::{
        access::Right,
        failure::Failure,
        log::actor,
        page::{Page, html, html_with},
        routes::Routes,
        visit::{Visit, encoded},
        when::{When, day},
    },
    asked::Wrong,
    may_reveal,
    rows::known,
};
use crate::{
    control::{RevealReport, RevealRequest},
    querylog::subject::Revealed,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/log/reveal", Right::SeeDevices, show).post("/log/reveal", Right::SeeDevices, reveal)
}

#[derive(Template)]
#[template(path = "log_reveal.html")]
struct Show {
    p: Page,
    form: RevealForm,
    wrong: Wrong,
    told: Option<Told>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RevealForm {
    pseudonym: String,
    /// The UTC day.
    day: String,
    why: String,
}

/// What came of it.
struct Told {
    title: String,
    /// Why it can't be said; empty where it can.
    why_not: String,
    devices: Vec<Device>,
    /// The search for what else it asked that day.
    log: String,
}

/// A device, or one more address of it.
struct Device {
    /// What is known of it, by its label.
    facts: Vec<(String, String)>,
    /// Where its data can be taken out, kept or erased.
    person: String,
}

impl Told {
    fn of(visit: &Visit, p: &Page, report: RevealReport) -> Self {
        let RevealReport { pseudonym, day: date, revealed, why_not } = report;
        let devices = revealed.iter().map(|one| Device::of(visit, p, one)).collect();
        let next = date.tomorrow().unwrap_or(date);
        let (from, to) = (format!("{date}T00:00:00Z"), format!("{next}T00:00:00Z"));
        let log = format!("/log?client={}&from={}&to={}", encoded(&pseudonym), encoded(&from), encoded(&to));
        let title = p.with2("reveal-of", "pseudonym", pseudonym, "day", day(date));
        Self { title, why_not: why_not.unwrap_or_default(), devices, log }
    }
}

impl Device {
    fn of(visit: &Visit, p: &Page, one: &Revealed) -> Self {
        let policy = visit.admin.control.policy().load_full();
        let (when, now) = (When::of(&policy), visit.admin.clock.now());
        let profile = policy.find_profile(&one.profile).map(|id| policy.profile(id).1);
        let lease = one.lease.map(|(from, to)| {
            p.with2("reveal-lease", "from", when.minute(from, now), "to", when.minute(to, now))
        });
        let facts = [
            ("reveal-device", one.device.clone()),
            ("log-fact-address", one.address.clone()),
            ("log-fact-mac", one.mac.clone()),
            ("log-field-profile", profile.unwrap_or(&one.profile).to_owned()),
            ("log-fact-known", known(p, &one.known_by, &one.confidence)),
            ("reveal-leased", lease.unwrap_or_default()),
        ];
        let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
        // The name and the link-layer address stay a device's; an address changes hands.
        let best = [&one.device, &one.mac, &one.address].into_iter().find(|name| !name.is_empty());
        Self {
            facts: facts.map(|(key, value)| (p.t(key), value)).collect(),
            person: format!("/log/person?client={}", encoded(best.map_or("", String::as_str))),
        }
    }
}

impl Show {
    fn may(&self) -> bool {
        may_reveal(&self.p)
    }
}

async fn show(visit: Visit, Query(form): Query<RevealForm>) -> Result<Response, Failure> {
    html(&Show { p: visit.page("reveal-title", "/log"), form, wrong: Wrong::default(), told: None })
}

async fn reveal(visit: Visit, Form(form): Form<RevealForm>) -> Result<Response, Failure> {
    let request = RevealRequest {
        pseudonym: form.pseudonym.trim().to_owned(),
        day: form.day.trim().to_owned(),
        reason: form.why.clone(),
    };
    let p = visit.page("reveal-title", "/log");
    match visit.admin.control.log_reveal(&actor(&visit), request).await {
        Ok(report) => {
            let told = Some(Told::of(&visit, &p, report));
            html(&Show { p, form, wrong: Wrong::default(), told })
        }
        Err(error) => {
            let wrong = Wrong::of(error)?;
            html_with(StatusCode::UNPROCESSABLE_ENTITY, &Show { p, form, wrong, told: None })
        }
    }
}
