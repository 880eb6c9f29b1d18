//! What the product ships beside the lists: profiles, essential names, site bundles, services, canaries, SafeSearch.
//!
//! All of it is data under `lists/`, part of the program, and parsed by a test of this module; so a service more is a
//! line in a table.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use hickory_proto::rr::Name;
use rust_embed::Embed;
use serde::Deserialize;

use super::{
    BlockResponse,
    file::{Access, LogLevel, Mode, YouTube},
    names::{Essential, NamePattern},
};
use crate::{
    category::Audience,
    lists::{
        curated::lint::Protected,
        popular::Popular,
        services::{self, Service},
    },
    name::Key,
};

/// A profile that the product ships.
#[derive(Debug, Clone, Deserialize)]
pub struct ShippedProfile {
    /// The identifier.
    pub id: String,
    /// What people read.
    pub name: String,
    /// Who it is for.
    pub audience: Audience,
    /// How it decides.
    pub mode: Mode,
    /// What happens to names on no list.
    pub uncategorised: Access,
    /// Whether search engines are held in their safe mode.
    pub safe_search: bool,
    /// How YouTube is restricted.
    pub youtube: YouTube,
    /// Whether HTTPS records lose the key of encrypted hellos.
    pub strip_ech: bool,
    /// How a block looks.
    pub block_with: BlockResponse,
    /// What is logged.
    pub log: LogLevel,
    /// The bundles of approved sites.
    #[serde(default)]
    pub bundles: Vec<String>,
    /// One plain sentence.
    #[serde(default)]
    pub summary: String,
}

/// What is rewritten: search engines, or YouTube.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// A search engine, by the profile's `safe_search`.
    Search,
    /// YouTube, by the profile's `youtube`.
    #[serde(rename = "youtube")]
    YouTube,
}

/// A service with a safe mode that is chosen by name.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The identifier.
    pub id: String,
    /// What people read.
    pub title: String,
    /// What it is.
    pub kind: EngineKind,
    /// The names that are rewritten; what is below them is not.
    pub hosts: Vec<NamePattern>,
    /// The sites that go whole where the service is blocked: what is behind `www.` of its hosts.
    pub sites: Vec<NamePattern>,
    /// The name of the strict mode, with addresses that were good when the product was made.
    pub strict: (Name, Vec<IpAddr>),
    /// The name of the moderate mode.
    pub moderate: (Name, Vec<IpAddr>),
}

/// A name that software asks to learn whether it may go around the filter.
#[derive(Debug, Clone)]
pub struct Canary {
    /// The name.
    pub name: NamePattern,
    /// The answer that says no.
    pub answer: BlockResponse,
    /// What people read.
    pub title: String,
    /// Answered whatever a profile says: the name belongs to the resolver itself (RFC 9462).
    pub always: bool,
}

/// Everything that the product ships beside the lists.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// The profiles.
    pub profiles: Vec<ShippedProfile>,
    /// The services with a safe mode.
    pub engines: Vec<Engine>,
    /// The canaries.
    pub canaries: Vec<Canary>,
    /// The essential names.
    pub essential: Vec<(Essential, NamePattern)>,
    /// Name servers that many unrelated zones share, which no list can hold against a zone.
    pub shared_servers: Vec<NamePattern>,
    /// The bundles of approved sites.
    pub bundles: Vec<Bundle>,
    /// The services that can be switched by themselves.
    pub services: Vec<Service>,
    /// The registrable domains that so many people use that they are new to no school, those of services among them.
    popular: Arc<HashSet<Box<[u8]>>>,
}

/// Approved sites with everything that their pages load, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The identifier that profiles and lessons use.
    pub id: String,
    /// What people read.
    pub title: String,
    /// The names.
    pub names: Vec<NamePattern>,
}

#[derive(Embed)]
#[folder = "lists/bundles/"]
struct BundleFiles;

/// What is wrong with a table.
#[derive(Debug, thiserror::Error)]
#[error("{table}: {what}")]
pub struct TableError {
    /// The file under `lists/`.
    pub table: &'static str,
    /// What is wrong.
    pub what: String,
}

#[derive(Deserialize)]
struct ProfilesFile {
    profile: Vec<ShippedProfile>,
}

#[derive(Deserialize)]
struct EnginesFile {
    engine: Vec<EngineFile>,
}

