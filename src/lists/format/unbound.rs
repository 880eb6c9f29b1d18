//! Unbound settings: `local-zone: "name" always_null` and `local-data: "name A 0.0.0.0"`.

use super::{MatchMode, Out, SkipReason, entry};
use crate::name::Key;

/// What is remembered from line to line.
#[derive(Default)]
pub(super) struct Unbound {
    /// Lines of a `view:` hold for some clients only.
    view: bool,
    /// The zone of the last `redirect`, which its `local-data` fills.
    redirect: Option<Key>,
}

impl Unbound {
    /// Reads a line.
    pub(super) fn line(&mut self, line: &str, out: Out<'_>) {
        let text = without_comment(line);
        if text.is_empty() {
            return;
        }
        let Some((key, value)) = text.split_once(':') else { return out(Err(SkipReason::Syntax)) };
        let value = value.trim();
        match key.trim() {
            section if value.is_empty() => self.view = section == "view",
            "local-zone" | "local-data" if self.view => out(Err(SkipReason::Conditional)),
            "local-zone" => self.zone(value, out),
            "local-data" => out(self.data(value)),
            _ => out(Err(SkipReason::Setting)),
        }
    }

    fn zone(&mut self, value: &str, out: Out<'_>) {
        let (name, kind) = match quoted(value) {
            Some(parts) => parts,
            None => value.split_once(char::is_whitespace).unwrap_or((value, "")),
        };
        let kind = quoted(kind.trim()).map_or(kind.trim(), |(inner, _)| inner);
        let allow = match kind {
            "always_null" | "always_nxdomain" | "always_nodata" | "always_refuse" | "always_deny" | "deny"
            | "refuse" | "static" | "inform_deny" => false,
            "transparent" | "typetransparent" | "always_transparent" => true,
            // Nothing by itself: the data that follows decide whether it blocks.
            "redirect" | "inform_redirect" => {
                return match entry::name(name, MatchMode::Subdomains, false) {
                    Ok(_) => self.redirect = Key::parse(name).ok(),
                    Err(reason) => out(Err(reason)),
                };
            }
            "" => return out(Err(SkipReason::Syntax)),
            _ => return out(Err(SkipReason::Action)),
        };
        out(entry::name(name, MatchMode::Subdomains, allow));
    }

    /// `name [ttl] [IN] A 0.0.0.0`, where only an address that leads nowhere blocks.
    fn data(&self, value: &str) -> super::Outcome {
        let record = quoted(value).map_or(value, |(inner, _)| inner);
        let mut words = record.split_ascii_whitespace();
        let name = words.next().ok_or(SkipReason::Syntax)?;
        let mut kind = words.next().ok_or(SkipReason::Syntax)?;
        while kind.eq_ignore_ascii_case("in") || kind.bytes().all(|b| b.is_ascii_digit()) {
            kind = words.next().ok_or(SkipReason::Syntax)?;
        }
        if !kind.eq_ignore_ascii_case("a") && !kind.eq_ignore_ascii_case("aaaa") {
            return Err(SkipReason::Rewrite);
        }
        let address = words.next().and_then(entry::address).ok_or(SkipReason::Syntax)?;
        if !entry::is_sink(address) {
            return Err(SkipReason::Rewrite);
        }
        let below = self.redirect.is_some() && Key::parse(name).ok() == self.redirect;
        entry::name(name, if below { MatchMode::Subdomains } else { MatchMode::Exact }, false)
    }
}

/// What stands between quotes, and what follows them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    text[1..].split_once(quote)
}

/// The line without a comment: `#` outside quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, byte) in line.bytes().enumerate() {
        match (quote, byte) {
            (None, b'#') => return line[..at].trim(),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    line.trim()
}
