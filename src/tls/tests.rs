//! The certificates as browsers meet them, through restarts, damage and time.

use std::{fs, os::unix::fs::PermissionsExt as _};

use jiff::SignedDuration;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConnection,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    time_provider::TimeProvider,
};

use super::*;

const NOW: &str = "2026-11-22T09:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn days(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

fn names(names: &[&str]) -> Vec<SubjectName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn open_at(folder: &Path, time: Timestamp) -> Certificates {
    Certificates::open(folder, &names(&["box.school.example", "10.20.0.2"]), &Clock::held_at(time)).unwrap()
}

fn open(folder: &Path) -> Certificates {
    open_at(folder, now())
}

/// A browser's clock.
#[derive(Debug)]
struct At(Timestamp);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.as_second()).unwrap();
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

/// A whole handshake in memory, by a browser that trusts one authority; gives the protocol that was agreed on.
fn handshake(
    certificates: &Certificates,
    trusted: &str,
    name: &str,
    at: Timestamp,
) -> Result<Vec<u8>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(At(at)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(certificates.server_config()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(client.alpn_protocol().unwrap_or_default().to_vec())
}

/// A certificate and its key, and the authority that signed it, as a school buys them.
struct Bought {
    own: String,
    key: String,
    signer: String,
}

impl Bought {
    fn chain(&self) -> Vec<u8> {
        format!("{}{}", self.own, self.signer).into_bytes()
    }
}

fn bought_for(name: &str, from_year: i32, to_year: i32) -> Bought {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signer = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let wanted = if name.is_empty() { Vec::new() } else { vec![name.to_owned()] };
    let mut params = CertificateParams::new(wanted).unwrap();
    params.not_before = date_time_ymd(from_year, 1, 1);
    params.not_after = date_time_ymd(to_year, 1, 1);
    let own = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap().pem();
    Bought { own, key: key.serialize_pem(), signer }
}

fn bought() -> Bought {
    bought_for("dns.school.example", 2026, 2028)
}

fn unfit(certificates: &Certificates, chain: &[u8], key: &[u8]) -> Unfit {
    match certificates.install(chain, key, now()) {
        Err(TlsError::Unfit(unfit)) => unfit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_browser_that_trusts_the_authority_reaches_the_box_by_each_name_and_address() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let ca = certificates.ca_pem();
    for name in ["box.school.example", "10.20.0.2", "schoolgate.local", "localhost", "127.0.0.1", "::1"] {
        assert_eq!(handshake(&certificates, &ca, name, now()).unwrap(), b"h2", "{name}");
    }
    assert!(handshake(&certificates, &ca, "other.example", now()).is_err());
    assert!(handshake(&certificates, &bought().signer, "localhost", now()).is_err(), "another authority");
}

#[test]
fn the_box_says_how_long_its_certificate_holds() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let status = certificates.status(now());
    assert_eq!((status.source, status.days_left, status.problem), (Source::Own, 396, None));
    assert_eq!(
        status.names,
        ["schoolgate.local", "localhost", "box.school.example", "10.20.0.2", "127.0.0.1", "::1"]
    );
    assert_eq!(status.fingerprint.len(), 95);
    assert_ne!(status.fingerprint, certificates.ca_fingerprint());
    let ca = CertificateDer::from_pem_slice(certificates.ca_pem().as_bytes()).unwrap();
    let facts = Facts::read(&ca).unwrap();
    assert!(facts.is_authority);
    assert_eq!(facts.not_after.duration_since(now()).as_hours(), 10 * 365 * 24);
}

#[test]
fn it_is_known_which_names_the_certificate_in_use_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    for name in ["box.school.example", "Box.School.Example", "schoolgate.local", "localhost", "10.20.0.2"] {
        assert!(certificates.is_for(name), "{name}");
    }
    for name in ["", "school.example", "a.box.school.example", "box.school.example.evil.example", "10.20.0.3"]
    {
        assert!(!certificates.is_for(name), "{name}");
    }
    let bought = bought_for("*.school.example", 2026, 2027);
    certificates.install(&bought.chain(), bought.key.as_bytes(), now()).unwrap();
    assert_eq!(certificates.names(), ["*.school.example"]);
    assert!(certificates.is_for("dns.school.example") && certificates.is_for("BOX.SCHOOL.EXAMPLE"));
    for name in ["school.example", "a.b.school.example", "dns.evil.example", "schoolgate.local", ""] {
        assert!(!certificates.is_for(name), "{name}");
    }
}

