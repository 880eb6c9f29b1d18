//! A policy is put in force: all of it, or nothing.

use std::sync::Arc;

use tracing::info;

use super::{
    Control, ControlError, ImportReport, State, ValidationReport, knowledge,
    lists::{Compiled, Indexes, Undo},
};
use crate::{
    policy::{self, ListSource, Policy, PolicyErrors, PolicyFile, Problem, Severity},
    store::AuditRecord,
};

/// How much the audit keeps of what settings were, in characters; the detail has it whole.
const LONGEST_SIDE: usize = 2_000;

/// A policy with its lists, ready to be put in force.
pub(super) struct Prepared {
    pub(super) file: PolicyFile,
    pub(super) policy: Policy,
    pub(super) indexes: Indexes,
    /// The index on disk that is to take the old one's place; none when the lists stay as they are.
    pub(super) compiled: Option<Compiled>,
}

/// A change of the policy, for messages and the audit.
#[derive(Clone, Copy, Default)]
pub(super) struct Change<'a> {
    /// What messages call the new policy.
    pub(super) name: &'a str,
    pub(super) by: &'a str,
    /// The word for the audit.
    pub(super) action: &'a str,
    pub(super) dry_run: bool,
    /// Why, where somebody said so.
    pub(super) reason: &'a str,
    /// The address that it was asked from.
    pub(super) from: Option<&'a str>,
    /// The revision that whoever asks has seen; whatever is in force, if none.
    pub(super) expect: Option<i64>,
}

impl Control {
    /// Puts a policy in force: all of it, or nothing when anything in it is wrong.
    ///
    /// Lists that it brings or changes are compiled before it is in force, so that no category is open for a moment.
    ///
    /// # Errors
    ///
    /// Names every problem with its place, or what could not be written; then nothing has changed.
    pub async fn import(
        &self,
        name: &str,
        text: &str,
        by: &str,
        dry_run: bool,
    ) -> Result<ImportReport, ControlError> {
        let wrong = |errors: PolicyErrors| ControlError::Policy { name: name.to_owned(), errors };
        let file = PolicyFile::parse(text).map_err(wrong)?;
        let change = Change { name, by, action: "policy.import", dry_run, ..Change::default() };
        self.change(change, |_| Ok(file)).await
    }

    /// Publishes what `new` makes of the policy in force, and puts it in force.
    ///
    /// # Errors
    ///
    /// Names every problem with its place, or what could not be written; then nothing has changed.
    pub(super) async fn change(
        &self,
        change: Change<'_>,
        new: impl FnOnce(PolicyFile) -> Result<PolicyFile, ControlError>,
    ) -> Result<ImportReport, ControlError> {
        let Change { name, by, action, dry_run, reason, from, expect } = change;
        // Held from the comparison on, so that what is reported as changed is what was in force just before.
        let _changing = self.changing.lock().await;
        if let Some(expected) = expect {
            self.expected(expected)?;
        }
        let (current, revision, in_force) = {
            let state = self.state();
            (state.file.clone(), state.revision, state.indexes.clone())
        };
        let file = new(current.clone())?;
        let now = self.clock.now();
        let (errors, warnings): (Vec<_>, Vec<_>) =
            file.validate(&self.categories, now).into_iter().partition(|p| p.severity == Severity::Error);
        let (over, cut) = self.over_log_limits(&file, &current);
        let errors: Vec<Problem> = errors.into_iter().chain(over).collect();
        if !errors.is_empty() {
            return Err(self.refused(name, by, PolicyErrors(errors)));
        }
        let mut warnings: Vec<String> = warnings.iter().chain(&cut).map(ToString::to_string).collect();
        let differences = current.changes_to(&file, &self.categories);
        let (before, after) = before_and_after(&differences);
        let mut changes: Vec<String> = differences.into_iter().map(|change| change.what).collect();
        if current == file {
            changes.clear();
        } else if changes.is_empty() {
            changes.push(String::from("the order or the wording"));
        }
        // What its lists brought is forgotten, should the policy be refused for them.
        let mut undo = None;
        let prepared = if dry_run || current.lists == file.lists {
            let policy = self.build(&file, &in_force, name)?;
            Prepared { file, policy, indexes: in_force, compiled: None }
        } else {
            // What did not change stays as it is, so that a lost original of one list does not keep another from
            // coming in.
            let new: Vec<_> =
                file.lists.iter().filter(|list| !current.lists.contains(list)).cloned().collect();
            undo = Some(Undo::of(&self.library, new.iter().map(|list| &list.id))?);
            warnings.extend(self.bring_new(new).await?);
            self.prepare(file, name).await?
        };
        let known = self.policy.load().conflicts();
        let (locked, more): (Vec<_>, Vec<_>) = prepared
            .policy
            .conflicts()
            .into_iter()
            .partition(|p| p.severity == Severity::Error && !known.iter().any(|old| old.what == p.what));
        if !locked.is_empty() {
            return Err(self.refused(name, by, PolicyErrors(locked)));
        }
        warnings.extend(more.iter().map(ToString::to_string));
        // The lists that come with this policy may be the ones that must not be shown.
        for line in changes.iter_mut().chain(&mut warnings) {
            *line = prepared.policy.masked(line).into_owned();
        }
        if dry_run || changes.is_empty() {
            return Ok(ImportReport { dry_run, revision, changes, warnings });
        }
        let detail = format!("{name}: {}", changes.join("; "));
        let masked = |text: &str| prepared.policy.masked(text).into_owned();
        let record = AuditRecord {
            before: before.as_deref().map(masked),
            after: after.as_deref().map(masked),
            reason: Some(masked(reason)).filter(|reason| !reason.is_empty()),
            from: from.map(str::to_owned),
            ..AuditRecord::new(now, by, action, detail)
        };
        let (revision, seals) = {
            let mut state = self.state();
            let store = state.store.as_mut().ok_or(ControlError::NoStore)?;
            let revision = store.publish(&prepared.file.to_toml(), &record)?;
            let seals = self.enact(&mut state, prepared, revision);
            undo.into_iter().for_each(Undo::forget);
            (revision, seals)
        };
        info!(revision, by, "A new policy is in force");
        // It may keep less than the one before.
        self.wake_keeper();
        if seals {
            self.forget_sealed().await;
        }
        self.news.again.notify_one();
        Ok(ImportReport { dry_run, revision, changes, warnings })
    }

