//! What the header of a list says about its length.

use std::io::BufRead;

use crate::lists::source::Source;

/// How far into the text a header goes, in lines.
const HEADER: usize = 60;

/// What publishers write before the number, in lower case.
const WORDS: [&str; 8] = [
    "entries",
    "number of entries",
    "total entries",
    "number of domains",
    "number of unique domains",
    "total number of network filters",
    "domain count",
    "entry count",
];

/// How many entries the header of a list says that it has; none when it says nothing, or can't be read again.
pub(super) fn by(source: &Source) -> Option<u64> {
    source.text().ok()?.head().lines().take(HEADER).map_while(Result::ok).find_map(|line| in_line(&line))
}

/// `# Entries: 2,510`.
fn in_line(line: &str) -> Option<u64> {
    let comment = line.trim_start_matches('\u{feff}').strip_prefix(['#', '!', ';'])?;
    let (word, number) = comment.split_once(':')?;
    let word = word.trim().to_ascii_lowercase();
    if !WORDS.contains(&word.as_str()) {
        return None;
    }
    let digits: String = number.trim().chars().filter(|c| *c != ',').collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_counts_is_read() {
        for (line, expected) in [
            ("# Entries: 2,510", Some(2_510)),
            ("! Number of entries: 18254", Some(18_254)),
            ("; Total number of network filters: 0", Some(0)),
            ("# Entries: many", None),
            ("# Entries: 1.5", None),
            ("Entries: 5", None),
            ("# The entries: 5", None),
            ("# Entries", None),
        ] {
            assert_eq!(in_line(line), expected, "{line}");
        }
    }

    #[test]
    fn only_the_start_of_a_list_is_its_header() {
        let late = format!("{}# Entries: 5\n", "bet.example\n".repeat(HEADER));
        assert_eq!(by(&Source::bytes("late", late.into_bytes())), None);
        assert_eq!(by(&Source::bytes("early", &b"# Title\n# Entries: 5\nbet.example\n"[..])), Some(5));
    }
}
