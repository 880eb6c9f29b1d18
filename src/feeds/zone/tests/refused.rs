//! Transfers that come to nothing: refused, cut off, given up, or stopped.

use super::*;

#[test]
fn a_transfer_of_an_older_version_than_promised_is_refused() {
    let subscriber = Subscriber::having(7, "");
    let script = vec![says(vec![soa(8)]), says(vec![soa(6)])];
    assert!(subscriber.failure(script).contains("has version 6"), "changes");
    let nothing = Box::new(|_: &[u8]| Vec::new());
    let script = vec![says(vec![soa(8)]), nothing, says(vec![soa(6), block("a.example"), soa(6)])];
    assert!(subscriber.failure(script).contains("has version 6"), "whole");
}

#[test]
fn a_transfer_that_is_cut_off_changes_nothing() {
    let whole = [vec![soa(7), block("a.example")], vec![block("b.example"), soa(7)]];
    for keep in 0..2 {
        let script = vec![says(vec![soa(7)]), says_in_messages(whole[..keep].to_vec())];
        let told = Subscriber::new().failure(script);
        assert!(told.ends_with("closed the connection before the end"), "{told}");
    }
    let half = Box::new(|question: &[u8]| {
        let mut bytes = answer(question, &[soa(7), block("a.example"), soa(7)]);
        bytes.truncate(bytes.len() - 1);
        vec![bytes]
    });
    assert!(Subscriber::new().failure(vec![says(vec![soa(7)]), half]).contains("a message is cut off"));
}

#[test]
fn what_is_no_zone_is_refused_and_told() {
    let other = |owner: &str| record(owner, RData::A(A::new(0, 0, 0, 0)));
    let sub = || {
        let mut sub = soa(7);
        sub.name = name("sub.rpz.trust.example.");
        sub
    };
    let chaos = || {
        let mut record = block("a.example");
        record.dns_class = hickory_proto::rr::DNSClass::CH;
        record
    };
    let differs = || {
        let mut differs = soa(7);
        differs.ttl = 1;
        differs
    };
    for (records, told) in [
        (vec![soa(7), other("a.example."), soa(7)], "not of the zone: a.example."),
        (vec![soa(7), other("xrpz.trust.example."), soa(7)], "not of the zone: xrpz.trust.example."),
        (vec![soa(7), chaos(), soa(7)], "not of the zone"),
        (vec![soa(7), sub(), soa(7)], "not of the zone: sub."),
        (vec![block("a.example"), soa(7)], "does not begin with its SOA"),
        (vec![soa(7), block("a.example"), soa(8)], "a second SOA record is within it"),
        (vec![soa(7), soa(8), soa(7)], "a second SOA record is within it"),
        (vec![soa(7), block("a.example"), differs()], "its first and its last SOA record differ"),
        (vec![soa(7), block("a.example"), soa(7), block("b.example")], "it goes on after its end"),
        (vec![soa(7), soa(7), soa(7)], "it goes on after its end"),
    ] {
        let failure = Subscriber::new().failure(vec![says(vec![soa(7)]), says(records)]);
        assert!(failure.contains(told), "{told}: {failure}");
    }
}

#[test]
fn what_is_no_answer_to_our_question_is_refused() {
    let changed = |change: fn(&mut Vec<u8>)| -> Step {
        Box::new(move |question| {
            let mut bytes = answer(question, &[soa(7)]);
            change(&mut bytes);
            vec![bytes]
        })
    };
    for (step, told) in [
        (changed(|bytes| bytes[0] ^= 1), "answered another question"),
        (changed(|bytes| bytes[2] &= 0x7f), "answered another question"),
        (changed(|bytes| bytes[2] |= 4 << 3), "answered another question"),
        (changed(|bytes| bytes[13] ^= 1), "answered another question"),
        (changed(|bytes| bytes[2] &= !4), "answers at second hand"),
        (changed(|bytes| bytes[2] |= 2), "says that it is cut off"),
        (changed(|bytes| bytes.push(0)), "something behind the end"),
        (changed(|bytes| bytes[5] = 2), "more than one question"),
        (changed(|bytes| *bytes = b"HTTP/1.1 400 Bad Request".to_vec()), "can't be read"),
        (changed(|bytes| bytes.truncate(5)), "a message is cut off"),
        (says(vec![]), "without an SOA record"),
    ] {
        let failure = Subscriber::new().failure(vec![step]);
        assert!(failure.contains(told), "{told}: {failure}");
    }
}

