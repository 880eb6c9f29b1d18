//! Changes of the policy that forms ask for.

use askama::Template;

use super::super::{failure::Failure, form::Refusal, page::Page, visit::Visit};
use crate::control::{ControlError, Edit, EditAsked, EditReport, SchoolEdit};

/// A change that needs a reason, asked for again with a field for it.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct Confirm {
    pub(super) p: Page,
    /// Where the form goes.
    pub(super) action: String,
    /// What was asked for.
    pub(super) fields: Vec<(&'static str, String)>,
    /// What people call it.
    pub(super) what: String,
    pub(super) button: String,
    pub(super) reason: String,
    pub(super) refusal: Refusal,
}

/// Changes the policy, or says why not. `expect` is the revision that whoever asks has seen.
pub(super) async fn edit(
    visit: &Visit,
    edits: Vec<Edit>,
    reason: &str,
    expect: Option<i64>,
) -> Result<Result<EditReport, Refusal>, Failure> {
    match visit.admin.control.edit(edits, visit.asked(reason.trim(), expect)).await {
        Ok(report) => Ok(Ok(report)),
        Err(error) => Refusal::of(visit, error).map(Err),
    }
}

/// The change that makes what was given to the box while it runs the school's own names, and what was given `before`, and is
/// no more, not; none where they are. Else no list, and no profile that has approved names only, would let devices be found.
pub(super) fn own_names(visit: &Visit, before: &[String]) -> Option<Edit> {
    let control = &visit.admin.control;
    let now = control.names_given();
    let was = control.policy().load().file().own_names.clone();
    let mut names: Vec<String> =
        was.iter().filter(|name| !before.contains(name) || now.contains(name)).cloned().collect();
    names.extend(now.into_iter().filter(|name| !was.contains(name)));
    (names != was).then(|| Edit::SetSchool(SchoolEdit { own_names: Some(names), ..SchoolEdit::default() }))
}

/// Takes the last change back, or says why not.
pub(super) async fn undo(visit: &Visit, revision: i64) -> Result<Result<EditReport, Refusal>, Failure> {
    match visit.admin.control.undo(revision, visit.asked("", None)).await {
        Ok(report) => Ok(Ok(report)),
        Err(error) => Refusal::of(visit, error).map(Err),
    }
}

/// That the policy is not any more what whoever asks has seen, with who changed it; none where it is.
pub(super) async fn collision(
    visit: &Visit,
    edits: Vec<Edit>,
    seen: i64,
) -> Result<Option<Refusal>, Failure> {
    let asked = EditAsked { dry_run: true, ..visit.asked("", Some(seen)) };
    match visit.admin.control.edit(edits, asked).await {
        Err(error @ ControlError::Collision { .. }) => Refusal::of(visit, error).map(Some),
        _ => Ok(None),
    }
}
