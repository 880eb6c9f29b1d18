//! How the lines of a list are read: one file for each format.
//!
//! [`read`] takes text in a [`Format`] and hands out each [`Rule`], or the [`Skip`] that says why a line gave none.
//! Nothing is dropped in silence: a line is a comment, a rule or a counted skip. [`detect()`] tells formats apart.

mod adblock;
mod addresses;
mod detect;
mod dnsmasq;
mod domains;
mod entry;
mod hosts;
mod lines;
mod rpz;
mod skip;
pub(crate) mod squidguard;
mod unbound;

use std::{
    borrow::Cow,
    fmt,
    io::{self, BufRead},
    str::FromStr,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use detect::{HEAD, NotAList, detect};
pub use lines::MAX_LINE;
pub use skip::{Skip, SkipReason};

use self::lines::Line;
use crate::name::Key;

/// How the lines of a list are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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

impl Format {
    /// Every format.
    pub const ALL: [Self; 8] = [
        Self::Domains,
        Self::Hosts,
        Self::Adblock,
        Self::Dnsmasq,
        Self::Unbound,
        Self::Rpz,
        Self::Squidguard,
        Self::Addresses,
    ];

    /// The word for it in settings and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Domains => "domains",
            Self::Hosts => "hosts",
            Self::Adblock => "adblock",
            Self::Dnsmasq => "dnsmasq",
            Self::Unbound => "unbound",
            Self::Rpz => "rpz",
            Self::Squidguard => "squidguard",
            Self::Addresses => "addresses",
        }
    }

    /// What people read.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Domains => "names, one a line",
            Self::Hosts => "hosts file",
            Self::Adblock => "Adblock (||name^)",
            Self::Dnsmasq => "dnsmasq settings",
            Self::Unbound => "Unbound settings",
            Self::Rpz => "response policy zone (RPZ)",
            Self::Squidguard => "squidGuard or UT1 folder",
            Self::Addresses => "addresses and subnets, one a line",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.word() == text)
            .ok_or_else(|| UnknownFormat { given: text.to_owned() })
    }
}

/// There is no format of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not a list format; there are domains, hosts, adblock, dnsmasq, unbound, rpz, squidguard and addresses"
)]
pub struct UnknownFormat {
    /// What was written.
    pub given: String,
}

/// What a bare name means in a source of [`Domains`](Format::Domains) or [`Hosts`](Format::Hosts); the other formats
/// say it themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default, schemars::JsonSchema)]
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
    /// Every zone with a name server of that name.
    NameServer {
        /// The name.
        key: Key,
        /// The name alone, or what is below it too.
        mode: MatchMode,
    },
    /// Every zone with a name server at such an address.
    NameServerAddress(IpNet),
}

impl Rule {
    /// The same said of name servers: of the zones that have such servers.
    #[must_use]
    pub fn of_name_servers(self) -> Self {
        let subject = match self.subject {
            Subject::Name { key, mode } => Subject::NameServer { key, mode },
            Subject::Address(net) => Subject::NameServerAddress(net),
            already @ (Subject::NameServer { .. } | Subject::NameServerAddress(_)) => already,
        };
        Self { subject, ..self }
    }
}

impl Subject {
    /// Whether it is about name servers.
    #[must_use]
    pub fn is_of_name_servers(&self) -> bool {
        matches!(self, Self::NameServer { .. } | Self::NameServerAddress(_))
    }
}

/// Reads a list in a format and hands each rule, or the reason for which a line was skipped, to `sink`.
///
/// `sink` gets the line number (from 1). One line may give several rules, or a rule and a skip. Line numbers rise,
/// except that an Adblock list's rules come after all its skips: a later line may take an earlier rule back.
/// Memory is bounded by [`MAX_LINE`]; for Adblock, by the text of its `||name^` rules.
///
/// # Errors
///
/// When the input can't be read.
pub fn read(
    input: &mut dyn BufRead,
    format: Format,
    mode: MatchMode,
    sink: &mut dyn FnMut(u64, Result<Rule, Skip<'_>>),
) -> io::Result<()> {
    let mut parser = Parser::new(format, mode);
    lines::for_each(input, &mut |number, line| {
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::TooLong(start) => {
                return sink(number, Err(Skip { reason: SkipReason::LineTooLong, text: start }));
            }
        };
        if bytes.contains(&0) {
            return sink(number, Err(Skip { reason: SkipReason::NulByte, text: bytes }));
        }
        let text = String::from_utf8_lossy(bytes);
        // A comment in another encoding hurts nobody; a name in one can't be told.
        let lossy = matches!(text, Cow::Owned(_));
        parser.line(number, &text, &mut |outcome| {
            let outcome = outcome.map_err(|reason| match reason {
                SkipReason::BadName if lossy => Skip { reason: SkipReason::InvalidUtf8, text: bytes },
                reason => Skip { reason, text: bytes },
            });
            sink(number, outcome);
        });
    })?;
    parser.finish(sink);
    Ok(())
}

/// What one line gives: a rule, or why there is none.
type Outcome = Result<Rule, SkipReason>;

/// Where a format puts what its lines give.
type Out<'a> = &'a mut dyn FnMut(Outcome);

/// A format with what it must remember from line to line.
enum Parser {
    Domains(MatchMode),
    Hosts(MatchMode),
    Adblock(adblock::Adblock),
    Dnsmasq,
    Unbound(unbound::Unbound),
    Rpz(Box<rpz::Rpz>),
    Squidguard,
    Addresses,
}

impl Parser {
    fn new(format: Format, mode: MatchMode) -> Self {
        match format {
            Format::Domains => Self::Domains(mode),
            Format::Hosts => Self::Hosts(mode),
            Format::Adblock => Self::Adblock(adblock::Adblock::default()),
            Format::Dnsmasq => Self::Dnsmasq,
            Format::Unbound => Self::Unbound(unbound::Unbound::default()),
            Format::Rpz => Self::Rpz(Box::default()),
            Format::Squidguard => Self::Squidguard,
            Format::Addresses => Self::Addresses,
        }
    }

    fn line(&mut self, number: u64, text: &str, out: Out<'_>) {
        match self {
            Self::Domains(mode) => domains::line(text, *mode, out),
            Self::Hosts(mode) => hosts::line(text, *mode, out),
            Self::Adblock(adblock) => adblock.line(number, text, out),
            Self::Dnsmasq => dnsmasq::line(text, out),
            Self::Unbound(unbound) => unbound.line(text, out),
            Self::Rpz(rpz) => rpz.line(number, text, out),
            Self::Squidguard => squidguard::line(text, out),
            Self::Addresses => addresses::line(text, out),
        }
    }

    fn finish(self, sink: &mut dyn FnMut(u64, Result<Rule, Skip<'_>>)) {
        match self {
            Self::Adblock(adblock) => adblock.finish(sink),
            Self::Rpz(rpz) => rpz.finish(sink),
            Self::Domains(_)
            | Self::Hosts(_)
            | Self::Dnsmasq
            | Self::Unbound(_)
            | Self::Squidguard
            | Self::Addresses => {}
        }
    }
}

#[cfg(test)]
mod tests;
