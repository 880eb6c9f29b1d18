//! Digests that stand for names which must not be shown.

use std::{fmt, net::IpAddr};

use ring::hmac;

/// How many bytes of the digest are shown: enough that no two of a million names look alike.
const SHOWN: usize = 6;

/// Turns names and addresses into digests that say which, and nothing more, to who has no key.
///
/// The same name has the same digest on one box for as long as it has its key, and another one on every other box.
#[derive(Clone, Default)]
pub struct Mask {
    key: Option<hmac::Key>,
}

/// What is shown in the place of a name: `locked:3fa9c0ffee12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Option<[u8; SHOWN]>);

impl Mask {
    pub(super) fn new(key: hmac::Key) -> Self {
        Self { key: Some(key) }
    }

    /// A mask without a key, for a box that can't read its own: all digests are the same.
    #[must_use]
    pub fn without_key() -> Self {
        Self::default()
    }

    /// The digest of a name, by the bytes of its [`Key`](crate::name::Key) (or of a parent's, its prefix).
    #[must_use]
    pub fn name(&self, key: &[u8]) -> Digest {
        self.digest(b'n', key)
    }

    /// The digest of an address; an IPv4 address within an IPv6 one has that of the IPv4 address.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> Digest {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.digest(b'4', &v4.octets()),
            IpAddr::V6(v6) => self.digest(b'6', &v6.octets()),
        }
    }

    fn digest(&self, kind: u8, bytes: &[u8]) -> Digest {
        Digest(self.key.as_ref().and_then(|key| {
            let mut context = hmac::Context::with_key(key);
            context.update(&[kind]);
            context.update(bytes);
            context.sign().as_ref().first_chunk().copied()
        }))
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask").field("has_key", &self.key.is_some()).finish()
    }
}

impl Digest {
    /// What every digest begins with.
    pub const PREFIX: &str = "locked:";
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        match &self.0 {
            Some(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            None => f.write_str("no-key"),
        }
    }
}
