//! Who asks for a page, and whether they may: the way of a request from the socket to its page and back.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use askama::Template;
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    Admin,
    access::Right,
    failure::{Failure, Problem},
    listen::Peer,
    page::{Page, SignedIn, html_with, see},
    words::Words,
};
use crate::{
    accounts::{AccountChange, Accounts, AccountsError, ApiToken, Caller, KeyHost, Limited, Session},
    control::EditAsked,
};

/// The cookie of a session, over TLS and without.
const SECURE_COOKIE: &str = "__Host-schoolgate";
const PLAIN_COOKIE: &str = "schoolgate";

/// Where a request comes from that came by no socket.
const NOWHERE: Peer = {
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    Peer { address, local: address, secure: false }
};

/// The cookie of who chose light or dark.
const THEME_COOKIE: &str = "theme";

/// Who a request is from.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    /// Nobody that is known.
    Nobody,
    /// Somebody whose password was right, and of whom something else is awaited.
    Unfinished(Limited),
    /// Somebody at a browser.
    Person(Session),
    /// A program.
    Program(ApiToken),
}

impl Identity {
    /// Whether they may do something: their role, and for a program the scopes of its token as well.
    pub(super) fn may(&self, right: Right) -> bool {
        match self {
            Self::Nobody | Self::Unfinished(_) => right == Right::Open,
            Self::Person(session) => right.is_of(session.role),
            Self::Program(token) => {
                right == Right::Open || (right.is_of(token.role) && token.may(right.scope()))
            }
        }
    }

    /// What the audit calls them.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Nobody => String::from("nobody"),
            Self::Unfinished(limited) => limited.user.name.clone(),
            Self::Person(session) => session.name.clone(),
            Self::Program(token) => format!("{} (token {})", token.user_name, token.name),
        }
    }
}

/// A request, as pages see it.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) admin: Arc<Admin>,
    pub(super) identity: Identity,
    pub(super) words: Arc<Words>,
    pub(super) peer: Peer,
    /// htmx asks for a part of the page.
    pub(super) part: bool,
    /// What the browser asked, as it is in its address bar: a name or an address, with a port or without.
    asked_host: String,
    /// What the browser calls itself.
    agent: String,
    /// The token of the session that the request carries.
    pub(super) token: Option<String>,
    /// The API token that it carries.
    bearer: Option<String>,
    done: Option<String>,
    theme: &'static str,
}

impl Visit {
    fn of(admin: &Arc<Admin>, request: &Parts) -> Self {
        let text = |name| request.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let words = admin.words.choose(text(header::ACCEPT_LANGUAGE).unwrap_or_default());
        let done = request.uri.query().and_then(|query| {
            let key = query.split('&').find_map(|part| part.strip_prefix("done="))?;
            (key.starts_with("done-") && words.has(key)).then(|| words.get(key))
        });
        let theme = match cookie(&request.headers, THEME_COOKIE) {
            Some("dark") => "dark",
            Some("light") => "light",
            _ => "",
        };
        let peer: Peer = request.extensions.get().copied().unwrap_or(NOWHERE);
        Self {
            admin: Arc::clone(admin),
            // HTTP/2 has it in the address of the request.
            asked_host: text(header::HOST)
                .or_else(|| request.uri.authority().map(Authority::as_str))
                .unwrap_or_default()
                .to_owned(),
            agent: text(header::USER_AGENT).unwrap_or_default().to_owned(),
            token: session_secret(&request.headers, peer.secure).map(str::to_owned),
            bearer: bearer(&request.headers).map(str::to_owned),
            identity: request.extensions.get().cloned().unwrap_or(Identity::Nobody),
            words,
            peer,
            part: request.headers.contains_key("hx-request"),
            done,
            theme,
        }
    }

