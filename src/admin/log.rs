//! What the pages and the calls of the query log share: who may see how much, and following it.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{
    access::Right,
    failure::Failure,
    searches::SearchesError,
    visit::{Identity, Visit},
};
use crate::{
    accounts::UserId,
    control::{Actor, ControlError, EraseAsked, LogReport, LogTail, Sight},
    querylog::{retention::EraseReport, search::Asked},
};

/// How often the log is looked at most: each look is a search.
const AT_MOST: Duration = Duration::from_secs(1);

/// So often it is looked without being told that there is something new.
const AT_LEAST: Duration = Duration::from_secs(5);

/// How much of who asked somebody sees.
pub(super) fn sight(visit: &Visit) -> Sight {
    if visit.may(Right::SeeDevices) { Sight::Devices } else { Sight::Pseudonyms }
}

/// Who takes something out of the log, and in which role.
pub(super) fn actor(visit: &Visit) -> Actor {
    let role = match &visit.identity {
        Identity::Person(session) => Some(session.role),
        Identity::Program(token) => Some(token.role),
        Identity::Nobody | Identity::Unfinished(_) => None,
    };
    Actor { by: visit.by(), role: role.map_or_else(String::new, |role| role.word().to_owned()) }
}

/// [Erases](crate::control::Control::erase) to the end, also where who asked goes away meanwhile: the audit is to have
/// all that was done.
pub(super) async fn erase(visit: &Visit, asked: EraseAsked) -> Result<EraseReport, ControlError> {
    let (control, by) = (Arc::clone(&visit.admin.control), visit.by());
    let work = tokio::spawn(async move { control.erase(asked, &by).await });
    work.await.unwrap_or_else(|error| {
        Err(ControlError::Server { message: format!("an internal error: {error}"), bad_input: false })
    })
}

/// Keeps a search of somebody's; those of users who are gone go with it. The inner error is what was wrong with it.
pub(super) async fn keep_search(
    visit: &Visit,
    user: UserId,
    name: String,
    query: String,
) -> Result<Result<(), SearchesError>, Failure> {
    visit
        .aside(move |visit| {
            let users = visit.admin.accounts.users().map_err(Failure::inside)?;
            let users: Vec<UserId> = users.into_iter().map(|user| user.id).collect();
            Ok(visit.admin.searches.keep(user, &name, &query, &users))
        })
        .await?
}

/// What one browser or program follows.
pub(super) struct Following {
    visit: Visit,
    tail: Option<LogTail>,
    commits: Option<watch::Receiver<u64>>,
    is_first: bool,
    _place: OwnedSemaphorePermit,
}

impl Following {
    /// Begins with what arrives from now on, as far as it is asked for.
    ///
    /// # Errors
    ///
    /// When too many follow already, or what is asked for is wrong.
    pub(super) async fn begin(visit: &Visit, asked: Asked) -> Result<Self, Failure> {
        let place = Arc::clone(&visit.admin.followers)
            .try_acquire_owned()
            .map_err(|_| Failure::new("failure-followers", StatusCode::TOO_MANY_REQUESTS))?;
        let tail = visit.admin.control.log_tail_for(asked, sight(visit)).await?;
        let commits = visit.admin.control.log_commits();
        Ok(Self { visit: visit.clone(), tail: Some(tail), commits, is_first: true, _place: place })
    }

    /// What is new, the oldest first, as soon as something was written; it may be nothing that is asked for. None where
    /// the log can't be read any more.
    pub(super) async fn news(&mut self) -> Option<LogReport> {
        if !std::mem::take(&mut self.is_first) {
            tokio::time::sleep(AT_MOST).await;
            self.written().await;
        }
        let following = self.tail.take()?;
        let told = self.visit.admin.control.log_news_for(following, sight(&self.visit)).await;
        let (following, report) = told
            .inspect_err(|error| tracing::warn!(%error, "Somebody can't follow the query log any more"))
            .ok()?;
        self.tail = Some(following);
        Some(report)
    }

    /// Waits until something was written, or for a while.
    async fn written(&mut self) {
        let Some(commits) = &mut self.commits else { return tokio::time::sleep(AT_LEAST).await };
        // Without a writer there is nothing to be told; what comes late is found all the same.
        let _ = tokio::time::timeout(AT_LEAST, commits.changed()).await;
    }
}
