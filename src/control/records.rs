//! Single names of the school, such as a printer's, as they are given while the box runs.
//!
//! They stand in `records.toml` in the data folder, beside those of `[[resolver.record]]` in the settings, which come first.

use std::{net::IpAddr, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    Control, ControlError,
    given::{self, is_host},
};
use crate::{
    name::Key,
    resolver::{self, config::RecordConfig},
};

/// The file's name in the data folder.
pub const RECORDS: &str = "records.toml";

/// How many there can be.
const MOST_RECORDS: usize = 500;

/// A name of the school's, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnRecord {
    /// The name: `printer.school.example`; `*.lab.school.example` is every name below that has no record of its own.
    pub name: String,
    /// An address, or the other name that it stands for. A name may have several addresses, one record each.
    pub value: String,
}

impl OwnRecord {
    /// The name; of `*.lab.school.example` what is behind the star.
    pub(super) fn base(&self) -> &str {
        self.name.strip_prefix("*.").unwrap_or(&self.name)
    }

    /// As the settings have it.
    fn config(&self) -> RecordConfig {
        let (kind, value) = match self.value.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => ("A", self.value.clone()),
            Ok(IpAddr::V6(_)) => ("AAAA", self.value.clone()),
            // With the dot that says that it is the whole name.
            Err(_) => ("CNAME", format!("{}.", self.value)),
        };
        RecordConfig { name: self.name.clone(), r#type: kind.to_owned(), value, ttl: RecordConfig::TTL }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RecordsFile {
    record: Vec<OwnRecord>,
}

/// The records that were given.
pub(super) fn read(folder: &Path) -> Vec<OwnRecord> {
    given::read::<RecordsFile>(folder, RECORDS).unwrap_or_default().record
}

/// The settings with these records, but for names that have some there.
pub(super) fn with_records(settings: &resolver::Config, own: &[OwnRecord]) -> resolver::Config {
    let mut all = settings.clone();
    all.record.extend(own.iter().filter(|record| !is_of(settings, record)).map(OwnRecord::config));
    all
}

fn is_of(settings: &resolver::Config, record: &OwnRecord) -> bool {
    let same = |known: &RecordConfig| {
        known.name.starts_with("*.") == record.name.starts_with("*.")
            && Key::parse(known.name.strip_prefix("*.").unwrap_or(&known.name)).ok()
                == Key::parse(record.base()).ok()
    };
    settings.record.iter().any(same)
}

/// The records in one form, each once; an error names what is wrong.
fn checked(records: Vec<OwnRecord>) -> Result<Vec<OwnRecord>, ControlError> {
    let wrong = |message: String| Err(ControlError::Input(message));
    if records.len() > MOST_RECORDS {
        return wrong(format!("these are {} names: give at most {MOST_RECORDS}", records.len()));
    }
    let mut all: Vec<OwnRecord> = Vec::with_capacity(records.len());
    for record in records {
        let name = record.name.trim();
        let (star, base) = name.strip_prefix("*.").map_or(("", name), |base| ("*.", base));
        let key = match Key::parse(base) {
            Ok(key) => key,
            Err(error) => return wrong(format!("{name:?}: {error}")),
        };
        if !is_name(&key) {
            return wrong(format!(
                "{name:?} is too short, or an address: a name of the school's has two parts at least, as \
                 printer.school.example"
            ));
        }
        let value = record.value.trim();
        let value = match value.parse::<IpAddr>() {
            Ok(address) if !is_host(address) => {
                return wrong(format!(
                    "{name} can't lead to {address}: give the address of a device, or block the site if nobody is to \
                     reach it"
                ));
            }
            Ok(address) => address.to_canonical().to_string(),
            Err(_) => match Key::parse(value) {
                Ok(other) if is_name(&other) && (other != key || !star.is_empty()) => other.to_string(),
                _ => {
                    return wrong(format!(
                        "{name}: {value:?} is neither an address, as 10.0.0.40, nor another name"
                    ));
                }
            },
        };
        let record = OwnRecord { name: format!("{star}{key}"), value };
        if !all.contains(&record) {
            all.push(record);
        }
    }
    Ok(all)
}

/// Whether it has two parts at least, and is no address that was half typed.
fn is_name(key: &Key) -> bool {
    let text = key.to_string();
    let last = text.rsplit('.').next().unwrap_or_default();
    key.depth() > 1 && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl Control {
    /// The records that were given while the box ran.
    #[must_use]
    pub fn own_records(&self) -> Vec<OwnRecord> {
        self.given().records
    }

    /// The names that have records in the settings, which can't be changed here.
    #[must_use]
    pub fn settings_records(&self) -> Vec<String> {
        let records = self.routing.settings.iter().flat_map(|settings| &settings.record);
        let mut names: Vec<String> = records.map(|record| record.name.clone()).collect();
        names.dedup();
        names
    }

    /// Puts these records in the place of all that were given; in force at once, and at each start from now on.
    ///
    /// # Errors
    ///
    /// When one makes no sense, the settings have the name, or the file can't be written; then nothing has changed.
    pub async fn set_own_records(
        &self,
        records: Vec<OwnRecord>,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<(), ControlError> {
        let (settings, _) = self.resolves()?;
        let new = checked(records)?;
        if let Some(record) = new.iter().find(|record| is_of(settings, record)) {
            return Err(ControlError::Input(format!(
                "schoolgate.toml has the name {} already: change it there",
                record.name
            )));
        }
        let _changing = self.changing.lock().await;
        let mut all = self.given();
        if all.records == new {
            return Ok(());
        }
        let said = said(&all.records, &new);
        all.records.clone_from(&new);
        self.give(all, RECORDS, Some(&RecordsFile { record: new }))?;
        self.audit_from(by, "records.set", &said, from);
        Ok(())
    }
}

/// What changed, for the audit.
fn said(old: &[OwnRecord], new: &[OwnRecord]) -> String {
    let one = |record: &OwnRecord| format!("{} is {}", record.name, record.value);
    let added =
        new.iter().filter(|record| !old.contains(record)).map(|record| format!("now {}", one(record)));
    let gone =
        old.iter().filter(|record| !new.contains(record)).map(|record| format!("no more {}", one(record)));
    added.chain(gone).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::backends;

    fn record(name: &str, value: &str) -> OwnRecord {
        OwnRecord { name: name.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn names_that_make_no_sense_are_refused_and_the_rest_has_one_form() {
        for (name, value, word) in [
            ("a b", "10.0.0.1", "a b"),
            ("printer", "10.0.0.1", "too short"),
            ("10.0.0", "10.0.0.1", "too short"),
            ("*.example", "10.0.0.1", "too short"),
            ("printer.school.example", "0.0.0.0", "block the site"),
            ("printer.school.example", "127.0.0.1", "127.0.0.1"),
            ("printer.school.example", "224.0.0.251", "224.0.0.251"),
            ("printer.school.example", "", "neither"),
            ("printer.school.example", "10.0.0", "neither"),
            ("printer.school.example", "http://x.example/", "neither"),
            ("printer.school.example", "Printer.School.Example.", "neither"),
        ] {
            let result = checked(vec![record(name, value)]);
            let error = result.map_err(|error| error.to_string()).expect_err(&format!("{name} {value}"));
            assert!(error.contains(word), "{error}");
        }
        let many = vec![record("printer.school.example", "10.0.0.1"); MOST_RECORDS + 1];
        assert!(checked(many).unwrap_err().to_string().contains("at most 500"));
        let typed = [
            record(" Printer.School.Example. ", " 10.0.0.40 "),
            record("printer.school.example", "10.0.0.40"),
            record("printer.school.example", "FD00::40"),
            record("*.Lab.school.example", "lab.school.example."),
        ];
        let kept = [
            record("printer.school.example", "10.0.0.40"),
            record("printer.school.example", "fd00::40"),
            record("*.lab.school.example", "lab.school.example"),
        ];
        assert_eq!(checked(typed.to_vec()).unwrap(), kept);
    }

    #[test]
    fn the_settings_come_first_and_a_damaged_file_costs_nothing_else() {
        let settings: resolver::Config =
            toml::from_str("[[record]]\nname = \"a.example\"\ntype = \"A\"\nvalue = \"10.0.0.1\"").unwrap();
        let own = [
            record("A.example", "10.9.9.9"),
            record("*.a.example", "10.0.0.2"),
            record("b.example", "a.example"),
        ];
        let all = with_records(&settings, &own);
        let values: Vec<&str> = all.record.iter().map(|record| record.value.as_str()).collect();
        assert_eq!(values, ["10.0.0.1", "10.0.0.2", "a.example."]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("zones.toml"),
            "[[zone]]\nname = \"ad.example\"\nservers = [\"10.0.0.1\"]",
        )
        .unwrap();
        // The last has a name that stands for another one and has an address as well.
        for damaged in [
            "record = 7",
            "\u{0}",
            "[[record]]\nname = \"a..b\"\nvalue = \"10.0.0.1\"",
            "[[record]]\nname = \"c.example\"\nvalue = \"b.example\"\n[[record]]\nname = \"c.example\"\nvalue = \"10.0.0.1\"",
        ] {
            std::fs::write(folder.path().join(RECORDS), damaged).unwrap();
            assert_eq!(backends(&settings, folder.path()).unwrap().zones.len(), 1, "{damaged}");
        }
    }

    #[test]
    fn the_audit_says_what_changed() {
        let old = [record("a.example", "10.0.0.1"), record("b.example", "10.0.0.2")];
        let new = [record("a.example", "10.0.0.3"), record("b.example", "10.0.0.2")];
        assert_eq!(said(&old, &new), "now a.example is 10.0.0.3; no more a.example is 10.0.0.1");
    }
}
