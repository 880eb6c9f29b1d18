//! The query log through the API: pages that are stable, questions that are told once, devices that are not told.

use axum::http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Who, ask};
use crate::{
    accounts::{Role, Scope},
    admin::tests::TestBox,
};

const LEAD: Who = Who::Person(Role::Safeguarding);

/// A box whose log has so many questions, a second apart up to now.
async fn with_questions(many: i64) -> TestBox {
    let school = TestBox::new().await;
    let now = school.admin.clock.now();
    for number in 0..many {
        let at = now - SignedDuration::from_secs(many - number);
        school.ask_at("10.20.2.31", &format!("site-{number}.example"), at);
    }
    school.admin.log.as_ref().unwrap().flush().unwrap();
    school
}

async fn get(school: &TestBox, who: &Who, path: &str) -> Value {
    let answer = ask(school, who, Method::GET, path, None, None).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
    answer.json()
}

fn names(entries: &Value) -> Vec<String> {
    entries.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_are_stable_while_questions_arrive() {
    let school = with_questions(25).await;
    let mut path = String::from("/api/v1/log?limit=10&name=site-*");
    let mut found = Vec::new();
    for page in 0.. {
        let log = get(&school, &LEAD, &path).await;
        found.extend(names(&log["entries"]));
        // Newer ones belong on no page that is still to come.
        school.ask_at("10.20.2.31", &format!("site-new-{page}.example"), school.admin.clock.now());
        school.admin.log.as_ref().unwrap().flush().unwrap();
        match log["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    let wanted: Vec<String> = (0..25).rev().map(|number| format!("site-{number}.example")).collect();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn who_follows_is_told_each_question_once_and_in_order() {
    let school = TestBox::new().await;
    let began = school.admin.clock.now();
    let first = get(&school, &LEAD, "/api/v1/log/news").await;
    assert_eq!(first, json!({ "entries": [], "cursor": began.to_string(), "more": false }));
    let mut cursor = first["cursor"].as_str().unwrap().to_owned();
    let mut told = Vec::new();
    for second in 0..60 {
        let now = began + SignedDuration::from_secs(second);
        school.admin.clock.set(now);
        // One that is written down long after it arrived is not lost either.
        let at = now - SignedDuration::from_secs(if second % 7 == 0 { second.min(15) } else { 0 });
        school.ask_at("10.20.2.31", &format!("site-{second}.example"), at);
        if second % 5 == 0 {
            school.written();
            let news = get(&school, &LEAD, &format!("/api/v1/log/news?cursor={cursor}")).await;
            told.extend(names(&news["entries"]));
            cursor = news["cursor"].as_str().unwrap().to_owned();
        }
    }
    assert!((1..45).contains(&told.len()), "{}", told.len());
    school.admin.clock.set(began + SignedDuration::from_secs(90));
    school.written();
    let news = get(&school, &LEAD, &format!("/api/v1/log/news?cursor={cursor}")).await;
    told.extend(names(&news["entries"]));
    assert_eq!(news["more"], false);
    let mut sorted = told.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!((told.len(), sorted.len()), (60, 60));
    let old =
        ask(&school, &LEAD, Method::GET, "/api/v1/log/news?cursor=2026-11-01T00:00:00Z", None, None).await;
    assert_eq!(old.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", old.body);
}

#[tokio::test]
async fn a_technician_is_told_no_device_and_can_search_for_none() {
    let school = with_questions(3).await;
    let technician = Who::Person(Role::Technician);
    let log = get(&school, &technician, "/api/v1/log").await;
    assert_eq!(log["entries"].as_array().unwrap().len(), 3);
    assert!(!log.to_string().contains("10.20.2.31"), "{log}");
    assert!(log["entries"][0]["client"].as_str().unwrap().starts_with("device-"), "{log}");
    for path in
        ["/api/v1/log?client=10.20.2.31", "/api/v1/log/news?client=10.20.2.31&cursor=2026-11-26T10:00:00Z"]
    {
        let refused = ask(&school, &technician, Method::GET, path, None, None).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", refused.body);
        assert!(refused.json()["detail"].as_str().unwrap().starts_with("client: "), "{}", refused.body);
    }
    let lead = get(&school, &LEAD, "/api/v1/log?client=10.20.2.31").await;
    assert_eq!(lead["entries"][0]["client"], "10.20.2.31");
}

#[tokio::test]
async fn evidence_is_made_with_a_reason_and_fetched_by_its_name_alone() {
    let school = with_questions(3).await;
    let mut export = json!({ "from": "2026-11-26 10:00", "to": "now", "reason": " " });
    let refused = ask(&school, &LEAD, Method::POST, "/api/v1/log/exports", None, Some(&export)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    export["reason"] = json!("incident 12");
    let made = ask(&school, &LEAD, Method::POST, "/api/v1/log/exports", None, Some(&export)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.json()["rows"], 3);
    let fetch = made.json()["fetch"].as_str().unwrap().to_owned();
    let package = ask(&school, &LEAD, Method::GET, &fetch, None, None).await;
    assert!(package.status == StatusCode::OK && package.body.starts_with("PK"), "{}", package.status);
    for name in ["..%2F..%2Fholds.json", "..%2Frollup.db", "none.zip", ".zip", "%2Fetc%2Fpasswd"] {
        let path = format!("/api/v1/log/packages/{name}");
        let gone = ask(&school, &LEAD, Method::GET, &path, None, None).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND, "{name}");
    }
    let technician = ask(&school, &Who::Person(Role::Technician), Method::GET, &fetch, None, None).await;
    assert_eq!(technician.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn counts_are_for_governors_too_and_have_no_names() {
    let school = with_questions(3).await;
    let governor = Who::Person(Role::Governor);
    let counts = get(&school, &governor, "/api/v1/log/counts?by=action,profile").await;
    let all: u64 =
        counts["counts"].as_array().unwrap().iter().map(|count| count["questions"].as_u64().unwrap()).sum();
    assert_eq!(all, 3, "{counts}");
    assert!(!counts.to_string().contains("site-"), "{counts}");
    let overview = get(&school, &governor, "/api/v1/overview").await;
    assert!(!overview["questions"].as_array().unwrap().is_empty() && !overview.to_string().contains("site-"));
    for path in ["/api/v1/log", "/api/v1/log/top"] {
        assert_eq!(
            ask(&school, &governor, Method::GET, path, None, None).await.status,
            StatusCode::FORBIDDEN
        );
    }
}

#[tokio::test]
async fn what_a_technician_is_told_is_reversed_by_the_safeguarding_lead() {
    let school = with_questions(1).await;
    let technician = Who::Program(school.token(Role::Technician, &[Scope::Log]));
    let log = get(&school, &technician, "/api/v1/log").await;
    let seen = log["entries"][0]["client"].as_str().unwrap().to_owned();
    let reveal = json!({ "pseudonym": seen, "day": "2026-11-26", "reason": "incident 7" });
    let found = ask(&school, &LEAD, Method::POST, "/api/v1/log/reveal", None, Some(&reveal)).await;
    assert_eq!(found.json()["revealed"][0]["address"], "10.20.2.31", "{}", found.body);
    let refused = ask(&school, &technician, Method::POST, "/api/v1/log/reveal", None, Some(&reveal)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn who_follows_live_is_told_at_once() {
    let school = std::sync::Arc::new(with_questions(3).await);
    let asking = std::sync::Arc::clone(&school);
    let questions = tokio::spawn(async move {
        loop {
            let now = asking.admin.clock.now();
            asking.ask_at("10.20.2.31", "bet365.com", now);
            asking.ask_at("10.20.2.31", "www.bbc.co.uk", now);
            asking.admin.log.as_ref().unwrap().flush().unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    });
    let told = school.told_until(Role::Technician, "/api/v1/log/live?action=blocked", "\n\n").await;
    questions.abort();
    let (name, data) = told.split_once('\n').unwrap();
    assert_eq!(name, "event: question");
    let entry: Value =
        serde_json::from_str(data.lines().next().unwrap().strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(entry["name"], "bet365.com");
    assert!(entry["client"].as_str().unwrap().starts_with("device-"), "{entry}");
    for path in ["/api/v1/log/live?client=10.20.2.31", "/api/v1/log/live?action=eaten"] {
        let refused = ask(&school, &Who::Person(Role::Technician), Method::GET, path, None, None).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", refused.body);
    }
}

#[tokio::test]
async fn the_owner_of_a_token_keeps_searches() {
    let school = TestBox::new().await;
    let program = Who::Program(school.token(Role::Technician, &[Scope::Log]));
    let path = "/api/v1/log/searches";
    let new = json!({ "name": " Games ", "query": "?category=games&made-up=1&action=blocked" });
    let kept = ask(&school, &program, Method::POST, path, None, Some(&new)).await.json();
    let one = &kept["searches"][0];
    assert_eq!((&one["name"], &one["query"]), (&json!("Games"), &json!("category=games&action=blocked")));
    assert!(school.get(Role::Technician, "/log").await.has("Games"), "the same as on the page");
    assert_eq!(get(&school, &LEAD, path).await["searches"], json!([]), "nobody else's");
    let wrong = json!({ "name": " ", "query": "" });
    let wrong = ask(&school, &program, Method::POST, path, None, Some(&wrong)).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.body);
    let remove = format!("{path}/{}", one["id"]);
    ask(&school, &LEAD, Method::DELETE, &remove, None, None).await;
    assert_eq!(get(&school, &program, path).await["searches"].as_array().unwrap().len(), 1);
    let gone = ask(&school, &program, Method::DELETE, &remove, None, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(get(&school, &program, path).await["searches"], json!([]));
}
