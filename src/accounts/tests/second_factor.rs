use super::*;

#[test]
fn a_second_factor_is_asked_for_and_each_code_is_good_once() {
    let new = School::new();
    new.add("alice", Role::Head);
    let (proposal, _, _) = new.enrol("alice");
    // The code that set it up is used up.
    let pending = new.sign_in("alice", PASSWORD).unwrap();
    assert_eq!(pending.stage, Stage::SecondFactor);
    assert_eq!(new.session(&pending.token), None);
    let used = new.accounts.second_factor(pending.token.expose(), &new.code(&proposal), school().into());
    assert!(matches!(used, Err(SignInError::Code)));
    new.later(30);
    let code = new.code(&proposal);
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    let whole = new.accounts.second_factor(pending.token.expose(), &spaced, school().into()).unwrap();
    assert_eq!(whole.stage, Stage::Whole);
    assert!(new.session(&whole.token).is_some());
    assert_ne!(whole.token.expose(), pending.token.expose());
    let replayed = new.accounts.second_factor(pending.token.expose(), &code, school().into());
    assert!(matches!(replayed, Err(SignInError::Expired)), "the pending token is used up");
    let replayed = new.accounts.sign_in("alice", PASSWORD, Some(&code), school().into());
    assert!(matches!(replayed, Err(SignInError::Code)), "and the code");
    new.later(30);
    let at_once =
        new.accounts.sign_in("alice", PASSWORD, Some(&new.code(&proposal)), school().into()).unwrap();
    assert_eq!(at_once.stage, Stage::Whole);
}

#[test]
fn a_code_counts_a_step_early_or_late_and_no_more() {
    let new = School::new();
    new.add("alice", Role::Head);
    let (proposal, _, _) = new.enrol("alice");
    let try_after = |seconds| {
        new.later(300);
        let code = new.code(&proposal);
        new.later(seconds);
        new.accounts.sign_in("alice", PASSWORD, Some(&code), school().into()).is_ok()
    };
    assert!(try_after(30) && try_after(-30) && try_after(0));
    assert!(!try_after(60) && !try_after(-60));
}

#[test]
fn one_code_at_the_same_moment_lets_one_in() {
    let new = School::new();
    new.add("alice", Role::Head);
    let (proposal, _, _) = new.enrol("alice");
    new.later(30);
    let code = new.code(&proposal);
    let try_it = || new.accounts.sign_in("alice", PASSWORD, Some(&code), school().into()).is_ok();
    let (one, other) = std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(try_it), scope.spawn(try_it));
        (one.join().unwrap(), other.join().unwrap())
    });
    assert!(one != other, "{one} {other}");
}

#[test]
fn wrong_codes_are_guesses_and_five_use_up_the_pending_token() {
    let new = School::new();
    new.add("alice", Role::Head);
    let (proposal, _, _) = new.enrol("alice");
    new.later(30);
    let right = new.code(&proposal);
    let wrong = if right == "123456" { "654321" } else { "123456" };
    let pending = new.sign_in("alice", PASSWORD).unwrap().token;
    for _ in 0..5 {
        let refused = new.accounts.second_factor(pending.expose(), wrong, school().into());
        assert!(matches!(refused, Err(SignInError::Code)));
    }
    let refused = new.accounts.second_factor(pending.expose(), &right, school().into());
    assert!(matches!(refused, Err(SignInError::Expired)));
    for _ in 0..4 {
        new.accounts.sign_in("alice", PASSWORD, Some(wrong), school().into()).unwrap_err();
    }
    // Five and four wrong codes and the one that came too late: whoever knows the password guesses no faster.
    limited_until(new.accounts.sign_in("alice", PASSWORD, Some(&right), school().into()));
}

#[test]
fn a_pending_token_lasts_five_minutes_and_a_session_is_none() {
    let new = School::new();
    new.add("alice", Role::Head);
    let (proposal, _, whole) = new.enrol("alice");
    let pending = new.sign_in("alice", PASSWORD).unwrap().token;
    new.later(300);
    let code = new.code(&proposal);
    let late = new.accounts.second_factor(pending.expose(), &code, school().into());
    assert!(matches!(late, Err(SignInError::Expired)));
    let other = new.accounts.second_factor(whole.expose(), &code, school().into());
    assert!(matches!(other, Err(SignInError::Expired)));
    assert!(matches!(new.accounts.proceed(whole.expose(), school().into()), Err(SignInError::Expired)));
}

#[test]
fn a_pending_token_can_t_go_round_the_second_factor() {
    let new = School::new();
    new.add("alice", Role::Head);
    new.enrol("alice");
    let pending = new.sign_in("alice", PASSWORD).unwrap().token;
    assert!(matches!(new.accounts.proceed(pending.expose(), school().into()), Err(SignInError::Expired)));
    assert!(new.accounts.propose_second_factor(pending.expose()).is_err());
    let limited = new.accounts.limited(pending.expose()).unwrap().unwrap();
    assert!(new.accounts.replace_password(&limited, "violet anchor mosaic").is_err());
}

