//! Response policy zones, as zone files.
//!
//! The owner says what a record is about, relative to the zone; `CNAME .` and `CNAME *.` block, `rpz-passthru.`
//! opens. `name` is the name alone, `*.name` what is below it; read here as the name and what is below it, since every
//! list that has the one has both, and a rule for "below only" would be one more thing to explain. Below `rpz-nsdname` and
//! `rpz-nsip`, the same is said of name servers.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{MAX_LINE, MatchMode, Out, Outcome, Rule, Skip, SkipReason, entry};

/// What is remembered from line to line.
#[derive(Default)]
pub(super) struct Rpz {
    /// `$ORIGIN`, without its last dot; none as long as the file leaves it to the zone's name.
    origin: Option<String>,
    /// The zone's name, without its last dot; empty when the file does not say.
    apex: Option<String>,
    /// The last owner, for records that begin with white space.
    owner: String,
    /// A record whose parentheses are still open.
    pending: String,
    /// How many parentheses are open.
    depth: usize,
    /// The line on which `pending` began.
    began: u64,
}

impl Rpz {
    /// Reads a line.
    pub(super) fn line(&mut self, number: u64, line: &str, out: Out<'_>) {
        // Nearly every line of a long list is a plain record.
        if self.depth == 0 && !line.bytes().any(|b| matches!(b, b';' | b'(' | b')' | b'"')) {
            return self.record(line, out);
        }
        let text = self.without_comment_and_parentheses(line);
        if self.depth == 0 && self.pending.is_empty() {
            return self.record(&text, out);
        }
        if self.pending.is_empty() {
            self.began = number;
        }
        self.pending.push_str(&text);
        self.pending.push(' ');
        if self.pending.len() > MAX_LINE {
            // An unclosed parenthesis must not swallow the rest of the list.
            self.pending.clear();
            self.depth = 0;
            return out(Err(SkipReason::LineTooLong));
        }
        if self.depth == 0 {
            let record = std::mem::take(&mut self.pending);
            self.record(&record, out);
        }
    }

    /// Says so when the list ends within a record.
    pub(super) fn finish(self, sink: &mut dyn FnMut(u64, Result<Rule, Skip<'_>>)) {
        if !self.pending.is_empty() {
            let text = self.pending.trim_end().as_bytes();
            sink(self.began, Err(Skip { reason: SkipReason::Syntax, text }));
        }
    }

    fn without_comment_and_parentheses(&mut self, line: &str) -> String {
        let mut text = String::with_capacity(line.len());
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ';' if !quoted => break,
                '(' if !quoted => self.depth += 1,
                ')' if !quoted => self.depth = self.depth.saturating_sub(1),
                _ => {
                    text.push(c);
                    continue;
                }
            }
            text.push(' ');
        }
        text
    }

    fn record(&mut self, text: &str, out: Out<'_>) {
        let inherits = text.starts_with(char::is_whitespace);
        let mut words = text.split_ascii_whitespace();
        let Some(first) = words.next() else { return };
        if let Some(directive) = first.strip_prefix('$') {
            if directive.eq_ignore_ascii_case("origin") {
                match words.next() {
                    Some(origin) => self.origin = Some(self.absolute(origin)),
                    None => out(Err(SkipReason::Syntax)),
                }
            } else if !directive.eq_ignore_ascii_case("ttl") {
                out(Err(SkipReason::Setting));
            }
            return;
        }
        if !inherits {
            self.owner.clear();
            self.owner.push_str(first);
        }
        let mut kind = if inherits { Some(first) } else { words.next() };
        while kind.is_some_and(is_class_or_ttl) {
            kind = words.next();
        }
        let Some(kind) = kind else { return out(Err(SkipReason::Syntax)) };
        if kind.eq_ignore_ascii_case("soa") {
            if self.apex.is_none() {
                self.apex = Some(self.absolute(&self.owner));
            }
            return;
        }
        if self.apex.is_none() && self.origin.is_some() {
            self.apex.clone_from(&self.origin);
        }
        if !is_bookkeeping(kind)
            && let Some(outcome) = self.outcome(kind, words.next())
        {
            out(outcome);
        }
    }

    /// What a record says; nothing where it is about the zone itself.
    fn outcome(&self, kind: &str, data: Option<&str>) -> Option<Outcome> {
        let owner = match self.owner_in_zone() {
            Ok(owner) if owner.is_empty() => return None,
            Ok(owner) => owner,
            Err(reason) => return Some(Err(reason)),
        };
        let allow = match action(kind, data, &owner) {
            Ok(allow) => allow,
            Err(reason) => return Some(Err(reason)),
        };
        Some(rule(&owner, allow))
    }

    /// The owner of the record without the zone's name; empty for the zone itself.
    fn owner_in_zone(&self) -> Result<std::borrow::Cow<'_, str>, SkipReason> {
        let owner = self.owner.as_str();
        let relative = owner != "@" && !owner.ends_with('.');
        if relative && (self.origin.is_none() || self.origin == self.apex) {
            return Ok(owner.into());
        }
        let full = self.absolute(owner);
        let apex = self.apex.as_deref().unwrap_or_default();
        if apex.is_empty() {
            return Ok(full.into());
        }
        let rest = full.strip_suffix(apex).ok_or(SkipReason::OutOfZone)?;
        if rest.is_empty() {
            return Ok("".into());
        }
        rest.strip_suffix('.').map(|rest| rest.to_owned().into()).ok_or(SkipReason::OutOfZone)
    }

    /// A name of the file in full and in lower case, without its last dot.
    fn absolute(&self, name: &str) -> String {
        let origin = self.origin.as_deref().or(self.apex.as_deref()).unwrap_or_default();
        let name = name.to_ascii_lowercase();
        match name.strip_suffix('.') {
            Some(absolute) => absolute.to_owned(),
            None if name == "@" => origin.to_owned(),
            None if origin.is_empty() => name,
            None => format!("{name}.{origin}"),
        }
    }
}

