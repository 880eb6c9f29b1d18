//! Following the log: new lines come by themselves.

use askama::Template;
use axum::{extract::Query, response::Response};
use futures_util::stream;

use super::{
    super::super::{
        access::Right,
        failure::Failure,
        log,
        page::Page,
        streams::{self, News},
        visit::Visit,
    },
    Fields, Found,
};

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
    log: log::Following,
}

impl Following {
    /// The next lines, when there are any; none where the log can't be read any more.
    async fn news(&mut self) -> Option<News> {
        loop {
            let mut report = self.log.news().await?;
            if report.page.entries.is_empty() {
                continue;
            }
            // The newest stands first, as on the page.
            report.page.entries.reverse();
            report.page.entries.truncate(MOST);
            let found = Found::of(&self.visit, &self.page, &self.fields, report);
            let html = Lines { p: &self.page, found: &found }.render().ok()?;
            return Some(News { name: "lines", data: html });
        }
    }
}

pub(super) async fn follow(visit: Visit, Query(fields): Query<Fields>) -> Result<Response, Failure> {
    let log = log::Following::begin(&visit, fields.asked(None)).await?;
    let page = visit.page("log-title", "/log");
    let following = Following { visit: visit.clone(), page, fields, log };
    let news =
        stream::unfold(following, async |mut following| following.news().await.map(|news| (news, following)));
    streams::answer(&visit, news)
}
