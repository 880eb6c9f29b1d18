//! Where backups go by themselves, how often, how many are kept there, and by what they are locked.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use age::secrecy::SecretString;
use data_encoding::BASE64;
use jiff::{Timestamp, Zoned, civil::Date};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{BackupError, Extras, Lock, Opener};
use crate::{
    machine::{SHARE, STICK},
    policy::is_private,
    vault::Vault,
};

/// The file of the settings, in the data folder.
pub const FILE: &str = "backup.toml";

/// The most backups that are kept in one place.
pub const LONGEST_KEEP: u16 = 400;

/// What secrets are sealed as.
const SEALED_AS: &str = "backup-secret";

/// How often a backup is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Every {
    /// Each night.
    Day,
    /// Each night from Sunday to Monday.
    Week,
}

impl Every {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Day, Self::Week];

    /// The word in files, forms and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    /// The one of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|every| every.word() == word)
    }
}

/// When backups are made, and how many are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BackupSchedule")]
pub struct Schedule {
    /// How often.
    pub every: Every,
    /// The hour of the school's clock from which on it is made: 0 to 23.
    pub hour: i8,
    /// How many are kept; older ones are removed after a new one is there.
    pub keep: u16,
    /// What their names begin with, so that several boxes can share a place.
    pub name: String,
}

impl Schedule {
    /// The day whose backup is to be there by now, by the school's clock.
    #[must_use]
    pub fn due(&self, now: &Zoned) -> Date {
        let today = if now.hour() >= self.hour {
            now.date()
        } else {
            now.date().yesterday().unwrap_or_else(|_| now.date())
        };
        match self.every {
            Every::Day => today,
            Every::Week => {
                let days = today.weekday().to_monday_zero_offset();
                today.checked_sub(jiff::Span::new().days(i64::from(days))).unwrap_or(today)
            }
        }
    }
}

/// A store that speaks the protocol of Amazon S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// Its address: `https://s3.eu-west-2.amazonaws.com`.
    pub endpoint: String,
    /// Its region: `eu-west-2`.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What names in it begin with, as a folder; empty for none.
    #[serde(default)]
    pub prefix: String,
    /// The name of the key.
    pub access_key: String,
}

/// A server for SFTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SftpServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    #[serde(default = "ssh")]
    pub port: u16,
    /// Who the box signs in as.
    pub user: String,
    /// The folder there.
    pub folder: String,
    /// The server's public key, as its `ssh_host_ed25519_key.pub` has it: `ssh-ed25519 AAAA…`.
    pub host_key: String,
}

fn ssh() -> u16 {
    22
}

/// Where backups go by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[schemars(rename = "BackupDestination")]
pub enum Destination {
    /// A folder: a USB stick or a share that is mounted.
    Folder {
        /// Which.
        path: PathBuf,
        /// It may be on the disk of the box itself, which a stick that was pulled out would seem to be.
        #[serde(default)]
        own_disk: bool,
    },
    /// A store that speaks the protocol of Amazon S3.
    S3(S3),
    /// A server for SFTP.
    Sftp(SftpServer),
}

impl Destination {
    /// Where that is, for people.
    #[must_use]
    pub fn said(&self) -> String {
        match self {
            Self::Folder { path, .. } if path == Path::new(STICK) => format!("the USB stick ({STICK})"),
            Self::Folder { path, .. } if path == Path::new(SHARE) => format!("the shared folder ({SHARE})"),
            Self::Folder { path, .. } => path.display().to_string(),
            Self::S3(S3 { endpoint, bucket, prefix, .. }) => {
                format!("{}/{bucket}/{prefix}", endpoint.trim_end_matches('/'))
            }
            Self::Sftp(SftpServer { host, port, user, folder, .. }) => {
                format!("sftp://{user}@{host}:{port}/{}", folder.trim_start_matches('/'))
            }
        }
    }
}

