//! Why a line of a list gave no rule.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A line that gave no rule, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip<'a> {
    /// Why.
    pub reason: SkipReason,
    /// The line as it stands in the list; its start only, when it is too long.
    pub text: &'a [u8],
}

impl Skip<'_> {
    /// The start of the line for people: at most 80 characters, control characters escaped.
    #[must_use]
    pub fn excerpt(&self) -> String {
        const LONGEST: usize = 80;
        let text = String::from_utf8_lossy(&self.text[..self.text.len().min(4 * LONGEST)]);
        let mut excerpt: String = text.trim().chars().take(LONGEST).flat_map(printable).collect();
        if text.trim().chars().count() > LONGEST || self.text.len() > 4 * LONGEST {
            excerpt.push('…');
        }
        excerpt
    }
}

impl fmt::Display for Skip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.excerpt())
    }
}

fn printable(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = (!c.is_control()).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

/// Why a line gave no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// An address where a name belongs.
    Address,
    /// A `*` that is not the whole first label.
    Wildcard,
    /// A regular expression.
    Regex,
    /// A URL or a path.
    Path,
    /// A suffix of the public suffix list's ICANN section (`com`, `gov.uk`).
    PublicSuffix,
    /// A single word that is not a top-level domain.
    SingleLabel,
    /// A name of the machine itself (`localhost`).
    Localhost,
    /// An answer of the list's own.
    Rewrite,
    /// An Adblock rule with a modifier.
    Modifier,
    /// An Adblock rule that takes another one back (`$badfilter`).
    Badfilter,
    /// A rule that the list itself takes back.
    Cancelled,
    /// A rule about what a page shows.
    Cosmetic,
    /// The start of a name (`||name.` without `^`).
    Prefix,
    /// A pattern that may match anywhere in a URL.
    Substring,
    /// A condition (`!#if`) or a rule below one.
    Conditional,
    /// A setting of the program that the list was written for.
    Setting,
    /// An RPZ trigger that is about the client.
    Trigger,
    /// An action that is not implemented (`rpz-tcp-only.`).
    Action,
    /// An owner outside the policy zone.
    OutOfZone,
    /// A subnet that holds a large part of the internet.
    TooBroad,
    /// Not a domain name.
    BadName,
    /// Not a line of this format.
    Syntax,
    /// A line over the limit.
    LineTooLong,
    /// A line with a NUL byte.
    NulByte,
    /// A line that is not UTF-8.
    InvalidUtf8,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 25] = [
        Self::Address,
        Self::Wildcard,
        Self::Regex,
        Self::Path,
        Self::PublicSuffix,
        Self::SingleLabel,
        Self::Localhost,
        Self::Rewrite,
        Self::Modifier,
        Self::Badfilter,
        Self::Cancelled,
        Self::Cosmetic,
        Self::Prefix,
        Self::Substring,
        Self::Conditional,
        Self::Setting,
        Self::Trigger,
        Self::Action,
        Self::OutOfZone,
        Self::TooBroad,
        Self::BadName,
        Self::Syntax,
        Self::LineTooLong,
        Self::NulByte,
        Self::InvalidUtf8,
    ];

    /// Whether such a line is broken, rather than meant for another program or left out for a reason of ours.
    ///
    /// Many of them in a list mean that it was damaged on its way, or is in another format than it was read in.
    #[must_use]
    pub fn is_damage(self) -> bool {
        match self {
            Self::SingleLabel
            | Self::OutOfZone
            | Self::BadName
            | Self::Syntax
            | Self::LineTooLong
            | Self::NulByte
            | Self::InvalidUtf8 => true,
            Self::Address
            | Self::Wildcard
            | Self::Regex
            | Self::Path
            | Self::PublicSuffix
            | Self::Localhost
            | Self::Rewrite
            | Self::Modifier
            | Self::Badfilter
            | Self::Cancelled
            | Self::Cosmetic
            | Self::Prefix
            | Self::Substring
            | Self::Conditional
            | Self::Setting
            | Self::Trigger
            | Self::Action
            | Self::TooBroad => false,
        }
    }

    /// The word for it in JSON (`public-suffix`).
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Wildcard => "wildcard",
            Self::Regex => "regex",
            Self::Path => "path",
            Self::PublicSuffix => "public-suffix",
            Self::SingleLabel => "single-label",
            Self::Localhost => "localhost",
            Self::Rewrite => "rewrite",
            Self::Modifier => "modifier",
            Self::Badfilter => "badfilter",
            Self::Cancelled => "cancelled",
            Self::Cosmetic => "cosmetic",
            Self::Prefix => "prefix",
            Self::Substring => "substring",
            Self::Conditional => "conditional",
            Self::Setting => "setting",
            Self::Trigger => "trigger",
            Self::Action => "action",
            Self::OutOfZone => "out-of-zone",
            Self::TooBroad => "too-broad",
            Self::BadName => "bad-name",
            Self::Syntax => "syntax",
            Self::LineTooLong => "line-too-long",
            Self::NulByte => "nul-byte",
            Self::InvalidUtf8 => "invalid-utf8",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "an address where a name belongs",
            Self::Wildcard => "a wildcard that is not the whole first label",
            Self::Regex => "a regular expression",
            Self::Path => "a URL or a path, and DNS sees only names",
            Self::PublicSuffix => "a public suffix: it would cover everybody's names below it",
            Self::SingleLabel => "a single word, not a domain name",
            Self::Localhost => "a name of the machine itself",
            Self::Rewrite => "an answer of the list's own, which is not applied",
            Self::Modifier => "an Adblock modifier that is not implemented",
            Self::Badfilter => "a rule that takes another one back",
            Self::Cancelled => "a rule that the list itself takes back",
            Self::Cosmetic => "a rule about what a page shows",
            Self::Prefix => "the start of a name only",
            Self::Substring => "a pattern that may match anywhere in a URL",
            Self::Conditional => "a condition, or a rule below one",
            Self::Setting => "a setting of another program",
            Self::Trigger => "a trigger that is not about names, addresses or name servers",
            Self::Action => "an action that is not implemented",
            Self::OutOfZone => "a name outside the policy zone",
            Self::TooBroad => "a subnet that holds a large part of the internet",
            Self::BadName => "not a domain name",
            Self::Syntax => "not a line of this format",
            Self::LineTooLong => "a line that is too long",
            Self::NulByte => "a line with a NUL byte",
            Self::InvalidUtf8 => "a line that is not UTF-8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_printable() {
        let skip = Skip { reason: SkipReason::NulByte, text: b"a\0b" };
        assert_eq!(skip.excerpt(), "a\\u{0}b");
        let long = "x".repeat(1000);
        let skip = Skip { reason: SkipReason::LineTooLong, text: long.as_bytes() };
        assert_eq!(skip.excerpt().chars().count(), 81);
    }

    #[test]
    fn every_reason_has_its_own_word_and_json_uses_it() {
        let mut words: Vec<_> = SkipReason::ALL.iter().map(|r| r.word()).collect();
        for reason in SkipReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), SkipReason::ALL.len());
    }
}
