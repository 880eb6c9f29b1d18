//! Days of the query log as the log's writer leaves them, put together by hand.

use std::{fs, path::Path};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rusqlite::{Connection, OptionalExtension, params};

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    /// When it arrived.
    pub at: Timestamp,
    /// Who asked.
    pub client: String,
    /// The name of the device.
    pub device: &'static str,
    /// What for.
    pub name: &'static str,
    /// What happened.
    pub action: &'static str,
    /// The category that decided.
    pub category: &'static str,
}

impl Question {
    /// An allowed one, of a client of the pupils.
    pub fn new(at: Timestamp, name: &'static str) -> Self {
        Self { at, client: String::from("127.0.0.1"), device: "", name, action: "allowed", category: "" }
    }
}

/// The UTC day of a moment.
pub fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Adds questions of one day, in the order of time, to the day's file; makes it where it is not there.
pub fn add(data: &Path, questions: &[Question]) {
    let Some(first) = questions.first() else { return };
    let day = day_of(first.at);
    fs::create_dir_all(data.join("log")).expect("a folder");
    let mut connection = Connection::open(data.join(format!("log/{day}.db"))).expect("it opens");
    connection.busy_timeout(std::time::Duration::from_secs(5)).expect("set");
    let version: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    if version == 0 {
        connection.pragma_update(None, "journal_mode", "wal").expect("set");
        connection.execute_batch(include_str!("../../src/querylog/day/schema-1.sql")).expect("the schema");
        connection.pragma_update(None, "user_version", 1).expect("set");
    }
    let midnight = day.to_zoned(TimeZone::UTC).expect("a day").timestamp().as_millisecond();
    let change = connection.transaction().expect("it begins");
    for question in questions {
        let asker = id(
            &change,
            "SELECT id FROM asker WHERE client = ?1 AND device = ?2",
            "INSERT INTO asker (client, profile, device, mac, known_by, confidence, lease_from, lease_until)
                VALUES (?1, 'pupils', ?2, '', 'subnet', 'low', 0, 0)",
            &[&question.client, question.device],
        );
        let reversed: Vec<&str> = question.name.rsplit('.').collect();
        let name = id(
            &change,
            "SELECT id FROM name WHERE reversed = ?1",
            "INSERT INTO name (reversed) VALUES (?1)",
            &[&reversed.join(".")],
        );
        let fate = id(
            &change,
            "SELECT id FROM fate WHERE action = ?1 AND category = ?2",
            "INSERT INTO fate (transport, qtype, rcode, action, reason, category, list, rule, detail, would,
                categories, dnssec, source, alert)
                VALUES ('udp', 'A', 'NOERROR', ?1, 'default', ?2, '', '', '', '', ?2, '', 'cache', 0)",
            &[question.action, question.category],
        );
        let wanted = (question.at.as_millisecond() - midnight) * 256;
        let last: i64 = change
            .query_row("SELECT coalesce(max(at), -1) FROM question", [], |row| row.get(0))
            .expect("a number");
        let at = wanted.max(last + 1);
        change
            .execute("INSERT INTO question VALUES (?1, ?2, ?3, ?4, 150)", params![at, asker, name, fate])
            .expect("added");
        let span: Option<i64> = change
            .query_row("SELECT max(number) FROM span", [], |row| row.get(0))
            .optional()
            .expect("a number")
            .flatten();
        let span = span.unwrap_or_else(|| {
            change.execute("INSERT INTO span VALUES (1, 0)", []).expect("added");
            1
        });
        for (table, id) in [("asker_span", asker), ("name_span", name), ("fate_span", fate)] {
            change
                .execute(&format!("INSERT OR IGNORE INTO {table} VALUES (?1, ?2)"), [id, span])
                .expect("added");
        }
        change
            .execute(
                "INSERT INTO hour_count VALUES (0, 'pupils', ?1, ?2, 1)
                    ON CONFLICT DO UPDATE SET questions = questions + 1",
                [question.category, question.action],
            )
            .expect("counted");
    }
    change.commit().expect("written");
}

fn id(connection: &Connection, find: &str, add: &str, words: &[&str]) -> i64 {
    let words = || rusqlite::params_from_iter(words);
    let known = connection.query_row(find, words(), |row| row.get(0)).optional().expect("it reads");
    known.unwrap_or_else(|| {
        connection.execute(add, words()).expect("added");
        connection.last_insert_rowid()
    })
}
