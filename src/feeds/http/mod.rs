//! Downloads over HTTPS: conditional, resumed, limited, and told in plain words when they fail.
//!
//! [`Fetcher::fetch`] blocks and is for a thread of its own. What comes is written beside its place and gets its name
//! only when it is whole; what broke off stays for the next try, which goes on from there if the server still has the
//! same. What the server compressed on the way is kept as it came: who reads it tells by its first bytes.

mod access;
mod config;
mod download;
mod error;

use std::{
    fmt, future,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use reqwest::{
    Client, Response, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
        HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER,
    },
    redirect,
};

use self::{
    access::Access,
    config::Checked,
    download::{Part, Validator},
};
pub use self::{
    access::{FileError, FileProblem, Owner},
    config::{Config, ConfigError, Credential},
    error::FetchError,
};

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// The most that a server can put off the next try.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The addresses of a host, when they are known.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of a host: the box asks its own resolver, not the system's.
pub trait Lookup: Send + Sync {
    /// The addresses of a host.
    fn lookup(&self, host: &str) -> Looking;
}

/// Downloads lists.
pub struct Fetcher {
    config: Config,
    checked: Checked,
    lookup: Arc<dyn Lookup>,
}

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Where from.
    pub url: &'a str,
    /// Where the same is had when that fails, in this order.
    pub mirrors: &'a [String],
    /// The identifier of the [`Credential`] that these ask for.
    pub credential: Option<&'a str>,
    /// What the server called the version that is there already.
    pub etag: Option<&'a str>,
    /// When that changed, in the server's own words.
    pub last_modified: Option<&'a str>,
    /// The file that it becomes.
    pub into: &'a Path,
    /// Ends it soon, when set.
    pub cancel: &'a AtomicBool,
    /// What time it is.
    pub now: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// What is there already is the newest.
    NotModified,
    /// It is in its file, whole.
    New {
        /// What the server calls it.
        etag: Option<String>,
        /// When it changed, in the server's own words.
        last_modified: Option<String>,
        /// How many bytes it has.
        bytes: u64,
        /// The address that served it, after redirects.
        from: String,
        /// What the server says that it is.
        content_type: Option<String>,
    },
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Where a request went, and what must be known of it for the next.
struct Hop<'a> {
    url: Url,
    /// The address that the request began with, to which credentials belong.
    origin: &'a Url,
    access: &'a Access,
}

