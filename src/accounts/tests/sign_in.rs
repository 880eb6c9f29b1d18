use super::*;

#[test]
fn the_right_password_signs_in_and_every_wrong_thing_is_told_alike() {
    let new = School::new();
    let alice = new.add("alice", Role::Teacher);
    let signed_in = new.sign_in("Alice", PASSWORD).unwrap();
    assert_eq!((signed_in.user, signed_in.stage), (alice, Stage::Whole));
    assert_eq!(signed_in.change.detail, "alice from 10.20.0.5");
    assert_eq!(new.accounts.user(alice).unwrap().unwrap().last_seen, Some(start()));
    let said = |name: &str, password: &str| new.sign_in(name, password).unwrap_err().to_string();
    let wrong = said("alice", "wrong wrong wrong");
    assert_eq!(said("nobody", "wrong wrong wrong"), wrong);
    assert_eq!(said("", ""), wrong);
    assert_eq!(said("alice", &"x".repeat(100_000)), wrong);
}

#[test]
fn who_is_disabled_or_has_ended_has_no_session_and_no_way_in() {
    let new = School::new();
    new.add("head", Role::Head);
    let alice = new.add("alice", Role::Teacher);
    let token = new.token("alice");
    let ends = UserChange { ends: Some(Some("2026-11-22".parse().unwrap())), ..UserChange::default() };
    new.accounts.change(alice, &ends, None).unwrap();
    assert!(new.session(&token).is_some(), "the last day is within");
    // Half a minute before midnight, then after.
    new.clock.set("2026-11-22T23:59:30Z".parse().unwrap());
    let token = new.token("alice");
    new.later(60);
    assert_eq!(new.session(&token), None);
    assert!(matches!(new.sign_in("alice", PASSWORD), Err(SignInError::Wrong)));
    assert!(new.accounts.sessions(None).unwrap().is_empty());
}

#[test]
fn an_account_is_closed_after_ten_wrong_guesses_even_for_the_right_password() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    new.add("bob", Role::Teacher);
    for n in 0..10 {
        let from = IpAddr::from([10, 20, 1, n]);
        let wrong = new.accounts.sign_in("alice", "wrong wrong wrong", None, from.into());
        assert!(matches!(wrong, Err(SignInError::Wrong)));
    }
    let until = limited_until(new.sign_in("alice", PASSWORD));
    assert_eq!(until, start() + SignedDuration::from_mins(5));
    // A name that nobody has is closed as well, so this tells nothing.
    for n in 0..10 {
        new.accounts.sign_in("nobody", PASSWORD, None, IpAddr::from([10, 20, 2, n]).into()).unwrap_err();
    }
    limited_until(new.sign_in("nobody", PASSWORD));
    new.token("bob");
    new.later(300);
    new.token("alice");
}

#[test]
fn an_address_is_closed_after_thirty_wrong_guesses_for_whomever() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let from = |host: &str| -> IpAddr { format!("2001:db8::{host}").parse().unwrap() };
    for n in 0..30 {
        let name = format!("user{n}");
        new.accounts.sign_in(&name, PASSWORD, None, from(&n.to_string()).into()).unwrap_err();
    }
    limited_until(new.accounts.sign_in("alice", PASSWORD, None, from("ffff").into()));
    new.token("alice");
}

#[test]
fn many_guesses_at_once_are_no_more_than_one_after_the_other() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let looked_at = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in 0..16 {
            let (new, looked_at) = (&new, &looked_at);
            scope.spawn(move || {
                let from = IpAddr::from([10, 20, 3, n]);
                let wrong = new.accounts.sign_in("alice", "wrong wrong wrong", None, from.into());
                if matches!(wrong, Err(SignInError::Wrong)) {
                    looked_at.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(looked_at.into_inner(), 10);
}

#[test]
fn right_passwords_are_no_guesses() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    for _ in 0..12 {
        new.token("alice");
    }
}

#[test]
fn a_password_grows_old_only_where_the_school_wants_it() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    new.later(91 * 86_400);
    assert_eq!(new.sign_in("alice", PASSWORD).unwrap().stage, Stage::Whole);
    new.accounts.set_settings(Settings { password_max_age_days: 90, ..Settings::default() });
    let limited = new.sign_in("alice", PASSWORD).unwrap();
    assert_eq!(limited.stage, Stage::PasswordChange);
    assert_eq!(new.session(&limited.token), None, "it is good for nothing else");
    let again = new.accounts.proceed(limited.token.expose(), school().into()).unwrap();
    assert_eq!(again.stage, Stage::PasswordChange, "nothing is skipped");
    assert_eq!(new.accounts.limited(limited.token.expose()).unwrap(), None, "a token is good once");
    let step = new.accounts.limited(again.token.expose()).unwrap().unwrap();
    let _ = new.accounts.replace_password(&step, "violet anchor mosaic").unwrap();
    assert_eq!(new.accounts.proceed(again.token.expose(), school().into()).unwrap().stage, Stage::Whole);
    assert_eq!(new.sign_in("alice", "violet anchor mosaic").unwrap().stage, Stage::Whole);
}

#[test]
fn who_signs_in_for_the_first_time_changes_the_password_and_then_sets_up_the_second_factor() {
    let new = School::new();
    let (_, made, _) = new.accounts.add_with_made_password(&new_user("alice", Role::Technician)).unwrap();
    let first = new.sign_in("alice", made.expose()).unwrap();
    assert_eq!(first.stage, Stage::PasswordChange);
    let early = new.accounts.propose_second_factor(first.token.expose()).unwrap_err();
    assert!(matches!(early, AccountsError::NoSession), "{early}");
    let step = new.accounts.limited(first.token.expose()).unwrap().unwrap();
    let _ = new.accounts.replace_password(&step, "violet anchor mosaic").unwrap();
    let second = new.accounts.proceed(first.token.expose(), school().into()).unwrap();
    assert_eq!(second.stage, Stage::SecondFactorSetUp);
    let step = new.accounts.limited(second.token.expose()).unwrap().unwrap();
    assert!(new.accounts.replace_password(&step, "orbit candle fern").is_err());
    assert_eq!(new.session(&second.token), None);
    let proposal = new.accounts.propose_second_factor(second.token.expose()).unwrap();
    let code = new.code(&proposal);
    let _ = new.accounts.confirm_second_factor(second.token.expose(), &code).unwrap();
    let whole = new.accounts.proceed(second.token.expose(), school().into()).unwrap();
    assert_eq!(new.session(&whole.token).unwrap().role, Role::Technician);
}
