use axum::http::{Method, StatusCode};
use serde_json::json;

use super::{ask, every_scope};
use crate::admin::tests::{
    TestBox,
    mail_server::{self, MailServer, Mode},
};

#[tokio::test]
async fn mail_is_set_up_tried_and_the_contact_confirmed_without_telling_the_password() {
    let school = TestBox::new().await;
    let who = every_scope(&school);
    let mut server = MailServer::start(Mode::Tls);
    let settings = json!({
        "server": "127.0.0.1", "port": server.port, "encryption": "tls", "user": mail_server::USER,
        "password": mail_server::PASSWORD, "from": "filter@school.example", "authority": server.authority,
    });
    let put = ask(&school, &who, Method::PUT, "/api/v1/mail", None, Some(&settings)).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.body);
    let told = ask(&school, &who, Method::GET, "/api/v1/mail", None, None).await;
    assert!(
        told.json()["server"]["has_password"] == true && !told.has(mail_server::PASSWORD),
        "{}",
        told.body
    );
    let moved = json!({
        "server": "127.0.0.2", "port": server.port, "encryption": "tls", "user": mail_server::USER,
        "from": "filter@school.example",
    });
    let refused = ask(&school, &who, Method::PUT, "/api/v1/mail", None, Some(&moved)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    let to = json!({ "to": "office@school.example" });
    let sent = ask(&school, &who, Method::POST, "/api/v1/mail/test", None, Some(&to)).await;
    assert_eq!(sent.json(), json!({ "sent": true, "why": "" }));
    server.message();
    let to = json!({ "to": "nobody@school.example" });
    let unsent = ask(&school, &who, Method::POST, "/api/v1/mail/test", None, Some(&to)).await.json();
    assert!(unsent["sent"] == false && unsent["why"].as_str().unwrap().contains("nobody@"), "{unsent}");
    let contact = |path: &'static str, body| {
        let (school, who) = (&school, &who);
        async move { ask(school, who, Method::POST, path, None, body).await }
    };
    let none = contact("/api/v1/mail/contact", None).await.json();
    assert_eq!(none["sent"], false, "{none}");
    let lead = crate::school::Person::new("Ms Obi", "obi@school.example", "").unwrap();
    let people = crate::school::People { safeguarding_lead: lead, ..Default::default() };
    school.admin.school.change(|file| file.set_people(people)).unwrap();
    assert_eq!(contact("/api/v1/mail/contact", None).await.json()["sent"], true);
    let message = server.message()["message"].as_str().unwrap().to_owned();
    let code =
        message.lines().find(|line| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit())).unwrap();
    let wrong = json!({ "code": "no" });
    let wrong = contact("/api/v1/mail/contact/confirm", Some(&wrong)).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let right = json!({ "code": code });
    let right = contact("/api/v1/mail/contact/confirm", Some(&right)).await;
    assert!(right.json()["contact_confirmed"].is_string(), "{}", right.body);
    let gone = ask(&school, &who, Method::DELETE, "/api/v1/mail", None, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert!(school.admin.control.mail().is_none());
}
