//! One call of the HTTP API: what is read of a request before the work, and what is made of its outcome.

use std::{future::Future, marker::PhantomData, str::FromStr, sync::Arc};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Query, RawPathParams, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::error::Category;

use crate::admin::{Admin, failure::Failure, visit::Visit};

/// The largest JSON that is taken, in bytes.
const LARGEST_JSON: usize = 4 << 20;

/// The type of an answer that goes on.
pub(super) const EVENTS: &str = "text/event-stream";

/// The longest line of a header that names a revision.
const LONGEST_TAG: usize = 40;

/// What a call is asked: its place in the path, its parameters, and what was sent.
#[derive(Debug)]
pub(super) struct Asked<P = (), Q = Nothing, B = ()> {
    pub(super) path: P,
    pub(super) query: Q,
    pub(super) body: B,
    /// The revision that whoever asks has seen; none where any will do.
    pub(super) expect: Option<i64>,
}

/// No parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// A call: how it is described, and how it is answered.
pub(in crate::admin) trait Call: Clone + Send + Sync + 'static {
    /// What it takes in its path and as parameters.
    fn takes(generator: &mut SchemaGenerator) -> Takes;
    /// What it answers.
    fn gives(generator: &mut SchemaGenerator) -> Gives;
    /// Reads a request, does it, and answers.
    fn run(self, visit: Visit, request: Request, conditional: bool) -> impl Future<Output = Response> + Send;
}

