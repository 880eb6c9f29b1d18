//! Legal holds are honoured, whatever happens to them.

use proptest::prelude::*;

use super::{reducing::lines, *};

fn day_lines() -> Vec<Line> {
    vec![
        line(1_000, "10.0.0.1", "example.one", Action::Allowed),
        line(2_000, "10.0.0.2", "example.two", Action::Allowed),
        line(3_000, "10.0.0.1", "example.three", Action::Blocked),
        line(4_000, "10.0.0.2", "example.four", Action::Blocked),
        line(5_000, "10.0.0.1", "example.five", Action::Allowed),
    ]
}

fn names(school: &School) -> Vec<String> {
    read(&school.folder, DAY)
        .into_iter()
        .map(|line| line.name.trim_start_matches("example.").into())
        .collect()
}

#[test]
fn a_hold_on_a_time_keeps_all_of_it_until_it_is_lifted() {
    let school = School::new(31);
    write(&school.folder, DAY, &day_lines());
    let hold = school.hold(time(DAY, 1_000), time(DAY, 3_000), None);
    assert_eq!(hold.id, "hold-1");
    school.round();
    assert_eq!(names(&school), ["one", "two", "three", "four"]);
    school.age(366).round();
    assert_eq!(names(&school), ["one", "two"], "past its time, only what is held is left");
    check(&school.folder, DAY);
    assert_eq!(school.age(3_000).round().iter().filter(|purge| !purge.day.is_empty()).count(), 0);
    school.keeping.lift_hold("hold-1", "the case is closed", "head").unwrap();
    school.round();
    assert!(!school.exists(DAY));
}

#[test]
fn a_hold_on_a_device_keeps_its_rows_and_nobody_elses() {
    let school = School::new(31);
    write(&school.folder, DAY, &day_lines());
    school.hold(start(DAY), start(DAY.plus(1)), Some("tablet 1"));
    school.round();
    assert_eq!(names(&school), ["one", "three", "four", "five"]);
    assert!(!has_bytes(&school.folder, DAY, "example.two"));
    school.keeping.lift_hold("hold-1", "no", "head").unwrap();
    school.round();
    assert_eq!(names(&school), ["three", "four"], "lifted while the blocked ones have their time still");
}

#[test]
fn a_hold_on_a_device_finds_it_behind_its_pseudonym() {
    let school = School::new(366);
    let key = DayKey::load_or_make(&school.folder, DAY).unwrap();
    let mut writer = DayWriter::open(&school.folder.day(DAY), DAY).unwrap();
    writer.begin().unwrap();
    for (n, address) in ["10.0.9.1", "10.0.9.2"].into_iter().enumerate() {
        let who = SealedIdentity { address: address.into(), ..SealedIdentity::default() };
        let line = line(n as i64, &key.pseudonym(address), &format!("example.n{n}"), Action::Allowed);
        put(&mut writer, &line, &AskerRow { sealed: Some(key.seal(&who)), ..asker(&line) });
    }
    writer.commit().unwrap();
    writer.close().unwrap();
    school.hold(start(DAY), start(DAY.plus(1)), Some("10.0.9.2"));
    school.round();
    assert_eq!(names(&school), ["n1"]);
    assert!(DayKey::load(&school.folder, DAY).unwrap().is_some(), "it is needed to say who it was");
    // A key that can't be read is no reason to destroy evidence.
    fs::write(school.folder.keys().join("2024-10-04.key"), b"not a key").unwrap();
    school.hold(start(DAY), start(DAY.plus(1)), Some("10.0.9.1"));
    school.keeping.lift_hold("hold-1", "no", "head").unwrap();
    school.round();
    assert_eq!(names(&school), ["n1"]);
    assert!(
        school.keeping.alarms().iter().any(|alarm| alarm.about == "day"),
        "{:?}",
        school.keeping.alarms()
    );
}

