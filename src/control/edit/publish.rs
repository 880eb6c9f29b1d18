//! Edits are checked, published and taken back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Edit, apply::Known};
use crate::{
    control::{Control, ControlError, publish::Change},
    policy::{Change as Difference, PolicyFile, Severity, Tables},
    store::{AuditPage, AuditProof, AuditQuery, Revision, RevisionHead},
};

/// How long a reason can be, in characters.
pub const LONGEST_REASON: usize = 500;

/// How many later changes are told when one can't be taken back.
const LATER: u32 = 20;

/// How a change is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditAsked {
    /// Who does it.
    pub by: String,
    /// Why; must be there where the change loosens. One line of at most [`LONGEST_REASON`] characters.
    #[serde(default)]
    pub reason: String,
    /// The revision that whoever asks has seen; whatever is in force, if left out.
    #[serde(default)]
    pub expect: Option<i64>,
    /// The address that it is asked from.
    #[serde(default)]
    pub from: Option<String>,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Whoever asks opens nothing on their own word: a change that loosens waits for somebody else's approval.
    #[serde(default)]
    pub propose: bool,
}

/// What became of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EditReport {
    /// Nothing was changed, since nothing was to be.
    pub dry_run: bool,
    /// The revision in force now.
    pub revision: i64,
    /// What changed; empty when everything was so already.
    pub changes: Vec<String>,
    /// What it opened, or what is watched less closely: what the reason was needed for.
    pub loosens: Vec<String>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}

/// The policy in force.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    /// The policy.
    pub file: PolicyFile,
    /// Its number; 0 for the shipped one, and for one that was read without the database.
    pub revision: i64,
    /// Who published it; none for revision 0.
    pub by: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
}

/// A change that came after another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LaterChange {
    /// Its number, who made it and when.
    #[serde(flatten)]
    pub revision: RevisionHead,
    /// What it changed.
    pub changes: Vec<String>,
}

impl EditAsked {
    /// A change that is asked for at the box's console, where whoever has it may do everything.
    pub(in crate::control) fn at_console(by: &str) -> Self {
        Self { by: by.to_owned(), reason: String::from("at the console"), ..Self::default() }
    }

    /// The reason, checked.
    pub(in crate::control) fn reason(&self) -> Result<&str, ControlError> {
        let reason = self.reason.trim();
        let length = reason.chars().count();
        if length > LONGEST_REASON {
            let message = format!("the reason is {length} characters long: write at most {LONGEST_REASON}");
            return Err(ControlError::Input(message));
        }
        if reason.chars().any(char::is_control) {
            return Err(ControlError::Input(String::from(
                "the reason is more than one line: write it on one",
            )));
        }
        Ok(reason)
    }
}

impl Control {
    /// Makes changes of the policy in force and publishes the outcome: all of them, or none.
    ///
    /// # Errors
    ///
    /// When whoever asks may open nothing and the change does ([`ControlError::Proposed`]: it waits for approval),
    /// somebody else changed the policy meanwhile ([`ControlError::Collision`]), the change loosens and no reason is given
    /// ([`ControlError::ReasonWanted`]), a change can't be made, or the outcome is no policy; then nothing has changed.
    pub async fn edit(&self, edits: Vec<Edit>, asked: EditAsked) -> Result<EditReport, ControlError> {
        // A teacher who ends a lesson goes back to what the school decided.
        let ends = edits.iter().all(|edit| matches!(edit, Edit::EndLesson { .. }));
        // What ends by itself is for whoever gives the lesson.
        let passing =
            |edit: &Edit| matches!(edit, Edit::StartLesson(_) | Edit::EndLesson { .. } | Edit::Open(_));
        let reason = asked.reason()?;
        let removes = |edit: &Edit| matches!(edit, Edit::RemoveList { .. });
        let action = match edits.as_slice() {
            [Edit::RemoveList { .. }] => "lists.remove",
            [Edit::WriteList { .. }] => "lists.edit",
            _ => "policy.edit",
        };
        if asked.propose && !asked.dry_run && !edits.iter().all(passing) {
            let dry = EditAsked { dry_run: true, ..asked.clone() };
            let new = |current: &PolicyFile| self.edited(current, &edits, reason);
            let report = self.amend(action, &dry, ends, new).await?;
            if !report.loosens.is_empty() {
                if reason.is_empty() {
                    return Err(ControlError::ReasonWanted { loosens: report.loosens });
                }
                let proposal = self.propose(edits, &asked, report.loosens)?;
                return Err(ControlError::Proposed { number: proposal.number, loosens: proposal.loosens });
            }
        }
        let report = self.amend(action, &asked, ends, |current| self.edited(current, &edits, reason)).await?;
        if !asked.dry_run && edits.iter().any(removes) {
            self.forget_lists().await;
        }
        Ok(report)
    }

