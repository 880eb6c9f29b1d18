//! Legal holds: what must not be removed, whatever the policy says.
//!
//! They are one file, `holds.json`, of which nothing is ever taken out: a hold that was lifted stays there, with who
//! lifted it and why.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Day,
    disk,
    querylog::{Place, error::LogError, who::Who},
};

/// The version of the file that this program reads and writes.
const VERSION: u32 = 1;

/// One legal hold: whatever it covers is neither reduced, deleted nor erased while it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// What it is called: `hold-1`.
    pub id: String,
    /// The first moment that it covers.
    pub from: Timestamp,
    /// The end, not covered itself.
    pub to: Timestamp,
    /// The device that it is about: an address, a subnet, a link-layer address, a device's name or a pseudonym;
    /// everybody, if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// What the school calls the matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Who made it.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub made: Timestamp,
    /// Its end, if it was lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted: Option<Lifted>,
}

/// How a hold ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifted {
    /// When.
    pub at: Timestamp,
    /// Who lifted it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// What somebody wants to be held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewHold {
    /// The first moment that it covers.
    pub from: Timestamp,
    /// The end, not covered itself.
    pub to: Timestamp,
    /// The device that it is about; everybody, if none is named.
    pub client: Option<String>,
    /// What the school calls the matter.
    pub incident: Option<String>,
    /// Why.
    pub why: String,
}

impl Hold {
    /// Whether it stands.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.lifted.is_none()
    }

    /// Whether a moment of a UTC day is within it.
    #[must_use]
    pub fn touches(&self, day: Day) -> bool {
        self.from < start(day.plus(1)) && start(day) < self.to
    }

    /// Whether it covers each question of a UTC day, whoever asked it.
    #[must_use]
    pub fn has_whole(&self, day: Day) -> bool {
        self.client.is_none() && self.from <= start(day) && start(day.plus(1)) <= self.to
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: from {} to {}", self.id, self.from, self.to)?;
        if let Some(client) = &self.client {
            write!(f, ", device {client}")?;
        }
        if let Some(incident) = &self.incident {
            write!(f, ", incident {incident}")?;
        }
        write!(f, ", made by {} on {}: {}", self.by, self.made, self.why)?;
        if let Some(Lifted { at, by, why }) = &self.lifted {
            write!(f, "; lifted by {by} on {at}: {why}")?;
        }
        Ok(())
    }
}

/// The first moment of a day.
pub(super) fn start(day: Day) -> Timestamp {
    Place { day, at: 0 }.time()
}

/// All legal holds, those that were lifted among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holds {
    file: PathBuf,
    all: Vec<Hold>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    holds: Vec<Hold>,
}

impl Holds {
    /// Reads the holds; none where there is no file.
    ///
    /// # Errors
    ///
    /// When the file is there and can't be read, or is not what this program writes: then nobody knows what must be
    /// kept, and nothing may be removed.
    pub fn load(file: &Path) -> Result<Self, LogError> {
        let broken = |why: String| LogError::Holds { file: file.to_owned(), why };
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { file: file.to_owned(), all: Vec::new() });
            }
            Err(error) => return Err(broken(error.to_string())),
        };
        let read: File = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        if read.version != VERSION {
            return Err(broken(format!(
                "it is of version {}, and this program reads {VERSION}",
                read.version
            )));
        }
        Ok(Self { file: file.to_owned(), all: read.holds })
    }

    /// Every hold, in the order in which they were made.
    #[must_use]
    pub fn all(&self) -> &[Hold] {
        &self.all
    }

    /// The holds that stand and have a moment of the day.
    pub fn of_day(&self, day: Day) -> impl Iterator<Item = &Hold> {
        self.all.iter().filter(move |hold| hold.is_active() && hold.touches(day))
    }

    /// Makes a hold; it is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When the hold makes no sense, or the file can't be written; then there is none.
    pub fn add(&mut self, new: NewHold, by: &str, now: Timestamp) -> Result<Hold, LogError> {
        let NewHold { from, to, client, incident, why } = new;
        if from >= to {
            return Err(LogError::input("--from", format!("{from} is not before --to ({to})")));
        }
        if let Some(client) = &client {
            Who::parse(client)?;
        }
        let number = self.all.iter().filter_map(|hold| number(&hold.id)).max().unwrap_or(0) + 1;
        let hold = Hold {
            id: format!("hold-{number}"),
            from,
            to,
            client: client.map(|client| client.trim().to_owned()),
            incident: incident.filter(|incident| !incident.trim().is_empty()),
            by: by.to_owned(),
            why: reason("--why", &why)?,
            made: now,
            lifted: None,
        };
        let mut all = self.all.clone();
        all.push(hold.clone());
        self.write(all)?;
        Ok(hold)
    }

    /// Lifts a hold.
    ///
    /// # Errors
    ///
    /// When there is no such hold, it was lifted before, no reason is given, or the file can't be written; then nothing
    /// has changed.
    pub fn lift(&mut self, id: &str, why: &str, by: &str, now: Timestamp) -> Result<Hold, LogError> {
        let why = reason("--why", why)?;
        let mut all = self.all.clone();
        let Some(hold) = all.iter_mut().find(|hold| hold.id == id) else {
            return Err(LogError::input(
                "ID",
                format!("there is no hold {id:?}; `log hold list` shows them"),
            ));
        };
        if let Some(Lifted { at, by, .. }) = &hold.lifted {
            return Err(LogError::input("ID", format!("{id} was lifted already, on {at} by {by}")));
        }
        hold.lifted = Some(Lifted { at: now, by: by.to_owned(), why });
        let hold = hold.clone();
        self.write(all)?;
        Ok(hold)
    }

    fn write(&mut self, all: Vec<Hold>) -> Result<(), LogError> {
        let problem = |source| LogError::file(&self.file, source);
        let document = File { version: VERSION, holds: all };
        let mut text = serde_json::to_vec_pretty(&document).map_err(|error| problem(error.into()))?;
        text.push(b'\n');
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder).map_err(problem)?;
            // It outlasts a power cut, as a hold that was promised must.
            disk::replace(&self.file, &text).map_err(problem)?;
        }
        self.all = document.holds;
        Ok(())
    }
}

fn number(id: &str) -> Option<u64> {
    id.strip_prefix("hold-")?.parse().ok()
}

/// A reason that somebody gave, which must say something.
pub(super) fn reason(argument: &'static str, text: &str) -> Result<String, LogError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(LogError::input(argument, "it is empty; say why, for those who look at it in a year"));
    }
    Ok(text.to_owned())
}
