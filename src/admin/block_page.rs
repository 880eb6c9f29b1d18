//! The page that blocked sites lead to: a plain web server at whatever name and path a browser asks for.
//!
//! Pages are answered with 403: the box understood and refuses, which programs take for no answer of the site's. (200
//! would be taken for the site itself by whatever looks for updates or data there; 451 is for what the law demands.) What
//! is no page, such as a picture or a script, gets a line of text.
//!
//! Everybody in the school reaches it, so it has no cookies, no scripts and no forms, looks up little, and says no name
//! that must not be shown.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use askama::Template;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use tokio::sync::Semaphore;

use super::{
    listen::Peer,
    words::{Catalogue, Words},
};
use crate::{
    category::{Audience, is_sealed},
    clock::Clock,
    control::{Asker, CheckReport, CheckRequest, Control},
    policy::Policy,
};

/// How many reasons are looked up at one time, and how long that may take; without it, the page says less.
const AT_ONCE: usize = 8;
const PATIENCE: Duration = Duration::from_secs(2);

/// How many reasons one client is told in so many seconds.
const PER_CLIENT: u32 = 20;
const WINDOW: i64 = 10;

/// Of how many clients that is counted.
const COUNTED: usize = 4_096;

const STYLE: &str = include_str!("../../web-admin/templates/block_page.css");

/// What the page may load: the style that is written into it, by its digest, and nothing else.
static SECURITY: LazyLock<String> = LazyLock::new(|| {
    let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
    format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        BASE64.encode(digest.as_ref())
    )
});

/// The server of the page.
pub struct BlockPage {
    control: Arc<Control>,
    clock: Clock,
    words: Catalogue,
    room: Semaphore,
    /// Since when, in windows, and how often each client was told.
    told: Mutex<HashMap<IpAddr, (i64, u32)>>,
    pages: Option<Pages>,
}

/// Where the web pages are, for who asks for the box and not for a site.
struct Pages {
    /// Names of the box, in small letters.
    names: Vec<String>,
    port: u16,
}

impl std::fmt::Debug for BlockPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockPage").finish_non_exhaustive()
    }
}

#[derive(Template)]
#[template(path = "block_page.html")]
struct Shown<'a> {
    language: &'a str,
    school: &'a str,
    style: &'static str,
    title: String,
    /// The site; empty where it is not to be said.
    site: String,
    why: String,
    /// Who helps.
    help: Vec<String>,
    ask: String,
    contact: &'a str,
}

/// What is known of the site.
enum Found {
    /// The browser asked for the box, not for a site.
    Nothing,
    /// Nobody had the time to look.
    Unknown,
    /// The client may have it now.
    Open,
    /// Why not.
    Blocked(Box<CheckReport>),
}

impl BlockPage {
    /// A server that asks `control` for reasons.
    #[must_use]
    pub fn new(control: Arc<Control>, clock: Clock) -> Self {
        let (words, room) = (Catalogue::shipped(), Semaphore::new(AT_ONCE));
        Self { control, clock, words, room, told: Mutex::default(), pages: None }
    }

    /// The same, that leads who asks for one of the box's own names, or for its address, to the web pages at this port.
    #[must_use]
    pub fn leading_to(self, names: &[String], port: u16) -> Self {
        let names = names.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        Self { pages: Some(Pages { names, port }), ..self }
    }

    /// The page, at every address. Each request has to have a [`Peer`] among its extensions.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(answer).with_state(Arc::clone(self))
    }

    /// Whether a client is told one more reason.
    fn may_be_told(&self, client: IpAddr) -> bool {
        let window = self.clock.now().as_second().div_euclid(WINDOW);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= COUNTED && !told.contains_key(&client) {
            told.retain(|_, (since, _)| *since == window);
            if told.len() >= COUNTED {
                return false;
            }
        }
        let (since, times) = told.entry(client).or_insert((window, 0));
        if *since != window {
            (*since, *times) = (window, 0);
        }
        *times += 1;
        *times <= PER_CLIENT
    }

    async fn find(&self, client: IpAddr, host: &str) -> Found {
        if !self.may_be_told(client) {
            return Found::Unknown;
        }
        let Ok(_place) = self.room.try_acquire() else { return Found::Unknown };
        let look = async {
            // Most are blocked by their name; only others have to be resolved to find out.
            let mut request = CheckRequest {
                name: host.to_owned(),
                r#type: String::from("A"),
                who: Asker::Address(client),
                at: None,
                resolve: false,
            };
            let by_name = self.control.check(&request).await?;
            if by_name.blocked() {
                return Ok(by_name);
            }
            request.resolve = true;
            self.control.check(&request).await
        };
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(report)) if report.blocked() => Found::Blocked(Box::new(report)),
            Ok(Ok(_)) => Found::Open,
            Ok(Err(error)) if error.is_bad_input() => Found::Nothing,
            Ok(Err(_)) | Err(_) => Found::Unknown,
        }
    }
}

