//! Day files that earlier versions of the program wrote.

use std::fs;

use super::*;
use crate::{
    clock::Day,
    querylog::search::{Asked, Query, search},
};

/// What each version wrote, the first one first: tests/data/log has one for each schema that was ever published.
const VERSIONS: &[&str] = &[include_str!("../../../tests/data/log/day-1.sql")];

#[test]
fn a_day_of_any_earlier_version_is_brought_up_to_date_read_and_written() {
    assert_eq!(VERSIONS.len(), day::VERSION as usize, "a new version needs its fixture");
    for (text, version) in VERSIONS.iter().zip(1u32..) {
        let school = School::new();
        // The day on which the fixtures were written.
        let now: Timestamp = "2026-11-25T23:50:00Z".parse().unwrap();
        school.clock.set(now);
        fs::create_dir_all(school.log.folder().path()).unwrap();
        Connection::open(school.file()).unwrap().execute_batch(text).unwrap();
        school.ask("10.2.0.1", "new.bet365.com");
        school.log.flush().unwrap();
        let query = Query::understand(&Asked::default(), &school.policy, school.log.folder(), now).unwrap();
        let page = search(school.log.folder(), &query, &school.policy).unwrap();
        let names: Vec<&str> = page.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "new.bet365.com",
                "bet365.com",
                "use-application-dns.net",
                "roblox.com",
                "bet365.com",
                "www.bet365.com"
            ],
            "version {version}"
        );
        assert!(page.unreadable.is_empty(), "{page:?}");
        assert_eq!(page.entries[5].category, "gambling");
        assert_eq!(lines(&school.file(), "PRAGMA integrity_check"), ["ok"]);
        assert_eq!(school.log.folder().days().unwrap(), [Day::of(MORNING.parse().unwrap()), Day::of(now)]);
    }
}
