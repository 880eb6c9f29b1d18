//! Names that may be blocked but not shown: those of lists that are given to a school under agreement.
//!
//! Everything that leaves the program in words goes through [`Policy::shown`] (a name), or [`Policy::masked`] (a text
//! that may hold one).

use std::{borrow::Cow, net::IpAddr};

use super::{Decision, Policy, Question, wire::list_behind};
use crate::{
    name::Key,
    vault::{Digest, Mask},
};

impl Policy {
    /// The same policy with the box's mask. Without one, all names that must not be shown look the same.
    #[must_use]
    pub fn with_mask(self, mask: Mask) -> Self {
        Self { mask, ..self }
    }

    /// Whether a decision is about a name or an address that must not be shown: a list of a
    /// [sealed](crate::category::is_sealed) category is behind it.
    #[must_use]
    pub fn is_sealed(&self, decision: &Decision) -> bool {
        let reason = decision.would_block.as_deref().unwrap_or(&decision.reason);
        list_behind(reason).is_some_and(|listed| self.sealed.contains(listed.category))
    }

    /// The digest of the listed name, where a name or one above it is on a list that must not be shown.
    ///
    /// Also where the list has only the name above, alone: to show what is below it would show it as well.
    #[must_use]
    pub fn sealed_name(&self, key: &Key) -> Option<Digest> {
        let depth = self
            .views
            .iter()
            .filter(|view| view.has_sealed())
            .flat_map(|view| {
                view.index().lookup(key).into_iter().filter(|hit| view.seals(hit.set)).map(|hit| hit.depth)
            })
            .max()?;
        Some(self.mask.name(key.prefix(usize::from(depth))))
    }

    /// The digest of an address, where it is on a list that must not be shown.
    #[must_use]
    pub fn sealed_address(&self, address: IpAddr) -> Option<Digest> {
        let address = address.to_canonical();
        let sealed = self
            .views
            .iter()
            .filter(|view| view.has_sealed())
            .any(|view| view.index().addresses(address).into_iter().any(|set| view.seals(set)));
        sealed.then(|| self.mask.address(address))
    }

    /// A name as it may be shown and written down: itself, or a digest.
    #[must_use]
    pub fn shown(&self, key: &Key) -> String {
        self.sealed_name(key).map_or_else(|| key.to_string(), |digest| digest.to_string())
    }

    /// An address as it may be shown and written down: itself, or a digest.
    #[must_use]
    pub fn shown_address(&self, address: IpAddr) -> String {
        self.sealed_address(address).map_or_else(|| address.to_string(), |digest| digest.to_string())
    }

    /// A text with digests in the place of all names and addresses in it that must not be shown.
    ///
    /// For whatever was put together elsewhere: messages, records of the audit, lines of the log.
    #[must_use]
    pub fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.views.iter().any(super::lookup::View::has_sealed) {
            return Cow::Borrowed(text);
        }
        let mut masked = String::new();
        let mut copied = 0;
        for (start, word) in words(text) {
            if let Some(digest) = self.sealed_word(word) {
                masked.push_str(&text[copied..start]);
                masked.push_str(&digest.to_string());
                copied = start + word.len();
            } else if word.contains(':') {
                // `address:port`, `https:` and `key:value` are no addresses; their parts may be names.
                let mut at = start;
                for part in word.split(':') {
                    if let Some(digest) = self.sealed_word(part) {
                        masked.push_str(&text[copied..at]);
                        masked.push_str(&digest.to_string());
                        copied = at + part.len();
                    }
                    at += part.len() + 1;
                }
            }
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        masked.push_str(&text[copied..]);
        Cow::Owned(masked)
    }

    fn sealed_word(&self, word: &str) -> Option<Digest> {
        if let Ok(address) = word.parse::<IpAddr>() {
            return self.sealed_address(address);
        }
        // Dots at the edges are a sentence's, or of a pattern for all below.
        let mut name = word.trim_matches('.');
        while name.contains('.') {
            if let Ok(key) = Key::parse(name) {
                return self.sealed_name(&key);
            }
            // Too long, or with a label that no name has; the rest of it may be one still.
            name = name.split_once('.').map_or("", |(_, rest)| rest);
        }
        None
    }

    /// What a sentence calls the name that a question is about.
    pub(crate) fn subject(&self, question: &Question) -> String {
        match self.sealed_name(&question.key) {
            Some(digest) => format!("the name that you asked about ({digest})"),
            None => question.key.to_string(),
        }
    }
}

/// The words of a text that may be names or addresses, each with its place.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    text.split(move |c| !is_part(c)).filter(|word| !word.is_empty()).map(move |word| {
        // Every word is a piece of the text, so its place follows from where it lies.
        (word.as_ptr() as usize - text.as_ptr() as usize, word)
    })
}
