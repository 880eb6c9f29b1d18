//! Changes of the policy that forms ask for, and what is said where one was not made.

use axum::http::StatusCode;

use super::super::{failure::Failure, visit::Visit, when::When};
use crate::{
    control::{ControlError, Edit, EditAsked, EditReport},
    policy::PolicyErrors,
};

/// Why a form was not done, as it is told above the form, which keeps what was typed.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    /// The status of the answer.
    pub(super) status: StatusCode,
    /// What is wrong; empty where nothing is.
    pub(super) wrong: String,
    /// What exactly.
    pub(super) lines: Vec<String>,
    /// It is only that nobody said why.
    pub(super) reason_wanted: bool,
}

impl Trouble {
    /// Something in the form is wrong.
    pub(super) fn input(wrong: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, wrong: wrong.into(), ..Self::default() }
    }

    /// Some things in the form are wrong.
    pub(super) fn inputs(wrong: impl Into<String>, lines: Vec<String>) -> Self {
        Self { lines, ..Self::input(wrong) }
    }

    pub(super) fn is_none(&self) -> bool {
        self.wrong.is_empty()
    }

    /// What a refusal says; a failure of the box is one of the page.
    pub(super) fn of(visit: &Visit, error: ControlError) -> Result<Self, Failure> {
        let words = &visit.words;
        Ok(match error {
            ControlError::ReasonWanted { loosens } => {
                Self { reason_wanted: true, ..Self::inputs(words.get("change-reason-wanted"), loosens) }
            }
            ControlError::Collision { by, at, changes, .. } => {
                let policy = visit.admin.control.policy().load_full();
                let now = visit.admin.clock.now();
                let when = at.map(|at| When::of(&policy).minute(at, now)).unwrap_or_default();
                let wrong = words.with("change-collision", [("who", by.into()), ("when", when.into())]);
                Self { status: StatusCode::CONFLICT, wrong, lines: changes, reason_wanted: false }
            }
            ControlError::InTheWay { later, .. } => {
                let lines = later
                    .into_iter()
                    .flat_map(|later| {
                        let by = later.revision.by;
                        later.changes.into_iter().map(move |change| format!("{by}: {change}"))
                    })
                    .collect();
                let wrong = words.get("change-in-the-way");
                Self { status: StatusCode::CONFLICT, wrong, lines, reason_wanted: false }
            }
            ControlError::Policy { errors: PolicyErrors(problems), .. } => {
                let line = |problem: crate::policy::Problem| match problem.instead {
                    Some(instead) if !instead.is_empty() => format!("{}: {instead}.", problem.what),
                    _ => format!("{}.", problem.what),
                };
                let errors = problems.into_iter().filter(|p| p.severity == crate::policy::Severity::Error);
                Self::inputs(words.get("change-wrong"), errors.map(line).collect())
            }
            // It is kept, and where that is told is another page.
            error @ ControlError::Proposed { .. } => return Err(error.into()),
            error if error.is_bad_input() => Self::inputs(words.get("change-wrong"), vec![error.to_string()]),
            error => return Err(error.into()),
        })
    }
}

/// Changes the policy, or says why not. `expect` is the revision that whoever asks has seen.
pub(super) async fn edit(
    visit: &Visit,
    edits: Vec<Edit>,
    reason: &str,
    expect: Option<i64>,
) -> Result<Result<EditReport, Trouble>, Failure> {
    match visit.admin.control.edit(edits, visit.asked(reason.trim(), expect)).await {
        Ok(report) => Ok(Ok(report)),
        Err(error) => Trouble::of(visit, error).map(Err),
    }
}

/// Takes the last change back, or says why not.
pub(super) async fn undo(visit: &Visit, revision: i64) -> Result<Result<EditReport, Trouble>, Failure> {
    match visit.admin.control.undo(revision, visit.asked("", None)).await {
        Ok(report) => Ok(Ok(report)),
        Err(error) => Trouble::of(visit, error).map(Err),
    }
}

/// That the policy is not any more what whoever asks has seen, with who changed it; none where it is.
pub(super) async fn collision(
    visit: &Visit,
    edits: Vec<Edit>,
    seen: i64,
) -> Result<Option<Trouble>, Failure> {
    let asked = EditAsked { dry_run: true, ..visit.asked("", Some(seen)) };
    match visit.admin.control.edit(edits, asked).await {
        Err(error @ ControlError::Collision { .. }) => Trouble::of(visit, error).map(Some),
        _ => Ok(None),
    }
}
