//! The numbers of a zone's versions, which wrap around (RFC 1982).

/// Whether version `a` of a zone is newer than version `b`.
///
/// Two that are exactly half the circle apart are not comparable; neither is then newer.
#[must_use]
pub fn is_newer(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_wrap_around() {
        assert!(is_newer(2, 1) && !is_newer(1, 2) && !is_newer(1, 1));
        assert!(is_newer(0, u32::MAX) && !is_newer(u32::MAX, 0));
        assert!(is_newer(5, u32::MAX - 5));
        assert!(!is_newer(1 << 31, 0) && !is_newer(0, 1 << 31));
    }

    proptest! {
        #[test]
        fn of_two_at_most_one_is_newer(a: u32, b: u32) {
            prop_assert!(!(is_newer(a, b) && is_newer(b, a)));
            prop_assert_eq!(a == b || a ^ b == 1 << 31, !is_newer(a, b) && !is_newer(b, a));
        }

        #[test]
        fn the_next_is_newer_wherever_one_stands(a: u32, step in 1..1u32 << 31) {
            prop_assert!(is_newer(a.wrapping_add(step), a));
        }
    }
}
