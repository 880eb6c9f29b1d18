//! Asking: a file that root's helper takes, and another that it answers with.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, TryLockError},
    thread,
    time::{Duration, Instant},
};

/// The largest answer or file of facts that is read.
pub(super) const LARGEST: u64 = 64 << 10;

/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// How often is looked for it.
const AGAIN: Duration = Duration::from_millis(50);

/// The most characters of an answer that are passed on.
const LONGEST: usize = 1_000;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Other settings of the network.
    Network,
    /// Who may come in by SSH; nobody switches it off.
    SshKeys,
    /// Whether there is a newer version.
    UpdateCheck,
    /// To write a bundle that was uploaded to the other slot.
    UpdateInstall,
    /// When a version that waits may be started.
    UpdateWindow,
    /// To start it now.
    UpdateSwitch,
    /// To start the version of before.
    UpdateBack,
    /// Another shared folder for backups; none any more where nothing is said.
    Share,
    /// To start the machine again.
    Restart,
    /// To switch it off.
    SwitchOff,
    /// To empty it.
    FactoryReset,
    /// To look at its health now.
    Health,
}

impl Asked {
    /// The name of the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::SshKeys => "ssh-keys",
            Self::UpdateCheck => "update-check",
            Self::UpdateInstall => "update-install",
            Self::UpdateWindow => "update-window",
            Self::UpdateSwitch => "update-switch",
            Self::UpdateBack => "update-back",
            Self::Share => "share",
            Self::Restart => "restart",
            Self::SwitchOff => "switch-off",
            Self::FactoryReset => "factory-reset",
            Self::Health => "health",
        }
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done; the helper said this.
    Done(String),
    /// It was taken, and goes on.
    UnderWay,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// It is no appliance.
    #[error(
        "this Schoolgate does not run on the appliance's image, so its machine is looked after elsewhere"
    )]
    NotThere,
    /// Something else is being asked.
    #[error("the box is busy with something else that was asked of it; try again in a minute")]
    Busy,
    /// Nobody took the request, and it was taken back.
    #[error("the box did not take the request, and nothing was done; it may be busy with an update")]
    NotTaken,
    /// The helper refused.
    #[error("the box refused: {0}")]
    Refused(String),
    /// What was typed is wrong.
    #[error("{}", .0.join("; "))]
    Wrong(Vec<String>),
    /// A file can't be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The folders of the machine.
#[derive(Debug)]
pub struct Machine {
    pub(super) run: PathBuf,
    pub(super) system: PathBuf,
    limit: Duration,
    /// Answers have the names of requests, so one at a time.
    asking: Mutex<()>,
}

impl Machine {
    /// The machine of these folders: what is so until it is switched off, and what stays.
    #[must_use]
    pub fn at(run: &Path, system: &Path) -> Self {
        Self { run: run.to_owned(), system: system.to_owned(), limit: LIMIT, asking: Mutex::new(()) }
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Whether this is an appliance, whose helpers take requests.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.run.join("requests").is_dir()
    }

    /// Asks for something and waits for the answer. For threads that may block.
    ///
    /// # Errors
    ///
    /// When it is refused, or was not taken; then nothing is done later either.
    pub fn ask(&self, asked: Asked, content: &str) -> Result<Outcome, MachineError> {
        if !self.is_there() {
            return Err(MachineError::NotThere);
        }
        let _asking = match self.asking.try_lock() {
            Ok(guard) => guard,
            // Nothing is held in it that a panic could have left half done.
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(MachineError::Busy),
        };
        let answer = self.run.join("answers").join(asked.word());
        let request = self.run.join("requests").join(asked.word());
        let beside = self.run.join("requests").join(format!("{}.new", asked.word()));
        let before = stamp(&answer);
        fs::write(&beside, content)
            .and_then(|()| fs::rename(&beside, &request))
            .map_err(|source| MachineError::File { path: request.clone(), source })?;
        let end = Instant::now() + self.limit;
        while Instant::now() < end {
            if let Some(done) = answered(&answer, before) {
                return done;
            }
            thread::sleep(AGAIN);
        }
        // What nobody waits for any more must not be done by surprise.
        let is_taken = fs::remove_file(&request).is_err();
        match answered(&answer, before) {
            Some(done) => done,
            None if is_taken => Ok(Outcome::UnderWay),
            None => Err(MachineError::NotTaken),
        }
    }
}

/// What tells an answer from the one before it.
fn stamp(path: &Path) -> Option<(u64, i64, i64)> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec()))
}

