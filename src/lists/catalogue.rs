//! The catalogue: public lists that a school can subscribe to, with their licence and what they are good and bad at.
//!
//! The table is `lists/catalogue.toml`. None of the lists ships with the program; the table says where each is fetched.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::LazyLock};

use serde::{Deserialize, Serialize};

use super::{Format, format::MatchMode};

/// The public lists that the program knows.
#[derive(Debug, Clone)]
pub struct Catalogue {
    listings: Vec<Listing>,
}

/// A public list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// The identifier, which never changes.
    pub id: String,
    /// What people read.
    pub title: String,
    /// Who makes it.
    pub publisher: String,
    /// The page about it.
    pub home: String,
    /// Where it is fetched from, by HTTPS.
    pub url: String,
    /// Where its publisher has the same bytes too, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// What may be done with it.
    pub licence: Licence,
    /// How its lines are written.
    pub format: Format,
    /// The category that it feeds.
    pub category: String,
    /// What a bare name in it means.
    #[serde(rename = "match")]
    pub matching: MatchMode,
    /// About how many entries it has.
    #[serde(rename = "entries")]
    pub typical_entries: u64,
    /// How often its publisher changes it, in hours.
    pub refresh_hours: u32,
    /// What it is good at: a sentence.
    pub good: String,
    /// What is bad about it: a sentence.
    pub bad: String,
    /// The kinds of school to which the set-up suggests it.
    pub recommended: Vec<SchoolKind>,
}

/// What may be done with a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// The licence as its publisher states it: an SPDX identifier where there is one.
    pub name: String,
    /// Whether it lets a school use the list.
    pub school_use: bool,
    /// Whether a program could ship the list without conditions of its own.
    pub redistribute: bool,
}

/// What kind of school it is, for what is suggested to it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SchoolKind {
    /// Pupils from 4 to 11.
    Primary,
    /// Pupils from 11 to 16 or 18.
    Secondary,
    /// Pupils with special educational needs.
    Special,
    /// Pupils from 16 to 19.
    SixthForm,
}

impl SchoolKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Primary, Self::Secondary, Self::Special, Self::SixthForm];

    /// The word for it in settings and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Special => "special",
            Self::SixthForm => "sixth-form",
        }
    }
}

impl fmt::Display for SchoolKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for SchoolKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.word() == text)
            .ok_or_else(|| UnknownKind { given: text.to_owned() })
    }
}

/// There is no such kind of school.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a kind of school; there are primary, secondary, special and sixth-form")]
pub struct UnknownKind {
    /// What was written.
    pub given: String,
}

/// What is wrong with a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// The text is not the table's TOML.
    #[error("{0}")]
    Toml(String),
    /// Two lists have one identifier.
    #[error("{id:?} stands there twice")]
    Twice {
        /// The identifier.
        id: String,
    },
    /// An address that is not fetched by HTTPS.
    #[error("{id}: {url:?} does not begin with https://")]
    NotHttps {
        /// The list.
        id: String,
        /// The address.
        url: String,
    },
    /// A list is recommended that its licence keeps from schools.
    #[error("{id}: it is recommended, but its licence does not let a school use it")]
    NotForSchools {
        /// The list.
        id: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: Vec<Listing>,
}

