//! Accounts as a whole: a folder, a clock that tests move, people.

mod second_factor;
mod security_key;
mod sessions;
mod sign_in;
mod tokens;
mod users;
mod ways_in;

use std::{net::IpAddr, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::*;

/// A password that is good enough.
const PASSWORD: &str = "heron ladder copper";

struct School {
    folder: TempDir,
    clock: Clock,
    accounts: Accounts,
}

fn start() -> Timestamp {
    "2026-11-22T09:00:10Z".parse().unwrap()
}

impl School {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::held_at(start());
        let accounts = opened(folder.path(), &clock);
        Self { folder, clock, accounts }
    }

    fn with_settings(settings: Settings) -> Self {
        let new = Self::new();
        new.accounts.set_settings(settings);
        new
    }

    /// As after a restart.
    fn reopened(self) -> Self {
        drop(self.accounts);
        let accounts = opened(self.folder.path(), &self.clock);
        Self { accounts, ..self }
    }

    fn later(&self, seconds: i64) {
        self.clock.set(self.clock.now() + SignedDuration::from_secs(seconds));
    }

    fn add(&self, name: &str, role: Role) -> UserId {
        self.accounts.add(&new_user(name, role), PASSWORD, false).unwrap().0
    }

    fn sign_in(&self, name: &str, password: &str) -> Result<SignIn, SignInError> {
        self.accounts.sign_in(name, password, None, school().into())
    }

    /// A session of somebody without a second factor.
    fn token(&self, name: &str) -> Secret {
        let signed_in = self.sign_in(name, PASSWORD).unwrap();
        assert_eq!(signed_in.stage, Stage::Whole);
        signed_in.token
    }

    fn session(&self, token: &Secret) -> Option<Session> {
        self.accounts.session(token.expose()).unwrap()
    }

    /// What the phone shows for a secret that was proposed.
    fn code(&self, proposal: &Proposal) -> String {
        let key = proposal.secret.expose().replace(' ', "");
        let key = data_encoding::BASE32_NOPAD.decode(key.as_bytes()).unwrap();
        let totp = totp_rs::Builder::new().with_secret(key).build().unwrap();
        totp.generate(u64::try_from(self.clock.now().as_second()).unwrap()).to_string()
    }

    /// Signs in somebody whose role needs a second factor, and sets it up.
    fn enrol(&self, name: &str) -> (Proposal, RecoveryCodes, Secret) {
        let limited = self.sign_in(name, PASSWORD).unwrap();
        assert_eq!(limited.stage, Stage::SecondFactorSetUp);
        let proposal = self.accounts.propose_second_factor(limited.token.expose()).unwrap();
        let code = self.code(&proposal);
        let (codes, _) = self.accounts.confirm_second_factor(limited.token.expose(), &code).unwrap();
        let whole = self.accounts.proceed(limited.token.expose(), school().into()).unwrap();
        assert_eq!(whole.stage, Stage::Whole);
        (proposal, codes, whole.token)
    }
}

fn opened(folder: &Path, clock: &Clock) -> Accounts {
    let vault = Arc::new(Vault::open(folder).unwrap());
    Accounts::open(folder, clock.clone(), Some(vault), Settings::default()).unwrap()
}

fn new_user(name: &str, role: Role) -> NewUser {
    NewUser { name: name.into(), full_name: "Somebody".into(), role, ends: None }
}

fn school() -> IpAddr {
    IpAddr::from([10, 20, 0, 5])
}

fn limited_until(result: Result<SignIn, SignInError>) -> Timestamp {
    match result {
        Err(SignInError::Limited { until }) => until,
        other => panic!("not limited: {other:?}"),
    }
}

#[test]
fn accounts_may_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Accounts>();
}

#[test]
fn nobody_but_its_owner_can_read_the_database() {
    let new = School::new();
    new.add("alice", Role::Head);
    for file in ["accounts.db", "accounts.db-wal", "accounts.db-shm"] {
        let mode = fs::metadata(new.folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let file = new.folder.path().join(DATABASE);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let new = new.reopened();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(new.accounts.users().unwrap().len(), 1);
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let new = School::new();
    new.accounts.connection().pragma_update(None, "user_version", 999).unwrap();
    drop(new.accounts);
    let error = Accounts::open(new.folder.path(), new.clock, None, Settings::default()).unwrap_err();
    assert!(matches!(error, AccountsError::Newer { .. }), "{error}");
    assert!(!error.is_bad_input());
}

#[test]
fn a_damaged_database_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(DATABASE), b"this is not a database, not even nearly one").unwrap();
    let error = Accounts::open(folder.path(), Clock::system(), None, Settings::default()).unwrap_err();
    assert!(error.to_string().contains("accounts.db"), "{error}");
    let kept = fs::read(folder.path().join(DATABASE)).unwrap();
    assert!(kept.starts_with(b"this is not"), "it is left as it was");
}

#[test]
fn a_user_whose_role_can_t_be_read_does_not_sign_in() {
    let new = School::new();
    new.add("alice", Role::Teacher);
    let token = new.token("alice");
    new.accounts.connection().execute("UPDATE user SET role = 'emperor'", []).unwrap();
    assert!(new.accounts.session(token.expose()).is_err());
    assert!(matches!(new.sign_in("alice", PASSWORD), Err(SignInError::Accounts(_))));
}

#[test]
fn no_secret_lies_in_the_files_or_in_the_audit() {
    let new = School::new();
    let code = new.accounts.setup_code().unwrap().unwrap();
    let (alice, claimed) =
        new.accounts.claim(code.expose(), &new_user("alice", Role::Head), PASSWORD, school().into()).unwrap();
    let (proposal, recovery, token) = new.enrol("alice");
    let scopes = vec![Scope::Read];
    let wanted = NewToken { name: "monitor".into(), scopes, ends: None };
    let (_, api_token, added) = new.accounts.add_token(alice, &wanted).unwrap();
    let (glass, sealed) = new.accounts.seal_break_glass().unwrap();
    let (password, reset) = new.accounts.reset_password(alice).unwrap();
    let secrets = [
        PASSWORD,
        code.expose(),
        proposal.secret.expose(),
        &proposal.secret.expose().replace(' ', ""),
        recovery.0[0].expose(),
        token.expose(),
        api_token.expose(),
        glass.expose(),
        password.expose(),
    ];
    let mut kept: Vec<u8> = [claimed, added, sealed, reset].map(|change| change.detail).concat().into();
    for file in fs::read_dir(new.folder.path()).unwrap() {
        let file = file.unwrap().path();
        if file.to_string_lossy().contains("accounts.db") {
            kept.extend(fs::read(file).unwrap());
        }
    }
    assert!(kept.windows(5).any(|bytes| bytes == b"alice"), "the files were read");
    for secret in secrets {
        assert!(!kept.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{secret}");
    }
}

#[test]
fn every_action_is_known_by_its_word() {
    for word in change::action::ALL {
        assert_eq!(AccountChange::said(word, String::new()).unwrap().action, word);
    }
    assert_eq!(AccountChange::said("policy.import", String::new()), None);
}
