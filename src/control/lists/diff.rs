//! What changed between two versions of a list.

use std::sync::Arc;

use super::{DiffReport, LibraryError, habits::Habits, library::Library, look, report::ChangedName};
use crate::{
    background::in_background,
    category,
    control::{Control, ControlError},
    feeds::shelf::{ShelfError, Version},
    lists::{
        Format,
        diff::Changes,
        source::Source,
        survey::{Fingerprints, Reading},
    },
    name::Key,
    policy::ListFile,
};

impl Control {
    /// What changed between two versions of a list: by default what accepting the held one would change, else what the
    /// version in force changed.
    ///
    /// # Errors
    ///
    /// When there is no such list or version, or a version can't be read.
    pub async fn diff(
        &self,
        id: &str,
        from: Option<u32>,
        to: Option<u32>,
        most: usize,
    ) -> Result<DiffReport, ControlError> {
        let list = self.one(id)?;
        let state = self.library.shelf.state(id);
        let no_version = |number: Option<u32>| {
            let known: Vec<String> = state.versions.iter().map(|v| v.number.to_string()).collect();
            let known = if known.is_empty() { String::from("none") } else { known.join(", ") };
            let asked = number.map_or_else(|| String::from("version"), |number| format!("version {number}"));
            ControlError::Input(format!("list {id} has no {asked}; there are: {known}"))
        };
        let held = state.held.as_ref().map(|held| held.version);
        let to = to.or(held).or(state.in_force).ok_or_else(|| no_version(None))?;
        let from = match from {
            Some(from) => Some(from),
            None if state.in_force == Some(to) => state.before_current().map(|version| version.number),
            None => state.in_force,
        };
        let version = |number: u32| state.version(number).cloned().ok_or_else(|| no_version(Some(number)));
        let (from, to) = (from.map(version).transpose()?, version(to)?);
        let (library, habits) = (Arc::clone(&self.library), self.habits());
        let done = in_background("look at lists", move || {
            compare(&library, &list, from.as_ref(), &to, most, &habits)
        });
        Ok(done.await??.masked(&self.policy.load()))
    }
}

fn compare(
    library: &Library,
    list: &ListFile,
    from: Option<&Version>,
    to: &Version,
    most: usize,
    habits: &Habits,
) -> Result<DiffReport, LibraryError> {
    let shelf = |source| LibraryError::Shelf { id: list.id.clone(), source };
    let text = |version: &Version| library.shelf.source(&list.id, version.number).map_err(shelf);
    // Names of a list that must not be shown are only counted.
    let most = if category::is_sealed(&list.category) { 0 } else { most };
    let nothing = Source::bytes("nothing", Vec::new());
    let (old_text, new_text) = (from.map(text).transpose()?, text(to)?);
    let new = look::reading_of(list, to, &new_text);
    let old = match (from, &old_text) {
        (Some(version), Some(text)) => look::reading_of(list, version, text),
        // Any format reads nothing from nothing.
        _ => Reading { source: &nothing, format: Some(Format::Domains), mode: list.matching },
    };
    let print = |reading: &Reading<'_>| match reading.source.name() == nothing.name() {
        true => Ok(Fingerprints::default()),
        false => Fingerprints::of(reading),
    };
    let lately = if most > 0 { habits.lately() } else { None };
    let asked = |key: &Key| lately.as_ref().map(|lately| lately.count(key));
    let compared = print(&old)
        .and_then(|known| look::compare(&old, &known, &new, &print(&new)?, most, &asked))
        .map_err(|error| shelf(ShelfError::Source(error)))?;
    let named = |changes: Changes| changes.first.into_iter().map(ChangedName::from).collect();
    Ok(DiffReport {
        id: list.id.clone(),
        from: from.map(|version| version.number),
        to: to.number,
        added: compared.added.count,
        removed: compared.removed.count,
        names_added: named(compared.added),
        names_removed: named(compared.removed),
    })
}
