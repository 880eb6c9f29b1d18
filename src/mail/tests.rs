use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use proptest::prelude::*;

use super::{letter::address, *};

fn moment() -> Timestamp {
    "2026-11-26T10:15:00Z".parse().unwrap()
}

fn new() -> NewSettings {
    NewSettings {
        server: String::from("smtp.school.example"),
        port: 465,
        encryption: Encryption::Tls,
        user: String::from("filter"),
        password: Some(Password::new("seven green bottles")),
        from: String::from("filter@school.example"),
        authority: String::new(),
    }
}

fn open(folder: &Path) -> Mail {
    Mail::open(folder, Some(Arc::new(Vault::open(folder).unwrap())))
}

#[test]
fn what_is_set_up_is_there_after_a_restart_and_its_password_is_nobodys_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let mail = open(folder.path());
    assert!(mail.settings().is_none());
    mail.set(new()).unwrap();
    let file = folder.path().join(FILE);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("smtp.school.example") && !text.contains("bottles"), "{text}");
    let again = open(folder.path()).settings().unwrap();
    assert_eq!(again, mail.settings().unwrap());
    assert_eq!(again.password.as_ref().unwrap().expose(), "seven green bottles");
    let said = format!("{again:?} {} {:?}", again.said(), new());
    assert!(!said.contains("bottles"), "{said}");
    mail.remove().unwrap();
    assert!(mail.settings().is_none() && !file.exists());
    mail.remove().unwrap();
}

#[test]
fn the_password_stays_only_for_the_server_that_it_was_typed_for() {
    let folder = tempfile::tempdir().unwrap();
    let mail = open(folder.path());
    mail.set(new()).unwrap();
    let kept = || NewSettings { password: None, ..new() };
    mail.set(NewSettings { from: String::from("other@school.example"), ..kept() }).unwrap();
    assert_eq!(mail.settings().unwrap().password.as_ref().unwrap().expose(), "seven green bottles");
    let before = mail.settings();
    let certificate = rcgen::generate_simple_self_signed(vec![String::from("a.example")]).unwrap().cert.pem();
    for changed in [
        NewSettings { server: String::from("smtp.evil.example"), ..kept() },
        NewSettings { port: 587, ..kept() },
        NewSettings { encryption: Encryption::StartTls, ..kept() },
        NewSettings { user: String::from("another"), ..kept() },
        NewSettings { authority: certificate, ..kept() },
    ] {
        let refused = mail.set(changed).unwrap_err();
        assert!(matches!(refused, MailError::PasswordWanted), "{refused}");
    }
    assert_eq!(mail.settings(), before);
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mail = open(folder.path());
    let text = |text: &str| text.to_owned();
    for wrong in [
        NewSettings { server: text(""), ..new() },
        NewSettings { server: text("smtp school"), ..new() },
        NewSettings { server: text("smtp.school.example\r\nX: y"), ..new() },
        NewSettings { server: text("smtp://school.example"), ..new() },
        NewSettings { port: 0, ..new() },
        NewSettings { user: text("a\nb"), ..new() },
        NewSettings { user: text(""), ..new() },
        NewSettings { password: Some(Password::new("")), ..new() },
        NewSettings { password: Some(Password::new("a\0b")), ..new() },
        NewSettings { encryption: Encryption::None, ..new() },
        NewSettings {
            encryption: Encryption::None,
            server: text("192.0.2.1"),
            user: text(""),
            password: None,
            ..new()
        },
        NewSettings { from: text("filter"), ..new() },
        NewSettings { from: text("filter@school.example>\r\nRCPT TO:<x@y.example"), ..new() },
        NewSettings { authority: text("no certificate"), ..new() },
        NewSettings {
            authority: text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
            ..new()
        },
    ] {
        let said = format!("{wrong:?}");
        let refused = mail.set(wrong).expect_err(&said);
        assert!(refused.is_bad_input(), "{said}: {refused}");
    }
    assert!(mail.settings().is_none() && !folder.path().join(FILE).exists());
    let inside = NewSettings {
        encryption: Encryption::None,
        server: text("10.20.0.25"),
        user: text(""),
        password: None,
        port: 25,
        ..new()
    };
    mail.set(inside).unwrap();
}