#[test]
fn who_waits_to_set_one_up_is_thrown_out_when_another_did() {
    let new = School::new();
    new.add("alice", Role::Head);
    let thief = new.sign_in("alice", PASSWORD).unwrap();
    assert_eq!(thief.stage, Stage::SecondFactorSetUp);
    new.enrol("alice");
    assert!(matches!(new.accounts.proceed(thief.token.expose(), school().into()), Err(SignInError::Expired)));
    assert!(new.accounts.propose_second_factor(thief.token.expose()).is_err());
}

#[test]
fn nothing_is_in_force_before_a_code_was_seen() {
    let new = School::new();
    let alice = new.add("alice", Role::Teacher);
    let token = new.token("alice");
    let unasked = new.accounts.confirm_second_factor(token.expose(), "123456").unwrap_err();
    assert!(matches!(unasked, AccountsError::NothingProposed), "{unasked}");
    let proposal = new.accounts.propose_second_factor(token.expose()).unwrap();
    assert!(proposal.uri.expose().starts_with("otpauth://totp/Schoolgate:alice?secret="));
    assert!(proposal.qr.expose().starts_with("<svg") && proposal.qr.expose().ends_with("</svg>"));
    let wrong = if new.code(&proposal) == "123456" { "654321" } else { "123456" };
    let refused = new.accounts.confirm_second_factor(token.expose(), wrong).unwrap_err();
    assert!(matches!(refused, AccountsError::Code), "{refused}");
    assert!(!new.accounts.user(alice).unwrap().unwrap().has_second_factor);
    assert_eq!(new.sign_in("alice", PASSWORD).unwrap().stage, Stage::Whole);
    new.later(600);
    let stale = new.accounts.propose_second_factor(token.expose()).unwrap_err();
    assert!(matches!(stale, AccountsError::NotFresh), "{stale}");
}

#[test]
fn a_recovery_code_is_good_once_and_new_ones_make_the_old_ones_void() {
    let new = School::new();
    let alice = new.add("alice", Role::Head);
    let (_, codes, token) = new.enrol("alice");
    assert_eq!(codes.0.len(), 10);
    let new = new.reopened();
    let with = |code: &str| new.accounts.sign_in("alice", PASSWORD, Some(code), school().into());
    let signed_in = with(&codes.0[3].expose().to_lowercase()).unwrap();
    assert_eq!(signed_in.stage, Stage::Whole);
    assert_eq!(signed_in.change.detail, "alice from 10.20.0.5, by a recovery code (9 left)");
    assert!(matches!(with(codes.0[3].expose()), Err(SignInError::Code)));
    let session = new.session(&token).unwrap();
    let (others, _) = new.accounts.new_recovery_codes(&session).unwrap();
    assert!(matches!(with(codes.0[4].expose()), Err(SignInError::Code)));
    assert_eq!(with(others.0[0].expose()).unwrap().stage, Stage::Whole);
    assert_eq!(new.accounts.recovery_codes_left(alice).unwrap(), 9);
}

#[test]
fn a_recovery_code_is_its_owner_s_alone() {
    let new = School::new();
    new.add("alice", Role::Head);
    new.add("bob", Role::Head);
    let (_, codes, _) = new.enrol("alice");
    new.enrol("bob");
    let stolen = new.accounts.sign_in("bob", PASSWORD, Some(codes.0[0].expose()), school().into());
    assert!(matches!(stolen, Err(SignInError::Code)));
}

#[test]
fn a_second_factor_that_was_forgotten_is_set_up_anew() {
    let new = School::new();
    let alice = new.add("alice", Role::Head);
    let (_, codes, token) = new.enrol("alice");
    assert_eq!(new.accounts.forget_second_factor(alice).unwrap().detail, "alice: forgotten");
    assert_eq!(new.session(&token), None);
    let code = Some(codes.0[0].expose());
    let again = new.accounts.sign_in("alice", PASSWORD, code, school().into()).unwrap();
    assert_eq!(again.stage, Stage::SecondFactorSetUp);
}

#[test]
fn without_the_vault_a_second_factor_is_not_skipped() {
    let new = School::new();
    new.add("alice", Role::Head);
    let (proposal, _, _) = new.enrol("alice");
    new.later(30);
    let code = new.code(&proposal);
    let School { folder, clock, accounts } = new;
    drop(accounts);
    let without = Accounts::open(folder.path(), clock, None, Settings::default()).unwrap();
    let refused = without.sign_in("alice", PASSWORD, Some(&code), school().into());
    assert!(matches!(refused, Err(SignInError::Accounts(AccountsError::Vault))));
    let pending = without.sign_in("alice", PASSWORD, None, school().into()).unwrap();
    assert_eq!(pending.stage, Stage::SecondFactor);
}

#[test]
fn a_sealed_secret_is_its_user_s_alone() {
    let new = School::new();
    let alice = new.add("alice", Role::Head);
    let bob = new.add("bob", Role::Head);
    let (proposal, _, _) = new.enrol("alice");
    new.enrol("bob");
    let swapped = "UPDATE user SET totp = (SELECT totp FROM user WHERE id = ?1), totp_step = 0 WHERE id = ?2";
    new.accounts.connection().execute(swapped, [alice.0, bob.0]).unwrap();
    let code = new.code(&proposal);
    let refused = new.accounts.sign_in("bob", PASSWORD, Some(&code), school().into());
    assert!(matches!(refused, Err(SignInError::Accounts(AccountsError::Vault))));
}
