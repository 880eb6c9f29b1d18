//! The real binary, started and asked as a user would.
#![allow(dead_code, unreachable_pub, reason = "each test target uses its own part of this")]

pub mod list_server;
pub mod log_day;
pub mod mail_server;
pub mod school;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RData, RecordType},
};

/// A running `schoolgate serve`, killed when dropped.
pub struct Running {
    /// Where it answers DNS, in the order of its settings.
    pub dns: Vec<SocketAddr>,
    /// Its data folder.
    pub data: PathBuf,
    /// What it printed before it was ready.
    pub greeting: String,
    child: Child,
}

/// The program, without settings of whoever runs the test.
pub fn schoolgate() -> Command {
    let built = env!("CARGO_BIN_EXE_schoolgate");
    let mut command = Command::new(std::env::var_os("TESTED_PROGRAM").unwrap_or_else(|| built.into()));
    command.env_remove("SCHOOLGATE_CONFIG").env_remove("SCHOOLGATE_LOG");
    for (name, _) in std::env::vars() {
        if name.starts_with("SCHOOLGATE_") {
            command.env_remove(name);
        }
    }
    // The usual ports of the web pages are for one at a time; tests that want the pages say where.
    command.env("SCHOOLGATE_ADMIN__LISTEN", "[]").env("SCHOOLGATE_ADMIN__BLOCK_PAGE", "[]");
    command
}

impl Running {
    /// Starts on 127.0.0.1 and `[::1]`, ports that are free.
    pub fn on_free_ports(data: &Path, settings: &str) -> Self {
        let text = format!("[dns]\nlisten = [\"127.0.0.1:0\", \"[::1]:0\"]\n{settings}");
        Self::with_settings(data, &text)
    }

    /// Starts with a settings file.
    pub fn with_settings(data: &Path, settings: &str) -> Self {
        Self::by(schoolgate(), data, settings)
    }

    /// Starts by a command that runs the program, for example within a network namespace.
    pub fn by(mut command: Command, data: &Path, settings: &str) -> Self {
        fs::create_dir_all(data).expect("a data folder");
        let file = data.join("schoolgate.toml");
        fs::write(&file, settings).expect("settings");
        let mut child = command
            .args([
                "--config".as_ref(),
                file.as_os_str(),
                "--data".as_ref(),
                data.as_os_str(),
                "serve".as_ref(),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output"));
        let mut greeting = String::new();
        // Ready when it says where it listens; the end of its output means that it gave up.
        while !greeting.contains("listening ") {
            let before = greeting.len();
            lines.read_line(&mut greeting).expect("its output is text");
            assert_ne!(greeting.len(), before, "it ended before it was ready: {greeting}");
        }
        let addresses: serde_json::Value =
            serde_json::from_slice(&fs::read(data.join("addresses.json")).expect("addresses.json"))
                .expect("JSON");
        let dns = addresses["dns"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|a| a.as_str().expect("text").parse().expect("an address"))
            .collect();
        // Whatever else it prints must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { dns, data: data.to_owned(), greeting, child }
    }

    /// Runs another subcommand on the same data folder.
    pub fn command(&self, args: &[&str]) -> Output {
        command_on(&self.data, args)
    }

    /// Asks over UDP, with EDNS.
    pub fn ask(&self, name: &str, kind: RecordType) -> Message {
        ask(self.dns[0], name, kind)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks it to stop, and waits for that.
    pub fn stop(mut self) -> ExitStatus {
        Command::new("kill").arg(self.child.id().to_string()).status().expect("kill");
        self.child.wait().expect("ended")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, if the test stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a subcommand on a data folder.
pub fn command_on(data: &Path, args: &[&str]) -> Output {
    let file = data.join("schoolgate.toml");
    let mut command = schoolgate();
    if file.exists() {
        command.arg("--config").arg(file);
    }
    command.arg("--data").arg(data).args(args).output().expect("the program runs")
}

/// The standard output as text.
pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The standard error as text.
pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A question as a stub resolver sends it: recursion desired, EDNS.
pub fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x5347, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.set_edns(edns);
    message
}

/// Asks over UDP, with EDNS.
pub fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    exchange(server, &question(name, kind))
}

/// Sends a question over UDP and waits for its answer.
pub fn exchange(server: SocketAddr, question: &Message) -> Message {
    let any = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(any).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(15))).expect("a time limit");
    socket.send_to(&question.to_vec().expect("encodes"), server).expect("sent");
    let mut buffer = [0; 4096];
    let (length, from) = socket.recv_from(&mut buffer).expect("an answer");
    assert_eq!(from, server, "answers leave from the address that was asked");
    Message::from_vec(&buffer[..length]).expect("the answer parses")
}

/// Sends a question over TCP and waits for its answer.
pub fn exchange_tcp(server: SocketAddr, question: &Message) -> Message {
    let mut stream = TcpStream::connect(server).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a time limit");
    let bytes = question.to_vec().expect("encodes");
    let length = u16::try_from(bytes.len()).expect("short").to_be_bytes();
    stream.write_all(&[&length[..], &bytes].concat()).expect("sent");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).expect("an answer");
    Message::from_vec(&bytes).expect("the answer parses")
}

/// The extended errors of an answer: codes and texts.
pub fn ede(message: &Message) -> Vec<(u16, String)> {
    let Some(edns) = &message.edns else { return Vec::new() };
    edns.options()
        .as_ref()
        .iter()
        .filter(|(code, _)| u16::from(*code) == 15)
        .filter_map(|(_, option)| {
            let hickory_proto::rr::rdata::opt::EdnsOption::Unknown(_, data) = option else { return None };
            let code = u16::from_be_bytes([*data.first()?, *data.get(1)?]);
            Some((code, String::from_utf8_lossy(&data[2..]).into_owned()))
        })
        .collect()
}

/// The addresses in the answer section.
pub fn addresses(message: &Message) -> Vec<String> {
    message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(a) => Some(a.to_string()),
            RData::AAAA(a) => Some(a.to_string()),
            _ => None,
        })
        .collect()
}
