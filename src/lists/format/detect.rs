//! Which format a text is in.

use serde::{Deserialize, Serialize};

use super::{Format, entry};

/// How many bytes of the start of a list [`detect`] needs at most.
pub const HEAD: usize = 64 * 1024;

/// How many lines are enough to tell.
const ENOUGH: usize = 2000;

/// Why a text is not a list in any format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NotAList {
    /// A login page, an error page, the page around the list.
    #[error("this is a web page, not a list; take the address of the list's plain text")]
    WebPage,
    /// JSON.
    #[error("this is JSON, not a list")]
    Json,
    /// Bytes that no text has.
    #[error("this is not text (UTF-8), so not a list")]
    Binary,
    /// Comments at most.
    #[error("there is no entry in it")]
    Empty,
    /// Text, but no line looks like any format's.
    #[error("this is not a list in a format that is known")]
    Unknown,
}

/// Tells from the start of a text which format it is in.
///
/// Takes up to [`HEAD`] bytes. Lists of mixed formats are taken for what most of their lines are; `[Adblock`, `$TTL`
/// and an SOA record decide alone.
///
/// # Errors
///
/// When it is no list.
pub fn detect(head: &[u8]) -> Result<Format, NotAList> {
    let cut = head.len() > HEAD;
    let head = &head[..head.len().min(HEAD)];
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Err(NotAList::Binary);
    }
    let start = head.trim_ascii_start();
    if start.starts_with(b"<") {
        return Err(NotAList::WebPage);
    }
    if looks_like_json(start) {
        return Err(NotAList::Json);
    }
    let nuls = head.iter().filter(|&&b| b == 0).count();
    if nuls > head.len() / 10 {
        return Err(NotAList::Binary);
    }
    let text = String::from_utf8_lossy(head);
    let mut lines: Vec<&str> = text.lines().collect();
    // The last line may be half of one.
    if cut && lines.len() > 1 {
        lines.pop();
    }
    let mut votes = Votes::default();
    let mut content = 0;
    let (mut bangs, mut hashes) = (0, 0);
    for line in lines {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        match vote(line) {
            Vote::Comment => {
                bangs += usize::from(line.starts_with('!'));
                hashes += usize::from(line.starts_with('#'));
                continue;
            }
            Vote::Surely(format) => return Ok(format),
            Vote::Perhaps(format) => votes.add(format),
            Vote::Nothing => {}
        }
        content += 1;
        if content == ENOUGH {
            break;
        }
    }
    match votes.most() {
        // Lists of names often hold addresses; lists of addresses hold no names.
        Some(Format::Addresses) if votes.of(Format::Domains) * 10 > votes.of(Format::Addresses) => {
            Ok(Format::Domains)
        }
        // Only Adblock's own comments begin with `!`; its rules for single addresses may come first.
        Some(Format::Addresses) if bangs > 0 && hashes == 0 => Ok(Format::Adblock),
        Some(format) => Ok(format),
        None if content == 0 => Err(NotAList::Empty),
        None if text.contains('\u{fffd}') => Err(NotAList::Binary),
        None => Err(NotAList::Unknown),
    }
}

fn looks_like_json(start: &[u8]) -> bool {
    match start {
        [b'{', ..] => true,
        [b'[', rest @ ..] => matches!(rest.trim_ascii_start(), [b'{' | b'"' | b'[', ..]),
        _ => false,
    }
}

enum Vote {
    Comment,
    Surely(Format),
    Perhaps(Format),
    Nothing,
}

fn vote(line: &str) -> Vote {
    if line.starts_with("[Adblock") || line.starts_with("[uBlock") {
        return Vote::Surely(Format::Adblock);
    }
    let upper = line.get(..8).unwrap_or(line).to_ascii_uppercase();
    if upper.starts_with("$TTL") || upper.starts_with("$ORIGIN") {
        return Vote::Surely(Format::Rpz);
    }
    if line.starts_with("!#") || line.starts_with("##") && !line.starts_with("###") && !line.contains("## ") {
        return Vote::Perhaps(Format::Adblock);
    }
    if line.starts_with(['#', '!', ';']) || line.starts_with("//") {
        return Vote::Comment;
    }
    if ["address=/", "server=/", "local=/"].iter().any(|key| line.starts_with(key)) {
        return Vote::Perhaps(Format::Dnsmasq);
    }
    if line == "server:" || line.starts_with("local-zone:") || line.starts_with("local-data:") {
        return Vote::Perhaps(Format::Unbound);
    }
    if is_adblock(line) {
        return Vote::Perhaps(Format::Adblock);
    }
    let Ok(text) = entry::without_comment(line) else { return Vote::Perhaps(Format::Adblock) };
    let mut words = text.split_ascii_whitespace();
    let Some(first) = words.next() else { return Vote::Comment };
    let Some(second) = words.next() else { return single(first) };
    if entry::address(first).is_some() {
        return Vote::Perhaps(Format::Hosts);
    }
    let record = [Some(second), words.next(), words.next()];
    for word in record.into_iter().flatten() {
        if word.eq_ignore_ascii_case("soa") {
            return Vote::Surely(Format::Rpz);
        }
        if word.eq_ignore_ascii_case("cname") {
            return Vote::Perhaps(Format::Rpz);
        }
    }
    Vote::Nothing
}

