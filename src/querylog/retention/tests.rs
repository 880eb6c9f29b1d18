//! What must go is gone, what must stay is there, and whatever moment the power goes at.

mod disk;
mod erasing;
mod holds;
mod reducing;

use std::{
    fs,
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{hold::start, *};
use crate::{
    category::Categories,
    policy::{Knowledge, PolicyFile},
    querylog::{
        Action,
        day::{
            DAY_MS, PER_MILLISECOND,
            rows::{AskerRow, FateRow, QuestionRow},
            write::DayWriter,
        },
        privacy::SealedIdentity,
    },
};

const DAY: Day = Day::from_number(20_000);

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    ms: i64,
    client: String,
    name: String,
    action: Action,
    alert: bool,
}

fn line(ms: i64, client: &str, name: &str, action: Action) -> Line {
    Line { ms, client: client.into(), name: name.into(), action, alert: false }
}

impl Line {
    fn stays(&self) -> bool {
        matches!(self.action, Action::Blocked | Action::Rewritten) || self.alert
    }
}

/// A log, on a clock that stands still.
struct School {
    data: TempDir,
    folder: LogFolder,
    clock: Clock,
    policy: Arc<ArcSwap<Policy>>,
    keeping: Arc<Keeping>,
    told: Mutex<Vec<Purge>>,
}

impl School {
    /// It is noon of a day so many days after [`DAY`].
    fn new(age: u16) -> Self {
        Self::with(age, |keeping| keeping.with_free(|_| Ok(u64::MAX)))
    }

    fn with(age: u16, change: impl FnOnce(Keeping) -> Keeping) -> Self {
        let data = tempfile::tempdir().unwrap();
        let folder = LogFolder::in_data(data.path());
        let clock = Clock::held_at(noon(DAY.plus(age)));
        let policy = Arc::new(ArcSwap::from_pointee(policy(&PolicyFile::shipped())));
        let config = Config::default();
        let keeping = Keeping::new(folder.clone(), clock.clone(), Arc::clone(&policy), &config);
        Self { data, folder, clock, policy, keeping: Arc::new(change(keeping)), told: Mutex::default() }
    }

    fn age(&self, age: u16) -> &Self {
        self.clock.set(noon(DAY.plus(age)));
        self
    }

