//! Response policy zones from real primaries, BIND and Knot: whole, by their changes, and told about.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};

use hickory_proto::rr::RecordType;
use jiff::SignedDuration;
use schoolgate::{
    clock::Clock,
    control::Control,
    dns::{self, Handler, NoticeReply, Server},
    feeds::{
        self, Feeds,
        http::SystemLookup,
        zone::{
            Have, KeyAlgorithm, KeyConfig, Limits, Listener, News, Request, Subscription, Transferred,
            TsigKey, transfer, version,
        },
    },
    resolver::{self, Resolver},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{Running, ede, err};

const ZONE: &str = "rpz.trust.example";
const SECRET: &str = "dGhlIHNlY3JldCBvZiB0aGUgdHJhbnNmZXIga2V5IQ==";
/// Enough for several messages of a transfer.
const NAMES: usize = 20_000;
/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A primary in the outermost namespace, whose only network is its loopback.
struct Primary {
    address: SocketAddr,
    child: Child,
    said: mpsc::Receiver<String>,
    folder: TempDir,
}

impl Drop for Primary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The zone as it begins: version 1, with so many names.
fn zone_text() -> String {
    let mut text = String::from(
        "$TTL 300\n@ IN SOA ns.trust.example. host.trust.example. 1 3600 600 604800 60\n@ NS ns.trust.example.\n",
    );
    for n in 0..NAMES {
        let _ = writeln!(text, "bad{n}.example CNAME .\n*.bad{n}.example CNAME .");
    }
    text.push_str("Open.Example CNAME rpz-passthru.\n32.1.2.0.192.rpz-ip CNAME .\n");
    text
}

fn key_clause() -> String {
    format!("key \"transfer\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n")
}

fn key(name: &str, secret: &[u8]) -> TsigKey {
    TsigKey::new(name, KeyAlgorithm::HmacSha256, secret).expect("a key")
}

/// The key as an administrator gives it to the box.
fn key_of_file(folder: &Path) -> TsigKey {
    let secret_file = folder.join("transfer.key");
    fs::write(&secret_file, key_clause()).expect("a key");
    let config = KeyConfig { name: "transfer".into(), algorithm: KeyAlgorithm::HmacSha256, secret_file };
    TsigKey::load(&config).expect("the key is read")
}

impl Primary {
    /// BIND, which tells `tell` of new versions.
    fn bind(address: SocketAddr, tell: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().display();
        fs::write(folder.path().join("zone"), zone_text()).expect("a zone");
        let conf = format!(
            r#"{key}
options {{
    directory "{dir}";
    pid-file none;
    session-keyfile "{dir}/session.key";
    listen-on port {port} {{ {ip}; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
    notify-delay 0;
}};
controls {{ }};
zone "{ZONE}" {{
    type primary;
    file "zone";
    allow-transfer {{ key transfer; }};
    allow-query {{ any; }};
    allow-update {{ key transfer; }};
    notify explicit;
    notify-source {ip};
    also-notify {{ {tell_ip} port {tell_port} key transfer; }};
}};
"#,
            key = key_clause(),
            ip = address.ip(),
            port = address.port(),
            tell_ip = tell.ip(),
            tell_port = tell.port(),
        );
        let file = folder.path().join("named.conf");
        fs::write(&file, conf).expect("settings");
        let mut command = Command::new("named");
        command.args(["-g", "-d", "3", "-c"]).arg(&file);
        Self::start(command, folder, address, |line| line.ends_with(" running"))
    }

    /// Knot, which tells `tell` of new versions.
    fn knot(address: SocketAddr, tell: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().display();
        fs::write(folder.path().join("zone"), zone_text()).expect("a zone");
        let conf = format!(
            r#"server:
    rundir: "{dir}"
    listen: {ip}@{port}
    # A busy machine takes longer than the half second that Knot would wait.
    tcp-io-timeout: 10000
log:
  - target: stderr
    any: debug
database:
    storage: "{dir}"
key:
  - id: transfer
    algorithm: hmac-sha256
    secret: {SECRET}
remote:
  - id: school
    address: {tell_ip}@{tell_port}
    via: {ip}
    key: transfer
acl:
  - id: transfer
    key: transfer
    action: [transfer, update]
zone:
  - domain: {ZONE}
    storage: "{dir}"
    file: zone
    acl: transfer
    notify: school
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: changes
"#,
            ip = address.ip(),
            port = address.port(),
            tell_ip = tell.ip(),
            tell_port = tell.port(),
        );
        let file = folder.path().join("knot.conf");
        fs::write(&file, conf).expect("settings");
        let mut command = Command::new("knotd");
        command.arg("-c").arg(&file);
        Self::start(command, folder, address, |line| line.contains("] loaded, serial"))
    }

    fn start(mut command: Command, folder: TempDir, address: SocketAddr, ready: fn(&str) -> bool) -> Self {
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let mut child = command
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; tests/internet/need says what is missing"));
        let said = lines(child.stderr.take().expect("its log"));
        let primary = Self { address, child, said, folder };
        primary.says(ready);
        primary
    }

    /// Waits until it logs a line.
    fn says(&self, wanted: impl Fn(&str) -> bool) {
        let mut before = Vec::new();
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) if wanted(&line) => return,
                Ok(line) => before.push(line),
                Err(error) => panic!("{error} after:\n{}", before.join("\n")),
            }
        }
    }

    /// Changes the zone by what nsupdate reads.
    fn update(&self, changes: &str) {
        let script =
            format!("server {} {}\nzone {ZONE}\n{changes}send\n", self.address.ip(), self.address.port());
        let key = self.folder.path().join("update.key");
        fs::write(&key, key_clause()).expect("a key");
        let mut child =
            Command::new("nsupdate").arg("-k").arg(&key).stdin(Stdio::piped()).spawn().expect("nsupdate");
        child.stdin.take().expect("its input").write_all(script.as_bytes()).expect("told");
        assert!(child.wait().expect("ended").success(), "nsupdate");
    }
}

