use axum::http::StatusCode;

use crate::{accounts::Role, admin::tests::TestBox};

const LUNCH: [(&str, &str); 9] = [
    ("name", "Lunch time"),
    ("day-0", "mon"),
    ("day-0", "tue"),
    ("day-0", "wed"),
    ("day-0", "thu"),
    ("day-0", "fri"),
    ("from-0", "12:00"),
    ("to-0", "13:15"),
    ("term_only", "on"),
];

#[tokio::test]
async fn a_schedule_is_added_drawn_changed_and_removed() {
    let school = TestBox::new().await;
    let empty = school.get(Role::Technician, "/schedules").await;
    assert!(empty.has("No schedule yet"), "{}", empty.body);
    // A change that opens something, as times may, asks for a reason.
    let mut form = LUNCH.to_vec();
    let wanted = school.post(Role::Technician, "/schedules", &form).await;
    if wanted.status == StatusCode::UNPROCESSABLE_ENTITY {
        assert!(wanted.has("say why") && wanted.has("value=\"12:00\""), "{}", wanted.body);
        form.push(("reason", "Games at lunch"));
        let done = school.post(Role::Technician, "/schedules", &form).await;
        assert_eq!(done.leads_to(), "/schedules?done=done-saved", "{}", done.body);
    }
    let page = school.get(Role::Auditor, "/schedules").await;
    assert!(page.has("12:00–13:15 on Mondays to Fridays, in term"), "{}", page.body);
    assert_eq!(page.body.matches("class=\"time\"").count(), 5, "{}", page.body);
    assert!(!page.has("/schedules/edit"), "an auditor only reads");
    let change = school.get(Role::Head, "/schedules/edit?id=lunch-time").await;
    assert!(change.has("value=\"13:15\"") && change.has("checked"), "{}", change.body);
    let mut changed = LUNCH.to_vec();
    changed.retain(|(name, _)| *name != "to-0" && *name != "name");
    changed.extend([("id", "lunch-time"), ("to-0", "13:30"), ("reason", "Longer"), ("expect", "0")]);
    let late = school.post(Role::Head, "/schedules", &changed).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(
        late.has("technician changed the policy meanwhile") && late.has("value=\"13:30\""),
        "{}",
        late.body
    );
    changed.retain(|(name, _)| *name != "expect");
    assert_eq!(school.post(Role::Head, "/schedules", &changed).await.status, StatusCode::SEE_OTHER);
    let remove = [("id", "lunch-time"), ("reason", "Not needed")];
    let done = school.post(Role::Head, "/schedules/remove", &remove).await;
    assert_eq!(done.leads_to(), "/schedules?done=done-saved", "{}", done.body);
    assert_eq!(school.get(Role::Head, "/schedules/edit?id=lunch-time").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_missing_is_named_and_what_was_typed_stays() {
    let school = TestBox::new().await;
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("name", "!"), ("from-0", "12:00")], "Write a name"),
        (&[("name", "Lunch")], "Write at least one time"),
        (&[("name", "Lunch"), ("from-0", "12:00"), ("to-0", "13:00")], "Tick the days"),
        (&[("name", "Lunch"), ("day-0", "mon"), ("from-0", "noon"), ("to-0", "13:00")], "noon"),
    ];
    for (form, said) in cases {
        let refused = school.post(Role::Head, "/schedules", form).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{form:?}");
        assert!(refused.has(said), "{form:?}: {}", refused.body);
    }
}

#[tokio::test]
async fn terms_and_holidays_are_typed_and_bank_holidays_offered() {
    let school = TestBox::new().await;
    let form = [
        ("term-from", "2026-09-02"),
        ("term-to", "2026-12-18"),
        ("term-from", ""),
        ("term-to", ""),
        ("holiday-from", "2026-10-26"),
        ("holiday-to", "2026-10-30"),
        ("day_ends", "15:30"),
        ("reason", "This year's dates"),
    ];
    let mut offer = form.to_vec();
    offer.push(("bank", "on"));
    let offered = school.post(Role::Head, "/schedules/terms", &offer).await;
    assert_eq!(offered.status, StatusCode::OK);
    assert!(offered.has("2027-03-26") && offered.has("2026-10-26"), "{}", offered.body);
    assert!(school.admin.control.policy().load().file().holidays.is_empty(), "nothing is saved yet");
    let done = school.post(Role::Head, "/schedules/terms", &form).await;
    assert_eq!(done.leads_to(), "/schedules?done=done-saved#terms", "{}", done.body);
    let policy = school.admin.control.policy().load_full();
    assert_eq!((policy.file().terms.len(), policy.file().holidays.len()), (1, 1));
    assert_eq!(policy.file().day_ends.as_deref(), Some("15:30"));
    assert!(school.get(Role::Head, "/schedules").await.has("value=\"15:30\""));
    let late = school.post(Role::Head, "/schedules/terms", &[("day_ends", "23:00")]).await;
    assert!(late.has("Please say why") && late.has("value=\"23:00\""), "{}", late.body);
    let never = school.post(Role::Head, "/schedules/terms", &[("day_ends", "late"), ("reason", "x")]).await;
    assert!(never.has("is no time of the day"), "{}", never.body);
    let wrong = school.post(Role::Head, "/schedules/terms", &[("term-from", "<script>")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!wrong.has("<script>\""), "{}", wrong.body);
    let back = [("term-from", "2026-12-18"), ("term-to", "2026-09-02"), ("reason", "x")];
    let back = school.post(Role::Head, "/schedules/terms", &back).await;
    assert!(back.has("before it begins"), "{}", back.body);
}
