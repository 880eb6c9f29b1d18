//! `schoolgate log erase`: one device's questions, taken out.

use super::{Context, Failure, other_version};
use crate::{
    cli::policy::person,
    control::{Answer, EraseAsked, Request},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Whose questions: an address, a MAC address, the name of a device, or a pseudonym of the log
    #[arg(long, value_name = "DEVICE")]
    client: String,
    /// From when on [default: the beginning]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when; a day that is named is within [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Why; the audit keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<bool, Failure> {
    let Args { client, from, to, reason, dry_run } = args;
    let erase = EraseAsked { client, from, to, reason, dry_run };
    let Answer::Erased(report) = context.ask(Request::LogErase { erase, by: person() })? else {
        return Err(other_version());
    };
    context.print(&report, || report.to_string())?;
    match report.failed.len() {
        0 => Ok(true),
        1 => Err(Failure::could_not("1 day could not be worked on (see above); it was left as it is")),
        n => Err(Failure::could_not(format!(
            "{n} days could not be worked on (see above); they were left as they are"
        ))),
    }
}
