//! The bounds of who may only run lessons: what needs a safeguarding decision is not opened for a lesson.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, Zoned};

use super::{Control, ControlError};
use crate::{
    category::{self, Category, Risk},
    lists::DomainIndex,
    name::Key,
    policy::{NamePattern, Policy, PolicyFile, Tables},
};

/// Why something is not to be opened for a lesson.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TooRisky {
    /// It has a category that needs a safeguarding decision.
    Category {
        /// What was to be opened, as it was written.
        what: String,
        /// The category's title.
        category: String,
        /// The name below it that has the category, as it may be shown; none where it is the whole.
        below: Option<String>,
    },
    /// Others register names under it (`com`, `co.uk`), so that nobody knows what it would open.
    TooWide {
        /// What was to be opened, as it was written.
        what: String,
    },
}

/// The longest that a lesson lasts.
const LONGEST: SignedDuration = SignedDuration::from_hours(8);

/// The latest end of a lesson that begins now: the end of the school day, or of the day where that is past, and no more
/// than eight hours.
#[must_use]
pub fn latest_lesson_end(file: &PolicyFile, now: &Zoned) -> Timestamp {
    let longest = now.timestamp() + LONGEST;
    let at = |end: Result<Zoned, jiff::Error>| end.map_or(longest, |end| end.timestamp());
    let ends = now.date().to_datetime(file.end_of_day());
    let evening = at(ends.to_zoned(now.time_zone().clone()));
    let midnight = at(now.date().tomorrow().and_then(|next| next.to_zoned(now.time_zone().clone())));
    longest.min(if now.timestamp() < evening { evening } else { midnight })
}

