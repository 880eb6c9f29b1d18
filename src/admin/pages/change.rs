//! Changes of the policy that forms ask for.

use askama::Template;

use super::super::{failure::Failure, form::Refusal, page::Page, visit::Visit};
use crate::control::{ControlError, Edit, EditAsked, EditReport};

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