#[test]
fn a_hold_of_the_whole_day_leaves_the_file_as_it_is() {
    let school = School::new(5_000);
    write(&school.folder, DAY, &day_lines());
    school.hold(start(DAY.minus(3)), start(DAY.plus(3)), None);
    assert_eq!(school.round(), []);
    assert_eq!(read(&school.folder, DAY), day_lines());
}

#[test]
fn a_hold_on_nobody_that_is_there_keeps_no_file() {
    let school = School::new(366);
    write(&school.folder, DAY, &day_lines());
    school.hold(start(DAY), start(DAY.plus(1)), Some("10.9.9.9"));
    school.round();
    assert!(!school.exists(DAY));
}

#[test]
fn while_the_holds_cannot_be_read_nothing_is_removed_and_an_alarm_is_raised() {
    let school = School::new(400);
    write(&school.folder, DAY, &day_lines());
    school.hold(start(DAY), start(DAY.plus(1)), None);
    let good = fs::read(school.folder.holds()).unwrap();
    fs::write(school.folder.path().join("2024-10-04.damaged-1.db"), b"x").unwrap();
    let newer = String::from_utf8(good.clone()).unwrap().replace("\"version\": 1", "\"version\": 2");
    for bad in [&b""[..], b"{", b"[]", &good[..good.len() - 10], newer.as_bytes()] {
        fs::write(school.folder.holds(), bad).unwrap();
        assert_eq!(school.round(), []);
        assert_eq!(read(&school.folder, DAY), day_lines());
        assert!(school.files().contains(&"2024-10-04.damaged-1.db".into()));
        let alarms = school.keeping.alarms();
        assert!(
            alarms.iter().any(|alarm| alarm.about == "holds" && alarm.what.contains("holds.json")),
            "{alarms:?}"
        );
        assert!(matches!(school.keeping.holds(), Err(LogError::Holds { .. })));
        // Nor is it written over.
        let new = NewHold { from: start(DAY), to: noon(DAY), client: None, incident: None, why: "x".into() };
        assert!(school.keeping.add_hold(new, "head").is_err());
        assert!(school.keeping.lift_hold("hold-1", "x", "head").is_err());
        let erase = Erase {
            client: "10.0.0.1".into(),
            from: None,
            to: None,
            by: "head".into(),
            reason: "asked for".into(),
            dry_run: false,
        };
        assert!(school.keeping.erase(&erase, &|_| panic!("nothing goes")).is_err());
        assert_eq!(fs::read(school.folder.holds()).unwrap(), bad);
    }
    fs::write(school.folder.holds(), good).unwrap();
    school.round();
    assert_eq!(school.keeping.alarms(), []);
    assert_eq!(read(&school.folder, DAY), day_lines(), "the hold stands");
}

#[test]
fn holds_are_kept_whole_with_who_and_why() {
    let school = School::new(10);
    let new = NewHold {
        from: start(DAY),
        to: noon(DAY),
        client: Some(" 10.0.0.1 ".into()),
        incident: Some("2026-14".into()),
        why: " the police ask ".into(),
    };
    let hold = school.keeping.add_hold(new, "A. Head").unwrap();
    assert_eq!(
        (hold.client.as_deref(), hold.why.as_str(), hold.made),
        (Some("10.0.0.1"), "the police ask", noon(DAY.plus(10)))
    );
    school.age(11);
    let lifted = school.keeping.lift_hold("hold-1", "closed", "B. Deputy").unwrap();
    assert!(!lifted.is_active());
    assert_eq!(school.hold(start(DAY), noon(DAY), None).id, "hold-2", "numbers are not used again");
    assert_eq!(school.keeping.holds().unwrap()[0], lifted);
    let text = lifted.to_string();
    assert!(text.contains("device 10.0.0.1") && text.contains("incident 2026-14"), "{text}");
    assert!(text.contains("made by A. Head") && text.contains("lifted by B. Deputy"), "{text}");
}

