//! The `[resolver]` table of `schoolgate.toml`, and the backends that it asks for.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use hickory_proto::rr::RecordType;
use ipnet::IpNet;
use serde::Deserialize;

use super::{
    backend::Backend,
    forwarder::{Forwarder, Settings, Trust, Upstream, UpstreamError, tls_settings},
    local::{LocalZoneError, LocalZones},
    recursor::Recursor,
};
use crate::name::Key;

/// How names are resolved: the `[resolver]` table.
///
/// Every key may be left out; [`Config::default`] recurses from the root servers and validates.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who finds the answers: our own recursion, or the servers in `forwarders`.
    pub mode: Mode,
    /// The upstream servers of `mode = "forward"`, asked fastest first.
    ///
    /// Plain: `"9.9.9.9"`, `"9.9.9.9:5353"`, `"[2620:fe::fe]:53"`. Over TLS, with the name that the certificate must
    /// have: `"tls://9.9.9.9#dns.quad9.net"`. Over HTTPS, with the address to connect to, so that no other resolver is
    /// needed to start: `"https://dns.quad9.net/dns-query#9.9.9.9"`, or `"https://9.9.9.9/dns-query"` where the
    /// certificate names the address.
    pub forwarders: Vec<String>,
    /// Where recursion starts: `"built-in"`, or a file in the form of IANA's `named.root`.
    pub root_hints: Source,
    /// The keys that validation starts from: `"built-in"`, or a file of DNSKEY records of the root.
    pub trust_anchor: Source,
    /// Whether recursion validates. With forwarding, whether the AD bit of an encrypted upstream is believed.
    pub dnssec: Dnssec,
    /// The port of the servers that recursion asks. Anything but 53 is for tests.
    pub port: u16,
    /// Zones of the school's own: forwarded to `servers`, or read from `file`.
    pub zone: Vec<ZoneConfig>,
    /// Single records of the school's own.
    pub record: Vec<RecordConfig>,
    /// Certificate authorities to believe besides the well-known ones, for upstreams over TLS and HTTPS: a PEM file.
    pub tls_roots: Option<PathBuf>,
    /// Networks with name servers that recursion may ask although they are private, loopback or reserved.
    pub allow_servers: Vec<IpNet>,
    /// Special-use names (RFC 6761 and others) and locally served reverse zones (RFC 6303) that are to be resolved like
    /// any other, for example `["test"]`.
    pub allow_special: Vec<String>,
    /// How long a question may take in all, in milliseconds (500 to 60,000).
    pub time_limit_ms: u64,
    /// How much memory cached answers may take, in bytes (at least 65,536).
    pub cache_bytes: usize,
    /// The shortest time that a positive answer is kept, in seconds (0 to 3,600).
    pub min_ttl: u32,
    /// The longest time that a positive answer is kept, in seconds (RFC 8767 suggests at most a week).
    pub max_ttl: u32,
    /// The longest time that a negative answer is kept, in seconds (RFC 2308 suggests one to three hours).
    pub max_negative_ttl: u32,
    /// Whether an answer past its time is given when nothing newer can be had (RFC 8767).
    pub serve_stale: bool,
    /// How long after its time an answer may still be given, in seconds (RFC 8767 suggests one to three days).
    pub stale_max: u32,
    /// Whether popular answers are fetched again shortly before they expire.
    pub prefetch: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Recurse,
            forwarders: Vec::new(),
            root_hints: Source::BuiltIn,
            trust_anchor: Source::BuiltIn,
            dnssec: Dnssec::Validate,
            port: 53,
            zone: Vec::new(),
            record: Vec::new(),
            tls_roots: None,
            allow_servers: Vec::new(),
            allow_special: Vec::new(),
            time_limit_ms: 12_000,
            cache_bytes: 16 * 1024 * 1024,
            min_ttl: 0,
            max_ttl: 86_400,
            max_negative_ttl: 3_600,
            serve_stale: true,
            stale_max: 86_400,
            prefetch: true,
        }
    }
}

