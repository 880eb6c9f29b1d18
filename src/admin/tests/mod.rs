//! A box with people of every role, asked as a browser asks, but without sockets.

mod access;
mod foreign;
#[path = "../../../tests/support/log_day.rs"]
#[allow(unreachable_pub, clippy::duplicate_mod, reason = "other tests use it, from outside as well")]
pub(super) mod log_day;
#[path = "../../../tests/support/mail_server.rs"]
#[allow(
    unreachable_pub,
    dead_code,
    clippy::duplicate_mod,
    reason = "other tests use it, from outside as well"
)]
pub(super) mod mail_server;

use std::{
    fs,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, Response, StatusCode, header, request},
};
use futures_util::StreamExt as _;
use hickory_proto::{op::ResponseCode, rr::RecordType};
use jiff::Timestamp;
use tower::ServiceExt;

use super::{Admin, Config, Parts, Peer, visit};
use crate::{
    accounts::{Accounts, NewToken, NewUser, Role, Scope, Settings, Stage, UserId},
    clock::Clock,
    control::Control,
    feeds::{self, Feeds, http::SystemLookup},
    machine::Machine,
    name::Key,
    policy::{FirstAsked, Question},
    querylog::{Event, Fate, LogFolder, QueryLog, Transport},
    resolver::{self, AnswerSource, Resolver},
    school::School,
    tls::Certificates,
};

/// The password of everybody in a [`TestBox`].
pub(super) const PASSWORD: &str = "purple kettle under seven bridges";

