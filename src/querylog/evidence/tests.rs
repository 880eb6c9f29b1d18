use std::{fs, io::Cursor, path::Path};

use jiff::Timestamp;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{zip::ZipWriter, *};
use crate::{
    category::Categories,
    clock::Day,
    lists::shipped,
    policy::{Knowledge, Policy, PolicyFile},
    querylog::{
        Entry, LogFolder,
        day::{
            rows::{AskerRow, FateRow, QuestionRow},
            write::DayWriter,
        },
        event::Action,
        search::{Asked, Query},
    },
    vault::Vault,
};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn policy() -> Policy {
    let categories = std::sync::Arc::new(Categories::shipped());
    let starter = std::sync::Arc::new(shipped::starter(&categories));
    let mut file = PolicyFile::shipped();
    file.school = "Elm Lane Primary".into();
    Policy::build(&file, &Knowledge { categories, indexes: vec![starter] }).unwrap()
}

fn asker(client: &str, profile: &str) -> AskerRow {
    AskerRow {
        client: client.into(),
        profile: profile.into(),
        device: "room-3".into(),
        known_by: "address".into(),
        confidence: "medium".into(),
        ..AskerRow::default()
    }
}

fn fate(action: Action, category: &str) -> FateRow {
    let text = |text: &str| text.to_owned();
    FateRow {
        transport: text("udp"),
        qtype: text("A"),
        rcode: text("NOERROR"),
        action,
        reason: text("category"),
        category: text(category),
        list: String::new(),
        rule: String::new(),
        detail: String::new(),
        would: String::new(),
        categories: text(category),
        dnssec: String::new(),
        source: text("upstream"),
        alert: false,
    }
}

struct Log {
    _data: TempDir,
    folder: LogFolder,
    vault: Vault,
    policy: Policy,
}

impl Log {
    /// Two days: `rows` questions of two devices on the first, one on the second.
    fn with(rows: i64) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (folder, vault) = (LogFolder::in_data(data.path()), Vault::open(data.path()).unwrap());
        let day = Day::of(time("2026-11-21T00:00:00Z"));
        let mut writer = DayWriter::open(&folder.day(day), day).unwrap();
        writer.begin().unwrap();
        let askers = ["10.20.2.31", "10.20.2.32"].map(|client| writer.asker(&asker(client, "ks2")).unwrap());
        let fates = [(Action::Allowed, "games"), (Action::Blocked, "gambling")]
            .map(|(action, category)| writer.fate(&fate(action, category)).unwrap());
        let names =
            ["example.www", "example.=cmd", "test.video"].map(|name| writer.name(name, || None).unwrap());
        for i in 0..rows {
            let at = |of: &[i64]| of[usize::try_from(i).unwrap() % of.len()];
            let row = QuestionRow {
                ms: 36_000_000 + i,
                asker: at(&askers),
                name: at(&names),
                fate: at(&fates),
                took: 9,
            };
            writer.question(&row).unwrap();
        }
        writer
            .unkept(
                time("2026-11-21T11:00:00Z").as_millisecond(),
                time("2026-11-21T11:00:01Z").as_millisecond(),
                7,
                "queue-full",
            )
            .unwrap();
        writer.commit().unwrap();
        writer.close().unwrap();
        let day = day.plus(1);
        let mut writer = DayWriter::open(&folder.day(day), day).unwrap();
        writer.begin().unwrap();
        let row = QuestionRow {
            ms: 0,
            asker: writer.asker(&asker("device-0123456789ab", "staff")).unwrap(),
            name: writer.name("locked:3fa9c0ffee12", || None).unwrap(),
            fate: writer.fate(&fate(Action::Blocked, "gambling")).unwrap(),
            took: 3,
        };
        writer.question(&row).unwrap();
        writer.commit().unwrap();
        writer.close().unwrap();
        Self { _data: data, folder, vault, policy: policy() }
    }

    fn made(&self, from: &str, to: &str, asked: Asked) -> Made {
        let now = time("2026-11-23T09:30:00Z");
        let order = Order {
            from: time(from),
            to: time(to),
            query: Query::understand(&asked, &self.policy, &self.folder, now).unwrap(),
            filters: filters(&asked),
            by: "a technician".into(),
            reason: "incident 7".into(),
        };
        let about = About {
            policy: self.policy.file().to_toml(),
            revision: 3,
            earlier: vec![(2, "version = 1\n".into())],
            published: vec![(3, time("2026-11-21T12:00:00Z"), "head".into())],
            lists: serde_json::json!([{"id": "starter-games", "version": "1"}]),
        };
        make(
            &self.folder,
            &self.policy,
            &order,
            &about,
            &self.vault.signing_key(),
            time("2026-11-23T09:30:00Z"),
        )
        .unwrap()
    }
}

