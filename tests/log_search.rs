//! Looking into the query log at the command line: beside a running server, and without one.

#![allow(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use hickory_proto::rr::RecordType;
use jiff::{SignedDuration, Timestamp, civil::Date};
use schoolgate::clock::Clock;
use serde_json::Value;
use support::{
    Running, command_on, err,
    log_day::{Question, add, day_of},
    out, schoolgate,
};

/// There is no internet here, and an answer that can't be had is not waited for.
const QUICK: &str = "[resolver]\ntime_limit_ms = 500\n";

/// A school whose clock is an hour ahead of UTC in summer and winter.
const POLICY: &str = r#"
version = 1
school = "Elm Lane Primary"
timezone = "Africa/Lagos"

[[profile]]
id = "pupils"
subnets = ["127.0.0.0/8", "::1/128"]
audience = "pupil"

[[profile]]
id = "staff"
audience = "staff"
"#;

fn import(data: &Path, more: &str) -> std::process::Output {
    let file = data.join("import.toml");
    fs::write(&file, format!("{POLICY}{more}")).expect("there");
    command_on(data, &["policy", "import", file.to_str().expect("there")])
}

/// The day that most tests look at: not so long ago that it would be time for it to go.
fn yesterday() -> Date {
    // The same all along, also when it is midnight meanwhile.
    static YESTERDAY: LazyLock<Date> =
        LazyLock::new(|| day_of(Clock::system().now()).yesterday().expect("there"));
    *YESTERDAY
}

/// A data folder with a policy and a day of five questions.
fn school() -> tempfile::TempDir {
    let data = tempfile::tempdir().expect("there");
    assert!(import(data.path(), "").status.success());
    let at = |time: &str| format!("{}T{time}Z", yesterday()).parse::<Timestamp>().expect("there");
    add(
        data.path(),
        &[
            Question::new(at("08:00:00"), "www.example.com"),
            Question { client: String::from("127.0.0.2"), ..Question::new(at("08:00:01"), "tok.example") },
            Question {
                action: "blocked",
                category: "gambling",
                ..Question::new(at("08:00:02"), "bet.example")
            },
            Question {
                device: "=1+1",
                client: String::from("127.0.0.3"),
                ..Question::new(at("09:00:00"), "example.com")
            },
            Question::new(at("10:00:00"), "other.example"),
        ],
    );
    data
}

fn search(data: &Path, args: &[&str]) -> std::process::Output {
    command_on(data, &[&["log", "search"], args].concat())
}

