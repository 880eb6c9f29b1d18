//! The API, asked as programs ask it.

mod behaviour;
mod generate;
mod hostile;
mod log;
mod mail;
mod schema;

use axum::{
    body::Body,
    http::{Method, header},
};
use serde_json::Value;

use crate::{
    accounts::{Role, Scope},
    admin::tests::{Answer, TestBox},
};

/// Who asks.
#[derive(Debug, Clone)]
enum Who {
    Nobody,
    Person(Role),
    Program(String),
}

/// Asks something; `seen` is what is sent as `If-Match`.
async fn ask(
    school: &TestBox,
    who: &Who,
    method: Method,
    path: &str,
    seen: Option<&str>,
    body: Option<&Value>,
) -> Answer {
    let mut request = match who {
        Who::Person(role) => school.request(Some(*role), method, path),
        Who::Nobody => school.request(None, method, path),
        Who::Program(token) => {
            school.request(None, method, path).header(header::AUTHORIZATION, format!("Bearer {token}"))
        }
    };
    if let Some(seen) = seen {
        request = request.header(header::IF_MATCH, seen);
    }
    let body = match body {
        Some(value) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(value.to_string())
        }
        None => Body::empty(),
    };
    school.send(request.body(body).unwrap()).await
}

/// A token that may do whatever a head teacher may.
fn every_scope(school: &TestBox) -> Who {
    Who::Program(school.token(Role::Head, &Scope::ALL))
}
