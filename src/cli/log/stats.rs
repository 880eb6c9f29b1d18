//! `schoolgate log stats`: what the log has, and how it fares.

use jiff::civil::Date;

use super::{Context, Failure, other_version};
use crate::control::{Answer, Request};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The UTC day to count by profile and category [default: the newest]
    #[arg(long, value_name = "DATE")]
    day: Option<Date>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<bool, Failure> {
    let Answer::LogStats(stats) = context.ask(Request::LogStats { day: args.day })? else {
        return Err(other_version());
    };
    context.print(&stats, || stats.to_string())?;
    Ok(true)
}