fn json(data: &Path, args: &[&str]) -> Value {
    let output = search(data, &[args, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", err(&output)))
}

fn names(document: &Value) -> Vec<&str> {
    document["entries"]
        .as_array()
        .expect("there")
        .iter()
        .map(|entry| entry["name"].as_str().expect("there"))
        .collect()
}

fn assert_searches(data: &Path) {
    let text = out(&search(data, &["--name", "*.example.com"]));
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[1].starts_with(&format!("{} 10:00:00  =1+1 ", yesterday())) && lines[1].contains(" allowed "),
        "{text}"
    );
    assert!(lines[2].contains("www.example.com") && lines[3] == "2 questions, the newest first.", "{text}");
    assert_eq!(names(&json(data, &["--client", "127.0.0.2"])), ["tok.example"]);
    assert_eq!(names(&json(data, &["--category", "gambling", "--action", "blocked"])), ["bet.example"]);
    // By the school's clock, which is an hour ahead.
    let [from, to] = ["09:00", "09:01"].map(|time| format!("{} {time}", yesterday()));
    let within = ["--from", &from, "--to", &to];
    assert_eq!(names(&json(data, &within)), ["bet.example", "tok.example", "www.example.com"]);
    let first = json(data, &["--limit", "2"]);
    assert_eq!(names(&first), ["other.example", "example.com"]);
    let second = json(data, &["--limit", "3", "--after", first["next"].as_str().expect("there")]);
    assert_eq!(names(&second), ["bet.example", "tok.example", "www.example.com"]);
    assert_eq!(second["next"], Value::Null);
    let csv = out(&search(data, &["--csv", "--limit", "2"]));
    let rows: Vec<&str> = csv.split("\r\n").collect();
    assert!(rows[0].starts_with("time,client,device,mac,profile,"), "{csv}");
    assert!(rows[2].starts_with(&format!("{}T09:00:00Z,127.0.0.3,'=1+1,", yesterday())), "{csv}");
    assert_eq!(rows.len(), 4, "{csv}");
    let stats = command_on(data, &["log", "stats", "--day", &yesterday().to_string(), "--json"]);
    let stats: Value = serde_json::from_slice(&stats.stdout).expect("there");
    assert_eq!(stats["days"][0]["rows"], 5);
    assert_eq!(stats["day"]["profiles"]["pupils"]["blocked"], 1);
}

#[test]
fn the_log_is_searched_without_a_server_and_beside_one() {
    let data = school();
    assert_searches(data.path());
    let running = Running::on_free_ports(data.path(), QUICK);
    assert_searches(data.path());
    assert!(running.stop().success());
}

#[test]
fn what_makes_no_sense_is_refused_with_code_2_and_the_argument() {
    let data = school();
    for (args, says) in [
        (&["--from", "noon"][..], "--from"),
        (&["--to", "2026-02-30"], "--to"),
        (&["--from", "2026-06-23", "--to", "2026-06-22"], "--from"),
        (&["--name", "*"], "--name"),
        (&["--name", ""], "--name"),
        (&["--limit", "0"], "--limit"),
        (&["--limit", "1000000"], "--limit"),
        (&["--category", "gambing"], "did you mean gambling?"),
        (&["--profile", "pupil"], "did you mean pupils?"),
        (&["--action", "blokced"], "did you mean blocked?"),
        (&["--after", "nowhere"], "--after"),
        (&["--csv", "--json"], "--csv"),
    ] {
        let output = search(data.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
        assert!(err(&output).contains(says), "{args:?}: {}", err(&output));
        assert_eq!(out(&output), "");
    }
    let output = command_on(data.path(), &["log", "stats", "--day", "2026-06-01"]);
    assert_eq!(output.status.code(), Some(2));
    let name = format!("{}.db", yesterday());
    let file = data.path().join("log").join(&name);
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let output = search(data.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains(&format!("{name} was made by a newer Schoolgate")), "{}", err(&output));
}

#[test]
fn a_damaged_day_is_told_and_the_others_are_searched() {
    let data = school();
    let before = yesterday().yesterday().unwrap();
    fs::write(data.path().join(format!("log/{before}.db")), vec![3; 10_000]).unwrap();
    let output = search(data.path(), &["--limit", "1000"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(err(&output).contains(&format!("the log of {before} can't be read")), "{}", err(&output));
    assert!(out(&output).contains("5 questions"), "{}", out(&output));
    let output = search(data.path(), &["--to", &format!("{before} 23:00")]);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
}

fn tail(data: &Path, args: &[&str]) -> Child {
    schoolgate()
        .args(["--data", data.to_str().expect("there"), "log", "tail"])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("there")
}

/// Waits until it follows.
fn ready(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().expect("there")).read_line(&mut line).expect("there");
    assert!(line.contains("Following the log"), "{line}");
}

#[test]
fn following_the_log_shows_what_is_written_and_ends_at_ctrl_c() {
    let data = school();
    let output = command_on(data.path(), &["log", "tail"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("no server runs"), "{}", err(&output));
    let running = Running::on_free_ports(data.path(), QUICK);
    let output = command_on(data.path(), &["log", "tail", "--name", "**"]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    let mut child = tail(data.path(), &["--json", "--name", "*.example"]);
    ready(&mut child);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = || {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        line["name"].as_str().unwrap().to_owned()
    };
    for name in ["a.example.", "other.test.", "b.example."] {
        running.ask(name, RecordType::A);
    }
    assert_eq!((said(), said()), (String::from("a.example"), String::from("b.example")));
    // Whoever asks and then searches finds it.
    running.ask("c.example.", RecordType::A);
    assert_eq!(names(&json(data.path(), &["--limit", "1"])), ["c.example"]);
    assert_eq!(said(), "c.example");
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(running.stop().success());
}

#[test]
fn following_the_log_ends_when_nobody_reads_any_more() {
    let data = school();
    let running = Running::on_free_ports(data.path(), QUICK);
    let mut child = tail(data.path(), &[]);
    ready(&mut child);
    drop(child.stdout.take());
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it ends by itself");
        std::thread::yield_now();
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // And when the server stops, it says so.
    let mut child = tail(data.path(), &[]);
    ready(&mut child);
    assert!(running.stop().success());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_list_that_would_block_a_busy_name_of_the_school_is_held_and_a_diff_says_how_often_names_were_asked() {
    let data = school();
    let now = Clock::system().now();
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    // Within one day, in the order of time; whichever the time of day is now.
    let day = if day_of(ago(60)) == day_of(now) { ago(60) } else { ago(24 * 60) };
    let mut questions = Vec::new();
    for nth in 0..200 {
        let client = format!("127.0.1.{}", nth % 40);
        questions.push(Question { client: client.clone(), ..Question::new(day, "maths.busy.example") });
        if nth % 40 == 0 {
            questions.push(Question { client, ..Question::new(day, "www.seldom.example") });
        }
    }
    add(data.path(), &questions);
    let list = data.path().join("games.txt");
    fs::write(&list, "a.games.example\nb.games.example\nwww.seldom.example\n").unwrap();
    let subscription = format!("[[list]]\nid = \"games\"\ncategory = \"games\"\nfile = {list:?}\n");
    let output = import(data.path(), &subscription);
    assert!(output.status.success() && !out(&output).contains("held"), "{}{}", out(&output), err(&output));
    fs::write(&list, "a.games.example\nwww.seldom.example\nc.games.example\nbusy.example\n").unwrap();
    let output = command_on(data.path(), &["lists", "update", "games"]);
    assert_eq!(output.status.code(), Some(1), "{}{}", out(&output), err(&output));
    assert!(out(&output).contains("1 name that this school often uses"), "{}", out(&output));
    let output = command_on(data.path(), &["lists", "diff", "games"]);
    let text = out(&output);
    let first = text.lines().find(|line| line.starts_with('+')).unwrap();
    assert_eq!(first, "+ busy.example  (asked 200 times lately)", "{text}");
    // What the list had before is nothing new.
    fs::write(&list, "a.games.example\nwww.seldom.example\nc.games.example\n").unwrap();
    let output = command_on(data.path(), &["lists", "update", "games"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
}