    /// The frame of a page: its title, by the key of the sentence, and its place in the navigation.
    pub(super) fn page(&self, title: &str, current: &'static str) -> Page {
        let signed_in = match &self.identity {
            Identity::Person(session) => {
                Some(SignedIn { name: session.full_name.clone(), role: session.role })
            }
            _ => None,
        };
        let banners =
            if signed_in.is_some() { self.admin.banners(&self.words, &self.identity) } else { Vec::new() };
        Page {
            title: self.words.get(title),
            words: Arc::clone(&self.words),
            school: self.admin.control.policy().load().file().school.clone(),
            current,
            signed_in,
            done: self.done.clone(),
            theme: self.theme,
            banners,
        }
    }

    /// Whether who asks may do something.
    pub(super) fn may(&self, right: Right) -> bool {
        self.identity.may(right)
    }

    /// A change of the policy, as who asks may make it: one who may not open anything on their own word proposes that,
    /// where there is somebody to approve it.
    pub(super) fn asked(&self, reason: &str, expect: Option<i64>) -> EditAsked {
        EditAsked {
            by: self.by(),
            reason: reason.to_owned(),
            expect,
            from: Some(self.address().to_string()),
            dry_run: false,
            propose: !self.may(Right::Approve) && self.admin.has_approver(),
        }
    }

    /// Turns a proposal down: any, for who may approve; one's own, for who made it.
    ///
    /// # Errors
    ///
    /// When it is neither, there is no such proposal, or it is decided.
    pub(super) fn turn_down(&self, number: u64, note: &str) -> Result<(), Failure> {
        let control = &self.admin.control;
        let own = control.proposals()?.iter().any(|one| one.number == number && one.by == self.by());
        if !own && !self.may(Right::Approve) {
            return Err(Failure::not_yours());
        }
        Ok(control.turn_down(number, &self.by(), note)?)
    }

    /// Who asks, for the audit.
    pub(super) fn by(&self) -> String {
        self.identity.name()
    }

    /// The address of who asks.
    pub(super) fn address(&self) -> IpAddr {
        self.peer.address.ip().to_canonical()
    }

    /// The address of a page of the box, as the browser reached it.
    pub(super) fn own_address(&self, path: &str) -> String {
        let Peer { local, secure, .. } = self.peer;
        let (scheme, usual) = if secure { ("https", 443) } else { ("http", 80) };
        let host = if local.is_ipv6() { format!("[{}]", local.ip()) } else { local.ip().to_string() };
        let port = if local.port() == usual { String::new() } else { format!(":{}", local.port()) };
        format!("{scheme}://{host}{port}{path}")
    }

    /// Where the page was opened, as security keys see it: by TLS, and by a name that the box's certificate is for. None
    /// elsewhere, since browsers use no keys there.
    pub(super) fn key_host(&self) -> Option<KeyHost> {
        let certificates = self.admin.certificates.as_ref().filter(|_| self.peer.secure)?;
        KeyHost::new(&self.asked_host).filter(|host| certificates.is_for(host.name()))
    }

    /// The address of a page by a name that the box's certificate is for; none where there is none that others on the
    /// network could use.
    pub(super) fn address_by_name(&self, path: &str) -> Option<String> {
        let certificates = self.admin.certificates.as_ref()?;
        let configured = self.admin.config.names.iter().map(|name| name.trim().to_ascii_lowercase());
        let name = configured.chain(certificates.names()).find(|name| {
            let is_special = name == "localhost" || name.contains('*');
            !is_special && KeyHost::new(name).is_some() && certificates.is_for(name)
        })?;
        let port = match self.peer.local.port() {
            443 => String::new(),
            port => format!(":{port}"),
        };
        Some(format!("https://{name}{port}{path}"))
    }

