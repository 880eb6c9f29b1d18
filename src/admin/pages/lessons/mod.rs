//! Lessons: a room is opened for something, or may reach only a few sites, until a time that nobody can forget to give.

mod asked;
#[cfg(test)]
mod tests;

use askama::Template;
use axum::{extract::Form, response::Response};
use jiff::{Timestamp, Zoned};

use self::asked::{NoEnd, Room};
use super::super::{
    access::Right,
    failure::Failure,
    form::{Fields, Refusal},
    page::{Page, html_with, see},
    routes::Routes,
    visit::Visit,
    when::When,
};
use crate::{
    control::{Edit, Lesson, Opening, TooRisky, latest_lesson_end},
    policy::{Action, Policy, PolicyFile, RuleFile, Tables},
    querylog::search::zone,
};

/// How long the name of a lesson can be, in characters.
const LONGEST_NAME: usize = 80;

/// How many names of something that is open are shown.
const SHOWN: usize = 8;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/lessons", Right::RunLessons, show)
        .post("/lessons", Right::RunLessons, start)
        .post("/lessons/end", Right::RunLessons, end)
        .post("/lessons/close", Right::RunLessons, close)
}

/// What goes on in a room.
struct Running {
    name: String,
    room: String,
    /// The room may reach only this, rather than also this.
    only: bool,
    what: Vec<String>,
    /// How many more names there are than `what` has.
    more: usize,
    /// When it ends; empty for a lesson that does not.
    until: String,
    /// How long that is away.
    seconds: i64,
    minutes: i64,
    /// What the form sends that ends it.
    names: Vec<String>,
    clients: Vec<String>,
    profiles: Vec<String>,
}

#[derive(Template)]
#[template(path = "lessons.html")]
struct Show {
    p: Page,
    running: Vec<Running>,
    rooms: Vec<Room>,
    services: Vec<&'static str>,
    /// Whether a room can be typed.
    may_type: bool,
    latest: String,
    lengths: [i64; 6],
    form: LessonForm,
    refusal: Refusal,
}

/// What stands in the form.
#[derive(Default)]
struct LessonForm {
    name: String,
    room: String,
    other: String,
    only: bool,
    also: bool,
    service: String,
    sites: String,
    /// For how many minutes; empty where `until` counts.
    minutes: String,
    until: String,
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, None, Refusal::default())
}

fn page(visit: &Visit, form: Option<LessonForm>, refusal: Refusal) -> Result<Response, Failure> {
    let policy = visit.admin.control.policy().load_full();
    let now = now(visit, &policy);
    let may_type = visit.may(Right::ChangePolicy);
    let latest = latest_lesson_end(policy.file(), &now);
    let status = refusal.status();
    let form = form
        .unwrap_or_else(|| LessonForm { until: asked::usual(policy.file(), &now), ..LessonForm::default() });
    html_with(
        status,
        &Show {
            p: visit.page("lessons-title", "/lessons"),
            running: running(&policy, &now),
            rooms: asked::rooms(policy.file(), !may_type),
            services: Tables::shipped().services.iter().map(|service| service.title.as_str()).collect(),
            may_type,
            latest: When::of(&policy).hour(latest),
            lengths: asked::LENGTHS,
            form,
            refusal,
        },
    )
}

fn now(visit: &Visit, policy: &Policy) -> Zoned {
    visit.admin.clock.now().to_zoned(zone(policy))
}

