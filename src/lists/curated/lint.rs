//! Looks through the lists that people write by hand: the curated core, the starter lists, the tables of services.
//!
//! What it finds is what goes wrong when a name is typed: a name that would close a help line, a name that is there
//! twice, an entry without a reason, a review that is overdue. Pure: texts, what is protected, and the day are handed in.

use std::{collections::HashMap, fmt, net::IpAddr};

use ipnet::IpNet;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{Table, Written, day, line_of};
use crate::{
    category::{Categories, LOCKED},
    lists::{
        format::{Rule, Subject},
        services::Service,
        shipped,
    },
    name::Key,
    spelling::nearest,
};

/// The folder of lists that speak of name servers.
const NAME_SERVERS: &str = "name-servers";

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The list can be used, but somebody should look.
    Warning,
    /// The list must not be used.
    Error,
}

/// One thing that is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The file.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
    /// What is wrong.
    pub what: String,
    /// What would be right, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.level == Level::Warning { "warning: " } else { "" };
        write!(f, "{}, line {}: {level}{}", self.file, self.line, self.what)?;
        match &self.instead {
            Some(instead) => write!(f, "; {instead}"),
            None => Ok(()),
        }
    }
}

/// A name that no list of ours may block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// The name.
    pub key: Key,
    /// It is protected alone, without what is below it.
    pub exact: bool,
    /// It helps people in need.
    pub help: bool,
}

/// What was looked through, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many files.
    pub files: u64,
    /// How many names in them.
    pub names: u64,
    /// What was found, in the order of files and lines.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.level == Level::Error).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let errors = self.errors();
        let warnings = self.findings.len() - errors;
        let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let found = format!("{}, {}", count(errors, "error"), count(warnings, "warning"));
        write!(f, "{} names in {} files: {found}", self.names, self.files)
    }
}

/// A name as it stands in a list.
#[derive(Debug)]
struct Place {
    key: Key,
    exact: bool,
    file: String,
    line: u64,
    category: String,
}

/// Looks through lists, one after the other.
#[derive(Debug)]
pub struct Linter<'a> {
    categories: &'a Categories,
    protected: &'a [Protected],
    today: Date,
    report: Report,
    /// The names that feed a category.
    listed: Vec<Place>,
    /// The names of name servers whose zones feed a category.
    servers: Vec<Place>,
    /// The names of services; their category is the service's identifier.
    services: Vec<Place>,
    /// Each service's identifier with its place.
    service_ids: HashMap<String, (String, u64)>,
    /// What services need, with the place that says so.
    needs: Vec<(String, String, u64)>,
}

impl<'a> Linter<'a> {
    /// Begins without any list.
    #[must_use]
    pub fn new(categories: &'a Categories, protected: &'a [Protected], today: Date) -> Self {
        Self {
            categories,
            protected,
            today,
            report: Report::default(),
            listed: Vec::new(),
            servers: Vec::new(),
            services: Vec::new(),
            service_ids: HashMap::new(),
            needs: Vec::new(),
        }
    }

    /// Looks through everything that the product ships.
    pub fn shipped(&mut self) {
        let folders = [
            ("starter", shipped::starter_files().collect::<Vec<_>>()),
            (NAME_SERVERS, shipped::server_files().collect()),
            ("curated", super::files().collect()),
            ("services", crate::lists::services::files().collect()),
        ];
        for (folder, files) in folders {
            for (file, text) in files {
                self.file(&format!("lists/{folder}/{file}"), &text);
            }
        }
    }

    /// Looks through one file.
    ///
    /// One that ends in `.toml` is a part of the curated core, or a table of services where it has a `[[service]]`; any
    /// other is a starter list, named for its category: of name servers in a folder `name-servers`, else of names.
    pub fn file(&mut self, file: &str, text: &str) {
        self.report.files += 1;
        let has_services = || text.lines().any(|line| line.trim_start().starts_with("[[service]]"));
        match file.strip_suffix(".toml") {
            Some(_) if has_services() => self.services(file, text),
            Some(_) => self.core(file, text),
            None => self.starter(file, text),
        }
    }

