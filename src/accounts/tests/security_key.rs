//! Security keys, and what thieves of passwords try with them.

use std::sync::atomic::Ordering;

use super::{super::soft_key::SoftKey, *};

const ORIGIN: &str = "https://schoolgate.local";

fn host() -> KeyHost {
    KeyHost::new("schoolgate.local").unwrap()
}

/// A head teacher with an app, signed in.
fn with_alice() -> (School, UserId, Session) {
    let new = School::new();
    let alice = new.add("alice", Role::Head);
    let (_, _, token) = new.enrol("alice");
    let session = new.session(&token).unwrap();
    (new, alice, session)
}

fn added(new: &School, session: &Session, name: &str) -> SoftKey {
    let key = SoftKey::new();
    let asked = new.accounts.propose_security_key(session, &host()).unwrap();
    let _ = new.accounts.add_security_key(session, &host(), name, &key.added(&asked, ORIGIN)).unwrap();
    key
}

impl School {
    fn pending(&self, name: &str) -> Secret {
        let pending = self.sign_in(name, PASSWORD).unwrap();
        assert_eq!(pending.stage, Stage::SecondFactor);
        pending.token
    }

    fn by_key(&self, token: &Secret, answer: &str) -> Result<SignIn, SignInError> {
        self.accounts.second_factor_by_key(token.expose(), &host(), answer, school().into())
    }
}

#[test]
fn a_key_signs_in_beside_the_codes_and_after_a_restart() {
    let (new, alice, session) = with_alice();
    let other = new.accounts.session_for_tests(alice);
    let key = added(&new, &session, " Blue key ");
    assert!(new.accounts.session(&other).unwrap().is_none(), "other sessions end");
    assert_eq!(new.accounts.user(alice).unwrap().unwrap().security_keys, 1);
    let new = new.reopened();
    for n in 0..2 {
        let pending = new.pending("alice");
        let asked = new.accounts.ask_security_key(pending.expose(), &host()).unwrap();
        let whole = new.by_key(&pending, &key.signed(&asked, ORIGIN)).unwrap();
        assert_eq!(whole.stage, Stage::Whole, "{n}");
        assert_eq!(whole.change.detail, "alice from 10.20.0.5, by the security key “Blue key”");
        assert!(new.session(&whole.token).is_some() && new.session(&pending).is_none());
    }
    let keys = new.accounts.security_keys(alice).unwrap();
    assert_eq!((keys[0].name.as_str(), keys[0].host.as_str()), ("Blue key", "schoolgate.local"));
    assert_eq!((keys[0].made, keys[0].last_used), (start(), Some(start())));
}

#[test]
fn a_key_is_not_added_to_another_page_s_question_nor_twice_nor_without_an_app() {
    let (new, alice, session) = with_alice();
    let key = SoftKey::new();
    let add = |answer: &str| new.accounts.add_security_key(&session, &host(), "key", answer).map(|_| ());
    let refused = |answer: &str| {
        assert!(matches!(add(answer), Err(AccountsError::Key)), "{answer}");
    };
    let ask = || new.accounts.propose_security_key(&session, &host()).unwrap();
    let first = ask();
    refused(&key.added(&first, "https://evil.example"));
    refused(&key.added(&first, ORIGIN));
    ask();
    refused(&key.added(&first, ORIGIN));
    for hostile in ["", "null", "{}", "[[[[", &"[".repeat(100_000), &format!("\"{}\"", "x".repeat(70_000))] {
        ask();
        refused(hostile);
    }
    let asked = ask();
    let elsewhere = KeyHost::new("localhost").unwrap();
    let answer = key.added(&asked, ORIGIN);
    let moved = new.accounts.add_security_key(&session, &elsewhere, "key", &answer);
    assert!(matches!(moved, Err(AccountsError::Key)));
    let asked = ask();
    new.later(300);
    refused(&key.added(&asked, ORIGIN));
    assert!(new.accounts.security_keys(alice).unwrap().is_empty());
    let asked = ask();
    assert!(matches!(
        new.accounts.add_security_key(&session, &host(), " ", "{}"),
        Err(AccountsError::KeyName)
    ));
    add(&key.added(&asked, ORIGIN)).unwrap();
    refused(&key.added(&ask(), ORIGIN));
    new.add("bob", Role::Head);
    let (_, _, bob) = new.enrol("bob");
    let bob = new.session(&bob).unwrap();
    let asked = new.accounts.propose_security_key(&bob, &host()).unwrap();
    let taken = new.accounts.add_security_key(&bob, &host(), "key", &key.added(&asked, ORIGIN));
    assert!(matches!(taken, Err(AccountsError::KeyTaken)), "{taken:?}");
    new.add("tom", Role::Teacher);
    let tom = new.session(&new.token("tom")).unwrap();
    assert!(matches!(new.accounts.propose_security_key(&tom, &host()), Err(AccountsError::NoApp)));
}

