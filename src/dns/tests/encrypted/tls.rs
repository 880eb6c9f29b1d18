//! DNS over TLS.

use super::*;

#[tokio::test]
async fn answers_come_in_the_order_in_which_they_are_done_and_the_log_says_how() {
    let school = secure(|_| {});
    for protocols in [&["dot"][..], &[]] {
        let mut stream = Stream(school.handshake(school.encrypted.tls[0], protocols).await.unwrap());
        let slow = query("a.slow.test.", RecordType::A);
        let fast = query("fast.test.", RecordType::A);
        stream.send(&slow).await;
        stream.send(&fast).await;
        assert_eq!(stream.receive().await.metadata.id, fast.metadata.id);
        school.internet.release(1);
        assert_eq!(stream.receive().await.metadata.id, slow.metadata.id);
    }
    let kinds: Vec<Transport> = school.heard().into_iter().map(|(_, transport)| transport).collect();
    assert_eq!(kinds, [Transport::Tls; 4]);
    assert!(
        school.handshake(school.encrypted.tls[0], &["h2"]).await.is_err(),
        "another protocol is not spoken here"
    );
}

#[tokio::test]
async fn who_pads_is_padded_and_who_asks_is_told_how_long_a_connection_lasts() {
    let school = secure(|_| {});
    let mut stream = Stream(school.handshake(school.encrypted.tls[0], &["dot"]).await.unwrap());
    let mut message = edns_query("a.test.", RecordType::A);
    let options = message.edns.as_mut().unwrap().options_mut();
    options.insert(EdnsOption::Unknown(12, vec![0; 40]));
    options.insert(EdnsOption::Unknown(11, vec![]));
    stream.send(&message).await;
    let length = stream.0.read_u16().await.unwrap();
    assert_eq!(length, 468);
    let mut bytes = vec![0; usize::from(length)];
    stream.0.read_exact(&mut bytes).await.unwrap();
    let edns = Message::from_vec(&bytes).unwrap().edns.unwrap();
    assert_eq!(edns.option(11.into()), Some(&EdnsOption::Unknown(11, vec![0, 100])));
    let mut plain = school.connect().await;
    plain.send(&message).await;
    assert_eq!(plain.receive().await.edns.unwrap().option(12.into()), None, "in clear it hides nothing");
}

#[tokio::test]
async fn a_long_answer_comes_whole() {
    let school = secure(|_| {});
    let texts = (0..300)
        .map(|_| Record::from_rdata(name("long.test."), 60, RData::TXT(TXT::new(vec!["x".repeat(199)]))));
    school.internet.put("long.test.", RecordType::TXT, positive(texts.collect()));
    let mut stream = Stream(school.handshake(school.encrypted.tls[0], &[]).await.unwrap());
    for _ in 0..4 {
        stream.send(&query("long.test.", RecordType::TXT)).await;
    }
    for _ in 0..4 {
        assert_eq!(stream.receive().await.answers.len(), 300);
    }
}

#[tokio::test]
async fn who_leaves_within_an_answer_harms_nobody() {
    let school = secure(|_| {});
    let long = (0..300)
        .map(|_| Record::from_rdata(name("long.test."), 60, RData::TXT(TXT::new(vec!["x".repeat(199)]))));
    school.internet.put("long.test.", RecordType::TXT, positive(long.collect()));
    let mut stream = Stream(school.handshake(school.encrypted.tls[0], &[]).await.unwrap());
    for _ in 0..20 {
        stream.send(&query("long.test.", RecordType::TXT)).await;
    }
    stream.0.read_exact(&mut [0; 100]).await.unwrap();
    drop(stream);
    school.answers().await;
}

#[tokio::test]
async fn half_a_handshake_other_bytes_and_silence_end_by_themselves() {
    let school = secure(|config| config.tcp_idle_seconds = 1);
    for at in [school.encrypted.tls[0], school.encrypted.https[0]] {
        let mut silent = TcpStream::connect(at).await.unwrap();
        let mut half = TcpStream::connect(at).await.unwrap();
        half.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1]).await.unwrap();
        let mut plain = Stream(TcpStream::connect(at).await.unwrap());
        plain.send(&query("a.test.", RecordType::A)).await;
        let mut shaken = school.handshake(at, &[]).await.unwrap();
        tokio::join!(closed(&mut silent), closed(&mut half), closed(&mut plain.0), closed(&mut shaken));
    }
    school.answers().await;
}

#[tokio::test]
async fn handshakes_take_seats_and_make_room() {
    let school = secure(|config| config.tcp_connections_per_client = 2);
    let at = school.encrypted.tls[0];
    let mut held = TcpStream::connect(at).await.unwrap();
    let mut next = TcpStream::connect(at).await.unwrap();
    let mut third = Stream(school.handshake(at, &[]).await.unwrap());
    closed(&mut held).await;
    third.send(&query("a.test.", RecordType::A)).await;
    third.receive().await;
    let _fourth = school.handshake(at, &[]).await.unwrap();
    closed(&mut next).await;
}

#[tokio::test]
async fn a_certificate_is_shown_from_when_it_is_there() {
    let school = secure(|_| {});
    let late = school_with(Rules::default(), |config| config.tls = any(), |handler| handler);
    let at = late.encrypted.tls[0];
    assert!(school.handshake(at, &[]).await.is_err(), "there is none yet");
    late.shown.set(Arc::clone(&school.certificates));
    let mut stream = Stream(school.handshake(at, &[]).await.unwrap());
    // Another one: who is connected notices nothing, and who comes sees it.
    let folder = tempfile::tempdir().unwrap();
    late.shown.set(Arc::new(Certificates::open(folder.path(), &[], &Clock::system()).unwrap()));
    assert!(school.handshake(at, &[]).await.is_err(), "its authority is not trusted");
    stream.send(&query("a.test.", RecordType::A)).await;
    stream.receive().await;
}

#[tokio::test]
async fn networks_that_are_not_served_get_no_handshake() {
    let school = secure(|config| config.allow = Some(vec!["10.0.0.0/8".parse().unwrap()]));
    for at in [school.encrypted.tls[0], school.encrypted.https[0]] {
        assert!(school.handshake(at, &[]).await.is_err());
    }
}

#[tokio::test]
async fn stopping_answers_what_is_owed_and_says_goodbye() {
    let mut school = secure(|_| {});
    let mut stream = Stream(school.handshake(school.encrypted.tls[0], &[]).await.unwrap());
    stream.send(&query("a.slow.test.", RecordType::A)).await;
    school.internet.wait_for(1).await;
    let _half = TcpStream::connect(school.encrypted.tls[0]).await.unwrap();
    school.stop.cancel();
    school.internet.release(1);
    stream.receive().await;
    // Without close_notify this would be an error.
    assert_eq!(stream.0.read(&mut [0; 1]).await.unwrap(), 0);
    tokio::time::timeout(PATIENCE, &mut school.school.server).await.expect("it stops").unwrap().unwrap();
}
