//! What people read when a version is held.

use std::fmt;

use super::Trip;
use crate::lists::survey::{Finding, FindingKind};

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAList { what } => write!(f, "{what}"),
            Self::WebPage { .. } => {
                write!(f, "there is a web page in the middle of it, an error of the server most likely")
            }
            Self::TooFew { entries, minimum } => {
                write!(f, "it has {}; it must have at least {}", Entries(*entries), Number(*minimum))
            }
            Self::Shrank { before, now, limit } => {
                write!(f, "it shrank from {} to {}; ", Number(*before), Entries(*now))?;
                match limit {
                    50 => write!(f, "a list that loses more than half is held"),
                    _ => write!(f, "a list that shrinks below {limit} % of what it was is held"),
                }
            }
            Self::Grew { before, now, limit } => {
                write!(f, "it grew from {} to {}; ", Number(*before), Entries(*now))?;
                match limit {
                    300 => write!(f, "a list that becomes more than three times as long is held"),
                    _ => write!(f, "a list that grows above {limit} % of what it was is held"),
                }
            }
            Self::Unusual { entries, typical } => write!(
                f,
                "it has {}, and usually about {}; a list far from its usual length is held",
                Entries(*entries),
                Number(*typical)
            ),
            Self::Incomplete { found, declared } => write!(
                f,
                "its header says that it has {}, but only {} came; it was cut off on its way, most likely",
                Entries(*declared),
                Number(*found)
            ),
            Self::Opens { allow, entries } => write!(
                f,
                "{} of its {} open names rather than block them, and before most did not",
                Number(*allow),
                Entries(*entries)
            ),
            Self::Format { before, now } => {
                write!(f, "its format changed from \"{}\" to \"{}\"", before.title(), now.title())
            }
            Self::Damaged { damaged, lines, limit } => write!(
                f,
                "{} of its {} lines can't be read; with more than {limit} % of such lines a list is held",
                Number(*damaged),
                Number(*lines)
            ),
            Self::Names { kind, count, first } => write_names(f, *kind, *count, first),
        }
    }
}

/// How many names a sentence holds.
const IN_A_SENTENCE: usize = 5;

fn write_names(f: &mut fmt::Formatter<'_>, kind: FindingKind, count: u64, first: &[Finding]) -> fmt::Result {
    let s = if count == 1 { "" } else { "s" };
    let number = Number(count);
    match kind {
        FindingKind::PublicSuffix => {
            write!(f, "it lists {number} ending{s} under which others have their names")?;
        }
        FindingKind::PrivateSuffix => write!(f, "it would block {number} whole hosting service{s}")?,
        FindingKind::Essential => write!(f, "it would block {number} name{s} that must always work")?,
        FindingKind::Popular => write!(f, "it would block {number} name{s} that very many people use")?,
        FindingKind::Busy => write!(f, "it would block {number} name{s} that this school often uses")?,
    }
    for (at, finding) in first.iter().take(IN_A_SENTENCE).enumerate() {
        f.write_str(if at == 0 { ": " } else { ", " })?;
        match &finding.covers {
            // The line is shown as it stands; naming one of very many names below it would mislead.
            Some(_) if kind == FindingKind::PublicSuffix => {
                write!(f, "{} ({})", finding.listed, finding.place())?;
            }
            Some(covered) => write!(f, "{covered} ({}: {})", finding.place(), finding.listed)?,
            None => write!(f, "{} ({})", finding.listed, finding.place())?,
        }
    }
    let more = count.saturating_sub(first.len().min(IN_A_SENTENCE) as u64);
    if !first.is_empty() && more > 0 {
        write!(f, " and {} more", Number(more))?;
    }
    Ok(())
}

/// A number with its thousands apart: `2,510`.
struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.char_indices() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// How many entries, in words that fit one.
struct Entries(u64);

impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no entries"),
            1 => f.write_str("1 entry"),
            many => write!(f, "{} entries", Number(many)),
        }
    }
}
