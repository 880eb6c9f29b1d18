//! The `[log]` table of the box's settings. How long questions are kept is the school's decision, and in its policy.

use serde::{Deserialize, Deserializer, de::Error};

use crate::policy::Retention;

use super::sink;

/// What the box does with the query log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The most days that a policy may keep allowed questions for without saying why.
    #[serde(deserialize_with = "days")]
    pub retention_days: u16,
    /// The most days that a policy may keep blocked questions for without saying why.
    #[serde(deserialize_with = "days")]
    pub blocked_retention_days: u16,
    /// The most days that a policy may keep counts for without saying why.
    #[serde(deserialize_with = "days")]
    pub rollup_retention_days: u16,
    /// How much of the disk stays free, in megabytes: below it, the oldest days go first.
    pub free_megabytes: u64,
    /// Who else gets what is logged; nobody, if none is named.
    #[serde(rename = "sink")]
    pub sinks: Vec<sink::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            retention_days: 90,
            blocked_retention_days: 365,
            rollup_retention_days: 730,
            free_megabytes: 512,
            sinks: Vec::new(),
        }
    }
}

impl Config {
    /// How many bytes of the disk stay free.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.free_megabytes.saturating_mul(1_000_000)
    }

    /// For how long a policy may keep what without saying why.
    #[must_use]
    pub fn limits(&self) -> Retention {
        Retention {
            allowed_days: self.retention_days,
            blocked_days: self.blocked_retention_days,
            rollup_days: self.rollup_retention_days,
        }
    }
}

/// A number of days that is a limit: 1 to 3,650.
fn days<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    let days = u16::deserialize(from)?;
    if (1..=Retention::UNLIMITED.allowed_days).contains(&days) {
        return Ok(days);
    }
    Err(D::Error::custom(format!("{days} days is out of range; write 1 to 3650")))
}
