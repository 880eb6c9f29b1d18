//! Following the query log: questions are told as soon as they are written down.

use axum::http::Method;
use futures_util::{StreamExt as _, stream};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    call::{Asked, Events, call},
    doc::{Doc, Tag},
};
use crate::{
    admin::{
        access::Right,
        failure::Failure,
        log::Following,
        routes::Routes,
        streams::{self, News},
        visit::Visit,
    },
    control::LogReport,
    querylog::{Entry, search},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let doc = Doc::new(Tag::Log, "Follow the query log as it is written (Server-Sent Events)")
        .details("Each event `question` is one question, within about two seconds after it was answered; `gap` tells of questions that were counted only. It begins with what arrives from now on, and ends after ten minutes with the event `ended`: connect again. What must not be missed in between is had from /api/v1/log/news. At most 16 can follow at once.");
    routes.api(Method::GET, "/api/v1/log/live", Right::SeeLog, doc, call(follow))
}

/// Which questions are told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Which {
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
    /// What decided, in a word.
    reason: Option<String>,
    /// The identifier of the list that decided.
    list: Option<String>,
}

async fn follow(visit: Visit, asked: Asked<(), Which>) -> Result<Events<Entry>, Failure> {
    let Which { client, profile, name, category, action, alert, reason, list } = asked.query;
    let wanted = search::Asked {
        client,
        profile,
        name,
        category,
        action,
        alert,
        reason,
        list,
        ..search::Asked::default()
    };
    let following = Following::begin(&visit, wanted).await?;
    let reports = stream::unfold(following, async |mut following| {
        following.news().await.map(|report| (report, following))
    });
    let news = reports.flat_map(|report| stream::iter(told(&report)));
    Ok(Events::new(streams::events(&visit, news, String::from("{}"))))
}

/// What a program is told of what is new, in the order of time.
fn told(report: &LogReport) -> Vec<News> {
    let gaps = report.page.unkept.iter().map(|gap| ("gap", serde_json::to_string(gap)));
    let questions = report.page.entries.iter().map(|entry| ("question", serde_json::to_string(entry)));
    let all = gaps.chain(questions).filter_map(|(name, text)| Some(News { name, data: text.ok()? }));
    all.collect()
}
