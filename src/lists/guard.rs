//! The circuit breaker of list updates: whether a new version comes into force by itself, or is held for a look.
//!
//! Public lists break: they shrink to their header overnight, a login page takes their place, a slip puts the whole
//! of Google into a list of proxies. [`judge`] says what is suspicious about a new version. It only compares figures,
//! so it can't fail; a held list costs somebody a look, while the last good version stays in force.
//!
//! What was in the version before, and so was let pass or was accepted by somebody, is not held again.

mod words;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    format::{Format, NotAList},
    survey::{Finding, FindingKind, Hits, Survey},
};

/// How many names of one kind a [`Trip`] carries; all are counted.
pub const SHOWN: usize = 50;
/// A list that lost no more entries than this did not shrink.
const FEW_LOST: u64 = 20;
/// A list that gained no more entries than this did not grow.
const FEW_GAINED: u64 = 200;
/// How many broken lines a list may have, whatever its length.
const FEW_DAMAGED: u64 = 4;
/// How much of what a header promises must be there, in per cent.
const PROMISED: u64 = 90;
/// How many times fewer or more entries than usual a list may have.
const USUAL: u64 = 10;

/// What a list may do without being held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many entries it must have at least.
    pub minimum: u64,
    /// To how much of the version before it may shrink, in per cent.
    pub shrink: u32,
    /// To how much of the version before it may grow, in per cent.
    pub grow: u32,
    /// How many of its lines may be broken, in per cent.
    pub damaged: u32,
    /// About how many entries it usually has, where the catalogue knows.
    pub typical: Option<u64>,
}

impl Default for Limits {
    /// One entry, half, three times, a tenth; nothing is known of its usual length.
    fn default() -> Self {
        Self { minimum: 1, shrink: 50, grow: 300, damaged: 10, typical: None }
    }
}

/// What is kept of the version that is in force, to judge the next one by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its format.
    pub format: Format,
    /// How many rules it holds.
    pub entries: u64,
    /// How many of them open rather than block.
    #[serde(default)]
    pub allow: u64,
    /// How many lines were skipped.
    #[serde(default)]
    pub skipped: u64,
    /// How many of those were broken.
    #[serde(default)]
    pub damaged: u64,
    /// How many entries its header spoke of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<u64>,
    /// The names that it blocks though a list should not, by kind: nobody minds them any more.
    #[serde(default, skip_serializing_if = "Hits::is_empty")]
    pub hits: Hits,
}

impl Previous {
    /// What is kept of a version when it comes into force; nothing, if it is no list.
    #[must_use]
    pub fn of(survey: &Survey) -> Option<Self> {
        Some(Self {
            format: survey.format?,
            entries: survey.entries,
            allow: survey.allow,
            skipped: survey.skips(),
            damaged: survey.damaged(),
            declared: survey.declared,
            hits: survey.hits.clone(),
        })
    }

    /// The same without the names themselves, for a list that must not be shown: each of its kinds is looked at anew.
    #[must_use]
    pub fn without_names(self) -> Self {
        let hits = self.hits.into_keys().map(|kind| (kind, BTreeSet::new())).collect();
        Self { hits, ..self }
    }
}

/// One reason to hold a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "trip")]
pub enum Trip {
    /// It is no list at all.
    NotAList {
        /// What it is instead.
        what: NotAList,
    },
    /// There is a web page in the middle of it.
    WebPage {
        /// How many lines begin one.
        lines: u64,
    },
    /// It has too few entries.
    TooFew {
        /// How many it has.
        entries: u64,
        /// How many it must have.
        minimum: u64,
    },
    /// It lost a large part of its entries.
    Shrank {
        /// How many the version before has.
        before: u64,
        /// How many it has.
        now: u64,
        /// To how much it may shrink, in per cent.
        limit: u32,
    },
    /// It has many more entries.
    Grew {
        /// How many the version before has.
        before: u64,
        /// How many it has.
        now: u64,
        /// To how much it may grow, in per cent.
        limit: u32,
    },
    /// It is far shorter or longer than this list usually is.
    Unusual {
        /// How many entries it has.
        entries: u64,
        /// About how many it usually has.
        typical: u64,
    },
    /// It has fewer entries than its own header says.
    Incomplete {
        /// How many lines say something.
        found: u64,
        /// How many the header speaks of.
        declared: u64,
    },
    /// It opens rather than blocks, and the version before did not.
    Opens {
        /// How many entries open.
        allow: u64,
        /// How many there are in all.
        entries: u64,
    },
    /// It is in another format.
    Format {
        /// That of the version before.
        before: Format,
        /// Its own.
        now: Format,
    },
    /// Too many of its lines are broken.
    Damaged {
        /// How many are.
        damaged: u64,
        /// How many were read, without comments.
        lines: u64,
        /// How many may be broken, in per cent.
        limit: u32,
    },
    /// It has names that no list should have, and that the version before did not have.
    Names {
        /// What is wrong with them.
        kind: FindingKind,
        /// How many there are.
        count: u64,
        /// The first of them.
        first: Vec<Finding>,
    },
}

