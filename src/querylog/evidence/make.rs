//! Making a package of evidence.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    package::{FORMAT, Kind, Manifest, Package, VERSION},
    rows::Rows,
    summary::{self, Tally},
};
use crate::{
    policy::{LogLevel, Policy},
    querylog::{
        csv,
        entry::Entry,
        error::LogError,
        folder::LogFolder,
        search::{Asked, Query},
    },
    vault::SigningKey,
};

/// How long a package waits to be fetched.
const WAITS: SignedDuration = SignedDuration::from_hours(24);

/// What is asked for, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The first moment.
    pub from: Timestamp,
    /// The first moment that is not wanted.
    pub to: Timestamp,
    /// Which rows; its times and how many it is for don't count.
    pub query: Query,
    /// The same in the words of who asked, by the names on the command line.
    pub filters: BTreeMap<String, String>,
    /// Who asks.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What somebody asked for, by the names on the command line; times, place and number apart.
#[must_use]
pub fn filters(asked: &Asked) -> BTreeMap<String, String> {
    let Asked { client, profile, name, category, action, alert, reason, list, .. } = asked;
    [
        ("client", client.clone()),
        ("profile", profile.clone()),
        ("name", name.clone()),
        ("category", category.clone()),
        ("action", action.clone()),
        ("alert", alert.then(|| String::from("yes"))),
        ("reason", reason.clone()),
        ("list", list.clone()),
    ]
    .into_iter()
    .filter_map(|(word, value)| Some((word.to_owned(), value?)))
    .collect()
}

/// What goes into the package beside the rows.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The policy in force at the end of the span, as it is exported.
    pub policy: String,
    /// Its revision; 0 is the shipped one.
    pub revision: i64,
    /// The policies that were in force in the span before it, oldest first: revision and text.
    pub earlier: Vec<(i64, String)>,
    /// When policies were published within the span: revision, time, who.
    pub published: Vec<(i64, Timestamp, String)>,
    /// The lists in force when the package is made: their versions, as a JSON document.
    pub lists: serde_json::Value,
}

/// A package that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The package. It waits there for a day.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
    /// Whether nothing is known to be missing.
    pub complete: bool,
    /// What is known to be missing or to be different, one line each.
    pub gaps: Vec<String>,
    /// The SHA-256 of its manifest.
    pub manifest_sha256: String,
    /// The fingerprint of the key that signed it.
    pub fingerprint: String,
}

/// Makes a package of the rows that are asked for, in the log's folder; it is there whole or not at all.
///
/// However many rows there are, little memory is needed. Reading never holds up the writer.
///
/// # Errors
///
/// When the log can't be read, or the package not written. A damaged day is no error: what can be read of it is in the
/// package, and the summary says that the rest is missing.
pub fn make(
    folder: &LogFolder,
    policy: &Policy,
    order: &Order,
    about: &About,
    key: &SigningKey,
    now: Timestamp,
) -> Result<Made, LogError> {
    let out = Outgoing::begin(folder, "evidence", now)?;
    let problem = |error| out.problem(error);
    let zone = TimeZone::get(&policy.file().timezone).unwrap_or(TimeZone::UTC);
    let mut package = Package::new(BufWriter::with_capacity(1 << 18, out.open()?), now);
    let rows = Rows { folder, policy, from: order.from, to: order.to };
    let written = package.add("rows.csv", |to| {
        // Small writes are put together before they are packed.
        let mut to = BufWriter::with_capacity(1 << 16, to);
        let mut tally = Tally::default();
        to.write_all(csv::line(Entry::COLUMNS).as_bytes())?;
        let read = rows.for_each(
            &order.query,
            |_, _| true,
            |entry| {
                tally.count(entry);
                to.write_all(csv::line(entry.fields()).as_bytes()).map_err(problem)
            },
        );
        let gaps = read.map_err(io::Error::other)?;
        to.flush()?;
        Ok((tally, gaps))
    });
    let (tally, gaps) = written.map_err(problem)?;
    let gaps = summary::gap_lines(&gaps, &zone);
    let levels: Vec<(String, LogLevel)> = policy
        .profiles()
        .map(|(id, profile)| (format!("{} ({})", policy.profile(id).1, profile.id), policy.log_level(id)))
        .collect();
    let fingerprint = key.public().fingerprint();
    let text = summary::evidence(&summary::Facts {
        school: &policy.file().school,
        machine: &machine(),
        fingerprint: &fingerprint,
        now,
        zone: &zone,
        order,
        about,
        tally: &tally,
        gaps: &gaps,
        levels: &levels,
    });
    package.add_text("summary.txt", &text).map_err(problem)?;
    package.add_text("policy.toml", &about.policy).map_err(problem)?;
    for (revision, text) in &about.earlier {
        package.add_text(&format!("policy-revision-{revision}.toml"), text).map_err(problem)?;
    }
    let lists = serde_json::to_string_pretty(&about.lists).unwrap_or_default();
    package.add_text("lists.json", &lists).map_err(problem)?;
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        kind: Kind::Evidence,
        school: policy.file().school.clone(),
        machine: machine(),
        program: program(),
        made_at: now,
        by: order.by.clone(),
        reason: order.reason.clone(),
        from: order.from,
        to: order.to,
        filters: order.filters.clone(),
        rows: tally.rows(),
        complete: gaps.is_empty(),
        public_key: String::new(),
        fingerprint: String::new(),
        files: Vec::new(),
    };
    let (to, digest) = package.finish(manifest, key).map_err(problem)?;
    out.finish(
        to,
        Made {
            file: PathBuf::new(),
            bytes: 0,
            rows: tally.rows(),
            complete: gaps.is_empty(),
            gaps,
            manifest_sha256: digest,
            fingerprint,
        },
    )
}

