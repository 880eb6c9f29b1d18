use axum::http::StatusCode;

use super::browser;
use crate::{accounts::Role, admin::tests::TestBox};

/// The one-time password on a page.
fn secret(body: &str) -> String {
    let (_, rest) = body.split_once("id=\"secret\">").unwrap_or_else(|| panic!("{body}"));
    rest.split('<').next().unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_user_is_added_with_a_password_that_is_shown_once_and_must_be_replaced() {
    let school = TestBox::new().await;
    let form = [
        ("name", "B.Jones"),
        ("full_name", "Bea <script>alert(1)</script>"),
        ("role", "teacher"),
        ("ends", "2027-07-20"),
    ];
    let added = school.post(Role::Head, "/users/new", &form).await;
    assert_eq!(added.status, StatusCode::OK, "{}", added.body);
    assert!(added.has("b.jones") && !added.has("<script>alert"), "{}", added.body);
    let password = secret(&added.body);
    let user = school.admin.accounts.user_named("b.jones").unwrap().unwrap();
    assert!(user.must_change_password && user.ends.is_some());
    let signed_in = school.post_as_nobody("/sign-in", &[("name", "b.jones"), ("password", &password)]).await;
    assert_eq!(signed_in.leads_to(), "/sign-in/next");
    let all = school.get(Role::Head, "/users").await;
    assert!(all.has("Tue 20 Jul 2027") && !all.has(&password) && !all.has("<script>alert"), "{}", all.body);
}

#[tokio::test]
async fn what_is_wrong_with_a_user_is_said_and_what_was_typed_stays() {
    let school = TestBox::new().await;
    for (form, said) in [
        (&[("name", "a b"), ("full_name", "Ada"), ("role", "teacher")][..], "a b"),
        (&[("name", "head"), ("full_name", "Ada"), ("role", "teacher")], "already"),
        (&[("name", "ada"), ("full_name", ""), ("role", "teacher")], "full name"),
        (&[("name", "ada"), ("full_name", "Ada"), ("role", "king")], "Choose a role"),
        (&[("name", "ada"), ("full_name", "Ada"), ("role", "teacher"), ("ends", "soon")], "as 2027-07-20"),
    ] {
        let answer = school.post(Role::Head, "/users/new", form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{form:?}: {}", answer.body);
        assert!(
            answer.has(said) && answer.has(&format!("value=\"{}\"", form[0].1)),
            "{form:?}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn a_technician_makes_nobody_a_head_and_lets_no_head_in_anew() {
    let school = TestBox::new().await;
    let page = school.get(Role::Technician, "/users/new").await;
    assert!(page.has("value=\"teacher\"") && !page.has("value=\"safeguarding\""), "{}", page.body);
    let form = [("name", "evil"), ("full_name", "Evil"), ("role", "head")];
    assert_eq!(school.post(Role::Technician, "/users/new", &form).await.status, StatusCode::FORBIDDEN);
    assert!(school.admin.accounts.user_named("evil").unwrap().is_none());
    let of = |role| format!("/users/{}", school.user(role).0);
    for what in ["password", "second-factor", "remove"] {
        let path = format!("{}/{what}", of(Role::Safeguarding));
        let answer = school.post(Role::Technician, &path, &[]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert!(answer.has("Only a head teacher"), "{}", answer.body);
    }
    let form = [("full_name", "Me"), ("role", "head")];
    let answer = school.post(Role::Technician, &of(Role::Technician), &form).await;
    assert!(answer.has("change your own role"), "{}", answer.body);
    let form = [("full_name", "Teacher"), ("role", "safeguarding")];
    assert!(school.post(Role::Technician, &of(Role::Teacher), &form).await.has("Only a head teacher"));
    let roles = school.admin.accounts.users().unwrap();
    assert_eq!(roles.iter().filter(|user| user.role == Role::Safeguarding).count(), 1);
}

#[tokio::test]
async fn a_user_is_changed_disabled_and_removed() {
    let school = TestBox::new().await;
    let id = school.user(Role::Teacher);
    let path = format!("/users/{}", id.0);
    assert!(school.get(Role::Head, &path).await.has("The teacher"));
    assert!(school.get(Role::Teacher, "/check").await.status.is_success());
    let form = [("full_name", "Ms Teacher"), ("role", "teacher"), ("disabled", "yes")];
    assert_eq!(school.post(Role::Head, &path, &form).await.leads_to(), "/users?done=done-saved");
    assert!(school.get(Role::Teacher, "/check").await.leads_to().starts_with("/sign-in"));
    assert!(school.get(Role::Head, "/users").await.has("May not sign in"));
    let password = school.post(Role::Head, &format!("{path}/password"), &[]).await;
    assert!(!secret(&password.body).is_empty());
    let gone = school.post(Role::Head, &format!("{path}/remove"), &[]).await;
    assert_eq!(gone.leads_to(), "/users?done=done-user-removed");
    assert_eq!(school.get(Role::Head, &path).await.status, StatusCode::NOT_FOUND);
    let own = format!("/users/{}/remove", school.user(Role::Head).0);
    assert!(school.post(Role::Head, &own, &[]).await.has("change your own role"));
}

#[tokio::test]
async fn sessions_end_and_the_review_and_the_sealed_code_are_kept() {
    let school = TestBox::new().await;
    let path = format!("/users/{}/sessions", school.user(Role::Governor).0);
    school.post(Role::Technician, &path, &[]).await;
    assert!(school.get(Role::Governor, "/account").await.leads_to().starts_with("/sign-in"));
    let before = school.get(Role::Head, "/users").await;
    assert!(before.has("There is none"), "{}", before.body);
    assert_eq!(school.post(Role::Head, "/users/review", &[]).await.leads_to(), "/users?done=done-reviewed");
    let code = school.post(Role::Head, "/users/break-glass", &[]).await;
    assert_eq!(secret(&code.body).len(), 29, "{}", code.body);
    let after = school.get(Role::Head, "/users").await;
    assert!(after.has("Thu 26 Nov 2026, 10:15, by head") && !after.has("There is none"), "{}", after.body);
}

#[tokio::test]
async fn one_changes_ones_own_password_and_ends_ones_other_sessions() {
    let school = TestBox::new().await;
    let page = school.get(Role::Teacher, "/account").await;
    assert!(page.has("This browser"), "{}", page.body);
    let new = "seven quiet lanterns under ice";
    for (current, first, again, said) in [
        ("wrong", new, new, "wrong"),
        (crate::admin::tests::PASSWORD, new, "other", "not the same"),
        (crate::admin::tests::PASSWORD, "short", "short", "too short"),
    ] {
        let form = [("current", current), ("password", first), ("again", again)];
        let answer = school.post(Role::Teacher, "/account/password", &form).await;
        assert!(answer.status.is_client_error() && answer.has(said), "{said}: {}", answer.body);
    }
    let other = school.admin.accounts.session_for_tests(school.user(Role::Teacher));
    let form = [("current", crate::admin::tests::PASSWORD), ("password", new), ("again", new)];
    let done = school.post(Role::Teacher, "/account/password", &form).await;
    assert_eq!(done.leads_to(), "/account?done=done-password");
    assert!(school.admin.accounts.session(&other).unwrap().is_none());
    assert!(school.get(Role::Teacher, "/account").await.status.is_success());
    let other = school.admin.accounts.session_for_tests(school.user(Role::Teacher));
    school.post(Role::Teacher, "/account/sessions", &[]).await;
    assert!(school.admin.accounts.session(&other).unwrap().is_none());
}

#[tokio::test]
async fn nobody_ends_somebody_elses_session_from_their_own_page() {
    let school = TestBox::new().await;
    let head = school.admin.accounts.sessions(Some(school.user(Role::Head))).unwrap()[0].id;
    let answer = school.post(Role::Teacher, &format!("/account/sessions/{}", head.0), &[]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(school.get(Role::Head, "/users").await.status.is_success());
}

#[tokio::test]
async fn a_second_factor_is_set_up_on_ones_own_page() {
    let school = TestBox::new().await;
    let page = school.get(Role::Teacher, "/account/second-factor").await;
    assert!(page.has("data:image/svg+xml;base64,"), "{}", page.body);
    let wrong = school.post(Role::Teacher, "/account/second-factor", &[("code", "000000")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.has("The code is wrong") || wrong.has("the code is wrong"), "{}", wrong.body);
    let codes = school.post(Role::Teacher, "/account/recovery", &[("password", "wrong")]).await;
    assert_eq!(codes.status, StatusCode::FORBIDDEN, "{}", codes.body);
}

#[test]
fn browsers_are_told_in_a_few_words() {
    let chrome = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36";
    assert_eq!(browser(chrome), "Chrome, ChromeOS");
    assert_eq!(browser("Mozilla/5.0 (Windows NT 10.0) Chrome/126 Safari/537.36 Edg/126"), "Edge, Windows");
    assert_eq!(browser("curl/8.5.0"), "curl/8.5.0");
}