impl Pages {
    /// The address of the web pages, for a request that is for the box itself.
    fn at(&self, request: &Parts) -> Option<String> {
        let asked = host(request)?;
        let is_address = match asked.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
            None => asked.parse::<Ipv4Addr>().is_ok(),
        };
        let is_own = is_address || self.names.iter().any(|name| asked.eq_ignore_ascii_case(name));
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        is_own.then(|| format!("https://{asked}{port}/"))
    }
}

/// What a browser asked for, without a port: a name, or an address, of IPv6 in brackets.
fn host(request: &Parts) -> Option<&str> {
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri.host())?;
    match host.find(']') {
        Some(end) => host.get(..=end),
        None => host.split(':').next(),
    }
}

async fn answer(State(page): State<Arc<BlockPage>>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    let mut response = if is_read && wants_page(&request.headers) {
        match page.pages.as_ref().and_then(|pages| pages.at(&request)) {
            Some(there) => (StatusCode::FOUND, [(header::LOCATION, there)]).into_response(),
            None => shown(&page, &request).await,
        }
    } else {
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (StatusCode::FORBIDDEN, kind, "Blocked by the school's filter.\n").into_response()
    };
    let headers = response.headers_mut();
    if let Ok(security) = HeaderValue::from_str(&SECURITY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, security);
    }
    for (name, value) in [
        // What is blocked now may be open in a minute.
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn shown(page: &BlockPage, request: &Parts) -> Response {
    let found = match (site(request), request.extensions.get::<Peer>()) {
        (Some(host), Some(peer)) => page.find(peer.address.ip().to_canonical(), &host).await,
        (None, _) => Found::Nothing,
        (Some(_), None) => Found::Unknown,
    };
    let accepted = request.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let words = page.words.choose(accepted.unwrap_or_default());
    let policy = page.control.policy().load_full();
    let status = match &found {
        Found::Nothing => StatusCode::NOT_FOUND,
        Found::Open => StatusCode::SERVICE_UNAVAILABLE,
        Found::Unknown | Found::Blocked(_) => StatusCode::FORBIDDEN,
    };
    let shown = said(&found, &policy, &words);
    match shown.render() {
        Ok(text) => {
            let mut response =
                (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response();
            if matches!(found, Found::Open) {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
            }
            response
        }
        Err(error) => {
            tracing::error!(%error, "The page of a blocked site could not be made");
            StatusCode::FORBIDDEN.into_response()
        }
    }
}

/// What the page says.
fn said<'a>(found: &Found, policy: &'a Policy, words: &'a Words) -> Shown<'a> {
    let file = policy.file();
    let contact = file.contact.as_deref().and_then(|contact| contact.strip_prefix("mailto:")).unwrap_or("");
    let mut shown = Shown {
        language: words.language(),
        school: &file.school,
        style: STYLE,
        title: words.get("block-title"),
        site: String::new(),
        why: String::new(),
        help: Vec::new(),
        ask: String::new(),
        contact: "",
    };
    match found {
        Found::Nothing => {
            shown.title = words.get("block-title-nothing");
            shown.why = words.get("block-why-nothing");
        }
        Found::Open => {
            shown.title = words.get("block-title-open");
            shown.why = words.get("block-why-open");
        }
        Found::Unknown => {
            shown.why = words.get("block-why-other");
            shown.ask = words.get("block-ask-pupil");
        }
        Found::Blocked(report) => {
            let category = report.category.as_deref().unwrap_or_default();
            if report.sealed || is_sealed(category) {
                shown.why = words.get("block-why-illegal");
                shown.help.push(words.get("block-help-illegal"));
                return shown;
            }
            shown.site = report.name.clone();
            shown.why = why(report, policy, words);
            shown.help.extend(help(category).map(|key| words.get(key)));
            let is_staff = file
                .profiles
                .iter()
                .any(|profile| profile.id == report.profile && profile.audience == Audience::Staff);
            (shown.ask, shown.contact) = match (report.reason.as_str(), is_staff) {
                ("suspended", _) => (String::new(), ""),
                _ if !contact.is_empty() => (words.get("block-ask-contact"), contact),
                (_, true) => (words.get("block-ask-staff"), ""),
                (_, false) => (words.get("block-ask-pupil"), ""),
            };
        }
    }
    shown
}

/// The reason, in words for a child.
fn why(report: &CheckReport, policy: &Policy, words: &Words) -> String {
    let categories = policy.categories();
    let category = report.category.as_deref().and_then(|id| categories.find(id));
    let title = category.map(|id| categories.get(id).title.clone());
    match (report.reason.as_str(), title) {
        ("block-rule", _) => words.get("block-why-school"),
        ("block-service", _) => words.get("block-why-service"),
        ("allow-only", _) => words.get("block-why-approved"),
        ("newly-seen", _) => words.get("block-why-new"),
        ("uncategorised", _) => words.get("block-why-unknown"),
        ("lesson", _) => words.get("block-why-lesson"),
        ("suspended", _) => words.get("block-why-suspended"),
        ("schedule", Some(title)) => words.with("block-why-schedule", [("category", title.into())]),
        (_, Some(title)) => words.with("block-why-category", [("category", title.into())]),
        (_, None) => words.get("block-why-other"),
    }
}

/// Who helps somebody who looks for such a thing: the key of a sentence.
fn help(category: &str) -> Option<&'static str> {
    match category {
        "self-harm" => Some("block-help-self-harm"),
        "drugs" | "alcohol-tobacco" => Some("block-help-drugs"),
        "gambling" => Some("block-help-gambling"),
        "strangers" | "dating" | "anonymous" | "ai-companion" | "stalkerware" => Some("block-help-contact"),
        "adult" | "extreme" | "hate" | "extremism" | "weapons" | "cults" => Some("block-help-worried"),
        _ => None,
    }
}

/// Whether somebody is to read the answer.
fn wants_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-dest") {
        Some(what) => matches!(what, "document" | "iframe" | "frame"),
        None => text("accept").is_some_and(|accept| accept.contains("text/html")),
    }
}

