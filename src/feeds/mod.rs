//! Brings lists to the box: downloads, zone transfers, the versions that are kept, and what became of each try.
//!
//! Nothing here decides and nothing here answers: what it brings is a file, which the [guard](crate::lists::guard)
//! looks at before anything of it is in force. All of it runs on threads of its own, never on those that answer.

pub mod http;
pub mod plan;
mod scratch;
pub mod shelf;
pub mod zone;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

pub use self::scratch::Scratch;
use self::{
    http::{FetchError, Fetched, Fetcher, Lookup},
    plan::Due,
    shelf::{Served, State},
    zone::{Have, History, KeyConfig, KeyError, TransferError, Transferred, TsigKey},
};
use crate::{
    category,
    clock::Clock,
    lists::source::Source,
    policy::{ListFile, ListSource},
};

/// The last text of a zone that was transferred, in the list's folder: what changes are worked into.
const ZONE: &str = "zone";

/// The `[lists]` table: how lists come to the box.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether lists are fetched by themselves; with false, `lists update` does it.
    pub automatic: bool,
    /// How many good versions of each list are kept, the one in force among them.
    pub keep: usize,
    /// Downloads.
    pub http: http::Config,
    /// What servers ask for.
    pub credential: Vec<http::Credential>,
    /// What signs zone transfers.
    pub key: Vec<KeyConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            automatic: true,
            keep: 5,
            http: http::Config::default(),
            credential: Vec::new(),
            key: Vec::new(),
        }
    }
}

/// What is wrong with the `[lists]` table.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Something about downloads.
    #[error(transparent)]
    Http(#[from] http::ConfigError),
    /// A file that downloads need. It keeps nothing from starting.
    #[error(transparent)]
    File(#[from] http::FileError),
    /// Something about a key, or its file; the latter keeps nothing from starting.
    #[error("lists.{0}")]
    Key(#[from] KeyError),
    /// Two keys have one name.
    #[error("lists.key {name:?}: it is there twice; take one of them out")]
    KeyTwice {
        /// The name.
        name: String,
    },
    /// Too few versions, or too many for a small disk.
    #[error("lists.keep: {0} is out of range; write 2 to 100, or leave it out for 5")]
    Keep(usize),
}

impl ConfigError {
    /// Whether a setting is wrong, rather than the disk.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::File(error) => error.is_bad_input(),
            Self::Http(_) | Self::Key(_) | Self::KeyTwice { .. } | Self::Keep(_) => true,
        }
    }
}

/// The ways in which lists come to the box.
#[derive(Debug)]
pub struct Feeds {
    fetcher: Fetcher,
    keys: BTreeMap<String, KeyConfig>,
    clock: Clock,
}

/// What came of asking for a list.
#[derive(Debug)]
pub enum Obtained {
    /// Nothing newer is there.
    Current(Served),
    /// A text, newer or perhaps the same.
    Text {
        /// Where it can be read, until `scratch` is dropped.
        source: Source,
        /// What the server said of it.
        served: Served,
        /// What is of no use once the text was read.
        scratch: Option<Scratch>,
    },
}

/// Why a list could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ObtainError {
    /// What went wrong, in plain words.
    pub message: String,
    /// When the server wants to be asked again.
    pub not_before: Option<Timestamp>,
}

impl ObtainError {
    fn new(message: impl ToString) -> Self {
        Self { message: message.to_string(), not_before: None }
    }

    fn of_fetch(error: &FetchError, now: Timestamp) -> Self {
        let wait = error.retry_after().and_then(|wait| SignedDuration::try_from(wait).ok());
        Self { message: error.to_string(), not_before: wait.and_then(|wait| now.checked_add(wait).ok()) }
    }

    fn of_transfer(error: TransferError, sealed: bool) -> Self {
        Self::new(if sealed { error.without_names() } else { error })
    }
}

