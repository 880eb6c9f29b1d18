//! Rules out of a spreadsheet, and into one.

use askama::Template;
use axum::{
    extract::Form,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        change,
        effect::{self, Effect},
    },
    Line, School,
    form::{action, listed, name, until},
};
use crate::{
    admin::{
        failure::Failure,
        form::Refusal,
        page::{Page, html_with, see},
        visit::Visit,
    },
    control::{Edit, RuleEdit},
    querylog::csv,
};

/// The columns, in the order in which they are written.
const COLUMNS: [&str; 7] = ["action", "name", "profiles", "clients", "reason", "owner", "until"];

/// How many rules one file can bring.
const MOST: usize = 20_000;

/// How many lines that are wrong are told.
const TOLD: usize = 20;

/// All rules as CSV; of names that must not be shown, their digests.
pub(super) async fn export(visit: Visit) -> Result<Response, Failure> {
    let school = School::of(&visit);
    let mut text = csv::line(COLUMNS);
    for (place, rule) in school.file().rules.iter().enumerate() {
        let line = Line::new(&school, place, rule);
        let name = if line.is_alone { format!("={}", line.name) } else { line.name };
        let until = rule.ends_at(&school.zone).map(|until| until.to_string()).unwrap_or_default();
        let profiles = rule.profiles.iter().flatten().cloned().collect::<Vec<_>>().join("; ");
        let clients = rule.clients.iter().flatten().cloned().collect::<Vec<_>>().join("; ");
        let word = if line.allows { "allow" } else { "block" };
        text.push_str(&csv::line([word, &name, &profiles, &clients, &line.reason, &line.owner, &until]));
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"schoolgate-sites.csv\""),
    ];
    Ok((headers, text).into_response())
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pasted {
    text: String,
    reason: String,
    /// Whether it is to be done; else it is only shown.
    is_sure: String,
}

#[derive(Template)]
#[template(path = "sites_import.html")]
struct ImportPage {
    p: Page,
    pasted: Pasted,
    refusal: Refusal,
    /// What would be done: how many rules, and the first of them.
    ready: Option<(usize, Vec<String>)>,
    effect: Option<Effect>,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Failure> {
    let p = visit.page("sites-import-title", "/sites");
    let (pasted, refusal) = (Pasted::default(), Refusal::default());
    html_with(StatusCode::OK, &ImportPage { p, pasted, refusal, ready: None, effect: None })
}

/// The rules of a text, or what is wrong with which line.
fn read(visit: &Visit, text: &str) -> Result<Vec<RuleEdit>, Refusal> {
    let words = &visit.words;
    let school = School::of(visit);
    let mut rows = csv::rows(text);
    rows.retain(|(_, row)| row.iter().any(|cell| !cell.trim().is_empty()));
    // Without a head the columns are in the usual order.
    let head: Vec<String> = match rows.first() {
        Some((_, row)) if row.iter().any(|cell| cell.trim().eq_ignore_ascii_case("name")) => {
            rows.remove(0).1.iter().map(|cell| cell.trim().to_lowercase()).collect()
        }
        _ => COLUMNS.map(str::to_owned).to_vec(),
    };
    if let Some(unknown) =
        head.iter().find(|column| !column.is_empty() && !COLUMNS.contains(&column.as_str()))
    {
        let wrong = [("column", unknown.into()), ("known", COLUMNS.join(", ").into())];
        return Err(Refusal::new(words.with("sites-wrong-column", wrong)));
    }
    if rows.is_empty() {
        return Err(Refusal::new(words.get("sites-no-rows")));
    }
    if rows.len() > MOST {
        return Err(Refusal::new(words.with("sites-too-many", [("most", (MOST as u64).into())])));
    }
    let (mut rules, mut wrong) = (Vec::with_capacity(rows.len()), Vec::new());
    for (number, row) in &rows {
        let cell = |wanted: &str| {
            let place = head.iter().position(|column| column == wanted);
            place.and_then(|place| row.get(place)).map_or("", |cell| cell.trim())
        };
        let mut say = |what: String| {
            if wrong.len() < TOLD {
                wrong.push(
                    words.with("sites-line", [("line", (*number as u64).into()), ("what", what.into())]),
                );
            }
        };
        let end = cell("until");
        let until = if end.is_empty() { None } else { until(end, &school) };
        if !end.is_empty() && until.is_none() {
            say(format!("{end}: {}", words.get("sites-wrong-until")));
        }
        let action = action(cell("action"));
        if action.is_none() {
            say(format!("{}: {}", cell("action"), words.get("sites-no-action")));
        }
        match (name(cell("name")), action) {
            (Ok(name), Some(action)) => rules.push(RuleEdit {
                action,
                name,
                profiles: ids(&school, cell("profiles")),
                clients: listed(cell("clients")),
                reason: cell("reason").to_owned(),
                owner: cell("owner").to_owned(),
                until,
            }),
            (Err(error), _) => say(error),
            (Ok(_), None) => {}
        }
    }
    if wrong.is_empty() { Ok(rules) } else { Err(Refusal::listing(words.get("sites-wrong-lines"), wrong)) }
}

/// Profiles by their identifiers or titles.
fn ids(school: &School, text: &str) -> Vec<String> {
    let all = school.profiles();
    let id = |word: String| {
        let known = all.iter().find(|(id, title)| *id == word || title.eq_ignore_ascii_case(&word));
        known.map_or(word, |(id, _)| id.clone())
    };
    listed(text).into_iter().map(id).collect()
}

pub(super) async fn import(visit: Visit, Form(pasted): Form<Pasted>) -> Result<Response, Failure> {
    let mut page = ImportPage {
        p: visit.page("sites-import-title", "/sites"),
        refusal: Refusal::default(),
        ready: None,
        effect: None,
        pasted,
    };
    match read(&visit, &page.pasted.text) {
        Ok(rules) => {
            let count = rules.len();
            let first = rules.iter().take(10).map(|rule| rule.name.clone()).collect();
            let edits = vec![Edit::PutRules { rules }];
            if page.pasted.is_sure.is_empty() {
                match effect::effect(&visit, edits).await? {
                    Ok(effect) => (page.ready, page.effect) = (Some((count, first)), Some(effect)),
                    Err(refusal) => page.refusal = refusal,
                }
            } else {
                match change::edit(&visit, edits, &page.pasted.reason, None).await? {
                    Ok(report) => {
                        return Ok(see(&format!("/sites?changed={}", report.revision), "done-saved"));
                    }
                    Err(refusal) => {
                        page.ready = refusal.wants_reason.then_some((count, first));
                        page.refusal = refusal;
                    }
                }
            }
        }
        Err(refusal) => page.refusal = refusal,
    }
    html_with(page.refusal.status(), &page)
}
