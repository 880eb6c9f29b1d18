//! What is in a list: how many entries, what was skipped and why, names that look wrong.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    format::{Format, MatchMode, Rule, Skip, SkipReason, Subject},
    source::{Note, Place, Source, SourceError},
};
use crate::name::{self, Key};

/// How many skipped lines are shown for each reason.
const SHOWN_LINES: usize = 5;
/// How many findings of one kind are listed; all are counted.
const SHOWN_FINDINGS: usize = 50;

/// What is in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What messages call the source.
    pub source: String,
    /// The format, given or detected.
    pub format: Format,
    /// The files of names within an archive or a folder.
    pub parts: Vec<String>,
    /// What the reader should know about how it was read.
    pub notes: Vec<Note>,
    /// How many rules it holds.
    pub entries: u64,
    /// How many of them open rather than block.
    pub allow: u64,
    /// How many of them are about addresses.
    pub addresses: u64,
    /// How many of them are about name servers (RPZ).
    pub name_servers: u64,
    /// How many different names its rules are about.
    pub unique: u64,
    /// How many rules about names say what another one says: same name, same reach.
    pub duplicates: u64,
    /// How many of the different names lie below another one that covers them.
    pub covered: u64,
    /// Lines that gave no rule, by reason.
    pub skipped: Vec<Skipped>,
    /// Names that look wrong, by kind.
    pub findings: Vec<Findings>,
}

/// Lines that were skipped for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Why.
    pub reason: SkipReason,
    /// How many.
    pub count: u64,
    /// The first five.
    pub first: Vec<Line>,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The file within an archive or a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The line, from 1.
    pub line: u64,
    /// The start of it.
    pub text: String,
}

/// Names that look wrong in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// In which way.
    pub kind: FindingKind,
    /// How many.
    pub count: u64,
    /// The first fifty.
    pub first: Vec<Finding>,
}

/// A name that looks wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name that the list holds.
    pub listed: String,
    /// The essential or popular name that it covers, if that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covers: Option<String>,
    /// The file within an archive or a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The line, from 1.
    pub line: u64,
}

/// In which way a name looks wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A public suffix of the ICANN section, which was skipped.
    PublicSuffix,
    /// A suffix below which a company's customers have names (`blogspot.com`), which was kept.
    PrivateSuffix,
    /// It would block a name that must always work.
    Essential,
    /// It would block a name that many people use.
    Popular,
}

impl FindingKind {
    /// What people read.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::PublicSuffix => "public suffixes (skipped)",
            Self::PrivateSuffix => "suffixes of hosting services (kept, with everybody's names below them)",
            Self::Essential => "essential names that it would block",
            Self::Popular => "popular names that it would block",
        }
    }
}

/// Reads a source and reports what is in it.
///
/// `essential` are names that must never be blocked, `popular` names that many people use; each is found when the list
/// blocks it or a parent of it.
///
/// # Errors
///
/// As [`Source::read`].
pub fn inspect(
    source: &Source,
    format: Option<Format>,
    mode: MatchMode,
    essential: &[Key],
    popular: &[Key],
) -> Result<Report, SourceError> {
    let mut survey = Survey::default();
    let contents = source.read(format, mode, &mut |place, outcome| match outcome {
        Ok(rule) => survey.rule(place, rule),
        Err(skip) => survey.skip(place, skip),
    })?;
    let (unique, duplicates, covered) = survey.names.settle();
    let suffixes = std::mem::take(&mut survey.suffixes);
    let findings = [
        suffixes,
        survey.private_suffixes(),
        survey.covering(FindingKind::Essential, essential),
        survey.covering(FindingKind::Popular, popular),
    ];
    Ok(Report {
        source: source.name(),
        format: contents.format,
        parts: contents.parts,
        notes: contents.notes,
        entries: survey.entries,
        allow: survey.allow,
        addresses: survey.addresses,
        name_servers: survey.name_servers,
        unique,
        duplicates,
        covered,
        skipped: survey.skipped.into_values().collect(),
        findings: findings.into_iter().filter(|findings| findings.count > 0).collect(),
    })
}

