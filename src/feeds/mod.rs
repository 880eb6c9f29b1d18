//! Brings lists to the box: downloads, zone transfers, the versions that are kept, and what became of each try.
//!
//! Nothing here decides and nothing here answers: what it brings is a file, which the [guard](crate::lists) looks at
//! before anything of it is in force. All of it runs on threads of its own, never on those that answer.

pub mod http;
pub mod plan;
pub mod shelf;
pub mod zone;

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use jiff::Timestamp;

use self::shelf::{Served, State};
use crate::{
    lists::source::Source,
    policy::{ListFile, ListSource},
};

/// The ways in which lists come to the box.
#[derive(Debug, Default)]
pub struct Feeds {}

/// What came of asking for a list.
#[derive(Debug)]
pub enum Obtained {
    /// Nothing newer is there.
    Current,
    /// A text, newer or perhaps the same.
    Text {
        /// Where it can be read, until `scratch` is removed.
        source: Source,
        /// What the server said of it.
        served: Served,
        /// A file that is of no use once the text was read.
        scratch: Option<Scratch>,
    },
}

/// A file that is removed when nobody needs it any more.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Why a list could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ObtainError {
    /// What went wrong, in plain words.
    pub message: String,
    /// When the server wants to be asked again.
    pub not_before: Option<Timestamp>,
}

impl Feeds {
    /// Gets the text of a list from where the policy says. Blocks, for as long as a slow server takes.
    ///
    /// `folder` is the list's own, `state` what is known of it; both stay as they are.
    ///
    /// # Errors
    ///
    /// Says in plain words why it can't be had. A list that someone brings by hand is [`Obtained::Current`].
    pub fn obtain(
        &self,
        list: &ListFile,
        folder: &Path,
        state: &State,
        now: Timestamp,
        cancel: &AtomicBool,
    ) -> Result<Obtained, ObtainError> {
        let _ = (folder, state, now, cancel);
        match list.source() {
            Some(ListSource::File(file)) => Ok(Obtained::Text {
                source: Source::at(file),
                served: Served { from: Some(file.to_owned()), ..Served::default() },
                scratch: None,
            }),
            Some(ListSource::Text(text)) => Ok(Obtained::Text {
                source: Source::bytes(list.id.as_str(), text.as_bytes()),
                served: Served::default(),
                scratch: None,
            }),
            Some(ListSource::Upload) | None => Ok(Obtained::Current),
            Some(ListSource::Url(_) | ListSource::Zone(_)) => {
                Err(ObtainError { message: String::from("it can't be fetched yet"), not_before: None })
            }
        }
    }
}
