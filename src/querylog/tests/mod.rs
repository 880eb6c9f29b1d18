//! The log from the door to the file.

mod damage;
mod kept;
mod versions;

use std::{net::IpAddr, sync::Arc};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use jiff::Timestamp;
use rusqlite::Connection;

use super::*;
use crate::{
    category::Categories,
    clients::Client,
    clock::Clock,
    lists::shipped,
    name::Key,
    policy::{Decision, FirstAsked, Knowledge, PolicyFile, Question},
    resolver::AnswerSource,
};

/// A Monday morning in term.
pub(super) const MORNING: &str = "2026-11-23T10:00:00Z";

/// A school with one network for each way of logging.
pub(super) const SCHOOL: &str = r#"
version = 1
school = "Elm Lane Primary"
fallback_profile = "ks1"
[[device]]
name = "library-pc-3"
address = "10.2.0.33"
profile = "ks2"
[[profile]]
id = "ks1"
audience = "pupil"
mode = "allow-only"
log = "full"
[[profile]]
id = "ks2"
audience = "pupil"
subnets = ["10.2.0.0/16"]
log = "full"
[profile.categories]
games = { allow-during = "lunch" }
gambling = "block"
[[profile]]
id = "staff"
audience = "staff"
subnets = ["10.3.0.0/16"]
log = "pseudonymous"
[[profile]]
id = "guest"
audience = "guest"
subnets = ["10.4.0.0/16"]
log = "blocked-only"
[[schedule]]
id = "lunch"
windows = [{ days = "mon-fri", from = "12:00", to = "13:15" }]
"#;

/// A log in a folder of its own, with a school's policy and a clock that the test holds.
pub(super) struct School {
    pub(super) data: tempfile::TempDir,
    pub(super) policy: Arc<Policy>,
    pub(super) clock: Clock,
    pub(super) log: QueryLog,
}

impl School {
    pub(super) fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let clock = Clock::held_at(MORNING.parse().unwrap());
        let log = log_in(&data, &clock);
        Self { data, policy: policy(SCHOOL), clock, log }
    }

    /// Ends the log and starts another on the same folder.
    pub(super) fn restart(&mut self) {
        self.log.stop();
        self.log = log_in(&self.data, &self.clock);
    }

    /// A question that is decided and recorded as the answering path would.
    pub(super) fn ask(&self, client: &str, name: &str) -> Decision {
        self.ask_at(client, name, self.clock.now())
    }

    pub(super) fn ask_at(&self, client: &str, name: &str, at: Timestamp) -> Decision {
        let client = self.policy.identify(client.parse::<IpAddr>().unwrap(), None);
        let key = Key::parse(name).unwrap();
        let question = Question { key: key.clone(), qtype: RecordType::A, first_asked: FirstAsked::Unknown };
        let decision = self.policy.decide(&question, &client, at);
        self.record(&client, &key, Ok(&decision), at);
        decision
    }

    /// A question that was turned away.
    pub(super) fn turn_away(&self, client: &str, name: &str, why: Refusal) {
        let client = self.policy.identify(client.parse::<IpAddr>().unwrap(), None);
        self.record(&client, &Key::parse(name).unwrap(), Err(why), self.clock.now());
    }

    fn record(&self, client: &Client, name: &Key, decision: Result<&Decision, Refusal>, at: Timestamp) {
        let fate = Fate {
            transport: Transport::Udp,
            qtype: RecordType::A,
            rcode: if decision.is_ok() { ResponseCode::NoError } else { ResponseCode::Refused },
            decision,
            source: AnswerSource::Cache,
            security: None,
        };
        self.log.record(&self.policy, &Event { at, client, name, fate: &fate, took: 70, reply: None });
    }

    /// The file of the day that the clock shows.
    pub(super) fn file(&self) -> std::path::PathBuf {
        self.log.folder().day(crate::clock::Day::of(self.clock.now()))
    }

    /// What a query of one text column gives, once everything is written.
    pub(super) fn lines(&self, sql: &str) -> Vec<String> {
        self.log.flush().unwrap();
        lines(&self.file(), sql)
    }
}

pub(super) fn lines(file: &std::path::Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(file).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let found = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    found.map(Result::unwrap).collect()
}

fn log_in(data: &tempfile::TempDir, clock: &Clock) -> QueryLog {
    let vault = Vault::open(data.path()).ok().map(Arc::new);
    // Small queues, so that they can be filled in a moment.
    QueryLog::with_queues(LogFolder::in_data(data.path()), clock.clone(), vault, &[], 0).unwrap()
}

pub(super) fn policy(text: &str) -> Arc<Policy> {
    let categories = Arc::new(Categories::shipped());
    let starter = Arc::new(shipped::starter(&categories));
    let file = PolicyFile::parse(text).unwrap();
    Arc::new(Policy::build(&file, &Knowledge { categories, indexes: vec![starter] }).unwrap())
}