/// A secret, which no log and no answer shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret of a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is known of the backups of a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When they are made.
    pub schedule: Schedule,
    /// Where they go.
    pub destination: Destination,
    /// What they hold beside what each holds.
    pub extras: Extras,
    /// The public key that they are for; none where a passphrase locks them.
    pub recipient: Option<String>,
    /// The passphrase; none where there is a public key, or where it can't be opened any more.
    pub passphrase: Option<Secret>,
    /// The secret of the key of an S3 store.
    pub secret: Option<Secret>,
}

/// What the settings are to be.
#[derive(Debug, Clone)]
pub struct NewSettings {
    /// When they are made.
    pub schedule: Schedule,
    /// Where they go.
    pub destination: Destination,
    /// What they hold beside what each holds.
    pub extras: Extras,
    /// The public key that they are for; empty where a passphrase locks them.
    pub recipient: String,
    /// The passphrase; none to keep the one that is there.
    pub passphrase: Option<Secret>,
    /// The secret of the key of an S3 store; none to keep the one that is there.
    pub secret: Option<Secret>,
}

impl NewSettings {
    /// The settings that these are, with the secrets of `current` where none are given and they may stay.
    ///
    /// # Errors
    ///
    /// Says what is not right.
    pub fn checked(self, current: Option<&Settings>) -> Result<Settings, BackupError> {
        let Self { schedule, destination, extras, recipient, passphrase, secret } = self;
        let recipient = recipient.trim().to_owned();
        let wrong = |text: &str| Err(BackupError::Setting(text.to_owned()));
        if !(0..=23).contains(&schedule.hour) {
            return wrong("the hour is 0 to 23");
        }
        if !(1..=LONGEST_KEEP).contains(&schedule.keep) {
            return wrong("between 1 and 400 backups can be kept");
        }
        let is_name = !schedule.name.is_empty()
            && schedule.name.len() <= 40
            && schedule.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name {
            return wrong("a name has letters, digits and hyphens, 40 at most");
        }
        check(&destination)?;
        let given = |secret: Option<Secret>| secret.filter(|secret| !secret.is_empty());
        let (recipient, passphrase) = if recipient.is_empty() {
            let kept = || current.and_then(|current| current.passphrase.clone());
            let Some(passphrase) = given(passphrase).or_else(kept) else {
                return wrong("give a passphrase, or a public key");
            };
            Lock::passphrase(passphrase.expose())?;
            (None, Some(passphrase))
        } else {
            if given(passphrase).is_some() {
                return wrong("give a passphrase or a public key, not both");
            }
            Lock::recipient(&recipient)?;
            (Some(recipient), None)
        };
        let secret = match &destination {
            Destination::S3(store) => {
                // A secret goes nowhere else than where it was typed for.
                let kept = || {
                    let current = current?;
                    let is_same = matches!(&current.destination, Destination::S3(before)
                        if before.endpoint == store.endpoint && before.access_key == store.access_key);
                    current.secret.clone().filter(|_| is_same)
                };
                let Some(secret) = given(secret).or_else(kept) else {
                    return wrong("give the secret of the key");
                };
                Some(secret)
            }
            _ => None,
        };
        Ok(Settings { schedule, destination, extras, recipient, passphrase, secret })
    }
}

fn is_line(text: &str, most: usize) -> bool {
    !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
}

