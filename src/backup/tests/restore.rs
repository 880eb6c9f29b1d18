//! Restores: whole, broken off, two at once, and what they leave behind.

use super::*;

#[test]
fn a_box_comes_back_from_its_backup_and_what_was_there_is_kept() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    lived_in(one.path());
    let archive = other.path().join("a.backup.age");
    let made = made(one.path(), &archive);
    assert_eq!(made.bytes, fs::metadata(&archive).unwrap().len());
    let manifest = look(&archive, &opener()).unwrap();
    let paths: Vec<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    assert!(paths.contains(&"schoolgate.db") && paths.contains(&"tls/ca.key"), "{paths:?}");
    assert!(paths.contains(&"lists/index.sgi") && paths.contains(&"secret.key"), "{paths:?}");
    assert!(
        !paths.iter().any(|path| path.contains("damaged") || path.contains("wal") || path.contains("sock"))
    );
    // Nothing is left behind where it was made.
    assert!(!names(one.path()).iter().any(|name| name.starts_with('.')), "{:?}", names(one.path()));

    let spare = tempfile::tempdir().unwrap();
    fs::write(spare.path().join("school.toml"), "kind = \"secondary\"\n").unwrap();
    fs::write(spare.path().join("mail.toml"), "of another school").unwrap();
    let dry = stage(spare.path(), &archive, &opener(), "technician", at(), true, RESERVE).unwrap();
    assert_eq!(dry.gives_way, ["school.toml", "mail.toml"]);
    assert_eq!(names(spare.path()), ["mail.toml", "school.toml"]);
    assert!(apply(spare.path()).unwrap().is_none());

    stage(spare.path(), &archive, &opener(), "technician", at(), false, RESERVE).unwrap();
    assert!(pending(spare.path()).is_some());
    let applied = apply(spare.path()).unwrap().unwrap();
    assert_eq!(applied.staged.about.school, "Elm Lane");
    assert_eq!(fs::read_to_string(spare.path().join("school.toml")).unwrap(), "kind = \"primary\"\n");
    // Nothing of another school stays.
    assert!(!spare.path().join("mail.toml").exists());
    let before = spare.path().join(&applied.staged.before);
    assert_eq!(fs::read_to_string(before.join("mail.toml")).unwrap(), "of another school");
    let store = Store::open(spare.path()).unwrap();
    assert_eq!(store.latest().unwrap().unwrap().number, 1);
    assert!(store.verify_audit().unwrap().is_whole());
    // Until the audit has it, a start that broke off is no reason that nobody is told.
    assert_eq!(apply(spare.path()).unwrap(), Some(applied));
    told(spare.path());
    assert!(apply(spare.path()).unwrap().is_none());
    assert!(!names(spare.path()).iter().any(|name| name.starts_with("restore")), "{:?}", names(spare.path()));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(spare.path().join("secret.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_restore_that_broke_off_anywhere_is_done_by_the_next_start() {
    let one = tempfile::tempdir().unwrap();
    lived_in(one.path());
    let archive = one.path().join("a.backup.age");
    made(one.path(), &archive);
    // After each step of moving away and moving in; the two are renames of these.
    for steps in 0..12 {
        let spare = tempfile::tempdir().unwrap();
        let data = spare.path();
        lived_in(data);
        fs::write(data.join("school.toml"), "kind = \"secondary\"\n").unwrap();
        let staged = stage(data, &archive, &opener(), "technician", at(), false, RESERVE).unwrap();
        let (ready, before) = (data.join("restore"), data.join(&staged.before));
        let away: Vec<String> =
            what::gives_way(false).into_iter().filter(|name| data.join(name).exists()).collect();
        fs::create_dir_all(&before).unwrap();
        for name in away.iter().take(steps) {
            fs::rename(data.join(name), before.join(name)).unwrap();
        }
        if steps > away.len() {
            fs::write(ready.join("moved"), "").unwrap();
            for name in names(&ready.join("files")).iter().take(steps - away.len()) {
                fs::rename(ready.join("files").join(name), data.join(name)).unwrap();
            }
        }
        assert!(apply(data).unwrap().is_some(), "after {steps}");
        assert_eq!(
            fs::read_to_string(data.join("school.toml")).unwrap(),
            "kind = \"primary\"\n",
            "after {steps}"
        );
        assert_eq!(
            fs::read_to_string(before.join("school.toml")).unwrap(),
            "kind = \"secondary\"\n",
            "after {steps}"
        );
        assert_eq!(Store::open(data).unwrap().latest().unwrap().unwrap().number, 1, "after {steps}");
        assert!(!ready.exists());
    }
}

#[test]
fn what_a_command_made_between_two_halves_of_a_restore_gives_way_as_well() {
    let one = tempfile::tempdir().unwrap();
    lived_in(one.path());
    let archive = one.path().join("a.backup.age");
    made(one.path(), &archive);
    for is_moved in [false, true] {
        let spare = tempfile::tempdir().unwrap();
        let data = spare.path();
        lived_in(data);
        fs::write(data.join("school.toml"), "kind = \"secondary\"\n").unwrap();
        let staged = stage(data, &archive, &opener(), "technician", at(), false, RESERVE).unwrap();
        let before = data.join(&staged.before);
        fs::create_dir_all(&before).unwrap();
        for name in what::gives_way(false).into_iter().filter(|name| data.join(name).exists()) {
            fs::rename(data.join(&name), before.join(&name)).unwrap();
        }
        if is_moved {
            fs::write(data.join("restore/moved"), "").unwrap();
        }
        assert!(cancel(data).is_err());
        for (name, text) in
            [("lists/ours/state.json", "{}"), ("school.toml", "new"), ("schoolgate.db-wal", "of another")]
        {
            let path = data.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert!(apply(data).unwrap().is_some(), "{is_moved}");
        assert_eq!(fs::read_to_string(data.join("school.toml")).unwrap(), "kind = \"primary\"\n");
        assert_eq!(fs::read_to_string(before.join("school.toml")).unwrap(), "kind = \"secondary\"\n");
        assert_eq!(fs::read_to_string(before.join("school.toml.1")).unwrap(), "new");
        assert!(!data.join("schoolgate.db-wal").exists() && !data.join("lists/ours").exists());
        assert_eq!(Store::open(data).unwrap().latest().unwrap().unwrap().number, 1);
    }
}

#[test]
fn of_two_restores_that_are_made_ready_at_once_one_is_done_whole() {
    let one = tempfile::tempdir().unwrap();
    lived_in(one.path());
    let archive = one.path().join("a.backup.age");
    made(one.path(), &archive);
    let spare = tempfile::tempdir().unwrap();
    let data = spare.path();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| stage(data, &archive, &opener(), "technician", at(), false, RESERVE).unwrap());
        }
    });
    assert_eq!(names(data), ["restore"]);
    assert!(apply_unless(data, || true).unwrap().is_none());
    assert!(apply(data).unwrap().is_some());
    assert_eq!(Store::open(data).unwrap().latest().unwrap().unwrap().number, 1);
    // Forgotten, killed in the middle of that.
    stage(data, &archive, &opener(), "technician", at(), false, RESERVE).unwrap();
    fs::rename(data.join("restore"), data.join("restore.gone")).unwrap();
    told(data);
    assert!(apply(data).unwrap().is_none());
    tidy(data);
    assert!(!names(data).iter().any(|name| name.starts_with("restore")), "{:?}", names(data));
}

