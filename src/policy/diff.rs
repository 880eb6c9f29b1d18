//! What a new policy would change, in plain words, for `policy import --dry-run`.

mod loosens;
mod networks;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    file::{Action, Cell, ListFile, Mode, PolicyFile, ProfileFile, RuleFile, YouTube},
    keeping::LogFile,
    mitigation::MitigationFile,
    supplier::SupplierFile,
    tables::Tables,
};
use crate::category::Categories;

/// One difference between two policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What would change: `profile "ks2": games: block, was allow`.
    pub what: String,
    /// It could open names that are blocked now.
    pub loosens: bool,
    /// What it is about: `profile "ks2": games`.
    pub place: String,
    /// What it was; none where that can't be said in a word.
    pub was: Option<String>,
    /// What it would be.
    pub is: Option<String>,
}

impl Change {
    fn new(loosens: bool, place: String, what: &str) -> Self {
        Self { what: format!("{place}: {what}"), loosens, place, was: None, is: None }
    }

    fn from_to(loosens: bool, place: String, was: String, is: String) -> Self {
        Self { what: format!("{place}: {is}, was {was}"), loosens, place, was: Some(was), is: Some(is) }
    }
}

impl PolicyFile {
    /// Says what would change if `new` took the place of this policy; empty when both mean the same.
    ///
    /// What can't be judged alone (a schedule's times, a group's members) counts as loosening, so that a reader looks.
    #[must_use]
    pub fn changes_to(&self, new: &Self, categories: &Categories) -> Vec<Change> {
        // A school's own categories have cells too; one that both policies have is taken once.
        let all = new.every_category(&self.every_category(categories));
        let mut diff = Diff { categories: &all, changes: Vec::new() };
        diff.value("school", &self.school, &new.school, false);
        diff.value("timezone", &self.timezone, &new.timezone, true);
        diff.option("fallback_profile", self.fallback_profile.as_ref(), new.fallback_profile.as_ref(), true);
        diff.option("contact", self.contact.as_ref(), new.contact.as_ref(), false);
        diff.value("block_ttl", &self.block_ttl, &new.block_ttl, false);
        let (before, after) = (self.end_of_day(), new.end_of_day());
        diff.value("day_ends", &clock(before), &clock(after), after > before);
        diff.words("own name", &self.own_names, &new.own_names, (true, false));
        diff.whole("terms", &self.terms, &new.terms);
        diff.whole("holidays", &self.holidays, &new.holidays);
        let (before, after) = (self.newly_seen, new.newly_seen);
        diff.value("newly_seen.days", &before.days, &after.days, after.days < before.days);
        let longer = after.learning_days > before.learning_days;
        diff.value("newly_seen.learning_days", &before.learning_days, &after.learning_days, longer);
        diff.log(&self.log, &new.log);
        diff.profiles(&self.profiles, &new.profiles);
        diff.things("group", &self.groups, &new.groups, |group| &group.id, (false, true));
        diff.things("device", &self.devices, &new.devices, |device| &device.name, (true, true));
        diff.things("schedule", &self.schedules, &new.schedules, |schedule| &schedule.id, (false, true));
        // A second lesson in a room opens its names to the first.
        let second = !self.lessons.is_empty();
        diff.things("lesson", &self.lessons, &new.lessons, |lesson| &lesson.name, (second, true));
        diff.things("bundle", &self.bundles, &new.bundles, |bundle| &bundle.id, (false, false));
        diff.rules(&self.rules, &new.rules);
        diff.lists(&self.lists, &new.lists);
        diff.suppliers(&self.suppliers, &new.suppliers);
        diff.mitigations(&self.mitigations, &new.mitigations);
        diff.things("category", &self.categories, &new.categories, |category| &category.id, (false, true));
        diff.changes
    }
}

struct Diff<'a> {
    categories: &'a Categories,
    changes: Vec<Change>,
}

