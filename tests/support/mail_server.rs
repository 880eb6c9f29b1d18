//! A mail server that is not ours: aiosmtpd of Debian, with certificates made for the test.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

/// The user that it knows, and their password.
pub const USER: &str = "filter";
/// The password of [`USER`].
pub const PASSWORD: &str = "seven green bottles";

/// How it encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Not at all, and it asks for no password.
    Plain,
    /// By STARTTLS.
    StartTls,
    /// From the first byte on.
    Tls,
}

/// A mail server at a port of its own, ended when dropped.
pub struct MailServer {
    /// Where it listens at 127.0.0.1.
    pub port: u16,
    /// What to trust to reach it, as PEM.
    pub authority: String,
    child: Child,
    told: Lines<BufReader<ChildStdout>>,
    _folder: tempfile::TempDir,
}

impl MailServer {
    /// Starts one with a certificate for 127.0.0.1 that holds.
    pub fn start(mode: Mode) -> Self {
        Self::start_as(mode, "127.0.0.1", 2040)
    }

    /// Starts one with a certificate for a name, which holds until the first day of a year.
    pub fn start_as(mode: Mode, name: &str, until: i32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let authority = params.self_signed(&key).expect("signs").pem();
        let (chain, secret) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        fs::write(&chain, &authority).expect("written");
        fs::write(&secret, key.serialize_pem()).expect("written");
        let mode = match mode {
            Mode::Plain => "plain",
            Mode::StartTls => "starttls",
            Mode::Tls => "tls",
        };
        let mut child = Command::new("/usr/bin/python3")
            .args(["-W", "ignore", "-c", include_str!("mail_server.py"), mode])
            .args([&chain, &secret])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3-aiosmtpd is installed");
        let mut told = BufReader::new(child.stdout.take().expect("its output")).lines();
        let port = told.next().expect("its port").expect("text").parse().expect("a number");
        Self { port, authority, child, told, _folder: folder }
    }

    /// The next message that it took; it tells of each before it says that it took it.
    pub fn message(&mut self) -> serde_json::Value {
        let line = self.told.next().expect("a message").expect("text");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
