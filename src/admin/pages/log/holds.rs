//! Legal holds: what must stay in the log, whatever its time is.

use askama::Template;
use axum::{
    extract::{Form, Path, Query},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    super::super::{
        access::Right,
        failure::Failure,
        page::{Page, html_with, see},
        routes::Routes,
        visit::Visit,
        when::When,
    },
    asked::Wrong,
};
use crate::{control::HoldAsked, querylog::retention::Hold};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/log/holds", Right::ExportLog, show).post("/log/holds", Right::ExportLog, add).post(
        "/log/holds/{id}/lift",
        Right::ExportLog,
        lift,
    )
}

#[derive(Template)]
#[template(path = "log_holds.html")]
struct Show {
    p: Page,
    standing: Vec<Line>,
    lifted: Vec<Line>,
    form: AddForm,
    wrong: Wrong,
}

/// A hold as people read it.
struct Line {
    id: String,
    title: String,
    from: String,
    to: String,
    who: String,
    why: String,
    made: String,
    /// When it was lifted, by whom and why.
    lifted: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AddForm {
    from: String,
    to: String,
    client: String,
    incident: String,
    why: String,
}

impl Line {
    fn of(p: &Page, when: &When, now: jiff::Timestamp, hold: &Hold) -> Self {
        let number = hold.id.trim_start_matches("hold-");
        let title = match &hold.incident {
            Some(incident) => p.with2("holds-incident", "number", number, "incident", incident),
            None => p.with("holds-number", "number", number),
        };
        let made = p.with2("holds-made", "by", &hold.by, "when", when.minute(hold.made, now));
        let lifted = hold.lifted.as_ref().map(|lifted| {
            let by = p.with2("holds-lifted", "by", &lifted.by, "when", when.minute(lifted.at, now));
            format!("{by}: {}", lifted.why)
        });
        Self {
            id: hold.id.clone(),
            title,
            from: when.minute(hold.from, now),
            to: when.minute(hold.to, now),
            who: hold.client.clone().unwrap_or_else(|| p.t("holds-everybody")),
            why: hold.why.clone(),
            made,
            lifted: lifted.unwrap_or_default(),
        }
    }
}

async fn show(visit: Visit, Query(form): Query<AddForm>) -> Result<Response, Failure> {
    answer(&visit, form, Wrong::default()).await
}

async fn answer(visit: &Visit, form: AddForm, wrong: Wrong) -> Result<Response, Failure> {
    let holds = visit.aside(|visit| visit.admin.control.holds()).await??.holds;
    let p = visit.page("holds-title", "/log");
    let (when, now) = (When::of(&visit.admin.control.policy().load()), visit.admin.clock.now());
    let (standing, lifted): (Vec<&Hold>, Vec<&Hold>) = holds.iter().rev().partition(|hold| hold.is_active());
    let lines = |holds: Vec<&Hold>| holds.into_iter().map(|hold| Line::of(&p, &when, now, hold)).collect();
    let (standing, lifted) = (lines(standing), lines(lifted));
    let status = if wrong.is_none() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    html_with(status, &Show { p, standing, lifted, form, wrong })
}

async fn add(visit: Visit, Form(form): Form<AddForm>) -> Result<Response, Failure> {
    let said = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let asked = HoldAsked {
        from: form.from.clone(),
        to: form.to.clone(),
        client: said(&form.client),
        incident: said(&form.incident),
        why: form.why.clone(),
    };
    match visit.admin.control.add_hold(asked, &visit.by()).await {
        Ok(_) => Ok(see("/log/holds", "done-hold")),
        Err(error) => {
            let wrong = Wrong::of(error)?;
            answer(&visit, form, wrong).await
        }
    }
}

#[derive(Debug, Deserialize)]
struct LiftForm {
    #[serde(default)]
    why: String,
}

async fn lift(visit: Visit, Path(id): Path<String>, Form(form): Form<LiftForm>) -> Result<Response, Failure> {
    match visit.admin.control.lift_hold(&id, &form.why, &visit.by()).await {
        Ok(_) => Ok(see("/log/holds", "done-hold-lifted")),
        Err(error) => {
            let wrong = Wrong::of(error)?;
            answer(&visit, AddForm::default(), wrong).await
        }
    }
}
