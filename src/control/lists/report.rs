//! What people and programs get to know of lists.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::indexes::title;
use crate::{
    control::SuppliersReport,
    feeds::shelf::{State, Version},
    lists::{DomainIndex, diff::Change},
    policy::{Action, ListFile, ListSource, Policy},
};

/// What the lists are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListsReport {
    /// The school's lists in the policy's order, then the starter lists.
    pub lists: Vec<ListReport>,
    /// Who supplies the categories that are locked for everyone.
    #[serde(default)]
    pub suppliers: SuppliersReport,
}

/// What one list is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListReport {
    /// The identifier.
    pub id: String,
    /// What people read.
    pub title: String,
    /// The category that it feeds.
    pub category: String,
    /// Whether it blocks or opens names.
    pub action: Action,
    /// How many rules of it are in force; none when it is not in force.
    pub entries: Option<u64>,
    /// A checksum of the rules that are in force.
    pub version: Option<String>,
    /// Where it comes from; the starter lists are built in.
    pub from: Option<String>,
    /// What became of the subscription; none for the starter lists.
    pub subscription: Option<SubscriptionReport>,
}

/// What became of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SubscriptionReport {
    /// The number of the version in force.
    pub number: Option<u32>,
    /// When that version came.
    pub since: Option<Timestamp>,
    /// Its size, in bytes of text.
    pub bytes: Option<u64>,
    /// How many names it has that the version before had not.
    pub added: Option<u64>,
    /// How many names the version before had and it has not.
    pub removed: Option<u64>,
    /// When it was tried last.
    pub last_attempt: Option<Timestamp>,
    /// When it was last known to be up to date.
    pub last_success: Option<Timestamp>,
    /// When it is tried next; none for a list that nobody has to fetch.
    pub next: Option<Timestamp>,
    /// How many tries failed since the last success.
    pub failures: u32,
    /// Why the last try failed, in plain words.
    pub error: Option<String>,
    /// What the server calls the version that it gave last.
    pub etag: Option<String>,
    /// When that changed, in the server's own words.
    pub last_modified: Option<String>,
    /// The address that served it.
    pub served_from: Option<String>,
    /// The serial of the zone.
    pub serial: Option<u32>,
    /// The version that waits for a person.
    pub held: Option<HeldReport>,
    /// The versions that are kept, oldest first.
    pub versions: Vec<VersionReport>,
}

/// A version that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HeldReport {
    /// Its number.
    pub number: u32,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong with it, in plain words.
    pub reasons: Vec<String>,
    /// How many rules it has.
    pub entries: u64,
    /// How many names it would add.
    pub added: u64,
    /// How many names it would take away.
    pub removed: u64,
}

/// A version that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VersionReport {
    /// Its number.
    pub number: u32,
    /// When it came.
    pub at: Timestamp,
    /// How many rules it has.
    pub entries: u64,
    /// The SHA-256 of its text.
    pub digest: String,
    /// It was rolled back.
    pub rejected: bool,
}

impl From<&Version> for VersionReport {
    fn from(version: &Version) -> Self {
        let Version { number, at, entries, digest, rejected, .. } = version;
        Self { number: *number, at: *at, entries: *entries, digest: digest.clone(), rejected: *rejected }
    }
}

impl SubscriptionReport {
    fn new(state: &State, next: Option<Timestamp>) -> Self {
        let current = state.current();
        let held = state.held.as_ref().and_then(|held| {
            let version = state.version(held.version)?;
            Some(HeldReport {
                number: held.version,
                since: held.since,
                reasons: held.reasons.clone(),
                entries: version.entries,
                added: version.added,
                removed: version.removed,
            })
        });
        Self {
            number: state.in_force,
            since: current.map(|version| version.at),
            bytes: current.map(|version| version.bytes),
            added: current.map(|version| version.added),
            removed: current.map(|version| version.removed),
            last_attempt: state.last_attempt,
            last_success: state.last_success,
            next,
            failures: state.failures,
            error: state.error.clone(),
            etag: state.served.etag.clone(),
            last_modified: state.served.last_modified.clone(),
            served_from: state.served.from.clone(),
            serial: state.served.serial,
            held,
            versions: state.versions.iter().map(VersionReport::from).collect(),
        }
    }
}

