//! Who is asked for names, as it is given while the box runs: who finds all names, zones that servers of the school know,
//! and single records. Each has a file in the data folder, and a version that does not know the file leaves it alone.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};
use tracing::error;

use super::{
    Control, ControlError,
    records::{self, OwnRecord, RECORDS, with_records},
    resolving::{self, RESOLVING, Way, with_way},
    zones::{self, OwnZone, ZONES, with_zones},
};
use crate::{
    disk,
    resolver::{self, Backends, Resolver, ResolverError},
};

/// All that was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// Who finds names; the settings decide, if nobody chose.
    pub(super) way: Option<Way>,
    /// The zones that servers of the school know.
    pub(super) zones: Vec<OwnZone>,
    /// The single records of the school's.
    pub(super) records: Vec<OwnRecord>,
}

impl Given {
    fn read(folder: &Path) -> Self {
        Self { way: resolving::read(folder), zones: zones::read(folder), records: records::read(folder) }
    }

    /// The settings with what was given.
    fn with(&self, settings: &resolver::Config) -> resolver::Config {
        with_records(&with_zones(&with_way(settings, self.way.as_ref()), &self.zones), &self.records)
    }
}

/// The settings of resolving, with what was given while the box runs.
#[derive(Debug, Default)]
pub(super) struct Routing {
    pub(super) settings: Option<resolver::Config>,
    given: Mutex<Given>,
}

/// Who is asked for what: by the settings, by the way that was chosen, and by the zones and records in the data folder.
/// Where one of these makes no sense, an error in the log, and the rest without it.
///
/// # Errors
///
/// When the settings are wrong.
pub fn backends(settings: &resolver::Config, folder: &Path) -> Result<Backends, ResolverError> {
    let Given { way, zones, records } = Given::read(folder);
    let mut used = Given::default();
    let works = |given: &Given, file: &str| {
        resolver::build(&given.with(settings))
            .inspect_err(|error| error!(%error, file, "What was given can't be used; the rest is"))
            .is_ok()
    };
    if way.is_some() {
        used.way = way;
        if !works(&used, RESOLVING) {
            used.way = None;
        }
    }
    if !zones.is_empty() {
        used.zones = zones;
        if !works(&used, ZONES) {
            used.zones.clear();
        }
    }
    if !records.is_empty() {
        used.records = records;
        if !works(&used, RECORDS) {
            used.records.clear();
        }
    }
    resolver::build(&used.with(settings))
}

/// A file of what was given; none where there is no such file. Where it can't be read, an error in the log, and none.
pub(super) fn read<T: DeserializeOwned>(folder: &Path, file: &str) -> Option<T> {
    let path = folder.join(file);
    let unreadable = |error: &dyn std::fmt::Display| {
        error!(%error, file = %path.display(), "What was given can't be read; the box goes on without it");
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).inspect_err(|error| unreadable(error)).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            unreadable(&error);
            None
        }
    }
}

/// Whether a device or a server of the school can have an address: asked for one of its own, the box would ask itself
/// without an end.
pub(super) fn is_host(address: IpAddr) -> bool {
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast())
        && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

impl Control {
    /// Lets zones, records, and who finds all other names be given while the box runs; reads what was.
    #[must_use]
    pub fn with_routing(mut self, settings: &resolver::Config) -> Self {
        let given = Mutex::new(Given::read(&self.folder));
        self.routing = Routing { settings: Some(settings.clone()), given };
        self
    }

    /// All that was given while the box ran.
    pub(super) fn given(&self) -> Given {
        self.routing.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names of the zones and records that were given while the box ran; of `*.lab.school.example` what is behind the
    /// star.
    #[must_use]
    pub fn names_given(&self) -> Vec<String> {
        let Given { zones, records, .. } = self.given();
        let mut names: Vec<String> = zones.into_iter().map(|zone| zone.name).collect();
        for record in records {
            let name = record.base();
            if !names.iter().any(|other| other == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// The settings and the resolver that something can be given to.
    pub(super) fn resolves(&self) -> Result<(&resolver::Config, &Arc<Resolver>), ControlError> {
        match (&self.routing.settings, &self.resolver) {
            (Some(settings), Some(resolver)) => Ok((settings, resolver)),
            _ => Err(ControlError::Input(String::from("no names are resolved here"))),
        }
    }

    /// Keeps what was given in its file, and puts it in force. Whoever calls it holds the lock of changes.
    ///
    /// # Errors
    ///
    /// When it makes no sense, or the file can't be written; then nothing has changed.
    pub(super) fn give(
        &self,
        all: Given,
        file: &str,
        content: Option<&impl Serialize>,
    ) -> Result<(), ControlError> {
        let (settings, resolver) = self.resolves()?;
        let backends =
            resolver::build(&all.with(settings)).map_err(|error| ControlError::Input(error.to_string()))?;
        let path = self.folder.join(file);
        let written = match content {
            Some(content) => toml::to_string(content)
                .map_err(io::Error::other)
                .and_then(|text| disk::replace(&path, text.as_bytes())),
            None => disk::remove(&path),
        };
        written.map_err(|error| ControlError::Server {
            message: format!("{}: {error}", path.display()),
            bad_input: false,
        })?;
        resolver.set_routes(backends);
        *self.routing.given.lock().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(())
    }
}
