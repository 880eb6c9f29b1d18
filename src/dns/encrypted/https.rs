//! DNS over HTTPS (RFC 8484): one request is one question, many at one time on a connection.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Body as _, Incoming},
    header::{self, HeaderMap, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    super::{
        handler::Asked,
        seams::{Decide, Resolve},
        stream::{Limits, Talk},
        tcp::Arrived,
        work::{Begun, Work},
    },
    MAX_QUESTION, freshness,
    presence::Presence,
    tls::{Shaken, shake},
};
use crate::querylog::Transport;

/// Where questions are taken.
pub(crate) const PATH: &str = "/dns-query";

/// What questions and answers are (RFC 8484, section 6).
const MESSAGE: HeaderValue = HeaderValue::from_static("application/dns-message");

/// The most that the head of a request may have, in bytes: the longest question in an address, and what browsers add.
const MAX_HEAD: u32 = 16 * 1024;

/// Requests that one connection of HTTP/2 may have at one time: what clients count on before they are told otherwise. The
/// questions of those beyond the limit of a connection wait.
const MAX_STREAMS: u32 = 100;

/// How many bytes that nobody wants are read all the same, so that their sender hears why.
const PASSED_OVER: usize = 128 * 1024;

/// How many bytes of bodies that were not read yet may come, on each stream and on the connection.
const STREAM_WINDOW: u32 = 16 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024;

/// How many bytes of answers that were not taken yet are kept for each stream.
const UNTAKEN: usize = 64 * 1024;

/// After so much silence the other side of a connection with requests is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a connection that is to end may take to finish the requests that it has.
const FAREWELL: Duration = Duration::from_secs(3);

/// Answers the requests of one connection.
pub(super) async fn converse<P: Decide, R: Resolve>(
    arrived: Arrived,
    acceptor: TlsAcceptor,
    limits: Limits,
    work: Work<P, R>,
) {
    let shaking = Box::pin(shake(arrived, &acceptor, Transport::Https, limits, &work));
    let Some(Shaken { stream, talk }) = shaking.await else { return };
    let from = talk.asked.from;
    if let Err(error) = serve(stream, talk, limits, work).await {
        tracing::debug!(%error, address = %from, "a connection ended");
    }
}

async fn serve<P: Decide, R: Resolve>(
    stream: TlsStream<TcpStream>,
    talk: Talk,
    limits: Limits,
    work: Work<P, R>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Talk { asked, seat, close } = talk;
    let abort = work.abort.clone();
    let presence = Presence::new(seat);
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(MAX_HEAD as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(SILENCE)
        .keep_alive_timeout(limits.idle)
        .max_header_list_size(MAX_HEAD)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(UNTAKEN);
    // The handshake agreed on one; who agreed on none speaks HTTP/1.1, as everybody did before.
    let builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
    let pipeline = Semaphore::new(limits.pipeline);
    let shared = Arc::new(Shared { asked, presence: Arc::clone(&presence), pipeline, limits, work });
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            let is_head = *request.method() == Method::HEAD;
            let mut response = shared.respond(request).await;
            if is_head {
                *response.body_mut() = Full::default();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        biased;
        () = abort.cancelled() => return Ok(()),
        done = connection.as_mut() => return done,
        () = presence.silence(limits.idle) => {}
        () = close.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        () = abort.cancelled() => Ok(()),
        done = timeout(FAREWELL, connection) => done?,
    }
}

/// What the requests of a connection share.
struct Shared<P, R> {
    asked: Asked,
    presence: Arc<Presence>,
    /// One permit for each question that may be worked on.
    pipeline: Semaphore,
    limits: Limits,
    work: Work<P, R>,
}

impl<P: Decide, R: Resolve> Shared<P, R> {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let question = match timeout(self.limits.idle, read(request)).await {
            Ok(Ok(question)) => question,
            Ok(Err(refusal)) => return refusal.response(),
            Err(_) => return Refusal::SLOW.response(),
        };
        let _busy = self.presence.begin();
        // It is never closed.
        let Ok(_permit) = self.pipeline.acquire().await else { return Refusal::STOPPING.response() };
        let answered = match self.work.begin_short(&question, self.asked) {
            Begun::Done(answered) => answered,
            Begun::Waits(waiting) => match waiting.answer(&self.work.abort).await {
                Some(answered) => answered,
                None => return Refusal::STOPPING.response(),
            },
        };
        let response = match &answered.reply {
            Some(reply) => success(reply),
            None => Refusal::NO_QUESTION.response(),
        };
        if let Some(outcome) = &answered.outcome {
            self.work.handler.record(outcome, answered.reply.as_deref());
        }
        response
    }
}

/// The response with an answer; one that says that there is none, or that it failed, is an answer as well.
fn success(reply: &[u8]) -> Response<Full<Bytes>> {
    // Answers depend on who asks, so nothing between may keep them for others.
    let kept = match freshness::of(reply) {
        Some(seconds) => format!("private, max-age={seconds}").try_into(),
        None => Ok(HeaderValue::from_static("no-store")),
    };
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(reply)));
    response.headers_mut().insert(header::CONTENT_TYPE, MESSAGE);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, kept.unwrap_or(HeaderValue::from_static("no-store")));
    response
}