fn file(package: &Path, name: &str) -> String {
    let mut zip = zip::ZipReader::new(fs::File::open(package).unwrap()).unwrap_or_else(|e| panic!("{e:?}"));
    let mut text = Vec::new();
    zip.unpack(name, &mut text).unwrap_or_else(|e| panic!("{e:?}"));
    String::from_utf8(text).unwrap()
}

const WHOLE: (&str, &str) = ("2026-11-21T00:00:00Z", "2026-11-23T00:00:00Z");

#[test]
fn a_package_has_the_rows_in_order_and_says_what_is_missing() {
    let log = Log::with(3);
    let made = log.made(WHOLE.0, WHOLE.1, Asked::default());
    assert_eq!((made.rows, made.complete), (4, false));
    let rows = file(&made.file, "rows.csv");
    let rows: Vec<&str> = rows.split("\r\n").collect();
    assert_eq!(rows[0], Entry::COLUMNS.join(","));
    assert!(
        rows[1].starts_with("2026-11-21T10:00:00Z,10.20.2.31,room-3,,ks2,address,medium,,,www.example,A,"),
        "{}",
        rows[1]
    );
    assert!(rows[2].contains(",'=cmd.example,A,NOERROR,blocked,category,gambling,"), "{}", rows[2]);
    assert!(rows[4].starts_with("2026-11-22T00:00:00Z,device-0123456789ab,room-3,,staff,"), "{}", rows[4]);
    assert!(rows[4].contains(",locked:3fa9c0ffee12,"), "{}", rows[4]);
    assert_eq!(rows[5..], [""]);
    let summary = file(&made.file, "summary.txt");
    for part in [
        "Elm Lane Primary",
        "By:       a technician",
        "Reason:   incident 7",
        "From:     2026-11-21 00:00:00 UTC = 2026-11-21 00:00:00 GMT",
        "Filters:  none",
        "Rows:     4",
        "7 questions between 2026-11-21 11:00:00 UTC",
        "too busy",
        "policy-revision-2.toml was in force before",
        "Revision 3 was published at 2026-11-21 12:00:00 UTC",
        "device X asked for",
        &made.fingerprint,
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    assert!(file(&made.file, "lists.json").contains("starter-games"));
    assert_eq!(file(&made.file, "policy.toml"), log.policy.file().to_toml());
    let findings = verify(fs::File::open(&made.file).unwrap()).unwrap();
    assert_eq!(findings.problems, [""; 0]);
    assert_eq!(findings.signed_by.as_deref(), Some(made.fingerprint.as_str()));
    let manifest = findings.manifest.unwrap();
    assert_eq!((manifest.rows, manifest.kind, manifest.files.len()), (4, Kind::Evidence, 5));
    assert_eq!(manifest.reason, "incident 7");
}

#[test]
fn times_and_filters_choose_rows() {
    let log = Log::with(100);
    let count = |from: &str, to: &str, asked: Asked| log.made(from, to, asked).rows;
    let every = Asked::default;
    assert_eq!(count("2026-11-21T10:00:00.050Z", "2026-11-21T10:00:00.060Z", every()), 10);
    assert_eq!(count("2026-11-21T10:00:00.0501Z", "2026-11-21T10:00:00.0601Z", every()), 10);
    assert_eq!(count("2026-11-20T10:00:00Z", "2026-11-21T10:00:00Z", every()), 0);
    assert_eq!(count("2026-11-22T00:00:00Z", "2030-01-01T00:00:00Z", every()), 1);
    let of = |asked: Asked| count(WHOLE.0, WHOLE.1, asked);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of(Asked { client: some("10.20.2.31"), ..every() }), 50);
    assert_eq!(of(Asked { client: some("ROOM-3"), ..every() }), 101);
    assert_eq!(of(Asked { profile: some("staff"), ..every() }), 1);
    assert_eq!(of(Asked { name: some("*.example"), ..every() }), 67);
    assert_eq!(of(Asked { category: some("games"), ..every() }), 50);
    assert_eq!(of(Asked { action: some("blocked"), name: some("*.test"), ..every() }), 16);
}

