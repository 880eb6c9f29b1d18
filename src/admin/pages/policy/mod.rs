//! The policy matrix: categories by profile, each cell a choice that is in force with one click.

mod cell;
mod profile;
#[cfg(test)]
mod tests;
mod view;

use askama::Template;
use axum::{extract::Query, response::Response};
use serde::Deserialize;

use self::view::{Look, Row, Shown};
use super::super::{
    access::Right,
    failure::Failure,
    page::{Page, html},
    routes::Routes,
    visit::Visit,
};
use crate::control::Matrix;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/policy", Right::SeePolicy, show)
        .get("/policy/{profile}", Right::SeePolicy, profile::show)
        .post("/policy/{profile}", Right::ChangePolicy, profile::save)
        .get("/policy/{profile}/copy", Right::ChangePolicy, profile::look_at_copy)
        .post("/policy/{profile}/copy", Right::ChangePolicy, profile::copy)
        .post("/policy/{profile}/remove", Right::ChangePolicy, profile::remove)
        .get("/categories/row", Right::SeePolicy, row)
        .get("/categories/profile", Right::ChangePolicy, profile::new)
        .post("/categories/profile", Right::ChangePolicy, profile::add)
        .get("/categories/cell", Right::SeePolicy, cell::show)
        .post("/categories/cell", Right::ChangePolicy, cell::set)
        .get("/categories/effect", Right::ChangePolicy, cell::effect)
        .post("/categories/undo", Right::ChangePolicy, cell::undo)
}

/// What of the matrix is looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Words of a title or a summary.
    q: String,
    /// What categories are about.
    area: String,
    /// `own`, `open`, `closed` or `different`; all, if empty.
    show: String,
    /// Two profiles to be compared.
    a: String,
    b: String,
    /// The profile that a small screen has room for.
    one: String,
    /// The category whose services are shown.
    open: String,
    /// The revision that was just made, to be taken back with one click.
    changed: Option<i64>,
}

#[derive(Template)]
#[template(path = "policy.html")]
struct Show {
    p: Page,
    look: Look,
    shown: Shown,
    panel: cell::Panel,
}

#[derive(Template)]
#[template(path = "policy.html", block = "matrix")]
struct Part {
    p: Page,
    look: Look,
    shown: Shown,
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let matrix = visit.admin.control.matrix();
    let p = visit.page("policy-title", "/policy");
    let look = Look::new(&asked, &matrix);
    let shown = Shown::new(&p, &look, &matrix);
    if visit.part {
        return html(&Part { p, look, shown });
    }
    // Only the last change can be taken back.
    let last = asked.changed.filter(|changed| *changed == matrix.revision && p.may_change());
    let panel = last.map_or(cell::Panel::Nothing, |revision| cell::Panel::done(&visit, revision));
    html(&Show { p, look, shown, panel })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RowAsked {
    category: String,
    is_open: bool,
}

#[derive(Template)]
#[template(path = "policy_row.html")]
struct RowPart {
    p: Page,
    look: Look,
    row: Row,
}

/// One category with its services, or without them.
async fn row(
    visit: Visit,
    Query(wanted): Query<RowAsked>,
    Query(mut asked): Query<Asked>,
) -> Result<Response, Failure> {
    let matrix = visit.admin.control.matrix();
    asked.open = if wanted.is_open { wanted.category.clone() } else { String::new() };
    let p = visit.page("policy-title", "/policy");
    let look = Look::new(&asked, &matrix);
    let columns = look.columns(&p, &matrix);
    let found = matrix.rows.iter().find(|row| row.id == wanted.category).ok_or_else(Failure::not_found)?;
    let row = Row::new(&p, &look, &columns, &matrix, found);
    html(&RowPart { p, look, row })
}

/// The titles of what a cell is about: the category or service, and the profile.
fn titles(matrix: &Matrix, category: &str, profile: &str) -> Option<(String, String)> {
    let profile = matrix.profiles.iter().find(|column| column.id == profile)?;
    let row = matrix.rows.iter().find_map(|row| {
        let service = row.services.iter().find(|service| service.id == category);
        if row.id == category { Some(&row.title) } else { service.map(|service| &service.title) }
    })?;
    Some((row.clone(), profile.title.clone()))
}
