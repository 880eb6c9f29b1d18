//! The filter in front of the names: says at once of most names that neither they nor a parent are listed.
//!
//! It is a binary fuse filter (Graf and Lemire, 2022) with 16-bit fingerprints, built by `xorf` and asked in place
//! from the bytes of the file. It never denies a name that is listed; of others it admits one in 65,536, which the
//! walk through the names then finds out.

use xorf::BinaryFuse16;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The bytes in front of the fingerprints: seed, segment length, segment count length.
const HEAD: usize = 16;

/// The hash of the root, where the hash of every name starts.
pub(in crate::lists) const ROOT: u64 = 0;

/// The hash of a name from its parent's hash and its first label.
///
/// This way all parents of a name are hashed in one pass over it.
#[inline]
pub(in crate::lists) fn child(parent: u64, label: &[u8]) -> u64 {
    xxh3_64_with_seed(label, parent)
}

/// The hash of a whole key.
pub(in crate::lists) fn hash(key: &[u8]) -> u64 {
    key.split(|&b| b == b'.').fold(ROOT, child)
}

/// Builds a filter from the hashes of all names; sorts them on the way.
///
/// Comes out empty where no filter can be built, which admits everything: slow but right.
pub(in crate::lists) fn build(hashes: &mut Vec<u64>) -> Vec<u8> {
    hashes.sort_unstable();
    // Equal hashes of different names are all but impossible by chance, but a list could aim at them, and the
    // construction then fails.
    hashes.dedup();
    if hashes.is_empty() {
        return Vec::new();
    }
    let Ok(filter) = BinaryFuse16::try_from(&*hashes) else { return Vec::new() };
    let mut bytes = Vec::with_capacity(HEAD + filter.fingerprints.len() * 2);
    bytes.extend_from_slice(&filter.descriptor.seed.to_le_bytes());
    bytes.extend_from_slice(&filter.descriptor.segment_length.to_le_bytes());
    bytes.extend_from_slice(&filter.descriptor.segment_count_length.to_le_bytes());
    for fingerprint in &filter.fingerprints {
        bytes.extend_from_slice(&fingerprint.to_le_bytes());
    }
    bytes
}

/// How to ask the filter that lies in some bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    seed: u64,
    segment_length: u32,
    segment_count_length: u32,
}

impl Filter {
    /// Reads the head of a filter and checks that every place it can point at exists.
    ///
    /// No bytes at all are no filter.
    pub(super) fn check(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some((head, fingerprints)) = bytes.split_first_chunk::<HEAD>() else {
            return Err("it is shorter than its head");
        };
        let seed =
            u64::from_le_bytes([head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]]);
        let segment_length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        let segment_count_length = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
        if !segment_length.is_power_of_two() || segment_length > 1 << 18 {
            return Err("the length of its segments is not a power of two up to 262,144");
        }
        if segment_count_length == 0 || !segment_count_length.is_multiple_of(segment_length) {
            return Err("its length is not a multiple of its segments'");
        }
        let places = u64::from(segment_count_length) + 2 * u64::from(segment_length);
        if places > u64::from(u32::MAX) || places * 2 != fingerprints.len() as u64 {
            return Err("it has more or fewer fingerprints than its head says");
        }
        Ok(Some(Self { seed, segment_length, segment_count_length }))
    }

    /// Whether a name of this hash may be listed.
    ///
    /// `bytes` are those that were checked.
    #[inline]
    pub(super) fn admits(self, bytes: &[u8], hash: u64) -> bool {
        let hash = mix(hash.wrapping_add(self.seed));
        let mask = self.segment_length - 1;
        // Truncations are part of the method. Places lie within three neighbouring segments, see `check`.
        let first = ((u128::from(hash) * u128::from(self.segment_count_length)) >> 64) as u32;
        let second = (first + self.segment_length) ^ ((hash >> 18) as u32 & mask);
        let third = (first + 2 * self.segment_length) ^ (hash as u32 & mask);
        let fingerprint = (hash ^ (hash >> 32)) as u16;
        fingerprint == at(bytes, first) ^ at(bytes, second) ^ at(bytes, third)
    }
}

#[inline]
fn at(bytes: &[u8], place: u32) -> u16 {
    let at = HEAD + place as usize * 2;
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The finaliser of `MurmurHash3`, as `xorf` applies it.
#[inline]
fn mix(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: u32) -> Vec<u64> {
        (0..count).map(|i| hash(format!("test.name{i}").as_bytes())).collect()
    }

    #[test]
    fn a_listed_name_is_always_admitted() {
        for count in [1, 2, 3, 4, 5, 10, 100, 1_000, 20_000] {
            let hashes = names(count);
            let bytes = build(&mut hashes.clone());
            let filter = Filter::check(&bytes).unwrap().unwrap();
            assert!(hashes.iter().all(|&hash| filter.admits(&bytes, hash)), "{count} names");
        }
    }

    #[test]
    fn hardly_any_other_name_is_admitted() {
        let bytes = build(&mut names(10_000));
        let filter = Filter::check(&bytes).unwrap().unwrap();
        let admitted = (0..100_000)
            .filter(|i| filter.admits(&bytes, hash(format!("example.other{i}").as_bytes())))
            .count();
        assert!(admitted < 20, "{admitted} of 100,000");
    }

    #[test]
    fn names_of_one_hash_do_not_keep_a_filter_from_being_built() {
        let mut hashes = vec![7, 7, 7, 9];
        let bytes = build(&mut hashes);
        let filter = Filter::check(&bytes).unwrap().unwrap();
        assert!(filter.admits(&bytes, 7) && filter.admits(&bytes, 9));
    }

    #[test]
    fn a_name_is_hashed_from_its_parent() {
        assert_eq!(hash(b"example.school.www"), child(hash(b"example.school"), b"www"));
        assert_ne!(hash(b"example.school"), hash(b"exampleschool"));
    }

    #[test]
    fn no_head_leads_outside() {
        let good = build(&mut names(1_000));
        for at in 8..HEAD {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                if let Ok(Some(filter)) = Filter::check(&bytes) {
                    for hash in names(2_000) {
                        filter.admits(&bytes, hash);
                    }
                }
            }
        }
        assert!(Filter::check(&good[..good.len() - 1]).is_err());
        assert!(Filter::check(&good[..HEAD - 1]).is_err());
    }
}