    /// Ends, and tells what was found.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let listed = std::mem::take(&mut self.listed);
        self.twice(&listed, false);
        let servers = std::mem::take(&mut self.servers);
        self.twice(&servers, false);
        let services = std::mem::take(&mut self.services);
        self.twice(&services, true);
        for (needed, file, line) in std::mem::take(&mut self.needs) {
            if !self.service_ids.contains_key(&needed) {
                let known = self.service_ids.keys().map(String::as_str);
                let instead = nearest(&needed, known).map(|near| format!("did you mean {near:?}?"));
                self.error(&file, line, format!("there is no service {needed:?}"), instead);
            }
        }
        self.report.findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        self.report
    }

    fn push(&mut self, level: Level, file: &str, line: u64, what: String, instead: Option<String>) {
        self.report.findings.push(Finding { level, file: file.to_owned(), line, what, instead });
    }

    fn error(&mut self, file: &str, line: u64, what: impl Into<String>, instead: Option<String>) {
        self.push(Level::Error, file, line, what.into(), instead);
    }

    fn warning(&mut self, file: &str, line: u64, what: impl Into<String>, instead: Option<String>) {
        self.push(Level::Warning, file, line, what.into(), instead);
    }

    /// A starter list.
    fn starter(&mut self, file: &str, text: &str) {
        let (folder, base) = file.rsplit_once('/').unwrap_or(("", file));
        let of_servers = folder.rsplit('/').next() == Some(NAME_SERVERS);
        let category = base.strip_suffix(".txt").unwrap_or(base).to_owned();
        self.category(file, 1, &category);
        for (line, written) in shipped::entries(text) {
            if let Some(Rule { subject: Subject::Address(net), .. }) = shipped::rule(written) {
                self.address(file, line, written, net);
            } else if of_servers {
                let place = self.server(file, line, written, &category);
                self.servers.extend(place);
            } else {
                let place = self.name(file, line, written, &category);
                self.listed.extend(place);
            }
        }
    }

    /// Looks at an address or a subnet, which only a starter list can have.
    fn address(&mut self, file: &str, line: u64, written: &str, net: IpNet) {
        self.report.names += 1;
        let single = net.prefix_len() == net.max_prefix_len();
        let canonical = if single { net.addr().to_string() } else { net.to_string() };
        if written != canonical {
            let what = format!("{written:?} is not how addresses are written here");
            self.error(file, line, what, Some(format!("write {canonical}")));
        }
    }

    /// Looks at the name of a name server. Where everybody's names lie below it, it is still one service's server.
    fn server(&mut self, file: &str, line: u64, written: &str, category: &str) -> Option<Place> {
        let place = self.written(file, line, written, category)?;
        if place.key.depth() < 2 || place.key.is_icann_suffix() {
            let what = format!("{} is a public suffix: everything registered under it is meant", place.key);
            self.error(file, line, what, Some(String::from("write the servers that are meant")));
        }
        Some(place)
    }

    /// A part of the curated core.
    fn core(&mut self, file: &str, text: &str) {
        let table: Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => return self.unreadable(file, text, &error),
        };
        for entry in table.entry {
            let line = line_of(text, &entry.span());
            self.entry(file, line, entry.into_inner());
        }
    }

    fn entry(&mut self, file: &str, line: u64, entry: Written) {
        let called = entry.name.clone().unwrap_or_else(|| String::from("an entry"));
        for (field, text, right) in [
            ("name", &entry.name, "write the name"),
            ("category", &entry.category, "write the identifier of its category"),
            (
                "source",
                &entry.source,
                "say where it is known from: a regulator, the press, the service's own terms",
            ),
            ("reviewer", &entry.reviewer, "say who looked at it"),
        ] {
            if text.as_deref().is_none_or(|text| text.trim().is_empty()) {
                self.error(file, line, format!("{called} has no {field}"), Some(right.to_owned()));
            }
        }
        let mut days = [None, None];
        for (day_of, (field, written)) in
            days.iter_mut().zip([("date", entry.date), ("review_by", entry.review_by)])
        {
            *day_of = written.and_then(day);
            match written {
                None => self.error(file, line, format!("{called} has no {field}"), example_day()),
                Some(written) if day_of.is_none() => {
                    self.error(file, line, format!("{called}: {field}: {written} is no day"), example_day());
                }
                Some(_) => {}
            }
        }
        if let [Some(date), Some(review_by)] = days {
            if review_by <= date {
                let what = format!("{called} is to be looked at again ({review_by}) before it was ({date})");
                self.error(file, line, what, None);
            }
            if date > self.today {
                self.warning(
                    file,
                    line,
                    format!("{called} was looked at on {date}, which is yet to come"),
                    None,
                );
            }
            if review_by < self.today {
                let what = format!("{called} was to be looked at again by {review_by}");
                let instead = "look at it, and write the new date, reviewer and review_by, or take it out";
                self.warning(file, line, what, Some(instead.to_owned()));
            }
        }
        let category = entry.category.unwrap_or_default();
        if !category.is_empty() {
            self.category(file, line, &category);
        }
        if let Some(name) = entry.name
            && let Some(place) = self.name(file, line, &name, &category)
        {
            self.listed.push(place);
        }
    }

    /// A table of services.
    fn services(&mut self, file: &str, text: &str) {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Services {
            service: Vec<Spanned<Service>>,
        }
        let table: Services = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => return self.unreadable(file, text, &error),
        };
        for service in table.service {
            let line = line_of(text, &service.span());
            let service = service.into_inner();
            let here = (file.to_owned(), line);
            if let Some((other, at)) = self.service_ids.insert(service.id.clone(), here) {
                let what = format!("the service {:?} is in {other}, line {at} already", service.id);
                self.error(file, line, what, None);
            }
            for (field, text) in [("title", &service.title), ("source", &service.source)] {
                if text.trim().is_empty() {
                    self.error(file, line, format!("{} has no {field}", service.id), None);
                }
            }
            if service.names.is_empty() {
                self.error(file, line, format!("{} has no names", service.id), None);
            }
            self.category(file, line, &service.category);
            self.needs.extend(service.needs.into_iter().map(|needed| (needed, file.to_owned(), line)));
            for name in &service.names {
                let Some(place) = self.name(file, line, name, &service.category) else { continue };
                let Place { key, exact, .. } = &place;
                let of_service = Place {
                    key: key.clone(),
                    exact: *exact,
                    file: file.to_owned(),
                    line,
                    category: service.id.clone(),
                };
                self.services.push(of_service);
                if service.listed {
                    self.listed.push(place);
                }
            }
        }
    }

    fn unreadable(&mut self, file: &str, text: &str, error: &toml::de::Error) {
        let line = error.span().map_or(1, |span| line_of(text, &span));
        self.error(file, line, error.message().to_owned(), None);
    }

    fn category(&mut self, file: &str, line: u64, category: &str) {
        if self.categories.find(category).is_none() {
            let known = self.categories.iter().map(|(_, known)| known.id.as_str());
            let instead = nearest(category, known).map(|near| format!("did you mean {near:?}?"));
            self.error(file, line, format!("there is no category {category:?}"), instead);
        } else if LOCKED.iter().any(|(id, whom)| *id == category && whom.len() > 2) {
            let what = format!("{category} is for members' lists only, which never stand in a file of ours");
            self.error(file, line, what, Some(String::from("take it out, and don't pass it on")));
        }
    }

    /// Looks at how a name is written; none where it is not a name at all.
    fn written(&mut self, file: &str, line: u64, written: &str, category: &str) -> Option<Place> {
        self.report.names += 1;
        let (text, exact) = written.strip_prefix('=').map_or((written, false), |text| (text, true));
        let bare = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
        if bare.parse::<IpAddr>().is_ok() {
            self.error(file, line, format!("{written:?} is an address"), Some(String::from("write a name")));
            return None;
        }
        let key = match Key::parse(bare) {
            Ok(key) => key,
            Err(error) => {
                self.error(file, line, format!("{written:?}: {error}"), None);
                return None;
            }
        };
        let canonical = key.to_string();
        if text != canonical {
            let equals = if exact { "=" } else { "" };
            let instead = Some(format!("write {equals}{canonical}"));
            self.error(file, line, format!("{written:?} is not how names are written here"), instead);
        }
        Some(Place { key, exact, file: file.to_owned(), line, category: category.to_owned() })
    }

    /// Looks at one name; none where it is not a name at all.
    fn name(&mut self, file: &str, line: u64, written: &str, category: &str) -> Option<Place> {
        let place = self.written(file, line, written, category)?;
        let Place { key, exact, .. } = &place;
        let canonical = key.to_string();
        if key.depth() < 2 || key.is_public_suffix() {
            let what = format!("{canonical} is a public suffix: everything registered under it is meant");
            self.error(file, line, what, Some(String::from("write the names that are meant")));
        }
        for protected in self.protected {
            let kind = if protected.help { "a help site" } else { "an essential name" };
            let name = &protected.key;
            if name == key || (!exact && name.is_within(key)) {
                self.error(file, line, format!("{canonical} would block {name}, {kind}"), None);
                break;
            }
            if !protected.exact && key.is_within(name) {
                let what = format!("{canonical} lies below {name}, {kind}, so it does nothing");
                self.error(file, line, what, None);
                break;
            }
        }
        Some(place)
    }

    /// Names that are there twice, names that another one covers, and a needless `www.`.
    fn twice(&mut self, places: &[Place], services: bool) {
        let mut seen: HashMap<&[u8], &Place> = HashMap::new();
        for place in places {
            let Some(other) = seen.insert(place.key.as_bytes(), place) else { continue };
            let Place { key, file, line, category, .. } = place;
            if services || category == &other.category {
                let of = if services { format!(" (service {})", other.category) } else { String::new() };
                let what = format!("{key} is in {}, line {} already{of}", other.file, other.line);
                self.error(file, *line, what, Some(String::from("take one of them out")));
            } else {
                let what =
                    format!("{key} is in {} too ({}, line {})", other.category, other.file, other.line);
                self.warning(file, *line, what, Some(String::from("be sure that it is in both categories")));
            }
        }
        for Place { key, file, line, category, .. } in places {
            let covering = key.prefixes().rev().skip(1).find_map(|parent| {
                seen.get(parent).filter(|parent| !parent.exact && (services || parent.category == *category))
            });
            if let Some(parent) = covering {
                // A service may say both; two services may not share.
                if !services || parent.category != *category {
                    let what =
                        format!("{key} lies below {} ({}, line {})", parent.key, parent.file, parent.line);
                    self.warning(file, *line, what, Some(String::from("one of them is enough")));
                }
            }
            // A `www.` beside the name alone is meant: other names below it belong to somebody else.
            let rest = key.prefix(key.depth().saturating_sub(1));
            let is_www = key.as_bytes().ends_with(b".www");
            if !services && is_www && !seen.get(rest).is_some_and(|rest| rest.exact) {
                let instead = Some(String::from("leave the www. away, or write =name beside it"));
                self.warning(
                    file,
                    *line,
                    format!("{key} leaves out what else is below the site's name"),
                    instead,
                );
            }
        }
    }
}

fn example_day() -> Option<String> {
    Some(String::from("write it as 2026-11-20"))
}

#[cfg(test)]
mod tests;
