//! What is to be known of a text before anything of it is in force.

use tracing::warn;

use super::habits::Habits;
use crate::{
    category,
    feeds::shelf::{Draft, Version},
    lists::{
        Format,
        catalogue::Catalogue,
        diff::{self, Changes, Diff},
        format::{NotAList, detect},
        guard::{Limits, Previous, Trip, judge},
        source::{Problem, Source, SourceError},
        survey::{Fingerprints, Reading, References, survey},
    },
    name::Key,
    policy::{Action, AppliesTo, ListFile, ListSource, Tables},
};

/// What a text is like.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) entries: u64,
    /// What it has that the version in force has not; names only as far as they were asked for.
    pub(super) added: Changes,
    pub(super) removed: Changes,
    pub(super) format: Option<Format>,
    /// By what the next version is to be judged.
    pub(super) previous: Option<Previous>,
    /// Why it must not be in force by itself.
    pub(super) trips: Vec<String>,
}

/// Looks at a text that came: what it holds, what changed, and whether it may be in force by itself.
///
/// It is judged by what is known of the version `in_force`, and compared with its text, where that is there. At most
/// `most` names of each kind are told that changed; none of a list that must not be shown.
pub(super) fn look(
    most: usize,
    list: &ListFile,
    draft: &Draft,
    text: &Source,
    in_force: Option<&Version>,
    previous: Option<&Source>,
    habits: &Habits,
) -> Result<Look, SourceError> {
    let sealed = category::is_sealed(&list.category);
    let written = matches!(list.source(), Some(ListSource::Text(_)));
    let format = list.format.or(draft.kept.format).or_else(|| empty_for_now(written, text));
    let reading = Reading { source: text, format, mode: list.matching };
    let survey = survey(&reading, &references(list, draft.kept.allow, habits))?;
    if let Some(not) = survey.not_a_list {
        return Err(SourceError { name: survey.source, problem: Problem::NotAList(not) });
    }
    let compared = previous.zip(in_force).and_then(|(source, version)| {
        let old = reading_of(list, version, source);
        let most = if sealed { 0 } else { most };
        let prints = Fingerprints::of(&old)
            // One that can't be read any more is nothing to compare with, and no fault of what came.
            .inspect_err(|error| warn!(%error, list = %list.id, "A version that was kept can't be read"))
            .ok()?;
        let lately = if most > 0 { habits.lately() } else { None };
        let asked = |key: &Key| lately.as_ref().map(|lately| lately.count(key));
        Some(compare(&old, &prints, &reading, &survey.prints, most, &asked))
    });
    let (added, removed) = match compared.transpose()? {
        Some(changes) => (changes.added, changes.removed),
        None => (Changes { count: survey.prints.len() as u64, first: Vec::new() }, Changes::default()),
    };
    let known = in_force.and_then(|version| version.previous.as_ref());
    let trips = if written { Vec::new() } else { judge(&survey, known, &limits(list)) };
    Ok(Look {
        entries: survey.entries,
        added,
        removed,
        format: survey.format,
        // Names of a list that must not be shown are not kept beside it either.
        previous: Previous::of(&survey)
            .map(|previous| if sealed { previous.without_names() } else { previous }),
        trips: trips.iter().map(|trip| words(trip, sealed)).collect(),
    })
}

/// What a version is read as.
pub(super) fn reading_of<'a>(list: &ListFile, version: &Version, source: &'a Source) -> Reading<'a> {
    Reading { source, format: list.format.or(version.format), mode: list.matching }
}

/// What changed between two texts; at most `most` names of each kind are told, those that were asked most often first.
pub(super) fn compare(
    old: &Reading<'_>,
    known: &Fingerprints,
    new: &Reading<'_>,
    prints: &Fingerprints,
    most: usize,
    asked: &dyn Fn(&Key) -> Option<u64>,
) -> Result<Diff, SourceError> {
    let (old, new) = (diff::Version { list: *old, prints: known }, diff::Version { list: *new, prints });
    diff::diff(&old, &new, most, asked)
}

/// The names that the list should not block.
fn references(list: &ListFile, allow: bool, habits: &Habits) -> References {
    // Names of name servers are not asked for.
    if list.action == Action::Allow || allow || list.applies_to == AppliesTo::NameServers {
        return References::none();
    }
    let essential = Tables::shipped().essential.iter().map(|(_, pattern)| pattern.key.clone());
    if category::is_sealed(&list.category) {
        // An authority's list may well have a popular host in it, and being held means being late.
        return References::none().essential(essential);
    }
    References::of_category(&list.category, essential, habits.busy(&list.category))
}

fn limits(list: &ListFile) -> Limits {
    let typical =
        list.url.as_deref().and_then(|url| Catalogue::shipped().at(url)).map(|known| known.typical_entries);
    Limits { minimum: list.minimum.unwrap_or(1), typical, ..Limits::default() }
}

fn words(trip: &Trip, sealed: bool) -> String {
    match trip {
        Trip::Names { kind, count, .. } if sealed => {
            Trip::Names { kind: *kind, count: *count, first: Vec::new() }.to_string()
        }
        trip => trip.to_string(),
    }
}

/// The format of a list that the school writes and that has comments only, from which nobody could tell one.
fn empty_for_now(written: bool, text: &Source) -> Option<Format> {
    if !written {
        return None;
    }
    let text = text.text().ok()?;
    matches!(detect(text.head()), Err(NotAList::Empty)).then_some(Format::Domains)
}
