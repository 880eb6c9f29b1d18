//! `schoolgate log subject`: what is held about one device.

use std::path::PathBuf;

use super::{Context, Failure, fetch, other_version};
use crate::{
    cli::policy::person,
    control::{Actor, Answer, Request, SubjectRequest},
    querylog::evidence::Made,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The device: its name, its MAC address, an address that only it had, or a pseudonym
    #[arg(long, value_name = "NAME|MAC|IP")]
    client: String,
    /// The earliest time [default: the oldest row]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The time that it ends before; a day that is named is within [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Where to write it: a file that ends in .zip, or a folder; what is there already is left alone
    #[arg(long, value_name = "FILE.zip|DIR")]
    out: PathBuf,
    /// Why; the audit has it
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn run(context: &Context, args: Args) -> Result<bool, Failure> {
    fetch::is_free(&args.out)?;
    let actor = Actor { by: person(), role: String::new() };
    let subject = SubjectRequest { client: args.client, from: args.from, to: args.to, reason: args.reason };
    let Answer::LogPackage(made) = context.ask(Request::LogSubject { actor, subject })? else {
        return Err(other_version());
    };
    if args.out.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip")) {
        fetch::to_file(&made.file, &args.out)?;
    } else {
        fetch::to_folder(&made.file, &args.out)?;
    }
    let made = Made { file: args.out, ..made };
    context.print(&made, || format!("{}: written\n{made}", made.file.display()))?;
    Ok(true)
}
