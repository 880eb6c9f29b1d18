//! Adblock rules, of which exactly `||name^` and `@@||name^` speak of names.
//!
//! A rule with any modifier is skipped: `||cdn.example^$domain=site.example` read without it would block the whole
//! content network. `$badfilter` takes back the same rule anywhere in the list, so rules are held until its end.

use std::collections::HashSet;

use super::{MatchMode, Out, Outcome, Rule, Skip, SkipReason, entry};

/// What is remembered from line to line.
#[derive(Default)]
pub(super) struct Adblock {
    /// How many `!#if` are open.
    conditions: usize,
    /// Every `||name^` and `@@||name^`, one after the other.
    text: String,
    /// Where each rule ends in `text`, and its line.
    ends: Vec<(usize, u64)>,
    /// Rules that the list takes back.
    cancelled: HashSet<String>,
}

impl Adblock {
    /// Reads a line; its rule comes with [`finish`](Self::finish).
    pub(super) fn line(&mut self, number: u64, line: &str, out: Out<'_>) {
        let rule = line.trim();
        if let Some(comment) = rule.strip_prefix('!') {
            if comment.starts_with('#') {
                if comment.starts_with("#if") {
                    self.conditions += 1;
                } else if comment.starts_with("#endif") {
                    self.conditions = self.conditions.saturating_sub(1);
                }
                out(Err(SkipReason::Conditional));
            }
            return;
        }
        if rule.is_empty() || rule.starts_with('[') && rule.ends_with(']') || is_hash_comment(rule) {
            return;
        }
        if self.conditions > 0 {
            return out(Err(SkipReason::Conditional));
        }
        match shape(rule) {
            Ok(Shape::Pure) => {
                self.text.push_str(rule);
                self.ends.push((self.text.len(), number));
            }
            Ok(Shape::Cancels(other)) => {
                self.cancelled.insert(other.to_owned());
                out(Err(SkipReason::Badfilter));
            }
            Err(reason) => out(Err(reason)),
        }
    }

    /// Hands out the rules that the list did not take back.
    pub(super) fn finish(self, sink: &mut dyn FnMut(u64, Result<Rule, Skip<'_>>)) {
        let cancelled: HashSet<String> = self.cancelled.iter().map(|rule| normal(rule)).collect();
        let mut start = 0;
        for (end, number) in self.ends {
            let rule = &self.text[start..end];
            start = end;
            let outcome = if !cancelled.is_empty() && cancelled.contains(&normal(rule)) {
                Err(SkipReason::Cancelled)
            } else {
                name_of(rule)
            };
            sink(number, outcome.map_err(|reason| Skip { reason, text: rule.as_bytes() }));
        }
    }
}

enum Shape<'a> {
    /// `||…^`, with nothing that makes it speak of less than a name.
    Pure,
    /// `||…^$badfilter`: the rule that it takes back.
    Cancels(&'a str),
}

/// What kind of rule it is, as far as that shows without parsing its name.
fn shape(rule: &str) -> Result<Shape<'_>, SkipReason> {
    if let Some(at) = rule.find('#') {
        if entry::is_cosmetic_marker(&rule.as_bytes()[at..]) {
            return Err(SkipReason::Cosmetic);
        }
    }
    if rule.contains("$$") || rule.contains("$@$") {
        return Err(SkipReason::Cosmetic);
    }
    let pattern = rule.strip_prefix("@@").unwrap_or(rule);
    if is_regex(pattern) {
        return Err(SkipReason::Regex);
    }
    let (pattern, options) = match rule.rsplit_once('$') {
        Some((pattern, options)) if !options.trim().is_empty() => (pattern, Some(options)),
        Some((pattern, _)) => (pattern, None),
        None => (rule, None),
    };
    if let Some(options) = options {
        if !options.split(',').any(|option| option.trim() == "badfilter") {
            return Err(SkipReason::Modifier);
        }
        // With other modifiers beside it, it takes back a rule that was never applied.
        return match options.trim() == "badfilter" && anchored_name(pattern).is_ok() {
            true => Ok(Shape::Cancels(pattern)),
            false => Err(SkipReason::Badfilter),
        };
    }
    anchored_name(rule).map(|_| Shape::Pure)
}

/// The name of `||name^`, with or without `@@`, `|` or an empty list of modifiers.
fn anchored_name(rule: &str) -> Result<&str, SkipReason> {
    let pattern = rule.strip_prefix("@@").unwrap_or(rule);
    let Some(name) = pattern.strip_prefix("||") else {
        return Err(if pattern.starts_with('|') || pattern.contains('/') {
            SkipReason::Path
        } else {
            SkipReason::Substring
        });
    };
    let name = name.strip_suffix('$').unwrap_or(name);
    let whole = name.strip_suffix('|').unwrap_or(name).strip_suffix('^');
    let name = whole.unwrap_or(name);
    if name.bytes().any(|b| matches!(b, b'/' | b'^' | b':' | b'?' | b'=' | b'&')) {
        return Err(SkipReason::Path);
    }
    if name.contains('*') {
        return Err(SkipReason::Wildcard);
    }
    // `||name.` goes on with any ending; it is not the root's dot.
    if whole.is_none() || name.ends_with('.') {
        return Err(SkipReason::Prefix);
    }
    Ok(name)
}

fn name_of(rule: &str) -> Outcome {
    entry::name(anchored_name(rule)?, MatchMode::Subdomains, rule.starts_with("@@"))
}

/// The same for rules that say the same, so that `||Name^|` is taken back by `||name^$badfilter`.
fn normal(rule: &str) -> String {
    let allow = if rule.starts_with("@@") { "@@" } else { "" };
    format!("{allow}{}", anchored_name(rule).unwrap_or(rule).to_lowercase())
}

fn is_regex(pattern: &str) -> bool {
    pattern.len() > 1
        && pattern.starts_with('/')
        && (pattern.ends_with('/') || pattern[1..].contains("/$"))
}

/// Whether a line that starts with `#` is a comment rather than element hiding.
fn is_hash_comment(rule: &str) -> bool {
    rule.starts_with('#') && {
        let rest = rule.trim_start_matches('#');
        rest.is_empty()
            || rest.starts_with(char::is_whitespace)
            || !entry::is_cosmetic_marker(rule.as_bytes())
    }
}
