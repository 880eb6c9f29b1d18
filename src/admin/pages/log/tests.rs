//! The query log as those who may see it do.

use axum::http::{StatusCode, header};

use crate::{accounts::Role, admin::tests::TestBox, store::AuditQuery};

async fn busy() -> TestBox {
    let school = TestBox::new().await;
    school.ask("10.20.2.31", "bet365.com");
    school.ask("10.20.2.32", "www.bbc.co.uk");
    school.ask("10.20.2.33", "<script>alert(1)</script>.example");
    school
}

/// What the audit says last.
fn last_in_audit(school: &TestBox) -> (String, String) {
    let page = school.admin.control.audit_page(&AuditQuery { limit: 1, ..AuditQuery::default() }).unwrap();
    let record = page.lines.into_iter().next().unwrap().record;
    (record.action, record.detail)
}

#[tokio::test]
async fn each_line_says_what_happened_and_why() {
    let school = busy().await;
    let page = school.get(Role::Safeguarding, "/log").await;
    assert_eq!(page.status, StatusCode::OK);
    for text in [
        "3 lines",
        "bet365.com",
        "Gambling",
        "Blocked",
        "10.20.2.31",
        "Thu 26 Nov, 10:15:00",
        "/check?name=bet365.com",
        "action=allow",
        "Nothing spoke against it",
    ] {
        assert!(page.has(text), "{text}: {}", page.body);
    }
    assert!(!page.has("<script>alert") && page.has("alert(1)"), "{}", page.body);
    for word in ["rcode", "NOERROR", "qname"] {
        assert!(!page.has(word), "{word}");
    }
}

#[tokio::test]
async fn filters_find_what_they_say_and_keep_what_was_typed() {
    let school = busy().await;
    let found = school.get(Role::Head, "/log?name=bbc.co.uk&client=10.20.2.32&from=1h").await;
    assert!(found.has("One line") && !found.has("bet365.com"), "{}", found.body);
    assert!(found.has("value=\"bbc.co.uk\"") && found.has("value=\"10.20.2.32\""));
    let blocked = school.part(Role::Head, "/log?action=blocked").await;
    assert!(blocked.has("bet365.com") && !blocked.has("www.bbc.co.uk") && !blocked.has("<html"));
    let nothing = school.get(Role::Head, "/log?name=nobody.example").await;
    assert!(nothing.has("Nothing of the kind was asked"), "{}", nothing.body);
    let empty = TestBox::new().await.get(Role::Head, "/log").await;
    assert!(empty.has("The log has no line yet."), "{}", empty.body);
}