/// Says why a version is to be held; nothing, if it may come into force by itself.
///
/// The survey must have been made with the references that the list's category calls for. Without a version before,
/// the list is a new one, and all that it holds is looked at.
#[must_use]
pub fn judge(survey: &Survey, previous: Option<&Previous>, limits: &Limits) -> Vec<Trip> {
    let mut trips = Vec::new();
    if let Some(what) = survey.not_a_list {
        trips.push(Trip::NotAList { what });
        // All other figures are zero, which says nothing new.
        return trips;
    }
    if survey.markup > 0 {
        trips.push(Trip::WebPage { lines: survey.markup });
    }
    if survey.entries < limits.minimum {
        trips.push(Trip::TooFew { entries: survey.entries, minimum: limits.minimum });
    }
    trips.extend(length(survey.entries, previous.map(|previous| previous.entries), limits));
    let figures = Figures::of(survey);
    let before = previous.map(Figures::of_previous);
    let is_new = |odd: fn(&Figures, &Limits) -> bool| {
        odd(&figures, limits) && !before.as_ref().is_some_and(|before| odd(before, limits))
    };
    if is_new(Figures::is_incomplete) {
        let declared = figures.declared.unwrap_or_default();
        trips.push(Trip::Incomplete { found: figures.lines(), declared });
    }
    if before.is_some() && is_new(Figures::opens) {
        trips.push(Trip::Opens { allow: survey.allow, entries: survey.entries });
    }
    if let (Some(previous), Some(now)) = (previous, survey.format)
        && previous.format != now
    {
        trips.push(Trip::Format { before: previous.format, now });
    }
    if is_new(Figures::is_damaged) {
        let (damaged, lines) = (figures.damaged, figures.lines());
        trips.push(Trip::Damaged { damaged, lines, limit: limits.damaged });
    }
    trips.extend(names(survey, previous));
    trips
}

/// What is odd about the number of entries.
fn length(now: u64, before: Option<u64>, limits: &Limits) -> Option<Trip> {
    if let Some(before) = before {
        if before.saturating_sub(now) > FEW_LOST && percent_of(before, limits.shrink) > u128::from(now) * 100
        {
            return Some(Trip::Shrank { before, now, limit: limits.shrink });
        }
        if now.saturating_sub(before) > FEW_GAINED && percent_of(before, limits.grow) < u128::from(now) * 100
        {
            return Some(Trip::Grew { before, now, limit: limits.grow });
        }
    }
    let typical = limits.typical?;
    let odd = |entries: u64| {
        typical.abs_diff(entries) > FEW_LOST
            && (entries < typical / USUAL || entries > typical.saturating_mul(USUAL))
    };
    // A list whose length somebody found right once has changed for good; the catalogue will follow.
    (odd(now) && !before.is_some_and(odd)).then_some(Trip::Unusual { entries: now, typical })
}

/// A hundred times that many per cent of a number, so that nothing is rounded.
fn percent_of(number: u64, percent: u32) -> u128 {
    u128::from(number) * u128::from(percent)
}

/// The figures of a version that a version after it is not held for again.
struct Figures {
    entries: u64,
    allow: u64,
    skipped: u64,
    damaged: u64,
    declared: Option<u64>,
}

impl Figures {
    fn of(survey: &Survey) -> Self {
        Self {
            entries: survey.entries,
            allow: survey.allow,
            skipped: survey.skips(),
            damaged: survey.damaged(),
            declared: survey.declared,
        }
    }

    fn of_previous(previous: &Previous) -> Self {
        let &Previous { entries, allow, skipped, damaged, declared, .. } = previous;
        Self { entries, allow, skipped, damaged, declared }
    }

    fn lines(&self) -> u64 {
        self.entries + self.skipped
    }

    fn is_incomplete(&self, _: &Limits) -> bool {
        self.declared.is_some_and(|declared| {
            u128::from(self.lines()) * 100 < u128::from(declared) * u128::from(PROMISED)
        })
    }

    fn opens(&self, _: &Limits) -> bool {
        self.allow > self.entries / 2
    }

    fn is_damaged(&self, limits: &Limits) -> bool {
        self.damaged > FEW_DAMAGED
            && u128::from(self.damaged) * 100 > percent_of(self.entries + self.damaged, limits.damaged)
    }
}

/// Names that no list should have, without those that the version before had.
fn names(survey: &Survey, previous: Option<&Previous>) -> Vec<Trip> {
    let mut trips = Vec::new();
    for kind in [FindingKind::PublicSuffix, FindingKind::Essential, FindingKind::Popular, FindingKind::Busy] {
        let Some(now) = survey.hits.get(&kind) else { continue };
        let known = previous.and_then(|previous| previous.hits.get(&kind));
        let new: BTreeSet<&String> =
            now.iter().filter(|name| known.is_none_or(|known| !known.contains(*name))).collect();
        if new.is_empty() {
            continue;
        }
        let found = survey.found(kind).map_or(&[][..], |found| &found.first);
        let first = found.iter().filter(|finding| match kind {
            // What is listed there is a line; that somebody's names lie below it makes it one of these.
            FindingKind::PublicSuffix => finding.covers.is_some(),
            _ => new.iter().any(|name| *name == finding.name()),
        });
        trips.push(Trip::Names {
            kind,
            count: new.len() as u64,
            first: first.take(SHOWN).cloned().collect(),
        });
    }
    trips
}

#[cfg(test)]
mod tests;
