//! One cell: changed by a click, or with its reason and its effect in a form of its own; and taken back.

use askama::Template;
use axum::{
    extract::{Form, Query},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    super::{
        change,
        effect::{self, Effect},
    },
    cell, titles,
    view::{Square, said, written},
};
use crate::admin::{
    failure::Failure,
    form::Refusal,
    page::{Page, html_with, see},
    visit::{Visit, encoded},
};
use crate::{
    control::{Edit, Matrix, MatrixCell},
    policy::{Cell, PolicyFile},
};

/// What a cell can be set to, as forms have it; `usual` is what comes with Schoolgate.
const STATES: [&str; 6] = ["block", "allow", "report", "times", "for", "usual"];

/// The state that nobody sets in a form.
const LOCKED: &str = "locked";

/// What a form asks of a cell. A click has it all in `set`: row, profile, the state that was seen, the new one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    set: String,
    category: String,
    profile: String,
    /// The state that was shown.
    seen: String,
    /// The state that is wanted.
    cell: String,
    schedule: String,
    group: String,
    why: Option<String>,
    /// The revision that was shown.
    revision: Option<i64>,
    /// Whether the effect is to be shown first.
    preview: String,
    /// Whether the change is done already, and its effect is told by what taking it back would do.
    is_done: bool,
}

impl Asked {
    fn read(mut self) -> Self {
        let words: Vec<&str> = self.set.split(' ').collect();
        if let [category, profile, seen, cell] = words[..] {
            (self.category, self.profile) = (category.to_owned(), profile.to_owned());
            (self.seen, self.cell) = (seen.to_owned(), cell.to_owned());
        }
        // A state in full, as the effect of a change asks for it.
        if let Some((word, of)) = self.cell.clone().split_once(':') {
            let place = if word == "times" { &mut self.schedule } else { &mut self.group };
            *place = of.to_owned();
            self.cell = word.to_owned();
        }
        self
    }

    /// The state that is wanted; none where it is left open which schedule or group is meant.
    fn wanted(&self, visit: &Visit, file: &PolicyFile) -> Result<Option<Wanted>, Refusal> {
        let cell = match self.cell.as_str() {
            "block" => Cell::Block,
            "allow" => Cell::Allow,
            "report" => Cell::Report,
            "locked" => Cell::Locked,
            "usual" => return Ok(Some(Wanted(None))),
            "times" => match (self.schedule.as_str(), &file.schedules[..]) {
                ("", [only]) => Cell::AllowDuring(only.id.clone()),
                ("", _) => return Ok(None),
                (schedule, _) => Cell::AllowDuring(schedule.to_owned()),
            },
            "for" => match (self.group.as_str(), &file.groups[..]) {
                ("", [only]) => Cell::AllowFor(only.id.clone()),
                ("", _) => return Ok(None),
                (group, _) => Cell::AllowFor(group.to_owned()),
            },
            _ => return Err(Refusal::new(visit.words.get("policy-no-state"))),
        };
        Ok(Some(Wanted(Some(cell))))
    }
}

/// A state; none for the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted(Option<Cell>);

/// A cell as it is, with what it is about.
struct Found {
    matrix: Matrix,
    category: String,
    profile: String,
    title: String,
    whom: String,
    summary: String,
    is_service: bool,
    cell: MatrixCell,
}

impl Found {
    fn new(visit: &Visit, category: &str, profile: &str) -> Result<Self, Failure> {
        let matrix = visit.admin.control.matrix();
        let (title, whom) = titles(&matrix, category, profile).ok_or_else(Failure::not_found)?;
        let place = matrix.profiles.iter().position(|column| column.id == profile);
        let found = matrix.rows.iter().find_map(|row| {
            if row.id == category {
                return Some((row.summary.clone(), false, row.cells.get(place?)?.clone()));
            }
            let service = row.services.iter().find(|service| service.id == category)?;
            Some((service.note.clone(), true, service.cells.get(place?)?.clone()))
        });
        let (summary, is_service, cell) = found.ok_or_else(Failure::not_found)?;
        let (category, profile) = (category.to_owned(), profile.to_owned());
        Ok(Self { matrix, category, profile, title, whom, summary, is_service, cell })
    }

    fn label(&self) -> String {
        format!("{}: {}", self.title, self.whom)
    }

