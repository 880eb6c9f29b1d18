//! The settings of a profile, its categories copied from another one, new profiles, and profiles that go.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::{Form, Path, Query},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::super::{
    change,
    effect::{self, Effect},
};
use crate::admin::{
    failure::Failure,
    form::Refusal,
    page::{Page, html_with, see},
    visit::{Visit, encoded},
};
use crate::{
    category::Audience,
    control::{Edit, NewProfile, ProfileEdit},
    policy::{BlockResponse, LogLevel, Mode, PolicyFile, ProfileFile, Tables, YouTube},
};

/// A choice among words: the word of the form, and what people read.
pub(super) type Choice = (&'static str, String);

const MODES: [&str; 3] = ["filter", "allow-only", "watch"];
const YOUTUBE: [&str; 4] = ["off", "moderate", "strict", "block"];
const LOG: [&str; 3] = ["full", "pseudonymous", "blocked-only"];

/// The form of a profile.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    /// A text here, since numbers beside a flattened map can't be read from forms.
    revision: String,
    name: String,
    mode: String,
    safe_search: Option<String>,
    youtube: String,
    strip_ech: Option<String>,
    canaries: Option<String>,
    block_with: String,
    log: String,
    /// Why this is changed.
    reason: String,
    #[serde(rename = "why.mode")]
    why_mode: String,
    #[serde(rename = "why.safe_search")]
    why_safe_search: String,
    #[serde(rename = "why.youtube")]
    why_youtube: String,
    #[serde(rename = "why.strip_ech")]
    why_strip_ech: String,
    #[serde(rename = "why.canaries")]
    why_canaries: String,
    #[serde(rename = "why.block_with")]
    why_block_with: String,
    #[serde(rename = "why.log")]
    why_log: String,
    #[serde(rename = "why.bundles")]
    why_bundles: String,
    /// What is not one text: each approved bundle stands as `bundle.<id>`.
    #[serde(flatten)]
    others: BTreeMap<String, String>,
}

