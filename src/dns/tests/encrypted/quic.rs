//! DNS over QUIC.

use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, ReadToEndError, VarInt,
    crypto::rustls::QuicClientConfig,
};

use super::*;

/// A client with one connection.
pub(super) struct Client {
    connection: Connection,
    _endpoint: Endpoint,
}

fn endpoint(school: &Secure) -> Endpoint {
    let config = QuicClientConfig::try_from(school.client(&["doq"])).unwrap();
    let mut endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(config)));
    endpoint
}

impl Client {
    pub(super) async fn open(school: &Secure) -> Self {
        let endpoint = endpoint(school);
        let connecting = endpoint.connect(school.encrypted.quic[0], "127.0.0.1").unwrap();
        let connection = tokio::time::timeout(PATIENCE, connecting).await.unwrap().unwrap();
        Self { connection, _endpoint: endpoint }
    }

    /// Sends bytes on a stream of their own and ends it, and gives all that comes back.
    async fn send(&self, bytes: &[u8]) -> Result<Vec<u8>, ReadToEndError> {
        let sending = async {
            let (mut sending, mut receiving) =
                self.connection.open_bi().await.map_err(|error| ReadToEndError::Read(error.into()))?;
            // Whoever closes the connection may be quicker.
            let _ = sending.write_all(bytes).await;
            let _ = sending.finish();
            receiving.read_to_end(70_000).await
        };
        tokio::time::timeout(PATIENCE, sending).await.expect("it ends")
    }

    async fn exchange(&self, mut message: Message) -> Result<Message, ReadToEndError> {
        message.metadata.id = 0;
        let reply = self.send(&framed(&message)).await?;
        assert_eq!(
            usize::from(u16::from_be_bytes([reply[0], reply[1]])),
            reply.len() - 2,
            "one message, whole"
        );
        Ok(Message::from_vec(&reply[2..]).unwrap())
    }

    pub(super) async fn ask(&self, asked: &str) -> Result<Message, ReadToEndError> {
        self.exchange(query(asked, RecordType::A)).await
    }

