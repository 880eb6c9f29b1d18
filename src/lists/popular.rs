//! Popular names: what many people rely on, so that a list which suddenly has one is looked at before it blocks.
//!
//! The table is `lists/popular/names.txt`, which says how it was made: a name on each line, then the categories whose
//! lists may well hold it (`facebook.com social`).

use std::sync::LazyLock;

use crate::name::Key;

/// The table of popular names.
#[derive(Debug, Clone)]
pub struct Popular {
    names: Vec<(Key, Vec<Box<str>>)>,
}

/// What starts the identifier of a school's own category.
const OWN: &str = "own-";

impl Popular {
    /// The table that is part of the program.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static SHIPPED: LazyLock<Popular> = LazyLock::new(|| {
            // A test of this module parses the same embedded text, so this cannot fail at run time.
            Popular::parse(include_str!("../../lists/popular/names.txt"))
                .expect("the embedded table of popular names is valid")
        });
        &SHIPPED
    }

    /// Reads a table.
    ///
    /// # Errors
    ///
    /// The line, from 1, whose first word is not a name.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut names = Vec::new();
        for (line, text) in (1_usize..).zip(text.lines()) {
            let mut words = text.split('#').next().unwrap_or_default().split_ascii_whitespace();
            if let Some(name) = words.next() {
                let key = Key::parse(name).map_err(|_| line)?;
                names.push((key, words.map(Box::from).collect()));
            }
        }
        Ok(Self { names })
    }

    /// The names that a list of a category has no business to block, in the table's order.
    ///
    /// None for a school's own category, which may hold anything. For an identifier that no line names, all.
    pub fn foreign_to(&self, category: &str) -> impl Iterator<Item = &Key> {
        let own = category.starts_with(OWN);
        self.names
            .iter()
            .filter(move |(_, categories)| !own && categories.iter().all(|known| **known != *category))
            .map(|(key, _)| key)
    }

    /// The names that a list of a category may well block, with what is below them.
    pub fn expected_in(&self, category: &str) -> impl Iterator<Item = &Key> {
        self.names
            .iter()
            .filter(move |(_, categories)| categories.iter().any(|known| **known == *category))
            .map(|(key, _)| key)
    }

    /// All names, in the table's order.
    pub fn names(&self) -> impl Iterator<Item = &Key> {
        self.names.iter().map(|(key, _)| key)
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        category::Categories,
        lists::{
            format::{Format, MatchMode},
            source::Source,
            survey::{FindingKind, Reading, References, survey},
        },
    };

    fn has(names: &BTreeSet<String>, name: &str) -> bool {
        names.contains(name)
    }

    #[test]
    fn the_table_is_valid_and_holds_some_thousands() {
        let table = Popular::shipped();
        assert!((3_000..20_000).contains(&table.len()), "{}", table.len());
        let categories = Categories::shipped();
        let mut seen = BTreeSet::new();
        for (key, known) in &table.names {
            assert!(seen.insert(key), "{key} stands there twice");
            for category in known {
                assert!(categories.find(category).is_some(), "{key}: {category}");
            }
        }
        assert!(!table.is_empty());
    }

    #[test]
    fn a_list_may_hold_what_its_category_is_about() {
        let foreign = |category| -> BTreeSet<String> {
            Popular::shipped().foreign_to(category).map(ToString::to_string).collect()
        };
        let (adult, social, own) = (foreign("adult"), foreign("social"), foreign("own-banned"));
        assert!(has(&adult, "facebook.com") && !has(&social, "facebook.com"));
        for name in ["archive.org", "nasa.gov", "classroom.google.com", "bbc.co.uk", "forms.gle"] {
            assert!(has(&adult, name) && has(&social, name), "{name}");
        }
        assert!(own.is_empty());
        assert_eq!(foreign("no-such").len(), Popular::shipped().len());
    }

    #[test]
    fn our_own_starter_lists_hold_only_what_their_category_may() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("lists/starter");
        let mut wrong = Vec::new();
        for (_, category) in Categories::shipped().iter() {
            let path = folder.join(format!("{}.txt", category.id));
            if !path.exists() {
                continue;
            }
            // A name alone stands there with an equals sign, which no format of others knows; they are few.
            let (source, mode) = (Source::at(path), MatchMode::Subdomains);
            let list = Reading { source: &source, format: Some(Format::Domains), mode };
            let references = References::none().popular(Popular::shipped().foreign_to(&category.id).cloned());
            let found = survey(&list, &references).unwrap();
            let names = found.hits.get(&FindingKind::Popular).into_iter().flatten();
            wrong.extend(names.map(|name| format!("{name} {}", category.id)));
        }
        assert!(
            wrong.is_empty(),
            "add to lists/popular/annotated.txt, then run make.py:\n{}",
            wrong.join("\n")
        );
    }

    #[test]
    fn a_line_that_is_no_name_is_an_error() {
        assert_eq!(Popular::parse("# names\na.example social\n\nb c.example\n").unwrap().len(), 2);
        assert_eq!(Popular::parse("a.example\n!!\n").unwrap_err(), 2);
    }
}
