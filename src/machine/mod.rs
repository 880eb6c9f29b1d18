//! The machine of an appliance: what its own helpers found out, and what is asked of them.
//!
//! The service can't change the system. Where it runs on the appliance's image, root's helpers take requests from
//! files and answer by files; [`Machine`] writes, waits and reads. Elsewhere there are no such folders, and nothing of
//! this [is there](Machine::is_there). Whatever lies in the files, reading it never panics.

use std::path::PathBuf;

use serde::Deserialize;

mod ask;
mod facts;
mod keys;
mod network;
mod share;

#[cfg(test)]
pub(crate) use self::ask::helper;
pub use self::{
    ask::{Asked, Machine, MachineError, Outcome},
    facts::{Last, Look, Observed, Place, SHARE, STICK, Updates, is_window},
    keys::{PublicKey, public_keys},
    network::{Method, Network},
    share::Share,
};

/// Where the appliance's helpers and the service meet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder in which they take requests, and write down what they found out.
    pub run: PathBuf,
    /// The folder in which they keep what outlasts a restart.
    pub system: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self { run: PathBuf::from("/run/schoolgate"), system: PathBuf::from("/data/system") }
    }
}
