//! A profile, ready to decide: its cells as sets of categories.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    BlockResponse,
    bundles::MAX_BUNDLES,
    file::{Access, Cell, LogLevel, Mode, PolicyFile, ProfileFile, YouTube},
    services::{self, Switched},
    tables::Tables,
};
use crate::{
    category::{Audience, Categories, Category, CategorySet, NEWLY_SEEN, UNCATEGORISED},
    clients::{Client, Mac},
};

/// A profile, ready to decide.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) audience: Audience,
    pub(crate) mode: Mode,
    /// Whether names on no list are always blocked.
    blocks_unlisted: bool,
    pub(crate) safe_search: bool,
    pub(crate) youtube: YouTube,
    pub(crate) strip_ech: bool,
    pub(crate) block_with: BlockResponse,
    pub(crate) canaries: bool,
    /// What nothing opens.
    pub(crate) locked: CategorySet,
    /// What is allowed and reported.
    pub(crate) report: CategorySet,
    /// What is always blocked, locked categories included.
    pub(crate) block: CategorySet,
    /// What is blocked outside a schedule (its place).
    pub(crate) during: Vec<(CategorySet, usize)>,
    /// What is blocked for clients outside a group (its place).
    pub(crate) reserved: Vec<(CategorySet, usize)>,
    /// The services that are switched by themselves, by their places.
    pub(crate) services: Vec<(u16, Switched)>,
    /// A bit for each bundle that is approved.
    pub(crate) bundles: u128,
}

impl Profile {
    /// Makes the profile. `schedule` and `group` find places by identifier; what they don't find is blocked.
    pub(crate) fn new(
        file: &ProfileFile,
        whole: &PolicyFile,
        categories: &Categories,
        tables: &Tables,
        schedule: impl Fn(&str) -> Option<usize>,
        group: impl Fn(&str) -> Option<usize>,
    ) -> Self {
        let mut profile = Self {
            audience: file.audience,
            mode: file.mode,
            blocks_unlisted: matches!(file.unlisted(), Cell::Block | Cell::Locked),
            safe_search: file.safe_search,
            youtube: file.youtube,
            strip_ech: file.strip_ech,
            block_with: file.block_with,
            canaries: file.canaries,
            locked: categories.locked(file.audience),
            report: CategorySet::EMPTY,
            block: CategorySet::EMPTY,
            during: Vec::new(),
            reserved: Vec::new(),
            services: services::switched(file, tables, &schedule, &group),
            bundles: 0,
        };
        for (id, category) in categories.iter() {
            match file.cell(category, tables) {
                Cell::Allow => {}
                Cell::Report => profile.report.insert(id),
                Cell::Block => profile.block.insert(id),
                Cell::Locked => profile.locked.insert(id),
                Cell::AllowDuring(name) => match schedule(&name) {
                    Some(place) => join(&mut profile.during, place).insert(id),
                    None => profile.block.insert(id),
                },
                Cell::AllowFor(name) => match group(&name) {
                    Some(place) => join(&mut profile.reserved, place).insert(id),
                    None => profile.block.insert(id),
                },
            }
        }
        profile.block = profile.block.union(profile.locked);
        for bundle in &file.bundles {
            let place = whole.all_bundles(tables).position(|known| known.id() == bundle);
            if let Some(place) = place.filter(|place| *place < MAX_BUNDLES) {
                profile.bundles |= 1 << place;
            }
        }
        profile
    }

    /// How a service is switched, if it is, by its place.
    pub(crate) fn switched(&self, service: u16) -> Option<&Switched> {
        let at = self.services.binary_search_by_key(&service, |(place, _)| *place).ok()?;
        self.services.get(at).map(|(_, switched)| switched)
    }

    /// How strict it is, to be compared with others.
    pub(crate) fn strictness(&self) -> (bool, bool, bool, usize, usize, isize) {
        let limited = self.during.iter().chain(&self.reserved).map(|(set, _)| set.iter().count()).sum();
        (
            self.mode != Mode::Watch,
            self.mode == Mode::AllowOnly,
            self.blocks_unlisted,
            self.block.iter().count(),
            limited,
            self.services.iter().map(|(_, switched)| switched.strictness()).sum(),
        )
    }
}

impl ProfileFile {
    /// What people read.
    #[must_use]
    pub fn title(&self) -> &str {
        if self.name.is_empty() { &self.id } else { &self.name }
    }

