use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;

use super::*;

#[path = "../../../tests/support/list_server.rs"]
mod list_server;

use list_server::{Fault, ListServer};

const LIST: &str = "one.example\ntwo.example\n";

/// All names are this machine.
struct Here;

impl Lookup for Here {
    fn lookup(&self, host: &str) -> Looking {
        let found = match host {
            "nowhere.test" => Err(io::Error::new(ErrorKind::NotFound, "there is no such name")),
            "empty.test" => Ok(Vec::new()),
            _ => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
        };
        Box::pin(future::ready(found))
    }
}

struct Bench {
    folder: TempDir,
    into: PathBuf,
    fetcher: Fetcher,
    cancel: AtomicBool,
}

impl Bench {
    fn new() -> Self {
        Self::with(Config::default(), &[])
    }

    fn with(config: Config, credentials: &[Credential]) -> Self {
        let fetcher = Fetcher::new(config, credentials, Arc::new(Here)).unwrap();
        let folder = TempDir::new().unwrap();
        let into = folder.path().join("incoming");
        Self { folder, into, fetcher, cancel: AtomicBool::new(false) }
    }

    fn file(&self) -> &Path {
        &self.into
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join("incoming.part")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        self.fetch_with(url, |request| request)
    }

    fn fetch_with<'a>(
        &'a self,
        url: &'a str,
        with: impl FnOnce(Request<'a>) -> Request<'a>,
    ) -> Result<Fetched, FetchError> {
        let request = Request {
            url,
            mirrors: &[],
            credential: None,
            etag: None,
            last_modified: None,
            into: &self.into,
            cancel: &self.cancel,
            now: "2026-11-25T03:00:00Z".parse().unwrap(),
        };
        let request = with(request);
        self.fetcher.fetch(&request)
    }

    fn says(&self, url: &str, words: &str) {
        let error = self.fetch(url).expect_err("it fails");
        assert!(error.to_string().contains(words), "{words:?}: {error}");
        assert!(!self.file().exists(), "nothing has its name that is not whole");
    }
}

fn big() -> String {
    (0..5000).map(|n| format!("name{n}.example\n")).collect()
}

#[test]
fn a_list_comes_whole_with_what_the_server_says_of_it() {
    let (server, bench) = (ListServer::start(), Bench::new());
    server.has_with("/list", LIST, Some("\"a\"".into()), Some("Tue, 24 Nov 2026 10:00:00 GMT".into()));
    let url = server.url("/list");
    let fetched = bench.fetch(&format!("{url}#member")).unwrap();
    assert_eq!(
        fetched,
        Fetched::New {
            etag: Some("\"a\"".into()),
            last_modified: Some("Tue, 24 Nov 2026 10:00:00 GMT".into()),
            bytes: LIST.len() as u64,
            from: url.clone(),
            content_type: Some("text/plain".into()),
        }
    );
    assert_eq!(bench.text(), LIST);
    let asked = &server.asked()[0];
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    assert!(asked.header("user-agent").unwrap().starts_with("Schoolgate/"));
    for (etag, last_modified) in [(Some("\"a\""), None), (None, Some("Tue, 24 Nov 2026 10:00:00 GMT"))] {
        let again = bench.fetch_with(&url, |request| Request { etag, last_modified, ..request }).unwrap();
        assert_eq!(again, Fetched::NotModified);
    }
    let newer = bench.fetch_with(&url, |request| Request { etag: Some("\"b\""), ..request }).unwrap();
    assert!(matches!(newer, Fetched::New { .. }));
}

