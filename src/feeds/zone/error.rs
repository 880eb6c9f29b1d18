//! Why a zone could not be transferred, for the person who looks after the box.

use std::{fmt, io, net::SocketAddr, path::PathBuf};

use super::{
    changes::Unfit,
    tsig::{self, Fault, Signature},
    wire::Garbled,
};

/// Why a zone could not be transferred. What was had before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The zone's name can't stand in a message.
    #[error("{0:?} is not the name of a zone; write it as rpz.trust.example")]
    Zone(String),
    /// Nobody is named who has the zone.
    #[error("{0}: nobody is named who has the zone; write the addresses of its servers under primaries")]
    NoPrimaries(String),
    /// It was told to stop.
    #[error("{0}: the transfer was stopped")]
    Cancelled(String),
    /// The file of the new version can't be written.
    #[error("{file}: can't be written ({source})", file = file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No primary gave the zone.
    #[error("{zone}: {}", Listed(.tries))]
    Failed {
        /// The zone, with its last dot.
        zone: String,
        /// What each primary did, in the order in which they were asked.
        tries: Vec<Try>,
    },
}

impl TransferError {
    /// The same without any name of the zone's records, for a list that must not be shown.
    #[must_use]
    pub fn without_names(mut self) -> Self {
        if let Self::Failed { tries, .. } = &mut self {
            for tried in tries {
                match &mut tried.why {
                    Failure::OutOfZone(name) => *name = String::from("its name must not be shown"),
                    Failure::Changes(what) => {
                        *what = String::from("sent changes that do not fit the version that we have");
                    }
                    _ => {}
                }
            }
        }
        self
    }
}

/// What one primary did.
#[derive(Debug, thiserror::Error)]
#[error("{primary} {why}")]
pub struct Try {
    /// Its address.
    pub primary: SocketAddr,
    /// Why it did not give the zone.
    #[source]
    pub why: Failure,
}

struct Listed<'a>(&'a [Try]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, tried) in self.0.iter().enumerate() {
            let before = if place == 0 { "" } else { "; " };
            write!(f, "{before}{tried}")?;
        }
        Ok(())
    }
}

/// Why a primary did not give the zone; a sentence with the primary before it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// There is no connection.
    #[error("can't be reached over TCP ({0}); check the address, and that the firewall lets it through")]
    Unreachable(io::Error),
    /// The connection broke.
    #[error("broke the connection off before the end ({0})")]
    Broken(io::Error),
    /// It closed the connection too early.
    #[error("closed the connection before the end")]
    CutOff,
    /// It is silent.
    #[error("sent nothing for {0} seconds")]
    Silent(u64),
    /// It takes too long.
    #[error("did not come to an end within {0} seconds")]
    Slow(u64),
    /// It sends too much.
    #[error("sent more than {0}, which is too much for one zone")]
    TooMuch(String),
    /// REFUSED.
    #[error(
        "refuses (REFUSED); ask whoever runs it to let this box transfer the zone, by its address or by a key"
    )]
    Refused,
    /// NOTAUTH, not about a signature.
    #[error(
        "says that it is not in charge of the zone (NOTAUTH); check the zone's name, and whether it asks for a key"
    )]
    NotInCharge,
    /// It does not know the zone, or only at second hand.
    #[error("does not have the zone ({0}); check the zone's name and the address")]
    NoZone(&'static str),
    /// Another error of the protocol.
    #[error("answered with the error {0}")]
    Code(String),
    /// BADKEY.
    #[error(
        "does not know our key (BADKEY); the name and the algorithm of the key have to be those that it was given"
    )]
    UnknownKey,
    /// BADSIG.
    #[error("does not accept our signature (BADSIG); the secret of the key is not the one that it has")]
    OtherSecret,
    /// BADTIME, or its clock.
    #[error(
        "has a clock that is {} this box's, and signatures allow 5 minutes; set this box's clock by NTP, or tell \
         whoever runs the primary", Apart(*.0)
    )]
    Clock(i64),
    /// A signature was asked for and is not there.
    #[error("answered without a signature, which the key asks for; check that it has the key for this zone")]
    Unsigned,
    /// A signature is of another key.
    #[error("answered with the signature of another key or algorithm")]
    OtherKey,
    /// A signature is wrong.
    #[error(
        "answered with a signature that does not fit; the answer was changed on its way, or the secret differs"
    )]
    WrongSignature,
    /// It sends no DNS, or broken DNS.
    #[error("sent something that can't be read: {0}")]
    Unreadable(&'static str),
    /// It answers another question.
    #[error("answered another question than ours")]
    OtherQuestion,
    /// It sends records of other zones.
    #[error("sent a record that is not of the zone: {0}")]
    OutOfZone(String),
    /// It sends records in an order that no zone has.
    #[error("sent a zone that is not whole: {0}")]
    NotWhole(&'static str),
    /// It has a version before ours.
    #[error(
        "has version {theirs} of the zone, which is older than ours, {ours}; if its operator began to number anew, \
         take the list out and subscribe again"
    )]
    Older {
        /// The serial of its version.
        theirs: u32,
        /// The serial of ours.
        ours: u32,
    },
    /// Its changes do not fit.
    #[error("{0}")]
    Changes(String),
    /// The file of the new version can't be written: no primary can help.
    #[error("can't be written down ({0})")]
    Write(io::Error),
    /// It was told to stop.
    #[error("was not asked to the end")]
    Cancelled,
}

impl Failure {
    /// Whether nothing else needs to be tried with this primary.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Slow(_) | Self::Older { .. } | Self::Write(_) | Self::Cancelled
        )
    }

    /// What an error in a message's header means; none for no error.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => return None,
            1 => Self::Code("FORMERR (it could not read the question)".into()),
            2 => Self::Code("SERVFAIL (it can't give the zone now)".into()),
            3 => Self::NoZone("NXDOMAIN"),
            4 => Self::Code("NOTIMP (it does not do transfers)".into()),
            5 => Self::Refused,
            9 => Self::NotInCharge,
            other => Self::Code(other.to_string()),
        })
    }

    /// What an error in a signature means; none for no error. `now` is in seconds since 1970.
    pub(super) fn of_signature(signature: &Signature<'_>, now: u64) -> Option<Self> {
        Some(match signature.error {
            0 => return None,
            tsig::error::BADSIG => Self::OtherSecret,
            tsig::error::BADKEY => Self::UnknownKey,
            tsig::error::BADTIME => {
                Self::Clock(tsig::apart(signature.servers_time().unwrap_or(signature.time), now))
            }
            other => Self::Code(format!("{other} about our signature")),
        })
    }
}

impl From<Garbled> for Failure {
    fn from(garbled: Garbled) -> Self {
        Self::Unreadable(garbled.0)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unsigned => Self::Unsigned,
            Fault::OtherKey => Self::OtherKey,
            Fault::Wrong => Self::WrongSignature,
            Fault::Clock(apart) => Self::Clock(apart),
            Fault::Garbled(garbled) => garbled.into(),
        }
    }
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Write(source) => Self::Write(source),
            other => Self::Changes(other.to_string()),
        }
    }
}

/// Seconds by which a clock is ahead, in words.
struct Apart(i64);

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.unsigned_abs();
        let side = if self.0 < 0 { "behind" } else { "ahead of" };
        match seconds {
            0..120 => write!(f, "{seconds} seconds {side}"),
            120..7200 => write!(f, "{} minutes {side}", seconds / 60),
            7200..172_800 => write!(f, "{} hours {side}", seconds / 3600),
            _ => write!(f, "{} days {side}", seconds / 86_400),
        }
    }
}
