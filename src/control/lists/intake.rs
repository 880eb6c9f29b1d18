//! From a text that came to a version in force or held, or to the reason why not.

use std::sync::atomic::AtomicBool;

use jiff::Timestamp;

use super::{
    habits::Habits,
    library::{Library, LibraryError},
    look::{self, Look},
    report::{ChangedName, Outcome, Updated},
};
use crate::{
    category,
    feeds::{
        Feeds, ObtainError, Obtained,
        shelf::{Draft, ShelfError, State, Version},
    },
    lists::{diff::Changes, source::Source},
    policy::{ListFile, ListSource},
};

/// How many names of each kind a dry run tells.
const SHOWN: usize = 10;

/// What fetching a list gave, to be taken in when nothing else changes.
pub(super) struct Fetched {
    pub(super) list: ListFile,
    got: Result<Obtained, ObtainError>,
}

/// How a text is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// For good.
    Keep,
    /// For good, whatever is suspicious about it: a person said so.
    Accept,
    /// Only to say what would happen.
    Dry,
}

/// What the policy says of where a list comes from; what a server said holds for the same source only.
pub(super) fn fingerprint(list: &ListFile) -> String {
    match list.source() {
        Some(ListSource::Url(url)) => format!("url {url}"),
        Some(ListSource::File(file)) => format!("file {file}"),
        Some(ListSource::Zone(zone)) => format!("zone {zone}"),
        Some(ListSource::Upload) => String::from("upload"),
        Some(ListSource::Text(_)) => String::from("text"),
        None => String::new(),
    }
}

impl Library {
    /// Gets the text of a list. Blocks; nothing of what is kept changes.
    pub(super) fn fetch(&self, feeds: &Feeds, list: ListFile, cancel: &AtomicBool) -> Fetched {
        let mut state = self.shelf.state(&list.id);
        // What was said of another source, or of a version that is lost or damaged, says nothing.
        let lost = match state.current() {
            Some(version) => !self.shelf.is_whole(&list.id, version.number),
            None => state.held.is_none(),
        };
        if state.source != fingerprint(&list) || lost {
            state.served = crate::feeds::shelf::Served::default();
        }
        let got = feeds.obtain(&list, &self.shelf.folder(&list.id), &state, cancel);
        Fetched { list, got }
    }

    /// A text that somebody brought.
    pub(super) fn brought(list: ListFile, source: Source) -> Fetched {
        let got = Obtained::Text { source, served: crate::feeds::shelf::Served::default(), scratch: None };
        Fetched { list, got: Ok(got) }
    }

    /// Looks at what was fetched, and keeps it: as the version in force, as a held one, or not at all.
    ///
    /// What is in force changes only in the books here; the caller compiles.
    pub(super) fn take_in(
        &self,
        fetched: &Fetched,
        now: Timestamp,
        manner: Manner,
        habits: &Habits,
    ) -> Result<Updated, LibraryError> {
        let Fetched { list, got } = fetched;
        if list.source() == Some(ListSource::Upload) && matches!(got, Ok(Obtained::Current(_))) {
            // Nobody was asked whether there is anything newer.
            return Ok(Updated::new(&list.id, Outcome::Unchanged));
        }
        if category::is_sealed(&list.category) && manner != Manner::Dry {
            // First, since what was held while its category was another is told in what follows.
            let sealed = self.shelf.seal_what_lies_in_clear(&list.id);
            sealed.map_err(|source| self.shelf_error(list, source))?;
        }
        let mut state = self.shelf.known(&list.id).map_err(|source| self.shelf_error(list, source))?;
        state.source = fingerprint(list);
        state.last_attempt = Some(now);
        let done = match got {
            Ok(Obtained::Current(served)) => {
                state.served = served.clone();
                Ok(Updated::new(&list.id, Outcome::Unchanged))
            }
            Ok(Obtained::Text { source, served, .. }) => self
                .take_text(list, &mut state, source, now, manner, habits)
                .inspect(|_| state.served = served.clone()),
            Err(error) => {
                state.not_before = error.not_before;
                Err(LibraryError::Obtain { id: list.id.clone(), message: error.message.clone() })
            }
        };
        let updated = match done {
            Ok(updated) => {
                state.last_success = Some(now);
                (state.failures, state.error, state.not_before) = (0, None, None);
                updated
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let message = error.to_string();
                let own = format!("list {}: ", list.id);
                let message = message.strip_prefix(&own).unwrap_or(&message).to_owned();
                state.error = Some(message.clone());
                Updated {
                    reasons: vec![message],
                    bad_input: error.is_bad_input(),
                    ..Updated::new(&list.id, Outcome::Failed)
                }
            }
        };
        if manner != Manner::Dry {
            self.shelf.save(&list.id, &state).map_err(|source| self.shelf_error(list, source))?;
        }
        Ok(updated)
    }

