//! One look at a list before it comes into force: how much is in it, what is odd, which names it would block that
//! people rely on.
//!
//! [`survey`] reads a list once and keeps eight bytes for each entry. [`guard`](super::guard) judges what it found,
//! [`diff`](mod@super::diff) compares two versions by it, [`inspect`](mod@super::inspect) shows it.

mod declared;
mod prints;
mod references;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use prints::Fingerprints;
pub use references::References;

pub(super) use self::prints::fingerprint;
use self::references::Watch;
use super::{
    format::{Format, MatchMode, NotAList, Rule, Skip, SkipReason, Subject},
    source::{Note, Place, Problem, Source, SourceError},
};
use crate::name::Key;

/// How many skipped lines are shown for each reason.
const SHOWN_LINES: usize = 5;
/// How many findings of one kind are listed; all are counted.
const SHOWN_FINDINGS: usize = 50;

/// A list, and how it is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Where its text is.
    pub source: &'a Source,
    /// How its lines are written; found out, if none is named.
    pub format: Option<Format>,
    /// What a bare name in it means.
    pub mode: MatchMode,
}

impl Reading<'_> {
    /// Hands out its rules and skips; see [`Source::read`].
    pub(super) fn read(
        &self,
        sink: &mut dyn FnMut(Place<'_>, Result<Rule, Skip<'_>>),
    ) -> Result<super::source::Contents, SourceError> {
        self.source.read(self.format, self.mode, sink)
    }
}

/// What a look at a list found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// What messages call the source.
    pub source: String,
    /// The format, given or detected; none when the text is no list.
    pub format: Option<Format>,
    /// What the text is instead of a list. Everything else is then empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_a_list: Option<NotAList>,
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
    /// How many of them are about name servers, by name or address.
    pub name_servers: u64,
    /// How many rules say what another one says: same name or addresses, same reach.
    pub duplicates: u64,
    /// How many entries its own header says that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<u64>,
    /// How many skipped lines look like those of a web page.
    pub markup: u64,
    /// Lines that gave no rule, by reason.
    pub skipped: Vec<Skipped>,
    /// Names that look wrong, by kind.
    pub findings: Vec<Findings>,
    /// The names that a list should not block and that this one would, by kind. For
    /// [`PublicSuffix`](FindingKind::PublicSuffix), the suffixes below which such names lie.
    #[serde(skip)]
    pub hits: Hits,
    /// What the entries are, for comparing.
    #[serde(skip)]
    pub prints: Fingerprints,
}

/// Names that a list would block, by what is wrong with that.
pub type Hits = BTreeMap<FindingKind, BTreeSet<String>>;

impl Survey {
    /// How many lines were skipped.
    #[must_use]
    pub fn skips(&self) -> u64 {
        self.skipped.iter().map(|skipped| skipped.count).sum()
    }

    /// How many of them are broken, rather than meant for another program.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.skipped.iter().filter(|skipped| skipped.reason.is_damage()).map(|skipped| skipped.count).sum()
    }

    /// What was found of one kind.
    #[must_use]
    pub fn found(&self, kind: FindingKind) -> Option<&Findings> {
        self.findings.iter().find(|findings| findings.kind == kind)
    }

    pub(super) fn nothing(source: String, not_a_list: NotAList) -> Self {
        Self {
            source,
            format: None,
            not_a_list: Some(not_a_list),
            parts: Vec::new(),
            notes: Vec::new(),
            entries: 0,
            allow: 0,
            addresses: 0,
            name_servers: 0,
            duplicates: 0,
            declared: None,
            markup: 0,
            skipped: Vec::new(),
            findings: Vec::new(),
            hits: Hits::new(),
            prints: Fingerprints::default(),
        }
    }
}

/// Lines that were skipped for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Why.
    pub reason: SkipReason,
    /// How many.
    pub count: u64,
    /// The first five.
    pub first: Vec<Line>,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The file within an archive or a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The line, from 1.
    pub line: u64,
    /// The start of it.
    pub text: String,
}

/// Names that look wrong in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// In which way.
    pub kind: FindingKind,
    /// How many.
    pub count: u64,
    /// The first fifty, in the order of the list.
    pub first: Vec<Finding>,
}

/// A name that looks wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The name that the list holds.
    pub listed: String,
    /// The name that it covers, if that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<String>,
    /// The file within an archive or a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The line, from 1.
    pub line: u64,
}

impl Finding {
    /// The name that people would miss: what is covered, else what is listed.
    #[must_use]
    pub fn name(&self) -> &str {
        self.covers.as_deref().unwrap_or(&self.listed)
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        Place { part: self.part.as_deref(), line: self.line }
    }
}

/// In which way a name looks wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// It would block a name that is often asked here.
    Busy,
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
            Self::Busy => "names often asked here that it would block",
        }
    }
}

/// Looks a list over.
///
/// A text that is no list (a web page, JSON, no text at all, no entry) is no error here but what was found:
/// [`Survey::not_a_list`].
///
/// # Errors
///
/// When it can't be read, expands over the limits, or has no such part.
pub fn survey(list: &Reading<'_>, references: &References) -> Result<Survey, SourceError> {
    let mut surveyor = Surveyor::new(references);
    match list.read(&mut |place, outcome| surveyor.take(place, &outcome)) {
        Ok(contents) => Ok(surveyor.finish(list.source, contents)),
        Err(SourceError { name, problem: Problem::NotAList(not) }) => Ok(Survey::nothing(name, not)),
        Err(error) => Err(error),
    }
}

