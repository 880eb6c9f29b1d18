//! How the box stands, for pages and for monitoring.

use super::Control;
use crate::resolver;

/// How the box stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the database of settings can be read; without it nothing can be changed.
    pub settings: bool,
    /// Whether the lists of the policy are in force, or there are none.
    pub lists: bool,
    /// Whether the box's secret key can be read.
    pub key: bool,
    /// The number of the policy in force; 0 for the one that ships.
    pub revision: i64,
    /// How many names and patterns the lists in force have, the starter lists among them.
    pub names: u64,
    /// What the resolver did since the start, and holds; none without one.
    pub resolver: Option<resolver::Stats>,
}

impl Control {
    /// How the box stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let lists = !self.lacks_its_lists();
        let (starter, own) = self.names();
        let state = self.state();
        Standing {
            settings: state.store.is_some(),
            lists,
            key: self.vault.is_some(),
            revision: state.revision,
            names: starter + own,
            resolver: self.resolver.as_ref().map(|resolver| resolver.stats()),
        }
    }
}
