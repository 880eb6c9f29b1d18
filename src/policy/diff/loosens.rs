//! What a new policy would open, in sentences for those who must say why.

use ipnet::IpNet;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    Diff, clock,
    networks::{Moved, moved},
    strictness_of_mode, strictness_of_youtube,
};
use crate::{
    category::{Categories, NEWLY_SEEN, UNCATEGORISED},
    policy::{
        build::{subnet, zone},
        file::{
            Action, Cell, DeviceFile, LessonFile, LogLevel, Mode, PolicyFile, ProfileFile, RuleFile, YouTube,
        },
        schedule,
        tables::Tables,
    },
};

impl PolicyFile {
    /// Says in plain sentences what `new` would open, or watch less closely, than this policy does: what needs a
    /// reason. Empty where it only tightens.
    ///
    /// What can't be judged alone (a schedule's times, a group's members) counts. Rules and lessons that are over at `now`
    /// don't. A network counts where some of its addresses would get a profile that is looser in anything.
    #[must_use]
    pub fn loosens(&self, new: &Self, categories: &Categories, now: Timestamp) -> Vec<String> {
        let all = new.every_category(&self.every_category(categories));
        let (old, new) = (self.without_ended(now), new.without_ended(now));
        let mut loosening = Loosening { categories: &all, said: Vec::new() };
        loosening.profiles(&old, &new);
        loosening.rules(&old, &new);
        loosening.devices(&old.devices, &new.devices);
        loosening.lessons(&old.lessons, &new.lessons);
        loosening.rest(&old, &new);
        loosening.said
    }

    /// Which lessons and rules are over, each by its place.
    pub(crate) fn ended(&self, now: Timestamp) -> Ended {
        let zone = zone(&self.timezone).unwrap_or(TimeZone::UTC);
        let is_over = |until: Option<toml::value::Datetime>| {
            until.is_some_and(|until| schedule::moment(until, &zone).is_ok_and(|end| end <= now))
        };
        Ended {
            lessons: self.lessons.iter().map(|lesson| is_over(lesson.until)).collect(),
            rules: self.rules.iter().map(|rule| is_over(rule.until)).collect(),
        }
    }

    /// The policy without the rules and lessons whose end has come.
    fn without_ended(&self, now: Timestamp) -> Self {
        let mut file = self.clone();
        let ended = self.ended(now);
        let (mut lessons, mut rules) = (ended.lessons.into_iter(), ended.rules.into_iter());
        file.lessons.retain(|_| !lessons.next().unwrap_or(false));
        file.rules.retain(|_| !rules.next().unwrap_or(false));
        file
    }
}

/// Whether each lesson and each rule of a policy is over.
pub(crate) struct Ended {
    pub(crate) lessons: Vec<bool>,
    pub(crate) rules: Vec<bool>,
}

struct Loosening<'a> {
    categories: &'a Categories,
    said: Vec<String>,
}