/// A look at a list that is under way.
pub(super) struct Surveyor<'a> {
    entries: u64,
    allow: u64,
    addresses: u64,
    name_servers: u64,
    markup: u64,
    parts: Vec<String>,
    hashes: Vec<u64>,
    skipped: BTreeMap<SkipReason, Skipped>,
    suffixes: Findings,
    private: Findings,
    bad_suffixes: BTreeSet<String>,
    watch: Watch<'a>,
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

impl<'a> Surveyor<'a> {
    pub(super) fn new(references: &'a References) -> Self {
        Self {
            entries: 0,
            allow: 0,
            addresses: 0,
            name_servers: 0,
            markup: 0,
            parts: Vec::new(),
            hashes: Vec::new(),
            skipped: BTreeMap::new(),
            suffixes: Findings::of(FindingKind::PublicSuffix),
            private: Findings::of(FindingKind::PrivateSuffix),
            bad_suffixes: BTreeSet::new(),
            watch: references.watch(),
        }
    }

    /// Takes what one line gave.
    pub(super) fn take(&mut self, place: Place<'_>, outcome: &Result<Rule, Skip<'_>>) {
        match outcome {
            Ok(rule) => self.rule(place, rule),
            Err(skip) => self.skip(place, skip),
        }
    }

    fn rule(&mut self, place: Place<'_>, rule: &Rule) {
        self.entries += 1;
        self.allow += u64::from(rule.allow);
        self.hashes.push(fingerprint(rule));
        match &rule.subject {
            Subject::Address(_) => self.addresses += 1,
            // What it is called says nothing of the names that people ask for.
            Subject::NameServer { .. } | Subject::NameServerAddress(_) => self.name_servers += 1,
            Subject::Name { key, mode } => {
                let exact = *mode == MatchMode::Exact;
                if !exact && !rule.allow && key.suffix_section() == Some(psl::Type::Private) {
                    self.private.add(|| Finding {
                        listed: key.to_string(),
                        covers: None,
                        part: place.part.map(str::to_owned),
                        line: place.line,
                    });
                }
                let part = self.part(place.part);
                self.watch.rule(key, exact, rule.allow, part, place.line);
            }
        }
    }

    fn skip(&mut self, place: Place<'_>, skip: &Skip<'_>) {
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
        self.markup += u64::from(is_markup(skip.text));
        if skip.reason == SkipReason::PublicSuffix {
            let suffix = suffix_in(skip.text);
            let covered = suffix.as_ref().and_then(|key| self.watch.any_below(key));
            if let (Some(suffix), Some(_)) = (&suffix, covered) {
                self.bad_suffixes.insert(suffix.to_string());
            }
            self.suffixes.add(|| Finding {
                listed: skip.excerpt(),
                covers: covered.map(ToString::to_string),
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

    /// What was found, all lines taken.
    pub(super) fn finish(self, source: &Source, contents: super::source::Contents) -> Survey {
        let mut hits = self.watch.hits();
        if !self.bad_suffixes.is_empty() {
            hits.insert(FindingKind::PublicSuffix, self.bad_suffixes);
        }
        let mut findings = vec![self.suffixes, self.private];
        for (kind, blocked) in self.watch.blocked() {
            let mut found = Findings::of(kind);
            for (place, name) in blocked {
                let listed = place.listed.to_string();
                found.add(|| Finding {
                    covers: Some(name.to_string()).filter(|name| *name != listed),
                    listed,
                    part: place.part.checked_sub(1).map(|part| self.parts[part as usize].clone()),
                    line: place.line,
                });
            }
            findings.push(found);
        }
        findings.retain(|findings| findings.count > 0);
        let (prints, duplicates) = Fingerprints::sorted(self.hashes);
        // The header of one member says nothing about an archive.
        let declared = if contents.parts.is_empty() { declared::by(source) } else { None };
        Survey {
            source: source.name(),
            format: Some(contents.format),
            not_a_list: None,
            parts: contents.parts,
            notes: contents.notes,
            entries: self.entries,
            allow: self.allow,
            addresses: self.addresses,
            name_servers: self.name_servers,
            duplicates,
            declared,
            markup: self.markup,
            skipped: self.skipped.into_values().collect(),
            findings,
            hits,
            prints,
        }
    }
}

/// Whether a line starts a web page: an error that a server sent in the middle of a list.
fn is_markup(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    [&b"<!doctype"[..], b"<html", b"<head", b"<body"]
        .iter()
        .any(|tag| line.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag)))
}

/// The public suffix that a skipped line is about, whichever the format.
fn suffix_in(line: &[u8]) -> Option<Key> {
    let text = std::str::from_utf8(line).ok()?;
    text.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'))
        .map(|word| word.trim_matches('.'))
        .filter_map(|word| Key::parse(word).ok())
        .find(|key| key.suffix_section() == Some(psl::Type::Icann))
}

#[cfg(test)]
mod tests;