#[derive(Default)]
struct Survey {
    entries: u64,
    allow: u64,
    addresses: u64,
    name_servers: u64,
    parts: Vec<String>,
    names: Names,
    skipped: BTreeMap<SkipReason, Skipped>,
    suffixes: Findings,
}

impl Default for Findings {
    fn default() -> Self {
        Self::of(FindingKind::PublicSuffix)
    }
}

impl Findings {
    fn of(kind: FindingKind) -> Self {
        Self { kind, count: 0, first: Vec::new() }
    }

    fn add(&mut self, finding: impl FnOnce() -> Finding) {
        self.count += 1;
        if self.first.len() < SHOWN_FINDINGS {
            self.first.push(finding());
        }
    }
}

impl Survey {
    fn rule(&mut self, place: Place<'_>, rule: Rule) {
        self.entries += 1;
        self.allow += u64::from(rule.allow);
        match rule.subject {
            Subject::NameServer { .. } | Subject::NameServerAddress(_) => self.name_servers += 1,
            Subject::Address(_) => self.addresses += 1,
            Subject::Name { key, mode } => {
                let part = self.part(place.part);
                self.names.add(&key, mode == MatchMode::Exact, rule.allow, part, place.line);
            }
        }
    }

    fn skip(&mut self, place: Place<'_>, skip: Skip<'_>) {
        let skipped = self.skipped.entry(skip.reason).or_insert_with(|| Skipped {
            reason: skip.reason,
            count: 0,
            first: Vec::new(),
        });
        skipped.count += 1;
        if skipped.first.len() < SHOWN_LINES {
            let part = place.part.map(str::to_owned);
            skipped.first.push(Line { part, line: place.line, text: skip.excerpt() });
        }
        if skip.reason == SkipReason::PublicSuffix {
            self.suffixes.add(|| Finding {
                listed: skip.excerpt(),
                covers: None,
                part: place.part.map(str::to_owned),
                line: place.line,
            });
        }
    }

    /// The number of a part, 0 for none.
    fn part(&mut self, part: Option<&str>) -> u32 {
        let Some(part) = part else { return 0 };
        if self.parts.last().is_none_or(|last| last != part) {
            self.parts.push(part.to_owned());
        }
        self.parts.len() as u32
    }

    fn finding(&self, place: usize, covers: Option<String>) -> Finding {
        let entry = &self.names.entries[place];
        let listed = name::dotted(&self.names.key(entry));
        Finding {
            covers: covers.filter(|name| *name != listed),
            listed,
            part: entry.part.checked_sub(1).map(|part| self.parts[part as usize].clone()),
            line: entry.line,
        }
    }

    fn private_suffixes(&self) -> Findings {
        let mut findings = Findings::of(FindingKind::PrivateSuffix);
        for (place, entry) in self.names.entries.iter().enumerate() {
            let text = name::dotted(&self.names.key(entry));
            let private = psl::suffix(text.as_bytes())
                .is_some_and(|s| s.typ() == Some(psl::Type::Private) && s.as_bytes().len() == text.len());
            if private && !entry.exact && !entry.allow {
                findings.add(|| self.finding(place, None));
            }
        }
        findings
    }

    fn covering(&self, kind: FindingKind, names: &[Key]) -> Findings {
        let mut findings = Findings::of(kind);
        for key in names {
            let depth = key.depth();
            let hit = (1..=depth).find_map(|at| self.names.blocking(key.prefix(at), at == depth));
            if let Some(place) = hit {
                findings.add(|| self.finding(place, Some(key.to_string())));
            }
        }
        findings
    }
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
    part: u32,
    line: u64,
}

/// Stands for the dot in [`Names`]; no name that a list can hold has it.
const DOT: u8 = 1;

