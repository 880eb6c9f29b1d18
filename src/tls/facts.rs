//! What a certificate says of itself, and the names that one is made for.

use std::{fmt, net::IpAddr, str::FromStr};

use jiff::Timestamp;
use ring::digest;
use rustls::pki_types::DnsName;
use x509_parser::{extensions::GeneralName, prelude::FromDer as _};

/// A name or an address by which browsers reach the box.
///
/// Read from text with [`FromStr`]: an address, or a host name without its last dot, in any case. Displays as it is
/// written in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectName(Kind);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Name(String),
    Address(IpAddr),
}

impl SubjectName {
    /// The address, where it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match &self.0 {
            Kind::Address(address) => Some(*address),
            Kind::Name(_) => None,
        }
    }
}

impl From<IpAddr> for SubjectName {
    fn from(address: IpAddr) -> Self {
        Self(Kind::Address(address.to_canonical()))
    }
}

impl FromStr for SubjectName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        match DnsName::try_from(name.as_str()) {
            Ok(_) => Ok(Self(Kind::Name(name))),
            Err(_) => Err(NotAName(text.to_owned())),
        }
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Name(name) => f.write_str(name),
            Kind::Address(address) => address.fmt(f),
        }
    }
}

/// A text that is neither a host name nor an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host name (letters, digits, hyphens and dots) nor an address")]
pub struct NotAName(String);

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The names and addresses that it is for, as they are written.
    pub(super) names: Vec<String>,
    /// The first moment at which it holds.
    pub(super) not_before: Timestamp,
    /// The last moment at which it holds.
    pub(super) not_after: Timestamp,
    /// Whether it may sign others.
    pub(super) is_authority: bool,
    /// The public key, as it stands in the certificate (DER).
    pub(super) public_key: Vec<u8>,
    /// SHA-256 of the certificate, in pairs of hexadecimal digits with colons between.
    pub(super) fingerprint: String,
}

impl Facts {
    /// Reads a certificate (DER); none where it is not one.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
        let names = match certificate.subject_alternative_name().ok()? {
            Some(names) => names.value.general_names.iter().filter_map(written).collect(),
            None => Vec::new(),
        };
        let validity = certificate.validity();
        Some(Self {
            names,
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
            is_authority: certificate.is_ca(),
            public_key: certificate.public_key().raw.to_vec(),
            fingerprint: fingerprint(der),
        })
    }
}

fn written(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// Certificates may speak of times that no calendar here has: those are the last one, or the first.
fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn fingerprint(der: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, der);
    let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_read_and_written_the_same() {
        for (text, written) in [
            ("Box.School.example.", "box.school.example"),
            ("localhost", "localhost"),
            ("10.20.0.2", "10.20.0.2"),
            ("::ffff:10.20.0.2", "10.20.0.2"),
            ("2001:DB8::1", "2001:db8::1"),
        ] {
            assert_eq!(text.parse::<SubjectName>().unwrap().to_string(), written);
        }
        for text in ["", ".", "a b", "bücher.example", "a..b", "*.example", "box\r\n"] {
            assert!(text.parse::<SubjectName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_facts() {
        for der in [&b""[..], b"\x30", b"\x30\x82\xff\xff", b"-----BEGIN CERTIFICATE-----"] {
            assert_eq!(Facts::read(der), None);
        }
    }
}