/// All that goes on, what ends first standing first.
fn running(policy: &Policy, now: &Zoned) -> Vec<Running> {
    let file = policy.file();
    let when = When::of(policy);
    let zone = now.time_zone();
    let ends = |until: Option<Timestamp>| match until {
        Some(until) => {
            let left = until.duration_since(now.timestamp());
            let seconds = left.as_secs();
            let same_day = until.to_zoned(zone.clone()).date() == now.date();
            let said = if same_day { when.hour(until) } else { when.minute(until, now.timestamp()) };
            (said, seconds, (seconds + 59) / 60)
        }
        None => (String::new(), 0, 0),
    };
    let mut found: Vec<(Option<Timestamp>, Running)> = Vec::new();
    for lesson in &file.lessons {
        let until = lesson.ends_at(zone);
        if lesson.until.is_some() && until.is_none_or(|until| until <= now.timestamp()) {
            continue;
        }
        let (said, seconds, minutes) = ends(until);
        let (what, more) = described(policy, &lesson.only);
        found.push((
            until,
            Running {
                name: lesson.name.clone(),
                room: room_name(file, &lesson.room),
                only: true,
                what,
                more,
                until: said,
                seconds,
                minutes,
                names: Vec::new(),
                clients: Vec::new(),
                profiles: Vec::new(),
            },
        ));
    }
    let openings = file.rules.iter().filter(|rule| rule.action == Action::Allow && rule.clients.is_some());
    let mut groups: Vec<(Timestamp, Vec<&RuleFile>)> = Vec::new();
    for rule in openings {
        let Some(until) = rule.ends_at(zone).filter(|until| *until > now.timestamp()) else { continue };
        let is_a_lessons = |lesson: &crate::policy::LessonFile| {
            lesson.until == rule.until && Some(&lesson.room) == rule.clients.as_ref()
        };
        if file.lessons.iter().any(is_a_lessons) {
            continue;
        }
        let like = |(at, rules): &&mut (Timestamp, Vec<&RuleFile>)| {
            let first = rules[0];
            let same = (&first.clients, &first.profiles, &first.reason);
            *at == until && same == (&rule.clients, &rule.profiles, &rule.reason)
        };
        match groups.iter_mut().find(like) {
            Some((_, rules)) => rules.push(rule),
            None => groups.push((until, vec![rule])),
        }
    }
    for (until, rules) in groups {
        let Some(first) = rules.first() else { continue };
        let names: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
        let clients = first.clients.clone().unwrap_or_default();
        let (what, more) = described(policy, &names);
        let (said, seconds, minutes) = ends(Some(until));
        found.push((
            Some(until),
            Running {
                name: first.reason.clone(),
                room: room_name(file, &clients),
                only: false,
                what,
                more,
                until: said,
                seconds,
                minutes,
                names,
                clients,
                profiles: first.profiles.clone().unwrap_or_default(),
            },
        ));
    }
    found.sort_by_key(|(until, _)| until.unwrap_or(Timestamp::MAX));
    found.into_iter().map(|(_, running)| running).collect()
}

/// Names as people say them: services and bundles by their titles. Gives the first, and how many more there are.
fn described(policy: &Policy, names: &[String]) -> (Vec<String>, usize) {
    let mut left: Vec<&String> = names.iter().collect();
    let mut said = Vec::new();
    for service in &Tables::shipped().services {
        if service.names.iter().all(|name| left.contains(&name)) {
            left.retain(|name| !service.names.contains(name));
            said.push(service.title.clone());
        }
    }
    said.extend(left.into_iter().map(|name| policy.masked(name).into_owned()));
    let more = said.len().saturating_sub(SHOWN);
    said.truncate(SHOWN);
    (said, more)
}

/// What people call a room.
fn room_name(file: &PolicyFile, clients: &[String]) -> String {
    let known = asked::rooms(file, false);
    let room = known.into_iter().find(|room| room.clients == clients);
    room.map_or_else(|| clients.join(", "), |room| room.label)
}

async fn start(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let refusal = match prepared(&visit, &fields).await? {
        Ok((edit, reason)) => match visit.admin.control.edit(vec![edit], visit.asked(&reason, None)).await {
            Ok(_) => return Ok(see("/lessons", "done-lesson-began")),
            Err(error) => Refusal::of(&visit, error)?,
        },
        Err(refusal) => refusal,
    };
    let text = |name: &str| fields.get(name).to_owned();
    let form = LessonForm {
        name: text("name"),
        room: text("room"),
        other: text("other"),
        only: fields.get("kind") == "only",
        also: fields.is_on("also"),
        service: text("service"),
        sites: fields.whole("sites").to_owned(),
        minutes: text("minutes"),
        until: text("until"),
    };
    page(&visit, Some(form), refusal)
}

