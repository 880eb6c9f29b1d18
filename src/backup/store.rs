//! Where archives are brought by themselves: a folder, an S3-compatible store, a server for SFTP. Each takes one whole or not at
//! all, and older ones are removed only when the new one is there.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{
    Client, Method, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use ring::digest;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::{
    BackupError, Careful, Destination, Reserve, S3, Settings, beside, is_name_of,
    sftp::Sftp,
    sigv4::{self, Signed, Signer},
    sync_name,
};
use crate::feeds::http::Lookup;

/// How long one answer of a store may take, beside what is sent.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many bytes a second a line sends at least; a slower one is as good as broken.
const SLOWEST: u64 = 16 << 10;

/// How long bringing one archive may take.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// The largest answer of a store that is read: a thousand names.
const LARGEST_ANSWER: usize = 4 << 20;

/// The largest archive that one request may bring, by the rules of S3.
const LARGEST_OBJECT: u64 = 5 << 30;

/// The SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// How the addresses of servers are found.
#[derive(Clone)]
pub struct Fetching(pub Arc<dyn Lookup>);

impl fmt::Debug for Fetching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetching")
    }
}

impl Resolve for Fetching {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.0.lookup(name.as_str());
        Box::pin(async move {
            let found = looking.await?;
            let addresses: Addrs =
                Box::new(found.into_iter().map(|address| std::net::SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// Brings an archive to where the settings say, and removes there what is older than those that are to be kept.
///
/// # Errors
///
/// Says where, and what was wrong. What is there already is there still.
pub async fn deliver(
    settings: &Settings,
    data: &Path,
    reserve: Reserve,
    archive: &Path,
    fetching: Fetching,
    now: Timestamp,
) -> Result<(), BackupError> {
    let to = settings.destination.said();
    let failed = |why: String| BackupError::Deliver { to: to.clone(), why };
    let name = archive
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| failed(String::from("the archive has no name")))?
        .to_owned();
    let (schedule, data) = (settings.schedule.clone(), data.to_owned());
    let work = async {
        match &settings.destination {
            Destination::Folder { path, own_disk } => {
                let (folder, own_disk, archive) = (path.clone(), *own_disk, archive.to_owned());
                let copied = tokio::task::spawn_blocking(move || {
                    to_folder(&folder, own_disk, &data, reserve, &archive, &name)?;
                    let names = names_in(&folder)?;
                    let mut old = broken_off(&names, &schedule.name);
                    old.extend(too_many(names, &schedule.name, schedule.keep, &name));
                    old.iter().try_for_each(|name| fs::remove_file(folder.join(name)).map_err(said))
                });
                copied.await.map_err(|error| error.to_string())?
            }
            Destination::S3(store) => {
                let secret = settings.secret.as_ref().ok_or_else(|| {
                    String::from("the secret of the key can't be opened any more: type it again")
                })?;
                let bucket = Bucket::new(store, secret.expose(), fetching, now)?;
                bucket.put(&name, archive).await?;
                let names = bucket.names(&schedule.name).await?;
                for old in too_many(names, &schedule.name, schedule.keep, &name) {
                    bucket.remove(&old).await?;
                }
                Ok(())
            }
            Destination::Sftp(server) => {
                let sftp = Sftp::new(server, &data)?;
                sftp.put(&name, archive).await?;
                let names = sftp.names().await?;
                let mut old = broken_off(&names, &schedule.name);
                old.extend(too_many(names, &schedule.name, schedule.keep, &name));
                if old.is_empty() { Ok(()) } else { sftp.remove(&old).await }
            }
        }
    };
    match tokio::time::timeout(LONGEST, work).await {
        Ok(done) => done.map_err(failed),
        Err(_) => Err(failed(String::from("it took too long"))),
    }
}

/// Has the newest archive of this box from where the settings say, as a file on the disk of the data folder; gives its name.
///
/// # Errors
///
/// Says where, and what was wrong: there is no room for it, too. What came of it then is for who called to remove.
pub async fn fetch_newest(
    settings: &Settings,
    data: &Path,
    reserve: Reserve,
    into: &Path,
    fetching: Fetching,
    now: Timestamp,
) -> Result<String, BackupError> {
    let to = settings.destination.said();
    let failed = |why: String| BackupError::Deliver { to: to.clone(), why };
    let newest = |names: Vec<String>| {
        let own = names.into_iter().filter(|name| is_name_of(&settings.schedule.name, name));
        own.max().ok_or_else(|| String::from("there is no backup of this box"))
    };
    let made = || Careful::new(into, data, reserve).map_err(said);
    let work = async {
        match &settings.destination {
            Destination::Folder { path, .. } => {
                // A share whose server is away may not answer for minutes.
                let folder = path.clone();
                let looking = tokio::task::spawn_blocking(move || names_in(&folder));
                let names = tokio::time::timeout(PATIENCE, looking)
                    .await
                    .map_err(|_| String::from("it does not answer: is the stick in, the share there?"))?
                    .map_err(|error| error.to_string())??;
                let name = newest(names)?;
                let (from, to) = (path.join(&name), made()?);
                let copied = tokio::task::spawn_blocking(move || copy(&from, to));
                copied.await.map_err(|error| error.to_string())?.map_err(said)?;
                Ok(name)
            }
            Destination::S3(store) => {
                let secret = settings.secret.as_ref().ok_or_else(|| {
                    String::from("the secret of the key can't be opened any more: type it again")
                })?;
                let bucket = Bucket::new(store, secret.expose(), fetching, now)?;
                let name = newest(bucket.names(&settings.schedule.name).await?)?;
                bucket.get(&name, made()?).await?;
                Ok(name)
            }
            Destination::Sftp(server) => {
                let sftp = Sftp::new(server, data)?;
                let name = newest(sftp.names().await?)?;
                sftp.get(&name, into, || reserve.room(data)).await?;
                Ok(name)
            }
        }
    };
    match tokio::time::timeout(LONGEST, work).await {
        Ok(done) => done.map_err(failed),
        Err(_) => Err(failed(String::from("it took too long"))),
    }
}

fn said(error: io::Error) -> String {
    error.to_string()
}

/// Of the archives of this box, those that are more than are kept beside the new one: the oldest.
fn too_many(names: Vec<String>, prefix: &str, keep: u16, new: &str) -> Vec<String> {
    // Whatever its date: a clock that was ahead leaves names behind that seem to be newer.
    let is_old = |name: &String| name != new && is_name_of(prefix, name);
    let mut own: Vec<String> = names.into_iter().filter(is_old).collect();
    // By their names, which are their dates.
    own.sort_unstable();
    let more = own.len().saturating_sub(usize::from(keep.saturating_sub(1)));
    own.truncate(more);
    own
}

/// What is left of archives of this box that were on their way when the power went.
fn broken_off(names: &[String], prefix: &str) -> Vec<String> {
    let is_left = |name: &&String| {
        let Some(name) = name.strip_suffix(".part") else { return false };
        // In a folder it is hidden, and has the number of the process.
        let hidden = name.strip_prefix('.').and_then(|name| name.rsplit_once('.'));
        is_name_of(prefix, hidden.map_or(name, |(name, _)| name))
    };
    names.iter().filter(is_left).cloned().collect()
}

fn names_in(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(said)?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Copies a file whole, as far as there is room.
fn copy(from: &Path, mut to: Careful) -> io::Result<()> {
    let mut from = File::open(from)?;
    to.fits(from.metadata()?.len())?;
    let bytes = io::copy(&mut from, &mut to)?;
    to.done()?;
    if bytes != from.metadata()?.len() {
        return Err(io::Error::other("it was not copied whole"));
    }
    Ok(())
}

fn to_folder(
    folder: &Path,
    own_disk: bool,
    data: &Path,
    reserve: Reserve,
    archive: &Path,
    name: &str,
) -> Result<(), String> {
    let theirs = fs::metadata(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => String::from("it is not there: is the stick in, the share mounted?"),
        _ => error.to_string(),
    })?;
    if !theirs.is_dir() {
        return Err(String::from("it is no folder"));
    }
    // The data folder may be on a disk of its own; what is left of a stick that was pulled out is on that of the system.
    let of_the_box = [data, Path::new("/etc"), Path::new("/usr")];
    let is_of_the_box = |one: &&Path| fs::metadata(one).is_ok_and(|metadata| metadata.dev() == theirs.dev());
    if !own_disk && of_the_box.iter().any(is_of_the_box) {
        return Err(String::from(
            "it is on the disk of the box itself, where a backup is lost with the box: is the stick in, the share mounted?",
        ));
    }
    let to = folder.join(name);
    let part = beside(&to).map_err(|error| error.to_string())?;
    let copied = || {
        copy(archive, Careful::new(&part, data, reserve)?)?;
        fs::rename(&part, &to)
    };
    copied().map_err(|error| {
        let _ = fs::remove_file(&part);
        match error.kind() {
            // Of the appliance, where the place for a stick is a folder of its system, which nobody writes to.
            io::ErrorKind::ReadOnlyFilesystem => String::from(
                "nothing can be written there: is the stick in, without a switch against writing, or the share there?",
            ),
            io::ErrorKind::FileTooLarge => String::from(
                "it takes no file as large as this: format the stick as exFAT, or leave the logs out",
            ),
            _ => error.to_string(),
        }
    })?;
    sync_name(&to);
    Ok(())
}

/// A bucket of an S3-compatible store.
struct Bucket<'a> {
    store: &'a S3,
    secret: &'a str,
    client: Client,
    endpoint: Url,
    /// When it was begun, by the box's clock and by one that counts.
    begun: (Timestamp, Instant),
}

impl<'a> Bucket<'a> {
    fn new(store: &'a S3, secret: &'a str, fetching: Fetching, now: Timestamp) -> Result<Self, String> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(roots)
                .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            // A signature is for one address.
            .redirect(redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("Schoolgate/", env!("CARGO_PKG_VERSION")))
            // No time for reading: it would run while an archive is sent, which a school's line takes minutes for.
            .connect_timeout(Duration::from_secs(20))
            .dns_resolver(Arc::new(fetching))
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        let endpoint = store.endpoint.parse().map_err(|_| String::from("it is no address"))?;
        Ok(Self { store, secret, client, endpoint, begun: (now, Instant::now()) })
    }

    /// The time now. A store takes no signature that is older than a quarter of an hour, which is less than sending may take.
    fn now(&self) -> Timestamp {
        let (then, counted) = self.begun;
        then.checked_add(counted.elapsed()).unwrap_or(then)
    }

    /// Where an object is: by path, which every store knows.
    fn path(&self, name: &str) -> String {
        sigv4::path(&format!("/{}/{}{name}", self.store.bucket, self.store.prefix))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        payload: &str,
        body: Option<(reqwest::Body, u64)>,
    ) -> Result<reqwest::Response, String> {
        let now = self.now();
        let date = sigv4::date(now);
        let host = match (self.endpoint.host_str(), self.endpoint.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(String::from("it is no address")),
        };
        let headers =
            [("host", host.as_str()), ("x-amz-content-sha256", payload), ("x-amz-date", date.as_str())];
        let signed = Signed { method: method.as_str(), path, query, headers: &headers, payload };
        let signer =
            Signer { access_key: &self.store.access_key, secret: self.secret, region: &self.store.region };
        let query = sigv4::query(query);
        let mut url = self.endpoint.clone();
        url.set_path(path);
        url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
        let mut request = self
            .client
            .request(method.clone(), url)
            .header("authorization", signer.authorization(&signed, now))
            .header("x-amz-content-sha256", payload)
            .header("x-amz-date", &date);
        let mut patience = PATIENCE;
        if let Some((body, bytes)) = body {
            request = request.header("content-length", bytes).body(body);
            patience += Duration::from_secs(bytes / SLOWEST);
        }
        let response = within(patience, request.send()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let answer = whole(response).await.unwrap_or_default();
        let code: String =
            between(&answer, "<Code>", "</Code>").next().unwrap_or_default().chars().take(60).collect();
        let hint = match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                ": is the key right, may it write there, and is the box's clock right?"
            }
            StatusCode::NOT_FOUND => ": is there such a bucket?",
            _ => "",
        };
        Err(format!("the store answered {} {code}{hint}", status.as_u16()))
    }

    async fn ask(&self, method: Method, path: &str, query: &[(&str, &str)]) -> Result<String, String> {
        whole(self.send(method, path, query, EMPTY, None).await?).await
    }

    async fn get(&self, name: &str, mut into: Careful) -> Result<(), String> {
        let mut response = self.send(Method::GET, &self.path(name), &[], EMPTY, None).await?;
        // A store that does not say is stopped while it sends.
        into.fits(response.content_length().unwrap_or_default()).map_err(said)?;
        while let Some(chunk) = within(PATIENCE, response.chunk()).await? {
            into = into.take(chunk).await.map_err(said)?;
        }
        let done = tokio::task::spawn_blocking(move || into.done());
        done.await.map_err(|error| error.to_string())?.map(drop).map_err(said)
    }

    async fn put(&self, name: &str, archive: &Path) -> Result<(), String> {
        let file = archive.to_owned();
        let (bytes, payload) = tokio::task::spawn_blocking(move || digest_of(&file))
            .await
            .map_err(|error| error.to_string())?
            .map_err(said)?;
        if bytes > LARGEST_OBJECT {
            return Err(String::from(
                "it is larger than 5 GiB, which is more than one request can bring: leave the logs out",
            ));
        }
        let body = reqwest::Body::wrap(FileBody::open(archive, bytes).await.map_err(said)?);
        self.send(Method::PUT, &self.path(name), &[], &payload, Some((body, bytes))).await.map(drop)
    }

    /// The names of what is there of a box, without what they begin with in this bucket.
    async fn names(&self, of: &str) -> Result<Vec<String>, String> {
        let path = sigv4::path(&format!("/{}", self.store.bucket));
        let prefix = format!("{}{of}-", self.store.prefix);
        let mut names = Vec::new();
        let mut after = String::new();
        // A thousand names an answer; more than these are not this box's.
        for _ in 0..20 {
            let mut query = vec![("list-type", "2"), ("prefix", prefix.as_str())];
            if !after.is_empty() {
                query.push(("start-after", after.as_str()));
            }
            let text = self.ask(Method::GET, &path, &query).await?;
            let keys: Vec<String> = between(&text, "<Key>", "</Key>").map(as_text).collect();
            let is_more = between(&text, "<IsTruncated>", "</IsTruncated>").next() == Some("true");
            after = keys.last().cloned().unwrap_or_default();
            names.extend(
                keys.iter().filter_map(|key| key.strip_prefix(&self.store.prefix)).map(str::to_owned),
            );
            if !is_more || after.is_empty() {
                break;
            }
        }
        Ok(names)
    }

    async fn remove(&self, name: &str) -> Result<(), String> {
        self.ask(Method::DELETE, &self.path(name), &[]).await.map(drop)
    }
}

/// The whole of an answer.
async fn whole(mut response: reqwest::Response) -> Result<String, String> {
    let mut answer = Vec::new();
    while let Some(chunk) = within(PATIENCE, response.chunk()).await? {
        if answer.len() + chunk.len() > LARGEST_ANSWER {
            return Err(String::from("the store answers more than makes sense"));
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Waits so long for a store.
async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = reqwest::Result<T>>,
) -> Result<T, String> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answered) => answered.map_err(|error| causes(&error)),
        Err(_) => Err(String::from("the store does not answer")),
    }
}

