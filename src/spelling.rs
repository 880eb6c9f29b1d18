//! "Did you mean": the known word that a misspelled one was perhaps meant to be.

/// The known word that differs least from `word`, if it differs little.
///
/// Capitals, and `_` or a space for `-`, make no difference.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Longer words are no misspelled ones, and comparing takes the product of the lengths.
fn plain(word: &str) -> String {
    word.to_lowercase().replace(['_', ' '], "-").chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_word_is_recognised() {
        assert_eq!(nearest("gambing", ["games", "gambling", "dating"]), Some("gambling"));
        assert_eq!(nearest("vpn_proxy", ["games", "vpn-proxy"]), Some("vpn-proxy"));
        assert_eq!(nearest("ks", ["ks1", "staff"]), Some("ks1"));
        assert_eq!(nearest("lissten", ["allow", "listen"]), Some("listen"));
        assert_eq!(nearest("zebra", ["games", "gambling"]), None);
    }
}
