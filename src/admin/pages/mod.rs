//! The pages: one module for each, with what it shows, and what its forms do.

mod change;
mod check;
mod effect;
mod networks;
mod policy;
mod sign_in;
mod sites;

use super::routes::Routes;

/// The addresses of all pages.
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .with(sign_in::routes)
        .with(check::routes)
        .with(policy::routes)
        .with(sites::routes)
        .with(networks::routes)
}
