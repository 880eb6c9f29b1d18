//! What who supervises and updates the box relies on: that it says when it answers, and that it can be asked how it is.

#![allow(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

mod support;

use std::{os::unix::net::UnixDatagram, path::Path, time::Duration};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RecordType},
};
use support::{Running, err, exchange, out, schoolgate};

/// A socket as systemd has one, with a watchdog of three seconds.
fn supervised(folder: &Path) -> (UnixDatagram, Running) {
    let path = folder.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut command = schoolgate();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000").env_remove("WATCHDOG_PID");
    let running =
        Running::by(command, &folder.join("data"), "[dns]\nlisten = [\"127.0.0.1:0\"]\nallow = []\n");
    (socket, running)
}

fn said(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn who_supervises_it_hears_that_it_answers_still_answers_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, running) = supervised(folder.path());
    let ready = said(&socket);
    assert!(ready.starts_with("READY=1\nSTATUS=Answering; "), "{ready}");
    // Though nobody is served (`dns.allow`), since this is nobody's question.
    for _ in 0..3 {
        assert_eq!(said(&socket), "WATCHDOG=1\n");
    }
    // It is in no log.
    let stats = out(&running.command(&["log", "search", "--json"]));
    assert!(!stats.contains("pulse"), "{stats}");
    assert!(running.stop().success());
    let stopping = loop {
        let said = said(&socket);
        if said != "WATCHDOG=1\n" {
            break said;
        }
    };
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
}

#[test]
fn nobody_else_gets_an_answer_to_what_the_box_asks_itself() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::on_free_ports(folder.path(), "");
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    let mut query = Query::query(Name::from_ascii("00.pulse.schoolgate.").unwrap(), RecordType::TXT);
    query.set_query_class(DNSClass::CH);
    message.add_query(query);
    assert_eq!(exchange(running.dns[0], &message).metadata.response_code, ResponseCode::Refused);
}

#[test]
fn the_self_test_passes_on_a_box_that_works_and_says_what_it_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = schoolgate();
    command.env("SCHOOLGATE_ADMIN__LISTEN", "127.0.0.1:0");
    let running = Running::by(command, folder.path(), "[dns]\nlisten = [\"127.0.0.1:0\", \"[::1]:0\"]\n");
    let record = folder.path().join("before.json");
    let record = record.to_str().unwrap();
    let recorded = running.command(&["selftest", "--record", record]);
    assert!(recorded.status.success(), "{}", err(&recorded));
    let tested = running.command(&["selftest", "--policy-before", record, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out(&tested)).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    assert!(tested.status.success());
    let checks: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|look| look["check"].as_str().unwrap()).collect();
    for check in ["service", "policy", "profiles", "lists", "databases", "dns", "blocking", "log", "pages"] {
        assert!(checks.contains(&check), "{check}: {report:#}");
    }
    assert_eq!(checks.iter().filter(|check| **check == "dns").count(), 4, "{report:#}");
    // The same policy over lists that lost a name.
    let before = std::fs::read_to_string(record).unwrap();
    assert!(before.contains("\"bet365.com\""), "{before}");
    let other = folder.path().join("other.json");
    std::fs::write(&other, before.replace("\"bet365.com\"", "\"bbc.co.uk\"")).unwrap();
    let tested = running.command(&["selftest", "--policy-before", other.to_str().unwrap(), "--wait", "0"]);
    assert_eq!(tested.status.code(), Some(1));
    assert!(out(&tested).contains("FAILED  profiles  bbc.co.uk was blocked for"), "{}", out(&tested));
    // For a version that has proved itself, only the answers count.
    let tested = running.command(&["selftest", "--answers", "--json"]);
    assert!(tested.status.success(), "{}", err(&tested));
    let report: serde_json::Value = serde_json::from_str(&out(&tested)).unwrap();
    let checks: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|look| look["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["service", "dns", "dns", "dns", "dns", "blocking"]);
    // Somebody publishes another policy after it was written down.
    support::school::import(&running.data, &support::school::policy(""));
    let tested = running.command(&["selftest", "--policy-before", record, "--wait", "0"]);
    assert!(tested.status.success(), "{}", out(&tested));
    assert!(out(&tested).contains("ok      policy    revision 1 was published since"), "{}", out(&tested));
    // Another policy than the one that was written down, and nobody published it.
    let recorded = running.command(&["selftest", "--record", record]);
    assert!(recorded.status.success(), "{}", err(&recorded));
    let mut before: serde_json::Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    before["policy"] = "0".repeat(64).into();
    for revision in [0, 1, 2] {
        before["revision"] = revision.into();
        std::fs::write(&other, before.to_string()).unwrap();
        let tested =
            running.command(&["selftest", "--policy-before", other.to_str().unwrap(), "--wait", "0"]);
        assert_eq!(tested.status.code(), Some(1), "{revision}");
        assert!(out(&tested).contains("FAILED  policy"), "{}", out(&tested));
    }
}

#[test]
fn the_self_test_fails_where_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let tested = support::command_on(folder.path(), &["selftest", "--wait", "0"]);
    assert_eq!(tested.status.code(), Some(1), "{}", err(&tested));
    assert!(out(&tested).contains("no service runs"), "{}", out(&tested));
}
