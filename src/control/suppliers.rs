//! Who supplies the categories that are locked for everyone, said to people.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ListReport;
use crate::policy::{Supplied, Supply};

/// Who supplies the categories that are locked for everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct SuppliersReport {
    /// Each of these categories, in the table's order.
    pub suppliers: Vec<SupplierReport>,
}

/// Who supplies one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SupplierReport {
    /// What the school says.
    #[serde(flatten)]
    pub said: Supplied,
    /// How many rules of the category's lists are in force.
    pub entries: u64,
}

impl SuppliersReport {
    pub(super) fn new(said: Vec<Supplied>, lists: &[ListReport]) -> Self {
        let suppliers = said
            .into_iter()
            .map(|said| {
                let feeds = lists.iter().filter(|list| said.lists.contains(&list.id));
                let entries = feeds.filter_map(|list| list.entries).sum();
                SupplierReport { said, entries }
            })
            .collect();
        Self { suppliers }
    }
}

impl fmt::Display for SuppliersReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Who supplies the lists of illegal content, none of which is part of Schoolgate:")?;
        for supplier in &self.suppliers {
            writeln!(f, "  {:<20}  {supplier}", supplier.said.category)?;
        }
        Ok(())
    }
}

impl fmt::Display for SupplierReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Supplied { by, who, verified, verified_by, days_ago, overdue, note, lists, .. } = &self.said;
        let whose = if who.is_empty() { String::new() } else { format!(", {who}") };
        let in_force = match (lists.as_slice(), self.entries) {
            ([], _) => String::from("no list of the policy"),
            (ids, 0) => format!("{}: not in force", ids.join(", ")),
            (ids, 1) => format!("{}: 1 entry in force", ids.join(", ")),
            (ids, n) => format!("{}: {n} entries in force", ids.join(", ")),
        };
        match by {
            Supply::Feed => write!(f, "a feed{whose} ({in_force})")?,
            Supply::Upstream => write!(f, "upstream{whose}")?,
            Supply::Nobody if lists.is_empty() => write!(f, "nobody yet")?,
            Supply::Nobody => write!(f, "nobody is said to ({in_force})")?,
        }
        if *by != Supply::Nobody {
            match (verified, days_ago) {
                (Some(day), Some(days)) => {
                    let by =
                        if verified_by.is_empty() { String::new() } else { format!(" by {verified_by}") };
                    let ago = match days {
                        0 => String::from("today"),
                        1 => String::from("yesterday"),
                        n => format!("{n} days ago"),
                    };
                    write!(f, "; last verified on {day}{by}, {ago}")?;
                    if *overdue {
                        write!(f, ": to be verified again")?;
                    }
                }
                _ => write!(f, "; never verified")?,
            }
        }
        if note.is_empty() { Ok(()) } else { write!(f, "; {note}") }
    }
}