#[test]
fn adding_and_removing_wants_a_fresh_password_and_is_for_one_s_own_keys() {
    let (new, alice, session) = with_alice();
    added(&new, &session, "one");
    added(&new, &session, "two");
    let keys = new.accounts.security_keys(alice).unwrap();
    new.add("bob", Role::Head);
    let (_, _, bob) = new.enrol("bob");
    let bob = new.session(&bob).unwrap();
    assert!(matches!(new.accounts.remove_security_key(&bob, keys[0].id), Err(AccountsError::NoKey)));
    let removed = new.accounts.remove_security_key(&session, keys[0].id).unwrap();
    assert_eq!(removed.detail, "alice: “one” removed");
    assert_eq!(new.accounts.security_keys(alice).unwrap().len(), 1);
    new.later(600);
    assert!(matches!(new.accounts.remove_security_key(&session, keys[1].id), Err(AccountsError::NotFresh)));
    assert!(matches!(new.accounts.propose_security_key(&session, &host()), Err(AccountsError::NotFresh)));
}

#[test]
fn ten_keys_are_enough() {
    let (new, _, session) = with_alice();
    for n in 0..10 {
        added(&new, &session, &format!("key {n}"));
    }
    assert!(matches!(new.accounts.propose_security_key(&session, &host()), Err(AccountsError::TooManyKeys)));
}

#[test]
fn an_answer_for_another_origin_host_question_or_key_does_not_sign_in() {
    let (new, _, session) = with_alice();
    let key = added(&new, &session, "key");
    new.add("bob", Role::Head);
    let (_, _, bob) = new.enrol("bob");
    let bobs = added(&new, &new.session(&bob).unwrap(), "bob's");
    let pending = new.pending("alice");
    let ask = || new.accounts.ask_security_key(pending.expose(), &host()).unwrap();
    let old = ask();
    let asked = ask();
    let parsed: serde_json::Value = serde_json::from_str(&asked).unwrap();
    let bad = [
        key.signed(&old, ORIGIN),
        key.signed(&asked, "https://evil.example"),
        key.signed_for("evil.example", &parsed, ORIGIN),
        bobs.signed(&asked, ORIGIN),
    ];
    // Five wrong ones use the token up.
    for (n, answer) in bad.iter().enumerate() {
        let question = ask();
        let challenge = |text: &str| {
            let text: serde_json::Value = serde_json::from_str(text).unwrap();
            text["publicKey"]["challenge"].clone()
        };
        assert_ne!(challenge(&question), challenge(&asked), "each question is another one");
        let refused = new.by_key(&pending, answer);
        assert!(matches!(refused, Err(SignInError::Key)), "{n}: {refused:?}");
    }
    let late = new.by_key(&pending, &key.signed(&asked, ORIGIN));
    assert!(matches!(late, Err(SignInError::Key)), "nothing was asked");
    ask();
    assert!(matches!(new.by_key(&pending, "{}"), Err(SignInError::Expired)));
}

#[test]
fn the_origin_the_host_and_the_key_are_each_looked_at_for_a_question_that_stands() {
    let (new, _, session) = with_alice();
    let key = added(&new, &session, "key");
    let other = SoftKey::new();
    let wrong = |answer: &dyn Fn(&str, &serde_json::Value) -> String| {
        let pending = new.pending("alice");
        let asked = new.accounts.ask_security_key(pending.expose(), &host()).unwrap();
        let parsed = serde_json::from_str(&asked).unwrap();
        let refused = new.by_key(&pending, &answer(&asked, &parsed));
        assert!(matches!(refused, Err(SignInError::Key)), "{refused:?}");
    };
    wrong(&|asked, _| key.signed(asked, "https://evil.example"));
    wrong(&|asked, _| key.signed(asked, "https://schoolgate.local:8443"));
    wrong(&|asked, _| key.signed(asked, "http://schoolgate.local"));
    wrong(&|_, parsed| key.signed_for("evil.example", parsed, ORIGIN));
    wrong(&|asked, _| other.signed(asked, ORIGIN));
    // Another key that says it is this one.
    wrong(&|asked, _| {
        let mut forger = SoftKey::new();
        forger.id = key.id;
        forger.signed(asked, ORIGIN)
    });
    // A question of one session is no good for another one.
    let (one, two) = (new.pending("alice"), new.pending("alice"));
    let asked = new.accounts.ask_security_key(one.expose(), &host()).unwrap();
    new.accounts.ask_security_key(two.expose(), &host()).unwrap();
    let answer = key.signed(&asked, ORIGIN);
    assert!(matches!(new.by_key(&two, &answer), Err(SignInError::Key)));
    assert_eq!(new.by_key(&one, &answer).unwrap().stage, Stage::Whole);
    assert!(matches!(new.by_key(&one, &answer), Err(SignInError::Expired)), "and it is good once");
}

#[test]
fn wrong_answers_are_guesses_like_wrong_codes() {
    let (new, _, session) = with_alice();
    let key = added(&new, &session, "key");
    for _ in 0..2 {
        let pending = new.pending("alice");
        for _ in 0..5 {
            assert!(matches!(new.by_key(&pending, "{}"), Err(SignInError::Key)));
        }
    }
    limited_until(new.sign_in("alice", PASSWORD));
    new.later(300);
    let pending = new.pending("alice");
    let asked = new.accounts.ask_security_key(pending.expose(), &host()).unwrap();
    assert_eq!(new.by_key(&pending, &key.signed(&asked, ORIGIN)).unwrap().stage, Stage::Whole);
}

