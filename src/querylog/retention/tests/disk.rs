//! When the disk runs out of room.

use std::{
    process::Command,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::*;

const MB: u64 = 1_000_000;

fn some() -> Vec<Line> {
    (0..200).map(|n| line(n, &format!("10.0.0.{}", n % 3), "example.x", Action::Blocked)).collect()
}

/// A disk on which each day file takes 10 MB, besides 95 MB of something else.
fn school(days: u16, size: u64) -> (School, Arc<AtomicU64>) {
    let size = Arc::new(AtomicU64::new(size));
    let disk = Arc::clone(&size);
    let school = School::with(days - 1, |keeping| {
        keeping.with_free(move |folder| {
            let files = LogFolder::in_data(folder.parent().unwrap()).days()?.len() as u64;
            Ok((disk.load(Relaxed) * MB).saturating_sub(files * 10 * MB + 95 * MB))
        })
    });
    for day in 0..days {
        write(&school.folder, DAY.plus(day), &some());
        DayKey::load_or_make(&school.folder, DAY.plus(day)).unwrap();
    }
    (school, size)
}

fn disk_alarm(school: &School) -> Option<String> {
    school.keeping.alarms().into_iter().find(|alarm| alarm.about == "disk").map(|alarm| alarm.what)
}

#[test]
fn the_oldest_days_go_first_until_the_floor_is_kept() {
    // Ten days, 512 MB to be free: 700 is room for nine.
    let (school, size) = school(10, 95 + 512 + 100);
    assert_eq!(school.round(), []);
    assert_eq!(disk_alarm(&school), None);
    size.store(95 + 512 + 75, Relaxed);
    let told = school.round();
    let gone: Vec<&str> = told.iter().map(|purge| purge.day.as_str()).collect();
    assert_eq!(gone, ["2024-10-04", "2024-10-05", "2024-10-06"]);
    assert!(told.iter().all(|purge| purge.what == Purged::Deleted && purge.rows == 200));
    assert_eq!(told[0].why, "487 MB of the disk are free, and 512 are to stay free (log.free_megabytes)");
    assert_eq!(school.folder.days().unwrap().len(), 7);
    assert_eq!(DayKey::days(&school.folder).unwrap().len(), 7, "their keys go with them");
    assert_eq!(disk_alarm(&school), None, "there is room again");
}

#[test]
fn today_and_what_is_held_is_never_deleted_for_room() {
    let (school, size) = school(6, 95 + 10);
    let held = DAY.plus(1);
    school.hold(start(held), start(held.plus(1)), None);
    let partly = DAY.plus(3);
    school.hold(start(partly), start(partly.plus(1)), Some("10.0.0.1"));
    school.round();
    assert_eq!(school.folder.days().unwrap(), [held, partly, DAY.plus(5)]);
    assert_eq!(read(&school.folder, held), some());
    let its: Vec<Line> = some().into_iter().filter(|line| line.client == "10.0.0.1").collect();
    assert_eq!(read(&school.folder, partly), its, "what is not held of it made room");
    assert_eq!(read(&school.folder, DAY.plus(5)), some());
    let alarm = disk_alarm(&school).unwrap();
    assert!(alarm.contains("no day left"), "{alarm}");
    assert_eq!(school.round(), [], "nothing is done twice");
    size.store(10_000, Relaxed);
    school.round();
    assert_eq!(disk_alarm(&school), None);
}

#[test]
fn a_chart_has_the_days_that_went_for_room() {
    let (school, _) = school(3, 95);
    school.round();
    assert_eq!(school.folder.days().unwrap(), [DAY.plus(2)]);
    let counts = school
        .keeping
        .rollup()
        .counts(&crate::querylog::rollup::CountQuery {
            from: start(DAY),
            to: start(DAY.plus(2)),
            step: crate::querylog::rollup::Step::Day,
            by: Vec::new(),
            profile: None,
            category: None,
            action: None,
        })
        .unwrap();
    assert_eq!(counts.iter().map(|count| count.questions).collect::<Vec<_>>(), [200, 200]);
}

#[test]
fn a_disk_that_says_nothing_is_an_alarm_and_no_reason_to_delete() {
    let school = School::with(5, |keeping| keeping.with_free(|_| Err(io::Error::other("no answer"))));
    write(&school.folder, DAY, &some());
    assert_eq!(school.round(), []);
    assert!(disk_alarm(&school).unwrap().contains("no answer"));
}

/// Set where the test below runs again, with a small disk of its own.
const DISK: &str = "SCHOOLGATE_TEST_SMALL_DISK";

#[test]
fn a_disk_that_is_really_small_keeps_its_floor() {
    if let Some(disk) = std::env::var_os(DISK) {
        return on_a_small_disk(Path::new(&disk));
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT RUN: only root can mount a small disk");
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let name = "querylog::retention::tests::disk::a_disk_that_is_really_small_keeps_its_floor";
    let mounted = "mount -t tmpfs -o size=14m tmpfs \"$0\" || exit 77; exec \"$@\"";
    let run = Command::new("unshare")
        .args(["--mount", "sh", "-c", mounted])
        .arg(disk.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(DISK, disk.path())
        .output();
    match run {
        Ok(run) if run.status.code() == Some(77) => eprintln!("NOT RUN: no small disk can be mounted here"),
        Ok(run) if String::from_utf8_lossy(&run.stderr).contains("unshare failed") => {
            eprintln!("NOT RUN: no mount of its own is allowed here");
        }
        Ok(run) => {
            let said = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success() && said.contains("1 passed"), "{said}");
        }
        Err(error) => eprintln!("NOT RUN: {error}"),
    }
}

fn on_a_small_disk(disk: &Path) {
    let folder = LogFolder::in_data(disk);
    let clock = Clock::held_at(noon(DAY.plus(10)));
    let policy = Arc::new(ArcSwap::from_pointee(policy(&PolicyFile::shipped())));
    let config = Config { free_megabytes: 6, ..Config::default() };
    let keeping = Keeping::new(folder.clone(), clock, policy, &config);
    let lines: Vec<Line> =
        (0..20_000).map(|n| line(n, "10.0.0.1", &format!("example.name-{n}"), Action::Allowed)).collect();
    let mut written = 0;
    // Until the disk is full to the last byte.
    for day in 0..10 {
        let fill = || -> Result<(), LogError> {
            let mut writer = DayWriter::open(&folder.day(DAY.plus(day)), DAY.plus(day))?;
            for some in lines.chunks(1_000) {
                writer.begin()?;
                for line in some {
                    let (asker, name) = (writer.asker(&asker(line))?, writer.name(&line.name, || None)?);
                    let fate = writer.fate(&FateRow { detail: String::new(), ..fate(line) })?;
                    writer.question(&QuestionRow { ms: line.ms, asker, name, fate, took: 1 })?;
                }
                writer.commit()?;
            }
            writer.close()
        };
        match fill() {
            Ok(()) => written += 1,
            Err(error) => {
                assert!(error.is_full(), "{error}");
                break;
            }
        }
    }
    assert!((2..10).contains(&written), "{written} days");
    let before = folder.days().unwrap();
    assert!(free_bytes(folder.path()).unwrap() < 6 * MB);
    let gone = Mutex::new(Vec::new());
    keeping.round(&|purge| gone.lock().unwrap().push(purge.day.clone()));
    assert!(free_bytes(folder.path()).unwrap() >= 6 * MB);
    assert_eq!(keeping.alarms(), []);
    let gone = gone.into_inner().unwrap();
    assert!(!gone.is_empty());
    let left = folder.days().unwrap();
    assert_eq!(left, before[gone.len()..], "the oldest went");
    assert_eq!(read(&folder, left[0]).len(), 20_000);
    // And there is room to go on.
    write(&folder, DAY.plus(10), &lines[..100]);
}