impl Feeds {
    /// Takes the settings. The files that they name are read for each try, so that one that is of no use stops only the
    /// lists that need it, and only until it is put right. Hosts are looked up by `lookup`.
    ///
    /// # Errors
    ///
    /// Names the key that is wrong.
    pub fn new(config: &Config, lookup: Arc<dyn Lookup>, clock: Clock) -> Result<Self, ConfigError> {
        if !(2..=100).contains(&config.keep) {
            return Err(ConfigError::Keep(config.keep));
        }
        let fetcher = Fetcher::new(config.http.clone(), &config.credential, lookup)?;
        let mut keys = BTreeMap::new();
        for key in &config.key {
            key.check()?;
            if keys.insert(key.name.clone(), key.clone()).is_some() {
                return Err(ConfigError::KeyTwice { name: key.name.clone() });
            }
        }
        Ok(Self { fetcher, keys, clock })
    }

    /// What is wrong, just now, with the files that the settings name: the lists that need them can't be had.
    #[must_use]
    pub fn unusable(&self) -> Vec<ConfigError> {
        let files = self.fetcher.unusable().into_iter().map(ConfigError::from);
        let keys = self.keys.values().filter_map(|key| TsigKey::load(key).err());
        files.chain(keys.map(ConfigError::from)).collect()
    }

    /// Gets the text of a list from where the policy says. Blocks, for as long as a slow server takes.
    ///
    /// `folder` is the list's own, `state` what is known of it; the versions there stay as they are. What is of a
    /// [sealed](category::is_sealed) category lies in memory only.
    ///
    /// # Errors
    ///
    /// Says in plain words why it can't be had. A list that someone brings by hand is [`Obtained::Current`].
    pub fn obtain(
        &self,
        list: &ListFile,
        folder: &Path,
        state: &State,
        cancel: &AtomicBool,
    ) -> Result<Obtained, ObtainError> {
        match list.source() {
            Some(ListSource::File(file)) => Ok(Obtained::Text {
                source: Source::at(file),
                served: Served { from: Some(file.to_owned()), ..Served::default() },
                scratch: None,
            }),
            Some(ListSource::Text(text)) => Ok(Obtained::Text {
                source: Source::bytes(list.id.as_str(), text.as_bytes()),
                served: Served::default(),
                scratch: None,
            }),
            Some(ListSource::Upload) | None => Ok(Obtained::Current(state.served.clone())),
            Some(ListSource::Url(url)) => self.download(list, url, folder, state, cancel),
            Some(ListSource::Zone(zone)) => self.transfer(list, zone, folder, state, cancel),
        }
    }

    /// A file for what is fetched: in the list's folder, where it can go on after a power cut, or in memory.
    fn scratch(list: &ListFile, folder: &Path) -> Result<Scratch, ObtainError> {
        let made = if category::is_sealed(&list.category) {
            Scratch::in_memory()
        } else {
            Scratch::file(folder.join("incoming"))
        };
        made.map_err(ObtainError::new)
    }

    fn download(
        &self,
        list: &ListFile,
        url: &str,
        folder: &Path,
        state: &State,
        cancel: &AtomicBool,
    ) -> Result<Obtained, ObtainError> {
        let scratch = Self::scratch(list, folder)?;
        let now = self.clock.now();
        let request = http::Request {
            url,
            mirrors: &list.mirrors,
            credential: list.credential.as_deref(),
            etag: state.served.etag.as_deref(),
            last_modified: state.served.last_modified.as_deref(),
            into: scratch.path(),
            cancel,
            now,
        };
        let fetched = self.fetcher.fetch(&request).map_err(|error| ObtainError::of_fetch(&error, now))?;
        let Fetched::New { etag, last_modified, from, .. } = fetched else {
            return Ok(Obtained::Current(state.served.clone()));
        };
        let source = Source::at(scratch.path());
        let source = match url.rsplit_once('#') {
            Some((_, part)) if !part.is_empty() => source.part(part),
            _ => source,
        };
        let served = Served { etag, last_modified, from: Some(from), ..Served::default() };
        Ok(Obtained::Text { source, served, scratch: Some(scratch) })
    }