impl Diff<'_> {
    fn push(&mut self, loosens: bool, place: String, what: &str) {
        self.changes.push(Change::new(loosens, place, what));
    }

    fn added(&mut self, loosens: bool, place: String) {
        self.changes.push(Change { is: Some(String::from("there")), ..Change::new(loosens, place, "added") });
    }

    fn removed(&mut self, loosens: bool, place: String) {
        self.changes
            .push(Change { was: Some(String::from("there")), ..Change::new(loosens, place, "removed") });
    }

    fn turned(&mut self, loosens: bool, place: String, was: String, is: String) {
        self.changes.push(Change::from_to(loosens, place, was, is));
    }

    fn value<T: PartialEq + std::fmt::Display>(&mut self, place: &str, old: &T, new: &T, loosens: bool) {
        if old != new {
            self.turned(loosens, place.to_owned(), old.to_string(), new.to_string());
        }
    }

    fn option(&mut self, place: &str, old: Option<&String>, new: Option<&String>, loosens: bool) {
        if old != new {
            let say = |value: Option<&String>| value.map_or_else(|| String::from("not set"), Clone::clone);
            self.turned(loosens, place.to_owned(), say(old), say(new));
        }
    }

    fn whole<T: PartialEq>(&mut self, place: &str, old: &T, new: &T) {
        if old != new {
            self.push(true, place.to_owned(), "changed");
        }
    }

    /// Words that come and go; whether an added one and a removed one loosen.
    fn words(&mut self, kind: &str, old: &[String], new: &[String], loosens: (bool, bool)) {
        let (old, new): (BTreeSet<&String>, BTreeSet<&String>) = (old.iter().collect(), new.iter().collect());
        for word in new.difference(&old) {
            self.added(loosens.0, format!("{kind} {word}"));
        }
        for word in old.difference(&new) {
            self.removed(loosens.1, format!("{kind} {word}"));
        }
    }

    /// Things with an identifier; whether an added one and a removed one loosen. A changed one always may.
    fn things<T: PartialEq>(
        &mut self,
        kind: &str,
        old: &[T],
        new: &[T],
        id: impl Fn(&T) -> &String,
        loosens: (bool, bool),
    ) {
        for thing in new {
            match old.iter().find(|other| id(other) == id(thing)) {
                None => self.added(loosens.0, format!("{kind} {:?}", id(thing))),
                Some(other) if other != thing => {
                    self.push(true, format!("{kind} {:?}", id(thing)), "changed")
                }
                Some(_) => {}
            }
        }
        for thing in old.iter().filter(|thing| !new.iter().any(|other| id(other) == id(thing))) {
            self.removed(loosens.1, format!("{kind} {:?}", id(thing)));
        }
    }

    /// What is kept opens no name; whoever reads the change decides whether it is too much.
    fn log(&mut self, old: &LogFile, new: &LogFile) {
        let days = |days: u16| if days == 1 { String::from("1 day") } else { format!("{days} days") };
        for ((what, before), (_, after)) in old.days().into_iter().zip(new.days()) {
            self.value(&format!("log.{what}"), &days(before), &days(after), false);
        }
        let on =
            |on: bool| if on { "logged by name for pupils too" } else { "not logged by name for pupils" };
        self.value("log.help_lines", &on(old.help_lines), &on(new.help_lines), false);
        for (what, before, after) in [
            ("reason", &old.reason, &new.reason),
            ("help_lines_reason", &old.help_lines_reason, &new.help_lines_reason),
        ] {
            let say =
                |text: &str| if text.is_empty() { String::from("not given") } else { format!("{text:?}") };
            self.value(&format!("log.{what}"), &say(before), &say(after), false);
        }
    }

    fn profiles(&mut self, old: &[ProfileFile], new: &[ProfileFile]) {
        for profile in new {
            match old.iter().find(|other| other.id == profile.id) {
                None => self.added(true, format!("profile {:?}", profile.id)),
                Some(other) => self.profile(other, profile),
            }
        }
        for profile in old.iter().filter(|profile| !new.iter().any(|other| other.id == profile.id)) {
            let place = format!("profile {:?}", profile.id);
            self.push(true, place, "removed; its clients get another one");
        }
    }

    fn profile(&mut self, old: &ProfileFile, new: &ProfileFile) {
        let place = format!("profile {:?}", new.id);
        self.value(&format!("{place}: name"), &old.title(), &new.title(), false);
        self.words(&format!("{place}: subnet"), &old.subnets, &new.subnets, (true, true));
        let mut setting = |what: &str, old: String, new: String, loosens: bool| {
            if old != new {
                self.turned(loosens, format!("{place}: {what}"), old, new);
            }
        };
        setting("audience", word(&old.audience), word(&new.audience), true);
        setting(
            "mode",
            word(&old.mode),
            word(&new.mode),
            strictness_of_mode(new.mode) < strictness_of_mode(old.mode),
        );
        let on = |b: bool| String::from(if b { "on" } else { "off" });
        setting("safe_search", on(old.safe_search), on(new.safe_search), old.safe_search);
        let looser = strictness_of_youtube(new.youtube) < strictness_of_youtube(old.youtube);
        setting("youtube", word(&old.youtube), word(&new.youtube), looser);
        setting("strip_ech", on(old.strip_ech), on(new.strip_ech), old.strip_ech);
        setting("canaries", on(old.canaries), on(new.canaries), old.canaries);
        setting("block_with", word(&old.block_with), word(&new.block_with), false);
        setting("log", word(&old.log_level()), word(&new.log_level()), false);
        self.words(&format!("{place}: bundle"), &old.bundles, &new.bundles, (true, false));
        let tables = Tables::shipped();
        for (_, category) in self.categories.iter() {
            let (before, after) = (old.cell(category, tables), new.cell(category, tables));
            if before != after {
                let loosens = match (&before, &after) {
                    (Cell::Allow | Cell::Report, _) | (_, Cell::Locked) => false,
                    (Cell::Locked, _) => true,
                    (_, after) => *after != Cell::Block,
                };
                let change = Change::from_to(
                    loosens,
                    format!("{place}: {}", category.id),
                    say_cell(&before),
                    say_cell(&after),
                );
                self.changes.push(change);
            }
        }
        self.services(&place, old, new);
        self.whys(&place, &old.why, &new.why);
    }

    /// Why settings are as they are, which opens nothing.
    fn whys(&mut self, place: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let say =
                |text: Option<&String>| text.map_or_else(|| String::from("not said"), |t| format!("{t:?}"));
            let (before, after) = (old.get(key), new.get(key));
            if before != after {
                self.turned(false, format!("{place}: why {key}"), say(before), say(after));
            }
        }
    }

    /// Services that are switched by themselves: what is not is as its category, which may be open or closed.
    fn services(&mut self, place: &str, old: &ProfileFile, new: &ProfileFile) {
        let ids: BTreeSet<&String> = old.services.keys().chain(new.services.keys()).collect();
        for id in ids {
            let (before, after) = (old.services.get(id), new.services.get(id));
            if before != after {
                let loosens =
                    !matches!(before, Some(Cell::Allow | Cell::Report)) && after != Some(&Cell::Block);
                let say =
                    |cell: Option<&Cell>| cell.map_or_else(|| String::from("as its category"), say_cell);
                self.turned(loosens, format!("{place}: service {id}"), say(before), say(after));
            }
        }
    }

    fn rules(&mut self, old: &[RuleFile], new: &[RuleFile]) {
        for rule in new.iter().filter(|rule| !old.contains(rule)) {
            self.added(rule.action == Action::Allow, say_rule(rule));
        }
        for rule in old.iter().filter(|rule| !new.contains(rule)) {
            self.removed(rule.action == Action::Block, say_rule(rule));
        }
    }

    /// Statements, which open nothing and block nothing.
    fn suppliers(&mut self, old: &[SupplierFile], new: &[SupplierFile]) {
        let find = |of: &'_ [SupplierFile], category: &str| -> Option<SupplierFile> {
            of.iter().find(|supplier| supplier.category == category).cloned()
        };
        for supplier in new {
            let place = format!("supplier of {}", supplier.category);
            match find(old, &supplier.category) {
                None => self.push(false, place, &say_supplier(supplier)),
                Some(before) if before == *supplier => {}
                Some(before) if say_supplier(&before) == say_supplier(supplier) => {
                    self.push(false, place, "note changed");
                }
                Some(before) => {
                    let (after, before) = (say_supplier(supplier), say_supplier(&before));
                    self.turned(false, place, before, after);
                }
            }
        }
        for supplier in old.iter().filter(|supplier| find(new, &supplier.category).is_none()) {
            let place = format!("supplier of {}", supplier.category);
            self.push(false, place, "not stated any more");
        }
    }

    /// Statements too.
    fn mitigations(&mut self, old: &[MitigationFile], new: &[MitigationFile]) {
        fn say(of: &[MitigationFile], limit: &str) -> Option<String> {
            let found = of.iter().find(|mitigation| mitigation.limit == limit)?;
            let decided = found.decided.map(|day| format!(", decided {day}")).unwrap_or_default();
            let by = if found.by.is_empty() { String::new() } else { format!(" by {}", found.by) };
            Some(format!("{:?}{decided}{by}", found.text))
        }
        let limits: BTreeSet<&String> = old.iter().chain(new).map(|mitigation| &mitigation.limit).collect();
        for limit in limits {
            let (before, after) = (say(old, limit), say(new, limit));
            if before != after {
                let nothing = || String::from("nothing said");
                let (before, after) = (before.unwrap_or_else(nothing), after.unwrap_or_else(nothing));
                self.turned(false, format!("mitigation of {limit}"), before, after);
            }
        }
    }

    fn lists(&mut self, old: &[ListFile], new: &[ListFile]) {
        let opens = |list: &ListFile| list.action == Action::Allow;
        for list in new {
            let what = format!("list {:?} ({})", list.id, list.category);
            match old.iter().find(|other| other.id == list.id) {
                None => self.added(opens(list), what),
                Some(other) if other != list => self.push(!only_adds(other, list), what, "changed"),
                Some(_) => {}
            }
        }
        for list in old.iter().filter(|list| !new.iter().any(|other| other.id == list.id)) {
            self.removed(!opens(list), format!("list {:?} ({})", list.id, list.category));
        }
    }
}

