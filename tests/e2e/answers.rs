//! Resolution and DNSSEC, from the root down.

use std::{path::Path, process::Command};

use hickory_proto::{
    op::ResponseCode,
    rr::{RData, RecordType},
};

use crate::{
    school::{School, ctl, exchange, within},
    support::{addresses, ede, err, out, question},
};

/// A profile that filters nothing on the test internet.
const CLIENT: &str = "staff";

#[test]
fn signed_names_are_proven_and_others_are_not() {
    let school = School::open();
    for (name, proven) in [
        ("www.good.test.", true),
        ("www.good3.test.", true),
        ("www.sub.good.test.", true),
        ("www.unsigned.test.", false),
        ("www.insecure.good.test.", false),
        ("www.chain-a.test.", true),
    ] {
        let answer = school.ask(CLIENT, name, RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{name}: {answer:?}");
        assert!(!addresses(&answer).is_empty(), "{name}: {answer:?}");
        // AD is for those who ask for it (RFC 6840, section 5.7).
        assert!(!answer.metadata.authentic_data, "{name}");
        let mut wanted = question(name, RecordType::A);
        wanted.metadata.authentic_data = true;
        let answer = school.send(CLIENT, wanted);
        assert_eq!(answer.metadata.authentic_data, proven, "{name}: {answer:?}");
        assert!(answer.metadata.recursion_available, "{name}");
    }
}

/// Every name of the test internet, as an independent validating resolver answers it.
#[test]
fn every_name_of_the_test_internet_is_answered_as_it_must_be() {
    let school = School::open();
    let server = school.address(CLIENT);
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/internet/check.py");
    let output = Command::new("python3")
        .arg(check)
        .args(["--quiet", "--skip", "filter", "--from", CLIENT, "--at"])
        .args([server.ip().to_string(), "--port".into(), server.port().to_string()])
        .output()
        .expect("check.py runs");
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
}

#[test]
fn denials_are_proven() {
    let school = School::open();
    for (name, rcode) in [
        ("nothing.good.test.", ResponseCode::NXDomain),
        ("nothing.good3.test.", ResponseCode::NXDomain),
        ("b.c.ent.test.", ResponseCode::NoError),
    ] {
        let mut wanted = question(name, RecordType::TXT);
        wanted.metadata.authentic_data = true;
        let answer = school.send(CLIENT, wanted);
        assert_eq!(answer.metadata.response_code, rcode, "{name}: {answer:?}");
        assert!(answer.metadata.authentic_data, "{name}: {answer:?}");
        assert!(answer.authorities.iter().any(|r| r.record_type() == RecordType::SOA), "{name}: {answer:?}");
        let signatures = answer.authorities.iter().filter(|r| r.record_type() == RecordType::RRSIG).count();
        assert_eq!(signatures, 0, "{name}: signatures are for those who set DO");
    }
}

#[test]
fn what_is_bogus_is_refused_with_its_reason_unless_checking_is_disabled() {
    let school = School::open();
    for (name, codes) in [
        ("www.bogus.test.", &[6][..]),
        ("www.expired.test.", &[6, 7]),
        ("www.badds.test.", &[6, 9]),
        ("www.nosig.test.", &[6, 9, 10]),
    ] {
        let answer = school.ask(CLIENT, name, RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{name}: {answer:?}");
        assert!(addresses(&answer).is_empty(), "{name}");
        let why = ede(&answer);
        assert!(why.iter().any(|(code, _)| codes.contains(code)), "{name}: {why:?}");
    }
    let mut unchecked = question("www.bogus.test.", RecordType::A);
    unchecked.metadata.checking_disabled = true;
    let answer = school.send(CLIENT, unchecked);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{answer:?}");
    assert_eq!(addresses(&answer).len(), 1);
    assert!(answer.metadata.checking_disabled && !answer.metadata.authentic_data);
    // What was given unchecked is still refused to those who rely on us.
    let answer = school.ask(CLIENT, "www.bogus.test.", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn servers_that_misbehave_are_told_by_their_error_or_worked_around() {
    let school = School::open();
    for name in ["www.lame.test.", "www.drop.test."] {
        let answer = school.ask(CLIENT, name, RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{name}: {answer:?}");
        let why = ede(&answer);
        assert!(why.iter().any(|(code, _)| [22, 23].contains(code)), "{name}: {why:?}");
    }
    for name in ["www.trunc.test.", "www.slow.test.", "www.failover.test.", "www.glueless.test."] {
        let answer = school.ask(CLIENT, name, RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{name}: {answer:?}");
        assert!(!addresses(&answer).is_empty(), "{name}: {answer:?}");
    }
}

#[test]
fn aliases_are_followed_across_zones_and_loops_end() {
    let school = School::open();
    let answer = school.ask(CLIENT, "www.chain-a.test.", RecordType::A);
    let kinds: Vec<RecordType> = answer.answers.iter().map(hickory_proto::rr::Record::record_type).collect();
    assert_eq!(kinds.first(), Some(&RecordType::CNAME), "{answer:?}");
    assert_eq!(kinds.last(), Some(&RecordType::A), "{answer:?}");
    let gone = school.ask(CLIENT, "gone.chain-a.test.", RecordType::A);
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain, "{gone:?}");
    assert!(gone.answers.iter().any(|r| r.record_type() == RecordType::CNAME), "the chain is kept: {gone:?}");
    let renamed = school.ask(CLIENT, "www.dname.test.", RecordType::A);
    assert!(!addresses(&renamed).is_empty(), "{renamed:?}");
    let endless = school.ask(CLIENT, "a.loop.test.", RecordType::A);
    assert!(addresses(&endless).is_empty(), "{endless:?}");
}

#[test]
fn wildcards_answer() {
    let school = School::open();
    for name in ["some.wild3.test.", "some.wild.test."] {
        let answer = school.ask(CLIENT, name, RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{name}: {answer:?}");
        assert_eq!(addresses(&answer).len(), 1, "{name}: {answer:?}");
    }
}

#[test]
fn the_case_of_the_question_is_kept() {
    let school = School::open();
    let answer = school.ask(CLIENT, "WwW.gOOd.tEst.", RecordType::A);
    assert_eq!(answer.queries[0].name().to_string(), "WwW.gOOd.tEst.");
    let text = school.dig(CLIENT, &["WwW.gOOd.tEst"]);
    assert!(text.contains("WwW.gOOd.tEst."), "{text}");
}

#[test]
fn answers_too_large_for_udp_are_cut_and_come_whole_over_tcp() {
    let school = School::open();
    let cut = school.ask(CLIENT, "txt.big.test.", RecordType::TXT);
    let name = if cut.metadata.response_code == ResponseCode::NoError { "txt.big.test" } else { "big.test" };
    let cut = school.ask(CLIENT, &format!("{name}."), RecordType::TXT);
    assert!(cut.metadata.truncation, "{cut:?}");
    let whole = school.dig(CLIENT, &[name, "TXT"]);
    assert!(whole.contains("status: NOERROR") && whole.contains("(TCP)"), "{whole}");
}

#[test]
fn the_schools_own_zones_are_asked_at_their_own_server() {
    let school = School::open();
    let answer = school.ask(CLIENT, "_ldap._tcp.ad.school.example.", RecordType::SRV);
    assert!(answer.answers.iter().any(|r| matches!(&r.data, RData::SRV(_))), "{answer:?}");
    let answer = school.ask(CLIENT, "dc1.ad.school.example.", RecordType::A);
    assert_eq!(addresses(&answer), ["10.20.0.10"], "private addresses are right in the school's own zones");
    let answer = school.ask(CLIENT, "10.0.20.10.in-addr.arpa.", RecordType::PTR);
    assert!(answer.answers.iter().any(|r| matches!(&r.data, RData::PTR(_))), "{answer:?}");
    let answer = school.ask(CLIENT, "1.1.168.192.in-addr.arpa.", RecordType::PTR);
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "RFC 6303: {answer:?}");
}

#[test]
fn a_client_outside_is_refused_with_the_reason() {
    let school = School::open();
    let answer = school.ask("outsider", "www.good.test.", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "{answer:?}");
    assert_eq!(ede(&answer)[0].0, 18);
}

#[test]
fn an_answer_comes_stale_when_the_authority_is_cut_off() {
    let school = School::open();
    let fresh = school.ask(CLIENT, "www.stale.test.", RecordType::A);
    assert_eq!(addresses(&fresh).len(), 1, "{fresh:?}");
    ctl("cut", "stale.test");
    let server = school.address(CLIENT);
    // The answer lives for 2 s; what is watched is the answer itself, which is marked once it is stale.
    let stale = within(CLIENT, move || {
        loop {
            let answer = exchange(server, &question("www.stale.test.", RecordType::A)).expect("an answer");
            if !ede(&answer).is_empty() {
                return answer;
            }
        }
    });
    ctl("restore", "stale.test");
    assert_eq!(stale.metadata.response_code, ResponseCode::NoError, "{stale:?}");
    assert_eq!(addresses(&stale).len(), 1, "{stale:?}");
    assert_eq!(ede(&stale)[0].0, 3, "{stale:?}");
    assert!(stale.answers.iter().all(|r| r.ttl <= 30), "{stale:?}");
}

#[test]
fn minimal_answers_to_any_and_refusals_to_chaos() {
    let school = School::open();
    let any = school.ask(CLIENT, "www.good.test.", RecordType::ANY);
    assert_eq!(any.answers.len(), 1, "{any:?}");
    assert_eq!(any.answers[0].record_type(), RecordType::HINFO, "RFC 8482: {any:?}");
    let text = school.dig(CLIENT, &["version.bind", "TXT", "CH"]);
    assert!(text.contains("status: REFUSED"), "{text}");
    let text = school.dig(CLIENT, &["+edns=1", "+noednsnegotiation", "www.good.test"]);
    assert!(text.contains("status: BADVERS"), "{text}");
    let text = school.dig(CLIENT, &["+opcode=STATUS", "www.good.test"]);
    assert!(text.contains("status: NOTIMP"), "{text}");
}
