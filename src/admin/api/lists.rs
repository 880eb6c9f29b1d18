//! Lists: what they are, and what changes which version is in force.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Json, Nothing, Raw, Tagged, Told, call, not_there},
    doc::{Doc, Tag},
    edit::{Why, asked, edit, in_force},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    category,
    control::{DiffReport, Edit, EditReport, ListReport, ListsReport, UpdateReport, WhyReport},
    feeds::Scratch,
    lists::{
        Format,
        catalogue::{Catalogue, Listing, SchoolKind},
        format::MatchMode,
    },
    policy::{Action, AppliesTo, ListFile},
};

/// The largest text of a list that is taken, in bytes.
const LARGEST_LIST: usize = 64 << 20;

/// How many names of each kind a comparison tells at most.
const MOST_NAMES: usize = 1_000;

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, see, change) = (Tag::Lists, Right::SeeLists, Right::ChangeLists);
    let list = Doc::new(tag, "The lists in force, and what became of each subscription");
    let one = Doc::new(tag, "A list");
    let catalogue = Doc::new(
        tag,
        "The public lists that can be subscribed to, with their licence and what they are good and bad at",
    );
    let why = Doc::new(tag, "Which lists say what of a name");
    let add = Doc::new(tag, "Subscribe to a list, or begin one of the school's own")
        .details("It names one source: url, zone, upload or text. One that opens names needs a reason.")
        .example(json!({
            "id": "oisd", "category": "advertising", "url": "https://lists.example/oisd.txt", "dry_run": true,
        }));
    let remove = Doc::new(tag, "Take a list out, and forget its versions");
    let text = Doc::new(tag, "The text of a list of the school's own");
    let write = Doc::new(tag, "Write a list of the school's own anew")
        .conditional()
        .example(json!({ "text": "# made by the ICT club\nchat.example\n" }));
    let update = Doc::new(tag, "Get lists from where they come from, and put what is good in force")
        .details("All lists, if none is named. One that fails or looks wrong does not keep the others from coming in.")
        .example(json!({ "lists": ["oisd"], "dry_run": false }));
    let upload = Doc::new(tag, "Bring a text for a list that is brought by hand")
        .details("Compressed or not, at most 64 MiB.");
    let accept = Doc::new(tag, "Put the held version of a list in force");
    let back = Doc::new(tag, "Put an older version of a list in force")
        .example(json!({ "to": 3, "reason": "version 4 blocks the library" }));
    let diff = Doc::new(tag, "What changed between two versions of a list").details(
        "By default what accepting the held version would change, else what the version in force changed.",
    );
    routes
        .api(Method::GET, "/api/v1/lists", see, list, call(lists))
        .api(Method::POST, "/api/v1/lists", change, add, call(add_list))
        .api(Method::GET, "/api/v1/lists/{id}", see, one, call(list_of))
        .api(Method::DELETE, "/api/v1/lists/{id}", change, remove, call(remove_list))
        .api(Method::GET, "/api/v1/lists/{id}/text", see, text, call(text_of))
        .api(Method::PUT, "/api/v1/lists/{id}/text", change, write, call(write_list))
        .api(Method::GET, "/api/v1/lists/{id}/diff", see, diff, call(diff_of))
        .api(Method::POST, "/api/v1/lists/{id}/upload", change, upload, call(upload_list))
        .api(Method::POST, "/api/v1/lists/{id}/accept", change, accept, call(accept_list))
        .api(Method::POST, "/api/v1/lists/{id}/rollback", change, back, call(roll_back))
        .api(Method::POST, "/api/v1/list-updates", change, update, call(update_lists))
        .api(Method::GET, "/api/v1/list-catalogue", see, catalogue, call(catalogue_of))
        .api(Method::GET, "/api/v1/listed", see, why, call(why_listed))
}

async fn lists(visit: Visit, _: Asked) -> Result<Told<ListsReport>, Failure> {
    Ok(Told(visit.aside(|visit| visit.admin.control.lists()).await?))
}

