//! `schoolgate policy`: what the school decided, out of the box, into it, and whether a file is right.

use std::{fs, path::PathBuf};

use clap::Subcommand;

use super::{Context, Failure, print};
use crate::control::{Answer, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the policy in force, or write it to a file
    Export {
        /// Where to write it [default: the screen]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Put a policy in force, all of it or, when anything in it is wrong, nothing
    Import {
        /// The policy
        file: PathBuf,
        /// Say what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Say everything that is wrong with a policy
    Validate {
        /// The policy
        file: PathBuf,
    },
}

pub(super) fn run(context: &Context, command: Command) -> Result<bool, Failure> {
    match command {
        Command::Export { output } => {
            let Answer::Policy { text, revision } = context.ask(Request::PolicyExport)? else {
                return Err(other());
            };
            match output {
                Some(file) => {
                    fs::write(&file, &text)
                        .map_err(|e| Failure::could_not(format!("{}: {e}", file.display())))?;
                    context.print(&serde_json::json!({ "file": file, "revision": revision }), || {
                        format!("{}: written", file.display())
                    })?;
                }
                None if context.json => context
                    .print(&serde_json::json!({ "policy": text, "revision": revision }), String::new)?,
                None => print(&text)?,
            }
            Ok(true)
        }
        Command::Import { file, dry_run } => {
            let text = read(&file)?;
            let name = file.display().to_string();
            let request = Request::PolicyImport { name, text, by: person(), dry_run };
            let Answer::Imported(report) = context.ask(request)? else { return Err(other()) };
            context.print(&report, || report.to_string())?;
            Ok(true)
        }
        Command::Validate { file } => {
            let request = Request::PolicyValidate { name: file.display().to_string(), text: read(&file)? };
            let Answer::Validated(report) = context.ask(request)? else { return Err(other()) };
            context.print(&report, || report.to_string())?;
            if report.problems.is_empty() { Ok(true) } else { Err(Failure::bad(report.summary())) }
        }
    }
}

fn read(file: &PathBuf) -> Result<String, Failure> {
    let bytes = fs::read(file).map_err(|e| Failure::could_not(format!("{}: {e}", file.display())))?;
    String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].split(|b| *b == b'\n').count();
        Failure::bad(format!("{}, line {line}: this is not UTF-8 text", file.display()))
    })
}

/// Who the audit names for what is done at the command line.
pub(super) fn person() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|v| std::env::var(v).ok());
    format!("{} at the command line", user.as_deref().unwrap_or("somebody"))
}

fn other() -> Failure {
    Failure::could_not("the server answered something else; is it of another version?")
}