/// Whether the record opens (`true`) or blocks.
fn action(kind: &str, data: Option<&str>, owner: &str) -> Result<bool, SkipReason> {
    let data = data.ok_or(SkipReason::Syntax)?;
    if kind.eq_ignore_ascii_case("cname") {
        return match data.to_ascii_lowercase().as_str() {
            "." | "*." | "rpz-drop." => Ok(false),
            "rpz-passthru." => Ok(true),
            "rpz-tcp-only." => Err(SkipReason::Action),
            // The old spelling of passthru: the name answers with itself.
            target if target.strip_suffix('.').is_some_and(|t| t.eq_ignore_ascii_case(owner)) => Ok(true),
            _ => Err(SkipReason::Rewrite),
        };
    }
    let address = kind.eq_ignore_ascii_case("a") || kind.eq_ignore_ascii_case("aaaa");
    match data.parse::<IpAddr>() {
        Ok(ip) if address && entry::is_sink(ip) => Ok(false),
        _ => Err(SkipReason::Rewrite),
    }
}

fn rule(owner: &str, allow: bool) -> Outcome {
    let (labels, last) = owner.rsplit_once('.').unwrap_or(("", owner));
    if last.len() > 4 && last.as_bytes()[..4].eq_ignore_ascii_case(b"rpz-") {
        let addresses = || entry::subnet(subnet(labels).ok_or(SkipReason::Syntax)?, allow);
        return match last[4..].to_ascii_lowercase().as_str() {
            "ip" => addresses(),
            "nsip" => addresses().map(Rule::of_name_servers),
            "nsdname" => entry::name_or_wildcard(labels, MatchMode::Exact, allow).map(Rule::of_name_servers),
            _ => Err(SkipReason::Trigger),
        };
    }
    entry::name_or_wildcard(owner, MatchMode::Exact, allow)
}

/// Reads `24.0.2.0.192` as `192.0.2.0/24` and `48.zz.1.db8.2001` as `2001:db8:1::/48`.
fn subnet(labels: &str) -> Option<IpNet> {
    let (length, rest) = labels.split_once('.')?;
    let length: u8 = length.parse().ok()?;
    let parts: Vec<&str> = rest.rsplit('.').collect();
    if parts.len() == 4 && !parts.iter().any(|p| p.eq_ignore_ascii_case("zz")) {
        return IpNet::new(parts.join(".").parse().ok()?, length).ok();
    }
    let mut text = String::new();
    for (place, part) in parts.iter().enumerate() {
        if part.eq_ignore_ascii_case("zz") {
            text.push_str("::");
        } else {
            if place > 0 && !text.ends_with(':') {
                text.push(':');
            }
            text.push_str(part);
        }
    }
    IpNet::new(IpAddr::V6(text.parse().ok()?), length).ok()
}

/// Whether a word is a class or a time to live (`3600`, `1h`), which stand before the type.
fn is_class_or_ttl(word: &str) -> bool {
    ["in", "ch", "hs"].iter().any(|class| word.eq_ignore_ascii_case(class))
        || word.starts_with(|c: char| c.is_ascii_digit()) && word.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether records of the type belong to the zone's own keeping.
fn is_bookkeeping(kind: &str) -> bool {
    ["ns", "rrsig", "nsec", "nsec3", "nsec3param", "dnskey", "ds", "cds", "cdnskey"]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known))
}
