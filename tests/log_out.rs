//! What leaves the query log, with the real program: evidence that shows for itself if it was changed, what is held
//! about one device, and pseudonyms that are reversed in front of witnesses.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use hickory_proto::rr::RecordType;
use schoolgate::{
    clock::Day,
    querylog::{LogFolder, privacy::DayKey},
};
use support::{Running, ask, command_on, err, out, schoolgate};

/// Pupils ask from 127.0.0.1 and are logged in full, staff from `::1` and under pseudonyms.
const POLICY: &str = r#"
version = 1
school = "Elm Lane Primary"
timezone = "Europe/London"
fallback_profile = "pupils"

[[profile]]
id = "pupils"
name = "Pupils"
subnets = ["127.0.0.0/8"]
audience = "pupil"
block_with = "nxdomain"
log = "full"

[[profile]]
id = "staff"
name = "Staff"
subnets = ["::1/128"]
audience = "staff"
block_with = "nxdomain"
log = "pseudonymous"

[[device]]
name = "tablet-7"
address = "127.0.0.1"

[[rule]]
action = "block"
name = "worst.example"
"#;

struct School {
    _folder: tempfile::TempDir,
    data: PathBuf,
    away: PathBuf,
}

impl School {
    /// A server that was asked by both, and has stopped.
    fn after_school() -> Self {
        let school = Self::new();
        let running = school.start();
        school.questions(&running);
        assert!(running.stop().success());
        school
    }

    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, away) = (folder.path().join("data"), folder.path().join("away"));
        fs::create_dir_all(&data).expect("a folder");
        fs::create_dir_all(&away).expect("a folder");
        let school = Self { _folder: folder, data, away };
        let file = school.away.join("policy.toml");
        fs::write(&file, POLICY).expect("written");
        let imported = school.command(&["policy", "import", file.to_str().expect("text")]);
        assert!(imported.status.success(), "{}", err(&imported));
        school
    }

    fn start(&self) -> Running {
        Running::on_free_ports(&self.data, "")
    }

    fn questions(&self, running: &Running) {
        ask(running.dns[0], "one.worst.example.", RecordType::A);
        ask(running.dns[0], "two.worst.example.", RecordType::TXT);
        ask(running.dns[1], "three.worst.example.", RecordType::A);
    }

    fn command(&self, args: &[&str]) -> Output {
        command_on(&self.data, args)
    }

    fn out(&self, name: &str) -> String {
        self.away.join(name).to_str().expect("text").to_owned()
    }

    fn export(&self, name: &str, filters: &[&str]) -> String {
        let file = self.out(name);
        let span = [
            "log",
            "export",
            "--from",
            "2020-01-01",
            "--to",
            "2100-01-01",
            "--reason",
            "incident 7",
            "--out",
            &file,
        ];
        let done = self.command(&[&span[..], filters].concat());
        assert!(done.status.success(), "{}", err(&done));
        assert!(out(&done).contains("signed by this box's key: "), "{}", out(&done));
        file
    }

    /// The audit's lines of an action, oldest first.
    fn audit(&self, action: &str) -> Vec<String> {
        let database = rusqlite::Connection::open(self.data.join("schoolgate.db")).expect("a database");
        let mut statement = database
            .prepare("SELECT who || ': ' || detail FROM audit WHERE action = ?1 ORDER BY id")
            .expect("a table");
        statement
            .query_map([action], |row| row.get(0))
            .expect("a table")
            .collect::<Result<_, _>>()
            .expect("a table")
    }

    fn pseudonym(&self) -> String {
        let folder = LogFolder::in_data(&self.data);
        DayKey::load(&folder, self.day()).expect("keys").expect("a key of the day").pseudonym("::1")
    }

    /// The day of the questions.
    fn day(&self) -> Day {
        LogFolder::in_data(&self.data).days().expect("a folder")[0]
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

/// `log verify` on a machine that has no data folder.
fn verify_elsewhere(file: &str, more: &[&str]) -> Output {
    let nowhere = tempfile::tempdir().expect("a folder");
    let data = nowhere.path().join("none");
    let output = schoolgate()
        .arg("--data")
        .arg(&data)
        .args(["log", "verify", file])
        .args(more)
        .output()
        .expect("the program runs");
    assert!(!data.exists(), "looking makes no data folder, and no key");
    output
}

fn unpacked(file: &str, name: &str) -> String {
    let script =
        "import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";
    let python = std::process::Command::new("python3")
        .args(["-c", script, file, name])
        .output()
        .expect("the program runs");
    assert!(python.status.success(), "{python:?}");
    out(&python)
}

#[test]
fn evidence_is_taken_from_a_running_server_and_checked_anywhere() {
    let school = School::new();
    let running = school.start();
    school.questions(&running);
    let file = school.export("evidence.zip", &[]);
    let rows = unpacked(&file, "rows.csv");
    for name in ["one.worst.example", "two.worst.example", "three.worst.example"] {
        assert_eq!(rows.matches(name).count(), 1, "what was asked a moment ago is in it: {rows}");
    }
    assert!(rows.contains(&school.pseudonym()) && !rows.contains("::1"), "{rows}");
    assert!(unpacked(&file, "summary.txt").contains("Elm Lane Primary"));
    assert!(unpacked(&file, "policy.toml").contains("worst.example"));
    let manifest: serde_json::Value = serde_json::from_str(&unpacked(&file, "manifest.json")).unwrap();
    let key = manifest["fingerprint"].as_str().unwrap();
    let blocked =
        school.export("blocked.zip", &["--client", "TABLET-7", "--name", "one*", "--action", "blocked"]);
    assert_eq!(unpacked(&blocked, "rows.csv").lines().count(), 2);
    running.stop();

    let own = school.command(&["log", "verify", &file]);
    assert!(own.status.success() && out(&own).contains("which is this box's"), "{}{}", out(&own), err(&own));
    let elsewhere = verify_elsewhere(&file, &[]);
    assert!(elsewhere.status.success(), "{}", err(&elsewhere));
    assert!(out(&elsewhere).contains(key) && out(&elsewhere).contains("Compare it"), "{}", out(&elsewhere));
    assert_eq!(code(&verify_elsewhere(&file, &["--key", &key.to_uppercase().replace('-', "")])), 0);
    let other = verify_elsewhere(&file, &["--key", "0123-4567-89ab-cdef-0123-4567-89ab-cdef"]);
    assert_eq!(code(&other), 1, "{}", err(&other));
    assert!(out(&other).contains("it was signed by key"), "{}", out(&other));
    assert_eq!(code(&verify_elsewhere(&file, &["--key", "nonsense"])), 2);

    let audit = school.audit("log.export");
    assert_eq!(audit.len(), 2);
    assert!(
        audit[0].contains("3 rows from 2020-01-01T00:00:00Z") && audit[0].ends_with(": incident 7"),
        "{audit:?}"
    );
    assert!(audit[0].contains(key), "{audit:?}");
    assert!(audit[1].contains("action = blocked, client = TABLET-7, name = one*"), "{audit:?}");
    let left = fs::read_dir(school.data.join("log/outgoing")).unwrap().count();
    assert_eq!(left, 0, "what was fetched does not stay in the data folder");
}

#[test]
fn each_kind_of_tampering_is_found_and_said() {
    let school = School::after_school();
    let file = school.export("evidence.zip", &[]);
    let bytes = fs::read(&file).unwrap();
    let verified = |bytes: &[u8]| {
        let changed = school.out("changed.zip");
        fs::write(&changed, bytes).unwrap();
        verify_elsewhere(&changed, &[])
    };
    // What a person could do with other programs.
    let repack = |script: &str| {
        let changed = school.out("repacked.zip");
        let script = format!(
            "import sys, zipfile\na = zipfile.ZipFile(sys.argv[1]); files = {{n: a.read(n) for n in a.namelist()}}\n\
             {script}\nb = zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED)\n\
             [b.writestr(n, d) for n, d in files.items()]\nb.close()"
        );
        let python =
            std::process::Command::new("python3").args(["-c", &script, &file, &changed]).output().unwrap();
        assert!(python.status.success(), "{python:?}");
        verify_elsewhere(&changed, &[])
    };
    let found = |output: &Output, said: &str| {
        assert_eq!(code(output), 1, "{}{}", out(output), err(output));
        assert!(
            out(output).contains("NOT as it was signed") && out(output).contains(said),
            "{said}: {}",
            out(output)
        );
    };
    found(&verified(&bytes[..bytes.len() - 1]), "cut short");
    found(&verified(&bytes[..bytes.len() / 2]), "cut short");
    found(&verified(&[&bytes[..], b"more"].concat()), "4 bytes stand behind its end");
    let middle = bytes.len() / 3;
    let changed: Vec<u8> =
        bytes.iter().enumerate().map(|(at, byte)| if at == middle { byte ^ 0x10 } else { *byte }).collect();
    assert_eq!(code(&verified(&changed)), 1);
    // A package that was packed again is not as it was written, whatever is in it.
    for script in [
        "files['rows.csv'] = files['rows.csv'].replace(b'one.', b'own.')",
        "del files['summary.txt']",
        "files['../../outside.txt'] = b'x'",
        "files['more.txt'] = b'x'",
    ] {
        assert_eq!(code(&repack(script)), 1, "{script}");
    }
    for other in [&b""[..], b"no zip file", b"%PDF-1.7"] {
        let output = verified(other);
        assert_eq!(code(&output), 2, "{}", err(&output));
        assert!(err(&output).contains("changed.zip: this is no zip file"), "{}", err(&output));
    }
    assert_eq!(code(&verify_elsewhere(&school.out("nowhere.zip"), &[])), 3);
    let json = schoolgate().args(["--json", "log", "verify", &school.out("repacked.zip")]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((code(&json), &document["sound"]), (1, &serde_json::Value::Bool(false)));
}

#[test]
fn what_is_wrong_with_an_export_is_said_and_nothing_is_written() {
    let school = School::after_school();
    let there = school.out("there.zip");
    fs::write(&there, "keep me").unwrap();
    let new = school.out("new.zip");
    let base = ["log", "export"];
    let cases: [(&[&str], &str); 9] = [
        (&["--from", "2026-11-22", "--to", "2026-11-23", "--out", &there, "--reason", "x"], "--out"),
        (
            &["--from", "2026-11-22", "--to", "2026-11-23", "--out", "/not/there/e.zip", "--reason", "x"],
            "--out",
        ),
        (&["--from", "yesteryear", "--to", "2026-11-23", "--out", &new, "--reason", "x"], "--from"),
        (&["--from", "2026-11-23", "--to", "2026-11-21", "--out", &new, "--reason", "x"], "--from"),
        (&["--from", "2026-11-21", "--to", "2026-13-21", "--out", &new, "--reason", "x"], "--to"),
        (&["--from", "2020-01-01", "--to", "2100-01-01", "--out", &new, "--reason", "  "], "--reason"),
        (
            &[
                "--from",
                "2020-01-01",
                "--to",
                "2100-01-01",
                "--out",
                &new,
                "--reason",
                "x",
                "--profile",
                "ks9",
            ],
            "--profile",
        ),
        (
            &[
                "--from",
                "2020-01-01",
                "--to",
                "2100-01-01",
                "--out",
                &new,
                "--reason",
                "x",
                "--category",
                "no",
            ],
            "--category",
        ),
        (
            &["--from", "2020-01-01", "--to", "2100-01-01", "--out", &new, "--reason", "x", "--action", "no"],
            "--action",
        ),
    ];
    for (args, argument) in cases {
        let output = school.command(&[&base[..], args].concat());
        assert_eq!(code(&output), 2, "{args:?}: {}", err(&output));
        assert!(err(&output).contains(argument), "{argument}: {}", err(&output));
    }
    assert_eq!(fs::read_to_string(&there).unwrap(), "keep me");
    assert_eq!(fs::read_dir(&school.away).unwrap().count(), 2, "the policy and what was there");
    assert_eq!(school.audit("log.export"), [""; 0]);
}

#[test]
fn what_is_held_about_a_device_has_its_rows_and_nobody_elses() {
    let school = School::after_school();
    let file = school.out("staff.zip");
    let done =
        school.command(&["log", "subject", "--client", "::1", "--out", &file, "--reason", "asked for it"]);
    assert!(done.status.success(), "{}", err(&done));
    let rows = unpacked(&file, "rows.csv");
    assert!(rows.contains("three.worst.example"), "found behind its pseudonym: {rows}");
    assert!(!rows.contains("one.worst.example") && rows.lines().count() == 2, "{rows}");
    let device: serde_json::Value = serde_json::from_str(&unpacked(&file, "device.json")).unwrap();
    assert_eq!(device["pseudonyms"][school.day().date().to_string()][0], school.pseudonym());
    assert_eq!(device["known_as"][0]["rows"], 1);
    assert_eq!(device["devices"], serde_json::json!([]), "the tablet is another's");
    let whole = ["rows.csv", "summary.txt", "device.json", "manifest.json"]
        .map(|name| unpacked(&file, name))
        .concat();
    for other in ["127.0.0.1", "tablet-7", "asked for it", "command line"] {
        assert!(!whole.contains(other), "{other}: {whole}");
    }
    assert_eq!(code(&verify_elsewhere(&file, &[])), 0);

    let folder = school.out("tablet");
    let done = school.command(&[
        "log",
        "subject",
        "--client",
        "Tablet-7",
        "--out",
        &folder,
        "--reason",
        "asked for it",
    ]);
    assert!(done.status.success(), "{}", err(&done));
    let rows = fs::read_to_string(Path::new(&folder).join("rows.csv")).unwrap();
    assert_eq!((rows.lines().count(), rows.contains("three.")), (3, false), "{rows}");
    let again =
        school.command(&["log", "subject", "--client", "Tablet-7", "--out", &folder, "--reason", "x"]);
    assert_eq!(code(&again), 2, "{}", err(&again));

    DayKey::destroy(&LogFolder::in_data(&school.data), school.day()).unwrap();
    let late = school.out("late.zip");
    let done =
        school.command(&["log", "subject", "--client", "::1", "--out", &late, "--reason", "asked again"]);
    assert!(done.status.success(), "{}", err(&done));
    assert_eq!(unpacked(&late, "rows.csv").lines().count(), 1, "nobody can say any more");
    assert!(out(&done).contains("whose key is gone"), "{}", out(&done));
    let audit = school.audit("log.subject");
    assert!(
        audit.len() == 3
            && audit[0].contains("what is held about ::1: 1 rows")
            && audit[0].ends_with("asked for it"),
        "{audit:?}"
    );
}

#[test]
fn a_pseudonym_is_reversed_for_the_safeguarding_role_and_every_try_is_in_the_audit() {
    let school = School::after_school();
    let (pseudonym, day) = (school.pseudonym(), school.day().date().to_string());
    let reveal = |pseudonym: &str, day: &str, role: &str| {
        school.command(&["log", "reveal", pseudonym, "--day", day, "--reason", "incident 7", "--role", role])
    };
    let done = reveal(&pseudonym, &day, "safeguarding");
    assert!(done.status.success(), "{}", err(&done));
    assert!(
        out(&done).contains("is the device at ::1") && out(&done).contains("profile: staff"),
        "{}",
        out(&done)
    );
    let refused = reveal(&pseudonym, &day, "technician");
    assert_eq!(code(&refused), 2, "{}", out(&refused));
    assert!(err(&refused).contains("--role") && !out(&refused).contains("::1"), "{}", err(&refused));
    assert_eq!(code(&reveal("tablet-7", &day, "safeguarding")), 2);
    assert_eq!(code(&reveal(&pseudonym, "22 November", "safeguarding")), 2);
    assert_eq!(code(&reveal("device-0123456789ab", &day, "safeguarding")), 1);
    assert_eq!(code(&reveal(&pseudonym, "2020-01-01", "safeguarding")), 1);
    DayKey::destroy(&LogFolder::in_data(&school.data), school.day()).unwrap();
    let late = reveal(&pseudonym, &day, "safeguarding");
    assert_eq!(code(&late), 1);
    assert!(out(&late).contains("the key of that day is gone"), "{}", out(&late));
    let audit = school.audit("log.reveal");
    let outcomes =
        ["reversed", "refused", "refused", "refused", "not reversed", "not reversed", "not reversed"];
    assert_eq!(audit.len(), outcomes.len(), "{audit:?}");
    for (line, outcome) in audit.iter().zip(outcomes) {
        assert!(line.contains(&format!(", {outcome}: incident 7")), "{outcome}: {line}");
        assert!(!line.contains("::1"), "the audit does not say who it was: {line}");
    }
    assert!(audit[0].contains(&format!("{pseudonym} of {day}, role safeguarding")), "{audit:?}");
    assert!(audit[1].contains("role technician"), "{audit:?}");
}

#[test]
fn without_the_audit_nothing_leaves_the_log() {
    let school = School::after_school();
    let (pseudonym, day) = (school.pseudonym(), school.day().date().to_string());
    let database = rusqlite::Connection::open(school.data.join("schoolgate.db")).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER no_more BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no room'); END",
        )
        .unwrap();
    drop(database);
    let reveal = school.command(&[
        "log",
        "reveal",
        &pseudonym,
        "--day",
        &day,
        "--reason",
        "x",
        "--role",
        "safeguarding",
    ]);
    assert_eq!(code(&reveal), 3, "{}", out(&reveal));
    assert!(!out(&reveal).contains("::1") && !err(&reveal).contains("::1"), "{}", out(&reveal));
    let (evidence, about) = (school.out("evidence.zip"), school.out("about.zip"));
    let export = school.command(&[
        "log",
        "export",
        "--from",
        "2020-01-01",
        "--to",
        "2100-01-01",
        "--out",
        &evidence,
        "--reason",
        "x",
    ]);
    let subject = school.command(&["log", "subject", "--client", "::1", "--out", &about, "--reason", "x"]);
    assert_eq!((code(&export), code(&subject)), (3, 3), "{}{}", out(&export), out(&subject));
    assert!(!Path::new(&evidence).exists() && !Path::new(&about).exists());
    assert_eq!(
        fs::read_dir(school.data.join("log/outgoing")).unwrap().count(),
        0,
        "nor does it wait to be fetched"
    );
}
