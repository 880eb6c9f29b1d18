//! Messages on their way to a mail server that is not ours.

mod support;

use std::{io, net::IpAddr, sync::Arc};

use jiff::Timestamp;
use schoolgate::{
    mail::{Encryption, Letter, Mail, NewSettings, Password, SendError},
    vault::Vault,
};
use support::mail_server::{MailServer, Mode, PASSWORD, USER};

struct School {
    mail: Mail,
    _data: tempfile::TempDir,
}

fn new(server: &MailServer, encryption: Encryption) -> NewSettings {
    let signs_in = encryption != Encryption::None;
    NewSettings {
        server: String::from("127.0.0.1"),
        port: server.port,
        encryption,
        user: if signs_in { USER.to_owned() } else { String::new() },
        password: signs_in.then(|| Password::new(PASSWORD)),
        from: String::from("filter@school.example"),
        authority: server.authority.clone(),
    }
}

fn set_up(settings: NewSettings) -> School {
    let data = tempfile::tempdir().expect("a folder");
    let vault = Arc::new(Vault::open(data.path()).expect("a key"));
    let mail = Mail::open(data.path(), Some(vault));
    mail.set(settings).expect("right");
    School { mail, _data: data }
}

fn moment() -> Timestamp {
    "2026-11-26T10:15:00Z".parse().expect("a moment")
}

impl School {
    async fn send(&self, to: &str) -> Result<(), SendError> {
        let body = "Grüße,\n.\nThis line ends nothing.\n";
        let letter = Letter::new("Zoë O'Neil", to, "A test – of mail", body).expect("an address");
        let letter = letter.from_name("St Mary's, Elm Lane");
        self.mail.send(&letter, moment(), |_| async { Err(io::Error::other("asked for a name")) }).await
    }
}

