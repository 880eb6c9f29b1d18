//! Messages by e-mail: through which server of the school's, and one message at a time.
//!
//! The settings are `mail.toml` in the data folder, for the server's user alone; the password in it is sealed. It is shown
//! nowhere, and leaves the box only over TLS, to the server that it was typed for.

mod deliver;
mod error;
mod letter;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    future::Future,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tracing::error;

use self::settings::MailFile;
pub use self::{
    deliver::PATIENCE,
    error::{MailError, Said, SendError},
    letter::Letter,
    settings::{Encryption, LONGEST_AUTHORITY, LONGEST_TEXT, NewSettings, Password, Settings},
};
use crate::{disk, vault::Vault};

/// The file's name in the data folder.
pub const FILE: &str = "mail.toml";

/// How many messages leave within an hour at most: the box is nobody's way to flood others.
pub const MOST_AN_HOUR: usize = 60;

/// How many are sent at one time.
const MOST_AT_ONCE: usize = 4;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// The school's mail server, and what leaves by it.
#[derive(Debug)]
pub struct Mail {
    path: PathBuf,
    /// None when the box's secret key can't be read; then no password can be kept.
    vault: Option<Arc<Vault>>,
    settings: ArcSwapOption<Settings>,
    /// Held by whoever changes the settings.
    changing: Mutex<()>,
    /// When the messages of the last hour were sent.
    sent: Mutex<VecDeque<Timestamp>>,
    places: Semaphore,
}

impl Mail {
    /// Reads the settings in the data folder. A file that can't be understood is set aside under a name that says so,
    /// with an error in the log, and mail is not set up.
    #[must_use]
    pub fn open(folder: &Path, vault: Option<Arc<Vault>>) -> Self {
        let path = folder.join(FILE);
        let settings = read(&path, vault.as_deref());
        Self {
            path,
            vault,
            settings: ArcSwapOption::from(settings.map(Arc::new)),
            changing: Mutex::default(),
            sent: Mutex::default(),
            places: Semaphore::new(MOST_AT_ONCE),
        }
    }

    /// Through which server messages leave; none where mail is not set up.
    #[must_use]
    pub fn settings(&self) -> Option<Arc<Settings>> {
        self.settings.load_full()
    }

    /// Sets mail up. Without a password, the one that is kept stays, as long as it would go to the same server in the same
    /// way; otherwise it must be typed again. For threads that may block.
    ///
    /// # Errors
    ///
    /// When something is not right, or the file can't be written; then nothing has changed.
    pub fn set(&self, new: NewSettings) -> Result<(), MailError> {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.settings();
        let settings = new.checked(current.as_deref())?;
        let file = MailFile::of(&settings, self.vault.as_deref())?;
        let text = toml::to_string(&file).map_err(io::Error::other)?;
        disk::replace_secret(&self.path, text.as_bytes())?;
        self.settings.store(Some(Arc::new(settings)));
        Ok(())
    }

    /// Forgets the server. For threads that may block.
    ///
    /// # Errors
    ///
    /// When the file can't be removed; then nothing has changed.
    pub fn remove(&self) -> io::Result<()> {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        disk::remove(&self.path)?;
        self.settings.store(None);
        Ok(())
    }

    /// Sends one message, and waits until the server has taken it: [`PATIENCE`] at most. `look` finds the addresses of
    /// a server by its name.
    ///
    /// # Errors
    ///
    /// Says what was wrong, in words for who set mail up.
    pub async fn send<L>(
        &self,
        letter: &Letter,
        now: Timestamp,
        look: impl FnOnce(String) -> L,
    ) -> Result<(), SendError>
    where
        L: Future<Output = io::Result<Vec<IpAddr>>>,
    {
        let settings = self.settings().ok_or(SendError::NotSetUp)?;
        let _place = self.places.try_acquire().map_err(|_| SendError::Busy)?;
        self.count(now)?;
        deliver::deliver(&settings, letter, now, look).await
    }

    fn count(&self, now: Timestamp) -> Result<(), SendError> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that went back must not keep messages from leaving for longer than an hour.
        sent.retain(|at| now.duration_since(*at).abs() < SignedDuration::from_hours(1));
        if sent.len() >= MOST_AN_HOUR {
            return Err(SendError::TooMany);
        }
        sent.push_back(now);
        Ok(())
    }
}

fn read(path: &Path, vault: Option<&Vault>) -> Option<Settings> {
    let said = match disk::read(path, LARGEST) {
        Ok(bytes) => MailFile::parse(&bytes).and_then(|file| file.settings(vault)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            error!(%error, file = %path.display(), "The settings of mail can't be read, so no message is sent");
            return None;
        }
    };
    said.inspect_err(|why| {
        error!(%why, file = %path.display(), "The settings of mail make no sense, so no message is sent; they are set aside");
        if let Err(error) = disk::set_aside(path, "damaged") {
            error!(%error, "They can't be set aside");
        }
    })
    .ok()
}
