//! What each role may do: one table, which the routes, the pages and the documentation read.

use crate::accounts::{Role, Scope};

/// What a page or a call of the API needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Nothing: whoever reaches the box may.
    Open,
    /// To be signed in, in whatever role: one's own account, and what every member of staff may know.
    SignedIn,
    /// To see how the box is and how much it blocks, without who asked for what.
    SeeOverview,
    /// To ask what happens to a site, and why.
    CheckSites,
    /// To see the policy: categories, sites, schedules, networks.
    SeePolicy,
    /// To change the policy.
    ChangePolicy,
    /// To open something on one's own word, and to approve what others propose to open.
    Approve,
    /// To open or narrow what one room may reach for a lesson.
    RunLessons,
    /// To see the lists and their state.
    SeeLists,
    /// To subscribe, update, accept and roll back lists.
    ChangeLists,
    /// To search the query log, with devices under pseudonyms.
    SeeLog,
    /// To see which device asked.
    SeeDevices,
    /// To take lines of the log out, and to hold or erase them.
    ExportLog,
    /// To say what the school does about what DNS filtering can't do.
    ChangeLimits,
    /// To add, change and remove those who may sign in.
    ManageUsers,
    /// To see who changed what.
    SeeAudit,
    /// To see the box's settings, certificates and upstreams.
    SeeSystem,
    /// To change certificates, take backups, restart.
    ChangeSystem,
    /// To let somebody into the machine by SSH, and to empty it.
    OwnSystem,
    /// To read the figures for monitoring.
    SeeMetrics,
}

impl Right {
    /// Each of them that a role can have or lack.
    pub const ALL: [Self; 19] = [
        Self::SignedIn,
        Self::SeeOverview,
        Self::CheckSites,
        Self::SeePolicy,
        Self::ChangePolicy,
        Self::Approve,
        Self::RunLessons,
        Self::SeeLists,
        Self::ChangeLists,
        Self::SeeLog,
        Self::SeeDevices,
        Self::ExportLog,
        Self::ChangeLimits,
        Self::ManageUsers,
        Self::SeeAudit,
        Self::SeeSystem,
        Self::ChangeSystem,
        Self::OwnSystem,
        Self::SeeMetrics,
    ];

