//! What an administrator does with lists: fetch, look, accept, go back, ask why.
//!
//! Fetching takes as long as a slow server does and holds up nothing; taking in, compiling and putting in force is one
//! change at a time, under `Control::changing`.

mod diff;
mod edit;
mod habits;
mod indexes;
mod intake;
mod library;
mod look;
mod report;
mod rounds;
mod undo;
mod versions;
mod why;

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use tracing::{error, info, warn};

use self::intake::{Fetched, Manner};
pub(super) use self::{
    indexes::Indexes,
    library::{Compiled, Library},
    rounds::News,
    undo::Undo,
};
pub use self::{
    library::LibraryError,
    report::{
        ChangedName, DiffReport, HeldReport, ListReport, ListsReport, Outcome, SubscriptionReport,
        UpdateReport, Updated, VersionReport,
    },
    why::WhyReport,
};
use super::{Control, ControlError, SuppliersReport, publish::Prepared};
use crate::{
    background::in_background,
    feeds::{self, shelf::State},
    lists::source::Source,
    policy::{ListFile, ListSource, PolicyFile},
};

impl Control {
    /// The lists in force, and what became of each subscription.
    #[must_use]
    pub fn lists(&self) -> ListsReport {
        let state = self.state();
        let states: Vec<(State, Option<Timestamp>)> = self
            .library
            .states(&state.file.lists)
            .into_iter()
            .zip(&state.file.lists)
            .map(|(known, list)| {
                let next = self.next_try(list, &known);
                (known, next)
            })
            .collect();
        let mut report = ListsReport::new(
            &state.file.lists,
            &states,
            &self.starter,
            state.indexes.iter().map(Arc::as_ref),
        );
        let said = state.file.suppliers(&self.categories, self.clock.now());
        report.suppliers = SuppliersReport::new(said, &report.lists);
        report.masked(&self.policy.load())
    }

    /// When a list is tried next; none for one that nobody has to fetch.
    fn next_try(&self, list: &ListFile, state: &State) -> Option<Timestamp> {
        let notice = list.zone.as_deref().and_then(|zone| self.news.of(zone));
        // When another place was asked says nothing of this one, nor when a version came that was lost since.
        let lost = state.versions.is_empty() && state.failures == 0;
        let unknown = State::default();
        let state = if lost || state.source != intake::fingerprint(list) { &unknown } else { state };
        feeds::next_try(list, state, notice, self.box_id, self.clock.now())
    }

    /// Gets lists from where they come from and puts what is good in force; all of them, if none is named.
    ///
    /// One that fails or looks wrong does not keep the others from coming in; its last good version stays in force.
    ///
    /// # Errors
    ///
    /// When there is no such list, or what is good can't be put in force.
    pub async fn update_lists(
        &self,
        ids: &[String],
        by: &str,
        dry_run: bool,
    ) -> Result<UpdateReport, ControlError> {
        let lists = self.named(ids)?;
        let mut fetched = Vec::new();
        for list in lists {
            fetched.push(self.fetch(list).await?);
        }
        let manner = if dry_run { Manner::Dry } else { Manner::Keep };
        self.take_in(fetched, manner, by).await
    }

    /// Takes in a text that somebody brought for a list with `upload = true`.
    ///
    /// `accept` puts it in force whatever looks wrong about it.
    ///
    /// # Errors
    ///
    /// When there is no such list or it is not one that is brought by hand, or it can't be put in force.
    pub async fn upload(
        &self,
        id: &str,
        text: &Path,
        accept: bool,
        by: &str,
    ) -> Result<UpdateReport, ControlError> {
        let list = self.brought_by_hand(id)?;
        let manner = if accept { Manner::Accept } else { Manner::Keep };
        self.take_in(vec![Library::brought(list, Source::at(text))], manner, by).await
    }

    /// The same with the text at hand.
    ///
    /// # Errors
    ///
    /// As [`upload`](Self::upload).
    pub async fn upload_text(
        &self,
        id: &str,
        text: Vec<u8>,
        accept: bool,
        by: &str,
    ) -> Result<UpdateReport, ControlError> {
        let list = self.brought_by_hand(id)?;
        let manner = if accept { Manner::Accept } else { Manner::Keep };
        let source = Source::bytes("the text", text);
        self.take_in(vec![Library::brought(list, source)], manner, by).await
    }

