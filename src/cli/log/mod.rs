//! `schoolgate log`: the record of what was asked, by whom, and what became of it; and what leaves it.

mod erase;
mod export;
mod fetch;
mod hold;
mod reveal;
mod search;
mod show;
mod stats;
mod subject;
mod tail;
mod verify;

use clap::Subcommand;

use super::{Context, Failure};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Find questions: who asked for what, when, what became of it and why; the newest first
    Search(Box<search::Args>),
    /// Show each question as it is written to the log, until Ctrl-C
    Tail(Box<tail::Args>),
    /// Say what the log has, and how it fares
    Stats(stats::Args),
    /// Make, show and lift legal holds: what must not leave the log
    #[command(subcommand)]
    Hold(hold::Command),
    /// Take one device's questions out of the log
    Erase(erase::Args),
    /// Take rows out as evidence: a signed package that shows for itself if it was changed
    Export(Box<export::Args>),
    /// Check a package: whether it is whole, as it was signed, and by which box
    Verify(verify::Args),
    /// Take out what is held about one device, without other people's data
    Subject(subject::Args),
    /// Say which device stands behind a pseudonym, while the key of its day exists
    Reveal(reveal::Args),
}

pub(super) fn run(context: &Context, command: Command) -> Result<bool, Failure> {
    match command {
        Command::Search(args) => search::run(context, *args),
        Command::Tail(args) => tail::run(context, *args),
        Command::Stats(args) => stats::run(context, &args),
        Command::Hold(command) => hold::run(context, command),
        Command::Erase(args) => erase::run(context, args),
        Command::Export(args) => export::run(context, *args),
        Command::Verify(args) => verify::run(context, &args),
        Command::Subject(args) => subject::run(context, args),
        Command::Reveal(args) => reveal::run(context, args),
    }
}

fn other_version() -> Failure {
    Failure::could_not("the server answered something else; is it of another version?")
}