/// The name of the machine, for people who have more than one box.
pub(in crate::querylog) fn machine() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// This program and its version.
pub(in crate::querylog) fn program() -> String {
    format!("schoolgate {}", env!("CARGO_PKG_VERSION"))
}

/// A package on its way to being there: a file beside, which goes away when it is not finished.
#[derive(Debug)]
pub(in crate::querylog) struct Outgoing {
    path: PathBuf,
    beside: PathBuf,
    finished: bool,
}

impl Outgoing {
    /// Chooses a name in the folder of what waits to be fetched, and removes what waited for more than a day.
    pub(in crate::querylog) fn begin(
        folder: &LogFolder,
        kind: &str,
        now: Timestamp,
    ) -> Result<Self, LogError> {
        let out = folder.outgoing();
        let problem = |source| LogError::file(&out, source);
        fs::create_dir_all(folder.path()).map_err(problem)?;
        // For the owner and the group, who may give commands and so fetch it.
        match fs::DirBuilder::new().mode(0o770).create(&out) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(problem)?,
        }
        for entry in fs::read_dir(&out).map_err(problem)? {
            let path = entry.map_err(problem)?.path();
            if made_at(&path).is_some_and(|made| now.duration_since(made) > WAITS) {
                // Best effort; it is tried again next time.
                let _ = fs::remove_file(&path);
            }
        }
        let mut random = [0; 4];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
            .map_err(|_| problem(io::Error::other("the system gives no random bytes")))?;
        let name = format!("{}-{kind}-{:08x}", now.as_millisecond(), u32::from_le_bytes(random));
        let (path, beside) = (out.join(format!("{name}.zip")), out.join(format!("{name}.part")));
        Ok(Self { path, beside, finished: false })
    }

    /// Opens the file to be written.
    pub(in crate::querylog) fn open(&self) -> Result<File, LogError> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&self.beside)
            .map_err(|source| LogError::file(&self.beside, source))
    }

    /// What went wrong while the package was written: an error of the log, which may be wrapped, or of the file.
    pub(in crate::querylog) fn problem(&self, error: io::Error) -> LogError {
        match error.downcast::<LogError>() {
            Ok(error) => error,
            Err(error) => LogError::file(&self.path, error),
        }
    }

    /// Puts the file, which is written, under its name.
    pub(in crate::querylog) fn finish(mut self, to: BufWriter<File>, made: Made) -> Result<Made, LogError> {
        let problem = |source| LogError::file(&self.beside, source);
        let file = to.into_inner().map_err(|error| problem(error.into_error()))?;
        file.sync_all().map_err(problem)?;
        let bytes = file.metadata().map_err(problem)?.len();
        fs::rename(&self.beside, &self.path).map_err(problem)?;
        self.finished = true;
        Ok(Made { file: self.path.clone(), bytes, ..made })
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the error that counts is on its way.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// When what waits to be fetched was made, by its name.
fn made_at(path: &Path) -> Option<Timestamp> {
    let (ms, _) = path.file_name()?.to_str()?.split_once('-')?;
    Timestamp::from_millisecond(ms.parse().ok()?).ok()
}
