//! The school's own sites: what it opens and blocks by name, with who answers for it and until when.

mod form;
#[cfg(test)]
mod tests;
mod transfer;

use askama::Template;
use axum::{
    extract::{Form, Query},
    response::Response,
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;

use super::{
    super::{
        access::Right,
        failure::Failure,
        form::Refusal,
        page::{Page, html_with, see},
        routes::Routes,
        visit::Visit,
        when::When,
    },
    change,
};
use crate::{
    control::{Edit, WhichRule},
    policy::{Action, Policy, PolicyFile, RuleFile},
    querylog::search::zone,
};

/// How many rules one page has room for.
const SHOWN: usize = 300;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/sites", Right::SeePolicy, show)
        .get("/sites/new", Right::ChangePolicy, form::new)
        .post("/sites/new", Right::ChangePolicy, form::save)
        .post("/sites/preview", Right::ChangePolicy, form::preview)
        .get("/sites/edit", Right::ChangePolicy, form::edit)
        .post("/sites/remove", Right::ChangePolicy, remove)
        .post("/sites/undo", Right::ChangePolicy, undo)
        .get("/sites/import", Right::ChangePolicy, transfer::show)
        .post("/sites/import", Right::ChangePolicy, transfer::import)
        .get("/sites/sites.csv", Right::SeePolicy, transfer::export)
}

/// What of the rules is looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// A part of a name, a reason or an owner.
    q: String,
    /// `allow` or `block`; both, if empty.
    action: String,
    /// A profile; all, if empty.
    profile: String,
    /// `ending` or `ended`; all, if empty.
    state: String,
    changed: Option<i64>,
}

/// A rule, as people read it.
struct Line {
    /// Its place among the rules of the revision.
    place: usize,
    /// The name, or a digest where it must not be shown.
    name: String,
    /// Whether only the name itself is meant, without what is below it.
    is_alone: bool,
    allows: bool,
    profiles: String,
    clients: String,
    reason: String,
    owner: String,
    until: String,
    has_ended: bool,
    /// Whether the name can be shown, and so be edited.
    is_open: bool,
}

impl Line {
    fn new(school: &School, place: usize, rule: &RuleFile) -> Self {
        let name = rule.name.trim();
        let alone = name.strip_prefix('=');
        let bare = alone.unwrap_or(name);
        let shown = school.policy.masked(bare).into_owned();
        let end = rule.ends_at(&school.zone);
        let titles = rule.profiles.iter().flatten().map(|id| school.title(id));
        Self {
            place,
            is_open: shown == bare,
            name: shown,
            is_alone: alone.is_some(),
            allows: rule.action == Action::Allow,
            profiles: titles.collect::<Vec<_>>().join(", "),
            clients: rule.clients.iter().flatten().cloned().collect::<Vec<_>>().join(", "),
            reason: school.policy.masked(&rule.reason).into_owned(),
            owner: rule.owner.clone(),
            until: end.map(|end| When::by(school.zone.clone()).minute(end, school.now)).unwrap_or_default(),
            has_ended: end.is_some_and(|end| end <= school.now),
        }
    }
}

/// The policy in force with what is needed to speak of its rules.
struct School {
    policy: std::sync::Arc<Policy>,
    zone: TimeZone,
    now: Timestamp,
}

impl School {
    fn of(visit: &Visit) -> Self {
        let policy = visit.admin.control.policy().load_full();
        let (zone, now) = (zone(&policy), visit.admin.clock.now());
        Self { policy, zone, now }
    }

    fn file(&self) -> &PolicyFile {
        self.policy.file()
    }

    fn title(&self, id: &str) -> String {
        let found = self.file().profiles.iter().find(|profile| profile.id == id);
        found.map_or(id, |profile| profile.title()).to_owned()
    }

    /// Every profile: its identifier and title.
    fn profiles(&self) -> Vec<(String, String)> {
        let all = self.file().profiles.iter();
        all.map(|profile| (profile.id.clone(), profile.title().to_owned())).collect()
    }
}

/// The revision that is in force.
fn revision(visit: &Visit) -> Result<i64, Failure> {
    Ok(visit.admin.control.policy_file()?.revision)
}

#[derive(Template)]
#[template(path = "sites.html")]
struct Show {
    p: Page,
    asked: Asked,
    profiles: Vec<(String, String)>,
    lines: Vec<Line>,
    /// How many there are like that.
    found: usize,
    /// How many there are.
    all: usize,
    revision: i64,
    refusal: Refusal,
    /// The last change, where it can be taken back.
    changed: Option<i64>,
}

