//! The query log: what was asked, by whom, and what became of it.

mod asked;
mod evidence;
mod follow;
mod holds;
mod person;
mod reveal;
mod rows;
mod saved;
#[cfg(test)]
mod tests;

use askama::Template;
use axum::{
    extract::Query,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use self::{
    asked::{Choices, Fields, Wrong},
    rows::{Row, Rows},
};
use super::super::{
    access::Right,
    failure::Failure,
    log::sight,
    page::{Page, html_with},
    routes::Routes,
    searches::Saved,
    visit::Visit,
    when::When,
};
use crate::{
    control::{ControlError, LogReport, SAFEGUARDING},
    querylog::{Entry, csv, search},
};

/// How many lines a page has.
const LINES: u32 = 50;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/log", Right::SeeLog, show)
        .get("/log/live", Right::SeeLog, follow::follow)
        .get("/log/lines.csv", Right::ExportLog, lines)
        .post("/log/searches", Right::SeeLog, saved::keep)
        .post("/log/searches/{id}/remove", Right::SeeLog, saved::forget)
        .with(evidence::routes)
        .with(holds::routes)
        .with(person::routes)
        .with(reveal::routes)
}

/// Whether who reads a page may reverse pseudonyms: a role of its own, which the log looks at as well.
fn may_reveal(p: &Page) -> bool {
    p.signed_in.as_ref().is_some_and(|who| who.role.word() == SAFEGUARDING)
}

#[derive(Template)]
#[template(path = "log.html")]
struct Show {
    p: Page,
    fields: Fields,
    choices: Choices,
    found: Found,
    saved: Vec<Saved>,
    keeping: Keeping,
    wrong: Wrong,
}

#[derive(Template)]
#[template(path = "log.html", block = "found")]
struct Part {
    p: Page,
    fields: Fields,
    found: Found,
    wrong: Wrong,
}

/// What was found when a page searched on, behind the lines that it has.
#[derive(Template)]
#[template(path = "log_more.html")]
struct More {
    p: Page,
    found: Found,
}

/// What was found.
#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    /// How many lines the page has with them.
    lines: usize,
    /// They belong behind lines that the page has.
    is_more: bool,
    /// The query of the next page.
    older: Option<String>,
    /// The search takes long, and says what it has so far.
    unfinished: bool,
    /// What is missing in this time, in sentences.
    gaps: Vec<String>,
    /// What follows the log from here on; none on a page that stands still.
    live: Option<String>,
}

/// What somebody wanted to keep that could not be kept.
#[derive(Default)]
struct Keeping {
    name: String,
    wrong: String,
}

impl Show {
    fn sees_devices(&self) -> bool {
        self.p.may(Right::SeeDevices)
    }

    fn may_reveal(&self) -> bool {
        may_reveal(&self.p)
    }
}

impl Part {
    fn may_reveal(&self) -> bool {
        may_reveal(&self.p)
    }
}

impl Found {
    /// How many lines there are, or are so far.
    fn count(&self, p: &Page) -> String {
        p.with(if self.unfinished { "log-so-far" } else { "log-count" }, "lines", self.lines)
    }

    /// Whether the page searches on by itself.
    fn goes_on(&self) -> bool {
        self.unfinished && self.live.is_none()
    }

    fn of(visit: &Visit, p: &Page, fields: &Fields, report: LogReport) -> Self {
        let policy = visit.admin.control.policy().load_full();
        let now = visit.admin.clock.now();
        let rows = Rows { p, policy: &policy, when: When::of(&policy), now, may_change: p.may_change() };
        let page = report.page;
        let older = page
            .next
            .map(|next| Fields { after: next.to_string(), live: String::new(), ..fields.clone() }.query());
        let live = (fields.is_live() && fields.after.is_empty()).then(|| fields.query());
        Self {
            lines: fields.have() + page.entries.len(),
            is_more: !fields.have.is_empty(),
            rows: page.entries.iter().map(|entry| rows.row(entry)).collect(),
            older,
            unfinished: page.unfinished,
            gaps: rows.gaps(&page.unkept, &page.unreadable),
            live,
        }
    }
}

async fn show(visit: Visit, Query(fields): Query<Fields>) -> Result<Response, Failure> {
    answer(&visit, fields, Keeping::default()).await
}

/// The page with what was found; `keeping` is a search that could not be kept.
async fn answer(visit: &Visit, fields: Fields, keeping: Keeping) -> Result<Response, Failure> {
    let p = visit.page("log-title", "/log");
    let have = u32::try_from(fields.have()).unwrap_or(LINES);
    let asked = fields.asked(Some(LINES.saturating_sub(have).max(1)));
    let (found, wrong) = match visit.admin.control.log_page_for(asked, sight(visit)).await {
        Ok(report) => (Found::of(visit, &p, &fields, report), Wrong::default()),
        Err(error) => (Found::default(), Wrong::of(error)?),
    };
    let status = if wrong.is_none() && keeping.wrong.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    if visit.part && found.is_more {
        return html_with(status, &More { p, found });
    }
    if visit.part {
        return html_with(status, &Part { p, fields, found, wrong });
    }
    let choices = Choices::of(&visit.admin.control.policy().load(), &p, &fields);
    let saved = saved::of(visit).await?;
    html_with(status, &Show { p, fields, choices, found, saved, keeping, wrong })
}

/// The lines that are shown, and those after them, as a file for spreadsheets.
async fn lines(visit: Visit, Query(fields): Query<Fields>) -> Result<Response, Failure> {
    let asked = fields.asked(Some(search::MOST));
    let report = visit.admin.control.log_search_for(asked, sight(&visit)).await?;
    let entries = &report.page.entries;
    let mut text = csv::line(Entry::COLUMNS);
    for entry in entries {
        text.push_str(&csv::line(entry.fields()));
    }
    let filters = fields.filters();
    let filters = if filters.is_empty() { String::from("every line") } else { filters.join(", ") };
    let detail = format!("{} lines as a spreadsheet ({filters})", entries.len());
    // Whoever takes lines out of the log is in the audit.
    visit.admin.control.audit_from(&visit.by(), "log.lines", &detail, Some(visit.address()));
    let now = visit.admin.clock.now();
    let day = When::of(&visit.admin.control.policy().load()).date(now);
    let whole = if report.page.next.is_some() { "-newest" } else { "" };
    let disposition = format!("attachment; filename=\"query-log-{day}{whole}.csv\"");
    let kind = "text/csv; charset=utf-8; header=present";
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, text).into_response())
}

/// What a search that somebody keeps is kept as: only what the form of the page knows, written anew; none where it can't
/// be read.
pub(in crate::admin) fn search_to_keep(query: &str) -> Option<String> {
    saved::fields(query).map(|fields| fields.first())
}

/// What is wrong with a request, by its field; or the failure of the page.
fn bad_input(error: ControlError) -> Result<String, Failure> {
    if error.is_bad_input() { Ok(error.to_string()) } else { Err(error.into()) }
}
