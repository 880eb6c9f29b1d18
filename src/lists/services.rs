//! The services that a school can switch one by one: Snapchat, Spotify, Fortnite.
//!
//! A table is a file in `lists/services/`, written by us from what the services' makers publish. The names of a service
//! are part of the starter list of its category too, unless it says that they are not ([`Service::listed`]).

use std::sync::LazyLock;

use rust_embed::Embed;
use serde::Deserialize;

#[derive(Embed)]
#[folder = "lists/services/"]
struct Files;

/// A service with the names that it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The identifier that policies use (`tiktok`); never changes.
    pub id: String,
    /// What people read.
    pub title: String,
    /// The identifier of the category that it belongs to.
    pub category: String,
    /// Whether the starter list of the category has the names. Where not, only a switch does something about them, or
    /// another list has them.
    #[serde(default = "yes")]
    pub listed: bool,
    /// The names as in a rule: with what is below them, or alone after `=`.
    pub names: Vec<String>,
    /// The services without which this one does not work; a switch that opens this one opens them.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The public documentation that the names were written from.
    pub source: String,
    /// What a school should know before it switches the service; may be empty.
    #[serde(default)]
    pub note: String,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    service: Vec<Service>,
}

/// Reads a table of services.
///
/// # Errors
///
/// When the text is not such a table; what the names are is not looked at (see [`lint`](super::curated::lint)).
pub fn parse(text: &str) -> Result<Vec<Service>, toml::de::Error> {
    Ok(toml::from_str::<Table>(text)?.service)
}

/// The services that the product ships, sorted by their identifiers.
#[must_use]
pub fn shipped() -> &'static [Service] {
    static SHIPPED: LazyLock<Vec<Service>> = LazyLock::new(|| {
        // A test of this module parses each of the embedded files, so none is left out.
        let mut all: Vec<Service> = files().filter_map(|(_, text)| parse(&text).ok()).flatten().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    });
    &SHIPPED
}

/// The files with their texts, sorted by name.
pub(super) fn files() -> impl Iterator<Item = (String, String)> {
    super::shipped::embedded::<Files>()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::{
        category::{Categories, LOCKED, SECURITY},
        lists::{format::Subject, shipped::rule},
    };

    #[test]
    fn every_table_is_read_and_every_identifier_is_there_once() {
        for (file, text) in files() {
            assert!(!parse(&text).unwrap_or_else(|e| panic!("{file}: {e}")).is_empty(), "{file}");
        }
        let services = shipped();
        assert!(services.len() >= 60, "{}", services.len());
        let ids: HashSet<&str> = services.iter().map(|service| service.id.as_str()).collect();
        assert_eq!(ids.len(), services.len());
        for service in services {
            for needed in &service.needs {
                assert!(ids.contains(needed.as_str()), "{}: {needed}", service.id);
            }
            let is_id = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            assert!(service.id.bytes().all(is_id), "{}", service.id);
            assert!(!service.title.is_empty() && !service.source.is_empty(), "{}", service.id);
        }
    }

    #[test]
    fn every_service_is_in_a_category_that_can_be_opened_for_someone() {
        let categories = Categories::shipped();
        for service in shipped() {
            assert!(categories.find(&service.category).is_some(), "{}: {}", service.id, service.category);
            let everyone = LOCKED.iter().any(|(id, whom)| *id == service.category && whom.len() == 3);
            assert!(!everyone && !SECURITY.contains(&service.category.as_str()), "{}", service.id);
        }
    }

    #[test]
    fn a_name_belongs_to_one_service_and_is_nobody_elses_suffix() {
        let mut owners: HashMap<Vec<u8>, &str> = HashMap::new();
        let mut below = Vec::new();
        for service in shipped() {
            assert!(!service.names.is_empty(), "{}", service.id);
            for name in &service.names {
                let rule = rule(name).unwrap_or_else(|| panic!("{}: {name:?} is not a name", service.id));
                let Subject::Name { key, .. } = rule.subject else { unreachable!() };
                assert!(!key.is_public_suffix(), "{}: {name} is a public suffix", service.id);
                let other = owners.insert(key.as_bytes().to_vec(), &service.id);
                assert_eq!(other, None, "{name} is of {} too", service.id);
                below.push((key, service.id.as_str(), name.starts_with('=')));
            }
        }
        for (key, id, _) in &below {
            for (parent, other, exact) in &below {
                assert!(
                    id == other || *exact || !key.is_within(parent),
                    "{key} of {id} lies below {parent} of {other}"
                );
            }
        }
    }
}