impl Loosening<'_> {
    fn say(&mut self, sentence: String) {
        self.said.push(sentence);
    }

    fn profiles(&mut self, old: &PolicyFile, new: &PolicyFile) {
        for profile in &new.profiles {
            if let Some(other) = old.profiles.iter().find(|other| other.id == profile.id) {
                if other.audience != profile.audience {
                    self.say(format!(
                        "{} would be for other people, whose locked categories are others.",
                        profile.title()
                    ));
                }
                self.profile(other, profile);
            }
        }
        for Moved { net, from, to } in moved(old, new, self.categories) {
            let mut between = Loosening { categories: self.categories, said: Vec::new() };
            between.profile(from, to);
            between.rules_between((old, from), (new, to));
            if let Some(what) = in_one(&between.said) {
                let whose =
                    net.map_or_else(|| String::from("Devices that nobody knows"), |net| net.to_string());
                let (from, to) = (from.title(), to.title());
                self.say(format!("{whose} would have the profile {to} instead of {from}: {what}."));
            }
        }
    }

    /// The rules of the school that open something for one profile and not for the other, or block for the other alone.
    fn rules_between(
        &mut self,
        (old, from): (&PolicyFile, &ProfileFile),
        (new, to): (&PolicyFile, &ProfileFile),
    ) {
        let of = |file: &PolicyFile, profile: &ProfileFile, action: Action| -> Vec<RuleFile> {
            let has = |rule: &&RuleFile| {
                rule.action == action && rule.profiles.as_ref().is_none_or(|ids| ids.contains(&profile.id))
            };
            let alike = |rule: &RuleFile| RuleFile { profiles: None, ..bare(rule) };
            file.rules.iter().filter(has).map(alike).collect()
        };
        let (allowed, blocked) = (of(old, from, Action::Allow), of(new, to, Action::Block));
        for rule in of(new, to, Action::Allow).iter().filter(|rule| !allowed.contains(rule)) {
            self.say(format!("{} would be open.", rule.name));
        }
        for rule in of(old, from, Action::Block).iter().filter(|rule| !blocked.contains(rule)) {
            self.say(format!("{} would not be blocked by the school any more.", rule.name));
        }
    }

    /// What one profile opens, or watches less closely, that another one does not: `new` may be the same profile after a
    /// change, or the profile that clients of `old` would get.
    fn profile(&mut self, old: &ProfileFile, new: &ProfileFile) {
        let title = new.title();
        if strictness_of_mode(new.mode) < strictness_of_mode(old.mode) {
            self.say(match new.mode {
                Mode::Watch => format!("{title} would only watch and block next to nothing."),
                _ => format!("{title} would open sites that nobody approved."),
            });
        }
        if old.safe_search && !new.safe_search {
            self.say(format!("Search engines would not be held in their safe mode for {title}."));
        }
        if strictness_of_youtube(new.youtube) < strictness_of_youtube(old.youtube) {
            self.say(match new.youtube {
                YouTube::Off => format!("YouTube would not be restricted for {title}."),
                YouTube::Moderate => format!("YouTube would be restricted only moderately for {title}."),
                YouTube::Strict | YouTube::Block => {
                    format!("YouTube would be open in its strict mode for {title}.")
                }
            });
        }
        if old.strip_ech && !new.strip_ech {
            self.say(format!(
                "{title} could hide from the network which sites it visits (encrypted hellos)."
            ));
        }
        if old.canaries && !new.canaries {
            self.say(format!("Browsers of {title} would not be told to leave their own encrypted DNS off."));
        }
        if closeness(new.log_level()) < closeness(old.log_level()) {
            self.say(format!("Less would be logged of {title}."));
        }
        // Approval opens only what is on no list, where that is blocked.
        let needs_approval =
            old.mode == Mode::AllowOnly || !matches!(old.unlisted(), Cell::Allow | Cell::Report);
        for bundle in new.bundles.iter().filter(|bundle| needs_approval && !old.bundles.contains(bundle)) {
            self.say(format!("The sites of {bundle} would be approved for {title}."));
        }
        let tables = Tables::shipped();
        for (id, category) in self.categories.iter() {
            // Where only approved names are open, nobody asks whether one is new or on no list.
            if new.mode == Mode::AllowOnly && [NEWLY_SEEN, UNCATEGORISED].contains(&category.id.as_str()) {
                continue;
            }
            let state = |profile: &ProfileFile| match self.categories.locked(profile.audience).contains(id) {
                true => Cell::Locked,
                false => profile.cell(category, tables),
            };
            let (before, after) = (state(old), state(new));
            if before != after && opens(&before, &after) {
                self.said.push(format!("{} for {title}.", opened(&category.title, &after)));
            }
        }
        for (id, after) in all_services(old, new) {
            let before = old.services.get(id);
            let stays = match (before, after) {
                (Some(Cell::Allow | Cell::Report), _) | (_, Some(Cell::Block)) => true,
                (before, after) => before == after,
            };
            if !stays {
                let name = tables.service(id).map_or(id.as_str(), |service| service.title.as_str());
                self.said.push(match after {
                    Some(cell) => format!("{} for {title}.", opened(name, cell)),
                    None => format!("{name} would be as its category for {title}."),
                });
            }
        }
    }

    fn rules(&mut self, old: &PolicyFile, new: &PolicyFile) {
        let has =
            |file: &PolicyFile, rule: &RuleFile| file.rules.iter().any(|other| bare(other) == bare(rule));
        for rule in new.rules.iter().filter(|rule| rule.action == Action::Allow && !has(old, rule)) {
            let until = rule.until.map(|until| format!(" until {until}")).unwrap_or_default();
            self.say(format!("{} would be open{}{until}.", rule.name, whom(rule, new)));
        }
        for rule in old.rules.iter().filter(|rule| rule.action == Action::Block && !has(new, rule)) {
            self.say(format!(
                "{} would not be blocked by the school{} any more.",
                rule.name,
                whom(rule, old)
            ));
        }
    }

    fn devices(&mut self, old: &[DeviceFile], new: &[DeviceFile]) {
        for device in new {
            let before = old.iter().find(|other| other.name == device.name);
            let (was_suspended, profile) =
                before.map_or((false, None), |other| (other.suspended, other.profile.as_ref()));
            if was_suspended && !device.suspended {
                self.say(format!("{:?} would not be suspended any more.", device.name));
            }
            let moved =
                before.is_some_and(|other| (&other.address, &other.mac) != (&device.address, &device.mac));
            if profile != device.profile.as_ref() || (moved && (device.profile.is_some() || was_suspended)) {
                self.say(format!("{:?} would have another profile.", device.name));
            } else if moved {
                self.say(format!("{:?} would be another machine.", device.name));
            }
        }
        for gone in old.iter().filter(|device| !new.iter().any(|other| other.name == device.name)) {
            if gone.suspended || gone.profile.is_some() {
                self.say(format!("{:?} would be a device like any other.", gone.name));
            }
        }
    }

    /// A lesson keeps names away; another one in the same room opens its own beside them.
    fn lessons(&mut self, old: &[LessonFile], new: &[LessonFile]) {
        for lesson in new {
            match old.iter().find(|other| other.name == lesson.name) {
                Some(other) if other == lesson => {}
                Some(_) => self.say(format!("The lesson {:?} would be another one.", lesson.name)),
                None => {
                    if let Some(other) = old.iter().find(|other| may_meet(&other.room, &lesson.room)) {
                        self.say(format!(
                            "The names of the lesson {:?} would be open beside those of {:?}.",
                            lesson.name, other.name
                        ));
                    }
                }
            }
        }
        for gone in old.iter().filter(|lesson| !new.iter().any(|other| other.name == lesson.name)) {
            self.say(format!("The lesson {:?} would end.", gone.name));
        }
    }

    /// What is said as the list of changes says it.
    fn rest(&mut self, old: &PolicyFile, new: &PolicyFile) {
        let mut diff = Diff { categories: self.categories, changes: Vec::new() };
        diff.value("The time zone of schedules", &old.timezone, &new.timezone, true);
        let (before, after) = (old.end_of_day(), new.end_of_day());
        diff.value("The end of the school day", &clock(before), &clock(after), after > before);
        diff.words("The school's own name", &old.own_names, &new.own_names, (true, false));
        diff.whole("The term dates", &old.terms, &new.terms);
        diff.whole("The holidays", &old.holidays, &new.holidays);
        let (days, learning) = ((old.newly_seen, new.newly_seen), "Days in which the box learns");
        let fewer = days.1.days < days.0.days;
        diff.value("Days for which a name is new", &days.0.days, &days.1.days, fewer);
        let (before, after) = (days.0.learning_days, days.1.learning_days);
        diff.value(learning, &before, &after, after > before);
        diff.things("The group", &old.groups, &new.groups, |group| &group.id, (false, false));
        diff.things("The schedule", &old.schedules, &new.schedules, |schedule| &schedule.id, (false, false));
        diff.things("The bundle", &old.bundles, &new.bundles, |bundle| &bundle.id, (false, false));
        diff.things("The category", &old.categories, &new.categories, |category| &category.id, (false, true));
        diff.lists(&old.lists, &new.lists);
        let opened = diff.changes.into_iter().filter(|change| change.loosens);
        self.said.extend(opened.map(|change| format!("{}.", change.what)));
    }
}

