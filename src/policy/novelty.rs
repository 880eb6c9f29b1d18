//! Names that are new to the school: when they count as newly seen.

use super::{
    Policy, Question, ServiceRef,
    decide::Asker,
    lookup::Matches,
    names::{Found, What},
};
use crate::{category::CategorySet, clock::Day};

/// Since when the school asks for a name, as far as the box remembers: for the registrable domain (`example.co.uk`)
/// and not for each name below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FirstAsked {
    /// It can't be told, or does not matter: nobody looked, the name is local, or it has no registrable domain. Counts
    /// as long ago.
    #[default]
    Unknown,
    /// Never since the box began to remember.
    Never {
        /// When the box began to remember.
        began: Day,
    },
    /// It was first asked for, and answered, on a day.
    On {
        /// The day.
        day: Day,
        /// When the box began to remember.
        began: Day,
    },
}

/// Whether a name is new to the school.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// It is known.
    Known,
    /// It is new, but the box is still learning what this school asks for, or was when the name came up.
    Learning,
    /// It is new.
    New {
        /// When it was first asked for; today, if never before.
        since: Day,
        /// The first day on which it is not new any more.
        until: Day,
    },
}

impl Policy {
    /// How new a name is by its date alone.
    fn novelty(&self, question: &Question, today: Day) -> Novelty {
        let (since, began) = match question.first_asked {
            FirstAsked::Unknown => return Novelty::Known,
            FirstAsked::Never { began } => (today, began),
            FirstAsked::On { day, began } => (day, began),
        };
        let until = since.plus(self.file.newly_seen.days);
        if today >= until {
            Novelty::Known
        } else if since < began.plus(self.file.newly_seen.learning_days) {
            Novelty::Learning
        } else {
            Novelty::New { since, until }
        }
    }
}

impl Asker<'_> {
    /// How new a name is. What anybody vouched for or warned of is known: names on a list, whichever it is, essential
    /// and approved names, those that the product itself has a use for, and popular ones.
    pub(crate) fn novelty(&self, question: &Question, facts: &Found<'_>, matches: &Matches) -> Novelty {
        if question.first_asked == FirstAsked::Unknown || matches.known || matches.approved {
            return Novelty::Known;
        }
        let vouched = facts.iter().any(|(_, fact)| {
            matches!(
                fact.what,
                What::Essential(_) | What::Bundle(_) | What::Engine { .. } | What::Canary { .. }
            )
        });
        if vouched {
            return Novelty::Known;
        }
        match self.policy.novelty(question, Day::of(self.now)) {
            Novelty::Known => Novelty::Known,
            // Asked last: hardly a question comes this far.
            _ if question.key.registrable().is_some_and(|name| self.policy.tables.is_popular(name)) => {
                Novelty::Known
            }
            // Some list has the name above, alone, and it must not be shown; so no sentence may tell its age.
            _ if self.policy.sealed_name(&question.key).is_some() => Novelty::Known,
            new => new,
        }
    }

    /// The category of a service that is open, where its switch says that the profile wants to hear of it.
    pub(crate) fn reported_service(&self, opened: Option<ServiceRef>) -> CategorySet {
        let switched = opened.filter(|s| self.profile.switched(s.0).is_some_and(|switched| switched.report));
        let category = switched.and_then(|s| self.policy.categories.find(&self.policy.service(s)?.category));
        category.into_iter().collect()
    }

    /// The categories of an allowed name that the profile wants to hear of.
    pub(crate) fn reported(&self, matches: &Matches, known: bool, novelty: Novelty) -> CategorySet {
        let mut found = matches.open;
        if matches.open.is_empty() && !known {
            found = found.union(self.policy.uncategorised);
        }
        let newly_seen = self.policy.newly_seen;
        if novelty != Novelty::Known {
            found = found.union(newly_seen);
        }
        let reported = found.intersection(self.profile.report);
        // What is only let through because the box is learning is what a school wants to look through first.
        if novelty == Novelty::Learning && !self.blocked_now(newly_seen).is_empty() {
            return reported.union(newly_seen);
        }
        reported
    }
}
