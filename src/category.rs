//! What a name can be about: the taxonomy that schools read, and the sets that the engine works with.
//!
//! The table itself is `lists/categories.toml`. Which categories are locked, and for whom, is fixed here in the
//! program ([`LOCKED`]) and only repeated there for readers, so that no edit of a file opens them.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

/// How many categories there can be, a school's own (`own-…`) included.
pub const MAX_CATEGORIES: usize = 128;

/// The categories that nothing opens, with the audiences they are locked for.
pub const LOCKED: &[(&str, &[Audience])] = &[
    ("illegal-child-abuse", &[Audience::Pupil, Audience::Staff, Audience::Guest]),
    ("illegal-terrorism", &[Audience::Pupil, Audience::Staff, Audience::Guest]),
    ("illegal-piracy", &[Audience::Pupil, Audience::Staff, Audience::Guest]),
    ("adult", &[Audience::Pupil, Audience::Guest]),
    ("ai-companion", &[Audience::Pupil]),
];

/// Whether the lists of a category must never be shown or lie anywhere in clear: the categories that are locked for
/// everyone, whose lists are given out under agreement.
#[must_use]
pub fn is_sealed(id: &str) -> bool {
    SEALED.contains(&id)
}

/// The categories of which [`is_sealed`] is true.
pub const SEALED: &[&str] = &["illegal-child-abuse", "illegal-terrorism", "illegal-piracy"];

/// The categories about the safety of machines: blocked even where a profile only watches.
pub const SECURITY: &[&str] = &["malware", "phishing", "cryptomining"];

/// The category of names that nobody at the school had asked for until a few days ago. Lists may feed it too.
pub const NEWLY_SEEN: &str = "newly-seen";

/// The category of names on no list.
pub const UNCATEGORISED: &str = "uncategorised";

/// Who a profile is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Children at the school.
    Pupil,
    /// Adults who work there.
    Staff,
    /// Visitors.
    Guest,
}

/// How much harm a wrongly opened name could do; decides who must approve an exception.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// A nuisance.
    Low,
    /// Needs a thought.
    Medium,
    /// Needs a safeguarding decision.
    High,
}

/// The place of a category in its [`Categories`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CategoryId(u8);

impl CategoryId {
    /// The place as a number under [`MAX_CATEGORIES`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of categories, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CategorySet(u128);

impl CategorySet {
    /// No category.
    pub const EMPTY: Self = Self(0);

    /// Whether there is none in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Puts a category in.
    pub fn insert(&mut self, id: CategoryId) {
        self.0 |= 1 << id.0;
    }

    /// Takes a category out.
    pub fn remove(&mut self, id: CategoryId) {
        self.0 &= !(1 << id.0);
    }

    /// Whether the category is in it.
    #[must_use]
    pub fn contains(self, id: CategoryId) -> bool {
        self.0 & (1 << id.0) != 0
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The categories in it, in the table's order.
    pub fn iter(self) -> impl Iterator<Item = CategoryId> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            // Below 128, so it fits.
            let bit = left.trailing_zeros() as u8;
            left &= left - 1;
            Some(CategoryId(bit))
        })
    }
}

impl FromIterator<CategoryId> for CategorySet {
    fn from_iter<I: IntoIterator<Item = CategoryId>>(ids: I) -> Self {
        let mut set = Self::EMPTY;
        for id in ids {
            set.insert(id);
        }
        set
    }
}

impl fmt::Debug for CategorySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(CategoryId::index)).finish()
    }
}

/// One line of the taxonomy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// The C number that papers refer to; a school's own categories have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
    /// The identifier that files and the API use; never changes.
    pub id: String,
    /// What schools read.
    pub title: String,
    /// One plain sentence.
    pub summary: String,
    /// Which of the four Cs: `content`, `contact`, `conduct`, `commerce`, or `technical`.
    pub area: String,
    /// How much harm a wrongly opened name could do.
    pub risk: Risk,
    /// The alert class; `none` when a block raises no alert.
    pub alert: String,
    /// For readers of the file: whom it is locked for. [`LOCKED`] decides.
    #[serde(default)]
    pub locked_for: Vec<Audience>,
    /// The state in each shipped profile: `allow`, `block` or `locked`.
    #[serde(default)]
    pub defaults: HashMap<String, String>,
    /// The catalogue's sources that feed it.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// All categories, the shipped ones and the school's own.
#[derive(Debug, Clone)]
pub struct Categories {
    all: Vec<Category>,
    by_id: HashMap<String, CategoryId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    category: Vec<Category>,
}

impl Categories {
    /// The categories that the product ships.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the file is part of the program and a test parses it")]
    pub fn shipped() -> Self {
        // A test of this module parses the same embedded text, so this cannot fail at run time.
        Self::parse(include_str!("../lists/categories.toml"))
            .expect("the embedded lists/categories.toml is valid")
    }

