//! Settings of downloads. What they name (secrets, certificates) is read for each download, by [`access`](super::access).

use std::{collections::BTreeMap, fmt, path::PathBuf};

use reqwest::{NoProxy, Proxy};
use serde::Deserialize;

/// How lists are downloaded.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A proxy for all downloads: `http://proxy.school.example:8080`, with a name and password if it asks for one.
    pub proxy: Option<String>,
    /// Hosts, domains and networks that are reached without it.
    pub no_proxy: Vec<String>,
    /// Files (PEM) of authorities that are trusted beside the public ones.
    pub certificate_authorities: Vec<PathBuf>,
    /// The most bytes of one download.
    pub max_bytes: u64,
    /// How long connecting may take, in seconds.
    pub connect_seconds: u64,
    /// How long nothing may come, in seconds.
    pub stall_seconds: u64,
    /// How long a download may take altogether, in seconds.
    pub total_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            proxy: None,
            no_proxy: Vec::new(),
            certificate_authorities: Vec::new(),
            max_bytes: 256 * 1024 * 1024,
            connect_seconds: 20,
            stall_seconds: 60,
            total_seconds: 30 * 60,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's address can have a password in it.
        f.debug_struct("Config")
            .field("proxy", &self.proxy.as_ref().map(|_| "…"))
            .field("no_proxy", &self.no_proxy)
            .field("certificate_authorities", &self.certificate_authorities)
            .field("max_bytes", &self.max_bytes)
            .field("connect_seconds", &self.connect_seconds)
            .field("stall_seconds", &self.stall_seconds)
            .field("total_seconds", &self.total_seconds)
            .finish()
    }
}

/// What a server asks for before it gives a list. Secrets are in files, so that the settings can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// What a `[[list]]` calls it.
    pub id: String,
    /// The file with a token, sent as `Authorization: Bearer`.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// A user's name, for a password.
    #[serde(default)]
    pub username: Option<String>,
    /// The file with that password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The file (PEM) with a client certificate and its chain.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// The file (PEM) with the key of that certificate.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// Settings that are right as far as that can be told without the files that they name.
pub(super) struct Checked {
    pub(super) authorities: Vec<PathBuf>,
    pub(super) credentials: BTreeMap<String, Credential>,
    pub(super) proxy: Option<Proxy>,
}

impl Checked {
    pub(super) fn new(config: &Config, credentials: &[Credential]) -> Result<Self, ConfigError> {
        for (key, value) in [
            ("max_bytes", config.max_bytes),
            ("connect_seconds", config.connect_seconds),
            ("stall_seconds", config.stall_seconds),
            ("total_seconds", config.total_seconds),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { key });
            }
        }
        let mut known = BTreeMap::new();
        for credential in credentials {
            credential.check()?;
            if known.insert(credential.id.clone(), credential.clone()).is_some() {
                return Err(ConfigError::Twice { id: credential.id.clone() });
            }
        }
        let proxy = config.proxy.as_deref().map(|url| proxy(url, &config.no_proxy)).transpose()?;
        Ok(Self { authorities: config.certificate_authorities.clone(), credentials: known, proxy })
    }
}

impl Credential {
    fn check(&self) -> Result<(), ConfigError> {
        let Self { id, token_file, username, password_file, certificate, key } = self;
        let wrong = |what: &'static str| Err(ConfigError::Credential { id: id.clone(), what });
        let authorized = match (token_file, username, password_file) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => true,
            (None, None, None) => false,
            (Some(_), _, _) => return wrong("it has both a token and a password; write one of them"),
            _ => return wrong("username and password_file belong together"),
        };
        if certificate.is_some() != key.is_some() {
            return wrong("certificate and key belong together");
        }
        if !authorized && certificate.is_none() {
            return wrong("it has neither a token, nor a password, nor a certificate");
        }
        Ok(())
    }
}

fn proxy(url: &str, no_proxy: &[String]) -> Result<Proxy, ConfigError> {
    let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let parsed = parsed.ok_or(ConfigError::Proxy)?;
    let proxy = Proxy::all(parsed).map_err(|_| ConfigError::Proxy)?;
    Ok(proxy.no_proxy(NoProxy::from_string(&no_proxy.join(","))))
}

/// What is wrong with the settings of downloads.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The proxy's address is none.
    #[error("lists.http.proxy: it is no address of a proxy; write it as http://proxy.school.example:8080")]
    Proxy,
    /// A limit is zero.
    #[error("lists.http.{key}: 0 would let nothing through; leave it out for the usual limit")]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// Two credentials have one identifier.
    #[error("lists.credential {id:?}: it is there twice; give one of them another id")]
    Twice {
        /// The identifier.
        id: String,
    },
    /// A credential lacks something, or has too much.
    #[error("lists.credential {id:?}: {what}")]
    Credential {
        /// The identifier.
        id: String,
        /// What is wrong with it.
        what: &'static str,
    },
}
