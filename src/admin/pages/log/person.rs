//! What somebody asks for who is in the log: what is held about a device of theirs, that it is kept, or that it is
//! erased.

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
        log::{actor, erase},
        page::{Page, html, html_with},
        routes::Routes,
        visit::Visit,
    },
    asked::Wrong,
    evidence::Package,
};
use crate::{
    control::{EraseAsked, SubjectRequest},
    querylog::retention::EraseReport,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/log/person", Right::ExportLog, show)
        .post("/log/person/package", Right::ExportLog, make)
        .post("/log/person/erase", Right::ExportLog, take_out)
}

#[derive(Template)]
#[template(path = "log_person.html")]
struct Show {
    p: Page,
    form: PersonForm,
    wrong: Wrong,
    made: Option<Package>,
    erasure: Option<Erasure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PersonForm {
    client: String,
    from: String,
    to: String,
    why: String,
    /// `on` where somebody saw what would be erased.
    confirmed: String,
}

impl PersonForm {
    fn span(&self) -> (Option<String>, Option<String>) {
        let said = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        (said(&self.from), said(&self.to))
    }
}

/// What is erased, or would be.
struct Erasure {
    is_done: bool,
    title: String,
    /// The days and how many lines go from each.
    days: Vec<(String, String)>,
    /// What else is to be known, in sentences.
    notes: Vec<String>,
    /// Days that could not be worked on.
    failed: Vec<String>,
    /// There is something that goes.
    goes: bool,
}

impl Erasure {
    fn of(p: &Page, report: EraseReport) -> Self {
        let title = match (report.dry_run, report.found()) {
            (_, false) => p.with("erase-nothing", "device", report.client.as_str()),
            (true, _) => p.with2("erase-would", "lines", report.rows, "device", report.client.as_str()),
            (false, _) => p.with2("erase-done", "lines", report.rows, "device", report.client.as_str()),
        };
        let mut notes = Vec::new();
        if report.rollup_rows > 0 {
            notes.push(p.with("erase-counts", "lines", report.rollup_rows));
        }
        for spared in &report.spared {
            let hold = spared.hold.trim_start_matches("hold-");
            notes.push(p.with2("erase-held", "lines", spared.rows, "number", hold));
        }
        if !report.unknowable.is_empty() {
            notes.push(p.with("erase-unknowable", "days", report.unknowable.join(", ")));
        }
        Self {
            is_done: !report.dry_run,
            title,
            goes: report.rows > 0 || report.rollup_rows > 0,
            days: report.days.iter().map(|day| (day.day.clone(), p.number(&day.rows))).collect(),
            notes,
            failed: report.failed,
        }
    }
}

fn page(visit: &Visit, form: PersonForm) -> Show {
    let p = visit.page("person-title", "/log");
    Show { p, form, wrong: Wrong::default(), made: None, erasure: None }
}

fn refused(page: Show, wrong: Wrong) -> Result<Response, Failure> {
    html_with(StatusCode::UNPROCESSABLE_ENTITY, &Show { wrong, ..page })
}

async fn show(visit: Visit, Query(form): Query<PersonForm>) -> Result<Response, Failure> {
    html(&page(&visit, form))
}

async fn make(visit: Visit, Form(form): Form<PersonForm>) -> Result<Response, Failure> {
    let (from, to) = form.span();
    let request = SubjectRequest { client: form.client.clone(), from, to, reason: form.why.clone() };
    let made = visit.admin.control.log_subject(&actor(&visit), request).await;
    let page = page(&visit, form);
    match made {
        Ok(made) => {
            let made = Some(Package::of(&page.p, made));
            html(&Show { made, ..page })
        }
        Err(error) => refused(page, Wrong::of_taking_out(error)?),
    }
}

/// Says what would be erased; erases it when somebody saw that.
async fn take_out(visit: Visit, Form(form): Form<PersonForm>) -> Result<Response, Failure> {
    let (from, to) = form.span();
    let asked = EraseAsked {
        client: form.client.clone(),
        from,
        to,
        reason: form.why.clone(),
        dry_run: form.confirmed != "on",
    };
    let erased = erase(&visit, asked).await;
    let page = page(&visit, form);
    match erased {
        Ok(report) => {
            let erasure = Some(Erasure::of(&page.p, report));
            html(&Show { erasure, ..page })
        }
        Err(error) => refused(page, Wrong::of_taking_out(error)?),
    }
}