impl ListsReport {
    /// Puts together what the policy, the shelf and the indexes know; `states` and `next` go with `lists`.
    pub(super) fn new<'a>(
        lists: &[ListFile],
        states: &[(State, Option<Timestamp>)],
        starter: &DomainIndex,
        indexes: impl Iterator<Item = &'a DomainIndex>,
    ) -> Self {
        let metas: Vec<_> = indexes.flat_map(DomainIndex::lists).collect();
        let own = lists.iter().zip(states).map(|(list, (state, next))| {
            let meta = metas.iter().find(|meta| meta.id == list.id);
            ListReport {
                id: list.id.clone(),
                title: title(list),
                category: list.category.clone(),
                action: list.action,
                entries: meta.map(|meta| meta.entries),
                version: meta.map(|meta| meta.version.clone()),
                from: list.source().map(|source| origin(list, source)),
                subscription: Some(SubscriptionReport::new(state, *next)),
            }
        });
        let built_in = starter.lists().iter().map(|meta| ListReport {
            id: meta.id.clone(),
            title: meta.title.clone(),
            category: meta.category.clone(),
            action: Action::Block,
            entries: Some(meta.entries),
            version: Some(meta.version.clone()),
            from: None,
            subscription: None,
        });
        Self { lists: own.chain(built_in).collect(), suppliers: SuppliersReport::default() }
    }

    /// The same with digests for names that must not be shown, which other lists may have as well.
    pub(super) fn masked(mut self, policy: &Policy) -> Self {
        for subscription in self.lists.iter_mut().filter_map(|list| list.subscription.as_mut()) {
            let held = subscription.held.iter_mut().flat_map(|held| &mut held.reasons);
            mask(policy, held.chain(&mut subscription.error));
        }
        self
    }

    /// What a person should look at, one line each.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        self.lists.iter().filter_map(ListReport::alarm).collect()
    }

    /// One line for the audit.
    #[must_use]
    pub fn summary(&self) -> String {
        let own: Vec<String> = self
            .lists
            .iter()
            .filter(|list| list.from.is_some())
            .map(|list| match (list.entries, list.subscription.as_ref().and_then(|s| s.number)) {
                (Some(entries), Some(number)) => format!("{} version {number} ({entries})", list.id),
                (Some(entries), None) => format!("{} ({entries})", list.id),
                (None, _) => format!("{} (not in force)", list.id),
            })
            .collect();
        if own.is_empty() { String::from("no lists of the school") } else { own.join(", ") }
    }
}

impl ListReport {
    /// What a person should look at.
    #[must_use]
    pub fn alarm(&self) -> Option<String> {
        let subscription = self.subscription.as_ref()?;
        if let Some(held) = &subscription.held {
            let stays = match subscription.number {
                Some(number) => format!("version {number} stays in force"),
                None => String::from("nothing of it is in force"),
            };
            return Some(format!(
                "{}: version {} is held, since {}; {stays}; to accept it: schoolgate lists accept {}",
                self.id,
                held.number,
                held.reasons.join(", and "),
                self.id
            ));
        }
        match (&subscription.error, subscription.number) {
            (Some(error), None) => Some(format!("{}: not in force: {error}", self.id)),
            (Some(error), Some(_)) if subscription.failures > 1 => {
                let last = subscription.last_success.map_or_else(
                    || String::from("it was never up to date"),
                    |last| format!("it was last up to date at {}", when(last)),
                );
                Some(format!("{}: {} tries failed, {last}: {error}", self.id, subscription.failures))
            }
            _ => None,
        }
    }
}

