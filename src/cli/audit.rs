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
}

pub(super) fn run(context: &Context, command: &Command) -> Result<bool, Failure> {
    let Command::List { limit } = command;
    let Answer::Audit(report) = context.ask(Request::Audit { limit: *limit })? else {
        return Err(Failure::could_not("the server answered something else; is it of another version?"));
    };
    context.print(&report, || report.to_string())?;
    Ok(true)
}