fn check(destination: &Destination) -> Result<(), BackupError> {
    let wrong = |text: &str| Err(BackupError::Setting(text.to_owned()));
    match destination {
        Destination::Folder { path, .. } => {
            let is_plain = path.is_absolute()
                && path.components().all(|part| {
                    matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_))
                });
            if !is_plain || !is_line(&path.to_string_lossy(), 250) {
                return wrong("a folder is written from the root, as /media/backup");
            }
        }
        Destination::S3(store) => {
            let url = store.endpoint.parse::<Url>().ok().filter(|url| {
                url.host_str().is_some()
                    && url.query().is_none()
                    && url.username().is_empty()
                    && url.password().is_none()
                    && matches!(url.path(), "" | "/")
            });
            let Some(url) = url else {
                return wrong(
                    "the address of a store is one as https://s3.eu-west-2.amazonaws.com, without a path",
                );
            };
            let is_private = url
                .host_str()
                .and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok())
                .is_some_and(is_private);
            if url.scheme() != "https" && !(url.scheme() == "http" && is_private) {
                return wrong("a store is reached by https://, or by http:// at a private address");
            }
            let is_plain = |text: &str| {
                is_line(text, 63)
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            };
            if !is_plain(&store.bucket) || !is_plain(&store.region) {
                return wrong("a bucket and a region have letters, digits, dots and hyphens");
            }
            let prefix = &store.prefix;
            if !prefix.is_empty()
                && (!is_line(prefix, 200)
                    || prefix.starts_with('/')
                    || prefix.split('/').any(|part| matches!(part, "." | "..")))
            {
                return wrong("what names begin with is written as school/box/");
            }
            if !is_line(&store.access_key, 128)
                || !store.access_key.is_ascii()
                || store.access_key.contains([',', '/', ' '])
            {
                return wrong("the name of the key is not one");
            }
        }
        Destination::Sftp(server) => {
            // They become words of a command and lines of a file: nothing may look like an option or a second word.
            let is_word = |text: &str, also: &[u8]| {
                is_line(text, 200)
                    && !text.starts_with('-')
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
            };
            if !is_word(&server.host, b".-:") {
                return wrong("the server is a name or an address");
            }
            if !is_word(&server.user, b"._-") {
                return wrong("the user has letters, digits, dots and hyphens");
            }
            if !is_word(&server.folder, b"._-/") || server.folder.split('/').any(|part| part == "..") {
                return wrong("the folder there has letters, digits, dots, hyphens and slashes");
            }
            if server.port == 0 {
                return wrong("a port is 1 to 65535");
            }
            let key: Vec<&str> = server.host_key.split_whitespace().collect();
            let is_key = matches!(key.as_slice(), [kind, text, ..]
                if ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"].contains(kind)
                    && BASE64.decode(text.as_bytes()).is_ok());
            if !is_key || !is_line(&server.host_key, 2_000) {
                return wrong("the server's key is a line as ssh-ed25519 AAAA…");
            }
        }
    }
    Ok(())
}

impl Settings {
    /// By what backups are locked.
    ///
    /// # Errors
    ///
    /// When the passphrase can't be opened any more.
    pub fn lock(&self) -> Result<Lock, BackupError> {
        match (&self.recipient, &self.passphrase) {
            (Some(key), _) => Lock::recipient(key),
            (None, Some(passphrase)) => Lock::passphrase(passphrase.expose()),
            (None, None) => Err(BackupError::Setting(String::from(
                "the passphrase can't be opened any more, since the box's secret key is another: type it again",
            ))),
        }
    }

    /// By what the box itself opens its backups, for a drill.
    ///
    /// # Errors
    ///
    /// When only who has the identity can.
    pub fn opener(&self) -> Result<Opener, BackupError> {
        let none = || {
            BackupError::Setting(String::from(
                "the box can't open its backups itself: they are for a public key",
            ))
        };
        let passphrase = self.passphrase.as_ref().ok_or_else(none)?;
        Ok(Opener::Passphrase(SecretString::from(passphrase.expose().to_owned())))
    }

    /// What the audit says of them; never a secret.
    #[must_use]
    pub fn said(&self) -> String {
        let lock = self
            .recipient
            .as_deref()
            .map_or_else(|| String::from("a passphrase"), |key| format!("the key {key}"));
        let with = match self.extras {
            Extras { logs: true, lists: true } => ", with logs and texts of lists",
            Extras { logs: true, .. } => ", with logs",
            Extras { lists: true, .. } => ", with texts of lists",
            _ => "",
        };
        let Schedule { every, hour, keep, name } = &self.schedule;
        format!(
            "each {} from {hour}:00 to {}, {keep} kept as {name}, locked by {lock}{with}",
            every.word(),
            self.destination.said()
        )
    }
}