    pub(super) fn build(
        &self,
        file: &PolicyFile,
        indexes: &Indexes,
        name: &str,
    ) -> Result<Policy, ControlError> {
        let knowledge = knowledge(&self.categories, &self.starter, indexes);
        Policy::build(file, &knowledge)
            .map(|policy| policy.with_mask(self.mask.clone()))
            .map_err(|errors| ControlError::Policy { name: name.to_owned(), errors })
    }

    /// Puts in force what was prepared; says whether other names than before must not be shown, which are then to be
    /// [forgotten](Self::forget_sealed).
    #[must_use]
    pub(super) fn enact(&self, state: &mut State, prepared: Prepared, revision: i64) -> bool {
        let Prepared { file, policy, indexes, compiled } = prepared;
        let seals = indexes.seals_more_than(&state.indexes);
        if let Some(compiled) = compiled {
            compiled.activate(&self.library, state.indexes.shows(&file.lists));
        }
        self.listen_to(&file.lists);
        state.file = file;
        state.revision = revision;
        state.indexes = indexes;
        self.policy.store(Arc::new(policy));
        seals
    }

    /// Writes down that a policy was refused, with what was wrong.
    fn refused(&self, name: &str, by: &str, errors: PolicyErrors) -> ControlError {
        let errors = errors.masked(&self.policy.load());
        self.record(self.clock.now(), by, "policy.refused", &format!("{name}: {errors}"));
        ControlError::Policy { name: name.to_owned(), errors }
    }

    /// Says everything that is wrong with a policy, also in the light of the lists in force.
    #[must_use]
    pub fn validate(&self, name: String, text: &str) -> ValidationReport {
        let problems = match PolicyFile::parse(text) {
            Ok(file) => {
                let mut problems = file.validate(&self.categories, self.clock.now());
                let (over, cut) = self.over_log_limits(&file, &self.in_force().0);
                problems.extend(over.into_iter().chain(cut));
                if problems.iter().all(|problem| problem.severity != Severity::Error) {
                    let indexes = self.state().indexes.clone();
                    match self.build(&file, &indexes, &name) {
                        Ok(policy) => problems.extend(policy.conflicts()),
                        Err(ControlError::Policy { errors, .. }) => problems.extend(errors.0),
                        Err(_) => {}
                    }
                }
                problems
            }
            Err(errors) => errors.0,
        };
        let (errors, warnings): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|p| p.severity == Severity::Error);
        let policy = self.policy.load();
        let masked = |problems: &[Problem]| -> Vec<String> {
            problems.iter().map(|problem| policy.masked(&problem.to_string()).into_owned()).collect()
        };
        ValidationReport { name, problems: masked(&errors), warnings: masked(&warnings) }
    }

    /// Reads the policy again and the lists that are files, as after a change from outside.
    ///
    /// A list that can't be read is told in the log, and its last good version stays in force.
    ///
    /// # Errors
    ///
    /// When the policy can't be read; then nothing has changed.
    pub async fn refresh(&self) -> Result<(), ControlError> {
        self.reload_policy().await?;
        let lists = self.in_force().0.lists;
        let files = lists.into_iter().filter(|list| matches!(list.source(), Some(ListSource::File(_))));
        let ids: Vec<String> = files.map(|list| list.id).collect();
        if !ids.is_empty() {
            self.update_lists(&ids, "the server", false).await?;
        }
        Ok(())
    }

    async fn reload_policy(&self) -> Result<(), ControlError> {
        let _changing = self.changing.lock().await;
        let latest = match &self.state().store {
            Some(store) => store.latest()?,
            None => None,
        };
        let Some(latest) = latest else { return Ok(()) };
        let name = format!("revision {}", latest.number);
        let file = PolicyFile::parse(&latest.text)
            .map_err(|errors| ControlError::Policy { name: name.clone(), errors })?;
        let known = self.in_force().0.lists;
        let new: Vec<_> = file.lists.iter().filter(|list| !known.contains(list)).cloned().collect();
        let undo = Undo::of(&self.library, new.iter().map(|list| &list.id))?;
        self.bring_new(new).await?;
        let prepared = self.prepare(file, &name).await?;
        let seals = self.enact(&mut self.state(), prepared, latest.number);
        undo.forget();
        self.warn_of_cut_retention();
        if seals {
            self.forget_sealed().await;
        }
        self.news.again.notify_one();
        Ok(())
    }
}

/// What settings were and what they would be, in a few words: of a single one the values alone.
fn before_and_after(changes: &[policy::Change]) -> (Option<String>, Option<String>) {
    let one = changes.len() == 1;
    let side = |of: fn(&policy::Change) -> Option<&String>| {
        let said: Vec<String> = changes
            .iter()
            .filter_map(|change| Some((change, of(change)?)))
            .map(|(change, value)| if one { value.clone() } else { format!("{}: {value}", change.place) })
            .collect();
        if said.is_empty() { None } else { Some(cut(&said.join("; "))) }
    };
    (side(|change| change.was.as_ref()), side(|change| change.is.as_ref()))
}

/// No more of a text than the audit shows beside a line.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_SIDE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
