//! `schoolgate log export`: rows of the log as evidence.

use std::path::PathBuf;

use super::{Context, Failure, fetch, other_version, search::Filters};
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
    #[command(flatten)]
    filters: Filters,
    /// Where to write it; a file that is there already is left alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Why; the audit and the package have it
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn run(context: &Context, args: Args) -> Result<bool, Failure> {
    fetch::is_free(&args.out)?;
    let Args { from, to, filters, out, reason } = args;
    let rows = Asked { from: Some(from), to: Some(to), ..filters.asked() };
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
