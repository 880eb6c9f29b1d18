//! What browsers are told, and which requests are not let in.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{failure::Failure, listen::Peer};

/// What a page may load: what the box serves, and nothing written into the page itself. `data:` is for the icons of form
/// fields in the style sheet.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// For how long a browser that once came by TLS comes by nothing else, in seconds: half a year.
const STRICT_TRANSPORT: &str = "max-age=15552000";

/// Adds what every answer carries.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let secure = request.extensions().get::<Peer>().is_some_and(|peer| peer.secure);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT));
    }
    // Pages have names and addresses of devices: no proxy and no browser keeps them.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets requests that change something in only from the box's own pages, or with a token, which no browser sends by
/// itself.
pub(super) async fn own_pages_only(request: Request, next: Next) -> Response {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let secure = request.extensions().get::<Peer>().is_some_and(|peer| peer.secure);
    if is_safe || has_token(request.headers()) || is_own(request.headers(), request.uri().host(), secure) {
        return next.run(request).await;
    }
    Failure::foreign().into_response()
}

fn has_token(headers: &HeaderMap) -> bool {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    sent.is_some_and(|value| value.starts_with("Bearer ")) && !headers.contains_key(header::COOKIE)
}

/// Whether a browser says that the request comes from a page of this box. `Sec-Fetch-Site` is sent to secure and local
/// addresses only, `Origin` with every unsafe method. By TLS the origin must have come by TLS too: somebody on the way
/// could write a plain page of the box's name. Plainly both are right, since a proxy may have TLS in front.
pub(super) fn is_own(headers: &HeaderMap, authority: Option<&str>, secure: bool) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else {
        return false;
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(authority);
    match (origin.split_once("://"), host) {
        (Some((scheme, origin)), Some(host)) => {
            origin.eq_ignore_ascii_case(host) && (scheme == "https" || (scheme == "http" && !secure))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |&(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn only_the_boxs_own_pages_change_anything() {
        for lines in [
            &[("sec-fetch-site", "same-origin")][..],
            &[("origin", "https://schoolgate.local"), ("host", "schoolgate.local")],
            &[("origin", "http://10.0.0.2:8080"), ("host", "10.0.0.2:8080")],
        ] {
            assert!(is_own(&headers(lines), None, false), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://10.0.0.2"), ("host", "10.0.0.2")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "null"), ("host", "10.0.0.2")],
            &[("origin", "https://evil.example"), ("host", "10.0.0.2")],
            &[("origin", "https://10.0.0.2.evil.example"), ("host", "10.0.0.2")],
            &[("origin", "http://10.0.0.2:81"), ("host", "10.0.0.2")],
            &[("host", "10.0.0.2")],
        ] {
            assert!(!is_own(&headers(lines), None, false), "{lines:?}");
        }
    }

    #[test]
    fn a_plain_page_of_the_same_name_changes_nothing_by_tls() {
        let from = |origin| headers(&[("origin", origin), ("host", "schoolgate.local")]);
        assert!(is_own(&from("https://schoolgate.local"), None, true));
        assert!(!is_own(&from("http://schoolgate.local"), None, true));
        assert!(!is_own(&from("ftp://schoolgate.local"), None, false));
        let by_http2 = headers(&[("origin", "https://schoolgate.local")]);
        assert!(is_own(&by_http2, Some("schoolgate.local"), true) && !is_own(&by_http2, None, true));
    }

    #[test]
    fn a_token_beside_a_cookie_opens_nothing() {
        assert!(has_token(&headers(&[("authorization", "Bearer sgt_x")])));
        assert!(!has_token(&headers(&[("authorization", "Bearer sgt_x"), ("cookie", "session=y")])));
        assert!(!has_token(&headers(&[("authorization", "Basic eDp5")])));
    }

    #[test]
    fn pages_load_nothing_from_elsewhere_and_run_nothing_that_is_written_into_them() {
        for word in ["unsafe-inline", "unsafe-eval", "http:", "https:", "*"] {
            assert!(!CONTENT_SECURITY_POLICY.contains(word), "{word}");
        }
    }
}
