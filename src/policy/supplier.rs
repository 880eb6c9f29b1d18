//! Who supplies the categories that are locked for everyone: a statement of the school's, with the day on which
//! somebody last saw that it is true.
//!
//! None of these lists ships with the product, so without a supplier these categories are empty. The statement changes
//! nothing about what is blocked; it is there so that nobody believes in a filter that is not there.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use toml::value::Datetime;

use super::{
    build::zone,
    file::{Action, DateRange, PolicyFile},
    schedule,
};
use crate::category::{Categories, SEALED};

/// After how many days a statement must be verified again: lists of this kind are tested every quarter.
pub const VERIFY_DAYS: i64 = 90;

/// A school's statement of who supplies a category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupplierFile {
    /// The category, one of those that are locked for everyone.
    pub category: String,
    /// How it is supplied.
    pub by: Supply,
    /// Who does it: the body whose list it is, or who runs the filter further up.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub who: String,
    /// The day on which it was last seen to work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Datetime>,
    /// Who saw it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub verified_by: String,
    /// Whatever else is worth knowing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// How a category is supplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Supply {
    /// By a list of this policy.
    Feed,
    /// By whoever answers or filters further up: the broadband supplier, a firewall.
    Upstream,
    /// By nobody yet.
    #[default]
    Nobody,
}

impl Supply {
    /// The word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Upstream => "upstream",
            Self::Nobody => "nobody",
        }
    }
}

/// Who supplies one category, as of today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Supplied {
    /// The category's identifier.
    pub category: String,
    /// What people read.
    pub title: String,
    /// How it is supplied; by nobody, where the school says nothing.
    pub by: Supply,
    /// Whether the school says so; it is only assumed otherwise.
    pub stated: bool,
    /// Who does it.
    pub who: String,
    /// The day on which it was last seen to work.
    pub verified: Option<Date>,
    /// Who saw it.
    pub verified_by: String,
    /// How many days ago that was; 0 for a day to come.
    pub days_ago: Option<i64>,
    /// It was never verified, or more than [`VERIFY_DAYS`] ago.
    pub overdue: bool,
    /// Whatever else is worth knowing.
    pub note: String,
    /// The lists of the policy that block names of the category.
    pub lists: Vec<String>,
}

impl SupplierFile {
    /// The day of `verified`, or what is wrong with it.
    pub(crate) fn day(&self) -> Option<Result<Date, String>> {
        let from = self.verified?;
        Some(schedule::days(&DateRange { from, to: None }).map(|(day, _)| day))
    }
}

impl PolicyFile {
    /// Who supplies each category that is locked for everyone, in the table's order.
    #[must_use]
    pub fn suppliers(&self, categories: &Categories, now: Timestamp) -> Vec<Supplied> {
        let today = self.today(now);
        SEALED
            .iter()
            .map(|id| {
                let written = self.suppliers.iter().find(|supplier| supplier.category == **id);
                let by = written.map_or(Supply::Nobody, |supplier| supplier.by);
                let verified = written.and_then(SupplierFile::day).and_then(Result::ok);
                let days_ago = verified.map(|day| days_between(day, today).max(0));
                let text = |of: fn(&SupplierFile) -> &String| written.map(of).cloned().unwrap_or_default();
                Supplied {
                    category: (*id).to_owned(),
                    title: categories
                        .find(id)
                        .map_or_else(|| (*id).to_owned(), |place| categories.get(place).title.clone()),
                    by,
                    stated: written.is_some(),
                    who: text(|supplier| &supplier.who),
                    verified,
                    verified_by: text(|supplier| &supplier.verified_by),
                    days_ago,
                    overdue: by != Supply::Nobody && days_ago.is_none_or(|days| days > VERIFY_DAYS),
                    note: text(|supplier| &supplier.note),
                    lists: self.feeds(id).map(str::to_owned).collect(),
                }
            })
            .collect()
    }

    /// The lists that block names of a category.
    pub(crate) fn feeds(&self, category: &str) -> impl Iterator<Item = &str> {
        self.lists
            .iter()
            .filter(move |list| list.category == category && list.action == Action::Block)
            .map(|list| list.id.as_str())
    }

    /// The day that it is at the school.
    pub(crate) fn today(&self, now: Timestamp) -> Date {
        now.to_zoned(zone(&self.timezone).unwrap_or(jiff::tz::TimeZone::UTC)).date()
    }
}

/// How many days after `day` another one is; negative before.
pub(crate) fn days_between(day: Date, other: Date) -> i64 {
    // Whole days, of two dates within 10,000 years.
    other.duration_since(day).as_hours() / 24
}
