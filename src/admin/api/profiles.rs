//! Profiles and their cells, and what the policy says of the school.

use std::collections::BTreeMap;

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Json, Tagged, call, not_there},
    doc::{Doc, Tag},
    edit::{Why, edit, in_force},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    category::Audience,
    control::{Edit, EditReport, NewProfile, ProfileEdit, SchoolEdit},
    policy::{Access, BlockResponse, Cell, LogLevel, Mode, ProfileFile, YouTube},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, see, change) = (Tag::Profiles, Right::SeePolicy, Right::ChangePolicy);
    let list = Doc::new(tag, "The profiles");
    let show = Doc::new(tag, "A profile");
    let add = Doc::new(tag, "Add a profile").conditional().example(
        json!({ "profile": "sixth-form", "name": "Sixth form", "audience": "pupil", "like": "secondary" }),
    );
    let set = Doc::new(tag, "Change settings of a profile")
        .details("What is left out stays.")
        .conditional()
        .example(json!({ "youtube": "strict", "why": { "youtube": "as for all pupils" } }));
    let remove = Doc::new(tag, "Take a profile out, with the rules that are for it alone").conditional();
    let cell = Doc::new(tag, "Give a category or a service a state in a profile")
        .details("Without a state it goes back to the usual one.")
        .conditional()
        .example(json!({ "cell": "block", "why": "a distraction in lessons" }));
    let school = Doc::new(tag, "What the policy says of the school");
    let set_school = Doc::new(tag, "Change what the policy says of the school")
        .details("What is left out stays.")
        .conditional()
        .example(json!({ "name": "Oak Road Primary School", "timezone": "Europe/London" }));
    routes
        .api(Method::GET, "/api/v1/profiles", see, list, call(profiles))
        .api(Method::POST, "/api/v1/profiles", change, add, call(add_profile))
        .api(Method::GET, "/api/v1/profiles/{profile}", see, show, call(profile))
        .api(Method::PATCH, "/api/v1/profiles/{profile}", change, set, call(set_profile))
        .api(Method::DELETE, "/api/v1/profiles/{profile}", change, remove, call(remove_profile))
        .api(Method::PUT, "/api/v1/profiles/{profile}/categories/{category}", change, cell, call(set_cell))
        .api(Method::GET, "/api/v1/school", see, school, call(show_school))
        .api(Method::PATCH, "/api/v1/school", change, set_school, call(edit_school))
}

/// The settings of a profile.
#[derive(Debug, Serialize, JsonSchema)]
struct ProfileReport {
    /// The profile's identifier.
    id: String,
    /// What people read.
    title: String,
    /// Who it is for.
    audience: Audience,
    /// How it decides.
    mode: Mode,
    /// Its subnets.
    subnets: Vec<String>,
    /// What happens to names on no list, where the policy says so.
    uncategorised: Option<Access>,
    /// Whether search engines are held in their safe mode.
    safe_search: bool,
    /// How YouTube is restricted.
    youtube: YouTube,
    /// Whether HTTPS records lose the key of encrypted hellos.
    strip_ech: bool,
    /// How a block looks.
    block_with: BlockResponse,
    /// What is logged of its clients.
    log: LogLevel,
    /// Whether software that asks if it may go around the filter is told no.
    canaries: bool,
    /// The bundles of approved sites.
    bundles: Vec<String>,
    /// The categories that the policy names; others are as they ship.
    categories: BTreeMap<String, Cell>,
    /// The services that the policy names; others are as their category.
    services: BTreeMap<String, Cell>,
    /// Why things are as they are.
    why: BTreeMap<String, String>,
}

impl From<&ProfileFile> for ProfileReport {
    fn from(profile: &ProfileFile) -> Self {
        let title = profile.title().to_owned();
        let profile = profile.clone();
        Self {
            title,
            log: profile.log.unwrap_or_else(|| LogLevel::usual(profile.audience)),
            id: profile.id,
            audience: profile.audience,
            mode: profile.mode,
            subnets: profile.subnets,
            uncategorised: profile.uncategorised,
            safe_search: profile.safe_search,
            youtube: profile.youtube,
            strip_ech: profile.strip_ech,
            block_with: profile.block_with,
            canaries: profile.canaries,
            bundles: profile.bundles,
            categories: profile.categories,
            services: profile.services,
            why: profile.why,
        }
    }
}

/// All profiles.
#[derive(Debug, Serialize, JsonSchema)]
struct Profiles {
    /// The profile of devices that nobody knows, where the policy names one.
    fallback: Option<String>,
    /// In the policy's order.
    profiles: Vec<ProfileReport>,
}

