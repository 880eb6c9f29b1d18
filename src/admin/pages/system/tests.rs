use axum::http::{StatusCode, header};

use crate::{
    accounts::Role,
    admin::tests::{
        TestBox,
        mail_server::{self, MailServer, Mode},
    },
    control::{Edit, EditAsked, RuleEdit},
    policy::Action,
};

#[tokio::test]
async fn the_page_says_how_the_box_is_and_offers_what_the_role_may() {
    let school = TestBox::new().await;
    let page = school.get(Role::Technician, "/system").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.has(env!("CARGO_PKG_VERSION")) && page.has("10.20.0.53:53"), "{}", page.body);
    assert!(page.has("href=\"/ca.crt\"") && page.has("/system/restore"), "{}", page.body);
    let reads = school.get(Role::Auditor, "/system").await;
    assert!(!reads.has("<textarea") && !reads.has("/system/policy.toml"), "{}", reads.body);
    let authority = school.get_as_nobody("/ca.crt").await;
    assert!(authority.has("BEGIN CERTIFICATE") && !authority.has("PRIVATE"), "{}", authority.body);
}

#[tokio::test]
async fn a_policy_is_taken_out_looked_at_and_put_back() {
    let school = TestBox::new().await;
    let backup = school.get(Role::Head, "/system/policy.toml").await;
    assert!(backup.headers[header::CONTENT_DISPOSITION].to_str().unwrap().contains("policy-0.toml"));
    let other = backup.body.replace("timezone = \"Europe/London\"", "timezone = \"Europe/Paris\"");
    let looked = school.post(Role::Head, "/system/restore", &[("text", &other)]).await;
    assert_eq!(looked.status, StatusCode::OK);
    assert!(looked.has("Europe/Paris") && looked.has("name=\"apply\""), "{}", looked.body);
    assert_eq!(school.admin.control.policy_file().unwrap().revision, 0, "only looked at");
    let apply = |reason: &'static str, expect: &'static str| {
        vec![("text", other.as_str()), ("apply", "on"), ("reason", reason), ("expect", expect)]
    };
    let wanted = school.post(Role::Head, "/system/restore", &apply("", "0")).await;
    assert_eq!(wanted.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wanted.has("say why") && wanted.has("name=\"apply\""), "{}", wanted.body);
    let late = school.post(Role::Head, "/system/restore", &apply("moved", "7")).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    let done = school.post(Role::Head, "/system/restore", &apply("moved", "0")).await;
    assert_eq!(done.leads_to(), "/system?done=done-restored#backup", "{}", done.body);
    assert_eq!(school.admin.control.policy().load().file().timezone, "Europe/Paris");
    for (text, said) in [("", "Choose the file"), ("version = 7 # <script>alert(1)</script>", "version")] {
        let wrong = school.post(Role::Technician, "/system/restore", &[("text", text)]).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(wrong.has(said) && !wrong.has("<script>alert"), "{}", wrong.body);
    }
}

#[tokio::test]
async fn a_certificate_of_the_school_is_installed_and_removed() {
    let school = TestBox::new().await;
    let wrong = [("chain", "no certificate"), ("key", "our secret key")];
    let wrong = school.post(Role::Technician, "/system/certificate", &wrong).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.has("there is no certificate in it") && wrong.has(">no certificate</textarea>"));
    assert!(!wrong.has("our secret key"), "a key is never shown");
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![String::from("filter.school.example")]).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 6, 1);
    let chain = params.self_signed(&key).unwrap().pem();
    let form = [("chain", chain.as_str()), ("key", &key.serialize_pem())];
    let done = school.post(Role::Technician, "/system/certificate", &form).await;
    assert_eq!(done.leads_to(), "/system?done=done-certificate#certificates", "{}", done.body);
    let page = school.get(Role::Head, "/system").await;
    assert!(page.has("filter.school.example") && page.has("/system/certificate/remove"), "{}", page.body);
    let removed = school.post(Role::Head, "/system/certificate/remove", &[]).await;
    assert_eq!(removed.leads_to(), "/system?done=done-certificate-removed#certificates");
    assert!(!school.get(Role::Head, "/system").await.has("filter.school.example"));
}