/// A header of a message, unfolded.
fn header(message: &str, name: &str) -> Vec<String> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
    let start = format!("{name}: ");
    head.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_message_arrives_over_each_way_with_the_headers_that_it_should_have() {
    for (mode, encryption) in [
        (Mode::Tls, Encryption::Tls),
        (Mode::StartTls, Encryption::StartTls),
        (Mode::Plain, Encryption::None),
    ] {
        let mut server = MailServer::start(mode);
        set_up(new(&server, encryption)).send("lead@school.example").await.expect("sent");
        let told = server.message();
        assert_eq!(told["from"], "filter@school.example", "{mode:?}");
        assert_eq!(told["to"], serde_json::json!(["lead@school.example"]));
        assert_eq!(told["tls"], encryption != Encryption::None);
        assert_eq!(told["user"], if encryption == Encryption::None { "" } else { USER });
        assert_eq!(told["hello"], "[127.0.0.1]");
        let message = told["message"].as_str().expect("text");
        let named = data_encoding::BASE64.encode(b"St Mary's, Elm Lane");
        let from = format!("=?utf-8?b?{named}?= <filter@school.example>");
        assert_eq!(header(message, "From"), [from], "{message}");
        assert!(header(message, "To")[0].ends_with(" <lead@school.example>"), "{message}");
        assert_eq!(header(message, "Date"), ["Thu, 26 Nov 2026 10:15:00 +0000"]);
        assert_eq!(header(message, "Auto-Submitted"), ["auto-generated"]);
        assert_eq!(header(message, "MIME-Version"), ["1.0"]);
        assert_eq!(header(message, "Content-Type"), ["text/plain; charset=utf-8"]);
        let id = header(message, "Message-ID");
        assert!(id.len() == 1 && id[0].ends_with("@school.example>"), "{id:?}");
        assert!(message.contains("This line ends nothing."), "{message}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_repeated() {
    let server = MailServer::start(Mode::Tls);
    let wrong = Password::new("not seven bottles");
    let school = set_up(NewSettings { password: Some(wrong), ..new(&server, Encryption::Tls) });
    let error = school.send("lead@school.example").await.expect_err("wrong");
    assert!(matches!(error, SendError::SignIn { .. }), "{error:?}");
    let said = format!("{error} {error:?}");
    assert!(said.contains("does not take the user name and the password"), "{said}");
    assert!(!said.contains("bottles"), "{said}");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_it_before_the_password_is_sent() {
    for (mode, encryption) in [(Mode::Tls, Encryption::Tls), (Mode::StartTls, Encryption::StartTls)] {
        let server = MailServer::start(mode);
        let school = set_up(NewSettings { authority: String::new(), ..new(&server, encryption) });
        let error = school.send("lead@school.example").await.expect_err("not trusted");
        assert_eq!(error, SendError::Untrusted(String::from("127.0.0.1")));
    }
    let server = MailServer::start_as(Mode::Tls, "mail.school.example", 2040);
    let error = set_up(new(&server, Encryption::Tls)).send("lead@school.example").await.expect_err("another");
    assert_eq!(error, SendError::OtherName(String::from("127.0.0.1")));
    let server = MailServer::start_as(Mode::Tls, "127.0.0.1", 2021);
    let error = set_up(new(&server, Encryption::Tls)).send("lead@school.example").await.expect_err("ended");
    assert_eq!(error, SendError::Ended(String::from("127.0.0.1")));
}

#[tokio::test]
async fn what_the_server_refuses_is_told_in_its_words() {
    let server = MailServer::start(Mode::Plain);
    let school = set_up(new(&server, Encryption::None));
    let error = school.send("nobody@school.example").await.expect_err("refused");
    let said = "127.0.0.1 does not take messages for nobody@school.example. It said: 5.1.1 there is nobody of that name here";
    assert_eq!(error.to_string(), said);
    let error = school.send("later@school.example").await.expect_err("refused");
    assert!(matches!(error, SendError::Later { .. }), "{error:?}");
    assert!(error.to_string().contains("greylisted"), "{error}");
    let from = String::from("forged@school.example");
    let school = set_up(NewSettings { from, ..new(&server, Encryption::None) });
    let error = school.send("lead@school.example").await.expect_err("refused");
    assert!(matches!(error, SendError::Sender { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_speaks_otherwise_is_sent_nothing() {
    let server = MailServer::start(Mode::Plain);
    let error = set_up(new(&server, Encryption::StartTls)).send("lead@school.example").await;
    assert_eq!(error, Err(SendError::NoStartTls(String::from("127.0.0.1"))));
    let error = set_up(new(&server, Encryption::Tls)).send("lead@school.example").await.expect_err("no TLS");
    assert!(matches!(error, SendError::Tls { .. }), "{error:?}");
    assert!(error.to_string().contains("does not speak TLS there"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_down_or_not_to_be_found_is_told() {
    let mut server = MailServer::start(Mode::Plain);
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("known").port();
    let port = server.port;
    server.port = free;
    let error = set_up(new(&server, Encryption::None)).send("lead@school.example").await;
    assert_eq!(error, Err(SendError::Refused { server: String::from("127.0.0.1"), port: free }));
    server.port = port;
    let named = |encryption| {
        let name = String::from("mail.school.example");
        set_up(NewSettings { server: name, ..new(&server, encryption) })
    };
    let error = named(Encryption::None).send("lead@school.example").await;
    assert_eq!(error, Err(SendError::NotFound(String::from("mail.school.example"))));
    // A name that leads out of the school is not followed without encryption.
    let letter = Letter::new("", "lead@school.example", "A", "B").expect("an address");
    let outside: IpAddr = "192.0.2.7".parse().expect("an address");
    let school = named(Encryption::None);
    let error = school.mail.send(&letter, moment(), |_| async move { Ok(vec![outside]) }).await;
    assert_eq!(
        error,
        Err(SendError::Outside { server: String::from("mail.school.example"), address: outside })
    );
    let inside: IpAddr = "127.0.0.1".parse().expect("an address");
    school.mail.send(&letter, moment(), |_| async move { Ok(vec![inside]) }).await.expect("sent");
    assert_eq!(server.message()["to"], serde_json::json!(["lead@school.example"]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_not_waited_for_longer_than_promised() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut server = MailServer::start(Mode::Plain);
    server.port = silent.local_addr().expect("known").port();
    let error = set_up(new(&server, Encryption::None)).send("lead@school.example").await;
    assert!(matches!(error, Err(SendError::Silent { .. })), "{error:?}");
}
