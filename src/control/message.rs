//! What commands ask of whoever owns the data folder, and what they get.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    Actor, AuditReport, CheckReport, CheckRequest, DiffReport, EditReport, EraseAsked, ExportRequest,
    HoldAsked, HoldsReport, ListsReport, LogReport, RevealReport, RevealRequest, SeenReport, SelfCheck,
    SubjectRequest, SuppliersReport, UpdateReport, WhyReport,
};
use crate::{
    backup::{Extras, History, Made as BackupFile, Manifest, Outcome},
    policy::ListFile,
    querylog::{
        evidence::Made,
        retention::{EraseReport, Hold},
        search::Asked,
        stats::Stats,
    },
    store::AuditProof,
};

/// What a command asks of whoever owns the data folder.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// What happens to a name.
    Check(CheckRequest),
    /// The newest lines of the audit.
    Audit {
        /// How many: 1 to 100,000.
        limit: u32,
    },
    /// Whether the audit is as it was written.
    VerifyAudit,
    /// Write into the audit what a command changed about those who may sign in.
    AccountChanged {
        /// In a word: `user.add`.
        action: String,
        /// To whom, and what.
        detail: String,
        /// Who did it.
        by: String,
    },
    /// Make a backup as a file.
    BackupCreate {
        /// The file, or a folder to make it in.
        to: PathBuf,
        /// The public key that it is for; none where a passphrase locks it.
        recipient: Option<String>,
        /// The passphrase.
        passphrase: Option<String>,
        /// What it holds beside what each holds.
        extras: Extras,
        /// Who does it.
        by: String,
    },
    /// Try whether a backup can be restored.
    BackupDrill {
        /// The backup; the newest where they go by themselves, if none is named.
        file: Option<PathBuf>,
        /// What opens it.
        secret: Option<String>,
        /// Who does it.
        by: String,
    },
    /// Make the backup of the schedule now.
    BackupRun {
        /// Who does it.
        by: String,
    },
    /// Where backups go by themselves, and what became of them.
    BackupStatus,
    /// The policy in force, as text.
    PolicyExport,
    /// Put a policy in force.
    PolicyImport {
        /// The file's name, for messages.
        name: String,
        /// The policy.
        text: String,
        /// Who does it.
        by: String,
        /// Only say what would change.
        dry_run: bool,
    },
    /// How the box is, for who updates it.
    SelfCheck {
        /// Of which revision of the policy the digest is wanted, too; 0 for the one that ships.
        of: Option<i64>,
    },
    /// What is wrong with a policy.
    PolicyValidate {
        /// The file's name, for messages.
        name: String,
        /// The policy.
        text: String,
    },
    /// The lists in force.
    ListsStatus,
    /// Who supplies the categories that are locked for everyone.
    ListsSuppliers,
    /// Get lists from where they come from.
    ListsUpdate {
        /// Which; all, if none is named.
        ids: Vec<String>,
        /// Only say what would change.
        dry_run: bool,
        /// Who does it.
        by: String,
    },
    /// Take in a text that somebody brought.
    ListsUpload {
        /// Which list.
        id: String,
        /// Where its text lies.
        file: PathBuf,
        /// Whatever looks wrong about it.
        accept: bool,
        /// Who does it.
        by: String,
    },
    /// Subscribe to lists.
    ListsAdd {
        /// The lists.
        lists: Vec<ListFile>,
        /// Only say what would change.
        dry_run: bool,
        /// Who does it.
        by: String,
    },
    /// The text of a list that the school writes.
    ListsText {
        /// Which list.
        id: String,
    },
    /// Write a list of the school's own anew.
    ListsEdit {
        /// Which list.
        id: String,
        /// The text.
        text: String,
        /// Who does it.
        by: String,
    },
    /// Take a list out.
    ListsRemove {
        /// Which list.
        id: String,
        /// Who does it.
        by: String,
    },
    /// What changed between two versions of a list.
    ListsDiff {
        /// Which list.
        id: String,
        /// The older version; the one in force, or the one before it when nothing is held, if none is named.
        from: Option<u32>,
        /// The newer version; the held one, or the one in force, if none is named.
        to: Option<u32>,
        /// How many names to show of each kind.
        most: usize,
    },
    /// Put the held versions of lists in force.
    ListsAccept {
        /// Which lists.
        ids: Vec<String>,
        /// Who does it.
        by: String,
    },
    /// Put an older version of a list in force.
    ListsRollback {
        /// Which list.
        id: String,
        /// Which version; the good one before, if none is named.
        to: Option<u32>,
        /// Who does it.
        by: String,
    },
    /// Which lists say what of a name.
    ListsWhy {
        /// The name.
        name: String,
    },
    /// Make a package of rows of the query log.
    LogExport {
        /// Who does it.
        actor: Actor,
        /// Which rows, and why.
        export: ExportRequest,
    },
    /// Make a package of what is held about one device.
    LogSubject {
        /// Who does it.
        actor: Actor,
        /// Which device, and why.
        subject: SubjectRequest,
    },
    /// Say who stands behind a pseudonym.
    LogReveal {
        /// Who does it.
        actor: Actor,
        /// Which pseudonym, and why.
        reveal: RevealRequest,
    },
    /// The names that came up lately.
    Seen {
        /// In how many days, today among them: 1 to 400.
        days: u16,
    },
    /// A page of the query log.
    LogSearch(Asked),
    /// Each question as it is written to the query log; answered again and again until one side goes away.
    LogTail(Asked),
    /// Make a legal hold on the query log.
    LogHoldAdd {
        /// What is to be held.
        hold: HoldAsked,
        /// Who does it.
        by: String,
    },
    /// The legal holds.
    LogHolds,
    /// Lift a legal hold.
    LogHoldLift {
        /// Which.
        id: String,
        /// Why.
        why: String,
        /// Who does it.
        by: String,
    },
    /// Take one device's questions out of the query log.
    LogErase {
        /// Whose, and of when.
        erase: EraseAsked,
        /// Who does it.
        by: String,
    },
    /// What the query log has.
    LogStats {
        /// The UTC day to count by profile; the newest, if none is named.
        day: Option<jiff::civil::Date>,
    },
}

