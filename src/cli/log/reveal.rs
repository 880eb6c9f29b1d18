//! `schoolgate log reveal`: which device stands behind a pseudonym.

use super::{Context, Failure, other_version};
use crate::{
    cli::policy::person,
    control::{Actor, Answer, Request, RevealRequest},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The pseudonym: device-0123456789ab
    pseudonym: String,
    /// The UTC day of its row: 2026-11-22
    #[arg(long, value_name = "DAY")]
    day: String,
    /// Why; the audit has it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The role in which you ask: safeguarding
    #[arg(long, value_name = "ROLE")]
    role: String,
}

pub(super) fn run(context: &Context, args: Args) -> Result<bool, Failure> {
    let actor = Actor { by: person(), role: args.role };
    let reveal = RevealRequest { pseudonym: args.pseudonym, day: args.day, reason: args.reason };
    let Answer::LogRevealed(report) = context.ask(Request::LogReveal { actor, reveal })? else {
        return Err(other_version());
    };
    context.print(&report, || report.to_string())?;
    Ok(report.why_not.is_none())
}
