//! Backups as a technician meets them: made, brought away, rehearsed and restored by the real program.

#![allow(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use hickory_proto::rr::RecordType;
use support::{
    Running, command_on, ede, err, out,
    school::{QUICK, file_list, import, policy},
    schoolgate,
};

const PASSPHRASE: &str = "correct horse battery staple";

/// A command with the passphrase in the environment.
fn with(passphrase: &str, data: &Path, args: &[&str]) -> Output {
    let mut command = schoolgate();
    let file = data.join("schoolgate.toml");
    if file.exists() {
        command.arg("--config").arg(file);
    }
    command
        .env("SCHOOLGATE_BACKUP_PASSPHRASE", passphrase)
        .arg("--data")
        .arg(data)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

fn done(data: &Path, args: &[&str]) -> String {
    let output = with(PASSPHRASE, data, args);
    assert!(output.status.success(), "{args:?}: {}{}", out(&output), err(&output));
    out(&output)
}

/// A box that a school has worked with, running: a policy, a list, two users, questions.
fn lived_in(folder: &Path) -> Running {
    let data = folder.join("data");
    let list = folder.join("games.txt");
    fs::write(&list, "game.example\nother-game.example\n").unwrap();
    let running = Running::on_free_ports(&data, QUICK);
    let imported = import(&data, &policy(&file_list("ours", "games", &list)));
    assert!(imported.status.success(), "{}", err(&imported));
    for (name, role) in [("ann", "head"), ("bob", "technician")] {
        let added = running.command(&["user", "add", name, "--full-name", name, "--role", role]);
        assert!(added.status.success(), "{}", err(&added));
    }
    running.ask("www.bet365.com.", RecordType::A);
    running.ask("www.game.example.", RecordType::A);
    running
}

fn is_blocked(running: &Running, name: &str) -> bool {
    ede(&running.ask(name, RecordType::A)).iter().any(|(code, _)| (15..=17).contains(code))
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_spare_box_becomes_the_schools_by_its_backup() {
    let folder = tempfile::tempdir().unwrap();
    let running = lived_in(folder.path());
    let archive = folder.path().join("school.backup.age");
    let said = done(&running.data, &["backup", "create", path(&archive), "--logs"]);
    assert!(said.contains("nobody can open it"), "{said}");
    let said = done(&running.data, &["backup", "verify", path(&archive)]);
    assert!(said.contains("Elm Lane Primary") && said.contains("with the query log"), "{said}");
    let said = done(&running.data, &["backup", "drill", path(&archive)]);
    assert!(said.contains("2 users can sign in"), "{said}");
    let audit = out(&running.command(&["audit", "list"]));
    assert!(audit.contains("backup.make") && audit.contains("backup.drill"), "{audit}");
    assert!(!audit.contains("correct horse"), "{audit}");
    let exported = out(&running.command(&["policy", "export"]));
    running.stop();

    // Another box, on which somebody tried something before.
    let spare = folder.path().join("spare");
    let other = Running::on_free_ports(&spare, QUICK);
    assert!(!is_blocked(&other, "www.game.example."));
    other.stop();
    let said = done(&spare, &["backup", "restore", path(&archive), "--dry-run"]);
    assert!(said.contains("Nothing was changed"), "{said}");
    assert!(!out(&command_on(&spare, &["user", "list"])).contains("ann"));
    let said = done(&spare, &["backup", "restore", path(&archive)]);
    assert!(said.contains("It is restored"), "{said}");

    let running = Running::on_free_ports(&spare, QUICK);
    // From its first answer, though nobody has fetched a list.
    assert!(is_blocked(&running, "www.game.example.") && is_blocked(&running, "www.bet365.com."));
    assert_eq!(out(&running.command(&["policy", "export"])), exported);
    let users = out(&running.command(&["user", "list"]));
    assert!(users.contains("ann") && users.contains("bob"), "{users}");
    let audit = out(&running.command(&["audit", "list"]));
    assert!(audit.contains("restore.done") && audit.contains("policy.import"), "{audit}");
    assert!(running.command(&["audit", "verify"]).status.success());
    let log = out(&running.command(&["log", "search", "--json"]));
    assert!(log.contains("bet365.com"), "{log}");
    let before = fs::read_dir(&spare)
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("before-restore-"))
        .expect("what was there is kept");
    assert!(before.path().join("schoolgate.db").is_file());
}

#[test]
fn beside_a_running_service_a_restore_waits_for_its_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let running = lived_in(folder.path());
    let data = running.data.clone();
    let archive = folder.path().join("school.backup.age");
    done(&data, &["backup", "create", path(&archive)]);
    let changed = import(&data, &policy(""));
    assert!(changed.status.success(), "{}", err(&changed));
    assert!(!is_blocked(&running, "www.game.example."));
    let said = done(&data, &["backup", "restore", path(&archive)]);
    assert!(said.contains("when the service starts again"), "{said}");
    assert!(!is_blocked(&running, "www.game.example."));
    let said = done(&data, &["backup", "restore", "--cancel"]);
    assert!(said.contains("forgotten"), "{said}");
    done(&data, &["backup", "restore", path(&archive)]);
    // Whatever way it ends.
    running.kill();
    let running = Running::on_free_ports(&data, QUICK);
    assert!(is_blocked(&running, "www.game.example."));
}

