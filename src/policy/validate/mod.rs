//! Looks through what a school wrote and tells everything that is wrong at once.

mod conflicts;
mod lists;
mod mitigations;
mod rules;
mod services;
mod suppliers;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use ipnet::IpNet;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    MAX_PROFILES,
    build::{subnet, zone},
    file::{Access, Cell, LONGEST_WHY, Mode, NewlySeen, PolicyFile, ProfileFile, SETTINGS, VERSION, YouTube},
    names::NamePattern,
    problem::{Problem, Problems, suggest},
    profile::Members,
    schedule,
    tables::Tables,
};
use crate::{
    category::{Audience, Categories, LOCKED, NEWLY_SEEN, UNCATEGORISED},
    clients::Mac,
    spelling::nearest,
};

impl PolicyFile {
    /// Looks for everything that is wrong: errors, with which no policy can be made, and warnings.
    ///
    /// `now` is for what has already ended.
    #[must_use]
    pub fn validate(&self, categories: &Categories, now: Timestamp) -> Vec<Problem> {
        self.check(categories, Tables::shipped(), Some(now))
    }

    pub(crate) fn check(
        &self,
        shipped: &Categories,
        tables: &Tables,
        now: Option<Timestamp>,
    ) -> Vec<Problem> {
        let mut problems = Problems::default();
        self.check_own_categories(&mut problems);
        let categories = self.all_categories(shipped, &mut problems);
        let zone = self.check_top(&mut problems);
        let mut check = Check { file: self, categories: &categories, tables, zone, now, problems };
        check.twice();
        check.profiles();
        check.subnets();
        check.groups();
        check.devices();
        check.schedules();
        check.lessons();
        check.bundles();
        check.rules();
        check.lists();
        check.suppliers();
        check.mitigations();
        check.problems.into_vec()
    }

    fn check_own_categories(&self, problems: &mut Problems) {
        for own in &self.categories {
            let place = format!("category {:?}", own.id);
            if !own.id.starts_with("own-") || !is_id(&own.id) {
                problems.error(
                    &place,
                    "the id of a school's own category begins with own- and has small letters, digits and hyphens",
                    format!("write id = \"own-{}\"", own.id.trim_start_matches("own-")),
                );
            }
            if own.title.trim().is_empty() {
                problems.error(&place, "the title is empty", "write what people are to read");
            }
        }
    }

    /// The keys before the first table; the time zone, or a stand-in for one that is none.
    fn check_top(&self, problems: &mut Problems) -> TimeZone {
        if self.version != VERSION {
            problems.error(
                "version",
                format!("{} is not a version that this program reads", self.version),
                format!("write version = {VERSION}"),
            );
        }
        let zone = zone(&self.timezone);
        if zone.is_none() {
            let database = jiff::tz::TimeZoneDatabase::bundled();
            let known: Vec<String> = database.available().map(|name| name.to_string()).collect();
            let instead = nearest(&self.timezone, known.iter().map(String::as_str)).map_or_else(
                || String::from("write Europe/London"),
                |near| format!("did you mean {near:?}?"),
            );
            problems.error("timezone", format!("{:?} is no time zone", self.timezone), instead);
        }
        if !(1..=300).contains(&self.block_ttl) {
            let what = format!("{} is out of range", self.block_ttl);
            problems.error("block_ttl", what, "write 1 to 300 seconds; 10 is usual");
        }
        if let Some(contact) = &self.contact
            && !["mailto:", "tel:", "https:", "sips:"].iter().any(|scheme| contact.starts_with(scheme))
        {
            let what = format!("{contact:?} is no mailto:, tel:, sips: or https: address");
            problems.error("contact", what, "write it as mailto:office@school.example");
        }
        if let Some(Err(what)) = self.day_ends.as_deref().map(schedule::end_of_day) {
            problems.error("day_ends", what, "write when the school day ends, as 15:30");
        }
        for (i, name) in self.own_names.iter().enumerate() {
            check_name(problems, &format!("own_names[{i}]"), name);
        }
        for (what, ranges) in [("terms", &self.terms), ("holidays", &self.holidays)] {
            for (i, range) in ranges.iter().enumerate() {
                if let Err(e) = schedule::days(range) {
                    problems.error(format!("{what}[{i}]"), e, "");
                }
            }
        }
        let NewlySeen { days, learning_days } = self.newly_seen;
        for (what, given, least, usual) in [("days", days, 1, 7), ("learning_days", learning_days, 0, 14)] {
            if !(least..=90).contains(&given) {
                let instead = format!("write {least} to 90 days; {usual} is usual");
                problems.error(format!("newly_seen.{what}"), format!("{given} is out of range"), instead);
            }
        }
        self.log.check(problems);
        zone.unwrap_or(TimeZone::UTC)
    }
}