/// The first of some sentences as one, without its end; none where there are none.
fn in_one(said: &[String]) -> Option<String> {
    const FIRST: usize = 3;
    let first: Vec<&str> = said.iter().take(FIRST).map(|sentence| sentence.trim_end_matches('.')).collect();
    let more = said.len().saturating_sub(FIRST);
    match (first.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(first.join("; ")),
        (false, more) => Some(format!("{}; and {more} more", first.join("; "))),
    }
}

/// A rule without what says why it is there.
fn bare(rule: &RuleFile) -> RuleFile {
    RuleFile { reason: String::new(), owner: String::new(), ..rule.clone() }
}

fn all_services<'a>(
    old: &'a ProfileFile,
    new: &'a ProfileFile,
) -> impl Iterator<Item = (&'a String, Option<&'a Cell>)> {
    let gone = old.services.keys().filter(|id| !new.services.contains_key(*id));
    new.services.iter().map(|(id, cell)| (id, Some(cell))).chain(gone.map(|id| (id, None)))
}

/// Whether a state opens what another one closes, for anybody at any time.
fn opens(before: &Cell, after: &Cell) -> bool {
    match (before, after) {
        (Cell::Allow | Cell::Report, _) | (_, Cell::Locked) => false,
        (Cell::Locked, _) => true,
        (_, after) => *after != Cell::Block,
    }
}

