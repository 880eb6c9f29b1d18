//! The set-up code, the break-glass code, and the review of who has access.

use super::*;

#[test]
fn the_first_user_claims_the_box_by_its_code_and_nobody_does_after() {
    let new = School::new();
    let code = new.accounts.setup_code().unwrap().unwrap();
    assert_eq!(code.expose().len(), 9, "{}", code.expose());
    let claim = |code: &str, name: &str, role| {
        new.accounts.claim(code, &new_user(name, role), PASSWORD, school().into())
    };
    assert!(matches!(claim("AAAA-AAAA", "alice", Role::Head), Err(SignInError::Code)));
    let teacher = claim(code.expose(), "alice", Role::Teacher);
    assert!(matches!(teacher, Err(SignInError::Accounts(AccountsError::FirstUser))));
    assert!(new.accounts.users().unwrap().is_empty());
    new.accounts.check_setup_code(&code.expose().to_lowercase().replace('-', ""), school().into()).unwrap();
    let (_, change) = claim(code.expose(), "alice", Role::Head).unwrap();
    assert_eq!(change.detail, "alice (Somebody) as head, from 10.20.0.5");
    let again = claim(code.expose(), "mallory", Role::Head);
    assert!(matches!(again, Err(SignInError::Accounts(AccountsError::SetUp))));
    assert_eq!(new.accounts.setup_code().unwrap(), None);
    assert_eq!(new.reopened().accounts.setup_code().unwrap(), None);
}

#[test]
fn one_of_many_claims_at_once_works() {
    let new = School::new();
    let code = new.accounts.setup_code().unwrap().unwrap();
    let claimed = std::thread::scope(|scope| {
        let claims: Vec<_> = (0..4)
            .map(|n| {
                let (accounts, code) = (&new.accounts, &code);
                scope.spawn(move || {
                    let user = new_user(&format!("user{n}"), Role::Head);
                    accounts.claim(code.expose(), &user, PASSWORD, school().into()).is_ok()
                })
            })
            .collect();
        claims.into_iter().map(|claim| claim.join().unwrap()).filter(|done| *done).count()
    });
    assert_eq!((claimed, new.accounts.users().unwrap().len()), (1, 1));
}

#[test]
fn set_up_codes_can_t_be_tried_out() {
    let new = School::new();
    let code = new.accounts.setup_code().unwrap().unwrap();
    for _ in 0..30 {
        new.accounts.check_setup_code("AAAA-AAAA", school().into()).unwrap_err();
    }
    let closed = new.accounts.check_setup_code(code.expose(), school().into());
    assert!(matches!(closed, Err(SignInError::Limited { .. })));
    new.accounts.check_setup_code(code.expose(), IpAddr::from([10, 20, 0, 6]).into()).unwrap();
}

#[test]
fn each_start_of_a_new_box_has_a_code_of_its_own() {
    let new = School::new();
    let before = new.accounts.setup_code().unwrap().unwrap();
    let new = new.reopened();
    assert!(matches!(
        new.accounts.check_setup_code(before.expose(), school().into()),
        Err(SignInError::Code)
    ));
}

#[test]
fn the_break_glass_code_opens_the_box_once_for_an_hour() {
    let new = School::new();
    assert_eq!(new.accounts.break_glass().unwrap(), BreakGlass::default());
    let open = |new: &School, code: &str| new.accounts.open_break_glass(code, school().into());
    assert!(matches!(open(&new, ""), Err(SignInError::Code)), "none was made yet");
    let (void, _) = new.accounts.seal_break_glass().unwrap();
    new.later(60);
    let (code, _) = new.accounts.seal_break_glass().unwrap();
    let made = new.clock.now();
    assert_eq!(code.expose().len(), 29);
    let new = new.reopened();
    assert_eq!(new.accounts.break_glass().unwrap().sealed, Some(made));
    assert!(matches!(open(&new, void.expose()), Err(SignInError::Code)));
    let (token, change) = open(&new, &code.expose().to_lowercase().replace('-', " ")).unwrap();
    assert_eq!(change.action, "break-glass.open");
    let session = new.session(&token).unwrap();
    assert!(session.is_break_glass() && session.role == Role::Head && session.is_fresh(made));
    assert!(matches!(open(&new, code.expose()), Err(SignInError::Code)), "it is burned");
    let known = new.accounts.break_glass().unwrap();
    assert_eq!(
        (known.sealed, known.last_used, known.last_used_from.as_deref()),
        (None, Some(made), Some("10.20.0.5"))
    );
    new.later(29 * 60);
    assert!(new.session(&token).is_some());
    new.later(29 * 60);
    assert!(new.session(&token).is_some());
    new.later(2 * 60);
    assert_eq!(new.session(&token), None);
}

#[test]
fn break_glass_codes_can_t_be_tried_out() {
    let new = School::new();
    let (code, _) = new.accounts.seal_break_glass().unwrap();
    for _ in 0..30 {
        new.accounts.open_break_glass("AAAAA", school().into()).unwrap_err();
    }
    let closed = new.accounts.open_break_glass(code.expose(), school().into());
    assert!(matches!(closed, Err(SignInError::Limited { .. })));
}

#[test]
fn a_break_glass_session_has_no_password_and_makes_no_second_factor() {
    let new = School::new();
    let (code, _) = new.accounts.seal_break_glass().unwrap();
    let (token, _) = new.accounts.open_break_glass(code.expose(), school().into()).unwrap();
    let session = new.session(&token).unwrap();
    assert!(matches!(new.accounts.reauthenticate(&session, "", school().into()), Err(SignInError::Wrong)));
    assert!(new.accounts.propose_second_factor(token.expose()).is_err());
    assert!(new.accounts.new_recovery_codes(&session).is_err());
    assert_eq!(new.accounts.sign_out(&session).unwrap().unwrap().detail, "break-glass from 10.20.0.5");
}

#[test]
fn who_has_access_is_to_be_looked_at_every_term() {
    let new = School::new();
    assert_eq!(new.accounts.review_state().unwrap().due, None);
    let alice = new.add("alice", Role::Head);
    let bob = new.add("bob", Role::Teacher);
    let _ = new
        .accounts
        .add_token(alice, &NewToken { name: "x".into(), scopes: vec![Scope::Read], ends: None })
        .unwrap();
    let disabled = UserChange { disabled: Some(true), ..UserChange::default() };
    new.accounts.change(bob, &disabled, None).unwrap();
    new.add("carol", Role::Governor);
    let lines = new.accounts.review().unwrap();
    let said: Vec<_> =
        lines.iter().map(|line| (line.user.name.as_str(), line.has_access, line.tokens)).collect();
    assert_eq!(said, [("alice", true, 1), ("carol", true, 0), ("bob", false, 0)]);
    new.later(120 * 86_400 - 1);
    assert!(!new.accounts.review_state().unwrap().is_due);
    new.later(1);
    assert!(new.accounts.review_state().unwrap().is_due);
    assert_eq!(new.accounts.reviewed("alice").unwrap().detail, "2 people have access");
    let new = new.reopened();
    let state = new.accounts.review_state().unwrap();
    assert_eq!(
        (state.is_due, state.by.as_deref(), state.last),
        (false, Some("alice"), Some(new.clock.now()))
    );
}