/// Whether a list only blocks more than it did: names were written beside those that the school wrote before.
fn only_adds(old: &ListFile, new: &ListFile) -> bool {
    fn lines(list: &ListFile) -> BTreeSet<&str> {
        let lines = list.text.iter().flat_map(|text| text.lines()).map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }
    // Any other sign could be one of a form that opens names, or have the whole read in another form.
    let is_name = |line: &&str| line.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    let bare = |list: &ListFile| ListFile { text: None, title: String::new(), ..list.clone() };
    let (before, after) = (lines(old), lines(new));
    old.action == Action::Block
        && bare(old) == bare(new)
        && before.is_subset(&after)
        && after.difference(&before).all(is_name)
}

/// What a statement says, apart from its category.
fn say_supplier(supplier: &SupplierFile) -> String {
    let mut text = String::from(supplier.by.word());
    if !supplier.who.is_empty() {
        text.push_str(&format!(", {}", supplier.who));
    }
    if let Some(day) = supplier.verified {
        text.push_str(&format!(", verified {day}"));
    }
    if !supplier.verified_by.is_empty() {
        text.push_str(&format!(" by {}", supplier.verified_by));
    }
    text
}

/// `15:30`.
fn clock(time: jiff::civil::Time) -> String {
    time.strftime("%H:%M").to_string()
}