fn lines(log: ChildStderr) -> mpsc::Receiver<String> {
    let (say, said) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(log).lines() {
            let Ok(line) = line else { return };
            // A test that has ended listens no more, and the pipe is read on all the same.
            let _ = say.send(line);
        }
    });
    said
}

/// The box: its DNS server, which takes notices, and a folder for the zone.
struct School {
    at: SocketAddr,
    news: mpsc::Receiver<News>,
    listener: Arc<Listener>,
    folder: TempDir,
    stop: CancellationToken,
    _runtime: tokio::runtime::Runtime,
}

impl Drop for School {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl School {
    /// A box whose `dns.allow` does not have the primary's network.
    fn new(listen: &str) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let (tell, news) = mpsc::channel();
        let listener = Arc::new(Listener::new(Clock::system(), move |news| {
            // A test that has heard enough is gone.
            let _ = tell.send(news);
        }));
        let taking = Arc::clone(&listener);
        let config = dns::Config {
            listen: vec![SocketAddr::new(listen.parse().expect("an address"), 0)],
            allow: Some(vec!["10.0.0.0/8".parse().expect("a subnet")]),
            ..dns::Config::default()
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder");
        let at = runtime.block_on(async move {
            let settings = resolver::Config::default();
            let backends = resolver::build(&settings).expect("a resolver");
            let runtime = tokio::runtime::Handle::current();
            let resolver = Arc::new(Resolver::new(backends, (&settings).into(), Clock::system(), runtime));
            let feeds = Feeds::new(&feeds::Config::default(), Arc::new(SystemLookup), Clock::system());
            let feeds = feeds.expect("the default settings");
            let control = Control::open(&data, Clock::system(), feeds, 5).expect("a policy");
            let handler = Handler::new(&config, control.policy(), resolver, Clock::system()).with_notices(
                move |packet, from| {
                    let noticed = taking.take(packet, from)?;
                    Some(NoticeReply { bytes: noticed.reply, known: noticed.known })
                },
            );
            let bound = Server::bind(&config).expect("a free port");
            let at = bound.addresses()[0];
            tokio::spawn(bound.serve(Arc::new(handler), stopped));
            at
        });
        Self { at, news, listener, folder, stop, _runtime: runtime }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// One transfer, by the clock of `clock`.
fn bring(
    primary: SocketAddr,
    zone: &str,
    key: Option<&TsigKey>,
    have: Option<Have<'_>>,
    into: &Path,
    clock: &Clock,
) -> Result<Transferred, String> {
    let request = Request {
        zone,
        primaries: &[primary],
        key,
        have,
        into,
        limits: Limits::default(),
        cancel: &AtomicBool::new(false),
        clock,
    };
    transfer(&request).map_err(|error| error.to_string())
}

/// Subscribes to the zone of a primary, follows a change of it, and is refused whatever is wrong.
fn follows(primary: &Primary, school: &School) {
    let clock = Clock::system();
    let key = key_of_file(school.folder.path());
    school
        .listener
        .subscribe(vec![Subscription::new(ZONE, &[primary.address], Some(key.clone())).expect("a zone")]);
    let first = school.file("1.rpz");
    let brought = bring(primary.address, ZONE, Some(&key), None, &first, &clock).expect("the zone");
    let all = 2 * NAMES as u64 + 3;
    assert!(
        matches!(brought, Transferred::New { serial: 1, records, incremental: false, .. } if records == all),
        "{brought:?}"
    );
    let text = fs::read_to_string(&first).expect("the file");
    let lines: BTreeSet<&str> = text.lines().collect();
    for line in ["bad7.example CNAME .", "*.bad19999.example CNAME .", "open.example CNAME rpz-passthru."] {
        assert!(lines.contains(line), "{line}");
    }
    let serial = version(ZONE, &first).expect("a version").0;
    let have = Some(Have { serial, file: &first });
    let second = school.file("2.rpz");
    let again = bring(primary.address, ZONE, Some(&key), have, &second, &clock).expect("an answer");
    assert!(matches!(again, Transferred::Current { serial: 1, .. }), "{again:?}");

    // What came while it started is not about the change.
    while school.news.try_recv().is_ok() {}
    primary.update(&format!(
        "update delete bad7.example.{ZONE}. CNAME\nupdate delete *.bad7.example.{ZONE}. CNAME\n\
         update add new.example.{ZONE}. 300 CNAME .\n"
    ));
    let told = loop {
        let news = school.news.recv_timeout(PATIENCE).expect("the primary tells of its new version");
        if news.serial != Some(1) {
            break news;
        }
    };
    assert_eq!(told, News { zone: ZONE.into(), serial: Some(2) });
    let brought = bring(primary.address, ZONE, Some(&key), have, &second, &clock).expect("the changes");
    assert!(
        matches!(brought, Transferred::New { serial: 2, records, incremental: true, .. } if records == all - 1),
        "{brought:?}"
    );
    let whole = school.file("whole.rpz");
    bring(primary.address, ZONE, Some(&key), None, &whole, &clock).expect("the whole zone");
    let (by_changes, by_whole) = (fs::read_to_string(&second), fs::read_to_string(&whole));
    assert!(by_changes.expect("a file") == by_whole.expect("a file"), "both ways lead to the same file");
}

/// What a person reads who has set something wrong.
fn tells_what_is_wrong(primary: &Primary, school: &School) {
    let right = key_of_file(school.folder.path());
    let file = school.file("never.rpz");
    let now = Clock::system();
    let early = Clock::held_at(now.now() - SignedDuration::from_hours(3));
    let other_secret = key("transfer", b"not the secret of the primary");
    let other_name = key("unknown", b"not a key that the primary has");
    for (zone, key, clock, told) in [
        (ZONE, Some(&other_secret), &now, "does not accept our signature (BADSIG)"),
        (ZONE, Some(&other_name), &now, "does not know our key (BADKEY)"),
        (ZONE, Some(&right), &early, "has a clock that is "),
        ("other.trust.example", Some(&right), &now, "REFUSED|NOTAUTH"),
        (ZONE, None, &now, "REFUSED|NOTAUTH"),
    ] {
        let error = bring(primary.address, zone, key, None, &file, clock).expect_err("an error");
        assert!(told.split('|').any(|told| error.contains(told)), "{told}: {error}");
        assert!(!file.exists());
    }
    let error = bring(primary.address, ZONE, Some(&right), None, &file, &early).expect_err("an error");
    assert!(error.contains("hours ahead of this box's"), "{error}");
}

#[test]
fn a_zone_of_bind_is_followed() {
    let school = School::new("127.53.1.1");
    // BIND listens only where an interface has the address, and the loopback has this one.
    let primary = Primary::bind("127.0.0.1:5353".parse().expect("an address"), school.at);
    follows(&primary, &school);
    // BIND verified our answer's signature.
    let accepted = format!("notify response from {}#{}: NOERROR", school.at.ip(), school.at.port());
    primary.says(|line| line.contains(&accepted));
    tells_what_is_wrong(&primary, &school);
}

#[test]
fn a_zone_of_knot_is_followed() {
    let school = School::new("127.53.2.1");
    let primary = Primary::knot("127.53.2.2:5353".parse().expect("an address"), school.at);
    follows(&primary, &school);
    primary.says(|line| line.contains("notify, outgoing") && line.contains("serial 2"));
    tells_what_is_wrong(&primary, &school);
}

#[test]
fn a_school_subscribes_to_a_zone_and_has_each_change_in_force() {
    let at: SocketAddr = "127.53.3.1:5399".parse().expect("an address");
    let primary = Primary::knot("127.53.3.2:5353".parse().expect("an address"), at);
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let secret = data.join("transfer.key");
    fs::write(&secret, key_clause()).expect("a key");
    let settings = format!(
        "[dns]\nlisten = [\"{at}\"]\n[resolver]\ntime_limit_ms = 500\n\
         [[lists.key]]\nname = \"transfer\"\nsecret_file = {secret:?}\n"
    );
    let running = Running::with_settings(data, &settings);
    let policy = data.join("policy.toml");
    let text = format!(
        "version = 1\n[[profile]]\nid = \"pupils\"\nsubnets = [\"127.0.0.0/8\"]\naudience = \"pupil\"\n\
         [[profile]]\nid = \"staff\"\naudience = \"staff\"\n\
         [[list]]\nid = \"trust\"\ncategory = \"malware\"\nzone = \"{ZONE}\"\nprimaries = [\"{}\"]\nkey = \"transfer\"\n",
        primary.address
    );
    fs::write(&policy, text).expect("a policy");
    let imported = running.command(&["policy", "import", policy.to_str().expect("text")]);
    assert!(imported.status.success(), "{}", err(&imported));
    let listed = |name: &str| {
        let why = running.command(&["lists", "why", name]);
        assert_ne!(why.status.code(), Some(2), "{}", err(&why));
        why.status.success()
    };
    until("the zone is in force", || listed("bad7.example"));
    assert_eq!(ede(&running.ask("www.bad7.example.", RecordType::A))[0].0, 17);
    primary.update(&format!(
        "update delete bad7.example.{ZONE}. CNAME\nupdate delete *.bad7.example.{ZONE}. CNAME\n\
         update add new.example.{ZONE}. 300 CNAME .\n"
    ));
    until("the change is in force", || listed("new.example"));
    assert!(!listed("bad7.example") && listed("bad8.example"));
    let status = running.command(&["lists", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let known = &status["lists"][0]["subscription"];
    assert_eq!((&known["serial"], &known["number"]), (&2.into(), &2.into()), "{known}");
    assert_eq!((&known["added"], &known["removed"]), (&1.into(), &2.into()), "{known}");
    assert!(running.stop().success());
}

/// Waits for what comes by itself.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "{what} in time");
        thread::sleep(Duration::from_millis(100));
    }
}
