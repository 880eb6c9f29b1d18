//! The query log: searching, following and counting.

use axum::http::Method;
use jiff::{SignedDuration, Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    call::{Asked, Listed, Told, call},
    doc::{Doc, Tag},
};
use crate::{
    admin::{
        access::Right,
        failure::Failure,
        log::sight,
        routes::Routes,
        visit::{Visit, encoded},
    },
    control::{ControlError, LogReport, SeenReport},
    querylog::{
        Action, Entry,
        rollup::{By, Count, CountQuery, Step, Top, TopQuery},
        search::{self, Edge, Unkept, Unreadable, moment, zone},
        stats::Stats,
    },
};

/// How long after it arrived a question may be written down: an answer may take seconds to be had.
const LATE: SignedDuration = SignedDuration::from_secs(20);

/// The longest time that is followed at once.
const LONGEST_FOLLOWED: SignedDuration = SignedDuration::from_hours(24);

/// How many questions are told at once of those that are followed.
const AT_ONCE: u32 = 5_000;

/// The longest time that is counted by the hour, and by the day.
const LONGEST_HOURS: SignedDuration = SignedDuration::from_hours(31 * 24);
const LONGEST_DAYS: SignedDuration = SignedDuration::from_hours(800 * 24);

/// How many of the most frequent are told at most.
const MOST_TOP: usize = 500;

pub(super) fn routes(routes: Routes) -> Routes {
    let tag = Tag::Log;
    let find = Doc::new(tag, "Search the query log, the newest question first")
        .details("Pages are stable while questions arrive. Who may not see devices gets a pseudonym for each, another one every day, and can't search for a device.");
    let follow = Doc::new(tag, "Follow the query log: what has arrived since a moment, the oldest first")
        .details("Each question is told once, 20 seconds after it arrived, when it is surely written down. Begin without a cursor, and ask again with the one that was answered. /api/v1/log/live is quicker, and does not go on where it was broken off.");
    let counts = Doc::new(tag, "How many questions there were, by the hour or by the day");
    let top = Doc::new(tag, "The names that were asked for most");
    let stats = Doc::new(tag, "What the log has, and how it fares");
    let new = Doc::new(tag, "The names that the school asked for first in the last days");
    routes
        .api(Method::GET, "/api/v1/log", Right::SeeLog, find, call(find_in_log))
        .api(Method::GET, "/api/v1/log/news", Right::SeeLog, follow, call(follow_log))
        .api(Method::GET, "/api/v1/log/counts", Right::SeeOverview, counts, call(count))
        .api(Method::GET, "/api/v1/log/top", Right::SeeLog, top, call(top_names))
        .api(Method::GET, "/api/v1/log/stats", Right::SeeLog, stats, call(stats_of))
        .api(Method::GET, "/api/v1/log/new-names", Right::SeeLog, new, call(new_names))
}

/// Some lines of the log.
#[derive(Debug, Serialize, JsonSchema)]
struct Lines {
    /// The school's time zone, by its IANA name; the times of the entries are UTC.
    timezone: String,
    /// The questions, the newest first.
    entries: Vec<Entry>,
    /// The address of the next page; none when there are no more.
    next: Option<String>,
    /// The search was broken off, since it takes long; it goes on at `next`, even where there are no entries.
    unfinished: bool,
    /// Questions of the page's time that were counted and not kept, whatever was searched for.
    unkept: Vec<Unkept>,
    /// Days that can't be read; what they have is not in the page.
    unreadable: Vec<Unreadable>,
}

async fn find_in_log(visit: Visit, asked: Asked<(), search::Asked>) -> Result<Told<Lines>, Failure> {
    let again = again(&asked.query);
    let LogReport { timezone, page } = visit.admin.control.log_search_for(asked.query, sight(&visit)).await?;
    let search::Page { entries, next, unfinished, unkept, unreadable } = page;
    let next = next.map(|next| format!("/api/v1/log?{again}after={next}"));
    Ok(Told(Lines { timezone, entries, next, unfinished, unkept, unreadable }))
}