    fn transfer(
        &self,
        list: &ListFile,
        zone: &str,
        folder: &Path,
        state: &State,
        cancel: &AtomicBool,
    ) -> Result<Obtained, ObtainError> {
        let primaries = primaries(list);
        let key = match &list.key {
            Some(name) => Some(self.key(name)?),
            None => None,
        };
        let sealed = category::is_sealed(&list.category);
        let known = folder.join(ZONE);
        let scratch = if sealed { Some(Scratch::in_memory().map_err(ObtainError::new)?) } else { None };
        let into = scratch.as_ref().map_or(known.as_path(), Scratch::path);
        if !sealed {
            std::fs::create_dir_all(folder)
                .map_err(|error| ObtainError::new(format!("{}: {error}", folder.display())))?;
        }
        // What was fetched last, in force or not: changes fit nothing else.
        let serial = if sealed {
            // Its text is not kept as it came, but a version that is had needs no second transfer.
            state.served.serial
        } else {
            zone::version(zone, &known).map(|(serial, _)| serial)
        };
        let have = serial.map(|serial| Have { serial, file: into });
        let transferred = zone::transfer(&zone::Request {
            zone,
            primaries: &primaries,
            key: key.as_ref(),
            have,
            into,
            limits: zone::Limits::default(),
            cancel,
            clock: &self.clock,
        });
        let (serial, timers, primary) =
            match transferred.map_err(|error| ObtainError::of_transfer(error, sealed))? {
                Transferred::Current { serial, timers, primary }
                | Transferred::New { serial, timers, primary, .. } => (serial, timers, primary),
            };
        let served = Served {
            serial: Some(serial),
            timers: Some(timers),
            from: Some(primary.to_string()),
            ..Served::default()
        };
        // A text that was fetched and could not be taken in the last time is there still.
        if state.served.serial == Some(serial) && (state.in_force.is_some() || state.held.is_some()) {
            return Ok(Obtained::Current(served));
        }
        Ok(Obtained::Text { source: Source::at(into), served, scratch })
    }

    /// A key by its name, read anew.
    ///
    /// # Errors
    ///
    /// Names the keys that there are, or what is wrong with the file of this one.
    pub fn key(&self, name: &str) -> Result<TsigKey, ObtainError> {
        let key = self.keys.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.keys.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                String::from("there are none")
            } else {
                format!("there are {}", known.join(", "))
            };
            ObtainError::new(format!("there is no key {name:?} in the settings of the box; {known}"))
        })?;
        TsigKey::load(key)
            .map_err(|error| ObtainError::new(format!("the transfer can't be signed: lists.{error}")))
    }
}

/// The addresses of a zone's primaries; what is none was refused when the policy was published.
#[must_use]
pub fn primaries(list: &ListFile) -> Vec<SocketAddr> {
    list.primaries
        .iter()
        .filter_map(|text| {
            text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, zone::PORT)))
        })
        .collect()
}

/// When a list is asked for next; none for one that nobody has to fetch.
///
/// `notice` is when a zone's primary last told of a new version, `box_id` a number that differs from box to box.
#[must_use]
pub fn next_try(
    list: &ListFile,
    state: &State,
    notice: Option<Timestamp>,
    box_id: u64,
    now: Timestamp,
) -> Option<Timestamp> {
    match list.source()? {
        ListSource::Upload | ListSource::Text(_) => None,
        ListSource::Url(_) | ListSource::File(_) => {
            let due = Due {
                every: Duration::from_secs(u64::from(list.refresh_hours) * 3600),
                seed: plan::seed(box_id, &list.id),
                last_attempt: state.last_attempt,
                failures: state.failures,
                not_before: state.not_before,
            };
            Some(due.next(now))
        }
        ListSource::Zone(_) => Some(zone_plan(state, notice, now).next),
    }
}

fn zone_plan(state: &State, notice: Option<Timestamp>, now: Timestamp) -> zone::Plan {
    let history = History { attempt: state.last_attempt, success: state.last_success, notice };
    zone::plan(state.served.timers.unwrap_or_default(), history, now)
}

/// Whether a zone's primaries were silent for so long that its operator calls what we have expired. It stays in force.
#[must_use]
pub fn is_expired(list: &ListFile, state: &State, now: Timestamp) -> bool {
    matches!(list.source(), Some(ListSource::Zone(_))) && zone_plan(state, None, now).is_expired(now)
}

#[cfg(test)]
mod tests;