#[derive(Template)]
#[template(path = "sites.html", block = "found")]
struct Part {
    p: Page,
    lines: Vec<Line>,
    found: usize,
    all: usize,
    revision: i64,
}

fn page(visit: &Visit, asked: Asked, refusal: Refusal) -> Result<Response, Failure> {
    let school = School::of(visit);
    let rules = &school.file().rules;
    let words = asked.q.trim().to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&words);
    let is_wanted = |(rule, line): &(&RuleFile, Line)| {
        (words.is_empty() || has(&line.name) || has(&line.reason) || has(&line.owner))
            && match asked.action.as_str() {
                "allow" => line.allows,
                "block" => !line.allows,
                _ => true,
            }
            && (asked.profile.is_empty()
                || rule.profiles.as_ref().is_none_or(|profiles| profiles.contains(&asked.profile)))
            && match asked.state.as_str() {
                "ending" => !line.until.is_empty() && !line.has_ended,
                "ended" => line.has_ended,
                _ => true,
            }
    };
    let lines = rules.iter().enumerate().map(|(place, rule)| (rule, Line::new(&school, place, rule)));
    let mut lines: Vec<Line> = lines.filter(is_wanted).map(|(_, line)| line).collect();
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    let (found, all) = (lines.len(), rules.len());
    lines.truncate(SHOWN);
    let p = visit.page("sites-title", "/sites");
    let revision = revision(visit)?;
    if visit.part {
        return html_with(refusal.status(), &Part { p, lines, found, all, revision });
    }
    let changed = asked.changed.filter(|changed| *changed == revision && p.may_change());
    let profiles = school.profiles();
    let status = refusal.status();
    html_with(status, &Show { p, asked, profiles, lines, found, all, revision, refusal, changed })
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    page(&visit, asked, Refusal::default())
}

/// Which rule is meant: its place in a revision, since a name that must not be shown is not in the page.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Which {
    place: usize,
    revision: i64,
    reason: String,
}

/// A rule of the revision that somebody has seen; none where that is not in force any more, or has no such rule.
fn find(visit: &Visit, place: usize, seen: i64) -> Result<Option<RuleFile>, Failure> {
    let in_force = visit.admin.control.policy_file()?;
    let rule = in_force.file.rules.get(place).cloned();
    Ok(rule.filter(|_| in_force.revision == seen))
}

/// What tells a rule from others, for edits.
fn which(rule: &RuleFile) -> WhichRule {
    WhichRule {
        name: rule.name.clone(),
        profiles: rule.profiles.clone().unwrap_or_default(),
        clients: rule.clients.clone().unwrap_or_default(),
        ends: rule.until.is_some(),
    }
}

/// That a rule can't be found any more, since somebody changed the policy.
async fn moved(visit: &Visit, seen: i64) -> Result<Refusal, Failure> {
    let refusal = change::collision(visit, Vec::new(), seen).await?;
    Ok(refusal.unwrap_or_else(|| Refusal::outdated(&visit.words)))
}

#[derive(Template)]
#[template(path = "sites_remove.html")]
struct RemovePage {
    p: Page,
    line: Line,
    asked: Which,
    refusal: Refusal,
}

async fn remove(visit: Visit, Form(asked): Form<Which>) -> Result<Response, Failure> {
    let Some(rule) = find(&visit, asked.place, asked.revision)? else {
        let refusal = moved(&visit, asked.revision).await?;
        return page(&visit, Asked::default(), refusal);
    };
    let edits = vec![Edit::RemoveRule(which(&rule))];
    match change::edit(&visit, edits, &asked.reason, Some(asked.revision)).await? {
        Ok(report) => Ok(see(&format!("/sites?changed={}", report.revision), "done-removed")),
        Err(refusal) => {
            let line = Line::new(&School::of(&visit), asked.place, &rule);
            let p = visit.page("sites-remove-title", "/sites");
            html_with(refusal.status(), &RemovePage { p, line, asked, refusal })
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct UndoAsked {
    revision: i64,
}

async fn undo(visit: Visit, Form(asked): Form<UndoAsked>) -> Result<Response, Failure> {
    match change::undo(&visit, asked.revision).await? {
        Ok(_) => Ok(see("/sites", "done-undone")),
        Err(refusal) => page(&visit, Asked::default(), refusal),
    }
}
