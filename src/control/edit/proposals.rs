//! Changes that wait for somebody's approval: whoever operates the box does not open anything on their own word.
//!
//! They are one file, `proposals.json`, of which nothing is taken out but the oldest that are decided.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Edit, EditAsked, EditReport};
use crate::{
    control::{Control, ControlError},
    disk,
};

/// The file, in the data folder.
const FILE: &str = "proposals.json";

/// The version of the file that this program reads and writes.
const VERSION: u32 = 1;

/// How many proposals that are decided are kept.
const DECIDED: usize = 200;

/// How many may be open at once.
const OPEN: usize = 100;

/// A change that somebody proposed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// Counts up from 1.
    pub number: u64,
    /// When it was proposed.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What it opens, in sentences.
    pub loosens: Vec<String>,
    /// The change itself.
    pub edits: Vec<Edit>,
    /// What became of it; nothing yet, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Whether it was made.
    pub approved: bool,
    /// What whoever decided wrote beside it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    proposals: Vec<Proposal>,
}

/// All proposals, as they lie on the disk.
#[derive(Debug)]
struct Proposals {
    file: PathBuf,
    all: Vec<Proposal>,
}

impl Proposals {
    fn load(folder: &Path) -> Result<Self, ControlError> {
        let file = folder.join(FILE);
        let broken = |why: String| ControlError::Proposals(format!("{}: {why}", file.display()));
        let all = match fs::read(&file) {
            Ok(text) => {
                let kept: Kept = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
                if kept.version != VERSION {
                    return Err(broken(format!(
                        "it is of version {}, and this program reads {VERSION}",
                        kept.version
                    )));
                }
                kept.proposals
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(broken(error.to_string())),
        };
        Ok(Self { file, all })
    }

    fn save(&mut self) -> Result<(), ControlError> {
        let decided = self.all.iter().filter(|proposal| proposal.decided.is_some()).count();
        let mut over = decided.saturating_sub(DECIDED);
        self.all.retain(|proposal| {
            let goes = proposal.decided.is_some() && over > 0;
            over -= usize::from(goes);
            !goes
        });
        let kept = Kept { version: VERSION, proposals: std::mem::take(&mut self.all) };
        let text = serde_json::to_vec_pretty(&kept);
        self.all = kept.proposals;
        let broken = |why: String| ControlError::Proposals(format!("{}: {why}", self.file.display()));
        let text = text.map_err(|error| broken(error.to_string()))?;
        disk::replace(&self.file, &text).map_err(|error| broken(error.to_string()))
    }

    fn open_one(&mut self, number: u64) -> Result<&mut Proposal, ControlError> {
        let found = self.all.iter_mut().find(|proposal| proposal.number == number);
        let proposal = found.ok_or_else(|| ControlError::Input(format!("there is no proposal {number}")))?;
        match &proposal.decided {
            None => Ok(proposal),
            Some(decided) => {
                let what = if decided.approved { "approved" } else { "turned down" };
                Err(ControlError::Input(format!("proposal {number} was {what} by {} already", decided.by)))
            }
        }
    }
}

impl Control {
    /// Every proposal that is known, the newest first.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub fn proposals(&self) -> Result<Vec<Proposal>, ControlError> {
        let _one = self.proposing();
        let mut all = Proposals::load(self.folder())?.all;
        all.reverse();
        Ok(all)
    }

    /// Keeps a change until somebody else approves it.
    pub(super) fn propose(
        &self,
        edits: Vec<Edit>,
        asked: &EditAsked,
        loosens: Vec<String>,
    ) -> Result<Proposal, ControlError> {
        let _one = self.proposing();
        let mut kept = Proposals::load(self.folder())?;
        if kept.all.iter().filter(|proposal| proposal.decided.is_none()).count() >= OPEN {
            return Err(ControlError::Input(format!(
                "{OPEN} proposals wait already; have some decided first"
            )));
        }
        let number = kept.all.last().map_or(0, |proposal| proposal.number) + 1;
        let proposal = Proposal {
            number,
            at: self.clock.now(),
            by: asked.by.clone(),
            reason: asked.reason.trim().to_owned(),
            loosens,
            edits,
            decided: None,
        };
        kept.all.push(proposal.clone());
        kept.save()?;
        let detail = format!("proposal {number}: {} ({})", proposal.loosens.join(" "), proposal.reason);
        self.record(proposal.at, &proposal.by, "policy.propose", &detail);
        Ok(proposal)
    }

    /// Makes a change that somebody else proposed.
    ///
    /// # Errors
    ///
    /// When there is no such proposal, it is decided, whoever approves it proposed it, or the change can't be made any
    /// more; then nothing has changed.
    pub async fn approve(&self, number: u64, asked: EditAsked) -> Result<EditReport, ControlError> {
        let proposal = {
            let _one = self.proposing();
            Proposals::load(self.folder())?.open_one(number)?.clone()
        };
        if proposal.by == asked.by {
            return Err(ControlError::Input(String::from("what one proposed, somebody else has to approve")));
        }
        let note = asked.reason.trim().to_owned();
        let mut reason = format!("{} (proposed by {})", proposal.reason, proposal.by);
        if !note.is_empty() {
            reason = format!("{reason}: {note}");
        }
        let reason = reason.chars().take(super::LONGEST_REASON).collect();
        let by = asked.by.clone();
        let report =
            self.edit(proposal.edits, EditAsked { reason, propose: false, dry_run: false, ..asked }).await?;
        self.decide(number, &by, true, note)?;
        Ok(report)
    }

    /// Turns a proposal down, or takes back one's own.
    ///
    /// # Errors
    ///
    /// When there is no such proposal, or it is decided.
    pub fn turn_down(&self, number: u64, by: &str, note: &str) -> Result<(), ControlError> {
        self.decide(number, by, false, note.trim().to_owned())?;
        self.record(self.clock.now(), by, "policy.turn-down", &format!("proposal {number}: {note}"));
        Ok(())
    }

    fn decide(&self, number: u64, by: &str, approved: bool, note: String) -> Result<(), ControlError> {
        let _one = self.proposing();
        let mut kept = Proposals::load(self.folder())?;
        let at = self.clock.now();
        kept.open_one(number)?.decided = Some(Decided { at, by: by.to_owned(), approved, note });
        kept.save()
    }
}
