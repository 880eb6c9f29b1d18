//! Changes of the policy: what all calls that make one have in common.

use schemars::JsonSchema;
use serde::Deserialize;

use super::call::Tagged;
use crate::{
    admin::{failure::Failure, visit::Visit},
    control::{Edit, EditAsked, EditReport},
};

/// How a change is asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Why {
    /// Why; must be there where the change opens something. One line of at most 500 characters.
    pub(super) reason: String,
    /// Only say what would change.
    pub(super) dry_run: bool,
}

/// How a change is asked for, in the terms of who makes it.
pub(super) fn asked(visit: &Visit, why: Why, expect: Option<i64>) -> EditAsked {
    EditAsked { dry_run: why.dry_run, ..visit.asked(&why.reason, expect) }
}

/// Makes changes, all or none.
pub(super) async fn edit(
    visit: &Visit,
    edits: Vec<Edit>,
    why: Why,
    expect: Option<i64>,
) -> Result<Tagged<EditReport>, Failure> {
    let report = visit.admin.control.edit(edits, asked(visit, why, expect)).await?;
    Ok(Tagged(report.revision, report))
}

/// What is in force, and its revision, as one.
pub(super) fn in_force(visit: &Visit) -> Result<crate::control::InForce, Failure> {
    Ok(visit.admin.control.policy_file()?)
}

/// A text as it may be shown.
pub(super) fn shown(visit: &Visit, text: &str) -> String {
    visit.admin.control.policy().load().masked(text).into_owned()
}
