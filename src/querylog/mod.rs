//! The query log: every question that arrived, who asked it and what became of it, for as long as the school keeps it.
//!
//! The answering path hands each question in through one door, [`QueryLog::record`], which never waits: it copies the
//! event to the queue of its own thread. One thread (`recorder`) empties the queues twice a second and writes what it
//! found to the file of the day (`day`), which holds one UTC day and nothing else. People read it through [`search`].

#![allow(dead_code)]
mod config;
pub mod day;
mod entry;
mod error;
mod event;
pub mod evidence;
mod folder;
pub mod privacy;

pub use self::{
    config::Config,
    day::Place,
    entry::Entry,
    error::LogError,
    event::{
        Action, Confidence, Event, Fate, KnownBy, Refusal, Transport, known_by, security_word, source_word,
    },
    folder::{FOLDER, LogFolder},
    privacy::{DayKey, SealedIdentity},
};
