//! The certificates of the box, for its web pages and for encrypted DNS.
//!
//! From its first start the box has an authority of its own, and a certificate for its names and addresses that this
//! signs. A school that has a certificate for the box gives it ([`Certificates::install`]), and it is used for as long
//! as it can be. Whatever changes is in use from the next handshake on.

mod facts;
mod own;
mod school;
#[cfg(test)]
mod tests;

use std::{
    fs::DirBuilder,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tracing::warn;

use self::{facts::Facts, own::RENEW_BEFORE, school::Found};
pub use self::{
    facts::{NotAName, SubjectName},
    school::Unfit,
};
use crate::clock::Clock;

/// The folder of certificates and keys in the data folder.
pub const FOLDER: &str = "tls";

/// By this name browsers on the same network find the box without any DNS.
const LOCAL_NAME: &str = "schoolgate.local";

/// No box was made before 2026: a clock that says so is not set.
const EARLIEST: Timestamp = Timestamp::constant(1_767_225_600, 0);

pub(crate) fn clock_is_set(now: Timestamp) -> bool {
    now >= EARLIEST
}

/// The box's certificates, and the one that is in use.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
    changing: Mutex<Changing>,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

/// What a change needs; who has it is the only one who changes files.
#[derive(Debug)]
struct Changing {
    names: Vec<SubjectName>,
    /// What went wrong since the start and stays to be told.
    problems: Vec<String>,
}

/// What handshakes take, swapped in whole.
#[derive(Debug)]
struct Current(ArcSwap<InUse>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}

#[derive(Debug)]
struct InUse {
    key: Arc<CertifiedKey>,
    facts: Facts,
    source: Source,
    ca_pem: String,
    ca_fingerprint: String,
    problems: Vec<String>,
}

/// What handshakes show of a box that may have no certificate yet: none until there is one, then the one in use.
#[derive(Debug, Default)]
pub struct Shown(ArcSwapOption<Certificates>);

impl Shown {
    /// From now on these are shown.
    pub fn set(&self, certificates: Arc<Certificates>) {
        self.0.store(Some(certificates));
    }

    /// Those that are shown.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Certificates>> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref()?.current.resolve(hello)
    }
}

/// Settings for servers that show a certificate: TLS 1.2 and 1.3, and these protocols within it.
///
/// # Errors
///
/// When the library of TLS lacks what it needs.
pub fn server_config(
    certificate: Arc<dyn ResolvesServerCert>,
    protocols: &[&str],
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::make)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(config)
}

/// Whose certificate is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The box's own, which its own authority signed.
    Own,
    /// The school's.
    School,
}

/// How things stand with the certificate that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whose it is.
    pub source: Source,
    /// The names and addresses that it is for.
    pub names: Vec<String>,
    /// The last moment at which it holds.
    pub not_after: Timestamp,
    /// How many whole days that is away; under 0 when it is past.
    pub days_left: i64,
    /// SHA-256 of the certificate, in pairs of hexadecimal digits with colons between.
    pub fingerprint: String,
    /// What a person should see to, in sentences.
    pub problem: Option<String>,
}

