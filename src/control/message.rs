//! What commands ask of whoever owns the data folder, and what they get.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CheckReport, CheckRequest, ListsReport, SeenReport};

/// What a command asks of whoever owns the data folder.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// What happens to a name.
    Check(CheckRequest),
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
    /// What is wrong with a policy.
    PolicyValidate {
        /// The file's name, for messages.
        name: String,
        /// The policy.
        text: String,
    },
    /// The lists in force.
    ListsStatus,
    /// Read lists again.
    ListsUpdate {
        /// Which; all, if none is named.
        ids: Vec<String>,
        /// Who does it.
        by: String,
    },
    /// The names that came up lately.
    Seen {
        /// In how many days, today among them: 1 to 400.
        days: u16,
    },
}

/// What a command gets.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "one a command; it travels in a box where that counts")]
pub enum Answer {
    /// To a check.
    Check(CheckReport),
    /// To an export.
    Policy {
        /// The policy.
        text: String,
        /// Its revision; 0 is the shipped one.
        revision: i64,
    },
    /// To an import.
    Imported(ImportReport),
    /// To a validation.
    Validated(ValidationReport),
    /// To questions about lists.
    Lists(ListsReport),
    /// To the question for new names.
    Seen(SeenReport),
}

/// What an import changed, or would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