    fn square(&self, p: &Page) -> Square {
        let (row, whom) = ((self.category.as_str(), self.title.as_str()), (&*self.profile, &*self.whom));
        Square { swaps: true, ..Square::new(p, row, whom, &self.cell, true) }
    }

    fn edit(&self, cell: Option<Cell>, why: Option<String>) -> Vec<Edit> {
        let (profile, category) = (self.profile.clone(), self.category.clone());
        vec![Edit::SetCell { profile, category, cell, why }]
    }

    /// What the policy says of it; none where it says nothing.
    fn as_written(&self) -> Option<Cell> {
        (self.cell.set || !self.is_service).then(|| self.cell.state.clone())
    }
}

/// What stands below the matrix: what was just done, or what is asked.
#[derive(Debug)]
pub(super) enum Panel {
    Nothing,
    Done(Done),
    Editor(Box<Editor>),
    Refusal(Refusal),
}

/// A change that can be taken back.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) said: String,
    /// The change; none where there is nothing to take back.
    pub(super) revision: Option<i64>,
    /// The cell, to be shown again; empty where there were more.
    pub(super) category: String,
    pub(super) profile: String,
    /// Where the effect is told; empty where it can't be.
    pub(super) effect: String,
}

/// A cell with all that can be said of it.
#[derive(Debug)]
pub(super) struct Editor {
    pub(super) category: String,
    pub(super) profile: String,
    pub(super) label: String,
    pub(super) summary: String,
    pub(super) now: String,
    pub(super) usual: String,
    pub(super) is_service: bool,
    pub(super) is_locked: bool,
    pub(super) seen: String,
    pub(super) revision: i64,
    /// The state that is chosen.
    pub(super) choice: String,
    pub(super) schedule: String,
    pub(super) group: String,
    pub(super) schedules: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) why: String,
    pub(super) refusal: Refusal,
    /// Only the reason is asked for.
    pub(super) is_short: bool,
    /// Where the effect is told.
    pub(super) effect: String,
    /// The effect, where it was asked for.
    pub(super) found: Option<Effect>,
    /// The state that is wanted, in words.
    pub(super) wanted: String,
}

impl Panel {
    /// That a change was made and can be taken back.
    pub(super) fn done(visit: &Visit, revision: i64) -> Self {
        let said = visit.words.get("done-saved");
        let none = String::new;
        Self::Done(Done { said, revision: Some(revision), category: none(), profile: none(), effect: none() })
    }
}

impl Editor {
    fn new(p: &Page, found: &Found, asked: &Asked, file: &PolicyFile) -> Self {
        let now = written(&found.cell.state);
        let (state_now, of) = now.split_once(':').unwrap_or((&now, ""));
        let chosen = |asked: &str, is: bool| {
            if asked.is_empty() && is { of.to_owned() } else { asked.to_owned() }
        };
        // What is no state is refused where it is sent, and the form shows what is in force.
        let is_state = STATES.contains(&asked.cell.as_str()) || asked.cell == LOCKED;
        let choice = if is_state { asked.cell.clone() } else { state_now.to_owned() };
        let wanted = match choice.as_str() {
            "times" if !asked.schedule.is_empty() => said(p, &Cell::AllowDuring(asked.schedule.clone())),
            "for" if !asked.group.is_empty() => said(p, &Cell::AllowFor(asked.group.clone())),
            other => p.t(&format!("policy-state-{other}")),
        };
        Self {
            category: found.category.clone(),
            profile: found.profile.clone(),
            label: found.label(),
            summary: found.summary.clone(),
            now: said(p, &found.cell.state),
            usual: said(p, &found.cell.usual),
            is_service: found.is_service,
            is_locked: found.cell.locked,
            seen: now.clone(),
            revision: found.matrix.revision,
            choice,
            schedule: chosen(&asked.schedule, state_now == "times"),
            group: chosen(&asked.group, state_now == "for"),
            schedules: file.schedules.iter().map(|schedule| schedule.id.clone()).collect(),
            groups: file.groups.iter().map(|group| group.id.clone()).collect(),
            why: asked.why.clone().unwrap_or_else(|| found.cell.why.clone()),
            refusal: Refusal::default(),
            is_short: false,
            effect: String::new(),
            found: None,
            wanted,
        }
    }