fn is_adblock(line: &str) -> bool {
    line.starts_with("||")
        || line.starts_with("@@")
        || line.starts_with("|http")
        || ["##", "#@#", "#?#", "#$#"].iter().any(|marker| line.contains(marker))
        || line.ends_with('^')
        || line.contains("^$")
        || line.contains("$third-party")
        || line.contains("$domain=")
        || (line.starts_with(['/', '-', '_', '&', '?', '.', '=', '+', ':'])
            && line.contains(['/', '?', '=', '$']))
}

fn single(word: &str) -> Vote {
    use super::{MatchMode, SkipReason};
    match entry::name_or_wildcard(word, MatchMode::Subdomains, false) {
        Ok(_) => Vote::Perhaps(Format::Domains),
        Err(SkipReason::Address) if !word.starts_with('*') => Vote::Perhaps(Format::Addresses),
        Err(_) => Vote::Nothing,
    }
}

#[derive(Default)]
struct Votes([usize; Format::ALL.len()]);

impl Votes {
    fn add(&mut self, format: Format) {
        if let Some(place) = Format::ALL.iter().position(|f| *f == format) {
            self.0[place] += 1;
        }
    }

    fn of(&self, format: Format) -> usize {
        Format::ALL.iter().zip(self.0).find(|(f, _)| **f == format).map_or(0, |(_, votes)| votes)
    }

    /// The format with the most votes; of equals the first in [`Format::ALL`].
    fn most(&self) -> Option<Format> {
        let most = *self.0.iter().max()?;
        if most == 0 {
            return None;
        }
        self.0.iter().position(|votes| *votes == most).map(|place| Format::ALL[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_told_from_the_others() {
        for (text, format) in [
            ("# Title\na.example\nb.example\n", Format::Domains),
            ("*.a.example\n.b.example\n", Format::Domains),
            ("# Title\n127.0.0.1 localhost\n0.0.0.0 a.example\n", Format::Hosts),
            ("::1 a.example\n", Format::Hosts),
            ("[Adblock Plus 2.0]\nwhatever\n", Format::Adblock),
            ("! Title: x\n||a.example^\n", Format::Adblock),
            ("-ad-banner.\n/ads/*\na.example##.ad\nb.example\n", Format::Adblock),
            ("# x\naddress=/a.example/#\n", Format::Dnsmasq),
            ("server=/a.example/\n", Format::Dnsmasq),
            ("server:\n\tlocal-zone: \"a.example\" always_null\n", Format::Unbound),
            ("a.example CNAME .\n*.a.example CNAME .\n", Format::Rpz),
            ("; x\n$TTL 60\n", Format::Rpz),
            ("@ 60 IN SOA a. b. (\n", Format::Rpz),
            ("192.0.2.1\n192.0.2.2\n192.0.2.3\na.example\n", Format::Domains),
            ("! Title: x\n192.0.2.1\n192.0.2.2\n", Format::Adblock),
            ("192.0.2.1\n192.0.2.0/24 # x\n2001:db8::1\n", Format::Addresses),
        ] {
            assert_eq!(detect(text.as_bytes()), Ok(format), "{text}");
            let with_mark = [b"\xef\xbb\xbf", text.replace('\n', "\r\n").as_bytes()].concat();
            assert_eq!(detect(&with_mark), Ok(format), "{text}, with a byte-order mark and CRLF");
        }
    }

    #[test]
    fn what_is_no_list_is_named() {
        assert_eq!(detect(b"\n <!DOCTYPE html><html>"), Err(NotAList::WebPage));
        assert_eq!(detect(b"<?xml version"), Err(NotAList::WebPage));
        assert_eq!(detect(b"{\"a\": 1}"), Err(NotAList::Json));
        assert_eq!(detect(b"[\"a\"]"), Err(NotAList::Json));
        assert_eq!(detect(b"a\0.\0e\0x\0a\0m\0p\0l\0e\0"), Err(NotAList::Binary));
        assert_eq!(detect(b"\xff\xfea\0"), Err(NotAList::Binary));
        assert_eq!(detect(b"# nothing\n\n"), Err(NotAList::Empty));
        assert_eq!(detect(b""), Err(NotAList::Empty));
        assert_eq!(detect(b"Dear all,\nthis is a letter.\n"), Err(NotAList::Unknown));
    }
}
