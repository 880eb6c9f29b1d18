//! Transfers from a primary that says what it is told to.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
};

use hickory_proto::{
    op::{Message as Dns, MessageType, OpCode, ResponseCode},
    rr::{
        Name as DnsName, RData, Record, RecordType,
        rdata::{A, CNAME, NS, SOA, TXT},
    },
};
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{
    feeds::{
        Config, Feeds, ObtainError, Obtained,
        http::SystemLookup,
        shelf::{Served, State},
    },
    lists::{
        Format,
        format::{MatchMode, Subject},
    },
    policy::PolicyFile,
};

mod changes;
mod refused;
mod signed;

const ZONE: &str = "rpz.trust.example";
const NOW: i64 = 1_795_000_000;

fn name(text: &str) -> DnsName {
    DnsName::from_ascii(text).unwrap()
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), 300, data)
}

/// The zone's SOA.
fn soa(serial: u32) -> Record {
    let data =
        SOA::new(name("ns.trust.example."), name("host.trust.example."), serial, 3600, 600, 604_800, 60);
    record("rpz.trust.example.", RData::SOA(data))
}

/// A rule of the zone that blocks a name.
fn block(listed: &str) -> Record {
    record(&format!("{listed}.rpz.trust.example."), RData::CNAME(CNAME(DnsName::root())))
}

