//! How an upstream server is written in the settings.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use rustls::pki_types::ServerName;

/// An upstream server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub transport: Transport,
}

/// How an upstream is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP, and TCP when the answer does not fit (RFC 1035, RFC 7766).
    Plain,
    /// TCP only.
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls {
        /// The name or address that the certificate must have.
        name: Arc<str>,
    },
    /// DNS over HTTPS (RFC 8484).
    Https {
        /// The name or address that the certificate must have.
        name: Arc<str>,
        /// The path, with its slash.
        path: Arc<str>,
    },
}

impl Transport {
    /// Whether the server has proven who it is and nobody on the way can read or change what it says.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls { .. } | Self::Https { .. })
    }
}

/// What is wrong with how an upstream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Not an address.
    #[error("is not an address, such as \"9.9.9.9\", \"9.9.9.9:5353\" or \"[2620:fe::fe]:53\"")]
    Address,
    /// A name without an address.
    #[error(
        "has a name but no address to connect to; write it after a '#', as in \"https://dns.quad9.net/dns-query#9.9.9.9\""
    )]
    NoAddress,
    /// A port out of range.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    /// A name that no certificate can have.
    #[error("has a name that no certificate can have; write it as in \"tls://9.9.9.9#dns.quad9.net\"")]
    Name,
    /// A scheme that is not spoken.
    #[error("has a scheme that is not spoken here; \"udp://\", \"tcp://\", \"tls://\" and \"https://\" are")]
    Scheme,
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self { address: address(text, 53)?, transport: Transport::Plain });
        };
        match scheme.to_ascii_lowercase().as_str() {
            "udp" => Ok(Self { address: address(rest, 53)?, transport: Transport::Plain }),
            "tcp" => Ok(Self { address: address(rest, 53)?, transport: Transport::Tcp }),
            "tls" => {
                let (address, name) = host(rest, 853)?;
                Ok(Self { address, transport: Transport::Tls { name } })
            }
            "https" => {
                let (front, fragment) = match rest.split_once('#') {
                    Some((front, fragment)) => (front, Some(fragment)),
                    None => (rest, None),
                };
                let (authority, path) = match front.split_once('/') {
                    Some((authority, path)) => (authority, format!("/{path}")),
                    None => (front, String::from("/dns-query")),
                };
                let whole =
                    fragment.map_or_else(|| authority.into(), |fragment| format!("{authority}#{fragment}"));
                let (address, name) = host(&whole, 443)?;
                Ok(Self { address, transport: Transport::Https { name, path: path.into() } })
            }
            _ => Err(UpstreamError::Scheme),
        }
    }
}

/// `host[:port][#other]`, where one of the two is an address and the other the certificate's name.
fn host(text: &str, port: u16) -> Result<(SocketAddr, Arc<str>), UpstreamError> {
    let (host, other) = match text.split_once('#') {
        Some((host, other)) => (host, Some(other)),
        None => (text, None),
    };
    let found = match address(host, port) {
        Err(UpstreamError::Address) => None,
        found => Some(found?),
    };
    if let Some(found) = found {
        let name = match other {
            Some(name) => certificate_name(name)?,
            None => found.ip().to_string().into(),
        };
        return Ok((found, name));
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, text)) => (name, parse_port(text)?),
        None => (host, port),
    };
    let name = certificate_name(name)?;
    let ip = other.ok_or(UpstreamError::NoAddress)?;
    let ip: IpAddr = ip.trim_matches(['[', ']']).parse().map_err(|_| UpstreamError::NoAddress)?;
    Ok((SocketAddr::new(ip, port), name))
}

fn certificate_name(text: &str) -> Result<Arc<str>, UpstreamError> {
    let text = text.strip_suffix('.').unwrap_or(text).trim_matches(['[', ']']);
    ServerName::try_from(text).map(|_| text.into()).map_err(|_| UpstreamError::Name)
}

