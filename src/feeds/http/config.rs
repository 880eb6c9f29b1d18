//! Settings of downloads, and the secrets that they name.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use reqwest::{NoProxy, Proxy, header::HeaderValue};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::Deserialize;

use super::error::FetchError;

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

/// Settings with everything read that they name.
pub(super) struct Prepared {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) proxy: Option<Proxy>,
    credentials: BTreeMap<String, Secrets>,
}

/// What is sent to a server that asks.
pub(super) struct Secrets {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Prepared {
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
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for file in &config.certificate_authorities {
            for certificate in certificates(file)? {
                roots
                    .add(certificate)
                    .map_err(|error| ConfigError::Pem { file: file.clone(), reason: error.to_string() })?;
            }
        }
        let roots = Arc::new(roots);
        let mut known = BTreeMap::new();
        for credential in credentials {
            let secrets = Secrets::read(credential, &roots)?;
            if known.insert(credential.id.clone(), secrets).is_some() {
                return Err(ConfigError::Twice { id: credential.id.clone() });
            }
        }
        let proxy = config.proxy.as_deref().map(|url| proxy(url, &config.no_proxy)).transpose()?;
        Ok(Self { tls: Arc::new(builder(&roots).with_no_client_auth()), proxy, credentials: known })
    }

    pub(super) fn secrets(&self, id: &str) -> Result<&Secrets, FetchError> {
        self.credentials.get(id).ok_or_else(|| FetchError::Credential {
            id: id.to_owned(),
            known: self.credentials.keys().cloned().collect(),
        })
    }
}

impl Secrets {
    fn read(credential: &Credential, roots: &Arc<RootCertStore>) -> Result<Self, ConfigError> {
        let Credential { id, token_file, username, password_file, certificate, key } = credential;
        let wrong = |what: &'static str| ConfigError::Credential { id: id.clone(), what };
        let authorization = match (token_file, username, password_file) {
            (Some(token), None, None) => Some(format!("Bearer {}", secret(token)?)),
            (None, Some(name), Some(password)) => {
                let pair = format!("{name}:{}", secret(password)?);
                Some(format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())))
            }
            (None, None, None) => None,
            (Some(_), _, _) => return Err(wrong("it has both a token and a password; write one of them")),
            _ => return Err(wrong("username and password_file belong together")),
        };
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let pem = |reason: String| ConfigError::Pem { file: key.clone(), reason };
                let bytes = read(key)?;
                let private = PrivateKeyDer::from_pem_slice(&bytes)
                    .map_err(|_| pem(String::from("there is no private key in it")))?;
                let config = builder(roots)
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| pem(format!("the key does not fit the certificate: {error}")))?;
                Some(Arc::new(config))
            }
            (None, None) => None,
            _ => return Err(wrong("certificate and key belong together")),
        };
        if authorization.is_none() && tls.is_none() {
            return Err(wrong("it has neither a token, nor a password, nor a certificate"));
        }
        let authorization = match authorization {
            Some(text) => {
                let mut value = HeaderValue::from_str(&text)
                    .map_err(|_| wrong("its secret has characters that can't be sent"))?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self { authorization, tls })
    }
}

fn builder(
    roots: &Arc<RootCertStore>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        // The provider has suites for both versions.
        .expect("ring has TLS 1.2 and 1.3")
        .with_root_certificates(Arc::clone(roots))
}

fn proxy(url: &str, no_proxy: &[String]) -> Result<Proxy, ConfigError> {
    let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let parsed = parsed.ok_or(ConfigError::Proxy)?;
    let proxy = Proxy::all(parsed).map_err(|_| ConfigError::Proxy)?;
    Ok(proxy.no_proxy(NoProxy::from_string(&no_proxy.join(","))))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let bytes = read(file)?;
    let pem = |reason: &str| ConfigError::Pem { file: file.to_owned(), reason: reason.to_owned() };
    let found = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| pem("a certificate in it is damaged"))?;
    if found.is_empty() { Err(pem("there is no certificate in it")) } else { Ok(found) }
}

/// A secret, without the line's end that editors put behind it.
fn secret(file: &Path) -> Result<String, ConfigError> {
    let text = String::from_utf8(read(file)?).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() { Err(ConfigError::Empty { file: file.to_owned() }) } else { Ok(text.to_owned()) }
}

fn read(file: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })
}

/// What is wrong with the settings of downloads.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that they name can't be read.
    #[error("lists: {file}: {source}", file = file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A secret is empty, or no text.
    #[error("lists: {file}: there is no secret in it", file = file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// A file does not have what it should.
    #[error("lists: {file}: {reason}", file = file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
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

impl ConfigError {
    /// Whether a setting is wrong, rather than the disk.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }
}