impl Fetcher {
    /// Takes the settings. The files that they name (certificates, keys and secrets) are read for each download.
    ///
    /// # Errors
    ///
    /// Names the key that is wrong.
    pub fn new(
        config: Config,
        credentials: &[Credential],
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, ConfigError> {
        let checked = Checked::new(&config, credentials)?;
        Ok(Self { config, checked, lookup })
    }

    /// What is wrong, just now, with the files that the settings name.
    #[must_use]
    pub fn unusable(&self) -> Vec<FileError> {
        self.checked.unusable()
    }

    /// Fetches a file, from a mirror if need be. Blocks until it is there, or can't be had.
    ///
    /// # Errors
    ///
    /// Says in plain words why it can't be had from the last place that was tried.
    pub fn fetch(&self, request: &Request<'_>) -> Result<Fetched, FetchError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| FetchError::Start { reason: error.to_string() })?;
        let access = &self.checked.access(request.credential)?;
        runtime.block_on(async {
            let mut failed = None;
            for url in std::iter::once(request.url).chain(request.mirrors.iter().map(String::as_str)) {
                match self.from(url, request, access).await {
                    Ok(fetched) => return Ok(fetched),
                    Err(error) if !error.is_elsewhere_perhaps() => return Err(error),
                    // What the first place says counts, unless a mirror got further.
                    Err(error) => failed = Some(failed.unwrap_or(error)),
                }
            }
            // There is at least the address itself.
            Err(failed.unwrap_or(FetchError::Cancelled))
        })
    }

    async fn from(&self, url: &str, request: &Request<'_>, access: &Access) -> Result<Fetched, FetchError> {
        let origin = parse(url)?;
        let seconds = self.config.total_seconds;
        let limit = Duration::from_secs(seconds);
        match tokio::time::timeout(limit, self.download(&origin, request, access)).await {
            Ok(done) => done,
            Err(_) => Err(FetchError::TooSlow { host: host(&origin), seconds }),
        }
    }

    async fn download(
        &self,
        origin: &Url,
        request: &Request<'_>,
        access: &Access,
    ) -> Result<Fetched, FetchError> {
        let mut part = Part::open(request.into, origin);
        // Once more from the start when the server does not want to go on.
        for _ in 0..2 {
            let response = self.follow(origin, request, access, part.validator()).await?;
            match response.status() {
                StatusCode::NOT_MODIFIED if request.etag.is_some() || request.last_modified.is_some() => {
                    return Ok(Fetched::NotModified);
                }
                StatusCode::RANGE_NOT_SATISFIABLE if part.length() > 0 => part.forget(),
                StatusCode::PARTIAL_CONTENT if part.length() > 0 => {
                    if part.goes_on(response.headers()) {
                        return self.save(response, part, request).await;
                    }
                    part.forget();
                }
                StatusCode::OK => {
                    part.begin(response.headers());
                    return self.save(response, part, request).await;
                }
                _ => return Err(refusal(&response, request.now)),
            }
        }
        Err(FetchError::Protocol {
            host: host(origin),
            reason: String::from("it does not know where to go on"),
        })
    }

    /// Asks, and follows redirects to the response that is none.
    async fn follow(
        &self,
        origin: &Url,
        request: &Request<'_>,
        access: &Access,
        going_on: Option<(u64, Validator)>,
    ) -> Result<Response, FetchError> {
        let mut hop = Hop { url: origin.clone(), origin, access };
        let mut seen = vec![hop.url.clone()];
        loop {
            let response = self.ask(&hop, request, going_on.as_ref()).await?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let next = response
                .headers()
                .get(LOCATION)
                .and_then(|to| to.to_str().ok())
                .and_then(|to| hop.url.join(to).ok())
                .filter(|to| matches!(to.scheme(), "http" | "https"));
            let Some(next) = next else {
                let reason = format!("it redirects ({}) to nowhere", response.status().as_u16());
                return Err(FetchError::Protocol { host: host(&hop.url), reason });
            };
            if hop.url.scheme() == "https" && next.scheme() == "http" {
                return Err(FetchError::Downgrade { from: host(&hop.url), to: host(&next) });
            }
            if seen.contains(&next) || seen.len() > REDIRECTS {
                return Err(FetchError::Redirects { host: host(&hop.url), followed: seen.len() });
            }
            seen.push(next.clone());
            hop.url = next;
        }
    }

    async fn ask(
        &self,
        hop: &Hop<'_>,
        request: &Request<'_>,
        going_on: Option<&(u64, Validator)>,
    ) -> Result<Response, FetchError> {
        if request.cancel.load(Ordering::Relaxed) {
            return Err(FetchError::Cancelled);
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/plain, */*;q=0.9"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut put = |name: HeaderName, value: Option<&str>| {
            // Nothing that a server said can't be said to it again; what can't be written is left out.
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        };
        put(IF_NONE_MATCH, request.etag);
        put(IF_MODIFIED_SINCE, request.last_modified);
        if let Some((from, validator)) = going_on {
            put(RANGE, Some(&format!("bytes={from}-")));
            put(IF_RANGE, Some(validator.text()));
        }
        // A server that redirects elsewhere must not pass the secret on.
        let own = hop.url.origin() == hop.origin.origin();
        if let Some(value) = hop.access.authorization.clone().filter(|_| own) {
            headers.insert(AUTHORIZATION, value);
        }
        let tls = if own { &hop.access.own } else { &hop.access.stranger };
        let mut client = Client::builder()
            .tls_backend_preconfigured(tls.as_ref().clone())
            .redirect(redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("Schoolgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(self.config.connect_seconds))
            .read_timeout(Duration::from_secs(self.config.stall_seconds))
            .dns_resolver(Arc::new(Asking(Arc::clone(&self.lookup))))
            .no_proxy();
        if let Some(proxy) = &self.checked.proxy {
            client = client.proxy(proxy.clone());
        }
        let client = client.build().map_err(|error| FetchError::Start { reason: error.to_string() })?;
        let sending = client.get(hop.url.clone()).headers(headers).send();
        sending.await.map_err(|error| error::of_sending(&hop.url, &error, &self.config, &hop.access.missing))
    }

    /// Writes the body to its file.
    async fn save(
        &self,
        mut response: Response,
        mut part: Part,
        request: &Request<'_>,
    ) -> Result<Fetched, FetchError> {
        let header = |name: HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (etag, last_modified) = (header(ETAG), header(LAST_MODIFIED));
        let content_type = header(CONTENT_TYPE);
        let url = response.url().clone();
        let encoding = header(CONTENT_ENCODING).map(|encoding| encoding.to_ascii_lowercase());
        // Gzip stays as it came, since a reader of lists undoes it.
        if let Some(encoding) =
            encoding.filter(|e| !matches!(e.as_str(), "identity" | "gzip" | "x-gzip" | ""))
        {
            let reason = format!("it compresses with {encoding}, which it was not asked to");
            return Err(FetchError::Protocol { host: host(&url), reason });
        }
        let expected = response.content_length().map(|rest| part.length().saturating_add(rest));
        let most = self.config.max_bytes;
        if let Some(bytes) = expected.filter(|bytes| *bytes > most) {
            part.forget();
            return Err(FetchError::TooLarge { host: host(&url), bytes: Some(bytes), most });
        }
        loop {
            let chunk = response
                .chunk()
                .await
                .map_err(|error| error::of_reading(&url, &error, part.length(), expected, &self.config));
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    part.keep();
                    return Err(error);
                }
            };
            let Some(chunk) = chunk else { break };
            if request.cancel.load(Ordering::Relaxed) {
                part.keep();
                return Err(FetchError::Cancelled);
            }
            if part.length() + chunk.len() as u64 > most {
                part.forget();
                return Err(FetchError::TooLarge { host: host(&url), bytes: None, most });
            }
            part.write(&chunk)?;
        }
        if let Some(expected) = expected.filter(|expected| *expected != part.length()) {
            part.keep();
            return Err(FetchError::CutOff {
                host: host(&url),
                received: part.length(),
                expected: Some(expected),
            });
        }
        let bytes = part.finish(request.into)?;
        Ok(Fetched::New { etag, last_modified, bytes, from: url.into(), content_type })
    }
}

fn parse(url: &str) -> Result<Url, FetchError> {
    // What is behind the # chooses within what is fetched.
    let mut parsed = Url::parse(url)
        .map_err(|error| FetchError::Address { url: url.to_owned(), reason: error.to_string() })?;
    parsed.set_fragment(None);
    if matches!(parsed.scheme(), "http" | "https") && parsed.host_str().is_some() {
        return Ok(parsed);
    }
    let reason = String::from("only https and http are fetched");
    Err(FetchError::Address { url: url.to_owned(), reason })
}

/// What messages call a server.
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

/// A response that is no file.
fn refusal(response: &Response, now: Timestamp) -> FetchError {
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    FetchError::Status {
        host: host(response.url()),
        status: response.status().as_u16(),
        retry_after: wait.and_then(|wait| retry_after(wait, now)),
    }
}

/// How long to wait, which a server says in seconds or as a date (RFC 9110, section 10.2.3); a day at most.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// What reqwest asks, answered by what the box gave.
struct Asking(Arc<dyn Lookup>);

impl Resolve for Asking {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.0.lookup(name.as_str());
        Box::pin(async move {
            let found = looking.await?;
            if found.is_empty() {
                return Err(io::Error::new(ErrorKind::NotFound, "it has no address").into());
            }
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// The system's own resolver, for tests and for commands without a server.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> Looking {
        use std::net::ToSocketAddrs;
        let found = (host, 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect());
        Box::pin(future::ready(found))
    }
}

#[cfg(test)]
mod tests;
