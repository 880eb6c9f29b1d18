//! Through which server messages leave, and what may be written of it.

use std::{fmt, net::IpAddr};

use data_encoding::BASE64;
use lettre::{Address, transport::smtp::client::Certificate};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use tracing::error;
use zeroize::Zeroizing;

use super::{MailError, letter::address};
use crate::{policy::is_private, vault::Vault};

/// How long a name of a server or of a user, or a password, can be, in characters.
pub const LONGEST_TEXT: usize = 250;

/// How long the certificates of an authority can be, in bytes.
pub const LONGEST_AUTHORITY: usize = 64 * 1024;

/// What a sealed password is sealed as.
const SEALED_AS: [&str; 1] = ["mail-password"];

/// How the way to the server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// TLS from the first byte on, usually at port 465.
    Tls,
    /// TLS after a few plain words, usually at port 587; nothing is sent where the server can't.
    StartTls,
    /// Not at all: only to a server in the school's own network, and without a password.
    None,
}

impl Encryption {
    /// Each of them, the best first.
    pub const ALL: [Self; 3] = [Self::Tls, Self::StartTls, Self::None];

    /// The word in files, forms and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "starttls",
            Self::None => "none",
        }
    }

    /// The one of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encryption| encryption.word() == word)
    }
}

/// A password, which no log and no answer shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// The password of a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Through which server messages leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The server's name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the way there is kept from others.
    pub encryption: Encryption,
    /// Who the box signs in as; empty where the server asks nobody.
    pub user: String,
    /// Their password. None where there is no user, and where it can't be opened any more.
    pub password: Option<Password>,
    /// The address that messages come from.
    pub from: String,
    /// Certificates of the authority that signed the server's, as PEM, beside the public ones; empty where those do.
    pub authority: String,
}

/// What mail is to be set up with.
#[derive(Debug, Clone)]
pub struct NewSettings {
    /// The server's name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the way there is kept from others.
    pub encryption: Encryption,
    /// Who the box signs in as; empty where the server asks nobody.
    pub user: String,
    /// Their password; none to keep the one that is there.
    pub password: Option<Password>,
    /// The address that messages come from.
    pub from: String,
    /// Certificates of an authority of the school's own, as PEM; empty where the public ones do.
    pub authority: String,
}

impl Settings {
    /// Whether a password would go to the same place, by the same way, as with others.
    fn goes_where(&self, other: &Self) -> bool {
        (&self.server, self.port, self.encryption, &self.user, &self.authority)
            == (&other.server, other.port, other.encryption, &other.user, &other.authority)
    }

    /// The address that messages come from.
    pub(super) fn sender(&self) -> Result<Address, MailError> {
        address(&self.from)
    }

    /// What the audit says of them; never the password.
    #[must_use]
    pub fn said(&self) -> String {
        let encryption = match self.encryption {
            Encryption::Tls => "TLS",
            Encryption::StartTls => "STARTTLS",
            Encryption::None => "no encryption",
        };
        let user = if self.user.is_empty() { "nobody" } else { &self.user };
        format!("{} port {}, {encryption}, signs in as {user}, from {}", self.server, self.port, self.from)
    }
}

impl NewSettings {
    /// The settings that these are, with the password of `current` where none is given and it may stay.
    pub(super) fn checked(self, current: Option<&Settings>) -> Result<Settings, MailError> {
        let Self { server, port, encryption, user, password, from, authority } = self;
        let settings = Settings {
            server: server.trim().to_lowercase(),
            port,
            encryption,
            user: user.trim().to_owned(),
            password: None,
            from: from.trim().to_owned(),
            authority: authority.trim().to_owned(),
        };
        settings.check()?;
        let given = password.filter(|password| !password.expose().is_empty());
        let password = match (settings.user.is_empty(), given) {
            (true, None) => None,
            (true, Some(_)) => return Err(MailError::PasswordAlone),
            (false, Some(password)) => {
                is_text(password.expose()).then_some(()).ok_or(MailError::Password)?;
                Some(password)
            }
            (false, None) => {
                let kept = current.filter(|current| current.goes_where(&settings));
                Some(kept.and_then(|kept| kept.password.clone()).ok_or(MailError::PasswordWanted)?)
            }
        };
        Ok(Settings { password, ..settings })
    }
}

impl Settings {
    /// Whether they can be, but for the password.
    fn check(&self) -> Result<(), MailError> {
        let is_server = is_text(&self.server) && ServerName::try_from(self.server.as_str()).is_ok();
        if !is_server {
            return Err(MailError::Server(shown(&self.server)));
        }
        if self.port == 0 {
            return Err(MailError::Port);
        }
        if !self.user.is_empty() && !is_text(&self.user) {
            return Err(MailError::User);
        }
        if self.encryption == Encryption::None {
            if !self.user.is_empty() {
                return Err(MailError::PasswordInClear);
            }
            if let Ok(address) = self.server.parse::<IpAddr>()
                && !is_private(address)
            {
                return Err(MailError::InClear(address));
            }
        }
        self.sender()?;
        is_authority(&self.authority)
    }
}

/// One line that is not too long.
fn is_text(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= LONGEST_TEXT && !text.chars().any(char::is_control)
}

/// A text that is not right, as it is told.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

fn is_authority(pem: &str) -> Result<(), MailError> {
    if pem.is_empty() {
        return Ok(());
    }
    if pem.len() > LONGEST_AUTHORITY {
        return Err(MailError::Authority);
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| MailError::Authority)?;
        roots.add(certificate).map_err(|_| MailError::Authority)?;
    }
    // As who delivers will read it.
    Certificate::from_pem(pem.as_bytes()).map_err(|_| MailError::Authority)?;
    if roots.is_empty() { Err(MailError::Authority) } else { Ok(()) }
}

/// The settings as they are written down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MailFile {
    server: String,
    port: u16,
    encryption: Encryption,
    from: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    user: String,
    /// Sealed, in base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    password: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    authority: String,
}

impl MailFile {
    pub(super) fn of(settings: &Settings, vault: Option<&Vault>) -> Result<Self, MailError> {
        let password = match &settings.password {
            None => String::new(),
            Some(password) => {
                let sealed = vault.map(|vault| vault.seal_text(&SEALED_AS, password.expose().as_bytes()));
                let sealed = sealed.filter(|sealed| !sealed.is_empty()).ok_or(MailError::NoKey)?;
                BASE64.encode(&sealed)
            }
        };
        let Settings { server, port, encryption, user, from, authority, .. } = settings.clone();
        Ok(Self { server, port, encryption, from, user, password, authority })
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, MailError> {
        let text = std::str::from_utf8(bytes).map_err(|error| MailError::File(error.to_string()))?;
        // What is wrong is said without the line, which may be that of the password.
        toml::from_str(text).map_err(|error| MailError::File(error.message().to_owned()))
    }

    pub(super) fn settings(self, vault: Option<&Vault>) -> Result<Settings, MailError> {
        let Self { server, port, encryption, from, user, password, authority } = self;
        let password = if user.is_empty() { None } else { opened(&password, vault) };
        let settings = Settings { server, port, encryption, user, password, from, authority };
        settings.check()?;
        Ok(settings)
    }
}

fn opened(sealed: &str, vault: Option<&Vault>) -> Option<Password> {
    let text = BASE64
        .decode(sealed.as_bytes())
        .ok()
        .and_then(|sealed| vault?.open_text(&SEALED_AS, &sealed).ok())
        .and_then(|text| String::from_utf8(text).ok());
    if text.is_none() {
        error!("The password of the mail server can't be opened; it must be typed again");
    }
    text.map(|text| Password(Zeroizing::new(text)))
}