impl Catalogue {
    /// The catalogue that is part of the program.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static SHIPPED: LazyLock<Catalogue> = LazyLock::new(|| {
            // A test of this module parses the same embedded text, so this cannot fail at run time.
            Catalogue::parse(include_str!("../../lists/catalogue.toml"))
                .expect("the embedded catalogue is valid")
        });
        &SHIPPED
    }

    /// Those that are recommended to a kind of school and feed a category; all, where neither is named.
    pub fn matching(
        &self,
        recommended: Option<SchoolKind>,
        category: Option<&str>,
    ) -> impl Iterator<Item = &Listing> {
        self.iter()
            .filter(move |listing| recommended.is_none_or(|kind| listing.recommended.contains(&kind)))
            .filter(move |listing| category.is_none_or(|category| listing.category == category))
    }

    /// Reads a catalogue.
    ///
    /// # Errors
    ///
    /// When the text is not the table's TOML, an identifier occurs twice, an address is not HTTPS, or a list is
    /// recommended that a school may not use.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        let file: File = toml::from_str(text).map_err(|error| CatalogueError::Toml(error.to_string()))?;
        let mut ids = BTreeSet::new();
        for listing in &file.source {
            let id = || listing.id.clone();
            if !ids.insert(&listing.id) {
                return Err(CatalogueError::Twice { id: id() });
            }
            let addresses = [&listing.home, &listing.url].into_iter().chain(&listing.mirrors);
            if let Some(url) = addresses.into_iter().find(|url| !url.starts_with("https://")) {
                return Err(CatalogueError::NotHttps { id: id(), url: url.clone() });
            }
            if !listing.recommended.is_empty() && !listing.licence.school_use {
                return Err(CatalogueError::NotForSchools { id: id() });
            }
        }
        Ok(Self { listings: file.source })
    }

    /// All lists, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = &Listing> {
        self.listings.iter()
    }

    /// The list with an identifier.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Listing> {
        self.listings.iter().find(|listing| listing.id == id)
    }

    /// The list that is fetched from an address, its own or a mirror's.
    #[must_use]
    pub fn at(&self, url: &str) -> Option<&Listing> {
        self.listings.iter().find(|listing| listing.url == url || listing.mirrors.iter().any(|m| m == url))
    }

    /// The lists that the set-up suggests to a kind of school, in the table's order.
    pub fn recommended(&self, kind: SchoolKind) -> impl Iterator<Item = &Listing> {
        self.listings.iter().filter(move |listing| listing.recommended.contains(&kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::category::Categories;

    fn shipped() -> Catalogue {
        Catalogue::parse(include_str!("../../lists/catalogue.toml")).unwrap()
    }

    #[test]
    fn the_shipped_catalogue_is_valid() {
        let (catalogue, categories) = (shipped(), Categories::shipped());
        assert!(catalogue.iter().count() > 80);
        for Listing { id, category, licence, typical_entries, refresh_hours, good, bad, .. } in
            catalogue.iter()
        {
            assert!(categories.find(category).is_some(), "{id}: {category}");
            assert!(!licence.name.is_empty(), "{id}");
            assert!(*typical_entries > 0, "{id}");
            assert!((1..=24 * 14).contains(refresh_hours), "{id}: {refresh_hours}");
            assert!(good.ends_with('.') && bad.ends_with('.'), "{id}");
        }
    }

    #[test]
    fn each_category_names_the_lists_that_feed_it() {
        let (catalogue, categories) = (shipped(), Categories::shipped());
        for (_, category) in categories.iter() {
            let feeding: BTreeSet<_> =
                catalogue.iter().filter(|l| l.category == category.id).map(|l| l.id.as_str()).collect();
            let named: BTreeSet<_> = category.sources.iter().map(String::as_str).collect();
            assert_eq!(named, feeding, "{}", category.id);
        }
    }

    #[test]
    fn every_kind_of_school_has_a_set_that_it_may_use() {
        let catalogue = shipped();
        for kind in SchoolKind::ALL {
            let set: Vec<_> = catalogue.recommended(kind).collect();
            for category in
                ["adult", "gambling", "malware", "phishing", "vpn-proxy", "encrypted-dns", "drugs"]
            {
                assert!(set.iter().any(|l| l.category == category), "{kind}: {category}");
            }
            assert!(set.iter().all(|l| l.licence.school_use), "{kind}");
            assert_eq!(kind.word().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        assert!("nursery".parse::<SchoolKind>().unwrap_err().to_string().contains("sixth-form"));
    }

    #[test]
    fn a_list_is_found_by_its_identifier_and_its_address() {
        let catalogue = shipped();
        let hagezi = catalogue.find("hagezi-nsfw").unwrap();
        assert_eq!(hagezi.category, "adult");
        assert_eq!(catalogue.at(&hagezi.url), Some(hagezi));
        assert_eq!(catalogue.at(&hagezi.mirrors[0]), Some(hagezi));
        assert_eq!(catalogue.find("no-such"), None);
        assert_eq!(catalogue.at("https://lists.example/"), None);
    }

    const ONE: &str = r#"
[[source]]
id = "one"
title = "One"
publisher = "Somebody"
home = "https://lists.example/"
url = "https://lists.example/one.txt"
licence = { name = "MIT", school_use = true, redistribute = true }
format = "domains"
category = "adult"
match = "exact"
entries = 5
refresh_hours = 24
good = "Good."
bad = "Bad."
recommended = ["primary"]
"#;

    #[test]
    fn what_is_wrong_is_said() {
        assert!(Catalogue::parse(ONE).is_ok());
        let twice = format!("{ONE}{ONE}");
        assert_eq!(Catalogue::parse(&twice).unwrap_err(), CatalogueError::Twice { id: "one".into() });
        for (from, to, said) in [
            ("https://lists.example/one", "http://lists.example/one", "https://"),
            ("school_use = true", "school_use = false", "licence"),
            ("\"domains\"", "\"words\"", "words"),
            ("[\"primary\"]", "[\"nursery\"]", "nursery"),
            ("refresh_hours", "refresh_days", "refresh_days"),
        ] {
            let error = Catalogue::parse(&ONE.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
