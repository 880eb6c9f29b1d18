//! Days that are reduced and deleted when their time is over.

use proptest::prelude::*;

use super::*;

fn mixed() -> Vec<Line> {
    vec![
        line(10, "10.0.0.1", "example.allowed", Action::Allowed),
        line(10, "10.0.0.2", "example.blocked", Action::Blocked),
        line(20, "10.0.0.2", "example.safe", Action::Rewritten),
        Line { alert: true, ..line(30, "10.0.0.3", "example.worrying", Action::Allowed) },
        line(40, "10.0.0.4", "example.failed", Action::Failed),
        line(50, "10.0.0.5", "example.limited", Action::Limited),
    ]
}

#[test]
fn a_day_is_reduced_after_allowed_days_and_deleted_after_blocked_days() {
    let school = School::new(30);
    write(&school.folder, DAY, &mixed());
    assert_eq!(school.round(), []);
    assert_eq!(read(&school.folder, DAY), mixed(), "30 days old: every row is kept");

    let told = school.age(31).round();
    let staying: Vec<Line> = mixed().into_iter().filter(Line::stays).collect();
    assert_eq!(read(&school.folder, DAY), staying);
    check(&school.folder, DAY);
    let told: Vec<&Purge> = told.iter().filter(|purge| !purge.day.is_empty()).collect();
    assert_eq!(told.len(), 1);
    let Purge { day, what, rows, why, by, at, .. } = &told[0];
    assert_eq!((day.as_str(), *what, *rows, by.as_str()), ("2024-10-04", Purged::Reduced, 3, "the server"));
    assert_eq!((why.as_str(), *at), ("30 days are over (allowed_days)", noon(DAY.plus(31))));
    for gone in ["example.allowed", "example.failed", "example.limited", "10.0.0.1", "Tablet 1", "10.0.0.5"] {
        assert!(!has_bytes(&school.folder, DAY, gone), "{gone}");
    }
    assert!(has_bytes(&school.folder, DAY, "worrying"));

    assert_eq!(school.age(365).round().iter().filter(|purge| !purge.day.is_empty()).count(), 0);
    assert_eq!(read(&school.folder, DAY), staying);
    let told = school.age(366).round();
    assert!(!school.exists(DAY));
    let deleted: Vec<_> = told.iter().filter(|purge| purge.what == Purged::Deleted).collect();
    assert_eq!((deleted.len(), deleted[0].rows, deleted[0].bytes > 0), (1, 3, true));
    assert_eq!(school.files(), ["rollup.db"]);
    assert_eq!(school.keeping.alarms(), []);
}

#[test]
fn counts_and_losses_stay_in_a_reduced_day() {
    let school = School::new(31);
    write(&school.folder, DAY, &mixed());
    let sums = "SELECT (SELECT sum(questions) FROM hour_count) * 1000000
            + (SELECT sum(questions) FROM hour_latency) * 1000 + (SELECT sum(questions) FROM unkept)";
    let sum = || open(&school.folder, DAY).query_row(sums, [], |row| row.get::<_, i64>(0)).unwrap();
    let before = sum();
    assert_eq!(before, 6_006_009);
    school.round();
    assert_eq!(sum(), before);
    let day = "SELECT value FROM about WHERE key = 'day'";
    let day: String = open(&school.folder, DAY).query_row(day, [], |row| row.get(0)).unwrap();
    assert_eq!(day, "2024-10-04");
}

#[test]
fn a_file_written_anew_has_every_table_that_a_day_file_has() {
    let school = School::new(31);
    write(&school.folder, DAY, &mixed());
    let connection = open(&school.folder, DAY);
    let mut statement = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let mut tables: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    tables.sort();
    // A table that is new here must be written by `rewrite` too: then it may be added.
    let known = [
        "about",
        "asker",
        "asker_span",
        "fate",
        "fate_span",
        "hour_count",
        "hour_latency",
        "name",
        "name_span",
        "question",
        "span",
        "unkept",
    ];
    assert_eq!(tables, known);
}

