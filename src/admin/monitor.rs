//! What other programs look at: whether the box is alive, whether it is ready, and its figures.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    Admin,
    access::Right,
    failure::Failure,
    health::Health,
    metrics,
    routes::Routes,
    visit::{Identity, Visit},
    when::When,
};

/// For how long an answer to whether the box is ready is good: whoever asks, it is looked at no oftener.
const READY_FOR: Duration = Duration::from_secs(1);

/// How the box was when somebody last asked whether it is ready.
#[derive(Debug, Default)]
pub(super) struct Readiness(tokio::sync::Mutex<Option<(Instant, Arc<Health>)>>);

impl Readiness {
    /// Looks at the box, unless that was done a moment ago. One looks for all who ask meanwhile.
    async fn look(&self, admin: &Arc<Admin>) -> Result<Arc<Health>, Failure> {
        let mut last = self.0.lock().await;
        if let Some((at, health)) = &*last
            && at.elapsed() < READY_FOR
        {
            return Ok(Arc::clone(health));
        }
        let health = Arc::new(look(admin).await?);
        *last = Some((Instant::now(), Arc::clone(&health)));
        Ok(health)
    }
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/healthz", Right::Open, alive).get("/readyz", Right::Open, ready).get(
        "/metrics",
        Right::Open,
        figures,
    )
}

/// The program runs and answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether everything works that must; a line for each part that does not.
async fn ready(visit: Visit) -> Result<Response, Failure> {
    let health = visit.admin.readiness.look(&visit.admin).await?;
    let when = When::of(&visit.admin.control.policy().load());
    let lines: Vec<String> = health
        .broken()
        .map(|finding| format!("{}: {}\n", finding.part.word(), finding.say(&visit.words, &when, health.at)))
        .collect();
    if lines.is_empty() {
        return Ok("ready\n".into_response());
    }
    // As JSON or a page it would be dressed up; a monitor wants the lines.
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((StatusCode::SERVICE_UNAVAILABLE, kind, lines.concat()).into_response())
}

async fn figures(visit: Visit) -> Result<Response, Failure> {
    let may = match &visit.identity {
        Identity::Program(_) | Identity::Person(_) => visit.may(Right::SeeMetrics),
        _ => visit.admin.config.metrics_from.iter().any(|net| net.contains(&visit.address())),
    };
    if !may {
        return Err(Failure::new("failure-metrics", StatusCode::FORBIDDEN));
    }
    let admin = Arc::clone(&visit.admin);
    let text = tokio::task::spawn_blocking(move || metrics::text(&admin, &Health::of(&admin)))
        .await
        .map_err(Failure::inside)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Looks at the box where it keeps nobody waiting.
pub(super) async fn look(admin: &Arc<Admin>) -> Result<Health, Failure> {
    let admin = Arc::clone(admin);
    tokio::task::spawn_blocking(move || Health::of(&admin)).await.map_err(Failure::inside)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{
        body::Body,
        http::{Method, StatusCode, header},
    };

    use crate::{
        accounts::{Role, Scope},
        admin::tests::TestBox,
    };

    #[tokio::test]
    async fn a_box_that_works_is_alive_and_ready() {
        let school = TestBox::new().await;
        assert_eq!(school.get_as_nobody("/healthz").await.body, "ok\n");
        let ready = school.get_as_nobody("/readyz").await;
        assert_eq!((ready.status, ready.body.as_str()), (StatusCode::OK, "ready\n"));
    }

    #[tokio::test]
    async fn the_box_is_looked_at_once_for_all_who_ask_whether_it_is_ready() {
        let school = TestBox::new().await;
        let (one, two) = tokio::join!(
            school.admin.readiness.look(&school.admin),
            school.admin.readiness.look(&school.admin)
        );
        assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
    }

    #[tokio::test]
    async fn a_box_without_a_clock_is_alive_but_not_ready_and_says_why() {
        let school = TestBox::unclaimed_at("1970-01-01T00:10:00Z");
        assert_eq!(school.get_as_nobody("/healthz").await.status, StatusCode::OK);
        let ready = school.get_as_nobody("/readyz").await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(ready.body.starts_with("clock: "), "{}", ready.body);
    }

    #[tokio::test]
    async fn figures_are_for_the_networks_that_are_named_and_for_tokens_of_their_scope() {
        let school = TestBox::new().await;
        let refused = school.get_as_nobody("/metrics").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert!(!refused.has("schoolgate_"), "{}", refused.body);
        for (role, scopes, may) in
            [(Role::Technician, &[Scope::Metrics][..], true), (Role::Technician, &[Scope::Read], false)]
        {
            let token = school.token(role, scopes);
            let request = school
                .request(None, Method::GET, "/metrics")
                .header(header::AUTHORIZATION, format!("Bearer {token}"));
            let answer = school.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status == StatusCode::OK, may, "{role:?} {scopes:?}");
        }
        let page = school.get(Role::Technician, "/metrics").await;
        assert!(page.has("schoolgate_ready 1\n"), "{}", page.body);
        assert_eq!(school.get(Role::Governor, "/metrics").await.status, StatusCode::FORBIDDEN);
    }
}
