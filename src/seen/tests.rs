//! The table against a model of it, through restarts, cut-off writes and damage.

use std::{collections::BTreeMap, fs, path::Path};

use proptest::prelude::*;

use super::{
    file::{Entry, HEADER, Header, read_from},
    *,
};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 20, 2, 31));

fn time(text: &str) -> Timestamp {
    format!("{text}T09:00:00Z").parse().unwrap()
}

fn day(text: &str) -> Day {
    Day::of(time(text))
}

fn at(day: Day) -> Timestamp {
    Timestamp::from_second(i64::from(day.number()) * 86_400 + 32_400).unwrap()
}

/// A table whose clock stands at a day.
fn open(folder: &Path, date: &str) -> (Seen, Clock) {
    let clock = Clock::held_at(time(date));
    (Seen::open(folder, clock.clone()), clock)
}

fn note(seen: &Seen, name: &str, date: &str) {
    seen.note(name.as_bytes(), CLIENT, time(date));
    seen.flush();
}

fn names(seen: &Seen, since: &str) -> Vec<(String, String)> {
    let found = seen.since(day(since)).unwrap();
    found.iter().map(|seen| (crate::name::dotted(&seen.name), seen.day.date().to_string())).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let mut files: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    files
}

#[test]
fn a_name_is_new_until_it_is_noted_and_its_day_outlasts_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, _) = open(folder.path(), "2026-11-23");
    let began = day("2026-11-23");
    assert_eq!(seen.first_asked(b"uk.co.example", time("2026-11-23")), FirstAsked::Never { began });
    note(&seen, "uk.co.example", "2026-11-23");
    let known = FirstAsked::On { day: began, began };
    assert_eq!(seen.first_asked(b"uk.co.example", time("2026-11-23")), known);
    note(&seen, "uk.co.example", "2026-11-25");
    assert_eq!(seen.first_asked(b"uk.co.example", time("2026-11-25")), known, "the first day stays");
    drop(seen);

    let (seen, _) = open(folder.path(), "2026-11-28");
    assert_eq!(seen.first_asked(b"uk.co.example", time("2026-11-28")), known);
    note(&seen, "com.other", "2026-11-28");
    let both = [("other.com".into(), "2026-11-28".into()), ("example.co.uk".into(), "2026-11-23".into())];
    assert_eq!(names(&seen, "2026-11-23"), both);
    assert_eq!(names(&seen, "2026-11-24"), both[..1]);
    // Beside the one that keeps it, others may read.
    let beside = Seen::read(folder.path()).unwrap();
    assert_eq!(
        beside.look(b"com.other", time("2026-11-28")),
        FirstAsked::On { day: day("2026-11-28"), began }
    );
    assert_eq!((beside.len(), beside.began()), (2, Some(began)));
    beside.note(b"com.third", CLIENT, time("2026-11-28"));
    assert_eq!(beside.len(), 2, "who reads changes nothing");
}

#[test]
fn what_is_noted_is_on_the_disk_without_anybody_asking_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, _) = open(folder.path(), "2026-11-23");
    seen.note(b"com.example", CLIENT, time("2026-11-23"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while Seen::read(folder.path()).unwrap().is_empty() {
        assert!(
            Instant::now() < deadline,
            "it is written within a second, and much longer on a busy machine"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_is_said_or_kept_while_the_clock_is_not_set() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, clock) = open(folder.path(), "1970-01-01");
    assert_eq!(seen.first_asked(b"com.example", time("1970-01-01")), FirstAsked::Unknown);
    note(&seen, "com.example", "1970-01-01");
    assert_eq!((seen.len(), seen.began()), (0, None));
    clock.set(time("2026-11-23"));
    note(&seen, "com.example", "2026-11-23");
    // It began when the next thing happened after the clock was set.
    seen.flush();
    assert_eq!(seen.began(), Some(day("2026-11-23")));
    let known = FirstAsked::On { day: day("2026-11-23"), began: day("2026-11-23") };
    assert_eq!(seen.first_asked(b"com.example", time("2026-11-23")), known);
}

#[test]
fn what_a_wrong_clock_dated_into_the_future_is_no_reason_to_block() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, clock) = open(folder.path(), "2036-01-01");
    note(&seen, "com.example", "2036-01-01");
    clock.set(time("2026-11-23"));
    note(&seen, "com.other", "2026-11-23");
    seen.flush();
    assert_eq!(seen.began(), Some(day("2026-11-23")), "it begins anew");
    assert_eq!(seen.first_asked(b"com.example", time("2026-11-23")), FirstAsked::Unknown);
    drop(seen);
    let (seen, _) = open(folder.path(), "2026-11-24");
    let began = day("2026-11-23");
    assert_eq!(
        seen.first_asked(b"com.example", time("2026-11-24")),
        FirstAsked::On { day: day("2026-11-24"), began }
    );
}

