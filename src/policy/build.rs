//! From what a school wrote and what the lists know to a policy that decides.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::{
    Knowledge, MAX_PROFILES, NUMBERS, Policy,
    file::{Action, PolicyFile},
    lookup::{self, View},
    names::{Essential, NamePattern, NameTable, ProfileSet, What},
    problem::{PolicyErrors, Problem, Problems, Severity},
    profile::{Lesson, Members, Profile},
    schedule::{self, Calendar, Schedule},
    tables::{EngineKind, Tables},
};
use crate::{
    category::{Audience, Categories, Category, NEWLY_SEEN, UNCATEGORISED},
    clients::{ClientIndex, Device, ProfileId},
    vault::Mask,
};

impl Policy {
    /// Makes a policy of what a school wrote and what is known of names.
    ///
    /// # Errors
    ///
    /// Every error that [`PolicyFile::validate`] finds, and lists of categories that don't exist; warnings don't keep a
    /// policy from being made.
    pub fn build(file: &PolicyFile, knowledge: &Knowledge) -> Result<Self, PolicyErrors> {
        Self::build_with(file, knowledge, Tables::shipped())
    }

    /// Makes a policy with other tables than the shipped ones.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with(
        file: &PolicyFile,
        knowledge: &Knowledge,
        tables: &Tables,
    ) -> Result<Self, PolicyErrors> {
        let mut errors: Vec<Problem> = file
            .check(&knowledge.categories, tables, None)
            .into_iter()
            .filter(|problem| problem.severity == Severity::Error)
            .collect();
        let mut problems = Problems::default();
        let categories = Arc::new(file.all_categories(&knowledge.categories, &mut problems));
        let views = views(file, knowledge, &categories, &mut problems);
        for problem in problems.into_vec() {
            if !errors.contains(&problem) {
                errors.push(problem);
            }
        }
        if !errors.is_empty() {
            return Err(PolicyErrors(errors));
        }
        Ok(Self::compile(file, tables, categories, views))
    }

    /// Makes a policy of a file without errors.
    fn compile(file: &PolicyFile, tables: &Tables, categories: Arc<Categories>, views: Vec<View>) -> Self {
        let zone = zone(&file.timezone).unwrap_or(TimeZone::UTC);
        let device_place = |name: &str| file.devices.iter().position(|device| device.name == name);
        let profiles = profiles(file, tables, &categories);
        let fallback = fallback(file, &profiles);
        let members = |words: &[String]| Members::read(words, device_place).0;
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            security: categories.security(),
            uncategorised: categories.find(UNCATEGORISED).into_iter().collect(),
            newly_seen: categories.find(NEWLY_SEEN).into_iter().collect(),
            server_lists: lookup::server_lists(&views),
            sealed: categories.sealed(),
            mask: Mask::without_key(),
            clients: clients(file, fallback),
            suspended: file.devices.iter().map(|device| device.suspended).collect(),
            groups: file.groups.iter().map(|group| members(&group.devices)).collect(),
            lessons: file
                .lessons
                .iter()
                .map(|lesson| Lesson {
                    room: members(&lesson.room),
                    until: lesson.until.and_then(|at| schedule::moment(at, &zone).ok()),
                })
                .collect(),
            narrow: (0..=u32::MAX)
                .zip(&file.rules)
                .filter_map(|(place, rule)| Some((place, members(rule.clients.as_ref()?))))
                .collect(),
            schedules: file.schedules.iter().map(Schedule::new).collect(),
            names: names(file, tables, &profiles, &zone),
            calendar: Calendar {
                terms: file.terms.iter().filter_map(|range| schedule::days(range).ok()).collect(),
                holidays: file.holidays.iter().filter_map(|range| schedule::days(range).ok()).collect(),
                zone,
            },
            file: file.clone(),
            tables: tables.clone(),
            categories,
            views,
            profiles,
            fallback,
        }
    }
}

impl PolicyFile {
    /// The shipped categories and the school's own; those that can't be added are left out.
    pub(crate) fn every_category(&self, shipped: &Categories) -> Categories {
        self.all_categories(shipped, &mut Problems::default())
    }

    /// The shipped categories and the school's own.
    pub(crate) fn all_categories(&self, shipped: &Categories, problems: &mut Problems) -> Categories {
        let mut categories = shipped.clone();
        for own in &self.categories {
            let category = Category {
                number: None,
                id: own.id.clone(),
                title: own.title.clone(),
                summary: own.summary.clone(),
                area: String::from("technical"),
                risk: own.risk,
                alert: own.alert.clone(),
                locked_for: Vec::new(),
                defaults: [].into(),
                sources: Vec::new(),
            };
            if let Err(e) = categories.add(category) {
                problems.error(format!("category {:?}", own.id), e.to_string(), "");
            }
        }
        categories
    }
}

/// Finds a time zone in the database that is part of the program, so that the same policy decides the same everywhere.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    jiff::tz::TimeZoneDatabase::bundled().get(name).ok()
}

fn views(
    file: &PolicyFile,
    knowledge: &Knowledge,
    categories: &Categories,
    problems: &mut Problems,
) -> Vec<View> {
    let mut views = Vec::new();
    for (place, index) in knowledge.indexes.iter().enumerate() {
        let mut of_lists = Vec::new();
        let mut approves = Vec::new();
        for list in index.lists() {
            let category = categories.find(&list.category);
            // A list of an own category that was taken out waits for the next compilation; any other is a mistake that
            // must not leave its names open unseen.
            if category.is_none() && !list.category.starts_with("own-") {
                problems.error(
                    format!("list {:?}", list.id),
                    format!("its category {:?} does not exist", list.category),
                    "",
                );
            }
            of_lists.push(category);
            // The starter lists come first and are never the school's.
            let subscribed = place > 0 || knowledge.indexes.len() == 1;
            approves
                .push(subscribed && file.lists.iter().any(|l| l.id == list.id && l.action == Action::Allow));
        }
        views.push(View::new(Arc::clone(index), of_lists.into(), &approves, categories.sealed()));
    }
    views
}

