//! A decision as the query log keeps it: in words that stay true when the policy has changed.

use super::{Decision, Essential, LogLevel, Policy, Reason, Server, Verdict, wire::list_behind};
use crate::{
    category::{Audience, CategorySet},
    clients::ProfileId,
    name::Key,
    vault::Digest,
};

/// A decision in words, for records that outlive the policy that made it.
///
/// Names and addresses that must not be shown stand in it as digests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DecisionWords {
    /// What decided, in a word that never changes: `category`, `allow-rule`.
    pub reason: &'static str,
    /// The identifier of the category that decided; empty where none did.
    pub category: String,
    /// The identifier of the list that decided; empty where none did.
    pub list: String,
    /// The school's rule (its name), service, lesson or schedule that decided or is in force; empty where none is.
    pub rule: String,
    /// The alias, address, name server, engine or date that decided; empty where none did.
    pub detail: String,
    /// In a profile that only watches: the word for which it would have been blocked; empty elsewhere.
    pub would: String,
    /// The identifiers of all categories of the name.
    pub categories: Vec<String>,
    /// Whether somebody may have to look at it: a category with an alert class was asked for and was not open, or the
    /// profile wants the category reported.
    pub alert: bool,
}

impl Policy {
    /// Says a decision in the words of the query log.
    #[must_use]
    pub fn words(&self, decision: &Decision, profile: ProfileId) -> DecisionWords {
        let ids = |set: CategorySet| self.categories.ids(set).into_iter().map(str::to_owned).collect();
        let deciding = self.deciding_category(decision);
        let shown = match &decision.would_block {
            Some(would) => would.as_ref(),
            None => &decision.reason,
        };
        let blocked = matches!(decision.verdict, Verdict::Block(_)) || decision.would_block.is_some();
        let alerts = |category| self.category(category).is_some_and(|category| category.alert != "none");
        DecisionWords {
            reason: decision.reason.word(),
            category: deciding.map_or_else(String::new, |id| self.id_of(id)),
            list: list_behind(shown)
                .and_then(|listed| self.list(listed))
                .map_or_else(String::new, |list| list.id.clone()),
            rule: self.rule_words(decision, profile),
            detail: self.detail(shown),
            would: decision.would_block.as_ref().map_or_else(String::new, |would| would.word().to_owned()),
            categories: ids(decision.categories),
            alert: !decision.reported.is_empty() || (blocked && deciding.is_some_and(alerts)),
        }
    }

    /// What is logged of a profile's clients.
    #[must_use]
    pub fn log_level(&self, id: ProfileId) -> LogLevel {
        self.written(id).log_level()
    }

    fn id_of(&self, category: crate::category::CategoryId) -> String {
        self.category(category).map_or_else(String::new, |category| category.id.clone())
    }

    fn rule_words(&self, decision: &Decision, profile: ProfileId) -> String {
        let reason = match decision.would_block.as_deref().unwrap_or(&decision.reason) {
            Reason::Alias { because, .. } => because.as_ref(),
            reason => reason,
        };
        let text = match reason {
            Reason::BlockRule(rule) | Reason::AllowRule(rule) | Reason::Exception(rule) => {
                self.rule(*rule).map(|rule| rule.name.clone())
            }
            Reason::BlockService(service) | Reason::AllowService(service) => {
                self.service(*service).map(|service| service.id.clone())
            }
            Reason::Lesson(lesson) => self.lesson(*lesson).map(|lesson| lesson.name.clone()),
            Reason::Schedule(listed) => {
                let mut one = CategorySet::EMPTY;
                one.insert(listed.category);
                self.schedule_of(one, profile)
            }
            // Open, perhaps only at this time.
            Reason::Default => self.schedule_of(decision.categories, profile),
            _ => None,
        };
        text.map_or_else(String::new, |text| self.masked(&text).into_owned())
    }

    /// The schedule on which one of the categories depends in the client's profile.
    fn schedule_of(&self, categories: CategorySet, profile: ProfileId) -> Option<String> {
        let profile = &self.profiles[self.place(profile)];
        let (_, place) =
            profile.during.iter().find(|(during, _)| !during.intersection(categories).is_empty())?;
        self.file.schedules.get(*place).map(|schedule| schedule.id.clone())
    }

    fn detail(&self, reason: &Reason) -> String {
        match reason {
            Reason::Alias { target, because } => match self.detail(because) {
                more if more.is_empty() => self.shown(target),
                more => format!("{} {more}", self.shown(target)),
            },
            Reason::Address { address, .. } | Reason::LockedAddress { address, .. } => {
                self.shown_address(*address)
            }
            Reason::Rebinding(address) => address.to_string(),
            Reason::NameServer(by) => match &by.server {
                Server::Name(name) => self.shown(name),
                Server::Address(address) => self.shown_address(*address),
            },
            Reason::SafeSearch(engine) => engine.clone(),
            Reason::NewlySeen { since, .. } => since.date().to_string(),
            _ => String::new(),
        }
    }

    /// Whether a name is a help line's.
    #[must_use]
    pub fn is_help_line(&self, key: &Key) -> bool {
        self.essential(key) == Some(Essential::Help)
    }

    /// Whether the names of help lines that a profile's clients ask for are counted and not written down: those of
    /// children, unless the safeguarding lead wants it otherwise.
    #[must_use]
    pub fn hides_help_lines(&self, id: ProfileId) -> bool {
        self.written(id).audience == Audience::Pupil && !self.file.log.help_lines
    }

    /// Whether a named device is known by its link-layer address.
    #[must_use]
    pub fn device_has_mac(&self, place: Option<u16>) -> bool {
        place
            .and_then(|place| self.file.devices.get(usize::from(place)))
            .is_some_and(|device| device.mac.is_some())
    }

    /// What is shown of a name on a list that must not be shown: the digest of the listed name, and where another one
    /// was asked for, below it, the digest of that behind a slash (`locked:3fa9c0ffee12/8d2e00aa1b2c`).
    #[must_use]
    pub fn digests(&self, key: &Key, listed: Digest) -> String {
        let own = self.mask.name(key.as_bytes());
        if own == listed {
            return listed.to_string();
        }
        let own = own.to_string();
        format!("{listed}/{}", own.trim_start_matches(Digest::PREFIX))
    }
}
