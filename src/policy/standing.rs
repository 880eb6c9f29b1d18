//! What of a client and of a moment a decision depends on, so that many questions can be decided at once.

use jiff::Timestamp;

use super::{Policy, schedule};
use crate::clients::Client;

/// What of a client a decision depends on: two clients of one policy with the same standing get the same decision for
/// each question at each moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Standing {
    profile: usize,
    suspended: bool,
    /// Whether it is in each group, in each lesson's room, and among the clients of each rule that is not for all.
    within: Vec<bool>,
}

/// What of a moment a decision depends on, apart from how old names are: two moments of one policy with the same season
/// have the same decisions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Season(Vec<bool>);

impl Policy {
    /// What of a client decisions depend on.
    #[must_use]
    pub fn standing(&self, client: &Client) -> Standing {
        let groups = self.groups.iter();
        let rooms = self.lessons.iter().map(|lesson| &lesson.room);
        let within = groups.chain(rooms).chain(self.narrow.values()).map(|members| members.contains(client));
        Standing {
            profile: self.place(client.profile),
            suspended: client
                .device
                .is_some_and(|place| self.suspended.get(usize::from(place)).copied().unwrap_or(false)),
            within: within.collect(),
        }
    }

    /// What of a moment decisions depend on.
    #[must_use]
    pub fn season(&self, now: Timestamp) -> Season {
        let open = self.schedules.iter().map(|schedule| schedule.is_active(&self.calendar, now));
        let lessons = self.lessons.iter().map(|lesson| lesson.until.is_none_or(|until| now < until));
        let rules = self
            .file
            .rules
            .iter()
            .filter_map(|rule| rule.until)
            .map(|until| schedule::moment(until, &self.calendar.zone).is_ok_and(|until| now < until));
        Season(open.chain(lessons).chain(rules).collect())
    }
}
