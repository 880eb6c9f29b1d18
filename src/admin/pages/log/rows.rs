//! Lines of the log as people read them.

use jiff::Timestamp;

use super::{
    super::super::{page::Page, visit::encoded, when::When},
    may_reveal,
};
use crate::{
    policy::Policy,
    querylog::{
        Action, Entry, privacy,
        search::{Unkept, Unreadable},
    },
    vault::Digest,
};

/// A line.
pub(super) struct Row {
    /// When, to the second.
    pub(super) time: String,
    /// The same for programs.
    pub(super) stamp: String,
    /// `good`, `warn`, `bad` or nothing.
    pub(super) tone: &'static str,
    pub(super) icon: &'static str,
    pub(super) outcome: String,
    pub(super) alert: bool,
    pub(super) name: String,
    /// Who asked: the name of the device, its address, or a pseudonym.
    pub(super) who: String,
    pub(super) profile: String,
    /// Why, in a sentence.
    pub(super) why: String,
    /// What else is known, by its label.
    pub(super) facts: Vec<(String, String)>,
    /// Where the name is checked; none for one that must not be shown.
    pub(super) check: Option<String>,
    /// Where a rule for it is made, and what that would do: `block` or `allow`.
    pub(super) change: Option<(String, &'static str)>,
    /// The search for what else this device asked.
    pub(super) device: String,
    /// Where its data is taken out, kept or erased.
    pub(super) person: String,
    /// Where it is said who stands behind a pseudonym; none where there is none, or they may not.
    pub(super) reveal: Option<String>,
}

/// Makes them.
pub(super) struct Rows<'a> {
    pub(super) p: &'a Page,
    pub(super) policy: &'a Policy,
    pub(super) when: When,
    pub(super) now: Timestamp,
    pub(super) may_change: bool,
}

