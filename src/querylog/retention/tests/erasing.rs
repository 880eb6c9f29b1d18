//! One device's questions, taken out.

use super::*;

fn request(client: &str) -> Erase {
    Erase {
        client: client.into(),
        from: None,
        to: None,
        by: "A. Head".into(),
        reason: "asked for by the parents".into(),
        dry_run: false,
    }
}

fn two_devices() -> Vec<Line> {
    (0..3_000)
        .map(|n| {
            let action = if n % 10 == 0 { Action::Blocked } else { Action::Allowed };
            match n % 3 {
                0 => line(n * 1_000, "10.0.0.1", &format!("example.secret{n}"), action),
                1 => line(n * 1_000, "10.0.0.1", "example.shared", action),
                _ => line(n * 1_000, "10.0.0.2", "example.shared", action),
            }
        })
        .collect()
}

fn of(lines: &[Line], client: &str) -> Vec<Line> {
    lines.iter().filter(|line| line.client == client).cloned().collect()
}

#[test]
fn a_device_is_erased_from_every_day_with_its_words_and_nobody_else_is() {
    let school = School::new(2);
    for day in [DAY, DAY.plus(1), DAY.plus(2)] {
        write(&school.folder, day, &two_devices());
    }
    write(&school.folder, DAY.minus(1), &of(&two_devices(), "10.0.0.2"));
    school.round();
    let dry = school.erase(&Erase { dry_run: true, ..request("Tablet 1") });
    assert_eq!(school.told.lock().unwrap().len(), 0);
    assert_eq!(read(&school.folder, DAY), two_devices(), "only looked");
    let report = school.erase(&request("Tablet 1"));
    assert_eq!((report.rows, report.days.len()), (6_000, 3));
    assert_eq!(dry, EraseReport { dry_run: true, ..report.clone() });
    assert!(report.rollup_rows > 0);
    for day in [DAY, DAY.plus(1), DAY.plus(2)] {
        assert_eq!(read(&school.folder, day), of(&two_devices(), "10.0.0.2"));
        check(&school.folder, day);
        for gone in ["10.0.0.1", "Tablet 1", "secret"] {
            assert!(!has_bytes(&school.folder, day, gone), "{gone} on {day}");
        }
    }
    let told = school.told.lock().unwrap().clone();
    let days: Vec<&str> = told.iter().map(|purge| purge.day.as_str()).collect();
    assert_eq!(days, ["2024-10-04", "2024-10-05", "2024-10-06"]);
    assert!(
        told.iter().all(|purge| purge.what == Purged::Erased && purge.by == "A. Head" && purge.rows == 2_000)
    );
    assert!(told.iter().all(|purge| purge.why == "asked for by the parents"));
    assert_eq!(school.erase(&request("Tablet 1")).rows, 0);
    let text = report.to_string();
    assert!(text.starts_with("Device Tablet 1: 6000 rows erased\n  2024-10-04: 2000\n"), "{text}");
}

#[test]
fn only_the_span_that_is_named_is_erased_and_what_is_held_stays() {
    let school = School::new(1);
    write(&school.folder, DAY, &two_devices());
    school.hold(time(DAY, 2_000_000), time(DAY, 2_500_000), None);
    school.hold(time(DAY, 2_400_000), time(DAY, 2_600_000), Some("10.0.0.1"));
    let mut erase = request("10.0.0.1");
    (erase.from, erase.to) = (Some(time(DAY, 1_000_000)), Some(time(DAY, 2_700_000)));
    let report = school.erase(&erase);
    let wanted: Vec<Line> = two_devices()
        .into_iter()
        .filter(|line| {
            line.client != "10.0.0.1"
                || !(1_000_000..2_700_000).contains(&line.ms)
                || (2_000_000..2_600_000).contains(&line.ms)
        })
        .collect();
    assert_eq!(read(&school.folder, DAY), wanted);
    check(&school.folder, DAY);
    assert_eq!(report.rows as usize, two_devices().len() - wanted.len());
    let spared: Vec<(&str, u64)> = report.spared.iter().map(|by| (by.hold.as_str(), by.rows)).collect();
    assert_eq!(spared, [("hold-1", 333), ("hold-2", 67)]);
    assert!(report.to_string().contains("Kept for hold-1: 333 rows (2024-10-04)"), "{report}");
}