#[test]
fn a_hold_that_makes_no_sense_is_refused_by_the_name_of_the_argument() {
    let school = School::new(10);
    write(&school.folder, DAY, &day_lines());
    let good = NewHold { from: start(DAY), to: noon(DAY), client: None, incident: None, why: "x".into() };
    let cases = [
        (NewHold { to: start(DAY), ..good.clone() }, "--from"),
        (NewHold { why: "  ".into(), ..good.clone() }, "--why"),
        (NewHold { client: Some(" ".into()), ..good.clone() }, "--client"),
        (NewHold { client: Some("Tabelt 1".into()), ..good.clone() }, "--client"),
    ];
    for (wrong, argument) in cases {
        let error = school.keeping.add_hold(wrong, "head").unwrap_err();
        assert!(error.is_bad_input() && error.to_string().starts_with(argument), "{error}");
    }
    assert!(!school.folder.holds().exists());
    school.keeping.add_hold(good, "head").unwrap();
    for (id, why) in [("hold-9", "x"), ("hold-1", "")] {
        assert!(school.keeping.lift_hold(id, why, "head").unwrap_err().is_bad_input());
    }
    school.keeping.lift_hold("hold-1", "x", "head").unwrap();
    let error = school.keeping.lift_hold("hold-1", "x", "head").unwrap_err();
    assert!(error.to_string().contains("lifted already"), "{error}");
}

fn held_spans() -> impl Strategy<Value = Vec<(i64, i64, Option<u8>)>> {
    let span = (-1..DAY_MS, 1..DAY_MS + 1, prop::option::of(0..6_u8));
    prop::collection::vec(span, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn holds_are_always_honoured(
        lines in lines(), spans in held_spans(), age in prop::sample::select(vec![31_u16, 366]), then in any::<bool>(),
    ) {
        let school = School::new(age);
        write(&school.folder, DAY, &lines);
        let spans: Vec<_> = spans
            .into_iter()
            .map(|(from, length, client)| (from, from + length, client.map(|n| format!("10.0.0.{n}"))))
            .collect();
        for (from, to, client) in &spans {
            school.hold(time(DAY, *from), time(DAY, *to), client.as_deref());
        }
        let is_held = |line: &Line| spans.iter().any(|(from, to, client)| {
            (*from..*to).contains(&line.ms) && client.as_ref().is_none_or(|client| *client == line.client)
        });
        let mut wanted: Vec<Line> =
            lines.iter().filter(|line| is_held(line) || (age == 31 && line.stays())).cloned().collect();
        // Whoever wants to remove it: the policy, an administrator, the disk.
        school.round();
        if then {
            let erase = Erase {
                client: "10.0.0.1".into(), from: None, to: None, by: "head".into(), reason: "x".into(), dry_run: false,
            };
            school.erase(&erase);
            wanted.retain(|line| is_held(line) || line.client != "10.0.0.1");
        }
        school.round();
        // A day that nothing covers entirely may be there or not when nothing of it is left.
        let left = if school.exists(DAY) { read(&school.folder, DAY) } else { Vec::new() };
        let whole = spans.iter().any(|(from, to, client)| *from <= 0 && *to >= DAY_MS && client.is_none());
        if whole {
            prop_assert_eq!(left, lines);
        } else {
            prop_assert_eq!(left, wanted);
            if school.exists(DAY) {
                check(&school.folder, DAY);
            }
        }
    }
}

#[test]
fn a_hold_on_what_a_device_is_shown_as_keeps_its_rows() {
    let school = School::new(31);
    write(&school.folder, DAY, &day_lines());
    let key = DayKey::for_showing(&school.folder, DAY).unwrap().unwrap();
    let shown = key.of_device("10.0.0.1", &asker(&day_lines()[0]).mac);
    school.hold(start(DAY), start(DAY.plus(1)), Some(&shown));
    school.round();
    assert_eq!(names(&school), ["one", "three", "four", "five"]);
}
