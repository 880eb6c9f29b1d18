//! Why an action of an administrator was not done.

use jiff::Timestamp;

use super::{EditError, LaterChange, LibraryError};
use crate::{
    background::BackgroundError, backup::BackupError, machine::MachineError, mail::MailError,
    policy::PolicyErrors, querylog::LogError, seen::SeenError, store::StoreError,
};

/// Why an action was not done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The request asks for something that does not exist.
    #[error("{0}")]
    Input(String),
    /// A policy is wrong.
    #[error("{}", lines(name, errors))]
    Policy {
        /// The file.
        name: String,
        /// Everything that is wrong with it.
        errors: PolicyErrors,
    },
    /// An edit can't be made.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Somebody else changed the policy since whoever asks has seen it.
    #[error(
        "the policy was changed meanwhile (revision {current}{}): look at it, and do it again",
        if by.is_empty() { String::new() } else { format!(", by {by}") }
    )]
    Collision {
        /// The revision that whoever asks had seen.
        expected: i64,
        /// The one in force.
        current: i64,
        /// Who published that; empty where nobody did.
        by: String,
        /// When.
        at: Option<Timestamp>,
        /// What is other than what was seen.
        changes: Vec<String>,
    },
    /// A change loosens, and whoever asked may open nothing: it is kept, and waits for somebody's approval.
    #[error("this is proposal {number} now, and waits for somebody else's approval: {}", loosens.join(" "))]
    Proposed {
        /// The number of the proposal.
        number: u64,
        /// What it would open.
        loosens: Vec<String>,
    },
    /// A change loosens, and nothing says why.
    #[error("say why this is to be opened: {}", loosens.join(" "))]
    ReasonWanted {
        /// What it would open.
        loosens: Vec<String>,
    },
    /// A change can't be taken back, since others came after it.
    #[error("revision {revision} is not the last change: take back what came after it first")]
    InTheWay {
        /// The revision that was to be taken back.
        revision: i64,
        /// The last changes after it, the newest first.
        later: Vec<LaterChange>,
    },
    /// A list can't be read or compiled.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The lists of a policy can't be had.
    #[error("{message}")]
    Lists {
        /// Which, and why.
        message: String,
        /// Whether a list is wrong, rather than the way to it.
        bad_input: bool,
    },
    /// Mail can't be set up so.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// A backup can't be made, read or restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The machine was not asked, or refused.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// What waits for approval can't be read or written.
    #[error("{0}")]
    Proposals(String),
    /// What is known of the school beside its policy can't be kept.
    #[error("what is known of the school can't be written: {0}")]
    School(#[source] std::io::Error),
    /// Something broke off in the middle.
    #[error(transparent)]
    BrokeOff(#[from] BackgroundError),
    /// The settings can't be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The table of names can't be read.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// The log can't be read, or what was asked of it makes no sense.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The settings could not be read at start, so nothing can be published.
    #[error("the database of settings can't be read, so nothing can be changed; the server's log says why")]
    NoStore,
    /// The running server said so.
    #[error("{message}")]
    Server {
        /// What it said.
        message: String,
        /// Whether the request was wrong.
        bad_input: bool,
    },
}

impl ControlError {
    /// Whether the request was wrong, rather than the box unable.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Input(_)
            | Self::Policy { .. }
            | Self::Edit(_)
            | Self::Collision { .. }
            | Self::ReasonWanted { .. }
            | Self::Proposed { .. }
            | Self::InTheWay { .. } => true,
            Self::Library(error) => error.is_bad_input(),
            Self::Log(error) => error.is_bad_input(),
            Self::Mail(error) => error.is_bad_input(),
            Self::Backup(error) => error.is_bad_input(),
            Self::Machine(error) => !matches!(error, MachineError::File { .. }),
            Self::Store(_)
            | Self::Seen(_)
            | Self::NoStore
            | Self::BrokeOff(_)
            | Self::Proposals(_)
            | Self::School(_) => false,
            Self::Server { bad_input, .. } | Self::Lists { bad_input, .. } => *bad_input,
        }
    }
}

fn lines(name: &str, errors: &PolicyErrors) -> String {
    errors.0.iter().map(|problem| format!("{name}: {problem}")).collect::<Vec<_>>().join("\n")
}
