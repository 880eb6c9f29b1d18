//! The overview: is the box working, how much is asked and blocked, and what needs somebody. It changes by itself while
//! somebody looks.

use std::sync::Arc;

use askama::Template;
use axum::{extract::Query, response::Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;

use super::super::{
    Admin,
    access::Right,
    failure::Failure,
    figures::{Figures, Frequent, OfProfile},
    health::{Level, Part, bytes},
    live::{Live, Snapshot},
    page::{Page, html},
    routes::Routes,
    streams::{self, News},
    visit::Visit,
    when::{When, weekday},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/", Right::SeeOverview, show).get("/overview/live", Right::SeeOverview, live)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// `off` for a page that stays as it is.
    live: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Show<'a> {
    p: &'a Page,
    live: bool,
    now: &'a Now,
    day: &'a Day,
}

#[derive(Template)]
#[template(path = "overview.html", block = "overview")]
struct Whole<'a> {
    p: &'a Page,
    live: bool,
    now: &'a Now,
    day: &'a Day,
}

#[derive(Template)]
#[template(path = "overview.html", block = "now")]
struct NowPart<'a> {
    p: &'a Page,
    now: &'a Now,
}

#[derive(Template)]
#[template(path = "overview.html", block = "day")]
struct DayPart<'a> {
    p: &'a Page,
    day: &'a Day,
}

/// What changes from moment to moment.
struct Now {
    /// `good`, `warn` or `bad`.
    tone: &'static str,
    headline: String,
    per_minute: Option<String>,
    tiles: Vec<Tile>,
    lines: Vec<Line>,
}

/// How a part of the box is.
struct Tile {
    title: String,
    icon: &'static str,
    tone: &'static str,
    state: String,
    fact: String,
}

/// Something that needs somebody.
struct Line {
    tone: &'static str,
    text: String,
    detail: String,
    /// Where it can be seen to; empty for who may not.
    link: &'static str,
}

/// What changes from hour to hour.
struct Day {
    readable: bool,
    asked: String,
    blocked: String,
    share: String,
    /// The charts, for drawing.
    questions: String,
    stopped: String,
    profiles: Vec<ProfileLine>,
    hours: Vec<HourLine>,
    categories: Vec<Bar>,
    /// None for who may not see names.
    names: Option<Vec<Bar>>,
    /// None for who may not see devices.
    clients: Option<Vec<Bar>>,
}

struct ProfileLine {
    title: String,
    asked: String,
    blocked: String,
    share: String,
}

/// The numbers of the charts: an hour, with questions and blocks of each profile.
struct HourLine {
    hour: String,
    cells: Vec<(String, String)>,
}

struct Bar {
    what: String,
    questions: String,
    /// Of a hundred, by the longest bar.
    length: u64,
    /// Where more about it is; empty where there is nothing.
    link: String,
}

fn tone(level: Level) -> &'static str {
    match level {
        Level::Good => "good",
        Level::Look => "warn",
        Level::Bad => "bad",
    }
}

impl Now {
    fn of(visit: &Visit, p: &Page, snapshot: &Snapshot) -> Self {
        let policy = visit.admin.control.policy().load_full();
        let (words, when) = (&p.words, When::of(&policy));
        let (health, at) = (&snapshot.health, snapshot.health.at);
        let headline = match (health.worst(), health.is_watching()) {
            (Level::Bad, _) => words.get("overview-bad"),
            (_, true) => words.get("overview-watching"),
            (Level::Look, false) => words.get("overview-look"),
            (Level::Good, false) => words.get("overview-good"),
        };
        let tile = |part: Part| {
            let level = health.level(part);
            let state = match level {
                Level::Good => words.get("overview-works"),
                Level::Look => words.get("overview-look-at-it"),
                Level::Bad => words.get("overview-broken"),
            };
            let (title, icon, fact) = fact(visit, p, &when, snapshot, part);
            Tile { title, icon, tone: tone(level), state, fact }
        };
        let line = |finding: &super::super::health::Finding| {
            let may = visit.may(finding.right());
            Line {
                tone: tone(finding.level),
                text: finding.say(words, &when, at),
                // It may name sites and files, which are not for everybody.
                detail: if may { policy.masked(&finding.detail).into_owned() } else { String::new() },
                link: if may { finding.link() } else { "" },
            }
        };
        let trial = visit.admin.trial().map(|(trial, left)| Line {
            tone: tone(Level::Look),
            text: words.with(
                "overview-trial",
                [("days", i64::from(left.max(0)).into()), ("day", weekday(trial.ends).into())],
            ),
            detail: String::new(),
            link: if visit.may(Right::ChangeSystem) { "/set-up/start" } else { "" },
        });
        Self {
            tone: tone(health.worst()),
            headline,
            per_minute: snapshot.per_minute().map(|number| p.number(&number)),
            tiles: Part::OF_THE_BOX.into_iter().map(tile).collect(),
            lines: trial.into_iter().chain(health.findings.iter().map(line)).collect(),
        }
    }
}