/// Where a rule is, for people who look for it.
fn place_of_rule(i: usize, name: &str) -> String {
    format!("rule[{i}] ({name})")
}

/// Whether a word can be an identifier.
fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 64
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn check_name(problems: &mut Problems, place: &str, name: &str) {
    match NamePattern::parse(name) {
        Ok(pattern) if pattern.key.is_public_suffix() => problems.warning(
            place,
            format!("{name:?} is a public suffix: everything registered under it is meant"),
            "be sure that this is wanted",
        ),
        Ok(_) => {}
        Err(e) => {
            // People paste addresses of pages.
            let host =
                name.split("://").nth(1).map(|rest| rest.split(['/', ':', '?']).next().unwrap_or(rest));
            let instead = host.filter(|host| NamePattern::parse(host).is_ok()).map_or_else(
                || String::from("write a name such as bbc.co.uk, or =bbc.co.uk for the name alone"),
                |host| format!("write {host:?}"),
            );
            problems.error(place, format!("{name:?}: {e}"), instead);
        }
    }
}

struct Check<'a> {
    file: &'a PolicyFile,
    categories: &'a Categories,
    tables: &'a Tables,
    zone: TimeZone,
    now: Option<Timestamp>,
    problems: Problems,
}

impl Check<'_> {
    /// Identifiers that are taken twice or can't be ones.
    fn twice(&mut self) {
        let file = self.file;
        let kinds: [(&str, Vec<&str>, bool); 7] = [
            ("profile", file.profiles.iter().map(|x| x.id.as_str()).collect(), true),
            ("group", file.groups.iter().map(|x| x.id.as_str()).collect(), true),
            ("schedule", file.schedules.iter().map(|x| x.id.as_str()).collect(), true),
            ("bundle", file.bundles.iter().map(|x| x.id.as_str()).collect(), true),
            ("list", file.lists.iter().map(|x| x.id.as_str()).collect(), true),
            ("device", file.devices.iter().map(|x| x.name.as_str()).collect(), false),
            ("lesson", file.lessons.iter().map(|x| x.name.as_str()).collect(), false),
        ];
        for (kind, ids, strict) in kinds {
            let mut seen = HashSet::new();
            for id in ids {
                let place = format!("{kind} {id:?}");
                if strict && !is_id(id) {
                    self.problems.error(
                        &place,
                        "an id has small letters, digits and hyphens, at most 64",
                        format!("write {:?}", as_id(id)),
                    );
                } else if id.trim().is_empty() {
                    self.problems.error(&place, "the name is empty", "write what people call it");
                }
                if !seen.insert(id) {
                    self.problems.error(&place, "it is there twice", "give one of them another name");
                }
            }
        }
    }

    fn profiles(&mut self) {
        let profiles = &self.file.profiles;
        if profiles.len() > MAX_PROFILES {
            let what = format!("there are {} profiles", profiles.len());
            self.problems.error("profile", what, format!("{MAX_PROFILES} is the most"));
        }
        for (audience, word) in [(Audience::Pupil, "pupil"), (Audience::Staff, "staff")] {
            if !profiles.iter().any(|profile| profile.audience == audience) {
                self.problems.error(
                    "profile",
                    format!(
                        "no profile is for {}",
                        if audience == Audience::Pupil { "pupils" } else { "staff" }
                    ),
                    format!("add one with audience = \"{word}\""),
                );
            }
        }
        for profile in profiles {
            self.cells(profile);
            let place = format!("profile {:?}", profile.id);
            self.services(profile);
            self.whys(profile);
            for bundle in &profile.bundles {
                self.is_bundle(&place, bundle);
            }
            let open = matches!(profile.unlisted(), Cell::Allow | Cell::Report);
            let needs_approval = profile.mode == Mode::AllowOnly || !open;
            if !profile.bundles.is_empty() && !needs_approval {
                self.problems.warning(
                    format!("{place}: bundles"),
                    "they do nothing, since names need no approval here",
                    "write mode = \"allow-only\" or uncategorised = \"block\", or leave them out",
                );
            }
            if profile.mode == Mode::Watch {
                self.problems.warning(
                    format!("{place}: mode"),
                    "it only watches: everything resolves but locked and security categories",
                    "write mode = \"filter\" when the trial ends",
                );
            }
            if profile.audience == Audience::Pupil
                && (!profile.safe_search || profile.youtube == YouTube::Off)
            {
                self.problems.warning(
                    place,
                    "pupils search without SafeSearch or see YouTube unrestricted",
                    "write safe_search = true and youtube = \"strict\"",
                );
            }
        }
        if let Some(fallback) = &self.file.fallback_profile {
            match profiles.iter().find(|profile| profile.id == *fallback) {
                None => self.unknown("fallback_profile", "profile", fallback),
                Some(profile) if profile.audience != Audience::Pupil => self.problems.warning(
                    "fallback_profile",
                    format!(
                        "clients that nobody knows get the rules of {:?}, which is not for pupils",
                        profile.title()
                    ),
                    "name a pupil profile, or leave it out for the strictest one",
                ),
                Some(_) => {}
            }
        }
    }

    /// Why settings are as they are.
    fn whys(&mut self, profile: &ProfileFile) {
        for (key, why) in &profile.why {
            let place = format!("profile {:?}: why.{key}", profile.id);
            let known = SETTINGS.contains(&key.as_str())
                || self.categories.find(key).is_some()
                || self.tables.service(key).is_some();
            if !known {
                let words = SETTINGS
                    .iter()
                    .copied()
                    .chain(self.categories.iter().map(|(_, category)| category.id.as_str()))
                    .chain(self.tables.services.iter().map(|service| service.id.as_str()));
                let instead = suggest(key, words);
                self.problems.warning(&place, "there is no such category, service or setting", instead);
            }
            let length = why.chars().count();
            if length > LONGEST_WHY {
                let what = format!("it is {length} characters long");
                self.problems.error(place, what, format!("write at most {LONGEST_WHY}"));
            } else if why.chars().any(char::is_control) {
                self.problems.error(place, "it is more than one line of plain text", "write it on one line");
            }
        }
    }

    fn cells(&mut self, profile: &ProfileFile) {
        for (id, cell) in &profile.categories {
            let place = format!("profile {:?}: categories.{id}", profile.id);
            if [UNCATEGORISED, NEWLY_SEEN].contains(&id.as_str()) && *cell == Cell::Locked {
                self.problems.error(
                    &place,
                    "it can't be locked: what is on no list yet must stay possible to open",
                    "write \"block\"",
                );
            }
            if id == UNCATEGORISED
                && let Some(access) = profile.uncategorised
                && !matches!(
                    (access, cell),
                    (Access::Allow, Cell::Allow | Cell::Report) | (Access::Block, Cell::Block)
                )
            {
                let word = if access == Access::Allow { "allow" } else { "block" };
                self.problems.error(
                    &place,
                    format!("the setting uncategorised of this profile says {word:?}"),
                    "take one of the two out",
                );
            }
            if self.categories.find(id).is_none() {
                let instead = suggest(id, self.categories.iter().map(|(_, category)| category.id.as_str()));
                self.problems.error(place, "there is no such category", instead);
                continue;
            }
            let locked = LOCKED.iter().any(|(locked, whom)| locked == id && whom.contains(&profile.audience));
            if locked && !matches!(cell, Cell::Block | Cell::Locked) {
                self.problems.error(
                    &place,
                    "this category is locked for this audience, and nothing opens it",
                    "write \"locked\", or leave it out",
                );
            }
            match cell {
                Cell::AllowDuring(schedule) if !self.file.schedules.iter().any(|s| s.id == *schedule) => {
                    self.unknown(&place, "schedule", schedule);
                }
                Cell::AllowFor(group) if !self.file.groups.iter().any(|g| g.id == *group) => {
                    self.unknown(&place, "group", group);
                }
                _ => {}
            }
        }
    }

    /// Subnets that are none, and equal ones of two profiles. That one lies within another is what subnets are for.
    fn subnets(&mut self) {
        let mut seen: HashMap<IpNet, &str> = HashMap::new();
        for profile in &self.file.profiles {
            for (i, text) in profile.subnets.iter().enumerate() {
                let place = format!("profile {:?}: subnets[{i}]", profile.id);
                let Some(net) = subnet(text) else {
                    let what = format!("{text:?} is not a subnet");
                    self.problems.error(place, what, "write it as 10.20.2.0/24 or 2001:db8:2::/64");
                    continue;
                };
                if text.trim().parse::<IpNet>().is_ok_and(|written| written.addr() != net.addr()) {
                    let what = format!("{text:?} has bits behind the prefix, which do nothing");
                    self.problems.warning(&place, what, format!("write \"{net}\""));
                }
                match seen.insert(net, &profile.id) {
                    Some(other) if other != profile.id => self.problems.error(
                        place,
                        format!("{net} is a subnet of profile {other:?} already"),
                        "a subnet can have one profile; take one out, or make one of them longer",
                    ),
                    Some(_) => self.problems.warning(place, format!("{net} is there twice"), ""),
                    None => {}
                }
            }
        }
    }

    fn members(&mut self, place: &str, words: &[String]) {
        if words.is_empty() {
            self.problems.warning(place, "it has no devices, so it is for nobody", "");
        }
        let device = |name: &str| self.file.devices.iter().position(|device| device.name == name);
        for i in Members::read(words, device).1 {
            let known = self.file.devices.iter().map(|device| device.name.as_str());
            let near = nearest(&words[i], known).map(|near| format!("did you mean {near:?}?"));
            self.problems.error(
                format!("{place}[{i}]"),
                format!("{:?} is no address, subnet, MAC address or device", words[i]),
                near.unwrap_or_else(|| String::from("write 10.20.9.14, 10.20.9.0/24 or aa:bb:cc:dd:ee:ff")),
            );
        }
    }

    fn groups(&mut self) {
        for group in &self.file.groups {
            self.members(&format!("group {:?}: devices", group.id), &group.devices);
        }
    }

    fn devices(&mut self) {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for device in &self.file.devices {
            let place = format!("device {:?}", device.name);
            let mac = device.mac.as_deref().map(|text| {
                text.trim().parse::<Mac>().map(|mac| mac.to_string()).map_err(|e| format!("{text:?} is {e}"))
            });
            let address = device.address.as_deref().map(|text| {
                text.trim()
                    .parse::<IpAddr>()
                    .map(|address| address.to_canonical().to_string())
                    .map_err(|_| format!("{text:?} is not an address; write it as 10.20.9.14"))
            });
            if mac.is_none() && address.is_none() {
                self.problems.error(&place, "it has neither address nor mac", "write one of them");
            }
            for found in [mac, address].into_iter().flatten() {
                match found {
                    Err(what) => self.problems.error(&place, what, ""),
                    Ok(key) => {
                        if let Some(other) = seen.insert(key.clone(), &device.name) {
                            let what = format!("{key} is device {other:?} already");
                            self.problems.error(&place, what, "an address can have one device");
                        }
                    }
                }
            }
            if let Some(profile) = &device.profile
                && !self.file.profiles.iter().any(|p| p.id == *profile)
            {
                self.unknown(&format!("{place}: profile"), "profile", profile);
            }
        }
    }

    fn unknown(&mut self, place: &str, kind: &str, word: &str) {
        let known: Vec<&str> = match kind {
            "profile" => self.file.profiles.iter().map(|x| x.id.as_str()).collect(),
            "schedule" => self.file.schedules.iter().map(|x| x.id.as_str()).collect(),
            _ => self.file.groups.iter().map(|x| x.id.as_str()).collect(),
        };
        self.problems.error(place, format!("there is no {kind} {word:?}"), suggest(word, known));
    }
}

/// A word made fit to be an identifier.
fn as_id(text: &str) -> String {
    let id: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(64)
        .collect();
    let id = id.trim_matches('-');
    if id.is_empty() { String::from("an-id") } else { id.to_owned() }
}
