//! Archives: made, looked at, and made by somebody else.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use proptest::prelude::*;
use ring::digest;

use super::{what::may_be, *};
use crate::store::{AuditRecord, Store};

mod restore;

const PASSPHRASE: &str = "four words or five of them";

const RESERVE: Reserve = Reserve::within(0);

fn at() -> Timestamp {
    "2026-11-27T02:15:00Z".parse().unwrap()
}

fn lock() -> Lock {
    Lock::passphrase(PASSPHRASE).unwrap()
}

fn opener() -> Opener {
    Opener::typed(PASSPHRASE)
}

/// A box that a school has worked with.
fn lived_in(folder: &Path) {
    let mut store = Store::open(folder).unwrap();
    let policy = crate::policy::PolicyFile::shipped().to_toml();
    store.publish(&policy, &AuditRecord::new(at(), "technician", "policy.import", "one".into())).unwrap();
    for (name, text) in [
        ("school.toml", "kind = \"primary\"\n"),
        ("zones.toml", "\n"),
        ("records.toml", "\n"),
        ("resolving.toml", "forwarders = []\n"),
        ("searches.json", "{}"),
        ("seen/names.seen", "names"),
        ("tls/ca.key", "key"),
        ("tls/ca.damaged-1.key", "not this"),
        ("log/2026-11-26.db-wal", "not this"),
        ("control.sock.txt", "not this"),
        ("lists/index.sgi", "index"),
        ("lists/index.json", "[]"),
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::write(folder.join("secret.key"), [7; 32]).unwrap();
}

/// A backup of the box, without logs.
fn of(folder: &Path) -> Of<'_> {
    Of { folder, extras: Extras::default(), school: "", revision: 0, at: at(), reserve: RESERVE }
}

fn made(folder: &Path, to: &Path) -> Made {
    let of = Of { school: "Elm Lane", revision: 1, ..of(folder) };
    create(&of, &lock(), to).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_wrong_passphrase_a_damaged_byte_and_a_cut_are_told_apart_from_a_good_one() {
    let one = tempfile::tempdir().unwrap();
    lived_in(one.path());
    let archive = one.path().join("a.backup.age");
    made(one.path(), &archive);
    assert!(matches!(look(&archive, &Opener::typed("another passphrase")), Err(BackupError::WrongKey)));
    let key = age::x25519::Identity::generate();
    use age::secrecy::ExposeSecret as _;
    let identity = key.to_string();
    let typed = Opener::typed(identity.expose_secret());
    assert!(matches!(look(&archive, &typed), Err(BackupError::OtherKind { .. })));

    let whole = fs::read(&archive).unwrap();
    let damaged = one.path().join("damaged.backup.age");
    for place in [0, 30, 100, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&damaged, bytes).unwrap();
        let error = look(&damaged, &opener()).unwrap_err();
        assert!(error.is_bad_input(), "byte {place}: {error}");
        let spare = tempfile::tempdir().unwrap();
        assert!(stage(spare.path(), &damaged, &opener(), "x", at(), false, RESERVE).is_err());
        assert_eq!(names(spare.path()), [] as [&str; 0], "byte {place}");
    }
    for length in [0, 10, 200, whole.len() / 2, whole.len() - 1] {
        fs::write(&damaged, &whole[..length]).unwrap();
        let error = look(&damaged, &opener()).unwrap_err();
        assert!(error.is_bad_input(), "{length} bytes: {error}");
    }
    // Something behind it is no part of it.
    fs::write(&damaged, [&whole[..], b"more"].concat()).unwrap();
    assert!(look(&damaged, &opener()).is_err());
    // A beginning without an end.
    let line = [&[b'A'; 64][..], b"\n"].concat().repeat(1 << 16);
    fs::write(&damaged, [&b"age-encryption.org/v1\n-> X25519 A\n"[..], &line].concat()).unwrap();
    assert!(matches!(look(&damaged, &opener()), Err(BackupError::Damaged(_))));
}

#[test]
fn a_backup_for_a_public_key_opens_with_its_identity_alone() {
    use age::secrecy::ExposeSecret as _;

    let one = tempfile::tempdir().unwrap();
    lived_in(one.path());
    let key = age::x25519::Identity::generate();
    let archive = one.path().join("a.backup.age");
    let of = of(one.path());
    create(&of, &Lock::recipient(&key.to_public().to_string()).unwrap(), &archive).unwrap();
    assert!(look(&archive, &Opener::typed(key.to_string().expose_secret())).is_ok());
    let file = format!("# created: 2026-11-27\n# public key: age1…\n{}\n", key.to_string().expose_secret());
    assert!(look(&archive, &Opener::typed(&file)).is_ok());
    assert!(matches!(look(&archive, &opener()), Err(BackupError::OtherKind { .. })));
    let other = age::x25519::Identity::generate();
    let other = Opener::typed(other.to_string().expose_secret());
    assert!(matches!(look(&archive, &other), Err(BackupError::WrongKey)));
    assert!(Lock::recipient("age1nonsense").is_err());
    assert!(Lock::passphrase("too short").is_err());
}

