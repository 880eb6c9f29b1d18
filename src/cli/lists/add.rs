//! `schoolgate lists add`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args as ClapArgs;

use super::{Context, Failure, imported, other_version, person};
use crate::{
    control::{Answer, Request},
    lists::{
        Format,
        catalogue::{Catalogue, SchoolKind},
        format::MatchMode,
    },
    policy::{Action, AppliesTo, ListFile},
    spelling::nearest,
};

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("source").multiple(false).requires("category"))]
pub(in crate::cli) struct Args {
    /// A list of the catalogue; or, with a source, what logs and explanations call it: small letters, digits, hyphens
    #[arg(value_name = "ID", required_unless_present = "recommended")]
    id: Option<String>,
    /// All lists of the catalogue that are recommended to this kind of school and not there yet
    #[arg(long, value_name = "KIND", conflicts_with_all = ["id", "source"])]
    recommended: Option<SchoolKind>,
    /// The category that it feeds [default: the catalogue's]
    #[arg(long)]
    category: Option<String>,
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
    let dry_run = args.dry_run;
    let lists = match (&args.recommended, &args.id) {
        (Some(kind), _) => missing(context, *kind)?,
        (None, Some(id)) if args.has_source() => vec![described(id.clone(), &args)?],
        (None, Some(id)) => vec![of_catalogue(id, &args)?],
        (None, None) => Vec::new(),
    };
    if lists.is_empty() {
        context.print(&serde_json::json!({ "changes": [] }), || {
            String::from("All of them are there already.")
        })?;
        return Ok(true);
    }
    imported(context, Request::ListsAdd { lists, dry_run, by: person() })
}

impl Args {
    fn has_source(&self) -> bool {
        let Self { url, file, zone, upload, paste, .. } = self;
        url.is_some() || file.is_some() || zone.is_some() || *upload || paste.is_some()
    }
}

/// The recommended lists that the policy does not have.
fn missing(context: &Context, kind: SchoolKind) -> Result<Vec<ListFile>, Failure> {
    let Answer::Lists(known) = context.ask(Request::ListsStatus)? else { return Err(other_version()) };
    let there = |id: &str| known.lists.iter().any(|list| list.id == id);
    let wanted = Catalogue::shipped().recommended(kind).filter(|listing| !there(&listing.id));
    Ok(wanted.map(ListFile::from).collect())
}

fn of_catalogue(id: &str, args: &Args) -> Result<ListFile, Failure> {
    let catalogue = Catalogue::shipped();
    let Some(listing) = catalogue.find(id) else {
        let near = nearest(id, catalogue.iter().map(|listing| listing.id.as_str()));
        let near = near.map_or_else(|| String::from("."), |near| format!("; did you mean {near}?"));
        return Err(Failure::bad(format!(
            "{id} is not in the catalogue{near} Lists of your own need --category and a source (--url, --file, --zone, \
             --upload or --paste)"
        )));
    };
    let list = ListFile::from(listing);
    Ok(ListFile {
        category: args.category.clone().unwrap_or(list.category),
        title: args.title.clone().unwrap_or(list.title),
        minimum: args.minimum,
        ..list
    })
}

fn described(id: String, args: &Args) -> Result<ListFile, Failure> {
    let Args { title, category, .. } = args;
    Ok(ListFile {
        action: if args.allow { Action::Allow } else { Action::Block },
        url: args.url.clone(),
        mirrors: args.mirror.clone(),
        credential: args.credential.clone(),
        file: args.file.as_deref().map(absolute).transpose()?,
        zone: args.zone.clone(),
        primaries: args.primary.clone(),
        key: args.key.clone(),
        upload: args.upload,
        text: args.paste.as_deref().map(pasted).transpose()?,
        applies_to: if args.name_servers { AppliesTo::NameServers } else { AppliesTo::Names },
        minimum: args.minimum,
        format: args.format,
        matching: if args.exact { MatchMode::Exact } else { MatchMode::Subdomains },
        refresh_hours: args.refresh,
        // Asked for beside every source.
        ..ListFile::new(id, title.clone().unwrap_or_default(), category.clone().unwrap_or_default())
    })
}

pub(in crate::cli) fn pasted(file: &Path) -> Result<String, Failure> {
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