#[test]
fn the_box_has_a_name_for_others_only_by_the_schools_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let preferred = ["box.school.example", "dns.school.example"].map(String::from);
    assert_eq!(certificates.name_of_school(&preferred), None);
    let bought = bought();
    certificates.install(&bought.chain(), bought.key.as_bytes(), now()).unwrap();
    for preferred in [&preferred[..], &[]] {
        assert_eq!(certificates.name_of_school(preferred).as_deref(), Some("dns.school.example"));
    }
    let bought = bought_for("*.school.example", 2026, 2027);
    certificates.install(&bought.chain(), bought.key.as_bytes(), now()).unwrap();
    assert_eq!(certificates.name_of_school(&preferred).as_deref(), Some("box.school.example"));
    assert_eq!(certificates.name_of_school(&[]), None);
}

#[test]
fn a_restart_keeps_the_authority_and_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, fingerprint) = {
        let certificates = open(folder.path());
        (certificates.ca_pem(), certificates.status(now()).fingerprint)
    };
    let again = open_at(folder.path(), days(300));
    assert_eq!((again.ca_pem(), again.status(now()).fingerprint), (ca, fingerprint));
}

#[test]
fn keys_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let bought = bought();
    certificates.install(&bought.chain(), bought.key.as_bytes(), now()).unwrap();
    let tls = folder.path().join(FOLDER);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&tls), 0o700);
    let mut files: Vec<String> = Vec::new();
    for entry in fs::read_dir(&tls).unwrap() {
        let path = entry.unwrap().path();
        if fs::read_to_string(&path).unwrap().contains("PRIVATE KEY") {
            assert_eq!(mode(&path), 0o600, "{path:?}");
            files.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    files.sort();
    assert_eq!(files, ["ca.key", "school.key", "server.pem"]);
}

#[test]
fn the_certificate_is_renewed_when_less_than_a_month_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let (ca, first) = (certificates.ca_pem(), certificates.status(now()).fingerprint);
    assert!(!certificates.renew_if_due(days(365)).unwrap());
    assert!(certificates.renew_if_due(days(367)).unwrap());
    let status = certificates.status(days(367));
    assert_ne!(status.fingerprint, first);
    assert_eq!((status.days_left, status.problem), (396, None));
    assert_eq!(certificates.ca_pem(), ca, "the authority stays");
    handshake(&certificates, &ca, "localhost", days(500)).unwrap();
}

#[test]
fn other_names_get_another_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let ca = open(folder.path()).ca_pem();
    let moved = Certificates::open(folder.path(), &names(&["10.9.0.1"]), &Clock::held_at(now())).unwrap();
    assert_eq!(moved.ca_pem(), ca);
    handshake(&moved, &ca, "10.9.0.1", now()).unwrap();
    assert!(handshake(&moved, &ca, "10.20.0.2", now()).is_err());
    assert!(moved.set_names(&names(&["10.9.0.2", "0.0.0.0"]), now()).unwrap());
    assert!(!moved.set_names(&names(&["10.9.0.2"]), now()).unwrap(), "to listen everywhere is no address");
    handshake(&moved, &ca, "10.9.0.2", now()).unwrap();
}

#[test]
fn an_authority_at_its_end_is_made_anew_and_the_old_one_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let old = certificates.ca_pem();
    let late = days(3_640);
    assert!(certificates.renew_if_due(late).unwrap());
    assert_ne!(certificates.ca_pem(), old);
    assert!(certificates.status(late).problem.unwrap().contains("had come to its end"));
    let aside = folder.path().join(FOLDER).join("ca.expired-1.crt");
    assert_eq!(fs::read_to_string(aside).unwrap(), old);
    handshake(&certificates, &certificates.ca_pem(), "localhost", late).unwrap();
}

