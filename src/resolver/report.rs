//! Whom the resolver asks, and how that goes, for people.

use std::time::Duration;

/// A server that is always asked, and how that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReport {
    /// The server, as settings write it.
    pub server: String,
    /// Whether it is spoken to over TLS or HTTPS.
    pub encrypted: bool,
    /// How long its answers take, smoothed; none before the first, and while it fails.
    pub time: Option<Duration>,
    /// How many questions in a row it left without an answer.
    pub failures: u32,
    /// It failed so often that it is left alone for a moment.
    pub resting: bool,
}

/// The servers of a zone of the school's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneReport {
    /// The zone.
    pub zone: String,
    /// Who has it.
    pub servers: Vec<ServerReport>,
}

/// Whom the resolver asks, and how that goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The servers that all other questions are forwarded to; none where the box finds the answers itself.
    pub forwarders: Vec<ServerReport>,
    /// Zones of the school's own that have servers of their own.
    pub zones: Vec<ZoneReport>,
    /// What the resolver did and holds.
    pub stats: super::Stats,
}
