//! The filter in front of the names: says at once of most names that neither they nor a parent are listed.
//!
//! It is a binary fuse filter (Graf and Lemire, 2022) with 16-bit fingerprints, built by `xorf` and asked in place
//! from the bytes of the file. It never denies a name that is listed; of others it admits one in 65,536, which the
//! walk through the names then finds out.
//!
//! Large sets of names have several filters, by the first bits of the hash: building one takes 26 bytes of memory a
//! name, and no more than one is built at a time. The region has the fingerprints of all of them end to end, then for
//! each its seed, segment length and segment count length, then how many there are (four bytes, a power of two). A
//! segment length of zero is a filter that could not be built: it admits everything, which is slow but right.

use std::io::{self, Write};

use xorf::BinaryFuse16;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many names one filter is for, about: hashes fall evenly.
const SHARD: usize = 1 << 19;

/// How many filters there can be: for 2,000 million names.
const MAX_SHARDS: u32 = 1 << 12;

/// The bytes that describe one filter.
const HEAD: usize = 16;

/// The bytes that say how many there are.
const FOOT: usize = 4;

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

/// Builds filters from the hashes of all names and writes them.
///
/// Writes nothing where there are no names.
pub(in crate::lists) fn build(mut hashes: Vec<u64>, output: &mut impl Write) -> io::Result<()> {
    build_shards(&mut hashes, SHARD, output)
}

fn build_shards(hashes: &mut Vec<u64>, shard: usize, output: &mut impl Write) -> io::Result<()> {
    hashes.sort_unstable();
    // Equal hashes of different names are all but impossible by chance, but a list could aim at them, and the
    // construction then fails.
    hashes.dedup();
    if hashes.is_empty() {
        return Ok(());
    }
    let shards = hashes.len().div_ceil(shard).next_power_of_two().min(MAX_SHARDS as usize);
    let bits = shards.trailing_zeros();
    let mut heads = Vec::with_capacity(shards * HEAD);
    let mut rest = hashes.as_slice();
    for place in 0..shards as u64 {
        let (own, others) = rest.split_at(rest.partition_point(|&hash| shard_of(hash, bits) <= place));
        rest = others;
        let Ok(filter) = BinaryFuse16::try_from(own) else {
            heads.extend_from_slice(&[0; HEAD]);
            continue;
        };
        heads.extend_from_slice(&filter.descriptor.seed.to_le_bytes());
        heads.extend_from_slice(&filter.descriptor.segment_length.to_le_bytes());
        heads.extend_from_slice(&filter.descriptor.segment_count_length.to_le_bytes());
        for fingerprint in &filter.fingerprints {
            output.write_all(&fingerprint.to_le_bytes())?;
        }
    }
    output.write_all(&heads)?;
    output.write_all(&(shards as u32).to_le_bytes())
}

/// Which of 2^bits filters a hash belongs to.
#[inline]
fn shard_of(hash: u64, bits: u32) -> u64 {
    // In two steps, since a number can't be shifted by all of its bits.
    hash >> 1 >> (63 - bits)
}

/// How to ask the filters that lie in some bytes.
#[derive(Debug)]
pub(super) struct Filter {
    shards: Box<[Shard]>,
    bits: u32,
}

/// One filter; its segments have no length if it admits everything.
#[derive(Debug, Clone, Copy)]
struct Shard {
    seed: u64,
    segment_length: u32,
    segment_count_length: u32,
    /// Where its fingerprints begin.
    start: usize,
}

impl Filter {
    /// Reads the heads of the filters and checks that every place they can point at exists.
    ///
    /// No bytes at all are no filter.
    pub(super) fn check(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some((rest, foot)) = bytes.split_last_chunk::<FOOT>() else {
            return Err("it is shorter than its end");
        };
        let count = u32::from_le_bytes(*foot);
        if !count.is_power_of_two() || count > MAX_SHARDS {
            return Err("the number of its parts is not a power of two up to 4,096");
        }
        let Some(fingerprints) = rest.len().checked_sub(count as usize * HEAD) else {
            return Err("it is shorter than the heads of its parts");
        };
        let mut shards = Vec::with_capacity(count as usize);
        let mut start = 0_u64;
        for head in rest[fingerprints..].as_chunks::<HEAD>().0 {
            let [seed, lengths] = [0, 8].map(|at| {
                head[at..at + 8].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
            });
            let (segment_length, segment_count_length) = (lengths as u32, (lengths >> 32) as u32);
            // Nothing beyond the bytes is pointed at: all places are counted below.
            let shard = Shard { seed, segment_length, segment_count_length, start: start as usize };
            shards.push(shard);
            if segment_length == 0 {
                continue;
            }
            if !segment_length.is_power_of_two() || segment_length > 1 << 18 {
                return Err("the length of its segments is not a power of two up to 262,144");
            }
            if segment_count_length == 0 || !segment_count_length.is_multiple_of(segment_length) {
                return Err("its length is not a multiple of its segments'");
            }
            let places = u64::from(segment_count_length) + 2 * u64::from(segment_length);
            if places > u64::from(u32::MAX) {
                return Err("it has more fingerprints than can be numbered");
            }
            start += places * 2;
        }
        if start != fingerprints as u64 {
            return Err("it has more or fewer fingerprints than its heads say");
        }
        Ok(Some(Self { shards: shards.into_boxed_slice(), bits: count.trailing_zeros() }))
    }