#[test]
fn what_was_there_before_a_restore_goes_after_thirty_days_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    // What is there, and when something was moved into it for the last time.
    for (name, moved) in [
        ("before-restore-20261027-120000", "2026-10-27T12:00:05Z"),
        ("before-restore-20250101-000000", "2025-01-01T00:00:00Z"),
        // Just not yet.
        ("before-restore-20261028-021000", "2026-10-28T02:15:00Z"),
        // It waited long for the start that did it.
        ("before-restore-20260901-000000", "2026-11-20T08:00:00Z"),
        // The clock was behind when it was done.
        ("before-restore-20261120-080000", "2026-01-01T00:00:00Z"),
        // Nothing of ours.
        ("before-restore-20261341-000000", "2026-01-01T00:00:00Z"),
        ("before-restore-20260101-000000.old", "2026-01-01T00:00:00Z"),
        ("before-restore-", "2026-01-01T00:00:00Z"),
        ("log", "2026-01-01T00:00:00Z"),
        // It has a legal hold, below.
        ("before-restore-20260103-000000", "2026-01-03T00:00:00Z"),
        ("restore.failed", "2026-01-01T00:00:00Z"),
    ] {
        let path = data.join(name);
        fs::create_dir_all(path.join("log/keys")).unwrap();
        fs::write(path.join("log/2026-10-01.db"), "a day").unwrap();
        let moved: Timestamp = moved.parse().unwrap();
        File::open(&path).unwrap().set_modified(moved.into()).unwrap();
    }
    fs::write(data.join("before-restore-20260103-000000/log/holds.json"), "[]").unwrap();
    let file = data.join("before-restore-20260102-000000");
    let made: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    File::create(&file).unwrap().set_modified(made.into()).unwrap();
    let mut left = names(data);
    forget_before(data, at());
    left.retain(|name| {
        !["before-restore-20261027-120000", "before-restore-20250101-000000"].contains(&name.as_str())
    });
    assert_eq!(names(data), left);
    // A day later one more, and what a removal that broke off left behind.
    fs::create_dir_all(data.join(".restore-over/log")).unwrap();
    forget_before(data, at() + jiff::SignedDuration::from_hours(24));
    left.retain(|name| name != "before-restore-20261028-021000");
    assert_eq!(names(data), left);
}

#[test]
fn a_restore_that_finds_the_room_of_the_log_alone_changes_nothing() {
    let one = tempfile::tempdir().unwrap();
    lived_in(one.path());
    let archive = one.path().join("a.backup.age");
    made(one.path(), &archive);
    // A log that has more kept free than any disk has.
    let reserve = Reserve::within(u64::MAX);
    let spare = tempfile::tempdir().unwrap();
    let refused = stage(spare.path(), &archive, &opener(), "x", at(), false, reserve).unwrap_err();
    assert!(matches!(refused, BackupError::NoRoom { free: 0, .. }), "{refused}");
    assert!(refused.to_string().contains("no room"), "{refused}");
    assert!(matches!(
        rehearse(spare.path(), &archive, &opener(), reserve),
        Err(BackupError::NoRoom { free: 0, .. })
    ));
    assert_eq!(names(spare.path()), [] as [&str; 0]);
    // Nor is one made: the first thing is the copy of a database.
    let of = Of { reserve, ..of(one.path()) };
    let to = one.path().join("b.backup.age");
    assert!(matches!(create(&of, &lock(), &to), Err(BackupError::NoRoom { free: 0, .. })));
    assert!(!to.exists());
    assert!(!names(one.path()).iter().any(|name| name.starts_with('.')), "{:?}", names(one.path()));
}
