//! Sockets: which address answers, what waits, what is closed.

use super::*;

#[tokio::test]
async fn an_answer_leaves_from_the_address_that_was_asked() {
    let school = school(Rules::default(), |config| config.listen = vec!["0.0.0.0:0".parse().unwrap()]);
    for last in [1, 2, 77] {
        let at = SocketAddr::from(([127, 0, 0, last], school.at.port()));
        let packet = query("page.blocked.test.", RecordType::A).to_vec().unwrap();
        let reply = Message::from_vec(&exchange(at, &packet).await).unwrap();
        assert_eq!(reply.answers[0].data.to_string(), at.ip().to_string(), "and the page is there too");
    }
}

#[tokio::test]
async fn both_families_are_served_on_one_port() {
    let free = Server::bind(&Config { listen: vec!["[::1]:0".parse().unwrap()], ..Config::default() });
    let Ok(free) = free else {
        eprintln!("this machine has no IPv6: the IPv6 half can't be shown here");
        return;
    };
    let port = free.addresses()[0].port();
    drop(free);
    let listen: Vec<SocketAddr> = vec![
        SocketAddr::from(([0, 0, 0, 0], port)),
        SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)),
    ];
    let _school = school(Rules::default(), |config| config.listen = listen);
    for (at, kind, page) in [("127.0.0.1", RecordType::A, "127.0.0.1"), ("::1", RecordType::AAAA, "::1")] {
        let at = SocketAddr::new(at.parse().unwrap(), port);
        let packet = query("page.blocked.test.", kind).to_vec().unwrap();
        let reply = Message::from_vec(&exchange(at, &packet).await).unwrap();
        assert_eq!(reply.answers[0].data.to_string(), page);
        let mut stream = Stream(TcpStream::connect(at).await.unwrap());
        stream.send(&query("page.blocked.test.", kind)).await;
        assert_eq!(stream.receive().await.answers[0].data.to_string(), page);
    }
}

#[tokio::test]
async fn a_slow_question_does_not_hold_up_the_next_packet() {
    let school = plain_school();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (slow, fast) = (query("a.slow.test.", RecordType::A), query("fast.test.", RecordType::A));
    for message in [&slow, &fast] {
        socket.send_to(&message.to_vec().unwrap(), school.at).await.unwrap();
    }
    let id = async || Message::from_vec(&receive(&socket).await.0).unwrap().metadata.id;
    assert_eq!(id().await, fast.metadata.id);
    school.internet.release(1);
    assert_eq!(id().await, slow.metadata.id);
}

#[tokio::test]
async fn many_packets_at_once_are_all_answered() {
    let school = plain_school();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut waiting = std::collections::HashSet::new();
    for _ in 0..200 {
        let message = query("a.test.", RecordType::A);
        waiting.insert(message.metadata.id);
        socket.send_to(&message.to_vec().unwrap(), school.at).await.unwrap();
    }
    while !waiting.is_empty() {
        let reply = Message::from_vec(&receive(&socket).await.0).unwrap();
        assert!(waiting.remove(&reply.metadata.id));
    }
}

#[tokio::test]
async fn too_many_waiting_questions_are_told_so() {
    let school = school(Rules::default(), |config| config.waiting_questions = 2);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..2 {
        let message = query("a.slow.test.", RecordType::A);
        socket.send_to(&message.to_vec().unwrap(), school.at).await.unwrap();
    }
    school.internet.wait_for(2).await;
    let reply = school.ask(&edns_query("b.slow.test.", RecordType::A)).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert!(edes(&reply)[0].1.contains("too many"));
    let reply = school.ask(&query("fast.test.", RecordType::A)).await;
    assert_eq!(
        reply.metadata.response_code,
        ResponseCode::NoError,
        "what is at hand is answered all the same"
    );
    school.internet.release(2);
    receive(&socket).await;
    receive(&socket).await;
}

#[tokio::test]
async fn answers_of_one_stream_come_in_the_order_in_which_they_are_done() {
    let school = plain_school();
    let mut stream = school.connect().await;
    let questions = [
        query("a.slow.test.", RecordType::A),
        query("fast.test.", RecordType::A),
        query("null.blocked.test.", RecordType::A),
    ];
    for question in &questions {
        stream.send(question).await;
    }
    assert_eq!(stream.receive().await.metadata.id, questions[1].metadata.id);
    assert_eq!(stream.receive().await.metadata.id, questions[2].metadata.id);
    school.internet.release(1);
    assert_eq!(stream.receive().await.metadata.id, questions[0].metadata.id);
}

