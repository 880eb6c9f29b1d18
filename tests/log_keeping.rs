//! How long the query log of the real program keeps what, and what people can do about it.

mod support;

use std::{
    fs,
    path::Path,
    process::Output,
    thread,
    time::{Duration, Instant},
};

use hickory_proto::rr::RecordType;
use rusqlite::Connection;
use schoolgate::store::Store;
use support::{Running, command_on, err, out};

const QUIET: &str = "[lists]\nautomatic = false\n";

fn import(data: &Path, log: &str) -> Output {
    let text = out(&command_on(data, &["policy", "export"]));
    let file = data.join("import.toml");
    let at = text.find("[[profile]]").expect("a profile");
    fs::write(&file, format!("{}{log}\n{}", &text[..at], &text[at..])).expect("written");
    command_on(data, &["policy", "import", file.to_str().expect("text")])
}

fn audit(data: &Path, action: &str) -> Vec<String> {
    let records = Store::open(data).expect("the store").audit_records(1_000).expect("read");
    records.into_iter().filter(|record| record.action == action).map(|record| record.detail).collect()
}

/// The names of a day file, with what happened to each.
fn names(file: &Path) -> Vec<(String, String)> {
    let connection = Connection::open(file).expect("a day file");
    let mut rows = connection
        .prepare(
            "SELECT reversed, action FROM question JOIN name ON name.id = name JOIN fate ON fate.id = fate
                ORDER BY at",
        )
        .expect("a day file");
    let found = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    found.map(|row| row.expect("words")).collect()
}

fn days(data: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(data.join("log")).expect("the log's folder");
    let is_day = |name: &str| name.len() == 13 && name.starts_with("20") && name.ends_with(".db");
    let files = entries.map(|entry| entry.expect("an entry").path());
    files.filter(|file| is_day(&file.file_name().expect("a name").to_string_lossy())).collect()
}

#[test]
fn a_policy_that_keeps_more_than_the_box_allows_needs_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let refused = import(data, "[log]\nallowed_days = 120\nblocked_days = 400\nrollup_days = 800");
    assert_eq!(refused.status.code(), Some(2));
    let said = err(&refused);
    for line in [
        "log.allowed_days: 120 days is longer than the 90 that this box's settings allow without a reason; write at \
         most 90, or say why in log.reason",
        "log.blocked_days: 400 days",
        "log.rollup_days: 800 days",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(!out(&command_on(data, &["policy", "export"])).contains("[log]"), "nothing changed");
    let taken = import(data, "[log]\nallowed_days = 120\nreason = \"the governors, minute 14\"");
    assert!(taken.status.success(), "{}", err(&taken));
    assert!(out(&taken).contains("log.allowed_days: 120 days, was 30 days"), "{}", out(&taken));
    assert!(out(&command_on(data, &["policy", "export"])).contains("allowed_days = 120"));
}

#[test]
fn limits_that_were_lowered_later_cut_what_is_kept_and_hold_nothing_else_up() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    // Commands read it from there.
    fs::write(data.join("schoolgate.toml"), "[log]\nretention_days = 7\n").unwrap();
    let file = data.join("export.toml");
    let text = out(&command_on(data, &["policy", "export"])).replacen("school = \"\"", "", 1);
    fs::write(&file, text.replacen("version = 1", "version = 1\nschool = \"Elm Lane\"", 1)).unwrap();
    let taken = command_on(data, &["policy", "import", file.to_str().unwrap()]);
    assert!(taken.status.success(), "{}", err(&taken));
    assert!(
        out(&taken).contains(
            "warning: log.allowed_days: 30 days is longer than the 7 that this box's settings allow without a reason, \
             so it is cut to that"
        ),
        "{}",
        out(&taken)
    );
}

