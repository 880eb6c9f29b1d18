//! What the query log costs: `cargo bench --bench log`.
//!
//! ```text
//! cargo bench --bench log                       everything, with small figures
//! cargo bench --bench log -- load 60 100000     offers so many events a second for so many seconds
//! cargo bench --bench log -- ceiling            how many a second can be written
//! cargo bench --bench log -- size 10000000      bytes a row, of a day of so many rows
//! cargo bench --bench log -- door               what one event costs the thread that answers
//! ```
//!
//! `SCHOOLGATE_LIST_DATA` names a folder of real lists, whose popular names are asked for then.

#![expect(clippy::print_stdout, reason = "this is a program of its own")]

#[allow(dead_code, reason = "other benches use the rest")]
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use schoolgate::{
    clock::Clock,
    querylog::{Event, LogFolder, QueryLog},
};
use support::mix::{Mix, Numbers};

/// A Monday in term.
const DAY: &str = "2026-11-23T00:00:00Z";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |place: usize, usual: u64| words.get(place).and_then(|w| w.parse().ok()).unwrap_or(usual);
    let mix = Mix::new();
    println!("{} names, 1,000 devices", mix.names());
    match words.first().map(String::as_str) {
        Some("load") => load(&mix, number(1, 60), number(2, 100_000)),
        Some("ceiling") => ceiling(&mix, number(1, 5_000_000)),
        Some("size") => size(&mix, number(1, 10_000_000)),
        Some("door") => door(&mix),
        _ => {
            door(&mix);
            load(&mix, 5, 100_000);
            ceiling(&mix, 1_000_000);
            size(&mix, 1_000_000);
        }
    }
}

/// A log in a folder that goes away.
fn log() -> (tempfile::TempDir, QueryLog) {
    let data = tempfile::tempdir_in("target").expect("a folder");
    let log = QueryLog::open(LogFolder::in_data(data.path()), Clock::system(), None, &[]).expect("a log");
    (data, log)
}

fn record(log: &QueryLog, mix: &Mix, numbers: &mut Numbers, at: Timestamp) {
    let asked = mix.ask(numbers);
    let (client, name, fate, took) = (asked.client, asked.name, &asked.fate, asked.took);
    log.record(&mix.policy, &Event { at, client, name, fate, took, reply: None });
}

/// What one event costs the thread that answers, the making up of the event taken off.
fn door(mix: &Mix) {
    let (_data, log) = log();
    let mut numbers = Numbers::new(1);
    let asked: Vec<_> = (0..20_000).map(|_| mix.ask(&mut numbers)).collect();
    let mut best = f64::MAX;
    let mut all = Vec::new();
    for _ in 0..50 {
        let at = Clock::system().now();
        let started = Instant::now();
        for asked in &asked {
            let (client, name, fate, took) = (asked.client, asked.name, &asked.fate, asked.took);
            log.record(&mix.policy, &Event { at, client, name, fate, took, reply: None });
        }
        let each = started.elapsed().as_nanos() as f64 / asked.len() as f64;
        best = best.min(each);
        all.push(each);
        log.flush().expect("written");
    }
    all.sort_by(f64::total_cmp);
    println!("| door | median {:.0} ns an event, best {best:.0} ns |", all[all.len() / 2]);
}