    /// The code with which the server closes the connection.
    async fn code(&self) -> u64 {
        let closed = tokio::time::timeout(PATIENCE, self.connection.closed()).await.expect("it is closed");
        match closed {
            ConnectionError::ApplicationClosed(closed) => closed.error_code.into_inner(),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn each_question_has_a_stream_and_none_waits_for_another() {
    let school = secure(|_| {});
    let client = Client::open(&school).await;
    let slow = client.ask("a.slow.test.");
    let fast = async {
        school.internet.wait_for(1).await;
        let reply = client.ask("fast.test.").await.unwrap();
        school.internet.release(1);
        reply
    };
    let (slow, fast) = tokio::join!(slow, fast);
    assert_eq!((slow.unwrap().metadata.id, fast.metadata.id), (0, 0));
    let heard: Vec<(String, Transport)> = school.heard();
    assert_eq!(heard[0], (String::from("fast.test"), Transport::Quic));
    assert_eq!(heard.len(), 2);
}

#[tokio::test]
async fn a_long_answer_comes_whole_and_a_padded_question_is_padded() {
    let school = secure(|_| {});
    let texts = (0..300)
        .map(|_| Record::from_rdata(name("long.test."), 60, RData::TXT(TXT::new(vec!["x".repeat(199)]))));
    school.internet.put("long.test.", RecordType::TXT, positive(texts.collect()));
    let client = Client::open(&school).await;
    let reply = client.exchange(query("long.test.", RecordType::TXT)).await.unwrap();
    assert_eq!(reply.answers.len(), 300);
    let mut padded = edns_query("a.test.", RecordType::A);
    padded.metadata.id = 0;
    padded.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(12, vec![0; 40]));
    assert_eq!(client.send(&framed(&padded)).await.unwrap().len(), 2 + 468);
}

#[tokio::test]
async fn who_does_not_keep_to_the_protocol_is_told_so_and_let_go() {
    let school = secure(|_| {});
    let mut good = query("a.test.", RecordType::A);
    good.metadata.id = 0;
    let mut numbered = good.clone();
    numbered.metadata.id = 7;
    let mut kept_alive = edns_query("a.test.", RecordType::A);
    kept_alive.metadata.id = 0;
    kept_alive.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(11, vec![]));
    let good = framed(&good);
    for bytes in [
        vec![],
        vec![0],
        vec![0, 0],
        good[..good.len() - 1].to_vec(),
        [good.clone(), good.clone()].concat(),
        framed(&numbered),
        framed(&kept_alive),
    ] {
        let client = Client::open(&school).await;
        assert!(client.send(&bytes).await.is_err(), "{bytes:?}");
        assert_eq!(client.code().await, 2, "{bytes:?}");
    }
    assert!(school.heard().is_empty());
    school.answers().await;
}

#[tokio::test]
async fn half_a_question_and_one_without_an_end_cost_their_stream_alone() {
    let school = secure(|config| config.tcp_idle_seconds = 1);
    let client = Client::open(&school).await;
    let (mut sending, mut receiving) = client.connection.open_bi().await.unwrap();
    sending.write_all(&framed(&query("a.test.", RecordType::A))).await.unwrap();
    let slow = client.ask("a.slow.test.");
    let watch = async {
        let ended = tokio::time::timeout(PATIENCE, receiving.read_to_end(1)).await.unwrap();
        let reset = quinn::ReadError::Reset(VarInt::from_u32(5));
        assert_eq!(ended, Err(ReadToEndError::Read(reset)), "no FIN came");
        school.internet.release(1);
    };
    let (slow, ()) = tokio::join!(slow, watch);
    slow.unwrap();
    let large = [&[0xff, 0xff][..], &[0; 65_535]].concat();
    let reset = quinn::ReadError::Reset(VarInt::from_u32(4));
    assert_eq!(client.send(&large).await, Err(ReadToEndError::Read(reset)));
    client.ask("b.test.").await.unwrap();
    assert_eq!(client.code().await, 0, "then silence ends it, without an error");
}

#[tokio::test]
async fn a_thousand_streams_are_answered_so_many_at_a_time() {
    let school = secure(|config| config.tcp_pipeline = 16);
    let client = Client::open(&school).await;
    let all = futures_util::future::join_all((0..1000).map(|_| client.ask("a.slow.test.")));
    let watch = async {
        school.internet.wait_for(16).await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(school.internet.asked.load(Ordering::SeqCst), 16);
        school.internet.release(1000);
    };
    let (replies, ()) = tokio::join!(all, watch);
    assert!(replies.into_iter().all(|reply| reply.is_ok()));
}

#[tokio::test]
async fn one_client_has_so_many_connections_and_the_idle_ones_make_room() {
    let school = secure(|config| config.tcp_connections_per_client = 2);
    let first = Client::open(&school).await;
    first.ask("a.test.").await.unwrap();
    let busy = [Client::open(&school).await, Client::open(&school).await];
    assert_eq!(first.code().await, 0, "the idle one made room");
    let asking = futures_util::future::join_all(busy.iter().map(|client| client.ask("a.slow.test.")));
    let watch = async {
        school.internet.wait_for(3).await;
        assert_eq!(Client::open(&school).await.code().await, 4, "none is idle");
        school.internet.release(2);
    };
    let (replies, ()) = tokio::join!(asking, watch);
    assert!(replies.into_iter().all(|reply| reply.is_ok()));
}

#[tokio::test]
async fn a_question_that_is_taken_back_is_not_waited_for() {
    let school = secure(|_| {});
    let client = Client::open(&school).await;
    let mut message = query("a.slow.test.", RecordType::A);
    message.metadata.id = 0;
    let (mut sending, mut receiving) = client.connection.open_bi().await.unwrap();
    sending.write_all(&framed(&message)).await.unwrap();
    sending.finish().unwrap();
    school.internet.wait_for(1).await;
    receiving.stop(VarInt::from_u32(3)).unwrap();
    client.ask("fast.test.").await.unwrap();
    drop(client);
    school.answers().await;
}

/// The first packet of a handshake that nobody goes on with.
async fn first_packet(school: &Secure) -> Vec<u8> {
    let hole = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(school);
    let _connecting = endpoint.connect(hole.local_addr().unwrap(), "127.0.0.1").unwrap();
    receive(&hole).await.0
}

#[tokio::test]
async fn many_unfinished_handshakes_make_others_show_that_their_address_is_theirs() {
    let school = secure(|_| {});
    let at = school.encrypted.quic[0];
    let mut halves = Vec::new();
    for _ in 0..20 {
        let half = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        half.send_to(&first_packet(&school).await, at).await.unwrap();
        halves.push(half);
    }
    // The last of them got a Retry (type 3 of a long header), and nothing was begun for it.
    let (reply, _) = receive(&halves[19]).await;
    assert_eq!((reply[0] & 0xf0, reply.len() < 300), (0xf0, true), "{:x}", reply[0]);
    school.answers().await;
}

#[tokio::test]
async fn stopping_answers_what_is_owed_and_says_goodbye() {
    let mut school = secure(|_| {});
    let client = Client::open(&school).await;
    let idle = Client::open(&school).await;
    let watch = async {
        school.internet.wait_for(1).await;
        school.stop.cancel();
        school.internet.release(1);
    };
    let (reply, ()) = tokio::join!(client.ask("a.slow.test."), watch);
    reply.unwrap();
    assert_eq!((client.code().await, idle.code().await), (0, 0));
    tokio::time::timeout(PATIENCE, &mut school.school.server).await.expect("it stops").unwrap().unwrap();
}
