//! What is to be known of a text before anything of it is in force.

use crate::{
    feeds::shelf::{Draft, Version},
    lists::{
        Format,
        format::{NotAList, detect},
        source::{Source, SourceError},
    },
    policy::{ListFile, ListSource},
};

/// What a text is like.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) entries: u64,
    pub(super) added: u64,
    pub(super) removed: u64,
    pub(super) format: Option<Format>,
    /// Why it must not be in force by itself.
    pub(super) trips: Vec<String>,
}

pub(super) fn look(
    list: &ListFile,
    draft: &Draft,
    text: &Source,
    previous: Option<(Source, &Version)>,
) -> Result<Look, SourceError> {
    let _ = previous;
    let mut entries = 0;
    let format = list.format.or(draft.kept.format).or_else(|| empty_for_now(list, text));
    let contents = text.read(format, list.matching, &mut |_, line| entries += u64::from(line.is_ok()))?;
    Ok(Look { entries, added: 0, removed: 0, format: Some(contents.format), trips: Vec::new() })
}

/// The format of a list that the school writes and that has comments only, from which nobody could tell one.
fn empty_for_now(list: &ListFile, text: &Source) -> Option<Format> {
    let Some(ListSource::Text(_)) = list.source() else { return None };
    let text = text.text().ok()?;
    matches!(detect(text.head()), Err(NotAList::Empty)).then_some(Format::Domains)
}