impl Config {
    /// How long a question may take in all.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        Duration::from_millis(self.time_limit_ms)
    }

    fn check(&self) -> Result<(), ResolverError> {
        let value = |key: &str, reason: &str| ResolverError::Value { key: key.into(), reason: reason.into() };
        if self.port == 0 {
            return Err(value("port", "must be 1 to 65535; name servers answer on 53"));
        }
        if !(500..=60_000).contains(&self.time_limit_ms) {
            return Err(value("time_limit_ms", "must be 500 to 60000"));
        }
        if self.cache_bytes < 65_536 {
            return Err(value("cache_bytes", "must be at least 65536"));
        }
        if self.min_ttl > 3_600 {
            return Err(value("min_ttl", "must be at most 3600, or changes are seen too late"));
        }
        if self.max_ttl < self.min_ttl {
            return Err(value("max_ttl", "must not be below min_ttl"));
        }
        Ok(())
    }
}

/// Who finds the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// We ask the authoritative servers, from the root down.
    Recurse,
    /// We ask other resolvers.
    Forward,
}

/// Whether signatures are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dnssec {
    /// Answers are proven, or proven to be unsigned, or refused.
    Validate,
    /// Answers are taken as they come and are never marked as proven.
    Off,
}

/// Something that is built in and can be replaced by a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Source {
    /// What the program brings along.
    BuiltIn,
    /// A file.
    File(PathBuf),
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        if text == "built-in" { Self::BuiltIn } else { Self::File(text.into()) }
    }
}

/// A zone of the school's own: one `[[resolver.zone]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneConfig {
    /// The zone's name, for example `"ad.school.example"` or `"20.10.in-addr.arpa"`.
    pub name: String,
    /// The servers that know it, as in `forwarders`; either these or `file`.
    #[serde(default)]
    pub servers: Vec<String>,
    /// A file in master-file format (RFC 1035, section 5); either this or `servers`.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

/// A record of the school's own: one `[[resolver.record]]`.
///
/// The name is answered here for every type; names beside it and below it are resolved as usual.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordConfig {
    /// The name; `"*.lab.school.example"` stands for every name below that has no record of its own.
    pub name: String,
    /// The type, for example `"A"`.
    pub r#type: String,
    /// The value, as in a zone file.
    pub value: String,
    /// How long others may keep it, in seconds.
    #[serde(default = "record_ttl")]
    pub ttl: u32,
}

fn record_ttl() -> u32 {
    RecordConfig::TTL
}

impl RecordConfig {
    /// How long others may keep a record whose time is not given, in seconds.
    pub const TTL: u32 = 300;

    /// The type as a number.
    ///
    /// # Errors
    ///
    /// Gives back the text when no type has that name.
    pub(crate) fn record_type(&self) -> Result<RecordType, &str> {
        self.r#type.to_ascii_uppercase().parse().map_err(|_| self.r#type.as_str())
    }
}

