//! The pages: one module for each, with what it shows, and what its forms do.

mod account;
mod audit;
mod change;
mod check;
mod effect;
mod keys;
mod lessons;
mod limits;
mod lists;
mod log;
mod mail_form;
mod networks;
mod overview;
mod policy;
mod proposals;
mod schedules;
mod set_up;
mod sign_in;
mod sites;
mod system;
mod tokens;
mod users;

pub(super) use self::log::search_to_keep;
use super::routes::Routes;

/// The addresses of all pages.
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .with(account::routes)
        .with(audit::routes)
        .with(check::routes)
        .with(keys::routes)
        .with(lessons::routes)
        .with(limits::routes)
        .with(lists::routes)
        .with(log::routes)
        .with(networks::routes)
        .with(overview::routes)
        .with(policy::routes)
        .with(proposals::routes)
        .with(schedules::routes)
        .with(set_up::routes)
        .with(sign_in::routes)
        .with(sites::routes)
        .with(system::routes)
        .with(tokens::routes)
        .with(users::routes)
}