#[test]
fn the_box_makes_certificates_that_hold_while_its_clock_is_not_set() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open_at(folder.path(), Timestamp::UNIX_EPOCH);
    let ca = certificates.ca_pem();
    handshake(&certificates, &ca, "localhost", now()).unwrap();
    let fingerprint = certificates.status(now()).fingerprint;
    assert!(!certificates.renew_if_due(now()).unwrap());
    let again = open_at(folder.path(), Timestamp::UNIX_EPOCH);
    assert_eq!(again.status(now()).fingerprint, fingerprint);
}

#[test]
fn a_clock_that_was_ahead_at_the_first_start_costs_no_trust() {
    let folder = tempfile::tempdir().unwrap();
    let ca = open_at(folder.path(), days(2_000)).ca_pem();
    let certificates = open(folder.path());
    assert_eq!(certificates.ca_pem(), ca);
    handshake(&certificates, &ca, "localhost", now()).unwrap();
}

#[test]
fn a_damaged_key_of_the_authority_is_set_aside_and_told() {
    for damage in [&b"-----BEGIN PRIVATE KEY-----\nno\n"[..], b"", &[0xff; 100_000]] {
        let folder = tempfile::tempdir().unwrap();
        let old = open(folder.path()).ca_pem();
        let tls = folder.path().join(FOLDER);
        fs::write(tls.join("ca.key"), damage).unwrap();
        let certificates = open(folder.path());
        assert_ne!(certificates.ca_pem(), old);
        assert_eq!(fs::read(tls.join("ca.damaged-1.key")).unwrap(), damage);
        assert_eq!(fs::read_to_string(tls.join("ca.damaged-1.crt")).unwrap(), old);
        let problem = certificates.status(now()).problem.unwrap();
        assert!(problem.contains("was damaged and was made anew"), "{problem}");
        handshake(&certificates, &certificates.ca_pem(), "localhost", now()).unwrap();
        assert_eq!(open(folder.path()).status(now()).problem, None, "the next start finds all well");
    }
}

#[test]
fn a_lost_or_damaged_certificate_of_the_authority_is_made_from_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let old = open(folder.path()).ca_pem();
    let path = folder.path().join(FOLDER).join("ca.crt");
    for lost in [false, true] {
        if lost {
            fs::remove_file(&path).unwrap();
        } else {
            fs::write(&path, "-----BEGIN CERTIFICATE-----").unwrap();
        }
        let certificates = open(folder.path());
        assert_ne!(certificates.ca_pem(), old);
        assert_eq!(certificates.status(now()).problem, None);
        handshake(&certificates, &old, "localhost", now()).expect("who trusts the old one goes on");
    }
}

#[test]
fn a_damaged_certificate_of_the_box_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let ca = open(folder.path()).ca_pem();
    let tls = folder.path().join(FOLDER);
    fs::write(tls.join("server.pem"), &ca).unwrap();
    let certificates = open(folder.path());
    assert_eq!(certificates.ca_pem(), ca);
    handshake(&certificates, &ca, "localhost", now()).unwrap();
    assert!(tls.join("server.damaged-1.pem").exists());
}

#[test]
fn a_schools_certificate_is_used_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let bought = bought();
    certificates.install(&bought.chain(), bought.key.as_bytes(), now()).unwrap();
    for certificates in [&certificates, &open(folder.path())] {
        let status = certificates.status(now());
        assert_eq!((status.source, status.problem), (Source::School, None));
        assert_eq!(status.names, ["dns.school.example"]);
        handshake(certificates, &bought.signer, "dns.school.example", now()).unwrap();
    }
    certificates.remove_school(now()).unwrap();
    assert_eq!(certificates.status(now()).source, Source::Own);
    handshake(&certificates, &certificates.ca_pem(), "localhost", now()).unwrap();
    assert_eq!(open(folder.path()).status(now()).source, Source::Own);
}