#[test]
fn more_rows_than_are_read_at_once_come_all_and_each_once() {
    let log = Log::with(12_345);
    let made = log.made(WHOLE.0, "2026-11-22T00:00:00Z", Asked::default());
    let rows = file(&made.file, "rows.csv");
    let times: Vec<&str> = rows.split("\r\n").skip(1).filter_map(|row| row.split(',').next()).collect();
    assert_eq!(made.rows, 12_345);
    let times: Vec<Timestamp> = times.iter().filter(|text| !text.is_empty()).map(|text| time(text)).collect();
    assert_eq!(times.len(), 12_345);
    assert!(times.is_sorted_by(|a, b| a < b));
}

#[test]
fn who_asks_seldom_is_found_by_the_index_and_completely() {
    let log = Log::with(10);
    let day = Day::of(time("2026-11-20T00:00:00Z"));
    let mut writer = DayWriter::open(&log.folder.day(day), day).unwrap();
    writer.begin().unwrap();
    let [often, seldom] =
        ["10.20.2.40", "10.20.2.41"].map(|client| writer.asker(&asker(client, "ks2")).unwrap());
    let name = writer.name("example.www", || None).unwrap();
    let fates = ["games", "gambling"].map(|id| writer.fate(&fate(Action::Blocked, id)).unwrap());
    let at = [0, 1_023, 1_024, 5_000, 5_001, 9_998, 9_999];
    for i in 0..10_000 {
        let asker = if at.contains(&i) { seldom } else { often };
        let fate = fates[usize::from(i == 5_000)];
        writer.question(&QuestionRow { ms: 1_000 + i, asker, name, fate, took: 1 }).unwrap();
    }
    // One that came late, long after its span was full.
    writer.question(&QuestionRow { ms: 3_000, asker: seldom, name, fate: fates[0], took: 1 }).unwrap();
    writer.commit().unwrap();
    writer.close().unwrap();
    let of = |asked: Asked| log.made("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", asked);
    let some = |text: &str| Some(text.to_owned());
    let made = of(Asked { client: some("10.20.2.41"), ..Asked::default() });
    let rows = file(&made.file, "rows.csv");
    let times: Vec<Timestamp> =
        rows.lines().skip(1).map(|row| time(row.split(',').next().unwrap())).collect();
    let wanted: Vec<i64> = {
        let mut all = at.map(|i| 1_000 + i).to_vec();
        all.push(3_000);
        all.sort_unstable();
        all
    };
    let start = time("2026-11-20T00:00:00Z").as_millisecond();
    assert_eq!(times.iter().map(|time| time.as_millisecond() - start).collect::<Vec<_>>(), wanted);
    assert_eq!(of(Asked { category: some("gambling"), ..Asked::default() }).rows, 1);
    assert_eq!(
        of(Asked { category: some("gambling"), client: some("10.20.2.40"), ..Asked::default() }).rows,
        0
    );
    assert_eq!(of(Asked { client: some("10.20.2.0/24"), ..Asked::default() }).rows, 10_001);
}

#[test]
fn damage_of_one_day_costs_that_day_and_is_told() {
    let log = Log::with(100);
    let day = log.folder.day(Day::of(time("2026-11-21T00:00:00Z")));
    let mut bytes = fs::read(&day).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0x5a);
    fs::write(&day, bytes).unwrap();
    fs::write(day.with_file_name("2026-11-22.damaged-1.db"), b"").unwrap();
    let made = log.made(WHOLE.0, WHOLE.1, Asked::default());
    assert!(made.rows >= 1 && !made.complete);
    let summary = file(&made.file, "summary.txt");
    assert!(summary.contains("The file of 21 November 2026 is damaged"), "{summary}");
    assert!(summary.contains("set aside as 2026-11-22.damaged-1.db"), "{summary}");
}