impl Control {
    /// Whether names (as in a rule, `service:ID`, `bundle:ID`) may be opened by who may only run lessons; gives the first
    /// reason against it. Reads all names below those that are given, which takes a moment: for threads that may block.
    ///
    /// # Errors
    ///
    /// When a word is no name, or there is no such service or bundle.
    pub fn too_risky(&self, words: &[String]) -> Result<Option<TooRisky>, ControlError> {
        let policy = self.policy().load_full();
        for word in words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()) {
            if let Some(found) = judge(&policy, word)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn judge(policy: &Arc<Policy>, word: &str) -> Result<Option<TooRisky>, ControlError> {
    let tables = Tables::shipped();
    let risky = |category: String, below| TooRisky::Category { what: word.to_owned(), category, below };
    let known = |id: &str| needs_decision(policy, id).map(|category| category.title.clone());
    let named = |text: &str| {
        NamePattern::parse(text).map_err(|error| ControlError::Input(format!("{text:?}: {error}")))
    };
    // What ships, or the school put together, was looked at name by name; what is below them as well.
    if let Some(id) = word.strip_prefix("service:") {
        let find = |id: &str| {
            tables
                .service(id.trim())
                .ok_or_else(|| ControlError::Input(format!("there is no service {id:?}")))
        };
        let service = find(id)?;
        let mut all = vec![service];
        for needed in &service.needs {
            all.push(find(needed)?);
        }
        for service in all {
            if let Some(title) = known(&service.category) {
                return Ok(Some(risky(title, None)));
            }
            for name in &service.names {
                if let Some(title) = listed(policy, &named(name)?.key) {
                    return Ok(Some(risky(title, None)));
                }
            }
        }
        return Ok(None);
    }
    if word.starts_with("bundle:") {
        let names = policy.file().lesson_names(word, tables);
        if names.is_empty() {
            return Err(ControlError::Input(format!("there is no {word:?}")));
        }
        return Ok(names.iter().find_map(|name| listed(policy, &name.key)).map(|title| risky(title, None)));
    }
    let name = named(word)?;
    if let Some(title) = listed(policy, &name.key) {
        return Ok(Some(risky(title, None)));
    }
    if name.exact {
        return Ok(None);
    }
    if name.key.depth() < 2 || name.key.is_public_suffix() {
        return Ok(Some(TooRisky::TooWide { what: word.to_owned() }));
    }
    for index in policy.indexes() {
        let names = index
            .names()
            .map_err(|error| ControlError::Lists { message: error.to_string(), bad_input: false })?;
        let found = names.below(&name.key).find_map(|(bytes, set)| {
            let category = category_of(policy, index, set, |_| true)?;
            let key = Key::parse(&crate::name::dotted(&bytes)).ok()?;
            Some(risky(category.title.clone(), Some(policy.shown(&key))))
        });
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The category of a name or of a parent that needs a safeguarding decision, by its title.
fn listed(policy: &Policy, key: &Key) -> Option<String> {
    policy.indexes().find_map(|index| {
        index.lookup(key).iter().find_map(|hit| {
            let whole = usize::from(hit.depth) == key.depth();
            let category = category_of(policy, index, hit.set, |exact| whole || !exact)?;
            Some(category.title.clone())
        })
    })
}

/// The first category of a set of lists that needs a safeguarding decision. `counts` is asked whether an entry that is for
/// the name alone, or not, counts.
fn category_of<'a>(
    policy: &'a Policy,
    index: &DomainIndex,
    set: u32,
    counts: impl Fn(bool) -> bool,
) -> Option<&'a Category> {
    let entries = index.sets().get(set as usize)?;
    let blocking = entries.iter().filter(|entry| !entry.of_servers && !entry.allow && counts(entry.exact));
    blocking
        .filter_map(|entry| index.lists().get(usize::from(entry.list)))
        .find_map(|list| needs_decision(policy, &list.category))
}

/// A category, if it needs a safeguarding decision: of high risk, locked for somebody, or against malice.
fn needs_decision<'a>(policy: &'a Policy, id: &str) -> Option<&'a Category> {
    let categories = policy.categories();
    let category = categories.get(categories.find(id)?);
    let is_risky = category.risk == Risk::High
        || !category.locked_for.is_empty()
        || category::SECURITY.contains(&category.id.as_str());
    is_risky.then_some(category)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        category::Categories,
        lists::{
            ListMeta,
            format::{MatchMode, Rule, Subject},
        },
        policy::{Knowledge, PolicyFile},
    };

    /// Looks at words where one list of pornography has `bad.example` and `hidden.good.example`.
    fn look(word: &str) -> Result<Option<TooRisky>, ControlError> {
        let names = ["bad.example", "hidden.good.example", "lone.example"];
        let rule = |name| Rule {
            subject: Subject::Name { key: Key::parse(name).unwrap(), mode: MatchMode::Subdomains },
            allow: false,
        };
        let rules = names.map(rule).to_vec();
        let meta = ListMeta {
            id: "test".into(),
            title: "Test".into(),
            category: "adult".into(),
            version: "1".into(),
            entries: 3,
        };
        let index = DomainIndex::from_rules(vec![(meta, rules)]);
        let knowledge =
            Knowledge { categories: Arc::new(Categories::shipped()), indexes: vec![Arc::new(index)] };
        let policy = Arc::new(Policy::build(&PolicyFile::shipped(), &knowledge).unwrap());
        judge(&policy, word)
    }

    #[test]
    fn what_needs_a_safeguarding_decision_is_not_opened_for_a_lesson() {
        let category = |word: &str| match look(word).unwrap() {
            Some(TooRisky::Category { below, .. }) => below.unwrap_or_else(|| String::from("whole")),
            other => format!("{other:?}"),
        };
        assert_eq!(category("bad.example"), "whole");
        assert_eq!(category("=www.bad.example"), "whole");
        assert_eq!(category("good.example"), "hidden.good.example");
        assert_eq!(category("=good.example"), "None");
        assert_eq!(category("fine.example"), "None");
        assert_eq!(category("example"), format!("{:?}", Some(TooRisky::TooWide { what: "example".into() })));
        assert!(matches!(look("co.uk").unwrap(), Some(TooRisky::TooWide { .. })));
    }

    #[test]
    fn a_service_is_judged_by_its_category_and_an_unknown_one_is_an_error() {
        assert_eq!(look("service:youtube").unwrap(), None);
        assert!(matches!(look("service:tinder").unwrap(), Some(TooRisky::Category { .. })));
        for wrong in ["service:nothing-like-it", "bundle:nothing-like-it", "not a name"] {
            assert!(look(wrong).unwrap_err().is_bad_input(), "{wrong}");
        }
    }
}
