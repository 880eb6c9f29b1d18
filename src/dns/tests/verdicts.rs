//! What a verdict looks like on the wire.

use hickory_proto::rr::rdata::{
    HTTPS, SVCB,
    svcb::{Alpn, EchConfigList, SvcParamKey, SvcParamValue},
};

use super::*;

const TYPES: [RecordType; 4] = [RecordType::A, RecordType::AAAA, RecordType::HTTPS, RecordType::TXT];

fn with_ech(owner: &str) -> Record {
    let params = vec![
        (SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(vec!["h2".into()]))),
        (SvcParamKey::EchConfigList, SvcParamValue::EchConfigList(EchConfigList(vec![1, 2, 3]))),
    ];
    Record::from_rdata(name(owner), 600, RData::HTTPS(HTTPS(SVCB::new(1, Name::root(), params))))
}

fn alias(from: &str, to: &str) -> Record {
    Record::from_rdata(name(from), 600, RData::CNAME(CNAME(name(to))))
}

#[tokio::test]
async fn every_block_response_answers_every_type() {
    let school = plain_school();
    for how in BlockResponse::ALL {
        let word = word(how);
        for kind in TYPES {
            let asked = format!("{}.Blocked.test.", word.to_uppercase());
            let reply = school.ask(&edns_query(&asked, kind)).await;
            let address = match (how, kind) {
                (BlockResponse::BlockPage, RecordType::A) => Some("127.0.0.1"),
                (BlockResponse::NullAddress, RecordType::A) => Some("0.0.0.0"),
                (BlockResponse::NullAddress, RecordType::AAAA) => Some("::"),
                _ => None,
            };
            assert_eq!(
                reply.answers.first().map(|r| r.data.to_string()).as_deref(),
                address,
                "{word} {kind}"
            );
            let rcode = match how {
                BlockResponse::NxDomain => ResponseCode::NXDomain,
                BlockResponse::Refused => ResponseCode::Refused,
                _ => ResponseCode::NoError,
            };
            assert_eq!(reply.metadata.response_code, rcode, "{word} {kind}");
            let soa = reply.authorities.first().map(Record::record_type);
            let needs_soa = address.is_none() && how != BlockResponse::Refused;
            assert_eq!(soa, needs_soa.then_some(RecordType::SOA), "{word} {kind}");
            assert!(reply.all_sections().all(|record| record.ttl == 10), "{word} {kind}");
            assert_eq!(edes(&reply), [(17, format!("about {word}.blocked.test"))]);
            assert!(!reply.metadata.authentic_data);
        }
    }
    assert_eq!(school.internet.asked.load(Ordering::SeqCst), 0, "nobody outside hears of a blocked name");
}

#[tokio::test]
async fn the_page_is_where_it_is_set_to_be() {
    let school = school(Rules::default(), |config| {
        config.page_addresses = vec!["192.0.2.80".parse().unwrap(), "2001:db8::80".parse().unwrap()];
    });
    for (kind, address) in [(RecordType::A, "192.0.2.80"), (RecordType::AAAA, "2001:db8::80")] {
        let reply = school.ask(&query("page.blocked.test.", kind)).await;
        assert_eq!(reply.answers[0].data.to_string(), address);
    }
}

#[tokio::test]
async fn the_page_is_never_on_the_loopback_of_another_machine() {
    let school = plain_school();
    let asked = Asked {
        from: "192.168.7.7:5000".parse().unwrap(),
        at: "192.168.7.1".parse().unwrap(),
        transport: Transport::Udp,
    };
    for (kind, address) in [(RecordType::A, Some("192.168.7.1")), (RecordType::AAAA, None)] {
        let packet = query("page.blocked.test.", kind).to_vec().unwrap();
        let reply = school.handler.handle(&packet, asked).await.reply.unwrap();
        let reply = Message::from_vec(&reply).unwrap();
        assert_eq!(reply.answers.first().map(|r| r.data.to_string()).as_deref(), address);
    }
}

#[tokio::test]
async fn checking_disabled_goes_around_no_block() {
    let school = plain_school();
    school.internet.put("shop.test.", RecordType::A, positive(vec![alias("shop.test.", "a.cloaked.test.")]));
    for asked in ["nxdomain.blocked.test.", "shop.test."] {
        let mut message = query(asked, RecordType::A);
        message.metadata.checking_disabled = true;
        assert_eq!(school.ask(&message).await.metadata.response_code, ResponseCode::NXDomain, "{asked}");
    }
}

#[tokio::test]
async fn a_structured_reason_is_for_those_who_ask_for_one() {
    let school = plain_school();
    let mut message = edns_query("nodata.blocked.test.", RecordType::A);
    message.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(15, vec![0, 0]));
    assert_eq!(edes(&school.ask(&message).await), [(17, "{\"j\":\"about it\"}".into())]);
}

#[tokio::test]
async fn a_block_after_resolution_looks_like_one_before() {
    let school = plain_school();
    let hidden = vec![
        alias("shop.test.", "a.cloaked.test."),
        Record::from_rdata(name("a.cloaked.test."), 600, RData::A(A::new(192, 0, 2, 66))),
    ];
    school.internet.put("shop.test.", RecordType::A, positive(hidden.clone()));
    let failed = Resolved { answers: hidden[..1].to_vec(), ..negative(ResponseCode::ServFail) };
    school.internet.put("shop.test.", RecordType::AAAA, failed);
    for kind in [RecordType::A, RecordType::AAAA] {
        let reply = school.ask(&edns_query("shop.test.", kind)).await;
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{kind}");
        assert!(reply.answers.is_empty());
        assert_eq!(reply.authorities[0].ttl, 10);
        assert_eq!(edes(&reply)[0].0, 17);
    }
}