/// What a command gets.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "one a command; it travels in a box where that counts")]
pub enum Answer {
    /// To a check.
    Check(CheckReport),
    /// To the question for the audit.
    Audit(AuditReport),
    /// Whether the audit is as it was written.
    AuditProof(AuditProof),
    /// To what was to be written into the audit, and was.
    Recorded,
    /// To what makes a backup.
    BackupMade(BackupFile),
    /// To a drill.
    BackupDrilled {
        /// What the backup holds.
        manifest: Manifest,
        /// How many users it has.
        users: u64,
    },
    /// To the backup of the schedule.
    BackupRun(Outcome),
    /// To the question where backups go.
    BackupStatus {
        /// Where, when and how many, in a sentence; none where they go nowhere by themselves.
        settings: Option<String>,
        /// What became of them.
        history: History,
    },
    /// To an export.
    Policy {
        /// The policy.
        text: String,
        /// Its revision; 0 is the shipped one.
        revision: i64,
    },
    /// To an import.
    Imported(ImportReport),
    /// To the question how the box is.
    SelfCheck(SelfCheck),
    /// To a validation.
    Validated(ValidationReport),
    /// To questions about lists, and to what changes which version is in force.
    Lists(ListsReport),
    /// To an update.
    Updated(UpdateReport),
    /// To a question for a text.
    Text(String),
    /// To a question about two versions.
    Diff(DiffReport),
    /// To a question about a name.
    Why(WhyReport),
    /// To the question who supplies what.
    Suppliers(SuppliersReport),
    /// To what makes a package.
    LogPackage(Made),
    /// To the question who stands behind a pseudonym.
    LogRevealed(RevealReport),
    /// To the question for new names.
    Seen(SeenReport),
    /// To a search in the log, and to following it.
    Log(LogReport),
    /// To a legal hold that was made or lifted.
    Hold(Hold),
    /// To the question for the legal holds.
    Holds(HoldsReport),
    /// To the order to take a device's questions out of the log.
    Erased(EraseReport),
    /// To the question what the log has.
    LogStats(Stats),
}

/// What an import changed, or would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ImportReport {
    /// Nothing was changed: only looked.
    pub dry_run: bool,
    /// The revision that is in force now.
    pub revision: i64,
    /// Each change, in plain English.
    pub changes: Vec<String>,
    /// What works, but perhaps not as meant.
    pub warnings: Vec<String>,
}

impl From<EditReport> for ImportReport {
    fn from(report: EditReport) -> Self {
        let EditReport { dry_run, revision, changes, warnings, loosens: _ } = report;
        Self { dry_run, revision, changes, warnings }
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.dry_run, self.changes.is_empty()) {
            (_, true) => writeln!(f, "Nothing changes: this policy is in force already.")?,
            (true, false) => writeln!(f, "This would change (nothing was changed):")?,
            (false, false) => writeln!(f, "In force as revision {}:", self.revision)?,
        }
        for change in &self.changes {
            writeln!(f, "  - {change}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "{warning}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ValidationReport {
    /// The file.
    pub name: String,
    /// What keeps it from being used, each with its place.
    pub problems: Vec<String>,
    /// What works, but perhaps not as meant.
    pub warnings: Vec<String>,
}

impl ValidationReport {
    /// One line for how it went.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.problems.len() {
            0 => format!("{}: all right", self.name),
            1 => format!("{}: 1 problem", self.name),
            n => format!("{}: {n} problems", self.name),
        }
    }
}

impl fmt::Display for ValidationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.problems.iter().chain(&self.warnings) {
            writeln!(f, "{}: {line}", self.name)?;
        }
        if self.problems.is_empty() { writeln!(f, "{}", self.summary()) } else { Ok(()) }
    }
}
