//! `schoolgate log export`: rows of the log as evidence.

use std::path::PathBuf;

use super::{Context, Failure, fetch, other_version};
use crate::{
    cli::policy::person,
    control::{Actor, Answer, ExportRequest, Request, action_of},
    querylog::evidence::Filter,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The earliest time: 2026-11-22, 2026-11-22 09:00 or 2026-11-22T09:00:00Z
    #[arg(long, value_name = "TIME")]
    from: String,
    /// The time that it ends before; a day that is named is within
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Only of this device: an address, a device's name, a MAC address or a pseudonym
    #[arg(long, value_name = "IP|NAME")]
    client: Option<String>,
    /// Only of this profile
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// Only such names: `*` stands for any characters, `?` for one
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// Only what this category decided, or names that are in it
    #[arg(long, value_name = "ID")]
    category: Option<String>,
    /// Only what was allowed, blocked, rewritten, refused, limited or failed
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Where to write it; a file that is there already is left alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Why; the audit and the package have it
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn run(context: &Context, args: Args) -> Result<bool, Failure> {
    fetch::is_free(&args.out)?;
    let action = args.action.as_deref().map(action_of).transpose()?;
    let filter = Filter {
        client: args.client,
        profile: args.profile,
        name: args.name,
        category: args.category,
        action,
    };
    let export = ExportRequest { from: args.from, to: args.to, filter, reason: args.reason };
    let actor = Actor { by: person(), role: String::new() };
    let Answer::LogPackage(made) = context.ask(Request::LogExport { actor, export })? else {
        return Err(other_version());
    };
    fetch::to_file(&made.file, &args.out)?;
    let made = crate::querylog::evidence::Made { file: args.out, ..made };
    context.print(&made, || format!("{}: written\n{made}", made.file.display()))?;
    Ok(true)
}