/// The same search as parameters, but for its place.
fn again(asked: &search::Asked) -> String {
    let search::Asked {
        from,
        to,
        client,
        profile,
        name,
        category,
        action,
        alert,
        reason,
        list,
        limit,
        after: _,
    } = asked;
    let texts = [
        ("from", from),
        ("to", to),
        ("client", client),
        ("profile", profile),
        ("name", name),
        ("category", category),
        ("action", action),
        ("reason", reason),
        ("list", list),
    ];
    let mut parameters = String::new();
    for (word, value) in texts {
        if let Some(value) = value {
            parameters.push_str(&format!("{word}={}&", encoded(value)));
        }
    }
    if *alert {
        parameters.push_str("alert=true&");
    }
    if let Some(limit) = limit {
        parameters.push_str(&format!("limit={limit}&"));
    }
    parameters
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Follow {
    /// What was answered as `cursor` before; from now on, if left out. At most a day ago.
    cursor: Option<Timestamp>,
    /// An address, a subnet, a link-layer address, a device's name or a pseudonym.
    client: Option<String>,
    /// The identifier of a profile.
    profile: Option<String>,
    /// A pattern of names: `*.example`.
    name: Option<String>,
    /// The identifier of a category.
    category: Option<String>,
    /// What happened, in a word.
    action: Option<String>,
    /// Only what somebody may have to look at.
    alert: bool,
}

/// What arrived since.
#[derive(Debug, Serialize, JsonSchema)]
struct News {
    /// The questions, the oldest first.
    entries: Vec<Entry>,
    /// Where to go on.
    cursor: Timestamp,
    /// More has arrived, which can be asked for at once.
    more: bool,
}

async fn follow_log(visit: Visit, asked: Asked<(), Follow>) -> Result<Told<News>, Failure> {
    let Follow { cursor, client, profile, name, category, action, alert } = asked.query;
    let now = visit.admin.clock.now();
    // To the millisecond, as the log has it.
    let ms = |time: Timestamp| Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time);
    let settled = ms(now.checked_sub(LATE).unwrap_or(now));
    let Some(from) = cursor.map(ms) else {
        return Ok(Told(News { entries: Vec::new(), cursor: ms(now), more: false }));
    };
    if now.duration_since(from) > LONGEST_FOLLOWED {
        return Err(Failure::input(
            "cursor: at most a day can be followed; search the log for what is older",
        ));
    }
    let mut to = settled;
    let part = |from: Timestamp, to: Timestamp, after: Option<String>| search::Asked {
        from: Some(from.to_string()),
        to: Some(to.to_string()),
        client: client.clone(),
        profile: profile.clone(),
        name: name.clone(),
        category: category.clone(),
        action: action.clone(),
        alert,
        limit: Some(AT_ONCE),
        after,
        ..search::Asked::default()
    };
    let control = &visit.admin.control;
    let mut entries = Vec::new();
    let (mut end, mut after) = (from, None);
    // The log is read from its newest end: of what is too much, the older half is told first.
    while from < to {
        let found = control.log_search_for(part(from, to, after.take()), sight(&visit)).await?;
        let half = from.duration_since(to).as_millis().unsigned_abs() / 2;
        let half = i64::try_from(half).unwrap_or(i64::MAX);
        entries.extend(found.page.entries);
        match found.page.next {
            Some(_) if half > 0 => {
                entries.clear();
                to = Timestamp::from_millisecond(from.as_millisecond().saturating_add(half)).unwrap_or(to);
            }
            // One millisecond can't be halved, so that all of it is read.
            Some(next) => after = Some(next.to_string()),
            None => {
                end = to;
                break;
            }
        }
    }
    entries.reverse();
    Ok(Told(News { entries, cursor: end, more: end > from && end < settled }))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Counted {
    /// From when on, as in a search; `24h`, if left out. The hour or day that has it is the first.
    #[serde(default = "yesterday")]
    from: String,
    /// Until when; now, if left out.
    #[serde(default = "now")]
    to: String,
    /// How long each count is for; an hour, if left out.
    #[serde(default = "hour")]
    step: Step,
    /// What counts are told apart by, with commas between: `profile`, `category`, `action`.
    #[serde(default)]
    by: Listed,
    /// Only of this profile.
    profile: Option<String>,
    /// Only of this category.
    category: Option<String>,
    /// Only what ended so.
    action: Option<Action>,
}

fn yesterday() -> String {
    String::from("24h")
}

fn now() -> String {
    String::from("now")
}

fn hour() -> Step {
    Step::Hour
}

/// How many questions there were.
#[derive(Debug, Serialize, JsonSchema)]
struct Counts {
    /// In the order of time; hours or days without questions are left out.
    counts: Vec<Count>,
}

/// From when to when, as somebody wrote it.
fn span(visit: &Visit, from: &str, to: &str) -> Result<(Timestamp, Timestamp), ControlError> {
    let policy = visit.admin.control.policy().load_full();
    let (zone, now) = (zone(&policy), visit.admin.clock.now());
    Ok((moment("from", from, Edge::From, &zone, now)?, moment("to", to, Edge::To, &zone, now)?))
}

async fn count(visit: Visit, asked: Asked<(), Counted>) -> Result<Told<Counts>, Failure> {
    let Counted { from, to, step, by, profile, category, action } = asked.query;
    let (from, to) = span(&visit, &from, &to)?;
    let longest = match step {
        Step::Hour => LONGEST_HOURS,
        Step::Day => LONGEST_DAYS,
    };
    if to.duration_since(from) > longest {
        let days = longest.as_hours() / 24;
        return Err(Failure::input(format!("at most {days} days can be counted so; write a later from")));
    }
    let word = |word: &String| match word.as_str() {
        "profile" => Ok(By::Profile),
        "category" => Ok(By::Category),
        "action" => Ok(By::Action),
        other => Err(Failure::input(format!("by: {other:?} is none of profile, category, action"))),
    };
    let by = by.0.iter().map(word).collect::<Result<_, _>>()?;
    let query = CountQuery { from, to, step, by, profile, category, action };
    let counts = visit.aside(move |visit| visit.admin.control.keeping().rollup().counts(&query)).await?;
    Ok(Told(Counts { counts: counts.map_err(ControlError::from)? }))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Frequent {
    /// From when on, as in a search; `24h`, if left out.
    #[serde(default = "yesterday")]
    from: String,
    /// Until when; now, if left out. Hours that are not rolled up yet are not in it.
    #[serde(default = "now")]
    to: String,
    /// Only of this profile.
    profile: Option<String>,
    /// `blocked`, or `allowed`; what was blocked, if left out.
    #[serde(default = "blocked")]
    action: Action,
    /// How many: 1 to 500; 20, if left out.
    #[serde(default = "twenty")]
    most: usize,
}

fn blocked() -> Action {
    Action::Blocked
}

fn twenty() -> usize {
    20
}

/// What was asked for most.
#[derive(Debug, Serialize, JsonSchema)]
struct Names {
    /// The most frequent first.
    names: Vec<Top>,
}

async fn top_names(visit: Visit, asked: Asked<(), Frequent>) -> Result<Told<Names>, Failure> {
    let Frequent { from, to, profile, action, most } = asked.query;
    let (from, to) = span(&visit, &from, &to)?;
    if to.duration_since(from) > LONGEST_DAYS {
        return Err(Failure::input("at most 800 days can be looked at; write a later from"));
    }
    let query = TopQuery { from, to, profile, action, most: most.clamp(1, MOST_TOP) };
    let found = visit.aside(move |visit| {
        let names = visit.admin.control.keeping().rollup().top_names(&query)?;
        let policy = visit.admin.control.policy().load_full();
        let shown = |top: Top| Top { what: policy.masked(&top.what).into_owned(), ..top };
        Ok(names.into_iter().map(shown).collect())
    });
    let names = found.await?.map_err(|error: crate::querylog::LogError| ControlError::from(error))?;
    Ok(Told(Names { names }))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Day {
    /// The UTC day that is counted by profile; the newest, if left out.
    day: Option<Date>,
}

async fn stats_of(visit: Visit, asked: Asked<(), Day>) -> Result<Told<Stats>, Failure> {
    Ok(Told(visit.admin.control.log_stats(asked.query.day).await?))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Lately {
    /// In how many days, today among them: 1 to 400; 7, if left out.
    #[serde(default = "week")]
    days: u16,
}

fn week() -> u16 {
    7
}

async fn new_names(visit: Visit, asked: Asked<(), Lately>) -> Result<Told<SeenReport>, Failure> {
    let days = asked.query.days;
    Ok(Told(visit.aside(move |visit| visit.admin.control.new_names(days)).await??))
}
