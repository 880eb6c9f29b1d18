//! The starter lists: the well-known services and sites of each category, within the program.
//!
//! They are small and always in force, so that a box without the internet, or whose subscribed lists are all damaged,
//! still filters. One file in `lists/starter/` for each category, named for it; `name  # what it is; added 2026-11`,
//! or `=name` for the name alone.

use rust_embed::Embed;

use super::{
    format::{MatchMode, Rule, Subject},
    index::{DomainIndex, ListMeta},
};
use crate::{category::Categories, name::Key};

#[derive(Embed)]
#[folder = "lists/starter/"]
struct Starter;

/// What starts the identifier of a starter list; the category's follows.
pub const PREFIX: &str = "starter-";

/// The index of all starter lists.
#[must_use]
pub fn starter(categories: &Categories) -> DomainIndex {
    let mut files: Vec<_> = Starter::iter().collect();
    files.sort();
    let lists = files
        .iter()
        .filter_map(|file| {
            let category = file.strip_suffix(".txt")?;
            let text = text_of(file)?;
            let title = categories.find(category).map_or(category, |id| &categories.get(id).title);
            let rules: Vec<Rule> = entries(&text).filter_map(|(_, entry)| rule(entry)).collect();
            let meta = ListMeta {
                id: format!("{PREFIX}{category}"),
                title: format!("Starter list: {title}"),
                category: category.to_owned(),
                version: format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes())),
                entries: rules.len() as u64,
            };
            Some((meta, rules))
        })
        .collect();
    DomainIndex::from_rules(lists)
}

/// Where a starter list has a name: the line, from 1, and its text.
#[must_use]
pub fn line_of(list: &str, name: &Key) -> Option<(u64, String)> {
    let text = text_of(&format!("{}.txt", list.strip_prefix(PREFIX)?))?;
    entries(&text)
        .find(|(_, entry)| matches!(rule(entry), Some(Rule { subject: Subject::Name { key, .. }, .. }) if key == *name))
        .and_then(|(line, _)| Some((line, text.lines().nth(usize::try_from(line).ok()? - 1)?.to_owned())))
}

fn text_of(file: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&Starter::get(file)?.data).into_owned())
}

/// The lines that say something, without their comments, numbered from 1.
fn entries(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines()).filter_map(|(line, text)| {
        let entry = text.split('#').next().unwrap_or_default().trim();
        (!entry.is_empty()).then_some((line, entry))
    })
}

fn rule(entry: &str) -> Option<Rule> {
    let (name, mode) = match entry.strip_prefix('=') {
        Some(name) => (name, MatchMode::Exact),
        None => (entry, MatchMode::Subdomains),
    };
    Some(Rule { subject: Subject::Name { key: Key::parse(name).ok()?, mode }, allow: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_starter_list_belongs_to_a_category_and_every_line_is_a_name() {
        let categories = Categories::shipped();
        let mut files = 0;
        for file in Starter::iter() {
            files += 1;
            let category = file.strip_suffix(".txt").unwrap();
            assert!(categories.find(category).is_some(), "{file} is named for no category");
            for (line, entry) in entries(&text_of(&file).unwrap()) {
                let rule =
                    rule(entry).unwrap_or_else(|| panic!("{file}, line {line}: {entry:?} is not a name"));
                let Subject::Name { key, .. } = rule.subject else { unreachable!() };
                assert!(!key.is_public_suffix(), "{file}, line {line}: {entry} is a public suffix");
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
    fn the_test_hosts_of_filter_checks_are_in_no_starter_list() {
        let index = starter(&Categories::shipped());
        for name in
            ["testfiltering.com", "www.testfiltering.com", "pornographic.testfiltering.com", "wicar.org"]
        {
            assert!(index.lookup(&Key::parse(name).unwrap()).is_empty(), "{name}");
        }
    }
}
