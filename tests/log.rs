//! The query log of the real program: what is on the disk when it is killed.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    net::UdpSocket,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use rusqlite::Connection;
use support::Running;

/// How often the program is killed.
const ROUNDS: u32 = 50;

/// What may be lost when it is: the last half second.
const LOSS: Duration = Duration::from_millis(500);

/// What may be lost on a machine that does other things at the same time, and has its disk and processors for itself only
/// now and then.
const LOSS_ON_A_BUSY_MACHINE: Duration = Duration::from_secs(3);

/// The day files of a data folder.
fn days(data: &Path) -> Vec<PathBuf> {
    // Killed before the first commit, it has none.
    let Ok(entries) = fs::read_dir(data.join("log")) else { return Vec::new() };
    let files = entries.map(|entry| entry.expect("an entry").path());
    files
        .filter(|file| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("20") && name.ends_with(".db")
        })
        .collect()
}

/// The names that are in the log, each of which was asked for once.
fn logged(data: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for file in days(data) {
        let connection = Connection::open(&file).expect("opens after a crash");
        let check: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
        assert_eq!(check, "ok", "{}", file.display());
        let version: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
        if version == 0 {
            // Killed while the file was made: the next start goes on with it.
            continue;
        }
        let mut rows = connection
            .prepare("SELECT reversed FROM question JOIN name ON name.id = question.name")
            .expect("a day file");
        let found = rows.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        names.extend(found.map(|name| name.expect("text")));
    }
    names
}

/// Asks for one name of its own after the other, and gives the number and moment of each answer.
fn ask_on(server: std::net::SocketAddr, first: u32, answers: &mpsc::Sender<(u32, Instant)>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server).expect("connected");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a limit");
    let mut buffer = [0; 1_500];
    for number in first.. {
        let mut message = Message::new(number as u16, MessageType::Query, OpCode::Query);
        let name = Name::from_ascii(format!("q{number}.bet365.com.")).expect("a name");
        message.add_query(Query::query(name, RecordType::A));
        let sent = socket.send(&message.to_vec().expect("bytes"));
        // Killed: the port is closed, or nothing comes any more.
        let Ok(length) = sent.and_then(|_| socket.recv(&mut buffer)) else { return };
        assert!(length > 12, "an answer");
        if answers.send((number, Instant::now())).is_err() {
            return;
        }
    }
}

#[test]
fn killed_under_load_it_loses_no_more_than_half_a_second_and_damages_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut answered_in_all = 0;
    let mut lost = Vec::new();
    for round in 0..ROUNDS {
        let running = Running::on_free_ports(folder.path(), "rate_limit = 0\n[lists]\nautomatic = false\n");
        let server = running.dns[0];
        let (send, receive) = mpsc::channel();
        let asking = [0u32, 1].map(|thread| {
            let send = send.clone();
            thread::spawn(move || ask_on(server, round * 10_000_000 + thread * 5_000_000, &send))
        });
        drop(send);
        let mut answered = vec![receive.recv_timeout(Duration::from_secs(20)).expect("an answer")];
        // At another moment of the writer's rhythm in each round.
        let until = Instant::now() + Duration::from_millis(150 + u64::from(round * 37 % 900));
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match receive.recv_timeout(left) {
                Ok(answer) => answered.push(answer),
                Err(_) => break,
            }
        }
        let killed = Instant::now();
        running.kill();
        answered.extend(receive.iter());
        for thread in asking {
            thread.join().expect("it asked to the end");
        }
        let logged: BTreeSet<String> = logged(folder.path()).into_iter().collect();
        let missing =
            answered.iter().filter(|(number, _)| !logged.contains(&format!("com.bet365.q{number}")));
        let oldest = missing.map(|(_, at)| killed.saturating_duration_since(*at)).max().unwrap_or_default();
        assert!(
            oldest < LOSS_ON_A_BUSY_MACHINE,
            "round {round}: an answer of {oldest:?} before is not in the log"
        );
        lost.push(oldest);
        answered_in_all += answered.len();
    }
    lost.sort_unstable();
    println!("{answered_in_all} answers; lost at most, in each of {ROUNDS} rounds: {lost:?}");
    assert!(
        lost[lost.len() * 8 / 10] < LOSS,
        "in a fifth of the rounds more than half a second was lost: {lost:?}"
    );
    // Nothing was written twice, and nothing that nobody asked.
    let names = logged(folder.path());
    let different: BTreeSet<&String> = names.iter().collect();
    assert_eq!(names.len(), different.len(), "a question stands twice in the log");
    assert!(names.iter().all(|name| name.starts_with("com.bet365.q")));
}

#[test]
fn stopped_it_writes_everything() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::on_free_ports(folder.path(), "[lists]\nautomatic = false\n");
    for number in 0..20 {
        running.ask(&format!("q{number}.bet365.com."), RecordType::A);
    }
    assert!(running.stop().success());
    assert_eq!(logged(folder.path()).len(), 20);
}

#[test]
fn what_is_logged_is_sent_on_to_a_collector_and_pseudonyms_stay_pseudonyms() {
    let folder = tempfile::tempdir().unwrap();
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let address = collector.local_addr().unwrap();
    let settings =
        format!("[lists]\nautomatic = false\n[[log.sink]]\nkind = \"syslog\"\naddress = \"udp:{address}\"\n");
    let running = Running::on_free_ports(folder.path(), &settings);
    running.ask("first.bet365.com.", RecordType::A);
    let mut buffer = [0; 4_096];
    let mut received = || {
        let length = collector.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let message = received();
    assert!(message.contains("first.bet365.com") && message.contains("127.0.0.1"), "{message}");
    let policy = "version = 1\nfallback_profile = \"pupils\"\n[[profile]]\nid = \"pupils\"\naudience = \"pupil\"\n\
        [[profile]]\nid = \"staff\"\naudience = \"staff\"\nsubnets = [\"127.0.0.0/8\"]\n";
    fs::write(folder.path().join("policy.toml"), policy).unwrap();
    let imported =
        running.command(&["policy", "import", folder.path().join("policy.toml").to_str().unwrap()]);
    assert!(imported.status.success(), "{}", support::err(&imported));
    running.ask("second.bet365.com.", RecordType::A);
    let message = received();
    assert!(message.contains("second.bet365.com") && message.contains("device-"), "{message}");
    assert!(!message.contains("127.0.0.1"), "{message}");
    assert!(running.stop().success());
}
