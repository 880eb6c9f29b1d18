//! A download on its way to the disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use reqwest::{
    Url,
    header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED},
};
use serde::{Deserialize, Serialize};

use super::error::FetchError;

/// By what a server tells whether it still has the same bytes (RFC 9110, section 8.8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Validator {
    /// A strong entity tag.
    Etag(String),
    /// A date.
    LastModified(String),
}

impl Validator {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Etag(text) | Self::LastModified(text) => text,
        }
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        let get =
            |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // A weak tag says that two texts mean the same, not that their bytes are the same.
        get(ETAG)
            .filter(|etag| !etag.starts_with("W/"))
            .map(Self::Etag)
            .or_else(|| get(LAST_MODIFIED).map(Self::LastModified))
    }
}

/// What is known of bytes that are there already.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    url: String,
    validator: Validator,
}

/// A file that is being written, and goes on from where it broke off.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    about: PathBuf,
    url: String,
    validator: Option<Validator>,
    length: u64,
    file: Option<File>,
}

impl Part {
    /// What is there of a download of this address.
    pub(super) fn open(into: &Path, url: &Url) -> Self {
        let beside = |end: &str| {
            let mut name = into.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let (path, about) = (beside(".part"), beside(".part.json"));
        let known: Option<Known> =
            fs::read(&about).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let known = known.filter(|known| known.url == url.as_str());
        let length = fs::metadata(&path).map_or(0, |data| data.len());
        let validator = known.map(|known| known.validator).filter(|_| length > 0);
        let mut part = Self { path, about, url: url.to_string(), validator, length, file: None };
        if part.validator.is_none() {
            part.forget();
        }
        part
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// From where to go on, and by what the server tells whether that makes sense.
    pub(super) fn validator(&self) -> Option<(u64, Validator)> {
        self.validator.clone().map(|validator| (self.length, validator))
    }

    /// Throws away what is there.
    pub(super) fn forget(&mut self) {
        self.file = None;
        self.length = 0;
        self.validator = None;
        // What can't be removed is written over.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.about);
    }

    /// The server sends all of it.
    pub(super) fn begin(&mut self, headers: &HeaderMap) {
        self.forget();
        self.validator = Validator::of(headers);
    }

    /// Whether the server sends just what is missing, and all of it: half of the rest would pass for a whole list.
    pub(super) fn goes_on(&self, headers: &HeaderMap) -> bool {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let range = text(CONTENT_RANGE).and_then(|range| {
            let (range, all) = range.strip_prefix("bytes ")?.split_once('/')?;
            let (first, last) = range.split_once('-')?;
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?, all.trim()))
        });
        let Some((first, last, all)): Option<(u64, u64, &str)> = range else { return false };
        // RFC 9110, section 14.4: a star where the server does not know the length.
        let to_the_end =
            all == "*" || all.parse::<u64>().ok().is_some_and(|all| last.checked_add(1) == Some(all));
        let rest = last.checked_sub(first).and_then(|rest| rest.checked_add(1));
        let length = text(CONTENT_LENGTH).is_none_or(|length| length.parse().ok() == rest);
        // A server that minds neither If-Range nor its own tag would make one file of two.
        let same = Validator::of(headers).is_none_or(|validator| Some(&validator) == self.validator.as_ref());
        first == self.length && to_the_end && length && same
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let written = self.writing().and_then(|file| file.write_all(bytes));
        if let Err(source) = written {
            // A full disk is not helped by half a list.
            let path = self.path.clone();
            self.forget();
            return Err(FetchError::Write { path, source });
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn writing(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            let options = if self.length > 0 {
                options.append(true)
            } else {
                options.write(true).create(true).truncate(true)
            };
            self.file = Some(options.open(&self.path)?);
            if self.length == 0 {
                if let Some(validator) = self.validator.clone() {
                    let known = serde_json::to_vec(&Known { url: self.url.clone(), validator })?;
                    fs::write(&self.about, known)?;
                } else {
                    let _ = fs::remove_file(&self.about);
                }
            }
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("no file"))
    }

    /// It broke off: what came stays, if there is a way to go on.
    pub(super) fn keep(&mut self) {
        if self.validator.is_none() {
            self.forget();
        }
    }

    /// It is whole: gives it its name. An empty file is a file, too.
    pub(super) fn finish(mut self, into: &Path) -> Result<u64, FetchError> {
        let wrong = |source| FetchError::Write { path: into.to_owned(), source };
        self.writing().and_then(|file| file.sync_all()).map_err(wrong)?;
        fs::rename(&self.path, into).map_err(wrong)?;
        let _ = fs::remove_file(&self.about);
        Ok(self.length)
    }
}