/// A time as people read it.
fn when(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// So many names.
fn names(count: u64) -> String {
    if count == 1 { String::from("1 name") } else { format!("{count} names") }
}

fn origin(list: &ListFile, source: ListSource<'_>) -> String {
    match source {
        ListSource::Url(url) => url.to_owned(),
        ListSource::File(file) => file.to_owned(),
        ListSource::Zone(zone) => format!("zone {zone} from {}", list.primaries.join(", ")),
        ListSource::Upload => String::from("brought by hand"),
        ListSource::Text(_) => String::from("written by the school"),
    }
}

impl fmt::Display for ListsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for list in &self.lists {
            let entries = list.entries.map_or_else(|| String::from("not in force"), |n| n.to_string());
            write!(
                f,
                "{:>12}  {:<32} {:<20} {}",
                entries,
                list.id,
                list.category,
                list.from.as_deref().unwrap_or("built in")
            )?;
            if let Some(subscription) = &list.subscription {
                subscription.describe(f)?;
            }
            writeln!(f)?;
        }
        let alarms = self.alarms();
        if !alarms.is_empty() {
            writeln!(f, "\nTo look at:")?;
            for alarm in alarms {
                writeln!(f, "  - {alarm}")?;
            }
        }
        write!(f, "\n{}", self.suppliers)
    }
}

impl SubscriptionReport {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(number), Some(since)) = (self.number, self.since) {
            write!(f, "\n{:>14}version {number}, came {}", "", when(since))?;
            match (self.added, self.removed) {
                (Some(0), Some(0)) | (None, _) | (_, None) => {}
                (Some(added), Some(removed)) => write!(f, " (+{added} −{removed})")?,
            }
        }
        match (self.last_attempt, self.last_success) {
            (Some(attempt), Some(success)) if attempt == success => {
                write!(f, ", up to date at {}", when(success))?;
            }
            (Some(attempt), Some(success)) => {
                write!(f, ", up to date at {}, last tried {}", when(success), when(attempt))?;
            }
            (Some(attempt), None) => write!(f, ", last tried {}", when(attempt))?,
            (None, _) => {}
        }
        if let Some(next) = self.next {
            write!(f, ", next {}", when(next))?;
        }
        if let Some(error) = &self.error {
            write!(f, "\n{:>14}{error}", "")?;
        }
        Ok(())
    }
}

/// What an update did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UpdateReport {
    /// Nothing was changed: only looked.
    pub dry_run: bool,
    /// Each list that was looked at.
    pub lists: Vec<Updated>,
}

/// What became of one list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Updated {
    /// The list.
    pub id: String,
    /// How it went.
    pub outcome: Outcome,
    /// In plain words, why it is held or failed, or what else should be known.
    pub reasons: Vec<String>,
    /// The number of the new or held version; none in a dry run.
    pub number: Option<u32>,
    /// How many rules the text that came has.
    pub entries: Option<u64>,
    /// How many names it adds.
    pub added: u64,
    /// How many names it takes away.
    pub removed: u64,
    /// In a dry run, some of the names that it adds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names_added: Vec<ChangedName>,
    /// In a dry run, some of the names that it takes away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names_removed: Vec<ChangedName>,
    /// Whether the fault lies with what came, rather than with the way to it.
    pub bad_input: bool,
}

/// How an update of one list went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing newer is there.
    Unchanged,
    /// A new version is in force.
    New,
    /// A new version waits for a person; the one of before stays in force.
    Held,
    /// It could not be had or read; the one of before stays in force.
    Failed,
}

impl Updated {
    pub(super) fn new(id: &str, outcome: Outcome) -> Self {
        Self {
            id: id.to_owned(),
            outcome,
            reasons: Vec::new(),
            number: None,
            entries: None,
            added: 0,
            removed: 0,
            names_added: Vec::new(),
            names_removed: Vec::new(),
            bad_input: false,
        }
    }

    /// The same with digests for names that must not be shown, which other lists may have as well.
    pub(super) fn masked(mut self, policy: &Policy) -> Self {
        let names =
            self.names_added.iter_mut().chain(&mut self.names_removed).map(|changed| &mut changed.name);
        mask(policy, self.reasons.iter_mut().chain(names));
        self
    }
}