    fn round(&self) -> Vec<Purge> {
        self.keeping.round(&|purge| self.told.lock().unwrap().push(purge.clone()));
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn erase(&self, request: &Erase) -> EraseReport {
        self.keeping.erase(request, &|purge| self.told.lock().unwrap().push(purge.clone())).unwrap()
    }

    fn hold(&self, from: Timestamp, to: Timestamp, client: Option<&str>) -> Hold {
        let client = client.map(str::to_owned);
        let new = NewHold { from, to, client, incident: None, why: "the police ask".into() };
        self.keeping.add_hold(new, "head").unwrap()
    }

    fn exists(&self, day: Day) -> bool {
        self.folder.day(day).exists()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn policy(file: &PolicyFile) -> Policy {
    let knowledge = Knowledge { categories: Arc::new(Categories::shipped()), indexes: Vec::new() };
    Policy::build(file, &knowledge).unwrap()
}

fn noon(day: Day) -> Timestamp {
    start(day) + jiff::SignedDuration::from_hours(12)
}

fn time(day: Day, ms: i64) -> Timestamp {
    start(day) + jiff::SignedDuration::from_millis(ms)
}

fn asker(line: &Line) -> AskerRow {
    AskerRow {
        client: line.client.clone(),
        profile: "ks2".into(),
        device: if line.client == "10.0.0.1" { "Tablet 1".into() } else { String::new() },
        known_by: "subnet".into(),
        confidence: "low".into(),
        ..AskerRow::default()
    }
}

fn fate(line: &Line) -> FateRow {
    FateRow {
        transport: "udp".into(),
        qtype: "A".into(),
        rcode: "NOERROR".into(),
        action: line.action,
        reason: "default".into(),
        category: String::new(),
        list: String::new(),
        rule: String::new(),
        detail: format!("seen at {}", line.name),
        would: String::new(),
        categories: String::new(),
        dnssec: String::new(),
        source: "cache".into(),
        alert: line.alert,
    }
}

fn put(writer: &mut DayWriter, line: &Line, asker: &AskerRow) {
    let row = QuestionRow {
        ms: line.ms,
        asker: writer.asker(asker).unwrap(),
        name: writer.name(&line.name, || None).unwrap(),
        fate: writer.fate(&fate(line)).unwrap(),
        took: 17,
    };
    writer.question(&row).unwrap();
    let hour = (line.ms / 3_600_000) as u8;
    writer.count(hour, "ks2", "games", line.action, 1).unwrap();
    writer.latency(hour, "cache", 5, 1).unwrap();
}

/// Writes a day as the recorder does, and leaves it as that leaves it.
fn write(folder: &LogFolder, day: Day, lines: &[Line]) {
    let mut writer = DayWriter::open(&folder.day(day), day).unwrap();
    for some in lines.chunks(700) {
        writer.begin().unwrap();
        for line in some {
            put(&mut writer, line, &asker(line));
        }
        writer.commit().unwrap();
    }
    writer.begin().unwrap();
    writer.unkept(time(day, 1).as_millisecond(), time(day, 2).as_millisecond(), 9, "queue-full").unwrap();
    writer.commit().unwrap();
    writer.close().unwrap();
}

fn open(folder: &LogFolder, day: Day) -> Connection {
    day::open_to_read(&folder.day(day)).unwrap().unwrap()
}

/// The rows of a day, in the order of time.
fn read(folder: &LogFolder, day: Day) -> Vec<Line> {
    let connection = open(folder, day);
    let mut statement = connection
        .prepare(
            "SELECT question.at, asker.client, name.reversed, fate.action, fate.alert FROM question
                JOIN asker ON asker.id = question.asker JOIN name ON name.id = question.name
                JOIN fate ON fate.id = question.fate ORDER BY question.at",
        )
        .unwrap();
    let lines = statement
        .query_map([], |row| {
            Ok(Line {
                ms: row.get::<_, i64>(0)? / PER_MILLISECOND,
                client: row.get(1)?,
                name: row.get(2)?,
                action: Action::from_word(&row.get::<_, String>(3)?).unwrap(),
                alert: row.get(4)?,
            })
        })
        .unwrap();
    lines.map(Result::unwrap).collect()
}

/// The file is sound; its index leads to each row, and to nothing else but `loose` stretches; no word is without a row.
fn check(folder: &LogFolder, day: Day) {
    let connection = open(folder, day);
    let one = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    for word in ["asker", "name", "fate"] {
        let spans = format!(
            "SELECT DISTINCT {word} AS word, (SELECT max(number) FROM span WHERE first <= at) AS span FROM question"
        );
        let missing = format!(
            "SELECT count(*) FROM ({spans}) AS needed WHERE NOT EXISTS
                (SELECT 1 FROM {word}_span WHERE {word} = needed.word AND span = needed.span)"
        );
        assert_eq!(one(&missing), 0, "{word}: rows that the index does not lead to");
        let needless = format!(
            "SELECT count(*) FROM {word}_span WHERE ({word}, span) NOT IN (SELECT word, span FROM ({spans}))"
        );
        assert_eq!(one(&needless), 0, "{word}: the index leads nowhere");
        let unused = format!("SELECT count(*) FROM {word} WHERE id NOT IN (SELECT {word} FROM question)");
        assert_eq!(one(&unused), 0, "{word}: a word without a row");
    }
}

fn has_bytes(folder: &LogFolder, day: Day, text: &str) -> bool {
    let file = folder.day(day);
    ["", "-wal"].iter().any(|suffix| {
        let bytes = fs::read(crate::querylog::folder::beside(&file, suffix)).unwrap_or_default();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    })
}
