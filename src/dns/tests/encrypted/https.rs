//! DNS over HTTPS.

use std::future::poll_fn;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response, StatusCode};

use super::*;

/// A browser with one connection of HTTP/2.
pub(super) struct Client {
    requests: SendRequest<Bytes>,
    authority: String,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(super) async fn open(school: &Secure) -> Self {
        let at = school.encrypted.https[0];
        let stream = school.handshake(at, &["h2"]).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        Self { requests, authority: at.to_string(), connection: tokio::spawn(connection) }
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("https://{}{path}", self.authority))
    }

    /// Sends a request, and gives the response with its body.
    async fn send(
        &self,
        request: Request<()>,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, h2::Error> {
        let sending = async {
            let mut requests = self.requests.clone().ready().await?;
            let (response, mut stream) = requests.send_request(request, body.is_none())?;
            if let Some(body) = body {
                stream.send_data(body.into(), true)?;
            }
            let (parts, mut body) = response.await?.into_parts();
            let mut bytes = Vec::new();
            while let Some(data) = body.data().await {
                let data = data?;
                let _ = body.flow_control().release_capacity(data.len());
                bytes.extend_from_slice(&data);
            }
            Ok(Response::from_parts(parts, bytes))
        };
        tokio::time::timeout(PATIENCE, sending).await.expect("a response comes")
    }

    async fn post(&self, message: &Message) -> Response<Vec<u8>> {
        let request = self.request("POST", "/dns-query").header("content-type", "application/dns-message");
        self.send(request.body(()).unwrap(), Some(message.to_vec().unwrap())).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response<Vec<u8>> {
        self.send(self.request("GET", path).body(()).unwrap(), None).await.unwrap()
    }

    pub(super) async fn ask(&self, asked: &str) -> Message {
        let response = self.post(&query(asked, RecordType::A)).await;
        assert_eq!(response.status(), StatusCode::OK);
        Message::from_vec(response.body()).unwrap()
    }

    /// Waits until the other side has ended the connection.
    async fn ends(self) {
        let _ = tokio::time::timeout(PATIENCE, self.connection).await.expect("it ends").unwrap();
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// One request over HTTP/1.1, and all that comes back.
async fn http1(school: &Secure, request: &[u8]) -> String {
    let mut stream = school.handshake(school.encrypted.https[0], &["http/1.1"]).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_question_is_asked_by_get_and_by_post() {
    let school = secure(|_| {});
    let client = Client::open(&school).await;
    let question = query("a.test.", RecordType::A);
    let encoded = BASE64URL_NOPAD.encode(&question.to_vec().unwrap());
    for response in [client.post(&question).await, client.get(&format!("/dns-query?dns={encoded}")).await] {
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(response.headers(), "content-type"), "application/dns-message");
        assert_eq!(header(response.headers(), "cache-control"), "private, max-age=600");
        let reply = Message::from_vec(response.body()).unwrap();
        assert_eq!((reply.metadata.id, reply.answers.len()), (question.metadata.id, 1));
    }
    let request = format!("GET /dns-query?dns={encoded} HTTP/1.1\r\nhost: box\r\nconnection: close\r\n\r\n");
    let reply = http1(&school, request.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    assert_eq!(school.heard(), vec![(String::from("a.test"), Transport::Https); 3]);
}

#[tokio::test]
async fn blocks_and_failures_are_answers_and_say_how_long_they_may_be_kept() {
    let school = secure(|_| {});
    school.internet.put("gone.test.", RecordType::A, negative(ResponseCode::NXDomain));
    school.internet.put("broken.test.", RecordType::A, negative(ResponseCode::ServFail));
    let client = Client::open(&school).await;
    for (asked, rcode, kept) in [
        ("nxdomain.blocked.test.", ResponseCode::NXDomain, "private, max-age=10"),
        // Five is the last number of the SOA.
        ("gone.test.", ResponseCode::NXDomain, "private, max-age=5"),
        ("broken.test.", ResponseCode::ServFail, "no-store"),
        ("panic.test.", ResponseCode::ServFail, "no-store"),
    ] {
        let response = client.post(&query(asked, RecordType::A)).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(response.headers(), "cache-control"), kept, "{asked}");
        assert_eq!(Message::from_vec(response.body()).unwrap().metadata.response_code, rcode);
    }
}

#[tokio::test]
async fn what_is_no_question_is_told_by_its_status() {
    let school = secure(|_| {});
    let client = Client::open(&school).await;
    let question = query("a.test.", RecordType::A).to_vec().unwrap();
    let typed = "application/dns-message";
    for (method, path, media, body, status) in [
        ("GET", "/", "", None, 404),
        ("GET", "/dns-query", "", None, 400),
        ("GET", "/dns-query?dns=!", "", None, 400),
        ("GET", "/dns-query?dns=AAAA", "", None, 400),
        ("GET", &format!("/dns-query?dns={}", "A".repeat(6000)), "", None, 414),
        ("GET", &format!("/dns-query?dns={}", "A".repeat(60_000)), "", None, 431),
        ("PUT", "/dns-query", typed, Some(question.clone()), 405),
        ("HEAD", "/dns-query", "", None, 405),
        ("POST", "/dns-query", "application/json", Some(question.clone()), 415),
        ("POST", "/dns-query", typed, Some(vec![]), 400),
        ("POST", "/dns-query", typed, Some(vec![0; 4097]), 413),
        ("POST", "/dns-query", typed, Some(vec![0; 100_000]), 413),
    ] {
        let request = client.request(method, path).header("content-type", media).body(()).unwrap();
        let response = client.send(request, body).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {:.40}", path);
        assert_eq!(header(response.headers(), "allow"), if status == 405 { "GET, POST" } else { "" });
    }
    let mut unreadable = question.clone();
    unreadable[5] = 2;
    let request = client.request("POST", "/dns-query").header("content-type", typed).body(()).unwrap();
    let response = client.send(request, Some(unreadable)).await.unwrap();
    assert_eq!((response.status(), response.body()[3] & 0x0f), (StatusCode::OK, 1), "FORMERR is DNS's");
    let head = [b"GET /dns-query?dns=", &[b'A'; 70_000][..], b" HTTP/1.1\r\n\r\n"].concat();
    let reply = http1(&school, &head).await;
    assert!(reply.starts_with("HTTP/1.1 4"), "{reply}");
    school.answers().await;
}

#[tokio::test]
async fn a_thousand_requests_at_one_time_are_answered_so_many_at_a_time() {
    let school = secure(|config| config.tcp_pipeline = 16);
    let client = Client::open(&school).await;
    // Whoever has heard of the settings keeps to them.
    client.ask("first.test.").await;
    let requests = (0..1000).map(|_| client.ask("a.slow.test."));
    let all = futures_util::future::join_all(requests);
    let watch = async {
        school.internet.wait_for(17).await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(school.internet.asked.load(Ordering::SeqCst), 17);
        school.internet.release(1000);
    };
    let (replies, ()) = tokio::join!(all, watch);
    assert_eq!(replies.len(), 1000);
}

#[tokio::test]
async fn who_is_refused_hears_why_though_the_rest_of_the_body_comes_late() {
    let school = secure(|_| {});
    let client = Client::open(&school).await;
    for (media, size, status) in [
        ("application/json", 40_000, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/dns-message", 40_000, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let request = client.request("POST", "/dns-query").header("content-type", media).body(()).unwrap();
        let mut requests = client.requests.clone().ready().await.unwrap();
        let (response, mut stream) = requests.send_request(request, false).unwrap();
        let sending = async {
            // More than a window of the stream has room for, so the last of it goes only when the first was taken.
            let mut left: usize = size;
            while left > 0 {
                stream.reserve_capacity(left.min(8_000));
                let room =
                    poll_fn(|context| stream.poll_capacity(context)).await.expect("it goes on").unwrap();
                let now = room.min(left);
                left -= now;
                stream.send_data(vec![0; now].into(), left == 0).unwrap();
            }
        };
        let both = async { tokio::join!(response, sending) };
        let (response, ()) = tokio::time::timeout(PATIENCE, both).await.expect("all of it is taken");
        assert_eq!(response.expect("it is no error of the stream").status(), status, "{media}");
    }
    client.ask("a.test.").await;
    school.answers().await;
}

#[tokio::test]
async fn a_body_without_an_end_is_not_waited_for() {
    let school = secure(|config| config.tcp_idle_seconds = 1);
    let client = Client::open(&school).await;
    let request = client
        .request("POST", "/dns-query")
        .header("content-type", "application/dns-message")
        .body(())
        .unwrap();
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, mut stream) = requests.send_request(request, false).unwrap();
    stream.send_data(Bytes::from_static(&[0; 4]), false).unwrap();
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap();
    assert!(response.is_err() || response.is_ok_and(|response| response.status() == 408));
    let request = b"POST /dns-query HTTP/1.1\r\nhost: box\r\ncontent-type: application/dns-message\r\n\
        content-length: 40\r\n\r\nabc";
    let reply = http1(&school, request).await;
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    school.answers().await;
}

#[tokio::test]
async fn who_leaves_before_the_answer_harms_nobody() {
    let school = secure(|_| {});
    let client = Client::open(&school).await;
    let asking = client.ask("a.slow.test.");
    tokio::select! {
        _ = asking => panic!("it is slow"),
        () = school.internet.wait_for(1) => {}
    }
    client.connection.abort();
    drop(client);
    school.internet.release(1);
    school.answers().await;
}

#[tokio::test]
async fn silence_and_stopping_end_a_connection_when_nothing_is_owed() {
    let mut school = secure(|config| config.tcp_idle_seconds = 1);
    let client = Client::open(&school).await;
    client.ask("a.test.").await;
    client.ends().await;
    Client::open(&school).await.ends().await;
    let client = Client::open(&school).await;
    let answered = async {
        school.internet.wait_for(2).await;
        school.stop.cancel();
        school.internet.release(1);
    };
    let (reply, ()) = tokio::join!(client.ask("a.slow.test."), answered);
    assert_eq!(reply.answers.len(), 1);
    client.ends().await;
    tokio::time::timeout(PATIENCE, &mut school.school.server).await.expect("it stops").unwrap().unwrap();
}