/// The word that a policy has for something.
fn word<T: serde::Serialize>(of: &T) -> String {
    serde_json::to_value(of).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What a word of a policy stands for.
fn of_word<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

impl Settings {
    fn of(profile: &ProfileFile) -> Self {
        let why = |key: &str| profile.why.get(key).cloned().unwrap_or_default();
        let ticked = |is: bool| is.then(|| String::from("yes"));
        Self {
            revision: String::new(),
            name: profile.title().to_owned(),
            mode: word(&profile.mode),
            safe_search: ticked(profile.safe_search),
            youtube: word(&profile.youtube),
            strip_ech: ticked(profile.strip_ech),
            canaries: ticked(profile.canaries),
            block_with: word(&profile.block_with),
            log: word(&profile.log_level()),
            reason: String::new(),
            why_mode: why("mode"),
            why_safe_search: why("safe_search"),
            why_youtube: why("youtube"),
            why_strip_ech: why("strip_ech"),
            why_canaries: why("canaries"),
            why_block_with: why("block_with"),
            why_log: why("log"),
            why_bundles: why("bundles"),
            others: profile.bundles.iter().map(|id| (format!("bundle.{id}"), String::from("yes"))).collect(),
        }
    }

    fn has_bundle(&self, id: &str) -> bool {
        self.others.contains_key(&format!("bundle.{id}"))
    }

    fn edit(&self, visit: &Visit, profile: &ProfileFile) -> Result<Edit, Refusal> {
        let wrong = |key: &str| {
            Refusal::new(visit.words.with("policy-not-chosen", [("what", visit.words.get(key).into())]))
        };
        let mode: Mode = of_word(&self.mode).ok_or_else(|| wrong("policy-mode"))?;
        let youtube: YouTube = of_word(&self.youtube).ok_or_else(|| wrong("policy-youtube"))?;
        let block_with: BlockResponse =
            of_word(&self.block_with).ok_or_else(|| wrong("policy-block-with"))?;
        let log: LogLevel = of_word(&self.log).ok_or_else(|| wrong("policy-log"))?;
        let whys = [
            ("mode", &self.why_mode),
            ("safe_search", &self.why_safe_search),
            ("youtube", &self.why_youtube),
            ("strip_ech", &self.why_strip_ech),
            ("canaries", &self.why_canaries),
            ("block_with", &self.why_block_with),
            ("log", &self.why_log),
            ("bundles", &self.why_bundles),
        ];
        let written = |key: &str| profile.why.get(key).map_or("", String::as_str);
        let bundles = self.others.keys().filter_map(|key| key.strip_prefix("bundle.")).map(str::to_owned);
        Ok(Edit::SetProfile(ProfileEdit {
            profile: profile.id.clone(),
            name: (self.name.trim() != profile.title()).then(|| self.name.trim().to_owned()),
            mode: Some(mode),
            safe_search: Some(self.safe_search.is_some()),
            youtube: Some(youtube),
            strip_ech: Some(self.strip_ech.is_some()),
            canaries: Some(self.canaries.is_some()),
            block_with: Some(block_with),
            // What is usual for the audience stays unwritten.
            log: (log != profile.log_level()).then_some(log),
            bundles: Some(bundles.collect()),
            why: whys
                .into_iter()
                .filter(|(key, why)| why.trim() != written(key))
                .map(|(key, why)| (key.to_owned(), why.trim().to_owned()))
                .collect(),
            ..ProfileEdit::default()
        }))
    }
}

#[derive(Template)]
#[template(path = "policy_profile.html")]
struct Show {
    p: Page,
    id: String,
    audience: String,
    revision: i64,
    form: Settings,
    modes: Vec<Choice>,
    youtube: Vec<Choice>,
    answers: Vec<Choice>,
    logs: Vec<Choice>,
    /// Each bundle: its identifier, its title, how many names it has.
    bundles: Vec<(String, String, usize)>,
    /// The other profiles: identifier and title.
    others: Vec<(String, String)>,
    refusal: Refusal,
    is_last: bool,
}

impl Show {
    fn new(
        visit: &Visit,
        file: &PolicyFile,
        profile: &ProfileFile,
        form: Settings,
        refusal: Refusal,
    ) -> Self {
        let mut p = visit.page("policy-profile-title", "/policy");
        profile.title().clone_into(&mut p.title);
        let choices = |words: &[&'static str], key: fn(&str) -> String| -> Vec<Choice> {
            words.iter().map(|word| (*word, p.t(&key(word)))).collect()
        };
        let answers = BlockResponse::ALL.map(BlockResponse::word);
        let shipped = Tables::shipped().bundles.iter();
        let shipped = shipped.map(|bundle| (bundle.id.clone(), bundle.title.clone(), bundle.names.len()));
        let own = file.bundles.iter().map(|bundle| {
            let title = if bundle.title.is_empty() { &bundle.id } else { &bundle.title };
            (bundle.id.clone(), title.clone(), bundle.names.len())
        });
        let others = file.profiles.iter().filter(|other| other.id != profile.id);
        Self {
            id: profile.id.clone(),
            audience: p.t(&format!("policy-audience-{}", word(&profile.audience))),
            revision: form.revision.parse().unwrap_or_else(|_| visit.admin.control.matrix().revision),
            form,
            modes: choices(&MODES, |word| format!("policy-mode-{word}")),
            youtube: choices(&YOUTUBE, |word| format!("policy-youtube-{word}")),
            answers: choices(&answers, |word| format!("policy-answer-{word}")),
            logs: choices(&LOG, |word| format!("policy-log-{word}")),
            bundles: shipped.chain(own).collect(),
            others: others.map(|other| (other.id.clone(), other.title().to_owned())).collect(),
            refusal,
            is_last: file.profiles.len() < 2,
            p,
        }
    }
}

fn policy_file(visit: &Visit) -> PolicyFile {
    visit.admin.control.policy().load().file().clone()
}

fn find<'a>(file: &'a PolicyFile, id: &str) -> Result<&'a ProfileFile, Failure> {
    file.profiles.iter().find(|profile| profile.id == id).ok_or_else(Failure::not_found)
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    let file = policy_file(&visit);
    let profile = find(&file, &id)?;
    let form = Settings::of(profile);
    html_with(StatusCode::OK, &Show::new(&visit, &file, profile, form, Refusal::default()))
}

