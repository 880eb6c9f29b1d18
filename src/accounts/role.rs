//! What somebody is at the school, and what a program may do in their name.

use serde::{Deserialize, Serialize};

/// What somebody is at the school; it says what they may see and do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The head teacher: everything.
    Head,
    /// The safeguarding lead or a deputy: alerts, the log of pupils, approvals.
    Safeguarding,
    /// Who answers for what is blocked and allowed.
    PolicyOwner,
    /// Who operates the box, perhaps from another company.
    Technician,
    /// A teacher: their own classes.
    Teacher,
    /// A governor: totals only.
    Governor,
    /// Who looks at what was done, and changes nothing.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::Head,
        Self::Safeguarding,
        Self::PolicyOwner,
        Self::Technician,
        Self::Teacher,
        Self::Governor,
        Self::Auditor,
    ];

    /// The word for it in files, commands and the API: `policy-owner`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Safeguarding => "safeguarding",
            Self::PolicyOwner => "policy-owner",
            Self::Technician => "technician",
            Self::Teacher => "teacher",
            Self::Governor => "governor",
            Self::Auditor => "auditor",
        }
    }

    /// The role of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }

    /// Whether nobody of this role signs in by a password alone: it sees pupils' questions, or decides what they reach.
    #[must_use]
    pub fn needs_second_factor(self) -> bool {
        matches!(self, Self::Head | Self::Safeguarding | Self::PolicyOwner | Self::Technician)
    }

    /// Whether who has it may add, change and remove users.
    #[must_use]
    pub fn manages_users(self) -> bool {
        matches!(self, Self::Head | Self::Technician)
    }

    /// Whether who has it may make, change or let in anew users of another role. A technician looks after all but those
    /// who see what they don't: heads, safeguarding leads and auditors. While the school has no head, somebody must make
    /// one.
    #[must_use]
    pub fn may_manage(self, other: Self, has_head: bool) -> bool {
        match self {
            Self::Head => true,
            Self::Technician => {
                !has_head || !matches!(other, Self::Head | Self::Safeguarding | Self::Auditor)
            }
            _ => false,
        }
    }

    /// What a token may do at most that somebody of this role made.
    #[must_use]
    pub fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Head | Self::Technician => &Scope::ALL,
            Self::Safeguarding => &[Scope::Read, Scope::Log],
            Self::PolicyOwner => &[Scope::Read, Scope::Policy, Scope::Lists],
            Self::Teacher | Self::Auditor => &[Scope::Read],
            // Totals only, which no scope is for.
            Self::Governor => &[],
        }
    }
}

/// What a program may do by an API token.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// See settings, lists and what happens to a name; not the query log.
    Read,
    /// Search the query log.
    Log,
    /// Change the policy.
    Policy,
    /// Update and change lists.
    Lists,
    /// Add, change and remove users.
    Users,
    /// Operate the box.
    System,
    /// Read the counters for a monitoring system.
    Metrics,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 7] =
        [Self::Read, Self::Log, Self::Policy, Self::Lists, Self::Users, Self::System, Self::Metrics];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Log => "log",
            Self::Policy => "policy",
            Self::Lists => "lists",
            Self::Users => "users",
            Self::System => "system",
            Self::Metrics => "metrics",
        }
    }

    /// The scope of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_and_scope_is_found_by_its_word_and_travels_as_it() {
        for role in Role::ALL {
            assert_eq!(Role::from_word(role.word()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.word());
        }
        for scope in Scope::ALL {
            assert_eq!(Scope::from_word(scope.word()), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.word());
        }
        assert_eq!(Role::from_word("Head"), None);
    }

    #[test]
    fn who_manages_users_needs_a_second_factor() {
        for role in Role::ALL.into_iter().filter(|role| role.manages_users()) {
            assert!(role.needs_second_factor(), "{role:?}");
        }
        assert!(Role::Safeguarding.needs_second_factor());
        assert!(!Role::Teacher.needs_second_factor());
    }

    #[test]
    fn a_technician_makes_nobody_who_sees_more_once_there_is_a_head() {
        for role in Role::ALL {
            assert!(Role::Head.may_manage(role, true));
            assert!(Role::Technician.may_manage(role, false));
            assert!(!Role::Teacher.may_manage(role, false) && !Role::PolicyOwner.may_manage(role, true));
        }
        for role in [Role::Head, Role::Safeguarding, Role::Auditor] {
            assert!(!Role::Technician.may_manage(role, true));
        }
        assert!(Role::Technician.may_manage(Role::Teacher, true));
    }
}