#[test]
fn nothing_is_left_behind_when_a_package_cannot_be_made() {
    let log = Log::with(3);
    let outgoing = || fs::read_dir(log.folder.outgoing()).unwrap().count();
    let first = log.made(WHOLE.0, WHOLE.1, Asked::default());
    assert_eq!(outgoing(), 1);
    let day = log.folder.day(Day::of(time("2026-11-21T00:00:00Z")));
    let text = rusqlite::Connection::open(&day).unwrap();
    text.pragma_update(None, "user_version", 999).unwrap();
    drop(text);
    let order = Order {
        from: time(WHOLE.0),
        to: time(WHOLE.1),
        query: Query::default(),
        filters: [].into(),
        by: String::new(),
        reason: String::new(),
    };
    let make = |now| {
        make(&log.folder, &log.policy, &order, &About::default(), &log.vault.signing_key(), time(now))
            .unwrap_err()
    };
    let error = make("2026-11-23T09:30:00Z");
    assert!(error.to_string().contains("made by a newer Schoolgate"), "{error}");
    assert_eq!(outgoing(), 1, "only the first");
    make("2026-11-24T09:31:00Z");
    assert!(!first.file.exists(), "what nobody fetched goes after a day");
}

/// A package with other files than it was signed with, or others changed; the archive itself is as it should be.
fn repacked(
    package: &Path,
    change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>,
    add: &[(&str, &[u8])],
) -> Vec<u8> {
    let mut zip = zip::ZipReader::new(fs::File::open(package).unwrap()).unwrap_or_else(|e| panic!("{e:?}"));
    let names: Vec<String> = zip.names().map(str::to_owned).collect();
    let mut to = ZipWriter::new(Cursor::new(Vec::new()), time("2026-11-23T09:30:00Z"));
    for name in names {
        let mut text = Vec::new();
        zip.unpack(&name, &mut text).unwrap_or_else(|e| panic!("{e:?}"));
        if let Some(text) = change(&name, text) {
            to.add(&name, |to| std::io::Write::write_all(to, &text)).unwrap();
        }
    }
    for (name, text) in add {
        to.add(name, |to| std::io::Write::write_all(to, text)).unwrap();
    }
    to.finish().unwrap().into_inner()
}

#[test]
fn whatever_is_changed_is_found_and_named() {
    let log = Log::with(30);
    let made = log.made(WHOLE.0, WHOLE.1, Asked::default());
    let problems = |bytes: Vec<u8>| verify(Cursor::new(bytes)).unwrap().problems.join("; ");
    let same = |_: &str, text: Vec<u8>| Some(text);
    assert_eq!(problems(repacked(&made.file, same, &[])), "");
    for name in ["rows.csv", "summary.txt", "policy.toml", "policy-revision-2.toml", "lists.json"] {
        let changed = |file: &str, mut text: Vec<u8>| {
            if file == name {
                let last = text.len() - 1;
                text[last] ^= 1;
            }
            Some(text)
        };
        assert_eq!(
            problems(repacked(&made.file, changed, &[])),
            format!("{name} was changed after it was signed")
        );
        let shorter = |file: &str, mut text: Vec<u8>| {
            text.truncate(text.len() - usize::from(file == name));
            Some(text)
        };
        assert!(problems(repacked(&made.file, shorter, &[])).contains(&format!("{name} has ")));
        let without = |file: &str, text: Vec<u8>| (file != name).then_some(text);
        assert_eq!(problems(repacked(&made.file, without, &[])), format!("\"{name}\" is missing"));
    }
    assert_eq!(
        problems(repacked(&made.file, same, &[("more.txt", b"x")])),
        "more.txt was added: the manifest does not name it"
    );
    let reworded = |file: &str, text: Vec<u8>| {
        let text = String::from_utf8_lossy(&text).into_owned();
        let text = if file == MANIFEST {
            text.replace("incident 7", "incident 8")
        } else {
            return Some(text.into());
        };
        Some(text.into_bytes())
    };
    // The signature is not UTF-8, and must stay as it is.
    let keep = |file: &str, text: Vec<u8>| if file == SIGNATURE { Some(text) } else { reworded(file, text) };
    assert!(problems(repacked(&made.file, keep, &[])).contains("the signature is wrong"));
    let unsigned = |file: &str, text: Vec<u8>| (file != SIGNATURE).then_some(text);
    assert!(problems(repacked(&made.file, unsigned, &[])).contains("manifest.sig is missing"));
    let bare = |file: &str, text: Vec<u8>| (file != MANIFEST).then_some(text);
    assert!(problems(repacked(&made.file, bare, &[])).contains("manifest.json is missing"));
    let other = |file: &str, text: Vec<u8>| Some(if file == MANIFEST { b"{}".to_vec() } else { text });
    assert!(problems(repacked(&made.file, other, &[])).contains("is not the manifest"));
    let newer = |file: &str, text: Vec<u8>| {
        Some(match file {
            MANIFEST => {
                String::from_utf8(text).unwrap().replace("\"version\": 1", "\"version\": 2").into_bytes()
            }
            _ => text,
        })
    };
    assert!(problems(repacked(&made.file, newer, &[])).contains("newer Schoolgate"));
}

