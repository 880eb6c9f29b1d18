//! `schoolgate lists`: what is listed, reading it again, making an index, looking into a list.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{Context, Failure, policy::person};
use crate::{
    category::Categories,
    control::{Answer, LibraryError, Request},
    lists::{
        Format,
        compiler::{CompileError, Compiler, Identity},
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
    /// Show the lists in force
    Status,
    /// Read lists again and put them in force
    Update {
        /// Which [default: all]
        #[arg(value_name = "ID")]
        ids: Vec<String>,
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
        Command::Update { ids } => show(context, Request::ListsUpdate { ids, by: person() }),
        Command::Compile { files, output, format, exact } => {
            let mode = if exact { MatchMode::Exact } else { MatchMode::Subdomains };
            compile(context, &files, &output, format, mode)
        }
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
    let Answer::Lists(report) = context.ask(request)? else {
        return Err(Failure::could_not("the server answered something else; is it of another version?"));
    };
    context.print(&report, || report.to_string())?;
    Ok(true)
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
