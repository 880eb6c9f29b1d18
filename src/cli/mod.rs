//! The command line: one file for each subcommand.
//!
//! Exit codes: 0 done, 1 the thing asked about is not so, 2 wrong usage or bad input, 3 could not do it.

mod audit;
mod backup;
mod check;
mod config;
mod lists;
mod log;
mod mount;
mod policy;
mod seen;
mod selftest;
mod serve;
mod user;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{
    accounts::AccountsError,
    appliance,
    config::{Config, ConfigError},
    control::{self, Answer, ControlError, Request},
};

/// Schoolgate: a DNS resolver that filters for schools.
#[derive(Debug, Parser)]
#[command(name = "schoolgate", version, disable_help_subcommand = true)]
pub struct Cli {
    /// The settings of the box [default: the embedded ones]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for everything that outlasts a restart [default: ./schoolgate-data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer questions until told to stop (the default)
    Serve,
    /// Look at who changed what
    #[command(subcommand)]
    Audit(audit::Command),
    /// Make, look at, restore and rehearse backups
    #[command(subcommand)]
    Backup(backup::Command),
    /// Say what happens to a name, why, and what would change it
    Check(check::Args),
    /// Look at the settings of the box
    #[command(subcommand)]
    Config(config::Command),
    /// Look at, update and compile lists
    #[command(subcommand)]
    Lists(lists::Command),
    /// Look into the log: who asked for what, when, and what became of it
    #[command(subcommand)]
    Log(log::Command),
    /// Mount a shared folder for backups
    #[command(hide = true)]
    MountShare(mount::Args),
    /// Take out, bring in and check the school's policy
    #[command(subcommand)]
    Policy(policy::Command),
    /// Say which names this school asked for lately and never before
    Seen(seen::Args),
    /// Say whether the running service does what it is for
    Selftest(selftest::Args),
    /// Say who may sign in, add somebody, and give a new password to who lost it
    #[command(subcommand)]
    User(user::Command),
}

impl Cli {
    /// Does what was asked and says how it went.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let context = Context { config: self.config, data: self.data, json: self.json };
        let done = match self.command.unwrap_or(Command::Serve) {
            Command::Serve => serve::run(&context),
            Command::Audit(command) => audit::run(&context, &command),
            Command::Backup(command) => backup::run(&context, command),
            Command::Check(args) => check::run(&context, args),
            Command::Config(command) => config::run(&context, &command),
            Command::Lists(command) => lists::run(&context, command),
            Command::Log(command) => log::run(&context, command),
            Command::MountShare(args) => mount::run(&args),
            Command::Policy(command) => policy::run(&context, command),
            Command::Seen(args) => seen::run(&context, &args),
            Command::Selftest(args) => selftest::run(&context, &args),
            Command::User(command) => user::run(&context, command),
        };
        match done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(failure) => {
                // Nowhere is left to say it when this fails.
                let _ = writeln!(io::stderr(), "schoolgate: {}", failure.message);
                ExitCode::from(failure.code)
            }
        }
    }
}

/// What holds for every subcommand.
struct Context {
    config: Option<PathBuf>,
    data: Option<PathBuf>,
    json: bool,
}

impl Context {
    fn settings(&self) -> Result<Config, Failure> {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut config = Config::load(self.config.as_deref(), env)?;
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        Ok(config)
    }

    /// Asks the running server, or does it here when none runs on this data folder.
    fn ask(&self, request: Request) -> Result<Answer, Failure> {
        let config = self.settings()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::could_not(format!("can't start: {e}")))?;
        let answer = runtime.block_on(async {
            Ok::<_, Failure>(match control::socket::ask(&config.data, &request).await? {
                Some(answer) => answer,
                None => appliance::control_without_serving(&config)?.handle(request).await?,
            })
        });
        // A question that is still being resolved must not hold up the end of the command.
        runtime.shutdown_background();
        answer
    }

    /// Prints a document as JSON or, without `--json`, as `text` says it.
    fn print<T: serde::Serialize>(&self, document: &T, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let out = if self.json {
            serde_json::to_string_pretty(document).map_err(|e| Failure::could_not(e.to_string()))?
        } else {
            text()
        };
        print(&out)
    }
}

/// Prints lines to the standard output; a reader that went away (`| head`) is no error.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::could_not(e.to_string())),
        _ => Ok(()),
    }
}

/// Why a command did not do what was asked: one clear line and the exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Wrong usage or bad input.
    fn bad(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// Could not do it.
    fn could_not(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Read { .. } => Self::could_not(error.to_string()),
            _ => Self::bad(error.to_string()),
        }
    }
}

impl From<AccountsError> for Failure {
    fn from(error: AccountsError) -> Self {
        if error.is_bad_input() { Self::bad(error.to_string()) } else { Self::could_not(error.to_string()) }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        if error.is_bad_input() { Self::bad(error.to_string()) } else { Self::could_not(error.to_string()) }
    }
}

impl From<appliance::StartError> for Failure {
    fn from(error: appliance::StartError) -> Self {
        if error.is_bad_input() { Self::bad(error.to_string()) } else { Self::could_not(error.to_string()) }
    }
}
