//! The searches that somebody keeps.

use axum::{
    extract::{Form, Path, Query},
    response::Response,
};
use serde::Deserialize;

use super::{
    super::super::{
        failure::Failure,
        log::keep_search,
        page::see,
        searches::{Saved, SearchesError},
        visit::{Identity, Visit},
    },
    Fields, Keeping,
};
use crate::accounts::UserId;

/// Whose searches are meant; none for programs, and for who came by the code in the safe.
fn user(visit: &Visit) -> Option<UserId> {
    match &visit.identity {
        Identity::Person(session) => session.user,
        _ => None,
    }
}

/// What who asks keeps.
pub(super) async fn of(visit: &Visit) -> Result<Vec<Saved>, Failure> {
    let Some(user) = user(visit) else { return Ok(Vec::new()) };
    let read = visit.aside(move |visit| visit.admin.searches.of(user)).await?;
    // The log can be searched without them.
    Ok(read.unwrap_or_else(|error| {
        tracing::warn!(%error, "Searches that were kept can't be read");
        Vec::new()
    }))
}

/// The fields of a query, as far as the form knows them.
pub(super) fn fields(query: &str) -> Option<Fields> {
    let uri = format!("/log?{}", query.trim_start_matches('?')).parse().ok()?;
    Query::try_from_uri(&uri).ok().map(|Query(fields)| fields)
}

#[derive(Debug, Deserialize)]
pub(super) struct Keep {
    #[serde(default)]
    search: String,
    /// The query of what is searched for.
    #[serde(default)]
    query: String,
}

pub(super) async fn keep(visit: Visit, Form(form): Form<Keep>) -> Result<Response, Failure> {
    let Some(user) = user(&visit) else { return Err(Failure::not_yours()) };
    let Some(fields) = fields(&form.query) else { return Err(Failure::input("the search can't be read")) };
    match keep_search(&visit, user, form.search.clone(), fields.first()).await? {
        Ok(()) => Ok(see(&format!("/log?{}", fields.first()), "done-search-kept")),
        Err(error) if error.is_bad_input() => {
            let keeping = Keeping { name: form.search, wrong: said(&visit, &error) };
            super::answer(&visit, fields, keeping).await
        }
        Err(error) => Err(Failure::inside(error)),
    }
}

fn said(visit: &Visit, error: &SearchesError) -> String {
    match error {
        SearchesError::Name => visit.words.get("log-keep-name-wrong"),
        SearchesError::Long => visit.words.get("log-keep-long"),
        SearchesError::TooMany => visit.words.get("log-keep-many"),
        SearchesError::File { .. } => error.to_string(),
    }
}

pub(super) async fn forget(visit: Visit, Path(id): Path<u64>) -> Result<Response, Failure> {
    let Some(user) = user(&visit) else { return Err(Failure::not_yours()) };
    visit.aside(move |visit| visit.admin.searches.forget(user, id)).await?.map_err(Failure::inside)?;
    Ok(see("/log", "done-search-removed"))
}