#[test]
fn a_schools_certificate_that_ends_gives_way_to_the_boxs_own() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let bought = bought();
    certificates.install(&bought.chain(), bought.key.as_bytes(), now()).unwrap();
    let soon = "2027-12-20T00:00:00Z".parse().unwrap();
    let problem = certificates.status(soon).problem.unwrap();
    assert!(problem.contains("ends on 1 January 2028"), "{problem}");
    let past = "2028-01-02T00:00:00Z".parse().unwrap();
    assert!(certificates.renew_if_due(past).unwrap());
    let status = certificates.status(past);
    assert_eq!(status.source, Source::Own);
    assert!(status.problem.unwrap().contains("ended on 1 January 2028"));
    handshake(&certificates, &certificates.ca_pem(), "localhost", past).unwrap();
}

#[test]
fn what_is_wrong_with_a_schools_certificate_is_said_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let good = bought();
    certificates.install(&good.chain(), good.key.as_bytes(), now()).unwrap();
    let other = bought();
    let key = good.key.as_bytes();
    let reversed = format!("{}{}", good.signer, good.own);
    let strangers = format!("{}{}", good.own, other.signer);
    let damaged = format!("{}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", good.own);
    let old = bought_for("dns.school.example", 2020, 2021);
    let early = bought_for("dns.school.example", 2040, 2041);
    let nameless = bought_for("", 2026, 2028);
    let locked = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let no_kind = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let cases: [(&[u8], &[u8], Unfit); 12] = [
        (b"", key, Unfit::NoCertificate { binary: false }),
        (b"\x30\x82\x01", key, Unfit::NoCertificate { binary: true }),
        (damaged.as_bytes(), key, Unfit::DamagedCertificate { number: 2 }),
        (&good.chain(), b"", Unfit::NoKey { binary: false }),
        (&good.chain(), locked, Unfit::LockedKey),
        (&good.chain(), no_kind, Unfit::KindOfKey),
        (&good.chain(), other.key.as_bytes(), Unfit::OtherKey),
        (reversed.as_bytes(), key, Unfit::Order { number: 2 }),
        (strangers.as_bytes(), key, Unfit::Chain),
        (&nameless.chain(), nameless.key.as_bytes(), Unfit::NoNames),
        (
            &old.chain(),
            old.key.as_bytes(),
            Unfit::Expired { number: 1, ended: "2021-01-01T00:00:00Z".parse().unwrap() },
        ),
        (
            &early.chain(),
            early.key.as_bytes(),
            Unfit::Early { number: 1, from: "2040-01-01T00:00:00Z".parse().unwrap() },
        ),
    ];
    for (chain, key, wrong) in cases {
        assert_eq!(unfit(&certificates, chain, key), wrong);
    }
    assert_eq!(certificates.status(now()).source, Source::School);
    handshake(&certificates, &good.signer, "dns.school.example", now()).unwrap();
    handshake(&open(folder.path()), &good.signer, "dns.school.example", now()).unwrap();
}

#[test]
fn whatever_is_installed_is_whole_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let bought = bought();
    let right = (bought.chain(), bought.key.into_bytes());
    // A place, counted from the start, and what is added to the byte there.
    let changes = prop::collection::vec((any::<u16>(), any::<u8>()), 0..4);
    proptest!(ProptestConfig::with_cases(300), |(in_chain in changes.clone(), in_key in changes, cut in 0..4_usize)| {
        let changed = |bytes: &[u8], changes: &[(u16, u8)]| {
            let mut bytes = bytes.to_vec();
            for (at, add) in changes {
                let at = usize::from(*at) % bytes.len();
                bytes[at] = bytes[at].wrapping_add(*add);
            }
            if cut > 1 {
                bytes.truncate(bytes.len() / cut);
            }
            bytes
        };
        let before = certificates.status(now());
        let (chain, key) = (changed(&right.0, &in_chain), changed(&right.1, &in_key));
        match certificates.install(&chain, &key, now()) {
            Ok(()) => {
                prop_assert_eq!(certificates.status(now()).source, Source::School);
                certificates.remove_school(now()).unwrap();
            }
            Err(error) => {
                prop_assert!(matches!(error, TlsError::Unfit(_)), "{}", error);
                prop_assert_eq!(certificates.status(now()), before);
            }
        }
    });
}

