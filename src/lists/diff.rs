//! What changed between two versions of a list, for somebody who decides whether it may come into force.

use std::{cmp::Reverse, collections::BTreeSet, fmt};

use serde::Serialize;

use super::{
    format::{MatchMode, Rule, Subject},
    source::SourceError,
    survey::{Fingerprints, Reading, fingerprint},
};
use crate::name::Key;

/// One of two versions.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    /// Where it is, and how it is read.
    pub list: Reading<'a>,
    /// What its entries are; from its [`Survey`](super::survey::Survey), or [`Fingerprints::of`] it.
    pub prints: &'a Fingerprints,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// What the new version has and the old one has not.
    pub added: Changes,
    /// What the old version has and the new one has not.
    pub removed: Changes,
}

/// Entries that one version has and the other has not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// How many.
    pub count: u64,
    /// The first of them: what was asked most often first, then in the order of the names from the top-level domain
    /// down.
    pub first: Vec<Change>,
}

/// An entry that came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The name, or the addresses.
    pub entry: String,
    /// Whether it is about that name alone, not about what is below it.
    pub exact: bool,
    /// Whether it opens rather than blocks.
    pub allow: bool,
    /// Whether it is about the zones that have such a name server.
    pub name_server: bool,
    /// How often the name was asked lately, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
}

/// Compares two versions of a list.
///
/// All changes are counted; at most `most` are named on each side. `asked` says how often a name was asked lately.
/// The order, the format, comments and repetitions don't matter. Memory: eight bytes for each change.
///
/// # Errors
///
/// As [`Source::read`](super::source::Source::read), of either version.
pub fn diff(
    old: &Version<'_>,
    new: &Version<'_>,
    most: usize,
    asked: &dyn Fn(&Key) -> Option<u64>,
) -> Result<Diff, SourceError> {
    Ok(Diff {
        added: only_in(new, old.prints, most, asked)?,
        removed: only_in(old, new.prints, most, asked)?,
    })
}

fn only_in(
    version: &Version<'_>,
    other: &Fingerprints,
    most: usize,
    asked: &dyn Fn(&Key) -> Option<u64>,
) -> Result<Changes, SourceError> {
    let own = missing(version.prints.hashes(), other.hashes());
    let count = own.len() as u64;
    if own.is_empty() || most == 0 {
        return Ok(Changes { count, first: Vec::new() });
    }
    let mut first: BTreeSet<Ranked> = BTreeSet::new();
    version.list.read(&mut |_, outcome| {
        let Ok(rule) = outcome else { return };
        if own.binary_search(&fingerprint(&rule)).is_err() {
            return;
        }
        first.insert(Ranked::of(rule, asked));
        if first.len() > most {
            first.pop_last();
        }
    })?;
    Ok(Changes { count, first: first.into_iter().map(Ranked::change).collect() })
}

/// What the first of two rising sequences has and the second has not.
fn missing(own: &[u64], other: &[u64]) -> Vec<u64> {
    let mut other = other.iter().peekable();
    own.iter()
        .filter(|hash| {
            while other.next_if(|o| o < hash).is_some() {}
            other.peek() != Some(hash)
        })
        .copied()
        .collect()
}

/// A change in the order in which they are shown.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    asked: Reverse<Option<u64>>,
    /// The name's key, or the text of the addresses.
    order: Vec<u8>,
    exact: bool,
    allow: bool,
    name_server: bool,
    entry: String,
}

impl Ranked {
    fn of(rule: Rule, asked: &dyn Fn(&Key) -> Option<u64>) -> Self {
        let allow = rule.allow;
        let name_server = rule.subject.is_of_name_servers();
        match rule.subject {
            Subject::Name { key, mode } | Subject::NameServer { key, mode } => Self {
                // How often a server is asked for says nothing of the zones on it.
                asked: Reverse(if name_server { None } else { asked(&key) }),
                entry: key.to_string(),
                order: key.as_bytes().to_vec(),
                exact: mode == MatchMode::Exact,
                allow,
                name_server,
            },
            Subject::Address(net) | Subject::NameServerAddress(net) => {
                let entry = net.to_string();
                let order = entry.clone().into_bytes();
                Self { asked: Reverse(None), order, exact: false, allow, name_server, entry }
            }
        }
    }

    fn change(self) -> Change {
        let Self { asked, exact, allow, name_server, entry, .. } = self;
        Change { entry, exact, allow, name_server, asked: asked.0 }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.added.count + self.removed.count == 0 {
            return writeln!(f, "nothing changed");
        }
        for (changes, verb, sign) in [(&self.added, "added", '+'), (&self.removed, "removed", '-')] {
            writeln!(f, "{} {verb}", changes.count)?;
            for change in &changes.first {
                writeln!(f, "  {sign} {change}")?;
            }
            let more = changes.count.saturating_sub(changes.first.len() as u64);
            if more > 0 && !changes.first.is_empty() {
                writeln!(f, "    and {more} more")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entry)?;
        if self.name_server {
            f.write_str(", as a name server")?;
        }
        if self.exact {
            f.write_str(", this name alone")?;
        }
        if self.allow {
            f.write_str(", opens")?;
        }
        match self.asked {
            None | Some(0) => Ok(()),
            Some(1) => f.write_str(", asked once lately"),
            Some(times) => write!(f, ", asked {times} times lately"),
        }
    }
}

#[cfg(test)]
mod tests;
