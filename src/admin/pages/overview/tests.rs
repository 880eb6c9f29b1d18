//! The overview as each role sees it, and how it goes on.

use std::sync::atomic::AtomicBool;

use axum::http::StatusCode;

use crate::{accounts::Role, admin::tests::TestBox};

/// A box at which a device was blocked an hour ago, and asked for something now.
async fn busy() -> TestBox {
    let school = TestBox::at("2026-11-26T09:50:00Z").await;
    for _ in 0..3 {
        school.ask("10.20.2.31", "bet365.com");
    }
    school.ask("10.20.2.31", "<script>alert(1)</script>.bet365.com");
    school.admin.clock.set("2026-11-26T10:15:00Z".parse().unwrap());
    school.ask("10.20.2.32", "www.bbc.co.uk");
    let rollup = school.admin.control.keeping().rollup();
    rollup.catch_up(school.admin.clock.now(), &AtomicBool::new(false)).unwrap();
    school
}

#[tokio::test]
async fn a_new_box_says_that_it_works_and_what_to_do_next() {
    let school = TestBox::new().await;
    let page = school.get(Role::Head, "/").await;
    assert_eq!(page.status, StatusCode::OK);
    for text in [
        "Filtering works.",
        "Nobody is named as supplier",
        "Nobody has asked for a name yet.",
        "sse-connect=\"/overview/live\"",
        "Thu 26 Nov, 10:15",
    ] {
        assert!(page.has(text), "{text}: {}", page.body);
    }
    assert!(!page.has("questions a minute"));
}

#[tokio::test]
async fn the_last_day_is_told_in_numbers_and_in_charts_with_the_same_numbers() {
    let school = busy().await;
    let page = school.get(Role::Safeguarding, "/").await;
    assert!(page.has("<span class=\"figure\">5</span>"), "{}", page.body);
    assert!(page.has("<span class=\"figure\">80.0 %</span>"), "{}", page.body);
    assert!(page.has("data-chart=\"{&#34;series&#34;:[") && page.has("Gambling"), "{}", page.body);
    // The newest hour first, with what was blocked of it.
    let rows: Vec<&str> = page.body.split("<tr><th scope=\"row\">").skip(2).collect();
    assert!(rows[0].starts_with("10:00") && rows[0].contains("1 <span class=\"dim\">(0)"), "{}", rows[0]);
    assert!(rows[1].starts_with("09:00") && rows[1].contains("4 <span class=\"dim\">(4)"), "{}", rows[1]);
    assert!(page.has("/log?action=blocked&#38;client=10.20.2.31"), "{}", page.body);
}

#[tokio::test]
async fn names_that_devices_make_up_are_shown_as_text() {
    let school = busy().await;
    let page = school.get(Role::Head, "/").await;
    assert!(page.has("alert(1)") && !page.has("<script>alert"), "{}", page.body);
}

#[tokio::test]
async fn governors_see_how_much_and_neither_who_nor_what() {
    let school = busy().await;
    for role in [Role::Governor, Role::Auditor, Role::PolicyOwner] {
        let page = school.get(role, "/").await;
        assert!(page.has("<span class=\"figure\">5</span>"), "{role:?}");
        for secret in ["bet365", "10.20.2.31", "Blocked most: sites", "Blocked most: devices"] {
            assert!(!page.has(secret), "{role:?} sees {secret}");
        }
    }
    let technician = school.get(Role::Technician, "/").await;
    assert!(technician.has("bet365.com") && !technician.has("10.20.2.31"), "{}", technician.body);
    let governor = school.get(Role::Governor, "/").await;
    assert!(governor.has("Nobody is named as supplier") && !governor.has("See to it<span"));
}

#[tokio::test]
async fn it_goes_on_by_itself_and_pauses() {
    let school = busy().await;
    let told = school.told_until(Role::Head, "/overview/live", "event: now").await;
    assert!(told.contains("event: now") || told.contains("event: day"), "{told}");
    let told = school.told_until(Role::Governor, "/overview/live", "event: day").await;
    assert!(!told.contains("bet365") && !told.contains("10.20.2.31"), "{told}");
    let paused = school.part(Role::Head, "/?live=off").await;
    assert!(!paused.has("sse-connect") && paused.has("This page stands still.") && !paused.has("<html"));
}

#[tokio::test]
async fn it_is_light() {
    let school = busy().await;
    let page = school.get(Role::Head, "/").await;
    assert!(page.body.len() < 60_000, "{} bytes before they are packed", page.body.len());
}