    /// The states that can be chosen, each with its words.
    pub(super) fn choices(&self, p: &Page) -> Vec<(&'static str, String)> {
        let locked = Some(LOCKED).filter(|locked| self.choice == *locked);
        let choices = locked.into_iter().chain(STATES);
        choices.map(|choice| (choice, p.t(&format!("policy-choice-{choice}")))).collect()
    }
}

#[derive(Template)]
#[template(path = "policy_edit.html")]
struct EditPage {
    p: Page,
    panel: Panel,
}

#[derive(Template)]
#[template(path = "policy_changed.html")]
struct Changed {
    p: Page,
    panel: Panel,
    cell: Option<Square>,
    revision: i64,
}

/// An answer: for htmx what stands below the matrix, and a cell that changed; else a page.
fn answer(
    visit: &Visit,
    status: StatusCode,
    panel: Panel,
    found: Option<&Found>,
) -> Result<Response, Failure> {
    let p = visit.page("policy-cell-title", "/policy");
    if !visit.part {
        return html_with(status, &EditPage { p, panel });
    }
    let cell = found.map(|found| found.square(&p));
    let revision = found.map_or_else(|| visit.admin.control.matrix().revision, |found| found.matrix.revision);
    html_with(status, &Changed { p, panel, cell, revision })
}

fn policy_file(visit: &Visit) -> PolicyFile {
    visit.admin.control.policy().load().file().clone()
}

/// One cell with all that can be said of it.
pub(super) async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let asked = asked.read();
    let found = Found::new(&visit, &asked.category, &asked.profile)?;
    let file = policy_file(&visit);
    let p = visit.page("policy-cell-title", "/policy");
    let mut editor = Editor::new(&p, &found, &asked, &file);
    if !asked.preview.is_empty() {
        match effect_of(&visit, &found, &asked, &file).await? {
            Ok(effect) => editor.found = Some(effect),
            Err(refusal) => editor.refusal = refusal,
        }
    }
    answer(&visit, StatusCode::OK, Panel::Editor(Box::new(editor)), None)
}

/// Gives a cell another state.
pub(super) async fn set(visit: Visit, Form(asked): Form<Asked>) -> Result<Response, Failure> {
    let asked = asked.read();
    let found = Found::new(&visit, &asked.category, &asked.profile)?;
    let file = policy_file(&visit);
    let p = visit.page("policy-cell-title", "/policy");
    let again = |refusal: Refusal, is_short: bool| {
        let status = refusal.status();
        let mut editor = Editor::new(&p, &found, &asked, &file);
        editor.is_short = is_short;
        if is_short {
            // What was written about the state of before is no reason for this one.
            editor.why = asked.why.clone().unwrap_or_default();
            editor.effect = effect_address(&found, &asked.cell_in_full(), false);
        }
        editor.refusal = refusal;
        answer(&visit, status, Panel::Editor(Box::new(editor)), Some(&found))
    };
    if !asked.seen.is_empty() && asked.seen != written(&found.cell.state) {
        let edits = found.edit(found.as_written(), None);
        let seen = asked.revision.unwrap_or(found.matrix.revision);
        let refusal = change::collision(&visit, edits, seen).await?;
        let refusal = refusal.unwrap_or_else(|| Refusal::outdated(&visit.words));
        return answer(&visit, refusal.status(), Panel::Refusal(refusal), Some(&found));
    }
    let wanted = match asked.wanted(&visit, &file) {
        Ok(Some(Wanted(cell))) => cell,
        // Which schedule or group is meant must be said first.
        Ok(None) => {
            return again(Refusal::default(), false);
        }
        Err(refusal) => return again(refusal, false),
    };
    let stays = wanted.as_ref() == Some(&found.cell.state);
    let given = asked.why.as_deref().map(str::trim);
    // A reason that was there before is none for another state.
    let why = given.filter(|why| stays || *why != found.cell.why || why.is_empty()).map(str::to_owned);
    let reason = why.clone().unwrap_or_default();
    let edits = found.edit(wanted, why);
    let report = match change::edit(&visit, edits, &reason, Some(found.matrix.revision)).await? {
        Ok(report) => report,
        Err(refusal) => {
            let is_short = refusal.wants_reason;
            return again(refusal, is_short);
        }
    };
    if !visit.part {
        let place = format!("/policy?changed={}#{}--{}", report.revision, found.category, found.profile);
        return Ok(see(&place, "done-saved"));
    }
    let before = found;
    let found = Found::new(&visit, &asked.category, &asked.profile)?;
    let values = [
        ("what", found.label().into()),
        ("now", said(&p, &found.cell.state).into()),
        ("before", said(&p, &before.cell.state).into()),
    ];
    let changed = found.cell.state != before.cell.state;
    let done = Done {
        said: if changed { visit.words.with("policy-done", values) } else { visit.words.get("done-saved") },
        revision: (report.revision > before.matrix.revision).then_some(report.revision),
        effect: if changed {
            effect_address(&found, &written(&before.cell.state), true)
        } else {
            String::new()
        },
        category: found.category.clone(),
        profile: found.profile.clone(),
    };
    answer(&visit, StatusCode::OK, Panel::Done(done), Some(&found))
}