fn opened(what: &str, cell: &Cell) -> String {
    match cell {
        Cell::Allow => format!("{what} would be open"),
        Cell::Report => format!("{what} would be open, and reported,"),
        Cell::AllowDuring(schedule) => format!("{what} would be open at certain times ({schedule})"),
        Cell::AllowFor(group) => format!("{what} would be open to some ({group})"),
        Cell::Block => format!("{what} would not be locked any more"),
        Cell::Locked => format!("{what} would be locked"),
    }
}

fn whom(rule: &RuleFile, file: &PolicyFile) -> String {
    let profiles = rule.profiles.iter().flatten();
    let titles: Vec<&str> = profiles
        .map(|id| file.profiles.iter().find(|p| p.id == *id).map_or(id.as_str(), ProfileFile::title))
        .collect();
    let clients = rule.clients.as_ref().map(|all| format!(" on {}", all.join(", "))).unwrap_or_default();
    if titles.is_empty() { clients } else { format!(" for {}{clients}", titles.join(", ")) }
}

/// How closely somebody could follow what a client did.
fn closeness(level: LogLevel) -> u8 {
    match level {
        LogLevel::BlockedOnly => 0,
        LogLevel::Pseudonymous => 1,
        LogLevel::Full => 2,
    }
}

/// Whether a client could be in both rooms; assumed of rooms that are not made of addresses alone.
fn may_meet(one: &[String], other: &[String]) -> bool {
    let nets = |room: &[String]| room.iter().map(|word| subnet(word)).collect::<Option<Vec<IpNet>>>();
    match (nets(one), nets(other)) {
        (Some(one), Some(other)) => {
            one.iter().any(|a| other.iter().any(|b| a.contains(&b.network()) || b.contains(&a.network())))
        }
        _ => true,
    }
}
