use std::{fs::File, path::Path, sync::Arc};

use tempfile::TempDir;

use super::*;
use crate::{
    category::Categories,
    lists::shipped,
    policy::{Knowledge, PolicyFile},
    querylog::{
        Action,
        day::{
            rows::{AskerRow, FateRow, QuestionRow},
            write::DayWriter,
        },
        evidence,
        privacy::PREFIX,
    },
    vault::Vault,
};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

struct School {
    data: TempDir,
    folder: LogFolder,
    policy: Policy,
    holds: Vec<Hold>,
}

impl School {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let folder = LogFolder::in_data(data.path());
        let categories = Arc::new(Categories::shipped());
        let starter = Arc::new(shipped::starter(&categories));
        let mut file = PolicyFile::shipped();
        file.school = "Elm Lane Primary".into();
        let device = |name: &str, address: Option<&str>, mac: Option<&str>| DeviceFile {
            name: name.into(),
            address: address.map(str::to_owned),
            mac: mac.map(str::to_owned),
            profile: None,
            suspended: false,
        };
        file.devices = vec![
            device("tablet-7", None, Some("02:00:5e:00:53:07")),
            device("tablet-8", Some("10.20.2.8"), None),
        ];
        let policy = Policy::build(&file, &Knowledge { categories, indexes: vec![starter] }).unwrap();
        Self { data, folder, policy, holds: Vec::new() }
    }

    /// Questions of one day: who asked for what.
    fn asked(&self, day: Day, rows: &[(AskerRow, &str)]) {
        let mut writer = DayWriter::open(&self.folder.day(day), day).unwrap();
        writer.begin().unwrap();
        for ((asker, name), n) in rows.iter().zip(0..) {
            let text = |text: &str| text.to_owned();
            let lesson = name.starts_with("lesson");
            let fate = FateRow {
                transport: text("udp"),
                qtype: text("A"),
                rcode: text("NOERROR"),
                action: Action::Allowed,
                reason: text(if lesson { "lesson" } else { "default" }),
                category: String::new(),
                list: String::new(),
                rule: text(if lesson { "Mrs Example's maths" } else { "" }),
                detail: String::new(),
                would: String::new(),
                categories: String::new(),
                dnssec: String::new(),
                source: text("cache"),
                alert: false,
            };
            let row = QuestionRow {
                ms: 1_000 * n,
                asker: writer.asker(asker).unwrap(),
                name: writer.name(name, || None).unwrap(),
                fate: writer.fate(&fate).unwrap(),
                took: 1,
            };
            writer.question(&row).unwrap();
        }
        writer.commit().unwrap();
        writer.close().unwrap();
    }

    fn subject(&self, client: &str) -> Result<Found, LogError> {
        let order = SubjectOrder {
            client: client.into(),
            from: None,
            to: None,
            by: "Mx Technician".into(),
            reason: "asked for it".into(),
        };
        let key = Vault::open(self.data.path()).unwrap().signing_key();
        let made =
            subject(&self.folder, &self.policy, &order, &self.holds, &key, time("2026-11-25T12:00:00Z"))?;
        Ok(Found {
            rows: text(&made.file, "rows.csv"),
            summary: text(&made.file, "summary.txt"),
            device: { serde_json::from_str(&text(&made.file, "device.json")).unwrap() },
        })
    }
}

#[derive(Debug)]
struct Found {
    rows: String,
    summary: String,
    device: serde_json::Value,
}

impl Found {
    fn names(&self) -> Vec<&str> {
        let name = Entry::COLUMNS.iter().position(|column| *column == "name").unwrap();
        self.rows.lines().skip(1).map(|row| row.split(',').nth(name).unwrap()).collect()
    }
}

fn text(package: &Path, wanted: &str) -> String {
    let found = RefCell::new(Vec::new());
    evidence::unpack(File::open(package).unwrap(), |name| {
        Ok(Keep { found: (name == wanted).then_some(&found) })
    })
    .unwrap();
    String::from_utf8(found.into_inner()).unwrap()
}

struct Keep<'a> {
    found: Option<&'a RefCell<Vec<u8>>>,
}