    /// Reads the table of categories.
    ///
    /// # Errors
    ///
    /// When the text is not the table's TOML, an id occurs twice, or there are more than [`MAX_CATEGORIES`].
    pub fn parse(text: &str) -> Result<Self, CategoryError> {
        let file: File = toml::from_str(text).map_err(|e| CategoryError::Toml(e.to_string()))?;
        let mut categories = Self { all: Vec::new(), by_id: HashMap::new() };
        for category in file.category {
            categories.add(category)?;
        }
        Ok(categories)
    }

    /// Adds a category, a school's own for example.
    ///
    /// # Errors
    ///
    /// When the id is taken or the table is full.
    pub fn add(&mut self, category: Category) -> Result<CategoryId, CategoryError> {
        let full = || CategoryError::TooMany { id: category.id.clone() };
        let place = u8::try_from(self.all.len()).map_err(|_| full())?;
        if usize::from(place) >= MAX_CATEGORIES {
            return Err(full());
        }
        let id = CategoryId(place);
        if self.by_id.contains_key(&category.id) {
            return Err(CategoryError::Twice { id: category.id });
        }
        self.by_id.insert(category.id.clone(), id);
        self.all.push(category);
        Ok(id)
    }

    /// Finds a category by its identifier.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<CategoryId> {
        self.by_id.get(id).copied()
    }

    /// The category at a place that this table gave out.
    #[must_use]
    pub fn get(&self, id: CategoryId) -> &Category {
        &self.all[id.index()]
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (CategoryId, &Category)> {
        // `add` keeps the table under 128, so every place fits.
        self.all.iter().enumerate().map(|(i, c)| (CategoryId(i as u8), c))
    }

    /// The identifiers of a set, in order.
    #[must_use]
    pub fn ids(&self, set: CategorySet) -> Vec<&str> {
        set.iter().map(|id| self.get(id).id.as_str()).collect()
    }

    /// The categories that nothing opens for an audience.
    #[must_use]
    pub fn locked(&self, audience: Audience) -> CategorySet {
        LOCKED
            .iter()
            .filter(|(_, audiences)| audiences.contains(&audience))
            .filter_map(|(id, _)| self.find(id))
            .collect()
    }

    /// The categories whose lists must never be shown: see [`is_sealed`].
    #[must_use]
    pub fn sealed(&self) -> CategorySet {
        SEALED.iter().filter_map(|id| self.find(id)).collect()
    }

    /// The categories about the safety of machines.
    #[must_use]
    pub fn security(&self) -> CategorySet {
        SECURITY.iter().filter_map(|id| self.find(id)).collect()
    }
}

/// What is wrong with a table of categories.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CategoryError {
    /// The text is not TOML, or not this table's.
    #[error("{0}")]
    Toml(String),
    /// Two categories have one id.
    #[error("category {id:?} is defined twice")]
    Twice {
        /// The id.
        id: String,
    },
    /// The table is full.
    #[error("category {id:?} is one too many: there can be {MAX_CATEGORIES}")]
    TooMany {
        /// The id that did not fit.
        id: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_is_valid_and_agrees_with_what_is_locked() {
        let categories = Categories::parse(include_str!("../lists/categories.toml")).unwrap();
        for (id, audiences) in LOCKED {
            let place = categories.find(id).unwrap_or_else(|| panic!("{id} is missing"));
            let mut written = categories.get(place).locked_for.clone();
            let mut fixed = audiences.to_vec();
            written.sort_by_key(|a| *a as u8);
            fixed.sort_by_key(|a| *a as u8);
            assert_eq!(written, fixed, "{id}");
        }
        let all = [Audience::Pupil, Audience::Staff, Audience::Guest];
        for (id, audiences) in LOCKED {
            assert_eq!(is_sealed(id), all.iter().all(|one| audiences.contains(one)), "{id}");
        }
        assert_eq!(categories.sealed().iter().count(), SEALED.len());
        for (_, category) in categories.iter() {
            let locked = LOCKED.iter().any(|(id, _)| *id == category.id);
            assert_eq!(locked, !category.locked_for.is_empty(), "{}", category.id);
        }
        assert_eq!(categories.security().iter().count(), SECURITY.len());
        for id in [NEWLY_SEEN, UNCATEGORISED] {
            assert!(categories.find(id).is_some(), "{id}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let categories = Categories::shipped();
        let adult = categories.find("adult").unwrap();
        let games = categories.find("games").unwrap();
        let mut set: CategorySet = [adult, games].into_iter().collect();
        assert!(set.contains(adult) && set.contains(games));
        assert_eq!(categories.ids(set), ["adult", "games"]);
        set.remove(adult);
        assert_eq!(set.iter().collect::<Vec<_>>(), [games]);
        assert!(!set.is_empty());
    }

    #[test]
    fn a_category_can_be_defined_once() {
        let mut categories = Categories::shipped();
        let copy = categories.get(categories.find("games").unwrap()).clone();
        assert_eq!(categories.add(copy), Err(CategoryError::Twice { id: "games".into() }));
    }
}