#[test]
fn rows_keep_their_places_also_where_many_came_in_one_millisecond() {
    let school = School::new(31);
    let lines: Vec<Line> = (0..600)
        .map(|n| {
            let action = if n % 2 == 0 { Action::Blocked } else { Action::Allowed };
            line(1_000 + n / 500, "10.0.0.1", "example.burst", action)
        })
        .collect();
    write(&school.folder, DAY, &lines);
    let places = || {
        let connection = open(&school.folder, DAY);
        let sql = "SELECT at FROM question JOIN fate ON fate.id = fate WHERE action = 'blocked' ORDER BY at";
        let mut statement = connection.prepare(sql).unwrap();
        let places: Vec<i64> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        places
    };
    let before = places();
    assert_eq!(before.len(), 300);
    school.round();
    assert_eq!(places(), before);
    check(&school.folder, DAY);
}

#[test]
fn who_has_the_old_file_open_reads_on() {
    let school = School::new(0);
    write(&school.folder, DAY, &mixed());
    school.age(1).round();
    let reader = open(&school.folder, DAY);
    let count = || reader.query_row("SELECT count(*) FROM question", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 6);
    school.age(31).round();
    assert_eq!(count(), 6);
    assert_eq!(read(&school.folder, DAY).len(), 3);
    school.age(366).round();
    assert_eq!(count(), 6);
    assert!(!school.exists(DAY));
}

