//! How long it takes to roll up, reduce and erase in a day of the query log, and to draw a chart of a year:
//! `cargo bench --bench log_search`, which makes the day, then `cargo bench --bench log_keeping`.
//!
//! `SCHOOLGATE_LOG_ROWS` says how many questions the day has instead of ten million.

#![expect(clippy::print_stdout, reason = "a bench reports")]

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rusqlite::Connection;
use schoolgate::{
    category::Categories,
    clock::{Clock, Day},
    policy::{Knowledge, Policy, PolicyFile},
    querylog::{
        Action, Config, LogFolder,
        retention::{Erase, Keeping},
        rollup::{By, CountQuery, Step, TopQuery},
    },
};

/// The day that the bench of searches makes.
const DAY: Day = Day::from_number(20_780);

fn main() {
    let rows: u64 =
        std::env::var("SCHOOLGATE_LOG_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(10_000_000);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let made = LogFolder::in_data(&target.join(format!("log-search-{rows}/one"))).day(DAY);
    if !made.exists() {
        println!("There is no {}: run `cargo bench --bench log_search` first.", made.display());
        return;
    }
    let data = target.join("log-keeping");
    let _ = fs::remove_dir_all(&data);
    let folder = LogFolder::in_data(&data);
    fs::create_dir_all(folder.path()).expect("a folder");
    fs::copy(&made, folder.day(DAY)).expect("a copy");
    let at =
        |days: u16| -> Timestamp { format!("{}T12:00:00Z", DAY.plus(days).date()).parse().expect("a time") };
    let clock = Clock::held_at(at(1));
    let knowledge = Knowledge { categories: Arc::new(Categories::shipped()), indexes: Vec::new() };
    let policy = Policy::build(&PolicyFile::shipped(), &knowledge).expect("the shipped policy");
    let config = Config { free_megabytes: 0, ..Config::default() };
    let keeping =
        Keeping::new(folder.clone(), clock.clone(), Arc::new(ArcSwap::from_pointee(policy)), &config);

    println!("A day of {rows} questions, {} MB", size(&folder));
    show("settle it and roll up its 24 hours and the day", timed(|| keeping.round(&|_| {})).0);
    let client: String = Connection::open(folder.day(DAY))
        .and_then(|day| day.query_row("SELECT client FROM asker LIMIT 1 OFFSET 9", [], |row| row.get(0)))
        .expect("a client");
    let erase = Erase {
        client,
        from: None,
        to: None,
        by: String::from("bench"),
        reason: String::from("bench"),
        dry_run: false,
    };
    let (took, report) = timed(|| keeping.erase(&erase, &|_| {}).expect("erased"));
    show(&format!("erase one device ({} rows)", report.rows), took);
    clock.set(at(31));
    show("reduce it to what stays", timed(|| keeping.round(&|purge| println!("  {purge}"))).0);
    println!("  {} MB are left", size(&folder));

    year(&folder);
    let rollup = keeping.rollup();
    let (from, to) = (at(0), at(365));
    let chart = |step, by: &[By]| CountQuery {
        from,
        to,
        step,
        by: by.to_vec(),
        profile: None,
        category: None,
        action: None,
    };
    for (what, query) in [
        ("a chart of a year by day and action", chart(Step::Day, &[By::Action])),
        ("a chart of a year by day, profile and category", chart(Step::Day, &[By::Profile, By::Category])),
        ("all hours of a year", chart(Step::Hour, &[])),
    ] {
        let found = rollup.counts(&query).expect("counts").len();
        show(&format!("{what} ({found} counts)"), fastest(|| rollup.counts(&query).expect("counts")));
    }
    let top = TopQuery { from, to, profile: None, action: Action::Blocked, most: 100 };
    show("the 100 most blocked names of a year", fastest(|| rollup.top_names(&top).expect("names")));
    let _ = fs::remove_dir_all(&data);
}

/// Fills the roll-ups with a year: 7 profiles, 15 categories, 2 actions in each hour, and 50 names a day of each.
fn year(folder: &LogFolder) {
    let connection = Connection::open(folder.rollup()).expect("the roll-ups");
    let first = DAY.number() + 1;
    let sql = format!(
        "BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 22)
             INSERT OR IGNORE INTO word (text) SELECT 'word-' || i FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT OR IGNORE INTO name (text) SELECT 'example.name-' || i FROM n;
         CREATE TEMP TABLE hours AS WITH RECURSIVE h(i) AS (SELECT {first} * 24 UNION ALL SELECT i + 1 FROM h
             WHERE i < ({first} + 364) * 24 - 1) SELECT i AS period FROM h;
         CREATE TEMP TABLE days AS SELECT DISTINCT period / 24 AS period FROM hours;
         CREATE TEMP TABLE cells AS SELECT p.id AS profile, c.id AS category, a.id AS action
             FROM (SELECT id FROM word WHERE text LIKE 'word-%' LIMIT 7) p,
                  (SELECT id FROM word WHERE text LIKE 'word-%' LIMIT 15 OFFSET 7) c,
                  (SELECT id FROM word WHERE text IN ('allowed', 'blocked')) a;
         INSERT INTO hour_done SELECT period FROM hours;
         INSERT INTO day_done SELECT period FROM days;
         INSERT INTO hour_count SELECT period, profile, category, action, 7 FROM hours, cells;
         INSERT INTO day_count SELECT period, profile, category, action, 168 FROM days, cells;
         INSERT INTO day_name SELECT period, profile, action, name.id, 9, 3 FROM days,
             (SELECT DISTINCT profile, action FROM cells) kinds, name
             WHERE name.id % 40 = period % 40 AND name.text LIKE 'example.name-%';
         COMMIT;"
    );
    connection.execute_batch(&sql).expect("a year");
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let done = work();
    (begun.elapsed(), done)
}

fn fastest<T>(mut work: impl FnMut() -> T) -> Duration {
    (0..10).map(|_| timed(&mut work).0).min().unwrap_or_default()
}

fn show(what: &str, took: Duration) {
    println!("{what:<64} {took:>12.1?}");
}

fn size(folder: &LogFolder) -> u64 {
    fs::metadata(folder.day(DAY)).map_or(0, |data| data.len()) / 1_000_000
}
