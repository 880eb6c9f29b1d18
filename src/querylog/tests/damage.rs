//! Files that are damaged, newer, or were left behind by a crash.

use std::{fs, io::Write};

use super::*;

/// Overwrites some bytes from a place on.
fn flip(file: &std::path::Path, from: usize, count: usize) {
    let mut bytes = fs::read(file).unwrap();
    for byte in bytes.iter_mut().skip(from).take(count) {
        *byte ^= 0x5a;
    }
    fs::write(file, bytes).unwrap();
}

fn set_aside(school: &School) -> Vec<String> {
    let entries = fs::read_dir(school.log.folder().path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter(|name| name.contains("damaged") && name.ends_with(".db")).collect();
    names.sort();
    names
}

#[test]
fn a_damaged_day_is_set_aside_and_logging_goes_on_in_a_new_file() {
    for (from, count) in [(0, 100), (100, 4_000), (4_096, 4_096), (8_192, 30_000)] {
        let mut school = School::new();
        for n in 0..2_000 {
            school.ask("10.2.0.1", &format!("n{n}.example"));
        }
        school.log.stop();
        flip(&school.file(), from, count);
        school.restart();
        school.ask("10.2.0.1", "after.example");
        assert_eq!(school.lines("SELECT reversed FROM log"), ["example.after"], "{from}");
        assert_eq!(set_aside(&school), ["2026-11-23.damaged-1.db"], "{from}");
        assert_eq!(school.log.status().set_aside.len(), 1);
    }
}

#[test]
fn a_second_damaged_file_of_a_day_does_not_take_the_place_of_the_first() {
    let mut school = School::new();
    for round in 1..=2 {
        school.ask("10.2.0.1", "a.example");
        school.log.stop();
        flip(&school.file(), 0, 100);
        school.restart();
        school.ask("10.2.0.1", "b.example");
        school.log.flush().unwrap();
        assert_eq!(set_aside(&school).len(), round);
    }
}

#[test]
fn a_day_of_a_newer_program_is_left_alone() {
    let mut school = School::new();
    school.ask("10.2.0.1", "a.example");
    school.log.stop();
    Connection::open(school.file()).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let before = fs::read(school.file()).unwrap();
    school.restart();
    school.ask("10.2.0.1", "b.example");
    let error = school.log.flush().unwrap_err();
    assert!(error.contains("2026-11-23.db was made by a newer Schoolgate"), "{error}");
    assert_eq!(school.log.status().failing, Some(error));
    school.log.stop();
    assert_eq!(fs::read(school.file()).unwrap(), before);
}

#[test]
fn what_cannot_be_written_is_kept_and_written_later() {
    let school = School::new();
    // A folder in the place of the file of a day that is not open yet.
    school.clock.set("2026-11-24T10:00:00Z".parse().unwrap());
    fs::create_dir_all(school.file()).unwrap();
    school.ask("10.2.0.1", "kept.example");
    assert!(school.log.flush().is_err());
    assert!(school.log.status().failing.is_some());
    fs::remove_dir(school.file()).unwrap();
    school.ask("10.2.0.1", "later.example");
    assert_eq!(school.lines("SELECT reversed FROM log ORDER BY reversed"), ["example.kept", "example.later"]);
    assert_eq!(school.log.status().failing, None);
}

#[test]
fn rows_of_a_transaction_that_a_crash_cut_off_are_not_there() {
    let mut school = School::new();
    school.ask("10.2.0.1", "whole.example");
    school.log.flush().unwrap();
    // The file and its journal as a crash would leave them, with half a page more in the journal.
    let copy = tempfile::tempdir().unwrap();
    for name in ["2026-11-23.db", "2026-11-23.db-wal"] {
        fs::copy(school.log.folder().path().join(name), copy.path().join(name)).unwrap();
    }
    let mut wal = fs::OpenOptions::new().append(true).open(copy.path().join("2026-11-23.db-wal")).unwrap();
    wal.write_all(&[7; 3_000]).unwrap();
    drop(wal);
    school.log.stop();
    fs::remove_dir_all(school.log.folder().path()).unwrap();
    fs::create_dir_all(school.log.folder().path()).unwrap();
    for name in ["2026-11-23.db", "2026-11-23.db-wal"] {
        fs::copy(copy.path().join(name), school.log.folder().path().join(name)).unwrap();
    }
    school.restart();
    school.ask("10.2.0.1", "next.example");
    assert_eq!(school.lines("SELECT reversed FROM log ORDER BY reversed"), ["example.next", "example.whole"]);
    assert_eq!(school.lines("PRAGMA integrity_check"), ["ok"]);
}
