//! Requests made of any bytes, as browsers and programs could send them, and what must be true of every answer. For the
//! property test of the pages, and for fuzzing.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Request, StatusCode, header},
};

/// No page may have this as it was sent.
pub const MARKUP: &str = "<x-foreign";

/// A place where the box reads what others wrote.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    method: &'static str,
    path: &'static str,
    sent: Sent,
}

#[derive(Debug, Clone, Copy)]
enum Sent {
    /// Fields of a form or parameters, one for each piece between zero bytes; behind these.
    Fields(&'static str, &'static [&'static str]),
    /// All of it as a header.
    Header(&'static str),
    /// All of it as JSON.
    Json,
}

const fn way(method: &'static str, path: &'static str, sent: Sent) -> Way {
    Way { method, path, sent }
}

/// A revision that never is: a form of it is read, and then refused, so that one case changes nothing for the next.
const NO_REVISION: &str = "revision=-1&profile=staff";

/// Each place that is tried.
pub const WAYS: &[Way] = &[
    way(
        "GET",
        "/log",
        Sent::Fields(
            "",
            &["name", "client", "from", "to", "after", "reason", "list", "category", "profile", "action"],
        ),
    ),
    way("GET", "/check", Sent::Fields("", &["name"])),
    way("GET", "/sites", Sent::Fields("", &["q", "action", "profile", "state", "changed"])),
    way("GET", "/sites/new", Sent::Fields("", &["name", "profile", "action"])),
    way(
        "POST",
        "/sites/preview",
        Sent::Fields("action=block", &["names", "clients", "until", "owner", "reason"]),
    ),
    way("POST", "/sites/import", Sent::Fields("", &["text", "reason"])),
    way("POST", "/networks/add", Sent::Fields(NO_REVISION, &["subnets", "reason"])),
    way("GET", "/networks/subnet", Sent::Fields("", &["subnet"])),
    way("POST", "/networks/device", Sent::Fields(NO_REVISION, &["name", "match", "address", "mac"])),
    way("POST", "/set-up/networks", Sent::Fields(NO_REVISION, &["networks", "reason"])),
    way("GET", "/audit", Sent::Fields("", &["by", "action", "text", "from", "to", "before"])),
    way("POST", "/system/certificate", Sent::Fields("", &["chain", "key"])),
    way("GET", "/sign-in", Sent::Fields("", &["to"])),
    way("GET", "/", Sent::Fields("", &["done"])),
    way("POST", "/theme", Sent::Header("referer")),
    way("GET", "/check", Sent::Header("accept-language")),
    way("GET", "/check", Sent::Header("user-agent")),
    way("GET", "/check", Sent::Header("authorization")),
    way("GET", "/check", Sent::Header("cookie")),
    way("POST", "/sites/preview", Sent::Header("origin")),
    way("POST", "/sites/preview", Sent::Header("content-type")),
    way("PATCH", "/api/v1/school?dry_run=true", Sent::Header("if-match")),
    way("GET", "/api/v1/log", Sent::Fields("", &["name", "client", "from", "to", "after", "limit"])),
    way("GET", "/api/v1/check", Sent::Fields("", &["name", "profile", "client", "type", "at"])),
    way("POST", "/api/v1/policy/preview", Sent::Json),
    way("POST", "/api/v1/policy/validate", Sent::Json),
    way("POST", "/api/v1/rules?dry_run=true", Sent::Json),
];

/// A request of a program that may do all; none where no client could send the bytes there.
pub fn request(way: Way, data: &[u8], token: &str) -> Option<Request<Body>> {
    let Way { method, path, sent } = way;
    let mut request = Request::builder().method(method).header(header::HOST, "schoolgate.local");
    let mut path = path.to_owned();
    let mut body = Vec::new();
    let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).ok();
    match sent {
        Sent::Fields(fixed, names) => {
            let pieces = names.iter().zip(data.split(|byte| *byte == 0));
            let fields = pieces.map(|(name, piece)| format!("{name}={}", encoded(piece)));
            let all: Vec<String> =
                Some(fixed.to_owned()).filter(|f| !f.is_empty()).into_iter().chain(fields).collect();
            let all = all.join("&");
            if method == "GET" {
                path = format!("{path}?{all}");
            } else {
                request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                body = all.into_bytes();
            }
        }
        Sent::Header(name) => {
            let value = HeaderValue::from_bytes(data).ok()?;
            if name == "authorization" {
                authorization = Some(value);
            } else {
                request = request.header(name, value);
            }
            let kind =
                if method == "PATCH" { "application/json" } else { "application/x-www-form-urlencoded" };
            if method != "GET" && name != "content-type" {
                request = request.header(header::CONTENT_TYPE, kind);
            }
            body = if method == "PATCH" { b"{}".to_vec() } else { b"names=a.example&action=block".to_vec() };
        }
        Sent::Json => {
            request = request.header(header::CONTENT_TYPE, "application/json").header(header::IF_MATCH, "*");
            body = data.to_vec();
        }
    }
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    request.uri(path).body(Body::from(body)).ok()
}

/// What must be true of every answer.
pub fn check(way: Way, status: StatusCode, headers: &HeaderMap, body: &str) {
    let Way { method, path, .. } = way;
    assert!(!status.is_server_error(), "{method} {path}: {status} {body}");
    for name in ["content-security-policy", "x-content-type-options"] {
        assert!(headers.contains_key(name), "{method} {path}: {name}");
    }
    let html =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    assert!(!html || !body.contains(MARKUP), "{method} {path}: {body}");
    if let Some(to) = headers.get(header::LOCATION) {
        let to = to.to_str().expect("text");
        // As browsers read it.
        let to: String = to.chars().filter(|c| !matches!(c, '\t' | '\r' | '\n')).collect();
        assert!(
            to.starts_with('/') && !to.starts_with("//") && !to.contains('\\'),
            "{method} {path} leads to {to}"
        );
    }
}

fn encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}
