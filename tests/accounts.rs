//! Who may sign in, as somebody at the console of the box meets it.

mod support;

use std::{net::IpAddr, path::Path, sync::Arc};

use hickory_proto::rr::RecordType;
use schoolgate::{
    accounts::{Accounts, Settings, SignIn, SignInError, Stage},
    clock::Clock,
    vault::Vault,
};
use serde_json::Value;
use support::{
    Running, command_on, ede, err, out,
    school::{done, json},
};

fn add<'a>(name: &'a str, role: &'a str) -> [&'a str; 7] {
    ["user", "add", name, "--full-name", "Adaeze Okafor", "--role", role]
}

fn accounts(data: &Path) -> Accounts {
    let vault = Arc::new(Vault::open(data).expect("a vault"));
    Accounts::open(data, Clock::system(), Some(vault), Settings::default()).expect("accounts")
}

fn sign_in(accounts: &Accounts, name: &str, password: &str) -> Result<SignIn, SignInError> {
    accounts.sign_in(name, password, None, IpAddr::from([127, 0, 0, 1]).into())
}

fn audit(data: &Path) -> Vec<String> {
    let lines = json(data, &["audit", "list"]);
    let said = |line: &Value| {
        format!("{}: {}", line["action"].as_str().expect("text"), line["detail"].as_str().expect("text"))
    };
    lines.as_array().expect("a list").iter().map(said).collect()
}

#[test]
fn somebody_is_added_and_signs_in_with_the_password_that_was_printed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let running = Running::on_free_ports(data, "[lists]\nautomatic = false\n");
    assert!(done(data, &["user", "list"]).contains("Nobody can sign in yet"));
    let said = done(data, &add("A.Okafor", "head"));
    let password = said.lines().find(|line| line.starts_with("    ")).expect("a password").trim();
    let accounts = accounts(data);
    let first = sign_in(&accounts, "a.okafor", password).unwrap();
    assert_eq!(first.stage, Stage::PasswordChange);
    let listed = done(data, &["user", "list"]);
    assert!(listed.starts_with("a.okafor  head"), "{listed}");
    assert!(listed.contains("never signed in, second factor not set up yet"), "{listed}");
    assert_eq!(json(data, &["user", "list"])[0]["role"], "head");
    assert_eq!(audit(data), ["user.add: a.okafor (Adaeze Okafor) as head"]);
    assert!(done(data, &["audit", "list"]).contains("at the command line  user.add  a.okafor"));
    assert!(running.stop().success());
}

#[test]
fn a_lost_password_is_reset_and_the_audit_says_so_and_not_which() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let before = json(data, &add("alice", "technician"));
    let accounts = accounts(data);
    let waiting = sign_in(&accounts, "alice", before["password"].as_str().unwrap()).unwrap();
    for _ in 0..10 {
        sign_in(&accounts, "alice", "wrong wrong wrong").unwrap_err();
    }
    let reset = json(data, &["user", "reset-password", "Alice", "--second-factor"]);
    let password = reset["password"].as_str().unwrap();
    assert_eq!(reset["name"], "alice");
    assert!(accounts.limited(waiting.token.expose()).unwrap().is_none(), "what was open ended");
    assert_eq!(sign_in(&accounts, "alice", password).unwrap().stage, Stage::PasswordChange, "nobody waits");
    let audit = audit(data);
    assert_eq!(audit[..2], ["user.second-factor: alice: forgotten", "user.password.reset: alice"]);
    assert!(!audit.concat().contains(password));
}

#[test]
fn somebody_is_disabled_and_enabled_and_never_the_last_who_manages_users() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    done(data, &add("alice", "head"));
    let last = command_on(data, &["user", "disable", "alice"]);
    assert_eq!(last.status.code(), Some(2));
    assert!(err(&last).contains("nobody could manage users any more"), "{}", err(&last));
    done(data, &[&add("visitor", "technician")[..], &["--ends", "2099-12-18"]].concat());
    assert_eq!(done(data, &["user", "disable", "visitor"]), "visitor is disabled.\n");
    assert_eq!(done(data, &["user", "disable", "visitor"]), "visitor is disabled already.\n");
    assert!(done(data, &["user", "list"]).contains("disabled, until 2099-12-18"));
    assert_eq!(done(data, &["user", "enable", "visitor"]), "visitor is enabled.\n");
    let audit = audit(data);
    assert_eq!(audit[..2], ["user.change: visitor: enabled", "user.change: visitor: disabled"]);
    assert_eq!(audit.len(), 4, "what changed nothing is not in it: {audit:?}");
    assert_eq!(json(data, &["audit", "list", "--limit", "1"]).as_array().unwrap().len(), 1);
}

#[test]
fn what_is_wrong_is_one_clear_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    done(data, &add("alice", "head"));
    for (args, says) in [
        (&add("alice", "head")[..], "there is a user “alice” already"),
        (&add("bob", "teecher"), "did you mean `teacher`?"),
        (&add("bob", "emperor"), "safeguarding, policy-owner"),
        (&add("two words", "head"), "“two words” can't be a name"),
        (&[&add("bob", "head")[..], &["--ends", "soon"]].concat(), "2026-12-18"),
        (&["user", "disable", "alise"], "did you mean “alice”?"),
        (&["user", "reset-password", "nobody"], "there is no user “nobody”"),
        (&["audit", "list", "--limit", "0"], "--limit"),
    ] {
        let output = command_on(data, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
        assert!(err(&output).contains(says), "{args:?}: {}", err(&output));
        assert_eq!((err(&output).lines().count(), out(&output).len()), (1, 0), "{}", err(&output));
    }
    assert_eq!(audit(data).len(), 1);
}

#[test]
fn a_damaged_database_of_accounts_is_exit_code_3_and_names_are_answered_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    std::fs::write(data.join("accounts.db"), b"this is not a database, not even nearly one").unwrap();
    let output = command_on(data, &["user", "list"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("accounts.db"), "{}", err(&output));
    let running = Running::on_free_ports(data, "[lists]\nautomatic = false\n");
    assert_eq!(ede(&running.ask("www.bet365.com.", RecordType::TXT))[0].0, 17);
    assert!(running.stop().success());
}

#[test]
fn a_password_is_printed_even_when_the_audit_can_t_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    done(data, &add("alice", "head"));
    for leftover in ["schoolgate.db-wal", "schoolgate.db-shm"] {
        let _ = std::fs::remove_file(data.join(leftover));
    }
    std::fs::write(data.join("schoolgate.db"), b"this is not a database, not even nearly one").unwrap();
    let output = command_on(data, &["user", "reset-password", "alice"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("it was done, but the audit does not say so"), "{}", err(&output));
    let said = out(&output);
    let password = said.lines().find(|line| line.starts_with("    ")).expect("a password").trim();
    assert_eq!(sign_in(&accounts(data), "alice", password).unwrap().stage, Stage::PasswordChange);
}
