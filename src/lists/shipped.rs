//! The starter lists: the well-known services and sites of each category, within the program.
//!
//! They are small and always in force, so that a box without the internet, or whose subscribed lists are all damaged,
//! still filters. One file in `lists/starter/` for each category, named for it; `name  # what it is; added 2026-11`,
//! `=name` for the name alone, or an address or a subnet. Files in `lists/name-servers/` are written alike and speak of
//! name servers.

use std::{borrow::Cow, net::IpAddr};

use ipnet::IpNet;
use rust_embed::Embed;

use super::{
    format::{MatchMode, Rule, Subject},
    index::{DomainIndex, ListMeta},
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

/// The index of all starter lists.
#[must_use]
pub fn starter(categories: &Categories) -> DomainIndex {
    let mut lists = lists(categories, Starter::iter(), false);
    lists.extend(self::lists(categories, NameServers::iter(), true));
    DomainIndex::from_rules(lists)
}

fn lists(
    categories: &Categories,
    files: impl Iterator<Item = Cow<'static, str>>,
    of_servers: bool,
) -> Vec<(ListMeta, Vec<Rule>)> {
    let mut files: Vec<_> = files.collect();
    files.sort();
    let list = |file: &Cow<'static, str>| {
        let category = file.strip_suffix(".txt")?;
        let id = format!("{PREFIX}{}{category}", if of_servers { OF_SERVERS } else { "" });
        let text = text_of(&id)?;
        let title = categories.find(category).map_or(category, |id| &categories.get(id).title);
        let rules: Vec<Rule> = entries(&text).filter_map(|(_, entry)| rule(entry, of_servers)).collect();
        let meta = ListMeta {
            title: format!("Starter list{}: {title}", if of_servers { " of name servers" } else { "" }),
            category: category.to_owned(),
            version: format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes())),
            entries: rules.len() as u64,
            id,
        };
        Some((meta, rules))
    };
    files.iter().filter_map(list).collect()
}

/// Where a starter list has a name: the line, from 1, and its text.
#[must_use]
pub fn line_of(list: &str, name: &Key) -> Option<(u64, String)> {
    let text = text_of(list)?;
    let is_it = |entry: &str| matches!(rule(entry, false), Some(Rule { subject: Subject::Name { key, .. }, .. }) if key == *name);
    entries(&text)
        .find(|(_, entry)| is_it(entry))
        .and_then(|(line, _)| Some((line, text.lines().nth(usize::try_from(line).ok()? - 1)?.to_owned())))
}

/// The text of a list, by its identifier.
fn text_of(list: &str) -> Option<String> {
    let name = list.strip_prefix(PREFIX)?;
    let file = match name.strip_prefix(OF_SERVERS) {
        Some(category) => NameServers::get(&format!("{category}.txt")),
        None => Starter::get(&format!("{name}.txt")),
    };
    Some(String::from_utf8_lossy(&file?.data).into_owned())
}

/// The lines that say something, without their comments, numbered from 1.
fn entries(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines()).filter_map(|(line, text)| {
        let entry = text.split('#').next().unwrap_or_default().trim();
        (!entry.is_empty()).then_some((line, entry))
    })
}

fn rule(entry: &str, of_servers: bool) -> Option<Rule> {
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
    let rule = Rule { subject, allow: false };
    Some(if of_servers { rule.of_name_servers() } else { rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_starter_list_belongs_to_a_category_and_every_line_is_a_name_or_an_address() {
        let categories = Categories::shipped();
        let mut files = 0;
        let names = Starter::iter().map(|file| (file, PREFIX.to_owned()));
        let servers = NameServers::iter().map(|file| (file, format!("{PREFIX}{OF_SERVERS}")));
        for (file, start) in names.chain(servers) {
            files += 1;
            let category = file.strip_suffix(".txt").unwrap();
            assert!(categories.find(category).is_some(), "{file} is named for no category");
            for (line, entry) in entries(&text_of(&format!("{start}{category}")).unwrap()) {
                let rule = rule(entry, false)
                    .unwrap_or_else(|| panic!("{file}, line {line}: {entry:?} is not a name or an address"));
                if let Subject::Name { key, .. } = rule.subject {
                    assert!(!key.is_icann_suffix(), "{file}, line {line}: {entry} is a public suffix");
                    let private = key.is_public_suffix() && start == PREFIX;
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
    fn the_test_hosts_of_filter_checks_are_in_no_starter_list() {
        let index = starter(&Categories::shipped());
        for name in
            ["testfiltering.com", "www.testfiltering.com", "pornographic.testfiltering.com", "wicar.org"]
        {
            assert!(index.lookup(&Key::parse(name).unwrap()).is_empty(), "{name}");
        }
    }
}
