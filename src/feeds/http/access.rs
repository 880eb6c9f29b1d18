//! What a download needs of the files that the settings name: whom to trust, and what to send to a server that asks.
//!
//! They are read for each download, so that a file that was put right, or a token that was renewed, counts from the
//! next one on, and one that can't be read stops nothing but the lists that need it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use reqwest::header::HeaderValue;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{
    config::{Checked, Credential},
    error::FetchError,
};
use crate::disk;

/// The largest file with a secret or certificates that is read, in bytes: a system's bundle of authorities has 250 kB.
const MOST: u64 = 4 * 1024 * 1024;

/// Whom a download trusts, and what it sends.
pub(super) struct Access {
    /// For servers that the credential is not for.
    pub(super) stranger: Arc<ClientConfig>,
    /// For those that it is for.
    pub(super) own: Arc<ClientConfig>,
    /// What those are sent.
    pub(super) authorization: Option<HeaderValue>,
    /// The authorities that can't be trusted, since their files can't be read.
    pub(super) missing: Vec<FileError>,
}

impl Checked {
    /// Reads what a download with this credential needs.
    pub(super) fn access(&self, credential: Option<&str>) -> Result<Access, FetchError> {
        let (roots, missing) = self.trusted();
        let stranger = Arc::new(builder(&roots).with_no_client_auth());
        let Some(id) = credential else {
            return Ok(Access { own: Arc::clone(&stranger), stranger, authorization: None, missing });
        };
        let credential = self.credentials.get(id).ok_or_else(|| FetchError::Credential {
            id: id.to_owned(),
            known: self.credentials.keys().cloned().collect(),
        })?;
        let own = credential.tls(&roots)?.map_or_else(|| Arc::clone(&stranger), Arc::new);
        Ok(Access { stranger, own, authorization: credential.authorization()?, missing })
    }

    /// What is wrong with the files that the settings name.
    pub(super) fn unusable(&self) -> Vec<FileError> {
        let (roots, mut wrong) = self.trusted();
        for credential in self.credentials.values() {
            wrong.extend(credential.authorization().err());
            wrong.extend(credential.tls(&roots).err());
        }
        wrong
    }

    /// The public authorities and those of the settings, but for those whose file is of no use.
    fn trusted(&self) -> (Arc<RootCertStore>, Vec<FileError>) {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let mut missing = Vec::new();
        for file in &self.authorities {
            let added = certificates(file).and_then(|certificates| {
                certificates.into_iter().try_for_each(|certificate| {
                    roots.add(certificate).map_err(|error| FileProblem::Pem(error.to_string()))
                })
            });
            missing.extend(added.err().map(|why| FileError {
                owner: Owner::Authorities,
                file: file.clone(),
                why,
            }));
        }
        (Arc::new(roots), missing)
    }
}

impl Credential {
    fn wrong(&self, file: &Path, why: FileProblem) -> FileError {
        FileError { owner: Owner::Credential(self.id.clone()), file: file.to_owned(), why }
    }

    /// What is sent as `Authorization`, if anything.
    fn authorization(&self) -> Result<Option<HeaderValue>, FileError> {
        let secret = |file: &PathBuf| secret(file).map_err(|why| self.wrong(file, why));
        let (file, text) = match (&self.token_file, &self.username, &self.password_file) {
            (Some(token), ..) => (token, format!("Bearer {}", secret(token)?)),
            (None, Some(name), Some(password)) => {
                let pair = format!("{name}:{}", secret(password)?);
                (password, format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())))
            }
            _ => return Ok(None),
        };
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| self.wrong(file, FileProblem::Unsendable))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// How it shows a client certificate, if it has one.
    fn tls(&self, roots: &Arc<RootCertStore>) -> Result<Option<ClientConfig>, FileError> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else { return Ok(None) };
        let chain = certificates(certificate).map_err(|why| self.wrong(certificate, why))?;
        let private = read(key).and_then(|bytes| {
            PrivateKeyDer::from_pem_slice(&bytes)
                .map_err(|_| FileProblem::Pem(String::from("there is no private key in it")))
        });
        let private = private.map_err(|why| self.wrong(key, why))?;
        let fit = builder(roots).with_client_auth_cert(chain, private).map_err(|error| {
            let why = format!("the key does not fit the certificate: {error}");
            self.wrong(key, FileProblem::Pem(why))
        });
        fit.map(Some)
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

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FileProblem> {
    let bytes = read(file)?;
    let pem = |reason: &str| FileProblem::Pem(reason.to_owned());
    let found = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| pem("a certificate in it is damaged"))?;
    if found.is_empty() { Err(pem("there is no certificate in it")) } else { Ok(found) }
}

/// A secret, without the line's end that editors put behind it.
fn secret(file: &Path) -> Result<String, FileProblem> {
    let text = String::from_utf8(read(file)?).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() { Err(FileProblem::Empty) } else { Ok(text.to_owned()) }
}

fn read(file: &Path) -> Result<Vec<u8>, FileProblem> {
    disk::read(file, MOST).map_err(FileProblem::Read)
}

/// Why a file that the settings of downloads name is of no use. Never repeats what it holds.
#[derive(Debug, thiserror::Error)]
#[error("lists.{owner}: {file}: {why}", file = file.display())]
pub struct FileError {
    /// Which setting names it.
    pub owner: Owner,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    #[source]
    pub why: FileProblem,
}

/// Which setting names a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// `certificate_authorities`.
    Authorities,
    /// The credential with this identifier.
    Credential(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorities => f.write_str("http.certificate_authorities"),
            Self::Credential(id) => write!(f, "credential {id:?}"),
        }
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It can't be read.
    #[error("it can't be read: {0}")]
    Read(io::Error),
    /// A secret is empty, or no text.
    #[error("there is no secret in it; write what the list's supplier gave you, alone")]
    Empty,
    /// A secret is not what one is.
    #[error(
        "there are characters in it that can't be sent; write what the list's supplier gave you, on one line"
    )]
    Unsendable,
    /// It does not have the certificates or the key that it should.
    #[error("{0}")]
    Pem(String),
}

impl FileError {
    /// Whether its content is wrong, rather than the disk.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        !matches!(self.why, FileProblem::Read(_))
    }
}
