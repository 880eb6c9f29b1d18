//! `schoolgate check`: what happens to a name, why, and what would change it.

use std::net::IpAddr;

use jiff::Timestamp;

use super::{Context, Failure};
use crate::{
    control::{Answer, Asker, CheckRequest, Request},
    name,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The name or the address of a page: `bbc.co.uk`, `https://www.bbc.co.uk/bitesize`
    #[arg(value_name = "NAME|URL")]
    name: String,
    /// As this client [default: a client that is not known]
    #[arg(long, value_name = "IP", conflicts_with = "profile")]
    client: Option<IpAddr>,
    /// As a client of this profile
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// The type asked for
    #[arg(long, value_name = "TYPE", default_value = "A")]
    r#type: String,
    /// At this time, as `2026-11-23T12:30:00Z` or with an offset [default: now]
    #[arg(long, value_name = "RFC3339")]
    at: Option<Timestamp>,
    /// Don't resolve the name, so its aliases and addresses are not looked at
    #[arg(long)]
    no_resolve: bool,
}

/// Exit code 0 when the name is given (allowed or rewritten), 1 when it is blocked.
pub(super) fn run(context: &Context, args: Args) -> Result<bool, Failure> {
    let who = match (args.client, args.profile) {
        (Some(address), _) => Asker::Address(address),
        (None, Some(profile)) => Asker::Profile(profile),
        (None, None) => Asker::Unknown,
    };
    let request = CheckRequest {
        name: name::host_of(&args.name).to_owned(),
        r#type: args.r#type.to_ascii_uppercase(),
        who,
        at: args.at,
        resolve: !args.no_resolve,
    };
    let Answer::Check(report) = context.ask(Request::Check(request))? else {
        return Err(Failure::could_not("the server answered something else; is it of another version?"));
    };
    context.print(&report, || report.to_string())?;
    Ok(!report.blocked())
}
