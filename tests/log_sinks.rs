//! The query log on its way to collectors that are not ours: `fstrm_capture` with dnstap-ldns, and rsyslog.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{TcpListener, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use schoolgate::{
    clock::{Clock, Day},
    querylog::{
        Action, Entry, Place,
        sink::{Address, Config, Item, Kind, Sinks},
    },
};

const ENOUGH: Duration = Duration::from_secs(30);

/// A program that is ended when the test is over.
struct Program(Child);

impl Program {
    fn end(&mut self) {
        Command::new("kill").arg(self.0.id().to_string()).status().expect("kill");
        self.0.wait().expect("ended");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Programs that are not ours tell nobody when they are ready; so it is looked again and again, with a limit.
fn eventually<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let until = Instant::now() + ENOUGH;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn item(client: &str, name: &str, n: i64) -> Item {
    let text = |text: &str| text.to_owned();
    let place = Place { day: Day::from_number(20_779), at: (34_200_000 + n) * 256 };
    let entry = Entry {
        place,
        time: place.time(),
        client: text(client),
        device: text("tablet \"7\" [a]"),
        mac: String::new(),
        profile: text("ks2"),
        known_by: text("address"),
        confidence: text("medium"),
        lease: None,
        name: text(name),
        qtype: text("A"),
        rcode: text("NOERROR"),
        action: Action::Allowed,
        reason: text("default"),
        category: String::new(),
        list: String::new(),
        rule: String::new(),
        detail: String::new(),
        would: String::new(),
        categories: String::new(),
        dnssec: String::new(),
        source: text("cache"),
        transport: text("udp"),
        alert: false,
        took_us: 1_500,
    };
    let mut reply = Message::new(7, MessageType::Response, OpCode::Query);
    let name = Name::from_ascii(format!("{name}.")).unwrap_or_else(|_| Name::root());
    reply.add_query(Query::query(name, RecordType::A));
    Item { entry: Arc::new(entry), reply: Some(Bytes::from(reply.to_vec().expect("encodes"))) }
}

fn items() -> Vec<Item> {
    (0..300)
        .map(|n| match n % 3 {
            0 => item("10.20.2.31", &format!("{n}.full.example"), n),
            1 => item("device-0123456789ab", &format!("{n}.hidden.example"), n),
            _ => item("10.20.2.32", "locked:3fa9c0ffee12", n),
        })
        .collect()
}

fn send(kind: Kind, address: Address) {
    let sinks = Sinks::start(&[Config { kind, address }], &Clock::system()).expect("starts");
    for some in items().chunks(50) {
        sinks.offer(some);
    }
    // Sent or lost, but first the connection must be there.
    eventually("all is sent", || {
        sinks.status().iter().all(|sink| sink.sent + sink.lost == 300).then_some(())
    });
    sinks.stop(ENOUGH);
    assert_eq!((sinks.status()[0].sent, sinks.status()[0].lost), (300, 0));
}

/// What dnstap-ldns makes of a file, as YAML.
fn read_dnstap(file: &Path) -> String {
    let output =
        Command::new("dnstap-ldns").arg("-y").arg("-r").arg(file).output().expect("dnstap-ldns runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn capture(folder: &Path, where_: &[&str]) -> Program {
    let mut child = Command::new("fstrm_capture")
        .args(["-t", "protobuf:dnstap.Dnstap", "-d", "-w"])
        .arg(folder.join("out.fstrm"))
        .args(where_)
        .stderr(Stdio::piped())
        .spawn()
        .expect("fstrm_capture starts");
    // It says what it does; nobody may stop it by not listening.
    let mut lines = BufReader::new(child.stderr.take().expect("its errors"));
    let mut said = String::new();
    while !said.contains("opened output file") && !said.contains("opening") {
        assert_ne!(lines.read_line(&mut said).expect("text"), 0, "{said}");
    }
    std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    Program(child)
}

fn check_dnstap(folder: &Path, mut capture: Program) {
    // It writes what it has when it ends.
    capture.end();
    let yaml = read_dnstap(&folder.join("out.fstrm"));
    assert_eq!(yaml.matches("type: CLIENT_RESPONSE").count(), 300, "{}", &yaml[..yaml.len().min(2_000)]);
    for (part, count) in [
        ("query_address: \"10.20.2.31\"", 100),
        ("query_address: \"10.20.2.32\"", 100),
        // None for a pseudonym.
        ("query_address", 200),
        // None for a name that must not be shown.
        ("response_message", 200),
        (".full.example.", 100),
        (".hidden.example.", 100),
        ("query_time: !!timestamp 2026-11-22 09:30:00.299000", 1),
        ("response_time: !!timestamp 2026-11-22 09:30:00.300500", 1),
    ] {
        assert_eq!(yaml.matches(part).count(), count, "{part}");
    }
}

#[test]
fn fstrm_capture_takes_dnstap_over_a_unix_socket_and_dnstap_ldns_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dnstap.sock");
    let capture = capture(folder.path(), &["-u", socket.to_str().unwrap()]);
    eventually("the socket", || socket.exists().then_some(()));
    send(Kind::Dnstap, Address::Unix(socket));
    check_dnstap(folder.path(), capture);
}

#[test]
fn fstrm_capture_takes_dnstap_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let capture = capture(folder.path(), &["-a", "127.0.0.1", "-p", &port.to_string()]);
    send(Kind::Dnstap, Address::Tcp(format!("127.0.0.1:{port}")));
    check_dnstap(folder.path(), capture);
}

#[test]
fn rsyslog_takes_messages_over_udp_tcp_and_a_unix_socket_and_understands_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let packets = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        r#"
module(load="imtcp")
module(load="imudp" TimeRequery="1")
module(load="imuxsock" SysSock.Use="off")
module(load="mmpstrucdata")
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="all")
input(type="imudp" port="{packets}" address="127.0.0.1" ruleset="all" rcvbufSize="1m")
input(type="imuxsock" socket="{socket}" ruleset="all" useSpecialParser="off" parseHostname="on" ignoreTimestamp="off" ratelimit.interval="0")
template(name="json" type="string" string="%inputname% %protocol-version% %pri% %timegenerated:::date-rfc3339% %timereported:::date-rfc3339% %app-name% %msgid% %$!rfc5424-sd% |%msg%\n")
ruleset(name="all") {{
    action(type="mmpstrucdata")
    action(type="omfile" file="{out}" template="json" flushOnTXEnd="on" asyncWriting="off")
}}
"#,
        socket = path("log.sock"),
        out = path("out.log"),
    );
    fs::write(path("rsyslog.conf"), settings).unwrap();
    let mut child = Command::new("rsyslogd");
    child.args(["-n", "-f", &path("rsyslog.conf"), "-i", &path("pid")]).stdout(Stdio::null());
    let _rsyslog = Program(child.spawn().expect("rsyslogd starts"));
    eventually("rsyslog listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port))
            .ok()
            .filter(|_| Path::new(&path("log.sock")).exists())
    });
    for (address, input) in [
        (Address::Tcp(format!("127.0.0.1:{port}")), "imtcp"),
        (Address::Udp(format!("127.0.0.1:{packets}")), "imudp"),
        (Address::Unix(path("log.sock").into()), "imuxsock"),
    ] {
        send(Kind::Syslog, address);
        let lines: Vec<String> = eventually(input, || {
            let text = fs::read_to_string(path("out.log")).ok()?;
            let own: Vec<String> = text
                .lines()
                .filter(|line| line.starts_with(&format!("{input} ")))
                .map(str::to_owned)
                .collect();
            (own.len() >= 300).then_some(own)
        });
        assert_eq!(lines.len(), 300);
        let first = &lines[0];
        assert!(first.starts_with(&format!("{input} 1 134 ")), "{first}");
        assert!(first.contains(" 2026-11-22T09:30:00.000Z schoolgate allowed "), "{first}");
        assert!(first.contains(r#""client": "10.20.2.31""#), "{first}");
        assert!(first.contains(r#""device": "tablet \"7\" [a]""#), "{first}");
        assert!(first.ends_with("device tablet \"7\" [a] asked for 0.full.example: allowed"), "{first}");
        assert_eq!(lines.iter().filter(|line| line.contains("locked:3fa9c0ffee12")).count(), 100);
        assert_eq!(lines.iter().filter(|line| line.contains("device-0123456789ab")).count(), 100);
    }
}
