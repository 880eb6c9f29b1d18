//! Notices of new zone versions, over sockets.

use super::*;

fn notice() -> Message {
    let mut message = Message::new(rand_id(), MessageType::Query, OpCode::Notify);
    message.metadata.authoritative = true;
    message.add_query(Query::query(name("rpz.trust.example."), RecordType::SOA));
    message
}

/// A school that answers notices by an echo with QR, and where nobody but 192.0.2.0/24 may ask, or everybody.
fn echoing(known: bool, allowed: bool) -> School {
    let allow = if allowed { "127.0.0.0/8" } else { "192.0.2.0/24" };
    let change = |config: &mut Config| config.allow = Some(vec![allow.parse().unwrap()]);
    school_with(Rules::default(), change, |handler| {
        handler.with_notices(move |packet, from| {
            assert_eq!(from, IpAddr::from([127, 0, 0, 1]));
            let mut bytes = packet.to_vec();
            bytes[2] |= 0x80;
            Some(NoticeReply { bytes, known })
        })
    })
}

#[tokio::test]
async fn a_known_primary_is_answered_wherever_it_is() {
    let school = echoing(true, false);
    let reply = school.ask(&notice()).await;
    assert_eq!(reply.metadata.op_code, OpCode::Notify);
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    assert_eq!(
        school.ask(&query("a.test.", RecordType::A)).await.metadata.response_code,
        ResponseCode::Refused
    );
}

#[tokio::test]
async fn a_notice_over_tcp_is_taken_too() {
    let school = echoing(true, false);
    let sent = notice();
    let mut stream = school.connect().await;
    stream.send(&sent).await;
    assert_eq!(stream.receive().await.metadata.id, sent.metadata.id);
}

#[tokio::test]
async fn an_unknown_sender_is_answered_in_our_networks_only() {
    echoing(false, true).ask(&notice()).await;
    echoing(false, false).is_silent_about(&notice().to_vec().unwrap()).await;
}

#[tokio::test]
async fn a_flood_of_notices_is_met_by_silence() {
    let school = school_with(
        Rules::default(),
        |config| {
            config.rate_limit = 1;
            config.rate_burst = 2;
        },
        |handler| handler.with_notices(|packet, _| Some(NoticeReply { bytes: packet.to_vec(), known: true })),
    );
    let asked = Asked {
        from: "192.0.2.53:5300".parse().unwrap(),
        at: "127.0.0.1".parse().unwrap(),
        transport: Transport::Udp,
    };
    let packet = notice().to_vec().unwrap();
    let mut answered = 0;
    for _ in 0..100 {
        answered += usize::from(school.handler.handle(&packet, asked).await.reply.is_some());
    }
    assert!((2..50).contains(&answered), "{answered}");
}

#[tokio::test]
async fn without_a_taker_a_notice_is_not_implemented() {
    let reply = plain_school().bytes(&notice().to_vec().unwrap()).await;
    assert_eq!(reply[3] & 0x0f, 4);
}