#[test]
fn what_is_not_good_is_told_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = lived_in(folder.path());
    let data = running.data.clone();
    let archive = folder.path().join("school.backup.age");
    done(&data, &["backup", "create", path(&archive)]);
    running.stop();
    let exported = out(&command_on(&data, &["policy", "export"]));

    let output = with("another passphrase than it", &data, &["backup", "restore", path(&archive)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("does not open with this passphrase"), "{}", err(&output));
    let output = with("short", &data, &["backup", "create", path(&folder.path().join("b.age"))]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    let output = with(PASSPHRASE, &data, &["backup", "create", path(&archive)]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("is there already"), "{}", err(&output));

    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    let damaged = folder.path().join("damaged.backup.age");
    fs::write(&damaged, &bytes).unwrap();
    for command in ["verify", "restore"] {
        let output = with(PASSPHRASE, &data, &["backup", command, path(&damaged)]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(err(&output).contains("damaged"), "{command}: {}", err(&output));
    }
    assert_eq!(out(&command_on(&data, &["policy", "export"])), exported);
    let left: Vec<String> = archives(&data).into_iter().filter(|name| name.contains("restore")).collect();
    assert_eq!(left, [] as [&str; 0]);
}

#[test]
fn a_backup_that_is_killed_in_the_middle_leaves_none_and_the_next_one_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let running = lived_in(folder.path());
    let data = running.data.clone();
    running.stop();
    let to = folder.path().join("out");
    fs::create_dir(&to).unwrap();
    let archive = to.join("school.backup.age");
    for delay in [0, 20, 60, 120, 200, 300] {
        let mut command = schoolgate();
        command.env("SCHOOLGATE_BACKUP_PASSPHRASE", PASSPHRASE).arg("--data").arg(&data);
        command
            .args(["backup", "create", path(&archive), "--logs"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        child.wait().unwrap();
        // Whole or not at all.
        if archive.exists() {
            done(&data, &["backup", "verify", path(&archive)]);
            fs::remove_file(&archive).unwrap();
        }
    }
    done(&data, &["backup", "create", path(&archive), "--logs"]);
    done(&data, &["backup", "verify", path(&archive)]);
}

#[test]
fn a_restore_that_is_killed_at_any_moment_leaves_the_old_box_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let running = lived_in(folder.path());
    let archive = folder.path().join("school.backup.age");
    done(&running.data, &["backup", "create", path(&archive)]);
    running.stop();
    for delay in [5, 50, 150, 250, 350, 450, 600] {
        let spare = folder.path().join(format!("spare-{delay}"));
        fs::create_dir(&spare).unwrap();
        import(&spare, &policy("").replace("Elm Lane", "Old"));
        let mut command = schoolgate();
        command.env("SCHOOLGATE_BACKUP_PASSPHRASE", PASSPHRASE).arg("--data").arg(&spare);
        command.args(["backup", "restore", path(&archive)]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        child.wait().unwrap();
        let running = Running::on_free_ports(&spare, QUICK);
        let exported = out(&running.command(&["policy", "export"]));
        let users = out(&running.command(&["user", "list"]));
        let is_new = exported.contains("Elm Lane");
        assert!(is_new || exported.contains("Old"), "after {delay} ms: {exported}");
        assert_eq!(users.contains("ann"), is_new, "after {delay} ms: {users}");
        assert!(running.command(&["audit", "verify"]).status.success());
        assert!(!spare.join("restore").exists());
    }
}

/// A small file system, where this may be mounted.
struct Small(PathBuf);

impl Small {
    fn mounted(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&at).ok()?;
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&at).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half_made() {
    let folder = tempfile::tempdir().unwrap();
    let Some(small) = Small::mounted(folder.path().join("small"), "4k") else {
        eprintln!("left out: nothing can be mounted here");
        return;
    };
    let running = lived_in(folder.path());
    let archive = small.0.join("school.backup.age");
    let output = with(PASSPHRASE, &running.data, &["backup", "create", path(&archive)]);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert_eq!(fs::read_dir(&small.0).unwrap().count(), 0);
    let archive = folder.path().join("school.backup.age");
    done(&running.data, &["backup", "create", path(&archive)]);
    running.stop();
    // A box without room.
    let Some(spare) = Small::mounted(folder.path().join("spare"), "1m") else { return };
    let output = with(PASSPHRASE, &spare.0, &["backup", "restore", path(&archive)]);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert!(err(&output).contains("no room"), "{}", err(&output));
    assert_eq!(fs::read_dir(&spare.0).unwrap().count(), 0);
}

/// Puts the settings of the schedule in place as the pages do, without them: the passphrase is for a public key.
fn schedule(data: &Path, destination: &str) {
    let text = format!(
        "recipient = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"\n\
         [schedule]\nevery = \"day\"\nhour = 2\nkeep = 2\nname = \"elm\"\n{destination}"
    );
    fs::write(data.join("backup.toml"), text).unwrap();
}

/// The archives of a folder, in the order of their names.
fn archives(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Makes backups of the schedule, each in a second of its own.
fn run_times(data: &Path, times: usize) {
    for _ in 0..times {
        let began = Instant::now();
        let said = done(data, &["backup", "run"]);
        assert!(said.contains("elm-"), "{said}");
        // Names have the second.
        std::thread::sleep(Duration::from_millis(1_050).saturating_sub(began.elapsed()));
    }
}

#[test]
fn a_folder_keeps_as_many_as_it_should_and_a_stick_that_is_out_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let running = lived_in(folder.path());
    let data = running.data.clone();
    let stick = folder.path().join("stick");
    schedule(&data, &format!("[destination.folder]\npath = {stick:?}\nown_disk = true\n"));
    let output = with(PASSPHRASE, &data, &["backup", "run"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("is the stick in"), "{}", err(&output));
    fs::create_dir(&stick).unwrap();
    fs::write(stick.join("photo.jpg"), "x").unwrap();
    run_times(&data, 3);
    let names = archives(&stick);
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("elm-")).count(), 2, "{names:?}");
    let status = done(&data, &["backup", "status"]);
    assert!(status.contains("FAILED") && status.contains("2 kept as elm"), "{status}");
    // An empty folder in the place of a stick is on the box's own disk.
    schedule(&data, &format!("[destination.folder]\npath = {stick:?}\n"));
    let output = with(PASSPHRASE, &data, &["backup", "run"]);
    assert!(err(&output).contains("on the disk of the box itself"), "{}", err(&output));
    let audit = out(&running.command(&["audit", "list"]));
    assert!(audit.contains("backup.send") && audit.contains("backup.fail"), "{audit}");
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the settings of an S3 store need, which the sealed secret makes a matter of the API alone; so the box is asked there.
#[test]
fn a_store_takes_what_is_signed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    fs::create_dir(&objects).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/s3_server.py");
    let mut child = Command::new("python3")
        .arg(script)
        .arg(&objects)
        .args(["AKIATEST", "wJalrXUtnFEMI/K7MDENG", "eu-west-2", "school"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let _server = Server(child);
    let running = lived_in(folder.path());
    let data = running.data.clone();
    running.stop();
    let set = |secret: &str| {
        let store = schoolgate::backup::S3 {
            endpoint: format!("http://127.0.0.1:{}", port.trim()),
            region: String::from("eu-west-2"),
            bucket: String::from("school"),
            prefix: String::from("box one/"),
            access_key: String::from("AKIATEST"),
        };
        let new = schoolgate::backup::NewSettings {
            schedule: schoolgate::backup::Schedule {
                every: schoolgate::backup::Every::Day,
                hour: 2,
                keep: 2,
                name: String::from("elm"),
            },
            destination: schoolgate::backup::Destination::S3(store),
            extras: schoolgate::backup::Extras::default(),
            recipient: String::new(),
            passphrase: Some(schoolgate::backup::Secret::new(PASSPHRASE)),
            secret: Some(schoolgate::backup::Secret::new(secret)),
        };
        let vault = schoolgate::vault::Vault::open(&data).unwrap();
        let text = new.checked(None).unwrap().to_file(Some(&vault)).unwrap();
        fs::write(data.join("backup.toml"), text).unwrap();
    };
    set("not the secret");
    let output = with(PASSPHRASE, &data, &["backup", "run"]);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert!(err(&output).contains("403 SignatureDoesNotMatch"), "{}", err(&output));
    assert_eq!(archives(&objects), [] as [&str; 0]);
    set("wJalrXUtnFEMI/K7MDENG");
    // One of somebody else's, before and behind.
    for name in ["box%20one%2Falice.txt", "box%20one%2Fzoe.txt", "box%20two%2Felm-20200101-000000.backup.age"]
    {
        fs::write(objects.join(name), "x").unwrap();
    }
    run_times(&data, 4);
    let names = archives(&objects);
    let own: Vec<&String> = names.iter().filter(|name| name.starts_with("box%20one%2Felm-")).collect();
    assert_eq!((names.len(), own.len()), (5, 2), "{names:?}");
    done(&data, &["backup", "verify", path(&objects.join(own[1]))]);
    let said = done(&data, &["backup", "drill"]);
    assert!(said.contains("2 users can sign in"), "{said}");
}

/// A server for SFTP on a port of its own: Debian's, which `tests/run` installs.
fn sftp_server(folder: &Path, key: &str) -> (Server, u16, String) {
    let host_key = folder.join("host_key");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&host_key).status();
    assert!(made.unwrap().success());
    let authorized = folder.join("authorized_keys");
    fs::write(&authorized, format!("{key}\n")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = folder.join("sshd_config");
    let mut file = fs::File::create(&config).unwrap();
    writeln!(
        file,
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n",
        host_key.display(),
        authorized.display()
    )
    .unwrap();
    // It refuses to begin without this folder.
    let _ = fs::create_dir_all("/run/sshd");
    let child = Command::new("/usr/sbin/sshd")
        .arg("-D")
        .arg("-e")
        .arg("-f")
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .expect("sshd is installed");
    let server = Server(child);
    let until = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "sshd does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    let public = fs::read_to_string(folder.join("host_key.pub")).unwrap();
    (server, port, public.trim().to_owned())
}

#[test]
fn a_server_for_sftp_takes_them_and_one_with_another_key_gets_none() {
    let folder = tempfile::tempdir().unwrap();
    let running = lived_in(folder.path());
    let data = running.data.clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let key = runtime.block_on(schoolgate::backup::make_sftp_key(&data)).expect("ssh-keygen is installed");
    let (_server, port, host_key) = sftp_server(folder.path(), &key);
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let there = folder.path().join("there");
    fs::create_dir(&there).unwrap();
    let settings = |host_key: &str| {
        let user = user.trim();
        schedule(
            &data,
            &format!(
                "[destination.sftp]\nhost = \"127.0.0.1\"\nport = {port}\nuser = {user:?}\nfolder = {there:?}\nhost_key = {host_key:?}\n"
            ),
        );
    };
    let other = key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    settings(&other);
    let output = with(PASSPHRASE, &data, &["backup", "run"]);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert!(err(&output).contains("Host key verification failed"), "{}", err(&output));
    settings(&host_key);
    run_times(&data, 3);
    let names = archives(&there);
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| name.ends_with(".backup.age")), "{names:?}");
}