    /// The same for what can't wait as a proposal: whoever may open nothing on their own word is refused.
    pub(in crate::control) async fn amend_or_refuse(
        &self,
        action: &str,
        asked: &EditAsked,
        new: impl Fn(&PolicyFile) -> Result<PolicyFile, ControlError>,
    ) -> Result<EditReport, ControlError> {
        if asked.propose && !asked.dry_run {
            let dry = EditAsked { dry_run: true, ..asked.clone() };
            let report = self.amend(action, &dry, false, &new).await?;
            if !report.loosens.is_empty() {
                return Err(ControlError::Input(format!(
                    "this opens what is closed, which is for who may approve that: {}",
                    report.loosens.join(" ")
                )));
            }
        }
        self.amend(action, asked, false, new).await
    }

    /// Publishes what `new` makes of the policy in force, under the terms that were asked for; `ends` is a change that
    /// needs no reason whatever it opens.
    async fn amend(
        &self,
        action: &str,
        asked: &EditAsked,
        ends: bool,
        new: impl FnOnce(&PolicyFile) -> Result<PolicyFile, ControlError>,
    ) -> Result<EditReport, ControlError> {
        let reason = asked.reason()?;
        let change = Change {
            name: "policy",
            by: &asked.by,
            action,
            dry_run: asked.dry_run,
            reason,
            from: asked.from.as_deref(),
            expect: asked.expect,
        };
        let mut loosens = Vec::new();
        let report = self
            .change(change, |current| {
                let new = new(&current)?;
                loosens = self.loosening(&current, &new);
                let wanted = !asked.dry_run && !ends && reason.is_empty() && !loosens.is_empty();
                // What is wrong anyway is told first: no reason would help.
                if wanted && self.is_sound(&new) {
                    return Err(ControlError::ReasonWanted { loosens: loosens.clone() });
                }
                Ok(new)
            })
            .await?;
        let (dry_run, revision) = (report.dry_run, report.revision);
        Ok(EditReport { dry_run, revision, changes: report.changes, loosens, warnings: report.warnings })
    }

    /// Takes the last change back: what was in force before it is published again. Needs no reason, since it was
    /// decided before; one that is given is kept.
    ///
    /// # Errors
    ///
    /// When there is no such change, others came after it ([`ControlError::InTheWay`]), or the policy of before does not
    /// work any more; then nothing has changed.
    pub async fn undo(&self, revision: i64, asked: EditAsked) -> Result<EditReport, ControlError> {
        let given = asked.reason()?;
        let usual = format!("takes back revision {revision}");
        let change = Change {
            name: "policy",
            by: &asked.by,
            action: "policy.undo",
            dry_run: asked.dry_run,
            reason: if given.is_empty() { &usual } else { given },
            from: asked.from.as_deref(),
            expect: asked.expect,
        };
        let mut loosens = Vec::new();
        let report = self
            .change(change, |current| {
                let before = self.before(revision)?;
                loosens = self.loosening(&current, &before);
                // One's own change may be taken back; what others closed is not opened so.
                let own = self.revision(revision)?.is_some_and(|undone| undone.by == asked.by);
                if asked.propose && !own && !loosens.is_empty() {
                    return Err(ControlError::Input(String::from(
                        "to take this back opens what somebody else closed: it is for who may approve that",
                    )));
                }
                Ok(before)
            })
            .await?;
        let (dry_run, revision) = (report.dry_run, report.revision);
        Ok(EditReport { dry_run, revision, changes: report.changes, loosens, warnings: report.warnings })
    }

    /// Puts a whole policy in the place of the one in force, as after a disaster: what is asked for an [`edit`](Self::edit)
    /// holds here too.
    ///
    /// # Errors
    ///
    /// Names every problem of the text with its place; else as for an edit. Then nothing has changed.
    pub async fn restore(&self, text: &str, asked: EditAsked) -> Result<EditReport, ControlError> {
        let wrong = |errors| ControlError::Policy { name: String::from("policy.toml"), errors };
        let new = PolicyFile::parse(text).map_err(wrong)?;
        self.amend_or_refuse("policy.import", &asked, |_| Ok(new.clone())).await
    }

