use axum::http::StatusCode;

use crate::{
    accounts::Role,
    admin::tests::TestBox,
    control::{Edit, EditAsked},
};

/// A box with a subnet of pupils.
async fn school() -> TestBox {
    let school = TestBox::new().await;
    let policy = school.admin.control.policy().load_full();
    let pupils = policy
        .file()
        .profiles
        .iter()
        .find(|profile| profile.audience == crate::category::Audience::Pupil)
        .unwrap();
    let staff = policy
        .file()
        .profiles
        .iter()
        .find(|profile| profile.audience == crate::category::Audience::Staff)
        .unwrap();
    let subnets = |profile: &str, subnet: &str| Edit::SetSubnets {
        profile: profile.to_owned(),
        subnets: vec![subnet.to_owned()],
    };
    let edits = vec![subnets(&pupils.id, "10.20.6.0/24"), subnets(&staff.id, "10.20.9.0/24")];
    let asked = EditAsked { reason: String::from("set up"), ..EditAsked::default() };
    school.admin.control.edit(edits, asked).await.unwrap();
    school
}

const FORM: [(&str, &str); 5] = [
    ("name", "Year 6 <i>history</i>"),
    ("room", "net:10.20.6.0/24"),
    ("kind", "open"),
    ("service", "YouTube"),
    ("until", "11:15"),
];

/// The form with other values.
fn form<'a>(others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = FORM.into_iter().filter(|(name, _)| !others.iter().any(|(other, _)| other == name));
    kept.chain(others.iter().copied()).collect()
}

#[tokio::test]
async fn a_teacher_opens_a_service_for_a_room_until_a_time_and_ends_it() {
    let school = school().await;
    let empty = school.get(Role::Teacher, "/lessons").await;
    assert!(empty.has("Nothing is open for a lesson") && empty.has("10.20.6.0/24"), "{}", empty.body);
    assert!(!empty.has("10.20.9.0/24"), "no room of staff");
    let done = school.post(Role::Teacher, "/lessons", &FORM).await;
    assert_eq!(done.leads_to(), "/lessons?done=done-lesson-began", "{}", done.body);
    let page = school.get(Role::Teacher, "/lessons").await;
    assert!(page.has("Year 6 &#60;i&#62;history&#60;/i&#62;") && page.has("11:15"), "{}", page.body);
    assert!(page.has("YouTube") && page.has("60 min left"), "{}", page.body);
    let policy = school.admin.control.policy().load_full();
    let rule = &policy.file().rules[0];
    assert_eq!(rule.until.unwrap().to_string(), "2026-11-26T11:15:00Z");
    let names: Vec<String> = policy.file().rules.iter().map(|rule| rule.name.clone()).collect();
    let mut close: Vec<(&str, &str)> = names.iter().map(|name| ("what", name.as_str())).collect();
    close.push(("client", "10.20.6.0/24"));
    let ended = school.post(Role::Teacher, "/lessons/close", &close).await;
    assert_eq!(ended.leads_to(), "/lessons?done=done-lesson-ended", "{}", ended.body);
    assert!(school.admin.control.policy().load().file().rules.is_empty());
    let again = school.post(Role::Teacher, "/lessons/close", &close).await;
    assert!(again.has("It is over already"), "{}", again.body);
}

#[tokio::test]
async fn a_lesson_lasts_so_many_minutes_and_not_after_the_schools_own_end_of_the_day() {
    let school = school().await;
    let done = school.post(Role::Teacher, "/lessons", &form(&[("minutes", "30"), ("until", "")])).await;
    assert_eq!(done.leads_to(), "/lessons?done=done-lesson-began", "{}", done.body);
    let rule = school.admin.control.policy().load().file().rules[0].clone();
    assert_eq!(rule.until.unwrap().to_string(), "2026-11-26T10:45:00Z");
    let day = Edit::SetTerms { terms: Vec::new(), holidays: Vec::new(), day_ends: Some("11:00".into()) };
    school.admin.control.edit(vec![day], EditAsked::default()).await.unwrap();
    assert!(school.get(Role::Teacher, "/lessons").await.has("11:00 at the latest"));
    for late in [form(&[("minutes", "60")]), form(&[("until", "11:15")])] {
        let refused = school.post(Role::Teacher, "/lessons", &late).await;
        assert!(refused.has("end of the school day"), "{}", refused.body);
    }
}

#[tokio::test]
async fn a_room_may_reach_only_a_few_sites_for_a_lesson() {
    let school = school().await;
    let only =
        form(&[("kind", "only"), ("service", ""), ("sites", "bbc.co.uk\r\nhttps://www.nhm.ac.uk/visit")]);
    let done = school.post(Role::Teacher, "/lessons", &only).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let page = school.get(Role::Teacher, "/lessons").await;
    assert!(page.has("Only") && page.has("www.nhm.ac.uk"), "{}", page.body);
    let ended = school.post(Role::Teacher, "/lessons/end", &[("name", "Year 6 <i>history</i>")]).await;
    assert_eq!(ended.leads_to(), "/lessons?done=done-lesson-ended");
    assert!(school.admin.control.policy().load().file().lessons.is_empty());
}

#[tokio::test]
async fn a_teacher_stays_within_bounds_and_what_was_typed_stays() {
    let school = school().await;
    let cases: [(&[(&str, &str)], &str); 10] = [
        (&[("service", "Tinder")], "safeguarding"),
        (&[("service", ""), ("sites", "bet365.com")], "safeguarding"),
        (&[("service", ""), ("sites", "co.uk")], "too wide"),
        (&[("service", "Youtub")], "YouTube"),
        (&[("service", "")], "Write at least one"),
        (&[("until", "10:00")], "is past"),
        (&[("until", "23:00")], "end of the school day"),
        (&[("until", "")], "when it ends"),
        (&[("minutes", "500")], "end of the school day"),
        (&[("room", "net:10.20.9.0/24")], "Choose the room"),
    ];
    for (others, said) in cases {
        let refused = school.post(Role::Teacher, "/lessons", &form(others)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{others:?}");
        assert!(refused.has(said), "{others:?}: {}", refused.body);
        assert!(refused.has("value=\"Year 6 &#60;i&#62;history&#60;/i&#62;\""), "{}", refused.body);
    }
    // A room that is typed counts only for who may change the policy.
    let typed = form(&[("room", ""), ("other", "10.20.9.7")]);
    assert_eq!(school.post(Role::Teacher, "/lessons", &typed).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(school.admin.control.policy().load().file().rules.is_empty());
    assert_eq!(school.post(Role::Head, "/lessons", &typed).await.status, StatusCode::SEE_OTHER);
    // A list of sites that opens nothing is anybody's.
    let only = form(&[("kind", "only"), ("service", "Tinder"), ("name", "Other")]);
    assert_eq!(school.post(Role::Teacher, "/lessons", &only).await.status, StatusCode::SEE_OTHER);
}
