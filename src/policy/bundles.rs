//! Bundles of approved sites: the shipped ones and the school's own.

use super::{
    file::{BundleFile, PolicyFile},
    names::NamePattern,
    tables::{Bundle, Tables},
};

/// How many bundles there can be, the shipped ones included: a profile has a bit for each.
pub(crate) const MAX_BUNDLES: usize = 128;

/// What stands before a bundle's identifier where a lesson names it.
pub(crate) const IN_LESSONS: &str = "bundle:";

/// A bundle of either kind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AnyBundle<'a> {
    Shipped(&'a Bundle),
    Own(&'a BundleFile),
}

impl AnyBundle<'_> {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Shipped(bundle) => &bundle.id,
            Self::Own(bundle) => &bundle.id,
        }
    }

    /// Its names; those of the school's own that are none are left out, which validation has told.
    pub(crate) fn patterns(&self) -> Vec<NamePattern> {
        match self {
            Self::Shipped(bundle) => bundle.names.clone(),
            Self::Own(bundle) => {
                bundle.names.iter().filter_map(|name| NamePattern::parse(name).ok()).collect()
            }
        }
    }
}

impl PolicyFile {
    /// The shipped bundles, then the school's own. Their places are those of the facts and bits of profiles.
    pub(crate) fn all_bundles<'a>(&'a self, tables: &'a Tables) -> impl Iterator<Item = AnyBundle<'a>> {
        let shipped = tables.bundles.iter().map(AnyBundle::Shipped);
        shipped.chain(self.bundles.iter().map(AnyBundle::Own))
    }

    /// The names that an entry of a lesson's list means: one, or all of a bundle.
    pub(crate) fn lesson_names(&self, written: &str, tables: &Tables) -> Vec<NamePattern> {
        match written.trim().strip_prefix(IN_LESSONS) {
            Some(id) => self
                .all_bundles(tables)
                .find(|bundle| bundle.id() == id.trim())
                .map(|bundle| bundle.patterns())
                .unwrap_or_default(),
            None => NamePattern::parse(written).into_iter().collect(),
        }
    }
}
