//! Zones of the school that its own servers know, such as Active Directory, as they are given while the box runs.
//!
//! They stand in `zones.toml` in the data folder, beside those of `[[resolver.zone]]` in the settings, which come first.

use std::{net::IpAddr, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    Control, ControlError,
    given::{self, is_host},
};
use crate::{
    name::Key,
    resolver::{self, config::ZoneConfig},
};

/// The file's name in the data folder.
pub const ZONES: &str = "zones.toml";

/// How many zones there can be, and how many servers one can have.
const MOST_ZONES: usize = 100;
const MOST_SERVERS: usize = 8;

/// A zone that servers of the school know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnZone {
    /// Its name: `ad.school.example`, or `20.10.in-addr.arpa` for the names of addresses.
    pub name: String,
    /// The addresses of the servers that know it.
    pub servers: Vec<IpAddr>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ZonesFile {
    zone: Vec<OwnZone>,
}

/// The zones that were given.
pub(super) fn read(folder: &Path) -> Vec<OwnZone> {
    given::read::<ZonesFile>(folder, ZONES).unwrap_or_default().zone
}

/// The settings with these zones, but for those that stand there.
pub(super) fn with_zones(settings: &resolver::Config, own: &[OwnZone]) -> resolver::Config {
    let known: Vec<Key> = settings.zone.iter().filter_map(|zone| Key::parse(&zone.name).ok()).collect();
    let mut all = settings.clone();
    all.zone.extend(
        own.iter().filter(|zone| Key::parse(&zone.name).is_ok_and(|key| !known.contains(&key))).map(|zone| {
            ZoneConfig {
                name: zone.name.clone(),
                servers: zone.servers.iter().map(|server| bracketed(*server)).collect(),
                file: None,
            }
        }),
    );
    all
}

/// An address as settings write one.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(four) => four.to_string(),
        IpAddr::V6(six) => format!("[{six}]"),
    }
}

/// The zones with their names in one form; an error names what is wrong.
fn checked(zones: Vec<OwnZone>) -> Result<Vec<OwnZone>, ControlError> {
    let wrong = |message: String| ControlError::Input(message);
    if zones.len() > MOST_ZONES {
        return Err(wrong(format!("these are {} zones: give at most {MOST_ZONES}", zones.len())));
    }
    let mut all: Vec<OwnZone> = Vec::with_capacity(zones.len());
    for zone in zones {
        let key = Key::parse(zone.name.trim()).map_err(|error| wrong(format!("{:?}: {error}", zone.name)))?;
        let name = key.to_string();
        if key.depth() < 2 {
            return Err(wrong(format!(
                "{name:?} is too short: a zone of the school's has two parts at least, as ad.school.example"
            )));
        }
        if all.iter().any(|other| other.name == name) {
            return Err(wrong(format!("the zone {name} is there twice")));
        }
        if zone.servers.is_empty() || zone.servers.len() > MOST_SERVERS {
            return Err(wrong(format!("the zone {name} needs 1 to {MOST_SERVERS} servers")));
        }
        if let Some(server) = zone.servers.iter().find(|server| !is_host(**server)) {
            return Err(wrong(format!(
                "{server} can't be the server of {name}: give the address of a domain controller"
            )));
        }
        all.push(OwnZone { name, servers: zone.servers });
    }
    Ok(all)
}

impl Control {
    /// The zones that were given while the box ran.
    #[must_use]
    pub fn own_zones(&self) -> Vec<OwnZone> {
        self.given().zones
    }

