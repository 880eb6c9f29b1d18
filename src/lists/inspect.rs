//! What is in a list: how many entries, what was skipped and why, names that look wrong.

use std::fmt;

use serde::Serialize;

pub use super::survey::{Finding, FindingKind, Findings, Line, Skipped};
use super::{
    format::{MatchMode, Subject},
    guard::{Limits, Trip, judge},
    source::{Place, SourceError},
    survey::{Reading, References, Survey, Surveyor},
};
use crate::name::Key;

/// What is in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What a look at it found.
    #[serde(flatten)]
    pub survey: Survey,
    /// How many different names its rules are about.
    pub unique: u64,
    /// How many of the different names lie below another one that covers them.
    pub covered: u64,
    /// Why its first version would be held for a look.
    pub held: Vec<Trip>,
}

/// Reads a source and reports what is in it.
///
/// # Errors
///
/// As [`Source::read`](super::source::Source::read).
pub fn inspect(list: &Reading<'_>, references: &References) -> Result<Report, SourceError> {
    let mut surveyor = Surveyor::new(references);
    let mut names = Names::default();
    let contents = list.read(&mut |place, outcome| {
        surveyor.take(place, &outcome);
        if let Ok(rule) = outcome
            && let Subject::Name { key, mode } = rule.subject
        {
            names.add(&key, mode == MatchMode::Exact, rule.allow);
        }
    })?;
    let (unique, covered) = names.settle();
    let survey = surveyor.finish(list.source, contents);
    let held = judge(&survey, None, &Limits::default());
    Ok(Report { survey, unique, covered, held })
}

/// All names of a list in little memory: their bytes one after the other.
#[derive(Default)]
struct Names {
    /// Keys whose dots are 1, so that a name sorts right before what is below it.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    start: u32,
    length: u8,
    exact: bool,
    allow: bool,
}

/// Stands for the dot in [`Names`]; no name that a list can hold has it.
const DOT: u8 = 1;

impl Names {
    fn add(&mut self, key: &Key, exact: bool, allow: bool) {
        // A source's limits keep its text far below 4 GiB; what is beyond is counted as an entry, not as a name.
        let Ok(start) = u32::try_from(self.bytes.len()) else { return };
        self.bytes.extend(key.as_bytes().iter().map(|&b| if b == b'.' { DOT } else { b }));
        let length = key.as_bytes().len() as u8;
        self.entries.push(Entry { start, length, exact, allow });
    }

    fn raw(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        &self.bytes[start..start + usize::from(entry.length)]
    }

    /// Counts the different names, and those below another.
    fn settle(&mut self) -> (u64, u64) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|a, b| {
            self.raw(a).cmp(self.raw(b)).then_with(|| (a.allow, a.exact).cmp(&(b.allow, b.exact)))
        });
        let (mut unique, mut covered) = (0, 0);
        let mut last: Option<&Entry> = None;
        // The last name, for blocking or for allowing, that covers what is below it.
        let mut above: [Option<&Entry>; 2] = [None, None];
        for entry in &entries {
            if last.is_some_and(|last| self.raw(last) == self.raw(entry)) {
                if !entry.exact {
                    self.keep_above(&mut above, entry);
                }
                continue;
            }
            last = Some(entry);
            unique += 1;
            if above[usize::from(entry.allow)].is_some_and(|a| self.is_below(entry, a)) {
                covered += 1;
            } else if !entry.exact {
                above[usize::from(entry.allow)] = Some(entry);
            }
        }
        (unique, covered)
    }

    fn keep_above<'e>(&self, above: &mut [Option<&'e Entry>; 2], entry: &'e Entry) {
        let place = &mut above[usize::from(entry.allow)];
        if !place.is_some_and(|a| self.is_below(entry, a)) {
            *place = Some(entry);
        }
    }

    fn is_below(&self, entry: &Entry, above: &Entry) -> bool {
        let (child, parent) = (self.raw(entry), self.raw(above));
        child.len() > parent.len() && child.starts_with(parent) && child[parent.len()] == DOT
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let survey = &self.survey;
        writeln!(f, "{}", survey.source)?;
        if let Some(format) = survey.format {
            writeln!(f, "  format      {format} ({})", format.title())?;
        }
        if !survey.parts.is_empty() {
            writeln!(f, "  files       {}", survey.parts.len())?;
        }
        write!(f, "  entries     {}", survey.entries)?;
        if survey.allow > 0 {
            write!(f, ", of which {} allow", survey.allow)?;
        }
        if survey.addresses > 0 {
            write!(f, ", of which {} are addresses", survey.addresses)?;
        }
        if survey.name_servers > 0 {
            write!(f, ", of which {} are about name servers", survey.name_servers)?;
        }
        writeln!(f)?;
        if self.unique > 0 {
            writeln!(f, "  names       {} different ones", self.unique)?;
            writeln!(
                f,
                "              {} said twice, {} below another name of the list",
                survey.duplicates, self.covered
            )?;
        }
        writeln!(f, "  skipped     {}", survey.skips())?;
        if let Some(declared) = survey.declared {
            writeln!(f, "  its header  says that it has {declared} entries")?;
        }
        for note in &survey.notes {
            writeln!(f, "  note: {note}")?;
        }
        for skipped in &survey.skipped {
            writeln!(f, "  skipped {} ({}): {}", skipped.count, skipped.reason.word(), skipped.reason)?;
            for line in &skipped.first {
                writeln!(f, "    {}: {}", Place { part: line.part.as_deref(), line: line.line }, line.text)?;
            }
        }
        for findings in &survey.findings {
            writeln!(f, "  {} {}", findings.count, findings.kind.title())?;
            for finding in &findings.first {
                let place = finding.place();
                match &finding.covers {
                    Some(covered) => writeln!(f, "    {place}: {} blocks {covered}", finding.listed)?,
                    None => writeln!(f, "    {place}: {}", finding.listed)?,
                }
            }
            if findings.count > findings.first.len() as u64 {
                writeln!(f, "    and {} more", findings.count - findings.first.len() as u64)?;
            }
        }
        if !self.held.is_empty() {
            writeln!(f, "  as a subscription it would be held for a look:")?;
        }
        for trip in &self.held {
            writeln!(f, "    {trip}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
