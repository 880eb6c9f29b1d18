//! A feed of illegal content, in force, asked about and looked for everywhere: its names show nowhere.

mod support;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RecordType, rdata::opt::EdnsOption},
};
use schoolgate::{
    clock::{Clock, Day},
    seen::Seen,
};
use support::{
    Running, ask, command_on, ede, err, exchange, exchange_tcp, out, question,
    school::{file_list, policy},
    schoolgate,
};

/// Names that nobody has, as a member's feed would have real ones.
const FEED: &str = "worst.test\nvilest.test\nfoulest.test\nbücher-grim.test\n";

/// What must show nowhere: parts of each of them, as a text and as an index keep them.
const CLEAR: &[&str] = &["worst", "vilest", "foulest", "-grim"];

struct School {
    folder: tempfile::TempDir,
}

impl School {
    fn new() -> Self {
        let school = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(school.data()).expect("written");
        fs::create_dir(school.folder.path().join("tmp")).expect("written");
        fs::write(school.feed(), FEED).expect("written");
        school
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The file that the school was given, which is not the box's.
    fn feed(&self) -> PathBuf {
        self.folder.path().join("feed.txt")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn policy(&self, category: &str, more: &str) -> PathBuf {
        let file = self.folder.path().join("policy.toml");
        let feed = file_list("feed", category, &self.feed());
        let supplier = "[[supplier]]\ncategory = \"illegal-child-abuse\"\nby = \"feed\"\nwho = \"Elm Trust\"\n\
                        verified = 2026-11-20\nverified_by = \"A. Head\"\n";
        let staff = "audience = \"staff\"\n";
        let watched = policy(&(feed + supplier + more)).replace(staff, &format!("{staff}mode = \"watch\"\n"));
        let text = format!("contact = \"mailto:office@school.example\"\n{watched}");
        fs::write(&file, text).expect("written");
        file
    }

    fn start(&self) -> Running {
        let mut command = schoolgate();
        let log =
            File::options().append(true).create(true).open(self.folder.path().join("log")).expect("a log");
        command.env("SCHOOLGATE_LOG", "trace").env("TMPDIR", self.folder.path().join("tmp"));
        command.stderr(Stdio::from(log));
        Running::by(command, &self.data(), "[dns]\nlisten = [\"127.0.0.1:0\"]\n")
    }

    fn run(&self, args: &[&str]) -> Output {
        let output = command_on(&self.data(), args);
        assert_masked(&format!("{args:?}"), &out(&output));
        assert_masked(&format!("{args:?}"), &err(&output));
        output
    }

    fn import(&self, policy: &Path, more: &[&str]) -> Output {
        self.run(&[&["policy", "import", policy.to_str().expect("text")], more].concat())
    }

    /// Looks through everything that the box wrote to its disk.
    fn assert_nothing_on_disk(&self) {
        let mut files = Vec::new();
        files_below(&self.data(), &mut files);
        files_below(&self.folder.path().join("tmp"), &mut files);
        assert!(files.iter().any(|file| file.ends_with("schoolgate.db")), "{files:?}");
        assert!(files.iter().any(|file| file.ends_with("lists/feed/000001.sealed")), "{files:?}");
        for file in files {
            let clear = file.parent().is_some_and(|list| list.ends_with("feed"))
                && file.extension() == Some("gz".as_ref());
            assert!(!clear, "{} is compressed, not sealed", file.display());
            // A socket, or one that was removed since.
            let Ok(bytes) = fs::read(&file) else { continue };
            for clear in CLEAR {
                let backwards: Vec<u8> = clear.bytes().rev().collect();
                for part in [clear.as_bytes(), &backwards] {
                    let found = bytes.windows(part.len()).any(|window| window == part);
                    assert!(!found, "{clear} is in {}", file.display());
                }
            }
        }
        assert_masked("the log", &self.log());
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

fn assert_masked(what: &str, text: &str) {
    for clear in CLEAR {
        assert!(!text.contains(clear), "{clear} shows in {what}: {text}");
    }
}

fn blocked(message: &Message) -> String {
    assert_eq!(message.metadata.response_code, ResponseCode::NXDomain, "{message:?}");
    let why = ede(message);
    assert_eq!(why.len(), 1, "{message:?}");
    assert_eq!(why[0].0, 16, "censored: {why:?}");
    assert_masked("the extended error", &why[0].1);
    why[0].1.clone()
}

/// The digest in a text, which `Blocked:` is not.
fn digest(text: &str) -> String {
    let is_digest = |rest: &&str| rest.len() >= 12 && rest.bytes().take(12).all(|b| b.is_ascii_hexdigit());
    let rest = text.split("locked:").skip(1).find(is_digest);
    rest.unwrap_or_else(|| panic!("no digest in {text}"))[..12].to_owned()
}

#[test]
fn the_names_of_a_locked_feed_show_nowhere() {
    let school = School::new();
    let imported = school.import(&school.policy("illegal-child-abuse", ""), &[]);
    assert!(imported.status.success(), "{}", err(&imported));
    school.assert_nothing_on_disk();

    let running = school.start();
    let server = running.dns[0];
    let mut digests = Vec::new();
    for name in
        ["worst.test.", "www.WORST.test.", "vilest.test.", "a.b.foulest.test.", "xn--bcher-grim-9db.test."]
    {
        digests.push(digest(&blocked(&ask(server, name, RecordType::A))));
        blocked(&exchange_tcp(server, &question(name, RecordType::HTTPS)));
        let mut structured = question(name, RecordType::AAAA);
        structured.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(15, Vec::new()));
        let json: serde_json::Value = serde_json::from_str(&blocked(&exchange(server, &structured))).unwrap();
        digests.push(digest(json["j"].as_str().unwrap()));
    }
    assert!(digests.chunks(2).all(|same| same[0] == same[1]), "{digests:?}");
    assert_eq!(digests[0], digests[2], "of the listed name");
    assert_ne!(digests[0], digests[4]);

    for name in ["worst.test", "https://www.vilest.test/x?worst.test", "foulest.test", "bücher-grim.test"] {
        for how in [&["--client", "127.0.0.1"][..], &["--profile", "staff"], &["--no-resolve"]] {
            let text = school.run(&[&["check", name], how].concat());
            assert_eq!(text.status.code(), Some(1), "{}", err(&text));
            assert!(
                out(&text).contains("asked       the name that you asked about, locked:"),
                "{}",
                out(&text)
            );
            let json = school.run(&[&["--json", "check", name], how].concat());
            let json: serde_json::Value = serde_json::from_str(&out(&json)).unwrap();
            assert_eq!(json["sealed"], true, "{json}");
            assert_eq!(json["lists"][0]["list"], "feed", "{json}");
            assert!(json["lists"][0]["line"].is_null() && json["lists"][0]["text"].is_null(), "{json}");
        }
    }
    assert_eq!(digest(&out(&school.run(&["check", "worst.test"]))), digests[0], "the same everywhere");

    for args in [
        &["lists", "status"][..],
        &["lists", "suppliers"],
        &["lists", "update"],
        &["lists", "update", "feed"],
        &["policy", "export"],
    ] {
        assert!(school.run(args).status.success(), "{args:?}");
        assert!(school.run(&[&["--json"], args].concat()).status.success(), "{args:?}");
    }
    let suppliers = out(&school.run(&["lists", "suppliers"]));
    assert!(
        suppliers
            .contains("a feed, Elm Trust (feed: 4 entries in force); last verified on 2026-11-20 by A. Head")
    );
    assert!(suppliers.contains("illegal-terrorism     nobody yet"), "{suppliers}");

    // Rules that name them are told of without the name, and written down so.
    let rule = |action: &str, name: &str| format!("[[rule]]\naction = \"{action}\"\nname = \"{name}\"\n");
    for name in ["worst.test", "=www.vilest.test"] {
        let policy = school.policy("illegal-child-abuse", &rule("allow", name));
        let refused = school.import(&policy, &[]);
        assert_eq!(refused.status.code(), Some(2), "{}", err(&refused));
        assert!(err(&refused).contains("rule[0] (locked:"), "{}", err(&refused));
        let validated = school.run(&["policy", "validate", policy.to_str().unwrap()]);
        assert_eq!(validated.status.code(), Some(2));
        let policy = school.policy("illegal-child-abuse", &rule("block", name));
        let dry = school.import(&policy, &["--dry-run"]);
        assert!(dry.status.success() && out(&dry).contains("rule: block"), "{}", err(&dry));
    }
    Command::new("kill").args(["-HUP", &running.pid().to_string()]).status().unwrap();
    school.assert_nothing_on_disk();
    // Five names were asked for, each in three ways.
    let logged = out(&school.run(&["log", "search", "--action", "blocked"]));
    assert!(digests.iter().all(|digest| logged.contains(digest)), "{logged}");
    assert_eq!(logged.matches("locked:").count(), 15, "{logged}");
    school.assert_nothing_on_disk();

    // Without the file that the school was given, the box has its own.
    fs::remove_file(school.feed()).unwrap();
    running.kill();
    let running = school.start();
    assert_eq!(digest(&blocked(&ask(running.dns[0], "worst.test.", RecordType::A))), digests[0]);
    school.assert_nothing_on_disk();
    assert!(running.stop().success());
    school.assert_nothing_on_disk();
}

#[test]
fn a_list_that_becomes_locked_leaves_nothing_in_clear() {
    let school = School::new();
    // Imported as something else first, as by a school that does not know better: all of it is on the disk.
    assert!(
        command_on(&school.data(), &["policy", "import", school.policy("adult", "").to_str().unwrap()])
            .status
            .success()
    );
    assert!(school.data().join("lists/index.sgi").exists());
    assert!(school.data().join("lists/feed/000001.gz").exists());
    let imported = school.import(&school.policy("illegal-child-abuse", ""), &[]);
    assert!(imported.status.success(), "{}", err(&imported));
    school.assert_nothing_on_disk();
    let check = school.run(&["check", "worst.test", "--profile", "staff"]);
    assert_eq!(check.status.code(), Some(1), "{}", out(&check));
}

/// Remembers these domains, as a server does that answered them.
fn remember(school: &School, names: &[&str]) {
    let clock = Clock::system();
    let seen = Seen::open(&school.data().join("seen"), clock.clone());
    for name in names {
        seen.note(name.as_bytes(), "127.0.0.1".parse().expect("an address"), clock.now());
    }
    seen.flush();
}

/// What is remembered, in the place where the box keeps it.
fn remembered(school: &School) -> Vec<String> {
    let seen = Seen::read(&school.data().join("seen")).expect("read");
    let names = seen.since(Day::default()).expect("read");
    names.iter().map(|seen| String::from_utf8_lossy(&seen.name).into_owned()).collect()
}

#[test]
fn what_the_school_asked_for_before_is_forgotten_by_a_server() {
    let school = School::new();
    remember(&school, &["test.fine", "test.foulest", "test.worst"]);
    let running = school.start();
    // Put in force while the server runs: done before the import says so.
    assert!(school.import(&school.policy("illegal-child-abuse", ""), &[]).status.success());
    school.assert_nothing_on_disk();
    assert_eq!(remembered(&school), ["test.fine"]);
    fs::write(school.feed(), format!("{FEED}fine.test\n")).unwrap();
    assert!(school.run(&["lists", "update"]).status.success());
    assert!(remembered(&school).is_empty(), "a new version has more");
    assert!(running.stop().success());

    // Put in force while none runs: done behind its next start.
    remember(&school, &["test.other", "test.vilest"]);
    let running = school.start();
    let begin = Instant::now();
    while remembered(&school) != ["test.other"] {
        assert!(begin.elapsed() < Duration::from_secs(60), "forgotten within a minute");
        thread::sleep(Duration::from_millis(20));
    }
    school.assert_nothing_on_disk();
    assert!(running.stop().success());
}

#[test]
fn what_the_school_asked_for_before_is_told_by_its_digest() {
    let school = School::new();
    // Below no zone that the box serves itself, as it does `test`, and below none that there is.
    fs::write(school.feed(), "worst.nowhere\n").unwrap();
    remember(&school, &["nowhere.worst", "nowhere.fine"]);
    assert!(school.import(&school.policy("illegal-child-abuse", ""), &[]).status.success());
    let json = school.run(&["--json", "seen"]);
    let json: serde_json::Value = serde_json::from_str(&out(&json)).unwrap();
    let names: Vec<&str> =
        json["names"].as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{json}");
    assert!(names.contains(&"fine.nowhere"), "{json}");
    let listed = digest(&out(&school.run(&["seen"])));
    let check = out(&school.run(&["check", "www.worst.nowhere", "--no-resolve"]));
    let told = check
        .lines()
        .find(|line| line.contains("first asked for at this school on"))
        .unwrap_or_else(|| panic!("{check}"));
    assert_eq!(digest(told), listed, "{check}");
}

#[test]
fn a_changed_text_or_another_key_is_told_and_all_else_goes_on() {
    let school = School::new();
    assert!(school.import(&school.policy("illegal-child-abuse", ""), &[]).status.success());
    let sealed = school.data().join("lists/feed/000001.sealed");
    let whole = fs::read(&sealed).unwrap();
    fs::remove_file(school.feed()).unwrap();
    for (what, break_it) in [
        (
            "changed",
            Box::new(|| {
                let mut bytes = whole.clone();
                bytes[60] ^= 1;
                fs::write(&sealed, bytes).unwrap();
            }) as Box<dyn Fn()>,
        ),
        ("cut short", Box::new(|| fs::write(&sealed, &whole[..whole.len() - 1]).unwrap())),
        (
            "under another key",
            Box::new(|| {
                fs::write(&sealed, &whole).unwrap();
                fs::write(school.data().join("secret.key"), [7; 32]).unwrap();
            }),
        ),
        ("without a key", Box::new(|| fs::write(school.data().join("secret.key"), b"no key").unwrap())),
    ] {
        break_it();
        let running = school.start();
        let blocked = ask(running.dns[0], "bet365.com.", RecordType::A);
        assert_eq!(ede(&blocked)[0].0, 17, "{what}: the starter lists are in force");
        let status = out(&school.run(&["lists", "suppliers"]));
        assert!(status.contains("feed: not in force"), "{what}: {status}");
        assert!(running.stop().success());
        assert!(school.log().contains("A locked list is not in force"), "{what}: {}", school.log());
        assert_masked("the log", &school.log());
        fs::remove_file(school.folder.path().join("log")).unwrap();
    }
    // A policy with a list that could not be kept is refused.
    fs::write(school.feed(), FEED).unwrap();
    let refused = school.import(&school.policy("illegal-terrorism", ""), &[]);
    assert!(!refused.status.success());
    assert!(err(&refused).contains("secret key"), "{}", err(&refused));
}
