//! The school's own rules: names that are opened or blocked whatever the lists say.

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Json, Listed, Tagged, call},
    doc::{Doc, Tag},
    edit::{Why, edit, in_force, shown},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    control::{Edit, EditReport, RuleEdit, WhichRule},
    policy::Action,
};

pub(super) fn routes(routes: Routes) -> Routes {
    let list = Doc::new(Tag::Sites, "The school's own rules");
    let put = Doc::new(Tag::Sites, "Add rules, or write them anew")
        .details("A rule takes the place of one for the same name, profiles and clients, if both or neither have an end.")
        .conditional()
        .example(json!({ "rules": [
            { "action": "allow", "name": "bbc.co.uk", "profiles": ["secondary"], "reason": "news in form time" },
            { "action": "block", "name": "=chat.example", "until": "2026-12-18T16:00:00Z" },
        ] }));
    let remove = Doc::new(Tag::Sites, "Take a rule out")
        .details(
            "It is named by what tells it from others: name, profiles, clients, and whether it has an end.",
        )
        .conditional();
    routes
        .api(Method::GET, "/api/v1/rules", Right::SeePolicy, list, call(rules))
        .api(Method::POST, "/api/v1/rules", Right::ChangePolicy, put, call(put_rules))
        .api(Method::DELETE, "/api/v1/rules", Right::ChangePolicy, remove, call(remove_rule))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only rules with this in their name, in capitals or not.
    name: Option<String>,
    /// Only rules that hold for this profile, those for all among them.
    profile: Option<String>,
    /// Only rules that open, or only those that block.
    action: Option<Action>,
}

/// The school's own rules.
#[derive(Debug, Serialize, JsonSchema)]
struct Rules {
    /// In the policy's order.
    rules: Vec<RuleReport>,
}

/// A rule of the school.
#[derive(Debug, Serialize, JsonSchema)]
struct RuleReport {
    /// What it does.
    action: Action,
    /// The name and what is below it; `=name` is the name alone.
    name: String,
    /// The profiles that it holds for; all, if empty.
    profiles: Vec<String>,
    /// The clients within these profiles that it holds for; all, if empty.
    clients: Vec<String>,
    /// Why it was made; may be empty.
    reason: String,
    /// When it ends, as the policy says it.
    until: Option<String>,
}

async fn rules(visit: Visit, asked: Asked<(), Which>) -> Result<Tagged<Rules>, Failure> {
    let Which { name, profile, action } = asked.query;
    let name = name.unwrap_or_default().trim().to_lowercase();
    let now = in_force(&visit)?;
    let rules = now.file.rules.into_iter().map(|rule| RuleReport {
        action: rule.action,
        name: shown(&visit, &rule.name),
        profiles: rule.profiles.unwrap_or_default(),
        clients: rule.clients.unwrap_or_default(),
        reason: shown(&visit, &rule.reason),
        until: rule.until.map(|until| until.to_string()),
    });
    let is_wanted = |rule: &RuleReport| {
        let holds = |profile: &String| rule.profiles.is_empty() || rule.profiles.contains(profile);
        rule.name.to_lowercase().contains(&name)
            && profile.as_ref().is_none_or(holds)
            && action.is_none_or(|action| rule.action == action)
    };
    let rules = rules.filter(is_wanted).collect();
    Ok(Tagged(now.revision, Rules { rules }))
}

/// Rules to be added or written anew.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRules {
    /// The rules.
    rules: Vec<RuleEdit>,
}

async fn put_rules(
    visit: Visit,
    asked: Asked<(), Why, Json<NewRules>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(NewRules { rules }) = asked.body;
    edit(&visit, vec![Edit::PutRules { rules }], asked.query, asked.expect).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Gone {
    /// The name, as in the rule.
    name: String,
    /// The profiles that it holds for, with commas between; none for all.
    #[serde(default)]
    profiles: Listed,
    /// The clients that it holds for, with commas between; none for all.
    #[serde(default)]
    clients: Listed,
    /// Whether it has an end.
    #[serde(default)]
    ends: bool,
    /// Why; must be there where the change opens something.
    #[serde(default)]
    reason: String,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

async fn remove_rule(visit: Visit, asked: Asked<(), Gone>) -> Result<Tagged<EditReport>, Failure> {
    let Gone { name, profiles, clients, ends, reason, dry_run } = asked.query;
    let which = WhichRule { name, profiles: profiles.0, clients: clients.0, ends };
    edit(&visit, vec![Edit::RemoveRule(which)], Why { reason, dry_run }, asked.expect).await
}