#[test]
fn the_file_that_is_being_written_loses_the_rows_too_and_is_written_on() {
    let school = School::new(0);
    let lines = two_devices();
    let mut writer = DayWriter::open(&school.folder.day(DAY), DAY).unwrap();
    writer.begin().unwrap();
    assert!(!writer.changed_by_others());
    for line in &lines {
        put(&mut writer, line, &asker(line));
    }
    writer.commit().unwrap();
    writer.begin().unwrap();
    assert!(!writer.changed_by_others(), "what it wrote itself changes nothing");
    writer.commit().unwrap();
    let report = school.erase(&request("10.0.0.1"));
    assert_eq!(report.rows, 2_000);
    let mut wanted = of(&lines, "10.0.0.2");
    assert_eq!(read(&school.folder, DAY), wanted);
    for gone in ["10.0.0.1", "Tablet 1", "secret"] {
        assert!(!has_bytes(&school.folder, DAY, gone), "{gone}");
    }
    check(&school.folder, DAY);
    // The device goes on asking, for the same names, in the same stretch of the index.
    writer.begin().unwrap();
    assert!(writer.changed_by_others());
    assert!(!writer.changed_by_others());
    let more = [
        line(3_000_000, "10.0.0.1", "example.secret3", Action::Allowed),
        line(3_000_001, "10.0.0.2", "example.shared", Action::Allowed),
        line(3_000_002, "10.0.0.1", "example.shared", Action::Allowed),
    ];
    for line in &more {
        put(&mut writer, line, &asker(line));
    }
    writer.commit().unwrap();
    wanted.extend(more);
    assert_eq!(read(&school.folder, DAY), wanted);
    check(&school.folder, DAY);
}

#[test]
fn a_device_is_erased_while_another_thread_writes() {
    let school = School::new(0);
    write(&school.folder, DAY, &two_devices());
    let folder = school.folder.clone();
    let (begun, is_writing) = std::sync::mpsc::channel();
    let writing = std::thread::spawn(move || {
        let mut writer = DayWriter::open(&folder.day(DAY), DAY).unwrap();
        for batch in 0..60 {
            writer.begin().unwrap();
            for n in 0..50 {
                let line = line(4_000_000 + batch * 50 + n, "10.0.0.2", "example.shared", Action::Allowed);
                put(&mut writer, &line, &asker(&line));
            }
            writer.commit().unwrap();
            let _ = begun.send(());
        }
        writer.close().unwrap();
    });
    is_writing.recv().unwrap();
    assert_eq!(school.erase(&request("10.0.0.1")).rows, 2_000);
    writing.join().unwrap();
    assert_eq!(read(&school.folder, DAY).len(), 1_000 + 3_000);
    assert_eq!(of(&read(&school.folder, DAY), "10.0.0.1"), []);
    check(&school.folder, DAY);
}

#[test]
fn a_device_behind_a_pseudonym_is_erased_while_the_key_of_the_day_exists() {
    let school = School::new(1);
    let lines = |key: &DayKey, day: Day| {
        let mut writer = DayWriter::open(&school.folder.day(day), day).unwrap();
        writer.begin().unwrap();
        for (n, address) in ["10.0.9.1", "10.0.9.2"].into_iter().enumerate() {
            let who = SealedIdentity { address: address.into(), ..SealedIdentity::default() };
            let line = line(n as i64, &key.pseudonym(address), "example.x", Action::Allowed);
            put(&mut writer, &line, &AskerRow { sealed: Some(key.seal(&who)), ..asker(&line) });
        }
        writer.commit().unwrap();
        writer.close().unwrap();
    };
    for day in [DAY.minus(1), DAY] {
        lines(&DayKey::load_or_make(&school.folder, day).unwrap(), day);
    }
    school.round();
    DayKey::destroy(&school.folder, DAY.minus(1)).unwrap();
    let report = school.erase(&request("10.0.9.1"));
    assert_eq!((report.rows, report.unknowable.clone()), (1, vec!["2024-10-03".to_owned()]));
    assert!(report.rollup_rows >= 2, "the hour and the day: {report:?}");
    assert_eq!(read(&school.folder, DAY).len(), 1);
    assert_eq!(read(&school.folder, DAY.minus(1)).len(), 2);
    // By the pseudonym itself it is found without any key.
    let other = read(&school.folder, DAY.minus(1))[0].client.clone();
    assert_eq!(school.erase(&request(&other)).rows, 1);
}

#[test]
fn a_request_that_makes_no_sense_is_refused_by_the_name_of_the_argument() {
    let school = School::new(1);
    write(&school.folder, DAY, &two_devices());
    let mut backwards = request("10.0.0.1");
    (backwards.from, backwards.to) = (Some(noon(DAY)), Some(start(DAY)));
    let cases = [
        (request(" "), "--client"),
        (Erase { reason: " ".into(), ..request("10.0.0.1") }, "--reason"),
        (backwards, "--from"),
        (Erase { from: Some(noon(DAY.plus(9))), ..request("10.0.0.1") }, "--from"),
    ];
    for (wrong, argument) in cases {
        let error = school.keeping.erase(&wrong, &|_| panic!("nothing goes")).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().starts_with(argument), "{error}");
    }
    assert_eq!(read(&school.folder, DAY), two_devices());
}

#[test]
fn a_day_that_cannot_be_worked_on_is_told_and_the_others_are_done() {
    let school = School::new(2);
    write(&school.folder, DAY, &two_devices());
    write(&school.folder, DAY.plus(1), &two_devices());
    school.keeping.settle_closed_days();
    fs::write(school.folder.day(DAY), b"this is no database, whatever its name says; not at all").unwrap();
    let report = school.erase(&request("10.0.0.1"));
    assert_eq!(report.rows, 2_000);
    assert!(report.failed.len() == 1 && report.failed[0].starts_with("2024-10-04: "), "{report:?}");
    assert!(report.to_string().contains("NOT DONE: 2024-10-04"), "{report}");
}
