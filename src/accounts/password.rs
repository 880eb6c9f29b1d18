//! Passwords: which ones are good enough, and how they are kept.

mod rules;

use std::sync::{Mutex, PoisonError};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier},
};

pub use self::rules::PasswordProblem;
pub(super) use self::rules::{About, LONGEST, check};
use super::AccountsError;

/// What is compared when there is no such user, so that the answer takes as long. It is no password's hash.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2Nob29sZ2F0ZSBub2JvZHk$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Makes and compares hashes, one at a time: each takes 19 MiB, and a box has other things to do.
#[derive(Debug, Default)]
pub(super) struct Hasher(Mutex<()>);

impl Hasher {
    /// What is kept of a password: argon2id with 19 MiB and two passes, as a PHC string.
    pub(super) fn hash(&self, password: &str) -> Result<String, AccountsError> {
        let _one = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Fails without random bytes, and for nothing else: the parameters are constants.
        argon2()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|_| AccountsError::Random)
    }

    /// Whether it is the password. Takes as long where there is none to compare with.
    pub(super) fn is(&self, password: &str, hash: Option<&str>) -> bool {
        let _one = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = argon2().verify_password(password.as_bytes(), hash.unwrap_or(NOBODY)).is_ok();
        same && hash.is_some()
    }
}

fn argon2() -> Argon2<'static> {
    // The constants are 19456 KiB, two passes, one lane.
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHash;

    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_no_other_is() {
        let hasher = Hasher::default();
        let hash = hasher.hash("correct horse battery staple").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.is("correct horse battery staple", Some(&hash)));
        assert!(!hasher.is("correct horse battery stapl", Some(&hash)));
        assert!(!hasher.is("correct horse battery staple", None));
        assert!(!hasher.is("correct horse battery staple", Some("damaged")));
        assert_ne!(hash, hasher.hash("correct horse battery staple").unwrap());
    }

    #[test]
    fn nobody_s_hash_is_a_real_one_of_the_same_cost() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(Params::try_from(&hash).unwrap().m_cost(), 19_456);
        assert_eq!(hash.hash.unwrap().len(), Params::DEFAULT_OUTPUT_LEN);
    }
}
