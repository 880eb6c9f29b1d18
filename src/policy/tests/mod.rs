//! The order of decision, step against step; what must hold of every policy; and what people read.

mod files;
mod keeping;
mod novelty;
mod order;
mod properties;
mod review;
mod sealed;
mod servers;
mod services;
mod steps;
mod suppliers;
mod words;

use std::sync::Arc;

use hickory_proto::rr::RecordType;
use jiff::Timestamp;

use super::*;
use crate::lists::format::{MatchMode, Rule, Subject};

/// A Monday in term, before lunch.
const MORNING: &str = "2026-11-23T10:00:00Z";
/// The same Monday at lunch.
const LUNCH: &str = "2026-11-23T12:30:00Z";

const SCHOOL: &str = include_str!("../../../tests/data/policy/school.toml");

/// A list with rules in a small language: `name`, `=name` alone, `@@` in front to open, or an address or subnet; `ns:` in
/// front of all for name servers.
fn list(id: &str, category: &str, rules: &[&str]) -> (ListMeta, Vec<Rule>) {
    let meta = ListMeta {
        id: id.into(),
        title: format!("The list {id}"),
        category: category.into(),
        version: String::new(),
        entries: rules.len() as u64,
    };
    let rules = rules
        .iter()
        .map(|text| {
            let (text, of_servers) = text.strip_prefix("ns:").map_or((*text, false), |rest| (rest, true));
            let (text, allow) = text.strip_prefix("@@").map_or((text, false), |rest| (rest, true));
            let subject = match build::subnet(text) {
                Some(net) => Subject::Address(net),
                None => {
                    let pattern = NamePattern::parse(text).unwrap();
                    let mode = if pattern.exact { MatchMode::Exact } else { MatchMode::Subdomains };
                    Subject::Name { key: pattern.key, mode }
                }
            };
            let rule = Rule { subject, allow };
            if of_servers { rule.of_name_servers() } else { rule }
        })
        .collect();
    (meta, rules)
}

fn knowledge(lists: Vec<(ListMeta, Vec<Rule>)>) -> Knowledge {
    knowledge_of(vec![Vec::new(), lists])
}

/// One index for each set of lists, the starter lists' first.
fn knowledge_of(indexes: Vec<Vec<(ListMeta, Vec<Rule>)>>) -> Knowledge {
    Knowledge {
        categories: Arc::new(Categories::shipped()),
        indexes: indexes.into_iter().map(|lists| Arc::new(DomainIndex::from_rules(lists))).collect(),
    }
}

/// Tables of made-up names, so that no test depends on the shipped ones.
fn tables() -> Tables {
    let mut tables = Tables::default();
    tables
        .add_engines(
            r#"
            [[engine]]
            id = "seek"
            title = "Seek"
            kind = "search"
            hosts = ["seek.example"]
            host_prefix = "www.seek."
            suffixes = ["example", "test"]
            target = "safe.seek.example"
            addresses = ["192.0.2.10", "2001:db8::10"]
            [[engine]]
            id = "tube"
            title = "Tube"
            kind = "youtube"
            hosts = ["www.tube.example", "api.shared.example"]
            target_strict = "strict.tube.example"
            target_moderate = "moderate.tube.example"
            addresses_strict = ["192.0.2.20"]
            "#,
        )
        .unwrap();
    tables
        .add_canaries(
            r#"
            [[canary]]
            name = "canary.example"
            match = "exact"
            answer = "nxdomain"
            title = "A browser"
            [[canary]]
            name = "resolver.arpa"
            match = "subdomains"
            answer = "nodata"
            title = "Discovery"
            "#,
        )
        .unwrap();
    let name = |text: &str| NamePattern::parse(text).unwrap();
    tables.essential =
        vec![(Essential::Help, name("help.example")), (Essential::Infrastructure, name("=time.example"))];
    tables.shared_servers = vec![name("shared-dns.example")];
    tables.add_bundle("first-sites", "# Bundle: First sites\nabc.example\n=one.example\n").unwrap();
    tables.services = vec![
        service("chirp", "social", &["chirp.example", "=chirp.test"], &["chirp-files"]),
        service("chirp-files", "social", &["files.example"], &[]),
        service("hello", "messaging", &["hello.example"], &["chirp-files"]),
        service("tube", "video", &["www.tube.example", "=tube.example"], &[]),
        service("friend", "ai-companion", &["friend.example"], &[]),
    ];
    tables
}

fn service(id: &str, category: &str, names: &[&str], needs: &[&str]) -> Service {
    let words = |words: &[&str]| words.iter().map(|word| String::from(*word)).collect();
    Service {
        id: id.into(),
        title: format!("The service {id}"),
        category: category.into(),
        listed: true,
        names: words(names),
        needs: words(needs),
        source: String::from("made up"),
        note: String::new(),
    }
}

/// The school of the fixture with a handful of lists.
fn school() -> Policy {
    school_with(SCHOOL)
}

fn school_with(text: &str) -> Policy {
    school_of(text, Vec::new())
}

/// The school with more lists.
fn school_of(text: &str, more: Vec<(ListMeta, Vec<Rule>)>) -> Policy {
    let mut lists = vec![
        list("adults", "adult", &["adult.example", "adult-help.example"]),
        list("bets", "gambling", &["bets.example", "abc.bets.example", "help.example", "198.51.100.0/24"]),
        list("games", "games", &["games.example", "abc.example"]),
        list("shops", "shopping", &["shop.example"]),
        list("bad", "malware", &["bad.example", "192.0.2.66"]),
        list("ads", "ads-trackers", &["ads.example", "@@bets.example"]),
        list("good-sites", "own-jokes", &["@@jokes.example", "@@bad.example"]),
        list("worst", "illegal-terrorism", &["worst.example", "203.0.113.9"]),
    ];
    lists.extend(more);
    Policy::build_with(&PolicyFile::parse(text).unwrap(), &knowledge(lists), &tables()).unwrap()
}

fn ask(name: &str) -> Question {
    Question { key: Key::parse(name).unwrap(), qtype: RecordType::A, first_asked: FirstAsked::Unknown }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Policy {
    fn client(&self, address: &str) -> Client {
        self.identify(address.parse().unwrap(), None)
    }

    fn ask(&self, name: &str, address: &str, at: &str) -> Decision {
        self.decide(&ask(name), &self.client(address), time(at))
    }
}