#[test]
fn a_client_brings_so_many_new_names_in_an_hour_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held_at(time("2026-11-23"));
    let seen = Seen::open_with(folder.path(), clock.clone(), Limits { most: MOST, most_per_hour: 10 });
    let flood = |from: &str, hour: &str| {
        for i in 0..30 {
            seen.note(format!("com.flood-{hour}-{from}-{i}").as_bytes(), from.parse().unwrap(), clock.now());
        }
        seen.flush();
        seen.len()
    };
    assert_eq!(flood("10.0.0.1", "9"), 10);
    assert_eq!(flood("10.0.0.1", "9"), 10, "the hour is not over");
    assert_eq!(flood("10.0.0.2", "9"), 20, "another client has its own count");
    assert_eq!(flood("2001:db8::1", "9"), 30);
    assert_eq!(flood("2001:db8::2", "9"), 30, "the same device, most likely");
    clock.set("2026-11-23T10:00:00Z".parse().unwrap());
    assert_eq!(flood("10.0.0.1", "10"), 40);
}

#[test]
fn a_full_table_forgets_what_was_asked_for_longest_ago() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held_at(time("2026-03-01"));
    let limits = Limits { most: 80, most_per_hour: u32::MAX };
    let seen = Seen::open_with(folder.path(), clock.clone(), limits);
    let put = |name: String| {
        seen.note(name.as_bytes(), CLIENT, clock.now());
        seen.flush();
    };
    (0..40).for_each(|i| put(format!("com.old{i}")));
    clock.set(time("2026-09-01"));
    // One of the old ones is still in use.
    assert!(matches!(seen.first_asked(b"com.old7", clock.now()), FirstAsked::On { .. }));
    (0..40).for_each(|i| put(format!("com.new{i}")));
    assert_eq!(seen.len(), 80);
    put("com.one-more".into());
    assert_eq!(seen.len(), 71, "an eighth went, one came");
    let has = |name: &str| matches!(seen.look(name.as_bytes(), clock.now()), FirstAsked::On { .. });
    assert!(has("com.old7") && has("com.one-more"));
    assert!((0..40).all(|i| has(&format!("com.new{i}"))));
    // A flood of a day does not empty the table either.
    clock.set(time("2026-09-02"));
    (0..500).for_each(|i| put(format!("com.flood{i}")));
    assert!((70..=80).contains(&seen.len()), "{}", seen.len());
    drop(seen);
    let again = Seen::read(folder.path()).unwrap();
    assert!((70..=80).contains(&again.len()), "the file has what the table has");
}

#[test]
fn what_nobody_asks_for_is_forgotten_unless_the_clock_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, clock) = open(folder.path(), "2026-03-01");
    for i in 0..10 {
        note(&seen, &format!("com.name{i}"), "2026-03-01");
    }
    let ask = |names: std::ops::Range<u32>, date: &str| {
        names.for_each(|i| {
            let _ = seen.first_asked(format!("com.name{i}").as_bytes(), time(date));
        });
    };
    ask(0..8, "2027-01-15");
    clock.set(time("2027-06-01"));
    note(&seen, "com.new", "2027-06-01");
    seen.flush();
    assert_eq!(seen.len(), 9, "name8 and name9 went");
    assert_eq!(Seen::read(folder.path()).unwrap().len(), 9);
    // A clock that is years ahead makes everything old, which can't be.
    clock.set(time("2036-06-01"));
    note(&seen, "com.newer", "2036-06-01");
    seen.flush();
    assert_eq!(seen.len(), 10);
}

/// The file after some names, and where each record ends.
fn written(folder: &Path, count: usize) -> (Vec<u8>, Vec<usize>) {
    let (seen, _) = open(folder, "2026-11-23");
    let mut ends = vec![HEADER];
    for i in 0..count {
        note(&seen, &format!("example.name{i}"), "2026-11-23");
        ends.push(usize::try_from(fs::metadata(folder.join(FILE)).unwrap().len()).unwrap());
    }
    (fs::read(folder.join(FILE)).unwrap(), ends)
}

#[test]
fn a_write_that_was_cut_off_anywhere_loses_that_record_only() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, ends) = written(folder.path(), 6);
    for cut in ends[3]..=bytes.len() {
        fs::write(folder.path().join(FILE), &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let (seen, _) = open(folder.path(), "2026-11-24");
        assert_eq!(seen.len(), whole, "cut at {cut}");
        assert_eq!(seen.began(), Some(day("2026-11-23")));
        note(&seen, "example.later", "2026-11-24");
        drop(seen);
        assert_eq!(Seen::read(folder.path()).unwrap().len(), whole + 1, "cut at {cut}");
        assert_eq!(files(folder.path()), [FILE], "nothing was damaged");
    }
}