/// An answer to a question with these records.
fn answer(question: &[u8], records: &[Record]) -> Vec<u8> {
    let question = Dns::from_vec(question).unwrap();
    let mut message = Dns::new(question.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.authoritative = true;
    message.queries = question.queries;
    message.answers = records.to_vec();
    message.to_vec().unwrap()
}

fn refusal(question: &[u8], code: ResponseCode) -> Vec<u8> {
    let mut bytes = answer(question, &[]);
    bytes[3] = bytes[3] & 0xf0 | code.low();
    bytes
}

/// What a primary says on one connection: from a question to the messages of its answer.
type Step = Box<dyn FnOnce(&[u8]) -> Vec<Vec<u8>> + Send>;

fn says(records: Vec<Record>) -> Step {
    says_in_messages(vec![records])
}

fn says_in_messages(messages: Vec<Vec<Record>>) -> Step {
    Box::new(move |question| messages.iter().map(|records| answer(question, records)).collect())
}

/// The type of a question, and the version of one for changes.
type Question = (RecordType, Option<u32>);

/// A primary that follows its script, one step for each connection, and closes each when it has said all.
struct Primary {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
    thread: Option<JoinHandle<()>>,
}

impl Primary {
    fn new(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let thread = thread::spawn(move || {
            for step in script {
                let (mut stream, _) = listener.accept().unwrap();
                let question = receive(&mut stream);
                let parsed = Dns::from_vec(&question).unwrap();
                let had = parsed.authorities.first().map(|record| match &record.data {
                    RData::SOA(soa) => soa.serial,
                    other => panic!("{other:?}"),
                });
                seen.lock().unwrap().push((parsed.queries[0].query_type(), had));
                for message in step(&question) {
                    let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
                    // A client that heard enough has hung up.
                    if stream.write_all(&framed).is_err() {
                        break;
                    }
                }
            }
        });
        Self { address, asked, thread: Some(thread) }
    }

    /// What it was asked, once it was asked all that it expects.
    fn asked(mut self) -> Vec<Question> {
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// A subscriber of the zone.
struct Subscriber {
    folder: tempfile::TempDir,
    key: Option<TsigKey>,
    have: Option<(u32, PathBuf)>,
    limits: Limits,
    cancel: Arc<AtomicBool>,
}

impl Subscriber {
    fn new() -> Self {
        let limits = Limits { silence: Duration::from_secs(20), ..Limits::default() };
        let folder = tempfile::tempdir().unwrap();
        Self { folder, key: None, have: None, limits, cancel: Arc::default() }
    }

    fn signed() -> Self {
        Self { key: Some(key(1)), ..Self::new() }
    }

    /// A subscriber who has a version with these lines.
    fn having(serial: u32, lines: &str) -> Self {
        let subscriber = Self::new();
        let file = subscriber.folder.path().join("old");
        fs::write(&file, version_text(serial, lines)).unwrap();
        Self { have: Some((serial, file)), ..subscriber }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("zone.rpz")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn transfer(&self, primaries: &[SocketAddr]) -> Result<Transferred, TransferError> {
        transfer(&Request {
            zone: ZONE,
            primaries,
            key: self.key.as_ref(),
            have: self.have.as_ref().map(|(serial, file)| Have { serial: *serial, file }),
            into: &self.file(),
            limits: self.limits,
            cancel: &self.cancel,
            clock: &Clock::held_at(Timestamp::from_second(NOW).unwrap()),
        })
    }

    /// Transfers from a primary with this script.
    fn from(&self, script: Vec<Step>) -> Result<Transferred, TransferError> {
        let primary = Primary::new(script);
        let transferred = self.transfer(&[primary.address]);
        primary.asked();
        transferred
    }

    /// Why a transfer from a primary with this script fails; what was there is as it was.
    fn failure(&self, script: Vec<Step>) -> String {
        fs::write(self.file(), "as it was").unwrap();
        let files = || fs::read_dir(self.folder.path()).unwrap().count();
        let before = files();
        let error = self.from(script).unwrap_err().to_string();
        assert_eq!(self.text(), "as it was");
        assert_eq!(files(), before, "nothing is left behind");
        error
    }
}

fn key(secret: u8) -> TsigKey {
    TsigKey::new("transfer", KeyAlgorithm::HmacSha256, &[secret; 32]).unwrap()
}

fn version_text(serial: u32, lines: &str) -> String {
    format!("{ZONE}. 300 IN SOA ns.trust.example. host.trust.example. {serial} 3600 600 604800 60\n{lines}")
}

/// What a transfer led to, without the parts that are the same in all tests.
fn new(transferred: &Transferred) -> (u32, u64, bool) {
    match transferred {
        Transferred::New { serial, records, incremental, .. } => (*serial, *records, *incremental),
        Transferred::Current { .. } => panic!("{transferred:?}"),
    }
}

#[test]
fn a_whole_zone_becomes_a_sorted_file_that_the_reader_of_zones_takes() {
    let passthru = RData::CNAME(CNAME(name("rpz-passthru.")));
    let zone = vec![
        vec![
            soa(7),
            record("rpz.trust.example.", RData::NS(NS(name("ns.trust.example.")))),
            block("Zoo.Example"),
        ],
        vec![
            record("open.example.rpz.trust.example.", passthru),
            record("24.0.2.0.192.rpz-ip.rpz.trust.example.", RData::CNAME(CNAME(DnsName::root()))),
            record("bet.example.rpz.trust.example.", RData::A(A::new(0, 0, 0, 0))),
            record("bet.example.rpz.trust.example.", RData::TXT(TXT::new(vec!["why; (\"so\")".into()]))),
            block("*.zoo.example"),
            block("zoo.example"),
            soa(7),
        ],
    ];
    let subscriber = Subscriber::new();
    let primary = Primary::new(vec![says(vec![soa(7)]), says_in_messages(zone)]);
    let address = primary.address;
    let transferred = subscriber.transfer(&[address]).unwrap();
    let timers = Timers { refresh: 3600, retry: 600, expire: 604_800 };
    let expected = Transferred::New { serial: 7, records: 7, timers, incremental: false, primary: address };
    assert_eq!(transferred, expected);
    assert_eq!(primary.asked(), [(RecordType::SOA, None), (RecordType::AXFR, None)]);
    let lines = "\
        *.zoo.example CNAME .\n\
        24.0.2.0.192.rpz-ip CNAME .\n\
        @ NS ns.trust.example.\n\
        bet.example A 0.0.0.0\n\
        bet.example TXT \"why\\059\\032\\040\\034so\\034\\041\"\n\
        open.example CNAME rpz-passthru.\n\
        zoo.example CNAME .\n";
    assert_eq!(subscriber.text(), version_text(7, lines));
    assert_eq!(version(ZONE, &subscriber.file()), Some((7, timers)));

    let mut rules = Vec::new();
    let mut skipped = Vec::new();
    let source = Source::at(subscriber.file());
    let read = source.read(Some(Format::Rpz), MatchMode::default(), &mut |place, rule| match rule {
        Ok(rule) => rules.push((
            place.line,
            rule.allow,
            match rule.subject {
                Subject::Name { key, .. } => key.to_string(),
                Subject::Address(network) => network.to_string(),
                other => panic!("{other:?}"),
            },
        )),
        Err(skip) => skipped.push((place.line, String::from_utf8_lossy(skip.text).into_owned())),
    });
    read.unwrap();
    let expected = [
        (2, false, "zoo.example"),
        (3, false, "192.0.2.0/24"),
        (5, false, "bet.example"),
        (7, true, "open.example"),
        (8, false, "zoo.example"),
    ];
    assert_eq!(rules, expected.map(|(line, allow, subject)| (line, allow, subject.to_owned())));
    assert_eq!(skipped.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [6], "{skipped:?}");
}

#[test]
fn a_version_that_we_have_is_not_transferred() {
    let subscriber = Subscriber::having(7, "");
    let primary = Primary::new(vec![says(vec![soa(7)])]);
    let transferred = subscriber.transfer(&[primary.address]).unwrap();
    assert!(matches!(transferred, Transferred::Current { serial: 7, .. }), "{transferred:?}");
    assert_eq!(primary.asked(), [(RecordType::SOA, None)]);
    assert!(!subscriber.file().exists());
}

/// What comes of asking for a list that must not be shown.
fn obtain_sealed(state: &State, script: Vec<Step>) -> (Result<Obtained, ObtainError>, Vec<Question>) {
    let primary = Primary::new(script);
    let policy = format!(
        "version = 1\n[[list]]\nid = \"grim\"\ncategory = \"illegal-child-abuse\"\nzone = \"{ZONE}\"\n\
         primaries = [\"{}\"]\n",
        primary.address
    );
    let list = PolicyFile::parse(&policy).unwrap().lists.remove(0);
    let clock = Clock::held_at(Timestamp::from_second(NOW).unwrap());
    let feeds = Feeds::new(&Config::default(), Arc::new(SystemLookup), clock).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let obtained = feeds.obtain(&list, folder.path(), state, &AtomicBool::new(false));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing of it is on the disk");
    (obtained, primary.asked())
}

#[test]
fn a_zone_that_must_not_be_shown_is_not_transferred_again_either() {
    let served = Served { serial: Some(7), ..Served::default() };
    let state = State { served, in_force: Some(1), ..State::default() };
    let (obtained, asked) = obtain_sealed(&state, vec![says(vec![soa(7)])]);
    assert!(matches!(obtained.unwrap(), Obtained::Current(_)));
    assert_eq!(asked, [(RecordType::SOA, None)]);
    let script = vec![says(vec![soa(8)]), says(vec![soa(8), block("worst.test"), soa(8)])];
    let (obtained, asked) = obtain_sealed(&state, script);
    assert!(matches!(obtained.unwrap(), Obtained::Text { .. }));
    assert_eq!(asked, [(RecordType::SOA, None), (RecordType::AXFR, None)]);
}

#[test]
fn no_error_has_a_name_of_a_zone_that_must_not_be_shown() {
    let stray = record("worst.test.", RData::CNAME(CNAME(DnsName::root())));
    let script = vec![says(vec![soa(8)]), says(vec![soa(8), stray, soa(8)])];
    let (obtained, _) = obtain_sealed(&State::default(), script);
    let error = obtained.unwrap_err().to_string();
    assert!(error.contains("a record that is not of the zone") && !error.contains("worst"), "{error}");
}

#[test]
fn numbers_of_versions_wrap_around() {
    let subscriber = Subscriber::having(u32::MAX, "a.example CNAME .\n");
    let changes = vec![soa(1), soa(u32::MAX), block("a.example"), soa(1), soa(1)];
    assert_eq!(new(&subscriber.from(vec![says(vec![soa(1)]), says(changes)]).unwrap()), (1, 0, true));
}

#[test]
fn an_older_version_is_told_unless_another_primary_is_better() {
    let subscriber = Subscriber::having(7, "");
    let told = subscriber.failure(vec![says(vec![soa(6)])]);
    assert!(told.contains("has version 6 of the zone, which is older than ours, 7"), "{told}");
    // Half the circle ahead is not ahead.
    let told = subscriber.failure(vec![says(vec![soa(7 + (1 << 31))])]);
    assert!(told.contains("older than ours"), "{told}");
    let old = Primary::new(vec![says(vec![soa(6)])]);
    let good = Primary::new(vec![says(vec![soa(7)])]);
    let transferred = subscriber.transfer(&[old.address, good.address]).unwrap();
    assert!(matches!(transferred, Transferred::Current { primary, .. } if primary == good.address));
}

#[test]
fn primaries_are_asked_in_order_and_each_is_told_about() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing =
        || Primary::new(vec![Box::new(|question: &[u8]| vec![refusal(question, ResponseCode::Refused)])]);
    let good = Primary::new(vec![says(vec![soa(7)]), says(vec![soa(7), soa(7)])]);
    let subscriber = Subscriber::new();
    let first = refusing();
    assert_eq!(new(&subscriber.transfer(&[dead, first.address, good.address]).unwrap()), (7, 0, false));
    let second = refusing();
    let told = subscriber.transfer(&[dead, second.address]).unwrap_err().to_string();
    assert!(told.starts_with(&format!("{ZONE}.: {dead} can't be reached over TCP (")), "{told}");
    assert!(told.contains(&format!("; {} refuses (REFUSED); ask whoever runs it", second.address)), "{told}");
    let told = subscriber.transfer(&[]).unwrap_err().to_string();
    assert!(told.contains("nobody is named who has the zone"), "{told}");
}

/// A transfer's messages, each with its length.
fn framed(kind: RecordType, messages: &[Vec<Record>]) -> Vec<u8> {
    let zone = zone_name(ZONE).unwrap();
    let question = wire::question(1, &zone, u16::from(kind), None);
    let frame = |records: &Vec<Record>| {
        let bytes = answer(&question, records);
        [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()
    };
    messages.iter().flat_map(frame).collect()
}

proptest! {
    #[test]
    fn changes_and_the_whole_zone_lead_to_the_same_file(
        old in proptest::collection::btree_set("[a-f]{1,2}", 0..10),
        middle in proptest::collection::btree_set("[a-f]{1,2}", 0..10),
        new in proptest::collection::btree_set("[a-f]{1,2}", 0..10),
        each in 1..8usize,
    ) {
        let blocks = |names: &std::collections::BTreeSet<String>| {
            names.iter().map(|name| block(name)).collect::<Vec<_>>()
        };
        let without = |a: &std::collections::BTreeSet<String>, b: &std::collections::BTreeSet<String>| {
            blocks(&a.difference(b).cloned().collect())
        };
        let whole = [vec![soa(9)], blocks(&new), vec![soa(9)]].concat();
        let changes = [
            vec![soa(9), soa(7)],
            without(&old, &middle),
            vec![soa(8)],
            without(&middle, &old),
            vec![soa(8)],
            without(&middle, &new),
            vec![soa(9)],
            without(&new, &middle),
            vec![soa(9)],
        ]
        .concat();
        let messages = |records: &[Record]| records.chunks(each).map(<[_]>::to_vec).collect::<Vec<_>>();
        let had: String = old.iter().map(|name| format!("{name} CNAME .\n")).collect();
        let had = version_text(7, &had);
        let by_changes = assemble(ZONE, Some(&had), &framed(RecordType::IXFR, &messages(&changes)));
        let by_whole = assemble(ZONE, None, &framed(RecordType::AXFR, &messages(&whole)));
        prop_assert!(by_whole.is_ok(), "{:?}", by_whole);
        prop_assert_eq!(by_changes, by_whole);
    }

    #[test]
    fn any_bytes_are_a_transfer_or_none(
        stream in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<proptest::sample::Index>(),
        bit in 0..8u8,
    ) {
        let _ = assemble(ZONE, None, &stream);
        let mut broken = framed(RecordType::AXFR, &[vec![soa(7), block("a.example")], vec![soa(7)]]);
        let at = at.index(broken.len());
        broken[at] ^= 1 << bit;
        if let Ok(text) = assemble(ZONE, None, &broken) {
            prop_assert!(text.is_ascii());
        }
    }
}