#[test]
fn errors_of_the_protocol_are_told_in_words() {
    for (code, told) in [
        (ResponseCode::Refused, "refuses (REFUSED)"),
        (ResponseCode::NotAuth, "not in charge of the zone (NOTAUTH)"),
        (ResponseCode::NXDomain, "does not have the zone (NXDOMAIN)"),
        (ResponseCode::ServFail, "SERVFAIL (it can't give the zone now)"),
        (ResponseCode::FormErr, "FORMERR"),
        (ResponseCode::YXDomain, "answered with the error 6"),
    ] {
        let failure =
            Subscriber::new().failure(vec![Box::new(move |question| vec![refusal(question, code)])]);
        assert!(failure.contains(told), "{told}: {failure}");
    }
}

#[test]
fn an_endless_transfer_comes_to_an_end() {
    let endless = |records: usize| -> Vec<Step> {
        let names = (0..records).map(|n| block(&format!("n{n}.example"))).collect::<Vec<_>>();
        let mut messages = vec![vec![soa(7)]];
        messages.extend(names.chunks(100).map(<[_]>::to_vec));
        vec![says(vec![soa(7)]), says_in_messages(messages)]
    };
    let mut subscriber = Subscriber::new();
    subscriber.limits.records = 500;
    assert!(subscriber.failure(endless(2000)).contains("sent more than 500 records"));
    let mut subscriber = Subscriber::new();
    subscriber.limits.bytes = 5000;
    assert!(subscriber.failure(endless(2000)).contains("sent more than 5000 bytes"));
}

/// A primary that answers the first question and is silent at the second until the test ends.
fn silent() -> (SocketAddr, mpsc::Receiver<()>, JoinHandle<()>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, was_asked) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let reply = answer(&receive(&mut stream), &[soa(7)]);
        stream.write_all(&[&(reply.len() as u16).to_be_bytes()[..], &reply].concat()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        receive(&mut stream);
        asked.send(()).unwrap();
        // Ends when the test drops its side.
        let _ = ended.recv();
    });
    (address, was_asked, thread, end)
}

#[test]
fn a_silent_primary_is_given_up() {
    let (address, _asked, thread, end) = silent();
    let mut subscriber = Subscriber::new();
    subscriber.limits.silence = Duration::from_secs(1);
    let told = subscriber.transfer(&[address]).unwrap_err().to_string();
    assert!(told.contains("sent nothing for 1 seconds"), "{told}");
    drop(end);
    thread.join().unwrap();
}

#[test]
fn a_transfer_has_a_time_limit_however_busy_it_is() {
    let (address, _asked, thread, end) = silent();
    let mut subscriber = Subscriber::new();
    subscriber.limits.total = Duration::from_secs(1);
    let told = subscriber.transfer(&[address]).unwrap_err().to_string();
    assert!(told.contains("did not come to an end within 1 seconds"), "{told}");
    drop(end);
    thread.join().unwrap();
}

#[test]
fn a_transfer_stops_when_it_is_told_to() {
    let (address, asked, thread, end) = silent();
    let subscriber = Subscriber::new();
    let cancel = Arc::clone(&subscriber.cancel);
    let stopper = thread::spawn(move || {
        asked.recv().unwrap();
        cancel.store(true, Ordering::Relaxed);
    });
    let error = subscriber.transfer(&[address]).unwrap_err();
    assert!(matches!(error, TransferError::Cancelled(_)), "{error}");
    stopper.join().unwrap();
    drop(end);
    thread.join().unwrap();
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let subscriber = Subscriber::new();
    fs::create_dir(subscriber.file()).unwrap();
    let error =
        subscriber.from(vec![says(vec![soa(7)]), says(vec![soa(7), soa(7)])]).unwrap_err().to_string();
    assert!(error.starts_with(subscriber.file().to_str().unwrap()), "{error}");
    assert_eq!(fs::read_dir(subscriber.folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn what_is_no_zones_name_is_told() {
    for zone in ["", ".", "a..b", &"a".repeat(64)] {
        let clock = Clock::default();
        let request = Request {
            zone,
            primaries: &["127.0.0.1:53".parse().unwrap()],
            key: None,
            have: None,
            into: Path::new("/nonexistent"),
            limits: Limits::default(),
            cancel: &AtomicBool::new(false),
            clock: &clock,
        };
        assert!(matches!(transfer(&request), Err(TransferError::Zone(_))), "{zone:?}");
    }
}