#[test]
fn a_damaged_file_is_set_aside_and_what_can_be_read_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, ends) = written(folder.path(), 6);
    // One byte of the third record.
    let mut damaged = bytes.clone();
    damaged[ends[2] + 8] ^= 0x40;
    fs::write(folder.path().join(FILE), &damaged).unwrap();
    let (seen, _) = open(folder.path(), "2026-11-24");
    assert_eq!((seen.len(), seen.began()), (5, Some(day("2026-11-23"))));
    drop(seen);
    assert_eq!(files(folder.path()), ["names.damaged-2026-11-24", FILE]);
    assert_eq!(fs::read(folder.path().join("names.damaged-2026-11-24")).unwrap(), damaged);

    // The header: the names are kept, and the box learns anew, so that damage does not close the school's names.
    let mut damaged = bytes;
    damaged[3] = b'x';
    fs::write(folder.path().join(FILE), &damaged).unwrap();
    let (seen, _) = open(folder.path(), "2026-11-24");
    assert_eq!((seen.len(), seen.began()), (6, Some(day("2026-11-24"))));
    drop(seen);
    assert_eq!(files(folder.path()), ["names.damaged-2026-11-24", "names.damaged-2026-11-24-2", FILE]);
    let again = Seen::read(folder.path()).unwrap();
    assert_eq!((again.len(), again.began()), (6, Some(day("2026-11-24"))));
}

#[test]
fn without_a_folder_names_are_remembered_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let (seen, _) = open(&folder.path().join("file"), "2026-11-23");
    note(&seen, "com.example", "2026-11-23");
    let began = day("2026-11-23");
    assert_eq!(seen.first_asked(b"com.example", time("2026-11-23")), FirstAsked::On { day: began, began });
}

#[test]
fn questions_are_answered_while_the_table_grows() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held_at(time("2026-11-23"));
    let seen =
        Arc::new(Seen::open_with(folder.path(), clock, Limits { most: MOST, most_per_hour: u32::MAX }));
    note(&seen, "com.always", "2026-11-23");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..100_000 {
                    let first = seen.first_asked(b"com.always", time("2026-11-24"));
                    assert!(matches!(first, FirstAsked::On { .. }));
                }
            });
        }
        for i in 0..6_000 {
            seen.note(format!("com.example{i}").as_bytes(), CLIENT, time("2026-11-23"));
            // The queue is short on purpose.
            if i % 500 == 0 {
                seen.flush();
            }
        }
    });
    seen.flush();
    assert_eq!(seen.len(), 6_001);
}

#[test]
fn what_is_refused_is_forgotten_everywhere_and_not_noted_again() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, ends) = written(folder.path(), 6);
    let mut damaged = bytes;
    damaged[ends[4] + 8] ^= 0x40;
    fs::write(folder.path().join(FILE), &damaged).unwrap();
    let (seen, clock) = open(folder.path(), "2026-11-24");
    assert_eq!(files(folder.path()), ["names.damaged-2026-11-24", FILE]);
    let began = day("2026-11-23");
    let now = clock.now();
    let refused: Refused = Arc::new(|name| matches!(name, b"example.name1" | b"example.name9"));
    seen.note(b"example.name9", CLIENT, now);
    assert_eq!(seen.forget(&refused).unwrap(), 2, "one of them waited for the disk");
    assert_eq!(files(folder.path()), [FILE], "the damaged file had one, too");
    let file = fs::read(folder.path().join(FILE)).unwrap();
    for name in [&b"example.name1"[..], b"example.name9"] {
        assert!(!file.windows(name.len()).any(|window| window == name));
        seen.note(name, CLIENT, now);
    }
    note(&seen, "example.later", "2026-11-24");
    assert_eq!(seen.look(b"example.name1", now), FirstAsked::Never { began });
    assert_eq!(
        seen.look(b"example.name2", now),
        FirstAsked::On { day: began, began },
        "others keep their day"
    );
    let kept = ["name0", "name2", "name3", "name5"]
        .map(|name| (format!("{name}.example"), String::from("2026-11-23")));
    let later = (String::from("later.example"), String::from("2026-11-24"));
    assert_eq!(names(&seen, "2026-11-01"), [&[later][..], &kept].concat());
    assert_eq!(seen.forget(&refused).unwrap(), 0);
    drop(seen);
    assert_eq!(Seen::read(folder.path()).unwrap().len(), 5);
}

