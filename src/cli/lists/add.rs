//! `schoolgate lists add`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args as ClapArgs;

use super::{Context, Failure, imported, person};
use crate::{
    control::Request,
    lists::{Format, format::MatchMode},
    policy::{Action, AppliesTo, ListFile},
};

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("source").required(true).multiple(false))]
pub(in crate::cli) struct Args {
    /// What logs and explanations call it: small letters, digits and hyphens
    #[arg(value_name = "ID")]
    id: String,
    /// The category that it feeds
    #[arg(long)]
    category: String,
    /// What people read [default: the identifier]
    #[arg(long)]
    title: Option<String>,
    /// Fetch it from here; `#member` behind it is one file of an archive
    #[arg(long, group = "source")]
    url: Option<String>,
    /// Where the same list is had when that can't be reached
    #[arg(long, value_name = "URL", requires = "url")]
    mirror: Vec<String>,
    /// Read it from this file
    #[arg(long, group = "source")]
    file: Option<PathBuf>,
    /// Transfer this response policy zone
    #[arg(long, group = "source", requires = "primary")]
    zone: Option<String>,
    /// Who has the zone: 192.0.2.53 or 192.0.2.53:5353
    #[arg(long, value_name = "ADDRESS", requires = "zone")]
    primary: Vec<String>,
    /// The key of the box's settings that signs the transfer
    #[arg(long, requires = "zone")]
    key: Option<String>,
    /// The credential of the box's settings that the server asks for
    #[arg(long, requires = "url")]
    credential: Option<String>,
    /// Somebody brings it by hand, with `schoolgate lists upload`
    #[arg(long, group = "source")]
    upload: bool,
    /// A list of the school's own, kept in the policy with its comments: this file, or `-` for what is piped in
    #[arg(long, value_name = "FILE", group = "source")]
    paste: Option<PathBuf>,
    /// Open its names for the category rather than block them
    #[arg(long)]
    allow: bool,
    /// How it is written [default: found out]
    #[arg(long)]
    format: Option<Format>,
    /// A bare name means the name alone
    #[arg(long)]
    exact: bool,
    /// Its names are names of name servers
    #[arg(long)]
    name_servers: bool,
    /// How often it is fetched, in hours
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    refresh: u32,
    /// Hold a version with fewer entries
    #[arg(long, value_name = "ENTRIES")]
    minimum: Option<u64>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) fn run(context: &Context, args: Args) -> Result<bool, Failure> {
    let text = args.paste.as_deref().map(pasted).transpose()?;
    let file = args.file.as_deref().map(absolute).transpose()?;
    let list = ListFile {
        id: args.id,
        title: args.title.unwrap_or_default(),
        category: args.category,
        action: if args.allow { Action::Allow } else { Action::Block },
        url: args.url,
        mirrors: args.mirror,
        credential: args.credential,
        file,
        zone: args.zone,
        primaries: args.primary,
        key: args.key,
        upload: args.upload,
        text,
        applies_to: if args.name_servers { AppliesTo::NameServers } else { AppliesTo::Names },
        minimum: args.minimum,
        format: args.format,
        matching: if args.exact { MatchMode::Exact } else { MatchMode::Subdomains },
        refresh_hours: args.refresh,
    };
    imported(context, Request::ListsAdd { list: Box::new(list), dry_run: args.dry_run, by: person() })
}

fn pasted(file: &Path) -> Result<String, Failure> {
    if file == Path::new("-") {
        return io::read_to_string(io::stdin())
            .map_err(|error| Failure::could_not(format!("what is piped in can't be read: {error}")));
    }
    fs::read_to_string(file).map_err(|error| Failure::could_not(format!("{}: {error}", file.display())))
}

/// The server may run in another folder.
fn absolute(file: &Path) -> Result<String, Failure> {
    let wrong = |what: String| Failure::could_not(format!("{}: {what}", file.display()));
    let path = std::path::absolute(file).map_err(|error| wrong(error.to_string()))?;
    path.into_os_string().into_string().map_err(|_| wrong(String::from("its name is not UTF-8")))
}