#[test]
fn a_hold_keeps_what_would_be_erased_until_it_is_lifted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let running = Running::on_free_ports(data, QUIET);
    for n in 0..5 {
        running.ask(&format!("q{n}.bet365.com."), RecordType::A);
    }
    let json = |args: &[&str]| -> serde_json::Value {
        let output = running.command(&[args, &["--json"]].concat());
        serde_json::from_str(&out(&output)).unwrap_or_else(|_| panic!("{}", err(&output)))
    };
    let hold = json(&[
        "log",
        "hold",
        "add",
        "--from",
        "1h",
        "--to",
        "now",
        "--why",
        "the police ask",
        "--incident",
        "14",
    ]);
    assert_eq!(hold["id"], "hold-1");
    // What was asked up to then is held; this is not.
    running.ask("late.bet365.com.", RecordType::A);
    let erase = ["log", "erase", "--client", "127.0.0.1", "--reason", "asked for by the parents"];
    let would = json(&[&erase[..], &["--dry-run"]].concat());
    assert_eq!(would["dry_run"], true);
    assert_eq!(audit(data, "log.erase"), [""; 0]);
    let report = json(&erase);
    assert_eq!((&report["rows"], &report["spared"][0]["rows"]), (&1.into(), &5.into()), "{report}");
    let mut logged: Vec<String> = names(&days(data)[0]).into_iter().map(|(name, _)| name).collect();
    // Those of one millisecond stand as the threads that answered them were asked for theirs.
    logged.sort();
    assert_eq!(logged, ["com.bet365.q0", "com.bet365.q1", "com.bet365.q2", "com.bet365.q3", "com.bet365.q4"]);
    // The server goes on with the same file, and the same names.
    running.ask("late.bet365.com.", RecordType::A);
    let lifted = running.command(&["log", "hold", "lift", "hold-1", "--why", "closed"]);
    assert!(lifted.status.success() && out(&lifted).contains("lifted by"), "{}", out(&lifted));
    let listed = out(&running.command(&["log", "hold", "list"]));
    assert!(listed.contains("incident 14") && listed.contains("the police ask; lifted by"), "{listed}");
    let report = json(&erase);
    assert_eq!((&report["rows"], &report["failed"]), (&6.into(), &serde_json::json!([])), "{report}");
    let again = running.command(&erase);
    assert_eq!(again.status.code(), Some(1), "nothing is left: {}", out(&again));
    assert!(running.stop().success());
    assert_eq!(names(&days(data)[0]), []);
    assert_eq!(audit(data, "log.hold").len(), 1);
    assert_eq!(audit(data, "log.hold.lifted").len(), 1);
    assert_eq!(audit(data, "log.purge").len(), 2);
    // The newest stands first.
    let erased = audit(data, "log.erase");
    let first = erased.last().unwrap();
    assert!(first.contains("1 rows in 1 days") && first.contains("5 rows kept by legal holds"), "{erased:?}");
}

#[test]
fn commands_about_holds_that_make_no_sense_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    for (args, argument) in [
        (&["hold", "add", "--from", "soon", "--to", "now", "--why", "x"][..], "--from"),
        (&["hold", "add", "--from", "today", "--to", "yesterday", "--why", "x"], "--from"),
        (&["hold", "add", "--from", "today", "--to", "now", "--why", " "], "--why"),
        (
            &["hold", "add", "--from", "2w", "--to", "now", "--why", "x", "--client", "nobody's tablet"],
            "--client",
        ),
        (&["hold", "lift", "hold-7", "--why", "x"], "ID"),
        (&["erase", "--client", "10.0.0.1", "--reason", ""], "--reason"),
        (&["erase", "--client", "10.0.0.0/8", "--reason", "x"], "--client"),
        (&["erase", "--client", "10.0.0.1", "--reason", "x", "--from", "now", "--to", "2h"], "--from"),
    ] {
        let output = command_on(data, &[&["log"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", out(&output));
        assert!(err(&output).contains(argument), "{args:?}: {}", err(&output));
    }
    assert!(!data.join("log/holds.json").exists());
    fs::create_dir_all(data.join("log")).unwrap();
    fs::write(data.join("log/holds.json"), "{").unwrap();
    let output = command_on(data, &["log", "erase", "--client", "10.0.0.1", "--reason", "x"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("holds.json: the legal holds can't be read"), "{}", err(&output));
}

#[test]
fn a_server_reduces_old_days_and_writes_it_down() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let running = Running::on_free_ports(data, QUIET);
    running.ask("blocked.bet365.com.", RecordType::A);
    // A type that only servers ask each other for is refused, and is no blocked question.
    running.ask("transfer.example.", RecordType::AXFR);
    assert!(running.stop().success());
    let today = days(data).remove(0);
    assert_eq!(names(&today).len(), 2, "{:?}", names(&today));
    let old = |days_ago: i64| {
        let date = schoolgate::clock::Clock::system().now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let date = date.checked_sub(jiff::Span::new().days(days_ago)).unwrap();
        data.join(format!("log/{date}.db"))
    };
    let (reduced, gone) = (old(40), old(400));
    fs::copy(&today, &reduced).unwrap();
    fs::rename(&today, &gone).unwrap();
    let running = Running::on_free_ports(data, QUIET);
    let until = Instant::now() + Duration::from_secs(30);
    while (gone.exists() || names(&reduced).len() > 1) && Instant::now() < until {
        thread::sleep(Duration::from_millis(50));
    }
    assert!(!gone.exists());
    assert_eq!(names(&reduced), [("com.bet365.blocked".to_owned(), "blocked".to_owned())]);
    assert!(running.stop().success());
    let purges = audit(data, "log.purge");
    assert!(
        purges.iter().any(|purge| purge.contains(": deleted: ") || purge.contains(" deleted: 2 rows")),
        "{purges:?}"
    );
    assert!(
        purges.iter().any(|purge| purge.contains("reduced: 1 rows") && purge.contains("30 days are over")),
        "{purges:?}"
    );
}