    /// The policy in force, with who published it and when.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn policy_file(&self) -> Result<InForce, ControlError> {
        let state = self.state();
        let written = match &state.store {
            Some(store) => store.revision(state.revision)?,
            None => None,
        };
        let (by, at) = written.map(|written| (written.by, written.at)).unzip();
        Ok(InForce { file: state.file.clone(), revision: state.revision, by, at })
    }

    /// Published policies without their texts, the newest first: those before `before`, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn revisions(&self, before: Option<i64>, limit: u32) -> Result<Vec<RevisionHead>, ControlError> {
        Ok(self.state().store.as_ref().ok_or(ControlError::NoStore)?.revisions(before, limit)?)
    }

    /// A published policy; none where there is none of that number.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn revision(&self, number: i64) -> Result<Option<Revision>, ControlError> {
        Ok(self.state().store.as_ref().ok_or(ControlError::NoStore)?.revision(number)?)
    }

    /// A page of the audit, newest first.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, ControlError> {
        Ok(self.state().store.as_ref().ok_or(ControlError::NoStore)?.audit_page(query)?)
    }

    /// Whether the audit is as it was written.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub fn verify_audit(&self) -> Result<AuditProof, ControlError> {
        Ok(self.state().store.as_ref().ok_or(ControlError::NoStore)?.verify_audit()?)
    }

    /// What edits make of a policy; not checked yet.
    pub(super) fn edited(
        &self,
        file: &PolicyFile,
        edits: &[Edit],
        reason: &str,
    ) -> Result<PolicyFile, ControlError> {
        let (tables, now) = (Tables::shipped(), self.clock.now());
        let known = Known { categories: &self.categories, tables, now, reason };
        let mut new = file.clone();
        known.apply(&mut new, edits)?;
        Ok(new)
    }

    /// What a policy would open, as it may be shown.
    pub(super) fn loosening(&self, current: &PolicyFile, new: &PolicyFile) -> Vec<String> {
        let policy = self.policy.load();
        let said = current.loosens(new, &self.categories, self.clock.now());
        said.iter().map(|sentence| policy.masked(sentence).into_owned()).collect()
    }

    fn is_sound(&self, file: &PolicyFile) -> bool {
        let problems = file.validate(&self.categories, self.clock.now());
        problems.iter().all(|problem| problem.severity != Severity::Error)
    }

    /// That a revision is the one in force.
    pub(in crate::control) fn expected(&self, expected: i64) -> Result<(), ControlError> {
        let InForce { file, revision: current, by, at } = self.policy_file()?;
        if expected == current {
            return Ok(());
        }
        let changes = match self.text_of(expected)? {
            Some(seen) => self.differences(&seen, &file),
            None => Vec::new(),
        };
        Err(ControlError::Collision { expected, current, by: by.unwrap_or_default(), at, changes })
    }

    /// What was in force before a revision, which must be the last one.
    fn before(&self, revision: i64) -> Result<PolicyFile, ControlError> {
        let current = self.state().revision;
        if revision < 1 || revision > current {
            return Err(ControlError::Input(format!("there is no revision {revision} to take back")));
        }
        if revision < current {
            return Err(ControlError::InTheWay { revision, later: self.later_than(revision)? });
        }
        let gone =
            || ControlError::Input(format!("what was in force before revision {revision} is not known"));
        self.text_of(revision - 1)?.ok_or_else(gone)
    }

    /// The last changes after a revision, the newest first.
    fn later_than(&self, revision: i64) -> Result<Vec<LaterChange>, ControlError> {
        let heads = self.revisions(None, LATER)?;
        let later = heads.into_iter().filter(|head| head.number > revision);
        later
            .map(|head| {
                let (before, after) = (self.text_of(head.number - 1)?, self.text_of(head.number)?);
                let changes = match (before, after) {
                    (Some(before), Some(after)) => self.differences(&before, &after),
                    _ => Vec::new(),
                };
                Ok(LaterChange { revision: head, changes })
            })
            .collect()
    }

    /// The policy of a revision; none where there is none, or this program does not read it.
    fn text_of(&self, revision: i64) -> Result<Option<PolicyFile>, ControlError> {
        if revision == 0 {
            return Ok(Some(PolicyFile::shipped()));
        }
        Ok(self.revision(revision)?.and_then(|found| PolicyFile::parse(&found.text).ok()))
    }

    /// What changed between two policies, as it may be shown.
    fn differences(&self, old: &PolicyFile, new: &PolicyFile) -> Vec<String> {
        let policy = self.policy.load();
        let show = |change: Difference| policy.masked(&change.what).into_owned();
        old.changes_to(new, &self.categories).into_iter().map(show).collect()
    }
}
