//! Names as the filter sees them: lower-case labels, the last one first.
//!
//! [`Key`] is what lists are indexed by and what every question is turned into once. Walking a key from its start
//! walks from the top-level domain down, so all parents of a name are prefixes of its key.

use std::fmt;

use hickory_proto::rr::Name;
use psl::Psl as _;
use smallvec::SmallVec;

/// The longest key: a DNS name has at most 255 bytes on the wire, its key two fewer.
const MAX_KEY: usize = 253;

/// The longest name in a message, in bytes (RFC 1035, section 3.1).
const MAX_WIRE: usize = 255;

/// A name as lists and rules know it: lower case, labels joined by dots, the last label first (`com.example.www`).
///
/// Invariants:
/// 1. At most 253 bytes and 127 labels; the root has none of either.
/// 2. ASCII upper case never occurs; U-labels were turned into A-labels (RFC 5891).
/// 3. A dot within a label (possible on the wire only) stands as a zero byte, so a dot always separates labels.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    bytes: SmallVec<[u8; 64]>,
    /// Where each label ends in `bytes`, from the top-level domain down.
    ends: SmallVec<[u8; 8]>,
}

impl Key {
    /// Makes the key of a name from the wire.
    ///
    /// Never fails: any name that fits a DNS message has a key.
    #[must_use]
    pub fn from_name(name: &Name) -> Self {
        let mut key = Self::root();
        for label in name.iter().rev() {
            key.push(label);
        }
        key
    }

