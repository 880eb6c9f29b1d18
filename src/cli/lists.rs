//! `schoolgate lists`: what is listed, reading it again, making an index, looking into a list.

mod add;
mod catalogue;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use jiff::{civil::Date, tz::TimeZone};
use serde_json::json;

use super::{Context, Failure, policy::person};
use crate::{
    category::Categories,
    clock::Clock,
    control::{Answer, LibraryError, Outcome, Request},
    lists::{
        Format,
        compiler::{CompileError, Compiler, Identity},
        curated::lint::Linter,
        format::MatchMode,
        inspect,
        source::{Source, SourceError},
        survey::{Reading, References},
    },
    name::Key,
    policy::Tables,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the lists in force, and who supplies those of illegal content
    Status,
    /// Show who supplies the lists of illegal content, and when that was last verified
    Suppliers,
    /// Get lists from where they come from and put what is good in force
    Update {
        /// Which [default: all]
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the public lists that a school can subscribe to; those with a star are recommended to some schools
    Catalogue(catalogue::Args),
    /// Subscribe to a list: of the catalogue, or from a source
    Add(Box<add::Args>),
    /// Show a list that the school writes, as it was written
    Text {
        /// Which
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Write a list of the school's own anew
    Edit {
        /// Which
        #[arg(value_name = "ID")]
        id: String,
        /// The text: a file, or `-` for what is piped in
        file: PathBuf,
    },
    /// Take a list out
    Remove {
        /// Which
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Say what changed between two versions of a list [default: what accepting the held one would change, or what the
    /// one in force changed]
    Diff {
        /// Which
        #[arg(value_name = "ID")]
        id: String,
        /// The older version
        #[arg(long, value_name = "NUMBER")]
        from: Option<u32>,
        /// The newer version
        #[arg(long, value_name = "NUMBER")]
        to: Option<u32>,
        /// How many names to show of each kind
        #[arg(long, value_name = "N", default_value_t = 20)]
        most: usize,
    },
    /// Bring a list by hand, for one with `upload = true`
    Upload {
        /// Which
        #[arg(value_name = "ID")]
        id: String,
        /// The text: a file, compressed or not
        file: PathBuf,
        /// Put it in force whatever looks wrong about it
        #[arg(long)]
        accept: bool,
    },
    /// Put the held versions of lists in force
    Accept {
        /// Which
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Put an older version of a list in force
    Rollback {
        /// Which
        #[arg(value_name = "ID")]
        id: String,
        /// The version [default: the good one before]
        #[arg(long, value_name = "NUMBER")]
        to: Option<u32>,
    },
    /// Say which lists have a name, with version, line and text
    Why {
        /// The name
        name: String,
    },
    /// Make an index file of lists
    Compile {
        /// The lists: files, compressed or not, archives, folders
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// The index
        #[arg(short, long, value_name = "INDEX")]
        output: PathBuf,
        /// How the lists are written [default: found out for each]
        #[arg(long)]
        format: Option<Format>,
        /// A bare name means the name alone
        #[arg(long)]
        exact: bool,
    },
    /// Look for mistakes in lists that people write by hand: the starter lists, the curated core, the services
    Lint {
        /// The files [default: those that the program ships]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// On this day, for reviews that are overdue, as `2026-11-23` [default: today]
        #[arg(long, value_name = "DATE")]
        at: Option<Date>,
    },
    /// Say what a list holds, what was skipped, and what looks wrong
    Inspect {
        /// The list
        file: PathBuf,
        /// How it is written [default: found out]
        #[arg(long)]
        format: Option<Format>,
        /// What it is a list of, so that popular names out of place are pointed out
        #[arg(long, value_name = "ID")]
        category: Option<String>,
    },
}

pub(super) fn run(context: &Context, command: Command) -> Result<bool, Failure> {
    match command {
        Command::Status => show(context, Request::ListsStatus),
        Command::Suppliers => {
            let Answer::Suppliers(report) = context.ask(Request::ListsSuppliers)? else {
                return Err(other_version());
            };
            context.print(&json!({ "suppliers": report }), || report.to_string())?;
            Ok(true)
        }
        Command::Update { ids, dry_run } => {
            updated(context, Request::ListsUpdate { ids, dry_run, by: person() })
        }
        Command::Catalogue(args) => catalogue::run(context, &args),
        Command::Add(args) => add::run(context, *args),
        Command::Text { id } => {
            let Answer::Text(text) = context.ask(Request::ListsText { id })? else {
                return Err(other_version());
            };
            context.print(&json!({ "text": text }), || text.clone())?;
            Ok(true)
        }
        Command::Edit { id, file } => {
            let text = add::pasted(&file)?;
            imported(context, Request::ListsEdit { id, text, by: person() })
        }
        Command::Remove { id } => imported(context, Request::ListsRemove { id, by: person() }),
        Command::Diff { id, from, to, most } => {
            let Answer::Diff(report) = context.ask(Request::ListsDiff { id, from, to, most })? else {
                return Err(other_version());
            };
            context.print(&report, || report.to_string())?;
            Ok(true)
        }
        Command::Upload { id, file, accept } => {
            let file = std::path::absolute(&file)
                .map_err(|error| Failure::could_not(format!("{}: {error}", file.display())))?;
            updated(context, Request::ListsUpload { id, file, accept, by: person() })
        }
        Command::Accept { ids } => show(context, Request::ListsAccept { ids, by: person() }),
        Command::Rollback { id, to } => show(context, Request::ListsRollback { id, to, by: person() }),
        Command::Why { name } => {
            let Answer::Why(report) = context.ask(Request::ListsWhy { name })? else {
                return Err(other_version());
            };
            context.print(&report, || report.to_string())?;
            Ok(!report.lists.is_empty())
        }
        Command::Compile { files, output, format, exact } => {
            let mode = if exact { MatchMode::Exact } else { MatchMode::Subdomains };
            compile(context, &files, &output, format, mode)
        }
        Command::Lint { files, at } => lint(context, &files, at),
        Command::Inspect { file, format, category } => {
            let source = Source::at(&file);
            let essential: Vec<Key> =
                Tables::shipped().essential.iter().map(|(_, pattern)| pattern.key.clone()).collect();
            let references = match category {
                // A school's own categories are in its policy, which this does not read; they may hold anything.
                Some(category)
                    if !category.starts_with("own-") && Categories::shipped().find(&category).is_none() =>
                {
                    return Err(Failure::bad(format!("there is no category {category:?}")));
                }
                Some(category) => References::of_category(&category, essential, []),
                None => References::none().essential(essential),
            };
            let list = Reading { source: &source, format, mode: MatchMode::Subdomains };
            let report = inspect::inspect(&list, &references)?;
            context.print(&report, || report.to_string())?;
            Ok(true)
        }
    }
}

fn show(context: &Context, request: Request) -> Result<bool, Failure> {
    let Answer::Lists(report) = context.ask(request)? else { return Err(other_version()) };
    context.print(&report, || report.to_string())?;
    Ok(true)
}

/// Says what an update did. A failure of any list is one of the command; a held list is something to look at.
fn updated(context: &Context, request: Request) -> Result<bool, Failure> {
    let Answer::Updated(report) = context.ask(request)? else { return Err(other_version()) };
    context.print(&report, || report.to_string())?;
    let failed: Vec<String> = report
        .with(Outcome::Failed)
        .map(|list| format!("list {}: {}", list.id, list.reasons.join("; ")))
        .collect();
    if failed.is_empty() {
        return Ok(report.with(Outcome::Held).next().is_none());
    }
    let message = failed.join("\n");
    if report.with(Outcome::Failed).all(|list| list.bad_input) {
        return Err(Failure::bad(message));
    }
    Err(Failure::could_not(message))
}

fn imported(context: &Context, request: Request) -> Result<bool, Failure> {
    let Answer::Imported(report) = context.ask(request)? else { return Err(other_version()) };
    context.print(&report, || report.to_string())?;
    Ok(true)
}

fn other_version() -> Failure {
    Failure::could_not("the server answered something else; is it of another version?")
}

/// Exit code 0 when there is no error, 1 when there is one.
fn lint(context: &Context, files: &[PathBuf], at: Option<Date>) -> Result<bool, Failure> {
    let categories = Categories::shipped();
    let protected = Tables::shipped().protected();
    let today = at.unwrap_or_else(|| Clock::system().now().to_zoned(TimeZone::UTC).date());
    let mut linter = Linter::new(&categories, &protected, today);
    for file in files {
        let text = fs::read(file).map_err(|e| Failure::could_not(format!("{}: {e}", file.display())))?;
        let text = String::from_utf8(text)
            .map_err(|_| Failure::bad(format!("{}: it is not text in UTF-8", file.display())))?;
        linter.file(&file.display().to_string(), &text);
    }
    if files.is_empty() {
        linter.shipped();
    }
    let report = linter.finish();
    context.print(&report, || report.to_string())?;
    Ok(report.errors() == 0)
}

fn compile(
    context: &Context,
    files: &[PathBuf],
    output: &Path,
    format: Option<Format>,
    mode: MatchMode,
) -> Result<bool, Failure> {
    let folder = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut compiler = Compiler::new(folder);
    for file in files {
        let id =
            file.file_name().map_or_else(|| file.display().to_string(), |n| n.to_string_lossy().into_owned());
        // The index only says which list has a name; a category comes with a policy.
        let identity = Identity { id: id.clone(), title: id, category: String::from("uncategorised") };
        compiler.add_source(identity, &Source::at(file), format, mode).map_err(|error| match error {
            // The list is called like its file, which the source's own words name already.
            CompileError::Source { source, .. } => Failure::from(source),
            other => LibraryError::from(other).into(),
        })?;
    }
    let summary = compiler.finish(output).map_err(LibraryError::from)?;
    let lists: Vec<_> = summary
        .lists
        .iter()
        .map(|l| json!({ "id": l.meta.id, "entries": l.meta.entries, "duplicates": l.duplicates, "skipped": l.skipped }))
        .collect();
    let document = json!({
        "index": output,
        "names": summary.names,
        "addresses": summary.addresses,
        "bytes": summary.bytes,
        "lists": lists,
    });
    context.print(&document, || {
        let mut text = String::new();
        for list in &summary.lists {
            let skipped: u64 = list.skipped.values().sum();
            text.push_str(&format!(
                "{:>12}  {} ({skipped} lines skipped)\n",
                list.meta.entries, list.meta.id
            ));
        }
        text.push_str(&format!("{}: {} names, {} bytes", output.display(), summary.names, summary.bytes));
        text
    })?;
    Ok(true)
}

impl From<LibraryError> for Failure {
    fn from(error: LibraryError) -> Self {
        if error.is_bad_input() { Self::bad(error.to_string()) } else { Self::could_not(error.to_string()) }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        if error.is_io() { Self::could_not(error.to_string()) } else { Self::bad(error.to_string()) }
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        LibraryError::from(error).into()
    }
}