impl Names {
    fn add(&mut self, key: &Key, exact: bool, allow: bool, part: u32, line: u64) {
        // A source's limits keep its text far below 4 GiB; what is beyond is counted as an entry, not as a name.
        let Ok(start) = u32::try_from(self.bytes.len()) else { return };
        self.bytes.extend(key.as_bytes().iter().map(|&b| if b == b'.' { DOT } else { b }));
        let length = key.as_bytes().len() as u8;
        self.entries.push(Entry { start, length, exact, allow, part, line });
    }

    fn raw(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        &self.bytes[start..start + usize::from(entry.length)]
    }

    fn key(&self, entry: &Entry) -> Vec<u8> {
        self.raw(entry).iter().map(|&b| if b == DOT { b'.' } else { b }).collect()
    }

    /// Sorts, leaves each rule once, and counts: different names, rules said twice, names below another.
    fn settle(&mut self) -> (u64, u64, u64) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|a, b| {
            let key = |e: &Entry| (e.allow, e.exact, e.part, e.line);
            self.raw(a).cmp(self.raw(b)).then_with(|| key(a).cmp(&key(b)))
        });
        let before = entries.len();
        entries.dedup_by(|b, a| self.raw(a) == self.raw(b) && a.allow == b.allow && a.exact == b.exact);
        let duplicates = (before - entries.len()) as u64;
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
        self.entries = entries;
        (unique, duplicates, covered)
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

    /// The entry that blocks the name with this key, or for a parent (`own` is false) what is below it.
    fn blocking(&self, key: &[u8], own: bool) -> Option<usize> {
        let key: Vec<u8> = key.iter().map(|&b| if b == b'.' { DOT } else { b }).collect();
        let first = self.entries.partition_point(|entry| self.raw(entry) < key.as_slice());
        self.entries[first..]
            .iter()
            .take_while(|entry| self.raw(entry) == key.as_slice())
            .position(|entry| !entry.allow && (own || !entry.exact))
            .map(|at| first + at)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.source)?;
        writeln!(f, "  format      {} ({})", self.format, self.format.title())?;
        if !self.parts.is_empty() {
            writeln!(f, "  files       {}", self.parts.len())?;
        }
        write!(f, "  entries     {}", self.entries)?;
        if self.allow > 0 {
            write!(f, ", of which {} allow", self.allow)?;
        }
        if self.addresses > 0 {
            write!(f, ", of which {} are addresses", self.addresses)?;
        }
        if self.name_servers > 0 {
            write!(f, ", of which {} are about name servers", self.name_servers)?;
        }
        writeln!(f)?;
        if self.unique > 0 {
            writeln!(f, "  names       {} different ones", self.unique)?;
            writeln!(
                f,
                "              {} said twice, {} below another name of the list",
                self.duplicates, self.covered
            )?;
        }
        let skipped: u64 = self.skipped.iter().map(|skipped| skipped.count).sum();
        writeln!(f, "  skipped     {skipped}")?;
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        for skipped in &self.skipped {
            writeln!(f, "  skipped {} ({}): {}", skipped.count, skipped.reason.word(), skipped.reason)?;
            for line in &skipped.first {
                writeln!(f, "    {}: {}", Place { part: line.part.as_deref(), line: line.line }, line.text)?;
            }
        }
        for findings in &self.findings {
            writeln!(f, "  {} {}", findings.count, findings.kind.title())?;
            for finding in &findings.first {
                let place = Place { part: finding.part.as_deref(), line: finding.line };
                match &finding.covers {
                    Some(covered) => writeln!(f, "    {place}: {} blocks {covered}", finding.listed)?,
                    None => writeln!(f, "    {place}: {}", finding.listed)?,
                }
            }
            if findings.count > findings.first.len() as u64 {
                writeln!(f, "    and {} more", findings.count - findings.first.len() as u64)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