async fn profiles(visit: Visit, _: Asked) -> Result<Tagged<Profiles>, Failure> {
    let now = in_force(&visit)?;
    let profiles = now.file.profiles.iter().map(ProfileReport::from).collect();
    Ok(Tagged(now.revision, Profiles { fallback: now.file.fallback_profile, profiles }))
}

async fn profile(visit: Visit, asked: Asked<String>) -> Result<Tagged<ProfileReport>, Failure> {
    let now = in_force(&visit)?;
    let found = now.file.profiles.iter().find(|profile| profile.id == asked.path).ok_or_else(not_there)?;
    Ok(Tagged(now.revision, found.into()))
}

async fn add_profile(
    visit: Visit,
    asked: Asked<(), Why, Json<NewProfile>>,
) -> Result<Tagged<EditReport>, Failure> {
    edit(&visit, vec![Edit::AddProfile(asked.body.0)], asked.query, asked.expect).await
}

/// New settings of a profile; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// What people read.
    name: Option<String>,
    /// How it decides.
    mode: Option<Mode>,
    /// What happens to names on no list.
    uncategorised: Option<Access>,
    /// What happens to names that are new to the school.
    newly_seen: Option<Cell>,
    /// Whether search engines are held in their safe mode.
    safe_search: Option<bool>,
    /// How YouTube is restricted.
    youtube: Option<YouTube>,
    /// Whether HTTPS records lose the key of encrypted hellos.
    strip_ech: Option<bool>,
    /// How a block looks.
    block_with: Option<BlockResponse>,
    /// What is logged of its clients.
    log: Option<LogLevel>,
    /// Whether software that asks if it may go around the filter is told no.
    canaries: Option<bool>,
    /// The bundles of approved sites.
    bundles: Option<Vec<String>>,
    /// Why categories, services and settings are as they are; an empty text takes one out.
    why: BTreeMap<String, String>,
}

async fn set_profile(
    visit: Visit,
    asked: Asked<String, Why, Json<Settings>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(new) = asked.body;
    let profile = ProfileEdit {
        profile: asked.path,
        name: new.name,
        mode: new.mode,
        uncategorised: new.uncategorised,
        newly_seen: new.newly_seen,
        safe_search: new.safe_search,
        youtube: new.youtube,
        strip_ech: new.strip_ech,
        block_with: new.block_with,
        log: new.log,
        canaries: new.canaries,
        bundles: new.bundles,
        why: new.why,
    };
    edit(&visit, vec![Edit::SetProfile(profile)], asked.query, asked.expect).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Removal {
    /// The profile that gets its subnets and devices; the fallback, if left out.
    to: Option<String>,
    /// Why; must be there where the change opens something.
    #[serde(default)]
    reason: String,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

async fn remove_profile(visit: Visit, asked: Asked<String, Removal>) -> Result<Tagged<EditReport>, Failure> {
    let Removal { to, reason, dry_run } = asked.query;
    let edits = vec![Edit::RemoveProfile { profile: asked.path, to }];
    edit(&visit, edits, Why { reason, dry_run }, asked.expect).await
}

/// The state of a category or a service in a profile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewCell {
    /// The state; the usual one, if left out.
    cell: Option<Cell>,
    /// Why; what was written before goes with the state that it was about.
    why: Option<String>,
}

async fn set_cell(
    visit: Visit,
    asked: Asked<(String, String), Why, Json<NewCell>>,
) -> Result<Tagged<EditReport>, Failure> {
    let ((profile, category), Json(NewCell { cell, why })) = (asked.path, asked.body);
    edit(&visit, vec![Edit::SetCell { profile, category, cell, why }], asked.query, asked.expect).await
}

/// What the policy says of the school.
#[derive(Debug, Serialize, JsonSchema)]
struct School {
    /// The school's name.
    name: String,
    /// The time zone of schedules, by its IANA name.
    timezone: String,
    /// The profile of devices that nobody knows; the strictest for pupils, if none is named.
    fallback_profile: Option<String>,
    /// Whom to ask about a block, as a URI.
    contact: Option<String>,
    /// The school's own names.
    own_names: Vec<String>,
}

async fn show_school(visit: Visit, _: Asked) -> Result<Tagged<School>, Failure> {
    let now = in_force(&visit)?;
    let file = now.file;
    let school = School {
        name: file.school,
        timezone: file.timezone,
        fallback_profile: file.fallback_profile,
        contact: file.contact,
        own_names: file.own_names,
    };
    Ok(Tagged(now.revision, school))
}

async fn edit_school(
    visit: Visit,
    asked: Asked<(), Why, Json<SchoolEdit>>,
) -> Result<Tagged<EditReport>, Failure> {
    edit(&visit, vec![Edit::SetSchool(asked.body.0)], asked.query, asked.expect).await
}