    /// What it allows, in words for the documentation.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Open => "open to everyone on the network",
            Self::SignedIn => "own account, limits of DNS filtering",
            Self::SeeOverview => "overview: health, and how much is blocked",
            Self::CheckSites => "check a site",
            Self::SeePolicy => "see categories, sites, schedules, networks",
            Self::ChangePolicy => "change them",
            Self::Approve => "open something on their own word, approve what others propose",
            Self::RunLessons => "open or narrow a room for a lesson",
            Self::SeeLists => "see lists",
            Self::ChangeLists => "subscribe, update, accept, roll back lists",
            Self::SeeLog => "search the query log, devices under pseudonyms",
            Self::SeeDevices => "see which device asked",
            Self::ExportLog => "export, hold and erase lines of the log",
            Self::ChangeLimits => "write down the school's mitigations",
            Self::ManageUsers => "manage who may sign in",
            Self::SeeAudit => "see who changed what",
            Self::SeeSystem => "see certificates, upstreams, diagnostics",
            Self::ChangeSystem => {
                "change certificates, back up, restart; network and updates of an appliance"
            }
            Self::OwnSystem => "an appliance: SSH, factory reset",
            Self::SeeMetrics => "read figures for monitoring",
        }
    }

    /// Who has it.
    pub(super) fn roles(self) -> &'static [Role] {
        use Role::{Auditor, Governor, Head, PolicyOwner, Safeguarding, Teacher, Technician};
        match self {
            Self::Open | Self::SignedIn => &Role::ALL,
            Self::SeeOverview => &[Head, Safeguarding, PolicyOwner, Technician, Governor, Auditor],
            Self::CheckSites => &[Head, Safeguarding, PolicyOwner, Technician, Teacher],
            Self::SeePolicy => &[Head, Safeguarding, PolicyOwner, Technician, Auditor],
            Self::ChangePolicy => &[Head, Safeguarding, PolicyOwner, Technician],
            Self::Approve => &[Head, Safeguarding, PolicyOwner],
            Self::RunLessons => &[Head, Safeguarding, PolicyOwner, Technician, Teacher],
            Self::SeeLists => &[Head, Safeguarding, PolicyOwner, Technician, Auditor],
            Self::ChangeLists => &[Head, PolicyOwner, Technician],
            Self::SeeLog => &[Head, Safeguarding, Technician],
            Self::SeeDevices | Self::ExportLog => &[Head, Safeguarding],
            Self::ChangeLimits => &[Head, Safeguarding, PolicyOwner],
            Self::ManageUsers => &[Head, Technician],
            Self::SeeAudit => &[Head, Safeguarding, PolicyOwner, Auditor],
            Self::SeeSystem => &[Head, Technician, Auditor],
            Self::ChangeSystem => &[Head, Technician],
            Self::OwnSystem => &[Head],
            Self::SeeMetrics => &[Head, Technician],
        }
    }

    /// Whether a role has it.
    #[must_use]
    pub fn is_of(self, role: Role) -> bool {
        self.roles().contains(&role)
    }

    /// The scope that an API token needs for it, beside its owner's role.
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::Open
            | Self::SignedIn
            | Self::SeeOverview
            | Self::CheckSites
            | Self::SeePolicy
            | Self::SeeLists => Scope::Read,
            Self::ChangePolicy | Self::Approve | Self::RunLessons | Self::ChangeLimits => Scope::Policy,
            Self::ChangeLists => Scope::Lists,
            Self::SeeLog | Self::SeeDevices | Self::ExportLog => Scope::Log,
            Self::SeeAudit | Self::SeeSystem | Self::ChangeSystem | Self::OwnSystem => Scope::System,
            Self::SeeMetrics => Scope::Metrics,
            Self::ManageUsers => Scope::Users,
        }
    }
}

/// The table of roles and rights, as a table in Markdown for the documentation.
#[must_use]
pub fn role_table() -> String {
    let mut text = String::from("| may |");
    for role in Role::ALL {
        text.push_str(&format!(" {} |", role.word()));
    }
    text.push_str("\n| --- |");
    text.push_str(&" --- |".repeat(Role::ALL.len()));
    for right in Right::ALL {
        text.push_str(&format!("\n| {} |", right.title()));
        for role in Role::ALL {
            text.push_str(if right.is_of(role) { " yes |" } else { " |" });
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_governor_sees_sums_and_no_device_and_an_auditor_changes_nothing() {
        for right in
            [Right::SeeLog, Right::SeeDevices, Right::SeeAudit, Right::ChangePolicy, Right::CheckSites]
        {
            assert!(!right.is_of(Role::Governor), "{right:?}");
        }
        let changing = [
            Right::ChangePolicy,
            Right::Approve,
            Right::RunLessons,
            Right::ChangeLists,
            Right::ChangeLimits,
            Right::ManageUsers,
            Right::ChangeSystem,
            Right::OwnSystem,
            Right::ExportLog,
        ];
        assert!(changing.iter().all(|right| !right.is_of(Role::Auditor)));
    }

    #[test]
    fn a_technician_operates_the_box_and_sees_devices_under_pseudonyms_only() {
        assert!(Right::SeeLog.is_of(Role::Technician) && Right::ChangeSystem.is_of(Role::Technician));
        assert!(Right::ChangePolicy.is_of(Role::Technician) && !Right::Approve.is_of(Role::Technician));
        assert!(!Right::SeeDevices.is_of(Role::Technician) && !Right::SeeAudit.is_of(Role::Technician));
    }

    #[test]
    fn the_table_in_the_documentation_is_this_one() {
        let docs = include_str!("../../docs/admin.md");
        let table = role_table();
        assert!(docs.contains(&table), "docs/admin.md should have this table:\n{table}");
    }
}
