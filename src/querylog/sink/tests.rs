use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    sync::mpsc::{Sender, channel},
};

use hickory_proto::{
    op::{Edns, Message as DnsMessage, MessageType, OpCode, Query},
    rr::{Name, RecordType, rdata::opt::EdnsOption},
};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::{
    clock::Day,
    querylog::{Action, Place},
};

/// As in dnstap.proto, with every field that we write.
#[derive(Clone, PartialEq, prost::Message)]
struct Dnstap {
    #[prost(bytes = "vec", optional, tag = "1")]
    identity: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    version: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    extra: Option<Vec<u8>>,
    #[prost(message, optional, tag = "14")]
    message: Option<Response>,
    #[prost(int32, required, tag = "15")]
    kind: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Response {
    #[prost(int32, required, tag = "1")]
    kind: i32,
    #[prost(int32, optional, tag = "2")]
    family: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    protocol: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    query_address: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "8")]
    query_seconds: Option<u64>,
    #[prost(fixed32, optional, tag = "9")]
    query_nanoseconds: Option<u32>,
    #[prost(uint64, optional, tag = "12")]
    response_seconds: Option<u64>,
    #[prost(fixed32, optional, tag = "13")]
    response_nanoseconds: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "14")]
    response: Option<Vec<u8>>,
}

fn decoded(item: &Item) -> Dnstap {
    let bytes = dnstap::encode(item, "filter", "schoolgate 1");
    let read = Dnstap::decode(bytes.as_slice()).unwrap();
    // Nothing that the reader above does not know, and everything in order.
    assert_eq!(read.encode_to_vec(), bytes);
    read
}

fn entry() -> Entry {
    let text = |text: &str| text.to_owned();
    let place = Place { day: Day::from_number(20_779), at: 34_200_250 * 256 };
    Entry {
        place,
        time: place.time(),
        client: text("10.20.2.31"),
        device: text("tablet-7"),
        mac: text("02:00:5e:00:53:01"),
        profile: text("ks2"),
        known_by: text("mac"),
        confidence: text("high"),
        lease: None,
        name: text("www.video.example"),
        qtype: text("A"),
        rcode: text("NOERROR"),
        action: Action::Blocked,
        reason: text("category"),
        category: text("video"),
        list: text("starter-video"),
        rule: String::new(),
        detail: String::new(),
        would: String::new(),
        categories: text("video"),
        dnssec: String::new(),
        source: text("policy"),
        transport: text("udp"),
        alert: false,
        took_us: 800_000,
    }
}

fn reply() -> Bytes {
    let mut message = DnsMessage::new(7, MessageType::Response, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii("www.video.example.").unwrap(), RecordType::A));
    let mut edns = Edns::new();
    // A client's cookie, which is the same each time.
    edns.options_mut().insert(EdnsOption::Unknown(10, b"\x01\x02\x03\x04\x05\x06\x07\x08".to_vec()));
    message.set_edns(edns);
    message.to_vec().unwrap().into()
}

fn item(entry: Entry) -> Item {
    Item { entry: Arc::new(entry), reply: Some(reply()) }
}

#[test]
fn a_row_is_a_dnstap_message_that_other_programs_read() {
    let read = decoded(&item(entry()));
    assert_eq!(
        (read.kind, read.identity.unwrap(), read.version.unwrap()),
        (1, b"filter".to_vec(), b"schoolgate 1".to_vec())
    );
    let extra = String::from_utf8(read.extra.unwrap()).unwrap();
    assert!(extra.contains("\tprofile=ks2\t") && extra.contains("\taction=blocked\t"), "{extra}");
    let message = read.message.unwrap();
    assert_eq!((message.kind, message.family, message.protocol), (6, Some(1), Some(1)));
    assert_eq!(message.query_address, Some(vec![10, 20, 2, 31]));
    let asked = "2026-11-22T09:30:00.250Z".parse::<Timestamp>().unwrap();
    assert_eq!(message.query_seconds, Some(asked.as_second().unsigned_abs()));
    assert_eq!(message.query_nanoseconds, Some(250_000_000));
    assert_eq!(message.response_seconds, Some(asked.as_second().unsigned_abs() + 1));
    assert_eq!(message.response_nanoseconds, Some(50_000_000));
    assert_eq!(message.response, Some(reply().to_vec()));
    let v6 = decoded(&item(Entry { client: "2001:db8::1".into(), transport: "tcp".into(), ..entry() }));
    let message = v6.message.unwrap();
    assert_eq!(
        (message.family, message.protocol, message.query_address.unwrap().len()),
        (Some(2), Some(2), 16)
    );
}

#[test]
fn a_device_under_a_pseudonym_can_not_be_told_from_dnstap() {
    let hidden =
        Entry { client: "device-0123456789ab".into(), device: String::new(), mac: String::new(), ..entry() };
    let message = decoded(&item(hidden)).message.unwrap();
    assert_eq!((message.query_address, message.family), (None, None));
    let reply = DnsMessage::from_vec(&message.response.unwrap()).unwrap();
    assert_eq!(reply.queries.len(), 1);
    assert!(reply.edns.is_none(), "options that are the same each time are left out");
    let broken = Item {
        entry: Arc::new(Entry { client: "device-0123456789ab".into(), ..entry() }),
        reply: Some(Bytes::from_static(b"not a message")),
    };
    assert_eq!(decoded(&broken).message.unwrap().response, None);
}