/// What went wrong, and why.
fn causes(error: &reqwest::Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        said = error.to_string();
        cause = error.source();
    }
    said
}

fn between<'a>(text: &'a str, from: &'a str, to: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(from).skip(1).filter_map(move |rest| rest.split_once(to)).map(|(inside, _)| inside)
}

/// What a text of XML says. Stores write the same sign by its name, its number, or its number in hex.
fn as_text(text: &str) -> String {
    let mut said = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        said.push_str(before);
        let sign = behind.split_once(';').and_then(|(name, behind)| Some((sign_of(name)?, behind)));
        let (sign, behind) = sign.unwrap_or(('&', behind));
        said.push(sign);
        rest = behind;
    }
    said.push_str(rest);
    said
}

fn sign_of(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "amp" => '&',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

fn digest_of(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, data_encoding::HEXLOWER.encode(context.finish().as_ref())));
        }
        context.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// A file as the body of a request or of an answer, read as it is sent.
#[derive(Debug)]
pub struct FileBody {
    file: tokio::fs::File,
    left: u64,
    buffer: Vec<u8>,
}

impl FileBody {
    /// So much of a file.
    ///
    /// # Errors
    ///
    /// When it can't be opened.
    pub async fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        Ok(Self { file: tokio::fs::File::open(path).await?, left: bytes, buffer: vec![0; 1 << 16] })
    }
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<hyper::body::Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let mut buffer = ReadBuf::new(&mut this.buffer);
        match Pin::new(&mut this.file).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Ok(())) => {
                let read = buffer.filled();
                if read.is_empty() {
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
                let some = read.len().min(usize::try_from(this.left).unwrap_or(usize::MAX));
                this.left -= some as u64;
                Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::copy_from_slice(&read[..some])))))
            }
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_this_box_alone_give_way() {
        let names = [
            "school-20261101-020000.backup.age",
            "school-20261103-020000.backup.age",
            "school-20261102-020000.backup.age",
            "other-20200101-020000.backup.age",
            "school-2-20200101-020000.backup.age",
            "school-20261101-020000.backup.age.part",
            ".school-20261102-020000.backup.age.7.part",
            ".other-20261102-020000.backup.age.7.part",
            ".school-notes.part",
            "school-holiday-photos.backup.age",
            "notes.txt",
        ];
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(
            broken_off(&names, "school"),
            ["school-20261101-020000.backup.age.part", ".school-20261102-020000.backup.age.7.part"]
        );
        let old = |prefix: &str, keep, new: &str| too_many(names.clone(), prefix, keep, new);
        let newest = "school-20261103-020000.backup.age";
        assert_eq!(old("school", 2, newest), ["school-20261101-020000.backup.age"]);
        assert_eq!(old("school", 3, newest), [] as [&str; 0]);
        assert_eq!(old("school-2", 1, "school-2-20200101-020000.backup.age"), [] as [&str; 0]);
        // One that was made just now stays, though others seem to be newer.
        let just_now = "school-20261101-020000.backup.age";
        assert_eq!(old("school", 2, just_now), ["school-20261102-020000.backup.age"]);
    }

    #[test]
    fn keys_are_read_however_a_store_writes_them() {
        assert_eq!(
            as_text("St Mary&#39;s &amp; St&#x20;John&apos;s/a&b&c;&amp;lt;"),
            "St Mary's & St John's/a&b&c;&lt;"
        );
    }
}
