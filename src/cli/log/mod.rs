//! `schoolgate log`: what was asked, and what leaves the log.

mod export;
mod fetch;
mod reveal;
mod subject;
mod verify;

use clap::Subcommand;

use super::{Context, Failure};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
        Command::Export(args) => export::run(context, *args),
        Command::Verify(args) => verify::run(context, &args),
        Command::Subject(args) => subject::run(context, args),
        Command::Reveal(args) => reveal::run(context, args),
    }
}

fn other_version() -> Failure {
    Failure::could_not("the server answered something else; is it of another version?")
}
