use std::sync::atomic::Ordering;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};

use crate::{
    accounts::{Role, soft_key::SoftKey},
    admin::tests::{Answer, FORM, PASSWORD, TestBox, form_of},
};

const ORIGIN: &str = "https://schoolgate.local";

/// A browser of somebody, at a name of the box, by TLS or plainly.
struct Browser<'a> {
    school: &'a TestBox,
    token: String,
    host: &'static str,
    secure: bool,
}

impl<'a> Browser<'a> {
    fn of(school: &'a TestBox, role: Role) -> Self {
        let token = school.admin.accounts.session_for_tests(school.user(role));
        Self { school, token, host: "schoolgate.local", secure: true }
    }

    async fn send(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Answer {
        let cookie = if self.secure { "__Host-schoolgate" } else { "schoolgate" };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.host)
            .header(header::COOKIE, format!("{cookie}={}", self.token))
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, FORM);
        self.school.send_by(self.secure, request.body(Body::from(form_of(form))).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, form).await
    }

    /// Sets the app up that keys stand beside.
    fn set_up_app(&self) {
        let accounts = &self.school.admin.accounts;
        let proposal = accounts.propose_second_factor(&self.token).unwrap();
        let key = proposal.secret.expose().replace(' ', "");
        let key = data_encoding::BASE32_NOPAD.decode(key.as_bytes()).unwrap();
        let now = u64::try_from(self.school.admin.clock.now().as_second()).unwrap();
        let code = totp_rs::Builder::new().with_secret(key).build().unwrap().generate(now).to_string();
        let _ = accounts.confirm_second_factor(&self.token, &code).unwrap();
    }

    async fn add(&self, name: &str) -> SoftKey {
        let key = SoftKey::new();
        let asked = self.post("/account/keys/challenge", &[]).await;
        assert_eq!(asked.status, StatusCode::OK, "{}", asked.body);
        let answer = key.added(&asked.body, ORIGIN);
        let added = self.post("/account/keys", &[("name", name), ("answer", &answer)]).await;
        assert_eq!(added.leads_to(), "/account/keys?done=done-key-added", "{}", added.body);
        key
    }

    /// Types the name and the password; a browser of somebody of whom the second factor is awaited.
    async fn sign_in(school: &'a TestBox, name: &str) -> Self {
        let nobody = Self { school, token: String::new(), host: "schoolgate.local", secure: true };
        let form = [("name", name), ("password", PASSWORD), ("to", "/check")];
        let answer = nobody.post("/sign-in", &form).await;
        assert_eq!(answer.leads_to(), "/sign-in/next?to=/check", "{}", answer.body);
        Self { token: token_of(&answer), ..nobody }
    }
}

fn token_of(answer: &Answer) -> String {
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().split_once('=').unwrap().1.to_owned()
}

#[tokio::test]
async fn keys_are_added_where_the_box_is_opened_by_its_name_and_elsewhere_the_page_says_where() {
    let school = TestBox::new().await;
    let browser = Browser::of(&school, Role::Teacher);
    let without = browser.get("/account/keys").await;
    assert!(without.has("set up an app with codes first"), "{}", without.body);
    browser.set_up_app();
    assert!(browser.get("/account").await.has("href=\"/account/keys\""));
    let here = browser.get("/account/keys").await;
    assert!(here.has("data-key=\"/account/keys/challenge\"") && here.has("keys.js"), "{}", here.body);
    for (host, secure) in [
        ("10.20.0.53", true),
        ("evil.example", true),
        ("schoolgate.local.evil.example", true),
        ("schoolgate.local", false),
    ] {
        let elsewhere = Browser { token: browser.token.clone(), host, secure, ..browser };
        let page = elsewhere.get("/account/keys").await;
        assert!(!page.has("data-key="), "{host}: {}", page.body);
        assert!(page.has("href=\"https://schoolgate.local/account/keys\""), "{host}: {}", page.body);
        let asked = elsewhere.post("/account/keys/challenge", &[]).await;
        assert_eq!(asked.status, StatusCode::UNPROCESSABLE_ENTITY, "{host}: {}", asked.body);
    }
}

