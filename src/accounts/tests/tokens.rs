use super::*;

fn wanted(scopes: &[Scope]) -> NewToken {
    NewToken { name: "monitor".into(), scopes: scopes.to_vec(), ends: None }
}

#[test]
fn a_token_is_known_by_its_text_and_may_do_what_it_was_made_for() {
    let new = School::new();
    let alice = new.add("alice", Role::Technician);
    let (_, token, change) = new.accounts.add_token(alice, &wanted(&[Scope::Metrics, Scope::Read])).unwrap();
    assert_eq!(change.detail, "“monitor” of alice: read metrics");
    assert!(token.expose().starts_with("sgt_") && token.expose().len() == 47, "{}", token.expose().len());
    let new = new.reopened();
    let found = new.accounts.api_token(token.expose()).unwrap().unwrap();
    assert!(found.may(Scope::Read) && found.may(Scope::Metrics) && !found.may(Scope::Policy));
    assert_eq!((found.role, found.last_used), (Role::Technician, Some(start())));
    for other in ["", "sgt_", &token.expose()[..46], &token.expose()[4..]] {
        assert_eq!(new.accounts.api_token(other).unwrap(), None, "{other}");
    }
    assert_eq!(new.accounts.session(token.expose()).unwrap(), None, "a token is no session");
}

#[test]
fn a_token_goes_no_further_than_the_role_of_who_made_it() {
    let new = School::new();
    new.add("head", Role::Head);
    let alice = new.add("alice", Role::Technician);
    let bob = new.add("bob", Role::Teacher);
    let refused = new.accounts.add_token(bob, &wanted(&[Scope::Read, Scope::Policy])).unwrap_err();
    assert_eq!(refused.to_string(), "a teacher can't make a token with the scope “policy”");
    assert!(matches!(new.accounts.add_token(bob, &wanted(&[])), Err(AccountsError::NoScopes)));
    let (_, token, _) = new.accounts.add_token(alice, &wanted(&[Scope::Read, Scope::Policy])).unwrap();
    let demoted = UserChange { role: Some(Role::Teacher), ..UserChange::default() };
    new.accounts.change(alice, &demoted, None).unwrap();
    let found = new.accounts.api_token(token.expose()).unwrap().unwrap();
    assert_eq!((found.scopes.as_slice(), found.role), (&[Scope::Read][..], Role::Teacher));
}

#[test]
fn a_token_ends_with_its_last_day_its_maker_and_when_it_is_revoked() {
    let new = School::new();
    new.add("head", Role::Head);
    let alice = new.add("alice", Role::Technician);
    let day = NewToken { ends: Some("2026-11-22".parse().unwrap()), ..wanted(&[Scope::Read]) };
    let (_, short, _) = new.accounts.add_token(alice, &day).unwrap();
    let (id, revoked, _) = new.accounts.add_token(alice, &wanted(&[Scope::Read])).unwrap();
    let (_, long, _) = new.accounts.add_token(alice, &wanted(&[Scope::Read])).unwrap();
    let is_good = |token: &Secret| new.accounts.api_token(token.expose()).unwrap().is_some();
    assert!(is_good(&short) && is_good(&revoked) && is_good(&long));
    new.later(86_400);
    assert!(!is_good(&short) && is_good(&long));
    let change = new.accounts.revoke_token(id).unwrap().unwrap();
    assert_eq!((change.action, change.detail.as_str()), ("token.revoke", "“monitor” of alice"));
    assert!(!is_good(&revoked));
    assert_eq!(new.accounts.revoke_token(id).unwrap(), None);
    let disabled = UserChange { disabled: Some(true), ..UserChange::default() };
    new.accounts.change(alice, &disabled, None).unwrap();
    assert!(!is_good(&long));
    assert!(new.accounts.add_token(alice, &wanted(&[Scope::Read])).is_err());
    assert_eq!(new.accounts.tokens(Some(alice)).unwrap().len(), 2);
    let _ = new.accounts.remove(alice).unwrap();
    assert!(new.accounts.tokens(None).unwrap().is_empty());
}
