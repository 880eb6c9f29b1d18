//! Schedules: times of the week, drawn and typed, and the days on which the school is open.

mod holidays;
#[cfg(test)]
mod tests;
mod week;

use askama::Template;
use axum::{
    extract::{Form, Query},
    http::StatusCode,
    response::Response,
};
use jiff::civil::Date;
use serde::Deserialize;

use self::week::{Bar, DAY_KEYS, DAYS, HOUR, LEFT, ROW, Row, TOP};
use super::super::{
    access::Right,
    failure::Failure,
    form::{Fields, Refusal, identifier},
    page::{Page, html_with, see},
    routes::Routes,
    visit::Visit,
};
use crate::{
    control::{Days, Edit},
    policy::{Cell, DateRange, PolicyFile, ScheduleFile},
    querylog::search::zone,
};

/// How many empty rows for days a form has at its end.
const SPARE: usize = 2;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/schedules", Right::SeePolicy, show)
        .get("/schedules/edit", Right::ChangePolicy, edit)
        .post("/schedules", Right::ChangePolicy, save)
        .post("/schedules/remove", Right::ChangePolicy, remove)
        .post("/schedules/terms", Right::ChangePolicy, terms)
}

/// What is drawn besides the bars.
struct Grid;

impl Grid {
    /// Each day with the height at which its row begins, and the key of its word.
    fn days(&self) -> impl Iterator<Item = (u32, &'static str)> {
        DAY_KEYS.into_iter().zip(0_u32..).map(|(key, place)| (TOP + ROW * place, key))
    }

    /// Each second hour with the place of its line.
    fn hours(&self) -> impl Iterator<Item = (u32, u32)> {
        (0..=24).step_by(3).map(|hour| (hour, LEFT + HOUR * hour))
    }
}

struct Shown {
    id: String,
    described: String,
    bars: Vec<Bar>,
    /// What is open at these times: a category or service, and for which profile.
    uses: Vec<(String, String)>,
}

/// Some days in a form.
#[derive(Debug, Clone, Default)]
struct Range {
    from: String,
    to: String,
}

#[derive(Default)]
struct TermForm {
    terms: Vec<Range>,
    holidays: Vec<Range>,
    /// When the school day ends.
    day_ends: String,
    reason: String,
    refusal: Refusal,
}

#[derive(Template)]
#[template(path = "schedules.html")]
struct Show {
    p: Page,
    grid: Grid,
    expect: i64,
    schedules: Vec<Shown>,
    form: TermForm,
    refusal: Refusal,
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, None, Refusal::default())
}

fn page(visit: &Visit, form: Option<TermForm>, refusal: Refusal) -> Result<Response, Failure> {
    let in_force = visit.admin.control.policy_file()?;
    let file = &in_force.file;
    let status = form.as_ref().map_or(&refusal, |form| &form.refusal).status();
    let ranges = |written: &[DateRange]| {
        let range = |range: &DateRange| Range {
            from: range.from.to_string(),
            to: range.to.map(|to| to.to_string()).unwrap_or_default(),
        };
        spare(written.iter().map(range).collect())
    };
    let form = form.unwrap_or_else(|| TermForm {
        terms: ranges(&file.terms),
        holidays: ranges(&file.holidays),
        day_ends: file.end_of_day().strftime("%H:%M").to_string(),
        ..TermForm::default()
    });
    let shown = |schedule: &ScheduleFile| Shown {
        id: schedule.id.clone(),
        described: schedule.described(),
        bars: week::bars(&schedule.windows),
        uses: uses(visit, file, &schedule.id),
    };
    html_with(
        status,
        &Show {
            p: visit.page("schedules-title", "/schedules"),
            grid: Grid,
            expect: in_force.revision,
            schedules: file.schedules.iter().map(shown).collect(),
            form,
            refusal,
        },
    )
}

fn spare(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.resize(ranges.len() + SPARE, Range::default());
    ranges
}

/// What a schedule opens, and for whom.
fn uses(visit: &Visit, file: &PolicyFile, id: &str) -> Vec<(String, String)> {
    let policy = visit.admin.control.policy().load_full();
    let categories = policy.categories();
    let category = |word: &str| {
        categories.find(word).map_or_else(|| word.to_owned(), |found| categories.get(found).title.clone())
    };
    let tables = crate::policy::Tables::shipped();
    let service =
        |word: &str| tables.service(word).map_or_else(|| word.to_owned(), |service| service.title.clone());
    let is_it = |cell: &Cell| matches!(cell, Cell::AllowDuring(schedule) if schedule == id);
    let mut found = Vec::new();
    for profile in &file.profiles {
        let title = profile.title();
        for (word, _) in profile.categories.iter().filter(|(_, cell)| is_it(cell)) {
            found.push((category(word), title.to_owned()));
        }
        for (word, _) in profile.services.iter().filter(|(_, cell)| is_it(cell)) {
            found.push((service(word), title.to_owned()));
        }
    }
    found
}

