//! `schoolgate backup`: make, look at, restore and rehearse backups; where they go by themselves.

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _, Read as _},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Uid, chownat, openat};

use super::{Context, Failure, policy::person};
use crate::{
    backup::{self, Extras, History, Lock, Made, Manifest, Opener, Outcome, Reserve, Staged},
    clock::Clock,
    control::{Answer, Request},
};

/// The variable that a passphrase can be in.
const PASSPHRASE: &str = "SCHOOLGATE_BACKUP_PASSPHRASE";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a backup
    Create {
        /// The file to make; in a folder, a name with the time is chosen
        #[arg(value_name = "FILE|FOLDER")]
        to: PathBuf,
        /// Lock it for who has the identity of this public key of age, rather than by a passphrase
        #[arg(long, value_name = "age1…")]
        recipient: Option<String>,
        #[command(flatten)]
        passphrase: Passphrase,
        /// With the query log and its keys
        #[arg(long)]
        logs: bool,
        /// With the text of every version of every list
        #[arg(long)]
        lists: bool,
    },
    /// Read all of a backup and say what it holds
    Verify {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Restore a backup into a folder that goes away, and open everything; the audit says what came of it
    Drill {
        /// The backup; without one, the newest where they go by themselves
        file: Option<PathBuf>,
        #[command(flatten)]
        passphrase: Passphrase,
    },
    /// Become the box that a backup was made of; what is there is kept beside for 30 days
    Restore {
        /// The backup
        #[arg(required_unless_present = "cancel")]
        file: Option<PathBuf>,
        #[command(flatten)]
        passphrase: Passphrase,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Forget the restore that waits for the next start
        #[arg(long, conflicts_with_all = ["file", "dry_run"])]
        cancel: bool,
    },
    /// Make the backup of the schedule now
    Run,
    /// Say where backups go by themselves, and what became of the last ones
    Status,
}

#[derive(Debug, clap::Args)]
pub(super) struct Passphrase {
    /// A file with the passphrase, or the identity of age; `-` is the standard input [default: the variable `SCHOOLGATE_BACKUP_PASSPHRASE`]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Passphrase {
    fn read(&self) -> Result<String, Failure> {
        let text = match &self.passphrase_file {
            Some(file) if file.as_os_str() == "-" => {
                let mut text = String::new();
                io::stdin()
                    .take(64 * 1024)
                    .read_to_string(&mut text)
                    .map_err(|error| Failure::could_not(format!("the standard input: {error}")))?;
                text
            }
            Some(file) => fs::read_to_string(file)
                .map_err(|error| Failure::could_not(format!("{}: {error}", file.display())))?,
            None => match std::env::var(PASSPHRASE) {
                Ok(text) => text,
                Err(_) if io::stdin().is_terminal() => typed()?,
                Err(_) => {
                    return Err(Failure::bad(format!(
                        "give the passphrase by --passphrase-file, or in {PASSPHRASE}"
                    )));
                }
            },
        };
        let text = text.trim_end_matches(['\n', '\r']).to_owned();
        if text.is_empty() { Err(Failure::bad("the passphrase is empty")) } else { Ok(text) }
    }
}

/// Asks for the passphrase at the terminal, without showing it.
fn typed() -> Result<String, Failure> {
    eprint_line("Passphrase of the backup:");
    let silent = echo(false);
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    // Whatever was read, the terminal is the user's again.
    if silent {
        echo(true);
    }
    read.map_err(|error| Failure::could_not(format!("the terminal: {error}")))?;
    Ok(line)
}

/// Has the terminal show what is typed, or not; whether it does as it is told.
fn echo(shown: bool) -> bool {
    let word = if shown { "echo" } else { "-echo" };
    std::process::Command::new("stty").arg(word).status().is_ok_and(|status| status.success())
}

fn eprint_line(text: &str) {
    use std::io::Write as _;

    // Nowhere is left to say it when this fails.
    let _ = writeln!(io::stderr(), "{text}");
}

fn could_not(error: &backup::BackupError) -> Failure {
    if error.is_bad_input() { Failure::bad(error.to_string()) } else { Failure::could_not(error.to_string()) }
}

