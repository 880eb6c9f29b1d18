//! Which passwords are good enough.
//!
//! Length is what counts. Refused is what a machine tries first: what stands in the list of common passwords, and what is
//! only made of words that everybody uses, of the user's names or of the school's, whatever digits and signs stand
//! around them.

use std::{collections::HashSet, sync::LazyLock};

/// How many characters a password has at least.
pub(in crate::accounts) const SHORTEST: usize = 12;

/// How many characters a password has at most.
pub(in crate::accounts) const LONGEST: usize = 256;

/// Passwords of twelve characters and more that many people have, in lower case.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| entries(include_str!("../../../lists/passwords/common.txt")).collect());

/// Words that common passwords are made of, in lower case.
static WORDS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| entries(include_str!("../../../lists/passwords/words.txt")).collect());

fn entries(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
}

/// Whose password it is to be.
#[derive(Debug, Clone, Copy)]
pub(in crate::accounts) struct About<'a> {
    /// What they type to sign in.
    pub(in crate::accounts) login: &'a str,
    /// Their name.
    pub(in crate::accounts) full_name: &'a str,
    /// The school's name; empty when it is not known yet.
    pub(in crate::accounts) school: &'a str,
}

/// What is wrong with a password, said to who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// Fewer than 12 characters.
    #[error(
        "the password is too short: it needs at least 12 characters; three or four words that have nothing to do with each other are good"
    )]
    Short,
    /// More than 256 characters.
    #[error("the password is too long: it may have 256 characters at most")]
    Long,
    /// In the list of common passwords, or a pattern.
    #[error(
        "many people have this password, so it is tried first; choose another, such as three or four words that have nothing to do with each other"
    )]
    Common,
    /// Only the user's or the school's names and common words.
    #[error(
        "the password is made of your name, the school's or very common words; choose words that have nothing to do with you"
    )]
    Names,
    /// The one before.
    #[error("the password is the one that you have now; choose another")]
    Same,
}

/// Whether a password is good enough.
///
/// # Errors
///
/// What is wrong with it.
pub(in crate::accounts) fn check(password: &str, about: About<'_>) -> Result<(), PasswordProblem> {
    let length = password.chars().count();
    if length < SHORTEST {
        return Err(PasswordProblem::Short);
    }
    if length > LONGEST {
        return Err(PasswordProblem::Long);
    }
    let lower = password.to_lowercase();
    let core = lower.trim_matches(|c: char| !c.is_alphabetic());
    let without_signs: String = lower.chars().filter(|c| c.is_alphabetic()).collect();
    let forms = [without_signs, spelled_out(core), spelled_out(&lower)];
    if COMMON.contains(lower.as_str())
        || COMMON.contains(core)
        || forms.iter().any(|form| COMMON.contains(form.as_str()))
        || is_pattern(&lower)
    {
        return Err(PasswordProblem::Common);
    }
    let names = names(about);
    for form in &forms {
        if is_made_of(form, |word| WORDS.contains(word)) {
            return Err(PasswordProblem::Common);
        }
        if is_made_of(form, |word| WORDS.contains(word) || names.contains(word)) {
            return Err(PasswordProblem::Names);
        }
    }
    Ok(())
}

/// The letters that digits and signs stand for in `p4ssw0rd`, and no others.
fn spelled_out(text: &str) -> String {
    let letter = |c| match c {
        '0' => Some('o'),
        '1' | '!' => Some('i'),
        '3' => Some('e'),
        '4' | '@' => Some('a'),
        '5' | '$' => Some('s'),
        '7' => Some('t'),
        c if c.is_alphabetic() => Some(c),
        _ => None,
    };
    text.chars().filter_map(letter).collect()
}

/// The words of names, in lower case, from three letters on.
fn names(about: About<'_>) -> HashSet<String> {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    let mut found = HashSet::new();
    for name in [about.login, about.full_name, about.school] {
        let name = name.to_lowercase();
        found.extend(name.split(|c: char| !c.is_alphabetic()).map(str::to_owned));
        found.insert(letters(&name));
    }
    found.retain(|word| word.chars().count() >= 3);
    found
}