#[test]
fn keys_in_the_older_forms_are_taken() {
    let der = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["dns.school.example".to_owned()]).unwrap().self_signed(&der).unwrap();
    // The SEC1 key lies within the PKCS#8 one: an octet string behind the version and the kind of key.
    let pkcs8 = der.serialize_der();
    let at = pkcs8.windows(5).position(|w| w[0] == 0x30 && w[2..] == [2, 1, 1]).unwrap();
    let sec1 = &pkcs8[at..at + 2 + usize::from(pkcs8[at + 1])];
    let text = data_encoding::BASE64.encode(sec1);
    let key = format!("-----BEGIN EC PRIVATE KEY-----\n{text}\n-----END EC PRIVATE KEY-----\n");
    let pair = school::read(certificate.pem().as_bytes(), key.as_bytes(), now()).unwrap();
    assert_eq!(pair.facts.names, ["dns.school.example"]);
}

#[test]
fn files_of_the_school_that_were_spoilt_by_hand_are_told_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let bought = bought();
    open(folder.path()).install(&bought.chain(), bought.key.as_bytes(), now()).unwrap();
    let key = folder.path().join(FOLDER).join("school.key");
    fs::write(&key, "spoilt").unwrap();
    let certificates = open(folder.path());
    let status = certificates.status(now());
    assert_eq!(status.source, Source::Own);
    assert!(status.problem.unwrap().contains("there is no private key in it"));
    assert_eq!(fs::read_to_string(&key).unwrap(), "spoilt");
    fs::write(&key, &bought.key).unwrap();
    assert!(certificates.renew_if_due(now()).unwrap(), "put right, it is taken");
    assert_eq!(certificates.status(now()).source, Source::School);
}

#[test]
fn a_power_cut_while_installing_leaves_the_old_two_or_the_new_two() {
    let (old, new) = (bought(), bought());
    // What lies on the disk at each moment: the new key, the new chain, and whether the key has moved already.
    for (has_key, has_chain, moved, is_new) in
        [(true, false, false, false), (true, true, false, true), (false, true, true, true)]
    {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).install(&old.chain(), old.key.as_bytes(), now()).unwrap();
        let tls = folder.path().join(FOLDER);
        if has_key {
            fs::write(tls.join("school.new.key"), &new.key).unwrap();
        }
        if has_chain {
            fs::write(tls.join("school.new.crt"), new.chain()).unwrap();
        }
        if moved {
            fs::write(tls.join("school.key"), &new.key).unwrap();
        }
        let certificates = open(folder.path());
        let expected = if is_new { &new } else { &old };
        handshake(&certificates, &expected.signer, "dns.school.example", now()).unwrap();
        assert_eq!(certificates.status(now()).problem, None);
        assert!(!tls.join("school.new.key").exists() && !tls.join("school.new.crt").exists());
    }
}

#[test]
fn a_new_certificate_that_can_t_be_written_serves_all_the_same_and_is_told_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = open(folder.path());
    let ca = certificates.ca_pem();
    // A folder in the way of the file that is written beside.
    let beside = folder.path().join(FOLDER).join(format!("server.tmp{}", std::process::id()));
    fs::create_dir(&beside).unwrap();
    assert!(certificates.renew_if_due(days(380)).unwrap());
    assert!(certificates.status(days(380)).problem.unwrap().contains("can't be written"));
    handshake(&certificates, &ca, "localhost", days(400)).unwrap();
    fs::remove_dir(&beside).unwrap();
    certificates.renew_if_due(days(381)).unwrap();
    assert_eq!(certificates.status(days(381)).problem, None);
}