#[tokio::test]
async fn what_is_wrong_with_a_search_is_told_by_its_field() {
    let school = busy().await;
    for (query, said) in [
        ("from=soon", "From: "),
        ("to=31%2F12", "Until: "),
        ("category=gambling-and-more", "Category: "),
        ("action=eaten", "What happened: "),
        ("from=today&to=yesterday", "From: "),
        ("after=x", "This page of the log can&#39;t be found."),
    ] {
        let page = school.get(Role::Head, &format!("/log?{query}&name=bbc.co.uk")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(page.has(said) && page.has("value=\"bbc.co.uk\""), "{query}: {}", page.body);
        let part = school.part(Role::Head, &format!("/log?{query}")).await;
        assert!(part.has("role=\"alert\"") && !part.has("<html"), "{query}");
    }
}

#[tokio::test]
async fn older_lines_are_on_pages_of_their_own() {
    let school = TestBox::new().await;
    for n in 0..60 {
        school.ask("10.20.2.31", &format!("n{n}.example"));
    }
    let page = school.get(Role::Head, "/log?name=example").await;
    assert!(page.has("50 lines") && page.has("n59.example") && !page.has(">n9.example"), "{}", page.body);
    let next = page.body.split("href=\"/log?name=example&amp;after=").nth(1);
    let next = next.or_else(|| page.body.split("href=\"/log?name=example&#38;after=").nth(1)).unwrap();
    let next = next.split('"').next().unwrap();
    let older = school.part(Role::Head, &format!("/log?name=example&after={next}")).await;
    assert!(older.has("10 lines") && older.has("n9.example") && !older.has("n59.example"), "{}", older.body);
    assert!(older.has("Newest"));
}

#[tokio::test]
async fn a_technician_sees_devices_under_pseudonyms_and_can_not_search_for_them() {
    let school = busy().await;
    let page = school.get(Role::Technician, "/log").await;
    assert!(page.has("bet365.com") && page.has(">device-") && !page.has("10.20.2."), "{}", page.body);
    assert!(!page.has("name=\"client\"") && !page.has("/log/lines.csv") && !page.has("/log/evidence"));
    let refused = school.get(Role::Technician, "/log?client=10.20.2.31").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.has("devices are shown under pseudonyms") && !refused.has("bet365.com"));
    let follow = school.get(Role::Technician, "/log/live?client=10.20.2.31").await;
    assert_eq!(follow.status, StatusCode::UNPROCESSABLE_ENTITY);
    for path in ["/log/lines.csv", "/log/evidence", "/log/holds"] {
        assert_eq!(school.get(Role::Technician, path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn new_lines_come_by_themselves() {
    let school = std::sync::Arc::new(busy().await);
    let page = school.get(Role::Technician, "/log?live=on&action=blocked").await;
    assert!(page.has("sse-connect=\"/log/live?action=blocked\""), "{}", page.body);
    let asking = std::sync::Arc::clone(&school);
    let ask = tokio::spawn(async move {
        loop {
            asking.ask("10.20.2.31", "www.bbc.co.uk");
            asking.ask("10.20.2.31", "bet365.com");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    });
    let told = school.told_until(Role::Technician, "/log/live?action=blocked", "event: lines").await;
    let told = if told.contains("bet365.com") {
        told
    } else {
        school.told_until(Role::Technician, "/log/live?action=blocked", "bet365.com").await
    };
    ask.abort();
    assert!(!told.contains("bbc.co.uk") && !told.contains("10.20.2.31"), "{told}");
}

#[tokio::test]
async fn lines_leave_as_a_spreadsheet_and_the_audit_says_so() {
    let school = busy().await;
    let file = school.get(Role::Safeguarding, "/log/lines.csv?action=blocked&name=bet365.com").await;
    assert_eq!(
        file.headers[header::CONTENT_DISPOSITION],
        "attachment; filename=\"query-log-2026-11-26.csv\""
    );
    assert_eq!(file.body.lines().count(), 2, "{}", file.body);
    assert!(file.body.contains("10.20.2.31") && file.body.contains("bet365.com"));
    let (action, detail) = last_in_audit(&school);
    assert_eq!(
        (action.as_str(), detail.as_str()),
        ("log.lines", "1 lines as a spreadsheet (name = bet365.com, action = blocked)")
    );
}

#[tokio::test]
async fn evidence_is_made_with_a_reason_and_fetched() {
    let school = busy().await;
    let form = [("from", "today"), ("to", "now"), ("name", "bet365.com"), ("why", "")];
    let refused = school.post(Role::Safeguarding, "/log/evidence", &form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.has("Why: say why") && refused.has("value=\"bet365.com\""), "{}", refused.body);
    // A moment is over before what happened in it can be taken out.
    school.admin.clock.set("2026-11-26T10:16:00Z".parse().unwrap());
    let form = [("from", "today"), ("to", "now"), ("name", "bet365.com"), ("why", "incident 12")];
    let made = school.post(Role::Safeguarding, "/log/evidence", &form).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    assert!(made.has("It has 1 lines."), "{}", made.body);
    let path = made.body.split("href=\"/log/evidence/").nth(1).unwrap().split('"').next().unwrap();
    let path = format!("/log/evidence/{path}");
    let file = school.get(Role::Safeguarding, &path).await;
    assert_eq!(file.headers[header::CONTENT_TYPE], "application/zip");
    assert!(file.body.starts_with("PK"), "a package");
    assert_eq!(last_in_audit(&school).0, "log.export.fetch");
    assert_eq!(school.get(Role::Technician, &path).await.status, StatusCode::FORBIDDEN);
    for path in ["/log/evidence/..%2F..%2Fschoolgate.db", "/log/evidence/1-evidence-00000000.zip"] {
        assert_eq!(school.get(Role::Safeguarding, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn holds_are_made_and_lifted_with_reasons() {
    let school = busy().await;
    assert!(school.get(Role::Head, "/log/holds").await.has("There is no hold"));
    let wrong = [("from", "today"), ("to", "soon"), ("client", ""), ("incident", "12"), ("why", "police")];
    let wrong = school.post(Role::Head, "/log/holds", &wrong).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.has("Until: ") && wrong.has("value=\"police\""), "{}", wrong.body);
    let form =
        [("from", "today"), ("to", "today"), ("client", ""), ("incident", "<b>12</b>"), ("why", "police")];
    let made = school.post(Role::Head, "/log/holds", &form).await;
    assert_eq!(made.leads_to(), "/log/holds?done=done-hold");
    let page = school.get(Role::Head, "/log/holds").await;
    assert!(page.has("Hold 1: ") && page.has("everybody") && !page.has("<b>12"), "{}", page.body);
    let wrong = school.post(Role::Head, "/log/holds/hold-1/lift", &[("why", " ")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let lifted = school.post(Role::Head, "/log/holds/hold-1/lift", &[("why", "closed")]).await;
    assert_eq!(lifted.leads_to(), "/log/holds?done=done-hold-lifted");
    let page = school.get(Role::Head, "/log/holds").await;
    assert!(page.has("Holds that were lifted") && page.has("closed"), "{}", page.body);
}

#[tokio::test]
async fn somebody_keeps_searches_and_nobody_else_sees_them() {
    let school = busy().await;
    let form = [("search", "Mine & <i>more</i>"), ("query", "name=games.example&made-up=1&action=blocked")];
    let kept = school.post(Role::Head, "/log/searches", &form).await;
    assert_eq!(kept.leads_to(), "/log?name=games.example&action=blocked&done=done-search-kept");
    let page = school.get(Role::Head, "/log").await;
    assert!(page.has("href=\"/log?name=games.example&#38;action=blocked\""), "{}", page.body);
    assert!(page.has("Mine &#38; &#60;i&#62;more"), "{}", page.body);
    assert!(!school.get(Role::Safeguarding, "/log").await.has("Mine &"));
    let wrong = school.post(Role::Head, "/log/searches", &[("search", " "), ("query", "")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.has("a search needs a name"), "{}", wrong.body);
    let id = page.body.split("/log/searches/").nth(1).unwrap().split('/').next().unwrap();
    let path = format!("/log/searches/{id}/remove");
    school.post(Role::Safeguarding, &path, &[]).await;
    assert!(school.get(Role::Head, "/log").await.has("Mine &"), "it is not theirs to remove");
    assert_eq!(school.post(Role::Head, &path, &[]).await.leads_to(), "/log?done=done-search-removed");
    assert!(!school.get(Role::Head, "/log").await.has("Mine &"));
}