#[test]
fn a_file_that_can_t_be_written_anew_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, clock) = open(folder.path(), "2026-11-23");
    note(&seen, "com.example", "2026-11-23");
    fs::create_dir(folder.path().join("names.new")).unwrap();
    let refused: Refused = Arc::new(|name| name == b"com.example");
    let error = seen.forget(&refused).unwrap_err().to_string();
    assert!(error.contains(FILE), "{error}");
    let never = FirstAsked::Never { began: day("2026-11-23") };
    assert_eq!(seen.look(b"com.example", clock.now()), never, "the table has it no more all the same");
    fs::remove_dir(folder.path().join("names.new")).unwrap();
    assert_eq!(seen.forget(&refused).unwrap(), 1);
}

/// What happens to a table.
#[derive(Debug, Clone)]
enum Event {
    /// A name is asked for and exists.
    Note(u8),
    /// A name is asked for.
    Ask(u8),
    NextDay(u8),
    Restart,
    /// The power goes while some bytes are written.
    Cut(Vec<u8>),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => any::<u8>().prop_map(Event::Note),
        3 => any::<u8>().prop_map(Event::Ask),
        1 => (1..9_u8).prop_map(Event::NextDay),
        1 => Just(Event::Restart),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Event::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_table_says_what_a_map_says(events in prop::collection::vec(event(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let mut now = day("2026-11-23");
        let began = now;
        let clock = Clock::held_at(at(now));
        let mut seen = Some(Seen::open(folder.path(), clock.clone()));
        let mut model: BTreeMap<Vec<u8>, Day> = BTreeMap::new();
        let name = |n: u8| format!("example.name{n}").into_bytes();
        for event in events {
            let table = seen.as_ref().unwrap();
            match event {
                Event::Note(n) => {
                    table.note(&name(n), CLIENT, at(now));
                    table.flush();
                    model.entry(name(n)).or_insert(now);
                }
                Event::Ask(n) => {
                    let expected = match model.get(&name(n)) {
                        Some(day) => FirstAsked::On { day: *day, began },
                        None => FirstAsked::Never { began },
                    };
                    prop_assert_eq!(table.first_asked(&name(n), at(now)), expected);
                }
                Event::NextDay(days) => {
                    now = now.plus(days.into());
                    clock.set(at(now));
                }
                Event::Restart => {
                    drop(seen.take());
                    seen = Some(Seen::open(folder.path(), clock.clone()));
                }
                Event::Cut(bytes) => {
                    drop(seen.take());
                    let path = folder.path().join(FILE);
                    let mut all = fs::read(&path).unwrap();
                    all.extend(bytes);
                    fs::write(&path, all).unwrap();
                    seen = Some(Seen::open(folder.path(), clock.clone()));
                }
            }
        }
        let table = seen.unwrap();
        prop_assert_eq!(table.len(), model.len());
        let mut found = BTreeMap::new();
        for FirstSeen { name, day } in table.since(Day::default()).unwrap() {
            prop_assert!(found.insert(name.into_vec(), day).is_none(), "each name once");
        }
        prop_assert_eq!(found, model);
        // The file may just be written anew.
        drop(table);
        prop_assert_eq!(files(folder.path()), [FILE]);
    }

    #[test]
    fn any_bytes_are_read_and_every_byte_is_accounted_for(
        noise in prop::collection::vec(any::<u8>(), 0..600),
        names in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..254), 0..12),
        place in any::<prop::sample::Index>(),
        header in any::<bool>(),
    ) {
        let day = day("2026-11-23");
        let mut bytes = if header { Header { began: day, written: day }.bytes().to_vec() } else { Vec::new() };
        let entries: Vec<Entry> =
            names.into_iter().map(|name| Entry { name: name.into(), first: day, last: day }).collect();
        let place = place.index(entries.len() + 1);
        for (i, entry) in entries.iter().enumerate() {
            if i == place {
                bytes.extend(&noise);
            }
            entry.write(&mut bytes);
        }
        let mut read = Vec::new();
        // A few bytes at a time, as a slow disk gives them.
        let found = read_from(Slowly(&bytes), &mut |entry| read.push(entry)).unwrap();
        prop_assert_eq!(found.end + found.torn, bytes.len() as u64);
        prop_assert_eq!(found.header.is_some(), header);
        // Noise may be taken for the start of a record, but no longer than until its checksum is wrong.
        prop_assert_eq!(read, entries);
    }
}

struct Slowly<'a>(&'a [u8]);

impl io::Read for Slowly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let few = into.len().min(7);
        self.0.read(&mut into[..few])
    }
}