/// The name of the site that a browser asked for; none for an address, which is the box's own.
fn site(request: &Parts) -> Option<String> {
    let host = host(request)?;
    if host.len() > 300 || host.starts_with('[') {
        return None;
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let is_site = name.contains('.') && name.parse::<IpAddr>().is_err();
    is_site.then_some(name)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt;

    use super::*;
    use crate::admin::tests::TestBox;

    struct Answered {
        status: StatusCode,
        headers: HeaderMap,
        body: String,
    }

    async fn ask(page: &Arc<BlockPage>, client: &str, host: &str, accept: &str) -> Answered {
        let request = Request::builder()
            .uri("/any/path?x=%3Cscript%3E")
            .header(header::HOST, host)
            .header(header::ACCEPT, accept);
        let mut request = request.body(Body::empty()).unwrap();
        let address = std::net::SocketAddr::new(client.parse().unwrap(), 50_000);
        request.extensions_mut().insert(Peer {
            address,
            local: "10.20.0.53:80".parse().unwrap(),
            secure: false,
        });
        let response = page.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answered { status: parts.status, headers: parts.headers, body }
    }

    async fn page() -> (TestBox, Arc<BlockPage>) {
        let school = TestBox::new().await;
        let page = BlockPage::new(Arc::clone(&school.admin.control), school.admin.clock.clone());
        (school, Arc::new(page))
    }

    const HTML: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

    #[tokio::test]
    async fn a_blocked_site_says_so_in_words_for_a_child_and_who_helps() {
        let (_school, page) = page().await;
        let answer = ask(&page, "127.0.0.1", "bet365.com", HTML).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        for text in
            ["This site is blocked", "bet365.com", "Gambling", "0808\u{a0}8020\u{a0}133", "Ask your teacher"]
        {
            assert!(answer.body.contains(text), "{text}: {}", answer.body);
        }
        assert!(!answer.body.contains("<script") && !answer.headers.contains_key(header::SET_COOKIE));
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        assert!(answer.body.contains(STYLE), "the style is the one of the digest");
        let security = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(security.contains("style-src 'sha256-") && !security.contains("unsafe"), "{security}");
    }

    #[tokio::test]
    async fn the_reason_is_that_of_the_client_who_asks() {
        let (_school, page) = page().await;
        // No network has this address, so it has the strictest profile, in which only approved sites open.
        let stranger = ask(&page, "10.99.0.1", "unlisted.example", HTML).await;
        assert!(stranger.body.contains("only sites that a teacher has approved"), "{}", stranger.body);
        let open = ask(&page, "127.0.0.1", "unlisted.example", HTML).await;
        assert_eq!(open.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(open.body.contains("This site is open now"), "{}", open.body);
    }

    #[tokio::test]
    async fn nothing_of_the_request_gets_into_the_page_but_a_name() {
        let (_school, page) = page().await;
        for host in
            ["10.20.0.53", "10.20.0.53:80", "[fd00::53]", "schoolgate", "", "a b.example", "<script>.example"]
        {
            let answer = ask(&page, "127.0.0.1", host, HTML).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{host}");
            assert!(
                answer.body.contains("Nothing is blocked here") && !answer.body.contains("<script"),
                "{host}"
            );
        }
        let long = ask(&page, "127.0.0.1", &format!("{}.example", "a".repeat(400)), HTML).await;
        assert_eq!(long.status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn who_asks_for_the_box_itself_is_led_to_its_pages() {
        let (school, _) = page().await;
        let page = |port| {
            let page = BlockPage::new(Arc::clone(&school.admin.control), school.admin.clock.clone());
            Arc::new(page.leading_to(&[String::from("Schoolgate.local")], port))
        };
        for (host, port, there) in [
            ("schoolgate.local", 443, "https://schoolgate.local/"),
            ("SCHOOLGATE.local:80", 443, "https://SCHOOLGATE.local/"),
            ("10.20.0.53", 8443, "https://10.20.0.53:8443/"),
            ("[fd00::53]:80", 443, "https://[fd00::53]/"),
        ] {
            let answer = ask(&page(port), "127.0.0.1", host, HTML).await;
            assert_eq!(answer.status, StatusCode::FOUND, "{host}");
            assert_eq!(answer.headers[header::LOCATION], there);
            assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        }
        for host in ["bet365.com", "schoolgate.local.example", "[fd00::53", "[x]", "10.20.0.53.example", ""] {
            let answer = ask(&page(443), "127.0.0.1", host, HTML).await;
            assert!(!answer.headers.contains_key(header::LOCATION), "{host}");
        }
    }

    #[tokio::test]
    async fn what_is_no_page_gets_one_line() {
        let (_school, page) = page().await;
        for accept in ["image/avif,image/webp,*/*;q=0.8", "*/*", "application/json"] {
            let answer = ask(&page, "127.0.0.1", "bet365.com", accept).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
            assert_eq!(answer.body, "Blocked by the school's filter.\n", "{accept}");
        }
    }

    #[tokio::test]
    async fn one_client_cannot_have_the_box_look_up_names_without_an_end() {
        let (school, page) = page().await;
        for _ in 0..PER_CLIENT {
            assert!(ask(&page, "127.0.0.1", "bet365.com", HTML).await.body.contains("Gambling"));
        }
        let refused = ask(&page, "127.0.0.1", "bet365.com", HTML).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert!(!refused.body.contains("Gambling") && refused.body.contains("This site is blocked"));
        assert!(ask(&page, "127.0.0.2", "bet365.com", HTML).await.body.contains("Gambling"));
        school.admin.clock.set("2026-11-26T10:15:30Z".parse().unwrap());
        assert!(ask(&page, "127.0.0.1", "bet365.com", HTML).await.body.contains("Gambling"));
        for client in 0..u32::try_from(COUNTED).unwrap() + 10 {
            page.may_be_told(IpAddr::from(client.to_be_bytes()));
        }
        assert!(page.told.lock().unwrap().len() <= COUNTED);
    }

    #[test]
    fn a_sealed_name_is_never_said() {
        let words = Catalogue::shipped().choose("en");
        let school = PolicyForTests::shipped();
        for (sealed, category) in [(true, None), (false, Some("illegal-child-abuse"))] {
            let report = CheckReport {
                name: String::from("sealed.example"),
                sealed,
                category: category.map(str::to_owned),
                verdict: String::from("block"),
                reason: String::from("locked"),
                ..school.report.clone()
            };
            let text = said(&Found::Blocked(Box::new(report)), &school.policy, &words).render().unwrap();
            assert!(!text.contains("sealed.example") && text.contains("0808\u{a0}1000\u{a0}900"), "{text}");
            assert!(!text.contains("Child sexual abuse"), "{text}");
        }
    }

    #[test]
    fn each_category_with_help_is_one_that_there_is() {
        let categories = crate::category::Categories::shipped();
        for id in [
            "self-harm",
            "drugs",
            "alcohol-tobacco",
            "gambling",
            "strangers",
            "dating",
            "anonymous",
            "ai-companion",
            "stalkerware",
            "adult",
            "extreme",
            "hate",
            "extremism",
            "weapons",
            "cults",
        ] {
            assert!(categories.find(id).is_some() && help(id).is_some(), "{id}");
        }
        assert!(help("shopping").is_none());
    }

    struct PolicyForTests {
        policy: Arc<Policy>,
        report: CheckReport,
    }

    impl PolicyForTests {
        fn shipped() -> Self {
            let new = TestBox::unclaimed_at("2026-11-26T10:15:00Z");
            let request = CheckRequest {
                name: String::from("bet365.com"),
                r#type: String::from("A"),
                who: Asker::Unknown,
                at: None,
                resolve: false,
            };
            let check = new.admin.control.check(&request);
            let report = futures_util::FutureExt::now_or_never(check).unwrap().unwrap();
            Self { policy: new.admin.control.policy().load_full(), report }
        }
    }
}