    /// From where who asks does, for the accounts.
    pub(super) fn caller(&self) -> Caller<'_> {
        Caller { address: self.address(), agent: &self.agent }
    }

    /// Writes to the audit what somebody did to accounts.
    pub(super) fn audit(&self, by: &str, change: &AccountChange) {
        self.admin.control.audit_from(by, change.action, &change.detail, Some(self.address()));
    }

    /// Does what takes long, such as comparing a password, where it keeps nobody waiting.
    ///
    /// # Errors
    ///
    /// When it panics, or too much of the kind waits already.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let visit = self.clone();
        let place = Arc::clone(&self.admin.slow).try_acquire_owned().map_err(|_| Failure::busy())?;
        let work = move || {
            let _place = place;
            work(&visit)
        };
        tokio::task::spawn_blocking(work).await.map_err(Failure::inside)
    }

    /// Whether who asked at the beginning of an answer that goes on may still be told: the session holds, or the token
    /// can do what it could. Asking does not count as using the session. What can't be read shows nothing.
    pub(super) async fn still_holds(&self) -> bool {
        let (accounts, identity) = (Arc::clone(&self.admin.accounts), self.identity.clone());
        let (token, bearer) = (self.token.clone(), self.bearer.clone());
        let look = move || match identity {
            Identity::Person(_) => token.is_some_and(|token| accounts.holds(&token).unwrap_or(false)),
            Identity::Program(before) => bearer
                .and_then(|bearer| accounts.api_token(&bearer).ok().flatten())
                .is_some_and(|now| now.role == before.role && now.scopes == before.scopes),
            Identity::Nobody | Identity::Unfinished(_) => false,
        };
        tokio::task::spawn_blocking(look).await.unwrap_or(false)
    }

    /// The session of who asks.
    ///
    /// # Errors
    ///
    /// For programs, which have none.
    pub(super) fn session(&self) -> Result<&Session, Failure> {
        match &self.identity {
            Identity::Person(session) => Ok(session),
            _ => Err(Failure::sign_in_first()),
        }
    }
}

impl FromRequestParts<Arc<Admin>> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Infallible> {
        Ok(Self::of(admin, parts))
    }
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value)
}

/// The API token that a request carries.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let sent = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    sent.strip_prefix("Bearer ").map(str::trim)
}

/// The secret of the session that a request carries.
pub(super) fn session_secret(headers: &HeaderMap, secure: bool) -> Option<&str> {
    cookie(headers, if secure { SECURE_COOKIE } else { PLAIN_COOKIE })
}

/// The cookie that keeps a session, as a header. It ends with the browser; the box ends it sooner.
pub(super) fn session_cookie(secret: &str, secure: bool) -> String {
    if secure {
        format!("{SECURE_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict; Secure")
    } else {
        format!("{PLAIN_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict")
    }
}

/// The cookie that forgets a session.
pub(super) fn no_session_cookie(secure: bool) -> String {
    format!("{}; Max-Age=0", session_cookie("", secure))
}

/// The cookie that keeps light or dark, for a year.
pub(super) fn theme_cookie(theme: &str) -> String {
    format!("{THEME_COOKIE}={theme}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000")
}

/// Finds out who asks, before anything else looks at the request.
pub(super) async fn identify(State(admin): State<Arc<Admin>>, mut request: Request, next: Next) -> Response {
    // What is the same for everybody needs no look into the accounts.
    if request.uri().path().starts_with("/static/") {
        return next.run(request).await;
    }
    let secure = request.extensions().get::<Peer>().is_some_and(|peer| peer.secure);
    let token = bearer(request.headers()).map(str::to_owned);
    let secret = session_secret(request.headers(), secure).map(str::to_owned);
    let has_token = token.is_some();
    let identity = match found(Arc::clone(&admin.accounts), token, secret).await {
        Ok(Some(identity)) => identity,
        // A token that is wrong is told so, and not taken for nobody.
        Ok(None) if has_token => {
            return dressed(&admin, request, Failure::new("failure-token", StatusCode::UNAUTHORIZED));
        }
        Ok(None) => Identity::Nobody,
        // What can't be read opens nothing.
        Err(error) => {
            tracing::error!(error, "Nobody can sign in");
            Identity::Nobody
        }
    };
    request.extensions_mut().insert(identity);
    next.run(request).await
}