    /// Makes the key of a name as it stands at the beginning of some bytes of a message, and says how many of them it
    /// takes. None for what is no name, is too long, or is compressed.
    ///
    /// The key is that of [`from_name`](Self::from_name) for the same name.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut starts: SmallVec<[u8; 16]> = SmallVec::new();
        let mut at = 0_usize;
        let length = loop {
            match *bytes.get(at)? {
                0 => break at + 1,
                // A place under 255, as the loop ends there.
                length @ 1..=63 if at + usize::from(length) < MAX_WIRE - 1 => {
                    starts.push(at as u8);
                    at += 1 + usize::from(length);
                }
                _ => return None,
            }
        };
        let mut key = Self::root();
        for &start in starts.iter().rev() {
            let (&length, rest) = bytes.get(usize::from(start)..)?.split_first()?;
            key.push(rest.get(..usize::from(length))?);
        }
        Some((key, length))
    }

    /// Makes the key of a name that a person or a list wrote.
    ///
    /// Takes upper case, a trailing dot and letters beyond ASCII (turned into A-labels, RFC 5891). Underscores and
    /// hyphens at the edge of a label are kept, since both are asked in practice.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the name: empty, an empty label, a label over 63 bytes, over 253 bytes in all, or a
    /// character that no DNS name has.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let trimmed = text.strip_suffix('.').unwrap_or(text);
        if trimmed.is_empty() {
            return Err(NameError::Empty);
        }
        if trimmed.is_ascii() {
            Self::from_ascii(trimmed)
        } else {
            let ascii = idna::domain_to_ascii(trimmed).map_err(|_| NameError::Idna)?;
            Self::from_ascii(&ascii)
        }
    }

    fn from_ascii(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_KEY {
            return Err(NameError::TooLong);
        }
        let mut key = Self::root();
        for label in text.rsplit('.') {
            if label.is_empty() {
                return Err(NameError::EmptyLabel);
            }
            if label.len() > 63 {
                return Err(NameError::LabelTooLong);
            }
            if let Some(bad) =
                label.bytes().find(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')))
            {
                return Err(NameError::Character(char::from(bad)));
            }
            key.push(label.as_bytes());
        }
        Ok(key)
    }

    /// The key whose bytes these are.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut key = Self { bytes: SmallVec::from_slice(bytes), ends: SmallVec::new() };
        if !bytes.is_empty() {
            let dots = bytes.iter().zip(0..=u8::MAX).filter(|(byte, _)| **byte == b'.').map(|(_, at)| at);
            key.ends.extend(dots);
            key.ends.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        }
        key
    }

    /// The key of the root: no labels.
    #[must_use]
    pub fn root() -> Self {
        Self { bytes: SmallVec::new(), ends: SmallVec::new() }
    }

    // Callers hand in labels of names that fit in a message, so 255 bytes are never passed.
    fn push(&mut self, label: &[u8]) {
        if !self.ends.is_empty() {
            self.bytes.push(b'.');
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(label);
        // All bytes are treated alike, so that several are at one time.
        for byte in &mut self.bytes[start..] {
            *byte = if *byte == b'.' { 0 } else { byte.to_ascii_lowercase() };
        }
        self.ends.push(u8::try_from(self.bytes.len()).unwrap_or(u8::MAX));
    }

    /// The whole key: `com.example.www`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many labels the name has; the root has 0.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.ends.len()
    }

    /// The key of the parent with `depth` labels; the whole key when the name has no more than that.
    #[must_use]
    pub fn prefix(&self, depth: usize) -> &[u8] {
        match depth.min(self.ends.len()) {
            0 => &[],
            d => &self.bytes[..usize::from(self.ends[d - 1])],
        }
    }

    /// Each parent's key from the top-level domain down, the name itself last.
    pub fn prefixes(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.ends.iter().map(|&end| &self.bytes[..usize::from(end)])
    }

    /// Whether this name is `parent` or lies below it.
    #[must_use]
    pub fn is_within(&self, parent: &Self) -> bool {
        parent.depth() <= self.depth() && self.prefix(parent.depth()) == parent.as_bytes()
    }

    /// The parent with `depth` labels as people write it: `example.com`.
    #[must_use]
    pub fn dotted(&self, depth: usize) -> String {
        let text = dotted(self.prefix(depth));
        if text.is_empty() { String::from(".") } else { text }
    }

    /// How many labels the public suffix of this name has (`co.uk` has 2), by the public suffix list's ICANN and
    /// private sections; 0 when the name has no known suffix.
    #[must_use]
    pub fn public_suffix_depth(&self) -> usize {
        let suffix = self.suffix();
        let depth = || self.ends.iter().position(|&end| usize::from(end) == suffix.len);
        suffix.typ.and_then(|_| depth()).map_or(0, |place| place + 1)
    }

    /// How many bytes of the key are its public suffix, which is its top-level domain where the list does not know that.
    ///
    /// The one call of the list, which is half a megabyte of program for each that there is.
    fn suffix(&self) -> psl::Info {
        psl::List.find(self.bytes.split(|&b| b == b'.'))
    }

    /// The part of the key that someone registered: one label more than the public suffix (`uk.co.example` for
    /// `www.example.co.uk`). Below a top-level domain that the public suffix list does not know, that is two labels.
    ///
    /// None for the root, a single label, a public suffix, and everything below `arpa`, where addresses and not people
    /// have names. Does not allocate.
    #[must_use]
    pub fn registrable(&self) -> Option<&[u8]> {
        if self.depth() < 2 || self.prefix(1) == b"arpa" {
            return None;
        }
        let length = self.suffix().len;
        // The suffix is as long as the part of the key that it is: the same labels, the other way round.
        let suffix = self.ends.iter().position(|&end| usize::from(end) == length)?;
        (suffix + 1 < self.depth()).then(|| self.prefix(suffix + 2))
    }

    /// Whether the name itself is in the ICANN section of the public suffix list (`com`, `gov.uk`, never `github.io`).
    #[must_use]
    pub fn is_icann_suffix(&self) -> bool {
        self.suffix_section() == Some(psl::Type::Icann)
    }

    /// The section of the public suffix list that has the name itself.
    pub(crate) fn suffix_section(&self) -> Option<psl::Type> {
        // The deepest rule of either section has five labels; a wildcard stands for one of them.
        if self.depth() == 0 || self.depth() > 5 {
            return None;
        }
        let suffix = self.suffix();
        suffix.typ.filter(|_| suffix.len == self.bytes.len())
    }

    /// Whether the name itself is a public suffix under which others register names (`com`, `gov.uk`, `github.io`).
    #[must_use]
    pub fn is_public_suffix(&self) -> bool {
        self.depth() > 0 && self.public_suffix_depth() == self.depth()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dotted(self.depth()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Turns a key's bytes back to the usual order: `com.example.www` to `www.example.com`.
///
/// Bytes that are not printable come out escaped as in a zone file (`\000`).
#[must_use]
pub fn dotted(key: &[u8]) -> String {
    let mut text = String::with_capacity(key.len());
    for (i, label) in key.rsplit(|&b| b == b'.').enumerate() {
        if i > 0 {
            text.push('.');
        }
        for &byte in label {
            match byte {
                0 => text.push_str("\\."),
                0x21..=0x7e => text.push(char::from(byte)),
                other => text.push_str(&format!("\\{other:03}")),
            }
        }
    }
    text
}

/// What is wrong with a name that a person or a list wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is no name.
    #[error("the name is empty")]
    Empty,
    /// Two dots in a row, or a dot at the start.
    #[error("the name has an empty label (two dots in a row, or a dot at the start)")]
    EmptyLabel,
    /// RFC 1035 allows 63 bytes.
    #[error("a label is longer than 63 bytes")]
    LabelTooLong,
    /// RFC 1035 allows 253 visible bytes.
    #[error("the name is longer than 253 bytes")]
    TooLong,
    /// The letters can't be turned into an A-label.
    #[error("the name is not a valid internationalised name")]
    Idna,
    /// A character that no host or service name has.
    #[error("the name has the character {0:?}; letters, digits, '-', '_' and dots are allowed")]
    Character(char),
}

/// The host of a URL; anything else is taken as a name already.
#[must_use]
pub fn host_of(text: &str) -> &str {
    let Some((_, rest)) = text.split_once("://") else {
        return text.split(['/', '?', '#', ':']).next().unwrap_or(text);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split_once(':').map_or(host, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_host_is_a_part_of_what_was_typed_and_names_one_thing(
            text in "(https?://|=|www\\.|[a-z]{1,9}\\.|example|@|:|/|\\?|#|\\[|\\]|%|ü|\\PC){0,12}",
        ) {
            let host = host_of(&text);
            prop_assert!(text.contains(host) && !host.contains(['/', '?', '#', ':']), "{}", host);
            if let Ok(key) = Key::parse(host) {
                prop_assert_eq!(Key::parse(&key.to_string()), Ok(key));
            }
        }
    }

    #[test]
    fn a_key_is_lower_case_and_reversed() {
        let key = Key::parse("WWW.Example.COM.").unwrap();
        assert_eq!(key.as_bytes(), b"com.example.www");
        assert_eq!(key.to_string(), "www.example.com");
        assert_eq!(key.prefixes().collect::<Vec<_>>(), [&b"com"[..], b"com.example", b"com.example.www"]);
        assert_eq!(key.prefix(2), b"com.example");
        assert_eq!(key.dotted(2), "example.com");
    }

    #[test]
    fn a_key_is_made_of_its_bytes_again() {
        for text in ["www.example.com", "com", "a.b.c.d.e.f.g.h.i.j.k"] {
            let key = Key::parse(text).unwrap();
            assert_eq!(Key::from_bytes(key.as_bytes()), key);
        }
        assert_eq!(Key::from_bytes(b""), Key::root());
    }

    #[test]
    fn an_icann_suffix_is_nobodys_own() {
        for (text, is_one) in [
            ("com", true),
            ("gov.uk", true),
            ("github.io", false),
            ("bbc.co.uk", false),
            ("duckdns.org", false),
        ] {
            assert_eq!(Key::parse(text).unwrap().is_icann_suffix(), is_one, "{text}");
        }
        assert!(!Key::root().is_icann_suffix());
    }

    #[test]
    fn a_name_from_the_wire_has_the_same_key() {
        let name = Name::from_ascii("wWw.exAmple.com.").unwrap();
        assert_eq!(Key::from_name(&name), Key::parse("www.example.com").unwrap());
        assert_eq!(Key::from_name(&Name::root()), Key::root());
    }

    #[test]
    fn a_dot_within_a_label_is_not_a_separator() {
        let name = Name::from_labels([&b"www.bad"[..], b"com"]).unwrap();
        let key = Key::from_name(&name);
        assert_eq!(key.depth(), 2);
        assert!(!key.is_within(&Key::parse("bad.com").unwrap()));
    }

    #[test]
    fn letters_beyond_ascii_become_a_labels() {
        assert_eq!(Key::parse("Bücher.example").unwrap(), Key::parse("xn--bcher-kva.example").unwrap());
    }

    #[test]
    fn bad_names_are_told_apart() {
        assert_eq!(Key::parse(""), Err(NameError::Empty));
        assert_eq!(Key::parse("a..b"), Err(NameError::EmptyLabel));
        assert_eq!(Key::parse(".a"), Err(NameError::EmptyLabel));
        assert_eq!(Key::parse("a b"), Err(NameError::Character(' ')));
        assert_eq!(Key::parse(&"a".repeat(64)), Err(NameError::LabelTooLong));
        assert_eq!(Key::parse(&"a.".repeat(127)).map(|k| k.depth()), Ok(127));
        assert_eq!(Key::parse(&"a.".repeat(128)), Err(NameError::TooLong));
    }

    #[test]
    fn underscores_and_edge_hyphens_are_names() {
        assert!(Key::parse("___id___.c.mystat-in.net").is_ok());
        assert!(Key::parse("w-w-i-s-.com").is_ok());
    }

    #[test]
    fn below_is_by_label() {
        let parent = Key::parse("example.com").unwrap();
        assert!(Key::parse("example.com").unwrap().is_within(&parent));
        assert!(Key::parse("a.example.com").unwrap().is_within(&parent));
        assert!(!Key::parse("badexample.com").unwrap().is_within(&parent));
        assert!(!Key::parse("example.com.uk").unwrap().is_within(&parent));
        assert!(parent.is_within(&Key::root()));
    }

    #[test]
    fn the_registrable_part_is_one_label_more_than_the_suffix() {
        for (name, part) in [
            ("www.bbc.co.uk", Some("uk.co.bbc")),
            ("bbc.co.uk", Some("uk.co.bbc")),
            ("a.b.example.com", Some("com.example")),
            ("pupil.github.io", Some("io.github.pupil")),
            ("a.b.school.sch.uk", Some("uk.sch.school.b")),
            ("www.city.kawasaki.jp", Some("jp.kawasaki.city")),
            ("a.b.nothing.invalidtld", Some("invalidtld.nothing")),
            ("co.uk", None),
            ("github.io", None),
            ("com", None),
            ("printer", None),
            ("1.20.10.in-addr.arpa", None),
            ("x.home.arpa", None),
        ] {
            let key = Key::parse(name).unwrap();
            assert_eq!(key.registrable().map(|part| str::from_utf8(part).unwrap()), part, "{name}");
        }
        assert_eq!(Key::root().registrable(), None);
    }

    #[test]
    fn public_suffixes_are_known() {
        assert!(Key::parse("co.uk").unwrap().is_public_suffix());
        assert!(Key::parse("gov.uk").unwrap().is_public_suffix());
        assert!(!Key::parse("bbc.co.uk").unwrap().is_public_suffix());
        assert_eq!(Key::parse("www.bbc.co.uk").unwrap().public_suffix_depth(), 2);
        assert_eq!(Key::parse("nothing.invalidtld").unwrap().public_suffix_depth(), 0);
    }

    #[test]
    fn the_host_of_a_page_is_what_is_asked() {
        for (text, host) in [
            ("bbc.co.uk", "bbc.co.uk"),
            ("https://www.bbc.co.uk/bitesize?x=1", "www.bbc.co.uk"),
            ("http://user:pass@site.example:8080/", "site.example"),
            ("bbc.co.uk/bitesize", "bbc.co.uk"),
            ("bbc.co.uk:443/bitesize", "bbc.co.uk"),
        ] {
            assert_eq!(host_of(text), host, "{text}");
        }
    }
}
