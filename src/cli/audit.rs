//! `schoolgate audit`: who changed what.

use clap::Subcommand;

use super::{Context, Failure};
use crate::control::{Answer, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the newest changes, newest first
    List {
        /// How many: 1 to 100000
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Look whether it is as it was written
    Verify,
}

/// Exit code 0, and 1 where the audit was changed by somebody.
pub(super) fn run(context: &Context, command: &Command) -> Result<bool, Failure> {
    let other = || Failure::could_not("the server answered something else; is it of another version?");
    match command {
        Command::List { limit } => {
            let Answer::Audit(report) = context.ask(Request::Audit { limit: *limit })? else {
                return Err(other());
            };
            context.print(&report, || report.to_string())?;
            Ok(true)
        }
        Command::Verify => {
            let Answer::AuditProof(proof) = context.ask(Request::VerifyAudit)? else { return Err(other()) };
            context.print(&proof, || format!("{proof}\n"))?;
            Ok(proof.is_whole())
        }
    }
}