#[tokio::test]
async fn a_rewritten_name_leads_to_its_target_only() {
    let school = plain_school();
    school.internet.put("safe.test.", RecordType::HTTPS, positive(vec![with_ech("safe.test.")]));
    for (kind, data) in [(RecordType::A, "192.0.2.1"), (RecordType::AAAA, "2001:db8::1")] {
        let mut message = edns_query("Search.test.", kind);
        message.edns.as_mut().unwrap().set_dnssec_ok(true);
        let reply = school.ask(&message).await;
        assert_eq!(reply.answers[0].name.to_ascii(), "Search.test.");
        assert_eq!(reply.answers[0].data.to_string(), "safe.test.");
        assert_eq!(reply.answers[1].data.to_string(), data);
        assert!(reply.answers.iter().all(|record| record.ttl <= 300));
        assert!(!reply.metadata.authentic_data);
        assert_eq!(edes(&reply)[0].0, 4);
    }
    let reply = school.ask(&query("search.test.", RecordType::HTTPS)).await;
    assert_eq!(reply.answers.len(), 2);
    assert_eq!(reply.answers[1].record_type(), RecordType::HTTPS);
    let reply = school.ask(&query("search.test.", RecordType::TXT)).await;
    assert!(reply.answers.is_empty() && reply.authorities.len() == 1);
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
}

#[tokio::test]
async fn a_rewritten_name_whose_target_fails_is_not_itself() {
    for kind in [RecordType::A, RecordType::AAAA, RecordType::HTTPS] {
        for rcode in [ResponseCode::ServFail, ResponseCode::NXDomain] {
            let school = plain_school();
            school.internet.put("safe.test.", kind, negative(rcode));
            let reply = school.ask(&query("search.test.", kind)).await;
            assert_eq!(reply.metadata.response_code, ResponseCode::ServFail, "{kind} {rcode}");
            assert!(reply.answers.is_empty());
        }
    }
    let rules = Rules { last_good: vec!["192.0.2.99".parse().unwrap()], ..Rules::default() };
    let school = school(rules, |_| {});
    school.internet.put("safe.test.", RecordType::A, negative(ResponseCode::ServFail));
    let reply = school.ask(&edns_query("search.test.", RecordType::A)).await;
    assert_eq!(reply.answers[1].data.to_string(), "192.0.2.99");
    assert!(edes(&reply).iter().all(|(code, _)| *code == 4));
    let bogus = Resolved { security: Security::Bogus, ..positive(vec![with_ech("safe.test.")]) };
    school.internet.put("safe.test.", RecordType::HTTPS, bogus);
    let reply = school.ask(&query("search.test.", RecordType::HTTPS)).await;
    assert!(reply.answers.iter().all(|record| record.record_type() == RecordType::CNAME));
}

#[tokio::test]
async fn a_rewrite_to_an_alias_that_is_blocked_is_blocked() {
    let school = plain_school();
    school.internet.put("safe.test.", RecordType::A, positive(vec![alias("safe.test.", "b.cloaked.test.")]));
    let reply = school.ask(&query("search.test.", RecordType::A)).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn ech_is_taken_out_where_the_profile_says_so() {
    for strip_ech in [true, false] {
        let school = school(Rules { strip_ech, ..Rules::default() }, |_| {});
        school.internet.put("site.test.", RecordType::HTTPS, positive(vec![with_ech("site.test.")]));
        let mut message = edns_query("site.test.", RecordType::HTTPS);
        message.edns.as_mut().unwrap().set_dnssec_ok(true);
        let reply = school.ask(&message).await;
        let RData::HTTPS(https) = &reply.answers[0].data else { panic!("HTTPS") };
        let has_ech = https.0.svc_params.iter().any(|(key, _)| *key == SvcParamKey::EchConfigList);
        assert_eq!(has_ech, !strip_ech);
        assert_eq!(reply.metadata.authentic_data, !strip_ech, "a changed answer is not proven");
        assert!(https.0.svc_params.iter().any(|(key, _)| *key == SvcParamKey::Alpn));
    }
}

#[tokio::test]
async fn a_policy_that_fails_lets_nothing_through_and_others_go_on() {
    let school = plain_school();
    let reply = school.ask(&edns_query("panic.test.", RecordType::A)).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(edes(&reply)[0].0, 0);
    let mut stream = school.connect().await;
    stream.send(&query("panic.test.", RecordType::A)).await;
    assert_eq!(stream.receive().await.metadata.response_code, ResponseCode::ServFail);
    let reply = school.ask(&query("fine.test.", RecordType::A)).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
}

#[tokio::test]
async fn an_outcome_names_client_decision_and_source() {
    let school = plain_school();
    let asked = Asked {
        from: "127.0.0.1:4000".parse().unwrap(),
        at: "127.0.0.1".parse().unwrap(),
        transport: Transport::Udp,
    };
    let outcome = |text: &str| {
        let packet = query(text, RecordType::A).to_vec().unwrap();
        let handler = Arc::clone(&school.handler);
        async move { handler.handle(&packet, asked).await.outcome.unwrap() }
    };
    let blocked = outcome("Null.Blocked.test.").await;
    assert_eq!(blocked.question.key.to_string(), "null.blocked.test");
    assert_eq!(blocked.source, AnswerSource::Policy);
    assert_eq!(blocked.decision.unwrap().verdict, Verdict::Block(BlockResponse::NullAddress));
    let allowed = outcome("a.test.").await;
    assert_eq!((allowed.source, allowed.security), (AnswerSource::Upstream, Some(Security::Secure)));
    assert_eq!(allowed.client.unwrap().address.to_string(), "127.0.0.1");
}
