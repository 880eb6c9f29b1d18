//! Which version of a list is in force: the one that was held, or an older one again.

use super::{ListsReport, indexes::title, library::LibraryError, undo::Undo};
use crate::{
    control::{Control, ControlError, EditAsked},
    feeds::shelf::{State, Version},
    policy::{Action, ListFile},
    store::AuditRecord,
};

impl Control {
    /// Puts the held versions of lists in force.
    ///
    /// # Errors
    ///
    /// When there is no such list, nothing of it is held, it opens names and no reason is given
    /// ([`ControlError::ReasonWanted`]), or it can't be put in force. Then nothing has changed.
    pub async fn accept_lists(&self, ids: &[String], asked: &EditAsked) -> Result<ListsReport, ControlError> {
        let _changing = self.changing.lock().await;
        let mut accepted = Vec::new();
        let mut loosens = Vec::new();
        for id in ids {
            let list = self.one(id)?;
            let state = self.library.books(id)?;
            let Some(held) = state.held.clone() else {
                return Err(ControlError::Input(format!("nothing of list {id} is held")));
            };
            loosens.extend(state.version(held.version).and_then(|version| opened_by(&list, version)));
            accepted.push((id, state, held));
        }
        wanting_reason(asked, loosens)?;
        let mut details = Vec::new();
        let undo = Undo::of(&self.library, ids)?;
        for (id, mut state, held) in accepted {
            let shelf = &self.library.shelf;
            let done = shelf.accept(id, &mut state).and_then(|_| shelf.save(id, &state));
            done.map_err(|source| LibraryError::Shelf { id: id.clone(), source })?;
            let reasons = held.reasons.join(", and ");
            details.push(format!("{id}: version {}, which was held since {reasons}", held.version));
        }
        self.put_lists(&asked.by).await?;
        undo.forget();
        for detail in details {
            self.record_asked("lists.accept", &detail, asked);
        }
        Ok(self.lists())
    }

    /// Puts an older version of a list in force: the good one before, or one by its number.
    ///
    /// What was in force does not come back by itself, even if the server has it still.
    ///
    /// # Errors
    ///
    /// When there is no such list or version, no reason is given ([`ControlError::ReasonWanted`]), or it can't be put in
    /// force. Then nothing has changed.
    pub async fn roll_back(
        &self,
        id: &str,
        to: Option<u32>,
        asked: &EditAsked,
    ) -> Result<ListsReport, ControlError> {
        let list = self.one(id)?;
        let _changing = self.changing.lock().await;
        let mut state = self.library.books(id)?;
        let (before, undo) = (state.in_force, Undo::of(&self.library, [&list.id])?);
        let target = target(id, &state, to)?;
        if before.is_some() {
            // Which names come and go is not counted for versions that did not follow each other.
            wanting_reason(asked, [format!("{} would be as in version {target}.", title(&list))])?;
        }
        for version in &mut state.versions {
            if Some(version.number) == before {
                version.rejected = version.number > target;
            } else if version.number == target {
                version.rejected = false;
            }
        }
        state.in_force = Some(target);
        self.library
            .shelf
            .save(id, &state)
            .map_err(|source| LibraryError::Shelf { id: list.id.clone(), source })?;
        self.put_lists(&asked.by).await?;
        undo.forget();
        let was = before.map_or_else(|| String::from("none"), |number| number.to_string());
        self.record_asked("lists.rollback", &format!("{id}: version {target}, was {was}"), asked);
        Ok(self.lists())
    }

    /// Writes down what was done with a list, and why.
    fn record_asked(&self, action: &str, detail: &str, asked: &EditAsked) {
        let policy = self.policy.load();
        let masked = |text: &str| policy.masked(text).into_owned();
        let reason = asked.reason.trim();
        self.keep_record(AuditRecord {
            reason: Some(masked(reason)).filter(|reason| !reason.is_empty()),
            from: asked.from.clone(),
            ..AuditRecord::new(self.clock.now(), &asked.by, action, masked(detail))
        });
    }
}

/// That somebody says why, where something is opened.
fn wanting_reason(asked: &EditAsked, loosens: impl IntoIterator<Item = String>) -> Result<(), ControlError> {
    let loosens: Vec<String> = loosens.into_iter().collect();
    if asked.reason()?.is_empty() && !loosens.is_empty() {
        return Err(ControlError::ReasonWanted { loosens });
    }
    Ok(())
}

/// What a version opens that the one before it does not, as a sentence: names that go from a list that blocks, or come
/// to one that opens.
fn opened_by(list: &ListFile, version: &Version) -> Option<String> {
    let title = title(list);
    let count = |count: u64| if count == 1 { String::from("1 name") } else { format!("{count} names") };
    match (list.action, version.removed, version.added) {
        (Action::Block, 0, _) | (Action::Allow, _, 0) => None,
        (Action::Block, removed, _) => Some(format!("{title} would have {} fewer.", count(removed))),
        (Action::Allow, _, added) => Some(format!("{title} would open {} more.", count(added))),
    }
}

/// The version to go back to.
fn target(id: &str, state: &State, to: Option<u32>) -> Result<u32, ControlError> {
    let known: Vec<String> = state.versions.iter().map(|version| version.number.to_string()).collect();
    let found = match to {
        Some(number) => state.version(number).map(|version| version.number),
        None => state.before_current().map(|version| version.number),
    };
    let Some(target) = found else {
        let asked = to.map_or_else(|| String::from("older version"), |number| format!("version {number}"));
        let known = if known.is_empty() { String::from("none") } else { known.join(", ") };
        return Err(ControlError::Input(format!("list {id} has no {asked}; there are: {known}")));
    };
    if Some(target) == state.in_force {
        return Err(ControlError::Input(format!("version {target} of list {id} is in force already")));
    }
    if state.held.as_ref().is_some_and(|held| held.version == target) {
        return Err(ControlError::Input(format!(
            "version {target} of list {id} is held; to put it in force: schoolgate lists accept {id}"
        )));
    }
    Ok(target)
}
