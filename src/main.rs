//! The program: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use schoolgate::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
