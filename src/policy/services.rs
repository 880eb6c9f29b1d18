//! Services that a profile switches by themselves, whatever their category does.

use super::{
    ServiceRef,
    decide::Asker,
    file::{Access, Cell, ProfileFile},
    names::{Found, What},
    tables::Tables,
};
use crate::category::CategoryId;

/// When a switch lets a client in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    Allow,
    /// Inside a schedule (its place).
    During(usize),
    /// From a group (its place).
    For(usize),
    Block,
}

/// How a service is switched in a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Switched {
    /// By the profile; where this is there, nothing else counts.
    pub(crate) own: Option<Switch>,
    /// By services that need it: while one of them is open, so is this one. They never close it.
    pub(crate) with: Vec<Switch>,
    /// Whether the profile wants to hear of it while it is open.
    pub(crate) report: bool,
}

impl Switched {
    /// A closed service counts as strict, an open one as the opposite.
    pub(crate) fn strictness(&self) -> isize {
        match self.own {
            Some(Switch::Block) => 1,
            Some(_) => -1,
            None => 0,
        }
    }
}

/// A service that has a name, and what its switch says now.
pub(crate) struct Switching {
    pub(crate) service: ServiceRef,
    /// Its category, unless there is none of that name.
    pub(crate) category: Option<CategoryId>,
    /// How many labels the service's name has.
    pub(crate) depth: usize,
    pub(crate) access: Access,
}

/// The services that a profile switches, by their places in the table, sorted.
pub(crate) fn switched(
    file: &ProfileFile,
    tables: &Tables,
    schedule: impl Fn(&str) -> Option<usize>,
    group: impl Fn(&str) -> Option<usize>,
) -> Vec<(u16, Switched)> {
    let place = |id: &str| tables.services.iter().position(|service| service.id == id);
    let mut all = vec![Switched::default(); tables.services.len()];
    for (id, cell) in &file.services {
        let Some(service) = place(id) else { continue };
        let switch = match cell {
            Cell::Allow | Cell::Report => Switch::Allow,
            Cell::AllowDuring(id) => schedule(id).map_or(Switch::Block, Switch::During),
            Cell::AllowFor(id) => group(id).map_or(Switch::Block, Switch::For),
            Cell::Block | Cell::Locked => Switch::Block,
        };
        all[service].own = Some(switch);
        all[service].report = *cell == Cell::Report;
        if switch != Switch::Block {
            for needed in tables.services[service].needs.iter().filter_map(|id| place(id)) {
                all[needed].with.push(switch);
            }
        }
    }
    (0..=u16::MAX).zip(all).filter(|(_, switched)| *switched != Switched::default()).collect()
}

impl Asker<'_> {
    /// The service with the longest name that holds for the question, where the profile switches it.
    pub(crate) fn switch(&self, facts: &Found<'_>) -> Option<Switching> {
        if self.profile.services.is_empty() {
            return None;
        }
        facts.iter().find_map(|(depth, fact)| {
            let What::Service(place) = fact.what else { return None };
            let access = self.access(self.profile.switched(place)?)?;
            let service = ServiceRef(place);
            let category =
                self.policy.service(service).and_then(|s| self.policy.categories.find(&s.category));
            Some(Switching { service, category, depth, access })
        })
    }

    /// What a switch says now; nothing where only services that are closed now need it.
    fn access(&self, switched: &Switched) -> Option<Access> {
        match switched.own {
            Some(switch) if self.lets_in(switch) => Some(Access::Allow),
            Some(_) => Some(Access::Block),
            None => switched.with.iter().any(|switch| self.lets_in(*switch)).then_some(Access::Allow),
        }
    }

    fn lets_in(&self, switch: Switch) -> bool {
        match switch {
            Switch::Allow => true,
            Switch::During(place) => self.is_time(place),
            Switch::For(place) => self.is_member(place),
            Switch::Block => false,
        }
    }
}
