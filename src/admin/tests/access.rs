//! Each role, at each address.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};

use super::TestBox;
use crate::{
    accounts::{Role, Scope},
    admin::{access::Right, routes},
};

/// An address of a route, with something in the place of what it leaves open.
fn address(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        part if part.starts_with("{*") => "x",
        part if part.starts_with('{') => "1",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Asks at each address; none of them may be taken for another than it is.
async fn refused(school: &TestBox, role: Option<Role>, method: &Method, path: &str) -> bool {
    let request = school.request(role, method.clone(), &address(path));
    let request = request.header(header::ACCEPT, "text/event-stream").body(Body::empty()).unwrap();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), school.send(request));
    // What streams goes on, and so was not refused.
    let Ok(answer) = answer.await else { return false };
    match role {
        Some(_) => answer.status == StatusCode::FORBIDDEN && answer.has("Your role may not do this"),
        None => {
            answer.status == StatusCode::UNAUTHORIZED
                || (answer.status == StatusCode::SEE_OTHER && answer.leads_to().starts_with("/sign-in"))
        }
    }
}

#[tokio::test]
async fn each_role_is_refused_what_it_may_not_do_and_nothing_else() {
    let routes = routes();
    assert!(routes.entries().len() > 10);
    for entry in routes.entries() {
        // What a request may change is another for the next one.
        let school = TestBox::new().await;
        school.admin.stop.cancel();
        for role in Role::ALL {
            let is_refused = refused(&school, Some(role), &entry.method, entry.path).await;
            // Whoever signs out is not known any more.
            if entry.path == "/sign-out" {
                break;
            }
            assert_eq!(is_refused, !entry.right.is_of(role), "{role:?} at {} {}", entry.method, entry.path);
        }
    }
}

#[tokio::test]
async fn who_is_not_signed_in_gets_nothing_but_the_door() {
    let routes = routes();
    let school = TestBox::new().await;
    school.admin.stop.cancel();
    for entry in routes.entries().iter().filter(|entry| entry.right != Right::Open) {
        assert!(refused(&school, None, &entry.method, entry.path).await, "{} {}", entry.method, entry.path);
    }
    let open: Vec<&str> = routes
        .entries()
        .iter()
        .filter(|entry| entry.right == Right::Open)
        .map(|entry| entry.path)
        .filter(|path| !path.starts_with("/sign-") && !path.starts_with("/set-up"))
        .collect();
    let meant = [
        "/static/{*name}",
        "/theme",
        "/ca.crt",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/docs",
        "/api/v1/openapi.json",
    ];
    assert!(open.iter().all(|path| meant.contains(path)), "{open:?}");
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let routes = routes();
    let school = TestBox::new().await;
    for entry in routes.entries().iter().filter(|entry| entry.method != Method::GET) {
        let path = address(entry.path);
        let cookie = school.request(Some(Role::Head), entry.method.clone(), &path);
        let mut request = cookie.body(Body::empty()).unwrap();
        for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let answer = school.send(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} {path}", entry.method);
        assert!(answer.has("did not come from a page of this box"), "{path}");
    }
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_and_its_owner_may() {
    let school = TestBox::new().await;
    school.admin.stop.cancel();
    let routes = routes();
    let read = school.token(Role::Technician, &[Scope::Read]);
    for entry in routes.entries().iter().filter(|entry| entry.method == Method::GET) {
        let request = school
            .request(None, Method::GET, &address(entry.path))
            .header(header::AUTHORIZATION, format!("Bearer {read}"));
        let answer = tokio::time::timeout(
            std::time::Duration::from_secs(20),
            school.send(request.body(Body::empty()).unwrap()),
        );
        let Ok(answer) = answer.await else { continue };
        let may = entry.right == Right::Open
            || (entry.right.is_of(Role::Technician) && entry.right.scope() == Scope::Read);
        let is_refused = answer.status == StatusCode::FORBIDDEN && answer.has("Your role may not do this");
        assert_eq!(is_refused, !may, "{}: {}", entry.path, answer.status);
    }
}