    fn take_text(
        &self,
        list: &ListFile,
        state: &mut State,
        source: &Source,
        now: Timestamp,
        manner: Manner,
        habits: &Habits,
    ) -> Result<Updated, LibraryError> {
        let draft = self
            .shelf
            .draft(&list.id, source, category::is_sealed(&list.category))
            .map_err(|source| self.shelf_error(list, source))?;
        if let Some(updated) = self.known(list, state, &draft, manner)? {
            return Ok(updated);
        }
        let most = if manner == Manner::Dry { SHOWN } else { 0 };
        let look = self.look(most, list, state, &draft, source, habits)?;
        let named = |changes: Changes| changes.first.into_iter().map(ChangedName::from).collect();
        let (added, removed) = (look.added.count, look.removed.count);
        let mut updated = Updated {
            entries: Some(look.entries),
            added,
            removed,
            names_added: named(look.added),
            names_removed: named(look.removed),
            ..Updated::new(&list.id, Outcome::New)
        };
        let trips = if manner == Manner::Accept { Vec::new() } else { look.trips.clone() };
        if !trips.is_empty() {
            updated.outcome = Outcome::Held;
            updated.reasons.clone_from(&trips);
        }
        if manner != Manner::Dry {
            let facts = Version {
                at: now,
                entries: look.entries,
                added,
                removed,
                format: look.format,
                previous: look.previous,
                allow: draft.kept.allow,
                ..Version::default()
            };
            let held = (!trips.is_empty()).then_some((now, trips));
            let number = self
                .shelf
                .add(&list.id, state, &draft, facts, held)
                .map_err(|source| self.shelf_error(list, source))?;
            updated.number = Some(number);
        }
        Ok(updated)
    }

    /// What is to be said of a text that came before.
    fn known(
        &self,
        list: &ListFile,
        state: &mut State,
        draft: &Draft,
        manner: Manner,
    ) -> Result<Option<Updated>, LibraryError> {
        let Some(same) = state.versions.iter().rfind(|version| version.digest == draft.digest) else {
            return Ok(None);
        };
        let number = same.number;
        let mut updated = Updated {
            number: Some(number),
            entries: Some(same.entries),
            ..Updated::new(&list.id, Outcome::Unchanged)
        };
        if state.in_force == Some(number) {
            // The same that lies there damaged comes in anew.
            if !self.shelf.is_whole(&list.id, number) {
                return Ok(None);
            }
            // The server has come back to the version in force: what was held is of no interest any more.
            if manner != Manner::Dry
                && let Some(held) = state.held.take()
            {
                state.versions.retain(|version| version.number != held.version);
            }
            return Ok(Some(updated));
        }
        let held = state.held.as_ref().filter(|held| held.version == number);
        match held {
            Some(_) if manner == Manner::Accept => {
                self.shelf.accept(&list.id, state).map_err(|source| self.shelf_error(list, source))?;
                updated.outcome = Outcome::New;
            }
            Some(held) => {
                updated.outcome = Outcome::Held;
                updated.reasons.clone_from(&held.reasons);
            }
            None if same.rejected && manner != Manner::Accept => {
                updated.reasons = vec![format!("what came is version {number}, which was rolled back")];
            }
            // An older version again: it is looked at like any other.
            None => return Ok(None),
        }
        Ok(Some(updated))
    }

    fn look(
        &self,
        most: usize,
        list: &ListFile,
        state: &State,
        draft: &Draft,
        original: &Source,
        habits: &Habits,
    ) -> Result<Look, LibraryError> {
        let shelf = |source| self.shelf_error(list, source);
        let text = self.shelf.text(&list.id, draft).map_err(shelf)?;
        let in_force = state.current();
        let previous = in_force.and_then(|version| self.shelf.source(&list.id, version.number).ok());
        let look = look::look(most, list, draft, &text, in_force, previous.as_ref(), habits).map_err(
            |mut source| {
                // Nobody knows the copy's name.
                source.name = original.name();
                self.shelf_error(list, ShelfError::Source(source))
            },
        )?;
        // An empty list would open its category without a word: a failed download, or a wrong format. A list that the
        // school writes may well be empty for a while.
        if look.entries == 0 && !matches!(list.source(), Some(ListSource::Text(_))) {
            return Err(LibraryError::Nothing { id: list.id.clone(), from: original.name() });
        }
        Ok(look)
    }

    fn shelf_error(&self, list: &ListFile, source: ShelfError) -> LibraryError {
        LibraryError::Shelf { id: list.id.clone(), source }
    }
}