/// Whose token or session it is. Beside the threads that answer questions: the disk may be slow, and a command may hold
/// the accounts for a moment.
async fn found(
    accounts: Arc<Accounts>,
    token: Option<String>,
    secret: Option<String>,
) -> Result<Option<Identity>, String> {
    if token.is_none() && secret.is_none() {
        return Ok(None);
    }
    let look = move || {
        let Some(secret) = secret.filter(|_| token.is_none()) else {
            return Ok(accounts.api_token(&token.unwrap_or_default())?.map(Identity::Program));
        };
        Ok(match accounts.session(&secret)? {
            Some(session) => Some(Identity::Person(session)),
            None => accounts.limited(&secret)?.map(Identity::Unfinished),
        })
    };
    let found = tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())?;
    found.map_err(|error: AccountsError| error.to_string())
}

/// Lets through who has a right. On the way of every route: see [`Routes`](super::routes::Routes).
pub(super) async fn guard(right: Right, request: Request, next: Next) -> Response {
    let identity = request.extensions().get::<Identity>().cloned().unwrap_or(Identity::Nobody);
    if identity.may(right) {
        return next.run(request).await;
    }
    let failure = match identity {
        Identity::Nobody => Failure::sign_in_first(),
        Identity::Unfinished(_) => Failure::new("failure-limited", StatusCode::UNAUTHORIZED),
        _ => Failure::not_yours(),
    };
    failure.into_response()
}

/// Makes a page, or on the API a problem, of what went wrong.
pub(super) async fn dress(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let seen = Request::from_parts(parts.clone(), body);
    let mut response = next.run(seen).await;
    let failure = response.extensions_mut().remove::<Failure>().or_else(|| bare(&response));
    match failure {
        Some(failure) => failed(&admin, &parts, &failure, response.headers().clone()),
        None => response,
    }
}

/// A failure that the framework answered, such as an unknown path or a form that can't be read.
fn bare(response: &Response) -> Option<Failure> {
    let known = response.headers().get(header::CONTENT_TYPE);
    let is_text = known.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    match response.status() {
        StatusCode::NOT_FOUND if is_text => Some(Failure::not_found()),
        status @ (StatusCode::BAD_REQUEST
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::UNSUPPORTED_MEDIA_TYPE)
            if is_text =>
        {
            Some(Failure::new("failure-form", status))
        }
        status @ StatusCode::METHOD_NOT_ALLOWED => Some(Failure::new("failure-method", status)),
        status @ StatusCode::PAYLOAD_TOO_LARGE => Some(Failure::new("failure-too-large", status)),
        status @ StatusCode::INTERNAL_SERVER_ERROR if is_text => Some(Failure::new("failure-inside", status)),
        _ => None,
    }
}

fn dressed(admin: &Arc<Admin>, request: Request, failure: Failure) -> Response {
    let (parts, _) = request.into_parts();
    failed(admin, &parts, &failure, HeaderMap::new())
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    p: Page,
    sentence: String,
    detail: &'a str,
}

#[derive(Template)]
#[template(path = "failure.html", block = "failure")]
struct FailurePart<'a> {
    p: Page,
    sentence: String,
    detail: &'a str,
}

