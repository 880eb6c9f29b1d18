//! What the product knows of names by itself: the starter lists, the services, the curated core.
//!
//! All of it is small and always in force, so that a box without the internet, or whose subscribed lists are all
//! damaged, still filters. A starter list is a file in `lists/starter/`, named for its category; a line is `name  # what
//! it is; added 2026-11`, `=name` for the name alone, or an address or a subnet. Files in `lists/name-servers/` are
//! written alike and speak of name servers. [`services`] and [`curated`] add theirs.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use rust_embed::Embed;

use super::{
    curated,
    format::{MatchMode, Rule, Subject},
    index::{DomainIndex, ListMeta},
    services,
};
use crate::{category::Categories, name::Key};

#[derive(Embed)]
#[folder = "lists/starter/"]
struct Starter;

#[derive(Embed)]
#[folder = "lists/name-servers/"]
struct NameServers;

/// What starts the identifier of a starter list; the category's follows.
pub const PREFIX: &str = "starter-";

/// What stands between [`PREFIX`] and the category for a list of name servers.
const OF_SERVERS: &str = "name-servers-";

/// What starts the identifier of a list of the curated core; the category's follows.
pub const CURATED: &str = "curated-";

/// Whether a list is one that the product ships, by its identifier.
#[must_use]
pub fn is_shipped(list: &str) -> bool {
    list.starts_with(PREFIX) || list.starts_with(CURATED)
}

/// The index of everything that the product ships: the starter lists, those of name servers, then
/// the curated core.
#[must_use]
pub fn starter(categories: &Categories) -> DomainIndex {
    // Each list's names as they are written, in the order of the lists' identifiers.
    let mut starter: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in starter_files() {
        if let Some(category) = file.strip_suffix(".txt") {
            let names = entries(&text).map(|(_, name)| name.to_owned()).collect();
            starter.insert(category.to_owned(), names);
        }
    }
    for service in services::shipped().iter().filter(|service| service.listed) {
        starter.entry(service.category.clone()).or_default().extend(service.names.iter().cloned());
    }
    let mut servers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in server_files() {
        if let Some(category) = file.strip_suffix(".txt") {
            let entries = entries(&text).map(|(_, entry)| entry.to_owned()).collect();
            servers.insert(category.to_owned(), entries);
        }
    }
    let mut core: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in curated::shipped() {
        core.entry(entry.category).or_default().push(entry.name);
    }
    let list = |prefix: &str, kind: &str, category: String, names: &[String]| {
        let title = categories.find(&category).map_or(category.as_str(), |id| &categories.get(id).title);
        let title = format!("{kind}: {title}");
        let rules: Vec<Rule> = names.iter().filter_map(|name| rule(name)).collect();
        let version = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(names.join("\n").as_bytes()));
        let entries = rules.len() as u64;
        (ListMeta { id: format!("{prefix}{category}"), title, category, version, entries }, rules)
    };
    let of_servers = format!("{PREFIX}{OF_SERVERS}");
    let lists = starter
        .into_iter()
        .map(|(category, names)| list(PREFIX, "Starter list", category, &names))
        .chain(servers.into_iter().map(|(category, entries)| {
            let (meta, rules) = list(&of_servers, "Starter list of name servers", category, &entries);
            (meta, rules.into_iter().map(Rule::of_name_servers).collect())
        }))
        .chain(core.into_iter().map(|(category, names)| list(CURATED, "Curated core", category, &names)))
        .collect();
    DomainIndex::from_rules(lists)
}

/// Where a shipped list has a name: the line in its file, from 1, and what it says there.
///
/// For the curated core that is the reason, the reviewer and the dates; for a service its title and source.
#[must_use]
pub fn line_of(list: &str, name: &Key) -> Option<(u64, String)> {
    let is_it = |written: &str| matches!(rule(written), Some(Rule { subject: Subject::Name { key, .. }, .. }) if key == *name);
    if let Some(category) = list.strip_prefix(CURATED) {
        let entry =
            curated::shipped().into_iter().find(|entry| entry.category == category && is_it(&entry.name))?;
        return Some((entry.line, entry.provenance()));
    }
    let category = list.strip_prefix(PREFIX)?;
    let text = match category.strip_prefix(OF_SERVERS) {
        Some(category) => text_of(server_files(), category),
        None => text_of(starter_files(), category),
    };
    if let Some(text) = text
        && let Some((line, _)) = entries(&text).find(|(_, written)| is_it(written))
    {
        return Some((line, text.lines().nth(usize::try_from(line).ok()? - 1)?.to_owned()));
    }
    let service = services::shipped()
        .iter()
        .filter(|service| service.listed && service.category == category)
        .find(|service| service.names.iter().any(|written| is_it(written)))?;
    let line = services::files().find_map(|(_, text)| service_line(&text, &service.id))?;
    Some((line, format!("{name}: {} (service {}); source: {}", service.title, service.id, service.source)))
}

/// The line, from 1, of a service's `id`.
fn service_line(text: &str, id: &str) -> Option<u64> {
    let wanted = format!("id = \"{id}\"");
    (1..).zip(text.lines()).find(|(_, line)| *line == wanted).map(|(line, _)| line)
}

/// The texts of some embedded files, sorted by name.
pub(super) fn embedded<F: Embed>() -> impl Iterator<Item = (String, String)> {
    let mut files: Vec<_> = F::iter().collect();
    files.sort();
    files.into_iter().filter_map(|file| {
        let text = String::from_utf8_lossy(&F::get(&file)?.data).into_owned();
        Some((file.into_owned(), text))
    })
}

