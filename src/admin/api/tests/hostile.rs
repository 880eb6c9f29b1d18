//! Requests made from the description: nothing that is sent breaks the box, and what it answers is as it says.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use serde_json::Value;

use super::{
    super::{call::EVENTS, openapi},
    Who, every_scope,
    generate::{Dice, text, value},
    schema::check,
};
use crate::{
    accounts::Role,
    admin::{
        tests::{Answer, TestBox},
        visit::encoded,
    },
};

/// How often each call is tried by each who may ask.
const TRIES: usize = 3;

/// As a part of a path: nothing in it ends the part.
fn part(text: &str) -> String {
    encoded(text).replace('/', "%2F").replace('.', "%2E")
}

/// A request of one call, with whatever comes to mind in the place of what it takes.
fn request(
    spec: &Value,
    school: &TestBox,
    who: &Who,
    (method, path, call): (&Method, &str, &Value),
    dice: &mut Dice,
) -> (String, Request<Body>) {
    let mut path = path.to_owned();
    let mut query = Vec::new();
    let mut seen = None;
    for parameter in call["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        let made = value(spec, &parameter["schema"], dice, 0);
        let made = made.as_str().map_or_else(|| made.to_string(), str::to_owned);
        match parameter["in"].as_str() {
            Some("path") => {
                path = path.replace(&format!("{{{name}}}"), &part(if made.is_empty() { "x" } else { &made }))
            }
            Some("query") if parameter["required"] == true || dice.one_in(3) => {
                query.push(format!("{name}={}", encoded(&made)));
            }
            Some("header") => {
                seen = Some(*dice.pick(&["*", "*", "*", "\"0\"", "W/\"1\"", "x", "\"1\", \"2\"", ""]))
            }
            _ => {}
        }
    }
    if dice.one_in(30) {
        query.push(format!("{}={}", encoded(&text(dice)), encoded(&text(dice))));
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let mut request = match who {
        Who::Nobody => school.request(None, method.clone(), &path),
        Who::Person(role) => school.request(Some(*role), method.clone(), &path),
        Who::Program(token) => school
            .request(None, method.clone(), &path)
            .header(header::AUTHORIZATION, format!("Bearer {token}")),
    };
    if let Some(seen) = seen.filter(|_| !dice.one_in(8)) {
        request = request.header(header::IF_MATCH, seen);
    }
    let mut body = Body::empty();
    let mut sent = String::new();
    if let Some((media, content)) =
        call["requestBody"]["content"].as_object().and_then(|kinds| kinds.iter().next())
    {
        let media = if dice.one_in(20) { "text/plain" } else { media.as_str() };
        request = request.header(header::CONTENT_TYPE, media);
        sent = value(spec, &content["schema"], dice, 0).to_string();
        if dice.one_in(20) {
            sent = sent.chars().take(sent.chars().count() / 2).collect();
        }
        body = Body::from(sent.clone());
    }
    let said = format!("{method} {path} {sent}");
    let request = request.body(body).unwrap_or_else(|error| panic!("{said}: {error}"));
    (said, request)
}

/// What is wrong with an answer, by the description.
fn is_described(spec: &Value, call: &Value, answer: &Answer) -> Result<(), String> {
    let status = answer.status;
    if status.is_server_error() {
        return Err(String::from("the box broke"));
    }
    let kind =
        answer.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !status.is_success() {
        if kind != "application/problem+json" {
            return Err(format!("{kind:?} is no problem"));
        }
        let problem: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        if problem["status"] != status.as_u16() {
            return Err(String::from("the problem has another status"));
        }
        let schema =
            &spec["components"]["responses"]["Problem"]["content"]["application/problem+json"]["schema"];
        return check(spec, schema, &problem);
    }
    let described = &call["responses"][status.as_str()];
    if described.is_null() {
        return Err(String::from("the status is not described"));
    }
    let Some((media, content)) = described["content"].as_object().and_then(|kinds| kinds.iter().next())
    else {
        return if answer.body.is_empty() {
            Ok(())
        } else {
            Err(String::from("a body that is not described"))
        };
    };
    if kind != media {
        return Err(format!("{kind:?} rather than {media:?}"));
    }
    if media != "application/json" {
        return Ok(());
    }
    let given: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
    check(spec, &content["schema"], &given)
}

/// Each call of the description, but for what goes on and has tests of its own.
fn calls(spec: &Value) -> Vec<(Method, &str, &Value)> {
    let mut calls = Vec::new();
    for (path, methods) in spec["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            if !call["responses"]["200"]["content"][EVENTS].is_null() {
                continue;
            }
            calls.push((method.to_uppercase().parse().unwrap(), path.as_str(), call));
        }
    }
    calls
}

async fn try_all(who: impl Fn(&TestBox) -> Who, seed: u64) -> usize {
    let spec = openapi::shipped();
    let mut dice = Dice::new(seed);
    let school = TestBox::new().await;
    let who = who(&school);
    let mut done = 0;
    for _ in 0..TRIES {
        for (method, path, call) in calls(spec) {
            let (said, request) = request(spec, &school, &who, (&method, path, call), &mut dice);
            let answer = tokio::time::timeout(std::time::Duration::from_secs(60), school.send(request)).await;
            let answer = answer.unwrap_or_else(|_| panic!("{who:?}: {said}: no answer"));
            if let Err(wrong) = is_described(spec, call, &answer) {
                panic!("{who:?} (seed {seed}): {said}\n{}: {}\n{wrong}", answer.status, answer.body);
            }
            done += usize::from(answer.status.is_success());
        }
    }
    done
}

#[tokio::test]
async fn nothing_that_a_program_sends_breaks_the_box_and_all_answers_are_as_described() {
    let mut done = 0;
    for seed in 1..=4 {
        done += try_all(every_scope, seed).await;
    }
    assert!(done > 50, "only {done} requests were good for anything");
}

#[tokio::test]
async fn nothing_that_anybody_sends_breaks_the_box() {
    for (seed, role) in (100..).zip(Role::ALL) {
        try_all(|_| Who::Person(role), seed).await;
    }
    assert_eq!(try_all(|_| Who::Nobody, 7).await, 0, "nobody gets anything");
}

#[tokio::test]
async fn a_method_that_is_not_described_is_refused_as_a_problem() {
    let spec = openapi::shipped();
    let school = TestBox::new().await;
    for (path, methods) in spec["paths"].as_object().unwrap() {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        {
            if methods.get(method.as_str().to_ascii_lowercase()).is_some() {
                continue;
            }
            let path = path.replace(['{', '}'], "");
            let request = school.request(Some(Role::Head), method.clone(), &path);
            let answer = school.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(answer.json()["type"], "urn:schoolgate:problem:method", "{method} {path}");
            assert!(answer.headers.contains_key(header::ALLOW), "{method} {path}");
        }
    }
}