fn failed(admin: &Arc<Admin>, request: &Parts, failure: &Failure, headers: HeaderMap) -> Response {
    let visit = Visit::of(admin, request);
    let sentence = visit.words.get(failure.key);
    let path = request.uri.path();
    let mut response = if path.starts_with("/api/") {
        Problem::of(failure, sentence).into_response()
    } else if failure.status == StatusCode::ACCEPTED {
        // What waits for approval is shown where it waits.
        let mut response = see("/proposals", "done-proposed");
        if visit.part
            && let Some(to) = response.headers_mut().remove(header::LOCATION)
        {
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().insert(HeaderName::from_static("hx-redirect"), to);
        }
        response
    } else if failure.status == StatusCode::NOT_FOUND
        && request.method == Method::GET
        && !path.starts_with("/static/")
        && !admin.is_claimed()
    {
        (StatusCode::SEE_OTHER, [(header::LOCATION, "/set-up")]).into_response()
    } else if failure.status == StatusCode::UNAUTHORIZED && request.method == Method::GET && !visit.part {
        // To where one signs in, and back from there.
        let back = request.uri.path_and_query().map_or("/", |path| path.as_str());
        let door = match (&visit.identity, admin.is_claimed()) {
            (Identity::Unfinished(_), _) => "/sign-in/next",
            (_, true) => "/sign-in",
            (_, false) => "/set-up",
        };
        let to = if back == "/" { door.to_owned() } else { format!("{door}?to={}", encoded(back)) };
        (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
    } else {
        let p = visit.page("failure-title", "");
        let detail = failure.detail.as_str();
        let made = if visit.part {
            html_with(failure.status, &FailurePart { p, sentence, detail })
        } else {
            html_with(failure.status, &FailurePage { p, sentence, detail })
        };
        made.unwrap_or_else(|_| failure.status.into_response())
    };
    for name in [header::RETRY_AFTER, header::ALLOW, header::ETAG] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    if failure.status == StatusCode::UNAUTHORIZED && path.starts_with("/api/") {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A text as it may stand in the query of an address.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use axum::{extract::Query, http::Uri};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        accounts::{Role, Scope},
        admin::tests::TestBox,
    };

    proptest! {
        #[test]
        fn the_cookie_of_a_session_is_found_among_others(before in "[ -~]{0,40}", secret in "[a-zA-Z0-9_-]{1,50}") {
            prop_assume!(!before.contains("schoolgate="));
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_str(&before).unwrap());
            prop_assert_eq!(session_secret(&headers, false), None);
            for secure in [false, true] {
                let sent = session_cookie(&secret, secure);
                let pair = sent.split(';').next().unwrap();
                let line = HeaderValue::from_str(&format!("{before}; {pair}")).unwrap();
                headers.insert(header::COOKIE, line);
                prop_assert_eq!(session_secret(&headers, secure), Some(secret.as_str()));
                prop_assert_eq!(session_secret(&headers, !secure), None);
            }
        }

        #[test]
        fn a_text_in_a_query_is_read_as_it_was(text in any::<String>()) {
            let uri: Uri = format!("/x?to={}", encoded(&text)).parse().unwrap();
            let read = Query::<Vec<(String, String)>>::try_from_uri(&uri).unwrap().0;
            prop_assert_eq!(read, [(String::from("to"), text)]);
        }
    }

    #[tokio::test]
    async fn a_program_is_told_no_more_once_its_token_is_revoked() {
        let school = TestBox::new().await;
        let accounts = &school.admin.accounts;
        let token = school.token(Role::Head, &[Scope::Log]);
        let request = school.request(None, Method::GET, "/log");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}")).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let program = accounts.api_token(&token).unwrap().unwrap();
        parts.extensions.insert(Identity::Program(program.clone()));
        let Ok(visit) = Visit::from_request_parts(&mut parts, &school.admin).await;
        assert!(visit.still_holds().await);
        accounts.revoke_token(program.id).unwrap();
        assert!(!visit.still_holds().await);
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; xschoolgate=no;theme=dark"));
        headers.append(header::COOKIE, HeaderValue::from_static("schoolgate=yes"));
        assert_eq!(session_secret(&headers, false), Some("yes"));
        assert_eq!(session_secret(&headers, true), None);
        assert_eq!(cookie(&headers, "theme"), Some("dark"));
    }

    #[test]
    fn an_address_in_a_query_keeps_to_itself() {
        assert_eq!(encoded("/log?name=a&b=\r\n"), "/log%3Fname%3Da%26b%3D%0D%0A");
    }
}
