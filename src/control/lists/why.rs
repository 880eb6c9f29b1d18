//! Which lists say what of a name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    control::{Control, ControlError, ListedOn, check},
    name::Key,
};

/// Which lists say what of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WhyReport {
    /// The name, in A-label form.
    pub name: String,
    /// Each list that has the name or a parent of it, the longest match first; then those that have it as a name server.
    pub lists: Vec<ListedOn>,
}

impl Control {
    /// Which lists say what of a name, with version, line and the text of the entry.
    ///
    /// # Errors
    ///
    /// When it is not a name.
    pub fn why(&self, name: &str) -> Result<WhyReport, ControlError> {
        let key = Key::parse(name).map_err(|error| ControlError::Input(format!("{name:?}: {error}")))?;
        let policy = self.policy.load_full();
        let mut lists = check::listed_on(self, &policy, &key, false);
        lists.extend(check::listed_on(self, &policy, &key, true));
        // The name of a list that must not be shown is not repeated either.
        Ok(WhyReport { name: policy.shown(&key), lists })
    }
}

impl fmt::Display for WhyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lists.is_empty() {
            return writeln!(f, "No list in force has {} or a name above it.", self.name);
        }
        for list in &self.lists {
            let way = if list.allow { "is opened for" } else { "is in" };
            let server = if list.of_servers { ", as a name server," } else { "" };
            writeln!(f, "{}{server} {way} {} by {} ({})", list.entry, list.category, list.list, list.title)?;
            if let (Some(line), Some(text)) = (list.line, &list.text) {
                writeln!(f, "    line {line}: {}", text.trim())?;
            }
            match list.number {
                Some(number) => writeln!(f, "    version {number} (rules {})", list.version)?,
                None => writeln!(f, "    rules {}", list.version)?,
            }
        }
        Ok(())
    }
}
