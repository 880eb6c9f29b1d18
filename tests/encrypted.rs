//! Encrypted DNS as a client meets it that is not ours: Knot's `kdig`.

mod support;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use serde_json::Value;
use support::{Running, ede, err, exchange_tcp, out, question, school::json, schoolgate};

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(40);

const ALL: &str = "tls = [\"127.0.0.1:0\"]\nhttps = [\"127.0.0.1:0\"]\nquic = [\"127.0.0.1:0\"]\n";

/// A name of the starter lists.
const BLOCKED: &str = "www.bet365.com";

fn bound(data: &Path, kind: &str) -> SocketAddr {
    let text = fs::read_to_string(data.join("addresses.json")).expect("written");
    let addresses: Value = serde_json::from_str(&text).expect("JSON");
    addresses[kind][0].as_str().expect("an address").parse().expect("an address")
}

/// Asks with `kdig`, which believes in the box's own authority, and gives what it says; none where it gets no answer.
fn kdig(data: &Path, kind: &str, how: &[&str]) -> Result<String, String> {
    let at = bound(data, kind);
    let authority = format!("+tls-ca={}", data.join("tls/ca.crt").display());
    let output = Command::new("kdig")
        .args([&format!("@{}", at.ip()), "-p", &at.port().to_string(), &authority, "+tls-hostname=localhost"])
        .args(["+retry=0", "+time=5", "+edns", "+padding"])
        .args(how)
        .args([BLOCKED, "A"])
        .output()
        .expect("kdig runs");
    let text = out(&output);
    if output.status.success() && text.contains("->>HEADER<<-") {
        Ok(text)
    } else {
        Err(text + &err(&output))
    }
}

#[test]
fn each_kind_answers_filters_and_stands_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::on_free_ports(folder.path(), ALL);
    let kinds: [(&str, &[&str]); 4] = [
        ("tls", &["+tls"]),
        ("https", &["+https=/dns-query"]),
        ("https", &["+https=/dns-query", "+https-get"]),
        ("quic", &["+quic"]),
    ];
    for (kind, how) in kinds {
        let said = kdig(folder.path(), kind, how).unwrap_or_else(|error| panic!("{how:?}: {error}"));
        assert!(said.contains("EDE: 17") || said.contains("Option (15)"), "{how:?}: {said}");
        assert!(said.to_ascii_uppercase().contains("PADDING"), "{how:?}: {said}");
        assert!(running.greeting.contains(&format!(" {kind}={}", bound(folder.path(), kind))));
    }
    // Who connects and says nothing, or something else, keeps nobody from asking.
    let _silent: Vec<_> = ["tls", "https"]
        .into_iter()
        .flat_map(|kind| [kind; 30])
        .map(|kind| std::net::TcpStream::connect(bound(folder.path(), kind)).expect("connects"))
        .collect();
    for (kind, how) in kinds {
        kdig(folder.path(), kind, how).unwrap_or_else(|error| panic!("{how:?}: {error}"));
    }
    let waiting = Instant::now();
    let mut found = Vec::new();
    // What was asked stands in the log within a second or so.
    while found.len() < 8 && waiting.elapsed() < PATIENCE {
        let report = json(folder.path(), &["log", "search", "--name", BLOCKED]);
        let lines = report["entries"].as_array().expect("a list");
        found = lines.iter().map(|line| line["transport"].as_str().expect("text").to_owned()).collect();
    }
    found.sort();
    assert_eq!(found, ["https", "https", "https", "https", "quic", "quic", "tls", "tls"]);
    assert!(running.stop().success());
}

#[test]
fn a_port_in_use_is_one_clear_line_that_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (key, variable) in [("dns.tls", "SCHOOLGATE_DNS__TLS"), ("dns.https", "SCHOOLGATE_DNS__HTTPS")] {
        let output = schoolgate()
            .args(["--data", folder.path().to_str().unwrap()])
            .env("SCHOOLGATE_DNS__LISTEN", "127.0.0.1:0")
            .env(variable, address.to_string())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", err(&output));
        assert_eq!(err(&output).lines().count(), 1, "{}", err(&output));
        assert!(
            err(&output).contains(&address.to_string()) && err(&output).contains(key),
            "{}",
            err(&output)
        );
    }
}

#[test]
fn without_a_certificate_questions_in_clear_are_answered_and_it_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("tls");
    fs::write(&in_the_way, "no folder").unwrap();
    let running = Running::on_free_ports(folder.path(), ALL);
    assert_eq!(ede(&running.ask("www.bet365.com.", RecordType::A))[0].0, 17);
    let ask = || kdig(folder.path(), "tls", &["+tls", "+time=1"]);
    assert!(ask().is_err(), "there is no certificate");
    fs::remove_file(&in_the_way).unwrap();
    let waiting = Instant::now();
    while let Err(error) = ask() {
        assert!(waiting.elapsed() < PATIENCE, "{error}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn with_a_certificate_of_the_school_clients_find_it_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let found = |running: &Running| {
        let answer = exchange_tcp(running.dns[0], &question("_dns.resolver.arpa.", RecordType::SVCB));
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        answer.answers.iter().map(|record| record.data.to_string()).collect::<Vec<_>>()
    };
    let running = Running::on_free_ports(folder.path(), ALL);
    assert_eq!(found(&running), [""; 0], "nobody would believe the box's own authority");
    assert!(running.stop().success());
    let tls = folder.path().join("tls");
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ])
        .args(["-subj", "/CN=school", "-addext", "subjectAltName=DNS:dns.school.example"])
        .arg("-keyout")
        .arg(tls.join("school.key"))
        .arg("-out")
        .arg(tls.join("school.crt"))
        .output()
        .expect("openssl runs");
    assert!(output.status.success(), "{}", err(&output));
    let running = Running::on_free_ports(folder.path(), ALL);
    let all = found(&running);
    assert_eq!(all.len(), 3, "{all:?}");
    for (one, (protocol, kind)) in all.iter().zip([("dot", "tls"), ("doq", "quic"), ("h2", "https")]) {
        let port = bound(folder.path(), kind).port();
        assert!(one.contains(" dns.school.example. ") && one.contains(&format!("alpn={protocol}")), "{one}");
        assert!(one.contains(&format!("port={port}")) && one.contains("ipv4hint=127.0.0.1"), "{one}");
    }
}