/// The starter lists' files with their texts, sorted by name.
pub(super) fn starter_files() -> impl Iterator<Item = (String, String)> {
    embedded::<Starter>()
}

/// The same of the lists of name servers.
pub(super) fn server_files() -> impl Iterator<Item = (String, String)> {
    embedded::<NameServers>()
}

/// The text of a category's file among some files.
fn text_of(mut files: impl Iterator<Item = (String, String)>, category: &str) -> Option<String> {
    files.find(|(file, _)| file.strip_suffix(".txt") == Some(category)).map(|(_, text)| text)
}

/// The lines that say something, without their comments, numbered from 1.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines()).filter_map(|(line, text)| {
        let entry = text.split('#').next().unwrap_or_default().trim();
        (!entry.is_empty()).then_some((line, entry))
    })
}

pub(super) fn rule(entry: &str) -> Option<Rule> {
    let subject = if let Ok(net) = entry.parse::<IpNet>() {
        Subject::Address(net.trunc())
    } else if let Ok(address) = entry.parse::<IpAddr>() {
        Subject::Address(address.into())
    } else {
        let (name, mode) = match entry.strip_prefix('=') {
            Some(name) => (name, MatchMode::Exact),
            None => (entry, MatchMode::Subdomains),
        };
        Subject::Name { key: Key::parse(name).ok()?, mode }
    };
    Some(Rule { subject, allow: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_starter_list_belongs_to_a_category_and_every_line_is_a_name_or_an_address() {
        let categories = Categories::shipped();
        let mut files = 0;
        let names = starter_files().map(|(file, text)| (file, text, false));
        let servers = server_files().map(|(file, text)| (file, text, true));
        for (file, text, of_servers) in names.chain(servers) {
            files += 1;
            let category = file.strip_suffix(".txt").unwrap();
            assert!(categories.find(category).is_some(), "{file} is named for no category");
            for (line, entry) in entries(&text) {
                let rule = rule(entry)
                    .unwrap_or_else(|| panic!("{file}, line {line}: {entry:?} is not a name or an address"));
                if let Subject::Name { key, .. } = rule.subject {
                    assert!(!key.is_icann_suffix(), "{file}, line {line}: {entry} is a public suffix");
                    let private = key.is_public_suffix() && !of_servers;
                    assert!(!private, "{file}, line {line}: {entry} is a public suffix");
                }
            }
        }
        assert!(files > 20, "the starter lists are embedded");
    }

    #[test]
    fn a_starter_name_is_found_with_its_line() {
        let index = starter(&Categories::shipped());
        let key = Key::parse("www.bet365.com").unwrap();
        let hits = index.lookup(&key);
        assert_eq!(hits.len(), 1);
        let entry = index.sets()[hits[0].set as usize][0];
        let list = &index.lists()[usize::from(entry.list)];
        assert_eq!((list.id.as_str(), hits[0].depth), ("starter-gambling", 2));
        let (line, text) = line_of(&list.id, &Key::parse("bet365.com").unwrap()).unwrap();
        assert!(line > 1 && text.starts_with("bet365.com"), "{line}: {text}");
    }

    #[test]
    fn a_starter_name_server_is_found_with_its_line_and_is_no_name() {
        let index = starter(&Categories::shipped());
        let key = Key::parse("ns1.afraid.org").unwrap();
        let said: Vec<_> = index
            .lookup(&key)
            .iter()
            .flat_map(|hit| index.sets()[hit.set as usize].iter())
            .map(|entry| (entry.of_servers, index.lists()[usize::from(entry.list)].id.clone()))
            .collect();
        assert_eq!(said, [(true, "starter-name-servers-dynamic-dns".to_owned())]);
        let (line, text) = line_of(&said[0].1, &Key::parse("afraid.org").unwrap()).unwrap();
        assert!(line > 1 && text.starts_with("afraid.org"), "{line}: {text}");
    }

    #[test]
    fn a_services_name_is_found_with_its_service_and_a_curated_one_with_its_reason() {
        let index = starter(&Categories::shipped());
        let lists_of = |name: &str| -> Vec<String> {
            let key = Key::parse(name).unwrap();
            let sets = index.lookup(&key).into_iter().map(|hit| &index.sets()[hit.set as usize]);
            sets.flatten().map(|entry| index.lists()[usize::from(entry.list)].id.clone()).collect()
        };
        assert_eq!(lists_of("www.tiktok.com"), ["starter-social"]);
        let (line, text) = line_of("starter-social", &Key::parse("tiktok.com").unwrap()).unwrap();
        assert!(line > 1 && text.starts_with("tiktok.com: TikTok (service tiktok); source: "), "{text}");
        assert_eq!(lists_of("character.ai"), ["curated-ai-companion"]);
        let (line, text) = line_of("curated-ai-companion", &Key::parse("character.ai").unwrap()).unwrap();
        assert!(line > 1 && text.contains("by Schoolgate maintainers, review by 20"), "{text}");
        // Lessons are held there, so no category closes it.
        assert!(lists_of("teams.microsoft.com").is_empty());
    }

    #[test]
    fn the_test_hosts_of_filter_checks_are_in_no_starter_list() {
        let index = starter(&Categories::shipped());
        for name in
            ["testfiltering.com", "www.testfiltering.com", "pornographic.testfiltering.com", "wicar.org"]
        {
            assert!(index.lookup(&Key::parse(name).unwrap()).is_empty(), "{name}");
        }
    }
}
