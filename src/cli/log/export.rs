//! `schoolgate log export`: rows of the log as evidence.

use std::path::PathBuf;

use super::{Context, Failure, fetch, other_version};
use crate::{
    cli::policy::person,
    control::{Actor, Answer, ExportRequest, Request},
    querylog::{evidence::Made, search::Asked},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Times and names are written as in `schoolgate log search`.")]
pub(in crate::cli) struct Args {
    /// From this time on
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Before this time; a day that is named is within
    #[arg(long, value_name = "TIME")]
    to: String,
    /// From this client: an address, a subnet, a MAC address, the name of a device, or a pseudonym
    #[arg(long, value_name = "WHO")]
    client: Option<String>,
    /// From clients of this profile
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// For these names: example.com, *.example.com, *tok*
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// Of this category: whether it decided, or the name is in it
    #[arg(long, value_name = "ID")]
    category: Option<String>,
    /// With this outcome: allowed, blocked, rewritten, refused, limited or failed
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what somebody may have to look at
    #[arg(long)]
    alert: bool,
    /// Decided by this list
    #[arg(long, value_name = "ID")]
    list: Option<String>,
    /// Where to write it; a file that is there already is left alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Why; the audit and the package have it
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn run(context: &Context, args: Args) -> Result<bool, Failure> {
    fetch::is_free(&args.out)?;
    let Args { from, to, client, profile, name, category, action, alert, list, out, reason } = args;
    let (from, to) = (Some(from), Some(to));
    let rows = Asked { from, to, client, profile, name, category, action, alert, list, ..Asked::default() };
    let export = ExportRequest { rows, reason };
    let actor = Actor { by: person(), role: String::new() };
    let Answer::LogPackage(made) = context.ask(Request::LogExport { actor, export })? else {
        return Err(other_version());
    };
    fetch::to_file(&made.file, &out)?;
    let made = Made { file: out, ..made };
    context.print(&made, || format!("{}: written\n{made}", made.file.display()))?;
    Ok(true)
}