/// What a call takes, as a description has it.
#[derive(Debug)]
pub(in crate::admin) struct Takes {
    /// One for each part of the path that is left open.
    pub(super) path: Vec<Schema>,
    /// The object of all parameters.
    pub(super) query: Schema,
    /// What is sent: its type, and what it must be.
    pub(super) body: Option<(&'static str, Schema)>,
}

/// What a call answers, as a description has it.
#[derive(Debug)]
pub(in crate::admin) struct Gives {
    pub(super) status: StatusCode,
    /// The type of what is answered, and what it is.
    pub(super) body: Option<(&'static str, Schema)>,
    /// Whether it has an `ETag`.
    pub(super) tagged: bool,
}

/// Makes a call of a function.
pub(super) fn call<P, Q, B, A, F, Fut>(work: F) -> Work<P, Q, B, A, F>
where
    F: Fn(Visit, Asked<P, Q, B>) -> Fut,
    Fut: Future<Output = Result<A, Failure>>,
{
    Work { work, types: PhantomData }
}

/// A function as a call.
pub(super) struct Work<P, Q, B, A, F> {
    work: F,
    types: PhantomData<fn(P, Q, B) -> A>,
}

impl<P, Q, B, A, F: Clone> Clone for Work<P, Q, B, A, F> {
    fn clone(&self) -> Self {
        Self { work: self.work.clone(), types: PhantomData }
    }
}

impl<P, Q, B, A, F, Fut> Call for Work<P, Q, B, A, F>
where
    P: InPath,
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    B: Sent,
    A: Given + 'static,
    F: Fn(Visit, Asked<P, Q, B>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<A, Failure>> + Send,
{
    fn takes(generator: &mut SchemaGenerator) -> Takes {
        Takes { path: P::schemas(generator), query: Q::json_schema(generator), body: B::schema(generator) }
    }

    fn gives(generator: &mut SchemaGenerator) -> Gives {
        A::describe(generator)
    }

    async fn run(self, visit: Visit, request: Request, conditional: bool) -> Response {
        let places = &visit.admin.calls;
        let Some(place) = places.take(visit.address()) else {
            let mut busy = Failure::new("failure-busy", StatusCode::TOO_MANY_REQUESTS);
            busy.retry_after = Some(1);
            return busy.into_response();
        };
        let answer = match read(request, conditional, &visit.admin).await {
            Ok(asked) => (self.work)(visit, asked).await,
            Err(failure) => Err(failure),
        };
        drop(place);
        match answer {
            Ok(given) => given.answer(),
            Err(mut failure) => {
                // Arguments are called as on the command line, which is the same but for the hyphens.
                if failure.detail.contains("--") {
                    failure.detail = failure.detail.replace(" --", " ").trim_start_matches("--").to_owned();
                }
                // What was named in a header is answered by the status that is for that.
                if conditional && failure.more.revision.is_some() {
                    failure.status = StatusCode::PRECONDITION_FAILED;
                }
                let revision = failure.more.revision;
                let mut response = failure.into_response();
                if let Some(revision) = revision {
                    response.headers_mut().insert(header::ETAG, tag(revision));
                }
                response
            }
        }
    }
}

async fn read<P: InPath, Q: DeserializeOwned, B: Sent>(
    request: Request,
    conditional: bool,
    admin: &Arc<Admin>,
) -> Result<Asked<P, Q, B>, Failure> {
    let (mut parts, body) = request.into_parts();
    let path = P::read(&mut parts, admin).await?;
    let query = Query::<Q>::try_from_uri(&parts.uri)
        .map_err(|error| Failure::new("failure-query", StatusCode::BAD_REQUEST).because(reason(&error)))?
        .0;
    let expect = if conditional { expected(&parts.headers)? } else { None };
    let body = B::read(&parts.headers, body).await?;
    Ok(Asked { path, query, body, expect })
}

/// An error with what is behind it, which says what exactly was wrong.
fn reason(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// The revision that a change is meant for.
fn expected(headers: &HeaderMap) -> Result<Option<i64>, Failure> {
    let Some(sent) = headers.get(header::IF_MATCH) else {
        return Err(Failure::new("failure-if-match", StatusCode::PRECONDITION_REQUIRED)
            .because("send If-Match with the ETag of what you have seen, or * for whatever is there"));
    };
    let text = sent.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let inner = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    let is_number = |inner: &&str| text.len() <= LONGEST_TAG && inner.bytes().all(|b| b.is_ascii_digit());
    let number = inner.filter(is_number).and_then(|inner| inner.parse().ok());
    number.map(Some).ok_or_else(|| {
        Failure::new("failure-query", StatusCode::BAD_REQUEST)
            .because("If-Match: write one revision in quotes, as the ETag had it, or *")
    })
}

/// A revision of the policy, as the tag of what was made of it.
fn tag(revision: i64) -> HeaderValue {
    // A number in quotes is a value of a header.
    HeaderValue::from_str(&format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// What stands in the path.
pub(super) trait InPath: Sized + Send + 'static {
    fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema>;
    fn of(parts: &[(String, String)]) -> Option<Self>;

    fn read(parts: &mut Parts, admin: &Arc<Admin>) -> impl Future<Output = Result<Self, Failure>> + Send {
        async move {
            let open = RawPathParams::from_request_parts(parts, admin).await;
            let open: Vec<(String, String)> = match &open {
                Ok(open) => open.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                Err(_) => Vec::new(),
            };
            Self::of(&open).ok_or_else(not_there)
        }
    }
}

/// What the path names is not there.
pub(super) fn not_there() -> Failure {
    Failure::new("failure-not-there", StatusCode::NOT_FOUND)
}

fn one<T: FromStr>(parts: &[(String, String)], place: usize) -> Option<T> {
    parts.get(place).and_then(|(_, value)| value.parse().ok())
}

impl InPath for () {
    fn schemas(_: &mut SchemaGenerator) -> Vec<Schema> {
        Vec::new()
    }

    fn of(_: &[(String, String)]) -> Option<Self> {
        Some(())
    }
}

impl InPath for String {
    fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema> {
        vec![Self::json_schema(generator)]
    }

    fn of(parts: &[(String, String)]) -> Option<Self> {
        one(parts, 0)
    }
}

impl InPath for (String, String) {
    fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema> {
        vec![String::json_schema(generator), String::json_schema(generator)]
    }

    fn of(parts: &[(String, String)]) -> Option<Self> {
        Some((one(parts, 0)?, one(parts, 1)?))
    }
}

impl InPath for i64 {
    fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema> {
        vec![Self::json_schema(generator)]
    }

    fn of(parts: &[(String, String)]) -> Option<Self> {
        one(parts, 0)
    }
}

/// What is sent with a call.
pub(super) trait Sent: Sized + Send + 'static {
    fn schema(generator: &mut SchemaGenerator) -> Option<(&'static str, Schema)>;
    fn read(headers: &HeaderMap, body: Body) -> impl Future<Output = Result<Self, Failure>> + Send;
}

impl Sent for () {
    fn schema(_: &mut SchemaGenerator) -> Option<(&'static str, Schema)> {
        None
    }

    async fn read(_: &HeaderMap, _: Body) -> Result<Self, Failure> {
        Ok(())
    }
}

/// Something sent as JSON.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Sent for Json<T> {
    fn schema(generator: &mut SchemaGenerator) -> Option<(&'static str, Schema)> {
        Some(("application/json", generator.subschema_for::<T>()))
    }

    async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Failure> {
        is_sent_as(headers, "application/json")?;
        let bytes = whole(body, LARGEST_JSON).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let status = match error.classify() {
                Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::BAD_REQUEST,
            };
            Failure::new("failure-json", status).because(error.to_string())
        })
    }
}

/// A text or a file, as it is.
#[derive(Debug)]
pub(super) struct Raw<const MOST: usize>(pub(super) Bytes);

impl<const MOST: usize> Sent for Raw<MOST> {
    fn schema(_: &mut SchemaGenerator) -> Option<(&'static str, Schema)> {
        Some(("application/octet-stream", schemars::json_schema!({})))
    }

    async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Failure> {
        is_sent_as(headers, "application/octet-stream")?;
        Ok(Self(whole(body, MOST).await?))
    }
}

/// A file of whatever size, which is read by who takes it.
#[derive(Debug)]
pub(super) struct Flow(pub(super) Body);

impl Sent for Flow {
    fn schema(_: &mut SchemaGenerator) -> Option<(&'static str, Schema)> {
        Some(("application/octet-stream", schemars::json_schema!({})))
    }

