//! The pages: one module for each, with what it shows, and what its forms do.

mod audit;
mod check;
mod log;
mod overview;
mod sign_in;

use super::routes::Routes;

/// The addresses of all pages.
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .with(sign_in::routes)
        .with(check::routes)
        .with(overview::routes)
        .with(log::routes)
        .with(audit::routes)
}