#[tokio::test]
async fn mail_is_set_up_and_tried_and_its_password_is_never_shown() {
    let school = TestBox::new().await;
    let technician = Role::Technician;
    assert!(school.get(Role::Auditor, "/system").await.has("href=\"/system/mail\""));
    let mut server = MailServer::start(Mode::StartTls);
    let port = server.port.to_string();
    let form = |password: &'static str| {
        [
            ("server", "127.0.0.1"),
            ("port", port.as_str()),
            ("encryption", "starttls"),
            ("user", mail_server::USER),
            ("password", password),
            ("from", "filter@school.example"),
            ("authority", server.authority.as_str()),
        ]
    };
    let wanted = school.post(technician, "/system/mail", &form("")).await;
    assert_eq!(wanted.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wanted.has("type the password") && wanted.has("value=\"127.0.0.1\""), "{}", wanted.body);
    let saved = school.post(technician, "/system/mail", &form(mail_server::PASSWORD)).await;
    assert_eq!(saved.leads_to(), "/system/mail?done=done-mail", "{}", saved.body);
    assert_eq!(
        school.post(technician, "/system/mail", &form("")).await.leads_to(),
        "/system/mail?done=done-mail"
    );
    let sent = school.post(technician, "/system/mail/test", &[("to", "office@school.example")]).await;
    assert_eq!(sent.leads_to(), "/system/mail?done=done-mail-sent#test", "{}", sent.body);
    assert_eq!(server.message()["user"], mail_server::USER);
    for (to, said) in
        [("nobody@school.example", "does not take messages for"), ("<script>", "is no e-mail address")]
    {
        let refused = school.post(technician, "/system/mail/test", &[("to", to)]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.has(said) && !refused.has("<script>\""), "{}", refused.body);
    }
    let stats = school.admin.control.log_stats(None).await.ok();
    let files = crate::admin::diagnostics::files(&school.admin, stats);
    let diagnostics: String = files.iter().map(|(_, value)| value.to_string()).collect();
    let audit: String =
        school.admin.control.audit(20).unwrap().records.iter().map(|line| format!("{line:?}")).collect();
    assert!(audit.contains("mail.set") && audit.contains("to nobody@school.example: not sent"), "{audit}");
    let page = school.get(technician, "/system/mail").await.body;
    let read = school.get(Role::Auditor, "/system/mail").await.body;
    assert!(read.contains("filter@school.example") && !read.contains("name=\"password\""), "{read}");
    for told in [diagnostics, audit, page, read] {
        assert!(!told.contains(mail_server::PASSWORD), "{told}");
    }
    let removed = school.post(technician, "/system/mail/remove", &[]).await;
    assert_eq!(removed.leads_to(), "/system/mail?done=done-mail-removed");
    assert!(school.get(technician, "/system").await.has("Mail is not set up"));
}

#[tokio::test]
async fn diagnostics_have_no_names_and_no_secrets() {
    let school = TestBox::new().await;
    let rule = RuleEdit {
        action: Action::Block,
        name: String::from("whispered.example"),
        profiles: Vec::new(),
        clients: Vec::new(),
        reason: String::from("said in confidence"),
        owner: String::new(),
        until: None,
    };
    school
        .admin
        .control
        .edit(vec![Edit::PutRules { rules: vec![rule] }], EditAsked::default())
        .await
        .unwrap();
    let stats = school.admin.control.log_stats(None).await.ok();
    let files = crate::admin::diagnostics::files(&school.admin, stats);
    let said: String = files.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    assert!(said.contains("\"rules\":1"), "{said}");
    for secret in ["whispered", "confidence", "PRIVATE KEY", "BEGIN"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    let zip = school.get(Role::Technician, "/system/diagnostics.zip").await;
    assert_eq!(zip.headers[header::CONTENT_TYPE], "application/zip");
    assert!(zip.body.starts_with("PK") && zip.has("lists.json") && zip.has("resolver.json"));
}

#[tokio::test]
async fn a_box_that_nobody_would_start_again_is_not_ended() {
    if crate::admin::upkeep::is_supervised() {
        // These tests run under a supervisor themselves; then there is nothing to refuse.
        return;
    }
    let school = TestBox::new().await;
    let refused = school.post(Role::Technician, "/system/restart", &[]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.has("Nothing would start the box again"), "{}", refused.body);
}