impl Asked {
    fn cell_in_full(&self) -> String {
        match self.cell.as_str() {
            "times" if !self.schedule.is_empty() => format!("times:{}", self.schedule),
            "for" if !self.group.is_empty() => format!("for:{}", self.group),
            other => other.to_owned(),
        }
    }
}

/// Where the effect of a state is told; or, of one that was there before, that of having left it.
fn effect_address(found: &Found, cell: &str, is_done: bool) -> String {
    let (category, profile) = (encoded(&found.category), encoded(&found.profile));
    format!(
        "/categories/effect?category={category}&profile={profile}&cell={}&is_done={is_done}",
        encoded(cell)
    )
}

async fn effect_of(
    visit: &Visit,
    found: &Found,
    asked: &Asked,
    file: &PolicyFile,
) -> Result<Result<Effect, Refusal>, Failure> {
    let wanted = match asked.wanted(visit, file) {
        Ok(Some(Wanted(cell))) => cell,
        Ok(None) => return Ok(Err(Refusal::new(visit.words.get("policy-which")))),
        Err(refusal) => return Ok(Err(refusal)),
    };
    let edits = found.edit(wanted, None);
    if asked.is_done {
        effect::effect_of_undoing(visit, edits).await
    } else {
        effect::effect(visit, edits).await
    }
}

#[derive(Template)]
#[template(path = "effect.html")]
struct EffectPart {
    p: Page,
    effect: Effect,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPart {
    p: Page,
    refusal: Refusal,
}

/// What a state would do, or did.
pub(super) async fn effect(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let asked = asked.read();
    let found = Found::new(&visit, &asked.category, &asked.profile)?;
    let p = visit.page("policy-cell-title", "/policy");
    match effect_of(&visit, &found, &asked, &policy_file(&visit)).await? {
        Ok(effect) => html_with(StatusCode::OK, &EffectPart { p, effect }),
        Err(refusal) => html_with(refusal.status(), &RefusalPart { p, refusal }),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UndoAsked {
    revision: i64,
    category: String,
    profile: String,
}

/// Takes the last change back.
pub(super) async fn undo(visit: Visit, Form(asked): Form<UndoAsked>) -> Result<Response, Failure> {
    let outcome = change::undo(&visit, asked.revision).await?;
    let found = Found::new(&visit, &asked.category, &asked.profile).ok();
    match outcome {
        Ok(_) if visit.part => {
            let said = visit.words.get("done-undone");
            let none = String::new;
            let done = Done { said, revision: None, category: none(), profile: none(), effect: none() };
            answer(&visit, StatusCode::OK, Panel::Done(done), found.as_ref())
        }
        Ok(_) => {
            let anchor = found.map(|found| format!("#{}--{}", found.category, found.profile));
            Ok(see(&format!("/policy{}", anchor.unwrap_or_default()), "done-undone"))
        }
        Err(refusal) => answer(&visit, refusal.status(), Panel::Refusal(refusal), found.as_ref()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::view::state, *};

    #[test]
    fn a_click_says_the_cell_what_was_seen_and_what_is_wanted() {
        let asked = Asked { set: String::from("games ks2 times:lunch allow"), ..Asked::default() }.read();
        assert_eq!((asked.category.as_str(), asked.profile.as_str()), ("games", "ks2"));
        assert_eq!((asked.seen.as_str(), asked.cell.as_str()), ("times:lunch", "allow"));
        let asked = Asked { cell: String::from("for:year-6"), ..Asked::default() }.read();
        assert_eq!((asked.cell.as_str(), asked.group.as_str()), ("for", "year-6"));
        assert_eq!(state(&Cell::AllowFor(asked.group)), "for");
    }
}