#[tokio::test]
async fn somebody_adds_a_key_and_signs_in_with_it() {
    let school = TestBox::new().await;
    let browser = Browser::of(&school, Role::Technician);
    browser.set_up_app();
    let key = browser.add("Blue key").await;
    let page = browser.get("/account/keys").await;
    assert!(page.has("Blue key") && page.has("schoolgate.local") && page.has("Never"), "{}", page.body);
    assert!(school.get(Role::Head, "/users").await.has("Yes, and a security key"));
    assert!(school.get(Role::Head, "/audit").await.has("“Blue key” added, for schoolgate.local"));
    let listed = Browser::of(&school, Role::Head).get("/api/v1/users").await.json();
    let of = |name: &str| {
        let users = listed["users"].as_array().unwrap();
        users.iter().find(|user| user["name"] == name).unwrap()["security_keys"].clone()
    };
    assert_eq!((of("technician"), of("head")), (1.into(), 0.into()));
    let signing = Browser::sign_in(&school, "technician").await;
    let next = signing.get("/sign-in/next?to=/check").await;
    assert!(next.has("Use your security key") && next.has("name=\"code\""), "{}", next.body);
    let by_address = Browser { token: signing.token.clone(), host: "10.20.0.53", ..signing };
    assert!(!by_address.get("/sign-in/next").await.has("Use your security key"));
    let wrong = signing.post("/sign-in/key", &[("answer", "{}"), ("to", "/check")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.has("The key did not answer"), "{}", wrong.body);
    let asked = signing.post("/sign-in/key/challenge", &[]).await;
    let answer = key.signed(&asked.body, ORIGIN);
    let whole = signing.post("/sign-in/key", &[("answer", &answer), ("to", "/check")]).await;
    assert_eq!(whole.leads_to(), "/check", "{}", whole.body);
    let whole = Browser { token: token_of(&whole), ..signing };
    assert_eq!(whole.get("/check").await.status, StatusCode::OK);
    assert!(school.get(Role::Head, "/audit").await.has("by the security key “Blue key”"));
}

#[tokio::test]
async fn with_ten_keys_the_page_says_that_they_are_enough() {
    let school = TestBox::new().await;
    let browser = Browser::of(&school, Role::Teacher);
    browser.set_up_app();
    for n in 1..=10 {
        browser.add(&format!("Key {n}")).await;
    }
    let page = browser.get("/account/keys").await;
    assert!(page.has("You have ten security keys") && !page.has("data-key="), "{}", page.body);
}

#[tokio::test]
async fn who_is_offered_no_key_is_asked_for_a_code_and_nobody_gets_a_question_at_the_door() {
    let school = TestBox::new().await;
    let browser = Browser::of(&school, Role::Technician);
    browser.set_up_app();
    let signing = Browser::sign_in(&school, "technician").await;
    assert!(!signing.get("/sign-in/next").await.has("Use your security key"));
    for token in ["", "nonsense", signing.token.as_str(), browser.token.as_str()] {
        let asking = Browser { token: token.to_owned(), ..Browser::of(&school, Role::Technician) };
        let asked = asking.post("/sign-in/key/challenge", &[]).await;
        assert_eq!(asked.status, StatusCode::UNAUTHORIZED, "{token}: {}", asked.body);
    }
}

#[tokio::test]
async fn a_copied_key_is_refused_and_the_audit_says_so() {
    let school = TestBox::new().await;
    let browser = Browser::of(&school, Role::Technician);
    browser.set_up_app();
    let key = browser.add("Blue key").await;
    key.counter.store(0, Ordering::Relaxed);
    let signing = Browser::sign_in(&school, "technician").await;
    let asked = signing.post("/sign-in/key/challenge", &[]).await;
    let refused = signing.post("/sign-in/key", &[("answer", &key.signed(&asked.body, ORIGIN))]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.has("This key may have been copied"), "{}", refused.body);
    let audit = school.get(Role::Head, "/audit").await;
    assert!(audit.has("“Blue key” counts backwards, as a copy of it would"), "{}", audit.body);
}

#[tokio::test]
async fn adding_and_removing_asks_for_the_password_again_after_a_while() {
    let school = TestBox::new().await;
    let browser = Browser::of(&school, Role::Teacher);
    browser.set_up_app();
    browser.add("Blue key").await;
    let id = school.admin.accounts.security_keys(school.user(Role::Teacher)).unwrap()[0].id.0;
    let remove = format!("/account/keys/{id}/remove");
    let other = Browser::of(&school, Role::Governor);
    assert_eq!(other.post(&remove, &[]).await.status, StatusCode::NOT_FOUND, "it is somebody else's");
    school.admin.clock.set(school.admin.clock.now() + jiff::SignedDuration::from_mins(11));
    let page = browser.get("/account/keys").await;
    assert!(page.has("action=\"/account/keys/fresh\"") && !page.has("/remove\""), "{}", page.body);
    assert_eq!(browser.post(&remove, &[]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let asked = browser.post("/account/keys/challenge", &[]).await;
    assert_eq!(asked.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", asked.body);
    let wrong = browser.post("/account/keys/fresh", &[("password", "wrong")]).await;
    assert!(wrong.status == StatusCode::FORBIDDEN && wrong.has("The password is wrong"), "{}", wrong.body);
    let right = browser.post("/account/keys/fresh", &[("password", PASSWORD)]).await;
    assert_eq!(right.leads_to(), "/account/keys");
    assert_eq!(browser.post(&remove, &[]).await.leads_to(), "/account/keys?done=done-key-removed");
    assert!(browser.get("/account/keys").await.has("You have no security key yet."));
    assert!(school.get(Role::Head, "/audit").await.has("“Blue key” removed"));
}