/// The settings as they are written down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    schedule: Schedule,
    #[serde(default)]
    extras: Extras,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    /// Sealed, in base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    passphrase: String,
    /// Sealed, in base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    secret: String,
    destination: Destination,
}

impl Settings {
    /// As a file.
    ///
    /// # Errors
    ///
    /// When a secret can't be sealed.
    pub fn to_file(&self, vault: Option<&Vault>) -> Result<Vec<u8>, BackupError> {
        let seal = |secret: &Option<Secret>, what: &str| match secret {
            None => Ok(String::new()),
            Some(secret) => {
                let sealed =
                    vault.map(|vault| vault.seal_text(&[SEALED_AS, what], secret.expose().as_bytes()));
                let sealed = sealed.filter(|sealed| !sealed.is_empty());
                let none = || {
                    BackupError::Setting(String::from(
                        "the box's secret key can't be read, so no secret can be kept",
                    ))
                };
                Ok(BASE64.encode(&sealed.ok_or_else(none)?))
            }
        };
        let file = SettingsFile {
            schedule: self.schedule.clone(),
            extras: self.extras,
            recipient: self.recipient.clone(),
            passphrase: seal(&self.passphrase, "passphrase")?,
            secret: seal(&self.secret, "store")?,
            destination: self.destination.clone(),
        };
        let text = toml::to_string(&file).map_err(|error| BackupError::Setting(error.to_string()))?;
        Ok(text.into_bytes())
    }

    /// Of a file. Secrets that can't be opened are left out.
    ///
    /// # Errors
    ///
    /// When it can't be understood.
    pub fn of_file(text: &[u8], vault: Option<&Vault>) -> Result<Self, BackupError> {
        let wrong = |why: String| BackupError::Setting(format!("{FILE}: {why}"));
        let text = std::str::from_utf8(text).map_err(|error| wrong(error.to_string()))?;
        // Without the line, which may be that of a secret.
        let file: SettingsFile = toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))?;
        let open = |sealed: &str, what: &str| {
            let sealed = BASE64.decode(sealed.as_bytes()).ok().filter(|sealed| !sealed.is_empty())?;
            let text = vault?.open_text(&[SEALED_AS, what], &sealed).ok()?;
            String::from_utf8(text).ok().map(|text| Secret(Zeroizing::new(text)))
        };
        check(&file.destination)?;
        Ok(Self {
            passphrase: open(&file.passphrase, "passphrase"),
            secret: open(&file.secret, "store"),
            schedule: file.schedule,
            destination: file.destination,
            extras: file.extras,
            recipient: file.recipient,
        })
    }
}

/// What became of a backup, or of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "BackupOutcome")]
pub struct Outcome {
    /// When.
    pub at: Timestamp,
    /// The archive.
    pub name: String,
    /// Where it went, or came from.
    pub to: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Why it failed; none where it did not.
    pub error: Option<String>,
}

/// What became of the backups of a box.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
#[schemars(rename = "BackupHistory")]
pub struct History {
    /// The last tries of the schedule, the newest first.
    pub tries: Vec<Outcome>,
    /// The last that was good.
    pub good: Option<Outcome>,
    /// The last drill.
    pub drill: Option<Outcome>,
    /// How many tries of the schedule failed since the last that was good.
    pub failures: u32,
}

impl History {
    /// Writes a try down. One that somebody made by hand counts for no failure, since they know.
    pub fn tried(&mut self, outcome: Outcome, is_by_hand: bool) {
        if outcome.error.is_none() {
            self.good = Some(outcome.clone());
            self.failures = 0;
        } else if !is_by_hand {
            self.failures = self.failures.saturating_add(1);
        }
        self.tries.insert(0, outcome);
        self.tries.truncate(30);
    }
}
