//! What the pages and the calls of the system share: the school's certificate, diagnostics, and a restart. Each is in the
//! audit.

use std::{sync::Arc, time::Duration};

use super::{diagnostics, failure::Failure, visit::Visit};
use crate::tls::{Certificates, Status, TlsError};

/// How long the answer that says so has to leave before the box ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// The name of the bundle of diagnostics as a file.
pub(super) const BUNDLE: &str = "schoolgate-diagnostics.zip";

/// The box's certificates.
///
/// # Errors
///
/// Where TLS is not served, there are none.
pub(super) fn certificates(visit: &Visit) -> Result<Arc<Certificates>, Failure> {
    visit.admin.certificates.clone().ok_or_else(Failure::not_found)
}

/// Puts a certificate of the school in use.
///
/// # Errors
///
/// [Wrong input](Failure::is_input), when the certificate or its key is not fit; then what was in use stays.
pub(super) async fn install(visit: &Visit, chain: String, key: String) -> Result<Status, Failure> {
    let certificates = certificates(visit)?;
    let now = visit.admin.clock.now();
    let done = tokio::task::spawn_blocking(move || {
        certificates.install(chain.as_bytes(), key.as_bytes(), now).map(|()| certificates.status(now))
    });
    let status = done.await.map_err(Failure::inside)?.map_err(|error| match error {
        TlsError::Unfit(unfit) => Failure::input(format!("{unfit}.")),
        error => Failure::inside(error),
    })?;
    let detail = format!("{}, until {}", status.names.join(", "), status.not_after);
    visit.admin.control.audit_from(&visit.by(), "certificate.install", &detail, Some(visit.address()));
    Ok(status)
}

/// Puts the box's own certificate in use again.
///
/// # Errors
///
/// When TLS is not served, or the disk can't be written.
pub(super) async fn uninstall(visit: &Visit) -> Result<(), Failure> {
    let certificates = certificates(visit)?;
    let now = visit.admin.clock.now();
    tokio::task::spawn_blocking(move || certificates.remove_school(now))
        .await
        .map_err(Failure::inside)?
        .map_err(Failure::inside)?;
    visit.admin.control.audit_from(&visit.by(), "certificate.remove", "", Some(visit.address()));
    Ok(())
}

/// The bundle of diagnostics, as a zip file.
///
/// # Errors
///
/// When it can't be put together.
pub(super) async fn bundle(visit: &Visit) -> Result<Vec<u8>, Failure> {
    let stats = visit.admin.control.log_stats(None).await.ok();
    let zip =
        visit.aside(move |visit| diagnostics::bundle(&visit.admin, stats)).await?.map_err(Failure::inside)?;
    visit.admin.control.audit_from(&visit.by(), "box.diagnostics", "", Some(visit.address()));
    Ok(zip)
}

/// Ends the box in a moment, so that it is started again.
///
/// # Errors
///
/// [Wrong input](Failure::is_input), where nobody would start it.
pub(super) fn restart(visit: &Visit) -> Result<(), Failure> {
    if !is_supervised() {
        return Err(Failure::input(visit.words.get("system-not-supervised")));
    }
    visit.admin.control.audit_from(&visit.by(), "box.restart", "", Some(visit.address()));
    restart_soon(visit);
    Ok(())
}

/// The same, for who has looked already whether somebody would, and has told the audit.
pub(super) fn restart_soon(visit: &Visit) {
    let control = Arc::clone(&visit.admin.control);
    tokio::spawn(async move {
        tokio::time::sleep(FAREWELL).await;
        control.ask_restart();
    });
}

/// Whether systemd, or another who says so, starts the box again when it ends.
pub(super) fn is_supervised() -> bool {
    ["INVOCATION_ID", "SCHOOLGATE_SUPERVISED"].iter().any(|name| std::env::var_os(name).is_some())
}
