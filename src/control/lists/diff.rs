//! What changed between two versions of a list.

use std::{collections::BTreeSet, sync::Arc};

use super::{DiffReport, library::Library, report::ChangedName};
use crate::{
    background,
    control::{Control, ControlError},
    lists::{
        format::{MatchMode, Rule, Subject},
        source::{Source, SourceError},
    },
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
        for number in from.into_iter().chain([to]) {
            state.version(number).ok_or_else(|| no_version(Some(number)))?;
        }
        let library = Arc::clone(&self.library);
        let done = background::run("lists", move || compare(&library, &list, from, to, most));
        let report = done.await?;
        report.map_err(|error| ControlError::Lists { message: error.to_string(), bad_input: true })
    }
}

fn compare(
    library: &Library,
    list: &ListFile,
    from: Option<u32>,
    to: u32,
    most: usize,
) -> Result<DiffReport, SourceError> {
    let names = |number: u32| -> Result<BTreeSet<String>, SourceError> {
        let source: Source = library.shelf.source(&list.id, number).unwrap();
        let mut names = BTreeSet::new();
        source.read(list.format, list.matching, &mut |_, line| {
            if let Ok(Rule { subject, allow }) = line.map(|rule| list.applies_to.read(rule))
                && let Subject::Name { key, mode } | Subject::NameServer { key, mode } = &subject
            {
                let open = if allow { "@@" } else { "" };
                let exact = if *mode == MatchMode::Exact { "=" } else { "" };
                let server = if subject.is_of_name_servers() { " (name server)" } else { "" };
                names.insert(format!("{open}{exact}{key}{server}"));
            }
        })?;
        Ok(names)
    };
    let old = from.map(names).transpose()?.unwrap_or_default();
    let new = names(to)?;
    let some = |names: Vec<&String>| {
        names.into_iter().take(most).map(|name| ChangedName { name: name.clone(), asked: None }).collect()
    };
    let (added, removed): (Vec<_>, Vec<_>) = (new.difference(&old).collect(), old.difference(&new).collect());
    Ok(DiffReport {
        id: list.id.clone(),
        from,
        to,
        added: added.len() as u64,
        removed: removed.len() as u64,
        names_added: some(added),
        names_removed: some(removed),
    })
}