#[test]
fn a_damaged_day_of_the_log_is_left_out() {
    let one = tempfile::tempdir().unwrap();
    lived_in(one.path());
    rusqlite::Connection::open(one.path().join("log/2026-11-25.db"))
        .unwrap()
        .execute_batch("CREATE TABLE a (b)")
        .unwrap();
    fs::write(one.path().join("log/2026-11-26.db"), "this is not a database, not even nearly one").unwrap();
    fs::create_dir_all(one.path().join("log/keys")).unwrap();
    fs::write(one.path().join("log/keys/2026-11-25.key"), [1; 32]).unwrap();
    let archive = one.path().join("a.backup.age");
    let extras = Extras { logs: true, lists: false };
    let of = Of { extras, ..of(one.path()) };
    create(&of, &lock(), &archive).unwrap();
    let manifest = look(&archive, &opener()).unwrap();
    let log: Vec<&str> = manifest
        .files
        .iter()
        .map(|file| file.path.as_str())
        .filter(|path| path.starts_with("log/"))
        .collect();
    assert_eq!(log, ["log/2026-11-25.db", "log/keys/2026-11-25.key"]);
}

#[test]
fn no_backup_takes_anothers_place_and_none_is_left_half_made() {
    let one = tempfile::tempdir().unwrap();
    lived_in(one.path());
    let archive = one.path().join("a.backup.age");
    fs::write(&archive, "another").unwrap();
    let of = of(one.path());
    assert!(matches!(create(&of, &lock(), &archive), Err(BackupError::Exists(_))));
    assert_eq!(fs::read_to_string(&archive).unwrap(), "another");
    // A database that can't be copied: there is no backup rather than one without it.
    let to = tempfile::tempdir().unwrap();
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(one.path().join(format!("schoolgate.db{end}")));
    }
    fs::write(one.path().join("schoolgate.db"), "this is not a database, not even nearly one").unwrap();
    assert!(create(&of, &lock(), &to.path().join("b.backup.age")).is_err());
    assert_eq!(names(to.path()), [] as [&str; 0]);
}

/// What an archive in clear may have.
#[derive(Debug, Clone)]
struct Part {
    path: String,
    kind: u8,
    text: Vec<u8>,
    /// What its header says, where that is a lie.
    size: Option<u64>,
}

fn file(path: &str, text: &[u8]) -> Part {
    Part { path: path.to_owned(), kind: b'0', text: text.to_vec(), size: None }
}

fn tar(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let mut header = tar::Header::new_ustar();
        let bytes = header.as_mut_bytes();
        let name = part.path.as_bytes();
        let length = name.len().min(100);
        bytes[..length].copy_from_slice(&name[..length]);
        header.set_size(part.size.unwrap_or(part.text.len() as u64));
        header.set_mode(0o777);
        header.set_entry_type(tar::EntryType::new(part.kind));
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&part.text);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn about(format: u32) -> String {
    format!(
        r#"{{"format":{format},"program":"0.1.0","made":"2026-11-27T02:15:00Z","school":"","revision":0,"extras":{{"logs":false,"lists":false}}}}"#
    )
}

