//! The `[[log.sink]]` tables of the box's settings.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::Deserialize;

/// A collector that the log is sent to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Config {
    /// How it is sent.
    pub kind: Kind,
    /// Where to.
    pub address: Address,
}

/// How the log is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// dnstap over Frame Streams.
    Dnstap,
    /// Syslog by RFC 5424.
    Syslog,
}

impl Kind {
    /// The word for settings and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Dnstap => "dnstap",
            Self::Syslog => "syslog",
        }
    }
}

/// Where a collector listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// Host and port.
    Tcp(String),
    /// Host and port.
    Udp(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp:{host}"),
            Self::Udp(host) => write!(f, "udp:{host}"),
        }
    }
}

/// What is wrong with a sink's settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address is none.
    #[error(
        "address {0:?} is none; write \"unix:/run/collector.sock\", \"tcp:HOST:PORT\" or \"udp:HOST:PORT\""
    )]
    Address(String),
    /// Dnstap is a stream.
    #[error("dnstap can't be sent over UDP; write \"unix:/run/collector.sock\" or \"tcp:HOST:PORT\"")]
    DnstapOverUdp,
}

impl FromStr for Address {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::Address(text.to_owned());
        let (scheme, rest) = text.split_once(':').ok_or_else(wrong)?;
        let host = || {
            let (host, port) = rest.rsplit_once(':')?;
            let has_port = port.parse::<u16>().is_ok_and(|port| port > 0);
            // An IPv6 address has colons, and stands in brackets.
            let is_host = if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'))
            {
                inner.parse::<std::net::Ipv6Addr>().is_ok()
            } else {
                !host.is_empty() && !host.contains([':', '/', ' ', '[', ']'])
            };
            (has_port && is_host).then(|| rest.to_owned())
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "tcp" => host().map(Self::Tcp).ok_or_else(wrong),
            "udp" => host().map(Self::Udp).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

/// A sink as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: Kind,
    address: String,
}

impl TryFrom<Written> for Config {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let address = written.address.parse()?;
        if written.kind == Kind::Dnstap && matches!(address, Address::Udp(_)) {
            return Err(ConfigError::DnstapOverUdp);
        }
        Ok(Self { kind: written.kind, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_said_again() {
        for text in [
            "unix:/run/dnstap.sock",
            "tcp:collector.example:6000",
            "udp:192.0.2.1:514",
            "tcp:[2001:db8::1]:6000",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "unix:",
            "unix:run/x",
            "tcp:host",
            "tcp:host:0",
            "tcp:host:65536",
            "tcp::6000",
            "udp:2001:db8::1:514",
            "tls:host:6514",
            "/dev/log",
            "tcp:[host]:1",
            "tcp:a b:1",
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("unix:/run/collector.sock"), "{text}: {error}");
        }
    }

    #[test]
    fn a_sink_that_makes_no_sense_is_refused() {
        let read = |text: &str| toml::from_str::<Config>(text).map_err(|error| error.to_string());
        let sink = read("kind = \"syslog\"\naddress = \"udp:192.0.2.1:514\"").unwrap();
        assert_eq!((sink.kind, sink.address), (Kind::Syslog, Address::Udp("192.0.2.1:514".into())));
        let error = read("kind = \"dnstap\"\naddress = \"udp:192.0.2.1:514\"").unwrap_err();
        assert!(error.contains("can't be sent over UDP"), "{error}");
        assert!(read("kind = \"kafka\"\naddress = \"tcp:a:1\"").is_err());
        assert!(read("kind = \"syslog\"\naddress = \"tcp:a:1\"\nlevel = 3").is_err());
        assert!(read("kind = \"syslog\"").is_err());
    }
}
