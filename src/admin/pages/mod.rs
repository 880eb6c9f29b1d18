//! The pages: one module for each, with what it shows, and what its forms do.

mod account;
mod check;
mod set_up;
mod sign_in;
mod users;

use super::routes::Routes;

/// The addresses of all pages.
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .with(sign_in::routes)
        .with(set_up::routes)
        .with(users::routes)
        .with(account::routes)
        .with(check::routes)
}
