//! The indexes in force, and which version of which list each was made from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    category,
    feeds::shelf::Version,
    lists::{DomainIndex, Format, ListMeta, compiler::Identity, format::MatchMode},
    policy::{Action, AppliesTo, ListFile},
};

/// The indexes of the school's lists that are in force.
#[derive(Debug, Clone, Default)]
pub(crate) struct Indexes {
    pub(crate) subscribed: Option<Arc<DomainIndex>>,
    /// The number of the version of each list that it was made from.
    pub(crate) numbers: Arc<[(String, u32)]>,
    /// Of the lists that must not be shown; never on disk.
    pub(crate) sealed: Option<Arc<SealedIndex>>,
}

/// An index of lists of [sealed](category::is_sealed) categories, which is in memory only.
#[derive(Debug)]
pub(crate) struct SealedIndex {
    pub(super) index: Arc<DomainIndex>,
    /// What it was to be made from; of these, it lacks what could not be read.
    pub(super) made_from: Vec<Ingredient>,
}

impl Indexes {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<DomainIndex>> {
        self.subscribed.iter().chain(self.sealed.iter().map(|sealed| &sealed.index))
    }

    /// Which version of a list is in force, where that is known.
    pub(crate) fn number(&self, list: &str) -> Option<u32> {
        let sealed = self.sealed.iter().flat_map(|sealed| numbers(&sealed.made_from, &sealed.index));
        let open = self.numbers.iter().map(|(id, number)| (id, *number));
        open.chain(sealed).find(|(id, _)| *id == list).map(|(_, number)| number)
    }

    /// Whether there are lists that must not be shown and that were not there before, or had other versions.
    pub(crate) fn seals_more_than(&self, before: &Self) -> bool {
        match (&self.sealed, &before.sealed) {
            (Some(sealed), Some(before)) => sealed.made_from != before.made_from,
            (sealed, _) => sealed.is_some(),
        }
    }

    pub(super) fn lack_all(&self) -> bool {
        self.iter().all(|index| index.lists().is_empty())
    }

    /// Whether something of a list is in force.
    pub(super) fn has(&self, list: &str) -> bool {
        self.iter().flat_map(|index| index.lists()).any(|meta| meta.id == list)
    }

    /// Whether the one on disk has a list that must not lie in clear: one that was of another category when it was
    /// made.
    pub(crate) fn shows(&self, lists: &[ListFile]) -> bool {
        let sealed = |id: &str| lists.iter().any(|list| list.id == id && category::is_sealed(&list.category));
        self.subscribed.iter().flat_map(|index| index.lists()).any(|meta| sealed(&meta.id))
    }
}

/// One version of one list, as it goes into an index: equal ones give the same rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ingredient {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) category: String,
    pub(super) action: Action,
    pub(super) format: Option<Format>,
    pub(super) matching: MatchMode,
    pub(super) applies_to: AppliesTo,
    /// The version's authors made it for allowing names.
    pub(super) allow: bool,
    pub(super) version: u32,
    /// The digest of its text; a number alone could have been given twice, after files were lost.
    pub(super) digest: String,
}

impl Ingredient {
    pub(super) fn new(list: &ListFile, version: &Version) -> Self {
        Self {
            id: list.id.clone(),
            title: title(list),
            category: list.category.clone(),
            action: list.action,
            format: list.format.or(version.format),
            matching: list.matching,
            applies_to: list.applies_to,
            allow: version.allow,
            version: version.number,
            digest: version.digest.clone(),
        }
    }

    pub(super) fn identity(&self) -> Identity {
        Identity { id: self.id.clone(), title: self.title.clone(), category: self.category.clone() }
    }

    /// What its rules depend on: the text, and how it is read.
    pub(super) fn stamp(&self) -> String {
        let Self { action, format, matching, applies_to, allow, digest, .. } = self;
        format!("{digest} {action:?} {format:?} {matching:?} {applies_to:?} {allow}")
    }

    pub(super) fn allows(&self) -> bool {
        self.allow || self.action == Action::Allow
    }
}

/// What people read for a list.
pub(super) fn title(list: &ListFile) -> String {
    if list.title.is_empty() { list.id.clone() } else { list.title.clone() }
}

/// What an index was made from.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MadeFrom {
    /// What it was to be made from; of these, it lacks what could not be read.
    pub(super) ingredients: Vec<Ingredient>,
    /// What the index says of its lists: by that it is known.
    pub(super) lists: Vec<(String, String)>,
}

/// The number of the version of each list that an index has.
pub(super) fn numbers<'a>(
    made_from: &'a [Ingredient],
    index: &DomainIndex,
) -> impl Iterator<Item = (&'a String, u32)> {
    made_from
        .iter()
        .filter(|ingredient| index.lists().iter().any(|meta| meta.id == ingredient.id))
        .map(|ingredient| (&ingredient.id, ingredient.version))
}

pub(super) fn owned<'a>(numbers: impl Iterator<Item = (&'a String, u32)>) -> Arc<[(String, u32)]> {
    numbers.map(|(id, number)| (id.clone(), number)).collect()
}

pub(super) fn said(lists: &[ListMeta]) -> Vec<(String, String)> {
    lists.iter().map(|meta| (meta.id.clone(), meta.version.clone())).collect()
}