fn answered(path: &Path, before: Option<(u64, i64, i64)>) -> Option<Result<Outcome, MachineError>> {
    let now = stamp(path)?;
    if Some(now) == before {
        return None;
    }
    let text = match crate::disk::read(path, LARGEST) {
        Ok(text) => text,
        Err(source) => return Some(Err(MachineError::File { path: path.to_owned(), source })),
    };
    let text = String::from_utf8_lossy(&text);
    let (first, words) = text.split_once('\n').unwrap_or((&text, ""));
    let words = shown(words);
    Some(match first.trim() {
        "ok" => Ok(Outcome::Done(words)),
        "refused" => Err(MachineError::Refused(words)),
        _ => Err(MachineError::Refused(String::from("its answer can't be understood"))),
    })
}

/// A text as it may be shown: no control characters, and not longer than somebody reads.
pub(super) fn shown(text: &str) -> String {
    let plain = text.trim().chars().take(LONGEST);
    plain.map(|c| if c == '\n' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

/// Takes one request as root's helper does, and answers with these bytes; gives what was asked. Settings of the network
/// that it takes are in the folder of the system beside.
#[cfg(test)]
pub(crate) fn helper(run: &Path, name: &'static str, answer: &'static [u8]) -> thread::JoinHandle<String> {
    let run = run.to_owned();
    thread::spawn(move || {
        let request = run.join("requests").join(name);
        while !request.exists() {
            thread::yield_now();
        }
        let asked = fs::read_to_string(&request).unwrap();
        fs::remove_file(&request).unwrap();
        if name == "network" && answer.starts_with(b"ok") {
            fs::write(run.with_file_name("system").join("network.toml"), &asked).unwrap();
        }
        fs::write(run.join("answers/beside"), answer).unwrap();
        fs::rename(run.join("answers/beside"), run.join("answers").join(name)).unwrap();
        asked
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folders() -> (tempfile::TempDir, Machine) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["requests", "answers"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let machine = Machine::at(folder.path(), folder.path());
        (folder, machine)
    }

    #[test]
    fn a_request_is_answered_and_an_old_answer_is_not_taken_for_it() {
        let (folder, machine) = folders();
        fs::write(folder.path().join("answers/update-window"), "refused\nold\n").unwrap();
        let done = helper(folder.path(), "update-window", b"ok\n02:00-04:30\n");
        let outcome = machine.ask(Asked::UpdateWindow, "02:00-04:30\n").unwrap();
        assert_eq!(outcome, Outcome::Done(String::from("02:00-04:30")));
        assert_eq!(done.join().unwrap(), "02:00-04:30\n");
    }

    #[test]
    fn what_is_refused_or_odd_is_an_error_and_no_panic() {
        let (folder, machine) = folders();
        for odd in [&b"refused\nno\x1b[2J"[..], b"", b"\xff\xfe\x00", b"ok?\nyes", b"OK\n", &[b'\n'; 5_000]] {
            let done = helper(folder.path(), "health", odd);
            let error = machine.ask(Asked::Health, "").unwrap_err();
            assert!(matches!(error, MachineError::Refused(_)), "{error}");
            assert!(!error.to_string().contains('\x1b'));
            done.join().unwrap();
        }
    }

    #[test]
    fn what_nobody_takes_is_taken_back() {
        let (folder, machine) = folders();
        let machine = machine.with_limit(Duration::from_millis(10));
        symlink("/dev/zero", folder.path().join("answers/restart")).unwrap();
        assert!(matches!(machine.ask(Asked::Restart, ""), Err(MachineError::NotTaken)));
        assert_eq!(fs::read_dir(folder.path().join("requests")).unwrap().count(), 0);
    }

    #[test]
    fn elsewhere_nothing_can_be_asked() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::at(folder.path(), folder.path());
        assert!(matches!(machine.ask(Asked::Restart, ""), Err(MachineError::NotThere)));
    }

    #[test]
    fn the_appliance_knows_every_request() {
        let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("image/overlay/usr/lib/schoolgate/requests");
        let helper = fs::read_to_string(helper).unwrap();
        for asked in [
            Asked::Network,
            Asked::SshKeys,
            Asked::UpdateCheck,
            Asked::UpdateInstall,
            Asked::UpdateWindow,
            Asked::UpdateSwitch,
            Asked::UpdateBack,
            Asked::Share,
            Asked::Restart,
            Asked::SwitchOff,
            Asked::FactoryReset,
            Asked::Health,
        ] {
            assert!(helper.contains(&format!("\n        {})", asked.word())), "{}", asked.word());
        }
    }
}