pub(super) async fn save(
    visit: Visit,
    Path(id): Path<String>,
    Form(form): Form<Settings>,
) -> Result<Response, Failure> {
    let file = policy_file(&visit);
    let profile = find(&file, &id)?;
    let outcome = match form.edit(&visit, profile) {
        Ok(edit) => change::edit(&visit, vec![edit], &form.reason, form.revision.parse().ok()).await?,
        Err(refusal) => Err(refusal),
    };
    match outcome {
        Ok(report) => Ok(see(&format!("/policy?changed={}", report.revision), "done-saved")),
        Err(refusal) => html_with(refusal.status(), &Show::new(&visit, &file, profile, form, refusal)),
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CopyAsked {
    from: String,
    reason: String,
    revision: Option<i64>,
}

#[derive(Template)]
#[template(path = "policy_copy.html")]
struct CopyPage {
    p: Page,
    id: String,
    title: String,
    from: String,
    from_title: String,
    revision: i64,
    reason: String,
    /// Categories and services that would be otherwise.
    changes: Vec<String>,
    effect: Option<Effect>,
    refusal: Refusal,
}

impl CopyPage {
    async fn new(
        visit: &Visit,
        file: &PolicyFile,
        id: &str,
        asked: &CopyAsked,
        refusal: Refusal,
    ) -> Result<Self, Failure> {
        let (to, from) = (find(file, id)?, find(file, &asked.from)?);
        let edits = vec![Edit::CopyProfile { from: from.id.clone(), to: to.id.clone() }];
        let p = visit.page("policy-copy-title", "/policy");
        let (effect, refusal) = match effect::effect(visit, edits).await? {
            Ok(effect) => (Some(effect), refusal),
            Err(wrong) => (None, if refusal.is_none() { wrong } else { refusal }),
        };
        let changes = visit.admin.control.matrix();
        let place = |id: &str| changes.profiles.iter().position(|column| column.id == id);
        let (there, here) = (place(&from.id), place(&to.id));
        let mut lines = Vec::new();
        if let (Some(there), Some(here)) = (there, here) {
            for row in &changes.rows {
                let (Some(new), Some(old)) = (row.cells.get(there), row.cells.get(here)) else { continue };
                if new.state != old.state && !old.locked && !new.locked {
                    let (new, old) = (super::view::said(&p, &new.state), super::view::said(&p, &old.state));
                    let values = [("what", (&row.title).into()), ("now", new.into()), ("before", old.into())];
                    lines.push(visit.words.with("policy-copy-line", values));
                }
            }
        }
        Ok(Self {
            p,
            id: to.id.clone(),
            title: to.title().to_owned(),
            from: from.id.clone(),
            from_title: from.title().to_owned(),
            revision: asked.revision.unwrap_or(changes.revision),
            reason: asked.reason.clone(),
            changes: lines,
            effect,
            refusal,
        })
    }
}

/// What copying the categories of another profile would change.
pub(super) async fn look_at_copy(
    visit: Visit,
    Path(id): Path<String>,
    Query(asked): Query<CopyAsked>,
) -> Result<Response, Failure> {
    let file = policy_file(&visit);
    let page = CopyPage::new(&visit, &file, &id, &asked, Refusal::default()).await?;
    html_with(StatusCode::OK, &page)
}

pub(super) async fn copy(
    visit: Visit,
    Path(id): Path<String>,
    Form(asked): Form<CopyAsked>,
) -> Result<Response, Failure> {
    let file = policy_file(&visit);
    let (to, from) = (find(&file, &id)?, find(&file, &asked.from)?);
    let edits = vec![Edit::CopyProfile { from: from.id.clone(), to: to.id.clone() }];
    match change::edit(&visit, edits, &asked.reason, asked.revision).await? {
        Ok(report) => Ok(see(&format!("/policy?changed={}", report.revision), "done-saved")),
        Err(refusal) => {
            let status = refusal.status();
            html_with(status, &CopyPage::new(&visit, &file, &id, &asked, refusal).await?)
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct RemoveAsked {
    to: String,
    reason: String,
    revision: Option<i64>,
}

pub(super) async fn remove(
    visit: Visit,
    Path(id): Path<String>,
    Form(asked): Form<RemoveAsked>,
) -> Result<Response, Failure> {
    let file = policy_file(&visit);
    let profile = find(&file, &id)?;
    let to = Some(asked.to.clone()).filter(|to| !to.is_empty());
    let edits = vec![Edit::RemoveProfile { profile: id.clone(), to }];
    match change::edit(&visit, edits, &asked.reason, asked.revision).await? {
        Ok(report) => Ok(see(&format!("/policy?changed={}", report.revision), "done-saved")),
        Err(refusal) => {
            let form = Settings { reason: asked.reason, ..Settings::of(profile) };
            html_with(refusal.status(), &Show::new(&visit, &file, profile, form, refusal))
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewAsked {
    name: String,
    audience: String,
    like: String,
    reason: String,
}

#[derive(Template)]
#[template(path = "policy_new_profile.html")]
struct NewPage {
    p: Page,
    form: NewAsked,
    audiences: Vec<Choice>,
    others: Vec<(String, String)>,
    refusal: Refusal,
}

impl NewPage {
    fn new(visit: &Visit, form: NewAsked, refusal: Refusal) -> Self {
        let p = visit.page("policy-add-profile", "/policy");
        let audiences = ["pupil", "staff", "guest"];
        let audiences =
            audiences.iter().map(|word| (*word, p.t(&format!("policy-audience-{word}")))).collect();
        let file = policy_file(visit);
        let others = file.profiles.iter().map(|other| (other.id.clone(), other.title().to_owned()));
        Self { p, form, audiences, others: others.collect(), refusal }
    }
}

pub(super) async fn new(visit: Visit) -> Result<Response, Failure> {
    html_with(StatusCode::OK, &NewPage::new(&visit, NewAsked::default(), Refusal::default()))
}

pub(super) async fn add(visit: Visit, Form(form): Form<NewAsked>) -> Result<Response, Failure> {
    let id = identifier(&form.name);
    let audience: Option<Audience> = of_word(&form.audience);
    let outcome = match audience {
        Some(audience) if !id.is_empty() => {
            let new = NewProfile {
                profile: id.clone(),
                name: form.name.trim().to_owned(),
                audience,
                like: Some(form.like.clone()).filter(|like| !like.is_empty()),
                subnets: Vec::new(),
            };
            change::edit(&visit, vec![Edit::AddProfile(new)], &form.reason, None).await?
        }
        Some(_) => Err(Refusal::new(visit.words.get("policy-no-name"))),
        None => Err(Refusal::new(visit.words.get("policy-no-audience"))),
    };
    match outcome {
        Ok(_) => Ok(see(&format!("/policy/{}", encoded(&id)), "done-saved")),
        Err(refusal) => html_with(refusal.status(), &NewPage::new(&visit, form, refusal)),
    }
}

/// An identifier made of a name: `Year 6 & 7` is `year-6-7`.
fn identifier(name: &str) -> String {
    let mut id = String::new();
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            id.push(letter.to_ascii_lowercase());
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
    }
    id.truncate(60);
    id.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_made_of_a_name() {
        for (name, id) in
            [("Year 6 & 7", "year-6-7"), ("  Sixth form ", "sixth-form"), ("École", "cole"), ("…", "")]
        {
            assert_eq!(identifier(name), id);
        }
    }

    #[test]
    fn the_words_of_forms_are_those_of_policies() {
        assert!(MODES.iter().all(|word| of_word::<Mode>(word).is_some()));
        assert!(YOUTUBE.iter().all(|word| of_word::<YouTube>(word).is_some()));
        assert!(LOG.iter().all(|word| of_word::<LogLevel>(word).is_some()));
        assert_eq!(word(&Mode::AllowOnly), "allow-only");
    }
}