/// Offers events at a steady rate from one thread, as fast as they come on the wire.
fn load(mix: &Mix, seconds: u64, rate: u64) {
    let (data, log) = log();
    let log = Arc::new(log);
    let before = resident();
    let done = AtomicBool::new(false);
    let most = AtomicU64::new(0);
    let started = Instant::now();
    let mut offered = 0u64;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                most.fetch_max(resident(), Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let mut numbers = Numbers::new(11);
        let end = seconds * rate;
        while offered < end {
            let due = (started.elapsed().as_secs_f64() * rate as f64) as u64;
            if due <= offered {
                thread::sleep(Duration::from_micros(500));
                continue;
            }
            // A batch of a moment has one time, read from the clock as the server reads it.
            let at = Clock::system().now();
            for _ in offered..due.min(end) {
                record(&log, mix, &mut numbers, at);
            }
            offered = due.min(end);
        }
        let writer = writer_seconds();
        let took = started.elapsed().as_secs_f64();
        log.flush().expect("written");
        done.store(true, Relaxed);
        let status = log.status();
        let lost: u64 = status.lost.values().sum();
        println!(
            "| offered | seconds | lost | writer, of one core | memory of the log, at most | bytes a row |"
        );
        println!("| --- | --- | --- | --- | --- | --- |");
        println!(
            "| {offered} | {took:.1} | {lost} | {:.0} % | {:.1} MiB | {:.1} |",
            writer * 100.0 / took,
            most.load(Relaxed).saturating_sub(before) as f64 / 1_048_576.0,
            bytes(log.folder().path()) as f64 / offered as f64
        );
    });
    drop(data);
}

/// Offers events as fast as they are written.
fn ceiling(mix: &Mix, events: u64) {
    let (_data, log) = log();
    let (took, writer) = fill(&log, mix, events, |_| Clock::system().now());
    println!(
        "| ceiling | {:.0} events a second; {:.2} µs of the writer's time each |",
        events as f64 / took,
        writer * 1e6 / events as f64
    );
}

/// The file of one day of so many rows.
fn size(mix: &Mix, rows: u64) {
    let (data, log) = log();
    let midnight: Timestamp = DAY.parse().expect("a time");
    fill(&log, mix, rows, |n| midnight + SignedDuration::from_micros(moment(n as f64 / rows as f64)));
    log.stop();
    let bytes = bytes(log.folder().path());
    println!("| size | {rows} rows, {bytes} bytes: {:.2} bytes a row |", bytes as f64 / rows as f64);
    if std::env::var_os("KEEP").is_some() {
        println!("kept: {}", data.keep().display());
    }
}

/// When in a school day its questions come: a tenth at night, the rest from 7:30 to 17:30 with a peak in the morning.
fn moment(part: f64) -> i64 {
    let seconds = if part < 0.05 {
        part / 0.05 * 7.5 * 3_600.0
    } else if part < 0.95 {
        let day = (part - 0.05) / 0.9;
        (7.5 + 10.0 * day.powf(1.3)) * 3_600.0
    } else {
        (17.5 + (part - 0.95) / 0.05 * 6.4) * 3_600.0
    };
    (seconds * 1e6) as i64
}

fn fill(log: &QueryLog, mix: &Mix, events: u64, at: impl Fn(u64) -> Timestamp) -> (f64, f64) {
    let mut numbers = Numbers::new(5);
    let started = Instant::now();
    for n in 0..events {
        if n % 4_096 == 0 {
            while log.status().queue_fill > 0.6 {
                thread::sleep(Duration::from_micros(200));
            }
        }
        record(log, mix, &mut numbers, at(n));
    }
    log.flush().expect("written");
    let status = log.status();
    assert!(status.lost.is_empty(), "{status:?}");
    (started.elapsed().as_secs_f64(), writer_seconds())
}

/// The processor time of all writers of this process that still run, in seconds.
fn writer_seconds() -> f64 {
    let mut seconds = 0.0;
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let text = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        if text("comm").trim() == "query log" {
            // In nanoseconds, the first word (Documentation/scheduler/sched-stats.rst).
            let spent = text("schedstat").split(' ').next().and_then(|n| n.parse::<f64>().ok());
            seconds += spent.unwrap_or(0.0) / 1e9;
        }
    }
    seconds
}

/// Resident memory, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0)
        * 1_024
}

fn bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter(|file| file.path().extension().is_some_and(|e| e == "db"))
        .filter_map(|f| f.metadata().ok())
        .map(|m| m.len())
        .sum()
}
