use jiff::civil::date;

use super::*;

fn change(role: Option<Role>, disabled: Option<bool>, ends: Option<Option<Date>>) -> UserChange {
    UserChange { role, disabled, ends, full_name: None }
}

#[test]
fn a_user_is_found_by_name_in_whatever_capitals_and_after_a_restart() {
    let new = School::new();
    let id = new.add("Alice", Role::Head);
    let new = new.reopened();
    let user = new.accounts.user_named(" ALICE ").unwrap().unwrap();
    assert_eq!((user.id, user.name.as_str(), user.role), (id, "alice", Role::Head));
    assert_eq!((user.made, user.last_seen, user.has_second_factor), (start(), None, false));
    assert_eq!(new.accounts.user(id).unwrap(), Some(user));
    assert_eq!(new.accounts.user_named("bob").unwrap(), None);
}

#[test]
fn a_name_is_given_once_and_a_bad_password_adds_nobody() {
    let new = School::new();
    new.add("alice", Role::Head);
    let again = new.accounts.add(&new_user("ALICE", Role::Teacher), PASSWORD, false).unwrap_err();
    assert!(matches!(&again, AccountsError::Taken(name) if name == "alice"), "{again}");
    let weak = new.accounts.add(&new_user("bob", Role::Teacher), "Password2026!", false).unwrap_err();
    assert!(matches!(weak, AccountsError::Password(PasswordProblem::Common)), "{weak}");
    let bad = new.accounts.add(&new_user("two words", Role::Teacher), PASSWORD, false).unwrap_err();
    assert!(bad.to_string().contains("two words") && bad.is_bad_input(), "{bad}");
    assert_eq!(new.accounts.users().unwrap().len(), 1);
}

#[test]
fn the_school_s_name_makes_no_password() {
    let new = School::with_settings(Settings { school: "Greenfield Primary".into(), ..Settings::default() });
    let bad = new.accounts.add(&new_user("bob", Role::Teacher), "Greenfield-2026", false).unwrap_err();
    assert!(matches!(bad, AccountsError::Password(PasswordProblem::Names)), "{bad}");
}

#[test]
fn the_last_administrator_can_t_be_removed_disabled_demoted_or_given_an_end() {
    let new = School::new();
    let alice = new.add("alice", Role::Head);
    new.add("teacher", Role::Teacher);
    let refused = |result: Result<_, AccountsError>| {
        assert!(matches!(result, Err(AccountsError::LastAdministrator)));
    };
    let today = date(2026, 11, 22);
    for wanted in [
        change(Some(Role::Teacher), None, None),
        change(None, Some(true), None),
        change(None, None, Some(Some(date(2026, 11, 21)))),
        change(None, None, Some(Some(date(2027, 7, 31)))),
    ] {
        refused(new.accounts.change(alice, &wanted, None).map(|_| ()));
    }
    refused(new.accounts.remove(alice).map(|_| ()));
    assert!(new.accounts.user(alice).unwrap().unwrap().is_active(today), "nothing has changed");
    // One with an end date does not take their place for good.
    let visitor = new.add("visitor", Role::Technician);
    let ends = change(None, None, Some(Some(date(2026, 12, 18))));
    new.accounts.change(visitor, &ends, None).unwrap();
    refused(new.accounts.remove(alice).map(|_| ()));
    new.add("bob", Role::Technician);
    let _ = new.accounts.remove(alice).unwrap();
    assert_eq!(new.accounts.user(alice).unwrap(), None);
}

#[test]
fn a_number_is_never_given_again() {
    let new = School::new();
    new.add("alice", Role::Head);
    let bob = new.add("bob", Role::Teacher);
    let _ = new.accounts.remove(bob).unwrap();
    assert_ne!(new.add("bob", Role::Teacher), bob);
}

#[test]
fn the_audit_says_what_changed_from_what_to_what() {
    let new = School::new();
    new.add("alice", Role::Head);
    let bob = new.add("bob", Role::Teacher);
    let wanted =
        UserChange { full_name: Some("Bob Brown".into()), ..change(Some(Role::Governor), Some(true), None) };
    let said = new.accounts.change(bob, &wanted, None).unwrap().unwrap();
    assert_eq!(said.action, "user.change");
    assert_eq!(said.detail, "bob: Bob Brown, was Somebody; governor, was teacher; disabled");
    assert_eq!(new.accounts.change(bob, &wanted, None).unwrap(), None, "nothing more changes");
    let missing = new.accounts.change(UserId(99), &wanted, None).unwrap_err();
    assert!(matches!(missing, AccountsError::NoUser(_)), "{missing}");
}

#[test]
fn a_change_of_role_ends_the_sessions_and_a_change_of_name_does_not() {
    let new = School::new();
    new.add("alice", Role::Head);
    let bob = new.add("bob", Role::Teacher);
    let token = new.token("bob");
    let named = UserChange { full_name: Some("Bob Brown".into()), ..UserChange::default() };
    new.accounts.change(bob, &named, None).unwrap();
    assert_eq!(new.session(&token).unwrap().full_name, "Bob Brown");
    new.accounts.change(bob, &change(Some(Role::Governor), None, None), None).unwrap();
    assert_eq!(new.session(&token), None);
}

#[test]
fn a_reset_password_is_good_once_for_a_new_one_and_ends_sessions_and_waits() {
    let new = School::new();
    let alice = new.add("alice", Role::Teacher);
    let token = new.token("alice");
    for _ in 0..10 {
        new.sign_in("alice", "wrong wrong wrong").unwrap_err();
    }
    limited_until(new.sign_in("alice", PASSWORD));
    new.later(1);
    let (made, change) = new.accounts.reset_password(alice).unwrap();
    assert_eq!((change.action, change.detail.as_str()), ("user.password.reset", "alice"));
    assert_eq!(new.session(&token), None);
    new.later(1);
    assert!(matches!(new.sign_in("alice", PASSWORD), Err(SignInError::Wrong)));
    let limited = new.sign_in("alice", made.expose()).unwrap();
    assert_eq!(limited.stage, Stage::PasswordChange);
    let step = new.accounts.limited(limited.token.expose()).unwrap().unwrap();
    let same = new.accounts.replace_password(&step, made.expose()).unwrap_err();
    assert!(matches!(same, AccountsError::Password(PasswordProblem::Same)), "{same}");
    let _ = new.accounts.replace_password(&step, "violet anchor mosaic").unwrap();
    let whole = new.accounts.proceed(limited.token.expose(), school().into()).unwrap();
    assert_eq!(whole.stage, Stage::Whole);
    assert_eq!(new.sign_in("alice", "violet anchor mosaic").unwrap().stage, Stage::Whole);
}

#[test]
fn what_another_process_changes_is_in_force_at_once() {
    let new = School::new();
    let alice = new.add("alice", Role::Teacher);
    new.add("head", Role::Head);
    let token = new.token("alice");
    let command = opened(new.folder.path(), &new.clock);
    command.change(alice, &change(None, Some(true), None), None).unwrap();
    assert_eq!(new.session(&token), None);
    assert!(matches!(new.sign_in("alice", PASSWORD), Err(SignInError::Wrong)));
}