#[derive(Deserialize)]
struct EngineFile {
    id: String,
    title: String,
    kind: EngineKind,
    #[serde(default)]
    hosts: Vec<String>,
    host_prefix: Option<String>,
    #[serde(default)]
    suffixes: Vec<String>,
    target: Option<String>,
    target_strict: Option<String>,
    target_moderate: Option<String>,
    #[serde(default)]
    addresses: Vec<IpAddr>,
    #[serde(default)]
    addresses_strict: Vec<IpAddr>,
    #[serde(default)]
    addresses_moderate: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct CanariesFile {
    canary: Vec<CanaryFile>,
}

#[derive(Deserialize)]
struct CanaryFile {
    name: String,
    #[serde(rename = "match")]
    matching: crate::lists::format::MatchMode,
    answer: CanaryAnswer,
    title: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum CanaryAnswer {
    NxDomain,
    NoData,
}

impl Tables {
    /// The tables that are part of the program.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static SHIPPED: LazyLock<Tables> = LazyLock::new(|| {
            // A test of this module parses the same embedded text, so this cannot fail at run time.
            Tables::parse_shipped().expect("the embedded tables under lists/ are valid")
        });
        &SHIPPED
    }

    fn parse_shipped() -> Result<Self, TableError> {
        let mut tables = Self::default();
        tables.add_profiles(include_str!("../../lists/profiles.toml"))?;
        tables.add_engines(include_str!("../../lists/safesearch.toml"))?;
        tables.add_canaries(include_str!("../../lists/canaries.toml"))?;
        for (set, table, text) in [
            (
                Essential::Infrastructure,
                "lists/essential/infrastructure.txt",
                include_str!("../../lists/essential/infrastructure.txt"),
            ),
            (Essential::Help, "lists/essential/help.txt", include_str!("../../lists/essential/help.txt")),
            (
                Essential::Education,
                "lists/essential/education.txt",
                include_str!("../../lists/essential/education.txt"),
            ),
            (Essential::Own, "lists/essential/own.txt", include_str!("../../lists/essential/own.txt")),
        ] {
            tables.essential.extend(names(table, text)?.into_iter().map(|name| (set, name)));
        }
        tables.shared_servers =
            names("lists/shared-name-servers.txt", include_str!("../../lists/shared-name-servers.txt"))?;
        let mut files: Vec<_> = BundleFiles::iter().collect();
        files.sort();
        for file in files {
            if let (Some(id), Some(data)) = (file.strip_suffix(".txt"), BundleFiles::get(&file)) {
                tables.add_bundle(id, &String::from_utf8_lossy(&data.data))?;
            }
        }
        tables.services = services::shipped().to_vec();
        tables.add_popular(Popular::shipped().names());
        // Whoever writes a service into the table has an opinion on it, whether or not a profile switches it.
        let of_services = tables.services.iter().flat_map(|service| &service.names);
        let of_services: Vec<Key> =
            of_services.filter_map(|name| Some(NamePattern::parse(name).ok()?.key)).collect();
        tables.add_popular(&of_services);
        Ok(tables)
    }

    /// Adds names that are never newly seen, since many people use them; what belongs to the same registrable domain is
    /// not either.
    pub fn add_popular<'a>(&mut self, names: impl IntoIterator<Item = &'a Key>) {
        let domains = names.into_iter().filter_map(|key| key.registrable()).map(Box::from);
        Arc::make_mut(&mut self.popular).extend(domains);
    }

    /// Whether a registrable domain is a popular one.
    pub(crate) fn is_popular(&self, domain: &[u8]) -> bool {
        self.popular.contains(domain)
    }

    /// Adds the profiles of a text in the form of `lists/profiles.toml`.
    ///
    /// # Errors
    ///
    /// When the text is not such a table.
    pub fn add_profiles(&mut self, text: &str) -> Result<(), TableError> {
        let table = "lists/profiles.toml";
        let file: ProfilesFile =
            toml::from_str(text).map_err(|e| TableError { table, what: e.to_string() })?;
        self.profiles.extend(file.profile);
        Ok(())
    }

    /// Adds the services of a text in the form of `lists/safesearch.toml`.
    ///
    /// # Errors
    ///
    /// When the text is not such a table, a name is none, or a service has no target.
    pub fn add_engines(&mut self, text: &str) -> Result<(), TableError> {
        let table = "lists/safesearch.toml";
        let wrong = |what: String| TableError { table, what };
        let file: EnginesFile = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        for engine in file.engine {
            let prefix = engine.host_prefix.clone().unwrap_or_default();
            let texts =
                engine.hosts.iter().cloned().chain(engine.suffixes.iter().map(|s| prefix.clone() + s));
            let (mut hosts, mut sites) = (Vec::new(), BTreeSet::new());
            for text in texts {
                let host = NamePattern::parse(&format!("={text}"))
                    .map_err(|e| wrong(format!("{}: {text:?}: {e}", engine.id)))?;
                if let Some(site) = text.strip_prefix("www.") {
                    sites.insert(site.to_owned());
                }
                hosts.push(host);
            }
            // The sites' texts are the ends of names that were parsed just now.
            let sites = sites.iter().filter_map(|site| NamePattern::parse(site).ok()).collect();
            let target = |level: &Option<String>, addresses: &[IpAddr]| {
                let text = level
                    .as_ref()
                    .or(engine.target.as_ref())
                    .or(engine.target_strict.as_ref())
                    .ok_or_else(|| wrong(format!("{}: it has no target", engine.id)))?;
                let name = Name::from_ascii(format!("{}.", text.trim_end_matches('.')))
                    .map_err(|e| wrong(format!("{}: {text:?}: {e}", engine.id)))?;
                let known = if addresses.is_empty() { &engine.addresses[..] } else { addresses };
                Ok::<_, TableError>((name, known.to_vec()))
            };
            let strict = target(&engine.target_strict, &engine.addresses_strict)?;
            let moderate = target(&engine.target_moderate, &engine.addresses_moderate)?;
            let (id, title, kind) = (engine.id, engine.title, engine.kind);
            self.engines.push(Engine { id, title, kind, hosts, sites, strict, moderate });
        }
        Ok(())
    }

    /// Adds the canaries of a text in the form of `lists/canaries.toml`.
    ///
    /// # Errors
    ///
    /// When the text is not such a table or a name is none.
    pub fn add_canaries(&mut self, text: &str) -> Result<(), TableError> {
        let table = "lists/canaries.toml";
        let wrong = |what: String| TableError { table, what };
        let file: CanariesFile = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        for canary in file.canary {
            let mut name =
                NamePattern::parse(&canary.name).map_err(|e| wrong(format!("{:?}: {e}", canary.name)))?;
            name.exact = canary.matching == crate::lists::format::MatchMode::Exact;
            let answer = match canary.answer {
                CanaryAnswer::NxDomain => BlockResponse::NxDomain,
                CanaryAnswer::NoData => BlockResponse::NoData,
            };
            let always = name.key.to_string() == "resolver.arpa";
            self.canaries.push(Canary { name, answer, title: canary.title, always });
        }
        Ok(())
    }

    /// Adds a bundle in the form of the files in `lists/bundles/`: `# Bundle: its title`, then names.
    ///
    /// # Errors
    ///
    /// When it has no title or a name is none.
    pub fn add_bundle(&mut self, id: &str, text: &str) -> Result<(), TableError> {
        let table = "lists/bundles";
        let wrong = |what: &str| TableError { table, what: format!("{id}: {what}") };
        let title = text.lines().next().and_then(|line| line.strip_prefix("# Bundle: "));
        let title =
            title.ok_or_else(|| wrong("the first line is not `# Bundle: its title`"))?.trim().to_owned();
        let names = names(table, text).map_err(|e| wrong(&e.what))?;
        self.bundles.push(Bundle { id: id.to_owned(), title, names });
        Ok(())
    }

    /// The essential names, as what no list of ours may block.
    #[must_use]
    pub fn protected(&self) -> Vec<Protected> {
        self.essential
            .iter()
            .map(|(set, name)| Protected {
                key: name.key.clone(),
                exact: name.exact,
                help: *set == Essential::Help,
            })
            .collect()
    }

    /// A bundle.
    #[must_use]
    pub fn bundle(&self, id: &str) -> Option<&Bundle> {
        self.bundles.iter().find(|known| known.id == id)
    }

    /// A service.
    #[must_use]
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.services.iter().find(|known| known.id == id)
    }
}

/// The names of a text: one a line, `#` begins a comment.
fn names(table: &'static str, text: &str) -> Result<Vec<NamePattern>, TableError> {
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let name = line.split('#').next().unwrap_or("").trim();
        if name.is_empty() {
            continue;
        }
        let pattern = NamePattern::parse(name)
            .map_err(|e| TableError { table, what: format!("line {}: {name:?}: {e}", i + 1) })?;
        found.push(pattern);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
