//! What the entries of a list are, in eight bytes each.

use ipnet::IpNet;
use xxhash_rust::xxh3::xxh3_64;

use super::Reading;
use crate::lists::{
    format::{MatchMode, Rule, Subject},
    source::SourceError,
};

/// What the entries of a list are: a sorted hash of each different one.
///
/// Two lists with the same fingerprints say the same, in whichever order, format or words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprints(Vec<u64>);

impl Fingerprints {
    /// Reads a list for its fingerprints alone.
    ///
    /// # Errors
    ///
    /// As [`Source::read`](crate::lists::source::Source::read).
    pub fn of(list: &Reading<'_>) -> Result<Self, SourceError> {
        let mut hashes = Vec::new();
        list.read(&mut |_, outcome| {
            if let Ok(rule) = outcome {
                hashes.push(fingerprint(&rule));
            }
        })?;
        Ok(Self::sorted(hashes).0)
    }

    /// The hashes in order, each once, and how many there were of one before.
    pub(super) fn sorted(mut hashes: Vec<u64>) -> (Self, u64) {
        hashes.sort_unstable();
        let before = hashes.len();
        hashes.dedup();
        hashes.shrink_to_fit();
        let duplicates = (before - hashes.len()) as u64;
        (Self(hashes), duplicates)
    }

    /// How many different entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of each different entry, rising.
    #[must_use]
    pub fn hashes(&self) -> &[u64] {
        &self.0
    }
}

/// The hash of a name, which [`fingerprint`] and the references share.
pub(super) fn name_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The hash of what a rule says.
pub(in crate::lists) fn fingerprint(rule: &Rule) -> u64 {
    let (hash, kind) = match &rule.subject {
        Subject::Name { key, mode: MatchMode::Subdomains } => (name_hash(key.as_bytes()), 0),
        Subject::Name { key, mode: MatchMode::Exact } => (name_hash(key.as_bytes()), 1),
        Subject::Address(net) => (address_hash(net), 2),
        Subject::NameServer { key, mode: MatchMode::Subdomains } => (name_hash(key.as_bytes()), 3),
        Subject::NameServer { key, mode: MatchMode::Exact } => (name_hash(key.as_bytes()), 4),
        Subject::NameServerAddress(net) => (address_hash(net), 5),
    };
    let meaning = kind * 2 + u64::from(rule.allow);
    // An odd constant, so that hashes of one name with different meanings differ.
    hash.wrapping_add(meaning.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn address_hash(net: &IpNet) -> u64 {
    let mut bytes = [0; 18];
    match net {
        IpNet::V4(net) => bytes[..4].copy_from_slice(&net.network().octets()),
        IpNet::V6(net) => {
            bytes[..16].copy_from_slice(&net.network().octets());
            bytes[17] = 1;
        }
    }
    bytes[16] = net.prefix_len();
    xxh3_64(&bytes)
}
