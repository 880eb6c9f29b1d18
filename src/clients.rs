//! Who asks: from an address (and, where known, a MAC) to a device and a profile.

use std::{fmt, net::IpAddr, str::FromStr};

/// The place of a profile in its [`Policy`](crate::policy::Policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProfileId(pub u16);

/// Who asks a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The address that the question came from (an IPv4-mapped one as IPv4).
    pub address: IpAddr,
    /// Its link-layer address, where the neighbour table knows it.
    pub mac: Option<Mac>,
    /// The place of its named device in the policy, if it is one.
    pub device: Option<u16>,
    /// The rules for it.
    pub profile: ProfileId,
    /// No device and no subnet knows it: it got the fallback profile.
    pub unknown: bool,
}

/// A link-layer (Ethernet, Wi-Fi) address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or(MacError)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacError)?;
        }
        if parts.next().is_some() { Err(MacError) } else { Ok(Self(bytes)) }
    }
}

/// The text is not a link-layer address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address; write it as aa:bb:cc:dd:ee:ff")]
pub struct MacError;