fn mask<'a>(policy: &Policy, texts: impl Iterator<Item = &'a mut String>) {
    for text in texts {
        if let Cow::Owned(masked) = policy.masked(text) {
            *text = masked;
        }
    }
}

impl UpdateReport {
    /// The lists of one outcome.
    pub fn with(&self, outcome: Outcome) -> impl Iterator<Item = &Updated> {
        self.lists.iter().filter(move |list| list.outcome == outcome)
    }
}

impl fmt::Display for UpdateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lists.is_empty() {
            return writeln!(f, "There are no lists of the school.");
        }
        if self.dry_run {
            writeln!(f, "This would happen (nothing was changed):")?;
        }
        for list in &self.lists {
            let Updated { id, added, removed, .. } = list;
            let entries = list.entries.unwrap_or_default();
            match list.outcome {
                Outcome::Unchanged => write!(f, "{id}: up to date")?,
                Outcome::New => {
                    write!(f, "{id}: {entries} entries, {} more, {removed} fewer", names(*added))?;
                }
                Outcome::Held => {
                    write!(f, "{id}: held ({entries} entries, {} more, {removed} fewer)", names(*added))?;
                }
                Outcome::Failed => write!(f, "{id}: failed")?,
            }
            for (place, reason) in list.reasons.iter().enumerate() {
                write!(f, "{} {reason}", if place == 0 { ":" } else { ";" })?;
            }
            writeln!(f)?;
            write_names(f, '+', &list.names_added, list.added)?;
            write_names(f, '-', &list.names_removed, list.removed)?;
        }
        Ok(())
    }
}

/// What changed between two versions of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DiffReport {
    /// The list.
    pub id: String,
    /// The older version's number; none when there was none.
    pub from: Option<u32>,
    /// The newer version's number.
    pub to: u32,
    /// How many names the newer one has that the older has not.
    pub added: u64,
    /// How many names the older one has that the newer has not.
    pub removed: u64,
    /// Some of the names that were added.
    pub names_added: Vec<ChangedName>,
    /// Some of the names that were removed.
    pub names_removed: Vec<ChangedName>,
}

/// A name that one version of a list has and another has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChangedName {
    /// The entry: a name, `=name` for the name alone, `@@` in front when it opens, ` (a name server)` behind when it is
    /// about one.
    pub name: String,
    /// How often it was asked for lately, where that is known.
    pub asked: Option<u64>,
}

impl DiffReport {
    /// The same with digests for names that must not be shown, which other lists may have as well.
    pub(super) fn masked(mut self, policy: &Policy) -> Self {
        let names = self.names_added.iter_mut().chain(&mut self.names_removed);
        mask(policy, names.map(|changed| &mut changed.name));
        self
    }
}

impl From<Change> for ChangedName {
    fn from(change: Change) -> Self {
        let Change { entry, exact, allow, asked, name_server } = change;
        let (open, alone) = (if allow { "@@" } else { "" }, if exact { "=" } else { "" });
        let what = if name_server { " (a name server)" } else { "" };
        Self { name: format!("{open}{alone}{entry}{what}"), asked }
    }
}

impl fmt::Display for DiffReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from.map_or_else(|| String::from("nothing"), |number| format!("version {number}"));
        writeln!(
            f,
            "{}: from {from} to version {}: {} more, {} fewer",
            self.id,
            self.to,
            names(self.added),
            self.removed
        )?;
        write_names(f, '+', &self.names_added, self.added)?;
        write_names(f, '-', &self.names_removed, self.removed)
    }
}

/// Some names that changed, and how many more did; nothing where none is told.
fn write_names(f: &mut fmt::Formatter<'_>, sign: char, names: &[ChangedName], all: u64) -> fmt::Result {
    for name in names {
        match name.asked {
            Some(asked) => writeln!(f, "{sign} {}  (asked {asked} times lately)", name.name)?,
            None => writeln!(f, "{sign} {}", name.name)?,
        }
    }
    let more = all.saturating_sub(names.len() as u64);
    if more > 0 && !names.is_empty() { writeln!(f, "{sign} … and {more} more") } else { Ok(()) }
}