fn strange() -> Failure {
    Failure::could_not("the server answered something else; is it of another version?")
}

/// Exit code 1 when a backup is not what it should be.
pub(super) fn run(context: &Context, command: Command) -> Result<bool, Failure> {
    match command {
        Command::Create { to, recipient, passphrase, logs, lists } => {
            let secret = if recipient.is_some() { None } else { Some(passphrase.read()?) };
            // A mistake in it is told before anybody waits.
            match (&recipient, &secret) {
                (Some(key), _) => Lock::recipient(key),
                (None, secret) => Lock::passphrase(secret.as_deref().unwrap_or_default()),
            }
            .map_err(|error| could_not(&error))?;
            let request = Request::BackupCreate {
                to: absolute(&to)?,
                recipient,
                passphrase: secret,
                extras: Extras { logs, lists },
                by: person(),
            };
            let Answer::BackupMade(made) = context.ask(request)? else { return Err(strange()) };
            context.print(&made, || said_made(&made))?;
            Ok(true)
        }
        Command::Verify { file, passphrase } => {
            let opener = Opener::typed(&passphrase.read()?);
            match backup::look(&file, &opener) {
                Ok(manifest) => {
                    context.print(&manifest, || said_manifest(&manifest))?;
                    Ok(true)
                }
                Err(error) => not_good(&error),
            }
        }
        Command::Drill { file, passphrase } => {
            let secret = if file.is_some() { Some(passphrase.read()?) } else { None };
            let file = file.as_deref().map(absolute).transpose()?;
            let request = Request::BackupDrill { file, secret, by: person() };
            let Answer::BackupDrilled { manifest, users } = context.ask(request)? else {
                return Err(strange());
            };
            context.print(&manifest, || {
                format!(
                    "{}\nIt could be restored: everything in it opens, and {users} users can sign in.",
                    said_manifest(&manifest)
                )
            })?;
            Ok(true)
        }
        Command::Restore { cancel: true, .. } => {
            let config = context.settings()?;
            let was = backup::cancel(&config.data).map_err(|error| could_not(&error))?;
            context.print(&was, || {
                String::from(if was { "The restore is forgotten." } else { "No restore waits." })
            })?;
            Ok(true)
        }
        Command::Restore { file, passphrase, dry_run, cancel: false } => {
            let file = file.ok_or_else(|| Failure::bad("name the backup"))?;
            restore(context, &file, &passphrase, dry_run)
        }
        Command::Run => {
            let Answer::BackupRun(outcome) = context.ask(Request::BackupRun { by: person() })? else {
                return Err(strange());
            };
            context.print(&outcome, || said_outcome(&outcome))?;
            Ok(true)
        }
        Command::Status => {
            let Answer::BackupStatus { settings, history } = context.ask(Request::BackupStatus)? else {
                return Err(strange());
            };
            let document = serde_json::json!({ "settings": settings, "history": history });
            context.print(&document, || said_status(settings.as_deref(), &history))?;
            Ok(true)
        }
    }
}

/// One that is not good is an answer, not a failure of the command.
fn not_good(error: &backup::BackupError) -> Result<bool, Failure> {
    if error.is_bad_input() {
        eprint_line(&format!("schoolgate: {error}"));
        return Ok(false);
    }
    Err(could_not(error))
}

fn restore(context: &Context, file: &Path, passphrase: &Passphrase, dry_run: bool) -> Result<bool, Failure> {
    let config = context.settings()?;
    let opener = Opener::typed(&passphrase.read()?);
    let is_served = || std::os::unix::net::UnixStream::connect(config.data.join("control.sock")).is_ok();
    let now = Clock::system().now();
    let reserve = Reserve::within(config.log.floor());
    let staged = match backup::stage(&config.data, file, &opener, &person(), now, dry_run, reserve) {
        Ok(staged) => staged,
        Err(error) => return not_good(&error),
    };
    give_to_owner(&config.data);
    let mut runs = is_served();
    if !dry_run && !runs {
        match backup::apply_unless(&config.data, is_served).map_err(|error| could_not(&error))? {
            Some(applied) => {
                crate::appliance::record_restore(&config, &applied.staged);
                give_to_owner(&config.data);
            }
            // One was started just now.
            None if is_served() => runs = true,
            None => {
                return Err(Failure::could_not(
                    "what is there can't give way, so nothing was changed; the restore is in restore.failed",
                ));
            }
        }
    }
    context.print(&staged, || said_restore(&staged, dry_run, runs))?;
    Ok(true)
}