    fn brought_by_hand(&self, id: &str) -> Result<ListFile, ControlError> {
        let list = self.one(id)?;
        if list.source() == Some(ListSource::Upload) {
            return Ok(list);
        }
        Err(ControlError::Input(format!(
            "list {id} is not brought by hand; write upload = true in its place to do so"
        )))
    }

    /// The lists that are named; all, if none is.
    fn named(&self, ids: &[String]) -> Result<Vec<ListFile>, ControlError> {
        let all = self.state().file.lists.clone();
        if ids.is_empty() {
            return Ok(all);
        }
        ids.iter()
            .map(|id| {
                all.iter().find(|list| list.id == *id).cloned().ok_or_else(|| {
                    let known: Vec<&str> = all.iter().map(|list| list.id.as_str()).collect();
                    let known = if known.is_empty() { String::from("none yet") } else { known.join(", ") };
                    ControlError::Input(format!("there is no list {id:?}; there are: {known}"))
                })
            })
            .collect()
    }

    pub(super) fn one(&self, id: &str) -> Result<ListFile, ControlError> {
        self.named(&[id.to_owned()]).map(|mut lists| lists.remove(0))
    }

    /// Fetches a list on a thread of its own; the same list is not fetched twice at once.
    async fn fetch(&self, list: ListFile) -> Result<Fetched, ControlError> {
        let lock = self.fetching(&list.id);
        let _fetching = lock.lock().await;
        let (library, feeds) = (Arc::clone(&self.library), Arc::clone(&self.feeds));
        let cancel = Arc::clone(&self.cancel);
        Ok(in_background("fetch a list", move || library.fetch(&feeds, list, &cancel)).await?)
    }

    /// Takes in what was fetched, compiles and puts in force.
    async fn take_in(
        &self,
        fetched: Vec<Fetched>,
        manner: Manner,
        by: &str,
    ) -> Result<UpdateReport, ControlError> {
        let _changing = self.changing.lock().await;
        let updated = self.taken_in(fetched, manner).await?;
        self.note(&updated, by, manner);
        let dry_run = manner == Manner::Dry;
        // Also when nothing came: an older change may not have been put in force yet.
        if !dry_run {
            self.put_lists_if_stale(by).await?;
        }
        Ok(UpdateReport { dry_run, lists: updated })
    }

    async fn taken_in(&self, fetched: Vec<Fetched>, manner: Manner) -> Result<Vec<Updated>, ControlError> {
        let library = Arc::clone(&self.library);
        let now = self.clock.now();
        let habits = self.habits();
        let lists = self.in_force().0.lists;
        // A key whose file was put right since: from now on its primary's notices count.
        if fetched.iter().any(|fetched| fetched.list.key.is_some()) {
            self.listen_to(&lists);
        }
        let done = in_background("look at lists", move || {
            fetched
                .iter()
                // Of one that was taken out or changed while it was fetched, what came is of no use any more.
                .filter(|fetched| lists.contains(&fetched.list))
                .map(|fetched| library.take_in(fetched, now, manner, &habits))
                .collect::<Result<Vec<_>, _>>()
        });
        let policy = self.policy.load_full();
        Ok(done.await??.into_iter().map(|updated| updated.masked(&policy)).collect())
    }

    /// Writes down what came of it, for the log and, where something is wrong, the audit.
    fn note(&self, updated: &[Updated], by: &str, manner: Manner) {
        if manner == Manner::Dry {
            return;
        }
        for list in updated {
            let reasons = list.reasons.join("; ");
            match list.outcome {
                Outcome::Unchanged => {}
                Outcome::New => info!(list = %list.id, number = list.number, "A new version of a list came"),
                Outcome::Failed => warn!(list = %list.id, %reasons, "A list could not be updated"),
                Outcome::Held => {
                    let already = list.number.is_none();
                    error!(list = %list.id, %reasons, "A list is held; its last good version stays in force");
                    if !already {
                        self.record(self.clock.now(), by, "lists.held", &format!("{}: {reasons}", list.id));
                    }
                }
            }
        }
    }

