use super::*;

#[test]
fn a_session_ends_when_it_is_idle_and_whatever_happens_after_twelve_hours() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let idle = new.token("alice");
    new.later(30 * 60 - 1);
    assert!(new.session(&idle).is_some(), "being looked at is being used");
    new.later(30 * 60 - 1);
    assert!(new.session(&idle).is_some());
    new.later(30 * 60);
    assert_eq!(new.session(&idle), None);
    assert!(new.accounts.sessions(None).unwrap().is_empty());
    let busy = new.token("alice");
    for _ in 0..12 * 3 - 1 {
        new.later(20 * 60);
        assert!(new.session(&busy).is_some());
    }
    new.later(20 * 60);
    assert_eq!(new.session(&busy), None);
}

#[test]
fn shorter_limits_hold_for_sessions_that_there_are() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let token = new.token("alice");
    new.later(15 * 60);
    let limits = Limits { idle: Duration::from_secs(600), ..Limits::default() };
    new.accounts.set_settings(Settings { limits, ..Settings::default() });
    assert_eq!(new.session(&token), None);
}

#[test]
fn a_session_outlasts_a_restart_and_is_known_by_its_token_alone() {
    let new = School::new();
    let alice = new.add("alice", Role::Teacher);
    let from = Caller { address: "::ffff:10.20.0.9".parse().unwrap(), agent: &"Browser\n".repeat(100) };
    let token = new.accounts.sign_in("alice", PASSWORD, None, from).unwrap().token;
    let new = new.reopened();
    let session = new.session(&token).unwrap();
    assert_eq!((session.user, session.name.as_str(), session.role), (Some(alice), "alice", Role::Teacher));
    assert_eq!((session.address.as_str(), session.agent.chars().count()), ("10.20.0.9", 200));
    assert!(!session.agent.contains('\n'));
    assert_eq!(session.ends, start() + SignedDuration::from_hours(12));
    for other in ["", "x", &token.expose()[1..], &format!("{} ", token.expose()), &"é".repeat(10_000)] {
        assert_eq!(new.accounts.session(other).unwrap(), None);
    }
}

#[test]
fn each_sign_in_has_a_token_of_its_own() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let (one, other) = (new.token("alice"), new.token("alice"));
    assert_ne!(one.expose(), other.expose());
    assert_ne!(new.session(&one).unwrap().id, new.session(&other).unwrap().id);
}

#[test]
fn that_it_was_used_is_written_down_once_a_minute() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let token = new.token("alice");
    new.later(59);
    assert_eq!(new.session(&token).unwrap().last_used, start());
    new.later(1);
    assert_eq!(new.session(&token).unwrap().last_used, start() + SignedDuration::from_secs(60));
    assert_eq!(new.accounts.sessions(None).unwrap()[0].last_used, start() + SignedDuration::from_secs(60));
}

#[test]
fn a_new_password_ends_the_other_sessions_and_keeps_this_one() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let (here, there) = (new.token("alice"), new.token("alice"));
    let session = new.session(&here).unwrap();
    let change = |current: &str, wanted: &str| {
        new.accounts.change_password(&session, current, wanted, school().into())
    };
    assert!(matches!(change("wrong wrong wrong", "violet anchor mosaic"), Err(SignInError::Wrong)));
    for (bad, problem) in [("short", PasswordProblem::Short), (PASSWORD, PasswordProblem::Same)] {
        let refused = change(PASSWORD, bad).unwrap_err();
        assert!(
            matches!(&refused, SignInError::Accounts(AccountsError::Password(said)) if *said == problem),
            "{refused}"
        );
    }
    assert!(new.session(&there).is_some(), "nothing has changed");
    assert_eq!(change(PASSWORD, "violet anchor mosaic").unwrap().action, "user.password");
    assert!(new.session(&here).is_some());
    assert_eq!(new.session(&there), None);
    assert!(matches!(new.sign_in("alice", PASSWORD), Err(SignInError::Wrong)));
    assert_eq!(new.sign_in("alice", "violet anchor mosaic").unwrap().stage, Stage::Whole);
}

#[test]
fn a_session_that_was_revoked_changes_no_password() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let session = new.session(&new.token("alice")).unwrap();
    new.accounts.revoke_session(session.id).unwrap();
    let refused = new.accounts.change_password(&session, PASSWORD, "violet anchor mosaic", school().into());
    assert!(matches!(refused, Err(SignInError::Accounts(AccountsError::NoSession))));
    assert!(matches!(
        new.accounts.reauthenticate(&session, PASSWORD, school().into()),
        Err(SignInError::Expired)
    ));
    new.token("alice");
}

#[test]
fn sessions_are_listed_and_revoked() {
    let new = School::new();
    let alice = new.add("alice", Role::Teacher);
    new.add("bob", Role::Teacher);
    let (one, two, other) = (new.token("alice"), new.token("alice"), new.token("bob"));
    assert_eq!(new.accounts.sessions(None).unwrap().len(), 3);
    assert_eq!(new.accounts.sessions(Some(alice)).unwrap().len(), 2);
    let session = new.session(&one).unwrap();
    let change = new.accounts.revoke_other_sessions(alice, Some(session.id)).unwrap().unwrap();
    assert_eq!((change.action, change.detail.as_str()), ("session.revoke", "alice: 1 session"));
    assert_eq!((new.session(&two), new.session(&one).is_some()), (None, true));
    let out = new.accounts.sign_out(&session).unwrap().unwrap();
    assert_eq!((out.action, out.detail.as_str()), ("sign-out", "alice from 10.20.0.5"));
    assert_eq!(new.session(&one), None);
    assert_eq!(new.accounts.sign_out(&session).unwrap(), None);
    assert!(new.session(&other).is_some());
}

#[test]
fn what_is_delicate_needs_the_password_within_ten_minutes() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let token = new.token("alice");
    assert!(new.session(&token).unwrap().is_fresh(new.clock.now()));
    new.later(600);
    let session = new.session(&token).unwrap();
    assert!(!session.is_fresh(new.clock.now()));
    let wrong = new.accounts.reauthenticate(&session, "wrong wrong wrong", school().into());
    assert!(matches!(wrong, Err(SignInError::Wrong)));
    assert!(!new.session(&token).unwrap().is_fresh(new.clock.now()));
    let until = new.accounts.reauthenticate(&session, PASSWORD, school().into()).unwrap();
    assert_eq!(until, new.clock.now() + SignedDuration::from_mins(10));
    assert_eq!(new.session(&token).unwrap().fresh_until, until);
    for _ in 0..9 {
        new.accounts.reauthenticate(&session, "wrong wrong wrong", school().into()).unwrap_err();
    }
    let closed = new.accounts.reauthenticate(&session, PASSWORD, school().into());
    assert!(matches!(closed, Err(SignInError::Limited { .. })));
}

#[test]
fn a_user_has_fifty_sessions_at_most() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let first = new.token("alice");
    new.later(1);
    for _ in 0..50 {
        new.token("alice");
    }
    assert_eq!(new.accounts.sessions(None).unwrap().len(), 50);
    assert_eq!(new.session(&first), None);
}

#[test]
fn a_session_that_a_wrong_clock_made_in_the_future_is_none() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    new.later(365 * 86_400);
    let token = new.token("alice");
    new.clock.set(start());
    assert_eq!(new.session(&token), None);
    new.token("alice");
}
