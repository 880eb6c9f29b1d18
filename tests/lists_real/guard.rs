//! What the guard says of real lists and of accidents that really happened.

use std::collections::BTreeMap;

use schoolgate::{
    lists::{
        catalogue::Catalogue,
        format::MatchMode,
        guard::{Limits, Previous, Trip, judge},
        popular::Popular,
        source::Source,
        survey::{FindingKind, Reading, References, Survey, survey},
    },
    name::Key,
    policy::Tables,
};

use super::data;

/// The references that a list of a category is held against.
fn references(category: &str) -> References {
    let essential = Tables::shipped().essential.iter().map(|(_, pattern)| pattern.key.clone());
    References::none().essential(essential).popular(Popular::shipped().foreign_to(category).cloned())
}

fn look(file: &str, category: &str) -> Survey {
    let source = Source::at(data().expect("checked before").join(file));
    let list = Reading { source: &source, format: None, mode: MatchMode::Subdomains };
    survey(&list, &references(category)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn dump() {
    let Some(data) = data() else { return };
    let typical: BTreeMap<String, _> = BTreeMap::new();
    let _: &BTreeMap<String, u64> = &typical;
    let mut files: Vec<(String, String)> = Vec::new();
    for (folder, category) in [
        ("ads", "ads-trackers"),
        ("adult", "adult"),
        ("chat", "messaging"),
        ("crypto", "cryptomining"),
        ("drugs", "drugs"),
        ("gambling", "gambling"),
        ("games", "games"),
        ("malware", "malware"),
        ("piracy", "piracy"),
        ("search", "unsafe-search"),
        ("services", "social"),
        ("social", "social"),
        ("updates", "ads-trackers"),
        ("video", "video"),
        ("violence", "extreme"),
        ("vpn", "vpn-proxy"),
        ("weapons", "weapons"),
        ("allow", "ads-trackers"),
        ("e2guardian", "adult"),
    ] {
        for entry in std::fs::read_dir(data.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            files.push((format!("{folder}/{name}"), category.to_owned()));
        }
    }
    for listing in Catalogue::shipped().iter() {
        if let Some(name) = listing.id.strip_prefix("ut1-") {
            let name = listing.url.rsplit('/').next().unwrap().trim_end_matches(".tar.gz");
            if name != "adult" {
                files.push((format!("ut1/blacklists.tar.gz#{name}"), listing.category.clone()));
            }
        }
    }
    files.sort();
    for (file, category) in files {
        let source = Source::at(data.join(&file));
        let list = Reading { source: &source, format: None, mode: MatchMode::Subdomains };
        match survey(&list, &references(&category)) {
            Ok(found) => {
                let trips = judge(&found, None, &Limits::default());
                println!(
                    "{file} [{category}] entries {} declared {:?} damaged {} skips {} trips {}",
                    found.entries,
                    found.declared,
                    found.damaged(),
                    found.skips(),
                    trips.len()
                );
                for trip in trips {
                    println!("    {trip}");
                    if let Trip::Names { kind, .. } = &trip {
                        println!("      ALL {:?}", found.hits[kind]);
                    }
                }
            }
            Err(error) => println!("{file} ERR {error}"),
        }
    }
}
