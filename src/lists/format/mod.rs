//! How the lines of a list are read: one file for each format.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::name::Key;

/// How the lines of a list are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One name a line, also as `.name` or `*.name`.
    Domains,
    /// A hosts file: an address, then names.
    Hosts,
    /// `||name^` and `@@||name^`.
    Adblock,
    /// `address=/name/#`, `server=/name/`, `local=/name/`.
    Dnsmasq,
    /// `local-zone: "name" always_null`.
    Unbound,
    /// A response policy zone, as a zone file.
    Rpz,
    /// A squidGuard or UT1 folder or archive: `domains` files with their `usage`.
    Squidguard,
    /// Addresses and subnets, one a line.
    Addresses,
}

/// What a bare name means in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum MatchMode {
    /// The name and everything below it.
    #[default]
    Subdomains,
    /// The name alone.
    Exact,
}

/// One thing that a list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it is about.
    pub subject: Subject,
    /// Whether it opens rather than blocks (`@@`, `rpz-passthru.`, a white list).
    pub allow: bool,
}

/// What a rule of a list is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A name.
    Name {
        /// The name.
        key: Key,
        /// The name alone, or what is below it too.
        mode: MatchMode,
    },
    /// Addresses in an answer.
    Address(IpNet),
}

/// Reads a list in a format and hands each rule, or the reason for which a line was skipped, to `sink`.
///
/// `sink` gets the line number (from 1).
///
/// # Errors
///
/// When the input can't be read.
pub fn read(
    _input: &mut dyn std::io::BufRead,
    _format: Format,
    _mode: MatchMode,
    _sink: &mut dyn FnMut(u64, Result<Rule, String>),
) -> std::io::Result<()> {
    unimplemented!()
}
