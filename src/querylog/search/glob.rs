//! Which names a search is for: `example.com`, `*.example.com`, `*tok*`.

use std::fmt;

use crate::{
    name::Key,
    querylog::{day, error::LogError},
    vault::Digest,
};

/// What errors call the argument.
const ARGUMENT: &str = "--name";

/// A pattern of names; `*` stands for any letters, dots too.
///
/// - `example.com`: that name alone.
/// - `*.example.com`: the domain and all below it, as everywhere in Schoolgate.
/// - `*tok*`, `tok*`, `*tok`, `a*b`: names that have the text anywhere, at the start, at the end, at both.
///
/// A name that must not be shown is found by its digest (`locked:…`), and by whoever writes it in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// One name, as day files have it.
    Exact(String),
    /// A domain, as day files have it, with all below it.
    Below(String),
    /// All else.
    Pattern(Pattern),
}

/// Pieces of text that follow each other in a name, with anything between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The first is where the name begins, the last where it ends; either may be empty. At least two.
    pieces: Vec<String>,
    /// It began with `*.`, which also stands for nothing: names are looked at with a dot in front.
    dotted: bool,
    /// It is about digests, which no other pattern finds.
    digests: bool,
}

impl Glob {
    /// Reads a pattern. Capitals make no difference; a dot at the end neither.
    ///
    /// # Errors
    ///
    /// When it would find every name, or can't be part of any.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let written = text.trim();
        let wrong = |what: String| Err(LogError::input(ARGUMENT, what));
        let glob = |kind| Ok(Self { text: written.to_owned(), kind });
        if written == "." {
            return glob(Kind::Exact(String::new()));
        }
        let lower = written.to_lowercase();
        let lower = lower.strip_suffix('.').unwrap_or(&lower);
        if lower.chars().all(|c| matches!(c, '*' | '.')) {
            return wrong(format!("{text:?} is every name; leave {ARGUMENT} out to find them all"));
        }
        if let Some(at) = lower.find("://") {
            let name = lower[at + 3..].split(['/', ':', '?', '#']).next().unwrap_or_default();
            return wrong(format!("{text:?} is an address of a page; write the name alone: {name:?}"));
        }
        let digests = lower.starts_with(Digest::PREFIX);
        let fits = |c: &char| is_part(*c) || (digests && matches!(c, ':' | '/'));
        if let Some(bad) = lower.chars().find(|c| !fits(c)) {
            return wrong(format!(
                "{text:?} has {bad:?}, which is in no name; write a name as example.com, *.example.com or *tok*"
            ));
        }
        if digests && !lower.contains('*') {
            return glob(Kind::Exact(lower.to_owned()));
        }
        let below = lower.strip_prefix("*.").or_else(|| lower.strip_prefix('.'));
        if !digests && !below.unwrap_or(lower).contains('*') {
            // `=` is how rules write a name that is meant alone.
            let name = below.or_else(|| lower.strip_prefix('=')).unwrap_or(lower);
            let reversed = reversed(name).map_err(|what| LogError::input(ARGUMENT, what))?;
            return glob(if below.is_some() { Kind::Below(reversed) } else { Kind::Exact(reversed) });
        }
        if lower.contains("..") {
            return wrong(format!("{text:?} has two dots in a row, which no name has"));
        }
        if !lower.is_ascii() {
            return wrong(format!(
                "{text:?}: a pattern can't have letters beyond ASCII; write the whole name, or its form with xn--"
            ));
        }
        if lower.contains('=') {
            return wrong(format!("{text:?}: = stands before a whole name, without *"));
        }
        let dotted = lower.starts_with("*.") || lower.starts_with('.');
        let mut pieces: Vec<String> = lower.split('*').map(str::to_owned).collect();
        if lower.starts_with('.') {
            pieces.insert(0, String::new());
        }
        // Stars in a row are one.
        let last = pieces.len() - 1;
        let pieces = pieces
            .into_iter()
            .enumerate()
            .filter(|(at, piece)| *at == 0 || *at == last || !piece.is_empty())
            .map(|(_, piece)| piece)
            .collect();
        glob(Kind::Pattern(Pattern { pieces, dotted, digests }))
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The name, or the domain, where it is about one.
    pub(in crate::querylog) fn key(&self) -> Option<Key> {
        match &self.kind {
            Kind::Exact(reversed) | Kind::Below(reversed) => Some(Key::from_bytes(reversed.as_bytes())),
            Kind::Pattern(_) => None,
        }
    }

