//! Sets of the numbers that a day file has for its words.

/// Sets with at most so many numbers are searched; larger ones have a bit for each number.
const FEW: usize = 8;

/// The largest number that has a bit: with it, a set takes two megabytes. A day with more names is a flood.
const MOST_BITS: i64 = 1 << 24;

/// A set of numbers: of the askers, names or fates that a search is for.
#[derive(Debug)]
pub(in crate::querylog) struct Ids {
    sorted: Vec<i64>,
    bits: Vec<u64>,
}

impl Ids {
    pub(in crate::querylog) fn new(mut numbers: Vec<i64>) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        let mut bits = Vec::new();
        if numbers.len() > FEW
            && let (Some(&first), Some(&last)) = (numbers.first(), numbers.last())
            // Numbers count up from 1; a damaged file may have any.
            && first >= 0
            && last < MOST_BITS
        {
            bits.resize(last as usize / 64 + 1, 0);
            for &number in &numbers {
                bits[number as usize / 64] |= 1 << (number % 64);
            }
        }
        Self { sorted: numbers, bits }
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = i64> {
        self.sorted.iter().copied()
    }

    /// The number of a set of one.
    pub(super) fn only(&self) -> Option<i64> {
        match self.sorted[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    pub(in crate::querylog) fn contains(&self, number: i64) -> bool {
        if self.bits.is_empty() {
            return self.sorted.binary_search(&number).is_ok();
        }
        usize::try_from(number)
            .ok()
            .and_then(|number| self.bits.get(number / 64).map(|word| word >> (number % 64) & 1 == 1))
            .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_has_what_was_put_in(
            numbers in proptest::collection::btree_set(prop_oneof![0_i64..200, any::<i64>()], 0..40),
            small in any::<bool>(),
            asked in prop_oneof![-2_i64..210, any::<i64>()],
        ) {
            let numbers: BTreeSet<i64> =
                if small { numbers.into_iter().filter(|n| (0..200).contains(n)).collect() } else { numbers };
            let ids = Ids::new(numbers.iter().copied().collect());
            prop_assert_eq!(ids.len(), numbers.len());
            prop_assert_eq!(ids.contains(asked), numbers.contains(&asked));
            prop_assert!(numbers.iter().all(|number| ids.contains(*number)));
        }
    }
}