impl Certificates {
    /// Opens the certificates of a data folder, and makes those that are missing, damaged, or due.
    ///
    /// `names` are the box's host names and addresses; `schoolgate.local`, `localhost` and the loopback addresses need
    /// not be among them. What is damaged is set aside under a name that says so, and told by [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// When files can't be read, or the authority can't be written.
    pub fn open(data: &Path, names: &[SubjectName], clock: &Clock) -> Result<Self, TlsError> {
        let folder = data.join(FOLDER);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|source| TlsError::write(&folder, source))?;
        let mut changing = Changing { names: all_names(names), problems: Vec::new() };
        let current = Arc::new(Current(ArcSwap::from_pointee(changing.load(&folder, clock.now())?)));
        let config = server_config(Arc::clone(&current) as Arc<dyn ResolvesServerCert>, &["h2", "http/1.1"])?;
        Ok(Self { folder, changing: Mutex::new(changing), current, config: Arc::new(config) })
    }

    /// Settings for servers: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1. They stay right through all changes.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The certificate of the box's own authority (PEM), for devices to trust.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.current.0.load().ca_pem.clone()
    }

    /// SHA-256 of the authority's certificate, in pairs of hexadecimal digits with colons between.
    #[must_use]
    pub fn ca_fingerprint(&self) -> String {
        self.current.0.load().ca_fingerprint.clone()
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        let in_use = self.current.0.load();
        let left = in_use.facts.not_after.duration_since(now);
        let mut problems = in_use.problems.clone();
        if in_use.source == Source::School && clock_is_set(now) && left < RENEW_BEFORE {
            problems.push(format!(
                "The school's certificate ends on {}: get a new one and install it.",
                school::day(in_use.facts.not_after)
            ));
        }
        Status {
            source: in_use.source,
            names: in_use.facts.names.clone(),
            not_after: in_use.facts.not_after,
            days_left: left.as_secs().div_euclid(24 * 60 * 60),
            fingerprint: in_use.facts.fingerprint.clone(),
            problem: (!problems.is_empty()).then(|| problems.join(" ")),
        }
    }

    /// The names and addresses that the certificate in use is for.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.current.0.load().facts.names.clone()
    }

    /// The name of the school's own certificate by which others know the box: the first of `preferred` that it is for, else
    /// its first that is whole. None while the box's own is in use, which only devices believe that were told to.
    #[must_use]
    pub fn name_of_school(&self, preferred: &[String]) -> Option<String> {
        let in_use = self.current.0.load();
        if in_use.source != Source::School {
            return None;
        }
        let is_name = |name: &&String| !name.starts_with("*.") && name.parse::<IpAddr>().is_err();
        preferred
            .iter()
            .find(|name| self.is_for(name))
            .or_else(|| in_use.facts.names.iter().find(is_name))
            .cloned()
    }

    /// Whether the certificate in use is for a host name: by name, or by a `*` in the place of its first label.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let rest = host.split_once('.').map(|(_, rest)| rest);
        self.current.0.load().facts.names.iter().any(|name| {
            name.eq_ignore_ascii_case(host)
                || name
                    .strip_prefix("*.")
                    .zip(rest)
                    .is_some_and(|(wanted, rest)| wanted.eq_ignore_ascii_case(rest))
        })
    }

    /// Looks at all files again, makes what is due, and leaves a school's certificate that holds no more. Worth doing
    /// once a day. Gives whether another certificate is in use than before.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) does; what was in use stays.
    pub fn renew_if_due(&self, now: Timestamp) -> Result<bool, TlsError> {
        self.refresh(&mut self.lock(), now)
    }

    /// Takes other names and addresses for the box, and a certificate for them if they differ. Gives whether another
    /// one is in use than before.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) does; what was in use stays, and the next [`renew_if_due`](Self::renew_if_due) tries
    /// again.
    pub fn set_names(&self, names: &[SubjectName], now: Timestamp) -> Result<bool, TlsError> {
        let mut changing = self.lock();
        changing.names = all_names(names);
        self.refresh(&mut changing, now)
    }

    /// Installs a school's certificate: a chain (PEM), the box's certificate first, and its private key (PEM).
    ///
    /// # Errors
    ///
    /// [`TlsError::Unfit`] says what is wrong with them; the other errors are the disk's. What was in use stays.
    pub fn install(&self, chain_pem: &[u8], key_pem: &[u8], now: Timestamp) -> Result<(), TlsError> {
        school::read(chain_pem, key_pem, now)?;
        let mut changing = self.lock();
        school::write(&self.folder, chain_pem, key_pem)
            .map_err(|source| TlsError::write(&self.folder, source))?;
        self.refresh(&mut changing, now)?;
        Ok(())
    }

    /// Removes the school's certificate and its key; the box's own is in use again.
    ///
    /// # Errors
    ///
    /// When they can't be removed.
    pub fn remove_school(&self, now: Timestamp) -> Result<(), TlsError> {
        let mut changing = self.lock();
        school::remove(&self.folder).map_err(|source| TlsError::write(&self.folder, source))?;
        self.refresh(&mut changing, now)?;
        Ok(())
    }

    fn refresh(&self, changing: &mut Changing, now: Timestamp) -> Result<bool, TlsError> {
        let next = Arc::new(changing.load(&self.folder, now)?);
        let before = self.current.0.swap(Arc::clone(&next));
        Ok(before.facts.fingerprint != next.facts.fingerprint)
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        // Each change is whole on the disk or not at all, so a panic leaves nothing half done.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changing {
    fn load(&mut self, folder: &Path, now: Timestamp) -> Result<InUse, TlsError> {
        let mut passing = Vec::new();
        let own = own::load(folder, &self.names, now, &mut self.problems, &mut passing)?;
        let mut problems = self.problems.clone();
        problems.append(&mut passing);
        let (source, pair) = match school::load(folder, now) {
            Found::Good(pair) => (Source::School, pair),
            Found::Nothing => (Source::Own, own.server),
            Found::Bad(why) => {
                warn!("The school's certificate can't be used, so the box's own is: {why}");
                problems.push(format!("The school's certificate can't be used, so the box's own is: {why}."));
                (Source::Own, own.server)
            }
        };
        Ok(InUse {
            key: pair.key,
            facts: pair.facts,
            source,
            ca_pem: own.ca_pem,
            ca_fingerprint: own.ca.fingerprint,
            problems,
        })
    }
}

/// The names given and those that every box has, each once.
fn all_names(given: &[SubjectName]) -> Vec<SubjectName> {
    let fixed = [LOCAL_NAME, "localhost"].into_iter().filter_map(|name| name.parse().ok());
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].map(SubjectName::from);
    let mut all: Vec<SubjectName> = Vec::new();
    for name in fixed.chain(given.iter().cloned()).chain(loopback) {
        // To listen on all addresses is to have none of this name.
        if !all.contains(&name) && !name.address().is_some_and(|address| address.is_unspecified()) {
            all.push(name);
        }
    }
    all
}

/// Says in the log that a file of a key can be read by others.
fn warn_if_open(key: &Path) {
    if std::fs::metadata(key).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
        let file = key.display();
        warn!(%file, "Others can read a private key of the box; take that right from them: chmod 600 {file}");
    }
}

/// Why the certificates are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A school's certificate or key that can't be used.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A file can't be read.
    #[error("{path}: it can't be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder can't be written.
    #[error("{path}: it can't be written: {source}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key or certificate can't be made.
    #[error("a certificate of the box can't be made: {0}")]
    Make(String),
}

impl TlsError {
    fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }

    fn make(error: impl std::fmt::Display) -> Self {
        Self::Make(error.to_string())
    }
}