fn manifest(files: &[(&str, &[u8])]) -> String {
    let hex = |text: &[u8]| data_encoding::HEXLOWER.encode(digest::digest(&digest::SHA256, text).as_ref());
    let files: Vec<String> = files
        .iter()
        .map(|(path, text)| format!(r#"{{"path":"{path}","bytes":{},"sha256":"{}"}}"#, text.len(), hex(text)))
        .collect();
    format!(r#"{{"about":{},"files":[{}]}}"#, about(1), files.join(","))
}

/// What is taken of an archive: its files by their places.
type Taken = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

struct Into(Taken, String);

impl Write for Into {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().entry(self.1.clone()).or_default().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read(bytes: &[u8], room: u64) -> (Result<Manifest, BackupError>, BTreeMap<String, Vec<u8>>) {
    let taken = Taken::default();
    let into = Arc::clone(&taken);
    let mut take = move |path: &str, _: u64| -> Result<Box<dyn Write>, BackupError> {
        into.lock().unwrap().insert(path.to_owned(), Vec::new());
        Ok(Box::new(Into(Arc::clone(&into), path.to_owned())))
    };
    let mut from = bytes;
    let done = read_foreign(&mut from, room, &mut take);
    let taken = taken.lock().unwrap().clone();
    (done, taken)
}

#[test]
fn an_archive_of_ours_is_read_and_hostile_ones_are_not() {
    let (policy, about_1) = (b"version = 1\n".as_slice(), about(1));
    let good = [
        file("about.json", about_1.as_bytes()),
        file("data/policy.published.toml", policy),
        file("manifest.json", manifest(&[("policy.published.toml", policy)]).as_bytes()),
    ];
    let (done, taken) = read(&tar(&good), 1_000);
    assert_eq!(done.unwrap().files.len(), 1);
    assert_eq!(taken["policy.published.toml"], policy);
    assert!(matches!(read(&tar(&good), 5).0, Err(BackupError::NoRoom { .. })));

    let newer = [file("about.json", about(2).as_bytes())];
    assert!(matches!(read(&tar(&newer), 1_000).0, Err(BackupError::Newer(_))));

    let middle = |part: Part| [good[0].clone(), part, good[2].clone()];
    for path in [
        "data/../evil",
        "data//etc/passwd",
        "/etc/passwd",
        "data/tls/../../evil",
        "data/.ssh",
        "data/control.sock",
        "data/addresses.json",
        "data/restore/restore.json",
        "data/log/keys/a/b",
        "data/lists/a/b/c",
        "data/backup-history.json",
        "data/tls/a\\b",
        "data/tls/é",
        "data/",
        "data",
        "about.json",
        "evil",
    ] {
        let (done, taken) = read(&tar(&middle(file(path, b"x"))), 1_000);
        assert!(matches!(done, Err(BackupError::Damaged(_))), "{path}");
        assert!(taken.is_empty(), "{path}");
    }
    // Links, devices, folders, and headers that speak of the next.
    for kind in [b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'L', b'K', b'x', b'g', b'S', b'V'] {
        let part = Part { kind, ..file("data/school.toml", b"x") };
        let (done, taken) = read(&tar(&middle(part)), 1_000);
        assert!(matches!(done, Err(BackupError::Damaged(_))), "{}", char::from(kind));
        assert!(taken.is_empty());
    }
    // Sizes that are lies.
    for size in [u64::MAX, 1 << 40, 600] {
        let part = Part { size: Some(size), ..file("data/school.toml", b"x") };
        assert!(read(&tar(&middle(part)), 1_000).0.is_err(), "{size}");
        let part = Part { size: Some(size.max(64 << 20)), ..file("about.json", b"x") };
        assert!(read(&tar(&[part]), 1_000).0.is_err(), "{size}");
    }
    // A file twice, one that the manifest does not have, another text than it says, none at all, one behind it.
    let twice = [good[0].clone(), good[1].clone(), good[1].clone(), good[2].clone()];
    assert!(read(&tar(&twice), 1_000).0.is_err());
    let more = [good[0].clone(), good[1].clone(), file("data/school.toml", b"x"), good[2].clone()];
    assert!(read(&tar(&more), 1_000).0.is_err());
    assert!(read(&tar(&middle(file("data/policy.published.toml", b"version = 2\n"))), 1_000).0.is_err());
    assert!(read(&tar(&good[..2]), 1_000).0.is_err());
    let behind = [&good[..], &[file("data/school.toml", b"x")]].concat();
    assert!(read(&tar(&behind), 1_000).0.is_err());
    assert!(read(&[tar(&good), vec![0; 3 << 20]].concat(), 1_000).0.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_archive_makes_the_reader_panic_or_take_what_no_backup_has(
        parts in proptest::collection::vec(
            (
                prop_oneof![
                    Just(String::from("about.json")),
                    Just(String::from("manifest.json")),
                    "data/[a-z./]{0,30}",
                    Just(String::from("data/school.toml")),
                    "\\PC{0,40}",
                ],
                prop_oneof![Just(b'0'), any::<u8>()],
                proptest::collection::vec(any::<u8>(), 0..600),
                proptest::option::of(any::<u64>()),
            ),
            0..6,
        ),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        with_about in any::<bool>(),
    ) {
        let mut all: Vec<Part> = Vec::new();
        if with_about {
            all.push(file("about.json", about(1).as_bytes()));
        }
        all.extend(parts.into_iter().map(|(path, kind, text, size)| Part { path, kind, text, size }));
        let mut bytes = tar(&all);
        for (place, byte) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= byte;
        }
        let (_, taken) = read(&bytes, 10_000);
        prop_assert!(taken.keys().all(|path| may_be(path)));
        prop_assert!(taken.values().map(Vec::len).sum::<usize>() <= 10_000);
    }

    #[test]
    fn whatever_may_be_in_a_backup_stays_in_its_folder(path in "[a-z0-9._/\\-]{0,40}|\\PC{0,30}") {
        if may_be(&path) {
            let path = Path::new(&path);
            prop_assert!(path.is_relative());
            prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
        }
    }
}

#[test]
fn settings_say_what_is_not_right_and_keep_no_secret_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let vault = crate::vault::Vault::open(folder.path()).unwrap();
    let store = S3 {
        endpoint: String::from("https://s3.eu-west-2.amazonaws.com"),
        region: String::from("eu-west-2"),
        bucket: String::from("school"),
        prefix: String::from("box/"),
        access_key: String::from("AKIA"),
    };
    let new = |destination: Destination| NewSettings {
        schedule: Schedule { every: Every::Day, hour: 2, keep: 14, name: String::from("schoolgate") },
        destination,
        extras: Extras::default(),
        recipient: String::new(),
        passphrase: Some(Secret::new(PASSPHRASE)),
        secret: Some(Secret::new("sesame-sesame")),
    };
    let settings = new(Destination::S3(store.clone())).checked(None).unwrap();
    let text = settings.to_file(Some(&vault)).unwrap();
    let said = String::from_utf8(text.clone()).unwrap();
    assert!(!said.contains("four words") && !said.contains("sesame"), "{said}");
    assert_eq!(Settings::of_file(&text, Some(&vault)).unwrap(), settings);
    // With another key, the secrets are gone and the rest is there.
    let other = tempfile::tempdir().unwrap();
    let other = crate::vault::Vault::open(other.path()).unwrap();
    let opened = Settings::of_file(&text, Some(&other)).unwrap();
    assert!(opened.passphrase.is_none() && opened.secret.is_none() && opened.lock().is_err());
    assert!(!format!("{settings:?}{}", settings.said()).contains("sesame"));
    // What is kept stays for the same store, and goes to no other.
    let kept = |destination| {
        NewSettings { passphrase: None, secret: None, ..new(destination) }.checked(Some(&settings))
    };
    assert_eq!(kept(Destination::S3(store.clone())).unwrap(), settings);
    let elsewhere = S3 { endpoint: String::from("https://evil.example"), ..store.clone() };
    assert!(kept(Destination::S3(elsewhere)).is_err());

    let sftp = SftpServer {
        host: String::from("nas.school.example"),
        port: 22,
        user: String::from("backup"),
        folder: String::from("/backups"),
        host_key: String::from("ssh-ed25519 AAAA nas"),
    };
    assert!(new(Destination::Sftp(sftp.clone())).checked(None).is_ok());
    let folder = |path: &str| Destination::Folder { path: path.into(), own_disk: false };
    for destination in [
        folder("relative"),
        folder("/media/../etc"),
        Destination::S3(S3 { endpoint: String::from("http://s3.example"), ..store.clone() }),
        Destination::S3(S3 { endpoint: String::from("https://a:b@s3.example"), ..store.clone() }),
        Destination::S3(S3 { bucket: String::from("a/b"), ..store.clone() }),
        Destination::S3(S3 { prefix: String::from("../"), ..store.clone() }),
        Destination::S3(S3 { prefix: String::from("a/./"), ..store }),
        Destination::Sftp(SftpServer { host: String::from("-oProxyCommand=x"), ..sftp.clone() }),
        Destination::Sftp(SftpServer { user: String::from("a b"), ..sftp.clone() }),
        Destination::Sftp(SftpServer { folder: String::from("a\"\nrm *"), ..sftp.clone() }),
        Destination::Sftp(SftpServer { host_key: String::from("nonsense"), ..sftp }),
    ] {
        let said = destination.said();
        assert!(new(destination).checked(None).is_err(), "{said}");
    }
}

#[test]
fn what_a_killed_process_left_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    lived_in(folder.path());
    let before = names(folder.path());
    for left in [
        ".backup-1/schoolgate.db",
        ".drill-1/files/a",
        ".restore-1-0/files/a",
        "restore.gone/files/a",
        "incoming/came-1",
        "incoming/a.backup.age",
    ] {
        let path = folder.path().join(left);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    fs::write(folder.path().join("incoming/brought-1-1"), "a list").unwrap();
    tidy(folder.path());
    assert_eq!(names(&folder.path().join("incoming")), ["brought-1-1"]);
    fs::remove_dir_all(folder.path().join("incoming")).unwrap();
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_backup_is_due_once_its_hour_has_come() {
    let schedule = |every| Schedule { every, hour: 2, keep: 1, name: String::from("a") };
    let due = |every, now: &str| {
        let now: jiff::Zoned = format!("{now}[Europe/London]").parse().unwrap();
        schedule(every).due(&now).to_string()
    };
    assert_eq!(due(Every::Day, "2026-11-27T01:59:00"), "2026-11-26");
    assert_eq!(due(Every::Day, "2026-11-27T02:00:00"), "2026-11-27");
    // The 27th is a Friday.
    assert_eq!(due(Every::Week, "2026-11-27T12:00:00"), "2026-11-23");
    assert_eq!(due(Every::Week, "2026-11-23T01:00:00"), "2026-11-16");
    assert_eq!(due(Every::Week, "2026-11-23T02:00:00"), "2026-11-23");
}
