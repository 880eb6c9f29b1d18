//! Who finds the names that are not the school's own, as it is chosen while the box runs.
//!
//! It stands in `resolving.toml` in the data folder, and goes before `mode` and `forwarders` of the settings: on the appliance
//! those come with the image, and a school whose line lets only some resolvers through needs others.

use std::{net::IpAddr, path::Path, time::Duration};

use futures_util::future::join_all;
use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{Name, RecordType},
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{Control, ControlError, given};
use crate::{
    clock::Clock,
    resolver::{self, Ask, Resolver, config::Mode},
};

/// The file's name in the data folder.
pub(super) const RESOLVING: &str = "resolving.toml";

/// How many resolvers can be asked.
const MOST_FORWARDERS: usize = 8;

/// How long one may take to answer before it is put in force.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is asked of one: there is an answer to it wherever the internet is, and no filter has it.
const TRIED: &str = "uk.";

/// How names are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolving {
    /// The box asks the servers of each name itself, and no resolver of others.
    pub recurses: bool,
    /// The resolvers that are asked otherwise.
    pub forwarders: Vec<String>,
    /// It was chosen while the box ran, so the settings have no say.
    pub is_chosen: bool,
    /// The zones of the settings, which can't be changed here.
    pub settings_zones: Vec<String>,
}

/// Who finds names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// The resolvers that are asked, written as in the settings; where there is none, the box asks the servers of each name
    /// itself.
    pub forwarders: Vec<String>,
}

/// The way that was chosen.
pub(super) fn read(folder: &Path) -> Option<Way> {
    given::read(folder, RESOLVING)
}

/// The settings, with the way that was chosen in the place of their own.
pub(super) fn with_way(settings: &resolver::Config, way: Option<&Way>) -> resolver::Config {
    let mut all = settings.clone();
    if let Some(way) = way {
        all.mode = if way.forwarders.is_empty() { Mode::Recurse } else { Mode::Forward };
        all.forwarders.clone_from(&way.forwarders);
    }
    all
}

/// The way with each resolver once, written as it was.
fn checked(way: Way) -> Result<Way, ControlError> {
    let mut forwarders: Vec<String> = Vec::new();
    for forwarder in way.forwarders.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        if !forwarders.iter().any(|other| other == forwarder) {
            forwarders.push(forwarder.to_owned());
        }
    }
    if forwarders.len() > MOST_FORWARDERS {
        let message = format!("these are {} resolvers: give at most {MOST_FORWARDERS}", forwarders.len());
        return Err(ControlError::Input(message));
    }
    Ok(Way { forwarders })
}

/// Whether names are found with these settings alone.
async fn works(settings: &resolver::Config, clock: &Clock) -> bool {
    let Ok(backends) = resolver::build(settings) else { return false };
    let resolver = Resolver::new(backends, settings.into(), clock.clone(), Handle::current());
    let query = Query::query(Name::from_ascii(TRIED).unwrap_or_default(), RecordType::SOA);
    let resolved = tokio::time::timeout(PATIENCE, resolver.resolve(&query, Ask::default())).await;
    resolved.is_ok_and(|resolved| matches!(resolved.rcode, ResponseCode::NoError | ResponseCode::NXDomain))
}

impl Control {
    /// How names are resolved; none where nothing is.
    #[must_use]
    pub fn resolving(&self) -> Option<Resolving> {
        let settings = self.routing.settings.as_ref()?;
        let way = self.given().way;
        let now = with_way(settings, way.as_ref());
        Some(Resolving {
            recurses: now.mode == Mode::Recurse,
            forwarders: now.forwarders,
            is_chosen: way.is_some(),
            settings_zones: settings.zone.iter().map(|zone| zone.name.clone()).collect(),
        })
    }