    /// Whether a name, as a day file has it, is one of these.
    #[must_use]
    pub fn matches(&self, reversed: &str) -> bool {
        match &self.kind {
            Kind::Exact(name) => name == reversed,
            Kind::Below(domain) => reversed
                .strip_prefix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
            Kind::Pattern(pattern) => pattern.matches(reversed),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// The longest text that every such name has within one label, so that it stands in it the other way round too.
    pub(super) fn core(&self) -> &str {
        let labels = self.pieces.iter().flat_map(|piece| piece.split('.'));
        labels.max_by_key(|label| label.len()).unwrap_or_default()
    }

    pub(super) fn matches(&self, reversed: &str) -> bool {
        if reversed.starts_with(Digest::PREFIX) != self.digests {
            return false;
        }
        let mut name = String::with_capacity(reversed.len() + 1);
        if self.dotted {
            name.push('.');
        }
        name.push_str(&day::readable(reversed));
        let (Some(first), Some(last)) = (self.pieces.first(), self.pieces.last()) else { return false };
        let Some(mut rest) = name.strip_prefix(first.as_str()) else { return false };
        for piece in &self.pieces[1..self.pieces.len() - 1] {
            // The first place is as good as any: what is left is longest.
            let Some(at) = rest.find(piece.as_str()) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

/// Letters of names; a backslash begins an escape as in zone files, and letters beyond ASCII become `xn--`.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '\\' | '=')
}

/// A name that a person wrote, as day files have it.
fn reversed(name: &str) -> Result<String, String> {
    if name.contains('\\') {
        let labels: Vec<&str> = name.rsplit('.').collect();
        return if labels.contains(&"") {
            Err(format!("{name:?} has an empty label (two dots in a row, or a dot at the start)"))
        } else {
            Ok(labels.join("."))
        };
    }
    match Key::parse(name) {
        Ok(key) => Ok(day::reversed(key.as_bytes())),
        Err(error) => Err(format!("{name:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finds(glob: &str, names: &[&str]) -> Vec<String> {
        let glob = Glob::parse(glob).unwrap();
        let matching = |name: &&&str| glob.matches(&day::reversed(Key::parse(name).unwrap().as_bytes()));
        names.iter().filter(matching).map(|name| (*name).to_owned()).collect()
    }

    const NAMES: [&str; 6] = [
        "example.com",
        "www.example.com",
        "badexample.com",
        "tiktok.com",
        "v16.tiktokcdn.com",
        "tok.example.org",
    ];

    #[test]
    fn each_kind_of_pattern_finds_its_names() {
        assert_eq!(finds("example.com", &NAMES), ["example.com"]);
        assert_eq!(finds("=Example.COM.", &NAMES), ["example.com"]);
        assert_eq!(finds("*.example.com", &NAMES), ["example.com", "www.example.com"]);
        assert_eq!(finds(".example.com", &NAMES), ["example.com", "www.example.com"]);
        assert_eq!(finds("*example.com", &NAMES), ["example.com", "www.example.com", "badexample.com"]);
        assert_eq!(finds("*tok*", &NAMES), ["tiktok.com", "v16.tiktokcdn.com", "tok.example.org"]);
        assert_eq!(finds("tok*", &NAMES), ["tok.example.org"]);
        assert_eq!(finds("*k.com", &NAMES), ["tiktok.com"]);
        assert_eq!(finds("*.example.*", &NAMES), ["example.com", "www.example.com", "tok.example.org"]);
        assert_eq!(finds(".example.*", &NAMES), ["example.com", "www.example.com", "tok.example.org"]);
        assert_eq!(finds("t*k.e**e.org", &NAMES), ["tok.example.org"]);
        assert_eq!(finds("*.com", &NAMES).len(), 5);
    }

    #[test]
    fn letters_beyond_ascii_are_understood_in_whole_names() {
        assert_eq!(finds("*.bücher.example", &["www.xn--bcher-kva.example"]).len(), 1);
        assert!(Glob::parse("*büch*").is_err());
    }

    #[test]
    fn names_that_must_not_be_shown_are_found_by_their_digest_alone() {
        let digest = "locked:3fa9c0ffee12";
        assert!(Glob::parse("locked:3fa9c0ffee12*").unwrap().matches("locked:3fa9c0ffee12/8d2e00aa1b2c"));
        assert!(
            Glob::parse("locked:3fa9c0ffee12/8d2e00aa1b2c")
                .unwrap()
                .matches("locked:3fa9c0ffee12/8d2e00aa1b2c")
        );
        for glob in ["locked:3fa9c0ffee12", "locked:*", "LOCKED:3fa9*"] {
            assert!(Glob::parse(glob).unwrap().matches(digest), "{glob}");
        }
        for glob in ["*fa9*", "*12", "l*", "*coffee*"] {
            assert!(!Glob::parse(glob).unwrap().matches(digest), "{glob}");
        }
        assert!(!Glob::parse("locked:*").unwrap().matches("com.example.locked"));
    }

    #[test]
    fn the_root_is_a_name() {
        assert!(Glob::parse(".").unwrap().matches(""));
        assert!(!Glob::parse("*.com").unwrap().matches(""));
    }

    #[test]
    fn what_finds_everything_or_nothing_is_refused_and_says_what_would_be_right() {
        for (glob, says) in [
            ("", "leave --name out"),
            ("*", "leave --name out"),
            ("**", "leave --name out"),
            ("*.*", "leave --name out"),
            ("*.", "leave --name out"),
            ("https://www.example.com/page", "\"www.example.com\""),
            ("exa mple.com", "' '"),
            ("exampl?.com", "'?'"),
            ("a..example.com", "two dots"),
            ("*a..example.com", "two dots"),
            ("10.0.0.0/8", "'/'"),
        ] {
            let error = Glob::parse(glob).unwrap_err();
            assert!(error.is_bad_input());
            assert!(error.to_string().contains(says), "{glob}: {error}");
            assert!(error.to_string().starts_with("--name"), "{error}");
        }
    }

    /// The same, as slowly as it can be said.
    fn slowly(glob: &[u8], text: &[u8]) -> bool {
        match (glob.first(), text.first()) {
            (None, None) => true,
            (Some(b'*'), _) => slowly(&glob[1..], text) || (!text.is_empty() && slowly(glob, &text[1..])),
            (Some(g), Some(t)) => g == t && slowly(&glob[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_finds_what_it_says(
            glob in "[ab*]{1,4}(\\.[ab*]{1,3}){0,2}",
            name in "[ab]{1,3}(\\.[ab]{1,3}){0,3}",
        ) {
            let Ok(parsed) = Glob::parse(&glob) else {
                return Ok(());
            };
            let reversed = day::reversed(Key::parse(&name).unwrap().as_bytes());
            // What is below a domain includes the domain.
            let itself = glob.strip_prefix("*.").is_some_and(|rest| slowly(rest.as_bytes(), name.as_bytes()));
            let expected = itself || slowly(glob.as_bytes(), name.as_bytes());
            prop_assert_eq!(parsed.matches(&reversed), expected);
        }

        #[test]
        fn any_text_is_a_pattern_or_an_error(text in "\\PC{0,40}") {
            if let Ok(glob) = Glob::parse(&text) {
                let _ = glob.matches("com.example.www");
            }
        }
    }
}