#[test]
fn a_damaged_file_is_set_aside_and_a_lost_key_loses_only_the_password() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), "server = 7").unwrap();
    assert!(open(folder.path()).settings().is_none());
    assert_eq!(fs::read_to_string(folder.path().join("mail.damaged-1.toml")).unwrap(), "server = 7");
    open(folder.path()).set(new()).unwrap();
    fs::remove_file(folder.path().join(crate::vault::KEY_FILE)).unwrap();
    let settings = open(folder.path()).settings().unwrap();
    assert_eq!((settings.user.as_str(), &settings.password), ("filter", &None));
    // Without a key nothing is kept in clear instead.
    let keyless = Mail::open(folder.path(), None);
    assert!(matches!(keyless.set(new()), Err(MailError::NoKey)));
}

#[tokio::test]
async fn nobody_is_flooded() {
    let folder = tempfile::tempdir().unwrap();
    let mail = open(folder.path());
    let letter = Letter::new("", "a@school.example", "s", "b").unwrap();
    let send = |at| mail.send(&letter, at, |_| async { Ok(Vec::new()) });
    assert_eq!(send(moment()).await, Err(SendError::NotSetUp));
    mail.set(new()).unwrap();
    for _ in 0..MOST_AN_HOUR {
        assert!(matches!(send(moment()).await, Err(SendError::NotFound(_))));
    }
    assert_eq!(send(moment()).await, Err(SendError::TooMany));
    assert!(matches!(send(moment() + Duration::from_secs(3_600)).await, Err(SendError::NotFound(_))));
}

#[test]
fn addresses_are_those_that_every_server_takes() {
    for right in ["a@b.example", "o'n+x@b.example", " a@b.example ", "a@schüle.example"] {
        address(right).unwrap();
    }
    let long = format!("{}@b.example", "a".repeat(250));
    for wrong in [
        "",
        "a",
        "@b.example",
        "a@b",
        "a b@c.example",
        "a@b.example\r\nX",
        "<a@b.example>",
        "é@b.example",
        "a@[10.0.0.1]",
        &long,
    ] {
        assert!(address(wrong).is_err(), "{wrong:?}");
    }
}

/// The headers of a message, unfolded: name and value.
fn headers(message: &str) -> Vec<(String, String)> {
    let head = message.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
    head.split("\r\n")
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no header"));
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

proptest! {
    #[test]
    fn whatever_is_written_has_no_header_and_no_line_that_was_not_meant(
        name in "(\\PC|[\r\n\0\t\"\\\\<>,:;@ ]){0,300}",
        school in "(\\PC|[\r\n\0\t\"\\\\<>,:;@ ]){0,300}",
        subject in "(\\PC|[\r\n\0]){0,1200}",
        body in "(\\PC|[\r\n\0.]){0,2500}",
    ) {
        let letter = Letter::new(&name, "lead@school.example", &subject, &body).unwrap().from_name(&school);
        let from = address("filter@school.example").unwrap();
        let message = String::from_utf8(letter.written(&from, moment()).unwrap()).unwrap();
        prop_assert!(message.is_ascii(), "{message}");
        let mut found: Vec<String> = headers(&message).into_iter().map(|(name, _)| name).collect();
        found.sort_unstable();
        prop_assert_eq!(found, [
            "Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "MIME-Version",
            "Message-ID", "Subject", "To",
        ]);
        for line in message.split("\r\n") {
            prop_assert!(line.len() <= 998, "{} bytes: {line}", line.len());
            prop_assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
        }
        let of = |wanted: &str| headers(&message).into_iter().find(|(name, _)| name == wanted).unwrap().1;
        prop_assert!(of("To").ends_with("lead@school.example") || of("To").ends_with("<lead@school.example>"));
        prop_assert!(of("From").ends_with("filter@school.example") || of("From").ends_with("<filter@school.example>"));
    }

    #[test]
    fn an_address_has_nothing_that_ends_a_command(text in "(\\PC|[\r\n\0 <>@.a]){0,60}") {
        if let Ok(address) = address(&text) {
            let address = address.to_string();
            prop_assert!(address.chars().all(|c| c.is_ascii_graphic() && !"<>\"(),:;".contains(c)), "{address}");
        }
    }
}