    /// Puts these zones in the place of all that were given; in force at once, and at each start from now on.
    ///
    /// # Errors
    ///
    /// When a zone makes no sense, the settings have it, or the file can't be written; then nothing has changed.
    pub async fn set_own_zones(
        &self,
        zones: Vec<OwnZone>,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<(), ControlError> {
        let (settings, _) = self.resolves()?;
        let new = checked(zones)?;
        let of_settings = |zone: &&OwnZone| {
            settings
                .zone
                .iter()
                .any(|known| Key::parse(&known.name).is_ok_and(|key| key.to_string() == zone.name))
        };
        if let Some(zone) = new.iter().find(of_settings) {
            return Err(ControlError::Input(format!(
                "schoolgate.toml has the zone {} already: change it there",
                zone.name
            )));
        }
        let _changing = self.changing.lock().await;
        let mut all = self.given();
        if all.zones == new {
            return Ok(());
        }
        let said = said(&all.zones, &new);
        all.zones.clone_from(&new);
        self.give(all, ZONES, Some(&ZonesFile { zone: new }))?;
        self.audit_from(by, "zones.set", &said, from);
        Ok(())
    }
}

/// What changed, for the audit.
fn said(old: &[OwnZone], new: &[OwnZone]) -> String {
    let one = |zone: &OwnZone| {
        let servers: Vec<String> = zone.servers.iter().map(IpAddr::to_string).collect();
        format!("{} at {}", zone.name, servers.join(", "))
    };
    let added = new.iter().filter(|zone| !old.contains(zone)).map(|zone| format!("now {}", one(zone)));
    let gone = old
        .iter()
        .filter(|zone| !new.iter().any(|other| other.name == zone.name))
        .map(|zone| format!("no more {}", zone.name));
    added.chain(gone).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::control::backends;

    fn zone(name: &str, servers: &[&str]) -> OwnZone {
        OwnZone { name: name.to_owned(), servers: servers.iter().map(|s| s.parse().unwrap()).collect() }
    }

    #[test]
    fn zones_that_make_no_sense_are_refused_by_name() {
        for (zones, word) in [
            (vec![zone("a b", &["10.0.0.1"])], "a b"),
            (vec![zone("local", &["10.0.0.1"])], "too short"),
            (vec![zone("ad.example", &[])], "servers"),
            (vec![zone("ad.example", &["127.0.0.1"])], "127.0.0.1"),
            (vec![zone("ad.example", &["0.0.0.0"])], "0.0.0.0"),
            (vec![zone("AD.example", &["10.0.0.1"]), zone("ad.example.", &["10.0.0.2"])], "twice"),
            (vec![zone("ad.example", &["10.0.0.1"; 9])], "1 to 8"),
            (vec![zone("ad.example", &["10.0.0.1"]); 101], "at most 100"),
        ] {
            let error = checked(zones).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert_eq!(checked(vec![zone(" AD.Example. ", &["fd00::1"])]).unwrap()[0].name, "ad.example");
    }

    #[test]
    fn the_settings_come_first_and_a_damaged_file_costs_only_its_zones() {
        let settings: resolver::Config =
            toml::from_str("[[zone]]\nname = \"ad.example\"\nservers = [\"10.0.0.1\"]").unwrap();
        let own = [zone("ad.example", &["10.9.9.9"]), zone("10.in-addr.arpa", &["10.0.0.1", "fd00::1"])];
        let all = with_zones(&settings, &own);
        assert_eq!(all.zone.len(), 2);
        assert_eq!(all.zone[0].servers, ["10.0.0.1"]);
        assert_eq!(all.zone[1].servers, ["10.0.0.1", "[fd00::1]"]);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(ZONES), "zone = 7").unwrap();
        assert_eq!(backends(&settings, folder.path()).unwrap().zones.len(), 1);
        let file = ZonesFile { zone: own.to_vec() };
        fs::write(folder.path().join(ZONES), toml::to_string(&file).unwrap()).unwrap();
        assert_eq!(backends(&settings, folder.path()).unwrap().zones.len(), 2);
        // One that can't be used takes none of the settings' with it.
        let text = "[[zone]]\nname = \"a..b\"\nservers = [\"10.0.0.1\"]\n[[zone]]\nname = \"x.example\"\nservers = []";
        fs::write(folder.path().join(ZONES), text).unwrap();
        assert_eq!(backends(&settings, folder.path()).unwrap().zones.len(), 1);
    }

    #[test]
    fn the_audit_says_what_changed() {
        let old = [zone("a.example", &["10.0.0.1"]), zone("b.example", &["10.0.0.1"])];
        let new = [zone("a.example", &["10.0.0.2"]), zone("c.example", &["10.0.0.1"])];
        assert_eq!(
            said(&old, &new),
            "now a.example at 10.0.0.2; now c.example at 10.0.0.1; no more b.example"
        );
    }

    #[tokio::test]
    async fn zones_are_in_force_at_once_and_at_the_next_start() {
        use crate::{
            clock::Clock,
            feeds::{self, Feeds, http::SystemLookup},
            resolver::Resolver,
            store::AuditQuery,
        };
        let folder = tempfile::tempdir().unwrap();
        let (settings, clock) = (resolver::Config::default(), Clock::system());
        let routes = backends(&settings, folder.path()).unwrap();
        let runtime = tokio::runtime::Handle::current();
        let resolver = std::sync::Arc::new(Resolver::new(routes, (&settings).into(), clock.clone(), runtime));
        let feeds = feeds::Config { automatic: false, ..feeds::Config::default() };
        let feeds = Feeds::new(&feeds, std::sync::Arc::new(SystemLookup), clock.clone()).unwrap();
        let control = Control::open(folder.path(), clock, feeds, 5).unwrap();
        let control = control.with_resolver(std::sync::Arc::clone(&resolver)).with_routing(&settings);
        let name = hickory_proto::rr::Name::from_ascii("dc1.ad.example.").unwrap();
        let query = hickory_proto::op::Query::query(name, hickory_proto::rr::RecordType::A);
        assert!(!resolver.is_own(&query));
        control.set_own_zones(vec![zone("ad.example", &["10.0.0.1"])], "head", None).await.unwrap();
        assert!(resolver.is_own(&query));
        assert_eq!(backends(&settings, folder.path()).unwrap().zones.len(), 1);
        let wrong = control.set_own_zones(vec![zone("ad.example", &[])], "head", None).await;
        assert!(wrong.is_err() && resolver.is_own(&query) && control.own_zones().len() == 1);
        control.set_own_zones(Vec::new(), "head", None).await.unwrap();
        assert!(!resolver.is_own(&query));
        let audit = control.audit_page(&AuditQuery::default()).unwrap();
        assert!(format!("{audit:?}").contains("no more ad.example"), "{audit:?}");
    }
}
