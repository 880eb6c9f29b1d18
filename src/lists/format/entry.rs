//! What the formats have in common: an entry that names a name, comments, addresses that mean "nowhere".

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{MatchMode, Outcome, Rule, SkipReason, Subject};
use crate::name::Key;

/// Reads a name that may stand as `.name` or `*.name` for the name and what is below it.
pub(super) fn name_or_wildcard(text: &str, bare: MatchMode, allow: bool) -> Outcome {
    match text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
        Some(rest) => name(rest, MatchMode::Subdomains, allow),
        None => name(text, bare, allow),
    }
}

/// Reads a name.
///
/// An ICANN suffix is not an entry: a line `co.uk` in a list is a mistake, or a rule whose other half was lost, and
/// would block or open every name below it. A suffix of the private section (`blogspot.com`) is one company's, and
/// lists name those on purpose.
pub(super) fn name(text: &str, mode: MatchMode, allow: bool) -> Outcome {
    if let Some(reason) = not_a_name(text) {
        return Err(reason);
    }
    let key = Key::parse(text).map_err(|_| SkipReason::BadName)?;
    if is_local(&key) {
        return Err(SkipReason::Localhost);
    }
    if key.is_icann_suffix() {
        return Err(SkipReason::PublicSuffix);
    }
    if key.depth() == 1 {
        return Err(SkipReason::SingleLabel);
    }
    Ok(Rule { subject: Subject::Name { key, mode }, allow })
}

/// Why a text is something else than a name, as far as that shows without parsing it.
fn not_a_name(text: &str) -> Option<SkipReason> {
    let mut odd = None;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | 0x80.. => {}
            b'*' => odd = odd.or(Some(SkipReason::Wildcard)),
            b'(' | b')' | b'[' | b']' | b'^' | b'$' | b'\\' | b'+' | b'?' | b'|' | b'{' | b'}' => {
                odd = Some(SkipReason::Regex);
            }
            _ => odd = odd.or(Some(SkipReason::BadName)),
        }
    }
    if text.bytes().any(|b| matches!(b, b':' | b'/')) {
        if is_address(text) {
            return Some(SkipReason::Address);
        }
        if text.len() > 1 && text.starts_with('/') && text.ends_with('/') {
            return Some(SkipReason::Regex);
        }
        if text.contains('/') {
            return Some(SkipReason::Path);
        }
    }
    if odd.is_some() {
        return odd;
    }
    // No top-level domain is a number (RFC 3696), so what ends in one is an address, whole or maimed.
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())).then_some(SkipReason::Address)
}

fn is_address(text: &str) -> bool {
    text.parse::<IpNet>().is_ok()
        || text.parse::<SocketAddr>().is_ok()
        || address(text).is_some()
        || text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).is_some_and(|t| address(t).is_some())
}

/// Reads an address, without its zone (`fe80::1%lo0`).
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next().unwrap_or_default().parse().ok()
}

/// Whether an answer with this address leads nowhere: `0.0.0.0`, `::`, the loopback.
pub(super) fn is_sink(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_loopback()
}

/// Names that hosts files hold for the machine itself.
const LOCAL: [&[u8]; 12] = [
    b"localhost",
    b"localhost4",
    b"localhost6",
    b"local",
    b"localdomain.localhost",
    b"broadcasthost",
    b"ip6-localhost",
    b"ip6-loopback",
    b"ip6-localnet",
    b"ip6-mcastprefix",
    b"ip6-allnodes",
    b"ip6-allrouters",
];

fn is_local(key: &Key) -> bool {
    // Cheap first: hardly any listed name has so few labels and these letters in front.
    key.depth() <= 2
        && matches!(key.as_bytes().first(), Some(b'l' | b'b' | b'i'))
        && (LOCAL.contains(&key.as_bytes())
            || key.as_bytes() == b"localdomain6.localhost6"
            || key.as_bytes() == b"ip6-allhosts")
}

/// The line without its comment and without white space around it.
///
/// A comment starts with `#` or `;` anywhere, with `!` or `//` at the start of a line or of a word. Element hiding
/// (`name##.ad`) is not a comment: cut there, it would block the whole name.
pub(super) fn without_comment(line: &str) -> Result<&str, SkipReason> {
    let bytes = line.as_bytes();
    let starts_word = |at: usize| at == 0 || bytes[at - 1].is_ascii_whitespace();
    for (at, &byte) in bytes.iter().enumerate() {
        let cut = match byte {
            b'#' => {
                if !starts_word(at) && is_cosmetic_marker(&bytes[at..]) {
                    return Err(SkipReason::Cosmetic);
                }
                true
            }
            b';' => true,
            b'!' => starts_word(at),
            b'/' => starts_word(at) && bytes.get(at + 1) == Some(&b'/'),
            _ => false,
        };
        if cut {
            return Ok(line[..at].trim());
        }
    }
    Ok(line.trim())
}