/// `ip`, `ipv4:port`, `[ipv6]` or `[ipv6]:port`.
fn address(text: &str, default: u16) -> Result<SocketAddr, UpstreamError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, default));
    }
    if let Some(v6) = text.strip_prefix('[') {
        let (ip, rest) = v6.split_once(']').ok_or(UpstreamError::Address)?;
        let ip: Ipv6Addr = ip.parse().map_err(|_| UpstreamError::Address)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if rest.is_empty() => default,
            None => return Err(UpstreamError::Address),
        };
        return Ok(SocketAddr::new(ip.into(), port));
    }
    let (ip, port) = text.split_once(':').ok_or(UpstreamError::Address)?;
    let ip: Ipv4Addr = ip.parse().map_err(|_| UpstreamError::Address)?;
    Ok(SocketAddr::new(ip.into(), parse_port(port)?))
}

fn parse_port(text: &str) -> Result<u16, UpstreamError> {
    text.parse().ok().filter(|&port| port != 0).ok_or(UpstreamError::Port)
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.transport {
            Transport::Plain => write!(f, "{}", self.address),
            Transport::Tcp => write!(f, "tcp://{}", self.address),
            Transport::Tls { name } => write!(f, "tls://{}#{name}", self.address),
            Transport::Https { name, path } => write!(f, "https://{name}{path}#{}", self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Upstream>().map_or_else(|error| format!("{error:?}"), |upstream| upstream.to_string())
    }

    #[test]
    fn upstreams_are_written_in_many_ways() {
        for (text, expected) in [
            ("9.9.9.9", "9.9.9.9:53"),
            ("9.9.9.9:5353", "9.9.9.9:5353"),
            ("udp://9.9.9.9", "9.9.9.9:53"),
            ("tcp://9.9.9.9", "tcp://9.9.9.9:53"),
            ("2620:fe::fe", "[2620:fe::fe]:53"),
            ("[2620:fe::fe]", "[2620:fe::fe]:53"),
            ("[2620:fe::fe]:5353", "[2620:fe::fe]:5353"),
            ("tls://9.9.9.9", "tls://9.9.9.9:853#9.9.9.9"),
            ("tls://9.9.9.9#dns.quad9.net", "tls://9.9.9.9:853#dns.quad9.net"),
            ("TLS://9.9.9.9:8853#dns.quad9.net.", "tls://9.9.9.9:8853#dns.quad9.net"),
            ("tls://dns.quad9.net#9.9.9.9", "tls://9.9.9.9:853#dns.quad9.net"),
            ("tls://dns.quad9.net:8853#2620:fe::fe", "tls://[2620:fe::fe]:8853#dns.quad9.net"),
            ("tls://[2620:fe::fe]:853#dns.quad9.net", "tls://[2620:fe::fe]:853#dns.quad9.net"),
            ("https://9.9.9.9/dns-query", "https://9.9.9.9/dns-query#9.9.9.9:443"),
            ("https://9.9.9.9", "https://9.9.9.9/dns-query#9.9.9.9:443"),
            ("https://dns.quad9.net/dns-query#9.9.9.9", "https://dns.quad9.net/dns-query#9.9.9.9:443"),
            (
                "https://dns.quad9.net:5443/x/y?z#[2620:fe::fe]",
                "https://dns.quad9.net/x/y?z#[2620:fe::fe]:5443",
            ),
            ("https://9.9.9.9/dns-query#dns.quad9.net", "https://dns.quad9.net/dns-query#9.9.9.9:443"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("dns.quad9.net", "Address"),
            ("", "Address"),
            ("9.9.9", "Address"),
            ("[2620:fe::fe", "Address"),
            ("9.9.9.9:0", "Port"),
            ("9.9.9.9:x", "Port"),
            ("tls://dns.quad9.net", "NoAddress"),
            ("https://dns.quad9.net/dns-query", "NoAddress"),
            ("https://dns.quad9.net/dns-query#other.example", "NoAddress"),
            ("tls://9.9.9.9:99999#dns.quad9.net", "Port"),
            ("tls://9.9.9.9#not a name", "Name"),
            ("quic://9.9.9.9", "Scheme"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
