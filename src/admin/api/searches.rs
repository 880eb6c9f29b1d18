//! The searches of the query log that the owner of a token keeps.

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Done, Json, Nothing, Told, call},
    doc::{Doc, Tag},
    users::user_id,
};
use crate::{
    accounts::UserId,
    admin::{
        access::Right, failure::Failure, log::keep_search, pages::search_to_keep, routes::Routes,
        visit::Visit,
    },
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, right) = (Tag::Log, Right::SeeLog);
    let list = Doc::new(tag, "The searches of the log that you keep").details("Nobody else sees them.");
    let keep = Doc::new(tag, "Keep a search of the log")
        .details("One that you keep under the same name is replaced.")
        .example(json!({ "name": "Games in lessons", "query": "category=games&action=blocked&from=today" }));
    let forget = Doc::new(tag, "Forget a search that you keep");
    routes
        .api(Method::GET, "/api/v1/log/searches", right, list, call(searches))
        .api(Method::POST, "/api/v1/log/searches", right, keep, call(keep_one))
        .api(Method::DELETE, "/api/v1/log/searches/{id}", right, forget, call(forget_one))
}

/// Searches that somebody keeps.
#[derive(Debug, Serialize, JsonSchema)]
struct Searches {
    /// In the order of their names.
    searches: Vec<Search>,
}

/// A search that somebody keeps.
#[derive(Debug, Serialize, JsonSchema)]
struct Search {
    /// Its number.
    id: u64,
    /// What they call it.
    name: String,
    /// What is searched for, as the address of the log's page has it: `/log?` and this.
    query: String,
}

/// A search to be kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSearch {
    /// What it is called: 1 to 60 characters.
    name: String,
    /// What is searched for, as the address of the log's page has it behind `/log?`.
    query: String,
}

/// Whose searches are meant. The code in the safe is nobody's.
fn owner(visit: &Visit) -> Result<UserId, Failure> {
    user_id(visit).ok_or_else(Failure::not_yours)
}

async fn searches(visit: Visit, _: Asked) -> Result<Told<Searches>, Failure> {
    of(&visit, owner(&visit)?).await
}

async fn of(visit: &Visit, user: UserId) -> Result<Told<Searches>, Failure> {
    let kept = visit.aside(move |visit| visit.admin.searches.of(user)).await?.map_err(Failure::inside)?;
    let searches =
        kept.into_iter().map(|saved| Search { id: saved.id, name: saved.name, query: saved.query });
    Ok(Told(Searches { searches: searches.collect() }))
}

async fn keep_one(
    visit: Visit,
    asked: Asked<(), Nothing, Json<NewSearch>>,
) -> Result<Told<Searches>, Failure> {
    let Json(NewSearch { name, query }) = asked.body;
    let user = owner(&visit)?;
    let query = search_to_keep(&query).ok_or_else(|| Failure::input("query: this search can't be read"))?;
    match keep_search(&visit, user, name, query).await? {
        Ok(()) => of(&visit, user).await,
        Err(error) if error.is_bad_input() => Err(Failure::input(error.to_string())),
        Err(error) => Err(Failure::inside(error)),
    }
}

async fn forget_one(visit: Visit, asked: Asked<i64>) -> Result<Done, Failure> {
    let user = owner(&visit)?;
    // What has no such number is not kept either.
    if let Ok(id) = u64::try_from(asked.path) {
        let forgotten = visit.aside(move |visit| visit.admin.searches.forget(user, id)).await?;
        forgotten.map_err(Failure::inside)?;
    }
    Ok(Done)
}