#[derive(Template)]
#[template(path = "schedule.html")]
struct ShowOne {
    p: Page,
    grid: Grid,
    expect: i64,
    /// Empty for a new one.
    id: String,
    name: String,
    rows: Vec<Row>,
    bars: Vec<Bar>,
    term_only: bool,
    reason: String,
    refusal: Refusal,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Which {
    id: String,
}

async fn edit(visit: Visit, Query(which): Query<Which>) -> Result<Response, Failure> {
    let in_force = visit.admin.control.policy_file()?;
    let known = in_force.file.schedules.iter().find(|schedule| schedule.id == which.id);
    if known.is_none() && !which.id.is_empty() {
        return Err(Failure::not_found());
    }
    let title = if known.is_some() { "schedules-change" } else { "schedules-add" };
    html_with(
        StatusCode::OK,
        &ShowOne {
            p: visit.page(title, "/schedules"),
            grid: Grid,
            expect: in_force.revision,
            name: which.id.clone(),
            id: which.id,
            rows: week::rows(known),
            bars: known.map(|known| week::bars(&known.windows)).unwrap_or_default(),
            term_only: known.is_some_and(|known| known.term_only),
            reason: String::new(),
            refusal: Refusal::default(),
        },
    )
}

async fn save(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let (windows, rows) = week::typed(&fields);
    let bars = week::bars(&windows);
    let known = fields.get("id").to_owned();
    let id = if known.is_empty() { identifier(fields.get("name")) } else { known.clone() };
    let term_only = fields.is_on("term_only");
    let control = &visit.admin.control;
    let is_taken = || control.policy().load().file().schedules.iter().any(|schedule| schedule.id == id);
    let refusal = if id.is_empty() {
        Refusal::new(visit.words.get("schedules-name-wanted"))
    } else if known.is_empty() && is_taken() {
        Refusal::new(visit.words.with("schedules-taken", [("name", id.into())]))
    } else if windows.is_empty() {
        Refusal::new(visit.words.get("schedules-times-wanted"))
    } else if windows.iter().any(|window| window.days.is_empty()) {
        Refusal::new(visit.words.get("schedules-days-wanted"))
    } else {
        let edit = Edit::PutSchedule(ScheduleFile { id, windows, term_only });
        match control.edit(vec![edit], visit.asked(fields.get("reason"), fields.expect())).await {
            Ok(_) => return Ok(see("/schedules", "done-saved")),
            Err(error) => Refusal::of(&visit, error)?,
        }
    };
    let title = if known.is_empty() { "schedules-add" } else { "schedules-change" };
    let status = refusal.status();
    html_with(
        status,
        &ShowOne {
            p: visit.page(title, "/schedules"),
            grid: Grid,
            // What somebody else did was said now; who saves again has seen it.
            expect: control.policy_file()?.revision,
            id: known,
            name: fields.get("name").to_owned(),
            rows,
            bars,
            term_only,
            reason: fields.get("reason").to_owned(),
            refusal,
        },
    )
}

async fn remove(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let edit = Edit::RemoveSchedule { schedule: fields.get("id").to_owned() };
    match visit.admin.control.edit(vec![edit], visit.asked(fields.get("reason"), fields.expect())).await {
        Ok(_) => Ok(see("/schedules", "done-saved")),
        Err(error) => page(&visit, None, Refusal::of(&visit, error)?),
    }
}

async fn terms(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let terms = typed(&fields, "term");
    let mut holidays = typed(&fields, "holiday");
    let refusal = if fields.is_on("bank") {
        let now = visit.admin.clock.now().to_zoned(zone(&visit.admin.control.policy().load()));
        for day in holidays::ahead(now.date()) {
            let day = day.to_string();
            let is_there = |range: &Range| {
                range.from == day || (range.from <= day && !range.to.is_empty() && day <= range.to)
            };
            if !holidays.iter().any(is_there) {
                holidays.push(Range { from: day, to: String::new() });
            }
        }
        holidays.sort_by(|one, other| one.from.cmp(&other.from));
        Refusal::default()
    } else {
        match (read(&visit, &terms), read(&visit, &holidays)) {
            (Ok(terms), Ok(holidays)) => {
                let day_ends = fields.is_on("day_ends").then(|| fields.get("day_ends").to_owned());
                let edit = Edit::SetTerms { terms, holidays, day_ends };
                match visit
                    .admin
                    .control
                    .edit(vec![edit], visit.asked(fields.get("reason"), fields.expect()))
                    .await
                {
                    Ok(_) => return Ok(see("/schedules#terms", "done-saved")),
                    Err(error) => Refusal::of(&visit, error)?,
                }
            }
            (Err(refusal), _) | (_, Err(refusal)) => refusal,
        }
    };
    let reason = fields.get("reason").to_owned();
    let form = TermForm {
        terms: spare(terms),
        holidays: spare(holidays),
        day_ends: fields.get("day_ends").to_owned(),
        reason,
        refusal,
    };
    page(&visit, Some(form), Refusal::default())
}

/// The days that were typed, without the empty rows.
fn typed(fields: &Fields, kind: &str) -> Vec<Range> {
    let (from, to) = (format!("{kind}-from"), format!("{kind}-to"));
    let pairs = fields.0.iter().filter(|(name, _)| *name == from || *name == to);
    let mut ranges: Vec<Range> = Vec::new();
    for (name, value) in pairs {
        let value = value.trim().to_owned();
        if *name == from {
            ranges.push(Range { from: value, to: String::new() });
        } else if let Some(last) = ranges.last_mut() {
            last.to = value;
        }
    }
    ranges.retain(|range| !range.from.is_empty() || !range.to.is_empty());
    ranges
}

fn read(visit: &Visit, ranges: &[Range]) -> Result<Vec<Days>, Refusal> {
    let day = |text: &str| {
        let wrong = |_| Refusal::new(visit.words.with("schedules-no-day", [("text", text.into())]));
        text.parse::<Date>().map_err(wrong)
    };
    let range = |range: &Range| {
        let to = if range.to.is_empty() { None } else { Some(day(&range.to)?) };
        Ok(Days { from: day(&range.from)?, to })
    };
    ranges.iter().map(range).collect()
}