#[tokio::test]
async fn a_question_in_crumbs_is_still_a_question() {
    let school = plain_school();
    let mut stream = school.connect().await;
    stream.0.set_nodelay(true).unwrap();
    let message = query("a.test.", RecordType::A);
    let bytes = message.to_vec().unwrap();
    stream.0.write_all(&[0]).await.unwrap();
    stream.0.write_all(&[bytes.len() as u8]).await.unwrap();
    for byte in &bytes {
        stream.0.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(stream.receive().await.metadata.id, message.metadata.id);
}

#[tokio::test]
async fn a_message_of_the_largest_size_is_read() {
    let school = plain_school();
    let mut stream = school.connect().await;
    let mut bytes = query("a.test.", RecordType::A).to_vec().unwrap();
    bytes.resize(65_535, 0);
    stream.0.write_all(&u16::MAX.to_be_bytes()).await.unwrap();
    stream.0.write_all(&bytes).await.unwrap();
    assert_eq!(stream.receive().await.metadata.response_code, ResponseCode::NoError);
}

#[tokio::test]
async fn an_asker_that_closes_its_half_still_gets_its_answers() {
    let school = plain_school();
    let mut stream = school.connect().await;
    stream.send(&query("a.slow.test.", RecordType::A)).await;
    stream.0.shutdown().await.unwrap();
    school.internet.wait_for(1).await;
    school.internet.release(1);
    assert_eq!(stream.receive().await.metadata.response_code, ResponseCode::NoError);
    stream.closes().await;
}

#[tokio::test]
async fn a_silent_stream_is_closed_and_so_is_half_a_question() {
    let school = school(Rules::default(), |config| config.tcp_idle_seconds = 1);
    let mut silent = school.connect().await;
    let mut half = school.connect().await;
    half.0.write_all(&[0, 40, 1]).await.unwrap();
    let mut patient = school.connect().await;
    patient.send(&query("a.slow.test.", RecordType::A)).await;
    tokio::join!(silent.closes(), half.closes());
    school.internet.release(1);
    assert_eq!(patient.receive().await.metadata.response_code, ResponseCode::NoError, "we owed it an answer");
    patient.closes().await;
}

#[tokio::test]
async fn keepalive_is_told_over_tcp_to_those_who_ask() {
    let school = plain_school();
    let mut message = edns_query("a.test.", RecordType::A);
    message.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(11, vec![]));
    let option = |reply: &Message| reply.edns.as_ref().unwrap().option(11.into()).cloned();
    assert_eq!(option(&school.ask(&message).await), None, "not over UDP");
    let mut stream = school.connect().await;
    stream.send(&message).await;
    assert_eq!(option(&stream.receive().await), Some(EdnsOption::Unknown(11, vec![0, 100])));
}

#[tokio::test]
async fn one_client_has_so_many_streams_and_the_idle_ones_make_room() {
    let school = school(Rules::default(), |config| config.tcp_connections_per_client = 2);
    let ask = query("a.test.", RecordType::A);
    let mut first = school.connect().await;
    first.send(&ask).await;
    first.receive().await;
    let mut busy = school.connect().await;
    busy.send(&query("a.slow.test.", RecordType::A)).await;
    school.internet.wait_for(2).await;
    let mut third = school.connect().await;
    first.closes().await;
    third.send(&query("b.slow.test.", RecordType::A)).await;
    school.internet.wait_for(3).await;
    let mut refused = school.connect().await;
    refused.closes().await;
    school.internet.release(2);
    busy.receive().await;
    third.receive().await;
}

#[tokio::test]
async fn a_full_pipeline_leaves_questions_unread_and_loses_none() {
    let school = school(Rules::default(), |config| config.tcp_pipeline = 4);
    let mut stream = school.connect().await;
    for _ in 0..20 {
        stream.send(&query("a.slow.test.", RecordType::A)).await;
    }
    school.internet.wait_for(4).await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(school.internet.asked.load(Ordering::SeqCst), 4);
    school.internet.release(20);
    for _ in 0..20 {
        stream.receive().await;
    }
}

#[tokio::test]
async fn stopping_answers_what_is_owed_and_frees_the_port() {
    let mut school = plain_school();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&query("a.slow.test.", RecordType::A).to_vec().unwrap(), school.at).await.unwrap();
    let mut stream = school.connect().await;
    stream.send(&query("b.slow.test.", RecordType::A)).await;
    school.internet.wait_for(2).await;
    school.stop.cancel();
    school.internet.release(2);
    receive(&socket).await;
    stream.receive().await;
    stream.closes().await;
    tokio::time::timeout(PATIENCE, &mut school.server).await.expect("it stops").unwrap().unwrap();
    Server::bind(&Config { listen: vec![school.at], ..Config::default() }).unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let mut school = plain_school();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&query("a.slow.test.", RecordType::A).to_vec().unwrap(), school.at).await.unwrap();
    school.internet.wait_for(1).await;
    school.stop.cancel();
    tokio::time::timeout(PATIENCE, &mut school.server).await.expect("it stops").unwrap().unwrap();
}
