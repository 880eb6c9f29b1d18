//! The pages: one module for each, with what it shows, and what its forms do.

mod check;
mod lessons;
mod limits;
mod lists;
mod schedules;
mod sign_in;
mod system;

use super::routes::Routes;

/// The addresses of all pages.
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .with(sign_in::routes)
        .with(check::routes)
        .with(limits::routes)
        .with(system::routes)
        .with(lists::routes)
        .with(schedules::routes)
        .with(lessons::routes)
}
