//! Why a download failed, in words that a technician can act on.

use std::{error::Error, io, path::PathBuf, time::Duration};

use reqwest::Url;
use rustls::{CertificateError, Error as TlsError};

use super::{access::FileError, config::Config, host};

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none.
    #[error("{url:?} can't be fetched: {reason}")]
    Address {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// The host's name could not be resolved.
    #[error("the address of {host} can't be found: {reason}")]
    Lookup {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// Nobody answers there.
    #[error("{host} can't be reached: {reason}")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// The server is not who it should be, or does not know us.
    #[error("{host} can't be trusted: {reason}")]
    Certificate {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// The server does not give the list.
    #[error("{}", status_words(host, *status))]
    Status {
        /// The host.
        host: String,
        /// What it said.
        status: u16,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Redirects without an end.
    #[error("{host} redirects without an end ({followed} times)")]
    Redirects {
        /// The last host.
        host: String,
        /// How often.
        followed: usize,
    },
    /// A redirect from https to http.
    #[error("{from} redirects to {to} without encryption, which is not followed")]
    Downgrade {
        /// Where it was.
        from: String,
        /// Where it would go.
        to: String,
    },
    /// Nothing came for a while.
    #[error("nothing came from {host} for {seconds} seconds")]
    Stalled {
        /// The host.
        host: String,
        /// For how long.
        seconds: u64,
    },
    /// It took too long altogether.
    #[error("{host} is so slow that the download was not done after {seconds} seconds")]
    TooSlow {
        /// The host.
        host: String,
        /// The limit.
        seconds: u64,
    },
    /// The connection ended in the middle.
    #[error("the download from {host} broke off after {}", progress(*received, *expected))]
    CutOff {
        /// The host.
        host: String,
        /// How many bytes came.
        received: u64,
        /// How many there are, where the server said so.
        expected: Option<u64>,
    },
    /// More than a list has.
    #[error("{host} sends {}, and a list may have {most} bytes at most", size(*bytes))]
    TooLarge {
        /// The host.
        host: String,
        /// How much it wants to send, where it said so.
        bytes: Option<u64>,
        /// The limit.
        most: u64,
    },
    /// What came is no proper answer.
    #[error("{host} does not answer as a web server should: {reason}")]
    Protocol {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The list names a credential that the settings don't have.
    #[error("there is no credential {id:?} in the settings of the box; {}", there_are(known))]
    Credential {
        /// The identifier.
        id: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The list names a credential whose file is of no use.
    #[error("what the server asks for can't be sent: {0}")]
    File(#[from] FileError),
    /// The disk can't be written.
    #[error("{path}: the download can't be written: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The box lacks something to begin with.
    #[error("downloads can't be started: {reason}")]
    Start {
        /// What.
        reason: String,
    },
    /// The program is stopping.
    #[error("the program stopped before the download was done")]
    Cancelled,
}

impl FetchError {
    /// How long the server wants to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether another place could have it.
    pub(super) fn is_elsewhere_perhaps(&self) -> bool {
        !matches!(self, Self::Write { .. } | Self::Start { .. } | Self::Cancelled)
    }
}

fn status_words(host: &str, status: u16) -> String {
    let words = match status {
        304 => "says that nothing changed, which it was not asked",
        401 => "wants a password or a token",
        403 => "does not let this box have the list",
        404 => "says that there is no such list; perhaps it has moved",
        410 => "says that the list is gone for good",
        407 => "can't be reached: the proxy wants a password",
        429 => "says that it was asked too often",
        503 => "is out of service for now",
        500..=599 => "has a fault",
        _ => "does not give the list",
    };
    format!("{host} {words} ({status})")
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

fn progress(received: u64, expected: Option<u64>) -> String {
    match expected {
        Some(expected) => format!("{} of {}", megabytes(received), megabytes(expected)),
        None => megabytes(received),
    }
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| String::from("without an end"), |bytes| format!("{bytes} bytes"))
}

fn there_are(known: &[String]) -> String {
    if known.is_empty() { String::from("there are none") } else { format!("there are {}", known.join(", ")) }
}

/// The errors behind an error, the outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // What an I/O error carries is not its source but itself.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// Why no response came.
///
/// `missing` are the authorities that the box should have trusted and could not.
pub(super) fn of_sending(
    url: &Url,
    error: &reqwest::Error,
    config: &Config,
    missing: &[FileError],
) -> FetchError {
    let host = host(url);
    if let Some(error) = chain(error).find_map(|error| error.downcast_ref::<TlsError>()) {
        let mut reason = tls_words(error);
        if let (TlsError::InvalidCertificate(CertificateError::UnknownIssuer), Some(file)) =
            (error, missing.first())
        {
            reason = format!("{reason}; perhaps because of {file}");
        }
        return FetchError::Certificate { host, reason };
    }
    let last = chain(error).last().map_or_else(String::new, ToString::to_string);
    let texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    if texts.iter().any(|text| text.contains("dns error")) {
        return FetchError::Lookup { host, reason: last };
    }
    if error.is_timeout() {
        return if error.is_connect() {
            let reason = format!("nobody answered within {} seconds", config.connect_seconds);
            FetchError::Connect { host, reason }
        } else {
            FetchError::Stalled { host, seconds: config.stall_seconds }
        };
    }
    if error.is_connect() {
        if texts.iter().any(|text| text.contains("proxy authorization required")) {
            return FetchError::Status { host, status: 407, retry_after: None };
        }
        return FetchError::Connect { host, reason: last };
    }
    FetchError::Protocol { host, reason: last }
}

/// Why a response ended early.
pub(super) fn of_reading(
    url: &Url,
    error: &reqwest::Error,
    received: u64,
    expected: Option<u64>,
    config: &Config,
) -> FetchError {
    let host = host(url);
    if error.is_timeout() || chain(error).any(|error| error.to_string().contains("timed out")) {
        return FetchError::Stalled { host, seconds: config.stall_seconds };
    }
    FetchError::CutOff { host, received, expected }
}

fn tls_words(error: &TlsError) -> String {
    let date = |time: rustls::pki_types::UnixTime| {
        i64::try_from(time.as_secs())
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            .map_or_else(|| String::from("an unknown day"), |time| time.strftime("%Y-%m-%d").to_string())
    };
    let TlsError::InvalidCertificate(wrong) = error else {
        return match error {
            TlsError::AlertReceived(alert) => {
                format!("it refuses the connection ({alert:?}); perhaps it wants a client certificate")
            }
            other => other.to_string(),
        };
    };
    match wrong {
        CertificateError::Expired => String::from("its certificate has expired, or the box's clock is wrong"),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("its certificate ended on {}, and the box has {}", date(*not_after), date(*time))
        }
        CertificateError::NotValidYet => {
            String::from("its certificate is not valid yet; perhaps the box's clock is wrong")
        }
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "its certificate begins on {}, and the box has {}; perhaps its clock is wrong",
            date(*not_before),
            date(*time)
        ),
        CertificateError::UnknownIssuer => {
            String::from("nobody whom the box trusts has signed its certificate")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            String::from("its certificate is for another name")
        }
        CertificateError::Revoked => String::from("its certificate was revoked"),
        other => format!("its certificate is wrong: {other}"),
    }
}
