//! A school on the test internet: Schoolgate in the namespace `box`, clients in theirs.

use std::{
    fs::File,
    net::{IpAddr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Output},
    str::FromStr,
    thread,
    time::Duration,
};

use hickory_proto::{op::Message, rr::RecordType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::support::{Running, command_on, err, question, schoolgate};

/// Where the namespaces' files are, from iproute2.
const NAMESPACES: &str = "/run/netns";

/// The profiles of the tests: one for each network that has clients.
pub const POLICY: &str = r#"
version = 1
school = "Elm Lane School"
timezone = "Europe/London"
fallback_profile = "ks1"

[[profile]]
id = "ks1"
name = "Key Stage 1"
subnets = ["10.20.1.0/24", "fd20:1::/64"]
audience = "pupil"
mode = "allow-only"
block_with = "null-address"
bundles = ["ks1-approved"]

[[profile]]
id = "ks2"
name = "Key Stage 2"
subnets = ["10.20.2.0/24", "fd20:2::/64"]
audience = "pupil"
block_with = "block-page"
youtube = "strict"
[profile.categories]
gambling = "block"
ads-trackers = "block"
video = "allow"
games = { allow-during = "lunch" }

[[profile]]
id = "secondary"
name = "Secondary"
subnets = ["10.20.3.0/24", "fd20:3::/64"]
audience = "pupil"
block_with = "nodata"
youtube = "moderate"
[profile.categories]
gambling = "block"
ads-trackers = "block"
video = "allow"

[[profile]]
id = "staff"
name = "Staff"
subnets = ["10.20.9.0/24", "fd20:9::/64"]
audience = "staff"
safe_search = false
youtube = "off"
strip_ech = false
block_with = "refused"
[profile.categories]
gambling = "allow"
malware = "block"
ads-trackers = "allow"

[[profile]]
id = "guest"
name = "Guests"
subnets = ["10.20.50.0/24", "fd20:50::/64"]
audience = "guest"
block_with = "nxdomain"
youtube = "off"
[profile.categories]
gambling = "block"
ads-trackers = "block"

[[schedule]]
id = "lunch"
windows = [{ days = "mon-fri", from = "12:00", to = "13:15" }]

[[rule]]
action = "allow"
name = "good.test"
profiles = ["ks1"]
reason = "Year 2 reading"

[[list]]
id = "fixtures"
category = "ads-trackers"
file = "LISTS/trackers.txt"

[[list]]
id = "bets"
category = "gambling"
file = "LISTS/bets.txt"
"#;

/// What the fixture lists hold.
const TRACKERS: &str = "tracker.example\n";
const BETS: &str = "payhe.example\nsecure.cdn.payhe.example\nbet.any.test\n";

/// Schoolgate, serving the school.
pub struct School {
    pub running: Running,
    pub folder: TempDir,
    port: u16,
}

/// The state folder of the running test internet.
pub fn internet() -> PathBuf {
    PathBuf::from(
        std::env::var_os("SCHOOLGATE_INTERNET")
            .expect("this test needs the test internet: tests/internet/up --run cargo test --test e2e"),
    )
}

impl School {
    /// Starts with the policy and lists of the tests.
    pub fn open() -> Self {
        Self::with(POLICY, "")
    }

    /// Starts with a policy (`LISTS` in it is the folder of lists) and more lines of `[resolver]`.
    pub fn with(policy: &str, resolver: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        std::fs::write(data.join("trackers.txt"), TRACKERS).expect("a list");
        std::fs::write(data.join("bets.txt"), BETS).expect("a list");
        let state = internet();
        let settings = format!(
            r#"
[dns]
listen = ["0.0.0.0:0"]
allow = ["127.0.0.0/8", "10.0.0.0/8", "fc00::/7"]

[resolver]
root_hints = "{state}/root.hints"
trust_anchor = "{state}/trust-anchor.key"
allow_special = ["test"]
{resolver}

[[resolver.zone]]
name = "ad.school.example"
servers = ["10.20.0.10"]

[[resolver.zone]]
name = "20.10.in-addr.arpa"
servers = ["10.20.0.10"]
"#,
            state = state.display()
        );
        std::fs::write(data.join("schoolgate.toml"), &settings).expect("settings");
        let text = policy.replace("LISTS", data.to_str().expect("text"));
        let file = data.join("policy.toml");
        std::fs::write(&file, text).expect("a policy");
        let imported = command_on(data, &["policy", "import", file.to_str().expect("text")]);
        assert!(imported.status.success(), "{}", err(&imported));
        let running = Running::by(in_box(), data, &settings);
        let port = running.dns[0].port();
        Self { running, folder, port }
    }

    /// The same school after its box lost power and came back: on another port, with nothing in the cache.
    pub fn restarted(self) -> Self {
        let Self { running, folder, .. } = self;
        running.kill();
        let settings = std::fs::read_to_string(folder.path().join("schoolgate.toml")).expect("settings");
        let running = Running::by(in_box(), folder.path(), &settings);
        let port = running.dns[0].port();
        Self { running, folder, port }
    }

    /// Asks from a client's namespace over UDP.
    pub fn ask(&self, from: &str, name: &str, kind: RecordType) -> Message {
        self.send(from, question(name, kind))
    }

    /// Sends a question from a client's namespace over UDP.
    pub fn send(&self, from: &str, question: Message) -> Message {
        let server = self.address(from);
        within(from, move || exchange(server, &question).expect("an answer within 15 s"))
    }

    /// The address that a client of a namespace asks.
    pub fn address(&self, from: &str) -> SocketAddr {
        SocketAddr::new(gateway(from), self.port)
    }

    /// Runs `dig` in a client's namespace.
    pub fn dig(&self, from: &str, args: &[&str]) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", from, "dig", "+tries=1", "+timeout=15", "-p"])
            .arg(self.port.to_string())
            .arg(format!("@{}", gateway(from)))
            .args(args)
            .output()
            .expect("dig");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a subcommand on its data folder.
    pub fn command(&self, args: &[&str]) -> Output {
        self.running.command(args)
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The program, run in the namespace `box`.
fn in_box() -> Command {
    let program = schoolgate();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", "box"]).arg(program.get_program());
    for (name, _) in std::env::vars() {
        if name.starts_with("SCHOOLGATE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The box's address in the network of a namespace.
pub fn gateway(of: &str) -> IpAddr {
    let text = match of {
        "ks1" => "10.20.1.1",
        "ks2" => "10.20.2.1",
        "secondary" => "10.20.3.1",
        "staff" => "10.20.9.1",
        "guest" => "10.20.50.1",
        "stranger" => "10.77.0.1",
        "outsider" => "203.0.113.1",
        other => panic!("there is no network {other}"),
    };
    IpAddr::from_str(text).expect("an address")
}

/// Runs something on a thread of its own in a namespace.
pub fn within<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let path = Path::new(NAMESPACES).join(name);
    thread::spawn(move || {
        let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))
            .expect("moves into the namespace");
        work()
    })
    .join()
    .expect("what ran in the namespace passed")
}

/// One question and its answer over UDP; none when nothing came within 15 s.
pub fn exchange(server: SocketAddr, question: &Message) -> Option<Message> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(15))).expect("a time limit");
    socket.send_to(&question.to_vec().expect("encodes"), server).expect("sent");
    let mut buffer = [0; 4096];
    let (length, from) = socket.recv_from(&mut buffer).ok()?;
    assert_eq!(from, server, "answers leave from the address that was asked");
    Some(Message::from_vec(&buffer[..length]).expect("the answer parses"))
}

/// Breaks or mends the test internet: `ctl("cut", "stale.test")`.
pub fn ctl(what: &str, whom: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/internet/ctl");
    let status = Command::new(script).args([what, whom]).status().expect("ctl runs");
    assert!(status.success(), "ctl {what} {whom}");
}
