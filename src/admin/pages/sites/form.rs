//! The form for sites: one or many names, what happens to them, for whom, why, and until when.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::{Form, Query},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    super::{
        change,
        effect::{self, Effect},
    },
    School, find, moved, page, which,
};
use crate::{
    admin::{
        failure::Failure,
        form::Refusal,
        page::{Page, html_with, see},
        visit::Visit,
        when::When,
    },
    control::{Edit, RuleEdit},
    name::host_of,
    policy::{Action, NamePattern, RuleFile},
};

/// How many names one form takes.
const MOST: usize = 5_000;

/// How many names that are wrong are told.
const TOLD: usize = 20;

/// The longest text that says who answers for a rule, in characters.
const LONGEST_OWNER: usize = 120;

/// What was typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Typed {
    /// Names or addresses of pages, one a line.
    names: String,
    action: String,
    /// Devices, addresses or subnets, with commas between them; all, if empty.
    clients: String,
    reason: String,
    owner: String,
    until: String,
    /// The rule that is edited: its place, in a revision. Texts, as numbers beside a flattened map can't be read.
    place: String,
    revision: String,
    /// Each profile stands as `profile.<id>`; none means all.
    #[serde(flatten)]
    others: BTreeMap<String, String>,
}

impl Typed {
    pub(super) fn has_profile(&self, id: &str) -> bool {
        self.others.contains_key(&format!("profile.{id}"))
    }

    fn with_profiles<'a>(mut self, ids: impl IntoIterator<Item = &'a String>) -> Self {
        self.others = ids.into_iter().map(|id| (format!("profile.{id}"), String::from("yes"))).collect();
        self
    }

    fn of(rule: &RuleFile, school: &School, place: usize, revision: i64) -> Self {
        let until = rule.ends_at(&school.zone);
        Self {
            names: rule.name.clone(),
            action: String::from(if rule.action == Action::Allow { "allow" } else { "block" }),
            clients: rule.clients.iter().flatten().cloned().collect::<Vec<_>>().join(", "),
            reason: rule.reason.clone(),
            owner: rule.owner.clone(),
            until: until.map(|until| When::by(school.zone.clone()).field(until)).unwrap_or_default(),
            place: place.to_string(),
            revision: revision.to_string(),
            others: BTreeMap::new(),
        }
        .with_profiles(rule.profiles.iter().flatten())
    }

    /// The rules that were meant, or what is wrong with what was typed.
    fn rules(&self, visit: &Visit, school: &School) -> Result<Vec<RuleEdit>, Refusal> {
        let words = &visit.words;
        let names =
            names(&self.names).map_err(|lines| Refusal::listing(words.get("sites-wrong-names"), lines))?;
        if names.is_empty() {
            return Err(Refusal::new(words.get("sites-no-names")));
        }
        if names.len() > MOST {
            let most = words.with("sites-too-many", [("most", (MOST as u64).into())]);
            return Err(Refusal::new(most));
        }
        let action = action(&self.action).ok_or_else(|| Refusal::new(words.get("sites-no-action")))?;
        if self.owner.chars().count() > LONGEST_OWNER || self.owner.chars().any(char::is_control) {
            return Err(Refusal::new(words.get("sites-wrong-owner")));
        }
        let until = match self.until.trim() {
            "" => None,
            text => Some(until(text, school).ok_or_else(|| Refusal::new(words.get("sites-wrong-until")))?),
        };
        let profiles: Vec<String> =
            self.others.keys().filter_map(|key| key.strip_prefix("profile.")).map(str::to_owned).collect();
        let every = school.file().profiles.iter().all(|profile| profiles.contains(&profile.id));
        let clients = listed(&self.clients);
        let rule = |name| RuleEdit {
            action,
            name,
            profiles: if every { Vec::new() } else { profiles.clone() },
            clients: clients.clone(),
            reason: self.reason.trim().to_owned(),
            owner: self.owner.trim().to_owned(),
            until,
        };
        Ok(names.into_iter().map(rule).collect())
    }
}

/// What a word of a form or of a file stands for.
pub(super) fn action(word: &str) -> Option<Action> {
    match word.trim().to_lowercase().as_str() {
        "allow" => Some(Action::Allow),
        "block" => Some(Action::Block),
        _ => None,
    }
}

/// A moment to come.
pub(super) fn until(text: &str, school: &School) -> Option<Timestamp> {
    When::by(school.zone.clone()).read(text).filter(|until| *until > school.now)
}

/// Words with commas between them.
pub(super) fn listed(text: &str) -> Vec<String> {
    text.split([',', ';', '\n']).map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

/// A name as a rule has it, of a name or the address of a page.
pub(super) fn name(text: &str) -> Result<String, String> {
    let (mark, rest) = text.strip_prefix('=').map_or(("", text), |rest| ("=", rest));
    let host = host_of(rest.trim());
    match NamePattern::parse(host) {
        // A whole country or kind of site is hardly ever meant, and a rule for it is a way to close everything.
        Ok(pattern) if pattern.key.depth() < 2 => Err(format!("{text}: this is no single site")),
        Ok(_) => Ok(format!("{mark}{host}")),
        Err(error) => Err(format!("{text}: {error}")),
    }
}

/// The names of lines, each once; or what is wrong with which.
fn names(text: &str) -> Result<Vec<String>, Vec<String>> {
    let (mut names, mut wrong) = (Vec::new(), Vec::new());
    let words =
        text.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|word| !word.is_empty());
    let mut seen = std::collections::HashSet::new();
    for word in words {
        match name(word) {
            Ok(name) if seen.insert(name.clone()) => names.push(name),
            Ok(_) => {}
            Err(error) if wrong.len() < TOLD => wrong.push(error),
            Err(_) => {}
        }
    }
    if wrong.is_empty() { Ok(names) } else { Err(wrong) }
}

