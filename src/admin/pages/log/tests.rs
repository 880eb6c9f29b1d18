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

/// The first pseudonym in a page, or in what is told.
fn pseudonym_in(text: &str) -> String {
    let whole = |(at, start): (usize, &str)| text.get(at..at + start.len() + 12);
    let mut found = text.match_indices("device-").filter_map(whole);
    found.find(|text| crate::querylog::privacy::is_pseudonym(text)).expect("a pseudonym").to_owned()
}

#[tokio::test]
async fn what_a_technician_sees_is_what_the_safeguarding_lead_turns_back() {
    let school = std::sync::Arc::new(busy().await);
    let page = school.get(Role::Technician, "/log?name=bet365.com").await;
    let seen = pseudonym_in(&page.body);
    assert!(!page.has("/log/reveal"), "a technician is not led there");
    let asking = std::sync::Arc::clone(&school);
    let ask = tokio::spawn(async move {
        loop {
            asking.ask("10.20.2.31", "bet365.com");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    });
    let told = school.told_until(Role::Technician, "/log/live?name=bet365.com", "bet365.com").await;
    ask.abort();
    assert_eq!(pseudonym_in(&told), seen, "the same in what comes by itself");
    let form = [("pseudonym", seen.as_str()), ("day", "2026-11-26"), ("why", "incident 7")];
    let found = school.post(Role::Safeguarding, "/log/reveal", &form).await;
    assert_eq!(found.status, StatusCode::OK, "{}", found.body);
    assert!(found.has("10.20.2.31") && !found.has("10.20.2.32"), "{}", found.body);
    assert!(found.has("/log/person?client=10.20.2.31"), "{}", found.body);
    let (action, detail) = last_in_audit(&school);
    assert_eq!(action, "log.reveal");
    let whole = format!("{seen} of 2026-11-26, role safeguarding, reversed: incident 7");
    assert_eq!(detail, whole, "and not who it was");
    let all = school.get(Role::Safeguarding, &format!("/log?client={seen}")).await;
    assert!(all.has("bet365.com") && !all.has("www.bbc.co.uk"), "{}", all.body);
}

#[tokio::test]
async fn only_the_safeguarding_lead_reverses_a_pseudonym_and_says_why() {
    let school = busy().await;
    let seen = pseudonym_in(&school.get(Role::Technician, "/log").await.body);
    let form = |why: &'static str| {
        [("pseudonym", seen.clone()), ("day", String::from("2026-11-26")), ("why", why.into())]
    };
    let post = async |role, form: &[(&str, String)]| {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        school.post(role, "/log/reveal", &form).await
    };
    assert_eq!(post(Role::Technician, &form("x")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(school.get(Role::Technician, "/log/reveal").await.status, StatusCode::FORBIDDEN);
    let head = school.get(Role::Head, "/log/reveal").await;
    assert!(head.has("Only the safeguarding lead") && !head.has("name=\"pseudonym\""), "{}", head.body);
    let head = post(Role::Head, &form("incident 7")).await;
    assert_eq!(head.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!head.has("10.20.2.3"), "{}", head.body);
    assert!(last_in_audit(&school).1.contains("role head, refused"));
    let silent = post(Role::Safeguarding, &form(" ")).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(silent.has("Why: say why") && silent.has(&seen) && !silent.has("10.20.2.3"), "{}", silent.body);
    let wrong =
        [("pseudonym", String::from("tablet-7")), ("day", String::from("today")), ("why", "x".into())];
    assert!(post(Role::Safeguarding, &wrong).await.has("Pseudonym: "));
    let other = [("pseudonym", seen.clone()), ("day", String::from("2026-11-25")), ("why", "x".into())];
    let other = post(Role::Safeguarding, &other).await;
    assert!(other.has("there is no log of that day") && !other.has("10.20.2.3"), "{}", other.body);
}

#[tokio::test]
async fn a_row_under_a_pseudonym_leads_to_who_it_was() {
    let school = TestBox::new().await;
    let staff = [("subnets", "10.20.9.0/24"), ("profile", "staff"), ("reason", "the staff room")];
    school.post(Role::Head, "/networks/add", &staff).await;
    school.ask("10.20.9.5", "www.bbc.co.uk");
    let page = school.get(Role::Safeguarding, "/log").await;
    assert!(!page.has("10.20.9.5"), "staff are under pseudonyms: {}", page.body);
    let seen = pseudonym_in(&page.body);
    let link = format!("/log/reveal?pseudonym={seen}&#38;day=2026-11-26");
    assert!(page.has(&link), "{}", page.body);
    assert!(!school.get(Role::Head, "/log").await.has(&link));
    let form = school.get(Role::Safeguarding, &link.replace("&#38;", "&")).await;
    assert!(form.has(&format!("value=\"{seen}\"")) && form.has("value=\"2026-11-26\""), "{}", form.body);
    assert_eq!(pseudonym_in(&school.get(Role::Technician, "/log").await.body), seen);
}

#[tokio::test]
async fn what_is_held_about_a_device_is_taken_out_and_fetched() {
    let school = busy().await;
    school.admin.clock.set("2026-11-26T10:16:00Z".parse().unwrap());
    let page = school.get(Role::Head, "/log/person?client=10.20.2.31").await;
    assert!(page.has("value=\"10.20.2.31\""), "{}", page.body);
    let silent = [("client", "10.20.2.31"), ("why", "")];
    let silent = school.post(Role::Head, "/log/person/package", &silent).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(silent.has("Why: say why") && silent.has("value=\"10.20.2.31\""), "{}", silent.body);
    let form = [("client", "10.20.2.31"), ("from", ""), ("to", ""), ("why", "request 12")];
    let made = school.post(Role::Head, "/log/person/package", &form).await;
    assert!(made.has("It has 1 lines."), "{}", made.body);
    let path = made.body.split("href=\"/log/evidence/").nth(1).unwrap().split('"').next().unwrap();
    assert!(path.contains("-subject-"), "{path}");
    let file = school.get(Role::Head, &format!("/log/evidence/{path}")).await;
    assert!(file.body.starts_with("PK"));
    for role in [Role::Technician, Role::Governor, Role::Teacher] {
        assert_eq!(school.post(role, "/log/person/package", &form).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_device_is_erased_after_a_look_and_what_is_held_stays() {
    let school = busy().await;
    school.admin.clock.set("2026-11-26T10:16:00Z".parse().unwrap());
    let mut form = vec![("client", "10.20.2.31"), ("from", ""), ("to", ""), ("why", "asked for by a parent")];
    let look = school.post(Role::Head, "/log/person/erase", &form).await;
    assert_eq!(look.status, StatusCode::OK, "{}", look.body);
    assert!(look.has("One line of 10.20.2.31 would be erased") && look.has("2026-11-26"), "{}", look.body);
    assert!(look.has("name=\"confirmed\"") && look.has("value=\"asked for by a parent\""));
    assert!(school.get(Role::Head, "/log").await.has("bet365.com"), "only looked");
    form.push(("confirmed", "on"));
    let done = school.post(Role::Head, "/log/person/erase", &form).await;
    assert!(done.has("One line of 10.20.2.31 is erased") && !done.has("name=\"confirmed\""), "{}", done.body);
    let left = school.get(Role::Head, "/log").await;
    assert!(!left.has("bet365.com") && left.has("www.bbc.co.uk"), "{}", left.body);
    let (action, detail) = last_in_audit(&school);
    assert!(action == "log.erase" && detail.contains("asked for by a parent"), "{action}: {detail}");
    let again = school.post(Role::Head, "/log/person/erase", &form).await;
    assert!(again.has("The log has nothing of 10.20.2.31"), "{}", again.body);
    let hold = [("from", "today"), ("to", "today"), ("client", "10.20.2.32"), ("why", "police")];
    school.post(Role::Head, "/log/holds", &hold).await;
    let held = [("client", "10.20.2.32"), ("why", "a wish"), ("confirmed", "on")];
    let held = school.post(Role::Head, "/log/person/erase", &held).await;
    assert!(held.has("One line stays for legal hold 1."), "{}", held.body);
    assert!(school.get(Role::Head, "/log").await.has("www.bbc.co.uk"));
    let wrong =
        school.post(Role::Head, "/log/person/erase", &[("client", "10.20.2.0/24"), ("why", "x")]).await;
    assert!(wrong.status == StatusCode::UNPROCESSABLE_ENTITY && wrong.has("Device: "), "{}", wrong.body);
}

#[tokio::test]
async fn a_hold_is_begun_from_what_was_typed_elsewhere() {
    let school = busy().await;
    let page = school.get(Role::Head, "/log/holds?client=10.20.2.31&from=today&why=request+12").await;
    assert!(page.has("value=\"10.20.2.31\"") && page.has("value=\"request 12\""), "{}", page.body);
}

#[tokio::test]
async fn a_page_that_searches_on_gets_what_is_behind_its_lines() {
    let school = busy().await;
    let more = school.part(Role::Head, "/log?name=bbc.co.uk&have=3").await;
    assert!(more.body.trim_start().starts_with("<li>") && more.has("www.bbc.co.uk"), "{}", more.body);
    let count = "id=\"log-count\" hx-swap-oob=\"true\">4 lines</span>";
    assert!(more.has(count) && !more.has("id=\"found\""), "{}", more.body);
    let nothing = school.part(Role::Head, "/log?name=nobody.example&have=0").await;
    assert!(nothing.has("<li class=\"empty\">Nothing of the kind was asked"), "{}", nothing.body);
    for odd in ["-1", "x", "50", "99999999999999999999"] {
        let odd = school.part(Role::Head, &format!("/log?have={odd}")).await;
        assert_eq!(odd.status, StatusCode::OK, "{}", odd.body);
    }
}

#[tokio::test]
async fn a_search_that_takes_long_says_what_it_has_and_goes_on_by_itself() {
    let p = super::Page {
        title: String::new(),
        words: crate::admin::words::Catalogue::shipped().choose("en"),
        school: String::new(),
        current: "/log",
        signed_in: None,
        done: None,
        theme: "",
        banners: Vec::new(),
    };
    let found = super::Found {
        older: Some(String::from("name=x&after=20779.5")),
        unfinished: true,
        ..super::Found::default()
    };
    let part = super::Part {
        p,
        fields: super::Fields { name: String::from("x"), ..super::Fields::default() },
        found,
        wrong: super::Wrong::default(),
    };
    let html = askama::Template::render(&part).unwrap();
    let on = "hx-get=\"/log?name=x&#38;after=20779.5&amp;have=0\" hx-trigger=\"load\"";
    assert!(html.contains(on), "{html}");
    assert!(html.contains("href=\"/log?name=x&#38;after=20779.5\""), "without scripts, a link: {html}");
    assert!(html.contains("Nothing found so far") && !html.contains("Nothing of the kind"), "{html}");
}