async fn list_of(visit: Visit, asked: Asked<String>) -> Result<Told<ListReport>, Failure> {
    let report = visit.aside(|visit| visit.admin.control.lists()).await?;
    let found = report.lists.into_iter().find(|list| list.id == asked.path);
    Ok(Told(found.ok_or_else(not_there)?))
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Offered {
    /// Only those that are recommended to this kind of school.
    recommended: Option<SchoolKind>,
    /// Only those of this category.
    category: Option<String>,
}

/// Lists of the catalogue.
#[derive(Debug, Serialize, JsonSchema)]
struct CatalogueLists {
    /// In the order of the catalogue.
    lists: Vec<&'static Listing>,
}

async fn catalogue_of(_: Visit, asked: Asked<(), Offered>) -> Result<Told<CatalogueLists>, Failure> {
    let Offered { recommended, category } = asked.query;
    let lists = Catalogue::shipped().matching(recommended, category.as_deref()).collect();
    Ok(Told(CatalogueLists { lists }))
}

/// That the policy subscribes to a list of this name.
fn subscribed(visit: &Visit, id: &str) -> Result<ListFile, Failure> {
    in_force(visit)?.file.lists.into_iter().find(|list| list.id == id).ok_or_else(not_there)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Name {
    /// The name.
    name: String,
}

async fn why_listed(visit: Visit, asked: Asked<(), Name>) -> Result<Told<WhyReport>, Failure> {
    let name = crate::name::host_of(asked.query.name.trim()).to_owned();
    Ok(Told(visit.aside(move |visit| visit.admin.control.why(&name)).await??))
}

/// A list to subscribe to, or to begin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewList {
    /// The identifier: small letters, digits and hyphens.
    id: String,
    /// What people read; the identifier, if left out.
    #[serde(default)]
    title: String,
    /// The category that it feeds.
    category: String,
    /// Whether its names are blocked by that category or opened for it.
    #[serde(default)]
    action: Action,
    /// Where it is fetched from.
    url: Option<String>,
    /// Where the same bytes are had when that can't be reached, in this order.
    #[serde(default)]
    mirrors: Vec<String>,
    /// The credential of the box's settings that these ask for.
    credential: Option<String>,
    /// The response policy zone that it is transferred from.
    zone: Option<String>,
    /// Who has the zone: `192.0.2.53`, `192.0.2.53:5353`.
    #[serde(default)]
    primaries: Vec<String>,
    /// The key of the box's settings that signs transfers of the zone.
    key: Option<String>,
    /// Whether someone brings it by hand.
    #[serde(default)]
    upload: bool,
    /// The list itself, for one that the school writes.
    text: Option<String>,
    /// What its names are names of.
    #[serde(default)]
    applies_to: AppliesTo,
    /// How many entries a version must have at least; one with fewer is held.
    minimum: Option<u64>,
    /// How its lines are written; found out, if left out.
    format: Option<Format>,
    /// What a bare name in it means.
    #[serde(default, rename = "match")]
    matching: MatchMode,
    /// How often it is fetched, in hours; every day, if left out.
    #[serde(default = "day")]
    refresh_hours: u32,
    /// Why; must be there where it opens names.
    #[serde(default)]
    reason: String,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

fn day() -> u32 {
    24
}

async fn add_list(
    visit: Visit,
    request: Asked<(), Nothing, Json<NewList>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(new) = request.body;
    let why = Why { reason: new.reason, dry_run: new.dry_run };
    let list = ListFile {
        id: new.id,
        title: new.title,
        category: new.category,
        action: new.action,
        url: new.url,
        mirrors: new.mirrors,
        credential: new.credential,
        // A file of the box is for who sits at its console to name.
        file: None,
        zone: new.zone,
        primaries: new.primaries,
        key: new.key,
        upload: new.upload,
        text: new.text,
        applies_to: new.applies_to,
        minimum: new.minimum,
        format: new.format,
        matching: new.matching,
        refresh_hours: new.refresh_hours,
    };
    let report = visit.admin.control.add_lists(vec![list], asked(&visit, why, None)).await?;
    Ok(Tagged(report.revision, report))
}

async fn remove_list(visit: Visit, asked: Asked<String, Why>) -> Result<Tagged<EditReport>, Failure> {
    subscribed(&visit, &asked.path)?;
    edit(&visit, vec![Edit::RemoveList { list: asked.path }], asked.query, asked.expect).await
}

/// The text of a list of the school's own.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    /// As it was written, comments and all.
    text: String,
}

async fn text_of(visit: Visit, asked: Asked<String>) -> Result<Tagged<Text>, Failure> {
    let list = subscribed(&visit, &asked.path)?;
    // Its lines are for nobody to see.
    if category::is_sealed(&list.category) {
        return Err(Failure::not_yours().because("the names of this list must not be shown"));
    }
    let revision = in_force(&visit)?.revision;
    Ok(Tagged(revision, Text { text: visit.admin.control.own_text(&asked.path)? }))
}

async fn write_list(
    visit: Visit,
    asked: Asked<String, Why, Json<Text>>,
) -> Result<Tagged<EditReport>, Failure> {
    subscribed(&visit, &asked.path)?;
    visit.admin.control.own_text(&asked.path)?;
    let Json(Text { text }) = asked.body;
    edit(&visit, vec![Edit::WriteList { list: asked.path, text }], asked.query, asked.expect).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Versions {
    /// The older version's number.
    from: Option<u32>,
    /// The newer version's number.
    to: Option<u32>,
    /// How many names of each kind are told: 0 to 1000; 100, if left out.
    #[serde(default = "hundred")]
    most: usize,
}

fn hundred() -> usize {
    100
}

async fn diff_of(visit: Visit, asked: Asked<String, Versions>) -> Result<Told<DiffReport>, Failure> {
    subscribed(&visit, &asked.path)?;
    let Versions { from, to, most } = asked.query;
    Ok(Told(visit.admin.control.diff(&asked.path, from, to, most.min(MOST_NAMES)).await?))
}

/// Which lists are to be fetched.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Their identifiers; all, if left out.
    #[serde(default)]
    lists: Vec<String>,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

async fn update_lists(
    visit: Visit,
    asked: Asked<(), Nothing, Json<Which>>,
) -> Result<Told<UpdateReport>, Failure> {
    let Json(Which { lists, dry_run }) = asked.body;
    Ok(Told(visit.admin.control.update_lists(&lists, &visit.by(), dry_run).await?))
}

async fn upload_list(
    visit: Visit,
    asked: Asked<String, Nothing, Raw<LARGEST_LIST>>,
) -> Result<Told<UpdateReport>, Failure> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let list = subscribed(&visit, &asked.path)?;
    let sealed = category::is_sealed(&list.category);
    let text = asked.body.0;
    let written = visit.aside(move |visit| {
        // What must not be shown does not lie on the disk in clear either.
        let scratch = if sealed {
            Scratch::in_memory()?
        } else {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("brought-{}-{number}", std::process::id());
            Scratch::file(visit.admin.control.folder().join("incoming").join(name))?
        };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(scratch.path())?;
        file.write_all(&text)?;
        std::io::Result::Ok(scratch)
    });
    let scratch = written.await?.map_err(Failure::inside)?;
    // What looks wrong about it is accepted by a call of its own, with a reason.
    Ok(Told(visit.admin.control.upload(&list.id, scratch.path(), false, &visit.by()).await?))
}

/// Why a version is put in force.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Because {
    /// Must be there where names go from the list, or come to one that opens names.
    reason: String,
}

async fn accept_list(visit: Visit, asked: Asked<String, Because>) -> Result<Told<ListsReport>, Failure> {
    subscribed(&visit, &asked.path)?;
    let why = visit.asked(&asked.query.reason, None);
    Ok(Told(visit.admin.control.accept_lists(&[asked.path], &why).await?))
}

/// The version to go back to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Back {
    /// Its number; the good one before, if left out.
    to: Option<u32>,
    /// Why; must be there.
    #[serde(default)]
    reason: String,
}

async fn roll_back(
    visit: Visit,
    asked: Asked<String, Nothing, Json<Back>>,
) -> Result<Told<ListsReport>, Failure> {
    subscribed(&visit, &asked.path)?;
    let Json(Back { to, reason }) = asked.body;
    Ok(Told(visit.admin.control.roll_back(&asked.path, to, &visit.asked(&reason, None)).await?))
}