#[derive(Template)]
#[template(path = "sites_form.html")]
struct FormPage {
    p: Page,
    typed: Typed,
    is_edit: bool,
    profiles: Vec<(String, String)>,
    refusal: Refusal,
    effect: Option<Effect>,
    /// Whether only the effect is asked for: then what is wrong is told in its place.
    is_part: bool,
}

#[derive(Template)]
#[template(path = "sites_form.html", block = "effect")]
struct EffectPart {
    p: Page,
    refusal: Refusal,
    effect: Option<Effect>,
    is_part: bool,
}

fn form_page(
    visit: &Visit,
    typed: Typed,
    refusal: Refusal,
    effect: Option<Effect>,
) -> Result<Response, Failure> {
    let is_edit = !typed.place.is_empty();
    let p = if is_edit {
        visit.page("sites-edit-title", "/sites")
    } else {
        visit.page("sites-new-title", "/sites")
    };
    let profiles = School::of(visit).profiles();
    html_with(refusal.status(), &FormPage { p, typed, is_edit, profiles, refusal, effect, is_part: false })
}

/// What links ask for: a site, a profile, and what is to happen.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    name: String,
    profile: String,
    action: String,
}

pub(super) async fn new(visit: Visit, Query(wish): Query<Wish>) -> Result<Response, Failure> {
    let owner = visit.session().map(|session| session.full_name.clone()).unwrap_or_default();
    let typed = Typed {
        names: wish.name.trim().chars().take(2_000).collect(),
        action: String::from(if wish.action == "allow" { "allow" } else { "block" }),
        owner,
        ..Typed::default()
    };
    let typed = typed.with_profiles(Some(&wish.profile).filter(|profile| !profile.is_empty()));
    form_page(&visit, typed, Refusal::default(), None)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EditAsked {
    place: usize,
    revision: i64,
}

pub(super) async fn edit(visit: Visit, Query(asked): Query<EditAsked>) -> Result<Response, Failure> {
    let school = School::of(&visit);
    match find(&visit, asked.place, asked.revision)? {
        // A name that must not be shown is in no form.
        Some(rule) if school.policy.masked(&rule.name) == rule.name => {
            let typed = Typed::of(&rule, &school, asked.place, asked.revision);
            form_page(&visit, typed, Refusal::default(), None)
        }
        Some(_) => Err(Failure::not_found()),
        None => {
            let refusal = moved(&visit, asked.revision).await?;
            page(&visit, super::Asked::default(), refusal)
        }
    }
}

/// The edits that a form asks for: of a rule that is edited, the old one goes where it would stay beside the new one.
fn edits(visit: &Visit, typed: &Typed, school: &School) -> Result<Result<Vec<Edit>, Refusal>, Failure> {
    let rules = match typed.rules(visit, school) {
        Ok(rules) => rules,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut edits = Vec::new();
    if let (Ok(place), Ok(seen)) = (typed.place.parse(), typed.revision.parse())
        && let Some(old) = find(visit, place, seen)?
    {
        edits.push(Edit::RemoveRule(which(&old)));
    }
    edits.push(Edit::PutRules { rules });
    Ok(Ok(edits))
}

pub(super) async fn save(visit: Visit, Form(typed): Form<Typed>) -> Result<Response, Failure> {
    let school = School::of(&visit);
    let edits = match edits(&visit, &typed, &school)? {
        Ok(edits) => edits,
        Err(refusal) => return form_page(&visit, typed, refusal, None),
    };
    let seen = typed.revision.parse().ok();
    match change::edit(&visit, edits, &typed.reason, seen).await? {
        Ok(report) => Ok(see(&format!("/sites?changed={}", report.revision), "done-saved")),
        Err(refusal) => form_page(&visit, typed, refusal, None),
    }
}

/// What the form would do to the last days.
pub(super) async fn preview(visit: Visit, Form(typed): Form<Typed>) -> Result<Response, Failure> {
    let school = School::of(&visit);
    let (refusal, effect) = match edits(&visit, &typed, &school)? {
        Ok(edits) => match effect::effect(&visit, edits).await? {
            Ok(effect) => (Refusal::default(), Some(effect)),
            Err(refusal) => (refusal, None),
        },
        Err(refusal) => (refusal, None),
    };
    if visit.part {
        let p = visit.page("sites-new-title", "/sites");
        return html_with(StatusCode::OK, &EffectPart { p, refusal, effect, is_part: true });
    }
    form_page(&visit, typed, refusal, effect)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_that_were_read_are_names_of_rules_each_once_and_are_read_again(
            text in "(https?://|=|\\*\\.|www\\.|[a-z]{1,9}\\.|example|co\\.uk|@|:8443|/a|\\?|#|%|ü|[,; \n]|\\PC){0,14}",
        ) {
            match names(&text) {
                Ok(read) => {
                    for name in &read {
                        prop_assert!(NamePattern::parse(name.trim_start_matches('=')).is_ok(), "{}", name);
                    }
                    prop_assert_eq!(names(&read.join("\n")), Ok(read));
                }
                Err(wrong) => prop_assert!((1..=TOLD).contains(&wrong.len())),
            }
        }
    }

    #[test]
    fn names_are_read_from_whatever_was_pasted() {
        let text = "bbc.co.uk\nhttps://www.example.com/page?a=1, =exact.example;BBC.co.uk\n\n*.wild.example";
        let read = names(text).unwrap();
        assert_eq!(read, ["bbc.co.uk", "www.example.com", "=exact.example", "BBC.co.uk", "*.wild.example"]);
        let wrong = names("good.example com under_score..example").unwrap_err();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("com: this is no single site"), "{wrong:?}");
    }
}