#[test]
fn a_name_that_must_not_be_shown_is_sent_as_its_digest_alone() {
    for sealed in [
        Entry { name: "locked:3fa9c0ffee12".into(), ..entry() },
        Entry { detail: "locked:3fa9c0ffee12".into(), ..entry() },
    ] {
        let read = decoded(&item(sealed.clone()));
        assert_eq!(read.message.unwrap().response, None);
        assert!(String::from_utf8(read.extra.unwrap()).unwrap().contains("=locked:3fa9c0ffee12"));
        let line = String::from_utf8(syslog::encode(&sealed, "filter", 7)).unwrap();
        assert!(line.contains("=\"locked:3fa9c0ffee12\""), "{line}");
    }
}

/// Structured data: names and values.
type Fields = Vec<(String, String)>;

/// A strict reader of RFC 5424: the header's words, the fields, and the text.
fn read_syslog(line: &str) -> Option<(Vec<String>, Fields, String)> {
    let mut rest = line.strip_prefix('<')?;
    let (priority, after) = rest.split_once('>')?;
    (1..=3).contains(&priority.len()).then_some(())?;
    let mut words = vec![priority.parse::<u8>().ok().filter(|priority| *priority <= 191)?.to_string()];
    rest = after;
    for _ in 0..6 {
        let (word, after) = rest.split_once(' ')?;
        (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic())).then_some(())?;
        words.push(word.to_owned());
        rest = after;
    }
    rest = rest.strip_prefix("[dns@32473")?;
    let mut fields = Vec::new();
    while let Some(field) = rest.strip_prefix(' ') {
        let (word, after) = field.split_once("=\"")?;
        word.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(())?;
        let (mut value, mut chars) = (String::new(), after.char_indices());
        loop {
            match chars.next()? {
                (at, '"') => {
                    rest = &after[at + 1..];
                    break;
                }
                (_, '\\') => {
                    value.push(chars.next().map(|(_, c)| c).filter(|c| matches!(c, '"' | '\\' | ']'))?)
                }
                (_, ']') => return None,
                (_, c) => value.push(c),
            }
        }
        fields.push((word.to_owned(), value));
    }
    let text = rest.strip_prefix("] ")?;
    Some((words, fields, text.to_owned()))
}

#[test]
fn a_row_is_a_syslog_message_with_its_fields() {
    let line = String::from_utf8(syslog::encode(&entry(), "filter", 7)).unwrap();
    let (words, fields, text) = read_syslog(&line).expect(&line);
    assert_eq!(words, ["133", "1", "2026-11-22T09:30:00.250Z", "filter", "schoolgate", "7", "blocked"]);
    assert_eq!(text, "device tablet-7 asked for www.video.example: blocked");
    assert!(
        fields.contains(&("client".into(), "10.20.2.31".into()))
            && fields.contains(&("tookUs".into(), "800000".into()))
    );
    assert!(fields.iter().all(|(_, value)| !value.is_empty()));
    let severity = |entry: Entry| syslog::encode(&entry, "-", 7)[..5].to_vec();
    assert_eq!(severity(Entry { action: Action::Allowed, ..entry() }), b"<134>");
    assert_eq!(severity(Entry { alert: true, ..entry() }), b"<132>");
}

proptest! {
    #[test]
    fn any_texts_make_messages_that_can_be_read(device in ".{0,20}", name in ".{0,20}", rule in "[\"\\\\\\]\n\r=a ]{0,10}") {
        let odd = Entry { device: device.clone(), name, rule: rule.clone(), ..entry() };
        let line = String::from_utf8(syslog::encode(&odd, "filter", 7)).unwrap();
        prop_assert!(!line.contains(char::is_control));
        let (_, fields, text) = read_syslog(&line).expect("RFC 5424");
        let tame = |text: &str| text.replace(char::is_control, "?");
        let field = |word: &str| fields.iter().find(|(known, _)| known == word).map(|(_, value)| value.clone());
        prop_assert_eq!(field("rule").unwrap_or_default(), tame(&rule));
        prop_assert_eq!(field("device").unwrap_or_default(), tame(&device));
        prop_assert_eq!(text.starts_with('\u{feff}'), !text.is_ascii());
        let read = decoded(&item(odd));
        prop_assert!(String::from_utf8(read.extra.unwrap()).is_ok());
    }
}

fn config(kind: Kind, address: Address) -> Config {
    Config { kind, address }
}