impl Write for Keep<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(found) = self.found {
            found.borrow_mut().extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn asker(client: &str, device: &str, mac: &str) -> AskerRow {
    AskerRow {
        client: client.into(),
        profile: "ks2".into(),
        device: device.into(),
        mac: mac.into(),
        known_by: "mac".into(),
        confidence: "high".into(),
        ..AskerRow::default()
    }
}

const DAY: Day = Day::from_number(20_779);
const MAC: &str = "02:00:5e:00:53:07";

#[test]
fn a_device_is_followed_by_its_name_and_mac_and_never_by_an_address_alone() {
    let school = School::new();
    school.asked(
        DAY,
        &[
            (asker("10.20.2.31", "tablet-7", MAC), "test.one"),
            // The same device before it had a name, at another address.
            (asker("10.20.2.99", "", MAC), "test.two"),
            // Its address, when another had it; and another device.
            (asker("10.20.2.31", "", "02:00:5e:00:53:99"), "test.other"),
            (asker("10.20.2.8", "tablet-8", ""), "test.neighbour"),
        ],
    );
    for client in ["tablet-7", "TABLET-7", MAC, "02-00-5E-00-53-07"] {
        let found = school.subject(client).unwrap();
        assert_eq!(found.names(), ["one.test", "two.test"], "{client}");
        let all = format!("{}{}{}", found.rows, found.summary, found.device);
        for other in ["tablet-8", "53:99", "10.20.2.8", "Mx Technician", "asked for it"] {
            assert!(!all.contains(other), "{other}: {all}");
        }
        assert_eq!(found.device["devices"][0]["name"], "tablet-7");
        assert_eq!(found.device["known_as"].as_array().unwrap().len(), 2);
    }
    assert_eq!(school.subject("tablet-8").unwrap().names(), ["neighbour.test"]);
    assert_eq!(school.subject("10.20.2.99").unwrap().names(), ["two.test"]);
    assert_eq!(school.subject("never-seen").unwrap().names(), [""; 0]);
    assert!(school.subject(" ").unwrap_err().is_bad_input());
}

#[test]
fn an_address_that_two_devices_had_is_nobodys() {
    let school = School::new();
    school.asked(
        DAY,
        &[
            (asker("10.20.2.31", "tablet-7", MAC), "test.one"),
            (asker("10.20.2.31", "tablet-8", ""), "test.other"),
        ],
    );
    let error = school.subject("10.20.2.31").unwrap_err();
    assert!(error.is_bad_input(), "{error}");
    let said = error.to_string();
    assert!(
        said.starts_with("--client: more than one device") && said.contains("tablet-7, tablet-8"),
        "{said}"
    );
    assert_eq!(std::fs::read_dir(school.folder.outgoing()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn rows_under_pseudonyms_are_found_while_the_key_of_their_day_exists() {
    let school = School::new();
    let hidden = |day: Day, address: &str, mac: &str| {
        let key = DayKey::load_or_make(&school.folder, day).unwrap();
        let who = SealedIdentity { address: address.into(), device: String::new(), mac: mac.into() };
        AskerRow { sealed: Some(key.seal(&who)), ..asker(&key.pseudonym(address), "", "") }
    };
    for day in [DAY, DAY.plus(1)] {
        school.asked(
            day,
            &[
                (hidden(day, "10.20.9.1", MAC), "test.own"),
                (hidden(day, "10.20.9.2", "02:00:5e:00:53:99"), "test.other"),
            ],
        );
    }
    let found = school.subject("tablet-7").unwrap();
    assert_eq!(found.names(), ["own.test", "own.test"]);
    assert!(found.rows.contains(PREFIX) && !found.rows.contains("10.20.9.1"), "{}", found.rows);
    let pseudonym = DayKey::load(&school.folder, DAY).unwrap().unwrap().pseudonym("10.20.9.1");
    assert_eq!(found.device["pseudonyms"]["2026-11-22"][0], pseudonym);
    DayKey::destroy(&school.folder, DAY).unwrap();
    let found = school.subject("tablet-7").unwrap();
    assert_eq!(found.names(), ["own.test"]);
    assert_eq!(found.device["days_that_cannot_be_searched"][0], "2026-11-22");
    assert!(
        found.summary.contains("On 22 November 2026 some devices were logged under pseudonyms"),
        "{}",
        found.summary
    );
    // What the pseudonym says is also what it is found by, without any key.
    assert_eq!(school.subject(&pseudonym).unwrap().names(), ["own.test"]);
}

#[test]
fn a_pseudonym_is_reversed_with_the_key_of_its_day_only() {
    let school = School::new();
    let key = DayKey::load_or_make(&school.folder, DAY).unwrap();
    let who = SealedIdentity { address: "10.20.9.1".into(), device: "tablet-7".into(), mac: MAC.into() };
    let pseudonym = key.pseudonym("10.20.9.1");
    let row = AskerRow { sealed: Some(key.seal(&who)), ..asker(&pseudonym, "", "") };
    school.asked(DAY, &[(row, "test.own")]);
    let reveal = |pseudonym: &str, day: Day| reveal(&school.folder, &school.policy, pseudonym, day).unwrap();
    match reveal(&pseudonym, DAY) {
        Reversal::Revealed(found) => {
            assert_eq!((found[0].address.as_str(), found[0].device.as_str()), ("10.20.9.1", "tablet-7"));
            assert_eq!((found[0].mac.as_str(), found[0].profile.as_str(), found.len()), (MAC, "ks2", 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(reveal("device-0123456789ab", DAY), Reversal::Unknown);
    assert_eq!(reveal(&pseudonym, DAY.plus(1)), Reversal::NoDay);
    DayKey::destroy(&school.folder, DAY).unwrap();
    assert_eq!(reveal(&pseudonym, DAY), Reversal::NoKey);
    DayKey::load_or_make(&school.folder, DAY).unwrap();
    assert_eq!(reveal(&pseudonym, DAY), Reversal::Damaged);
}

#[test]
fn who_sees_pseudonyms_names_a_device_that_was_logged_in_full_so_that_it_can_be_reversed() {
    let school = School::new();
    let others = "02:00:5e:00:53:99";
    let rows = [
        (asker("10.20.2.31", "tablet-7", MAC), "test.own"),
        (asker("10.20.2.99", "tablet-7", MAC), "test.moved"),
        (asker("10.20.2.32", "", others), "test.other"),
        (asker("10.20.2.33", "", ""), "test.nameless"),
    ];
    school.asked(DAY, &rows);
    assert!(DayKey::load(&school.folder, DAY).unwrap().is_none(), "nothing was logged under a pseudonym");
    let key = DayKey::for_showing(&school.folder, DAY).unwrap().unwrap();
    let shown = key.of_device("10.20.2.31", MAC);
    assert_eq!(key.of_device("10.20.2.99", MAC), shown, "one device, whatever its address");
    let reveal = |pseudonym: &str| reveal(&school.folder, &school.policy, pseudonym, DAY).unwrap();
    let Reversal::Revealed(found) = reveal(&shown) else { panic!("not reversed") };
    let addresses: Vec<&str> = found.iter().map(|one| one.address.as_str()).collect();
    assert_eq!(addresses, ["10.20.2.31", "10.20.2.99"]);
    assert!(found.iter().all(|one| one.device == "tablet-7" && one.mac == MAC), "{found:?}");
    let Reversal::Revealed(found) = reveal(&key.of_device("10.20.2.33", "")) else { panic!("not reversed") };
    assert_eq!(found[0].address, "10.20.2.33");
    assert_eq!(reveal("device-0123456789ab"), Reversal::Unknown);
    // Whatever else takes a device takes what it is shown as.
    assert_eq!(school.subject(&shown).unwrap().names(), ["own.test", "moved.test"]);
    let asked = crate::querylog::search::Asked { client: Some(shown.clone()), ..Default::default() };
    let query =
        Query::understand(&asked, &school.policy, &school.folder, time("2026-11-23T12:00:00Z")).unwrap();
    let page = crate::querylog::search::search(&school.folder, &query, &school.policy).unwrap();
    let names: Vec<&str> = page.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["moved.test", "own.test"]);
    DayKey::destroy(&school.folder, DAY).unwrap();
    assert_eq!(reveal(&shown), Reversal::NoKey);
}

#[test]
fn a_key_that_is_gone_is_not_made_anew_to_show_devices() {
    let school = School::new();
    assert!(DayKey::for_showing(&school.folder, DAY).unwrap().is_none(), "there is no such day");
    let key = DayKey::load_or_make(&school.folder, DAY).unwrap();
    let who = SealedIdentity { address: "10.20.9.1".into(), ..SealedIdentity::default() };
    let hidden = key.pseudonym("10.20.9.1");
    let row = AskerRow { sealed: Some(key.seal(&who)), ..asker(&hidden, "", "") };
    school.asked(DAY, &[(row, "test.own"), (asker("10.20.2.31", "", ""), "test.other")]);
    assert!(DayKey::for_showing(&school.folder, DAY).unwrap().is_some());
    DayKey::destroy(&school.folder, DAY).unwrap();
    assert!(DayKey::for_showing(&school.folder, DAY).unwrap().is_none());
    assert!(DayKey::load(&school.folder, DAY).unwrap().is_none());
    assert_eq!(reveal(&school.folder, &school.policy, &hidden, DAY).unwrap(), Reversal::NoKey);
}

#[test]
fn holds_that_cover_it_are_named_without_who_made_them_and_lessons_without_who_gives_them() {
    let mut school = School::new();
    school.asked(DAY, &[(asker("10.20.2.31", "tablet-7", MAC), "lesson.test.one")]);
    let hold = |id: &str, client: Option<&str>| Hold {
        id: id.into(),
        from: time("2026-11-01T00:00:00Z"),
        to: time("2026-12-01T00:00:00Z"),
        client: client.map(str::to_owned),
        incident: Some("incident 7".into()),
        by: "Mx Head".into(),
        why: "about tablet-8".into(),
        made: time("2026-11-23T00:00:00Z"),
        lifted: None,
    };
    school.holds =
        vec![hold("hold-1", None), hold("hold-2", Some("tablet-8")), hold("hold-3", Some("Tablet-7"))];
    let found = school.subject("tablet-7").unwrap();
    let ids: Vec<&str> =
        found.device["holds"].as_array().unwrap().iter().map(|hold| hold["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["hold-1", "hold-3"]);
    let all = format!("{}{}{}", found.rows, found.summary, found.device);
    for staff in ["Mx Head", "incident 7", "tablet-8", "Mrs Example"] {
        assert!(!all.contains(staff), "{staff}: {all}");
    }
    assert!(found.rows.contains("(a lesson)"), "{}", found.rows);
}

#[test]
fn a_count_is_shown_only_where_its_address_was_nobody_elses_that_day() {
    let school = School::new();
    for (day, other) in [(DAY, "10.20.2.32"), (DAY.plus(1), "10.20.2.31")] {
        school.asked(
            day,
            &[
                (asker("10.20.2.31", "tablet-7", MAC), "test.one"),
                (asker(other, "", "02:00:5e:00:53:99"), "test.other"),
            ],
        );
    }
    let database = rusqlite::Connection::open(school.folder.rollup()).unwrap();
    database.execute_batch(include_str!("../rollup/schema-1.sql")).unwrap();
    database.pragma_update(None, "user_version", 1).unwrap();
    database
        .execute_batch(
            "INSERT INTO word VALUES (1, 'ks2'), (2, 'allowed');
             INSERT INTO client VALUES (1, '10.20.2.31'), (2, '10.20.2.32');
             INSERT INTO day_client VALUES (20779, 1, 2, 1, 500), (20779, 1, 2, 2, 600), (20780, 1, 2, 1, 700);",
        )
        .unwrap();
    let found = school.subject("tablet-7").unwrap();
    let counts = serde_json::json!([
        {"day": "2026-11-22", "client": "10.20.2.31", "profile": "ks2", "action": "allowed", "questions": 500}
    ]);
    assert_eq!(found.device["top_counts"], counts);
}