/// What a part says of itself: its title, its icon, and a fact.
fn fact(
    visit: &Visit,
    p: &Page,
    when: &When,
    snapshot: &Snapshot,
    part: Part,
) -> (String, &'static str, String) {
    let (facts, at, words) = (&snapshot.health.facts, snapshot.health.at, &p.words);
    match part {
        Part::Resolver => {
            let fact = if facts.resolved == 0 {
                words.get("overview-resolver-idle")
            } else {
                let (resolved, failed) = (p.number(&facts.resolved), p.number(&facts.failed));
                p.with2("overview-resolver-fact", "resolved", resolved, "failed", failed)
            };
            (words.get("overview-resolver"), "globe", fact)
        }
        Part::Lists => {
            let (lists, names) = (facts.lists, p.number(&facts.names));
            let mut fact = p.with2("overview-lists-fact", "lists", lists, "names", names);
            if let Some(newest) = facts.newest_list {
                fact.push(' ');
                fact.push_str(&p.with("overview-lists-newest", "when", when.minute(newest, at)));
            }
            (words.get("overview-lists"), "book-open", fact)
        }
        Part::Log => {
            let fact = match facts.last_written {
                Some(last) => p.with("overview-log-fact", "when", when.minute(last, at)),
                None => words.get("overview-log-idle"),
            };
            (words.get("overview-log"), "scroll-text", fact)
        }
        Part::Disk => {
            let fact = match facts.disk {
                Some((free, size)) => p.with2("overview-disk-fact", "free", bytes(free), "size", bytes(size)),
                None => words.get("overview-disk-unknown"),
            };
            (words.get("overview-disk"), "hard-drive", fact)
        }
        Part::Clock => {
            let fact = p.with2("overview-clock-fact", "now", when.minute(at, at), "zone", when.zone());
            (words.get("overview-clock"), "clock", fact)
        }
        Part::Certificate => {
            let fact = match facts.certificate {
                Some(ends) => p.with("overview-certificate-fact", "day", when.day(ends)),
                None if visit.peer.secure => words.get("overview-certificate-other"),
                None => words.get("overview-certificate-none"),
            };
            (words.get("overview-certificate"), "lock", fact)
        }
        Part::Settings | Part::Machine | Part::School => {
            let fact = if facts.revision == 0 {
                words.get("overview-settings-shipped")
            } else {
                p.with("overview-settings-fact", "revision", p.number(&facts.revision.unsigned_abs()))
            };
            (words.get("overview-settings"), "sliders-horizontal", fact)
        }
    }
}

impl Day {
    fn of(visit: &Visit, p: &Page, figures: &Figures) -> Self {
        let policy = visit.admin.control.policy().load();
        let when = When::of(&policy);
        let title = |profile: &OfProfile| {
            if profile.title.is_empty() { p.t("overview-no-profile") } else { profile.title.clone() }
        };
        let chart = |of: fn(&OfProfile) -> &Vec<u64>| {
            let series: Vec<_> = figures
                .profiles
                .iter()
                .map(|profile| json!({ "label": title(profile), "values": of(profile) }))
                .collect();
            let times: Vec<i64> = figures.hours.iter().map(|hour| hour.as_second()).collect();
            json!({ "times": times, "series": series, "zone": when.zone(), "time": p.t("overview-hour") })
                .to_string()
        };
        let profiles = figures.profiles.iter().map(|profile| ProfileLine {
            title: title(profile),
            asked: p.number(&profile.asked()),
            blocked: p.number(&profile.stopped()),
            share: share(profile.stopped(), profile.asked()),
        });
        let hour = |(place, hour): (usize, &jiff::Timestamp)| HourLine {
            hour: when.hour(*hour),
            cells: figures
                .profiles
                .iter()
                .map(|profile| (p.number(&profile.questions[place]), p.number(&profile.blocked[place])))
                .collect(),
        };
        let sees_log = visit.may(Right::SeeLog);
        let site = |what: &str| {
            // What stands for a name that must not be shown can't be looked up.
            if what.starts_with(crate::vault::Digest::PREFIX) {
                return String::new();
            }
            format!("/log?action=blocked&name={}", super::super::visit::encoded(what))
        };
        let client =
            |what: &str| format!("/log?action=blocked&client={}", super::super::visit::encoded(what));
        Self {
            readable: figures.readable,
            asked: p.number(&figures.asked()),
            blocked: p.number(&figures.stopped()),
            share: share(figures.stopped(), figures.asked()),
            questions: chart(|profile| &profile.questions),
            stopped: chart(|profile| &profile.blocked),
            profiles: profiles.collect(),
            hours: figures.hours.iter().enumerate().map(hour).rev().collect(),
            categories: bars(p, &figures.categories, |_| String::new()),
            names: sees_log.then(|| bars(p, &figures.names, site)),
            clients: visit.may(Right::SeeDevices).then(|| bars(p, &figures.clients, client)),
        }
    }
}

