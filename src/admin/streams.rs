//! What pages are told without asking: events that are sent for as long as somebody may see them (Server-Sent Events).

use std::{convert::Infallible, time::Duration};

use askama::Template;
use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt as _, stream};

use super::{failure::Failure, page::Page, visit::Visit};

/// How many may follow the log at one time: each of them searches it again and again.
pub(super) const MOST_FOLLOWERS: usize = 16;

/// How often it is looked whether somebody may still see what is sent.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// So often something is sent, so that nobody takes the line for dead.
const ALIVE: Duration = Duration::from_secs(15);

/// The event after which nothing comes any more, since the session has ended.
pub(super) const ENDED: &str = "ended";

/// What somebody is told whose session has ended.
#[derive(Template)]
#[template(path = "ended.html")]
struct Ended {
    p: Page,
}

/// One event: its name, and what is shown or told.
pub(super) struct News {
    pub(super) name: &'static str,
    pub(super) data: String,
}

/// An answer that goes on: each of `news`, until the box stops, or who asked may not see them any more, which is the last
/// that they are told.
///
/// # Errors
///
/// When that can't be put into words.
pub(super) fn answer(
    visit: &Visit,
    news: impl Stream<Item = News> + Send + 'static,
) -> Result<Response, Failure> {
    let ended = Ended { p: visit.page("overview-title", "") }.render().map_err(Failure::inside)?;
    Ok(events(visit, news, ended))
}

/// The same, with what is told last.
pub(super) fn events(
    visit: &Visit,
    news: impl Stream<Item = News> + Send + 'static,
    ended: String,
) -> Response {
    let stop = visit.admin.stop.clone().cancelled_owned();
    let news = news.boxed();
    // Who has been away for too long is told so, and then nothing more.
    let end = stream::once(over(visit.clone())).map(move |()| News { name: ENDED, data: ended.clone() });
    let told = stream::select(news.chain(stream::pending()), end.boxed())
        .scan(false, |is_over, news| {
            let go_on = !*is_over;
            *is_over = news.name == ENDED;
            std::future::ready(go_on.then_some(news))
        })
        .take_until(stop)
        .map(|News { name, data }| {
            Ok::<_, Infallible>(Event::default().event(name).data(data.replace('\r', " ")))
        });
    Sse::new(told).keep_alive(KeepAlive::new().interval(ALIVE)).into_response()
}

/// Waits until who asked may not see any more.
async fn over(visit: Visit) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        if !visit.still_holds().await {
            return;
        }
    }
}