fn strictness_of_mode(mode: Mode) -> u8 {
    match mode {
        Mode::Watch => 0,
        Mode::Filter => 1,
        Mode::AllowOnly => 2,
    }
}

fn strictness_of_youtube(youtube: YouTube) -> u8 {
    match youtube {
        YouTube::Off => 0,
        YouTube::Moderate => 1,
        YouTube::Strict => 2,
        YouTube::Block => 3,
    }
}

/// The word that stands for a value in the file.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::from("?"),
    }
}

fn say_cell(cell: &Cell) -> String {
    match cell {
        Cell::Allow => String::from("allow"),
        Cell::Report => String::from("report"),
        Cell::Block => String::from("block"),
        Cell::Locked => String::from("locked"),
        Cell::AllowDuring(schedule) => format!("allow during {schedule}"),
        Cell::AllowFor(group) => format!("allow for {group}"),
    }
}

fn say_rule(rule: &RuleFile) -> String {
    let action = word(&rule.action);
    let profiles = rule.profiles.as_ref().map(|ids| format!(" for {}", ids.join(", "))).unwrap_or_default();
    let clients = rule.clients.as_ref().map(|all| format!(" on {}", all.join(", "))).unwrap_or_default();
    let until = rule.until.map(|until| format!(" until {until}")).unwrap_or_default();
    format!("rule: {action} {}{profiles}{clients}{until}", rule.name)
}