#[test]
fn what_broke_off_goes_on_from_there() {
    let (server, bench) = (ListServer::start(), Bench::new());
    let text = big();
    server.has("/list", text.clone());
    let url = server.url("/list");
    server.next([Fault::CutOff(30_000), Fault::CutOff(20_000), Fault::None]);
    bench.says(&url, "broke off after 30 kB of 83 kB");
    assert_eq!(fs::metadata(bench.part()).unwrap().len(), 30_000);
    bench.says(&url, "broke off after 50 kB");
    bench.fetch(&url).unwrap();
    assert_eq!(bench.text(), text);
    let ranges: Vec<Option<String>> =
        server.asked().iter().map(|asked| asked.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=30000-".into()), Some("bytes=50000-".into())]);
    assert!(!bench.part().exists());
}

#[test]
fn a_list_that_changed_in_between_begins_anew() {
    let text = big();
    for fault in [Fault::None, Fault::WholeAnyway, Fault::WrongRange, Fault::Status(416, String::new())] {
        let (server, bench) = (ListServer::start(), Bench::new());
        server.has("/list", text.clone());
        server.next([Fault::CutOff(30_000)]);
        bench.says(&server.url("/list"), "broke off");
        let newer = format!("# newer\n{text}");
        if fault == Fault::None {
            server.has("/list", newer.clone());
        }
        server.next([fault.clone()]);
        bench.fetch(&server.url("/list")).unwrap();
        assert_eq!(bench.text(), if fault == Fault::None { newer } else { text.clone() }, "{fault:?}");
    }
    // Without anything by which to tell, there is no going on.
    let (server, bench) = (ListServer::start(), Bench::new());
    server.has_with("/list", text.clone(), Some("W/\"weak\"".into()), None);
    server.next([Fault::CutOff(30_000)]);
    bench.says(&server.url("/list"), "broke off");
    assert!(!bench.part().exists());
    bench.fetch(&server.url("/list")).unwrap();
    assert_eq!(server.asked()[1].header("range"), None);
    assert_eq!(bench.text(), text);
}

#[test]
fn a_part_that_is_not_all_of_the_rest_is_not_gone_on_with() {
    let bench = Bench::new();
    fs::write(bench.part(), &LIST[..4]).unwrap();
    let known = r#"{"url":"http://lists.test/list","validator":{"etag":"\"a\""}}"#;
    fs::write(bench.folder.path().join("incoming.part.json"), known).unwrap();
    let part = Part::open(bench.file(), &Url::parse("http://lists.test/list").unwrap());
    assert_eq!(part.length(), 4);
    for (range, length, goes_on) in [
        ("bytes 4-23/24", "20", true),
        ("bytes 4-23/*", "20", true),
        ("bytes 4-13/24", "10", false),
        ("bytes 4-23/24", "10", false),
        ("bytes 3-23/24", "21", false),
        ("bytes 4-23", "20", false),
        ("bytes 4-3/4", "0", false),
        ("bytes 4-18446744073709551615/24", "20", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(reqwest::header::CONTENT_RANGE, HeaderValue::from_str(range).unwrap());
        headers.insert(reqwest::header::CONTENT_LENGTH, HeaderValue::from_str(length).unwrap());
        assert_eq!(part.goes_on(&headers), goes_on, "{range}, {length} bytes");
    }
}

#[test]
fn a_server_that_misbehaves_is_told_in_plain_words() {
    let config = Config { stall_seconds: 1, max_bytes: 100_000, ..Config::default() };
    let (server, bench) = (ListServer::start(), Bench::with(config, &[]));
    server.has("/list", big());
    for (fault, words) in [
        (Fault::LengthTooLong(10), "broke off"),
        (Fault::Loop, "redirects without an end"),
        (Fault::To("gopher://lists.test/".into()), "to nowhere"),
        (Fault::Status(401, String::new()), "wants a password or a token (401)"),
        (Fault::Status(403, String::new()), "does not let this box"),
        (Fault::Status(410, String::new()), "gone for good"),
        (Fault::Status(500, String::new()), "has a fault (500)"),
        (Fault::Status(302, String::new()), "to nowhere"),
        (Fault::Stall, "for 1 seconds"),
        (Fault::Garbage, "does not answer as a web server should"),
        (Fault::HangUp, "does not answer as a web server should"),
        (Fault::NotModified, "which it was not asked (304)"),
        (Fault::ChunksCutOff, "broke off"),
        (Fault::Endless, "without an end, and a list may have 100000 bytes"),
    ] {
        server.next([fault]);
        bench.says(&server.url("/list"), words);
        // What broke off must not help the next one.
        let _ = fs::remove_file(bench.part());
    }
    bench.says(&server.url("/other"), "there is no such list");
    bench.says("ftp://lists.test/x", "only https and http");
    bench.says("https://", "can't be fetched");
    bench.says("http://nowhere.test/x", "the address of nowhere.test can't be found: there is no such name");
    bench.says("http://empty.test/x", "it has no address");
    let closed = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    bench.says(&format!("http://{closed}/"), "can't be reached");
    let small = Config { max_bytes: 1000, ..Config::default() };
    Bench::with(small, &[]).says(&server.url("/list"), "bytes, and a list may have 1000 bytes at most");
}

#[test]
fn a_server_that_is_merely_odd_is_put_up_with() {
    let (server, bench) = (ListServer::start(), Bench::new());
    server.has("/list", LIST);
    for fault in [Fault::Chunks, Fault::Slow(Duration::from_millis(5), 4)] {
        server.next([fault]);
        bench.fetch(&server.url("/list")).unwrap();
        assert_eq!(bench.text(), LIST);
    }
    server.next([Fault::Gzip]);
    bench.fetch(&server.url("/list")).unwrap();
    let mut text = String::new();
    io::Read::read_to_string(&mut crate::lists::source::Source::at(bench.file()).text().unwrap(), &mut text)
        .unwrap();
    assert_eq!(text, LIST, "a reader of lists undoes it");
    server.next([Fault::Empty]);
    bench.fetch(&server.url("/list")).unwrap();
    assert_eq!(bench.text(), "", "whether that is a list is for others to say");
    server.next([Fault::To("/list?once-more".into()), Fault::To(server.url("/list"))]);
    let to = bench.fetch(&server.url("/begin")).unwrap();
    assert!(matches!(to, Fetched::New { from, .. } if from == server.url("/list")));
}

#[test]
fn a_server_can_ask_for_patience() {
    let (server, bench) = (ListServer::start(), Bench::new());
    server.has("/list", LIST);
    for (says, wait) in [
        ("Retry-After: 120\r\n", Some(120)),
        ("Retry-After: Wed, 25 Nov 2026 03:10:00 GMT\r\n", Some(600)),
        ("Retry-After: Wed, 25 Nov 2026 02:10:00 GMT\r\n", Some(0)),
        ("Retry-After: 99999999\r\n", Some(86_400)),
        ("Retry-After: soon\r\n", None),
        ("", None),
    ] {
        server.next([Fault::Status(429, says.into())]);
        let error = bench.fetch(&server.url("/list")).unwrap_err();
        assert!(error.to_string().contains("asked too often (429)"), "{error}");
        assert_eq!(error.retry_after(), wait.map(Duration::from_secs), "{says}");
    }
}

#[test]
fn a_mirror_helps_when_the_first_place_does_not() {
    let (first, mirror, bench) = (ListServer::start(), ListServer::start(), Bench::new());
    mirror.has("/mirrored", LIST);
    let mirrors = ["http://nowhere.test/x".to_owned(), mirror.url("/mirrored")];
    let (url, gone) = (first.url("/list"), first.url("/gone"));
    for (url, fault) in
        [(&url, Fault::Status(500, String::new())), (&url, Fault::HangUp), (&gone, Fault::None)]
    {
        first.next([fault]);
        let from = bench.fetch_with(url, |request| Request { mirrors: &mirrors, ..request }).unwrap();
        assert!(matches!(from, Fetched::New { from, .. } if from == mirror.url("/mirrored")));
    }
    mirror.always(Fault::HangUp);
    let error = bench.fetch_with(&gone, |request| Request { mirrors: &mirrors, ..request }).unwrap_err();
    assert!(error.to_string().contains("there is no such list"), "the first place's words count: {error}");
}

#[test]
fn a_download_ends_when_the_program_does() {
    let (server, bench) = (ListServer::start(), Bench::new());
    server.has("/list", LIST);
    bench.cancel.store(true, Ordering::Relaxed);
    assert!(matches!(bench.fetch(&server.url("/list")), Err(FetchError::Cancelled)));
}

/// An authority of our own.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn trusted(&self) -> Config {
        Config { certificate_authorities: vec![self.file("ca.pem")], ..Config::default() }
    }

    fn certificate(&self, name: &str, until: (i32, u8, u8)) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn server(&self, name: &str, until: (i32, u8, u8), clients: bool) -> ListServer {
        let (certificate, key) = self.certificate(name, until);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.unwrap();
        let builder = if clients {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let server = ListServer::with_tls(Arc::new(config));
        server.has("/list", LIST);
        server
    }
}

#[test]
fn only_servers_that_can_be_trusted_are_believed() {
    let authority = Authority::new();
    let trusting = Bench::with(authority.trusted(), &[]);
    let good = authority.server("lists.test", (2090, 1, 1), false);
    trusting.fetch(&good.url_at("lists.test", "/list")).unwrap();
    assert_eq!(trusting.text(), LIST);
    fs::remove_file(trusting.file()).unwrap();
    trusting.says(&good.url_at("other.test", "/list"), "its certificate is for another name");
    let expired = authority.server("lists.test", (2021, 3, 4), false);
    trusting.says(&expired.url_at("lists.test", "/list"), "its certificate ended on 2021-03-04");
    let stranger = Bench::new();
    stranger
        .says(&good.url_at("lists.test", "/list"), "nobody whom the box trusts has signed its certificate");
    good.next([Fault::To("http://lists.test/list".into())]);
    trusting.says(&good.url_at("lists.test", "/list"), "without encryption, which is not followed");
}

#[test]
fn a_server_can_want_a_client_certificate() {
    let authority = Authority::new();
    let server = authority.server("lists.test", (2090, 1, 1), true);
    let (certificate, key) = authority.certificate("box.school.test", (2090, 1, 1));
    fs::write(authority.file("box.pem"), certificate.pem()).unwrap();
    fs::write(authority.file("box.key"), key.serialize_pem()).unwrap();
    let credential = Credential {
        id: "feed".into(),
        token_file: None,
        username: None,
        password_file: None,
        certificate: Some(authority.file("box.pem")),
        key: Some(authority.file("box.key")),
    };
    let bench = Bench::with(authority.trusted(), &[credential]);
    let url = server.url_at("lists.test", "/list");
    bench.says(&url, "lists.test");
    bench.fetch_with(&url, |request| Request { credential: Some("feed"), ..request }).unwrap();
    assert_eq!(bench.text(), LIST);
    let none = bench.fetch_with(&url, |request| Request { credential: Some("fed"), ..request }).unwrap_err();
    assert!(
        none.to_string().contains("there is no credential \"fed\"") && none.to_string().contains("feed"),
        "{none}"
    );
    fs::write(authority.file("box.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let other = bench.fetch_with(&url, |request| Request { credential: Some("feed"), ..request });
    assert!(other.unwrap_err().to_string().contains("box.key: the key does not fit the certificate"));
}

#[test]
fn secrets_go_to_the_server_that_they_are_for_and_are_never_shown() {
    let (server, elsewhere) = (ListServer::start(), ListServer::start());
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("token"), "s3cret-token\n").unwrap();
    fs::write(folder.path().join("password"), "open sesame\n").unwrap();
    let credential = |id: &str, token: bool| Credential {
        id: id.into(),
        token_file: token.then(|| folder.path().join("token")),
        username: (!token).then(|| "school".into()),
        password_file: (!token).then(|| folder.path().join("password")),
        certificate: None,
        key: None,
    };
    let bench = Bench::with(Config::default(), &[credential("token", true), credential("password", false)]);
    server.has("/list", LIST);
    elsewhere.has("/list", LIST);
    server.wants("authorization", "Bearer s3cret-token");
    let url = server.url("/list");
    bench.fetch_with(&url, |request| Request { credential: Some("token"), ..request }).unwrap();
    server.wants("authorization", "Basic c2Nob29sOm9wZW4gc2VzYW1l");
    bench.fetch_with(&url, |request| Request { credential: Some("password"), ..request }).unwrap();
    server.next([Fault::To(elsewhere.url("/list"))]);
    bench.fetch_with(&url, |request| Request { credential: Some("token"), ..request }).unwrap();
    assert_eq!(elsewhere.asked()[0].header("authorization"), None);
    assert!(!format!("{:?}", bench.fetcher).contains("s3cret"));
}

#[test]
fn a_file_that_is_of_no_use_fails_the_lists_that_need_it_until_it_is_put_right() {
    let server = ListServer::start();
    server.has("/list", LIST);
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    let credential = Credential {
        id: "trust".into(),
        token_file: Some(token.clone()),
        username: None,
        password_file: None,
        certificate: None,
        key: None,
    };
    let bench = Bench::with(Config::default(), &[credential]);
    let url = server.url("/list");
    let fetch = || bench.fetch_with(&url, |request| Request { credential: Some("trust"), ..request });
    let fails = |words: &str| {
        let error = fetch().unwrap_err().to_string();
        assert!(error.contains(&format!("credential \"trust\": {}: ", token.display())), "{error}");
        assert!(error.contains(words) && !error.contains("s3cret"), "{words:?}: {error}");
        assert!(bench.fetcher.unusable()[0].to_string().contains(words));
    };
    fails("it can't be read: No such file");
    fs::write(&token, " \n").unwrap();
    fails("there is no secret in it");
    fs::write(&token, b"\xff\xfe").unwrap();
    fails("there is no secret in it");
    fs::write(&token, "s3cret\nand s3cret\n").unwrap();
    fails("characters in it that can't be sent");
    fs::remove_file(&token).unwrap();
    fs::create_dir(&token).unwrap();
    fails("it is no file");
    assert!(server.asked().is_empty(), "nobody is asked without it");
    bench.fetch(&url).unwrap();
    fs::remove_dir(&token).unwrap();
    for secret in ["s3cret", "an0ther"] {
        fs::write(&token, secret).unwrap();
        server.wants("authorization", &format!("Bearer {secret}"));
        fetch().unwrap();
    }
    assert!(bench.fetcher.unusable().is_empty());
}

#[test]
fn an_authority_that_can_t_be_read_leaves_the_others_trusted() {
    let authority = Authority::new();
    let other = authority.file("other.pem");
    fs::write(&other, "no certificate").unwrap();
    let both = |second: &str| Config {
        certificate_authorities: vec![other.clone(), authority.file(second)],
        ..Config::default()
    };
    let good = authority.server("lists.test", (2090, 1, 1), false);
    let url = good.url_at("lists.test", "/list");
    let bench = Bench::with(both("ca.pem"), &[]);
    assert_eq!(
        bench.fetcher.unusable()[0].to_string(),
        format!("lists.http.certificate_authorities: {}: there is no certificate in it", other.display())
    );
    bench.fetch(&url).unwrap();
    fs::remove_file(bench.file()).unwrap();
    let bench = Bench::with(both("late.pem"), &[]);
    bench.says(&url, "has signed its certificate; perhaps because of lists.http.certificate_authorities: ");
    fs::copy(authority.file("ca.pem"), authority.file("late.pem")).unwrap();
    bench.fetch(&url).unwrap();
}

#[test]
fn credentials_that_can_t_be_right_are_refused_without_looking_at_their_files() {
    let credential = |toml: &str| toml::from_str::<Credential>(&format!("id = \"trust\"\n{toml}")).unwrap();
    for (toml, words) in [
        ("token_file = \"t\"\nusername = \"u\"\npassword_file = \"p\"", "both a token and a password"),
        ("username = \"u\"", "username and password_file belong together"),
        ("password_file = \"p\"", "username and password_file belong together"),
        ("token_file = \"t\"\nkey = \"k\"", "certificate and key belong together"),
        ("", "neither a token, nor a password, nor a certificate"),
    ] {
        let error = Fetcher::new(Config::default(), &[credential(toml)], Arc::new(Here)).unwrap_err();
        assert!(error.to_string().contains(words), "{toml}: {error}");
    }
    let twice = [credential("token_file = \"t\""), credential("token_file = \"t\"")];
    assert!(Fetcher::new(Config::default(), &twice, Arc::new(Here)).is_err());
    let zero = Config { stall_seconds: 0, ..Config::default() };
    assert!(Fetcher::new(zero, &[], Arc::new(Here)).is_err());
}

#[test]
fn a_proxy_is_asked_where_there_is_one() {
    let (server, proxy) = (ListServer::start(), ListServer::start());
    server.has("/list", LIST);
    proxy.has("http://lists.test/list", LIST);
    let address = format!("http://school:sesame@{}", proxy.address());
    let config = Config { proxy: Some(address), no_proxy: vec!["127.0.0.1".into()], ..Config::default() };
    let bench = Bench::with(config, &[]);
    bench.fetch("http://lists.test/list").unwrap();
    assert_eq!(proxy.asked()[0].header("proxy-authorization"), Some("Basic c2Nob29sOnNlc2FtZQ=="));
    bench.fetch(&server.url("/list")).unwrap();
    assert_eq!(proxy.asked().len(), 1, "one that is excepted is reached directly");
    fs::remove_file(bench.file()).unwrap();
    // With encryption it is a tunnel, and this proxy has none.
    proxy.next([Fault::Status(407, String::new())]);
    bench.says("https://lists.test/list", "proxy");
    assert_eq!(proxy.asked()[1].method, "CONNECT");
    assert!(!format!("{:?}", bench.fetcher).contains("sesame"));
    for wrong in ["proxy.test", "socks5://proxy.test", "http://"] {
        let config = Config { proxy: Some(wrong.into()), ..Config::default() };
        assert!(Fetcher::new(config, &[], Arc::new(Here)).is_err(), "{wrong}");
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_behind() {
    let (server, bench) = (ListServer::start(), Bench::new());
    server.has("/list", big());
    let into = PathBuf::from("/dev/full/incoming");
    let error = bench.fetch_with(Box::leak(server.url("/list").into_boxed_str()), |request| Request {
        into: Box::leak(into.into_boxed_path()),
        ..request
    });
    assert!(matches!(error, Err(FetchError::Write { .. })), "{error:?}");
}