    /// Whether a name of this hash may be listed.
    ///
    /// `bytes` are those that were checked.
    #[inline]
    pub(super) fn admits(&self, bytes: &[u8], hash: u64) -> bool {
        let shard = &self.shards[shard_of(hash, self.bits) as usize];
        if shard.segment_length == 0 {
            return true;
        }
        let bytes = &bytes[shard.start..];
        let hash = mix(hash.wrapping_add(shard.seed));
        let mask = shard.segment_length - 1;
        // Truncations are part of the method. Places lie within three neighbouring segments, see `check`.
        let first = ((u128::from(hash) * u128::from(shard.segment_count_length)) >> 64) as u32;
        let second = (first + shard.segment_length) ^ ((hash >> 18) as u32 & mask);
        let third = (first + 2 * shard.segment_length) ^ (hash as u32 & mask);
        let fingerprint = (hash ^ (hash >> 32)) as u16;
        fingerprint == at(bytes, first) ^ at(bytes, second) ^ at(bytes, third)
    }
}

#[inline]
fn at(bytes: &[u8], place: u32) -> u16 {
    let at = place as usize * 2;
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

    fn build(mut hashes: Vec<u64>, shard: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        build_shards(&mut hashes, shard, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_listed_name_is_always_admitted() {
        for count in [1, 2, 3, 4, 5, 10, 100, 1_000, 20_000] {
            for shard in [SHARD, 1_000, 3] {
                let hashes = names(count);
                let bytes = build(hashes.clone(), shard);
                let filter = Filter::check(&bytes).unwrap().unwrap();
                assert_eq!(filter.shards.len() > 1, count as usize > shard);
                assert!(
                    hashes.iter().all(|&hash| filter.admits(&bytes, hash)),
                    "{count} names, {shard} each"
                );
            }
        }
    }

    #[test]
    fn hardly_any_other_name_is_admitted() {
        for shard in [SHARD, 1_500] {
            let bytes = build(names(10_000), shard);
            let filter = Filter::check(&bytes).unwrap().unwrap();
            let admitted = (0..100_000)
                .filter(|i| filter.admits(&bytes, hash(format!("example.other{i}").as_bytes())))
                .count();
            assert!(admitted < 20, "{admitted} of 100,000");
        }
    }

    #[test]
    fn names_of_one_hash_do_not_keep_a_filter_from_being_built() {
        let bytes = build(vec![7, 7, 7, 9], SHARD);
        let filter = Filter::check(&bytes).unwrap().unwrap();
        assert!(filter.admits(&bytes, 7) && filter.admits(&bytes, 9));
    }

    #[test]
    fn hashes_that_all_fall_to_one_filter_are_admitted() {
        let hashes: Vec<u64> = (0..1_000).map(|i| u64::MAX - i).collect();
        let bytes = build(hashes.clone(), 100);
        let filter = Filter::check(&bytes).unwrap().unwrap();
        assert!(hashes.iter().all(|&hash| filter.admits(&bytes, hash)));
    }

    #[test]
    fn a_filter_that_could_not_be_built_admits_everything() {
        let mut bytes = vec![0; HEAD];
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        let filter = Filter::check(&bytes).unwrap().unwrap();
        assert!(names(100).iter().all(|&hash| filter.admits(&bytes, hash)));
    }

    #[test]
    fn a_name_is_hashed_from_its_parent() {
        assert_eq!(hash(b"example.school.www"), child(hash(b"example.school"), b"www"));
        assert_ne!(hash(b"example.school"), hash(b"exampleschool"));
    }

    #[test]
    fn no_head_leads_outside() {
        for shard in [SHARD, 300] {
            let good = build(names(1_000), shard);
            let heads = Filter::check(&good).unwrap().unwrap().shards.len() * HEAD;
            for at in good.len() - FOOT - heads..good.len() {
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
            assert!(Filter::check(&good[1..]).is_err());
            assert!(Filter::check(&good[good.len() - FOOT..]).is_err());
            assert!(Filter::check(&good[good.len() - FOOT + 1..]).is_err());
        }
    }
}
