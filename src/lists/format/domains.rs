//! One name a line, also as `.name` or `*.name`.

use super::{MatchMode, Out, SkipReason, entry, hosts};

/// Reads a line.
///
/// A hosts row (`0.0.0.0 name`) that strayed in is read as what it is; other lines of several words are not guessed.
pub(super) fn line(line: &str, mode: MatchMode, out: Out<'_>) {
    let text = match entry::without_comment(line) {
        Ok(text) => text,
        Err(reason) => return out(Err(reason)),
    };
    let mut words = text.split_ascii_whitespace();
    let Some(first) = words.next() else { return };
    if words.next().is_none() {
        return out(word(first, mode));
    }
    match entry::address(first) {
        Some(_) => hosts::line(text, mode, out),
        // `[Adblock Plus 2.0]`: a heading says nothing of names.
        None if text.starts_with('[') && text.ends_with(']') => {}
        None => out(Err(SkipReason::Syntax)),
    }
}

fn word(word: &str, mode: MatchMode) -> super::Outcome {
    if word.starts_with("||") || word.starts_with("@@") {
        return Err(SkipReason::Syntax);
    }
    entry::name_or_wildcard(word, mode, false)
}