    /// Brings in the lists of a new policy that need no fetching over the network: their text is at hand.
    ///
    /// Says what else should be known of the others.
    pub(super) async fn bring_new(&self, lists: Vec<ListFile>) -> Result<Vec<String>, ControlError> {
        let mut said = Vec::new();
        for list in lists {
            let id = list.id.clone();
            match list.source() {
                Some(ListSource::File(_) | ListSource::Text(_)) => {}
                Some(ListSource::Upload) => {
                    if self.library.shelf.state(&id).in_force.is_none() {
                        said.push(format!("list {id}: not in force until somebody brings it: schoolgate lists upload {id} FILE"));
                    }
                    continue;
                }
                Some(ListSource::Url(_) | ListSource::Zone(_)) | None => {
                    if self.library.shelf.state(&id).in_force.is_none() {
                        said.push(format!("list {id}: not in force until it is fetched, which begins now"));
                    }
                    continue;
                }
            }
            let fetched = self.fetch(list).await?;
            let (library, now, habits) = (Arc::clone(&self.library), self.clock.now(), self.habits());
            let updated =
                in_background("look at lists", move || library.take_in(&fetched, now, Manner::Keep, &habits))
                    .await??;
            match updated.outcome {
                Outcome::Failed => {
                    let message = format!("list {id}: {}", updated.reasons.join("; "));
                    return Err(ControlError::Lists { message, bad_input: updated.bad_input });
                }
                Outcome::Held => said.push(format!("list {id}: held: {}", updated.reasons.join("; "))),
                Outcome::New | Outcome::Unchanged => {}
            }
        }
        Ok(said)
    }

    /// Compiles the lists of a policy and builds it; nothing is in force yet.
    pub(super) async fn prepare(&self, file: PolicyFile, name: &str) -> Result<Prepared, ControlError> {
        let lists = file.lists.clone();
        let library = Arc::clone(&self.library);
        let known = self.state().indexes.clone();
        let (indexes, compiled) =
            in_background("compile lists", move || library.compile(&lists, &known)).await??;
        let policy = self.build(&file, &indexes, name)?;
        Ok(Prepared { file, policy, indexes, compiled: Some(compiled) })
    }

    /// Compiles lists when the index does not match the policy: after a restart in the middle, or a lost index.
    pub async fn catch_up(&self) {
        let _changing = self.changing.lock().await;
        let lists = self.in_force().0.lists;
        for list in &lists {
            if let Ok(state) = self.library.books(&list.id) {
                self.library.shelf.tidy(&list.id, &state);
            }
        }
        self.library.shelf.forget_all_but(lists.iter().map(|list| list.id.as_str()));
        // A list whose text is at hand and that has no version: the policy came, the text did not. And what the school
        // writes is what its policy says, which a text that came without its policy is not.
        let missing: Vec<ListFile> = lists
            .iter()
            .filter(|list| {
                let written = matches!(list.source(), Some(ListSource::Text(_)));
                written || self.library.shelf.state(&list.id).in_force.is_none()
            })
            .cloned()
            .collect();
        for list in missing {
            let id = list.id.clone();
            if let Err(error) = self.bring_new(vec![list]).await {
                error!(%error, list = %id, "A list is not in force");
            }
        }
        let stale = self.library.is_stale(&lists, &self.state().indexes);
        if stale && let Err(error) = self.put_lists("the server").await {
            error!(%error, "Lists could not be compiled; those of before stay in force");
        }
    }

    /// Whether the policy has lists of which none is in force: the index was lost.
    #[must_use]
    pub fn lacks_its_lists(&self) -> bool {
        let state = self.state();
        state.indexes.lack_all() && self.library.is_stale(&state.file.lists, &state.indexes)
    }

    /// Compiles the lists of the policy and puts both in force; the caller holds `changing`.
    pub(super) async fn put_lists(&self, by: &str) -> Result<(), ControlError> {
        let (file, revision) = self.in_force();
        let prepared = self.prepare(file, "the policy in force").await?;
        let seals = self.enact(&mut self.state(), prepared, revision);
        if seals {
            self.forget_sealed().await;
        }
        let report = self.lists();
        self.record(self.clock.now(), by, "lists.update", &report.summary());
        info!(by, lists = report.lists.len(), "New lists are in force");
        Ok(())
    }

    /// The number of the version of a list that is in force.
    pub(super) fn version_number(&self, list: &str) -> Option<u32> {
        self.state().indexes.number(list)
    }

    fn fetching(&self, id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut fetching = self.fetching.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(fetching.entry(id.to_owned()).or_default())
    }

    /// The lists that are being fetched now.
    #[must_use]
    pub fn being_fetched(&self) -> Vec<String> {
        let fetching = self.fetching.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let busy = fetching.iter().filter(|(_, lock)| lock.try_lock().is_err());
        busy.map(|(id, _)| id.clone()).collect()
    }

    /// Makes downloads that are under way end soon.
    pub fn cancel(&self) {
        self.cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