impl Rows<'_> {
    pub(super) fn row(&self, entry: &Entry) -> Row {
        let (tone, icon, key) = outcome(entry);
        let who = if entry.device.is_empty() { &entry.client } else { &entry.device };
        let is_shown = !entry.name.starts_with(Digest::PREFIX);
        let site = entry.name.trim_end_matches('.');
        let check = (is_shown && !site.is_empty()).then(|| format!("/check?name={}", encoded(site)));
        let blocked = entry.action == Action::Blocked;
        let change = if blocked { "allow" } else { "block" };
        // What is locked is opened by nobody, and what was not let in has no profile.
        let may_be_changed = self.may_change
            && check.is_some()
            && !entry.profile.is_empty()
            && !entry.reason.starts_with("locked")
            && matches!(entry.action, Action::Blocked | Action::Allowed | Action::Rewritten);
        let address = || {
            let (name, profile) = (encoded(site), encoded(&entry.profile));
            format!("/sites/new?name={name}&profile={profile}&action={change}")
        };
        Row {
            time: self.when.second(entry.time, self.now),
            stamp: entry.time.to_string(),
            tone,
            icon,
            outcome: self.p.t(key),
            alert: entry.alert,
            name: if entry.name.is_empty() { String::from(".") } else { entry.name.clone() },
            who: who.clone(),
            profile: self.profile(&entry.profile),
            why: self.why(entry),
            facts: self.facts(entry),
            check,
            change: may_be_changed.then(|| (address(), change)),
            device: format!("/log?client={}", encoded(&entry.client)),
            person: format!("/log/person?client={}", encoded(who)),
            reveal: (privacy::is_pseudonym(&entry.client) && may_reveal(self.p)).then(|| {
                let (pseudonym, day) = (encoded(&entry.client), entry.place.day.date());
                format!("/log/reveal?pseudonym={pseudonym}&day={day}")
            }),
        }
    }

    /// Why it ended so, in a sentence.
    fn why(&self, entry: &Entry) -> String {
        let word = if entry.would.is_empty() { &entry.reason } else { &entry.would };
        let category = self.category(&entry.category);
        let list = self.list(&entry.list);
        let values = || {
            [
                ("category", category.clone().into()),
                ("list", list.clone().into()),
                ("rule", entry.rule.clone().into()),
                ("detail", entry.detail.clone().into()),
                ("profile", self.profile(&entry.profile).into()),
            ]
        };
        let words = &self.p.words;
        let key = match (word.as_str(), entry.rule.is_empty()) {
            ("", _) => return self.p.t("log-why-unknown"),
            // Open at this time by a schedule.
            ("default", false) => String::from("log-why-open-now"),
            (word, _) => format!("log-why-{word}"),
        };
        let key = if words.has(&key) { key } else { String::from("log-why-unknown") };
        let why = words.with(&key, values());
        if entry.would.is_empty() { why } else { words.with("log-why-would", [("why", why.into())]) }
    }

    fn facts(&self, entry: &Entry) -> Vec<(String, String)> {
        let p = self.p;
        let mut facts = Vec::new();
        let mut add = |key: &str, value: String| {
            if !value.is_empty() {
                facts.push((p.t(key), value));
            }
        };
        add("log-fact-address", if entry.device.is_empty() { String::new() } else { entry.client.clone() });
        add("log-fact-mac", entry.mac.clone());
        add("log-fact-known", known(p, &entry.known_by, &entry.confidence));
        add("log-fact-category", self.category(&entry.category));
        add("log-fact-list", self.list(&entry.list));
        let others: Vec<String> = entry
            .categories
            .split(' ')
            .filter(|id| !id.is_empty() && *id != entry.category)
            .map(|id| self.category(id))
            .collect();
        add("log-fact-categories", others.join(", "));
        add("log-fact-answer", self.answer(entry));
        add("log-fact-kind", entry.qtype.clone());
        add("log-fact-took", took(entry.took_us));
        facts
    }

    /// What the device was told, and from where that came.
    fn answer(&self, entry: &Entry) -> String {
        let p = self.p;
        let answer = match entry.rcode.to_ascii_uppercase().as_str() {
            "NOERROR" => p.t("log-answer-given"),
            "NXDOMAIN" => p.t("log-answer-no-name"),
            "SERVFAIL" => p.t("log-answer-failed"),
            "REFUSED" => p.t("log-answer-refused"),
            _ => entry.rcode.clone(),
        };
        let from = match entry.source.as_str() {
            "policy" => p.t("log-source-policy"),
            "local" => p.t("log-source-local"),
            "cache" => p.t("log-source-cache"),
            "stale" => p.t("log-source-stale"),
            "upstream" => p.t("log-source-upstream"),
            _ => return answer,
        };
        let proven = if entry.dnssec == "bogus" { p.t("log-answer-bogus") } else { String::new() };
        format!("{answer} ({from}){proven}")
    }

    fn profile(&self, id: &str) -> String {
        if id.is_empty() {
            return self.p.t("log-no-profile");
        }
        let known = self.policy.find_profile(id).map(|id| self.policy.profile(id).1);
        known.unwrap_or(id).to_owned()
    }

    fn category(&self, id: &str) -> String {
        let categories = self.policy.categories();
        categories.find(id).map_or_else(|| id.to_owned(), |id| categories.get(id).title.clone())
    }

    fn list(&self, id: &str) -> String {
        let mut lists = self.policy.indexes().flat_map(|index| index.lists());
        lists.find(|list| list.id == id).map_or_else(|| id.to_owned(), |list| list.title.clone())
    }

    /// What is missing in the log, in sentences.
    pub(super) fn gaps(&self, unkept: &[Unkept], unreadable: &[Unreadable]) -> Vec<String> {
        let words = &self.p.words;
        let counted = unkept.iter().map(|gap| {
            let key = format!("log-gap-{}", gap.reason);
            let key = if words.has(&key) { key } else { String::from("log-gap-other") };
            let questions = gap.questions;
            let from = self.when.second(gap.from, self.now);
            let until = self.when.second(gap.until, self.now);
            words
                .with(&key, [("questions", questions.into()), ("from", from.into()), ("until", until.into())])
        });
        let days = unreadable.iter().map(|day| {
            words.with("log-gap-day", [("day", day.day.strftime("%a %-d %b %Y").to_string().into())])
        });
        counted.chain(days).collect()
    }
}

/// How a device was known, and how surely.
pub(super) fn known(p: &Page, by: &str, confidence: &str) -> String {
    let by = match by {
        "mac" => p.t("log-known-mac"),
        "address" => p.t("log-known-address"),
        "subnet" => p.t("log-known-subnet"),
        "fallback" => p.t("log-known-fallback"),
        _ => return String::new(),
    };
    let sure = match confidence {
        "high" => p.t("log-sure-high"),
        "medium" => p.t("log-sure-medium"),
        "low" => p.t("log-sure-low"),
        _ => return by,
    };
    format!("{by}; {sure}")
}

fn outcome(entry: &Entry) -> (&'static str, &'static str, &'static str) {
    if !entry.would.is_empty() {
        return ("warn", "eye", "log-action-would");
    }
    match entry.action {
        Action::Allowed => ("good", "check", "log-action-allowed"),
        Action::Blocked => ("bad", "ban", "log-action-blocked"),
        Action::Rewritten => ("warn", "shield", "log-action-rewritten"),
        Action::Refused => ("", "x", "log-action-refused"),
        Action::Limited => ("warn", "hourglass", "log-action-limited"),
        Action::Failed => ("warn", "circle-x", "log-action-failed"),
    }
}

/// `0.4 ms`, `1.2 s`.
fn took(microseconds: u32) -> String {
    match microseconds {
        0..100_000 => format!("{}.{} ms", microseconds / 1_000, microseconds / 100 % 10),
        100_000..1_000_000 => format!("{} ms", microseconds / 1_000),
        _ => format!("{}.{} s", microseconds / 1_000_000, microseconds / 100_000 % 10),
    }
}
