//! The HTTP API: whatever the pages do, as JSON, for programs.
//!
//! Each call is a function from what was [asked](call::Asked) to what is [given](call::Given). Its types say what the
//! [description](openapi) tells of it, so that none can say other than what is done. One file for each area.

mod audit;
mod backup;
mod call;
mod check;
mod doc;
mod docs;
mod edit;
mod lessons;
mod limits;
mod lists;
mod log;
mod log_live;
mod log_out;
mod machine;
mod mail;
mod networks;
mod openapi;
mod overview;
mod policy;
mod profiles;
mod proposals;
mod schedules;
mod searches;
mod sites;
mod system;
#[cfg(test)]
mod tests;
mod tokens;
mod users;

pub(super) use self::{call::Call, doc::Doc};
use super::routes::Routes;

/// How many calls are answered at one time.
pub(super) const MOST_CALLS: usize = 64;

/// How many of them one address may have.
pub(super) const MOST_CALLS_EACH: usize = 16;

/// The addresses of all calls.
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .with(overview::routes)
        .with(check::routes)
        .with(policy::routes)
        .with(profiles::routes)
        .with(proposals::routes)
        .with(sites::routes)
        .with(networks::routes)
        .with(schedules::routes)
        .with(lessons::routes)
        .with(limits::routes)
        .with(lists::routes)
        .with(log::routes)
        .with(log_live::routes)
        .with(searches::routes)
        .with(log_out::routes)
        .with(audit::routes)
        .with(users::routes)
        .with(tokens::routes)
        .with(system::routes)
        .with(machine::routes)
        .with(mail::routes)
        .with(backup::routes)
        .with(docs::routes)
}