/// What is wrong with the `[resolver]` table, or with a file that it names.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// A value out of range.
    #[error("resolver.{key} {reason}")]
    Value {
        /// The key within the table.
        key: String,
        /// What would be right.
        reason: String,
    },
    /// Forwarding to nobody.
    #[error(
        "resolver.forwarders is empty, but mode = \"forward\" needs at least one, for example \"tls://9.9.9.9#dns.quad9.net\""
    )]
    NoForwarders,
    /// An upstream server that can't be understood.
    #[error("resolver.{key}: {text:?} {reason}")]
    Upstream {
        /// The key within the table.
        key: String,
        /// What was written.
        text: String,
        /// What is wrong with it and what would be right.
        reason: UpstreamError,
    },
    /// A file that can't be read.
    #[error("resolver.{key}: could not read {}", path.display())]
    Read {
        /// The key within the table.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file whose content is not what it should be.
    #[error("resolver.{key}: {}: {reason}", path.display())]
    File {
        /// The key within the table.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// A local zone or record.
    #[error(transparent)]
    Local(#[from] LocalZoneError),
    /// The recursor can't be made.
    #[error("could not set up recursion: {reason}")]
    Recursor {
        /// What it said.
        reason: String,
    },
}

/// Everything that answers questions which the cache can't.
#[derive(Debug)]
pub struct Backends {
    /// Who answers unless a zone below does.
    pub main: Arc<dyn Backend>,
    /// Conditional forwarding: questions at or below the key go to its backend; the longest key counts.
    pub zones: Vec<(Key, Arc<dyn Backend>)>,
    /// Special names, empty reverse zones, and what the school itself has written down.
    pub local: LocalZones,
}

/// Builds the backends; reads the files that the settings name, and asks nobody yet.
///
/// # Errors
///
/// The first thing that is wrong, with its key and what would be right.
pub fn build(config: &Config) -> Result<Backends, ResolverError> {
    config.check()?;
    let local = LocalZones::build(config)?;
    let tls = tls_settings(config.tls_roots.as_deref())?;
    let settings = |trust| Settings { tls: tls.clone(), limit: config.time_limit(), trust };
    let main: Arc<dyn Backend> = match config.mode {
        Mode::Recurse => Arc::new(Recursor::new(config)?),
        Mode::Forward if config.forwarders.is_empty() => return Err(ResolverError::NoForwarders),
        Mode::Forward => {
            let trust = match config.dnssec {
                Dnssec::Validate => Trust::Encrypted,
                Dnssec::Off => Trust::Nobody,
            };
            let upstreams = upstreams("forwarders", &config.forwarders)?;
            Arc::new(Forwarder::new(upstreams, settings(trust)))
        }
    };
    let mut zones: Vec<(Key, Arc<dyn Backend>)> = Vec::new();
    for zone in config.zone.iter().filter(|zone| zone.file.is_none()) {
        let key = format!("zone {:?}: servers", zone.name);
        let upstreams = upstreams(&key, &zone.servers)?;
        let name = Key::parse(&zone.name)
            .map_err(|error| LocalZoneError::ZoneName { name: zone.name.clone(), source: error })?;
        zones.push((name, Arc::new(Forwarder::new(upstreams, settings(Trust::Nobody)))));
    }
    Ok(Backends { main, zones, local })
}

fn upstreams(key: &str, texts: &[String]) -> Result<Vec<Upstream>, ResolverError> {
    let parse = |text: &String| {
        text.parse().map_err(|reason| ResolverError::Upstream { key: key.into(), text: text.clone(), reason })
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    fn error(text: &str) -> String {
        build(&parse(text)).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_table_is_the_default() {
        assert_eq!(parse(""), Config::default());
        assert!(build(&Config::default()).is_ok());
    }

    #[test]
    fn every_key_of_the_contract_is_known() {
        let config = parse(
            r#"
            mode = "forward"
            forwarders = ["9.9.9.9", "tls://9.9.9.9#dns.quad9.net", "https://dns.quad9.net/dns-query#9.9.9.9"]
            root_hints = "built-in"
            trust_anchor = "keys.txt"
            dnssec = "off"
            port = 5300
            [[zone]]
            name = "ad.school.example"
            servers = ["10.0.0.10", "10.0.0.11"]
            [[record]]
            name = "printer.school.example"
            type = "A"
            value = "10.0.0.20"
            "#,
        );
        assert_eq!(config.root_hints, Source::BuiltIn);
        assert_eq!(config.trust_anchor, Source::File("keys.txt".into()));
        let backends = build(&config).unwrap();
        assert_eq!(backends.zones.len(), 1);
        assert_eq!(backends.zones[0].0.to_string(), "ad.school.example");
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(toml::from_str::<Config>("forwarder = []").is_err());
        assert!(toml::from_str::<Config>("mode = \"guess\"").is_err());
    }

    #[test]
    fn errors_name_the_key_and_what_would_be_right() {
        assert!(error("mode = \"forward\"").starts_with("resolver.forwarders is empty"));
        assert!(error("port = 0").starts_with("resolver.port must be 1 to 65535"));
        assert!(error("time_limit_ms = 1").starts_with("resolver.time_limit_ms"));
        let text = error("mode = \"forward\"\nforwarders = [\"dns.example\"]");
        assert!(text.starts_with("resolver.forwarders: \"dns.example\""), "{text}");
        let text = error("root_hints = \"/nowhere/named.root\"");
        assert!(text.starts_with("resolver.root_hints: could not read /nowhere/named.root"), "{text}");
        let text = error("trust_anchor = \"/nowhere/root.key\"");
        assert!(text.starts_with("resolver.trust_anchor: could not read /nowhere/root.key"), "{text}");
        let text = error("tls_roots = \"/nowhere/ca.pem\"");
        assert!(text.starts_with("resolver.tls_roots: could not read /nowhere/ca.pem"), "{text}");
        let text = error("[[zone]]\nname = \"ad.example\"");
        assert!(text.contains("ad.example"), "{text}");
        let text = error("[[zone]]\nname = \"ad.example\"\nservers = [\"tls//x\"]");
        assert!(text.contains("zone \"ad.example\": servers"), "{text}");
    }
}