/// A box that was set up, with one user of each role, called after it.
pub(super) struct TestBox {
    pub(super) admin: Arc<Admin>,
    router: Router,
    sessions: Vec<(Role, UserId, String)>,
    /// Holds the data folder.
    pub(super) data: tempfile::TempDir,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    /// Where it leads; empty where it leads nowhere.
    pub(super) fn leads_to(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Whether the page has a text.
    pub(super) fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

impl TestBox {
    /// A box at a quarter past ten of a school day.
    pub(super) async fn new() -> Self {
        Self::at("2026-11-26T10:15:00Z").await
    }

    /// A box at a moment.
    pub(super) async fn at(moment: &str) -> Self {
        Self::with_users(moment, |control| control)
    }

    /// A box at a moment that resolves names, by the shipped settings.
    pub(super) async fn resolving_at(moment: &str) -> Self {
        let settings = resolver::Config::default();
        let clock = Clock::held_at(moment.parse().unwrap());
        let routes = resolver::build(&settings).unwrap();
        let resolver = Resolver::new(routes, (&settings).into(), clock, tokio::runtime::Handle::current());
        Self::with_users(moment, |control| control.with_resolver(Arc::new(resolver)).with_routing(&settings))
    }

    fn with_users(moment: &str, more: impl FnOnce(Control) -> Control) -> Self {
        // Passwords take long to make, so the users are made once.
        static MADE: OnceLock<(tempfile::TempDir, Vec<(Role, UserId)>)> = OnceLock::new();
        let (made, users) = MADE.get_or_init(|| {
            let new = Self::unclaimed_at("2026-11-01T08:00:00Z");
            let accounts = &new.admin.accounts;
            let code = accounts.setup_code().unwrap().unwrap();
            let from = std::net::IpAddr::from([10, 20, 1, 2]);
            let users = Role::ALL.map(|role| {
                let user = NewUser {
                    name: role.word().to_owned(),
                    full_name: format!("The {}", role.word()),
                    role,
                    ends: None,
                };
                let id = if role == Role::Head {
                    accounts.claim(code.expose(), &user, PASSWORD, from.into()).unwrap().0
                } else {
                    accounts.add(&user, PASSWORD, false).unwrap().0
                };
                (role, id)
            });
            (new.data, users.to_vec())
        });
        let data = tempfile::tempdir().unwrap();
        for file in fs::read_dir(made.path()).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), data.path().join(file.file_name())).unwrap();
            }
        }
        let new = Self::open(data, moment, more);
        let session = |(role, id): &(Role, UserId)| (*role, *id, new.admin.accounts.session_for_tests(*id));
        let sessions = users.iter().map(session).collect();
        Self { sessions, ..new }
    }

    /// A box that nobody has set up.
    pub(super) fn unclaimed_at(moment: &str) -> Self {
        Self::open(tempfile::tempdir().unwrap(), moment, |control| control)
    }

    fn open(data: tempfile::TempDir, moment: &str, more: impl FnOnce(Control) -> Control) -> Self {
        let clock = Clock::held_at(moment.parse().unwrap());
        let config = feeds::Config { automatic: false, ..feeds::Config::default() };
        let feeds = Feeds::new(&config, Arc::new(SystemLookup), clock.clone()).unwrap();
        let control = more(Control::open(data.path(), clock.clone(), feeds, 5).unwrap());
        let log =
            QueryLog::open(LogFolder::in_data(data.path()), clock.clone(), control.vault(), &[]).unwrap();
        let log = Arc::new(log);
        // An appliance once a test makes the folder of requests.
        let machine = Machine::at(&data.path().join("run"), &data.path().join("system"));
        let machine = machine.with_limit(std::time::Duration::from_secs(20));
        let control = Arc::new(control.with_log(Arc::clone(&log)).with_machine(machine));
        let accounts =
            Accounts::open(data.path(), clock.clone(), control.vault(), Settings::default()).unwrap();
        let admin = Admin::new(Parts {
            control,
            accounts: Arc::new(accounts),
            certificates: Some(Arc::new(Certificates::open(data.path(), &[], &clock).unwrap())),
            log: Some(log),
            clock,
            config: Config::default(),
            dns: vec!["10.20.0.53:53".parse().unwrap()],
            school: Arc::new(School::open(data.path())),
            stop: tokio_util::sync::CancellationToken::new(),
        });
        let router = admin.router();
        Self { admin, router, sessions: Vec::new(), data }
    }

    /// The number of the user of a role.
    pub(super) fn user(&self, role: Role) -> UserId {
        self.sessions.iter().find(|(known, ..)| *known == role).unwrap().1
    }

    /// A request of somebody's browser, or of nobody's.
    pub(super) fn request(&self, role: Option<Role>, method: Method, path: &str) -> request::Builder {
        let mut request =
            Request::builder().method(method).uri(path).header(header::HOST, "schoolgate.local");
        if let Some(role) = role {
            let token = &self.sessions.iter().find(|(known, ..)| *known == role).unwrap().2;
            request = request.header(header::COOKIE, format!("schoolgate={token}"));
        }
        request.header("sec-fetch-site", "same-origin")
    }

    /// Sends a request.
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        self.send_by(false, request).await
    }

    /// Sends a request, by TLS or plainly.
    pub(super) async fn send_by(&self, secure: bool, request: Request<Body>) -> Answer {
        let mut request = request;
        let peer = Peer {
            address: "10.20.1.2:50000".parse().unwrap(),
            local: "10.20.0.53:443".parse().unwrap(),
            secure,
        };
        request.extensions_mut().insert(peer);
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// A page, as somebody of a role sees it.
    pub(super) async fn get(&self, role: Role, path: &str) -> Answer {
        self.send(self.request(Some(role), Method::GET, path).body(Body::empty()).unwrap()).await
    }

    /// A part of a page, as htmx asks for it.
    pub(super) async fn part(&self, role: Role, path: &str) -> Answer {
        let request = self.request(Some(role), Method::GET, path).header("hx-request", "true");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A form that somebody of a role sends.
    pub(super) async fn post(&self, role: Role, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.request(Some(role), Method::POST, path);
        self.send(request.header(header::CONTENT_TYPE, FORM).body(form_of(form).into()).unwrap()).await
    }

    /// A form that somebody of a role sends by htmx.
    pub(super) async fn part_post(&self, role: Role, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.request(Some(role), Method::POST, path).header("hx-request", "true");
        self.send(request.header(header::CONTENT_TYPE, FORM).body(form_of(form).into()).unwrap()).await
    }

    /// A form that nobody sends who is known, as at the door.
    pub(super) async fn post_as_nobody(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.request(None, Method::POST, path);
        self.send(request.header(header::CONTENT_TYPE, FORM).body(form_of(form).into()).unwrap()).await
    }

    /// A page, as nobody sees it who is known.
    pub(super) async fn get_as_nobody(&self, path: &str) -> Answer {
        self.send(self.request(None, Method::GET, path).body(Body::empty()).unwrap()).await
    }

    /// What a page is told that is not asked again, until it has a text.
    pub(super) async fn told_until(&self, role: Role, path: &str, text: &str) -> String {
        let request = self.request(Some(role), Method::GET, path).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let mut told = String::new();
        let mut body = response.into_body().into_data_stream();
        let end = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        while !told.contains(text) {
            let more = tokio::time::timeout_at(end, body.next()).await;
            let more = more.unwrap_or_else(|_| panic!("only this was told: {told}"));
            told.push_str(&String::from_utf8_lossy(&more.expect("it goes on").unwrap()));
        }
        told
    }

    /// Asks for a name as a device does; the log has it then.
    pub(super) fn ask(&self, address: &str, name: &str) {
        self.ask_at(address, name, self.admin.clock.now());
        self.admin.log.as_ref().unwrap().flush().unwrap();
    }

    /// The same at a moment, and the log may write it later.
    pub(super) fn ask_at(&self, address: &str, name: &str, at: Timestamp) {
        let policy = self.admin.control.policy().load_full();
        let client = policy.identify(address.parse().unwrap(), None);
        let key = Key::from_bytes(&reversed(name));
        let question = Question { key: key.clone(), qtype: RecordType::A, first_asked: FirstAsked::Unknown };
        let decision = policy.decide(&question, &client, at);
        let fate = Fate {
            transport: Transport::Udp,
            qtype: RecordType::A,
            rcode: ResponseCode::NoError,
            decision: Ok(&decision),
            source: AnswerSource::Cache,
            security: None,
        };
        let log = self.admin.log.as_ref().unwrap();
        log.record(&policy, &Event { at, client: &client, name: &key, fate: &fate, took: 70, reply: None });
    }

    /// Waits until what was asked is in the log: on a busy machine that takes longer than a page waits for it.
    pub(super) fn written(&self) {
        self.admin.log.as_ref().unwrap().flush().unwrap();
    }

    /// A token of somebody, with these scopes.
    pub(super) fn token(&self, role: Role, scopes: &[Scope]) -> String {
        let new = NewToken { name: String::from("test"), scopes: scopes.to_vec(), ends: None };
        self.admin.accounts.add_token(self.user(role), &new).unwrap().1.expose().to_owned()
    }
}

/// A name with its last label first, as keys have it; whatever bytes it is made of.
fn reversed(name: &str) -> Vec<u8> {
    name.split('.').rev().collect::<Vec<_>>().join(".").into_bytes()
}

pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// A form as it is sent.
pub(super) fn form_of(fields: &[(&str, &str)]) -> String {
    let pairs =
        fields.iter().map(|(name, value)| format!("{}={}", visit::encoded(name), visit::encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn somebody_signs_in_and_out() {
    let school = TestBox::new().await;
    let asked = school.get_as_nobody("/check?name=bbc.co.uk").await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
    assert_eq!(asked.leads_to(), "/sign-in?to=/check%3Fname%3Dbbc.co.uk");
    let wrong = school
        .post_as_nobody("/sign-in", &[("name", "teacher"), ("password", "wrong"), ("to", "/check")])
        .await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(
        wrong.has("The name or the password is wrong.") && wrong.has("value=\"teacher\""),
        "{}",
        wrong.body
    );
    assert!(!wrong.headers.contains_key(header::SET_COOKIE));
    let right = [("name", "teacher"), ("password", PASSWORD), ("to", "/check?name=bbc.co.uk")];
    let right = school.post_as_nobody("/sign-in", &right).await;
    assert_eq!(right.leads_to(), "/check?name=bbc.co.uk");
    let cookie = right.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    let pair = cookie.split(';').next().unwrap().to_owned();
    let with = |method, path: &str| {
        let request = school.request(None, method, path).header(header::COOKIE, &pair);
        school.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(with(Method::GET, "/check").await.status, StatusCode::OK);
    let out = with(Method::POST, "/sign-out").await;
    assert!(out.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(with(Method::GET, "/check").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_second_factor_is_set_up_before_anything_else_is_seen() {
    let school = TestBox::new().await;
    let form = [("name", "technician"), ("password", PASSWORD)];
    let signed_in = school.post_as_nobody("/sign-in", &form).await;
    assert_eq!(signed_in.leads_to(), "/sign-in/next");
    let pair = signed_in.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let get = |path: &str| {
        let request = school.request(None, Method::GET, path).header(header::COOKIE, &pair);
        school.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(get("/check").await.leads_to(), "/sign-in/next?to=/check");
    let page = get("/sign-in/next").await;
    assert!(page.has("data:image/svg+xml;base64,") && page.has("Set up your second factor"), "{}", page.body);
    let stage = school.admin.accounts.limited(pair.split_once('=').unwrap().1).unwrap().unwrap().stage;
    assert_eq!(stage, Stage::SecondFactorSetUp);
}

#[tokio::test]
async fn what_goes_wrong_is_a_page_for_people_and_a_problem_for_programs() {
    let school = TestBox::new().await;
    let page = school.get(Role::Head, "/no-such-page").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.has("There is no such page."), "{}", page.body);
    let problem = school.get(Role::Head, "/api/v1/no-such-thing").await;
    assert_eq!(problem.status, StatusCode::NOT_FOUND);
    assert_eq!(problem.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(problem.json()["type"], "urn:schoolgate:problem:not-found");
    let token =
        school.request(None, Method::GET, "/api/v1/x").header(header::AUTHORIZATION, "Bearer sgt_wrong");
    let refused = school.send(token.body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_is_not_signed_in_sends_little_at_one_time() {
    let school = TestBox::new().await;
    let much = "x".repeat(100_000);
    let refused = school.post_as_nobody("/sign-in", &[("name", &much), ("password", "x")]).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", refused.body);
    let taken = school.post(Role::Head, "/sites/import", &[("text", &much)]).await;
    assert_ne!(taken.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_banner_says_what_the_overview_says() {
    let school = TestBox::new().await;
    let said = "A trial goes on: nothing but locked and security categories is blocked.";
    for page in ["/", "/limits"] {
        assert!(!school.get(Role::Governor, page).await.has(said), "{page}");
    }
    let form = [("start", "watch"), ("reason", "a trial")];
    let asked = school.post(Role::Head, "/set-up/start", &form).await;
    assert!(asked.status.is_redirection(), "{}", asked.body);
    assert!(super::health::Health::of(&school.admin).is_watching());
    assert!(school.get(Role::Governor, "/limits").await.has(said));
    let overview = school.get(Role::Governor, "/").await;
    assert_eq!(overview.body.matches(said).count(), 2, "as a banner, and among what needs attention");
}

#[tokio::test]
async fn every_answer_tells_browsers_to_load_nothing_from_elsewhere() {
    let school = TestBox::new().await;
    for path in ["/sign-in", "/no-such-page", "/static/app.css", "/check"] {
        let answer = school.get_as_nobody(path).await;
        assert_eq!(
            answer.headers[header::CONTENT_SECURITY_POLICY],
            super::security::CONTENT_SECURITY_POLICY,
            "{path}"
        );
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!answer.headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }
}

#[tokio::test]
async fn a_site_is_checked_for_every_profile() {
    let school = TestBox::new().await;
    let page = school.get(Role::Teacher, "/check?name=https://bet365.com/sports").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.has("bet365.com") && page.has("Blocked"), "{}", page.body);
    assert!(!page.has("Allow it here"), "a teacher changes nothing");
    assert!(school.part(Role::Head, "/check?name=bet365.com").await.has("Allow it here"));
    let hostile = school.get(Role::Head, "/check?name=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(!hostile.has("<script>alert"), "{}", hostile.body);
}