/// A command that root runs must not make files that the server can't read.
///
/// The folder is its owner's, who could put a link anywhere in it at any moment: so each folder is opened below the one
/// before, and no link is followed.
fn give_to_owner(data: &Path) {
    let Ok(top) = File::open(data) else { return };
    let Ok(owner) = top.metadata() else { return };
    if !rustix::process::geteuid().is_root() || owner.uid() == 0 {
        return;
    }
    give_below(&OwnedFd::from(top), Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
}

fn give_below(folder: &OwnedFd, user: Uid, group: Gid) {
    let only_folders = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for entry in Dir::read_from(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let _ = chownat(folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW);
        if let Ok(inner) = openat(folder, name, only_folders, Mode::empty()) {
            give_below(&inner, user, group);
        }
    }
}

/// The server is elsewhere, so a path must mean the same there.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::could_not(format!("{}: {error}", path.display())))
}

fn said_made(made: &Made) -> String {
    format!(
        "{}: {} bytes, {} files\nWithout the passphrase or key nobody can open it, not even you: keep that elsewhere.",
        made.file.display(),
        made.bytes,
        made.files
    )
}

fn said_manifest(manifest: &Manifest) -> String {
    let about = &manifest.about;
    let school = if about.school.is_empty() { "a box without a name" } else { &about.school };
    let logs = if about.extras.logs { "with the query log" } else { "without the query log" };
    format!(
        "The backup is whole: {school}, made {} by Schoolgate {}, policy revision {}, {} files, {} bytes, {logs}.",
        about.made.strftime("%Y-%m-%d %H:%M:%SZ"),
        about.program,
        about.revision,
        manifest.files.len(),
        manifest.bytes()
    )
}

fn said_restore(staged: &Staged, dry_run: bool, runs: bool) -> String {
    let about = &staged.about;
    let school = if about.school.is_empty() { "a box without a name" } else { &about.school };
    let mut text = format!(
        "{school}, as it was {}: policy revision {}, {} users, {} files.\n",
        about.made.strftime("%Y-%m-%d %H:%M:%SZ"),
        about.revision,
        staged.users,
        staged.files
    );
    if !staged.gives_way.is_empty() {
        let word = if dry_run {
            "would go"
        } else if runs {
            "goes"
        } else {
            "went"
        };
        text.push_str(&format!(
            "What is there {word} to {}: {}\n",
            staged.before,
            staged.gives_way.join(", ")
        ));
    }
    text.push_str(if dry_run {
        "Nothing was changed."
    } else if runs {
        "It is ready, and done when the service starts again: systemctl restart schoolgate\nUntil then, `schoolgate backup restore --cancel` forgets it."
    } else {
        "It is restored. Start the service."
    });
    text
}

fn said_outcome(outcome: &Outcome) -> String {
    match &outcome.error {
        None => format!(
            "{}  {} to {}, {} bytes",
            outcome.at.strftime("%Y-%m-%d %H:%M:%SZ"),
            outcome.name,
            outcome.to,
            outcome.bytes
        ),
        Some(error) => format!("{}  FAILED: {error}", outcome.at.strftime("%Y-%m-%d %H:%M:%SZ")),
    }
}

fn said_status(settings: Option<&str>, history: &History) -> String {
    let mut lines = vec![settings.map_or_else(
        || String::from("Backups are not made by themselves."),
        |settings| format!("Backups are made {settings}."),
    )];
    lines.extend(history.tries.iter().take(10).map(said_outcome));
    match &history.drill {
        None => lines.push(String::from("Nobody has tried yet whether one can be restored.")),
        Some(drill) => lines.push(format!("Last drill: {}", said_outcome(drill))),
    }
    lines.join("\n")
}