    /// What is logged of its clients: as written, else what is usual for its audience.
    #[must_use]
    pub fn log_level(&self) -> LogLevel {
        self.log.unwrap_or_else(|| LogLevel::usual(self.audience))
    }

    /// The state of names on no list: the cell `uncategorised`, else the setting, else allowed.
    #[must_use]
    pub fn unlisted(&self) -> Cell {
        match (self.categories.get(UNCATEGORISED), self.uncategorised) {
            (Some(cell), _) => cell.clone(),
            (None, Some(Access::Block)) => Cell::Block,
            (None, Some(Access::Allow) | None) => Cell::Allow,
        }
    }

    /// The state of a category: as written, else as shipped; of `uncategorised`, see [`unlisted`](Self::unlisted).
    ///
    /// The shipped state is that of the shipped profile with this identifier, if it is for the same audience, else the
    /// strictest of all shipped profiles for this audience; `newly-seen` is then allowed. A category of the school's own is blocked.
    #[must_use]
    pub fn cell(&self, category: &Category, tables: &Tables) -> Cell {
        if category.id == UNCATEGORISED {
            return self.unlisted();
        }
        if let Some(cell) = self.categories.get(&category.id) {
            return cell.clone();
        }
        let shipped = |profile: &str| match category.defaults.get(profile).map(String::as_str) {
            Some("allow") => Cell::Allow,
            Some("locked") => Cell::Locked,
            _ => Cell::Block,
        };
        let rank = |cell: &Cell| match cell {
            Cell::Allow | Cell::Report => 0,
            Cell::Locked => 2,
            _ => 1,
        };
        let same = tables.profiles.iter().filter(|profile| profile.audience == self.audience);
        if same.clone().any(|profile| profile.id == self.id) {
            return shipped(&self.id);
        }
        // The strictest one approves every name, so new names are none of its worries; a school that wants to hold them
        // back elsewhere says so.
        if category.id == NEWLY_SEEN {
            return Cell::Allow;
        }
        same.map(|profile| shipped(&profile.id)).max_by_key(rank).unwrap_or(Cell::Block)
    }
}

fn join(sets: &mut Vec<(CategorySet, usize)>, place: usize) -> &mut CategorySet {
    let at = sets.iter().position(|(_, other)| *other == place).unwrap_or_else(|| {
        sets.push((CategorySet::EMPTY, place));
        sets.len() - 1
    });
    &mut sets[at].0
}

/// Some clients: a group, or the room of a lesson.
#[derive(Debug, Default)]
pub(crate) struct Members {
    nets: Vec<IpNet>,
    macs: Vec<Mac>,
    /// Places of named devices.
    devices: Vec<u16>,
}

impl Members {
    /// Reads members; words that are none are handed back.
    pub(crate) fn read(words: &[String], device: impl Fn(&str) -> Option<usize>) -> (Self, Vec<usize>) {
        let (mut members, mut unknown) = (Self::default(), Vec::new());
        for (place, word) in words.iter().enumerate() {
            let word = word.trim();
            if let Some(found) = device(word).and_then(|place| u16::try_from(place).ok()) {
                members.devices.push(found);
            } else if let Ok(address) = word.parse::<IpAddr>() {
                members.nets.push(address.to_canonical().into());
            } else if let Ok(net) = word.parse::<IpNet>() {
                members.nets.push(canonical(net));
            } else if let Ok(mac) = word.parse() {
                members.macs.push(mac);
            } else {
                unknown.push(place);
            }
        }
        (members, unknown)
    }

    pub(crate) fn contains(&self, client: &Client) -> bool {
        client.device.is_some_and(|device| self.devices.contains(&device))
            || client.mac.is_some_and(|mac| self.macs.contains(&mac))
            || self.nets.iter().any(|net| net.contains(&client.address))
    }
}

/// An IPv4-mapped subnet as the IPv4 one, as client addresses are.
pub(crate) fn canonical(net: IpNet) -> IpNet {
    match (net.network().to_canonical(), net.prefix_len().checked_sub(96)) {
        (IpAddr::V4(base), Some(length)) if net.network().is_ipv6() => {
            IpNet::new(base.into(), length).map_or_else(|_| net.trunc(), |net| net.trunc())
        }
        _ => net.trunc(),
    }
}

/// A lesson in which a room may reach only a few names.
#[derive(Debug)]
pub(crate) struct Lesson {
    pub(crate) room: Members,
    pub(crate) until: Option<Timestamp>,
}

impl Lesson {
    pub(crate) fn is_for(&self, client: &Client, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until) && self.room.contains(client)
    }
}