    /// Finds names in this way from now on and after each start; as the settings say, if there is none. Unless `untried`,
    /// each resolver has to answer first.
    ///
    /// # Errors
    ///
    /// When it makes no sense, one does not answer, or the file can't be written; then nothing has changed.
    pub async fn set_way(
        &self,
        way: Option<Way>,
        untried: bool,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<(), ControlError> {
        let (settings, _) = self.resolves()?;
        let new = way.map(checked).transpose()?;
        let _changing = self.changing.lock().await;
        let mut all = self.given();
        if all.way == new {
            return Ok(());
        }
        if !untried {
            try_out(&with_way(settings, new.as_ref()), &self.clock).await?;
        }
        all.way.clone_from(&new);
        self.give(all, RESOLVING, new.as_ref())?;
        self.audit_from(by, "resolving.set", &said(new.as_ref()), from);
        Ok(())
    }
}

/// Each resolver by itself: the one that answers first would hide that the others never do.
async fn try_out(settings: &resolver::Config, clock: &Clock) -> Result<(), ControlError> {
    let refused = |message: String| Err(ControlError::Input(message));
    resolver::build(settings).map_err(|error| ControlError::Input(error.to_string()))?;
    let alone = resolver::Config { zone: Vec::new(), record: Vec::new(), ..settings.clone() };
    if settings.mode == Mode::Recurse {
        return if works(&alone, clock).await {
            Ok(())
        } else {
            refused(String::from(
                "the servers of the internet do not answer this box: does a firewall let only some resolvers through?",
            ))
        };
    }
    let each = settings.forwarders.iter().map(|forwarder| {
        let one = resolver::Config { forwarders: vec![forwarder.clone()], ..alone.clone() };
        async move { (forwarder, works(&one, clock).await) }
    });
    let silent: Vec<&str> =
        join_all(each).await.into_iter().filter(|(_, works)| !works).map(|(one, _)| one.as_str()).collect();
    if silent.is_empty() { Ok(()) } else { refused(format!("no answer from {}", silent.join(", "))) }
}

/// What was chosen, for the audit.
fn said(way: Option<&Way>) -> String {
    match way {
        None => String::from("as the settings say"),
        Some(way) if way.forwarders.is_empty() => String::from("the box finds names itself"),
        Some(way) => format!("asks {}", way.forwarders.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::control::{ZONES, backends};

    #[test]
    fn each_resolver_is_named_once_and_there_are_not_too_many() {
        let way =
            |forwarders: &[&str]| Way { forwarders: forwarders.iter().map(ToString::to_string).collect() };
        assert_eq!(checked(way(&[" 9.9.9.9 ", "", "9.9.9.9"])).unwrap(), way(&["9.9.9.9"]));
        let many: Vec<String> = (0..9).map(|last| format!("10.0.0.{last}")).collect();
        let error = checked(Way { forwarders: many }).unwrap_err().to_string();
        assert!(error.contains("at most 8"), "{error}");
    }

    #[test]
    fn what_was_chosen_goes_before_the_settings_and_a_damaged_file_costs_nothing_else() {
        let settings: resolver::Config =
            toml::from_str("mode = \"forward\"\nforwarders = [\"9.9.9.9\"]").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(RESOLVING);
        assert_eq!(read(folder.path()), None);
        fs::write(&file, "forwarders = []").unwrap();
        let recurses = with_way(&settings, read(folder.path()).as_ref());
        assert!(recurses.mode == Mode::Recurse && recurses.forwarders.is_empty());
        fs::write(&file, "forwarders = [\"10.0.0.1\", \"10.0.0.2\"]").unwrap();
        let others = with_way(&settings, read(folder.path()).as_ref());
        assert!(others.mode == Mode::Forward && others.forwarders.len() == 2);
        fs::write(folder.path().join(ZONES), "[[zone]]\nname = \"ad.example\"\nservers = [\"10.0.0.1\"]")
            .unwrap();
        for damaged in ["forwarders = 7", "forwarders = [\"no resolver\"]", "other = 1", "\u{0}"] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(backends(&settings, folder.path()).unwrap().zones.len(), 1, "{damaged}");
        }
    }
}