fn bars(p: &Page, frequent: &[Frequent], link: impl Fn(&str) -> String) -> Vec<Bar> {
    let most = frequent.iter().map(|one| one.questions).max().unwrap_or(0).max(1);
    let bar = |one: &Frequent| Bar {
        what: if one.what.is_empty() { p.t("overview-no-category") } else { one.what.clone() },
        questions: p.number(&one.questions),
        length: (one.questions.saturating_mul(100) / most).max(1),
        link: link(&one.what),
    };
    frequent.iter().map(bar).collect()
}

/// `12.3 %`.
fn share(part: u64, of: u64) -> String {
    if of == 0 {
        return String::from("0 %");
    }
    let tenths = u128::from(part) * 1_000 / u128::from(of);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

async fn snapshot(admin: &Arc<Admin>) -> Result<Arc<Snapshot>, Failure> {
    if let Some(recent) = admin.live.recent(admin.clock.now()) {
        return Ok(recent);
    }
    let admin = Arc::clone(admin);
    let looked = tokio::task::spawn_blocking(move || Snapshot::of(&admin, None)).await;
    looked.map(Arc::new).map_err(Failure::inside)
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let snapshot = snapshot(&visit.admin).await?;
    let p = &visit.page("overview-title", "/");
    let (now, day) = (&Now::of(&visit, p, &snapshot), &Day::of(&visit, p, &snapshot.figures));
    let live = asked.live != "off";
    if visit.part { html(&Whole { p, live, now, day }) } else { html(&Show { p, live, now, day }) }
}

/// What one browser was told last.
struct Told {
    visit: Visit,
    page: Page,
    watching: tokio::sync::watch::Receiver<Option<Arc<Snapshot>>>,
    now: String,
    figures: Option<Arc<Figures>>,
    waiting: Option<News>,
}

impl Told {
    /// What is new for this browser, when there is something.
    async fn news(&mut self) -> Option<News> {
        if let Some(news) = self.waiting.take() {
            return Some(news);
        }
        loop {
            self.watching.changed().await.ok()?;
            let Some(snapshot) = self.watching.borrow_and_update().clone() else { continue };
            let figures = &snapshot.figures;
            // The times of two looks differ even where nothing else does.
            let same = self.figures.as_ref().is_some_and(|known| {
                Arc::ptr_eq(known, figures) || Figures { at: figures.at, ..(**known).clone() } == **figures
            });
            if !same {
                let day = Day::of(&self.visit, &self.page, figures);
                let html = DayPart { p: &self.page, day: &day }.render().ok()?;
                self.figures = Some(Arc::clone(figures));
                self.waiting = Some(News { name: "day", data: html });
            }
            let now = Now::of(&self.visit, &self.page, &snapshot);
            let html = NowPart { p: &self.page, now: &now }.render().ok()?;
            if html != self.now {
                self.now.clone_from(&html);
                return Some(News { name: "now", data: html });
            }
            if let Some(news) = self.waiting.take() {
                return Some(news);
            }
        }
    }
}

async fn live(visit: Visit) -> Result<Response, Failure> {
    let page = visit.page("overview-title", "/");
    let watching = Live::watch(&visit.admin);
    let told =
        Told { visit: visit.clone(), page, watching, now: String::new(), figures: None, waiting: None };
    let news = stream::unfold(told, async |mut told| told.news().await.map(|news| (news, told)));
    streams::answer(&visit, news)
}

#[cfg(test)]
mod tests;