/// Whether a `#` begins what separates a site from an element in Adblock rules: `##`, `#@#`, `#?#`, `#$#`, `#%#`.
pub(super) fn is_cosmetic_marker(text: &[u8]) -> bool {
    matches!(text, [b'#', b'#', ..] | [b'#', b'@' | b'?' | b'$' | b'%', b'#' | b'?' | b'$' | b'@' | b'%', ..])
}

/// Reads an address or a subnet for answers, unless it holds a large part of the internet.
pub(super) fn subnet(net: IpNet, allow: bool) -> Outcome {
    // No list of bad addresses names an eighth of all networks; a `0.0.0.0/0` in one would block every answer.
    let shortest = match net {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 16,
    };
    if net.prefix_len() < shortest {
        return Err(SkipReason::TooBroad);
    }
    Ok(Rule { subject: Subject::Address(net.trunc()), allow })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> Option<SkipReason> {
        name_or_wildcard(text, MatchMode::Exact, false).err()
    }

    fn read(text: &str) -> (String, MatchMode) {
        match name_or_wildcard(text, MatchMode::Exact, false).unwrap().subject {
            Subject::Name { key, mode } => (key.to_string(), mode),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_dot_or_a_star_in_front_means_below_too() {
        assert_eq!(read("a.example"), ("a.example".into(), MatchMode::Exact));
        assert_eq!(read(".a.example"), ("a.example".into(), MatchMode::Subdomains));
        assert_eq!(read("*.A.example."), ("a.example".into(), MatchMode::Subdomains));
    }

    #[test]
    fn what_is_not_a_name_has_its_reason() {
        for (text, expected) in [
            ("192.0.2.1", SkipReason::Address),
            ("192.0.2.0/24", SkipReason::Address),
            ("192.0.2.1:8080", SkipReason::Address),
            ("2001:db8::1", SkipReason::Address),
            ("*.0", SkipReason::Address),
            ("http://a.example/", SkipReason::Path),
            ("a.example/b", SkipReason::Path),
            ("a.example:80", SkipReason::BadName),
            ("a*.example", SkipReason::Wildcard),
            ("a.*.example", SkipReason::Wildcard),
            ("(^|\\.)a\\.example$", SkipReason::Regex),
            ("/ads[0-9]/", SkipReason::Regex),
            ("com", SkipReason::PublicSuffix),
            (".gov.uk", SkipReason::PublicSuffix),
            ("*.co.uk", SkipReason::PublicSuffix),
            ("whatever", SkipReason::SingleLabel),
            ("localhost", SkipReason::Localhost),
            ("localhost.localdomain", SkipReason::Localhost),
            ("a..example", SkipReason::BadName),
            ("", SkipReason::BadName),
            ("*", SkipReason::Wildcard),
            ("a,b.example", SkipReason::BadName),
        ] {
            assert_eq!(reason(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_private_suffix_is_an_entry() {
        assert_eq!(reason("blogspot.com"), None);
        assert_eq!(reason("github.io"), None);
    }

    #[test]
    fn comments_are_cut_and_element_hiding_is_not_one() {
        assert_eq!(without_comment("  a.example # why"), Ok("a.example"));
        assert_eq!(without_comment("a.example#why"), Ok("a.example"));
        assert_eq!(without_comment("a.example ; why"), Ok("a.example"));
        assert_eq!(without_comment("a.example // why"), Ok("a.example"));
        assert_eq!(without_comment("a.example ! why"), Ok("a.example"));
        assert_eq!(without_comment("// why"), Ok(""));
        assert_eq!(without_comment("! why"), Ok(""));
        assert_eq!(without_comment("### why ##"), Ok(""));
        assert_eq!(without_comment("http://a.example"), Ok("http://a.example"));
        assert_eq!(without_comment("a.example##.ad"), Err(SkipReason::Cosmetic));
        assert_eq!(without_comment("a.example#@#.ad"), Err(SkipReason::Cosmetic));
    }

    #[test]
    fn a_subnet_of_half_the_internet_is_refused() {
        assert_eq!(subnet("0.0.0.0/0".parse().unwrap(), false), Err(SkipReason::TooBroad));
        assert_eq!(subnet("::/0".parse().unwrap(), false), Err(SkipReason::TooBroad));
        assert!(subnet("10.0.0.0/8".parse().unwrap(), false).is_ok());
    }
}
