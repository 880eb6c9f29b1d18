//! What the school says that it does about the limits of DNS filtering.

use std::collections::HashSet;

use super::Check;
use crate::policy::{
    mitigation::{LIMITS, LONGEST_MITIGATION},
    problem::suggest,
};

impl Check<'_> {
    pub(super) fn mitigations(&mut self) {
        let mut seen = HashSet::new();
        for mitigation in &self.file.mitigations {
            let place = format!("mitigation of {:?}", mitigation.limit);
            if !LIMITS.contains(&mitigation.limit.as_str()) {
                let what = format!("there is no limit {:?}", mitigation.limit);
                self.problems.error(&place, what, suggest(&mitigation.limit, LIMITS));
                continue;
            }
            if !seen.insert(&mitigation.limit) {
                self.problems.error(&place, "it is there twice", "say it in one place");
            }
            if mitigation.text.trim().is_empty() {
                self.problems.error(&place, "the text is empty", "say what the school does, or leave it out");
            }
            let length = mitigation.text.chars().count();
            if length > LONGEST_MITIGATION {
                let what = format!("the text is {length} characters long");
                self.problems.error(&place, what, format!("write at most {LONGEST_MITIGATION}"));
            }
            if let Some(Err(what)) = mitigation.day() {
                self.problems.error(format!("{place}: decided"), what, "");
            }
        }
    }
}
