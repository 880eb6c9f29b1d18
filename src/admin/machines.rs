//! What the pages and the calls of an appliance's machine share.

use std::sync::Arc;

use axum::http::StatusCode;

use super::{
    backups::{self, Came},
    failure::Failure,
    visit::Visit,
};
use crate::{
    control::ControlError,
    machine::{Machine, Outcome},
};

/// The largest bundle that is taken.
const LARGEST: u64 = 4 << 30;

/// The machine of the box.
///
/// # Errors
///
/// Where it is no appliance.
pub(super) fn machine(visit: &Visit) -> Result<Arc<Machine>, Failure> {
    visit.admin.control.machine().ok_or_else(|| {
        Failure::new("failure-not-there", StatusCode::NOT_FOUND).because(visit.words.get("machine-none"))
    })
}

/// Has an update installed that came in.
///
/// # Errors
///
/// When it is too large, or the box refuses it.
pub(super) async fn install(visit: &Visit, came: Came) -> Result<Outcome, ControlError> {
    // The box copies it to where only root writes, so it needs its room twice.
    if came.bytes > LARGEST || !backups::has_room(visit, came.bytes) {
        return Err(ControlError::Input(visit.words.get("backup-no-room")));
    }
    let bundle = came.place.0.clone();
    visit.admin.control.install_update(bundle, &visit.by(), Some(visit.address())).await
}

/// What the box said, as a sentence.
pub(super) fn said(visit: &Visit, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(words) => words.clone(),
        Outcome::UnderWay => visit.words.get("machine-under-way"),
    }
}
