//! What is blocked for whom, and whether to begin by watching only.

use askama::Template;
use axum::{extract::Form, response::Response};

use super::{
    super::super::{
        failure::Failure,
        page::{Page, html},
        visit::Visit,
    },
    Fields, Step, Wizard, Wrong, around, edit, shown, text, went_on,
};
use crate::{
    control::{Edit, Matrix, MatrixCell, ProfileEdit},
    policy::{Cell, Mode, PolicyFile, Tables},
};

/// How long a trial is, in days.
const TRIAL: i64 = 7;

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
    let (p, w) = around(&visit, Step::Categories, "", &Fields::default());
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
    /// The last day of the trial; empty where there is none.
    until: String,
}

fn start_page(visit: &Visit, wrong: Option<&Wrong>, fields: &Fields) -> Result<Response, Failure> {
    let (p, w) = around(visit, Step::Start, text(wrong), fields);
    let policy = visit.admin.control.policy().load_full();
    let watches = policy.file().profiles.iter().any(|profile| profile.mode == Mode::Watch);
    let until = visit.admin.school.file().trial_until;
    let until = until.map(|day| day.strftime("%A %-d %B").to_string()).unwrap_or_default();
    shown(wrong, &StartPage { p, w, watches, until })
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
    let (edits, until) = match fields.get("start") {
        "filter" => (to_filter(policy.file()), None),
        "watch" => {
            let today = visit.admin.clock.now().to_zoned(crate::querylog::search::zone(&policy)).date();
            let last = today.saturating_add(jiff::Span::new().days(TRIAL));
            (to_watch(policy.file()), Some(last))
        }
        _ => {
            let wrong = Wrong::input(visit.words.get("set-up-start-choose"));
            return start_page(&visit, Some(&wrong), &fields);
        }
    };
    match edit(&visit, &fields, edits).await? {
        Ok(()) => {
            visit.admin.school.change(|file| file.trial_until = until).map_err(Failure::inside)?;
            went_on(&visit, Step::Start)
        }
        Err(wrong) => start_page(&visit, Some(&wrong), &fields),
    }
}

fn set_mode(profile: &str, mode: Mode) -> Edit {
    Edit::SetProfile(ProfileEdit { profile: profile.to_owned(), mode: Some(mode), ..ProfileEdit::default() })
}

/// Every profile only watches.
fn to_watch(file: &PolicyFile) -> Vec<Edit> {
    let filtering = file.profiles.iter().filter(|profile| profile.mode != Mode::Watch);
    filtering.map(|profile| set_mode(&profile.id, Mode::Watch)).collect()
}

/// Every profile that only watches filters again, as it does when it ships.
fn to_filter(file: &PolicyFile) -> Vec<Edit> {
    let watching = file.profiles.iter().filter(|profile| profile.mode == Mode::Watch);
    let mode = |id: &str| {
        let shipped = Tables::shipped().profiles.iter().find(|shipped| shipped.id == id);
        shipped.map_or(Mode::Filter, |shipped| shipped.mode)
    };
    watching.map(|profile| set_mode(&profile.id, mode(&profile.id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_trial_each_profile_is_as_strict_as_it_was() {
        let mut file = PolicyFile::shipped();
        let before: Vec<Mode> = file.profiles.iter().map(|profile| profile.mode).collect();
        let apply = |file: &mut PolicyFile, edits: Vec<Edit>| {
            for edit in edits {
                let Edit::SetProfile(edit) = edit else { panic!("{edit:?}") };
                let profile = file.profiles.iter_mut().find(|profile| profile.id == edit.profile).unwrap();
                profile.mode = edit.mode.unwrap();
            }
        };
        assert!(to_filter(&file).is_empty());
        let edits = to_watch(&file);
        apply(&mut file, edits);
        assert!(file.profiles.iter().all(|profile| profile.mode == Mode::Watch));
        let edits = to_filter(&file);
        apply(&mut file, edits);
        assert_eq!(file.profiles.iter().map(|profile| profile.mode).collect::<Vec<_>>(), before);
    }
}