/// Waits until a status is as it should be.
fn wait_until(sink: &Sink, what: impl Fn(&SinkStatus) -> bool) -> SinkStatus {
    for _ in 0..1_000 {
        let status = lock(&sink.status).clone();
        if what(&status) {
            return status;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{:?}", lock(&sink.status));
}

/// A dnstap collector that hands on each frame, and closes the connection after so many.
fn collect(listener: &UnixListener, most: usize, to: &Sender<Vec<u8>>) {
    let (mut stream, _) = listener.accept().unwrap();
    let number = || -> Option<u32> {
        let mut bytes = [0; 4];
        (&stream).read_exact(&mut bytes).ok()?;
        Some(u32::from_be_bytes(bytes))
    };
    let control = || -> u32 {
        let length = number().unwrap();
        let kind = number().unwrap();
        let mut rest = vec![0; length as usize - 4];
        (&stream).read_exact(&mut rest).unwrap();
        kind
    };
    let mut first = [0; 4];
    (&stream).read_exact(&mut first).unwrap();
    assert_eq!((first, control()), ([0; 4], 4), "READY");
    let accept = b"\0\0\0\0\0\0\0\x22\0\0\0\x01\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";
    let length = accept.len() as u32 - 8;
    (&stream).write_all(&[&accept[..4], &length.to_be_bytes(), &accept[8..]].concat()).unwrap();
    (&stream).read_exact(&mut first).unwrap();
    assert_eq!((first, control()), ([0; 4], 2), "START");
    for _ in 0..most {
        let mut length = [0; 4];
        if (&stream).read_exact(&mut length).is_err() {
            return;
        }
        let length = u32::from_be_bytes(length);
        if length == 0 {
            let mut stop = [0; 8];
            stream.read_exact(&mut stop).unwrap();
            assert_eq!(stop, *b"\0\0\0\x04\0\0\0\x03");
            stream.write_all(b"\0\0\0\0\0\0\0\x04\0\0\0\x05").unwrap();
            return;
        }
        let mut frame = vec![0; length as usize];
        stream.read_exact(&mut frame).unwrap();
        to.send(frame).unwrap();
    }
}

#[test]
fn all_that_was_offered_has_been_sent_when_a_sink_has_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnstap.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (to, frames) = channel();
    let collector = thread::spawn(move || collect(&listener, usize::MAX, &to));
    let sinks = Sinks::start(&[config(Kind::Dnstap, Address::Unix(path))], &Clock::system()).unwrap();
    let items: Vec<Item> =
        (0..1_000).map(|n| item(Entry { name: format!("{n}.example"), ..entry() })).collect();
    for some in items.chunks(100) {
        sinks.offer(some);
    }
    sinks.stop(Duration::from_secs(20));
    collector.join().unwrap();
    let names: Vec<String> = frames
        .iter()
        .map(|frame| String::from_utf8(Dnstap::decode(frame.as_slice()).unwrap().extra.unwrap()).unwrap())
        .collect();
    assert_eq!(names.len(), 1_000);
    assert!(names.iter().enumerate().all(|(n, extra)| extra.contains(&format!("\tname={n}.example\t"))));
    let status = &sinks.status()[0];
    assert_eq!((status.sent, status.lost, status.kind.as_str()), (1_000, 0, "dnstap"));
    sinks.offer(&items);
    assert_eq!(sinks.status()[0].lost, 0, "after the end nothing is counted any more");
}

#[test]
fn a_collector_that_is_not_there_costs_what_does_not_fit_and_never_waits() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = config(Kind::Dnstap, Address::Unix(folder.path().join("nobody.sock")));
    let sink = Sink::start(&nowhere, Clock::system(), 4).unwrap();
    let items: Vec<Item> = (0..10).map(|_| item(entry())).collect();
    sink.offer(&items);
    let status = wait_until(&sink, |status| status.error.is_some());
    assert_eq!((status.connected, status.sent, status.lost), (false, 0, 6));
    let sinks = Sinks(vec![sink]);
    sinks.stop(Duration::from_secs(20));
    assert_eq!(sinks.status()[0].lost, 10, "what was in the queue is lost as well, and counted");
}

#[test]
fn a_collector_that_comes_back_gets_what_came_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnstap.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let sink = Sink::start(&config(Kind::Dnstap, Address::Unix(path)), Clock::system(), 100).unwrap();
    let (to, frames) = channel();
    let collector = thread::spawn(move || {
        // It goes away after the first one, and comes back.
        collect(&listener, 1, &to);
        collect(&listener, usize::MAX, &to);
    });
    sink.offer(&[item(entry())]);
    frames.recv().unwrap();
    wait_until(&sink, |status| status.sent == 1);
    // The connection is closed by now, or about to be: what is sent into it counts as sent or as lost, never both.
    for _ in 0..50 {
        sink.offer(&[item(entry())]);
    }
    let sinks = Sinks(vec![sink]);
    let status = wait_until(&sinks.0[0], |status| status.sent + status.lost == 51);
    sinks.stop(Duration::from_secs(20));
    collector.join().unwrap();
    assert!(status.connected);
    let arrived = 1 + frames.iter().count() as u64;
    assert!(
        arrived <= status.sent + status.lost && arrived >= status.sent.saturating_sub(AT_ONCE as u64),
        "{arrived} {status:?}"
    );
}
