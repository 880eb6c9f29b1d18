//! The pages: one module for each, with what it shows, and what its forms do.

mod check;
mod sign_in;
mod tokens;

use super::routes::Routes;

/// The addresses of all pages.
pub(super) fn routes(routes: Routes) -> Routes {
    routes.with(sign_in::routes).with(check::routes).with(tokens::routes)
}
