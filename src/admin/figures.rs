//! How much was asked and blocked over the last day.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Admin;
use crate::{
    policy::Policy,
    querylog::{
        Action, LogError,
        rollup::{By, Count, CountQuery, Rollup, Step, Top, TopQuery},
    },
};

/// How many hours are shown, this one among them.
pub(super) const HOURS: usize = 24;

/// How many of the most frequent are shown.
const MOST: usize = 8;

/// What one profile asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfProfile {
    /// What people call it; empty for questions that were refused before a profile was known.
    pub(super) title: String,
    /// Questions in each hour.
    pub(super) questions: Vec<u64>,
    /// How many of them were blocked.
    pub(super) blocked: Vec<u64>,
}

impl OfProfile {
    pub(super) fn asked(&self) -> u64 {
        self.questions.iter().sum()
    }

    pub(super) fn stopped(&self) -> u64 {
        self.blocked.iter().sum()
    }
}

/// One of the most frequent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frequent {
    pub(super) what: String,
    pub(super) questions: u64,
}

/// The figures of the last day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Figures {
    /// When they were read.
    pub(super) at: Timestamp,
    /// When each hour began, the oldest first.
    pub(super) hours: Vec<Timestamp>,
    /// The profiles that asked anything, in the policy's order, then those that are not there any more.
    pub(super) profiles: Vec<OfProfile>,
    /// The categories for which most was blocked.
    pub(super) categories: Vec<Frequent>,
    /// The names that were blocked most, of whole hours.
    pub(super) names: Vec<Frequent>,
    /// The clients of which most was blocked, of whole hours.
    pub(super) clients: Vec<Frequent>,
    /// Whether they could be read.
    pub(super) readable: bool,
}

impl Figures {
    /// Reads them. For threads that may block.
    pub(super) fn of(admin: &Admin, now: Timestamp) -> Self {
        let policy = admin.control.policy().load_full();
        let hours = hours(now);
        let empty = Self {
            at: now,
            hours: hours.clone(),
            profiles: Vec::new(),
            categories: Vec::new(),
            names: Vec::new(),
            clients: Vec::new(),
            readable: true,
        };
        let read = Read { rollup: admin.control.keeping().rollup(), policy: &policy, hours: &hours };
        read.all(empty.clone()).unwrap_or_else(|error| {
            tracing::warn!(%error, "The figures of the overview can't be read");
            Self { readable: false, ..empty }
        })
    }

    pub(super) fn asked(&self) -> u64 {
        self.profiles.iter().map(OfProfile::asked).sum()
    }

    pub(super) fn stopped(&self) -> u64 {
        self.profiles.iter().map(OfProfile::stopped).sum()
    }
}

/// When each of the last hours began, the oldest first.
fn hours(now: Timestamp) -> Vec<Timestamp> {
    let last = now.as_second().div_euclid(3_600);
    let first = last - (HOURS as i64 - 1);
    // Times are between the years -9999 and 9999, and so are the hours before them but for the first.
    (first..=last).map(|hour| Timestamp::from_second(hour * 3_600).unwrap_or(now)).collect()
}

struct Read<'a> {
    rollup: &'a Rollup,
    policy: &'a Policy,
    hours: &'a [Timestamp],
}

impl Read<'_> {
    fn all(&self, into: Figures) -> Result<Figures, LogError> {
        let by_profile = self.counts(Step::Hour, vec![By::Profile, By::Action], None)?;
        let by_category = self.counts(Step::Hour, vec![By::Category], Some(Action::Blocked))?;
        let top =
            TopQuery { from: self.from(), to: self.to(), profile: None, action: Action::Blocked, most: MOST };
        Ok(Figures {
            profiles: self.profiles(&by_profile),
            categories: self.categories(by_category),
            names: self.shown(self.rollup.top_names(&top)?),
            clients: self.shown(self.rollup.top_clients(&top)?),
            ..into
        })
    }

    fn from(&self) -> Timestamp {
        self.hours.first().copied().unwrap_or_default()
    }

    fn to(&self) -> Timestamp {
        self.hours.last().copied().unwrap_or_default() + SignedDuration::from_hours(1)
    }

    fn counts(&self, step: Step, by: Vec<By>, action: Option<Action>) -> Result<Vec<Count>, LogError> {
        let (from, to) = (self.from(), self.to());
        self.rollup.counts(&CountQuery { from, to, step, by, profile: None, category: None, action })
    }

    fn profiles(&self, counts: &[Count]) -> Vec<OfProfile> {
        let mut found: BTreeMap<&str, OfProfile> = BTreeMap::new();
        for count in counts {
            let Some(hour) = self.hours.iter().position(|hour| *hour == count.from) else { continue };
            let id = count.profile.as_deref().unwrap_or_default();
            let of = found.entry(id).or_insert_with(|| {
                let known = self.policy.find_profile(id).map(|id| self.policy.profile(id).1);
                OfProfile {
                    title: known.unwrap_or(id).to_owned(),
                    questions: vec![0; self.hours.len()],
                    blocked: vec![0; self.hours.len()],
                }
            });
            of.questions[hour] += count.questions;
            if count.action.as_deref() == Some(Action::Blocked.word()) {
                of.blocked[hour] += count.questions;
            }
        }
        let mut profiles: Vec<OfProfile> =
            self.policy.profiles().filter_map(|(_, profile)| found.remove(profile.id.as_str())).collect();
        profiles.extend(found.into_values());
        profiles
    }

    fn categories(&self, counts: Vec<Count>) -> Vec<Frequent> {
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for count in counts {
            *found.entry(count.category.unwrap_or_default()).or_default() += count.questions;
        }
        let categories = self.policy.categories();
        let mut frequent: Vec<Frequent> = found
            .into_iter()
            .map(|(id, questions)| {
                let title = categories.find(&id).map(|id| categories.get(id).title.clone());
                Frequent { what: title.unwrap_or(id), questions }
            })
            .collect();
        frequent.sort_by(|a, b| b.questions.cmp(&a.questions).then_with(|| a.what.cmp(&b.what)));
        frequent.truncate(MOST);
        frequent
    }

    /// What must not be shown by the policy of today is a digest, whatever stood in the policy of that hour.
    fn shown(&self, tops: Vec<Top>) -> Vec<Frequent> {
        let shown = |top: Top| Frequent {
            what: self.policy.masked(&top.what).into_owned(),
            questions: top.questions,
        };
        tops.into_iter().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_the_hours_is_this_one() {
        let hours = hours("2026-11-26T10:15:00Z".parse().unwrap());
        assert_eq!(hours.len(), HOURS);
        assert_eq!(hours[0].to_string(), "2026-11-25T11:00:00Z");
        assert_eq!(hours[HOURS - 1].to_string(), "2026-11-26T10:00:00Z");
    }
}
