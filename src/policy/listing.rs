//! From a list of the catalogue to a subscription.

use super::file::{Action, AppliesTo, ListFile};
use crate::lists::{catalogue::Listing, format::MatchMode};

impl ListFile {
    /// A list without a source: what it is called, what people read, and the category that it feeds. The rest is as usual.
    #[must_use]
    pub fn new(id: String, title: String, category: String) -> Self {
        Self {
            id,
            title,
            category,
            action: Action::Block,
            url: None,
            mirrors: Vec::new(),
            credential: None,
            file: None,
            zone: None,
            primaries: Vec::new(),
            key: None,
            upload: false,
            text: None,
            applies_to: AppliesTo::Names,
            minimum: None,
            format: None,
            matching: MatchMode::Subdomains,
            refresh_hours: 24,
        }
    }
}

impl From<&Listing> for ListFile {
    /// A subscription to a list of the catalogue.
    fn from(listing: &Listing) -> Self {
        Self {
            url: Some(listing.url.clone()),
            mirrors: listing.mirrors.clone(),
            format: Some(listing.format),
            matching: listing.matching,
            refresh_hours: listing.refresh_hours,
            ..Self::new(listing.id.clone(), listing.title.clone(), listing.category.clone())
        }
    }
}