#[test]
fn a_day_that_is_over_becomes_one_file_that_can_be_copied() {
    let school = School::new(0);
    let mut writer = DayWriter::open(&school.folder.day(DAY), DAY).unwrap();
    writer.begin().unwrap();
    put(&mut writer, &mixed()[0], &asker(&mixed()[0]));
    writer.commit().unwrap();
    school.round();
    assert!(school.files().contains(&"2024-10-04.db-wal".into()), "today is left to the writer");
    // Just after midnight the writer may still have it.
    school.clock.set(start(DAY.plus(1)) + jiff::SignedDuration::from_secs(599));
    school.round();
    assert!(school.files().contains(&"2024-10-04.db-wal".into()));
    writer.close().unwrap();
    school.age(1).round();
    let of_day: Vec<String> = school.files().into_iter().filter(|file| file.starts_with("2024")).collect();
    assert_eq!(of_day, ["2024-10-04.db"]);
    let copy = school.data.path().join("copy.db");
    fs::copy(school.folder.day(DAY), &copy).unwrap();
    let rows: i64 = Connection::open(&copy)
        .unwrap()
        .query_row("SELECT count(*) FROM question", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn a_day_that_a_writer_has_open_is_reduced_later() {
    let school = School::new(31);
    write(&school.folder, DAY, &mixed());
    let writer = DayWriter::open(&school.folder.day(DAY), DAY).unwrap();
    // It waits a while for the writer.
    school.keeping.retain(&|purge| panic!("{purge}"));
    assert_eq!(read(&school.folder, DAY), mixed());
    assert_eq!(school.keeping.alarms(), []);
    drop(writer);
    school.round();
    assert_eq!(read(&school.folder, DAY).len(), 3);
}

#[test]
fn a_file_that_was_never_begun_is_no_obstacle() {
    let school = School::new(31);
    fs::create_dir_all(school.folder.path()).unwrap();
    fs::write(school.folder.day(DAY), b"").unwrap();
    school.round();
    assert_eq!(school.keeping.alarms(), []);
    assert_eq!(read(&school.folder, DAY), []);
    school.age(366).round();
    assert!(!school.exists(DAY));
}

#[test]
fn whatever_a_crash_left_behind_the_next_start_finds_one_whole_day() {
    // Each way in which the file that was being made can lie there.
    let half = |folder: &LogFolder| {
        let new = crate::querylog::folder::beside(&folder.day(DAY), ".new");
        fs::write(&new, b"SQLite format 3\0 and then the power went").unwrap();
    };
    let with_journal = |folder: &LogFolder| {
        let new = crate::querylog::folder::beside(&folder.day(DAY), ".new");
        let mut writer = DayWriter::open(&new, DAY).unwrap();
        writer.begin().unwrap();
        put(&mut writer, &mixed()[1], &asker(&mixed()[1]));
        writer.commit().unwrap();
        // As a crash does it: nothing is closed.
        for suffix in ["", "-wal", "-shm"] {
            let from = crate::querylog::folder::beside(&new, suffix);
            fs::copy(&from, folder.path().join(format!("copy{suffix}"))).unwrap();
        }
        drop(writer);
        for suffix in ["", "-wal", "-shm"] {
            let to = crate::querylog::folder::beside(&new, suffix);
            fs::rename(folder.path().join(format!("copy{suffix}")), to).unwrap();
        }
    };
    let complete = |folder: &LogFolder| {
        day::settle(&folder.day(DAY)).unwrap();
        let source = rewrite::source(&folder.day(DAY), DAY).unwrap();
        let mark = Mark { kept: Kept::Blocked, holds: Vec::new() };
        let never = AtomicBool::new(false);
        let new = rewrite::rewrite(folder, DAY, &source, &mark, &never, |_| false).unwrap();
        assert_eq!((new.kept, new.removed()), (0, 6));
        // It never takes the old one's place.
        drop(new);
    };
    let nothing = |_: &LogFolder| {};
    type Leave<'a> = (&'a str, &'a dyn Fn(&LogFolder));
    let states: [Leave<'_>; 4] =
        [("nothing", &nothing), ("half", &half), ("with a journal", &with_journal), ("complete", &complete)];
    for (what, leave) in states {
        let school = School::new(5);
        write(&school.folder, DAY, &mixed());
        leave(&school.folder);
        school.round();
        assert_eq!(school.files(), ["2024-10-04.db", "rollup.db"], "{what}");
        assert_eq!(read(&school.folder, DAY), mixed(), "{what}");
        leave(&school.folder);
        let told = school.age(31).round();
        assert_eq!(told.iter().filter(|purge| purge.what == Purged::Reduced).count(), 1, "{what}");
        assert_eq!(read(&school.folder, DAY).len(), 3, "{what}");
        check(&school.folder, DAY);
        assert_eq!(school.files(), ["2024-10-04.db", "rollup.db"], "{what}");
        assert_eq!(school.keeping.alarms(), [], "{what}");
    }
}

#[test]
fn what_is_left_of_a_deletion_goes_with_the_next_round() {
    let school = School::new(100);
    write(&school.folder, DAY.plus(90), &mixed());
    fs::write(school.folder.path().join("2024-10-04.db-wal"), b"questions").unwrap();
    fs::write(school.folder.path().join("2024-10-04.db-shm"), b"").unwrap();
    DayKey::load_or_make(&school.folder, DAY).unwrap();
    DayKey::load_or_make(&school.folder, DAY.plus(1)).unwrap();
    fs::rename(
        school.folder.keys().join("2024-10-05.key"),
        school.folder.keys().join("2024-10-05.key.destroyed"),
    )
    .unwrap();
    DayKey::load_or_make(&school.folder, DAY.plus(90)).unwrap();
    DayKey::load_or_make(&school.folder, DAY.plus(100)).unwrap();
    school.round();
    assert_eq!(school.files(), ["2025-01-02.db", "keys", "rollup.db"]);
    assert_eq!(DayKey::days(&school.folder).unwrap(), [DAY.plus(90), DAY.plus(100)]);
    assert_eq!(fs::read_dir(school.folder.keys()).unwrap().count(), 2);
}

#[test]
fn the_key_of_a_day_is_destroyed_with_it_and_not_before() {
    let school = School::new(31);
    write(&school.folder, DAY, &mixed());
    DayKey::load_or_make(&school.folder, DAY).unwrap();
    school.round();
    assert!(DayKey::load(&school.folder, DAY).unwrap().is_some(), "blocked questions may be asked about");
    school.age(366).round();
    assert!(DayKey::load(&school.folder, DAY).unwrap().is_none());
}

#[test]
fn a_damaged_day_is_put_aside_and_deleted_when_its_time_is_over() {
    let school = School::new(31);
    write(&school.folder, DAY, &mixed());
    write(&school.folder, DAY.plus(1), &mixed());
    school.keeping.settle_closed_days();
    let file = school.folder.day(DAY);
    let mut bytes = fs::read(&file).unwrap();
    for at in (4_096..bytes.len()).step_by(4_096) {
        bytes[at..at + 200].fill(0xa5);
    }
    fs::write(&file, bytes).unwrap();
    school.round();
    assert!(!school.exists(DAY));
    assert!(school.files().contains(&"2024-10-04.damaged-1.db".into()), "{:?}", school.files());
    let alarms = school.keeping.alarms();
    assert!(
        alarms.iter().any(|alarm| alarm.about == "day" && alarm.what.contains("damaged-1")),
        "{alarms:?}"
    );
    let told = school.age(32).round();
    assert!(told.iter().any(|purge| purge.what == Purged::DamagedDeleted && purge.day == "2024-10-04"));
    assert!(!school.files().iter().any(|file| file.contains("damaged")), "{:?}", school.files());
    assert_eq!(read(&school.folder, DAY.plus(1)).len(), 3, "the other days are done");
    school.round();
    assert_eq!(school.keeping.alarms(), [], "nothing is left of it to look at");
}

#[test]
fn a_change_of_the_policy_counts_with_the_next_round() {
    let school = School::new(10);
    write(&school.folder, DAY, &mixed());
    school.round();
    assert_eq!(read(&school.folder, DAY).len(), 6);
    let mut file = PolicyFile::shipped();
    (file.log.allowed_days, file.log.blocked_days) = (5, 9);
    school.policy.store(Arc::new(policy(&file)));
    school.round();
    assert!(!school.exists(DAY));
    // Without a reason, the limits of the box hold.
    (file.log.allowed_days, file.log.blocked_days, file.log.rollup_days) = (3_000, 3_000, 3_000);
    school.policy.store(Arc::new(policy(&file)));
    assert_eq!(
        school.keeping.retention(),
        Retention { allowed_days: 90, blocked_days: 365, rollup_days: 730 }
    );
    file.log.reason = "the governors".into();
    school.policy.store(Arc::new(policy(&file)));
    assert_eq!(school.keeping.retention().allowed_days, 3_000);
}

#[test]
fn days_of_the_future_are_left_alone() {
    let school = School::new(0);
    write(&school.folder, DAY.plus(500), &mixed());
    assert_eq!(school.round(), []);
    assert_eq!(read(&school.folder, DAY.plus(500)), mixed());
}

#[test]
fn work_that_is_told_to_stop_leaves_the_old_file() {
    let school = School::new(31);
    let lines: Vec<Line> = (0..5_000).map(|n| line(n, "10.0.0.1", "example.x", Action::Allowed)).collect();
    write(&school.folder, DAY, &lines);
    school.keeping.stop();
    school.keeping.retain(&|_| {});
    assert_eq!(read(&school.folder, DAY).len(), 5_000);
    assert!(!school.files().iter().any(|file| file.contains(".new")), "{:?}", school.files());
}

#[test]
fn the_keeper_does_what_is_due_and_ends_when_it_is_told() {
    let school = School::new(31);
    write(&school.folder, DAY, &mixed());
    let (send, told) = std::sync::mpsc::channel();
    let keeper = Keeper::start(Arc::clone(&school.keeping), move |purge| send.send(purge.clone()).unwrap());
    let first = |what| std::iter::from_fn(|| told.recv().ok()).find(|purge: &Purge| purge.what == what);
    assert_eq!(first(Purged::Reduced).unwrap().day, "2024-10-04");
    school.age(366);
    keeper.wake();
    assert_eq!(first(Purged::Deleted).unwrap().day, "2024-10-04");
    keeper.stop();
    assert!(told.try_iter().all(|purge| purge.what == Purged::RollupsDeleted));
    assert!(told.recv().is_err(), "nobody is left to tell anything");
}

pub(super) fn lines() -> impl Strategy<Value = Vec<Line>> {
    let one = (0..DAY_MS, 0..6_u8, 0..30_u16, prop::sample::select(&Action::ALL[..]), any::<bool>());
    prop::collection::vec(one, 1..400).prop_map(|lines| {
        let lines = lines.into_iter().map(|(ms, client, name, action, alert)| Line {
            ms,
            client: format!("10.0.0.{client}"),
            name: format!("example.n{name}"),
            action,
            alert: alert && name == 0,
        });
        let mut lines: Vec<Line> = lines.collect();
        lines.sort_by_key(|line| line.ms);
        lines
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_reduced_file_has_exactly_the_rows_that_stay_and_its_index_leads_to_each(lines in lines()) {
        let school = School::new(31);
        write(&school.folder, DAY, &lines);
        school.round();
        let wanted: Vec<Line> = lines.into_iter().filter(Line::stays).collect();
        prop_assert_eq!(read(&school.folder, DAY), wanted);
        check(&school.folder, DAY);
    }
}