/// Whether a text is nothing but known words, one after the other; an empty text is not.
fn is_made_of(text: &str, is_known: impl Fn(&str) -> bool) -> bool {
    let ends: Vec<usize> =
        text.char_indices().map(|(place, _)| place).chain(std::iter::once(text.len())).collect();
    let mut reached = vec![false; ends.len()];
    reached[0] = true;
    for from in 0..ends.len() {
        if reached[from] {
            for to in from + 1..ends.len() {
                if !reached[to] && is_known(&text[ends[from]..ends[to]]) {
                    reached[to] = true;
                }
            }
        }
    }
    !text.is_empty() && reached[ends.len() - 1]
}

/// Whether it is a short piece again and again, has fewer than five different characters, or counts up or down.
fn is_pattern(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let different: HashSet<char> = chars.iter().copied().collect();
    let repeats = (1..=chars.len() / 2)
        .filter(|piece| *piece <= 6)
        .any(|piece| chars.iter().zip(&chars[piece..]).all(|(one, other)| one == other));
    let steps = |by: i64| {
        chars.windows(2).all(|pair| {
            let step = i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0]));
            step == by
                || (pair[0].is_ascii_digit()
                    && pair[1].is_ascii_digit()
                    && step.rem_euclid(10) == by.rem_euclid(10))
        })
    };
    different.len() < 5 || repeats || steps(1) || steps(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(password: &str) -> Option<PasswordProblem> {
        let about =
            About { login: "a.okafor", full_name: "Adaeze Okafor", school: "Greenfield Primary School" };
        check(password, about).err()
    }

    #[test]
    fn a_password_has_twelve_to_256_characters_whatever_their_bytes() {
        assert_eq!(problem("k9#vT2!mQz4"), Some(PasswordProblem::Short));
        assert_eq!(problem("k9#vT2!mQz4w"), None);
        assert_eq!(problem("żółwia8ęśćń"), Some(PasswordProblem::Short));
        assert_eq!(problem("żółwia8ęśćńq"), None);
        let long = "heron ladder ".repeat(40);
        assert_eq!(problem(&long[..257]), Some(PasswordProblem::Long));
        assert_eq!(problem(&long[..256]), None);
    }

    #[test]
    fn what_everybody_has_is_refused_with_whatever_around_it() {
        for password in [
            "Password1234",
            "p4ssw0rd2026!",
            "P@$$w0rd!!!!",
            "!!Welcome2026!!",
            "welcome-school-1",
            "letmeinletmein",
            "Qwerty123456",
            "qwertyuiop123",
            "1q2w3e4r5t6y",
            "Summer2026Summer",
            "administrator",
            "correct horse battery staple",
            "AAAAAAAAAAAA",
            "abc123abc123abc1",
            "123456789012",
            "210987654321",
            "abcdefghijklm",
        ] {
            assert_eq!(problem(password), Some(PasswordProblem::Common), "{password}");
        }
    }

    #[test]
    fn the_names_of_the_user_and_the_school_are_refused() {
        for password in [
            "AdaezeOkafor1",
            "okafor-adaeze-2026",
            "Greenfield2026!",
            "GreenfieldPrimarySchool",
            "Gr33nfieldSchool",
            "a.okafor12345",
        ] {
            assert_eq!(problem(password), Some(PasswordProblem::Names), "{password}");
        }
    }

    #[test]
    fn words_that_have_nothing_to_do_with_it_are_good() {
        for password in ["heron ladder copper", "okafor heron ladder", "x7-Kd92-qPz-41", "4831 otters 2207"] {
            assert_eq!(problem(password), None, "{password}");
        }
    }

    #[test]
    fn the_shipped_lists_are_in_lower_case_and_have_no_entry_twice() {
        for (text, shortest) in [
            (include_str!("../../../lists/passwords/common.txt"), SHORTEST),
            (include_str!("../../../lists/passwords/words.txt"), 3),
        ] {
            let all: Vec<_> = entries(text).collect();
            assert!(all.is_sorted(), "sorted");
            let mut seen = HashSet::new();
            for entry in all {
                assert_eq!(entry, entry.to_lowercase().trim());
                assert!(entry.chars().count() >= shortest, "{entry}");
                assert!(seen.insert(entry), "{entry} is there twice");
            }
        }
        assert!(COMMON.len() > 2000, "{}", COMMON.len());
        assert!(WORDS.iter().all(|word| word.chars().all(char::is_alphabetic)));
    }
}