#[test]
fn a_copied_key_is_refused_by_its_counter() {
    let (new, alice, session) = with_alice();
    let key = added(&new, &session, "Blue key");
    let sign_in = || {
        let pending = new.pending("alice");
        let asked = new.accounts.ask_security_key(pending.expose(), &host()).unwrap();
        new.by_key(&pending, &key.signed(&asked, ORIGIN))
    };
    sign_in().unwrap();
    key.counter.store(1, Ordering::Relaxed);
    match sign_in() {
        Err(SignInError::KeyCopied { name }) => assert_eq!(name, "Blue key"),
        other => panic!("{other:?}"),
    }
    // Of two that answer at once with the same count, one is right.
    let (one, two) = (new.pending("alice"), new.pending("alice"));
    let asked = [&one, &two].map(|token| new.accounts.ask_security_key(token.expose(), &host()).unwrap());
    key.counter.store(10, Ordering::Relaxed);
    new.by_key(&one, &key.signed(&asked[0], ORIGIN)).unwrap();
    key.counter.store(10, Ordering::Relaxed);
    let copied = new.by_key(&two, &key.signed(&asked[1], ORIGIN));
    assert!(matches!(copied, Err(SignInError::KeyCopied { .. })), "{copied:?}");
    assert_eq!(new.accounts.security_keys(alice).unwrap().len(), 1);
}

#[test]
fn a_key_is_offered_only_where_it_was_added_and_to_whom_it_belongs() {
    let (new, alice, session) = with_alice();
    added(&new, &session, "key");
    let bob = new.add("bob", Role::Head);
    new.enrol("bob");
    let elsewhere = KeyHost::new("localhost").unwrap();
    assert!(new.accounts.has_security_key(alice, &host()).unwrap());
    assert!(!new.accounts.has_security_key(alice, &elsewhere).unwrap());
    assert!(!new.accounts.has_security_key(bob, &host()).unwrap());
    let pending = new.pending("alice");
    let asked = new.accounts.ask_security_key(pending.expose(), &elsewhere);
    assert!(matches!(asked, Err(SignInError::Key)));
    let asked = new.accounts.ask_security_key(new.pending("bob").expose(), &host());
    assert!(matches!(asked, Err(SignInError::Key)));
    assert!(matches!(new.accounts.ask_security_key("nonsense", &host()), Err(SignInError::Expired)));
}

#[test]
fn forgetting_the_second_factor_forgets_the_keys_and_those_that_are_just_added() {
    let (new, alice, session) = with_alice();
    added(&new, &session, "one");
    let asked = new.accounts.propose_security_key(&session, &host()).unwrap();
    let _ = new.accounts.forget_second_factor(alice).unwrap();
    let late = new.accounts.add_security_key(&session, &host(), "two", &SoftKey::new().added(&asked, ORIGIN));
    assert!(late.is_err(), "{late:?}");
    assert!(new.accounts.security_keys(alice).unwrap().is_empty());
    assert_eq!(new.sign_in("alice", PASSWORD).unwrap().stage, Stage::SecondFactorSetUp);
}

#[test]
fn a_key_that_was_removed_does_not_sign_in_and_keys_go_with_their_user() {
    let (new, alice, session) = with_alice();
    let key = added(&new, &session, "key");
    let id = new.accounts.security_keys(alice).unwrap()[0].id;
    // Who waits for the key is thrown out.
    let pending = new.pending("alice");
    let asked = new.accounts.ask_security_key(pending.expose(), &host()).unwrap();
    let _ = new.accounts.remove_security_key(&session, id).unwrap();
    let late = new.by_key(&pending, &key.signed(&asked, ORIGIN));
    assert!(matches!(late, Err(SignInError::Expired)), "{late:?}");
    added(&new, &session, "other");
    new.add("bob", Role::Head);
    let _ = new.accounts.remove(alice).unwrap();
    assert!(new.accounts.security_keys(alice).unwrap().is_empty());
}

#[test]
fn a_key_that_can_t_be_read_signs_nobody_in() {
    let (new, _, session) = with_alice();
    added(&new, &session, "key");
    new.accounts.connection().execute("UPDATE security_key SET public_key = '{}'", []).unwrap();
    let asked = new.accounts.ask_security_key(new.pending("alice").expose(), &host());
    assert!(matches!(asked, Err(SignInError::Accounts(AccountsError::Database { .. }))), "{asked:?}");
}

#[test]
fn a_database_of_before_there_were_keys_is_brought_up_to_date() {
    let new = School::new();
    let alice = new.add("alice", Role::Teacher);
    new.accounts.connection().execute_batch("DROP TABLE security_key; PRAGMA user_version = 1").unwrap();
    let new = new.reopened();
    assert_eq!(new.accounts.user(alice).unwrap().unwrap().security_keys, 0);
    assert_eq!(new.sign_in("alice", PASSWORD).unwrap().stage, Stage::Whole);
}
