//! Hosts files: an address, then names.

use super::{MatchMode, Out, SkipReason, entry};

/// Reads a row.
///
/// An address that leads nowhere blocks; another one is an answer of the list's own, such as a forced SafeSearch,
/// which is not applied. A single name without an address is read as a name.
pub(super) fn line(line: &str, mode: MatchMode, out: Out<'_>) {
    let text = match entry::without_comment(line) {
        Ok(text) => text,
        Err(reason) => return out(Err(reason)),
    };
    let mut words = text.split_ascii_whitespace();
    let Some(first) = words.next() else { return };
    let Some(address) = entry::address(first) else {
        return out(match words.next() {
            None => entry::name_or_wildcard(first, mode, false),
            Some(_) => Err(SkipReason::Syntax),
        });
    };
    let sink = entry::is_sink(address);
    let mut names = false;
    for word in words {
        names = true;
        out(match entry::name_or_wildcard(word, mode, false) {
            Ok(_) if !sink => Err(SkipReason::Rewrite),
            outcome => outcome,
        });
    }
    if !names {
        out(Err(SkipReason::Address));
    }
}
