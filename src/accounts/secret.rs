//! What the box makes up itself: tokens, codes and passwords that nobody can guess.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use super::AccountsError;

/// Digits and capitals that nobody takes for one another: no 0, 1, I, L and O.
const LETTERS: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// Something that is shown once and never written down: not in logs, not in the audit.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for whom it is meant.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// So many random bytes.
pub(super) fn bytes<const N: usize>(random: &SystemRandom) -> Result<Zeroizing<[u8; N]>, AccountsError> {
    let mut bytes = Zeroizing::new([0; N]);
    random.fill(&mut *bytes).map_err(|_| AccountsError::Random)?;
    Ok(bytes)
}

/// 256 random bits in letters that an address and a cookie may have.
pub(super) fn token(random: &SystemRandom) -> Result<Secret, AccountsError> {
    Ok(Secret::new(BASE64URL_NOPAD.encode(&*bytes::<32>(random)?)))
}

/// A code for people: so many groups of so many letters and digits, with a hyphen between the groups. Each letter is
/// worth almost 5 bits.
pub(super) fn code(random: &SystemRandom, groups: usize, each: usize) -> Result<Secret, AccountsError> {
    let mut text = String::with_capacity(groups * (each + 1));
    for group in 0..groups {
        if group > 0 {
            text.push('-');
        }
        let mut letters = 0;
        while letters < each {
            let byte = bytes::<1>(random)?[0];
            // Bytes from 248 on are left out, since they would make the first letters more likely.
            if usize::from(byte) < 8 * LETTERS.len() {
                text.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
                letters += 1;
            }
        }
    }
    Ok(Secret::new(text))
}

/// A code as it is compared: without hyphens and spaces, in capitals.
pub(super) fn plain(code: &str) -> Zeroizing<String> {
    // Longer texts are no codes, and need no work.
    let letters = code.chars().take(100).filter(|c| !matches!(c, '-' | ' ' | '\t'));
    Zeroizing::new(letters.map(|c| c.to_ascii_uppercase()).collect())
}

/// What is kept of a secret that nobody could find by trying.
pub(super) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_256_bits_and_no_two_are_alike() {
        let random = SystemRandom::new();
        let (one, two) = (token(&random).unwrap(), token(&random).unwrap());
        assert_eq!(BASE64URL_NOPAD.decode(one.expose().as_bytes()).unwrap().len(), 32);
        assert_ne!(one.expose(), two.expose());
    }

    #[test]
    fn a_code_comes_in_groups_without_letters_that_look_alike() {
        let code = code(&SystemRandom::new(), 5, 5).unwrap();
        let groups: Vec<_> = code.expose().split('-').collect();
        assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [5; 5]);
        assert!(!code.expose().contains(['0', '1', 'I', 'L', 'O']), "{}", code.expose());
        assert_eq!(*plain(&code.expose().to_lowercase().replace('-', " ")), code.expose().replace('-', ""));
    }

    #[test]
    fn a_secret_is_not_in_debug_output() {
        assert!(!format!("{:?}", Secret::new("K7QF-3MXP".into())).contains("K7QF"));
    }
}