    async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Failure> {
        is_sent_as(headers, "application/octet-stream")?;
        Ok(Self(body))
    }
}

fn is_sent_as(headers: &HeaderMap, wanted: &'static str) -> Result<(), Failure> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|sent| sent.to_str().ok()).unwrap_or_default();
    let kind = sent.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let detail = format!("send it with Content-Type: {wanted}");
    Err(Failure::new("failure-media", StatusCode::UNSUPPORTED_MEDIA_TYPE).because(detail))
}

async fn whole(body: Body, most: usize) -> Result<Bytes, Failure> {
    to_bytes(body, most).await.map_err(|error| {
        let too_large = std::error::Error::source(&error)
            .is_some_and(|source| source.to_string().contains("length limit"));
        if too_large {
            let detail = format!("at most {most} bytes are taken");
            Failure::new("failure-too-large", StatusCode::PAYLOAD_TOO_LARGE).because(detail)
        } else {
            Failure::new("failure-json", StatusCode::BAD_REQUEST).because(reason(&error))
        }
    })
}

/// What is answered.
pub(super) trait Given: Send {
    fn describe(generator: &mut SchemaGenerator) -> Gives;
    fn answer(self) -> Response;
}

/// Something answered as JSON.
#[derive(Debug)]
pub(super) struct Told<T>(pub(super) T);

impl<T: Serialize + JsonSchema + Send> Given for Told<T> {
    fn describe(generator: &mut SchemaGenerator) -> Gives {
        let body = Some(("application/json", generator.subschema_for::<T>()));
        Gives { status: StatusCode::OK, body, tagged: false }
    }

    fn answer(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

/// Something that was made, answered as JSON.
#[derive(Debug)]
pub(super) struct New<T>(pub(super) T);

impl<T: Serialize + JsonSchema + Send> Given for New<T> {
    fn describe(generator: &mut SchemaGenerator) -> Gives {
        Gives { status: StatusCode::CREATED, ..Told::<T>::describe(generator) }
    }

    fn answer(self) -> Response {
        json(StatusCode::CREATED, &self.0)
    }
}

/// Something of a revision of the policy, answered as JSON with the tag of that.
#[derive(Debug)]
pub(super) struct Tagged<T>(pub(super) i64, pub(super) T);

impl<T: Serialize + JsonSchema + Send> Given for Tagged<T> {
    fn describe(generator: &mut SchemaGenerator) -> Gives {
        Gives { tagged: true, ..Told::<T>::describe(generator) }
    }

    fn answer(self) -> Response {
        let mut response = json(StatusCode::OK, &self.1);
        response.headers_mut().insert(header::ETAG, tag(self.0));
        response
    }
}

/// It was done, and there is nothing to say of it.
#[derive(Debug)]
pub(super) struct Done;

impl Given for Done {
    fn describe(_: &mut SchemaGenerator) -> Gives {
        Gives { status: StatusCode::NO_CONTENT, body: None, tagged: false }
    }

    fn answer(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// A file to be kept under a name.
#[derive(Debug)]
pub(super) struct Download {
    /// Letters, digits, `-`, `_` and `.`.
    pub(super) name: String,
    pub(super) body: Body,
}

impl Given for Download {
    fn describe(_: &mut SchemaGenerator) -> Gives {
        let body = Some(("application/zip", schemars::json_schema!({})));
        Gives { status: StatusCode::OK, body, tagged: false }
    }

    fn answer(self) -> Response {
        let mut response = self.body.into_response();
        let named = format!("attachment; filename=\"{}\"", self.name);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
        if let Ok(named) = HeaderValue::from_str(&named) {
            headers.insert(header::CONTENT_DISPOSITION, named);
        }
        response
    }
}

/// A file of bytes that only who asked for it can read.
#[derive(Debug)]
pub(super) struct Octets {
    /// Letters, digits, `-`, `_` and `.`.
    pub(super) name: String,
    pub(super) body: Body,
}

impl Given for Octets {
    fn describe(_: &mut SchemaGenerator) -> Gives {
        let body = Some(("application/octet-stream", schemars::json_schema!({})));
        Gives { status: StatusCode::OK, body, tagged: false }
    }

    fn answer(self) -> Response {
        let mut response = Download { name: self.name, body: self.body }.answer();
        let kind = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// Events that go on (Server-Sent Events), most of which have such a value as JSON.
#[derive(Debug)]
pub(super) struct Events<T> {
    response: Response,
    value: PhantomData<fn() -> T>,
}

impl<T> Events<T> {
    /// An answer that goes on.
    pub(super) fn new(response: Response) -> Self {
        Self { response, value: PhantomData }
    }
}

impl<T: JsonSchema> Given for Events<T> {
    fn describe(generator: &mut SchemaGenerator) -> Gives {
        let body = Some((EVENTS, generator.subschema_for::<T>()));
        Gives { status: StatusCode::OK, body, tagged: false }
    }

    fn answer(self) -> Response {
        self.response
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let kind = [(HeaderName::from_static("content-type"), "application/json")];
            (status, kind, body).into_response()
        }
        Err(error) => Failure::inside(error).into_response(),
    }
}

/// Words with commas between them, as one parameter has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listed(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        Ok(Self(words.map(str::to_owned).collect()))
    }
}

impl JsonSchema for Listed {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Listed".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string" })
    }
}
