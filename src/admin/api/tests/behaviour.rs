//! What the API promises beside its schemas.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use serde_json::{Value, json};

use super::{super::openapi, Who, ask, every_scope, schema::check};
use crate::{
    accounts::{Role, Scope},
    admin::{access::Right, routes, tests::TestBox},
};

const HEAD: Who = Who::Person(Role::Head);

fn kind(answer: &crate::admin::tests::Answer) -> String {
    answer.json()["type"]
        .as_str()
        .unwrap_or_default()
        .trim_start_matches("urn:schoolgate:problem:")
        .to_owned()
}

#[test]
fn every_call_is_described_and_every_description_has_a_call() {
    let routes = routes();
    let spec = openapi::shipped();
    let mut described = 0;
    for entry in routes.entries().iter().filter(|entry| entry.path.starts_with("/api/v1/")) {
        if entry.path == "/api/v1/openapi.json" {
            continue;
        }
        let doc =
            entry.doc.as_ref().unwrap_or_else(|| panic!("{} {} is not described", entry.method, entry.path));
        let method = entry.method.as_str().to_ascii_lowercase();
        let call = &spec["paths"][entry.path][&method];
        assert_eq!(call["summary"], doc.summary, "{} {}", entry.method, entry.path);
        assert_ne!(entry.right, Right::Open, "{}", entry.path);
        if entry.method != Method::GET {
            let names_revision = call["parameters"]
                .as_array()
                .is_some_and(|parameters| parameters.iter().any(|parameter| parameter["name"] == "If-Match"));
            assert_eq!(names_revision, doc.is_conditional(), "{}", entry.path);
        }
        described += 1;
    }
    let calls: usize =
        spec["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(described, calls);
    assert!(described > 70, "{described}");
}

#[test]
fn the_description_is_whole() {
    let spec = openapi::shipped();
    let text = spec.to_string();
    for (at, _) in text.match_indices("\"$ref\":\"") {
        let to = text[at + 8..].split('"').next().unwrap();
        assert!(spec.pointer(to.trim_start_matches('#')).is_some(), "{to} leads nowhere");
    }
    let mut names = Vec::new();
    for path in spec["paths"].as_object().unwrap().values() {
        for call in path.as_object().unwrap().values() {
            names.push(call["operationId"].as_str().unwrap());
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "two calls of one name");
}

#[test]
fn examples_are_as_their_schemas_say() {
    let spec = openapi::shipped();
    let mut examples = 0;
    for (path, methods) in spec["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            let json = &call["requestBody"]["content"]["application/json"];
            if json.is_null() {
                continue;
            }
            assert!(!json["example"].is_null(), "{method} {path} has no example");
            if let Err(wrong) = check(spec, &json["schema"], &json["example"]) {
                panic!("{method} {path}: {wrong}");
            }
            examples += 1;
        }
    }
    assert!(examples > 25, "{examples}");
}

#[tokio::test]
async fn a_category_is_changed_by_who_has_seen_what_is_there() {
    let school = TestBox::new().await;
    let matrix = ask(&school, &HEAD, Method::GET, "/api/v1/policy/matrix", None, None).await;
    let seen = matrix.headers[header::ETAG].to_str().unwrap().to_owned();
    let profile = matrix.json()["profiles"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/profiles/{profile}/categories/games");
    let block = json!({ "cell": "block", "why": "a distraction" });
    let unseen = ask(&school, &HEAD, Method::PUT, &path, None, Some(&block)).await;
    assert_eq!((unseen.status, kind(&unseen).as_str()), (StatusCode::PRECONDITION_REQUIRED, "if-match"));
    let done = ask(&school, &HEAD, Method::PUT, &path, Some(&seen), Some(&json!({ "cell": "report" }))).await;
    let done = if done.status == StatusCode::OK {
        done
    } else {
        let path = format!("{path}?reason=tried%20out");
        ask(&school, &HEAD, Method::PUT, &path, Some(&seen), Some(&json!({ "cell": "report" }))).await
    };
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert_eq!(done.headers[header::ETAG], "\"1\"");
    // Somebody else has seen what was there before.
    let technician = Who::Person(Role::Technician);
    let late = ask(&school, &technician, Method::PUT, &path, Some(&seen), Some(&block)).await;
    assert_eq!((late.status, kind(&late).as_str()), (StatusCode::PRECONDITION_FAILED, "collision"));
    let problem = late.json();
    assert_eq!((&problem["by"], &problem["revision"]), (&json!("head"), &json!(1)), "{problem}");
    assert!(problem["changes"][0].as_str().unwrap().contains("games"), "{problem}");
    assert_eq!(late.headers[header::ETAG], "\"1\"");
    let again = ask(&school, &technician, Method::PUT, &path, Some("\"1\""), Some(&block)).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.body);
    for wrong in ["1", "\"x\"", "\"+1\"", "\"-1\"", "\"1\", \"2\"", ""] {
        let refused = ask(&school, &HEAD, Method::PUT, &path, Some(wrong), Some(&block)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}: {}", refused.body);
    }
}

#[tokio::test]
async fn what_opens_needs_a_reason_and_the_last_change_can_be_taken_back() {
    let school = TestBox::new().await;
    let open = json!({ "rules": [{ "action": "allow", "name": "bet365.com" }] });
    let refused = ask(&school, &HEAD, Method::POST, "/api/v1/rules", Some("*"), Some(&open)).await;
    assert_eq!((refused.status, kind(&refused).as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "reason"));
    assert!(!refused.json()["loosens"].as_array().unwrap().is_empty());
    let tried = ask(&school, &HEAD, Method::POST, "/api/v1/rules?dry_run=true", Some("*"), Some(&open)).await;
    assert!(tried.status == StatusCode::OK && tried.json()["dry_run"] == true, "{}", tried.body);
    let path = "/api/v1/rules?reason=a%20maths%20lesson";
    let done = ask(&school, &HEAD, Method::POST, path, Some("*"), Some(&open)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let rules = ask(&school, &HEAD, Method::GET, "/api/v1/rules?name=BET", None, None).await;
    assert_eq!(rules.json()["rules"][0]["reason"], "a maths lesson");
    let undone =
        ask(&school, &HEAD, Method::POST, "/api/v1/policy/revisions/1/undo", None, Some(&json!({}))).await;
    assert_eq!(undone.status, StatusCode::OK, "{}", undone.body);
    let later =
        ask(&school, &HEAD, Method::POST, "/api/v1/policy/revisions/1/undo", None, Some(&json!({}))).await;
    assert_eq!((later.status, kind(&later).as_str()), (StatusCode::CONFLICT, "collision"));
    let audit = ask(&school, &HEAD, Method::GET, "/api/v1/audit?action=policy.&limit=1", None, None).await;
    let audit = audit.json();
    assert_eq!(audit["lines"][0]["action"], "policy.undo");
    assert_eq!(audit["lines"][0]["from"], "10.20.1.2");
    let next = audit["next"].as_str().unwrap();
    let older = ask(&school, &HEAD, Method::GET, next, None, None).await.json();
    assert_eq!((&older["lines"][0]["action"], &older["next"]), (&json!("policy.edit"), &Value::Null));
}

#[tokio::test]
async fn what_can_not_be_read_is_told_with_its_place() {
    let school = TestBox::new().await;
    let send = |kind: &'static str, body: String| {
        let request = school.request(Some(Role::Head), Method::POST, "/api/v1/policy/validate");
        school.send(request.header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap())
    };
    let json = "application/json";
    let broken = send(json, String::from("{\"text\": ")).await;
    assert_eq!((broken.status, kind(&broken).as_str()), (StatusCode::BAD_REQUEST, "json"));
    let unknown = send(json, String::from("{\"text\": \"\", \"more\": 1}")).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unknown.json()["detail"].as_str().unwrap().contains("unknown field `more`"), "{}", unknown.body);
    let other = send("text/plain", String::from("{\"text\": \"\"}")).await;
    assert_eq!((other.status, kind(&other).as_str()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media"));
    let large = send(json, format!("{{\"text\": \"{}\"}}", "x".repeat(5 << 20))).await;
    assert_eq!((large.status, kind(&large).as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too-large"));
    let fine = send("application/json; charset=utf-8", String::from("{\"text\": \"version = 2\"}")).await;
    assert_eq!(fine.status, StatusCode::OK);
    assert!(fine.json()["problems"][0].as_str().unwrap().contains("version"), "{}", fine.body);
    let query = ask(&school, &HEAD, Method::GET, "/api/v1/audit?limit=x", None, None).await;
    assert_eq!((query.status, kind(&query).as_str()), (StatusCode::BAD_REQUEST, "query"));
    let query = ask(&school, &HEAD, Method::GET, "/api/v1/audit?nobody=1", None, None).await;
    assert!(query.json()["detail"].as_str().unwrap().contains("unknown field `nobody`"), "{}", query.body);
    for path in [
        "/api/v1/users/x",
        "/api/v1/users/99",
        "/api/v1/profiles/none",
        "/api/v1/lists/none",
        "/api/v1/nothing",
    ] {
        let gone = ask(&school, &HEAD, Method::GET, path, None, None).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(gone.headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
    }
}

#[tokio::test]
async fn a_token_goes_as_far_as_its_scopes_and_makes_no_other() {
    let school = TestBox::new().await;
    let read = Who::Program(school.token(Role::Head, &[Scope::Read]));
    let edit = json!({ "edits": [] });
    for (method, path) in
        [(Method::POST, "/api/v1/policy/edits"), (Method::GET, "/api/v1/log"), (Method::GET, "/api/v1/users")]
    {
        let body = (method == Method::POST).then_some(&edit);
        let refused = ask(&school, &read, method, path, Some("*"), body).await;
        assert_eq!((refused.status, kind(&refused).as_str()), (StatusCode::FORBIDDEN, "not-yours"), "{path}");
    }
    assert_eq!(ask(&school, &read, Method::GET, "/api/v1/policy", None, None).await.status, StatusCode::OK);
    let account = ask(&school, &read, Method::GET, "/api/v1/account", None, None).await.json();
    assert_eq!(account, json!({ "name": "head", "full_name": "test", "role": "head", "scopes": ["read"] }));
    let new = json!({ "name": "more", "scopes": ["read"] });
    let all = every_scope(&school);
    let refused = ask(&school, &all, Method::POST, "/api/v1/tokens", None, Some(&new)).await;
    assert!(
        refused.status == StatusCode::FORBIDDEN && refused.has("can't make another one"),
        "{}",
        refused.body
    );
    let made = ask(&school, &HEAD, Method::POST, "/api/v1/tokens", None, Some(&new)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let token = Who::Program(made.json()["token"].as_str().unwrap().to_owned());
    assert_eq!(ask(&school, &token, Method::GET, "/api/v1/policy", None, None).await.status, StatusCode::OK);
    let path = format!("/api/v1/tokens/{}", made.json()["id"]);
    let others = ask(&school, &Who::Person(Role::Teacher), Method::DELETE, &path, None, None).await;
    assert_eq!(others.status, StatusCode::NOT_FOUND, "a teacher sees no token of somebody else");
    assert_eq!(ask(&school, &HEAD, Method::DELETE, &path, None, None).await.status, StatusCode::NO_CONTENT);
    let gone = ask(&school, &token, Method::GET, "/api/v1/policy", None, None).await;
    assert_eq!((gone.status, kind(&gone).as_str()), (StatusCode::UNAUTHORIZED, "token"));
    assert_eq!(gone.headers[header::WWW_AUTHENTICATE], "Bearer");
}

#[tokio::test]
async fn too_many_calls_at_once_are_told_when_to_come_back() {
    let school = TestBox::new().await;
    let address = "10.20.1.2".parse().unwrap();
    let held: Vec<_> = std::iter::from_fn(|| school.admin.calls.take(address)).collect();
    assert_eq!(held.len(), super::super::MOST_CALLS_EACH);
    let busy = ask(&school, &HEAD, Method::GET, "/api/v1/account", None, None).await;
    assert_eq!((busy.status, kind(&busy).as_str()), (StatusCode::TOO_MANY_REQUESTS, "busy"));
    assert_eq!(busy.headers[header::RETRY_AFTER], "1");
    drop(held);
    assert_eq!(ask(&school, &HEAD, Method::GET, "/api/v1/account", None, None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_teacher_opens_little_and_for_a_short_time() {
    let school = TestBox::new().await;
    let teacher = Who::Person(Role::Teacher);
    let open = |what: &str, until: &str| {
        let clients = ["10.20.6.0/24"];
        json!({ "what": [what], "clients": clients, "until": until })
    };
    let path = "/api/v1/openings?reason=a%20lesson";
    let soon = "2026-11-26T11:15:00Z";
    let fine =
        ask(&school, &teacher, Method::POST, path, Some("*"), Some(&open("service:youtube", soon))).await;
    assert_eq!(fine.status, StatusCode::OK, "{}", fine.body);
    let later = open("service:youtube", "2026-11-27T11:15:00Z");
    for wrong in [open("bet365.com", soon), open("service:tinder", soon), later] {
        let refused = ask(&school, &teacher, Method::POST, path, Some("*"), Some(&wrong)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {}", refused.body);
    }
    let everybody = json!({ "what": ["service:youtube"], "profiles": ["secondary"], "until": soon });
    let refused = ask(&school, &teacher, Method::POST, path, Some("*"), Some(&everybody)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    let running = ask(&school, &teacher, Method::GET, "/api/v1/lessons", None, None).await.json();
    assert!(!running["openings"].as_array().unwrap().is_empty(), "{running}");
}

#[tokio::test]
async fn a_list_in_a_file_of_the_box_can_not_be_named_from_afar() {
    let school = TestBox::new().await;
    let policy = ask(&school, &HEAD, Method::GET, "/api/v1/policy", None, None).await.json();
    let list = "\n[[list]]\nid = \"own\"\ncategory = \"games\"\nfile = \"/etc/passwd\"\n";
    let text = format!("{}{list}", policy["text"].as_str().unwrap());
    let new = json!({ "text": text, "reason": "x" });
    let refused = ask(&school, &HEAD, Method::PUT, "/api/v1/policy", Some("*"), Some(&new)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.has("can only be added on its console"), "{}", refused.body);
    let new = json!({ "id": "own", "category": "games", "file": "/etc/passwd" });
    let refused = ask(&school, &HEAD, Method::POST, "/api/v1/lists", None, Some(&new)).await;
    assert!(refused.has("unknown field `file`"), "{}", refused.body);
}

#[tokio::test]
async fn a_list_of_the_schools_own_is_begun_written_and_taken_out() {
    let school = TestBox::new().await;
    let new = json!({ "id": "club", "category": "games", "text": "chat.example\n" });
    let made = ask(&school, &HEAD, Method::POST, "/api/v1/lists", None, Some(&new)).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let text = ask(&school, &HEAD, Method::GET, "/api/v1/lists/club/text", None, None).await;
    assert_eq!(text.json()["text"], "chat.example\n");
    let seen = text.headers[header::ETAG].to_str().unwrap().to_owned();
    let write = json!({ "text": "chat.example\nplay.example\n" });
    let done = ask(&school, &HEAD, Method::PUT, "/api/v1/lists/club/text", Some(&seen), Some(&write)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let late = ask(&school, &HEAD, Method::PUT, "/api/v1/lists/club/text", Some(&seen), Some(&write)).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "{}", late.body);
    let why = ask(&school, &HEAD, Method::GET, "/api/v1/listed?name=www.play.example", None, None).await;
    assert_eq!(why.json()["lists"][0]["list"], "club", "{}", why.body);
    let fewer = json!({ "text": "play.example\n" });
    let fewer = ask(&school, &HEAD, Method::PUT, "/api/v1/lists/club/text", Some("*"), Some(&fewer)).await;
    assert!(fewer.has("loosens") && fewer.status == StatusCode::UNPROCESSABLE_ENTITY, "{}", fewer.body);
    let kept = ask(&school, &HEAD, Method::DELETE, "/api/v1/lists/club", None, None).await;
    assert!(kept.has("loosens") && kept.status == StatusCode::UNPROCESSABLE_ENTITY, "{}", kept.body);
    let gone = ask(&school, &HEAD, Method::DELETE, "/api/v1/lists/club?reason=over", None, None).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.body);
    assert_eq!(
        ask(&school, &HEAD, Method::GET, "/api/v1/lists/club", None, None).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn users_are_added_changed_and_removed_and_the_audit_says_so() {
    let school = TestBox::new().await;
    let new =
        json!({ "name": "a.okafor", "full_name": "Ada Okafor", "role": "governor", "ends": "2027-07-31" });
    let made = ask(&school, &HEAD, Method::POST, "/api/v1/users", None, Some(&new)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let path = format!("/api/v1/users/{}", made.json()["id"]);
    let change = json!({ "role": "auditor", "ends": null });
    let changed = ask(&school, &HEAD, Method::PATCH, &path, None, Some(&change)).await.json();
    assert_eq!(
        (&changed["role"], &changed["ends"], &changed["full_name"]),
        (&json!("auditor"), &Value::Null, &json!("Ada Okafor"))
    );
    let kept =
        ask(&school, &HEAD, Method::PATCH, &path, None, Some(&json!({ "disabled": true }))).await.json();
    assert_eq!((&kept["role"], &kept["disabled"]), (&json!("auditor"), &json!(true)));
    assert_eq!(ask(&school, &HEAD, Method::DELETE, &path, None, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ask(&school, &HEAD, Method::GET, &path, None, None).await.status, StatusCode::NOT_FOUND);
    let own = format!("/api/v1/users/{}", school.user(Role::Head).0);
    let refused = ask(&school, &HEAD, Method::DELETE, &own, None, None).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    let audit = ask(&school, &HEAD, Method::GET, "/api/v1/audit?action=user.", None, None).await.json();
    let actions: Vec<&str> =
        audit["lines"].as_array().unwrap().iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["user.remove", "user.change", "user.change", "user.add"]);
}

#[tokio::test]
async fn a_technician_makes_nobody_who_sees_more() {
    let school = TestBox::new().await;
    let technician = Who::Person(Role::Technician);
    let lead = format!("/api/v1/users/{}", school.user(Role::Safeguarding).0);
    let reset = format!("{lead}/reset-password");
    let new = json!({ "name": "eve", "full_name": "Eve", "role": "safeguarding" });
    let teacher = format!("/api/v1/users/{}", school.user(Role::Teacher).0);
    for (method, path, body) in [
        (Method::POST, "/api/v1/users", Some(&new)),
        (Method::POST, reset.as_str(), None),
        (Method::DELETE, lead.as_str(), None),
        (Method::PATCH, teacher.as_str(), Some(&json!({ "role": "head" }))),
    ] {
        let refused = ask(&school, &technician, method, path, None, body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {}", refused.body);
        assert!(refused.has("Only a head teacher"), "{path}: {}", refused.body);
    }
    let fine =
        ask(&school, &technician, Method::PATCH, &teacher, None, Some(&json!({ "disabled": true }))).await;
    assert_eq!(fine.status, StatusCode::OK, "{}", fine.body);
}

#[tokio::test]
async fn what_the_school_says_of_limits_is_not_the_technicians_to_say() {
    let school = TestBox::new().await;
    let technician = Who::Person(Role::Technician);
    let said = json!({ "edit": "set-mitigation", "limit": "vpn", "text": "The firewall stops it." });
    let edits = json!({ "edits": [said] });
    let refused =
        ask(&school, &technician, Method::POST, "/api/v1/policy/edits", Some("*"), Some(&edits)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    let done = json!({ "text": "The firewall stops it.", "decided": "2026-11-20" });
    let path = "/api/v1/limits/vpn";
    let done =
        ask(&school, &Who::Person(Role::Safeguarding), Method::PUT, path, Some("*"), Some(&done)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let limits =
        ask(&school, &Who::Person(Role::Governor), Method::GET, "/api/v1/limits", None, None).await.json();
    let vpn = limits["limits"].as_array().unwrap().iter().find(|limit| limit["limit"] == "vpn").unwrap();
    assert_eq!(vpn["decided"], "2026-11-20");
    let text = ask(&school, &technician, Method::GET, "/api/v1/policy", None, None).await.json();
    let text = text["text"].as_str().unwrap().replace("The firewall stops it.", "Nothing.");
    let new = json!({ "text": text, "reason": "x" });
    let refused = ask(&school, &technician, Method::PUT, "/api/v1/policy", Some("*"), Some(&new)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
}

#[tokio::test]
async fn the_documentation_is_a_page_without_scripts_of_its_own() {
    let school = TestBox::new().await;
    let page = school.get_as_nobody("/api/docs").await;
    assert_eq!(page.status, StatusCode::OK);
    for text in ["/api/v1/policy/edits", "set-cell", "id=\"schema-Problem\"", "Put a whole policy in force"] {
        assert!(page.has(text), "{text}");
    }
    for (at, _) in page.body.match_indices("href=\"#") {
        let to = page.body[at + 7..].split('"').next().unwrap();
        assert!(page.has(&format!("id=\"{to}\"")), "{to} leads nowhere");
    }
    let description = school.get_as_nobody("/api/v1/openapi.json").await;
    assert_eq!(description.json()["openapi"], "3.1.0");
}

#[tokio::test]
async fn a_certificate_of_the_school_is_installed_and_removed_by_a_program() {
    let school = TestBox::new().await;
    let program = Who::Program(school.token(Role::Technician, &[Scope::System]));
    let authority = ask(&school, &program, Method::GET, "/api/v1/system/authority", None, None).await.json();
    assert_eq!(authority["certificate"], school.get_as_nobody("/ca.crt").await.body);
    let path = "/api/v1/system/certificate";
    let wrong = json!({ "chain": "no certificate", "key": "our secret key" });
    let wrong = ask(&school, &program, Method::PUT, path, None, Some(&wrong)).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.has("there is no certificate in it") && !wrong.has("our secret key"), "{}", wrong.body);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![String::from("filter.school.example")]).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 6, 1);
    let new = json!({ "chain": params.self_signed(&key).unwrap().pem(), "key": key.serialize_pem() });
    let done = ask(&school, &program, Method::PUT, path, None, Some(&new)).await;
    assert_eq!(done.json()["of_the_school"], true, "{}", done.body);
    assert_eq!(done.json()["names"], json!(["filter.school.example"]));
    let removed = ask(&school, &program, Method::DELETE, path, None, None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{}", removed.body);
    let system = ask(&school, &program, Method::GET, "/api/v1/system", None, None).await.json();
    assert_eq!(system["certificate"]["of_the_school"], false);
    let auditor = Who::Person(Role::Auditor);
    for (method, path) in [(Method::DELETE, path), (Method::POST, "/api/v1/system/restart")] {
        assert_eq!(ask(&school, &auditor, method, path, None, None).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn diagnostics_are_a_file_and_a_restart_needs_somebody_who_starts_the_box_again() {
    let school = TestBox::new().await;
    let technician = Who::Person(Role::Technician);
    let bundle = ask(&school, &technician, Method::GET, "/api/v1/system/diagnostics", None, None).await;
    assert!(bundle.status == StatusCode::OK && bundle.body.starts_with("PK"), "{}", bundle.status);
    let restart = ask(&school, &technician, Method::POST, "/api/v1/system/restart", None, None).await;
    let supervised = crate::admin::upkeep::is_supervised();
    let meant = if supervised { StatusCode::NO_CONTENT } else { StatusCode::UNPROCESSABLE_ENTITY };
    assert_eq!(restart.status, meant, "{}", restart.body);
}

#[tokio::test]
async fn the_catalogue_of_lists_is_told_as_on_the_command_line() {
    let school = TestBox::new().await;
    let auditor = Who::Person(Role::Auditor);
    let all = ask(&school, &auditor, Method::GET, "/api/v1/list-catalogue", None, None).await.json();
    assert!(all["lists"].as_array().unwrap().len() > 80);
    let path = "/api/v1/list-catalogue?category=adult&recommended=primary";
    let some = ask(&school, &auditor, Method::GET, path, None, None).await.json();
    let some = some["lists"].as_array().unwrap();
    assert!(!some.is_empty());
    for list in some {
        assert_eq!(list["category"], "adult");
        assert!(list["recommended"].as_array().unwrap().contains(&json!("primary")), "{list}");
    }
}
