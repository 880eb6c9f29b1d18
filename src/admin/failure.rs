//! What went wrong with a request, said as a page or, on the API, as a problem (RFC 9457).

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{accounts::AccountsError, control::ControlError};

/// Why a request was not done.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    /// The key of the sentence that says it.
    pub(super) key: &'static str,
    /// What exactly, as the part that refused said it; empty where the sentence says all.
    pub(super) detail: String,
    /// After how many seconds it is worth trying again.
    pub(super) retry_after: Option<u64>,
    /// What else programs are told.
    pub(super) more: Box<More>,
}

/// What else programs are told of a problem.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub(super) struct More {
    /// The revision of the policy in force, where somebody else changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<i64>,
    /// Who changed it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) by: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Timestamp>,
    /// What they changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) changes: Vec<String>,
    /// What the change would open, and so needs a reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) loosens: Vec<String>,
}

impl Failure {
    /// A failure, by the key of its sentence.
    pub(super) fn new(key: &'static str, status: StatusCode) -> Self {
        Self { status, key, detail: String::new(), retry_after: None, more: Box::default() }
    }

    /// With what exactly was wrong.
    pub(super) fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// With what else programs are told.
    pub(super) fn with(mut self, more: More) -> Self {
        *self.more = more;
        self
    }

    pub(super) fn not_found() -> Self {
        Self::new("failure-not-found", StatusCode::NOT_FOUND)
    }

    pub(super) fn sign_in_first() -> Self {
        Self::new("failure-sign-in", StatusCode::UNAUTHORIZED)
    }

    pub(super) fn not_yours() -> Self {
        Self::new("failure-not-yours", StatusCode::FORBIDDEN)
    }

    /// A page of another site sent it.
    pub(super) fn foreign() -> Self {
        Self::new("failure-foreign", StatusCode::FORBIDDEN)
    }

    /// Too many ask for the same at once.
    pub(super) fn busy() -> Self {
        Self { retry_after: Some(2), ..Self::new("failure-busy", StatusCode::SERVICE_UNAVAILABLE) }
    }

    pub(super) fn input(detail: impl Into<String>) -> Self {
        Self::new("failure-input", StatusCode::UNPROCESSABLE_ENTITY).because(detail)
    }

    /// Whether what was sent is wrong, and the detail says how.
    pub(super) fn is_input(&self) -> bool {
        self.key == "failure-input"
    }

    /// Something inside could not do it; the reason is in the log.
    pub(super) fn inside(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "A page could not be made");
        Self::new("failure-inside", StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let said = error.to_string();
        match error {
            ControlError::Collision { current, by, at, changes, .. } => {
                let more = More { revision: Some(current), by, at, changes, ..More::default() };
                Self::new("failure-collision", StatusCode::CONFLICT).because(said).with(more)
            }
            // It is kept, and so is no failure to whoever reads the status.
            ControlError::Proposed { loosens, .. } => {
                let more = More { loosens, ..More::default() };
                Self::new("failure-proposed", StatusCode::ACCEPTED).because(said).with(more)
            }
            ControlError::InTheWay { later, .. } => {
                let changes = later.into_iter().flat_map(|later| later.changes).collect();
                let more = More { changes, ..More::default() };
                Self::new("failure-collision", StatusCode::CONFLICT).because(said).with(more)
            }
            ControlError::ReasonWanted { loosens } => {
                let more = More { loosens, ..More::default() };
                Self::new("failure-reason", StatusCode::UNPROCESSABLE_ENTITY).because(said).with(more)
            }
            error if error.is_bad_input() => Self::input(error.to_string()),
            error => Self::inside(error),
        }
    }
}

impl From<AccountsError> for Failure {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::NoUser(_) => {
                Self::new("failure-not-there", StatusCode::NOT_FOUND).because(error.to_string())
            }
            error if error.is_bad_input() => Self::input(error.to_string()),
            error => Self::inside(error),
        }
    }
}

impl IntoResponse for Failure {
    /// An empty answer that carries it; [`visit::dress`](super::visit::dress) makes the page or the problem of it.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// A problem, as RFC 9457 has it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Problem {
    /// What kind of problem it is: a word for programs.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// What happened, in a sentence.
    pub(super) title: String,
    /// The status of the answer.
    pub(super) status: u16,
    /// What exactly was wrong, and what would be right.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) detail: String,
    /// What else is known of it.
    #[serde(flatten)]
    pub(super) more: More,
}

impl Problem {
    /// The problem that a failure is; `title` is its sentence.
    pub(super) fn of(failure: &Failure, title: String) -> Self {
        let kind = failure.key.trim_start_matches("failure-");
        Self {
            kind: format!("urn:schoolgate:problem:{kind}"),
            title,
            status: failure.status.as_u16(),
            detail: failure.detail.clone(),
            more: (*failure.more).clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, [(HeaderName::from_static("content-type"), "application/problem+json")], body)
            .into_response()
    }
}
