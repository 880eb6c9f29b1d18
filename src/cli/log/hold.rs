//! `schoolgate log hold`: what must not leave the log, whatever the policy says.

use clap::Subcommand;

use super::{Context, Failure, other_version};
use crate::{
    cli::policy::person,
    control::{Answer, HoldAsked, Request},
};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Keep what was asked in a span of time, until the hold is lifted
    Add(Add),
    /// Show every hold, those that were lifted among them
    List,
    /// Lift a hold; what it kept beyond its time leaves the log
    Lift(Lift),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Add {
    /// From when on: 2026-11-22, "2026-11-22 09:00", yesterday, 2h
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Until when; a day that is named is within
    #[arg(long, value_name = "TIME")]
    to: String,
    /// One device alone: its address, MAC address, name, or a pseudonym of the log
    #[arg(long, value_name = "DEVICE")]
    client: Option<String>,
    /// What the school calls the matter
    #[arg(long, value_name = "TEXT")]
    incident: Option<String>,
    /// Why; it is kept with the hold
    #[arg(long, value_name = "TEXT")]
    why: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Lift {
    /// Which: hold-1
    #[arg(value_name = "ID")]
    id: String,
    /// Why; it is kept with the hold
    #[arg(long, value_name = "TEXT")]
    why: String,
}

pub(super) fn run(context: &Context, command: Command) -> Result<bool, Failure> {
    let by = person();
    let request = match command {
        Command::Add(Add { from, to, client, incident, why }) => {
            Request::LogHoldAdd { hold: HoldAsked { from, to, client, incident, why }, by }
        }
        Command::List => Request::LogHolds,
        Command::Lift(Lift { id, why }) => Request::LogHoldLift { id, why, by },
    };
    match context.ask(request)? {
        Answer::Hold(hold) => context.print(&hold, || hold.to_string())?,
        Answer::Holds(report) => context.print(&report, || report.to_string())?,
        _ => return Err(other_version()),
    }
    Ok(true)
}