/// The edit that a form asks for, with its reason; or what is wrong with it.
async fn prepared(visit: &Visit, fields: &Fields) -> Result<Result<(Edit, String), Refusal>, Failure> {
    let words = &visit.words;
    let refused = |key: &str| Ok(Err(Refusal::new(words.get(key))));
    let policy = visit.admin.control.policy().load_full();
    let may_type = visit.may(Right::ChangePolicy);
    let name = fields.get("name").to_owned();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return refused("lessons-name-wanted");
    }
    let other: Vec<String> = if may_type {
        fields.get("other").split([',', ' ']).map(str::to_owned).filter(|word| !word.is_empty()).collect()
    } else {
        Vec::new()
    };
    let chosen =
        asked::rooms(policy.file(), !may_type).into_iter().find(|room| room.value == fields.get("room"));
    let room = match (other.is_empty(), chosen) {
        (false, _) => other,
        (true, Some(room)) => room.clients,
        (true, None) => return refused("lessons-room-wanted"),
    };
    let lines = fields.all("service").chain(fields.whole("sites").lines());
    let what = match asked::wanted(policy.file(), lines) {
        Ok(what) if what.is_empty() => return refused("lessons-sites-wanted"),
        Ok(what) => what,
        Err(unknown) => {
            let near = unknown.near.unwrap_or_default();
            let key = if near.is_empty() { "lessons-unknown" } else { "lessons-unknown-near" };
            let said = words.with(key, [("word", unknown.word.into()), ("near", near.into())]);
            return Ok(Err(Refusal::new(said)));
        }
    };
    let until =
        match asked::end(policy.file(), fields.get("minutes"), fields.get("until"), &now(visit, &policy)) {
            Ok(until) => until,
            Err(NoEnd::NoTime) => return refused("lessons-end-wanted"),
            Err(NoEnd::Past) => return refused("lessons-end-past"),
            Err(NoEnd::TooLate) => return refused("lessons-end-late"),
        };
    let only = fields.get("kind") == "only";
    let opens = !only || fields.is_on("also");
    if opens && !may_type {
        let asked = what.clone();
        if let Some(risky) = visit.aside(move |visit| visit.admin.control.too_risky(&asked)).await?? {
            return Ok(Err(Refusal::new(forbidden(visit, risky))));
        }
    }
    let edit = if only {
        let allow = if opens { what.clone() } else { Vec::new() };
        Edit::StartLesson(Lesson { name: name.clone(), room, only: what, allow, until })
    } else {
        Edit::Open(Opening { what, clients: room, profiles: Vec::new(), until })
    };
    Ok(Ok((edit, name)))
}

/// Why something is not a teacher's to open.
fn forbidden(visit: &Visit, risky: TooRisky) -> String {
    let words = &visit.words;
    match risky {
        TooRisky::Category { what, category, below: None } => {
            words.with("lessons-risky", [("what", what.into()), ("category", category.into())])
        }
        TooRisky::Category { what, category, below: Some(below) } => words.with(
            "lessons-risky-below",
            [("what", what.into()), ("category", category.into()), ("below", below.into())],
        ),
        TooRisky::TooWide { what } => words.with("lessons-wide", [("what", what.into())]),
    }
}

async fn end(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let name = Fields(fields).get("name").to_owned();
    ended(&visit, Edit::EndLesson { name }).await
}

async fn close(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let all = |name: &str| fields.all(name).map(str::to_owned).collect::<Vec<_>>();
    let (what, clients, profiles) = (all("what"), all("client"), all("profile"));
    // What is open for all of a profile is no lesson's.
    if what.is_empty() || clients.iter().all(|client| client.trim().is_empty()) {
        return page(&visit, None, Refusal::new(visit.words.get("lessons-over-already")));
    }
    ended(&visit, Edit::Close { what, clients, profiles }).await
}

async fn ended(visit: &Visit, edit: Edit) -> Result<Response, Failure> {
    match visit.admin.control.edit(vec![edit], visit.asked("", None)).await {
        Ok(_) => Ok(see("/lessons", "done-lesson-ended")),
        Err(error) if error.is_bad_input() => {
            page(visit, None, Refusal::new(visit.words.get("lessons-over-already")))
        }
        Err(error) => Err(error.into()),
    }
}
