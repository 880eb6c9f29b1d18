//! Following the log: new lines come by themselves.

use std::time::Duration;

use askama::Template;
use axum::{extract::Query, http::StatusCode, response::Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{
    super::super::{
        access::Right,
        failure::Failure,
        page::Page,
        streams::{self, News},
        visit::Visit,
    },
    Fields, Found, sight,
};
use crate::control::LogTail;

/// How often it is looked at most: each look is a search.
const AT_MOST: Duration = Duration::from_secs(1);

/// So often it is looked without being told that there is something new.
const AT_LEAST: Duration = Duration::from_secs(5);

/// More lines than these are not shown at once: nobody could read them.
const MOST: usize = 100;

#[derive(Template)]
#[template(path = "log_lines.html")]
struct Lines<'a> {
    p: &'a Page,
    found: &'a Found,
}

/// What one browser follows.
struct Following {
    visit: Visit,
    page: Page,
    fields: Fields,
    tail: Option<LogTail>,
    commits: Option<watch::Receiver<u64>>,
    is_first: bool,
    _place: OwnedSemaphorePermit,
}

impl Following {
    /// The next lines, when there are any; none where the log can't be read any more.
    async fn news(&mut self) -> Option<News> {
        loop {
            if !std::mem::take(&mut self.is_first) {
                tokio::time::sleep(AT_MOST).await;
                self.written().await;
            }
            let following = self.tail.take()?;
            let told = self.visit.admin.control.log_news_for(following, sight(&self.visit)).await;
            let (following, mut report) = told
                .inspect_err(|error| tracing::warn!(%error, "Somebody can't follow the query log any more"))
                .ok()?;
            self.tail = Some(following);
            if report.page.entries.is_empty() {
                continue;
            }
            // The newest stands first, as on the page.
            report.page.entries.reverse();
            report.page.entries.truncate(MOST);
            let found = Found::of(&self.visit, &self.page, &self.fields, report);
            let html = Lines { p: &self.page, found: &found }.render().ok()?;
            return Some(News { name: "lines", html });
        }
    }

    /// Waits until something was written, or for a while.
    async fn written(&mut self) {
        let Some(commits) = &mut self.commits else { return tokio::time::sleep(AT_LEAST).await };
        // Without a writer there is nothing to be told; what comes late is found all the same.
        let _ = tokio::time::timeout(AT_LEAST, commits.changed()).await;
    }
}

pub(super) async fn follow(visit: Visit, Query(fields): Query<Fields>) -> Result<Response, Failure> {
    let place = std::sync::Arc::clone(&visit.admin.followers)
        .try_acquire_owned()
        .map_err(|_| Failure::new("failure-followers", StatusCode::TOO_MANY_REQUESTS))?;
    let tail = visit.admin.control.log_tail_for(fields.asked(None), sight(&visit)).await?;
    let following = Following {
        page: visit.page("log-title", "/log"),
        fields,
        tail: Some(tail),
        commits: visit.admin.control.log_commits(),
        is_first: true,
        _place: place,
        visit: visit.clone(),
    };
    let news =
        stream::unfold(following, async |mut following| following.news().await.map(|news| (news, following)));
    streams::answer(&visit, news)
}