/// The profiles of a file, ready to decide.
pub(crate) fn profiles(file: &PolicyFile, tables: &Tables, categories: &Categories) -> Vec<Profile> {
    let schedule = |id: &str| file.schedules.iter().position(|schedule| schedule.id == id);
    let group = |id: &str| file.groups.iter().position(|group| group.id == id);
    let ready = |profile| Profile::new(profile, file, categories, tables, schedule, group);
    file.profiles.iter().map(ready).collect()
}

/// The place of the profile of clients that nobody knows: the one that is named, else the strictest.
pub(crate) fn fallback(file: &PolicyFile, profiles: &[Profile]) -> usize {
    let named = file.fallback_profile.as_deref();
    named
        .and_then(|id| file.profiles.iter().position(|profile| profile.id == id))
        .or_else(|| strictest(profiles))
        .unwrap_or_default()
}

/// The place of the strictest pupil profile, the first of equals; of any profile, where none is for pupils.
fn strictest(profiles: &[Profile]) -> Option<usize> {
    let pupils = |place: &usize| profiles[*place].audience == Audience::Pupil;
    (0..profiles.len())
        .filter(pupils)
        .rev()
        .max_by_key(|place| profiles[*place].strictness())
        .or_else(|| (0..profiles.len()).rev().max_by_key(|place| profiles[*place].strictness()))
}

fn clients(file: &PolicyFile, fallback: usize) -> ClientIndex {
    // Validation keeps profiles under `MAX_PROFILES`.
    let profile = |id: &str| file.profiles.iter().position(|p| p.id == id).map(|p| ProfileId(p as u16));
    let devices: Vec<Device> = file
        .devices
        .iter()
        .map(|device| Device {
            mac: device.mac.as_deref().and_then(|mac| mac.trim().parse().ok()),
            address: device.address.as_deref().and_then(|address| address.trim().parse().ok()),
            profile: device.profile.as_deref().and_then(profile),
        })
        .collect();
    let subnets: Vec<(IpNet, ProfileId)> = file
        .profiles
        .iter()
        .take(MAX_PROFILES)
        .enumerate()
        .flat_map(|(place, profile)| {
            profile.subnets.iter().filter_map(move |text| Some((subnet(text)?, ProfileId(place as u16))))
        })
        .collect();
    ClientIndex::new(&devices, &subnets, ProfileId(fallback as u16))
}

/// Reads a subnet; an address alone is the subnet of itself. Bits behind the prefix are dropped.
pub(crate) fn subnet(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse::<IpNet>().map(|net| net.trunc()).or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}

fn names(file: &PolicyFile, tables: &Tables, profiles: &[Profile], zone: &TimeZone) -> NameTable {
    let mut names = NameTable::default();
    for (place, rule) in (0..=u32::MAX).zip(&file.rules) {
        let Ok(pattern) = NamePattern::parse(&rule.name) else { continue };
        let mut profiles = ProfileSet::default();
        match &rule.profiles {
            None => profiles = ProfileSet::ALL,
            Some(ids) => {
                for id in ids {
                    if let Some(place) = file.profiles.iter().position(|profile| profile.id == *id) {
                        profiles.insert(place);
                    }
                }
            }
        }
        let until = rule.until.and_then(|at| schedule::moment(at, zone).ok());
        if rule.until.is_some() && until.is_none() {
            // An end that can't be read must not make a rule endless.
            continue;
        }
        let allow = rule.action == Action::Allow;
        names.add(
            &pattern,
            What::Rule { rule: place, allow, until, profiles, narrow: rule.clients.is_some() },
        );
    }
    for own in &file.own_names {
        if let Ok(pattern) = NamePattern::parse(own) {
            names.add(&pattern, What::Essential(Essential::Own));
        }
    }
    for (set, pattern) in &tables.essential {
        names.add(pattern, What::Essential(*set));
    }
    for server in &tables.shared_servers {
        names.add(server, What::SharedServer);
    }
    for canary in &tables.canaries {
        names.add(&canary.name, What::Canary { answer: canary.answer, always: canary.always });
    }
    for (place, bundle) in (0..=u8::MAX).zip(file.all_bundles(tables)) {
        for pattern in bundle.patterns() {
            names.add(&pattern, What::Bundle(place));
        }
    }
    for (place, lesson) in (0..=u16::MAX).zip(&file.lessons) {
        for pattern in lesson.only.iter().flat_map(|name| file.lesson_names(name, tables)) {
            names.add(&pattern, What::Lesson(place));
        }
    }
    // Services that no profile switches are left to their categories, and cost nothing here.
    for (place, service) in (0..=u16::MAX).zip(&tables.services) {
        if profiles.iter().any(|profile| profile.switched(place).is_some()) {
            for pattern in service.names.iter().filter_map(|name| NamePattern::parse(name).ok()) {
                names.add(&pattern, What::Service(place));
            }
        }
    }
    for (place, engine) in (0..=u16::MAX).zip(&tables.engines) {
        for host in &engine.hosts {
            names.add(host, What::Engine { engine: place, site: false });
        }
        if engine.kind == EngineKind::YouTube {
            for site in &engine.sites {
                names.add(site, What::Engine { engine: place, site: true });
            }
        }
    }
    names
}
