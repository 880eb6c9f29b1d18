//! What is blocked for whom, and whether to begin by watching only.

use askama::Template;
use axum::{extract::Form, response::Response};
use jiff::ToSpan as _;

use super::{
    super::super::{
        access::Right,
        failure::Failure,
        page::{Page, html, see},
        visit::Visit,
        when::weekday,
    },
    Fields, Refusal, Step, Wizard, around, edit, shown, went_on,
};
use crate::{
    control::{ControlError, Edit, Matrix, MatrixCell, ProfileEdit, to_filter, to_watch},
    policy::{Cell, Mode},
};

#[derive(Template)]
#[template(path = "set_up_categories.html")]
struct CategoriesPage {
    p: Page,
    w: Wizard,
    matrix: Matrix,
}

impl CategoriesPage {
    /// The words for a cell, and the class of its tag.
    fn state(&self, cell: &&MatrixCell) -> (&'static str, String) {
        match cell.state {
            Cell::Locked => ("bad", self.p.t("set-up-cell-locked")),
            Cell::Block => ("bad", self.p.t("set-up-cell-block")),
            Cell::AllowDuring(_) => ("warn", self.p.t("set-up-cell-times")),
            Cell::AllowFor(_) => ("warn", self.p.t("set-up-cell-some")),
            Cell::Allow | Cell::Report => ("good", self.p.t("set-up-cell-allow")),
        }
    }
}

pub(super) async fn categories(visit: Visit) -> Result<Response, Failure> {
    let (p, w) = around(&visit, Step::Categories, None, &Fields::default());
    html(&CategoriesPage { p, w, matrix: visit.admin.control.matrix() })
}

pub(super) async fn categories_seen(visit: Visit) -> Result<Response, Failure> {
    went_on(&visit, Step::Categories)
}

#[derive(Template)]
#[template(path = "set_up_start.html")]
struct StartPage {
    p: Page,
    w: Wizard,
    /// Some profile only watches now.
    watches: bool,
    /// The trial that goes on.
    trial: Option<Trial>,
}

/// A trial, as people read it.
struct Trial {
    began: String,
    ends: String,
    /// Between which days it can be prolonged to, as a field has them; none for who may not.
    longer: Option<(String, String)>,
    /// What was typed.
    asked: String,
}

fn start_page(visit: &Visit, wrong: Option<&Refusal>, fields: &Fields) -> Result<Response, Failure> {
    let (p, w) = around(visit, Step::Start, wrong, fields);
    let control = &visit.admin.control;
    let policy = control.policy().load_full();
    let watches = policy.file().profiles.iter().any(|profile| profile.mode == Mode::Watch);
    let trial = visit.admin.school.file().trial.clone().filter(|_| watches).map(|trial| {
        let first = trial.ends.saturating_add(1.day());
        let may = visit.may(Right::ChangePolicy) && !visit.asked("", None).propose;
        Trial {
            began: weekday(trial.began),
            ends: weekday(trial.ends),
            longer: may.then(|| (first.to_string(), control.latest_end().to_string())),
            asked: fields.get("ends").to_owned(),
        }
    });
    shown(wrong, &StartPage { p, w, watches, trial })
}

pub(super) async fn start(visit: Visit) -> Result<Response, Failure> {
    start_page(&visit, None, &Fields::default())
}

pub(super) async fn put_start(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let policy = visit.admin.control.policy().load_full();
    let trial = visit.admin.school.file().trial.clone();
    let edits: Vec<ProfileEdit> = match fields.get("start") {
        "filter" => to_filter(policy.file(), trial.as_ref()).collect(),
        "watch" => to_watch(policy.file()).collect(),
        _ => {
            let wrong = Refusal::new(visit.words.get("set-up-start-choose"));
            return start_page(&visit, Some(&wrong), &fields);
        }
    };
    match edit(&visit, &fields, edits.into_iter().map(Edit::SetProfile).collect()).await? {
        Ok(()) => {
            let (control, school) = (&visit.admin.control, &visit.admin.school);
            let written = match fields.get("start") {
                "watch" => control.begin_trial(school, policy.file()),
                _ => school.change(|file| file.trial = None),
            };
            written.map_err(Failure::inside)?;
            went_on(&visit, Step::Start)
        }
        Err(wrong) => start_page(&visit, Some(&wrong), &fields),
    }
}

/// Has a trial go on for longer.
pub(super) async fn prolong(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let refused = |said: String| start_page(&visit, Some(&Refusal::new(said)), &fields);
    let Ok(ends) = fields.get("ends").parse() else {
        return refused(visit.words.get("set-up-start-no-day"));
    };
    let asked = visit.asked(fields.get("reason"), None);
    match visit.admin.control.prolong_trial(&visit.admin.school, ends, &asked) {
        Ok(()) => Ok(see("/set-up/start", "done-prolonged")),
        Err(ControlError::ReasonWanted { .. }) => refused(visit.words.get("set-up-start-why")),
        Err(error) if error.is_bad_input() => refused(error.to_string()),
        Err(error) => Err(error.into()),
    }
}
