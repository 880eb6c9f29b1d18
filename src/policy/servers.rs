//! Zones by the name servers that they are delegated to: pupils' proxies have new names every week, but live with the same
//! few services.

use smallvec::SmallVec;

use super::{
    Reason, ServedBy, Server,
    decide::Asker,
    file::Mode,
    lookup::{Matches, Of},
    review::{Chosen, Finding},
};
use crate::{
    category::CategorySet,
    delegation::{Delegation, Delegations},
    name::Key,
};

impl Asker<'_> {
    /// What speaks against a zone by its name servers.
    ///
    /// `all` are the delegations of the answer, `path` the name asked and the names that it leads to, and `chosen` says
    /// whether someone decided for the name asked.
    pub(super) fn name_servers<P: Iterator<Item = Key>>(
        &self,
        delegation: &Delegation,
        all: &Delegations,
        path: impl Fn() -> P,
        chosen: Chosen,
    ) -> Option<Finding> {
        let lists = self.policy.server_lists;
        if lists == 0 || delegation.is_unlisted(lists) {
            return None;
        }
        let found = self.listed_servers(delegation);
        if found.is_empty() {
            delegation.set_unlisted(lists);
            return None;
        }
        let zone = delegation.zone();
        // A top-level domain's servers say nothing of the names that are registered in it.
        if zone.depth() == 0 || zone.is_icann_suffix() {
            return None;
        }
        let raw = union(&found, |matches| matches.raw);
        let locked = raw.intersection(self.profile.locked);
        if !locked.is_empty() {
            let open = union(&found, |matches| matches.open);
            return Some(self.served(zone, &found, locked, true, open.union(locked)));
        }
        if chosen == Chosen::Name || self.all_chosen(&zone, all, path) {
            return None;
        }
        // An exemption names the zone, or a server of it.
        let exempt = self.policy.look_up_as(Of::Servers, &zone).opened;
        let open = union(&found, |matches| matches.open).difference(exempt);
        let mut blocked = self.blocked_now(open);
        let security = blocked.intersection(self.policy.security);
        if chosen == Chosen::Service {
            blocked = security;
        }
        if blocked.is_empty() {
            return None;
        }
        let watching = self.profile.mode == Mode::Watch && !security.is_empty();
        let mut finding = self.served(zone, &found, if watching { security } else { blocked }, false, open);
        finding.always = watching;
        Some(finding)
    }

    /// The servers that lists speak of, names first.
    fn listed_servers(&self, delegation: &Delegation) -> SmallVec<[(Server, Matches); 2]> {
        let mut found = SmallVec::new();
        for server in delegation.servers() {
            let mut matches = self.policy.look_up_as(Of::Servers, &server);
            if matches.raw.is_empty() {
                continue;
            }
            if self.policy.names.find(&server).is_shared_server() {
                matches.open = CategorySet::EMPTY;
            }
            found.push((Server::Name(server), matches));
        }
        for &address in delegation.addresses() {
            let matches = self.policy.look_up_address(Of::Servers, address);
            if !matches.raw.is_empty() {
                found.push((Server::Address(address), matches));
            }
        }
        found
    }

    /// Whether all names of the path that are in the zone were allowed by the school, or are essential.
    fn all_chosen<P: Iterator<Item = Key>>(
        &self,
        zone: &Key,
        all: &Delegations,
        path: impl Fn() -> P,
    ) -> bool {
        // What is in a zone below it is served by that zone's servers.
        let deeper: Vec<Key> =
            all.iter().map(Delegation::zone).filter(|other| other != zone && other.is_within(zone)).collect();
        let mut any = false;
        let mut homes =
            path().filter(|key| key.is_within(zone) && !deeper.iter().any(|deeper| key.is_within(deeper)));
        let all = homes.all(|key| {
            any = true;
            let facts = self.policy.names.find(&key);
            match self.rule(&facts) {
                Some((_, allow, _)) => allow,
                None => facts.essential().is_some(),
            }
        });
        any && all
    }

    /// The finding about the first server that is in one of the wanted categories.
    fn served(
        &self,
        zone: Key,
        found: &[(Server, Matches)],
        wanted: CategorySet,
        locked: bool,
        categories: CategorySet,
    ) -> Finding {
        let speaks = |matches: &Matches| {
            let listed = if locked { matches.raw } else { matches.open };
            !listed.intersection(wanted).is_empty()
        };
        // One of them brought the category.
        let first = found.iter().find(|(_, matches)| speaks(matches)).or_else(|| found.first());
        let (server, matches) =
            first.cloned().unwrap_or_else(|| (Server::Name(zone.clone()), Matches::default()));
        let listed = self.policy.listed(&matches, wanted);
        let by = ServedBy { zone, server, listed, locked };
        Finding { reason: Reason::NameServer(Box::new(by)), categories, always: locked }
    }
}

fn union(found: &[(Server, Matches)], of: impl Fn(&Matches) -> CategorySet) -> CategorySet {
    found.iter().fold(CategorySet::EMPTY, |all, (_, matches)| all.union(of(matches)))
}
