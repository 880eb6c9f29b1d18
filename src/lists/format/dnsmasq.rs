//! dnsmasq settings: `address=/name/#`, `server=/name/`, `local=/name/`.

use super::{MatchMode, Out, SkipReason, entry};

/// Reads a line.
///
/// `server=/name/#` is the opposite of the others: it sends the name to the usual servers, so it opens.
pub(super) fn line(line: &str, out: Out<'_>) {
    let text = without_comment(line);
    if text.is_empty() {
        return;
    }
    let Some((key, value)) = text.split_once('=') else { return out(Err(SkipReason::Setting)) };
    let (key, value) = (key.trim(), value.trim());
    let address = key == "address";
    if !address && key != "server" && key != "local" {
        return out(Err(SkipReason::Setting));
    }
    let Some((names, target)) = value.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')) else {
        return out(Err(SkipReason::Setting));
    };
    let allow = match target.trim() {
        "" => false,
        "#" => !address,
        other => match entry::address(other) {
            Some(ip) if address && entry::is_sink(ip) => false,
            _ => return out(Err(SkipReason::Rewrite)),
        },
    };
    for name in names.split('/') {
        out(match name.trim() {
            // All names, or names without a dot.
            "#" => Err(SkipReason::Wildcard),
            "" => Err(SkipReason::BadName),
            name => entry::name_or_wildcard(name, MatchMode::Subdomains, allow),
        });
    }
}

/// A `#` begins a comment only at the start of a line or after white space: `/#` is a target.
fn without_comment(line: &str) -> &str {
    let bytes = line.as_bytes();
    let at = bytes
        .iter()
        .enumerate()
        .position(|(at, &b)| b == b'#' && (at == 0 || bytes[at - 1].is_ascii_whitespace()));
    at.map_or(line, |at| &line[..at]).trim()
}
