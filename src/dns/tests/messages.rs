//! The rules of the protocol, each over a socket.

use hickory_proto::rr::DNSClass;

use super::*;

#[tokio::test]
async fn a_name_is_resolved_in_the_askers_case() {
    let school = plain_school();
    let reply = school.ask(&query("wWw.ExAmple.tEst.", RecordType::A)).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    assert!(reply.metadata.recursion_available && reply.metadata.recursion_desired);
    assert!(!reply.metadata.authoritative && !reply.metadata.truncation);
    assert_eq!(reply.queries[0].name().to_ascii(), "wWw.ExAmple.tEst.");
    assert_eq!(reply.answers[0].name.to_ascii(), "wWw.ExAmple.tEst.");
    assert!(reply.edns.is_none(), "no OPT for those who sent none");
}

#[tokio::test]
async fn answers_and_scraps_are_not_answered() {
    let school = plain_school();
    let mut answer = query("a.test.", RecordType::A).to_vec().unwrap();
    answer[2] |= 0x80;
    school.is_silent_about(&answer).await;
    school.is_silent_about(&answer[..11]).await;
    school.is_silent_about(&[]).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_a_format_error_with_its_id() {
    let school = plain_school();
    let whole = query("a.test.", RecordType::A).to_vec().unwrap();
    let reply = school.bytes(&whole[..whole.len() - 1]).await;
    assert_eq!(reply[..4], [whole[0], whole[1], 0x81, 0x81]);
    assert_eq!(reply[4..], [0; 8]);
    let mut two = whole.clone();
    two[5] = 2;
    assert_eq!(school.bytes(&two).await[3] & 0x0f, 1);
}

#[tokio::test]
async fn another_opcode_is_not_implemented() {
    let school = plain_school();
    let mut update = query("a.test.", RecordType::A).to_vec().unwrap();
    update[2] = (5 << 3) | 1;
    let reply = school.bytes(&update).await;
    assert_eq!(reply[..4], [update[0], update[1], 0x80 | (5 << 3) | 1, 0x84]);
}

#[tokio::test]
async fn a_newer_edns_version_is_answered_with_ours() {
    let school = plain_school();
    let mut message = query("a.test.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_version(1);
    message.set_edns(edns);
    let reply = school.ask(&message).await;
    assert_eq!(u16::from(reply.metadata.response_code), 16);
    assert_eq!(reply.edns.unwrap().version(), 0);
    assert!(reply.answers.is_empty());
}

#[tokio::test]
async fn edns_is_answered_with_our_size_and_their_do() {
    let school = plain_school();
    let mut message = edns_query("a.test.", RecordType::A);
    message.edns.as_mut().unwrap().set_dnssec_ok(true);
    let reply = school.ask(&message).await;
    let edns = reply.edns.as_ref().unwrap();
    assert_eq!(edns.max_payload(), 1232);
    assert!(edns.flags().dnssec_ok && edns.options().options.is_empty());
    assert!(reply.metadata.authentic_data, "proven, and DO was set");
}

#[tokio::test]
async fn authentic_data_is_for_those_who_ask_and_check_nothing_themselves() {
    let school = plain_school();
    let mut message = query("a.test.", RecordType::A);
    assert!(!school.ask(&message).await.metadata.authentic_data);
    message.metadata.authentic_data = true;
    assert!(school.ask(&message).await.metadata.authentic_data);
    message.metadata.checking_disabled = true;
    let reply = school.ask(&message).await;
    assert!(!reply.metadata.authentic_data && reply.metadata.checking_disabled);
}

#[tokio::test]
async fn signatures_are_for_those_who_ask() {
    use hickory_proto::dnssec::{rdata::DNSSECRData, rdata::NSEC, rdata::NSEC3};
    let school = plain_school();
    let nsec = NSEC::new(name("b.test."), [RecordType::A]);
    let nsec3 = NSEC3::new(Default::default(), false, 0, vec![], vec![1; 20], [RecordType::A]);
    let mut denial = negative(ResponseCode::NXDomain);
    for data in [DNSSECRData::NSEC(nsec.clone()), DNSSECRData::NSEC3(nsec3)] {
        denial.authorities.push(Record::from_rdata(name("a.test."), 60, RData::DNSSEC(data)));
    }
    school.internet.put("no.test.", RecordType::A, denial);
    let asked = Record::from_rdata(name("a.test."), 60, RData::DNSSEC(DNSSECRData::NSEC(nsec)));
    school.internet.put("a.test.", RecordType::NSEC, positive(vec![asked]));

    let mut message = edns_query("no.test.", RecordType::A);
    let reply = school.ask(&message).await;
    assert_eq!((reply.metadata.response_code, reply.authorities.len()), (ResponseCode::NXDomain, 1));
    message.edns.as_mut().unwrap().set_dnssec_ok(true);
    assert_eq!(school.ask(&message).await.authorities.len(), 3);
    assert_eq!(school.ask(&query("a.test.", RecordType::NSEC)).await.answers.len(), 1, "asked for by type");
}

#[tokio::test]
async fn a_question_without_rd_does_not_see_the_cache() {
    let school = plain_school();
    let mut message = edns_query("a.test.", RecordType::A);
    message.metadata.recursion_desired = false;
    let reply = school.ask(&message).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    assert!(!reply.metadata.recursion_desired);
    assert_eq!(edes(&reply)[0].0, 20);
    assert_eq!(school.internet.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn any_is_answered_with_one_small_record() {
    let school = plain_school();
    let reply = school.ask(&query("a.test.", RecordType::ANY)).await;
    assert_eq!(reply.answers.len(), 1);
    assert_eq!(reply.answers[0].record_type(), RecordType::HINFO);
    assert_eq!(school.internet.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn types_that_are_no_data_are_not_resolved() {
    let school = plain_school();
    for (kind, rcode) in [
        (252, ResponseCode::Refused),
        (251, ResponseCode::Refused),
        (41, ResponseCode::FormErr),
        (249, ResponseCode::FormErr),
        (250, ResponseCode::FormErr),
        (0, ResponseCode::FormErr),
        (253, ResponseCode::NotImp),
        (254, ResponseCode::NotImp),
        (200, ResponseCode::NotImp),
    ] {
        let reply = school.ask(&query("a.test.", RecordType::from(kind))).await;
        assert_eq!(reply.metadata.response_code, rcode, "type {kind}");
    }
    assert_eq!(school.internet.asked.load(Ordering::SeqCst), 0);
    let reply = school.ask(&query("a.test.", RecordType::Unknown(65280))).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "an unknown type is data like any other");
}

fn chaos(asked: &str) -> Message {
    let mut message = query(asked, RecordType::TXT);
    message.queries[0].set_query_class(DNSClass::CH);
    message
}

#[tokio::test]
async fn nothing_is_told_about_the_server_unless_it_is_set() {
    let school = plain_school();
    for asked in ["version.bind.", "hostname.bind.", "id.server."] {
        assert_eq!(school.ask(&chaos(asked)).await.metadata.response_code, ResponseCode::Refused);
    }
    let open = super::school(Rules::default(), |config| config.version_bind = true);
    let reply = open.ask(&chaos("Version.Bind.")).await;
    assert!(reply.answers[0].data.to_string().contains("Schoolgate"));
    assert_eq!(open.ask(&chaos("hostname.bind.")).await.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn other_classes_are_refused() {
    let school = plain_school();
    for class in [DNSClass::HS, DNSClass::ANY, DNSClass::NONE, DNSClass::Unknown(77)] {
        let mut message = query("a.test.", RecordType::A);
        message.queries[0].set_query_class(class);
        assert_eq!(school.ask(&message).await.metadata.response_code, ResponseCode::Refused, "{class}");
    }
}

#[tokio::test]
async fn a_reply_too_large_for_a_packet_is_had_over_tcp() {
    let school = plain_school();
    for message in [query("big.test.", RecordType::TXT), edns_query("big.test.", RecordType::TXT)] {
        let reply = school.ask(&message).await;
        assert!(reply.metadata.truncation && reply.answers.is_empty());
        assert_eq!(reply.edns.is_some(), message.edns.is_some());
        let mut stream = school.connect().await;
        stream.send(&message).await;
        let reply = stream.receive().await;
        assert!(!reply.metadata.truncation);
        assert_eq!(reply.answers.len(), 1);
    }
}

#[tokio::test]
async fn a_failure_says_why_to_those_who_speak_edns() {
    let school = plain_school();
    let mut failed = negative(ResponseCode::ServFail);
    failed.ede = vec![Ede::new(EdeCode::DnssecBogus, "no good"), stale_marker()];
    failed.answers = vec![Record::from_rdata(name("bad.test."), 5, RData::CNAME(CNAME(name("x.test."))))];
    school.internet.put("bad.test.", RecordType::A, failed);
    let reply = school.ask(&edns_query("bad.test.", RecordType::A)).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert!(reply.answers.is_empty());
    assert_eq!(edes(&reply), [(6, "no good".into()), (3, "from yesterday".into())]);
    assert!(school.ask(&query("bad.test.", RecordType::A)).await.edns.is_none());
}

#[tokio::test]
async fn strangers_are_refused_and_told_why() {
    let school = school(Rules::default(), |config| config.allow = Some(vec!["10.0.0.0/8".parse().unwrap()]));
    let reply = school.ask(&edns_query("a.test.", RecordType::A)).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    assert_eq!(edes(&reply)[0].0, 18);
    assert_eq!(school.internet.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn public_networks_of_the_policy_are_answered_unless_the_settings_name_who_is() {
    let client: IpAddr = "203.0.113.9".parse().unwrap();
    let asked = Asked {
        from: SocketAddr::new(client, 9),
        at: "203.0.113.2".parse().unwrap(),
        transport: Transport::Udp,
    };
    let message = query("a.test.", RecordType::A).to_vec().unwrap();
    for (serves, allow, code) in [
        (vec![client], None, ResponseCode::NoError),
        (vec!["203.0.113.8".parse().unwrap()], None, ResponseCode::Refused),
        (vec![client], Some(vec!["10.0.0.0/8".parse().unwrap()]), ResponseCode::Refused),
    ] {
        let case = format!("{serves:?} {allow:?}");
        let school = school(Rules { serves, ..Rules::default() }, |config| config.allow = allow);
        let answered = school.handler.handle(&message, asked).await;
        let reply = Message::from_vec(&answered.reply.unwrap()).unwrap();
        assert_eq!(reply.metadata.response_code, code, "{case}");
    }
}

#[tokio::test]
async fn a_flood_is_refused_and_told_why() {
    let school = school(Rules::default(), |config| {
        config.rate_limit = 1;
        config.rate_burst = 3;
    });
    let mut refused = 0;
    for _ in 0..8 {
        let reply = school.ask(&edns_query("a.test.", RecordType::A)).await;
        if reply.metadata.response_code == ResponseCode::Refused {
            refused += 1;
            assert_eq!(edes(&reply)[0].0, 0);
            assert!(edes(&reply)[0].1.contains("rate_limit"));
        }
    }
    assert!((3..=5).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_trusted_forwarder_names_its_client() {
    use hickory_proto::rr::rdata::opt::ClientSubnet;
    for (trusted, expected) in [(vec!["127.0.0.1".parse().unwrap()], "10.20.2.9"), (vec![], "127.0.0.1")] {
        let school = school(Rules::default(), |config| config.trusted_forwarders = trusted);
        let mut message = edns_query("a.test.", RecordType::A);
        let subnet = ClientSubnet::new("10.20.2.9".parse().unwrap(), 32, 0);
        message.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Subnet(subnet));
        let asked = Asked {
            from: "127.0.0.1:9".parse().unwrap(),
            at: "127.0.0.1".parse().unwrap(),
            transport: Transport::Udp,
        };
        let answered = school.handler.handle(&message.to_vec().unwrap(), asked).await;
        let outcome = answered.outcome.unwrap();
        assert_eq!(outcome.address, expected.parse::<IpAddr>().unwrap());
        assert_eq!(outcome.client.unwrap().address, outcome.address);
    }
}