/// Why a request is no question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal(StatusCode, &'static str);

impl Refusal {
    const PATH: Self = Self(StatusCode::NOT_FOUND, "DNS over HTTPS is at /dns-query");
    const METHOD: Self =
        Self(StatusCode::METHOD_NOT_ALLOWED, "questions come by GET, with ?dns=, or by POST");
    const TYPE: Self =
        Self(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a question's type is application/dns-message");
    const MISSING: Self = Self(StatusCode::BAD_REQUEST, "there is no ?dns= with a question");
    const ENCODING: Self =
        Self(StatusCode::BAD_REQUEST, "the question in ?dns= is not base64url without padding");
    const LONG_ADDRESS: Self = Self(StatusCode::URI_TOO_LONG, "the question is too long");
    const LARGE: Self = Self(StatusCode::PAYLOAD_TOO_LARGE, "the question is too long");
    const BROKEN: Self = Self(StatusCode::BAD_REQUEST, "the question did not come whole");
    const SLOW: Self = Self(StatusCode::REQUEST_TIMEOUT, "the question comes too slowly");
    const NO_QUESTION: Self = Self(StatusCode::BAD_REQUEST, "this is no question");
    const STOPPING: Self = Self(StatusCode::SERVICE_UNAVAILABLE, "the service stops");

    fn response(self) -> Response<Full<Bytes>> {
        let Self(status, why) = self;
        let mut response = Response::new(Full::new(Bytes::from(format!("{why}\n"))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }
}

/// The bytes of a request's question.
async fn read(mut request: Request<Incoming>) -> Result<Vec<u8>, Refusal> {
    let question = find(&mut request).await;
    if question.is_err() {
        pass_over(request.into_body()).await;
    }
    question
}

/// Takes what comes behind a question that was refused: clients of HTTP/2 lose the response to a request of which the rest
/// was turned away. Who sends very much loses it.
async fn pass_over(mut body: Incoming) {
    let mut left = PASSED_OVER;
    while left > 0 && body.size_hint().lower() <= PASSED_OVER as u64 {
        let Some(Ok(frame)) = body.frame().await else { return };
        left = left.saturating_sub(frame.data_ref().map_or(1, Bytes::len).max(1));
    }
}

async fn find(request: &mut Request<Incoming>) -> Result<Vec<u8>, Refusal> {
    if request.uri().path() != PATH {
        return Err(Refusal::PATH);
    }
    match *request.method() {
        Method::GET => in_address(request.uri()),
        Method::POST if !is_message(request.headers()) => Err(Refusal::TYPE),
        Method::POST => {
            let body = request.body_mut();
            if body.size_hint().lower() > MAX_QUESTION as u64 {
                return Err(Refusal::LARGE);
            }
            match Limited::new(body, MAX_QUESTION).collect().await {
                Ok(whole) => Ok(whole.to_bytes().to_vec()),
                Err(error) if error.is::<LengthLimitError>() => Err(Refusal::LARGE),
                Err(_) => Err(Refusal::BROKEN),
            }
        }
        _ => Err(Refusal::METHOD),
    }
}

fn in_address(uri: &Uri) -> Result<Vec<u8>, Refusal> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let text = pairs.filter_map(|pair| pair.strip_prefix("dns=")).next().ok_or(Refusal::MISSING)?;
    if text.is_empty() {
        return Err(Refusal::MISSING);
    }
    // Four letters are three bytes.
    if text.len() > MAX_QUESTION.div_ceil(3) * 4 {
        return Err(Refusal::LONG_ADDRESS);
    }
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Refusal::ENCODING)
}

/// Whether the type of a body is that of a question, whatever parameters it has.
fn is_message(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default();
    media.trim_ascii().eq_ignore_ascii_case(MESSAGE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_in_an_address_is_found_and_what_is_none_is_told() {
        let read = |query: &str| in_address(&format!("{PATH}{query}").parse().unwrap());
        assert_eq!(read("?dns=AAEC"), Ok(vec![0, 1, 2]));
        assert_eq!(read("?a=b&dns=_-8&dns=AA"), Ok(vec![0xff, 0xef]));
        for query in ["", "?", "?dns=", "?name=a.example&type=A", "?xdns=AAEC"] {
            assert_eq!(read(query), Err(Refusal::MISSING), "{query}");
        }
        for query in ["?dns=A", "?dns=AAE=", "?dns=AA+/", "?dns=%41%41"] {
            assert_eq!(read(query), Err(Refusal::ENCODING), "{query}");
        }
        assert!(read(&format!("?dns={}", "A".repeat(5460))).is_ok());
        assert_eq!(read(&format!("?dns={}", "A".repeat(5468))), Err(Refusal::LONG_ADDRESS));
    }

    #[test]
    fn the_type_of_a_body_may_have_parameters_and_any_case() {
        let is = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            is_message(&headers)
        };
        assert!(is("application/dns-message") && is("Application/DNS-Message ; charset=x"));
        assert!(!is("application/dns-json") && !is("") && !is("application/dns-messages"));
        assert!(!is_message(&HeaderMap::new()));
    }
}