#[test]
fn another_box_that_signs_a_changed_package_has_another_fingerprint() {
    let log = Log::with(3);
    let made = log.made(WHOLE.0, WHOLE.1, Asked::default());
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Vault::open(elsewhere.path()).unwrap().signing_key();
    let findings = verify(fs::File::open(&made.file).unwrap()).unwrap();
    let manifest = findings.manifest.unwrap();
    let mut package = Package::new(Cursor::new(Vec::new()), manifest.made_at);
    package.add_text("rows.csv", "made up\r\n").unwrap();
    let (bytes, _) = package.finish(manifest, &other).unwrap();
    let findings = verify(bytes).unwrap();
    assert!(findings.is_sound(), "it is whole, by its own key");
    assert_eq!(findings.signed_by, Some(other.public().fingerprint()));
    assert_ne!(findings.signed_by.unwrap(), made.fingerprint);
}

#[test]
fn other_programs_can_check_the_signature() {
    let log = Log::with(3);
    let made = log.made(WHOLE.0, WHOLE.1, Asked::default());
    let folder = tempfile::tempdir().unwrap();
    unpack(fs::File::open(&made.file).unwrap(), |name| fs::File::create(folder.path().join(name))).unwrap();
    let manifest: Manifest =
        serde_json::from_slice(&fs::read(folder.path().join(MANIFEST)).unwrap()).unwrap();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", manifest.public_key);
    fs::write(folder.path().join("key.pem"), pem).unwrap();
    let openssl = std::process::Command::new("openssl")
        .current_dir(folder.path())
        .args([
            "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", MANIFEST, "-sigfile",
            SIGNATURE,
        ])
        .output()
        .unwrap();
    assert!(openssl.status.success(), "{openssl:?}");
}

/// All files of a package.
fn contents(package: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut zip = zip::ZipReader::new(Cursor::new(package)).unwrap_or_else(|e| panic!("{e:?}"));
    let names: Vec<String> = zip.names().map(str::to_owned).collect();
    let unpacked = names.into_iter().map(|name| {
        let mut text = Vec::new();
        zip.unpack(&name, &mut text).unwrap_or_else(|e| panic!("{e:?}"));
        (name, text)
    });
    unpacked.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_change_of_a_few_bytes_passes_for_what_was_signed(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        static PACKAGE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let log = Log::with(5);
            fs::read(log.made(WHOLE.0, WHOLE.1, Asked::default()).file).unwrap()
        });
        let mut bytes = PACKAGE.clone();
        for (at, add) in changes {
            let at = at.index(bytes.len());
            bytes[at] = bytes[at].wrapping_add(add);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        match verify(Cursor::new(&bytes)) {
            // The last bits of a packed file are read by no program.
            Ok(findings) if findings.is_sound() => prop_assert_eq!(contents(&bytes), contents(&PACKAGE)),
            Ok(_) => {}
            Err(error) => prop_assert!(matches!(error, VerifyError::NotAZip)),
        }
    }

    #[test]
    fn any_bytes_are_no_package(bytes in proptest::collection::vec(any::<u8>(), 0..300), magic: bool) {
        let bytes = if magic { [b"PK\x03\x04".as_slice(), &bytes].concat() } else { bytes };
        if let Ok(findings) = verify(Cursor::new(bytes)) {
            prop_assert!(!findings.is_sound());
        }
    }
}
